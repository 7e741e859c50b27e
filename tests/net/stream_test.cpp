// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

#include <arpa/inet.h>
#include <cstdio>

namespace muster::net::test {

namespace {

using Streams = RuntimeSuite;

INSTANTIATE_TEST_SUITE_P(Net, Streams, ::testing::ValuesIn(backends()), backend_name);

/// Bytes that tell their place, so that a loss, a repetition or a swap shows. Copied from a period whose
/// length is a prime, since making 16 MiB byte by byte takes long without optimisation.
std::string pattern(std::size_t size, std::size_t offset = 0) {
    constexpr std::size_t period = 65'537;
    static const std::string repeated = [] {
        std::string text(period, '\0');
        for (std::size_t i = 0; i < period; ++i) text[i] = static_cast<char>((i * 2654435761U) >> 16);
        return text;
    }();
    std::string text;
    text.reserve(size);
    while (text.size() < size) text.append(repeated, (offset + text.size()) % period, size - text.size());
    return text;
}

constexpr std::size_t more_than_the_system_buffers = 32U << 20;

} // namespace

TEST_P(Streams, TheBackendIsAMetric) {
    const std::string name = "runtime.backend." + std::string{runtime().backend()};
    EXPECT_EQ(runtime().metrics().value(name), 1);
}

TEST_P(Streams, BothEndsKnowEachOthersAddress) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        EXPECT_EQ(pair.client->remote(), pair.server->local());
        EXPECT_EQ(pair.client->local(), pair.server->remote());
        EXPECT_NE(pair.client->local().port, 0);
        EXPECT_NE(pair.client->local(), pair.client->remote());
    };
    run(body());
}

TEST_P(Streams, BytesArriveInBothDirections) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        for (int round = 0; round < 100; ++round) {
            auto sent = co_await send_text(*pair.client, "ping");
            CO_ASSERT_OK(sent);
            const auto ping = co_await receive_text(*pair.server, 4);
            EXPECT_EQ(ping, "ping");
            sent = co_await send_text(*pair.server, "pong!");
            CO_ASSERT_OK(sent);
            const auto pong = co_await receive_text(*pair.client, 5);
            EXPECT_EQ(pong, "pong!");
        }
    };
    run(body());
}

TEST_P(Streams, ManyPartsAreGatheredInOrder) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        // More parts than one system call takes, empty ones among them, and more bytes than a socket holds.
        std::vector<std::string> texts;
        std::size_t total = 0;
        for (std::size_t i = 0; i < 6000; ++i) {
            const std::size_t size = i % 7 == 0 ? 0 : (i % 500 == 1 ? 200'000 : i % 3000);
            texts.push_back(pattern(size, total));
            total += size;
        }
        std::vector<Slice> parts;
        for (const auto& text : texts) parts.emplace_back(std::as_bytes(std::span{text}));
        TaskGroup group(runtime());
        auto sender = [&]() -> Task<void> {
            auto sent = co_await pair.client->send(parts);
            EXPECT_TRUE(sent.has_value());
        };
        group.spawn(sender());
        const std::string got = co_await receive_text(*pair.server, total);
        EXPECT_TRUE(got == pattern(total));
        co_await group.join();
    };
    run(body());
}

TEST_P(Streams, SendingNothingSucceeds) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        const std::vector<Slice> parts(3);
        auto sent = co_await pair.client->send(parts);
        EXPECT_TRUE(sent.has_value());
        sent = co_await pair.client->send({});
        EXPECT_TRUE(sent.has_value());
    };
    run(body());
}

