// SPDX-License-Identifier: Apache-2.0
// How fast is a simulated world of whole nodes, and how large can it be? node_seconds/s is virtual time of
// one node per second of one core. Each row is one run; its counters: sent_bytes/node is the traffic of a
// node's links, memory_bytes/node the world's peak of resident memory, rounds the one-second gossip rounds
// that a node can have begun.
//
//   sim_speed --benchmark_format=json
//   sim_speed --benchmark_filter=join     1 000 nodes through three seeds
//   sim_speed --benchmark_filter=rapid    the fault scripts of Rapid (ATC'18, §7)
#include <algorithm>
#include <benchmark/benchmark.h>
#include <chrono>
#include <cmath>
#include <malloc.h>
#include <memory>
#include <muster/sim/world.hpp>
#include <set>
#include <vector>

#include "process_memory.hpp"

namespace {

using namespace muster;
using namespace std::chrono_literals;
using bench::forget_peak;
using bench::peak_resident_bytes;
using bench::resident_bytes;
using sim::LinkFaults;
using sim::World;

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

/// By the links of all running nodes, their handshakes included.
double sent_bytes(const World& world) {
    std::int64_t sum = 0;
    for (const auto node : world.running())
        sum += world[node].runtime->metrics().value("transport.bytes.sent");
    return static_cast<double>(sum);
}

/// Half a millisecond between any two machines, in the mean.
std::unique_ptr<World> make_world(std::size_t nodes, std::uint64_t seed = 1) {
    sim::WorldOptions options;
    options.seed = seed;
    options.nodes = nodes;
    options.seed_nodes = 3;
    options.log_lines_max = 10;
    options.keep_events = false;
    options.check = false;
    options.links.delay = {
        .shape = sim::DelayDistribution::Shape::Exponential, .min = 200us, .max = 50ms, .mean = 300us};
    return std::make_unique<World>(std::move(options));
}

// ---- steady state

void steady(benchmark::State& state) {
    const auto nodes = static_cast<std::size_t>(state.range(0));
    const auto world = make_world(nodes);
    world->start_all();
    if (!world->run_until_agreed(600s)) return state.SkipWithError("no agreement");
    world->run_for(15s); // the traffic of joining is over
    const Duration slice = nodes >= 1000 ? 1s : nodes >= 100 ? 10s : 100s;
    const auto before = world->network().trace_count();
    const double sent_before = sent_bytes(*world);
    double virtual_seconds = 0;
    for (auto _ : state) {
        world->run_for(slice);
        virtual_seconds += seconds(slice);
    }
    const double node_seconds = virtual_seconds * static_cast<double>(nodes);
    state.counters["node_seconds/s"] = benchmark::Counter(node_seconds, benchmark::Counter::kIsRate);
    state.counters["events/node_second"] =
        static_cast<double>(world->network().trace_count() - before) / node_seconds;
    state.counters["sent_bytes/node_second"] = (sent_bytes(*world) - sent_before) / node_seconds;
    if (!world->agreed()) state.SkipWithError("the nodes do not agree any more");
}
BENCHMARK(steady)->Arg(7)->Arg(10)->Arg(100)->Arg(1000)->Unit(benchmark::kMillisecond)->MinTime(3);

// ---- joining

/// All nodes at once, through three seeds, until all are Up and agree.
void join(benchmark::State& state) {
    const auto nodes = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        malloc_trim(0); // memory that the row before has left
        forget_peak();
        const double before = resident_bytes();
        const auto world = make_world(nodes);
        world->start_all();
        const bool agreed = world->run_until_agreed(600s);
        const double virtual_seconds = seconds(world->elapsed());
        state.counters["virtual_s"] = virtual_seconds;
        state.counters["rounds"] = std::floor(virtual_seconds / seconds(ClusterSettings{}.gossip_interval));
        state.counters["sent_bytes/node"] = sent_bytes(*world) / static_cast<double>(nodes);
        state.counters["peak_rss_bytes"] = peak_resident_bytes();
        state.counters["memory_bytes/node"] = (peak_resident_bytes() - before) / static_cast<double>(nodes);
        state.counters["node_seconds/s"] =
            benchmark::Counter(virtual_seconds * static_cast<double>(nodes), benchmark::Counter::kIsRate);
        if (!agreed) return state.SkipWithError(world->disagreement().c_str());
    }
}
BENCHMARK(join)->Arg(10)->Arg(100)->Arg(400)->Arg(1000)->Unit(benchmark::kSecond)->Iterations(1);

// ---- the fault scripts of Rapid

/// The view of the healthy nodes while a script runs, sampled each tenth of a second.
class Watch {
public:
    Watch(World& world, std::set<std::size_t> faulty) : world_(world), faulty_(std::move(faulty)) {}

