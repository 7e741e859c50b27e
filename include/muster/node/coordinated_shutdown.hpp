// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The order in which a node stops (protocol.md §17), as a value: it says which tasks to run and how long to
/// wait; the node runs them and reports their end.
#include <array>
#include <chrono>
#include <cstdint>
#include <muster/cluster/protocol/effects.hpp>
#include <muster/error.hpp>
#include <muster/time.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace muster {

/// The phases, in their order.
enum class ShutdownPhase : std::uint8_t {
    BeforeServiceUnbind,
    ServiceUnbind,
    ServiceRequestsDone,
    ServiceStop,
    BeforeClusterShutdown,
    ClusterShardingShutdownRegion,
    ClusterLeave,       ///< membership leaves
    ClusterExiting,     ///< singletons and the application hand over
    ClusterExitingDone, ///< membership confirms
    ClusterShutdown,    ///< membership stops
    BeforeActorSystemTerminate,
    ActorSystemTerminate,
};
inline constexpr std::size_t shutdown_phase_count = 12;
/// "cluster-leave", ...
std::string_view to_string(ShutdownPhase phase) noexcept;
std::optional<ShutdownPhase> parse_shutdown_phase(std::string_view text) noexcept;

/// Options of one phase: DaemonConfig::shutdown_phase().
struct ShutdownPhaseSettings {
    std::chrono::milliseconds timeout{5000}; ///< > 0; then the next phase runs (or not, see recover)
    bool enabled = true;                     ///< off: its tasks are skipped
    /// On: a task that fails or a timeout is reported and the next phase runs. Off: the shutdown ends there.
    bool recover = true;
};
/// The defaults of protocol.md §17: 5 s each, 10 s for cluster-sharding-shutdown-region, cluster-exiting,
/// actor-system-terminate.
std::array<ShutdownPhaseSettings, shutdown_phase_count> default_shutdown_phases() noexcept;

/// The effects of CoordinatedShutdown.
namespace shutdown_step {
/// Start this task; call task_done() with its phase and name when it ended, also at once.
struct RunTask {
    ShutdownPhase phase{};
    std::string name;
};
/// Call on_timeout(phase) after `delay` unless the phase is over by then (a late call is harmless).
struct SetTimeout {
    ShutdownPhase phase{};
    std::chrono::milliseconds delay{};
};
struct CancelTimeout {
    ShutdownPhase phase{};
};
/// For the log: these tasks were still running at the phase's timeout.
struct PhaseTimedOut {
    ShutdownPhase phase{};
    std::vector<std::string> unfinished;
};
/// For the log: a task ended with an error.
struct TaskFailed {
    ShutdownPhase phase{};
    std::string name;
    Error error;
};
/// The last step. `completed` is false when a phase without recover stopped it early.
struct Finished {
    ShutdownReason reason{};
    bool completed = true;
};
} // namespace shutdown_step
using ShutdownStep =
    std::variant<shutdown_step::RunTask, shutdown_step::SetTimeout, shutdown_step::CancelTimeout,
                 shutdown_step::PhaseTimedOut, shutdown_step::TaskFailed, shutdown_step::Finished>;
using ShutdownSteps = std::vector<ShutdownStep>;

/// Runs once. Phases in order, the tasks of one phase all at once; a phase is over when all its tasks are, or
/// at its timeout. One thread.
class CoordinatedShutdown {
public:
    using Phases = std::array<ShutdownPhaseSettings, shutdown_phase_count>;
    explicit CoordinatedShutdown(Phases phases = default_shutdown_phases());

    /// Names are unique within a phase. Errc::invalid_argument for an empty or taken name; Errc::closed when
    /// the phase has begun.
    result<void> add_task(ShutdownPhase phase, std::string name);
    /// false when unknown or already started.
    bool cancel_task(ShutdownPhase phase, std::string_view name);

    /// Begins with the first phase, or with a later one (`from`). The first reason counts: a second call does
    /// nothing and answers false.
    bool start(ShutdownReason reason, ShutdownSteps& out,
               ShutdownPhase from = ShutdownPhase::BeforeServiceUnbind);
    /// Ends a task of a running phase; other calls (a late task of a phase that timed out, a repetition) are
    /// ignored.
    void task_done(ShutdownPhase phase, std::string_view name, ShutdownSteps& out,
                   std::optional<Error> failure = {});
    void on_timeout(ShutdownPhase phase, ShutdownSteps& out);

    std::optional<ShutdownReason> reason() const noexcept { return reason_; }
    bool is_running() const noexcept { return current_.has_value(); }
    bool is_finished() const noexcept { return finished_; }
    /// The phase whose tasks run now.
    std::optional<ShutdownPhase> current() const noexcept { return current_; }
    std::vector<std::string> tasks_of(ShutdownPhase phase) const;
    const ShutdownPhaseSettings& settings_of(ShutdownPhase phase) const noexcept;
    /// The sum of the timeouts of the phases that have tasks: no shutdown takes longer.
    std::chrono::milliseconds total_timeout() const noexcept;

private:
    struct Task {
        std::string name;
        bool running = false;
    };
    struct Phase {
        ShutdownPhaseSettings settings;
        std::vector<Task> tasks; // in the order they were added
        bool begun = false;
    };
    Phase& at(ShutdownPhase phase) noexcept { return phases_[static_cast<std::size_t>(phase)]; }
    void run_from(std::size_t index, ShutdownSteps& out);
    void end_phase(bool failed, ShutdownSteps& out);
    void finish(bool completed, ShutdownSteps& out);

    std::array<Phase, shutdown_phase_count> phases_;
    std::optional<ShutdownReason> reason_;
    std::optional<ShutdownPhase> current_;
    bool phase_failed_ = false;
    bool finished_ = false;
};

} // namespace muster
