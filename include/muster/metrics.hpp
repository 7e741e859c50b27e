// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Counters, gauges and histograms of one Runtime, readable from any thread while it runs. Listed in
/// src/doc/metrics.md.
#include <muster/language.hpp> // first

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace muster {

/// A value that only grows. add() is one relaxed atomic addition.
class Counter {
public:
    void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
    std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

/// A value that goes up and down.
class Gauge {
public:
    void set(std::int64_t v) noexcept { value_.store(v, std::memory_order_relaxed); }
    void add(std::int64_t n) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
    std::int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::int64_t> value_{0};
};

/// Distribution of non-negative integers in log-linear buckets: 8 per power of two, so a quantile is right
/// to 12.5 %.
class Histogram {
public:
    static constexpr std::size_t bucket_count = 8 * 62 + 16;
    void record(std::uint64_t value) noexcept;
    std::uint64_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
    std::uint64_t sum() const noexcept { return sum_.load(std::memory_order_relaxed); }
    std::uint64_t max() const noexcept { return max_.load(std::memory_order_relaxed); }
    /// Upper bound of the bucket in which the q-quantile (0..1) lies; 0 when empty.
    std::uint64_t quantile(double q) const noexcept;

private:
    std::array<std::atomic<std::uint64_t>, bucket_count> buckets_{};
    std::atomic<std::uint64_t> count_{0};
    std::atomic<std::uint64_t> sum_{0};
    std::atomic<std::uint64_t> max_{0};
};

/// One read-out of a metric.
struct MetricValue {
    std::string name;
    enum class Kind : std::uint8_t { Counter, Gauge, Histogram } kind{};
    std::int64_t value = 0;                           ///< counter or gauge; for a histogram the count
    std::uint64_t sum = 0, p50 = 0, p99 = 0, max = 0; ///< histogram only
};

/// Owns the metrics of one Runtime. Names are "layer.noun.verb[.reason]"; the same name always yields the
/// same object, whose address stays valid as long as the registry. Thread-safe. Using one name for two kinds
/// is a bug (ENSURE).
class Metrics {
public:
    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    Counter& counter(std::string_view name);
    Gauge& gauge(std::string_view name);
    Histogram& histogram(std::string_view name);

    /// All metrics in name order.
    std::vector<MetricValue> snapshot() const;
    /// The counter's or gauge's value; 0 for an unknown name.
    std::int64_t value(std::string_view name) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace muster
