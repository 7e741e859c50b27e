// SPDX-License-Identifier: Apache-2.0
#include <muster/node/coordinated_shutdown.hpp>

#include <gtest/gtest.h>

namespace {

using namespace muster;
using P = ShutdownPhase;
using std::chrono::milliseconds;

/// Steps as text: "run leave", "timeout cluster-leave 5000", ...
std::string text(const ShutdownSteps& steps) {
    std::string all;
    for (const ShutdownStep& step : steps) {
        if (!all.empty()) all += "; ";
        if (const auto* s = std::get_if<shutdown_step::RunTask>(&step)) all += "run " + s->name;
        if (const auto* s = std::get_if<shutdown_step::SetTimeout>(&step))
            all += "timeout " + std::string(to_string(s->phase)) + ' ' + std::to_string(s->delay.count());
        if (std::holds_alternative<shutdown_step::CancelTimeout>(step)) all += "cancel";
        if (const auto* s = std::get_if<shutdown_step::PhaseTimedOut>(&step)) {
            all += "late";
            for (const auto& name : s->unfinished) all += ' ' + name;
        }
        if (const auto* s = std::get_if<shutdown_step::TaskFailed>(&step)) all += "failed " + s->name;
        if (const auto* s = std::get_if<shutdown_step::Finished>(&step))
            all += s->completed ? "finished" : "given up";
    }
    return all;
}

class Shutdown {
public:
    explicit Shutdown(CoordinatedShutdown::Phases phases = default_shutdown_phases()) : value(phases) {}
    std::string start(ShutdownReason reason = ShutdownReason::Requested, P from = P::BeforeServiceUnbind) {
        ShutdownSteps steps;
        value.start(reason, steps, from);
        return text(steps);
    }
    std::string done(P phase, std::string_view name, std::optional<Error> failure = {}) {
        ShutdownSteps steps;
        value.task_done(phase, name, steps, std::move(failure));
        return text(steps);
    }
    std::string timeout(P phase) {
        ShutdownSteps steps;
        value.on_timeout(phase, steps);
        return text(steps);
    }
    CoordinatedShutdown value;
};

TEST(CoordinatedShutdown, RunsPhasesInOrderAndTheTasksOfOneTogether) {
    Shutdown shutdown;
    ASSERT_TRUE(shutdown.value.add_task(P::ClusterLeave, "leave").has_value());
    ASSERT_TRUE(shutdown.value.add_task(P::ServiceStop, "one").has_value());
    ASSERT_TRUE(shutdown.value.add_task(P::ServiceStop, "two").has_value());
    EXPECT_EQ(shutdown.start(), "timeout service-stop 5000; run one; run two");
    EXPECT_EQ(shutdown.done(P::ServiceStop, "two"), "");
    EXPECT_EQ(shutdown.done(P::ServiceStop, "one"), "cancel; timeout cluster-leave 5000; run leave");
    EXPECT_EQ(shutdown.value.current(), P::ClusterLeave);
    EXPECT_EQ(shutdown.done(P::ClusterLeave, "leave"), "cancel; finished");
    EXPECT_TRUE(shutdown.value.is_finished());
    EXPECT_FALSE(shutdown.value.is_running());
}

TEST(CoordinatedShutdown, WithoutTasksItIsFinishedAtOnce) {
    Shutdown shutdown;
    EXPECT_EQ(shutdown.start(ShutdownReason::Downed), "finished");
    EXPECT_EQ(shutdown.value.reason(), ShutdownReason::Downed);
}

TEST(CoordinatedShutdown, TheFirstReasonCounts) {
    Shutdown shutdown;
    ASSERT_TRUE(shutdown.value.add_task(P::ClusterLeave, "leave").has_value());
    shutdown.start(ShutdownReason::Leaving);
    ShutdownSteps steps;
    EXPECT_FALSE(shutdown.value.start(ShutdownReason::Downed, steps));
    EXPECT_TRUE(steps.empty());
    EXPECT_EQ(shutdown.value.reason(), ShutdownReason::Leaving);
}

TEST(CoordinatedShutdown, APhaseThatTakesTooLongIsReportedAndTheNextOneRuns) {
    Shutdown shutdown;
    for (const char* name : {"quick", "stuck"})
        ASSERT_TRUE(shutdown.value.add_task(P::ClusterExiting, name).has_value());
    ASSERT_TRUE(shutdown.value.add_task(P::ClusterShutdown, "stop").has_value());
    EXPECT_EQ(shutdown.start(), "timeout cluster-exiting 10000; run quick; run stuck");
    shutdown.done(P::ClusterExiting, "quick");
    EXPECT_EQ(shutdown.timeout(P::ClusterExiting), "late stuck; timeout cluster-shutdown 5000; run stop");
    EXPECT_EQ(shutdown.done(P::ClusterExiting, "stuck"), "") << "a straggler";
    EXPECT_EQ(shutdown.timeout(P::ClusterExiting), "") << "a late timer";
    EXPECT_EQ(shutdown.done(P::ClusterShutdown, "stop"), "cancel; finished");
}

TEST(CoordinatedShutdown, AFailedTaskIsReportedAndTheNextPhaseRuns) {
    Shutdown shutdown;
    ASSERT_TRUE(shutdown.value.add_task(P::ServiceStop, "bad").has_value());
    ASSERT_TRUE(shutdown.value.add_task(P::ClusterShutdown, "stop").has_value());
    shutdown.start();
    EXPECT_EQ(shutdown.done(P::ServiceStop, "bad", Error{Errc::io, "disk", {}, {}}),
              "failed bad; cancel; timeout cluster-shutdown 5000; run stop");
}

TEST(CoordinatedShutdown, WithoutRecoverAFailureEndsIt) {
    auto phases = default_shutdown_phases();
    phases[static_cast<std::size_t>(P::ServiceStop)].recover = false;
    for (const bool by_timeout : {true, false}) {
        Shutdown shutdown(phases);
        ASSERT_TRUE(shutdown.value.add_task(P::ServiceStop, "bad").has_value());
        ASSERT_TRUE(shutdown.value.add_task(P::ClusterShutdown, "stop").has_value());
        shutdown.start();
        if (by_timeout)
            EXPECT_EQ(shutdown.timeout(P::ServiceStop), "late bad; given up");
        else
            EXPECT_EQ(shutdown.done(P::ServiceStop, "bad", Error{Errc::io, "disk", {}, {}}),
                      "failed bad; cancel; given up");
    }
}

TEST(CoordinatedShutdown, ADisabledPhaseIsSkipped) {
    auto phases = default_shutdown_phases();
    phases[static_cast<std::size_t>(P::ServiceStop)].enabled = false;
    Shutdown shutdown(phases);
    ASSERT_TRUE(shutdown.value.add_task(P::ServiceStop, "one").has_value());
    EXPECT_EQ(shutdown.value.total_timeout(), milliseconds{0});
    EXPECT_EQ(shutdown.start(), "finished");
}

TEST(CoordinatedShutdown, CanBeginWithALaterPhase) {
    Shutdown shutdown;
    ASSERT_TRUE(shutdown.value.add_task(P::ServiceStop, "skipped").has_value());
    ASSERT_TRUE(shutdown.value.add_task(P::ClusterShutdown, "stop").has_value());
    EXPECT_EQ(shutdown.start(ShutdownReason::Downed, P::ClusterShutdown),
              "timeout cluster-shutdown 5000; run stop");
}

TEST(CoordinatedShutdown, TasksAreAddedBeforeTheirPhaseUnderNamesOfTheirOwn) {
    Shutdown shutdown;
    ASSERT_TRUE(shutdown.value.add_task(P::ServiceStop, "one").has_value());
    EXPECT_EQ(shutdown.value.add_task(P::ServiceStop, "one").error(), Errc::invalid_argument);
    EXPECT_EQ(shutdown.value.add_task(P::ServiceStop, "").error(), Errc::invalid_argument);
    EXPECT_TRUE(shutdown.value.add_task(P::ClusterLeave, "one").has_value());
    shutdown.start();
    EXPECT_EQ(shutdown.value.add_task(P::ServiceStop, "two").error(), Errc::closed);
    EXPECT_EQ(shutdown.value.add_task(P::BeforeServiceUnbind, "two").error(), Errc::closed);
    EXPECT_TRUE(shutdown.value.add_task(P::ClusterShutdown, "two").has_value());
    EXPECT_FALSE(shutdown.value.cancel_task(P::ServiceStop, "one"));
    EXPECT_TRUE(shutdown.value.cancel_task(P::ClusterShutdown, "two"));
    EXPECT_TRUE(shutdown.value.tasks_of(P::ClusterShutdown).empty());
}

TEST(CoordinatedShutdown, PhaseNamesReadBackAndDefaultsAreThoseOfTheSpecification) {
    for (std::size_t i = 0; i < shutdown_phase_count; ++i) {
        const auto phase = static_cast<P>(i);
        EXPECT_EQ(parse_shutdown_phase(to_string(phase)), phase);
    }
    EXPECT_EQ(parse_shutdown_phase("cluster-party"), std::nullopt);
    EXPECT_EQ(to_string(P::ClusterExitingDone), "cluster-exiting-done");
    const CoordinatedShutdown shutdown;
    EXPECT_EQ(shutdown.settings_of(P::ClusterExiting).timeout, milliseconds{10'000});
    EXPECT_EQ(shutdown.settings_of(P::ClusterLeave).timeout, milliseconds{5000});
    EXPECT_TRUE(shutdown.settings_of(P::ClusterLeave).recover);
}

} // namespace
