// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Delivers cluster events to subscribers (protocol.md §14.2).
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <muster/cluster/state/events.hpp>
#include <muster/cluster/state/membership.hpp>
#include <optional>
#include <string>
#include <vector>

namespace muster {

/// Kinds of events, combined with `|`.
enum class EventCategory : std::uint32_t {
    None = 0,
    Member = 1U << 0,            ///< MemberJoined .. MemberRemoved
    Reachability = 1U << 1,      ///< UnreachableMember, ReachableMember
    DataCenter = 1U << 2,        ///< UnreachableDataCenter, ReachableDataCenter
    Leader = 1U << 3,            ///< LeaderChanged
    RoleLeader = 1U << 4,        ///< RoleLeaderChanged
    Convergence = 1U << 5,       ///< Convergence
    Shutdown = 1U << 6,          ///< ClusterShuttingDown
    Domain = (1U << 7) - 1,      ///< all of the above: what applications want
    Tombstones = 1U << 7,        ///< MemberTombstonesChanged
    Seen = 1U << 8,              ///< SeenChanged
    ReachabilityTable = 1U << 9, ///< ReachabilityChanged
    All = (1U << 10) - 1,
};
constexpr EventCategory operator|(EventCategory a, EventCategory b) noexcept {
    return EventCategory{static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b)};
}
constexpr EventCategory operator&(EventCategory a, EventCategory b) noexcept {
    return EventCategory{static_cast<std::uint32_t>(a) & static_cast<std::uint32_t>(b)};
}
constexpr EventCategory operator~(EventCategory a) noexcept {
    return EventCategory{~static_cast<std::uint32_t>(a)} & EventCategory::All;
}
EventCategory category_of(const ClusterEvent& event) noexcept;

/// The first message of a subscription as snapshot.
struct CurrentClusterState {
    std::shared_ptr<const MembershipState> state; ///< the source of everything below; never null
    std::vector<Member> members;
    std::vector<Member> unreachable; ///< own data center's, without self
    std::vector<UniqueAddress> seen_by;
    std::optional<UniqueAddress> leader;
    std::map<std::string, std::optional<UniqueAddress>, std::less<>> role_leaders;
    std::vector<std::string> unreachable_data_centers;
    std::vector<Tombstone> tombstones;

    static CurrentClusterState of(std::shared_ptr<const MembershipState> state);
};

/// Ends a subscription when it is destroyed. Movable. After its destructor no callback begins; one that
/// another thread is running may still be running. The destructor never blocks, and may run inside the
/// callback itself and after the bus is gone.
class SubscriptionHandle {
public:
    SubscriptionHandle() noexcept = default;
    ~SubscriptionHandle() { unsubscribe(); }
    SubscriptionHandle(SubscriptionHandle&& other) noexcept : subscription_(std::move(other.subscription_)) {}
    SubscriptionHandle& operator=(SubscriptionHandle&& other) noexcept;

    void unsubscribe() noexcept;
    /// Ends the subscription for these categories only.
    void unsubscribe(EventCategory categories) noexcept;
    /// Keeps the subscription for as long as the bus lives.
    void detach() noexcept { subscription_.reset(); }
    explicit operator bool() const noexcept { return subscription_ != nullptr; }

private:
    friend class ClusterEventBus;
    struct Subscription;
    explicit SubscriptionHandle(std::shared_ptr<Subscription> s) noexcept : subscription_(std::move(s)) {}
    std::shared_ptr<Subscription> subscription_;
};

/// Publishes events to subscribers, to each one in order and one at a time. A handle: copies share one bus.
/// Every function may be called from any thread and from inside callbacks.
///
/// Callbacks run where the subscriber's executor puts them: without one on the thread that publishes or
/// subscribes, before that call returns (inside a callback of the same subscriber: right after it). With one,
/// publishing only queues. A queue that is full is folded: its events are replaced by the difference between
/// the state the subscriber knows and the newest one, so a slow subscriber misses intermediate states but
/// never the final one, and never delays the others.
class ClusterEventBus {
public:
    using EventCallback = std::function<void(const ClusterEvent&)>;
    using SnapshotCallback = std::function<void(const CurrentClusterState&)>;
    /// Runs the given function once, soon; several may run concurrently.
    using Executor = std::function<void(std::function<void()>)>;

    struct Options {
        /// For subscribers without an executor; absent: inline.
        Executor executor;
        /// Publications that may wait per subscriber, at least 1, before they are folded into one.
        std::size_t queue_max = 1024;
        /// Called with what a subscriber threw. Must not throw.
        std::function<void(std::exception_ptr)> on_failure;
    };

    enum class InitialState : std::uint8_t {
        None,   ///< only what comes
        Events, ///< as if everything had just happened: the diff from the empty state
    };
    struct Subscriber {
        EventCategory categories = EventCategory::Domain;
        EventCallback on_event;
        /// If set, called first with the current state; `initial` does not matter then.
        SnapshotCallback on_snapshot;
        InitialState initial = InitialState::None;
        Executor executor; ///< absent: the bus's
    };

    /// Counts so far, summed over all subscribers.
    struct Counters {
        std::uint64_t delivered{}; ///< events and snapshots
        std::uint64_t failures{};  ///< callbacks that threw
        std::uint64_t folded{};    ///< full queues that were folded
        std::uint64_t dropped{};   ///< publications without a state that a full queue lost
    };

    ClusterEventBus();
    explicit ClusterEventBus(Options options);

    /// One event without a state (the reference's form: reference.md).
    void publish(const ClusterEvent& event);
    /// Publishes the events that led to `state`, in order (§14.1).
    void publish(std::shared_ptr<const MembershipState> state, std::vector<ClusterEvent> events);

    /// All events from now on (the reference's form).
    [[nodiscard]] SubscriptionHandle subscribe(EventCallback on_event);
    [[nodiscard]] SubscriptionHandle subscribe(EventCategory categories, EventCallback on_event,
                                               InitialState initial = InitialState::None);
    /// With a snapshot: the current state, then later events, without gap or duplicate between them.
    [[nodiscard]] SubscriptionHandle subscribe(EventCategory categories, SnapshotCallback on_snapshot,
                                               EventCallback on_event);
    [[nodiscard]] SubscriptionHandle subscribe(Subscriber subscriber);

    /// Calls back once, when self becomes Up; at once if it is.
    void on_member_up(std::function<void()> callback);
    /// Calls back once, when self was removed or the service stopped; at once if that has happened.
    void on_member_removed(std::function<void()> callback);
    /// Tells the bus that the service has stopped: runs the callbacks that still wait for the removal of
    /// self. Idempotent.
    void close();

    /// The last published state, null before the first.
    std::shared_ptr<const MembershipState> state() const;
    std::size_t subscriber_count() const;
    Counters counters() const;

private:
    friend class SubscriptionHandle;
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

} // namespace muster
