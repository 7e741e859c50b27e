// SPDX-License-Identifier: Apache-2.0
#include <muster/node/event_bus.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <muster/ensure.hpp>
#include <mutex>
#include <span>
#include <utility>

namespace muster {
namespace {

using StatePtr = std::shared_ptr<const MembershipState>;
using Callbacks = std::vector<std::function<void()>>;

/// One queued delivery to a subscriber. The expensive kinds are built on delivery.
struct Delivery {
    enum class Kind : std::uint8_t {
        Events,   ///< `events`
        Snapshot, ///< CurrentClusterState of `state`
        Diff,     ///< the difference from `from` to `state`
    };
    Kind kind{};
    std::shared_ptr<const std::vector<ClusterEvent>> events;
    StatePtr from;
    StatePtr state; ///< what the subscriber knows afterwards; null: as before
    bool shutting_down = false;
};

template <class Event>
bool contains(std::span<const ClusterEvent> events) noexcept {
    return std::ranges::any_of(events, [](const auto& e) { return std::holds_alternative<Event>(e); });
}

/// Whether one of the events is an Event of the member `self`.
template <class Event>
bool happened_to(const UniqueAddress& self, std::span<const ClusterEvent> events) noexcept {
    return std::ranges::any_of(events, [&](const ClusterEvent& e) {
        const auto* event = std::get_if<Event>(&e);
        return event != nullptr && event->member.unique_address() == self;
    });
}

/// In the order of ClusterEvent.
constexpr auto categories_of_events = [] {
    using enum EventCategory;
    return std::array<EventCategory, std::variant_size_v<ClusterEvent>>{
        Member,     Member,      Member,       Member,       Member,     Member,           Member,
        Member,     Member,      Reachability, Reachability, DataCenter, DataCenter,       Leader,
        RoleLeader, Convergence, Shutdown,     Tombstones,   Seen,       ReachabilityTable};
}();

} // namespace

EventCategory category_of(const ClusterEvent& event) noexcept {
    return event.valueless_by_exception() ? EventCategory::None : categories_of_events[event.index()];
}

CurrentClusterState CurrentClusterState::of(std::shared_ptr<const MembershipState> state) {
    if (state == nullptr) state = std::make_shared<const MembershipState>();
    CurrentClusterState current;
    const Gossip& gossip = state->latest();
    current.members.assign(gossip.members().begin(), gossip.members().end());
    for (const auto& node : state->dc_reach_no_outside().all_unreachable_or_terminated()) {
        const Member* member = gossip.find(node);
        if (member != nullptr && node != state->self) current.unreachable.push_back(*member);
    }
    current.seen_by = gossip.seen_nodes();
    current.leader = state->leader();
    current.role_leaders = state->role_leaders();
    current.unreachable_data_centers = state->unreachable_data_centers();
    current.tombstones.assign(gossip.tombstones().begin(), gossip.tombstones().end());
    current.state = std::move(state);
    return current;
}

struct SubscriptionHandle::Subscription {
    ClusterEventBus::Subscriber callbacks;
    std::atomic<EventCategory> categories{EventCategory::None};
    std::weak_ptr<ClusterEventBus::Impl> bus;

    // Guarded by the bus's mutex.
    std::deque<Delivery> queue;
    StatePtr known; ///< the state after everything taken from the queue
    bool draining = false;

    bool active() const noexcept { return categories.load() != EventCategory::None; }
};

struct ClusterEventBus::Impl : std::enable_shared_from_this<Impl> {
    using Subscription = SubscriptionHandle::Subscription;
    using SubscriptionPtr = std::shared_ptr<Subscription>;

    explicit Impl(Options given) : options(std::move(given)) {
        MUSTER_ENSURE(options.queue_max > 0, "a queue holds at least one publication");
    }

    void publish(StatePtr next, std::vector<ClusterEvent> list) {
        const auto events = std::make_shared<const std::vector<ClusterEvent>>(std::move(list));
        const bool shutting_down = contains<ClusterShuttingDown>(*events);
        std::vector<SubscriptionPtr> ready;
        Callbacks status_callbacks;
        {
            const std::lock_guard lock{mutex};
            if (next != nullptr) state = next;
            if (state != nullptr) status_callbacks = take_status_callbacks(state->self, *events);
            for (const auto& s : subscriptions) {
                enqueue(*s, {Delivery::Kind::Events, events, nullptr, next, shutting_down});
                if (!std::exchange(s->draining, true)) ready.push_back(s);
            }
        }
        for (const auto& s : ready) start(s);
        for (auto& callback : status_callbacks) run_once(std::move(callback));
    }

