// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Streams and listeners on an EpollLoop.
///
/// The object a user holds (a Connection) is a handle on a Stream, which the operations in flight share: they
/// end in order when the handle goes first.
#include "epoll_loop.hpp"
#include <muster/buffer.hpp>
#include <muster/net/runtime.hpp>
#include <optional>
#include <string_view>

namespace muster::net::epoll {

/// What all sockets of one Runtime share. Outlives the Runtime with them; only `loop` does not.
struct Shared {
    explicit Shared(EpollLoop& l);

    EpollLoop& loop;
    boost::asio::any_io_executor executor;
    /// Large, so that one system call receives a burst of frames or a whole large payload.
    static constexpr std::size_t receive_buffer_bytes = 256 * 1024;
    std::shared_ptr<ChunkPool> receive_buffers = ChunkPool::create(receive_buffer_bytes, 16);
    Metrics metrics;
    Counter& bytes_received = metrics.counter("net.receive.bytes");
    Counter& receives = metrics.counter("net.receive.calls");
    Counter& bytes_sent = metrics.counter("net.send.bytes");
    Counter& sends = metrics.counter("net.send.calls");
    Counter& connected = metrics.counter("net.connect.opened");
    Counter& connect_failed = metrics.counter("net.connect.failed");
    Counter& accepted = metrics.counter("net.accept.opened");
    Counter& accept_failed = metrics.counter("net.accept.failed");
    Gauge& open = metrics.gauge("net.connections.open");
};

Task<result<std::unique_ptr<Connection>>> connect(std::shared_ptr<Shared> shared, Endpoint to,
                                                  ConnectOptions options);
result<std::unique_ptr<Listener>> listen(std::shared_ptr<Shared> shared, Endpoint at, ListenOptions options);

/// One TCP socket.
class Stream final : public Watched {
public:
    Stream(std::shared_ptr<Shared> shared, Fd fd);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    /// Sets the socket's options. Called before anything else. Errors: no_memory, limit_reached.
    result<void> open(std::uint32_t notsent_lowat);
    /// Connects a fresh socket.
    static Task<result<void>> connect(std::shared_ptr<Stream> self, Endpoint to, ConnectOptions options);
    /// Registers a connected socket with the loop. Errors: no_memory, limit_reached.
    result<void> watch() { return shared_->loop.watch(fd_.get(), *this); }
    /// Looks the addresses up once the socket is connected, and counts it. The limits: as
    /// ConnectOptions.
    result<void> established(Duration silence_max, std::string_view congestion_control);

    static Task<result<Slice>> receive(std::shared_ptr<Stream> self);
    bool try_receive(Slice& out);
    static Task<result<void>> send(std::shared_ptr<Stream> self, std::span<const Slice> parts);
    void close(Close how);
    /// The handle is gone.
    void abandon();

    const Endpoint& local() const noexcept { return local_; }
    const Endpoint& remote() const noexcept { return remote_; }
    void on_events(std::uint32_t events) override;

private:
    /// The most bytes of one connection in one turn, before the others get theirs.
    static constexpr std::size_t bytes_per_turn = 1024 * 1024;
    static constexpr std::size_t receive_bytes_min = 16 * 1024;

    enum class Step : std::uint8_t { Done, Wait, Failed };
    struct Cursor {
        std::size_t part = 0;
        std::size_t offset = 0;
    };

    Step read(Slice& out);
    Step write(std::span<const Slice> parts, Cursor& cursor, Error& error);
    bool spend(std::size_t& spent);
    void release_buffer(bool only_if_unshared) noexcept;
    void finish_sending() noexcept;
    void shut(bool reset) noexcept;
    Error failure(int errno_value) const;
    Error closed() const;

    std::shared_ptr<Shared> shared_;
    Fd fd_;
    Endpoint local_;
    Endpoint remote_;
    Waiter<void> readable_;
    Waiter<void> writable_;
    Buffer* buffer_ = nullptr; ///< being filled; one reference is ours
    std::size_t buffer_used_ = 0;
    std::optional<Error> end_; ///< why nothing more will be received
    std::uint64_t turn_ = 0;   ///< in which received_ and sent_ were spent
    std::size_t received_ = 0;
    std::size_t sent_ = 0;
    bool may_read_ = false;
    bool may_write_ = false;
    bool hung_up_ = false; ///< the peer's end was signalled: read until it arrives
    bool sending_ = false;
    bool send_closed_ = false; ///< close(Graceful)
    bool shut_ = false;
    bool established_ = false;
};

class Acceptor final : public Watched {
public:
    Acceptor(std::shared_ptr<Shared> shared, Fd fd) : shared_(std::move(shared)), fd_(std::move(fd)) {}

    result<void> open(const Endpoint& at, const ListenOptions& options);
    static Task<result<std::unique_ptr<Connection>>> accept(std::shared_ptr<Acceptor> self);
    void close();
    const Endpoint& local() const noexcept { return local_; }
    void on_events(std::uint32_t events) override;

private:
    static constexpr std::uint32_t accepts_per_turn = 64;

    /// Null: wait. Errors: as Listener::accept().
    result<std::shared_ptr<Stream>> take();

    std::shared_ptr<Shared> shared_;
    Fd fd_;
    Endpoint local_;
    ListenOptions options_;
    Waiter<void> readable_;
    std::uint64_t turn_ = 0;
    std::uint32_t taken_ = 0;
    bool may_accept_ = true;
};

} // namespace muster::net::epoll
