// SPDX-License-Identifier: Apache-2.0
#include <muster/ensure.hpp>

#include <gtest/gtest.h>

namespace {

TEST(EnsureDeathTest, AbortsWithTheExpressionThePlaceAndTheReason) {
    const int members = 3;
    EXPECT_DEATH(
        MUSTER_ENSURE(members < 3, "a cluster of three is full"),
        R"(^muster: .*ensure_test\.cpp:[0-9]+: ENSURE\(members < 3\) failed: a cluster of three is full)");
}

TEST(EnsureDeathTest, ALongReasonIsCutAndStillEndsTheLine) {
    const std::string reason(5000, 'r');
    EXPECT_EXIT(MUSTER_ENSURE(false, reason), testing::KilledBySignal(SIGABRT), "rrrr\n");
}

TEST(Ensure, EvaluatesItsConditionOnce) {
    int evaluated = 0;
    MUSTER_ENSURE(++evaluated == 1, "the first evaluation");
    EXPECT_EQ(evaluated, 1);
}

} // namespace
