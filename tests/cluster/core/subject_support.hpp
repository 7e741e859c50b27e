// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A CoreState without the rest of the core, for the tests of one subject.
#include "../core_support.hpp"
#include "cluster/core/core_state.hpp"

namespace muster::testing {

/// `self` holds `gossip`, which is published.
inline CoreState core_of(const UniqueAddress& self, Gossip gossip,
                         ClusterSettings settings = ClusterSettings{}) {
    CoreState core(self, std::move(settings), random_source());
    core.restore(std::make_shared<const Gossip>(std::move(gossip)));
    core.publish();
    return core;
}

/// All Up in this order, the first of them made it, everybody has seen it.
inline Gossip all_up(const std::vector<UniqueAddress>& nodes) {
    std::vector<Member> members;
    for (const UniqueAddress& n : nodes)
        members.push_back(up(n, static_cast<std::int32_t>(members.size()) + 1));
    return gossip_of(members, nodes);
}

} // namespace muster::testing
