// SPDX-License-Identifier: Apache-2.0
/// What a node does about the lease of its resolver: at start, while nothing happens, and when it is needed
/// (protocol.md §15.3).
#include "world.hpp"

#include <algorithm>
#include <muster/cluster/sbr/lease.hpp>
#include <vector>

namespace muster::test {
namespace {

/// Answers what it is told to, or not at all.
class ScriptedLease final : public Lease {
public:
    void probe(Done done) override { answer(probes, on_probe, std::move(done)); }
    void check(Done done) override { answer(checks, on_check, std::move(done)); }
    void acquire(Done done) override { answer(acquires, on_acquire, std::move(done)); }
    void release(Done done) override { done(LeaseOutcome::NotHeld); }
    void renew(Done done) override { answer(renewals, on_renew, std::move(done)); }
    std::chrono::milliseconds time_to_live() const noexcept override { return 40s; }

    using Script = std::optional<LeaseAnswer>; // nullopt: no answer
    Script on_probe = LeaseAnswer(LeaseOutcome::NotHeld);
    Script on_check = LeaseAnswer(LeaseOutcome::NotHeld);
    Script on_acquire = LeaseAnswer(LeaseOutcome::NotHeld);
    Script on_renew = LeaseAnswer(LeaseOutcome::Held);
    int probes = 0, checks = 0, acquires = 0, renewals = 0;

private:
    static void answer(int& count, const Script& script, Done done) {
        ++count;
        if (script) done(*script);
    }
};

class LeaseNode : public testing::Test {
protected:
    LeaseNode() {
        world.add_host();
        world.add_host();
    }
    RemoteAdapterConfig config(std::size_t host) {
        auto config = world.config(host);
        config.daemon.sbr->strategy = "lease-majority";
        config.daemon.sbr->lease_implementation = "scripted";
        config.daemon.lease = lease;
        return config;
    }
    /// Two nodes of which the second has crashed, at the time when the first has had to decide.
    SimNode& after_a_crash() {
        auto& a = world.start(0, config(0));
        auto& b = world.start(1, config(1));
        EXPECT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
        b.kill();
        EXPECT_TRUE(world.run_until([&] { return lease->acquires > 0; }));
        return a;
    }
    static std::uint64_t metric(const SimNode& node, std::string_view name) {
        return static_cast<std::uint64_t>(node.runtime->metrics().value(name));
    }

