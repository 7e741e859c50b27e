// SPDX-License-Identifier: Apache-2.0
#pragma once
/// OArchive and IArchive: model Boost.Serialization's Archive concept and write exactly what bincode 2 writes
/// with its standard() configuration, so a type with a Boost serialize() can be told to a remote actor and
/// any bincode implementation reads it (type by type: src/doc/wire.md).
///
/// Header-only for the user's types: a member or free serialize(), split save/load, class versions (they
/// write no byte), base_object of a non-polymorphic base, nvp and private members through
/// boost::serialization::access work unchanged. What cannot be encoded faithfully does not compile, with a
/// sentence that says what to write instead.
///
/// encode() and decode() never throw for a bad value or bad bytes. Everything may be used from any thread; an
/// archive object belongs to one.
#include <algorithm>
#include <boost/mpl/bool.hpp>
#include <boost/serialization/access.hpp>
#include <boost/serialization/library_version_type.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <muster/buffer.hpp>
#include <muster/error.hpp>
#include <muster/wire/bytes.hpp>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace muster::wire {

/// The limits of an archive on one value, whatever the bytes claim.
struct ArchiveLimits {
    /// Nested objects, when loading and when saving: a megabyte of 01 must not overflow the stack of a
    /// recursive type, nor a cycle of shared_ptr.
    std::uint32_t depth_max = 128;
    /// Elements of sequences that took no byte at all (structs without fields), which no length can bound.
    std::uint32_t empty_elements_max = 65'536;
    /// Memory of container elements and pointees: memory_base + memory_factor * encoded bytes.
    std::size_t memory_base = 16 * 1024 * 1024;
    std::size_t memory_factor = 64;
};

class OArchive;
class IArchive;

namespace detail {
template <class T>
struct TypeCodec; // detail/type_codec.ipp: how one type is saved and loaded

template <class>
inline constexpr bool never = false;

// Out of line and by value, so that the archive's cursor stays in a register.
[[noreturn, gnu::cold]] void refuse(std::size_t offset, std::string_view why);
[[noreturn, gnu::cold]] void refuse_count(std::size_t offset, std::uint64_t count, std::size_t remaining);
[[noreturn, gnu::cold]] void refuse_end(std::size_t offset, std::size_t need, std::size_t remaining);
[[noreturn, gnu::cold]] void refuse_save(std::string_view what, std::string_view why);
[[gnu::cold]] Error error_of_current_exception(Errc otherwise, std::string_view subject);
} // namespace detail

/// Saves values to a Sink. Throws Failure out of << when a value has no encoding; encode() catches it.
class OArchive {
public:
    using is_saving = boost::mpl::true_;
    using is_loading = boost::mpl::false_;

    explicit OArchive(Sink& sink, const ArchiveLimits& limits = {}) noexcept
        : sink_(&sink), cursor_(sink.window().begin), end_(sink.window().end), depth_left_(limits.depth_max) {
    }
    OArchive(const OArchive&) = delete;
    OArchive& operator=(const OArchive&) = delete;

    template <class T>
    OArchive& operator<<(const T& value) {
        detail::TypeCodec<T>::save(*this, value);
        return *this;
    }
    template <class T>
    OArchive& operator&(const T& value) {
        return *this << value;
    }
    /// Commits the saved bytes to the sink. Call it once at the end.
    void finish() noexcept { sink_->commit(cursor_); }

    // What Boost's headers expect of an archive.
    boost::serialization::library_version_type get_library_version() const noexcept {
        return boost::serialization::library_version_type(19);
    }
    void reset_object_address(const void*, const void*) noexcept {}
    /// Raw bytes without a length.
    void save_binary(const void* data, std::size_t size) {
        put_bytes({static_cast<const std::byte*>(data), size});
    }
    template <class T>
    void register_type(const T* = nullptr) {
        static_assert(detail::never<T>,
                      "muster::wire: register_type is for polymorphic pointers, which have no "
                      "bincode form; use std::variant of the concrete types");
    }
    template <class Helper>
    Helper& get_helper(const void* = nullptr) {
        static_assert(detail::never<Helper>,
                      "muster::wire: archive helpers (get_helper) are not available: an "
                      "archive keeps no state between values");
        __builtin_unreachable();
    }

