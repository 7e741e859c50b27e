// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Failure detectors as values (protocol.md §12.5, §12.6): they take the times of heartbeats and the current
/// time, and judge silence. One owner thread each; nothing here reads a clock.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <muster/cluster/protocol/settings.hpp>
#include <muster/time.hpp>
#include <optional>
#include <vector>

namespace muster {

/// The phi accrual function (Hayashibara et al. 2004) with the logistic approximation of the normal
/// distribution's tail: -log10 of the probability that a heartbeat still comes `time_diff_ms` after the last
/// one, given normally distributed intervals. Two branches keep the precision on both tails. In [0, +inf],
/// never NaN. `std_deviation_ms` > 0.
double phi(double time_diff_ms, double mean_ms, double std_deviation_ms) noexcept;

/// The last `max_sample_size` intervals in whole milliseconds with running sums: mean and variance cost O(1).
class HeartbeatHistory {
public:
    /// Longer intervals are clamped to this, so that the sum of squares cannot overflow.
    static constexpr std::chrono::milliseconds interval_max{10'000'000};
    static constexpr std::size_t samples_max = heartbeat_samples_max;

    explicit HeartbeatHistory(std::size_t max_sample_size) noexcept;
    /// Drops the oldest sample when the history is full. Negative intervals count as 0.
    void add(std::chrono::milliseconds interval);

    std::size_t size() const noexcept { return samples_.size(); }
    bool empty() const noexcept { return samples_.empty(); }
    /// Milliseconds; 0 when empty.
    double mean() const noexcept;
    /// Of the population (divided by n), milliseconds squared; never negative; 0 when empty.
    double variance() const noexcept;
    double std_deviation() const noexcept;

private:
    std::vector<std::uint32_t> samples_; // a ring once it is full
    std::size_t oldest_ = 0;
    std::size_t max_sample_size_;
    std::uint64_t sum_ = 0;
    std::uint64_t sum_of_squares_ = 0;
};

/// The effect of a heartbeat on a detector.
struct HeartbeatRecorded {
    bool recorded = false;                ///< the interval went into the statistics
    std::chrono::milliseconds interval{}; ///< since the previous heartbeat; 0 for the first
    bool growing = false; ///< recorded, and at least 2/3 of the acceptable pause: worth a warning
};

/// Judges silence by the statistics of a peer's heartbeat intervals (protocol.md §12.5).
class PhiAccrualFailureDetector {
public:
    /// Uses threshold, max_sample_size, min_std_deviation, acceptable_heartbeat_pause and, as first estimate,
    /// heartbeat_interval. ENSUREs the ranges stated there (ClusterSettings::validate reports them as
    /// errors).
    explicit PhiAccrualFailureDetector(const FailureDetectorSettings& settings = {});

    /// The first heartbeat brings two bootstrap samples. The interval that ends an outage is not recorded:
    /// one long gap would inflate the deviation for the next thousand heartbeats.
    HeartbeatRecorded heartbeat(Instant now);
    /// Restarts the clock for a peer that is alive although the time since its last heartbeat means nothing
    /// (protocol.md §12.7).
    void heartbeat_unrecorded(Instant now);

    /// 0 before the first heartbeat.
    double phi(Instant now) const noexcept;
    /// Whether phi is below the threshold; true before the first heartbeat.
    bool is_available(Instant now) const noexcept { return phi(now) < threshold_; }
    /// Whether a heartbeat was seen.
    bool is_monitoring() const noexcept { return last_.has_value(); }
    std::optional<Instant> last_heartbeat() const noexcept { return last_; }
    const HeartbeatHistory& history() const noexcept { return history_; }
    double threshold() const noexcept { return threshold_; }

private:
    void bootstrap();

    HeartbeatHistory history_;
    std::optional<Instant> last_;
    double threshold_;
    std::chrono::milliseconds first_estimate_;
    std::chrono::milliseconds min_std_deviation_;
    std::chrono::milliseconds acceptable_pause_;
};

/// Available until a fixed time after the last heartbeat (protocol.md §12.6): the default between data
/// centers.
class DeadlineFailureDetector {
public:
    /// ENSUREs heartbeat_interval > 0 and acceptable_pause >= 0.
    DeadlineFailureDetector(std::chrono::milliseconds heartbeat_interval,
                            std::chrono::milliseconds acceptable_pause);
    explicit DeadlineFailureDetector(const MultiDcSettings& settings = {})
        : DeadlineFailureDetector(settings.heartbeat_interval, settings.acceptable_heartbeat_pause) {}

    HeartbeatRecorded heartbeat(Instant now);
    void heartbeat_unrecorded(Instant now) { last_ = now; }
    /// Whether `now` is before last heartbeat + interval + pause; true before the first heartbeat.
    bool is_available(Instant now) const noexcept { return !last_ || now < *last_ + patience_; }
    bool is_monitoring() const noexcept { return last_.has_value(); }
    std::optional<Instant> last_heartbeat() const noexcept { return last_; }

private:
    Duration patience_;
    Duration acceptable_pause_;
    std::optional<Instant> last_;
};

} // namespace muster
