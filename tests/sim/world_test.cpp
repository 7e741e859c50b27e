/// Worlds of whole nodes: what befalls them does what it says, and a run repeats exactly.
#include <gtest/gtest.h>
#include <muster/sim/world.hpp>
#include <muster/sim/world/checker.hpp>

namespace muster::sim::test {
namespace {

using namespace std::chrono_literals;
using Indices = std::vector<std::size_t>;

TEST(World, NodesThatStartTogetherAgree) {
    World world({.seed = 7, .nodes = 5});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s)) << world.disagreement();
    EXPECT_EQ(world.running(), (Indices{0, 1, 2, 3, 4}));
}

TEST(World, AMinorityCutOffStopsOfItselfAndTheMajorityGoesOn) {
    World world({.seed = 7, .nodes = 5});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.partition({0, 1});
    world.run_for(60s);
    EXPECT_EQ(world.running(), (Indices{2, 3, 4}));
    EXPECT_EQ(world[0].end, End::Stopped);
    EXPECT_EQ(world[0].reason, ShutdownReason::Downed);
    EXPECT_TRUE(world.agreed()) << world.disagreement();
}

} // namespace
} // namespace muster::sim::test
