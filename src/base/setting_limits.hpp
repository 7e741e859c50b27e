// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Ranges that settings of several layers share.
#include <chrono>
#include <string_view>

namespace muster {

/// The longest duration a setting may have: a year. Sums of many such durations, in nanoseconds and added to
/// a point in time, still fit 64 bits; a sum that wrapped would turn the longest wait into none.
inline constexpr std::chrono::milliseconds setting_duration_max = std::chrono::hours{24 * 365};
/// The longest duration of a setting that is multiplied by a number of nodes.
inline constexpr std::chrono::milliseconds setting_step_max = std::chrono::hours{1};

/// Whether `text` can be a role or a data center: not empty, UTF-8, and without control characters (line
/// breaks among them).
bool is_label(std::string_view text) noexcept;

} // namespace muster
