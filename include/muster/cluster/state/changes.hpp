// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The changes that a member makes to the gossip (protocol.md §2, §9.3, §10), as pure functions shared by the
/// core and the helpers of compat/membership.hpp.
#include <muster/cluster/state/membership.hpp>
#include <muster/time.hpp>
#include <span>
#include <vector>

namespace muster {

/// The local change rule (§2): ticks the own clock entry and sets seen to {self}, or to nobody while own
/// exiting tasks run.
Gossip changed_by(const UniqueAddress& self, const Gossip& changed, bool exiting_tasks_in_progress = false);

/// The incarnations of this address that may leave, with status Leaving (§10), in member order.
std::vector<Member> to_leaving(const Gossip& gossip, const Address& node);

/// Those of `members` that a Down changes (§10), in their order.
std::vector<UniqueAddress> not_yet_down(std::span<const Member> members);

/// Carries out the leader's actions (§9.3): removals leave tombstones of this time, expired tombstones go.
/// Without the local change rule.
Gossip apply_actions(const LeaderActions& actions, std::span<const UniqueAddress> expired_tombstones,
                     WallTime now, const Gossip& gossip);

/// How a version, known by its clock and id, relates to the held one: Before when it is older. Equal clocks
/// with another id are concurrent (§2).
VectorRelation compare_versions(const VectorClock& clock, const Hash128& version_id,
                                const Gossip& held) noexcept;

} // namespace muster
