// SPDX-License-Identifier: Apache-2.0
#include "gossip_exchange.hpp"

#include "base/mutants.hpp"
#include "emit.hpp"
#include <algorithm>
#include <muster/cluster/core/gossip_targets.hpp>
#include <muster/cluster/state/changes.hpp>
#include <muster/cluster/state/gossip_check.hpp>
#include <muster/ensure.hpp>
#include <string>
#include <utility>

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
    // The remover of a member pruned its clock entry: both sides must do the same before they compare (§3).
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

/// Own words that this node could not step over: a joiner's, who holds nothing that check_jump() could
/// compare, and what a node whose incarnation is spent is still to be pushed to.
result<void> GossipExchange::check_own(const Gossip& remote) const {
    const auto above = [&](std::uint64_t theirs, std::uint64_t own) {
        return theirs > own && (is_spent_ || theirs - own > gossip_counter_jump_max);
    };
    const bool clock =
        above(remote.version().get(core_.self().key()), core_.gossip().version().get(core_.self().key()));
    const bool rows =
        above(static_cast<std::uint64_t>(remote.reachability().version_of(core_.self())),
              static_cast<std::uint64_t>(core_.gossip().reachability().version_of(core_.self())));
    if (clock || rows)
        return Error{Errc::malformed,
                     "gossip with words of " + core_.self().to_string(),
                     "only it counts on from its own",
                     {}};
    return {};
}

bool GossipExchange::is_possible(const UniqueAddress& from, const Gossip& remote, Effects& out) const {
    if (remote.version_id() == core_.gossip().version_id()) return true;
    auto checked = check_possible(remote); // again: not every transport has a decoder
    if (checked) checked = check_jump(remote, core_.gossip());
    if (checked) checked = check_own(remote);
    if (checked) return true;
    count(out, "cluster.gossip.impossible");
    log(out, LogLevel::Warning, "cluster.gossip.impossible", from.to_string(),
        {{"reason", checked.error().message()}});
    return false;
}

GossipExchange::Verdict GossipExchange::judge(const UniqueAddress& from, const GossipPtr& remote,
                                              Effects& out) const {
    const GossipPtr local = core_.membership()->gossip;
    const UniqueAddress& self = core_.self();
    if (is_own_word_forged(*remote, *local, self)) return step_over(from, *remote, out);
    Decision decision = decide(local, remote);
    if (decision.outcome == GossipOutcome::Newer && decision.winning == remote &&
        goes_back(*remote, *local, self)) {
        count(out, "cluster.gossip.contradicts");
        log(out, LogLevel::Warning, "cluster.gossip.contradicts", from.to_string(),
            {{"what", "a status or own rows that went back"}});
        decision = {GossipOutcome::Merge, std::make_shared<const Gossip>(remote->merge(*local)), true};
    }
    count(out, counter_of(decision.outcome));
    Verdict verdict;
    verdict.outcome = decision.outcome;
    verdict.is_local_change = decision.tick;
    // The first sighting of the own Exiting is still marked seen and answered; what comes after it is not.
    verdict.wants_answer = !core_.are_exiting_tasks_running() && !remote->seen_by(self);
    if (decision.outcome == GossipOutcome::Newer) verdict.origin = Origin::Elsewhere;
    if (decision.outcome == GossipOutcome::Merge) verdict.origin = Origin::Here;

    if (decision.tick) {
        verdict.gossip = *decision.winning;
    } else if (!core_.are_exiting_tasks_running() && !decision.winning->seen_by(self)) {
        verdict.gossip = decision.winning->seen(self);
    } else if (decision.winning != local && !(decision.outcome == GossipOutcome::Same &&
                                              decision.winning->seen_digest() == local->seen_digest())) {
        verdict.gossip = *decision.winning;
    }
    return verdict;
}

/// What only this node writes and `forged` has further: merged, stepped over, the own rows written anew (§2).
GossipExchange::Verdict GossipExchange::step_over(const UniqueAddress& from, const Gossip& forged,
                                                  Effects& out) const {
    const GossipPtr local = core_.membership()->gossip;
    warn_of_own_words(from, forged, *local, out);
    count(out, counter_of(GossipOutcome::Merge));
    const Gossip merged =
        forged.prune_clock_of(local->tombstones()).merge(local->prune_clock_of(forged.tombstones()));
    Verdict verdict;
    verdict.outcome = GossipOutcome::Merge;
    verdict.gossip = merged.with_reachability(own_rows_anew(merged, *local, core_.self()));
    verdict.is_forged = true;
    verdict.is_local_change = true;
    verdict.origin = Origin::Here;
    return verdict;
}

