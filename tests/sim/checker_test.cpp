// SPDX-License-Identifier: Apache-2.0
/// The checker notices each thing it promises to notice, and nothing where nothing is wrong.
#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <muster/cluster/compat/multi_dc.hpp>
#include <muster/cluster/sbr/record.hpp>
#include <muster/sim/world.hpp>
#include <muster/sim/world/checker.hpp>

namespace muster::sim::test {
namespace {

using namespace std::chrono_literals;

/// The invariant that `action` breaks; empty: none.
template <class Action>
std::string broken_by(Action action) {
    try {
        action();
    } catch (const Violation& violation) {
        return violation.invariant;
    }
    return {};
}

// ---- states that no correct node publishes

class CheckedStates : public testing::Test {
protected:
    CheckedStates() {
        for (std::size_t n = 0; n < 3; ++n) {
            world.checker().configure(n, configs[n]);
            world.start(n);
        }
    }
    UniqueAddress node(std::size_t n) const { return *world[n].identity; }
    Member member(std::size_t n, MemberStatus status = MemberStatus::Up,
                  std::int32_t number = Member::never_up) const {
        return {node(n), status, {}, number};
    }
    /// Node `viewer` publishes a state with these parts; seen by nobody but those named.
    void publish(std::size_t viewer, std::vector<Member> members, std::vector<std::size_t> seen = {},
                 Reachability rows = {}, std::vector<std::size_t> tombstones = {},
                 std::string data_center = "default") {
        std::vector<UniqueAddress> seen_by;
        for (const std::size_t n : seen) seen_by.push_back(node(n));
        std::vector<Tombstone> graves;
        for (const std::size_t n : tombstones) graves.push_back({node(n), WallTime{1}});
        auto gossip = Gossip::from_parts(std::move(members), seen_by, std::move(rows),
                                         VectorClock::from_entries(clock), graves);
        ASSERT_TRUE(gossip.has_value());
        configs[viewer].daemon.observer(std::make_shared<MembershipState>(
            node(viewer), data_center, std::make_shared<const Gossip>(*std::move(gossip))));
    }
    std::string broken() {
        return broken_by([this] { world.checker().stepped(0); });
    }

