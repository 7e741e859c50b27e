// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The receivers of this node's heartbeats inside its data center (protocol.md §12.3).
#include <muster/cluster/failure/heartbeat_ring.hpp>
#include <muster/cluster/failure/heartbeat_state.hpp>
#include <optional>
#include <span>
#include <vector>

namespace muster {

/// The receivers of this node's heartbeats across ring changes (protocol.md §12.3): those of the ring, and
/// those that left it while they were unavailable. The latter are heartbeated until they answer or are
/// removed; otherwise their accusation could never be withdrawn.
class HeartbeatReceivers {
public:
    HeartbeatReceivers(const UniqueAddress& self, const FailureDetectorSettings& settings,
                       RingHash hash = ring_hash);

    /// Own data center only; adding a member again changes nothing. Each answers whether active() changed.
    bool add_members(std::span<const UniqueAddress> nodes, Instant now);
    bool remove_members(std::span<const UniqueAddress> nodes, Instant now);
    /// Take what UnreachableMember and ReachableMember report.
    bool unreachable_members(std::span<const UniqueAddress> nodes, Instant now);
    bool reachable_members(std::span<const UniqueAddress> nodes, Instant now);
    bool add_member(const UniqueAddress& node, Instant now) { return add_members(std::span(&node, 1), now); }
    bool remove_member(const UniqueAddress& node, Instant now) {
        return remove_members(std::span(&node, 1), now);
    }
    bool unreachable_member(const UniqueAddress& node, Instant now) {
        return unreachable_members(std::span(&node, 1), now);
    }
    bool reachable_member(const UniqueAddress& node, Instant now) {
        return reachable_members(std::span(&node, 1), now);
    }

    /// A response. nullopt: not from an active receiver, so ignored.
    std::optional<HeartbeatRecorded> on_reply(const UniqueAddress& from, Instant now);

    /// In UniqueAddress order.
    const std::vector<UniqueAddress>& active() const noexcept { return active_; }
    bool is_active(const UniqueAddress& node) const noexcept;
    const std::vector<UniqueAddress>& ring_receivers() const noexcept { return receivers_; }
    const std::vector<UniqueAddress>& old_receivers_now_unreachable() const noexcept {
        return old_unreachable_;
    }
    const HeartbeatRing& ring() const noexcept { return ring_; }
    HeartbeatState& detectors() noexcept { return detectors_; }
    const HeartbeatState& detectors() const noexcept { return detectors_; }

private:
    bool ring_changed(Instant now);
    bool unite();

    UniqueAddress self_;
    HeartbeatRing ring_;
    HeartbeatState detectors_;
    std::vector<UniqueAddress> receivers_;       // of the ring; sorted, like the next two
    std::vector<UniqueAddress> old_unreachable_; //
    std::vector<UniqueAddress> active_;          // the union
};

} // namespace muster
