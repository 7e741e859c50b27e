// SPDX-License-Identifier: Apache-2.0
#pragma once
/// ClusterCore: one node's whole protocol, as a value that is told things and answers with effects
/// (architecture.md, The protocol core). No I/O, no clock, no randomness of its own. One thread.
#include <cstdint>
#include <map>
#include <memory>
#include <muster/cluster/core/report.hpp>
#include <muster/cluster/protocol/config_compat.hpp>
#include <muster/cluster/protocol/effects.hpp>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/cluster/protocol/random.hpp>
#include <muster/cluster/protocol/settings.hpp>
#include <muster/cluster/state/membership.hpp>
#include <muster/time.hpp>
#include <span>
#include <vector>

namespace muster {

class HeartbeatMonitor; // cluster/failure/heartbeat_monitor.hpp

/// How to drive it:
/// - **Inputs.** Every function that takes `Effects& out` is one input: one at a time, from one thread, never
///   from within the carrying out of another one's effects (queue it then). `now` never goes back. Messages
///   go into on_message() with the time at which their bytes arrived; what the transport sees of a
///   connection goes into on_link(); an attempt that is refused before any node is known at that address goes
///   into on_connect_refused(). Acks, forwarding and leader actions that an input makes possible are among
///   its own effects.
/// - **Effects.** `out` is appended to, never read. Carry the effects out in their order: a Publish stands
///   before what refers to its state (RunExitingTasks, a Send of that state), and a Quarantine before the
///   Sends that follow from it. A Send may be lost at any time; the core is not told.
/// - **Timers.** The core asks for one-shot timers by SetTimer{key, delay}; a new one of the same key
///   replaces the pending one, and CancelTimer ends it. When it fires, on_timer(key, ..) is called once. A
///   timer that comes too late, or although it was cancelled, does no harm. Nobody else sets timers of the
///   core's keys, but for LeaseDelay, which is the resolver's.
/// - **Ticks.** The driver does the periodic work: tick_gossip(), tick_leader_actions(), tick_reaper(),
///   tick_heartbeat() and tick_cross_dc_heartbeat(), each with fixed delay at its interval of the settings,
///   from the start on; tick_join() every 100 ms or so while not joined. After a pause one tick of each, no
///   burst.
/// - **Publication.** A state is installed, then published in the same input: state() is what the last
///   Publish held, or, before the first one, a state without members. Each Publish holds the events that lead
///   from the state before to this one, in order. Other threads may read a published state.
/// - **Answers that the driver owes.** RunExitingTasks: exiting_completed(), once. NewIncarnation:
///   on_new_incarnation(). Prove: on_link() when there is an answer. Down (of the resolver): down() with all
///   its nodes. Shutdown: the application's coordinated shutdown, which ends in stop() or in
///   exiting_completed().
/// - **The end.** After stop(), whoever called it, every input is a no-op; the last effects take back what
///   was published.
/// It is a value: what happens depends on the inputs, their times and `random` alone.
class ClusterCore {
public:
    /// `config` takes part in the join check of §5.5; by default nothing is compared.
    ClusterCore(UniqueAddress self, ClusterSettings settings, RandomSource random, ConfigCompat config = {});
    ~ClusterCore();
    ClusterCore(ClusterCore&&) noexcept;
    ClusterCore& operator=(ClusterCore&&) noexcept;

    /// A core that has already joined: restoration, tools and tests.
    struct Restored {
        GossipPtr gossip; ///< the last installed state; empty: joined to nothing yet
        bool exiting_tasks_in_progress = false;
        bool preparing_for_shutdown = false;
        std::vector<UniqueAddress> exiting_confirmed;
        /// Last heartbeat of members, own and other data centers alike, as the detectors shall know it.
        std::map<UniqueAddress, Instant> last_heartbeats;
    };
    static ClusterCore with_state(UniqueAddress self, ClusterSettings settings, RandomSource random,
                                  Restored restored, const Now& now, ConfigCompat config = {});

