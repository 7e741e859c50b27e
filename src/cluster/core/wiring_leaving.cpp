// SPDX-License-Identifier: Apache-2.0
// How a node ends, as far as it concerns the others (protocol.md §11).
#include "core_impl.hpp"
#include <iterator>

namespace muster {

// --- the wish to leave

void ClusterCore::Impl::leave(const Address& node, const Now& now, Effects& out) {
    if (!is_initialized()) return;
    switch (leaving.hold(node)) {
    case Leaving::Hold::No: return change_to_leaving(node, now, out);
    case Leaving::Hold::GoesOn: return;
    case Leaving::Hold::Begins: break;
    }
    count(out, "cluster.leave.held");
    log(out, LogLevel::Warning, "cluster.leave.held", self.to_string(), {{"why", report().to_string()}});
}

void ClusterCore::Impl::leave_now(const Now& now, Effects& out) {
    leaving.release();
    if (is_initialized()) change_to_leaving(self.address(), now, out);
}

void ClusterCore::Impl::give_up_leaving(const Now& now, Effects& out) {
    if (!leaving.give_up()) return;
    log(out, LogLevel::Error, "cluster.leave.given_up", self.to_string(), {{"why", report().to_string()}});
    down(gossip().find_all(self.address()), now, out);
    if (leaving.begin_farewell(Farewell::OwnDown, out)) stop(std::nullopt, out);
}

// --- Exiting

void ClusterCore::Impl::run_exiting_tasks(Effects& out) {
    log(out, LogLevel::Info, "cluster.exiting");
    out.emplace_back(effect::RunExitingTasks{});
    out.emplace_back(effect::Shutdown{ShutdownReason::Leaving});
}

void ClusterCore::Impl::exiting_completed(const Now& now, Effects& out) {
    core.set_exiting_tasks_running(false);
    if (is_initialized() && is_member(self)) {
        if (!gossip().seen_by(self)) core.install(gossip().seen(self));
        publish(now, out);
        sender.burst(out);
        if (settings.patient_leave && self_status() == MemberStatus::Exiting) {
            if (leaving.begin_farewell(Farewell::ExitingConfirmed, out)) stop(std::nullopt, out);
            return;
        }
        for (const UniqueAddress& to : leaving.confirmation_targets())
            send(out, to, ExitingConfirmed{self, to});
    }
    stop(std::nullopt, out);
}

// --- Down, and the end

void ClusterCore::Impl::react_to_own_status(MemberStatus before, Effects& out) {
    const MemberStatus status = self_status();
    if (status == MemberStatus::Exiting && !core.are_exiting_tasks_running()) {
        core.set_exiting_tasks_running(true);
        run_exiting_tasks(out);
    }
    // A node that learns from others that it prepares needs no second command, and must refuse joins like
    // they do.
    if (status != before &&
        (status == MemberStatus::PreparingForShutdown || status == MemberStatus::ReadyForShutdown))
        core.set_preparing_for_shutdown();
    if (status == MemberStatus::Down && before != MemberStatus::Down) shutdown_self_when_down(out);
}

void ClusterCore::Impl::shutdown_self_when_down(Effects& out) {
    if (!leaving.is_down_known()) return;
    log(out, LogLevel::Error, "cluster.self_down");
    sender.burst(out);
    stop(ShutdownReason::Downed, out);
}

void ClusterCore::Impl::stop(std::optional<ShutdownReason> reason, Effects& out) {
    if (core.is_stopped()) return;
    joining.stop();
    leaving.stop();
    std::vector<ClusterEvent> events{ClusterShuttingDown{}};
    std::vector<ClusterEvent> rest = core.stop();
    events.insert(events.end(), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
    log(out, LogLevel::Info, "cluster.stopped");
    out.emplace_back(effect::Publish{core.nothing(), std::move(events)});
    if (reason == ShutdownReason::Downed && !settings.run_coordinated_shutdown_when_down) return;
    if (reason) out.emplace_back(effect::Shutdown{*reason});
}

} // namespace muster
