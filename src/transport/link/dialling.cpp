// SPDX-License-Identifier: Apache-2.0
#include "dialling.hpp"

#include "base/mutants.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace muster::transport {

// --- the loop

bool Dialling::begin() noexcept {
    if (state_ != State::Idle) return false;
    state_ = State::Backoff;
    return true;
}

Dialling::Step Dialling::next(bool queued, Instant now, DiallingActions& out) {
    if (!queued && probes_left_ == 0) return Step::Rest;
    if (now < next_attempt_) {
        // An answer to a stranger is worth one attempt now, not one that is over before it begins.
        if (dial_once_until_ && *dial_once_until_ <= next_attempt_) {
            end_dial_once(out);
            out.emplace_back(action::DropMessages{Counted::messages_stranger});
            return Step::Again;
        }
        state_ = State::Backoff;
        return Step::Wait;
    }
    state_ = State::Connecting;
    if (!unanswered_since_) unanswered_since_ = now;
    return Step::Dial;
}

void Dialling::resolve_failed(const Error& error, Instant now, DiallingActions& out) {
    out.emplace_back(action::Count{Counted::resolves_failed});
    out.emplace_back(
        action::Log{LogLevel::Warning, "transport.resolve.failed", {{"error", error.message()}}});
    failed(false, now, out);
}

void Dialling::connect_failed(const Error& error, bool refused, Instant now, DiallingActions& out) {
    out.emplace_back(action::Count{Counted::connects_failed});
    if (refused) out.emplace_back(action::Count{Counted::connects_refused});
    out.emplace_back(action::Log{level_of_failure(),
                                 "transport.connect.failed",
                                 {{"error", error.message()}, {"attempt", fmt::to_string(failures_ + 1)}}});
    if (refused) {
        if (known_) out.emplace_back(action::Report{*known_, LinkEvent::ReconnectRefused});
        out.emplace_back(action::ReportConnectRefused{});
    }
    failed(false, now, out);
}

void Dialling::failed(bool for_good, Instant now, DiallingActions& out) {
    state_ = State::Backoff;
    if (dial_once_until_) {
        end_dial_once(out);
        out.emplace_back(action::DropMessages{Counted::messages_stranger});
    }
    if (!failing_since_) failing_since_ = now;
    if (failures_ < 64) ++failures_;
    if (for_good) {
        out.emplace_back(action::DropTells{Counted::tells_refused_by_peer});
        out.emplace_back(action::DropMessages{Counted::messages_no_route});
        probes_left_ = 0;
        next_attempt_ = now + limits_.backoff_max / 2 + random_up_to(limits_.backoff_max / 2);
        return;
    }
    if (stopped_) {
        out.emplace_back(action::DropTells{Counted::tells_shutdown});
        out.emplace_back(action::DropMessages{Counted::messages_shutdown});
        return;
    }
    if (now - *failing_since_ >= limits_.unreachable_after) {
        failing_since_ = now;
        out.emplace_back(action::DropTells{Counted::tells_unreachable});
    }
    if (probes_left_ > 0 && --probes_left_ > 0) {
        next_attempt_ = now + evidence_probe_distance;
        return;
    }
    next_attempt_ = now + backoff(failures_);
}

void Dialling::established(const UniqueAddress& peer, Instant now, DiallingActions& out) {
    state_ = State::Active;
    end_dial_once(out);
    established_ = now;
    failing_since_.reset();
    unanswered_since_.reset();
    stopping_.reset();
    failures_ = 0;
    probes_left_ = 0;
    met(peer, out);
    if (const auto replaced = std::exchange(replaced_, std::nullopt))
        out.emplace_back(action::Report{*replaced, LinkEvent::OtherIncarnation});
    out.emplace_back(action::Report{peer, LinkEvent::Established});
}

