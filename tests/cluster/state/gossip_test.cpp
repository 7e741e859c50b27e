// SPDX-License-Identifier: Apache-2.0
#include "../sample.hpp"

#include <gtest/gtest.h>

namespace muster {
namespace {

using sample::gossip;
using sample::hosts;
using sample::member;
using sample::Names;
using sample::node;
using sample::nodes;
using sample::unreachable;
using enum MemberStatus;

Gossip remove(const Gossip& from, const char* host, std::int64_t ms = 1000) {
    const auto gone = node(host);
    return from.remove(std::span{&gone, 1}, WallTime{ms});
}

Errc refusal(std::vector<Member> members, std::vector<UniqueAddress> seen = {},
             Reachability reachability = {}, VectorClock version = {}) {
    const auto made =
        Gossip::from_parts(std::move(members), seen, std::move(reachability), std::move(version), {});
    return made ? Errc{} : made.error().code;
}

TEST(GossipParts, AreRefusedWhenAnInvariantIsBroken) {
    EXPECT_EQ(refusal({member("a"), member("a", Down)}), Errc::malformed) << "a double member";
    EXPECT_EQ(refusal({Member{node("a"), Removed}}), Errc::malformed) << "a Removed member";
    EXPECT_EQ(refusal({member("a")}, nodes({"b"})), Errc::malformed) << "seen by a stranger";
    EXPECT_EQ(refusal({member("a")}, {}, unreachable({{"b", "a"}})), Errc::malformed)
        << "a stranger observes";
    EXPECT_EQ(refusal({member("a")}, {}, unreachable({{"a", "b"}})), Errc::malformed)
        << "a stranger observed";
    EXPECT_EQ(refusal({member("a")}, {}, Reachability{{}, {{node("b"), 1}}}), Errc::malformed);
    const Reachability newer_row{{{node("a"), node("b"), ReachabilityStatus::Unreachable, 2}},
                                 {{node("a"), 1}}};
    EXPECT_EQ(refusal({member("a"), member("b")}, {}, newer_row), Errc::malformed);
    const Reachability overflow{{}, {{node("a"), std::numeric_limits<std::int64_t>::max()}}};
    EXPECT_EQ(refusal({member("a")}, {}, overflow), Errc::malformed) << "the next change would overflow";
    const auto clock =
        VectorClock::from_entries({{node("a").key(), std::numeric_limits<std::uint64_t>::max()}});
    EXPECT_EQ(refusal({member("a")}, {}, {}, clock), Errc::malformed);
    EXPECT_EQ(refusal({member("b"), member("a")}, nodes({"a"}), unreachable({{"a", "b"}})), Errc{});
}

TEST(Gossip, KeepsMembersInOrderAndFindsEveryIncarnationOfAnAddress) {
    const auto g = gossip({member("c"), member("a"), Member{node("b", 2), Up}, Member{node("b", -1), Down}});
    EXPECT_EQ(hosts(g.members()), (Names{"a", "b", "b", "c"}));
    const auto both = g.find_all(sample::address("b"));
    ASSERT_EQ(both.size(), 2U);
    EXPECT_EQ(both[0].unique_address().uid().value, -1);
    EXPECT_TRUE(g.find_all(sample::address("z")).empty());
    EXPECT_EQ(g.find(node("b", 3)), nullptr);
}

TEST(Gossip, UpdateReplacesAddsAndKeepsWhoHasSeen) {
    const auto g = gossip({member("b"), member("d")}, {"b", "d"});
    const auto next = g.update(std::vector{member("c", Joining), member("b", Leaving), member("a", Joining)});
    next.check();
    EXPECT_EQ(hosts(next.members()), (Names{"a", "b", "c", "d"}));
    EXPECT_EQ(next.find(node("b"))->status(), Leaving);
    EXPECT_EQ(hosts(next.seen_nodes()), (Names{"b", "d"}));
    EXPECT_EQ(next.seen_digest(), g.seen_digest());
    EXPECT_EQ(g.find(node("b"))->status(), Up) << "a gossip never changes";
}

TEST(Gossip, VersionIdCoversContentAndClockButNotSeenNorTombstoneTimes) {
    const auto g = gossip({member("a"), member("b")});
    EXPECT_EQ(g.seen(node("a")).version_id(), g.version_id());
    EXPECT_NE(g.increment(node("a")).version_id(), g.version_id());
    EXPECT_NE(g.update(std::vector{member("b", Down)}).version_id(), g.version_id());
    EXPECT_NE(g.with_reachability(unreachable({{"a", "b"}})).version_id(), g.version_id());
    EXPECT_EQ(remove(g, "b", 1).version_id(), remove(g, "b", 2).version_id());
    EXPECT_NE(remove(g, "b", 1).version_id(), gossip({member("a")}).version_id()) << "the tombstone counts";
    EXPECT_EQ(g.update(std::vector{member("b", Down)}).update(std::vector{member("b", Up)}).version_id(),
              g.version_id());
}

TEST(Gossip, SeenDigestIsTheSumOverWhoHasSeen) {
    const auto g = gossip({member("a"), member("b"), member("c")});
    EXPECT_EQ(g.seen_digest(), Hash128{});
    EXPECT_EQ(g.seen(node("a")).seen(node("c")).seen_digest(), node("a").key() + node("c").key());
    EXPECT_EQ(g.seen(node("c")).seen(node("a")).seen(node("a")).seen_digest(),
              node("a").key() + node("c").key());
    EXPECT_EQ(g.seen(node("a")).only_seen(node("b")).seen_digest(), node("b").key());
    EXPECT_EQ(g.seen(node("a")).clear_seen().seen_digest(), Hash128{});
    EXPECT_EQ(g.seen(node("z")).seen_digest(), Hash128{}) << "a stranger sees nothing";
}

TEST(Gossip, MergeSeenUnitesWhoHasSeenAndNothingElse) {
    const auto mine = gossip({member("a"), member("b"), member("c")}, {"a"});
    const auto theirs = gossip({member("a", Down), member("b"), member("c")}, {"c"});
    EXPECT_EQ(hosts(mine.merge_seen(theirs).seen_nodes()), (Names{"a", "c"}));
    EXPECT_EQ(mine.merge_seen(theirs).version_id(), mine.version_id());
    const auto others = gossip({member("b"), member("z")}, {"b", "z"});
    const auto united = mine.merge_seen(others);
    united.check();
    EXPECT_EQ(hosts(united.seen_nodes()), (Names{"a", "b"})) << "nodes unknown here are ignored";
}

TEST(Gossip, MarkingDownTakesTheNodeOutOfSeen) {
    const auto g = gossip({member("a"), member("b")}, {"a", "b"}).mark_down(node("b"));
    g.check();
    EXPECT_EQ(g.find(node("b"))->status(), Down);
    EXPECT_EQ(hosts(g.seen_nodes()), (Names{"a"}));
}

TEST(Gossip, RemovingAMemberRemovesEverythingAboutItAndLeavesATombstone) {
    auto g = gossip({member("a"), member("b"), member("c", Down)}, {"a", "b"},
                    unreachable({{"b", "c"}, {"c", "b"}}))
                 .increment(node("b"))
                 .increment(node("c"));
    const auto next = remove(g, "b", 1234);
    next.check();
    EXPECT_EQ(hosts(next.members()), (Names{"a", "c"}));
    EXPECT_EQ(hosts(next.seen_nodes()), (Names{"a"}));
    EXPECT_TRUE(next.reachability().records().empty());
    EXPECT_EQ(next.version().size(), 1U);
    ASSERT_TRUE(next.is_tombstoned(node("b")));
    EXPECT_EQ(next.tombstones()[0].removed_at, WallTime{1234});
    EXPECT_FALSE(next.is_tombstoned(node("b", 2))) << "only this incarnation is gone";
}

TEST(Gossip, PrunesTombstonesThatAreNotYoungerThanTheLimit) {
    const auto g = remove(remove(gossip({member("a"), member("b")}), "a", 1000), "b", 1001);
    const auto pruned = g.prune_tombstones(WallTime{1000});
    pruned.check();
    EXPECT_FALSE(pruned.is_tombstoned(node("a")));
    EXPECT_TRUE(pruned.is_tombstoned(node("b")));
    EXPECT_EQ(pruned.prune_tombstones(WallTime{1001}).tombstones().size(), 0U);
}

TEST(GossipMerge, TakesTheHigherStatusAndForgetsWhoHasSeen) {
    const auto a = gossip({member("a"), member("c", Leaving), member("e", Joining)}, {"a"});
    const auto b = gossip({member("a", Joining), member("c"), member("e")}, {"c"});
    for (const auto& merged : {a.merge(b), b.merge(a)}) {
        merged.check();
        EXPECT_EQ(merged.find(node("a"))->status(), Up);
        EXPECT_EQ(merged.find(node("c"))->status(), Leaving);
        EXPECT_EQ(merged.find(node("e"))->status(), Up);
        EXPECT_TRUE(merged.seen_nodes().empty());
    }
}

TEST(GossipMerge, KeepsAOneSidedMemberWhateverItsStatus) {
    const auto known = gossip({member("a"), member("c", Down)}, {}, unreachable({{"a", "c"}}));
    const auto unknown = gossip({member("a")});
    for (const auto& merged : {known.merge(unknown), unknown.merge(known)}) {
        ASSERT_TRUE(merged.has_member(node("c"))) << "absence without a tombstone means: not heard of";
        EXPECT_EQ(hosts(merged.reachability().all_unreachable()), (Names{"c"}));
    }
}

TEST(GossipMerge, ATombstoneOnEitherSideRemovesTheMemberWithItsClockAndRows) {
    const auto base = gossip({member("a"), member("b"), member("c", Exiting)}, {}, unreachable({{"b", "c"}}))
                          .increment(node("a"))
                          .increment(node("c"));
    const auto removed = remove(base, "c", 7);
    for (const auto& merged : {base.merge(removed), removed.merge(base)}) {
        merged.check();
        EXPECT_FALSE(merged.has_member(node("c")));
        EXPECT_TRUE(merged.is_tombstoned(node("c")));
        EXPECT_EQ(merged.version().get(node("c").key()), 0U);
        EXPECT_TRUE(merged.reachability().records().empty());
        EXPECT_EQ(merged.version_id(), removed.version_id());
    }
}

TEST(GossipMerge, OfADoubleTombstoneTheLaterTimeStays) {
    const auto base = gossip({member("a"), member("b")});
    for (const auto& merged : {remove(base, "b", 1).merge(remove(base, "b", 2)),
                               remove(base, "b", 2).merge(remove(base, "b", 1))}) {
        ASSERT_EQ(merged.tombstones().size(), 1U);
        EXPECT_EQ(merged.tombstones()[0].removed_at, WallTime{2});
    }
}

TEST(GossipMerge, PruningTheClockOfTombstonesLeavesTheOtherEntries) {
    const auto local =
        gossip({member("a"), member("b"), member("c")}).increment(node("b")).increment(node("c"));
    const auto remote = remove(local, "b");
    const auto pruned = local.prune_clock_of(remote.tombstones());
    EXPECT_EQ(pruned.version(), remote.version());
    EXPECT_TRUE(pruned.has_member(node("b"))) << "only the clock is pruned";
}

TEST(Gossip, KnowsWhetherItIsASingletonAndWhetherItSpansDataCenters) {
    EXPECT_TRUE(gossip({member("a")}).is_singleton());
    EXPECT_FALSE(gossip({member("a"), member("b")}).is_multi_dc());
    EXPECT_TRUE(gossip({member("a"), sample::in_dc("b", "west")}).is_multi_dc());
    EXPECT_FALSE(Gossip{}.is_multi_dc());
}

} // namespace
} // namespace muster
