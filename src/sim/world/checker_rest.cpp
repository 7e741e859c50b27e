// SPDX-License-Identifier: Apache-2.0
// What a Checker looks at each virtual second, and at the end.
#include "checker_state.hpp"
#include "text.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <muster/sim/random.hpp>

namespace muster::sim {

using namespace std::chrono_literals;

namespace {

/// A node that knows itself Down looks at most four times whether the others know, a leader tick apart, and
/// stops (protocol.md §11.2). Late timers double the time.
constexpr unsigned downed_seconds_max = 12;
/// Silence is judged by intervals that may have been irregular, and told to the others by gossip.
constexpr Duration death_noticed_max = 20s;
/// When most are gone who is left watches nine at a time, and the next when those are found out (protocol.md
/// §12.2).
constexpr Duration ring_step_max = 5s;
/// Of intervals that were regular (outage_min in scenario.cpp): 6.5 s of silence, after what was on its way,
/// until the reaper comes.
constexpr Duration regular_death_noticed_max = 12s;
/// What is queued or on its way at the end of everything is repeated by TCP for at most so long.
constexpr Duration network_idle_max = 1h;
/// With more nodes at rest each tells some of the others only.
constexpr std::size_t tell_everybody_max = 12;

} // namespace

void CheckerState::add_exiting_task(std::size_t node) {
    auto& n = world[node];
    auto* runtime = n.runtime.get();
    const auto life = n.lives;
    // Drawn now: when the task is asked for is nobody's choice.
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

void CheckerState::check_downed(std::size_t node) {
    Viewer& v = viewer(node);
    const bool down =
        v.last && v.last->has_member(v.self) && v.last->find(v.self)->status() == MemberStatus::Down;
    if (!down || is_corrupted || world[node].snapshot().shutdown_reason) {
        v.down_seconds = 0;
        return;
    }
    // A second in which it is paused is none: it cannot stop then.
    if (++v.down_seconds > downed_seconds_max)
        note("downed-lives",
             fmt::format("node {} has known itself Down for {} s in which it ran", node, v.down_seconds));
}

/// In a healthy network a member whose process is gone is noticed after some six seconds (protocol.md §12.5).
void CheckerState::check_deaths(std::size_t node) {
    Viewer& v = viewer(node);
    // What became of the heartbeats before may have to be forgotten first, unless they were regular.
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

void CheckerState::check_limits(std::size_t node) {
    const Viewer& v = viewer(node);
    const TcpTransportOptions& limits = settings[node].transport;
    const Metrics& metrics = world[node].runtime->metrics();
    const auto at_most = [&](std::string_view name, std::size_t limit) {
        const auto value = metrics.value(name);
        if (value > static_cast<std::int64_t>(limit))
            note("limit-exceeded",
                 fmt::format("{} of node {} is {}, {} are allowed", name, node, value, limit));
    };
    at_most("transport.links.inbound", limits.inbound_connections_max);
    at_most("transport.links.outbound", limits.associations_max);
    at_most("transport.associations", limits.associations_max);

    // Tells accepted and neither written nor dropped wait in the associations, each of which holds so many
    // bytes at most.
    if (v.tells_accepted == 0) return;
    auto waiting = static_cast<std::int64_t>(v.tells_accepted) - metrics.value("transport.tells.sent");
    for (const std::string_view reason :
         {"link_ended", "unreachable", "refused", "other_incarnation", "quarantined", "shutdown"})
        waiting -= metrics.value(fmt::format("transport.tells.dropped.{}", reason));
    const auto allowed = limits.association_bytes_max * v.told.size();
    if (waiting > 0 && static_cast<std::size_t>(waiting) * v.tell_bytes_min > allowed)
        note("limit-exceeded",
             fmt::format(
                 "{} tells of at least {} bytes wait at node {} for {} peers, {} bytes are allowed for each",
                 waiting, v.tell_bytes_min, node, v.told.size(), limits.association_bytes_max));
}

// --- at rest

void CheckerState::check_agreement() {
    if (const auto why = world.disagreement(); !why.empty()) {
        note("no-agreement", why);
        return;
    }
    GossipPtr first;
    std::size_t first_node = 0;
    for (const std::size_t node : world.running()) {
        const GossipPtr gossip = world[node].snapshot().state->gossip;
        if (!first) {
            first = gossip;
            first_node = node;
        }
        if (gossip->version_id() != first->version_id())
            note("no-agreement", fmt::format("nodes {} and {} hold different versions", first_node, node));
        if (gossip->overview().seen.count() != gossip->members().size())
            note("no-agreement", fmt::format("node {} does not know that everybody has seen", node));
    }
}

/// Each member is heartbeat by as many of its data center as the ring promises (protocol.md §19, 9).
void CheckerState::check_watched() {
    struct Center {
        std::size_t members = 0;
        std::size_t monitored_by = SIZE_MAX;
    };
    std::map<std::string, Center> centers;
    std::map<UniqueAddress, std::size_t> watchers;
    for (const std::size_t node : world.running()) {
        Center& center = centers[viewer(node).data_center];
        ++center.members;
        center.monitored_by = std::min(
            center.monitored_by, settings[node].daemon.cluster.failure_detector.monitored_by_nr_of_members);
        for (const UniqueAddress& watched : world[node].daemon().monitored()) {
            const Incarnation* known = incarnation(watched);
            if (known && viewer(known->node).data_center == viewer(node).data_center) ++watchers[watched];
        }
    }
    for (const std::size_t node : world.running()) {
        const Center& center = centers[viewer(node).data_center];
        const std::size_t wanted = std::min(center.monitored_by, center.members - 1);
        if (const std::size_t found_ones = watchers[viewer(node).self]; found_ones < wanted)
            note("unwatched",
                 fmt::format("node {} is heartbeat by {} of its data center, at least {} are promised", node,
                             found_ones, wanted));
    }
}

void CheckerState::tell_everybody() {
    const auto running = world.running();
    for (std::size_t i = 0; i < running.size(); ++i) {
        const std::size_t count = running.size() <= tell_everybody_max ? running.size() - 1 : 3;
        for (std::size_t step = 1; step <= count; ++step) {
            const std::size_t to = running[(i + step) % running.size()];
            const TellResult answer = world.checker().tell(running[i], to);
            told_at_rest.insert({running[i], to});
            if (answer != TellResult::Queued)
                note("tell-lost-at-rest",
                     fmt::format("node {} may not tell node {}: {}", running[i], to, to_string(answer)));
        }
    }
}

void CheckerState::check_all_arrived() {
    for (const auto& [from, to] : told_at_rest) {
        const TellStream& stream = streams[{viewer(from).self, to}];
        if (stream.delivered != stream.sent)
            note("tell-lost-at-rest",
                 fmt::format("the last tell of node {} to node {} did not arrive", from, to));
    }
}

void Checker::at_rest() {
    State& s = *state_;
    const auto version = [&s]() -> std::optional<Hash128> {
        const auto running = s.world.running();
        if (running.empty()) return std::nullopt;
        return s.world[running.front()].snapshot().state->latest().version_id();
    };
    s.check_agreement();
    s.check_watched();
    s.throw_found();
    const auto before = version();
    s.tell_everybody();
    s.world.run_for(6s);
    s.check_agreement();
    if (version() != before) s.note("not-at-rest", "nothing happens any more, but the version has changed");
    s.check_all_arrived();
    s.throw_found();
}

namespace {

/// "2 timers, 1 stream"; empty: nothing.
std::string what_is_left(const LeakCounter& leak_counter) {
    const LeakCounter::Balance b = leak_counter.balance();
    std::vector<std::string> parts;
    const auto add = [&parts](std::int64_t count, std::string_view one, std::string_view many) {
        if (count != 0) parts.push_back(fmt::format("{} {}", count, count == 1 ? one : many));
    };
    const auto size = [](std::size_t count) { return static_cast<std::int64_t>(count); };
    add(size(b.coroutines), "unfinished coroutine or operation", "unfinished coroutines and operations");
    add(size(b.timers), "timer", "timers");
    add(size(b.streams), "stream", "streams");
    add(size(b.listeners), "listener", "listeners");
    add(size(b.buffers), "buffer", "buffers");
    if (b.buffers != 0) parts.back() += fmt::format(" of {} bytes", b.buffer_bytes);
    add(leak_counter.metrics().value("transport.associations"), "association", "associations");
    return join(parts, ", ");
}

} // namespace

void Checker::left_behind(std::size_t node, const LeakCounter& leak_counter, bool settled) {
    State& s = *state_;
    const auto lives = s.world[node].lives;
    if (!settled)
        s.note("leak", fmt::format("node {}, life {}, has ended and does not come to rest", node, lives));
    if (const auto left = what_is_left(leak_counter); !left.empty())
        s.note("leak", fmt::format("node {}, life {}, has ended and left {}", node, lives, left));
}

void Checker::at_end() {
    State& s = *state_;
    s.throw_found();
    auto& network = s.world.network();
    for (const std::size_t node : s.world.running())
        s.note("leak", fmt::format("node {}, life {}, still runs, with {}", node, s.world[node].lives,
                                   what_is_left(*s.world[node].runtime->leak_counter())));
    s.throw_found();
    network.run_until([&network] { return network.connections() == 0 && network.events() == 0; },
                      s.world.now() + network_idle_max);
    if (const auto open = network.connections(); open != 0)
        s.note("leak", fmt::format("{} ends of connections are open", open));
    if (const auto events = network.events(); events != 0)
        s.note("leak", fmt::format("{} events are still to happen", events));
    s.throw_found();
}

} // namespace muster::sim
