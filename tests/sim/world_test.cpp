// SPDX-License-Identifier: Apache-2.0
/// Worlds of whole nodes: what befalls them does what it says, and a run repeats exactly.
#include <algorithm>
#include <gtest/gtest.h>
#include <muster/sim/world.hpp>
#include <muster/sim/world/checker.hpp>
#include <muster/sim/world/recorder.hpp>

namespace muster::sim::test {
namespace {

using namespace std::chrono_literals;
using Indices = std::vector<std::size_t>;

/// Nobody is downed by himself.
WorldOptions without_resolver(std::size_t nodes) {
    WorldOptions options{.seed = 5, .nodes = nodes};
    options.config.daemon.sbr.reset();
    return options;
}

template <class Event>
bool saw(const World& world, std::size_t observer, std::size_t about) {
    const auto& events = world[observer].events;
    return std::any_of(events.begin(), events.end(), [&](const ClusterEvent& event) {
        const auto* e = std::get_if<Event>(&event);
        return e && e->member.address() == world[about].address;
    });
}

// ---- machines and processes

TEST(World, NodesThatStartTogetherAgree) {
    World world({.seed = 7, .nodes = 5});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s)) << world.disagreement();
    EXPECT_EQ(world.running(), (Indices{0, 1, 2, 3, 4}));
}

TEST(World, AMachineThatIsAddedLaterJoins) {
    World world({.seed = 7, .nodes = 3});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    const auto fourth = world.add_node();
    EXPECT_TRUE(world.agreed()) << "nothing runs there yet";
    world.start(fourth);
    EXPECT_FALSE(world.agreed());
    EXPECT_TRUE(world.run_until_agreed(30s)) << world.disagreement();
    EXPECT_EQ(world.find(world[fourth].address), fourth);
}

TEST(World, TheDisagreementNamesTheNodeAndTheReason) {
    World world({.nodes = 2});
    world.start_all();
    EXPECT_EQ(world.disagreement(), "node 0: has not joined");
    ASSERT_TRUE(world.run_until_agreed(30s));
    EXPECT_EQ(world.disagreement(), "");
    world.crash(1);
    EXPECT_EQ(world.disagreement(), "node 0: knows 2 members, 1 nodes run");
}

TEST(World, ACrashIsKnownAtOnceByItsResetConnections) {
    World world({.seed = 2, .nodes = 4});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.crash(3);
    EXPECT_EQ(world[3].end, End::Crashed);
    EXPECT_FALSE(world[3].running());
    EXPECT_TRUE(world.run_until([&] { return saw<UnreachableMember>(world, 0, 3); }, 1s));
    EXPECT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
}

TEST(World, OfAPowerLossNobodyHearsUntilTheDetectorSuspects) {
    World world({.seed = 2, .nodes = 4});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.power_off(3);
    EXPECT_FALSE(world.run_until([&] { return saw<UnreachableMember>(world, 0, 3); }, 2s));
    EXPECT_TRUE(world.run_until([&] { return saw<UnreachableMember>(world, 0, 3); }, 20s));
    EXPECT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
}

TEST(World, AMachineThatIsSwitchedOnAgainFindsHalfOpenConnectionsAndRejoins) {
    World world({.seed = 3, .nodes = 4});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    const auto before = world[3].identity;
    world.power_off(3);
    // The peers still hold connections to the process that is gone; the new kernel knows nothing of them.
    EXPECT_GT(world.network().connections(), 0u);
    world.start(3);
    ASSERT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
    EXPECT_NE(world[3].identity, before);
    EXPECT_TRUE(saw<MemberRemoved>(world, 0, 3));
}

TEST(World, ARestartedProcessIsAnotherIncarnationAtTheSameAddress) {
    World world({.seed = 3, .nodes = 3});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    const auto before = world[2].identity;
    world.restart(2, 500ms);
    EXPECT_FALSE(world[2].running());
    world.run_for(600ms);
    EXPECT_TRUE(world[2].running());
    EXPECT_EQ(world[2].lives, 2u);
    ASSERT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
    EXPECT_EQ(world[2].identity->address(), before->address());
    EXPECT_NE(*world[2].identity, *before);
}

