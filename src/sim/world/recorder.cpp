// SPDX-License-Identifier: Apache-2.0
#include <muster/sim/world/recorder.hpp>

#include <algorithm>
#include <muster/wire/frame.hpp>
#include <utility>

namespace muster::sim {

namespace {

using Kind = Recorder::Entry::Kind;
using Phase = Recorder::Entry::Phase;

std::string describe(const Segment& segment, const std::string& frames) {
    switch (segment.kind) {
    case Segment::Kind::Connect: return "connects";
    case Segment::Kind::Finish: return "closes connection #" + std::to_string(segment.connection);
    case Segment::Kind::Reset: return "resets connection #" + std::to_string(segment.connection);
    default:
        return (frames.empty() ? "a part of a frame" : frames) + ", " + std::to_string(segment.bytes) +
               " bytes";
    }
}

/// Accept and Window are TCP's own and say nothing about nodes.
bool is_of_interest(const Segment& segment) noexcept {
    return segment.from != segment.to && segment.kind != Segment::Kind::Accept &&
           segment.kind != Segment::Kind::Window;
}

} // namespace

std::string_view to_string(Recorder::Entry::Kind kind) noexcept {
    switch (kind) {
    case Kind::Life: return "Life";
    case Kind::Status: return "Status";
    case Kind::Reachability: return "Reachability";
    case Kind::Fault: return "Fault";
    case Kind::Message: return "Message";
    case Kind::Note: return "Note";
    }
    return "unknown";
}

bool Recorder::has_room(Entry::Kind kind) const noexcept {
    switch (kind) {
    case Kind::Message:
    case Kind::Note: return entries_.size() < entries_max_;
    case Kind::Status:
    case Kind::Reachability: return entries_.size() < 2 * entries_max_;
    default: return entries_.size() < 4 * entries_max_;
    }
}

void Recorder::add(Entry entry) {
    if (has_room(entry.kind)) {
        entries_.push_back(std::move(entry));
        return;
    }
    Drops& drops = drops_[static_cast<std::size_t>(entry.kind)];
    if (drops.count++ == 0) drops.since = entry.when;
}

std::size_t Recorder::dropped() const noexcept {
    std::size_t all = 0;
    for (const Drops& drops : drops_) all += drops.count;
    return all;
}

std::optional<Instant> Recorder::dropped_since(Entry::Kind kind) const noexcept {
    const Drops& drops = drops_[static_cast<std::size_t>(kind)];
    return drops.count == 0 ? std::nullopt : std::optional(drops.since);
}

void Recorder::add_event(Instant when, std::size_t node, const UniqueAddress& self, const ClusterEvent& event,
                         const IndexOf& index_of) {
    if (const auto* change = std::get_if<ReachabilityChanged>(&event))
        return add_reachability(when, node, self, change->reachability, index_of);
    if (const auto* change = std::get_if<LeaderChanged>(&event)) {
        std::string text = "sees no leader";
        if (change->to) {
            const auto leader = index_of(change->to->address());
            text = "sees " + (leader ? "node " + std::to_string(*leader) : change->to->to_string()) +
                   " as leader";
        }
        return add({.kind = Kind::Note, .when = when, .node = node, .text = std::move(text)});
    }
    if (std::holds_alternative<UnreachableMember>(event) || std::holds_alternative<ReachableMember>(event))
        return;
    if (const Member* member = member_of(event)) add_status(when, node, *member, index_of);
}

void Recorder::add_status(Instant when, std::size_t node, const Member& member, const IndexOf& index_of) {
    const auto subject = index_of(member.address());
    if (!subject) return;
    std::string status(to_string(member.status()));
    const Uid uid = member.unique_address().uid();
    const auto [seen, is_new] = seen_.try_emplace({node, *subject}, uid);
    if (!is_new && seen->second != uid && member.status() == MemberStatus::Removed) {
        // The machine's next life is known already, and its status is not that of the previous one.
        return add({.kind = Kind::Note,
                    .when = when,
                    .node = node,
                    .other = *subject,
                    .text = "sees an earlier life of node " + std::to_string(*subject) + " " + status});
    }
    seen->second = uid;
    add({.kind = Kind::Status, .when = when, .node = node, .other = *subject, .text = std::move(status)});
}

void Recorder::add_reachability(Instant when, std::size_t node, const UniqueAddress& self,
                                const Reachability& reachability, const IndexOf& index_of) {
    std::set<std::size_t> now;
    for (const auto& row : reachability.records_of(self)) {
        if (row.status == ReachabilityStatus::Reachable) continue;
        if (const auto subject = index_of(row.subject.address())) now.insert(*subject);
    }
    std::set<std::size_t>& before = unreachable_[node];
    const auto note = [&](std::size_t subject, Phase phase, const char* text) {
        add({.kind = Kind::Reachability,
             .when = when,
             .node = node,
             .other = subject,
             .text = text,
             .phase = phase});
    };
    for (const std::size_t subject : before)
        if (!now.contains(subject)) note(subject, Phase::End, "no longer unreachable");
    for (const std::size_t subject : now)
        if (!before.contains(subject)) note(subject, Phase::Begin, "unreachable");
    before = std::move(now);
}

std::string Recorder::FrameReader::read(std::span<const std::byte> bytes) {
    std::map<wire::FrameKind, std::size_t> counts;
    while (!bytes.empty()) {
        if (left == 0 && header_bytes < header.size()) {
            header[header_bytes++] = bytes.front();
            bytes = bytes.subspan(1);
            if (header_bytes < header.size()) continue;
            for (const std::byte b : header) left = left << 8 | std::to_integer<std::size_t>(b);
            named = false;
            if (left == 0) header_bytes = 0;
            continue;
        }
        // The kind is the body's first byte: there are fewer than the 251 for which it would take more.
        if (!std::exchange(named, true)) ++counts[static_cast<wire::FrameKind>(bytes.front())];
        const std::size_t here = std::min(left, bytes.size());
        bytes = bytes.subspan(here);
        left -= here;
        if (left == 0) header_bytes = 0;
    }
    std::string text;
    for (const auto& [kind, count] : counts) {
        if (!text.empty()) text += ", ";
        if (count > 1) text += std::to_string(count) + " ";
        text += wire::name_of(kind);
    }
    return text;
}

void Recorder::add_trace(const TraceEvent& event, const NodeOf& node_of) {
    const Segment& segment = event.segment;
    const auto is = [&](TraceEvent::Kind kind) { return event.kind == kind; };
    if (!is(TraceEvent::Kind::Sent) && !is(TraceEvent::Kind::Lost) && !is(TraceEvent::Kind::Arrived)) return;
    if (!is_of_interest(segment)) return;
    const auto from = node_of(segment.from);
    const auto to = node_of(segment.to);
    if (!from || !to) return;
    Entry message{.kind = Kind::Message, .when = event.when, .node = *from, .other = *to};
    if (!has_room(Kind::Message)) {
        streams_.clear();
        if (!is(TraceEvent::Kind::Sent)) add(std::move(message));
        return;
    }
    if (is(TraceEvent::Kind::Arrived)) return add_arrival(event, std::move(message));
    Stream& stream = streams_[{segment.connection, segment.from}];
    if (is(TraceEvent::Kind::Sent)) {
        stream.frames_before = stream.frames;
        stream.on_the_way.push_back(
            {event.when, segment, describe(segment, stream.frames.read(event.payload))});
    } else if (!stream.on_the_way.empty()) {
        // The same bytes are tried again: they begin where this attempt began.
        stream.frames = stream.frames_before;
        message.text = std::move(stream.on_the_way.back().text);
        message.phase = Phase::End;
        stream.on_the_way.pop_back();
        add(std::move(message));
    }
}

void Recorder::add_arrival(const TraceEvent& event, Entry message) {
    const Segment& segment = event.segment;
    auto& on_the_way = streams_[{segment.connection, segment.from}].on_the_way;
    // Segments that a broken connection had in flight before this never arrive.
    const auto is_this = [&](const Sent& sent) {
        return sent.segment.kind == segment.kind && sent.segment.bytes >= segment.bytes;
    };
    const auto sent = std::find_if(on_the_way.begin(), on_the_way.end(), is_this);
    if (sent == on_the_way.end()) {
        message.text = describe(segment, {});
    } else {
        message.when = sent->when;
        message.length = event.when - sent->when;
        message.text = std::move(sent->text);
        on_the_way.erase(on_the_way.begin(), sent + 1);
    }
    add(std::move(message));
    if (segment.kind == Segment::Kind::Finish || segment.kind == Segment::Kind::Reset)
        streams_.erase({segment.connection, segment.from});
}

} // namespace muster::sim
