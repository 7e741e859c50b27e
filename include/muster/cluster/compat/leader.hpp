// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The leader of a membership state, and its changes (protocol.md §8, §9).
#include <muster/cluster/state/membership.hpp>
#include <optional>

namespace muster {

/// The leader of the state's own data center (§9.1).
std::optional<UniqueAddress> elect_leader(const MembershipState& state);

/// Whether the state's own data center has converged on this version (§8), with no exit confirmed.
bool is_converged(const MembershipState& state);

/// The status that a leader gives to a member of this status once every other condition of §9.3 holds: enough
/// members for Joining and WeaklyUp, confirmed or unreachable for Exiting, unreachable for Down. nullopt: no
/// change, as always without convergence.
std::optional<MemberStatus> next_status(MemberStatus current, bool converged) noexcept;

/// The leader changed between two observations.
struct LeaderHandoverEvent {
    std::optional<UniqueAddress> from;
    std::optional<UniqueAddress> to;
    bool operator==(const LeaderHandoverEvent&) const = default;
};

/// Watches successive states and reports changes of the leader. One thread.
class LeaderHandover {
public:
    /// The change since the last observation; the first one is from "no leader".
    std::optional<LeaderHandoverEvent> observe(const MembershipState& state);
    /// The leader at the last observation.
    const std::optional<UniqueAddress>& current() const noexcept { return current_; }

private:
    std::optional<UniqueAddress> current_;
};

} // namespace muster
