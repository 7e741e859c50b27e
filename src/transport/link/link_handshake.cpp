// SPDX-License-Identifier: Apache-2.0
// The beginning of a connection: Hello, HelloReply, the proof of a claimed address.
#include "link.hpp"

#include <fmt/format.h>
#include <utility>

namespace muster::transport {

using Outcome = action::Shaken::Outcome;
using wire::GoodbyeReason;
using wire::RefusalReason;

// --- the side that accepted

void Link::accepted(std::string remote, Instant now) {
    remote_ = std::move(remote);
    about_.last_received = now;
    deadline_ = now + limits_.handshake_timeout;
}

/// Decides what to answer to the first frame.
void Link::judge_hello(const FrameReader::Frame& frame, LinkActions& out) {
    const Identity mine = node_.identity();
    const auto hello = read_hello(Slice{frame.body, frame.owner});
    if (!hello) {
        count(Counted::frames_malformed, out);
        return reply(refuse(mine, RefusalReason::Protocol, hello.error().message()), out);
    }
    about_.peer = hello->from;
    senders_ = SenderPaths{hello->from.address()};
    about_.lane = hello->lane;
    peer_is_newer_ = wire::is_newer(hello->offer(), mine.offer);
    // Also for the words of a refusal.
    about_.agreement = wire::agree(mine.offer, hello->offer()).value_or(wire::agreed_by_all);
    if (node_.stops()) return reply(refuse(mine, RefusalReason::Stopping, "this node shuts down"), out);
    about_.acquainted = node_.acquainted(hello->from.address());
    if (!about_.acquainted && !node_.has_place_for_stranger()) {
        count(Counted::accepts_strangers, out);
        return reply(refuse(mine, RefusalReason::Overloaded, "the places that are left are kept for members"),
                     out);
    }
    reply(answer_hello(mine, *hello, node_.quarantine_of(hello->from) != Quarantined::No), out);
}

void Link::reply(wire::HelloReply reply, LinkActions& out) {
    phase_ = Phase::Replying;
    if (auto* refused = std::get_if<wire::HelloRefused>(&reply.answer)) {
        refuses_ = true;
        count(Counted::handshakes_refused, out);
        out.emplace_back(
            action::Log{refused->reason == RefusalReason::Stopping ? LogLevel::Info : LogLevel::Warning,
                        "transport.handshake.refused",
                        {{"reason", wire::to_string(refused->reason)},
                         {"detail", refused->detail},
                         {"by", "this node"},
                         {"from", remote_},
                         {"side", "acceptor"}}});
        refused->reason = wire::said_to_peer(refused->reason, about_.agreement);
    }
    auto encoded = wire::encode_frame(std::move(reply), wire::frame_bytes_max_default);
    // A refusal whose words have no wire form is none: then there is nothing to wait for.
    if (!encoded) return abort(out);
    out.emplace_back(action::Write{std::move(*encoded)});
}

/// The peer has its answer. What may have to wait is believing it: nothing it says is looked at before the
/// address has answered. That the bytes stay where they are bounds them, and keeps their order.
void Link::replied(Instant now, LinkActions& out) {
    if (refuses_ || about_.lane == question_lane) { // on a connection that asks nothing else is said
        phase_ = Phase::Lingering;
        deadline_ = now + linger_max;
        if (refuses_) out.emplace_back(action::CloseStream{action::CloseStream::How::Graceful});
        return;
    }
    deadline_.reset();
    if (!node_.is_claimed(about_.peer)) return open(now, out);
    phase_ = Phase::Claiming;
    deadline_ = now + limits_.handshake_timeout;
    close_if_due(now, out);
    if (phase_ == Phase::Claiming) out.emplace_back(action::AskVerdict{});
}

void Link::verdict(Verdict verdict, const std::optional<UniqueAddress>& owner, Instant now,
                   LinkActions& out) {
    if (phase_ != Phase::Claiming) return; // it was not waited for
    deadline_.reset();
    if (verdict == Verdict::Owner) return open(now, out);
    Denial denial = denial_of(about_.peer, verdict, owner);
    count(denial.counted, out);
    out.emplace_back(std::move(denial.record));
    close(GoodbyeReason::Overloaded, denial.detail, now, out);
}

void Link::open(Instant now, LinkActions& out) {
    phase_ = Phase::Open;
    about_.was_open = true;
    about_.last_sent = now;
    count(Counted::handshakes_done, out);
    out.emplace_back(
        action::Log{LogLevel::Debug,
                    "transport.link.established",
                    {{"node", about_.peer.to_string()}, {"direction", std::string{direction()}}}});
    if (dials()) {
        out.emplace_back(action::Shaken{Outcome::Open, about_.peer});
        return; // what is due is said when it is flushed
    }
    out.emplace_back(action::Opened{});
    close_if_due(now, out);
}

/// Says the Goodbye that was asked for while the reply was on its way.
void Link::close_if_due(Instant now, LinkActions& out) {
    if (!due_) return;
    const GoodbyeReason reason = *std::exchange(due_, std::nullopt);
    close(reason, std::string{due_detail_}, now, out);
}

// --- the side that dialled

void Link::dialled(const Address& to, Instant deadline, LogLevel failure_level, LinkActions& out) {
    const Identity mine = node_.identity();
    dialled_ = to;
    self_ = mine.self;
    failure_level_ = failure_level;
    deadline_ = deadline;
    auto hello = wire::encode_frame(make_hello(mine, to), wire::frame_bytes_max_default);
    if (!hello) return handshake_failed(hello.error(), out);
    out.emplace_back(action::Write{std::move(*hello)});
}

void Link::judge_reply(const FrameReader::Frame& frame, Instant now, LinkActions& out) {
    const auto reply = read_reply(Slice{frame.body, frame.owner});
    if (!reply) {
        count(Counted::frames_malformed, out);
        return handshake_failed(reply.error(), out);
    }
    const Identity mine = node_.identity();
    deadline_.reset();
    // A refusal first: what differs is in it, in the peer's words.
    if (const auto* no = std::get_if<wire::HelloRefused>(&reply->answer)) return refused(*reply, *no, out);
    if (const auto wrong = check_reply(mine, dialled_, *reply)) {
        count(Counted::handshakes_refused, out);
        out.emplace_back(
            action::Log{LogLevel::Warning,
                        "transport.handshake.refused",
                        {{"reason", wrong->message()}, {"by", "this node"}, {"side", "dialler"}}});
        return leave(Outcome::RefusedForGood, GoodbyeReason::Protocol, wrong->message(), reply->from, out);
    }
    if (self_ != mine.self) // renewed meanwhile: that Hello was of another incarnation
        return leave(Outcome::Renewed, GoodbyeReason::Incarnation, {}, reply->from, out);
    if (const Quarantined here = node_.quarantine_of(reply->from); here != Quarantined::No)
        return leave(Outcome::Quarantined,
                     here == Quarantined::Harmless ? GoodbyeReason::Link : GoodbyeReason::Quarantined, {},
                     reply->from, out);
    about_.peer = reply->from;
    about_.agreement = agreement_of(mine, std::get<wire::HelloAccepted>(reply->answer));
    peer_is_newer_ = reply->version_max > mine.offer.version_max;
    open(now, out);
}

void Link::refused(const wire::HelloReply& reply, const wire::HelloRefused& refused, LinkActions& out) {
    phase_ = Phase::Ended;
    count(Counted::handshakes_refused, out);
    const RefusalReason reason = wire::meaning_of(refused.reason);
    const bool stops_too = reason == RefusalReason::Stopping;
    // Only for itself: an acceptor at one address must not speak for the node of another.
    const bool speaks_for_itself = reply.from.address() == dialled_;
    if (stops_too && speaks_for_itself) out.emplace_back(action::PeerStops{reply.from});
    out.emplace_back(action::Log{stops_too ? LogLevel::Info : LogLevel::Warning,
                                 "transport.handshake.refused",
                                 {{"reason", wire::to_string(refused.reason)},
                                  {"detail", refused.detail},
                                  {"by", reply.from.to_string()},
                                  {"side", "dialler"}}});
    out.emplace_back(action::Shaken{
        is_for_good(refused.reason) ? Outcome::RefusedForGood : Outcome::RefusedForNow, reply.from});
    if (reason == RefusalReason::Quarantined && speaks_for_itself &&
        reply.cluster_name == node_.identity().cluster_name)
        out.emplace_back(action::ReportQuarantinedBy{reply.from});
}

/// Nothing in an untrusted reply takes effect.
void Link::leave(Outcome outcome, GoodbyeReason reason, std::string_view detail, const UniqueAddress& peer,
                 LinkActions& out) {
    phase_ = Phase::Ended;
    out.emplace_back(action::Leave{goodbye_frame(reason, detail, wire::agreed_by_all)});
    out.emplace_back(action::Shaken{outcome, peer});
}

void Link::handshake_failed(const Error& error, LinkActions& out) {
    phase_ = Phase::Ended;
    deadline_.reset();
    const Error why = timed_out_ ? Error{Errc::timed_out, name(), "no reply to Hello in time", {}} : error;
    count(why == Errc::timed_out ? Counted::handshakes_timed_out : Counted::handshakes_failed, out);
    out.emplace_back(action::Log{
        failure_level_, "transport.handshake.failed", {{"error", why.message()}, {"side", "dialler"}}});
    out.emplace_back(action::Shaken{Outcome::Failed, {}});
}

} // namespace muster::transport
