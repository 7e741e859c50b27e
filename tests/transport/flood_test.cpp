// SPDX-License-Identifier: Apache-2.0
/// One link that sends as fast as it can: the others get their turn, and what it asks for has a limit.
#include <algorithm>
#include <string>
#include <vector>

#include "harness.hpp"
#include "link/answer_rate.hpp"
#include "raw_peer.hpp"

namespace muster::test {
namespace {

using namespace std::chrono_literals;
using transport::AnswerRate;

class Flood : public TransportTest {
protected:
    void SetUp() override { victim_ = node(); }
    void TearDown() override { stop(*victim_); }

    void greet(RawPeer& raw) {
        raw.dial(*victim_->address().port);
        wire::Hello hello;
        hello.cluster_name = "test";
        hello.from = raw_self_;
        hello.to = victim_->address();
        raw.send(hello);
        ASSERT_TRUE(run_until([&] { return raw.first<wire::HelloReply>().has_value(); }));
        ASSERT_TRUE(victim_->handler.saw(raw_self_, LinkEvent::Accepted));
    }
    static std::string bytes_of(const ClusterMessage& message) {
        return std::string{wire::encode_frame(wire::ClusterFrame{message}).value().text()};
    }
    /// So many of one message, as one piece.
    static std::string many(const ClusterMessage& message, std::size_t count) {
        const std::string one = bytes_of(message);
        std::string all;
        for (std::size_t i = 0; i < count; ++i) all += one;
        return all;
    }
    template <class M>
    std::size_t received() const {
        return static_cast<std::size_t>(std::ranges::count_if(
            victim_->handler.messages, [](const auto& r) { return std::holds_alternative<M>(r.message); }));
    }

