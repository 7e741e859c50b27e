// SPDX-License-Identifier: Apache-2.0
// What joining and admission need of the others (protocol.md §5).
#include "core_impl.hpp"
#include <set>

namespace muster {

void ClusterCore::Impl::found_cluster_if(bool founds, const Now& now, Effects& out) {
    if (founds) admit({own_join(core)}, now, out);
}

void ClusterCore::Impl::on_new_incarnation(const UniqueAddress& fresh, const Now& now, Effects& out) {
    core.begin_incarnation(fresh);
    tombstones.on_new_incarnation();
    admission.on_new_incarnation();
    links.clear();
    heartbeats = HeartbeatMonitor(self, settings);
    found_cluster_if(joining.on_new_incarnation(out), now, out);
}

void ClusterCore::Impl::on(const InitJoin& m, const Now&, Effects& out) { admission.on_init_join(m, out); }
void ClusterCore::Impl::on(const InitJoinAck& m, const Now& now, Effects& out) {
    found_cluster_if(joining.on_ack(m, now, out), now, out);
}
void ClusterCore::Impl::on(const InitJoinNack& m, const Now& now, Effects& out) {
    found_cluster_if(joining.on_nack(m, now, out), now, out);
}
void ClusterCore::Impl::on(const JoinDeferred& m, const Now& now, Effects& out) {
    joining.on_deferred(m, now, out);
}
void ClusterCore::Impl::on(const JoinRefused& m, const Now&, Effects& out) { joining.on_refused(m, out); }

void ClusterCore::Impl::on(const Welcome& m, const Now& now, Effects& out) {
    if (!joining.is_expected(m)) {
        count(out, "cluster.welcome.ignored");
        return;
    }
    if (!exchange.is_possible(m.from, *m.gossip, out)) return;
    joining.welcomed();
    core.install(m.gossip->seen(self), Origin::Elsewhere);
    if (const auto disowned = exchange.without_words_before_joining(m.from, out))
        core.local_change(*disowned);
    log(out, LogLevel::Info, "cluster.join.welcomed", m.from.to_string(),
        {{"members", std::to_string(gossip().members().size())}});
    count(out, "cluster.join.welcomed");
    publish(now, out);
    // The SeenAck of finish() takes its place where eager gossip is on (protocol.md §6.6).
    if (!settings.eager.eager_gossip) sender.send_gossip(m.from, out);
    react_to_own_status(MemberStatus::Removed, out);
}

void ClusterCore::Impl::on(const NotMember& m, const Now&, Effects& out) {
    if (!is_initialized() || m.to != self || !is_member(m.from)) return;
    // A leaving node needs no membership elsewhere: it would only have to be removed there once more.
    const MemberStatus status = self_status();
    if (status == MemberStatus::Exiting || status == MemberStatus::Down) return;
    count(out, "cluster.join.repeated_not_member");
    log(out, LogLevel::Info, "cluster.join.repeated", m.from.to_string(),
        {{"reason", "a member does not know this node: whoever welcomed it told nobody"}});
    send(out, m.from, own_join(core));
}

// --- admission

bool ClusterCore::Impl::may_admit(const Join& m, const Now& now, Effects& out) {
    switch (admission.judge(m, !joining.is_version_pending(), now, out)) {
    case Admission::Verdict::Answered: return false;
    case Admission::Verdict::Admit: return true;
    case Admission::Verdict::Replaces: break;
    }
    if (const auto replaced = admission.replacement(m.node, out)) change(*replaced, now, out);
    admission.defer_replacing(m.node, out);
    return false;
}

void ClusterCore::Impl::on(const Join& m, const Now& now, Effects& out) {
    if (!is_initialized() || !may_admit(m, now, out)) return;
    if (!settings.eager.eager_gossip || admission.is_due(m, now, out)) admit_those_with_room({m}, now, out);
}

void ClusterCore::Impl::on_join_batch_timer(const Now& now, Effects& out) {
    std::vector<Join> admitted;
    std::set<Address> addresses;
    for (Join& m : admission.take_batch(now)) {
        if (!is_initialized() || !may_admit(m, now, out)) continue;
        // Of two incarnations of one address the first wins; the other one asks again and replaces it.
        if (addresses.insert(m.node.address()).second) admitted.push_back(std::move(m));
    }
    admit_those_with_room(std::move(admitted), now, out);
}

void ClusterCore::Impl::admit_those_with_room(std::vector<Join> joins, const Now& now, Effects& out) {
    const std::vector<Join> fitting = admission.those_with_room(std::move(joins), out);
    if (!fitting.empty()) admit(fitting, now, out);
}

void ClusterCore::Impl::admit(const std::vector<Join>& joins, const Now& now, Effects& out) {
    const bool founding = gossip().members().empty() && joins.front().node == self;
    for (const Join& m : joins) {
        heartbeats.forget(m.node.address());
        quarantine.on_joining(m.node.address(), out);
        count(out, "cluster.join.admitted");
        log(out, LogLevel::Info, "cluster.join.admitted", m.node.to_string());
    }
    core.local_change(gossip().update(admission.members_of(joins)));
    if (founding) {
        // The founder numbers itself at once, so that it is the oldest whoever comes next.
        if (state->is_leader(self) && state->convergence(excused())) actions_on_convergence(now, out);
    } else {
        for (const Join& m : joins) {
            if (m.node == self) continue;
            if (settings.eager.eager_gossip) {
                admission.welcome_later(m.node);
            } else {
                sender.send_welcome(m.node, out);
            }
        }
    }
    publish(now, out);
}

void ClusterCore::Impl::on_answered(const UniqueAddress& node, const Now& now, Effects& out) {
    if (const auto proven = admission.on_answered(node, out)) on(*proven, now, out);
}

} // namespace muster
