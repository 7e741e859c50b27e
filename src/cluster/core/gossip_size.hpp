// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How large a gossip is on the wire, from above and cheaply (protocol.md §5.6, Room).
#include <cstddef>
#include <muster/cluster/protocol/messages.hpp>

namespace muster {

/// Never less than the encoded frame of a GossipEnvelope, and at most a few times as much: it takes every
/// host as new, every number as long, and what members share in memory (roles, app version) once. Remembers
/// its parts: a gossip with the same members or tombstones as the last one, which is what nearly all changes
/// make, costs nothing for them.
class GossipSize {
public:
    std::size_t of(const GossipPtr& gossip);
    /// What this joiner adds, with roles and a version that nobody else has.
    static std::size_t of_joiner(const Join& join);
    static std::size_t of_tombstones(const Gossip& gossip);

private:
    GossipPtr last_; ///< keeps what the sums below are about
    std::size_t members_ = 0;
    std::size_t tombstones_ = 0;
};

} // namespace muster
