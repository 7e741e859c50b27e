// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A network with injected faults: delays by distribution, bandwidth, loss, partitions, corruption. Faults
/// are set per direction, from any machine to any other, and hold until they are taken back.
#include <cstdint>
#include <functional>
#include <map>
#include <muster/sim/link_model.hpp>
#include <optional>
#include <span>
#include <utility>

namespace muster::sim {

/// How long a segment travels: never less than `min`. Drawn in integers, so alike on every compiler and
/// machine.
struct DelayDistribution {
    enum class Shape : std::uint8_t {
        Constant,    ///< min
        Uniform,     ///< between min and max
        Exponential, ///< min, and an exponential with mean `mean` on top, cut off at max
        Pareto,      ///< min, and a heavy tail (Lomax, alpha 1.5) with mean `mean` on top, cut off at max
    };
    Shape shape = Shape::Constant;
    Duration min = std::chrono::microseconds(100);
    Duration max = std::chrono::microseconds(100); ///< below min: min
    Duration mean{};

    Duration draw(Random& random) const;
    bool operator==(const DelayDistribution&) const = default;
};

/// The condition of one direction between two machines. The default is a healthy local network.
struct LinkFaults {
    DelayDistribution delay;
    std::uint64_t bytes_per_second = 0; ///< 0: no limit
    double loss = 0.0; ///< [0, 1] of attempts; TCP repeats them, so this costs time, not bytes
    double reset =
        0.0; ///< [0, 1] of Data segments: the connection breaks in their middle, both ends read reset
    double corruption = 0.0; ///< [0, 1] of Data segments in which one to four bytes change
    bool cut = false;        ///< nothing arrives, and nobody is told: a silent partition
    bool operator==(const LinkFaults&) const = default;

    /// The worse of both in each respect: the conditions for a segment that passes two faulty places.
    static LinkFaults worse(const LinkFaults& a, const LinkFaults& b);
};

/// The LinkModel of a World. One thread, as everything in sim. Inside one machine nothing ever goes wrong.
///
/// The condition from one machine to another is the pair's own setting, or else the default, made worse by
/// the sender's egress and the receiver's ingress, and cut as long as one cut() of it has not been undone.
class FaultyLinks final : public LinkModel {
public:
    explicit FaultyLinks(LinkFaults usual = {});

    /// The default condition, for pairs without a setting of their own.
    void set_usual(LinkFaults faults);
    const LinkFaults& usual() const noexcept { return usual_; }
    /// Sets one direction.
    void set(HostId from, HostId to, LinkFaults faults);
    /// Undoes set(); cuts stay.
    void clear(HostId from, HostId to);
    /// The effective condition of this direction now.
    LinkFaults get(HostId from, HostId to) const;
    /// Cuts both directions between every machine of `left` and every one of `right`. Overlapping cuts are
    /// counted.
    void cut(std::span<const HostId> left, std::span<const HostId> right);
    /// Undoes one such cut.
    void join(std::span<const HostId> left, std::span<const HostId> right);
    /// Cuts only the direction from `from` to `to`.
    void cut_one_way(std::span<const HostId> from, std::span<const HostId> to);
    void join_one_way(std::span<const HostId> from, std::span<const HostId> to);
    /// Sets the condition of all traffic to `host` (ingress), from `host` (egress), or both, as in the
    /// experiments of Rapid (ATC'18, §7). nullopt undoes it.
    void set_ingress(HostId host, std::optional<LinkFaults> faults);
    void set_egress(HostId host, std::optional<LinkFaults> faults);
    /// Undoes everything but the default.
    void heal();
    /// Whether only the default condition applies.
    bool is_healthy() const noexcept;
    /// Whether anything can get from one machine to the other.
    bool is_open(HostId from, HostId to) const;

    /// Told of each machine at an end of a link whose faults are set, before the change takes effect.
    void on_fault(std::function<void(HostId)> told) { told_ = std::move(told); }

    Fate decide(const Segment& segment, Instant now, Random& random) override;
    void corrupt(const Segment& segment, std::span<std::byte> payload, Random& random) override;

private:
    using Pair = std::pair<HostId, HostId>;
    void tell(HostId host) const {
        if (told_) told_(host);
    }
    void count_cut(HostId from, HostId to);
    void uncount_cut(HostId from, HostId to);

    LinkFaults usual_;
    Duration loopback_ = std::chrono::microseconds(20);
    std::map<Pair, LinkFaults> pairs_;
    std::map<Pair, std::uint32_t> cuts_;
    std::map<HostId, LinkFaults> ingress_;
    std::map<HostId, LinkFaults> egress_;
    std::map<Pair, Instant> busy_until_;
    std::function<void(HostId)> told_;
};

} // namespace muster::sim
