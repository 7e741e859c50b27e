// SPDX-License-Identifier: Apache-2.0
#include "epoll_loop.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <limits>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace muster::net::epoll {

namespace {

constexpr Duration forever{-1};

timespec to_timespec(Duration d) noexcept {
    return {.tv_sec = static_cast<time_t>(d.count() / 1'000'000'000),
            .tv_nsec = static_cast<long>(d.count() % 1'000'000'000)};
}

int to_milliseconds(Duration wait) noexcept {
    if (wait < Duration::zero()) return -1;
    // Rounded up: a timer may be late, never early.
    const auto ms = (wait.count() + 999'999) / 1'000'000;
    return static_cast<int>(std::min<Duration::rep>(ms, std::numeric_limits<int>::max()));
}

} // namespace

void Fd::reset() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

result<std::unique_ptr<EpollLoop>> EpollLoop::create() {
    std::unique_ptr<EpollLoop> loop(new EpollLoop);
    if (auto opened = loop->open(); !opened) return opened.error();
    return loop;
}

result<void> EpollLoop::open() {
    epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return from_errno(errno, "epoll_create1", "raise RLIMIT_NOFILE");
    event_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event_) return from_errno(errno, "eventfd", "raise RLIMIT_NOFILE");
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET; // each write is an edge, so the counter is never read
    event.data.ptr = nullptr;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, event_.get(), &event) != 0)
        return from_errno(errno, "epoll_ctl");
    parking_lot_ = &ParkingLot::of(get_executor());
    return {};
}

EpollLoop::~EpollLoop() { close(); }

result<void> EpollLoop::watch(int fd, Watched& watched) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &watched;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
    if (errno == ENOSPC)
        return Error{Errc::limit_reached,
                     "epoll_ctl",
                     "raise fs.epoll.max_user_watches",
                     {ENOSPC, boost::system::system_category()}};
    return from_errno(errno, "epoll_ctl");
}

void EpollLoop::next_turn(Watched& watched) noexcept {
    if (!watched.is_linked()) next_turn_.push_back(watched);
}

Instant EpollLoop::now() const noexcept {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return Instant(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
}

void EpollLoop::poll(Instant deadline) {
    Duration wait = Duration::zero();
    if (!others_wait()) {
        if (deadline == Instant::max())
            wait = forever;
        else if (deadline != Instant::min())
            wait = std::max(deadline - now(), Duration::zero());
    }
    const bool sleeps = wait != Duration::zero() && prepare_sleep();
    dispatch(sleeps ? wait : Duration::zero());
    if (sleeps) awake();
}

void EpollLoop::wake() noexcept {
    const std::uint64_t one = 1;
    // Fails only when the counter is full of pending wakes.
    [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof(one));
}

void EpollLoop::dispatch(Duration wait) {
    std::array<epoll_event, 256> events;
    const int size = static_cast<int>(events.size());
    int count = -1;
    if (nanosecond_wait_ && wait > Duration::zero()) {
        const timespec timeout = to_timespec(wait);
        count = epoll_pwait2(epoll_.get(), events.data(), size, &timeout, nullptr);
        // Kernels before 5.11 and some sandboxes do not have it.
        if (count < 0 && (errno == ENOSYS || errno == EPERM)) nanosecond_wait_ = false;
    }
    if (!nanosecond_wait_ || wait <= Duration::zero())
        count = epoll_wait(epoll_.get(), events.data(), size, to_milliseconds(wait));
    MUSTER_ENSURE(count >= 0 || errno == EINTR, "epoll_wait fails only when interrupted");

    ++turn_;
    for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        if (event.data.ptr) static_cast<Watched*>(event.data.ptr)->on_events(event.events);
    }
    List due;
    due.swap(next_turn_);
    while (!due.empty()) {
        Watched& watched = due.front();
        due.pop_front();
        watched.on_events(0);
    }
}

} // namespace muster::net::epoll
