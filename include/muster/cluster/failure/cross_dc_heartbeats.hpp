// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The receivers of this node's heartbeats in other data centers (protocol.md §13).
#include <muster/cluster/failure/failure_detector_registry.hpp>
#include <muster/cluster/failure/phi_accrual.hpp>
#include <muster/cluster/state/member.hpp>
#include <optional>
#include <span>
#include <vector>

namespace muster {

/// Heartbeats between data centers (protocol.md §13): the n oldest members of each monitor the n oldest of
/// every other.
class CrossDcHeartbeats {
public:
    CrossDcHeartbeats(UniqueAddress self, const MultiDcSettings& settings);

    /// Takes all current members, after any member event. Forgets the detectors of nodes that are no longer
    /// receivers.
    void update(std::span<const Member> members);
    /// A response. nullopt: not from a receiver, so ignored.
    std::optional<HeartbeatRecorded> on_reply(const UniqueAddress& from, Instant now);

    /// Whether self was ever among the n oldest of its data center while there was another data center.
    bool is_active() const noexcept { return active_; }
    /// In UniqueAddress order; empty while dormant.
    const std::vector<UniqueAddress>& receivers() const noexcept { return receivers_; }
    bool is_receiver(const UniqueAddress& node) const noexcept;
    FailureDetectorRegistry<DeadlineFailureDetector>& detectors() noexcept { return detectors_; }
    const FailureDetectorRegistry<DeadlineFailureDetector>& detectors() const noexcept { return detectors_; }

private:
    UniqueAddress self_;
    MultiDcSettings settings_;
    bool active_ = false;
    std::vector<UniqueAddress> receivers_;
    FailureDetectorRegistry<DeadlineFailureDetector> detectors_;
};

} // namespace muster
