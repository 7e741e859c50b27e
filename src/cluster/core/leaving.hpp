// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How a node ends (protocol.md §11): who leaves stays a full member until it may go, who cannot go says so,
/// and who is Down waits until the others that are know it.
#include "core_state.hpp"
#include "gossip_sender.hpp"
#include "peer_links.hpp"
#include <cstdint>
#include <muster/cluster/protocol/effects.hpp>
#include <string_view>
#include <vector>

namespace muster {

/// A SeenAck that names it answers a farewell: no state has this version_id (protocol.md §11.1).
inline constexpr Hash128 farewell_answer{};

/// What a leaving node still has to hear before it may stop (§11.1).
enum class Farewell : std::uint8_t {
    None,
    ExitingConfirmed, ///< a leader holds its confirmation
    OwnDown,          ///< somebody has installed its Down
};

/// The held leave, the farewell and the patience of a Down node. It stops nothing itself: where it answers
/// true, the node is to stop.
class Leaving {
public:
    Leaving(const CoreState& core, const PeerLinks& links, GossipSender& sender) noexcept
        : core_(core), links_(links), sender_(sender) {}

    // --- a leave that waits until nobody is unreachable
    enum class Hold : std::uint8_t { No, Begins, GoesOn };
    Hold hold(const Address& node);
    bool is_held() const noexcept { return held_; }
    /// No member is unreachable any more.
    bool may_release() const { return held_ && !is_anybody_unreachable(); }
    void release() noexcept { held_ = false; }

    // --- a leave that cannot be finished
    /// True when self has to become Down by its own hand: a member on no other way out.
    bool give_up() noexcept;
    bool has_given_up() const noexcept { return given_up_; }

    // --- farewells, repeated until one is answered or nobody is left who could
    bool begin_farewell(Farewell what, Effects& out);
    bool on_timer(Effects& out);
    bool is_saying_farewell() const noexcept { return farewell_ != Farewell::None; }
    /// The node is to stop.
    void end_farewell(std::string_view why, Effects& out);
    /// The two best candidates for the leader beside self: the leader may be leaving, too.
    std::vector<UniqueAddress> confirmation_targets() const;
    /// To who says farewell to this node.
    void answer_farewell(const UniqueAddress& to, Effects& out) const;

    /// A look at an own status of Down: the others that are Down know of it, or were given time enough
    /// (§11.2).
    bool is_down_known();
    /// Leaving and Exiting members that said Goodbye{stopping} and have no connection with this node any
    /// more. Sorted.
    std::vector<UniqueAddress> departed() const;

    void stop() noexcept;
    /// Invariants (ENSURE).
    void check() const;

private:
    /// Own data center, self included: whoever is accused, convergence waits for the resolver.
    bool is_anybody_unreachable() const;
    bool say_farewell(Effects& out);
    bool is_departed(const UniqueAddress& node, const PeerLink& link) const noexcept;

    const CoreState& core_;
    const PeerLinks& links_;
    GossipSender& sender_;
    bool held_ = false;
    bool given_up_ = false; ///< Down by its own hand
    Farewell farewell_ = Farewell::None;
    unsigned farewells_sent_ = 0;
    unsigned self_down_checks_failed_ = 0;
};

} // namespace muster
