// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/state/events.hpp>

#include <algorithm>
#include <array>
#include <muster/cluster/state/membership.hpp>
#include <muster/ensure.hpp>
#include <utility>

namespace muster {
namespace {

/// In the order of ClusterEvent.
constexpr std::array<std::string_view, std::variant_size_v<ClusterEvent>> names{"MemberJoined",
                                                                                "MemberWeaklyUp",
                                                                                "MemberUp",
                                                                                "MemberLeft",
                                                                                "MemberExited",
                                                                                "MemberDowned",
                                                                                "MemberPreparingForShutdown",
                                                                                "MemberReadyForShutdown",
                                                                                "MemberRemoved",
                                                                                "UnreachableMember",
                                                                                "ReachableMember",
                                                                                "UnreachableDataCenter",
                                                                                "ReachableDataCenter",
                                                                                "LeaderChanged",
                                                                                "RoleLeaderChanged",
                                                                                "Convergence",
                                                                                "ClusterShuttingDown",
                                                                                "MemberTombstonesChanged",
                                                                                "SeenChanged",
                                                                                "ReachabilityChanged"};

ClusterEvent event_of_status(const Member& m) {
    switch (m.status()) {
    case MemberStatus::Joining: return MemberJoined{m};
    case MemberStatus::WeaklyUp: return MemberWeaklyUp{m};
    case MemberStatus::Up: return MemberUp{m};
    case MemberStatus::Leaving: return MemberLeft{m};
    case MemberStatus::Exiting: return MemberExited{m};
    case MemberStatus::Down: return MemberDowned{m};
    case MemberStatus::PreparingForShutdown: return MemberPreparingForShutdown{m};
    case MemberStatus::ReadyForShutdown: return MemberReadyForShutdown{m};
    case MemberStatus::Removed: break;
    }
    MUSTER_ENSURE(m.status() != MemberStatus::Removed, "a gossip holds no Removed member");
    return MemberRemoved{m, MemberStatus::Removed};
}

/// One comparison of two states. Each step appends its group of events; the order of the calls in run() is
/// the order of protocol.md §14.1.
class Diff {
public:
    Diff(const MembershipState& before, const MembershipState& after) : before_(before), after_(after) {}

    std::vector<ClusterEvent> run() && {
        // Most installed states differ in `seen` only; then no other event is possible.
        const bool same_members = before_.members().data() == after_.members().data();
        const bool same_reachability = old().reachability() == now().reachability();
        tombstones();
        if (!same_members) members();
        if (!same_members || !same_reachability) {
            member_reachability();
            data_centers();
            leader();
            role_leaders();
        }
        seen();
        if (!same_reachability) events_.emplace_back(ReachabilityChanged{now().reachability()});
        return std::move(events_);
    }

private:
    const Gossip& old() const noexcept { return before_.latest(); }
    const Gossip& now() const noexcept { return after_.latest(); }

    void tombstones() {
        if (old().tombstones().data() == now().tombstones().data() ||
            std::ranges::equal(old().tombstones(), now().tombstones()))
            return;
        events_.emplace_back(MemberTombstonesChanged{{now().tombstones().begin(), now().tombstones().end()}});
    }

    void members() {
        std::vector<ClusterEvent> changes; // published after all removals
        auto left = before_.members().begin();
        auto right = after_.members().begin();
        while (left != before_.members().end() || right != after_.members().end()) {
            if (right == after_.members().end() || (left != before_.members().end() && *left < *right)) {
                auto removed = left->copy_with_status(MemberStatus::Removed);
                MUSTER_ENSURE(removed.has_value(), "every status may become Removed");
                events_.emplace_back(MemberRemoved{*std::move(removed), left->status()});
                ++left;
                continue;
            }
            const bool known = left != before_.members().end() && *left == *right;
            if (!known || left->status() != right->status() || left->up_number() != right->up_number())
                changes.push_back(event_of_status(*right));
            if (known) ++left;
            ++right;
        }
        std::ranges::move(changes, std::back_inserter(events_));
    }

    void member_reachability() {
        const auto old_reach = before_.dc_reach_no_outside();
        const auto new_reach = after_.dc_reach_no_outside();
        for (const UniqueAddress& node : new_reach.all_unreachable_or_terminated()) {
            const Member* member = now().find(node);
            if (member != nullptr && node != after_.self && old_reach.is_reachable(node))
                events_.emplace_back(UnreachableMember{*member});
        }
        for (const UniqueAddress& node : old_reach.all_unreachable()) {
            const Member* member = now().find(node);
            if (member != nullptr && node != after_.self && new_reach.is_reachable(node))
                events_.emplace_back(ReachableMember{*member});
        }
    }

    void data_centers() {
        const auto old_names = before_.unreachable_data_centers();
        const auto new_names = after_.unreachable_data_centers();
        for (const auto& name : new_names) {
            if (!std::ranges::binary_search(old_names, name))
                events_.emplace_back(UnreachableDataCenter{name});
        }
        for (const auto& name : old_names) {
            if (!std::ranges::binary_search(new_names, name)) events_.emplace_back(ReachableDataCenter{name});
        }
    }

    void leader() {
        auto from = before_.leader();
        auto to = after_.leader();
        if (from != to) events_.emplace_back(LeaderChanged{std::move(from), std::move(to)});
    }

    void role_leaders() {
        const auto old_leaders = before_.role_leaders();
        const auto new_leaders = after_.role_leaders();
        auto left = old_leaders.begin();
        auto right = new_leaders.begin();
        while (left != old_leaders.end() || right != new_leaders.end()) {
            if (right == new_leaders.end() || (left != old_leaders.end() && left->first < right->first)) {
                if (left->second) events_.emplace_back(RoleLeaderChanged{left->first, std::nullopt});
                ++left;
                continue;
            }
            const bool known = left != old_leaders.end() && left->first == right->first;
            if (right->second != (known ? left->second : std::nullopt))
                events_.emplace_back(RoleLeaderChanged{right->first, right->second});
            if (known) ++left;
            ++right;
        }
    }

    void seen() {
        const bool was_converged = before_.convergence();
        const bool converged = after_.convergence();
        const bool same_members = before_.members().data() == after_.members().data();
        const bool same_seen = same_members ? old().overview().seen == now().overview().seen
                                            : old().seen_nodes() == now().seen_nodes();
        if (!same_seen || was_converged != converged)
            events_.emplace_back(SeenChanged{converged, now().seen_nodes()});
        if (was_converged != converged) events_.emplace_back(Convergence{converged});
    }

    const MembershipState& before_;
    const MembershipState& after_;
    std::vector<ClusterEvent> events_;
};

} // namespace

std::string_view name_of(const ClusterEvent& event) noexcept {
    return event.valueless_by_exception() ? std::string_view{"?"} : names[event.index()];
}

const Member* member_of(const ClusterEvent& event) noexcept {
    return std::visit(
        [](const auto& e) -> const Member* {
            if constexpr (requires { e.member; })
                return &e.member;
            else
                return nullptr;
        },
        event);
}

std::vector<ClusterEvent> diff_events(const MembershipState* before, const MembershipState* after) {
    if (before == after) return {};
    // The empty state takes self and data center from the other one.
    const auto empty_like = [](const MembershipState& s) {
        return MembershipState{s.self, s.self_data_center, std::make_shared<const Gossip>(),
                               s.cross_dc_connections};
    };
    if (before == nullptr) return Diff{empty_like(*after), *after}.run();
    if (after == nullptr) return Diff{*before, empty_like(*before)}.run();
    return Diff{*before, *after}.run();
}

} // namespace muster
