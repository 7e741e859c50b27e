// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Versions of the library and of its wire protocol.
#include <muster/language.hpp> // first

#include <cstdint>
#include <string_view>

namespace muster {

inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;
inline constexpr int version_patch = 0;

/// "major.minor.patch" of the library that is linked, which may be newer than the headers compiled against.
std::string_view version() noexcept;

/// Range of wire versions this library speaks; the handshake agrees on the highest common one (what raises
/// them: src/doc/compatibility.md).
inline constexpr std::uint16_t wire_version_min = 1;
inline constexpr std::uint16_t wire_version_max = 1;

} // namespace muster
