// SPDX-License-Identifier: Apache-2.0
// The Checker's record of each node's resolver: when its input changed, and what it decided.
#include "state.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <utility>

namespace muster::sim {

using namespace std::chrono_literals;

namespace {

/// A status that restarts the stable time when a member takes it (protocol.md §15.1).
bool is_counted_anew(MemberStatus status) noexcept {
    return status == MemberStatus::Up || status == MemberStatus::Exiting || status == MemberStatus::Down;
}

bool is_own(const Gossip& gossip, const UniqueAddress& node, std::string_view data_center) {
    const Member* member = gossip.find(node);
    return member && member->data_center() == data_center;
}

/// The nodes of the data center that a member of it cannot reach.
std::vector<UniqueAddress> unreachable_in(const Gossip& gossip, std::string_view data_center) {
    std::vector<UniqueAddress> nodes;
    for (const Reachability::Record& row : gossip.reachability().records())
        if (row.status != ReachabilityStatus::Reachable && is_own(gossip, row.observer, data_center) &&
            is_own(gossip, row.subject, data_center))
            nodes.push_back(row.subject);
    std::ranges::sort(nodes);
    nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
    return nodes;
}

/// Whether a member of the data center came Up, is Exiting, or is Down (`self` Down is no event for itself).
bool members_changed(const Gossip* before, const Gossip& after, const UniqueAddress& self,
                     std::string_view data_center) {
    if (before && before->members().data() == after.members().data()) return false;
    return std::ranges::any_of(after.members(), [&](const Member& m) {
        if (m.data_center() != data_center || !is_counted_anew(m.status())) return false;
        if (m.status() == MemberStatus::Down && m.unique_address() == self) return false;
        const Member* was = before ? before->find(m.unique_address()) : nullptr;
        return !was || was->status() != m.status();
    });
}

/// Whether a node became unreachable, or reachable again: `self`, removed members and Terminated rows do not
/// count.
bool reach_changed(const std::vector<UniqueAddress>& were, const std::vector<UniqueAddress>& are,
                   const Gossip* before, const Gossip& after, const UniqueAddress& self) {
    const auto was_terminated = [before](const UniqueAddress& node) {
        return before &&
               std::ranges::any_of(before->reachability().records(), [&](const Reachability::Record& row) {
                   return row.subject == node && row.status == ReachabilityStatus::Terminated;
               });
    };
    std::vector<UniqueAddress> changed;
    std::ranges::set_symmetric_difference(were, are, std::back_inserter(changed));
    return std::ranges::any_of(changed, [&](const UniqueAddress& node) {
        return node != self && after.has_member(node) &&
               (std::ranges::binary_search(are, node) || !was_terminated(node));
    });
}

} // namespace

void CheckerState::note_counted(std::size_t node, const Gossip* before, const Gossip& after) {
    Viewer& v = viewer(node);
    bool changed = members_changed(before, after, v.self, v.data_center);
    if (!before || !(before->reachability() == after.reachability()) ||
        before->members().data() != after.members().data()) {
        auto unreachable = unreachable_in(after, v.data_center);
        changed = reach_changed(v.unreachable, unreachable, before, after, v.self) || changed;
        v.unreachable = std::move(unreachable);
    }
    // A decision is recognised by its Downs, which change at the same instant.
    v.may_have_decided = true;
    if (!changed) return;
    if (world.now() > v.counted_changed)
        v.counted_changed_before = std::exchange(v.counted_changed, world.now());
}

/// What the resolver decided in this step.
void CheckerState::look_at_decisions(std::size_t node) {
    Viewer& v = viewer(node);
    if (!std::exchange(v.may_have_decided, false) || is_corrupted || !settings[node].daemon.sbr) return;
    const auto decisions = world[node].daemon().decisions();
    if (decisions.empty() || std::exchange(v.latest_decision, decisions.back()) == decisions.back()) return;
    if (decisions.back()->when == world[node].runtime->wall_now()) check_decision(node, *decisions.back());
}

void Checker::decided(std::size_t node, const SbrDecisionRecord& decision) {
    state_->check_decision(node, decision);
}

/// No event that restarts the stable time may have happened within it. With a lease the decision is older
/// than its record, and events wait while the lease is asked for.
void CheckerState::check_decision(std::size_t node, const SbrDecisionRecord& decision) {
    const auto& resolver = settings[node].daemon.sbr;
    if (!resolver || decision.trigger != SbrTrigger::Stable || resolver->strategy == "lease-majority") return;
    const Viewer& v = viewer(node);
    const Instant changed = v.counted_changed < world.now() ? v.counted_changed : v.counted_changed_before;
    // A clock may run a tenth too fast.
    const Duration least = Duration(resolver->stable_after) * 9 / 10;
    if (changed == Instant{} || world.now() - changed >= least) return;
    note("decided-too-early", fmt::format("node {} decided {} ms after a change, stable-after is {} ms", node,
                                          (world.now() - changed) / 1ms, resolver->stable_after.count()));
}

} // namespace muster::sim
