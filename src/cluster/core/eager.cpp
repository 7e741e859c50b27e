// SPDX-License-Identifier: Apache-2.0
// Eager gossip (protocol.md §6.6): a change reaches everybody, and the leader acts on it, within a few round
// trips. Everything here may be lost; the periodic round alone suffices for correctness.
#include "base/mutants.hpp"
#include "core_impl.hpp"
#include <algorithm>
#include <muster/ensure.hpp>

namespace muster {
namespace {

constexpr unsigned repairs_max = 3;
constexpr std::size_t waiting_joins_max = 4096;
/// Acks kept for nodes whose membership has not arrived yet.
constexpr std::size_t unknown_acks_max = 4096;
/// Numbers of the EagerRepair timer.
constexpr std::uint64_t repair_timer = 0;
constexpr std::uint64_t unknown_ack_timer = 1;
constexpr std::uint64_t apply_acks_timer = 2;

} // namespace

// --- what a newly installed version already knows

Gossip ClusterCore::Impl::with_known_seen(Gossip g) const {
    const Hash128 id = g.version_id();
    SeenSet acked(g.members().size());
    for (const auto& [node, version] : eager.acks) {
        if (version != id && !MUSTER_MUTANT(ack_of_any_version)) continue;
        if (const auto i = g.index_of(node)) acked.set(*i);
    }
    if (acked.count() != 0) g = g.merge_seen(acked);
    if (eager.converged && eager.converged->version_id == id &&
        eager.converged->seen.size() == g.members().size())
        g = g.merge_seen(eager.converged->seen);
    return g;
}

void ClusterCore::Impl::forget_eager(const UniqueAddress& node) {
    eager.acks.erase(node);
    eager.unknown_acks.erase(node);
    eager.acked.erase(node);
    eager.talked_back.erase(node);
    eager.owed.erase(node);
}

// --- the end of every input

void ClusterCore::Impl::finish_eager(const Now& now, Effects& out) {
    if (!settings.eager.eager_gossip) return;
    // Most inputs are heartbeats, after which there is nothing to do.
    const bool same_state = eager.looked_at == state && eager.acks_done_for == state;
    if (same_state && !eager.look_again && !eager.ack_again && !eager.forward_due && eager.owed.empty())
        return;
    if (!is_member(self)) return;
    if (std::exchange(eager.look_again, false) || eager.looked_at != state) {
        leader_actions_if_converged(now, out);
        for (const UniqueAddress& node : std::exchange(eager.welcomes, {}))
            if (is_member(node)) send_welcome(node, out);
        follow_version(out);
        eager.looked_at = state;
        settle(out);
    }
    send_acks(out);
    forward_when_allowed(now, out);
}

const std::optional<UniqueAddress>& ClusterCore::Impl::leader() {
    // Only members and rows decide who leads, and they are what a version names.
    const Hash128 id = gossip().version_id();
    if (eager.leader_of_version != id) {
        eager.leader_of_version = id;
        eager.leader = state->leader();
    }
    return eager.leader;
}

void ClusterCore::Impl::leader_actions_if_converged(const Now& now, Effects& out) {
    // Each action takes a member one status further, so this ends; no ticks are counted here.
    while (is_leader() && state->convergence(excused()) && actions_on_convergence(now, out)) {
    }
}

void ClusterCore::Impl::follow_version(Effects& out) {
    const Hash128 id = gossip().version_id();
    if (eager.version == id) return;
    eager.version = id;
    eager.talked_back.clear();
    eager.repairs = 0;
    if (eager.converged && eager.converged->version_id == id) eager.known_converged = id;
    eager.forward_due = core.is_made_here() || is_leader();
    eager.awaited.clear();
    if (is_leader()) {
        const std::vector<UniqueAddress> unseen = state->convergence_unseen(excused());
        eager.awaited.insert(unseen.begin(), unseen.end());
    }
    if (is_repair_needed()) set_timer(out, CoreTimer::EagerRepair, repair_timer, settings.eager.repair_after);
}

// --- acks

std::vector<UniqueAddress> ClusterCore::Impl::ack_targets() {
    std::vector<UniqueAddress> leaders;
    if (const auto& own = leader()) leaders.push_back(*own);
    if (gossip().is_multi_dc()) {
        // A data center in bootstrap waits for the members of all data centers (§8 B).
        const auto nobody_saw = std::make_shared<const Gossip>(gossip().clear_seen());
        std::set<std::string_view> others;
        for (const Member& m : gossip().members())
            if (m.data_center() != settings.multi_dc.self_data_center) others.insert(m.data_center());
        for (const std::string_view dc : others) {
            const MembershipState theirs(self, std::string(dc), nobody_saw, state->cross_dc_connections);
            const std::vector<UniqueAddress> awaited = theirs.convergence_unseen();
            if (!std::ranges::binary_search(awaited, self)) continue;
            if (const auto their_leader = theirs.leader()) leaders.push_back(*their_leader);
        }
    }
    std::erase_if(leaders, [&](const UniqueAddress& n) { return !is_valid_target(n); });
    return leaders;
}

void ClusterCore::Impl::send_acks(Effects& out) {
    const bool again = std::exchange(eager.ack_again, false);
    if (!again && eager.acks_done_for == state) return;
    eager.acks_done_for = state;
    // A version that self has not marked seen (exiting tasks run) is not acknowledged.
    if (!gossip().seen_by(self)) return;
    const Hash128 id = gossip().version_id();
    std::map<UniqueAddress, Hash128> acked;
    for (const UniqueAddress& to : ack_targets()) {
        const auto before = eager.acked.find(to);
        if (again || before == eager.acked.end() || before->second != id)
            out.emplace_back(effect::Send{Destination(to), SeenAck{self, to, id}});
        acked.emplace(to, id);
    }
    eager.acked = std::move(acked);
}

void ClusterCore::Impl::on(const SeenAck& m, const Now& now, Effects& out) {
    if (m.version_id == farewell_answer) {
        if (is_initialized() && may_tell(m.from, m.to) && leaving.farewell != Farewell::None)
            end_farewell("answered", out);
        return;
    }
    const bool is_stranger = is_initialized() && m.to == self && !is_member(m.from);
    if (!is_initialized() || (is_stranger ? gossip().is_tombstoned(m.from) : !may_tell(m.from, m.to))) {
        count(out, "cluster.seen_ack.ignored");
        return;
    }
    count(out, "cluster.seen_ack.received");
    const bool is_current = gossip().version_id() == m.version_id || MUSTER_MUTANT(ack_of_any_version);
    if (is_stranger && !eager.acks.contains(m.from) && eager.unknown_acks.size() >= unknown_acks_max) return;
    eager.acks.insert_or_assign(m.from, m.version_id);
    if (is_current && !is_stranger) {
        take_ack(m.from, now, out);
        return;
    }
    // It may have overtaken the state it names (even the one that makes its sender a member), or name one
    // that was left behind: time will tell.
    if (eager.unknown_acks.empty())
        set_timer(out, CoreTimer::EagerRepair, unknown_ack_timer, settings.eager.repair_after);
    eager.unknown_acks.insert_or_assign(m.from, m.version_id);
}

void ClusterCore::Impl::take_ack(const UniqueAddress& from, const Now& now, Effects& out) {
    if (gossip().seen_by(from)) return;
    eager.awaited.erase(from);
    if (eager.awaited.empty()) {
        apply_acks(now, out);
    } else if (!std::exchange(eager.apply_acks_timer, true)) {
        // A thousand acks are not a thousand states: the last one that counts installs them all, or this
        // timer.
        set_timer(out, CoreTimer::EagerRepair, apply_acks_timer, settings.eager.interval_min);
    }
}

void ClusterCore::Impl::answer_unknown_acks(const Now& now, Effects& out) {
    for (const auto& [node, version] : std::exchange(eager.unknown_acks, {})) {
        if (!is_member(node)) {
            eager.acks.erase(node);
            answer_not_member(node, now, out);
        } else if (version != gossip().version_id()) {
            send_status(node, out);
        }
    }
}

void ClusterCore::Impl::apply_acks(const Now& now, Effects& out) {
    Gossip g = with_known_seen(gossip());
    if (g.seen_digest() == gossip().seen_digest()) return;
    install(std::move(g));
    publish(now, out);
}

// --- forwarding

std::vector<UniqueAddress> ClusterCore::Impl::unseen_targets() const {
    std::vector<UniqueAddress> unseen;
    const auto members = gossip().members();
    const bool all_reachable = gossip().reachability().is_all_reachable();
    const bool all_own = state->is_all_own_dc();
    for (std::size_t i = 0; i < members.size(); ++i) {
        if (gossip().overview().seen.test(i)) continue;
        const UniqueAddress& node = members[i].unique_address();
        if (node == self || !(all_own || state->is_own_dc(members[i]))) continue;
        // Who somebody cannot reach is left to the periodic round.
        if (all_reachable || gossip().reachability().is_reachable(node)) unseen.push_back(node);
    }
    return unseen;
}

std::vector<UniqueAddress> ClusterCore::Impl::sample(std::vector<UniqueAddress> nodes, std::size_t n) {
    n = std::min(n, nodes.size());
    shuffle_front(nodes, n, random);
    nodes.resize(n);
    return nodes;
}

std::vector<UniqueAddress> ClusterCore::Impl::forward_targets() {
    std::vector<UniqueAddress> unseen = unseen_targets();
    if (is_leader()) return unseen;
    if (!core.is_made_here()) return {};
    const std::size_t fanout = settings.eager.fanout;
    if (!leader() || std::erase(unseen, *leader()) == 0) return sample(std::move(unseen), fanout);
    std::vector<UniqueAddress> targets = sample(std::move(unseen), fanout - 1);
    targets.push_back(*leader());
    return targets;
}

void ClusterCore::Impl::forward_when_allowed(const Now& now, Effects& out) {
    if (!eager.forward_due && eager.owed.empty()) return;
    const Instant allowed =
        eager.last_forward ? *eager.last_forward + settings.eager.interval_min : now.monotonic;
    if (now.monotonic < allowed) {
        if (!std::exchange(eager.forward_timer, true))
            set_timer(out, CoreTimer::EagerForward, 0, allowed - now.monotonic);
        return;
    }
    std::set<UniqueAddress> targets = std::exchange(eager.owed, {});
    if (std::exchange(eager.forward_due, false)) {
        const bool some_have_it = eager.sent_version == gossip().version_id();
        for (const UniqueAddress& node : forward_targets())
            if (!some_have_it || !eager.sent.contains(node)) targets.insert(node);
    }
    if (targets.empty()) return;
    eager.last_forward = now.monotonic;
    count(out, "cluster.eager.forwarded", targets.size());
    for (const UniqueAddress& node : targets) send_gossip(node, out);
}

void ClusterCore::Impl::reply(const UniqueAddress& to, GossipOutcome outcome, const Gossip& remote,
                              Effects& out) {
    if (!settings.eager.eager_gossip) {
        send_gossip(to, out);
        return;
    }
    if (outcome == GossipOutcome::Older || outcome == GossipOutcome::Merge) {
        eager.owed.insert(to);
        return;
    }
    if (outcome == GossipOutcome::Same && answer_converged(to, remote.seen_digest(), out)) return;
    // The leader's repeats are answered by as many acks as it may repair; who else still does not know needs
    // the whole seen set, or lost acks would leave the periodic round talking for ever.
    const unsigned acks_allowed = leader() == to ? 1 + repairs_max : 1;
    const Hash128 id = remote.version_id();
    auto& [version, times] = eager.talked_back[to];
    if (version != id) {
        version = id;
        times = 0;
    }
    if (times < acks_allowed) {
        ++times;
        eager.ack_again = true;
    } else {
        eager.owed.insert(to);
    }
}

// --- repair

bool ClusterCore::Impl::is_repair_needed() {
    if (is_leader()) return !unseen_targets().empty();
    return leader() && gossip().seen_by(self) && !gossip().seen_by(*leader()) && !unseen_targets().empty();
}

void ClusterCore::Impl::on_repair_timer(std::uint64_t number, const Now& now, Effects& out) {
    if (!is_initialized()) return;
    eager.apply_acks_timer = eager.apply_acks_timer && number != apply_acks_timer;
    apply_acks(now, out); // who is to be repaired, too, depends on it
    if (number == apply_acks_timer) return;
    if (number == unknown_ack_timer) {
        answer_unknown_acks(now, out);
        return;
    }
    if (eager.repairs >= repairs_max || !is_repair_needed()) return;
    ++eager.repairs;
    std::vector<UniqueAddress> targets = unseen_targets();
    if (!is_leader()) {
        if (core.is_made_here()) {
            targets = forward_targets();
        } else {
            targets = sample(std::move(targets), settings.eager.fanout);
        }
    }
    count(out, "cluster.eager.repaired", targets.size());
    for (const UniqueAddress& node : targets) send_gossip(node, out);
    if (eager.repairs < repairs_max)
        set_timer(out, CoreTimer::EagerRepair, repair_timer, settings.eager.repair_after);
}

// --- settling

void ClusterCore::Impl::send_converged(const UniqueAddress& to, Effects& out) const {
    out.emplace_back(
        effect::Send{Destination(to), Converged{self, to, gossip().version_id(), gossip().overview().seen}});
}

void ClusterCore::Impl::settle(Effects& out) {
    if (!is_leader() || !state->convergence(excused())) return;
    const Hash128 id = gossip().version_id();
    eager.known_converged = id;
    const bool first = !eager.announced || eager.announced->first != id;
    // Members that do not count for convergence may ack later: once everybody has, it is said again.
    const bool grown =
        !first && eager.announced->second != gossip().seen_digest() && unseen_targets().empty();
    if (!first && !grown) return;
    eager.announced = {id, gossip().seen_digest()};
    for (const Member& m : gossip().members())
        if (is_valid_target(m.unique_address())) send_converged(m.unique_address(), out);
}

bool ClusterCore::Impl::answer_converged(const UniqueAddress& to, const Hash128& their_seen,
                                         Effects& out) const {
    if (!settings.eager.eager_gossip || eager.known_converged != gossip().version_id()) return false;
    if (their_seen != gossip().seen_digest() && is_valid_target(to)) send_converged(to, out);
    return true;
}

void ClusterCore::Impl::on(const Converged& m, const Now& now, Effects& out) {
    if (!is_initialized() || !may_tell(m.from, m.to)) {
        count(out, "cluster.converged.ignored");
        return;
    }
    const Gossip& g = gossip();
    if (m.version_id != g.version_id()) {
        eager.converged = m; // it may have overtaken its state
        return;
    }
    if (m.seen.size() != g.members().size()) {
        count(out, "cluster.converged.ignored");
        return;
    }
    eager.known_converged = m.version_id;
    const Gossip united = g.merge_seen(m.seen);
    if (united.seen_digest() != g.seen_digest()) {
        install(united);
        publish(now, out);
    }
    // Its sender lacks somebody: answering ends, since every answer makes the other's set larger.
    if (!(gossip().overview().seen == m.seen) && is_valid_target(m.from)) send_converged(m.from, out);
}

// --- joins within join-batch are one change
// ------------------------------------------------------------------------

void ClusterCore::Impl::batch_join(const Join& m, const Now& now, Effects& out) {
    const Instant next =
        eager.last_join_batch ? *eager.last_join_batch + settings.eager.join_batch : now.monotonic;
    if (eager.waiting_joins.empty() && now.monotonic >= next) {
        eager.last_join_batch = now.monotonic;
        admit_those_with_room({m}, now, out);
        return;
    }
    if (eager.waiting_nodes.contains(m.node)) return;
    if (eager.waiting_joins.size() >= waiting_joins_max) {
        // It asks again soon; its retry alone would take ten seconds.
        count(out, "cluster.join.put_off");
        out.emplace_back(
            effect::Send{Destination(m.node), JoinDeferred{self, m.node, "thousands of others are joining"}});
        return;
    }
    eager.waiting_nodes.insert(m.node);
    if (eager.waiting_joins.empty()) set_timer(out, CoreTimer::JoinBatch, 0, next - now.monotonic);
    eager.waiting_joins.push_back(m);
}

void ClusterCore::Impl::on_join_batch_timer(const Now& now, Effects& out) {
    std::vector<Join> admitted;
    std::set<Address> addresses;
    eager.waiting_nodes.clear();
    for (Join& m : std::exchange(eager.waiting_joins, {})) {
        // What was true when it arrived may have changed while it waited.
        if (!is_initialized() || !is_join_acceptable(m, out) || answer_known_joiner(m, now, out)) continue;
        if (!is_proven(m.node)) {
            hold_until_proven(m, now, out);
            continue;
        }
        // Of two incarnations of one address the first wins; the other one asks again and replaces it.
        if (addresses.insert(m.node.address()).second) admitted.push_back(std::move(m));
    }
    eager.last_join_batch = now.monotonic;
    admit_those_with_room(std::move(admitted), now, out);
}

} // namespace muster
