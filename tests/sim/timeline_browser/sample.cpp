// Makes the pages that the browser test looks at.
//
//   muster-timeline-sample world OUT.html    a small world: five nodes, a partition that splits one off, a crash, a restart
//   muster-timeline-sample large OUT.html    200 000 entries, more than are taken, and texts that would break a careless page
#include <chrono>
#include <fstream>
#include <iostream>
#include <muster/sim/random.hpp>
#include <muster/sim/world/recorder.hpp>
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
                recorder.add({.kind = Entry::Kind::Status, .when = start + 30ms, .node = a, .other = b, .text = "Joining"});
                recorder.add({.kind = Entry::Kind::Status, .when = start + 90ms, .node = a, .other = b, .text = "Up"});
            }
    }
}

void add_hostile_texts(sim::Recorder& recorder) {
    using Phase = Entry::Phase;
    recorder.add({.kind = Entry::Kind::Fault, .when = began + 10s, .node = 1, .text = "</script><script>hacked()</script>",
                  .phase = Phase::Begin});
    recorder.add({.kind = Entry::Kind::Fault, .when = began + 20s, .node = 1, .text = "</script><script>hacked()</script>",
                  .phase = Phase::End});
    recorder.add({.kind = Entry::Kind::Fault, .when = began + 30s, .node = 1, .text = "<!--<script>\xff\xc3 \"\\ \x01 \xe2\x80\xa8 end",
                  .phase = Phase::Begin});
    recorder.add({.kind = Entry::Kind::Fault, .when = began + 40s, .node = 1, .phase = Phase::End});
}

void large(const char* path) {
    constexpr std::size_t nodes = 60;
    sim::Recorder recorder;
    recorder.set_title("60 nodes & </title><img src=x onerror=hacked()>");
    add_lives(recorder, nodes);
    add_hostile_texts(recorder);
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

} // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: muster-timeline-sample world|large OUT.html\n";
        return 2;
    }
    if (argv[1] == std::string_view("large")) large(argv[2]);
}
