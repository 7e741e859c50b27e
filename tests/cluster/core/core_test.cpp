// SPDX-License-Identifier: Apache-2.0
// ClusterCore rule by rule (protocol.md §5 to §11). Each test puts one core into a state, tells it one thing
// and reads its effects.
#include "../core_support.hpp"

#include <algorithm>
#include <bit>
#include <gtest/gtest.h>
#include <muster/cluster/compat/multi_dc.hpp>
#include <muster/ensure.hpp>

namespace muster::testing {
namespace {

// --- joining

TEST(Joining, ANodeThatJoinsItselfIsUpAtOnceWithNumberOne) {
    ClusterCore core(a, ClusterSettings::classic(), random_source());
    Effects out;
    core.join(a.address(), at(), out);
    ASSERT_TRUE(core.is_joined());
    EXPECT_EQ(core.state()->latest().find(a)->status(), MemberStatus::Up);
    EXPECT_EQ(core.state()->latest().find(a)->up_number(), 1);
    ASSERT_EQ(of_type<effect::Publish>(out).size(), 1U);
}

TEST(Joining, AnswersInitJoinWithNackUntilItHasJoined) {
    ClusterCore core(a, ClusterSettings::classic(), random_source());
    EXPECT_EQ(sent<InitJoinNack>(tell(core, InitJoin{b.address(), {}})).size(), 1U);
    Effects out;
    core.join(a.address(), at(), out);
    EXPECT_EQ(sent<InitJoinAck>(tell(core, InitJoin{b.address(), {}})).size(), 1U);
}

TEST(Joining, AMemberThatIsExitingOrDownAnswersInitJoinWithNackAndAnyOtherWithAck) {
    for (const MemberStatus status : {MemberStatus::Joining, MemberStatus::WeaklyUp, MemberStatus::Up,
                                      MemberStatus::Leaving, MemberStatus::Exiting, MemberStatus::Down,
                                      MemberStatus::PreparingForShutdown, MemberStatus::ReadyForShutdown}) {
        ClusterCore core = core_with(a, gossip_of({member(a, status, 1), up(b, 2)}, {a}));
        const Effects out = tell(core, InitJoin{c.address(), {}});
        const bool refuses = status == MemberStatus::Exiting || status == MemberStatus::Down;
        EXPECT_EQ(targets<InitJoinNack>(out).size(), refuses ? 1U : 0U) << to_string(status);
        EXPECT_EQ(targets<InitJoinAck>(out).size(), refuses ? 0U : 1U) << to_string(status);
    }
}

TEST(Joining, AFirstSeedThatHasSentAJoinTakesANewIncarnationBeforeItFoundsACluster) {
    ClusterCore core(a, ClusterSettings::classic(), random_source());
    Effects out;
    core.join_seed_nodes({a.address(), b.address()}, at(), out);
    out = tell(core, InitJoinAck{b.address(), ConfigCheck::Unchecked, {}});
    ASSERT_EQ(targets<Join>(out), std::vector{b.address()});
    // b never answers: the seeds are asked again, and this time nobody is there.
    out.clear();
    core.tick_join(at(seconds{11}), out);
    EXPECT_EQ(targets<InitJoin>(out), std::vector{b.address()});
    out = tell(core, InitJoinNack{b.address()}, seconds{12});
    ASSERT_EQ(of_type<effect::NewIncarnation>(out).size(), 1U);
    EXPECT_FALSE(core.is_joined());
    out.clear();
    core.on_new_incarnation(node("a", 77), at(seconds{12}), out);
    EXPECT_TRUE(core.is_joined());
    EXPECT_EQ(core.self(), node("a", 77));
    EXPECT_FALSE(core.state()->latest().has_member(a));
}

TEST(Joining, AFirstSeedThatNeverSentAJoinKeepsItsUid) {
    ClusterCore core(a, ClusterSettings::classic(), random_source());
    Effects out;
    core.join_seed_nodes({a.address(), b.address()}, at(), out);
    out = tell(core, InitJoinNack{b.address()});
    EXPECT_TRUE(of_type<effect::NewIncarnation>(out).empty());
    EXPECT_TRUE(core.is_joined());
}

TEST(Joining, AManualJoinStopsTheSeedProcess) {
    ClusterCore core(b, ClusterSettings::classic(), random_source());
    Effects out;
    core.join_seed_nodes({a.address()}, at(), out);
    core.join(c.address(), at(), out);
    out = tell(core, InitJoinAck{a.address(), ConfigCheck::Unchecked, {}});
    EXPECT_TRUE(sent<Join>(out).empty());
}

TEST(Joining, OnlyTheFirstAckIsFollowed) {
    ClusterCore core(c, ClusterSettings::classic(), random_source());
    Effects out;
    core.join_seed_nodes({a.address(), b.address()}, at(), out);
    EXPECT_EQ(targets<Join>(tell(core, InitJoinAck{b.address(), ConfigCheck::Unchecked, {}})),
              std::vector{b.address()});
    EXPECT_TRUE(tell(core, InitJoinAck{a.address(), ConfigCheck::Unchecked, {}}).empty());
}

TEST(Joining, WithoutSeedsTheSameNodeIsAskedAgain) {
    ClusterCore core(b, ClusterSettings::classic(), random_source());
    Effects out;
    core.join(a.address(), at(), out);
    out.clear();
    core.tick_join(at(seconds{9}), out);
    EXPECT_TRUE(out.empty());
    core.tick_join(at(milliseconds{10'001}), out);
    EXPECT_EQ(targets<Join>(out), std::vector{a.address()});
}

TEST(Joining, EndsWithJoinUnsuccessfulAtTheOverallDeadline) {
    ClusterSettings settings = ClusterSettings::classic();
    settings.shutdown_after_unsuccessful_join_seed_nodes = seconds{20};
    ClusterCore core(b, settings, random_source());
    Effects out;
    core.join_seed_nodes({a.address()}, at(), out);
    core.tick_join(at(seconds{19}), out);
    EXPECT_FALSE(shutdown_of(out));
    core.tick_join(at(seconds{20}), out);
    EXPECT_EQ(shutdown_of(out), ShutdownReason::JoinUnsuccessful);
    out.clear();
    core.tick_join(at(seconds{30}), out);
    EXPECT_TRUE(out.empty()) << "it has given up";
}

TEST(Joining, WaitsForItsAppVersion) {
    ClusterCore core(b, ClusterSettings::classic(), random_source());
    core.expect_app_version();
    Effects out;
    core.join(a.address(), at(), out);
    EXPECT_TRUE(sent<Join>(out).empty());
    core.app_version(*AppVersion::parse("2.1"), at(), out);
    ASSERT_EQ(sent<Join>(out).size(), 1U);
    EXPECT_EQ(sent<Join>(out).front().app_version.text(), "2.1");
}

TEST(Joining, ADifferentClusterNameIsNotJoined) {
    ClusterCore core(b, ClusterSettings::classic(), random_source());
    Effects out;
    core.join(Address::remote("akka.tcp", "other", "a", 2551), at(), out);
    EXPECT_TRUE(sent<Join>(out).empty());
    EXPECT_TRUE(logged(out, "cluster.join.other_cluster"));
}

TEST(Welcome, IsAdoptedOnlyFromTheNodeThatWasAskedAndWithSelfInIt) {
    const auto with_self =
        std::make_shared<const Gossip>(gossip_of({up(a, 1), member(b, MemberStatus::Joining)}, {a}));
    const auto other_uid = std::make_shared<const Gossip>(
        gossip_of({up(a, 1), member(node("b", 9), MemberStatus::Joining)}, {a}));
    ClusterCore core(b, ClusterSettings::classic(), random_source());
    tell(core, Welcome{a, b, with_self});
    EXPECT_FALSE(core.is_joined()) << "nobody was asked";
    Effects out;
    core.join(a.address(), at(), out);
    tell(core, Welcome{c, b, with_self});
    EXPECT_FALSE(core.is_joined()) << "another node was asked";
    tell(core, Welcome{a, b, other_uid});
    EXPECT_FALSE(core.is_joined()) << "self is not in it";
    tell(core, Welcome{a, node("b", 9), with_self});
    EXPECT_FALSE(core.is_joined()) << "it is for another incarnation";
    out = tell(core, Welcome{a, b, with_self});
    EXPECT_TRUE(core.is_joined());
    EXPECT_TRUE(core.state()->latest().seen_by(b));
    EXPECT_EQ(targets<GossipEnvelope>(out), std::vector{a.address()});
}

TEST(Welcome, ThatShowsSelfExitingStartsItsExit) {
    ClusterCore core(b, ClusterSettings::classic(), random_source());
    Effects out;
    core.join(a.address(), at(), out);
    out = tell(core, Welcome{a, b,
                             std::make_shared<const Gossip>(
                                 gossip_of({up(a, 1), member(b, MemberStatus::Exiting)}, {a}))});
    EXPECT_EQ(of_type<effect::RunExitingTasks>(out).size(), 1U);
    EXPECT_EQ(shutdown_of(out), ShutdownReason::Leaving);
}

TEST(JoinRequest, OfANewIncarnationDownsTheOldOneAndSaysWhyItWaits) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1), up(b, 2)}, {a, b}));
    const UniqueAddress fresh = node("b", 9);
    const Effects out = tell(core, Join{fresh, {}, {}});
    EXPECT_EQ(status_in(core, b), MemberStatus::Down);
    EXPECT_EQ(core.state()->latest().reachability().status(a, b), ReachabilityStatus::Terminated);
    EXPECT_TRUE(sent<Welcome>(out).empty());
    EXPECT_EQ(sent<JoinDeferred>(out).size(), 1U);
    // Down and terminated: the leader removes it, and then the new one is admitted.
    Effects tick;
    core.tick_leader_actions(at(seconds{1}), tick);
    EXPECT_TRUE(core.is_tombstoned(b));
    EXPECT_EQ(sent<Welcome>(tell(core, Join{fresh, {}, {}}, seconds{2})).size(), 1U);
}

