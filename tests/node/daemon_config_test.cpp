// SPDX-License-Identifier: Apache-2.0
/// What a DaemonConfig says of a node's beginning and end: its version, and the phases of its shutdown.
#include "world.hpp"

#include <gmock/gmock.h>

namespace muster::test {
namespace {

using testing::HasSubstr;

std::string refused(const std::function<void(DaemonConfig&)>& change) {
    DaemonConfig config;
    change(config);
    const auto ok = config.validate();
    return ok ? "" : ok.error().message();
}

// --- the application's version (protocol.md §1.7)

TEST(AppVersionLater, NobodyJoinsWithOrThroughANodeBeforeItHasItsVersion) {
    World world;
    world.add_host();
    world.add_host();
    auto config = world.config(0);
    config.daemon.expect_app_version = true;
    auto& first = world.start(0, std::move(config));
    auto& second = world.start(1);
    world.network.run_for(20s);
    EXPECT_FALSE(first.snapshot().joined);
    EXPECT_FALSE(second.snapshot().joined);
    ASSERT_TRUE(first.daemon().app_version(AppVersion::parse("2.1").value()));
    ASSERT_TRUE(first.daemon().app_version(AppVersion::parse("3.0").value())) << "the first one counts";
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    const Member* seen = second.snapshot().state->latest().find(first.unique_address());
    ASSERT_NE(seen, nullptr);
    EXPECT_EQ(seen->app_version(), AppVersion::parse("2.1").value());
}

TEST(AppVersionLater, AJoinAskedForMeanwhileComesThen) {
    World world;
    world.start_all(1);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world.add_host();
    auto config = world.config(1);
    config.daemon.cluster.seed_nodes.clear();
    config.daemon.expect_app_version = true;
    auto& late = world.start(1, std::move(config));
    late.daemon().join(world[0].address());
    world.network.run_for(5s);
    EXPECT_FALSE(late.snapshot().joined);
    ASSERT_TRUE(late.daemon().app_version(AppVersion::parse("1.5").value()));
    EXPECT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
}

TEST(AppVersionLater, IsRefusedWhereItCannotCount) {
    World world;
    world.add_host();
    world.add_host();
    auto& fixed = world.start(0);
    const auto unexpected = fixed.daemon().app_version(AppVersion::parse("2.0").value());
    ASSERT_FALSE(unexpected);
    EXPECT_THAT(unexpected.error().message(), HasSubstr("expect_app_version"));
    auto config = world.config(1);
    config.daemon.expect_app_version = true;
    auto& waiting = world.start(1, std::move(config));
    EXPECT_FALSE(waiting.daemon().app_version(AppVersion::parse("1.0-a\nb").value()));
    EXPECT_FALSE(waiting.daemon().app_version(AppVersion::parse("1.0-" + std::string(255, 'x')).value()));
    EXPECT_THAT(refused([](auto& c) {
                    c.expect_app_version = true;
                    c.cluster.app_version = AppVersion::parse("1.2").value();
                }),
                HasSubstr("app-version"));
}

// --- phases of coordinated shutdown (protocol.md §17)

/// A node with a stuck task in its first phases.
struct Stuck {
    explicit Stuck(const std::function<void(DaemonConfig&)>& change) {
        world.add_host();
        world.add_host();
        world.start(0);
        auto config = world.config(1);
        change(config.daemon);
        world.start(1, std::move(config));
        EXPECT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
        world[1].daemon().add_shutdown_task(ShutdownPhase::ServiceStop, "stuck",
                                            [this](UniqueFunction<void()> done) {
                                                began = world.network.now();
                                                never = std::move(done);
                                            });
        world[1].daemon().add_shutdown_task(ShutdownPhase::BeforeClusterShutdown, "next",
                                            [this](UniqueFunction<void()> done) {
                                                next = world.network.now();
                                                done();
                                            });
        gone = world[1].unique_address();
        world[1].daemon().shutdown();
        EXPECT_TRUE(world.run_until([&] { return world[1].stopped.has_value(); }));
    }
    World world;
    UniqueAddress gone;
    std::optional<Instant> began, next;
    UniqueFunction<void()> never;
};

TEST(ShutdownPhases, APhaseIsCutOffAfterItsConfiguredTime) {
    const Stuck node([](auto& c) { c.shutdown_phase(ShutdownPhase::ServiceStop).timeout = 700ms; });
    ASSERT_TRUE(node.began && node.next);
    EXPECT_EQ(*node.next - *node.began, 700ms);
}

TEST(ShutdownPhases, APhaseThatIsOffRunsNoneOfItsTasks) {
    const Stuck node([](auto& c) { c.shutdown_phase(ShutdownPhase::ServiceStop).enabled = false; });
    EXPECT_FALSE(node.began);
    EXPECT_TRUE(node.next);
}

TEST(ShutdownPhases, AFailureWithoutRecoverEndsTheNodeAtOnceWithoutLeaving) {
    Stuck node([](auto& c) { c.shutdown_phase(ShutdownPhase::ServiceStop).recover = false; });
    EXPECT_TRUE(node.began);
    EXPECT_FALSE(node.next);
    EXPECT_EQ(node.world[1].log->count("node.shutdown.cut_short"), 1U);
    EXPECT_FALSE(node.world[0].saw<MemberLeft>(node.gone));
    // Its transport is closed all the same: another process can have the address.
    node.world.start(1);
    const std::vector<SimNode*> now{&node.world[0], &node.world[2]};
    EXPECT_TRUE(node.world.run_until([&] { return node.world.agree(now); }, 120s));
}

TEST(ShutdownPhases, ASettingThatCannotWorkIsRefusedByName) {
    const auto refusal = [](ShutdownPhase phase, const std::function<void(ShutdownPhaseSettings&)>& change,
                            bool patient = true) {
        return refused([&](DaemonConfig& c) {
            c.cluster.patient_leave = patient;
            change(c.shutdown_phase(phase));
        });
    };
    EXPECT_THAT(refusal(ShutdownPhase::ServiceStop, [](auto& p) { p.timeout = 0ms; }),
                HasSubstr("coordinated-shutdown.phases.service-stop.timeout"));
    EXPECT_THAT(refusal(ShutdownPhase::ServiceStop, [](auto& p) { p.timeout = 8761h; }),
                HasSubstr("service-stop.timeout"));
    EXPECT_THAT(refusal(ShutdownPhase::ClusterLeave, [](auto& p) { p.enabled = false; }),
                HasSubstr("cluster-leave.enabled"));
    EXPECT_THAT(refusal(ShutdownPhase::ActorSystemTerminate, [](auto& p) { p.enabled = false; }),
                HasSubstr("actor-system-terminate.enabled"));
    EXPECT_THAT(refusal(ShutdownPhase::ClusterExiting, [](auto& p) { p.timeout = 1min; }),
                HasSubstr("leave-timeout"));
    EXPECT_EQ(refusal(
                  ShutdownPhase::ClusterExiting, [](auto& p) { p.timeout = 1min; }, false),
              "");
    EXPECT_THAT(refusal(ShutdownPhase::ActorSystemTerminate, [](auto& p) { p.timeout = 1s; }),
                HasSubstr("transport-shutdown-timeout"));
    EXPECT_EQ(refusal(ShutdownPhase::ServiceStop, [](auto& p) { p.timeout = 30s; }), "");
}

TEST(ShutdownPhases, TheLongestShutdownFollowsThem) {
    DaemonConfig config;
    const auto before = config.shutdown_time_max();
    config.shutdown_phase(ShutdownPhase::ClusterExitingDone).timeout += 4s;
    EXPECT_EQ(config.shutdown_time_max(), before + 4s);
}

} // namespace
} // namespace muster::test
