// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The timeline's page, made of the other files of this folder at build time (embed.py).
#include <string_view>

namespace muster::sim {

/// With @TITLE@ and, after it, @DATA@ still to be filled in.
std::string_view timeline_page() noexcept;

} // namespace muster::sim
