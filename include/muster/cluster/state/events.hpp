// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Changes as the application sees them (protocol.md §14): the events, and the diff that makes them.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <muster/cluster/state/gossip.hpp>
#include <muster/cluster/state/member.hpp>
#include <muster/cluster/state/reachability.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace muster {

struct MembershipState;

struct MemberJoined {
    Member member;
};
struct MemberWeaklyUp {
    Member member;
};
struct MemberUp {
    Member member;
};
struct MemberLeft {
    Member member;
};
struct MemberExited {
    Member member;
};
struct MemberDowned {
    Member member;
};
struct MemberPreparingForShutdown {
    Member member;
};
struct MemberReadyForShutdown {
    Member member;
};
/// `member` has status Removed; `previous` is its status before.
struct MemberRemoved {
    Member member;
    MemberStatus previous{};
    /// How long after this event to wait before another member takes over the removed member's work: cut off,
    /// the removed member may go on for a while (down-removal-margin, protocol.md §15.7). 0: it left in
    /// order, or no margin is set. The node fills it in; ClusterCore and diff_events leave 0.
    std::chrono::milliseconds removal_margin{0};
};
struct UnreachableMember {
    Member member;
};
struct ReachableMember {
    Member member;
};
struct UnreachableDataCenter {
    std::string data_center;
};
struct ReachableDataCenter {
    std::string data_center;
};
struct LeaderChanged {
    std::optional<UniqueAddress> from;
    std::optional<UniqueAddress> to;
};
struct RoleLeaderChanged {
    std::string role;
    std::optional<UniqueAddress> leader;
};
/// Convergence of the own data center flipped (the reference's event: reference.md).
struct Convergence {
    bool converged{};
};
struct ClusterShuttingDown {};
/// Internal events, for the resolver and tools.
struct MemberTombstonesChanged {
    std::vector<Tombstone> tombstones;
};
struct SeenChanged {
    bool convergence{};
    std::vector<UniqueAddress> seen_by;
};
struct ReachabilityChanged {
    Reachability reachability;
};

using ClusterEvent =
    std::variant<MemberJoined, MemberWeaklyUp, MemberUp, MemberLeft, MemberExited, MemberDowned,
                 MemberPreparingForShutdown, MemberReadyForShutdown, MemberRemoved, UnreachableMember,
                 ReachableMember, UnreachableDataCenter, ReachableDataCenter, LeaderChanged,
                 RoleLeaderChanged, Convergence, ClusterShuttingDown, MemberTombstonesChanged, SeenChanged,
                 ReachabilityChanged>;

/// "MemberUp", ... For logs and JSON.
std::string_view name_of(const ClusterEvent& event) noexcept;
/// The subject of a member or reachability event, else nullptr.
const Member* member_of(const ClusterEvent& event) noexcept;

/// Everything published between two installed states, in exactly the order of protocol.md §14.1. Either side
/// may be null: the empty state.
std::vector<ClusterEvent> diff_events(const MembershipState* before, const MembershipState* after);

} // namespace muster
