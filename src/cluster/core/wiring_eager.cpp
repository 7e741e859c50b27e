// SPDX-License-Identifier: Apache-2.0
// What eager gossip needs of the others (protocol.md §6.6).
#include "core_impl.hpp"

namespace muster {

void ClusterCore::Impl::finish_eager(const Now& now, Effects& out) {
    if (!settings.eager.eager_gossip || !eager.is_work_left() || !is_member(self)) return;
    if (eager.begin_look()) {
        // Each action takes a member one status further, so this ends; no ticks are counted here.
        while (eager.is_leader() && state->convergence(excused()) && actions_on_convergence(now, out)) {
        }
        for (const UniqueAddress& node : admission.take_welcomes())
            if (is_member(node)) sender.send_welcome(node, out);
        eager.look(eager.is_leader() ? excused() : std::vector<UniqueAddress>{}, out);
    }
    eager.send_acks(out);
    eager.forward_when_allowed(now, out);
}

void ClusterCore::Impl::on(const SeenAck& m, const Now& now, Effects& out) {
    if (m.version_id == farewell_answer) {
        if (!is_initialized() || !may_tell(core, m.from, m.to) || !leaving.is_saying_farewell()) return;
        leaving.end_farewell("answered", out);
        return stop(std::nullopt, out);
    }
    if (eager.on_ack(m, out)) apply_acks(now, out);
}

void ClusterCore::Impl::apply_acks(const Now& now, Effects& out) {
    auto acknowledged = eager.acknowledged();
    if (!acknowledged) return;
    core.install(*std::move(acknowledged));
    publish(now, out);
}

void ClusterCore::Impl::on_repair_timer(std::uint64_t number, const Now& now, Effects& out) {
    if (!is_initialized()) return;
    const EagerGossip::Due due = eager.on_repair_timer(number);
    apply_acks(now, out); // who is to be repaired, too, depends on it
    switch (due) {
    case EagerGossip::Due::Acks: break;
    case EagerGossip::Due::UnknownAcks:
        for (const auto& [node, version] : eager.take_unknown_acks()) {
            if (!is_member(node)) {
                admission.answer_not_member(node, now, out);
            } else if (version != gossip().version_id()) {
                sender.send_status(node, out);
            }
        }
        break;
    case EagerGossip::Due::Repair: eager.repair(out); break;
    }
}

void ClusterCore::Impl::on(const Converged& m, const Now& now, Effects& out) {
    auto united = eager.on_converged(m, out);
    if (!united) return;
    if (united->seen_digest() != gossip().seen_digest()) {
        core.install(*std::move(united));
        publish(now, out);
    }
    eager.answer_converged(m, out);
}

} // namespace muster
