// SPDX-License-Identifier: Apache-2.0
#include "admission.hpp"

#include "base/mutants.hpp"
#include "emit.hpp"
#include "joining.hpp"
#include <algorithm>
#include <boost/algorithm/string/join.hpp>
#include <muster/cluster/state/gossip_limits.hpp>
#include <muster/ensure.hpp>
#include <string>
#include <utility>

namespace muster {
namespace {

constexpr std::size_t waiting_joins_max = 4096;
/// Where no transport says what its frames hold: a quarter of 16 MiB.
constexpr std::size_t gossip_bytes_max_default = 4 * 1024 * 1024;
constexpr Duration not_member_interval = std::chrono::seconds{1};
constexpr std::size_t not_member_peers_max = 1024;

} // namespace

void Admission::on_init_join(const InitJoin& m, Effects& out) const {
    if (m.from == core_.self().address()) return;
    const MemberStatus status = core_.self_status();
    if (!core_.is_initialized() || status == MemberStatus::Exiting || status == MemberStatus::Down) {
        send(out, m.from, InitJoinNack{core_.self().address()});
        return;
    }
    const ConfigCompat::Outcome outcome = config_.check(m.config);
    InitJoinAck ack{core_.self().address(), outcome.check, {}};
    // A refused joiner compares as well: its own log names the keys.
    if (outcome.check != ConfigCheck::Unchecked) ack.config = config_.own_digests_for(m.config);
    if (outcome.check == ConfigCheck::Incompatible) {
        count(out, "cluster.join.incompatible_joiner");
        log(out, LogLevel::Warning, "cluster.join.incompatible_joiner", m.from.to_string(),
            {{"keys", boost::algorithm::join(outcome.conflicts, ",")}});
    } else {
        warn_of_settings(outcome.warnings, m.from, out);
    }
    send(out, m.from, std::move(ack));
}

// --- judging a Join

Admission::Verdict Admission::judge(const Join& m, bool is_version_known, const Now& now, Effects& out) {
    if (!is_acceptable(m, is_version_known, out)) return Verdict::Answered;
    if (const Verdict known = answer_known(m, out); known != Verdict::Admit) return known;
    if (is_proven(m.node)) return Verdict::Admit;
    hold_until_proven(m, now, out);
    return Verdict::Answered;
}

bool Admission::is_acceptable(const Join& m, bool is_version_known, Effects& out) const {
    const auto refuse = [&](LogLevel level, std::string_view id, std::string reason) {
        count(out, id);
        log(out, level, "cluster.join.ignored", m.node.to_string(), {{"reason", std::move(reason)}});
        return false;
    };
    const Address& joiner = m.node.address();
    if (core_.is_preparing_for_shutdown())
        return refuse(LogLevel::Info, "cluster.join.ignored.preparing", "the cluster prepares for shutdown");
    if (joiner.protocol != core_.self().address().protocol || joiner.system != core_.self().address().system)
        return refuse(LogLevel::Warning, "cluster.join.ignored.other_cluster",
                      "it is of cluster " + joiner.system + ", this is " + core_.self().address().system);
    const MemberStatus status = core_.self_status();
    if (status == MemberStatus::Exiting || status == MemberStatus::Down)
        return refuse(LogLevel::Info, "cluster.join.ignored.own_status",
                      "this node is " + std::string(to_string(status)));
    if (!is_version_known)
        return refuse(LogLevel::Info, "cluster.join.ignored.app_version",
                      "this node's app version is not known yet");
    if (joiner.is_local() || (joiner == core_.self().address() && m.node != core_.self()))
        return refuse(LogLevel::Warning, "cluster.join.ignored.address",
                      "nobody but this node lives at its address");
    const auto named =
        std::ranges::count_if(m.roles, [](const std::string& r) { return r.starts_with(DC_ROLE_PREFIX); });
    if (named > 1)
        return refuse(LogLevel::Warning, "cluster.join.ignored.roles", "a member has one data center");
    if (!is_within_limits(m, out)) return false;
    if (links_.is_over(m.node))
        return refuse(LogLevel::Debug, "cluster.join.ignored.link_over",
                      "its connection has ended or was replaced");
    return true;
}

bool Admission::is_within_limits(const Join& m, Effects& out) const {
    const auto fits = check_member_limits(m.roles, m.app_version);
    if (fits) return true;
    count(out, "cluster.join.ignored.limits");
    log(out, LogLevel::Warning, "cluster.join.ignored", m.node.to_string(),
        {{"reason", fits.error().message()}});
    // A claimed name must not end its owner: only who is proven is told, and stops.
    if (is_proven(m.node) && m.node != core_.self())
        send(out, m.node, JoinRefused{core_.self(), m.node, fits.error().message()});
    return false;
}

Admission::Verdict Admission::answer_known(const Join& m, Effects& out) {
    if (core_.gossip().is_tombstoned(m.node)) {
        count(out, "cluster.join.refused_removed");
        log(out, LogLevel::Info, "cluster.join.refused_removed", m.node.to_string());
        send(out, m.node, JoinRefused{core_.self(), m.node, "removed"});
        return Verdict::Answered;
    }
    if (core_.gossip().find_all(m.node.address()).empty()) return Verdict::Admit;
    if (core_.is_member(m.node)) {
        if (m.node != core_.self()) sender_.send_welcome(m.node, out);
        return Verdict::Answered;
    }
    if (!is_proven(m.node)) return Verdict::Admit; // a claim changes nothing: judge() holds it
    return Verdict::Replaces;
}

std::optional<Gossip> Admission::replacement(const UniqueAddress& fresh, Effects& out) const {
    Reachability reachability = core_.gossip().reachability();
    std::vector<UniqueAddress> to_down;
    for (const Member& m : core_.gossip().find_all(fresh.address())) {
        if (m.status() == MemberStatus::Down) continue;
        // The address answers with another uid: nobody can be surer that the old process is gone.
        reachability = reachability.terminated(core_.self(), m.unique_address());
        to_down.push_back(m.unique_address());
    }
    if (to_down.empty()) return std::nullopt;
    log(out, LogLevel::Info, "cluster.join.replaces_incarnation", fresh.to_string());
    count(out, "cluster.join.replaced_incarnation");
    return core_.gossip().with_reachability(std::move(reachability)).mark_down(to_down);
}

void Admission::defer_replacing(const UniqueAddress& fresh, Effects& out) const {
    send(out, fresh, JoinDeferred{core_.self(), fresh, "the previous incarnation is being removed"});
}

// --- proofs of addresses

bool Admission::is_proven(const UniqueAddress& node) const {
    if (!proofs_expected_ || node == core_.self() || MUSTER_MUTANT(join_unproven)) return true;
    return links_.is_proven(node);
}

void Admission::hold_until_proven(const Join& m, const Now& now, Effects& out) {
    if (!unproven_.hold(m, now.monotonic)) {
        count(out, "cluster.join.ignored.too_many_unproven");
        log(out, LogLevel::Warning, "cluster.join.ignored", m.node.to_string(),
            {{"reason", "too many others wait for an answer at their address"}});
        return;
    }
    count(out, "cluster.join.unproven");
    out.emplace_back(effect::Prove{m.node});
}

std::optional<Join> Admission::on_answered(const UniqueAddress& node, Effects& out) {
    UnprovenJoins::Answer answer = unproven_.answered(node);
    if (answer.refuted) {
        count(out, "cluster.join.ignored.address_taken");
        log(out, LogLevel::Warning, "cluster.join.ignored", answer.refuted->to_string(),
            {{"reason", "another process answers at its address"}, {"owner", node.to_string()}});
    }
    return std::move(answer.proven);
}

void Admission::expire_unproven(const Now& now, Effects& out) {
    for (const UniqueAddress& node : unproven_.expire(now.monotonic)) {
        count(out, "cluster.join.ignored.unproven");
        log(out, LogLevel::Warning, "cluster.join.ignored", node.to_string(),
            {{"reason", "it did not answer at the address that it advertises"}});
    }
}

// --- room, and joins within join-batch as one change

std::vector<Join> Admission::those_with_room(std::vector<Join> joins, Effects& out) {
    const std::size_t bytes_max = core_.settings().gossip_bytes_max.value_or(gossip_bytes_max_default);
    std::size_t bytes = gossip_size_.of(core_.membership()->gossip);
    std::size_t members = core_.gossip().members().size();
    const std::size_t removed = core_.gossip().tombstones().size();
    std::vector<Join> fitting;
    fitting.reserve(joins.size());
    for (Join& m : joins) {
        const std::size_t added = GossipSize::of_joiner(m);
        const bool has_room = bytes + added <= bytes_max && members < admitted_members_max &&
                              members + removed < admitted_incarnations_max;
        if (has_room || m.node == core_.self()) {
            bytes += added;
            ++members;
            fitting.push_back(std::move(m));
            continue;
        }
        count(out, "cluster.join.no_room");
        log(out, LogLevel::Warning, "cluster.join.no_room", m.node.to_string(),
            {{"gossip_bytes", std::to_string(bytes)},
             {"gossip_bytes_max", std::to_string(bytes_max)},
             {"members", std::to_string(members)},
             {"tombstones", std::to_string(removed)}});
        send(out, m.node,
             JoinDeferred{core_.self(), m.node,
                          "the gossip has no room for another member (gossip-bytes-max)"});
    }
    return fitting;
}

bool Admission::is_due(const Join& m, const Now& now, Effects& out) {
    const Instant next = last_batch_ ? *last_batch_ + core_.settings().eager.join_batch : now.monotonic;
    if (waiting_joins_.empty() && now.monotonic >= next) {
        last_batch_ = now.monotonic;
        return true;
    }
    if (waiting_nodes_.contains(m.node)) return false;
    if (waiting_joins_.size() >= waiting_joins_max) {
        // It asks again soon; its retry alone would take ten seconds.
        count(out, "cluster.join.put_off");
        send(out, m.node, JoinDeferred{core_.self(), m.node, "thousands of others are joining"});
        return false;
    }
    waiting_nodes_.insert(m.node);
    if (waiting_joins_.empty()) set_timer(out, CoreTimer::JoinBatch, 0, next - now.monotonic);
    waiting_joins_.push_back(m);
    return false;
}

std::vector<Join> Admission::take_batch(const Now& now) {
    waiting_nodes_.clear();
    last_batch_ = now.monotonic;
    return std::exchange(waiting_joins_, {});
}

std::vector<Member> Admission::members_of(const std::vector<Join>& joins) const {
    std::vector<Member> added;
    added.reserve(joins.size() + 1);
    bool is_self_there = core_.is_member(core_.self());
    for (const Join& m : joins) {
        added.emplace_back(m.node, MemberStatus::Joining, m.roles, Member::never_up, m.app_version);
        // Most members of a large cluster are of the same kind as the one that joined before.
        const Member* like = added.size() > 1 ? &added[added.size() - 2] : core_.gossip().find(core_.self());
        if (like != nullptr) added.back() = added.back().sharing_identity_of(*like);
        is_self_there = is_self_there || m.node == core_.self();
    }
    if (!is_self_there) {
        const Join own = own_join(core_);
        added.emplace_back(core_.self(), MemberStatus::Joining, own.roles, Member::never_up, own.app_version);
    }
    return added;
}

void Admission::answer_not_member(const UniqueAddress& stranger, const Now& now, Effects& out) {
    const MemberStatus status = core_.self_status();
    if (core_.gossip().is_tombstoned(stranger) || status == MemberStatus::Exiting ||
        status == MemberStatus::Down)
        return;
    auto& told = not_member_told_;
    if (const auto last = told.find(stranger);
        last != told.end() && now.monotonic - last->second < not_member_interval)
        return;
    if (told.size() >= not_member_peers_max)
        std::erase_if(told, [&](const auto& e) { return now.monotonic - e.second >= not_member_interval; });
    if (told.size() >= not_member_peers_max) return; // that many strangers in one second: they hear it later
    told.insert_or_assign(stranger, now.monotonic);
    count(out, "cluster.gossip.not_member");
    send(out, stranger, NotMember{core_.self(), stranger});
}

void Admission::check() const {
    MUSTER_ENSURE(waiting_joins_.size() == waiting_nodes_.size(), "a node waits once for the next batch");
    for (const Join& m : waiting_joins_)
        MUSTER_ENSURE(waiting_nodes_.contains(m.node), "who waits is known to wait");
    MUSTER_ENSURE(waiting_joins_.size() <= waiting_joins_max &&
                      not_member_told_.size() <= not_member_peers_max &&
                      unproven_.size() <= UnprovenJoins::waiting_max,
                  "what strangers take has a limit");
    MUSTER_ENSURE(welcomes_.empty() || !core_.is_initialized() || !core_.is_member(core_.self()),
                  "who was admitted is welcomed before the input ends");
    MUSTER_ENSURE(proofs_expected_ || unproven_.size() == 0, "without proofs no Join waits for one");
}

} // namespace muster
