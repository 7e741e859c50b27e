// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The way of this node's membership messages to the associations.
#include "link/message_queue.hpp"
#include <memory>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/wire/envelope.hpp>
#include <optional>
#include <string_view>

namespace muster::transport {

class Association;
class Hub;

/// Decides whether a message goes out, to which association, and encodes it. What does not is counted.
/// Runtime's thread.
class MessageRoutes {
public:
    explicit MessageRoutes(Hub& hub) noexcept : hub_(hub) {}

    void send(const Destination& to, const ClusterMessage& message);
    /// A message that is encoded once the peer is there, for what both have agreed upon.
    void send(const Destination& to, MessageLane lane, std::string_view name, LateMessage message);

private:
    std::shared_ptr<Association> way_to(const Destination& to, MessageLane lane, std::string_view name);
    bool may_answer(const Address& to);
    std::optional<wire::EncodedMessage> encode(const ClusterMessage& message,
                                               const wire::Agreement& agreement, const Address& to);

    Hub& hub_;
    wire::EnvelopeEncoder envelopes_;
};

} // namespace muster::transport