    // For codecs.
    void put_byte(std::uint8_t value) {
        *room(1) = std::byte{value};
        ++cursor_;
    }
    void put_varint(std::uint64_t value) { cursor_ = wire::put_varint(room(varint_bytes_max), value); }
    void put_varint128(Uint128 value) {
        if (value <= std::numeric_limits<std::uint64_t>::max())
            return put_varint(static_cast<std::uint64_t>(value));
        std::byte* const out = room(17);
        *out = std::byte{254};
        cursor_ = put_raw(out + 1, value);
    }
    template <class T>
    void put_fixed(T value) {
        cursor_ = put_raw(room(sizeof value), value);
    }
    void put_bytes(std::span<const std::byte> bytes) { cursor_ = wire::put_bytes(room(bytes.size()), bytes); }
    /// Length and bytes; refused when it is not UTF-8, which the peer would refuse.
    void put_text(std::string_view text) {
        if (!is_utf8(text))
            detail::refuse_save("a string that is not UTF-8", "use std::vector<std::uint8_t> for bytes");
        put_varint(text.size());
        put_bytes(std::as_bytes(std::span{text}));
    }
    void enter() {
        if (depth_left_-- == 0)
            detail::refuse_save("an object nested too deeply (or in a cycle)",
                                "nest less, or raise ArchiveLimits::depth_max on both sides");
    }
    void leave() noexcept { ++depth_left_; }

private:
    std::byte* room(std::size_t need) {
        if (static_cast<std::size_t>(end_ - cursor_) < need) [[unlikely]] {
            const Sink::Window window = sink_->more(cursor_, need);
            cursor_ = window.begin;
            end_ = window.end;
        }
        return cursor_;
    }

    Sink* sink_;
    std::byte* cursor_;
    std::byte* end_;
    std::uint32_t depth_left_;
};

/// Loads values from bytes, all of them in memory. Throws Failure out of >> at the first byte that is wrong;
/// decode() catches it.
class IArchive {
public:
    using is_saving = boost::mpl::false_;
    using is_loading = boost::mpl::true_;

    explicit IArchive(std::span<const std::byte> bytes, const ArchiveLimits& limits = {}) noexcept
        : begin_(bytes.data()), cursor_(bytes.data()), end_(bytes.data() + bytes.size()),
          memory_left_(limits.memory_base + limits.memory_factor * bytes.size()),
          empty_elements_left_(limits.empty_elements_max), depth_left_(limits.depth_max) {}
    IArchive(const IArchive&) = delete;
    IArchive& operator=(const IArchive&) = delete;

    template <class T>
    IArchive& operator>>(T&& value);
    template <class T>
    IArchive& operator&(T&& value) {
        return *this >> std::forward<T>(value);
    }

    /// The bytes not read yet.
    std::span<const std::byte> rest() const noexcept { return {cursor_, end_}; }
    std::size_t remaining() const noexcept { return static_cast<std::size_t>(end_ - cursor_); }
    std::size_t offset() const noexcept { return static_cast<std::size_t>(cursor_ - begin_); }
    /// Refuses trailing bytes: one reader could act on them and another overlook them.
    void finish() const {
        if (cursor_ != end_) detail::refuse(offset(), "there are bytes behind the value");
    }

    // What Boost's headers expect of an archive.
    boost::serialization::library_version_type get_library_version() const noexcept {
        return boost::serialization::library_version_type(19);
    }
    void reset_object_address(const void*, const void*) noexcept {}
    void load_binary(void* data, std::size_t size) {
        const auto bytes = get_bytes(size);
        if (size != 0) std::memcpy(data, bytes.data(), size);
    }
    template <class T>
    void register_type(const T* = nullptr) {
        static_assert(detail::never<T>,
                      "muster::wire: register_type is for polymorphic pointers, which have no "
                      "bincode form; use std::variant of the concrete types");
    }
    template <class Helper>
    Helper& get_helper(const void* = nullptr) {
        static_assert(detail::never<Helper>,
                      "muster::wire: archive helpers (get_helper) are not available: an "
                      "archive keeps no state between values");
        __builtin_unreachable();
    }

