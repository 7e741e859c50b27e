// SPDX-License-Identifier: Apache-2.0
// At rest all nodes agree, every member is monitored, tells arrive.
#include "sim/world/text.hpp"
#include "state.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace muster::sim {

using namespace std::chrono_literals;

namespace {

/// With more nodes at rest each tells some of the others only.
constexpr std::size_t tell_everybody_max = 12;

} // namespace

void CheckerState::check_agreement() {
    if (const auto why = world.disagreement(); !why.empty()) {
        note("no-agreement", why);
        return;
    }
    GossipPtr first;
    std::size_t first_node = 0;
    for (const std::size_t node : world.running()) {
        const GossipPtr gossip = world[node].snapshot().state->gossip;
        if (!first) {
            first = gossip;
            first_node = node;
        }
        if (gossip->version_id() != first->version_id())
            note("no-agreement", fmt::format("nodes {} and {} hold different versions", first_node, node));
        if (gossip->overview().seen.count() != gossip->members().size())
            note("no-agreement", fmt::format("node {} does not know that everybody has seen", node));
    }
}

/// Each member is monitored by as many nodes of its data center as the ring promises (protocol.md §19, 9).
void CheckerState::check_watched() {
    struct Center {
        std::size_t members = 0;
        std::size_t monitored_by = SIZE_MAX;
    };
    std::map<std::string, Center> centers;
    std::map<UniqueAddress, std::size_t> watchers;
    for (const std::size_t node : world.running()) {
        Center& center = centers[viewer(node).data_center];
        ++center.members;
        center.monitored_by = std::min(
            center.monitored_by, settings[node].daemon.cluster.failure_detector.monitored_by_nr_of_members);
        for (const UniqueAddress& watched : world[node].daemon().monitored()) {
            const Incarnation* known = incarnation(watched);
            if (known && viewer(known->node).data_center == viewer(node).data_center) ++watchers[watched];
        }
    }
    for (const std::size_t node : world.running()) {
        const Center& center = centers[viewer(node).data_center];
        const std::size_t wanted = std::min(center.monitored_by, center.members - 1);
        if (const std::size_t found_ones = watchers[viewer(node).self]; found_ones < wanted)
            note("unwatched",
                 fmt::format("node {} is heartbeat by {} of its data center, at least {} are promised", node,
                             found_ones, wanted));
    }
}

void CheckerState::tell_everybody() {
    const auto running = world.running();
    for (std::size_t i = 0; i < running.size(); ++i) {
        const std::size_t count = running.size() <= tell_everybody_max ? running.size() - 1 : 3;
        for (std::size_t step = 1; step <= count; ++step) {
            const std::size_t to = running[(i + step) % running.size()];
            const TellResult answer = world.checker().tell(running[i], to);
            told_at_rest.insert({running[i], to});
            if (answer != TellResult::Queued)
                note("tell-lost-at-rest",
                     fmt::format("node {} may not tell node {}: {}", running[i], to, to_string(answer)));
        }
    }
}

void CheckerState::check_all_arrived() {
    for (const auto& [from, to] : told_at_rest) {
        const TellStream& stream = streams[{viewer(from).self, to}];
        if (stream.delivered != stream.sent)
            note("tell-lost-at-rest",
                 fmt::format("the last tell of node {} to node {} did not arrive", from, to));
    }
}

void Checker::at_rest() {
    State& s = *state_;
    const auto version = [&s]() -> std::optional<Hash128> {
        const auto running = s.world.running();
        if (running.empty()) return std::nullopt;
        return s.world[running.front()].snapshot().state->latest().version_id();
    };
    s.check_agreement();
    s.check_watched();
    s.throw_found();
    const auto before = version();
    s.tell_everybody();
    s.world.run_for(6s);
    s.check_agreement();
    if (version() != before) s.note("not-at-rest", "nothing happens any more, but the version has changed");
    s.check_all_arrived();
    s.throw_found();
}

} // namespace muster::sim
