// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Enumerators as contiguous variant indices: found by the compiler for 0, 1, 2, .., or given by EnumOrder.
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace muster::wire::detail {

template <class Enum>
concept HasEnumOrder = requires {
    { EnumOrder<Enum>::values.size() } -> std::convertible_to<std::size_t>;
};

/// Only an enum with a fixed underlying type may hold values that are no enumerators, so only there the
/// compiler can be asked about every value.
template <class Enum>
concept HasFixedUnderlyingType = requires { Enum{0}; };

/// The compiler prints an enumerator by its name and any other value as a cast, "(Color)7".
template <auto value>
consteval bool is_enumerator() {
    std::string_view name = __PRETTY_FUNCTION__;
    name.remove_prefix(name.rfind("value = ") + 8);
    name.remove_suffix(name.size() - name.rfind(']'));
    if (const auto semicolon = name.find(';'); semicolon != std::string_view::npos)
        name.remove_suffix(name.size() - semicolon);
    if (const auto cast = name.rfind(')'); cast != std::string_view::npos) name.remove_prefix(cast + 1);
    return name.find_first_of("-'0123456789") != 0;
}

inline constexpr int enum_scan_min = -16;
inline constexpr int enum_scan_max = 256;

template <class Enum, int value>
consteval bool is_enumerator_at() {
    using Underlying = std::underlying_type_t<Enum>;
    if constexpr (std::is_same_v<Underlying, bool>)
        return value >= 0 && value <= 1 && is_enumerator<static_cast<Enum>(value != 0)>();
    else if constexpr (std::in_range<Underlying>(value))
        return is_enumerator<static_cast<Enum>(value)>();
    else
        return false;
}

/// How many enumerators there are when they are exactly 0 .. n-1 (n up to 256), else nullopt.
template <class Enum>
consteval std::optional<std::uint32_t> contiguous_enumerators() {
    constexpr auto named = []<int... i>(std::integer_sequence<int, i...>) {
        return std::array<bool, sizeof...(i)>{is_enumerator_at<Enum, enum_scan_min + i>()...};
    }(std::make_integer_sequence<int, enum_scan_max - enum_scan_min + 1>{});
    std::uint32_t count = 0;
    while (count <= enum_scan_max && named[static_cast<std::size_t>(-enum_scan_min) + count]) ++count;
    std::uint32_t all = 0;
    for (const bool yes : named) all += yes ? 1U : 0U;
    if (count == 0 || count != all || count > enum_scan_max) return std::nullopt;
    return count;
}

template <class Enum>
consteval bool enum_order_is_unique() {
    const auto& values = EnumOrder<Enum>::values;
    for (std::size_t i = 0; i < values.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (values[i] == values[j]) return false;
    return values.size() > 0;
}

/// The variant index of `value`; nullopt when it is no enumerator.
template <class Enum>
constexpr std::optional<std::uint32_t> index_of_enumerator(Enum value) noexcept {
    if constexpr (HasEnumOrder<Enum>) {
        const auto& values = EnumOrder<Enum>::values;
        for (std::size_t i = 0; i < values.size(); ++i)
            if (values[i] == value) return static_cast<std::uint32_t>(i);
        return std::nullopt;
    } else {
        const auto number = static_cast<std::underlying_type_t<Enum>>(value);
        if (std::cmp_less(number, 0) || std::cmp_greater_equal(number, *contiguous_enumerators<Enum>()))
            return std::nullopt;
        return static_cast<std::uint32_t>(number);
    }
}

template <class Enum>
constexpr std::optional<Enum> enumerator_at(std::uint32_t index) noexcept {
    if constexpr (HasEnumOrder<Enum>) {
        if (index >= EnumOrder<Enum>::values.size()) return std::nullopt;
        return EnumOrder<Enum>::values[index];
    } else {
        if (index >= *contiguous_enumerators<Enum>()) return std::nullopt;
        return static_cast<Enum>(index);
    }
}

template <class Enum>
consteval bool enum_has_index() {
    if constexpr (HasEnumOrder<Enum>)
        return enum_order_is_unique<Enum>();
    else if constexpr (HasFixedUnderlyingType<Enum>)
        return contiguous_enumerators<Enum>().has_value();
    else
        return false;
}

} // namespace muster::wire::detail
