// SPDX-License-Identifier: Apache-2.0
/// What somebody who is no member may have of a node: answers where it lives, its share of places and memory,
/// and no more.
#include <algorithm>
#include <new>
#include <string>
#include <vector>

#include "harness.hpp"
#include "link/answer_route.hpp"
#include "raw_peer.hpp"

namespace muster::test {
namespace {

using namespace std::chrono_literals;
using transport::StrangerDials;

class Strangers : public TransportTest {
protected:
    void start(TcpTransportOptions with) { victim_ = node(std::move(with)); }
    void TearDown() override {
        if (victim_) stop(*victim_);
    }
    std::uint16_t port() const { return *victim_->address().port; }
    static UniqueAddress named(std::uint16_t number) {
        return {Address::remote("akka.tcp", "test", "127.0.0.1", number), Uid{number}};
    }
    /// Says Hello as `self`; whether it was accepted.
    bool greet(RawPeer& raw, const UniqueAddress& self) {
        raw.dial(port());
        wire::Hello hello;
        hello.cluster_name = "test";
        hello.from = self;
        hello.to = victim_->address();
        raw.send(hello);
        EXPECT_TRUE(
            run_until([&] { return raw.first<wire::HelloReply>().has_value() || raw.end().has_value(); }));
        const auto reply = raw.first<wire::HelloReply>();
        return reply && std::holds_alternative<wire::HelloAccepted>(reply->answer);
    }
    static std::string part_of_frame(std::size_t length, std::size_t bytes) {
        std::string text(4, '\0');
        wire::put_frame_length(reinterpret_cast<std::byte*>(text.data()), length);
        return text + std::string(bytes, '\x01');
    }
    void answer(const Address& to) { victim_->transport->send(to, HeartbeatReply{victim_->self(), 1, 1}); }
    std::int64_t dials() { return metric("net.connect.opened") + metric("net.connect.failed"); }

