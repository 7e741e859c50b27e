// SPDX-License-Identifier: Apache-2.0
// How a user tests an application on muster: whole nodes of it in a simulated world, in virtual time. A
// minute with a partition takes some milliseconds, needs no network, and is the same in every run.
#include "singleton.hpp"
#include <algorithm>
#include <gtest/gtest.h>
#include <muster/sim/world.hpp>
#include <optional>
#include <vector>

using namespace std::chrono_literals;

class ClusterOfFive : public testing::Test {
protected:
    void SetUp() override {
        world.start_all();
        ASSERT_TRUE(world.run_until_agreed(30s)) << world.disagreement();
    }
    std::vector<std::size_t> workers() const {
        std::vector<std::size_t> result;
        for (const std::size_t node : world.running())
            if (std::static_pointer_cast<example::Singleton>(world[node].application)->works())
                result.push_back(node);
        return result;
    }
    muster::sim::World world{
        {.seed = 7, .nodes = 5, .application = [](std::size_t, muster::ClusterRemoteAdapter& node) {
             return std::make_shared<example::Singleton>(node);
         }}};
};

TEST_F(ClusterOfFive, WorksOnOneNodeAlthoughTheNetworkSplits) {
    const auto before = workers();
    ASSERT_EQ(before.size(), 1U);
    world.partition({before[0], (before[0] + 1) % 5}); // the worker is in the minority
    EXPECT_FALSE(world.run_until([&] { return workers().size() > 1; }, 60s)) << "two at a time";
    EXPECT_EQ(world.running().size(), 3U) << "the minority has stopped itself";
    ASSERT_EQ(workers().size(), 1U);
    EXPECT_NE(workers(), before) << "the majority has taken over";
}

TEST_F(ClusterOfFive, TakesTheWorkOverNoSoonerThanTheWorkersRemovalHasSettled) {
    const std::size_t worker = workers().at(0);
    world.partition({worker});
    // From here on no node has the worker as a member, but the worker may not know it yet.
    std::vector<muster::Instant> settled;
    ASSERT_TRUE(world.run_until(
        [&] {
            settled.clear();
            for (std::size_t node = 0; node < 5; ++node)
                if (const auto at =
                        world[node].running() ? world[node].snapshot().removals_settled_at : std::nullopt;
                    at && node != worker)
                    settled.push_back(*at);
            return settled.size() == 4;
        },
        60s));
    const muster::Instant first = std::ranges::min(settled), last = std::ranges::max(settled);
    const auto somebody_else_works = [&] {
        const auto now = workers();
        return std::ranges::any_of(now, [&](std::size_t node) { return node != worker; });
    };
    EXPECT_FALSE(world.run_until(somebody_else_works, first - world.network().now() - 1ms));
    EXPECT_TRUE(world.run_until(somebody_else_works, last - world.network().now() + 1ms));
}

TEST_F(ClusterOfFive, WorksOnAnotherNodeWhenTheWorkerDies) {
    const auto before = workers();
    world.crash(before.at(0));
    EXPECT_TRUE(world.run_until([&] { return workers().size() == 1; }, 30s));
}

TEST_F(ClusterOfFive, WorksOnAnotherNodeWhenTheWorkerLeaves) {
    const auto before = workers();
    world.leave(before.at(0));
    EXPECT_TRUE(world.run_until([&] { return workers().size() == 1 && workers() != before; }, 30s));
}
