// SPDX-License-Identifier: Apache-2.0
#include "net/congestion.hpp"
#include "net/sockaddr.hpp"
#include "sockets.hpp"
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace muster::net::epoll {

namespace asio = boost::asio;

namespace {

class EpollConnection final : public Connection {
public:
    explicit EpollConnection(std::shared_ptr<Stream> stream) noexcept : stream_(std::move(stream)) {}
    ~EpollConnection() override { stream_->abandon(); }

    Task<result<Slice>> receive() override { return Stream::receive(stream_); }
    bool try_receive(Slice& out) override { return stream_->try_receive(out); }
    Task<result<void>> send(std::span<const Slice> parts) override { return Stream::send(stream_, parts); }
    void close(Close how) override { stream_->close(how); }
    const Endpoint& local() const noexcept override { return stream_->local(); }
    const Endpoint& remote() const noexcept override { return stream_->remote(); }

private:
    std::shared_ptr<Stream> stream_;
};

class EpollListener final : public Listener {
public:
    explicit EpollListener(std::shared_ptr<Acceptor> acceptor) noexcept : acceptor_(std::move(acceptor)) {}
    ~EpollListener() override { acceptor_->close(); }

    Task<result<std::unique_ptr<Connection>>> accept() override { return Acceptor::accept(acceptor_); }
    void close() override { acceptor_->close(); }
    const Endpoint& local() const noexcept override { return acceptor_->local(); }

private:
    std::shared_ptr<Acceptor> acceptor_;
};

Fd make_socket(const Endpoint& endpoint) {
    const int family = endpoint.family == Endpoint::Family::V4 ? AF_INET : AF_INET6;
    return Fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
}

Error listen_error(int cause, const Endpoint& at) {
    switch (cause) {
    case EADDRINUSE:
        return from_errno(cause, at.to_string(), "use another port, or stop the process that listens");
    case EADDRNOTAVAIL: return from_errno(cause, at.to_string(), "use an address of this machine");
    case EACCES:
        return from_errno(cause, at.to_string(), "use a port from 1024 on, or grant CAP_NET_BIND_SERVICE");
    default: return from_errno(cause, at.to_string());
    }
}

} // namespace

Task<result<std::unique_ptr<Connection>>> connect(std::shared_ptr<Shared> shared, Endpoint to,
                                                  ConnectOptions options) {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none)
        co_return Error{Errc::cancelled, "connect", {}, {}};
    Fd fd = make_socket(to);
    if (!fd) {
        const int cause = errno;
        shared->connect_failed.add();
        co_return from_errno(cause, to.to_string());
    }
    auto stream = std::make_shared<Stream>(shared, std::move(fd));
    auto outcome = stream->open(options.notsent_lowat);
    if (outcome) outcome = co_await Stream::connect(stream, to, options);
    if (!outcome) {
        shared->connect_failed.add();
        co_return outcome.error();
    }
    shared->connected.add();
    co_return std::make_unique<EpollConnection>(std::move(stream));
}

result<std::unique_ptr<Listener>> listen(std::shared_ptr<Shared> shared, Endpoint at, ListenOptions options) {
    Fd fd = make_socket(at);
    if (!fd) return listen_error(errno, at);
    auto acceptor = std::make_shared<Acceptor>(std::move(shared), std::move(fd));
    if (auto opened = acceptor->open(at, options); !opened) return opened.error();
    return std::make_unique<EpollListener>(std::move(acceptor));
}

result<void> Acceptor::open(const Endpoint& at, const ListenOptions& options) {
    options_ = options;
    if (auto named = name_congestion_control(fd_.get(), options.congestion_control); !named) return named;
    const int one = 1;
    if (options.reuse_address && setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0)
        return listen_error(errno, at);
    // [::] and 0.0.0.0 are different endpoints, whatever the system's default is.
    if (at.family == Endpoint::Family::V6 &&
        setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) != 0)
        return listen_error(errno, at);
    const SocketAddress address(at);
    if (::bind(fd_.get(), address.get(), address.length) != 0) return listen_error(errno, at);
    if (::listen(fd_.get(), options.backlog) != 0) return listen_error(errno, at);
    SocketAddress bound;
    if (getsockname(fd_.get(), bound.fill(), &bound.length) != 0) return listen_error(errno, at);
    local_ = to_endpoint(bound.get());
    return shared_->loop.watch(fd_.get(), *this);
}

void Acceptor::on_events(std::uint32_t events) {
    may_accept_ = may_accept_ || events != 0;
    readable_.complete({});
}

void Acceptor::close() {
    if (!fd_) return;
    fd_.reset();
    if (is_linked()) unlink();
    readable_.complete(Error{Errc::closed, local_.to_string(), {}, {}});
}

result<std::shared_ptr<Stream>> Acceptor::take() {
    if (turn_ != shared_->loop.turn()) {
        turn_ = shared_->loop.turn();
        taken_ = 0;
    }
    if (may_accept_ && taken_ >= accepts_per_turn) {
        shared_->loop.next_turn(*this);
        return std::shared_ptr<Stream>{};
    }
    while (may_accept_) {
        Fd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!fd) {
            const int cause = errno;
            if (cause == EAGAIN || cause == EWOULDBLOCK) {
                may_accept_ = false;
                break;
            }
            // The caller waits out errors that the next accept() would meet as well; any other error belongs
            // to the one connection that left the backlog with it.
            if (cause == EMFILE || cause == ENFILE || cause == ENOBUFS || cause == ENOMEM)
                return from_errno(cause, local_.to_string(),
                                  "raise RLIMIT_NOFILE or accept fewer connections");
            if (cause == EBADF || cause == EINVAL || cause == ENOTSOCK)
                return from_errno(cause, local_.to_string());
            if (++taken_ < accepts_per_turn) continue;
            shared_->loop.next_turn(*this);
            break;
        }
        ++taken_;
        auto stream = std::make_shared<Stream>(shared_, std::move(fd));
        // The connection may have been reset while it waited in the backlog: try the next one.
        if (!stream->open(options_.notsent_lowat) ||
            !stream->established(options_.silence_max, options_.congestion_control))
            continue;
        if (auto watched = stream->watch(); !watched) return watched.error();
        return stream;
    }
    return std::shared_ptr<Stream>{};
}

Task<result<std::unique_ptr<Connection>>> Acceptor::accept(std::shared_ptr<Acceptor> self) {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    for (;;) {
        if (cancellation.cancelled() != asio::cancellation_type::none)
            co_return Error{Errc::cancelled, "accept", {}, {}};
        if (!self->fd_) co_return Error{Errc::closed, self->local_.to_string(), {}, {}};
        auto stream = self->take();
        if (!stream) {
            self->shared_->accept_failed.add();
            co_return stream.error();
        }
        if (*stream) {
            self->shared_->accepted.add();
            co_return std::make_unique<EpollConnection>(std::move(*stream));
        }
        auto wait = self->readable_.async_wait(self->shared_->loop.parking_lot(), self->shared_->executor,
                                               Cancellable::Yes, "accept", asio::deferred);
        auto readable = co_await std::move(wait);
        if (!readable) co_return readable.error();
    }
}

} // namespace muster::net::epoll
