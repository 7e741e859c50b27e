// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The running node: waits, feeds the pure values of cluster/, and carries out their effects
/// (architecture.md, A node's tasks). Everything here belongs to the Runtime's thread except what says
/// otherwise.
#include <deque>
#include <map>
#include <memory>
#include <muster/cluster/core/core.hpp>
#include <muster/cluster/sbr/runtime.hpp>
#include <muster/net/task_group.hpp>
#include <muster/node/coordinated_shutdown.hpp>
#include <muster/node/daemon.hpp>
#include <muster/node/event_bus.hpp>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace muster {

class ProviderStrategy;

/// The least time of a leave between being Leaving and giving up.
inline constexpr std::chrono::seconds exiting_time_min{10};

class ClusterDaemonHandle::Daemon final : public TransportHandler,
                                          public std::enable_shared_from_this<Daemon> {
public:
    Daemon(net::Runtime& runtime, std::shared_ptr<ClusterTransport> transport, DaemonConfig config,
           std::shared_ptr<RemoteMessageSink> sink);
    ~Daemon() override;

    // --- any thread
    /// Runs `action(*this)` on the Runtime's thread while the daemon runs. False, and nothing happens, once
    /// it has ended or its Runtime is gone.
    template <class Action>
    bool post(Action&& action) {
        const std::lock_guard lock(gate_mutex_);
        if (gate_closed_) return false;
        runtime_.post(
            [weak = weak_from_this(), run = std::decay_t<Action>(std::forward<Action>(action))]() mutable {
                if (auto self = weak.lock()) run(*self);
            });
        return true;
    }
    DaemonSnapshot snapshot() const;
    ClusterEventBus& events() noexcept { return bus_; }
    /// Calls `use(transport)` unless the daemon has ended or its Runtime is gone; says whether it did.
    template <class Use>
    bool with_transport(Use use) {
        const std::lock_guard lock(gate_mutex_);
        if (gate_closed_) return false;
        use(*transport_);
        return true;
    }
    boost::asio::any_io_executor executor() const noexcept { return executor_; }
    std::vector<std::shared_ptr<const SbrDecisionRecord>> decisions() const;
    std::vector<UniqueAddress> monitored() const;
    const DaemonConfig& config() const noexcept { return config_; } ///< constant

    // --- Runtime's thread
    /// The coroutine that keeps the daemon alive from spawn to its end, and notices when the Runtime is
    /// destroyed first.
    class Stake;
    void start(std::unique_ptr<Stake> stake);
    void execute(DaemonCmd::Any command);
    void begin_shutdown(ShutdownReason reason);
    void on_stopped(UniqueFunction<void(ShutdownReason)> callback);
    void add_shutdown_task(ShutdownPhase phase, std::string name, ShutdownTask task);
    void when_up(UniqueFunction<void(result<void>)> done);
    /// Calls `done` once the node has begun to join, or cannot start.
    void on_started(UniqueFunction<void(result<void>)> done);
    void on_removals_settled(UniqueFunction<void()> callback);
    void app_version(AppVersion version);
    void add_quorum_observer(std::shared_ptr<QuorumObserver> observer);
    void remove_quorum_observer(const std::shared_ptr<QuorumObserver>& observer);
    ConvergenceReport report() const;
    result<void> forget_data_center(std::string_view name);
    /// Called when the handle is destroyed: no graceful end can be requested any more.
    void abandon();

    // --- TransportHandler
    void on_message(const UniqueAddress& peer, ClusterMessage message, Instant received) override;
    void on_link(const UniqueAddress& peer, LinkEvent event) override;
    void on_connect_refused(const Address& peer) override;
    void on_quarantined_by(const UniqueAddress& peer) override;
    bool is_acquainted(const Address& address) const override;

private:
    using Tick = void (ClusterCore::*)(const Now&, Effects&);

    // --- daemon.cpp: inputs and effects
    /// Feeds the core or the resolver, then carries out all effects in order. The effects of an input that an
    /// effect causes are queued behind those that wait already.
    template <class Input>
    void feed(Input input) {
        Effects out;
        input(runtime_.now(), out);
        for (auto& effect : out) effects_.push_back(std::move(effect));
        drain();
    }
    void drain();
    void carry_out(effect::Send& e);
    void carry_out(effect::Publish& e);
    void carry_out(effect::SetTimer& e);
    void carry_out(effect::CancelTimer& e);
    void carry_out(effect::Quarantine& e);
    void carry_out(effect::Prove& e);
    void carry_out(effect::RunExitingTasks& e);
    void carry_out(effect::Shutdown& e);
    void carry_out(effect::NewIncarnation& e);
    void carry_out(effect::Log& e);
    void carry_out(effect::Count& e);
    void carry_out(effect::Down& e);
    void carry_out(effect::LeaseCheck& e);
    void carry_out(effect::LeaseAcquire& e);
    void carry_out(effect::LeaseRelease& e);
    void carry_out(effect::Record& e);
    void on_timer(TimerKey key);
    void update_snapshot(const effect::Publish& published);
    void update_monitored();
    /// publish-stats-interval: the size of what this node knows, as gauges.
    void publish_stats();
    void measure_tombstones();
    void expect_newcomers(const std::vector<ClusterEvent>& events);
    RandomSource make_random();

    // --- daemon_tasks.cpp: the coroutines that wait
    net::Task<void> run(std::unique_ptr<Stake> stake);
    net::Task<void> periodic(Duration interval, Tick tick);
    net::Task<void> reaper_ticks();
    net::Task<void> join_ticks();
    net::Task<void> downing_ticks();
    net::Task<void> stats_ticks(Duration interval);
    net::Task<void> publisher();
    void deliver_publications();

    // --- daemon_resolver.cpp: the resolver
    void make_resolver();
    void tell_resolver(const effect::Publish& published);
    void update_departed();
    void deny_lease(std::uint64_t generation);
    void note_removals(std::vector<ClusterEvent>& events);
    void check_removals_settled();

    // --- daemon_lease.cpp: the lease, beside what the resolver asks of it (protocol.md §15.3)
    enum class LeaseQuestion : std::uint8_t { Probe, Check, Renew };
    bool uses_lease() const;
    Lease::Done lease_answer(std::uint64_t generation);
    void tend_lease();
    void ask_lease(LeaseQuestion question);
    void on_lease_told(const LeaseAnswer& answer);
    void on_lease_renewed(const LeaseAnswer& answer);
    void note_lease_works(const LeaseAnswer& answer);
    void begin();
    void cannot_start(Error why);
    bool is_held_back(const DaemonCmd::Any& command) const;

    // --- daemon_shutdown.cpp: coordinated shutdown (protocol.md §17)
    void add_membership_tasks();
    void close_transport(UniqueFunction<void()> done);
    void carry_out(ShutdownSteps steps);
    void carry_out(shutdown_step::RunTask& step);
    void carry_out(shutdown_step::SetTimeout& step);
    void carry_out(shutdown_step::CancelTimeout& step);
    void carry_out(shutdown_step::PhaseTimedOut& step);
    void carry_out(shutdown_step::TaskFailed& step);
    void carry_out(shutdown_step::Finished& step);
    void leave_then(UniqueFunction<void()> done);
    void exit_then(UniqueFunction<void()> done);
    /// Calls `action` at `when`, unless the daemon has ended.
    void at_leave_deadline(Instant deadline, void (*action)(Daemon&));
    ShutdownReason end_reason() const;
    /// Calls `done` as soon as self has one of `statuses`, or is no member (any more), or, with `until_late`,
    /// the leave is late.
    void wait_for_status(StatusSet statuses, UniqueFunction<void()> done, bool until_late = false);
    void check_status_waiters();

    net::Runtime& runtime_;
    boost::asio::any_io_executor executor_;
    std::shared_ptr<ClusterTransport> transport_;
    DaemonConfig config_;
    std::shared_ptr<RemoteMessageSink> sink_;
    RandomSource random_;
    ClusterCore core_;
    std::vector<std::shared_ptr<QuorumObserver>> quorum_observers_;
    std::shared_ptr<ProviderStrategy> provider_strategy_; ///< of DaemonConfig::downing_provider
    std::optional<SbrRuntime> resolver_;
    ClusterEventBus bus_;

    std::deque<Effect> effects_;
    bool draining_ = false;
    std::map<TimerKey, net::TimerId> timers_;
    struct Publication {
        std::shared_ptr<const MembershipState> state;
        std::vector<ClusterEvent> events;
    };
    std::deque<Publication> publications_;
    net::Notifier published_;
    net::Notifier finished_;
    net::TaskGroup tasks_; ///< everything periodic
    net::TaskGroup main_;  ///< run(), which owns this object while it runs

    GossipPtr measured_;       ///< the state that the tombstone gauges describe
    bool ever_joined_ = false; ///< has been a member; Runtime's thread

    mutable std::mutex snapshot_mutex_;
    DaemonSnapshot snapshot_;
    std::deque<std::shared_ptr<const SbrDecisionRecord>>
        decisions_;                        ///< under snapshot_mutex_; the latest ones
    std::vector<UniqueAddress> monitored_; ///< under snapshot_mutex_

    std::mutex gate_mutex_; ///< between post() on other threads and the end
    bool gate_closed_ = false;

    bool begun_ = false;                    ///< may join: the lease permits it
    std::optional<Error> start_error_;      ///< why it never will join
    std::vector<DaemonCmd::Any> held_back_; ///< until it has begun
    std::vector<UniqueFunction<void(result<void>)>> start_waiters_;
    bool lease_held_ = false;
    bool lease_works_ = true; ///< as far as the last answer tells
    Instant lease_renewal_due_{};
    Instant lease_look_due_{};
    struct AskedLease {
        LeaseQuestion question{};
        std::uint64_t number{};
        Instant deadline{};
    };
    std::optional<AskedLease> lease_asked_; ///< one at a time
    std::uint64_t lease_questions_ = 0;

    std::chrono::milliseconds removal_margin_;
    std::vector<UniqueFunction<void()>> settle_waiters_;
    net::TimerId settle_timer_ = net::TimerId::None;
    std::vector<UniqueAddress> departed_;   ///< as told to the resolver
    std::optional<Instant> leave_deadline_; ///< of a leave that was asked for
    net::TimerId leave_timer_ = net::TimerId::None;
    bool leave_is_late_ = false;
    bool transport_closes_ = false;
    CoordinatedShutdown shutdown_;
    std::map<std::pair<ShutdownPhase, std::string>, ShutdownTask> shutdown_tasks_;
    std::map<ShutdownPhase, net::TimerId> phase_timeouts_;
    struct StatusWaiter {
        StatusSet statuses;
        UniqueFunction<void()> done;
        bool until_late = false; ///< also over when leave_is_late_
    };
    std::vector<StatusWaiter> status_waiters_;
    bool ended_ = false; ///< everything has ended
    std::vector<UniqueFunction<void(ShutdownReason)>> stopped_callbacks_;
};

/// Owned by the action that starts run(), then by run(). Once it is gone nothing reaches Runtime or transport
/// any more: either everything has ended, or the Runtime is being destroyed; calls under way on other threads
/// are let through first.
class ClusterDaemonHandle::Daemon::Stake {
public:
    explicit Stake(std::shared_ptr<Daemon> daemon) noexcept : daemon_(std::move(daemon)) {}
    Stake(const Stake&) = delete;
    Stake& operator=(const Stake&) = delete;
    ~Stake() {
        std::shared_ptr<ClusterTransport> last;
        const std::lock_guard lock(daemon_->gate_mutex_);
        daemon_->gate_closed_ = true;
        last.swap(daemon_->transport_);
    }
    const std::shared_ptr<Daemon>& daemon() const noexcept { return daemon_; }

private:
    std::shared_ptr<Daemon> daemon_;
};

} // namespace muster
