// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How much one link may do before the others of the loop get their turn (protocol.md §16).
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <muster/time.hpp>

namespace muster::transport {

/// Bytes and time of one link in one turn of the loop. A link that is behind takes its next share in the next
/// turn, after timers and the other sockets: a flood on one connection delays a heartbeat on another by one
/// share, not by what the flood has sent.
///
///     budget.begin(now, links_that_wait);
///     budget.received(bytes);
///     while (next frame && !budget.spent()) budget.frame(cost, clock);
class TurnBudget {
public:
    static constexpr std::size_t bytes_max = 512 * 1024;
    static constexpr Duration time_max = std::chrono::microseconds{300};
    /// What is left of time_max when many links flood at once: less would be spent on changing over.
    static constexpr Duration time_min = std::chrono::microseconds{20};
    /// Tells that are handed on between two looks at the clock, which costs a tenth of what a tell does.
    static constexpr std::uint32_t light_per_look = 16;

    enum class Cost : std::uint8_t {
        Light, ///< a tell handed to the sink
        Heavy, ///< anything that is decoded and acted on
    };

    /// A turn begins. `others`: links that have used up their turn and wait for the next one; they share the
    /// time.
    void begin(Instant now, std::size_t others) noexcept {
        began_ = now;
        time_ = std::max<Duration>(time_min, time_max / static_cast<std::int64_t>(1 + others));
        bytes_ = 0;
        unlooked_ = 0;
        late_ = false;
    }
    void received(std::size_t bytes) noexcept { bytes_ += bytes; }
    /// A frame was dealt with. `clock` is called only now and then.
    template <class Clock>
    void frame(Cost cost, const Clock& clock) {
        unlooked_ += cost == Cost::Heavy ? light_per_look : 1;
        if (unlooked_ < light_per_look) [[likely]]
            return;
        unlooked_ = 0;
        late_ = clock() - began_ >= time_;
    }
    /// The frames in hand wait for the next turn.
    bool late() const noexcept { return late_; }
    /// Nothing more is received in this turn.
    bool spent() const noexcept { return late_ || bytes_ >= bytes_max; }

private:
    Instant began_{};
    Duration time_ = time_max;
    std::size_t bytes_ = 0;
    std::uint32_t unlooked_ = 0;
    bool late_ = false;
};

} // namespace muster::transport
