// SPDX-License-Identifier: Apache-2.0
/// The decisions alone: what a link may do in a turn, ask for, and push out.
#include <gtest/gtest.h>
#include <string>

#include "link/answer_rate.hpp"
#include "link/answer_route.hpp"
#include "link/assembly_budget.hpp"
#include "link/frame_reader.hpp"
#include "link/inbound_places.hpp"
#include "link/message_queue.hpp"
#include "link/turn_budget.hpp"

namespace muster::transport {
namespace {

using namespace std::chrono_literals;
using Cost = TurnBudget::Cost;

constexpr Instant start{std::chrono::hours{1}};

/// A clock that is read by the budget and set by the test.
struct Clock {
    Instant now = start;
    int reads = 0;
    auto reader() {
        return [this] {
            ++reads;
            return now;
        };
    }
};

TEST(TurnBudget, AFreshTurnHasEverything) {
    TurnBudget budget;
    budget.begin(start, 0);
    EXPECT_FALSE(budget.spent());
    EXPECT_FALSE(budget.late());
}

TEST(TurnBudget, BytesEndTheReceivingButNotTheFramesInHand) {
    TurnBudget budget;
    budget.begin(start, 0);
    budget.received(TurnBudget::bytes_max - 1);
    EXPECT_FALSE(budget.spent());
    budget.received(1);
    EXPECT_TRUE(budget.spent());
    EXPECT_FALSE(budget.late());
    budget.begin(start, 0);
    EXPECT_FALSE(budget.spent());
}

TEST(TurnBudget, AHeavyFrameIsTimedByItself) {
    Clock clock;
    TurnBudget budget;
    budget.begin(start, 0);
    budget.frame(Cost::Heavy, clock.reader());
    EXPECT_EQ(clock.reads, 1);
    EXPECT_FALSE(budget.late());
    clock.now += TurnBudget::time_max;
    budget.frame(Cost::Heavy, clock.reader());
    EXPECT_TRUE(budget.late());
}

TEST(TurnBudget, LightFramesAreTimedInBunches) {
    Clock clock;
    clock.now += 1h;
    TurnBudget budget;
    budget.begin(start, 0);
    for (std::uint32_t i = 1; i < TurnBudget::light_per_look; ++i) budget.frame(Cost::Light, clock.reader());
    EXPECT_EQ(clock.reads, 0);
    EXPECT_FALSE(budget.late());
    budget.frame(Cost::Light, clock.reader());
    EXPECT_EQ(clock.reads, 1);
    EXPECT_TRUE(budget.late());
}

TEST(TurnBudget, LinksThatFloodAtOnceShareTheTime) {
    Clock clock;
    clock.now += TurnBudget::time_max / 4;
    TurnBudget budget;
    budget.begin(start, 2);
    budget.frame(Cost::Heavy, clock.reader());
    EXPECT_FALSE(budget.late());
    budget.begin(start, 3);
    budget.frame(Cost::Heavy, clock.reader());
    EXPECT_TRUE(budget.late());
}

TEST(TurnBudget, HoweverManyFloodEachGetsOn) {
    Clock clock;
    clock.now += TurnBudget::time_min - 1ns;
    TurnBudget budget;
    budget.begin(start, 1'000'000);
    budget.frame(Cost::Heavy, clock.reader());
    EXPECT_FALSE(budget.late());
}

TEST(TokenBucket, GivesTheBurstAndThenTheRate) {
    TokenBucket bucket{10ms, 3};
    Instant now = start;
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(now)) << i;
    EXPECT_FALSE(bucket.take(now));
    now += 9ms;
    EXPECT_FALSE(bucket.take(now));
    now += 1ms;
    EXPECT_TRUE(bucket.take(now));
    EXPECT_FALSE(bucket.take(now));
}

TEST(TokenBucket, SavesNoMoreThanTheBurst) {
    TokenBucket bucket{10ms, 3};
    EXPECT_TRUE(bucket.take(start));
    const Instant later = start + 24h * 365;
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(later)) << i;
    EXPECT_FALSE(bucket.take(later));
}

TEST(TokenBucket, AClockThatRunsBackGivesNothing) {
    TokenBucket bucket{10ms, 1};
    EXPECT_TRUE(bucket.take(start));
    EXPECT_FALSE(bucket.take(start - 1h));
    EXPECT_FALSE(bucket.take(start + 9ms));
    EXPECT_TRUE(bucket.take(start + 10ms));
}

