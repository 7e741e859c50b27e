// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The installed state as it goes to one peer (protocol.md §6.1), for all subjects that send it.
#include "core_state.hpp"
#include "peer_books.hpp"
#include <muster/cluster/protocol/effects.hpp>

namespace muster {

/// Sends only to valid targets (§7), and notes in the peer's book what it was sent.
class GossipSender {
public:
    GossipSender(const CoreState& core, PeerBooks& books) noexcept : core_(core), books_(books) {}

    /// Not self, a member, no negative row (self, node).
    bool is_valid_target(const UniqueAddress& node) const noexcept;
    void send_gossip(const UniqueAddress& to, Effects& out);
    void send_status(const UniqueAddress& to, Effects& out) const;
    void send_welcome(const UniqueAddress& to, Effects& out);
    /// Up to five full gossips at random, for what a node says for the last time (§6.5). Answers how many.
    std::size_t burst(Effects& out);

private:
    void note_sent(const UniqueAddress& to);

    const CoreState& core_;
    PeerBooks& books_;
};

/// What every message about versions must pass: it is for exactly this incarnation, from a member that this
/// node can reach (§6.2).
bool may_tell(const CoreState& core, const UniqueAddress& from, const UniqueAddress& to) noexcept;

} // namespace muster
