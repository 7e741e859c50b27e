// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The gossip messages (protocol.md §6).
#include <muster/cluster/protocol/messages.hpp>
#include <variant>

namespace muster {

/// Asks for an envelope: the fields of a GossipStatus, meaning "mine is older, send yours". muster answers
/// with a Status instead (§6.4) and understands this form.
struct GossipMerge : GossipStatus {};

using GossipPdu = std::variant<GossipStatus, GossipEnvelope, GossipMerge>;

} // namespace muster
