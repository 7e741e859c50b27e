// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The model that decides delays and faults of the simulated network.
#include <cstddef>
#include <cstdint>
#include <map>
#include <muster/sim/random.hpp>
#include <muster/time.hpp>
#include <span>
#include <utility>

namespace muster::sim {

/// A machine of the simulated world, numbered from 0 in the order of their creation.
enum class HostId : std::uint32_t {};

/// One segment in flight between two machines.
struct Segment {
    enum class Kind : std::uint8_t {
        Connect, ///< SYN
        Accept,  ///< SYN-ACK
        Data,
        Window, ///< room in the receiver's buffer again
        Finish, ///< FIN
        Reset,  ///< RST: never repeated
    };
    Kind kind{};
    HostId from{};
    HostId to{};
    std::uint64_t connection = 0;
    std::size_t bytes = 0; ///< payload
};

/// The fate of one attempt. A loss is that of the attempt, not of the segment: everything but Reset is
/// retried after a growing delay, as in TCP, and later segments of the same stream wait behind it.
struct Fate {
    bool lost = false;
    Duration delay{};
    /// For Data that is not lost: the connection breaks in its middle. `bytes` of it still arrive, then both
    /// ends read reset.
    bool reset = false;
    std::size_t bytes = 0;
};

/// Asked once per attempt, in the order in which things are sent, so `random` may be drawn from freely.
class LinkModel {
public:
    virtual ~LinkModel() = default;
    virtual Fate decide(const Segment& segment, Instant now, Random& random) = 0;
    /// May change the payload of a Data segment that arrives.
    virtual void corrupt(const Segment& segment, std::span<std::byte> payload, Random& random);
};

/// The same condition between all machines, without loss.
class UniformLinks final : public LinkModel {
public:
    struct Options {
        Duration latency_min = std::chrono::microseconds(100);
        Duration latency_max = std::chrono::microseconds(100); ///< uniform between both
        Duration loopback = std::chrono::microseconds(20);     ///< inside one machine
        std::uint64_t bytes_per_second = 0;                    ///< per direction of a pair; 0: no limit
    };
    UniformLinks() = default;
    explicit UniformLinks(Options options) : options_(options) {}
    Fate decide(const Segment& segment, Instant now, Random& random) override;

private:
    Options options_;
    std::map<std::pair<HostId, HostId>, Instant> busy_until_;
};

} // namespace muster::sim
