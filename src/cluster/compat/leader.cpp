// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/compat/leader.hpp>

#include <utility>

namespace muster {

std::optional<UniqueAddress> elect_leader(const MembershipState& state) { return state.leader(); }

bool is_converged(const MembershipState& state) { return state.convergence(); }

std::optional<MemberStatus> next_status(MemberStatus current, bool converged) noexcept {
    if (!converged) return std::nullopt;
    if (remove_unreachable.contains(current)) return MemberStatus::Removed;
    return promoted(current);
}

std::optional<LeaderHandoverEvent> LeaderHandover::observe(const MembershipState& state) {
    auto leader = elect_leader(state);
    if (leader == current_) return std::nullopt;
    auto from = std::exchange(current_, leader);
    return LeaderHandoverEvent{std::move(from), std::move(leader)};
}

} // namespace muster