    void run_for(Duration duration) {
        for (Duration passed{}; passed < duration; passed += 100ms) {
            world_.run_for(100ms);
            look();
        }
    }
    /// Until all healthy nodes see the same members, without the sick ones if those have crashed.
    bool run_until_alike(bool crashed, Duration limit) {
        const Instant began = world_.now();
        do {
            world_.run_for(100ms);
            if (look() && !(crashed && faulty_left() > 0)) return true;
        } while (world_.now() - began < limit);
        return false;
    }
    /// When the healthy nodes' views became what they were at the last sample.
    Instant settled() const noexcept { return settled_; }
    /// Healthy nodes that are no longer members for some healthy node, or ended.
    std::size_t wrongly_removed() const {
        std::set<std::size_t> removed;
        for (std::size_t i = 0; i < world_.size(); ++i)
            if (!faulty_.contains(i) && !world_[i].running()) removed.insert(i);
        std::set<Address> missing;
        for (std::size_t i = 0; i < world_.size(); ++i) {
            if (faulty_.contains(i) || !world_[i].running()) continue;
            const auto snapshot = world_[i].snapshot();
            for (std::size_t j = 0; j < world_.size(); ++j)
                if (!faulty_.contains(j) && world_[j].running() &&
                    !snapshot.state->latest().find(world_[j].node->daemon().unique_address()))
                    removed.insert(j);
        }
        return removed.size();
    }
    /// Sick nodes that are still members for the first healthy one.
    std::size_t faulty_left() const {
        std::size_t left = 0;
        const World::Node* healthy = first_healthy();
        if (!healthy) return 0;
        const auto snapshot = healthy->snapshot();
        for (const auto& member : snapshot.members())
            left += faulty_.contains(*world_.find(member.address())) ? 1 : 0;
        return left;
    }
    std::size_t sizes_seen() const noexcept { return sizes_.size(); }

private:
    /// One node's members at a sample: most nodes hold the same list for many samples.
    struct View {
        std::shared_ptr<const MembershipState> state; ///< keeps the list, so that its place names it
        const Member* list = nullptr;
        std::size_t size = 0;
        bool all_up = false;
        Hash128 digest; ///< of who is a member
    };

    const World::Node* first_healthy() const {
        for (std::size_t i = 0; i < world_.size(); ++i)
            if (!faulty_.contains(i) && world_[i].running()) return &world_[i];
        return nullptr;
    }
    const View& view_of(std::size_t node) {
        views_.resize(world_.size());
        View& view = views_[node];
        const auto snapshot = world_[node].snapshot();
        const auto members = snapshot.members();
        if (view.state && view.list == members.data()) return view;
        view = {snapshot.state, members.data(), members.size(), true, {}};
        for (const auto& member : members) {
            view.all_up = view.all_up && member.status() == MemberStatus::Up;
            view.digest += member.unique_address().key();
        }
        return view;
    }
    /// Whether all healthy nodes see the same members, all of them reachable and Up.
    bool look() {
        bool alike = true;
        std::optional<Hash128> first;
        for (std::size_t i = 0; i < world_.size(); ++i) {
            if (faulty_.contains(i) || !world_[i].running()) continue;
            const View& view = view_of(i);
            sizes_.insert(view.size);
            if (!first) first = view.digest;
            alike = alike && view.all_up && view.digest == *first;
        }
        if (!alike || first != seen_) settled_ = world_.now();
        seen_ = alike ? first : std::nullopt;
        return alike;
    }

    World& world_;
    std::set<std::size_t> faulty_;
    std::set<std::size_t> sizes_;
    std::vector<View> views_;
    std::optional<Hash128> seen_; // by all healthy nodes
    Instant settled_ = world_.now();
};

enum class Script : std::int64_t { Loss, FlipFlop, Crashes };

/// The sick nodes: 1 % of them, or ten that crash; spread over the address range, seeds spared.
std::vector<std::size_t> sick(std::size_t nodes, std::size_t count) {
    std::vector<std::size_t> result;
    for (std::size_t i = 0; i < count; ++i)
        result.push_back(3 + (nodes - 3) * i / count + (nodes - 3) / (2 * count));
    return result;
}

void rapid(benchmark::State& state) {
    const auto nodes = static_cast<std::size_t>(state.range(0));
    const auto script = static_cast<Script>(state.range(1));
    for (auto _ : state) {
        state.PauseTiming();
        const auto world = make_world(nodes);
        world->start_all();
        if (!world->run_until_agreed(600s)) return state.SkipWithError("no agreement");
        world->run_for(30s);
        state.ResumeTiming();
        const auto victims =
            sick(nodes, script == Script::Crashes ? 10 : std::max<std::size_t>(1, nodes / 100));
        Watch watch(*world, {victims.begin(), victims.end()});
        const Instant began = world->now();
        switch (script) {
        case Script::Loss:
            for (const auto node : victims)
                world->links().set_ingress(world->host(node), LinkFaults{.loss = 0.8});
            watch.run_for(120s);
            break;
        case Script::FlipFlop:
            for (int round = 0; round < 3; ++round) {
                for (const auto node : victims)
                    world->links().set_ingress(world->host(node), LinkFaults{.cut = true});
                watch.run_for(20s);
                for (const auto node : victims) world->links().set_ingress(world->host(node), std::nullopt);
                watch.run_for(20s);
            }
            break;
        case Script::Crashes:
            for (const auto node : victims) world->power_off(node);
            break;
        }
        const bool alike = watch.run_until_alike(script == Script::Crashes, 120s);
        state.counters["virtual_s"] = seconds(world->now() - began);
        state.counters["agree_s"] = alike ? seconds(watch.settled() - began) : -1.0; // of the last change
        state.counters["wrongly_removed"] = static_cast<double>(watch.wrongly_removed());
        state.counters["sick_left"] = static_cast<double>(watch.faulty_left());
        state.counters["sizes_seen"] = static_cast<double>(watch.sizes_seen());
    }
}
BENCHMARK(rapid)
    ->ArgNames({"nodes", "script"})
    ->ArgsProduct({{100, 400, 1000}, {0, 1, 2}})
    ->Unit(benchmark::kSecond)
    ->Iterations(1);

} // namespace

BENCHMARK_MAIN();
