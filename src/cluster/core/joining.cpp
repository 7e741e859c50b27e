// SPDX-License-Identifier: Apache-2.0
#include "joining.hpp"

#include "base/sorted_vector.hpp"
#include "emit.hpp"
#include <boost/algorithm/string/join.hpp>
#include <muster/cluster/state/member.hpp>
#include <muster/ensure.hpp>
#include <string>
#include <utility>

namespace muster {
void warn_of_settings(const std::vector<std::string>& keys, const Address& peer, Effects& out) {
    if (keys.empty()) return;
    count(out, "cluster.join.settings_differ");
    log(out, LogLevel::Warning, "cluster.join.settings_differ", peer.to_string(),
        {{"keys", boost::algorithm::join(keys, ",")}});
}

Join own_join(const CoreState& core) {
    std::vector<std::string> roles = core.settings().roles;
    roles.push_back(dc_role(core.settings().multi_dc.self_data_center));
    return {core.self(), sorted_unique(std::move(roles)), core.settings().app_version};
}

bool Joining::join(const Address& to, const Now& now, Effects& out) {
    if (core_.phase() == CorePhase::AwaitingIncarnation)
        return false; // the self-join goes on with the fresh uid
    if (core_.is_initialized()) {
        log(out, LogLevel::Info, "cluster.join.already_joined", to.to_string());
        return false;
    }
    if (to.protocol != core_.self().address().protocol || to.system != core_.self().address().system) {
        count(out, "cluster.join.ignored.other_cluster");
        log(out, LogLevel::Warning, "cluster.join.other_cluster", to.to_string(),
            {{"own_cluster", core_.self().address().system}, {"their_cluster", to.system}});
        return false;
    }
    process_.reset();
    given_up_ = false;
    if (version_pending_) {
        waiting_target_ = to;
        waiting_seeds_.clear();
        log(out, LogLevel::Info, "cluster.join.waits_for_app_version", to.to_string());
        return false;
    }
    core_.enter(CorePhase::Uninitialized);
    if (to == core_.self().address()) return self_join(out);
    core_.enter(CorePhase::TryingToJoin);
    target_ = to;
    has_sent_join_ = true;
    retry_at_.reset();
    ask_again_at_.reset();
    if (core_.settings().retry_unsuccessful_join_after)
        retry_at_ = now.monotonic + *core_.settings().retry_unsuccessful_join_after;
    log(out, LogLevel::Info, "cluster.join.asking", to.to_string());
    send(out, to, own_join(core_));
    return false;
}

bool Joining::self_join(Effects& out) {
    if (has_sent_join_) {
        // A cluster may have admitted this uid: founding another cluster with it would let one uid live in
        // two.
        core_.enter(CorePhase::AwaitingIncarnation);
        log(out, LogLevel::Info, "cluster.join.new_incarnation");
        out.emplace_back(effect::NewIncarnation{});
        return false;
    }
    core_.enter(CorePhase::Initialized);
    // Where other seeds are listed, this is the moment at which one cluster can become two (§5.3).
    const bool alone = choose_seed_process(core_.self().address(), seeds_) != SeedChoice::FirstSeed;
    log(out, alone ? LogLevel::Info : LogLevel::Warning, "cluster.join.self", {},
        {{"self", core_.self().to_string()}, {"seeds", std::to_string(seeds_.size())}});
    count(out, "cluster.join.self");
    return true;
}

bool Joining::on_new_incarnation(Effects& out) {
    has_sent_join_ = false;
    return self_join(out);
}

bool Joining::app_version(AppVersion version, const Now& now, Effects& out) {
    if (!std::exchange(version_pending_, false)) return false;
    core_.set_app_version(std::move(version));
    if (!waiting_seeds_.empty()) return join_seed_nodes(std::exchange(waiting_seeds_, {}), now, out);
    const auto target = std::exchange(waiting_target_, std::nullopt);
    return target && join(*target, now, out);
}

bool Joining::join_seed_nodes(std::vector<Address> seeds, const Now& now, Effects& out) {
    if (core_.phase() == CorePhase::AwaitingIncarnation) return false;
    if (core_.is_initialized()) {
        log(out, LogLevel::Info, "cluster.join.already_joined");
        return false;
    }
    given_up_ = false;
    overall_deadline_.reset();
    if (core_.settings().shutdown_after_unsuccessful_join_seed_nodes)
        overall_deadline_ = now.monotonic + *core_.settings().shutdown_after_unsuccessful_join_seed_nodes;
    if (version_pending_) {
        waiting_seeds_ = std::move(seeds);
        waiting_target_.reset();
        log(out, LogLevel::Info, "cluster.join.waits_for_app_version");
        return false;
    }
    return start_seed_process(std::move(seeds), now, out);
}

bool Joining::start_seed_process(std::vector<Address> seeds, const Now& now, Effects& out) {
    if (seeds.empty()) return false;
    core_.enter(CorePhase::Uninitialized);
    process_.reset();
    seeds_ = std::move(seeds);
    const SeedChoice choice = choose_seed_process(core_.self().address(), seeds_);
    if (choice == SeedChoice::JoinSelf) return join(core_.self().address(), now, out);
    SeedProcess::Options options;
    options.seed_node_timeout = core_.settings().seed_node_timeout;
    if (!core_.settings().seed_refused_is_nack) options.refusals_apart.reset();
    options.ask_again_after = core_.settings().seed_ask_again_after;
    process_.emplace(choice, core_.self().address(), seeds_, options);
    return carry_out(process_->start(now.monotonic), now, out);
}

bool Joining::carry_out(const SeedProcess::Step& step, const Now& now, Effects& out) {
    if (step.retried) {
        count(out, "cluster.join.seeds_silent");
        log(out, LogLevel::Warning, "cluster.join.seeds_silent", {},
            {{"attempt", std::to_string(process_->attempts())}, {"seeds", std::to_string(seeds_.size())}});
    }
    for (const Address& seed : step.init_join_to)
        send(out, seed, InitJoin{core_.self().address(), config_.required_digests()});
    if (!step.join) return false;
    if (*step.join == core_.self().address())
        log(out, LogLevel::Warning, "cluster.join.founding_cluster", {},
            {{"reason", "no seed answered as a member"}, {"seeds", std::to_string(seeds_.size())}});
    return join(Address(*step.join), now, out);
}

bool Joining::tick(const Now& now, Effects& out) {
    if (core_.is_initialized() || given_up_) return false;
    if (overall_deadline_ && now.monotonic >= *overall_deadline_) {
        log(out, LogLevel::Error, "cluster.join.unsuccessful", {},
            {{"reason", "no seed let this node in before shutdown-after-unsuccessful-join-seed-nodes"}});
        give_up(ShutdownReason::JoinUnsuccessful, out);
        return false;
    }
    if (core_.phase() == CorePhase::TryingToJoin && retry_at_ && now.monotonic > *retry_at_) {
        return retry(now, out);
    }
    if (core_.phase() == CorePhase::TryingToJoin && ask_again_at_ && now.monotonic >= *ask_again_at_) {
        ask_again_at_.reset();
        send(out, target_, own_join(core_));
        return false;
    }
    return process_ && carry_out(process_->tick(now.monotonic), now, out);
}

bool Joining::retry(const Now& now, Effects& out) {
    count(out, "cluster.join.retried");
    log(out, LogLevel::Warning, "cluster.join.no_welcome", target_.to_string(),
        {{"next", seeds_.empty() ? "asking the same node again" : "asking the seeds again"}});
    if (seeds_.empty()) return join(Address(target_), now, out);
    return start_seed_process(std::vector<Address>(seeds_), now, out);
}

void Joining::give_up(ShutdownReason reason, Effects& out) {
    core_.enter(CorePhase::Uninitialized);
    process_.reset();
    given_up_ = true;
    out.emplace_back(effect::Shutdown{reason});
}

// --- what comes

bool Joining::on_connect_refused(const Address& peer, const Now& now, Effects& out) {
    return process_ && carry_out(process_->on_refused(peer, now.monotonic), now, out);
}

void Joining::on_connected(const Address& peer) {
    if (process_) process_->on_connected(peer);
}

bool Joining::on_nack(const InitJoinNack& m, const Now& now, Effects& out) {
    return process_ && carry_out(process_->on_nack(m.from, now.monotonic), now, out);
}

bool Joining::on_ack(const InitJoinAck& m, const Now& now, Effects& out) {
    if (!process_ || process_->has_ended()) return false;
    const ConfigCompat::Outcome own = config_.check(m.config);
    const bool incompatible = m.check == ConfigCheck::Incompatible || own.check == ConfigCheck::Incompatible;
    if (incompatible) {
        count(out, "cluster.join.incompatible_configuration");
        log(out, core_.settings().enforce_config_on_join ? LogLevel::Error : LogLevel::Warning,
            "cluster.join.incompatible_configuration", m.from.to_string(),
            {{"refused_by", m.check == ConfigCheck::Incompatible ? "member" : "self"},
             {"keys", own.conflicts.empty() ? "not said by the member: see its log"
                                            : boost::algorithm::join(own.conflicts, ",")}});
        if (core_.settings().enforce_config_on_join) {
            give_up(ShutdownReason::IncompatibleConfiguration, out);
            return false;
        }
    } else if (m.check == ConfigCheck::Unchecked && config_.has_checkers()) {
        log(out, LogLevel::Warning, "cluster.join.configuration_unchecked", m.from.to_string());
    }
    warn_of_settings(own.warnings, m.from, out);
    return carry_out(process_->on_ack(m.from, now.monotonic), now, out);
}

bool Joining::is_from_target(const UniqueAddress& from, const UniqueAddress& to) const noexcept {
    return core_.phase() == CorePhase::TryingToJoin && from.address() == target_ && to == core_.self();
}

bool Joining::is_expected(const Welcome& m) const noexcept {
    return is_from_target(m.from, m.to) && m.gossip && m.gossip->has_member(core_.self());
}

void Joining::welcomed() noexcept {
    core_.enter(CorePhase::Initialized);
    process_.reset();
}

void Joining::on_deferred(const JoinDeferred& m, const Now& now, Effects& out) {
    if (!is_from_target(m.from, m.to)) return;
    // Advice only: without it the retry timer asks again, some seconds later.
    if (core_.settings().seed_ask_again_after)
        ask_again_at_ = now.monotonic + *core_.settings().seed_ask_again_after;
    count(out, "cluster.join.deferred");
    log(out, LogLevel::Warning, "cluster.join.deferred", m.from.to_string(), {{"reason", m.reason}});
}

void Joining::on_refused(const JoinRefused& m, Effects& out) {
    if (!is_from_target(m.from, m.to)) return;
    count(out, "cluster.join.refused");
    log(out, LogLevel::Error, "cluster.join.refused", m.from.to_string(), {{"reason", m.reason}});
    give_up(ShutdownReason::JoinUnsuccessful, out);
}

void Joining::check() const {
    MUSTER_ENSURE(core_.phase() != CorePhase::TryingToJoin || has_sent_join_,
                  "whoever may be known by its Join founds no cluster with this uid");
    MUSTER_ENSURE(core_.phase() != CorePhase::AwaitingIncarnation || has_sent_join_,
                  "only who sent a Join needs another incarnation");
    MUSTER_ENSURE(!core_.is_initialized() || !process_ || process_->has_ended(), "who is in asks no seeds");
    MUSTER_ENSURE(!given_up_ || !process_, "who has given up asks nobody");
    MUSTER_ENSURE(version_pending_ || (!waiting_target_ && waiting_seeds_.empty()),
                  "a join waits for nothing but the version");
}

} // namespace muster
