// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/sbr/runtime.hpp>

#include "../sbr_support.hpp"
#include <gtest/gtest.h>

namespace {

using namespace muster;
using test::at;
using test::hosts;
using test::member;
using test::node;
using test::nodes;
using test::Resolver;
using test::rows;
using test::settings_of;
using S = MemberStatus;
using std::chrono::milliseconds;

Resolver three_nodes(SbrSettings settings, const std::string& self = "a") {
    Resolver resolver(self, std::move(settings));
    resolver.up(0, "abc");
    resolver.leader(0, "a");
    resolver.effects.clear();
    return resolver;
}

// --- what it knows

std::string told(const SbrModel& model) {
    std::string text;
    for (const Member& m : model.all_members()) {
        text += *m.address().host + ":" + std::string(to_string(m.status()));
        text += model.is_unreachable(m.unique_address()) ? "! " : " ";
    }
    return text;
}

TEST(SbrRuntime, MembersThatArePublishedTogetherAreKnownAsWhenTheyComeOneByOne) {
    const Member foreign(node("x"), S::Up, {"dc-other"}, 1);
    const std::vector<ClusterEvent> events{MemberUp{member("d")},
                                           MemberJoined{member("b", S::Joining)},
                                           MemberUp{foreign},
                                           MemberUp{member("a")},
                                           MemberWeaklyUp{member("b", S::WeaklyUp)},
                                           UnreachableMember{member("d")},
                                           MemberJoined{member("c", S::Joining)},
                                           MemberUp{member("b")},
                                           MemberUp{member("e")},
                                           MemberDowned{member("e", S::Down)}};
    Effects effects;
    SbrRuntime together(node("a"), "default", SbrSettings{});
    together.on_events(events, at(0), effects);
    SbrRuntime one_by_one(node("a"), "default", SbrSettings{});
    for (const ClusterEvent& event : events) one_by_one.on_event(event, at(0), effects);
    EXPECT_EQ(told(together.model()), "a:Up b:Up c:Joining d:Up! e:Down! ");
    EXPECT_EQ(told(together.model()), told(one_by_one.model()));
}

// --- when

TEST(SbrRuntime, TheLeaderDownsTheUnreachableOnceStable) {
    Resolver r = three_nodes(settings_of("keep-majority", 2000));
    r.unreachable(0, "c");
    r.tick(2000);
    EXPECT_EQ(r.take_downs(), "");
    const SbrAction action = r.tick(2001);
    ASSERT_TRUE(std::holds_alternative<sbr_action::DownUnreachable>(action));
    EXPECT_EQ(hosts(std::get<sbr_action::DownUnreachable>(action).nodes), "c");
    EXPECT_EQ(r.take_downs(), "c");
}

TEST(SbrRuntime, NobodyButTheLeaderDecides) {
    Resolver r = three_nodes(settings_of("keep-majority"), "b");
    r.unreachable(0, "c");
    EXPECT_TRUE(std::holds_alternative<sbr_action::None>(r.tick(10)));
    EXPECT_EQ(r.take_downs(), "");
}

TEST(SbrRuntime, ALeaderThatWasNeverUpIsNotResponsible) {
    Resolver r("a", settings_of("keep-majority"));
    r.tell(0, MemberJoined{member("a", S::Joining)});
    r.up(0, "bc");
    r.leader(0, "a");
    r.unreachable(0, "c");
    r.tick(10);
    EXPECT_EQ(r.take_downs(), "");
    r.tell(11, MemberWeaklyUp{member("a", S::WeaklyUp)});
    r.tick(12);
    EXPECT_NE(r.take_downs(), "");
}

TEST(SbrRuntime, ChangesOfReachabilityAndUpAndExitedMembersRestartTheStableTime) {
    for (const ClusterEvent& event :
         {ClusterEvent(MemberUp{member("d")}), ClusterEvent(MemberExited{member("b", S::Exiting)}),
          ClusterEvent(UnreachableMember{member("b")}), ClusterEvent(ReachableMember{member("b")}),
          ClusterEvent(MemberDowned{member("b", S::Down)})}) {
        Resolver r = three_nodes(settings_of("keep-majority", 2000));
        r.unreachable(0, "c");
        r.tell(1500, event);
        r.tick(3000);
        EXPECT_EQ(r.take_downs(), "") << name_of(event);
        r.tick(3501);
        EXPECT_NE(r.take_downs(), "") << name_of(event);
    }
}

TEST(SbrRuntime, JoiningLeavingRemovedSeenAndLeaderChangesDoNotRestartIt) {
    for (const ClusterEvent& event :
         {ClusterEvent(MemberJoined{member("d", S::Joining)}),
          ClusterEvent(MemberWeaklyUp{member("d", S::WeaklyUp)}),
          ClusterEvent(MemberLeft{member("b", S::Leaving)}),
          ClusterEvent(MemberRemoved{member("d"), S::Down}), ClusterEvent(SeenChanged{false, nodes("ab")}),
          ClusterEvent(LeaderChanged{{}, node("a")}),
          ClusterEvent(MemberPreparingForShutdown{member("b", S::PreparingForShutdown)})}) {
        Resolver r = three_nodes(settings_of("keep-majority", 2000));
        r.unreachable(0, "c");
        r.tell(1500, event);
        r.tick(2001);
        EXPECT_NE(r.take_downs(), "") << name_of(event);
    }
}

TEST(SbrRuntime, SelfIsNeverUnreachableInItsOwnEyes) {
    Resolver r = three_nodes(settings_of("keep-majority"));
    r.unreachable(0, "a");
    r.tell(0, MemberDowned{member("a", S::Down)});
    EXPECT_TRUE(r.runtime.model().unreachable().empty());
}

TEST(SbrRuntime, OtherDataCentersDoNotMatter) {
    Resolver r = three_nodes(settings_of("keep-majority"));
    const Member foreign(node("x"), S::Up, {"dc-other"}, 1);
    r.tell(0, MemberUp{foreign});
    r.tell(0, UnreachableMember{foreign});
    r.tell(0, UnreachableDataCenter{"other"});
    r.tick(10);
    EXPECT_EQ(r.take_downs(), "");
}

TEST(SbrRuntime, SelfIsDownedLast) {
    Resolver r = three_nodes(settings_of("down-all"));
    r.unreachable(0, "c");
    const SbrAction action = r.tick(10);
    EXPECT_EQ(r.take_downs(), "bca");
    EXPECT_EQ(hosts(std::get<sbr_action::DownAll>(action).nodes), "bca");
}

TEST(SbrRuntime, TheLosingSideGoesAsAWhole) {
    Resolver r("a", settings_of("keep-majority"));
    r.up(0, "abcde");
    r.leader(0, "a");
    r.unreachable(0, "cde");
    const SbrAction action = r.tick(10);
    EXPECT_EQ(hosts(std::get<sbr_action::DownSelf>(action).nodes), "ba");
}

TEST(SbrRuntime, OneDecisionIsOneDownOfAllItsNodesSelfLast) {
    Resolver r("a", settings_of("keep-majority"));
    r.up(0, "abcde");
    r.leader(0, "a");
    r.unreachable(0, "cde");
    r.effects.clear();
    r.tick(10);
    const auto downs = r.all<effect::Down>();
    ASSERT_EQ(downs.size(), 1U);
    EXPECT_EQ(hosts(downs[0].nodes), "ba");
}

TEST(SbrRuntime, ADecisionIsRecordedBeforeItIsCarriedOut) {
    Resolver r = three_nodes(settings_of("keep-majority"));
    r.unreachable(0, "c");
    r.effects.clear();
    r.tick(10);
    const auto index_of = [&](auto is) {
        return std::find_if(r.effects.begin(), r.effects.end(), is) - r.effects.begin();
    };
    EXPECT_LT(index_of([](const Effect& e) { return std::holds_alternative<effect::Record>(e); }),
              index_of([](const Effect& e) { return std::holds_alternative<effect::Down>(e); }));
    EXPECT_TRUE(r.logged(sbr_code::decision));
}

TEST(SbrRuntime, WithoutRemovalTheDecisionIsRepeatedAfterAnotherStableTime) {
    Resolver r = three_nodes(settings_of("keep-majority", 1000));
    r.unreachable(0, "c");
    r.tick(1001);
    EXPECT_EQ(r.take_downs(), "c");
    r.tick(1500);
    EXPECT_EQ(r.take_downs(), "");
    r.tick(2002);
    EXPECT_EQ(r.take_downs(), "c");
}

TEST(SbrRuntime, ADownMemberIsNeitherDownedAgainNorRecorded) {
    Resolver r = three_nodes(settings_of("keep-majority"));
    r.tell(0, MemberDowned{member("c", S::Down)});
    r.effects.clear();
    r.tick(10);
    EXPECT_TRUE(r.all<effect::Record>().empty());
    EXPECT_EQ(r.take_downs(), "");
}

TEST(SbrRuntime, AStaticQuorumWithTooManyMembersIsWarnedOfWhenTheyComeUp) {
    SbrSettings settings = settings_of("static-quorum");
    settings.quorum_size = 2;
    Resolver r("a", settings);
    r.up(0, "abc");
    EXPECT_FALSE(r.logged(sbr_code::strategy_warning));
    r.up(0, "d");
    EXPECT_TRUE(r.logged(sbr_code::strategy_warning));
}

TEST(SbrRuntime, DryRunRecordsAndDownsNobody) {
    SbrSettings settings = settings_of("keep-majority");
    settings.dry_run = true;
    Resolver r = three_nodes(settings);
    r.unreachable(0, "c");
    EXPECT_TRUE(std::holds_alternative<sbr_action::None>(r.tick(10)));
    const auto records = r.all<effect::Record>();
    ASSERT_EQ(records.size(), 1U);
    EXPECT_TRUE(records[0].decision->dry_run);
    EXPECT_EQ(hosts(records[0].decision->down), "c");
    EXPECT_EQ(r.take_downs(), "");
}

TEST(SbrRuntime, ADryRunDoesNotTakeAnUnexecutedDecisionForInstability) {
    SbrSettings settings = settings_of("keep-majority", 2000);
    settings.down_all_when_unstable = SbrSettings::Unstable::on();
    settings.dry_run = true;
    Resolver r = three_nodes(settings);
    r.leader(0, "b"); // another node decides, and as it is a dry run c stays unreachable
    r.unreachable(0, "c");
    for (std::int64_t t = 500; t <= 20'000; t += 500) r.tick(t);
    EXPECT_TRUE(r.all<effect::Record>().empty());
    // Real instability is recorded all the same.
    for (std::int64_t t = 20'500; t <= 30'000; t += 500) {
        t % 1000 == 0 ? r.reachable(t, "c") : r.unreachable(t, "c");
        if (t % 1000 == 0) r.unreachable(t, "b");
        r.tick(t + 10);
    }
    ASSERT_FALSE(r.all<effect::Record>().empty());
    EXPECT_EQ(r.all<effect::Record>().front().decision->trigger, SbrTrigger::Unstable);
    EXPECT_EQ(r.take_downs(), "");
}

TEST(SbrRuntime, DryRunAsksForNoLease) {
    SbrSettings settings = settings_of("lease-majority");
    settings.lease_implementation = "memory";
    settings.dry_run = true;
    Resolver r = three_nodes(settings);
    r.unreachable(0, "c");
    r.tick(10);
    EXPECT_TRUE(r.all<effect::LeaseCheck>().empty());
    EXPECT_EQ(r.all<effect::Record>().size(), 1U);
}

TEST(SbrRuntime, ExplainsWhatItWouldDoNow) {
    Resolver r = three_nodes(settings_of("keep-majority", 20'000));
    EXPECT_EQ(r.runtime.explain(at(0)).verdict.decision, DowningDecision::Stay);
    r.unreachable(1000, "c");
    const SbrDecisionRecord record = r.runtime.explain(at(3000));
    EXPECT_EQ(record.verdict.decision, DowningDecision::DownUnreachable);
    EXPECT_EQ(record.trigger, SbrTrigger::Asked);
    EXPECT_EQ(record.since_last_change, Duration(milliseconds{2000}));
    EXPECT_EQ(r.take_downs(), "");
}

TEST(SbrRuntime, StopsWhenSelfIsRemoved) {
    Resolver r = three_nodes(settings_of("keep-majority"));
    r.unreachable(0, "c");
    r.removed(5, "a");
    EXPECT_TRUE(r.runtime.is_stopped());
    r.tick(10);
    EXPECT_EQ(r.take_downs(), "");
}

// --- instability (protocol.md §15.5)

SbrSettings unstable_settings(std::int64_t stable_after_ms, std::int64_t limit_ms) {
    SbrSettings settings = settings_of("keep-majority", stable_after_ms);
    settings.down_all_when_unstable = SbrSettings::Unstable::after(milliseconds{limit_ms});
    return settings;
}

TEST(DownAllWhenUnstable, CountsFromTheFirstChangeAndActsOnEveryNode) {
    Resolver r = three_nodes(unstable_settings(2000, 1000), "b");
    r.unreachable(0, "ac");
    for (std::int64_t ms = 500; ms <= 2500; ms += 500) {
        r.reachable(ms, "c");
        r.unreachable(ms, "c");
    }
    r.tick(3000);
    EXPECT_EQ(r.take_downs(), "");
    EXPECT_TRUE(std::holds_alternative<sbr_action::DownAll>(r.tick(3001)));
    EXPECT_TRUE(r.logged(sbr_code::unstable));
    EXPECT_EQ(r.take_downs(), "acb");
}

TEST(DownAllWhenUnstable, StartsAnewWhenEverythingHealed) {
    Resolver r = three_nodes(unstable_settings(2000, 1000), "b");
    r.unreachable(0, "c");
    r.reachable(2000, "c");
    r.unreachable(2500, "c");
    r.tick(3500);
    EXPECT_EQ(r.take_downs(), "");
    r.tick(5501);
    EXPECT_EQ(r.take_downs(), "acb");
}

TEST(DownAllWhenUnstable, StartsAnewWhenAllUnreachableAreDownedOrRemoved) {
    for (const bool removed : {true, false}) {
        Resolver r = three_nodes(unstable_settings(2000, 1000), "b");
        r.unreachable(0, "c");
        if (removed)
            r.removed(1000, "c");
        else
            r.tell(1000, MemberDowned{member("c", S::Down)});
        r.tick(4000);
        EXPECT_EQ(r.take_downs(), "") << removed;
    }
}

TEST(DownAllWhenUnstable, StartsAnewAfterADecision) {
    Resolver r = three_nodes(unstable_settings(2000, 1000));
    r.unreachable(0, "c");
    r.tick(2001);
    EXPECT_EQ(r.take_downs(), "c");
    r.tick(3500);
    EXPECT_EQ(r.take_downs(), "");
}

TEST(DownAllWhenUnstable, OffNeverActs) {
    Resolver r = three_nodes(settings_of("keep-majority", 2000), "b");
    r.unreachable(0, "c");
    r.tick(1'000'000);
    EXPECT_EQ(r.take_downs(), "");
}

// --- quarantined by a remote node (protocol.md §15.6)

TEST(QuarantinedByRemote, ThisNodeGoesAtOnceIfTheRemoteIsAMember) {
    Resolver r = three_nodes(settings_of("keep-majority", 20'000), "b");
    const SbrAction action = r.runtime.quarantined_by_remote(node("c"), at(1), r.effects);
    EXPECT_TRUE(std::holds_alternative<sbr_action::DownSelf>(action));
    const auto records = r.all<effect::Record>();
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].decision->quarantined_by, node("c"));
    EXPECT_EQ(r.take_downs(), "b");
}

TEST(QuarantinedByRemote, AnotherIncarnationOrAStrangerIsIgnored) {
    Resolver r = three_nodes(settings_of("keep-majority"), "b");
    r.runtime.quarantined_by_remote(node("c", 2), at(1), r.effects);
    r.runtime.quarantined_by_remote(node("x"), at(1), r.effects);
    EXPECT_EQ(r.take_downs(), "");
}

TEST(QuarantinedByRemote, AMemberOfAnotherDataCenterCounts) {
    Resolver r = three_nodes(settings_of("keep-majority"), "b");
    const Member foreign(node("x"), S::Up, {"dc-other"}, 1);
    r.tell(0, MemberUp{foreign});
    r.runtime.quarantined_by_remote(node("x"), at(1), r.effects);
    EXPECT_EQ(r.take_downs(), "b");
    r.tell(0, MemberRemoved{foreign, S::Down});
    r.runtime.quarantined_by_remote(node("x"), at(2), r.effects);
    EXPECT_EQ(r.take_downs(), "");
}

TEST(QuarantinedByRemote, AnExitingNodeDoesNotDownItself) {
    Resolver r = three_nodes(settings_of("keep-majority"), "b");
    r.tell(0, MemberExited{member("b", S::Exiting)});
    r.runtime.quarantined_by_remote(node("c"), at(1), r.effects);
    EXPECT_EQ(r.take_downs(), "");
}

// --- the lease

SbrSettings lease_settings() {
    SbrSettings settings = settings_of("lease-majority");
    settings.lease_implementation = "memory";
    settings.acquire_lease_delay_for_minority = milliseconds{2000};
    settings.release_after = milliseconds{10'000};
    settings.lease_operation_timeout = milliseconds{5000};
    return settings;
}

template <class E>
std::uint64_t only_generation(const Resolver& r) {
    const auto found = r.all<E>();
    EXPECT_EQ(found.size(), 1U);
    return found.empty() ? 0 : found.back().generation;
}

/// Node a of three, c unreachable, at the point where the lease has been asked to be acquired.
std::uint64_t ask_for_lease(Resolver& r) {
    r.unreachable(0, "c");
    r.effects.clear();
    r.tick(10);
    const auto check = only_generation<effect::LeaseCheck>(r);
    r.effects.clear();
    r.lease(11, check, LeaseOutcome::NotHeld);
    const auto acquire = only_generation<effect::LeaseAcquire>(r);
    r.effects.clear();
    return acquire;
}

TEST(LeaseRuntime, ActsWhenTheLeaseIsAcquired) {
    Resolver r = three_nodes(lease_settings());
    const auto acquire = ask_for_lease(r);
    EXPECT_TRUE(r.runtime.is_waiting_for_lease());
    EXPECT_TRUE(
        std::holds_alternative<sbr_action::DownUnreachable>(r.lease(12, acquire, LeaseOutcome::Held)));
    EXPECT_EQ(r.all<effect::Record>().at(0).decision->trigger, SbrTrigger::LeaseAcquired);
    EXPECT_EQ(r.take_downs(), "c");
    EXPECT_FALSE(r.runtime.is_waiting_for_lease());
}

TEST(LeaseRuntime, ActsAtOnceWhenTheLeaseIsHeldAlready) {
    Resolver r = three_nodes(lease_settings());
    r.unreachable(0, "c");
    r.tick(10);
    r.lease(11, only_generation<effect::LeaseCheck>(r), LeaseOutcome::Held);
    EXPECT_TRUE(r.all<effect::LeaseAcquire>().empty());
    EXPECT_EQ(r.take_downs(), "c");
}

TEST(LeaseRuntime, ADeniedOrFailedLeaseReversesTheDecision) {
    for (const LeaseOutcome outcome : {LeaseOutcome::NotHeld, LeaseOutcome::Failed}) {
        Resolver r = three_nodes(lease_settings());
        const auto acquire = ask_for_lease(r);
        const SbrAction action = r.lease(12, acquire, outcome);
        EXPECT_TRUE(std::holds_alternative<sbr_action::DownSelf>(action));
        EXPECT_EQ(r.take_downs(), "ba");
    }
}

TEST(LeaseRuntime, StaleGenerationsAreIgnored) {
    Resolver r = three_nodes(lease_settings());
    const auto acquire = ask_for_lease(r);
    r.lease(12, acquire - 1, LeaseOutcome::Held);
    r.lease(12, acquire + 1, LeaseOutcome::Held);
    r.lease(12, 0, LeaseOutcome::Held);
    EXPECT_EQ(r.take_downs(), "");
    r.lease(13, acquire, LeaseOutcome::Held);
    EXPECT_EQ(r.take_downs(), "c");
    r.lease(14, acquire, LeaseOutcome::NotHeld);
    EXPECT_EQ(r.take_downs(), "");
}

TEST(LeaseRuntime, TheMinorityWaitsBeforeItAsks) {
    Resolver r = three_nodes(lease_settings());
    r.unreachable(0, "bc");
    r.effects.clear();
    r.tick(10);
    r.lease(10, only_generation<effect::LeaseCheck>(r), LeaseOutcome::NotHeld);
    EXPECT_TRUE(r.all<effect::LeaseAcquire>().empty());
    const auto timers = r.all<effect::SetTimer>();
    ASSERT_EQ(timers.size(), 1U);
    EXPECT_EQ(timers[0].key.timer, CoreTimer::LeaseDelay);
    EXPECT_EQ(timers[0].delay, Duration(milliseconds{2000}));
    r.tick(1010);
    EXPECT_TRUE(r.all<effect::LeaseAcquire>().empty());
    r.runtime.on_timer({CoreTimer::LeaseDelay, timers[0].key.number + 1}, at(2010), r.effects);
    EXPECT_TRUE(r.all<effect::LeaseAcquire>().empty());
    r.runtime.on_timer(timers[0].key, at(2010), r.effects);
    const auto acquire = only_generation<effect::LeaseAcquire>(r);
    r.lease(2011, acquire, LeaseOutcome::Held);
    EXPECT_EQ(r.take_downs(), "bc");
}

TEST(LeaseRuntime, EventsAreKeptWhileWaitingAndTicksDecideNothing) {
    Resolver r = three_nodes(lease_settings());
    const auto acquire = ask_for_lease(r);
    r.unreachable(12, "b");
    r.tick(13);
    EXPECT_EQ(r.take_downs(), "");
    EXPECT_EQ(hosts(r.runtime.model().unreachable()), "c");
    r.lease(14, acquire, LeaseOutcome::Held);
    // The decision was about c; b comes after it.
    EXPECT_EQ(r.take_downs(), "c");
    EXPECT_EQ(hosts(r.runtime.model().unreachable()), "bc");
}

TEST(LeaseRuntime, AQuarantineWhileWaitingIsObeyedAfterwards) {
    Resolver r = three_nodes(lease_settings());
    const auto acquire = ask_for_lease(r);
    r.runtime.quarantined_by_remote(node("b"), at(12), r.effects);
    EXPECT_EQ(r.take_downs(), "");
    EXPECT_TRUE(std::holds_alternative<sbr_action::DownSelf>(r.lease(13, acquire, LeaseOutcome::Held)));
    EXPECT_EQ(r.take_downs(), "ca");
}

TEST(LeaseRuntime, ABackendThatNeverAnswersCountsAsDenied) {
    Resolver r = three_nodes(lease_settings());
    const auto acquire = ask_for_lease(r);
    r.tick(5011);
    EXPECT_EQ(r.take_downs(), "");
    EXPECT_TRUE(std::holds_alternative<sbr_action::DownSelf>(r.tick(5012)));
    EXPECT_EQ(r.take_downs(), "ba");
    r.lease(5013, acquire, LeaseOutcome::Held);
    EXPECT_EQ(r.take_downs(), "");
}

LeaseAnswer watching(std::int64_t unchanged_ms, std::int64_t time_to_live_ms = 30'000,
                     std::int64_t retry_ms = 2000) {
    LeaseAnswer answer(LeaseOutcome::Watching);
    answer.watch = LeaseAnswer::Watch{"x:1", milliseconds{unchanged_ms}, milliseconds{time_to_live_ms},
                                      milliseconds{retry_ms}};
    return answer;
}

/// The time is over for which the runtime waits before it asks again; it asks.
std::uint64_t ask_again(Resolver& r, std::int64_t ms) {
    const auto timers = r.all<effect::SetTimer>();
    EXPECT_EQ(timers.size(), 1U);
    r.effects.clear();
    r.runtime.on_timer(timers.at(0).key, at(ms), r.effects);
    const auto acquire = only_generation<effect::LeaseAcquire>(r);
    r.effects.clear();
    return acquire;
}

TEST(LeaseRuntime, AGrantThatNobodyKnowsToBeAliveIsAskedAboutUntilItEnds) {
    Resolver r = three_nodes(lease_settings());
    auto acquire = ask_for_lease(r);
    for (std::int64_t ms = 100; ms < 20'000; ms += 2000) {
        r.lease(ms, acquire, watching(10'000 + ms - 100));
        EXPECT_TRUE(r.runtime.is_waiting_for_lease());
        EXPECT_EQ(r.all<effect::SetTimer>().at(0).delay, Duration(milliseconds{2000}));
        EXPECT_TRUE(std::holds_alternative<sbr_action::None>(r.tick(ms + 1000)))
            << "longer than one operation may take";
        acquire = ask_again(r, ms + 2000);
    }
    r.lease(20'200, acquire, LeaseOutcome::Held);
    EXPECT_EQ(r.all<effect::Record>().at(0).decision->trigger, SbrTrigger::LeaseAcquired);
    EXPECT_EQ(r.take_downs(), "c");
}

TEST(LeaseRuntime, ASideThatSeesTheOwnerAliveGoesAtOnceAndNamesIt) {
    Resolver r = three_nodes(lease_settings());
    r.lease(100, ask_for_lease(r), watching(0));
    const auto acquire = ask_again(r, 2100);
    LeaseAnswer denied(LeaseOutcome::NotHeld);
    denied.watch = LeaseAnswer::Watch{"x:1", milliseconds{10}, milliseconds{30'000}, milliseconds{1}};
    EXPECT_TRUE(std::holds_alternative<sbr_action::DownSelf>(r.lease(2200, acquire, denied)));
    EXPECT_NE(r.all<effect::Record>().at(0).decision->lease.find("x:1 has it"), std::string::npos);
    EXPECT_EQ(r.take_downs(), "ba");
}

TEST(LeaseRuntime, WatchingEndsOneOperationAfterTheGrantWouldHave) {
    Resolver r = three_nodes(lease_settings());
    r.lease(100, ask_for_lease(r), watching(10'000));
    // 20 s are left of the grant, and 5 s are one operation.
    const auto acquire = ask_again(r, 25'099);
    r.lease(25'099, acquire, watching(10'000));
    EXPECT_EQ(r.all<effect::SetTimer>().at(0).delay, Duration(milliseconds{1})) << "no later than the end";
    EXPECT_TRUE(std::holds_alternative<sbr_action::None>(r.tick(25'100)));
    EXPECT_TRUE(std::holds_alternative<sbr_action::DownSelf>(r.tick(25'101)));
    EXPECT_EQ(r.take_downs(), "ba");
}

TEST(LeaseRuntime, ABackendThatWatchesForEverIsDenied) {
    Resolver r = three_nodes(lease_settings());
    r.lease(100, ask_for_lease(r), watching(10'000));
    const auto acquire = ask_again(r, 25'100);
    EXPECT_TRUE(std::holds_alternative<sbr_action::DownSelf>(r.lease(25'100, acquire, watching(10'000))));
}

TEST(LeaseRuntime, WhileItWatchesOneOperationStillHasItsOwnTimeOut) {
    Resolver r = three_nodes(lease_settings());
    r.lease(100, ask_for_lease(r), watching(0));
    ask_again(r, 2100); // and no answer
    EXPECT_TRUE(std::holds_alternative<sbr_action::None>(r.tick(7100)));
    EXPECT_TRUE(std::holds_alternative<sbr_action::DownSelf>(r.tick(7101)));
    EXPECT_NE(r.all<effect::Record>().at(0).decision->lease.find("did not answer"), std::string::npos);
}

TEST(LeaseRuntime, SaysWhoseGrantItWatchesAndForHowLong) {
    Resolver r = three_nodes(lease_settings());
    EXPECT_EQ(r.runtime.lease_wait(at(0)), "");
    r.lease(100, ask_for_lease(r), watching(10'000));
    EXPECT_EQ(r.runtime.lease_wait(at(5100)), "the resolver waits for its lease: x:1 has a grant, seen "
                                              "unchanged for 15 s of the 30 s after which it has expired");
}

TEST(LeaseRuntime, ARemovedNodeAsksNoMoreAboutAGrantThatItWatched) {
    Resolver r = three_nodes(lease_settings());
    r.lease(100, ask_for_lease(r), watching(0));
    const auto timer = r.all<effect::SetTimer>().at(0).key;
    r.effects.clear();
    r.removed(200, "a");
    ASSERT_EQ(r.all<effect::CancelTimer>().size(), 1U);
    r.effects.clear();
    r.runtime.on_timer(timer, at(2100), r.effects);
    EXPECT_TRUE(r.effects.empty());
}

TEST(LeaseRuntime, TheBackendsReasonIsInLogAndRecord) {
    const LeaseAnswer failed = LeaseAnswer::failed(Error{Errc::io, "lease file /x", "mend it", {}});
    Resolver r = three_nodes(lease_settings());
    r.unreachable(0, "c");
    r.tick(10);
    const auto check = only_generation<effect::LeaseCheck>(r);
    r.effects.clear();
    r.lease(11, check, failed);
    ASSERT_FALSE(r.all<effect::Log>().empty());
    EXPECT_EQ(r.all<effect::Log>()[0].level, LogLevel::Warning);
    const auto acquire = only_generation<effect::LeaseAcquire>(r);
    r.effects.clear();
    r.lease(12, acquire, failed);
    EXPECT_EQ(r.all<effect::Record>().at(0).decision->lease, failed.error->message());
}

TEST(LeaseRuntime, NobodyCallsTheSideUnstableWhileItsLeaderWatchesAGrant) {
    SbrSettings settings = lease_settings();
    settings.stable_after = milliseconds{20'000};
    settings.down_all_when_unstable = SbrSettings::Unstable::on();
    settings.indirect = SbrSettings::Indirect::All;
    Resolver follower("b", settings);
    follower.up(0, "abcd");
    follower.leader(0, "a");
    follower.unreachable(0, "c");
    for (std::int64_t ms = 1000; ms < 160'000; ms += 1000) follower.tick(ms);
    follower.unreachable(160'000, "d"); // a change after a long quiet time
    follower.reachable(160'500, "d");
    for (std::int64_t ms = 161'000; ms < 200'000; ms += 1000) follower.tick(ms);
    EXPECT_EQ(follower.take_downs(), "");
    // Changes that do not end are what they were.
    for (std::int64_t ms = 200'000; ms < 260'000; ms += 5000) {
        follower.unreachable(ms, "d");
        follower.reachable(ms + 1, "d");
        follower.tick(ms + 1000);
    }
    EXPECT_NE(follower.take_downs(), "");
}

TEST(LeaseRuntime, IsReleasedSomeTimeAfterTheDownedAreRemoved) {
    Resolver r = three_nodes(lease_settings());
    r.lease(12, ask_for_lease(r), LeaseOutcome::Held);
    r.effects.clear();
    r.tick(60'000);
    EXPECT_TRUE(r.all<effect::LeaseRelease>().empty()) << "c is still a member";
    r.lease(60'001, only_generation<effect::LeaseCheck>(r),
            LeaseOutcome::Held); // decided again, held already
    r.effects.clear();
    r.removed(70'000, "c");
    r.tick(80'000);
    EXPECT_TRUE(r.all<effect::LeaseRelease>().empty());
    r.tick(80'001);
    EXPECT_EQ(r.all<effect::LeaseRelease>().size(), 1U);
}

TEST(LeaseRuntime, AReleaseIsRepeatedUntilItWorked) {
    Resolver r = three_nodes(lease_settings());
    r.lease(12, ask_for_lease(r), LeaseOutcome::Held);
    r.removed(20, "c");
    r.effects.clear();
    r.tick(10'021);
    const auto first = only_generation<effect::LeaseRelease>(r);
    r.effects.clear();
    r.tick(11'021);
    EXPECT_TRUE(r.all<effect::LeaseRelease>().empty()) << "one at a time";
    r.lease(11'022, first, LeaseOutcome::Failed);
    r.tick(12'021);
    const auto second = only_generation<effect::LeaseRelease>(r);
    EXPECT_NE(first, second);
    r.lease(12'022, second, LeaseOutcome::NotHeld);
    r.effects.clear();
    r.tick(60'000);
    EXPECT_TRUE(r.all<effect::LeaseRelease>().empty());
}

TEST(LeaseRuntime, ANewAcquisitionSupersedesTheRelease) {
    Resolver r("a", lease_settings());
    r.up(0, "abcde");
    r.leader(0, "a");
    r.lease(12, ask_for_lease(r), LeaseOutcome::Held);
    r.removed(20, "c");
    r.effects.clear();
    r.unreachable(10'021, "e");
    r.tick(10'022);
    // Both were due: the new decision goes first, and the lease is not given back under it.
    EXPECT_TRUE(r.all<effect::LeaseRelease>().empty());
    r.lease(10'023, only_generation<effect::LeaseCheck>(r), LeaseOutcome::Held);
    EXPECT_EQ(r.take_downs(), "e");
    r.tick(30'000);
    EXPECT_TRUE(r.all<effect::LeaseRelease>().empty()) << "e is still a member";
}

TEST(LeaseRuntime, ARemovedNodeNoLongerTakesALease) {
    Resolver r = three_nodes(lease_settings());
    r.unreachable(0, "bc");
    r.tick(10);
    r.lease(10, only_generation<effect::LeaseCheck>(r), LeaseOutcome::NotHeld);
    const auto timer = r.all<effect::SetTimer>().at(0).key;
    r.removed(100, "a");
    ASSERT_EQ(r.all<effect::CancelTimer>().size(), 1U);
    EXPECT_EQ(r.all<effect::CancelTimer>()[0].key, timer);
    r.effects.clear();
    r.runtime.on_timer(timer, at(2010), r.effects);
    EXPECT_TRUE(r.effects.empty());
}

TEST(LeaseRuntime, OnlyTheLatestWholeTableEventIsKeptWhileWaiting) {
    Resolver r = three_nodes(lease_settings());
    const auto acquire = ask_for_lease(r);
    const ClusterEvent seen = SeenChanged{false, nodes("ab")};
    for (std::size_t i = 0; i <= SbrRuntime::stash_max; ++i) r.tell(12, seen);
    EXPECT_TRUE(r.runtime.is_waiting_for_lease());
    r.lease(13, acquire, LeaseOutcome::Held);
    EXPECT_EQ(r.take_downs(), "c");
}

TEST(LeaseRuntime, TooManyEventsWhileWaitingEndTheWaitOnTheSafeSide) {
    Resolver r = three_nodes(lease_settings());
    ask_for_lease(r);
    const ClusterEvent event = Convergence{true};
    for (std::size_t i = 0; i <= SbrRuntime::stash_max; ++i) r.tell(12, event);
    EXPECT_FALSE(r.runtime.is_waiting_for_lease());
    EXPECT_TRUE(r.logged(sbr_code::stash_full));
    EXPECT_EQ(r.take_downs(), "ba");
}

// --- quorum observers

struct Observer : QuorumObserver {
    void on_quorum_lost() override { calls += 'L'; }
    void on_quorum_regained() override { calls += 'R'; }
    std::string calls;
};

TEST(QuorumObserver, IsToldTheEdgesOnly) {
    Resolver r = three_nodes(settings_of("keep-majority", 20'000));
    const auto observer = std::make_shared<Observer>();
    r.runtime.add_quorum_observer(observer);
    EXPECT_EQ(observer->calls, "");
    r.unreachable(0, "c");
    EXPECT_EQ(observer->calls, "");
    EXPECT_TRUE(r.runtime.has_quorum());
    r.unreachable(1, "b");
    EXPECT_EQ(observer->calls, "L");
    EXPECT_FALSE(r.runtime.has_quorum());
    r.reachable(2, "b");
    EXPECT_EQ(observer->calls, "LR");
    r.reachable(3, "c");
    EXPECT_EQ(observer->calls, "LR");
    r.runtime.remove_quorum_observer(observer);
    r.unreachable(4, "bc");
    EXPECT_EQ(observer->calls, "LR");
}

TEST(QuorumObserver, ASecondOneIsToldOfTheLossThatTheFirstKnowsOf) {
    Resolver r = three_nodes(settings_of("keep-majority"));
    const auto first = std::make_shared<Observer>();
    r.runtime.add_quorum_observer(first);
    r.unreachable(0, "bc");
    ASSERT_EQ(first->calls, "L");
    const auto second = std::make_shared<Observer>();
    r.runtime.add_quorum_observer(second);
    EXPECT_EQ(second->calls, "L");
    r.reachable(0, "bc");
    EXPECT_EQ(first->calls + ' ' + second->calls, "LR LR");
}

TEST(QuorumObserver, OneRegisteredAfterTheOthersHaveGoneIsToldOfNoPastLoss) {
    Resolver r = three_nodes(settings_of("keep-majority"));
    const auto first = std::make_shared<Observer>();
    r.runtime.add_quorum_observer(first);
    r.unreachable(0, "bc");
    r.runtime.remove_quorum_observer(first);
    r.reachable(0, "bc");
    const auto second = std::make_shared<Observer>();
    r.runtime.add_quorum_observer(second);
    EXPECT_EQ(second->calls, "");
}

TEST(QuorumObserver, ANewOneIsToldThatTheQuorumIsLostAlready) {
    Resolver r = three_nodes(settings_of("keep-majority", 20'000));
    r.unreachable(0, "bc");
    const auto observer = std::make_shared<Observer>();
    r.runtime.add_quorum_observer(observer);
    EXPECT_EQ(observer->calls, "L");
}

} // namespace
