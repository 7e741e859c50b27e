// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How each type is saved and loaded. Included by archive.hpp only.
///
/// A TypeCodec<T> has save(), load() (into an existing object) and bytes_min: the fewest bytes a value can
/// take, which bound a claimed count before anything is allocated. 0 means "may take none, or unknown".
#include <boost/serialization/access.hpp>
#include <boost/serialization/array_wrapper.hpp>
#include <boost/serialization/collection_size_type.hpp>
#include <boost/serialization/item_version_type.hpp>
#include <boost/serialization/library_version_type.hpp>
#include <boost/serialization/nvp.hpp>
#include <boost/serialization/serialization.hpp>
#include <boost/serialization/split_free.hpp>
#include <boost/serialization/split_member.hpp>
#include <boost/serialization/tracking.hpp>
#include <boost/serialization/version.hpp>
#include <boost/serialization/wrapper.hpp>
#include <memory>
#include <muster/wire/detail/base_object.ipp>
#include <muster/wire/detail/enum_index.ipp>
#include <string>
#include <type_traits>

namespace muster::wire::detail {

// --- finding serialize()

namespace serialize_probe {
/// The same signature as Boost's catch-all, so that an unqualified call that finds both is ambiguous, unless
/// somebody wrote a more specialised serialize() for the type.
struct Nobody {};
template <class Archive, class T>
Nobody serialize(Archive&, T&, const unsigned int);

template <class Archive, class T>
concept HasFreeSerialize =
    requires(Archive& ar, T& value) { serialize(ar, value, boost::serialization::version_type(0)); };
} // namespace serialize_probe

/// Whether T has a member of that name, private or not: an equal name in a second base makes it ambiguous.
template <class T>
struct HasSerializeMember {
    struct Second {
        int serialize;
    };
    struct Both : T, Second {};
    template <class U>
    static std::false_type test(decltype(&U::serialize)*);
    template <class U>
    static std::true_type test(...);
    static constexpr bool value = decltype(test<Both>(nullptr))::value;
};

template <class Archive, class T>
consteval bool has_serialize() {
    if constexpr (serialize_probe::HasFreeSerialize<Archive, T>)
        return true;
    else if constexpr (std::is_final_v<T> || std::is_union_v<T>)
        return true; // a final class cannot be derived from; should it have no serialize(), the compiler says
                     // so
    else
        return HasSerializeMember<T>::value;
}

/// nvp, array_wrapper, binary_object, ..: temporaries that stand for what they refer to.
template <class T>
inline constexpr bool is_wrapper = boost::serialization::is_wrapper<T>::type::value;

// --- classes

/// The default for everything that has no codec of its own below.
template <class T>
struct ClassCodec {
    static constexpr std::size_t bytes_min = 0;

    static void save(OArchive& ar, const T& value) {
        // serialize() is one function for both directions, so it takes a non-const reference.
        serialize(ar, const_cast<T&>(value));
    }
    static void load(IArchive& ar, T& value) { serialize(ar, value); }

private:
    template <class Archive>
    static void serialize(Archive& ar, T& value) {
        constexpr bool tracked =
            boost::serialization::tracking_level<T>::value == boost::serialization::track_always;
        constexpr bool serializable = has_serialize<Archive, T>();
        static_assert(!tracked,
                      "muster::wire: this class asks for object tracking (track_always), which has no "
                      "bincode form; use track_never or leave the default");
        static_assert(serializable,
                      "muster::wire: this class has no serialize(); give it a member "
                      "template <class Archive> void serialize(Archive&, unsigned), or a free one, as "
                      "for Boost.Serialization");
        if constexpr (!tracked && serializable) {
            ar.enter();
            boost::serialization::serialize_adl(ar, value, boost::serialization::version<T>::value);
            ar.leave();
        }
    }
};

// --- scalars

template <class T, class... Types>
concept OneOf = (std::same_as<T, Types> || ...);

template <class T>
concept RawByte = OneOf<T, char, signed char, unsigned char, char8_t, std::byte>;

template <class T>
concept WideInteger = (std::integral<T> && sizeof(T) > 1 && !OneOf<T, bool, wchar_t, char16_t, char32_t>) ||
                      OneOf<T, Int128, Uint128>;

template <class T>
concept Float = OneOf<T, float, double>;

template <RawByte T>
struct RawByteCodec {
    static constexpr std::size_t bytes_min = 1;
    static void save(OArchive& ar, T value) { ar.put_byte(static_cast<std::uint8_t>(value)); }
    static void load(IArchive& ar, T& value) { value = static_cast<T>(ar.get_byte()); }
};

struct BoolCodec {
    static constexpr std::size_t bytes_min = 1;
    static void save(OArchive& ar, bool value) { ar.put_byte(value ? 1 : 0); }
    static void load(IArchive& ar, bool& value) { value = ar.get_flag("a bool is 0 or 1"); }
};

template <WideInteger T>
struct IntegerCodec {
    static constexpr std::size_t bytes_min = 1;
    static constexpr bool is_signed = T(-1) < T(0);

