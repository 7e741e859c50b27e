#pragma once
/// Who heartbeats whom, and what came back (protocol.md §12, §13): pure values that are told events, replies
/// and ticks. HeartbeatMonitor is what a node's core owns; the classes before it are its parts.
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <muster/cluster/failure/failure_detector_registry.hpp>
#include <muster/cluster/failure/phi_accrual.hpp>
#include <muster/cluster/protocol/effects.hpp>
#include <muster/cluster/state/membership.hpp>
#include <optional>
#include <span>
#include <vector>

namespace muster {

/// Places a node on the heartbeat ring. Must be the same function on all nodes.
using RingHash = std::function<std::int32_t(const UniqueAddress&)>;
/// The default: the 32-bit fold of the uid, int32(uid ^ (uid >>> 32)). Random per incarnation, so physical
/// neighbours are spread.
std::int32_t ring_hash(const UniqueAddress& node) noexcept;

/// The ring of one data center's members, ordered by hash, then by UniqueAddress (protocol.md §12.2). Each
/// node heartbeats its next reachable successors, so every member has several monitors and nobody has many
/// peers.
class HeartbeatRing {
public:
    /// `self` is on the ring from the start. `monitored_by` > 0.
    HeartbeatRing(const UniqueAddress& self, std::size_t monitored_by, RingHash hash = ring_hash);

    /// Each takes any number of nodes, as one by one a whole cluster would cost its square. false when
    /// nothing changed.
    bool add(std::span<const UniqueAddress> nodes);
    bool remove(std::span<const UniqueAddress> nodes);
    bool set_unreachable(std::span<const UniqueAddress> nodes);
    bool set_reachable(std::span<const UniqueAddress> nodes);
    bool add(const UniqueAddress& node) { return add(std::span(&node, 1)); }
    bool remove(const UniqueAddress& node) { return remove(std::span(&node, 1)); }
    bool set_unreachable(const UniqueAddress& node) { return set_unreachable(std::span(&node, 1)); }
    bool set_reachable(const UniqueAddress& node) { return set_reachable(std::span(&node, 1)); }

    bool contains(const UniqueAddress& node) const noexcept;
    bool is_unreachable(const UniqueAddress& node) const noexcept;
    std::size_t size() const noexcept { return ring_.size(); }

    /// Whom `sender` (on the ring) heartbeats: with few members everybody else; otherwise successors until
    /// `monitored_by` reachable ones are found. Unreachable ones on the way come along without counting while
    /// the collection is small, so that after mass crashes somebody still monitors every dead node and the
    /// leader can remove it. In UniqueAddress order.
    std::vector<UniqueAddress> receivers(const UniqueAddress& sender) const;
    /// Whose receivers `subject` is among, in UniqueAddress order. Costs what there are, not the ring.
    std::vector<UniqueAddress> monitors(const UniqueAddress& subject) const;

private:
    struct Place {
        std::int32_t hash;
        UniqueAddress node;
        friend auto operator<=>(const Place&, const Place&) = default;
    };
    Place place_of(const UniqueAddress& node) const { return {hash_(node), node}; }

    RingHash hash_;
    std::size_t monitored_by_;
    std::vector<Place> ring_;                // sorted
    std::vector<UniqueAddress> unreachable_; // sorted
};

/// Per-peer phi accrual detectors with the defaults of protocol.md §12.5: threshold 8, 1000 samples, minimum
/// standard deviation 100 ms, acceptable pause 3 s, first estimate 1 s.
class HeartbeatState : public FailureDetectorRegistry<PhiAccrualFailureDetector> {
public:
    explicit HeartbeatState(const FailureDetectorSettings& settings = {})
        : FailureDetectorRegistry(PhiAccrualFailureDetector(settings)) {}

    /// 0 for a node it does not know.
    double phi(const UniqueAddress& peer, Instant now) const noexcept {
        const PhiAccrualFailureDetector* detector = find(peer);
        return detector != nullptr ? detector->phi(now) : 0.0;
    }
};

/// The receivers of this node's heartbeats across ring changes (protocol.md §12.3): those of the ring, and
/// those that the ring no longer asks for but that were unavailable when it moved. These are heartbeated
/// until they answer or are removed, or their accusation could never be taken back.
class HeartbeatReceivers {
public:
    HeartbeatReceivers(const UniqueAddress& self, const FailureDetectorSettings& settings,
                       RingHash hash = ring_hash);

    /// Own data center only; adding a member again changes nothing. Each answers whether active() changed.
    bool add_members(std::span<const UniqueAddress> nodes, Instant now);
    bool remove_members(std::span<const UniqueAddress> nodes, Instant now);
    /// As UnreachableMember / ReachableMember say.
    bool unreachable_members(std::span<const UniqueAddress> nodes, Instant now);
    bool reachable_members(std::span<const UniqueAddress> nodes, Instant now);
    bool add_member(const UniqueAddress& node, Instant now) { return add_members(std::span(&node, 1), now); }
    bool remove_member(const UniqueAddress& node, Instant now) {
        return remove_members(std::span(&node, 1), now);
    }
    bool unreachable_member(const UniqueAddress& node, Instant now) {
        return unreachable_members(std::span(&node, 1), now);
    }
    bool reachable_member(const UniqueAddress& node, Instant now) {
        return reachable_members(std::span(&node, 1), now);
    }

    /// A response. nullopt: not from an active receiver, so ignored.
    std::optional<HeartbeatRecorded> on_reply(const UniqueAddress& from, Instant now);

