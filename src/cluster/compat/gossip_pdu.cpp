// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/compat/gossip_pdu.hpp>

#include <muster/cluster/state/changes.hpp>

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

/// `remote`: how the remote version relates to the local one.
GossipDecision decision_of(VectorRelation remote) noexcept {
    switch (remote) {
    case VectorRelation::Same: return GossipDecision::Same;
    case VectorRelation::Before: return GossipDecision::SendEnvelope;
    case VectorRelation::After: return GossipDecision::RequestMerge;
    case VectorRelation::Concurrent: break;
    }
    return GossipDecision::MergeBoth;
}

} // namespace

GossipDecision gossip_decide(const VectorClock& local, const VectorClock& remote) noexcept {
    return decision_of(remote.compare(local));
}

GossipDecision gossip_decide(const Gossip& local, const VectorClock& remote,
                             const Hash128& remote_version_id) noexcept {
    return decision_of(compare_versions(remote, remote_version_id, local));
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
