// SPDX-License-Identifier: Apache-2.0
#include "net/congestion.hpp"
#include "net/silence.hpp"
#include "net/sockaddr.hpp"
#include "sockets.hpp"
#include <array>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace muster::net::epoll {

namespace asio = boost::asio;

namespace {

Error cancelled(const char* what) { return Error{Errc::cancelled, what, {}, {}}; }

bool is_cancelled(const asio::cancellation_state& state) noexcept {
    return state.cancelled() != asio::cancellation_type::none;
}

class Flag {
public:
    explicit Flag(bool& flag) noexcept : flag_(flag) { flag_ = true; }
    Flag(const Flag&) = delete;
    Flag& operator=(const Flag&) = delete;
    ~Flag() { flag_ = false; }

private:
    bool& flag_;
};

} // namespace

Shared::Shared(EpollLoop& l) : loop(l), executor(l.get_executor()) {}

Stream::Stream(std::shared_ptr<Shared> shared, Fd fd) : shared_(std::move(shared)), fd_(std::move(fd)) {}

Stream::~Stream() { shut(true); }

result<void> Stream::open(std::uint32_t notsent_lowat) {
    const int one = 1;
    // Small messages are batched above; Nagle's algorithm would hold the last of a batch back.
    if (setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
        return from_errno(errno, "TCP_NODELAY");
    if (notsent_lowat != 0 &&
        setsockopt(fd_.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &notsent_lowat, sizeof(notsent_lowat)) != 0)
        return from_errno(errno, "TCP_NOTSENT_LOWAT");
    return {};
}

result<void> Stream::established(Duration silence_max, std::string_view congestion_control) {
    SocketAddress address;
    if (getsockname(fd_.get(), address.fill(), &address.length) != 0) return from_errno(errno, "getsockname");
    local_ = to_endpoint(address.get());
    if (getpeername(fd_.get(), address.fill(), &address.length) != 0) {
        const int cause = errno;
        // The connection came and went already: the system only says that the socket is not connected.
        return from_errno(cause == ENOTCONN ? ECONNRESET : cause, "getpeername");
    }
    remote_ = to_endpoint(address.get());
    limit_silence(fd_.get(), silence_max);
    choose_congestion_control(fd_.get(), congestion_control, local_, remote_);
    established_ = true;
    shared_->open.add(1);
    return {};
}

Task<result<void>> Stream::connect(std::shared_ptr<Stream> self, Endpoint to, ConnectOptions options) {
    EpollLoop& loop = self->shared_->loop;
    const auto fail = [&to](int cause) { return from_errno(cause, to.to_string()); };
    if (options.deadline <= loop.now()) co_return Error{Errc::timed_out, to.to_string(), {}, {}};
    const SocketAddress address(to);
    int status = 0;
    do {
        status = ::connect(self->fd_.get(), address.get(), address.length);
    } while (status != 0 && errno == EINTR);
    if (status != 0 && errno != EINPROGRESS) co_return fail(errno);
    const bool pending = status != 0;
    // Not before connect(): an idle socket counts as hung up.
    if (auto watched = loop.watch(self->fd_.get(), *self); !watched) co_return watched.error();

    if (pending) {
        TimerId id = TimerId::None;
        if (options.deadline != Instant::max()) {
            auto expire = [&waiter = self->writable_, &to] {
                waiter.complete(Error{Errc::timed_out, to.to_string(), {}, {}});
            };
            id = loop.schedule(options.deadline, std::move(expire));
        }
        struct Timer {
            EpollLoop& loop;
            TimerId id;
            ~Timer() { loop.cancel_timer(id); }
        };
        const Timer timer{loop, id};
        auto wait = self->writable_.async_wait(loop.parking_lot(), self->shared_->executor, Cancellable::Yes,
                                               "connect", asio::deferred);
        auto writable = co_await std::move(wait);
        if (!writable) co_return writable.error();
        int cause = 0;
        socklen_t size = sizeof(cause);
        if (getsockopt(self->fd_.get(), SOL_SOCKET, SO_ERROR, &cause, &size) != 0) cause = errno;
        if (cause != 0) co_return fail(cause);
    }
    auto established = self->established(options.silence_max, options.congestion_control);
    // A socket whose ephemeral port equals its target port connects to itself.
    if (established && self->local_ == self->remote_)
        co_return Error{Errc::refused, to.to_string(), "it had connected to itself", {}};
    co_return established;
}

void Stream::on_events(std::uint32_t events) {
    constexpr std::uint32_t ended = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if (events & ended) hung_up_ = true;
    const bool next_turn = events == 0;
    if (next_turn || (events & (EPOLLIN | ended))) {
        may_read_ = may_read_ || !next_turn;
        readable_.complete({});
    }
    if (next_turn || (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))) {
        may_write_ = may_write_ || !next_turn;
        writable_.complete({});
    }
}

/// False when this turn's share is used up; the waiters are then resumed in the next turn.
bool Stream::spend(std::size_t& spent) {
    const std::uint64_t turn = shared_->loop.turn();
    if (turn_ != turn) {
        turn_ = turn;
        received_ = sent_ = 0;
    }
    if (spent < bytes_per_turn) return true;
    shared_->loop.next_turn(*this);
    return false;
}

void Stream::release_buffer(bool only_if_unshared) noexcept {
    if (!buffer_ || (only_if_unshared && buffer_->references() > 1)) return;
    std::exchange(buffer_, nullptr)->release();
}

