// SPDX-License-Identifier: Apache-2.0
// Evidence that an incarnation cannot be reached (protocol.md §12.7): silence is judged by the detectors, but
// a process that is gone often proves it.
#include "core_impl.hpp"
#include <algorithm>
#include <limits>

namespace muster {
namespace {

constexpr Duration refusals_apart = std::chrono::milliseconds{20};
constexpr std::size_t links_max = 8192;
/// A node that left said ExitingConfirmed before it said Goodbye. Usually the leader removes it by that, and
/// a graceful leave shows nobody as unreachable; the row is for the case that the confirmation was lost.
constexpr Duration exiting_confirmation_grace = std::chrono::milliseconds{250};

} // namespace

void ClusterCore::Impl::on_link(const UniqueAddress& peer, LinkEvent event, const Now& now, Effects& out) {
    if (peer == self) return;
    LinkState& link = link_of(peer);
    switch (event) {
    case LinkEvent::Established:
        on_opened(peer, link, now);
        link.replaced = false;
        link.proven = true;
        break;
    case LinkEvent::Accepted: on_opened(peer, link, now); break;
    case LinkEvent::Answered:
        link.replaced = false;
        link.proven = true;
        break;
    case LinkEvent::EndedWithoutGoodbye:
    case LinkEvent::GoodbyeLink:
    case LinkEvent::GoodbyeStopping:
        if (link.open > 0) --link.open;
        link.said_goodbye = event != LinkEvent::EndedWithoutGoodbye;
        link.stopping = link.stopping || event == LinkEvent::GoodbyeStopping;
        // The two connections with a dead process end one after the other: what was refused between them
        // counts.
        if (link.said_goodbye) {
            link.first_refusal.reset();
            link.refused_twice = false;
        }
        if (link.stopping) doubt.explained(peer);
        if (!link.said_goodbye && !link.stopping && link.open == 0 && heartbeats.own().is_active(peer))
            doubt.lost(peer, now.monotonic);
        break;
    case LinkEvent::ReconnectRefused: break; // below, where it is known whether it counts
    case LinkEvent::OtherIncarnation:
        link.replaced = true;
        link.proven = false;
        doubt.explained(peer);
        break;
    }
    consider_doubt(now, out);
    if (event == LinkEvent::ReconnectRefused) on_refused(link_of(peer), now);
    consider_evidence(peer, now, out);
    if (event == LinkEvent::GoodbyeStopping) eager.look_again = true; // convergence may have waited for it
    if (event != LinkEvent::Established && event != LinkEvent::Answered) return;
    consider_predecessors(peer, now, out);
    on_answered(peer, now, out);
}

void ClusterCore::Impl::on_refused(LinkState& link, const Now& now) const {
    if (doubt.holds()) return; // whatever refuses now may be this node's own side
    if (!link.first_refusal) {
        link.first_refusal = now.monotonic;
    } else if (now.monotonic - *link.first_refusal >= refusals_apart) {
        link.refused_twice = true;
    }
}

void ClusterCore::Impl::consider_doubt(const Now& now, Effects& out) {
    if (!settings.eager.death_evidence || !is_initialized()) return;
    switch (doubt.consider(heartbeats.own().active(), now.monotonic)) {
    case EvidenceDoubt::Change::None: return;
    case EvidenceDoubt::Change::Begins: begin_doubt(now, out); break;
    case EvidenceDoubt::Change::Ends:
        log(out, LogLevel::Info, "cluster.evidence.trusted", {},
            {{"lost", std::to_string(doubt.still_lost())}});
        break;
    }
    // Only what is refused from now on counts.
    for (auto& [node, link] : links) {
        link.first_refusal.reset();
        link.refused_twice = false;
    }
}

void ClusterCore::Impl::begin_doubt(const Now& now, Effects& out) {
    const auto is_in_window = [&](const auto& row) { return now.monotonic - row.second < doubt.window(); };
    Reachability table = gossip().reachability();
    std::size_t taken_back = 0;
    for (const auto& row : evidence_rows) {
        if (!is_in_window(row) || table.is_reachable(self, row.first)) continue;
        heartbeats.unmark_dead(row.first);
        table = table.reachable(self, row.first);
        ++taken_back;
    }
    evidence_rows.clear();
    std::erase_if(evidence_due, [&](const auto& due) {
        const auto link = links.find(due.first);
        return link == links.end() || (!link->second.replaced && !link->second.stopping);
    });
    count(out, "cluster.evidence.doubted");
    count(out, "cluster.evidence.taken_back", taken_back);
    log(out, LogLevel::Warning, "cluster.evidence.doubted", {},
        {{"lost", std::to_string(doubt.recent())},
         {"watched", std::to_string(heartbeats.own().active().size())},
         {"window_ms",
          std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(doubt.window()).count())},
         {"taken_back", std::to_string(taken_back)},
         {"advice", "most connections of this node ended at once, so its own network is suspected (a proxy "
                    "that restarts?); "
                    "heartbeats decide who is unreachable"}});
    if (table == gossip().reachability()) return;
    local_change(gossip().with_reachability(std::move(table)));
    publish(now, out);
}

