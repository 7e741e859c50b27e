// SPDX-License-Identifier: Apache-2.0
#include <muster/sim/random.hpp>

#include "base/split_mix64.hpp"
#include <bit>

namespace muster::sim {

Random::Random(std::uint64_t seed) noexcept {
    SplitMix64 words(seed);
    for (std::uint64_t& word : state_) word = words();
}

std::uint64_t Random::next() noexcept {
    const std::uint64_t drawn = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return drawn;
}

std::uint64_t Random::below(std::uint64_t bound) noexcept {
    if (bound == 0) return 0;
    // The first 2^64 mod bound numbers would make the small results more likely.
    const std::uint64_t biased = (0 - bound) % bound;
    for (;;) {
        const std::uint64_t drawn = next();
        if (drawn >= biased) return drawn % bound;
    }
}

std::int64_t Random::between(std::int64_t low, std::int64_t high) noexcept {
    const std::uint64_t width = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    const std::uint64_t offset = width == UINT64_MAX ? next() : below(width + 1);
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + offset);
}

void Random::fill(std::span<std::byte> out) noexcept {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (i % 8 == 0) word = next();
        out[i] = static_cast<std::byte>(word >> (8 * (i % 8)));
    }
}

} // namespace muster::sim
