// SPDX-License-Identifier: Apache-2.0
#include <muster/node/coordinated_shutdown.hpp>

#include <algorithm>
#include <muster/ensure.hpp>

namespace muster {

namespace {

using std::chrono::milliseconds;

constexpr std::array<std::string_view, shutdown_phase_count> phase_names = {
    "before-service-unbind",
    "service-unbind",
    "service-requests-done",
    "service-stop",
    "before-cluster-shutdown",
    "cluster-sharding-shutdown-region",
    "cluster-leave",
    "cluster-exiting",
    "cluster-exiting-done",
    "cluster-shutdown",
    "before-actor-system-terminate",
    "actor-system-terminate",
};

} // namespace

std::string_view to_string(ShutdownPhase phase) noexcept {
    return phase_names[static_cast<std::size_t>(phase)];
}

std::optional<ShutdownPhase> parse_shutdown_phase(std::string_view text) noexcept {
    const auto found = std::find(phase_names.begin(), phase_names.end(), text);
    if (found == phase_names.end()) return std::nullopt;
    return static_cast<ShutdownPhase>(found - phase_names.begin());
}

std::array<ShutdownPhaseSettings, shutdown_phase_count> default_shutdown_phases() noexcept {
    std::array<ShutdownPhaseSettings, shutdown_phase_count> phases;
    for (const ShutdownPhase slow : {ShutdownPhase::ClusterShardingShutdownRegion,
                                     ShutdownPhase::ClusterExiting, ShutdownPhase::ActorSystemTerminate})
        phases[static_cast<std::size_t>(slow)].timeout = milliseconds{10'000};
    return phases;
}

CoordinatedShutdown::CoordinatedShutdown(Phases phases) {
    for (std::size_t i = 0; i < shutdown_phase_count; ++i) {
        MUSTER_ENSURE(phases[i].timeout > milliseconds{0}, "a shutdown phase's timeout must be > 0");
        phases_[i].settings = phases[i];
    }
}

result<void> CoordinatedShutdown::add_task(ShutdownPhase phase, std::string name) {
    Phase& p = at(phase);
    const std::string subject = "shutdown task \"" + name + "\" in phase " + std::string(to_string(phase));
    if (name.empty()) return Error{Errc::invalid_argument, subject, "give it a name", {}};
    if (p.begun || finished_) return Error{Errc::closed, subject, "the phase has begun: add it earlier", {}};
    const bool taken =
        std::any_of(p.tasks.begin(), p.tasks.end(), [&](const Task& t) { return t.name == name; });
    if (taken) return Error{Errc::invalid_argument, subject, "the name is taken: use another", {}};
    p.tasks.push_back({std::move(name), false});
    return {};
}

bool CoordinatedShutdown::cancel_task(ShutdownPhase phase, std::string_view name) {
    Phase& p = at(phase);
    return !p.begun && std::erase_if(p.tasks, [&](const Task& t) { return t.name == name; }) != 0;
}

bool CoordinatedShutdown::start(ShutdownReason reason, ShutdownSteps& out, ShutdownPhase from) {
    if (reason_) return false;
    reason_ = reason;
    for (std::size_t i = 0; i < static_cast<std::size_t>(from); ++i) phases_[i].begun = true;
    run_from(static_cast<std::size_t>(from), out);
    return true;
}

void CoordinatedShutdown::run_from(std::size_t index, ShutdownSteps& out) {
    for (; index < shutdown_phase_count; ++index) {
        Phase& p = phases_[index];
        p.begun = true;
        if (!p.settings.enabled || p.tasks.empty()) continue;
        const auto phase = static_cast<ShutdownPhase>(index);
        current_ = phase;
        phase_failed_ = false;
        out.push_back(shutdown_step::SetTimeout{phase, p.settings.timeout});
        for (Task& task : p.tasks) {
            task.running = true;
            out.push_back(shutdown_step::RunTask{phase, task.name});
        }
        return;
    }
    finish(true, out);
}

void CoordinatedShutdown::task_done(ShutdownPhase phase, std::string_view name, ShutdownSteps& out,
                                    std::optional<Error> failure) {
    if (current_ != phase) return;
    Phase& p = at(phase);
    const auto task =
        std::find_if(p.tasks.begin(), p.tasks.end(), [&](const Task& t) { return t.name == name; });
    if (task == p.tasks.end() || !task->running) return;
    task->running = false;
    if (failure) {
        phase_failed_ = true;
        out.push_back(shutdown_step::TaskFailed{phase, task->name, *std::move(failure)});
    }
    const bool any = std::any_of(p.tasks.begin(), p.tasks.end(), [](const Task& t) { return t.running; });
    if (any) return;
    out.push_back(shutdown_step::CancelTimeout{phase});
    end_phase(phase_failed_, out);
}

void CoordinatedShutdown::on_timeout(ShutdownPhase phase, ShutdownSteps& out) {
    if (current_ != phase) return;
    shutdown_step::PhaseTimedOut late{phase, {}};
    for (Task& task : at(phase).tasks) {
        if (!task.running) continue;
        task.running = false;
        late.unfinished.push_back(task.name);
    }
    out.push_back(std::move(late));
    end_phase(true, out);
}

void CoordinatedShutdown::end_phase(bool failed, ShutdownSteps& out) {
    const ShutdownPhase phase = *current_;
    current_.reset();
    if (failed && !at(phase).settings.recover)
        finish(false, out);
    else
        run_from(static_cast<std::size_t>(phase) + 1, out);
}

void CoordinatedShutdown::finish(bool completed, ShutdownSteps& out) {
    current_.reset();
    finished_ = true;
    out.push_back(shutdown_step::Finished{*reason_, completed});
}

std::vector<std::string> CoordinatedShutdown::tasks_of(ShutdownPhase phase) const {
    std::vector<std::string> names;
    for (const Task& task : phases_[static_cast<std::size_t>(phase)].tasks) names.push_back(task.name);
    return names;
}

const ShutdownPhaseSettings& CoordinatedShutdown::settings_of(ShutdownPhase phase) const noexcept {
    return phases_[static_cast<std::size_t>(phase)].settings;
}

milliseconds CoordinatedShutdown::total_timeout() const noexcept {
    milliseconds total{0};
    for (const Phase& phase : phases_)
        if (phase.settings.enabled && !phase.tasks.empty()) total += phase.settings.timeout;
    return total;
}

} // namespace muster
