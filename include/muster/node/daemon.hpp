// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A running member of a cluster: spawn_daemon starts it, and the application uses it through
/// ClusterDaemonHandle.
#include <chrono>
#include <functional>
#include <memory>
#include <muster/cluster/core/report.hpp>
#include <muster/cluster/protocol/config_compat.hpp>
#include <muster/cluster/protocol/effects.hpp>
#include <muster/cluster/protocol/gossip_pdu.hpp>
#include <muster/cluster/protocol/settings.hpp>
#include <muster/cluster/sbr/lease.hpp>
#include <muster/cluster/sbr/provider.hpp>
#include <muster/cluster/sbr/record.hpp>
#include <muster/cluster/sbr/settings.hpp>
#include <muster/cluster/sbr/strategy.hpp>
#include <muster/cluster/state/membership.hpp>
#include <muster/node/completion.hpp>
#include <muster/node/coordinated_shutdown.hpp>
#include <muster/node/event_bus.hpp>
#include <muster/transport/transport.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace muster {

namespace net {
class Runtime;
}

/// The commands of a daemon; every function of the handle is one of these.
struct DaemonCmd {
    struct Join {
        Address to;
    };
    struct JoinSeedNodes {
        std::vector<Address> seeds;
    };
    struct Leave {
        Address node;
    };
    struct Down {
        Address node;
    };
    struct PrepareForShutdown {};
    struct ApplyGossip {
        GossipPdu pdu;
    };
    struct Tick {};
    struct Shutdown {};
    using Any =
        std::variant<Join, JoinSeedNodes, Leave, Down, PrepareForShutdown, ApplyGossip, Tick, Shutdown>;
};

/// A work item of a coordinated shutdown phase: called on the Runtime's thread, calls `done` when finished
/// (any thread). The phase's timeout bounds it.
using ShutdownTask = std::function<void(UniqueFunction<void()> done)>;

/// The configuration of spawn_daemon.
struct DaemonConfig {
    ClusterSettings cluster;
    /// Split-brain resolution; absent: nobody is downed automatically (spawn_daemon_with_sbr sets it).
    std::optional<SbrSettings> sbr;
    /// The application's own strategy instead of the one that `sbr` names. `sbr` must be set: it gives times,
    /// indirectly-connected, dry-run and, if the strategy asks for a lease, the lease's settings
    /// (SbrSettings::validate_with says what else must be left out). All members need the same strategy: a
    /// joiner with another name() or describe() is refused. Called on the Runtime's thread.
    std::shared_ptr<const DowningStrategy> downing_strategy;
    /// A provider that decides on unreachable members instead of the resolver (protocol.md §15.8); excludes
    /// `sbr`, `downing_strategy` and `lease`. All members need one of the same name().
    /// - Its decide() counts once nothing has changed for its stable_after(), on the leader of each side, as
    /// long as a member is unreachable (§15.1), and again after each further stable_after() while one is.
    /// Instability is left to it, too: nobody is downed for that alone (§15.5).
    /// - The nodes of a decision are those of §15.2's table, downed in one change, self last, and recorded
    /// (decisions()). The indirectly connected are downed alone; the provider is asked again about the rest.
    /// - There is no lease: a decision that needs one counts as denied.
    /// - A node that a member has quarantined is downed as with a resolver (§15.6). Called on the Runtime's
    /// thread.
    std::shared_ptr<const DowningProvider> downing_provider;
    /// Observers that are told when this node's side would no longer survive a split, and when it would
    /// again; they need `sbr` or `downing_provider`. ClusterDaemonHandle::add_quorum_observer adds more.
    std::vector<std::shared_ptr<QuorumObserver>> quorum_observers;
    /// The lease for lease-majority, or for a `downing_strategy` that asks for one. It is checked before the
    /// node joins: a lease that cannot work ends the node with ShutdownReason::CannotStart (on_started() and
    /// async_up() report the reason); a lease that does not answer causes a warning and is asked again. From
    /// then on it is checked every quarter of its time to live.
    std::shared_ptr<Lease> lease;
    /// The longest time for closing the transport in the last phase of coordinated shutdown. More than 0, at
    /// most that phase's timeout.
    std::chrono::milliseconds transport_shutdown_timeout{3000};
    /// The options of each phase of coordinated shutdown (protocol.md §17): see shutdown_phase(). Timeouts
    /// are above 0 and at most a year. Phases with work of the membership's own (cluster-leave to
    /// cluster-shutdown, actor-system-terminate) cannot be switched off; leave_timeout bounds cluster-leave
    /// and cluster-exiting, unless patient_leave is off. With `recover` off a failing phase ends the node at
    /// once: it does not leave, and others see it as unreachable.
    CoordinatedShutdown::Phases shutdown_phases = default_shutdown_phases();
    /// `config.shutdown_phase(ShutdownPhase::ServiceStop).timeout = 30s;`
    ShutdownPhaseSettings& shutdown_phase(ShutdownPhase phase) noexcept {
        return shutdown_phases[static_cast<std::size_t>(phase)];
    }
    const ShutdownPhaseSettings& shutdown_phase(ShutdownPhase phase) const noexcept {
        return shutdown_phases[static_cast<std::size_t>(phase)];
    }
    /// The application's version comes later, by ClusterDaemonHandle::app_version: until then this node
    /// neither joins nor admits joiners (protocol.md §1.7). Do not set cluster.app_version then.
    bool expect_app_version = false;
    /// Further settings that must be equal on all members, by key, and the application's own checks
    /// (protocol.md §5.5). Only digests travel.
    std::map<std::string, std::string> join_settings;
    std::vector<ConfigChecker> join_checkers;
    /// How long a leave may wait for a crashed member to be noticed, decided on and removed before it goes on
    /// regardless (protocol.md §11.1); ten seconds later at the latest the node marks itself Down and ends
    /// with ShutdownReason::LeaveUnfinished. Absent: leave_timeout_min(); shorter is an error. A supervisor
    /// of the process should grant it shutdown_time_max().
    std::optional<std::chrono::milliseconds> leave_timeout;
    /// Seed of the daemon's random choices; absent: the Runtime's entropy.
    std::optional<std::uint64_t> random_seed;
    /// Called with every published state, on the Runtime's thread, before readers, subscribers and peers know
    /// of it. Sees also states that snapshot() and events skip because they were replaced at once. For
    /// checkers and tools; must neither throw nor call the daemon.
    std::function<void(const std::shared_ptr<const MembershipState>&)> observer;

