// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <fmt/format.h>
#include <muster/wire/frame.hpp>

// Tells: parsed in place and written to memory of known length. No exception, no allocation, no temporary.

namespace muster::wire {
namespace {

constexpr std::uint32_t index_of(FrameKind kind) noexcept { return static_cast<std::uint32_t>(kind); }

std::byte* put_kind(std::byte* out, FrameKind kind) noexcept {
    *out = static_cast<std::byte>(index_of(kind));
    return out + 1;
}

std::byte* put_text(std::byte* out, std::string_view text) noexcept {
    return put_bytes(put_varint(out, text.size()), text);
}

std::size_t text_bytes(std::string_view text) noexcept { return varint_bytes(text.size()) + text.size(); }

/// Reads fields off a body; every function answers false at the first byte that is wrong.
class Fields {
public:
    explicit Fields(std::span<const std::byte> body) noexcept
        : cursor_(body.data()), end_(body.data() + body.size()) {}

    bool at_end() const noexcept { return cursor_ == end_; }
    bool u64(std::uint64_t& value) noexcept {
        if (cursor_ == end_) return false;
        const auto first = std::to_integer<std::uint8_t>(*cursor_++);
        value = first;
        return first <= 250 || wide(first, value);
    }
    bool u32(std::uint32_t& value) noexcept {
        std::uint64_t wider = 0;
        // Marked as u64: refused whatever the value, as bincode does.
        if (cursor_ == end_ || *cursor_ == std::byte{253} || !u64(wider)) return false;
        value = static_cast<std::uint32_t>(wider);
        return true;
    }
    bool bytes(std::span<const std::byte>& out) noexcept {
        std::uint64_t size = 0;
        if (!u64(size) || size > static_cast<std::uint64_t>(end_ - cursor_)) return false;
        out = {cursor_, static_cast<std::size_t>(size)};
        cursor_ += size;
        return true;
    }
    bool text(std::string_view& out) noexcept {
        std::span<const std::byte> raw;
        if (!bytes(raw)) return false;
        out = {reinterpret_cast<const char*>(raw.data()), raw.size()};
        return is_utf8(out);
    }
    bool option(bool& present) noexcept {
        if (cursor_ == end_ || *cursor_ > std::byte{1}) return false;
        present = *cursor_++ == std::byte{1};
        return true;
    }
    bool kind(FrameKind expected) noexcept {
        std::uint32_t index = 0;
        return u32(index) && index == index_of(expected);
    }

private:
    bool wide(std::uint8_t marker, std::uint64_t& value) noexcept {
        if (marker > 253) return false;
        const std::size_t size = std::size_t{1} << (marker - 250U);
        if (static_cast<std::size_t>(end_ - cursor_) < size) return false;
        value = 0;
        std::memcpy(&value, cursor_, size);
        cursor_ += size;
        return true;
    }

