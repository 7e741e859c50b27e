// SPDX-License-Identifier: Apache-2.0
// What do the values of the protocol cost per member, and does that stay the same from 10 to 10 000 members?
//
// Runs every operation at 10, 100, 1 000 and 10 000 members and prints nanoseconds per member. At the end it
// compares the cost per member at 10 000 with that at 100: caches make it a few times higher, quadratic work
// a hundred times. More than `growth_limit` times is a defect, and the exit code is 1. All options of Google
// Benchmark apply (--benchmark_filter, ..).
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <muster/cluster/core/core.hpp>
#include <muster/cluster/core/gossip_targets.hpp>
#include <muster/cluster/failure/heartbeat_monitor.hpp>
#include <muster/cluster/failure/heartbeat_ring.hpp>
#include <muster/cluster/sbr/runtime.hpp>
#include <muster/cluster/state/events.hpp>
#include <muster/cluster/state/membership.hpp>
#include <string>
#include <vector>

namespace {

using namespace muster;

constexpr double growth_limit = 12.0;
constexpr std::int64_t small_size = 100;
constexpr std::int64_t large_size = 10'000;

UniqueAddress node(std::size_t i) {
    return {Address::remote("akka.tcp", "bench", fmt::format("node-{:05}.cluster.example", i), 2551),
            Uid{static_cast<std::int64_t>(i * 0x9e3779b97f4a7c15ULL)}};
}

/// Built anew each time, so that two of them share nothing, as after decoding.
std::vector<Member> members(std::size_t count) {
    std::vector<Member> all;
    for (std::size_t i = 0; i < count; ++i) {
        all.emplace_back(node(i), MemberStatus::Up,
                         std::vector<std::string>{"web", "shard-" + std::to_string(i % 8)},
                         static_cast<std::int32_t>(i + 1));
    }
    return all;
}

std::vector<UniqueAddress> addresses(const std::vector<Member>& all) {
    std::vector<UniqueAddress> nodes;
    for (const auto& m : all) nodes.push_back(m.unique_address());
    return nodes;
}

VectorClock clock(std::size_t count) {
    std::vector<VectorClock::Entry> entries;
    for (std::size_t i = 0; i < count; ++i) entries.push_back({node(i).key(), i + 1});
    return VectorClock::from_entries(std::move(entries));
}

/// One row in a hundred members, each by three observers.
Reachability one_percent_rows(std::size_t count, std::size_t first) {
    std::vector<Reachability::Record> rows;
    std::map<std::size_t, std::int64_t> versions;
    for (std::size_t subject = first; subject < count; subject += 100) {
        for (std::size_t k = 1; k <= 3; ++k) {
            const auto observer = (subject + k) % count;
            rows.push_back(
                {node(observer), node(subject), ReachabilityStatus::Unreachable, ++versions[observer]});
        }
    }
    std::vector<Reachability::Version> list;
    for (const auto& [observer, version] : versions) list.push_back({node(observer), version});
    return {std::move(rows), std::move(list)};
}

Gossip gossip(std::size_t count) {
    auto all = members(count);
    const auto seen = addresses(all);
    return Gossip::from_parts(std::move(all), seen, {}, clock(count), {}).value();
}

Gossip changed(const Gossip& g, std::size_t which) {
    const auto moved = g.members()[which].copy_with_status(MemberStatus::Leaving).value();
    return g.update(std::span{&moved, 1}).increment(moved.unique_address());
}

MembershipState state(Gossip g) {
    return {g.members().front().unique_address(), "default", std::make_shared<const Gossip>(std::move(g))};
}

std::size_t size_of(const benchmark::State& run) { return static_cast<std::size_t>(run.range(0)); }

// --- vector clocks

void clock_compare_same(benchmark::State& run) {
    const auto a = clock(size_of(run));
    const auto b = clock(size_of(run));
    for (auto _ : run) benchmark::DoNotOptimize(a.compare(b));
}

void clock_merge_concurrent(benchmark::State& run) {
    auto a = clock(size_of(run));
    auto b = clock(size_of(run));
    a.tick(node(0));
    b.tick(node(1));
    for (auto _ : run) {
        auto merged = a;
        merged.merge(b);
        benchmark::DoNotOptimize(merged);
    }
}

void clock_tick(benchmark::State& run) {
    const auto a = clock(size_of(run));
    for (auto _ : run) {
        auto ticked = a;
        ticked.tick(node(size_of(run) / 2));
        benchmark::DoNotOptimize(ticked);
    }
}

// --- gossip

void gossip_merge_same(benchmark::State& run) {
    const auto a = gossip(size_of(run));
    const auto b = gossip(size_of(run));
    for (auto _ : run) benchmark::DoNotOptimize(a.merge(b));
}

void gossip_merge_newer(benchmark::State& run) {
    const auto a = gossip(size_of(run));
    const auto b = changed(gossip(size_of(run)), size_of(run) / 2);
    for (auto _ : run) benchmark::DoNotOptimize(a.merge(b));
}

void gossip_merge_concurrent(benchmark::State& run) {
    const auto a = changed(gossip(size_of(run)), 1);
    const auto b = changed(gossip(size_of(run)), size_of(run) / 2);
    for (auto _ : run) benchmark::DoNotOptimize(a.merge(b));
}

void gossip_merge_with_rows(benchmark::State& run) {
    const auto n = size_of(run);
    const auto a = changed(gossip(n), 1).with_reachability(one_percent_rows(n, 0));
    const auto b = changed(gossip(n), n / 2).with_reachability(one_percent_rows(n, 50 % n));
    for (auto _ : run) benchmark::DoNotOptimize(a.merge(b));
}

void gossip_update_one(benchmark::State& run) {
    const auto g = gossip(size_of(run));
    for (auto _ : run) benchmark::DoNotOptimize(changed(g, size_of(run) / 2));
}

void gossip_seen(benchmark::State& run) {
    const auto g = gossip(size_of(run)).clear_seen();
    const auto who = node(size_of(run) / 2);
    for (auto _ : run) benchmark::DoNotOptimize(g.seen(who).version_id());
}

// --- reachability

void reachability_merge_one_percent(benchmark::State& run) {
    const auto n = size_of(run);
    const auto allowed = addresses(members(n));
    const auto a = one_percent_rows(n, 0);
    const auto b = one_percent_rows(n, 50 % n);
    for (auto _ : run) benchmark::DoNotOptimize(a.merge(allowed, b));
}

// --- membership queries

void convergence(benchmark::State& run) {
    const auto s = state(gossip(size_of(run)));
    for (auto _ : run) benchmark::DoNotOptimize(s.convergence());
}

void convergence_with_rows(benchmark::State& run) {
    const auto n = size_of(run);
    const auto s = state(gossip(n).with_reachability(one_percent_rows(n, 1)));
    for (auto _ : run) benchmark::DoNotOptimize(s.convergence());
}

void role_leaders(benchmark::State& run) {
    const auto s = state(gossip(size_of(run)));
    for (auto _ : run) benchmark::DoNotOptimize(s.role_leaders());
}

void gossip_target(benchmark::State& run) {
    const auto s = state(gossip(size_of(run)));
    const auto settings = ClusterSettings::classic();
    const RandomSource random = [x = std::uint64_t{1}]() mutable {
        return x = x * 6364136223846793005ULL + 1;
    };
    for (auto _ : run) benchmark::DoNotOptimize(select_gossip_target(s, settings, random));
}

// --- events

void diff_seen_only(benchmark::State& run) {
    const auto g = gossip(size_of(run));
    const auto before = state(g.clear_seen().seen(node(0)));
    const auto after = state(g);
    for (auto _ : run) benchmark::DoNotOptimize(diff_events(&before, &after));
}

void diff_one_member(benchmark::State& run) {
    const auto before = state(gossip(size_of(run)));
    const auto after = state(changed(gossip(size_of(run)), size_of(run) / 2));
    for (auto _ : run) benchmark::DoNotOptimize(diff_events(&before, &after));
}

void diff_everybody_new(benchmark::State& run) {
    const auto after = state(gossip(size_of(run)));
    for (auto _ : run) benchmark::DoNotOptimize(diff_events(nullptr, &after));
}

void diff_many_unreachable(benchmark::State& run) {
    const auto n = size_of(run);
    const auto before = state(gossip(n));
    const auto after = state(gossip(n).with_reachability(one_percent_rows(n, 1)));
    for (auto _ : run) benchmark::DoNotOptimize(diff_events(&before, &after));
}

// --- whole nodes

RandomSource random_source() {
    return [x = std::uint64_t{1}]() mutable { return x = x * 6364136223846793005ULL + 1; };
}

Now at(std::chrono::milliseconds elapsed = {}) {
    return {Instant{} + std::chrono::hours{1} + elapsed, WallTime{1}};
}

/// Member 0, which leads, in this state.
ClusterCore core_in(const Gossip& g, ClusterSettings settings = {}) {
    ClusterCore core = ClusterCore::with_state(node(0), std::move(settings), random_source(),
                                               {.gossip = std::make_shared<const Gossip>(g)}, at());
    core.check_invariants(false);
    return core;
}

/// A status of a peer that holds the same version in its own memory: only the comparison of clocks may grow.
void core_status_unchanged(benchmark::State& run) {
    const auto g = gossip(size_of(run));
    auto core = core_in(g);
    const ClusterMessage status =
        GossipStatus{node(1), node(0), clock(size_of(run)), g.version_id(), g.seen_digest()};
    Effects out;
    for (auto _ : run) {
        out.clear();
        core.on_message(status, at().monotonic, at(), out);
        benchmark::DoNotOptimize(out);
    }
}

/// The same with a clock whose comparison is free: the rest is O(1), apart from the look-up of the sender.
void core_status_unchanged_but_clock(benchmark::State& run) {
    const auto g = gossip(size_of(run));
    auto core = core_in(g);
    const ClusterMessage status =
        GossipStatus{node(1), node(0), g.version(), g.version_id(), g.seen_digest()};
    Effects out;
    for (auto _ : run) {
        out.clear();
        core.on_message(status, at().monotonic, at(), out);
        benchmark::DoNotOptimize(out);
    }
}

void core_envelope_same(benchmark::State& run) {
    auto core = core_in(gossip(size_of(run)));
    const ClusterMessage envelope =
        GossipEnvelope{node(1), node(0), std::make_shared<const Gossip>(gossip(size_of(run)))};
    Effects out;
    for (auto _ : run) {
        out.clear();
        core.on_message(envelope, at().monotonic, at(), out);
        benchmark::DoNotOptimize(out);
    }
}

/// Everybody acknowledges one version; the last ack makes the leader tell that it is settled.
void core_acks_of_one_version(benchmark::State& run) {
    const auto g = gossip(size_of(run)).increment(node(0)).only_seen(node(0));
    std::vector<ClusterMessage> acks;
    for (std::size_t i = 1; i < size_of(run); ++i)
        acks.emplace_back(SeenAck{node(i), node(0), g.version_id()});
    for (auto _ : run) {
        run.PauseTiming();
        auto core = core_in(g);
        Effects out;
        core.tick_gossip(at(), out); // its first input, on which it learns what it waits for
        run.ResumeTiming();
        for (const auto& ack : acks) core.on_message(ack, at().monotonic, at(), out);
        benchmark::DoNotOptimize(out);
    }
}

void core_join_storm(benchmark::State& run) {
    std::vector<ClusterMessage> joins;
    for (std::size_t i = 1; i < size_of(run); ++i) joins.emplace_back(Join{node(i), {"web"}, {}});
    const auto alone = gossip(1);
    for (auto _ : run) {
        auto core = core_in(alone);
        Effects out;
        for (const auto& join : joins) core.on_message(join, at().monotonic, at(), out);
        core.on_timer({CoreTimer::JoinBatch, 0}, at(std::chrono::milliseconds{10}), out);
        benchmark::DoNotOptimize(out);
    }
}

void core_welcome(benchmark::State& run) {
    const auto n = size_of(run);
    const Member joining{node(n), MemberStatus::Joining};
    const auto g = std::make_shared<const Gossip>(gossip(n).update(std::span(&joining, 1)));
    for (auto _ : run) {
        ClusterCore core(node(n), {}, random_source());
        core.check_invariants(false);
        Effects out;
        core.join(node(0).address(), at(), out);
        core.on_message(Welcome{node(0), node(n), g}, at().monotonic, at(), out);
        benchmark::DoNotOptimize(out);
    }
}

/// A resolver's decision against half of the cluster.
void core_down_half(benchmark::State& run) {
    const auto n = size_of(run);
    const auto g = gossip(n);
    std::vector<UniqueAddress> half;
    for (std::size_t i = n / 2; i < n; ++i) half.push_back(node(i));
    for (auto _ : run) {
        run.PauseTiming();
        auto core = core_in(g);
        Effects out;
        run.ResumeTiming();
        core.down(half, at(), out);
        benchmark::DoNotOptimize(out);
    }
}

void core_leader_tick(benchmark::State& run) {
    auto core = core_in(gossip(size_of(run)));
    Effects out;
    for (auto _ : run) {
        out.clear();
        core.tick_leader_actions(at(), out);
        benchmark::DoNotOptimize(out);
    }
}

// --- failure detection and the resolver

/// Half of the members become unreachable, and reachable again, at once.
void heartbeats_half_unreachable(benchmark::State& run) {
    const auto all = members(size_of(run));
    const auto s = state(gossip(size_of(run)));
    std::vector<ClusterEvent> up, gone, back;
    for (std::size_t i = 0; i < all.size(); ++i) {
        up.emplace_back(MemberUp{all[i]});
        if (i < all.size() / 2) continue;
        gone.emplace_back(UnreachableMember{all[i]});
        back.emplace_back(ReachableMember{all[i]});
    }
    HeartbeatMonitor monitor(node(0), {});
    monitor.on_published(s, up, at());
    for (auto _ : run) {
        monitor.on_published(s, gone, at());
        monitor.on_published(s, back, at());
    }
}

void ring_monitors(benchmark::State& run) {
    HeartbeatRing ring(node(0), 9);
    ring.add(addresses(members(size_of(run))));
    for (auto _ : run) benchmark::DoNotOptimize(ring.monitors(node(size_of(run) / 2)));
}

/// The events of a cluster that comes up, of its half that goes, is downed and removed.
void resolver_half_removed(benchmark::State& run) {
    const auto all = members(size_of(run));
    std::vector<ClusterEvent> up, gone, downed, removed;
    for (std::size_t i = 0; i < all.size(); ++i) {
        up.emplace_back(MemberUp{all[i]});
        if (i < all.size() / 2) continue;
        const auto down = all[i].copy_with_status(MemberStatus::Down).value();
        gone.emplace_back(UnreachableMember{all[i]});
        downed.emplace_back(MemberDowned{down});
        removed.emplace_back(
            MemberRemoved{down.copy_with_status(MemberStatus::Removed).value(), MemberStatus::Down});
    }
    for (auto _ : run) {
        SbrRuntime resolver(node(0), "default", SbrSettings{});
        Effects out;
        for (const auto* events : {&up, &gone, &downed, &removed}) resolver.on_events(*events, at(), out);
        benchmark::DoNotOptimize(out);
    }
}

struct Operation {
    const char* name;
    void (*run)(benchmark::State&);
};
constexpr Operation operations[] = {
    {"clock_compare_same", clock_compare_same},
    {"clock_merge_concurrent", clock_merge_concurrent},
    {"clock_tick", clock_tick},
    {"gossip_merge_same", gossip_merge_same},
    {"gossip_merge_newer", gossip_merge_newer},
    {"gossip_merge_concurrent", gossip_merge_concurrent},
    {"gossip_merge_with_rows", gossip_merge_with_rows},
    {"gossip_update_one", gossip_update_one},
    {"gossip_seen", gossip_seen},
    {"reachability_merge_one_percent", reachability_merge_one_percent},
    {"convergence", convergence},
    {"convergence_with_rows", convergence_with_rows},
    {"role_leaders", role_leaders},
    {"gossip_target", gossip_target},
    {"diff_seen_only", diff_seen_only},
    {"diff_one_member", diff_one_member},
    {"diff_everybody_new", diff_everybody_new},
    {"diff_many_unreachable", diff_many_unreachable},
    {"core_status_unchanged", core_status_unchanged},
    {"core_status_unchanged_but_clock", core_status_unchanged_but_clock},
    {"core_envelope_same", core_envelope_same},
    {"core_acks_of_one_version", core_acks_of_one_version},
    {"core_join_storm", core_join_storm},
    {"core_welcome", core_welcome},
    {"core_down_half", core_down_half},
    {"core_leader_tick", core_leader_tick},
    {"heartbeats_half_unreachable", heartbeats_half_unreachable},
    {"ring_monitors", ring_monitors},
    {"resolver_half_removed", resolver_half_removed},
};

/// Remembers the nanoseconds per member of every run.
class PerMember : public benchmark::ConsoleReporter {
public:
    void ReportRuns(const std::vector<Run>& runs) override {
        for (const Run& run : runs) {
            if (run.error_occurred || run.run_type != Run::RT_Iteration) continue;
            const auto size = std::stoll(run.run_name.args);
            const double seconds = run.cpu_accumulated_time / static_cast<double>(run.iterations);
            cost_[run.run_name.function_name][size] = seconds * 1e9 / static_cast<double>(size);
        }
        ConsoleReporter::ReportRuns(runs);
    }

