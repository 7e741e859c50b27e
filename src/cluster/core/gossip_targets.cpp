// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/core/gossip_targets.hpp>

#include "base/sorted_vector.hpp"
#include <algorithm>
#include <muster/cluster/state/member.hpp>
#include <utility>

namespace muster {
namespace {

/// A data center with more members than this gossips across at the configured probability.
constexpr std::size_t small_dc_members = 4;
constexpr std::size_t exiting_targets_per_role = 2;

/// Valid own-DC targets in member order; with `unseen_only` those that have not seen the current version.
/// In member order, until `visit` answers false.
template <class Visit>
void for_each_local_target(const MembershipState& state, bool unseen_only, Visit visit) {
    const auto all = state.members();
    const auto own_rows = state.latest().reachability().records_of(state.self);
    const auto is_reachable = [&](const UniqueAddress& node) {
        if (own_rows.empty()) return true;
        const auto row = std::ranges::lower_bound(own_rows, node, {}, &Reachability::Record::subject);
        return row == own_rows.end() || row->subject != node || row->status == ReachabilityStatus::Reachable;
    };
    const std::size_t self = state.latest().index_of(state.self).value_or(all.size());
    const bool all_own = state.is_all_own_dc();
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (i == self || (unseen_only && state.latest().overview().seen.test(i))) continue;
        if (!all_own && !state.is_own_dc(all[i])) continue;
        const UniqueAddress& node = all[i].unique_address();
        if (is_reachable(node) && !visit(node)) return;
    }
}

std::vector<UniqueAddress> local_targets(const MembershipState& state, bool unseen_only) {
    std::vector<UniqueAddress> nodes;
    for_each_local_target(state, unseen_only, [&](const UniqueAddress& node) {
        nodes.push_back(node);
        return true;
    });
    return nodes;
}

/// One of local_candidates(), which are counted instead of listed: every node does this every second.
std::optional<UniqueAddress> pick_local(const MembershipState& state, bool different_view,
                                        const RandomSource& random) {
    for (bool unseen_only = different_view;; unseen_only = false) {
        std::size_t count = 0;
        for_each_local_target(state, unseen_only, [&](const UniqueAddress&) { return ++count, true; });
        if (count == 0 && unseen_only) continue;
        if (count == 0) return std::nullopt;
        auto before = static_cast<std::size_t>(uniform_below(random, count));
        std::optional<UniqueAddress> picked;
        for_each_local_target(state, unseen_only, [&](const UniqueAddress& node) {
            if (before-- == 0) picked = node;
            return !picked;
        });
        return picked;
    }
}

std::vector<UniqueAddress> local_candidates(const MembershipState& state, bool different_view) {
    if (different_view) {
        auto unseen = local_targets(state, true);
        if (!unseen.empty()) return unseen;
    }
    return local_targets(state, false);
}

using OldestPerDc = std::map<std::string, std::vector<Member>, std::less<>>;

bool is_among_oldest(const MembershipState& state, const OldestPerDc& oldest) {
    const auto own = oldest.find(state.self_data_center);
    return own != oldest.end() && std::ranges::any_of(own->second, [&](const Member& m) {
               return m.unique_address() == state.self;
           });
}

/// The valid ones of the oldest of the first data center that has any, oldest first.
std::vector<UniqueAddress> cross_targets(const MembershipState& state, const OldestPerDc& oldest,
                                         std::span<const std::string> other_dcs) {
    std::vector<UniqueAddress> nodes;
    for (const auto& name : other_dcs) {
        const auto dc = oldest.find(name);
        if (dc == oldest.end()) continue;
        for (const Member& m : dc->second) {
            if (is_valid_gossip_target(state, m.unique_address())) nodes.push_back(m.unique_address());
        }
        if (!nodes.empty()) break;
    }
    return nodes;
}

std::vector<UniqueAddress> pick(std::vector<UniqueAddress> nodes, std::size_t count,
                                const RandomSource& random) {
    count = std::min(count, nodes.size());
    shuffle_front(nodes, count, random);
    nodes.resize(count);
    return nodes;
}

} // namespace

double cross_dc_probability(std::size_t local_members, double configured) noexcept {
    if (local_members > small_dc_members) return configured;
    return std::max(0.25 * static_cast<double>(small_dc_members + 1 - local_members), configured);
}

double different_view_probability(std::size_t cluster_size, double probability,
                                  std::size_t reduce_above) noexcept {
    const double least = probability / 10;
    if (cluster_size <= reduce_above) return probability;
    if (cluster_size >= 3 * reduce_above) return least;
    const auto above = static_cast<double>(cluster_size - reduce_above);
    return probability + above * (least - probability) / (2.0 * static_cast<double>(reduce_above));
}

