// SPDX-License-Identifier: Apache-2.0
// An open connection and its end.
#include "link.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace muster::transport {

using How = action::CloseStream::How;
using wire::GoodbyeReason;

namespace {

/// Bytes of a foreign sender's path in the log.
constexpr std::size_t sender_logged_max = 200;
/// A flood is said again after this.
constexpr std::chrono::seconds flood_said_every{10};

} // namespace

/// For errors: the peer by the best name that there is.
std::string Link::name() const {
    if (dials()) return dialled_.to_string();
    return about_.peer.is_unknown() ? remote_ : about_.peer.address().to_string();
}

// --- frames

bool Link::frame(const FrameReader::Frame& frame, Instant now, LinkActions& out) {
    switch (phase_) {
    case Phase::Greeting:
        if (dials())
            judge_reply(frame, now, out);
        else
            judge_hello(frame, out);
        return false;
    case Phase::Open:
    case Phase::Broken: break;
    case Phase::Replying:
    case Phase::Claiming:
    case Phase::Ended: return false;
    case Phase::Lingering: return true;
    }
    if (!dials() && asks_too_often(frame, out)) return true;
    bool rest_skipped = false;
    auto decoded =
        wire::decode_frame(Slice{frame.body, frame.owner}, {.peer_is_newer = peer_is_newer_,
                                                            .interner = dials() ? nullptr : &node_.interner(),
                                                            .agreement = about_.agreement,
                                                            .rest_skipped = &rest_skipped});
    if (rest_skipped) count(Counted::frames_rest, out);
    if (!decoded) {
        count(Counted::frames_malformed, out);
        malformed(decoded.error().message(), now, out);
        return false;
    }
    if (const auto* goodbye = std::get_if<wire::Goodbye>(&*decoded)) return on_goodbye(*goodbye, now, out);
    if (std::holds_alternative<wire::UnknownFrame>(*decoded)) {
        count(Counted::frames_unknown, out);
        return true;
    }
    if (!dials()) {
        if (auto* message = std::get_if<ClusterMessage>(&*decoded))
            return on_message(std::move(*message), out);
        if (const auto* tell = std::get_if<wire::RemoteTell>(&*decoded); tell && !admits(tell->view())) {
            count(Counted::tells_foreign_sender, out);
            drop_foreign("RemoteTell", tell->sender_path.value_or(std::string{}), out);
            return true;
        }
        if (std::holds_alternative<wire::reference::GossipPdu>(*decoded)) {
            // The reference's gossip names no incarnation: nothing here can use it.
            count(Counted::frames_foreign, out);
            return true;
        }
    }
    count(Counted::frames_malformed, out);
    malformed(dials() ? "only Goodbye is said on the accepting side"
              : std::holds_alternative<wire::Hello>(*decoded)
                  ? "a second Hello"
                  : fmt::format("a frame that was not agreed upon, variant {}",
                                wire::frame_variant(frame.body).value_or(0)),
              now, out);
    return false;
}

/// Whether the peer asks for more answers than anybody who is well. What is above the rate is not even
/// decoded.
bool Link::asks_too_often(const FrameReader::Frame& frame, LinkActions& out) {
    const auto kind = AnswerRate::kind_of(wire::frame_variant(frame.body).value_or(0));
    if (!kind || answers_.admit(*kind, about_.last_received)) return false;
    count(Counted::messages_rate, out);
    if (!flood_said_ || about_.last_received - *flood_said_ >= flood_said_every) {
        flood_said_ = about_.last_received;
        out.emplace_back(action::Log{LogLevel::Warning, "transport.link.flood", {{"from", remote_}}});
    }
    return true;
}

bool Link::on_message(ClusterMessage&& message, LinkActions& out) {
    count(Counted::messages_received, out);
    if (is_made_by(about_.peer, message)) {
        out.emplace_back(action::Deliver{std::move(message)});
    } else {
        count(Counted::frames_foreign, out);
        drop_foreign(name_of(message), {}, out);
    }
    return true;
}

/// In the name of somebody who is not at the other end. The link stays: all else of it is judged by itself.
void Link::drop_foreign(std::string_view frame, std::string_view sender, LinkActions& out) {
    out.emplace_back(action::Log{LogLevel::Warning,
                                 "transport.frame.foreign",
                                 {{"frame", std::string{frame}},
                                  {"sender", std::string{sender.substr(0, sender_logged_max)}},
                                  {"peer", about_.peer.to_string()},
                                  {"from", remote_}}});
}

