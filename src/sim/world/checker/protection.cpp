// SPDX-License-Identifier: Apache-2.0
// Protected nodes survive, and a clean partition leaves at most one side.
#include "sim/world/text.hpp"
#include "state.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace muster::sim {

using namespace std::chrono_literals;

void Checker::protect(const std::vector<std::size_t>& nodes) {
    State& s = *state_;
    s.protection_said = true;
    for (auto& v : s.viewers) v.is_protected = false;
    for (const std::size_t node : nodes) s.viewer(node).is_protected = true;
}

void Checker::split(std::vector<std::size_t> left, Duration limit) {
    State& s = *state_;
    const auto stands_still = [&s](std::size_t node) {
        return s.world[node].runtime->paused();
    }; // and decides nothing
    if (!s.world.disagreement().empty() || std::ranges::any_of(s.world.running(), stands_still)) return;
    s.split = Split{std::move(left), s.world.now() + limit};
}

void Checker::united() { state_->split.reset(); }

bool CheckerState::is_protected(std::size_t node) {
    if (is_corrupted) return false;
    return protection_said ? viewer(node).is_protected : all_protected;
}

/// Without a list of protected nodes: once any node was disturbed, none is protected.
void CheckerState::unprotect_by_default() { all_protected = false; }

/// Another fault beside the split: the outcome is no longer promised.
void CheckerState::happened(std::size_t) { split.reset(); }

void CheckerState::check_split() {
    if (!split || world.now() < split->deadline) return;
    std::map<std::string, std::array<std::vector<std::size_t>, 2>> alive;
    for (const std::size_t node : world.running()) {
        const auto snapshot = world[node].snapshot();
        if (snapshot.shutdown_reason) continue;
        const bool is_left = std::ranges::find(split->left, node) != split->left.end();
        alive[snapshot.state->self_data_center][is_left ? 0 : 1].push_back(node);
    }
    for (const auto& [dc, sides] : alive)
        if (!sides[0].empty() && !sides[1].empty())
            note("both-sides-live", fmt::format("of data center {} nodes {} and {} run", dc,
                                                join(sides[0], ","), join(sides[1], ",")));
    split.reset();
}

void CheckerState::check_protected(std::size_t node, const MembershipState& state) {
    const Gossip& g = state.latest();
    for (const Reachability::Record& row : g.reachability().records())
        if (row.status != ReachabilityStatus::Reachable) was_unreachable.insert(row.subject);
    for (const Member& m : g.members())
        if (m.status() == MemberStatus::Down) lose_leader(m.unique_address());
    if (!is_protected(node)) return; // the views of lost nodes do not count
    const auto look = [&](const UniqueAddress& subject, std::string_view what) {
        const Incarnation* known = incarnation(subject);
        if (!known || known->ended || !is_protected(known->node) || viewer(known->node).self != subject)
            return;
        if (viewer(known->node).left) return;
        note("healthy-downed", fmt::format("node {} holds node {} {}", node, known->node, what));
    };
    for (const Member& m : g.members())
        if (m.status() == MemberStatus::Down) look(m.unique_address(), "for Down");
    for (const Tombstone& t : g.tombstones())
        if (!viewer(node).removed.contains(t.node)) look(t.node, "for removed");
}

} // namespace muster::sim
