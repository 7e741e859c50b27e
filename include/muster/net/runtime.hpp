// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The interface to the operating system (architecture.md, The seam): Runtime, Connection, Listener. Three
/// implementations: uring, Asio on epoll, simulated. Everything here is to be used on the Runtime's thread
/// unless its comment says otherwise.
///
/// No coroutine throws for what a peer or the network does: they return result<T>. Every operation honours
/// terminal cancellation through Asio's cancellation slot and then completes with Errc::cancelled, never
/// before the kernel is done with the operation's memory.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <muster/buffer.hpp>
#include <muster/error.hpp>
#include <muster/log.hpp>
#include <muster/metrics.hpp>
#include <muster/net/endpoint.hpp>
#include <muster/time.hpp>
#include <muster/unique_function.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace muster::net {

/// A coroutine of the library. Lives on the Runtime's executor; belongs to a TaskGroup when spawned.
template <class T = void>
using Task = boost::asio::awaitable<T>;

enum class Close : std::uint8_t {
    Graceful, ///< FIN after what was sent: the peer reads everything, then end_of_stream
    Abort,    ///< RST: the peer reads reset
};

/// An open byte stream. One receive and one send may be in flight at a time.
/// The destructor aborts what is open; operations in flight complete with Errc::cancelled or Errc::closed.
class Connection {
public:
    virtual ~Connection() = default;
    /// The next bytes (at least one) as a view into a receive buffer, which the Slice keeps alive.
    /// Errors: end_of_stream, reset, timed_out (the kernel's own), cancelled, closed.
    virtual Task<result<Slice>> receive() = 0;
    /// The same without suspension if bytes are there already. False when receive() has to be awaited (also
    /// at the stream's end).
    virtual bool try_receive(Slice& out) = 0;
    /// Sends all of `parts`, gathered, in order. The caller keeps the parts alive until completion. After an
    /// error or a cancellation some of the bytes may have been sent, so the stream can send nothing further.
    virtual Task<result<void>> send(std::span<const Slice> parts) = 0;
    /// Idempotent. Graceful after Graceful is a no-op; Abort is always allowed.
    virtual void close(Close how) = 0;
    virtual const Endpoint& local() const noexcept = 0;
    virtual const Endpoint& remote() const noexcept = 0;
};

/// Which end of a connection this process is.
enum class ConnectionRole : std::uint8_t {
    Dialled,  ///< it connected to a peer
    Accepted, ///< a peer connected to it
};

/// A listening socket. The destructor closes it.
class Listener {
public:
    virtual ~Listener() = default;
    /// The next connection. Errors: cancelled, closed, and no_descriptors / no_memory, after which the caller
    /// waits a little and accepts again: the listener stays usable and a pending peer stays in the backlog.
    virtual Task<result<std::unique_ptr<Connection>>> accept() = 0;
    virtual void close() = 0;
    virtual const Endpoint&
    local() const noexcept = 0; ///< with the port the system chose when 0 was asked for
};

struct ConnectOptions {
    Instant deadline = Instant::max(); ///< timed_out when it passes
    std::uint32_t notsent_lowat = 0;   ///< TCP_NOTSENT_LOWAT in bytes; 0 leaves the system's
    /// The connection ends with timed_out when its peer acknowledges nothing, or keeps its window closed, for
    /// this long; when nothing was sent and the peer is gone, up to a quarter of it and a second later. 0
    /// leaves the system's limit (hours). Not simulated.
    Duration silence_max{};
    /// TCP_CONGESTION: "system" or empty leaves the system's; "auto" does, too, but takes cubic (or reno)
    /// where both ends are on one host; else a name that the system knows ("cubic"). One that it refuses is
    /// an error of listen(); connect() goes on with the system's.
    std::string congestion_control;
};

