// SPDX-License-Identifier: Apache-2.0
#include "leadership.hpp"

#include "base/sorted_vector.hpp"
#include "emit.hpp"
#include <algorithm>
#include <iterator>
#include <muster/cluster/state/changes.hpp>
#include <muster/ensure.hpp>
#include <string>
#include <utility>

namespace muster {
namespace {

constexpr std::uint64_t stuck_log_first = 20;
constexpr std::uint64_t stuck_log_every = 60;

void log_actions(const LeaderActions& actions, Effects& out) {
    if (!actions.changed.empty()) count(out, "cluster.leader.moved", actions.changed.size());
    if (!actions.removed.empty()) count(out, "cluster.leader.removed", actions.removed.size());
    for (const Member& m : actions.changed)
        log(out, LogLevel::Info, "cluster.leader.moves", m.unique_address().to_string(),
            {{"to", std::string(to_string(m.status()))}});
    for (const UniqueAddress& n : actions.removed)
        log(out, LogLevel::Info, "cluster.leader.removes", n.to_string());
}

} // namespace

void Leadership::restore(std::vector<UniqueAddress> exiting_confirmed) {
    exiting_confirmed_ = std::move(exiting_confirmed);
    std::ranges::sort(exiting_confirmed_);
}

void Leadership::confirm_exit(const UniqueAddress& node) { sorted_insert(exiting_confirmed_, node); }

void Leadership::forget_strangers() {
    std::erase_if(exiting_confirmed_, [&](const UniqueAddress& n) { return !core_.is_member(n); });
}

std::vector<UniqueAddress> Leadership::excused(std::span<const UniqueAddress> departed) const {
    std::vector<UniqueAddress> all;
    std::ranges::set_union(exiting_confirmed_, departed, std::back_inserter(all));
    return all;
}

LeaderActionInputs Leadership::inputs(std::vector<UniqueAddress> expired) const {
    const ClusterSettings& settings = core_.settings();
    LeaderActionInputs inputs;
    inputs.exiting_confirmed = exiting_confirmed_;
    inputs.min_nr_of_members = settings.min_nr_of_members;
    inputs.role_min_nr_of_members = settings.role_min_nr_of_members;
    inputs.preparing_for_shutdown = core_.is_preparing_for_shutdown();
    inputs.expired_tombstones = std::move(expired);
    return inputs;
}

std::optional<Leadership::Step> Leadership::act(std::vector<UniqueAddress> expired, WallTime now,
                                                Effects& out) {
    const LeaderActionInputs inputs = this->inputs(std::move(expired));
    const LeaderActions actions = core_.membership()->leader_actions(inputs);
    Step step{apply_actions(actions, inputs.expired_tombstones, now, core_.gossip()), {}};
    if (step.next.version_id() == core_.gossip().version_id()) return std::nullopt;
    for (const Member& m : actions.changed)
        if (m.status() == MemberStatus::Exiting) step.exiting.push_back(m.unique_address());
    log_actions(actions, out);
    std::erase_if(exiting_confirmed_,
                  [&](const UniqueAddress& n) { return std::ranges::binary_search(actions.removed, n); });
    return step;
}

void Leadership::note_convergence(Effects& out) {
    if (not_converged_ticks_ >= stuck_log_first) log(out, LogLevel::Info, "cluster.leader.acts_again");
    not_converged_ticks_ = 0;
}

Leadership::Wait Leadership::wait(Effects& out) {
    const ClusterSettings& settings = core_.settings();
    Wait result;
    ++not_converged_ticks_;
    const auto waited = settings.leader_actions_interval * static_cast<std::int64_t>(not_converged_ticks_);
    if (settings.allow_weakly_up_members && waited >= *settings.allow_weakly_up_members &&
        !core_.is_preparing_for_shutdown()) {
        LeaderActions actions;
        actions.changed = core_.membership()->joining_to_weakly_up(inputs({}));
        if (!actions.changed.empty()) {
            log_actions(actions, out);
            result.weakly_up = core_.gossip().update(actions.changed);
        }
    }
    result.is_stuck = not_converged_ticks_ == stuck_log_first || not_converged_ticks_ % stuck_log_every == 0;
    return result;
}

void Leadership::check() const {
    MUSTER_ENSURE(std::ranges::is_sorted(exiting_confirmed_), "convergence searches it");
    MUSTER_ENSURE(std::ranges::adjacent_find(exiting_confirmed_) == exiting_confirmed_.end(),
                  "who confirms again says nothing new");
}

} // namespace muster
