// SPDX-License-Identifier: Apache-2.0
// Subscribers that are slow, throw, or leave from other threads while membership publishes (protocol.md
// §14.2).
#include "../cluster/sample.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <gtest/gtest.h>
#include <latch>
#include <muster/node/event_bus.hpp>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace muster {
namespace {

constexpr int changes = 400;

/// A thread that runs what it is given, in order; it ends after what is left.
class Worker {
public:
    ~Worker() {
        {
            const std::lock_guard lock{mutex_};
            ending_ = true;
        }
        wake_.notify_one();
    }
    ClusterEventBus::Executor executor() {
        return [this](std::function<void()> work) {
            {
                const std::lock_guard lock{mutex_};
                queue_.push_back(std::move(work));
            }
            wake_.notify_one();
        };
    }

private:
    void run() {
        while (true) {
            std::function<void()> next;
            {
                std::unique_lock lock{mutex_};
                wake_.wait(lock, [&] { return ending_ || !queue_.empty(); });
                if (queue_.empty()) return;
                next = std::move(queue_.front());
                queue_.pop_front();
            }
            next();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> queue_;
    bool ending_ = false;
    std::jthread thread_{[this] { run(); }}; // last: it uses the others
};

/// The up number of the only member goes from 1 to `changes`.
void publish_changes(ClusterEventBus& bus) {
    std::shared_ptr<const MembershipState> last;
    for (int i = 1; i <= changes; ++i) {
        auto next = std::make_shared<const MembershipState>(
            sample::state("a", sample::gossip({sample::member("a", MemberStatus::Up, i)})));
        auto events = diff_events(last.get(), next.get());
        last = next;
        bus.publish(std::move(next), std::move(events));
    }
}

ClusterEventBus bus_with_short_queues(std::atomic<int>& failures) {
    ClusterEventBus::Options options;
    options.queue_max = 4;
    options.on_failure = [&failures](std::exception_ptr) { ++failures; };
    return ClusterEventBus(std::move(options));
}

TEST(EventBusThreads, ASubscriberThatBlocksForEverHoldsUpNobodyAndLearnsTheOutcome) {
    std::atomic<int> failures = 0;
    ClusterEventBus bus = bus_with_short_queues(failures);
    Worker slow;
    std::latch published{1};
    std::vector<int> seen_slowly; // on the worker's thread, read after it has ended
    std::vector<int> seen_at_once;
    auto slow_handle =
        bus.subscribe({.categories = EventCategory::Member,
                       .on_event =
                           [&](const ClusterEvent& e) {
                               published.wait(); // as slow as can be: until everything has happened
                               seen_slowly.push_back(member_of(e)->up_number());
                           },
                       .on_snapshot = {},
                       .initial = {},
                       .executor = slow.executor()});
    auto quick_handle = bus.subscribe(EventCategory::Member, [&](const ClusterEvent& e) {
        seen_at_once.push_back(member_of(e)->up_number());
    });
    publish_changes(bus); // returns although the other one has not even finished its first event
    published.count_down();
    EXPECT_EQ(seen_at_once.size(), static_cast<std::size_t>(changes));
    EXPECT_GT(bus.counters().folded, 0U);
    std::latch drained{1}; // behind everything that waits there
    slow.executor()([&] { drained.count_down(); });
    drained.wait();
    slow_handle.unsubscribe();
    ASSERT_FALSE(seen_slowly.empty());
    EXPECT_TRUE(std::ranges::is_sorted(seen_slowly));
    EXPECT_EQ(seen_slowly.back(), changes);
    EXPECT_EQ(failures, 0);
}

TEST(EventBusThreads, ThrowingAndLeavingSubscribersDisturbNobody) {
    std::atomic<int> failures = 0;
    ClusterEventBus bus = bus_with_short_queues(failures);
    std::atomic<bool> done = false;
    std::atomic<int> wrong = 0;
    std::atomic<int> came_and_went = 0;
    int seen_in_order = 0;
    Worker elsewhere;
    auto thrower = bus.subscribe(EventCategory::Member, [](const ClusterEvent&) {
        throw std::runtime_error("a subscriber's own trouble");
    });
    auto witness = bus.subscribe(EventCategory::Member, [&](const ClusterEvent& e) {
        if (member_of(e)->up_number() != ++seen_in_order) ++wrong;
    });
    {
        std::vector<std::jthread> others;
        for (int t = 0; t < 3; ++t) {
            others.emplace_back([&, t] {
                while (!done) {
                    // Some throw, some run elsewhere; all leave while events are under way, from this thread.
                    ClusterEventBus::Subscriber subscriber;
                    subscriber.on_event = [&bus, t](const ClusterEvent&) {
                        if (t == 0) throw std::runtime_error("leaving in anger");
                        if (bus.state() == nullptr) return;
                    };
                    subscriber.initial = ClusterEventBus::InitialState::Events;
                    if (t == 1) subscriber.executor = elsewhere.executor();
                    auto handle = bus.subscribe(std::move(subscriber));
                    std::this_thread::yield();
                    handle.unsubscribe(EventCategory::Member);
                    handle.unsubscribe();
                    ++came_and_went;
                }
            });
        }
        publish_changes(bus);
        while (came_and_went < 3) std::this_thread::yield();
        done = true;
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(seen_in_order, changes);
    EXPECT_GE(failures, changes);
    witness.unsubscribe();
    thrower.unsubscribe();
    EXPECT_EQ(bus.subscriber_count(), 0U);
}

} // namespace
} // namespace muster
