// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Why is the cluster not converged? The answer an operator needs (protocol.md §8, §22).
#include <cstdint>
#include <muster/cluster/state/member.hpp>
#include <muster/cluster/state/reachability.hpp>
#include <optional>
#include <string>
#include <vector>

namespace muster {

/// One member that somebody cannot reach.
struct UnreachableReport {
    UniqueAddress node;
    MemberStatus status{};
    ReachabilityStatus reachability{};    ///< aggregated over the observers
    std::vector<UniqueAddress> observers; ///< who says so, in UniqueAddress order
    bool blocks = false;                  ///< convergence waits until it is downed, removed or back
};

/// What one node knows about the convergence of its own data center, at one moment.
struct ConvergenceReport {
    bool converged = false;
    std::optional<UniqueAddress> leader; ///< as this node sees it
    bool self_is_leader = false;
    /// Members whose seen bit convergence waits for, in member order.
    std::vector<UniqueAddress> not_seen;
    /// Everybody with a negative row, blocking or not, in member order.
    std::vector<UnreachableReport> unreachable;
    /// What the leader would do next and what that waits for, one sentence each: "3 joining members wait for
    /// min-nr-of-members 5".
    std::vector<std::string> leader_waits_for;
    /// What this node's resolver waits for before it decides: a lease. Empty: nothing.
    std::string resolver_waits_for;
    std::uint64_t not_converged_ticks = 0; ///< leader ticks in a row without convergence; 0 unless leader

    /// One line for a log or a terminal.
    std::string to_string() const;
};

} // namespace muster
