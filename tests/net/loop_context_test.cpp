// SPDX-License-Identifier: Apache-2.0
#include "net/loop_context.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>

namespace muster::net {
namespace {
namespace asio = boost::asio;
using namespace std::chrono_literals;

/// A loop on virtual time whose wait jumps to the deadline, or blocks for wake() when there is none.
class TestLoop final : public LoopContext {
public:
    ~TestLoop() override { close(); }
    Instant now() const noexcept override { return now_; }
    int wakes() const { return wakes_; }
    int sleeps = 0;
    using LoopContext::awake;
    using LoopContext::prepare_sleep;

protected:
    void poll(Instant deadline) override {
        if (deadline <= now_) return;
        if (deadline != Instant::max()) {
            now_ = deadline;
            return;
        }
        if (!prepare_sleep()) return;
        ++sleeps;
        std::unique_lock lock(mutex_);
        condition_.wait(lock, [this] { return std::exchange(woken_, false); });
        lock.unlock();
        awake();
    }
    void wake() noexcept override {
        const std::lock_guard lock(mutex_);
        ++wakes_;
        woken_ = true;
        condition_.notify_one();
    }

private:
    Instant now_{};
    std::mutex mutex_;
    std::condition_variable condition_;
    bool woken_ = false;
    int wakes_ = 0;
};

static_assert(asio::execution::is_executor<LoopExecutor>::value);
static_assert(std::is_constructible_v<asio::any_io_executor, LoopExecutor>);

TEST(TimerHeap, EqualDeadlinesComeOutInTheOrderTheyWentIn) {
    TimerHeap heap;
    std::vector<int> order;
    std::vector<TimerId> ids;
    for (int i = 0; i < 100; ++i) {
        ids.push_back(heap.put(Instant{1s}, [&order, i] { order.push_back(i); }));
    }
    for (int i = 0; i < 100; i += 3) EXPECT_TRUE(heap.cancel(ids[static_cast<std::size_t>(i)]));
    while (auto due = heap.take_any()) due->action();
    std::vector<int> expected;
    for (int i = 0; i < 100; ++i) {
        if (i % 3 != 0) expected.push_back(i);
    }
    EXPECT_EQ(order, expected);
}

TEST(TimerHeap, AgreesWithASortedMapUnderRandomPutsAndCancels) {
    std::mt19937_64 random(7);
    TimerHeap heap;
    std::map<std::pair<std::int64_t, int>, TimerId> model;
    std::vector<int> fired;
    for (int i = 0; i < 20'000; ++i) {
        const std::uint64_t roll = random();
        if (roll % 8 < 4 || model.empty()) {
            const auto when = static_cast<std::int64_t>(random() % 500);
            model[{when, i}] = heap.put(Instant{Duration{when}}, [&fired, i] { fired.push_back(i); });
        } else if (roll % 8 < 6) {
            auto victim = model.lower_bound({static_cast<std::int64_t>(random() % 500), 0});
            if (victim == model.end()) victim = model.begin();
            EXPECT_TRUE(heap.cancel(victim->second));
            EXPECT_FALSE(heap.cancel(victim->second)) << "a cancelled id must stay dead";
            model.erase(victim);
        } else {
            auto due = heap.take_any();
            ASSERT_TRUE(due);
            due->action();
            ASSERT_EQ(fired.back(), model.begin()->first.second);
            ASSERT_EQ(due->when.time_since_epoch().count(), model.begin()->first.first);
            model.erase(model.begin());
        }
        ASSERT_EQ(heap.size(), model.size());
        const Instant next = model.empty() ? Instant::max() : Instant{Duration{model.begin()->first.first}};
        ASSERT_EQ(heap.next(), next);
    }
}

TEST(TimerHeap, NeverReusesAnId) {
    TimerHeap heap;
    const TimerId first = heap.put(Instant{1s}, [] {});
    EXPECT_TRUE(heap.take_any());
    const TimerId second = heap.put(Instant{1s}, [] {});
    EXPECT_NE(first, second);
    EXPECT_FALSE(heap.cancel(first));
    EXPECT_TRUE(heap.cancel(second));
    EXPECT_FALSE(heap.cancel(TimerId::None));
}

TEST(LoopContext, RunsTimersInOrderOfTimeAndThenOfScheduling) {
    TestLoop loop;
    std::string order;
    loop.schedule(Instant{2s}, [&] { order += 'c'; });
    loop.schedule(Instant{1s}, [&] { order += 'a'; });
    loop.schedule(Instant{1s}, [&] { order += 'b'; });
    loop.schedule(Instant{3s}, [&] { order += 'd'; });
    loop.run_until(Instant{2s}, LoopContext::AtLimit::Quiesce);
    EXPECT_EQ(order, "abc");
    EXPECT_EQ(loop.now(), Instant{2s});
}

TEST(LoopContext, ATimerThatRearmsAtTheSameTimeDoesNotHoldTheLoop) {
    TestLoop loop;
    int fired = 0;
    bool posted_ran = false;
    std::function<void()> rearm = [&] {
        if (++fired == 1) loop.post([&] { posted_ran = true; });
        if (fired == 10) {
            EXPECT_TRUE(posted_ran);
            loop.stop();
        }
        loop.schedule(loop.now(), rearm);
    };
    loop.schedule(Instant{}, rearm);
    loop.run();
    EXPECT_EQ(fired, 10);
}

TEST(LoopContext, CancelDestroysTheActionWithoutCallingIt) {
    TestLoop loop;
    auto token = std::make_shared<int>(1);
    bool called = false;
    const TimerId id = loop.schedule(Instant{1s}, [token, &called] { called = true; });
    EXPECT_TRUE(loop.cancel_timer(id));
    EXPECT_EQ(token.use_count(), 1);
    EXPECT_FALSE(loop.cancel_timer(id));
    loop.run_until(Instant{2s});
    EXPECT_FALSE(called);
}

TEST(LoopContext, PostNeverRunsInsideAndDispatchDoesOnTheLoop) {
    TestLoop loop;
    std::string order;
    loop.post([&] {
        asio::post(loop.get_executor(), [&] { order += 'p'; });
        asio::dispatch(loop.get_executor(), [&] { order += 'd'; });
        order += '.';
        const asio::any_io_executor any = loop.get_executor();
        any.execute([&] { order += 'e'; });
        asio::prefer(any, asio::execution::blocking.never).execute([&] { order += 'n'; });
        order += '.';
    });
    EXPECT_EQ(order, "");
    loop.run_until(Instant{});
    EXPECT_EQ(order, "d.e.pn");
}

TEST(LoopContext, ExecutorsCompareByLoopAndProperties) {
    TestLoop one, two;
    const auto e = one.get_executor();
    EXPECT_EQ(e, one.get_executor());
    EXPECT_NE(e, two.get_executor());
    EXPECT_NE(e, asio::require(e, asio::execution::blocking.never));
    EXPECT_EQ(e, asio::require(asio::require(e, asio::execution::blocking.never),
                               asio::execution::blocking.possibly));
    EXPECT_EQ(&asio::query(asio::any_io_executor(e), asio::execution::context), &one);
}

TEST(LoopContext, KeepsTheOrderOfPostsPerThreadAndLosesNone) {
    TestLoop loop;
    constexpr int threads = 4, posts = 20'000;
    std::vector<int> next(threads, 0);
    int total = 0;
    std::vector<std::jthread> posters;
    for (int t = 0; t < threads; ++t) {
        posters.emplace_back([&loop, &next, &total, t] {
            for (int i = 0; i < posts; ++i) {
                loop.post([&loop, &next, &total, t, i] {
                    EXPECT_EQ(next[static_cast<std::size_t>(t)]++, i);
                    if (++total == threads * posts) loop.stop();
                });
            }
        });
    }
    loop.run();
    EXPECT_EQ(total, threads * posts);
}

TEST(LoopContext, WakesOnlyALoopThatMaySleepAndOncePerBurst) {
    TestLoop loop;
    ASSERT_TRUE(loop.prepare_sleep());
    loop.post([] {});
    loop.post([] {});
    loop.post([] {});
    EXPECT_EQ(loop.wakes(), 1);
    loop.awake();
    EXPECT_FALSE(loop.prepare_sleep()) << "a full inbox forbids to sleep";
    loop.run_until(Instant{});
    loop.post([] {});
    EXPECT_EQ(loop.wakes(), 1) << "nobody sleeps";
}

TEST(LoopContext, StopFromAnotherThreadEndsAWait) {
    TestLoop loop;
    std::jthread stopper([&] { loop.stop(); });
    loop.run();
    stopper.join();
    bool ran = false;
    loop.post([&] {
        ran = true;
        loop.stop();
    });
    loop.run();
    EXPECT_TRUE(ran) << "run() may be called again";
}

TEST(LoopContext, AnExceptionLeavesRunAndTheLoopGoesOn) {
    TestLoop loop;
    bool after = false;
    loop.post([&] { asio::dispatch(loop.get_executor(), [] { throw std::runtime_error("mine"); }); });
    loop.post([&] { after = true; });
    EXPECT_THROW(loop.run_until(Instant{}), std::runtime_error);
    EXPECT_FALSE(after);
    loop.run_until(Instant{});
    EXPECT_TRUE(after);
}

asio::awaitable<void> chain(int depth, int& sum) {
    if (depth > 0) {
        co_await asio::post(co_await asio::this_coro::executor, asio::deferred);
        co_await chain(depth - 1, sum);
    }
    ++sum;
}

TEST(LoopContext, RunsCoroutinesAndAwaitableOperators) {
    using namespace asio::experimental::awaitable_operators;
    TestLoop loop;
    int sum = 0;
    auto both = [&]() -> asio::awaitable<void> { co_await (chain(10, sum) && chain(20, sum)); };
    asio::co_spawn(loop.get_executor(), both, asio::detached);
    loop.run_until(Instant{}, LoopContext::AtLimit::Quiesce);
    EXPECT_EQ(sum, 32);
}

/// Queues work while it is destroyed, as a dying coroutine does.
struct Nested {
    TestLoop* loop;
    std::shared_ptr<int> token;
    int depth;
    Nested(TestLoop* l, std::shared_ptr<int> t, int d) : loop(l), token(std::move(t)), depth(d) {}
    Nested(Nested&& o) noexcept
        : loop(std::exchange(o.loop, nullptr)), token(std::move(o.token)), depth(o.depth) {}
    ~Nested() {
        if (loop && depth > 0) loop->post(Nested(loop, token, depth - 1));
    }
    void operator()() { ADD_FAILURE() << "nothing runs while the loop is destroyed"; }
};

TEST(LoopContext, DestructionDestroysWhatWaitsAndWhatThatQueues) {
    auto token = std::make_shared<int>(1);
    {
        TestLoop loop;
        auto suspended = []([[maybe_unused]] std::shared_ptr<int> held) -> asio::awaitable<void> {
            for (;;) co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        };
        asio::co_spawn(loop.get_executor(), suspended(token), asio::detached);
        loop.run_until(Instant{});
        loop.post(Nested(&loop, token, 5));
        std::jthread([&] { loop.post(Nested(&loop, token, 2)); }).join();
        loop.schedule(Instant{1s}, Nested(&loop, token, 3));
        EXPECT_GT(token.use_count(), 4);
    }
    EXPECT_EQ(token.use_count(), 1);
}

} // namespace
} // namespace muster::net
