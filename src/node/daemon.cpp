// SPDX-License-Identifier: Apache-2.0
#include "base/setting_limits.hpp"
#include "base/split_mix64.hpp"
#include "daemon_impl.hpp"
#include "downing.hpp"
#include <algorithm>
#include <array>
#include <exception>
#include <muster/cluster/failure/heartbeat_monitor.hpp>
#include <muster/ensure.hpp>

namespace muster {
namespace {

using Daemon = ClusterDaemonHandle::Daemon;

/// The sink of nodes without an application: counts and drops tells.
class NullSink final : public RemoteMessageSink {
public:
    explicit NullSink(Metrics& metrics) : dropped_(metrics.counter("node.tells.dropped.no_sink")) {}
    void deliver(std::string_view, std::string_view, const Slice&, std::optional<std::string_view>) override {
        dropped_.add();
    }

private:
    Counter& dropped_;
};

ClusterEventBus::Options bus_options(net::Runtime& runtime) {
    ClusterEventBus::Options options;
    options.on_failure = [&metrics = runtime.metrics(), &log = runtime.log()](std::exception_ptr thrown) {
        metrics.counter("node.subscribers.threw").add();
        std::string what = "not a std::exception";
        try {
            std::rethrow_exception(thrown);
        } catch (const std::exception& e) {
            what = e.what();
        } catch (...) { // NOLINT: `what` says it
        }
        log.warning("node.subscriber.threw", {}, {{"what", what}});
    };
    return options;
}

/// The most join commands that wait for the lease; more than one is a caller's repetition.
constexpr std::size_t held_back_max = 16;

/// Phases with work of the membership's own, without which the node would not leave, or not end.
constexpr std::array membership_phases = {ShutdownPhase::ClusterLeave, ShutdownPhase::ClusterExiting,
                                          ShutdownPhase::ClusterExitingDone, ShutdownPhase::ClusterShutdown,
                                          ShutdownPhase::ActorSystemTerminate};

result<void> validate_phases(const DaemonConfig& config) {
    const auto defaults = default_shutdown_phases();
    for (std::size_t i = 0; i < shutdown_phase_count; ++i) {
        const auto phase = static_cast<ShutdownPhase>(i);
        const ShutdownPhaseSettings& settings = config.shutdown_phases[i];
        const auto bad = [&](std::string_view what, std::string advice) {
            return Error{Errc::invalid_argument,
                         "setting coordinated-shutdown.phases." + std::string(to_string(phase)) + '.' +
                             std::string(what),
                         std::move(advice),
                         {}};
        };
        if (settings.timeout.count() <= 0) return bad("timeout", "use more than 0 ms");
        if (settings.timeout > setting_duration_max) return bad("timeout", "use at most 8760 hours");
        if (!settings.enabled && std::ranges::find(membership_phases, phase) != membership_phases.end())
            return bad("enabled", "leave it on: the node's own work in this phase ends its membership");
        const bool leaves = phase == ShutdownPhase::ClusterLeave || phase == ShutdownPhase::ClusterExiting;
        if (leaves && config.cluster.patient_leave && settings.timeout != defaults[i].timeout)
            return bad("timeout", "set leave-timeout instead, which this phase follows");
        if (phase == ShutdownPhase::ActorSystemTerminate &&
            settings.timeout < config.transport_shutdown_timeout)
            return bad("timeout", "use at least transport-shutdown-timeout (" +
                                      std::to_string(config.transport_shutdown_timeout.count()) + " ms)");
    }
    return {};
}

} // namespace

result<void> DaemonConfig::validate() const {
    if (auto ok = cluster.validate(); !ok) return ok;
    if (transport_shutdown_timeout.count() <= 0)
        return Error{Errc::invalid_argument, "setting transport-shutdown-timeout", "use more than 0 ms", {}};
    if (transport_shutdown_timeout > setting_duration_max)
        return Error{
            Errc::invalid_argument, "setting transport-shutdown-timeout", "use at most 8760 hours", {}};
    if (auto ok = validate_phases(*this); !ok) return ok;
    if (auto ok = validate_downing(*this); !ok) return ok;
    if (expect_app_version && cluster.app_version != AppVersion())
        return Error{Errc::invalid_argument,
                     "setting app-version",
                     "leave it out, or DaemonConfig::expect_app_version: one of them gives the version",
                     {}};
    if (leave_timeout && *leave_timeout > setting_duration_max)
        return Error{Errc::invalid_argument, "setting leave-timeout", "use at most 8760 hours", {}};
    if (leave_timeout && cluster.patient_leave && *leave_timeout < leave_timeout_min())
        return Error{Errc::invalid_argument,
                     "setting leave-timeout",
                     "use at least " + std::to_string(leave_timeout_min().count()) +
                         " ms, which failure-detector and split-brain-resolver.stable-after (with "
                         "lease-majority its lease, too) may take to "
                         "remove who crashed, or leave it out",
                     {}};
    return {};
}

std::chrono::milliseconds DaemonConfig::leave_timeout_min() const {
    using std::chrono::milliseconds;
    const auto& detector = cluster.failure_detector;
    const milliseconds detection = 2 * detector.heartbeat_interval + detector.acceptable_heartbeat_pause +
                                   cluster.unreachable_nodes_reaper_interval;
    const auto resolver = resolver_settings(*this);
    if (!resolver) return detection + milliseconds(10'000);
    const milliseconds stable = resolver->stable_after;
    const milliseconds unstable = resolver->down_all_when_unstable.limit(stable).value_or(milliseconds(0));
    // A check, the minority's delay, an acquisition. Watching an old grant for up to a time to live is left
    // out: it is rare, and a node that leaves meanwhile marks itself Down, which costs others nothing.
    const milliseconds asking =
        asks_lease(*this) ? resolver->acquire_lease_delay_for_minority + 2 * resolver->lease_operation_timeout
                          : milliseconds(0);
    return detection + std::max(2 * stable, stable + unstable) + 2 * SbrSettings::tick_interval + asking;
}

namespace {

/// Leave and exit are bounded by their own deadline (leave_then); these longer timeouts only catch a stuck
/// phase.
CoordinatedShutdown::Phases phases_of(const DaemonConfig& config) {
    CoordinatedShutdown::Phases phases = config.shutdown_phases;
    if (!config.cluster.patient_leave) return phases;
    const auto timeout = config.leave_timeout.value_or(config.leave_timeout_min());
    const auto at = [&](ShutdownPhase phase) -> auto& {
        return phases[static_cast<std::size_t>(phase)].timeout;
    };
    at(ShutdownPhase::ClusterLeave) = timeout + std::chrono::seconds(1);
    at(ShutdownPhase::ClusterExiting) = timeout + exiting_time_min + std::chrono::seconds(1);
    return phases;
}

} // namespace

std::chrono::milliseconds DaemonConfig::shutdown_time_max() const {
    // The phases without membership tasks are the application's.
    const auto at = [&](ShutdownPhase phase) { return shutdown_phase(phase).timeout; };
    const auto leave = cluster.patient_leave
                           ? leave_timeout.value_or(leave_timeout_min()) + exiting_time_min
                           : at(ShutdownPhase::ClusterLeave) + at(ShutdownPhase::ClusterExiting);
    return leave + at(ShutdownPhase::ClusterExitingDone) + transport_shutdown_timeout;
}

Daemon::Daemon(net::Runtime& runtime, std::shared_ptr<ClusterTransport> transport, DaemonConfig config,
               std::shared_ptr<RemoteMessageSink> sink)
    : runtime_(runtime), executor_(runtime.executor()), transport_(std::move(transport)),
      config_(std::move(config)),
      sink_(sink ? std::move(sink) : std::make_shared<NullSink>(runtime.metrics())), random_(make_random()),
      core_(transport_->self(), config_.cluster, random_,
            config_compat(config_, transport_->self().address().system)),
      quorum_observers_(config_.quorum_observers), bus_(bus_options(runtime)), published_(runtime),
      finished_(runtime), tasks_(runtime), main_(runtime), removal_margin_(removal_margin(config_)),
      shutdown_(phases_of(config_)) {
    if (transport_->proves_addresses()) core_.expect_proofs();
    if (config_.expect_app_version) core_.expect_app_version();
    make_resolver();
    snapshot_.state = core_.state();
}

Daemon::~Daemon() = default;

RandomSource Daemon::make_random() {
    std::uint64_t state = 0;
    if (config_.random_seed)
        state = *config_.random_seed;
    else
        runtime_.fill_entropy(std::as_writable_bytes(std::span{&state, 1}));
    return SplitMix64(state);
}

DaemonSnapshot Daemon::snapshot() const {
    const std::lock_guard lock(snapshot_mutex_);
    return snapshot_;
}

std::vector<UniqueAddress> Daemon::monitored() const {
    const std::lock_guard lock(snapshot_mutex_);
    return monitored_;
}

std::vector<std::shared_ptr<const SbrDecisionRecord>> Daemon::decisions() const {
    const std::lock_guard lock(snapshot_mutex_);
    return {decisions_.begin(), decisions_.end()};
}

// --- inputs

void Daemon::app_version(AppVersion version) {
    if (ended_) return;
    feed([&](const Now& now, Effects& out) { core_.app_version(std::move(version), now, out); });
}

void Daemon::execute(DaemonCmd::Any command) {
    if (ended_) return;
    if (is_held_back(command)) {
        if (held_back_.size() < held_back_max) held_back_.push_back(std::move(command));
        return;
    }
    struct Execute {
        Daemon& d;
        void operator()(DaemonCmd::Join& c) const {
            d.feed([&](const Now& now, Effects& out) { d.core_.join(c.to, now, out); });
        }
        void operator()(DaemonCmd::JoinSeedNodes& c) const {
            d.feed(
                [&](const Now& now, Effects& out) { d.core_.join_seed_nodes(std::move(c.seeds), now, out); });
        }
        void operator()(DaemonCmd::Leave& c) const {
            // A leave of self is coordinated shutdown from its beginning, and also ends joining.
            if (c.node == d.core_.self().address()) return d.begin_shutdown(ShutdownReason::Leaving);
            d.feed([&](const Now& now, Effects& out) { d.core_.leave(c.node, now, out); });
        }
        void operator()(DaemonCmd::Down& c) const {
            d.feed([&](const Now& now, Effects& out) { d.core_.down(c.node, now, out); });
        }
        void operator()(DaemonCmd::PrepareForShutdown&) const {
            d.feed([&](const Now& now, Effects& out) { d.core_.prepare_for_shutdown(now, out); });
        }
        void operator()(DaemonCmd::ApplyGossip& c) const { std::visit(*this, c.pdu); }
        void operator()(GossipStatus& m) const {
            const UniqueAddress from = m.from; // not the one that moves away
            d.on_message(from, std::move(m), d.runtime_.monotonic_now());
        }
        void operator()(GossipEnvelope& m) const {
            const UniqueAddress from = m.from; // not the one that moves away
            d.on_message(from, std::move(m), d.runtime_.monotonic_now());
        }
        // A request for an envelope is answered like a status (protocol.md §6.4): both mean the same.
        void operator()(GossipMerge& m) const { (*this)(static_cast<GossipStatus&>(m)); }
        void operator()(DaemonCmd::Tick&) const {
            for (const Tick tick : {&ClusterCore::tick_join, &ClusterCore::tick_heartbeat,
                                    &ClusterCore::tick_cross_dc_heartbeat, &ClusterCore::tick_reaper,
                                    &ClusterCore::tick_gossip, &ClusterCore::tick_leader_actions})
                d.feed([&](const Now& now, Effects& out) { (d.core_.*tick)(now, out); });
            if (d.resolver_) d.feed([&](const Now& now, Effects& out) { d.resolver_->tick(now, out); });
        }
        void operator()(DaemonCmd::Shutdown&) const { d.begin_shutdown(ShutdownReason::Requested); }
    };
    std::visit(Execute{*this}, command);
}

void Daemon::on_message(const UniqueAddress&, ClusterMessage message, Instant received) {
    feed([&](const Now& now, Effects& out) { core_.on_message(message, received, now, out); });
}

void Daemon::on_link(const UniqueAddress& peer, LinkEvent event) {
    feed([&](const Now& now, Effects& out) { core_.on_link(peer, event, now, out); });
    update_departed();
}

void Daemon::on_connect_refused(const Address& peer) {
    feed([&](const Now& now, Effects& out) { core_.on_connect_refused(peer, now, out); });
}

bool Daemon::is_acquainted(const Address& address) const {
    const auto& seeds = config_.cluster.seed_nodes;
    return std::find(seeds.begin(), seeds.end(), address) != seeds.end() ||
           !core_.state()->latest().find_all(address).empty();
}

void Daemon::on_timer(TimerKey key) {
    timers_.erase(key);
    feed([&](const Now& now, Effects& out) {
        if (key.timer == CoreTimer::LeaseDelay) {
            if (resolver_) resolver_->on_timer(key, now, out);
        } else {
            core_.on_timer(key, now, out);
        }
    });
}

// --- effects

void Daemon::drain() {
    if (draining_) return;
    draining_ = true;
    struct Drained { // also on bad_alloc: queued effects are carried out with the next input
        bool& draining;
        ~Drained() { draining = false; }
    } const drained{draining_};
    while (!effects_.empty()) {
        Effect effect = std::move(effects_.front());
        effects_.pop_front();
        std::visit([this](auto& e) { carry_out(e); }, effect);
    }
}

void Daemon::carry_out(effect::Send& e) { transport_->send(e.to, e.message); }

void Daemon::carry_out(effect::Publish& e) {
    if (config_.observer) config_.observer(e.state);
    note_removals(e.events);
    update_snapshot(e);
    update_monitored();
    measure_tombstones();
    expect_newcomers(e.events);
    update_departed();
    tell_resolver(e);
    publications_.push_back({std::move(e.state), std::move(e.events)});
    published_.notify();
    if (config_.cluster.publish_stats_interval == std::chrono::milliseconds::zero()) publish_stats();
    check_status_waiters();
}

void Daemon::measure_tombstones() {
    const GossipPtr& gossip = core_.state()->gossip;
    if (measured_ && measured_->tombstones().data() == gossip->tombstones().data()) return;
    measured_ = gossip;
    runtime_.metrics()
        .gauge("cluster.tombstones")
        .set(static_cast<std::int64_t>(gossip->tombstones().size()));
    runtime_.metrics()
        .gauge("cluster.tombstones.bytes")
        .set(static_cast<std::int64_t>(core_.tombstones_bytes()));
}

result<void> Daemon::forget_data_center(std::string_view name) {
    result<void> done;
    feed([&](const Now& now, Effects& out) { done = core_.forget_data_center(name, now, out); });
    return done;
}

void Daemon::publish_stats() {
    const Gossip& gossip = core_.state()->latest();
    const auto set = [&metrics = runtime_.metrics()](std::string_view name, std::size_t value) {
        metrics.gauge(name).set(static_cast<std::int64_t>(value));
    };
    set("cluster.stats.members", gossip.members().size());
    set("cluster.stats.unreachable", core_.state()->unreachable_addresses().size());
    set("cluster.stats.seen", gossip.overview().seen.count());
    set("cluster.stats.clock_entries", gossip.version().size());
    set("cluster.stats.tombstones", gossip.tombstones().size());
}

/// A newcomer may succeed a quarantined incarnation: tells to its address are for it from now on.
void Daemon::expect_newcomers(const std::vector<ClusterEvent>& events) {
    for (const ClusterEvent& event : events) {
        const bool comes = std::holds_alternative<MemberJoined>(event) ||
                           std::holds_alternative<MemberWeaklyUp>(event) ||
                           std::holds_alternative<MemberUp>(event);
        if (comes) transport_->expect(member_of(event)->unique_address());
    }
}

void Daemon::update_snapshot(const effect::Publish& published) {
    const bool joined = core_.is_joined();
    ever_joined_ = ever_joined_ || joined;
    const std::lock_guard lock(snapshot_mutex_);
    snapshot_.state = published.state;
    snapshot_.joined = joined;
    for (const auto& event : published.events) {
        if (const auto* leader = std::get_if<LeaderChanged>(&event)) snapshot_.leader = leader->to;
        if (const auto* seen = std::get_if<SeenChanged>(&event)) snapshot_.converged = seen->convergence;
    }
}

/// Written on this thread only, so compared without the lock: few changes of the state move the ring.
void Daemon::update_monitored() {
    const auto& own = core_.heartbeats().own().ring_receivers();
    const auto& others = core_.heartbeats().cross_dc().receivers();
    const auto middle = static_cast<std::ptrdiff_t>(own.size());
    const bool is_current = monitored_.size() == own.size() + others.size() &&
                            std::equal(own.begin(), own.end(), monitored_.begin()) &&
                            std::equal(others.begin(), others.end(), monitored_.begin() + middle);
    if (is_current) return;
    const std::lock_guard lock(snapshot_mutex_);
    monitored_.assign(own.begin(), own.end());
    monitored_.insert(monitored_.end(), others.begin(), others.end());
}

void Daemon::carry_out(effect::SetTimer& e) {
    if (const auto old = timers_.find(e.key); old != timers_.end()) runtime_.cancel(old->second);
    timers_[e.key] =
        runtime_.schedule(runtime_.monotonic_now() + e.delay, [weak = weak_from_this(), key = e.key] {
            if (auto self = weak.lock()) self->on_timer(key);
        });
}

void Daemon::carry_out(effect::CancelTimer& e) {
    const auto found = timers_.find(e.key);
    if (found == timers_.end()) return;
    runtime_.cancel(found->second);
    timers_.erase(found);
}

void Daemon::carry_out(effect::Quarantine& e) {
    transport_->quarantine(e.node, e.harmless);
    // A node that left in order is quarantined some time after its removal; by then its successor may be a
    // member, for which an earlier expect() had no effect.
    for (const Member& successor : core_.state()->latest().find_all(e.node.address()))
        if (successor.unique_address() != e.node) transport_->expect(successor.unique_address());
}

void Daemon::carry_out(effect::Prove& e) { transport_->prove(e.node); }

void Daemon::carry_out(effect::RunExitingTasks&) { begin_shutdown(ShutdownReason::Leaving); }

void Daemon::carry_out(effect::Shutdown& e) { begin_shutdown(e.reason); }

void Daemon::carry_out(effect::NewIncarnation&) {
    Uid uid;
    do {
        uid.value = static_cast<std::int64_t>(random_());
    } while (uid == transport_->self().uid());
    transport_->renew_incarnation(uid);
    feed([&](const Now& now, Effects& out) { core_.on_new_incarnation(transport_->self(), now, out); });
    make_resolver(); // the new resolver has seen no member yet
    const std::lock_guard lock(snapshot_mutex_);
    snapshot_.state = core_.state();
}

void Daemon::carry_out(effect::Log& e) { runtime_.log().write(e.level, e.code, e.peer, std::move(e.fields)); }

void Daemon::carry_out(effect::Count& e) { runtime_.metrics().counter(e.id).add(e.n); }

// --- callbacks

void Daemon::on_stopped(UniqueFunction<void(ShutdownReason)> callback) {
    if (ended_)
        callback(end_reason());
    else
        stopped_callbacks_.push_back(std::move(callback));
}

void Daemon::when_up(UniqueFunction<void(result<void>)> done) {
    // Either comes first; the other finds nothing left to do.
    auto once = std::make_shared<UniqueFunction<void(result<void>)>>(std::move(done));
    bus_.on_member_up([once] {
        if (*once) std::exchange(*once, {})({});
    });
    bus_.on_member_removed([once, self = core_.self(), weak = weak_from_this()] {
        if (!*once) return;
        const auto daemon = weak.lock();
        const bool unstartable = daemon && daemon->start_error_;
        std::exchange(*once, {})(
            unstartable ? *daemon->start_error_
                        : Error{Errc::closed, self.to_string(), "the node stopped before it was Up", {}});
    });
}

} // namespace muster
