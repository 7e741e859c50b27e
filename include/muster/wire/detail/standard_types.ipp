// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Codecs of the types of std and of boost::optional, variant, shared_ptr and unordered containers. Included
/// by type_codec.ipp only. What Boost's own headers would write for these is either not bincode's form (item
/// versions, bucket counts, signed variant tags) or trusts the claimed count (reserve).
#include <array>
#include <bitset>
#include <boost/mpl/empty.hpp>
#include <boost/mpl/front.hpp>
#include <boost/mpl/pop_front.hpp>
#include <boost/optional/optional_fwd.hpp>
#include <boost/unordered/unordered_map_fwd.hpp>
#include <boost/unordered/unordered_set_fwd.hpp>
#include <boost/variant/variant_fwd.hpp>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <stack>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <valarray>
#include <variant>
#include <vector>

namespace boost {
template <class T>
class shared_ptr;
template <class T>
class scoped_ptr;
} // namespace boost

namespace muster::wire::detail {

// --- text

template <class Char, class Traits, class Allocator>
struct TypeCodec<std::basic_string<Char, Traits, Allocator>> {
    static_assert(OneOf<Char, char, char8_t>,
                  "muster::wire: wide strings differ between platforms and have no bincode "
                  "form; use std::string (UTF-8)");
    using String = std::basic_string<Char, Traits, Allocator>;
    static constexpr std::size_t bytes_min = 1;

    static void save(OArchive& ar, const String& text) {
        if constexpr (sizeof(Char) == 1)
            ar.put_text({reinterpret_cast<const char*>(text.data()), text.size()});
    }
    static void load(IArchive& ar, String& text) {
        const std::string_view bytes = ar.get_text();
        if constexpr (sizeof(Char) == 1)
            text.assign(reinterpret_cast<const Char*>(bytes.data()), bytes.size());
    }
};

template <class Char, class Traits>
struct TypeCodec<std::basic_string_view<Char, Traits>> : Unsupported {
    static_assert(never<Char>,
                  "muster::wire: a string_view owns nothing that a loaded value could point to; use "
                  "std::string");
    static void save(OArchive&, const std::basic_string_view<Char, Traits>&) {}
    static void load(IArchive&, std::basic_string_view<Char, Traits>&) {}
};

template <std::size_t size>
struct TypeCodec<std::bitset<size>> : Unsupported {
    static_assert(never<std::bitset<size>>,
                  "muster::wire: std::bitset has no bincode form; use an unsigned integer, or "
                  "std::vector<bool>");
    static void save(OArchive&, const std::bitset<size>&) {}
    static void load(IArchive&, std::bitset<size>&) {}
};

// --- fixed sequences: the elements, no count

template <class T>
void save_all(OArchive& ar, const T* elements, std::size_t count) {
    if constexpr (RawByte<T>)
        ar.put_bytes(std::as_bytes(std::span{elements, count}));
    else
        for (std::size_t i = 0; i < count; ++i) detail::save(ar, elements[i]);
}
template <class T>
void load_all(IArchive& ar, T* elements, std::size_t count) {
    if constexpr (RawByte<T>)
        ar.load_binary(elements, count);
    else
        for (std::size_t i = 0; i < count; ++i) detail::load(ar, elements[i]);
}

template <class T, std::size_t size>
struct TypeCodec<T[size]> {
    static constexpr std::size_t bytes_min = size * TypeCodec<std::remove_const_t<T>>::bytes_min;
    static void save(OArchive& ar, const T (&array)[size]) { save_all(ar, array, size); }
    static void load(IArchive& ar, T (&array)[size]) { load_all(ar, array, size); }
};
template <class T, std::size_t size>
struct TypeCodec<std::array<T, size>> {
    static constexpr std::size_t bytes_min = size * TypeCodec<T>::bytes_min;
    static void save(OArchive& ar, const std::array<T, size>& array) { save_all(ar, array.data(), size); }
    static void load(IArchive& ar, std::array<T, size>& array) { load_all(ar, array.data(), size); }
};

template <class... Types>
struct TypeCodec<std::tuple<Types...>> {
    static constexpr std::size_t bytes_min = (std::size_t{0} + ... + TypeCodec<Types>::bytes_min);
    static void save(OArchive& ar, const std::tuple<Types...>& fields) {
        std::apply(
            [&ar](const Types&... field) {
                (void)ar; // of an empty tuple
                (detail::save(ar, field), ...);
            },
            fields);
    }
    static void load(IArchive& ar, std::tuple<Types...>& fields) {
        std::apply(
            [&ar](Types&... field) {
                (void)ar; // of an empty tuple
                (detail::load(ar, field), ...);
            },
            fields);
    }
};
template <class First, class Second>
struct TypeCodec<std::pair<First, Second>> {
    static constexpr std::size_t bytes_min =
        TypeCodec<std::remove_const_t<First>>::bytes_min + TypeCodec<std::remove_const_t<Second>>::bytes_min;
    static void save(OArchive& ar, const std::pair<First, Second>& pair) { ar << pair.first << pair.second; }
    static void load(IArchive& ar, std::pair<First, Second>& pair) { ar >> pair.first >> pair.second; }
};
template <>
struct TypeCodec<std::monostate> {
    static constexpr std::size_t bytes_min = 0;
    static void save(OArchive&, std::monostate) {}
    static void load(IArchive&, std::monostate&) {}
};

// --- options and pointers: 0, or 1 and the value

template <class T, class Option>
void save_option(OArchive& ar, const Option& option) {
    ar.put_byte(option ? 1 : 0);
    if (option) save_new<T>(ar, *option);
}
inline bool load_option_tag(IArchive& ar) { return ar.get_flag("an option's tag is 0 or 1"); }

template <class Option, class T>
struct OptionCodec {
    static constexpr std::size_t bytes_min = 1;
    static void save(OArchive& ar, const Option& option) { save_option<T>(ar, option); }
    static void load(IArchive& ar, Option& option) {
        if (load_option_tag(ar))
            load_new<T>(ar, [&option](T&& value) { option = std::move(value); });
        else
            option = Option{};
    }
};
template <class T>
struct TypeCodec<std::optional<T>> : OptionCodec<std::optional<T>, T> {};
template <class T>
struct TypeCodec<boost::optional<T>> : OptionCodec<boost::optional<T>, T> {};

template <class Pointer, class T>
struct OwningPointerCodec {
    static_assert(!std::is_array_v<T>,
                  "muster::wire: a pointer to an array does not know its length; use std::vector");
    static_assert(!std::is_polymorphic_v<T>,
                  "muster::wire: a pointer to a polymorphic class may point to any derived "
                  "class, which bincode cannot name; use std::variant of the concrete types");
    using Value = std::remove_cv_t<T>;
    static constexpr std::size_t bytes_min = 1;

