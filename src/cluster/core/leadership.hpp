// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The leader's work (protocol.md §8, §9): when it may act, what it does, and what it waits for.
#include "core_state.hpp"
#include <cstdint>
#include <muster/cluster/core/report.hpp>
#include <muster/cluster/protocol/effects.hpp>
#include <optional>
#include <span>
#include <vector>

namespace muster {

/// Owns who confirmed its exit and for how long there has been no convergence. It installs nothing: it
/// answers with the gossip to install as a local change. `expired`: the tombstones to prune
/// (Tombstones::expired()).
class Leadership {
public:
    explicit Leadership(const CoreState& core) noexcept : core_(core) {}

    /// What a restored core knows.
    void restore(std::vector<UniqueAddress> exiting_confirmed);
    /// A member's exiting tasks are done, by its own word (§11.1). This node's own knowledge, gossiped to
    /// nobody.
    void confirm_exit(const UniqueAddress& node);
    void forget_strangers();
    /// Members that convergence does not wait for: the confirmed and the departed (sorted).
    std::vector<UniqueAddress> excused(std::span<const UniqueAddress> departed) const;

    struct Step {
        Gossip next;
        std::vector<UniqueAddress> exiting; ///< became Exiting by it, in member order
    };
    /// §9.3, under convergence only. nullopt: nothing to do.
    std::optional<Step> act(std::vector<UniqueAddress> expired, WallTime now, Effects& out);
    /// A tick of the leader with convergence.
    void note_convergence(Effects& out);
    struct Wait {
        std::optional<Gossip> weakly_up; ///< Joining members become WeaklyUp (§9.4)
        bool is_stuck = false;           ///< it lasts so long that the log is to say why
    };
    /// A tick of the leader without.
    Wait wait(Effects& out);

    /// Why the cluster is not converged, as this node sees it.
    ConvergenceReport report(std::span<const UniqueAddress> excused, std::vector<UniqueAddress> expired,
                             bool is_leave_held) const;
    /// Invariants (ENSURE).
    void check() const;

private:
    LeaderActionInputs inputs(std::vector<UniqueAddress> expired) const;
    void explain_waiting(ConvergenceReport& r, std::vector<UniqueAddress> expired, bool is_leave_held) const;

    const CoreState& core_;
    std::vector<UniqueAddress> exiting_confirmed_; ///< sorted
    std::uint64_t not_converged_ticks_ = 0;
};

} // namespace muster