TEST(AnswerRate, CountsWhatAsksForAnAnswerAndNothingElse) {
    using wire::FrameKind;
    const auto kind = [](FrameKind k) { return AnswerRate::kind_of(static_cast<std::uint32_t>(k)); };
    EXPECT_EQ(kind(FrameKind::Heartbeat), AnswerRate::Kind::Heartbeat);
    for (const FrameKind k :
         {FrameKind::InitJoin, FrameKind::Join, FrameKind::NotMember, FrameKind::ExitingConfirmed})
        EXPECT_EQ(kind(k), AnswerRate::Kind::Request) << wire::name_of(k);
    for (const FrameKind k : {FrameKind::GossipEnvelope, FrameKind::GossipStatus})
        EXPECT_EQ(kind(k), AnswerRate::Kind::Gossip) << wire::name_of(k);
    for (const FrameKind k :
         {FrameKind::HeartbeatReply, FrameKind::InitJoinAck, FrameKind::InitJoinNack, FrameKind::Welcome,
          FrameKind::SeenAck, FrameKind::Converged, FrameKind::Goodbye, FrameKind::RemoteTell})
        EXPECT_FALSE(kind(k).has_value()) << wire::name_of(k);
    EXPECT_FALSE(AnswerRate::kind_of(4'000'000'000U).has_value());
}

TEST(AnswerRate, AFloodOfOneKindLeavesTheOthersTheirs) {
    AnswerRate rate;
    std::int64_t admitted = 0;
    for (int i = 0; i < 100'000; ++i) admitted += rate.admit(AnswerRate::Kind::Request, start) ? 1 : 0;
    EXPECT_EQ(admitted, AnswerRate::requests_burst);
    EXPECT_TRUE(rate.admit(AnswerRate::Kind::Heartbeat, start));
    EXPECT_TRUE(rate.admit(AnswerRate::Kind::Gossip, start));
    EXPECT_FALSE(rate.admit(AnswerRate::Kind::Request, start));
}

struct MessageQueueTest : testing::Test {
    static QueuedMessage message(std::string text, Instant expires = start + 1h) {
        return {std::nullopt, wire::EncodedMessage{Slice::copy_of(text), {}}, expires};
    }
    static std::string pop(MessageQueue& queue) {
        const auto next = queue.pop();
        return next ? std::string{std::get<wire::EncodedMessage>(next->message).head.text()} : "nothing";
    }
    const UniqueAddress node{Address::remote("akka.tcp", "test", "host", 1), Uid{1}};
};

TEST_F(MessageQueueTest, EachMessageHasItsLane) {
    EXPECT_EQ(lane_of(Heartbeat{node.address(), 1, 1}), MessageLane::Heartbeat);
    EXPECT_EQ(lane_of(HeartbeatReply{node, 1, 1}), MessageLane::HeartbeatReply);
    EXPECT_EQ(lane_of(InitJoinAck{}), MessageLane::Answer);
    EXPECT_EQ(lane_of(InitJoinNack{}), MessageLane::Answer);
    EXPECT_EQ(lane_of(NotMember{}), MessageLane::Answer);
    EXPECT_EQ(lane_of(JoinDeferred{}), MessageLane::Answer);
    EXPECT_EQ(lane_of(JoinRefused{}), MessageLane::Answer);
    EXPECT_EQ(lane_of(InitJoin{}), MessageLane::Membership);
    EXPECT_EQ(lane_of(Join{}), MessageLane::Membership);
    EXPECT_EQ(lane_of(GossipStatus{}), MessageLane::Membership);
    EXPECT_EQ(lane_of(ExitingConfirmed{}), MessageLane::Membership);
}

TEST_F(MessageQueueTest, HeartbeatsComeFirstAndTheRestInOrder) {
    MessageQueue queue{100};
    queue.push(MessageLane::Membership, message("gossip"));
    queue.push(MessageLane::Answer, message("not a member"));
    queue.push(MessageLane::HeartbeatReply, message("reply"));
    queue.push(MessageLane::Membership, message("welcome"));
    queue.push(MessageLane::Heartbeat, message("heartbeat"));
    EXPECT_EQ(queue.size(), 5U);
    for (const char* expected : {"heartbeat", "reply", "gossip", "not a member", "welcome", "nothing"})
        EXPECT_EQ(pop(queue), expected);
    EXPECT_TRUE(queue.empty());
}

TEST_F(MessageQueueTest, AnswersPushOutAnswersAndNoHeartbeatNorGossip) {
    MessageQueue queue{4};
    queue.push(MessageLane::Heartbeat, message("heartbeat"));
    queue.push(MessageLane::HeartbeatReply, message("reply"));
    queue.push(MessageLane::Membership, message("gossip"));
    std::size_t dropped = 0;
    for (int i = 0; i < 100'000; ++i) dropped += queue.push(MessageLane::Answer, message(std::to_string(i)));
    EXPECT_EQ(dropped, 100'000U - MessageQueue::answers_max);
    EXPECT_EQ(queue.size(), 3 + MessageQueue::answers_max);
    EXPECT_EQ(pop(queue), "heartbeat");
    EXPECT_EQ(pop(queue), "reply");
    EXPECT_EQ(pop(queue), "gossip");
    EXPECT_EQ(pop(queue), std::to_string(100'000 - MessageQueue::answers_max)) << "the oldest have gone";
}

TEST_F(MessageQueueTest, RepliesPushOutRepliesAndNoHeartbeat) {
    MessageQueue queue{4};
    queue.push(MessageLane::Heartbeat, message("heartbeat"));
    for (int i = 0; i < 10'000; ++i) queue.push(MessageLane::HeartbeatReply, message("reply"));
    EXPECT_EQ(queue.size(MessageLane::HeartbeatReply), MessageQueue::heartbeats_max);
    EXPECT_EQ(queue.size(MessageLane::Heartbeat), 1U);
}

TEST_F(MessageQueueTest, WhatExpiresGoesFromEveryLaneAndIsCounted) {
    MessageQueue queue{100};
    queue.push(MessageLane::Heartbeat, message("old", start + 1s));
    queue.push(MessageLane::Membership, message("old", start + 1s));
    queue.push(MessageLane::Membership, message("new", start + 3s));
    queue.push(MessageLane::Answer, message("old", start + 2s));
    EXPECT_EQ(queue.expire(start), 0U);
    EXPECT_EQ(queue.expire(start + 2s), 3U);
    EXPECT_EQ(queue.size(), 1U);
    EXPECT_EQ(pop(queue), "new");
    EXPECT_EQ(queue.clear(), 0U);
}

TEST_F(MessageQueueTest, ClearSaysHowManyThereWere) {
    MessageQueue queue{100};
    for (int i = 0; i < 10; ++i) queue.push(MessageLane::Membership, message("gossip"));
    queue.push(MessageLane::Heartbeat, message("heartbeat"));
    EXPECT_EQ(queue.clear(), 11U);
    EXPECT_TRUE(queue.empty());
}

TEST_F(MessageQueueTest, ManyPassThroughInOrder) {
    MessageQueue queue{1'000};
    int in = 0;
    int out = 0;
    for (int round = 0; round < 500; ++round) {
        for (int i = 0; i < 7; ++i) queue.push(MessageLane::Membership, message(std::to_string(in++)));
        for (int i = 0; i < 6; ++i) ASSERT_EQ(pop(queue), std::to_string(out++));
    }
    while (!queue.empty()) ASSERT_EQ(pop(queue), std::to_string(out++));
    EXPECT_EQ(in, out);
}

TEST(AssemblyBudget, StrangersGetHalfAndMembersTheRest) {
    AssemblyBudget budget{1000};
    EXPECT_TRUE(budget.take(500, false));
    EXPECT_FALSE(budget.take(1, false));
    EXPECT_TRUE(budget.take(500, true));
    EXPECT_FALSE(budget.take(1, true));
    budget.give_back(500);
    EXPECT_FALSE(budget.take(1, false)) << "what members use counts, too";
    EXPECT_TRUE(budget.take(500, true));
}

TEST(AssemblyBudget, NoSizeOverflowsIt) {
    AssemblyBudget budget{1000};
    EXPECT_TRUE(budget.take(400, true));
    EXPECT_FALSE(budget.take(SIZE_MAX, true));
    EXPECT_FALSE(budget.take(SIZE_MAX - 399, true));
    EXPECT_EQ(budget.bytes(), 400U);
}

struct BudgetedReader : testing::Test {
    static constexpr std::size_t large = 4 * AssemblyBudget::free_bytes;
    AssemblyBudget budget{4 * large};
    FrameReader reader{1U << 24, &budget};
    FrameReader::Frame frame;

    static Slice length_and(std::size_t length, std::size_t bytes) {
        std::string text(4, '\0');
        wire::put_frame_length(reinterpret_cast<std::byte*>(text.data()), length);
        return Slice::copy_of(text + std::string(bytes, 'x'));
    }
    static Slice rest(std::size_t bytes) { return Slice::copy_of(std::string(bytes, 'x')); }
};

TEST_F(BudgetedReader, ReservesForAFrameThatIsNotAllThereAndGivesItBack) {
    reader.feed(length_and(large, 10));
    EXPECT_EQ(reader.next(frame), FrameReader::Next::NeedMore);
    EXPECT_EQ(budget.bytes(), large);
    reader.feed(rest(large - 10));
    EXPECT_EQ(reader.next(frame), FrameReader::Next::Frame);
    EXPECT_EQ(frame.body.size(), large);
    EXPECT_EQ(reader.next(frame), FrameReader::Next::NeedMore);
    EXPECT_EQ(budget.bytes(), large) << "the block is kept for the next one";
    reader.trim();
    EXPECT_EQ(budget.bytes(), 0U);
}

TEST_F(BudgetedReader, SmallFramesAndWholeOnesAreNotCounted) {
    reader.feed(length_and(AssemblyBudget::free_bytes, 10));
    EXPECT_EQ(reader.next(frame), FrameReader::Next::NeedMore);
    EXPECT_EQ(budget.bytes(), 0U);
    reader.feed(rest(AssemblyBudget::free_bytes - 10));
    EXPECT_EQ(reader.next(frame), FrameReader::Next::Frame);
    reader.feed(length_and(large, large));
    EXPECT_EQ(reader.next(frame), FrameReader::Next::Frame);
    EXPECT_EQ(budget.bytes(), 0U);
}

TEST_F(BudgetedReader, WithoutRoomItSaysSoAndGoesOnLater) {
    ASSERT_TRUE(budget.take(2 * large, true));
    reader.feed(length_and(large, 10));
    EXPECT_EQ(reader.next(frame), FrameReader::Next::NoRoom);
    EXPECT_EQ(reader.claimed(), large);
    EXPECT_EQ(reader.next(frame), FrameReader::Next::NoRoom);
    budget.give_back(2 * large);
    EXPECT_EQ(reader.next(frame), FrameReader::Next::NeedMore);
    reader.feed(rest(large - 10));
    EXPECT_EQ(reader.next(frame), FrameReader::Next::Frame);
}

TEST_F(BudgetedReader, ALengthInTwoPiecesIsCountedAlike) {
    ASSERT_TRUE(budget.take(2 * large, true));
    const Slice all = length_and(large, 10);
    reader.feed(all.sub(0, 2));
    EXPECT_EQ(reader.next(frame), FrameReader::Next::NeedMore);
    reader.detach();
    reader.feed(Slice::copy_of(all.sub(2, 12).text()));
    EXPECT_EQ(reader.next(frame), FrameReader::Next::NoRoom);
    reader.set_acquainted(true);
    EXPECT_EQ(reader.next(frame), FrameReader::Next::NeedMore);
    EXPECT_EQ(budget.bytes(), 3 * large);
    reader.feed(rest(large - 10));
    EXPECT_EQ(reader.next(frame), FrameReader::Next::Frame);
    EXPECT_EQ(frame.body.size(), large);
}

TEST_F(BudgetedReader, WhatItHadIsFreeWhenItDies) {
    {
        FrameReader other{1U << 24, &budget};
        other.feed(length_and(large, 10));
        EXPECT_EQ(other.next(frame), FrameReader::Next::NeedMore);
        other.detach();
        EXPECT_EQ(budget.bytes(), large);
    }
    EXPECT_EQ(budget.bytes(), 0U);
}

TEST(InboundPlaces, ATenthIsKeptFromStrangers) {
    const InboundPlaces places{100};
    EXPECT_TRUE(places.stranger(89));
    EXPECT_FALSE(places.stranger(90));
    EXPECT_TRUE(InboundPlaces{1}.stranger(0)) << "of few places none is kept";
}

TEST(InboundPlaces, ANewcomerReplacesWhoHasNotSaidWhoItIs) {
    using Newcomer = InboundPlaces::Newcomer;
    const InboundPlaces places{100};
    EXPECT_EQ(places.newcomer(99, 99), Newcomer::Enter);
    EXPECT_EQ(places.newcomer(100, 1), Newcomer::Replace);
    EXPECT_EQ(places.newcomer(100, 0), Newcomer::Refuse);
}

TEST(StrangerDials, AnswersGoWhereAConnectionIsAndToMembersWhoeverAsks) {
    const StrangerDials dials;
    EXPECT_EQ(dials.route({.connected = true}), AnswerRoute::Send);
    EXPECT_EQ(dials.route({.acquainted = true}), AnswerRoute::Send);
    EXPECT_EQ(dials.route({}), AnswerRoute::Nowhere) << "an address that only a message names";
    EXPECT_EQ(dials.route({.asking = true}), AnswerRoute::DialOnce);
}

TEST(StrangerDials, ThatManyAtOnceAndNoMore) {
    StrangerDials dials;
    for (std::size_t i = 0; i < StrangerDials::unfinished_max; ++i) dials.begin();
    EXPECT_EQ(dials.route({.asking = true}), AnswerRoute::Later);
    EXPECT_EQ(dials.route({.acquainted = true, .asking = true}), AnswerRoute::Send);
    dials.end();
    EXPECT_EQ(dials.route({.asking = true}), AnswerRoute::DialOnce);
}

} // namespace
} // namespace muster::transport
