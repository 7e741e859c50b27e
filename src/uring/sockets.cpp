// SPDX-License-Identifier: Apache-2.0
#include "sockets.hpp"

#include "net/congestion.hpp"
#include "net/silence.hpp"
#include "net/sockaddr.hpp"
#include "stream.hpp"
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace muster::uring {

namespace asio = boost::asio;

namespace {

/// Accepts in a row without a suspension: a flood of peers must not keep the loop from everything else.
constexpr unsigned accepts_in_a_row_max = 64;

class Descriptor {
public:
    explicit Descriptor(int value) noexcept : value_(value) {}
    Descriptor(Descriptor&& o) noexcept : value_(std::exchange(o.value_, -1)) {}
    Descriptor& operator=(Descriptor&&) = delete;
    ~Descriptor() { reset(); }
    int get() const noexcept { return value_; }
    int release() noexcept { return std::exchange(value_, -1); }
    void reset() noexcept {
        if (value_ >= 0) ::close(std::exchange(value_, -1));
    }

private:
    int value_;
};

int open_socket(const net::Endpoint& endpoint) {
    const int family = endpoint.family == net::Endpoint::Family::V4 ? AF_INET : AF_INET6;
    return ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void set_option(int descriptor, int level, int name, int value) noexcept {
    ::setsockopt(descriptor, level, name, &value, sizeof(value));
}

/// These make a connection faster, not correct: a failure to set them is no failure to connect.
void set_connection_options(int descriptor, std::uint32_t notsent_lowat) noexcept {
    set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    if (notsent_lowat != 0) {
        set_option(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT,
                   static_cast<int>(std::min<std::uint32_t>(notsent_lowat, 1U << 30)));
    }
}

net::Endpoint local_endpoint(int descriptor) noexcept {
    net::SocketAddress address;
    ::getsockname(descriptor, address.fill(), &address.length);
    return net::to_endpoint(address.get());
}

/// The error with which an asynchronous connect has ended, 0 when connected.
int connect_outcome(int descriptor) noexcept {
    int error = 0;
    socklen_t size = sizeof(error);
    return ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

std::unique_ptr<net::Connection> make_connection(Context& context, Descriptor descriptor,
                                                 const net::Endpoint& local, const net::Endpoint& remote,
                                                 Duration silence_max, std::string_view congestion_control) {
    net::limit_silence(descriptor.get(), silence_max);
    net::choose_congestion_control(descriptor.get(), congestion_control, local, remote);
    // Blocking for the ring: it waits by itself where a non-blocking socket would make it give up.
    const int flags = ::fcntl(descriptor.get(), F_GETFL);
    if (flags & O_NONBLOCK) ::fcntl(descriptor.get(), F_SETFL, flags & ~O_NONBLOCK);
    return std::make_unique<Connection>(Stream::open(context, descriptor.release(), local, remote),
                                        context.get_executor());
}

/// Fires at the connect's deadline, unless the wait ends first.
class Deadline {
public:
    Deadline(Context& context, Instant when, Readiness::Ptr readiness, std::string subject)
        : context_(context) {
        if (when == Instant::max()) return;
        timer_ = context.schedule(when, [readiness = std::move(readiness), subject = std::move(subject)] {
            readiness->waiter().complete(Error{Errc::timed_out, subject, {}, {}});
        });
    }
    ~Deadline() {
        if (timer_ != net::TimerId::None) context_.cancel_timer(timer_);
    }
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

private:
    Context& context_;
    net::TimerId timer_ = net::TimerId::None;
};

/// Stops the poll when its waiter leaves, however it does.
class StopGuard {
public:
    explicit StopGuard(Readiness::Ptr readiness) noexcept : readiness_(std::move(readiness)) {}
    ~StopGuard() { readiness_->stop(); }
    StopGuard(const StopGuard&) = delete;
    StopGuard& operator=(const StopGuard&) = delete;

private:
    Readiness::Ptr readiness_;
};

} // namespace

namespace {

/// Waits for the outcome of a connect under way; 0 when connected, else the errno value.
net::Task<result<int>> await_connect(Context& context, int descriptor, Instant deadline,
                                     std::string subject) {
    const Readiness::Ptr readiness(new Readiness(context, descriptor, POLLOUT));
    const StopGuard stop(readiness);
    const Deadline timer(context, deadline, readiness, subject);
    readiness->start();
    auto wait = readiness->waiter().async_wait(context.parking_lot(), context.get_executor(),
                                               net::Cancellable::Yes, "connect", asio::deferred);
    auto ended = co_await std::move(wait);
    if (!ended) co_return std::move(ended).error();
    co_return connect_outcome(descriptor);
}

net::Task<result<std::unique_ptr<net::Connection>>> try_connect(Context& context, net::Endpoint to,
                                                                net::ConnectOptions options) {
    const std::string subject = to.to_string();
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none)
        co_return Error{Errc::cancelled, subject, {}, {}};
    if (options.deadline <= context.now()) co_return Error{Errc::timed_out, subject, {}, {}};
    Descriptor descriptor(open_socket(to));
    if (descriptor.get() < 0) co_return from_errno(errno, subject);
    set_connection_options(descriptor.get(), options.notsent_lowat);

    const net::SocketAddress address(to);
    int error = ::connect(descriptor.get(), address.get(), address.length) == 0 ? 0 : errno;
    if (error == EINPROGRESS || error == EINTR) {
        const auto outcome = co_await await_connect(context, descriptor.get(), options.deadline, subject);
        if (!outcome) co_return outcome.error();
        error = *outcome;
    }
    if (error != 0) co_return from_errno(error, subject);
    const net::Endpoint local = local_endpoint(descriptor.get());
    // A socket whose ephemeral port equals its target port connects to itself.
    if (local == to) co_return Error{Errc::refused, subject, "it had connected to itself", {}};
    co_return make_connection(context, std::move(descriptor), local, to, options.silence_max,
                              options.congestion_control);
}

} // namespace

net::Task<result<std::unique_ptr<net::Connection>>> connect(Context& context, net::Endpoint to,
                                                            net::ConnectOptions options) {
    auto attempt = try_connect(context, to, options);
    auto outcome = co_await std::move(attempt);
    (outcome ? context.counters().connected : context.counters().connect_failed).add();
    co_return outcome;
}

namespace {

/// Polls first and then accepts: so no peer leaves the backlog before accept() is called, and a lack of
/// descriptors leaves peers there.
class Listener final : public net::Listener, private Dependent {
public:
    Listener(Context& context, Descriptor descriptor, const net::Endpoint& local,
             const net::ListenOptions& options)
        : context_(&context), descriptor_(std::move(descriptor)), local_(local), options_(options),
          readiness_(new Readiness(context, descriptor_.get(), POLLIN)) {
        context.add(*this);
    }
    ~Listener() override { close(); }

    net::Task<result<std::unique_ptr<net::Connection>>> accept() override;
    void close() override {
        if (!std::exchange(*open_, false)) return;
        readiness_->stop();
        // The poll still holds the socket for a moment: refuse newcomers from now on all the same.
        ::shutdown(descriptor_.get(), SHUT_RDWR);
        descriptor_.reset();
        readiness_->waiter().complete(closed_error());
    }
    const net::Endpoint& local() const noexcept override { return local_; }

private:
    using Accepted = result<std::unique_ptr<net::Connection>>;
    static bool is_peers_fault(int error) noexcept;
    Error closed_error() const { return {Errc::closed, local_.to_string(), {}, {}}; }
    std::optional<Accepted> try_accept();
    void orphan() noexcept override {
        *open_ = false;
        descriptor_.reset();
    }

    Context* context_;
    Descriptor descriptor_;
    net::Endpoint local_;
    const net::ListenOptions options_;
    Readiness::Ptr readiness_;
    unsigned in_a_row_ = 0;
    std::shared_ptr<bool> open_ = std::make_shared<bool>(true); ///< outlives us in a waiting accept()
};

/// accept(2): these belong to the connection that is already gone, not to the listener.
bool Listener::is_peers_fault(int error) noexcept {
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM: return true;
    default: return false;
    }
}

/// Nothing when the backlog is empty.
std::optional<Listener::Accepted> Listener::try_accept() {
    for (;;) {
        net::SocketAddress peer;
        const int accepted = ::accept4(descriptor_.get(), peer.fill(), &peer.length, SOCK_CLOEXEC);
        if (accepted >= 0) {
            context_->counters().accepted.add();
            set_connection_options(accepted, options_.notsent_lowat);
            Descriptor owned(accepted);
            const net::Endpoint local = local_endpoint(accepted);
            const net::Endpoint remote = net::to_endpoint(peer.get());
            return Accepted(make_connection(*context_, std::move(owned), local, remote, options_.silence_max,
                                            options_.congestion_control));
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) return std::nullopt;
        const int error = errno;
        if (is_peers_fault(error)) continue;
        context_->counters().accept_failed.add();
        return Accepted(
            from_errno(error, local_.to_string(), "raise RLIMIT_NOFILE or accept fewer connections"));
    }
}

net::Task<result<std::unique_ptr<net::Connection>>> Listener::accept() {
    const std::shared_ptr<const bool> open = open_;
    const net::Endpoint local = local_; // the Listener may be destroyed while we wait
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none)
        co_return Error{Errc::cancelled, local_.to_string(), {}, {}};
    if (*open && ++in_a_row_ > accepts_in_a_row_max) {
        in_a_row_ = 0;
        auto later = asio::post(context_->get_executor(), asio::deferred);
        co_await std::move(later);
    }
    while (*open) {
        if (auto accepted = try_accept()) co_return std::move(*accepted);
        in_a_row_ = 0;
        readiness_->start();
        auto wait = readiness_->waiter().async_wait(context_->parking_lot(), context_->get_executor(),
                                                    net::Cancellable::Yes, "accept", asio::deferred);
        auto ready = co_await std::move(wait);
        if (!ready) co_return std::move(ready).error();
    }
    co_return Error{Errc::closed, local.to_string(), {}, {}};
}

} // namespace