TEST(JoinRequest, WithTheOwnAddressAndAnotherUidDoesNotDownSelf) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1)}, {a}));
    const Effects out = tell(core, Join{node("a", 9), {}, {}});
    EXPECT_EQ(status_in(core, a), MemberStatus::Up);
    EXPECT_EQ(counted(out, "cluster.join.ignored.address"), 1U);
}

TEST(JoinRequest, WithTwoDataCentersIsIgnored) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1)}, {a}));
    const Effects out = tell(core, Join{b, {"dc-x", "dc-y"}, {}});
    EXPECT_FALSE(core.state()->latest().has_member(b));
    EXPECT_EQ(counted(out, "cluster.join.ignored.roles"), 1U);
}

TEST(JoinRequest, IsIgnoredByWhoIsExitingOrDownOrHasNoAppVersion) {
    for (const MemberStatus s : {MemberStatus::Exiting, MemberStatus::Down}) {
        ClusterCore core = core_with(a, gossip_of({member(a, s, 1), up(b, 2)}, {a}));
        EXPECT_TRUE(sent<Welcome>(tell(core, Join{c, {}, {}})).empty());
    }
    ClusterCore core = core_with(a, gossip_of({up(a, 1)}, {a}));
    core.expect_app_version();
    EXPECT_EQ(counted(tell(core, Join{c, {}, {}}), "cluster.join.ignored.app_version"), 1U);
}

TEST(JoinRequest, WhoseConnectionHasEndedIsDropped) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1)}, {a}));
    Effects out;
    core.on_link(b, LinkEvent::Established, at(), out);
    core.on_link(b, LinkEvent::EndedWithoutGoodbye, at(), out);
    EXPECT_EQ(counted(tell(core, Join{b, {}, {}}), "cluster.join.ignored.link_over"), 1U);
    EXPECT_FALSE(core.state()->latest().has_member(b));
}

