// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The lowest layer of wire/: bincode 2 standard() integers, where encoders write (Sink), UTF-8, and how a
/// failure inside an encoder or decoder travels to the one place that turns it into a result<T>.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <muster/buffer.hpp>
#include <muster/error.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace muster::wire {

__extension__ using Uint128 = unsigned __int128;
__extension__ using Int128 = __int128;

/// Thrown inside an encoder or decoder and caught in the same API call (encode, decode, decode_frame, ..).
/// Derives from std::exception so that a user's serialize() that cleans up in `catch (...)` and rethrows
/// works.
class Failure final : public std::exception {
public:
    explicit Failure(Error error) : error_(std::move(error)) {}
    const char* what() const noexcept override {
        return "muster::wire: bad bytes or a value that cannot be encoded";
    }
    const Error& error() const noexcept { return error_; }
    Error& error() noexcept { return error_; }

private:
    Error error_;
};

[[noreturn, gnu::cold]] void fail(Errc code, std::string subject, std::string advice);

/// Whether `text` is UTF-8 as Rust's str demands: no overlong form, no surrogate, nothing above U+10FFFF.
/// Fast for ASCII.
bool is_utf8(std::string_view text) noexcept;

/// Where an encoder writes: memory it is handed window by window. Encoders keep the cursor in a register and
/// give it back with commit(), so a Sink is not touched per field.
class Sink {
public:
    /// Free memory [begin, end) behind everything written so far.
    struct Window {
        std::byte* begin = nullptr;
        std::byte* end = nullptr;
    };
    virtual ~Sink() = default;
    Window window() const noexcept { return window_; }
    /// Bytes before `cursor` are written; answers a window of at least `need` bytes behind them. Throws
    /// Failure (Errc::too_large) when the sink is full.
    Window more(std::byte* cursor, std::size_t need) {
        commit(cursor);
        if (static_cast<std::size_t>(window_.end - window_.begin) < need) grow(need);
        return window_;
    }
    /// Bytes before `cursor` are written.
    void commit(std::byte* cursor) noexcept { window_.begin = cursor; }
    /// Bytes committed so far.
    virtual std::size_t size() const noexcept = 0;
    /// Forgets what was committed beyond the first `size` bytes: so that a failed encoder leaves no trace.
    virtual void truncate(std::size_t size) noexcept = 0;

protected:
    Sink() = default;
    Sink(const Sink&) = default;
    Sink& operator=(const Sink&) = default;
    /// Makes window_ at least `need` bytes long and keeps the committed bytes, or throws Failure.
    virtual void grow(std::size_t need) = 0;
    Window window_;
};

/// Memory that grows up to `bytes_max`, reusable after clear(). Everything written is contiguous.
class BufferSink final : public Sink {
public:
    explicit BufferSink(std::size_t bytes_max = std::numeric_limits<std::size_t>::max(),
                        std::size_t reserve = 0);
    BufferSink(const BufferSink&) = delete;
    BufferSink& operator=(const BufferSink&) = delete;
    ~BufferSink() override;

    std::size_t size() const noexcept override { return static_cast<std::size_t>(window_.begin - begin()); }
    void truncate(std::size_t size) noexcept override { window_.begin = begin() + size; }
    std::span<const std::byte> bytes() const noexcept { return {begin(), size()}; }
    /// Writable: for a length that is known only at the end.
    std::span<std::byte> bytes() noexcept { return {begin(), size()}; }
    /// What was written as an owning Slice, without a copy. The sink is empty afterwards.
    Slice take() noexcept;
    /// Forgets what was written and keeps the memory.
    void clear() noexcept { window_.begin = begin(); }

private:
    void grow(std::size_t need) override;
    std::byte* begin() const noexcept { return buffer_ != nullptr ? buffer_->data() : nullptr; }
    Buffer* buffer_ = nullptr;
    std::size_t bytes_max_;
};

/// Writes into the caller's memory; Errc::too_large when it does not suffice.
class FixedSink final : public Sink {
public:
    explicit FixedSink(std::span<std::byte> memory) noexcept : memory_(memory) {
        window_ = {memory.data(), memory.data() + memory.size()};
    }
    std::size_t size() const noexcept override {
        return static_cast<std::size_t>(window_.begin - memory_.data());
    }
    void truncate(std::size_t size) noexcept override { window_.begin = memory_.data() + size; }
    std::span<const std::byte> bytes() const noexcept { return memory_.first(size()); }

private:
    void grow(std::size_t need) override;
    std::span<std::byte> memory_;
};

// --- integers: one byte up to 250, else a marker (251: u16, 252: u32, 253: u64, 254: u128) and little endian
// ---

inline constexpr std::size_t varint_bytes_max = 9; ///< of 64 bits

constexpr std::size_t varint_bytes(std::uint64_t value) noexcept {
    if (value <= 250) return 1;
    if (value <= 0xffff) return 3;
    return value <= 0xffff'ffff ? 5 : 9;
}

template <class T>
inline std::byte* put_raw(std::byte* out, T value) noexcept {
    static_assert(std::endian::native == std::endian::little,
                  "bincode is little endian; add the byte swap here");
    std::memcpy(out, &value, sizeof value);
    return out + sizeof value;
}

/// Writes varint_bytes(value) bytes.
inline std::byte* put_varint(std::byte* out, std::uint64_t value) noexcept {
    if (value <= 250) [[likely]] {
        *out = static_cast<std::byte>(value);
        return out + 1;
    }
    if (value <= 0xffff) {
        *out = std::byte{251};
        return put_raw(out + 1, static_cast<std::uint16_t>(value));
    }
    if (value <= 0xffff'ffff) {
        *out = std::byte{252};
        return put_raw(out + 1, static_cast<std::uint32_t>(value));
    }
    *out = std::byte{253};
    return put_raw(out + 1, value);
}

constexpr std::uint64_t zigzag(std::int64_t value) noexcept {
    return (static_cast<std::uint64_t>(value) << 1U) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t value) noexcept {
    return static_cast<std::int64_t>((value >> 1U) ^ (~(value & 1U) + 1U));
}

inline std::byte* put_bytes(std::byte* out, std::span<const std::byte> bytes) noexcept {
    if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
    return out + bytes.size();
}
inline std::byte* put_bytes(std::byte* out, std::string_view text) noexcept {
    return put_bytes(out, std::as_bytes(std::span{text}));
}

} // namespace muster::wire
