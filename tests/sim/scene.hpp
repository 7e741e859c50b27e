// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the tests of the simulated network share.
#include <gtest/gtest.h>
#include <memory>
#include <muster/net/task_group.hpp>
#include <muster/sim/runtime.hpp>
#include <string>

#define CO_ASSERT(condition)                                                                                 \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            ADD_FAILURE() << "CO_ASSERT(" #condition ")";                                                    \
            co_return;                                                                                       \
        }                                                                                                    \
    } while (false)

namespace muster::sim::test {

using namespace std::chrono_literals;
using net::Task;

/// A process on a machine of its own, and the tasks it runs.
struct Node {
    Node(Network& network, const std::string& name) : Node(network, network.add_host(name)) {}
    Node(Network& network, HostId at)
        : host(at), runtime(network.make_runtime(at)), group(std::make_unique<net::TaskGroup>(*runtime)) {}
    ~Node() { end(); }
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    void spawn(Task<void> task) { group->spawn(std::move(task)); }
    bool done() const { return group->empty(); }
    /// As SIGKILL.
    void end() {
        runtime.reset();
        group.reset();
    }

    HostId host;
    std::unique_ptr<Runtime> runtime;
    std::unique_ptr<net::TaskGroup> group;
};

inline Task<result<void>> send_text(net::Connection& connection, std::string text) {
    const Slice slice{std::as_bytes(std::span{text})};
    auto outcome = co_await connection.send(std::span{&slice, 1});
    co_return outcome;
}

/// What comes until `size` bytes are there or the stream ends.
inline Task<std::string> receive_text(net::Connection& connection, std::size_t size) {
    std::string text;
    while (text.size() < size) {
        auto slice = co_await connection.receive();
        if (!slice) break;
        text += slice->text();
    }
    co_return text;
}

inline Task<Errc> receive_end(net::Connection& connection) {
    for (;;) {
        auto slice = co_await connection.receive();
        if (!slice) co_return slice.error().code;
    }
}

/// A connection between two nodes; both ends are empty when that failed.
struct Pair {
    std::unique_ptr<net::Connection> client;
    std::unique_ptr<net::Connection> server;
};
inline Pair connect(Network& network, Node& from, Node& to, std::uint16_t port = 2551) {
    Pair pair;
    auto listener = to.runtime->listen(network.address(to.host, port), net::ListenOptions{});
    EXPECT_TRUE(listener.has_value());
    if (!listener) return pair;
    auto accept = [&]() -> Task<void> {
        auto accepted = co_await (*listener)->accept();
        if (accepted) pair.server = std::move(*accepted);
    };
    auto dial = [&]() -> Task<void> {
        const net::ConnectOptions options;
        auto connected = co_await from.runtime->connect(network.address(to.host, port), options);
        if (connected) pair.client = std::move(*connected);
    };
    to.spawn(accept());
    from.spawn(dial());
    EXPECT_TRUE(network.run_until([&] { return pair.client && pair.server; }, network.now() + 10s));
    return pair;
}

/// Loses what the test says.
class ScriptedLinks final : public LinkModel {
public:
    Fate decide(const Segment& segment, Instant, Random&) override {
        const bool lost = lose && lose(segment);
        return {.lost = lost, .delay = delay ? delay(segment) : Duration(100us)};
    }
    void corrupt(const Segment& segment, std::span<std::byte> payload, Random& random) override {
        if (spoil) spoil(segment, payload, random);
    }
    std::function<bool(const Segment&)> lose;
    std::function<Duration(const Segment&)> delay;
    std::function<void(const Segment&, std::span<std::byte>, Random&)> spoil;
};

} // namespace muster::sim::test
