// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Several cores joined by a lossy message queue in virtual time: the whole protocol without wire, transport
/// and node. Same seed, same run. Every input is followed by the invariants of protocol.md §19 that one step
/// can break.
#include "base/split_mix64.hpp"
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <muster/cluster/core/core.hpp>
#include <optional>
#include <queue>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace muster::testing {

/// Thrown where an invariant is broken; the text says which, where and when.
struct Broken : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Random {
public:
    explicit Random(std::uint64_t seed) : numbers_(seed) {}
    std::uint64_t next() { return numbers_(); }
    std::uint64_t below(std::uint64_t n) { return next() % n; }
    bool chance(double p) { return static_cast<double>(next() >> 11) * 0x1.0p-53 < p; }
    Duration between(Duration low, Duration high) {
        return low + Duration(static_cast<std::int64_t>(
                         below(static_cast<std::uint64_t>((high - low).count()) + 1)));
    }

private:
    SplitMix64 numbers_;
};

/// The network as a schedule wants it.
struct Network {
    double loss = 0.0;                                   ///< of each message
    Duration delay_min = std::chrono::microseconds{400}; ///< one way
    Duration delay_max = std::chrono::microseconds{600};
    double straggler = 0.0; ///< chance of a delay up to straggler_max
    Duration straggler_max = std::chrono::milliseconds{800};
};

class CoreWorld {
public:
    explicit CoreWorld(std::uint64_t seed, ClusterSettings settings, Network network = {});

    struct Node {
        std::size_t index = 0;
        Address address;
        std::uint64_t life = 0; ///< counts incarnations; events of earlier ones are void
        std::unique_ptr<ClusterCore> core;
        bool alive = false; ///< the process runs, if paused
        bool exits_when_done = false;
        Instant paused_until{};
        std::map<TimerKey, std::uint64_t> timers;
        std::vector<ClusterEvent> events; ///< published, in order
        std::optional<ShutdownReason> shutdown;
        unsigned leader_ticks_as_down = 0;
        GossipPtr checked; ///< the gossip of the last invariant check
    };

    // --- what happens to nodes
    /// A new process at the n-th address; `settings` unlike the world's are possible.
    Node& start(std::size_t index);
    void join(std::size_t index, std::size_t to);
    void join_seeds(std::size_t index, const std::vector<std::size_t>& seeds);
    /// SIGKILL: connections break, reconnects are refused.
    void crash(std::size_t index);
    void pause(std::size_t index, Duration for_how_long);
    /// Nodes with different group numbers do not hear each other.
    void partition(std::vector<int> groups) { groups_ = std::move(groups); }
    void heal() { groups_.clear(); }
    /// Calls one input of a living, running core, and carries its effects out.
    void input(std::size_t index, const std::function<void(ClusterCore&, const Now&, Effects&)>& call);
    void at(Duration delay, std::function<void()> action);

    // --- time
    void run_for(Duration duration);
    /// False when `condition` did not come true within `limit`. It is looked at after every event.
    bool run_until(const std::function<bool()>& condition, Duration limit);
    Now now() const {
        return {now_, WallTime{1'000'000'000 + (now_ - Instant{}) / std::chrono::milliseconds{1}}};
    }
    Duration elapsed() const { return now_ - Instant{}; }

    // --- looking
    std::vector<Node>& nodes() { return nodes_; }
    Node& node(std::size_t index) { return nodes_.at(index); }
    const Gossip& gossip(std::size_t index) { return nodes_.at(index).core->state()->latest(); }
    bool is_living(std::size_t index) const;
    std::vector<std::size_t> living() const;
    std::vector<std::size_t> living_members() const;
    /// All living members hold one version that all of them have seen, everybody in it lives and has
    /// `status`.
    bool is_agreed(MemberStatus status = MemberStatus::Up) const;
    MemberStatus status_of(std::size_t viewer, std::size_t subject) const;
    std::string describe() const;

    Network network;
    Random random;
    ClusterSettings settings;
    /// Nodes alternate between this many data centers.
    std::size_t data_centers = 1;
    /// Periodic work of the nodes; off for tests of eager gossip alone.
    bool ticks = true;
    /// Exiting tasks take this long.
    Duration exiting_tasks_min = std::chrono::milliseconds{50};
    Duration exiting_tasks_max = std::chrono::milliseconds{500};
    /// Messages delivered since the last clear, by name.
    std::map<std::string, std::uint64_t, std::less<>> delivered;
    /// Chance that a message for an earlier incarnation reaches the current one all the same.
    double misdelivery = 0.0;
    /// No leader is lost and nobody is downed by mistake, so no up_number may be given twice.
    bool unique_numbers = false;
    std::uint64_t inputs = 0;
    /// Called for every message sent: false drops it.
    std::function<bool(std::size_t from, std::size_t to, const ClusterMessage&)> filter;

private:
    struct Event {
        Instant time;
        std::uint64_t order;
        std::function<void()> action;
        bool operator<(const Event& o) const { return time != o.time ? time > o.time : order > o.order; }
    };
    enum class Tick : std::uint8_t { Gossip, Leader, Reaper, Heartbeat, Join };

    void schedule(Instant time, std::function<void()> action);
    void schedule_tick(Node& node, Tick tick, Duration delay);
    void tick(Node& node, Tick tick);
    /// Runs `action` unless that life of the node is over; later when it is paused.
    void for_life(std::size_t index, std::uint64_t life, std::function<void(Node&)> action);
    void carry_out(Node& node, Effects& effects);
    void send(Node& from, const effect::Send& send);
    void deliver(std::size_t from, const UniqueAddress& sender, std::size_t to, const effect::Send& send);
    /// Heartbeat and reply as one step: whoever runs and can be reached answers at once.
    void answer_heartbeat(Node& from, std::size_t to, const Heartbeat& heartbeat);
    void connect(Node& a, Node& b);
    void stopped(Node& node);
    bool is_connected(std::size_t a, std::size_t b) const;
    std::optional<std::size_t> index_of(const Address& address) const;
    RandomSource random_source();
    Uid next_uid();

    void check(Node& node, const GossipPtr& after);
    void check_member(Node& node, const Member& before, const Member& after);
    void check_seen(Node& node, const Gossip& gossip);
    void check_removed(Node& node, const Member& gone);
    void check_numbers(Node& node, const Gossip& gossip);
    [[noreturn]] void broken(const Node& node, const std::string& what) const;

    std::vector<Node> nodes_;
    std::vector<int> groups_;
    std::priority_queue<Event> events_;
    Instant now_{};
    std::uint64_t order_ = 0;
    std::map<std::pair<std::size_t, std::size_t>, Instant> last_delivery_;
    /// Incarnations with an open connection to each other.
    std::set<std::pair<UniqueAddress, UniqueAddress>> connections_;

    /// For the invariants: what each incarnation held with itself in its own seen; one content per version.
    std::map<UniqueAddress, std::set<Hash128>> held_;
    std::map<Hash128, GossipPtr> versions_;
    std::set<UniqueAddress> tasks_done_;
    std::set<UniqueAddress> was_unreachable_;
};

/// Higher wins a merge (protocol.md §1.5): a node's view of one member only climbs.
int merge_priority(MemberStatus status) noexcept;

} // namespace muster::testing
