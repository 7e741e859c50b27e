// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Frames, the units of an association's byte stream (wire.md, Frames). A frame is a 4-byte big-endian length
/// and that many bytes of body; a body is a varint variant index and its fields in bincode 2 standard().
///
/// frame_table.hpp lists the frames and their fields. Variants 0 and 1 have the reference's layout
/// (reference.md) byte for byte, the others are muster's. Tells have a path of their own that neither
/// allocates nor copies: parse_*() in place, write_*() into memory of known length. Everything here is pure
/// and may be called from any thread (an EnvelopeEncoder or Interner that is passed along belongs to one
/// thread at a time).
#include <cstddef>
#include <cstdint>
#include <muster/buffer.hpp>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/error.hpp>
#include <muster/wire/bytes.hpp>
#include <muster/wire/frame_table.hpp>
#include <muster/wire/handshake.hpp>
#include <muster/wire/reference.hpp>
#include <muster/wire/tell.hpp>
#include <optional>
#include <span>
#include <variant>

namespace muster::wire {

class EnvelopeEncoder; // envelope.hpp
class Interner;        // envelope.hpp

inline constexpr std::size_t frame_header_bytes = 4;
inline constexpr std::size_t frame_bytes_max_default = 16 * 1024 * 1024; ///< of a body, as in the reference
/// Of the protocol, system and host of an Address each: decoders refuse longer ones, so encoders do.
inline constexpr std::size_t name_bytes_max = 255;

/// A well-formed frame of a later version, to be skipped and counted. Never encoded.
struct UnknownFrame {
    std::uint32_t variant = 0;
    bool operator==(const UnknownFrame&) const = default;
};

/// Any frame. The order of the alternatives is not that of the wire, which has the table's numbers.
using ClusterFrame = std::variant<reference::GossipPdu, RemoteTell, Hello, HelloReply, Goodbye,
                                  ClusterMessage, TellPart, Define, InternedTell, UnknownFrame>;

// --- encoding

/// One message as bytes to send: `head` (with the frame's length prefix) and then `body`, which is empty
/// unless the message carries a gossip. The body is shared by all sends of one version.
struct EncodedMessage {
    Slice head;
    Slice body;
    bool same_for_all = true; ///< no field depends on what was agreed upon with the peer
    std::size_t bytes() const noexcept { return head.size() + body.size(); }
};

/// Errors: Errc::too_large when the body exceeds `frame_bytes_max`, Errc::invalid_argument for a text that is
/// not UTF-8 or an address that has no wire form. `encoder` keeps gossip bodies by version_id. `agreement`:
/// with the peer, which has to meet needs_of(message); it decides which fields are written.
result<EncodedMessage> encode_message(const ClusterMessage& message, EnvelopeEncoder& encoder,
                                      std::size_t frame_bytes_max = frame_bytes_max_default,
                                      const Agreement& agreement = {});

/// Appends any frame with its length prefix to `sink`. Same errors; Errc::invalid_argument for UnknownFrame.
/// For rare frames (handshake, goodbye, define) and for tests; tells and messages have faster forms.
result<void> encode_frame(const ClusterFrame& frame, Sink& sink,
                          std::size_t frame_bytes_max = frame_bytes_max_default);
result<Slice> encode_frame(const ClusterFrame& frame, std::size_t frame_bytes_max = frame_bytes_max_default,
                           const Agreement& agreement = {});

inline std::byte* put_frame_length(std::byte* out, std::size_t body_bytes) noexcept {
    for (int shift = 24; shift >= 0; shift -= 8) *out++ = static_cast<std::byte>(body_bytes >> shift);
    return out;
}
inline std::uint32_t get_frame_length(const std::byte* header) noexcept {
    std::uint32_t length = 0;
    for (int i = 0; i < 4; ++i) length = length << 8U | std::to_integer<std::uint32_t>(header[i]);
    return length;
}

/// Errors: Errc::invalid_argument when a text is not UTF-8 (the peer would refuse the frame and close the
/// connection), Errc::too_large when the frame exceeds the limit. To be called before write_tell() and the
/// like.
result<void> check_tell(const Tell& tell, std::size_t frame_bytes_max = frame_bytes_max_default);
/// The same as a yes or no, without building an Error.
bool tell_is_sendable(const Tell& tell, std::size_t frame_bytes_max = frame_bytes_max_default) noexcept;

/// Bytes of the whole frame, length prefix included.
std::size_t tell_frame_bytes(const Tell& tell) noexcept;
std::size_t tell_frame_bytes(const InternedTellView& tell) noexcept;
/// Writes the whole frame; `frame_bytes` is tell_frame_bytes(tell). Answers the end.
std::byte* write_tell(std::byte* out, const Tell& tell, std::size_t frame_bytes) noexcept;
std::byte* write_tell(std::byte* out, const InternedTellView& tell, std::size_t frame_bytes) noexcept;

/// The same around a payload that is sent from where it lies: head, payload, tail. An interned tell has no
/// tail.
std::size_t tell_tail_bytes(const Tell& tell) noexcept;
inline std::size_t tell_head_bytes(const Tell& tell) noexcept {
    return tell_frame_bytes(tell) - tell.payload.size() - tell_tail_bytes(tell);
}
inline std::size_t tell_head_bytes(const InternedTellView& tell) noexcept {
    return tell_frame_bytes(tell) - tell.payload.size();
}
std::byte* write_tell_head(std::byte* out, const Tell& tell, std::size_t frame_bytes) noexcept;
std::byte* write_tell_head(std::byte* out, const InternedTellView& tell, std::size_t frame_bytes) noexcept;
std::byte* write_tell_tail(std::byte* out, const Tell& tell) noexcept;

/// Size and writing of the head of a part frame, which its bytes follow. `part.bytes` only gives the length.
std::size_t tell_part_head_bytes(const TellPartView& part) noexcept;
std::byte* write_tell_part_head(std::byte* out, const TellPartView& part) noexcept;

// --- decoding

/// The variant index of a body, without looking further; nullopt when not even that is well-formed.
std::optional<std::uint32_t> frame_variant(std::span<const std::byte> body) noexcept;

/// In place, for a body of that variant: false when malformed (decode_frame(body) then tells why). The views
/// live as long as the body. Checks everything: lengths, UTF-8, option tags, and that nothing follows the
/// last field.
[[nodiscard]] bool parse_tell(std::span<const std::byte> body, Tell& out) noexcept;
[[nodiscard]] bool parse_tell(std::span<const std::byte> body, InternedTellView& out) noexcept;
[[nodiscard]] bool parse_tell_part(std::span<const std::byte> body, TellPartView& out) noexcept;

struct DecodeOptions {
    /// The peer offers what this build does not know (is_newer): then a number without a row gives
    /// UnknownFrame (skip and count), and bytes behind the last field are skipped where fields can be
    /// appended. From any other peer both are malformed.
    bool peer_is_newer = false;
    /// Shares members and addresses with the gossip decoded before. May be null.
    Interner* interner = nullptr;
    /// The agreement with the peer: which fields are present, and which frames may come.
    Agreement agreement;
    /// Set when something behind the last field was skipped. May be null.
    bool* rest_skipped = nullptr;
};

/// Any frame's body (without the length prefix). Errors: Errc::malformed, whose subject names the frame,
/// field and byte and whose advice says what would be right. Never allocates from a length the bytes cannot
/// back. Stricter than the reference in one point: bytes behind the last field are refused, for one
/// implementation could act on them and another overlook them.
result<ClusterFrame> decode_frame(const Slice& body, const DecodeOptions& options = {});

} // namespace muster::wire

namespace muster {
using wire::ClusterFrame;
} // namespace muster
