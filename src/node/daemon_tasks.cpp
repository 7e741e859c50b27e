// SPDX-License-Identifier: Apache-2.0
/// The daemon's coroutines, which sleep and feed the core and resolver.
#include "daemon_impl.hpp"
#include <algorithm>

namespace muster {
namespace {

/// The precision of the join process's deadlines.
constexpr auto join_tick_interval = std::chrono::milliseconds(100);
constexpr auto joined_check_interval = std::chrono::seconds(1);
constexpr unsigned reaper_skips_max = 2;

} // namespace

using Daemon = ClusterDaemonHandle::Daemon;

void Daemon::start(std::unique_ptr<Stake> stake) {
    add_membership_tasks();
    main_.spawn(run(std::move(stake)));
}

net::Task<void> Daemon::run(std::unique_ptr<Stake> stake) {
    const auto& settings = config_.cluster;
    transport_->start(*this, sink_);
    tasks_.spawn(publisher());
    tasks_.spawn(join_ticks());
    tasks_.spawn(periodic(settings.gossip_interval, &ClusterCore::tick_gossip));
    tasks_.spawn(periodic(settings.leader_actions_interval, &ClusterCore::tick_leader_actions));
    tasks_.spawn(reaper_ticks());
    tasks_.spawn(periodic(settings.failure_detector.heartbeat_interval, &ClusterCore::tick_heartbeat));
    tasks_.spawn(periodic(settings.multi_dc.heartbeat_interval, &ClusterCore::tick_cross_dc_heartbeat));
    if (resolver_) tasks_.spawn(downing_ticks());
    if (const auto interval = settings.publish_stats_interval; interval && *interval > interval->zero())
        tasks_.spawn(stats_ticks(*interval));
    if (!settings.seed_nodes.empty()) execute(DaemonCmd::JoinSeedNodes{settings.seed_nodes});
    // A node does not join with a lease that cannot work: a split would reveal it, and everybody would be
    // downed.
    if (uses_lease())
        ask_lease(LeaseQuestion::Probe);
    else
        begin();
    co_await finished_.wait();

    deliver_publications();
    bus_.close();
    tasks_.cancel();
    co_await tasks_.join();
    for (auto& [key, timer] : std::exchange(timers_, {})) runtime_.cancel(timer);
    for (const net::TimerId timer : {leave_timer_, settle_timer_})
        if (timer != net::TimerId::None) runtime_.cancel(timer);
    settle_waiters_.clear();
    ended_ = true;
    const ShutdownReason reason = end_reason();
    {
        const std::lock_guard lock(snapshot_mutex_);
        snapshot_.stopped = true;
        snapshot_.shutdown_reason = reason;
    }
    for (auto& done : std::exchange(start_waiters_, {}))
        done(Error{Errc::closed, core_.self().to_string(), "the node stopped before it started", {}});
    for (auto& callback : std::exchange(stopped_callbacks_, {})) callback(reason);
    // The daemon's last owner must not be this frame, whose task group is a member of the daemon.
    runtime_.post([last = std::move(stake)] {});
}

net::Task<void> Daemon::reaper_ticks() {
    const auto& settings = config_.cluster;
    const Duration interval = settings.unreachable_nodes_reaper_interval;
    // A process that was stopped or starved has heard from nobody meanwhile, and would accuse everybody of
    // its own silence. So it may first send heartbeats and read the answers; this grace is bounded, or a slow
    // node would never accuse anybody.
    const Duration late_max =
        std::max<Duration>(interval, settings.failure_detector.acceptable_heartbeat_pause / 2);
    unsigned skipped = 0;
    Duration pause = std::max<Duration>(interval, settings.periodic_tasks_initial_delay);
    while (!tasks_.stopping()) {
        const Instant due = runtime_.monotonic_now() + pause;
        auto slept = co_await runtime_.sleep_until(due);
        if (!slept) co_return;
        pause = interval;
        const Duration late = runtime_.monotonic_now() - due;
        if (late > late_max && skipped < reaper_skips_max) {
            ++skipped;
            runtime_.metrics().counter("node.reaper.skipped_late").add();
            runtime_.log().warning("node.slow", {},
                                   {{"late_ms", std::to_string(late / std::chrono::milliseconds(1))}});
            continue;
        }
        skipped = 0;
        feed([&](const Now& now, Effects& out) { core_.tick_reaper(now, out); });
    }
}

net::Task<void> Daemon::periodic(Duration interval, Tick tick) {
    auto& lateness = runtime_.metrics().histogram("node.tick.lateness_us");
    Duration pause = std::max<Duration>(interval, config_.cluster.periodic_tasks_initial_delay);
    while (!tasks_.stopping()) {
        const Instant due = runtime_.monotonic_now() + pause;
        auto slept = co_await runtime_.sleep_until(due);
        if (!slept) co_return;
        lateness.record(static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::microseconds>(runtime_.monotonic_now() - due).count()));
        feed([&](const Now& now, Effects& out) { (core_.*tick)(now, out); });
        // Fixed delay: after a pause of the process there is one tick, not a burst of those missed.
        pause = interval;
    }
}

net::Task<void> Daemon::stats_ticks(Duration interval) {
    while (!tasks_.stopping()) {
        auto slept = co_await runtime_.sleep_for(interval);
        if (!slept) co_return;
        publish_stats();
    }
}

net::Task<void> Daemon::join_ticks() {
    while (!tasks_.stopping()) {
        const Duration pause =
            core_.is_joined() ? Duration(joined_check_interval) : Duration(join_tick_interval);
        auto slept = co_await runtime_.sleep_for(pause);
        if (!slept) co_return;
        if (!core_.is_joined()) feed([&](const Now& now, Effects& out) { core_.tick_join(now, out); });
    }
}

net::Task<void> Daemon::downing_ticks() {
    // The resolver's tick interval, shortened with stable-after (protocol.md §18: 1 s for 20 s).
    const auto interval = std::clamp<std::chrono::milliseconds>(
        resolver_->settings().stable_after / 20, std::chrono::milliseconds(50), SbrSettings::tick_interval);
    while (!tasks_.stopping()) {
        auto slept = co_await runtime_.sleep_for(interval);
        if (!slept) co_return;
        tend_lease();
        feed([&](const Now& now, Effects& out) { resolver_->tick(now, out); });
    }
}

net::Task<void> Daemon::publisher() {
    while (true) {
        deliver_publications();
        auto woken = co_await published_.wait();
        if (!woken) co_return;
    }
}

void Daemon::deliver_publications() {
    while (!publications_.empty()) {
        auto next = std::move(publications_.front());
        publications_.pop_front();
        bus_.publish(std::move(next.state), std::move(next.events));
    }
}

} // namespace muster
