// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The heartbeats of one node, sent and answered (protocol.md §12, §13): a value that takes events, replies
/// and ticks.
#include <cstdint>
#include <map>
#include <muster/cluster/failure/cross_dc_heartbeats.hpp>
#include <muster/cluster/failure/heartbeat_receivers.hpp>
#include <muster/cluster/protocol/effects.hpp>
#include <muster/cluster/state/membership.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

/// Log codes and counters of HeartbeatMonitor.
namespace heartbeat_code {
inline constexpr std::string_view starved = "cluster.heartbeat.starved";
inline constexpr std::string_view interval_growing = "cluster.heartbeat.interval_growing";
inline constexpr std::string_view reply_ignored = "cluster.heartbeat.reply_ignored";
inline constexpr std::string_view sent = "cluster.heartbeat.sent";
inline constexpr std::string_view received = "cluster.heartbeat.received";
} // namespace heartbeat_code

/// All of a node's heartbeating, owned by its core. Wiring:
/// - every published diff goes into on_published(), from Welcome (or self-join) on;
/// - tick_heartbeat / tick_cross_dc_heartbeat call tick / tick_cross_dc; before the first on_published() they
/// do
///   nothing, as heartbeating must not start before Welcome;
/// - timers ExpectFirstHeartbeat and ExpectFirstCrossDcHeartbeat go into on_timer();
/// - HeartbeatReply goes into on_reply(); a Heartbeat is answered by the core itself, whatever its state;
/// - a new member or a Join calls forget() with its address;
/// - the reaper asks is_available() (or unavailable(), which costs what is monitored).
/// One thread, like the core.
class HeartbeatMonitor {
public:
    HeartbeatMonitor(UniqueAddress self, const ClusterSettings& settings, RingHash hash = ring_hash);

    /// Takes what was just published: `events` is the diff that led to `state`.
    void on_published(const MembershipState& state, std::span<const ClusterEvent> events, const Now& now);
    /// Sends one heartbeat to every active receiver of the own data center, all with one sequence number.
    void tick(const Now& now, Effects& out);
    /// The same for receivers in other data centers.
    void tick_cross_dc(const Now& now, Effects& out);
    void on_reply(const HeartbeatReply& reply, const Now& now, Effects& out);
    /// Ignores other timers' keys.
    void on_timer(TimerKey key, const Now& now);

    /// Sets up a detector that heard `node` at `last`, in the registry of its data center (a restored core,
    /// tests).
    void restore(const UniqueAddress& node, bool cross_dc, Instant last);

    /// Forgets the detectors of every incarnation of an address, in both registries.
    void forget(const Address& address);
    /// Asks the registry of the member's data center. A node that is not monitored is available.
    bool is_available(const Member& member, Instant now) const noexcept;
    /// The monitored nodes that are unavailable, of both registries, in UniqueAddress order: those that a
    /// reaper may newly accuse.
    std::vector<UniqueAddress> unavailable(Instant now) const;
    bool is_monitoring(const UniqueAddress& node) const noexcept;

    /// protocol.md §12.7, for nodes this one monitors (is_active); others are ignored.
    void mark_dead(const UniqueAddress& node);
    /// Undoes mark_dead(): heartbeats alone judge the node again.
    void unmark_dead(const UniqueAddress& node) noexcept;
    void on_handshake(const UniqueAddress& node, Instant now);
    bool is_active(const UniqueAddress& node) const noexcept;

    /// The view of one peer, for status and metrics.
    struct PeerHealth {
        UniqueAddress node;
        bool cross_dc = false;
        bool available = true;
        double phi = 0.0; ///< own data center only
        std::optional<Duration> since_last;
        std::optional<Duration> round_trip; ///< of the last response
    };
    /// Every active receiver, in UniqueAddress order (own data center first).
    std::vector<PeerHealth> peers(Instant now) const;
    std::int64_t sequence_nr() const noexcept { return sequence_nr_; }
    /// How late the last tick was, beyond its interval; 0 when on time.
    Duration last_tick_lateness() const noexcept { return lateness_; }

    const HeartbeatReceivers& own() const noexcept { return own_; }
    const CrossDcHeartbeats& cross_dc() const noexcept { return cross_; }

private:
    enum class Change : std::uint8_t { Present, Removed, Unreachable, Reachable };
    static Change change_of(const ClusterEvent& event) noexcept;
    void apply(Change change, std::vector<UniqueAddress>& nodes, Instant now);
    void send_all(std::span<const UniqueAddress> receivers, bool cross_dc, const Now& now, Effects& out);
    void note_lateness(Instant now, Effects& out);
    /// Forgets the data of peers that are no longer active.
    void follow_active();

    UniqueAddress self_;
    std::string self_data_center_;
    FailureDetectorSettings settings_;
    MultiDcSettings multi_dc_;
    HeartbeatReceivers own_;
    CrossDcHeartbeats cross_;
    bool started_ = false;
    std::int64_t sequence_nr_ = 0;
    std::int64_t cross_sequence_nr_ = 0;
    std::optional<Instant> last_tick_;
    Duration lateness_{};
    std::map<std::uint64_t, UniqueAddress> expecting_; // first heartbeats, by timer number
    std::map<UniqueAddress, Duration> round_trips_;    // of active receivers
};

} // namespace muster
