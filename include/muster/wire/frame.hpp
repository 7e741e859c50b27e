// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Frames: what travels on an association (wire.md, Frames). A frame is a 4-byte big-endian length and that
/// many bytes of body; a body is a varint variant index and its fields in bincode 2 standard().
///
/// Variants 0 and 1 have the reference's layout (reference.md) byte for byte, the others are muster's. Tells
/// have a path of their own that neither allocates nor copies: parse_*() in place, write_*() into memory of
/// known length. Everything here is pure and may be called from any thread (an EnvelopeEncoder or Interner
/// that is passed along belongs to one thread at a time).
#include <cstddef>
#include <cstdint>
#include <muster/address.hpp>
#include <muster/buffer.hpp>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/error.hpp>
#include <muster/wire/bytes.hpp>
#include <muster/wire/reference.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace muster::wire {

class EnvelopeEncoder; // envelope.hpp
class Interner;        // envelope.hpp

inline constexpr std::size_t frame_header_bytes = 4;
inline constexpr std::size_t frame_bytes_max_default = 16 * 1024 * 1024; ///< of a body, as in the reference
/// Of the protocol, system and host of an Address each: decoders refuse longer ones, so encoders do.
inline constexpr std::size_t name_bytes_max = 255;

/// Wire versions this build speaks. A connection uses the highest that both sides speak (Hello).
inline constexpr std::uint16_t wire_version_min = 1;
inline constexpr std::uint16_t wire_version_max = 1;

/// The variant index of a body. Only appended to: an index never gets another meaning.
enum class FrameKind : std::uint32_t {
    Gossip = 0,     ///< the reference's
    RemoteTell = 1, ///< the reference's
    Hello = 2,
    HelloReply,
    Goodbye,
    InitJoin,
    InitJoinAck,
    InitJoinNack,
    Join,
    Welcome,
    JoinDeferred,
    JoinRefused,
    NotMember,
    GossipEnvelope,
    GossipStatus,
    SeenAck,
    Converged,
    Heartbeat,
    HeartbeatReply,
    ExitingConfirmed,
    TellPart,
    Define,
    InternedTell,
};
inline constexpr std::uint32_t frame_kind_count = 23;

/// "RemoteTell"; "unknown" for an index this build does not know. For logs and counters.
std::string_view name_of(FrameKind kind) noexcept;

// --- handshake

/// What a side can do beyond its wire version. Both sides' common bits are in force.
enum Feature : std::uint64_t {
    feature_tell_parts = 1U << 0U,     ///< understands TellPart
    feature_interned_tells = 1U << 1U, ///< understands Define and InternedTell
};

/// First frame of the side that connected. Its layout never changes between wire versions; what later
/// versions add goes into `extensions`.
struct Hello {
    std::uint16_t version_min = wire_version_min;
    std::uint16_t version_max = wire_version_max;
    std::uint64_t features = 0;
    std::string cluster_name;
    UniqueAddress from;
    Address to;                        ///< as dialled: the acceptor refuses what was meant for somebody else
    std::uint16_t lane = 0;            ///< 0: membership (and tells); 1..: a further connection for tells
    std::vector<std::byte> extensions; ///< of later versions: ignored here
    bool operator==(const Hello&) const = default;
};

enum class RefusalReason : std::uint8_t {
    WrongCluster,     ///< another cluster name
    WrongVersion,     ///< no common wire version
    WrongAddress,     ///< `to` is not the acceptor
    WrongIncarnation, ///< the dialling uid is superseded or removed
    Quarantined,      ///< the dialling incarnation is quarantined here
    Overloaded,       ///< a limit of the acceptor is reached: try later
    Stopping,         ///< the acceptor shuts down
    Protocol,         ///< no Hello first, a second Hello, a malformed one
};
std::string_view to_string(RefusalReason reason) noexcept;

struct HelloAccepted {
    std::uint16_t version = wire_version_max; ///< the one in force
    std::uint64_t features = 0;               ///< those in force
    bool operator==(const HelloAccepted&) const = default;
};
struct HelloRefused {
    RefusalReason reason{};
    std::string detail; ///< one line for the other side's log
    bool operator==(const HelloRefused&) const = default;
};