    World world{{.seed = 3, .nodes = 3}};
    std::array<RemoteAdapterConfig, 3> configs;
    std::vector<VectorClock::Entry> clock;
};

TEST_F(CheckedStates, AMemberThatComesAndClimbsIsFine) {
    publish(0, {member(0, MemberStatus::Joining)}, {0});
    publish(0, {member(0, MemberStatus::Up, 1), member(1, MemberStatus::Joining)}, {0});
    publish(0, {member(0, MemberStatus::Up, 1), member(1, MemberStatus::Up, 2)}, {0});
    publish(0, {member(0, MemberStatus::Up, 1)}, {0}, {}, {1});
    EXPECT_EQ(broken(), "");
}

TEST_F(CheckedStates, NoStatusGoesBack) {
    publish(0, {member(0), member(1, MemberStatus::Leaving)}, {0});
    publish(0, {member(0), member(1, MemberStatus::Up)}, {0});
    EXPECT_EQ(broken(), "status-went-back");
}

TEST_F(CheckedStates, NoNumberGrows) {
    publish(0, {member(0, MemberStatus::Up, 1)}, {0});
    publish(0, {member(0, MemberStatus::Up, 2)}, {0});
    EXPECT_EQ(broken(), "status-went-back");
}

TEST_F(CheckedStates, NobodyVanishesWithoutATombstone) {
    publish(0, {member(0), member(1)}, {0});
    publish(0, {member(0)}, {0});
    EXPECT_EQ(broken(), "vanished");
}

TEST_F(CheckedStates, NobodyReappears) {
    world.checker().protect({}); // that it was removed is fine
    publish(0, {member(0)}, {0}, {}, {1});
    publish(0, {member(0), member(1)}, {0});
    EXPECT_EQ(broken(), "removed-reappears");
}

TEST_F(CheckedStates, OneVersionHasOneContent) {
    publish(0, {member(0), member(1)}, {0});
    // version_id covers everything that is compared, so only a forged one could differ: nodes that agree are
    // fine.
    publish(1, {member(0), member(1)}, {0, 1});
    EXPECT_EQ(broken(), "");
}

TEST_F(CheckedStates, OneClockHasOneContent) {
    clock = {{node(0).key(), 1}};
    publish(0, {member(0), member(1)}, {0});
    publish(1, {member(0), member(1, MemberStatus::Leaving)}, {1});
    EXPECT_EQ(broken(), "clock-content");
}

TEST_F(CheckedStates, ASecondHolderAndAnotherClockAreFine) {
    clock = {{node(0).key(), 1}};
    publish(0, {member(0), member(1)}, {0});
    publish(1, {member(0), member(1)}, {0, 1});
    clock = {{node(0).key(), 1}, {node(1).key(), 1}};
    publish(1, {member(0), member(1, MemberStatus::Leaving)}, {1});
    EXPECT_EQ(broken(), "");
}

TEST_F(CheckedStates, WhoCountsAsHavingSeenHeldIt) {
    publish(0, {member(0), member(1)}, {0});
    publish(0, {member(0), member(1)}, {0, 1});
    EXPECT_EQ(broken(), "seen-unheld");
}

TEST_F(CheckedStates, WhoHeldItUnseenHasNotSeenIt) {
    publish(1, {member(0), member(1)}, {});
    publish(0, {member(0), member(1)}, {0, 1});
    EXPECT_EQ(broken(), "seen-unheld");
}

TEST_F(CheckedStates, TheClockHasNoMoreEntriesThanMembers) {
    clock = {{node(0).key(), 1}, {node(1).key(), 1}};
    publish(0, {member(0)}, {0});
    EXPECT_EQ(broken(), "clock-too-large");
}

TEST_F(CheckedStates, NoNumberIsGivenTwice) {
    publish(0, {member(0, MemberStatus::Up, 1), member(1, MemberStatus::Up, 1)}, {0});
    EXPECT_EQ(broken(), "number-twice");
}

TEST_F(CheckedStates, ANumberMayBeGivenAgainWhenItsLeaderIsLost) {
    publish(1, {member(0), member(1, MemberStatus::Up, 1)}, {1});
    world.crash(1);
    publish(0, {member(0, MemberStatus::Up, 1), member(1, MemberStatus::Up, 1)}, {0});
    EXPECT_EQ(broken(), "");
}

TEST_F(CheckedStates, TerminatedIsFinal) {
    const auto terminated = Reachability{}.terminated(node(0), node(1));
    publish(0, {member(0), member(1)}, {0}, terminated);
    publish(0, {member(0), member(1)}, {0},
            Reachability({{node(0), node(1), ReachabilityStatus::Unreachable, 2}}, {{node(0), 2}}));
    EXPECT_EQ(broken(), "terminated-undone");
}

TEST_F(CheckedStates, ANodeIsMemberOfItsFirstState) {
    publish(0, {member(1)}, {});
    EXPECT_EQ(broken(), "joined-without-asking");
}

TEST_F(CheckedStates, AnExitingMemberEndsItsTasksFirst) {
    publish(0, {member(0), member(1, MemberStatus::Exiting)}, {0});
    publish(0, {member(0)}, {0}, {}, {1});
    EXPECT_EQ(broken(), "exiting-cut-short");
}

TEST_F(CheckedStates, AnExitingMemberThatWasUnreachableMayGo) {
    publish(0, {member(0), member(1, MemberStatus::Exiting)}, {0},
            Reachability{}.unreachable(node(0), node(1)));
    publish(0, {member(0)}, {0}, {}, {1});
    EXPECT_EQ(broken(), "");
}

TEST_F(CheckedStates, AnotherDataCenterMayRemoveWhoIsExitingAtOnce) {
    publish(0, {member(0), member(1, MemberStatus::Exiting)}, {0});
    const Member elsewhere{node(2), MemberStatus::Up, {"dc-far"}, Member::never_up};
    publish(2, {elsewhere}, {2}, {}, {}, "far");
    publish(0, {member(0)}, {0}, {}, {1}); // nobody of the other one is a member any more
    EXPECT_EQ(broken(), "");
}

TEST_F(CheckedStates, AHealthyNodeIsNotDowned) {
    publish(0, {member(0), member(1, MemberStatus::Down)}, {0});
    EXPECT_EQ(broken(), "healthy-downed");
}

TEST_F(CheckedStates, ADisturbedNodeMayBeDowned) {
    world.pause(2, 10s);
    publish(0, {member(0), member(2, MemberStatus::Down)}, {0});
    EXPECT_EQ(broken(), "");
}

TEST_F(CheckedStates, OnlyWhoIsProtectedMustNotBeDowned) {
    world.checker().protect({0, 1});
    publish(0, {member(0), member(2, MemberStatus::Down)}, {0});
    EXPECT_EQ(broken(), "");
    publish(0, {member(0), member(1, MemberStatus::Down), member(2, MemberStatus::Down)}, {0});
    EXPECT_EQ(broken(), "healthy-downed");
}

TEST_F(CheckedStates, ADownedNodeBeginsToStopWithinTwelveSecondsInWhichItRuns) {
    world.checker().protect({});
    publish(0, {member(0, MemberStatus::Down)}, {0});
    const auto seconds = [this](int count) {
        return broken_by([&] {
            for (; count > 0; --count) world.checker().second();
        });
    };
    EXPECT_EQ(seconds(6), "");
    world.pause(0, 60s);
    EXPECT_EQ(seconds(20), "") << "it is paused";
    world[0].runtime->resume();
    EXPECT_EQ(seconds(6), "");
    EXPECT_EQ(seconds(1), "downed-lives");
}

TEST_F(CheckedStates, WhatWasFoundIsThrownAfterTheStep) {
    world.checker().report("of-my-own", "found elsewhere");
    EXPECT_EQ(broken_by([this] { world.run_for(1s); }), "of-my-own");
}

// ---- tells

/// The workload's own tells, changed on the way.
class CheckedTells : public testing::Test {
protected:
    CheckedTells() : world(options()) {
        world.start_all();
        EXPECT_TRUE(world.run_until_agreed(30s));
        tap = world.checker().make_sink(1);
    }
    WorldOptions options() {
        WorldOptions o{.seed = 3, .nodes = 3};
        o.make_sink = [this](std::size_t) { return std::make_shared<Keep>(kept); };
        return o;
    }
    /// The next tell of node 0 to node 1, as it left.
    std::vector<std::byte> next(std::size_t bytes = 100) {
        kept.clear();
        EXPECT_EQ(world.checker().tell(0, 1, bytes), TellResult::Queued);
        world.run_for(1s);
        return kept.at(0);
    }
    std::string broken_by_delivering(const std::vector<std::byte>& payload) {
        tap->deliver("/user/workload", "sim-numbered", Slice::copy_of(payload), {});
        return broken_by([this] { world.checker().stepped(1); });
    }