bool is_valid_gossip_target(const MembershipState& state, const UniqueAddress& node) noexcept {
    return node != state.self && state.latest().has_member(node) &&
           state.latest().reachability().is_reachable(state.self, node);
}

GossipRolls roll_gossip(const MembershipState& state, const ClusterSettings& settings,
                        const RandomSource& random) {
    const auto own = state.is_all_own_dc()
                         ? state.members().size()
                         : static_cast<std::size_t>(std::ranges::count_if(
                               state.members(), [&](const Member& m) { return state.is_own_dc(m); }));
    GossipRolls rolls;
    // One draw after the other, always both: the sequence does not depend on the outcome of the first.
    const double for_local = uniform_unit(random);
    const double for_view = uniform_unit(random);
    rolls.local = own == state.members().size() ||
                  for_local > cross_dc_probability(own, settings.multi_dc.cross_dc_gossip_probability);
    rolls.different_view = for_view < different_view_probability(
                                          state.members().size(), settings.gossip_different_view_probability,
                                          settings.reduce_gossip_different_view_probability);
    return rolls;
}

std::vector<std::string> other_data_centers(const MembershipState& state) {
    std::vector<std::string> names;
    for (const Member& m : state.members()) {
        if (!state.is_own_dc(m) && (names.empty() || names.back() != m.data_center()))
            names.emplace_back(m.data_center());
    }
    return sorted_unique(std::move(names));
}

std::vector<UniqueAddress> gossip_candidates(const MembershipState& state, GossipRolls rolls,
                                             std::span<const std::string> other_dcs) {
    if (!rolls.local && !other_dcs.empty()) {
        const auto oldest = state.top_oldest_per_dc();
        if (is_among_oldest(state, oldest)) {
            auto nodes = cross_targets(state, oldest, other_dcs);
            std::ranges::sort(nodes);
            if (!nodes.empty()) return nodes;
        }
    }
    return local_candidates(state, rolls.different_view);
}

std::optional<UniqueAddress> select_gossip_target(const MembershipState& state,
                                                  const ClusterSettings& settings,
                                                  const RandomSource& random) {
    const GossipRolls rolls = roll_gossip(state, settings, random);
    std::vector<std::string> other_dcs;
    if (!rolls.local) {
        other_dcs = other_data_centers(state);
        shuffle_front(other_dcs, other_dcs.size(), random);
    }
    if (other_dcs.empty()) return pick_local(state, rolls.different_view, random);
    const auto nodes = gossip_candidates(state, rolls, other_dcs);
    if (nodes.empty()) return std::nullopt;
    return nodes[static_cast<std::size_t>(uniform_below(random, nodes.size()))];
}

std::vector<UniqueAddress> random_full_targets(const MembershipState& state, std::size_t count,
                                               const RandomSource& random) {
    if (count == 0) return {};
    auto local = local_targets(state, false);
    auto other_dcs = other_data_centers(state);
    std::vector<UniqueAddress> across;
    if (!other_dcs.empty()) {
        const auto oldest = state.top_oldest_per_dc();
        shuffle_front(other_dcs, other_dcs.size(), random);
        if (is_among_oldest(state, oldest)) across = cross_targets(state, oldest, other_dcs);
    }
    auto nodes = pick(std::move(local), across.empty() ? count : count - 1, random);
    if (!across.empty()) nodes.push_back(across.front());
    return nodes;
}

std::vector<UniqueAddress> random_unseen_targets(const MembershipState& state, std::size_t count,
                                                 const RandomSource& random) {
    return pick(local_targets(state, true), count, random);
}

std::vector<UniqueAddress> exiting_gossip_targets(const MembershipState& state,
                                                  std::span<const UniqueAddress> exiting) {
    if (exiting.empty()) return {};
    std::vector<Member> by_age;
    for (const Member& m : state.members()) {
        if (state.is_own_dc(m)) by_age.push_back(m);
    }
    sort_by_age(by_age);
    std::vector<std::string> roles;
    for (const UniqueAddress& node : exiting) {
        const Member* member = state.latest().find(node);
        if (member == nullptr) continue;
        std::ranges::copy_if(member->roles(), std::back_inserter(roles),
                             [](const auto& role) { return !role.starts_with(DC_ROLE_PREFIX); });
    }
    roles = sorted_unique(std::move(roles));

    std::vector<UniqueAddress> targets;
    const auto add_oldest = [&](auto&& counts) {
        std::size_t found = 0;
        for (auto m = by_age.begin(); m != by_age.end() && found < exiting_targets_per_role; ++m) {
            if (!counts(*m)) continue;
            targets.push_back(m->unique_address());
            ++found;
        }
    };
    add_oldest([](const Member&) { return true; });
    for (const auto& role : roles) add_oldest([&](const Member& m) { return m.has_role(role); });
    return sorted_unique(std::move(targets));
}

} // namespace muster
