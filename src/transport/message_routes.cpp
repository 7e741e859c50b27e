// SPDX-License-Identifier: Apache-2.0
#include "message_routes.hpp"

#include "association.hpp"
#include "hub.hpp"
#include <string>
#include <utility>

namespace muster::transport {

/// Null when nothing is to be sent there; why is counted.
std::shared_ptr<Association> MessageRoutes::way_to(const Destination& to, MessageLane lane,
                                                   std::string_view name) {
    Counters& counters = hub_.counters;
    if (hub_.stopping) {
        counters.messages_shutdown.add();
        return nullptr;
    }
    if (to.address == hub_.identity.address()) { // meant for a former incarnation: nothing is said to oneself
        counters.messages_other_incarnation.add();
        return nullptr;
    }
    if ((lane == MessageLane::Answer || lane == MessageLane::HeartbeatReply) && !may_answer(to.address))
        return nullptr;
    auto association = hub_.association(to.address);
    if (!association) {
        counters.messages_no_route.add();
        hub_.log().warning("transport.message.no_route", to.address.to_string(),
                           {{"message", std::string{name}}});
    }
    return association;
}

/// Whether an answer to `to` may go out. If so and a connection has to be made for it, the association knows
/// that it gets one attempt.
bool MessageRoutes::may_answer(const Address& to) {
    std::shared_ptr<Association> there = hub_.table().find(to);
    StrangerDials::Asked asked;
    asked.connected = there && there->state() != Association::State::Idle;
    asked.acquainted = asked.connected || hub_.reporter.acquainted(to);
    asked.asking = asked.acquainted || hub_.acceptor().hears_from(to);
    const AnswerRoute route = hub_.stranger_dials.route(asked);
    if (route == AnswerRoute::DialOnce) {
        if (!there) there = hub_.association(to);
        if (there) there->dial_once();
    } else if (route != AnswerRoute::Send) {
        hub_.counters.messages_stranger.add();
        return false;
    }
    return true;
}

std::optional<wire::EncodedMessage>
MessageRoutes::encode(const ClusterMessage& message, const wire::Agreement& agreement, const Address& to) {
    auto encoded = wire::encode_message(message, envelopes_, hub_.options.frame_bytes_max, agreement);
    if (encoded) return std::move(*encoded);
    hub_.counters.messages_encoding.add();
    hub_.log().error("transport.message.not_encoded", to.to_string(),
                     {{"message", std::string{name_of(message)}}, {"error", encoded.error().message()}});
    return std::nullopt;
}

void MessageRoutes::send(const Destination& to, const ClusterMessage& message) {
    const MessageLane lane = lane_of(message);
    const auto association = way_to(to, lane, name_of(message));
    if (!association) return;
    if (wire::agreed_by_all.meets(wire::needs_of(message))) {
        // The peer is not known yet, and need not be when all peers get the same bytes.
        auto encoded = encode(message, wire::agreed_by_all, to.address);
        if (!encoded) return;
        if (encoded->same_for_all) return association->send(to.uid, lane, std::move(*encoded));
    }
    auto encode_late = [this, message, at = to.address](const wire::Agreement& agreement) {
        return encode(message, agreement, at);
    };
    association->send(to.uid, lane, LateMessage{wire::needs_of(message), std::move(encode_late)});
}

void MessageRoutes::send(const Destination& to, MessageLane lane, std::string_view name,
                         LateMessage message) {
    if (const auto association = way_to(to, lane, name)) association->send(to.uid, lane, std::move(message));
}

} // namespace muster::transport