    SubscriptionPtr subscribe(Subscriber subscriber) {
        MUSTER_ENSURE(subscriber.on_event != nullptr, "a subscriber has a callback for events");
        const auto s = std::make_shared<Subscription>();
        s->categories = subscriber.categories;
        s->callbacks = std::move(subscriber);
        s->bus = weak_from_this();
        bool ready = false;
        {
            const std::lock_guard lock{mutex};
            // The current state is taken and the subscription begins in one step: no gap and no duplicate
            // between the two.
            s->known = state;
            if (s->callbacks.on_snapshot != nullptr) {
                s->queue.push_back({Delivery::Kind::Snapshot, nullptr, nullptr, state});
            } else if (s->callbacks.initial == InitialState::Events && state != nullptr) {
                s->known = nullptr;
                s->queue.push_back({Delivery::Kind::Diff, nullptr, nullptr, state});
            }
            ready = s->draining = !s->queue.empty();
            subscriptions.push_back(s);
        }
        if (ready) start(s);
        return s;
    }

    void remove(const Subscription& gone) {
        const std::lock_guard lock{mutex};
        std::erase_if(subscriptions, [&](const auto& s) { return s.get() == &gone; });
    }

    /// The status callbacks that these events release, with the mutex held.
    Callbacks take_status_callbacks(const UniqueAddress& self, std::span<const ClusterEvent> events) {
        Callbacks released;
        if (happened_to<MemberUp>(self, events)) released = std::exchange(waiting_for_up, {});
        if (happened_to<MemberRemoved>(self, events)) {
            removed = true;
            std::ranges::move(std::exchange(waiting_for_removal, {}), std::back_inserter(released));
        }
        return released;
    }

    void close() {
        Callbacks released;
        {
            const std::lock_guard lock{mutex};
            removed = true;
            released = std::exchange(waiting_for_removal, {});
        }
        for (auto& callback : released) run_once(std::move(callback));
    }

    /// With the mutex held.
    void enqueue(Subscription& s, Delivery delivery) {
        if (s.queue.size() >= options.queue_max) fold(s);
        s.queue.push_back(std::move(delivery));
    }

    /// Makes room in a full queue, with the mutex held.
    void fold(Subscription& s) {
        Delivery folded{Delivery::Kind::Diff, nullptr, s.known, s.known};
        for (const Delivery& waiting : s.queue) {
            if (waiting.kind == Delivery::Kind::Events && waiting.state == nullptr) {
                // Events without a state cannot be recomputed, so the oldest publication is lost.
                s.queue.pop_front();
                ++counters.dropped;
                return;
            }
            // An undelivered snapshot becomes one of the newest state.
            if (waiting.kind == Delivery::Kind::Snapshot) folded.kind = Delivery::Kind::Snapshot;
            folded.state = waiting.state;
            folded.shutting_down = folded.shutting_down || waiting.shutting_down;
        }
        s.queue.clear();
        s.queue.push_back(std::move(folded));
        ++counters.folded;
    }

    void start(const SubscriptionPtr& s) {
        const Executor& executor = s->callbacks.executor ? s->callbacks.executor : options.executor;
        if (!executor) return drain(s);
        executor([self = shared_from_this(), s] { self->drain(s); });
    }

    /// Delivers the queue of `s`. Only one drain of a subscriber runs at a time, so its events keep their
    /// order.
    void drain(const SubscriptionPtr& s) {
        while (true) {
            Delivery next;
            {
                const std::lock_guard lock{mutex};
                if (!s->active()) s->queue.clear();
                if (s->queue.empty()) {
                    s->draining = false;
                    return;
                }
                next = std::move(s->queue.front());
                s->queue.pop_front();
                if (next.state != nullptr) s->known = next.state;
            }
            deliver(*s, next);
        }
    }

    void deliver(Subscription& s, const Delivery& next) {
        if (next.kind == Delivery::Kind::Events) return deliver_events(s, *next.events);
        if (next.kind == Delivery::Kind::Snapshot)
            call(s, [&] { s.callbacks.on_snapshot(CurrentClusterState::of(next.state)); });
        if (next.shutting_down) deliver_events(s, std::array{ClusterEvent{ClusterShuttingDown{}}});
        if (next.kind == Delivery::Kind::Diff && next.state != nullptr)
            deliver_events(s, diff_events(next.from.get(), next.state.get()));
    }

    void deliver_events(Subscription& s, std::span<const ClusterEvent> events) {
        for (const ClusterEvent& event : events) {
            // Checked before every event: a callback may have unsubscribed.
            if ((s.categories.load() & category_of(event)) == EventCategory::None) continue;
            call(s, [&] { s.callbacks.on_event(event); });
        }
    }

