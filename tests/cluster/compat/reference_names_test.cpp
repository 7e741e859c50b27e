// SPDX-License-Identifier: Apache-2.0
/// The names that programs written for the reference use, each as its documentation reads. What a name does
/// beyond this is tested where its class is; tests/checks/reference_names.py lists them all.
#include "../sample.hpp"

#include <gtest/gtest.h>
#include <muster/cluster/compat/gossip_pdu.hpp>
#include <muster/cluster/compat/heartbeat_sender.hpp>
#include <muster/cluster/compat/leader.hpp>
#include <muster/cluster/compat/membership.hpp>
#include <muster/cluster/compat/multi_dc.hpp>
#include <muster/cluster/failure/heartbeat_state.hpp>
#include <muster/cluster/failure/phi_accrual.hpp>
#include <muster/cluster/protocol/gossip_pdu.hpp>
#include <muster/cluster/sbr/model.hpp>
#include <muster/cluster/sbr/provider.hpp>
#include <muster/cluster/sbr/runtime.hpp>
#include <muster/cluster/sbr/settings.hpp>
#include <muster/cluster/sbr/strategy.hpp>
#include <muster/cluster/state/events.hpp>

namespace muster {
namespace {

using namespace std::chrono_literals;
using sample::gossip;
using sample::in_dc;
using sample::member;
using sample::node;
using sample::state;
using sample::unreachable;

constexpr Instant start{1h};

// --- address.hpp, cluster/state/member.hpp

TEST(ReferenceNames, AnAddressIsLocalOrRemoteAndReadsBackFromItsText) {
    EXPECT_EQ(Address::local("akka", "sys").to_string(), "akka://sys");
    const Address remote = Address::remote("akka.tcp", "sys", "host", 2551);
    EXPECT_EQ(remote.to_string(), "akka.tcp://sys@host:2551");
    EXPECT_EQ(Address::parse("akka.tcp://sys@host:2551").value(), remote);
    EXPECT_EQ(Address::parse("akka.tcp://sys@[::1]:2551").value().host, "::1");
    EXPECT_NE(UniqueAddress(remote, Uid{1}), UniqueAddress(remote, Uid{2}))
        << "another incarnation is another node";
}

TEST(ReferenceNames, MemberStatusHasTheReferencesOrderAndThenTheTwoItLacks) {
    using enum MemberStatus;
    int index = 0;
    for (const auto status :
         {Joining, WeaklyUp, Up, Leaving, Exiting, Down, Removed, PreparingForShutdown, ReadyForShutdown})
        EXPECT_EQ(static_cast<int>(status), index++) << to_string(status);
}

TEST(ReferenceNames, AMemberIsOlderThanWhoCameUpAfterIt) {
    const Member first = member("b", MemberStatus::Up, 1);
    const Member second = member("a", MemberStatus::Up, 2);
    EXPECT_TRUE(first.is_older_than(second));
    EXPECT_TRUE(Member::age_ordering(first, second) < 0);
    std::vector<Member> members{second, first};
    EXPECT_EQ(*oldest(members), first);
    sort_by_age(members);
    EXPECT_EQ(members, (std::vector{first, second}));
}

TEST(ReferenceNames, AMemberIsCopiedWithAStatusItMayHave) {
    const Member up = member("a", MemberStatus::Up, 3, {"web"});
    const Member leaving = up.copy_with_status(MemberStatus::Leaving).value();
    EXPECT_EQ(leaving.status(), MemberStatus::Leaving);
    EXPECT_EQ(leaving.unique_address(), up.unique_address());
    EXPECT_EQ(leaving.up_number(), 3);
    EXPECT_TRUE(leaving.has_role("web"));
    EXPECT_EQ(leaving.app_version(), up.app_version());
    EXPECT_EQ(up.copy_with_status(MemberStatus::Joining).error(), Errc::illegal_transition);
}

// --- cluster/state/vector_clock.hpp, cluster/state/reachability.hpp

TEST(ReferenceNames, AVectorClockTicksMergesComparesAndForgets) {
    const Hash128 a = node("a").key();
    const Hash128 b = node("b").key();
    VectorClock mine;
    VectorClock yours;
    EXPECT_EQ(mine.compare(yours), VectorRelation::Same);
    mine.tick(node("a"));
    EXPECT_EQ(mine.compare(yours), VectorRelation::After);
    EXPECT_EQ(yours.compare(mine), VectorRelation::Before);
    yours.tick(node("b"));
    EXPECT_EQ(mine.compare(yours), VectorRelation::Concurrent);
    mine.merge(yours);
    EXPECT_EQ(mine.get(a), 1U);
    EXPECT_EQ(mine.get(b), 1U);
    mine.prune(b);
    EXPECT_EQ(mine.get(b), 0U);
}

TEST(ReferenceNames, ReachabilityIsWhatEachObserverSaysAndTerminatedIsFinal) {
    auto table = Reachability().unreachable(node("a"), node("c"));
    EXPECT_EQ(table.status(node("a"), node("c")), ReachabilityStatus::Unreachable);
    EXPECT_EQ(table.status(node("b"), node("c")), ReachabilityStatus::Reachable) << "b has said nothing";
    table = table.reachable(node("a"), node("c"));
    EXPECT_TRUE(table.is_reachable(node("c")));
    table = table.terminated(node("b"), node("c")).reachable(node("b"), node("c"));
    EXPECT_EQ(table.status(node("c")), ReachabilityStatus::Terminated);
}

// --- cluster/state/gossip.hpp, cluster/state/membership.hpp

TEST(ReferenceNames, TheOverviewOfAGossipSaysWhoHasSeenItAndWhoIsUnreachable) {
    const Gossip g = gossip({member("a"), member("b"), member("c")}, {"a", "c"}, unreachable({{"a", "b"}}));
    const GossipOverview& overview = g.overview();
    EXPECT_EQ(overview.seen.count(), 2U);
    EXPECT_EQ(sample::hosts(g.seen_nodes()), (std::vector<std::string>{"a", "c"}));
    EXPECT_EQ(overview.reachability.all_unreachable(), std::vector{node("b")});
    EXPECT_TRUE(overview.reachability == g.reachability());
}

TEST(ReferenceNames, AGossipMergesTheSameFromBothSidesAndARemovedMemberNeverComesBack) {
    const Gossip left = gossip({member("a"), member("b")});
    const Gossip right = gossip({member("a", MemberStatus::Leaving), member("c")});
    EXPECT_EQ(left.merge(right).version_id(), right.merge(left).version_id());
    EXPECT_EQ(left.merge(left).members().size(), 2U);
    EXPECT_EQ(left.merge(right).find(node("a"))->status(), MemberStatus::Leaving);
    const UniqueAddress gone = node("b");
    const Gossip without = left.remove(std::span(&gone, 1), WallTime{1});
    EXPECT_FALSE(without.merge(left).has_member(gone));
    EXPECT_TRUE(without.is_tombstoned(gone));
}

TEST(ReferenceNames, AMembershipStateIsJoinedLeftAndDowned) {
    MembershipState s = state("a", gossip({member("a", MemberStatus::Up, 1)}, {"a"}));
    ASSERT_TRUE(join(s, node("b"), {"web"}));
    EXPECT_EQ(s.member_count(), 2U);
    EXPECT_EQ(sample::hosts(s.up_members()), std::vector<std::string>{"a"}) << "b is Joining";
    const auto events = apply_leader_actions(s, WallTime{1});
    EXPECT_EQ(sample::hosts(s.up_members()), (std::vector<std::string>{"a", "b"}));
    EXPECT_TRUE(std::ranges::any_of(events, [](const ClusterEvent& e) { return name_of(e) == "MemberUp"; }));
    EXPECT_EQ(leave(s, sample::address("b")).size(), 1U);
    EXPECT_EQ(s.latest().find(node("b"))->status(), MemberStatus::Leaving);
    EXPECT_EQ(down(s, sample::address("b")).size(), 1U);
    EXPECT_EQ(s.latest().find(node("b"))->status(), MemberStatus::Down);
    remove(s, node("b"), WallTime{2});
    add_or_update(s, member("b"));
    EXPECT_EQ(s.member_count(), 1U) << "removed";
    EXPECT_TRUE(s.unreachable_addresses().empty());
}

// --- cluster/protocol/gossip_pdu.hpp, cluster/compat/gossip_pdu.hpp, cluster/compat/leader.hpp

TEST(ReferenceNames, AGossipPduIsAStatusAnEnvelopeOrAMergeFromAnIncarnationToAnother) {
    const auto content = std::make_shared<const Gossip>(gossip({member("a")}));
    const GossipPdu envelope = GossipEnvelope{node("a"), node("b"), content};
    const GossipPdu status =
        GossipStatus{node("a"), node("b"), content->version(), content->version_id(), {}};
    const GossipPdu merge = GossipMerge{std::get<GossipStatus>(status)};
    EXPECT_EQ(std::get<GossipEnvelope>(envelope).gossip, content);
    for (const GossipPdu* pdu : {&envelope, &status, &merge})
        std::visit([](const auto& p) { EXPECT_EQ(std::pair(p.from, p.to), std::pair(node("a"), node("b"))); },
                   *pdu);
}

TEST(ReferenceNames, GossipDecideSaysWhatToDoAboutARemoteVersion) {
    VectorClock older;
    VectorClock newer;
    newer.tick(node("a"));
    VectorClock other;
    other.tick(node("b"));
    EXPECT_EQ(gossip_decide(older, older), GossipDecision::Same);
    EXPECT_EQ(gossip_decide(newer, older), GossipDecision::SendEnvelope);
    EXPECT_EQ(gossip_decide(older, newer), GossipDecision::RequestMerge);
    EXPECT_EQ(gossip_decide(newer, other), GossipDecision::MergeBoth);
}

TEST(ReferenceNames, PickGossipTargetGoesRoundWithoutSelf) {
    const std::vector<Address> peers{sample::address("a"), sample::address("b"), sample::address("c")};
    EXPECT_EQ(*pick_gossip_target(peers, peers[0], 0), peers[1]);
    EXPECT_EQ(*pick_gossip_target(peers, peers[0], 2), peers[2]);
    EXPECT_EQ(*pick_gossip_target(peers, peers[0], 3), peers[1]);
    EXPECT_EQ(pick_gossip_target(std::vector{peers[0]}, peers[0], 0), nullptr);
}

TEST(ReferenceNames, TheLeaderIsElectedFromAStateAndMovesMembersOnWhenItHasConverged) {
    const auto converged = state("a", gossip({member("a"), member("b")}, {"a", "b"}));
    EXPECT_EQ(elect_leader(converged), node("a"));
    EXPECT_TRUE(is_converged(converged));
    EXPECT_FALSE(is_converged(state("a", gossip({member("a"), member("b")}, {"a"}))));
    EXPECT_EQ(next_status(MemberStatus::Joining, true), MemberStatus::Up);
    EXPECT_EQ(next_status(MemberStatus::Joining, false), std::nullopt);
}

TEST(ReferenceNames, ALeaderHandoverIsToldOnce) {
    LeaderHandover handover;
    const auto with_a = state("b", gossip({member("a"), member("b")}));
    const auto without_a = state("b", gossip({member("b")}));
    EXPECT_EQ(handover.observe(with_a), (LeaderHandoverEvent{std::nullopt, node("a")}));
    EXPECT_EQ(handover.observe(with_a), std::nullopt);
    EXPECT_EQ(handover.observe(without_a), (LeaderHandoverEvent{node("a"), node("b")}));
    EXPECT_EQ(handover.current(), node("b"));
}

// --- cluster/failure/heartbeat_state.hpp, heartbeat_sender.hpp, phi_accrual.hpp

TEST(ReferenceNames, HeartbeatStateHasADetectorForEachPeerWithTheDocumentedDefaults) {
    const FailureDetectorSettings defaults;
    EXPECT_EQ(defaults.threshold, 8.0);
    EXPECT_EQ(defaults.max_sample_size, 1000U);
    EXPECT_EQ(defaults.min_std_deviation, 100ms);
    EXPECT_EQ(defaults.acceptable_heartbeat_pause, 3s);
    EXPECT_EQ(defaults.heartbeat_interval, 1s);
    HeartbeatState peers;
    for (int second = 0; second < 10; ++second)
        for (const char* host : {"a", "b"}) peers.heartbeat(node(host), start + 1s * second);
    for (int second = 10; second < 30; ++second) peers.heartbeat(node("a"), start + 1s * second);
    EXPECT_TRUE(peers.is_available(node("a"), start + 30s));
    EXPECT_FALSE(peers.is_available(node("b"), start + 30s));
    EXPECT_GT(peers.phi(node("b"), start + 30s), defaults.threshold);
}

TEST(ReferenceNames, APeerHeartbeatSaysWhenItsPeerIsDueAndHowOftenItWas) {
    HeartbeatSender sender;
    sender.add_peer(node("b"), 1s, start);
    EXPECT_EQ(sender.due_peers(start), std::vector{node("b")}) << "a new peer is due at once";
    sender.record_tick(node("b"), start);
    const PeerHeartbeat* peer = sender.find(node("b"));
    ASSERT_NE(peer, nullptr);
    EXPECT_EQ(peer->peer, node("b"));
    EXPECT_EQ(peer->interval, 1s);
    EXPECT_EQ(peer->next_due, start + 1s);
    EXPECT_EQ(peer->ticks, 1U);
    EXPECT_TRUE(sender.due_peers(start + 999ms).empty());
    EXPECT_EQ(sender.ticks_per_peer(), (std::map<UniqueAddress, std::uint64_t>{{node("b"), 1}}));
    EXPECT_TRUE(sender.remove_peer(node("b")));
    EXPECT_EQ(sender.find(node("b")), nullptr);
}

TEST(ReferenceNames, APhiAccrualDetectorIsToldTheTime) {
    PhiAccrualFailureDetector detector;
    EXPECT_TRUE(detector.is_available(start)) << "nobody is suspected before he was heard";
    EXPECT_FALSE(detector.is_monitoring());
    for (int second = 0; second < 10; ++second) detector.heartbeat(start + 1s * second);
    EXPECT_TRUE(detector.is_monitoring());
    EXPECT_LT(detector.phi(start + 10s), 1.0);
    EXPECT_GT(detector.phi(start + 60s), 8.0);
    EXPECT_FALSE(detector.is_available(start + 60s));
}

// --- cluster/compat/multi_dc.hpp

TEST(ReferenceNames, TheDataCenterIsInARoleAndCrossDcSettingsHaveTheReferencesDefaults) {
    EXPECT_EQ(DC_ROLE_PREFIX, "dc-");
    EXPECT_EQ(DEFAULT_DC, "default");
    const CrossDcSettings reference;
    EXPECT_EQ(reference.heartbeat_interval, 5s);
    EXPECT_EQ(reference.acceptable_pause, 30s);
    EXPECT_EQ(reference.max_monitored_peers, 5U);
    const MultiDcSettings used; // protocol.md §18
    EXPECT_EQ(used.heartbeat_interval, 3s);
    EXPECT_EQ(used.acceptable_heartbeat_pause, 10s);
    EXPECT_EQ(used.cross_dc_connections, 5U);
    const MultiDcSettings asked =
        multi_dc_settings({.heartbeat_interval = 1s, .acceptable_pause = 2s, .max_monitored_peers = 3});
    EXPECT_EQ(asked.heartbeat_interval, 1s);
    EXPECT_EQ(asked.acceptable_heartbeat_pause, 2s);
    EXPECT_EQ(asked.cross_dc_connections, 3U);
}

TEST(ReferenceNames, PeersAreOfTheOwnDataCenterOrOfAnotherAndThoseAreHeartbeatedMoreSlowly) {
    const Member here = in_dc("a", "one");
    const Member near = in_dc("b", "one");
    const Member far = in_dc("c", "two");
    const Member plain(node("d"), MemberStatus::Up);
    EXPECT_EQ(member_dc(far), "two");
    EXPECT_EQ(member_dc(plain), DEFAULT_DC);
    EXPECT_TRUE(far.has_role(std::string(DC_ROLE_PREFIX) + "two"));
    EXPECT_TRUE(same_dc(here, near));
    EXPECT_FALSE(same_dc(here, far));
    const auto [own, others] = partition_by_dc(here, std::vector{far, near});
    EXPECT_EQ(own, std::vector{near});
    EXPECT_EQ(others, std::vector{far});
    EXPECT_EQ(heartbeat_interval_for(here, near, 1s, CrossDcSettings{}), 1s);
    EXPECT_EQ(heartbeat_interval_for(here, far, 1s, CrossDcSettings{}), 5s);
}

// --- cluster/sbr/strategy.hpp, provider.hpp, runtime.hpp

/// a and b see c, d and e no more.
SbrModel minority() {
    SbrModel model(node("a"), "default");
    std::int32_t number = 0;
    for (const char* host : {"a", "b", "c", "d", "e"}) model.add(member(host, MemberStatus::Up, ++number));
    for (const char* host : {"c", "d", "e"}) model.add_unreachable(Member{*model.find(node(host))});
    model.set_reachability(unreachable({{"a", "c"}, {"a", "d"}, {"a", "e"}}));
    model.set_seen_by(sample::nodes({"a", "b"}));
    return model;
}

TEST(ReferenceNames, EveryStrategyIsADowningStrategyThatDecidesOnAModel) {
    const auto decision = [](const DowningStrategy& strategy) {
        return strategy.decide(minority()).decision;
    };
    EXPECT_EQ(decision(KeepMajorityStrategy{}), DowningDecision::DownSelf);
    EXPECT_EQ(decision(StaticQuorumStrategy{3}), DowningDecision::DownSelf);
    EXPECT_EQ(decision(StaticQuorumStrategy{2}), DowningDecision::DownAll)
        << "two sides of five could have a quorum of two";
    EXPECT_EQ(decision(KeepOldestStrategy{}), DowningDecision::DownUnreachable) << "a is the oldest";
    EXPECT_EQ(decision(KeepReferee{sample::address("e")}), DowningDecision::DownSelf);
    EXPECT_EQ(decision(DownAllStrategy{}), DowningDecision::DownAll);
    EXPECT_TRUE(needs_lease(decision(LeaseMajorityStrategy{})));
    EXPECT_EQ(decision(RoleWeightedQuorum{RoleWeights{}, 3}), DowningDecision::DownSelf);
}

TEST(ReferenceNames, ASplitBrainResolverDecidesWhereNoSbrNeverDoes) {
    const auto split = state("a", gossip({member("a", MemberStatus::Up, 1), member("b", MemberStatus::Up, 2),
                                          member("c", MemberStatus::Up, 3)},
                                         {"a"}, unreachable({{"a", "b"}, {"a", "c"}})));
    EXPECT_EQ(NoSbr().decide(split), DowningDecision::Stay);
    EXPECT_EQ(SplitBrainResolver::make(SbrSettings{}).value().decide(split), DowningDecision::DownSelf);
}

TEST(ReferenceNames, AnSbrRuntimeAnswersEachTickWithAnSbrAction) {
    SbrSettings settings;
    settings.stable_after = 5s;
    SbrRuntime runtime(node("a"), "default", settings);
    Effects effects;
    const auto at = [](Duration since) { return Now{start + since, WallTime{}}; };
    std::int32_t number = 0;
    for (const char* host : {"a", "b", "c"})
        runtime.on_event(MemberUp{member(host, MemberStatus::Up, ++number)}, at(0s), effects);
    runtime.on_event(LeaderChanged{{}, node("a")}, at(0s), effects);
    EXPECT_TRUE(std::holds_alternative<sbr_action::None>(runtime.tick(at(6s), effects)))
        << "everybody is reachable";
    runtime.on_event(UnreachableMember{member("c", MemberStatus::Up, 3)}, at(7s), effects);
    EXPECT_TRUE(std::holds_alternative<sbr_action::None>(runtime.tick(at(11s), effects)))
        << "not stable for long enough";
    const SbrAction action = runtime.tick(at(13s), effects);
    ASSERT_TRUE(std::holds_alternative<sbr_action::DownUnreachable>(action));
    EXPECT_EQ(std::get<sbr_action::DownUnreachable>(action).nodes, std::vector{node("c")});
}

TEST(ReferenceNames, AQuorumObserverIsToldWhenTheQuorumIsLostAndRegained) {
    struct Observer : QuorumObserver {
        void on_quorum_lost() override { calls.emplace_back("lost"); }
        void on_quorum_regained() override { calls.emplace_back("regained"); }
        std::vector<std::string> calls;
    };
    SbrRuntime runtime(node("a"), "default", SbrSettings{});
    const auto observer = std::make_shared<Observer>();
    runtime.add_quorum_observer(observer);
    Effects effects;
    const Now now{start, {}};
    for (const char* host : {"a", "b", "c"}) runtime.on_event(MemberUp{member(host)}, now, effects);
    runtime.on_event(UnreachableMember{member("b")}, now, effects);
    runtime.on_event(UnreachableMember{member("c")}, now, effects);
    runtime.on_event(ReachableMember{member("b")}, now, effects);
    EXPECT_EQ(observer->calls, (std::vector<std::string>{"lost", "regained"}));
}

// --- cluster/state/events.hpp

TEST(ReferenceNames, EveryClusterEventSaysItsName) {
    const Member m = member("a");
    const std::pair<ClusterEvent, std::string_view> events[] = {
        {MemberJoined{m}, "MemberJoined"},
        {MemberWeaklyUp{m}, "MemberWeaklyUp"},
        {MemberUp{m}, "MemberUp"},
        {MemberLeft{m}, "MemberLeft"},
        {MemberExited{m}, "MemberExited"},
        {MemberDowned{m}, "MemberDowned"},
        {MemberRemoved{m, MemberStatus::Exiting}, "MemberRemoved"},
        {UnreachableMember{m}, "UnreachableMember"},
        {ReachableMember{m}, "ReachableMember"},
        {LeaderChanged{{}, node("a")}, "LeaderChanged"},
        {RoleLeaderChanged{"web", node("a")}, "RoleLeaderChanged"},
        {Convergence{true}, "Convergence"},
        {ClusterShuttingDown{}, "ClusterShuttingDown"},
    };
    for (const auto& [event, name] : events) {
        EXPECT_EQ(name_of(event), name);
        EXPECT_EQ(member_of(event) != nullptr, name.find("Member") != std::string_view::npos) << name;
    }
}

} // namespace
} // namespace muster
