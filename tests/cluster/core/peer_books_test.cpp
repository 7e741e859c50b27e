// SPDX-License-Identifier: Apache-2.0
// One book per peer (protocol.md §6.6).
#include "cluster/core/peer_books.hpp"

#include "subject_support.hpp"
#include <gtest/gtest.h>

namespace {

using namespace muster;
using namespace muster::testing;

constexpr Hash128 other{7, 7};

struct PeerBooksTest : ::testing::Test {
    Gossip gossip = all_up({a, b, c, d});
    Hash128 version = gossip.version_id();
    PeerBooks books;
    void TearDown() override { books.check(gossip); }
};

TEST_F(PeerBooksTest, AnAckCountsForExactlyItsVersion) {
    EXPECT_FALSE(books.acked_in(gossip).has_value());
    books.note_ack(b, version);
    books.note_ack(c, other);
    const auto acked = books.acked_in(gossip);
    ASSERT_TRUE(acked.has_value());
    EXPECT_EQ(acked->count(), 1U);
    EXPECT_TRUE(acked->test(*gossip.index_of(b)));
    books.note_ack(b, other);
    EXPECT_FALSE(books.acked_in(gossip).has_value());
}

TEST_F(PeerBooksTest, UnknownAcksAreTakenOnceInOrder) {
    books.note_unknown_ack(c, other);
    books.note_unknown_ack(b, version);
    books.note_unknown_ack(c, version);
    EXPECT_EQ(books.unknown_acks(), 2U);
    const auto taken = books.take_unknown_acks();
    ASSERT_EQ(taken.size(), 2U);
    EXPECT_EQ(taken[0].first, b);
    EXPECT_EQ(taken[1].second, version);
    EXPECT_TRUE(books.take_unknown_acks().empty());
}

TEST_F(PeerBooksTest, OnlyTheAwaitedOfTheLastVersionAreAwaited) {
    books.await(std::vector{b, c});
    books.await(std::vector{c, d});
    books.await_no_more(b);
    books.await_no_more(c);
    EXPECT_TRUE(books.is_anybody_awaited());
    books.forget(d);
    EXPECT_FALSE(books.is_anybody_awaited());
}

TEST_F(PeerBooksTest, ALeaderThatWasLeftOutOfAPassIsToldAgain) {
    books.begin_acks();
    EXPECT_TRUE(books.note_acked_to(b, version));
    books.begin_acks();
    EXPECT_FALSE(books.note_acked_to(b, version));
    books.begin_acks();
    EXPECT_TRUE(books.note_acked_to(b, other));
    books.begin_acks();
    books.begin_acks();
    EXPECT_TRUE(books.note_acked_to(b, other));
}

TEST_F(PeerBooksTest, AcksInPlaceOfAFullGossipEndUntilTheNextTerm) {
    EXPECT_TRUE(books.may_ack_again(b, version, 1));
    EXPECT_FALSE(books.may_ack_again(b, version, 1));
    EXPECT_TRUE(books.may_ack_again(c, version, 1));
    EXPECT_TRUE(books.may_ack_again(b, other, 1));
    books.begin_term();
    EXPECT_TRUE(books.may_ack_again(b, other, 1));
}

TEST_F(PeerBooksTest, WhatIsOwedIsOwedOnceAndNotToTheForgotten) {
    books.owe(c);
    books.owe(c);
    books.owe(b);
    books.forget(b);
    EXPECT_EQ(books.take_owed(), std::vector{c});
    EXPECT_FALSE(books.is_anybody_owed());
}

TEST_F(PeerBooksTest, RemembersTheLastVersionThatWasSent) {
    books.note_sent(b, version);
    EXPECT_TRUE(books.was_sent(b, version));
    EXPECT_FALSE(books.was_sent(c, version));
    books.note_sent(b, other);
    EXPECT_FALSE(books.was_sent(b, version));
    EXPECT_EQ(books.size(), 1U);
}

} // namespace
