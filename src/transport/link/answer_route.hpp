// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Where answers may go (protocol.md §16).
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <muster/time.hpp>

namespace muster::transport {

/// An answer goes over a connection that exists, to a member or seed, or to the address that the asking
/// link's own Hello gave: never to one that only a message names, or one frame would make this node connect
/// to any host and port.
enum class AnswerRoute : std::uint8_t {
    Send,     ///< as everything else
    DialOnce, ///< connect, as one of a limited number
    Nowhere,  ///< dropped: nobody there has asked
    Later,    ///< dropped: enough such connections are being made
};

/// Connections to strangers that are being made because of an answer, in sum.
class StrangerDials {
public:
    static constexpr std::size_t unfinished_max = 64;
    /// For connecting and shaking hands together; an attempt that fails is not repeated.
    static constexpr std::chrono::milliseconds time_max{1000};

    struct Asked {
        bool connected = false;  ///< or about to be, for another reason
        bool acquainted = false; ///< a member or a seed
        bool asking = false;     ///< an open link from there said Hello with this address
    };
    AnswerRoute route(const Asked& asked) const noexcept {
        if (asked.connected || asked.acquainted) return AnswerRoute::Send;
        if (!asked.asking) return AnswerRoute::Nowhere;
        return unfinished_ < unfinished_max ? AnswerRoute::DialOnce : AnswerRoute::Later;
    }
    void begin() noexcept { ++unfinished_; }
    void end() noexcept { --unfinished_; }
    std::size_t unfinished() const noexcept { return unfinished_; }

private:
    std::size_t unfinished_ = 0;
};

} // namespace muster::transport
