// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/compat/multi_dc.hpp>

namespace muster {

MultiDcSettings multi_dc_settings(const CrossDcSettings& cross) {
    MultiDcSettings settings;
    settings.heartbeat_interval = cross.heartbeat_interval;
    settings.acceptable_heartbeat_pause = cross.acceptable_pause;
    settings.cross_dc_connections = cross.max_monitored_peers;
    return settings;
}

std::chrono::milliseconds heartbeat_interval_for(const Member& local, const Member& peer,
                                                 std::chrono::milliseconds local_interval,
                                                 const CrossDcSettings& cross) {
    return same_dc(local, peer) ? local_interval : cross.heartbeat_interval;
}

std::pair<std::vector<Member>, std::vector<Member>> partition_by_dc(const Member& local,
                                                                    std::span<const Member> peers) {
    std::pair<std::vector<Member>, std::vector<Member>> parts;
    for (const Member& peer : peers) (same_dc(local, peer) ? parts.first : parts.second).push_back(peer);
    return parts;
}

} // namespace muster
