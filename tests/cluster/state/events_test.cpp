// SPDX-License-Identifier: Apache-2.0
#include "../sample.hpp"

#include <gtest/gtest.h>

namespace muster {
namespace {

using sample::gossip;
using sample::in_dc;
using sample::member;
using sample::Names;
using sample::node;
using sample::state;
using sample::unreachable;
using enum MemberStatus;

/// "MemberUp a", "LeaderChanged", ...: names with the host of the member they are about.
Names names(const std::vector<ClusterEvent>& events) {
    Names all;
    for (const auto& event : events) {
        all.emplace_back(name_of(event));
        if (const Member* m = member_of(event)) all.back() += " " + *m->address().host;
    }
    return all;
}

/// Without the events every state change brings.
Names member_events(const MembershipState& before, const MembershipState& after) {
    auto events = diff_events(&before, &after);
    std::erase_if(events, [](const auto& e) { return member_of(e) == nullptr; });
    return names(events);
}

template <class Event>
const Event* find(const std::vector<ClusterEvent>& events) {
    for (const auto& event : events) {
        if (const auto* found = std::get_if<Event>(&event)) return found;
    }
    return nullptr;
}

TEST(DiffEvents, OfTheSameStateIsEmpty) {
    const auto s = state("a", gossip({member("a"), member("b")}, {"a"}, unreachable({{"a", "b"}})));
    const auto equal = state("a", gossip({member("a"), member("b")}, {"a"}, unreachable({{"a", "b"}})));
    EXPECT_TRUE(diff_events(&s, &s).empty());
    EXPECT_TRUE(diff_events(&s, &equal).empty()) << "equal content is no change";
    EXPECT_TRUE(diff_events(nullptr, nullptr).empty());
}

TEST(DiffEvents, CallANewMemberByItsCurrentStatus) {
    const auto before = state("a", gossip({member("a")}));
    const auto after =
        state("a", gossip({member("a"), member("b", Joining), member("c", WeaklyUp), member("d", Up),
                           member("e", Leaving), member("f", Exiting), member("g", Down),
                           member("h", PreparingForShutdown), member("i", ReadyForShutdown)}));
    EXPECT_EQ(member_events(before, after),
              (Names{"MemberJoined b", "MemberWeaklyUp c", "MemberUp d", "MemberLeft e", "MemberExited f",
                     "MemberDowned g", "MemberPreparingForShutdown h", "MemberReadyForShutdown i"}));
}

TEST(DiffEvents, TellAChangedStatusOrNumberOnce) {
    const auto before = state("a", gossip({member("a"), member("b", Joining), member("c", WeaklyUp)}));
    const auto after = state("a", gossip({member("a"), member("b", Exiting), member("c", Up, 3)}));
    EXPECT_EQ(member_events(before, after), (Names{"MemberExited b", "MemberUp c"}));
    const auto numbered = state("a", gossip({member("a", Up, 1), member("b", Exiting), member("c", Up, 3)}));
    EXPECT_EQ(member_events(after, numbered), (Names{"MemberUp a"}));
}

TEST(DiffEvents, PutRemovalsBeforeAllOtherMemberEvents) {
    const auto before = state("a", gossip({member("a"), member("z", Down)}));
    const auto after = state("a", gossip({member("a"), member("b", Joining)}));
    EXPECT_EQ(member_events(before, after), (Names{"MemberRemoved z", "MemberJoined b"}));
    const auto events = diff_events(&before, &after);
    const auto* removed = find<MemberRemoved>(events);
    ASSERT_NE(removed, nullptr);
    EXPECT_EQ(removed->previous, Down);
    EXPECT_EQ(removed->member.status(), Removed);
}

TEST(DiffEvents, ARestartedAddressIsRemovedAndThenJoins) {
    const auto before = state("a", gossip({member("a"), Member{node("b", 1), Down}}));
    const auto after = state("a", gossip({member("a"), Member{node("b", 2), Joining}}));
    EXPECT_EQ(member_events(before, after), (Names{"MemberRemoved b", "MemberJoined b"}));
}

TEST(DiffEvents, TellOnlyNewUnreachabilityAndNeverAboutSelf) {
    const std::vector members{member("a"), member("b"), member("c")};
    const auto before = state("a", gossip(members, {}, unreachable({{"a", "c"}})));
    const auto after =
        state("a", gossip(members, {}, unreachable({{"a", "c"}, {"a", "b"}, {"b", "a"}, {"b", "c"}})));
    EXPECT_EQ(member_events(before, after), (Names{"UnreachableMember b"}));
    EXPECT_EQ(member_events(after, before), (Names{"ReachableMember b"}));
}

TEST(DiffEvents, AMemberThatWasOnlyTerminatedNeverBecomesReachable) {
    const std::vector members{member("a"), member("b")};
    const auto before = state("a", gossip(members, {}, Reachability{}.terminated(node("a"), node("b"))));
    const auto after = state("a", gossip(members));
    EXPECT_EQ(member_events(after, before), (Names{"UnreachableMember b"}));
    EXPECT_EQ(member_events(before, after), Names{});
}

TEST(DiffEvents, ARemovedUnreachableMemberIsNotCalledReachable) {
    const auto before = state("a", gossip({member("a"), member("b", Down)}, {}, unreachable({{"a", "b"}})));
    EXPECT_EQ(member_events(before, state("a", gossip({member("a")}))), (Names{"MemberRemoved b"}));
}

TEST(DiffEvents, RowsAcrossDataCentersMakeDataCenterEventsOnly) {
    const std::vector members{member("a"), in_dc("x", "west"), in_dc("y", "west")};
    const auto healthy = state("a", gossip(members));
    const auto cut = state("a", gossip(members, {}, unreachable({{"a", "x"}, {"x", "y"}})));
    const auto down = diff_events(&healthy, &cut);
    ASSERT_NE(find<UnreachableDataCenter>(down), nullptr);
    EXPECT_EQ(find<UnreachableDataCenter>(down)->data_center, "west");
    EXPECT_EQ(member_events(healthy, cut), Names{});
    EXPECT_NE(find<ReachableDataCenter>(diff_events(&cut, &healthy)), nullptr);
    const auto inside = state("a", gossip(members, {}, unreachable({{"x", "y"}})));
    EXPECT_EQ(find<UnreachableDataCenter>(diff_events(&healthy, &inside)), nullptr);
}

TEST(DiffEvents, TellTheNewLeaderAndThoseRoleLeadersThatChanged) {
    const auto before = state("a", gossip({member("a", Up, 1, {"x"}), member("b", Up, 2, {"x", "y"})}));
    const auto after = state("a", gossip({member("a", Down, 1, {"x"}), member("b", Up, 2, {"x", "y"})}));
    const auto events = diff_events(&before, &after);
    ASSERT_NE(find<LeaderChanged>(events), nullptr);
    EXPECT_EQ(find<LeaderChanged>(events)->from, node("a"));
    EXPECT_EQ(find<LeaderChanged>(events)->to, node("b"));
    std::map<std::string, std::optional<UniqueAddress>> roles;
    for (const auto& event : events) {
        if (const auto* e = std::get_if<RoleLeaderChanged>(&event)) roles[e->role] = e->leader;
    }
    EXPECT_EQ(roles, (decltype(roles){{"dc-default", node("b")}, {"x", node("b")}}));
}

TEST(DiffEvents, ComeInTheOrderOfTheSpecification) {
    const auto before = state(
        "a", gossip({member("a", Down), member("b"), member("c"), member("z", Down), in_dc("x", "west")},
                    {"b"}, unreachable({{"b", "c"}})));
    auto next = gossip(
        {member("a", Down), member("b", Leaving), member("c"), member("d", Joining), in_dc("x", "west")},
        {"b", "c"}, unreachable({{"b", "x"}, {"c", "b"}}));
    const auto gone = node("z");
    const auto after = state("a", next.remove(std::span{&gone, 1}, WallTime{1}));
    Names order = names(diff_events(&before, &after));
    EXPECT_EQ(order, (Names{"MemberTombstonesChanged", "MemberRemoved z", "MemberLeft b", "MemberJoined d",
                            "UnreachableMember b", "ReachableMember c", "UnreachableDataCenter",
                            "LeaderChanged", "RoleLeaderChanged", "SeenChanged", "ReachabilityChanged"}));
}

TEST(DiffEvents, TellConvergenceAfterSeenWhenItFlips) {
    const std::vector members{member("a"), member("b")};
    const auto open = state("a", gossip(members, {"a"}));
    const auto closed = state("a", gossip(members, {"a", "b"}));
    EXPECT_EQ(names(diff_events(&open, &closed)), (Names{"SeenChanged", "Convergence"}));
    const auto events = diff_events(&open, &closed);
    EXPECT_TRUE(find<Convergence>(events)->converged);
    EXPECT_TRUE(find<SeenChanged>(events)->convergence);
}

TEST(DiffEvents, ToTheEmptyStateRemovesEverybody) {
    const auto s = state("a", gossip({member("a"), member("b", Joining)}, {"a"}));
    const auto events = diff_events(&s, nullptr);
    EXPECT_EQ(names(events), (Names{"MemberRemoved a", "MemberRemoved b", "LeaderChanged",
                                    "RoleLeaderChanged", "SeenChanged"}));
    EXPECT_EQ(find<LeaderChanged>(events)->to, std::nullopt);
}

TEST(DiffEvents, FromTheEmptyStateTellEverything) {
    const auto s = state("a", gossip({member("a"), member("b", Joining)}, {"a"}));
    EXPECT_EQ(names(diff_events(nullptr, &s)),
              (Names{"MemberUp a", "MemberJoined b", "LeaderChanged", "RoleLeaderChanged", "SeenChanged"}));
}

} // namespace
} // namespace muster
