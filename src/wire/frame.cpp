// SPDX-License-Identifier: Apache-2.0
#include <muster/wire/frame.hpp>

#include "frame_codec.hpp"
#include <array>
#include <fmt/format.h>
#include <muster/wire/envelope.hpp>

namespace muster::wire {
namespace detail {

void finish_frame(std::span<std::byte> frame, std::size_t more, std::size_t frame_bytes_max) {
    const std::size_t body_bytes = frame.size() - frame_header_bytes + more;
    if (body_bytes > frame_bytes_max)
        fail(Errc::too_large, fmt::format("a frame of {} bytes", body_bytes),
             fmt::format("at most {} are allowed", frame_bytes_max));
    put_frame_length(frame.data(), body_bytes);
}

Error encode_error(std::string_view frame_name) {
    Error error = error_of_current_exception(Errc::invalid_argument, "a frame to be encoded");
    error.subject = fmt::format("frame {}: {}", frame_name, error.subject);
    return error;
}

Error decode_error(std::string_view frame_name, const char* field) {
    Error error = error_of_current_exception(Errc::malformed, "a frame to be decoded");
    error.subject = fmt::format("frame {}, field {}, {}", frame_name, field, error.subject);
    return error;
}

Error no_variant(const Slice& body) {
    return {.code = Errc::malformed,
            .subject = fmt::format("frame of {} bytes", body.size()),
            .advice = "it begins with the varint u32 of a variant"};
}

Error unknown_variant(std::uint32_t variant) {
    return {.code = Errc::malformed,
            .subject = fmt::format("frame variant {}", variant),
            .advice = fmt::format("a peer of this wire version sends 0 to {}", frame_number_end - 1)};
}

Error not_agreed_upon(std::string_view frame_name) {
    return {.code = Errc::malformed,
            .subject = fmt::format("frame {}", frame_name),
            .advice = "it was not agreed upon in the handshake"};
}

} // namespace detail

namespace {

using Codec = detail::FrameCodec<Frames, ClusterFrame>;
using detail::GossipBody;

/// By the index of ClusterMessage.
template <std::size_t... i>
constexpr auto kinds_of_messages(std::index_sequence<i...>) {
    return std::array{
        static_cast<FrameKind>(Frames::number_of<std::variant_alternative_t<i, ClusterMessage>>)...};
}
constexpr auto message_kinds =
    kinds_of_messages(std::make_index_sequence<std::variant_size_v<ClusterMessage>>{});

/// Null when the message carries none.
const GossipPtr* gossip_of(const ClusterMessage& message) noexcept {
    if (const auto* envelope = std::get_if<GossipEnvelope>(&message)) return &envelope->gossip;
    if (const auto* welcome = std::get_if<Welcome>(&message)) return &welcome->gossip;
    return nullptr;
}

struct FrameWriter {
    OArchive& out;
    const Agreement& agreement;

    template <class Frame>
    void operator()(const Frame& frame) const {
        Codec::put(out, frame, agreement, GossipBody::Included);
    }
    void operator()(const ClusterMessage& message) const { std::visit(*this, message); }
    void operator()(const UnknownFrame&) const {
        fail(Errc::invalid_argument, "an unknown frame", "it stands for what a later version sent");
    }
};

struct FrameName {
    template <class Frame>
    std::string_view operator()(const Frame&) const {
        return Frames::name_of(Frames::number_of<Frame>);
    }
    std::string_view operator()(const ClusterMessage& m) const { return std::visit(*this, m); }
    std::string_view operator()(const UnknownFrame& u) const { return Frames::name_of(u.variant); }
};

} // namespace

FrameKind kind_of(const ClusterMessage& message) noexcept { return message_kinds[message.index()]; }

const Needs& needs_of(const ClusterMessage& message) noexcept {
    return Frames::needs_of(static_cast<std::uint32_t>(kind_of(message)));
}

Tell RemoteTell::view() const noexcept {
    Tell tell{target_path, manifest, payload.bytes(), std::nullopt};
    if (sender_path) tell.sender_path = *sender_path;
    return tell;
}

result<EncodedMessage> encode_message(const ClusterMessage& message, EnvelopeEncoder& encoder,
                                      std::size_t frame_bytes_max, const Agreement& agreement) {
    try {
        EncodedMessage encoded;
        if (const GossipPtr* gossip = gossip_of(message)) {
            auto body = encoder.body_of(*gossip, frame_bytes_max);
            if (!body) throw Failure{std::move(body).error()};
            encoded.body = *std::move(body);
        }
        encoded.head = detail::framed(encoded.body.size(), frame_bytes_max, [&](OArchive& out) {
            const auto put = [&](const auto& m) { return Codec::put(out, m, agreement, GossipBody::Apart); };
            encoded.same_for_all = std::visit(put, message);
        });
        return encoded;
    } catch (...) {
        return detail::encode_error(name_of(kind_of(message)));
    }
}

result<Slice> encode_frame(const ClusterFrame& frame, std::size_t frame_bytes_max,
                           const Agreement& agreement) {
    try {
        return detail::framed(0, frame_bytes_max, [&](OArchive& out) {
            std::visit(FrameWriter{out, agreement}, frame);
        });
    } catch (...) {
        return detail::encode_error(std::visit(FrameName{}, frame));
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
        return detail::encode_error(std::visit(FrameName{}, frame));
    }
}

result<ClusterFrame> decode_frame(const Slice& body, const DecodeOptions& options) {
    auto frame = Codec::decode(body, options);
    if (!frame || options.interner == nullptr) return frame;
    if (const auto* message = std::get_if<ClusterMessage>(&*frame))
        if (const GossipPtr* gossip = gossip_of(*message)) options.interner->remember(*gossip);
    return frame;
}

} // namespace muster::wire
