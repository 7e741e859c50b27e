// SPDX-License-Identifier: Apache-2.0
/// Several nodes in one world: forming, failing, splitting, leaving.
#include "world.hpp"

#include <algorithm>

namespace muster::test {
namespace {

TEST(Cluster, ANodeAloneInItsSeedListFoundsAClusterAndIsUp) {
    World world;
    world.start_all(1);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    EXPECT_EQ(world[0].snapshot().leader, world[0].unique_address());
    EXPECT_TRUE(world[0].snapshot().joined);
    EXPECT_EQ(world[0].snapshot().members()[0].up_number(), 1);
}

TEST(Cluster, FiveNodesAgreeWithinHalfASecondOfTheFirstSeedFoundingIt) {
    World world;
    world.start_all(5);
    ASSERT_TRUE(world.run_until([&] { return world[0].snapshot().joined; }));
    // Agreement comes from round trips of a tenth of a millisecond, not from rounds; what is left is the
    // joiners' asking again.
    EXPECT_TRUE(world.run_until([&] { return world.agree(world.all()); }, 500ms));
    std::set<std::int32_t> numbers;
    for (const auto& member : world[0].snapshot().members()) numbers.insert(member.up_number());
    EXPECT_EQ(numbers, (std::set<std::int32_t>{1, 2, 3, 4, 5}));
}

TEST(Cluster, AgreesByPeriodicGossipAloneWithoutEagerGossip) {
    World world;
    for (std::size_t i = 0; i < 5; ++i) world.add_host();
    for (std::size_t i = 0; i < 5; ++i) {
        auto config = world.config(i);
        config.daemon.cluster.eager = ClusterSettings::classic().eager;
        world.start(i, std::move(config));
    }
    EXPECT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
}

TEST(Cluster, SetsGaugesOfItsSizeAtEveryChangeOrEverySoOften) {
    for (const auto interval : {0ms, 200ms}) {
        World world;
        for (std::size_t i = 0; i < 2; ++i) world.add_host();
        for (std::size_t i = 0; i < 2; ++i) {
            auto config = world.config(i);
            config.daemon.cluster.publish_stats_interval = interval;
            world.start(i, std::move(config));
        }
        ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
        if (interval > 0ms) world.run_until([] { return false; }, interval * 2);
        EXPECT_EQ(world[1].runtime->metrics().value("cluster.stats.members"), 2);
        EXPECT_EQ(world[1].runtime->metrics().value("cluster.stats.seen"), 2);
        const auto entries = world[1].snapshot().state->latest().version().size();
        EXPECT_GT(entries, 0U);
        EXPECT_EQ(world[1].runtime->metrics().value("cluster.stats.clock_entries"),
                  static_cast<std::int64_t>(entries));
    }
}

TEST(Cluster, EveryNodeSeesJoinedBeforeUp) {
    World world;
    world.start_all(3);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    const auto third = world[2].unique_address();
    EXPECT_TRUE(world[0].saw<MemberJoined>(third));
    EXPECT_LT(world[0].position<MemberJoined>(third), world[0].position<MemberUp>(third));
}

TEST(Cluster, ACrashedNodeIsUnreachableByEvidenceThenDownThenRemoved) {
    World world;
    world.start_all(4);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    auto& victim = world[2];
    const auto gone = victim.unique_address();
    victim.kill();
    const auto killed_at = world.network.now();
    ASSERT_TRUE(world.run_until([&] { return world[0].saw<UnreachableMember>(gone); }));
    // The detector alone would take over five seconds; a port that refuses needs no second one.
    EXPECT_LT(world.network.now() - killed_at, 1s);
    std::vector<SimNode*> rest = world.all_but(victim);
    ASSERT_TRUE(world.run_until([&] { return world.agree(rest); }));
    for (const auto* n : rest) {
        EXPECT_LT(n->position<UnreachableMember>(gone), n->position<MemberRemoved>(gone));
        const auto at = static_cast<std::size_t>(n->position<MemberRemoved>(gone));
        EXPECT_EQ(std::get<MemberRemoved>(n->events[at]).previous, MemberStatus::Down);
    }
}

TEST(Cluster, ASilentMachineIsFoundByTheDetector) {
    World world;
    world.start_all(4);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    auto& victim = world[3];
    const auto gone = victim.unique_address();
    world.network.set_up(victim.host, false);
    victim.kill();
    const auto rest = world.all_but(victim);
    EXPECT_TRUE(world.run_until([&] { return world.agree(rest); }, 120s));
    EXPECT_TRUE(world[0].saw<UnreachableMember>(gone));
}

TEST(Cluster, ARestartedNodeReplacesItsOldIncarnation) {
    World world;
    world.start_all(3);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    const auto old = world[1].unique_address();
    world[1].kill();
    auto& again = world.start(1);
    std::vector<SimNode*> now{&world[0], &world[2], &again};
    // JoinDeferred says that the old one is still being removed, and the joiner asks again soon instead of
    // after ten seconds.
    ASSERT_TRUE(world.run_until([&] { return world.agree(now); }, 2s));
    EXPECT_NE(again.unique_address(), old);
    EXPECT_EQ(again.address(), old.address());
    EXPECT_TRUE(world[0].saw<MemberRemoved>(old));
}

TEST(Cluster, TheMajoritySurvivesAPartitionAndTheMinorityStopsItself) {
    World world;
    world.start_all(5);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world.links->cut({world.hosts[0], world.hosts[1]}, {world.hosts[2], world.hosts[3], world.hosts[4]});
    ASSERT_TRUE(world.run_until([&] { return world[0].stopped && world[1].stopped; }, 120s));
    EXPECT_EQ(world[0].stopped, ShutdownReason::Downed);
    EXPECT_EQ(world[1].stopped, ShutdownReason::Downed);
    const std::vector<SimNode*> majority{&world[2], &world[3], &world[4]};
    EXPECT_TRUE(world.run_until([&] { return world.agree(majority); }, 120s));
    ASSERT_FALSE(world[2].daemon().decisions().empty() && world[3].daemon().decisions().empty() &&
                 world[4].daemon().decisions().empty());
}

TEST(Cluster, APartitionThatHealsBeforeADecisionLeavesEverybodyIn) {
    World world;
    for (std::size_t i = 0; i < 4; ++i) world.add_host();
    for (std::size_t i = 0; i < 4; ++i) {
        auto config = world.config(i);
        config.daemon.sbr.reset();
        world.start(i, std::move(config));
    }
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    const auto far = world[3].unique_address();
    world.links->cut({world.hosts[3]}, {world.hosts[0], world.hosts[1], world.hosts[2]});
    ASSERT_TRUE(world.run_until([&] { return world[0].saw<UnreachableMember>(far); }, 120s));
    world.links->heal();
    world.network.retry_lost();
    EXPECT_TRUE(world.run_until([&] { return world.agree(world.all()); }, 120s));
    EXPECT_TRUE(world[0].saw<ReachableMember>(far));
}

TEST(Cluster, APausedProcessComesBackAndAccusesNobodyOfItsOwnSilence) {
    World world;
    for (std::size_t i = 0; i < 3; ++i) world.add_host();
    for (std::size_t i = 0; i < 3; ++i) {
        auto config = world.config(i);
        config.daemon.sbr.reset();
        world.start(i, std::move(config));
    }
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world.network.run_for(20s);
    auto& paused = world[2];
    paused.runtime->pause();
    ASSERT_TRUE(world.run_until([&] { return world[0].saw<UnreachableMember>(paused.unique_address()); }));
    world.network.run_for(10s);
    paused.events.clear();
    paused.runtime->resume();
    EXPECT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    EXPECT_FALSE(paused.saw<UnreachableMember>(world[0].unique_address()));
    EXPECT_FALSE(paused.saw<UnreachableMember>(world[1].unique_address()));
}

TEST(Cluster, ANodeOfAnotherClusterIsRefusedAndBothSayWhy) {
    World world;
    world.start_all(2);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world.add_host();
    auto config = world.config(2);
    config.transport.cluster_name = "other";
    for (auto& seed : config.daemon.cluster.seed_nodes) seed.system = "other";
    auto& stranger = world.start(2, std::move(config));
    world.network.run_for(10s);
    EXPECT_FALSE(stranger.snapshot().joined);
    EXPECT_GE(stranger.log->count("transport.handshake.refused"), 1U);
    EXPECT_GE(world[0].log->count("transport.handshake.refused") +
                  world[1].log->count("transport.handshake.refused"),
              1U);
    const std::vector<SimNode*> members{&world[0], &world[1]};
    EXPECT_TRUE(world.agree(members));
}

TEST(Cluster, ANodeWithAnotherDowningStrategyDoesNotJoinAndStops) {
    World world;
    world.start_all(2);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world.add_host();
    auto config = world.config(2);
    config.daemon.sbr->strategy = "down-all";
    auto& other = world.start(2, std::move(config));
    ASSERT_TRUE(world.run_until([&] { return other.stopped.has_value(); }));
    EXPECT_EQ(other.stopped, ShutdownReason::IncompatibleConfiguration);
}

TEST(Cluster, TwoNodesToldToBeFirstSeedMakeTwoClustersAndWarnThatTheyFoundedOne) {
    World world;
    world.add_host();
    world.add_host();
    for (std::size_t i = 0; i < 2; ++i) {
        auto config = world.config(i);
        if (i == 1) std::ranges::reverse(config.daemon.cluster.seed_nodes);
        world.start(i, std::move(config));
    }
    world.network.run_for(20s);
    for (const auto& n : world.nodes) {
        EXPECT_EQ(n->snapshot().members().size(), 1U);
        std::size_t warned = 0;
        for (const auto& record : n->log->records())
            if (record.code == "cluster.join.self" && record.level == LogLevel::Warning) ++warned;
        EXPECT_EQ(warned, 1U);
    }
}

TEST(Cluster, ASeedThatNeverAnswersIsAskedForEverWithAWarning) {
    World world;
    world.add_host();
    world.add_host();
    auto config = world.config(1);
    config.daemon.cluster.seed_nodes = {world.address_of(0)};
    auto& waiting = world.start(1, std::move(config));
    world.network.run_for(30s);
    EXPECT_FALSE(waiting.snapshot().joined);
    EXPECT_FALSE(waiting.stopped);
    bool warned = false;
    for (const auto& record : waiting.log->records()) warned |= record.level == LogLevel::Warning;
    EXPECT_TRUE(warned);
    // Its seed starts at last.
    auto seed = world.config(0);
    seed.daemon.cluster.seed_nodes = {world.address_of(0)};
    world.start(0, std::move(seed));
    EXPECT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
}

TEST(Cluster, ADownedNodeStopsItself) {
    World world;
    world.start_all(3);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world[0].daemon().down(world[2].address());
    ASSERT_TRUE(world.run_until([&] { return world[2].stopped.has_value(); }));
    EXPECT_EQ(world[2].stopped, ShutdownReason::Downed);
    const std::vector<SimNode*> rest{&world[0], &world[1]};
    EXPECT_TRUE(world.run_until([&] { return world.agree(rest); }));
}

TEST(Cluster, AFullShutdownMakesEveryMemberReadyAndAdmitsNobody) {
    World world;
    world.start_all(3);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world[1].daemon().prepare_for_full_shutdown();
    const auto count = [&](MemberStatus status) {
        return std::ranges::count(world[2].snapshot().members(), status, &Member::status);
    };
    EXPECT_TRUE(world.run_until([&] { return count(MemberStatus::ReadyForShutdown) == 3; }));
    world.add_host();
    world.start(3, world.config(3));
    world.run_until([] { return false; }, 5s);
    EXPECT_EQ(count(MemberStatus::Up), 0) << "who joins now is not moved up";
}

TEST(Cluster, TheSameSeedGivesTheSameRun) {
    const auto run = [](std::uint64_t seed) {
        World world(seed);
        world.start_all(4);
        world.network.run_for(10s);
        world[3].kill();
        world.network.run_for(10s);
        return std::pair(world.network.trace_hash(), world.network.trace_count());
    };
    const auto first = run(7);
    EXPECT_EQ(first, run(7));
    EXPECT_NE(first, run(8));
    EXPECT_GT(first.second, 100U);
}

} // namespace
} // namespace muster::test