    const std::byte* cursor_;
    const std::byte* end_;
};

} // namespace

std::optional<std::uint32_t> frame_variant(std::span<const std::byte> body) noexcept {
    std::uint32_t index = 0;
    if (!Fields{body}.u32(index)) return std::nullopt;
    return index;
}

bool parse_tell(std::span<const std::byte> body, Tell& out) noexcept {
    Fields in{body};
    bool has_sender = false;
    if (!in.kind(FrameKind::RemoteTell) || !in.text(out.target_path) || !in.text(out.manifest) ||
        !in.bytes(out.payload) || !in.option(has_sender))
        return false;
    if (has_sender) {
        if (!in.text(out.sender_path.emplace())) return false;
    } else {
        out.sender_path.reset();
    }
    return in.at_end();
}

bool parse_tell(std::span<const std::byte> body, InternedTellView& out) noexcept {
    Fields in{body};
    bool has_sender = false;
    if (!in.kind(FrameKind::InternedTell) || !in.u32(out.target) || !in.u32(out.manifest) ||
        !in.option(has_sender))
        return false;
    if (has_sender) {
        if (!in.u32(out.sender.emplace())) return false;
    } else {
        out.sender.reset();
    }
    return in.bytes(out.payload) && in.at_end();
}

bool parse_tell_part(std::span<const std::byte> body, TellPartView& out) noexcept {
    Fields in{body};
    if (!in.kind(FrameKind::TellPart) || !in.u64(out.tell) || !in.u64(out.total_bytes) ||
        !in.u64(out.offset) || !in.bytes(out.bytes) || !in.at_end())
        return false;
    return out.offset <= out.total_bytes && out.bytes.size() <= out.total_bytes - out.offset;
}

bool tell_is_sendable(const Tell& tell, std::size_t frame_bytes_max) noexcept {
    return tell_frame_bytes(tell) - frame_header_bytes <= frame_bytes_max && is_utf8(tell.target_path) &&
           is_utf8(tell.manifest) && (!tell.sender_path || is_utf8(*tell.sender_path));
}

result<void> check_tell(const Tell& tell, std::size_t frame_bytes_max) {
    if (tell_is_sendable(tell, frame_bytes_max)) return {};
    const auto not_utf8 = [](std::string_view what) {
        return Error{.code = Errc::invalid_argument,
                     .subject = fmt::format("{} of a tell", what),
                     .advice = "use UTF-8: the peer refuses anything else"};
    };
    if (!is_utf8(tell.target_path)) return not_utf8("target path");
    if (!is_utf8(tell.manifest)) return not_utf8("manifest");
    if (tell.sender_path && !is_utf8(*tell.sender_path)) return not_utf8("sender path");
    return Error{.code = Errc::too_large,
                 .subject = fmt::format("a tell whose frame has {} bytes",
                                        tell_frame_bytes(tell) - frame_header_bytes),
                 .advice = fmt::format("use at most {}", frame_bytes_max)};
}

std::size_t tell_tail_bytes(const Tell& tell) noexcept {
    return 1 + (tell.sender_path ? text_bytes(*tell.sender_path) : 0);
}

std::size_t tell_frame_bytes(const Tell& tell) noexcept {
    return frame_header_bytes + 1 + text_bytes(tell.target_path) + text_bytes(tell.manifest) +
           varint_bytes(tell.payload.size()) + tell.payload.size() + tell_tail_bytes(tell);
}

std::size_t tell_frame_bytes(const InternedTellView& tell) noexcept {
    return frame_header_bytes + 1 + varint_bytes(tell.target) + varint_bytes(tell.manifest) + 1 +
           (tell.sender ? varint_bytes(*tell.sender) : 0) + varint_bytes(tell.payload.size()) +
           tell.payload.size();
}

std::byte* write_tell_head(std::byte* out, const Tell& tell, std::size_t frame_bytes) noexcept {
    out = put_frame_length(out, frame_bytes - frame_header_bytes);
    out = put_kind(out, FrameKind::RemoteTell);
    out = put_text(out, tell.target_path);
    out = put_text(out, tell.manifest);
    return put_varint(out, tell.payload.size());
}

std::byte* write_tell_tail(std::byte* out, const Tell& tell) noexcept {
    *out++ = std::byte{tell.sender_path ? std::uint8_t{1} : std::uint8_t{0}};
    return tell.sender_path ? put_text(out, *tell.sender_path) : out;
}

std::byte* write_tell(std::byte* out, const Tell& tell, std::size_t frame_bytes) noexcept {
    return write_tell_tail(put_bytes(write_tell_head(out, tell, frame_bytes), tell.payload), tell);
}

std::byte* write_tell_head(std::byte* out, const InternedTellView& tell, std::size_t frame_bytes) noexcept {
    out = put_frame_length(out, frame_bytes - frame_header_bytes);
    out = put_kind(out, FrameKind::InternedTell);
    out = put_varint(out, tell.target);
    out = put_varint(out, tell.manifest);
    *out++ = std::byte{tell.sender ? std::uint8_t{1} : std::uint8_t{0}};
    if (tell.sender) out = put_varint(out, *tell.sender);
    return put_varint(out, tell.payload.size());
}

std::byte* write_tell(std::byte* out, const InternedTellView& tell, std::size_t frame_bytes) noexcept {
    return put_bytes(write_tell_head(out, tell, frame_bytes), tell.payload);
}

std::size_t tell_part_head_bytes(const TellPartView& part) noexcept {
    return frame_header_bytes + 1 + varint_bytes(part.tell) + varint_bytes(part.total_bytes) +
           varint_bytes(part.offset) + varint_bytes(part.bytes.size());
}

std::byte* write_tell_part_head(std::byte* out, const TellPartView& part) noexcept {
    out = put_frame_length(out, tell_part_head_bytes(part) + part.bytes.size() - frame_header_bytes);
    out = put_kind(out, FrameKind::TellPart);
    out = put_varint(out, part.tell);
    out = put_varint(out, part.total_bytes);
    out = put_varint(out, part.offset);
    return put_varint(out, part.bytes.size());
}

} // namespace muster::wire