void GossipExchange::warn_of_own_words(const UniqueAddress& from, const Gossip& forged, const Gossip& local,
                                       Effects& out) const {
    count(out, "cluster.gossip.contradicts");
    log(out, LogLevel::Warning, "cluster.gossip.contradicts", from.to_string(),
        {{"what", "this node's own words"},
         {"own_counter", std::to_string(local.version().get(core_.self().key()))},
         {"their_counter", std::to_string(forged.version().get(core_.self().key()))}});
}

std::optional<Gossip> GossipExchange::without_words_before_joining(const UniqueAddress& from,
                                                                   Effects& out) const {
    const Gossip nothing;
    if (!is_own_word_forged(core_.gossip(), nothing, core_.self())) return std::nullopt;
    warn_of_own_words(from, core_.gossip(), nothing, out);
    return core_.gossip().with_reachability(own_rows_anew(core_.gossip(), nothing, core_.self()));
}

GossipExchange::Answer GossipExchange::judge(const GossipStatus& m) const {
    // A status never changes seen: its sender may hold the version without having marked it (§11.1).
    const Gossip& g = core_.gossip();
    const VectorRelation theirs = compare_versions(m.version, m.version_id, g);
    const bool same_version = theirs == VectorRelation::Same;
    if (m.seen_digest && *m.seen_digest != g.seen_digest())
        return same_version ? Answer::Settled : Answer::Gossip;
    if (same_version) return Answer::None;
    // The peer then sends its state.
    return theirs == VectorRelation::After ? Answer::Status : Answer::Gossip;
}

// --- rounds

void GossipExchange::tick(Effects& out) {
    if (!core_.is_initialized() || core_.gossip().is_singleton()) return;
    round(out);
    if (!is_speedup_needed()) return;
    set_timer(out, CoreTimer::GossipSpeedUp, 1, Duration(core_.settings().gossip_interval) / 3);
    set_timer(out, CoreTimer::GossipSpeedUp, 2, Duration(core_.settings().gossip_interval) * 2 / 3);
}

void GossipExchange::round(Effects& out) {
    if (core_.gossip().is_singleton()) return;
    const auto target = select_gossip_target(*core_.membership(), core_.settings(), core_.random());
    if (!target) return;
    // A peer that has seen this version, or is far away, gets the digest; it asks when it needs more.
    if (core_.gossip().seen_by(*target) || !core_.is_own_dc(*target)) {
        sender_.send_status(*target, out);
    } else {
        sender_.send_gossip(*target, out);
    }
}

bool GossipExchange::is_speedup_needed() const {
    std::size_t members = 0;
    std::size_t seen = 0;
    const auto all = core_.gossip().members();
    const bool all_own = core_.membership()->is_all_own_dc();
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (!all_own && !core_.membership()->is_own_dc(all[i])) continue;
        if (all[i].status() == MemberStatus::Down) return true;
        ++members;
        seen += core_.gossip().overview().seen.test(i) ? 1 : 0;
    }
    return seen < members / 2;
}

// --- an incarnation that is spent

bool GossipExchange::is_beyond_its_counters() const {
    const auto version = static_cast<std::uint64_t>(core_.gossip().reachability().version_of(core_.self()));
    return core_.gossip().version().get(core_.self().key()) > incarnation_counter_max ||
           version > incarnation_counter_max;
}

bool GossipExchange::retires(Effects& out) {
    if (is_spent_ || !core_.is_initialized() || !is_beyond_its_counters()) return false;
    is_spent_ = true;
    count(out, "cluster.incarnation.spent");
    log(out, LogLevel::Error, "cluster.incarnation.spent", {},
        {{"counter", std::to_string(core_.gossip().version().get(core_.self().key()))},
         {"version", std::to_string(core_.gossip().reachability().version_of(core_.self()))},
         {"next", "leaves; start it again"}});
    return true;
}

void GossipExchange::check() const {
    MUSTER_ENSURE(is_spent_ || !core_.is_initialized() || !is_beyond_its_counters(),
                  "who counts beyond the limit retires");
}

} // namespace muster
