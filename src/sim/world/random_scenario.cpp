// SPDX-License-Identifier: Apache-2.0
// Scenarios from a seed alone.
#include <algorithm>
#include <array>
#include <muster/sim/random.hpp>
#include <muster/sim/world/scenario.hpp>
#include <numeric>
#include <utility>

namespace muster::sim {
namespace {

using Kind = Fault::Kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

template <class T>
struct Weighted {
    std::uint32_t weight;
    T value;
};

class Drawing {
public:
    explicit Drawing(std::uint64_t seed) : random_(seed ^ 0x7363656e6172696fULL) { s_.seed = seed; }

    Scenario draw() {
        draw_cluster();
        draw_network();
        const auto plan = random_.below(100);
        // Drawn from a separate generator, so that other seeds keep their scenarios.
        if (Random own(s_.seed ^ 0x70696e706f696e74ULL); own.chance(14, 100)) {
            random_ = own;
            draw_pointed();
            std::ranges::stable_sort(s_.faults, {}, &Fault::at);
            return std::move(s_);
        } else if (plan < 5) {
            // no fault
        } else if (plan < 55) {
            draw_tame();
        } else {
            draw_wild();
        }
        draw_more();
        std::ranges::stable_sort(s_.faults, {}, &Fault::at);
        return std::move(s_);
    }

private:
    template <class T, std::size_t N>
    T pick(const std::array<Weighted<T>, N>& choices) {
        std::uint64_t sum = 0;
        for (const auto& c : choices) sum += c.weight;
        std::uint64_t at = random_.below(sum);
        for (const auto& c : choices) {
            if (at < c.weight) return c.value;
            at -= c.weight;
        }
        return choices.back().value;
    }
    Duration between(Duration low, Duration high) {
        return milliseconds(random_.between(low / milliseconds(1), high / milliseconds(1)));
    }
    void add(Kind kind, Duration at, std::vector<std::size_t> nodes, Duration length = {},
             std::int64_t amount = 0) {
        s_.faults.push_back({.at = at,
                             .kind = kind,
                             .nodes = std::move(nodes),
                             .others = {},
                             .length = length,
                             .amount = amount});
    }
    std::size_t any_node() { return static_cast<std::size_t>(random_.below(s_.nodes)); }
    /// `count` of `pool`, in index order.
    std::vector<std::size_t> some_of(std::vector<std::size_t> pool, std::size_t count) {
        for (std::size_t i = 0; i + 1 < pool.size(); ++i)
            std::swap(pool[i], pool[i + static_cast<std::size_t>(random_.below(pool.size() - i))]);
        pool.resize(std::min(count, pool.size()));
        std::ranges::sort(pool);
        return pool;
    }
    std::vector<std::size_t> everybody() const {
        std::vector<std::size_t> all(s_.nodes);
        std::iota(all.begin(), all.end(), std::size_t{0});
        return all;
    }