Stream::Step Stream::read(Slice& out) {
    if (end_) return Step::Failed;
    if (!may_read_ || !spend(received_)) return Step::Wait;
    if (buffer_ && buffer_->size() - buffer_used_ < receive_bytes_min) release_buffer(false);
    if (!buffer_) {
        buffer_ = shared_->receive_buffers->take();
        buffer_used_ = 0;
    }
    std::byte* const place = buffer_->data() + buffer_used_;
    const std::size_t room = buffer_->size() - buffer_used_;
    ssize_t count = 0;
    do {
        count = ::recv(fd_.get(), place, room, MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    shared_->receives.add();
    if (count > 0) {
        const auto size = static_cast<std::size_t>(count);
        // A short read has emptied the socket: the next byte is a new edge. But an end signalled before has
        // no further edge.
        if (size < room && !hung_up_) may_read_ = false;
        out = Slice(std::span{place, size}, buffer_);
        buffer_used_ += size;
        received_ += size;
        shared_->bytes_received.add(size);
        return Step::Done;
    }
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        may_read_ = false;
        return Step::Wait;
    }
    end_ = count == 0 ? Error{Errc::end_of_stream, remote_.to_string(), {}, {}} : failure(errno);
    release_buffer(false);
    return Step::Failed;
}

Task<result<Slice>> Stream::receive(std::shared_ptr<Stream> self) {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    for (;;) {
        if (is_cancelled(cancellation)) co_return cancelled("receive");
        Slice slice;
        const Step step = self->read(slice);
        if (step == Step::Done) co_return std::move(slice);
        if (step == Step::Failed) co_return *self->end_;
        // An idle connection holds no buffer, unless a slice of it is still in use.
        self->release_buffer(true);
        auto wait = self->readable_.async_wait(self->shared_->loop.parking_lot(), self->shared_->executor,
                                               Cancellable::Yes, "receive", asio::deferred);
        auto readable = co_await std::move(wait);
        if (!readable) co_return readable.error();
    }
}

bool Stream::try_receive(Slice& out) { return read(out) == Step::Done; }

Stream::Step Stream::write(std::span<const Slice> parts, Cursor& cursor, Error& error) {
    constexpr std::size_t gathered_max = 128;
    std::array<iovec, gathered_max> vectors;
    for (;;) {
        std::size_t used = 0;
        for (std::size_t i = cursor.part; i < parts.size() && used < gathered_max; ++i) {
            const std::size_t skip = i == cursor.part ? cursor.offset : 0;
            if (parts[i].size() == skip) continue;
            vectors[used++] = {const_cast<std::byte*>(parts[i].data()) + skip, parts[i].size() - skip};
        }
        if (used == 0) return Step::Done;
        if (shut_) {
            error = closed();
            return Step::Failed;
        }
        if (!may_write_ || !spend(sent_)) return Step::Wait;
        msghdr message{};
        message.msg_iov = vectors.data();
        message.msg_iovlen = used;
        const ssize_t count = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        shared_->sends.add();
        if (count < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                may_write_ = false;
                return Step::Wait;
            }
            error = failure(errno);
            return Step::Failed;
        }
        auto left = static_cast<std::size_t>(count);
        sent_ += left;
        shared_->bytes_sent.add(left);
        while (left > 0) {
            const std::size_t rest = parts[cursor.part].size() - cursor.offset;
            if (left < rest) {
                cursor.offset += left;
                break;
            }
            left -= rest;
            ++cursor.part;
            cursor.offset = 0;
        }
    }
}

Task<result<void>> Stream::send(std::shared_ptr<Stream> self, std::span<const Slice> parts) {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (is_cancelled(cancellation)) co_return cancelled("send");
    if (self->send_closed_ || self->shut_) co_return self->closed();
    MUSTER_ENSURE(!self->sending_, "one send at a time");
    struct Finish {
        Stream& stream;
        ~Finish() { stream.finish_sending(); }
    };
    const Finish finish{*self};
    const Flag sending(self->sending_);
    Cursor cursor;
    for (;;) {
        Error error;
        const Step step = self->write(parts, cursor, error);
        if (step == Step::Done) co_return result<void>{};
        if (step == Step::Failed) co_return error;
        if (is_cancelled(cancellation)) co_return cancelled("send");
        auto wait = self->writable_.async_wait(self->shared_->loop.parking_lot(), self->shared_->executor,
                                               Cancellable::Yes, "send", asio::deferred);
        auto writable = co_await std::move(wait);
        if (!writable) co_return writable.error();
    }
}

/// Sends FIN, once no send is in progress.
void Stream::finish_sending() noexcept {
    if (send_closed_ && !sending_ && !shut_) ::shutdown(fd_.get(), SHUT_WR);
}

void Stream::close(Close how) {
    if (how == Close::Abort) return shut(true);
    if (std::exchange(send_closed_, true)) return;
    finish_sending();
}

void Stream::abandon() { shut(!send_closed_); }

/// Closes the socket and ends the operations in flight.
void Stream::shut(bool reset) noexcept {
    if (std::exchange(shut_, true)) return;
    if (established_) shared_->open.add(-1);
    if (reset) {
        const linger now{.l_onoff = 1, .l_linger = 0};
        setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    } else {
        // Closing a socket with unread bytes resets it, and the peer might lose what it has not read yet.
        ssize_t count = 0;
        do {
            count = ::recv(fd_.get(), nullptr, 1U << 30, MSG_DONTWAIT | MSG_TRUNC);
        } while (count > 0 || (count < 0 && errno == EINTR));
    }
    fd_.reset();
    release_buffer(false);
    if (is_linked()) unlink();
    if (!end_) end_ = closed();
    readable_.complete(closed());
    writable_.complete(closed());
}

Error Stream::failure(int errno_value) const { return from_errno(errno_value, remote_.to_string()); }

Error Stream::closed() const { return Error{Errc::closed, remote_.to_string(), {}, {}}; }

} // namespace muster::net::epoll
