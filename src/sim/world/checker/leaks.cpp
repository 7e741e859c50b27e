// SPDX-License-Identifier: Apache-2.0
// Ended processes and Worlds leave nothing behind.
#include "sim/world/text.hpp"
#include "state.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace muster::sim {

using namespace std::chrono_literals;

namespace {

/// The longest time that TCP repeats queued segments and those in flight at the end of everything.
constexpr Duration network_idle_max = 1h;
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
