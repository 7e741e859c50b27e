// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What nodes gossip (protocol.md §6).
#include <muster/cluster/protocol/messages.hpp>
#include <variant>

namespace muster {

/// Asks for an envelope: what the fields of a GossipStatus say, meant as "mine is older, send yours". §6.4
/// does the same by answering with a Status, which is what muster sends; this spelling is understood.
struct GossipMerge : GossipStatus {};

using GossipPdu = std::variant<GossipStatus, GossipEnvelope, GossipMerge>;

} // namespace muster
