// SPDX-License-Identifier: Apache-2.0
#include <muster/metrics.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

namespace {

using muster::Histogram;
using muster::Metrics;
using muster::MetricValue;

TEST(Metrics, TheSameNameIsTheSameObjectWhileTheRegistryGrows) {
    Metrics metrics;
    auto& first = metrics.counter("transport.frame.sent");
    for (int i = 0; i < 1'000; ++i) metrics.counter("filler." + std::to_string(i));
    EXPECT_EQ(&metrics.counter("transport.frame.sent"), &first);
}

TEST(Metrics, ValueReadsCountersAndGaugesAndZeroForTheUnknown) {
    Metrics metrics;
    metrics.counter("tells").add();
    metrics.counter("tells").add(41);
    metrics.gauge("links").set(5);
    metrics.gauge("links").add(-7);
    EXPECT_EQ(metrics.value("tells"), 42);
    EXPECT_EQ(metrics.value("links"), -2);
    EXPECT_EQ(metrics.value("nobody.asked"), 0);
    EXPECT_EQ(metrics.snapshot().size(), 2U) << "asking for a value creates nothing";
}

TEST(Metrics, SnapshotIsInNameOrderWithTheKindOfEach) {
    Metrics metrics;
    metrics.gauge("b");
    metrics.histogram("c").record(100);
    metrics.counter("a").add(3);
    const auto values = metrics.snapshot();
    ASSERT_EQ(values.size(), 3U);
    EXPECT_EQ(values[0].name, "a");
    EXPECT_EQ(values[0].kind, MetricValue::Kind::Counter);
    EXPECT_EQ(values[0].value, 3);
    EXPECT_EQ(values[1].name, "b");
    EXPECT_EQ(values[1].kind, MetricValue::Kind::Gauge);
    EXPECT_EQ(values[2].name, "c");
    EXPECT_EQ(values[2].kind, MetricValue::Kind::Histogram);
    EXPECT_EQ(values[2].value, 1);
    EXPECT_EQ(values[2].sum, 100U);
    EXPECT_EQ(values[2].max, 100U);
}

TEST(MetricsDeathTest, OneNameAsTwoKindsIsOurOwnBug) {
    Metrics metrics;
    metrics.counter("twice");
    EXPECT_DEATH(metrics.gauge("twice"), "a metric's name belongs to one kind");
}

TEST(Histogram, SmallValuesAreExact) {
    for (std::uint64_t value = 0; value < 16; ++value) {
        Histogram histogram;
        histogram.record(value);
        EXPECT_EQ(histogram.quantile(0.5), value);
    }
}

TEST(Histogram, AQuantileIsNeverBelowTheValueNorMoreThanAnEighthAbove) {
    for (std::uint64_t power = 0; power < 64; ++power) {
        for (const std::uint64_t offset : {0, 1, 5}) {
            const std::uint64_t value =
                (std::uint64_t{1} << power) + offset * ((std::uint64_t{1} << power) / 7);
            Histogram histogram;
            histogram.record(value);
            EXPECT_GE(histogram.quantile(1), value) << value;
            EXPECT_LE(histogram.quantile(1) - value, value / 8) << value;
        }
    }
}

TEST(Histogram, TheLargestValueHasABucket) {
    constexpr auto largest = std::numeric_limits<std::uint64_t>::max();
    Histogram histogram;
    histogram.record(largest);
    EXPECT_EQ(histogram.quantile(0.99), largest);
    EXPECT_EQ(histogram.max(), largest);
}

TEST(Histogram, QuantilesFollowTheRanks) {
    Histogram histogram;
    for (std::uint64_t value = 1; value <= 10; ++value) histogram.record(value);
    EXPECT_EQ(histogram.quantile(0.0), 1U);
    EXPECT_EQ(histogram.quantile(0.1), 1U);
    EXPECT_EQ(histogram.quantile(0.5), 5U);
    EXPECT_EQ(histogram.quantile(0.51), 6U);
    EXPECT_EQ(histogram.quantile(1.0), 10U);
    EXPECT_EQ(histogram.quantile(7.0), 10U) << "out of range means the nearest end";
    EXPECT_EQ(histogram.quantile(std::numeric_limits<double>::quiet_NaN()), 1U);
}

TEST(Histogram, IsZeroWhenEmptyAndAddsUp) {
    Histogram histogram;
    EXPECT_EQ(histogram.quantile(0.5), 0U);
    histogram.record(3);
    histogram.record(400);
    histogram.record(20);
    EXPECT_EQ(histogram.count(), 3U);
    EXPECT_EQ(histogram.sum(), 423U);
    EXPECT_EQ(histogram.max(), 400U);
}

} // namespace
