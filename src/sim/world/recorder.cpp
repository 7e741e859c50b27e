#include <muster/sim/world/recorder.hpp>

#include <algorithm>

namespace muster::sim {

namespace {

using Kind = Recorder::Entry::Kind;
using Phase = Recorder::Entry::Phase;

std::size_t number(HostId host) noexcept {
    return static_cast<std::size_t>(host);
}

std::string describe(const Parcel& parcel) {
    switch (parcel.kind) {
    case Parcel::Kind::Connect: return "connects";
    case Parcel::Kind::Finish: return "closes connection #" + std::to_string(parcel.connection);
    case Parcel::Kind::Reset: return "resets connection #" + std::to_string(parcel.connection);
    default: return std::to_string(parcel.bytes) + " bytes on connection #" + std::to_string(parcel.connection);
    }
}

/// Accept and Window are TCP's own and say nothing about nodes.
bool is_of_interest(const Parcel& parcel) noexcept {
    return parcel.from != parcel.to && parcel.kind != Parcel::Kind::Accept && parcel.kind != Parcel::Kind::Window;
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
            text = "sees " + (leader ? "node " + std::to_string(*leader) : change->to->to_string()) + " as leader";
        }
        return add({.kind = Kind::Note, .when = when, .node = node, .text = std::move(text)});
    }
    if (std::holds_alternative<UnreachableMember>(event) || std::holds_alternative<ReachableMember>(event)) return;
    if (const Member* member = member_of(event)) add_status(when, node, *member, index_of);
}

void Recorder::add_status(Instant when, std::size_t node, const Member& member, const IndexOf& index_of) {
    const auto subject = index_of(member.address());
    if (!subject) return;
    std::string status(to_string(member.status()));
    const Uid uid = member.unique_address().uid();
    const auto [seen, is_new] = seen_.try_emplace({node, *subject}, uid);
    if (!is_new && seen->second != uid && member.status() == MemberStatus::Removed) {
        // The machine's next life is known already: its status is not that of the life before.
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
        add({.kind = Kind::Reachability, .when = when, .node = node, .other = subject, .text = text, .phase = phase});
    };
    for (const std::size_t subject : before)
        if (!now.contains(subject)) note(subject, Phase::End, "no longer unreachable");
    for (const std::size_t subject : now)
        if (!before.contains(subject)) note(subject, Phase::Begin, "unreachable");
    before = std::move(now);
}

void Recorder::add_trace(const TraceEvent& event) {
    const Parcel& parcel = event.parcel;
    if (!is_of_interest(parcel)) return;
    if (event.kind != TraceEvent::Kind::Sent && event.kind != TraceEvent::Kind::Lost &&
        event.kind != TraceEvent::Kind::Arrived)
        return;
    if (!has_room(Kind::Message)) {
        on_the_way_.clear();
        if (event.kind == TraceEvent::Kind::Sent) add({.kind = Kind::Message, .when = event.when});
        return;
    }
    const auto stream = std::pair(parcel.connection, parcel.from);
    Entry message{.kind = Kind::Message,
                  .when = event.when,
                  .node = number(parcel.from),
                  .other = number(parcel.to),
                  .text = describe(parcel)};
    if (event.kind == TraceEvent::Kind::Sent) {
        on_the_way_[stream].push_back({event.when, parcel});
        return;
    }
    auto& sent = on_the_way_[stream];
    if (event.kind == TraceEvent::Kind::Lost) {
        if (!sent.empty()) sent.pop_back();
        message.phase = Phase::End;
        add(std::move(message));
    } else {
        // What a connection that broke had on its way before this never arrives.
        while (!sent.empty() && (sent.front().parcel.kind != parcel.kind || sent.front().parcel.bytes != parcel.bytes))
            sent.pop_front();
        if (!sent.empty()) {
            message.when = sent.front().when;
            message.length = event.when - sent.front().when;
            sent.pop_front();
        }
        add(std::move(message));
    }
    if (sent.empty()) on_the_way_.erase(stream);
}

} // namespace muster::sim
