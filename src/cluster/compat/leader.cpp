// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/compat/leader.hpp>

#include <utility>

namespace muster {

std::optional<UniqueAddress> elect_leader(const MembershipState& state) { return state.leader(); }

bool is_converged(const MembershipState& state) { return state.convergence(); }

std::optional<MemberStatus> next_status(MemberStatus current, bool converged) noexcept {
    if (!converged) return std::nullopt;
    switch (current) {
    case MemberStatus::Joining:
    case MemberStatus::WeaklyUp: return MemberStatus::Up;
    case MemberStatus::Leaving: return MemberStatus::Exiting;
    case MemberStatus::PreparingForShutdown: return MemberStatus::ReadyForShutdown;
    case MemberStatus::Exiting:
    case MemberStatus::Down: return MemberStatus::Removed;
    case MemberStatus::Up:
    case MemberStatus::ReadyForShutdown:
    case MemberStatus::Removed: break;
    }
    return std::nullopt;
}

std::optional<LeaderHandoverEvent> LeaderHandover::observe(const MembershipState& state) {
    auto leader = elect_leader(state);
    if (leader == current_) return std::nullopt;
    auto from = std::exchange(current_, leader);
    return LeaderHandoverEvent{std::move(from), std::move(leader)};
}

} // namespace muster
