// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Checks for gossips that no honest node sends (protocol.md §2, Gossips that cannot be). Pure functions: the
/// decoder applies them to bytes from the network, the core to gossips from a transport without a decoder.
#include <cstdint>
#include <muster/cluster/state/gossip.hpp>
#include <muster/error.hpp>

namespace muster {

/// The highest clock counter and row version. Merging never raises one, so only a change of its owner does.
inline constexpr std::uint64_t gossip_counter_max = std::uint64_t{1} << 62U;
/// How far one gossip may raise a counter or row version above what its receiver holds: more changes than a
/// node makes in its life, and so few that reaching gossip_counter_max takes millions of gossips.
inline constexpr std::uint64_t gossip_counter_jump_max = std::uint64_t{1} << 40U;
/// A node whose own counter or version passes this leaves and has to come back as another incarnation. Far
/// enough below the limit for peers to accept its last changes.
inline constexpr std::uint64_t incarnation_counter_max = std::uint64_t{1} << 61U;
/// The highest up_number; members that were ever Up have 1 to this.
inline constexpr std::int32_t up_number_max = std::int32_t{1} << 30U;

/// Judges `gossip` alone, so that every node answers alike. Refuses clock entries of nodes that are no
/// members, a member that is a tombstone, nodes of several protocols or systems, up numbers outside 1 to
/// up_number_max, more than gossip_limits.hpp allows. (Gossip::from_parts refuses the rest.) Tombstone times
/// are not judged. Errors: Errc::malformed naming the part.
result<void> check_possible(const Gossip& gossip);

/// Refuses a counter or row version that is more than gossip_counter_jump_max above that in `held`. A joiner,
/// which holds no members, applies the absolute limit only.
result<void> check_jump(const Gossip& received, const Gossip& held);

} // namespace muster
