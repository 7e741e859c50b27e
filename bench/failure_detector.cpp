// SPDX-License-Identifier: Apache-2.0
// What does failure detection cost a node: a heartbeat, phi, the reaper's pass over all monitored nodes, a
// tick of the monitor, a resolver's decision?
#include <benchmark/benchmark.h>
#include <memory>
#include <muster/cluster/failure/heartbeat_monitor.hpp>
#include <muster/cluster/sbr/model.hpp>
#include <muster/cluster/sbr/strategy.hpp>
#include <string>
#include <vector>

namespace {

using namespace muster;
using std::chrono::milliseconds;

Instant at(std::int64_t ms) { return Instant{milliseconds{ms}}; }

UniqueAddress node(std::int64_t i) {
    return {Address::remote("akka.tcp", "bench", "node-" + std::to_string(i) + ".example", 2551),
            Uid{i * 7919 + 1}};
}

/// A detector whose history is full, with some jitter.
PhiAccrualFailureDetector full_detector() {
    PhiAccrualFailureDetector detector;
    for (std::int64_t i = 0; i < 1100; ++i) detector.heartbeat(at(i * 1000 + i % 7 * 11));
    return detector;
}

void phi_value(benchmark::State& state) {
    const PhiAccrualFailureDetector detector = full_detector();
    std::int64_t ms = 1'100'000;
    for (auto _ : state) benchmark::DoNotOptimize(detector.phi(at(ms += 3)));
}
BENCHMARK(phi_value);

void phi_heartbeat(benchmark::State& state) {
    PhiAccrualFailureDetector detector = full_detector();
    std::int64_t ms = 1'100'000;
    for (auto _ : state) benchmark::DoNotOptimize(detector.heartbeat(at(ms += 1000)));
}
BENCHMARK(phi_heartbeat);

std::shared_ptr<const MembershipState> cluster_of(std::int64_t count) {
    std::vector<Member> members;
    for (std::int64_t i = 0; i < count; ++i)
        members.emplace_back(node(i), MemberStatus::Up, std::vector<std::string>{},
                             static_cast<std::int32_t>(i + 1));
    auto gossip = Gossip::from_parts(std::move(members), {}, Reachability(), VectorClock(), {});
    return std::make_shared<const MembershipState>(node(0), "default",
                                                   std::make_shared<const Gossip>(std::move(gossip).value()));
}

HeartbeatMonitor monitor_of(const MembershipState& state) {
    HeartbeatMonitor monitor(node(0), ClusterSettings{});
    monitor.on_published(state, diff_events(nullptr, &state), {at(0), {}});
    Effects effects;
    for (const UniqueAddress& peer : monitor.own().active())
        monitor.on_reply({peer, 1, 0}, {at(1), {}}, effects);
    return monitor;
}

void monitor_tick(benchmark::State& state) {
    const auto cluster = cluster_of(state.range(0));
    HeartbeatMonitor monitor = monitor_of(*cluster);
    Effects effects;
    std::int64_t ms = 0;
    for (auto _ : state) {
        effects.clear();
        monitor.tick({at(ms += 1000), {}}, effects);
    }
}
BENCHMARK(monitor_tick)->Arg(10)->Arg(100)->Arg(1000)->Arg(10'000);

void monitor_unavailable(benchmark::State& state) {
    const auto cluster = cluster_of(state.range(0));
    const HeartbeatMonitor monitor = monitor_of(*cluster);
    for (auto _ : state) benchmark::DoNotOptimize(monitor.unavailable(at(2000)));
}
BENCHMARK(monitor_unavailable)->Arg(10)->Arg(100)->Arg(1000)->Arg(10'000);

/// A whole cluster appears at once: must not cost more per member than a small one does.
void monitor_join_storm(benchmark::State& state) {
    const auto cluster = cluster_of(state.range(0));
    const auto events = diff_events(nullptr, cluster.get());
    for (auto _ : state) {
        HeartbeatMonitor monitor(node(0), ClusterSettings{});
        monitor.on_published(*cluster, events, {at(0), {}});
        benchmark::DoNotOptimize(monitor.own().active().size());
    }
    state.counters["per_member"] =
        benchmark::Counter(static_cast<double>(state.range(0)),
                           benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(monitor_join_storm)->Arg(10)->Arg(100)->Arg(1000)->Arg(10'000);

/// Half of the cluster is unreachable.
void resolver_decision(benchmark::State& state) {
    SbrModel model(node(0), "default");
    std::vector<Reachability::Record> rows;
    const auto cluster = cluster_of(state.range(0));
    const auto members = cluster->members();
    for (std::size_t i = 0; i < members.size(); ++i) {
        if (i < members.size() / 2) {
            model.add(members[i]);
            continue;
        }
        model.add_unreachable(members[i]);
        rows.push_back({members[0].unique_address(), members[i].unique_address(),
                        ReachabilityStatus::Unreachable, static_cast<std::int64_t>(i)});
    }
    model.set_reachability(Reachability(
        std::move(rows), {{members[0].unique_address(), static_cast<std::int64_t>(members.size())}}));
    const KeepMajorityStrategy strategy;
    for (auto _ : state)
        benchmark::DoNotOptimize(nodes_to_down(strategy, model, strategy.decide(model).decision));
}
BENCHMARK(resolver_decision)->Arg(10)->Arg(100)->Arg(1000)->Arg(10'000);

} // namespace

BENCHMARK_MAIN();
