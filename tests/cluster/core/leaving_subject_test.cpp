// SPDX-License-Identifier: Apache-2.0
// How a node ends, apart from the core (protocol.md §11); with it: leaving_test.cpp.
#include "cluster/core/leaving.hpp"

#include "subject_support.hpp"
#include <gtest/gtest.h>

namespace {

using namespace muster;
using namespace muster::testing;

struct LeavingTest : ::testing::Test {
    void hold_of(const std::vector<Member>& members) {
        core.restore(std::make_shared<const Gossip>(gossip_of(members, {})));
    }
    void accuse(const UniqueAddress& node) {
        core.install(core.gossip().with_reachability(core.gossip().reachability().unreachable(a, node)));
    }
    void TearDown() override { leaving.check(); }

    CoreState core = core_of(a, all_up({a, b, c, d}));
    PeerBooks books;
    GossipSender sender{core, books};
    PeerLinks links{core};
    Leaving leaving{core, links, sender};
    Effects out;
};

TEST_F(LeavingTest, IsHeldWhileSomebodyIsUnreachable) {
    EXPECT_EQ(leaving.hold(a.address()), Leaving::Hold::No);
    accuse(b);
    EXPECT_EQ(leaving.hold(b.address()), Leaving::Hold::No); // another node's
    EXPECT_EQ(leaving.hold(a.address()), Leaving::Hold::Begins);
    EXPECT_EQ(leaving.hold(a.address()), Leaving::Hold::GoesOn);
    EXPECT_FALSE(leaving.may_release());
    core.install(core.gossip().with_reachability({}));
    EXPECT_TRUE(leaving.may_release());
    leaving.release();
    EXPECT_FALSE(leaving.is_held());
}

TEST_F(LeavingTest, IsGivenUpByAMemberOnNoOtherWayOut) {
    EXPECT_TRUE(leaving.give_up());
    EXPECT_TRUE(leaving.has_given_up());
    CoreState exiting = core_of(a, gossip_of({member(a, MemberStatus::Exiting, 1), up(b, 2)}, {a}));
    EXPECT_FALSE(Leaving(exiting, links, sender).give_up());
}

TEST_F(LeavingTest, AConfirmationGoesToTwoCandidatesForTheLeaderUntilTheTimeIsOver) {
    EXPECT_FALSE(leaving.begin_farewell(Farewell::ExitingConfirmed, out));
    EXPECT_EQ(targets<ExitingConfirmed>(out), (std::vector{b.address(), c.address()}));
    EXPECT_TRUE(leaving.is_saying_farewell());
    int repeats = 0;
    while (repeats < 20 && !leaving.on_timer(out)) ++repeats;
    EXPECT_EQ(repeats, 9);
    EXPECT_FALSE(leaving.is_saying_farewell());
    EXPECT_FALSE(leaving.on_timer(out)); // a late timer stops nobody twice
}

TEST_F(LeavingTest, AFarewellThatNobodyCanHearEndsAtOnce) {
    for (const UniqueAddress& n : {b, c, d}) accuse(n);
    EXPECT_TRUE(leaving.begin_farewell(Farewell::ExitingConfirmed, out));
    EXPECT_FALSE(leaving.is_saying_farewell());
}

TEST_F(LeavingTest, ADownNodeWaitsForTheOthersThatAreDownFourTimes) {
    EXPECT_FALSE(leaving.is_down_known()); // it is Up
    hold_of({member(a, MemberStatus::Down, 1), member(b, MemberStatus::Down, 2), up(c, 3)});
    core.install(core.gossip().seen(a));
    for (int look = 0; look < 4; ++look) EXPECT_FALSE(leaving.is_down_known()) << look;
    EXPECT_TRUE(leaving.is_down_known());
}

TEST_F(LeavingTest, ADownNodeWhoseFellowsKnowStopsAtTheFirstLook) {
    hold_of({member(a, MemberStatus::Down, 1), member(b, MemberStatus::Down, 2), up(c, 3)});
    core.install(core.gossip().seen(a).seen(b));
    EXPECT_TRUE(leaving.is_down_known());
}

TEST_F(LeavingTest, WhoLeavesAndSaidThatItStopsIsDeparted) {
    hold_of({up(a, 1), member(b, MemberStatus::Exiting, 2), up(c, 3)});
    for (const UniqueAddress& n : {b, c}) {
        links.on_event(n, LinkEvent::Established);
        links.on_event(n, LinkEvent::Accepted);
        links.on_event(n, LinkEvent::GoodbyeStopping);
    }
    EXPECT_TRUE(leaving.departed().empty()); // one connection is left
    for (const UniqueAddress& n : {b, c}) links.on_event(n, LinkEvent::GoodbyeStopping);
    EXPECT_EQ(leaving.departed(), std::vector{b}); // c is Up
}

} // namespace
