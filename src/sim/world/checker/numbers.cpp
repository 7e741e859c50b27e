// SPDX-License-Identifier: Apache-2.0
// Up_numbers are unique in a data center (protocol.md §19, 4).
#include "sim/world/text.hpp"
#include "state.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace muster::sim {

using namespace std::chrono_literals;

void CheckerState::check_numbers(std::size_t node, const MembershipState& state) {
    std::map<std::pair<std::string_view, std::int32_t>, const Member*> taken;
    for (const Member& m : state.members()) {
        if (m.up_number() == Member::never_up) continue;
        const auto [at, fresh] = taken.try_emplace({m.data_center(), m.up_number()}, &m);
        const auto dc = std::string(m.data_center());
        if (!fresh && m.status() != MemberStatus::Down && at->second->status() != MemberStatus::Down &&
            !numbers_may_repeat.contains(dc))
            note("number-twice", fmt::format("for node {} both {} and {} have number {}", node,
                                             at->second->unique_address().to_string(),
                                             m.unique_address().to_string(), m.up_number()));
        if (!numbered.insert(m.unique_address()).second) continue;
        unsettled.push_back({m.unique_address(), viewer(node).self, dc});
    }
}

/// A number is settled when all running nodes of the data center have it.
void CheckerState::settle_numbers() {
    std::erase_if(unsettled, [&](const Numbered& n) {
        return std::ranges::all_of(viewers, [&](const Viewer& v) {
            if (!v.running || !v.last || v.data_center != n.data_center) return true;
            const Member* m = v.last->find(n.member);
            return m ? m->up_number() != Member::never_up : v.last->is_tombstoned(n.member);
        });
    });
}

/// This node sends nothing any more; numbers it assigned that not all nodes know may be assigned again.
void CheckerState::lose_leader(const UniqueAddress& leader) {
    std::erase_if(unsettled, [&](const Numbered& n) {
        if (n.leader != leader) return false;
        numbers_may_repeat.insert(n.data_center);
        return true;
    });
}

} // namespace muster::sim
