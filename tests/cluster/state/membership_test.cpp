// SPDX-License-Identifier: Apache-2.0
#include "../sample.hpp"

#include <gtest/gtest.h>
#include <muster/cluster/state/membership.hpp>

namespace muster {
namespace {

using sample::gossip;
using sample::hosts;
using sample::in_dc;
using sample::member;
using sample::Names;
using sample::node;
using sample::nodes;
using sample::state;
using sample::unreachable;
using enum MemberStatus;

std::string leader_of(const MembershipState& s) {
    const auto leader = s.leader();
    return leader ? *leader->address().host : "none";
}

// --- convergence (protocol.md §8)

TEST(Convergence, HoldsTriviallyWithoutMembers) { EXPECT_TRUE(state("a", Gossip{}).convergence()); }

TEST(Convergence, NeedsEveryUpAndLeavingMemberToHaveSeen) {
    EXPECT_TRUE(state("a", gossip({member("a"), member("b", Leaving, 2)}, {"a", "b"})).convergence());
    EXPECT_FALSE(state("a", gossip({member("a"), member("b", Leaving, 2)}, {"a"})).convergence());
    const auto others = {member("a"), member("b", Joining), member("c", WeaklyUp), member("d", Exiting),
                         member("e", Down)};
    EXPECT_TRUE(state("a", gossip(others, {"a"})).convergence()) << "these need not have seen";
}

TEST(Convergence, IsBlockedByUnreachableMembersThatAreNotDownOrExiting) {
    for (const auto status : {Joining, WeaklyUp, Up, Leaving}) {
        const auto s =
            state("a", gossip({member("a"), member("b", status, 2)}, {"a", "b"}, unreachable({{"a", "b"}})));
        EXPECT_FALSE(s.convergence()) << to_string(status);
        EXPECT_EQ(hosts(s.convergence_blocking_unreachable()), (Names{"b"}));
    }
    for (const auto status : {Down, Exiting}) {
        EXPECT_TRUE(state("a", gossip({member("a"), member("b", status)}, {"a"}, unreachable({{"a", "b"}})))
                        .convergence());
    }
}

TEST(Convergence, IsBlockedByATerminatedMemberUntilItIsDown) {
    const auto rows = Reachability{}.terminated(node("a"), node("b"));
    EXPECT_FALSE(state("a", gossip({member("a"), member("b")}, {"a", "b"}, rows)).convergence());
}

TEST(Convergence, IsNotBlockedByBeingCalledUnreachableOneself) {
    const auto g = gossip({member("a"), member("b")}, {"a", "b"}, unreachable({{"b", "a"}}));
    EXPECT_TRUE(state("a", g).convergence());
    EXPECT_FALSE(state("b", g).convergence());
}

TEST(Convergence, IgnoresWhatDownMembersAndOtherDataCentersObserve) {
    const std::vector members{member("a"), member("b"), member("d", Down), in_dc("x", "west")};
    EXPECT_TRUE(state("a", gossip(members, {"a", "b"}, unreachable({{"d", "b"}, {"x", "b"}, {"a", "x"}})))
                    .convergence());
}

TEST(Convergence, TakesAConfirmedExitForSeenAndReachable) {
    const auto s =
        state("a", gossip({member("a"), member("b", Leaving, 2)}, {"a"}, unreachable({{"a", "b"}})));
    EXPECT_FALSE(s.convergence());
    EXPECT_TRUE(s.convergence(nodes({"b"})));
}

TEST(Convergence, InBootstrapNeedsTheJoiningMembersOfAllDataCenters) {
    const std::vector members{in_dc("a", "dc1"), in_dc("e", "dc2", Joining), in_dc("f", "dc2", Joining)};
    EXPECT_FALSE(state("e", gossip(members, {"e", "f"}), "dc2").convergence());
    EXPECT_FALSE(state("e", gossip(members, {"a", "e"}), "dc2").convergence());
    EXPECT_TRUE(state("e", gossip(members, {"a", "e", "f"}), "dc2").convergence());
    EXPECT_TRUE(state("a", gossip(members, {"a"}), "dc1").convergence()) << "dc1 has an Up member";
}

TEST(Convergence, ANeverUpLeavingMemberDoesNotEndBootstrap) {
    const std::vector members{member("a", Joining), member("b", Leaving), member("d", Joining)};
    EXPECT_FALSE(state("b", gossip(members, {"b"})).convergence());
    EXPECT_EQ(hosts(state("b", gossip(members, {"b"})).convergence_unseen()), (Names{"a", "d"}));
    const std::vector numbered{member("a", Joining), member("b", Leaving, 1), member("d", Joining)};
    EXPECT_TRUE(state("b", gossip(numbered, {"b"})).convergence());
}

// --- leader (protocol.md §9.1)

TEST(Leader, IsTheFirstMemberThatIsUpOrLeavingOrPreparing) {
    EXPECT_EQ(
        leader_of(state("z", gossip({member("a", Joining), member("b", Exiting), member("c", Leaving)}))),
        "c");
    EXPECT_EQ(leader_of(state("z", gossip({member("a", ReadyForShutdown), member("b")}))), "a");
    EXPECT_EQ(leader_of(state("z", Gossip{})), "none");
    EXPECT_EQ(leader_of(state("z", gossip({member("a", Down)}))), "none");
}

TEST(Leader, FallsBackToWeaklyUpThenJoiningThenExiting) {
    EXPECT_EQ(
        leader_of(state("z", gossip({member("a", Exiting), member("b", Joining), member("c", WeaklyUp)}))),
        "c");
    EXPECT_EQ(
        leader_of(state("z", gossip({member("a", Exiting), member("c", Joining), member("b", Joining)}))),
        "b");
    EXPECT_EQ(leader_of(state("z", gossip({member("a", Exiting)}))), "a");
}

TEST(Leader, IsReachableForEverybodyOfItsDataCenterExceptThatSelfAlwaysIs) {
    const auto g = gossip({member("a"), member("b")}, {}, unreachable({{"b", "a"}}));
    EXPECT_EQ(leader_of(state("b", g)), "b");
    EXPECT_EQ(leader_of(state("a", g)), "a");
    const auto down_observer =
        gossip({member("a"), member("b"), member("d", Down)}, {}, unreachable({{"d", "a"}}));
    EXPECT_EQ(leader_of(state("b", down_observer)), "b")
        << "a Down observer counts here, unlike in convergence";
    const auto outside =
        gossip({member("a"), member("b"), in_dc("x", "west")}, {}, unreachable({{"x", "a"}}));
    EXPECT_EQ(leader_of(state("b", outside)), "a");
}

TEST(Leader, BelongsToTheOwnDataCenter) {
    const auto g = gossip({in_dc("a", "dc1"), in_dc("b", "dc2"), in_dc("c", "dc2")});
    EXPECT_EQ(leader_of(state("c", g, "dc2")), "b");
}

TEST(Leader, OfARoleIsTheFirstMemberWithIt) {
    const auto s = state("a", gossip({member("a", Up, 1, {"x"}), member("b", Joining, 2, {"y"}),
                                      member("c", Up, 3, {"y"}), member("d", Down, 4, {"z"})}));
    EXPECT_EQ(s.role_leader("y"), node("c"));
    EXPECT_EQ(s.role_leader("nobody"), std::nullopt);
    const auto all = s.role_leaders();
    EXPECT_EQ(all.size(), 4U);
    for (const auto& [role, leader] : all) EXPECT_EQ(leader, s.role_leader(role)) << role;
    EXPECT_EQ(all.at("z"), std::nullopt);
    EXPECT_EQ(all.at("dc-default"), node("a"));
}

// --- views (protocol.md §4.5)

TEST(Views, KeepTheRowsTheirDefinitionSays) {
    const auto rows = unreachable({{"a", "b"}, {"d", "b"}, {"a", "x"}, {"x", "a"}, {"x", "y"}});
    const auto s = state(
        "a", gossip({member("a"), member("b"), member("d", Down), in_dc("x", "west"), in_dc("y", "west")}, {},
                    rows));
    const auto count = [](const Reachability& view) { return view.records().size(); };
    EXPECT_EQ(count(s.dc_reach()), 3U);
    EXPECT_EQ(count(s.dc_reach_excl_downed()), 1U);
    EXPECT_EQ(count(s.dc_reach_no_outside()), 2U);
    EXPECT_EQ(count(s.dc_reach_cross()), 1U);
    EXPECT_EQ(count(s.reach_excl_downed()), 4U);
    EXPECT_EQ(s.unreachable_data_centers(), (Names{"west"}));
}

TEST(Views, AcrossDataCentersEveryObserverThatIsNotDownCounts) {
    const auto rows = unreachable({{"a", "x"}, {"x", "a"}});
    const auto g = gossip({member("a"), member("b"), in_dc("x", "west")}, {}, rows);
    EXPECT_TRUE(state("b", g).is_reachable_excluding_downed_observers(node("a")));
    EXPECT_FALSE(state("b", g).is_reachable_excluding_downed_observers(node("x")));
    EXPECT_FALSE(state("b", g).is_reachable_excluding_downed_observers(node("z"))) << "no member";
}

TEST(TopOldest, AreTheFirstByAgeOfEachDataCenter) {
    auto s = state("a", gossip({member("a", Up, 3), member("b", Joining), member("c", Up, 1),
                                in_dc("x", "w", Up, 2), in_dc("y", "w", Up, 1)}));
    s.cross_dc_connections = 2;
    const auto oldest = s.top_oldest_per_dc();
    EXPECT_EQ(hosts(oldest.at("default")), (Names{"c", "a"}));
    EXPECT_EQ(hosts(oldest.at("w")), (Names{"y", "x"}));
    EXPECT_EQ(*s.youngest(), member("a"));
}

// --- the leader's actions (protocol.md §9.3)

TEST(LeaderActions, NumberNewMembersInMemberOrderAfterTheHighestNumber) {
    const auto s = state("c", gossip({member("a", Joining), member("b", WeaklyUp), member("c", Up, 4)}));
    const auto actions = s.leader_actions({});
    ASSERT_EQ(hosts(actions.changed), (Names{"a", "b"}));
    EXPECT_EQ(actions.changed[0].up_number(), 5);
    EXPECT_EQ(actions.changed[1].up_number(), 6);
    EXPECT_EQ(actions.changed[1].status(), Up);
    EXPECT_EQ(state("a", gossip({member("a", Joining)})).leader_actions({}).changed[0].up_number(), 1);
}

TEST(LeaderActions, WaitForEnoughMembersInAllAndOfEachRole) {
    const auto s = state("a", gossip({member("a", Joining, Member::never_up, {"db"}), member("b", Joining)}));
    EXPECT_TRUE(s.leader_actions({.min_nr_of_members = 3}).empty());
    EXPECT_TRUE(s.leader_actions({.role_min_nr_of_members = {{"db", 2}}}).empty());
    EXPECT_EQ(
        s.leader_actions({.min_nr_of_members = 2, .role_min_nr_of_members = {{"db", 1}}}).changed.size(), 2U);
    EXPECT_TRUE(s.leader_actions({.preparing_for_shutdown = true}).empty());
}

TEST(LeaderActions, MoveLeavingToExitingAndPreparingToReady) {
    const auto actions = state("a", gossip({member("a"), member("b", Leaving),
                                            member("c", PreparingForShutdown), in_dc("x", "w", Leaving)}))
                             .leader_actions({});
    ASSERT_EQ(hosts(actions.changed), (Names{"b", "c"})) << "other data centers have their own leader";
    EXPECT_EQ(actions.changed[0].status(), Exiting);
    EXPECT_EQ(actions.changed[1].status(), ReadyForShutdown);
}

TEST(LeaderActions, RemoveUnreachableDownAndExitingMembers) {
    const auto s = state("a", gossip({member("a"), member("b", Down), member("c", Exiting), member("d", Down),
                                      member("e", Exiting)},
                                     {}, unreachable({{"a", "b"}, {"a", "c"}})));
    EXPECT_EQ(hosts(s.leader_actions({}).removed), (Names{"b", "c"}))
        << "a reachable Down member still stops itself";
    EXPECT_EQ(hosts(s.leader_actions({.exiting_confirmed = nodes({"d", "e"})}).removed),
              (Names{"b", "c", "e"}));
}

TEST(LeaderActions, ADownObserversRowRemovesADownMemberButNotAnExitingOne) {
    const std::vector members{member("a"), member("b", Down), member("c", Exiting), member("d", Down)};
    const auto s = state("a", gossip(members, {}, unreachable({{"b", "c"}, {"b", "d"}})));
    EXPECT_EQ(hosts(s.leader_actions({}).removed), (Names{"d"}));
}

TEST(LeaderActions, NeverRemoveSelf) {
    const auto s = state("a", gossip({member("a", Exiting), member("b")}, {}, unreachable({{"b", "a"}})));
    EXPECT_TRUE(s.leader_actions({}).removed.empty());
}

TEST(LeaderActions, RemoveDownAndExitingMembersOfOtherDataCentersWhateverTheirReachability) {
    const auto s =
        state("a", gossip({member("a"), in_dc("x", "w", Down), in_dc("y", "w", Exiting), in_dc("z", "w")}));
    EXPECT_EQ(hosts(s.leader_actions({}).removed), (Names{"x", "y"}));
}

TEST(LeaderActions, MakeReachableJoiningMembersWeaklyUpWithoutANumber) {
    const auto s = state("a", gossip({member("a"), member("b", Joining), member("c", Joining)}, {},
                                     unreachable({{"a", "c"}})));
    const auto changed = s.joining_to_weakly_up({});
    ASSERT_EQ(hosts(changed), (Names{"b"}));
    EXPECT_EQ(changed[0].status(), WeaklyUp);
    EXPECT_EQ(changed[0].up_number(), Member::never_up);
    EXPECT_TRUE(s.joining_to_weakly_up({.preparing_for_shutdown = true}).empty());
}

TEST(MembershipState, UnreachableAddressesAreThoseAnybodyHasANegativeRowAbout) {
    const auto s = state("a", gossip({member("a"), member("b"), member("c")}, {}, unreachable({{"b", "c"}})));
    EXPECT_EQ(hosts(s.unreachable_addresses()), (Names{"c"}));
}

} // namespace
} // namespace muster
