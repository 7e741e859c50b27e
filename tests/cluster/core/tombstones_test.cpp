// SPDX-License-Identifier: Apache-2.0
// The age of tombstones, apart from the core (protocol.md §2, Tombstones); the clock alone:
// tombstone_clock_test.cpp.
#include "cluster/core/tombstones.hpp"

#include "subject_support.hpp"
#include <gtest/gtest.h>

namespace {

using namespace muster;
using namespace muster::testing;

ClusterSettings pruning_after(milliseconds d) {
    ClusterSettings settings;
    settings.prune_gossip_tombstones_after = d;
    return settings;
}

Gossip without_b() { return all_up({a, b}).remove(std::vector{b}, WallTime{1}); }

Member of_west(const UniqueAddress& n, MemberStatus status) { return {n, status, {"dc-west"}, 2}; }

TEST(Tombstones, ExpireAfterTheirTimeHere) {
    Tombstones tombstones(pruning_after(seconds{15}));
    Effects out;
    const Gossip before = all_up({a, b});
    const Gossip after = without_b();
    tombstones.on_published(before, after, at(), out);
    tombstones.check(after);
    for (int s = 0; s <= 14; ++s) tombstones.tick(after, at(seconds{s}), out);
    EXPECT_TRUE(tombstones.expired().empty());
    tombstones.tick(after, at(seconds{15}), out);
    EXPECT_EQ(tombstones.expired(), std::vector{b});
}

TEST(Tombstones, StandStillWhileADataCenterIsLostUntilItIsForgotten) {
    Tombstones tombstones(pruning_after(seconds{5}));
    Effects out;
    const Gossip whole = gossip_of({up(a, 1), of_west(b, MemberStatus::Up)}, {a});
    const Gossip downed = whole.mark_down(std::vector{b});
    const Gossip removed = downed.remove(std::vector{b}, WallTime{1});
    tombstones.on_published(Gossip{}, whole, at(), out);
    tombstones.on_published(whole, downed, at(), out);
    tombstones.on_published(downed, removed, at(), out);
    EXPECT_TRUE(tombstones.lost().contains("west"));
    for (int s = 0; s <= 20; ++s) tombstones.tick(removed, at(seconds{s}), out);
    EXPECT_TRUE(tombstones.expired().empty());

    EXPECT_FALSE(tombstones.forget_data_center("east", out).has_value());
    ASSERT_TRUE(tombstones.forget_data_center("west", out).has_value());
    for (int s = 21; s <= 30; ++s) tombstones.tick(removed, at(seconds{s}), out);
    EXPECT_EQ(tombstones.expired(), std::vector{b});
}

TEST(Tombstones, AnotherIncarnationKnowsOfNone) {
    Tombstones tombstones(pruning_after(seconds{0}));
    Effects out;
    tombstones.on_published(all_up({a, b}), without_b(), at(), out);
    EXPECT_EQ(tombstones.expired(), std::vector{b});
    tombstones.on_new_incarnation();
    EXPECT_TRUE(tombstones.expired().empty());
    tombstones.check(Gossip{});
}

} // namespace
