// SPDX-License-Identifier: Apache-2.0
#include "../sample.hpp"

#include <gtest/gtest.h>
#include <muster/cluster/compat/leader.hpp>
#include <muster/cluster/compat/membership.hpp>

namespace muster {
namespace {

using sample::gossip;
using sample::hosts;
using sample::member;
using sample::Names;
using sample::node;
using sample::state;
using sample::unreachable;
using enum MemberStatus;

// --- the reference's helpers

TEST(MembershipState, AddOrUpdateNeverMovesAStatusBackwards) {
    auto s = state("a", gossip({member("a", Leaving, 1)}));
    add_or_update(s, member("a", Up, 1));
    EXPECT_EQ(s.self_status(), Leaving);
    add_or_update(s, member("b", Joining));
    EXPECT_EQ(s.member_count(), 2U);
    remove(s, node("b"), WallTime{1});
    add_or_update(s, member("b", Up));
    EXPECT_EQ(s.member_count(), 1U) << "a removed incarnation never comes back";
    EXPECT_EQ(hosts(s.up_members()), Names{});
}

TEST(MembershipState, TheMutatingHelpersLeaveSharedCopiesAlone) {
    auto s = state("a", gossip({member("a")}));
    const auto copy = s;
    leave(s, sample::address("a"));
    EXPECT_EQ(copy.self_status(), Up);
    EXPECT_EQ(s.self_status(), Leaving);
}

TEST(MembershipState, EveryLocalChangeTicksTheOwnClockAndIsSeenBySelfOnly) {
    auto s = state("a", gossip({member("a"), member("b")}, {"a", "b"}));
    const auto event = join(s, node("c"), {"web"});
    ASSERT_TRUE(event);
    EXPECT_EQ(name_of(*event), "MemberJoined");
    EXPECT_EQ(s.latest().version().get(node("a").key()), 1U);
    EXPECT_EQ(hosts(s.latest().seen_nodes()), (Names{"a"}));
    EXPECT_FALSE(join(s, node("c")));
    EXPECT_EQ(s.latest().version().get(node("a").key()), 1U) << "no change, no tick";
}

TEST(MembershipState, LeaveIsRefusedForMembersAlreadyOnTheirWayOut) {
    for (const auto status : {Joining, WeaklyUp, Up, PreparingForShutdown, ReadyForShutdown}) {
        auto s = state("a", gossip({member("a"), member("b", status)}));
        const auto events = leave(s, sample::address("b"));
        ASSERT_EQ(events.size(), 1U) << to_string(status);
        EXPECT_EQ(name_of(events[0]), "MemberLeft");
    }
    for (const auto status : {Leaving, Exiting, Down}) {
        auto s = state("a", gossip({member("a"), member("b", status)}));
        EXPECT_TRUE(leave(s, sample::address("b")).empty()) << to_string(status);
    }
}

TEST(MembershipState, DownTakesEveryIncarnationOfTheAddressThatIsNotDownYet) {
    auto s = state("a", gossip({member("a"), Member{node("b", 1), Exiting}, Member{node("b", 2), Joining}}));
    EXPECT_EQ(down(s, sample::address("b")).size(), 2U);
    EXPECT_TRUE(down(s, sample::address("b")).empty());
    EXPECT_EQ(hosts(s.latest().seen_nodes()), (Names{"a"}));
}

TEST(MembershipState, ApplyLeaderActionsDoesNothingWithoutConvergenceOrLeadership) {
    auto unseen = state("a", gossip({member("a", Up, 1), member("b", Up, 2), member("c", Joining)}, {"a"}));
    EXPECT_TRUE(apply_leader_actions(unseen, WallTime{0}).empty());
    auto follower =
        state("b", gossip({member("a", Up, 1), member("b", Up, 2), member("c", Joining)}, {"a", "b"}));
    EXPECT_TRUE(apply_leader_actions(follower, WallTime{0}).empty());
}

TEST(MembershipState, ApplyLeaderActionsMovesMembersOnAndReturnsTheirEvents) {
    auto s = state(
        "a", gossip({member("a", Up, 1), member("b", Leaving, 2), member("c", Joining), member("d", Down)},
                    {"a", "b"}, unreachable({{"a", "d"}})));
    const auto events = apply_leader_actions(s, WallTime{5});
    std::vector<std::string> names;
    for (const auto& event : events) {
        if (member_of(event) != nullptr) names.emplace_back(name_of(event));
    }
    EXPECT_EQ(names, (Names{"MemberRemoved", "MemberExited", "MemberUp"}));
    EXPECT_TRUE(s.latest().is_tombstoned(node("d")));
    EXPECT_EQ(s.latest().find(node("c"))->up_number(), 3);
    EXPECT_EQ(hosts(s.latest().seen_nodes()), (Names{"a"}));
    s.latest().check();
}

// --- the free functions

TEST(LeaderFunctions, ElectLeaderAndIsConvergedAskTheState) {
    const auto s = state("b", gossip({member("a"), member("b")}, {"a", "b"}, unreachable({{"b", "a"}})));
    EXPECT_EQ(elect_leader(s), node("b"));
    EXPECT_FALSE(is_converged(s));
    EXPECT_TRUE(is_converged(state("b", gossip({member("a"), member("b")}, {"a", "b"}))));
}

TEST(NextStatus, MovesNobodyWithoutConvergence) {
    for (const auto status : {Joining, WeaklyUp, Up, Leaving, Exiting, Down, PreparingForShutdown})
        EXPECT_EQ(next_status(status, false), std::nullopt);
    EXPECT_EQ(next_status(Joining, true), Up);
    EXPECT_EQ(next_status(WeaklyUp, true), Up);
    EXPECT_EQ(next_status(Leaving, true), Exiting);
    EXPECT_EQ(next_status(PreparingForShutdown, true), ReadyForShutdown);
    EXPECT_EQ(next_status(Exiting, true), Removed);
    EXPECT_EQ(next_status(Down, true), Removed);
    EXPECT_EQ(next_status(Up, true), std::nullopt);
}

TEST(LeaderHandover, TellsTheFirstElectionAndThenOnlyChanges) {
    LeaderHandover handover;
    const auto both = state("b", gossip({member("a"), member("b")}));
    EXPECT_EQ(handover.observe(both), (LeaderHandoverEvent{std::nullopt, node("a")}));
    EXPECT_EQ(handover.current(), node("a"));
    EXPECT_EQ(handover.observe(both), std::nullopt);
    EXPECT_EQ(handover.observe(state("b", gossip({member("a", Leaving), member("b")}))), std::nullopt)
        << "a leaving leader still leads";
    EXPECT_EQ(handover.observe(state("b", gossip({member("a", Exiting), member("b")}))),
              (LeaderHandoverEvent{node("a"), node("b")}));
    EXPECT_EQ(handover.observe(state("z", Gossip{})), (LeaderHandoverEvent{node("b"), std::nullopt}));
    EXPECT_EQ(handover.current(), std::nullopt);
}

} // namespace
} // namespace muster
