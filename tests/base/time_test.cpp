// SPDX-License-Identifier: Apache-2.0
#include <muster/time.hpp>

#include <gtest/gtest.h>
#include <limits>
#include <type_traits>

namespace {

using namespace std::chrono_literals;
using muster::Instant;
using muster::WallTime;

TEST(Time, WallTimeMovesByMilliseconds) {
    constexpr WallTime noon{1'000};
    static_assert((noon + 250ms).ms == 1'250);
    static_assert((noon - 2s).ms == -1'000);
    EXPECT_LT(noon - 1ms, noon);
}

TEST(Time, UtcTextIsADateBeforeTheEpochToo) {
    using muster::to_utc;
    EXPECT_EQ(to_utc({1'767'323'045'678}), "2026-01-02T03:04:05.678Z");
    EXPECT_EQ(to_utc({0}), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(to_utc({-1}), "1969-12-31T23:59:59.999Z");
    EXPECT_EQ(to_utc({-86'400'000}), "1969-12-31T00:00:00.000Z");
    EXPECT_EQ(to_utc({std::numeric_limits<std::int64_t>::min()}), "0000-01-01T00:00:00.000Z");
    EXPECT_EQ(to_utc({std::numeric_limits<std::int64_t>::max()}), "9999-12-31T23:59:59.999Z");
}

TEST(Time, InstantHasNanosecondsAndIsUnrelatedToOtherClocks) {
    static_assert(std::is_same_v<Instant::duration, std::chrono::nanoseconds>);
    static_assert(!std::is_convertible_v<std::chrono::steady_clock::time_point, Instant>);
    static_assert(!std::is_convertible_v<Instant, WallTime>);
    EXPECT_EQ((Instant{} + 1us).time_since_epoch().count(), 1'000);
}

} // namespace
