// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

#include "net/resolver.hpp"
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace muster::net::test {

using namespace boost::asio::experimental::awaitable_operators;

namespace {

using Resolve = RuntimeSuite;
using ResolverThread = RuntimeSuite;

INSTANTIATE_TEST_SUITE_P(Net, Resolve, ::testing::ValuesIn(backends()), backend_name);
INSTANTIATE_TEST_SUITE_P(Net, ResolverThread, ::testing::ValuesIn(real_backends()), backend_name);

/// A lookup that answers when it is told to.
class Gate {
public:
    Resolver::Lookup lookup() {
        return [this](const std::string& host, std::uint16_t port) -> Resolver::Addresses {
            std::unique_lock lock(mutex_);
            ++entered_;
            changed_.notify_all();
            changed_.wait(lock, [this] { return open_; });
            if (host == "unknown") return Error{Errc::not_found, host, {}, {}};
            return std::vector{Endpoint::loopback_v4(port)};
        };
    }
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    bool entered() {
        const std::lock_guard lock(mutex_);
        return entered_ > 0;
    }
    void wait_entered() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return entered_ > 0; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int entered_ = 0;
    bool open_ = false;
};

/// A lookup that was given up after its thread had begun it. On a busy machine the deadline may come first:
/// then once more.
Task<Resolver::Addresses> begun_and_late(Runtime& runtime, Resolver& resolver, Gate& gate) {
    for (;;) {
        auto late = co_await resolver.resolve("slow", 80, runtime.monotonic_now() + 2ms);
        if (gate.entered()) co_return late;
    }
}

} // namespace

TEST_P(Resolve, LiteralsNeedNoThread) {
    const std::size_t threads = count_threads();
    auto body = [&]() -> Task<void> {
        for (const char* host : {"127.0.0.1", "::1", "[::1]", "10.1.2.3"}) {
            auto addresses = co_await runtime().resolve(host, 2551, Instant::max());
            CO_ASSERT_OK(addresses);
            CO_ASSERT(addresses->size() == 1);
            EXPECT_EQ(addresses->front(), *Endpoint::parse(host, 2551));
        }
        EXPECT_EQ(count_threads(), threads);
    };
    run(body());
}

TEST_P(Resolve, LocalhostIsFound) {
    auto body = [&]() -> Task<void> {
        auto addresses = co_await runtime().resolve("localhost", 80, Instant::max());
        CO_ASSERT_OK(addresses);
        CO_ASSERT(!addresses->empty());
        for (const Endpoint& endpoint : *addresses) EXPECT_EQ(endpoint.port, 80);
    };
    run(body());
}

TEST_P(Resolve, CancellationAndDeadlineEndTheWait) {
    auto body = [&]() -> Task<void> {
        auto late = co_await runtime().resolve("localhost", 80, runtime().monotonic_now() - 1s);
        EXPECT_TRUE(late || late.error().code == Errc::timed_out);
        TaskGroup group(runtime());
        Errc code{};
        auto task = [&]() -> Task<void> {
            co_await runtime().sleep_for(1h);
            auto addresses = co_await runtime().resolve("localhost", 80, Instant::max());
            CO_ASSERT(!addresses);
            code = addresses.error().code;
        };
        group.spawn(task());
        co_await runtime().sleep_for(1ms);
        group.cancel();
        co_await group.join();
        EXPECT_EQ(code, Errc::cancelled);
    };
    run(body());
}

TEST_P(ResolverThread, NamesShareExactlyOneThread) {
    auto body = [&]() -> Task<void> {
        const std::size_t threads = count_threads();
        TaskGroup group(runtime());
        auto task = [&]() -> Task<void> {
            auto addresses = co_await runtime().resolve("localhost", 80, Instant::max());
            CO_ASSERT_OK(addresses);
        };
        for (int i = 0; i < 50; ++i) group.spawn(task());
        co_await group.join();
        EXPECT_EQ(count_threads("muster-resolve"), 1U);
        EXPECT_EQ(count_threads(), threads + 1);
    };
    run(body());
    stage().destroy();
    EXPECT_EQ(count_threads("muster-resolve"), 0U);
}

TEST_P(ResolverThread, ANameThatDoesNotExistIsNotFound) {
    Gate gate;
    gate.open();
    Resolver resolver(runtime(), 4, gate.lookup());
    auto body = [&]() -> Task<void> {
        auto addresses = co_await resolver.resolve("unknown", 80, Instant::max());
        CO_ASSERT(!addresses);
        EXPECT_EQ(addresses.error().code, Errc::not_found);
    };
    run(body());
}

TEST_P(ResolverThread, AFullQueueRefuses) {
    Gate gate;
    Resolver resolver(runtime(), 2, gate.lookup());
    auto body = [&]() -> Task<void> {
        TaskGroup group(runtime());
        int found = 0;
        auto task = [&]() -> Task<void> {
            auto addresses = co_await resolver.resolve("name", 80, Instant::max());
            if (addresses) ++found;
        };
        group.spawn(task());
        co_await runtime().sleep_for(1ms);
        gate.wait_entered(); // the thread works on the first
        group.spawn(task());
        group.spawn(task());
        co_await runtime().sleep_for(1ms);
        auto refused = co_await resolver.resolve("name", 80, Instant::max());
        CO_ASSERT(!refused);
        EXPECT_EQ(refused.error().code, Errc::limit_reached);
        gate.open();
        co_await group.join();
        EXPECT_EQ(found, 3);
    };
    run(body());
    EXPECT_EQ(runtime().metrics().value("net.resolve.refused"), 1);
}

TEST_P(ResolverThread, AnAnswerAfterTheDeadlineIsDropped) {
    Gate gate;
    Resolver resolver(runtime(), 2, gate.lookup());
    auto body = [&]() -> Task<void> {
        auto timed_out = co_await begun_and_late(runtime(), resolver, gate);
        CO_ASSERT(!timed_out);
        EXPECT_EQ(timed_out.error().code, Errc::timed_out);
        EXPECT_EQ(timed_out.error().subject, "host \"slow\"");
        auto raced = resolver.resolve("slow", 80, Instant::max()) || runtime().sleep_for(2ms);
        const auto given_up = co_await std::move(raced);
        EXPECT_EQ(given_up.index(), 1U);
        gate.open();
        auto found = co_await resolver.resolve("next", 80, Instant::max());
        CO_ASSERT_OK(found);
        // Only the one that had begun came late; the other had left the queue.
        EXPECT_EQ(runtime().metrics().value("net.resolve.late"), 1);
    };
    run(body());
}

TEST_P(ResolverThread, DestructionDoesNotWaitForALongLookup) {
    const auto gate = std::make_shared<Gate>();
    {
        // The thread that is let go owns the gate, too: it may still leave it when this test is over.
        auto lookup = [gate, ask = gate->lookup()](const std::string& host, std::uint16_t port) {
            return ask(host, port);
        };
        Resolver resolver(runtime(), 2, std::move(lookup));
        auto body = [&]() -> Task<void> {
            auto timed_out = co_await begun_and_late(runtime(), resolver, *gate);
            EXPECT_FALSE(timed_out.has_value());
        };
        run(body());
    }
    EXPECT_EQ(count_threads("muster-resolve"), 1U); // let go
    gate->open();
    while (count_threads("muster-resolve") != 0) std::this_thread::yield();
}

} // namespace muster::net::test
