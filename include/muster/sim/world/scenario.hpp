// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A run as data: faults, their nodes and their times. Drawn from a seed, written and read as JSON, shrunk by
/// omission.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <muster/error.hpp>
#include <muster/sim/world/recorder.hpp>
#include <muster/time.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::sim {

/// One fault injected into the world. `nodes` are its targets; the other fields depend on the kind.
struct Fault {
    enum class Kind : std::uint8_t {
        Start,    ///< first start of machines that were not there from the beginning
        Crash,    ///< SIGKILL; with `length`: and a restart at the same address after it
        PowerOff, ///< as Crash, but no peer is told
        Leave,   ///< gracefully; with `length`: and a new process at the same address that long after its end
        Pause,   ///< for `length`
        Stutter, ///< paused for `amount` ns, then running as long, and so on for `length`: late timers
        ClockDrift, ///< `amount` in parts per billion, for ever
        Partition,  ///< of nodes from `others` (none: from all the rest), for `length`
        OneWay,     ///< what nodes send to `others` (none: to the rest) is lost, for `length`
        FlipFlop,   ///< one-way loss towards nodes, `amount` ns on and as long off, for `length`
        Lossy,      ///< ingress of nodes loses `amount` parts per thousand, for `length`
        Slow,       ///< links of nodes delay by `amount` ns, for `length`
        Narrow,     ///< links of nodes carry `amount` bytes a second, for `length`
        Corrupt,    ///< `amount` parts per million of the segments to nodes are changed, for `length`
        Break, ///< `amount` parts per million of the segments to nodes break their connection, for `length`
        Reset, ///< all connections of nodes break once
        RollingRestart, ///< nodes, one after the other, `length` apart: leave, and start again at the same
                        ///< address
        Down,           ///< nodes[0] downs nodes[1] by command
        ProxyRestart, ///< the proxies of nodes break all their connections, and refuse new ones for `length`
        ProxyStall,   ///< they break them, accept new ones and forward nothing for `length`
        Claimant,     ///< for `length` a process on another machine asks to join with the address of each of
                      ///< nodes
        WrongAddress, ///< for `length` `amount` processes whose addresses lead nowhere ask each of nodes to
                      ///< join
        Flood, ///< nodes[0] tells nodes[1] as much as it may, `amount` tells of 4 KiB a second, for `length`
    };
    Duration at{}; ///< since the start of the world; whole milliseconds, as `length`
    Kind kind{};
    std::vector<std::size_t> nodes;
    std::vector<std::size_t> others; ///< Partition and OneWay between two groups only
    Duration length{};
    std::int64_t amount = 0;
    bool operator==(const Fault&) const = default;
};
std::string_view to_string(Fault::Kind kind) noexcept;
/// The fault as text for people: "slow: nodes 2, 4; 220 ms", without the times. Runs of nodes are "3 to 9".
std::string describe(const Fault& fault);
/// The same with when and for how long, as one line: "at 20 s for 60 s, slow: nodes 2, 4; 220 ms".
std::string describe_with_times(const Fault& fault);
std::optional<Fault::Kind> parse_fault_kind(std::string_view text) noexcept;

struct Scenario {
    /// The distance between machines, as latency.
    enum class Distance : std::uint8_t {
        Lan,       ///< 100 us
        Metro,     ///< 0.5 to 5 ms
        Wan,       ///< 20 to 60 ms
        HeavyTail, ///< 0.2 ms and a heavy tail with a mean of 5 ms, at most 500 ms
    };

    std::string name; ///< of a named one
    std::uint64_t seed = 1;
    std::size_t nodes = 3;                  ///< 1 to nodes_max machines
    std::size_t seed_nodes = 2;             ///< that many of the first machines
    std::size_t data_centers = 1;           ///< machine i is in data center i % data_centers
    std::string strategy = "keep-majority"; ///< of the resolver; also "none"
    std::string role;                       ///< of the strategy; every second machine has it, from 0
    Duration stable_after = std::chrono::seconds(3);
    bool unstable_guard = false; ///< down-all-when-unstable (protocol.md §15.5)
    bool classic = false;        ///< without eager gossip and evidence
    Distance distance = Distance::Lan;
    std::uint32_t tells_per_second = 1;              ///< sent by each node to random others
    std::size_t association_bytes_max = 0;           ///< TcpTransportOptions; 0: the default
    Duration exiting_tasks{};                        ///< the exiting tasks of every node take up to that long
    Duration fault_time = std::chrono::seconds(120); ///< the time in which faults begin and end
    Duration quiet = std::chrono::seconds(60);       ///< at the end, when everything has healed
    std::vector<Fault> faults;                       ///< by `at`
    bool operator==(const Scenario&) const = default;

    static constexpr std::size_t nodes_max = 1000;

    /// Draws a scenario. Median 7 nodes and 3 virtual minutes, 60 nodes in 2 %. A seed gives the same
    /// scenario everywhere.
    static Scenario draw(std::uint64_t seed);
    /// A named scenario ("flip-flop", "mass-crash", ..) with `nodes` nodes. Errors: not_found, listing the
    /// names; invalid_argument for a number of nodes outside 3 to nodes_max.
    static result<Scenario> named(std::string_view name, std::size_t nodes, std::uint64_t seed);
    static std::vector<std::string_view> names();
    std::string to_json() const;
    /// Errors: malformed or invalid_argument, with the field as subject.
    static result<Scenario> from_json(std::string_view text);
    /// The checks of from_json, for scenarios made by hand.
    result<void> validate() const;

    // --- what it promises

    /// Machines that no fault touches and that are always on the winning side: they must be neither downed
    /// nor removed, nor stop. In index order; empty when the faults or the strategy promise nothing.
    std::vector<std::size_t> protected_nodes() const;
    /// Whether the survivors may end as separate clusters: their faults are no clean partition, for which
    /// alone the strategies promise one side (protocol.md §19, 7).
    bool may_split() const;
    /// Whether heartbeats come every second, or stop for so long that no detector learns from the gap: then a
    /// death is noticed as fast as protocol.md §12.5 says. Only for small single clusters, in which all nodes
    /// monitor each other.
    bool has_regular_heartbeats() const;
    /// Whether bytes were corrupted in flight: there is no checksum above TCP's, so nodes believe a corrupted
    /// message, and only robustness can be demanded.
    bool corrupts() const;
};

struct Outcome {
    std::uint64_t seed = 0;
    std::optional<std::string> broken; ///< the invariant's name
    std::string detail;
    std::string scene; ///< when broken: the state of every node, and the end of its log; many lines
    Duration virtual_time{};
    std::uint64_t trace_hash = 0;
    std::uint64_t events = 0;   ///< of the trace
    std::uint64_t checks = 0;   ///< states and tells checked
    std::uint64_t tells = 0;    ///< delivered
    std::uint64_t restarts = 0; ///< of processes that had been downed
    bool ok() const noexcept { return !broken; }
};

/// Runs the scenario to its end, or to the first broken invariant.
Outcome run(const Scenario& scenario, std::shared_ptr<Recorder> recorder = nullptr);
/// Shrinks a scenario: leaves out faults and nodes and shortens times as long as `fails` holds; at most
/// `attempts` calls. `fails` must hold for `failing` itself.
Scenario shrink(const Scenario& failing, const std::function<bool(const Scenario&)>& fails,
                std::size_t attempts = 200);
/// The same with run(): `fails` means that the same invariant breaks.
Scenario shrink(const Scenario& failing, std::string_view invariant, std::size_t attempts = 200);

} // namespace muster::sim
