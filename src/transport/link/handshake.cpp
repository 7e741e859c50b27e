// SPDX-License-Identifier: Apache-2.0
#include "handshake.hpp"

#include <fmt/format.h>
#include <utility>

namespace muster::transport {

using wire::GoodbyeReason;
using wire::RefusalReason;

namespace {

wire::HelloReply reply_of(const Identity& mine) {
    wire::HelloReply reply;
    reply.version_min = mine.offer.version_min;
    reply.version_max = mine.offer.version_max;
    reply.cluster_name = mine.cluster_name;
    reply.from = mine.self;
    return reply;
}

} // namespace

wire::Hello make_hello(const Identity& mine, const Address& to) {
    wire::Hello hello;
    hello.version_min = mine.offer.version_min;
    hello.version_max = mine.offer.version_max;
    hello.features = mine.offer.features;
    hello.cluster_name = mine.cluster_name;
    hello.from = mine.self;
    hello.to = to;
    return hello;
}

result<wire::Hello> read_hello(const Slice& body) {
    auto decoded = wire::decode_frame(body, {.peer_is_newer = true});
    if (!decoded) return decoded.error();
    auto* hello = std::get_if<wire::Hello>(&*decoded);
    if (!hello) return Error{Errc::malformed, "the first frame is no Hello", {}, {}};
    return std::move(*hello);
}

result<wire::HelloReply> read_reply(const Slice& body) {
    auto decoded = wire::decode_frame(body, {.peer_is_newer = true});
    if (!decoded) return decoded.error();
    auto* reply = std::get_if<wire::HelloReply>(&*decoded);
    if (!reply)
        return Error{Errc::malformed, "first frame", "a HelloReply was expected: is this a muster node?", {}};
    return std::move(*reply);
}

wire::HelloReply refuse(const Identity& mine, RefusalReason reason, std::string detail) {
    wire::HelloReply reply = reply_of(mine);
    reply.answer = wire::HelloRefused{reason, std::move(detail)};
    return reply;
}

wire::HelloReply answer_hello(const Identity& mine, const wire::Hello& hello, bool quarantined) {
    if (hello.cluster_name != mine.cluster_name)
        return refuse(mine, RefusalReason::WrongCluster,
                      fmt::format("this is cluster {}, not {}", mine.cluster_name, hello.cluster_name));
    const auto agreement = wire::agree(mine.offer, hello.offer());
    if (!agreement)
        return refuse(mine, RefusalReason::WrongVersion,
                      fmt::format("wire versions {} to {} are spoken here, {} to {} were offered",
                                  mine.offer.version_min, mine.offer.version_max, hello.version_min,
                                  hello.version_max));
    if (hello.to != mine.self.address())
        return refuse(mine, RefusalReason::WrongAddress,
                      fmt::format("this is {}, not {}: dial the advertised address",
                                  mine.self.address().to_string(), hello.to.to_string()));
    // No other node has this address, and this node opens no connection to itself.
    if (hello.from.address() == mine.self.address())
        return refuse(mine, RefusalReason::WrongAddress,
                      fmt::format("{} is this node's own address: advertise another one",
                                  hello.from.address().to_string()));
    if (quarantined)
        return refuse(mine, RefusalReason::Quarantined,
                      fmt::format("{} is quarantined: only a restart ends that", hello.from.to_string()));
    wire::HelloReply reply = reply_of(mine);
    reply.answer = wire::HelloAccepted{agreement->version, agreement->features};
    return reply;
}

std::optional<Error> check_reply(const Identity& mine, const Address& dialled,
                                 const wire::HelloReply& reply) {
    if (reply.cluster_name != mine.cluster_name)
        return Error{Errc::mismatch,
                     fmt::format("cluster {}", reply.cluster_name),
                     fmt::format("this node belongs to cluster {}", mine.cluster_name),
                     {}};
    if (reply.from.address() != dialled)
        return Error{Errc::mismatch,
                     fmt::format("node {}", reply.from.to_string()),
                     fmt::format("{} was dialled: use the address the node advertises", dialled.to_string()),
                     {}};
    const auto* accepted = std::get_if<wire::HelloAccepted>(&reply.answer);
    const wire::Offer& offer = mine.offer;
    if (accepted && (accepted->version < offer.version_min || accepted->version > offer.version_max))
        return Error{Errc::mismatch,
                     fmt::format("wire version {}", accepted->version),
                     fmt::format("{} to {} were offered", offer.version_min, offer.version_max),
                     {}};
    return std::nullopt;
}

wire::Agreement agreement_of(const Identity& mine, const wire::HelloAccepted& accepted) noexcept {
    return {accepted.version, accepted.features & mine.offer.features};
}

Slice goodbye_frame(GoodbyeReason reason, std::string_view detail, const wire::Agreement& agreement) {
    wire::Goodbye goodbye{wire::said_to_peer(reason, agreement), std::string{detail}};
    auto encoded = wire::encode_frame(std::move(goodbye), wire::frame_bytes_max_default);
    return encoded ? std::move(*encoded) : Slice{};
}

bool is_for_good(RefusalReason reason) noexcept {
    switch (wire::meaning_of(reason)) {
    case RefusalReason::Overloaded:
    case RefusalReason::Stopping: return false;
    case RefusalReason::WrongCluster:
    case RefusalReason::WrongVersion:
    case RefusalReason::WrongAddress:
    case RefusalReason::WrongIncarnation:
    case RefusalReason::Quarantined:
    case RefusalReason::Protocol: break;
    }
    return true;
}

LinkEvent event_of(GoodbyeReason reason) noexcept {
    switch (wire::meaning_of(reason)) {
    case GoodbyeReason::Stopping:
    case GoodbyeReason::Incarnation: // that incarnation is gone for good
        return LinkEvent::GoodbyeStopping;
    case GoodbyeReason::Link:
    case GoodbyeReason::Quarantined:
    case GoodbyeReason::Superseded:
    case GoodbyeReason::Protocol:
    case GoodbyeReason::Overloaded: break; // the process lives
    }
    return LinkEvent::GoodbyeLink;
}

bool is_noteworthy(GoodbyeReason reason) noexcept {
    const bool named = wire::meaning_of(reason) == reason;
    return !named || reason == GoodbyeReason::Protocol || reason == GoodbyeReason::Overloaded ||
           reason == GoodbyeReason::Quarantined;
}

} // namespace muster::transport
