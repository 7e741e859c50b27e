// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The handshake's decisions, as values: what each side says and when it refuses (wire.md, Frames;
/// protocol.md §16).
#include <chrono>
#include <muster/address.hpp>
#include <muster/cluster/core/core.hpp>
#include <muster/error.hpp>
#include <muster/wire/frame.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace muster::transport {

/// What this side says of itself.
struct Identity {
    std::string cluster_name;
    UniqueAddress self;
    wire::Offer offer;
};

wire::Hello make_hello(const Identity& mine, const Address& to);

/// The acceptor's answer to `hello`. `quarantined`: whether hello.from is, here.
wire::HelloReply answer_hello(const Identity& mine, const wire::Hello& hello, bool quarantined);
/// The refusal of something that is no Hello at all, or of anybody (Overloaded, Stopping).
wire::HelloReply refuse(const Identity& mine, wire::RefusalReason reason, std::string detail);

/// The first frame of either side, when that is what it should be. Errors: malformed.
result<wire::Hello> read_hello(const Slice& body);
result<wire::HelloReply> read_reply(const Slice& body);

/// What the dialler makes of the reply: nothing wrong, or Errc::mismatch naming what differs. A refusal by
/// the peer is none of its business: look at reply.answer first.
std::optional<Error> check_reply(const Identity& mine, const Address& dialled, const wire::HelloReply& reply);
/// What an accepting reply puts in force. Features that were not offered are not.
wire::Agreement agreement_of(const Identity& mine, const wire::HelloAccepted& accepted) noexcept;

/// After its last frame a side waits so long for the other's end of the stream.
inline constexpr std::chrono::milliseconds linger_max{2000};
/// Goodbye as bytes. A reason that the peer does not know is replaced by what stands for it.
Slice goodbye_frame(wire::GoodbyeReason reason, std::string_view detail, const wire::Agreement& agreement);

/// Whether another Hello after this refusal would be refused again.
bool is_for_good(wire::RefusalReason reason) noexcept;
/// What the end of a link by this Goodbye means to the node.
LinkEvent event_of(wire::GoodbyeReason reason) noexcept;
/// Whether an operator should read of it.
bool is_noteworthy(wire::GoodbyeReason reason) noexcept;

} // namespace muster::transport
