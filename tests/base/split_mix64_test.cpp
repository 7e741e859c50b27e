// SPDX-License-Identifier: Apache-2.0
#include "base/split_mix64.hpp"

#include <gtest/gtest.h>

namespace muster {
namespace {

// Every seed in a bug report is worth what this test is: with other numbers it is another run.
TEST(SplitMix64, GivesThePublishedNumbers) {
    SplitMix64 random(1234567);
    EXPECT_EQ(random(), 6457827717110365317U);
    EXPECT_EQ(random(), 3203168211198807973U);
    EXPECT_EQ(random(), 9817491932198370423U);
    EXPECT_EQ(random(), 4593380528125082431U);
    EXPECT_EQ(random(), 16408922859458223821U);
}

TEST(SplitMix64, ACopyRepeatsWhatIsToCome) {
    SplitMix64 random(7);
    random();
    SplitMix64 copy = random;
    EXPECT_EQ(random(), copy());
}

} // namespace
} // namespace muster