    // For codecs.
    std::uint8_t get_byte() {
        if (cursor_ == end_) [[unlikely]]
            detail::refuse_end(offset(), 1, 0);
        return std::to_integer<std::uint8_t>(*cursor_++);
    }
    /// `T`: the unsigned type of the value. Any marker up to its width is accepted, as bincode does, even
    /// where a shorter one would do.
    template <class T>
    T get_varint() {
        static_assert(sizeof(T) >= 2);
        const std::uint8_t first = get_byte();
        if (first <= 250) [[likely]]
            return first;
        if (first == 251) return get_fixed<std::uint16_t>();
        if constexpr (sizeof(T) >= 4)
            if (first == 252) return get_fixed<std::uint32_t>();
        if constexpr (sizeof(T) >= 8)
            if (first == 253) return static_cast<T>(get_fixed<std::uint64_t>());
        if constexpr (sizeof(T) >= 16)
            if (first == 254) return get_fixed<Uint128>();
        detail::refuse(offset() - 1, "this integer is marked as wider than its type");
    }
    template <class T>
    T get_fixed() {
        need(sizeof(T));
        T value;
        std::memcpy(&value, cursor_, sizeof value);
        cursor_ += sizeof value;
        return value;
    }
    std::span<const std::byte> get_bytes(std::size_t size) {
        need(size);
        const std::span<const std::byte> bytes{cursor_, size};
        cursor_ += size;
        return bytes;
    }
    /// A length, at most the remaining bytes.
    std::size_t get_length() {
        const auto at = offset();
        const auto length = get_varint<std::uint64_t>();
        if (length > remaining()) [[unlikely]]
            detail::refuse_count(at, length, remaining());
        return static_cast<std::size_t>(length);
    }
    std::string_view get_text() {
        const auto at = offset();
        const auto bytes = get_bytes(get_length());
        const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
        if (!is_utf8(text)) [[unlikely]]
            detail::refuse(at, "this string is not UTF-8");
        return text;
    }
    /// A count of elements of at least `bytes_min` bytes each: at most what the remaining bytes can hold (for
    /// elements that may take no byte, also what the limit on such elements leaves).
    std::size_t get_count(std::size_t bytes_min) {
        const auto at = offset();
        const auto count = get_varint<std::uint64_t>();
        const std::size_t most = bytes_min > 0 ? remaining() / bytes_min : remaining() + empty_elements_left_;
        if (count > most) [[unlikely]]
            detail::refuse_count(at, count, remaining());
        return static_cast<std::size_t>(count);
    }
    /// 0 or 1.
    bool get_flag(std::string_view otherwise) {
        const std::uint8_t flag = get_byte();
        if (flag > 1) [[unlikely]]
            detail::refuse(offset() - 1, otherwise);
        return flag == 1;
    }
    /// Charges memory that a loaded element takes beyond its encoded bytes.
    void charge(std::size_t bytes) {
        if (bytes > memory_left_) [[unlikely]]
            detail::refuse(offset(), "the value takes more memory than ArchiveLimits allow for so few bytes");
        memory_left_ -= bytes;
    }
    /// Charges the element that began at `start` and was just loaded.
    void element_loaded(std::size_t start) {
        if (offset() == start && empty_elements_left_-- == 0) [[unlikely]]
            detail::refuse(start, "there are more elements without any byte than ArchiveLimits allow");
    }
    void enter() {
        if (depth_left_-- == 0) [[unlikely]]
            detail::refuse(offset(), "objects are nested deeper than ArchiveLimits::depth_max");
    }
    void leave() noexcept { ++depth_left_; }

private:
    void need(std::size_t size) const {
        if (remaining() < size) [[unlikely]]
            detail::refuse_end(offset(), size, remaining());
    }

    const std::byte* begin_;
    const std::byte* cursor_;
    const std::byte* end_;
    std::size_t memory_left_;
    std::uint32_t empty_elements_left_;
    std::uint32_t depth_left_;
};

/// For an enum whose enumerators are not 0, 1, 2, ..: specialise it with the enumerators in the order of the
/// peer's variants. bincode writes the variant's index and ignores its value.
///     template <> struct muster::wire::EnumOrder<Color> {
///         static constexpr std::array values{Color::Red, Color::Blue};
///     };
template <class Enum>
struct EnumOrder {};

} // namespace muster::wire

#include <muster/wire/detail/type_codec.ipp>

namespace muster::wire {

template <class T>
IArchive& IArchive::operator>>(T&& value) {
    using Value = std::remove_cvref_t<T>;
    if constexpr (std::is_const_v<std::remove_reference_t<T>> && !detail::is_wrapper<Value>)
        static_assert(detail::never<T>, "muster::wire: a const object cannot be loaded into; make the member "
                                        "non-const, or load a copy and construct from it");
    else
        detail::TypeCodec<Value>::load(*this, const_cast<Value&>(value));
    return *this;
}

/// Appends `value` to `sink`. Errors: Errc::invalid_argument for a value without encoding (a string that is
/// not UTF-8, an enum value without enumerator, nesting above the limit), Errc::too_large when the sink is
/// full; the sink then holds what it held before.
template <class T>
result<void> encode(const T& value, Sink& sink, const ArchiveLimits& limits = {}) {
    const std::size_t before = sink.size();
    try {
        OArchive archive{sink, limits};
        archive << value;
        archive.finish();
        return {};
    } catch (...) {
        sink.truncate(before);
        return detail::error_of_current_exception(Errc::invalid_argument, "a value to be encoded");
    }
}

/// The same into memory of its own.
template <class T>
result<Slice> encode(const T& value, const ArchiveLimits& limits = {}) {
    BufferSink sink;
    if (auto done = encode(value, sink, limits); !done) return std::move(done).error();
    return sink.take();
}

/// The value that all of `bytes` encode. Errors: Errc::malformed naming the byte and what is wrong with it.
/// Stricter than bincode in one thing: bytes behind the value are refused.
template <class T>
result<T> decode(std::span<const std::byte> bytes, const ArchiveLimits& limits = {}) {
    try {
        IArchive archive{bytes, limits};
        if constexpr (std::is_default_constructible_v<T>) {
            result<T> value{boost::system::in_place_value}; // loaded where it will be returned
            archive >> *value;
            archive.finish();
            return value;
        } else {
            return detail::load_new<T>(archive, [&archive](T&& value) -> result<T> {
                archive.finish();
                return std::move(value);
            });
        }
    } catch (...) {
        return detail::error_of_current_exception(Errc::malformed, "a value to be decoded");
    }
}

} // namespace muster::wire
