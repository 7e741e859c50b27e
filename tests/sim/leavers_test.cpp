// SPDX-License-Identifier: Apache-2.0
/// Leaves beside deaths (protocol.md §11.1): of those who neither leave nor die nobody is lost whom the
/// strategy keeps both without the leavers and with them gone.
#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <muster/sim/world/scenario.hpp>

namespace muster::sim::test {
namespace {

using namespace std::chrono_literals;
using Kind = Fault::Kind;

struct Case {
    std::size_t nodes, leavers, deaths;
    Duration delay; ///< of the deaths, from the leaves on
    std::string_view strategy;
    bool guard;
};

std::vector<Case> every_case() {
    static constexpr std::array<std::string_view, 6> strategies = {
        "keep-majority", "static-quorum", "keep-oldest", "keep-referee", "down-all", "lease-majority"};
    static constexpr std::array delays = {Duration(-2s), Duration(0s), Duration(2s), Duration(10s),
                                          Duration(30s)};
    std::vector<Case> all;
    for (std::size_t nodes = 3; nodes <= 11; ++nodes)
        for (std::size_t deaths = 1; deaths <= 2; ++deaths)
            for (std::size_t leavers = 1; leavers + deaths <= nodes; ++leavers)
                for (const Duration delay : delays)
                    for (const std::string_view strategy : strategies)
                        for (const bool guard : {false, true})
                            all.push_back({nodes, leavers, deaths, delay, strategy, guard});
    return all;
}

Scenario scenario_of(const Case& c, std::uint64_t seed) {
    Scenario s;
    s.seed = seed;
    s.nodes = c.nodes;
    s.seed_nodes = std::min<std::size_t>(c.nodes, 2);
    s.strategy = c.strategy;
    s.unstable_guard = c.guard;
    s.stable_after = 20s; // the default
    s.tells_per_second = 0;
    s.fault_time = 150s;
    s.quiet = 20s;
    // The highest leave, the next ones die.
    for (std::size_t i = 0; i < c.leavers; ++i)
        s.faults.push_back({.at = 40s, .kind = Kind::Leave, .nodes = {c.nodes - 1 - i}, .others = {}});
    for (std::size_t i = 0; i < c.deaths; ++i)
        s.faults.push_back({.at = 40s + c.delay,
                            .kind = seed % 2 == 0 ? Kind::Crash : Kind::PowerOff,
                            .nodes = {c.nodes - 1 - c.leavers - i},
                            .others = {}});
    std::ranges::stable_sort(s.faults, {}, &Fault::at);
    return s;
}

TEST(Leavers, BesideDeathsTakeNobodyAlong) {
    // Every so many of 5 940: all of them take minutes where the compiler optimises.
#ifdef __OPTIMIZE__
    constexpr std::size_t step = 11;
#else
    constexpr std::size_t step = 643;
#endif
    const auto cases = every_case();
    std::size_t promised = 0;
    for (std::size_t i = 0; i < cases.size(); i += step) {
        const Scenario s = scenario_of(cases[i], i + 1);
        ASSERT_TRUE(s.validate().has_value());
        promised += s.protected_nodes().empty() ? 0 : 1;
        const Outcome outcome = run(s);
        EXPECT_TRUE(outcome.ok()) << *outcome.broken << ": " << outcome.detail << "\n" << s.to_json();
    }
    EXPECT_GT(promised, cases.size() / step / 4) << "enough of them promise somebody something";
}

} // namespace
} // namespace muster::sim::test
