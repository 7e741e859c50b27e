#pragma once
/// MembershipState: the gossip as one node sees it, with every question one can ask of it (protocol.md §4.5,
/// §8, §9).
#include <muster/cluster/gossip.hpp>
#include <muster/cluster/settings.hpp>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <vector>

namespace muster {

/// Immutable once published; then safe to read from any thread. Queries are pure. (The cluster engineer
/// completes the reference's helpers here: add_or_update, remove, up_members, unreachable_addresses,
/// member_count, join, leave, down, apply_leader_actions.)
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

    /// Views of protocol.md §4.5.
    Reachability dc_reach() const;
    Reachability dc_reach_excl_downed() const;
    Reachability dc_reach_no_outside() const;
    Reachability dc_reach_cross() const;
    Reachability reach_excl_downed() const;

    /// protocol.md §8; `exiting_confirmed` sorted.
    bool convergence(std::span<const UniqueAddress> exiting_confirmed = {}) const;
    /// protocol.md §9.1.
    std::optional<UniqueAddress> leader() const;
    std::optional<UniqueAddress> role_leader(std::string_view role) const;
    std::optional<UniqueAddress> leader_of(std::span<const Member> candidates) const;
    bool is_leader(const UniqueAddress& node) const { return leader() == node; }
};

} // namespace muster