bool Link::on_goodbye(const wire::Goodbye& goodbye, Instant now, LinkActions& out) {
    said_ = goodbye.reason;
    if (goodbye.reason == GoodbyeReason::Stopping) out.emplace_back(action::PeerStops{about_.peer});
    out.emplace_back(action::Log{is_noteworthy(goodbye.reason) ? LogLevel::Warning : LogLevel::Debug,
                                 "transport.link.goodbye",
                                 {{"reason", wire::to_string(goodbye.reason)},
                                  {"detail", goodbye.detail},
                                  {"direction", std::string{direction()}}}});
    if (dials() && is_about_address(goodbye))
        out.emplace_back(
            action::Log{LogLevel::Error,
                        "transport.address.denied",
                        {{"self", node_.identity().self.to_string()}, {"detail", goodbye.detail}}});
    // On a connection that the peer opened Goodbye{quarantined} ends the link and nothing else: whoever opens
    // one may call itself anybody. A peer that means it says it where this node dialled as well, or refuses
    // the next connection.
    if (dials() && goodbye.reason == GoodbyeReason::Quarantined)
        out.emplace_back(action::ReportQuarantinedBy{about_.peer});
    if (phase_ == Phase::Broken) {
        abort(out);
        return false;
    }
    // The dialler's send in flight may end, and the acceptor counts what it drops, so that both know what
    // became of it.
    phase_ = Phase::Lingering;
    deadline_ = now + linger_max;
    out.emplace_back(action::CloseStream{How::Graceful});
    return false;
}

void Link::stuck(FrameReader::Next why, std::size_t claimed, std::size_t limit, Instant now,
                 LinkActions& out) {
    if (why == FrameReader::Next::NoRoom) {
        // All memory for unfinished frames is in use. A member waits until frame_timeout; a stranger may come
        // again.
        about_.acquainted = node_.acquainted(about_.peer.address());
        if (about_.acquainted) return count(Counted::frames_waited, out);
        count(Counted::frames_no_room, out);
        out.emplace_back(
            action::Log{LogLevel::Warning,
                        "transport.link.no_room",
                        {{"bytes", fmt::to_string(claimed)}, {"in_use", fmt::to_string(limit)}}});
        return close(GoodbyeReason::Overloaded, "too many unfinished frames", now, out);
    }
    if (why != FrameReader::Next::TooLarge) return;
    count(Counted::frames_too_large, out);
    about_.unreadable = true;
    if (phase_ == Phase::Greeting && dials())
        return handshake_failed(Error{Errc::too_large,
                                      fmt::format("frame of {} bytes", claimed),
                                      "a HelloReply was expected: is this a muster node?",
                                      {}},
                                out);
    malformed(fmt::format("frame of {} bytes, {} are allowed", claimed, limit), now, out);
}

void Link::malformed(const std::string& detail, Instant now, LinkActions& out) {
    if (phase_ == Phase::Greeting)
        return reply(refuse(node_.identity(), wire::RefusalReason::Protocol, detail), out);
    out.emplace_back(action::Log{LogLevel::Warning,
                                 "transport.link.malformed",
                                 {{"detail", detail}, {"direction", std::string{direction()}}}});
    if (!dials()) return close(GoodbyeReason::Protocol, detail, now, out);
    error_ = Error{Errc::malformed, name(), detail, {}};
    said_ = GoodbyeReason::Protocol; // whoever talks nonsense is no dead process
    abort(out);
}

// --- sending

void Link::written(const result<void>& written, Instant now, LinkActions& out) {
    send_began_.reset();
    switch (phase_) {
    case Phase::Greeting:
        if (!written) handshake_failed(written.error(), out);
        return;
    case Phase::Replying:
        if (written) return replied(now, out);
        error_ = written.error();
        phase_ = Phase::Ended;
        return;
    case Phase::Lingering:
        if (!closed_) return;
        out.emplace_back(action::CloseStream{How::Graceful});
        if (dials()) deadline_ = now + linger_max; // what was sent before it has time to be taken
        return;
    case Phase::Claiming:
    case Phase::Open:
    case Phase::Broken:
    case Phase::Ended: return;
    }
}

void Link::send_failed(const Error& error, Instant now) {
    send_began_.reset();
    if (!error_) error_ = error;
    if (phase_ != Phase::Open) return;
    phase_ = Phase::Broken;
    deadline_ = now + linger_after_failure;
}

bool Link::flushed(Instant now, LinkActions& out) {
    if (!due_ || phase_ != Phase::Open) return false;
    if (*due_ == GoodbyeReason::Link) count(Counted::links_idle_closed, out);
    say_goodbye(*due_, {}, out);
    send_began_ = now;
    return true;
}

// --- the end

void Link::close(GoodbyeReason reason, std::string_view detail, Instant now, LinkActions& out) {
    if (phase_ == Phase::Lingering || phase_ == Phase::Ended) return;
    if (dials()) { // flushed() says it
        const bool yields = reason == GoodbyeReason::Stopping || reason == GoodbyeReason::Superseded;
        if (!due_ || !yields) due_ = reason;
        return;
    }
    if (due_) return;
    if (phase_ == Phase::Greeting) {
        phase_ = Phase::Lingering;
        deadline_.reset();
        out.emplace_back(action::CloseStream{How::Abort});
        return;
    }
    due_ = reason;
    due_detail_ = detail;
    if (phase_ == Phase::Replying) return; // replied() goes on from here
    say_goodbye(reason, detail, out);
    deadline_ = now + linger_max;
}

void Link::say_goodbye(GoodbyeReason reason, std::string_view detail, LinkActions& out) {
    phase_ = Phase::Lingering;
    closed_ = true;
    out.emplace_back(action::Write{goodbye_frame(reason, detail, about_.agreement)});
}

