// SPDX-License-Identifier: Apache-2.0
// Rules for a member in one view: its status only advances, removal is final, and it joined through a node it
// asked.
#include "sim/world/text.hpp"
#include "state.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace muster::sim {

using namespace std::chrono_literals;

namespace {

/// Higher wins a merge (protocol.md §1.5). Repeated here on purpose: a checker that called the code under
/// test would share its mistakes.
int merge_priority(MemberStatus status) noexcept {
    switch (status) {
    case MemberStatus::Joining: return 0;
    case MemberStatus::WeaklyUp: return 1;
    case MemberStatus::Up: return 2;
    case MemberStatus::PreparingForShutdown: return 3;
    case MemberStatus::Leaving: return 4;
    case MemberStatus::Exiting: return 5;
    case MemberStatus::Down: return 6;
    case MemberStatus::ReadyForShutdown: return 7;
    case MemberStatus::Removed: return 8;
    }
    return 8;
}

} // namespace

void CheckerState::check_changes(std::size_t node, const Gossip& before, const MembershipState& state) {
    const Gossip& after = state.latest();
    // Both are sorted; where they agree, which is almost everywhere, no names are compared.
    auto now = after.members().begin();
    const auto end = after.members().end();
    for (const Member& m : before.members()) {
        while (now != end && *now < m) ++now;
        if (now != end && *now == m) {
            if (!now->same_content(m)) check_member(node, m, *now);
        } else {
            check_gone(node, m, before, after);
        }
    }
    check_rows(node, before, after);
    if (before.tombstones().data() == after.tombstones().data()) return;
    for (const Tombstone& t : before.tombstones())
        if (after.has_member(t.node))
            note("removed-reappears",
                 fmt::format("{} is a member again for node {}", t.node.to_string(), node));
}

void CheckerState::check_rows(std::size_t node, const Gossip& before, const Gossip& after) {
    for (const Reachability::Record& row : before.reachability().records()) {
        if (row.status != ReachabilityStatus::Terminated) continue;
        if (!after.has_member(row.observer) || !after.has_member(row.subject)) continue;
        const auto now = after.reachability().status(row.observer, row.subject);
        if (now != ReachabilityStatus::Terminated)
            note("terminated-undone",
                 fmt::format("node {}: the row of {} about {} went from Terminated to {}", node,
                             row.observer.to_string(), row.subject.to_string(), to_string(now)));
    }
}

void CheckerState::check_member(std::size_t node, const Member& before, const Member& after) {
    const auto name = after.unique_address().to_string();
    if (merge_priority(after.status()) < merge_priority(before.status()))
        note("status-went-back", fmt::format("{} was {} for node {} and is {}", name,
                                             to_string(before.status()), node, to_string(after.status())));
    if (after.up_number() > before.up_number())
        note("status-went-back", fmt::format("the up_number of {} went from {} to {} for node {}", name,
                                             before.up_number(), after.up_number(), node));
}

void CheckerState::check_gone(std::size_t node, const Member& gone, const Gossip& before,
                              const Gossip& after) {
    const auto name = gone.unique_address().to_string();
    if (!after.is_tombstoned(gone.unique_address())) {
        note("vanished", fmt::format("{} vanished for node {} without a tombstone", name, node));
        return;
    }
    viewer(node).removed.insert_or_assign(gone.unique_address(),
                                          Removal{world.now(), gone.status() == MemberStatus::Down});
    const Incarnation* known = incarnation(gone.unique_address());
    if (!known || known->ended) return;
    // A member may be removed with exiting tasks still running only when it is unreachable (protocol.md §19,
    // 14).
    const Viewer& subject = viewer(known->node);
    const bool alive = subject.running && subject.self == gone.unique_address();
    const bool unreachable = !before.reachability().is_reachable(gone.unique_address()) ||
                             was_unreachable.contains(gone.unique_address());
    // The leader of another data center removes Exiting members of this one at once (protocol.md §9.3, step
    // 1), and its tombstone comes here with the next gossip, maybe when nobody of that one is left.
    const bool single = std::ranges::all_of(viewers, [&](const Viewer& v) {
        return v.data_center.empty() || v.data_center == gone.data_center();
    });
    if (alive && single && gone.status() == MemberStatus::Exiting && !unreachable && !subject.exiting_done)
        note("exiting-cut-short",
             fmt::format("node {} removed {} before its exiting tasks ended", node, name));
}

/// The first state of a node: the node must be a member of it, admitted by a node it asked.
void CheckerState::check_entry(std::size_t node, const MembershipState& state) {
    if (!state.latest().has_member(state.self)) {
        note("joined-without-asking", fmt::format("node {} took a state of which it is no member", node));
        return;
    }
    std::string asked, welcomed;
    for (const LogRecord& record : world[node].log->records()) {
        if (record.code != "cluster.join.asking" && record.code != "cluster.join.welcomed") continue;
        const auto peer = std::ranges::find(record.fields, "peer", &LogField::name);
        if (peer == record.fields.end()) continue;
        (record.code == "cluster.join.asking" ? asked : welcomed) = peer->value;
    }
    // The welcomer is named with its uid.
    if (!welcomed.empty() && !welcomed.starts_with(asked))
        note("joined-without-asking",
             fmt::format("node {} asked {} and took the welcome of {}", node, asked, welcomed));
}

/// Each member is a process that ran at its address: the published state of its own came first.
void CheckerState::check_strangers(std::size_t node, const Gossip* before, const MembershipState& state) {
    for (const Member& m : state.members())
        if ((before == nullptr || !before->has_member(m.unique_address())) &&
            incarnation(m.unique_address()) == nullptr)
            note("stranger-admitted", fmt::format("node {} has the member {}, which never ran there", node,
                                                  m.unique_address().to_string()));
}

} // namespace muster::sim
