// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/failure/heartbeat_receivers.hpp>

#include "base/sorted_vector.hpp"
#include <algorithm>
#include <muster/ensure.hpp>

namespace muster {
HeartbeatReceivers::HeartbeatReceivers(const UniqueAddress& self, const FailureDetectorSettings& settings,
                                       RingHash hash)
    : self_(self), ring_(self, settings.monitored_by_nr_of_members, std::move(hash)), detectors_(settings) {}

bool HeartbeatReceivers::add_members(std::span<const UniqueAddress> nodes, Instant now) {
    return ring_.add(nodes) && ring_changed(now);
}

bool HeartbeatReceivers::remove_members(std::span<const UniqueAddress> nodes, Instant now) {
    const bool on_ring = ring_.remove(nodes);
    const bool changed = on_ring && ring_changed(now);
    bool dropped = false;
    for (const UniqueAddress& node : nodes) {
        detectors_.remove(node);
        dropped = sorted_erase(old_unreachable_, node) || dropped;
    }
    return (dropped && unite()) || changed;
}

bool HeartbeatReceivers::unreachable_members(std::span<const UniqueAddress> nodes, Instant now) {
    return ring_.set_unreachable(nodes) && ring_changed(now);
}

bool HeartbeatReceivers::reachable_members(std::span<const UniqueAddress> nodes, Instant now) {
    return ring_.set_reachable(nodes) && ring_changed(now);
}

bool HeartbeatReceivers::ring_changed(Instant now) {
    std::vector<UniqueAddress> next = ring_.receivers(self_);
    if (next == receivers_) return false;
    for (const UniqueAddress& pushed_out : receivers_) {
        if (sorted_contains(next, pushed_out)) continue;
        if (detectors_.is_available(pushed_out, now))
            detectors_.remove(pushed_out);
        else
            sorted_insert(old_unreachable_, pushed_out);
    }
    receivers_ = std::move(next);
    return unite();
}

bool HeartbeatReceivers::unite() {
    std::vector<UniqueAddress> both;
    std::set_union(receivers_.begin(), receivers_.end(), old_unreachable_.begin(), old_unreachable_.end(),
                   std::back_inserter(both));
    if (both == active_) return false;
    active_ = std::move(both);
    return true;
}

std::optional<HeartbeatRecorded> HeartbeatReceivers::on_reply(const UniqueAddress& from, Instant now) {
    if (!is_active(from)) return std::nullopt;
    const HeartbeatRecorded recorded = detectors_.heartbeat(from, now);
    if (sorted_erase(old_unreachable_, from)) {
        if (!sorted_contains(receivers_, from)) detectors_.remove(from);
        unite();
    }
    return recorded;
}

bool HeartbeatReceivers::is_active(const UniqueAddress& node) const noexcept {
    return sorted_contains(active_, node);
}

} // namespace muster
