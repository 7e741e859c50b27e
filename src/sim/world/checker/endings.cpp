// SPDX-License-Identifier: Apache-2.0
// How nodes end: exiting tasks get their time, downed nodes stop, deaths are noticed.
#include "sim/world/text.hpp"
#include "state.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <muster/sim/random.hpp>
#include <utility>

namespace muster::sim {

using namespace std::chrono_literals;

namespace {

/// A node that knows itself Down checks at most four times, a leader tick apart, whether the others know, and
/// stops (protocol.md §11.2). Late timers double the time.
constexpr unsigned downed_seconds_max = 12;
/// Silence is judged by intervals that may have been irregular, and told to the others by gossip.
constexpr Duration death_noticed_max = 20s;
/// When most nodes are gone, a survivor monitors nine at a time, and the next ones when those are found
/// unreachable (protocol.md §12.2).
constexpr Duration ring_step_max = 5s;
/// After regular intervals (outage_min in scenario.cpp): 6.5 s of silence, plus messages in flight and the
/// reaper's interval.
constexpr Duration regular_death_noticed_max = 12s;

} // namespace

void CheckerState::add_exiting_task(std::size_t node) {
    auto& n = world[node];
    auto* runtime = n.runtime.get();
    const auto life = n.lives;
    // Drawn now, not when the task starts, whose time the checker does not choose.
    Random random(life << 32 ^ static_cast<std::uint64_t>(viewer(node).self.uid().value));
    const Duration takes{
        static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(exiting_tasks.count()) + 1))};
    n.daemon().add_shutdown_task(ShutdownPhase::ClusterExiting, "checker",
                                 [this, runtime, node, takes](UniqueFunction<void()> done) {
                                     runtime->schedule(runtime->monotonic_now() + takes,
                                                       [this, node, done = std::move(done)]() mutable {
                                                           viewer(node).exiting_done = true;
                                                           done();
                                                       });
                                 });
}

void CheckerState::check_downed(std::size_t node) {
    Viewer& v = viewer(node);
    const bool down =
        v.last && v.last->has_member(v.self) && v.last->find(v.self)->status() == MemberStatus::Down;
    if (!down || is_corrupted || world[node].snapshot().shutdown_reason) {
        v.down_seconds = 0;
        return;
    }
    // A second in which the node is paused does not count: it cannot stop then.
    if (++v.down_seconds > downed_seconds_max)
        note("downed-lives",
             fmt::format("node {} has known itself Down for {} s in which it ran", node, v.down_seconds));
}

/// In a healthy network a member whose process is gone is noticed after some six seconds (protocol.md §12.5).
void CheckerState::check_deaths(std::size_t node) {
    Viewer& v = viewer(node);
    // Irregular heartbeats from before may have to leave the history first.
    const auto steps =
        static_cast<std::int64_t>(world.size() / FailureDetectorSettings{}.monitored_by_nr_of_members);
    const Duration limit = is_regular ? regular_death_noticed_max : death_noticed_max + ring_step_max * steps;
    const bool healthy = network_touched + (is_regular ? Duration::zero() : death_noticed_max) < world.now();
    if (!v.last || !healthy) {
        v.takes_for_alive.clear();
        return;
    }
    for (const Member& m : v.last->members()) {
        const Incarnation* known = incarnation(m.unique_address());
        const bool noticed = !known || !known->ended || m.data_center() != v.data_center ||
                             m.status() == MemberStatus::Down ||
                             !v.last->reachability().is_reachable(m.unique_address());
        if (noticed) {
            v.takes_for_alive.erase(m.unique_address());
            continue;
        }
        const auto [since, fresh] = v.takes_for_alive.try_emplace(m.unique_address(), world.now());
        if (world.now() - since->second > limit)
            note("death-unnoticed",
                 fmt::format("node {} has held {}, whose process is gone, for reachable for {} s", node,
                             m.unique_address().to_string(), (world.now() - since->second) / 1s));
    }
}

} // namespace muster::sim