    World world;
    std::shared_ptr<ScriptedLease> lease = std::make_shared<ScriptedLease>();
};

LeaseAnswer io_error(bool permanent) {
    return LeaseAnswer::failed(from_errno(permanent ? ENOENT : EIO, "opening lease file /x/lease"),
                               permanent);
}

TEST_F(LeaseNode, DoesNotJoinWithALeaseThatCannotWorkAndSaysWhy) {
    lease->on_probe = io_error(true);
    auto& node = world.start(0, config(0));
    std::optional<result<void>> started;
    node.daemon().on_started([&](result<void> r) { started = std::move(r); });
    ASSERT_TRUE(world.run_until([&] { return node.stopped.has_value(); }));
    EXPECT_EQ(node.stopped, ShutdownReason::CannotStart);
    ASSERT_TRUE(started && started->has_error());
    EXPECT_NE(started->error().message().find("/x/lease"), std::string::npos);
    EXPECT_EQ(node.log->count("node.lease.unusable"), 1U);
    EXPECT_TRUE(node.events.empty() || !node.snapshot().joined);
}

TEST_F(LeaseNode, JoinsWithABackendThatFailsForNowAndAsksAgainUntilItWorks) {
    lease->on_probe = io_error(false);
    auto& node = world.start(0, config(0));
    ASSERT_TRUE(world.run_until([&] { return node.snapshot().self_status() == MemberStatus::Up; }));
    world.network.run_for(20s);
    EXPECT_GE(lease->probes, 3);
    EXPECT_GE(metric(node, "node.lease.looks.failed"), 3U);
    EXPECT_EQ(metric(node, "node.lease.works"), 0U);
    EXPECT_GE(node.log->count("node.lease.unavailable"), 1U);
    lease->on_probe = LeaseAnswer(LeaseOutcome::NotHeld);
    world.network.run_for(10s);
    EXPECT_EQ(metric(node, "node.lease.works"), 1U);
    EXPECT_EQ(node.log->count("node.lease.available"), 1U);
}

TEST_F(LeaseNode, ABackendThatDoesNotAnswerHoldsTheStartUpForOneTimeOutAndIsAskedAgain) {
    lease->on_probe.reset();
    auto& node = world.start(0, config(0));
    bool started = false;
    node.daemon().on_started([&](const result<void>& r) { started = r.has_value(); });
    world.network.run_for(4s);
    EXPECT_FALSE(started);
    EXPECT_FALSE(node.snapshot().joined);
    world.network.run_for(3s);
    EXPECT_TRUE(started);
    ASSERT_TRUE(world.run_until([&] { return node.snapshot().self_status() == MemberStatus::Up; }));
    EXPECT_GE(node.log->count("node.lease.unavailable"), 1U);
    world.network.run_for(20s);
    EXPECT_GE(lease->probes, 3);
}

TEST_F(LeaseNode, AStopWhileTheLeaseIsAskedForIsObeyed) {
    lease->on_probe.reset();
    auto& node = world.start(0, config(0));
    std::optional<result<void>> started;
    node.daemon().on_started([&](result<void> r) { started = std::move(r); });
    world.network.run_for(1s);
    node.daemon().shutdown();
    ASSERT_TRUE(world.run_until([&] { return node.stopped.has_value(); }, 3s));
    EXPECT_EQ(node.stopped, ShutdownReason::Requested);
    EXPECT_TRUE(started && started->has_error());
}

TEST_F(LeaseNode, LooksAtTheLeaseEveryQuarterOfItsTimeToLiveFromItsStartOn) {
    world.start(0, config(0));
    world.network.run_for(65s);
    EXPECT_EQ(lease->probes, 1);
    EXPECT_GE(lease->checks, 5);
    EXPECT_LE(lease->checks, 6);
}

TEST_F(LeaseNode, ADeniedDecisionTellsTheBackendsReason) {
    lease->on_acquire = io_error(false);
    auto& node = after_a_crash();
    ASSERT_TRUE(world.run_until([&] { return node.stopped.has_value(); }));
    EXPECT_EQ(node.stopped, ShutdownReason::Downed);
    const auto decisions = node.daemon().decisions();
    ASSERT_FALSE(decisions.empty());
    EXPECT_EQ(decisions.back()->trigger, SbrTrigger::LeaseDenied);
    EXPECT_NE(decisions.back()->lease.find("/x/lease"), std::string::npos) << decisions.back()->lease;
    EXPECT_NE(decisions.back()->to_json().find("/x/lease"), std::string::npos);
    EXPECT_NE(decisions.back()->to_line().find("/x/lease"), std::string::npos);
    bool logged = false;
    for (const LogRecord& record : node.log->records())
        logged = logged || (record.code == "cluster.sbr.lease" &&
                            record.to_line().find("/x/lease") != std::string::npos);
    EXPECT_TRUE(logged);
}

TEST_F(LeaseNode, WaitsForTheEndOfAGrantThatNobodyKnowsToBeAliveAndSaysSo) {
    LeaseAnswer watching(LeaseOutcome::Watching);
    watching.watch = LeaseAnswer::Watch{"dead:1", 5s, 40s, 2s};
    lease->on_acquire = watching;
    auto& node = after_a_crash();
    world.network.run_for(20s);
    EXPECT_FALSE(node.stopped);
    std::string report;
    node.daemon().not_converged_report([&](const ConvergenceReport& r) { report = r.to_string(); });
    world.network.run_for(1s);
    EXPECT_NE(report.find("dead:1 has a grant"), std::string::npos) << report;
    EXPECT_NE(report.find("of the 40 s"), std::string::npos) << report;
    lease->on_acquire = LeaseAnswer(LeaseOutcome::Held);
    ASSERT_TRUE(world.run_until([&] { return world.agree({&node}); }));
    EXPECT_EQ(node.daemon().decisions().back()->trigger, SbrTrigger::LeaseAcquired);
}

TEST_F(LeaseNode, ARenewalThatFailsIsLoggedCountedAndTriedAgainBeforeTheGrantEnds) {
    lease->on_acquire = LeaseAnswer(LeaseOutcome::Held);
    auto& node = after_a_crash();
    lease->on_renew = io_error(false);
    world.network.run_for(38s);
    EXPECT_GE(lease->renewals, 5) << "from a third of the time to live on, every twelfth";
    EXPECT_GE(metric(node, "node.lease.renewals.failed"), 5U);
    EXPECT_GE(node.log->count("node.lease.renewal_failed"), 1U);
}

TEST_F(LeaseNode, ADryRunAsksForNoLease) {
    lease->on_probe = io_error(true);
    auto dry = config(0);
    dry.daemon.sbr->dry_run = true;
    auto& node = world.start(0, std::move(dry));
    world.network.run_for(60s);
    EXPECT_FALSE(node.stopped);
    EXPECT_EQ(lease->probes + lease->checks, 0);
}

TEST(DaemonConfig, ALeaveMayTakeAsLongAsTheLeaseIsAskedFor) {
    DaemonConfig config;
    config.sbr.emplace();
    const auto without = config.leave_timeout_min();
    config.sbr->strategy = "lease-majority";
    EXPECT_EQ(config.leave_timeout_min() - without,
              config.sbr->acquire_lease_delay_for_minority + 2 * config.sbr->lease_operation_timeout);
    EXPECT_EQ(config.shutdown_time_max() - config.leave_timeout_min(),
              DaemonConfig{}.shutdown_time_max() - DaemonConfig{}.leave_timeout_min());
}

} // namespace
} // namespace muster::test
