// SPDX-License-Identifier: Apache-2.0
#include "association.hpp"

#include "base/mutants.hpp"
#include "hub.hpp"
#include "outbound_link.hpp"
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

DiallingLimits dialling_limits_of(const TcpTransportOptions& options) {
    return {options.backoff_min, options.backoff_max, options.association_idle_timeout,
            options.connect_timeout};
}

} // namespace

Association::Association(const std::shared_ptr<Hub>& hub, Address address)
    : address_(std::move(address)), weak_hub_(hub), hub_(hub.get()), lifeline_(hub->lifeline),
      frame_bytes_max_(hub->options.frame_bytes_max), outbox_(hub->runtime.chunks(), limits_of(hub->options)),
      messages_(hub->options.membership_queue_max), dialling_(dialling_limits_of(hub->options), hub->random) {
}

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

/// Makes run() look again, if it runs.
void Association::notify() {
    if (wake_) wake_->notify();
}

void Association::send(std::optional<Uid> to, MessageLane lane, OutgoingMessage message) {
    Counters& counters = hub_->counters;
    if (dialling_.blocks(to)) {
        counters.messages_quarantined.add();
        return;
    }
    if (link_ && link_->link.is_open() && to && *to != link_->link.about().peer.uid() &&
        !MUSTER_MUTANT(uid_not_compared)) {
        counters.messages_other_incarnation.add();
        return;
    }
    counters.messages_full.add(messages_.push(lane, {to, std::move(message), hub_->now() + message_ttl}));
    kick();
}

void Association::kick() {
    const std::shared_ptr<Hub> hub = weak_hub_.lock();
    if (!hub || !hub->started || hub->cancelled()) return;
    if (wake_) {
        wake_->notify();
        return;
    }
    if (!dialling_.begin()) return; // run() is about to begin
    hub->table().runs(*this);
    hub->arm_sweep();
    hub->tasks.spawn(run(shared_from_this(), hub));
}

void Association::dial_once() {
    DiallingActions actions;
    dialling_.dial_once(hub_->now() + StrangerDials::time_max, actions);
    carry_out(std::move(actions));
}

void Association::seen_alive(const UniqueAddress& peer) {
    if (link_ && link_->link.phase() != Link::Phase::Ended && link_->link.about().peer != peer) {
        LinkActions ends;
        link_->link.superseded(peer, hub_->now(), ends);
        carry_out(std::move(ends), *link_);
        stale_mark_ = outbox_.mark();
    }
    DiallingActions actions;
    dialling_.seen_alive(peer, hub_->now(), actions);
    carry_out(std::move(actions));
    notify();
}

void Association::quarantine(const UniqueAddress& node, bool harmless) {
    DiallingActions actions;
    if (!dialling_.quarantine(node, actions)) return;
    carry_out(std::move(actions));
    if (link_) {
        LinkActions ends;
        link_->link.close(harmless ? wire::GoodbyeReason::Link : wire::GoodbyeReason::Quarantined, {},
                          hub_->now(), ends);
        carry_out(std::move(ends), *link_);
    }
    notify();
}

void Association::expect(const UniqueAddress& node) {
    DiallingActions actions;
    dialling_.expect(node, actions);
    carry_out(std::move(actions));
}

void Association::renew() {
    drop_messages(hub_->counters.messages_other_incarnation);
    if (link_) {
        LinkActions ends;
        link_->link.close(wire::GoodbyeReason::Incarnation, {}, hub_->now(), ends);
        carry_out(std::move(ends), *link_);
    }
    notify();
}

void Association::shut_down() {
    DiallingActions actions;
    dialling_.stop(actions);
    carry_out(std::move(actions));
    if (link_) {
        LinkActions ends;
        link_->link.close(wire::GoodbyeReason::Stopping, {}, hub_->now(), ends);
        carry_out(std::move(ends), *link_);
    }
    notify();
}

void Association::sweep(Instant now) {
    end_waiting(now);
    if (!link_ || link_->link.phase() == Link::Phase::Ended) return;
    Link& link = link_->link;
    const Link::Due before = link.due();
    LinkActions actions;
    link.time(now, actions);
    carry_out(std::move(actions), *link_);
    if (now - link.about().last_sent >= memory_kept_for) outbox_.trim();
    if (link.due() != before) notify();
}

// --- what is queued

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
    if (!dialling_.unanswered(now)) return;
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

} // namespace muster::transport
