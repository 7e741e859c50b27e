// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Who heartbeats whom inside a data center (protocol.md §12.2).
#include <cstddef>
#include <cstdint>
#include <functional>
#include <muster/address.hpp>
#include <span>
#include <vector>

namespace muster {

/// Places a node on the heartbeat ring. Must be the same function on all nodes.
using RingHash = std::function<std::int32_t(const UniqueAddress&)>;
/// The default: the 32-bit fold of the uid, int32(uid ^ (uid >>> 32)). Random per incarnation, so physical
/// neighbours are spread.
std::int32_t ring_hash(const UniqueAddress& node) noexcept;

/// The ring of one data center's members, ordered by hash, then by UniqueAddress (protocol.md §12.2). Each
/// node heartbeats its next reachable successors, so every member has several monitors and nobody has many
/// peers.
class HeartbeatRing {
public:
    /// `self` is on the ring from the start. `monitored_by` > 0.
    HeartbeatRing(const UniqueAddress& self, std::size_t monitored_by, RingHash hash = ring_hash);

    /// Each takes any number of nodes: adding a whole cluster one by one would take quadratic time. false
    /// when nothing changed.
    bool add(std::span<const UniqueAddress> nodes);
    bool remove(std::span<const UniqueAddress> nodes);
    bool set_unreachable(std::span<const UniqueAddress> nodes);
    bool set_reachable(std::span<const UniqueAddress> nodes);
    bool add(const UniqueAddress& node) { return add(std::span(&node, 1)); }
    bool remove(const UniqueAddress& node) { return remove(std::span(&node, 1)); }
    bool set_unreachable(const UniqueAddress& node) { return set_unreachable(std::span(&node, 1)); }
    bool set_reachable(const UniqueAddress& node) { return set_reachable(std::span(&node, 1)); }

    bool contains(const UniqueAddress& node) const noexcept;
    bool is_unreachable(const UniqueAddress& node) const noexcept;
    std::size_t size() const noexcept { return ring_.size(); }

    /// The receivers of `sender` (on the ring): with few members all others; otherwise successors until
    /// `monitored_by` reachable ones are found. Unreachable ones on the way are included without counting
    /// while the collection is small, so that after mass crashes every dead node still has a monitor and the
    /// leader can remove it. In UniqueAddress order.
    std::vector<UniqueAddress> receivers(const UniqueAddress& sender) const;
    /// The nodes that have `subject` among their receivers, in UniqueAddress order. Cost grows with their
    /// number, not with the ring.
    std::vector<UniqueAddress> monitors(const UniqueAddress& subject) const;

private:
    struct Place {
        std::int32_t hash;
        UniqueAddress node;
        friend auto operator<=>(const Place&, const Place&) = default;
    };
    Place place_of(const UniqueAddress& node) const { return {hash_(node), node}; }

    RingHash hash_;
    std::size_t monitored_by_;
    std::vector<Place> ring_;                // sorted
    std::vector<UniqueAddress> unreachable_; // sorted
};

} // namespace muster
