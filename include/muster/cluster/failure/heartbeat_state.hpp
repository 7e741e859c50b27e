// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The detectors of a data center's members (protocol.md §12.5).
#include <muster/cluster/failure/failure_detector_registry.hpp>
#include <muster/cluster/failure/phi_accrual.hpp>

namespace muster {

/// Per-peer phi accrual detectors with the defaults of protocol.md §12.5: threshold 8, 1000 samples, minimum
/// standard deviation 100 ms, acceptable pause 3 s, first estimate 1 s.
class HeartbeatState : public FailureDetectorRegistry<PhiAccrualFailureDetector> {
public:
    explicit HeartbeatState(const FailureDetectorSettings& settings = {})
        : FailureDetectorRegistry(PhiAccrualFailureDetector(settings)) {}

    /// 0 for a node it does not know.
    double phi(const UniqueAddress& peer, Instant now) const noexcept {
        const PhiAccrualFailureDetector* detector = find(peer);
        return detector != nullptr ? detector->phi(now) : 0.0;
    }
};

} // namespace muster