TEST_P(Streams, SendWaitsWhileThePeerDoesNotRead) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        const std::string text = pattern(more_than_the_system_buffers);
        bool sent_all = false;
        TaskGroup group(runtime());
        auto sender = [&]() -> Task<void> {
            const Slice part{std::as_bytes(std::span{text})};
            auto sent = co_await pair.client->send(std::span{&part, 1});
            EXPECT_TRUE(sent.has_value());
            sent_all = true;
        };
        group.spawn(sender());
        co_await runtime().sleep_for(100ms);
        EXPECT_FALSE(sent_all);
        std::size_t received = 0;
        bool equal = true;
        while (received < text.size()) {
            auto slice = co_await pair.server->receive();
            CO_ASSERT_OK(slice);
            equal = equal && std::string_view(text).substr(received, slice->size()) == slice->text();
            received += slice->size();
        }
        EXPECT_TRUE(equal);
        EXPECT_EQ(received, text.size());
        co_await group.join();
        EXPECT_TRUE(sent_all);
    };
    run(body());
}

TEST_P(Streams, TryReceiveTakesWhatIsThereAndNothingElse) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        Slice slice;
        EXPECT_FALSE(pair.server->try_receive(slice));
        auto sent = co_await send_text(*pair.client, "one");
        CO_ASSERT_OK(sent);
        auto first = co_await pair.server->receive();
        CO_ASSERT_OK(first);
        EXPECT_EQ(first->text(), "one");
        EXPECT_FALSE(pair.server->try_receive(slice));
        // What arrived while nobody waited is taken without waiting.
        sent = co_await send_text(*pair.client, "two");
        CO_ASSERT_OK(sent);
        for (int i = 0; i < 1000 && slice.empty(); ++i) {
            if (!pair.server->try_receive(slice)) co_await runtime().sleep_for(1ms);
        }
        EXPECT_EQ(slice.text(), "two");
        // At the stream's end receive() has to tell why.
        pair.client->close(Close::Graceful);
        co_await runtime().sleep_for(20ms);
        EXPECT_FALSE(pair.server->try_receive(slice));
        auto end = co_await pair.server->receive();
        CO_ASSERT(!end);
        EXPECT_EQ(end.error().code, Errc::end_of_stream);
    };
    run(body());
}

TEST_P(Streams, GracefulCloseDeliversEverythingThenTheEnd) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        const std::string text = pattern(100'000);
        auto sent = co_await send_text(*pair.client, text);
        CO_ASSERT_OK(sent);
        pair.client->close(Close::Graceful);
        pair.client->close(Close::Graceful); // idempotent
        pair.client.reset();
        const std::string got = co_await receive_text(*pair.server, text.size() + 1);
        EXPECT_TRUE(got == text);
        for (int i = 0; i < 2; ++i) { // the end stays the end
            auto end = co_await pair.server->receive();
            CO_ASSERT(!end);
            EXPECT_EQ(end.error().code, Errc::end_of_stream);
        }
    };
    run(body());
}

TEST_P(Streams, AHalfClosedStreamStillReceives) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        pair.client->close(Close::Graceful);
        auto refused = co_await send_text(*pair.client, "too late");
        CO_ASSERT(!refused);
        EXPECT_EQ(refused.error().code, Errc::closed);
        const auto end = co_await receive_end(*pair.server);
        EXPECT_EQ(end, Errc::end_of_stream);
        auto sent = co_await send_text(*pair.server, "still here");
        CO_ASSERT_OK(sent);
        const auto got = co_await receive_text(*pair.client, 10);
        EXPECT_EQ(got, "still here");
        pair.server->close(Close::Graceful);
        const auto other_end = co_await receive_end(*pair.client);
        EXPECT_EQ(other_end, Errc::end_of_stream);
    };
    run(body());
}

TEST_P(Streams, AbortResetsThePeer) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        pair.client->close(Close::Abort);
        pair.client->close(Close::Abort);
        auto mine = co_await pair.client->receive();
        CO_ASSERT(!mine);
        EXPECT_EQ(mine.error().code, Errc::closed);
        const auto end = co_await receive_end(*pair.server);
        EXPECT_EQ(end, Errc::reset);
        // The system may take a first send, but never answer with success for good.
        Errc code{};
        for (int i = 0; i < 100 && code == Errc{}; ++i) {
            auto sent = co_await send_text(*pair.server, "anybody?");
            if (!sent) code = sent.error().code;
            co_await runtime().sleep_for(1ms);
        }
        EXPECT_EQ(code, Errc::reset);
    };
    run(body());
}

