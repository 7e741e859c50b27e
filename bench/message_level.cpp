// SPDX-License-Identifier: Apache-2.0
// How large can a cluster be, as far as the protocol itself goes? N cores with their resolvers in one thread
// and in virtual time. Messages are values that are handed over after 200 to 700 us: no sockets, no decoding,
// no nodes around the cores. All cores share an unchanged gossip, so ten thousand views of ten thousand
// members fit into memory. Each message is encoded as it would be for a socket, to count its bytes.
//
// Each row is one run in three parts: N nodes join through three seeds at once until all hold one version in
// which all are Up; ten quiet seconds; ten of them, none a seed, fall silent at once until the rest agree
// again. Of each part it says the virtual and the real time, and per node the gossip rounds begun (one a
// second; a part may need none), the messages, those that carry a whole gossip, the states installed, and the
// bytes sent. The label says why a row ended early, if it did; then the exit status is 1.
//
//   message_level --benchmark_format=json
//   message_level --benchmark_filter=/1000/
//   MESSAGE_LEVEL_SECONDS=3600 MESSAGE_LEVEL_GIB=8 message_level --benchmark_filter=/10000/
//
// MESSAGE_LEVEL_SECONDS is the real time and MESSAGE_LEVEL_GIB the memory that a row may take: 900 s and 4
// GiB if not said.
#include "base/split_mix64.hpp"
#include "net/timer_heap.hpp"
#include <algorithm>
#include <benchmark/benchmark.h>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <fmt/format.h>
#include <malloc.h>
#include <map>
#include <memory>
#include <muster/cluster/core/core.hpp>
#include <muster/cluster/sbr/runtime.hpp>
#include <muster/wire/envelope.hpp>
#include <muster/wire/frame.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "process_memory.hpp"

namespace {

using namespace muster;
using namespace std::chrono_literals;
using bench::forget_peak;
using bench::peak_resident_bytes;
using bench::resident_bytes;

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

/// The environment's number of this name.
long number_of(const char* name, long otherwise) {
    long number = otherwise;
    if (const char* text = std::getenv(name); text != nullptr)
        std::from_chars(text, text + std::string_view(text).size(), number);
    return number;
}

/// The limits of a row.
class Limits {
public:
    /// The limit that is reached; empty: none.
    std::string_view reached() const {
        if (std::chrono::steady_clock::now() > end_) return "real time";
        if (resident_bytes() > memory_max_) return "memory";
        return {};
    }

private:
    std::chrono::steady_clock::time_point end_ =
        std::chrono::steady_clock::now() + std::chrono::seconds(number_of("MESSAGE_LEVEL_SECONDS", 900));
    double memory_max_ = static_cast<double>(number_of("MESSAGE_LEVEL_GIB", 4)) * 1024 * 1024 * 1024;
};

RandomSource random_source(std::uint64_t seed) { return SplitMix64(seed); }

class MessageWorld {
public:
    explicit MessageWorld(std::size_t nodes) : random_(random_source(nodes)) {
        for (std::size_t i = 0; i < nodes; ++i) {
            const std::size_t number = i + 1;
            const auto host = fmt::format("10.{}.{}.{}", number >> 16U, number >> 8U & 255U, number & 255U);
            addresses_.push_back(Address::remote("akka.tcp", "world", host, 2551));
            index_of_.emplace(addresses_.back(), i);
        }
        nodes_.resize(nodes);
    }

    /// All at once, through the first three.
    void start_all() {
        for (std::size_t i = 0; i < nodes_.size(); ++i) start(i);
    }
    /// Silences a node: from now on it neither sends nor receives.
    void silence(std::size_t index) { end(index); }

    /// The limit that stopped it; empty when the condition holds, which is checked each hundredth of a
    /// virtual second.
    template <class Condition>
    std::string_view run_until(Condition condition, Duration virtual_time_max, const Limits& limits) {
        constexpr std::uint64_t steps_between_checks = 8192;
        const Instant last = now_ + virtual_time_max;
        for (;;) {
            const Instant look = now_ + 10ms;
            while (events_.next() <= look) {
                auto due = events_.take_any();
                now_ = due->when;
                due->action();
                if (++steps_ % steps_between_checks != 0) continue;
                if (const auto reached = limits.reached(); !reached.empty()) return reached;
            }
            now_ = look;
            if (condition()) return {};
            if (now_ >= last) return "virtual time";
        }
    }
    /// Empty when the time has passed.
    std::string_view run_for(Duration duration, const Limits& limits) {
        const Instant until = now_ + duration;
        return run_until([&] { return now_ >= until; }, duration, limits);
    }

