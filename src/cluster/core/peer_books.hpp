// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What passed between this node and each peer about versions (protocol.md §6.6): one book per peer.
#include <cstddef>
#include <cstdint>
#include <map>
#include <muster/address.hpp>
#include <muster/cluster/state/gossip.hpp>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace muster {

/// The book of one peer. No state has a version_id of zero: it stands for none.
struct PeerBook {
    /// The version that it last said it holds with itself in seen. Such an ack may overtake its state.
    std::optional<Hash128> acked;
    std::optional<Hash128> unknown_ack; ///< named a version not held here; answered after repair-after
    Hash128 sent;                       ///< the version it was sent last, in full
    Hash128 acked_to;                   ///< the version this node acknowledged to it
    std::uint64_t acked_to_pass = 0;    ///< in which pass
    Hash128 acked_again;                ///< the version of which it got acks in place of a full gossip
    std::uint32_t acked_again_times = 0;
    std::uint64_t acked_again_term = 0; ///< while which version was looked at
    bool is_awaited = false;            ///< leader: convergence waits for its ack of this version
    bool is_owed = false;               ///< a reply of §6.3, which joins the next forwarding
};

/// The books of members, and of strangers whose ack waits for the state that makes them members. Nothing here
/// decides: EagerGossip does, and GossipSender notes what it sends.
class PeerBooks {
public:
    void note_sent(const UniqueAddress& to, const Hash128& version) { books_[to].sent = version; }
    bool was_sent(const UniqueAddress& to, const Hash128& version) const noexcept;

    // --- acks that came
    void note_ack(const UniqueAddress& from, const Hash128& version);
    bool has_acked(const UniqueAddress& from) const noexcept;
    /// Which members of `gossip` acknowledged exactly it. nullopt: none.
    std::optional<SeenSet> acked_in(const Gossip& gossip) const;
    void note_unknown_ack(const UniqueAddress& from, const Hash128& version);
    std::size_t unknown_acks() const noexcept { return unknown_acks_; }
    /// In UniqueAddress order; they are unknown no more.
    std::vector<std::pair<UniqueAddress, Hash128>> take_unknown_acks();

    // --- acks that are awaited
    /// From now on only of these, in UniqueAddress order.
    void await(std::span<const UniqueAddress> nodes);
    void await_no_more(const UniqueAddress& node);
    bool is_anybody_awaited() const noexcept { return awaited_ != 0; }

    // --- acks that went
    /// Begins a pass that notes every leader's ack; a leader left out of it counts as told nothing.
    void begin_acks() noexcept { ++pass_; }
    /// True when the pass before did not tell it this version.
    bool note_acked_to(const UniqueAddress& to, const Hash128& version);
    /// Whether it may get an ack of this version in place of a full gossip once more: `max` times in a term,
    /// which begin_term() ends. Notes that it does.
    bool may_ack_again(const UniqueAddress& to, const Hash128& version, unsigned max);
    void begin_term() noexcept { ++term_; }

    // --- what is owed
    void owe(const UniqueAddress& to);
    bool is_anybody_owed() const noexcept { return !owed_.empty(); }
    /// Unsorted; nothing is owed afterwards.
    std::vector<UniqueAddress> take_owed();

    void forget(const UniqueAddress& node);
    std::size_t size() const noexcept { return books_.size(); }
    /// Invariants (ENSURE). `gossip`: the installed one.
    void check(const Gossip& gossip) const;

private:
    using Books = std::map<UniqueAddress, PeerBook>;
    Books books_;
    std::vector<Books::value_type*> owed_; ///< whose books say so
    std::size_t acks_ = 0;                 ///< how many books hold one
    std::size_t unknown_acks_ = 0;
    std::size_t awaited_ = 0;
    std::uint64_t pass_ = 1;
    std::uint64_t term_ = 1;
};

} // namespace muster
