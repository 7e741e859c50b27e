// SPDX-License-Identifier: Apache-2.0
#include "../sbr_support.hpp"
#include "base/setting_limits.hpp"
#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace {

using namespace muster;
using test::downs;
using test::hosts;
using test::member;
using test::node;
using test::nodes;
using test::rows;
using test::split;
using D = DowningDecision;
using S = MemberStatus;

std::vector<Member> ups(const std::string& all) {
    std::vector<Member> members;
    for (const char host : all) members.push_back(member(std::string(1, host)));
    return members;
}

// --- keep-majority

TEST(KeepMajority, TheBiggerSideStays) {
    const KeepMajorityStrategy strategy;
    EXPECT_EQ(strategy.decide(split("a", ups("abc"), ups("de"))).decision, D::DownUnreachable);
    EXPECT_EQ(strategy.decide(split("d", ups("de"), ups("abc"))).decision, D::DownReachable);
    EXPECT_EQ(downs(strategy, split("d", ups("de"), ups("abc"))), "de");
}

TEST(KeepMajority, DownsTheHalfWithoutTheLowestAddressWhenSidesAreEqual) {
    const KeepMajorityStrategy strategy;
    EXPECT_EQ(strategy.decide(split("a", ups("ad"), ups("bc"))).decision, D::DownUnreachable);
    EXPECT_EQ(strategy.decide(split("b", ups("bc"), ups("ad"))).decision, D::DownReachable);
    EXPECT_EQ(strategy.decide(split("b", ups("bc"), ups("ad"))).deciding_node, node("a"));
}

TEST(KeepMajority, NobodyStaysWhenTheOtherSideMayHaveMoreByNow) {
    const auto there = std::vector{member("d"), member("e", S::Joining), member("f", S::Joining)};
    const DowningVerdict verdict = KeepMajorityStrategy().decide(split("a", ups("ab"), there));
    EXPECT_EQ(verdict.decision, D::DownAll);
    EXPECT_EQ(hosts(verdict.counted_unreachable), "def");
    EXPECT_EQ(downs(KeepMajorityStrategy(), split("a", ups("ab"), there)), "abdef");
}

TEST(KeepMajority, LeavingOnesOnThisSideMayBeGoneInTheOthersEyes) {
    const auto here = std::vector{member("a"), member("b", S::Leaving), member("c", S::Leaving)};
    EXPECT_EQ(KeepMajorityStrategy().decide(split("a", here, ups("de"))).decision, D::DownAll);
    const auto leaving = std::vector{member("a", S::Leaving), member("b", S::Leaving)};
    EXPECT_EQ(KeepMajorityStrategy().decide(split("a", leaving, ups("c"))).decision, D::DownAll);
}

TEST(KeepMajority, ALeaderOnTheOtherSideMayHaveMadeAJoiningNodeTheLowestThatCounts) {
    const KeepMajorityStrategy strategy("r");
    const auto joining_a = member("a", S::Joining, {"r"});
    const auto leader_b = member("b", S::Up);
    const auto c = member("c", S::Up, {"r"});
    // The leader is with us, so nobody there can have moved a up.
    EXPECT_EQ(strategy.decide(split("c", {c, leader_b}, {joining_a})).decision, D::DownUnreachable);
    // The leader is there, so a may be Up there and count.
    EXPECT_EQ(strategy.decide(split("c", {c}, {leader_b, joining_a})).decision, D::DownAll);
}

TEST(KeepMajority, WithoutAnyCountedMemberNobodyStays) {
    EXPECT_EQ(KeepMajorityStrategy("r").decide(split("a", ups("ab"), ups("c"))).decision, D::DownAll);
}

// --- static-quorum

TEST(StaticQuorum, TheSideWithTheQuorumStays) {
    const StaticQuorumStrategy strategy(3);
    EXPECT_EQ(strategy.decide(split("a", ups("abc"), ups("de"))).decision, D::DownUnreachable);
    EXPECT_EQ(strategy.decide(split("d", ups("de"), ups("abc"))).decision, D::DownReachable);
}

