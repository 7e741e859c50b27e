// SPDX-License-Identifier: Apache-2.0
#pragma once
/// An assertion for our own bugs that stays on in release builds (style: three kinds of error).
#include <muster/language.hpp> // first

#include <source_location>
#include <string_view>

namespace muster::detail {
/// Writes the queued log lines and one line with the expression, place and reason to stderr, for at most
/// about 1.5 s, then aborts.
[[noreturn]] void ensure_failed(std::string_view expression, std::string_view reason,
                                std::source_location where) noexcept;
} // namespace muster::detail

/// MUSTER_ENSURE(condition, "what must hold and why"): aborts with a clear line when `condition` is false.
#define MUSTER_ENSURE(condition, reason)                                                                     \
    do {                                                                                                     \
        if (!(condition)) [[unlikely]]                                                                       \
            ::muster::detail::ensure_failed(#condition, reason, std::source_location::current());            \
    } while (false)
