// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Who gets one of the places for inbound connections (protocol.md §16).
#include <cstddef>

namespace muster::transport {

/// A tenth of the places is kept for members and seeds, or connections that cost nothing and say nothing
/// would shut the cluster out. Who somebody is shows in the handshake: so a newcomer is let in even when all
/// places are taken, at the cost of whoever has waited longest without saying who it is, and a stranger is
/// refused once it has said so.
class InboundPlaces {
public:
    explicit InboundPlaces(std::size_t places_max) noexcept : max_(places_max), kept_(places_max / 10) {}

    enum class Newcomer {
        Enter,
        Replace, ///< whoever has been greeting for longest makes room
        Refuse,
    };
    /// `taken`: all inbound connections; `greeting`: of these, those that have not said who they are.
    Newcomer newcomer(std::size_t taken, std::size_t greeting) const noexcept {
        if (taken < max_) return Newcomer::Enter;
        return greeting > 0 ? Newcomer::Replace : Newcomer::Refuse;
    }
    /// Whether one more stranger may stay beside `strangers` others.
    bool stranger(std::size_t strangers) const noexcept { return strangers < max_ - kept_; }
    std::size_t kept() const noexcept { return kept_; }

private:
    std::size_t max_;
    std::size_t kept_;
};

} // namespace muster::transport
