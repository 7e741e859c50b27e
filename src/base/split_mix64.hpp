// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The small random generator of the library and its tests, for choices that need only an even spread.
#include <cstdint>

namespace muster {

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, equidistributed, and any seed gives a good
/// sequence. A value, and a RandomSource; the same numbers with every compiler.
class SplitMix64 {
public:
    explicit constexpr SplitMix64(std::uint64_t seed) noexcept : state_(seed) {}

    constexpr std::uint64_t operator()() noexcept { return mix(state_ += 0x9e3779b97f4a7c15U); }
    /// The generator's finishing step: spreads every bit of `z` over all of the result, one to one.
    static constexpr std::uint64_t mix(std::uint64_t z) noexcept {
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31U);
    }

private:
    std::uint64_t state_;
};

} // namespace muster
