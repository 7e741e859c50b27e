// SPDX-License-Identifier: Apache-2.0
// Scenarios by name, and faults in words.
#include "text.hpp"
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <muster/sim/world/scenario.hpp>
#include <numeric>

namespace muster::sim {
namespace {

using Kind = Fault::Kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Named {
    std::string_view name;
    void (*make)(Scenario& s);
};

std::vector<std::size_t> range(std::size_t first, std::size_t end) {
    std::vector<std::size_t> result(end - first);
    std::iota(result.begin(), result.end(), first);
    return result;
}
std::vector<std::size_t> last(const Scenario& s, std::size_t count) {
    return range(s.nodes - count, s.nodes);
}
/// The most that a majority survives.
std::size_t minority(const Scenario& s) { return (s.nodes - 1) / 2; }
std::size_t share(const Scenario& s, std::size_t percent) {
    return std::max<std::size_t>(s.nodes * percent / 100, 1);
}
void add(Scenario& s, Duration at, Kind kind, std::vector<std::size_t> nodes, Duration length = {},
         std::int64_t amount = 0) {
    s.faults.push_back({at, kind, std::move(nodes), {}, length, amount});
}

constexpr std::array named_scenarios = {
    Named{"calm", [](Scenario&) {}},
    Named{"clean-partition",
          [](Scenario& s) { add(s, seconds(30), Kind::Partition, last(s, minority(s)), seconds(60)); }},
    Named{"one-way",
          [](Scenario& s) { add(s, seconds(30), Kind::OneWay, last(s, share(s, 1)), seconds(60)); }},
    Named{"flip-flop",
          [](Scenario& s) {
              add(s, seconds(20), Kind::FlipFlop, last(s, share(s, 1)), seconds(90),
                  Duration(seconds(20)).count());
          }},
    Named{"slow-link",
          [](Scenario& s) {
              add(s, seconds(20), Kind::Slow, last(s, 1), seconds(60), Duration(milliseconds(800)).count());
          }},
    Named{"lossy",
          [](Scenario& s) { add(s, seconds(20), Kind::Lossy, last(s, share(s, 1)), seconds(90), 800); }},
    Named{"mass-crash", [](Scenario& s) { add(s, seconds(30), Kind::Crash, last(s, minority(s))); }},
    Named{"power-loss",
          [](Scenario& s) { add(s, seconds(30), Kind::PowerOff, last(s, minority(s)), seconds(40)); }},
    Named{"mass-join", [](Scenario& s) { add(s, seconds(20), Kind::Start, range(1, s.nodes)); }},
    Named{"rolling-restart",
          [](Scenario& s) {
              s.fault_time = seconds(40) + seconds(12) * static_cast<std::int64_t>(s.nodes);
              add(s, seconds(30), Kind::RollingRestart, range(0, s.nodes), seconds(10));
          }},
    Named{"seeds-down-at-boot",
          [](Scenario& s) { add(s, seconds(25), Kind::Start, range(0, s.seed_nodes)); }},
    Named{"leave-under-partition",
          [](Scenario& s) {
              add(s, seconds(30), Kind::Partition, last(s, minority(s)), seconds(60));
              add(s, seconds(31), Kind::Leave, {0, s.nodes - 1});
          }},
    Named{"pause", [](Scenario& s) { add(s, seconds(30), Kind::Pause, last(s, 1), seconds(50)); }},
    Named{"stutter",
          [](Scenario& s) {
              add(s, seconds(20), Kind::Stutter, last(s, minority(s)), seconds(90),
                  Duration(milliseconds(700)).count());
          }},
    Named{"corrupt",
          [](Scenario& s) { add(s, seconds(20), Kind::Corrupt, last(s, 1), seconds(60), 20'000); }},
    Named{"broken-connections",
          [](Scenario& s) { add(s, seconds(20), Kind::Break, range(0, s.nodes), seconds(60), 50'000); }},
    Named{"queue-limits",
          [](Scenario& s) {
              s.association_bytes_max = 64 * 1024;
              add(s, seconds(25), Kind::Flood, {0, s.nodes - 1}, seconds(40), 200);
              add(s, seconds(30), Kind::Partition, last(s, 1), seconds(50));
          }},
    Named{"restart-at-once",
          [](Scenario& s) {
              add(s, seconds(30), Kind::Crash, last(s, minority(s)), milliseconds(200));
              add(s, seconds(60), Kind::Crash, {0}, milliseconds(200));
          }},
};

// --- faults in words

std::string percent(std::int64_t parts, double of) {
    return short_number(static_cast<double>(parts) / of * 100.0) + " %";
}

std::string byte_rate(std::int64_t bytes) {
    const auto rate = static_cast<double>(bytes);
    if (rate >= 1e6) return fmt::format("{:.1f} MB/s", rate / 1e6);
    if (rate >= 1e3) return fmt::format("{:.1f} kB/s", rate / 1e3);
    return fmt::format("{} B/s", bytes);
}

/// "nodes 3, 4" of what `all` would be nobody.
std::string name_others(const Fault& m, std::string_view all) {
    return m.others.empty() ? std::string(all) : name_nodes(m.others);
}

std::string name_return(const Fault& m, std::string_view what) {
    return m.length > Duration::zero() ? fmt::format("; {} after {}", what, short_time(m.length))
                                       : std::string();
}

std::string name_one(const std::vector<std::size_t>& nodes, std::size_t at) {
    return at < nodes.size() ? fmt::format("node {}", nodes[at]) : "nobody";
}

} // namespace

std::string describe(const Fault& m) {
    const auto who = name_nodes(m.nodes);
    const Duration amount(m.amount);
    switch (m.kind) {
    case Kind::Start: return fmt::format("first start: {}", who);
    case Kind::Crash: return fmt::format("crash: {}{}", who, name_return(m, "restart"));
    case Kind::PowerOff: return fmt::format("power off: {}{}", who, name_return(m, "on again"));
    case Kind::Leave: return fmt::format("leave: {}{}", who, name_return(m, "back"));
    case Kind::Pause: return fmt::format("pause: {}", who);
    case Kind::Stutter:
        return fmt::format("stutter: {}; stops and runs for {} each", who, short_time(amount));
    case Kind::ClockDrift: return fmt::format("clock drift: {}; {}", who, clock_rate(m.amount));
    case Kind::Partition: return fmt::format("partition: {} and {}", who, name_others(m, "all others"));
    case Kind::OneWay:
        return fmt::format("one-way: nothing from {} to {}", who, name_others(m, "all others"));
    case Kind::FlipFlop:
        return fmt::format("flip-flop: nothing to {}; {} on and off", who, short_time(amount));
    case Kind::Lossy: return fmt::format("lossy: {}; {} of what is sent there", who, percent(m.amount, 1e3));
    case Kind::Slow: return fmt::format("slow: {}; {}", who, short_time(amount));
    case Kind::Narrow: return fmt::format("narrow: {}; {}", who, byte_rate(m.amount));
    case Kind::Corrupt:
        return fmt::format("corrupt: {}; {} of what is sent there", who, percent(m.amount, 1e6));
    case Kind::Break:
        return fmt::format("broken connections: {}; {} of what is sent there", who, percent(m.amount, 1e6));
    case Kind::Reset: return fmt::format("reset: all connections of {}", who);
    case Kind::RollingRestart:
        return fmt::format("rolling restart: {}; one every {}", who, short_time(m.length));
    case Kind::Down: return fmt::format("down: {} downs {}", name_one(m.nodes, 0), name_one(m.nodes, 1));
    case Kind::Flood:
        return fmt::format("flood: {} to {}; {}/s", name_one(m.nodes, 0), name_one(m.nodes, 1), m.amount);
    case Kind::ProxyRestart: return fmt::format("proxy restarts: {}", who);
    case Kind::ProxyStall: return fmt::format("proxy accepts and forwards nothing: {}", who);
    case Kind::Claimant:
        return fmt::format("claimant: a process with the address of {}{}", who,
                           m.nodes.size() > 1 ? " each" : "");
    case Kind::WrongAddress: return fmt::format("wrong addresses: {} ask {} to join", m.amount, who);
    }
    return who;
}

std::string describe_with_times(const Fault& m) {
    using enum Fault::Kind;
    const bool says_length =
        m.kind == Crash || m.kind == PowerOff || m.kind == Leave || m.kind == RollingRestart;
    const bool lasts = m.length > Duration::zero() && !says_length;
    return fmt::format("at {}{}, {}", short_time(m.at), lasts ? " for " + short_time(m.length) : "",
                       describe(m));
}

std::vector<std::string_view> Scenario::names() {
    std::vector<std::string_view> result;
    for (const Named& n : named_scenarios) result.push_back(n.name);
    return result;
}

result<Scenario> Scenario::named(std::string_view name, std::size_t nodes, std::uint64_t seed) {
    const auto found = std::ranges::find(named_scenarios, name, &Named::name);
    if (found == named_scenarios.end())
        return Error{Errc::not_found,
                     fmt::format("scenario '{}'", name),
                     fmt::format("there are: {}", join(names(), ", ")),
                     {}};
    if (nodes < 3 || nodes > nodes_max)
        return Error{Errc::invalid_argument, "nodes", fmt::format("use 3 to {}", nodes_max), {}};
    Scenario s;
    s.name = name;
    s.seed = seed;
    s.nodes = nodes;
    found->make(s);
    std::ranges::stable_sort(s.faults, {}, &Fault::at);
    return s;
}

} // namespace muster::sim