    /// All running nodes hold one version, in which exactly they are members, all of them Up, and nobody is
    /// unreachable.
    bool agreed() const {
        const Gossip* first = nullptr;
        for (const auto& node : nodes_) {
            if (!node) continue;
            const Gossip& gossip = node->core.state()->latest();
            if (first == nullptr) first = &gossip;
            if (!node->core.is_joined() || gossip.version_id() != first->version_id()) return false;
        }
        const auto is_up = [](const Member& m) { return m.status() == MemberStatus::Up; };
        return first != nullptr && first->members().size() == running_ &&
               std::ranges::all_of(first->members(), is_up) &&
               first->reachability().all_unreachable_or_terminated().empty();
    }
    /// Nodes that see `members` Up members.
    std::size_t count_seeing(std::size_t members) const {
        return static_cast<std::size_t>(std::ranges::count_if(nodes_, [members](const auto& node) {
            if (!node) return false;
            const auto all = node->core.state()->members();
            return std::ranges::count(all, MemberStatus::Up, &Member::status) ==
                   static_cast<std::ptrdiff_t>(members);
        }));
    }

    Duration elapsed() const noexcept { return now_ - Instant{}; }
    std::size_t size() const noexcept { return nodes_.size(); }
    std::size_t running() const noexcept { return running_; }
    /// Sums over all nodes, from the beginning.
    struct Totals {
        std::uint64_t rounds = 0;   ///< of gossip
        std::uint64_t messages = 0; ///< sent
        std::uint64_t gossips = 0;  ///< messages that carry a whole gossip
        std::uint64_t states = 0;   ///< installed and published
        std::uint64_t bytes = 0;    ///< of the messages, as frames
    };
    const Totals& totals() const noexcept { return totals_; }
    /// Different bodies of gossips that were encoded.
    std::size_t bodies() const noexcept { return encoder_.built(); }

private:
    struct Node {
        Node(const UniqueAddress& self, const ClusterSettings& settings, const RandomSource& random)
            : core(self, settings, random),
              resolver(self, settings.multi_dc.self_data_center, SbrSettings{}) {}
        ClusterCore core;
        SbrRuntime resolver;
        std::map<TimerKey, net::TimerId> timers;
        std::deque<Effect> effects;
        bool draining = false;
    };
    using CoreTick = void (ClusterCore::*)(const Now&, Effects&);

    Now now() const noexcept { return {now_, WallTime{(now_ - Instant{}) / 1ms}}; }

    UniqueAddress fresh_identity(std::size_t index) {
        return {addresses_[index], Uid{static_cast<std::int64_t>(random_())}};
    }