    /// The first setting outside its range.
    result<void> validate() const;
    /// Detection + the larger of 2 * stable-after and stable-after + down-all-when-unstable + two ticks of
    /// the resolver; without a resolver detection + 10 s. With lease-majority
    /// acquire_lease_delay_for_minority and two lease_operation_timeouts more. 48 s with the defaults, 60 s
    /// with lease-majority.
    std::chrono::milliseconds leave_timeout_min() const;
    /// The longest a shutdown takes, the application's own tasks aside. 66 s with the defaults, 78 s with
    /// lease-majority.
    std::chrono::milliseconds shutdown_time_max() const;
};

/// A consistent snapshot of a daemon.
struct DaemonSnapshot {
    std::shared_ptr<const MembershipState> state; ///< never null
    std::optional<UniqueAddress> leader;
    bool joined = false;
    bool converged = false;
    bool stopped = false;                          ///< coordinated shutdown has ended
    std::optional<ShutdownReason> shutdown_reason; ///< set as soon as it began
    /// down-removal-margin after the last removal of a member that did not leave in order (protocol.md
    /// §15.7), by the Runtime's monotonic clock: until then such a member, cut off, may go on with its work,
    /// so no other member should take it over. Absent: there was no such removal. See
    /// ClusterDaemonHandle::on_removals_settled.
    std::optional<Instant> removals_settled_at;

    bool are_removals_settled(Instant now) const noexcept {
        return !removals_settled_at || now >= *removals_settled_at;
    }
    const UniqueAddress& self() const noexcept { return state->self; }
    std::span<const Member> members() const noexcept { return state->members(); }
    MemberStatus self_status() const noexcept { return state->self_status(); }
};

/// The application's handle on a daemon. Every function may be called from any thread and returns at once.
/// Movable. Its destructor asks the daemon to stop at once and does not wait. The daemon then stops without
/// leaving, so peers see an unreachable node: call leave() or async_leave() before.
class ClusterDaemonHandle {
public:
    class Daemon; ///< the running node; internal

