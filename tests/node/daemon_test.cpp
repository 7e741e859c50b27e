// SPDX-License-Identifier: Apache-2.0
/// One daemon's handle: commands, waiting forms, shutdown, lifetimes.
#include "world.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <muster/transport/inprocess.hpp>
#include <thread>

namespace muster::test {
namespace {

namespace asio = boost::asio;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span{text}); }

TEST(Daemon, LeavesGracefullyAndEverybodySeesTheSteps) {
    World world;
    world.start_all(3);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    auto& leaver = world[2];
    const auto gone = leaver.unique_address();
    leaver.daemon().leave();
    ASSERT_TRUE(world.run_until([&] { return leaver.stopped.has_value(); }));
    EXPECT_EQ(leaver.stopped, ShutdownReason::Leaving);
    const auto rest = world.all_but(leaver);
    ASSERT_TRUE(world.run_until([&] { return world.agree(rest); }));
    for (const auto* n : rest) {
        EXPECT_LT(n->position<MemberLeft>(gone), n->position<MemberExited>(gone));
        EXPECT_LT(n->position<MemberExited>(gone), n->position<MemberRemoved>(gone));
        EXPECT_FALSE(n->saw<UnreachableMember>(gone));
    }
}

TEST(Daemon, AnotherNodeCanAskItToLeave) {
    World world;
    world.start_all(3);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world[0].daemon().leave(world[2].address());
    ASSERT_TRUE(world.run_until([&] { return world[2].stopped.has_value(); }));
    EXPECT_EQ(world[2].stopped, ShutdownReason::Leaving);
}

TEST(Daemon, IsNotRemovedBeforeTheApplicationsHandOverHasEnded) {
    World world;
    world.start_all(3);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    auto& leaver = world[2];
    const auto gone = leaver.unique_address();
    UniqueFunction<void()> hand_over_done;
    leaver.daemon().add_shutdown_task(ShutdownPhase::ClusterExiting, "hand-over",
                                      [&](UniqueFunction<void()> done) { hand_over_done = std::move(done); });
    leaver.daemon().leave();
    ASSERT_TRUE(world.run_until([&] { return static_cast<bool>(hand_over_done); }));
    world.network.run_for(5s);
    EXPECT_FALSE(world[0].saw<MemberRemoved>(gone));
    hand_over_done();
    EXPECT_TRUE(world.run_until([&] { return world[0].saw<MemberRemoved>(gone); }));
}

TEST(Daemon, LeaveBeforeItHasJoinedEndsTheJoiningAndRunsTheApplicationsPhases) {
    World world;
    world.add_host(); // the first seed never starts: nobody founds a cluster
    world.add_host();
    auto& lone = world.start(1);
    world.network.run_for(3s);
    ASSERT_FALSE(lone.stopped.has_value());
    bool ran = false;
    lone.daemon().add_shutdown_task(ShutdownPhase::ServiceStop, "stop", [&](UniqueFunction<void()> done) {
        ran = true;
        done();
    });
    lone.daemon().leave();
    ASSERT_TRUE(world.run_until([&] { return lone.stopped.has_value(); }));
    EXPECT_EQ(lone.stopped, ShutdownReason::Leaving);
    EXPECT_TRUE(ran);
}

TEST(Daemon, ALeaveBesideACrashWaitsForTheResolverAndLosesNobody) {
    for (const std::size_t leaver : {0U, 1U, 2U}) {
        World world;
        world.start_all(4);
        ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
        world[3].kill();
        world.network.run_for(1s);
        world[leaver].daemon().shutdown();
        EXPECT_TRUE(world.run_until([&] { return world[leaver].stopped.has_value(); })) << leaver;
        EXPECT_EQ(world[leaver].stopped, ShutdownReason::Requested) << leaver;
        std::vector<SimNode*> rest;
        for (std::size_t i = 0; i < 3; ++i)
            if (i != leaver) rest.push_back(&world[i]);
        EXPECT_TRUE(world.run_until([&] { return world.agree(rest); })) << leaver;
    }
}

