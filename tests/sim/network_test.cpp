// SPDX-License-Identifier: Apache-2.0
#include "scene.hpp"

namespace muster::sim::test {

TEST(SimTime, JumpsToTheNextEvent) {
    Network network;
    Node node(network, "a");
    const Instant start = network.now();
    Instant woken{};
    auto sleeper = [&]() -> Task<void> {
        co_await node.runtime->sleep_for(72h);
        woken = node.runtime->monotonic_now();
    };
    node.spawn(sleeper());
    EXPECT_TRUE(network.run_until_idle());
    EXPECT_EQ(woken - start, 72h);
    EXPECT_EQ(network.wall_now().ms - WallTime{1'767'225'600'000}.ms, std::chrono::milliseconds(72h).count());
    EXPECT_EQ(node.runtime->wall_now(), network.wall_now());
}

TEST(SimTime, RunUntilStopsAtItsTime) {
    Network network;
    Node node(network, "a");
    int ticks = 0;
    auto ticker = [&]() -> Task<void> {
        for (;;) {
            auto slept = co_await node.runtime->sleep_for(1s);
            if (!slept) co_return;
            ++ticks;
        }
    };
    node.spawn(ticker());
    const Instant start = network.now();
    network.run_for(10s);
    EXPECT_EQ(ticks, 10);
    EXPECT_EQ(network.now(), start + 10s);
    node.runtime->run_until(start + 12s);
    EXPECT_EQ(ticks, 12);
    EXPECT_EQ(network.now(), start + 12s);
    EXPECT_FALSE(network.run_until_idle(start + 13s));
    EXPECT_TRUE(network.run_until([&] { return ticks == 15; }, start + 1h));
    EXPECT_EQ(network.now(), start + 15s);
    network.at(start + 16500ms, [&] { network.stop(); });
    network.run();
    EXPECT_EQ(ticks, 16);
    EXPECT_FALSE(network.run_until([&] { return false; }, start + 17s));
}

TEST(SimTime, StepTellsWhenNothingIsLeft) {
    Network network;
    Node node(network, "a");
    EXPECT_FALSE(network.step());
    bool ran = false;
    node.runtime->post([&] { ran = true; });
    EXPECT_TRUE(network.step());
    EXPECT_TRUE(ran);
    EXPECT_FALSE(network.step());
}

TEST(SimTime, ALoopThatLetsNoTimePassIsOurOwnBug) {
    NetworkOptions options;
    options.turns_per_instant_max = 1000;
    Network network(options);
    Node node(network, "a");
    std::function<void()> again = [&] { node.runtime->post([&] { again(); }); };
    EXPECT_DEATH(
        {
            again();
            network.run_for(1s);
        },
        "lets time pass");
}

TEST(SimTime, ThreadsAreNotSimulated) {
    Network network;
    Node node(network, "a");
    EXPECT_DEATH(node.runtime->start_thread(), "caller's thread");
    EXPECT_EQ(node.runtime->backend(), "sim");
}

TEST(SimClock, AFastClockWakesEarlyByTheWorlds) {
    Network network;
    Node node(network, "a");
    node.runtime->set_clock({.drift_ppb = 100'000'000, .wall_offset = 5s}); // 10 % fast
    const Instant world = network.now(), local = node.runtime->monotonic_now();
    EXPECT_EQ(node.runtime->wall_now().ms - network.wall_now().ms, 5000);
    auto sleeper = [&]() -> Task<void> { co_await node.runtime->sleep_for(11s); };
    node.spawn(sleeper());
    network.run_until_idle();
    EXPECT_EQ(network.now() - world, 10s);
    EXPECT_EQ(node.runtime->monotonic_now() - local, 11s);
    // Set right again, it goes on from where it is.
    node.runtime->set_clock({});
    network.run_for(1s);
    EXPECT_EQ(node.runtime->monotonic_now() - local, 12s);
}

TEST(SimClock, TimersAreNeverEarlyWhateverTheDrift) {
    Network network;
    for (const std::int64_t drift : {-333'333'333, -7, 7, 333'333'333}) {
        Node node(network, "drift" + std::to_string(drift));
        node.runtime->set_clock({.drift_ppb = drift, .wall_offset = {}});
        auto sleeper = [&]() -> Task<void> {
            for (int i = 1; i < 200; ++i) {
                const Instant when = node.runtime->monotonic_now() + Duration(i * i * 7919);
                co_await node.runtime->sleep_until(when);
                EXPECT_GE(node.runtime->monotonic_now(), when);
            }
        };
        node.spawn(sleeper());
        EXPECT_TRUE(network.run_until_idle());
        EXPECT_TRUE(node.done());
    }
}

TEST(SimProcess, APausedOneIsLateAndItsPeersAreBuffered) {
    Network network;
    Node a(network, "a"), b(network, "b");
    auto pair = connect(network, a, b);
    ASSERT_TRUE(pair.server);
    std::vector<Duration> woken;
    const Instant start = network.now();
    auto ticker = [&]() -> Task<void> {
        for (int i = 0; i < 3; ++i) {
            co_await b.runtime->sleep_until(start + (i + 1) * 1s);
            woken.push_back(network.now() - start);
        }
        const auto got = co_await receive_text(*pair.server, 5);
        EXPECT_EQ(got, "hello");
    };
    auto sender = [&]() -> Task<void> {
        auto sent = co_await send_text(*pair.client, "hello");
        EXPECT_TRUE(sent.has_value()); // into the buffer of a machine whose process stands still
    };
    b.spawn(ticker());
    network.at(start + 1500ms, [&] {
        b.runtime->pause();
        a.spawn(sender());
    });
    network.at(start + 10s, [&] {
        EXPECT_TRUE(a.done());
        EXPECT_FALSE(b.done());
        EXPECT_TRUE(b.runtime->paused());
        b.runtime->resume();
    });
    network.run_until_idle();
    EXPECT_EQ(woken, (std::vector<Duration>{1s, 10s, 10s}));
    EXPECT_TRUE(b.done());
}

TEST(SimProcess, ItsEndResetsItsPeersAndFreesItsPorts) {
    Network network;
    Node a(network, "a");
    auto b = std::make_unique<Node>(network, "b");
    const HostId host = b->host;
    auto pair = connect(network, a, *b);
    ASSERT_TRUE(pair.server);
    auto wait = [&]() -> Task<void> { co_await pair.server->receive(); };
    b->spawn(wait());
    Errc end{};
    auto watch = [&]() -> Task<void> { end = co_await receive_end(*pair.client); };
    a.spawn(watch());
    network.run_for(1s);
    b->end();
    network.run_until_idle();
    EXPECT_EQ(end, Errc::reset);
    // Its successor listens at the same place.
    Node c(network, host);
    auto listener = c.runtime->listen(network.address(host, 2551), net::ListenOptions{});
    EXPECT_TRUE(listener.has_value());
    pair.server.reset(); // a handle may outlive its process
}

TEST(SimProcess, SeveralShareAMachinesPortsAndLoopback) {
    Network network;
    Node a(network, "host");
    Node b(network, a.host);
    auto first = a.runtime->listen(net::Endpoint::loopback_v4(2551), net::ListenOptions{});
    auto second = b.runtime->listen(net::Endpoint::loopback_v4(2551), net::ListenOptions{});
    ASSERT_TRUE(first.has_value());
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, Errc::address_in_use);
    bool met = false;
    auto accept = [&]() -> Task<void> {
        auto accepted = co_await (*first)->accept();
        met = accepted.has_value();
    };
    auto dial = [&]() -> Task<void> {
        const net::ConnectOptions options;
        auto connected = co_await b.runtime->connect(net::Endpoint::loopback_v4(2551), options);
        EXPECT_TRUE(connected.has_value());
    };
    a.spawn(accept());
    b.spawn(dial());
    network.run_until_idle();
    EXPECT_TRUE(met);
    // Another machine has its own loopback.
    Node other(network, "other");
    auto refused = [&]() -> Task<void> {
        const net::ConnectOptions options;
        auto connected = co_await other.runtime->connect(net::Endpoint::loopback_v4(2551), options);
        CO_ASSERT(!connected);
        EXPECT_EQ(connected.error().code, Errc::refused);
    };
    other.spawn(refused());
    network.run_until_idle();
    EXPECT_TRUE(other.done());
}

