// SPDX-License-Identifier: Apache-2.0
#include "../sample.hpp"

#include "base/split_mix64.hpp"
#include <cmath>
#include <gtest/gtest.h>
#include <muster/cluster/compat/gossip_pdu.hpp>
#include <muster/cluster/core/gossip_targets.hpp>
#include <set>

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

RandomSource seeded(std::uint64_t seed) { return SplitMix64(seed); }

TEST(Random, UniformBelowReachesEveryValueAboutEquallyOften) {
    const auto random = seeded(1);
    std::array<int, 7> counts{};
    for (int i = 0; i < 70'000; ++i) ++counts[uniform_below(random, counts.size())];
    for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
    EXPECT_EQ(uniform_below(random, 1), 0U);
    EXPECT_DEATH(uniform_below(random, 0), "nothing to choose");
}

TEST(Random, UniformBelowEndsEvenWithABrokenSource) {
    EXPECT_LT(uniform_below([] { return ~std::uint64_t{0}; }, 3), 3U);
}

TEST(Random, UniformUnitIsBelowOne) {
    EXPECT_EQ(uniform_unit([] { return std::uint64_t{0}; }), 0.0);
    EXPECT_LT(uniform_unit([] { return ~std::uint64_t{0}; }), 1.0);
    EXPECT_DOUBLE_EQ(uniform_unit([] { return std::uint64_t{1} << 63; }), 0.5);
}

TEST(Random, ShuffleFrontChoosesDistinctElements) {
    const auto random = seeded(2);
    std::set<std::vector<int>> orders;
    for (int i = 0; i < 200; ++i) {
        std::vector items{1, 2, 3};
        shuffle_front(items, 2, random);
        EXPECT_EQ(std::set<int>(items.begin(), items.end()).size(), 3U);
        orders.insert(items);
    }
    EXPECT_EQ(orders.size(), 6U);
}

TEST(CrossDcProbability, RisesForSmallDataCentersAndNeverFallsBelowTheSetting) {
    EXPECT_DOUBLE_EQ(cross_dc_probability(1, 0.2), 1.0);
    EXPECT_DOUBLE_EQ(cross_dc_probability(2, 0.2), 0.75);
    EXPECT_DOUBLE_EQ(cross_dc_probability(3, 0.2), 0.5);
    EXPECT_DOUBLE_EQ(cross_dc_probability(4, 0.2), 0.25);
    EXPECT_DOUBLE_EQ(cross_dc_probability(5, 0.2), 0.2);
    EXPECT_DOUBLE_EQ(cross_dc_probability(3, 0.9), 0.9);
    EXPECT_DOUBLE_EQ(cross_dc_probability(9, 0.0), 0.0);
}

TEST(DifferentViewProbability, FallsLinearlyToATenthAtThreeTimesTheThreshold) {
    EXPECT_DOUBLE_EQ(different_view_probability(10, 0.8, 400), 0.8);
    EXPECT_DOUBLE_EQ(different_view_probability(400, 0.8, 400), 0.8);
    EXPECT_DOUBLE_EQ(different_view_probability(800, 0.8, 400), 0.44);
    EXPECT_NEAR(different_view_probability(1000, 0.8, 400), 0.26, 1e-12);
    EXPECT_DOUBLE_EQ(different_view_probability(1200, 0.8, 400), 0.08);
    EXPECT_DOUBLE_EQ(different_view_probability(9000, 0.8, 400), 0.08);
}

TEST(GossipTargets, ValidOnesAreMembersThatSelfDoesNotSeeAsUnreachable) {
    const auto s = state("a", gossip({member("a"), member("b", Down), member("c"), member("d")}, {},
                                     unreachable({{"a", "c"}, {"b", "d"}})));
    EXPECT_TRUE(is_valid_gossip_target(s, node("b"))) << "status does not matter";
    EXPECT_FALSE(is_valid_gossip_target(s, node("c")));
    EXPECT_TRUE(is_valid_gossip_target(s, node("d"))) << "what others observe does not matter";
    EXPECT_FALSE(is_valid_gossip_target(s, node("a")));
    EXPECT_FALSE(is_valid_gossip_target(s, node("z")));
}

TEST(GossipTargets, PreferMembersThatHaveNotSeenAndFallBackToAll) {
    const auto some = state("a", gossip({member("a"), member("b"), member("c")}, {"b"}));
    EXPECT_EQ(hosts(gossip_candidates(some, {true, true}, {})), (Names{"c"}));
    EXPECT_EQ(hosts(gossip_candidates(some, {true, false}, {})), (Names{"b", "c"}));
    const auto all = state("a", gossip({member("a"), member("b"), member("c")}, {"b", "c"}));
    EXPECT_EQ(hosts(gossip_candidates(all, {true, true}, {})), (Names{"b", "c"}));
}

TEST(GossipTargets, AcrossDataCentersAreTheValidOldestOfTheFirstWithAny) {
    auto s = state("a",
                   gossip({in_dc("a", "dc1", Up, 1), in_dc("b", "dc1", Up, 2), in_dc("e", "dc2", Up, 1),
                           in_dc("f", "dc3", Up, 3), in_dc("g", "dc3", Up, 1), in_dc("h", "dc3", Up, 2)},
                          {"g"}, unreachable({{"a", "e"}})),
                   "dc1");
    s.cross_dc_connections = 2;
    EXPECT_EQ(other_data_centers(s), (Names{"dc2", "dc3"}));
    EXPECT_EQ(hosts(gossip_candidates(s, {false, false}, Names{"dc2", "dc3"})), (Names{"g", "h"}))
        << "seen is ignored, f is not among the oldest two";
    s.cross_dc_connections = 1;
    s.self = node("b");
    EXPECT_EQ(hosts(gossip_candidates(s, {false, false}, Names{"dc2", "dc3"})), (Names{"a"}))
        << "only the oldest gossip across";
}

TEST(GossipTargets, ALoneNodeOfItsDataCenterGossipsAcrossEvenWithProbabilityZero) {
    const auto s = state("i", gossip({in_dc("i", "dc4"), in_dc("e", "dc2")}), "dc4");
    auto settings = ClusterSettings::classic();
    settings.multi_dc.cross_dc_gossip_probability = 0.0;
    for (std::uint64_t seed = 0; seed < 50; ++seed)
        EXPECT_EQ(select_gossip_target(s, settings, seeded(seed)), node("e"));
}

TEST(GossipTargets, ARoundPicksTheOneOfTheCandidatesThatItsRollsSay) {
    const Gossip some_seen = gossip({member("a"), member("b"), member("c"), member("d"), member("e", Down)},
                                    {"b"}, unreachable({{"c", "a"}, {"c", "e"}, {"b", "d"}}));
    const Gossip all_seen =
        gossip({member("a"), member("b"), member("c"), member("d")}, {"a", "b", "c", "d"});
    const Gossip mixed =
        gossip({in_dc("a", "dc1"), in_dc("b", "dc2"), in_dc("c", "dc1"), in_dc("d", "dc1")}, {"a", "d"});
    const auto settings = ClusterSettings::classic();
    for (const auto& s : {state("c", some_seen), state("a", some_seen), state("z", some_seen),
                          state("b", all_seen), state("c", mixed, "dc1")}) {
        for (std::uint64_t seed = 0; seed < 100; ++seed) {
            const auto random = seeded(seed);
            const GossipRolls rolls = roll_gossip(s, settings, random);
            if (!rolls.local) continue;
            const auto candidates = gossip_candidates(s, rolls, {});
            ASSERT_FALSE(candidates.empty());
            const auto picked =
                candidates[static_cast<std::size_t>(uniform_below(random, candidates.size()))];
            EXPECT_EQ(select_gossip_target(s, settings, seeded(seed)), picked) << "seed " << seed;
        }
    }
}

TEST(GossipTargets, ARoundPicksUniformlyAndSkipsWithoutCandidates) {
    const auto s = state("a", gossip({member("a"), member("b"), member("c")}));
    const auto settings = ClusterSettings::classic();
    const auto random = seeded(3);
    std::map<std::string, int> counts;
    for (int i = 0; i < 2000; ++i) ++counts[*select_gossip_target(s, settings, random)->address().host];
    EXPECT_NEAR(counts["b"], 1000, 150);
    EXPECT_NEAR(counts["c"], 1000, 150);
    EXPECT_EQ(select_gossip_target(state("a", gossip({member("a")})), settings, random), std::nullopt);
}

TEST(FullGossipTargets, AreDistinctLocalNodesAndFromAnOldestOneAlsoTheOldestOfOneOtherDataCenter) {
    auto s = state("a",
                   gossip({in_dc("a", "dc1", Up, 1), in_dc("b", "dc1", Up, 2), in_dc("c", "dc1", Up, 3),
                           in_dc("e", "dc2", Up, 2), in_dc("f", "dc2", Up, 1)}),
                   "dc1");
    const auto random = seeded(4);
    auto targets = random_full_targets(s, 2, random);
    ASSERT_EQ(targets.size(), 2U);
    EXPECT_EQ(targets.back(), node("f"));
    targets = random_full_targets(s, 9, random);
    std::ranges::sort(targets);
    EXPECT_EQ(hosts(targets), (Names{"b", "c", "f"}));
    EXPECT_TRUE(random_full_targets(s, 0, random).empty());
    s.cross_dc_connections = 1;
    s.self = node("b");
    targets = random_full_targets(s, 9, random);
    std::ranges::sort(targets);
    EXPECT_EQ(hosts(targets), (Names{"a", "c"}));
}

TEST(UnseenTargets, AreLocalValidAndHaveNotSeen) {
    const auto s = state("a", gossip({member("a"), member("b"), member("c"), member("d"), in_dc("x", "west")},
                                     {"b"}, unreachable({{"a", "d"}})));
    EXPECT_EQ(hosts(random_unseen_targets(s, 5, seeded(5))), (Names{"c"}));
}

TEST(ExitingTargets, AreTheTwoOldestOfTheDataCenterAndOfEachRoleOfTheExiting) {
    const auto s = state("a", gossip({member("a", Up, 5, {"x"}), member("b", Up, 1), member("c", Up, 2),
                                      member("d", Exiting, 3, {"x", "y"}), member("e", Up, 4, {"x"}),
                                      in_dc("z", "west", Up, 1)}));
    EXPECT_EQ(hosts(exiting_gossip_targets(s, nodes({"d"}))), (Names{"b", "c", "d", "e"}));
    EXPECT_EQ(hosts(exiting_gossip_targets(s, nodes({"c"}))), (Names{"b", "c"}));
    EXPECT_TRUE(exiting_gossip_targets(s, {}).empty());
}

// --- the reference's free functions

TEST(GossipDecide, FollowsTheClocks) {
    const auto older = gossip({member("a")}).increment(node("a"));
    const auto newer = older.increment(node("a"));
    const auto other = older.increment(node("b"));
    EXPECT_EQ(gossip_decide(older.version(), older.version()), GossipDecision::Same);
    EXPECT_EQ(gossip_decide(newer.version(), older.version()), GossipDecision::SendEnvelope);
    EXPECT_EQ(gossip_decide(older.version(), newer.version()), GossipDecision::RequestMerge);
    EXPECT_EQ(gossip_decide(newer.version(), other.version()), GossipDecision::MergeBoth);
}

TEST(GossipDecide, TakesEqualClocksWithDifferentContentForConcurrent) {
    const auto mine = gossip({member("a")});
    const auto theirs = gossip({member("a", Leaving)});
    EXPECT_EQ(gossip_decide(mine, mine.version(), mine.version_id()), GossipDecision::Same);
    EXPECT_EQ(gossip_decide(mine, theirs.version(), theirs.version_id()), GossipDecision::MergeBoth);
}

TEST(PickGossipTarget, GoesRoundFromTheCursorAndSkipsSelf) {
    const std::vector peers{sample::address("a"), sample::address("b"), sample::address("c")};
    const auto pick = [&](std::size_t cursor) {
        return *pick_gossip_target(peers, sample::address("b"), cursor)->host;
    };
    EXPECT_EQ(pick(0), "a");
    EXPECT_EQ(pick(1), "c");
    EXPECT_EQ(pick(2), "c");
    EXPECT_EQ(pick(3), "a");
    EXPECT_EQ(pick(std::numeric_limits<std::size_t>::max()), "a") << "2^64 - 1 is a multiple of 3";
    EXPECT_EQ(pick_gossip_target(std::span<const Address>{}, sample::address("a"), 0), nullptr);
    const std::vector only_self{node("a")};
    EXPECT_EQ(pick_gossip_target(only_self, node("a"), 5), nullptr);
}

// --- data centers

TEST(MultiDc, AMemberBelongsToTheDataCenterOfItsRole) {
    const Member west{node("a"), Up, {"dc-eu-west", "compute"}};
    const Member plain{node("b"), Up, {"compute"}};
    EXPECT_EQ(member_dc(west), "eu-west");
    EXPECT_EQ(member_dc(plain), DEFAULT_DC);
    EXPECT_FALSE(same_dc(west, plain));
    EXPECT_EQ(dc_role("x"), "dc-x");
}

TEST(MultiDc, HeartbeatsGoSlowerAcrossDataCenters) {
    using namespace std::chrono_literals;
    const CrossDcSettings cross;
    EXPECT_EQ(cross.heartbeat_interval, 5s);
    EXPECT_EQ(cross.acceptable_pause, 30s);
    EXPECT_EQ(cross.max_monitored_peers, 5U);
    EXPECT_EQ(heartbeat_interval_for(in_dc("a", "x"), in_dc("b", "x"), 1s, cross), 1s);
    EXPECT_EQ(heartbeat_interval_for(in_dc("a", "x"), in_dc("b", "y"), 1s, cross), 5s);
}

TEST(MultiDc, PartitionsPeersIntoOwnAndOtherDataCenters) {
    const std::vector peers{in_dc("b", "y"), in_dc("c", "x"), in_dc("d", "z")};
    const auto [own, others] = partition_by_dc(in_dc("a", "x"), peers);
    EXPECT_EQ(hosts(own), (Names{"c"}));
    EXPECT_EQ(hosts(others), (Names{"b", "d"}));
}

} // namespace
} // namespace muster