TEST(JoinRequest, OfAnIncarnationThatWasReplacedIsDropped) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1)}, {a}));
    Effects out;
    core.on_link(b, LinkEvent::Established, at(), out);
    core.on_link(node("b", 9), LinkEvent::Established, at(), out);
    EXPECT_EQ(counted(tell(core, Join{b, {}, {}}), "cluster.join.ignored.link_over"), 1U);
    EXPECT_EQ(sent<Welcome>(tell(core, Join{node("b", 9), {}, {}})).size(), 1U);
}

TEST(JoinRefused, EndsTheJoinerBecauseARemovedIncarnationNeverComesBack) {
    ClusterCore core(b, ClusterSettings::classic(), random_source());
    Effects out;
    core.join(a.address(), at(), out);
    EXPECT_FALSE(shutdown_of(tell(core, JoinRefused{c, b, "removed"}))) << "not from the node that was asked";
    EXPECT_EQ(shutdown_of(tell(core, JoinRefused{a, b, "removed"})), ShutdownReason::JoinUnsuccessful);
}

TEST(NotMember, IsToldAStrangerAtMostOncePerSecond) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1)}, {a}));
    const auto strange = envelope(b, a, gossip_of({up(a, 1), up(b, 2)}, {b}));
    EXPECT_EQ(sent<NotMember>(tell(core, strange)).size(), 1U);
    EXPECT_TRUE(sent<NotMember>(tell(core, strange, milliseconds{900})).empty());
    EXPECT_EQ(sent<NotMember>(tell(core, strange, milliseconds{1000})).size(), 1U);
}

TEST(NotMember, IsNotToldToTheRemovedNorByThoseOnTheWayOut) {
    const Gossip removed = gossip_of({up(a, 1), up(b, 2)}, {a}).remove(std::vector{b}, at().wall);
    ClusterCore core = core_with(a, removed);
    EXPECT_TRUE(sent<NotMember>(tell(core, envelope(b, a, gossip_of({up(a, 1), up(b, 2)}, {b})))).empty());
    ClusterCore exiting = core_with(a, gossip_of({member(a, MemberStatus::Exiting, 1), up(c, 3)}, {a}));
    EXPECT_TRUE(sent<NotMember>(tell(exiting, envelope(b, a, gossip_of({up(a, 1), up(b, 2)}, {b})))).empty());
}

TEST(NotMember, MakesANodeWhoseWelcomerDiedJoinAgain) {
    ClusterCore core = core_with(b, gossip_of({up(a, 1), member(b, MemberStatus::Joining)}, {b}));
    EXPECT_EQ(targets<Join>(tell(core, NotMember{a, b})), std::vector{a.address()});
    EXPECT_TRUE(sent<Join>(tell(core, NotMember{c, b})).empty()) << "c is no member of its state";
    EXPECT_TRUE(sent<Join>(tell(core, NotMember{a, node("b", 9)})).empty()) << "for another incarnation";
}

TEST(ConfigCheck, WithoutEnforcementWarnsAndJoins) {
    for (const bool enforce : {true, false}) {
        ClusterSettings settings = ClusterSettings::classic();
        settings.enforce_config_on_join = enforce;
        ClusterCore joiner(b, settings, random_source(), ConfigCompat::cluster("sbr", "keep-majority"));
        Effects out;
        joiner.join_seed_nodes({a.address()}, at(), out);
        out = tell(joiner, InitJoinAck{a.address(), ConfigCheck::Incompatible, {}});
        EXPECT_EQ(sent<Join>(out).empty(), enforce);
        EXPECT_EQ(shutdown_of(out) == ShutdownReason::IncompatibleConfiguration, enforce);
        EXPECT_TRUE(logged(out, "cluster.join.incompatible_configuration"));
    }
}

TEST(ConfigCheck, ComparesWhatTheMemberSentAsWell) {
    // The member found nothing wrong, but its own value differs: both directions are checked.
    ClusterCore joiner(b, ClusterSettings::classic(), random_source(),
                       ConfigCompat::cluster("sbr", "keep-majority"));
    Effects out;
    joiner.join_seed_nodes({a.address()}, at(), out);
    const ConfigDigests theirs{
        {std::string(config_key_sbr_strategy), config_digest(config_key_sbr_strategy, "down-all")}};
    out = tell(joiner, InitJoinAck{a.address(), ConfigCheck::Compatible, theirs});
    EXPECT_EQ(shutdown_of(out), ShutdownReason::IncompatibleConfiguration);
}

TEST(ConfigCheck, TheRefusedJoinerNamesTheKeysAsTheMemberDoes) {
    const auto keys_in = [](const Effects& effects, std::string_view code) -> std::string {
        for (const auto& line : of_type<effect::Log>(effects))
            for (const auto& field : line.fields)
                if (line.code == code && field.name == "keys") return std::string(field.value);
        return {};
    };
    ClusterCore member(a, ClusterSettings::classic(), random_source(),
                       ConfigCompat::cluster("sbr", "down-all"));
    Effects out;
    member.join(a.address(), at(), out);
    ClusterCore joiner(b, ClusterSettings::classic(), random_source(),
                       ConfigCompat::cluster("sbr", "keep-majority"));
    out.clear();
    joiner.join_seed_nodes({a.address()}, at(), out);
    const Effects asked = tell(member, sent<InitJoin>(out).at(0));
    EXPECT_EQ(keys_in(asked, "cluster.join.incompatible_joiner"), config_key_sbr_strategy);
    const Effects refused = tell(joiner, sent<InitJoinAck>(asked).at(0));
    EXPECT_EQ(keys_in(refused, "cluster.join.incompatible_configuration"), config_key_sbr_strategy);
}

// --- gossip exchange

TEST(GossipReception, AGossipThatDoesNotKnowThisIncarnationIsIgnored) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1), up(b, 2)}, {a, b}));
    const Hash128 before = core.state()->latest().version_id();
    const Effects out = tell(core, envelope(b, a, gossip_of({up(node("a", 9), 1), up(b, 2)}, {b})));
    EXPECT_EQ(counted(out, "cluster.gossip.ignored"), 1U);
    EXPECT_TRUE(sent<GossipEnvelope>(out).empty());
    EXPECT_EQ(core.state()->latest().version_id(), before);
}

