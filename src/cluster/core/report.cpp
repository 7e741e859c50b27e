// SPDX-License-Identifier: Apache-2.0
// Why the cluster is not converged, and what its leader waits for.
#include <muster/cluster/core/report.hpp>

#include "leadership.hpp"
#include <algorithm>
#include <map>

namespace muster {
namespace {

constexpr std::size_t listed_max = 10;

/// "a, b, c and 7 more": a report about a thousand nodes stays one line.
template <class Range, class Text>
std::string listed(const Range& items, Text text) {
    std::string out;
    std::size_t n = 0;
    for (const auto& item : items) {
        if (n == listed_max) break;
        out += (n++ == 0 ? "" : ", ") + text(item);
    }
    if (items.size() > listed_max) out += " and " + std::to_string(items.size() - listed_max) + " more";
    return out;
}

std::string short_name(const UniqueAddress& node) { return node.address().host_port(); }

std::string numbered(std::size_t n, std::string_view what) {
    return std::to_string(n) + " " + std::string(what) + (n == 1 ? "" : "s");
}

} // namespace

std::string ConvergenceReport::to_string() const {
    std::string out = converged ? "converged" : "not converged";
    out += leader ? ", leader " + short_name(*leader) : ", no leader";
    if (!not_seen.empty()) out += "; not seen by " + listed(not_seen, short_name);
    if (!unreachable.empty())
        out += "; unreachable " + listed(unreachable, [](const UnreachableReport& u) {
                   return short_name(u.node) + " (" + std::string(muster::to_string(u.status)) + ", says " +
                          listed(u.observers, short_name) + (u.blocks ? ", blocks)" : ")");
               });
    for (const std::string& reason : leader_waits_for) out += "; " + reason;
    if (!resolver_waits_for.empty()) out += "; " + resolver_waits_for;
    return out;
}

namespace {

std::vector<UnreachableReport> unreachable_members(const MembershipState& state,
                                                   std::span<const UniqueAddress> not_waited_for) {
    const Gossip& gossip = state.latest();
    const std::vector<UniqueAddress> blocking = state.convergence_blocking_unreachable(not_waited_for);
    std::map<UniqueAddress, std::vector<UniqueAddress>> observers;
    for (const Reachability::Record& row : gossip.reachability().records())
        if (row.status != ReachabilityStatus::Reachable) observers[row.subject].push_back(row.observer);
    std::vector<UnreachableReport> all;
    for (const UniqueAddress& node : gossip.reachability().all_unreachable_or_terminated()) {
        const Member* m = gossip.find(node);
        if (m == nullptr) continue;
        all.push_back({node, m->status(), gossip.reachability().status(node), std::move(observers[node]),
                       std::ranges::binary_search(blocking, node)});
    }
    return all;
}

} // namespace

ConvergenceReport Leadership::report(std::span<const UniqueAddress> excused,
                                     std::vector<UniqueAddress> expired, bool is_leave_held) const {
    const MembershipState& state = *core_.membership();
    ConvergenceReport r;
    r.converged = state.convergence(excused);
    r.leader = state.leader();
    r.self_is_leader = r.leader == core_.self();
    r.not_converged_ticks = not_converged_ticks_;
    r.not_seen = state.convergence_unseen(excused);
    r.unreachable = unreachable_members(state, excused);
    explain_waiting(r, std::move(expired), is_leave_held);
    return r;
}

void Leadership::explain_waiting(ConvergenceReport& r, std::vector<UniqueAddress> expired,
                                 bool is_leave_held) const {
    const ClusterSettings& settings = core_.settings();
    std::size_t joins = 0;
    std::size_t leavers = 0;
    std::size_t exiting = 0;
    std::size_t downed = 0;
    for (const Member& m : own_dc_members(*core_.membership())) {
        joins += m.status() == MemberStatus::Joining || m.status() == MemberStatus::WeaklyUp ? 1 : 0;
        leavers += m.status() == MemberStatus::Leaving ? 1 : 0;
        exiting += m.status() == MemberStatus::Exiting ? 1 : 0;
        downed += m.status() == MemberStatus::Down ? 1 : 0;
    }
    const LeaderActions actions = core_.membership()->leader_actions(inputs(std::move(expired)));
    const bool would_admit =
        std::ranges::any_of(actions.changed, [](const Member& m) { return m.status() == MemberStatus::Up; });
    const std::string until_converged = r.converged ? "" : " for convergence";
    const auto say = [&](std::string text) { r.leader_waits_for.push_back(std::move(text)); };
    if (joins != 0 && core_.is_preparing_for_shutdown()) {
        say(numbered(joins, "joining member") + " stay out: the cluster prepares for shutdown");
    } else if (joins != 0 && !would_admit) {
        say(numbered(joins, "joining member") + " wait for min-nr-of-members " +
            std::to_string(settings.min_nr_of_members) +
            (settings.role_min_nr_of_members.empty() ? "" : " and the minimum of each role"));
    } else if (joins != 0 && !r.converged) {
        say(numbered(joins, "joining member") + " wait" + until_converged);
    }
    if (leavers != 0 && !r.converged) say(numbered(leavers, "leaving member") + " wait" + until_converged);
    if (is_leave_held) say("this node's leave waits until nobody is unreachable");
    if (exiting != 0)
        say(numbered(exiting, "exiting member") + " wait to confirm their exit or to be unreachable");
    if (downed != 0) say(numbered(downed, "downed member") + " wait to be unreachable" + until_converged);
    for (const UnreachableReport& u : r.unreachable)
        if (u.blocks) say(short_name(u.node) + " must be downed or come back");
}

} // namespace muster
