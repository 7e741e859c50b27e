// SPDX-License-Identifier: Apache-2.0
/// The rules of one connection (protocol.md §16, wire.md, Frames), on the side that dialled it, in virtual
/// time.
#include "link_driver.hpp"

namespace muster::transport::test {
namespace {

using How = action::CloseStream::How;
using Outcome = action::Shaken::Outcome;
using wire::Goodbye;
using wire::GoodbyeReason;
using wire::HelloReply;
using wire::RefusalReason;

class Dialled : public LinkTest {
protected:
    Dialled() : LinkTest(Link::Role::Dialler) {}
    LinkDriver::Made dial() {
        return link.input([&](LinkActions& out) {
            link.link.dialled(peer.address(), link.now + 5s, LogLevel::Warning, out);
        });
    }
    HelloReply reply(const UniqueAddress& from) const {
        return answer_hello({"test", from, {}}, make_hello(node.me, from.address()), false);
    }
    HelloReply refused(RefusalReason reason, const UniqueAddress& from) const {
        return refuse({"test", from, {}}, reason, "because");
    }
    LinkDriver::Made open() {
        dial();
        link.written();
        return link.frame(reply(peer));
    }
};

class DialledHandshake : public Dialled {};
class DialledEnd : public Dialled {};

// --- the dialler's handshake

TEST_F(DialledHandshake, BeginsWithHelloAndEndsWithTheReply) {
    const auto hello = dial().said_a<wire::Hello>();
    ASSERT_TRUE(hello);
    EXPECT_EQ(hello->from, self);
    EXPECT_EQ(hello->to, peer.address());
    link.written();
    const auto made = link.frame(reply(peer));
    EXPECT_EQ(made.outcome(), Outcome::Open);
    EXPECT_TRUE(link.link.is_open());
    EXPECT_EQ(link.link.about().peer, peer);
    EXPECT_FALSE(link.link.deadline());
}

TEST_F(DialledHandshake, ThatIsNotAnsweredInTimeFails) {
    dial();
    link.written();
    EXPECT_TRUE(link.passes(5s).closed(How::Abort));
    const auto made = link.ended(Errc::closed);
    EXPECT_EQ(made.outcome(), Outcome::Failed);
    EXPECT_TRUE(made.counted(Counted::handshakes_timed_out));
    EXPECT_TRUE(link.over().all.empty());
}

TEST_F(DialledHandshake, ThatCannotBeWrittenOrReadFails) {
    dial();
    EXPECT_EQ(link.written(Error{Errc::reset, "peer", {}, {}}).outcome(), Outcome::Failed);
    for (const wire::ClusterFrame& wrong :
         {wire::ClusterFrame{Goodbye{}}, wire::ClusterFrame{make_hello(node.me, peer.address())}}) {
        LinkDriver one{Link::Role::Dialler, node};
        one.input([&](LinkActions& out) {
            one.link.dialled(peer.address(), one.now + 5s, LogLevel::Warning, out);
        });
        one.written();
        const auto made = one.frame(wrong);
        EXPECT_EQ(made.outcome(), Outcome::Failed);
        EXPECT_TRUE(made.counted(Counted::frames_malformed));
    }
}

TEST_F(DialledHandshake, WithSomebodyElseIsLeftWithAWord) {
    dial();
    link.written();
    const auto made = link.frame(reply(stranger));
    EXPECT_EQ(made.outcome(), Outcome::RefusedForGood);
    ASSERT_TRUE(made.said_a<Goodbye>());
    EXPECT_EQ(made.said_a<Goodbye>()->reason, GoodbyeReason::Protocol);
    EXPECT_FALSE(link.link.about().was_open);
}

TEST_F(DialledHandshake, OfAFormerIncarnationOfThisNodeIsLeftAndDoneAgain) {
    dial();
    link.written();
    node.me.self = node_of(1, 2);
    const auto made = link.frame(reply(peer));
    EXPECT_EQ(made.outcome(), Outcome::Renewed);
    EXPECT_EQ(made.said_a<Goodbye>()->reason, GoodbyeReason::Incarnation);
}

TEST_F(DialledHandshake, WithAQuarantinedPeerIsLeftAndOnlyTheHarmlessIsNotToldWhy) {
    node.quarantined.insert(peer);
    dial();
    link.written();
    const auto told = link.frame(reply(peer));
    EXPECT_EQ(told.outcome(), Outcome::Quarantined);
    EXPECT_EQ(told.said_a<Goodbye>()->reason, GoodbyeReason::Quarantined);
    node.harmless.insert(peer);
    LinkDriver other{Link::Role::Dialler, node};
    other.input([&](LinkActions& out) {
        other.link.dialled(peer.address(), other.now + 5s, LogLevel::Warning, out);
    });
    other.written();
    EXPECT_EQ(other.frame(reply(peer)).said_a<Goodbye>()->reason, GoodbyeReason::Link);
}

TEST_F(DialledHandshake, ThatIsRefusedIsTriedAgainOnlyWhereThatMayHelp) {
    for (const auto& row : wire::refusal_reasons) {
        LinkDriver one{Link::Role::Dialler, node};
        one.input([&](LinkActions& out) {
            one.link.dialled(peer.address(), one.now + 5s, LogLevel::Warning, out);
        });
        one.written();
        const auto made = one.frame(refused(row.reason, peer));
        const bool later = row.reason == RefusalReason::Overloaded || row.reason == RefusalReason::Stopping;
        EXPECT_EQ(made.outcome(), later ? Outcome::RefusedForNow : Outcome::RefusedForGood) << row.name;
        EXPECT_EQ(made.has<action::PeerStops>(), row.reason == RefusalReason::Stopping);
        EXPECT_EQ(made.has<action::ReportQuarantinedBy>(), row.reason == RefusalReason::Quarantined);
    }
}

TEST_F(DialledHandshake, QuarantinesThisNodeInTheAcceptorsOwnNameOnly) {
    dial();
    link.written();
    EXPECT_FALSE(
        link.frame(refused(RefusalReason::Quarantined, stranger)).has<action::ReportQuarantinedBy>());
}

// --- the end of a dialled link

TEST_F(DialledEnd, WhenIdleIsAGoodbyeAndALimitedLinger) {
    open();
    EXPECT_FALSE(link.flushed().said()) << "nothing is due";
    link.passes(test_limits.idle_timeout - 1ms);
    EXPECT_EQ(link.link.due(), Link::Due::Nothing);
    link.passes(1ms);
    ASSERT_EQ(link.link.due(), Link::Due::WhenFlushed);
    const auto made = link.flushed();
    EXPECT_EQ(made.said_a<Goodbye>()->reason, GoodbyeReason::Link);
    EXPECT_TRUE(made.counted(Counted::links_idle_closed));
    EXPECT_FALSE(link.link.deadline()) << "what was sent before it has time to be taken";
    EXPECT_TRUE(link.written().closed(How::Graceful));
    EXPECT_EQ(link.link.deadline(), link.now + linger_max);
    EXPECT_EQ(link.over().reported(), std::vector{LinkEvent::GoodbyeLink});
    EXPECT_TRUE(link.passes(linger_max).closed(How::Abort));
}

TEST_F(DialledEnd, ForIdlenessIsTakenBackBySomethingToSend) {
    open();
    link.passes(test_limits.idle_timeout);
    ASSERT_EQ(link.link.due(), Link::Due::WhenFlushed);
    link.link.sending(link.now);
    EXPECT_EQ(link.link.due(), Link::Due::Nothing);
    link.link.sent();
    link.close(GoodbyeReason::Stopping);
    link.link.sending(link.now);
    EXPECT_EQ(link.link.due(), Link::Due::WhenFlushed) << "but no other goodbye";
}

TEST_F(DialledEnd, WaitsForWhatIsQueuedUnlessNobodyMayHaveIt) {
    open();
    link.close(GoodbyeReason::Stopping);
    EXPECT_EQ(link.link.due(), Link::Due::WhenFlushed);
    link.close(GoodbyeReason::Quarantined);
    EXPECT_EQ(link.link.due(), Link::Due::AtOnce);
    link.close(GoodbyeReason::Stopping);
    EXPECT_EQ(link.flushed().said_a<Goodbye>()->reason, GoodbyeReason::Quarantined) << "stopping yields";
}

TEST_F(DialledEnd, ForALinkOnWhichNothingMovesIsNoEvidence) {
    open();
    link.link.sending(link.now);
    EXPECT_FALSE(link.passes(test_limits.half_open_timeout - 1ms).closed(How::Abort));
    EXPECT_TRUE(link.passes(1ms).closed(How::Abort));
    link.input([&](LinkActions&) { link.link.send_failed(Error{Errc::closed, {}, {}, {}}, link.now); });
    link.ended(Errc::closed);
    EXPECT_EQ(link.link.loss(), LinkEnd::Silent);
    const auto made = link.over();
    EXPECT_EQ(made.reported(), std::vector{LinkEvent::GoodbyeLink});
    EXPECT_TRUE(made.counted(Counted::links_half_open));
}

TEST_F(DialledEnd, WithoutAWordIsEvidence) {
    open();
    EXPECT_TRUE(link.ended(Errc::reset).closed(How::Abort));
    EXPECT_EQ(link.link.loss(), LinkEnd::Broken);
    EXPECT_EQ(link.over().reported(), std::vector{LinkEvent::EndedWithoutGoodbye});
}

TEST_F(DialledEnd, ByAFailedSendStillHearsTheGoodbyeThatExplainsIt) {
    open();
    link.link.sending(link.now);
    link.link.send_failed(Error{Errc::reset, {}, {}, {}}, link.now);
    EXPECT_EQ(link.link.phase(), Phase::Broken);
    EXPECT_TRUE(link.frame(Goodbye{GoodbyeReason::Stopping, {}}).closed(How::Abort));
    EXPECT_EQ(link.over().reported(), std::vector{LinkEvent::GoodbyeStopping});
}

TEST_F(DialledEnd, ByAFailedSendWaitsForAGoodbyeATenthOfASecond) {
    open();
    link.link.sending(link.now);
    link.link.send_failed(Error{Errc::reset, {}, {}, {}}, link.now);
    EXPECT_EQ(link.link.deadline(), link.now + Link::linger_after_failure);
    EXPECT_TRUE(link.passes(Link::linger_after_failure).closed(How::Abort));
    link.ended(Errc::closed);
    EXPECT_EQ(link.link.loss(), LinkEnd::Broken);
}

TEST_F(DialledEnd, ByTheirGoodbyeLetsASendInFlightEnd) {
    open();
    link.link.sending(link.now);
    const auto made = link.frame(Goodbye{GoodbyeReason::Superseded, {}});
    EXPECT_TRUE(made.closed(How::Graceful));
    EXPECT_FALSE(made.closed(How::Abort));
    EXPECT_FALSE(link.link.is_open());
    EXPECT_EQ(link.link.deadline(), link.now + linger_max);
    EXPECT_EQ(link.link.loss(), std::nullopt);
}

TEST_F(DialledEnd, ByGoodbyeQuarantinedIsReportedSinceThisNodeDialledThere) {
    open();
    EXPECT_TRUE(link.frame(Goodbye{GoodbyeReason::Quarantined, {}}).has<action::ReportQuarantinedBy>());
}

TEST_F(DialledEnd, ByAGoodbyeAboutTheOwnAddressIsAnError) {
    open();
    EXPECT_TRUE(link.frame(Goodbye{GoodbyeReason::Overloaded, taken_detail(self, node_of(1, 4))})
                    .logged("transport.address.denied"));
}

TEST_F(DialledEnd, ByAnAcceptorThatSaysMoreThanGoodbyeIsNoEvidence) {
    open();
    const auto made = link.frame(ClusterMessage{Heartbeat{peer.address(), 1, 0}});
    EXPECT_FALSE(made.has<action::Deliver>());
    EXPECT_TRUE(made.counted(Counted::frames_malformed));
    EXPECT_TRUE(made.closed(How::Abort));
    EXPECT_EQ(link.link.loss(), std::nullopt);
    const auto over = link.over();
    EXPECT_EQ(over.reported(), std::vector{LinkEvent::GoodbyeLink});
    EXPECT_FALSE(over.counted(Counted::links_broken));
}

TEST_F(DialledEnd, ByAnotherIncarnationAtTheAddressIsALoss) {
    open();
    const auto made =
        link.input([&](LinkActions& out) { link.link.superseded(node_of(2, 8), link.now, out); });
    EXPECT_TRUE(made.closed(How::Abort));
    EXPECT_FALSE(link.link.is_open());
    EXPECT_EQ(link.link.loss(), LinkEnd::Broken);
}

TEST_F(DialledEnd, WhatComesBehindTheOwnGoodbyeIsNotActedOn) {
    open();
    link.close(GoodbyeReason::Stopping);
    link.flushed();
    const auto made = link.frame(Goodbye{GoodbyeReason::Quarantined, {}});
    EXPECT_TRUE(made.all.empty());
    EXPECT_TRUE(link.goes_on);
}

} // namespace
} // namespace muster::transport::test