TEST(World, EveryLifeOfANodeChoosesDifferently) {
    std::vector<std::uint64_t> seeds;
    WorldOptions options{.seed = 3, .nodes = 2};
    options.configure = [&](std::size_t, RemoteAdapterConfig& config) {
        seeds.push_back(*config.daemon.random_seed);
    };
    World world(std::move(options));
    world.start_all();
    world.start(0);
    ASSERT_EQ(seeds.size(), 3u);
    EXPECT_NE(seeds[0], seeds[1]);
    EXPECT_NE(seeds[0], seeds[2]);
}

TEST(World, AProcessThatHasLeftIsGoneAndWasUnreachableForNobody) {
    World world({.seed = 4, .nodes = 4});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.leave(2);
    ASSERT_TRUE(world.run_until([&] { return !world[2].running(); }, 30s));
    EXPECT_EQ(world[2].end, End::Stopped);
    EXPECT_EQ(world[2].reason, ShutdownReason::Leaving);
    EXPECT_TRUE(world.run_until_agreed(30s)) << world.disagreement();
    for (const std::size_t observer : {0, 1, 3}) EXPECT_FALSE(saw<UnreachableMember>(world, observer, 2));
}

TEST(World, AProcessThatLeavesBeforeItJoinedEndsToo) {
    WorldOptions options{.seed = 4, .nodes = 2};
    World world(std::move(options));
    world.start(1); // its seed is not there
    world.run_for(1s);
    world.leave(1);
    EXPECT_TRUE(world.run_until([&] { return !world[1].running(); }, 60s));
    EXPECT_EQ(world[1].end, End::Stopped);
}

TEST(World, APausedProcessIsUnreachableAndComesBack) {
    World world(without_resolver(4));
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.pause(2, 20s);
    const auto turns = world[2].turns;
    ASSERT_TRUE(world.run_until([&] { return saw<UnreachableMember>(world, 0, 2); }, 19s));
    EXPECT_EQ(world[2].turns, turns);
    EXPECT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
    EXPECT_TRUE(saw<ReachableMember>(world, 0, 2));
}

TEST(World, TheEndOfAPauseDoesNotWakeALaterLife) {
    World world(without_resolver(3));
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.pause(2, 5s);
    world.restart(2, 1s);
    world.run_for(2s);
    world.pause(2, 60s);
    world.run_for(10s);
    EXPECT_TRUE(world[2].runtime->paused());
}

TEST(World, AShortPauseInsideALongOneDoesNotWakeTheProcess) {
    World world(without_resolver(3));
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.pause(2, 20s);
    world.run_for(5s);
    world.pause(2, 1s);
    world.run_for(10s);
    EXPECT_TRUE(world[2].runtime->paused());
    world.run_for(6s);
    EXPECT_FALSE(world[2].runtime->paused());
}

TEST(World, AMachinesClockOutlivesItsProcess) {
    World world({.seed = 4, .nodes = 1});
    world.set_clock(0, {.wall_offset = 5000ms});
    world.start(0);
    EXPECT_EQ(world[0].runtime->wall_now(), world.network().wall_now() + 5000ms);
    world.start(0);
    EXPECT_EQ(world[0].runtime->wall_now(), world.network().wall_now() + 5000ms);
}

TEST(World, ClocksThatDriftByHalfAPercentRemoveNobody) {
    World world({.seed = 4, .nodes = 5});
    world.set_clock(1, {.drift_ppb = 5'000'000});
    world.set_clock(2, {.drift_ppb = -5'000'000});
    world.set_clock(3, {.lateness_max = 20ms});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.run_for(120s);
    EXPECT_EQ(world.running().size(), 5u);
    for (std::size_t observer = 0; observer < 5; ++observer)
        for (std::size_t about = 0; about < 5; ++about)
            EXPECT_FALSE(saw<UnreachableMember>(world, observer, about));
}

TEST(World, AsLongAsNoSeedRunsTheOthersWait) {
    World world({.seed = 4, .nodes = 5});
    for (const std::size_t node : {2, 3, 4}) world.start(node);
    world.run_for(60s);
    for (const std::size_t node : {2, 3, 4}) EXPECT_FALSE(world[node].snapshot().joined);
    world.start(0);
    world.start(1);
    EXPECT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
}

