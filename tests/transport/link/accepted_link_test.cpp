// SPDX-License-Identifier: Apache-2.0
/// The rules of one connection (protocol.md §16, wire.md, Frames), on the side that accepted it, in virtual
/// time.
#include "link_driver.hpp"

namespace muster::transport::test {
namespace {

using How = action::CloseStream::How;
using wire::Goodbye;
using wire::GoodbyeReason;
using wire::HelloRefused;
using wire::HelloReply;
using wire::RefusalReason;

class Handshake : public Accepting {};
class ClaimedLink : public Accepting {};
class InboundFrames : public Accepting {};
class InboundEnd : public Accepting {};

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

} // namespace
} // namespace muster::transport::test