struct ListenOptions {
    int backlog = 1024;
    bool reuse_address = true;       ///< SO_REUSEADDR: restart at the same port
    std::uint32_t notsent_lowat = 0; ///< for accepted connections
    Duration silence_max{};          ///< of accepted connections: as ConnectOptions
    std::string congestion_control;  ///< of accepted connections: as ConnectOptions
};

/// Identifies one pending timer; never reused within a Runtime. 0 is no timer.
enum class TimerId : std::uint64_t { None = 0 };

/// Clock, timers, sockets, entropy and the thread that runs them.
class Runtime {
public:
    virtual ~Runtime() = default;
    Runtime() = default;
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    /// "uring", "epoll" or "sim": also the value of metric label "runtime.backend.<name>" = 1.
    virtual std::string_view backend() const noexcept = 0;
    /// Runs handlers on the Runtime's thread. Copyable and usable from any thread (any Asio completion token
    /// works on it).
    virtual boost::asio::any_io_executor executor() noexcept = 0;

    virtual Instant monotonic_now() const noexcept = 0; ///< any thread
    virtual WallTime wall_now() const noexcept = 0;     ///< any thread
    Now now() const noexcept { return {monotonic_now(), wall_now()}; }

    /// Calls `action` once at or after `when`, on the Runtime's thread, never from inside schedule(). Equal
    /// times fire in the order they were scheduled.
    virtual TimerId schedule(Instant when, UniqueFunction<void()> action) = 0;
    /// Cancels a timer. True when it was still pending; its action is then destroyed without being called.
    virtual bool cancel(TimerId id) noexcept = 0;
    /// Errors: cancelled.
    Task<result<void>> sleep_until(Instant when);
    Task<result<void>> sleep_for(Duration duration);

    /// All addresses of `host`. Literals need no thread and no suspension; names go to the one thread
    /// `muster-resolve`. Errors: not_found, timed_out at `deadline`, limit_reached when its queue is full,
    /// cancelled.
    virtual Task<result<std::vector<Endpoint>>> resolve(std::string host, std::uint16_t port,
                                                        Instant deadline) = 0;
    /// TCP_NODELAY is on. Errors: refused, unreachable, timed_out, reset, no_descriptors, cancelled.
    virtual Task<result<std::unique_ptr<Connection>>> connect(Endpoint to, ConnectOptions options) = 0;
    /// Errors: address_in_use, address_not_available, permission_denied, no_descriptors; the subject names
    /// the endpoint.
    virtual result<std::unique_ptr<Listener>> listen(Endpoint at, ListenOptions options) = 0;

    /// Random bytes, from the system or, in simulation, from the world's seed. Any thread.
    virtual void fill_entropy(std::span<std::byte> out) = 0;

    /// Runs `action` on the Runtime's thread, in order of posting per thread. Any thread; never runs it
    /// inside post(). After the Runtime stopped for good the action is destroyed unrun.
    virtual void post(UniqueFunction<void()> action) = 0;
    virtual bool in_runtime_thread() const noexcept = 0;

    /// Runs handlers, timers and I/O on the calling thread until stop(). Returns at once when the Runtime
    /// lives on the user's own io_context (which the user runs).
    virtual void run() = 0;
    /// Like run(), until `when` at the latest. For tests, tools and simulation.
    virtual void run_until(Instant when) = 0;
    /// Makes run() return soon. Any thread. run() may be called again afterwards.
    virtual void stop() noexcept = 0;
    /// run() on a thread of its own, named "muster-loop"; joined by the destructor after stop().
    virtual void start_thread() = 0;

    virtual Logger& log() noexcept = 0;                              ///< any thread
    virtual Metrics& metrics() noexcept = 0;                         ///< any thread
    virtual const std::shared_ptr<ChunkPool>& chunks() noexcept = 0; ///< any thread
};

/// Options of every implementation.
struct RuntimeOptions {
    std::shared_ptr<LogSink> log_sink; ///< null: stderr_log_sink()
    Logger::Options log;
    std::size_t resolve_queue_max = 256; ///< names waiting for muster-resolve
};

} // namespace muster::net
