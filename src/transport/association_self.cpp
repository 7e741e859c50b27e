// SPDX-License-Identifier: Apache-2.0
// Tells to the own address: from the outbox to the sink, without a connection.
#include "association.hpp"
#include "hub.hpp"
#include "link/turn_budget.hpp"
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <utility>

namespace muster::transport {
namespace asio = boost::asio;
namespace {

/// Taken from the outbox at once: small beside a turn, so that the clock is looked at often enough.
constexpr std::size_t batch_bytes_max = 32 * 1024;

} // namespace

net::Task<void> Association::deliver_to_self() {
    FrameReader reader{frame_bytes_max_};
    const auto clock = [this] { return hub_->now(); };
    std::vector<Slice> parts;
    // Never inside tell(): the caller may be the sink.
    auto later = asio::post(asio::deferred);
    co_await std::move(later);
    TurnBudget budget;
    budget.begin(hub_->now(), 0);
    while (!hub_->cancelled()) {
        if (budget.spent()) { // a sink that tells itself what it was told has no end
            co_await hub_->turns.next();
            budget.begin(hub_->now(), hub_->turns.waiting());
            if (hub_->cancelled()) co_return;
        }
        parts.clear();
        const Outbox::Batch batch = outbox_.take(parts, batch_bytes_max);
        budget.received(batch.bytes);
        if (parts.empty()) {
            if (rest()) co_return;
            continue;
        }
        FrameReader::Frame frame;
        for (Slice& part : parts) {
            reader.feed(std::move(part));
            while (reader.next(frame) == FrameReader::Next::Frame) {
                hand_over_to_self(frame);
                budget.frame(TurnBudget::Cost::Light, clock);
            }
        }
        reader.trim();
        hub_->counters.tells_sent.add(batch.frames);
        if (outbox_.sent(batch.bytes)) finish_granted();
    }
}

/// The payload is copied: its chunk goes back to the pool, whoever keeps the payload.
void Association::hand_over_to_self(const FrameReader::Frame& frame) {
    const std::shared_ptr<RemoteMessageSink> sink = hub_->sink; // it may destroy the transport that holds it
    Tell tell;
    if (!sink || !wire::parse_tell(frame.body, tell)) {
        hub_->counters.tells_no_sink.add();
        return;
    }
    try {
        sink->deliver(tell.target_path, tell.manifest, Slice::copy_of(tell.payload), tell.sender_path);
        hub_->counters.tells_delivered.add();
    } catch (const std::exception& e) {
        hub_->counters.tells_sink_failed.add();
        hub_->log().error("transport.sink.failed", peer_text(),
                          {{"target", std::string{tell.target_path}}, {"error", e.what()}});
    } catch (...) {
        hub_->counters.tells_sink_failed.add();
        hub_->log().error("transport.sink.failed", peer_text(), {{"target", std::string{tell.target_path}}});
    }
}

} // namespace muster::transport
