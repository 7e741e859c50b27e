// SPDX-License-Identifier: Apache-2.0
#include "../sample.hpp"

#include <gtest/gtest.h>

namespace muster {
namespace {

using sample::hosts;
using sample::Names;
using sample::node;
using sample::nodes;
using sample::unreachable;
using enum ReachabilityStatus;

const auto a = node("a");
const auto b = node("b");
const auto c = node("c");
const auto d = node("d");

TEST(Reachability, NobodyIsUnreachableInAnEmptyTable) {
    const Reachability table;
    EXPECT_TRUE(table.is_all_reachable());
    EXPECT_TRUE(table.is_reachable(a));
    EXPECT_EQ(table.status(a, b), Reachable);
    EXPECT_EQ(table.version_of(a), 0);
    EXPECT_EQ(table.content_hash(), Hash128{});
}

TEST(Reachability, SayingReachableWithoutRowsChangesNothing) {
    EXPECT_EQ(Reachability{}.reachable(a, b), Reachability{});
}

TEST(Reachability, EveryChangeTakesTheNextVersionOfItsObserver) {
    const auto table = Reachability{}.unreachable(a, b).unreachable(a, c).unreachable(d, c);
    EXPECT_EQ(table.version_of(a), 2);
    EXPECT_EQ(table.version_of(d), 1);
    EXPECT_EQ(table.records_of(a).size(), 2U);
    EXPECT_EQ(table.unreachable(a, b), table) << "the same status again is no change";
    table.check();
}

TEST(Reachability, ATerminatedRowIsFinalForItsObserver) {
    const auto table = Reachability{}.terminated(a, b);
    EXPECT_EQ(table.reachable(a, b), table);
    EXPECT_EQ(table.unreachable(a, b), table);
    EXPECT_EQ(Reachability{}.unreachable(a, b).terminated(a, b).status(a, b), Terminated);
}

TEST(Reachability, AReachableRowIsKeptOnlyBesideANegativeOne) {
    const auto one_back = unreachable({{"a", "b"}, {"a", "c"}}).reachable(a, b);
    EXPECT_EQ(one_back.records_of(a).size(), 2U);
    EXPECT_EQ(one_back.status(a, b), Reachable);
    const auto all_back = one_back.reachable(a, c);
    EXPECT_TRUE(all_back.records().empty()) << "full reachability means no rows";
    EXPECT_EQ(all_back.version_of(a), 4) << "the version survives its rows";
    all_back.check();
}

TEST(Reachability, ANewReachableSubjectIsStoredWhileAnotherIsUnreachable) {
    const auto table = unreachable({{"a", "b"}}).reachable(a, c);
    EXPECT_EQ(table.records_of(a).size(), 2U);
    EXPECT_EQ(table.version_of(a), 2);
}

TEST(Reachability, AggregatesToTheWorstThatAnybodySays) {
    const auto table = unreachable({{"a", "b"}, {"c", "b"}, {"a", "d"}}).terminated(d, b);
    EXPECT_EQ(table.status(b), Terminated);
    EXPECT_EQ(table.status(d), Unreachable);
    EXPECT_EQ(table.status(a), Reachable);
    EXPECT_EQ(hosts(table.all_unreachable()), (Names{"d"})) << "without those somebody calls Terminated";
    EXPECT_EQ(hosts(table.all_unreachable_or_terminated()), (Names{"b", "d"}));
    EXPECT_EQ(hosts(table.all_unreachable_from(a)), (Names{"b", "d"}));
    EXPECT_TRUE(table.all_unreachable_from(d).empty());
    EXPECT_EQ(hosts(table.all_observers()), (Names{"a", "c", "d"}));
    EXPECT_EQ(hosts(table.observers_by_unreachable().at(b)), (Names{"a", "c"}));
}

TEST(ReachabilityMerge, TakesEachObserversRowsFromTheHigherVersion) {
    const auto older = unreachable({{"a", "b"}});
    const auto newer = older.unreachable(a, c).reachable(a, b);
    const auto everybody = nodes({"a", "b", "c", "d"});
    EXPECT_EQ(older.merge(everybody, newer), newer);
    EXPECT_EQ(newer.merge(everybody, older), newer);
}

TEST(ReachabilityMerge, DoesNotBringBackRowsThatTheOtherSidePruned) {
    const auto before = unreachable({{"a", "b"}, {"c", "d"}});
    const auto healed = before.reachable(a, b);
    const auto everybody = nodes({"a", "b", "c", "d"});
    for (const auto& merged : {before.merge(everybody, healed), healed.merge(everybody, before)}) {
        EXPECT_TRUE(merged.records_of(a).empty());
        EXPECT_EQ(merged.version_of(a), 2);
        EXPECT_EQ(merged.status(c, d), Unreachable);
        merged.check();
    }
}

TEST(ReachabilityMerge, AtEqualVersionsTheSideWithoutRowsHasPrunedThem) {
    const auto with_rows = unreachable({{"a", "b"}});
    const Reachability without_rows{{}, {{a, 1}}};
    const auto everybody = nodes({"a", "b"});
    EXPECT_TRUE(with_rows.merge(everybody, without_rows).records().empty());
    EXPECT_TRUE(without_rows.merge(everybody, with_rows).records().empty());
}

TEST(ReachabilityMerge, KeepsOnlyAllowedNodes) {
    const auto table = unreachable({{"a", "b"}, {"a", "c"}, {"c", "b"}});
    const auto merged = table.merge(nodes({"a", "b"}), {});
    EXPECT_EQ(merged.records().size(), 1U);
    EXPECT_EQ(merged.version_of(a), 2);
    EXPECT_EQ(merged.version_of(c), 0);
    merged.check();
}

TEST(Reachability, RemovingNodesDropsTheirRowsBothWaysAndTheirVersions) {
    const auto table = unreachable({{"a", "b"}, {"b", "c"}, {"c", "d"}});
    const auto removed = table.remove(nodes({"b"}));
    EXPECT_EQ(removed.records().size(), 1U);
    EXPECT_EQ(removed.version_of(a), 1) << "an observer that stays keeps its version";
    EXPECT_EQ(removed.version_of(b), 0);
    const auto observers = table.remove_observers(nodes({"b"}));
    EXPECT_EQ(observers.records().size(), 2U) << "what others say about it stays";
    EXPECT_EQ(observers.status(b), Unreachable);
    removed.check();
    observers.check();
}

TEST(Reachability, AfterAPruneVersionsKeepCounting) {
    const auto table = unreachable({{"a", "b"}}).reachable(a, b).unreachable(a, c);
    EXPECT_EQ(table.version_of(a), 3);
    EXPECT_EQ(hosts(table.all_unreachable()), (Names{"c"}));
}

TEST(Reachability, DigestDependsOnContentNotOnHistory) {
    const auto changed = unreachable({{"a", "b"}, {"c", "d"}, {"b", "a"}}).remove(nodes({"b"}));
    const Reachability built{{{c, d, Unreachable, 1}}, {{c, 1}, {a, 1}}};
    EXPECT_EQ(changed, built);
    EXPECT_EQ(changed.content_hash(), built.content_hash());
    EXPECT_NE(changed.content_hash(), unreachable({{"c", "d"}}).content_hash());
}

TEST(Reachability, PartsSayTheSameWhateverTheyAreComparedWith) {
    const std::vector<Reachability> tables{{},
                                           unreachable({{"a", "b"}, {"c", "d"}, {"b", "a"}}),
                                           unreachable({{"a", "b"}, {"a", "c"}, {"c", "d"}}),
                                           unreachable({{"a", "b"}, {"a", "c"}}).terminated(a, b),
                                           unreachable({{"d", "c"}})};
    for (const Reachability& table : tables) {
        for (const Reachability& like : tables) {
            const Reachability built{{table.records().begin(), table.records().end()},
                                     {table.versions().begin(), table.versions().end()},
                                     like};
            built.check();
            EXPECT_EQ(built, table);
        }
        const Reachability same{{table.records().begin(), table.records().end()},
                                {table.versions().begin(), table.versions().end()},
                                table};
        EXPECT_EQ(same.records().data(), table.records().data()) << "nothing new: memory is shared";
    }
}

TEST(ReachabilityMerge, KeepsTheDigestOfWhatComesOut) {
    const auto rows = unreachable({{"a", "b"}, {"c", "d"}, {"b", "a"}});
    const auto others = unreachable({{"a", "c"}, {"a", "d"}, {"d", "a"}}).terminated(c, d);
    for (const auto& allowed :
         {nodes({"a", "b", "c", "d"}), nodes({"a", "c", "d"}), nodes({"b"}), nodes({})}) {
        rows.merge(allowed, others).check();
        others.merge(allowed, rows).check();
        rows.merge(allowed, Reachability{}).check();
        Reachability{}.merge(allowed, rows).check();
    }
}

} // namespace
} // namespace muster
