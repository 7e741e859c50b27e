// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One run in a process of its own: worlds share nothing, and one that aborts or hangs is a result like any
/// other.
#include <cstdint>
#include <muster/sim/world/scenario.hpp>
#include <optional>
#include <string>
#include <sys/types.h>

namespace muster::tools {

/// A run under way. Movable by being kept in a container of pointers; kills the process when it is destroyed
/// before its end.
class Child {
public:
    struct Options {
        std::uint64_t seconds_max = 600;
        std::string timeline; ///< file; empty: none
    };
    /// Starts at once. Throws std::system_error when no process can be made.
    Child(const sim::Scenario& scenario, const Options& options);
    ~Child();
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    /// Readable when there is something to take().
    int descriptor() const noexcept { return pipe_; }
    /// Takes what is there; the outcome once the process has ended.
    std::optional<sim::Outcome> take();
    /// Waits for the end.
    sim::Outcome wait();

private:
    [[noreturn]] void live(const sim::Scenario& scenario, const Options& options, int out) const;
    sim::Outcome finish();

    std::uint64_t seed_;
    std::uint64_t seconds_max_;
    pid_t process_ = -1;
    int pipe_ = -1;
    int complaints_ = -1; ///< its stderr
    std::string text_;
};

} // namespace muster::tools