    // --- commands (protocol.md §10)
    /// JoinTo: to one address (self included). Stops a running seed process.
    void join(const Address& to, const Now& now, Effects& out);
    /// JoinSeedNodes with §5.2's rules.
    void join_seed_nodes(std::vector<Address> seeds, const Now& now, Effects& out);
    /// Own address: while an own-DC member is unreachable the status stays (is_leave_held()) until none is or
    /// leave_now() (§11.1, patient-leave).
    void leave(const Address& node, const Now& now, Effects& out);
    /// Self becomes Leaving although somebody is unreachable: the time for waiting is over.
    void leave_now(const Now& now, Effects& out);
    /// A leave that could not be finished in time (§11.1): self becomes Down by its own hand, tells it until
    /// somebody answers, at most two seconds, and stops. No-op when self is Exiting, Down or no member.
    void give_up_leaving(const Now& now, Effects& out);
    void down(const Address& node, const Now& now, Effects& out);
    void down(const UniqueAddress& node, const Now& now, Effects& out);
    /// A resolver's decision: all of them in one change, so that it travels as one version. In this order
    /// (self last).
    void down(std::span<const UniqueAddress> nodes, const Now& now, Effects& out);
    void prepare_for_shutdown(const Now& now, Effects& out);
    /// An operator's word that nobody of this data center, all of whose members were downed as seen from
    /// here, lives on: the ages of tombstones go on here (§2, Tombstones). Errors: not_found naming those
    /// there are, when it is none of lost_data_centers().
    result<void> forget_data_center(std::string_view name, const Now& now, Effects& out);
    /// The transport quarantined this incarnation (§10, §16).
    void quarantined(const UniqueAddress& node, const Now& now, Effects& out);
    /// The application's exiting tasks are done (§11.1): tells the others until one answers, at most two
    /// seconds, and stops (at once in the classic preset). Called once after RunExitingTasks and
    /// Shutdown(Leaving), which the core sends together, behind the state in which self is first Exiting.
    void exiting_completed(const Now& now, Effects& out);
    /// The service stops now (§11.3): the last diff, ClusterShuttingDown. The core also does this by itself
    /// when it finds itself Down (then with Shutdown(Downed) when so configured) and at exiting_completed.
    /// Every later call is a no-op.
    void stop(const Now& now, Effects& out);
    /// Answer to effect::NewIncarnation, once the old connections are closed: the same address with a fresh
    /// uid. The self-join that waited for it happens now. ENSURE: same address, other uid, not joined.
    void on_new_incarnation(const UniqueAddress& self, const Now& now, Effects& out);
    /// §1.7: the application's version will come later. Until app_version() outgoing joins wait and incoming
    /// ones are ignored. Call before the first join.
    void expect_app_version();
    void app_version(AppVersion version, const Now& now, Effects& out);
    /// §5.6: from now on a Join waits until on_link() said Established or Answered of its node; effect::Prove
    /// asks for it. For nodes with connections. Without this, as where messages come through no connections,
    /// every Join counts as proven.
    void expect_proofs();

    // --- messages
    /// Any message. Bad or misaddressed ones are counted, logged no-ops. `received` is when the bytes arrived
    /// (§6.1's time to live).
    void on_message(const ClusterMessage& message, Instant received, const Now& now, Effects& out);
    void on_link(const UniqueAddress& peer, LinkEvent event, const Now& now, Effects& out);
    /// A connection attempt to an address whose incarnation is unknown was refused by all its resolved
    /// addresses (§5.3).
    void on_connect_refused(const Address& peer, const Now& now, Effects& out);

    // --- time
    /// The periodic work; the node calls each with fixed delay at its interval of the settings.
    void tick_gossip(const Now& now, Effects& out);
    void tick_leader_actions(const Now& now, Effects& out);
    void tick_reaper(const Now& now, Effects& out);
    void tick_heartbeat(const Now& now, Effects& out);
    void tick_cross_dc_heartbeat(const Now& now, Effects& out);
    /// Seed and join processes: every 100 ms or so while not joined (deadlines inside are exact to that).
    void tick_join(const Now& now, Effects& out);
    void on_timer(TimerKey key, const Now& now, Effects& out);

    // --- queries
    const UniqueAddress& self() const noexcept;
    const ClusterSettings& settings() const noexcept;
    /// The last installed state.
    const std::shared_ptr<const MembershipState>& state() const noexcept;
    bool is_joined() const noexcept;
    bool is_stopped() const noexcept;
    bool exiting_tasks_in_progress() const noexcept;
    bool is_preparing_for_shutdown() const noexcept;
    /// A leave waits because a member is unreachable.
    bool is_leave_held() const noexcept;
    /// give_up_leaving() had to end this node.
    bool has_given_up_leaving() const noexcept;
    /// Leaving and Exiting members that said Goodbye{stopping} and have no connection with this node any more
    /// (§11.1): they count on no side of a split and hold up no convergence. Sorted.
    std::vector<UniqueAddress> departed() const;
    /// Data centers without a member left whose last ones did not leave: while there is one, no tombstone
    /// ages here. Sorted.
    std::vector<std::string> lost_data_centers() const;
    /// Of the tombstones in a frame, from above.
    std::size_t tombstones_bytes() const;
    /// Own connection attempts with this incarnation are pointless: it was removed.
    bool is_tombstoned(const UniqueAddress& node) const noexcept;
    /// Whether a failure detector has samples of this incarnation, and what it says.
    bool is_monitored(const UniqueAddress& node) const noexcept;
    bool is_available(const UniqueAddress& node, Instant now) const noexcept;
    /// Whom this node heartbeats and how they look.
    const HeartbeatMonitor& heartbeats() const noexcept;
    /// Would a round now be followed by the extra rounds of §6.5?
    bool is_gossip_speedup_needed() const;
    /// Which members have not seen, which are unreachable and by whom, what the leader waits for.
    ConvergenceReport not_converged_report() const;

    /// Checks the invariants of the whole core after every change (ENSURE). On by default in builds without
    /// optimisation; the simulation switches it on.
    void check_invariants(bool on) noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace muster
