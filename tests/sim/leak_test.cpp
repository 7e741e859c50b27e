// SPDX-License-Identifier: Apache-2.0
/// What a process leaves behind is found, named, and blamed on its node; what it gives back is not.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>
#include <muster/sim/world.hpp>
#include <muster/sim/world/checker.hpp>

namespace muster::sim::test {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

/// What outlives the process that made it, because somebody else holds it.
struct Hoard {
    std::unique_ptr<net::Listener> listener;
    std::unique_ptr<net::Connection> stream;
    std::shared_ptr<void> coroutine;
    std::vector<Slice> buffers;
};

net::Endpoint own_port(std::uint16_t port) { return net::Endpoint::loopback_v4(port); }

net::Task<void> connect(Runtime& runtime, Hoard& hoard) {
    const net::ConnectOptions options;
    auto connected = co_await runtime.connect(own_port(9), options);
    if (connected) hoard.stream = std::move(*connected);
}

/// Never goes on: the coroutine belongs to whoever holds `kept`.
net::Task<void> wait_for_ever(std::shared_ptr<void>& kept) {
    auto initiate = [&kept](auto handler) { kept = std::make_shared<decltype(handler)>(std::move(handler)); };
    auto wait = asio::async_initiate<const asio::deferred_t, void()>(std::move(initiate), asio::deferred);
    co_await std::move(wait);
}

net::Task<void> sleep(Runtime& runtime) {
    auto slept = co_await runtime.sleep_for(1h);
    static_cast<void>(slept);
}

void listen(Runtime& runtime, Hoard& hoard) { hoard.listener = *runtime.listen(own_port(9), {}); }

// ---- each thing that can be left behind

void keep_nothing(Runtime& runtime, Hoard& hoard) {
    listen(runtime, hoard);
    asio::co_spawn(runtime.executor(), connect(runtime, hoard), asio::detached);
    const Slice chunk = Slice::adopt(runtime.chunks()->take(), {});
    runtime.schedule(runtime.monotonic_now() + 10ms, [&hoard] { hoard = {}; });
}
void keep_a_listener(Runtime& runtime, Hoard& hoard) { listen(runtime, hoard); }
void keep_a_stream(Runtime& runtime, Hoard& hoard) {
    listen(runtime, hoard);
    asio::co_spawn(runtime.executor(), connect(runtime, hoard), asio::detached);
    runtime.schedule(runtime.monotonic_now() + 10ms, [&hoard] { hoard.listener.reset(); });
}
void keep_a_chunk(Runtime& runtime, Hoard& hoard) {
    hoard.buffers.push_back(Slice::adopt(runtime.chunks()->take(), {}));
}
void keep_a_coroutine(Runtime& runtime, Hoard& hoard) {
    asio::co_spawn(runtime.executor(), wait_for_ever(hoard.coroutine), asio::detached);
}
void keep_an_association(Runtime& runtime, Hoard&) {
    runtime.metrics().gauge("transport.associations").add(1);
}
void keep_a_timer(Runtime& runtime, Hoard&) {
    runtime.schedule(runtime.monotonic_now() + 1h, [] {});
}
void keep_a_sleeper(Runtime& runtime, Hoard&) {
    asio::co_spawn(runtime.executor(), sleep(runtime), asio::detached);
}
void never_rest(Runtime& runtime) {
    runtime.post([&runtime] { never_rest(runtime); });
}

class Leak : public testing::Test {
protected:
    using Keep = void (*)(Runtime&, Hoard&);

    /// Three nodes, of which the last runs an application that does `keep`.
    void start(Keep keep, std::function<std::shared_ptr<RemoteMessageSink>(std::size_t)> make_sink = {}) {
        WorldOptions options{.seed = 3, .nodes = 3};
        options.make_sink = std::move(make_sink);
        options.application = [this, keep](std::size_t node, ClusterRemoteAdapter&) -> std::shared_ptr<void> {
            if (node == 2) keep(*(*world)[2].runtime, hoard);
            return nullptr;
        };
        world.emplace(std::move(options));
        world->start_all();
        EXPECT_TRUE(world->run_until_agreed(30s)) << world->disagreement();
    }
    /// What the checker says once node 2 has ended, and then everybody else.
    template <class Action>
    std::string complaint_after(Action end) {
        try {
            end();
            world->run_until([this] { return !(*world)[2].running(); }, 60s);
            world->run_for(100ms);
            for (const std::size_t node : world->running()) world->crash(node);
            world->checker().at_end();
        } catch (const Violation& violation) {
            return violation.invariant == "leak" ? violation.detail : violation.what();
        }
        return {};
    }
    std::string complaint_of_one_that_stopped(Keep keep) {
        start(keep);
        return complaint_after([this] { world->leave(2); });
    }
    std::string complaint_of_one_that_was_killed(Keep keep) {
        start(keep);
        return complaint_after([this] { world->crash(2); });
    }

