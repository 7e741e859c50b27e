// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Eager gossip (protocol.md §6.6): a change reaches everybody, and the leader acts on it, within a few round
/// trips. Everything here may be lost; the periodic round alone suffices for correctness.
#include "core_state.hpp"
#include "gossip_sender.hpp"
#include "peer_books.hpp"
#include <cstdint>
#include <memory>
#include <muster/cluster/protocol/effects.hpp>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace muster {

/// Why a received gossip was taken as it was (protocol.md §6.3); the counters' last word.
enum class GossipOutcome : std::uint8_t { Same, Older, Newer, Merge };

/// Acks, forwarding, repair and settling of the installed version. What it answers with is the gossip to
/// install with more of seen; nullopt: nobody else is known to have seen it.
class EagerGossip : public KnownSeen {
public:
    EagerGossip(const CoreState& core, PeerBooks& books, GossipSender& sender) noexcept
        : core_(core), books_(books), sender_(sender) {}

    /// With the acks and the last Converged of exactly this version.
    Gossip with_known_seen(Gossip g) const override;
    /// The installed state with the acks that have come for it.
    std::optional<Gossip> acknowledged() const;

    // --- the end of every input, in this order
    /// Most inputs are heartbeats, after which there is nothing to do.
    bool is_work_left() const noexcept;
    /// True once for every new state, and after look_again().
    bool begin_look();
    /// `excused`: whom convergence does not wait for; only looked at when self leads.
    void look(std::span<const UniqueAddress> excused, Effects& out);
    void send_acks(Effects& out);
    void forward_when_allowed(const Now& now, Effects& out);

    // --- messages
    /// True: the acks that came are to be installed now.
    bool on_ack(const SeenAck& m, Effects& out);
    std::optional<Gossip> on_converged(const Converged& m, Effects& out);
    /// After what on_converged() answered was installed: its sender may lack somebody.
    void answer_converged(const Converged& m, Effects& out) const;
    /// True when the version is known to be settled; then a peer with another seen set is told.
    bool answer_settled(const UniqueAddress& to, const Hash128& their_seen, Effects& out) const;
    /// Sends, or owes, the reply of §6.3 to the sender of `remote`.
    void reply(const UniqueAddress& to, GossipOutcome outcome, const Gossip& remote, Effects& out);

    // --- timers
    void on_forward_timer() noexcept { forward_timer_ = false; }
    enum class Due : std::uint8_t { Acks, UnknownAcks, Repair };
    /// EagerRepair. The acks that came are installed first, whatever is due.
    Due on_repair_timer(std::uint64_t number) noexcept;
    void repair(Effects& out);
    /// The senders of acks of versions not held here, with the version. Forgets strangers.
    std::vector<std::pair<UniqueAddress, Hash128>> take_unknown_acks();

    /// As MembershipState::leader(), computed once per version.
    const std::optional<UniqueAddress>& leader() const;
    bool is_leader() const { return leader() == core_.self(); }
    /// Something that convergence may have waited for has changed, although the state is the same.
    void look_again() noexcept { look_again_ = true; }
    void await_no_more(const UniqueAddress& node) { books_.await_no_more(node); }
    void on_removed(const UniqueAddress& node) { books_.forget(node); }
    /// Invariants (ENSURE), at the end of an input.
    void check() const;

private:
    const MembershipState& state() const noexcept { return *core_.membership(); }
    const Gossip& gossip() const noexcept { return core_.gossip(); }
    void follow_version(std::span<const UniqueAddress> excused, Effects& out);
    void settle(std::span<const UniqueAddress> excused, Effects& out);
    void send_converged(const UniqueAddress& to, Effects& out) const;
    std::vector<UniqueAddress> ack_targets() const;
    /// Own-DC members without a negative row of anybody whose seen bit is missing here.
    std::vector<UniqueAddress> unseen_targets() const;
    std::vector<UniqueAddress> forward_targets() const;
    std::vector<UniqueAddress> sample(std::vector<UniqueAddress> nodes, std::size_t n) const;
    bool is_repair_needed() const;

    const CoreState& core_;
    PeerBooks& books_;
    GossipSender& sender_;

    std::shared_ptr<const MembershipState> looked_at_; ///< by look()
    bool look_again_ = false;
    Hash128 version_;                             ///< which forwarding and repair below are about
    mutable std::optional<UniqueAddress> leader_; ///< of the own data center, in
    mutable Hash128 leader_of_version_;           ///< this version

    std::shared_ptr<const MembershipState> acks_done_for_;
    bool ack_again_ = false;  ///< a duplicate came: the ack may be lost
    bool acks_timer_ = false; ///< acks that came are installed when it fires
    bool forward_due_ = false;
    bool forward_timer_ = false;
    std::optional<Instant> last_forward_;
    unsigned repairs_ = 0;

    std::optional<Converged> converged_;     ///< the latest one, as it may overtake its state
    std::optional<Hash128> known_converged_; ///< the version this node knows to be settled
    /// The version and the seen set this leader announced.
    std::optional<std::pair<Hash128, Hash128>> announced_;
};

} // namespace muster
