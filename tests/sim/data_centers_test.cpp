// SPDX-License-Identifier: Apache-2.0
/// Two data centers that are cut from each other for longer than tombstones are kept (protocol.md §2,
/// Tombstones).
#include <algorithm>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <muster/sim/world.hpp>

namespace muster::sim::test {
namespace {

using namespace std::chrono_literals;

constexpr auto prune_after = 60s;
const std::vector<std::size_t> far_ones{1, 3, 5};

/// Machine i is in data center i % 2; nobody is downed by himself.
WorldOptions two_data_centers() {
    WorldOptions options{.seed = 11, .nodes = 6};
    options.config.daemon.sbr.reset();
    options.config.daemon.cluster.prune_gossip_tombstones_after = prune_after;
    options.configure = [](std::size_t node, RemoteAdapterConfig& config) {
        config.daemon.cluster.multi_dc.self_data_center = fmt::format("dc{}", node % 2);
    };
    return options;
}

bool knows(const World& world, std::size_t viewer, const UniqueAddress& node) {
    return world[viewer].snapshot().state->latest().has_member(node);
}
bool is_tombstoned(const World& world, std::size_t viewer, const UniqueAddress& node) {
    return world[viewer].snapshot().state->latest().is_tombstoned(node);
}

/// dc0 downs and removes its node 4 while nothing passes between the two.
UniqueAddress remove_while_cut(World& world) {
    world.partition(far_ones);
    world.run_for(40s); // both have noticed
    world.crash(4);
    const UniqueAddress gone = *world[4].identity;
    world.run_for(5s);
    world[0].daemon().down(gone.address());
    EXPECT_TRUE(
        world.run_until([&] { return is_tombstoned(world, 0, gone) && is_tombstoned(world, 2, gone); }, 60s));
    return gone;
}

TEST(DataCentersCut, WhoWasRemovedStaysRemovedHoweverLongTheCutWas) {
    World world(two_data_centers());
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
    const UniqueAddress gone = remove_while_cut(world);
    world.run_for(5 * prune_after);
    EXPECT_TRUE(is_tombstoned(world, 0, gone)) << "its age stands still while a data center is unreachable";
    EXPECT_TRUE(knows(world, 1, gone));
    world.heal();
    bool came_back = false;
    EXPECT_TRUE(world.run_until(
        [&] {
            came_back = came_back || knows(world, 0, gone) || knows(world, 2, gone);
            return !knows(world, 1, gone) && !knows(world, 3, gone) && !knows(world, 5, gone);
        },
        60s));
    EXPECT_FALSE(came_back);
    EXPECT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
    // All are together again: now it ages, and the table does not grow for ever.
    EXPECT_TRUE(world.run_until(
        [&] {
            return std::ranges::all_of(world.running(),
                                       [&](std::size_t n) { return !is_tombstoned(world, n, gone); });
        },
        4 * prune_after));
    world.run_for(2 * prune_after);
    for (const std::size_t n : world.running()) {
        EXPECT_FALSE(knows(world, n, gone)) << n;
        EXPECT_FALSE(is_tombstoned(world, n, gone)) << n;
    }
}

TEST(DataCentersCut, AWallClockDaysAheadPrunesNothing) {
    WorldOptions options = two_data_centers();
    options.config.daemon.cluster.prune_gossip_tombstones_after = std::chrono::hours{24};
    World world(options);
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
    const UniqueAddress gone = remove_while_cut(world);
    world.set_clock(0, {.wall_offset = std::chrono::hours{48}}); // the leader's
    world.run_for(300s);
    EXPECT_TRUE(is_tombstoned(world, 0, gone));
    world.heal();
    EXPECT_TRUE(world.run_until([&] { return !knows(world, 1, gone); }, 60s));
    EXPECT_FALSE(knows(world, 0, gone));
}

TEST(DataCentersCut, OneThatWasDownedAsAWholeKeepsTombstonesUntilItIsForgotten) {
    World world(two_data_centers());
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
    const UniqueAddress gone = remove_while_cut(world);
    for (const std::size_t n : far_ones) world[0].daemon().down(world[n].address);
    ASSERT_TRUE(world.run_until(
        [&] {
            return world[0].snapshot().members().size() == 2 && world[2].snapshot().members().size() == 2;
        },
        60s));
    world.run_for(3 * prune_after);
    EXPECT_TRUE(is_tombstoned(world, 0, gone));
    std::optional<result<void>> wrong;
    world[0].daemon().forget_data_center("dc7", [&](result<void> done) { wrong = std::move(done); });
    for (const std::size_t n : {0, 2})
        world[n].daemon().forget_data_center("dc1", [](result<void> done) { EXPECT_TRUE(done.has_value()); });
    EXPECT_TRUE(world.run_until(
        [&] { return !is_tombstoned(world, 0, gone) && !is_tombstoned(world, 2, gone); }, 3 * prune_after));
    ASSERT_TRUE(wrong.has_value());
    EXPECT_FALSE(wrong->has_value());
}

} // namespace
} // namespace muster::sim::test