    void draw_cluster() {
        static constexpr std::array sizes = {
            Weighted<std::size_t>{6, 2},  Weighted<std::size_t>{11, 3}, Weighted<std::size_t>{8, 4},
            Weighted<std::size_t>{14, 5}, Weighted<std::size_t>{9, 6},  Weighted<std::size_t>{12, 7},
            Weighted<std::size_t>{9, 8},  Weighted<std::size_t>{7, 9},  Weighted<std::size_t>{7, 10},
            Weighted<std::size_t>{5, 12}, Weighted<std::size_t>{4, 15}, Weighted<std::size_t>{3, 20},
            Weighted<std::size_t>{2, 30}, Weighted<std::size_t>{1, 40}, Weighted<std::size_t>{2, 60},
        };
        static constexpr std::array strategies = {
            Weighted<std::string_view>{16, "none"},           Weighted<std::string_view>{34, "keep-majority"},
            Weighted<std::string_view>{13, "static-quorum"},  Weighted<std::string_view>{13, "keep-oldest"},
            Weighted<std::string_view>{8, "keep-referee"},    Weighted<std::string_view>{5, "down-all"},
            Weighted<std::string_view>{11, "lease-majority"},
        };
        s_.nodes = pick(sizes);
        s_.seed_nodes = 1 + static_cast<std::size_t>(random_.below(std::min<std::size_t>(3, s_.nodes)));
        if (s_.nodes >= 4 && random_.chance(12, 100))
            s_.data_centers = s_.nodes >= 9 && random_.chance(1, 4) ? 3 : 2;
        s_.strategy = pick(strategies);
        const bool has_role =
            s_.strategy != "none" && s_.strategy != "down-all" && s_.strategy != "keep-referee";
        if (has_role && s_.nodes >= 2 * s_.data_centers && random_.chance(15, 100)) s_.role = "core";
        s_.unstable_guard = random_.chance(15, 100);
        s_.classic = random_.chance(20, 100);
        static constexpr std::array stable = {Weighted<int>{70, 3}, Weighted<int>{20, 5},
                                              Weighted<int>{10, 1}};
        s_.stable_after = seconds(pick(stable));
        static constexpr std::array tells = {Weighted<std::uint32_t>{20, 0}, Weighted<std::uint32_t>{60, 1},
                                             Weighted<std::uint32_t>{15, 3}, Weighted<std::uint32_t>{5, 10}};
        s_.tells_per_second = pick(tells);
        if (random_.chance(30, 100)) s_.exiting_tasks = between(milliseconds(10), seconds(3));
        // Median three virtual minutes.
        static constexpr std::array lengths = {Weighted<int>{20, 60}, Weighted<int>{20, 90},
                                               Weighted<int>{30, 120}, Weighted<int>{20, 150},
                                               Weighted<int>{10, 240}};
        s_.fault_time = seconds(pick(lengths));
    }

    void draw_network() {
        using Distance = Scenario::Distance;
        static constexpr std::array distances = {
            Weighted<Distance>{55, Distance::Lan}, Weighted<Distance>{20, Distance::Metro},
            Weighted<Distance>{15, Distance::Wan}, Weighted<Distance>{10, Distance::HeavyTail}};
        s_.distance = pick(distances);
    }

    // --- what leaves a healthy majority, one after the other or several at once

    void draw_tame() {
        const auto victims = draw_victims();
        if (random_.chance(12, 100)) {
            late_founder();
            return;
        }
        if (victims.empty()) return;
        if (random_.chance(1, 12)) {
            flooded_death(victims.front());
            return;
        }
        if (s_.strategy == "none" && random_.chance(1, 4)) {
            outage_before_death(victims.front());
            return;
        }
        const auto count = 1 + random_.below(4);
        for (std::uint64_t i = 0; i < count; ++i)
            add_tame(some_of(victims, 1 + random_.below(victims.size())));
    }

    /// As many as can be lost while the others still win.
    std::vector<std::size_t> draw_victims() {
        std::vector<std::size_t> order = everybody();
        for (std::size_t i = 0; i + 1 < order.size(); ++i)
            std::swap(order[i], order[i + static_cast<std::size_t>(random_.below(order.size() - i))]);
        const std::size_t wanted =
            1 + static_cast<std::size_t>(random_.below(std::max<std::size_t>(s_.nodes / 2, 1)));
        const bool any = random_.chance(20, 100);
        std::vector<std::size_t> victims;
        Scenario trial = s_;
        trial.unstable_guard = false;
        for (const std::size_t candidate : order) {
            if (victims.size() == wanted) break;
            victims.push_back(candidate);
            trial.faults = {{.at = seconds(50), .kind = Kind::Crash, .nodes = victims, .others = {}}};
            if (!any && trial.protected_nodes().empty()) victims.pop_back();
        }
        if (victims.size() == s_.nodes) victims.pop_back();
        return victims;
    }

    void late_founder() {
        s_.faults.push_back(
            {.at = between(seconds(5), seconds(30)), .kind = Kind::Start, .nodes = {0}, .others = {}});
    }

    /// A process that reads nothing more is killed with many bytes in flight to it, and another one starts at
    /// its address.
    void flooded_death(std::size_t victim) {
        Fault flood{
            .at = between(seconds(20), seconds(40)), .kind = Kind::Flood, .nodes = {victim}, .others = {}};
        make_flood(flood);
        std::swap(flood.nodes[0], flood.nodes[1]);
        flood.length = seconds(20);
        const Duration stop = flood.at + between(seconds(1), seconds(5));
        const Duration death = stop + between(seconds(2), seconds(10));
        s_.faults.push_back(
            {.at = stop, .kind = Kind::Pause, .nodes = {victim}, .others = {}, .length = seconds(15)});
        s_.faults.push_back({.at = death,
                             .kind = Kind::Crash,
                             .nodes = {victim},
                             .others = {},
                             .length = between(milliseconds(50), seconds(3))});
        s_.faults.push_back(std::move(flood));
    }

