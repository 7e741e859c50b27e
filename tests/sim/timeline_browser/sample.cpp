// SPDX-License-Identifier: Apache-2.0
// Makes the pages that the browser test looks at.
//
//   muster-timeline-sample world OUT.html    a small world: five nodes, a partition that splits one off, a
//   crash, a restart muster-timeline-sample faults OUT.html   a run of seven nodes with one fault of most
//   kinds muster-timeline-sample large OUT.html    200 000 entries, more than are taken, and texts that would
//   break a careless page
#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <muster/sim/random.hpp>
#include <muster/sim/world.hpp>
#include <muster/sim/world/recorder.hpp>
#include <muster/sim/world/scenario.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

using namespace muster;
using namespace std::chrono_literals;
using Entry = sim::Recorder::Entry;

namespace {

constexpr Instant began{1h};

void write(const char* path, const sim::Recorder& recorder, std::size_t nodes) {
    std::ofstream out(path, std::ios::binary);
    sim::write_timeline(out, recorder, nodes, began);
    out.close();
    if (!out) throw std::runtime_error(std::string("cannot write ") + path);
}

void add_lives(sim::Recorder& recorder, std::size_t nodes) {
    for (std::size_t node = 0; node < nodes; ++node) {
        const Instant start = began + 20ms * node;
        recorder.add({.kind = Entry::Kind::Life, .when = start, .node = node, .phase = Entry::Phase::Begin});
        for (std::size_t seen = 0; seen <= node; ++seen)
            for (const auto& [a, b] : {std::pair(node, seen), std::pair(seen, node)}) {
                recorder.add({.kind = Entry::Kind::Status,
                              .when = start + 30ms,
                              .node = a,
                              .other = b,
                              .text = "Joining"});
                recorder.add(
                    {.kind = Entry::Kind::Status, .when = start + 90ms, .node = a, .other = b, .text = "Up"});
            }
    }
}

void add_hostile_texts(sim::Recorder& recorder) {
    using Phase = Entry::Phase;
    recorder.add({.kind = Entry::Kind::Fault,
                  .when = began + 10s,
                  .node = 1,
                  .text = "</script><script>hacked()</script>",
                  .phase = Phase::Begin});
    recorder.add({.kind = Entry::Kind::Fault,
                  .when = began + 20s,
                  .node = 1,
                  .text = "</script><script>hacked()</script>",
                  .phase = Phase::End});
    recorder.add({.kind = Entry::Kind::Fault,
                  .when = began + 30s,
                  .node = 1,
                  .text = "<!--<script>\xff\xc3 \"\\ \x01 \xe2\x80\xa8 end",
                  .phase = Phase::Begin});
    recorder.add({.kind = Entry::Kind::Fault, .when = began + 40s, .node = 1, .phase = Phase::End});
}

void large(const char* path) {
    constexpr std::size_t nodes = 60;
    sim::Recorder recorder;
    recorder.set_title("60 nodes & </title><img src=x onerror=hacked()>");
    add_lives(recorder, nodes);
    add_hostile_texts(recorder);
    recorder.add({.kind = Entry::Kind::Fault,
                  .when = began + 60s,
                  .node = sim::Recorder::everyone,
                  .text = "the switch is gone",
                  .phase = Entry::Phase::Begin,
                  .length = 10s});
    sim::Random random(1);
    for (std::size_t i = 0; i < 250'000; ++i) {
        const Instant when = began + 1s + Duration(std::chrono::microseconds(600)) * i;
        const std::size_t from = random.below(nodes);
        recorder.add({.kind = Entry::Kind::Message,
                      .when = when,
                      .node = from,
                      .other = (from + 1 + random.below(nodes - 1)) % nodes,
                      .text = std::to_string(20 + random.below(400)) + " bytes",
                      .phase = random.chance(1, 50) ? Entry::Phase::End : Entry::Phase::Point,
                      .length = std::chrono::microseconds(random.between(100, 3000))});
    }
    write(path, recorder, nodes);
}

/// What the test looks for: node 4 is cut off at 10 s and downs itself, node 3 crashes at 40 s, is downed and
/// comes back.
void small(const char* path) {
    sim::World world({.seed = 20, .nodes = 5});
    const auto recorder = std::make_shared<sim::Recorder>();
    recorder->set_title("Five nodes, a partition and a crash");
    world.record(recorder);
    world.start_all();
    world.run_for(10s);
    world.partition({4});
    world.run_for(20s);
    world.heal();
    world.start(4);
    world.run_for(10s);
    world.crash(3);
    world.run_for(10s);
    world.pause(2, 500ms);
    world.start(3);
    world.run_for(10s);
    std::ofstream out(path, std::ios::binary);
    world.write_timeline(out);
    if (!out.flush()) throw std::runtime_error(std::string("cannot write ") + path);
}

/// One fault after the other, so that each has its name to itself; two at once at 20 s.
void faults(const char* path) {
    using Kind = sim::Fault::Kind;
    sim::Scenario scenario;
    scenario.seed = 11;
    scenario.nodes = 7;
    scenario.fault_time = 100s;
    scenario.quiet = 20s;
    const auto add = [&](Duration at, Kind kind, std::vector<std::size_t> nodes, Duration length = {},
                         std::int64_t amount = 0) {
        scenario.faults.push_back({at, kind, std::move(nodes), {}, length, amount});
    };
    add(10s, Kind::ClockDrift, {3}, 0s, 500'000);
    add(20s, Kind::Slow, {2, 4}, 10s, Duration(220ms).count());
    add(20s, Kind::Lossy, {4}, 10s, 800);
    add(30s, Kind::Narrow, {0, 1, 2}, 10s, 2'000'000);
    add(40s, Kind::Stutter, {1}, 10s, Duration(700ms).count());
    add(50s, Kind::FlipFlop, {6}, 10s, Duration(2s).count());
    add(60s, Kind::Flood, {0, 6}, 10s, 200);
    add(70s, Kind::Partition, {5, 6}, 20s);
    add(95s, Kind::Reset, {4});
    const auto recorder = std::make_shared<sim::Recorder>();
    recorder->set_title("Seven nodes, one fault of most kinds");
    if (const sim::Outcome outcome = sim::run(scenario, recorder); !outcome.ok())
        throw std::runtime_error(*outcome.broken + ": " + outcome.detail);
    write(path, *recorder, scenario.nodes);
}

} // namespace

int main(int argc, char** argv) {
    const std::string_view which = argc == 3 ? argv[1] : "";
    if (which == "world") {
        small(argv[2]);
    } else if (which == "faults") {
        faults(argv[2]);
    } else if (which == "large") {
        large(argv[2]);
    } else {
        std::cerr << "usage: muster-timeline-sample world|faults|large OUT.html\n";
        return 2;
    }
}
