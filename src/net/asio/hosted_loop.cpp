// SPDX-License-Identifier: Apache-2.0
#include "epoll_loop.hpp"
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <sys/epoll.h>
#include <sys/timerfd.h>

namespace muster::net::epoll {

namespace asio = boost::asio;

namespace {

/// The loop inside the user's io_context. A pump is one turn, as a handler of that context. Between pumps the
/// loop counts as asleep, so whatever happens (socket, timer, post from any thread) makes the epoll
/// descriptor readable, and that starts the next pump.
class HostedLoop final : public EpollLoop {
public:
    explicit HostedLoop(asio::io_context& context)
        : context_(context), descriptor_(context), link_(std::make_shared<Link>(Link{this})) {}

    ~HostedLoop() override {
        HostedLoop::terminate();
        if (descriptor_.is_open()) descriptor_.release(); // epoll_ closes it
    }

    result<void> start() {
        if (auto opened = open(); !opened) return opened;
        timer_ = Fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
        if (!timer_) return from_errno(errno, "timerfd_create", "raise RLIMIT_NOFILE");
        epoll_event event{};
        event.events = EPOLLIN | EPOLLET; // armed again before it would be read, so never read
        if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, timer_.get(), &event) != 0)
            return from_errno(errno, "epoll_ctl");
        boost::system::error_code ec;
        descriptor_.assign(epoll_.get(), ec);
        if (ec) return from_errno(ec.value(), "epoll in an io_context");
        pump_soon();
        return {};
    }

    bool hosted() const noexcept override { return true; }

    void terminate() noexcept override {
        link_->loop = nullptr;
        if (std::exchange(asleep_, false)) awake();
        close();
    }

    void timer_set() noexcept override {
        // Called from a user's handler: the next pump checks the timers.
        if (!running_in_this_thread() && next_timer() < armed_) wake();
    }

private:
    /// The state that handlers in the io_context's queues hold, since they may outlive the loop.
    struct Link {
        HostedLoop* loop;
    };

    // The io_context waits, not poll().
    void poll(Instant) override { dispatch(Duration::zero()); }

    void pump() {
        if (asleep_) awake();
        asleep_ = false;
        // A handler's exception leaves the user's io_context::run(); the loop goes on.
        struct Rearm {
            HostedLoop& loop;
            ~Rearm() { loop.sleep(); }
        } rearm{*this};
        run_until(now(), AtLimit::Return);
    }

    void sleep() {
        asleep_ = !has_ready() && !others_wait() && prepare_sleep();
        if (!asleep_) return pump_soon();
        arm(next_timer());
        descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                               [link = link_](const boost::system::error_code&) {
                                   if (link->loop) link->loop->pump();
                               });
    }

    void pump_soon() {
        asio::post(context_, [link = link_] {
            if (link->loop) link->loop->pump();
        });
    }

    void arm(Instant when) noexcept {
        // An earlier deadline that was armed and cancelled costs one idle pump, which is cheaper than
        // disarming.
        if (armed_ <= when && armed_ > now()) return;
        armed_ = when;
        itimerspec at{};
        if (when != Instant::max()) {
            const auto ns = std::max<Duration::rep>(when.time_since_epoch().count(), 1); // 0 would disarm
            at.it_value = {.tv_sec = static_cast<time_t>(ns / 1'000'000'000),
                           .tv_nsec = static_cast<long>(ns % 1'000'000'000)};
        }
        timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &at, nullptr);
    }

    asio::io_context& context_;
    Fd timer_;
    Instant armed_ = Instant::max();
    bool asleep_ = false;
    asio::posix::stream_descriptor descriptor_;
    std::shared_ptr<Link> link_;
};

} // namespace

result<std::unique_ptr<EpollLoop>> EpollLoop::create(asio::io_context& context) {
    auto loop = std::make_unique<HostedLoop>(context);
    if (auto started = loop->start(); !started) return started.error();
    return result<std::unique_ptr<EpollLoop>>(std::move(loop));
}

} // namespace muster::net::epoll