TEST_P(Streams, AbortIsAllowedAfterGraceful) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        pair.client->close(Close::Graceful);
        pair.client->close(Close::Abort);
        auto mine = co_await pair.client->receive();
        CO_ASSERT(!mine);
        EXPECT_EQ(mine.error().code, Errc::closed);
    };
    run(body());
}

TEST_P(Streams, DestroyingAnOpenConnectionResetsThePeer) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        pair.client.reset();
        const auto end = co_await receive_end(*pair.server);
        EXPECT_EQ(end, Errc::reset);
    };
    run(body());
}

TEST_P(Streams, OperationsInFlightEndWhenTheConnectionIsDestroyed) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        TaskGroup group(runtime());
        std::vector<Errc> codes;
        const std::string text = pattern(more_than_the_system_buffers);
        auto receiver = [&]() -> Task<void> {
            auto slice = co_await pair.client->receive();
            CO_ASSERT(!slice);
            codes.push_back(slice.error().code);
        };
        auto sender = [&]() -> Task<void> {
            const Slice part{std::as_bytes(std::span{text})};
            auto sent = co_await pair.client->send(std::span{&part, 1});
            CO_ASSERT(!sent);
            codes.push_back(sent.error().code);
        };
        group.spawn(receiver());
        group.spawn(sender());
        co_await runtime().sleep_for(20ms);
        pair.client.reset();
        co_await group.join();
        CO_ASSERT(codes.size() == 2);
        for (const Errc code : codes) EXPECT_TRUE(code == Errc::closed || code == Errc::cancelled);
    };
    run(body());
}

TEST_P(Streams, ConnectingWhereNobodyListensIsRefused) {
    const Endpoint nobody = vacant();
    auto body = [&]() -> Task<void> {
        const ConnectOptions options;
        auto connection = co_await runtime().connect(nobody, options);
        CO_ASSERT(!connection);
        EXPECT_EQ(connection.error().code, Errc::refused);
        EXPECT_EQ(connection.error().subject, nobody.to_string());
    };
    run(body());
}

TEST_P(Streams, ConnectGivesUpAtItsDeadline) {
    auto body = [&]() -> Task<void> {
        // Nobody accepts, and the backlog is full: further handshakes stay unanswered.
        ListenOptions listen;
        listen.backlog = 1;
        auto listener = runtime().listen(Endpoint::loopback_v4(0), listen);
        CO_ASSERT_OK(listener);
        const Endpoint to = (*listener)->local();
        std::vector<std::unique_ptr<Connection>> waiting;
        for (int i = 0; i < 8; ++i) {
            ConnectOptions options;
            options.deadline = runtime().monotonic_now() + 100ms;
            auto connection = co_await runtime().connect(to, options);
            if (!connection) {
                EXPECT_EQ(connection.error().code, Errc::timed_out);
                EXPECT_GE(runtime().monotonic_now(), options.deadline);
                co_return;
            }
            waiting.push_back(std::move(*connection));
        }
        ADD_FAILURE() << "a backlog of one took eight connections";
    };
    run(body());
}

TEST_P(Streams, ADeadlineInThePastConnectsToNobody) {
    auto body = [&]() -> Task<void> {
        auto listener = runtime().listen(Endpoint::loopback_v4(0), ListenOptions{});
        CO_ASSERT_OK(listener);
        const Endpoint to = (*listener)->local();
        ConnectOptions options;
        options.deadline = runtime().monotonic_now() - 1ms;
        auto connection = co_await runtime().connect(to, options);
        CO_ASSERT(!connection);
        EXPECT_EQ(connection.error().code, Errc::timed_out);
    };
    run(body());
}

