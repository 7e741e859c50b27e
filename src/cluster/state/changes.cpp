// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/state/changes.hpp>

#include <muster/ensure.hpp>
#include <utility>

namespace muster {

Gossip changed_by(const UniqueAddress& self, const Gossip& changed, bool exiting_tasks_in_progress) {
    const Gossip ticked = changed.increment(self);
    return exiting_tasks_in_progress ? ticked.clear_seen() : ticked.only_seen(self);
}

std::vector<Member> to_leaving(const Gossip& gossip, const Address& node) {
    std::vector<Member> leaving;
    for (const Member& m : gossip.find_all(node)) {
        if (!may_leave.contains(m.status())) continue;
        auto changed = m.copy_with_status(MemberStatus::Leaving);
        MUSTER_ENSURE(changed.has_value(), "every status that may leave may become Leaving");
        leaving.push_back(std::move(*changed));
    }
    return leaving;
}

std::vector<UniqueAddress> not_yet_down(std::span<const Member> members) {
    std::vector<UniqueAddress> nodes;
    for (const Member& m : members)
        if (m.status() != MemberStatus::Down) nodes.push_back(m.unique_address());
    return nodes;
}

Gossip apply_actions(const LeaderActions& actions, std::span<const UniqueAddress> expired_tombstones,
                     WallTime now, const Gossip& gossip) {
    Gossip next = gossip;
    if (!actions.changed.empty()) next = next.update(actions.changed);
    if (!actions.removed.empty()) next = next.remove(actions.removed, now);
    return next.without_tombstones(expired_tombstones);
}

VectorRelation compare_versions(const VectorClock& clock, const Hash128& version_id,
                                const Gossip& held) noexcept {
    const VectorRelation relation = clock.compare(held.version());
    return relation == VectorRelation::Same && version_id != held.version_id() ? VectorRelation::Concurrent
                                                                               : relation;
}

} // namespace muster
