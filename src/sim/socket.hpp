// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Streams and listeners of the simulated network.
#include "process.hpp"
#include <deque>
#include <optional>

namespace muster::sim {

/// One end of a connection. A user's Connection is a handle on it; operations and segments on their way share
/// it.
class Socket final : public std::enable_shared_from_this<Socket> {
public:
    struct Names {
        HostId local_host{};
        HostId remote_host{};
        net::Endpoint local;
        net::Endpoint remote;
    };

    Socket(Process& process, Names names, std::uint64_t connection);
    ~Socket();
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    static net::Task<result<void>> connect(std::shared_ptr<Socket> self, Instant deadline);
    static net::Task<result<Slice>> receive(std::shared_ptr<Socket> self);
    bool try_receive(Slice& out);
    static net::Task<result<void>> send(std::shared_ptr<Socket> self, std::span<const Slice> parts);
    void close(net::Close how);
    /// The user's handle is gone.
    void abandon();
    /// The process is gone: closes the connection as its kernel would.
    void orphan() noexcept;

    /// Both ends read reset, whatever the network would do.
    void break_connection();
    /// The machine lost its power.
    void vanish();
    /// Retries lost segments at once.
    void retry();

    std::uint64_t number() const noexcept { return number_; }
    std::uint64_t connection() const noexcept { return connection_; }
    const Names& names() const noexcept { return names_; }
    Process* process() const noexcept { return process_; }
    bool open() const noexcept { return !shut_; }

private:
    struct Transmission {
        Segment::Kind kind{};
        Slice payload;
        std::size_t bytes = 0; ///< of payload, or of window given back
    };

    Segment segment_of(Segment::Kind kind, std::size_t bytes = 0) const noexcept;
    void transmit(Transmission segment);
    bool attempt(Transmission& segment);
    void land(const Transmission& segment);
    void tear(const Transmission& segment);
    void stall(Transmission segment);
    void retry_stalled();
    void send_reset();
    void answer_reset();

    void knock();
    void knocked();
    void knock_later();
    Proxy proxy() const;
    void swallow();

    void arrive(const Transmission& segment);
    void fail(Error error);
    void abort();
    bool take(Slice& out);
    bool push(std::span<const Slice> parts, std::size_t& part, std::size_t& offset);
    void finish_sending();
    Error error(Errc code) const;

    Fabric& fabric_;
    Process* process_; ///< null once it ended
    Names names_;
    std::uint64_t connection_;
    std::uint64_t number_;
    std::weak_ptr<Socket> peer_;
    net::Waiter<void> readable_;
    net::Waiter<void> writable_;

    // Sending.
    std::size_t credit_; ///< bytes the peer has room for
    Instant next_arrival_{};
    std::deque<Transmission> stalled_; ///< lost and waiting to be repeated, with what came after it
    Instant stalled_since_{};
    Duration backoff_{};
    net::TimerId retry_ = net::TimerId::None;
    bool sending_ = false;
    bool send_closed_ = false; ///< close(Graceful)
    bool finished_ = false;    ///< FIN is on its way

    // Receiving.
    std::deque<Slice> received_;
    std::size_t unacknowledged_ = 0; ///< taken by the process, not yet told to the peer
    bool peer_finished_ = false;

    // Connecting.
    bool connecting_ = false;
    bool answered_ = false;  ///< a listener has taken the connection
    bool swallowed_ = false; ///< a proxy has, and forwards nothing
    unsigned knocks_ = 0;

    std::optional<Error> error_; ///< broken: after what was received, this
    bool shut_ = false;          ///< closed on this side
    bool orphaned_ = false;      ///< no handle any more
};

class ListenSocket final {
public:
    ListenSocket(Process& process, net::Endpoint at, std::size_t backlog);
    ~ListenSocket();
    ListenSocket(const ListenSocket&) = delete;
    ListenSocket& operator=(const ListenSocket&) = delete;

    static net::Task<result<std::shared_ptr<Socket>>> accept(std::shared_ptr<ListenSocket> self);
    /// Null when the backlog is full.
    std::shared_ptr<Socket> offer(Socket::Names names, std::uint64_t connection);
    void close();
    const net::Endpoint& at() const noexcept { return at_; }
    Process* process() const noexcept { return process_; }

private:
    Process* process_;
    net::Endpoint at_;
    std::size_t backlog_max_;
    std::deque<std::shared_ptr<Socket>> backlog_;
    net::Waiter<void> readable_;
    bool closed_ = false;
};

} // namespace muster::sim
