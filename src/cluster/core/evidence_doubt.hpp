// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The window of doubt (protocol.md §12.7): evidence against most is evidence against oneself.
#include <map>
#include <muster/address.hpp>
#include <muster/time.hpp>
#include <optional>
#include <span>

namespace muster {

/// Counts the connections that end without Goodbye. When within one window those with more than half of the
/// watched nodes (two or more watched) did, the cause is more likely on this side, a proxy that restarts or a
/// network card that is set up anew: then doubt holds until the window behind the last such end is over and
/// no more than half of the watched are still lost. A value: it is told the time.
class EvidenceDoubt {
public:
    enum class Change : std::uint8_t { None, Begins, Ends };

    /// `window` > 0.
    explicit EvidenceDoubt(Duration window) noexcept : window_(window) {}

    /// The last connection with a watched node ended without Goodbye.
    void lost(const UniqueAddress& node, Instant now) { losses_.insert_or_assign(node, Loss{now, false}); }
    /// A connection with it is open again. That it was lost in this window still counts.
    void regained(const UniqueAddress& node);
    /// Its end says nothing about this side: another incarnation answers, it said that it stops, or it is no
    /// member any more.
    void explained(const UniqueAddress& node) { losses_.erase(node); }

    /// `watched` in UniqueAddress order. After every change above, and whenever the answer of holds()
    /// matters: time alone ends it, too.
    Change consider(std::span<const UniqueAddress> watched, Instant now);
    bool holds() const noexcept { return until_.has_value(); }
    Duration window() const noexcept { return window_; }
    /// As counted by the last consider(): ends within the window, and nodes that are lost still.
    std::size_t recent() const noexcept { return recent_; }
    std::size_t still_lost() const noexcept { return still_lost_; }

private:
    struct Loss {
        Instant at;
        bool regained = false;
    };
    Duration window_;
    std::map<UniqueAddress, Loss> losses_;
    std::optional<Instant> until_; ///< at least so long
    std::size_t recent_ = 0;
    std::size_t still_lost_ = 0;
};

} // namespace muster
