// SPDX-License-Identifier: Apache-2.0
// The leader's work (protocol.md §8, §9).
#include "base/sorted_vector.hpp"
#include "core_impl.hpp"
#include <algorithm>
#include <muster/cluster/state/changes.hpp>

namespace muster {
namespace {

constexpr std::uint64_t stuck_log_first = 20;
constexpr std::uint64_t stuck_log_every = 60;

} // namespace

void ClusterCore::Impl::tick_leader_actions(const Now& now, Effects& out) {
    expire_unproven(now, out);
    if (!is_initialized()) return;
    tombstones.tick(gossip(), now, out);
    if (settings.eager.eager_gossip) apply_acks(now, out);
    if (state->is_leader(self)) {
        if (state->convergence(excused())) {
            if (not_converged_ticks >= stuck_log_first) log(out, LogLevel::Info, "cluster.leader.acts_again");
            not_converged_ticks = 0;
            actions_on_convergence(now, out);
        } else {
            lead_without_convergence(now, out);
        }
    }
    std::erase_if(exiting_confirmed, [&](const UniqueAddress& n) { return !is_member(n); });
    const bool somebody_prepares = std::ranges::any_of(gossip().members(), [](const Member& m) {
        return m.status() == MemberStatus::PreparingForShutdown ||
               m.status() == MemberStatus::ReadyForShutdown;
    });
    if (self_status() == MemberStatus::Up && somebody_prepares) prepare_for_shutdown(now, out);
    shutdown_self_when_down(now, out);
}

void ClusterCore::Impl::lead_without_convergence(const Now& now, Effects& out) {
    ++not_converged_ticks;
    const auto waited = settings.leader_actions_interval * static_cast<std::int64_t>(not_converged_ticks);
    if (settings.allow_weakly_up_members && waited >= *settings.allow_weakly_up_members &&
        !core.is_preparing_for_shutdown())
        move_joining_to_weakly_up(now, out);
    if (not_converged_ticks != stuck_log_first && not_converged_ticks % stuck_log_every != 0) return;
    count(out, "cluster.leader.blocked");
    log(out, LogLevel::Warning, "cluster.leader.blocked", {}, {{"why", report().to_string()}});
}

LeaderActionInputs ClusterCore::Impl::leader_inputs() const {
    LeaderActionInputs inputs;
    inputs.exiting_confirmed = exiting_confirmed;
    inputs.min_nr_of_members = settings.min_nr_of_members;
    inputs.role_min_nr_of_members = settings.role_min_nr_of_members;
    inputs.preparing_for_shutdown = core.is_preparing_for_shutdown();
    inputs.expired_tombstones = tombstones.expired();
    return inputs;
}

void ClusterCore::Impl::log_leader_actions(const LeaderActions& actions, Effects& out) const {
    if (!actions.changed.empty()) count(out, "cluster.leader.moved", actions.changed.size());
    if (!actions.removed.empty()) count(out, "cluster.leader.removed", actions.removed.size());
    for (const Member& m : actions.changed)
        log(out, LogLevel::Info, "cluster.leader.moves", m.unique_address().to_string(),
            {{"to", std::string(to_string(m.status()))}});
    for (const UniqueAddress& n : actions.removed)
        log(out, LogLevel::Info, "cluster.leader.removes", n.to_string());
}

bool ClusterCore::Impl::actions_on_convergence(const Now& now, Effects& out) {
    const LeaderActionInputs inputs = leader_inputs();
    const LeaderActions actions = state->leader_actions(inputs);
    const Gossip next = apply_actions(actions, inputs.expired_tombstones, now.wall, gossip());
    if (next.version_id() == gossip().version_id()) return false;

    std::vector<UniqueAddress> exiting;
    for (const Member& m : actions.changed)
        if (m.status() == MemberStatus::Exiting) exiting.push_back(m.unique_address());
    // Before the local change rule: the state in which self is Exiting is not even seen by self, so that its
    // own removal waits for its exiting tasks.
    const bool self_exits = std::ranges::find(exiting, self) != exiting.end();
    if (self_exits) core.set_exiting_tasks_running(true);
    log_leader_actions(actions, out);
    std::erase_if(exiting_confirmed,
                  [&](const UniqueAddress& n) { return std::ranges::binary_search(actions.removed, n); });
    local_change(next);
    publish(now, out);
    // Behind the state that says so: a hand-over looks at what is.
    if (self_exits) run_exiting_tasks(out);
    if (!exiting.empty())
        for (const UniqueAddress& target : exiting_gossip_targets(*state, exiting))
            sender.send_gossip(target, out);
    return true;
}

void ClusterCore::Impl::move_joining_to_weakly_up(const Now& now, Effects& out) {
    LeaderActions actions;
    actions.changed = state->joining_to_weakly_up(leader_inputs());
    if (actions.changed.empty()) return;
    log_leader_actions(actions, out);
    local_change(gossip().update(actions.changed));
    publish(now, out);
}

void ClusterCore::Impl::on(const ExitingConfirmed& m, const Now& now, Effects& out) {
    if (!is_initialized() || m.to != self || !is_member(m.from)) {
        if (is_initialized() && m.to == self && gossip().is_tombstoned(m.from)) answer_farewell(m.from, out);
        count(out, "cluster.exiting_confirmed.ignored");
        return;
    }
    answer_farewell(m.from, out);
    log(out, LogLevel::Info, "cluster.exiting_confirmed", m.from.to_string());
    sorted_insert(exiting_confirmed, m.from);
    // It counts as having seen now.
    eager.await_no_more(m.from);
    eager.look_again();
    if (settings.eager.eager_gossip) apply_acks(now, out);
}

} // namespace muster