    struct Keep final : RemoteMessageSink {
        explicit Keep(std::vector<std::vector<std::byte>>& to) : kept(to) {}
        void deliver(std::string_view, std::string_view, const Slice& payload,
                     std::optional<std::string_view>) override {
            kept.emplace_back(payload.bytes().begin(), payload.bytes().end());
        }
        std::vector<std::vector<std::byte>>& kept;
    };
    std::vector<std::vector<std::byte>> kept;
    World world;
    std::shared_ptr<RemoteMessageSink> tap;
};

TEST_F(CheckedTells, InOrderAndOnceIsFine) {
    EXPECT_EQ(broken_by_delivering(next()), "");
    next(); // one is lost
    EXPECT_EQ(broken_by_delivering(next()), "");
    EXPECT_EQ(world.checker().tells_delivered(), 2U);
}

TEST_F(CheckedTells, NoneArrivesTwice) {
    const auto tell = next();
    EXPECT_EQ(broken_by_delivering(tell), "");
    EXPECT_EQ(broken_by_delivering(tell), "tell-twice");
}

TEST_F(CheckedTells, NoneOvertakesAnother) {
    const auto first = next();
    EXPECT_EQ(broken_by_delivering(next()), "");
    EXPECT_EQ(broken_by_delivering(first), "tell-order");
}

TEST_F(CheckedTells, NoneReachesAnotherAddress) {
    const auto tell = next();
    tap = world.checker().make_sink(2);
    EXPECT_EQ(broken_by_delivering(tell), "tell-wrong-node");
}

TEST_F(CheckedTells, NoByteChanges) {
    auto tell = next();
    tell.back() ^= std::byte{1};
    EXPECT_EQ(broken_by_delivering(tell), "tell-changed");
}

TEST_F(CheckedTells, NoneReachesALaterIncarnationThanItWasAcceptedFor) {
    world.run_for(10s);
    EXPECT_EQ(broken_by_delivering(next()), "");
    const auto tell = next(); // accepted while its receiver lived
    world.crash(1);
    world.start(1);
    EXPECT_EQ(broken_by_delivering(tell), "tell-wrong-incarnation");
}

// ---- the whole

TEST(Checker, AWorldInWhichNothingHappensIsFineUntilItsEnd) {
    World world({.seed = 3, .nodes = 4});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.run_for(60s);
    world.leave(3);
    world.run_for(20s);
    EXPECT_EQ(broken_by([&] { world.checker().at_rest(); }), "tell-lost-at-rest")
        << "this world records its tells itself";
    for (const std::size_t n : world.running()) world.crash(n);
    EXPECT_EQ(broken_by([&] { world.checker().at_end(); }), "");
}

TEST(Checker, WhoDoesNotAgreeIsNotAtRest) {
    World world({.seed = 3, .nodes = 4});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.pause(3, 1h);
    world.run_for(8s);
    EXPECT_EQ(broken_by([&] { world.checker().at_rest(); }), "no-agreement");
}

/// Six nodes of which each is monitored by two, so that the ring matters; at rest.
class MonitoredByTwo : public testing::Test {
protected:
    MonitoredByTwo() {
        WorldOptions options{.seed = 3, .nodes = 6};
        options.config.daemon.cluster.failure_detector.monitored_by_nr_of_members = 2;
        options.make_sink = [this](std::size_t node) { return world->checker().make_sink(node); };
        world.emplace(std::move(options));
        world->start_all();
        EXPECT_TRUE(world->run_until_agreed(30s)) << world->disagreement();
        world->run_for(5s);
    }
    /// From now on the checker believes that a node was started with this setting.
    void promise(std::size_t node, std::size_t monitored_by) {
        RemoteAdapterConfig config = WorldOptions::default_config();
        config.daemon.cluster.failure_detector.monitored_by_nr_of_members = monitored_by;
        world->checker().configure(node, config);
    }
    std::string broken_at_rest() {
        return broken_by([this] { world->checker().at_rest(); });
    }
    std::optional<World> world;
};

TEST_F(MonitoredByTwo, EachIsWatchedByTwoAndThatIsEnough) {
    for (std::size_t node = 0; node < 6; ++node) EXPECT_EQ((*world)[node].daemon().monitored().size(), 2U);
    EXPECT_EQ(broken_at_rest(), "");
}

TEST_F(MonitoredByTwo, WhoIsWatchedByFewerThanPromisedIsUnwatched) {
    for (std::size_t node = 0; node < 6; ++node) promise(node, 3);
    EXPECT_EQ(broken_at_rest(), "unwatched");
}

TEST_F(MonitoredByTwo, TheLeastThatANodePromisesCounts) {
    for (std::size_t node = 0; node < 6; ++node) promise(node, node == 4 ? 2 : 9);
    EXPECT_EQ(broken_at_rest(), "");
}

TEST(Checker, InASmallClusterEverybodyWatchesEverybodyElse) {
    World world({.seed = 3, .nodes = 4});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    for (std::size_t node = 0; node < 4; ++node) EXPECT_EQ(world[node].daemon().monitored().size(), 3U);
}

// ---- the resolver's patience

/// Four nodes, of which the last has just become unreachable for node 0.
class CheckedDecisions : public testing::Test {
protected:
    CheckedDecisions() : world({.seed = 3, .nodes = 4}) {
        world.start_all();
        EXPECT_TRUE(world.run_until_agreed(30s));
        world.run_for(5s);
        world.power_off(3);
        EXPECT_TRUE(world.run_until([this] { return cannot_reach(0, 3); }, 20s));
    }
    bool cannot_reach(std::size_t viewer, std::size_t subject) {
        return !world[viewer].snapshot().state->latest().reachability().is_reachable(
            *world[subject].identity);
    }
    /// What the checker says of a decision that node 0 takes now.
    std::string broken_by_deciding(SbrTrigger trigger) {
        SbrDecisionRecord decision;
        decision.trigger = trigger;
        world.checker().decided(0, decision);
        return broken_by([this] { world.checker().stepped(0); });
    }
    World world;
};

TEST_F(CheckedDecisions, ThoseOfAWellResolverAreFine) {
    world.run_for(20s);
    EXPECT_FALSE(world[0].daemon().decisions().empty());
    EXPECT_FALSE(world[0].snapshot().state->latest().has_member(*world[3].identity));
}

TEST_F(CheckedDecisions, OneWithinStableAfterIsTooEarly) {
    world.run_for(1s);
    EXPECT_EQ(broken_by_deciding(SbrTrigger::Stable), "decided-too-early");
}

TEST_F(CheckedDecisions, OneAfterItIsFine) {
    world.run_for(2800ms); // stable-after is 3 s, by a clock that may be a tenth too fast
    EXPECT_EQ(broken_by_deciding(SbrTrigger::Stable), "");
}

TEST_F(CheckedDecisions, EveryFurtherChangeBeginsTheTimeAnew) {
    world.run_for(2s);
    world.crash(2); // its refused connections tell the others at once
    world.run_for(800ms);
    ASSERT_TRUE(cannot_reach(0, 2));
    EXPECT_EQ(broken_by_deciding(SbrTrigger::Stable), "decided-too-early");
}

TEST_F(CheckedDecisions, WhatDoesNotWaitIsNotJudged) {
    world.run_for(1s);
    EXPECT_EQ(broken_by_deciding(SbrTrigger::Unstable), "");
    EXPECT_EQ(broken_by_deciding(SbrTrigger::QuarantinedByRemote), "");
}

// ---- deaths

/// What is said within a minute of a machine without power, when its silence is forgiven for so long.
std::string broken_by_a_death(std::chrono::milliseconds pause, bool regular) {
    WorldOptions options{.seed = 3, .nodes = 3};
    options.config.daemon.sbr.reset();
    options.config.daemon.cluster.failure_detector.acceptable_heartbeat_pause = pause;
    World world(std::move(options));
    world.checker().regular_heartbeats(regular);
    world.start_all();
    EXPECT_TRUE(world.run_until_agreed(30s));
    world.run_for(20s);
    world.power_off(2);
    return broken_by([&] { world.run_for(60s); });
}

TEST(CheckedDeaths, AreNoticedInTime) {
    EXPECT_EQ(broken_by_a_death(3s, true), "");
    EXPECT_EQ(broken_by_a_death(3s, false), "");
}

TEST(CheckedDeaths, OneThatNobodyNoticesIsUnnoticed) {
    EXPECT_EQ(broken_by_a_death(50s, false), "death-unnoticed");
}

TEST(CheckedDeaths, OfRegularHeartbeatsAreNoticedSooner) {
    EXPECT_EQ(broken_by_a_death(12s, true), "death-unnoticed");
    EXPECT_EQ(broken_by_a_death(12s, false), "");
}

// ---- the whole, cut in parts

TEST(Checker, AfterACleanPartitionOneSideLivesAtMost) {
    WorldOptions options{.seed = 3, .nodes = 4};
    options.config.daemon.sbr.reset(); // nobody resolves it
    World world(std::move(options));
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.partition({2, 3});
    world.checker().split({2, 3}, 30s);
    EXPECT_EQ(broken_by([&] { world.run_for(29s); }), "");
    EXPECT_EQ(broken_by([&] { world.run_for(3s); }), "both-sides-live");
}

TEST(Checker, WhoIsPausedDecidesNothing) {
    WorldOptions options{.seed = 3, .nodes = 4};
    options.config.daemon.sbr.reset();
    World world(std::move(options));
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.pause(3, 60s);
    world.partition({2, 3});
    world.checker().split({2, 3}, 30s);
    EXPECT_EQ(broken_by([&] { world.run_for(40s); }), "");
}

TEST(Checker, AHealthyNodeDoesNotStop) {
    World world({.seed = 3, .nodes = 3});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world[0].daemon().down(world[2].address); // nobody told the checker
    EXPECT_EQ(broken_by([&] { world.run_for(30s); }), "healthy-downed");
}

TEST(Checker, NothingIsLeftAtTheEnd) {
    World world({.seed = 3, .nodes = 3});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    EXPECT_EQ(broken_by([&] { world.checker().at_end(); }), "leak") << "they still run";
}

} // namespace
} // namespace muster::sim::test
