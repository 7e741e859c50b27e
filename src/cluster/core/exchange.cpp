// SPDX-License-Identifier: Apache-2.0
// Gossip exchange (protocol.md §6.1 to §6.5, §7).
#include "base/mutants.hpp"
#include "core_impl.hpp"
#include <algorithm>
#include <muster/cluster/state/changes.hpp>
#include <muster/cluster/state/gossip_check.hpp>
#include <muster/ensure.hpp>

namespace muster {
namespace {

/// What §6.3 makes of a received gossip.
struct Decision {
    GossipOutcome outcome{};
    GossipPtr winning;
    bool tick = false; ///< a merge that needs the local change rule (§2)
};

bool has_same_content(const Gossip& a, const Gossip& b) {
    return std::ranges::equal(a.members(), b.members(),
                              [](const Member& x, const Member& y) { return x.same_content(y); }) &&
           a.reachability() == b.reachability() &&
           std::ranges::equal(a.tombstones(), b.tombstones(), {}, &Tombstone::node, &Tombstone::node);
}

/// A merged clock that does not say it is newer than an input it differs from would pass for that input
/// elsewhere.
bool must_tick(const Gossip& merged, const Gossip& input) {
    const VectorRelation relation = merged.version().compare(input.version());
    const bool is_newer = relation == VectorRelation::After || relation == VectorRelation::Concurrent;
    return !is_newer && !has_same_content(merged, input);
}

Decision merge(const GossipPtr& local, const GossipPtr& remote) {
    // Whoever removed a member pruned its clock entry: both sides must do the same before they compare (§3).
    const Gossip pruned_local = local->prune_clock_of(remote->tombstones());
    const Gossip pruned_remote = remote->prune_clock_of(local->tombstones());
    auto merged = std::make_shared<const Gossip>(pruned_remote.merge(pruned_local));
    if (merged->version_id() == remote->version_id()) return {GossipOutcome::Newer, remote, false};
    if (merged->version_id() == local->version_id()) return {GossipOutcome::Older, local, false};
    // What a forgotten entry stood for is in the content and no longer in the clock. Whoever merges the same
    // removal with more or less of it comes to the same clock, and its next change would pass for newer than
    // this: a status would go back.
    const bool forgot =
        pruned_local.version() != local->version() || pruned_remote.version() != remote->version();
    const bool tick = forgot || must_tick(*merged, *local) || must_tick(*merged, *remote);
    return {GossipOutcome::Merge, std::move(merged), tick && !MUSTER_MUTANT(merge_not_ticked)};
}

Decision decide(const GossipPtr& local, const GossipPtr& remote) {
    switch (compare_versions(remote->version(), remote->version_id(), *local)) {
    case VectorRelation::Same:
        return {GossipOutcome::Same, std::make_shared<const Gossip>(local->merge_seen(*remote)), false};
    case VectorRelation::Before: return {GossipOutcome::Older, local, false};
    case VectorRelation::After: return {GossipOutcome::Newer, remote, false};
    case VectorRelation::Concurrent: break;
    }
    return merge(local, remote);
}

/// Whether `remote` says something about this node that only this node can say, and has not.
bool is_own_word_forged(const Gossip& remote, const Gossip& local, const UniqueAddress& self) {
    return remote.version().get(self.key()) > local.version().get(self.key()) ||
           remote.reachability().version_of(self) > local.reachability().version_of(self);
}

/// Whether a gossip whose clock has seen all of `local` says that a status, or a row of `self`, went back.
bool goes_back(const Gossip& remote, const Gossip& local, const UniqueAddress& self) {
    auto theirs = remote.members().begin();
    const auto end = remote.members().end();
    const bool same_members = remote.members().data() == local.members().data();
    for (const Member& mine : same_members ? std::span<const Member>{} : local.members()) {
        while (theirs != end && *theirs < mine) ++theirs;
        if (theirs == end || *theirs != mine || theirs->same_content(mine)) continue;
        // The one legal step down in merge priority (§1.5).
        if (mine.status() == MemberStatus::ReadyForShutdown) continue;
        if (highest_priority(mine, *theirs).status() != theirs->status()) return true;
    }
    return remote.reachability().version_of(self) < local.reachability().version_of(self);
}

/// Both are about the own incarnation: `merged` with the rows that `local` has of `self`, in a version above
/// all that were given.
Reachability own_rows_anew(const Gossip& merged, const Gossip& local, const UniqueAddress& self) {
    const std::int64_t version =
        std::max(merged.reachability().version_of(self), local.reachability().version_of(self)) + 1;
    std::vector<Reachability::Record> rows;
    for (const auto& row : merged.reachability().records())
        if (row.observer != self) rows.push_back(row);
    for (auto row : local.reachability().records_of(self)) {
        if (!merged.has_member(row.subject)) continue;
        row.version = version;
        rows.push_back(std::move(row));
    }
    std::vector<Reachability::Version> versions;
    for (const auto& observer : merged.reachability().versions())
        if (observer.observer != self) versions.push_back(observer);
    versions.push_back({self, version});
    return Reachability{std::move(rows), std::move(versions)};
}

std::string_view counter_of(GossipOutcome outcome) noexcept {
    switch (outcome) {
    case GossipOutcome::Same: return "cluster.gossip.same";
    case GossipOutcome::Older: return "cluster.gossip.older";
    case GossipOutcome::Newer: return "cluster.gossip.newer";
    case GossipOutcome::Merge: return "cluster.gossip.merge";
    }
    return {};
}

} // namespace

bool ClusterCore::Impl::is_sender_valid(const UniqueAddress& from, const UniqueAddress& to,
                                        std::string_view counter, const Now& now, Effects& out) {
    if (may_tell(core, from, to)) return true;
    count(out, counter);
    if (to == self && !is_member(from)) answer_not_member(from, now, out);
    return false;
}

void ClusterCore::Impl::on_envelope(const GossipEnvelope& m, Instant received, const Now& now, Effects& out) {
    if (!is_initialized()) return;
    constexpr std::string_view ignored = "cluster.gossip.ignored";
    const bool expired = now.monotonic - received > settings.gossip_time_to_live;
    if (expired || !m.gossip || m.gossip->members().empty()) {
        count(out, ignored);
        return;
    }
    if (!is_sender_valid(m.from, m.to, ignored, now, out)) return;
    if (!m.gossip->has_member(self)) {
        // Who waits for an answer to its farewell has it: it was removed.
        if (leaving.is_saying_farewell() && m.gossip->is_tombstoned(self)) {
            leaving.end_farewell("removed", out);
            return stop(std::nullopt, out);
        }
        count(out, ignored);
        return;
    }
    if (is_possible(m.from, *m.gossip, out)) take(m.from, m.gossip, now, out);
}

/// Own words that this node could not step over: a joiner's, who holds nothing that check_jump() could
/// compare, and what a node whose incarnation is spent is still to be pushed to.
result<void> ClusterCore::Impl::check_own(const Gossip& remote) const {
    const auto above = [&](std::uint64_t theirs, std::uint64_t own) {
        return theirs > own && (is_spent || theirs - own > gossip_counter_jump_max);
    };
    const bool clock = above(remote.version().get(self.key()), gossip().version().get(self.key()));
    const bool rows = above(static_cast<std::uint64_t>(remote.reachability().version_of(self)),
                            static_cast<std::uint64_t>(gossip().reachability().version_of(self)));
    if (clock || rows)
        return Error{Errc::malformed,
                     "gossip with words of " + self.to_string(),
                     "only it counts on from its own",
                     {}};
    return {};
}

bool ClusterCore::Impl::is_possible(const UniqueAddress& from, const Gossip& remote, Effects& out) const {
    if (remote.version_id() == gossip().version_id()) return true;
    auto checked = check_possible(remote); // again: not every transport has a decoder
    if (checked) checked = check_jump(remote, gossip());
    if (checked) checked = check_own(remote);
    if (checked) return true;
    count(out, "cluster.gossip.impossible");
    log(out, LogLevel::Warning, "cluster.gossip.impossible", from.to_string(),
        {{"reason", checked.error().message()}});
    return false;
}

void ClusterCore::Impl::take(const UniqueAddress& from, const GossipPtr& remote, const Now& now,
                             Effects& out) {
    const GossipPtr local = state->gossip;
    const MemberStatus status_before = self_status();
    if (is_own_word_forged(*remote, *local, self)) return step_over(*remote, from, now, out);
    Decision decision = decide(local, remote);
    if (decision.outcome == GossipOutcome::Newer && decision.winning == remote &&
        goes_back(*remote, *local, self)) {
        count(out, "cluster.gossip.contradicts");
        log(out, LogLevel::Warning, "cluster.gossip.contradicts", from.to_string(),
            {{"what", "a status or own rows that went back"}});
        decision = {GossipOutcome::Merge, std::make_shared<const Gossip>(remote->merge(*local)), true};
    }
    count(out, counter_of(decision.outcome));
    // The first sighting of the own Exiting is still marked seen and answered; what comes after it is not.
    const bool wants_to_know = !core.are_exiting_tasks_running() && !remote->seen_by(self);

    const Origin origin = decision.outcome == GossipOutcome::Newer   ? Origin::Elsewhere
                          : decision.outcome == GossipOutcome::Merge ? Origin::Here
                                                                     : Origin::Unchanged;
    if (decision.tick) {
        local_change(*decision.winning);
    } else if (!core.are_exiting_tasks_running() && !decision.winning->seen_by(self)) {
        install(decision.winning->seen(self), origin);
    } else if (decision.winning != local && !(decision.outcome == GossipOutcome::Same &&
                                              decision.winning->seen_digest() == local->seen_digest())) {
        install(*decision.winning, origin);
    }
    if (state->gossip != local) forget_newcomers(*local);
    publish(now, out);
    react_to_own_status(status_before, out);

    // Its sender may be waiting for just this before it stops.
    if (const Member* teller = remote->find(from);
        settings.patient_leave && teller != nullptr && teller->status() == MemberStatus::Down)
        leaving.answer_farewell(from, out);

    const bool always = decision.outcome == GossipOutcome::Older || decision.outcome == GossipOutcome::Merge;
    if (always || wants_to_know) {
        eager.reply(from, decision.outcome, *remote, out);
    } else if (decision.outcome == GossipOutcome::Same) {
        eager.answer_settled(from, remote->seen_digest(), out);
    }
}

void ClusterCore::Impl::step_over(const Gossip& forged, const UniqueAddress& from, const Now& now,
                                  Effects& out) {
    const GossipPtr local = state->gossip;
    const MemberStatus status_before = self_status();
    warn_of_own_words(from, forged, *local, out);
    count(out, counter_of(GossipOutcome::Merge));
    const Gossip merged =
        forged.prune_clock_of(local->tombstones()).merge(local->prune_clock_of(forged.tombstones()));
    local_change(merged.with_reachability(own_rows_anew(merged, *local, self)));
    forget_newcomers(*local);
    publish(now, out);
    react_to_own_status(status_before, out);
    eager.reply(from, GossipOutcome::Merge, forged, out);
}

void ClusterCore::Impl::warn_of_own_words(const UniqueAddress& from, const Gossip& forged,
                                          const Gossip& local, Effects& out) const {
    count(out, "cluster.gossip.contradicts");
    log(out, LogLevel::Warning, "cluster.gossip.contradicts", from.to_string(),
        {{"what", "this node's own words"},
         {"own_counter", std::to_string(local.version().get(self.key()))},
         {"their_counter", std::to_string(forged.version().get(self.key()))}});
}

void ClusterCore::Impl::disown_words_before_joining(const UniqueAddress& from, Effects& out) {
    const Gossip nothing;
    if (!is_own_word_forged(gossip(), nothing, self)) return;
    warn_of_own_words(from, gossip(), nothing, out);
    local_change(gossip().with_reachability(own_rows_anew(gossip(), nothing, self)));
}

void ClusterCore::Impl::retire_when_spent(Effects& out) {
    if (is_spent || !is_initialized()) return;
    const std::uint64_t counter = gossip().version().get(self.key());
    const auto version = static_cast<std::uint64_t>(gossip().reachability().version_of(self));
    if (counter <= incarnation_counter_max && version <= incarnation_counter_max) return;
    is_spent = true;
    count(out, "cluster.incarnation.spent");
    log(out, LogLevel::Error, "cluster.incarnation.spent", {},
        {{"counter", std::to_string(counter)},
         {"version", std::to_string(version)},
         {"next", "leaves; start it again"}});
    out.emplace_back(effect::Shutdown{ShutdownReason::IncarnationSpent});
}

void ClusterCore::Impl::forget_newcomers(const Gossip& before) {
    if (before.members().data() == gossip().members().data()) return;
    // Both are sorted; where they agree, which is almost everywhere, no names are compared.
    auto known = before.members().begin();
    const auto end = before.members().end();
    for (const Member& m : gossip().members()) {
        while (known != end && *known != m && *known < m) ++known;
        if (known != end && *known == m) {
            ++known;
        } else {
            heartbeats.forget(m.address());
        }
    }
}

void ClusterCore::Impl::on(const GossipStatus& m, const Now& now, Effects& out) {
    if (!is_initialized() || !is_sender_valid(m.from, m.to, "cluster.gossip_status.ignored", now, out))
        return;
    // A status never changes seen: its sender may hold the version without having marked it (§11.1).
    const Gossip& g = gossip();
    const VectorRelation theirs = compare_versions(m.version, m.version_id, g);
    const bool same_version = theirs == VectorRelation::Same;
    if (m.seen_digest && *m.seen_digest != g.seen_digest()) {
        if (same_version && eager.answer_settled(m.from, *m.seen_digest, out)) return;
        sender.send_gossip(m.from, out);
        return;
    }
    if (same_version) return;
    if (theirs == VectorRelation::After) {
        sender.send_status(m.from, out); // the peer then sends its state
    } else {
        sender.send_gossip(m.from, out);
    }
}

// --- rounds

void ClusterCore::Impl::tick_gossip(Effects& out) {
    if (!is_initialized() || gossip().is_singleton()) return;
    gossip_round(out);
    if (!is_speedup_needed()) return;
    set_timer(out, CoreTimer::GossipSpeedUp, 1, Duration(settings.gossip_interval) / 3);
    set_timer(out, CoreTimer::GossipSpeedUp, 2, Duration(settings.gossip_interval) * 2 / 3);
}

void ClusterCore::Impl::gossip_round(Effects& out) {
    if (gossip().is_singleton()) return;
    const auto target = select_gossip_target(*state, settings, random);
    if (!target) return;
    // Who has seen this version, and who is far away, gets the digest; it asks when it needs more.
    if (gossip().seen_by(*target) || !is_own_dc(*target)) {
        sender.send_status(*target, out);
    } else {
        sender.send_gossip(*target, out);
    }
}

bool ClusterCore::Impl::is_speedup_needed() const {
    std::size_t members = 0;
    std::size_t seen = 0;
    const auto all = gossip().members();
    const bool all_own = state->is_all_own_dc();
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (!all_own && !state->is_own_dc(all[i])) continue;
        if (all[i].status() == MemberStatus::Down) return true;
        ++members;
        seen += gossip().overview().seen.test(i) ? 1 : 0;
    }
    return seen < members / 2;
}

} // namespace muster