/// First frame of the side that accepted. Same stability as Hello.
struct HelloReply {
    std::uint16_t version_min = wire_version_min;
    std::uint16_t version_max = wire_version_max;
    std::string cluster_name;
    UniqueAddress from; ///< the acceptor, so that the dialler knows which incarnation it reached
    std::variant<HelloAccepted, HelloRefused> answer;
    std::vector<std::byte> extensions;
    bool operator==(const HelloReply&) const = default;
};

/// The highest version both speak, or nullopt.
std::optional<std::uint16_t> common_version(const Hello& hello) noexcept;

enum class GoodbyeReason : std::uint8_t {
    Link,        ///< only this connection: it was idle; the node lives
    Stopping,    ///< the node shuts down in order
    Quarantined, ///< the receiving incarnation is quarantined by the sender (protocol.md §15.6)
    Incarnation, ///< the sender goes on under another uid (protocol.md §5.6)
    Superseded,  ///< another connection between the two takes over
    Protocol,    ///< the receiver of this sent something malformed; `detail` says what
    Overloaded,  ///< a limit of the sender is reached
};
std::string_view to_string(GoodbyeReason reason) noexcept;

/// Last frame of a side that closes in order.
struct Goodbye {
    GoodbyeReason reason{};
    std::string detail; ///< one line for the other side's log
    bool operator==(const Goodbye&) const = default;
};

// --- tells

/// Views of one tell: into the caller's memory when encoding, into the body when parsed.
struct TellView {
    std::string_view target_path;
    std::string_view manifest;
    std::span<const std::byte> payload;
    std::optional<std::string_view> sender_path;
};

/// A tell whose texts were sent before by Define, as numbers.
struct InternedTellView {
    std::uint32_t target = 0;
    std::uint32_t manifest = 0;
    std::optional<std::uint32_t> sender;
    std::span<const std::byte> payload;
};

/// A fragment of the body of a RemoteTell or InternedTell frame that is sent in parts. Parts of one tell
/// arrive in order, each starting where the one before ended; other frames may come between them.
struct TellPartView {
    std::uint64_t tell = 0;        ///< number of the tell on this connection, ascending
    std::uint64_t total_bytes = 0; ///< of the whole body; parsing checks offset + bytes <= total_bytes
    std::uint64_t offset = 0;
    std::span<const std::byte> bytes;
};

/// The owning forms, as decode_frame() answers them. `payload` and `bytes` share the frame's buffer when it
/// has an owner and are copies otherwise.
struct RemoteTell {
    std::string target_path;
    std::string manifest;
    Slice payload;
    std::optional<std::string> sender_path;
    bool operator==(const RemoteTell&) const = default;
    TellView view() const noexcept;
};
struct TellPart {
    std::uint64_t tell = 0;
    std::uint64_t total_bytes = 0;
    std::uint64_t offset = 0;
    Slice bytes;
    bool operator==(const TellPart&) const = default;
};
struct InternedTell {
    std::uint32_t target = 0;
    std::uint32_t manifest = 0;
    std::optional<std::uint32_t> sender;
    Slice payload;
    bool operator==(const InternedTell&) const = default;
};
/// From now on `number` means `text` on this connection (paths and manifests share the numbers).
struct Define {
    std::uint32_t number = 0;
    std::string text;
    bool operator==(const Define&) const = default;
};

/// A well-formed frame of a later version, to be skipped and counted. Never encoded.
struct UnknownFrame {
    std::uint32_t variant = 0;
    bool operator==(const UnknownFrame&) const = default;
};

/// Everything that travels on an association. The alternatives' order is not the wire's: FrameKind is.
using ClusterFrame = std::variant<reference::GossipPdu, RemoteTell, Hello, HelloReply, Goodbye,
                                  ClusterMessage, TellPart, Define, InternedTell, UnknownFrame>;

FrameKind kind_of(const ClusterMessage& message) noexcept;

// --- encoding

/// One message as bytes to send: `head` (with the frame's length prefix) and then `body`, which is empty
/// unless the message carries a gossip. The body is shared by all sends of one version.
struct EncodedMessage {
    Slice head;
    Slice body;
    std::size_t bytes() const noexcept { return head.size() + body.size(); }
};

