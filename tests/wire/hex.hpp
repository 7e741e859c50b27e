// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Bytes as hex digits, for expectations.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace muster::wire {

inline std::string hex(std::span<const std::byte> bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const std::byte b : bytes) {
        text += digits[std::to_integer<unsigned>(b) >> 4U];
        text += digits[std::to_integer<unsigned>(b) & 15U];
    }
    return text;
}

inline std::vector<std::byte> unhex(std::string_view text) {
    const auto digit = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2)
        bytes.push_back(static_cast<std::byte>(digit(text[i]) << 4U | digit(text[i + 1])));
    return bytes;
}

} // namespace muster::wire
