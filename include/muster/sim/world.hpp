// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A cluster of whole production nodes in virtual time (simulation.md, The World): their machines, the faults
/// injected into them, and a checker of protocol.md §19 after every step. The same options and the same calls
/// give the same run, byte for byte.
///
///     sim::World world({.seed = 7, .nodes = 5});
///     world.start_all();
///     ASSERT_TRUE(world.run_until_agreed(30s));
///     world.partition({0, 1});
///     world.run_for(60s);
///     EXPECT_EQ(world.running(), (std::vector<std::size_t>{2, 3, 4}));
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <muster/log.hpp>
#include <muster/node/remote_adapter.hpp>
#include <muster/sim/faults.hpp>
#include <muster/sim/runtime.hpp>
#include <muster/transport/recording_sink.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace muster::sim {

class Checker;
class Recorder;

struct WorldOptions {
    std::uint64_t seed = 1;
    std::size_t nodes = 0; ///< machines to begin with; more come by add_node()
    /// The number of seed nodes: the first machines.
    std::size_t seed_nodes = 2;
    std::string cluster_name = "sim";
    std::uint16_t port = 2551;
    /// The configuration of every node; address, port, cluster name, seeds and random seed are filled in. The
    /// resolver is keep-majority with 3 s of stable-after unless set otherwise.
    RemoteAdapterConfig config = default_config();
    /// Changes the configuration of one node before each start of it: roles, data center, strategy, lease.
    std::function<void(std::size_t node, RemoteAdapterConfig& config)> configure{};
    /// Receives the tells of one node's life; absent: they are recorded (World::Node::received). A sink
    /// copies whatever it keeps beyond the process's end: payloads share the process's receive buffers.
    std::function<std::shared_ptr<RemoteMessageSink>(std::size_t node)> make_sink{};
    /// The program that runs on `node` of the cluster: made as soon as `adapter` has started, destroyed when
    /// the process ends, before `adapter` is. It brings a user's own code into the world. When the node stops
    /// in order the process runs until nothing is ready; a timer, coroutine or connection that the program
    /// leaves behind is a `leak`.
    std::function<std::shared_ptr<void>(std::size_t node, ClusterRemoteAdapter& adapter)> application{};
    LinkFaults links{};
    LogLevel log_level = LogLevel::Warning;
    std::size_t log_lines_max = 1000; ///< per life; older ones are forgotten
    bool keep_events = true;          ///< World::Node::events; off for measurements of many nodes
    /// Check the invariants after every step. Off for measurements.
    bool check = true;
    NetworkOptions network{}; ///< seed and links are overwritten

    static RemoteAdapterConfig default_config();
};

/// Why a node's process has ended.
enum class End : std::uint8_t {
    None,    ///< it runs, or was never started
    Crashed, ///< by World::crash()
    Stopped, ///< by itself: it left, was downed, or could not join
};

class World {
public:
    /// One machine, with the process that runs on it at present.
    struct Node {
        std::size_t index = 0;
        HostId host{};
        Address address;
        Instant paused_until = Instant::min();    ///< the end of the latest pause of this process
        std::uint64_t lives = 0;                  ///< processes started so far
        End end = End::None;                      ///< of the latest life
        std::optional<ShutdownReason> reason;     ///< why it stopped by itself
        std::optional<UniqueAddress> identity;    ///< of the latest life
        std::shared_ptr<MemoryLogSink> log;       ///< of the latest life
        std::shared_ptr<RecordingSink> received;  ///< null with WorldOptions::make_sink
        std::vector<ClusterEvent> events;         ///< of the latest life, in order (EventCategory::Domain)
        Clock clock;                              ///< what set_clock() said; it outlives the process
        std::unique_ptr<Runtime> runtime;         ///< null: no process
        std::optional<ClusterRemoteAdapter> node; ///< empty: no process
        SubscriptionHandle subscription;
        std::shared_ptr<void>
            application; ///< what WorldOptions::application made; null: no process, or none was asked for
        std::uint64_t turns = 0; ///< of this machine's processes

        bool running() const noexcept { return node.has_value(); }
        ClusterDaemonHandle& daemon() { return node->daemon(); }
        DaemonSnapshot snapshot() const { return node->snapshot(); }
    };

    explicit World(WorldOptions options = {});
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    // --- machines and processes
    std::size_t add_node();
    std::size_t size() const noexcept { return nodes_.size(); }
    Node& operator[](std::size_t node) { return *nodes_.at(node); }
    const Node& operator[](std::size_t node) const { return *nodes_.at(node); }
    /// A new process at the machine's address; crashes the one that runs there.
    Node& start(std::size_t node);
    void start_all();
    /// SIGKILL: the kernel resets its connections.
    void crash(std::size_t node);
    /// Power loss: no peer is told. start() powers up again.
    void power_off(std::size_t node);
    void restart(std::size_t node, Duration after);
    /// Makes the node leave gracefully; the process ends when it has left.
    void leave(std::size_t node);
    /// Of pauses that overlap the last one to end counts.
    void pause(std::size_t node, Duration how_long);
    /// Applies also to the machine's later processes.
    void set_clock(std::size_t node, Clock clock);
    /// Indices of nodes that have a process (a paused one counts).
    std::vector<std::size_t> running() const;
    /// The machine with this address.
    std::optional<std::size_t> find(const Address& address) const;