    /// Whether no operation grew beyond the limit; prints each one's cost per member.
    bool report_growth() const {
        bool ok = true;
        fmt::print("\n{:<34}{}\n", "ns per member at", "10 .. 10000 members, growth from 100 to 10000");
        for (const auto& [name, sizes] : cost_) {
            std::string line = fmt::format("{:<34}", name);
            for (const auto& [size, ns] : sizes) line += fmt::format("{:>10.2f}", ns);
            const auto small = sizes.find(small_size);
            const auto large = sizes.find(large_size);
            if (small != sizes.end() && large != sizes.end()) {
                const double growth = large->second / small->second;
                line += fmt::format("   x{:.1f}", growth);
                if (growth > growth_limit) {
                    line += "  GROWS";
                    ok = false;
                }
            }
            fmt::print("{}\n", line);
        }
        return ok;
    }

private:
    std::map<std::string, std::map<long long, double>> cost_;
};

} // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    for (const auto& operation : operations) {
        benchmark::RegisterBenchmark(operation.name, operation.run)
            ->RangeMultiplier(10)
            ->Range(10, large_size);
    }
    PerMember reporter;
    benchmark::RunSpecifiedBenchmarks(&reporter);
    benchmark::Shutdown();
    return reporter.report_growth() ? 0 : 1;
}
