// SPDX-License-Identifier: Apache-2.0
// What other threads may do with the epoll Runtime, under ThreadSanitizer.
#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <muster/net/asio_runtime.hpp>
#include <muster/net/task_group.hpp>
#include <mutex>
#include <semaphore>
#include <thread>
#include <vector>

namespace muster::net {

namespace {

using namespace std::chrono_literals;

constexpr int posters = 4;
constexpr int posts_each = 3000;

/// Posts from many threads while the loop runs on one more.
void post_from_everywhere(Runtime& runtime, const std::function<void()>& run_until_stopped,
                          const std::function<void()>& stop) {
    std::array<int, posters> next{};
    int total = 0;
    std::thread loop(run_until_stopped);
    std::vector<std::thread> threads;
    for (int t = 0; t < posters; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < posts_each; ++i) {
                runtime.post([&, t, i] {
                    EXPECT_EQ(next[static_cast<std::size_t>(t)]++, i);
                    ++total;
                });
                if (i % 100 == 0) static_cast<void>(runtime.monotonic_now());
            }
        });
    }
    for (auto& thread : threads) thread.join();
    runtime.post([&] { stop(); });
    loop.join();
    EXPECT_EQ(total, posters * posts_each);
}

} // namespace

TEST(NetThreads, PostFromManyToALoopOfItsOwn) {
    auto runtime = make_asio_runtime().value();
    post_from_everywhere(
        *runtime, [&] { runtime->run(); }, [&] { runtime->stop(); });
}

TEST(NetThreads, PostFromManyToAUsersContext) {
    boost::asio::io_context context;
    auto runtime = make_asio_runtime(context).value();
    post_from_everywhere(
        *runtime, [&] { context.run(); }, [&] { context.stop(); });
}

TEST(NetThreads, StopComesFromAnyThread) {
    auto runtime = make_asio_runtime().value();
    std::counting_semaphore<> returned{0};
    for (int round = 0; round < 200; ++round) {
        std::thread loop([&] {
            runtime->run();
            returned.release();
        });
        std::thread first([&] { runtime->stop(); });
        first.join();
        const bool in_time = returned.try_acquire_for(60s);
        EXPECT_TRUE(in_time) << "run() goes on, round " << round;
        if (!in_time) runtime->post([&] { runtime->stop(); }); // or the thread could not be joined
        loop.join();
    }
}

TEST(NetThreads, TheDestructorStopsTheRuntimesThread) {
    for (int round = 0; round < 50; ++round) {
        auto runtime = make_asio_runtime().value();
        runtime->start_thread();
        std::atomic<int> ran{0};
        const auto posted = std::make_shared<int>();
        std::thread poster([&] {
            for (int i = 0; i < 100; ++i) runtime->post([&ran, posted] { ++ran; });
        });
        poster.join();
        runtime.reset();
        EXPECT_LE(ran.load(), 100) << "none twice";
        EXPECT_EQ(posted.use_count(), 1) << "what did not run is destroyed";
    }
}

TEST(NetThreads, SlicesAreReleasedOnOtherThreads) {
    constexpr std::size_t bytes = 8U << 20;
    auto runtime = make_asio_runtime().value();
    std::mutex mutex;
    std::vector<Slice> handed;
    bool finished = false;
    std::size_t looked_at = 0;
    std::thread consumer([&] {
        for (bool more = true; more;) {
            std::vector<Slice> taken;
            {
                const std::lock_guard lock(mutex);
                taken.swap(handed);
                more = !finished || !taken.empty();
            }
            for (const Slice& slice : taken) {
                for (const std::byte b : slice.bytes()) looked_at += b == std::byte{'x'} ? 1 : 0;
            }
        }
    });
    TaskGroup group(*runtime);
    std::unique_ptr<Connection> client;
    const std::string text(bytes, 'x');
    auto listener = runtime->listen(Endpoint::loopback_v4(0), ListenOptions{});
    ASSERT_TRUE(listener.has_value());
    auto reader = [&]() -> Task<void> {
        auto server = co_await (*listener)->accept();
        EXPECT_TRUE(server.has_value());
        for (;;) {
            auto slice = co_await (*server)->receive();
            if (!slice) break;
            const std::lock_guard lock(mutex);
            handed.push_back(std::move(*slice));
        }
        const std::lock_guard lock(mutex);
        finished = true;
        runtime->stop();
    };
    auto writer = [&]() -> Task<void> {
        const ConnectOptions options;
        const Endpoint to = (*listener)->local();
        auto connected = co_await runtime->connect(to, options);
        EXPECT_TRUE(connected.has_value());
        client = std::move(*connected);
        const Slice part{std::as_bytes(std::span{text})};
        auto sent = co_await client->send(std::span{&part, 1});
        EXPECT_TRUE(sent.has_value());
        client->close(Close::Graceful);
    };
    group.spawn(reader());
    group.spawn(writer());
    runtime->run();
    consumer.join();
    EXPECT_EQ(looked_at, bytes);
}

TEST(NetThreads, NamesAreAnsweredToTheLoop) {
    auto runtime = make_asio_runtime().value();
    runtime->start_thread();
    std::atomic<int> found{0};
    std::atomic<bool> ended{false};
    auto group = std::make_unique<TaskGroup>(*runtime);
    auto task = [&]() -> Task<void> {
        auto addresses = co_await runtime->resolve("localhost", 80, Instant::max());
        if (addresses) ++found;
    };
    auto wait = [&]() -> Task<void> {
        while (found < 20) co_await runtime->sleep_for(1ms);
        ended = true;
    };
    runtime->post([&] {
        for (int i = 0; i < 20; ++i) group->spawn(task());
        group->spawn(wait());
    });
    while (!ended) std::this_thread::yield();
    runtime.reset();
    group.reset();
    EXPECT_EQ(found.load(), 20);
}

} // namespace muster::net
