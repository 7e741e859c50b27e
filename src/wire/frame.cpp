// SPDX-License-Identifier: Apache-2.0
#include <muster/wire/frame.hpp>

#include "fields.hpp"
#include <array>
#include <fmt/format.h>
#include <muster/ensure.hpp>

namespace muster::wire {
namespace {

using detail::FieldReader;
using detail::FieldWriter;

constexpr std::array<std::string_view, frame_kind_count> kind_names{
    "Gossip",         "RemoteTell",       "Hello",        "HelloReply", "Goodbye",      "InitJoin",
    "InitJoinAck",    "InitJoinNack",     "Join",         "Welcome",    "JoinDeferred", "JoinRefused",
    "NotMember",      "GossipEnvelope",   "GossipStatus", "SeenAck",    "Converged",    "Heartbeat",
    "HeartbeatReply", "ExitingConfirmed", "TellPart",     "Define",     "InternedTell"};

/// ClusterMessage's alternatives are frames of their own, in the same order.
constexpr auto first_message = static_cast<std::uint32_t>(FrameKind::InitJoin);
constexpr auto message_count = static_cast<std::uint32_t>(std::variant_size_v<ClusterMessage>);
static_assert(first_message + message_count == static_cast<std::uint32_t>(FrameKind::TellPart),
              "every ClusterMessage has its frame");
template <class Message, FrameKind kind>
constexpr bool at_its_place =
    std::is_same_v<std::variant_alternative_t<static_cast<std::size_t>(kind) - first_message, ClusterMessage>,
                   Message>;
static_assert(
    at_its_place<InitJoin, FrameKind::InitJoin> && at_its_place<InitJoinAck, FrameKind::InitJoinAck> &&
    at_its_place<InitJoinNack, FrameKind::InitJoinNack> && at_its_place<Join, FrameKind::Join> &&
    at_its_place<Welcome, FrameKind::Welcome> && at_its_place<JoinDeferred, FrameKind::JoinDeferred> &&
    at_its_place<JoinRefused, FrameKind::JoinRefused> && at_its_place<NotMember, FrameKind::NotMember> &&
    at_its_place<GossipEnvelope, FrameKind::GossipEnvelope> &&
    at_its_place<GossipStatus, FrameKind::GossipStatus> && at_its_place<SeenAck, FrameKind::SeenAck> &&
    at_its_place<Converged, FrameKind::Converged> && at_its_place<Heartbeat, FrameKind::Heartbeat> &&
    at_its_place<HeartbeatReply, FrameKind::HeartbeatReply> &&
    at_its_place<ExitingConfirmed, FrameKind::ExitingConfirmed>);

/// "MSTR", so that whoever dials a port that speaks something else is told so by the first frame.
constexpr std::uint32_t hello_magic = 0x5254534d;
constexpr std::size_t detail_bytes_max = 1024;

// --- the fields of each frame, for both directions

template <class Fields>
void magic(Fields& f) {
    std::uint32_t word = hello_magic;
    if constexpr (Fields::writing) {
        f.archive().put_fixed(word);
    } else {
        f.set_field("magic");
        const auto at = f.archive().offset();
        word = f.archive().template get_fixed<std::uint32_t>();
        if (word != hello_magic) detail::refuse(at, "this is no muster peer: the handshake begins with MSTR");
    }
}

/// Text for the other side's log: cut rather than refused when sent, bounded when received.
template <class Fields, class Text>
void log_text(Fields& f, const char* name, Text& text) {
    if constexpr (Fields::writing) {
        std::string cut = text;
        if (cut.size() > detail_bytes_max) cut.resize(detail_bytes_max);
        while (!is_utf8(cut)) cut.pop_back(); // at most three bytes of a cut sequence, or all that is no text
        f(name, cut);
    } else {
        const auto at = f.archive().offset();
        f(name, text);
        if (text.size() > detail_bytes_max) detail::refuse(at, "this text is longer than 1024 bytes");
    }
}

template <class Fields, class Frame>
    requires std::is_same_v<std::remove_const_t<Frame>, Hello>
void fields(Fields& f, Frame& m) {
    magic(f);
    f("version_min", m.version_min)("version_max", m.version_max)("features", m.features);
    f("cluster_name", m.cluster_name)("from", m.from)("to", m.to)("lane", m.lane)("extensions", m.extensions);
}

template <class Fields, class Frame>
    requires std::is_same_v<std::remove_const_t<Frame>, HelloReply>
void fields(Fields& f, Frame& m) {
    magic(f);
    f("version_min", m.version_min)("version_max", m.version_max);
    f("cluster_name", m.cluster_name)("from", m.from);
    bool accepted = std::holds_alternative<HelloAccepted>(m.answer);
    if constexpr (Fields::writing) {
        f.archive() << accepted;
    } else {
        f.set_field("answer");
        f.archive() >> accepted;
        if (accepted)
            m.answer.template emplace<HelloAccepted>();
        else
            m.answer.template emplace<HelloRefused>();
    }
    if (accepted) {
        auto& yes = std::get<HelloAccepted>(m.answer);
        f("version", yes.version)("features", yes.features);
    } else {
        auto& no = std::get<HelloRefused>(m.answer);
        f("reason", no.reason);
        log_text(f, "detail", no.detail);
    }
    f("extensions", m.extensions);
}

template <class Fields, class Frame>
    requires std::is_same_v<std::remove_const_t<Frame>, Goodbye>
void fields(Fields& f, Frame& m) {
    f("reason", m.reason);
    log_text(f, "detail", m.detail);
}
template <class Fields, class Frame>
    requires std::is_same_v<std::remove_const_t<Frame>, Define>
void fields(Fields& f, Frame& m) {
    f("number", m.number)("text", m.text);
}
template <class Fields, class Frame>
    requires std::is_same_v<std::remove_const_t<Frame>, InitJoin>
void fields(Fields& f, Frame& m) {
    f("from", m.from)("config", m.config);
}
template <class Fields, class Frame>
    requires std::is_same_v<std::remove_const_t<Frame>, InitJoinAck>
void fields(Fields& f, Frame& m) {
    f("from", m.from)("check", m.check)("config", m.config);
}
template <class Fields, class Frame>
    requires std::is_same_v<std::remove_const_t<Frame>, InitJoinNack>
void fields(Fields& f, Frame& m) {
    f("from", m.from);
}
template <class Fields, class Frame>
    requires std::is_same_v<std::remove_const_t<Frame>, Join>
void fields(Fields& f, Frame& m) {
    f("node", m.node)("roles", m.roles)("app_version", m.app_version);
}
template <class Fields, class Frame>
    requires(std::is_same_v<std::remove_const_t<Frame>, JoinDeferred> ||
             std::is_same_v<std::remove_const_t<Frame>, JoinRefused>)
void fields(Fields& f, Frame& m) {
    f("from", m.from)("to", m.to);
    log_text(f, "reason", m.reason);
}
template <class Fields, class Frame>
    requires(std::is_same_v<std::remove_const_t<Frame>, NotMember> ||
             std::is_same_v<std::remove_const_t<Frame>, ExitingConfirmed>)
void fields(Fields& f, Frame& m) {
    f("from", m.from)("to", m.to);
}
template <class Fields, class Frame>
    requires std::is_same_v<std::remove_const_t<Frame>, GossipStatus>
void fields(Fields& f, Frame& m) {
    f("from", m.from)("to", m.to)("version", m.version)("version_id", m.version_id)("seen_digest",
                                                                                    m.seen_digest);
}
template <class Fields, class Frame>
    requires std::is_same_v<std::remove_const_t<Frame>, SeenAck>
void fields(Fields& f, Frame& m) {
    f("from", m.from)("to", m.to)("version_id", m.version_id);
}
template <class Fields, class Frame>
    requires std::is_same_v<std::remove_const_t<Frame>, Converged>
void fields(Fields& f, Frame& m) {
    f("from", m.from)("to", m.to)("version_id", m.version_id)("seen", m.seen);
}
template <class Fields, class Frame>
    requires(std::is_same_v<std::remove_const_t<Frame>, Heartbeat> ||
             std::is_same_v<std::remove_const_t<Frame>, HeartbeatReply>)
void fields(Fields& f, Frame& m) {
    f("from", m.from)("sequence_nr", m.sequence_nr)("creation_time_ns", m.creation_time_ns);
}

template <class Message>
constexpr bool carries_gossip = std::is_same_v<Message, GossipEnvelope> || std::is_same_v<Message, Welcome>;

// --- encoding

void put_kind(OArchive& out, FrameKind kind) { out.put_varint(static_cast<std::uint32_t>(kind)); }

template <class Message>
void put_message(OArchive& out, const Message& message) {
    FieldWriter f{out};
    if constexpr (carries_gossip<Message>) {
        MUSTER_ENSURE(message.gossip != nullptr, "an envelope carries a gossip");
        const Gossip& gossip = *message.gossip;
        f("from", message.from)("to", message.to);
        f("version_id", gossip.version_id())("seen", gossip.overview().seen);
    } else {
        fields(f, message);
    }
}

/// Sets the length prefix of a frame that begins at `frame` and is followed by `more` bytes.
void finish_frame(std::span<std::byte> frame, std::size_t more, std::size_t frame_bytes_max) {
    const std::size_t body_bytes = frame.size() - frame_header_bytes + more;
    if (body_bytes > frame_bytes_max)
        fail(Errc::too_large, fmt::format("a frame of {} bytes", body_bytes),
             fmt::format("at most {} are allowed", frame_bytes_max));
    put_frame_length(frame.data(), body_bytes);
}

/// Calls `write(OArchive&)` between a length prefix and its setting.
template <class Write>
Slice framed(std::size_t more, std::size_t frame_bytes_max, Write&& write) {
    constexpr std::size_t usual_bytes = 256;
    BufferSink sink{frame_header_bytes + frame_bytes_max, usual_bytes};
    OArchive out{sink};
    out.put_fixed(std::uint32_t{0});
    write(out);
    out.finish();
    finish_frame(sink.bytes(), more, frame_bytes_max);
    return sink.take();
}

Error encode_error(FrameKind kind) {
    Error error = detail::error_of_current_exception(Errc::invalid_argument, "a frame to be encoded");
    error.subject = fmt::format("frame {}: {}", name_of(kind), error.subject);
    return error;
}

struct FrameWriter {
    OArchive& out;