    void start(std::size_t index) {
        nodes_[index] =
            std::make_unique<Node>(fresh_identity(index), ClusterSettings{}, random_source(random_()));
        ++running_;
        for (const CoreTick core_tick : {&ClusterCore::tick_gossip, &ClusterCore::tick_leader_actions,
                                         &ClusterCore::tick_reaper, &ClusterCore::tick_heartbeat})
            tick_later(index, core_tick,
                       1s + Duration(static_cast<Duration::rep>(random_() % 1'000'000'000)));
        tick_later(index, &ClusterCore::tick_join, 100ms);
        decide_later(index);
        const std::vector<Address> seeds(
            addresses_.begin(), addresses_.begin() + std::min<std::ptrdiff_t>(3, std::ssize(addresses_)));
        feed(index, [&](Node& node, Effects& out) { node.core.join_seed_nodes(seeds, now(), out); });
    }

    void end(std::size_t index) {
        if (!nodes_[index]) return;
        for (const auto& [key, timer] : nodes_[index]->timers) events_.cancel(timer);
        ended_.push_back(std::exchange(nodes_[index], nullptr)); // it may be the running one
        --running_;
    }

    void tick_later(std::size_t index, CoreTick core_tick, Duration delay) {
        events_.put(now_ + delay, [this, index, core_tick] {
            if (!nodes_[index]) return;
            const bool joins = core_tick == &ClusterCore::tick_join;
            totals_.rounds += core_tick == &ClusterCore::tick_gossip ? 1 : 0;
            feed(index, [&](Node& node, Effects& out) { (node.core.*core_tick)(now(), out); });
            if (!nodes_[index] || (joins && nodes_[index]->core.is_joined())) return;
            tick_later(index, core_tick, joins ? Duration(100ms) : Duration(1s));
        });
    }
    void decide_later(std::size_t index) {
        events_.put(now_ + SbrSettings::tick_interval, [this, index] {
            if (!nodes_[index]) return;
            feed(index, [&](Node& node, Effects& out) { node.resolver.tick(now(), out); });
            if (nodes_[index]) decide_later(index);
        });
    }

    /// One input, and its effects in order (as in the daemon).
    template <class Input>
    void feed(std::size_t index, Input input) {
        Node& node = *nodes_[index];
        Effects fresh;
        input(node, fresh);
        std::ranges::move(fresh, std::back_inserter(node.effects));
        if (std::exchange(node.draining, true)) return;
        while (nodes_[index] && !node.effects.empty()) {
            Effect effect = std::move(node.effects.front());
            node.effects.pop_front();
            carry_out(index, node, effect);
        }
        node.draining = false;
        ended_.clear();
    }

    void carry_out(std::size_t index, Node& node, Effect& effect) {
        if (auto* send = std::get_if<effect::Send>(&effect)) {
            post(index, *send);
        } else if (const auto* published = std::get_if<effect::Publish>(&effect)) {
            ++totals_.states;
            feed(index, [&](Node& n, Effects& out) { n.resolver.on_events(published->events, now(), out); });
        } else if (const auto* set = std::get_if<effect::SetTimer>(&effect)) {
            set_timer(index, node, *set);
        } else if (const auto* cancel = std::get_if<effect::CancelTimer>(&effect)) {
            if (const auto at = node.timers.find(cancel->key); at != node.timers.end()) {
                events_.cancel(at->second);
                node.timers.erase(at);
            }
        } else if (const auto* down = std::get_if<effect::Down>(&effect)) {
            feed(index, [&](Node& n, Effects& out) { n.core.down(down->nodes, now(), out); });
        } else if (std::holds_alternative<effect::NewIncarnation>(effect)) {
            const UniqueAddress fresh = fresh_identity(index);
            node.resolver = SbrRuntime(fresh, node.core.settings().multi_dc.self_data_center, SbrSettings{});
            feed(index, [&](Node& n, Effects& out) { n.core.on_new_incarnation(fresh, now(), out); });
        } else if (std::holds_alternative<effect::Shutdown>(effect)) {
            end(index);
        }
    }

    void set_timer(std::size_t index, Node& node, const effect::SetTimer& set) {
        if (const auto old = node.timers.find(set.key); old != node.timers.end()) events_.cancel(old->second);
        node.timers[set.key] = events_.put(now_ + set.delay, [this, index, key = set.key] {
            if (!nodes_[index]) return;
            nodes_[index]->timers.erase(key);
            feed(index, [&](Node& n, Effects& out) {
                if (key.timer == CoreTimer::LeaseDelay)
                    n.resolver.on_timer(key, now(), out);
                else
                    n.core.on_timer(key, now(), out);
            });
        });
    }

    /// 200 to 700 us, always the same between two nodes, so their messages stay in order.
    void post(std::size_t from, effect::Send& send) {
        const auto found = index_of_.find(send.to.address);
        if (found == index_of_.end()) return;
        const bool has_gossip = std::holds_alternative<GossipEnvelope>(send.message) ||
                                std::holds_alternative<Welcome>(send.message);
        ++totals_.messages;
        totals_.gossips += has_gossip ? 1 : 0;
        totals_.bytes += wire::encode_message(send.message, encoder_).value().bytes();
        const std::size_t to = found->second;
        const Duration delay =
            200us + Duration(static_cast<Duration::rep>(SplitMix64::mix(from << 32U | to) % 500'000));
        events_.put(now_ + delay, [this, to, uid = send.to.uid, message = std::move(send.message)] {
            if (!nodes_[to] || (uid && *uid != nodes_[to]->core.self().uid())) return;
            feed(to, [&](Node& node, Effects& out) { node.core.on_message(message, now_, now(), out); });
        });
    }

    RandomSource random_;
    std::vector<Address> addresses_;
    std::unordered_map<Address, std::size_t> index_of_; // only looked up
    std::vector<std::unique_ptr<Node>> nodes_;          // null: not running
    std::vector<std::unique_ptr<Node>> ended_;
    std::size_t running_ = 0;
    net::TimerHeap events_;
    Instant now_{};
    std::uint64_t steps_ = 0;
    Totals totals_;
    wire::EnvelopeEncoder encoder_{
        64}; ///< everybody's: a node encodes a version at most once, here all do it once
};

/// What one part of a run took.
class Part {
public:
    Part(benchmark::State& state, const MessageWorld& world, std::string_view name)
        : state_(state), world_(world), name_(name), began_(world.elapsed()), before_(world.totals()) {}

    void report() {
        const auto nodes = static_cast<double>(world_.running());
        const auto set = [&](std::string_view what, double value) {
            state_.counters[fmt::format("{}_{}", name_, what)] = value;
        };
        const auto set_mean = [&](std::string_view what, std::uint64_t MessageWorld::Totals::*sum) {
            set(what, static_cast<double>(world_.totals().*sum - before_.*sum) / nodes);
        };
        set("virtual_s", seconds(world_.elapsed() - began_));
        set("real_s", seconds(std::chrono::steady_clock::now() - real_began_));
        set_mean("rounds/node", &MessageWorld::Totals::rounds);
        set_mean("messages/node", &MessageWorld::Totals::messages);
        set_mean("gossips/node", &MessageWorld::Totals::gossips);
        set_mean("states/node", &MessageWorld::Totals::states);
        set_mean("sent_bytes/node", &MessageWorld::Totals::bytes);
    }

private:
    benchmark::State& state_;
    const MessageWorld& world_;
    std::string_view name_;
    Duration began_;
    MessageWorld::Totals before_;
    std::chrono::steady_clock::time_point real_began_ = std::chrono::steady_clock::now();
};

bool all_rows_ended = true;

/// One after the other, until one is stopped.
void run_parts(benchmark::State& state, MessageWorld& world, const Limits& limits) {
    constexpr std::size_t crashes = 10;
    const std::size_t count = world.size();
    std::string_view stopped_by;
    const auto part = [&](std::string_view name, const auto& run) {
        if (!stopped_by.empty()) return;
        Part measured(state, world, name);
        stopped_by = run();
        measured.report();
        if (!stopped_by.empty())
            state.SetLabel(fmt::format("{} stopped by the limit of {}", name, stopped_by));
    };
    const auto until_agreed = [&](Duration virtual_time_max) {
        return world.run_until([&] { return world.agreed(); }, virtual_time_max, limits);
    };
    part("join", [&] {
        world.start_all();
        return until_agreed(600s);
    });
    state.counters["see_all_up"] = static_cast<double>(world.count_seeing(count));
    state.counters["joined_rss_bytes"] = resident_bytes();
    // The traffic of joining ends.
    part("settle", [&] { return world.run_for(15s, limits); });
    part("steady", [&] { return world.run_for(10s, limits); });
    part("crash", [&] {
        for (std::size_t i = 0; i < crashes; ++i)
            world.silence(3 + (count - 3) * i / crashes + (count - 3) / (2 * crashes));
        return until_agreed(300s);
    });
    state.counters["alive"] = static_cast<double>(world.running());
    all_rows_ended = all_rows_ended && stopped_by.empty();
}

void message_level(benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        malloc_trim(0); // memory that the row before has left
        forget_peak();
        const double before = resident_bytes();
        MessageWorld world(count);
        run_parts(state, world, Limits{});
        state.counters["bodies"] = static_cast<double>(world.bodies());
        state.counters["peak_rss_bytes"] = peak_resident_bytes();
        state.counters["memory_bytes/node"] = (peak_resident_bytes() - before) / static_cast<double>(count);
    }
}
BENCHMARK(message_level)
    ->Arg(100)
    ->Arg(1000)
    ->Arg(2000)
    ->Arg(4000)
    ->Arg(10'000)
    ->Unit(benchmark::kSecond)
    ->Iterations(1);

} // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return all_rows_ended ? 0 : 1;
}
