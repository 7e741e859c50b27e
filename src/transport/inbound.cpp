// SPDX-License-Identifier: Apache-2.0
#include "inbound.hpp"

#include "hub.hpp"
#include <chrono>
#include <exception>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace muster::transport {
namespace {

/// Between two looks whether there is memory for a frame.
constexpr std::chrono::milliseconds room_awaited{5};
/// Without bytes for that long the memory kept for the next large frame is returned.
constexpr std::chrono::seconds memory_kept_for{1};
/// A RemoteTell's first byte: its variant index is one byte long.
constexpr std::byte tell_variant{static_cast<std::uint8_t>(wire::FrameKind::RemoteTell)};

} // namespace

// --- tells

void TellDelivery::hold(Buffer& source) {
    if (hold_ && hold_->repoint(&source)) return;
    drop_hold();
    hold_ = ReceiveHold::create(context_.retained, source);
    view_ = Slice::adopt(hold_, {});
}

/// A sink that retained a payload keeps the buffer, which is counted.
void TellDelivery::drop_hold() noexcept {
    if (!hold_) return;
    hold_->charge();
    hold_ = nullptr;
    view_ = Slice{};
}

/// While its exception is handled.
void TellDelivery::sink_failed(const Tell& tell, LogPeer peer) {
    context_.counters.tells_sink_failed.add();
    LogFields fields{{"target", std::string{tell.target_path}}};
    try {
        throw;
    } catch (const std::exception& e) {
        fields.push_back({"error", e.what()});
    } catch (...) { // nothing is known of it
    }
    context_.log().error("transport.sink.failed", std::move(peer), std::move(fields));
}

// --- the connection

InboundLink::InboundLink(Hub& hub, std::unique_ptr<net::Connection> connection)
    : hub_(hub), connection_(std::move(connection)),
      reader_(hub.options.unauthenticated_bytes_max, &hub.assembly),
      link_(Link::Role::Acceptor, hub.link_limits, hub.view()), timer_(hub.runtime,
                                                                       [this] {
                                                                           LinkActions actions;
                                                                           link_.time(hub_.now(), actions);
                                                                           carry_out(std::move(actions));
                                                                       }),
      tells_(hub) {
    link_.accepted(connection_->remote().to_string(), hub.now());
}

InboundLink::~InboundLink() = default;

/// Whatever the peer calls itself, the rate limit of the log goes by where it comes from.
LogPeer InboundLink::peer_text() const {
    std::string remote = connection_->remote().to_string();
    if (peer().is_unknown()) return remote;
    return {peer().address().to_string(), remote};
}

