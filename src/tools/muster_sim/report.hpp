// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The output of muster-sim.
#include <cstdint>
#include <muster/sim/world/scenario.hpp>
#include <optional>
#include <string>

namespace muster::tools {

std::string outcome_to_json(const sim::Outcome& outcome, bool with_scene = false);
std::optional<sim::Outcome> outcome_from_json(const std::string& text);
/// "seed 7: 9 nodes, keep-majority, 3 faults".
std::string title_of(const sim::Scenario& scenario);
/// Each on an indented line of its own; of many the first 24, and how many follow.
std::string faults_of(const sim::Scenario& scenario);

/// All runs together.
struct Sum {
    std::uint64_t runs = 0;
    std::uint64_t broken = 0;
    std::uint64_t checks = 0;
    std::uint64_t tells = 0;
    double virtual_hours = 0;
    double node_hours = 0;
    double real_seconds = 0;
    void add(const sim::Scenario& scenario, const sim::Outcome& outcome);
};
std::string to_json(const Sum& sum);
/// Ends with the line "N passed, N failed".
std::string to_text(const Sum& sum);

} // namespace muster::tools
