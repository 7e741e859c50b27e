// SPDX-License-Identifier: Apache-2.0
#pragma once
/// MembershipState: the gossip as one node sees it, with the queries on it (protocol.md §4.5, §8, §9).
#include <chrono>
#include <map>
#include <muster/cluster/state/events.hpp>
#include <muster/cluster/state/gossip.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

/// The inputs of the leader's actions beside the state (protocol.md §9.3).
struct LeaderActionInputs {
    /// Members that confirmed the end of their exiting tasks; sorted.
    std::vector<UniqueAddress> exiting_confirmed;
    std::size_t min_nr_of_members = 1;
    std::map<std::string, std::size_t> role_min_nr_of_members;
    /// Whether the whole cluster is being shut down: then nobody is moved to Up or WeaklyUp any more.
    bool preparing_for_shutdown = false;
    /// Tombstones that this node has known for prune-gossip-tombstones-after, by its own count (§2,
    /// Tombstones); sorted.
    std::vector<UniqueAddress> expired_tombstones;
};

/// The actions that the leader of one data center would take now. Both lists are in member order.
struct LeaderActions {
    std::vector<Member> changed;        ///< with their new status and number
    std::vector<UniqueAddress> removed; ///< these leave tombstones
    bool empty() const noexcept { return changed.empty() && removed.empty(); }
};

/// A value over a shared gossip: cheap to copy, safe to read from any thread once published. Every function
/// is a pure query; compat/membership.hpp changes a copy.
struct MembershipState {
    UniqueAddress self;
    std::string self_data_center = "default";
    std::size_t cross_dc_connections = 5;
    GossipPtr gossip;

    MembershipState() : gossip(std::make_shared<const Gossip>()) {}
    MembershipState(UniqueAddress self_node, std::string data_center, GossipPtr g,
                    std::size_t connections = 5)
        : self(std::move(self_node)), self_data_center(std::move(data_center)),
          cross_dc_connections(connections), gossip(std::move(g)) {}

    const Gossip& latest() const noexcept { return *gossip; }
    std::span<const Member> members() const noexcept { return gossip->members(); }
    /// Own status, Removed when self is no member.
    MemberStatus self_status() const noexcept;
    /// Whether the member belongs to the own data center.
    bool is_own_dc(const Member& member) const noexcept { return member.data_center() == self_data_center; }
    /// Whether all members do; spares loops a check per member. O(1).
    bool is_all_own_dc() const noexcept {
        return !latest().is_multi_dc() && (members().empty() || is_own_dc(members().front()));
    }

    /// Views of protocol.md §4.5. They leave out rows; the versions of observers stay as they are, since no
    /// query reads them.
    Reachability dc_reach() const;
    Reachability dc_reach_excl_downed() const;
    Reachability dc_reach_no_outside() const;
    Reachability dc_reach_cross() const;
    Reachability reach_excl_downed() const;

    /// Whether an observer that counts says that `node` cannot be reached. For nodes of the own data center
    /// its members that are not Down count, for other data centers every member that is not Down. False for
    /// nodes that are no members.
    bool is_reachable_excluding_downed_observers(const UniqueAddress& node) const;
    /// Sorted names of the other data centers that are unreachable: those with a node that an observer of the
    /// own data center marks Unreachable (protocol.md §13).
    std::vector<std::string> unreachable_data_centers() const;

    /// protocol.md §8; `exiting_confirmed` sorted.
    bool convergence(std::span<const UniqueAddress> exiting_confirmed = {}) const;
    /// Members that still have to see this version before convergence, in member order (§8 B).
    std::vector<UniqueAddress>
    convergence_unseen(std::span<const UniqueAddress> exiting_confirmed = {}) const;
    /// Nodes whose unreachability blocks convergence, in member order (§8 A).
    std::vector<UniqueAddress>
    convergence_blocking_unreachable(std::span<const UniqueAddress> exiting_confirmed = {}) const;

    /// protocol.md §9.1.
    std::optional<UniqueAddress> leader() const;
    std::optional<UniqueAddress> role_leader(std::string_view role) const;
    /// `candidates` in member order.
    std::optional<UniqueAddress> leader_of(std::span<const Member> candidates) const;
    bool is_leader(const UniqueAddress& node) const { return leader() == node; }
    /// The leader of every role that some member has, `dc-` roles included, in one pass.
    std::map<std::string, std::optional<UniqueAddress>, std::less<>> role_leaders() const;

    /// The youngest member of the own data center that was ever Up, or else its first (the highest
    /// up_number).
    const Member* youngest() const;
    /// The cross_dc_connections oldest members of every data center, oldest first (protocol.md §7).
    std::map<std::string, std::vector<Member>, std::less<>> top_oldest_per_dc() const;

    /// The actions of actions_on_convergence (protocol.md §9.3 steps 1 and 2). The caller ensures that self
    /// is the leader and that convergence holds.
    LeaderActions leader_actions(const LeaderActionInputs& inputs) const;
    /// Own-DC Joining members that a leader without convergence makes WeaklyUp (§9.4), with that status.
    std::vector<Member> joining_to_weakly_up(const LeaderActionInputs& inputs) const;

    /// Members with status Up, in member order.
    std::vector<Member> up_members() const;
    /// Members that are the subject of a negative row, in member order.
    std::vector<UniqueAddress> unreachable_addresses() const;
    std::size_t member_count() const noexcept { return members().size(); }
};

} // namespace muster
