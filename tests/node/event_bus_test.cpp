// SPDX-License-Identifier: Apache-2.0
#include "../cluster/sample.hpp"

#include <atomic>
#include <deque>
#include <gtest/gtest.h>
#include <muster/node/event_bus.hpp>
#include <stdexcept>
#include <thread>

namespace muster {
namespace {

using sample::gossip;
using sample::member;
using sample::Names;
using sample::node;
using sample::state;
using enum MemberStatus;

using StatePtr = std::shared_ptr<const MembershipState>;

StatePtr shared(MembershipState s) { return std::make_shared<const MembershipState>(std::move(s)); }

/// What a node does: installs states and publishes the differences.
struct Publisher {
    ClusterEventBus bus;
    StatePtr last;

    explicit Publisher(ClusterEventBus::Options options = {}) : bus(std::move(options)) {}
    void install(std::vector<Member> members) {
        auto next = shared(state("a", gossip(std::move(members))));
        auto events = diff_events(last.get(), next.get());
        last = next;
        bus.publish(std::move(next), std::move(events));
    }
};

auto record(Names& into) {
    return [&into](const ClusterEvent& event) {
        into.emplace_back(name_of(event));
        if (const Member* m = member_of(event)) into.back() += " " + *m->address().host;
    };
}

auto record_snapshot(Names& into) {
    return [&into](const CurrentClusterState& current) {
        into.emplace_back("snapshot");
        for (const Member& m : current.members) into.back() += " " + *m.address().host;
    };
}

/// Runs work when told to, like a busy thread.
struct Manual {
    std::deque<std::function<void()>> work;
    ClusterEventBus::Executor executor() {
        return [this](std::function<void()> f) { work.push_back(std::move(f)); };
    }
    void run() {
        while (!work.empty()) {
            const auto next = std::move(work.front());
            work.pop_front();
            next();
        }
    }
};

TEST(ClusterEventBus, DeliversInOrderUntilTheHandleIsGone) {
    ClusterEventBus bus;
    Names seen;
    {
        const auto handle = bus.subscribe(record(seen));
        bus.publish(MemberJoined{member("b", Joining)});
        bus.publish(MemberUp{member("b")});
    }
    bus.publish(MemberLeft{member("b", Leaving)});
    EXPECT_EQ(seen, (Names{"MemberJoined b", "MemberUp b"}));
    EXPECT_EQ(bus.subscriber_count(), 0U);
}

TEST(ClusterEventBus, AHandleMayOutliveTheBusAndMove) {
    Names seen;
    SubscriptionHandle handle;
    {
        ClusterEventBus bus;
        handle = bus.subscribe(record(seen));
        SubscriptionHandle moved = std::move(handle);
        bus.publish(ClusterShuttingDown{});
        handle = std::move(moved);
    }
    EXPECT_TRUE(handle);
    handle.unsubscribe();
    EXPECT_FALSE(handle);
    EXPECT_EQ(seen, (Names{"ClusterShuttingDown"}));
}

TEST(ClusterEventBus, FiltersByCategory) {
    Publisher p;
    Names members;
    Names leaders;
    const auto m = p.bus.subscribe(EventCategory::Member, record(members));
    const auto l = p.bus.subscribe(EventCategory::Leader | EventCategory::RoleLeader, record(leaders));
    p.install({member("a")});
    EXPECT_EQ(members, (Names{"MemberUp a"}));
    EXPECT_EQ(leaders, (Names{"LeaderChanged", "RoleLeaderChanged"}));
}

TEST(ClusterEventBus, UnsubscribesPerCategoryOrAltogether) {
    ClusterEventBus bus;
    Names seen;
    auto handle = bus.subscribe(EventCategory::Member | EventCategory::Shutdown, record(seen));
    handle.unsubscribe(EventCategory::Member);
    bus.publish(MemberUp{member("b")});
    bus.publish(ClusterShuttingDown{});
    EXPECT_EQ(seen, (Names{"ClusterShuttingDown"}));
    handle.unsubscribe(EventCategory::Shutdown);
    EXPECT_FALSE(handle) << "nothing is left to deliver";
    EXPECT_EQ(bus.subscriber_count(), 0U);
}

TEST(ClusterEventBus, EveryEventHasACategory) {
    EXPECT_EQ(category_of(MemberRemoved{member("a", Down), Up}), EventCategory::Member);
    EXPECT_EQ(category_of(ReachableMember{member("a")}), EventCategory::Reachability);
    EXPECT_EQ(category_of(ReachableDataCenter{"x"}), EventCategory::DataCenter);
    EXPECT_EQ(category_of(LeaderChanged{}), EventCategory::Leader);
    EXPECT_EQ(category_of(RoleLeaderChanged{}), EventCategory::RoleLeader);
    EXPECT_EQ(category_of(Convergence{}), EventCategory::Convergence);
    EXPECT_EQ(category_of(ClusterShuttingDown{}), EventCategory::Shutdown);
    EXPECT_EQ(category_of(MemberTombstonesChanged{}), EventCategory::Tombstones);
    EXPECT_EQ(category_of(SeenChanged{}), EventCategory::Seen);
    EXPECT_EQ(category_of(ReachabilityChanged{}), EventCategory::ReachabilityTable);
}

TEST(ClusterEventBus, AsSnapshotBeginsWithTheCurrentStateThenWhatComes) {
    Publisher p;
    p.install({member("a"), member("b", Joining)});
    Names seen;
    const auto handle = p.bus.subscribe(EventCategory::Member, record_snapshot(seen), record(seen));
    p.install({member("a"), member("b", Up, 2)});
    EXPECT_EQ(seen, (Names{"snapshot a b", "MemberUp b"}));
}

TEST(ClusterEventBus, ASnapshotHoldsEverythingOneCanAsk) {
    const auto rows = sample::unreachable({{"a", "b"}, {"b", "a"}, {"a", "x"}});
    const auto gone = node("z");
    const auto g = gossip({member("a", Up, 1, {"web"}), member("b"), sample::in_dc("x", "west"), member("z")},
                          {"a"}, rows)
                       .remove(std::span{&gone, 1}, WallTime{9});
    const auto current = CurrentClusterState::of(shared(state("a", g)));
    EXPECT_EQ(sample::hosts(current.members), (Names{"a", "b", "x"}));
    EXPECT_EQ(sample::hosts(current.unreachable), (Names{"b"})) << "own data center, without self";
    EXPECT_EQ(sample::hosts(current.seen_by), (Names{"a"}));
    EXPECT_EQ(current.leader, node("a"));
    EXPECT_EQ(current.role_leaders.at("web"), node("a"));
    EXPECT_EQ(current.unreachable_data_centers, (Names{"west"}));
    ASSERT_EQ(current.tombstones.size(), 1U);
    EXPECT_EQ(current.tombstones[0].node, gone);
    EXPECT_TRUE(CurrentClusterState::of(nullptr).members.empty());
}

TEST(ClusterEventBus, AsEventsReplaysTheCurrentStateThenWhatComes) {
    Publisher p;
    p.install({member("a"), member("b", Joining)});
    Names seen;
    const auto handle =
        p.bus.subscribe(EventCategory::Member, record(seen), ClusterEventBus::InitialState::Events);
    p.install({member("a"), member("b", Up, 2)});
    EXPECT_EQ(seen, (Names{"MemberUp a", "MemberJoined b", "MemberUp b"}));
}

TEST(ClusterEventBus, SubscribingInsideACallbackSeesTheStateThatIsBeingPublishedOnce) {
    Publisher p;
    Names inner;
    SubscriptionHandle inner_handle;
    const auto outer = p.bus.subscribe(EventCategory::Member, [&](const ClusterEvent&) {
        if (!inner_handle)
            inner_handle = p.bus.subscribe(EventCategory::Member, record_snapshot(inner), record(inner));
    });
    p.install({member("a"), member("b", Joining)});
    p.install({member("a"), member("b", Up, 2)});
    EXPECT_EQ(inner, (Names{"snapshot a b", "MemberUp b"}));
}

TEST(ClusterEventBus, UnsubscribingInsideACallbackStopsTheEventsThatWait) {
    Publisher p;
    Names seen;
    SubscriptionHandle handle;
    handle = p.bus.subscribe(EventCategory::Member, [&](const ClusterEvent& event) {
        record(seen)(event);
        handle.unsubscribe();
    });
    Names other;
    const auto stays = p.bus.subscribe(EventCategory::Member, record(other));
    p.install({member("a"), member("b")});
    EXPECT_EQ(seen, (Names{"MemberUp a"}));
    EXPECT_EQ(other, (Names{"MemberUp a", "MemberUp b"}));
}

TEST(ClusterEventBus, PublishingInsideACallbackKeepsTheOrderOfEverySubscriber) {
    ClusterEventBus bus;
    Names first;
    Names second;
    const auto a = bus.subscribe([&](const ClusterEvent& event) {
        record(first)(event);
        if (std::holds_alternative<MemberJoined>(event)) bus.publish(MemberUp{member("b")});
    });
    const auto b = bus.subscribe(record(second));
    bus.publish(MemberJoined{member("b", Joining)});
    EXPECT_EQ(first, (Names{"MemberJoined b", "MemberUp b"}));
    EXPECT_EQ(second, first);
}

TEST(ClusterEventBus, AThrowingSubscriberIsCountedAndDisturbsNobody) {
    std::string what;
    ClusterEventBus bus{{.on_failure = [&](std::exception_ptr failure) {
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& e) {
            what = e.what();
        }
    }}};
    Names seen;
    int calls = 0;
    const auto bad = bus.subscribe([&](const ClusterEvent&) {
        ++calls;
        throw std::runtime_error("no luck");
    });
    const auto good = bus.subscribe(record(seen));
    bus.publish(MemberUp{member("b")});
    bus.publish(MemberUp{member("c")});
    EXPECT_EQ(calls, 2) << "it stays subscribed";
    EXPECT_EQ(bus.counters().failures, 2U);
    EXPECT_EQ(bus.counters().delivered, 4U);
    EXPECT_EQ(what, "no luck");
    EXPECT_EQ(seen, (Names{"MemberUp b", "MemberUp c"}));
}

TEST(ClusterEventBus, WithAnExecutorPublishingOnlyQueues) {
    Manual busy;
    Publisher p{{.executor = busy.executor()}};
    Names seen;
    const auto handle = p.bus.subscribe(EventCategory::Member, record(seen));
    p.install({member("a")});
    p.install({member("a"), member("b")});
    EXPECT_TRUE(seen.empty());
    EXPECT_EQ(busy.work.size(), 1U) << "one task serves all that waits";
    busy.run();
    EXPECT_EQ(seen, (Names{"MemberUp a", "MemberUp b"}));
}

TEST(ClusterEventBus, ASlowSubscriberMissesStepsButNotTheOutcomeAndDelaysNobody) {
    Manual busy;
    Publisher p{{.queue_max = 2}};
    Names slow;
    Names fast;
    const auto s = p.bus.subscribe({.categories = EventCategory::Member | EventCategory::Shutdown,
                                    .on_event = record(slow),
                                    .executor = busy.executor()});
    const auto f = p.bus.subscribe(EventCategory::Member, record(fast));
    p.install({member("a"), member("b", Joining)});
    p.install({member("a"), member("b", Up, 2)});
    p.install({member("a"), member("b", Leaving, 2)});
    p.bus.publish(p.last, {ClusterShuttingDown{}});
    p.install({member("a"), member("b", Exiting, 2)});
    EXPECT_EQ(fast.size(), 5U);
    EXPECT_GT(p.bus.counters().folded, 0U);
    busy.run();
    EXPECT_EQ(std::ranges::count(slow, "ClusterShuttingDown"), 1);
    EXPECT_EQ(slow.back(), "MemberExited b");
    EXPECT_LT(slow.size(), 6U);
}

TEST(ClusterEventBus, AFoldedQueueThatBeganWithASnapshotBeginsWithANewerOne) {
    Manual busy;
    Publisher p{{.executor = busy.executor(), .queue_max = 1}};
    p.install({member("a")});
    Names seen;
    const auto handle = p.bus.subscribe(EventCategory::Member, record_snapshot(seen), record(seen));
    p.install({member("a"), member("b")});
    p.install({member("a"), member("b"), member("c")});
    p.install({member("a"), member("b"), member("c"), member("d")});
    busy.run();
    EXPECT_EQ(seen, (Names{"snapshot a b c", "MemberUp d"}));
}

TEST(ClusterEventBus, EventsWithoutAStateAreDroppedOldestFirstWhenTheQueueIsFull) {
    Manual busy;
    ClusterEventBus bus{{.executor = busy.executor(), .queue_max = 2}};
    Names seen;
    const auto handle = bus.subscribe(record(seen));
    for (const char* host : {"b", "c", "d"}) bus.publish(MemberUp{member(host)});
    busy.run();
    EXPECT_EQ(seen, (Names{"MemberUp c", "MemberUp d"}));
    EXPECT_EQ(bus.counters().dropped, 1U);
}

TEST(ClusterEventBus, StatusCallbacksRunOnceAndAtOnceIfItIsSoAlready) {
    Publisher p;
    int up = 0;
    int removed = 0;
    p.bus.on_member_up([&] { ++up; });
    p.bus.on_member_removed([&] { ++removed; });
    p.install({member("a", Joining), member("b", Up, 1)});
    EXPECT_EQ(up, 0) << "only self counts";
    p.install({member("a", Up, 2), member("b", Up, 1)});
    p.install({member("a", Up, 3), member("b", Up, 1)});
    EXPECT_EQ(up, 1);
    p.bus.on_member_up([&] { ++up; });
    EXPECT_EQ(up, 2);
    EXPECT_EQ(removed, 0);
    p.install({member("b", Up, 1)});
    EXPECT_EQ(removed, 1);
    p.bus.on_member_removed([&] { ++removed; });
    EXPECT_EQ(removed, 2);
    p.bus.close();
    EXPECT_EQ(removed, 2);
}

TEST(ClusterEventBus, TheRemovedCallbackAlsoRunsWhenTheServiceStopsFirst) {
    Publisher p;
    int removed = 0;
    p.bus.on_member_removed([&] { ++removed; });
    p.install({member("a")});
    p.bus.close();
    EXPECT_EQ(removed, 1);
    p.bus.on_member_removed([&] { ++removed; });
    EXPECT_EQ(removed, 2);
}

TEST(ClusterEventBus, SubscribersComeAndGoFromOtherThreadsWithoutGapOrDuplicate) {
    ClusterEventBus bus;
    constexpr int changes = 300;
    constexpr int threads = 3;
    std::atomic<bool> done = false;
    std::atomic<int> wrong = 0;
    std::atomic<int> rounds = 0;
    std::vector<std::jthread> readers;
    for (int t = 0; t < threads; ++t) {
        readers.emplace_back([&] {
            while (!done) {
                // The number a subscriber knows is that of the snapshot, then goes up one by one.
                auto known = std::make_shared<std::atomic<int>>(-1);
                auto handle = bus.subscribe(
                    EventCategory::Member,
                    [known](const CurrentClusterState& s) {
                        *known = s.members.empty() ? 0 : s.members[0].up_number();
                    },
                    [known, &wrong](const ClusterEvent& e) {
                        if (member_of(e)->up_number() != ++*known) ++wrong;
                    });
                ++rounds;
                std::this_thread::yield();
            }
        });
    }
    StatePtr last;
    for (int i = 1; i <= changes || rounds < threads; ++i) {
        auto next = shared(state("a", gossip({member("a", Up, i)})));
        auto events = diff_events(last.get(), next.get());
        last = next;
        bus.publish(next, std::move(events));
    }
    done = true;
    readers.clear();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(bus.subscriber_count(), 0U);
}

TEST(ReferenceNames, AClusterEventBusDeliversUntilTheSubscriptionHandleIsGone) {
    ClusterEventBus bus;
    std::vector<std::string> heard;
    {
        const SubscriptionHandle handle =
            bus.subscribe([&](const ClusterEvent& event) { heard.emplace_back(name_of(event)); });
        bus.publish(MemberJoined{member("a")});
        bus.publish(LeaderChanged{std::nullopt, node("a")});
    }
    bus.publish(ClusterShuttingDown{});
    EXPECT_EQ(heard, (std::vector<std::string>{"MemberJoined", "LeaderChanged"}));
}

} // namespace
} // namespace muster
