// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The command line of muster-sim.
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace muster::tools {

/// The exit status of the process; listed in `muster-sim --help` and in src/doc/muster-sim.md.
enum class ExitCode : int {
    Held = 0,      ///< every invariant held in every run
    Broken = 1,    ///< at least one run broke an invariant, aborted or did not end
    Usage = 2,     ///< a flag's bad value
    CannotRun = 3, ///< a file cannot be read or written, no process can be made
};

struct SimOptions {
    std::uint64_t first_seed = 1;
    std::uint64_t last_seed = 1;      ///< with --minutes: no end
    std::optional<double> minutes;    ///< of real time
    std::optional<std::size_t> nodes; ///< of a named scenario
    std::string scenario;             ///< a name or a file; empty: drawn from the seeds
    std::size_t jobs = 1;             ///< processes at once
    bool json = false;
    bool scene = false; ///< print every node's view when an invariant broke
    bool list = false;
    std::string timeline; ///< file; of a single run
    std::size_t shrink_attempts = 200;
    std::size_t failures_max = 10;       ///< then no further run begins
    std::uint64_t seconds_per_run = 600; ///< of real time
    std::string out = ".";               ///< directory for shrunk scenarios
    std::string mutant;                  ///< only in the build for mutation
};

/// Either options, or what to print and exit with (help, version, or a one-line error).
struct EarlyExit {
    std::string output;
    bool is_error = false;
};
std::variant<SimOptions, EarlyExit> parse_options(int argc, const char* const* argv);

} // namespace muster::tools
