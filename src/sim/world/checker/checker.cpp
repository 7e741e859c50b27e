// SPDX-License-Identifier: Apache-2.0
// The Checker's public functions, and its findings.
#include <muster/sim/world/checker.hpp>

#include "sim/world/text.hpp"
#include "state.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace muster::sim {

using namespace std::chrono_literals;

Violation::Violation(std::string name, std::string what, Instant at)
    : std::runtime_error(name + ": " + what), invariant(std::move(name)), detail(std::move(what)), when(at) {}

Checker::Checker(World& world) : state_(std::make_unique<State>(world)) {}

Checker::~Checker() = default;

void Checker::configure(std::size_t node, RemoteAdapterConfig& config) {
    State& s = *state_;
    s.viewer(node); // so that `viewers` does not grow inside a step
    s.settings[node] = config;
    config.daemon.observer = [&s, node](const std::shared_ptr<const MembershipState>& state) {
        s.published(node, state);
    };
}

void Checker::started(std::size_t node) {
    State& s = *state_;
    Viewer& v = s.viewer(node);
    const bool was_protected = v.is_protected;
    v = Viewer{};
    v.running = true;
    v.is_protected = was_protected;
    v.started = s.world.now();
    s.happened(node);
    if (const auto& identity = s.world[node].identity) s.meet(node, *identity);
    s.add_exiting_task(node);
}

void Checker::ended(std::size_t node, End how) {
    State& s = *state_;
    Viewer& v = s.viewer(node);
    v.running = false;
    v.ended = s.world.now();
    s.lose_leader(v.self);
    if (auto* known = s.incarnation(v.self)) {
        known->ended = s.world.now();
        known->crashed = how == End::Crashed;
    }
    if (how == End::Crashed) {
        s.unprotect_by_default();
        s.happened(node);
    }
    if (how != End::Stopped) return;
    const auto reason = s.world[node].reason;
    const bool asked = v.left || reason == ShutdownReason::Leaving || reason == ShutdownReason::Requested;
    if (s.is_protected(node) && !asked)
        s.note("healthy-downed",
               fmt::format("node {} stopped ({})", node, reason ? to_string(*reason) : "?"));
    v.is_protected = false;
    s.throw_found();
}

void Checker::disturbed(std::size_t node) {
    State& s = *state_;
    s.unprotect_by_default();
    s.network_touched = s.world.now();
    s.happened(node);
}

void Checker::condemned(std::size_t node) {
    State& s = *state_;
    s.viewer(node).is_protected = false;
    s.unprotect_by_default();
    s.happened(node);
    if (const auto& identity = s.world[node].identity) s.lose_leader(*identity);
}

void Checker::slow_exits(Duration longest) { state_->exiting_tasks = longest; }

void Checker::regular_heartbeats(bool is_so) { state_->is_regular = is_so; }

void Checker::corrupted(bool is_so) {
    State& s = *state_;
    s.is_corrupted = is_so;
    s.versions.clear();
    s.versions_by_clock.clear();
    s.version_order.clear();
}

void Checker::stepped(std::size_t node) {
    state_->look_at_decisions(node);
    state_->throw_found();
}

void Checker::second() {
    State& s = *state_;
    if (!s.world.links().is_healthy()) s.network_touched = s.world.now();
    for (std::size_t node = 0; node < s.viewers.size(); ++node) {
        Viewer& v = s.viewers[node];
        if (!v.running) continue;
        if (s.world[node].runtime->paused()) {
            s.network_touched = s.world.now();
            continue;
        }
        if (v.last && std::exchange(v.changed, false) && !s.is_corrupted) v.last->check();
        s.check_downed(node);
        s.check_limits(node);
        if (!s.is_corrupted) s.check_deaths(node);
    }
    s.settle_numbers();
    s.check_split();
    s.throw_found();
}

void Checker::report(std::string invariant, std::string detail) {
    state_->note(std::move(invariant), std::move(detail));
}

std::uint64_t Checker::checks() const noexcept { return state_->checks; }

void CheckerState::note(std::string invariant, std::string detail) {
    if (found) return; // the first is the cause
    found = Violation(std::move(invariant), std::move(detail), world.now());
}

void CheckerState::throw_found() {
    if (!found) return;
    const Violation violation = *std::exchange(found, std::nullopt);
    throw violation;
}

Viewer& CheckerState::viewer(std::size_t node) {
    if (viewers.size() <= node) {
        viewers.resize(node + 1);
        settings.resize(node + 1);
    }
    return viewers[node];
}

void CheckerState::meet(std::size_t node, const UniqueAddress& self) {
    viewer(node).self = self;
    incarnations.try_emplace(self, Incarnation{node, world.now(), {}, false});
}

Incarnation* CheckerState::incarnation(const UniqueAddress& node) {
    const auto at = incarnations.find(node);
    return at == incarnations.end() ? nullptr : &at->second;
}

void CheckerState::published(std::size_t node, const std::shared_ptr<const MembershipState>& state) {
    Viewer& v = viewer(node);
    if (state->members().empty() || state->gossip == v.last) return;
    ++checks;
    if (v.self != state->self) { // a new life or a fresh uid (§5.6, first seed)
        v.last.reset();
        meet(node, state->self);
    }
    const GossipPtr before = std::exchange(v.last, state->gossip);
    v.changed = true;
    v.data_center = state->self_data_center;
    v.left = v.left || state->self_status() == MemberStatus::Leaving;
    if (is_corrupted) return;
    check_version(node, *state);
    if (before && before->version_id() == state->latest().version_id()) return;
    check_size(node, state->latest());
    note_counted(node, before.get(), state->latest());
    if (before)
        check_changes(node, *before, *state);
    else
        check_entry(node, *state);
    check_strangers(node, before.get(), *state);
    check_numbers(node, *state);
    check_protected(node, *state);
}

} // namespace muster::sim
