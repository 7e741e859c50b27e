// SPDX-License-Identifier: Apache-2.0
#include "inbound.hpp"

#include "hub.hpp"
#include "link/link_end.hpp"
#include <algorithm>
#include <chrono>
#include <exception>
#include <fmt/format.h>
#include <new>
#include <utility>
#include <vector>

namespace muster::transport {
namespace {

/// Bytes of a foreign sender's path in the log.
constexpr std::size_t sender_logged_max = 200;
/// Between two looks whether there is memory for a frame.
constexpr std::chrono::milliseconds room_awaited{5};
/// A flood is said again after this.
constexpr std::chrono::seconds flood_said_every{10};
/// A RemoteTell's first byte: its variant index is one byte long.
constexpr std::byte tell_variant{static_cast<std::uint8_t>(wire::FrameKind::RemoteTell)};

} // namespace

InboundLink::InboundLink(Hub& hub, std::unique_ptr<net::Connection> connection)
    : hub_(hub), connection_(std::move(connection)),
      reader_(hub.options.unauthenticated_bytes_max, &hub.assembly), received_(hub.now()) {}

InboundLink::~InboundLink() = default;

/// Whatever the peer calls itself, the rate limit of the log goes by where it comes from.
LogPeer InboundLink::peer_text() const {
    std::string remote = connection_->remote().to_string();
    if (peer_.is_unknown()) return remote;
    return {peer_.address().to_string(), remote};
}

net::Task<void> InboundLink::run(std::shared_ptr<InboundLink> keep, std::shared_ptr<Hub> hub) {
    deadline_ =
        std::make_unique<AbortAt>(hub->runtime, hub->now() + hub->options.handshake_timeout, connection_);
    budget_.begin(received_, 0);
    bool out_of_memory = false;
    try {
        co_await receive_until_end();
    } catch (const std::bad_alloc&) {
        out_of_memory = true;
    }
    if (out_of_memory) this->out_of_memory();
    ended();
    hub->acceptor().ended(*keep);
}

net::Task<void> InboundLink::receive_until_end() {
    for (;;) {
        Slice bytes;
        if (budget_.spent()) {
            co_await hub_.turns.next();
            budget_.begin(hub_.now(), hub_.turns.waiting());
            if (hub_.cancelled()) co_return;
        }
        if (!connection_->try_receive(bytes)) {
            const Turns::PartialHold hold{hub_.turns, reader_};
            let_go_of_buffer();
            auto received = co_await connection_->receive();
            if (!received) {
                if (!error_) error_ = received.error();
                co_return;
            }
            bytes = std::move(*received);
            budget_.begin(hub_.now(), hub_.turns.waiting());
        }
        hub_.counters.bytes_received.add(bytes.size());
        budget_.received(bytes.size());
        if (hub_.cancelled()) {
            discard(std::move(bytes));
            co_return;
        }
        if (phase_ == Phase::Closing) {
            discard(std::move(bytes));
            continue;
        }
        received_ = hub_.now();
        reader_.feed(std::move(bytes));
        for (Step step = take_frames(); step != Step::More; step = take_frames()) {
            if (step == Step::Greeted) {
                if (!co_await reply()) co_return;
                continue;
            }
            if (step == Step::NoRoom)
                co_await hub_.runtime.sleep_for(room_awaited);
            else
                co_await hub_.turns.next();
            budget_.begin(hub_.now(), hub_.turns.waiting());
            if (hub_.cancelled()) co_return;
        }
    }
}

InboundLink::Step InboundLink::take_frames() {
    FrameReader::Frame frame;
    FrameReader::Next next = FrameReader::Next::NeedMore;
    const std::shared_ptr<RemoteMessageSink> keep = hub_.sink; // it may destroy the transport that holds it
    const auto clock = [this] { return hub_.now(); };
    std::uint64_t tells = 0;
    std::uint64_t frames = 0;
    Step step = Step::More;
    while (phase_ != Phase::Closing && (next = reader_.next(frame)) == FrameReader::Next::Frame) {
        if (phase_ == Phase::Greeting) {
            reply_ = greet(frame);
            step = Step::Greeted;
            break;
        }
        ++frames;
        Tell tell;
        if (!frame.body.empty() && frame.body.front() == tell_variant && wire::parse_tell(frame.body, tell))
            [[likely]] {
            if (tell.sender_path && !senders_.allow(*tell.sender_path)) [[unlikely]] {
                hub_.counters.tells_foreign_sender.add();
                drop_foreign("RemoteTell", *tell.sender_path);
                budget_.frame(TurnBudget::Cost::Heavy, clock);
            } else {
                tells += deliver(tell, frame) ? 1 : 0;
                budget_.frame(TurnBudget::Cost::Light, clock);
            }
        } else {
            if (!on_rare_frame(frame)) break;
            budget_.frame(TurnBudget::Cost::Heavy, clock);
        }
        if (budget_.late()) [[unlikely]] {
            step = Step::Late;
            break;
        }
    }
    if (tells) hub_.counters.tells_delivered.add(tells);
    // Of the last frame, once those before it are taken.
    if (!reader_.mid_frame() || frames != 0) frame_began_.reset();
    if (reader_.mid_frame() && !frame_began_) frame_began_ = received_;
    if (next == FrameReader::Next::NoRoom) {
        no_room();
        return phase_ == Phase::Open ? Step::NoRoom : Step::More;
    }
    if (next != FrameReader::Next::TooLarge) return step;
    hub_.counters.frames_too_large.add();
    unreadable_ = true;
    malformed(fmt::format("frame of {} bytes, {} are allowed", reader_.claimed(), reader_.frame_bytes_max()));
    return phase_ == Phase::Replying ? Step::Greeted : Step::More;
}

// --- handshake

/// What to answer to the first frame.
wire::HelloReply InboundLink::greet(const FrameReader::Frame& frame) {
    phase_ = Phase::Replying;
    const Identity mine = hub_.identity.get();
    auto decoded = wire::decode_frame(Slice{frame.body, frame.owner}, {.peer_is_newer = true});
    const auto* hello = decoded ? std::get_if<wire::Hello>(&*decoded) : nullptr;
    if (!hello) {
        hub_.counters.frames_malformed.add();
        return refuse(mine, wire::RefusalReason::Protocol,
                      decoded ? "the first frame is no Hello" : decoded.error().message());
    }
    peer_ = hello->from;
    senders_ = SenderPaths{peer_.address()};
    lane_ = hello->lane;
    peer_is_newer_ = wire::is_newer(hello->offer(), mine.offer);
    // Also for the words of a refusal.
    agreement_ = wire::agree(mine.offer, hello->offer()).value_or(wire::agreed_by_all);
    if (hub_.stopping) return refuse(mine, wire::RefusalReason::Stopping, "this node shuts down");
    set_acquainted(hub_.reporter.acquainted(peer_.address()));
    if (!acquainted_ && !hub_.acceptor().has_place_for_stranger()) {
        hub_.counters.accepts_strangers.add();
        return refuse(mine, wire::RefusalReason::Overloaded, "the places that are left are kept for members");
    }
    return answer_hello(mine, *hello, hub_.quarantine_of(hello->from) != Quarantined::No);
}

/// Sends reply_. False when the connection is lost.
net::Task<bool> InboundLink::reply() {
    auto* refused = std::get_if<wire::HelloRefused>(&reply_.answer);
    if (refused) {
        hub_.counters.handshakes_refused.add();
        const bool stopping = refused->reason == wire::RefusalReason::Stopping;
        hub_.log().write(stopping ? LogLevel::Info : LogLevel::Warning, "transport.handshake.refused",
                         peer_text(),
                         {{"reason", wire::to_string(refused->reason)},
                          {"detail", refused->detail},
                          {"by", "this node"},
                          {"from", connection_->remote().to_string()},
                          {"side", "acceptor"}});
        refused->reason = wire::said_to_peer(refused->reason, agreement_);
    }
    auto encoded = wire::encode_frame(std::move(reply_), wire::frame_bytes_max_default);
    if (encoded) {
        const std::vector<Slice> parts{std::move(*encoded)};
        auto sent = co_await connection_->send(parts);
        if (!sent) {
            error_ = sent.error();
            co_return false;
        }
    }
    if (refused) {
        phase_ = Phase::Closing;
        connection_->close(net::Close::Graceful);
        begin_linger();
        co_return true;
    }
    if (lane_ == question_lane) { // answered: nothing else is said on such a connection
        phase_ = Phase::Closing;
        begin_linger();
        co_return true;
    }
    deadline_.reset();
    if (hub_.claims().is_claimed(peer_)) co_await await_verdict();
    if (hub_.cancelled()) co_return false;
    if (claim_ && claim_->verdict != Verdict::Owner) {
        turned_away();
        co_return true;
    }
    reader_.set_frame_bytes_max(hub_.options.frame_bytes_max);
    phase_ = Phase::Open;
    was_open_ = true;
    hub_.counters.inbound.add(1);
    hub_.inbound_established(*this);
    if (closing_) { // asked for while the reply was on its way
        const wire::GoodbyeReason reason = *std::exchange(closing_, std::nullopt);
        close(reason, closing_detail_);
    }
    co_return true;
}

/// The peer has its answer; what waits is believing it: nothing it says is looked at before the address has
/// answered. That the bytes stay where they are bounds them, and keeps their order.
net::Task<void> InboundLink::await_verdict() {
    claim_ = std::make_shared<PendingClaim>(hub_.runtime);
    auto done = [claim = claim_](Verdict verdict, const std::optional<UniqueAddress>& owner) {
        claim->verdict = verdict;
        claim->owner = owner;
        claim->settled.notify();
    };
    hub_.claims().settle(peer_, std::move(done));
    const Instant deadline = hub_.now() + hub_.options.handshake_timeout;
    while (!claim_->verdict && !closing_ && !hub_.cancelled()) {
        auto woken = co_await claim_->settled.wait_until(deadline);
        if (!woken) break;
    }
}

void InboundLink::turned_away() {
    phase_ = Phase::Open; // close() has something to say then
    if (closing_) {
        const wire::GoodbyeReason reason = *std::exchange(closing_, std::nullopt);
        close(reason, std::string{closing_detail_});
        return;
    }
    close(wire::GoodbyeReason::Overloaded,
          hub_.claims().denial(peer_, claim_->verdict.value_or(Verdict::Unanswered), claim_->owner));
}

// --- frames

/// Whether the sink took it.
bool InboundLink::deliver(const Tell& tell, const FrameReader::Frame& frame) {
    if (!frame.in_place || !frame.owner)
        return hand_over(tell, frame.owner ? Slice{tell.payload, frame.owner} : Slice::copy_of(tell.payload));
    if (!hold_ || hold_->source() != frame.owner) [[unlikely]]
        hold(*frame.owner);
    if (hub_.retained->exhausted()) [[unlikely]] {
        hub_.counters.tells_copied.add();
        return hand_over(tell, Slice::copy_of(tell.payload));
    }
    view_.view(tell.payload);
    return hand_over(tell, view_);
}

bool InboundLink::hand_over(const Tell& tell, const Slice& payload) {
    RemoteMessageSink* const sink = hub_.sink.get();
    if (!sink) {
        hub_.counters.tells_no_sink.add();
        return false;
    }
    try {
        sink->deliver(tell.target_path, tell.manifest, payload, tell.sender_path);
        return true;
    } catch (const std::exception& e) {
        hub_.counters.tells_sink_failed.add();
        hub_.log().error("transport.sink.failed", peer_text(),
                         {{"target", std::string{tell.target_path}}, {"error", e.what()}});
    } catch (...) {
        hub_.counters.tells_sink_failed.add();
        hub_.log().error("transport.sink.failed", peer_text(), {{"target", std::string{tell.target_path}}});
    }
    return false;
}

/// What comes on a link that ends is not acted on, but counted: its sender took it for sent.
void InboundLink::discard(Slice bytes) {
    discard_frames();
    if (unreadable_ || !was_open_) {
        hub_.counters.bytes_discarded.add(bytes.size());
        return;
    }
    reader_.feed(std::move(bytes));
    discard_frames();
}

void InboundLink::discard_frames() {
    if (unreadable_ || !was_open_) return;
    FrameReader::Frame frame;
    FrameReader::Next next = FrameReader::Next::NeedMore;
    while ((next = reader_.next(frame)) == FrameReader::Next::Frame) {
        const std::uint32_t variant = wire::frame_variant(frame.body).value_or(wire::frame_number_end);
        if (variant == static_cast<std::uint32_t>(wire::FrameKind::RemoteTell))
            hub_.counters.tells_closing.add();
        else if (variant != static_cast<std::uint32_t>(wire::FrameKind::Goodbye))
            hub_.counters.messages_closing.add();
    }
    unreadable_ = next != FrameReader::Next::NeedMore;
}

void InboundLink::hold(Buffer& source) {
    if (hold_ && hold_->repoint(&source)) return;
    drop_hold();
    hold_ = ReceiveHold::create(hub_.retained, source);
    view_ = Slice::adopt(hold_, {});
}

/// Before a wait: the hold stays for the next buffer unless somebody holds it.
void InboundLink::let_go_of_buffer() noexcept {
    if (hold_ && !hold_->repoint(nullptr)) drop_hold();
}

/// Who retained a payload keeps the buffer, counted.
void InboundLink::drop_hold() noexcept {
    if (!hold_) return;
    hold_->charge();
    hold_ = nullptr;
    view_ = Slice{};
}

/// Whether the peer asks for more answers than anybody who is well. What is above the rate is not even
/// decoded.
bool InboundLink::asks_too_often(const FrameReader::Frame& frame) {
    const auto kind = AnswerRate::kind_of(wire::frame_variant(frame.body).value_or(0));
    if (!kind || answers_.admit(*kind, received_)) return false;
    hub_.counters.messages_rate.add();
    if (!flood_said_ || received_ - *flood_said_ >= flood_said_every) {
        flood_said_ = received_;
        hub_.log().warning("transport.link.flood", peer_text(),
                           {{"from", connection_->remote().to_string()}});
    }
    return true;
}

/// Anything but a well-formed tell. False when nothing behind it is to be looked at.
bool InboundLink::on_rare_frame(const FrameReader::Frame& frame) {
    if (asks_too_often(frame)) return true;
    bool rest_skipped = false;
    auto decoded = wire::decode_frame(Slice{frame.body, frame.owner}, {.peer_is_newer = peer_is_newer_,
                                                                       .interner = &hub_.interner,
                                                                       .agreement = agreement_,
                                                                       .rest_skipped = &rest_skipped});
    if (rest_skipped) hub_.counters.frames_rest.add();
    if (!decoded) {
        hub_.counters.frames_malformed.add();
        malformed(decoded.error().message());
        return false;
    }
    if (auto* message = std::get_if<ClusterMessage>(&*decoded)) {
        hub_.counters.messages_received.add();
        if (!is_made_by(peer_, *message)) {
            hub_.counters.frames_foreign.add();
            drop_foreign(name_of(*message), {});
            return true;
        }
        if (hub_.reporter.handler())
            hub_.reporter.handler()->on_message(peer_, std::move(*message), received_);
        else
            hub_.counters.messages_shutdown.add();
        return true;
    }
    if (const auto* goodbye = std::get_if<wire::Goodbye>(&*decoded)) {
        on_goodbye(*goodbye);
        return false;
    }
    if (std::holds_alternative<wire::UnknownFrame>(*decoded)) {
        hub_.counters.frames_unknown.add();
        return true;
    }
    if (std::holds_alternative<wire::reference::GossipPdu>(*decoded)) {
        // The reference's gossip names no incarnation: nothing here can use it.
        hub_.counters.frames_foreign.add();
        return true;
    }
    hub_.counters.frames_malformed.add();
    malformed(std::holds_alternative<wire::Hello>(*decoded)
                  ? "a second Hello"
                  : fmt::format("a frame that was not agreed upon, variant {}",
                                wire::frame_variant(frame.body).value_or(0)));
    return false;
}

/// In the name of somebody who is not at the other end. The link stays: all else of it is judged by itself.
void InboundLink::drop_foreign(std::string_view frame, std::string_view sender) {
    hub_.log().warning("transport.frame.foreign", peer_text(),
                       {{"frame", std::string{frame}},
                        {"sender", std::string{sender.substr(0, sender_logged_max)}},
                        {"peer", peer_.to_string()},
                        {"from", connection_->remote().to_string()}});
}

void InboundLink::on_goodbye(const wire::Goodbye& goodbye) {
    said_ = goodbye.reason;
    if (goodbye.reason == wire::GoodbyeReason::Stopping) hub_.stops(peer_);
    hub_.log().write(
        is_noteworthy(goodbye.reason) ? LogLevel::Warning : LogLevel::Debug, "transport.link.goodbye",
        peer_text(),
        {{"reason", wire::to_string(goodbye.reason)}, {"detail", goodbye.detail}, {"direction", "inbound"}});
    phase_ = Phase::Closing;
    connection_->close(net::Close::Graceful);
    // Goodbye{quarantined} ends the link and nothing else: whoever opens a connection may call itself
    // anybody. A peer that means it says it on a connection that this node dialled as well, or refuses the
    // next one.
    begin_linger();
}

void InboundLink::set_acquainted(bool acquainted) {
    acquainted_ = acquainted;
    reader_.set_acquainted(acquainted);
}

/// All memory for unfinished frames is in use. A member waits until frame_timeout; a stranger may come again.
void InboundLink::no_room() {
    set_acquainted(hub_.reporter.acquainted(peer_.address()));
    if (acquainted_) {
        hub_.counters.frames_waited.add();
        return;
    }
    hub_.counters.frames_no_room.add();
    hub_.log().warning(
        "transport.link.no_room", peer_text(),
        {{"bytes", fmt::to_string(reader_.claimed())}, {"in_use", fmt::to_string(hub_.assembly.bytes())}});
    close(wire::GoodbyeReason::Overloaded, "too many unfinished frames");
}

/// What a peer's bytes asked for ends with its link, not with the process.
void InboundLink::out_of_memory() {
    hub_.counters.links_no_memory.add();
    hub_.log().error("transport.link.no_memory", peer_text(), {{"direction", "inbound"}});
    error_ = Error{Errc::no_memory, peer_text(), {}, {}};
    connection_->close(net::Close::Abort);
}

void InboundLink::malformed(std::string detail) {
    if (phase_ == Phase::Greeting) {
        phase_ = Phase::Replying;
        reply_ = refuse(hub_.identity.get(), wire::RefusalReason::Protocol, std::move(detail));
        return;
    }
    hub_.log().warning("transport.link.malformed", peer_text(),
                       {{"detail", detail}, {"direction", "inbound"}});
    close(wire::GoodbyeReason::Protocol, detail);
}

// --- the end

void InboundLink::close(wire::GoodbyeReason reason, std::string_view detail) {
    if (phase_ == Phase::Closing || closing_) return;
    if (phase_ == Phase::Greeting) {
        phase_ = Phase::Closing;
        connection_->close(net::Close::Abort);
        return;
    }
    closing_ = reason;
    closing_detail_ = detail;
    if (claim_) claim_->settled.notify();
    if (phase_ == Phase::Replying) return; // reply() goes on from here
    phase_ = Phase::Closing;
    begin_linger();
    hub_.tasks.spawn(say_goodbye(shared_from_this(), hub_.shared_from_this()));
}

net::Task<void> InboundLink::say_goodbye(std::shared_ptr<InboundLink> keep, std::shared_ptr<Hub> hub) {
    const std::vector<Slice> parts{goodbye_frame(*keep->closing_, keep->closing_detail_, keep->agreement_)};
    co_await keep->connection_->send(parts);
    keep->connection_->close(net::Close::Graceful);
}

void InboundLink::begin_linger() {
    deadline_ = std::make_unique<AbortAt>(hub_.runtime, hub_.now() + linger_max, connection_);
}

void InboundLink::sweep(Instant now) {
    const auto& options = hub_.options;
    const Duration silence_max =
        std::max<Duration>(3 * options.association_idle_timeout, options.half_open_timeout);
    if (phase_ != Phase::Open) return;
    set_acquainted(hub_.reporter.acquainted(peer_.address()));
    if (frame_began_ && now - *frame_began_ >= options.frame_timeout) {
        hub_.counters.frames_timed_out.add();
        hub_.log().warning("transport.link.frame_timed_out", peer_text());
        close(wire::GoodbyeReason::Overloaded, "a frame was not complete in time");
        return;
    }
    if (now - received_ >= std::chrono::seconds{1}) reader_.trim();
    if (now - received_ < silence_max) return;
    error_ = Error{Errc::timed_out, peer_text(), "the peer fell silent without closing", {}};
    connection_->close(net::Close::Abort);
}

void InboundLink::ended() {
    const bool timed_out = !was_open_ && deadline_ && deadline_->expired() && phase_ != Phase::Closing;
    deadline_.reset();
    discard_frames();
    drop_hold();
    if (was_open_) hub_.counters.inbound.add(-1);
    if (hub_.cancelled()) return;
    const std::string why = error_ ? error_->message() : std::string{};
    if (!was_open_) {
        if (phase_ == Phase::Closing) return; // refused, and said so
        (timed_out ? hub_.counters.handshakes_timed_out : hub_.counters.handshakes_failed).add();
        hub_.log().warning(timed_out ? "transport.handshake.timed_out" : "transport.handshake.failed",
                           peer_text(), {{"error", why}, {"side", "acceptor"}});
        return;
    }
    if (said_ || closing_) {
        hub_.reporter.link(peer_, said_ ? event_of(*said_) : LinkEvent::GoodbyeLink);
        return;
    }
    const LinkEnd end = end_of(error_);
    hub_.reporter.link_lost(end, peer_text(), error_, "inbound");
    hub_.reporter.link(peer_, event_of(end));
}

} // namespace muster::transport