TEST(StaticQuorum, NobodyStaysWhenTwoSidesCouldHaveTheQuorum) {
    const StaticQuorumStrategy strategy(3);
    EXPECT_EQ(strategy.decide(split("a", ups("abcde"), ups("f"))).decision, D::DownAll);
    EXPECT_FALSE(strategy.warning(split("a", ups("abcdef"), {})).empty());
    EXPECT_TRUE(strategy.warning(split("a", ups("abcde"), {})).empty());
}

TEST(StaticQuorum, TooManyMembersComeBeforeIndirectConnections) {
    SbrModel model = split("a", ups("abcd"), ups("ef"));
    model.set_reachability(rows({{"a", "b"}, {"b", "a"}}));
    EXPECT_EQ(StaticQuorumStrategy(3).decide(model).decision, D::DownAll);
    EXPECT_EQ(StaticQuorumStrategy(4).decide(model).decision, D::DownIndirectlyConnected);
}

TEST(StaticQuorum, WeightsAreSummed) {
    const StaticQuorumStrategy strategy(5, "", {{{"big", 4}}, 1});
    const auto here = std::vector{member("a", S::Up, {"big"}), member("b")};
    EXPECT_EQ(strategy.decide(split("a", here, ups("cde"))).decision, D::DownUnreachable);
    EXPECT_EQ(strategy.decide(split("a", here, ups("cde"))).weight_reachable, 5U);
    EXPECT_EQ(strategy.decide(split("c", ups("cde"), here)).decision, D::DownReachable);
}

// --- keep-oldest

TEST(KeepOldest, TheSideOfTheOldestStays) {
    const KeepOldestStrategy strategy;
    EXPECT_EQ(strategy.decide(split("a", ups("ab"), ups("cde"))).decision, D::DownUnreachable);
    EXPECT_EQ(strategy.decide(split("c", ups("cde"), ups("ab"))).decision, D::DownReachable);
}

TEST(KeepOldest, AgeNotAddressDecides) {
    const auto old_e = member("e", S::Up, {}, 1);
    const auto young_a = member("a", S::Up, {}, 9);
    const auto b = member("b", S::Up, {}, 2);
    EXPECT_EQ(KeepOldestStrategy().decide(split("a", {young_a, b}, {old_e})).deciding_node, node("e"));
}

TEST(KeepOldest, TheLonelyOldestGoesAndTheOthersTakeOver) {
    const KeepOldestStrategy strategy;
    EXPECT_EQ(strategy.decide(split("a", ups("a"), ups("bc"))).decision, D::DownReachable);
    EXPECT_EQ(strategy.decide(split("b", ups("bc"), ups("a"))).decision, D::DownUnreachable);
    const KeepOldestStrategy even_alone(false);
    EXPECT_EQ(even_alone.decide(split("a", ups("a"), ups("bc"))).decision, D::DownUnreachable);
    EXPECT_EQ(even_alone.decide(split("b", ups("bc"), ups("a"))).decision, D::DownReachable);
}

TEST(KeepOldest, OfTwoTheOldestStaysThoughAlone) {
    EXPECT_EQ(KeepOldestStrategy().decide(split("a", ups("a"), ups("b"))).decision, D::DownUnreachable);
    EXPECT_EQ(KeepOldestStrategy().decide(split("b", ups("b"), ups("a"))).decision, D::DownReachable);
}

TEST(KeepOldest, NobodyStaysWhenTheLeavingOldestMayBeGoneInTheOthersEyes) {
    const auto here = std::vector{member("a", S::Leaving), member("b")};
    EXPECT_EQ(KeepOldestStrategy(false).decide(split("a", here, ups("cd"))).decision, D::DownUnreachable);
    // Without a this side is a lonely oldest.
    EXPECT_EQ(KeepOldestStrategy(true).decide(split("a", here, ups("cd"))).decision, D::DownAll);
    const auto older_there = std::vector{member("a", S::Leaving), member("d")};
    EXPECT_EQ(KeepOldestStrategy().decide(split("a", older_there, ups("bc"))).decision, D::DownAll);
}

// --- keep-referee, down-all, lease-majority

