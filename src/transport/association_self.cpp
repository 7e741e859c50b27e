// Tells to the own address: from the outbox to the sink, without a connection.
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <utility>

#include "association.hpp"
#include "hub.hpp"

namespace muster::transport {
namespace asio = boost::asio;
namespace {

/// Bytes delivered before other work of the loop gets its turn.
constexpr std::size_t turn_bytes_max = 128 * 1024;

} // namespace

net::Task<void> Association::deliver_to_self() {
    FrameReader reader{frame_bytes_max_};
    std::vector<Slice> parts;
    while (!hub_->tasks().stopping()) {
        // Never inside tell(): the caller may be the sink.
        auto turn = asio::post(asio::deferred);
        co_await std::move(turn);
        parts.clear();
        const Outbox::Batch batch = outbox_.take(parts, turn_bytes_max);
        if (parts.empty()) {
            if (rest()) co_return;
            continue;
        }
        FrameReader::Frame frame;
        for (Slice& part : parts) {
            reader.feed(std::move(part));
            while (reader.next(frame) == FrameReader::Next::Frame) hand_over_to_self(frame);
        }
        reader.trim();
        hub_->counters().tells_sent.add(batch.frames);
        if (outbox_.sent(batch.bytes)) finish_granted();
    }
}

/// The payload is copied: its chunk goes back to the pool, whoever keeps the payload.
void Association::hand_over_to_self(const FrameReader::Frame& frame) {
    const std::shared_ptr<RemoteMessageSink> sink = hub_->sink(); // it may destroy the transport that holds it
    wire::TellView tell;
    if (!sink || !wire::parse_tell(frame.body, tell)) return;
    hub_->counters().tells_delivered.add();
    try {
        sink->deliver(tell.target_path, tell.manifest, Slice::copy_of(tell.payload), tell.sender_path);
    } catch (const std::exception& e) {
        hub_->counters().tells_sink_failed.add();
        hub_->log().error("transport.sink.failed", peer_text(),
                          {{"target", std::string{tell.target_path}}, {"error", e.what()}});
    } catch (...) {
        hub_->counters().tells_sink_failed.add();
        hub_->log().error("transport.sink.failed", peer_text(), {{"target", std::string{tell.target_path}}});
    }
}

} // namespace muster::transport
