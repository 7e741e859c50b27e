// SPDX-License-Identifier: Apache-2.0
// A peer that has fallen silent is given up at the limit that was asked for, not at the system's.
#include "descriptors.hpp"
#include "net/silence.hpp"
#include "private_network.hpp"
#include "suite.hpp"

#include <cstdio>
#include <optional>

namespace muster::net::test {
namespace {

class Silence : public RuntimeSuite {
protected:
    /// A connection on which both ends have the limit.
    Task<Pair> limited_pair(Duration silence_max) {
        return connect_pair(Endpoint::loopback_v4(0), {.silence_max = silence_max},
                            {.silence_max = silence_max});
    }
};

INSTANTIATE_TEST_SUITE_P(Net, Silence, ::testing::ValuesIn(real_backends()), backend_name);

int option(int descriptor, int level, int name) {
    int value = -1;
    socklen_t size = sizeof(value);
    getsockopt(descriptor, level, name, &value, &size);
    return value;
}

Task<result<void>> say(Connection& connection, std::string text) {
    const std::vector<Slice> parts{Slice::copy_of(text)};
    auto sent = co_await connection.send(parts);
    co_return sent;
}

} // namespace

TEST(SilenceOptions, AskAfterHalfOfTheLimitAndEndSoonAfterIt) {
    constexpr SilenceOptions usual = silence_options(30s);
    EXPECT_EQ(usual.user_timeout_ms, 30'000);
    EXPECT_EQ(usual.keepalive_idle_s, 15);
    EXPECT_EQ(usual.keepalive_interval_s, 8) << "asked after 15 and 23 s, given up after 31";
    constexpr SilenceOptions shortest = silence_options(1ms);
    EXPECT_EQ(shortest.user_timeout_ms, 1);
    EXPECT_EQ(shortest.keepalive_idle_s, 1);
    EXPECT_EQ(shortest.keepalive_interval_s, 1);
    constexpr SilenceOptions longest = silence_options(std::chrono::hours{24 * 365});
    EXPECT_EQ(longest.user_timeout_ms, 1 << 30) << "no overflow at a year";
    EXPECT_EQ(longest.keepalive_idle_s, 32'767);
}

TEST_P(Silence, BothEndsOfAConnectionHaveTheLimit) {
    auto body = [&]() -> Task<void> {
        auto ends = co_await limited_pair(3s);
        CO_ASSERT(ends.client && ends.server);
        for (const Connection* end : {ends.client.get(), ends.server.get()}) {
            const int descriptor = descriptor_of(end->local(), end->remote());
            CO_ASSERT(descriptor >= 0);
            EXPECT_EQ(option(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT), 3000);
            EXPECT_EQ(option(descriptor, SOL_SOCKET, SO_KEEPALIVE), 1);
            EXPECT_EQ(option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE), 1);
            EXPECT_EQ(option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL), 1);
        }
    };
    run(body());
}

TEST_P(Silence, WithoutALimitTheSystemsTimesRemain) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.client);
        const int descriptor = descriptor_of(pair.client->local(), pair.client->remote());
        CO_ASSERT(descriptor >= 0);
        EXPECT_EQ(option(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
        EXPECT_EQ(option(descriptor, SOL_SOCKET, SO_KEEPALIVE), 0);
    };
    run(body());
}

TEST_P(Silence, ABlackHoleEndsBothEndsOfAConnection) {
    muster::test::PrivateNetwork network;
    if (!network.why_not().empty()) {
        std::printf("not run: Silence.ABlackHoleEndsBothEndsOfAConnection (%s; run as root)\n",
                    network.why_not().c_str());
        return;
    }
    auto body = [&]() -> Task<void> {
        auto ends = co_await limited_pair(1s);
        CO_ASSERT(ends.client && ends.server);
        auto sent = co_await say(*ends.client, "while it works");
        CO_ASSERT_OK(sent);
        auto heard = co_await ends.server->receive();
        CO_ASSERT_OK(heard);
        CO_ASSERT(network.pull_the_cable());
        sent = co_await say(*ends.client, "into the void");
        CO_ASSERT_OK(sent);
        auto sender = co_await ends.client->receive();
        CO_ASSERT(!sender);
        EXPECT_EQ(sender.error(), Errc::timed_out) << "what it sent was acknowledged by nobody";
        auto listener = co_await ends.server->receive();
        CO_ASSERT(!listener);
        EXPECT_EQ(listener.error(), Errc::timed_out) << "it owes nothing and asked whether anybody is there";
    };
    run(body());
}

} // namespace muster::net::test
