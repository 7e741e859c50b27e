// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How often one link may ask for an answer (protocol.md §16).
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <muster/time.hpp>
#include <muster/wire/frame.hpp>
#include <optional>

namespace muster::transport {

/// Counts in time: each event costs `each`, and what is not used is saved for a burst.
class TokenBucket {
public:
    constexpr TokenBucket(Duration each, std::int64_t burst) noexcept
        : each_(each), full_(each * burst), credit_(full_) {}

    /// Whether one more event is within the rate. Time that stands still or runs back gives nothing.
    bool take(Instant now) noexcept {
        if (last_ && now > *last_)
            credit_ = now - *last_ >= full_ - credit_ ? full_ : credit_ + (now - *last_);
        if (!last_ || now > *last_) last_ = now;
        if (credit_ < each_) return false;
        credit_ -= each_;
        return true;
    }

private:
    Duration each_;
    Duration full_;
    Duration credit_;
    std::optional<Instant> last_;
};

/// Who asks for an answer makes this node work, write, and perhaps dial. An honest peer stays far below these
/// rates; what is above them is dropped before it is decoded, and counted.
class AnswerRate {
public:
    enum class Kind : std::uint8_t {
        Heartbeat, ///< one per heartbeat-interval
        Request,   ///< InitJoin, Join, NotMember, ExitingConfirmed: some per second while a node joins or
                   ///< leaves
        Gossip,    ///< GossipEnvelope, GossipStatus: many while a thousand join at once
    };
    static constexpr std::int64_t heartbeats_per_second = 1000;
    static constexpr std::int64_t heartbeats_burst = 1000;
    static constexpr std::int64_t requests_per_second = 100;
    static constexpr std::int64_t requests_burst = 200;
    static constexpr std::int64_t gossips_per_second = 1000;
    static constexpr std::int64_t gossips_burst = 2000;

    /// The answer that a frame asks for; nothing for those that are never answered.
    static std::optional<Kind> kind_of(std::uint32_t variant) noexcept {
        switch (static_cast<wire::FrameKind>(variant)) {
        case wire::FrameKind::Heartbeat: return Kind::Heartbeat;
        case wire::FrameKind::InitJoin:
        case wire::FrameKind::Join:
        case wire::FrameKind::NotMember:
        case wire::FrameKind::ExitingConfirmed: return Kind::Request;
        case wire::FrameKind::GossipEnvelope:
        case wire::FrameKind::GossipStatus: return Kind::Gossip;
        default: return std::nullopt;
        }
    }

    bool admit(Kind kind, Instant now) noexcept {
        switch (kind) {
        case Kind::Heartbeat: return heartbeats_.take(now);
        case Kind::Request: return requests_.take(now);
        case Kind::Gossip: return gossips_.take(now);
        }
        return true;
    }

private:
    static constexpr Duration second = std::chrono::seconds{1};
    TokenBucket heartbeats_{second / heartbeats_per_second, heartbeats_burst};
    TokenBucket requests_{second / requests_per_second, requests_burst};
    TokenBucket gossips_{second / gossips_per_second, gossips_burst};
};

} // namespace muster::transport
