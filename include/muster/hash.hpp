// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A fixed, unseeded, endian-independent 128-bit hash (XXH3), and the order-free sum built from it.
#include <muster/language.hpp> // first

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace muster {

/// A 128-bit value that forms a group under addition modulo 2^128, so a set's digest (the sum of its
/// elements' hashes) is kept up to date in O(1) by adding and subtracting (protocol.md §2, seen_digest and
/// version_id).
struct Hash128 {
    std::uint64_t high{};
    std::uint64_t low{};

    constexpr Hash128& operator+=(Hash128 o) noexcept {
        low += o.low;
        high += o.high + (low < o.low ? 1U : 0U);
        return *this;
    }
    constexpr Hash128& operator-=(Hash128 o) noexcept {
        high -= o.high + (low < o.low ? 1U : 0U);
        low -= o.low;
        return *this;
    }
    friend constexpr Hash128 operator+(Hash128 a, Hash128 b) noexcept { return a += b; }
    friend constexpr Hash128 operator-(Hash128 a, Hash128 b) noexcept { return a -= b; }
    auto operator<=>(const Hash128&) const = default;

    /// 32 lower-case hex digits, high half first.
    std::string to_string() const;
};

/// Feeds typed fields into one hash. Each field is length- or width-delimited, so ("ab","c") differs from
/// ("a","bc").
class Hasher {
public:
    /// `domain` separates uses: equal fields in different domains never collide by construction.
    explicit Hasher(std::string_view domain);
    Hasher& add(std::string_view text);
    Hasher& add(std::span<const std::byte> bytes);
    Hasher& add(std::uint64_t value);
    Hasher& add(std::int64_t value) { return add(static_cast<std::uint64_t>(value)); }
    Hasher& add(Hash128 value) { return add(value.high).add(value.low); }
    Hash128 finish() const;

private:
    void append(const void* bytes, std::size_t size);
    void append_number(char tag, std::uint64_t value);

    /// Inputs up to this size, nearly all of them, need no allocation.
    std::array<char, 232> short_;
    std::size_t short_size_ = 0;
    std::string long_; ///< everything, once it does not fit
};

/// For use as the hasher of unordered containers that are never iterated into a result.
struct Hash128Hash {
    std::size_t operator()(Hash128 h) const noexcept { return static_cast<std::size_t>(h.low); }
};

} // namespace muster
