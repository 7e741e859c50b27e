// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Checks and cuts foreign text that is printed or sent as UTF-8 (RFC 3629).
#include <cstddef>
#include <string>
#include <string_view>

namespace muster {

/// Bytes of the character that `text` begins with, 1 to 4; 0 when it is empty or does not begin with one
/// (overlong forms, surrogates and what lies beyond U+10FFFF are none).
std::size_t utf8_character(std::string_view text) noexcept;
bool is_utf8(std::string_view text) noexcept;
/// `text` with U+FFFD in place of every byte that belongs to no character.
std::string to_utf8(std::string_view text);
/// The first characters of `text` that fit into `bytes_max`; for text that is no UTF-8, its first bytes.
std::string_view utf8_front(std::string_view text, std::size_t bytes_max) noexcept;

} // namespace muster
