// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/compat/heartbeat_sender.hpp>

#include <algorithm>
#include <muster/ensure.hpp>

namespace muster {
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
