// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Time as values. Nothing here reads a clock: a net::Runtime does, and passes `Now` on.
#include <muster/language.hpp> // first

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

namespace muster {

using Duration = std::chrono::nanoseconds;

/// The clock type of Instant. It has no now(): monotonic time comes from a Runtime (CLOCK_MONOTONIC, or
/// virtual).
struct MonotonicClock {
    using duration = Duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<MonotonicClock, duration>;
    static constexpr bool is_steady = true;
};

/// A point of one process's monotonic time. Not comparable between processes.
using Instant = MonotonicClock::time_point;

/// Wall-clock time in milliseconds since the Unix epoch. Used for tombstones and logs, never for timeouts.
struct WallTime {
    std::int64_t ms{};
    auto operator<=>(const WallTime&) const = default;
};

constexpr WallTime operator-(WallTime t, std::chrono::milliseconds d) noexcept { return {t.ms - d.count()}; }
constexpr WallTime operator+(WallTime t, std::chrono::milliseconds d) noexcept { return {t.ms + d.count()}; }

/// "2026-01-02T03:04:05.678Z". Times beyond the years 0 to 9999 are clamped to them.
std::string to_utc(WallTime time);

/// Both clocks at one moment, part of every input of the protocol core.
struct Now {
    Instant monotonic{};
    WallTime wall{};
};

} // namespace muster