TEST_P(Streams, ATakenPortIsAddressInUseAndNamed) {
    auto first = runtime().listen(Endpoint::loopback_v4(0), ListenOptions{});
    ASSERT_TRUE(first.has_value());
    auto second = runtime().listen((*first)->local(), ListenOptions{});
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, Errc::address_in_use);
    EXPECT_EQ(second.error().subject, (*first)->local().to_string());
    const Endpoint at = (*first)->local();
    (*first)->close();
    auto third = runtime().listen(at, ListenOptions{});
    EXPECT_TRUE(third.has_value());
}

TEST_P(Streams, AForeignAddressIsNotAvailable) {
    const auto foreign = Endpoint::parse("192.0.2.77", 0);
    auto listener = runtime().listen(*foreign, ListenOptions{});
    ASSERT_FALSE(listener.has_value());
    EXPECT_EQ(listener.error().code, Errc::address_not_available);
    EXPECT_EQ(listener.error().subject, "192.0.2.77:0");
}

TEST_P(Streams, ClosingTheListenerEndsAcceptAndRefusesTheNext) {
    auto body = [&]() -> Task<void> {
        auto listener = runtime().listen(Endpoint::loopback_v4(0), ListenOptions{});
        CO_ASSERT_OK(listener);
        const Endpoint to = (*listener)->local();
        TaskGroup group(runtime());
        Errc code{};
        auto acceptor = [&]() -> Task<void> {
            auto connection = co_await (*listener)->accept();
            CO_ASSERT(!connection);
            code = connection.error().code;
        };
        group.spawn(acceptor());
        co_await runtime().sleep_for(5ms);
        (*listener)->close();
        co_await group.join();
        EXPECT_EQ(code, Errc::closed);
        auto again = co_await (*listener)->accept();
        CO_ASSERT(!again);
        EXPECT_EQ(again.error().code, Errc::closed);
        const ConnectOptions options;
        auto connection = co_await runtime().connect(to, options);
        CO_ASSERT(!connection);
        EXPECT_EQ(connection.error().code, Errc::refused);
    };
    run(body());
}

TEST_P(Streams, IPv6IsServedLikeIPv4) {
    const auto loopback = Endpoint::parse("::1", 0);
    ASSERT_TRUE(loopback.has_value());
    auto probe = runtime().listen(*loopback, ListenOptions{});
    if (!probe) {
        std::printf("not run: Streams.IPv6IsServedLikeIPv4 (%s; enable IPv6 on the loopback interface)\n",
                    probe.error().message().c_str());
        return;
    }
    (*probe)->close();
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair(*loopback);
        CO_ASSERT(pair.server);
        EXPECT_EQ(pair.client->remote().family, Endpoint::Family::V6);
        auto sent = co_await send_text(*pair.client, "six");
        CO_ASSERT_OK(sent);
        const auto got = co_await receive_text(*pair.server, 3);
        EXPECT_EQ(got, "six");
    };
    run(body());
}

