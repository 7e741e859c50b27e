// SPDX-License-Identifier: Apache-2.0
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
            if (length > frame_bytes_max_) return refuse(Next::TooLarge, length);
            // It may go on where it lies, but more often it does not.
            if (!reserve(length)) return refuse(Next::NoRoom, length);
        } else if (!assembly_buffer_) {
            release_reservation();
        }
        if (current_.empty()) current_ = Slice{}; // lets go of the receive buffer
        return Next::NeedMore;
    }
    const bool room = move_to_assembly();
    if (assembly_bytes_ < prefix_bytes) return Next::NeedMore;
    const std::size_t length = read_length(prefix_);
    if (length > frame_bytes_max_) return refuse(Next::TooLarge, length);
    if (!room) return refuse(Next::NoRoom, length);
    if (assembly_bytes_ < prefix_bytes + length) return Next::NeedMore;
    out = {{assembly_.data(), length}, assembly_.owner(), false};
    assembly_bytes_ = 0; // assembly_ stays for as long as `out` is looked at
    assembling_ = false;
    return Next::Frame;
}

FrameReader::Next FrameReader::refuse(Next why, std::size_t length) noexcept {
    claimed_ = length;
    return why;
}

/// Makes sure that a block of `length` bytes is paid for. What was reserved for a larger one will do.
bool FrameReader::reserve(std::size_t length) noexcept {
    if (!budget_ || length <= AssemblyBudget::free_bytes || length <= reserved_) return true;
    if (!budget_->take(length - reserved_, acquainted_)) return false;
    reserved_ = length;
    return true;
}

void FrameReader::release_reservation() noexcept {
    if (reserved_) budget_->give_back(reserved_);
    reserved_ = 0;
}

void FrameReader::detach() {
    if (current_.empty()) {
        current_ = Slice{};
        return;
    }
    move_to_assembly();
}

/// Moves what the spanning frame still lacks from current_ to the assembly. False when there is no room for
/// one: only when its length has just become known, and then nothing was moved but the length.
bool FrameReader::move_to_assembly() {
    const auto move = [this](std::byte* to, std::size_t count) {
        std::memcpy(to, current_.data(), count);
        current_.remove_prefix(count);
        assembly_bytes_ += count;
    };
    if (assembly_bytes_ < prefix_bytes) {
        move(prefix_ + assembly_bytes_, std::min(prefix_bytes - assembly_bytes_, current_.size()));
        if (assembly_bytes_ < prefix_bytes) {
            current_ = Slice{};
            return true;
        }
    }
    const std::size_t length = read_length(prefix_);
    if (length > frame_bytes_max_) return true; // nothing is allocated for it, nor kept
    if (!assembling_) {
        if (!reserve(length)) return false;
        make_assembly(length);
        assembling_ = true;
    }
    const std::size_t filled = assembly_bytes_ - prefix_bytes;
    const std::size_t count = std::min(assembly_.size() - filled, current_.size());
    if (count) move(assembly_buffer_->data() + filled, count);
    if (current_.empty()) current_ = Slice{};
    return true;
}

/// Fresh memory costs a page fault per 4 KiB, so a block that fits and that nobody retained is used again.
void FrameReader::make_assembly(std::size_t bytes) {
    if (assembly_buffer_ && assembly_buffer_->references() == 1 && assembly_buffer_->size() >= bytes &&
        assembly_buffer_->size() / 4 <= bytes) {
        // references() is a relaxed read: the pair makes the last reader's reading happen before.
        assembly_buffer_->retain();
        assembly_buffer_->release();
    } else {
        // The former block goes, and with it what was reserved beyond this one.
        assembly_ = Slice{};
        assembly_buffer_ = nullptr;
        if (reserved_ > bytes) {
            budget_->give_back(reserved_ - bytes);
            reserved_ = bytes;
        }
        assembly_buffer_ = Buffer::allocate(bytes);
        assembly_ = Slice::adopt(assembly_buffer_, {});
    }
    assembly_.view({assembly_buffer_->data(), bytes});
}

void FrameReader::forget_assembly() noexcept {
    assembly_ = Slice{};
    assembly_buffer_ = nullptr;
    if (current_.empty()) release_reservation();
}

} // namespace muster::transport