result<std::unique_ptr<net::Listener>> listen(Context& context, const net::Endpoint& at,
                                              const net::ListenOptions& options) {
    const auto failed = [&at](int error) {
        std::string advice;
        if (error == EADDRINUSE)
            advice = "use another port, or stop the process that listens";
        else if (error == EADDRNOTAVAIL)
            advice = "use an address of this machine";
        else if (error == EACCES)
            advice = "use a port from 1024 on, or grant CAP_NET_BIND_SERVICE";
        return from_errno(error, at.to_string(), std::move(advice));
    };
    Descriptor descriptor(open_socket(at));
    if (descriptor.get() < 0) return failed(errno);
    if (auto named = net::name_congestion_control(descriptor.get(), options.congestion_control); !named)
        return named.error();
    if (options.reuse_address) set_option(descriptor.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    // [::] and 0.0.0.0 are different endpoints, whatever the system's default is.
    if (at.family == net::Endpoint::Family::V6) set_option(descriptor.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
    const net::SocketAddress address(at);
    if (::bind(descriptor.get(), address.get(), address.length) != 0) return failed(errno);
    if (::listen(descriptor.get(), options.backlog) != 0) return failed(errno);
    const net::Endpoint local = local_endpoint(descriptor.get());
    return std::unique_ptr<net::Listener>(
        std::make_unique<Listener>(context, std::move(descriptor), local, options));
}

} // namespace muster::uring
