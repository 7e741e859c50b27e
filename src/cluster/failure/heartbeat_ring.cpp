// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/failure/heartbeat_ring.hpp>

#include "base/sorted_vector.hpp"
#include <algorithm>
#include <muster/ensure.hpp>

namespace muster {
std::int32_t ring_hash(const UniqueAddress& node) noexcept {
    const auto uid = static_cast<std::uint64_t>(node.uid().value);
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(uid ^ (uid >> 32)));
}

HeartbeatRing::HeartbeatRing(const UniqueAddress& self, std::size_t monitored_by, RingHash hash)
    : hash_(std::move(hash)), monitored_by_(monitored_by) {
    MUSTER_ENSURE(monitored_by_ > 0, "failure-detector.monitored-by-nr-of-members must be > 0");
    add(self);
}

bool HeartbeatRing::add(std::span<const UniqueAddress> nodes) {
    std::vector<Place> fresh;
    for (const UniqueAddress& node : nodes) {
        Place place = place_of(node);
        if (!std::binary_search(ring_.begin(), ring_.end(), place)) fresh.push_back(std::move(place));
    }
    if (fresh.empty()) return false;
    fresh = sorted_unique(std::move(fresh));
    const auto known = static_cast<std::ptrdiff_t>(ring_.size());
    ring_.insert(ring_.end(), std::make_move_iterator(fresh.begin()), std::make_move_iterator(fresh.end()));
    std::inplace_merge(ring_.begin(), ring_.begin() + known, ring_.end());
    return true;
}

bool HeartbeatRing::remove(std::span<const UniqueAddress> nodes) {
    const std::vector<UniqueAddress> gone = sorted_unique(std::vector(nodes.begin(), nodes.end()));
    const auto is_gone = [&](const UniqueAddress& node) { return sorted_contains(gone, node); };
    const auto were_unreachable = std::erase_if(unreachable_, is_gone);
    const auto left_ring = std::erase_if(ring_, [&](const Place& place) { return is_gone(place.node); });
    return left_ring + were_unreachable != 0;
}

bool HeartbeatRing::set_unreachable(std::span<const UniqueAddress> nodes) {
    const std::vector<UniqueAddress> fresh = sorted_unique(std::vector(nodes.begin(), nodes.end()));
    std::vector<UniqueAddress> both;
    std::set_union(unreachable_.begin(), unreachable_.end(), fresh.begin(), fresh.end(),
                   std::back_inserter(both));
    const bool changed = both.size() != unreachable_.size();
    unreachable_ = std::move(both);
    return changed;
}

bool HeartbeatRing::set_reachable(std::span<const UniqueAddress> nodes) {
    const std::vector<UniqueAddress> back = sorted_unique(std::vector(nodes.begin(), nodes.end()));
    return std::erase_if(unreachable_,
                         [&](const UniqueAddress& node) { return sorted_contains(back, node); }) != 0;
}

bool HeartbeatRing::contains(const UniqueAddress& node) const noexcept {
    return std::binary_search(ring_.begin(), ring_.end(), place_of(node));
}
bool HeartbeatRing::is_unreachable(const UniqueAddress& node) const noexcept {
    return sorted_contains(unreachable_, node);
}

std::vector<UniqueAddress> HeartbeatRing::receivers(const UniqueAddress& sender) const {
    const Place place = place_of(sender);
    const auto self = std::lower_bound(ring_.begin(), ring_.end(), place);
    const bool on_ring = self != ring_.end() && *self == place;
    const std::size_t others = ring_.size() - (on_ring ? 1 : 0);
    const bool everybody = monitored_by_ >= others;

    std::vector<UniqueAddress> collected;
    std::size_t reachable = 0;
    const std::size_t first = static_cast<std::size_t>(self - ring_.begin()) + (on_ring ? 1 : 0);
    for (std::size_t step = 0; step < others; ++step) {
        const UniqueAddress& node = ring_[(first + step) % ring_.size()].node;
        if (everybody) {
            collected.push_back(node);
        } else if (!is_unreachable(node)) {
            collected.push_back(node);
            if (++reachable == monitored_by_) break;
        } else if (collected.size() < monitored_by_) {
            collected.push_back(node);
        }
    }
    std::sort(collected.begin(), collected.end());
    return collected;
}

std::vector<UniqueAddress> HeartbeatRing::monitors(const UniqueAddress& subject) const {
    const Place place = place_of(subject);
    const auto at = std::lower_bound(ring_.begin(), ring_.end(), place);
    if (at == ring_.end() || *at != place) return {};
    const auto index = static_cast<std::size_t>(at - ring_.begin());
    std::vector<UniqueAddress> found;
    // A sender further back passes every node that a nearer one passes before the subject, and more: so the
    // first sender that does not reach the subject ends the search.
    for (std::size_t step = 1; step < ring_.size(); ++step) {
        const UniqueAddress& sender = ring_[(index + ring_.size() - step) % ring_.size()].node;
        if (!sorted_contains(receivers(sender), subject)) break;
        found.push_back(sender);
    }
    std::sort(found.begin(), found.end());
    return found;
}

} // namespace muster
