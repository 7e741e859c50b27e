// SPDX-License-Identifier: Apache-2.0
#include <muster/sim/link_model.hpp>

#include <algorithm>

namespace muster::sim {

void LinkModel::corrupt(const Segment&, std::span<std::byte>, Random&) {}

Fate UniformLinks::decide(const Segment& segment, Instant now, Random& random) {
    if (segment.from == segment.to) return {.lost = false, .delay = options_.loopback};
    Duration delay = options_.latency_min;
    if (options_.latency_max > options_.latency_min)
        delay = Duration(random.between(options_.latency_min.count(), options_.latency_max.count()));
    if (options_.bytes_per_second != 0) {
        Instant& busy = busy_until_[{segment.from, segment.to}];
        const auto ns = segment.bytes * 1'000'000'000ULL / options_.bytes_per_second;
        busy = std::max(busy, now) + Duration(static_cast<Duration::rep>(ns));
        delay += busy - now;
    }
    return {.lost = false, .delay = delay};
}

} // namespace muster::sim