    static void save(OArchive& ar, T value) {
        if constexpr (sizeof(T) == 16) {
            const auto bits = static_cast<Uint128>(value);
            ar.put_varint128(is_signed ? (bits << 1U) ^ (value < 0 ? ~Uint128{0} : Uint128{0}) : bits);
        } else if constexpr (is_signed) {
            ar.put_varint(zigzag(value));
        } else {
            ar.put_varint(value);
        }
    }
    static void load(IArchive& ar, T& value) {
        if constexpr (sizeof(T) == 16) {
            const auto bits = ar.get_varint<Uint128>();
            value = static_cast<T>(is_signed ? (bits >> 1U) ^ (~(bits & 1U) + 1U) : bits);
        } else {
            // zigzag keeps the width: what fits the unsigned type fits the signed one.
            const auto bits = ar.get_varint<std::make_unsigned_t<T>>();
            value = is_signed ? static_cast<T>(unzigzag(bits)) : static_cast<T>(bits);
        }
    }
};

template <Float T>
struct FloatCodec {
    static constexpr std::size_t bytes_min = sizeof(T);
    static void save(OArchive& ar, T value) { ar.put_fixed(value); }
    static void load(IArchive& ar, T& value) { value = ar.template get_fixed<T>(); }
};

/// A Rust char: its UTF-8 bytes.
struct CharCodec {
    static constexpr std::size_t bytes_min = 1;
    static void save(OArchive& ar, char32_t value);
    static void load(IArchive& ar, char32_t& value);
};

template <class T>
struct EnumCodec {
    static constexpr std::size_t bytes_min = 1;
    static constexpr bool has_index = enum_has_index<T>();
    static_assert(
        has_index,
        "muster::wire: the enumerators of this enum are not 0, 1, 2, .. below 256, or its underlying type is "
        "not fixed; bincode writes the variant's index, so write enum E : int, or specialise "
        "muster::wire::EnumOrder<E> with the enumerators in the peer's order");

