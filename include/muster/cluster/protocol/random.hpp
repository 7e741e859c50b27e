// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Random choices from an injected source. The algorithms are muster's own, so a seed gives the same run with
/// every standard library.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace muster {

/// Source of randomness: uniform 64-bit values, deterministic in simulation.
using RandomSource = std::function<std::uint64_t()>;

/// Uniform in [0, bound), without the bias of a plain remainder. `bound` > 0 (ENSURE).
std::uint64_t uniform_below(const RandomSource& random, std::uint64_t bound);

/// Uniform in [0, 1), a multiple of 2^-53.
double uniform_unit(const RandomSource& random);

/// Moves a uniform random choice of `count` elements to the front, in random order. `count` <= size.
template <class T>
void shuffle_front(std::vector<T>& items, std::size_t count, const RandomSource& random) {
    for (std::size_t i = 0; i < count && i + 1 < items.size(); ++i) {
        const auto other = i + static_cast<std::size_t>(uniform_below(random, items.size() - i));
        std::swap(items[i], items[other]);
    }
}

} // namespace muster
