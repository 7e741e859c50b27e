// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The inside of ClusterCore, shared by the files of core/. Each subject has its own file; this header says
/// which state it owns.
#include "core_state.hpp"
#include "eager_gossip.hpp"
#include "emit.hpp"
#include "evidence.hpp"
#include "gossip_sender.hpp"
#include "gossip_size.hpp"
#include "join_proof.hpp"
#include "leadership.hpp"
#include "leaving.hpp"
#include "peer_links.hpp"
#include "quarantine.hpp"
#include "tombstones.hpp"
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <muster/cluster/core/core.hpp>
#include <muster/cluster/core/gossip_targets.hpp>
#include <muster/cluster/core/join_process.hpp>
#include <muster/cluster/failure/heartbeat_monitor.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

/// Joining (core/join.cpp).
struct JoinState {
    std::vector<Address> seeds; ///< remembered for retries
    std::optional<SeedProcess> process;
    std::optional<Instant> overall_deadline; ///< shutdown-after-unsuccessful-join-seed-nodes
    Address target;                          ///< TryingToJoin: whom we asked
    std::optional<Instant> retry_at;         ///< TryingToJoin: when we ask again
    std::optional<Instant> ask_again_at;     ///< TryingToJoin: deferred; when we send the same Join again
    bool has_sent_join = false;              ///< this uid may be known somewhere: it must not found a cluster
    bool given_up = false;                   ///< incompatible, refused or too late: coordinated shutdown runs
    bool version_pending = false;            ///< §1.7
    std::optional<Address> waiting_target;   ///< join() and join_seed_nodes() while version_pending
    std::vector<Address> waiting_seeds;
    bool proofs_expected = false; ///< a Join waits until its address has answered
    UnprovenJoins unproven;
    /// When a sender that is no member was last told so (§6.2: at most once per peer and second).
    std::map<UniqueAddress, Instant> not_member_told;

    std::vector<Join> waiting_joins;
    std::set<UniqueAddress> waiting_nodes; ///< whose joins those are
    std::vector<UniqueAddress> welcomes;   ///< admitted in this input
    std::optional<Instant> last_join_batch;
};

struct ClusterCore::Impl {
    Impl(UniqueAddress self_node, ClusterSettings s, RandomSource r, ConfigCompat c);

    // --- core.cpp: state, installation, publication
    const Gossip& gossip() const noexcept { return *state->gossip; }
    bool is_initialized() const noexcept { return core.is_initialized(); }
    MemberStatus self_status() const noexcept { return state->self_status(); }
    bool is_member(const UniqueAddress& node) const noexcept { return gossip().has_member(node); }
    void install(Gossip g, Origin origin = Origin::Unchanged) { core.install(std::move(g), origin); }
    void local_change(const Gossip& g) { core.local_change(g); }
    /// Publishes what changed since the last call, and lets the failure detection follow.
    void publish(const Now& now, Effects& out);
    /// A local change and its publication.
    void change(const Gossip& g, const Now& now, Effects& out);
    /// The end of every input: eager gossip, and the invariants where they are checked.
    void finish(const Now& now, Effects& out);
    void on_timer(TimerKey key, const Now& now, Effects& out);
    void check() const;
    void check_invariants(bool on) noexcept;

    // --- core/join.cpp
    void join(const Address& to, const Now& now, Effects& out);
    void join_seed_nodes(std::vector<Address> seeds, const Now& now, Effects& out);
    void self_join(const Now& now, Effects& out);
    void on_new_incarnation(const UniqueAddress& fresh, const Now& now, Effects& out);
    void app_version(AppVersion version, const Now& now, Effects& out);
    void start_seed_process(std::vector<Address> seeds, const Now& now, Effects& out);
    void carry_out(const SeedProcess::Step& step, const Now& now, Effects& out);
    void on_connect_refused(const Address& peer, const Now& now, Effects& out);
    void tick_join(const Now& now, Effects& out);
    void retry_join(const Now& now, Effects& out);
    void give_up_joining(ShutdownReason reason, Effects& out);
    void on(const InitJoin& m, const Now& now, Effects& out);
    void on(const InitJoinAck& m, const Now& now, Effects& out);
    void on(const InitJoinNack& m, const Now& now, Effects& out);
    void warn_of_settings(const std::vector<std::string>& keys, const Address& peer, Effects& out) const;
    void on(const Join& m, const Now& now, Effects& out);
    void on(const Welcome& m, const Now& now, Effects& out);
    void on(const JoinDeferred& m, const Now& now, Effects& out);
    void on(const JoinRefused& m, const Now& now, Effects& out);
    void on(const NotMember& m, const Now& now, Effects& out);
    Join own_join() const;
    bool is_join_acceptable(const Join& m, Effects& out) const;
    /// Rules 3 and 4 of §5.6: true when the Join is answered and done.
    bool answer_known_joiner(const Join& m, const Now& now, Effects& out);
    void replace_incarnations(const std::vector<Member>& old, const UniqueAddress& fresh, const Now& now,
                              Effects& out);
    /// Rule 5 for all of `joins` in one local change.
    void admit(const std::vector<Join>& joins, const Now& now, Effects& out);
    // core/admission.cpp
    /// No for a joiner that no gossip may carry; who has proven its address is told so.
    bool is_within_limits(const Join& m, Effects& out) const;
    /// Those of `joins` that the largest gossip has room for, in order; the others are told to ask again.
    std::vector<Join> those_with_room(std::vector<Join> joins, Effects& out);
    void admit_those_with_room(std::vector<Join> joins, const Now& now, Effects& out);
    /// Whether `node` has answered at its address, as far as that is asked for.
    bool is_proven(const UniqueAddress& node) const;
    void hold_until_proven(const Join& m, const Now& now, Effects& out);
    /// `node` has answered at its address: its Join waits no longer, another one's of that address is void.
    void on_answered(const UniqueAddress& node, const Now& now, Effects& out);
    void expire_unproven(const Now& now, Effects& out);
    void answer_not_member(const UniqueAddress& sender, const Now& now, Effects& out);

