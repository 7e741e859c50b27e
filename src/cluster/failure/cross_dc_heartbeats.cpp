// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/failure/cross_dc_heartbeats.hpp>

#include "base/sorted_vector.hpp"
#include <algorithm>
#include <muster/ensure.hpp>

namespace muster {
CrossDcHeartbeats::CrossDcHeartbeats(UniqueAddress self, const MultiDcSettings& settings)
    : self_(std::move(self)), settings_(settings), detectors_(DeadlineFailureDetector(settings)) {
    MUSTER_ENSURE(settings_.cross_dc_connections > 0,
                  "multi-data-center.cross-data-center-connections must be > 0");
}

void CrossDcHeartbeats::update(std::span<const Member> members) {
    const auto is_own = [&](const Member& m) { return m.data_center() == settings_.self_data_center; };
    if (!active_ && std::all_of(members.begin(), members.end(), is_own))
        return; // no other data center to monitor
    std::map<std::string_view, std::vector<Member>> by_data_center;
    for (const Member& member : members)
        if (member.status() != MemberStatus::Joining && member.status() != MemberStatus::WeaklyUp)
            by_data_center[member.data_center()].push_back(member);

    std::vector<UniqueAddress> next;
    for (auto& [data_center, aged] : by_data_center) {
        const std::size_t n = std::min(settings_.cross_dc_connections, aged.size());
        std::partial_sort(aged.begin(), aged.begin() + static_cast<std::ptrdiff_t>(n), aged.end(),
                          [](const Member& a, const Member& b) { return a.is_older_than(b); });
        const std::span<const Member> oldest_ones = std::span(aged).first(n);
        const bool own = data_center == settings_.self_data_center;
        for (const Member& member : oldest_ones) {
            if (!own) next.push_back(member.unique_address());
            // Once active it stays so: nobody would maintain the rows of a monitor that went dormant.
            if (own && member.unique_address() == self_ && by_data_center.size() > 1) active_ = true;
        }
    }
    if (!active_) next.clear();
    std::sort(next.begin(), next.end());
    for (const UniqueAddress& node : receivers_)
        if (!sorted_contains(next, node)) detectors_.remove(node);
    receivers_ = std::move(next);
}

std::optional<HeartbeatRecorded> CrossDcHeartbeats::on_reply(const UniqueAddress& from, Instant now) {
    if (!is_receiver(from)) return std::nullopt;
    return detectors_.heartbeat(from, now);
}

bool CrossDcHeartbeats::is_receiver(const UniqueAddress& node) const noexcept {
    return sorted_contains(receivers_, node);
}

} // namespace muster
