// SPDX-License-Identifier: Apache-2.0
// Failure detection as the membership uses it: replies, the reaper, quarantines (protocol.md §12.4, §16).
#include "core_impl.hpp"
#include "reaper.hpp"

namespace muster {

void ClusterCore::Impl::on(const Heartbeat& m, const Now&, Effects& out) {
    if (m.from == self.address()) return;
    // Answered whatever the own state is: it proves that the process lives, not that it is a member.
    send(out, m.from, HeartbeatReply{self, m.sequence_nr, m.creation_time_ns});
}

void ClusterCore::Impl::on(const HeartbeatReply& m, const Now& now, Effects& out) {
    heartbeats.on_reply(m, now, out);
}

void ClusterCore::Impl::tick_reaper(const Now& now, Effects& out) {
    if (!is_initialized() || gossip().is_singleton() || !is_member(self)) return;
    write_rows(evidence.consider_doubt(now, out), now, out); // which time alone may have ended
    write_rows(reap(core, heartbeats, now, out), now, out);
}

void ClusterCore::Impl::on_link(const UniqueAddress& peer, LinkEvent event, const Now& now, Effects& out) {
    if (peer == self) return;
    evidence.on_link(peer, event, now);
    const bool is_open = event == LinkEvent::Established || event == LinkEvent::Accepted;
    if (is_open) joining.on_connected(peer.address());
    write_rows(evidence.consider_doubt(now, out), now, out);
    evidence.weigh(peer, event, now, out);
    if (event == LinkEvent::GoodbyeStopping) eager.look_again(); // convergence may have waited for it
    if (event == LinkEvent::Established || event == LinkEvent::Answered) on_answered(peer, now, out);
}

void ClusterCore::Impl::write_rows(std::optional<Reachability> table, const Now& now, Effects& out) {
    if (!table) return;
    change(gossip().with_reachability(*std::move(table)), now, out);
}

void ClusterCore::Impl::follow_events(const std::vector<ClusterEvent>& events, const Now& now, Effects& out) {
    const std::vector<UniqueAddress> active_before = heartbeats.own().active();
    heartbeats.on_published(*state, events, now);
    for (const ClusterEvent& event : events)
        if (const auto* removed = std::get_if<MemberRemoved>(&event))
            on_removed(removed->member.unique_address(), removed->previous, out);
    evidence.on_published(events, active_before, now, out);
}

void ClusterCore::Impl::on_removed(const UniqueAddress& node, MemberStatus previous, Effects& out) {
    eager.on_removed(node);
    admission.on_removed(node);
    evidence.on_removed(node);
    if (node != self) quarantine.on_removed(node, previous, out);
}

} // namespace muster
