// SPDX-License-Identifier: Apache-2.0
#include "raw_peer.hpp"

#include <muster/ensure.hpp>
#include <utility>

namespace muster::test {

RawPeer::RawPeer(net::Runtime& runtime) : runtime_(runtime), tasks_(runtime) {}

RawPeer::~RawPeer() {
    if (connection_) connection_->close(net::Close::Abort);
    if (listener_) listener_->close();
    tasks_.cancel();
    for (int i = 0; i < 1000 && !tasks_.empty(); ++i)
        runtime_.run_until(runtime_.monotonic_now() + std::chrono::milliseconds{1});
}

void RawPeer::dial(std::uint16_t port) { tasks_.spawn(dial_task(port)); }

net::Task<void> RawPeer::dial_task(std::uint16_t port) {
    const net::Endpoint to = net::Endpoint::loopback_v4(port);
    const net::ConnectOptions options{};
    auto connection = co_await runtime_.connect(to, options);
    if (connection)
        take(std::move(*connection));
    else
        end_ = connection.error().code;
}

std::uint16_t RawPeer::listen() {
    auto listening = runtime_.listen(net::Endpoint::loopback_v4(0), {});
    listener_ = std::move(listening.value());
    tasks_.spawn(accept_task());
    return listener_->local().port;
}

net::Task<void> RawPeer::accept_task() {
    for (;;) {
        auto connection = co_await listener_->accept();
        if (!connection) co_return;
        ++accepted_;
        take(std::move(*connection));
    }
}

void RawPeer::take(std::unique_ptr<net::Connection> connection) {
    if (keeps_ && connection_) kept_.push_back(std::move(connection_));
    connection_ = std::move(connection);
    received_.clear();
    end_.reset();
    if (hangs_up_) {
        connection_->close(net::Close::Abort);
        return;
    }
    if (reading_) tasks_.spawn(read_task(connection_));
    flush();
}

net::Task<void> RawPeer::read_task(std::shared_ptr<net::Connection> connection) {
    for (;;) {
        auto received = co_await connection->receive();
        if (!received) {
            if (connection == connection_) end_ = received.error().code;
            co_return;
        }
        received_ += received->text();
    }
}

void RawPeer::send(std::string bytes) {
    unsent_ += bytes;
    flush();
}

void RawPeer::send(const wire::ClusterFrame& frame) {
    send(std::string{wire::encode_frame(frame).value().text()});
}

void RawPeer::flush() {
    if (!connection_ || unsent_.empty() || std::exchange(sending_, true)) return;
    tasks_.spawn(send_task(connection_));
}

net::Task<void> RawPeer::send_task(std::shared_ptr<net::Connection> connection) {
    while (!unsent_.empty()) {
        const std::vector<Slice> parts{Slice::copy_of(std::exchange(unsent_, {}))};
        auto sent = co_await connection->send(parts);
        if (!sent) break;
    }
    sending_ = false;
}

void RawPeer::close(net::Close how) {
    if (connection_) connection_->close(how);
}

std::vector<wire::ClusterFrame> RawPeer::frames() const {
    std::vector<wire::ClusterFrame> frames;
    std::size_t at = 0;
    while (received_.size() - at >= 4) {
        const std::size_t length =
            wire::get_frame_length(reinterpret_cast<const std::byte*>(received_.data()) + at);
        if (received_.size() - at - 4 < length) break;
        auto frame = wire::decode_frame(Slice::copy_of(std::string_view{received_}.substr(at + 4, length)));
        MUSTER_ENSURE(frame.has_value(), "a transport says only what can be decoded");
        frames.push_back(std::move(*frame));
        at += 4 + length;
    }
    return frames;
}

} // namespace muster::test
