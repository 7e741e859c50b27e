// SPDX-License-Identifier: Apache-2.0
#include "replay.hpp"

#include "../wire/hex.hpp"
#include <boost/json.hpp>
#include <muster/ensure.hpp>
#include <utility>

namespace muster::test {
namespace {

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace

Replay::Replay(sim::Network& network, sim::HostId host, net::Endpoint own, net::Endpoint peer,
               boost::json::value transcript, Options options)
    : network_(network), peer_(peer), transcript_(std::move(transcript)), options_(options),
      runtime_(network.make_runtime(host)), tasks_(std::make_unique<net::TaskGroup>(*runtime_)) {
    const net::ListenOptions listening{};
    auto listener = runtime_->listen(own, listening);
    listener_ = std::move(listener.value());
    const auto& events = transcript_.at("events").as_array();
    const auto first = events.front().at("at_us").to_number<std::int64_t>();
    for (const auto& event : events) {
        const auto number = event.at("connection").to_number<std::size_t>();
        if (links_.size() <= number) links_.resize(number + 1);
        if (event.at("event") == "dial") links_[number].dialled = true;
        const auto at = std::chrono::microseconds{event.at("at_us").to_number<std::int64_t>() - first};
        runtime_->schedule(network.now() + at, [this, &event] { happens(event.as_object()); });
    }
    tasks_->spawn(accept_all());
}

Replay::~Replay() {
    for (Link& link : links_)
        if (link.connection) link.connection->close(net::Close::Abort);
    listener_->close();
    tasks_->cancel();
    for (int i = 0; i < 1000 && !tasks_->empty(); ++i) network_.run_for(std::chrono::milliseconds{1});
}

void Replay::happens(const boost::json::object& event) {
    const auto number = event.at("connection").to_number<std::size_t>();
    const auto& what = event.at("event").as_string();
    if (what == "dial") tasks_->spawn(dial(number));
    if (what == "send") {
        std::string bytes = text_of(wire::unhex(event.at("hex").as_string()));
        if (!std::exchange(links_[number].greeted, true)) bytes = as_offered(std::move(bytes));
        send(number, std::move(bytes));
    }
    if (what == "finish") {
        links_[number].finish = true;
        flush(number);
    }
}

std::string Replay::as_offered(std::string handshake) const {
    if (!options_.offer) return handshake;
    const std::string_view body = std::string_view{handshake}.substr(wire::frame_header_bytes);
    auto frame = wire::decode_frame(Slice::copy_of(body)).value();
    if (auto* hello = std::get_if<wire::Hello>(&frame)) {
        hello->version_min = options_.offer->version_min;
        hello->version_max = options_.offer->version_max;
        hello->features = options_.offer->features;
    }
    if (auto* reply = std::get_if<wire::HelloReply>(&frame)) {
        reply->version_min = options_.offer->version_min;
        reply->version_max = options_.offer->version_max;
        reply->answer = wire::HelloAccepted{options_.in_force.version, options_.in_force.features};
    }
    return std::string{wire::encode_frame(frame).value().text()};
}

void Replay::send(std::size_t link, std::string bytes) {
    links_[link].unsent += bytes;
    flush(link);
}

net::Task<void> Replay::dial(std::size_t link) {
    const net::ConnectOptions options{};
    auto connection = co_await runtime_->connect(peer_, options);
    if (connection) take(link, std::move(*connection));
}

net::Task<void> Replay::accept_all() {
    for (std::size_t link = 0;; ++link) {
        auto connection = co_await listener_->accept();
        if (!connection) co_return;
        while (link < links_.size() && links_[link].dialled) ++link;
        if (link == links_.size()) links_.emplace_back(); // one more than was recorded: nothing is said on it
        take(link, std::move(*connection));
    }
}

void Replay::take(std::size_t link, std::unique_ptr<net::Connection> connection) {
    links_[link].connection = std::move(connection);
    tasks_->spawn(read(link, links_[link].connection));
    flush(link);
}

net::Task<void> Replay::read(std::size_t link, std::shared_ptr<net::Connection> connection) {
    for (;;) {
        auto received = co_await connection->receive();
        if (!received) {
            if (received.error() != Errc::end_of_stream && received.error() != Errc::cancelled) ++broken_;
            co_return;
        }
        links_[link].received += received->text();
    }
}

void Replay::flush(std::size_t link) {
    Link& l = links_[link];
    if (!l.connection || l.sending) return;
    if (!l.unsent.empty()) {
        l.sending = true;
        tasks_->spawn(write(link, l.connection));
    } else if (l.finish) {
        l.connection->close(net::Close::Graceful);
    }
}

net::Task<void> Replay::write(std::size_t link, std::shared_ptr<net::Connection> connection) {
    while (!links_[link].unsent.empty()) {
        const std::vector<Slice> parts{Slice::copy_of(std::exchange(links_[link].unsent, {}))};
        auto sent = co_await connection->send(parts);
        if (!sent) break;
    }
    links_[link].sending = false;
    if (links_[link].finish) connection->close(net::Close::Graceful);
}

std::vector<Slice> Replay::told() const {
    std::vector<Slice> bodies;
    for (const Link& link : links_) {
        const std::string_view bytes = link.received;
        for (std::size_t at = 0; bytes.size() - at >= wire::frame_header_bytes;) {
            const auto* head = reinterpret_cast<const std::byte*>(bytes.data()) + at;
            const std::size_t length = wire::get_frame_length(head);
            if (bytes.size() - at - wire::frame_header_bytes < length) break;
            bodies.push_back(Slice::copy_of(bytes.substr(at + wire::frame_header_bytes, length)));
            at += wire::frame_header_bytes + length;
        }
    }
    return bodies;
}

} // namespace muster::test
