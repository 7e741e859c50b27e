// SPDX-License-Identifier: Apache-2.0
#include "evidence.hpp"

#include "emit.hpp"
#include <algorithm>
#include <muster/ensure.hpp>
#include <string>

namespace muster {
namespace {

/// A node that left said ExitingConfirmed before it said Goodbye. Usually the leader removes it by that, and
/// a graceful leave shows nobody as unreachable; the row is for the case that the confirmation was lost.
constexpr Duration exiting_confirmation_grace = std::chrono::milliseconds{250};

std::optional<Reachability> unless_same(Reachability table, const Reachability& installed) {
    if (table == installed) return std::nullopt;
    return table;
}

} // namespace

Evidence::Evidence(const CoreState& core, PeerLinks& links, HeartbeatMonitor& heartbeats)
    : core_(core), links_(links), heartbeats_(heartbeats), doubt_(core.settings().eager.evidence_window) {}

void Evidence::on_link(const UniqueAddress& peer, LinkEvent event, const Now& now) {
    const PeerLink& link = links_.on_event(peer, event);
    switch (event) {
    case LinkEvent::Established:
    case LinkEvent::Accepted:
        due_.erase(peer);
        rows_.erase(peer);
        doubt_.regained(peer);
        heartbeats_.on_handshake(peer, now.monotonic);
        break;
    case LinkEvent::EndedWithoutGoodbye:
    case LinkEvent::GoodbyeLink:
    case LinkEvent::GoodbyeStopping:
        if (link.stopping) doubt_.explained(peer);
        if (!link.said_goodbye && !link.stopping && link.open == 0 && heartbeats_.own().is_active(peer))
            doubt_.lost(peer, now.monotonic);
        break;
    case LinkEvent::OtherIncarnation: doubt_.explained(peer); break;
    case LinkEvent::Answered:
    case LinkEvent::ReconnectRefused: break;
    }
}

void Evidence::weigh(const UniqueAddress& peer, LinkEvent event, const Now& now, Effects& out) {
    // Under doubt, whatever refuses now may be this node's own side.
    if (event == LinkEvent::ReconnectRefused && !doubt_.holds()) links_.on_refused(peer, now.monotonic);
    consider(peer, now, out);
    if (event == LinkEvent::Established || event == LinkEvent::Answered)
        consider_predecessors(peer, now, out);
}

// --- the window of doubt

std::optional<Reachability> Evidence::consider_doubt(const Now& now, Effects& out) {
    if (!core_.settings().eager.death_evidence || !core_.is_initialized()) return std::nullopt;
    std::optional<Reachability> table;
    switch (doubt_.consider(heartbeats_.own().active(), now.monotonic)) {
    case EvidenceDoubt::Change::None: return std::nullopt;
    case EvidenceDoubt::Change::Begins: table = begin_doubt(now, out); break;
    case EvidenceDoubt::Change::Ends:
        log(out, LogLevel::Info, "cluster.evidence.trusted", {},
            {{"lost", std::to_string(doubt_.still_lost())}});
        break;
    }
    links_.forget_refusals();
    return table;
}

std::optional<Reachability> Evidence::begin_doubt(const Now& now, Effects& out) {
    const auto is_in_window = [&](const auto& row) { return now.monotonic - row.second < doubt_.window(); };
    Reachability table = core_.gossip().reachability();
    std::size_t taken_back = 0;
    for (const auto& row : rows_) {
        if (!is_in_window(row) || table.is_reachable(core_.self(), row.first)) continue;
        heartbeats_.unmark_dead(row.first);
        table = table.reachable(core_.self(), row.first);
        ++taken_back;
    }
    rows_.clear();
    std::erase_if(due_, [&](const auto& due) {
        const PeerLink* link = links_.find(due.first);
        return link == nullptr || (!link->replaced && !link->stopping);
    });
    count(out, "cluster.evidence.doubted");
    count(out, "cluster.evidence.taken_back", taken_back);
    log(out, LogLevel::Warning, "cluster.evidence.doubted", {},
        {{"lost", std::to_string(doubt_.recent())},
         {"watched", std::to_string(heartbeats_.own().active().size())},
         {"window_ms",
          std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(doubt_.window()).count())},
         {"taken_back", std::to_string(taken_back)},
         {"advice", "most connections of this node ended at once, so its own network is suspected (a proxy "
                    "that restarts?); "
                    "heartbeats decide who is unreachable"}});
    return unless_same(std::move(table), core_.gossip().reachability());
}

// --- when evidence is complete

bool Evidence::is_complete(const UniqueAddress& node, const PeerLink& link) const {
    const Member* m = core_.gossip().find(node);
    if (m == nullptr || !core_.membership()->is_own_dc(*m)) return false;
    if (link.replaced) return true;
    if (link.open != 0) return false;
    // A member that is on its way out and says that it stops will not come back.
    if (link.stopping && remove_unreachable.contains(m->status())) return true;
    return link.was_open && !link.said_goodbye && link.refused_twice && !doubt_.holds();
}