TEST(KeepReferee, TheSideWithTheRefereeStaysRegardlessOfSize) {
    const KeepReferee strategy(node("a").address());
    EXPECT_EQ(strategy.decide(split("a", ups("a"), ups("bcde"))).decision, D::DownUnreachable);
    EXPECT_EQ(strategy.decide(split("b", ups("bcde"), ups("a"))).decision, D::DownReachable);
}

TEST(KeepReferee, WithoutTheRefereeNobodyStaysAndThatIsWarnedOf) {
    const KeepReferee strategy(node("z").address());
    EXPECT_EQ(strategy.decide(split("a", ups("abc"), ups("d"))).decision, D::DownReachable);
    EXPECT_FALSE(strategy.warning(split("a", ups("abcd"), {})).empty());
}

TEST(KeepReferee, TooFewBesideTheRefereeDoNotStay) {
    const KeepReferee strategy(node("a").address(), 3);
    EXPECT_EQ(strategy.decide(split("a", ups("ab"), ups("c"))).decision, D::DownAll);
    EXPECT_EQ(strategy.decide(split("a", ups("abc"), ups("d"))).decision, D::DownUnreachable);
}

TEST(KeepReferee, AJoiningRefereeDoesNotCount) {
    EXPECT_EQ(KeepReferee(node("a").address())
                  .decide(split("b", {member("a", S::Joining), member("b")}, ups("c")))
                  .decision,
              D::DownReachable);
}

TEST(DownAll, NamesEverybodyButDownAndExitingOnes) {
    const auto here = std::vector{member("a"), member("b", S::Exiting), member("c", S::Down)};
    EXPECT_EQ(downs(DownAllStrategy(), split("a", here, {member("d", S::Joining)})), "ad");
}

TEST(LeaseMajority, TheMinorityAsksLater) {
    const LeaseMajorityStrategy strategy(std::chrono::milliseconds{2000});
    const auto big = strategy.decide(split("a", ups("abc"), ups("de")));
    EXPECT_EQ(big.decision, D::AcquireLeaseAndDownUnreachable);
    EXPECT_EQ(big.acquire_delay.count(), 0);
    EXPECT_EQ(strategy.decide(split("d", ups("de"), ups("abc"))).acquire_delay.count(), 2000);
    EXPECT_EQ(strategy.decide(split("a", ups("ad"), ups("bc"))).acquire_delay.count(), 0);
    EXPECT_EQ(strategy.decide(split("b", ups("bc"), ups("ad"))).acquire_delay.count(), 2000);
}

TEST(LeaseMajority, WithoutAnyCountedMemberNobodyHasToWait) {
    EXPECT_EQ(LeaseMajorityStrategy(std::chrono::milliseconds{2000}, "r")
                  .decide(split("a", ups("a"), ups("bc")))
                  .acquire_delay.count(),
              0);
}

TEST(LeaseMajority, ADeniedLeaseReversesTheDecision) {
    EXPECT_EQ(reverse_of(D::AcquireLeaseAndDownUnreachable), D::DownReachable);
    EXPECT_EQ(reverse_of(D::AcquireLeaseAndDownIndirectlyConnected), D::ReverseDownIndirectlyConnected);
    EXPECT_EQ(reverse_of(D::DownAll), D::DownAll);
}

// --- indirectly connected nodes

TEST(IndirectlyConnected, ACleanSplitHasNone) {
    EXPECT_FALSE(split("a", ups("abc"), ups("de")).has_indirectly_connected());
}

TEST(IndirectlyConnected, AreNodesThatMarkOthersAndAreMarked) {
    SbrModel model = split("a", ups("abcde"), {});
    model.set_reachability(rows({{"a", "b"}, {"b", "a"}}));
    EXPECT_EQ(hosts(model.indirectly_connected().by_cycle), "ab");
}

TEST(IndirectlyConnected, AMarkedNodeThatHasSeenTheGossipIsWithItsObserver) {
    SbrModel model = split("a", ups("abc"), {});
    model.set_reachability(rows({{"a", "b"}}));
    model.set_seen_by(nodes("abc"));
    EXPECT_EQ(hosts(model.indirectly_connected().by_seen), "ab");
    EXPECT_EQ(hosts(model.indirectly_connected().by_cycle), "");
}