    // --- core/exchange.cpp
    void on_envelope(const GossipEnvelope& m, Instant received, const Now& now, Effects& out);
    /// §6.3.
    void take(const UniqueAddress& from, const GossipPtr& remote, const Now& now, Effects& out);
    /// No when no honest node can have sent it (gossip_check.hpp); counts and logs that.
    bool is_possible(const UniqueAddress& from, const Gossip& remote, Effects& out) const;
    result<void> check_own(const Gossip& remote) const;
    void forget_newcomers(const Gossip& before);
    void on(const GossipStatus& m, const Now& now, Effects& out);
    /// The checks of §6.2 and §6.4 about who sent it to whom; `counter` counts what they refuse. A stranger
    /// is told that it is no member.
    bool is_sender_valid(const UniqueAddress& from, const UniqueAddress& to, std::string_view counter,
                         const Now& now, Effects& out);
    void tick_gossip(Effects& out);
    void gossip_round(Effects& out);
    bool is_speedup_needed() const;
    /// What only this node writes and this gossip has further: merged, stepped over, the own rows written
    /// anew (§2).
    void step_over(const Gossip& forged, const UniqueAddress& from, const Now& now, Effects& out);
    /// A Welcome with words of this node, which has said none.
    void disown_words_before_joining(const UniqueAddress& from, Effects& out);
    void warn_of_own_words(const UniqueAddress& from, const Gossip& forged, const Gossip& local,
                           Effects& out) const;
    void retire_when_spent(Effects& out);

    // --- core/wiring_leader.cpp
    /// Whom convergence does not wait for: the confirmed and the departed.
    std::vector<UniqueAddress> excused() const;
    ConvergenceReport report() const;
    void tick_leader_actions(const Now& now, Effects& out);
    void lead_without_convergence(const Now& now, Effects& out);
    /// §9.3. True when something changed; it is published then.
    bool actions_on_convergence(const Now& now, Effects& out);
    void on(const ExitingConfirmed& m, const Now& now, Effects& out);

    // --- core/commands.cpp
    void leave(const Address& node, const Now& now, Effects& out);
    void change_to_leaving(const Address& node, const Now& now, Effects& out);
    bool is_known(const Address& address) const;
    /// All of them in one change.
    void down(const std::vector<Member>& incarnations, const Now& now, Effects& out);
    void quarantined(const UniqueAddress& node, const Now& now, Effects& out);
    void prepare_for_shutdown(const Now& now, Effects& out);

    // --- core/wiring_leaving.cpp
    void leave_now(const Now& now, Effects& out);
    void give_up_leaving(const Now& now, Effects& out);
    /// Self was seen Exiting: hand-over and coordinated shutdown.
    void run_exiting_tasks(Effects& out);
    void exiting_completed(const Now& now, Effects& out);
    void shutdown_self_when_down(Effects& out);
    /// What a newly installed state says about self (§6.3).
    void react_to_own_status(MemberStatus before, Effects& out);
    void stop(std::optional<ShutdownReason> reason, Effects& out);

    // --- core/failure.cpp
    void tick_reaper(const Now& now, Effects& out);
    void on(const Heartbeat& m, const Now& now, Effects& out);
    void on(const HeartbeatReply& m, const Now& now, Effects& out);
    /// Lets heartbeats, quarantines and bookkeeping follow what was just published.
    void follow_events(const std::vector<ClusterEvent>& events, const Now& now, Effects& out);
    void on_removed(const UniqueAddress& node, MemberStatus previous, Effects& out);
    bool is_own_dc(const UniqueAddress& node) const noexcept { return core.is_own_dc(node); }

    // --- core/wiring_eager.cpp
    void finish_eager(const Now& now, Effects& out);
    void on(const SeenAck& m, const Now& now, Effects& out);
    /// Installs the acks that have come for the current version.
    void apply_acks(const Now& now, Effects& out);
    void on_repair_timer(std::uint64_t number, const Now& now, Effects& out);
    void on(const Converged& m, const Now& now, Effects& out);
    void batch_join(const Join& m, const Now& now, Effects& out);
    void on_join_batch_timer(const Now& now, Effects& out);

    void on_link(const UniqueAddress& peer, LinkEvent event, const Now& now, Effects& out);
    /// A change of this node's rows: installed and published.
    void write_rows(std::optional<Reachability> table, const Now& now, Effects& out);

    CoreState core;
    const UniqueAddress& self = core.self();
    const ClusterSettings& settings = core.settings();
    const RandomSource& random = core.random();
    const std::shared_ptr<const MembershipState>& state = core.membership();
    ConfigCompat config;
    bool checking = false;

    JoinState joining;
    GossipSize gossip_size;
    bool is_spent = false; ///< own counters passed incarnation_counter_max: coordinated shutdown runs
    HeartbeatMonitor heartbeats;
    Tombstones tombstones{settings};
    Quarantine quarantine{settings.quarantine_removed_node_after};
    PeerLinks links{core};
    Evidence evidence{core, links, heartbeats};
    PeerBooks books;
    GossipSender sender{core, books};
    EagerGossip eager{core, books, sender};
    Leadership leadership{core};
    Leaving leaving{core, links, sender};
};

} // namespace muster