TEST(Daemon, ALeaveThatNobodyLetsGoMarksItselfDownAndSaysSo) {
    World world;
    for (std::size_t i = 0; i < 3; ++i) world.add_host();
    for (std::size_t i = 0; i < 3; ++i) {
        auto config = world.config(i);
        config.daemon.sbr.reset(); // nobody decides on who crashed
        world.start(i, std::move(config));
    }
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    const auto leaver = world[1].unique_address();
    world[2].kill();
    world.network.run_for(1s);
    world[1].daemon().shutdown();
    ASSERT_TRUE(world.run_until([&] { return world[1].stopped.has_value(); }));
    EXPECT_EQ(world[1].stopped, ShutdownReason::LeaveUnfinished);
    EXPECT_GE(world[1].log->count("cluster.leave.held"), 1U);
    EXPECT_GE(world[1].log->count("cluster.leave.given_up"), 1U);
    const auto* seen = world[0].snapshot().state->latest().find(leaver);
    EXPECT_TRUE(seen == nullptr || seen->status() == MemberStatus::Down) << "somebody answered, so it knows";
}

TEST(Daemon, ATimeForLeavingThatIsTooShortForTheOtherSettingsIsRefusedByName) {
    World world;
    world.add_host();
    auto config = world.config(0);
    config.daemon.leave_timeout = config.daemon.leave_timeout_min() - 1ms;
    const auto refused = config.daemon.validate();
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message().find("leave-timeout"), std::string::npos);
    EXPECT_NE(refused.error().message().find("stable-after"), std::string::npos);
    config.daemon.leave_timeout = config.daemon.leave_timeout_min();
    EXPECT_TRUE(config.daemon.validate());
}

TEST(Daemon, AHandOverThatNeverEndsIsCutOffByItsPhaseAndLogged) {
    World world;
    world.start_all(2);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    UniqueFunction<void()> never;
    world[1].daemon().add_shutdown_task(ShutdownPhase::ClusterExiting, "stuck",
                                        [&](UniqueFunction<void()> done) { never = std::move(done); });
    world[1].daemon().shutdown();
    ASSERT_TRUE(world.run_until([&] { return world[1].stopped.has_value(); }));
    EXPECT_EQ(world[1].log->count("node.shutdown.phase_timeout"), 1U);
}

TEST(Daemon, WaitingFormsCompleteOnTheCallersOwnExecutor) {
    World world;
    world.start_all(2);
    asio::io_context mine;
    std::vector<std::string> completed;
    const auto note = [&](const char* what) {
        return asio::bind_executor(mine.get_executor(), [&completed, &mine, what](result<void> r) {
            EXPECT_TRUE(mine.get_executor().running_in_this_thread());
            completed.push_back(std::string(what) + (r ? "" : ": " + r.error().message()));
        });
    };
    world[1].daemon().async_up(note("up"));
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    EXPECT_TRUE(completed.empty()) << "nothing completes on the daemon's own thread";
    mine.poll();
    EXPECT_EQ(completed, std::vector<std::string>{"up"});
    world[1].daemon().async_leave(note("left"));
    ASSERT_TRUE(world.run_until([&] { return world[1].stopped.has_value(); }));
    mine.restart();
    mine.poll();
    EXPECT_EQ(completed, (std::vector<std::string>{"up", "left"}));
}

TEST(Daemon, WaitingCanBeCancelledWithoutCancellingWhatIsWaitedFor) {
    World world;
    world.start_all(2);
    asio::io_context mine;
    asio::cancellation_signal cancel;
    std::vector<result<void>> completed;
    world[1].daemon().async_up(asio::bind_cancellation_slot(
        cancel.slot(),
        asio::bind_executor(mine.get_executor(), [&](result<void> r) { completed.push_back(r); })));
    cancel.emit(asio::cancellation_type::terminal);
    mine.poll();
    ASSERT_EQ(completed.size(), 1U);
    EXPECT_EQ(completed[0].error(), Errc::cancelled);
    EXPECT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    mine.restart();
    mine.poll();
    EXPECT_EQ(completed.size(), 1U);
}

