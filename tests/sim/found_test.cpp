// SPDX-License-Identifier: Apache-2.0
/// Small scenarios that once broke an invariant (found.md), and nothing else that a test of its own could say
/// as shortly.
#include <gtest/gtest.h>
#include <muster/sim/world/scenario.hpp>
#include <string_view>

namespace muster::sim::test {
namespace {

void expect_holds(std::string_view json) {
    const auto scenario = Scenario::from_json(json);
    ASSERT_TRUE(scenario.has_value()) << scenario.error().message();
    const Outcome outcome = run(*scenario);
    EXPECT_TRUE(outcome.ok()) << *outcome.broken << ": " << outcome.detail;
}

TEST(Found, WhoStartsWhereNobodyListenedIsAnsweredAtOnce) {
    expect_holds(
        R"({"seed": 1000001806, "nodes": 12, "seed_nodes": 1, "data_centers": 1, "strategy": )"
        R"("keep-referee", "stable_after_ms": 1000, "unstable_guard": false, "classic": true, "distance": )"
        R"("lan", "tells_per_second": 1, "fault_time_ms": 51593, "quiet_ms": 15000, "faults": [{"at_ms": )"
        R"(41675, "kind": "leave", "nodes": [2, 6, 7, 8, 11], "length_ms": 9918}]})");
}

TEST(Found, NothingArrivesBehindABreakOfItsConnection) {
    expect_holds(
        R"({"seed": 1000004697, "nodes": 10, "seed_nodes": 1, "data_centers": 2, "strategy": "none", )"
        R"("stable_after_ms": 3000, "unstable_guard": false, "classic": false, "distance": "lan", )"
        R"("tells_per_second": 3, "fault_time_ms": 56005, "quiet_ms": 15000, "faults": [{"at_ms": 32203, )"
        R"("kind": "down", "nodes": [1, 2]}, {"at_ms": 38234, "kind": "slow", "nodes": [0, 1, 2], )"
        R"("length_ms": 13552, "amount": 2492000000}, {"at_ms": 38348, "kind": "pause", "nodes": [3, 4, )"
        R"(7, 8, 9], "length_ms": 17657}, {"at_ms": 49991, "kind": "break", "nodes": [1, 2, 3, 4, 5, 6, )"
        R"(8], "length_ms": 192, "amount": 133626}]})");
}

} // namespace
} // namespace muster::sim::test
