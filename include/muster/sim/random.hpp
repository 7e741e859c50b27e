// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Random numbers that are the same on every compiler and machine. The standard's engines are, its
/// distributions are not.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace muster::sim {

/// xoshiro256** (Blackman and Vigna), seeded through splitmix64. A value: a copy repeats its future.
class Random {
public:
    explicit Random(std::uint64_t seed) noexcept;

    std::uint64_t next() noexcept;
    /// Uniform in [0, bound); 0 for a bound of 0. Without bias.
    std::uint64_t below(std::uint64_t bound) noexcept;
    /// Uniform in [low, high], both included.
    std::int64_t between(std::int64_t low, std::int64_t high) noexcept;
    /// True in `parts` of `whole` cases.
    bool chance(std::uint64_t parts, std::uint64_t whole) noexcept { return below(whole) < parts; }
    void fill(std::span<std::byte> out) noexcept;
    /// An independent generator: drawing from it does not change the numbers of this one.
    Random fork() noexcept { return Random(next()); }

private:
    std::array<std::uint64_t, 4> state_;
};

} // namespace muster::sim