    std::unique_ptr<Node> victim_;
    const UniqueAddress raw_self_{Address::remote("akka.tcp", "test", "10.9.8.7", 1234), Uid{42}};
};
INSTANTIATE_TEST_SUITE_P(On, Flood, testing::ValuesIn(backends()), backend_name);

class FloodInVirtualTime : public Flood {};
INSTANTIATE_TEST_SUITE_P(On, FloodInVirtualTime, testing::ValuesIn(simulated_backend()), backend_name);

class FloodOnSockets : public Flood {};
INSTANTIATE_TEST_SUITE_P(On, FloodOnSockets, testing::ValuesIn(real_backends()), backend_name);

TEST_P(Flood, HeartbeatsAboveTheRateAreDroppedAndCountedAndTheLinkStays) {
    RawPeer raw{*runtime_};
    greet(raw);
    constexpr std::size_t sent = 50'000;
    raw.send(many(Heartbeat{raw_self_.address(), 1, 1}, sent));
    ASSERT_TRUE(run_until([&] {
        return received<Heartbeat>() + static_cast<std::size_t>(metric("transport.messages.dropped.rate")) ==
               sent;
    }));
    EXPECT_GE(received<Heartbeat>(), static_cast<std::size_t>(AnswerRate::heartbeats_burst));
    EXPECT_GT(metric("transport.messages.dropped.rate"), 0);
    EXPECT_TRUE(logged_about("transport.link.flood", raw_self_.address().to_string()));
    // Something that asks for nothing passes.
    raw.send(wire::ClusterFrame{ClusterMessage{SeenAck{raw_self_, victim_->self(), {}}}});
    EXPECT_TRUE(run_until([&] { return received<SeenAck>() == 1; }));
    EXPECT_FALSE(raw.end().has_value());
}

TEST_P(FloodInVirtualTime, EachKindHasItsBurstAndItsRate) {
    RawPeer raw{*runtime_};
    greet(raw);
    raw.send(many(InitJoin{raw_self_.address(), {}}, 10'000));
    run_for(1ms);
    EXPECT_EQ(received<InitJoin>(), static_cast<std::size_t>(AnswerRate::requests_burst));
    raw.send(many(Heartbeat{raw_self_.address(), 1, 1}, 10));
    run_for(1ms);
    EXPECT_EQ(received<Heartbeat>(), 10U) << "the flood was of another kind";
    run_for(1s);
    raw.send(many(InitJoin{raw_self_.address(), {}}, 10'000));
    run_for(1ms);
    EXPECT_EQ(received<InitJoin>(),
              static_cast<std::size_t>(AnswerRate::requests_burst + AnswerRate::requests_per_second));
}

TEST_P(FloodInVirtualTime, AnHonestPeerIsFarBelowTheRate) {
    RawPeer raw{*runtime_};
    greet(raw);
    for (int i = 0; i < 2'000; ++i) { // a hundred times as often as by default
        raw.send(wire::ClusterFrame{ClusterMessage{Heartbeat{raw_self_.address(), i, i}}});
        run_for(10ms);
    }
    EXPECT_EQ(received<Heartbeat>(), 2'000U);
    EXPECT_EQ(metric("transport.messages.dropped.rate"), 0);
}

/// Frames that take a while, and a timer that is always due: how many frames are handled between two of its
/// turns?
TEST_P(FloodOnSockets, TimersAndOthersGetTheirTurnBetweenSlowFrames) {
    RawPeer raw{*runtime_};
    greet(raw);
    constexpr std::size_t frames = 50;
    victim_->handler.also = [this] {
        const Instant end = runtime_->monotonic_now() + 1ms;
        while (runtime_->monotonic_now() < end) {
        }
    };
    std::vector<std::size_t> seen;
    std::function<void()> look = [&] {
        seen.push_back(received<SeenAck>());
        if (seen.back() < frames) runtime_->schedule(runtime_->monotonic_now(), [&] { look(); });
    };
    raw.send(many(SeenAck{raw_self_, victim_->self(), {}}, frames));
    runtime_->schedule(runtime_->monotonic_now(), [&] { look(); });
    ASSERT_TRUE(run_until([&] { return !seen.empty() && seen.back() == frames; }));
    std::size_t most = 0;
    for (std::size_t i = 1; i < seen.size(); ++i) most = std::max(most, seen[i] - seen[i - 1]);
    EXPECT_LE(most, 2U);
    EXPECT_GE(metric("transport.turns.over"), static_cast<std::int64_t>(frames) - 2);
}

TEST_P(Flood, EveryTellOfManyTurnsArrivesInOrder) {
    RawPeer raw{*runtime_};
    greet(raw);
    constexpr std::size_t frames = 20'000;
    std::string all;
    for (std::size_t i = 0; i < frames; ++i) {
        const std::string number = std::to_string(i);
        all += wire::encode_frame(
                   wire::RemoteTell{
                       "akka.tcp://test@h:1/user/a", number, Slice::copy_of(std::string(100, 'x')), {}})
                   .value()
                   .text();
    }
    raw.send(all);
    ASSERT_TRUE(run_until([&] { return victim_->sink->count() == frames; }));
    const auto records = victim_->sink->records();
    for (std::size_t i = 0; i < frames; ++i) ASSERT_EQ(records[i].manifest, std::to_string(i));
}

/// The acceptor of a link may say only Goodbye, but a newer one may say what is not understood: without an
/// end, too.
TEST_P(Flood, AnAcceptorThatNeverEndsItsFramesDoesNotHoldTheLoop) {
    RawPeer acceptor{*runtime_};
    const std::uint16_t port = acceptor.listen();
    const Address there = Address::remote("akka.tcp", "test", "127.0.0.1", port);
    victim_->transport->tell(there, Told{}.tell());
    ASSERT_TRUE(run_until([&] { return acceptor.first<wire::Hello>().has_value(); }));
    wire::HelloReply reply;
    reply.version_max = wire_version_max + 1;
    reply.cluster_name = "test";
    reply.from = UniqueAddress{there, Uid{7}};
    reply.answer = wire::HelloAccepted{};
    acceptor.send(reply);
    ASSERT_TRUE(run_until([&] { return victim_->handler.saw(reply.from, LinkEvent::Established); }));
    const std::string unknown{"\0\0\0\x04\x7fxyz", 8};
    std::string all;
    while (all.size() < 2U << 20U) all += unknown;
    const auto frames = static_cast<std::int64_t>(all.size() / unknown.size());
    acceptor.send(all);
    ASSERT_TRUE(run_until([&] { return metric("transport.frames.skipped.unknown") == frames; }));
    if (!GetParam().simulated) { // where time passes while frames are looked at
        EXPECT_GT(metric("transport.turns.over"), 0);
    }
    acceptor.close(net::Close::Graceful);
}

} // namespace
} // namespace muster::test