TEST(World, EveryNodeCanBeRestartedOneAfterTheOther) {
    World world({.seed = 6, .nodes = 5});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    for (std::size_t node = 0; node < 5; ++node) {
        world.leave(node);
        ASSERT_TRUE(world.run_until([&] { return !world[node].running(); }, 30s));
        world.start(node);
        ASSERT_TRUE(world.run_until_agreed(60s)) << node << ": " << world.disagreement();
    }
}

TEST(World, WhoLeavesAndComesBackBeforeItsQuarantineCanBeToldByEverybody) {
    // More nodes than watch each other: some never connect to the one that comes back.
    World world({.seed = 6, .nodes = 30});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.leave(29);
    ASSERT_TRUE(world.run_until([&] { return !world[29].running(); }, 30s));
    world.start(29);
    ASSERT_TRUE(world.run_until_agreed(3s)) << world.disagreement();
    world.run_for(10s); // longer than quarantine-removed-node-after
    const Tell tell{.target_path = "/user/a", .manifest = "text", .payload = {}, .sender_path = {}};
    for (std::size_t node = 0; node < 29; ++node)
        EXPECT_EQ(world[node].daemon().tell(world[29].address, tell), TellResult::Queued) << node;
}

TEST(World, MostOfAClusterMayCrashAtOnceWhenNobodyIsToDownTheRest) {
    World world(without_resolver(7));
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    for (const std::size_t node : {1, 2, 4, 5}) world.crash(node);
    world.run_for(5s);
    EXPECT_EQ(world.running(), (Indices{0, 3, 6}));
    for (const std::size_t node : {1, 2, 4, 5}) world[0].daemon().down(world[node].address);
    EXPECT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
}

TEST(World, OfOneLifeOnlySoManyLogLinesAreKept) {
    WorldOptions options{.seed = 6, .nodes = 3, .log_level = LogLevel::Debug, .log_lines_max = 5};
    World world(std::move(options));
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    EXPECT_EQ(world[0].log->records().size(), 5u);
}

TEST(World, TellsArriveAtTheSinkOfTheirNode) {
    World world({.seed = 6, .nodes = 2});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    const std::string payload = "hello";
    const Tell tell{.target_path = "/user/a",
                    .manifest = "text",
                    .payload = std::as_bytes(std::span{payload}),
                    .sender_path = {}};
    EXPECT_EQ(world[0].daemon().tell(world[1].address, tell), TellResult::Queued);
    EXPECT_TRUE(world.run_until([&] { return world[1].received->count() == 1; }, 5s));
    EXPECT_EQ(world[1].received->records().at(0).payload.text(), "hello");
}

// ---- the network

TEST(World, AMinorityCutOffStopsOfItselfAndTheMajorityGoesOn) {
    World world({.seed = 7, .nodes = 5});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.partition({0, 1});
    world.run_for(60s);
    EXPECT_EQ(world.running(), (Indices{2, 3, 4}));
    EXPECT_EQ(world[0].end, End::Stopped);
    EXPECT_EQ(world[0].reason, ShutdownReason::Downed);
    EXPECT_TRUE(world.agreed()) << world.disagreement();
}

TEST(World, APartitionThatHealsInTimeLeavesEverybodyIn) {
    World world(without_resolver(5));
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.partition({3, 4});
    ASSERT_TRUE(world.run_until(
        [&] { return saw<UnreachableMember>(world, 0, 3) && saw<UnreachableMember>(world, 3, 0); }, 30s));
    world.rejoin({3, 4});
    EXPECT_TRUE(world.links().is_healthy());
    EXPECT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
    EXPECT_EQ(world[3].lives, 1u);
}

TEST(World, WhatIsCutOneWayIsHeardByTheOtherSide) {
    World world(without_resolver(3));
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.partition_one_way({2}, {0, 1});
    EXPECT_FALSE(world.links().is_open(world.host(2), world.host(0)));
    EXPECT_TRUE(world.links().is_open(world.host(0), world.host(2)));
    // Neither heartbeats nor replies of node 2 arrive, so the others suspect it.
    EXPECT_TRUE(world.run_until([&] { return saw<UnreachableMember>(world, 0, 2); }, 30s));
    world.rejoin_one_way({2}, {0, 1});
    EXPECT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
}

