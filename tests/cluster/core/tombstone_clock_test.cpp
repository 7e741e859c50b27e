// SPDX-License-Identifier: Apache-2.0
// Ages of tombstones, and who prunes when (protocol.md §2, Tombstones).
#include "../core_support.hpp"

#include <gtest/gtest.h>

#include "cluster/core/tombstone_clock.hpp"

namespace muster::testing {
namespace {

using std::chrono::minutes;

constexpr Duration step_max = seconds{10};
const UniqueAddress gone = node("gone");
const UniqueAddress other = node("other");

Gossip with_tombstones(std::vector<UniqueAddress> nodes, std::int64_t wall = 0) {
    std::vector<Tombstone> tombstones;
    for (const UniqueAddress& n : nodes) tombstones.push_back({n, WallTime{wall}});
    auto g = Gossip::from_parts({up(a, 1)}, {}, {}, {}, std::move(tombstones));
    MUSTER_ENSURE(g.has_value(), "a test's gossip is well formed");
    return std::move(*g);
}

/// Steps of a second.
void run(TombstoneClock& clock, Instant& now, Duration time, bool counting = true) {
    for (const Instant end = now + time; now < end;) clock.step(now += seconds{1}, counting);
}

TEST(TombstoneClock, AgesOnlyWhileAllDataCentersAreReachable) {
    TombstoneClock clock(step_max);
    Instant now{};
    clock.step(now, true);
    clock.follow(with_tombstones({gone}));
    run(clock, now, minutes{5});
    EXPECT_EQ(clock.older_than(minutes{5}), std::vector{gone});
    EXPECT_TRUE(clock.older_than(minutes{6}).empty());
    run(clock, now, hours{3}, false);
    EXPECT_TRUE(clock.older_than(minutes{6}).empty());
    run(clock, now, minutes{1} + seconds{1}); // the step in which it came back does not count
    EXPECT_EQ(clock.older_than(minutes{6}), std::vector{gone});
}

TEST(TombstoneClock, TheStepInWhichADataCenterCameBackDoesNotCount) {
    TombstoneClock clock(step_max);
    Instant now{};
    clock.step(now, true);
    clock.follow(with_tombstones({gone}));
    clock.step(now += seconds{1}, false); // lost somewhere in it
    clock.step(now += seconds{1}, true);  // back somewhere in it
    clock.step(now += seconds{1}, true);
    EXPECT_EQ(clock.older_than(seconds{1}), std::vector{gone});
    EXPECT_TRUE(clock.older_than(seconds{2}).empty());
}

TEST(TombstoneClock, CountsFromWhenThisNodeLearntOfIt) {
    TombstoneClock clock(step_max);
    Instant now{};
    clock.step(now, true);
    clock.follow(with_tombstones({gone}));
    run(clock, now, minutes{5});
    clock.follow(with_tombstones({gone, other}, -1'000'000'000'000));
    run(clock, now, minutes{5});
    EXPECT_EQ(clock.older_than(minutes{10}), std::vector{gone}) << "the wall time in it says nothing";
}

TEST(TombstoneClock, DoesNotCountThatThisProcessStoodStill) {
    TombstoneClock clock(step_max);
    Instant now{};
    clock.step(now, true);
    clock.follow(with_tombstones({gone}));
    clock.step(now += hours{48}, true);
    EXPECT_TRUE(clock.older_than(step_max + seconds{1}).empty());
}

TEST(TombstoneClock, OneThatComesBackFromWhoHadNotHeardOfItsPruningKeepsItsAge) {
    TombstoneClock clock(step_max);
    Instant now{};
    clock.step(now, true);
    clock.follow(with_tombstones({gone}));
    run(clock, now, minutes{60});
    clock.follow(with_tombstones({}));
    EXPECT_TRUE(clock.older_than({}).empty()) << "only what is there can be pruned";
    run(clock, now, minutes{1});
    clock.follow(with_tombstones({gone}));
    EXPECT_EQ(clock.older_than(minutes{60}), std::vector{gone});
    clock.follow(with_tombstones({}));
    run(clock, now, TombstoneClock::echo);
    clock.follow(with_tombstones({}));
    EXPECT_EQ(clock.size(), 0U) << "ages do not pile up";
}

// --- data centers

Member in(const std::string& dc, const UniqueAddress& n, MemberStatus status = MemberStatus::Up) {
    return {n, status, {"dc-" + dc}, status == MemberStatus::Joining ? Member::never_up : 1};
}
Gossip world(std::vector<Member> far, Reachability rows = {}) {
    far.push_back(in("near", a));
    return gossip_of(far, {}, std::move(rows));
}

TEST(DataCenterWatch, OneIsUnreachableWhenNobodyThereIsReachable) {
    DataCenterWatch watch("near");
    watch.observe(world({in("far", b), in("far", c)}, Reachability{}.unreachable(a, b)));
    EXPECT_TRUE(watch.are_all_reachable());
    watch.observe(world({in("far", b), in("far", c)}, Reachability{}.unreachable(a, b).unreachable(a, c)));
    EXPECT_FALSE(watch.are_all_reachable());
    watch.observe(world({in("far", b), in("far", c)}));
    EXPECT_TRUE(watch.are_all_reachable());
}

TEST(DataCenterWatch, TheOwnOneIsAlwaysReachable) {
    DataCenterWatch watch("near");
    watch.observe(world({in("near", b)}, Reachability{}.unreachable(a, b)));
    EXPECT_TRUE(watch.are_all_reachable());
}

TEST(DataCenterWatch, TheOwnOneIsReachableAlsoWhileThisNodeIsOnItsWayOut) {
    DataCenterWatch watch("near");
    const std::vector members{in("near", a, MemberStatus::Exiting), in("near", b), in("far", c)};
    watch.observe(gossip_of(members, {}, Reachability{}.unreachable(a, b)));
    EXPECT_TRUE(watch.are_all_reachable());
}

TEST(DataCenterWatch, OneWhoseMembersWereAllDownedIsRememberedUntilItIsForgotten) {
    DataCenterWatch watch("near");
    watch.observe(world({in("far", b), in("far", c)}));
    watch.observe(world({in("far", b, MemberStatus::Down), in("far", c, MemberStatus::Down)}));
    EXPECT_FALSE(watch.are_all_reachable());
    watch.observe(world({}));
    EXPECT_FALSE(watch.are_all_reachable());
    EXPECT_EQ(watch.lost().count("far"), 1U);
    EXPECT_FALSE(watch.forget("elsewhere"));
    EXPECT_TRUE(watch.forget("far"));
    EXPECT_TRUE(watch.are_all_reachable());
    EXPECT_FALSE(watch.forget("far"));
}

TEST(DataCenterWatch, OneWhoseMembersLeftIsGone) {
    DataCenterWatch watch("near");
    watch.observe(world({in("far", b), in("far", c)}));
    watch.observe(world({in("far", b), in("far", c, MemberStatus::Down)}));
    watch.observe(world({in("far", b)})); // c was removed, b lives on
    watch.observe(world({in("far", b, MemberStatus::Exiting)}));
    EXPECT_TRUE(watch.are_all_reachable());
    watch.observe(world({}));
    EXPECT_TRUE(watch.are_all_reachable());
    EXPECT_TRUE(watch.lost().empty());
}

TEST(DataCenterWatch, OneThatVanishesFromTheMidstOfLifeIsLost) {
    DataCenterWatch watch("near");
    watch.observe(world({in("far", b), in("far", c, MemberStatus::Leaving)}));
    watch.observe(world({}));
    EXPECT_EQ(watch.lost().count("far"), 1U);
}

TEST(DataCenterWatch, OneOfWhichTheLastWasLeavingWhenAnotherWasDownedIsLost) {
    DataCenterWatch watch("near");
    watch.observe(world({in("far", b, MemberStatus::Down), in("far", c, MemberStatus::Exiting)}));
    watch.observe(world({in("far", c, MemberStatus::Exiting)})); // b lives on elsewhere, perhaps
    watch.observe(world({}));
    EXPECT_EQ(watch.lost().count("far"), 1U);
}

TEST(DataCenterWatch, ALostOneStaysLostWhileNobodyOfItIsReachable) {
    DataCenterWatch watch("near");
    watch.observe(world({in("far", b, MemberStatus::Down)}));
    watch.observe(world({}));
    // It is heard of by gossip, and nobody can talk with it.
    watch.observe(world({in("far", c)}, Reachability{}.unreachable(a, c)));
    EXPECT_EQ(watch.lost().count("far"), 1U);
    watch.observe(world({in("far", c, MemberStatus::Exiting)}, Reachability{}.unreachable(a, c)));
    watch.observe(world({}));
    EXPECT_EQ(watch.lost().count("far"), 1U);
    EXPECT_FALSE(watch.are_all_reachable());
}

TEST(DataCenterWatch, ALostOneIsBackWithItsFirstReachableMember) {
    DataCenterWatch watch("near");
    watch.observe(world({in("far", b, MemberStatus::Down)}));
    watch.observe(world({}));
    ASSERT_FALSE(watch.are_all_reachable());
    watch.observe(world({in("far", c, MemberStatus::Joining)}));
    EXPECT_TRUE(watch.are_all_reachable());
}

// --- the leader

ClusterSettings pruning_after(milliseconds age) {
    ClusterSettings settings = ClusterSettings::classic();
    settings.prune_gossip_tombstones_after = age;
    settings.multi_dc.self_data_center = "near";
    return settings;
}
Gossip with_grave(std::vector<Member> members, Reachability rows = {}) {
    auto g =
        Gossip::from_parts(std::move(members), std::vector{a}, std::move(rows), {}, {{gone, WallTime{1}}});
    MUSTER_ENSURE(g.has_value(), "a test's gossip is well formed");
    return g->increment(a);
}
void tick(ClusterCore& core, int from, int to, Duration wall_ahead = {}) {
    for (int s = from; s <= to; ++s) {
        Effects out;
        Now now = at(seconds{s});
        now.wall.ms += wall_ahead / milliseconds{1};
        core.tick_leader_actions(now, out);
    }
}

TEST(Leader, PrunesATombstoneThatItHasKnownForSoLong) {
    ClusterCore core = core_with(a, with_grave({in("near", a)}), pruning_after(seconds{30}));
    tick(core, 1, 29);
    EXPECT_TRUE(core.is_tombstoned(gone)) << "its wall time is long past, its age is not";
    tick(core, 30, 31);
    EXPECT_FALSE(core.is_tombstoned(gone)) << "or the table would grow for ever";
}

TEST(Leader, WithAWallClockTwoDaysAheadPrunesNothing) {
    ClusterCore core = core_with(a, with_grave({in("near", a)}), pruning_after(hours{24}));
    tick(core, 1, 3600, hours{48});
    EXPECT_TRUE(core.is_tombstoned(gone));
}

TEST(Leader, PrunesNothingWhileADataCenterIsUnreachable) {
    ClusterCore core =
        core_with(a, with_grave({in("near", a), in("far", b)}, Reachability{}.unreachable(a, b)),
                  pruning_after(seconds{30}));
    tick(core, 1, 600);
    EXPECT_TRUE(core.is_tombstoned(gone));
}

TEST(Leader, PrunesNothingHoweverOftenTheRowsChangeWhileADataCenterIsUnreachable) {
    // Each change is an occasion to count, besides the leader's own.
    const std::vector members{in("near", a), in("near", d), in("far", b)};
    const Reachability cut = Reachability{}.unreachable(a, b);
    ClusterCore core = core_with(a, with_grave(members, cut), pruning_after(seconds{30}));
    Gossip next = core.state()->latest();
    for (int s = 1; s <= 100; ++s) {
        const Reachability& rows = next.reachability();
        next =
            next.with_reachability(s % 2 == 1 ? rows.unreachable(d, b) : rows.reachable(d, b)).increment(d);
        tell(core, envelope(d, a, next), seconds{s});
        ASSERT_EQ(core.state()->latest().reachability().status(d, b) == ReachabilityStatus::Unreachable,
                  s % 2 == 1);
    }
    const Gossip& held = core.state()->latest();
    tell(core, envelope(d, a, held.seen(d)), seconds{100}); // or a leader may not act
    tick(core, 101, 102);
    EXPECT_TRUE(core.is_tombstoned(gone));
}

TEST(Leader, ADataCenterThatIsLostIsWarnedOfOnceByNameWithTheCommandThatForgetsIt) {
    ClusterCore core =
        core_with(a, with_grave({in("near", a), in("far", b)}, Reachability{}.unreachable(a, b)),
                  pruning_after(seconds{30}));
    Effects out;
    core.down(b.address(), at(), out);
    for (int s = 1; s <= 100; ++s) core.tick_leader_actions(at(seconds{s}), out);
    ASSERT_EQ(status_in(core, b), MemberStatus::Removed);
    std::vector<effect::Log> warnings;
    for (const auto& l : of_type<effect::Log>(out))
        if (l.code == "cluster.data_center.lost") warnings.push_back(l);
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_EQ(warnings[0].level, LogLevel::Warning);
    std::string fields;
    for (const auto& [name, value] : warnings[0].fields) fields += name + '=' + value + ' ';
    EXPECT_NE(fields.find("data_center=far"), std::string::npos) << fields;
    EXPECT_NE(fields.find("forget-data-center"), std::string::npos) << fields;
}

TEST(Leader, PrunesAgainWhenTheOperatorForgetsTheLostDataCenter) {
    ClusterCore core =
        core_with(a, with_grave({in("near", a), in("far", b)}, Reachability{}.unreachable(a, b)),
                  pruning_after(seconds{30}));
    Effects out;
    core.down(b.address(), at(), out);
    tick(core, 1, 100);
    ASSERT_EQ(status_in(core, b), MemberStatus::Removed);
    EXPECT_EQ(core.lost_data_centers(), std::vector<std::string>{"far"});
    EXPECT_TRUE(core.is_tombstoned(gone));
    const auto wrong = core.forget_data_center("fra", at(seconds{100}), out);
    ASSERT_FALSE(wrong);
    EXPECT_NE(wrong.error().message().find("far"), std::string::npos) << wrong.error().message();
    EXPECT_TRUE(core.forget_data_center("far", at(seconds{100}), out));
    EXPECT_TRUE(core.lost_data_centers().empty());
    tick(core, 101, 140);
    EXPECT_FALSE(core.is_tombstoned(gone));
}

TEST(Leader, ANewOneCountsFromWhenItLearntOfTheTombstone) {
    // b led for long and a joined late: what a knows of the tombstone's age is its own.
    ClusterCore core =
        core_with(a, gossip_of({in("near", a), in("near", b)}, {a, b}), pruning_after(seconds{30}));
    tick(core, 1, 20);
    auto later =
        Gossip::from_parts({in("near", a), in("near", b)}, std::vector{a, b}, {},
                           VectorClock::from_entries({{a.key(), 1}, {b.key(), 9}}), {{gone, WallTime{1}}});
    ASSERT_TRUE(later);
    tell(core, envelope(b, a, *later), seconds{20});
    ASSERT_TRUE(core.is_tombstoned(gone));
    tick(core, 21, 49);
    EXPECT_TRUE(core.is_tombstoned(gone));
    tick(core, 50, 52);
    EXPECT_FALSE(core.is_tombstoned(gone));
}

} // namespace
} // namespace muster::testing