TEST(Daemon, ACancelledWaitOfAnyKindLetsTheCallersContextEnd) {
    World world;
    world.add_host();
    world.add_host();
    auto config = world.config(1);
    config.daemon.cluster.seed_nodes = {
        world.address_of(0)}; // nobody runs there: nothing below ends by itself
    auto& daemon = world.start(1, std::move(config)).daemon();
    world.network.run_for(1s);
    const std::vector<std::byte> payload(60000);
    const auto nowhere = world.address_of(0);
    const Tell filler{"/user/x", "m", payload, {}};
    while (daemon.tell(nowhere, filler) == TellResult::Queued) {
    }
    const std::vector<std::pair<const char*, std::function<void(asio::cancellation_slot, asio::io_context&,
                                                                std::function<void(result<void>)>)>>>
        waits{
            {"async_up",
             [&](auto slot, auto& mine, auto then) {
                 daemon.async_up(
                     asio::bind_cancellation_slot(slot, asio::bind_executor(mine.get_executor(), then)));
             }},
            {"async_tell",
             [&](auto slot, auto& mine, auto then) {
                 daemon.async_tell(
                     nowhere, filler,
                     asio::bind_cancellation_slot(slot, asio::bind_executor(mine.get_executor(), then)));
             }},
            {"async_leave",
             [&](auto slot, auto& mine, auto then) {
                 daemon.async_leave(
                     asio::bind_cancellation_slot(slot, asio::bind_executor(mine.get_executor(), then)));
             }},
            {"async_shutdown",
             [&](auto slot, auto& mine, auto then) {
                 daemon.async_shutdown(
                     asio::bind_cancellation_slot(slot, asio::bind_executor(mine.get_executor(), then)));
             }},
        };
    for (const auto& [name, wait] : waits) {
        asio::io_context mine;
        asio::cancellation_signal cancel;
        std::optional<result<void>> answer;
        const auto held = std::make_shared<int>();
        wait(cancel.slot(), mine, [&answer, held](result<void> r) { answer = r; });
        mine.poll();
        EXPECT_FALSE(mine.stopped()) << name << ": who waits has work";
        mine.restart();
        cancel.emit(asio::cancellation_type::terminal);
        mine.run_for(10s);
        EXPECT_TRUE(mine.stopped()) << name << ": run() returns";
        ASSERT_TRUE(answer) << name;
        EXPECT_EQ(answer->error(), Errc::cancelled) << name;
        EXPECT_EQ(held.use_count(), 1) << name << ": the handler and what it holds are gone";
    }
}

TEST(Daemon, WhicheverOfAWaitAndATimerComesFirstEndsTheOther) {
    using namespace asio::experimental::awaitable_operators;
    World world;
    world.add_host();
    world.add_host();
    auto config = world.config(1);
    config.daemon.cluster.seed_nodes = {world.address_of(0)}; // nobody runs there
    auto& daemon = world.start(1, std::move(config)).daemon();
    world.network.run_for(1s);
    asio::io_context mine;
    std::size_t first = 2;
    const auto race = [&]() -> asio::awaitable<void> {
        asio::steady_timer timer(mine, 1ms);
        auto both = daemon.async_up(asio::use_awaitable) || timer.async_wait(asio::use_awaitable);
        const auto won = co_await std::move(both);
        first = won.index();
    };
    asio::co_spawn(mine, race, asio::detached);
    mine.run_for(10s);
    EXPECT_TRUE(mine.stopped());
    EXPECT_EQ(first, 1U);
}

