// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Data centers (protocol.md §1.2, §13): which one a member belongs to, and the settings between them.
#include <chrono>
#include <cstddef>
#include <muster/cluster/protocol/settings.hpp>
#include <muster/cluster/state/member.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace muster {

/// The reference's settings between data centers (reference.md), with its defaults. A node runs with
/// MultiDcSettings (protocol.md §18); multi_dc_settings() converts these.
struct CrossDcSettings {
    std::chrono::milliseconds heartbeat_interval{std::chrono::seconds{5}};
    std::chrono::milliseconds acceptable_pause{std::chrono::seconds{30}};
    std::size_t max_monitored_peers = 5;
};

/// The settings that a node runs with; the rest of MultiDcSettings keeps its defaults.
MultiDcSettings multi_dc_settings(const CrossDcSettings& cross);

/// The name of the member's data center.
inline std::string_view member_dc(const Member& member) noexcept { return member.data_center(); }
inline bool same_dc(const Member& a, const Member& b) noexcept { return member_dc(a) == member_dc(b); }

/// The interval of heartbeats from `local` to `peer`: `local_interval` inside one data center.
std::chrono::milliseconds heartbeat_interval_for(const Member& local, const Member& peer,
                                                 std::chrono::milliseconds local_interval,
                                                 const CrossDcSettings& cross);

/// `peers` as (own data center, other data centers) as `local` sees them, in the given order.
std::pair<std::vector<Member>, std::vector<Member>> partition_by_dc(const Member& local,
                                                                    std::span<const Member> peers);

} // namespace muster
