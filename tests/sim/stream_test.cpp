// SPDX-License-Identifier: Apache-2.0
#include "scene.hpp"

#include <algorithm>

namespace muster::sim::test {

TEST(SimStream, ARoundTripTakesTwoLatencies) {
    Network network;
    Node a(network, "a"), b(network, "b");
    const Instant start = network.now();
    auto pair = connect(network, a, b);
    ASSERT_TRUE(pair.server);
    EXPECT_EQ(network.now() - start, 200us);
    Instant sent_at{}, back_at{};
    auto ping = [&]() -> Task<void> {
        sent_at = network.now();
        auto sent = co_await send_text(*pair.client, "ping");
        EXPECT_TRUE(sent.has_value());
        co_await receive_text(*pair.client, 4);
        back_at = network.now();
    };
    auto pong = [&]() -> Task<void> {
        const auto got = co_await receive_text(*pair.server, 4);
        auto sent = co_await send_text(*pair.server, got);
        EXPECT_TRUE(sent.has_value());
    };
    a.spawn(ping());
    b.spawn(pong());
    network.run_until_idle();
    EXPECT_EQ(back_at - sent_at, 200us);
}

TEST(SimStream, SendTakesOneWindowThenWaitsForTheReader) {
    NetworkOptions options;
    options.window_bytes = 100'000;
    Network network(options);
    Node a(network, "a"), b(network, "b");
    auto pair = connect(network, a, b);
    ASSERT_TRUE(pair.server);
    std::size_t on_the_way = 0;
    network.on_trace([&](const TraceEvent& event) {
        if (event.kind == TraceEvent::Kind::Sent && event.segment.kind == Segment::Kind::Data)
            on_the_way += event.segment.bytes;
    });
    const std::string text(1'000'000, 'x');
    auto sender = [&]() -> Task<void> {
        auto sent = co_await send_text(*pair.client, text);
        EXPECT_TRUE(sent.has_value());
        pair.client->close(net::Close::Graceful);
    };
    a.spawn(sender());
    network.run_until_idle();
    EXPECT_EQ(on_the_way, 100'000U);
    EXPECT_FALSE(a.done());
    std::size_t received = 0;
    auto reader = [&]() -> Task<void> {
        for (;;) {
            auto slice = co_await pair.server->receive();
            if (!slice) {
                EXPECT_EQ(slice.error().code, Errc::end_of_stream);
                co_return;
            }
            received += slice->size();
            EXPECT_LE(on_the_way - received, 100'000U);
        }
    };
    b.spawn(reader());
    network.run_until_idle();
    EXPECT_EQ(received, text.size());
    EXPECT_TRUE(a.done() && b.done());
}

TEST(SimStream, BandwidthDelaysWhatIsLarge) {
    NetworkOptions options;
    options.links = std::make_shared<UniformLinks>(
        UniformLinks::Options{.latency_min = 1ms, .latency_max = 1ms, .bytes_per_second = 1'000'000});
    Network network(options);
    Node a(network, "a"), b(network, "b");
    auto pair = connect(network, a, b);
    ASSERT_TRUE(pair.server);
    const Instant start = network.now();
    auto sender = [&]() -> Task<void> { co_await send_text(*pair.client, std::string(100'000, 'x')); };
    auto reader = [&]() -> Task<void> { co_await receive_text(*pair.server, 100'000); };
    a.spawn(sender());
    b.spawn(reader());
    EXPECT_TRUE(network.run_until([&] { return b.done(); }, start + 10s));
    EXPECT_EQ(network.now() - start, 101ms);
}

TEST(SimStream, WhatIsLostIsRepeatedInOrder) {
    auto links = std::make_shared<ScriptedLinks>();
    NetworkOptions options;
    options.links = links;
    Network network(options);
    Node a(network, "a"), b(network, "b");
    auto pair = connect(network, a, b);
    ASSERT_TRUE(pair.server);
    int attempts = 0;
    links->lose = [&](const Segment& segment) {
        return segment.kind == Segment::Kind::Data && ++attempts % 3 != 0;
    };
    const Instant start = network.now();
    std::string expected;
    auto sender = [&]() -> Task<void> {
        for (int i = 0; i < 50; ++i) {
            const std::string text = std::to_string(i) + ",";
            expected += text;
            auto sent = co_await send_text(*pair.client, text);
            EXPECT_TRUE(sent.has_value());
            co_await a.runtime->sleep_for(10ms);
        }
        pair.client->close(net::Close::Graceful);
    };
    std::string got;
    auto reader = [&]() -> Task<void> { got = co_await receive_text(*pair.server, 1'000'000); };
    a.spawn(sender());
    b.spawn(reader());
    network.run_until_idle();
    EXPECT_EQ(got, expected);
    EXPECT_GT(network.now() - start, 500ms);
}

TEST(SimStream, ASlowSegmentHoldsUpItsStreamButNoOther) {
    auto links = std::make_shared<ScriptedLinks>();
    NetworkOptions options;
    options.links = links;
    Network network(options);
    Node a(network, "a"), b(network, "b");
    auto slow = connect(network, a, b, 1);
    auto fast = connect(network, a, b, 2);
    ASSERT_TRUE(slow.server && fast.server);
    bool first = true;
    links->delay = [&](const Segment& segment) -> Duration {
        if (segment.kind == Segment::Kind::Data && std::exchange(first, false)) return 1s;
        return 1ms;
    };
    const Instant start = network.now();
    std::vector<std::pair<std::string, Duration>> arrived;
    auto reader = [&](net::Connection& connection, std::string name) -> Task<void> {
        for (;;) {
            auto slice = co_await connection.receive();
            if (!slice) co_return;
            arrived.emplace_back(name + std::string{slice->text()}, network.now() - start);
        }
    };
    auto sender = [&]() -> Task<void> {
        co_await send_text(*slow.client, "1");
        co_await send_text(*slow.client, "2");
        co_await send_text(*fast.client, "1");
    };
    b.spawn(reader(*slow.server, "slow"));
    b.spawn(reader(*fast.server, "fast"));
    a.spawn(sender());
    network.run_until_idle();
    const std::vector<std::pair<std::string, Duration>> expected{
        {"fast1", 1ms}, {"slow1", 1s}, {"slow2", 1s}};
    EXPECT_EQ(arrived, expected);
}

TEST(SimStream, ALostResetLeavesTheOtherSideHalfOpen) {
    auto links = std::make_shared<ScriptedLinks>();
    NetworkOptions options;
    options.links = links;
    Network network(options);
    Node a(network, "a"), b(network, "b");
    auto pair = connect(network, a, b);
    ASSERT_TRUE(pair.server);
    links->lose = [](const Segment&) { return true; };
    pair.client->close(net::Close::Abort);
    network.run_until_idle();
    links->lose = nullptr;
    Errc end{};
    auto reader = [&]() -> Task<void> { end = co_await receive_end(*pair.server); };
    b.spawn(reader());
    network.run_for(1h);
    EXPECT_EQ(end, Errc{}); // it knows nothing
    auto sender = [&]() -> Task<void> { co_await send_text(*pair.server, "still there?"); };
    b.spawn(sender());
    network.run_until_idle();
    EXPECT_EQ(end, Errc::reset);
}

TEST(SimStream, APartitionOutlastedByTcpHealsWithoutLoss) {
    auto links = std::make_shared<ScriptedLinks>();
    NetworkOptions options;
    options.links = links;
    Network network(options);
    Node a(network, "a"), b(network, "b");
    auto pair = connect(network, a, b);
    ASSERT_TRUE(pair.server);
    links->lose = [](const Segment& segment) { return segment.from != segment.to; };
    auto sender = [&]() -> Task<void> {
        auto sent = co_await send_text(*pair.client, "patience");
        EXPECT_TRUE(sent.has_value());
    };
    std::string got;
    auto reader = [&]() -> Task<void> { got = co_await receive_text(*pair.server, 8); };
    a.spawn(sender());
    b.spawn(reader());
    network.run_for(30s);
    EXPECT_EQ(got, "");
    links->lose = nullptr;
    network.retry_lost();
    network.run_for(1ms);
    EXPECT_EQ(got, "patience");
}

TEST(SimStream, APartitionThatLastsTimesOut) {
    auto links = std::make_shared<ScriptedLinks>();
    NetworkOptions options;
    options.links = links;
    Network network(options);
    Node a(network, "a"), b(network, "b");
    auto pair = connect(network, a, b);
    ASSERT_TRUE(pair.server);
    links->lose = [](const Segment&) { return true; };
    Errc end{};
    auto body = [&]() -> Task<void> {
        auto sent = co_await send_text(*pair.client, "lost");
        EXPECT_TRUE(sent.has_value());
        end = co_await receive_end(*pair.client);
    };
    a.spawn(body());
    const Instant start = network.now();
    network.run_until_idle();
    EXPECT_EQ(end, Errc::timed_out);
    EXPECT_GE(network.now() - start, 15min);
}

TEST(SimStream, ConnectingThroughLossSucceedsAfterARetry) {
    auto links = std::make_shared<ScriptedLinks>();
    NetworkOptions options;
    options.links = links;
    Network network(options);
    Node a(network, "a"), b(network, "b");
    int attempts = 0;
    links->lose = [&](const Segment& segment) {
        return segment.kind == Segment::Kind::Connect && ++attempts <= 2;
    };
    const Instant start = network.now();
    auto pair = connect(network, a, b);
    ASSERT_TRUE(pair.server);
    EXPECT_EQ(network.now() - start, 3s + 200us); // after 1 s and 2 s more
}

TEST(SimStream, ConnectionsCanBeBrokenAndBytesSpoiled) {
    auto links = std::make_shared<ScriptedLinks>();
    NetworkOptions options;
    options.links = links;
    Network network(options);
    Node a(network, "a"), b(network, "b"), c(network, "c");
    auto broken = connect(network, a, b);
    auto whole = connect(network, a, c);
    ASSERT_TRUE(broken.server && whole.server);
    links->spoil = [](const Segment& segment, std::span<std::byte> payload, Random& random) {
        payload[random.below(segment.bytes)] ^= std::byte{1};
    };
    std::string got;
    Errc client{}, server{};
    auto body = [&]() -> Task<void> {
        co_await send_text(*whole.client, std::string(100, 'a'));
        client = co_await receive_end(*broken.client);
    };
    auto other = [&]() -> Task<void> { server = co_await receive_end(*broken.server); };
    auto reader = [&]() -> Task<void> { got = co_await receive_text(*whole.server, 100); };
    a.spawn(body());
    b.spawn(other());
    c.spawn(reader());
    network.run_for(1s);
    network.reset_connections(b.host, a.host);
    network.run_for(1s);
    EXPECT_EQ(client, Errc::reset);
    EXPECT_EQ(server, Errc::reset);
    EXPECT_TRUE(c.done());
    EXPECT_EQ(std::count(got.begin(), got.end(), 'a'), 99);
}

TEST(SimStream, GracefulCloseOutlivesTheHandleAndTheProcessesLoss) {
    auto links = std::make_shared<ScriptedLinks>();
    NetworkOptions options;
    options.links = links;
    Network network(options);
    Node a(network, "a"), b(network, "b");
    auto pair = connect(network, a, b);
    ASSERT_TRUE(pair.server);
    int attempts = 0;
    links->lose = [&](const Segment& segment) {
        return segment.kind == Segment::Kind::Data && ++attempts <= 3;
    };
    auto sender = [&]() -> Task<void> {
        auto sent = co_await send_text(*pair.client, "last words");
        EXPECT_TRUE(sent.has_value());
        pair.client->close(net::Close::Graceful);
        pair.client.reset();
    };
    std::string got;
    Errc end{};
    auto reader = [&]() -> Task<void> {
        got = co_await receive_text(*pair.server, 10);
        end = co_await receive_end(*pair.server);
    };
    a.spawn(sender());
    b.spawn(reader());
    network.run_until_idle();
    EXPECT_EQ(got, "last words");
    EXPECT_EQ(end, Errc::end_of_stream);
}

TEST(SimStream, LateDataForAClosedHandleIsReset) {
    Network network;
    Node a(network, "a"), b(network, "b");
    auto pair = connect(network, a, b);
    ASSERT_TRUE(pair.server);
    pair.client->close(net::Close::Graceful);
    pair.client.reset();
    Errc end{};
    auto body = [&]() -> Task<void> {
        end = co_await receive_end(*pair.server);
        EXPECT_EQ(end, Errc::end_of_stream);
        auto sent = co_await send_text(*pair.server, "too late");
        EXPECT_TRUE(sent.has_value());
        co_await b.runtime->sleep_for(1s);
        sent = co_await send_text(*pair.server, "too late");
        CO_ASSERT(!sent);
        EXPECT_EQ(sent.error().code, Errc::reset);
    };
    b.spawn(body());
    network.run_until_idle();
    EXPECT_TRUE(b.done());
}

} // namespace muster::sim::test
