// SPDX-License-Identifier: Apache-2.0
// An open link of an association: one coroutine writes, another reads.
#include "association.hpp"
#include "base/mutants.hpp"
#include "hub.hpp"
#include "link/turn_budget.hpp"
#include "outbound_link.hpp"
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <new>
#include <utility>

namespace muster::transport {
namespace asio = boost::asio;
namespace {

/// One gathered send: large enough to amortise the system call, small enough that a heartbeat, which waits
/// for the send in flight, waits for two chunks at most.
constexpr std::size_t send_bytes_max = 128 * 1024;
/// Sends that complete at once before other work of the loop gets its turn.
constexpr int sends_per_turn_max = 16;
/// The most messages of one send: keeps its parts below the system's limit (IOV_MAX).
constexpr std::size_t messages_per_send_max = 256;

} // namespace

struct Association::Batch {
    std::vector<Slice> parts;
    Outbox::Batch tells;
    std::size_t messages = 0;
    std::size_t bytes = 0;
};

net::Task<void> Association::serve(std::shared_ptr<OutboundLink> link) {
    link_ = link;
    has_link_ = true;
    LinkActions actions;
    if (hub_->stopping) link->link.close(wire::GoodbyeReason::Stopping, {}, hub_->now(), actions);
    carry_out(std::move(actions), *link);
    hub_->tasks.spawn(read(shared_from_this(), hub_->shared_from_this(), link));
    Batch batch;
    bool out_of_memory = false;
    try {
        co_await write_until_end(*link, batch);
    } catch (const std::bad_alloc&) {
        out_of_memory = true;
    }
    outbox_.wake();
    if (out_of_memory) {
        LinkActions ends;
        link->link.fail(Errc::no_memory, {}, ends);
        carry_out(std::move(ends), *link);
        written(*link, batch, Error{Errc::no_memory, {}, {}, {}});
    }
    // After a failed send: what the peer said before it went (a Goodbye, perhaps) is still to be read.
    while (link->link.phase() == Link::Phase::Broken && !hub_->cancelled()) co_await wake_->wait();
    has_link_ = false;
    link_.reset();
}

// --- writing

net::Task<void> Association::write_until_end(OutboundLink& link, Batch& batch) {
    for (int sends = 0; link.link.is_open() && !hub_->cancelled();) {
        if (link.link.due() != Link::Due::AtOnce) collect(link, batch);
        if (!batch.parts.empty()) {
            link.link.sending(hub_->now());
            auto sent = co_await link.connection->send(batch.parts);
            if (!written(link, batch, sent)) break;
            if (++sends % sends_per_turn_max == 0) {
                auto turn = asio::post(asio::deferred);
                co_await std::move(turn);
            }
            if (!messages_.empty() || link.link.due() != Link::Due::Nothing) continue;
        } else if (link.link.due() != Link::Due::Nothing) {
            LinkActions actions;
            link.link.flushed(hub_->now(), actions);
            carry_out(std::move(actions), link);
            co_await write_own(link);
            break;
        }
        if (!outbox_.sleep()) {
            finish_granted();
            continue;
        }
        co_await wake_->wait();
        outbox_.wake();
    }
}

/// Sends the frame that the value itself has to say, if there is one.
net::Task<void> Association::write_own(OutboundLink& link) {
    if (link.to_write.empty()) co_return;
    const std::vector<Slice> parts{std::exchange(link.to_write, Slice{})};
    auto sent = co_await link.connection->send(parts);
    if (hub_->cancelled()) co_return;
    LinkActions actions;
    link.link.written(sent, hub_->now(), actions);
    carry_out(std::move(actions), link);
}

/// Nothing when this peer does not get it, which is counted.
std::optional<wire::EncodedMessage> Association::encoded_for(const OutboundLink& link,
                                                             OutgoingMessage message) {
    if (auto* encoded = std::get_if<wire::EncodedMessage>(&message)) return std::move(*encoded);
    auto& late = std::get<LateMessage>(message);
    if (link.link.about().agreement.meets(late.needs)) return late.encode(link.link.about().agreement);
    hub_->counters.messages_unknown_to_peer.add();
    return std::nullopt;
}

/// Membership messages first, then tells up to the size of one send.
void Association::collect(OutboundLink& link, Batch& batch) {
    batch.parts.clear();
    batch.messages = batch.bytes = 0;
    batch.tells = {};
    if (!messages_.empty()) {
        expire_messages(hub_->now());
        while (batch.messages < messages_per_send_max) {
            std::optional<QueuedMessage> message = messages_.pop();
            if (!message) break;
            if (message->to && *message->to != link.link.about().peer.uid() &&
                !MUSTER_MUTANT(uid_not_compared)) {
                hub_->counters.messages_other_incarnation.add();
                continue;
            }
            std::optional<wire::EncodedMessage> encoded = encoded_for(link, std::move(message->message));
            if (!encoded) continue;
            ++batch.messages;
            batch.bytes += encoded->bytes();
            batch.parts.push_back(std::move(encoded->head));
            if (!encoded->body.empty()) batch.parts.push_back(std::move(encoded->body));
        }
    }
    if (batch.bytes < send_bytes_max) {
        batch.tells = outbox_.take(batch.parts, send_bytes_max - batch.bytes);
        batch.bytes += batch.tells.bytes;
    }
}

/// False when the link is lost, and what the batch carried with it.
bool Association::written(OutboundLink& link, Batch& batch, const result<void>& sent) {
    if (!sent && batch.messages == 0 && MUSTER_MUTANT(requeued_after_loss))
        for (const Slice& part : batch.parts) outbox_.put(part);
    batch.parts.clear();
    Counters& counters = hub_->counters;
    const Outbox::Batch tells = std::exchange(batch.tells, {});
    const std::size_t messages = std::exchange(batch.messages, 0);
    if (tells.bytes && outbox_.sent(tells.bytes)) finish_granted();
    if (!sent) {
        counters.tells_lost.add(tells.frames);
        counters.messages_lost.add(messages);
        link.link.send_failed(sent.error(), hub_->now());
        carry_out(LinkActions{}, link);
        return false;
    }
    link.link.sent();
    counters.sends.add();
    counters.bytes_sent.add(batch.bytes);
    if (tells.frames) counters.tells_sent.add(tells.frames);
    if (messages) counters.messages_sent.add(messages);
    return true;
}

// --- reading

net::Task<void> Association::read(std::shared_ptr<Association> /*keep*/, std::shared_ptr<Hub> /*hub*/,
                                  std::shared_ptr<OutboundLink> link) {
    bool out_of_memory = false;
    try {
        co_await read_until_end(*link);
    } catch (const std::bad_alloc&) {
        out_of_memory = true;
    }
    if (out_of_memory) {
        LinkActions actions;
        link->link.fail(Errc::no_memory, {}, actions);
        carry_out(std::move(actions), *link);
    }
    if (link_ == link) notify();
}

net::Task<void> Association::read_until_end(OutboundLink& link) {
    const auto clock = [this] { return hub_->now(); };
    LinkActions actions;
    TurnBudget budget;
    budget.begin(hub_->now(), 0);
    for (;;) {
        FrameReader::Frame frame;
        FrameReader::Next next = FrameReader::Next::NeedMore;
        while (!budget.late() && (next = link.reader.next(frame)) == FrameReader::Next::Frame) {
            actions.clear();
            const bool goes_on = link.link.frame(frame, hub_->now(), actions);
            carry_out(std::move(actions), link);
            if (!goes_on) co_return;
            budget.frame(TurnBudget::Cost::Heavy, clock);
        }
        if (budget.spent()) {
            co_await hub_->turns.next();
            if (hub_->cancelled()) break;
            budget.begin(hub_->now(), hub_->turns.waiting());
            if (next == FrameReader::Next::Frame) continue;
        }
        actions.clear();
        if (next != FrameReader::Next::NeedMore) {
            link.link.stuck(next, link.reader.claimed(), link.reader.frame_bytes_max(), hub_->now(), actions);
            carry_out(std::move(actions), link);
            co_return;
        }
        Slice bytes;
        if (!link.connection->try_receive(bytes)) {
            link.reader.detach();
            auto received = co_await link.connection->receive();
            if (!received) {
                link.link.stream_ended(received.error(), actions);
                carry_out(std::move(actions), link);
                co_return;
            }
            bytes = std::move(*received);
            budget.begin(hub_->now(), hub_->turns.waiting());
        }
        budget.received(bytes.size());
        link.reader.feed(std::move(bytes));
    }
    link.link.stream_ended(std::nullopt, actions);
    carry_out(std::move(actions), link);
}

} // namespace muster::transport
