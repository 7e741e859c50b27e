// SPDX-License-Identifier: Apache-2.0
// Joining: seeds, InitJoin, Join, Welcome (protocol.md §5).
#include "base/mutants.hpp"
#include "base/sorted_vector.hpp"
#include "core_impl.hpp"
#include <algorithm>
#include <muster/ensure.hpp>

namespace muster {
namespace {

constexpr Duration not_member_interval = std::chrono::seconds{1};
constexpr std::size_t not_member_peers_max = 1024;

std::string text(std::uint64_t n) { return std::to_string(n); }

std::string joined(const std::vector<std::string>& keys) {
    std::string all;
    for (const std::string& key : keys) all += (all.empty() ? "" : ",") + key;
    return all;
}

} // namespace

// --- the joining side

Join ClusterCore::Impl::own_join() const {
    std::vector<std::string> roles = settings.roles;
    roles.push_back(dc_role(settings.multi_dc.self_data_center));
    return {self, sorted_unique(std::move(roles)), settings.app_version};
}

void ClusterCore::Impl::join(const Address& to, const Now& now, Effects& out) {
    if (core.phase() == CorePhase::AwaitingIncarnation) return; // the self-join goes on with the fresh uid
    if (is_initialized()) {
        log(out, LogLevel::Info, "cluster.join.already_joined", to.to_string());
        return;
    }
    if (to.protocol != self.address().protocol || to.system != self.address().system) {
        count(out, "cluster.join.ignored.other_cluster");
        log(out, LogLevel::Warning, "cluster.join.other_cluster", to.to_string(),
            {{"own_cluster", self.address().system}, {"their_cluster", to.system}});
        return;
    }
    joining.process.reset();
    joining.given_up = false;
    if (joining.version_pending) {
        joining.waiting_target = to;
        joining.waiting_seeds.clear();
        log(out, LogLevel::Info, "cluster.join.waits_for_app_version", to.to_string());
        return;
    }
    core.enter(CorePhase::Uninitialized);
    if (to == self.address()) {
        self_join(now, out);
        return;
    }
    core.enter(CorePhase::TryingToJoin);
    joining.target = to;
    joining.has_sent_join = true;
    joining.retry_at.reset();
    joining.ask_again_at.reset();
    if (settings.retry_unsuccessful_join_after)
        joining.retry_at = now.monotonic + *settings.retry_unsuccessful_join_after;
    log(out, LogLevel::Info, "cluster.join.asking", to.to_string());
    out.emplace_back(effect::Send{Destination(to), own_join()});
}

void ClusterCore::Impl::self_join(const Now& now, Effects& out) {
    if (joining.has_sent_join) {
        // Somebody may have admitted this uid: founding another cluster with it would let one uid live in
        // two.
        core.enter(CorePhase::AwaitingIncarnation);
        log(out, LogLevel::Info, "cluster.join.new_incarnation");
        out.emplace_back(effect::NewIncarnation{});
        return;
    }
    core.enter(CorePhase::Initialized);
    // Where other seeds are listed, this is the moment at which one cluster can become two (§5.3).
    const bool alone = choose_seed_process(self.address(), joining.seeds) != SeedChoice::FirstSeed;
    log(out, alone ? LogLevel::Info : LogLevel::Warning, "cluster.join.self", {},
        {{"self", self.to_string()}, {"seeds", std::to_string(joining.seeds.size())}});
    count(out, "cluster.join.self");
    admit({own_join()}, now, out);
}

void ClusterCore::Impl::on_new_incarnation(const UniqueAddress& fresh, const Now& now, Effects& out) {
    core.begin_incarnation(fresh);
    tombstones.on_new_incarnation();
    joining.has_sent_join = false;
    joining.unproven.clear();
    links.clear();
    heartbeats = HeartbeatMonitor(self, settings);
    self_join(now, out);
}

void ClusterCore::Impl::app_version(AppVersion version, const Now& now, Effects& out) {
    if (!std::exchange(joining.version_pending, false)) return;
    core.set_app_version(std::move(version));
    if (!joining.waiting_seeds.empty()) {
        join_seed_nodes(std::exchange(joining.waiting_seeds, {}), now, out);
    } else if (const auto target = std::exchange(joining.waiting_target, std::nullopt)) {
        join(*target, now, out);
    }
}

void ClusterCore::Impl::join_seed_nodes(std::vector<Address> seeds, const Now& now, Effects& out) {
    if (core.phase() == CorePhase::AwaitingIncarnation) return;
    if (is_initialized()) {
        log(out, LogLevel::Info, "cluster.join.already_joined");
        return;
    }
    joining.given_up = false;
    joining.overall_deadline.reset();
    if (settings.shutdown_after_unsuccessful_join_seed_nodes)
        joining.overall_deadline = now.monotonic + *settings.shutdown_after_unsuccessful_join_seed_nodes;
    if (joining.version_pending) {
        joining.waiting_seeds = std::move(seeds);
        joining.waiting_target.reset();
        log(out, LogLevel::Info, "cluster.join.waits_for_app_version");
        return;
    }
    start_seed_process(std::move(seeds), now, out);
}

void ClusterCore::Impl::start_seed_process(std::vector<Address> seeds, const Now& now, Effects& out) {
    if (seeds.empty()) return;
    core.enter(CorePhase::Uninitialized);
    joining.process.reset();
    joining.seeds = std::move(seeds);
    const SeedChoice choice = choose_seed_process(self.address(), joining.seeds);
    if (choice == SeedChoice::JoinSelf) {
        join(self.address(), now, out);
        return;
    }
    SeedProcess::Options options;
    options.seed_node_timeout = settings.seed_node_timeout;
    if (!settings.seed_refused_is_nack) options.refusals_apart.reset();
    options.ask_again_after = settings.seed_ask_again_after;
    joining.process.emplace(choice, self.address(), joining.seeds, options);
    carry_out(joining.process->start(now.monotonic), now, out);
}

void ClusterCore::Impl::carry_out(const SeedProcess::Step& step, const Now& now, Effects& out) {
    if (step.retried) {
        count(out, "cluster.join.seeds_silent");
        log(out, LogLevel::Warning, "cluster.join.seeds_silent", {},
            {{"attempt", text(joining.process->attempts())}, {"seeds", text(joining.seeds.size())}});
    }
    for (const Address& seed : step.init_join_to)
        out.emplace_back(
            effect::Send{Destination(seed), InitJoin{self.address(), config.required_digests()}});
    if (!step.join) return;
    if (*step.join == self.address())
        log(out, LogLevel::Warning, "cluster.join.founding_cluster", {},
            {{"reason", "no seed answered as a member"}, {"seeds", text(joining.seeds.size())}});
    join(Address(*step.join), now, out);
}

void ClusterCore::Impl::tick_join(const Now& now, Effects& out) {
    if (is_initialized() || joining.given_up) return;
    if (joining.overall_deadline && now.monotonic >= *joining.overall_deadline) {
        log(out, LogLevel::Error, "cluster.join.unsuccessful", {},
            {{"reason", "no seed let this node in before shutdown-after-unsuccessful-join-seed-nodes"}});
        give_up_joining(ShutdownReason::JoinUnsuccessful, out);
        return;
    }
    if (core.phase() == CorePhase::TryingToJoin && joining.retry_at && now.monotonic > *joining.retry_at) {
        retry_join(now, out);
    } else if (core.phase() == CorePhase::TryingToJoin && joining.ask_again_at &&
               now.monotonic >= *joining.ask_again_at) {
        joining.ask_again_at.reset();
        out.emplace_back(effect::Send{Destination(joining.target), own_join()});
    } else if (joining.process) {
        carry_out(joining.process->tick(now.monotonic), now, out);
    }
}

void ClusterCore::Impl::retry_join(const Now& now, Effects& out) {
    count(out, "cluster.join.retried");
    log(out, LogLevel::Warning, "cluster.join.no_welcome", joining.target.to_string(),
        {{"next", joining.seeds.empty() ? "asking the same node again" : "asking the seeds again"}});
    if (joining.seeds.empty()) {
        join(Address(joining.target), now, out);
    } else {
        start_seed_process(std::vector<Address>(joining.seeds), now, out);
    }
}

void ClusterCore::Impl::give_up_joining(ShutdownReason reason, Effects& out) {
    core.enter(CorePhase::Uninitialized);
    joining.process.reset();
    joining.given_up = true;
    out.emplace_back(effect::Shutdown{reason});
}

void ClusterCore::Impl::on_connect_refused(const Address& peer, const Now& now, Effects& out) {
    if (joining.process) carry_out(joining.process->on_refused(peer, now.monotonic), now, out);
}

void ClusterCore::Impl::on(const InitJoinNack& m, const Now& now, Effects& out) {
    if (joining.process) carry_out(joining.process->on_nack(m.from, now.monotonic), now, out);
}

void ClusterCore::Impl::on(const InitJoinAck& m, const Now& now, Effects& out) {
    if (!joining.process || joining.process->has_ended()) return;
    const ConfigCompat::Outcome own = config.check(m.config);
    const bool incompatible = m.check == ConfigCheck::Incompatible || own.check == ConfigCheck::Incompatible;
    if (incompatible) {
        count(out, "cluster.join.incompatible_configuration");
        log(out, settings.enforce_config_on_join ? LogLevel::Error : LogLevel::Warning,
            "cluster.join.incompatible_configuration", m.from.to_string(),
            {{"refused_by", m.check == ConfigCheck::Incompatible ? "member" : "self"},
             {"keys",
              own.conflicts.empty() ? "not said by the member: see its log" : joined(own.conflicts)}});
        if (settings.enforce_config_on_join) {
            give_up_joining(ShutdownReason::IncompatibleConfiguration, out);
            return;
        }
    } else if (m.check == ConfigCheck::Unchecked && config.has_checkers()) {
        log(out, LogLevel::Warning, "cluster.join.configuration_unchecked", m.from.to_string());
    }
    warn_of_settings(own.warnings, m.from, out);
    carry_out(joining.process->on_ack(m.from, now.monotonic), now, out);
}

void ClusterCore::Impl::warn_of_settings(const std::vector<std::string>& keys, const Address& peer,
                                         Effects& out) const {
    if (keys.empty()) return;
    count(out, "cluster.join.settings_differ");
    log(out, LogLevel::Warning, "cluster.join.settings_differ", peer.to_string(), {{"keys", joined(keys)}});
}

void ClusterCore::Impl::on(const Welcome& m, const Now& now, Effects& out) {
    const bool expected =
        core.phase() == CorePhase::TryingToJoin && m.from.address() == joining.target && m.to == self;
    if (!expected || !m.gossip || !m.gossip->has_member(self)) {
        count(out, "cluster.welcome.ignored");
        return;
    }
    if (!is_possible(m.from, *m.gossip, out)) return;
    core.enter(CorePhase::Initialized);
    joining.process.reset();
    install(m.gossip->seen(self), Origin::Elsewhere);
    disown_words_before_joining(m.from, out);
    log(out, LogLevel::Info, "cluster.join.welcomed", m.from.to_string(),
        {{"members", text(gossip().members().size())}});
    count(out, "cluster.join.welcomed");
    publish(now, out);
    // The SeenAck of finish() takes its place where eager gossip is on (protocol.md §6.6).
    if (!settings.eager.eager_gossip) sender.send_gossip(m.from, out);
    react_to_own_status(MemberStatus::Removed, out);
}

void ClusterCore::Impl::on(const JoinDeferred& m, const Now& now, Effects& out) {
    if (core.phase() != CorePhase::TryingToJoin || m.from.address() != joining.target || m.to != self) return;
    // Advice only: without it the retry timer asks again, some seconds later.
    if (settings.seed_ask_again_after) joining.ask_again_at = now.monotonic + *settings.seed_ask_again_after;
    count(out, "cluster.join.deferred");
    log(out, LogLevel::Warning, "cluster.join.deferred", m.from.to_string(), {{"reason", m.reason}});
}

void ClusterCore::Impl::on(const JoinRefused& m, const Now&, Effects& out) {
    if (core.phase() != CorePhase::TryingToJoin || m.from.address() != joining.target || m.to != self) return;
    count(out, "cluster.join.refused");
    log(out, LogLevel::Error, "cluster.join.refused", m.from.to_string(), {{"reason", m.reason}});
    give_up_joining(ShutdownReason::JoinUnsuccessful, out);
}

void ClusterCore::Impl::on(const NotMember& m, const Now&, Effects& out) {
    if (!is_initialized() || m.to != self || !is_member(m.from)) return;
    // Who is on the way out needs no membership elsewhere: it would only have to be removed there once more.
    const MemberStatus status = self_status();
    if (status == MemberStatus::Exiting || status == MemberStatus::Down) return;
    count(out, "cluster.join.repeated_not_member");
    log(out, LogLevel::Info, "cluster.join.repeated", m.from.to_string(),
        {{"reason", "a member does not know this node: whoever welcomed it told nobody"}});
    out.emplace_back(effect::Send{Destination(m.from), own_join()});
}

// --- the side of the members

void ClusterCore::Impl::on(const InitJoin& m, const Now&, Effects& out) {
    if (m.from == self.address()) return;
    const MemberStatus status = self_status();
    if (!is_initialized() || status == MemberStatus::Exiting || status == MemberStatus::Down) {
        out.emplace_back(effect::Send{Destination(m.from), InitJoinNack{self.address()}});
        return;
    }
    const ConfigCompat::Outcome outcome = config.check(m.config);
    InitJoinAck ack{self.address(), outcome.check, {}};
    // Who is refused compares as well: its own log names the keys.
    if (outcome.check != ConfigCheck::Unchecked) ack.config = config.own_digests_for(m.config);
    if (outcome.check == ConfigCheck::Incompatible) {
        count(out, "cluster.join.incompatible_joiner");
        log(out, LogLevel::Warning, "cluster.join.incompatible_joiner", m.from.to_string(),
            {{"keys", joined(outcome.conflicts)}});
    } else {
        warn_of_settings(outcome.warnings, m.from, out);
    }
    out.emplace_back(effect::Send{Destination(m.from), std::move(ack)});
}

bool ClusterCore::Impl::is_join_acceptable(const Join& m, Effects& out) const {
    const auto refuse = [&](LogLevel level, std::string_view id, std::string reason) {
        count(out, id);
        log(out, level, "cluster.join.ignored", m.node.to_string(), {{"reason", std::move(reason)}});
        return false;
    };
    const Address& joiner = m.node.address();
    if (core.is_preparing_for_shutdown())
        return refuse(LogLevel::Info, "cluster.join.ignored.preparing", "the cluster prepares for shutdown");
    if (joiner.protocol != self.address().protocol || joiner.system != self.address().system)
        return refuse(LogLevel::Warning, "cluster.join.ignored.other_cluster",
                      "it is of cluster " + joiner.system + ", this is " + self.address().system);
    const MemberStatus status = self_status();
    if (status == MemberStatus::Exiting || status == MemberStatus::Down)
        return refuse(LogLevel::Info, "cluster.join.ignored.own_status",
                      "this node is " + std::string(to_string(status)));
    if (joining.version_pending)
        return refuse(LogLevel::Info, "cluster.join.ignored.app_version",
                      "this node's app version is not known yet");
    if (joiner.is_local() || (joiner == self.address() && m.node != self))
        return refuse(LogLevel::Warning, "cluster.join.ignored.address",
                      "nobody but this node lives at its address");
    const auto named =
        std::ranges::count_if(m.roles, [](const std::string& r) { return r.starts_with(DC_ROLE_PREFIX); });
    if (named > 1)
        return refuse(LogLevel::Warning, "cluster.join.ignored.roles", "a member has one data center");
    if (!is_within_limits(m, out)) return false;
    if (links.is_over(m.node))
        return refuse(LogLevel::Debug, "cluster.join.ignored.link_over",
                      "its connection has ended or was replaced");
    return true;
}

bool ClusterCore::Impl::answer_known_joiner(const Join& m, const Now& now, Effects& out) {
    if (gossip().is_tombstoned(m.node)) {
        count(out, "cluster.join.refused_removed");
        log(out, LogLevel::Info, "cluster.join.refused_removed", m.node.to_string());
        out.emplace_back(effect::Send{Destination(m.node), JoinRefused{self, m.node, "removed"}});
        return true;
    }
    const std::vector<Member> incarnations = gossip().find_all(m.node.address());
    if (incarnations.empty()) return false;
    if (is_member(m.node)) {
        if (m.node != self) sender.send_welcome(m.node, out);
        return true;
    }
    if (!is_proven(m.node)) return false; // a claim changes nothing: on() holds it
    replace_incarnations(incarnations, m.node, now, out);
    return true;
}

void ClusterCore::Impl::replace_incarnations(const std::vector<Member>& old, const UniqueAddress& fresh,
                                             const Now& now, Effects& out) {
    Reachability reachability = gossip().reachability();
    std::vector<UniqueAddress> to_down;
    for (const Member& m : old) {
        if (m.status() == MemberStatus::Down) continue;
        // The address answers with another uid: nobody can be surer that the old process is gone.
        reachability = reachability.terminated(self, m.unique_address());
        to_down.push_back(m.unique_address());
    }
    if (!to_down.empty()) {
        log(out, LogLevel::Info, "cluster.join.replaces_incarnation", fresh.to_string());
        count(out, "cluster.join.replaced_incarnation");
        change(gossip().with_reachability(std::move(reachability)).mark_down(to_down), now, out);
    }
    out.emplace_back(effect::Send{Destination(fresh),
                                  JoinDeferred{self, fresh, "the previous incarnation is being removed"}});
}

void ClusterCore::Impl::on(const Join& m, const Now& now, Effects& out) {
    if (!is_initialized()) return;
    if (!is_join_acceptable(m, out) || answer_known_joiner(m, now, out)) return;
    if (!is_proven(m.node)) {
        hold_until_proven(m, now, out);
        return;
    }
    if (!settings.eager.eager_gossip) {
        admit_those_with_room({m}, now, out);
        return;
    }
    batch_join(m, now, out);
}

bool ClusterCore::Impl::is_proven(const UniqueAddress& node) const {
    if (!joining.proofs_expected || node == self || MUSTER_MUTANT(join_unproven)) return true;
    return links.is_proven(node);
}

void ClusterCore::Impl::hold_until_proven(const Join& m, const Now& now, Effects& out) {
    if (!joining.unproven.hold(m, now.monotonic)) {
        count(out, "cluster.join.ignored.too_many_unproven");
        log(out, LogLevel::Warning, "cluster.join.ignored", m.node.to_string(),
            {{"reason", "too many others wait for an answer at their address"}});
        return;
    }
    count(out, "cluster.join.unproven");
    out.emplace_back(effect::Prove{m.node});
}

void ClusterCore::Impl::on_answered(const UniqueAddress& node, const Now& now, Effects& out) {
    const UnprovenJoins::Answer answer = joining.unproven.answered(node);
    if (answer.refuted) {
        count(out, "cluster.join.ignored.address_taken");
        log(out, LogLevel::Warning, "cluster.join.ignored", answer.refuted->to_string(),
            {{"reason", "another process answers at its address"}, {"owner", node.to_string()}});
    }
    if (answer.proven) on(*answer.proven, now, out);
}

void ClusterCore::Impl::expire_unproven(const Now& now, Effects& out) {
    for (const UniqueAddress& node : joining.unproven.expire(now.monotonic)) {
        count(out, "cluster.join.ignored.unproven");
        log(out, LogLevel::Warning, "cluster.join.ignored", node.to_string(),
            {{"reason", "it did not answer at the address that it advertises"}});
    }
}

void ClusterCore::Impl::admit(const std::vector<Join>& joins, const Now& now, Effects& out) {
    const bool founding = gossip().members().empty() && joins.front().node == self;
    std::vector<Member> added;
    for (const Join& m : joins) {
        heartbeats.forget(m.node.address());
        quarantine.on_joining(m.node.address(), out);
        added.emplace_back(m.node, MemberStatus::Joining, m.roles, Member::never_up, m.app_version);
        // Of a thousand members most are of one kind, that of whoever came before.
        const Member* like = added.size() > 1 ? &added[added.size() - 2] : gossip().find(self);
        if (like != nullptr) added.back() = added.back().sharing_identity_of(*like);
        count(out, "cluster.join.admitted");
        log(out, LogLevel::Info, "cluster.join.admitted", m.node.to_string());
    }
    if (!is_member(self) &&
        std::ranges::none_of(added, [&](const Member& m) { return m.unique_address() == self; })) {
        const Join own = own_join();
        added.emplace_back(self, MemberStatus::Joining, own.roles, Member::never_up, own.app_version);
    }
    local_change(gossip().update(added));
    if (founding) {
        // The founder numbers itself at once, so that it is the oldest whoever comes next.
        if (state->is_leader(self) && state->convergence(excused())) actions_on_convergence(now, out);
    } else {
        for (const Join& m : joins) {
            if (m.node == self) continue;
            if (settings.eager.eager_gossip) {
                joining.welcomes.push_back(
                    m.node); // finish() sends it with what the leader made of the join at once
            } else {
                sender.send_welcome(m.node, out);
            }
        }
    }
    publish(now, out);
}

void ClusterCore::Impl::answer_not_member(const UniqueAddress& stranger, const Now& now, Effects& out) {
    const MemberStatus status = self_status();
    if (gossip().is_tombstoned(stranger) || status == MemberStatus::Exiting || status == MemberStatus::Down)
        return;
    auto& told = joining.not_member_told;
    if (const auto last = told.find(stranger);
        last != told.end() && now.monotonic - last->second < not_member_interval)
        return;
    if (told.size() >= not_member_peers_max)
        std::erase_if(told, [&](const auto& e) { return now.monotonic - e.second >= not_member_interval; });
    if (told.size() >= not_member_peers_max) return; // that many strangers in one second: they hear it later
    told.insert_or_assign(stranger, now.monotonic);
    count(out, "cluster.gossip.not_member");
    out.emplace_back(effect::Send{Destination(stranger), NotMember{self, stranger}});
}

} // namespace muster
