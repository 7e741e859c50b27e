// SPDX-License-Identifier: Apache-2.0
#pragma once
/// From a table of frames to bytes and back. frame.cpp uses it with the table of this build, tests with
/// tables of versions that do not exist. Internal to src/wire.
#include "fields.hpp"

#include <array>
#include <fmt/format.h>
#include <muster/wire/frame.hpp>
#include <utility>

namespace muster::wire::detail {

/// Sets the length prefix of a frame that begins at `frame` and is followed by `more` bytes.
void finish_frame(std::span<std::byte> frame, std::size_t more, std::size_t frame_bytes_max);
Error encode_error(std::string_view frame_name);
Error decode_error(std::string_view frame_name, const char* field);
Error no_variant(const Slice& body);
Error unknown_variant(std::uint32_t variant);
Error not_agreed_upon(std::string_view frame_name);

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

/// `AnyFrame`: a variant that is made from the type of each row and from UnknownFrame.
template <class Table, class AnyFrame>
class FrameCodec {
public:
    /// Throws Failure. Whether the bytes are the same for every peer.
    template <class Frame>
    static bool put(OArchive& out, const Frame& frame, const Agreement& agreement, GossipBody gossip_body) {
        out.put_varint(Table::template number_of<Frame>);
        FieldWriter f{out, agreement, gossip_body};
        fields(f, frame);
        return f.same_for_all();
    }

    /// The whole frame, with its length prefix.
    template <class Frame>
    static result<Slice> encode(const Frame& frame, const Agreement& agreement,
                                std::size_t frame_bytes_max = frame_bytes_max_default) {
        try {
            return framed(0, frame_bytes_max,
                          [&](OArchive& out) { put(out, frame, agreement, GossipBody::Included); });
        } catch (...) {
            return encode_error(Table::name_of(Table::template number_of<Frame>));
        }
    }

    static result<AnyFrame> decode(const Slice& body, const DecodeOptions& options) {
        const auto variant = frame_variant(body.bytes());
        if (!variant) return no_variant(body);
        if (!Table::has(*variant)) {
            if (options.peer_is_newer) return AnyFrame{UnknownFrame{*variant}};
            return unknown_variant(*variant);
        }
        if (!options.agreement.meets(Table::needs_of(*variant)))
            return not_agreed_upon(Table::name_of(*variant));
        IArchive in{body.bytes()};
        FieldReader f{in, body, options.agreement, options.interner};
        try {
            (void)in.get_varint<std::uint32_t>();
            AnyFrame frame = getters[*variant](f);
            f.set_field("end");
            if (options.peer_is_newer && may_grow[*variant] && in.remaining() > 0) {
                if (options.rest_skipped != nullptr) *options.rest_skipped = true;
            } else {
                in.finish();
            }
            return frame;
        } catch (...) {
            return decode_error(Table::name_of(*variant), f.field());
        }
    }

private:
    using Getter = AnyFrame (*)(FieldReader&);

    template <class Frame>
    static AnyFrame get(FieldReader& f) {
        Frame frame;
        fields(f, frame);
        return AnyFrame{std::move(frame)};
    }

    static constexpr auto getters = [] {
        std::array<Getter, Table::number_end> all{};
        Table::for_each([&all]<class Row>() { all[Row::number] = &get<typename Row::Type>; });
        return all;
    }();
    static constexpr auto may_grow = [] {
        std::array<bool, Table::number_end> all{};
        Table::for_each([&all]<class Row>() { all[Row::number] = !is_frozen<typename Row::Type>; });
        return all;
    }();
};

} // namespace muster::wire::detail
