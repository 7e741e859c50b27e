// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/failure/phi_accrual.hpp>

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace {

using namespace muster;
using std::chrono::milliseconds;

Instant at(std::int64_t ms) { return Instant{milliseconds{ms}}; }

FailureDetectorSettings without_pause() {
    FailureDetectorSettings settings;
    settings.acceptable_heartbeat_pause = milliseconds{0};
    return settings;
}

TEST(Phi, KeepsItsPrecisionOnBothTails) {
    EXPECT_NEAR(phi(1000, 1000, 100), 0.30103, 1e-5);
    EXPECT_NEAR(phi(1700, 1000, 100), 15.368525622645256, 1e-8);
    EXPECT_DOUBLE_EQ(phi(0, 1000, 100), 0.0);
    // Far beyond what one branch alone could tell apart from certainty.
    EXPECT_GT(phi(2000, 1000, 100), phi(1900, 1000, 100));
    EXPECT_TRUE(std::isfinite(phi(1900, 1000, 100)));
}

TEST(Phi, IsNeverNegativeAndNeverNotANumber) {
    for (const double diff : {0.0, 1.0, 999.0, 1000.0, 1e6, 1e15}) {
        const double value = phi(diff, 1000, 100);
        EXPECT_FALSE(std::isnan(value)) << diff;
        EXPECT_GE(value, 0.0) << diff;
        EXPECT_FALSE(std::signbit(value)) << diff;
    }
    EXPECT_FALSE(std::isnan(phi(0, 0, 0)));
}

TEST(Phi, GrowsWithSilence) {
    double before = 0.0;
    for (double diff = 0; diff < 3000; diff += 50) {
        const double value = phi(diff, 1000, 100);
        EXPECT_GE(value, before) << diff;
        before = value;
    }
}

TEST(HeartbeatHistory, VarianceIsThatOfThePopulation) {
    HeartbeatHistory history(20);
    for (const int sample : {100, 200, 125, 340, 130}) history.add(milliseconds{sample});
    EXPECT_DOUBLE_EQ(history.mean(), 179.0);
    EXPECT_NEAR(history.variance(), 7584.0, 1e-9);
}

TEST(HeartbeatHistory, TheOldestSamplesGoWhenItIsFull) {
    HeartbeatHistory history(3);
    for (const int sample : {100, 110, 90, 140, 1, 2, 3}) history.add(milliseconds{sample});
    EXPECT_EQ(history.size(), 3U);
    EXPECT_DOUBLE_EQ(history.mean(), 2.0);
    EXPECT_NEAR(history.variance(), 2.0 / 3.0, 1e-9);
}

TEST(HeartbeatHistory, ConstantSamplesHaveNoVarianceAtAll) {
    HeartbeatHistory history(1000);
    for (int i = 0; i < 2500; ++i) history.add(milliseconds{333});
    EXPECT_GE(history.variance(), 0.0);
    EXPECT_NEAR(history.std_deviation(), 0.0, 1e-3);
}

TEST(HeartbeatHistory, AbsurdIntervalsDoNotOverflow) {
    HeartbeatHistory history(1000);
    for (int i = 0; i < 2000; ++i) history.add(std::chrono::hours{24 * 365 * 100});
    EXPECT_DOUBLE_EQ(history.mean(), static_cast<double>(HeartbeatHistory::interval_max.count()));
    EXPECT_GE(history.variance(), 0.0);
    history.add(milliseconds{-5});
    EXPECT_LT(history.mean(), static_cast<double>(HeartbeatHistory::interval_max.count()));
}

TEST(PhiAccrual, IsAvailableAndUnmonitoredBeforeTheFirstHeartbeat) {
    const PhiAccrualFailureDetector detector;
    EXPECT_FALSE(detector.is_monitoring());
    EXPECT_TRUE(detector.is_available(at(1'000'000)));
    EXPECT_EQ(detector.phi(at(1'000'000)), 0.0);
}

TEST(PhiAccrual, TheFirstHeartbeatBringsTwoBootstrapSamples) {
    PhiAccrualFailureDetector detector;
    detector.heartbeat(at(0));
    EXPECT_EQ(detector.history().size(), 2U);
    EXPECT_DOUBLE_EQ(detector.history().mean(), 1000.0);
    EXPECT_DOUBLE_EQ(detector.history().std_deviation(), 250.0);
}

TEST(PhiAccrual, WithDefaultsSuspectsAboutFiveAndAHalfSecondsAfterTheLastResponse) {
    PhiAccrualFailureDetector detector;
    for (int i = 0; i <= 30; ++i) detector.heartbeat(at(i * 1000));
    EXPECT_TRUE(detector.is_available(at(30'000 + 4000)));
    EXPECT_FALSE(detector.is_available(at(30'000 + 5700)));
}

TEST(PhiAccrual, TheIntervalThatEndsAnOutageIsNotRecorded) {
    PhiAccrualFailureDetector detector;
    for (int i = 0; i < 100; ++i) detector.heartbeat(at(i * 1000));
    const double before = detector.history().std_deviation();
    const HeartbeatRecorded back = detector.heartbeat(at(99'000 + 300'000));
    EXPECT_FALSE(back.recorded);
    EXPECT_EQ(back.interval, milliseconds{300'000});
    EXPECT_DOUBLE_EQ(detector.history().std_deviation(), before);
    // So the next outage is noticed as fast as the first.
    EXPECT_FALSE(detector.is_available(at(99'000 + 300'000 + 6000)));
}

TEST(PhiAccrual, AnIntervalOfTwoThirdsOfTheAcceptablePauseIsWorthAWarning) {
    PhiAccrualFailureDetector detector;
    detector.heartbeat(at(0));
    EXPECT_FALSE(detector.heartbeat(at(1999)).growing);
    EXPECT_TRUE(detector.heartbeat(at(1999 + 2000)).growing);
}

TEST(PhiAccrual, WithoutAnAcceptablePauseNothingIsGrowing) {
    PhiAccrualFailureDetector detector(without_pause());
    detector.heartbeat(at(0));
    EXPECT_FALSE(detector.heartbeat(at(1000)).growing);
}

TEST(PhiAccrual, UnrecordedHeartbeatsRestartSilenceOnly) {
    PhiAccrualFailureDetector detector;
    detector.heartbeat(at(0));
    detector.heartbeat(at(1000));
    const std::size_t samples = detector.history().size();
    detector.heartbeat_unrecorded(at(60'000));
    EXPECT_EQ(detector.history().size(), samples);
    EXPECT_TRUE(detector.is_available(at(61'000)));
}

TEST(PhiAccrual, ATimeThatStandsStillIsNotAnError) {
    PhiAccrualFailureDetector detector;
    detector.heartbeat(at(5));
    const HeartbeatRecorded again = detector.heartbeat(at(5));
    EXPECT_TRUE(again.recorded);
    EXPECT_EQ(again.interval, milliseconds{0});
}

TEST(PhiAccrualDeathTest, SettingsOutOfRangeAreOurOwnBug) {
    FailureDetectorSettings settings;
    settings.min_std_deviation = milliseconds{0};
    EXPECT_DEATH(PhiAccrualFailureDetector{settings}, "min-std-deviation");
}

TEST(DeadlineDetector, IsAvailableStrictlyBeforeIntervalPlusPause) {
    DeadlineFailureDetector detector(milliseconds{1000}, milliseconds{4000});
    EXPECT_TRUE(detector.is_available(at(1'000'000)));
    EXPECT_FALSE(detector.is_monitoring());
    detector.heartbeat(at(0));
    EXPECT_TRUE(detector.is_monitoring());
    EXPECT_TRUE(detector.is_available(at(4999)));
    EXPECT_FALSE(detector.is_available(at(5000)));
    detector.heartbeat(at(9000));
    EXPECT_TRUE(detector.is_available(at(13'999)));
}

} // namespace