    std::optional<World> world;
    Hoard hoard; // goes before the World
};

TEST_F(Leak, NothingIsSaidOfWhoGaveEverythingBack) {
    EXPECT_EQ(complaint_of_one_that_stopped(keep_nothing), "");
    EXPECT_EQ(complaint_of_one_that_was_killed(keep_nothing), "");
}

TEST_F(Leak, AListenerThatIsKeptIsFound) {
    EXPECT_EQ(complaint_of_one_that_stopped(keep_a_listener),
              "node 2, life 1, has ended and left 1 listener");
    hoard = {};
    EXPECT_EQ(complaint_of_one_that_was_killed(keep_a_listener),
              "node 2, life 1, has ended and left 1 listener");
}

TEST_F(Leak, AStreamThatIsKeptIsFound) {
    EXPECT_EQ(complaint_of_one_that_stopped(keep_a_stream), "node 2, life 1, has ended and left 1 stream");
    hoard = {};
    EXPECT_EQ(complaint_of_one_that_was_killed(keep_a_stream), "node 2, life 1, has ended and left 1 stream");
}

TEST_F(Leak, AChunkThatIsKeptIsFound) {
    EXPECT_EQ(complaint_of_one_that_stopped(keep_a_chunk),
              "node 2, life 1, has ended and left 1 buffer of 65536 bytes");
    hoard = {};
    EXPECT_EQ(complaint_of_one_that_was_killed(keep_a_chunk),
              "node 2, life 1, has ended and left 1 buffer of 65536 bytes");
}

TEST_F(Leak, AReceiveBufferThatASinkKeepsIsFound) {
    struct Keeper final : RemoteMessageSink {
        explicit Keeper(Hoard& to) : hoard(to) {}
        void deliver(std::string_view, std::string_view, const Slice& payload,
                     std::optional<std::string_view>) override {
            hoard.buffers.push_back(payload);
        }
        Hoard& hoard;
    };
    start([](Runtime&, Hoard&) {}, [this](std::size_t) { return std::make_shared<Keeper>(hoard); });
    ASSERT_EQ(world->checker().tell(0, 2, 5000), TellResult::Queued);
    world->run_for(1s);
    ASSERT_EQ(hoard.buffers.size(), 1U);
    const std::string said = complaint_after([this] { world->crash(2); });
    EXPECT_TRUE(said.starts_with("node 2, life 1, has ended and left 1 buffer of ")) << said;
}

TEST_F(Leak, ACoroutineThatSomebodyHoldsIsFound) {
    const std::string expected = "node 2, life 1, has ended and left 2 unfinished coroutines and operations";
    EXPECT_EQ(complaint_of_one_that_stopped(keep_a_coroutine), expected);
    hoard = {}; // it unwinds although its process is gone
    EXPECT_EQ(complaint_of_one_that_was_killed(keep_a_coroutine), expected);
}

TEST_F(Leak, AnAssociationIsFound) {
    EXPECT_EQ(complaint_of_one_that_stopped(keep_an_association),
              "node 2, life 1, has ended and left 1 association");
    EXPECT_EQ(complaint_of_one_that_was_killed(keep_an_association),
              "node 2, life 1, has ended and left 1 association");
}

TEST_F(Leak, ATimerOfWhoStoppedInOrderIsFound) {
    EXPECT_EQ(complaint_of_one_that_stopped(keep_a_timer), "node 2, life 1, has ended and left 1 timer");
    EXPECT_EQ(complaint_of_one_that_was_killed(keep_a_timer), "") << "it died with its process";
}

TEST_F(Leak, ACoroutineThatSleepsInWhoStoppedInOrderIsFound) {
    const std::string said = complaint_of_one_that_stopped(keep_a_sleeper);
    EXPECT_EQ(said, "node 2, life 1, has ended and left 2 unfinished coroutines and operations, 1 timer");
    EXPECT_EQ(complaint_of_one_that_was_killed(keep_a_sleeper), "") << "it died with its process";
}

TEST_F(Leak, WhoNeverComesToRestIsFound) {
    start(keep_nothing);
    Runtime& runtime = *(*world)[2].runtime;
    (*world)[2].application = std::shared_ptr<void>(nullptr, [&runtime](void*) { never_rest(runtime); });
    EXPECT_EQ(complaint_after([this] { world->leave(2); }),
              "node 2, life 1, has ended and does not come to rest");
}

TEST_F(Leak, WhoStillRunsAtTheEndIsNamedWithWhatItHolds) {
    start(keep_a_listener);
    world->crash(0);
    world->crash(1);
    try {
        world->checker().at_end();
        FAIL() << "node 2 runs";
    } catch (const Violation& violation) {
        EXPECT_EQ(violation.invariant, "leak");
        EXPECT_TRUE(violation.detail.starts_with("node 2, life 1, still runs, with ")) << violation.detail;
        EXPECT_NE(violation.detail.find(" timers, "), std::string::npos) << violation.detail;
        EXPECT_NE(violation.detail.find("2 listeners"), std::string::npos)
            << "its own and that of its node: " << violation.detail;
        EXPECT_NE(violation.detail.find("2 associations"), std::string::npos) << violation.detail;
    }
    hoard = {};
}

} // namespace
} // namespace muster::sim::test
