// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The receiver's reaction to a gossip, in the reference's terms (reference.md; protocol.md §6).
#include <cstddef>
#include <cstdint>
#include <muster/cluster/state/gossip.hpp>
#include <muster/cluster/state/vector_clock.hpp>
#include <span>

namespace muster {

/// What the receiver does with a remote version.
enum class GossipDecision : std::uint8_t {
    Same,         ///< nothing
    SendEnvelope, ///< local is newer
    RequestMerge, ///< remote is newer: ask for its envelope
    MergeBoth,    ///< concurrent
};

/// Decides by clocks alone.
GossipDecision gossip_decide(const VectorClock& local, const VectorClock& remote) noexcept;
/// Decides as the protocol does: equal clocks with different version_ids are concurrent (§2).
GossipDecision gossip_decide(const Gossip& local, const VectorClock& remote,
                             const Hash128& remote_version_id) noexcept;

/// The next peer of a round robin: the first at or after position `cursor` (modulo the size) that is not
/// self. nullptr: there is none. The daemon chooses by select_gossip_target instead.
const Address* pick_gossip_target(std::span<const Address> peers, const Address& self,
                                  std::size_t cursor) noexcept;
const UniqueAddress* pick_gossip_target(std::span<const UniqueAddress> peers, const UniqueAddress& self,
                                        std::size_t cursor) noexcept;

} // namespace muster
