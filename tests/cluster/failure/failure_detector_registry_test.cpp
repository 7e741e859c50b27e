// SPDX-License-Identifier: Apache-2.0
#include "../sbr_support.hpp"

#include <gtest/gtest.h>
#include <muster/cluster/failure/failure_detector_registry.hpp>
#include <muster/cluster/failure/heartbeat_state.hpp>

namespace {

using namespace muster;
using std::chrono::milliseconds;
using test::node;

Instant ms(std::int64_t t) { return Instant{milliseconds{t}}; }

TEST(FailureDetectorRegistry, AnUnknownNodeIsAvailableAndNotMonitored) {
    const HeartbeatState registry;
    EXPECT_TRUE(registry.is_available(node("a"), ms(1'000'000)));
    EXPECT_FALSE(registry.is_monitoring(node("a")));
    EXPECT_EQ(registry.phi(node("a"), ms(1'000'000)), 0.0);
}

TEST(FailureDetectorRegistry, ALateResponseOfAnOldIncarnationDoesNotFeedItsSuccessor) {
    HeartbeatState registry;
    registry.heartbeat(node("a", 1), ms(0));
    registry.heartbeat(node("a", 2), ms(0));
    for (int i = 1; i < 60; ++i) registry.heartbeat(node("a", 1), ms(i * 1000));
    EXPECT_TRUE(registry.is_available(node("a", 1), ms(60'000)));
    EXPECT_FALSE(registry.is_available(node("a", 2), ms(60'000)));
}

TEST(FailureDetectorRegistry, RemovingAnAddressForgetsEveryIncarnationOfItOnly) {
    HeartbeatState registry;
    for (const auto& n : {node("a", 1), node("a", 2), node("b", 1)}) registry.heartbeat(n, ms(0));
    registry.remove(node("a").address());
    EXPECT_FALSE(registry.is_monitoring(node("a", 1)));
    EXPECT_FALSE(registry.is_monitoring(node("a", 2)));
    EXPECT_TRUE(registry.is_monitoring(node("b", 1)));
}

TEST(FailureDetectorRegistry, ADeadNodeIsUnavailableWhateverTheDetectorThinks) {
    HeartbeatState registry;
    registry.heartbeat(node("a"), ms(0));
    registry.mark_dead(node("a"));
    registry.mark_dead(node("never-heard"));
    EXPECT_FALSE(registry.is_available(node("a"), ms(1)));
    EXPECT_FALSE(registry.is_available(node("never-heard"), ms(1)));
    EXPECT_EQ(registry.unavailable(ms(1)), (std::vector{node("a"), node("never-heard")}));
}

TEST(FailureDetectorRegistry, AHeartbeatUndoesMarkDeadAndItsIntervalIsNotRecorded) {
    HeartbeatState registry;
    registry.heartbeat(node("a"), ms(0));
    registry.heartbeat(node("a"), ms(1000));
    const std::size_t samples = registry.find(node("a"))->history().size();
    registry.mark_dead(node("a"));
    EXPECT_FALSE(registry.heartbeat(node("a"), ms(1500)).recorded);
    EXPECT_FALSE(registry.is_dead(node("a")));
    EXPECT_TRUE(registry.is_available(node("a"), ms(1500)));
    EXPECT_EQ(registry.find(node("a"))->history().size(), samples);
    EXPECT_TRUE(registry.heartbeat(node("a"), ms(2500)).recorded);
}

TEST(FailureDetectorRegistry, AHandshakeUndoesMarkDeadAndTheNextIntervalIsNotRecorded) {
    HeartbeatState registry;
    registry.heartbeat(node("a"), ms(0));
    registry.mark_dead(node("a"));
    registry.revive(node("a"), ms(60'000));
    EXPECT_TRUE(registry.is_available(node("a"), ms(60'500)));
    EXPECT_FALSE(registry.heartbeat(node("a"), ms(60'500)).recorded);
    EXPECT_TRUE(registry.heartbeat(node("a"), ms(61'500)).recorded);
}

TEST(FailureDetectorRegistry, AHandshakeOfANodeNotMarkedChangesNothing) {
    HeartbeatState registry;
    registry.revive(node("a"), ms(0));
    EXPECT_FALSE(registry.is_monitoring(node("a")));
    registry.heartbeat(node("a"), ms(0));
    registry.revive(node("a"), ms(5000));
    EXPECT_EQ(registry.find(node("a"))->last_heartbeat(), ms(0));
}

TEST(HeartbeatState, HasTheDefaultsOfTheReference) {
    HeartbeatState state;
    state.heartbeat(node("a"), ms(0));
    const PhiAccrualFailureDetector& detector = *state.find(node("a"));
    EXPECT_EQ(detector.threshold(), 8.0);
    EXPECT_DOUBLE_EQ(detector.history().mean(), 1000.0);
    EXPECT_TRUE(state.is_available(node("a"), ms(3500)));
    EXPECT_GT(state.phi(node("a"), ms(10'000)), 8.0);
}

TEST(FailureDetectorRegistry, WorksForDeadlineDetectorsToo) {
    FailureDetectorRegistry<DeadlineFailureDetector> registry;
    registry.heartbeat(node("a"), ms(0));
    EXPECT_TRUE(registry.is_available(node("a"), ms(12'999)));
    EXPECT_FALSE(registry.is_available(node("a"), ms(13'000)));
    registry.mark_dead(node("a"));
    registry.heartbeat(node("a"), ms(20'000));
    EXPECT_TRUE(registry.is_available(node("a"), ms(20'001)));
}

} // namespace