    static void save(OArchive& ar, const Pointer& pointer) { save_option<Value>(ar, pointer); }
    static void load(IArchive& ar, Pointer& pointer) {
        if (!load_option_tag(ar)) return pointer.reset();
        ar.charge(sizeof(Value));
        load_new<Value>(ar, [&pointer](Value&& value) { pointer.reset(new Value(std::move(value))); });
    }
};
template <class T, class Deleter>
struct TypeCodec<std::unique_ptr<T, Deleter>> : OwningPointerCodec<std::unique_ptr<T, Deleter>, T> {
    static_assert(
        std::is_same_v<Deleter, std::default_delete<T>>,
        "muster::wire: a unique_ptr with a deleter of its own cannot be loaded; use the default deleter");
};
template <class T>
struct TypeCodec<std::shared_ptr<T>> : OwningPointerCodec<std::shared_ptr<T>, T> {};
template <class T>
struct TypeCodec<boost::shared_ptr<T>> : OwningPointerCodec<boost::shared_ptr<T>, T> {};
template <class T>
struct TypeCodec<boost::scoped_ptr<T>> : OwningPointerCodec<boost::scoped_ptr<T>, T> {};
template <class T>
struct TypeCodec<std::weak_ptr<T>> : Unsupported {
    static_assert(
        never<T>,
        "muster::wire: a weak_ptr refers to an object that the bytes do not contain; send the object "
        "or a key of it");
    static void save(OArchive&, const std::weak_ptr<T>&) {}
    static void load(IArchive&, std::weak_ptr<T>&) {}
};

// --- variants: the index, then the alternative

template <class... Types>
struct TypeCodec<std::variant<Types...>> {
    using Variant = std::variant<Types...>;
    static constexpr std::size_t bytes_min = 1;

