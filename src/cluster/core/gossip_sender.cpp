// SPDX-License-Identifier: Apache-2.0
#include "gossip_sender.hpp"

#include "base/mutants.hpp"
#include "emit.hpp"
#include <muster/cluster/core/gossip_targets.hpp>

namespace muster {

bool GossipSender::is_valid_target(const UniqueAddress& node) const noexcept {
    return is_valid_gossip_target(*core_.membership(), node);
}

void GossipSender::send_gossip(const UniqueAddress& to, Effects& out) {
    if (!is_valid_target(to)) return;
    note_sent(to);
    send(out, to, GossipEnvelope{core_.self(), to, core_.membership()->gossip});
}

void GossipSender::send_welcome(const UniqueAddress& to, Effects& out) {
    note_sent(to);
    send(out, to, Welcome{core_.self(), to, core_.membership()->gossip});
}

void GossipSender::send_status(const UniqueAddress& to, Effects& out) const {
    if (!is_valid_target(to)) return;
    const Gossip& g = core_.gossip();
    send(out, to, GossipStatus{core_.self(), to, g.version(), g.version_id(), g.seen_digest()});
}

std::size_t GossipSender::burst(Effects& out) {
    constexpr std::size_t burst_size = 5;
    const auto targets = random_full_targets(*core_.membership(), burst_size, core_.random());
    for (const UniqueAddress& target : targets) send_gossip(target, out);
    return targets.size();
}

void GossipSender::note_sent(const UniqueAddress& to) {
    if (core_.settings().eager.eager_gossip) books_.note_sent(to, core_.gossip().version_id());
}

bool may_tell(const CoreState& core, const UniqueAddress& from, const UniqueAddress& to) noexcept {
    const UniqueAddress& self = core.self();
    return (to == self || (MUSTER_MUTANT(uid_not_compared) && to.address() == self.address())) &&
           core.is_member(from) && core.gossip().reachability().is_reachable(self, from);
}

} // namespace muster
