// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How much one member and one gossip may bring (protocol.md §2, Limits). Every node has the same limits:
/// what one refused and another merged would keep them from agreeing.
#include <cstddef>
#include <muster/cluster/state/app_version.hpp>
#include <muster/error.hpp>
#include <span>
#include <string>

namespace muster {

/// Bytes of each part of an address: protocol, system, host.
inline constexpr std::size_t address_part_bytes_max = 255;
/// Bytes of one role. A data center's name is three bytes shorter: "dc-" goes before it.
inline constexpr std::size_t role_bytes_max = 255;
inline constexpr std::size_t data_center_bytes_max = role_bytes_max - 3;
/// Roles of one member, its dc- role among them, and their bytes in sum.
inline constexpr std::size_t member_roles_max = 128;
inline constexpr std::size_t member_roles_bytes_max = 8192;
inline constexpr std::size_t app_version_bytes_max = 255;

/// Members and tombstones that one gossip brings. Every member becomes a tombstone some day, so a join is
/// refused already when three quarters of either limit are reached: members of their own may be admitted at
/// many nodes at once.
inline constexpr std::size_t gossip_members_max = 32'768;
inline constexpr std::size_t gossip_tombstones_max = 131'072;
inline constexpr std::size_t admitted_members_max = gossip_members_max / 4 * 3;
/// Members and tombstones in sum.
inline constexpr std::size_t admitted_incarnations_max = gossip_tombstones_max / 4 * 3;

/// A gossip's share of the largest frame: a join that would bring it above is refused
/// (ClusterSettings::gossip_bytes_max). The rest is for the rows of those who cannot reach each other, and
/// for what several nodes admit at once.
inline constexpr std::size_t gossip_frame_share = 4;

/// The first limit that a member with these roles and this version breaks: Errc::malformed naming it.
result<void> check_member_limits(std::span<const std::string> roles, const AppVersion& app_version);

} // namespace muster
