// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Cuts a byte stream, given as received slices, into frames: in place where a frame lies in one slice.
#include "assembly_budget.hpp"
#include <cstddef>
#include <cstdint>
#include <muster/buffer.hpp>
#include <span>

namespace muster::transport {

/// Frames are a 4-byte big-endian length and that many bytes (wire.md, Frames).
///
///     reader.feed(std::move(slice));
///     while (reader.next(frame) == FrameReader::Next::Frame) use(frame);
///
/// A frame whose bytes lie in one slice, or in slices that continue each other in one buffer, is a view into
/// the receive buffer. Any other is assembled once, in a heap block of exactly its size.
class FrameReader {
public:
    enum class Next : std::uint8_t {
        Frame,
        NeedMore, ///< feed() the next slice
        TooLarge, ///< the length is above the limit (see claimed()): the stream is of no further use
        NoRoom, ///< the budget has no room for the frame (of claimed() bytes) that begins here: next() again
                ///< later, nothing is lost
    };
    struct Frame {
        std::span<const std::byte> body; ///< valid until the next call of next() or feed()
        Buffer* owner = nullptr; ///< what to retain to keep the body; null when the slice was borrowed
        bool in_place = false;   ///< the owner is the receive buffer
    };

    /// `budget`, if any, outlives the reader.
    explicit FrameReader(std::size_t frame_bytes_max, AssemblyBudget* budget = nullptr) noexcept
        : frame_bytes_max_(frame_bytes_max), budget_(budget) {}
    ~FrameReader() { release_reservation(); }
    FrameReader(const FrameReader&) = delete;
    FrameReader& operator=(const FrameReader&) = delete;

    /// Only after next() said NeedMore (or at the start).
    void feed(Slice bytes);
    Next next(Frame& out) {
        // The common case: the whole frame is in the slice. Everything else is out of line.
        const std::size_t available = current_.size();
        if (available >= prefix_bytes && !assembly_bytes_) [[likely]] {
            const std::size_t length = read_length(current_.data());
            if (length <= available - prefix_bytes && length <= frame_bytes_max_) [[likely]] {
                out = {{current_.data() + prefix_bytes, length}, current_.owner(), true};
                current_.remove_prefix(prefix_bytes + length);
                return Next::Frame;
            }
        }
        return next_slowly(out);
    }

    /// Before a wait of unknown length: copies an incomplete frame out of the receive buffer, so that a peer
    /// that stops in the middle does not keep it.
    void detach();
    /// Returns the memory kept for the next spanning frame.
    void trim() {
        if (!assembly_bytes_) forget_assembly();
    }
    /// Whether the beginning of a frame is here and its end is not.
    bool mid_frame() const noexcept { return assembly_bytes_ != 0 || !current_.empty(); }
    /// Whether a receive buffer is kept for an incomplete frame.
    bool holds_receive_buffer() const noexcept { return !current_.empty() && current_.owner() != nullptr; }
    /// The length that was too large.
    std::size_t claimed() const noexcept { return claimed_; }
    void set_frame_bytes_max(std::size_t n) noexcept { frame_bytes_max_ = n; }
    /// Whether this peer has the budget's members' share.
    void set_acquainted(bool acquainted) noexcept { acquainted_ = acquainted; }
    std::size_t frame_bytes_max() const noexcept { return frame_bytes_max_; }

    static constexpr std::size_t prefix_bytes = 4;
    static std::size_t read_length(const std::byte* p) noexcept {
        return std::to_integer<std::size_t>(p[0]) << 24 | std::to_integer<std::size_t>(p[1]) << 16 |
               std::to_integer<std::size_t>(p[2]) << 8 | std::to_integer<std::size_t>(p[3]);
    }

private:
    Next next_slowly(Frame& out);
    Next refuse(Next why, std::size_t length) noexcept;
    bool reserve(std::size_t length) noexcept;
    void release_reservation() noexcept;
    bool move_to_assembly();
    void make_assembly(std::size_t bytes);
    void forget_assembly() noexcept;

    std::size_t frame_bytes_max_;
    AssemblyBudget* budget_;
    bool acquainted_ = false;
    std::size_t reserved_ = 0; // of the budget: for the assembly, or for a frame that may need one
    Slice current_;            // received, not yet cut
    std::size_t claimed_ = 0;

    // A frame that spans slices. assembly_bytes_ of it are here: first in prefix_, once that is complete in
    // assembly_ (without the prefix).
    std::size_t assembly_bytes_ = 0;
    bool assembling_ = false; // assembly_ is that frame's
    std::byte prefix_[prefix_bytes]{};
    Slice assembly_;                    // kept for the next one when nobody retained it
    Buffer* assembly_buffer_ = nullptr; // of assembly_, writable
};

} // namespace muster::transport
