// SPDX-License-Identifier: Apache-2.0
/// One node that hears little or nothing goes alone: nobody it accuses goes with it, and no instability takes
/// everybody. In the words of Rapid's fault scripts (Suresh et al., "Stable and Consistent Membership at
/// Scale with Rapid", ATC'18, §7), which bench/sim_speed runs with up to 1 000 nodes.
#include <gtest/gtest.h>
#include <muster/sim/world.hpp>
#include <numeric>

namespace muster::sim::test {
namespace {

using namespace std::chrono_literals;

enum class Sickness { HearsNothing, HearsAFifth, FlipFlop };

struct Case {
    Sickness sickness;
    std::size_t node;
    std::uint64_t seed;
};

class SickNode : public testing::TestWithParam<Case> {
protected:
    static constexpr std::size_t nodes = 20;

    void fall_sick() {
        const LinkFaults faults =
            GetParam().sickness == Sickness::HearsAFifth ? LinkFaults{.loss = 0.8} : LinkFaults{.cut = true};
        world.links().set_ingress(world.host(GetParam().node), faults);
    }
    void get_well() { world.links().set_ingress(world.host(GetParam().node), std::nullopt); }

    World world{{.seed = GetParam().seed, .nodes = nodes, .seed_nodes = 3, .check = false}};
};

TEST_P(SickNode, GoesAlone) {
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
    world.run_for(15s);
    for (int round = 0; round < 3; ++round) {
        fall_sick();
        world.run_for(20s);
        if (GetParam().sickness == Sickness::FlipFlop) get_well();
        world.run_for(20s);
    }
    std::vector<std::size_t> healthy(nodes);
    std::iota(healthy.begin(), healthy.end(), std::size_t{0});
    std::erase(healthy, GetParam().node);
    auto running = world.running();
    std::erase(running, GetParam().node); // it may have noticed, or not
    EXPECT_EQ(running, healthy) << "healthy nodes stopped";
    for (const std::size_t one : healthy) {
        if (!world[one].running()) continue;
        const auto snapshot = world[one].snapshot();
        EXPECT_EQ(snapshot.members().size(), healthy.size()) << "for node " << one;
        EXPECT_FALSE(snapshot.state->latest().has_member(*world[GetParam().node].identity))
            << "for node " << one;
    }
}

/// One of each where the compiler does not optimise, as under sanitizers: each takes half a minute there, and
/// a third of a second here.
std::vector<Case> cases() {
#ifdef __OPTIMIZE__
    constexpr bool is_fast = true;
#else
    constexpr bool is_fast = false;
#endif
    std::vector<Case> all;
    for (const auto sickness : {Sickness::HearsNothing, Sickness::HearsAFifth, Sickness::FlipFlop})
        for (const std::size_t node : {2, 0, 11})
            for (const std::uint64_t seed : {1, 2})
                if (is_fast || (node == 2 && seed == 1)) all.push_back({sickness, node, seed});
    return all;
}
std::string name_of(const testing::TestParamInfo<Case>& info) {
    static constexpr const char* names[] = {"HearsNothing", "HearsAFifth", "FlipFlop"};
    return std::string(names[static_cast<std::size_t>(info.param.sickness)]) + "Node" +
           std::to_string(info.param.node) + "Seed" + std::to_string(info.param.seed);
}
INSTANTIATE_TEST_SUITE_P(Rapid, SickNode, testing::ValuesIn(cases()), name_of);

} // namespace
} // namespace muster::sim::test