TEST(GossipReception, AGossipThatCannotBeIsRefusedAlsoWithoutADecoder) {
    const Gossip local = gossip_of({up(a, 1), up(b, 2)}, {a, b});
    const UniqueAddress foreign{Address::remote("akka.tcp", "other", "b", 2551), b.uid()}; // has the key of b
    const std::vector<Member> zero{up(c, 0)};
    const std::vector<Member> stranger{member(foreign, MemberStatus::Down)};
    const Gossip buried =
        *Gossip::from_parts({up(a, 1), up(b, 2)}, {}, {}, local.version(), {{a, at().wall}});
    for (const Gossip& forged :
         {local.increment(c), local.update(zero).increment(b), local.update(stranger).increment(b), buried}) {
        ClusterCore core = core_with(a, local);
        const Effects out = tell(core, envelope(b, a, forged));
        EXPECT_EQ(counted(out, "cluster.gossip.impossible"), 1U);
        EXPECT_TRUE(logged(out, "cluster.gossip.impossible"));
        EXPECT_TRUE(sent<GossipEnvelope>(out).empty());
        EXPECT_EQ(core.state()->latest().version_id(), local.version_id());
    }
}

TEST(GossipReception, NoGossipRaisesACounterOrVersionByMoreThan2To40) {
    const Gossip local = gossip_of({up(a, 1), up(b, 2)}, {a, b});
    const auto is_taken = [&](std::uint64_t counter, std::int64_t version) {
        const Reachability rows{{}, {{b, version}}};
        const auto remote =
            Gossip::from_parts({up(a, 1), up(b, 2)}, std::vector{b}, rows,
                               VectorClock::from_entries({{a.key(), 1}, {b.key(), counter}}), {});
        ClusterCore core = core_with(a, local);
        return counted(tell(core, envelope(b, a, *remote)), "cluster.gossip.impossible") == 0;
    };
    constexpr auto jump = std::uint64_t{1} << 40U;
    EXPECT_TRUE(is_taken(jump, static_cast<std::int64_t>(jump)))
        << "nothing is held of b: 2^40 is the jump itself";
    EXPECT_FALSE(is_taken(jump + 1, 1));
    EXPECT_FALSE(is_taken(1, static_cast<std::int64_t>(jump + 1)));
}

TEST(GossipReception, AnEnvelopeOlderThanItsTimeToLiveIsIgnored) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1), up(b, 2)}, {a}));
    const auto newer = envelope(b, a, core.state()->latest().increment(b).only_seen(b));
    Effects out;
    core.on_message(newer, at().monotonic, at(milliseconds{2001}), out);
    EXPECT_EQ(counted(out, "cluster.gossip.ignored"), 1U);
    out.clear();
    core.on_message(newer, at().monotonic, at(milliseconds{2000}), out);
    EXPECT_EQ(counted(out, "cluster.gossip.newer"), 1U);
}

TEST(GossipReception, EqualClocksWithDifferentContentAreMerged) {
    const Gossip local = gossip_of({up(a, 1), up(b, 2)}, {a});
    const std::vector<Member> changed{*up(b, 2).copy_with_status(MemberStatus::Leaving)};
    const Gossip remote = local.update(changed).only_seen(b); // the same clock
    ClusterCore core = core_with(a, local);
    const Effects out = tell(core, envelope(b, a, remote));
    EXPECT_EQ(status_in(core, b), MemberStatus::Leaving);
    EXPECT_EQ(counted(out, "cluster.gossip.newer"), 1U) << "the merge is exactly the remote: nothing ticks";
    EXPECT_EQ(core.state()->latest().version_id(), remote.version_id());
}

TEST(GossipReception, AMergeThatWouldPassForOneOfItsInputsTicks) {
    // Equal clocks, and neither side is the merge: without a tick two contents would carry one clock.
    const Gossip base = gossip_of({up(a, 1), up(b, 2), up(c, 3)}, {a});
    const std::vector<Member> one{*up(b, 2).copy_with_status(MemberStatus::Leaving)};
    const std::vector<Member> other{*up(c, 3).copy_with_status(MemberStatus::Leaving)};
    ClusterCore core = core_with(a, base.update(one));
    const Effects out = tell(core, envelope(b, a, base.update(other).only_seen(b)));
    EXPECT_EQ(counted(out, "cluster.gossip.merge"), 1U);
    EXPECT_EQ(status_in(core, b), MemberStatus::Leaving);
    EXPECT_EQ(status_in(core, c), MemberStatus::Leaving);
    EXPECT_EQ(core.state()->latest().version().compare(base.version()), VectorRelation::After);
    EXPECT_EQ(core.state()->latest().seen_nodes(), std::vector{a});
}

TEST(GossipReception, PruningTheClockOfTheRemovedMakesAMergeOfOneRemovalLookNewer) {
    // b removed d; a did nothing since. Unpruned clocks are Concurrent, yet the outcome is b's state.
    const Gossip base = gossip_of({up(a, 1), up(b, 2), member(d, MemberStatus::Down, 4)}, {a}).increment(d);
    const Gossip removed = base.remove(std::vector{d}, at().wall).increment(b).only_seen(b);
    ASSERT_EQ(removed.version().compare(base.version()), VectorRelation::Concurrent);
    ClusterCore core = core_with(a, base);
    const Effects out = tell(core, envelope(b, a, removed));
    EXPECT_EQ(counted(out, "cluster.gossip.newer"), 1U);
    EXPECT_EQ(core.state()->latest().version_id(), removed.version_id());
    EXPECT_EQ(core.state()->latest().seen_nodes(), (std::vector{a, b}));
}

