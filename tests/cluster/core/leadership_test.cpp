// SPDX-License-Identifier: Apache-2.0
// The leader's work, apart from the core (protocol.md §8, §9).
#include "cluster/core/leadership.hpp"

#include "subject_support.hpp"
#include <gtest/gtest.h>

namespace {

using namespace muster;
using namespace muster::testing;

MemberStatus status_in(const Gossip& g, const UniqueAddress& n) {
    const Member* m = g.find(n);
    return m == nullptr ? MemberStatus::Removed : m->status();
}

TEST(Leadership, MovesJoiningMembersUpAndThenHasNothingToDo) {
    CoreState core = core_of(a, gossip_of({up(a, 1), member(b, MemberStatus::Joining)}, {a, b}));
    Leadership leadership(core);
    Effects out;
    const auto step = leadership.act({}, WallTime{1}, out);
    ASSERT_TRUE(step.has_value());
    EXPECT_EQ(status_in(step->next, b), MemberStatus::Up);
    EXPECT_EQ(counted(out, "cluster.leader.moved"), 1U);
    core.local_change(step->next);
    EXPECT_FALSE(leadership.act({}, WallTime{1}, out).has_value());
    leadership.check();
}

TEST(Leadership, NamesWhoBecomesExiting) {
    CoreState core = core_of(a, gossip_of({up(a, 1), member(b, MemberStatus::Leaving, 2)}, {a, b}));
    Leadership leadership(core);
    Effects out;
    const auto step = leadership.act({}, WallTime{1}, out);
    ASSERT_TRUE(step.has_value());
    EXPECT_EQ(step->exiting, std::vector{b});
}

TEST(Leadership, RemovesAnExitingMemberOnceItConfirmed) {
    CoreState core = core_of(a, gossip_of({up(a, 1), member(b, MemberStatus::Exiting, 2)}, {a, b}));
    Leadership leadership(core);
    Effects out;
    EXPECT_FALSE(leadership.act({}, WallTime{1}, out).has_value());
    leadership.confirm_exit(b);
    leadership.confirm_exit(b);
    leadership.check();
    EXPECT_EQ(leadership.excused({}), std::vector{b});
    const auto step = leadership.act({}, WallTime{1}, out);
    ASSERT_TRUE(step.has_value());
    EXPECT_FALSE(step->next.has_member(b));
    EXPECT_TRUE(leadership.excused({}).empty()); // it is gone
}

TEST(Leadership, ExcusesTheConfirmedAndTheDepartedInOrder) {
    CoreState core = core_of(a, all_up({a, b, c, d}));
    Leadership leadership(core);
    leadership.restore({d, b});
    EXPECT_EQ(leadership.excused(std::vector{c}), (std::vector{b, c, d}));
    core.install(core.gossip().remove(std::vector{b}, WallTime{1}));
    leadership.forget_strangers();
    EXPECT_EQ(leadership.excused({}), std::vector{d});
}

TEST(Leadership, PrunesWhatExpired) {
    CoreState core = core_of(a, all_up({a, b}).remove(std::vector{b}, WallTime{1}));
    Leadership leadership(core);
    Effects out;
    EXPECT_FALSE(leadership.act({}, WallTime{1}, out).has_value());
    const auto step = leadership.act({b}, WallTime{1}, out);
    ASSERT_TRUE(step.has_value());
    EXPECT_FALSE(step->next.is_tombstoned(b));
}

TEST(Leadership, WithoutConvergenceJoiningMembersBecomeWeaklyUpAfterTheirTime) {
    ClusterSettings settings;
    settings.leader_actions_interval = seconds{1};
    settings.allow_weakly_up_members = seconds{3};
    CoreState core = core_of(a, gossip_of({up(a, 1), member(b, MemberStatus::Joining)}, {a}), settings);
    Leadership leadership(core);
    Effects out;
    EXPECT_FALSE(leadership.wait(out).weakly_up.has_value());
    EXPECT_FALSE(leadership.wait(out).weakly_up.has_value());
    const auto wait = leadership.wait(out);
    ASSERT_TRUE(wait.weakly_up.has_value());
    EXPECT_EQ(status_in(*wait.weakly_up, b), MemberStatus::WeaklyUp);
}

TEST(Leadership, SaysWhyAfterTwentyTicksAndThatItActsAgain) {
    CoreState core = core_of(a, gossip_of({up(a, 1), up(b, 2)}, {a}));
    Leadership leadership(core);
    Effects out;
    for (int tick = 1; tick <= 19; ++tick) EXPECT_FALSE(leadership.wait(out).is_stuck) << tick;
    EXPECT_TRUE(leadership.wait(out).is_stuck);
    EXPECT_EQ(leadership.report({}, {}, false).not_converged_ticks, 20U);
    EXPECT_EQ(leadership.report({}, {}, false).not_seen, std::vector{b});
    leadership.note_convergence(out);
    EXPECT_TRUE(logged(out, "cluster.leader.acts_again"));
    EXPECT_EQ(leadership.report({}, {}, false).not_converged_ticks, 0U);
}

} // namespace