    static void save(OArchive& ar, const Variant& variant) {
        if (variant.valueless_by_exception())
            refuse_save("a variant that is valueless by exception", "assign it a value");
        ar.put_varint(variant.index());
        std::visit([&ar]<class T>(const T& value) { save_new<T>(ar, value); }, variant);
    }
    static void load(IArchive& ar, Variant& variant) {
        const auto at = ar.offset();
        const auto index = ar.get_varint<std::uint32_t>();
        if (index >= sizeof...(Types)) refuse(at, "this variant has no alternative of that index");
        load_alternative(ar, index, variant, std::index_sequence_for<Types...>{});
    }

private:
    template <std::size_t... i>
    static void load_alternative(IArchive& ar, std::size_t index, Variant& variant,
                                 std::index_sequence<i...>) {
        (void)((index == i && (load_one<i>(ar, variant), true)) || ...);
    }
    template <std::size_t i>
    static void load_one(IArchive& ar, Variant& variant) {
        using T = std::variant_alternative_t<i, Variant>;
        load_new<T>(ar, [&variant](T&& value) { variant.template emplace<i>(std::move(value)); });
    }
};

/// which() is the index. Nested levels are counted here too: make_recursive_variant makes recursive types
/// without any class in between.
template <class First, class... Rest>
struct TypeCodec<boost::variant<First, Rest...>> {
    using Variant = boost::variant<First, Rest...>;
    static constexpr std::size_t bytes_min = 1;

    static void save(OArchive& ar, const Variant& variant) {
        ar.enter();
        ar.put_varint(static_cast<std::uint64_t>(variant.which()));
        Saver saver{ar};
        variant.apply_visitor(saver);
        ar.leave();
    }
    static void load(IArchive& ar, Variant& variant) {
        ar.enter();
        const auto at = ar.offset();
        load_alternative<typename Variant::types>(ar, at, ar.get_varint<std::uint32_t>(), variant);
        ar.leave();
    }

private:
    struct Saver {
        using result_type = void;
        OArchive& archive;
        template <class T>
        void operator()(const T& value) const {
            save_new<T>(archive, value);
        }
    };
    template <class Types>
    static void load_alternative(IArchive& ar, std::size_t at, std::uint32_t index, Variant& variant) {
        if constexpr (boost::mpl::empty<Types>::value) {
            refuse(at, "this variant has no alternative of that index");
        } else if (index == 0) {
            using T = typename boost::mpl::front<Types>::type;
            load_new<T>(ar, [&variant](T&& value) { variant = std::move(value); });
        } else {
            load_alternative<typename boost::mpl::pop_front<Types>::type>(ar, at, index - 1, variant);
        }
    }
};

// --- sequences: count and elements

template <class T, class Allocator>
struct TypeCodec<std::vector<T, Allocator>> {
    using Vector = std::vector<T, Allocator>;
    static constexpr std::size_t bytes_min = 1;
    /// The most elements reserved before the first one was read, whatever the count claims.
    static constexpr std::size_t reserve_bytes_max = 64 * 1024;

    static void save(OArchive& ar, const Vector& elements) {
        ar.put_varint(elements.size());
        if constexpr (RawByte<T> || Float<T>)
            ar.put_bytes(std::as_bytes(std::span{elements}));
        else
            for (const auto& element : elements) save_new<T>(ar, element);
    }
    static void load(IArchive& ar, Vector& elements) {
        const std::size_t count = load_count<T>(ar);
        if constexpr (RawByte<T>) {
            const auto bytes = ar.get_bytes(count);
            const auto* first = reinterpret_cast<const T*>(bytes.data());
            elements.assign(first, first + count);
        } else if constexpr (Float<T>) {
            const auto bytes = ar.get_bytes(count * sizeof(T)); // the count is at most remaining / sizeof(T)
            elements.resize(count);
            if (count != 0) std::memcpy(elements.data(), bytes.data(), bytes.size());
        } else {
            elements.clear();
            elements.reserve(std::min(count, reserve_bytes_max / sizeof(T)));
            for (std::size_t i = 0; i < count; ++i) load_back(ar, elements);
        }
    }

private:
    static void load_back(IArchive& ar, Vector& elements) {
        if constexpr (std::is_default_constructible_v<T> && !std::is_same_v<T, bool>) {
            const auto start = ar.offset();
            ar.charge(sizeof(T));
            detail::load(ar, elements.emplace_back());
            if constexpr (TypeCodec<T>::bytes_min == 0) ar.element_loaded(start);
        } else {
            load_element<T>(ar, [&elements](T&& value) { elements.push_back(std::move(value)); });
        }
    }
};

/// Loads a container that takes elements through `add(container, element)`.
template <class Container, auto add>
struct CountedCodec {
    using T = typename Container::value_type;
    static constexpr std::size_t bytes_min = 1;

