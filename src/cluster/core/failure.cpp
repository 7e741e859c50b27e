// SPDX-License-Identifier: Apache-2.0
// Failure detection as the membership uses it: replies, the reaper, quarantines (protocol.md §12.4, §16).
#include "core_impl.hpp"
#include <algorithm>
#include <limits>

namespace muster {

void ClusterCore::Impl::on(const Heartbeat& m, const Now&, Effects& out) {
    if (m.from == self.address()) return;
    // Answered whatever the own state is: it proves that the process lives, not that it is a member.
    out.emplace_back(
        effect::Send{Destination(m.from), HeartbeatReply{self, m.sequence_nr, m.creation_time_ns}});
}

void ClusterCore::Impl::on(const HeartbeatReply& m, const Now& now, Effects& out) {
    heartbeats.on_reply(m, now, out);
}

void ClusterCore::Impl::tick_reaper(const Now& now, Effects& out) {
    if (!is_initialized() || gossip().is_singleton() || !is_member(self)) return;
    consider_doubt(now, out); // which time alone may have ended
    Reachability table = gossip().reachability();
    for (const UniqueAddress& node : heartbeats.unavailable(now.monotonic)) {
        const Member* m = gossip().find(node);
        if (m == nullptr || node == self || !table.is_reachable(self, node)) continue;
        table = table.unreachable(self, node);
        const bool expected = m->status() == MemberStatus::Exiting;
        count(out, "cluster.reaper.unreachable");
        log(out, expected ? LogLevel::Info : LogLevel::Warning, "cluster.unreachable", node.to_string(),
            {{"status", std::string(to_string(m->status()))}});
    }
    for (const UniqueAddress& node : gossip().reachability().all_unreachable_from(self)) {
        const Member* m = gossip().find(node);
        if (m == nullptr || !heartbeats.is_available(*m, now.monotonic)) continue;
        table = table.reachable(self, node);
        count(out, "cluster.reaper.reachable");
        log(out, LogLevel::Info, "cluster.reachable", node.to_string());
    }
    if (table == gossip().reachability()) return;
    local_change(gossip().with_reachability(std::move(table)));
    publish(now, out);
}

void ClusterCore::Impl::follow_events(const std::vector<ClusterEvent>& events, const Now& now, Effects& out) {
    const std::vector<UniqueAddress> active_before = heartbeats.own().active();
    heartbeats.on_published(*state, events, now);
    for (const ClusterEvent& event : events)
        if (const auto* removed = std::get_if<MemberRemoved>(&event))
            on_removed(removed->member.unique_address(), removed->previous, out);
    reconsider_evidence(events, active_before, now, out);
}

void ClusterCore::Impl::on_removed(const UniqueAddress& node, MemberStatus previous, Effects& out) {
    forget_eager(node);
    joining.not_member_told.erase(node);
    evidence_due.erase(node);
    evidence_rows.erase(node);
    doubt.explained(node);
    if (const auto link = links.find(node); link != links.end() && link->second.open == 0) links.erase(link);
    if (node == self) return;
    if (previous == MemberStatus::Down) {
        out.emplace_back(effect::Quarantine{node, false});
        return;
    }
    const std::uint64_t number = next_quarantine++;
    quarantines.emplace(node, number);
    quarantine_timers.emplace(number, node);
    set_timer(out, CoreTimer::QuarantineRemoved, number, settings.quarantine_removed_node_after);
}

void ClusterCore::Impl::on_quarantine_timer(std::uint64_t number, Effects& out) {
    const auto pending = quarantine_timers.find(number);
    if (pending == quarantine_timers.end()) return;
    out.emplace_back(effect::Quarantine{pending->second, true});
    quarantines.erase(pending->second);
    quarantine_timers.erase(pending);
}

void ClusterCore::Impl::quarantine_predecessors(const Address& address, Effects& out) {
    const UniqueAddress first(address, Uid{std::numeric_limits<std::int64_t>::min()});
    auto at = quarantines.lower_bound(first);
    while (at != quarantines.end() && at->first.address() == address) {
        out.emplace_back(effect::CancelTimer{{CoreTimer::QuarantineRemoved, at->second}});
        out.emplace_back(effect::Quarantine{at->first, true});
        quarantine_timers.erase(at->second);
        at = quarantines.erase(at);
    }
}

} // namespace muster
