// SPDX-License-Identifier: Apache-2.0
#include <muster/wire/bytes.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <muster/ensure.hpp>

namespace muster::wire {

void fail(Errc code, std::string subject, std::string advice) {
    throw Failure{Error{.code = code, .subject = std::move(subject), .advice = std::move(advice)}};
}

namespace {

/// Length of the well-formed sequence at `p` (Unicode table 3-7), 0 when there is none.
std::size_t utf8_sequence(const unsigned char* p, std::size_t left) noexcept {
    const unsigned char lead = p[0];
    const auto tail = [p](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
        return p[i] >= low && p[i] <= high;
    };
    if (lead < 0x80) return 1;
    if (lead >= 0xc2 && lead <= 0xdf) return left >= 2 && tail(1) ? 2 : 0;
    if (lead >= 0xe0 && lead <= 0xef) {
        // E0 begins overlong forms, ED surrogates.
        const unsigned low = lead == 0xe0 ? 0xa0 : 0x80;
        const unsigned high = lead == 0xed ? 0x9f : 0xbf;
        return left >= 3 && tail(1, low, high) && tail(2) ? 3 : 0;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        // F0 begins overlong forms, F4 what is above U+10FFFF.
        const unsigned low = lead == 0xf0 ? 0x90 : 0x80;
        const unsigned high = lead == 0xf4 ? 0x8f : 0xbf;
        return left >= 4 && tail(1, low, high) && tail(2) && tail(3) ? 4 : 0;
    }
    return 0;
}

template <class Word>
std::uint64_t word_at(const char* p) noexcept {
    Word word;
    std::memcpy(&word, p, sizeof word);
    return word;
}

/// Whether the text is ASCII, as most of a cluster's are. The last word read overlaps the one before, which
/// is cheaper than a loop over single bytes.
bool is_ascii(std::string_view text) noexcept {
    const char* p = text.data();
    const std::size_t size = text.size();
    const char* const end = p + size;
    std::uint64_t seen = 0;
    if (size >= 8) {
        for (; end - p >= 16; p += 16) seen |= word_at<std::uint64_t>(p) | word_at<std::uint64_t>(p + 8);
        if (end - p >= 8) seen |= word_at<std::uint64_t>(p);
        seen |= word_at<std::uint64_t>(end - 8);
    } else if (size >= 4) {
        seen = word_at<std::uint32_t>(p) | word_at<std::uint32_t>(end - 4);
    } else if (size > 0) {
        seen =
            word_at<std::uint8_t>(p) | word_at<std::uint8_t>(p + size / 2) | word_at<std::uint8_t>(end - 1);
    }
    return (seen & 0x8080'8080'8080'8080) == 0;
}

bool is_utf8_slow(std::string_view text) noexcept {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    const auto* const end = p + text.size();
    while (p != end) {
        const auto length = utf8_sequence(p, static_cast<std::size_t>(end - p));
        if (length == 0) return false;
        p += length;
    }
    return true;
}

} // namespace

bool is_utf8(std::string_view text) noexcept { return is_ascii(text) || is_utf8_slow(text); }

BufferSink::BufferSink(std::size_t bytes_max, std::size_t reserve) : bytes_max_(bytes_max) {
    if (reserve == 0) return;
    buffer_ = Buffer::allocate(std::min(reserve, bytes_max));
    window_ = {buffer_->data(), buffer_->data() + buffer_->size()};
}

BufferSink::~BufferSink() {
    if (buffer_ != nullptr) buffer_->release();
}

void BufferSink::grow(std::size_t need) {
    constexpr std::size_t bytes_min = 256;
    const std::size_t used = size();
    if (need > bytes_max_ - used)
        fail(Errc::too_large, fmt::format("a message of more than {} bytes", bytes_max_),
             fmt::format("at most {} bytes are allowed here", bytes_max_));
    const std::size_t capacity = std::min(std::max({used + need, 2 * used, bytes_min}), bytes_max_);
    Buffer* const larger = Buffer::allocate(capacity);
    if (used != 0) std::memcpy(larger->data(), buffer_->data(), used);
    if (buffer_ != nullptr) buffer_->release();
    buffer_ = larger;
    window_ = {larger->data() + used, larger->data() + larger->size()};
}

Slice BufferSink::take() noexcept {
    if (buffer_ == nullptr) return {};
    Slice all = Slice::adopt(buffer_, bytes());
    buffer_ = nullptr;
    window_ = {};
    return all;
}

void FixedSink::grow(std::size_t need) {
    fail(Errc::too_large, fmt::format("a message of at least {} bytes", size() + need),
         fmt::format("the memory given has {} bytes", memory_.size()));
}

} // namespace muster::wire
