// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Whom to gossip to (protocol.md §7).
#include <cstddef>
#include <muster/cluster/protocol/random.hpp>
#include <muster/cluster/protocol/settings.hpp>
#include <muster/cluster/state/membership.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace muster {

/// The probability of gossiping across data centers from one with `local_members` members: small ones do it
/// more often, never less than `configured`.
double cross_dc_probability(std::size_t local_members, double configured) noexcept;

/// p_view: the probability of preferring members that have not seen the current version. `probability` up to
/// `reduce_above` members, then falling linearly to a tenth of it at three times as many.
double different_view_probability(std::size_t cluster_size, double probability,
                                  std::size_t reduce_above) noexcept;

/// A member, not self, that self does not see as unreachable. Status and what others say do not matter.
bool is_valid_gossip_target(const MembershipState& state, const UniqueAddress& node) noexcept;

/// The two random decisions of one gossip round.
struct GossipRolls {
    bool local = true;           ///< inside the own data center; always so where there is only one
    bool different_view = false; ///< prefer members that have not seen the current version
};
GossipRolls roll_gossip(const MembershipState& state, const ClusterSettings& settings,
                        const RandomSource& random);

/// The other data centers that have members, by name.
std::vector<std::string> other_data_centers(const MembershipState& state);

/// The nodes a round with these decisions picks from, in member order. Across data centers it visits them in
/// the order of `other_dcs` and takes the first with a valid target among its oldest.
std::vector<UniqueAddress> gossip_candidates(const MembershipState& state, GossipRolls rolls,
                                             std::span<const std::string> other_dcs);

/// One round's target: rolls, candidates and the uniform pick. nullopt: skip the round.
std::optional<UniqueAddress> select_gossip_target(const MembershipState& state,
                                                  const ClusterSettings& settings,
                                                  const RandomSource& random);

/// Up to `count` distinct nodes for a burst of full gossip: own-DC ones, and from one of the oldest of its
/// data center also the oldest valid node of one other.
std::vector<UniqueAddress> random_full_targets(const MembershipState& state, std::size_t count,
                                               const RandomSource& random);

/// Up to `count` distinct valid own-DC members that have not seen the current version (§6.6).
std::vector<UniqueAddress> random_unseen_targets(const MembershipState& state, std::size_t count,
                                                 const RandomSource& random);

/// Who hears first that `exiting` members became Exiting (§9.3): the two oldest of the own data center and,
/// for every role of the exiting members but the dc- one, the two oldest with it. In member order; the
/// exiting ones and self may be among them.
std::vector<UniqueAddress> exiting_gossip_targets(const MembershipState& state,
                                                  std::span<const UniqueAddress> exiting);

} // namespace muster