TEST(GossipReception, AMergeThatForgetsWhatTheRemovedDidTicks) {
    // b removed d and knew neither the last change of d, which a has and c has not, nor one of c.
    const Gossip base =
        gossip_of({up(a, 1), up(b, 2), up(c, 3), member(d, MemberStatus::Down, 4)}, {a}).increment(d);
    const Gossip removed = base.remove(std::vector{d}, at().wall).increment(b).only_seen(b);
    const Gossip without = base.increment(c);
    const std::vector<Member> leaving{*up(b, 2).copy_with_status(MemberStatus::Leaving)};
    ClusterCore one = core_with(a, without.update(leaving).increment(d));
    ClusterCore other = core_with(c, without);
    tell(one, envelope(b, a, removed));
    tell(other, envelope(b, c, removed));
    const Gossip& merged = one.state()->latest();
    EXPECT_EQ(merged.version().compare(other.state()->latest().version()), VectorRelation::Concurrent)
        << "two contents under one clock";
    // What c does next is newer than what c had, not than what a has.
    tell(one, envelope(c, a, other.state()->latest().increment(c)));
    EXPECT_EQ(status_in(one, b), MemberStatus::Leaving);
}

TEST(GossipReception, ADetectorOfANewcomerIsForgotten) {
    ClusterCore::Restored restored;
    restored.last_heartbeats.emplace(node("c", 5), at().monotonic);
    ClusterCore core =
        core_with(a, gossip_of({up(a, 1), up(b, 2)}, {a}), ClusterSettings::classic(), std::move(restored));
    ASSERT_TRUE(core.is_monitored(node("c", 5)));
    const std::vector<Member> newcomer{member(c, MemberStatus::Joining)};
    tell(core, envelope(b, a, core.state()->latest().update(newcomer).increment(b).only_seen(b)));
    EXPECT_FALSE(core.is_monitored(node("c", 5))) << "every incarnation of its address";
}

TEST(GossipRound, IsFollowedByTwoMoreWhileFewHaveSeen) {
    const std::vector<Member> members{up(a, 1), up(b, 2), up(c, 3), up(d, 4)};
    ClusterCore core = core_with(a, gossip_of(members, {a}));
    Effects out;
    core.tick_gossip(at(), out);
    const auto timers = of_type<effect::SetTimer>(out);
    ASSERT_EQ(timers.size(), 2U);
    EXPECT_EQ(timers[0].delay, Duration(seconds{1}) / 3);
    EXPECT_EQ(timers[1].delay, Duration(seconds{1}) * 2 / 3);
    out.clear();
    core.on_timer(timers[0].key, at(milliseconds{333}), out);
    EXPECT_EQ(sent<GossipEnvelope>(out).size(), 1U);
    // The need is looked at again: with half of them it is gone.
    ClusterCore half = core_with(a, gossip_of(members, {a, b}));
    out.clear();
    half.on_timer(timers[0].key, at(milliseconds{333}), out);
    EXPECT_TRUE(out.empty());
}

TEST(GossipStatus, NeverChangesSeen) {
    const Gossip g = gossip_of({up(a, 1), up(b, 2)}, {a});
    ClusterCore core = core_with(a, g);
    tell(core, GossipStatus{b, a, g.version(), g.version_id(), g.seen(b).seen_digest()});
    EXPECT_FALSE(core.state()->latest().seen_by(b));
}

TEST(GossipStatus, OfEqualClocksButOtherContentIsAnsweredWithTheState) {
    const Gossip g = gossip_of({up(a, 1), up(b, 2)}, {a});
    ClusterCore core = core_with(a, g);
    const Hash128 other = g.version_id() + Hash128{0, 1};
    EXPECT_EQ(
        sent<GossipEnvelope>(tell(core, GossipStatus{b, a, g.version(), other, g.seen_digest()})).size(), 1U);
}

TEST(GossipStatus, OfANewerVersionIsAnsweredWithTheOwnStatus) {
    const Gossip g = gossip_of({up(a, 1), up(b, 2)}, {a});
    ClusterCore core = core_with(a, g);
    const Gossip newer = g.increment(b);
    const Effects out = tell(core, GossipStatus{b, a, newer.version(), newer.version_id(), {}});
    EXPECT_EQ(sent<GossipStatus>(out).size(), 1U);
    EXPECT_TRUE(sent<GossipEnvelope>(out).empty());
}

// --- the leader

TEST(Leader, NumbersFromTheHighestOfItsOwnDataCenter) {
    ClusterSettings settings = ClusterSettings::classic();
    settings.multi_dc.self_data_center = "one";
    const std::vector<Member> members{Member(a, MemberStatus::Up, {"dc-one"}, 2),
                                      Member(b, MemberStatus::Joining, {"dc-one"}),
                                      Member(c, MemberStatus::Up, {"dc-two"}, 7)};
    ClusterCore core = core_with(a, gossip_of(members, {a, b, c}), settings);
    Effects out;
    core.tick_leader_actions(at(), out);
    EXPECT_EQ(core.state()->latest().find(b)->up_number(), 3);
}

TEST(Leader, LogsWhyItCannotActAtTick20AndEvery60) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1), up(b, 2)}, {a}));
    std::vector<int> told;
    for (int tick = 1; tick <= 125; ++tick) {
        Effects out;
        core.tick_leader_actions(at(seconds{tick}), out);
        if (logged(out, "cluster.leader.blocked")) told.push_back(tick);
    }
    EXPECT_EQ(told, (std::vector{20, 60, 120}));
    EXPECT_EQ(core.not_converged_report().not_converged_ticks, 125U);
}

TEST(Leader, ForgetsConfirmationsOfWhoIsNoMember) {
    ClusterCore::Restored restored;
    restored.exiting_confirmed = {c};
    ClusterCore core =
        core_with(a, gossip_of({up(a, 1), up(b, 2)}, {a}), ClusterSettings::classic(), std::move(restored));
    Effects out;
    core.tick_leader_actions(at(), out);
    // Had it been kept, c would count as having confirmed when it came in again.
    const std::vector<Member> again{member(c, MemberStatus::Exiting, 3)};
    tell(core, envelope(b, a, core.state()->latest().update(again).increment(b).seen(b)));
    out.clear();
    core.tick_leader_actions(at(seconds{1}), out);
    EXPECT_EQ(status_in(core, c), MemberStatus::Exiting);
}

TEST(Leader, RemovesAnExitingMemberThatConfirmed) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1), member(b, MemberStatus::Exiting, 2)}, {a}));
    tell(core, ExitingConfirmed{b, a});
    Effects out;
    core.tick_leader_actions(at(), out);
    EXPECT_TRUE(core.is_tombstoned(b));
    EXPECT_FALSE(core.state()->latest().has_member(b));
}