TEST(IndirectlyConnected, APartitionBesideThemIsDecidedOnceMore) {
    SbrModel model(node("d"), "default");
    for (const Member& m : ups("de")) model.add(m);
    for (const Member& m : ups("abc")) model.add_unreachable(m);
    model.set_reachability(rows({{"b", "c"}, {"c", "b"}, {"d", "a"}, {"d", "b"}, {"d", "c"}}));
    model.set_seen_by(nodes("de"));
    const NodesToDown chosen = nodes_to_down(KeepMajorityStrategy(), model, D::DownIndirectlyConnected);
    EXPECT_EQ(hosts(chosen.nodes), "bcde");
    EXPECT_EQ(hosts(chosen.additional), "de");
    EXPECT_FALSE(chosen.conflict);
}

TEST(IndirectlyConnected, WhenTheSecondDecisionIsIndirectAgainEverybodyGoes) {
    // A strategy that answers "indirect" whatever it is asked.
    struct Stubborn : DowningStrategy {
        std::string_view name() const noexcept override { return "stubborn"; }
        DowningVerdict decide(const SbrModel&) const override {
            return {.decision = D::DownIndirectlyConnected};
        }
    };
    SbrModel model = split("a", ups("abc"), ups("de"));
    model.set_reachability(rows({{"a", "b"}, {"b", "a"}, {"a", "d"}, {"a", "e"}}));
    const NodesToDown chosen = nodes_to_down(Stubborn(), model, D::DownIndirectlyConnected);
    EXPECT_TRUE(chosen.conflict);
    EXPECT_EQ(hosts(chosen.nodes), "abcde");
}

TEST(IndirectlyConnected, RowsOfExitingNodesDoNotCountInTheSecondDecision) {
    SbrModel model(node("a"), "default");
    for (const Member& m : ups("abcd")) model.add(m);
    model.add_unreachable(member("e"));
    model.add_unreachable(member("f", S::Exiting));
    model.set_reachability(rows({{"a", "e"}, {"a", "f"}, {"b", "e"}, {"e", "f"}}));
    model.set_seen_by(nodes("abcd"));
    EXPECT_EQ(downs(KeepMajorityStrategy(), model), "e");
}

// --- the model

TEST(SbrModel, IgnoresOtherDataCenters) {
    SbrModel model(node("a"), "default");
    EXPECT_FALSE(model.add(Member(node("x"), S::Up, {"dc-other"}, 1)));
    EXPECT_TRUE(model.add(member("a")));
    EXPECT_EQ(model.all_members().size(), 1U);
    model.set_reachability(rows({{"a", "x"}, {"x", "a"}}));
    EXPECT_TRUE(model.reachability().is_all_reachable());
}

TEST(SbrModel, FromAStateIsWhatItsEventsWouldHaveBuilt) {
    const auto members = std::vector{member("a"), member("b"), member("c", S::Down), member("d", S::Joining)};
    const auto table = rows({{"a", "b"}});
    auto gossip = Gossip::from_parts(members, nodes("a"), table, VectorClock(), {});
    ASSERT_TRUE(gossip.has_value());
    const MembershipState state(node("a"), "default", std::make_shared<const Gossip>(*std::move(gossip)));
    const SbrModel model = SbrModel::from_state(state);
    EXPECT_EQ(hosts(model.unreachable()), "bc");
    EXPECT_EQ(hosts(model.seen_by()), "a");
    EXPECT_EQ(hosts(model.downable()), "abd");

    test::Resolver resolver("a", test::settings_of("keep-majority"));
    for (const ClusterEvent& event : diff_events(nullptr, &state)) resolver.tell(0, event);
    EXPECT_EQ(resolver.runtime.model().unreachable(), model.unreachable());
    EXPECT_EQ(resolver.runtime.model().seen_by(), model.seen_by());
    EXPECT_EQ(resolver.runtime.model().downable(), model.downable());
    EXPECT_TRUE(resolver.runtime.model().reachability() == model.reachability());
}

