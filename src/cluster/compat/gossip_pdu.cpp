// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/compat/gossip_pdu.hpp>

namespace muster {
namespace {

template <class Peer>
const Peer* next_peer(std::span<const Peer> peers, const Peer& self, std::size_t cursor) noexcept {
    for (std::size_t offset = 0; offset < peers.size(); ++offset) {
        // Reduced before the sum, which a cursor near the maximum would overflow.
        const Peer& peer = peers[(cursor % peers.size() + offset) % peers.size()];
        if (peer != self) return &peer;
    }
    return nullptr;
}

} // namespace

GossipDecision gossip_decide(const VectorClock& local, const VectorClock& remote) noexcept {
    switch (local.compare(remote)) {
    case VectorRelation::Same: return GossipDecision::Same;
    case VectorRelation::After: return GossipDecision::SendEnvelope;
    case VectorRelation::Before: return GossipDecision::RequestMerge;
    case VectorRelation::Concurrent: break;
    }
    return GossipDecision::MergeBoth;
}

GossipDecision gossip_decide(const Gossip& local, const VectorClock& remote,
                             const Hash128& remote_version_id) noexcept {
    if (local.version_id() == remote_version_id) return GossipDecision::Same;
    const auto decision = gossip_decide(local.version(), remote);
    return decision == GossipDecision::Same ? GossipDecision::MergeBoth : decision;
}

const Address* pick_gossip_target(std::span<const Address> peers, const Address& self,
                                  std::size_t cursor) noexcept {
    return next_peer(peers, self, cursor);
}

const UniqueAddress* pick_gossip_target(std::span<const UniqueAddress> peers, const UniqueAddress& self,
                                        std::size_t cursor) noexcept {
    return next_peer(peers, self, cursor);
}

} // namespace muster
