// SPDX-License-Identifier: Apache-2.0
// What operators, resolvers and the transport command (protocol.md §10).
#include "core_impl.hpp"
#include <algorithm>
#include <muster/cluster/state/changes.hpp>
#include <muster/ensure.hpp>

namespace muster {
namespace {

Member with_status(const Member& m, MemberStatus status) {
    auto changed = m.copy_with_status(status);
    MUSTER_ENSURE(changed.has_value(), "commands only make legal transitions");
    return std::move(*changed);
}

} // namespace

void ClusterCore::Impl::change_to_leaving(const Address& node, const Now& now, Effects& out) {
    const std::vector<Member> changed = to_leaving(gossip(), node);
    if (changed.empty()) {
        log(out, LogLevel::Info, "cluster.leave.ignored", node.to_string(),
            {{"reason", is_known(node) ? "its status does not allow it" : "no such member"}});
        return;
    }
    for (const Member& m : changed) log(out, LogLevel::Info, "cluster.leave", m.unique_address().to_string());
    count(out, "cluster.leave", changed.size());
    change(gossip().update(changed), now, out);
    if (!settings.eager.eager_gossip) exchange.round(out); // else finish() forwards it to more than one
}

bool ClusterCore::Impl::is_known(const Address& address) const {
    return std::ranges::any_of(gossip().members(), [&](const Member& m) { return m.address() == address; });
}

void ClusterCore::Impl::down(const std::vector<Member>& incarnations, const Now& now, Effects& out) {
    if (!is_initialized()) return;
    const std::vector<UniqueAddress> downed = not_yet_down(incarnations);
    if (downed.empty()) {
        log(out, LogLevel::Info, "cluster.down.ignored", {},
            {{"reason", incarnations.empty() ? "no such member" : "it is Down already"}});
        return;
    }
    for (const UniqueAddress& n : downed) log(out, LogLevel::Warning, "cluster.down", n.to_string());
    count(out, "cluster.down", downed.size());
    change(gossip().mark_down(downed), now, out);
    for (const UniqueAddress& n : downed) {
        if (n == self) {
            sender.burst(out);
        } else {
            sender.send_gossip(n, out); // it may be alive and must learn that it has to stop
        }
    }
}

void ClusterCore::Impl::quarantined(const UniqueAddress& node, const Now& now, Effects& out) {
    if (!is_initialized() || node == self || !is_member(node)) return;
    const Reachability terminated = gossip().reachability().terminated(self, node);
    if (terminated == gossip().reachability()) return;
    count(out, "cluster.quarantined");
    log(out, LogLevel::Warning, "cluster.quarantined", node.to_string(),
        {{"next", "it is unreachable for good and has to be downed"}});
    change(gossip().with_reachability(terminated), now, out);
}

void ClusterCore::Impl::prepare_for_shutdown(const Now& now, Effects& out) {
    if (!is_initialized() || core.is_preparing_for_shutdown()) return;
    core.set_preparing_for_shutdown();
    std::vector<Member> changed;
    for (const Member& m : gossip().members())
        if (m.status() == MemberStatus::Up)
            changed.push_back(with_status(m, MemberStatus::PreparingForShutdown));
    log(out, LogLevel::Info, "cluster.prepare_for_shutdown", {},
        {{"members", std::to_string(changed.size())}});
    if (changed.empty()) return;
    change(gossip().update(changed), now, out);
    if (!settings.eager.eager_gossip) exchange.round(out); // else finish() forwards it to more than one
}

} // namespace muster