    static void save(OArchive& ar, const Container& elements) {
        ar.put_varint(elements.size());
        for (const auto& element : elements) save_new<T>(ar, element);
    }
    static void load(IArchive& ar, Container& elements) {
        elements.clear();
        const std::size_t count = load_count<T>(ar);
        for (std::size_t i = 0; i < count; ++i) {
            ar.charge(node_bytes);
            load_element<T>(ar, [&elements](T&& element) { add(elements, std::move(element)); });
        }
    }
    static constexpr std::size_t node_bytes = 4 * sizeof(void*);
};

// Elements come as rvalues (load_element). NOLINTBEGIN(bugprone-move-forwarding-reference)
inline constexpr auto add_back = [](auto& container, auto&& element) {
    container.push_back(std::move(element));
};
inline constexpr auto add_unordered = [](auto& container, auto&& element) {
    container.insert(std::move(element));
};
/// Canonical bytes are sorted, so the end is the right hint; for others the hint costs nothing.
inline constexpr auto add_sorted = [](auto& container, auto&& element) {
    container.insert(container.end(), std::move(element));
};
// NOLINTEND(bugprone-move-forwarding-reference)

template <class T, class A>
struct TypeCodec<std::list<T, A>> : CountedCodec<std::list<T, A>, add_back> {};
template <class T, class A>
struct TypeCodec<std::deque<T, A>> : CountedCodec<std::deque<T, A>, add_back> {};
template <class T, class C, class A>
struct TypeCodec<std::set<T, C, A>> : CountedCodec<std::set<T, C, A>, add_sorted> {};
template <class T, class C, class A>
struct TypeCodec<std::multiset<T, C, A>> : CountedCodec<std::multiset<T, C, A>, add_sorted> {};
template <class T, class H, class E, class A>
struct TypeCodec<std::unordered_set<T, H, E, A>>
    : CountedCodec<std::unordered_set<T, H, E, A>, add_unordered> {};
template <class T, class H, class E, class A>
struct TypeCodec<std::unordered_multiset<T, H, E, A>>
    : CountedCodec<std::unordered_multiset<T, H, E, A>, add_unordered> {};
template <class T, class H, class E, class A>
struct TypeCodec<boost::unordered_set<T, H, E, A>>
    : CountedCodec<boost::unordered_set<T, H, E, A>, add_unordered> {};
template <class T, class H, class E, class A>
struct TypeCodec<boost::unordered_multiset<T, H, E, A>>
    : CountedCodec<boost::unordered_multiset<T, H, E, A>, add_unordered> {};

template <class T, class Allocator>
struct TypeCodec<std::forward_list<T, Allocator>> {
    using List = std::forward_list<T, Allocator>;
    static constexpr std::size_t bytes_min = 1;

    static void save(OArchive& ar, const List& elements) {
        ar.put_varint(static_cast<std::uint64_t>(std::distance(elements.begin(), elements.end())));
        for (const auto& element : elements) save_new<T>(ar, element);
    }
    static void load(IArchive& ar, List& elements) {
        elements.clear();
        auto last = elements.before_begin();
        const std::size_t count = load_count<T>(ar);
        for (std::size_t i = 0; i < count; ++i)
            load_element<T>(ar, [&](T&& element) { last = elements.insert_after(last, std::move(element)); });
    }
};

template <class T>
struct TypeCodec<std::valarray<T>> {
    static constexpr std::size_t bytes_min = 1;
    static void save(OArchive& ar, const std::valarray<T>& elements) {
        ar.put_varint(elements.size());
        for (const T& element : elements) save_new<T>(ar, element);
    }
    static void load(IArchive& ar, std::valarray<T>& elements) {
        std::vector<T> loaded;
        detail::load(ar, loaded);
        elements.resize(loaded.size());
        std::move(loaded.begin(), loaded.end(), std::begin(elements));
    }
};

// --- maps: count, then key and value in turn

/// `unique`: of equal keys the last wins, as in Rust (Boost's own loader keeps the first).
template <class Map, bool unique>
struct MapCodec {
    using Key = typename Map::key_type;
    using Value = typename Map::mapped_type;
    static constexpr std::size_t bytes_min = 1;