    ClusterDaemonHandle() noexcept = default;
    explicit ClusterDaemonHandle(std::shared_ptr<Daemon> daemon) noexcept;
    ~ClusterDaemonHandle();
    ClusterDaemonHandle(ClusterDaemonHandle&&) noexcept;
    ClusterDaemonHandle& operator=(ClusterDaemonHandle&&) noexcept;

    void join(const Address& to);
    void join_seed_nodes(std::vector<Address> seeds);
    /// This node leaves gracefully, as async_leave() does: coordinated shutdown runs from its first phase and
    /// leaves in phase cluster-leave. A node that has not joined yet stops joining.
    void leave();
    void leave(const Address& node);
    void down(const Address& node);
    void prepare_for_full_shutdown();
    /// As ClusterCore::forget_data_center(), on this node only: call it on every node of the data center.
    /// `done` runs on the Runtime's thread.
    void forget_data_center(std::string name, UniqueFunction<void(result<void>)> done);
    /// Handles one PDU as if a peer had sent it.
    void apply_gossip(GossipPdu pdu);
    /// Runs one round of all periodic work now: gossip, leader actions, reaper, heartbeats.
    void tick();
    void command(DaemonCmd::Any command);

    /// The last published state.
    DaemonSnapshot snapshot() const;
    /// Explains why the cluster has not converged: what the leader waits for, which members have not seen the
    /// version, who is unreachable for whom. `done` runs on the Runtime's thread.
    void not_converged_report(UniqueFunction<void(ConvergenceReport)> done) const;
    /// The latest decisions of the resolver with their inputs, oldest first (at most 100).
    std::vector<std::shared_ptr<const SbrDecisionRecord>> decisions() const;
    /// The nodes that this node heartbeats, in its own data center (by the ring, protocol.md §12.2) and in
    /// others (§13), as of the last published state.
    std::vector<UniqueAddress> monitored() const;
    ClusterEventBus& events() const;
    UniqueAddress unique_address() const;
    Address address() const { return unique_address().address(); }
    /// A function that passes PDUs to the daemon, for an application's own transport; a no-op once the daemon
    /// is gone.
    std::function<void(GossipPdu)> gossip_inbox() const;

    /// Calls back once, on the Runtime's thread, when the node begins to join (at once if it has): at its
    /// start, or with lease-majority once the lease has answered or lease_operation_timeout has passed.
    /// Error: the node cannot start, or was stopped before.
    void on_started(UniqueFunction<void(result<void>)> callback);
    /// Call back once, when self becomes Up (at once if it is) / was removed (or the service stopped).
    void on_member_up(std::function<void()> callback);
    void on_member_removed(std::function<void()> callback);
    /// Calls back once, on the Runtime's thread, when this daemon has ended completely, for whatever reason;
    /// inside this call if it has already. Never if the Runtime is destroyed first.
    void on_stopped(UniqueFunction<void(ShutdownReason)> callback);
    /// Calls back once, on the Runtime's thread, as soon as all members that were removed without leaving in
    /// order have certainly stopped: down-removal-margin after the last such removal (protocol.md §15.7;
    /// without a margin stable-after of the resolver), at once if that is past. Then another member may take
    /// over their work. Counts only removals during this node's lifetime. Never if the node stops first.
    void on_removals_settled(UniqueFunction<void()> callback);
    /// Sets the version that DaemonConfig::expect_app_version waits for; then the node joins. Only the first
    /// call counts. Errors: invalid_argument without that setting, or when the version is longer than
    /// app_version_bytes_max or has control characters.
    result<void> app_version(AppVersion version);
    /// Registers an observer, which is called on the Runtime's thread, at once if the quorum is lost already.
    /// Registering it again changes nothing. Errors: invalid_argument for null, or when the node decides on
    /// no split (neither DaemonConfig::sbr nor downing_provider).
    result<void> add_quorum_observer(std::shared_ptr<QuorumObserver> observer);
    /// Unregisters an observer. A call that is under way on the Runtime's thread may still reach it.
    void remove_quorum_observer(std::shared_ptr<QuorumObserver> observer);
    /// Adds work to a phase of coordinated shutdown (protocol.md §17), e.g. a hand-over in
    /// Phase::cluster_exiting.
    void add_shutdown_task(ShutdownPhase phase, std::string name, ShutdownTask task);

