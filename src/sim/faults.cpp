// SPDX-License-Identifier: Apache-2.0
#include <muster/sim/faults.hpp>

#include <algorithm>
#include <tuple>

namespace muster::sim {

namespace {

__extension__ using Wide = unsigned __int128;

/// Whether something of this probability happens. Scaling by a power of two is exact, so all compilers decide
/// alike.
bool happens(double probability, Random& random) noexcept {
    if (!(probability > 0.0)) return false;
    if (probability >= 1.0) return true;
    return (random.next() >> 11) < static_cast<std::uint64_t>(probability * 0x1p53);
}

/// An exponential with mean 2^32, by von Neumann's comparison of uniforms: no logarithm, so no libm.
std::uint64_t draw_exponential(Random& random) noexcept {
    for (std::uint64_t whole = 0;; ++whole) {
        const std::uint64_t first = random.next();
        std::uint64_t last = first;
        bool odd = true; // length of the descending run that begins with `first`
        for (;;) {
            const std::uint64_t next = random.next();
            if (next >= last) break;
            last = next;
            odd = !odd;
        }
        if (odd) return (whole << 32) + (first >> 32);
    }
}

/// The largest integer whose cube is at most `value`.
std::uint64_t cube_root(Wide value) noexcept {
    std::uint64_t low = 0, high = (1ULL << 42);
    while (low < high) {
        const std::uint64_t middle = (low + high + 1) / 2;
        const Wide square = static_cast<Wide>(middle) * middle;
        if (square <= value / middle)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/// A Lomax variate with shape 1.5 and scale 2^20 (mean 2^21): U^(-2/3) - 1 for a uniform U in (0, 1].
std::uint64_t draw_lomax(Random& random) noexcept {
    const std::uint64_t uniform = (random.next() >> 32) + 1; // times 2^-32
    const Wide square = static_cast<Wide>(uniform) * uniform;
    return cube_root((static_cast<Wide>(1) << 124) / square) - (1ULL << 20);
}

/// `base` * `factor` / 2^bits, at most `most`.
Duration scaled(Duration base, std::uint64_t factor, unsigned bits, Duration most) noexcept {
    const Wide product = (static_cast<Wide>(base.count()) * factor) >> bits;
    return product >= static_cast<Wide>(most.count()) ? most : Duration(static_cast<Duration::rep>(product));
}

} // namespace

Duration DelayDistribution::draw(Random& random) const {
    const Duration least = std::max(min, Duration::zero());
    if (shape == Shape::Constant || max <= least) return least;
    const Duration room = max - least;
    switch (shape) {
    case Shape::Constant: break;
    case Shape::Uniform: return Duration(random.between(least.count(), max.count()));
    case Shape::Exponential:
        if (mean > Duration::zero()) return least + scaled(mean, draw_exponential(random), 32, room);
        break;
    case Shape::Pareto:
        // The mean of a Lomax variate is twice its scale.
        if (mean > Duration::zero()) return least + scaled(mean, draw_lomax(random), 21, room);
        break;
    }
    return least;
}

LinkFaults LinkFaults::worse(const LinkFaults& a, const LinkFaults& b) {
    LinkFaults result;
    const auto slowness = [](const DelayDistribution& d) {
        const bool varies = d.shape != DelayDistribution::Shape::Constant;
        return std::tuple(d.min + (varies ? d.mean : Duration::zero()), varies ? d.max : d.min);
    };
    result.delay = slowness(a.delay) < slowness(b.delay) ? b.delay : a.delay;
    result.bytes_per_second = a.bytes_per_second == 0   ? b.bytes_per_second
                              : b.bytes_per_second == 0 ? a.bytes_per_second
                                                        : std::min(a.bytes_per_second, b.bytes_per_second);
    result.loss = std::max(a.loss, b.loss);
    result.reset = std::max(a.reset, b.reset);
    result.corruption = std::max(a.corruption, b.corruption);
    result.cut = a.cut || b.cut;
    return result;
}

FaultyLinks::FaultyLinks(LinkFaults usual) : usual_(usual) {}

void FaultyLinks::set_usual(LinkFaults faults) { usual_ = faults; }

void FaultyLinks::set(HostId from, HostId to, LinkFaults faults) {
    tell(from);
    tell(to);
    pairs_.insert_or_assign({from, to}, faults);
}

void FaultyLinks::clear(HostId from, HostId to) { pairs_.erase({from, to}); }

LinkFaults FaultyLinks::get(HostId from, HostId to) const {
    LinkFaults faults = usual_;
    if (from == to) return LinkFaults{.delay = {.min = loopback_, .max = loopback_}};
    if (!pairs_.empty()) {
        if (const auto found = pairs_.find({from, to}); found != pairs_.end()) faults = found->second;
    }
    if (!ingress_.empty()) {
        if (const auto found = ingress_.find(to); found != ingress_.end())
            faults = LinkFaults::worse(faults, found->second);
    }
    if (!egress_.empty()) {
        if (const auto found = egress_.find(from); found != egress_.end())
            faults = LinkFaults::worse(faults, found->second);
    }
    if (!cuts_.empty() && cuts_.contains({from, to})) faults.cut = true;
    return faults;
}

void FaultyLinks::count_cut(HostId from, HostId to) {
    if (from != to) ++cuts_[{from, to}];
}

void FaultyLinks::uncount_cut(HostId from, HostId to) {
    const auto found = cuts_.find({from, to});
    if (found != cuts_.end() && --found->second == 0) cuts_.erase(found);
}

void FaultyLinks::cut(std::span<const HostId> left, std::span<const HostId> right) {
    cut_one_way(left, right);
    cut_one_way(right, left);
}

void FaultyLinks::join(std::span<const HostId> left, std::span<const HostId> right) {
    join_one_way(left, right);
    join_one_way(right, left);
}

void FaultyLinks::cut_one_way(std::span<const HostId> from, std::span<const HostId> to) {
    if (from.empty() || to.empty()) return;
    for (const HostId host : from) tell(host);
    for (const HostId host : to) tell(host);
    for (const HostId a : from)
        for (const HostId b : to) count_cut(a, b);
}

void FaultyLinks::join_one_way(std::span<const HostId> from, std::span<const HostId> to) {
    for (const HostId a : from)
        for (const HostId b : to) uncount_cut(a, b);
}

void FaultyLinks::set_ingress(HostId host, std::optional<LinkFaults> faults) {
    if (!faults) {
        ingress_.erase(host);
        return;
    }
    tell(host);
    ingress_.insert_or_assign(host, *faults);
}

void FaultyLinks::set_egress(HostId host, std::optional<LinkFaults> faults) {
    if (!faults) {
        egress_.erase(host);
        return;
    }
    tell(host);
    egress_.insert_or_assign(host, *faults);
}

void FaultyLinks::heal() {
    pairs_.clear();
    cuts_.clear();
    ingress_.clear();
    egress_.clear();
    busy_until_.clear();
}

bool FaultyLinks::is_healthy() const noexcept {
    return pairs_.empty() && cuts_.empty() && ingress_.empty() && egress_.empty();
}

bool FaultyLinks::is_open(HostId from, HostId to) const {
    const LinkFaults faults = get(from, to);
    return !faults.cut && faults.loss < 1.0;
}

Fate FaultyLinks::decide(const Segment& segment, Instant now, Random& random) {
    if (segment.from == segment.to) return {.lost = false, .delay = loopback_};
    const LinkFaults faults = get(segment.from, segment.to);
    if (faults.cut || happens(faults.loss, random)) return {.lost = true};
    Fate fate{.lost = false, .delay = faults.delay.draw(random)};
    if (faults.bytes_per_second != 0) {
        Instant& busy = busy_until_[{segment.from, segment.to}];
        const Wide ns = static_cast<Wide>(segment.bytes) * 1'000'000'000 / faults.bytes_per_second;
        busy = std::max(busy, now) + Duration(static_cast<Duration::rep>(ns));
        fate.delay += busy - now;
    }
    if (segment.kind == Segment::Kind::Data && happens(faults.reset, random)) {
        fate.reset = true;
        fate.bytes = static_cast<std::size_t>(random.below(segment.bytes + 1));
    }
    return fate;
}

void FaultyLinks::corrupt(const Segment& segment, std::span<std::byte> payload, Random& random) {
    if (segment.from == segment.to || payload.empty()) return;
    if (!happens(get(segment.from, segment.to).corruption, random)) return;
    for (auto changes = random.between(1, 4); changes > 0; --changes) {
        const auto at = static_cast<std::size_t>(random.below(payload.size()));
        payload[at] ^= static_cast<std::byte>(random.between(1, 255));
    }
}

} // namespace muster::sim
