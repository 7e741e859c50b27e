// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <thread>

namespace muster::net::test {

namespace {

using Timers = RuntimeSuite;
using Posts = RuntimeSuite;

INSTANTIATE_TEST_SUITE_P(Net, Timers, ::testing::ValuesIn(backends()), backend_name);
INSTANTIATE_TEST_SUITE_P(Net, Posts, ::testing::ValuesIn(real_backends()), backend_name);

} // namespace

TEST_P(Timers, FireInTheOrderOfTheirTimesThenOfScheduling) {
    std::vector<int> order;
    const Instant start = runtime().monotonic_now() + 5ms;
    auto note = [&](int i) { return [&order, i] { order.push_back(i); }; };
    runtime().schedule(start + 2ms, note(4));
    runtime().schedule(start, note(1));
    runtime().schedule(start, note(2));
    runtime().schedule(start + 1ms, note(3));
    runtime().schedule(start + 3ms, [&] { stage().stop(); });
    EXPECT_TRUE(order.empty()); // never from inside schedule()
    stage().run();
    EXPECT_EQ(order, (std::vector{1, 2, 3, 4}));
}

TEST_P(Timers, NeverFireEarly) {
    for (const Duration delay : {Duration(1), Duration(200us), Duration(1300us), Duration(7ms)}) {
        const Instant when = runtime().monotonic_now() + delay;
        Instant fired{};
        runtime().schedule(when, [&] {
            fired = runtime().monotonic_now();
            stage().stop();
        });
        stage().run();
        EXPECT_GE(fired, when);
    }
}

TEST_P(Timers, OneInThePastFiresSoon) {
    bool fired = false;
    runtime().schedule(runtime().monotonic_now() - 1h, [&] {
        fired = true;
        stage().stop();
    });
    EXPECT_FALSE(fired);
    stage().run();
    EXPECT_TRUE(fired);
}

TEST_P(Timers, ACancelledOneIsDestroyedUnrun) {
    auto token = std::make_shared<int>(1);
    bool fired = false;
    const Instant now = runtime().monotonic_now();
    const TimerId id = runtime().schedule(now + 1ms, [&fired, token] { fired = true; });
    EXPECT_EQ(token.use_count(), 2);
    EXPECT_TRUE(runtime().cancel(id));
    EXPECT_EQ(token.use_count(), 1);
    EXPECT_FALSE(runtime().cancel(id));
    EXPECT_FALSE(runtime().cancel(TimerId::None));
    runtime().schedule(now + 3ms, [&] { stage().stop(); });
    stage().run();
    EXPECT_FALSE(fired);
}

TEST_P(Timers, AFiredOneCannotBeCancelledAnyMore) {
    TimerId id{};
    bool cancelled = true;
    id = runtime().schedule(runtime().monotonic_now(), [&] {
        cancelled = runtime().cancel(id);
        stage().stop();
    });
    stage().run();
    EXPECT_FALSE(cancelled);
}

TEST_P(Timers, AnEarlierOneSetLaterFiresFirst) {
    auto body = [&]() -> Task<void> {
        const Instant start = runtime().monotonic_now();
        bool late = false;
        const TimerId far = runtime().schedule(start + 30s, [&] { late = true; });
        auto slept = co_await runtime().sleep_for(2ms);
        EXPECT_TRUE(slept.has_value());
        EXPECT_FALSE(late);
        EXPECT_TRUE(runtime().cancel(far));
    };
    run(body());
}

TEST_P(Timers, SleepingTakesAtLeastThatLong) {
    auto body = [&]() -> Task<void> {
        const Instant start = runtime().monotonic_now();
        auto slept = co_await runtime().sleep_for(3ms);
        EXPECT_TRUE(slept.has_value());
        EXPECT_GE(runtime().monotonic_now() - start, 3ms);
        slept = co_await runtime().sleep_until(start);
        EXPECT_TRUE(slept.has_value());
        slept = co_await runtime().sleep_for(-1s);
        EXPECT_TRUE(slept.has_value());
    };
    run(body());
}

TEST_P(Timers, PostRunsInOrderAndNeverInside) {
    std::vector<int> order;
    runtime().post([&] {
        runtime().post([&] {
            order.push_back(2);
            stage().stop();
        });
        order.push_back(1);
        EXPECT_TRUE(runtime().in_runtime_thread());
    });
    EXPECT_TRUE(order.empty());
    EXPECT_FALSE(runtime().in_runtime_thread());
    stage().run();
    EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST_P(Timers, TheRuntimeCanBeRunAgainAfterStop) {
    for (int round = 0; round < 3; ++round) {
        bool ran = false;
        runtime().post([&] {
            ran = true;
            stage().stop();
        });
        stage().run();
        EXPECT_TRUE(ran);
    }
}

TEST_P(Timers, AnyAsioTokenWorksOnTheExecutor) {
    bool ran = false;
    boost::asio::co_spawn(
        runtime().executor(),
        [](Runtime& r, bool& done) -> Task<void> {
            co_await r.sleep_for(1ms);
            done = true;
        }(runtime(), ran),
        [&](std::exception_ptr e) {
            EXPECT_FALSE(e);
            stage().stop();
        });
    stage().run();
    EXPECT_TRUE(ran);
}

TEST_P(Timers, EntropyDoesNotRepeat) {
    std::array<std::byte, 300> first{}, second{};
    runtime().fill_entropy(first);
    runtime().fill_entropy(second);
    EXPECT_NE(first, second);
    EXPECT_NE(first, (std::array<std::byte, 300>{}));
}

TEST_P(Posts, FromManyThreadsKeepTheOrderOfEach) {
    constexpr int threads = 4, each = 5000;
    std::array<int, threads> next{};
    int total = 0;
    bool ordered = true;
    std::vector<std::thread> posters;
    for (int t = 0; t < threads; ++t) {
        posters.emplace_back([&, t] {
            for (int i = 0; i < each; ++i) {
                runtime().post([&, t, i] {
                    ordered = ordered && next[static_cast<std::size_t>(t)]++ == i;
                    if (++total == threads * each) stage().stop();
                });
            }
        });
    }
    stage().run();
    for (auto& poster : posters) poster.join();
    EXPECT_EQ(total, threads * each);
    EXPECT_TRUE(ordered);
}

TEST_P(Posts, WakeASleepingLoop) {
    // Each round sleeps without a timer and must be woken by the other thread.
    std::atomic<int> seen{0};
    std::thread poster([&] {
        for (int i = 0; i < 200; ++i) {
            runtime().post([&] { ++seen; });
            while (seen.load() <= i) std::this_thread::yield();
        }
        runtime().post([&] { stage().stop(); });
    });
    stage().run();
    poster.join();
    EXPECT_EQ(seen.load(), 200);
}

TEST_P(Posts, WhatTheRuntimeDidNotRunIsDestroyedWithIt) {
    auto token = std::make_shared<int>(1);
    runtime().post([token] { FAIL(); });
    std::thread([&] { runtime().post([token] { FAIL(); }); }).join();
    runtime().schedule(runtime().monotonic_now(), [token] { FAIL(); });
    EXPECT_EQ(token.use_count(), 4);
    stage().destroy();
    EXPECT_EQ(token.use_count(), 1);
}

TEST_P(Posts, TheRuntimesOwnThreadHasItsName) {
    if (GetParam().name == "IoContext") return; // the user's thread runs it
    runtime().start_thread();
    std::atomic<bool> ran{false};
    runtime().post([&] { ran = true; });
    while (!ran.load()) std::this_thread::yield();
    EXPECT_EQ(count_threads("muster-loop"), 1U);
    EXPECT_FALSE(runtime().in_runtime_thread());
    stage().destroy();
    EXPECT_EQ(count_threads("muster-loop"), 0U);
}

} // namespace muster::net::test
