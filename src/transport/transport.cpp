// SPDX-License-Identifier: Apache-2.0
#include <muster/transport/transport.hpp>

#include <variant>

namespace muster {

std::string_view to_string(TellResult r) noexcept {
    switch (r) {
    case TellResult::Queued: return "queued";
    case TellResult::Full: return "full";
    case TellResult::NoRoute: return "no route";
    case TellResult::Unreachable: return "unreachable";
    case TellResult::TooLarge: return "too large";
    }
    return "unknown";
}

void GossipTransport::send_pdu(const Address& to, const GossipPdu& pdu) noexcept {
    struct Spell {
        ClusterMessage operator()(const GossipStatus& status) const { return status; }
        ClusterMessage operator()(const GossipEnvelope& envelope) const { return envelope; }
        // Both mean "mine is older, send yours"; this is the spelling that travels.
        ClusterMessage operator()(const GossipMerge& merge) const {
            return static_cast<const GossipStatus&>(merge);
        }
    };
    send(to, std::visit(Spell{}, pdu));
}

TellResult TellRoute::tell(const Tell& tell) const {
    return target_ ? target_->tell(tell) : TellResult::NoRoute;
}

} // namespace muster
