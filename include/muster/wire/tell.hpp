// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Tells: what an application sends to a path on another node, and its forms in frames (frame.hpp).
#include <cstddef>
#include <cstdint>
#include <muster/buffer.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace muster {

/// One tell, as views: into the caller's memory when it is sent, into the frame's body when it was parsed.
struct Tell {
    std::string_view target_path;
    std::string_view manifest;
    std::span<const std::byte> payload;
    std::optional<std::string_view>
        sender_path; ///< names this node or, without an address, nobody: the peer drops other tells
};

} // namespace muster

namespace muster::wire {

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
    Tell view() const noexcept;
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

} // namespace muster::wire