    std::unique_ptr<Node> victim_;
};
INSTANTIATE_TEST_SUITE_P(On, Strangers, testing::ValuesIn(backends()), backend_name);

class StrangersInVirtualTime : public Strangers {};
INSTANTIATE_TEST_SUITE_P(On, StrangersInVirtualTime, testing::ValuesIn(simulated_backend()), backend_name);

// --- answers

TEST_P(Strangers, AnAnswerToAnAddressThatNobodyAskedFromIsDropped) {
    start(options());
    for (std::uint16_t i = 1; i <= 1000; ++i) answer(named(i).address());
    victim_->transport->send(named(1).address(), InitJoinAck{victim_->address(), {}, {}});
    victim_->transport->send(named(1), NotMember{victim_->self(), named(1)});
    run_for(50ms);
    EXPECT_EQ(dials(), 0);
    EXPECT_EQ(metric("transport.messages.dropped.stranger"), 1002);
    EXPECT_EQ(metric("transport.associations"), 0);
}

TEST_P(Strangers, AnAnswerGoesToTheAddressOfTheAskingLinksHello) {
    start(options());
    RawPeer listening{*runtime_};
    const UniqueAddress self = named(listening.listen());
    RawPeer asking{*runtime_};
    ASSERT_TRUE(greet(asking, self));
    answer(self.address());
    EXPECT_TRUE(run_until([&] { return listening.first<wire::Hello>().has_value(); }));
    EXPECT_EQ(metric("transport.messages.dropped.stranger"), 0);
    listening.close(net::Close::Abort);
}

TEST_P(Strangers, MembersAndSeedsAreAnsweredWithoutHavingAsked) {
    start(options());
    RawPeer listening{*runtime_};
    const UniqueAddress self = named(listening.listen());
    victim_->handler.acquainted.insert(self.address());
    answer(self.address());
    EXPECT_TRUE(run_until([&] { return listening.first<wire::Hello>().has_value(); }));
    listening.close(net::Close::Abort);
}

TEST_P(Strangers, AFailedDialForAnAnswerIsNotRepeated) {
    start(options());
    RawPeer asking{*runtime_};
    const UniqueAddress self = named(unused_port(*runtime_));
    ASSERT_TRUE(greet(asking, self));
    answer(self.address());
    ASSERT_TRUE(run_until([&] { return metric("transport.connects.failed") == 1; }));
    run_for(500ms);
    EXPECT_EQ(metric("transport.connects.failed"), 1);
    EXPECT_EQ(metric("transport.messages.dropped.stranger"), 1);
}

TEST_P(StrangersInVirtualTime, SoManyUnfinishedDialsForAnswersAndASecondEach) {
    start(options());
    // Peers that take the connection and never reply.
    std::vector<std::unique_ptr<RawPeer>> silent;
    std::vector<std::unique_ptr<RawPeer>> asking;
    constexpr std::size_t count = StrangerDials::unfinished_max + 6;
    for (std::size_t i = 0; i < count; ++i) {
        silent.push_back(std::make_unique<RawPeer>(*runtime_));
        asking.push_back(std::make_unique<RawPeer>(*runtime_));
        const UniqueAddress self = named(silent.back()->listen());
        ASSERT_TRUE(greet(*asking.back(), self));
        asking.back()->send("");
        answer(self.address());
    }
    EXPECT_EQ(metric("transport.messages.dropped.stranger"), 6);
    run_for(StrangerDials::time_max + 10ms);
    EXPECT_EQ(metric("transport.messages.dropped.stranger"), static_cast<std::int64_t>(count))
        << "given up after a second";
    EXPECT_EQ(metric("transport.handshakes.timed_out"),
              static_cast<std::int64_t>(StrangerDials::unfinished_max));
    // And there is room for others.
    RawPeer listening{*runtime_};
    const UniqueAddress self = named(listening.listen());
    RawPeer last{*runtime_};
    ASSERT_TRUE(greet(last, self));
    answer(self.address());
    EXPECT_TRUE(run_until([&] { return listening.first<wire::Hello>().has_value(); }));
}

// --- memory

TEST_P(Strangers, UnfinishedFramesOfAllLinksHaveALimitInSum) {
    auto with = options();
    with.frame_bytes_max = 1U << 20U;
    with.assembly_bytes_max = 4U << 20U; // strangers: two frames
    start(with);
    std::vector<std::unique_ptr<RawPeer>> hogs;
    for (std::uint16_t i = 1; i <= 5; ++i) {
        hogs.push_back(std::make_unique<RawPeer>(*runtime_));
        ASSERT_TRUE(greet(*hogs.back(), named(i)));
        hogs.back()->send(part_of_frame(with.frame_bytes_max, 100'000));
    }
    ASSERT_TRUE(run_until([&] { return metric("transport.frames.refused.no_room") == 3; }));
    ASSERT_TRUE(run_until([&] {
        return std::ranges::count_if(hogs, [](const auto& h) { return h->end().has_value(); }) == 3;
    }));
    EXPECT_EQ(logged("transport.link.no_room"), 3U);
    for (const auto& hog : hogs)
        if (const auto goodbye = hog->first<wire::Goodbye>())
            EXPECT_EQ(goodbye->reason, wire::GoodbyeReason::Overloaded);
    // Small frames and members pass.
    const auto member = node(with);
    victim_->handler.acquainted.insert(member->address());
    const std::string large(900'000, 'm');
    member->transport->tell(victim_->address(), Told{.text = "small"}.tell());
    member->transport->tell(victim_->address(), Told{.text = large}.tell());
    EXPECT_TRUE(run_until([&] { return victim_->sink->count() == 2; }));
    stop(*member);
}

TEST_P(Strangers, AMembersFrameWaitsForMemory) {
    auto with = options();
    with.frame_bytes_max = 1U << 20U;
    with.assembly_bytes_max = 2U << 20U;
    start(with);
    std::vector<std::unique_ptr<RawPeer>> members;
    for (std::uint16_t i = 1; i <= 3; ++i) {
        victim_->handler.acquainted.insert(named(i).address());
        members.push_back(std::make_unique<RawPeer>(*runtime_));
        ASSERT_TRUE(greet(*members.back(), named(i)));
    }
    const std::string payload(1'000'000, 'p');
    const std::string tell{
        wire::encode_frame(wire::RemoteTell{"akka.tcp://test@h:1/user/a", "m", Slice::copy_of(payload), {}})
            .value()
            .text()};
    for (const auto& member : members) member->send(tell.substr(0, 500'000));
    ASSERT_TRUE(run_until([&] { return metric("transport.frames.waited") > 0; }));
    for (const auto& member : members) member->send(tell.substr(500'000));
    EXPECT_TRUE(run_until([&] { return victim_->sink->count() == 3; }));
    EXPECT_EQ(metric("transport.frames.refused.no_room"), 0);
}

TEST_P(Strangers, AFrameThatDoesNotEndInTimeEndsItsLink) {
    auto with = options();
    with.frame_timeout = 100ms;
    start(with);
    RawPeer slow{*runtime_};
    ASSERT_TRUE(greet(slow, named(1)));
    slow.send(part_of_frame(1'000'000, 10));
    // A byte now and then is no end.
    for (int i = 0; i < 100 && !slow.end(); ++i) {
        slow.send("x");
        run_for(10ms);
    }
    ASSERT_TRUE(run_until([&] { return slow.end().has_value(); }));
    EXPECT_EQ(metric("transport.frames.timed_out"), 1);
    EXPECT_EQ(logged("transport.link.frame_timed_out"), 1U);
}

TEST_P(Strangers, FramesThatFollowEachOtherAreNoSlowFrame) {
    auto with = options();
    with.frame_timeout = 100ms;
    start(with);
    RawPeer peer{*runtime_};
    ASSERT_TRUE(greet(peer, named(1)));
    const std::string tell{
        wire::encode_frame(wire::RemoteTell{"akka.tcp://test@h:1/user/a", "m", Slice::copy_of("text"), {}})
            .value()
            .text()};
    // Each piece ends one frame and begins the next.
    peer.send(tell.substr(0, 5));
    for (int i = 0; i < 40; ++i) {
        peer.send(tell.substr(5) + tell.substr(0, 5));
        run_for(10ms);
    }
    EXPECT_TRUE(run_until([&] { return victim_->sink->count() == 40; }));
    EXPECT_EQ(metric("transport.frames.timed_out"), 0);
    EXPECT_FALSE(peer.end().has_value());
}

TEST_P(Strangers, RunningOutOfMemoryEndsTheLinkAndNotTheProcess) {
    start(options());
    RawPeer raw{*runtime_};
    ASSERT_TRUE(greet(raw, named(1)));
    RawPeer other{*runtime_};
    ASSERT_TRUE(greet(other, named(2)));
    victim_->handler.also = [] { throw std::bad_alloc{}; };
    raw.send(wire::ClusterFrame{ClusterMessage{SeenAck{named(1), victim_->self(), {}}}});
    ASSERT_TRUE(run_until([&] { return raw.end().has_value(); }));
    EXPECT_EQ(metric("transport.links.no_memory"), 1);
    EXPECT_TRUE(logged_about("transport.link.no_memory", "inbound"));
    victim_->handler.also = nullptr;
    other.send(wire::ClusterFrame{ClusterMessage{SeenAck{named(2), victim_->self(), {}}}});
    EXPECT_TRUE(run_until([&] { return victim_->handler.messages.size() == 2; })) << "the others go on";
}

// --- places

TEST_P(Strangers, IdleStrangersLeaveATenthOfThePlacesToMembers) {
    auto with = options();
    with.inbound_connections_max = 20;
    start(with);
    std::vector<std::unique_ptr<RawPeer>> idle;
    for (std::uint16_t i = 1; i <= 18; ++i) {
        idle.push_back(std::make_unique<RawPeer>(*runtime_));
        ASSERT_TRUE(greet(*idle.back(), named(i)));
    }
    RawPeer one_more{*runtime_};
    EXPECT_FALSE(greet(one_more, named(19)));
    const auto reply = one_more.first<wire::HelloReply>();
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(std::get<wire::HelloRefused>(reply->answer).reason, wire::RefusalReason::Overloaded);
    EXPECT_EQ(metric("transport.accepts.refused.strangers"), 1);
    one_more.close(net::Close::Abort);
    RawPeer member{*runtime_};
    victim_->handler.acquainted.insert(named(20).address());
    EXPECT_TRUE(greet(member, named(20)));
}

TEST_P(Strangers, WhoSaysNothingMakesRoomForANewcomer) {
    auto with = options();
    with.inbound_connections_max = 10;
    with.handshake_timeout = 1h;
    start(with);
    std::vector<std::unique_ptr<RawPeer>> mute;
    for (int i = 0; i < 10; ++i) {
        mute.push_back(std::make_unique<RawPeer>(*runtime_));
        mute.back()->dial(port());
        ASSERT_TRUE(run_until([&] { return metric("net.accept.opened") == i + 1; }));
    }
    RawPeer member{*runtime_};
    victim_->handler.acquainted.insert(named(1).address());
    EXPECT_TRUE(greet(member, named(1)));
    EXPECT_EQ(metric("transport.accepts.displaced"), 1);
    EXPECT_TRUE(run_until([&] { return mute.front()->end().has_value(); }))
        << "whoever has been silent for longest";
    EXPECT_FALSE(mute.back()->end().has_value());
}

} // namespace
} // namespace muster::test
