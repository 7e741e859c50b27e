// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The other end of a connection, byte by byte: for what a well-behaved transport never says.
#include <memory>
#include <muster/net/runtime.hpp>
#include <muster/net/task_group.hpp>
#include <muster/wire/frame.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::test {

/// Dials, or accepts one connection at a time, and collects what it is told.
class RawPeer {
public:
    explicit RawPeer(net::Runtime& runtime);
    /// Aborts; lets the Runtime run until its coroutines are over.
    ~RawPeer();

    void dial(std::uint16_t port);
    /// Accepts on a free port, which it answers.
    std::uint16_t listen();
    /// Reads nothing from the next connection on, so that the other side's send buffer fills up.
    void stop_reading() { reading_ = false; }
    void start_reading() { reading_ = true; }
    /// Ends every connection from the next one on as soon as it is there.
    void hang_up() { hangs_up_ = true; }
    /// A further connection accepted does not end the one before.
    void keep_connections() { keeps_ = true; }

    /// Sends now, or as soon as there is a connection.
    void send(std::string bytes);
    void send(const wire::ClusterFrame& frame);
    void close(net::Close how);

    bool connected() const noexcept { return connection_ != nullptr; }
    /// The other side ended the stream, with this.
    const std::optional<Errc>& end() const noexcept { return end_; }
    /// Complete frames received so far, decoded.
    std::vector<wire::ClusterFrame> frames() const;
    /// The first frame of type T.
    template <class T>
    std::optional<T> first() const {
        for (auto& frame : frames())
            if (const T* found = std::get_if<T>(&frame)) return *found;
        return std::nullopt;
    }
    std::size_t accepted() const noexcept { return accepted_; }

private:
    net::Task<void> dial_task(std::uint16_t port);
    net::Task<void> accept_task();
    net::Task<void> read_task(std::shared_ptr<net::Connection> connection);
    net::Task<void> send_task(std::shared_ptr<net::Connection> connection);
    void take(std::unique_ptr<net::Connection> connection);
    void flush();

    net::Runtime& runtime_;
    net::TaskGroup tasks_;
    std::unique_ptr<net::Listener> listener_;
    std::shared_ptr<net::Connection> connection_;
    std::string unsent_;
    std::string received_;
    std::optional<Errc> end_;
    std::vector<std::shared_ptr<net::Connection>> kept_;
    bool keeps_ = false;
    bool hangs_up_ = false;
    bool reading_ = true;
    bool sending_ = false;
    std::size_t accepted_ = 0;
};

} // namespace muster::test