TEST(Leader, GossipsExitingToTheOldest) {
    ClusterCore core =
        core_with(a, gossip_of({up(a, 1), up(b, 2), member(c, MemberStatus::Leaving, 3)}, {a, b, c}));
    Effects out;
    core.tick_leader_actions(at(), out);
    EXPECT_EQ(status_in(core, c), MemberStatus::Exiting);
    EXPECT_EQ(targets<GossipEnvelope>(out), std::vector{b.address()}) << "the two oldest are self and b";
}

// --- commands

TEST(Down, SendsTheStateStraightToTheDownedNode) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1), up(b, 2)}, {a, b}));
    Effects out;
    core.down(b.address(), at(), out);
    EXPECT_EQ(targets<GossipEnvelope>(out), std::vector{b.address()});
    // Not when self marked it unreachable.
    ClusterCore cut = core_with(a, gossip_of({up(a, 1), up(b, 2)}, {a}, Reachability().unreachable(a, b)));
    out.clear();
    cut.down(b.address(), at(), out);
    EXPECT_TRUE(sent<GossipEnvelope>(out).empty());
}

TEST(Down, OfSelfTellsUpToFiveOthers) {
    const std::vector<Member> members{up(a, 1), up(b, 2), up(c, 3), up(d, 4)};
    ClusterCore core = core_with(a, gossip_of(members, {a}));
    Effects out;
    core.down(a.address(), at(), out);
    EXPECT_EQ(sent<GossipEnvelope>(out).size(), 3U);
    EXPECT_TRUE(core.state()->latest().seen_by(a)) << "it has seen its own fate";
}

TEST(Down, OfSeveralIsOneChange) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1), up(b, 2), up(c, 3)}, {a, b, c}));
    const VectorClock before = core.state()->latest().version();
    Effects out;
    core.down(std::vector{b, c}, at(), out);
    EXPECT_EQ(core.state()->latest().version().get(a.key()), before.get(a.key()) + 1);
    EXPECT_EQ(status_in(core, b), MemberStatus::Down);
    EXPECT_EQ(status_in(core, c), MemberStatus::Down);
    EXPECT_EQ(core.state()->latest().seen_nodes(), std::vector{a});
    EXPECT_EQ(targets<GossipEnvelope>(out), (std::vector{b.address(), c.address()}));
}

TEST(Down, OfOneIncarnationLeavesTheOtherAlone) {
    const UniqueAddress fresh = node("b", 9);
    ClusterCore core =
        core_with(a, gossip_of({up(a, 1), up(b, 2), member(fresh, MemberStatus::Joining)}, {a}));
    Effects out;
    core.down(b, at(), out);
    EXPECT_EQ(status_in(core, b), MemberStatus::Down);
    EXPECT_EQ(status_in(core, fresh), MemberStatus::Joining);
}

TEST(Quarantined, OfAnotherIncarnationIsIgnored) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1), up(b, 2)}, {a}));
    Effects out;
    core.quarantined(node("b", 9), at(), out);
    EXPECT_TRUE(core.state()->latest().reachability().is_all_reachable());
}

TEST(PrepareForShutdown, MovesAllUpMembersAndRefusesJoinsFromThenOn) {
    ClusterCore core =
        core_with(a, gossip_of({up(a, 1), up(b, 2), member(c, MemberStatus::Joining)}, {a, b}));
    Effects out;
    core.prepare_for_shutdown(at(), out);
    EXPECT_EQ(status_in(core, a), MemberStatus::PreparingForShutdown);
    EXPECT_EQ(status_in(core, b), MemberStatus::PreparingForShutdown);
    EXPECT_EQ(status_in(core, c), MemberStatus::Joining);
    EXPECT_EQ(counted(tell(core, Join{d, {}, {}}), "cluster.join.ignored.preparing"), 1U);
    out.clear();
    core.prepare_for_shutdown(at(), out);
    EXPECT_TRUE(out.empty()) << "once per node";
}

TEST(PrepareForShutdown, WhoLearnsFromGossipThatItPreparesRefusesJoinsToo) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1), up(b, 2)}, {a}));
    const std::vector<Member> preparing{*up(a, 1).copy_with_status(MemberStatus::PreparingForShutdown)};
    tell(core, envelope(b, a, core.state()->latest().update(preparing).increment(b).only_seen(b)));
    EXPECT_TRUE(core.is_preparing_for_shutdown());
}

TEST(PrepareForShutdown, AnUpMemberThatSeesOthersPrepareFollows) {
    ClusterCore core =
        core_with(b, gossip_of({member(a, MemberStatus::PreparingForShutdown, 1), up(b, 2)}, {a, b}));
    Effects out;
    core.tick_leader_actions(at(), out);
    EXPECT_EQ(status_in(core, b), MemberStatus::PreparingForShutdown);
}

// --- how a node ends

TEST(Exit, RunsTheTasksOnceAndTellsTwoPossibleLeaders) {
    ClusterCore core =
        core_with(c, gossip_of({up(a, 1), up(b, 2), member(c, MemberStatus::Leaving, 3)}, {a, b, c}));
    const std::vector<Member> exiting{member(c, MemberStatus::Exiting, 3)};
    const Gossip next = core.state()->latest().update(exiting).increment(a).only_seen(a);
    Effects out = tell(core, envelope(a, c, next));
    EXPECT_EQ(of_type<effect::RunExitingTasks>(out).size(), 1U);
    EXPECT_TRUE(core.state()->latest().seen_by(c)) << "the first sighting is marked seen";
    out = tell(core, envelope(a, c, next.increment(a).only_seen(a)));
    EXPECT_TRUE(of_type<effect::RunExitingTasks>(out).empty());
    EXPECT_FALSE(core.state()->latest().seen_by(c)) << "later versions are not, until the tasks are done";
    out.clear();
    core.exiting_completed(at(seconds{1}), out);
    EXPECT_EQ(targets<ExitingConfirmed>(out), (std::vector{a.address(), b.address()}));
    EXPECT_TRUE(core.is_stopped());
    EXPECT_TRUE(core.state()->latest().seen_by(c));
}