    /// What the detectors learn from an outage must not blind them.
    void outage_before_death(std::size_t victim) {
        const Duration at = between(seconds(15), seconds(30));
        const Duration length = between(seconds(15), seconds(30));
        const Duration death = at + length + between(seconds(10), seconds(20));
        s_.fault_time = death + seconds(60);
        const Kind kind = random_.chance(1, 2) ? Kind::Pause : Kind::Partition;
        s_.faults.push_back({.at = at, .kind = kind, .nodes = {victim}, .others = {}, .length = length});
        s_.faults.push_back({.at = death, .kind = Kind::PowerOff, .nodes = {victim}, .others = {}});
    }

    Duration tame_time() {
        return between(seconds(20), std::max<Duration>(s_.fault_time - seconds(15), seconds(21)));
    }

    void add_tame(std::vector<std::size_t> nodes) {
        static constexpr std::array kinds = {
            Weighted<Kind>{16, Kind::Crash},     Weighted<Kind>{8, Kind::PowerOff},
            Weighted<Kind>{12, Kind::Leave},     Weighted<Kind>{12, Kind::Pause},
            Weighted<Kind>{16, Kind::Partition}, Weighted<Kind>{6, Kind::Start},
            Weighted<Kind>{6, Kind::Reset},      Weighted<Kind>{3, Kind::Slow},
            Weighted<Kind>{4, Kind::ClockDrift}, Weighted<Kind>{6, Kind::RollingRestart},
            Weighted<Kind>{4, Kind::Stutter},    Weighted<Kind>{3, Kind::Flood},
            Weighted<Kind>{2, Kind::Lossy},      Weighted<Kind>{2, Kind::Narrow},
        };
        Fault m{.at = tame_time(), .kind = pick(kinds), .nodes = std::move(nodes), .others = {}};
        const Duration left = s_.fault_time - m.at;
        const bool brief = random_.chance(1, 2);
        switch (m.kind) {
        case Kind::Crash:
        case Kind::PowerOff:
            m.length = brief ? between(milliseconds(100), std::min<Duration>(seconds(20), left)) : Duration{};
            break;
        case Kind::Leave:
            m.length = brief ? between(milliseconds(100), std::min<Duration>(seconds(10), left)) : Duration{};
            break;
        case Kind::Pause:
        case Kind::Partition:
            m.length = brief || left < seconds(42)
                           ? between(milliseconds(100), milliseconds(1500))
                           : between(seconds(36), std::min<Duration>(seconds(60), left));
            break;
        case Kind::Start: m.at = between(seconds(3), s_.fault_time); break;
        case Kind::Slow: m.amount = between(milliseconds(20), milliseconds(300)).count(); break;
        case Kind::Narrow: m.amount = random_.between(1'000'000, 10'000'000); break;
        case Kind::Lossy: m.amount = random_.between(1, 20); break;
        case Kind::ClockDrift: m.amount = random_.between(-500'000, 500'000); break;
        case Kind::RollingRestart: m.length = between(seconds(2), seconds(10)); break;
        case Kind::Stutter: m.amount = between(milliseconds(50), milliseconds(700)).count(); break;
        case Kind::Flood: make_flood(m); break;
        default: break;
        }
        if (m.kind == Kind::Slow || m.kind == Kind::Narrow || m.kind == Kind::Lossy ||
            m.kind == Kind::Stutter)
            m.length = between(seconds(1), left);
        if (m.nodes.empty() || (m.kind == Kind::Start && already_starts(m.nodes))) return;
        s_.faults.push_back(std::move(m));
    }

    bool already_starts(const std::vector<std::size_t>& nodes) const {
        return std::ranges::any_of(s_.faults, [&](const Fault& m) {
            return m.kind == Kind::Start && std::ranges::any_of(nodes, [&](std::size_t n) {
                       return std::ranges::find(m.nodes, n) != m.nodes.end();
                   });
        });
    }