void Link::abort(LinkActions& out) {
    phase_ = Phase::Ended;
    deadline_.reset();
    out.emplace_back(action::CloseStream{How::Abort});
}

void Link::fail(Errc code, std::string_view advice, LinkActions& out) {
    if (code == Errc::no_memory) {
        count(Counted::links_no_memory, out);
        out.emplace_back(action::Log{
            LogLevel::Error, "transport.link.no_memory", {{"direction", std::string{direction()}}}});
    }
    error_ = Error{code, name(), std::string{advice}, {}};
    abort(out);
}

void Link::superseded(const UniqueAddress& by, Instant now, LinkActions& out) {
    count(Counted::links_superseded, out);
    out.emplace_back(action::Log{LogLevel::Info,
                                 "transport.link.superseded",
                                 {{"old", about_.peer.to_string()},
                                  {"new", by.to_string()},
                                  {"direction", std::string{direction()}}}});
    if (dials()) return fail(Errc::closed, "another incarnation answers at this address", out);
    close(GoodbyeReason::Superseded, "a later connection took over", now, out);
}

void Link::stream_ended(const std::optional<Error>& error, LinkActions& out) {
    if (phase_ == Phase::Ended) return;
    if (phase_ == Phase::Greeting && dials())
        return handshake_failed(error.value_or(Error{Errc::closed, name(), {}, {}}), out);
    if (!error_) error_ = error;
    // The other side reads no more: a send in flight would wait for nothing.
    if (dials() && phase_ != Phase::Lingering) return abort(out);
    if (phase_ != Phase::Lingering) phase_ = Phase::Ended;
    deadline_.reset();
}

void Link::time(Instant now, LinkActions& out) {
    if (deadline_ && now >= *deadline_) {
        deadline_.reset();
        if (phase_ == Phase::Claiming) return verdict(Verdict::Unanswered, std::nullopt, now, out);
        timed_out_ = phase_ == Phase::Greeting || phase_ == Phase::Replying;
        out.emplace_back(action::CloseStream{How::Abort});
        return;
    }
    if (dials()) {
        if (phase_ == Phase::Open || phase_ == Phase::Broken || closed_) check_silence(now, out);
    } else if (phase_ == Phase::Open) {
        about_.acquainted = node_.acquainted(about_.peer.address());
        check_frame(now, out);
    }
}

/// For the sending side.
void Link::check_silence(Instant now, LinkActions& out) {
    if (send_began_) {
        if (now - *send_began_ < limits_.half_open_timeout) return;
        error_ = Error{Errc::timed_out, name(), "nothing was acknowledged: the peer or the path is gone", {}};
        send_began_.reset();
        out.emplace_back(action::CloseStream{How::Abort});
        return;
    }
    if (phase_ == Phase::Open && !due_ && now - about_.last_sent >= limits_.idle_timeout)
        due_ = GoodbyeReason::Link;
}

/// For the receiving side: a frame that does not end, and a peer that would have closed an idle link long
/// ago.
void Link::check_frame(Instant now, LinkActions& out) {
    if (frame_began_ && now - *frame_began_ >= limits_.frame_timeout) {
        count(Counted::frames_timed_out, out);
        out.emplace_back(action::Log{LogLevel::Warning, "transport.link.frame_timed_out", {}});
        return close(GoodbyeReason::Overloaded, "a frame was not complete in time", now, out);
    }
    if (now - about_.last_received < std::max(3 * limits_.idle_timeout, limits_.half_open_timeout)) return;
    error_ = Error{Errc::timed_out, name(), "the peer fell silent without closing", {}};
    out.emplace_back(action::CloseStream{How::Abort});
}

std::optional<LinkEnd> Link::loss() const noexcept {
    if (!about_.was_open || said_ || closed_) return std::nullopt;
    return end_of(error_);
}

void Link::over(LinkActions& out) const {
    if (!about_.was_open) {
        if (dials() || phase_ == Phase::Lingering)
            return; // a dialler's handshake has told its outcome; a refusal was said
        count(timed_out_ ? Counted::handshakes_timed_out : Counted::handshakes_failed, out);
        out.emplace_back(
            action::Log{LogLevel::Warning,
                        timed_out_ ? "transport.handshake.timed_out" : "transport.handshake.failed",
                        {{"error", error_ ? error_->message() : std::string{}}, {"side", "acceptor"}}});
        return;
    }
    const auto lost = loss();
    if (!lost) {
        out.emplace_back(action::Report{about_.peer, said_ ? event_of(*said_) : LinkEvent::GoodbyeLink});
        return;
    }
    count(Counted::links_broken, out);
    LogFields fields{{"error", error_ ? error_->message() : "unknown"},
                     {"direction", std::string{direction()}}};
    const bool silent = *lost == LinkEnd::Silent && is_silence(*error_);
    if (silent) count(Counted::links_half_open, out);
    out.emplace_back(action::Log{silent ? LogLevel::Warning : LogLevel::Info,
                                 silent ? "transport.link.half_open" : "transport.link.broken",
                                 std::move(fields)});
    out.emplace_back(action::Report{about_.peer, event_of(*lost)});
}

} // namespace muster::transport
