#include <muster/hash.hpp>

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace muster {
namespace {

// Every field starts with what it is, so a number cannot be read as the length of a text.
enum class FieldTag : char { Text = 't', Bytes = 'b', Number = 'n' };

void append_little_endian(std::string& out, std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>((value >> shift) & 0xff));
}

} // namespace

std::string Hash128::to_string() const { return fmt::format("{:016x}{:016x}", high, low); }

Hasher::Hasher(std::string_view domain) {
    bytes_.reserve(128);
    add(domain);
}

Hasher& Hasher::add(std::string_view text) {
    bytes_.push_back(static_cast<char>(FieldTag::Text));
    append_little_endian(bytes_, text.size());
    bytes_.append(text);
    return *this;
}

Hasher& Hasher::add(std::span<const std::byte> bytes) {
    bytes_.push_back(static_cast<char>(FieldTag::Bytes));
    append_little_endian(bytes_, bytes.size());
    bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return *this;
}

Hasher& Hasher::add(std::uint64_t value) {
    bytes_.push_back(static_cast<char>(FieldTag::Number));
    append_little_endian(bytes_, value);
    return *this;
}

Hash128 Hasher::finish() const {
    // The two halves are numbers, the same on every byte order (xxHash reads its input as little endian).
    const XXH128_hash_t hash = XXH3_128bits(bytes_.data(), bytes_.size());
    return {hash.high64, hash.low64};
}

} // namespace muster
