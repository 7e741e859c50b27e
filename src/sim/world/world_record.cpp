// SPDX-License-Identifier: Apache-2.0
// What a World writes into its Recorder.
#include "text.hpp"
#include <fmt/format.h>
#include <muster/sim/world.hpp>
#include <muster/sim/world/recorder.hpp>
#include <ostream>

namespace muster::sim {

namespace {

using Kind = Recorder::Entry::Kind;
using Phase = Recorder::Entry::Phase;

bool is_right(const Clock& clock) noexcept {
    return clock.drift_ppb == 0 && clock.wall_offset.count() == 0 && clock.lateness_max == Duration::zero();
}

std::string describe(const Clock& clock) {
    std::vector<std::string> parts;
    if (clock.drift_ppb != 0) parts.push_back("drift " + clock_rate(clock.drift_ppb));
    if (const auto ahead = clock.wall_offset; ahead.count() != 0)
        parts.push_back(fmt::format("{} {}", short_time(ahead.count() < 0 ? -ahead : ahead),
                                    ahead.count() < 0 ? "behind" : "ahead"));
    if (clock.lateness_max != Duration::zero())
        parts.push_back("timers up to " + short_time(clock.lateness_max) + " late");
    return "clock: " + join(parts, ", ");
}

} // namespace

void World::record(std::shared_ptr<Recorder> recorder) {
    recorder_ = std::move(recorder);
    cuts_.clear();
    network_.on_trace({});
    if (!recorder_) return;
    network_.on_trace([this](const TraceEvent& event) { note_message(event); });
    // What is so already.
    for (const auto& node : nodes_) {
        if (!node->running()) continue;
        note_start(*node);
        const auto snapshot = node->snapshot();
        for (const Member& member : snapshot.members())
            if (const auto subject = find(member.address()))
                recorder_->add({.kind = Kind::Status,
                                .when = now(),
                                .node = node->index,
                                .other = subject,
                                .text = std::string(to_string(member.status()))});
        note_event(*node, ReachabilityChanged{snapshot.state->latest().reachability()});
    }
}

void World::write_timeline(std::ostream& out) const {
    sim::write_timeline(out, recorder_ ? *recorder_ : Recorder(), size(), began_);
}

void World::note_start(const Node& node) {
    if (!recorder_) return;
    recorder_->add({.kind = Kind::Life,
                    .when = now(),
                    .node = node.index,
                    .text = fmt::format("life {} at {}", node.lives, node.address.to_string()),
                    .phase = Phase::Begin});
}

void World::note_end(std::size_t node, std::string why) {
    if (recorder_)
        recorder_->add(
            {.kind = Kind::Life, .when = now(), .node = node, .text = std::move(why), .phase = Phase::End});
}

void World::note(std::size_t node, std::string text) {
    if (recorder_) recorder_->add({.kind = Kind::Note, .when = now(), .node = node, .text = std::move(text)});
}

void World::note_fault(const std::vector<std::size_t>& nodes, const std::string& text, Duration length) {
    if (!recorder_) return;
    const Phase phase = length == Duration::zero() ? Phase::Point : Phase::Begin;
    for (const std::size_t node : nodes)
        recorder_->add({.kind = Kind::Fault,
                        .when = now(),
                        .node = node,
                        .text = text,
                        .phase = phase,
                        .length = length});
}

void World::note_fault_begins(const std::vector<std::size_t>& nodes, const std::string& text) {
    if (!recorder_) return;
    for (const std::size_t node : nodes) {
        cuts_.emplace(node, text);
        recorder_->add(
            {.kind = Kind::Fault, .when = now(), .node = node, .text = text, .phase = Phase::Begin});
    }
}

void World::note_fault_ends(const std::vector<std::size_t>& nodes, const std::string& text) {
    if (!recorder_) return;
    for (const std::size_t node : nodes) {
        cuts_.erase({node, text});
        recorder_->add({.kind = Kind::Fault, .when = now(), .node = node, .text = text, .phase = Phase::End});
    }
}

void World::note_clock(const Node& node, Clock clock) {
    if (!recorder_) return;
    const auto add = [&](const Clock& which, Phase phase) {
        if (is_right(which)) return;
        recorder_->add({.kind = Kind::Fault,
                        .when = now(),
                        .node = node.index,
                        .text = describe(which),
                        .phase = phase});
    };
    add(node.clock, Phase::End);
    add(clock, Phase::Begin);
}

void World::note_heal() {
    const auto cuts = std::exchange(cuts_, {});
    for (const auto& [node, text] : cuts) note_fault_ends({node}, text);
}

void World::note_event(const Node& node, const ClusterEvent& event) {
    if (!recorder_) return;
    recorder_->add_event(now(), node.index, node.node->daemon().unique_address(), event,
                         [this](const Address& address) { return find(address); });
}

void World::note_message(const TraceEvent& event) {
    recorder_->add_trace(event, [this](HostId host) -> std::optional<std::size_t> {
        const auto at = static_cast<std::size_t>(host);
        if (at >= node_of_host_.size() || node_of_host_[at] == nobody) return std::nullopt;
        return node_of_host_[at];
    });
}

} // namespace muster::sim