TEST(Exit, BeforeJoiningJustStops) {
    ClusterCore core(a, ClusterSettings::classic(), random_source());
    Effects out;
    core.exiting_completed(at(), out);
    EXPECT_TRUE(core.is_stopped());
    EXPECT_TRUE(sent<ExitingConfirmed>(out).empty());
}

TEST(SelfDown, StopsAtTheFifthCheckEvenIfOthersDoNotKnowYet) {
    ClusterCore core = core_with(
        a, gossip_of({member(a, MemberStatus::Down, 1), up(b, 2), member(c, MemberStatus::Down, 3)}, {a, b}));
    for (int tick = 1; tick <= 4; ++tick) {
        Effects out;
        core.tick_leader_actions(at(seconds{tick}), out);
        ASSERT_FALSE(core.is_stopped()) << tick;
    }
    Effects out;
    core.tick_leader_actions(at(seconds{5}), out);
    EXPECT_TRUE(core.is_stopped());
    EXPECT_EQ(shutdown_of(out), ShutdownReason::Downed);
}

TEST(SelfDown, DoesNotRunCoordinatedShutdownWhenThatIsOff) {
    ClusterSettings settings = ClusterSettings::classic();
    settings.run_coordinated_shutdown_when_down = false;
    ClusterCore core = core_with(a, gossip_of({member(a, MemberStatus::Down, 1), up(b, 2)}, {a}), settings);
    Effects out;
    core.tick_leader_actions(at(), out);
    EXPECT_TRUE(core.is_stopped());
    EXPECT_FALSE(shutdown_of(out));
}

TEST(Stop, PublishesShuttingDownThenTheRemovalOfEverybody) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1), up(b, 2)}, {a, b}));
    Effects out;
    core.stop(at(), out);
    const auto published = of_type<effect::Publish>(out);
    ASSERT_EQ(published.size(), 1U);
    const auto& events = published.front().events;
    ASSERT_FALSE(events.empty());
    EXPECT_TRUE(std::holds_alternative<ClusterShuttingDown>(events.front()));
    EXPECT_EQ(std::ranges::count_if(
                  events, [](const ClusterEvent& e) { return std::holds_alternative<MemberRemoved>(e); }),
              2);
    EXPECT_TRUE(published.front().state->members().empty());
}

TEST(Stop, EveryLaterInputIsANoOp) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1), up(b, 2)}, {a, b}));
    Effects out;
    core.stop(at(), out);
    out.clear();
    core.leave(a.address(), at(), out);
    core.down(b.address(), at(), out);
    core.tick_gossip(at(), out);
    core.tick_leader_actions(at(), out);
    core.tick_heartbeat(at(), out);
    core.on_message(Heartbeat{b.address(), 1, 1}, at().monotonic, at(), out);
    core.exiting_completed(at(), out);
    core.stop(at(), out);
    EXPECT_TRUE(out.empty());
}

// --- quarantine and detection

TEST(Quarantine, OfADownedMemberIsImmediateAndOfALeaverComesLater) {
    ClusterCore core = core_with(
        a, gossip_of({up(a, 1), member(b, MemberStatus::Down, 2)}, {a}, Reachability().unreachable(a, b)));
    Effects out;
    core.tick_leader_actions(at(), out);
    auto quarantined = of_type<effect::Quarantine>(out);
    ASSERT_EQ(quarantined.size(), 1U);
    EXPECT_EQ(quarantined.front().node, b);
    EXPECT_FALSE(quarantined.front().harmless);

    ClusterCore peaceful = core_with(
        a, gossip_of({up(a, 1), member(b, MemberStatus::Exiting, 2)}, {a}, Reachability().unreachable(a, b)));
    out.clear();
    peaceful.tick_leader_actions(at(), out);
    EXPECT_TRUE(of_type<effect::Quarantine>(out).empty());
    const auto timers = of_type<effect::SetTimer>(out);
    ASSERT_EQ(timers.size(), 1U);
    EXPECT_EQ(timers.front().delay, Duration(seconds{5}));
    out.clear();
    peaceful.on_timer(timers.front().key, at(seconds{5}), out);
    quarantined = of_type<effect::Quarantine>(out);
    ASSERT_EQ(quarantined.size(), 1U);
    EXPECT_TRUE(quarantined.front().harmless);
}

TEST(Quarantine, OfALeaverIsAtOnceWhenItsAddressJoinsAgain) {
    ClusterCore core = core_with(
        a, gossip_of({up(a, 1), member(b, MemberStatus::Exiting, 2)}, {a}, Reachability().unreachable(a, b)));
    Effects out;
    core.tick_leader_actions(at(), out);
    out = tell(core, Join{node("b", 9), {}, {}});
    ASSERT_EQ(of_type<effect::Quarantine>(out).size(), 1U);
    EXPECT_EQ(of_type<effect::CancelTimer>(out).size(), 1U);
}

TEST(Heartbeats, AreAnsweredBeforeJoiningToo) {
    ClusterCore core(a, ClusterSettings::classic(), random_source());
    const auto replies = sent<HeartbeatReply>(tell(core, Heartbeat{b.address(), 7, 123}));
    ASSERT_EQ(replies.size(), 1U);
    EXPECT_EQ(replies.front().from, a);
    EXPECT_EQ(replies.front().sequence_nr, 7);
    EXPECT_EQ(replies.front().creation_time_ns, 123);
}

TEST(Reaper, HealsAnUnreachableRowButNeverATerminatedOne) {
    const Reachability rows = Reachability().unreachable(a, b).terminated(a, c);
    ClusterCore core = core_with(a, gossip_of({up(a, 1), up(b, 2), up(c, 3)}, {a}, rows));
    Effects out;
    core.tick_reaper(at(), out);
    EXPECT_EQ(core.state()->latest().reachability().status(a, b), ReachabilityStatus::Reachable);
    EXPECT_EQ(core.state()->latest().reachability().status(a, c), ReachabilityStatus::Terminated);
}