TEST(SplitBrainResolver, DecidesOnAStateAndStaysWhileEverybodyIsReachable) {
    auto resolver = SplitBrainResolver::make(test::settings_of("keep-majority", 20'000));
    ASSERT_TRUE(resolver.has_value());
    const auto state_of = [](const Reachability& table) {
        auto gossip = Gossip::from_parts(ups("abc"), nodes("ab"), table, VectorClock(), {});
        return MembershipState(node("a"), "default", std::make_shared<const Gossip>(*std::move(gossip)));
    };
    EXPECT_EQ(resolver->decide(state_of({})), D::Stay);
    EXPECT_EQ(resolver->nodes_to_down(state_of({})).size(), 0U);
    EXPECT_EQ(resolver->decide(state_of(rows({{"a", "c"}, {"b", "c"}}))), D::DownUnreachable);
    EXPECT_EQ(hosts(resolver->nodes_to_down(state_of(rows({{"a", "c"}, {"b", "c"}})))), "c");
    EXPECT_EQ(NoSbr().decide(state_of(rows({{"a", "c"}}))), D::Stay);
}

TEST(DownRemovalMargin, IsTheConfiguredOneElseStableAfterUnderTheResolver) {
    using std::chrono::milliseconds;
    const auto resolver = SplitBrainResolver::make(test::settings_of("keep-majority", 20'000));
    EXPECT_EQ(resolver->down_removal_margin(milliseconds{0}), milliseconds{20'000});
    EXPECT_EQ(resolver->down_removal_margin(milliseconds{5}), milliseconds{5});
    EXPECT_EQ(NoSbr().down_removal_margin(milliseconds{0}), milliseconds{0});
}

// --- weights

TEST(RoleWeights, AMemberWeighsWhatItsHeaviestRoleDoes) {
    const RoleWeights weights{{{"x", 3}, {"y", 5}, {"none", 0}}, 2};
    EXPECT_EQ(weights.weight_of(member("a", S::Up, {"x", "y", "other"})), 5U);
    EXPECT_EQ(weights.weight_of(member("a", S::Up, {"none"})), 0U);
    EXPECT_EQ(weights.weight_of(member("a", S::Up, {"other"})), 2U);
    EXPECT_EQ(weights.canonical(), "none=0,x=3,y=5,*=2");
    EXPECT_EQ(RoleWeights().canonical(), "*=1");
}

TEST(RoleWeightedQuorum, WithAQuorumItIsAStaticQuorumWithoutOneAMajority) {
    const RoleWeights weights{{{"big", 3}}, 1};
    const auto big = std::vector{member("d", S::Up, {"big"})};
    EXPECT_EQ(RoleWeightedQuorum(weights).decide(split("d", big, ups("ab"))).decision, D::DownUnreachable);
    EXPECT_EQ(RoleWeightedQuorum(weights).decide(split("a", ups("ab"), big)).decision, D::DownReachable);
    EXPECT_EQ(RoleWeightedQuorum(weights, 4).decide(split("d", big, ups("ab"))).decision, D::DownReachable);
    EXPECT_EQ(RoleWeightedQuorum(weights, 2).decide(split("d", big, ups("ab"))).decision, D::DownAll);
}

// --- settings

Error error_of(SbrSettings settings) {
    const auto made = settings.make_strategy();
    return made.has_value() ? Error{} : made.error();
}

TEST(SbrSettings, TheDefaultsAreValidAndKeepTheMajority) {
    const auto strategy = SbrSettings().make_strategy();
    ASSERT_TRUE(strategy.has_value());
    EXPECT_EQ((*strategy)->name(), "keep-majority");
    EXPECT_EQ(SbrSettings().stable_after, std::chrono::seconds{20});
}

TEST(SbrSettings, EveryNameMakesItsStrategy) {
    for (const std::string_view name : sbr_strategy_names()) {
        SbrSettings settings;
        settings.strategy = name;
        settings.quorum_size = 2;
        settings.referee = node("a").address();
        settings.lease_implementation = "memory";
        const auto strategy = settings.make_strategy();
        ASSERT_TRUE(strategy.has_value()) << strategy.error().message();
        EXPECT_EQ((*strategy)->name(), name);
        EXPECT_NE((*strategy)->describe().find(name), std::string::npos);
    }
}

TEST(SbrSettings, ErrorsNameTheSetting) {
    SbrSettings unknown;
    unknown.strategy = "keep-youngest";
    EXPECT_EQ(error_of(unknown), Errc::invalid_argument);
    EXPECT_NE(error_of(unknown).message().find("split-brain-resolver.active-strategy"), std::string::npos);
    EXPECT_NE(error_of(unknown).message().find("keep-majority"), std::string::npos);

    SbrSettings quorum;
    quorum.strategy = "static-quorum";
    EXPECT_NE(error_of(quorum).subject.find("static-quorum.quorum-size"), std::string::npos);

    SbrSettings lease;
    lease.strategy = "lease-majority";
    EXPECT_NE(error_of(lease).subject.find("lease-majority.lease-implementation"), std::string::npos);

    SbrSettings referee;
    referee.strategy = "keep-referee";
    EXPECT_NE(error_of(referee).subject.find("keep-referee.referee"), std::string::npos);

    SbrSettings stable;
    stable.stable_after = std::chrono::milliseconds{-1};
    EXPECT_NE(error_of(stable).subject.find("stable-after"), std::string::npos);

    SbrSettings unstable;
    unstable.down_all_when_unstable = SbrSettings::Unstable::after(std::chrono::milliseconds{0});
    EXPECT_NE(error_of(unstable).subject.find("down-all-when-unstable"), std::string::npos);

    SbrSettings weights;
    weights.weights["r"] = 0;
    weights.weight_of_others = 0;
    EXPECT_NE(error_of(weights).subject.find("weights"), std::string::npos);

    SbrSettings useless;
    useless.strategy = "keep-oldest";
    useless.weights["r"] = 2;
    EXPECT_NE(error_of(useless).subject.find("weights"), std::string::npos);
}

TEST(SbrSettings, DurationsHaveAnUpperBoundAndRolesAreText) {
    using std::chrono::milliseconds;
    const auto subject = [](auto change) {
        SbrSettings settings;
        settings.strategy = "lease-majority";
        settings.lease_implementation = "memory";
        change(settings);
        const auto valid = settings.validate();
        return valid ? std::string{} : valid.error().subject;
    };
    EXPECT_EQ(subject([](auto& s) { s.stable_after = setting_duration_max; }), "");
    for (const milliseconds endless :
         {setting_duration_max + milliseconds{1}, milliseconds{9'223'372'036'855}, milliseconds::max()}) {
        EXPECT_NE(subject([&](auto& s) { s.stable_after = endless; }).find("stable-after"),
                  std::string::npos);
        EXPECT_NE(subject([&](auto& s) {
                      s.down_all_when_unstable = SbrSettings::Unstable::after(endless);
                  }).find("down-all-when-unstable"),
                  std::string::npos);
        EXPECT_NE(subject([&](auto& s) {
                      s.acquire_lease_delay_for_minority = endless;
                  }).find("acquire-lease-delay"),
                  std::string::npos);
        EXPECT_NE(subject([&](auto& s) { s.release_after = endless; }).find("release-after"),
                  std::string::npos);
        EXPECT_NE(
            subject([&](auto& s) { s.lease_operation_timeout = endless; }).find("lease-operation-timeout"),
            std::string::npos);
    }
    EXPECT_NE(subject([](auto& s) { s.role = "two\nlines"; }).find("role"), std::string::npos);
    EXPECT_NE(subject([](auto& s) {
                  s.strategy = "keep-majority";
                  s.weights["\xff"] = 2;
              }).find("weights"),
              std::string::npos);
}

TEST(SbrSettings, DownAllWhenUnstableIsThreeQuartersOfStableAfterButAtLeastFourSeconds) {
    using std::chrono::seconds;
    EXPECT_EQ(SbrSettings::Unstable::on().limit(seconds{20}), seconds{15});
    EXPECT_EQ(SbrSettings::Unstable::on().limit(seconds{2}), seconds{4});
    EXPECT_EQ(SbrSettings::Unstable::off().limit(seconds{20}), std::nullopt);
    EXPECT_EQ(SbrSettings::Unstable::after(seconds{7}).limit(seconds{20}), seconds{7});
}

TEST(SbrSettings, GuidanceForStableAfterGrowsWithTheCluster) {
    using std::chrono::seconds;
    const std::vector<std::pair<std::size_t, seconds>> table = {
        {1, seconds{7}},   {5, seconds{7}},    {6, seconds{10}},   {10, seconds{10}},  {20, seconds{13}},
        {50, seconds{17}}, {100, seconds{20}}, {101, seconds{30}}, {1000, seconds{30}}};
    for (const auto& [members, after] : table)
        EXPECT_EQ(SbrSettings::recommended_stable_after(members), after) << members;
}

// --- the record

TEST(SbrDecisionRecord, SaysInOneLineAndInJsonWhatWasCountedAndWhichRuleDecided) {
    test::Resolver resolver("a", test::settings_of("keep-majority"));
    resolver.up(0, "abc");
    resolver.leader(0, "a");
    resolver.tell(0, ReachabilityChanged{rows({{"a", "c"}, {"b", "c"}})});
    resolver.tell(0, SeenChanged{false, nodes("ab")});
    resolver.unreachable(0, "c");
    resolver.tick(10);
    const auto records = resolver.all<effect::Record>();
    ASSERT_EQ(records.size(), 1U);
    const SbrDecisionRecord& record = *records[0].decision;
    EXPECT_EQ(hosts(record.down), "c");
    EXPECT_EQ(record.trigger, SbrTrigger::Stable);
    EXPECT_EQ(record.when.ms, 1'000'010);

    const std::string line = record.to_line();
    EXPECT_EQ(line.find('\n'), std::string::npos);
    for (const std::string_view part :
         {"decision=DownUnreachable", "trigger=stable", "keep-majority", "the majority is on this side",
          "down=1 [c:2551#1]", "counted_reachable=2"})
        EXPECT_NE(line.find(part), std::string::npos) << part << " in " << line;

    const auto json = boost::json::parse(record.to_json()).as_object();
    EXPECT_EQ(json.at("decision"), "DownUnreachable");
    EXPECT_EQ(json.at("rows").as_array().size(), 2U);
    EXPECT_EQ(json.at("counted").at("reachable").as_array().size(), 2U);
    EXPECT_EQ(json.at("members").as_array().size(), 3U);
    EXPECT_EQ(json.at("members").at(2).at("unreachable"), true);
    EXPECT_EQ(json.at("members").at(0).at("seen"), true);
    EXPECT_EQ(json.at("indirectly_connected").at("by_cycle").as_array().size(), 0U);
}

TEST(SbrDecisionRecord, ALongListIsCutInTheLineWithItsLengthTold) {
    SbrDecisionRecord record;
    for (int i = 0; i < 1000; ++i) record.down.push_back(node("n" + std::to_string(i)));
    EXPECT_NE(record.to_line().find("down=1000 ["), std::string::npos);
    EXPECT_LT(record.to_line().size(), 2000U);
    EXPECT_EQ(boost::json::parse(record.to_json()).at("down").as_array().size(), 1000U);
}

TEST(DowningDecision, NamesAreThoseOfTheSpecificationAndReadBack) {
    EXPECT_EQ(to_string(D::DownSelf), "DownReachable");
    EXPECT_EQ(parse_downing_decision("DownSelf"), D::DownReachable);
    for (const D decision :
         {D::DownUnreachable, D::DownAll, D::DownReachable, D::Stay, D::DownIndirectlyConnected,
          D::ReverseDownIndirectlyConnected, D::AcquireLeaseAndDownUnreachable,
          D::AcquireLeaseAndDownIndirectlyConnected, D::DownSelfQuarantinedByRemote})
        EXPECT_EQ(parse_downing_decision(to_string(decision)), decision);
    EXPECT_EQ(parse_downing_decision("DownNobody"), std::nullopt);
}

} // namespace