    /// In UniqueAddress order.
    const std::vector<UniqueAddress>& active() const noexcept { return active_; }
    bool is_active(const UniqueAddress& node) const noexcept;
    const std::vector<UniqueAddress>& ring_receivers() const noexcept { return receivers_; }
    const std::vector<UniqueAddress>& old_receivers_now_unreachable() const noexcept {
        return old_unreachable_;
    }
    const HeartbeatRing& ring() const noexcept { return ring_; }
    HeartbeatState& detectors() noexcept { return detectors_; }
    const HeartbeatState& detectors() const noexcept { return detectors_; }

private:
    bool ring_changed(Instant now);
    bool unite();

    UniqueAddress self_;
    HeartbeatRing ring_;
    HeartbeatState detectors_;
    std::vector<UniqueAddress> receivers_;       // of the ring; sorted, like the next two
    std::vector<UniqueAddress> old_unreachable_; //
    std::vector<UniqueAddress> active_;          // the union
};

/// Heartbeats between data centers (protocol.md §13): the n oldest of each monitor the n oldest of every
/// other.
class CrossDcHeartbeats {
public:
    CrossDcHeartbeats(UniqueAddress self, const MultiDcSettings& settings);

    /// Tells all current members after any member event. Detectors of receivers that are no longer such are
    /// forgotten.
    void update(std::span<const Member> members);
    /// A response. nullopt: not from a receiver, so ignored.
    std::optional<HeartbeatRecorded> on_reply(const UniqueAddress& from, Instant now);

    /// Self was among the n oldest of its data center while there was another one. Stays so once it is.
    bool is_active() const noexcept { return active_; }
    /// In UniqueAddress order; empty while dormant.
    const std::vector<UniqueAddress>& receivers() const noexcept { return receivers_; }
    bool is_receiver(const UniqueAddress& node) const noexcept;
    FailureDetectorRegistry<DeadlineFailureDetector>& detectors() noexcept { return detectors_; }
    const FailureDetectorRegistry<DeadlineFailureDetector>& detectors() const noexcept { return detectors_; }

private:
    UniqueAddress self_;
    MultiDcSettings settings_;
    bool active_ = false;
    std::vector<UniqueAddress> receivers_;
    FailureDetectorRegistry<DeadlineFailureDetector> detectors_;
};

/// One peer of a HeartbeatSender.
struct PeerHeartbeat {
    UniqueAddress peer;
    Duration interval{};
    Instant next_due{};
    std::uint64_t ticks = 0; ///< heartbeats sent
};

/// When which peer is due for a heartbeat. Fixed delay: a late tick is not made up for by a burst, which
/// would distort the statistics at the other end.
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

    /// What was just published: `events` the diff that led to `state`.
    void on_published(const MembershipState& state, std::span<const ClusterEvent> events, const Now& now);
    /// Sends one heartbeat to every active receiver of the own data center, all with one sequence number.
    void tick(const Now& now, Effects& out);
    /// The same between data centers.
    void tick_cross_dc(const Now& now, Effects& out);
    void on_reply(const HeartbeatReply& reply, const Now& now, Effects& out);
    /// Ignores other timers' keys.
    void on_timer(TimerKey key, const Now& now);

    /// Sets up a detector that heard `node` at `last`, of the data center it belongs to (a restored core,
    /// tests).
    void restore(const UniqueAddress& node, bool cross_dc, Instant last);

    /// Forgets the detectors of every incarnation of an address, in both registries.
    void forget(const Address& address);
    /// By the registry of the member's data center. A node not monitored is available.
    bool is_available(const Member& member, Instant now) const noexcept;
    /// Monitored and unavailable, of both registries, in UniqueAddress order: what a reaper may newly accuse.
    std::vector<UniqueAddress> unavailable(Instant now) const;
    bool is_monitoring(const UniqueAddress& node) const noexcept;

    /// protocol.md §12.7, for nodes this one monitors (is_active); others are ignored.
    void mark_dead(const UniqueAddress& node);
    /// Takes mark_dead() back: its heartbeats alone judge it again.
    void unmark_dead(const UniqueAddress& node) noexcept;
    void on_handshake(const UniqueAddress& node, Instant now);
    bool is_active(const UniqueAddress& node) const noexcept;

    /// How a peer looks, for status and metrics.
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
    /// How late the last tick was, beyond its interval; 0 when in time.
    Duration last_tick_lateness() const noexcept { return lateness_; }

    const HeartbeatReceivers& own() const noexcept { return own_; }
    const CrossDcHeartbeats& cross_dc() const noexcept { return cross_; }
    const HeartbeatSender& sender() const noexcept { return sender_; }

private:
    enum class Change : std::uint8_t { Present, Removed, Unreachable, Reachable };
    static Change change_of(const ClusterEvent& event) noexcept;
    void apply(Change change, std::vector<UniqueAddress>& nodes, Instant now);
    void send_all(std::span<const UniqueAddress> receivers, bool cross_dc, const Now& now, Effects& out);
    void note_lateness(Instant now, Effects& out);
    /// Drops what is remembered about peers that are no longer active.
    void follow_active(Instant now);

    UniqueAddress self_;
    std::string self_data_center_;
    FailureDetectorSettings settings_;
    MultiDcSettings multi_dc_;
    HeartbeatReceivers own_;
    CrossDcHeartbeats cross_;
    HeartbeatSender sender_;
    bool started_ = false;
    std::int64_t sequence_nr_ = 0;
    std::int64_t cross_sequence_nr_ = 0;
    std::optional<Instant> last_tick_;
    Duration lateness_{};
    std::map<std::uint64_t, UniqueAddress> expecting_; // first heartbeats, by timer number
    std::map<UniqueAddress, Duration> round_trips_;    // of active receivers
};

} // namespace muster
