// SPDX-License-Identifier: Apache-2.0
/// A user's program in a World (WorldOptions::application): it lives exactly as long as its node's process.
#include <gtest/gtest.h>
#include <muster/sim/world.hpp>

namespace muster::sim::test {
namespace {

using namespace std::chrono_literals;

struct Diary {
    std::vector<std::string> lines;
};

/// Writes down its life, and uses its node to the very end.
class Program {
public:
    Program(std::shared_ptr<Diary> diary, std::size_t number, ClusterRemoteAdapter& adapter)
        : diary_(std::move(diary)), number_(number), adapter_(adapter) {
        diary_->lines.push_back(std::to_string(number_) + " begins");
    }
    ~Program() {
        const auto members = adapter_.snapshot().members().size();
        diary_->lines.push_back(std::to_string(number_) + " ends among " + std::to_string(members));
    }

private:
    std::shared_ptr<Diary> diary_;
    std::size_t number_;
    ClusterRemoteAdapter& adapter_;
};

class Application : public testing::Test {
protected:
    using Lines = std::vector<std::string>;
    WorldOptions options() {
        WorldOptions o{.seed = 9, .nodes = 2};
        o.application = [diary = diary](std::size_t number, ClusterRemoteAdapter& adapter) {
            return std::make_shared<Program>(diary, number, adapter);
        };
        return o;
    }
    std::shared_ptr<Diary> diary = std::make_shared<Diary>();
};

TEST_F(Application, BeginsWithEachProcessAndEndsBeforeItsNode) {
    World world(options());
    world.start_all();
    EXPECT_EQ(diary->lines, (Lines{"0 begins", "1 begins"}));
    ASSERT_TRUE(world.run_until_agreed(30s)) << world.disagreement();
    diary->lines.clear();
    world.crash(1);
    EXPECT_EQ(diary->lines, (Lines{"1 ends among 2"}));
    EXPECT_EQ(world[1].application, nullptr);
    world.start(1);
    EXPECT_EQ(diary->lines.back(), "1 begins");
    EXPECT_NE(world[1].application, nullptr);
}

TEST_F(Application, EndsWhenItsNodeLeaves) {
    World world(options());
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s)) << world.disagreement();
    diary->lines.clear();
    world.leave(1);
    ASSERT_TRUE(world.run_until([&] { return !world[1].running(); }, 60s));
    ASSERT_EQ(diary->lines.size(), 1U);
    EXPECT_TRUE(diary->lines[0].starts_with("1 ends")) << diary->lines[0];
}

TEST_F(Application, EndsWithTheWorld) {
    {
        World world(options());
        world.start(0);
        world.run_for(1s);
    }
    ASSERT_EQ(diary->lines.size(), 2U);
    EXPECT_TRUE(diary->lines[1].starts_with("0 ends")) << diary->lines[1];
}

} // namespace
} // namespace muster::sim::test