    void operator()(const reference::GossipPdu& pdu) const {
        put_kind(out, FrameKind::Gossip);
        out << pdu;
    }
    void operator()(const RemoteTell& tell) const {
        put_kind(out, FrameKind::RemoteTell);
        FieldWriter f{out};
        f("target_path", tell.target_path)("manifest", tell.manifest)("payload", tell.payload);
        f("sender_path", tell.sender_path);
    }
    void operator()(const Hello& m) const { own(FrameKind::Hello, m); }
    void operator()(const HelloReply& m) const { own(FrameKind::HelloReply, m); }
    void operator()(const Goodbye& m) const { own(FrameKind::Goodbye, m); }
    void operator()(const Define& m) const { own(FrameKind::Define, m); }
    void operator()(const ClusterMessage& message) const {
        put_kind(out, kind_of(message));
        std::visit(
            [this]<class Message>(const Message& m) {
                put_message(out, m);
                if constexpr (carries_gossip<Message>) detail::put_gossip_body(out, *m.gossip);
            },
            message);
    }
    void operator()(const TellPart& part) const {
        put_kind(out, FrameKind::TellPart);
        FieldWriter f{out};
        f("tell", part.tell)("total_bytes", part.total_bytes)("offset", part.offset)("bytes", part.bytes);
    }
    void operator()(const InternedTell& tell) const {
        put_kind(out, FrameKind::InternedTell);
        FieldWriter f{out};
        f("target", tell.target)("manifest", tell.manifest)("sender", tell.sender)("payload", tell.payload);
    }
    void operator()(const UnknownFrame&) const {
        fail(Errc::invalid_argument, "an unknown frame", "it stands for what a later version sent");
    }

private:
    template <class Frame>
    void own(FrameKind kind, const Frame& frame) const {
        put_kind(out, kind);
        FieldWriter f{out};
        fields(f, frame);
    }
};

FrameKind kind_of_frame(const ClusterFrame& frame) noexcept {
    struct Kind {
        FrameKind operator()(const reference::GossipPdu&) const { return FrameKind::Gossip; }
        FrameKind operator()(const RemoteTell&) const { return FrameKind::RemoteTell; }
        FrameKind operator()(const Hello&) const { return FrameKind::Hello; }
        FrameKind operator()(const HelloReply&) const { return FrameKind::HelloReply; }
        FrameKind operator()(const Goodbye&) const { return FrameKind::Goodbye; }
        FrameKind operator()(const ClusterMessage& m) const { return kind_of(m); }
        FrameKind operator()(const TellPart&) const { return FrameKind::TellPart; }
        FrameKind operator()(const Define&) const { return FrameKind::Define; }
        FrameKind operator()(const InternedTell&) const { return FrameKind::InternedTell; }
        FrameKind operator()(const UnknownFrame& u) const { return static_cast<FrameKind>(u.variant); }
    };
    return std::visit(Kind{}, frame);
}

// --- decoding

/// The bytes of a field inside `body`, shared when the body has an owner.
Slice get_slice(IArchive& in, const Slice& body) {
    const std::size_t size = in.get_length();
    const std::size_t at = in.offset();
    const auto bytes = in.get_bytes(size);
    return body.owned() ? body.sub(at, size) : Slice::copy_of(bytes);
}

template <class Message>
Message get_message(FieldReader& f) {
    Message message;
    if constexpr (carries_gossip<Message>) {
        Hash128 version_id;
        SeenSet seen;
        f("from", message.from)("to", message.to)("version_id", version_id)("seen", seen);
        f.set_field("gossip");
        message.gossip = detail::get_gossip_body(f, seen, version_id);
    } else {
        fields(f, message);
    }
    return message;
}

template <std::size_t... i>
ClusterMessage get_message_at(FieldReader& f, std::size_t index, std::index_sequence<i...>) {
    ClusterMessage message;
    (void)((index == i && (message = get_message<std::variant_alternative_t<i, ClusterMessage>>(f), true)) ||
           ...);
    return message;
}

template <class Frame>
Frame get_own(FieldReader& f) {
    Frame frame;
    fields(f, frame);
    return frame;
}

RemoteTell get_tell(FieldReader& f, const Slice& body) {
    RemoteTell tell;
    f("target_path", tell.target_path)("manifest", tell.manifest);
    f.set_field("payload");
    tell.payload = get_slice(f.archive(), body);
    f("sender_path", tell.sender_path);
    return tell;
}

TellPart get_part(FieldReader& f, const Slice& body) {
    TellPart part;
    f("tell", part.tell)("total_bytes", part.total_bytes)("offset", part.offset);
    f.set_field("bytes");
    const auto at = f.archive().offset();
    part.bytes = get_slice(f.archive(), body);
    if (part.offset > part.total_bytes || part.bytes.size() > part.total_bytes - part.offset)
        detail::refuse(at, "this part ends behind the tell's total_bytes");
    return part;
}

InternedTell get_interned(FieldReader& f, const Slice& body) {
    InternedTell tell;
    f("target", tell.target)("manifest", tell.manifest)("sender", tell.sender);
    f.set_field("payload");
    tell.payload = get_slice(f.archive(), body);
    return tell;
}

reference::GossipPdu get_pdu(FieldReader& f) {
    reference::GossipPdu pdu;
    f.set_field("pdu");
    f.archive() >> pdu;
    return pdu;
}

ClusterFrame get_frame(FieldReader& f, std::uint32_t variant, const Slice& body) {
    const auto kind = static_cast<FrameKind>(variant);
    switch (kind) {
    case FrameKind::Gossip: return get_pdu(f);
    case FrameKind::RemoteTell: return get_tell(f, body);
    case FrameKind::Hello: return get_own<Hello>(f);
    case FrameKind::HelloReply: return get_own<HelloReply>(f);
    case FrameKind::Goodbye: return get_own<Goodbye>(f);
    case FrameKind::TellPart: return get_part(f, body);
    case FrameKind::Define: return get_own<Define>(f);
    case FrameKind::InternedTell: return get_interned(f, body);
    default: return get_message_at(f, variant - first_message, std::make_index_sequence<message_count>{});
    }
}

Error decode_error(std::uint32_t variant, const char* field) {
    Error error = detail::error_of_current_exception(Errc::malformed, "a frame to be decoded");
    error.subject =
        fmt::format("frame {}, field {}, {}", name_of(static_cast<FrameKind>(variant)), field, error.subject);
    return error;
}

} // namespace

std::string_view name_of(FrameKind kind) noexcept {
    const auto index = static_cast<std::uint32_t>(kind);
    return index < kind_names.size() ? kind_names[index] : "unknown";
}

FrameKind kind_of(const ClusterMessage& message) noexcept {
    return static_cast<FrameKind>(first_message + static_cast<std::uint32_t>(message.index()));
}

std::string_view to_string(RefusalReason reason) noexcept {
    switch (reason) {
    case RefusalReason::WrongCluster: return "wrong-cluster";
    case RefusalReason::WrongVersion: return "wrong-version";
    case RefusalReason::WrongAddress: return "wrong-address";
    case RefusalReason::WrongIncarnation: return "wrong-incarnation";
    case RefusalReason::Quarantined: return "quarantined";
    case RefusalReason::Overloaded: return "overloaded";
    case RefusalReason::Stopping: return "stopping";
    case RefusalReason::Protocol: return "protocol";
    }
    return "unknown";
}

std::string_view to_string(GoodbyeReason reason) noexcept {
    switch (reason) {
    case GoodbyeReason::Link: return "link";
    case GoodbyeReason::Stopping: return "stopping";
    case GoodbyeReason::Quarantined: return "quarantined";
    case GoodbyeReason::Incarnation: return "incarnation";
    case GoodbyeReason::Superseded: return "superseded";
    case GoodbyeReason::Protocol: return "protocol";
    case GoodbyeReason::Overloaded: return "overloaded";
    }
    return "unknown";
}

std::optional<std::uint16_t> common_version(const Hello& hello) noexcept {
    const auto highest = std::min(hello.version_max, wire_version_max);
    if (highest < std::max(hello.version_min, wire_version_min)) return std::nullopt;
    return highest;
}

TellView RemoteTell::view() const noexcept {
    TellView tell{target_path, manifest, payload.bytes(), std::nullopt};
    if (sender_path) tell.sender_path = *sender_path;
    return tell;
}

result<EncodedMessage> encode_message(const ClusterMessage& message, EnvelopeEncoder& encoder,
                                      std::size_t frame_bytes_max) {
    const FrameKind kind = kind_of(message);
    try {
        EncodedMessage encoded;
        const auto body_of = [&](const GossipPtr& gossip) {
            auto body = encoder.body_of(gossip, frame_bytes_max);
            if (!body) throw Failure{std::move(body).error()};
            encoded.body = *std::move(body);
        };
        if (const auto* envelope = std::get_if<GossipEnvelope>(&message)) body_of(envelope->gossip);
        if (const auto* welcome = std::get_if<Welcome>(&message)) body_of(welcome->gossip);
        encoded.head = framed(encoded.body.size(), frame_bytes_max, [&](OArchive& out) {
            put_kind(out, kind);
            std::visit([&out](const auto& m) { put_message(out, m); }, message);
        });
        return encoded;
    } catch (...) {
        return encode_error(kind);
    }
}

result<Slice> encode_frame(const ClusterFrame& frame, std::size_t frame_bytes_max) {
    try {
        return framed(0, frame_bytes_max, [&frame](OArchive& out) { std::visit(FrameWriter{out}, frame); });
    } catch (...) {
        return encode_error(kind_of_frame(frame));
    }
}

result<void> encode_frame(const ClusterFrame& frame, Sink& sink, std::size_t frame_bytes_max) {
    const auto encoded = encode_frame(frame, frame_bytes_max);
    if (!encoded) return encoded.error();
    try {
        const auto window = sink.more(sink.window().begin, encoded->size());
        sink.commit(put_bytes(window.begin, encoded->bytes()));
        return {};
    } catch (...) {
        return encode_error(kind_of_frame(frame));
    }
}

result<ClusterFrame> decode_frame(const Slice& body, const DecodeOptions& options) {
    const auto variant = frame_variant(body.bytes());
    if (!variant)
        return Error{.code = Errc::malformed,
                     .subject = fmt::format("frame of {} bytes", body.size()),
                     .advice = "it begins with the varint u32 of a variant"};
    if (*variant >= frame_kind_count) {
        if (options.peer_is_newer) return ClusterFrame{UnknownFrame{*variant}};
        return Error{.code = Errc::malformed,
                     .subject = fmt::format("frame variant {}", *variant),
                     .advice =
                         fmt::format("a peer of this wire version sends 0 to {}", frame_kind_count - 1)};
    }
    IArchive in{body.bytes()};
    FieldReader fields_of{in, options.interner};
    try {
        (void)in.get_varint<std::uint32_t>();
        ClusterFrame frame = get_frame(fields_of, *variant, body);
        fields_of.set_field("end");
        in.finish();
        if (options.interner != nullptr) {
            if (const auto* message = std::get_if<ClusterMessage>(&frame)) {
                if (const auto* envelope = std::get_if<GossipEnvelope>(message))
                    options.interner->remember(envelope->gossip);
                if (const auto* welcome = std::get_if<Welcome>(message))
                    options.interner->remember(welcome->gossip);
            }
        }
        return frame;
    } catch (...) {
        return decode_error(*variant, fields_of.field());
    }
}

} // namespace muster::wire
