// SPDX-License-Identifier: Apache-2.0
#pragma once
/// When an address is dialled, and what is kept for it meanwhile (protocol.md §12.7, §16): the outbound
/// side's life across the connections to one address.
#include "action.hpp"
#include "base/split_mix64.hpp"
#include "link_end.hpp"
#include <cstdint>
#include <muster/address.hpp>
#include <muster/time.hpp>
#include <optional>

namespace muster::transport {

struct DiallingLimits {
    Duration backoff_min{};
    Duration backoff_max{};
    Duration unreachable_after{};  ///< tells to who does not answer for that long are dropped
    Duration waiting_for_answer{}; ///< tells without room wait no longer for somebody to answer
};

/// How to drive it. Whenever something is queued, or a wait is over, and nobody runs: begin(), then in a loop
/// next(), which says what to do. Dial: connect, then connected() and shake hands, or one of the failures.
/// After shaking hands established(), and when that link is over link_ended(); after a handshake that led to
/// none failed(). Wait: until next_attempt(), or something is said to this value. Rest: nothing is to be done
/// until the next begin(); rested(). There is never a second attempt beside one, nor beside a link.
///
/// Everything else may be said at any time. Time is a parameter, chance the source given at the beginning,
/// and what follows is appended to the actions.
class Dialling {
public:
    enum class State : std::uint8_t {
        Idle,        ///< nobody runs
        Connecting,  ///< to be dialled, or being
        Handshaking, ///< connected
        Active,      ///< a link is open
        Backoff,     ///< between attempts
    };
    enum class Step : std::uint8_t { Rest, Wait, Dial, Again };

    /// After a loss: attempts made even with nothing to send, and their distance (§12.7 wants two refusals at
    /// least 20 ms apart).
    static constexpr std::uint8_t evidence_probes = 3;
    static constexpr Duration evidence_probe_distance = std::chrono::milliseconds{25};
    /// Links of a peer that end young, before reconnecting waits.
    static constexpr std::uint32_t young_links_tolerated = 3;

    Dialling(const DiallingLimits& limits, SplitMix64& random) noexcept : limits_(limits), random_(random) {}

    // --- the loop
    /// False when somebody runs already.
    bool begin() noexcept;
    /// `queued`: there are tells or messages to write.
    Step next(bool queued, Instant now, DiallingActions& out);
    void connected() noexcept { state_ = State::Handshaking; }
    void resolve_failed(const Error& error, Instant now, DiallingActions& out);
    /// `refused`: by every address of the name.
    void connect_failed(const Error& error, bool refused, Instant now, DiallingActions& out);
    /// The attempt came to nothing. `for_good`: it would fail again in the same way, so nothing is kept for
    /// it.
    void failed(bool for_good, Instant now, DiallingActions& out);
    /// `peer` shook hands at the address.
    void established(const UniqueAddress& peer, Instant now, DiallingActions& out);
    /// The link is over. `lost`: how, when neither side said Goodbye.
    void link_ended(std::optional<LinkEnd> lost, Instant now) noexcept;
    void rested(DiallingActions& out);

    // --- what becomes known about the address
    /// A handshake of this peer arrived from the other side, or it answered a question: it is alive, so a
    /// wait to reconnect is over.
    void seen_alive(const UniqueAddress& peer, Instant now, DiallingActions& out);
    /// If `node` is the incarnation there: nothing is kept for it until another one appears. Whether it is.
    bool quarantine(const UniqueAddress& node, DiallingActions& out);
    /// `node`, which is quarantined, answered at the address.
    void quarantined_answered(const UniqueAddress& node, DiallingActions& out);
    /// Another incarnation than a quarantined one is a member.
    void expect(const UniqueAddress& node, DiallingActions& out);
    /// `node` says that it stops: that it then refuses connections is no news.
    void stops(const UniqueAddress& node);
    /// The next attempt is for an answer to a stranger: it ends at `until`, and is not repeated.
    void dial_once(Instant until, DiallingActions& out);
    /// This node stops: what failed until now will not succeed in time, what is being tried may.
    void stop(DiallingActions& out);

    // --- queries
    State state() const noexcept { return state_; }
    /// The incarnation last seen there, in either direction.
    const std::optional<UniqueAddress>& known() const noexcept { return known_; }
    bool blocks(const std::optional<Uid>& to) const noexcept {
        return blocked_ && to && known_ && *to == known_->uid();
    }
    Instant next_attempt() const noexcept { return next_attempt_; }
    /// The deadline of an attempt, or of a part of it, that may take `timeout`.
    Instant deadline(Duration timeout, Instant now) const noexcept;
    /// Info when the node there said that it stops: refusals are expected then.
    LogLevel level_of_failure() const noexcept { return stopping_ ? LogLevel::Info : LogLevel::Warning; }
    /// The peer has not answered for as long as a tell may wait for room.
    bool unanswered(Instant now) const noexcept {
        return unanswered_since_ && now - *unanswered_since_ >= limits_.waiting_for_answer;
    }

private:
    void end_dial_once(DiallingActions& out);
    void met(const UniqueAddress& peer, DiallingActions& out);
    Duration backoff(std::uint32_t failures);
    Duration random_up_to(Duration bound);

    const DiallingLimits limits_;
    SplitMix64& random_;
    State state_ = State::Idle;
    bool stopped_ = false;
    bool blocked_ = false;                  // known_ is quarantined
    std::optional<UniqueAddress> stopping_; // which incarnation there said that it stops
    std::optional<UniqueAddress> known_;
    std::optional<UniqueAddress> replaced_; // known_ before, until another uid has answered at its address
    std::uint8_t probes_left_ = 0;
    std::uint32_t failures_ = 0;             // attempts in a row
    std::uint32_t young_links_ = 0;          // in a row: a peer that takes connections and drops them
    std::optional<Instant> dial_once_until_; // set: the attempt is one of StrangerDials
    Instant established_{};
    Instant next_attempt_{};
    std::optional<Instant> failing_since_;
    std::optional<Instant> unanswered_since_; // the first attempt began
};

} // namespace muster::transport
