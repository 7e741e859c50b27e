// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <muster/ensure.hpp>
#include <muster/metrics.hpp>
#include <unordered_map>

namespace muster {
namespace {

// Values below 16 have a bucket each; from there every power of two is cut into 8.
constexpr std::size_t linear_buckets = 16;
constexpr unsigned sub_bits = 3;
constexpr unsigned first_power = 4;

std::size_t bucket_of(std::uint64_t value) noexcept {
    if (value < linear_buckets) return static_cast<std::size_t>(value);
    const auto power = static_cast<unsigned>(std::bit_width(value)) - 1;
    const auto sub = static_cast<std::size_t>(value >> (power - sub_bits)) & 7;
    return linear_buckets + (power - first_power) * 8 + sub;
}

std::uint64_t upper_bound_of(std::size_t bucket) noexcept {
    if (bucket < linear_buckets) return bucket;
    const auto power = static_cast<unsigned>((bucket - linear_buckets) / 8) + first_power;
    const std::uint64_t next = 8 + (bucket - linear_buckets) % 8 + 1;
    return (next << (power - sub_bits)) - 1; // of the last bucket: wraps to the largest value, as it should
}

static_assert(linear_buckets + (63 - first_power) * 8 + 7 < Histogram::bucket_count);

} // namespace

void Histogram::record(std::uint64_t value) noexcept {
    buckets_[bucket_of(value)].fetch_add(1, std::memory_order_relaxed);
    count_.fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
    std::uint64_t seen = max_.load(std::memory_order_relaxed);
    while (seen < value && !max_.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
    }
}

std::uint64_t Histogram::quantile(double q) const noexcept {
    // Counted from the buckets themselves: count_ may be ahead of them while others record.
    std::array<std::uint64_t, bucket_count> counts;
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < bucket_count; ++i) {
        counts[i] = buckets_[i].load(std::memory_order_relaxed);
        total += counts[i];
    }
    if (total == 0) return 0;
    const double wanted =
        std::ceil(std::clamp(std::isnan(q) ? 0.0 : q, 0.0, 1.0) * static_cast<double>(total));
    const std::uint64_t rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(wanted));
    std::uint64_t passed = 0;
    for (std::size_t i = 0; i < bucket_count; ++i) {
        passed += counts[i];
        if (passed >= rank) return upper_bound_of(i);
    }
    return std::numeric_limits<std::uint64_t>::max(); // only when rounding put the rank above the total
}

struct Metrics::Impl {
    // deque: addresses stay valid while it grows.
    std::deque<Counter> counters;
    std::deque<Gauge> gauges;
    std::deque<Histogram> histograms;
    struct NameHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view name) const noexcept {
            return std::hash<std::string_view>{}(name);
        }
    };
    /// Looked up with every counted event, so unordered; readers sort them.
    std::unordered_map<std::string, std::variant<Counter*, Gauge*, Histogram*>, NameHash, std::equal_to<>>
        by_name;
    mutable std::mutex mutex;

    template <class Metric>
    Metric& get(std::string_view name, std::deque<Metric>& storage) {
        const std::scoped_lock lock{mutex};
        auto found = by_name.find(name);
        if (found == by_name.end()) found = by_name.emplace(std::string{name}, &storage.emplace_back()).first;
        Metric* const* metric = std::get_if<Metric*>(&found->second);
        MUSTER_ENSURE(metric != nullptr, "a metric's name belongs to one kind");
        return **metric;
    }
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(std::string_view name) { return impl_->get(name, impl_->counters); }
Gauge& Metrics::gauge(std::string_view name) { return impl_->get(name, impl_->gauges); }
Histogram& Metrics::histogram(std::string_view name) { return impl_->get(name, impl_->histograms); }

namespace {

struct ReadOut {
    MetricValue value;
    void operator()(const Counter* counter) {
        value.kind = MetricValue::Kind::Counter;
        value.value = static_cast<std::int64_t>(counter->value());
    }
    void operator()(const Gauge* gauge) {
        value.kind = MetricValue::Kind::Gauge;
        value.value = gauge->value();
    }
    void operator()(const Histogram* histogram) {
        value.kind = MetricValue::Kind::Histogram;
        value.value = static_cast<std::int64_t>(histogram->count());
        value.sum = histogram->sum();
        value.p50 = histogram->quantile(0.5);
        value.p99 = histogram->quantile(0.99);
        value.max = histogram->max();
    }
};

} // namespace

std::vector<MetricValue> Metrics::snapshot() const {
    const std::scoped_lock lock{impl_->mutex};
    std::vector<MetricValue> values;
    values.reserve(impl_->by_name.size());
    for (const auto& [name, metric] : impl_->by_name) {
        ReadOut read_out{{.name = name}};
        std::visit(read_out, metric);
        values.push_back(std::move(read_out.value));
    }
    std::ranges::sort(values, {}, &MetricValue::name);
    return values;
}

std::int64_t Metrics::value(std::string_view name) const {
    const std::scoped_lock lock{impl_->mutex};
    const auto found = impl_->by_name.find(name);
    if (found == impl_->by_name.end()) return 0;
    ReadOut read_out{};
    std::visit(read_out, found->second);
    return read_out.value.value;
}

} // namespace muster