    void make_flood(Fault& m) {
        const std::size_t from = m.nodes.front();
        std::size_t to = any_node();
        if (to == from) to = (from + 1) % s_.nodes;
        m.nodes = {from, to};
        m.amount = random_.between(20, 200);
        m.length = between(seconds(1), std::min<Duration>(seconds(20), s_.fault_time - m.at));
        s_.association_bytes_max = 64 * 1024;
    }

    // --- small worlds made so that a particular rule decides what happens; chance alone comes to them in one
    // of thousands

    void draw_pointed() {
        s_.nodes = 3 + static_cast<std::size_t>(random_.below(6));
        s_.seed_nodes = 2;
        s_.data_centers = 1;
        s_.role.clear();
        switch (random_.below(6)) {
        case 0: late_welcome(); break;
        case 1: broken_stream(); break;
        case 2:
            s_.strategy = "none"; // or it would be removed in its outage
            outage_before_death(any_node());
            break;
        case 3: staggered_deaths(); break;
        default: removed_from_afar(); break;
        }
    }

    /// A joiner far away asks node 0. The Welcome is lost, and TCP repeats it when the joiner has given up
    /// and asked the other seed.
    void late_welcome() {
        s_.strategy = "none";    // it is unreachable for node 0 meanwhile
        s_.tells_per_second = 0; // connections that tells have opened would make it join sooner
        const std::size_t joiner = s_.nodes - 1;
        const Duration start = between(seconds(10), seconds(25));
        const Duration delay = between(milliseconds(1300), seconds(2));
        // Two handshakes each way, InitJoin, and its answer take ten delays; in the eleventh the Join is on
        // its way. It is given up ten seconds later; what was lost is repeated 6.2 and 12.6 s later.
        const Duration welcomed = start + 10 * delay;
        s_.fault_time = std::max<Duration>(s_.fault_time, start + seconds(70));
        add(Kind::Slow, start - seconds(1), {joiner}, seconds(65), delay.count());
        add(Kind::Start, start, {joiner});
        add(Kind::OneWay, welcomed, {0}, between(seconds(9), seconds(11)));
        s_.faults.back().others = {joiner};
    }

    /// Connections break again and again while more waits for them than the network takes.
    void broken_stream() {
        const std::size_t to = any_node();
        const std::size_t from = (to + 1 + static_cast<std::size_t>(random_.below(s_.nodes - 1))) % s_.nodes;
        const Duration at = between(seconds(20), seconds(40));
        s_.association_bytes_max = 0;
        add(Kind::Narrow, at - seconds(1), {to}, seconds(15), 1'000'000);
        add(Kind::Flood, at, {from, to}, seconds(3), random_.between(300, 600));
        const auto breaks = random_.between(1, 4);
        for (std::int64_t i = 0; i < breaks; ++i)
            add(Kind::Reset, at + between(seconds(1), seconds(4)), {to});
    }

    /// One after the other, within the time that the resolver takes as one event.
    void staggered_deaths() {
        const auto victims = draw_victims();
        if (s_.strategy == "none") s_.strategy = "keep-majority";
        Duration at = between(seconds(20), seconds(40));
        for (const std::size_t victim : victims) {
            add(random_.chance(1, 2) ? Kind::Crash : Kind::PowerOff, at, {victim});
            at += between(milliseconds(100), s_.stable_after);
        }
    }

    /// The leader of one data center is downed and removed by another one that cannot hear it, while it lets
    /// nodes in; then the two hear of each other. Its last changes are known to some nodes of its data
    /// center, but pruned from all clocks.
    void removed_from_afar() {
        s_.data_centers = 2;
        s_.nodes = 9 + static_cast<std::size_t>(random_.below(6));
        s_.seed_nodes = 4;
        s_.classic = true; // eager gossip tells everybody at once
        s_.strategy = "keep-majority";
        std::array<std::vector<std::size_t>, 2> centers;
        for (const std::size_t node : everybody()) centers[node % 2].push_back(node);
        const Duration cut = between(seconds(15), seconds(25));
        const Duration length = between(milliseconds(2500), seconds(7));
        const Duration healed = cut + length;
        s_.fault_time = std::max<Duration>(s_.fault_time, healed + seconds(50));
        add(Kind::Partition, cut, centers[0], length);
        s_.faults.back().others = centers[1];
        add(Kind::Down, cut + between(seconds(0), milliseconds(500)), {0, 1});
        for (std::size_t joiner = 6; joiner < s_.nodes; ++joiner)
            add(Kind::Start,
                healed + (joiner % 2 == 1 ? between(milliseconds(-2500), milliseconds(500)) : seconds(30)),
                {joiner});
    }

