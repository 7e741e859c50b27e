// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/protocol/random.hpp>

#include <limits>
#include <muster/ensure.hpp>

namespace muster {

std::uint64_t uniform_below(const RandomSource& random, std::uint64_t bound) {
    MUSTER_ENSURE(bound > 0, "there is nothing to choose from");
    // Values of the last, incomplete round of remainders are drawn again. Less than half of all values are,
    // so a source that delivers 64 of them in a row is not random; the bound ends the loop anyway.
    const std::uint64_t rounds_end = std::numeric_limits<std::uint64_t>::max() / bound * bound;
    std::uint64_t value = random();
    for (int again = 0; value >= rounds_end && again < 64; ++again) value = random();
    return value % bound;
}

double uniform_unit(const RandomSource& random) { return static_cast<double>(random() >> 11) * 0x1.0p-53; }

} // namespace muster
