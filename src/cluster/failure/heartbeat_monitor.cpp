// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/failure/heartbeat_monitor.hpp>

#include <algorithm>
#include <muster/cluster/failure/heartbeat_ring.hpp>
#include <type_traits>

namespace muster {

namespace {

using std::chrono::milliseconds;

/// A timer is named by the peer's digest: setting it again replaces it, and two peers never share one.
std::uint64_t timer_number(const UniqueAddress& node) noexcept { return node.key().high ^ node.key().low; }

std::string ms_text(Duration duration) {
    return std::to_string(std::chrono::duration_cast<milliseconds>(duration).count());
}

} // namespace

HeartbeatMonitor::HeartbeatMonitor(UniqueAddress self, const ClusterSettings& settings, RingHash hash)
    : self_(std::move(self)), self_data_center_(settings.multi_dc.self_data_center),
      settings_(settings.failure_detector), multi_dc_(settings.multi_dc),
      own_(self_, settings.failure_detector, std::move(hash)), cross_(self_, settings.multi_dc) {}

void HeartbeatMonitor::on_published(const MembershipState& state, std::span<const ClusterEvent> events,
                                    const Now& now) {
    started_ = true;
    bool members_changed = false;
    // Consecutive events of one kind are applied together.
    Change change{};
    std::vector<UniqueAddress> nodes;
    for (const ClusterEvent& event : events) {
        const Member* member = member_of(event);
        if (member == nullptr) continue;
        members_changed = true;
        const Change next = change_of(event);
        if (next == Change::Removed) cross_.detectors().remove(member->unique_address());
        if (member->data_center() != self_data_center_ || member->unique_address() == self_) continue;
        if (next != change) apply(change, nodes, now.monotonic);
        change = next;
        nodes.push_back(member->unique_address());
    }
    apply(change, nodes, now.monotonic);
    if (!members_changed) return;
    cross_.update(state.members());
    follow_active();
}

HeartbeatMonitor::Change HeartbeatMonitor::change_of(const ClusterEvent& event) noexcept {
    if (std::holds_alternative<MemberRemoved>(event)) return Change::Removed;
    if (std::holds_alternative<UnreachableMember>(event)) return Change::Unreachable;
    return std::holds_alternative<ReachableMember>(event) ? Change::Reachable : Change::Present;
}

void HeartbeatMonitor::apply(Change change, std::vector<UniqueAddress>& nodes, Instant now) {
    switch (change) {
    case Change::Present: own_.add_members(nodes, now); break;
    case Change::Removed: own_.remove_members(nodes, now); break;
    case Change::Unreachable: own_.unreachable_members(nodes, now); break;
    case Change::Reachable: own_.reachable_members(nodes, now); break;
    }
    nodes.clear();
}

void HeartbeatMonitor::follow_active() {
    const auto is_gone = [&](const UniqueAddress& node) { return !is_active(node); };
    std::erase_if(round_trips_, [&](const auto& item) { return is_gone(item.first); });
    std::erase_if(expecting_, [&](const auto& item) { return is_gone(item.second); });
}

void HeartbeatMonitor::tick(const Now& now, Effects& out) {
    if (!started_) return;
    note_lateness(now.monotonic, out);
    if (own_.active().empty()) return;
    ++sequence_nr_;
    send_all(own_.active(), false, now, out);
}

void HeartbeatMonitor::tick_cross_dc(const Now& now, Effects& out) {
    if (!started_ || cross_.receivers().empty()) return;
    ++cross_sequence_nr_;
    send_all(cross_.receivers(), true, now, out);
}

void HeartbeatMonitor::send_all(std::span<const UniqueAddress> receivers, bool cross_dc, const Now& now,
                                Effects& out) {
    const Heartbeat heartbeat{self_.address(), cross_dc ? cross_sequence_nr_ : sequence_nr_,
                              now.monotonic.time_since_epoch().count()};
    const CoreTimer timer =
        cross_dc ? CoreTimer::ExpectFirstCrossDcHeartbeat : CoreTimer::ExpectFirstHeartbeat;
    const Duration patience =
        cross_dc ? multi_dc_.expected_response_after : settings_.expected_response_after;
    for (const UniqueAddress& peer : receivers) {
        out.push_back(effect::Send{Destination(peer.address()), heartbeat});
        if (is_monitoring(peer)) continue;
        // A peer that never answers has no detector that could suspect it, so after a while a heartbeat is
        // made up for it.
        const std::uint64_t number = timer_number(peer);
        if (expecting_.try_emplace(number, peer).second)
            out.push_back(effect::SetTimer{{timer, number}, patience});
    }
    out.push_back(effect::Count{heartbeat_code::sent, receivers.size()});
}

void HeartbeatMonitor::note_lateness(Instant now, Effects& out) {
    const Duration interval = settings_.heartbeat_interval;
    lateness_ = Duration{0};
    if (last_tick_) {
        const Duration since_last = now - *last_tick_;
        lateness_ = std::max(Duration{0}, since_last - interval);
        // The log line to look for when members are called unreachable for no visible reason.
        if (since_last >= 2 * interval) {
            out.push_back(effect::Count{heartbeat_code::starved});
            out.push_back(
                effect::Log{LogLevel::Warning,
                            heartbeat_code::starved,
                            {},
                            {{"since_last_tick_ms", ms_text(since_last)},
                             {"heartbeat_interval_ms", ms_text(interval)},
                             {"advice", "this process got no CPU in time (load, CPU limits, pauses, "
                                        "blocking callbacks); others may call it unreachable"}}});
        }
    }
    last_tick_ = now;
}

void HeartbeatMonitor::on_reply(const HeartbeatReply& reply, const Now& now, Effects& out) {
    const bool cross = cross_.is_receiver(reply.from);
    const std::optional<HeartbeatRecorded> recorded =
        cross ? cross_.on_reply(reply.from, now.monotonic) : own_.on_reply(reply.from, now.monotonic);
    if (!recorded) {
        out.push_back(effect::Count{heartbeat_code::reply_ignored});
        return;
    }
    out.push_back(effect::Count{heartbeat_code::received});
    expecting_.erase(timer_number(reply.from));
    // An echoed time counts only if it can be from this process: a reply to an earlier incarnation at this
    // address carries another clock. Either reply proves that the peer lives.
    const std::int64_t sent_up_to = cross ? cross_sequence_nr_ : sequence_nr_;
    const Instant sent{Duration{reply.creation_time_ns}};
    if (reply.sequence_nr >= 1 && reply.sequence_nr <= sent_up_to && sent <= now.monotonic)
        round_trips_[reply.from] = now.monotonic - sent;
    if (recorded->growing)
        out.push_back(
            effect::Log{LogLevel::Warning,
                        heartbeat_code::interval_growing,
                        reply.from.to_string(),
                        {{"interval_ms", ms_text(recorded->interval)},
                         {"acceptable_pause_ms", ms_text(cross ? multi_dc_.acceptable_heartbeat_pause
                                                               : settings_.acceptable_heartbeat_pause)}}});
    if (!own_.is_active(reply.from) && !cross) follow_active();
}

void HeartbeatMonitor::on_timer(TimerKey key, const Now& now) {
    if (key.timer != CoreTimer::ExpectFirstHeartbeat && key.timer != CoreTimer::ExpectFirstCrossDcHeartbeat)
        return;
    const auto expected = expecting_.find(key.number);
    if (expected == expecting_.end()) return;
    const UniqueAddress node = expected->second;
    expecting_.erase(expected);
    if (is_monitoring(node)) return;
    if (own_.is_active(node))
        own_.detectors().heartbeat(node, now.monotonic);
    else if (cross_.is_receiver(node))
        cross_.detectors().heartbeat(node, now.monotonic);
}

void HeartbeatMonitor::restore(const UniqueAddress& node, bool cross_dc, Instant last) {
    if (cross_dc)
        cross_.detectors().heartbeat(node, last);
    else
        own_.detectors().heartbeat(node, last);
}

void HeartbeatMonitor::forget(const Address& address) {
    own_.detectors().remove(address);
    cross_.detectors().remove(address);
    std::erase_if(round_trips_, [&](const auto& item) { return item.first.address() == address; });
}

bool HeartbeatMonitor::is_available(const Member& member, Instant now) const noexcept {
    return member.data_center() == self_data_center_
               ? own_.detectors().is_available(member.unique_address(), now)
               : cross_.detectors().is_available(member.unique_address(), now);
}

std::vector<UniqueAddress> HeartbeatMonitor::unavailable(Instant now) const {
    const std::vector<UniqueAddress> own = own_.detectors().unavailable(now);
    const std::vector<UniqueAddress> cross = cross_.detectors().unavailable(now);
    std::vector<UniqueAddress> all;
    std::set_union(own.begin(), own.end(), cross.begin(), cross.end(), std::back_inserter(all));
    return all;
}

bool HeartbeatMonitor::is_monitoring(const UniqueAddress& node) const noexcept {
    return own_.detectors().is_monitoring(node) || cross_.detectors().is_monitoring(node);
}

bool HeartbeatMonitor::is_active(const UniqueAddress& node) const noexcept {
    return own_.is_active(node) || cross_.is_receiver(node);
}

void HeartbeatMonitor::mark_dead(const UniqueAddress& node) {
    if (own_.is_active(node))
        own_.detectors().mark_dead(node);
    else if (cross_.is_receiver(node))
        cross_.detectors().mark_dead(node);
}

void HeartbeatMonitor::unmark_dead(const UniqueAddress& node) noexcept {
    own_.detectors().unmark_dead(node);
    cross_.detectors().unmark_dead(node);
}

void HeartbeatMonitor::on_handshake(const UniqueAddress& node, Instant now) {
    own_.detectors().revive(node, now);
    cross_.detectors().revive(node, now);
}

std::vector<HeartbeatMonitor::PeerHealth> HeartbeatMonitor::peers(Instant now) const {
    std::vector<PeerHealth> healths;
    const auto add = [&](const UniqueAddress& node, bool cross_dc, const auto& detectors, double node_phi) {
        PeerHealth health{node, cross_dc, detectors.is_available(node, now), node_phi, {}, {}};
        const auto* detector = detectors.find(node);
        if (detector != nullptr && detector->last_heartbeat())
            health.since_last = now - *detector->last_heartbeat();
        const auto round_trip = round_trips_.find(node);
        if (round_trip != round_trips_.end()) health.round_trip = round_trip->second;
        healths.push_back(std::move(health));
    };
    for (const UniqueAddress& node : own_.active())
        add(node, false, own_.detectors(), own_.detectors().phi(node, now));
    for (const UniqueAddress& node : cross_.receivers()) add(node, true, cross_.detectors(), 0.0);
    return healths;
}

} // namespace muster