net::Task<void> InboundLink::run(std::shared_ptr<InboundLink> keep, std::shared_ptr<Hub> hub) {
    carry_out({}); // the deadline
    budget_.begin(link_.about().last_received, 0);
    bool out_of_memory = false;
    try {
        co_await receive_until_end();
    } catch (const std::bad_alloc&) {
        out_of_memory = true;
    }
    if (out_of_memory) {
        LinkActions actions;
        link_.fail(Errc::no_memory, {}, actions);
        carry_out(std::move(actions));
    }
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
            tells_.let_go_of_buffer();
            auto received = co_await connection_->receive();
            if (!received) {
                LinkActions actions;
                link_.stream_ended(received.error(), actions);
                carry_out(std::move(actions));
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
        if (!takes_frames()) {
            discard(std::move(bytes));
            continue;
        }
        link_.received(hub_.now());
        reader_.feed(std::move(bytes));
        for (Step step = take_frames(); step != Step::More; step = take_frames()) {
            if (step == Step::Greeted) {
                co_await finish_handshake();
                if (hub_.cancelled() || link_.phase() == Link::Phase::Ended) co_return;
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

/// Sends the reply, and waits for what has to be known before the peer is believed.
net::Task<void> InboundLink::finish_handshake() {
    Slice reply = std::exchange(reply_, Slice{});
    auto sent = write(shared_from_this(), hub_.shared_from_this(), std::move(reply));
    co_await std::move(sent);
    while (link_.phase() == Link::Phase::Claiming && !hub_.cancelled()) co_await settled_->wait();
}

net::Task<void> InboundLink::write(std::shared_ptr<InboundLink> /*keep*/, std::shared_ptr<Hub> hub,
                                   Slice bytes) {
    const std::vector<Slice> parts{std::move(bytes)};
    auto sent = co_await connection_->send(parts);
    LinkActions actions;
    link_.written(sent, hub->now(), actions);
    carry_out(std::move(actions));
}

// --- frames

InboundLink::Step InboundLink::take_frames() {
    FrameReader::Frame frame;
    FrameReader::Next next = FrameReader::Next::NeedMore;
    const std::shared_ptr<RemoteMessageSink> keep = hub_.sink; // it may destroy the transport that holds it
    const auto clock = [this] { return hub_.now(); };
    const auto peer = [this] { return peer_text(); };
    LinkActions actions;
    std::uint64_t tells = 0;
    bool any = false;
    bool late = false;
    while (takes_frames() && (next = reader_.next(frame)) == FrameReader::Next::Frame) {
        Tell tell;
        if (!frame.body.empty() && frame.body.front() == tell_variant && link_.is_open() &&
            wire::parse_tell(frame.body, tell) && link_.admits(tell)) [[likely]] {
            tells += tells_.deliver(tell, frame, peer) ? 1 : 0;
            budget_.frame(TurnBudget::Cost::Light, clock);
        } else {
            actions.clear();
            const bool goes_on = link_.frame(frame, hub_.now(), actions);
            carry_out(std::move(actions));
            if (!goes_on) break;
            budget_.frame(TurnBudget::Cost::Heavy, clock);
        }
        any = true;
        if (budget_.late()) [[unlikely]] {
            late = true;
            break;
        }
    }
    if (tells) hub_.counters.tells_delivered.add(tells);
    const Step step = after_frames(next, any);
    return step == Step::More && late ? Step::Late : step;
}

/// `next`: what the reader said last; `any`: it had a frame of the open link.
InboundLink::Step InboundLink::after_frames(FrameReader::Next next, bool any) {
    link_.frames_taken(any, reader_.mid_frame());
    const bool no_room = next == FrameReader::Next::NoRoom;
    if (no_room || next == FrameReader::Next::TooLarge) {
        LinkActions actions;
        link_.stuck(next, reader_.claimed(), no_room ? hub_.assembly.bytes() : reader_.frame_bytes_max(),
                    hub_.now(), actions);
        carry_out(std::move(actions));
        if (no_room && link_.is_open()) return Step::NoRoom;
    }
    return link_.phase() == Link::Phase::Replying ? Step::Greeted : Step::More;
}

/// Frames on a link that ends are not acted on, but counted: their sender took them for sent.
void InboundLink::discard(Slice bytes) {
    discard_frames();
    if (!can_be_cut()) {
        hub_.counters.bytes_discarded.add(bytes.size());
        return;
    }
    reader_.feed(std::move(bytes));
    discard_frames();
}

void InboundLink::discard_frames() {
    if (!can_be_cut()) return;
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

// --- the value's wishes

void InboundLink::carry_out(LinkActions&& actions) {
    const auto text = [this] { return peer_text(); };
    struct Carrier : NodeCarrier<decltype(text)> {
        InboundLink& self;
        using NodeCarrier<decltype(text)>::operator();
        void operator()(action::PeerStops& a) const { self.hub_.stops(a.peer); }
        void operator()(action::Write& a) const {
            if (self.link_.phase() == Link::Phase::Replying) { // run() sends it, and waits for that
                self.reply_ = std::move(a.bytes);
                return;
            }
            self.hub_.tasks.spawn(
                self.write(self.shared_from_this(), self.hub_.shared_from_this(), std::move(a.bytes)));
        }
        void operator()(action::CloseStream& a) const { self.connection_->close(how_of(a)); }
        void operator()(action::Deliver& a) const {
            if (TransportHandler* const handler = context.reporter.handler())
                handler->on_message(self.peer(), std::move(a.message), self.link_.about().last_received);
            else
                context.counters.messages_shutdown.add();
        }
        void operator()(action::Opened&) const {
            self.reader_.set_frame_bytes_max(context.options.frame_bytes_max);
            context.counters.inbound.add(1);
            self.hub_.inbound_established(self);
        }
        void operator()(action::AskVerdict&) const { self.ask_verdict(); }
        // Only a dialled link says these.
        void operator()(action::Shaken&) const {}
        void operator()(action::Leave&) const {}
    };
    const Carrier carrier{{hub_, text}, *this};
    for (LinkAction& action : actions) std::visit(carrier, action);
    reader_.set_acquainted(acquainted());
    timer_.set(link_.deadline());
    if (settled_ && link_.phase() != Link::Phase::Claiming) settled_->notify();
}

void InboundLink::ask_verdict() {
    settled_ = std::make_unique<net::Notifier>(hub_.runtime);
    auto done = [weak = weak_from_this()](Verdict verdict, const std::optional<UniqueAddress>& owner) {
        const auto self = weak.lock();
        if (!self) return;
        LinkActions actions;
        self->link_.verdict(verdict, owner, self->hub_.now(), actions);
        self->carry_out(std::move(actions));
    };
    hub_.claims().settle(peer(), std::move(done));
}

void InboundLink::close(wire::GoodbyeReason reason, std::string_view detail) {
    LinkActions actions;
    link_.close(reason, detail, hub_.now(), actions);
    carry_out(std::move(actions));
}

void InboundLink::superseded(const UniqueAddress& by) {
    LinkActions actions;
    link_.superseded(by, hub_.now(), actions);
    carry_out(std::move(actions));
}

void InboundLink::sweep(Instant now) {
    LinkActions actions;
    link_.time(now, actions);
    carry_out(std::move(actions));
    if (link_.is_open() && now - link_.about().last_received >= memory_kept_for) reader_.trim();
}

void InboundLink::ended() {
    timer_.set(std::nullopt);
    discard_frames();
    tells_.drop_hold();
    if (link_.about().was_open) hub_.counters.inbound.add(-1);
    if (hub_.cancelled()) return;
    LinkActions actions;
    link_.over(actions);
    carry_out(std::move(actions));
}

} // namespace muster::transport