LinkState& ClusterCore::Impl::link_of(const UniqueAddress& peer) {
    if (links.size() >= std::max(links_max, links_trim_at) && !links.contains(peer)) {
        std::erase_if(links, [&](const auto& e) { return e.second.open == 0 && !is_member(e.first); });
        links_trim_at = 2 * links.size(); // a big cluster must not search all of them for each further one
    }
    return links[peer];
}

void ClusterCore::Impl::on_opened(const UniqueAddress& peer, LinkState& link, const Now& now) {
    ++link.open;
    link.was_open = true;
    link.first_refusal.reset();
    link.refused_twice = false;
    link.stopping = false;
    evidence_due.erase(peer);
    evidence_rows.erase(peer);
    doubt.regained(peer);
    heartbeats.on_handshake(peer, now.monotonic);
    if (joining.process) joining.process->on_connected(peer.address());
}

void ClusterCore::Impl::consider_predecessors(const UniqueAddress& fresh, const Now& now, Effects& out) {
    for (const Member& m : gossip().find_all(fresh.address())) {
        if (m.unique_address() == fresh) continue;
        LinkState& link = link_of(m.unique_address());
        link.replaced = true;
        link.proven = false;
        doubt.explained(m.unique_address());
        consider_evidence(m.unique_address(), now, out);
    }
    // Also of nodes that are no members (yet): a Join of theirs that comes late is void (§5.6 rule 3).
    const UniqueAddress first(fresh.address(), Uid{std::numeric_limits<std::int64_t>::min()});
    for (auto at = links.lower_bound(first); at != links.end() && at->first.address() == fresh.address();
         ++at)
        if (at->first != fresh) {
            at->second.replaced = true;
            at->second.proven = false;
        }
}

bool ClusterCore::Impl::is_link_over(const UniqueAddress& node) const noexcept {
    const auto link = links.find(node);
    return link != links.end() &&
           (link->second.replaced || (link->second.was_open && link->second.open == 0));
}

bool ClusterCore::Impl::is_evidence_complete(const UniqueAddress& node, const LinkState& link) const {
    const Member* m = gossip().find(node);
    if (m == nullptr || !is_own_dc(node)) return false;
    if (link.replaced) return true;
    if (link.open != 0) return false;
    // A member that is on its way out and says that it stops will not come back.
    if (link.stopping && remove_unreachable.contains(m->status())) return true;
    return link.was_open && !link.said_goodbye && link.refused_twice && !doubt.holds();
}