/// Errors: Errc::too_large when the body exceeds `frame_bytes_max`, Errc::invalid_argument for a text that is
/// not UTF-8 or an address that has no wire form. `encoder` keeps gossip bodies by version_id.
result<EncodedMessage> encode_message(const ClusterMessage& message, EnvelopeEncoder& encoder,
                                      std::size_t frame_bytes_max = frame_bytes_max_default);

/// Any frame, with its length prefix, appended to `sink`. Same errors; Errc::invalid_argument for
/// UnknownFrame. For the rare ones (handshake, goodbye, define) and for tests; tells and messages have faster
/// forms.
result<void> encode_frame(const ClusterFrame& frame, Sink& sink,
                          std::size_t frame_bytes_max = frame_bytes_max_default);
result<Slice> encode_frame(const ClusterFrame& frame, std::size_t frame_bytes_max = frame_bytes_max_default);

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
/// connection), Errc::too_large when the frame exceeds the limit. To be asked before write_tell() and the
/// like.
result<void> check_tell(const TellView& tell, std::size_t frame_bytes_max = frame_bytes_max_default);
/// The same as a yes or no, without building an Error.
bool tell_is_sendable(const TellView& tell, std::size_t frame_bytes_max = frame_bytes_max_default) noexcept;

/// Bytes of the whole frame, length prefix included.
std::size_t tell_frame_bytes(const TellView& tell) noexcept;
std::size_t tell_frame_bytes(const InternedTellView& tell) noexcept;
/// Writes the whole frame; `frame_bytes` is tell_frame_bytes(tell). Answers the end.
std::byte* write_tell(std::byte* out, const TellView& tell, std::size_t frame_bytes) noexcept;
std::byte* write_tell(std::byte* out, const InternedTellView& tell, std::size_t frame_bytes) noexcept;

/// The same around a payload that is sent from where it lies: head, payload, tail. An interned tell has no
/// tail.
std::size_t tell_tail_bytes(const TellView& tell) noexcept;
inline std::size_t tell_head_bytes(const TellView& tell) noexcept {
    return tell_frame_bytes(tell) - tell.payload.size() - tell_tail_bytes(tell);
}
inline std::size_t tell_head_bytes(const InternedTellView& tell) noexcept {
    return tell_frame_bytes(tell) - tell.payload.size();
}
std::byte* write_tell_head(std::byte* out, const TellView& tell, std::size_t frame_bytes) noexcept;
std::byte* write_tell_head(std::byte* out, const InternedTellView& tell, std::size_t frame_bytes) noexcept;
std::byte* write_tell_tail(std::byte* out, const TellView& tell) noexcept;

/// Head of a part frame (its bytes follow): size and writing. `part.bytes` only gives the length.
std::size_t tell_part_head_bytes(const TellPartView& part) noexcept;
std::byte* write_tell_part_head(std::byte* out, const TellPartView& part) noexcept;

// --- decoding

/// The variant index of a body, without looking further; nullopt when not even that is well-formed.
std::optional<std::uint32_t> frame_variant(std::span<const std::byte> body) noexcept;

/// In place, for a body of that variant: false when malformed (decode_frame(body) then tells why). The views
/// live as long as the body. Everything is checked: lengths, UTF-8, option tags, nothing behind the last
/// field.
[[nodiscard]] bool parse_tell(std::span<const std::byte> body, TellView& out) noexcept;
[[nodiscard]] bool parse_tell(std::span<const std::byte> body, InternedTellView& out) noexcept;
[[nodiscard]] bool parse_tell_part(std::span<const std::byte> body, TellPartView& out) noexcept;

struct DecodeOptions {
    /// The peer's Hello said a higher version_max than ours: a variant that we do not know is then
    /// UnknownFrame (skip and count); from anybody else it is malformed.
    bool peer_is_newer = false;
    /// Shares members and addresses with the gossip decoded before. May be null.
    Interner* interner = nullptr;
};

/// Any frame's body (without the length prefix). Errors: Errc::malformed, whose subject names the frame,
/// field and byte and whose advice says what would be right. Never allocates from a length the bytes cannot
/// back. Stricter than the reference in one thing: bytes behind the last field are refused, for they could
/// carry what one implementation acts on and another overlooks.
result<ClusterFrame> decode_frame(const Slice& body, const DecodeOptions& options = {});

} // namespace muster::wire

namespace muster {
using wire::ClusterFrame;
} // namespace muster