    static void save(OArchive& ar, const Map& map) {
        ar.put_varint(map.size());
        for (const auto& [key, value] : map) {
            save_new<Key>(ar, key);
            save_new<Value>(ar, value);
        }
    }
    static void load(IArchive& ar, Map& map) {
        map.clear();
        constexpr std::size_t entry_bytes_min = TypeCodec<Key>::bytes_min + TypeCodec<Value>::bytes_min;
        const std::size_t count = ar.get_count(entry_bytes_min);
        for (std::size_t i = 0; i < count; ++i) {
            const auto start = ar.offset();
            ar.charge(sizeof(Key) + sizeof(Value) + 4 * sizeof(void*));
            load_new<Key>(ar, [&](Key&& key) {
                load_new<Value>(ar, [&](Value&& value) {
                    if constexpr (unique)
                        map.insert_or_assign(std::move(key), std::move(value));
                    else
                        map.emplace(std::move(key), std::move(value));
                });
            });
            if constexpr (entry_bytes_min == 0) ar.element_loaded(start);
        }
    }
};
template <class K, class V, class C, class A>
struct TypeCodec<std::map<K, V, C, A>> : MapCodec<std::map<K, V, C, A>, true> {};
template <class K, class V, class C, class A>
struct TypeCodec<std::multimap<K, V, C, A>> : MapCodec<std::multimap<K, V, C, A>, false> {};
template <class K, class V, class H, class E, class A>
struct TypeCodec<std::unordered_map<K, V, H, E, A>> : MapCodec<std::unordered_map<K, V, H, E, A>, true> {};
template <class K, class V, class H, class E, class A>
struct TypeCodec<std::unordered_multimap<K, V, H, E, A>>
    : MapCodec<std::unordered_multimap<K, V, H, E, A>, false> {};
template <class K, class V, class H, class E, class A>
struct TypeCodec<boost::unordered_map<K, V, H, E, A>> : MapCodec<boost::unordered_map<K, V, H, E, A>, true> {
};
template <class K, class V, class H, class E, class A>
struct TypeCodec<boost::unordered_multimap<K, V, H, E, A>>
    : MapCodec<boost::unordered_multimap<K, V, H, E, A>, false> {};

// --- adaptors: what the container beneath is

/// The protected container of a std::stack, queue or priority_queue.
template <class Adaptor>
struct AdaptorCodec {
    using Container = typename Adaptor::container_type;
    static constexpr std::size_t bytes_min = 1;
    struct Opened : Adaptor {
        static const Container& container(const Adaptor& adaptor) { return adaptor.*(&Opened::c); }
        static Container& container(Adaptor& adaptor) { return adaptor.*(&Opened::c); }
    };
    static void save(OArchive& ar, const Adaptor& adaptor) { detail::save(ar, Opened::container(adaptor)); }
    static void load(IArchive& ar, Adaptor& adaptor) { detail::load(ar, Opened::container(adaptor)); }
};
template <class T, class C>
struct TypeCodec<std::stack<T, C>> : AdaptorCodec<std::stack<T, C>> {};
template <class T, class C>
struct TypeCodec<std::queue<T, C>> : AdaptorCodec<std::queue<T, C>> {};
template <class T, class C, class L>
struct TypeCodec<std::priority_queue<T, C, L>> : AdaptorCodec<std::priority_queue<T, C, L>> {
    /// The bytes may be in any order, so the heap is rebuilt.
    static void load(IArchive& ar, std::priority_queue<T, C, L>& queue) {
        C elements;
        detail::load(ar, elements);
        queue = std::priority_queue<T, C, L>{L{}, std::move(elements)};
    }
};

} // namespace muster::wire::detail
