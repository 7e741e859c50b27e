// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The reference's helpers that change a membership state (reference.md): for tools, tests and programs that
/// hold a state of their own. A node is changed through its handle. Each replaces the gossip of this copy.
#include <muster/cluster/state/events.hpp>
#include <muster/cluster/state/membership.hpp>
#include <muster/time.hpp>
#include <optional>
#include <string>
#include <vector>

namespace muster {

/// The local change rule (protocol.md §2).
void install(MembershipState& state, const Gossip& changed, bool exiting_tasks_in_progress = false);
/// Adds the member, or merges it into the known copy by priority (§1.5), so a stale copy never moves a status
/// backwards. A tombstoned incarnation stays out.
void add_or_update(MembershipState& state, const Member& member);
/// Removes the incarnation and leaves a tombstone; no change when it is no member.
void remove(MembershipState& state, const UniqueAddress& node, WallTime now);
/// Adds a Joining member by the local change rule. Returns the event to publish, none when the node was known
/// or removed before.
std::optional<ClusterEvent> join(MembershipState& state, const UniqueAddress& node,
                                 std::vector<std::string> roles = {}, AppVersion app_version = {});
/// Leave and Down of §10 by address, for every incarnation for which they are legal. The events to publish;
/// empty: no change.
std::vector<ClusterEvent> leave(MembershipState& state, const Address& node);
std::vector<ClusterEvent> down(MembershipState& state, const Address& node);
/// If self leads and convergence holds: leader_actions, pruned tombstones and the local change rule (§9.3).
/// The events to publish, in the order of §14.1; empty: no change.
std::vector<ClusterEvent> apply_leader_actions(MembershipState& state, WallTime now,
                                               const LeaderActionInputs& inputs = {});

} // namespace muster
