#include "frame_reader.hpp"

#include <algorithm>
#include <cstring>
#include <muster/ensure.hpp>
#include <utility>

namespace muster::transport {

void FrameReader::feed(Slice bytes) {
    if (!current_.empty()) {
        const bool continues = current_.owner() && current_.owner() == bytes.owner() &&
                               current_.data() + current_.size() == bytes.data();
        if (continues) {
            const std::span<const std::byte> joined{current_.data(), current_.size() + bytes.size()};
            bytes.view(joined);
        } else {
            move_to_assembly();
        }
    }
    current_ = std::move(bytes);
}

FrameReader::Next FrameReader::next_slowly(Frame& out) {
    if (!assembly_bytes_) {
        if (current_.size() >= prefix_bytes) {
            const std::size_t length = read_length(current_.data());
            if (length > frame_bytes_max_) return too_large(length);
        }
        if (current_.empty()) current_ = Slice{}; // lets go of the receive buffer
        return Next::NeedMore;
    }
    move_to_assembly();
    if (assembly_bytes_ < prefix_bytes) return Next::NeedMore;
    const std::size_t length = read_length(prefix_);
    if (length > frame_bytes_max_) return too_large(length);
    if (assembly_bytes_ < prefix_bytes + length) return Next::NeedMore;
    out = {{assembly_.data(), length}, assembly_.owner(), false};
    assembly_bytes_ = 0; // assembly_ stays for as long as `out` is looked at
    return Next::Frame;
}

FrameReader::Next FrameReader::too_large(std::size_t length) noexcept {
    claimed_ = length;
    return Next::TooLarge;
}

void FrameReader::detach() {
    if (current_.empty()) {
        current_ = Slice{};
        return;
    }
    move_to_assembly();
}

/// Moves what the spanning frame still lacks from current_ to the assembly.
void FrameReader::move_to_assembly() {
    const auto move = [this](std::byte* to, std::size_t count) {
        std::memcpy(to, current_.data(), count);
        current_.remove_prefix(count);
        assembly_bytes_ += count;
    };
    const bool prefix_known = assembly_bytes_ >= prefix_bytes;
    if (!prefix_known) {
        move(prefix_ + assembly_bytes_, std::min(prefix_bytes - assembly_bytes_, current_.size()));
        if (assembly_bytes_ < prefix_bytes) {
            current_ = Slice{};
            return;
        }
    }
    const std::size_t length = read_length(prefix_);
    if (length > frame_bytes_max_) return; // nothing is allocated for it, nor kept
    if (!prefix_known) make_assembly(length);
    const std::size_t filled = assembly_bytes_ - prefix_bytes;
    const std::size_t count = std::min(assembly_.size() - filled, current_.size());
    if (count) move(assembly_buffer_->data() + filled, count);
    if (current_.empty()) current_ = Slice{};
}

/// Fresh memory costs a page fault per 4 KiB, so a block that fits and that nobody retained is used again.
void FrameReader::make_assembly(std::size_t bytes) {
    if (assembly_buffer_ && assembly_buffer_->references() == 1 && assembly_buffer_->size() >= bytes &&
        assembly_buffer_->size() / 4 <= bytes) {
        // references() is a relaxed read: the pair makes the last reader's reading happen before.
        assembly_buffer_->retain();
        assembly_buffer_->release();
    } else {
        forget_assembly();
        assembly_buffer_ = Buffer::allocate(bytes);
        assembly_ = Slice::adopt(assembly_buffer_, {});
    }
    assembly_.view({assembly_buffer_->data(), bytes});
}

void FrameReader::forget_assembly() noexcept {
    assembly_ = Slice{};
    assembly_buffer_ = nullptr;
}

} // namespace muster::transport
