// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Size limits of one member and of one gossip (protocol.md §2, Limits). Every node has the same limits: a
/// gossip that one node refused and another merged would prevent convergence.
#include <cstddef>
#include <muster/cluster/state/app_version.hpp>
#include <muster/error.hpp>
#include <span>
#include <string>

namespace muster {

/// The most bytes of each part of an address: protocol, system, host.
inline constexpr std::size_t address_part_bytes_max = 255;
/// Bytes of one role. A data center's name may have three bytes less, for the prefix "dc-".
inline constexpr std::size_t role_bytes_max = 255;
inline constexpr std::size_t data_center_bytes_max = role_bytes_max - 3;
/// The most roles of one member, its dc- role included, and their total bytes.
inline constexpr std::size_t member_roles_max = 128;
inline constexpr std::size_t member_roles_bytes_max = 8192;
inline constexpr std::size_t app_version_bytes_max = 255;

/// The most members and tombstones in one gossip. Every member becomes a tombstone some day, and many nodes
/// may admit joiners at once, so a join is refused once three quarters of either limit are reached.
inline constexpr std::size_t gossip_members_max = 32'768;
inline constexpr std::size_t gossip_tombstones_max = 131'072;
inline constexpr std::size_t admitted_members_max = gossip_members_max / 4 * 3;
/// Members and tombstones in total.
inline constexpr std::size_t admitted_incarnations_max = gossip_tombstones_max / 4 * 3;

/// A gossip's share of the largest frame: a join that would bring it above is refused
/// (ClusterSettings::gossip_bytes_max). The rest is for reachability rows, and for joiners that several nodes
/// admit at once.
inline constexpr std::size_t gossip_frame_share = 4;

/// The first limit that a member with these roles and this version breaks: Errc::malformed naming it.
result<void> check_member_limits(std::span<const std::string> roles, const AppVersion& app_version);

} // namespace muster
