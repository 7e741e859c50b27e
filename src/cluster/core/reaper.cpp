// SPDX-License-Identifier: Apache-2.0
#include "reaper.hpp"

#include "emit.hpp"
#include <string>

namespace muster {

std::optional<Reachability> reap(const CoreState& core, const HeartbeatMonitor& heartbeats, const Now& now,
                                 Effects& out) {
    const UniqueAddress& self = core.self();
    const Gossip& gossip = core.gossip();
    Reachability table = gossip.reachability();
    for (const UniqueAddress& node : heartbeats.unavailable(now.monotonic)) {
        const Member* m = gossip.find(node);
        if (m == nullptr || node == self || !table.is_reachable(self, node)) continue;
        table = table.unreachable(self, node);
        const bool expected = m->status() == MemberStatus::Exiting;
        count(out, "cluster.reaper.unreachable");
        log(out, expected ? LogLevel::Info : LogLevel::Warning, "cluster.unreachable", node.to_string(),
            {{"status", std::string(to_string(m->status()))}});
    }
    for (const UniqueAddress& node : gossip.reachability().all_unreachable_from(self)) {
        const Member* m = gossip.find(node);
        if (m == nullptr || !heartbeats.is_available(*m, now.monotonic)) continue;
        table = table.reachable(self, node);
        count(out, "cluster.reaper.reachable");
        log(out, LogLevel::Info, "cluster.reachable", node.to_string());
    }
    if (table == gossip.reachability()) return std::nullopt;
    return table;
}

} // namespace muster
