// SPDX-License-Identifier: Apache-2.0
// Removed incarnations, apart from the core (protocol.md §16).
#include "cluster/core/quarantine.hpp"

#include "../core_support.hpp"
#include <gtest/gtest.h>

namespace {

using namespace muster;
using namespace muster::testing;

constexpr Duration after = seconds{5};

TEST(Quarantine, TakesADownedIncarnationAtOnce) {
    Quarantine quarantine(after);
    Effects out;
    quarantine.on_removed(a, MemberStatus::Down, out);
    const auto taken = of_type<effect::Quarantine>(out);
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_EQ(taken[0].node, a);
    EXPECT_FALSE(taken[0].harmless);
    EXPECT_EQ(quarantine.size(), 0U);
}

TEST(Quarantine, TakesWhoLeftInPeaceWhenItsTimerFiresAndOnlyOnce) {
    Quarantine quarantine(after);
    Effects out;
    quarantine.on_removed(a, MemberStatus::Exiting, out);
    const auto timers = of_type<effect::SetTimer>(out);
    ASSERT_EQ(timers.size(), 1U);
    EXPECT_EQ(timers[0].delay, after);
    EXPECT_TRUE(of_type<effect::Quarantine>(out).empty());
    quarantine.check();

    out.clear();
    quarantine.on_timer(timers[0].key.number, out);
    const auto taken = of_type<effect::Quarantine>(out);
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_TRUE(taken[0].harmless);
    quarantine.on_timer(timers[0].key.number, out);
    EXPECT_EQ(of_type<effect::Quarantine>(out).size(), 1U);
    quarantine.check();
}

TEST(Quarantine, TakesAllThatLeftAnAddressWhenItJoinsAgain) {
    Quarantine quarantine(after);
    Effects out;
    quarantine.on_removed(node("a", -7), MemberStatus::Exiting, out);
    quarantine.on_removed(node("a", 7), MemberStatus::Exiting, out);
    quarantine.on_removed(b, MemberStatus::Exiting, out);
    const auto timers = of_type<effect::SetTimer>(out);
    out.clear();
    quarantine.on_joining(a.address(), out);
    EXPECT_EQ(of_type<effect::Quarantine>(out).size(), 2U);
    const auto cancelled = of_type<effect::CancelTimer>(out);
    ASSERT_EQ(cancelled.size(), 2U);
    EXPECT_EQ(cancelled[0].key, timers[0].key);
    EXPECT_EQ(cancelled[1].key, timers[1].key);
    EXPECT_EQ(quarantine.size(), 1U);
    quarantine.check();
}

} // namespace
