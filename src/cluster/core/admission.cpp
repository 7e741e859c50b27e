// SPDX-License-Identifier: Apache-2.0
// What a member and a gossip may bring (protocol.md §2 Limits, §5.6 Room).
#include "core_impl.hpp"
#include <muster/cluster/state/gossip_limits.hpp>

namespace muster {
namespace {

/// Where no transport says what its frames hold: a quarter of 16 MiB.
constexpr std::size_t waiting_joins_max = 4096;
constexpr std::size_t gossip_bytes_max_default = 4 * 1024 * 1024;

} // namespace

bool ClusterCore::Impl::is_within_limits(const Join& m, Effects& out) const {
    const auto fits = check_member_limits(m.roles, m.app_version);
    if (fits) return true;
    count(out, "cluster.join.ignored.limits");
    log(out, LogLevel::Warning, "cluster.join.ignored", m.node.to_string(),
        {{"reason", fits.error().message()}});
    // A claimed name must not end its owner: only who is proven is told, and stops.
    if (is_proven(m.node) && m.node != self)
        out.emplace_back(
            effect::Send{Destination(m.node), JoinRefused{self, m.node, fits.error().message()}});
    return false;
}

std::vector<Join> ClusterCore::Impl::those_with_room(std::vector<Join> joins, Effects& out) {
    const std::size_t bytes_max = settings.gossip_bytes_max.value_or(gossip_bytes_max_default);
    std::size_t bytes = gossip_size.of(state->gossip);
    std::size_t members = gossip().members().size();
    const std::size_t removed = gossip().tombstones().size();
    std::vector<Join> fitting;
    fitting.reserve(joins.size());
    for (Join& m : joins) {
        const std::size_t added = GossipSize::of_joiner(m);
        const bool has_room = bytes + added <= bytes_max && members < admitted_members_max &&
                              members + removed < admitted_incarnations_max;
        if (has_room || m.node == self) {
            bytes += added;
            ++members;
            fitting.push_back(std::move(m));
            continue;
        }
        count(out, "cluster.join.no_room");
        log(out, LogLevel::Warning, "cluster.join.no_room", m.node.to_string(),
            {{"gossip_bytes", std::to_string(bytes)},
             {"gossip_bytes_max", std::to_string(bytes_max)},
             {"members", std::to_string(members)},
             {"tombstones", std::to_string(removed)}});
        out.emplace_back(effect::Send{
            Destination(m.node),
            JoinDeferred{self, m.node, "the gossip has no room for another member (gossip-bytes-max)"}});
    }
    return fitting;
}

void ClusterCore::Impl::admit_those_with_room(std::vector<Join> joins, const Now& now, Effects& out) {
    const std::vector<Join> fitting = those_with_room(std::move(joins), out);
    if (!fitting.empty()) admit(fitting, now, out);
}

// --- joins within join-batch are one change

void ClusterCore::Impl::batch_join(const Join& m, const Now& now, Effects& out) {
    const Instant next =
        joining.last_join_batch ? *joining.last_join_batch + settings.eager.join_batch : now.monotonic;
    if (joining.waiting_joins.empty() && now.monotonic >= next) {
        joining.last_join_batch = now.monotonic;
        admit_those_with_room({m}, now, out);
        return;
    }
    if (joining.waiting_nodes.contains(m.node)) return;
    if (joining.waiting_joins.size() >= waiting_joins_max) {
        // It asks again soon; its retry alone would take ten seconds.
        count(out, "cluster.join.put_off");
        out.emplace_back(
            effect::Send{Destination(m.node), JoinDeferred{self, m.node, "thousands of others are joining"}});
        return;
    }
    joining.waiting_nodes.insert(m.node);
    if (joining.waiting_joins.empty()) set_timer(out, CoreTimer::JoinBatch, 0, next - now.monotonic);
    joining.waiting_joins.push_back(m);
}

void ClusterCore::Impl::on_join_batch_timer(const Now& now, Effects& out) {
    std::vector<Join> admitted;
    std::set<Address> addresses;
    joining.waiting_nodes.clear();
    for (Join& m : std::exchange(joining.waiting_joins, {})) {
        // What was true when it arrived may have changed while it waited.
        if (!is_initialized() || !is_join_acceptable(m, out) || answer_known_joiner(m, now, out)) continue;
        if (!is_proven(m.node)) {
            hold_until_proven(m, now, out);
            continue;
        }
        // Of two incarnations of one address the first wins; the other one asks again and replaces it.
        if (addresses.insert(m.node.address()).second) admitted.push_back(std::move(m));
    }
    joining.last_join_batch = now.monotonic;
    admit_those_with_room(std::move(admitted), now, out);
}

} // namespace muster