    // --- proxies, strangers, leaves beside crashes: from numbers of their own, on top of what was drawn or
    // instead of it

    void draw_more() {
        Random own(s_.seed ^ 0x70726f78696573ULL);
        const auto plan = own.below(100);
        if (plan >= 24) return;
        random_ = own;
        if (plan < 6) {
            only_proxies();
        } else if (plan < 10) {
            add_proxy(some_of(everybody(), 1 + random_.below(2)),
                      between(seconds(10), s_.fault_time - seconds(1)), random_.chance(1, 2));
        } else if (plan < 18) {
            add_strangers();
        } else {
            leaves_beside_crashes();
        }
    }

    void add_proxy(std::vector<std::size_t> nodes, Duration at, bool brief) {
        const Duration longest = std::max<Duration>(s_.fault_time - at, seconds(1));
        const Duration length = brief || longest < seconds(40)
                                    ? between(milliseconds(50), std::min<Duration>(seconds(4), longest))
                                    : between(seconds(36), longest);
        add(random_.chance(1, 2) ? Kind::ProxyRestart : Kind::ProxyStall, at, std::move(nodes), length);
    }

    /// One after the other, far enough apart that each is alone to blame.
    void only_proxies() {
        s_.faults.clear();
        const auto victims = draw_victims();
        s_.faults.clear();
        if (victims.empty()) return;
        Duration at = between(seconds(25), seconds(35));
        for (auto count = 1 + random_.below(3); count > 0; --count) {
            s_.fault_time = std::max<Duration>(s_.fault_time, at + seconds(60));
            const bool several = random_.chance(1, 4);
            add_proxy(some_of(victims, several ? victims.size() : 1), at, random_.chance(2, 3));
            at = s_.faults.back().at + s_.faults.back().length + between(seconds(45), seconds(60));
        }
    }

    void add_strangers() {
        for (auto count = 1 + random_.below(3); count > 0; --count) {
            const Duration at = between(seconds(5), s_.fault_time - seconds(5));
            const Duration length = between(seconds(1), s_.fault_time - at);
            const bool claims = random_.chance(1, 2);
            add(claims ? Kind::Claimant : Kind::WrongAddress, at, {any_node()}, length,
                claims ? random_.between(0, 1) : random_.between(1, 6));
        }
    }

    /// Some leave while others die: the remaining nodes must fare no worse than if nobody had left
    /// (protocol.md §11.1).
    void leaves_beside_crashes() {
        s_.faults.clear();
        s_.nodes = 3 + static_cast<std::size_t>(random_.below(9));
        s_.seed_nodes = std::min<std::size_t>(s_.nodes, 2);
        s_.data_centers = 1;
        s_.role.clear();
        if (s_.strategy == "none") s_.strategy = "keep-majority";
        s_.unstable_guard = random_.chance(1, 2); // as by default, like the next one
        if (random_.chance(1, 2)) s_.stable_after = seconds(20);
        const auto order = [&] {
            auto all = everybody();
            for (std::size_t i = 0; i + 1 < all.size(); ++i)
                std::swap(all[i], all[i + static_cast<std::size_t>(random_.below(all.size() - i))]);
            return all;
        }();
        const auto leavers = 1 + static_cast<std::size_t>(random_.below(s_.nodes - 1));
        const auto crashes =
            std::min<std::size_t>(1 + static_cast<std::size_t>(random_.below(2)), s_.nodes - leavers);
        const Duration leave = between(seconds(25), seconds(45));
        s_.fault_time = std::max<Duration>(s_.fault_time, leave + seconds(100));
        for (std::size_t i = 0; i < leavers; ++i)
            add(Kind::Leave, leave + between(seconds(0), milliseconds(random_.chance(1, 2) ? 0 : 500)),
                {order[i]});
        for (std::size_t i = leavers; i < leavers + crashes; ++i)
            add(random_.chance(1, 2) ? Kind::Crash : Kind::PowerOff,
                leave + between(seconds(-2), seconds(30)), {order[i]});
    }

    // --- anything, to anybody, at once