void Dialling::link_ended(std::optional<LinkEnd> lost, Instant now) noexcept {
    const bool young = now - established_ < limits_.backoff_max;
    young_links_ = young ? young_links_ + 1 : 0;
    next_attempt_ = now;
    if (young_links_ > young_links_tolerated) next_attempt_ += backoff(young_links_ - young_links_tolerated);
    state_ = State::Backoff;
    // Another attempt is of no use as evidence after silence.
    if (lost == LinkEnd::Broken && !stopped_ && !blocked_) probes_left_ = evidence_probes;
}

void Dialling::rested(DiallingActions& out) {
    state_ = State::Idle;
    failing_since_.reset();
    unanswered_since_.reset();
    end_dial_once(out);
}

// --- what becomes known about the address

void Dialling::seen_alive(const UniqueAddress& peer, Instant now, DiallingActions& out) {
    met(peer, out);
    // At rest, too: what failed before it rested must not hold up the first answer to a process that has just
    // started.
    if (state_ != State::Backoff && state_ != State::Idle) return;
    next_attempt_ = now;
    failures_ = 0;
}

/// `peer` is the incarnation at the address now, whoever was there before.
void Dialling::met(const UniqueAddress& peer, DiallingActions& out) {
    if (known_ == peer) return;
    if (known_) {
        // Tells accepted while the link led to the former incarnation were meant for that one.
        if (!MUSTER_MUTANT(stale_tells_kept) && !MUSTER_MUTANT(uid_not_compared))
            out.emplace_back(action::DropStaleTells{});
        replaced_ = known_;
    }
    known_ = peer;
    stopping_.reset();
    if (std::exchange(blocked_, false)) out.emplace_back(action::SetRoute{!stopped_});
}

bool Dialling::quarantine(const UniqueAddress& node, DiallingActions& out) {
    if (!known_) known_ = node;
    if (*known_ != node) return false;
    blocked_ = true;
    out.emplace_back(action::SetRoute{false});
    out.emplace_back(action::DropTells{Counted::tells_quarantined});
    out.emplace_back(action::DropMessages{Counted::messages_quarantined});
    probes_left_ = 0;
    return true;
}

void Dialling::quarantined_answered(const UniqueAddress& node, DiallingActions& out) {
    known_ = node;
    quarantine(node, out);
}

void Dialling::expect(const UniqueAddress& node, DiallingActions& out) {
    if (blocked_ && known_ != node) met(node, out);
}

void Dialling::stops(const UniqueAddress& node) {
    if (!known_ || *known_ == node) stopping_ = node;
}

void Dialling::dial_once(Instant until, DiallingActions& out) {
    if (state_ != State::Idle || dial_once_until_) return;
    dial_once_until_ = until;
    out.emplace_back(action::StrangerDial{true});
}

void Dialling::end_dial_once(DiallingActions& out) {
    if (std::exchange(dial_once_until_, std::nullopt)) out.emplace_back(action::StrangerDial{false});
}

void Dialling::stop(DiallingActions& out) {
    stopped_ = true;
    probes_left_ = 0;
    out.emplace_back(action::SetRoute{false});
    if (state_ != State::Backoff || failures_ == 0) return;
    out.emplace_back(action::DropTells{Counted::tells_shutdown});
    out.emplace_back(action::DropMessages{Counted::messages_shutdown});
}

// --- time and chance

Instant Dialling::deadline(Duration timeout, Instant now) const noexcept {
    const Instant deadline = now + timeout;
    return dial_once_until_ ? std::min(deadline, *dial_once_until_) : deadline;
}

/// Exponential with full jitter: peers that lost the same node do not come back in step.
Duration Dialling::backoff(std::uint32_t failures) {
    Duration bound = limits_.backoff_min;
    for (std::uint32_t i = 1; i < failures && bound < limits_.backoff_max; ++i) bound *= 2;
    return random_up_to(std::min(bound, limits_.backoff_max));
}

/// Uniform in [0, bound].
Duration Dialling::random_up_to(Duration bound) {
    return Duration{static_cast<std::int64_t>(random_() % (static_cast<std::uint64_t>(bound.count()) + 1))};
}

} // namespace muster::transport
