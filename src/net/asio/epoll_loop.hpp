// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The event loop on epoll, alone or inside the user's io_context.
///
/// Sockets are registered once, edge-triggered, with an epoll instance of the loop's own. Asio's reactor
/// would cost an operation and an epoll_ctl per wait, rounds timers up to milliseconds, and calls handlers
/// back after the Runtime is gone. An io_context only sees that one epoll descriptor become readable.
#include "net/loop_context.hpp"
#include "net/waiter.hpp"
#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>
#include <muster/ensure.hpp>

namespace boost::asio {
class io_context;
}

namespace muster::net::epoll {

/// A file descriptor; closes it.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) noexcept : fd_(fd) {}
    Fd(Fd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
    Fd& operator=(Fd&& o) noexcept {
        std::swap(fd_, o.fd_);
        return *this;
    }
    ~Fd() { reset(); }
    void reset() noexcept;
    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }

private:
    int fd_ = -1;
};

/// What epoll reports events to. Lives at one address while it is watched.
class Watched
    : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
public:
    /// Remembers the events (EPOLLIN, ..) and completes waiters; runs nothing else. 0: the next turn has come
    /// for one that asked for it (EpollLoop::next_turn).
    virtual void on_events(std::uint32_t events) = 0;

protected:
    ~Watched() = default;
};

/// The loop without an io_context: poll() is one epoll_wait.
class EpollLoop : public LoopContext {
public:
    /// Errors: no_descriptors, no_memory.
    static result<std::unique_ptr<EpollLoop>> create();
    /// A loop inside `context`.
    static result<std::unique_ptr<EpollLoop>> create(boost::asio::io_context& context);
    ~EpollLoop() override;

    /// Registers for all events, edge-triggered, until `fd` is closed. Errors: no_memory, limit_reached.
    result<void> watch(int fd, Watched& watched);
    /// Calls on_events(0) after the next poll of the sockets, so that a socket with endless work gives others
    /// their turn.
    void next_turn(Watched& watched) noexcept;
    /// Counts calls of poll().
    std::uint64_t turn() const noexcept { return turn_; }

    Instant now() const noexcept override;
    ParkingLot& parking_lot() noexcept { return *parking_lot_; }
    /// Destroys all coroutines and queued work; called by the Runtime while it is still whole.
    virtual void terminate() noexcept { close(); }
    void measure(Histogram& timer_lateness) noexcept { measure_lateness(timer_lateness); }
    /// Whether the user's io_context runs the loop.
    virtual bool hosted() const noexcept { return false; }
    /// To be called when a timer is set from outside a turn.
    virtual void timer_set() noexcept {}

protected:
    EpollLoop() = default;
    result<void> open();
    void poll(Instant deadline) override;
    void wake() noexcept override;
    /// Takes the events of epoll, waiting up to `wait` (negative: without limit), and dispatches them.
    void dispatch(Duration wait);
    bool others_wait() const noexcept { return !next_turn_.empty(); }

    Fd epoll_;
    Fd event_;

private:
    using List = boost::intrusive::list<Watched, boost::intrusive::constant_time_size<false>>;
    List next_turn_;
    std::uint64_t turn_ = 0;
    bool nanosecond_wait_ = true;
    ParkingLot* parking_lot_ = nullptr;
};

} // namespace muster::net::epoll