TEST(Reaper, WritesAllItFindsAsOneChange) {
    ClusterCore::Restored restored;
    restored.last_heartbeats = {{b, at().monotonic - seconds{60}}, {c, at().monotonic - seconds{60}}};
    ClusterCore core = core_with(a, gossip_of({up(a, 1), up(b, 2), up(c, 3)}, {a}),
                                 ClusterSettings::classic(), std::move(restored));
    const std::uint64_t before = core.state()->latest().version().get(a.key());
    Effects out;
    core.tick_reaper(at(), out);
    EXPECT_EQ(core.state()->latest().version().get(a.key()), before + 1);
    EXPECT_EQ(core.state()->latest().reachability().records().size(), 2U);
}

// --- the classic preset

TEST(Classic, SendsNothingOfEagerGossipAndWritesNoEvidence) {
    ClusterSettings settings = ClusterSettings::classic();
    CoreWorld world(3, settings);
    for (std::size_t i = 0; i < 4; ++i) world.start(i);
    world.join(0, 0);
    for (std::size_t i = 1; i < 4; ++i) world.join(i, 0);
    ASSERT_TRUE(
        world.run_until([&] { return world.living_members().size() == 4 && world.is_agreed(); }, seconds{30}))
        << world.describe();
    const UniqueAddress dead = world.node(3).core->self();
    world.crash(3);
    world.run_for(seconds{2});
    EXPECT_TRUE(world.gossip(0).reachability().is_reachable(dead)) << "only silence counts";
    world.run_for(seconds{8});
    EXPECT_FALSE(world.gossip(0).reachability().is_reachable(dead));
    EXPECT_EQ(world.delivered["SeenAck"], 0U);
    EXPECT_EQ(world.delivered["Converged"], 0U);
}

TEST(Classic, EverybodyHasSeenAChangeAfterLogarithmicallyManyRounds) {
    // protocol.md §19, 3: gossip alone, without a loss. An epidemic of random pushes takes about log2 N + ln
    // N rounds.
    for (const std::size_t n : {4U, 12U, 28U}) {
        CoreWorld world(n, ClusterSettings::classic());
        for (std::size_t i = 0; i < n; ++i) world.start(i);
        for (std::size_t i = 0; i < n; ++i) world.join(i, 0);
        const auto is_formed = [&] { return world.living_members().size() == n && world.is_agreed(); };
        ASSERT_TRUE(world.run_until(is_formed, seconds{120})) << world.describe();
        const Duration before = world.elapsed();
        const UniqueAddress subject = world.node(n - 1).core->self();
        world.input(
            0, [&](ClusterCore& core, const Now& t, Effects& out) { core.quarantined(subject, t, out); });
        const auto all_have_seen = [&] {
            for (std::size_t i = 0; i < n; ++i)
                if (world.gossip(i).seen_nodes().size() != n) return false;
            return true;
        };
        ASSERT_TRUE(world.run_until(all_have_seen, seconds{60})) << world.describe();
        EXPECT_LE((world.elapsed() - before) / seconds{1}, 4 + 2 * std::bit_width(n)) << n << " members";
    }
}

TEST(Classic, ALostWelcomerIsSurvived) {
    // b welcomes c and dies before it tells anybody. c's gossip to a is answered by NotMember, and it joins
    // again.
    ClusterSettings settings = ClusterSettings::classic();
    CoreWorld world(5, settings);
    for (std::size_t i = 0; i < 3; ++i) world.start(i);
    world.join(0, 0);
    world.join(1, 0);
    ASSERT_TRUE(world.run_until([&] { return world.living_members().size() == 2 && world.is_agreed(); },
                                seconds{20}));
    world.join(2, 1);
    world.filter = [](std::size_t from, std::size_t to, const ClusterMessage&) {
        return !(from == 1 && to == 0);
    };
    ASSERT_TRUE(world.run_until([&] { return world.node(2).core->is_joined(); }, seconds{1}));
    const UniqueAddress dead = world.node(1).core->self();
    world.crash(1);
    world.filter = nullptr;
    world.run_for(seconds{10});
    world.input(0, [&](ClusterCore& core, const Now& t, Effects& out) { core.down(dead, t, out); });
    ASSERT_TRUE(
        world.run_until([&] { return world.living_members().size() == 2 && world.is_agreed(); }, seconds{30}))
        << world.describe();
}

// --- the report

TEST(Report, SaysWhoHasNotSeenWhoIsUnreachableAndWhatTheLeaderWaitsFor) {
    const Reachability rows = Reachability().unreachable(b, c);
    ClusterCore core =
        core_with(a, gossip_of({up(a, 1), up(b, 2), up(c, 3), member(d, MemberStatus::Joining)}, {a}, rows));
    const ConvergenceReport report = core.not_converged_report();
    EXPECT_FALSE(report.converged);
    EXPECT_TRUE(report.self_is_leader);
    EXPECT_EQ(report.not_seen, (std::vector{b, c}));
    ASSERT_EQ(report.unreachable.size(), 1U);
    EXPECT_EQ(report.unreachable.front().node, c);
    EXPECT_EQ(report.unreachable.front().observers, std::vector{b});
    EXPECT_TRUE(report.unreachable.front().blocks);
    EXPECT_NE(report.to_string().find("c:2551 must be downed or come back"), std::string::npos)
        << report.to_string();
    EXPECT_NE(report.to_string().find("1 joining member"), std::string::npos) << report.to_string();
}

TEST(Report, NamesTheMinimumThatKeepsJoinersOut) {
    ClusterSettings settings = ClusterSettings::classic();
    settings.min_nr_of_members = 3;
    ClusterCore core = core_with(
        a, gossip_of({member(a, MemberStatus::Joining), member(b, MemberStatus::Joining)}, {a, b}), settings);
    const ConvergenceReport report = core.not_converged_report();
    EXPECT_TRUE(report.converged);
    ASSERT_EQ(report.leader_waits_for.size(), 1U);
    EXPECT_NE(report.leader_waits_for.front().find("min-nr-of-members 3"), std::string::npos);
}

} // namespace
} // namespace muster::testing
