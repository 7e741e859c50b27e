// SPDX-License-Identifier: Apache-2.0
#include <muster/hash.hpp>

#include <bit>
#include <cstring>
#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace muster {
namespace {

// Every field starts with what it is, so a number cannot be read as the length of a text.
enum class FieldTag : char { Text = 't', Bytes = 'b', Number = 'n' };

} // namespace

std::string Hash128::to_string() const { return fmt::format("{:016x}{:016x}", high, low); }

// short_ is written before it is read: not cleared.
Hasher::Hasher(std::string_view domain) { // NOLINT(cppcoreguidelines-pro-type-member-init)
    add(domain);
}

void Hasher::append(const void* bytes, std::size_t size) {
    if (size == 0) return;
    if (long_.empty() && size <= short_.size() - short_size_) {
        std::memcpy(short_.data() + short_size_, bytes, size);
        short_size_ += size;
        return;
    }
    if (long_.empty()) long_.assign(short_.data(), short_size_);
    long_.append(static_cast<const char*>(bytes), size);
}

void Hasher::append_number(char tag, std::uint64_t value) {
    std::array<char, 1 + sizeof value> field;
    field[0] = tag;
    if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap64(value);
    std::memcpy(field.data() + 1, &value, sizeof value);
    append(field.data(), field.size());
}

Hasher& Hasher::add(std::string_view text) {
    append_number(static_cast<char>(FieldTag::Text), text.size());
    append(text.data(), text.size());
    return *this;
}

Hasher& Hasher::add(std::span<const std::byte> bytes) {
    append_number(static_cast<char>(FieldTag::Bytes), bytes.size());
    append(bytes.data(), bytes.size());
    return *this;
}

Hasher& Hasher::add(std::uint64_t value) {
    append_number(static_cast<char>(FieldTag::Number), value);
    return *this;
}

Hash128 Hasher::finish() const {
    // The two halves are numbers, the same on every byte order (xxHash reads its input as little endian).
    const XXH128_hash_t hash =
        long_.empty() ? XXH3_128bits(short_.data(), short_size_) : XXH3_128bits(long_.data(), long_.size());
    return {hash.high64, hash.low64};
}

} // namespace muster
