// SPDX-License-Identifier: Apache-2.0
/// The rules of one connection (protocol.md §16, wire.md, Frames), on either side, in virtual time.
#include "link_driver.hpp"

namespace muster::transport::test {
namespace {

using How = action::CloseStream::How;
using Outcome = action::Shaken::Outcome;
using wire::Goodbye;
using wire::GoodbyeReason;
using wire::HelloRefused;
using wire::HelloReply;
using wire::RefusalReason;

/// A link of a node at port 1, whose peer is at port 2.
class LinkTest : public testing::Test {
protected:
    using Phase = Link::Phase;
    explicit LinkTest(Link::Role role) : link(role, node) {}

    const UniqueAddress self = node_of(1, 1);
    const UniqueAddress peer = node_of(2, 7);
    const UniqueAddress stranger = node_of(3, 9);
    TestNode node{self};
    LinkDriver link;
};

class Accepting : public LinkTest {
protected:
    Accepting() : LinkTest(Link::Role::Acceptor) {
        node.members.insert(peer.address());
        link.link.accepted("10.0.0.9:5555", link.now);
    }
    wire::Hello hello() const {
        wire::Hello hello = make_hello({"test", peer, {}}, self.address());
        return hello;
    }
    /// What the link answers to `hello`.
    std::optional<RefusalReason> refusal_of(const wire::ClusterFrame& hello) {
        const auto reply = link.frame(hello).said_a<HelloReply>();
        const auto* refused = reply ? std::get_if<HelloRefused>(&reply->answer) : nullptr;
        return refused ? std::optional{refused->reason} : std::nullopt;
    }
    LinkDriver::Made open() {
        link.frame(hello());
        return link.written();
    }
    Heartbeat heartbeat(const UniqueAddress& from) const { return {from.address(), 1, 0}; }
};

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

class Handshake : public Accepting {};
class ClaimedLink : public Accepting {};
class InboundFrames : public Accepting {};
class InboundEnd : public Accepting {};
class DialledHandshake : public Dialled {};
class DialledEnd : public Dialled {};

// --- the acceptor's handshake

TEST_F(Handshake, IsDoneWhenTheReplyIsWritten) {
    const auto made = link.frame(hello());
    const auto reply = made.said_a<HelloReply>();
    ASSERT_TRUE(reply);
    EXPECT_TRUE(std::holds_alternative<wire::HelloAccepted>(reply->answer));
    EXPECT_EQ(reply->from, self);
    EXPECT_FALSE(link.link.is_open());
    const auto opened = link.written();
    EXPECT_TRUE(opened.has<action::Opened>());
    EXPECT_TRUE(opened.counted(Counted::handshakes_done));
    EXPECT_TRUE(link.link.is_open());
    EXPECT_EQ(link.link.about().peer, peer);
    EXPECT_FALSE(link.link.deadline());
}

TEST_F(Handshake, RefusesWhatIsNoHello) {
    EXPECT_EQ(refusal_of(Goodbye{GoodbyeReason::Link, {}}), RefusalReason::Protocol);
}

TEST_F(Handshake, RefusesAFirstFrameThatIsTooLarge) {
    const auto made = link.input([&](LinkActions& out) {
        link.link.stuck(FrameReader::Next::TooLarge, 1'000'000, 65'536, link.now, out);
    });
    ASSERT_TRUE(made.said_a<HelloReply>());
    EXPECT_TRUE(made.counted(Counted::frames_too_large));
    EXPECT_TRUE(link.link.about().unreadable);
}

TEST_F(Handshake, ClosesInOrderAfterARefusalAndLingersForALimitedTime) {
    refusal_of(Goodbye{GoodbyeReason::Link, {}});
    const auto made = link.written();
    EXPECT_TRUE(made.closed(How::Graceful));
    EXPECT_EQ(link.link.phase(), Phase::Lingering);
    EXPECT_EQ(link.link.deadline(), link.now + linger_max);
    EXPECT_TRUE(link.passes(linger_max).closed(How::Abort));
    link.ended(Errc::closed);
    EXPECT_TRUE(link.over().all.empty()) << "it was said";
}

TEST_F(Handshake, EndsWhoeverSaysNothingInTime) {
    EXPECT_FALSE(link.passes(test_limits.handshake_timeout - 1ms).closed(How::Abort));
    EXPECT_TRUE(link.passes(1ms).closed(How::Abort));
    link.ended(Errc::closed);
    EXPECT_TRUE(link.over().counted(Counted::handshakes_timed_out));
}

TEST_F(Handshake, ThatEndsEarlyIsCounted) {
    link.ended(Errc::end_of_stream);
    const auto made = link.over();
    EXPECT_TRUE(made.counted(Counted::handshakes_failed));
    EXPECT_TRUE(made.reported().empty());
}

TEST_F(Handshake, IsRefusedByANodeThatStops) {
    node.stopping = true;
    EXPECT_EQ(refusal_of(hello()), RefusalReason::Stopping);
}

TEST_F(Handshake, OfAStrangerNeedsAPlaceThatIsNotKeptForMembers) {
    node.place = false;
    EXPECT_EQ(refusal_of(hello()), std::nullopt) << "a member";
    LinkDriver other{Link::Role::Acceptor, node};
    other.link.accepted("10.0.0.9:1", other.now);
    const auto made = other.frame(make_hello({"test", stranger, {}}, self.address()));
    ASSERT_TRUE(made.said_a<HelloReply>());
    EXPECT_TRUE(std::holds_alternative<HelloRefused>(made.said_a<HelloReply>()->answer));
    EXPECT_TRUE(made.counted(Counted::accepts_strangers));
}

TEST_F(Handshake, OfAQuarantinedIncarnationIsRefused) {
    node.quarantined.insert(peer);
    EXPECT_EQ(refusal_of(hello()), RefusalReason::Quarantined);
}

TEST_F(Handshake, InTheOwnNameIsRefused) {
    EXPECT_EQ(refusal_of(make_hello({"test", node_of(1, 5), {}}, self.address())),
              RefusalReason::WrongAddress);
}

TEST_F(Handshake, ThatOnlyAsksWhoAnswersOpensNothing) {
    auto asks = hello();
    asks.lane = question_lane;
    node.claimed.insert(peer);
    EXPECT_EQ(refusal_of(asks), std::nullopt);
    const auto made = link.written();
    EXPECT_FALSE(made.has<action::Opened>());
    EXPECT_FALSE(made.has<action::AskVerdict>());
    EXPECT_EQ(link.link.phase(), Phase::Lingering);
    EXPECT_EQ(link.link.deadline(), link.now + linger_max);
}

TEST_F(Handshake, ThatIsClosedMeanwhileSaysGoodbyeWhenItIsDone) {
    link.frame(hello());
    EXPECT_FALSE(link.close(GoodbyeReason::Stopping).said());
    const auto made = link.written();
    EXPECT_TRUE(made.has<action::Opened>());
    ASSERT_TRUE(made.said_a<Goodbye>());
    EXPECT_EQ(made.said_a<Goodbye>()->reason, GoodbyeReason::Stopping);
}

TEST_F(Handshake, ThatIsClosedBeforeHelloIsAborted) {
    EXPECT_TRUE(link.close(GoodbyeReason::Overloaded).closed(How::Abort));
    link.ended(Errc::closed);
    EXPECT_TRUE(link.over().all.empty());
}

TEST_F(Handshake, WhoseReplyCannotBeWrittenIsOver) {
    link.frame(hello());
    link.written(Error{Errc::reset, "peer", {}, {}});
    EXPECT_EQ(link.link.phase(), Phase::Ended);
    EXPECT_TRUE(link.over().counted(Counted::handshakes_failed));
}

// --- a claimed address (§5.6)

TEST_F(ClaimedLink, IsAnsweredAtOnceButBelievedLater) {
    node.claimed.insert(peer);
    EXPECT_TRUE(link.frame(hello()).said_a<HelloReply>());
    const auto made = link.written();
    EXPECT_TRUE(made.has<action::AskVerdict>());
    EXPECT_FALSE(made.has<action::Opened>());
    EXPECT_FALSE(link.frame(ClusterMessage{heartbeat(peer)}).has<action::Deliver>());
    EXPECT_FALSE(link.goes_on) << "it waits where it is";
    const auto settled =
        link.input([&](LinkActions& out) { link.link.verdict(Verdict::Owner, peer, link.now, out); });
    EXPECT_TRUE(settled.has<action::Opened>());
    EXPECT_TRUE(link.frame(ClusterMessage{heartbeat(peer)}).has<action::Deliver>());
}

TEST_F(ClaimedLink, OfAnotherOnesAddressIsToldSo) {
    node.claimed.insert(peer);
    open();
    const auto made = link.input(
        [&](LinkActions& out) { link.link.verdict(Verdict::AddressTaken, node_of(2, 1), link.now, out); });
    EXPECT_TRUE(made.counted(Counted::claims_taken));
    ASSERT_TRUE(made.said_a<Goodbye>());
    EXPECT_TRUE(is_about_address(*made.said_a<Goodbye>()));
    EXPECT_FALSE(made.has<action::Opened>());
    link.ended(Errc::end_of_stream);
    EXPECT_TRUE(link.over().reported().empty()) << "it was never open";
}

TEST_F(ClaimedLink, IsNotBelievedWhenNothingIsHeardInTime) {
    node.claimed.insert(peer);
    open();
    const auto made = link.passes(test_limits.handshake_timeout);
    EXPECT_TRUE(made.counted(Counted::claims_unanswered));
    ASSERT_TRUE(made.said_a<Goodbye>());
    const auto late =
        link.input([&](LinkActions& out) { link.link.verdict(Verdict::Owner, peer, link.now, out); });
    EXPECT_TRUE(late.all.empty()) << "nobody waits for it any more";
}

TEST_F(ClaimedLink, SaysGoodbyeWhenItIsClosedMeanwhile) {
    node.claimed.insert(peer);
    open();
    ASSERT_TRUE(link.close(GoodbyeReason::Stopping).said_a<Goodbye>());
    EXPECT_EQ(link.link.deadline(), link.now + linger_max);
}

// --- what an open link brings

TEST_F(InboundFrames, AreTheWordsOfWhoeverShookHands) {
    open();
    EXPECT_TRUE(link.frame(ClusterMessage{heartbeat(peer)}).has<action::Deliver>());
    const auto made = link.frame(ClusterMessage{heartbeat(stranger)});
    EXPECT_FALSE(made.has<action::Deliver>());
    EXPECT_TRUE(made.counted(Counted::frames_foreign));
    EXPECT_TRUE(made.logged("transport.frame.foreign"));
    EXPECT_TRUE(link.goes_on) << "the link stays";
    EXPECT_TRUE(link.link.is_open());
}

TEST_F(InboundFrames, TellsNameTheirNodeOrNobodyAsSender) {
    open();
    Tell tell{"akka.tcp://test@10.0.0.1:1/user/a", "m", {}, std::nullopt};
    EXPECT_TRUE(link.link.admits(tell));
    const std::string own = peer.address().to_string() + "/user/b";
    tell.sender_path = own;
    EXPECT_TRUE(link.link.admits(tell));
    const std::string other = stranger.address().to_string() + "/user/b";
    tell.sender_path = other;
    EXPECT_FALSE(link.link.admits(tell));
    const wire::RemoteTell frame{std::string{tell.target_path}, "m", {}, other};
    EXPECT_TRUE(link.frame(frame).counted(Counted::tells_foreign_sender));
    EXPECT_TRUE(link.goes_on) << "the link stays";
}

TEST_F(InboundFrames, ThatAskForAnswersHaveARate) {
    open();
    int taken = 0;
    int dropped = 0;
    int said = 0;
    for (int i = 0; i < AnswerRate::heartbeats_burst + 10; ++i) {
        const auto made = link.frame(ClusterMessage{heartbeat(peer)});
        taken += made.has<action::Deliver>() ? 1 : 0;
        dropped += made.counted(Counted::messages_rate) ? 1 : 0;
        said += made.logged("transport.link.flood") ? 1 : 0;
    }
    EXPECT_EQ(taken, AnswerRate::heartbeats_burst);
    EXPECT_EQ(dropped, 10);
    EXPECT_EQ(said, 1) << "once, not a flood of records";
    EXPECT_TRUE(link.link.is_open());
    link.now += 1s;
    EXPECT_TRUE(link.frame(ClusterMessage{heartbeat(peer)}).has<action::Deliver>());
}

TEST_F(InboundFrames, ThatAreMalformedEndTheLinkWithAGoodbyeThatSaysSo) {
    open();
    const auto made = link.body(Slice::copy_of("\xff\xff\xff"));
    EXPECT_FALSE(link.goes_on);
    EXPECT_TRUE(made.counted(Counted::frames_malformed));
    ASSERT_TRUE(made.said_a<Goodbye>());
    EXPECT_EQ(made.said_a<Goodbye>()->reason, GoodbyeReason::Protocol);
    EXPECT_TRUE(link.written().closed(How::Graceful));
}

TEST_F(InboundFrames, ASecondHelloEndsTheLink) {
    open();
    ASSERT_TRUE(link.frame(hello()).said_a<Goodbye>());
    EXPECT_FALSE(link.link.is_open());
}

TEST_F(InboundFrames, OfALaterVersionAreSkippedFromANewerPeerOnly) {
    const Slice unknown = Slice::copy_of(std::string_view{"\x7f", 1});
    open();
    EXPECT_TRUE(link.body(unknown).counted(Counted::frames_malformed)) << "a peer of this version";
    LinkDriver newer{Link::Role::Acceptor, node};
    newer.link.accepted("10.0.0.9:1", newer.now);
    auto ahead = hello();
    ahead.version_max = static_cast<std::uint16_t>(ahead.version_max + 1);
    newer.frame(ahead);
    newer.written();
    const auto made = newer.body(unknown);
    EXPECT_TRUE(made.counted(Counted::frames_unknown));
    EXPECT_TRUE(newer.link.is_open());
}

TEST_F(InboundFrames, OfTheReferencesGossipAreSkipped) {
    open();
    EXPECT_TRUE(link.frame(wire::reference::GossipPdu{}).counted(Counted::frames_foreign));
    EXPECT_TRUE(link.link.is_open());
}

TEST_F(InboundFrames, ThatAreTooLargeEndTheLink) {
    open();
    const auto made = link.input([&](LinkActions& out) {
        link.link.stuck(FrameReader::Next::TooLarge, 1U << 30U, 1U << 24U, link.now, out);
    });
    ASSERT_TRUE(made.said_a<Goodbye>());
    EXPECT_TRUE(link.link.about().unreadable);
}

TEST_F(InboundFrames, OfAMemberWaitForMemoryAndAStrangersEndItsLink) {
    open();
    const auto no_room = [](LinkDriver& l) {
        return l.input([&](LinkActions& out) {
            l.link.stuck(FrameReader::Next::NoRoom, 100'000, 1'000'000, l.now, out);
        });
    };
    EXPECT_TRUE(no_room(link).counted(Counted::frames_waited));
    EXPECT_TRUE(link.link.is_open());
    node.members.clear();
    const auto made = no_room(link);
    ASSERT_TRUE(made.said_a<Goodbye>());
    EXPECT_EQ(made.said_a<Goodbye>()->reason, GoodbyeReason::Overloaded);
    EXPECT_TRUE(made.counted(Counted::frames_no_room));
}

TEST_F(InboundFrames, HaveTheirTimeFromTheFirstByteToTheLast) {
    open();
    link.link.received(link.now);
    link.link.frames_taken(false, true);
    EXPECT_FALSE(link.passes(test_limits.frame_timeout - 1ms).said());
    const auto made = link.passes(1ms);
    ASSERT_TRUE(made.said_a<Goodbye>());
    EXPECT_TRUE(made.counted(Counted::frames_timed_out));
}

TEST_F(InboundFrames, ThatFollowEachOtherAreNoSlowFrame) {
    open();
    for (int i = 0; i < 10; ++i) {
        link.link.received(link.now);
        link.link.frames_taken(true, true); // the end of one, the beginning of the next
        EXPECT_FALSE(link.passes(test_limits.frame_timeout - 1ms).said()) << i;
    }
}

// --- the end of an inbound link

TEST_F(InboundEnd, ByTheirGoodbyeIsReportedForWhatItSays) {
    const std::pair<GoodbyeReason, LinkEvent> meanings[] = {
        {GoodbyeReason::Link, LinkEvent::GoodbyeLink},
        {GoodbyeReason::Stopping, LinkEvent::GoodbyeStopping},
        {GoodbyeReason::Incarnation, LinkEvent::GoodbyeStopping},
        {GoodbyeReason::Quarantined, LinkEvent::GoodbyeLink},
        {static_cast<GoodbyeReason>(99), LinkEvent::GoodbyeLink}};
    for (const auto& [reason, event] : meanings) {
        LinkDriver one{Link::Role::Acceptor, node};
        one.link.accepted("10.0.0.9:1", one.now);
        one.frame(hello());
        one.written();
        const auto made = one.frame(Goodbye{reason, {}});
        EXPECT_FALSE(one.goes_on);
        EXPECT_TRUE(made.closed(How::Graceful));
        EXPECT_EQ(made.has<action::PeerStops>(), reason == GoodbyeReason::Stopping);
        EXPECT_FALSE(made.has<action::ReportQuarantinedBy>()) << "whoever connects may call itself anybody";
        EXPECT_FALSE(one.frame(ClusterMessage{heartbeat(peer)}).has<action::Deliver>()) << "lingering";
        EXPECT_EQ(one.link.deadline(), one.now + linger_max);
        one.ended(Errc::end_of_stream);
        EXPECT_EQ(one.over().reported(), std::vector{event});
    }
}

TEST_F(InboundEnd, ByOurGoodbyeIsNoLoss) {
    open();
    ASSERT_TRUE(link.close(GoodbyeReason::Superseded).said_a<Goodbye>());
    EXPECT_FALSE(link.close(GoodbyeReason::Stopping).said()) << "one last frame";
    EXPECT_TRUE(link.written().closed(How::Graceful));
    EXPECT_TRUE(link.passes(linger_max).closed(How::Abort));
    link.ended(Errc::reset);
    EXPECT_EQ(link.over().reported(), std::vector{LinkEvent::GoodbyeLink});
}

TEST_F(InboundEnd, WithoutAWordIsEvidence) {
    for (const Errc code : {Errc::end_of_stream, Errc::reset}) {
        LinkDriver one{Link::Role::Acceptor, node};
        one.link.accepted("10.0.0.9:1", one.now);
        one.frame(hello());
        one.written();
        one.ended(code);
        const auto made = one.over();
        EXPECT_EQ(made.reported(), std::vector{LinkEvent::EndedWithoutGoodbye});
        EXPECT_TRUE(made.counted(Counted::links_broken));
    }
}

TEST_F(InboundEnd, InSilenceIsNoEvidence) {
    open();
    const Duration silence = 3 * test_limits.idle_timeout;
    EXPECT_FALSE(link.passes(silence - 1ms).closed(How::Abort));
    EXPECT_TRUE(link.passes(1ms).closed(How::Abort));
    link.ended(Errc::closed);
    const auto made = link.over();
    EXPECT_EQ(made.reported(), std::vector{LinkEvent::GoodbyeLink});
    EXPECT_TRUE(made.counted(Counted::links_half_open));
}

TEST_F(InboundEnd, ByALaterConnectionOfThePeerIsSaid) {
    open();
    const auto made =
        link.input([&](LinkActions& out) { link.link.superseded(node_of(2, 8), link.now, out); });
    ASSERT_TRUE(made.said_a<Goodbye>());
    EXPECT_EQ(made.said_a<Goodbye>()->reason, GoodbyeReason::Superseded);
    EXPECT_TRUE(made.counted(Counted::links_superseded));
}

TEST_F(InboundEnd, ForWantOfMemoryIsNoEvidence) {
    open();
    EXPECT_TRUE(
        link.input([&](LinkActions& out) { link.link.fail(Errc::no_memory, {}, out); }).closed(How::Abort));
    link.ended(Errc::closed);
    EXPECT_EQ(link.over().reported(), std::vector{LinkEvent::GoodbyeLink});
}

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

// --- the quarantine list

TEST(QuarantineList, ForgetsAtItsTimeAndTheFirstToExpireWhenItIsFull) {
    QuarantineList list;
    const Instant now{1h};
    list.add(node_of(1, 1), now + 10s, false);
    list.add(node_of(1, 2), now + 20s, true);
    EXPECT_EQ(list.find(node_of(1, 1), now), Quarantined::Yes);
    EXPECT_EQ(list.find(node_of(1, 2), now), Quarantined::Harmless);
    EXPECT_EQ(list.find(node_of(1, 3), now), Quarantined::No);
    EXPECT_EQ(list.find(node_of(1, 1), now + 10s), Quarantined::No);
    EXPECT_EQ(list.size(), 1U);
    for (std::size_t i = 1; i < QuarantineList::entries_max; ++i)
        list.add(node_of(2, static_cast<std::int64_t>(i)), now + 1h, false);
    list.add(node_of(3, 1), now + 1h, false);
    EXPECT_EQ(list.size(), QuarantineList::entries_max);
    EXPECT_EQ(list.find(node_of(1, 2), now), Quarantined::No) << "it would have expired first";
    EXPECT_EQ(list.find(node_of(3, 1), now), Quarantined::Yes);
}

} // namespace
} // namespace muster::transport::test
