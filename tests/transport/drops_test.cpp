// SPDX-License-Identifier: Apache-2.0
/// Nothing disappears unseen: what was sent is delivered or in a counter.
#include <stdexcept>
#include <string>
#include <vector>

#include "harness.hpp"
#include "raw_peer.hpp"

namespace muster::test {
namespace {

using namespace std::chrono_literals;

class Drops : public TransportTest {
protected:
    std::int64_t dropped_on_arrival() {
        std::int64_t sum = 0;
        for (const char* reason : {"closing", "no_sink", "sink_failed", "foreign_sender"})
            sum += metric(std::string{"transport.tells.dropped."} + reason);
        return sum;
    }
    std::int64_t dropped_before_they_left() {
        std::int64_t sum = 0;
        for (const char* reason :
             {"link_ended", "unreachable", "refused", "other_incarnation", "quarantined", "shutdown"})
            sum += metric(std::string{"transport.tells.dropped."} + reason);
        return sum;
    }
    /// A connection in the name of `node`, as one that its own peer takes for half open would be followed by.
    void connect_as(RawPeer& raw, const UniqueAddress& node, const UniqueAddress& to) {
        raw.dial(*to.address().port);
        wire::Hello hello;
        hello.cluster_name = "test";
        hello.from = node;
        hello.to = to.address();
        raw.send(hello);
    }
};
INSTANTIATE_TEST_SUITE_P(On, Drops, testing::ValuesIn(backends()), backend_name);

TEST_P(Drops, WhatWasSentOnSupersededLinksIsDeliveredOrCounted) {
    const auto a = node();
    const auto b = node();
    const std::string text(2'000, 't');
    std::int64_t accepted = 0;
    const auto tell_some = [&] {
        for (int i = 0; i < 200; ++i)
            accepted +=
                a->transport->tell(b->address(), Told{.text = text}.tell()) == TellResult::Queued ? 1 : 0;
    };
    std::vector<std::unique_ptr<RawPeer>> later;
    for (int round = 0; round < 8; ++round) {
        const std::int64_t established = metric("transport.handshakes.done");
        tell_some();
        ASSERT_TRUE(run_until([&] { return b->sink->count() > 0; }));
        later.push_back(std::make_unique<RawPeer>(*runtime_));
        connect_as(*later.back(), a->self(), b->self());
        ASSERT_TRUE(run_until([&] {
            tell_some(); // so that something is always on its way
            return metric("transport.handshakes.done") > established &&
                   metric("transport.links.superseded") > round;
        }));
        later.back()->close(net::Close::Graceful);
    }
    ASSERT_TRUE(
        run_until([&] { return metric("transport.tells.sent") + dropped_before_they_left() == accepted; }));
    ASSERT_TRUE(run_until([&] {
        return metric("transport.tells.delivered") + dropped_on_arrival() == metric("transport.tells.sent");
    })) << metric("transport.tells.sent")
        << " sent, " << metric("transport.tells.delivered") << " delivered, " << dropped_on_arrival()
        << " dropped";
    EXPECT_GT(metric("transport.tells.dropped.closing"), 0) << "the test is about these";
    EXPECT_EQ(metric("transport.tells.delivered"), static_cast<std::int64_t>(b->sink->count()));
    stop(*a);
    stop(*b);
}

TEST_P(Drops, WhatArrivesAfterThisSideSaidGoodbyeIsCounted) {
    const auto a = node();
    RawPeer raw{*runtime_};
    const UniqueAddress self{Address::remote("akka.tcp", "test", "10.9.8.7", 1234), Uid{42}};
    connect_as(raw, self, a->self());
    ASSERT_TRUE(run_until([&] { return a->handler.saw(self, LinkEvent::Accepted); }));
    a->transport->quarantine(self, false);
    ASSERT_TRUE(run_until([&] { return raw.first<wire::Goodbye>().has_value(); }));
    const std::string tell{
        wire::encode_frame(wire::RemoteTell{"akka.tcp://test@h:1/user/a", "m", Slice::copy_of("text"), {}})
            .value()
            .text()};
    const std::string heartbeat{
        wire::encode_frame(ClusterMessage{Heartbeat{self.address(), 1, 1}}).value().text()};
    raw.send(tell + tell + heartbeat + tell + "\xff\xff\xff\xff no frame");
    ASSERT_TRUE(run_until([&] { return metric("transport.tells.dropped.closing") == 3; }));
    EXPECT_EQ(metric("transport.messages.dropped.closing"), 1);
    raw.send("12345");
    EXPECT_TRUE(run_until([&] { return metric("transport.bytes.discarded") == 5; }));
    EXPECT_EQ(a->sink->count(), 0U);
    stop(*a);
}

TEST_P(Drops, ATellWithoutASinkIsNotDelivered) {
    const auto a = node();
    Node b;
    b.transport = std::move(TcpClusterTransport::listen(*runtime_, options()).value());
    b.transport->start(b.handler, nullptr);
    a->transport->tell(b.address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return metric("transport.tells.dropped.no_sink") == 1; }));
    EXPECT_EQ(metric("transport.tells.delivered"), 0);
    b.transport->tell(b.address(), Told{}.tell());
    EXPECT_TRUE(run_until([&] { return metric("transport.tells.dropped.no_sink") == 2; })) << "to itself";
    stop(*a);
    stop(b);
}

TEST_P(Drops, ATellThatTheSinkDidNotTakeIsNotDelivered) {
    struct Failing final : RemoteMessageSink {
        void deliver(std::string_view, std::string_view, const Slice&,
                     std::optional<std::string_view>) override {
            throw std::runtime_error("no");
        }
    };
    const auto a = node();
    Node b;
    b.transport = std::move(TcpClusterTransport::listen(*runtime_, options()).value());
    b.transport->start(b.handler, std::make_shared<Failing>());
    a->transport->tell(b.address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return metric("transport.tells.dropped.sink_failed") == 1; }));
    EXPECT_EQ(metric("transport.tells.delivered"), 0);
    stop(*a);
    stop(b);
}

TEST_P(Drops, ATellThatMayWaitForRoomIsCountedWhenItIsRefused) {
    auto with = options();
    with.frame_bytes_max = 4096;
    const auto a = node(with);
    const auto b = node(with);
    std::vector<TellResult> answers;
    const auto note = [&](TellResult r) { answers.push_back(r); };
    a->transport->tell_when_room(b->address(), Told{.text = std::string(5000, 'x')}.tell(), note);
    a->transport->tell_when_room(b->address(), Told{.path = "\xff"}.tell(), note);
    ASSERT_TRUE(run_until([&] { return answers.size() == 2; }));
    EXPECT_EQ(answers, (std::vector{TellResult::TooLarge, TellResult::NoRoute}));
    EXPECT_EQ(metric("transport.tells.refused.too_large"), 1);
    EXPECT_EQ(metric("transport.tells.refused.not_utf8"), 1);
    stop(*a);
    stop(*b);
}

} // namespace
} // namespace muster::test
