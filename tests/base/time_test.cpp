#include <muster/time.hpp>

#include <gtest/gtest.h>
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

TEST(Time, InstantHasNanosecondsAndIsUnrelatedToOtherClocks) {
    static_assert(std::is_same_v<Instant::duration, std::chrono::nanoseconds>);
    static_assert(!std::is_convertible_v<std::chrono::steady_clock::time_point, Instant>);
    static_assert(!std::is_convertible_v<Instant, WallTime>);
    EXPECT_EQ((Instant{} + 1us).time_since_epoch().count(), 1'000);
}

} // namespace
