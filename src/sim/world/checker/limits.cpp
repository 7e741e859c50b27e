// SPDX-License-Identifier: Apache-2.0
// No queue or number of connections exceeds its limit.
#include "sim/world/text.hpp"
#include "state.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace muster::sim {

using namespace std::chrono_literals;

void CheckerState::check_limits(std::size_t node) {
    const Viewer& v = viewer(node);
    const TcpTransportOptions& limits = settings[node].transport;
    const Metrics& metrics = world[node].runtime->metrics();
    const auto at_most = [&](std::string_view name, std::size_t limit) {
        const auto value = metrics.value(name);
        if (value > static_cast<std::int64_t>(limit))
            note("limit-exceeded",
                 fmt::format("{} of node {} is {}, {} are allowed", name, node, value, limit));
    };
    at_most("transport.links.inbound", limits.inbound_connections_max);
    at_most("transport.links.outbound", limits.associations_max);
    at_most("transport.associations", limits.associations_max);

    // Tells accepted and neither written nor dropped wait in the associations, each of which holds so many
    // bytes at most.
    if (v.tells_accepted == 0) return;
    auto waiting = static_cast<std::int64_t>(v.tells_accepted) - metrics.value("transport.tells.sent");
    for (const std::string_view reason :
         {"link_ended", "unreachable", "refused", "other_incarnation", "quarantined", "shutdown"})
        waiting -= metrics.value(fmt::format("transport.tells.dropped.{}", reason));
    const auto allowed = limits.association_bytes_max * v.told.size();
    if (waiting > 0 && static_cast<std::size_t>(waiting) * v.tell_bytes_min > allowed)
        note("limit-exceeded",
             fmt::format(
                 "{} tells of at least {} bytes wait at node {} for {} peers, {} bytes are allowed for each",
                 waiting, v.tell_bytes_min, node, v.told.size(), limits.association_bytes_max));
}

} // namespace muster::sim
