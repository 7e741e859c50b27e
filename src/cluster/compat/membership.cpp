// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/compat/membership.hpp>

#include <memory>
#include <muster/cluster/state/changes.hpp>
#include <span>
#include <utility>

namespace muster {

void install(MembershipState& state, const Gossip& changed, bool exiting_tasks_in_progress) {
    state.gossip = std::make_shared<const Gossip>(changed_by(state.self, changed, exiting_tasks_in_progress));
}

void add_or_update(MembershipState& state, const Member& member) {
    const Gossip& gossip = state.latest();
    if (member.status() == MemberStatus::Removed || gossip.is_tombstoned(member.unique_address())) return;
    const Member* known = gossip.find(member.unique_address());
    const Member merged = known == nullptr ? member : highest_priority(*known, member);
    if (known != nullptr && merged.same_content(*known)) return;
    state.gossip = std::make_shared<const Gossip>(gossip.update(std::span{&merged, 1}));
}

void remove(MembershipState& state, const UniqueAddress& node, WallTime now) {
    if (!state.latest().has_member(node)) return;
    state.gossip = std::make_shared<const Gossip>(state.latest().remove(std::span{&node, 1}, now));
}

std::optional<ClusterEvent> join(MembershipState& state, const UniqueAddress& node,
                                 std::vector<std::string> roles, AppVersion app_version) {
    if (state.latest().has_member(node) || state.latest().is_tombstoned(node)) return std::nullopt;
    const Member member{node, MemberStatus::Joining, std::move(roles), Member::never_up,
                        std::move(app_version)};
    install(state, state.latest().update(std::span{&member, 1}));
    return MemberJoined{member};
}

std::vector<ClusterEvent> leave(MembershipState& state, const Address& node) {
    const std::vector<Member> leaving = to_leaving(state.latest(), node);
    if (!leaving.empty()) install(state, state.latest().update(leaving));
    std::vector<ClusterEvent> events;
    for (const Member& m : leaving) events.emplace_back(MemberLeft{m});
    return events;
}

std::vector<ClusterEvent> down(MembershipState& state, const Address& node) {
    const std::vector<UniqueAddress> downed = not_yet_down(state.latest().find_all(node));
    if (!downed.empty()) install(state, state.latest().mark_down(downed));
    std::vector<ClusterEvent> events;
    for (const UniqueAddress& n : downed) events.emplace_back(MemberDowned{*state.latest().find(n)});
    return events;
}

std::vector<ClusterEvent> apply_leader_actions(MembershipState& state, WallTime now,
                                               const LeaderActionInputs& inputs) {
    if (!state.is_leader(state.self) || !state.convergence(inputs.exiting_confirmed)) return {};
    const Gossip changed =
        apply_actions(state.leader_actions(inputs), inputs.expired_tombstones, now, state.latest());
    if (changed.version_id() == state.latest().version_id()) return {};
    const MembershipState before = state;
    install(state, changed);
    return diff_events(&before, &state);
}

} // namespace muster