    static void save(OArchive& ar, T value) {
        if constexpr (has_index) {
            const auto index = index_of_enumerator(value);
            if (!index)
                refuse_save("an enum value that is no enumerator", "use one of the enum's enumerators");
            ar.put_varint(*index);
        }
    }
    static void load(IArchive& ar, T& value) {
        if constexpr (has_index) {
            const auto at = ar.offset();
            const auto found = enumerator_at<T>(ar.get_varint<std::uint32_t>());
            if (!found) refuse(at, "this enum has no variant of that index");
            value = *found;
        }
    }
};

// --- what does not compile

struct Unsupported {
    static constexpr std::size_t bytes_min = 0;
};
template <class T>
struct PointerCodec : Unsupported {
    static_assert(never<T>,
                  "muster::wire: a raw pointer means nothing on another machine; use std::unique_ptr, "
                  "std::shared_ptr or std::optional");
    static void save(OArchive&, const T&) {}
    static void load(IArchive&, T&) {}
};
template <class T>
struct WideCharCodec : Unsupported {
    static_assert(never<T>,
                  "muster::wire: wchar_t and char16_t differ between platforms and have no bincode form; "
                  "use char32_t for a character, std::string (UTF-8) for text");
    static void save(OArchive&, const T&) {}
    static void load(IArchive&, T&) {}
};
template <class T>
struct LongDoubleCodec : Unsupported {
    static_assert(never<T>,
                  "muster::wire: long double differs between platforms and has no bincode form; use double");
    static void save(OArchive&, const T&) {}
    static void load(IArchive&, T&) {}
};

template <class T>
consteval auto choose_codec() {
    if constexpr (std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T>)
        return std::type_identity<PointerCodec<T>>{};
    else if constexpr (std::same_as<T, bool>)
        return std::type_identity<BoolCodec>{};
    else if constexpr (RawByte<T>)
        return std::type_identity<RawByteCodec<T>>{};
    else if constexpr (WideInteger<T>)
        return std::type_identity<IntegerCodec<T>>{};
    else if constexpr (Float<T>)
        return std::type_identity<FloatCodec<T>>{};
    else if constexpr (std::same_as<T, char32_t>)
        return std::type_identity<CharCodec>{};
    else if constexpr (std::is_enum_v<T>)
        return std::type_identity<EnumCodec<T>>{};
    else if constexpr (std::same_as<T, long double>)
        return std::type_identity<LongDoubleCodec<T>>{};
    else if constexpr (OneOf<T, wchar_t, char16_t>)
        return std::type_identity<WideCharCodec<T>>{};
    else
        return std::type_identity<ClassCodec<T>>{};
}

template <class T>
struct TypeCodec : decltype(choose_codec<T>())::type {};

template <class T>
void save(OArchive& ar, const T& value) {
    TypeCodec<T>::save(ar, value);
}
template <class T>
void load(IArchive& ar, T& value) {
    TypeCodec<T>::load(ar, value);
}

// --- wrappers and helper types of Boost.Serialization

template <class T>
struct TypeCodec<boost::serialization::nvp<T>> {
    static constexpr std::size_t bytes_min = 0;
    static void save(OArchive& ar, const boost::serialization::nvp<T>& pair) { ar << pair.const_value(); }
    static void load(IArchive& ar, const boost::serialization::nvp<T>& pair) { ar >> pair.value(); }
};

template <class T>
struct TypeCodec<boost::serialization::array_wrapper<T>> {
    static constexpr std::size_t bytes_min = 0;
    static void save(OArchive& ar, const boost::serialization::array_wrapper<T>& elements) {
        for (std::size_t i = 0; i < elements.count(); ++i) ar << elements.address()[i];
    }
    static void load(IArchive& ar, const boost::serialization::array_wrapper<T>& elements) {
        for (std::size_t i = 0; i < elements.count(); ++i) ar >> elements.address()[i];
    }
};

/// Counts that Boost's own container headers write: a varint, like bincode's. Loading refuses what the
/// remaining bytes cannot hold, since those headers allocate at once.
template <>
struct TypeCodec<boost::serialization::collection_size_type> {
    static constexpr std::size_t bytes_min = 1;
    static void save(OArchive& ar, const boost::serialization::collection_size_type& count) {
        ar.put_varint(std::size_t{count});
    }
    static void load(IArchive& ar, boost::serialization::collection_size_type& count) {
        count = boost::serialization::collection_size_type(ar.get_length());
    }
};

/// Versions that Boost's own headers would write beside the data: not part of a bincode value.
template <class T>
struct NoBytesCodec {
    static constexpr std::size_t bytes_min = 0;
    static void save(OArchive&, const T&) {}
    static void load(IArchive&, T& value) { value = T(0); }
};
template <>
struct TypeCodec<boost::serialization::item_version_type>
    : NoBytesCodec<boost::serialization::item_version_type> {};
template <>
struct TypeCodec<boost::serialization::version_type> : NoBytesCodec<boost::serialization::version_type> {};
template <>
struct TypeCodec<boost::serialization::library_version_type>
    : NoBytesCodec<boost::serialization::library_version_type> {};

// --- making new objects

/// Constructs and loads a new T and passes it to `use` as an rvalue. A T without public default constructor
/// is made by Boost's load_construct_data (whose default uses a private one through access).
template <class T, class Use>
decltype(auto) load_new(IArchive& ar, Use&& use) {
    if constexpr (std::is_default_constructible_v<T>) {
        T value{};
        load(ar, value);
        return use(std::move(value));
    } else {
        struct Place {
            alignas(T) std::byte bytes[sizeof(T)];
            bool alive = false;
            T* get() noexcept { return std::launder(reinterpret_cast<T*>(bytes)); }
            ~Place() {
                if (alive) get()->~T();
            }
        } place;
        boost::serialization::load_construct_data_adl(ar, reinterpret_cast<T*>(place.bytes),
                                                      boost::serialization::version<T>::value);
        place.alive = true;
        load(ar, *place.get());
        return use(std::move(*place.get()));
    }
}

/// The counterpart of load_new for a T with load_construct_data.
template <class T>
void save_new(OArchive& ar, const T& value) {
    if constexpr (!std::is_default_constructible_v<T>)
        boost::serialization::save_construct_data_adl(ar, &value, boost::serialization::version<T>::value);
    save(ar, value);
}

/// Loads one element of a sequence of that element type, with the accounting of ArchiveLimits.
template <class T, class Use>
void load_element(IArchive& ar, Use&& use) {
    const auto start = ar.offset();
    ar.charge(sizeof(T));
    load_new<T>(ar, std::forward<Use>(use));
    if constexpr (TypeCodec<T>::bytes_min == 0) ar.element_loaded(start);
}

template <class T>
std::size_t load_count(IArchive& ar) {
    return ar.get_count(TypeCodec<T>::bytes_min);
}

} // namespace muster::wire::detail

#include <muster/wire/detail/standard_types.ipp>