TEST(World, HealTakesBackEveryFaultOfTheNetwork) {
    World world(without_resolver(4));
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.partition({0});
    world.partition_one_way({1}, {2});
    world.links().set_ingress(world.host(3), LinkFaults{.loss = 1.0});
    world.run_for(20s);
    EXPECT_FALSE(world.agreed());
    world.heal();
    EXPECT_TRUE(world.links().is_healthy());
    EXPECT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
}

TEST(World, ConnectionsThatBreakRemoveNobody) {
    World world({.seed = 8, .nodes = 4});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    for (std::size_t a = 0; a < 4; ++a)
        for (std::size_t b = 0; b < a; ++b) world.reset_connections(a, b);
    world.run_for(30s);
    EXPECT_TRUE(world.agreed()) << world.disagreement();
    EXPECT_EQ(world.running().size(), 4u);
    for (std::size_t node = 0; node < 4; ++node) EXPECT_EQ(world[node].lives, 1u);
}

TEST(World, ConnectionsThatKeepBreakingInTheMiddleOfFramesRemoveNobody) {
    WorldOptions options{.seed = 8, .nodes = 4};
    options.links.reset = 0.02;
    World world(std::move(options));
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
    world.run_for(60s);
    EXPECT_EQ(world.running().size(), 4u);
}

TEST(World, BytesThatChangeOnTheWayEndTheirConnectionNotTheirNode) {
    WorldOptions options{.seed = 8, .nodes = 4};
    World world(std::move(options));
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.links().set_ingress(world.host(2), LinkFaults{.corruption = 0.02});
    world.run_for(60s);
    world.heal();
    EXPECT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
    EXPECT_TRUE(world[2].running());
}

// ---- the recorder

TEST(World, RecordsLivesFaultsStatusReachabilityAndMessages) {
    using Kind = Recorder::Entry::Kind;
    World world({.seed = 7, .nodes = 3});
    const auto recorder = std::make_shared<Recorder>();
    world.record(recorder);
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.partition({2});
    world.run_for(60s);
    const auto& entries = recorder->entries();
    for (const Kind kind : {Kind::Life, Kind::Status, Kind::Reachability, Kind::Fault, Kind::Message})
        EXPECT_TRUE(std::any_of(entries.begin(), entries.end(), [&](const auto& e) {
            return e.kind == kind;
        })) << static_cast<int>(kind);
    world.record(nullptr);
    const auto count = entries.size();
    world.run_for(5s);
    EXPECT_EQ(recorder->entries().size(), count);
}

// ---- determinism

/// A bit of everything.
std::uint64_t eventful(std::uint64_t seed) {
    WorldOptions options{.seed = seed, .nodes = 7};
    options.links.delay = {
        .shape = DelayDistribution::Shape::Exponential, .min = 50us, .max = 100ms, .mean = 500us};
    World world(std::move(options));
    world.set_clock(3, {.drift_ppb = 1'000'000, .lateness_max = 3ms});
    world.start_all();
    world.after(5s, [&] { world.crash(4); });
    world.after(10s, [&] { world.partition({0, 1}); });
    world.after(12s, [&] { world.rejoin({0, 1}); });
    world.after(14s,
                [&] { world.links().set_ingress(world.host(5), LinkFaults{.loss = 0.5, .reset = 0.01}); });
    world.after(20s, [&] { world.start(4); });
    world.after(25s, [&] { world.pause(2, 2s); });
    world.after(30s, [&] { world.leave(6); });
    world.after(40s, [&] { world.heal(); });
    world.run_for(60s);
    return world.trace_hash();
}

TEST(World, TheSameSeedGivesTheSameRun) { EXPECT_EQ(eventful(1), eventful(1)); }

TEST(World, AnotherSeedGivesAnotherRun) { EXPECT_NE(eventful(1), eventful(2)); }

TEST(World, TheRunIsTheSameOnEveryCompiler) {
    // Every byte that was sent is in it, so a change of protocol or encoding changes it too. Take the new
    // value then, once debug builds by g++ and release builds by clang agree on it.
    EXPECT_EQ(eventful(1), 12628645913687631320u);
}

} // namespace
} // namespace muster::sim::test