TEST(Daemon, WhoeverWaitsForUpIsToldWhenTheNodeStopsFirst) {
    World world;
    world.add_host();
    world.add_host();
    auto config = world.config(1);
    config.daemon.cluster.seed_nodes = {world.address_of(0)}; // nobody runs there
    auto& lonely = world.start(1, std::move(config));
    asio::io_context mine;
    std::optional<result<void>> answer;
    lonely.daemon().async_up(asio::bind_executor(mine.get_executor(), [&](result<void> r) { answer = r; }));
    world.network.run_for(1s);
    lonely.daemon().shutdown();
    ASSERT_TRUE(world.run_until([&] { return lonely.stopped.has_value(); }));
    mine.poll();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->error(), Errc::closed);
}

TEST(Daemon, WhoeverWaitsIsToldClosedWhenTheRuntimeDies) {
    World world;
    world.start_all(1);
    asio::io_context mine;
    std::optional<result<void>> answer;
    world[0].daemon().async_shutdown(
        asio::bind_executor(mine.get_executor(), [&](result<void> r) { answer = r; }));
    world[0].runtime.reset(); // never ran
    mine.poll();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->error(), Errc::closed);
    world[0].daemon().leave(); // the handle outlives the Runtime: harmless
    EXPECT_EQ(world[0].daemon().tell(world.address_of(0), Tell{"p", "m", {}, {}}), TellResult::NoRoute);
}

TEST(Daemon, AskingAfterTheEndIsAnsweredAtOnce) {
    World world;
    world.start_all(1);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world[0].daemon().shutdown();
    ASSERT_TRUE(world.run_until([&] { return world[0].stopped.has_value(); }));
    world.network.run_for(1s);
    std::optional<ShutdownReason> late;
    world[0].daemon().on_stopped([&](ShutdownReason reason) { late = reason; });
    EXPECT_EQ(late, ShutdownReason::Requested);
    asio::io_context mine;
    std::optional<result<void>> answer;
    world[0].daemon().async_shutdown(
        asio::bind_executor(mine.get_executor(), [&](result<void> r) { answer = r; }));
    mine.poll();
    ASSERT_TRUE(answer);
    EXPECT_TRUE(*answer);
}

TEST(Daemon, TheRuntimeCanDieUnderARunningCluster) {
    World world;
    world.start_all(3);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    for (const auto& n : world.nodes) n->runtime.reset();
}

TEST(Daemon, DestroyingTheHandleStopsTheDaemonWithoutWaiting) {
    World world;
    world.start_all(2);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    bool removed = false;
    world[1].daemon().on_member_removed([&] { removed = true; });
    world[1].node.reset();
    EXPECT_TRUE(world.run_until([&] { return world[1].stopped.has_value(); }));
    EXPECT_TRUE(removed);
}

TEST(Daemon, OnMemberUpRunsOnceAlsoWhenAskedLate) {
    World world;
    world.start_all(1);
    int early = 0;
    int late = 0;
    world[0].daemon().on_member_up([&] { ++early; });
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world[0].daemon().on_member_up([&] { ++late; });
    world.network.run_for(5s);
    EXPECT_EQ(early, 1);
    EXPECT_EQ(late, 1);
}

TEST(Daemon, TellsReachTheOtherNodesSinkInOrder) {
    World world;
    world.start_all(2);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    const auto target = world[1].address().to_string() + "/user/echo";
    for (int i = 0; i < 1000; ++i)
        ASSERT_EQ(
            world[0].daemon().tell(world[1].address(), Tell{target, "n", bytes_of(std::to_string(i)), "me"}),
            TellResult::Queued);
    ASSERT_TRUE(world.run_until([&] { return world[1].sink->count() == 1000; }));
    const auto records = world[1].sink->records();
    for (int i = 0; i < 1000; ++i)
        EXPECT_EQ(records[static_cast<std::size_t>(i)].payload.text(), std::to_string(i));
    EXPECT_EQ(records[0].target_path, target);
    EXPECT_EQ(records[0].sender_path, "me");
}