TEST_P(Streams, SlicesOutliveTheirConnection) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        std::vector<Slice> kept;
        std::string expected;
        for (std::size_t i = 0; i < 200; ++i) {
            const std::string text = pattern(1000 + i, i);
            auto sent = co_await send_text(*pair.client, text);
            CO_ASSERT_OK(sent);
            std::size_t left = text.size();
            while (left > 0) {
                auto slice = co_await pair.server->receive();
                CO_ASSERT_OK(slice);
                EXPECT_TRUE(slice->owned());
                left -= slice->size();
                kept.push_back(std::move(*slice));
            }
            expected += text;
        }
        pair.server.reset();
        pair.client.reset();
        // A new connection must not be given the memory that is still looked at.
        auto other = co_await connect_pair();
        CO_ASSERT(other.server);
        auto sent = co_await send_text(*other.client, std::string(100'000, 'x'));
        CO_ASSERT_OK(sent);
        const auto noise = co_await receive_text(*other.server, 100'000);
        EXPECT_EQ(noise.size(), 100'000U);
        std::string got;
        for (const Slice& slice : kept) got += slice.text();
        EXPECT_TRUE(got == expected);
    };
    run(body());
}

TEST_P(Streams, AFloodLeavesOthersTheirTurn) {
    auto body = [&]() -> Task<void> {
        auto flood = co_await connect_pair();
        auto quiet = co_await connect_pair();
        CO_ASSERT(flood.server && quiet.server);
        bool stop = false;
        const std::string text = pattern(1 << 20);
        TaskGroup group(runtime());
        auto sender = [&]() -> Task<void> {
            const Slice part{std::as_bytes(std::span{text})};
            while (!stop) {
                auto sent = co_await flood.client->send(std::span{&part, 1});
                CO_ASSERT_OK(sent);
            }
            flood.client->close(Close::Graceful);
        };
        auto receiver = [&]() -> Task<void> {
            const auto end = co_await receive_end(*flood.server);
            EXPECT_EQ(end, Errc::end_of_stream);
        };
        group.spawn(sender());
        group.spawn(receiver());
        for (int round = 0; round < 20; ++round) {
            auto slept = co_await runtime().sleep_for(1ms);
            CO_ASSERT_OK(slept);
            auto sent = co_await send_text(*quiet.client, "tick");
            CO_ASSERT_OK(sent);
            const auto got = co_await receive_text(*quiet.server, 4);
            EXPECT_EQ(got, "tick");
        }
        stop = true;
        co_await group.join();
    };
    run(body());
}

TEST_P(Streams, AThousandConnectionsEcho) {
    auto body = [&]() -> Task<void> {
        constexpr int count = 1000;
        auto listener = runtime().listen(Endpoint::loopback_v4(0), ListenOptions{});
        CO_ASSERT_OK(listener);
        const Endpoint to = (*listener)->local();
        TaskGroup group(runtime());
        int echoed = 0;
        auto echo = [](std::unique_ptr<Connection> connection) -> Task<void> {
            for (;;) {
                auto slice = co_await connection->receive();
                if (!slice) {
                    EXPECT_EQ(slice.error().code, Errc::end_of_stream);
                    co_return;
                }
                auto sent = co_await connection->send(std::span{&*slice, 1});
                CO_ASSERT_OK(sent);
            }
        };
        auto server = [&]() -> Task<void> {
            for (int i = 0; i < count; ++i) {
                auto connection = co_await (*listener)->accept();
                CO_ASSERT_OK(connection);
                group.spawn(echo(std::move(*connection)));
            }
        };
        Notifier met(runtime());
        int arrived = 0;
        auto client = [&](int i) -> Task<void> {
            const ConnectOptions options;
            auto connection = co_await runtime().connect(to, options);
            CO_ASSERT_OK(connection);
            const std::string text = pattern(static_cast<std::size_t>(100 + i));
            auto sent = co_await send_text(**connection, text);
            CO_ASSERT_OK(sent);
            const auto got = co_await receive_text(**connection, text.size());
            if (got == text) ++echoed;
            if (++arrived == count) met.notify();
            // All are open at once.
            while (arrived < count) co_await runtime().sleep_for(5ms);
            (*connection)->close(Close::Graceful);
            const auto end = co_await receive_end(**connection);
            // The echo's destructor comes right after our end: an orderly end or a reset.
            EXPECT_TRUE(end == Errc::end_of_stream || end == Errc::reset);
        };
        group.spawn(server());
        for (int i = 0; i < count; ++i) group.spawn(client(i));
        auto all = co_await met.wait();
        CO_ASSERT_OK(all);
        co_await group.join();
        EXPECT_EQ(echoed, count);
    };
    run(body());
}

} // namespace muster::net::test
