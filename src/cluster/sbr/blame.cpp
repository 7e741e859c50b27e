// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/sbr/blame.hpp>

#include "base/sorted_vector.hpp"
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

namespace muster {

namespace {

bool negative(const Reachability::Record& row) noexcept {
    return row.status != ReachabilityStatus::Reachable;
}

Suspicion suspicion_of(const Reachability::Record& row) { return {row.observer, row.subject}; }

/// The nodes by number, and for each its counterparts: the nodes with which it shares a suspicion in either
/// direction.
struct Counterparts {
    explicit Counterparts(std::span<const Suspicion> suspicions) {
        for (const Suspicion& s : suspicions) {
            nodes.push_back(s.observer);
            nodes.push_back(s.subject);
        }
        nodes = sorted_unique(std::move(nodes));
        of.resize(nodes.size());
        for (const Suspicion& s : suspicions) {
            const std::size_t a = index(s.observer), b = index(s.subject);
            if (a == b) continue;
            of[a].push_back(b);
            of[b].push_back(a);
        }
        for (auto& others : of) others = sorted_unique(std::move(others));
    }
    std::size_t index(const UniqueAddress& node) const {
        return static_cast<std::size_t>(std::ranges::lower_bound(nodes, node) - nodes.begin());
    }

    std::vector<UniqueAddress> nodes; // sorted
    std::vector<std::vector<std::size_t>> of;
};

} // namespace

std::vector<Suspicion> suspicions_of(const Reachability& table) {
    std::vector<Suspicion> all;
    for (const auto& row : table.records())
        if (negative(row)) all.push_back(suspicion_of(row));
    return all;
}

std::vector<UniqueAddress> most_suspected(std::span<const Suspicion> suspicions,
                                          std::span<const UniqueAddress> seen_by) {
    const Counterparts counterparts(suspicions);
    std::vector<std::size_t> unexplained;
    for (const auto& others : counterparts.of) unexplained.push_back(others.size());
    std::vector<UniqueAddress> named;
    while (!unexplained.empty()) {
        const std::size_t most = std::ranges::max(unexplained);
        if (most == 0) break;
        std::vector<std::size_t> suspects;
        for (std::size_t i = 0; i < unexplained.size(); ++i)
            if (unexplained[i] == most) suspects.push_back(i);
        const auto has_seen = [&](std::size_t i) {
            return std::ranges::binary_search(seen_by, counterparts.nodes[i]);
        };
        if (!std::ranges::all_of(suspects, has_seen)) std::erase_if(suspects, has_seen);
        for (const std::size_t suspect : suspects) {
            named.push_back(counterparts.nodes[suspect]);
            unexplained[suspect] = 0;
            for (const std::size_t other : counterparts.of[suspect])
                if (unexplained[other] > 0) --unexplained[other];
        }
    }
    std::ranges::sort(named);
    return named;
}

void WithdrawnSuspicions::note(const Reachability& before, const Reachability& after, Instant now) {
    auto still = after.records().begin();
    const auto end = after.records().end();
    for (const auto& row : before.records()) {
        if (!negative(row)) continue;
        const Suspicion was = suspicion_of(row);
        while (still != end && suspicion_of(*still) < was) ++still;
        const bool stays = still != end && negative(*still) && suspicion_of(*still) == was;
        if (!stays) at_.insert_or_assign(was, now);
    }
    if (at_.size() <= rows_max) return;
    std::vector<Instant> times;
    for (const auto& [suspicion, when] : at_) times.push_back(when);
    std::ranges::sort(times);
    const Instant oldest_kept = times[times.size() - rows_max / 2];
    std::erase_if(at_, [&](const auto& entry) { return entry.second < oldest_kept; });
    if (at_.size() > rows_max) at_.clear(); // all at one time: no better than none
}

std::vector<Suspicion> WithdrawnSuspicions::since(Instant when) const {
    std::vector<Suspicion> found;
    for (const auto& [suspicion, at] : at_)
        if (at >= when) found.push_back(suspicion);
    return found;
}

std::optional<std::vector<UniqueAddress>> blamed(const SbrModel& model, std::span<const Suspicion> explain,
                                                 std::span<const Suspicion> also) {
    const std::vector<UniqueAddress> downable = model.downable();
    const auto may_go = [&](const UniqueAddress& node) { return std::ranges::binary_search(downable, node); };
    const auto is_down = [&](const UniqueAddress& node) {
        const Member* member = model.find(node);
        return member != nullptr && member->status() == MemberStatus::Down;
    };
    const auto is_explained = [&](const Suspicion& s) { return is_down(s.observer) || is_down(s.subject); };
    if (explain.empty()) return std::nullopt;
    if (std::ranges::all_of(explain, is_explained)) return std::vector<UniqueAddress>{};

    std::vector<Suspicion> all;
    std::vector<UniqueAddress> ends;
    const auto take = [&](std::span<const Suspicion> suspicions, bool to_explain) {
        for (const Suspicion& s : suspicions) {
            // A node that is Down already explains its own rows.
            if (!may_go(s.observer) || !may_go(s.subject)) continue;
            all.push_back(s);
            if (to_explain) ends.insert(ends.end(), {s.observer, s.subject});
        }
    };
    take(explain, true);
    take(also, false);
    ends = sorted_unique(std::move(ends));

    const std::vector<UniqueAddress> suspects = most_suspected(all, model.seen_by());
    std::vector<UniqueAddress> guilty;
    std::ranges::set_intersection(suspects, ends, std::back_inserter(guilty));
    if (guilty.empty()) return std::nullopt;
    const auto certain = model.members({.not_possibly_exiting = true});
    const auto left = std::ranges::count_if(
        certain, [&](const Member& m) { return !std::ranges::binary_search(guilty, m.unique_address()); });
    if (2 * static_cast<std::size_t>(left) <= downable.size()) return std::nullopt;
    return guilty;
}

bool is_lone_accuser(const SbrModel& model) {
    const auto rows = model.reachability().records();
    if (rows.empty()) return false;
    if (!std::ranges::all_of(rows, [&](const auto& row) { return row.observer == model.self(); }))
        return false;
    return std::ranges::any_of(model.reachable_members(),
                               [&](const Member& m) { return m.unique_address() != model.self(); });
}

DowningVerdict verdict_of(const DowningStrategy& strategy, const SbrModel& model,
                          SbrSettings::Indirect indirect, std::span<const Suspicion> withdrawn) {
    if (indirect == SbrSettings::Indirect::All) return strategy.decide(model);
    SbrModel by_seen = model;
    by_seen.require_seen();
    DowningVerdict verdict = strategy.decide(by_seen);
    if (!is_indirect(verdict.decision)) return verdict;
    auto few = blamed(model, suspicions_of(model.reachability()), withdrawn);
    if (few && few->empty()) {
        verdict.decision = DowningDecision::Stay;
        verdict.acquire_delay = {};
        verdict.rule =
            "whatever is wrong has to do with members that are Down already: wait for their removal";
    } else if (few) {
        verdict.blamed = *std::move(few);
    }
    return verdict;
}

} // namespace muster
