// SPDX-License-Identifier: Apache-2.0
// What the leader's work needs of the others (protocol.md §8, §9).
#include "core_impl.hpp"
#include <algorithm>
#include <muster/cluster/core/gossip_targets.hpp>

namespace muster {

std::vector<UniqueAddress> ClusterCore::Impl::excused() const {
    return leadership.excused(leaving.departed());
}

ConvergenceReport ClusterCore::Impl::report() const {
    return leadership.report(excused(), tombstones.expired(), leaving.is_held());
}

void ClusterCore::Impl::tick_leader_actions(const Now& now, Effects& out) {
    admission.expire_unproven(now, out);
    if (!is_initialized()) return;
    tombstones.tick(gossip(), now, out);
    if (settings.eager.eager_gossip) apply_acks(now, out);
    if (state->is_leader(self)) {
        if (state->convergence(excused())) {
            leadership.note_convergence(out);
            actions_on_convergence(now, out);
        } else {
            lead_without_convergence(now, out);
        }
    }
    leadership.forget_strangers();
    const bool somebody_prepares = std::ranges::any_of(gossip().members(), [](const Member& m) {
        return m.status() == MemberStatus::PreparingForShutdown ||
               m.status() == MemberStatus::ReadyForShutdown;
    });
    if (self_status() == MemberStatus::Up && somebody_prepares) prepare_for_shutdown(now, out);
    shutdown_self_when_down(out);
}

void ClusterCore::Impl::lead_without_convergence(const Now& now, Effects& out) {
    const Leadership::Wait wait = leadership.wait(out);
    if (wait.weakly_up) change(*wait.weakly_up, now, out);
    if (!wait.is_stuck) return;
    count(out, "cluster.leader.blocked");
    log(out, LogLevel::Warning, "cluster.leader.blocked", {}, {{"why", report().to_string()}});
}

bool ClusterCore::Impl::actions_on_convergence(const Now& now, Effects& out) {
    const auto step = leadership.act(tombstones.expired(), now.wall, out);
    if (!step) return false;
    // Before the local change rule: the state in which self is Exiting is not even seen by self, so that its
    // own removal waits for its exiting tasks.
    const bool self_exits = std::ranges::find(step->exiting, self) != step->exiting.end();
    if (self_exits) core.set_exiting_tasks_running(true);
    change(step->next, now, out);
    // Behind the state that says so: a hand-over looks at what is.
    if (self_exits) run_exiting_tasks(out);
    if (!step->exiting.empty())
        for (const UniqueAddress& target : exiting_gossip_targets(*state, step->exiting))
            sender.send_gossip(target, out);
    return true;
}

void ClusterCore::Impl::on(const ExitingConfirmed& m, const Now& now, Effects& out) {
    if (!is_initialized() || m.to != self || !is_member(m.from)) {
        if (is_initialized() && m.to == self && gossip().is_tombstoned(m.from))
            leaving.answer_farewell(m.from, out);
        count(out, "cluster.exiting_confirmed.ignored");
        return;
    }
    leaving.answer_farewell(m.from, out);
    log(out, LogLevel::Info, "cluster.exiting_confirmed", m.from.to_string());
    leadership.confirm_exit(m.from);
    // It counts as having seen now.
    eager.await_no_more(m.from);
    eager.look_again();
    if (settings.eager.eager_gossip) apply_acks(now, out);
}

} // namespace muster
