// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Which peer is due for a heartbeat (protocol.md §12.1).
#include <cstdint>
#include <map>
#include <muster/address.hpp>
#include <muster/time.hpp>
#include <vector>

namespace muster {

/// One peer of a HeartbeatSender.
struct PeerHeartbeat {
    UniqueAddress peer;
    Duration interval{};
    Instant next_due{};
    std::uint64_t ticks = 0; ///< heartbeats sent
};

/// Says when each peer is due for a heartbeat. Fixed delay: a late tick causes no burst, which would distort
/// the receiver's statistics.
class HeartbeatSender {
public:
    /// A new peer is due at once. A known one keeps its ticks and takes the interval (> 0).
    void add_peer(const UniqueAddress& peer, Duration interval, Instant now);
    /// false when unknown.
    bool remove_peer(const UniqueAddress& peer);
    /// In UniqueAddress order.
    std::vector<UniqueAddress> due_peers(Instant now) const;
    /// A heartbeat was sent: the peer is due again one interval after `now`. Unknown peers are ignored.
    void record_tick(const UniqueAddress& peer, Instant now);
    std::map<UniqueAddress, std::uint64_t> ticks_per_peer() const;
    const PeerHeartbeat* find(const UniqueAddress& peer) const noexcept;
    std::size_t peer_count() const noexcept { return peers_.size(); }

private:
    std::map<UniqueAddress, PeerHeartbeat> peers_;
};

} // namespace muster
