// SPDX-License-Identifier: Apache-2.0
#include "association.hpp"

#include "base/mutants.hpp"
#include "hub.hpp"
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <utility>

namespace muster::transport {
namespace {

/// After the last send: then the chunk goes back to the pool.
constexpr std::chrono::seconds memory_kept_for{1};
/// A membership message that could not be written within gossip-time-to-live (protocol.md §6.1) is stale.
constexpr std::chrono::milliseconds message_ttl{2000};

Outbox::Limits limits_of(const TcpTransportOptions& options) {
    return {options.association_bytes_max, options.waiting_tells_max, options.waiting_bytes_max};
}

} // namespace

Association::Association(const std::shared_ptr<Hub>& hub, Address address)
    : address_(std::move(address)), weak_hub_(hub), hub_(hub.get()), lifeline_(hub->lifeline),
      frame_bytes_max_(hub->options.frame_bytes_max), outbox_(hub->runtime.chunks(), limits_of(hub->options)),
      messages_(hub->options.membership_queue_max) {}

Association::~Association() = default;

// --- any thread

TellResult Association::tell(const Tell& tell) {
    const std::size_t bytes = wire::tell_frame_bytes(tell);
    if (!wire::tell_is_sendable(tell, frame_bytes_max_)) [[unlikely]] {
        const bool large = bytes - wire::frame_header_bytes > frame_bytes_max_;
        lifeline_->use([&](net::Runtime&, Counters& c) {
            (large ? c.tells_refused_too_large : c.tells_refused_not_utf8).add();
        });
        return large ? TellResult::TooLarge : TellResult::NoRoute;
    }
    if (bytes <= Outbox::whole_bytes_max) [[likely]]
        return answer(outbox_.put(bytes, [&](std::byte* out) { wire::write_tell(out, tell, bytes); }));
    return answer(tell_large(tell, bytes));
}

Outbox::Put Association::tell_large(const Tell& tell, std::size_t bytes) {
    std::array<std::byte, 1024> head;
    std::array<std::byte, 1024> tail;
    const std::size_t head_bytes = wire::tell_head_bytes(tell);
    const std::size_t tail_bytes = wire::tell_tail_bytes(tell);
    if (bytes <= Outbox::chunked_bytes_max && head_bytes <= head.size() && tail_bytes <= tail.size()) {
        wire::write_tell_head(head.data(), tell, bytes);
        wire::write_tell_tail(tail.data(), tell);
        const std::array<std::span<const std::byte>, 3> parts{std::span{head}.first(head_bytes), tell.payload,
                                                              std::span{tail}.first(tail_bytes)};
        return outbox_.put(parts);
    }
    if (const Outbox::Put room = outbox_.probe(bytes); room != Outbox::Put::Queued) return room;
    Buffer* buffer = Buffer::allocate(bytes);
    wire::write_tell(buffer->data(), tell, bytes);
    return outbox_.put(Slice::adopt(buffer, {buffer->data(), bytes}));
}

TellResult Association::answer(Outbox::Put put) {
    switch (put) {
    case Outbox::Put::Queued: return TellResult::Queued;
    case Outbox::Put::Wake: wake_runner(); return TellResult::Queued;
    case Outbox::Put::Full:
        lifeline_->use([](net::Runtime&, Counters& c) { c.tells_refused_full.add(); });
        return TellResult::Full;
    case Outbox::Put::Closed:
        lifeline_->use([](net::Runtime&, Counters& c) { c.tells_refused_no_route.add(); });
        return TellResult::NoRoute;
    }
    return TellResult::NoRoute;
}

void Association::tell_when_room(const Tell& tell, UniqueFunction<void(TellResult)> done) {
    const std::size_t bytes = wire::tell_frame_bytes(tell);
    TellResult refused = TellResult::NoRoute;
    if (wire::tell_is_sendable(tell, frame_bytes_max_)) {
        Buffer* buffer = Buffer::allocate(bytes);
        wire::write_tell(buffer->data(), tell, bytes);
        const Outbox::Put put = outbox_.put_when_room(Slice::adopt(buffer, {buffer->data(), bytes}), done);
        refused = answer(put);
        if (refused == TellResult::Queued) { // `done` is called when it really is
            if (!has_link_.load(std::memory_order_relaxed)) grant_without_link();
            return;
        }
    } else {
        const bool large = bytes - wire::frame_header_bytes > frame_bytes_max_;
        if (large) refused = TellResult::TooLarge;
        lifeline_->use([&](net::Runtime&, Counters& c) {
            (large ? c.tells_refused_too_large : c.tells_refused_not_utf8).add();
        });
    }
    lifeline_->use([&](net::Runtime& runtime, Counters&) {
        runtime.post([done = std::move(done), refused]() mutable { done(refused); });
    });
}

/// While there is no link nobody looks after what the outbox has granted at once.
void Association::grant_without_link() {
    lifeline_->use([&](net::Runtime& runtime, Counters&) {
        runtime.post([self = shared_from_this()] {
            const std::shared_ptr<Hub> hub = self->weak_hub_.lock();
            if (hub && hub->started) self->finish_granted();
        });
    });
}

void Association::wake_runner() {
    bool here = false;
    lifeline_->use([&](net::Runtime& runtime, Counters&) {
        here = runtime.in_runtime_thread();
        if (!here) runtime.post([self = shared_from_this()] { self->kick(); });
    });
    if (here) kick(); // on this thread the transport cannot go away meanwhile
}

// --- the Runtime's thread

std::string Association::peer_text() const { return address_.to_string(); }

void Association::send(std::optional<Uid> to, MessageLane lane, OutgoingMessage message) {
    Counters& counters = hub_->counters;
    if (blocked_ && to && known_ && *to == known_->uid()) {
        counters.messages_quarantined.add();
        return;
    }
    if (link_ && !link_->ended && to && *to != link_->peer.uid() && !MUSTER_MUTANT(uid_not_compared)) {
        counters.messages_other_incarnation.add();
        return;
    }
    counters.messages_full.add(messages_.push(lane, {to, std::move(message), hub_->now() + message_ttl}));
    kick();
}

void Association::dial_once() {
    if (state_ != State::Idle || dial_once_until_) return;
    dial_once_until_ = hub_->now() + StrangerDials::time_max;
    hub_->stranger_dials.begin();
}

void Association::end_dial_once() {
    if (!std::exchange(dial_once_until_, std::nullopt)) return;
    hub_->stranger_dials.end();
}

/// Of an attempt, or of a part of it, that may take `timeout`.
Instant Association::dial_deadline(Duration timeout) const {
    const Instant deadline = hub_->now() + timeout;
    return dial_once_until_ ? std::min(deadline, *dial_once_until_) : deadline;
}

/// What was decided by a peer's bytes or by what is queued for it ends with its link, not with the process.
void Association::out_of_memory(OutboundLink* link) {
    hub_->counters.links_no_memory.add();
    hub_->log().error("transport.link.no_memory", peer_text(), {{"direction", "outbound"}});
    if (!link) return;
    link->error = Error{Errc::no_memory, peer_text(), {}, {}};
    link->ended = true;
    link->connection->close(net::Close::Abort);
}

void Association::kick() {
    const std::shared_ptr<Hub> hub = weak_hub_.lock();
    if (!hub || !hub->started || hub->cancelled()) return;
    if (wake_) {
        wake_->notify();
        return;
    }
    if (state_ != State::Idle) return; // run() is about to begin
    state_ = State::Backoff;
    hub->table().runs(*this);
    hub->arm_sweep();
    hub->tasks.spawn(run(shared_from_this(), hub));
}

void Association::seen_alive(const UniqueAddress& peer) {
    if (link_ && !link_->ended && link_->peer != peer) supersede(*link_, peer);
    met(peer);
    // At rest, too: what failed before it rested must not hold up the first answer to a process that has just
    // started.
    if (state_ != State::Backoff && state_ != State::Idle) return;
    next_attempt_ = hub_->now();
    failures_ = 0;
    if (wake_) wake_->notify();
}

/// Another process has the address by now. The link led to the former one and may not end by itself for long,
/// when that one stopped reading and its machine does not say so: until then the new one would hear nothing,
/// and then what was meant for the former.
void Association::supersede(OutboundLink& link, const UniqueAddress& by) {
    hub_->counters.links_superseded.add();
    hub_->log().info("transport.link.superseded", peer_text(),
                     {{"old", link.peer.to_string()}, {"new", by.to_string()}, {"direction", "outbound"}});
    link.error = Error{Errc::closed, peer_text(), "another incarnation answers at this address", {}};
    link.ended = true;
    link.connection->close(net::Close::Abort);
    stale_mark_ = outbox_.mark();
    if (wake_) wake_->notify();
}

/// `peer` is the incarnation at the address now, whoever was there before.
void Association::met(const UniqueAddress& peer) {
    if (known_ == peer) return;
    if (known_) {
        // What was accepted while the link led to the former incarnation was meant for that one.
        const Outbox::Batch dropped = MUSTER_MUTANT(stale_tells_kept) || MUSTER_MUTANT(uid_not_compared)
                                          ? Outbox::Batch{}
                                          : outbox_.drop_before(stale_mark_);
        hub_->counters.tells_other_incarnation.add(dropped.frames);
        replaced_ = known_;
    }
    known_ = peer;
    stopping_.reset();
    if (std::exchange(blocked_, false)) outbox_.set_closed(hub_->stopping);
}

void Association::quarantine(const UniqueAddress& node, bool harmless) {
    if (!known_) known_ = node;
    if (*known_ != node) return;
    blocked_ = true;
    outbox_.set_closed(true);
    drop_tells(hub_->counters.tells_quarantined);
    drop_messages(hub_->counters.messages_quarantined);
    probes_left_ = 0;
    if (link_) link_->closing = harmless ? wire::GoodbyeReason::Link : wire::GoodbyeReason::Quarantined;
    if (wake_) wake_->notify();
}

void Association::expect(const UniqueAddress& node) {
    if (blocked_ && known_ != node) met(node);
}

void Association::stops(const UniqueAddress& node) {
    if (!known_ || *known_ == node) stopping_ = node;
}

void Association::renew() {
    drop_messages(hub_->counters.messages_other_incarnation);
    if (link_) link_->closing = wire::GoodbyeReason::Incarnation;
    if (wake_) wake_->notify();
}

void Association::shut_down() {
    outbox_.set_closed(true);
    probes_left_ = 0;
    // What failed until now will not succeed in time; what is being tried may.
    if (state_ == State::Backoff && failures_ > 0)
        drop_all(hub_->counters.tells_shutdown, hub_->counters.messages_shutdown);
    if (link_ && !link_->closing) link_->closing = wire::GoodbyeReason::Stopping;
    if (wake_) wake_->notify();
}

void Association::drop_all(Counter& tells, Counter& messages) {
    drop_tells(tells);
    drop_messages(messages);
}

void Association::drop_tells(Counter& counter) {
    std::vector<Outbox::Done> failed;
    const Outbox::Batch dropped = outbox_.drop_all(failed);
    counter.add(dropped.frames);
    fail_waiting(std::move(failed), TellResult::NoRoute);
    finish_granted();
}

/// There is no room as long as nobody answers, and who waits shall hear that before what is queued is given
/// up.
void Association::end_waiting(Instant now) {
    if (!unanswered_since_ || now - *unanswered_since_ < hub_->options.connect_timeout) return;
    std::vector<Outbox::Done> failed;
    outbox_.drop_waiting(failed);
    hub_->counters.tells_refused_unreachable.add(failed.size());
    fail_waiting(std::move(failed), TellResult::Unreachable);
}

/// Through the Runtime: a callback may call anything, and whoever drops is in the middle of something.
void Association::fail_waiting(std::vector<Outbox::Done> failed, TellResult answer) {
    for (auto& done : failed)
        hub_->runtime.post([done = std::move(done), answer]() mutable { done(answer); });
}

void Association::finish_granted() {
    for (auto& done : outbox_.take_granted())
        hub_->runtime.post([done = std::move(done)]() mutable { done(TellResult::Queued); });
}

void Association::drop_messages(Counter& counter) { counter.add(messages_.clear()); }

void Association::expire_messages(Instant now) {
    if (const std::size_t expired = messages_.expire(now)) hub_->counters.messages_expired.add(expired);
}

void Association::sweep(Instant now) {
    end_waiting(now);
    if (!link_ || link_->ended) return;
    OutboundLink& link = *link_;
    const auto& options = hub_->options;
    if (link.send_started) {
        if (now - *link.send_started < options.half_open_timeout) return;
        link.error =
            Error{Errc::timed_out, peer_text(), "nothing was acknowledged: the peer or the path is gone", {}};
        link.send_started.reset();
        link.connection->close(net::Close::Abort);
        return;
    }
    if (now - link.last_sent >= memory_kept_for) outbox_.trim();
    if (now - link.last_sent >= options.association_idle_timeout && !link.closing) {
        link.closing = wire::GoodbyeReason::Link;
        if (wake_) wake_->notify();
    }
}

} // namespace muster::transport