void ClusterCore::Impl::consider_evidence(const UniqueAddress& node, const Now& now, Effects& out) {
    if (!settings.eager.death_evidence || !is_initialized()) return;
    const auto found = links.find(node);
    if (found == links.end()) return;
    const LinkState& link = found->second;
    const bool may_write = is_evidence_complete(node, link) && heartbeats.is_active(node) &&
                           gossip().reachability().is_reachable(self, node);
    if (!may_write) {
        evidence_due.erase(node);
        return;
    }
    if (evidence_due.contains(node)) return;
    // Not all monitors at once: usually the first row makes the others needless. Even the first one waits for
    // the next turn, so that what falls into one turn is one change.
    Instant due = now.monotonic + monitor_rank(node) * Duration(settings.eager.evidence_rank_delay);
    if (!link.replaced && link.stopping && gossip().find(node)->status() == MemberStatus::Exiting)
        due += exiting_confirmation_grace;
    evidence_due.emplace(node, due);
    count(out, "cluster.evidence.complete");
    set_evidence_timer(now, out);
}

void ClusterCore::Impl::reconsider_evidence(const std::vector<ClusterEvent>& events,
                                            const std::vector<UniqueAddress>& active_before, const Now& now,
                                            Effects& out) {
    if (!settings.eager.death_evidence || links.empty()) return;
    // Refusals are not among it: the next attempt is refused again, and older ones may be out of date.
    const auto look_again = [&](const UniqueAddress& node) {
        const auto link = links.find(node);
        if (link != links.end() && (link->second.replaced || link->second.stopping))
            consider_evidence(node, now, out);
    };
    for (const ClusterEvent& event : events)
        if (std::holds_alternative<MemberExited>(event) || std::holds_alternative<MemberDowned>(event))
            look_again(member_of(event)->unique_address());
    for (const UniqueAddress& node : heartbeats.own().active())
        if (!std::ranges::binary_search(active_before, node)) look_again(node);
}

void ClusterCore::Impl::set_evidence_timer(const Now& now, Effects& out) const {
    std::optional<Instant> earliest;
    for (const auto& [node, due] : evidence_due)
        if (!earliest || due < *earliest) earliest = due;
    if (earliest)
        set_timer(out, CoreTimer::Evidence, 0, std::max(*earliest - now.monotonic, Duration::zero()));
}

std::int64_t ClusterCore::Impl::monitor_rank(const UniqueAddress& node) const {
    const std::vector<UniqueAddress> monitors = heartbeats.own().ring().monitors(node);
    return std::ranges::lower_bound(monitors, self) - monitors.begin();
}

void ClusterCore::Impl::on_evidence_timer(const Now& now, Effects& out) {
    if (!is_initialized()) return;
    std::erase_if(evidence_rows,
                  [&](const auto& row) { return now.monotonic - row.second >= doubt.window(); });
    Reachability table = gossip().reachability();
    for (auto at = evidence_due.begin(); at != evidence_due.end();) {
        if (at->second > now.monotonic) {
            ++at;
            continue;
        }
        const UniqueAddress node = at->first;
        at = evidence_due.erase(at);
        write_evidence(node, table, now, out);
    }
    set_evidence_timer(now, out);
    if (table == gossip().reachability()) return;
    local_change(gossip().with_reachability(std::move(table)));
    publish(now, out);
}

void ClusterCore::Impl::write_evidence(const UniqueAddress& node, Reachability& table, const Now& now,
                                       Effects& out) {
    const LinkState& link = link_of(node);
    // Somebody else was faster: the own row is the reaper's business then.
    if (!is_evidence_complete(node, link) || !heartbeats.is_active(node) || !table.is_reachable(node)) return;
    heartbeats.mark_dead(node);
    table = table.unreachable(self, node);
    if (!link.replaced && !link.stopping) evidence_rows.insert_or_assign(node, now.monotonic);
    count(out, "cluster.evidence.unreachable");
    log(out, LogLevel::Warning, "cluster.unreachable", node.to_string(),
        {{"status", std::string(to_string(gossip().find(node)->status()))},
         {"evidence", link.replaced   ? "another incarnation answers at its address"
                      : link.stopping ? "it said that it stops"
                                      : "its connection broke and new ones are refused"}});
}

} // namespace muster