    TellResult tell(const Address& to, const Tell& message) const;
    TellRoute route(const Address& to) const;

    /// Coordinated shutdown with reason Requested: leaves if it is a member, then closes the transport.
    /// Idempotent.
    void shutdown();

    /// Completes with success when the node has left and stopped. `token` may be any Asio completion token
    /// for void(result<void>); completes on its executor. Errors: cancelled (the waiting, not the leaving),
    /// timed_out (it has stopped, but the others did not let it go: it is Down).
    template <boost::asio::completion_token_for<void(result<void>)> Token>
    auto async_leave(Token&& token) {
        return detail::initiate<result<void>>(executor(), std::forward<Token>(token),
                                              [self = daemon_](UniqueFunction<void(result<void>)> done) {
                                                  start_leave(self, std::move(done));
                                              });
    }
    /// As shutdown(); completes when the daemon has ended completely.
    template <boost::asio::completion_token_for<void(result<void>)> Token>
    auto async_shutdown(Token&& token) {
        return detail::initiate<result<void>>(executor(), std::forward<Token>(token),
                                              [self = daemon_](UniqueFunction<void(result<void>)> done) {
                                                  start_shutdown(self, std::move(done));
                                              });
    }
    /// Completes when self is Up. Errors: cancelled, closed (the node stopped before), the error of a lease
    /// that cannot work.
    template <boost::asio::completion_token_for<void(result<void>)> Token>
    auto async_up(Token&& token) {
        return detail::initiate<result<void>>(
            executor(), std::forward<Token>(token),
            [self = daemon_](UniqueFunction<void(result<void>)> done) { start_up(self, std::move(done)); });
    }
    /// Waits for room instead of answering Full. The tell is encoded before this returns. The result is
    /// Queued, or Errc::too_large, not_found (NoRoute), unreachable (nobody has answered there for
    /// connect_timeout), limit_reached (too many waiting), cancelled.
    template <boost::asio::completion_token_for<void(result<void>)> Token>
    auto async_tell(const Address& to, const Tell& message, Token&& token) {
        return detail::initiate<result<void>>(
            executor(), std::forward<Token>(token),
            [self = daemon_, to, copy = OwnedTell(message)](UniqueFunction<void(result<void>)> done) {
                start_tell(self, to, copy.view(), std::move(done));
            });
    }

    explicit operator bool() const noexcept { return daemon_ != nullptr; }

private:
    /// A tell that may be initiated later (deferred, use_awaitable).
    struct OwnedTell {
        explicit OwnedTell(const Tell& t);
        Tell view() const;
        std::string target_path, manifest;
        std::vector<std::byte> payload;
        std::optional<std::string> sender_path;
    };
    using Done = UniqueFunction<void(result<void>)>;
    boost::asio::any_io_executor executor() const;
    static void start_leave(const std::shared_ptr<Daemon>& daemon, Done done);
    static void start_shutdown(const std::shared_ptr<Daemon>& daemon, Done done);
    static void start_up(const std::shared_ptr<Daemon>& daemon, Done done);
    static void start_tell(const std::shared_ptr<Daemon>& daemon, const Address& to, const Tell& tell,
                           Done done);

    std::shared_ptr<Daemon> daemon_;
};

/// Starts a daemon on `runtime` over `transport` (TCP or in-process); it joins through the configured seed
/// nodes at once (with none, join() does it). Any thread; nothing happens before the Runtime is run, and its
/// destruction ends the daemon. `sink` receives the tells (null: they are counted and dropped). Errors: a
/// setting outside its range.
result<ClusterDaemonHandle> spawn_daemon(net::Runtime& runtime, std::shared_ptr<ClusterTransport> transport,
                                         DaemonConfig config,
                                         std::shared_ptr<RemoteMessageSink> sink = nullptr);
/// The same with split-brain resolution.
result<ClusterDaemonHandle> spawn_daemon_with_sbr(net::Runtime& runtime,
                                                  std::shared_ptr<ClusterTransport> transport,
                                                  DaemonConfig config, SbrSettings sbr,
                                                  std::shared_ptr<RemoteMessageSink> sink = nullptr);

} // namespace muster
