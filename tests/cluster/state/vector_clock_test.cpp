// SPDX-License-Identifier: Apache-2.0
#include "../sample.hpp"

#include <gtest/gtest.h>

namespace muster {
namespace {

using sample::node;

/// Counters of nodes a, b, c, ...
VectorClock clock(std::initializer_list<int> counters) {
    VectorClock result;
    char host = 'a';
    for (const int counter : counters) {
        for (int i = 0; i < counter; ++i) result.tick(node(std::string(1, host)));
        ++host;
    }
    return result;
}

TEST(VectorClock, StartsEqualAndEmpty) {
    EXPECT_EQ(VectorClock{}.compare({}), VectorRelation::Same);
    EXPECT_EQ(VectorClock{}.size(), 0U);
    EXPECT_EQ(VectorClock{}.get(node("a").key()), 0U);
}

TEST(VectorClock, TellsBeforeAfterSameAndConcurrent) {
    EXPECT_EQ(clock({1, 2}).compare(clock({1, 2})), VectorRelation::Same);
    EXPECT_EQ(clock({1, 2}).compare(clock({1, 3})), VectorRelation::Before);
    EXPECT_EQ(clock({1, 2}).compare(clock({0, 2})), VectorRelation::After);
    EXPECT_EQ(clock({1, 2}).compare(clock({2, 1})), VectorRelation::Concurrent);
    EXPECT_EQ(clock({1, 0}).compare(clock({0, 1})), VectorRelation::Concurrent);
    EXPECT_EQ(VectorClock{}.compare(clock({1})), VectorRelation::Before) << "missing is 0";
}

TEST(VectorClock, MergesToThePointwiseMaximum) {
    auto merged = clock({1, 4, 0});
    merged.merge(clock({1, 2, 1}));
    EXPECT_EQ(merged, clock({1, 4, 1}));
    merged.merge(clock({1, 2, 1}));
    EXPECT_EQ(merged, clock({1, 4, 1}));
}

TEST(VectorClock, CountsIncarnationsApart) {
    VectorClock a;
    VectorClock b;
    a.tick(node("a", 1));
    b.tick(node("a", 2));
    EXPECT_EQ(a.compare(b), VectorRelation::Concurrent);
}

TEST(VectorClock, PruningErasesTheEntryInsteadOfZeroingIt) {
    auto pruned = clock({1, 2, 3});
    pruned.prune(node("b").key());
    EXPECT_EQ(pruned.size(), 2U);
    EXPECT_EQ(pruned, clock({1, 0, 3}));
    pruned.prune(node("b").key());
    EXPECT_EQ(pruned, clock({1, 0, 3}));
    const std::vector<Hash128> rest{node("a").key(), node("c").key(), node("z").key()};
    pruned.prune(rest);
    EXPECT_EQ(pruned, VectorClock{});
    EXPECT_EQ(pruned.digest(), Hash128{});
}

TEST(VectorClock, APrunedClockThatMovesOnIsConcurrentWithItsAncestor) {
    const auto ancestor = clock({1, 2});
    auto pruned = ancestor;
    pruned.prune(node("b").key());
    pruned.tick(node("a"));
    EXPECT_EQ(pruned.compare(ancestor), VectorRelation::Concurrent);
}

TEST(VectorClock, DigestIsTheSameForEveryWayToTheSameCounters) {
    auto ticked = clock({2, 0, 1});
    auto merged = clock({1, 0, 1});
    merged.merge(clock({2}));
    auto pruned = clock({2, 5, 1});
    pruned.prune(node("b").key());
    const auto built = VectorClock::from_entries(
        {{node("c").key(), 1}, {node("a").key(), 1}, {node("a").key(), 2}, {node("b").key(), 0}});
    EXPECT_EQ(built, ticked) << "a zero is dropped, of a double key the higher stays";
    for (const VectorClock* other : std::initializer_list<const VectorClock*>{&merged, &pruned, &built}) {
        EXPECT_EQ(*other, ticked);
        EXPECT_EQ(other->digest(), ticked.digest());
    }
    EXPECT_NE(clock({1, 2}).digest(), clock({2, 1}).digest());
}

TEST(VectorClock, EntriesSayTheSameWhateverTheyAreComparedWith) {
    const auto key = [](const char* host) { return node(host).key(); };
    using Entries = std::vector<VectorClock::Entry>;
    for (const Entries& entries :
         {Entries{{key("b"), 2}, {key("a"), 1}, {key("c"), 3}}, Entries{{key("a"), 1}, {key("c"), 9}},
          Entries{{key("a"), 1}, {key("a"), 4}, {key("b"), 2}},
          Entries{{key("a"), 0}, {key("b"), 2}, {key("c"), 3}},
          Entries{{key("a"), 1}, {key("b"), 2}, {key("d"), 3}}, Entries{}}) {
        const auto expected = VectorClock::from_entries(entries);
        for (const auto& like : {clock({}), clock({1, 2, 3}), clock({1, 7, 3}), clock({1, 2})}) {
            const auto built = VectorClock::from_entries(entries, like);
            EXPECT_EQ(built, expected);
            EXPECT_EQ(built.digest(), expected.digest());
        }
    }
    const auto like = clock({1, 2, 3});
    const auto same = VectorClock::from_entries({{key("c"), 3}, {key("a"), 1}, {key("b"), 2}}, like);
    EXPECT_EQ(same.entries().data(), like.entries().data()) << "nothing new: memory is shared";
}

} // namespace
} // namespace muster
