// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What changed, as the application sees it (protocol.md §14): events, their diff, and the bus that delivers
/// them.
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
/// `member` has status Removed; `previous` is what it was.
struct MemberRemoved {
    Member member;
    MemberStatus previous{};
    /// How long after this event to wait before somebody else does the member's work: where nobody reaches
    /// it, it may go on for a while (down-removal-margin, protocol.md §15.7). 0: it left in order, or no
    /// margin is set. The node fills it in; what ClusterCore and diff_events make has 0.
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
/// Internal ones, which the resolver and tools need.
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
/// The member a member or reachability event is about, else nullptr.
const Member* member_of(const ClusterEvent& event) noexcept;

/// Everything published between two installed states, in exactly the order of protocol.md §14.1. Either side
/// may be null: the empty state.
std::vector<ClusterEvent> diff_events(const MembershipState* before, const MembershipState* after);

} // namespace muster
