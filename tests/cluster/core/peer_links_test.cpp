// SPDX-License-Identifier: Apache-2.0
// What connections say of a peer, apart from the core (protocol.md §5.6, §12.7).
#include "cluster/core/peer_links.hpp"

#include "subject_support.hpp"
#include <gtest/gtest.h>

namespace {

using namespace muster;
using namespace muster::testing;

struct PeerLinksTest : ::testing::Test {
    CoreState core = core_of(a, all_up({a, b}));
    PeerLinks links{core};
    void TearDown() override { links.check(); }
};

TEST_F(PeerLinksTest, OnlyWhoAnsweredAtItsAddressIsProven) {
    links.on_event(b, LinkEvent::Accepted);
    EXPECT_FALSE(links.is_proven(b));
    links.on_event(b, LinkEvent::Answered);
    EXPECT_TRUE(links.is_proven(b));
    links.on_event(b, LinkEvent::OtherIncarnation);
    EXPECT_FALSE(links.is_proven(b));
}

TEST_F(PeerLinksTest, AnAnswerReplacesAllOtherIncarnationsOfTheAddress) {
    links.on_event(node("b", -5), LinkEvent::Established);
    links.on_event(node("b", 9), LinkEvent::Established);
    links.on_event(c, LinkEvent::Established);
    links.on_event(b, LinkEvent::Established);
    links.on_answered(b);
    EXPECT_TRUE(links.is_over(node("b", -5)));
    EXPECT_TRUE(links.is_over(node("b", 9)));
    EXPECT_FALSE(links.is_over(b));
    EXPECT_FALSE(links.is_over(c));
}

TEST_F(PeerLinksTest, ALinkIsOverOnceItsLastConnectionEnded) {
    EXPECT_FALSE(links.is_over(b)); // nothing was heard of it
    links.on_event(b, LinkEvent::Established);
    links.on_event(b, LinkEvent::Accepted);
    links.on_event(b, LinkEvent::EndedWithoutGoodbye);
    EXPECT_FALSE(links.is_over(b));
    links.on_event(b, LinkEvent::EndedWithoutGoodbye);
    EXPECT_TRUE(links.is_over(b));
}

TEST_F(PeerLinksTest, TwoRefusalsCountWhenTheyAreApart) {
    links.on_event(b, LinkEvent::Established);
    links.on_event(b, LinkEvent::EndedWithoutGoodbye);
    links.on_refused(b, at().monotonic);
    links.on_refused(b, at(milliseconds{19}).monotonic);
    EXPECT_FALSE(links.find(b)->refused_twice);
    links.on_refused(b, at(milliseconds{20}).monotonic);
    EXPECT_TRUE(links.find(b)->refused_twice);
    links.forget_refusals();
    EXPECT_FALSE(links.find(b)->refused_twice);
}

TEST_F(PeerLinksTest, StrangersWithoutAConnectionAreDroppedAtTheLimit) {
    links.on_event(b, LinkEvent::Established);
    links.on_event(b, LinkEvent::EndedWithoutGoodbye);
    links.on_event(c, LinkEvent::Established);
    for (std::int64_t uid = 2; links.all().size() < 8192; ++uid)
        links.on_event(node("x", uid), LinkEvent::ReconnectRefused);
    links.on_event(d, LinkEvent::Established);
    EXPECT_EQ(links.all().size(), 3U); // the member, the connected stranger, the new one
    EXPECT_NE(links.find(b), nullptr);
    EXPECT_NE(links.find(c), nullptr);
}

TEST_F(PeerLinksTest, ARemovedNodeIsForgottenUnlessItIsConnected) {
    links.on_event(b, LinkEvent::Established);
    links.on_removed(b);
    EXPECT_NE(links.find(b), nullptr);
    links.on_event(b, LinkEvent::GoodbyeLink);
    links.on_removed(b);
    EXPECT_EQ(links.find(b), nullptr);
}

} // namespace
