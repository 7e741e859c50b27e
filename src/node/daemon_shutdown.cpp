// SPDX-License-Identifier: Apache-2.0
/// Coordinated shutdown (protocol.md §17): CoordinatedShutdown has the phases as a value; this file has the
/// membership's part.
#include "daemon_impl.hpp"
#include <algorithm>
#include <muster/ensure.hpp>

namespace muster {
namespace {

constexpr const char* membership_task = "membership";
/// A node that never was a member may still have tells in flight over established links.
constexpr std::chrono::milliseconds stranger_shutdown_timeout{250};

} // namespace

using Daemon = ClusterDaemonHandle::Daemon;

void Daemon::add_membership_tasks() {
    using TaskDone = UniqueFunction<void()>;
    add_shutdown_task(ShutdownPhase::ClusterLeave, membership_task,
                      [this](TaskDone done) { leave_then(std::move(done)); });
    add_shutdown_task(ShutdownPhase::ClusterExiting, membership_task,
                      [this](TaskDone done) { exit_then(std::move(done)); });
    add_shutdown_task(ShutdownPhase::ClusterExitingDone, membership_task, [this](TaskDone done) {
        const bool is_member = !core_.is_stopped() && core_.is_joined();
        const MemberStatus status = core_.state()->self_status();
        const bool gives_up = config_.cluster.patient_leave && status != MemberStatus::Exiting;
        if (is_member && status != MemberStatus::Down)
            feed([&](const Now& now, Effects& out) {
                gives_up ? core_.give_up_leaving(now, out) : core_.exiting_completed(now, out);
            });
        // The node goes on answering until the others know of its Down; then the core stops itself.
        if (core_.is_stopped() || !core_.is_joined() || status == MemberStatus::Down) return done();
        wait_for_status(status_set(MemberStatus::Removed), std::move(done));
    });
    add_shutdown_task(ShutdownPhase::ClusterShutdown, membership_task, [this](TaskDone done) {
        if (!core_.is_stopped()) feed([&](const Now& now, Effects& out) { core_.stop(now, out); });
        done();
    });
    add_shutdown_task(ShutdownPhase::ActorSystemTerminate, "transport",
                      [this](TaskDone done) { close_transport(std::move(done)); });
}

void Daemon::close_transport(UniqueFunction<void()> done) {
    transport_closes_ = true;
    // A node that never was a member sends no farewell, and does not wait for silent seeds.
    const Duration patience = ever_joined_
                                  ? config_.transport_shutdown_timeout
                                  : std::min(config_.transport_shutdown_timeout, stranger_shutdown_timeout);
    transport_->shutdown(runtime_.monotonic_now() + patience, std::move(done));
}

void Daemon::add_shutdown_task(ShutdownPhase phase, std::string name, ShutdownTask task) {
    if (auto added = shutdown_.add_task(phase, name); !added) {
        runtime_.log().error(
            "node.shutdown.task_refused", {},
            {{"phase", std::string(to_string(phase))}, {"task", name}, {"cause", added.error().message()}});
        return;
    }
    shutdown_tasks_.insert_or_assign({phase, std::move(name)}, std::move(task));
}

void Daemon::begin_shutdown(ShutdownReason reason) {
    if (ended_ || shutdown_.reason()) return;
    {
        const std::lock_guard lock(snapshot_mutex_);
        snapshot_.shutdown_reason = reason;
    }
    runtime_.log().info("node.shutdown.begins", {}, {{"reason", std::string(to_string(reason))}});
    ShutdownSteps steps;
    shutdown_.start(reason, steps);
    carry_out(std::move(steps));
}

void Daemon::abandon() {
    // Without a handle nobody waits for a leave: peers see the connections end with Goodbye.
    if (ended_ || shutdown_.reason()) return;
    ShutdownSteps steps;
    shutdown_.start(ShutdownReason::Requested, steps, ShutdownPhase::ClusterShutdown);
    carry_out(std::move(steps));
}

void Daemon::carry_out(ShutdownSteps steps) {
    for (auto& step : steps) std::visit([this](auto& s) { carry_out(s); }, step);
}

void Daemon::carry_out(shutdown_step::RunTask& step) {
    const auto found = shutdown_tasks_.find({step.phase, step.name});
    MUSTER_ENSURE(found != shutdown_tasks_.end(), "every task of the shutdown was added with its function");
    const auto task = std::move(found->second);
    shutdown_tasks_.erase(found);
    task([weak = weak_from_this(), phase = step.phase, name = step.name] {
        const auto self = weak.lock();
        if (!self) return;
        self->post([phase, name](Daemon& d) {
            ShutdownSteps steps;
            d.shutdown_.task_done(phase, name, steps);
            d.carry_out(std::move(steps));
        });
    });
}

void Daemon::carry_out(shutdown_step::SetTimeout& step) {
    phase_timeouts_[step.phase] = runtime_.schedule(runtime_.monotonic_now() + step.delay,
                                                    [weak = weak_from_this(), phase = step.phase] {
                                                        const auto self = weak.lock();
                                                        if (!self) return;
                                                        self->phase_timeouts_.erase(phase);
                                                        ShutdownSteps steps;
                                                        self->shutdown_.on_timeout(phase, steps);
                                                        self->carry_out(std::move(steps));
                                                    });
}

void Daemon::carry_out(shutdown_step::CancelTimeout& step) {
    const auto found = phase_timeouts_.find(step.phase);
    if (found == phase_timeouts_.end()) return;
    runtime_.cancel(found->second);
    phase_timeouts_.erase(found);
}

void Daemon::carry_out(shutdown_step::PhaseTimedOut& step) {
    std::string names;
    for (const auto& name : step.unfinished) names += (names.empty() ? "" : ", ") + name;
    runtime_.log().warning("node.shutdown.phase_timeout", {},
                           {{"phase", std::string(to_string(step.phase))}, {"unfinished", names}});
}

void Daemon::carry_out(shutdown_step::TaskFailed& step) {
    runtime_.log().warning("node.shutdown.task_failed", {},
                           {{"phase", std::string(to_string(step.phase))},
                            {"task", step.name},
                            {"cause", step.error.message()}});
}

void Daemon::carry_out(shutdown_step::Finished& step) {
    if (step.completed) return finished_.notify();
    // A phase without `recover` has failed: the remaining phases are skipped, but the daemon must still end.
    runtime_.log().error("node.shutdown.cut_short", {}, {});
    if (!core_.is_stopped()) feed([&](const Now& now, Effects& out) { core_.stop(now, out); });
    if (transport_closes_) return finished_.notify();
    close_transport([weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->finished_.notify();
    });
}

void Daemon::leave_then(UniqueFunction<void()> done) {
    const auto status = core_.state()->self_status();
    if (core_.is_stopped() || !core_.is_joined() || status == MemberStatus::Down) return done();
    const Instant now = runtime_.monotonic_now();
    leave_deadline_ = now + config_.leave_timeout.value_or(config_.leave_timeout_min());
    feed([&](const Now& at, Effects& out) { core_.leave(core_.self().address(), at, out); });
    if (core_.is_leave_held())
        at_leave_deadline(*leave_deadline_, [](Daemon& d) {
            if (d.core_.is_leave_held())
                d.feed([&](const Now& at, Effects& out) { d.core_.leave_now(at, out); });
        });
    wait_for_status(
        status_set(MemberStatus::Leaving, MemberStatus::Exiting, MemberStatus::Down, MemberStatus::Removed),
        std::move(done));
}

void Daemon::exit_then(UniqueFunction<void()> done) {
    constexpr StatusSet over = status_set(MemberStatus::Exiting, MemberStatus::Down, MemberStatus::Removed);
    if (leave_deadline_ && config_.cluster.patient_leave) {
        // By then a crash is noticed, decided on and removed; a leave that has not ended now never will.
        const Instant last = std::max(*leave_deadline_, runtime_.monotonic_now()) + exiting_time_min;
        at_leave_deadline(last, [](Daemon& d) {
            d.leave_is_late_ = true;
            d.check_status_waiters();
        });
    }
    wait_for_status(over, std::move(done), true);
}

void Daemon::at_leave_deadline(Instant deadline, void (*action)(Daemon&)) {
    if (leave_timer_ != net::TimerId::None) runtime_.cancel(leave_timer_);
    leave_timer_ = runtime_.schedule(deadline, [weak = weak_from_this(), action] {
        const auto self = weak.lock();
        if (!self) return;
        self->leave_timer_ = net::TimerId::None;
        if (!self->ended_) action(*self);
    });
}

ShutdownReason Daemon::end_reason() const {
    if (core_.has_given_up_leaving()) return ShutdownReason::LeaveUnfinished;
    return shutdown_.reason().value_or(ShutdownReason::Requested);
}

void Daemon::wait_for_status(StatusSet statuses, UniqueFunction<void()> done, bool until_late) {
    status_waiters_.push_back({statuses, std::move(done), until_late});
    check_status_waiters();
}

void Daemon::check_status_waiters() {
    // A callback may add or satisfy further waiters, so each pass starts from the current list.
    for (std::size_t i = 0; i < status_waiters_.size();) {
        const auto status = core_.state()->self_status();
        const bool late = status_waiters_[i].until_late && leave_is_late_;
        const bool reached =
            late || core_.is_stopped() || !core_.is_joined() || status_waiters_[i].statuses.contains(status);
        if (!reached) {
            ++i;
            continue;
        }
        auto done = std::move(status_waiters_[i].done);
        status_waiters_.erase(status_waiters_.begin() + static_cast<std::ptrdiff_t>(i));
        done();
    }
}

} // namespace muster