void Evidence::consider(const UniqueAddress& node, const Now& now, Effects& out) {
    if (!core_.settings().eager.death_evidence || !core_.is_initialized()) return;
    const PeerLink* link = links_.find(node);
    if (link == nullptr) return;
    const bool may_write = is_complete(node, *link) && heartbeats_.is_active(node) &&
                           core_.gossip().reachability().is_reachable(core_.self(), node);
    if (!may_write) {
        due_.erase(node);
        return;
    }
    if (due_.contains(node)) return;
    // Not all monitors at once: usually the first row makes the others needless. Even the first one waits for
    // the next turn, so that what falls into one turn is one change.
    Instant due = now.monotonic + monitor_rank(node) * Duration(core_.settings().eager.evidence_rank_delay);
    if (!link->replaced && link->stopping && core_.gossip().find(node)->status() == MemberStatus::Exiting)
        due += exiting_confirmation_grace;
    due_.emplace(node, due);
    count(out, "cluster.evidence.complete");
    set_timer_of_next(now, out);
}

void Evidence::consider_predecessors(const UniqueAddress& fresh, const Now& now, Effects& out) {
    for (const Member& m : core_.gossip().find_all(fresh.address())) {
        if (m.unique_address() == fresh) continue;
        links_.mark_replaced(m.unique_address());
        doubt_.explained(m.unique_address());
        consider(m.unique_address(), now, out);
    }
    // Also of nodes that are no members (yet): a Join of theirs that comes late is void (§5.6 rule 3).
    links_.on_answered(fresh);
}

void Evidence::on_removed(const UniqueAddress& node) {
    due_.erase(node);
    rows_.erase(node);
    doubt_.explained(node);
    links_.on_removed(node);
}

void Evidence::on_published(const std::vector<ClusterEvent>& events,
                            std::span<const UniqueAddress> active_before, const Now& now, Effects& out) {
    if (!core_.settings().eager.death_evidence || links_.all().empty()) return;
    // Refusals are not among it: the next attempt is refused again, and older ones may be out of date.
    const auto look_again = [&](const UniqueAddress& node) {
        const PeerLink* link = links_.find(node);
        if (link != nullptr && (link->replaced || link->stopping)) consider(node, now, out);
    };
    for (const ClusterEvent& event : events)
        if (std::holds_alternative<MemberExited>(event) || std::holds_alternative<MemberDowned>(event))
            look_again(member_of(event)->unique_address());
    for (const UniqueAddress& node : heartbeats_.own().active())
        if (!std::ranges::binary_search(active_before, node)) look_again(node);
}

// --- writing it

void Evidence::set_timer_of_next(const Now& now, Effects& out) const {
    std::optional<Instant> earliest;
    for (const auto& [node, due] : due_)
        if (!earliest || due < *earliest) earliest = due;
    if (earliest)
        set_timer(out, CoreTimer::Evidence, 0, std::max(*earliest - now.monotonic, Duration::zero()));
}

std::int64_t Evidence::monitor_rank(const UniqueAddress& node) const {
    const std::vector<UniqueAddress> monitors = heartbeats_.own().ring().monitors(node);
    return std::ranges::lower_bound(monitors, core_.self()) - monitors.begin();
}

std::optional<Reachability> Evidence::on_timer(const Now& now, Effects& out) {
    if (!core_.is_initialized()) return std::nullopt;
    std::erase_if(rows_, [&](const auto& row) { return now.monotonic - row.second >= doubt_.window(); });
    Reachability table = core_.gossip().reachability();
    for (auto at = due_.begin(); at != due_.end();) {
        if (at->second > now.monotonic) {
            ++at;
            continue;
        }
        const UniqueAddress node = at->first;
        at = due_.erase(at);
        write(node, table, now, out);
    }
    set_timer_of_next(now, out);
    return unless_same(std::move(table), core_.gossip().reachability());
}

void Evidence::write(const UniqueAddress& node, Reachability& table, const Now& now, Effects& out) {
    const PeerLink* link = links_.find(node);
    // Another monitor was faster: the own row is the reaper's business then.
    if (link == nullptr || !is_complete(node, *link) || !heartbeats_.is_active(node) ||
        !table.is_reachable(node))
        return;
    heartbeats_.mark_dead(node);
    table = table.unreachable(core_.self(), node);
    if (!link->replaced && !link->stopping) rows_.insert_or_assign(node, now.monotonic);
    count(out, "cluster.evidence.unreachable");
    log(out, LogLevel::Warning, "cluster.unreachable", node.to_string(),
        {{"status", std::string(to_string(core_.gossip().find(node)->status()))},
         {"evidence", link->replaced   ? "another incarnation answers at its address"
                      : link->stopping ? "it said that it stops"
                                       : "its connection broke and new ones are refused"}});
}

void Evidence::check() const {
    const bool may_accuse = core_.settings().eager.death_evidence && core_.is_initialized();
    MUSTER_ENSURE(may_accuse || (due_.empty() && rows_.empty()), "only a member accuses");
    for (const auto& [node, due] : due_) {
        const PeerLink* link = links_.find(node);
        MUSTER_ENSURE(link != nullptr && (link->open == 0 || link->replaced),
                      "nobody is accused whose connection stands");
        MUSTER_ENSURE(core_.is_member(node), "only members are accused");
    }
    for (const auto& [node, written] : rows_) {
        const PeerLink* link = links_.find(node);
        MUSTER_ENSURE(link == nullptr || link->open == 0,
                      "a connection that came back voids what its end said");
    }
}

} // namespace muster