    template <class Callback>
    void call(const Subscription& s, Callback&& callback) {
        if (!s.active()) return;
        ++counters.delivered;
        guarded(callback);
    }

    void run_once(std::function<void()> callback) {
        if (!options.executor) return guarded(callback);
        options.executor(
            [self = shared_from_this(), callback = std::move(callback)] { self->guarded(callback); });
    }

    template <class Callback>
    void guarded(Callback&& callback) {
        try {
            callback();
        } catch (...) {
            ++counters.failures;
            if (options.on_failure) options.on_failure(std::current_exception());
        }
    }

    const Options options;
    mutable std::mutex mutex;
    std::vector<SubscriptionPtr> subscriptions; ///< in the order of subscribing
    StatePtr state;
    bool removed = false; ///< self was removed, or the service stopped
    Callbacks waiting_for_up;
    Callbacks waiting_for_removal;
    struct {
        std::atomic<std::uint64_t> delivered{};
        std::atomic<std::uint64_t> failures{};
        std::atomic<std::uint64_t> folded{};
        std::atomic<std::uint64_t> dropped{};
    } counters;
};

SubscriptionHandle& SubscriptionHandle::operator=(SubscriptionHandle&& other) noexcept {
    if (this != &other) {
        unsubscribe();
        subscription_ = std::move(other.subscription_);
    }
    return *this;
}

void SubscriptionHandle::unsubscribe() noexcept { unsubscribe(EventCategory::All); }

void SubscriptionHandle::unsubscribe(EventCategory categories) noexcept {
    if (subscription_ == nullptr) return;
    auto now = subscription_->categories.load();
    while (!subscription_->categories.compare_exchange_weak(now, now & ~categories)) {
    }
    if (subscription_->active()) return;
    const auto ended = std::exchange(subscription_, nullptr);
    if (const auto bus = ended->bus.lock()) bus->remove(*ended);
}

ClusterEventBus::ClusterEventBus() : ClusterEventBus(Options{}) {}

ClusterEventBus::ClusterEventBus(Options options) : impl_(std::make_shared<Impl>(std::move(options))) {}

void ClusterEventBus::publish(const ClusterEvent& event) { impl_->publish(nullptr, {event}); }

void ClusterEventBus::publish(std::shared_ptr<const MembershipState> state,
                              std::vector<ClusterEvent> events) {
    impl_->publish(std::move(state), std::move(events));
}

SubscriptionHandle ClusterEventBus::subscribe(EventCallback on_event) {
    return subscribe(EventCategory::All, std::move(on_event));
}

SubscriptionHandle ClusterEventBus::subscribe(EventCategory categories, EventCallback on_event,
                                              InitialState initial) {
    return subscribe(Subscriber{categories, std::move(on_event), {}, initial, {}});
}

SubscriptionHandle ClusterEventBus::subscribe(EventCategory categories, SnapshotCallback on_snapshot,
                                              EventCallback on_event) {
    return subscribe(Subscriber{categories, std::move(on_event), std::move(on_snapshot), {}, {}});
}

SubscriptionHandle ClusterEventBus::subscribe(Subscriber subscriber) {
    return SubscriptionHandle{impl_->subscribe(std::move(subscriber))};
}

void ClusterEventBus::on_member_up(std::function<void()> callback) {
    {
        const std::lock_guard lock{impl_->mutex};
        if (impl_->state == nullptr || impl_->state->self_status() != MemberStatus::Up) {
            impl_->waiting_for_up.push_back(std::move(callback));
            return;
        }
    }
    impl_->run_once(std::move(callback));
}

void ClusterEventBus::on_member_removed(std::function<void()> callback) {
    {
        const std::lock_guard lock{impl_->mutex};
        if (!impl_->removed) {
            impl_->waiting_for_removal.push_back(std::move(callback));
            return;
        }
    }
    impl_->run_once(std::move(callback));
}

void ClusterEventBus::close() { impl_->close(); }

std::shared_ptr<const MembershipState> ClusterEventBus::state() const {
    const std::lock_guard lock{impl_->mutex};
    return impl_->state;
}

std::size_t ClusterEventBus::subscriber_count() const {
    const std::lock_guard lock{impl_->mutex};
    return impl_->subscriptions.size();
}

ClusterEventBus::Counters ClusterEventBus::counters() const {
    const auto& c = impl_->counters;
    return {c.delivered.load(), c.failures.load(), c.folded.load(), c.dropped.load()};
}

} // namespace muster