    // --- the network
    FaultyLinks& links() noexcept { return *links_; }
    Network& network() noexcept { return network_; }
    /// Cuts `left` off from all other machines, in both directions. Partitions may overlap.
    void partition(const std::vector<std::size_t>& left);
    void partition_one_way(const std::vector<std::size_t>& from, const std::vector<std::size_t>& to);
    /// Undoes one such partition, and makes TCP retry at once.
    void rejoin(const std::vector<std::size_t>& left);
    void rejoin_one_way(const std::vector<std::size_t>& from, const std::vector<std::size_t>& to);
    /// Breaks every connection between two nodes.
    void reset_connections(std::size_t a, std::size_t b);
    /// The proxy in front of a node's machine restarts; Network::set_proxy().
    void set_proxy(std::size_t node, Proxy proxy);
    /// Undoes all network faults but proxies, and makes TCP retry at once.
    void heal();
    HostId host(std::size_t node) const { return nodes_.at(node)->host; }

    // --- time
    Instant now() const noexcept { return network_.now(); }
    Instant began() const noexcept { return began_; }
    /// Since the world began.
    Duration elapsed() const noexcept { return network_.now() - began_; }
    /// Runs `action` outside all nodes after this much time.
    void after(Duration delay, UniqueFunction<void()> action);
    /// Throws Violation when an invariant breaks, and leaves the running nodes as they are. `done` is asked
    /// after each step.
    void run_for(Duration duration);
    bool run_until(const std::function<bool()>& done, Duration limit);
    /// Runs until agreed(); false when that does not hold by `limit`.
    bool run_until_agreed(Duration limit);
    /// Whether all running nodes have the same members, which are exactly the running nodes, all Up and
    /// reachable; the same leader (per data center); and each knows that all have seen the version.
    bool agreed() const;
    /// Why agreed() does not hold, in a sentence; empty when it does.
    std::string disagreement() const;

    // --- what is known
    Checker& checker() noexcept { return *checker_; }
    /// Records from now on, for a timeline (world/recorder.hpp); null stops. Without keep_events, records
    /// only events of processes started from now on.
    void record(std::shared_ptr<Recorder> recorder);
    /// Records a fault of the scenario's own at these nodes, for `length` (0: at this instant).
    void note_fault(const std::vector<std::size_t>& nodes, const std::string& text, Duration length = {});
    /// The record as a page; without a record, a page without entries.
    void write_timeline(std::ostream& out) const;
    Recorder* recorder() noexcept { return recorder_.get(); }
    std::uint64_t trace_hash() const noexcept { return network_.trace_hash(); }

private:
    NetworkOptions network_options() const;
    RemoteAdapterConfig config_of(const Node& node) const;
    void watch(Node& node);
    void end(Node& node, End how);
    void turned(const Runtime& process);
    void disturbed(HostId host);
    std::vector<HostId> hosts_of(const std::vector<std::size_t>& nodes) const;
    std::vector<HostId> hosts_but(const std::vector<std::size_t>& nodes) const;
    std::string disagreement_of(const Node& node, const std::vector<UniqueAddress>& expected) const;
    bool still_disagrees() const;
    void note_start(const Node& node);
    void note_end(std::size_t node, std::string why);
    void note(std::size_t node, std::string text);
    void note_fault_begins(const std::vector<std::size_t>& nodes, const std::string& text);
    void note_fault_ends(const std::vector<std::size_t>& nodes, const std::string& text);
    void note_clock(const Node& node, Clock clock);
    void note_heal();
    void note_event(const Node& node, const ClusterEvent& event);
    void note_message(const TraceEvent& event);

    static constexpr std::size_t nobody = SIZE_MAX;
    WorldOptions options_;
    std::shared_ptr<FaultyLinks> links_;
    Network network_;
    Instant began_;
    Instant next_second_;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::vector<std::size_t> node_of_host_; ///< by HostId; nobody: a machine of the user's own
    std::map<Address, std::size_t> node_of_address_;
    std::unique_ptr<Checker> checker_;
    std::shared_ptr<Recorder> recorder_;
    std::set<std::pair<std::size_t, std::string>>
        cuts_; ///< of the network, on the timeline, that last: node and text
    // Who disagreed when it was last asked: as long as that node does nothing, nothing has changed.
    mutable std::size_t dissenter_ = nobody;
    mutable std::uint64_t dissenter_turns_ = 0;
    mutable std::uint64_t population_asked_ = 0;
    std::uint64_t population_ = 0; ///< grows with each start and end
};

} // namespace muster::sim
