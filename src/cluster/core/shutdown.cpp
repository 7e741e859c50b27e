// SPDX-License-Identifier: Apache-2.0
// How a node ends (protocol.md §11).
#include "base/mutants.hpp"
#include "core_impl.hpp"
#include <algorithm>

namespace muster {

void ClusterCore::Impl::begin_exiting(Effects& out) {
    core.set_exiting_tasks_running(true);
    run_exiting_tasks(out);
}

void ClusterCore::Impl::run_exiting_tasks(Effects& out) {
    log(out, LogLevel::Info, "cluster.exiting");
    out.emplace_back(effect::RunExitingTasks{});
    out.emplace_back(effect::Shutdown{ShutdownReason::Leaving});
}

void ClusterCore::Impl::react_to_own_status(MemberStatus before, const Now& now, Effects& out) {
    const MemberStatus status = self_status();
    if (status == MemberStatus::Exiting && !core.are_exiting_tasks_running()) begin_exiting(out);
    // Who learns from others that it prepares has not to be told a second time, and must refuse joins like
    // they do.
    if (status != before &&
        (status == MemberStatus::PreparingForShutdown || status == MemberStatus::ReadyForShutdown))
        core.set_preparing_for_shutdown();
    if (status == MemberStatus::Down && before != MemberStatus::Down) shutdown_self_when_down(now, out);
}

void ClusterCore::Impl::exiting_completed(const Now& now, Effects& out) {
    core.set_exiting_tasks_running(false);
    if (is_initialized() && is_member(self)) {
        if (!gossip().seen_by(self)) install(gossip().seen(self));
        publish(now, out);
        sender.burst(out);
        if (settings.patient_leave && self_status() == MemberStatus::Exiting)
            return begin_farewell(Farewell::ExitingConfirmed, out);
        for (const UniqueAddress& to : confirmation_targets())
            out.emplace_back(effect::Send{Destination(to), ExitingConfirmed{self, to}});
    }
    stop(std::nullopt, out);
}

void ClusterCore::Impl::shutdown_self_when_down(const Now&, Effects& out) {
    if (core.phase() == CorePhase::Stopped || self_status() != MemberStatus::Down ||
        MUSTER_MUTANT(self_downing_skipped))
        return;
    if (leaving.given_up) return; // the farewell ends it
    const Reachability reachability = state->dc_reach();
    const bool all_know = std::ranges::all_of(own_dc_members(*state), [&](const Member& m) {
        return m.status() != MemberStatus::Down || gossip().seen_by(m.unique_address()) ||
               !reachability.is_reachable(m.unique_address());
    });
    if (!all_know && self_down_checks_failed < self_down_checks_max) {
        // Others that were downed with us still have to learn it.
        ++self_down_checks_failed;
        return;
    }
    log(out, LogLevel::Error, "cluster.self_down");
    sender.burst(out);
    stop(ShutdownReason::Downed, out);
}

void ClusterCore::Impl::stop(std::optional<ShutdownReason> reason, Effects& out) {
    if (core.phase() == CorePhase::Stopped) return;
    joining.process.reset();
    leaving.held = false;
    leaving.farewell = Farewell::None;
    std::vector<ClusterEvent> events{ClusterShuttingDown{}};
    std::vector<ClusterEvent> rest = core.stop();
    events.insert(events.end(), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
    log(out, LogLevel::Info, "cluster.stopped");
    out.emplace_back(effect::Publish{core.nothing(), std::move(events)});
    if (reason == ShutdownReason::Downed && !settings.run_coordinated_shutdown_when_down) return;
    if (reason) out.emplace_back(effect::Shutdown{*reason});
}

} // namespace muster
