// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <fmt/format.h>
#include <limits>
#include <muster/version.hpp>
#include <thread>

namespace muster::tools {
namespace {

std::uint64_t parse_seed(const std::string& flag, std::string_view text) {
    std::uint64_t seed = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, code] = std::from_chars(text.data(), end, seed);
    if (code != std::errc{} || rest != end || text.empty())
        throw CLI::ValidationError(flag, fmt::format("'{}' is no seed; write a number from 0 on", text));
    return seed;
}

void parse_seeds(const std::string& text, SimOptions& options) {
    const auto dots = text.find("..");
    if (dots == std::string::npos)
        throw CLI::ValidationError("--seeds", fmt::format("'{}' is not A..B", text));
    options.first_seed = parse_seed("--seeds", std::string_view(text).substr(0, dots));
    options.last_seed = parse_seed("--seeds", std::string_view(text).substr(dots + 2));
    if (options.last_seed < options.first_seed)
        throw CLI::ValidationError("--seeds",
                                   fmt::format("'{}' is empty: write the smaller seed first", text));
}

constexpr const char* footer =
    R"(Without --scenario each seed draws its own: 2 to 60 nodes, strategy, roles, data centers,
network, faults. A run that breaks an invariant prints it, the command that replays it, and a
smaller scenario that breaks the same one, which is also written to muster-sim-SEED.json.
Exit codes: 0 everything held, 1 an invariant was broken, 2 bad flag,
3 a file cannot be read or written.)";

} // namespace

std::variant<SimOptions, EarlyExit> parse_options(int argc, const char* const* argv) {
    SimOptions options;
    options.jobs = std::max(std::thread::hardware_concurrency(), 1U);
    std::string seed, seeds;
    double minutes = 0;
    std::size_t nodes = 0;
    CLI::App app{"Runs whole muster clusters in a simulated world and looks for broken promises",
                 "muster-sim"};
    app.footer(footer);
    app.set_version_flag("--version", fmt::format("muster-sim {}", version()));
    auto* one = app.add_option("--seed", seed, "one run; with --minutes: the first seed")->type_name("N");
    auto* many = app.add_option("--seeds", seeds, "one run for each seed from A to B")->type_name("A..B");
    auto* timed = app.add_option("--minutes", minutes, "new seeds for that long in real time")
                      ->check(CLI::Range(0.001, 1e6));
    one->excludes(many);
    timed->excludes(many);
    auto* scenario =
        app.add_option("--scenario", options.scenario, "a scenario by name (see --list), or a JSON file")
            ->type_name("NAME|FILE");
    auto* size = app.add_option("--nodes", nodes, "of a scenario by name (default 7)")
                     ->check(CLI::Range(3, 1000))
                     ->needs(scenario);
    app.add_option("--jobs", options.jobs, "runs at the same time, each in a process of its own")
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    app.add_flag("--json", options.json, "one JSON object a line: each run, then the sum");
    auto* timeline =
        app.add_option("--timeline", options.timeline, "write one HTML page of the run, for a browser")
            ->type_name("FILE");
    timeline->excludes(many);
    timeline->excludes(timed);
    app.add_flag("--scene", options.scene,
                 "of a failure: also what every node believed, and the ends of their logs");
    app.add_flag("--list", options.list, "print the names of the scenarios there are");
    app.add_option("--shrink", options.shrink_attempts,
                   "runs to spend on making a failing scenario smaller; 0: none")
        ->capture_default_str();
    app.add_option("--failures", options.failures_max, "begin no further run after so many failures")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--seconds-per-run", options.seconds_per_run, "of real time, then the run counts as hung")
        ->check(CLI::Range(1, 86'400))
        ->capture_default_str();
    app.add_option("--out", options.out, "directory for the scenarios of failures")
        ->check(CLI::ExistingDirectory)
        ->capture_default_str();
#ifdef MUSTER_MUTANTS
    app.add_option("--mutant", options.mutant, "break this rule");
#endif
    try {
        app.parse(argc, argv);
        if (*one) options.first_seed = options.last_seed = parse_seed("--seed", seed);
        if (*many) parse_seeds(seeds, options);
        if (*timed) {
            options.minutes = minutes;
            options.last_seed = std::numeric_limits<std::uint64_t>::max();
        }
        if (*size) options.nodes = nodes;
    } catch (const CLI::CallForHelp&) {
        return EarlyExit{app.help(), false};
    } catch (const CLI::CallForVersion&) {
        return EarlyExit{app.version() + "\n", false};
    } catch (const CLI::ParseError& error) {
        return EarlyExit{error.what(), true};
    }
    return options;
}

} // namespace muster::tools