TEST(SimResolve, NamesAreThoseOfTheTable) {
    Network network;
    Node a(network, "a"), b(network, "b");
    network.set_name("both", {network.address(a.host, 0), network.address(b.host, 0)});
    auto body = [&]() -> Task<void> {
        auto one = co_await a.runtime->resolve("b", 2551, Instant::max());
        CO_ASSERT(one.has_value());
        EXPECT_EQ(*one, std::vector{network.address(b.host, 2551)});
        auto two = co_await a.runtime->resolve("both", 1, Instant::max());
        CO_ASSERT(two.has_value());
        EXPECT_EQ(two->size(), 2U);
        auto none = co_await a.runtime->resolve("nobody", 1, Instant::max());
        CO_ASSERT(!none);
        EXPECT_EQ(none.error().code, Errc::not_found);
        auto late = co_await a.runtime->resolve("b", 1, network.now() + 1us);
        CO_ASSERT(!late);
        EXPECT_EQ(late.error().code, Errc::timed_out);
        network.set_name("both", {});
        auto gone = co_await a.runtime->resolve("both", 1, Instant::max());
        EXPECT_FALSE(gone.has_value());
    };
    a.spawn(body());
    network.run_until_idle();
    EXPECT_TRUE(a.done());
}

TEST(SimMachine, WithoutPowerItIsSilent) {
    Network network;
    Node a(network, "a");
    auto b = std::make_unique<Node>(network, "b");
    const HostId host = b->host;
    auto pair = connect(network, a, *b);
    ASSERT_TRUE(pair.server);
    network.set_up(host, false);
    EXPECT_FALSE(network.up(host));
    b->end();
    pair.server.reset();
    bool ended = false;
    auto dial = [&]() -> Task<void> {
        net::ConnectOptions options;
        options.deadline = network.now() + 5s;
        auto connected = co_await a.runtime->connect(network.address(host, 2551), options);
        CO_ASSERT(!connected);
        EXPECT_EQ(connected.error().code, Errc::timed_out);
        // No word comes: neither an end nor a reset.
        auto sent = co_await send_text(*pair.client, "anybody?");
        EXPECT_TRUE(sent.has_value());
        const auto end = co_await receive_end(*pair.client);
        EXPECT_EQ(end, Errc::reset);
        ended = true;
    };
    a.spawn(dial());
    network.run_for(1min);
    EXPECT_FALSE(ended);
    // With power again, it knows nothing of the connection, and says so to the next repetition.
    network.set_up(host, true);
    network.run_until_idle();
    EXPECT_TRUE(ended);
}

TEST(SimMachine, AnUnknownAddressIsUnreachable) {
    Network network;
    Node a(network, "a");
    auto body = [&]() -> Task<void> {
        const auto nobody = net::Endpoint::parse("10.9.9.9", 1);
        const net::ConnectOptions options;
        auto connected = co_await a.runtime->connect(*nobody, options);
        CO_ASSERT(!connected);
        EXPECT_EQ(connected.error().code, Errc::unreachable);
    };
    a.spawn(body());
    network.run_until_idle();
    EXPECT_TRUE(a.done());
}

} // namespace muster::sim::test
