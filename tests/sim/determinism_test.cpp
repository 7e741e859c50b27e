// SPDX-License-Identifier: Apache-2.0
#include "scene.hpp"

#include <bit>
#include <boost/asio/experimental/awaitable_operators.hpp>

namespace muster::sim::test {

using namespace boost::asio::experimental::awaitable_operators;

namespace {

struct Record {
    std::uint64_t hash = 0;
    std::vector<std::string> lines;
    Instant end;
    std::size_t connections = 0, events = 0;
};

/// Twelve nodes that connect to each other at random, talk, give up, and start again.
Record talk(std::uint64_t seed) {
    NetworkOptions options;
    options.seed = seed;
    options.links = std::make_shared<UniformLinks>(
        UniformLinks::Options{.latency_min = 50us, .latency_max = 5ms, .bytes_per_second = 10'000'000});
    Record run;
    Network network(options);
    network.on_trace([&](const TraceEvent& event) { run.lines.push_back(event.to_line()); });
    {
        std::vector<std::unique_ptr<Node>> nodes;
        for (int i = 0; i < 12; ++i)
            nodes.push_back(std::make_unique<Node>(network, "node" + std::to_string(i)));
        auto echo = [](std::unique_ptr<net::Connection> connection) -> Task<void> {
            for (;;) {
                auto slice = co_await connection->receive();
                if (!slice) co_return;
                auto sent = co_await connection->send(std::span{&*slice, 1});
                if (!sent) co_return;
            }
        };
        auto serve = [&](Node& node) -> Task<void> {
            auto listener = node.runtime->listen(network.address(node.host, 2551), net::ListenOptions{});
            for (;;) {
                auto accepted = co_await (*listener)->accept();
                if (!accepted) co_return;
                node.spawn(echo(std::move(*accepted)));
            }
        };
        auto call = [&](Node& node) -> Task<void> {
            Random random(0);
            for (int round = 0; round < 5; ++round) {
                std::array<std::byte, 8> drawn{};
                node.runtime->fill_entropy(drawn);
                const auto number = static_cast<std::size_t>(drawn[0]);
                auto& peer = *nodes[number % nodes.size()];
                net::ConnectOptions dial;
                dial.deadline = node.runtime->monotonic_now() + 8ms;
                auto connection = co_await node.runtime->connect(network.address(peer.host, 2551), dial);
                if (!connection) continue;
                auto sent = co_await send_text(**connection, std::string(number * 37 + 1, 'x'));
                if (!sent) continue;
                auto timed = receive_text(**connection, number * 37 + 1) || node.runtime->sleep_for(15ms);
                const auto outcome = co_await std::move(timed);
                if (outcome.index() == 0) (*connection)->close(net::Close::Graceful);
                auto slept = co_await node.runtime->sleep_for(Duration(number * 1000));
                if (!slept) co_return;
            }
        };
        for (auto& node : nodes) node->spawn(serve(*node));
        for (auto& node : nodes) node->spawn(call(*node));
        network.run_for(5s);
        for (auto& node : nodes) node->end();
        network.run_until_idle();
        run.end = network.now();
        run.hash = network.trace_hash();
        run.connections = network.connections();
        run.events = network.events();
    }
    return run;
}

} // namespace

TEST(Determinism, TheSameSeedGivesTheSameTraceByteForByte) {
    const Record first = talk(7), second = talk(7);
    ASSERT_GT(first.lines.size(), 500U);
    EXPECT_EQ(first.lines, second.lines);
    EXPECT_EQ(first.hash, second.hash);
    EXPECT_EQ(first.end, second.end);
}

TEST(Determinism, AnotherSeedGivesAnotherTrace) { EXPECT_NE(talk(7).hash, talk(8).hash); }

TEST(Determinism, TheTraceIsTheSameOnEveryCompiler) {
    // Written down once. It changes only when what is simulated changes.
    EXPECT_EQ(talk(42).hash, 2510919763690021109U);
}

TEST(Determinism, NothingIsLeftWhenAllProcessesHaveEnded) {
    const Record run = talk(3);
    EXPECT_EQ(run.connections, 0U);
    EXPECT_EQ(run.events, 0U);
}

TEST(SimRandom, TheNumbersAreThoseOfTheAlgorithm) {
    // splitmix64 from 0 begins e220a8397b1dcdaf 6e789e6aa1b965f4 06c45d188009454f f88bb8a8724c81ec; the first
    // number of xoshiro256** is rotl(second * 5, 7) * 9.
    const std::uint64_t expected = std::rotl(0x6e789e6aa1b965f4ULL * 5, 7) * 9;
    EXPECT_EQ(Random(0).next(), expected);
    Random random(1);
    for (const std::uint64_t bound : {1ULL, 2ULL, 3ULL, 1000ULL, 1ULL << 63, ~0ULL}) {
        for (int i = 0; i < 100; ++i) EXPECT_LT(random.below(bound), bound);
    }
    EXPECT_EQ(random.below(0), 0U);
    bool low = false, high = false;
    for (int i = 0; i < 200; ++i) {
        const auto value = random.between(-1, 2);
        EXPECT_GE(value, -1);
        EXPECT_LE(value, 2);
        low = low || value == -1;
        high = high || value == 2;
    }
    EXPECT_TRUE(low && high);
    random.between(INT64_MIN, INT64_MAX);
    EXPECT_FALSE(random.chance(0, 10));
    EXPECT_TRUE(random.chance(10, 10));
}

} // namespace muster::sim::test