TEST(Daemon, AsyncTellWaitsForRoomWhereTellAnswersFull) {
    World world;
    world.add_host();
    world.add_host();
    for (std::size_t i = 0; i < 2; ++i) {
        auto config = world.config(i);
        config.transport.association_bytes_max = 256 * 1024;
        world.start(i, std::move(config));
    }
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    const std::string payload(60'000, 'x');
    const Tell message{"akka.tcp://test@10.0.0.2:2551/user/a", "m", bytes_of(payload), {}};
    std::size_t queued = 0;
    while (world[0].daemon().tell(world[1].address(), message) == TellResult::Queued) ++queued;
    EXPECT_EQ(world[0].daemon().tell(world[1].address(), message), TellResult::Full);
    asio::io_context mine;
    std::optional<result<void>> answer;
    world[0].daemon().async_tell(
        world[1].address(), message,
        asio::bind_executor(mine.get_executor(), [&](result<void> r) { answer = r; }));
    ASSERT_TRUE(world.run_until([&] { return world[1].sink->count() == queued + 1; }));
    mine.poll();
    ASSERT_TRUE(answer);
    EXPECT_TRUE(*answer);
}

TEST(Daemon, AsyncTellToAnAddressWithoutHostSaysWhatIsWrong) {
    World world;
    world.start_all(1);
    asio::io_context mine;
    std::optional<result<void>> answer;
    world[0].daemon().async_tell(
        Address::local("akka.tcp", "test"), Tell{"/user/a", "m", {}, {}},
        asio::bind_executor(mine.get_executor(), [&](result<void> r) { answer = r; }));
    mine.run();
    ASSERT_TRUE(answer);
    ASSERT_FALSE(*answer);
    EXPECT_EQ(answer->error(), Errc::invalid_argument);
    EXPECT_NE(answer->error().message().find("host and port"), std::string::npos)
        << answer->error().message();
}

TEST(Daemon, SeedsAndRefereeOfAnotherClusterAreRefusedAtTheStart) {
    World world;
    const auto refused = [&](auto change) {
        world.add_host();
        const auto runtime = world.network.make_runtime(world.hosts.back(), {});
        auto config = world.config(world.hosts.size() - 1);
        config.daemon.sbr = SbrSettings{};
        change(config.daemon);
        const auto started = ClusterRemoteAdapter::start(*runtime, std::move(config));
        return started ? std::string{} : started.error().subject;
    };
    EXPECT_EQ(refused([](auto& d) {
                  d.cluster.seed_nodes = {Address::remote("akka.tcp", "other", "10.0.0.1", 1)};
              }),
              "setting seed-nodes entry akka.tcp://other@10.0.0.1:1");
    EXPECT_EQ(
        refused([](auto& d) { d.cluster.seed_nodes = {Address::remote("akka", "test", "10.0.0.1", 1)}; }),
        "setting seed-nodes entry akka://test@10.0.0.1:1");
    EXPECT_EQ(refused([](auto& d) {
                  d.sbr->strategy = "keep-referee";
                  d.sbr->referee = Address::remote("akka.tcp", "other", "10.0.0.1", 1);
              }),
              "setting split-brain-resolver.keep-referee.referee akka.tcp://other@10.0.0.1:1");
}

TEST(Daemon, AnotherThreadMayUseTheHandle) {
    World world;
    world.start_all(2);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    std::thread other([&] {
        EXPECT_EQ(world[0].snapshot().members().size(), 2U);
        world[0].daemon().leave(world[1].address());
    });
    other.join();
    EXPECT_TRUE(world.run_until([&] { return world[1].stopped.has_value(); }));
}

TEST(Daemon, SaysWhyTheClusterHasNotConverged) {
    World world;
    for (std::size_t i = 0; i < 3; ++i) world.add_host();
    for (std::size_t i = 0; i < 3; ++i) {
        auto config = world.config(i);
        config.daemon.sbr.reset();
        world.start(i, std::move(config));
    }
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    const auto gone = world[2].unique_address();
    world[2].kill();
    ASSERT_TRUE(world.run_until([&] { return world[0].saw<UnreachableMember>(gone); }));
    std::optional<ConvergenceReport> report;
    world[0].daemon().not_converged_report([&](ConvergenceReport r) { report = std::move(r); });
    ASSERT_TRUE(world.run_until([&] { return report.has_value(); }));
    EXPECT_FALSE(report->converged);
    ASSERT_EQ(report->unreachable.size(), 1U);
    EXPECT_EQ(report->unreachable[0].node, gone);
    EXPECT_TRUE(report->unreachable[0].blocks);
    EXPECT_NE(report->to_string().find(gone.address().host_port()), std::string::npos);
}

TEST(Daemon, AThrowingSubscriberIsLoggedAndDisturbsNobody) {
    World world;
    world.start_all(1);
    const auto bad = world[0].daemon().events().subscribe(
        EventCategory::Domain, [](const ClusterEvent&) { throw std::runtime_error("broken subscriber"); });
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    EXPECT_GE(world[0].log->count("node.subscriber.threw"), 1U);
    EXPECT_TRUE(world[0].saw<MemberUp>(world[0].unique_address()));
}

TEST(Daemon, BadSettingsAreNamedBeforeAnythingStarts) {
    World world;
    world.add_host();
    const auto runtime = world.network.make_runtime(world.hosts[0]);
    auto config = world.config(0);
    config.daemon.cluster.gossip_interval = 0ms;
    auto started = ClusterRemoteAdapter::start(*runtime, config);
    ASSERT_TRUE(started.has_error());
    EXPECT_EQ(started.error(), Errc::invalid_argument);
    EXPECT_NE(started.error().message().find("gossip-interval"), std::string::npos);
    config = world.config(0);
    config.daemon.sbr->strategy = "keep-calm";
    started = ClusterRemoteAdapter::start(*runtime, config);
    ASSERT_TRUE(started.has_error());
    EXPECT_NE(started.error().message().find("keep-calm"), std::string::npos);
    // Nothing is left behind: the address is free.
    EXPECT_TRUE(ClusterRemoteAdapter::start(*runtime, world.config(0)));
}

// --- what a gossip may take of a frame (protocol.md §2, Limits)

TEST(GossipBytesMax, AboveAQuarterOfTheLargestFrameIsRefusedAtTheStart) {
    World world;
    world.add_host();
    const auto runtime = world.network.make_runtime(world.hosts[0]);
    auto config = world.config(0);
    config.transport.frame_bytes_max = 1 << 20;
    config.daemon.cluster.gossip_bytes_max = (1 << 18) + 1;
    const auto refused = ClusterRemoteAdapter::start(*runtime, config);
    ASSERT_TRUE(refused.has_error());
    EXPECT_EQ(refused.error().subject, "setting gossip-bytes-max");
    EXPECT_NE(refused.error().message().find("262144"), std::string::npos) << refused.error().message();
    config.daemon.cluster.gossip_bytes_max = 1 << 18;
    EXPECT_TRUE(ClusterRemoteAdapter::start(*runtime, config));
}

TEST(GossipBytesMax, IsAQuarterOfTheLargestFrameWhenItIsNotSet) {
    World world;
    for (std::size_t i = 0; i < 8; ++i) world.add_host();
    for (std::size_t i = 0; i < 8; ++i) {
        auto config = world.config(i);
        config.transport.frame_bytes_max = 4096; // a gossip of 1024 bytes: room for some of them
        world.start(i, std::move(config));
    }
    world.network.run_for(20s);
    std::size_t deferred = 0;
    for (const auto& n : world.nodes) deferred += n->log->count("cluster.join.no_room");
    EXPECT_GT(deferred, 0U);
    EXPECT_LT(world[0].snapshot().members().size(), 8U);
    EXPECT_GE(world[0].snapshot().members().size(), 1U);
}

TEST(GossipBytesMax, ANodeWithALargestFrameOfAnotherSizeDoesNotJoinAndStops) {
    World world;
    world.start_all(2);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world.add_host();
    auto config = world.config(2);
    config.transport.frame_bytes_max /= 2;
    auto& other = world.start(2, std::move(config));
    ASSERT_TRUE(world.run_until([&] { return other.stopped.has_value(); }));
    EXPECT_EQ(other.stopped, ShutdownReason::IncompatibleConfiguration);
}

// The reference's way to run daemons: in one process, over a registry.
TEST(SpawnDaemon, NodesOfOneProcessFormAClusterOverARegistry) {
    sim::Network network;
    const auto host = network.add_host("one");
    const auto runtime = network.make_runtime(host);
    const auto registry = InProcessRegistry::create();
    std::vector<ClusterDaemonHandle> daemons;
    const auto first = Address::remote("akka", "sys", "node1", 1);
    for (int i = 1; i <= 3; ++i) {
        const UniqueAddress self(Address::remote("akka", "sys", "node" + std::to_string(i), 1), Uid{i});
        std::shared_ptr<ClusterTransport> transport =
            InProcessClusterTransport::create(registry, *runtime, self).value();
        daemons.push_back(spawn_daemon_with_sbr(*runtime, transport, DaemonConfig{}, SbrSettings{}).value());
        daemons.back().join(first);
    }
    const auto everybody_up = [&] {
        return std::all_of(daemons.begin(), daemons.end(), [](const ClusterDaemonHandle& d) {
            const auto snapshot = d.snapshot();
            return snapshot.converged && snapshot.members().size() == 3 &&
                   snapshot.self_status() == MemberStatus::Up;
        });
    };
    EXPECT_TRUE(network.run_until(everybody_up, network.now() + 60s));
    EXPECT_EQ(daemons[1].address().host, "node2");
}

TEST(SpawnDaemon, TickDoesARoundOfPeriodicWorkAtOnce) {
    sim::Network network;
    const auto runtime = network.make_runtime(network.add_host("one"));
    const UniqueAddress self(Address::remote("akka", "sys", "node1", 1), Uid{1});
    std::shared_ptr<ClusterTransport> transport =
        InProcessClusterTransport::create(InProcessRegistry::create(), *runtime, self).value();
    DaemonConfig config;
    config.cluster = ClusterSettings::classic();
    config.cluster.leader_actions_interval = 1h;
    config.cluster.min_nr_of_members = 1;
    auto daemon = spawn_daemon(*runtime, transport, config).value();
    daemon.join(self.address());
    network.run_for(1s);
    EXPECT_EQ(daemon.snapshot().self_status(), MemberStatus::Up)
        << "a self-join acts at once (protocol.md 5.6)";
    daemon.leave();
    network.run_for(1s);
    EXPECT_EQ(daemon.snapshot().self_status(), MemberStatus::Leaving)
        << "the next leader tick is an hour away";
    daemon.tick();
    network.run_for(100ms);
    EXPECT_NE(daemon.snapshot().self_status(), MemberStatus::Leaving);
}

TEST(SpawnDaemon, GossipFromAStrangerChangesNothing) {
    sim::Network network;
    const auto runtime = network.make_runtime(network.add_host("one"));
    const UniqueAddress self(Address::remote("akka", "sys", "node1", 1), Uid{1});
    const UniqueAddress stranger(Address::remote("akka", "sys", "node9", 1), Uid{9});
    std::shared_ptr<ClusterTransport> transport =
        InProcessClusterTransport::create(InProcessRegistry::create(), *runtime, self).value();
    auto daemon = spawn_daemon(*runtime, transport, DaemonConfig{}).value();
    daemon.join(self.address());
    network.run_for(2s);
    auto gossip = std::make_shared<const Gossip>(
        Gossip()
            .update(std::vector{Member(stranger, MemberStatus::Up), Member(self, MemberStatus::Up)})
            .increment(stranger));
    const auto inbox = daemon.gossip_inbox();
    inbox(GossipEnvelope{stranger, self, gossip});
    daemon.apply_gossip(
        GossipStatus{stranger, self, gossip->version(), gossip->version_id(), gossip->seen_digest()});
    network.run_for(2s);
    EXPECT_EQ(daemon.snapshot().members().size(), 1U);
}

} // namespace
} // namespace muster::test
