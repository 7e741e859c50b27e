// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The command line of muster-node.
#include <chrono>
#include <muster/log.hpp>
#include <muster/node/remote_adapter.hpp>
#include <muster/runtime.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace muster::tools {

/// The exit status of the process; listed in `muster-node --help` and in src/doc/muster-node.md.
enum class ExitCode : int {
    Stopped = 0,          ///< left or was asked to stop
    Internal = 1,         ///< a defect
    Usage = 2,            ///< a flag's bad value
    CannotStart = 3,      ///< no event loop, port in use, ..
    Downed = 4,           ///< another member or the resolver removed this node
    JoinUnsuccessful = 5, ///< no seed let it in
    Incompatible = 6,     ///< settings differ from the cluster's
    Deadline = 7,         ///< did not stop within --exit-deadline
    LeaveUnfinished = 8,  ///< could not leave in time and marked itself Down
    IncarnationSpent = 9, ///< its counters were pushed to their limit: start it again
};

struct NodeOptions {
    Backend backend = Backend::Auto;
    LogLevel log_level = LogLevel::Warning;
    std::chrono::milliseconds status_interval{5000}; ///< 0: no periodic status
    std::chrono::milliseconds exit_deadline{0}; ///< after parsing: > 0, never shorter than a leave may take
    bool found_cluster = false;                 ///< no seeds: begin a cluster of its own
    RemoteAdapterConfig node;
};

/// The commands on stdin, each with what it does.
std::span<const std::pair<std::string_view, std::string_view>> command_help() noexcept;

/// Either options, or what to print and exit with (help, version, or a one-line error).
struct EarlyExit {
    std::string output;
    bool is_error = false;
};
std::variant<NodeOptions, EarlyExit> parse_options(int argc, const char* const* argv);

} // namespace muster::tools
