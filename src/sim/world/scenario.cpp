// SPDX-License-Identifier: Apache-2.0
#include <muster/sim/world/scenario.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <muster/cluster/sbr/settings.hpp>
#include <utility>

namespace muster::sim {
namespace {

using Kind = Fault::Kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::array kind_names = {
    std::pair{Kind::Start, std::string_view("start")},
    std::pair{Kind::Crash, std::string_view("crash")},
    std::pair{Kind::PowerOff, std::string_view("power-off")},
    std::pair{Kind::Leave, std::string_view("leave")},
    std::pair{Kind::Pause, std::string_view("pause")},
    std::pair{Kind::Stutter, std::string_view("stutter")},
    std::pair{Kind::ClockDrift, std::string_view("clock-drift")},
    std::pair{Kind::Partition, std::string_view("partition")},
    std::pair{Kind::OneWay, std::string_view("one-way")},
    std::pair{Kind::FlipFlop, std::string_view("flip-flop")},
    std::pair{Kind::Lossy, std::string_view("lossy")},
    std::pair{Kind::Slow, std::string_view("slow")},
    std::pair{Kind::Narrow, std::string_view("narrow")},
    std::pair{Kind::Corrupt, std::string_view("corrupt")},
    std::pair{Kind::Break, std::string_view("break")},
    std::pair{Kind::Reset, std::string_view("reset")},
    std::pair{Kind::RollingRestart, std::string_view("rolling-restart")},
    std::pair{Kind::Down, std::string_view("down")},
    std::pair{Kind::Flood, std::string_view("flood")},
    std::pair{Kind::ProxyRestart, std::string_view("proxy-restart")},
    std::pair{Kind::ProxyStall, std::string_view("proxy-stall")},
    std::pair{Kind::Claimant, std::string_view("claimant")},
    std::pair{Kind::WrongAddress, std::string_view("wrong-address")},
};

/// No detector takes a silence shorter than this for death: they accept three seconds.
constexpr Duration unnoticed_max = milliseconds(1500);

/// Silences that every detector takes for death, whatever regular history it has: with samples between
/// nothing and a second their mean is at most 1 s, their deviation at most 0.5 s, and phi reaches 8 after
/// mean + 3 s + 5.6 deviations (protocol.md §12.5).
constexpr Duration outage_min = seconds(10);
/// Up to this many, all nodes monitor each other (protocol.md §12.2).
constexpr std::size_t all_monitored_max = 10;

/// After a longer outage everything that follows from it is over before the absent nodes return: detection by
/// silence (6 s at most), evidence, the resolver's stable time, its tick, the removal, in classic clusters by
/// gossip rounds.
Duration settled_min(const Scenario& s) { return s.stable_after + seconds(s.classic ? 30 : 22); }

/// Whether the fault can never cause a node to be downed, whatever else happens.
bool is_harmless(const Fault& m) {
    switch (m.kind) {
    case Kind::Start:
    case Kind::Reset:
    case Kind::Flood:
    case Kind::Claimant:
    case Kind::WrongAddress: return true;
    case Kind::ClockDrift: return std::abs(m.amount) <= 1'000'000;
    case Kind::Slow: return m.amount <= 300'000'000;
    case Kind::Narrow: return m.amount >= 1'000'000;
    case Kind::Lossy: return m.amount <= 20;
    case Kind::Stutter: return Duration(m.amount) <= unnoticed_max / 2;
    case Kind::Pause:
    case Kind::Partition:
    case Kind::OneWay: return m.length <= unnoticed_max;
    default: return false;
    }
}

/// Whether its targets are either healthy or gone, in every view alike, when the resolvers decide: between
/// the two a member can be taken for indirectly connected, and takes healthy ones with it (protocol.md
/// §15.4).
bool is_clean(const Scenario& s, const Fault& m) {
    if (is_harmless(m)) return true;
    switch (m.kind) {
    case Kind::Crash:
    case Kind::PowerOff:
    case Kind::Leave:
    case Kind::RollingRestart: return true;
    case Kind::Pause:
    case Kind::ProxyRestart:
    case Kind::ProxyStall: return m.length >= settled_min(s);
    case Kind::Partition: return m.others.empty() && m.length >= settled_min(s);
    default: return false;
    }
}

/// The earliest time at which a silent death is noticed: the detectors accept three seconds, and a heartbeat
/// may just have been answered.
constexpr Duration noticed_min = seconds(3);

/// Whether a lost node may have noticed another loss that the resolvers have not settled. It leaves its own
/// row behind, so it observes and is observed like an indirectly connected node, for which no strategy
/// promises a side (protocol.md §15.4) unless the resolver also checks the seen set, which classic ones do
/// not.
bool loses_witnesses(const Scenario& s) {
    const auto is_loss = [](const Fault& m) {
        return m.kind == Kind::Crash || m.kind == Kind::PowerOff || m.kind == Kind::Pause ||
               m.kind == Kind::Partition || m.kind == Kind::ProxyRestart || m.kind == Kind::ProxyStall;
    };
    for (const Fault& first : s.faults)
        for (const Fault& second : s.faults) {
            const Duration apart = second.at - first.at;
            if (is_harmless(first) || is_harmless(second) || !is_loss(first) || !is_loss(second)) continue;
            if (apart >= noticed_min && apart < settled_min(s)) return true;
        }
    return false;
}

/// At most one death, and otherwise only nodes that leave for good: nothing that down-all-when-unstable could
/// take for instability (protocol.md §15.5).
bool is_one_death(const Scenario& s) {
    std::size_t deaths = 0;
    for (const Fault& m : s.faults) {
        if (is_harmless(m) || (m.kind == Kind::Leave && m.length == Duration::zero())) continue;
        if ((m.kind != Kind::Crash && m.kind != Kind::PowerOff) || m.length != Duration::zero()) return false;
        deaths += m.nodes.size();
    }
    return deaths <= 1;
}

/// The machines that an uncertain strategy counts, by data center.
struct Side {
    std::size_t all = 0;
    std::size_t well = 0;
};

/// `gone`: who counts no more.
std::vector<Side> count_sides(const Scenario& s, const std::vector<bool>& lost,
                              const std::vector<bool>& gone) {
    std::vector<Side> sides(s.data_centers);
    for (std::size_t i = 0; i < s.nodes; ++i) {
        if ((!s.role.empty() && i % 2 != 0) || gone[i]) continue;
        Side& side = sides[i % s.data_centers];
        ++side.all;
        side.well += lost[i] ? 0 : 1;
    }
    return sides;
}

/// Whether the nodes that are not lost win every possible decision.
bool others_win(const Scenario& s, const std::vector<bool>& lost, const std::vector<bool>& gone) {
    const auto sides = count_sides(s, lost, gone);
    const auto each = [&](auto holds) { return std::ranges::all_of(sides, holds); };
    if (s.strategy == "keep-majority") return each([](const Side& side) { return 2 * side.well > side.all; });
    if (s.strategy == "static-quorum") {
        // The quorum is more than half of the initial nodes.
        const auto full =
            count_sides(s, std::vector<bool>(s.nodes, false), std::vector<bool>(s.nodes, false));
        return std::ranges::equal(sides, full,
                                  [](const Side& side, const Side& all) { return 2 * side.well > all.all; });
    }
    // The oldest and the referee are machine 0, which founds the cluster.
    if (s.strategy == "keep-oldest")
        return s.data_centers == 1 && !lost[0] && !gone[0] &&
               each([](const Side& side) { return side.well >= 2; });
    if (s.strategy == "keep-referee") return s.data_centers == 1 && !lost[0] && !gone[0];
    return false;
}

/// Whether the untouched win. Those that leave for good, and to whom nothing else happens, may still be
/// members or be gone when it is decided: it must hold either way (protocol.md §11.1).
bool untouched_win(const Scenario& s, const std::vector<bool>& touched) {
    std::vector<bool> leaves(s.nodes, false);
    std::vector<bool> lost(s.nodes, false);
    for (const Fault& m : s.faults) {
        const bool for_good = m.kind == Kind::Leave && m.length == Duration::zero();
        for (const std::size_t n : m.nodes) (for_good ? leaves : lost)[n] = true;
    }
    for (std::size_t i = 0; i < s.nodes; ++i) {
        lost[i] = lost[i] && touched[i];
        leaves[i] = leaves[i] && !lost[i];
    }
    return others_win(s, lost, std::vector<bool>(s.nodes, false)) && others_win(s, lost, leaves);
}

} // namespace

std::string_view to_string(Fault::Kind kind) noexcept {
    for (const auto& [value, name] : kind_names)
        if (value == kind) return name;
    return {};
}

std::optional<Fault::Kind> parse_fault_kind(std::string_view text) noexcept {
    for (const auto& [value, name] : kind_names)
        if (name == text) return value;
    return std::nullopt;
}

bool Scenario::corrupts() const {
    return std::ranges::any_of(faults,
                               [](const Fault& m) { return m.kind == Kind::Corrupt && m.amount > 0; });
}

std::vector<std::size_t> Scenario::protected_nodes() const {
    if (corrupts()) return {};
    std::vector<bool> touched(nodes, false);
    bool harmless = true;
    bool clean = true;
    // A node that has not started does not count for the majority yet.
    Duration complete = seconds(15);
    for (const Fault& m : faults) {
        harmless = harmless && (is_harmless(m) || m.kind == Kind::Leave);
        clean = clean && is_clean(*this, m);
        if (m.kind == Kind::Flood || m.kind == Kind::Reset || m.kind == Kind::Claimant ||
            m.kind == Kind::WrongAddress)
            continue;
        const bool first_is_actor = m.kind == Kind::Down;
        for (std::size_t i = first_is_actor ? 1 : 0; i < m.nodes.size(); ++i) touched[m.nodes[i]] = true;
        const bool founder = std::ranges::find(m.nodes, 0U) != m.nodes.end();
        if (m.kind == Kind::Start && founder) complete = std::max<Duration>(complete, m.at + seconds(20));
    }
    for (const Fault& m : faults)
        if (!is_harmless(m) && m.at < complete) clean = false;

    if (classic && loses_witnesses(*this)) clean = false;

    // Without a resolver nodes are downed only by command and by a new process at their address.
    const bool promised =
        strategy == "none" || harmless ||
        (clean && (!unstable_guard || is_one_death(*this)) && untouched_win(*this, touched));
    std::vector<std::size_t> result;
    if (!promised) return result;
    for (std::size_t i = 0; i < nodes; ++i)
        if (!touched[i]) result.push_back(i);
    return result;
}

bool Scenario::may_split() const {
    if (corrupts()) return true;
    const bool downs = std::ranges::any_of(faults, [](const Fault& m) { return m.kind == Kind::Down; });
    if (strategy == "none" && !downs) return false;
    return std::ranges::any_of(faults,
                               [&](const Fault& m) { return !is_clean(*this, m) && m.kind != Kind::Down; }) ||
           (downs && !std::ranges::all_of(faults, [](const Fault& m) {
                return is_harmless(m) || m.kind == Kind::Down || m.kind == Kind::Crash;
            }));
}

bool Scenario::has_regular_heartbeats() const {
    if (nodes > all_monitored_max) return false;
    return std::ranges::all_of(faults, [](const Fault& m) {
        switch (m.kind) {
        case Kind::Start:
        case Kind::Crash:
        case Kind::PowerOff:
        case Kind::Leave:
        case Kind::RollingRestart:
        case Kind::Down:
        case Kind::Claimant:
        case Kind::WrongAddress: return true;
        case Kind::Pause:
        case Kind::Partition:
        case Kind::ProxyRestart:
        case Kind::ProxyStall:
        case Kind::OneWay: return m.length >= outage_min;
        default: return false;
        }
    });
}

result<void> Scenario::validate() const {
    const auto wrong = [](std::string subject, std::string advice) {
        return Error{Errc::invalid_argument, std::move(subject), std::move(advice), {}};
    };
    if (nodes < 1 || nodes > nodes_max) return wrong("nodes", fmt::format("use 1 to {}", nodes_max));
    if (seed_nodes < 1 || seed_nodes > nodes) return wrong("seed_nodes", "use 1 to the number of nodes");
    if (data_centers < 1 || data_centers > nodes)
        return wrong("data_centers", "use 1 to the number of nodes");
    const auto known = sbr_strategy_names();
    if (strategy != "none" && std::ranges::find(known, strategy) == known.end())
        return wrong("strategy", fmt::format("there is no '{}'", strategy));
    if (stable_after < Duration::zero() || fault_time < Duration::zero() || quiet < Duration::zero() ||
        exiting_tasks < Duration::zero())
        return wrong("durations", "use 0 or more milliseconds");
    if (fault_time + quiet > std::chrono::hours(1000))
        return wrong("fault_time and quiet", "use 1000 virtual hours at most");
    for (std::size_t i = 0; i < faults.size(); ++i) {
        const Fault& m = faults[i];
        const auto subject = fmt::format("faults[{}] ({})", i, to_string(m.kind));
        if (m.nodes.empty()) return wrong(subject, "name at least one node");
        for (const auto* list : {&m.nodes, &m.others})
            if (std::ranges::any_of(*list, [&](std::size_t n) { return n >= nodes; }))
                return wrong(subject, "a node's number is beyond the last one");
        if (m.at < Duration::zero() || m.length < Duration::zero() || m.at > fault_time ||
            m.length > fault_time)
            return wrong(subject, "it has to lie within fault_time");
        const bool two = m.kind == Kind::Down || m.kind == Kind::Flood;
        if (two && m.nodes.size() != 2) return wrong(subject, "name two nodes: who does it, and to whom");
        const bool periodic = m.kind == Kind::Stutter || m.kind == Kind::FlipFlop;
        const bool is_strange = m.kind == Kind::WrongAddress;
        if (is_strange && (m.amount < 1 || m.amount > 64))
            return wrong(subject, "use an amount of 1 to 64 processes");
        if (periodic && m.amount < 1'000'000)
            return wrong(subject, "use an amount of at least a millisecond (in ns)");
        if (m.kind != Kind::ClockDrift && m.amount < 0) return wrong(subject, "use an amount of 0 or more");
        if (m.kind == Kind::ClockDrift && std::abs(m.amount) > 100'000'000)
            return wrong(subject, "use 100000000 ppb at most");
    }
    return {};
}

} // namespace muster::sim
