// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Gossip exchange (protocol.md §6.1 to §6.5, §7): what a received gossip means for the installed one, and
/// the periodic rounds.
#include "core_state.hpp"
#include "eager_gossip.hpp"
#include "gossip_sender.hpp"
#include <cstdint>
#include <muster/cluster/protocol/effects.hpp>
#include <muster/error.hpp>
#include <optional>

namespace muster {

/// Judges; what it answers with is installed by the wiring.
class GossipExchange {
public:
    GossipExchange(const CoreState& core, GossipSender& sender) noexcept : core_(core), sender_(sender) {}

    /// No when no honest node can have sent it (gossip_check.hpp); counts and logs that.
    bool is_possible(const UniqueAddress& from, const Gossip& remote, Effects& out) const;
    /// What §6.3 makes of a gossip that is possible.
    struct Verdict {
        GossipOutcome outcome{};
        std::optional<Gossip> gossip; ///< to be installed; nullopt: the installed one stays
        bool is_local_change = false; ///< by the local change rule (§2)
        bool wants_answer = false;    ///< its sender does not know that self has seen it
        bool is_forged = false;       ///< with words that only this node may say; they are stepped over
        Origin origin = Origin::Unchanged;
    };
    Verdict judge(const UniqueAddress& from, const GossipPtr& remote, Effects& out) const;
    /// Own words in a Welcome, of this node, which has said none: the gossip that disowns them. Before
    /// joining.
    std::optional<Gossip> without_words_before_joining(const UniqueAddress& from, Effects& out) const;

    /// How a status is answered (§6.4).
    enum class Answer : std::uint8_t { None, Settled, Status, Gossip };
    /// Settled: as Gossip, unless the version is known to be settled.
    Answer judge(const GossipStatus& m) const;

    // --- rounds
    void tick(Effects& out);
    void round(Effects& out);
    /// Extra rounds are due while less than half of the members have seen, or somebody is Down (§6.5).
    bool is_speedup_needed() const;

    /// True once, when own counters passed incarnation_counter_max: the node comes back as another
    /// incarnation.
    bool retires(Effects& out);
    /// Invariants (ENSURE), at the end of an input.
    void check() const;

private:
    result<void> check_own(const Gossip& remote) const;
    Verdict step_over(const UniqueAddress& from, const Gossip& forged, Effects& out) const;
    void warn_of_own_words(const UniqueAddress& from, const Gossip& forged, const Gossip& local,
                           Effects& out) const;
    bool is_beyond_its_counters() const;

    const CoreState& core_;
    GossipSender& sender_;
    bool is_spent_ = false; ///< coordinated shutdown runs
};

} // namespace muster