    void draw_wild() {
        const bool poisoned = random_.chance(8, 100);
        const auto count = 1 + random_.below(8);
        for (std::uint64_t i = 0; i < count; ++i) {
            const bool one = random_.chance(1, 2);
            add_wild(some_of(everybody(), one ? 1 : 1 + random_.below(s_.nodes)), poisoned);
        }
    }

    void add_wild(std::vector<std::size_t> nodes, bool poisoned) {
        static constexpr std::array kinds = {
            Weighted<Kind>{10, Kind::Crash},         Weighted<Kind>{5, Kind::PowerOff},
            Weighted<Kind>{8, Kind::Leave},          Weighted<Kind>{10, Kind::Pause},
            Weighted<Kind>{12, Kind::Partition},     Weighted<Kind>{6, Kind::OneWay},
            Weighted<Kind>{4, Kind::FlipFlop},       Weighted<Kind>{5, Kind::Lossy},
            Weighted<Kind>{4, Kind::Slow},           Weighted<Kind>{3, Kind::Narrow},
            Weighted<Kind>{5, Kind::Break},          Weighted<Kind>{4, Kind::Reset},
            Weighted<Kind>{5, Kind::RollingRestart}, Weighted<Kind>{5, Kind::Down},
            Weighted<Kind>{3, Kind::Stutter},        Weighted<Kind>{3, Kind::ClockDrift},
            Weighted<Kind>{3, Kind::Flood},          Weighted<Kind>{4, Kind::Start},
        };
        Fault m{.at = between(seconds(random_.chance(1, 3) ? 0 : 10), s_.fault_time - seconds(1)),
                .kind = poisoned && random_.chance(1, 2) ? Kind::Corrupt : pick(kinds),
                .nodes = std::move(nodes),
                .others = {}};
        const Duration left = s_.fault_time - m.at;
        const Duration any_length =
            between(milliseconds(50), random_.chance(1, 3) ? std::min<Duration>(left, seconds(5)) : left);
        m.length = any_length;
        switch (m.kind) {
        case Kind::Crash:
        case Kind::PowerOff:
        case Kind::Leave:
            if (random_.chance(1, 3)) m.length = Duration{};
            break;
        case Kind::Partition:
        case Kind::OneWay:
            if (random_.chance(1, 3)) draw_others(m);
            break;
        case Kind::FlipFlop: m.amount = between(milliseconds(200), seconds(20)).count(); break;
        case Kind::Lossy: m.amount = random_.between(10, 900); break;
        case Kind::Slow: m.amount = between(milliseconds(50), seconds(4)).count(); break;
        case Kind::Narrow: m.amount = random_.between(2'000, 500'000); break;
        case Kind::Break: m.amount = random_.between(1'000, 200'000); break;
        case Kind::Corrupt: m.amount = random_.between(100, 50'000); break;
        case Kind::Stutter: m.amount = between(milliseconds(50), seconds(4)).count(); break;
        case Kind::ClockDrift: m.amount = random_.between(-50'000'000, 50'000'000); break;
        case Kind::RollingRestart: m.length = between(milliseconds(200), seconds(10)); break;
        case Kind::Down: m.nodes = some_of(everybody(), 2); break;
        case Kind::Flood: make_flood(m); break;
        case Kind::Start:
            m.length = Duration{};
            if (already_starts(m.nodes)) return;
            break;
        default: break;
        }
        if (m.kind == Kind::ClockDrift || m.kind == Kind::Down || m.kind == Kind::Reset)
            m.length = Duration{};
        if ((m.kind == Kind::Down || m.kind == Kind::Flood) && m.nodes.size() != 2) return;
        if (m.nodes.empty()) return;
        s_.faults.push_back(std::move(m));
    }

    /// Some of the rest: the others still reach both sides.
    void draw_others(Fault& m) {
        std::vector<std::size_t> rest;
        for (std::size_t i = 0; i < s_.nodes; ++i)
            if (std::ranges::find(m.nodes, i) == m.nodes.end()) rest.push_back(i);
        if (!rest.empty()) m.others = some_of(rest, 1 + random_.below(rest.size()));
    }

    Random random_;
    Scenario s_;
};

} // namespace

Scenario Scenario::draw(std::uint64_t seed) { return Drawing(seed).draw(); }

} // namespace muster::sim
