// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Codec: which manifest a type travels under, so that values of user types can be told to remote actors.
#ifndef __cpp_rtti
#error "muster/wire/codec.hpp needs run-time type information: leave out -fno-rtti"
#endif
#include <concepts>
#include <cstddef>
#include <memory>
#include <muster/buffer.hpp>
#include <muster/error.hpp>
#include <muster/wire/archive.hpp>
#include <span>
#include <string>
#include <string_view>
#include <typeindex>
#include <unordered_map>
#include <utility>

namespace muster::wire {

/// A decoded value whose type is known only by its manifest. Move-only; may be empty.
class AnyValue {
public:
    AnyValue() noexcept = default;
    template <class T>
    static AnyValue of(T value) {
        AnyValue any;
        any.value_ = {new T(std::move(value)), [](void* p) { delete static_cast<T*>(p); }};
        any.type_ = typeid(T);
        return any;
    }
    bool empty() const noexcept { return value_ == nullptr; }
    std::type_index type() const noexcept { return type_; }
    /// The value, or nullptr when it is of another type.
    template <class T>
    T* get_if() noexcept {
        return type_ == typeid(T) ? static_cast<T*>(value_.get()) : nullptr;
    }
    template <class T>
    const T* get_if() const noexcept {
        return type_ == typeid(T) ? static_cast<const T*>(value_.get()) : nullptr;
    }

private:
    std::unique_ptr<void, void (*)(void*)> value_{nullptr, [](void*) {}};
    std::type_index type_ = typeid(void);
};

/// A value as a tell carries it.
struct EncodedValue {
    std::string_view manifest; ///< lives as long as the Codec's registration
    Slice payload;
};

/// The registry of typed tells: manifest name <-> type with a Boost serialize(). Register first; afterwards
/// every const function may be called from any thread.
class Codec {
public:
    static constexpr std::size_t manifest_bytes_max = 255;
    explicit Codec(ArchiveLimits limits = {}) : limits_(limits) {}

    /// T travels as `manifest` from now on. Both sides must agree on the name; it never appears in C++
    /// otherwise, so a type may be renamed. Errors: Errc::invalid_argument when the manifest is empty, too
    /// long or not UTF-8, or when the manifest or the type is registered already (nothing changes then).
    template <class T>
    result<void> add(std::string manifest) {
        return add_entry(
            std::move(manifest), typeid(T),
            [](std::span<const std::byte> bytes, const ArchiveLimits& limits) -> result<AnyValue> {
                auto value = wire::decode<T>(bytes, limits);
                if (!value) return std::move(value).error();
                return AnyValue::of<T>(*std::move(value));
            });
    }

    /// Errors: Errc::not_found when T is not registered, and those of wire::encode.
    template <class T>
    result<EncodedValue> encode(const T& value) const {
        auto manifest = manifest_of(typeid(T));
        if (!manifest) return std::move(manifest).error();
        auto payload = wire::encode(value, limits_);
        if (!payload) return about(*manifest, std::move(payload).error());
        return EncodedValue{*manifest, *std::move(payload)};
    }

    /// Errors: Errc::not_found for an unknown manifest, Errc::mismatch when it names another type than T, and
    /// those of wire::decode with the manifest in the subject.
    template <class T>
    result<T> decode(std::string_view manifest, std::span<const std::byte> payload) const {
        if (auto known = expect(manifest, typeid(T)); !known) return std::move(known).error();
        auto value = wire::decode<T>(payload, limits_);
        if (!value) return about(manifest, std::move(value).error());
        return value;
    }
    /// The same for whatever type the manifest names.
    result<AnyValue> decode(std::string_view manifest, std::span<const std::byte> payload) const;

    template <class T>
    result<std::string_view> manifest_of() const {
        return manifest_of(typeid(T));
    }
    bool knows(std::string_view manifest) const noexcept { return entries_.contains(manifest); }
    std::size_t size() const noexcept { return entries_.size(); }

private:
    using Decode = result<AnyValue> (*)(std::span<const std::byte>, const ArchiveLimits&);
    struct Entry {
        std::type_index type;
        Decode decoder;
    };
    struct TextHash : std::hash<std::string_view> {
        using is_transparent = void;
    };

    result<void> add_entry(std::string manifest, std::type_index type, Decode decoder);
    result<std::string_view> manifest_of(std::type_index type) const;
    result<void> expect(std::string_view manifest, std::type_index type) const;
    static Error about(std::string_view manifest, Error error);

    ArchiveLimits limits_;
    std::unordered_map<std::string, Entry, TextHash, std::equal_to<>>
        entries_; // node-based: names stay where they are
    std::unordered_map<std::type_index, std::string_view> manifests_;
};

} // namespace muster::wire
