#include <muster/cluster/failure/heartbeat.hpp>

#include <algorithm>
#include <muster/ensure.hpp>

namespace muster {

namespace {

bool sorted_contains(const std::vector<UniqueAddress>& sorted, const UniqueAddress& node) noexcept {
    return std::binary_search(sorted.begin(), sorted.end(), node);
}

bool sorted_insert(std::vector<UniqueAddress>& sorted, const UniqueAddress& node) {
    const auto place = std::lower_bound(sorted.begin(), sorted.end(), node);
    if (place != sorted.end() && *place == node) return false;
    sorted.insert(place, node);
    return true;
}

bool sorted_erase(std::vector<UniqueAddress>& sorted, const UniqueAddress& node) {
    const auto place = std::lower_bound(sorted.begin(), sorted.end(), node);
    if (place == sorted.end() || *place != node) return false;
    sorted.erase(place);
    return true;
}

std::vector<UniqueAddress> sorted_copy(std::span<const UniqueAddress> nodes) {
    std::vector<UniqueAddress> sorted(nodes.begin(), nodes.end());
    std::sort(sorted.begin(), sorted.end());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    return sorted;
}

} // namespace

std::int32_t ring_hash(const UniqueAddress& node) noexcept {
    const auto uid = static_cast<std::uint64_t>(node.uid().value);
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(uid ^ (uid >> 32)));
}

// --- HeartbeatRing

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
    std::sort(fresh.begin(), fresh.end());
    fresh.erase(std::unique(fresh.begin(), fresh.end()), fresh.end());
    const auto known = static_cast<std::ptrdiff_t>(ring_.size());
    ring_.insert(ring_.end(), std::make_move_iterator(fresh.begin()), std::make_move_iterator(fresh.end()));
    std::inplace_merge(ring_.begin(), ring_.begin() + known, ring_.end());
    return true;
}

bool HeartbeatRing::remove(std::span<const UniqueAddress> nodes) {
    const std::vector<UniqueAddress> gone = sorted_copy(nodes);
    const auto is_gone = [&](const UniqueAddress& node) { return sorted_contains(gone, node); };
    const auto were_unreachable = std::erase_if(unreachable_, is_gone);
    const auto left_ring = std::erase_if(ring_, [&](const Place& place) { return is_gone(place.node); });
    return left_ring + were_unreachable != 0;
}

bool HeartbeatRing::set_unreachable(std::span<const UniqueAddress> nodes) {
    const std::vector<UniqueAddress> fresh = sorted_copy(nodes);
    std::vector<UniqueAddress> both;
    std::set_union(unreachable_.begin(), unreachable_.end(), fresh.begin(), fresh.end(),
                   std::back_inserter(both));
    const bool changed = both.size() != unreachable_.size();
    unreachable_ = std::move(both);
    return changed;
}

bool HeartbeatRing::set_reachable(std::span<const UniqueAddress> nodes) {
    const std::vector<UniqueAddress> back = sorted_copy(nodes);
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
    // Who stands further back meets everybody whom the nearer ones meet before the subject, and more: the
    // first that does not come as far as the subject ends the search.
    for (std::size_t step = 1; step < ring_.size(); ++step) {
        const UniqueAddress& sender = ring_[(index + ring_.size() - step) % ring_.size()].node;
        if (!sorted_contains(receivers(sender), subject)) break;
        found.push_back(sender);
    }
    std::sort(found.begin(), found.end());
    return found;
}

// --- HeartbeatReceivers

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

// --- CrossDcHeartbeats

CrossDcHeartbeats::CrossDcHeartbeats(UniqueAddress self, const MultiDcSettings& settings)
    : self_(std::move(self)), settings_(settings), detectors_(DeadlineFailureDetector(settings)) {
    MUSTER_ENSURE(settings_.cross_dc_connections > 0,
                  "multi-data-center.cross-data-center-connections must be > 0");
}

void CrossDcHeartbeats::update(std::span<const Member> members) {
    const auto is_own = [&](const Member& m) { return m.data_center() == settings_.self_data_center; };
    if (!active_ && std::all_of(members.begin(), members.end(), is_own)) return; // no other one to look at
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
            // Once active it stays so: a monitor that goes dormant would leave its rows to nobody.
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

// --- HeartbeatSender

void HeartbeatSender::add_peer(const UniqueAddress& peer, Duration interval, Instant now) {
    MUSTER_ENSURE(interval > Duration{0}, "a heartbeat interval is positive");
    const auto [place, added] = peers_.try_emplace(peer, PeerHeartbeat{peer, interval, now, 0});
    if (!added) place->second.interval = interval;
}

bool HeartbeatSender::remove_peer(const UniqueAddress& peer) { return peers_.erase(peer) != 0; }

std::vector<UniqueAddress> HeartbeatSender::due_peers(Instant now) const {
    std::vector<UniqueAddress> due;
    for (const auto& [peer, heartbeat] : peers_)
        if (heartbeat.next_due <= now) due.push_back(peer);
    return due;
}

void HeartbeatSender::record_tick(const UniqueAddress& peer, Instant now) {
    const auto found = peers_.find(peer);
    if (found == peers_.end()) return;
    ++found->second.ticks;
    found->second.next_due = now + found->second.interval;
}

std::map<UniqueAddress, std::uint64_t> HeartbeatSender::ticks_per_peer() const {
    std::map<UniqueAddress, std::uint64_t> ticks;
    for (const auto& [peer, heartbeat] : peers_) ticks.emplace(peer, heartbeat.ticks);
    return ticks;
}

const PeerHeartbeat* HeartbeatSender::find(const UniqueAddress& peer) const noexcept {
    const auto found = peers_.find(peer);
    return found == peers_.end() ? nullptr : &found->second;
}

} // namespace muster
