// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The wiring of ClusterCore: which subject is asked in which order, and what follows from its answer. It has
/// no state but its subjects'; they are classes of their own (architecture.md, The rooms of the core).
#include "admission.hpp"
#include "core_state.hpp"
#include "eager_gossip.hpp"
#include "emit.hpp"
#include "evidence.hpp"
#include "gossip_exchange.hpp"
#include "gossip_sender.hpp"
#include "joining.hpp"
#include "leadership.hpp"
#include "leaving.hpp"
#include "peer_links.hpp"
#include "quarantine.hpp"
#include "tombstones.hpp"
#include <cstdint>
#include <memory>
#include <muster/cluster/core/core.hpp>
#include <muster/cluster/failure/heartbeat_monitor.hpp>
#include <optional>
#include <string_view>
#include <vector>

namespace muster {

/// Private to ClusterCore, whose functions call it: the files that name the same subject hold its flows.
struct ClusterCore::Impl {
    Impl(UniqueAddress self_node, ClusterSettings s, RandomSource r, ConfigCompat c);

    // --- core.cpp: state, installation, publication
    const Gossip& gossip() const noexcept { return *state->gossip; }
    bool is_initialized() const noexcept { return core.is_initialized(); }
    MemberStatus self_status() const noexcept { return state->self_status(); }
    bool is_member(const UniqueAddress& node) const noexcept { return gossip().has_member(node); }
    /// Publishes what changed since the last call, and lets the failure detection follow.
    void publish(const Now& now, Effects& out);
    /// A local change and its publication.
    void change(const Gossip& g, const Now& now, Effects& out);
    /// The end of every input: eager gossip, and the invariants where they are checked.
    void finish(const Now& now, Effects& out);
    void on_timer(TimerKey key, const Now& now, Effects& out);
    void check() const;
    void check_invariants(bool on) noexcept;

    // --- core/wiring_joining.cpp
    /// The answer of Joining: this node admits itself.
    void found_cluster_if(bool founds, const Now& now, Effects& out);
    void on_new_incarnation(const UniqueAddress& fresh, const Now& now, Effects& out);
    void on(const InitJoin& m, const Now& now, Effects& out);
    void on(const InitJoinAck& m, const Now& now, Effects& out);
    void on(const InitJoinNack& m, const Now& now, Effects& out);
    void on(const Join& m, const Now& now, Effects& out);
    void on(const Welcome& m, const Now& now, Effects& out);
    void on(const JoinDeferred& m, const Now& now, Effects& out);
    void on(const JoinRefused& m, const Now& now, Effects& out);
    void on(const NotMember& m, const Now& now, Effects& out);
    /// Whether nothing but room is left to ask of it (§5.6); else it is answered or held.
    bool may_admit(const Join& m, const Now& now, Effects& out);
    void on_join_batch_timer(const Now& now, Effects& out);
    void admit_those_with_room(std::vector<Join> joins, const Now& now, Effects& out);
    /// Rule 5 for all of `joins` in one local change.
    void admit(const std::vector<Join>& joins, const Now& now, Effects& out);
    /// `node` has answered at its address: a Join of it may be admitted.
    void on_answered(const UniqueAddress& node, const Now& now, Effects& out);

    // --- core/wiring_exchange.cpp
    void on_envelope(const GossipEnvelope& m, Instant received, const Now& now, Effects& out);
    /// §6.3.
    void take(const UniqueAddress& from, const GossipPtr& remote, const Now& now, Effects& out);
    void forget_newcomers(const Gossip& before);
    void on(const GossipStatus& m, const Now& now, Effects& out);
    /// The checks of §6.2 and §6.4 about who sent it to whom; `counter` counts what they refuse. A stranger
    /// is told that it is no member.
    bool is_sender_valid(const UniqueAddress& from, const UniqueAddress& to, std::string_view counter,
                         const Now& now, Effects& out);

    // --- core/wiring_leader.cpp
    /// Members that convergence does not wait for: the confirmed and the departed.
    std::vector<UniqueAddress> excused() const;
    ConvergenceReport report() const;
    void tick_leader_actions(const Now& now, Effects& out);
    void lead_without_convergence(const Now& now, Effects& out);
    /// §9.3. True when something changed; it is published then.
    bool actions_on_convergence(const Now& now, Effects& out);
    void on(const ExitingConfirmed& m, const Now& now, Effects& out);

    // --- core/wiring_commands.cpp
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
    /// Reacts to the status of self in a newly installed state (§6.3).
    void react_to_own_status(MemberStatus before, Effects& out);
    void stop(std::optional<ShutdownReason> reason, Effects& out);

    // --- core/wiring_failure.cpp
    void tick_reaper(const Now& now, Effects& out);
    void on(const Heartbeat& m, const Now& now, Effects& out);
    void on(const HeartbeatReply& m, const Now& now, Effects& out);
    /// Lets heartbeats, quarantines and bookkeeping follow what was just published.
    void follow_events(const std::vector<ClusterEvent>& events, const Now& now, Effects& out);
    void on_removed(const UniqueAddress& node, MemberStatus previous, Effects& out);
    void on_link(const UniqueAddress& peer, LinkEvent event, const Now& now, Effects& out);
    /// A change of this node's rows: installed and published.
    void write_rows(std::optional<Reachability> table, const Now& now, Effects& out);

    // --- core/wiring_eager.cpp
    void finish_eager(const Now& now, Effects& out);
    void on(const SeenAck& m, const Now& now, Effects& out);
    /// Installs the acks that have come for the current version.
    void apply_acks(const Now& now, Effects& out);
    void on_repair_timer(std::uint64_t number, const Now& now, Effects& out);
    void on(const Converged& m, const Now& now, Effects& out);

    CoreState core;
    const UniqueAddress& self = core.self();
    const ClusterSettings& settings = core.settings();
    const std::shared_ptr<const MembershipState>& state = core.membership();
    ConfigCompat config;
    bool checking = false;

    Joining joining{core, config};
    HeartbeatMonitor heartbeats;
    Tombstones tombstones{settings};
    Quarantine quarantine{settings.quarantine_removed_node_after};
    PeerLinks links{core};
    Evidence evidence{core, links, heartbeats};
    PeerBooks books;
    GossipSender sender{core, books};
    EagerGossip eager{core, books, sender};
    GossipExchange exchange{core, sender};
    Admission admission{core, links, sender, config};
    Leadership leadership{core};
    Leaving leaving{core, links, sender};
};

} // namespace muster
