// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/failure/phi_accrual.hpp>

#include "base/mutants.hpp"
#include <algorithm>
#include <cmath>
#include <muster/ensure.hpp>

namespace muster {

using std::chrono::milliseconds;

double phi(double time_diff_ms, double mean_ms, double std_deviation_ms) noexcept {
    const double y = (time_diff_ms - mean_ms) / std_deviation_ms;
    if (std::isnan(y)) return 0.0;
    const double e = std::exp(-y * (1.5976 + 0.070566 * y * y));
    // Above the mean e is small and 1 - e/(1+e) would lose it; below the mean e may be +inf, which this
    // branch turns into exactly 0.
    const double value =
        time_diff_ms > mean_ms ? -std::log10(e / (1.0 + e)) : -std::log10(1.0 - 1.0 / (1.0 + e));
    return value > 0.0 ? value : 0.0;
}

HeartbeatHistory::HeartbeatHistory(std::size_t max_sample_size) noexcept : max_sample_size_(max_sample_size) {
    MUSTER_ENSURE(max_sample_size >= 1, "a history holds at least one sample");
    // interval_max squared, times this many samples, still fits 64 bits.
    MUSTER_ENSURE(max_sample_size <= samples_max, "more samples could overflow the sum of squares");
}

void HeartbeatHistory::add(milliseconds interval) {
    const auto sample =
        static_cast<std::uint32_t>(std::clamp(interval, milliseconds{0}, interval_max).count());
    if (samples_.size() < max_sample_size_) {
        samples_.push_back(sample);
    } else {
        const std::uint64_t dropped = samples_[oldest_];
        sum_ -= dropped;
        sum_of_squares_ -= dropped * dropped;
        samples_[oldest_] = sample;
        oldest_ = (oldest_ + 1) % max_sample_size_;
    }
    sum_ += sample;
    sum_of_squares_ += std::uint64_t{sample} * sample;
}

double HeartbeatHistory::mean() const noexcept {
    return samples_.empty() ? 0.0 : static_cast<double>(sum_) / static_cast<double>(samples_.size());
}

double HeartbeatHistory::variance() const noexcept {
    if (samples_.empty()) return 0.0;
    const double m = mean();
    // Rounding may take equal samples slightly below zero.
    return std::max(0.0, static_cast<double>(sum_of_squares_) / static_cast<double>(samples_.size()) - m * m);
}

double HeartbeatHistory::std_deviation() const noexcept { return std::sqrt(variance()); }

PhiAccrualFailureDetector::PhiAccrualFailureDetector(const FailureDetectorSettings& settings)
    : history_(settings.max_sample_size), threshold_(settings.threshold),
      first_estimate_(settings.heartbeat_interval), min_std_deviation_(settings.min_std_deviation),
      acceptable_pause_(settings.acceptable_heartbeat_pause) {
    MUSTER_ENSURE(threshold_ > 0.0, "failure-detector.threshold must be > 0");
    MUSTER_ENSURE(min_std_deviation_ > milliseconds{0}, "failure-detector.min-std-deviation must be > 0");
    MUSTER_ENSURE(acceptable_pause_ >= milliseconds{0},
                  "failure-detector.acceptable-heartbeat-pause must be >= 0");
    MUSTER_ENSURE(first_estimate_ > milliseconds{0}, "failure-detector.heartbeat-interval must be > 0");
}

void PhiAccrualFailureDetector::bootstrap() {
    // Two samples around the estimate: a mean with a deviation, so that the second heartbeat does not
    // collapse the deviation to its floor.
    const milliseconds quarter = first_estimate_ / 4;
    history_.add(first_estimate_ - quarter);
    history_.add(first_estimate_ + quarter);
}

HeartbeatRecorded PhiAccrualFailureDetector::heartbeat(Instant now) {
    HeartbeatRecorded outcome;
    if (!last_) {
        bootstrap();
    } else {
        outcome.interval = std::max(milliseconds{0}, std::chrono::floor<milliseconds>(now - *last_));
        outcome.recorded = is_available(now) || MUSTER_MUTANT(outage_recorded);
        if (outcome.recorded) history_.add(outcome.interval);
        outcome.growing = outcome.recorded && acceptable_pause_ > milliseconds{0} &&
                          outcome.interval >= acceptable_pause_ / 3 * 2;
    }
    last_ = now;
    return outcome;
}

void PhiAccrualFailureDetector::heartbeat_unrecorded(Instant now) {
    if (!last_) bootstrap();
    last_ = now;
}

double PhiAccrualFailureDetector::phi(Instant now) const noexcept {
    if (!last_) return 0.0;
    const double since_last = std::chrono::duration<double, std::milli>(now - *last_).count();
    const double mean = history_.mean() + static_cast<double>(acceptable_pause_.count());
    const double deviation =
        std::max(history_.std_deviation(), static_cast<double>(min_std_deviation_.count()));
    return muster::phi(since_last, mean, deviation);
}

DeadlineFailureDetector::DeadlineFailureDetector(milliseconds heartbeat_interval,
                                                 milliseconds acceptable_pause)
    : patience_(heartbeat_interval + acceptable_pause), acceptable_pause_(acceptable_pause) {
    MUSTER_ENSURE(heartbeat_interval > milliseconds{0}, "heartbeat-interval must be > 0");
    MUSTER_ENSURE(acceptable_pause >= milliseconds{0}, "acceptable-heartbeat-pause must be >= 0");
}

HeartbeatRecorded DeadlineFailureDetector::heartbeat(Instant now) {
    HeartbeatRecorded outcome;
    if (last_) {
        outcome.interval = std::max(milliseconds{0}, std::chrono::floor<milliseconds>(now - *last_));
        outcome.recorded = is_available(now);
        outcome.growing = outcome.recorded && acceptable_pause_ > Duration{0} &&
                          outcome.interval >= acceptable_pause_ / 3 * 2;
    }
    last_ = now;
    return outcome;
}

} // namespace muster
