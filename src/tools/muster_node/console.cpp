#include "console.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <muster/ensure.hpp>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <utility>

namespace muster::tools {

Console::Console() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    MUSTER_ENSURE(pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0, "SIGTERM and SIGINT can be blocked");
    std::signal(SIGPIPE, SIG_IGN);
    signal_fd_ = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    MUSTER_ENSURE(signal_fd_ >= 0 && wake_fd_ >= 0, "a process can open two more descriptors at its start");
}

Console::~Console() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    wake();
    if (thread_.joinable()) thread_.join();
    ::close(signal_fd_);
    ::close(wake_fd_);
}

void Console::start(Callbacks callbacks) {
    callbacks_ = std::move(callbacks);
    thread_ = std::thread([this] {
        pthread_setname_np(pthread_self(), "console");
        run();
    });
}

void Console::wake() noexcept {
    const std::uint64_t one = 1;
    // A full counter means that a wake-up is pending already.
    [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
}

void Console::print(std::string line) {
    {
        const std::lock_guard lock(mutex_);
        if (lines_.size() >= lines_max) {
            ++dropped_;
            return;
        }
        lines_.push_back(std::move(line));
    }
    wake();
}

void Console::take_queued_lines() {
    const std::lock_guard lock(mutex_);
    while (!lines_.empty() && output_.size() < 256 * 1024) {
        output_ += lines_.front();
        output_ += '\n';
        lines_.pop_front();
    }
    if (dropped_ != 0 && lines_.empty()) {
        output_ += fmt::format("{{\"event\":\"output_dropped\",\"lines\":{}}}\n", std::exchange(dropped_, 0));
    }
}

void Console::write_output() {
    pollfd writable{STDOUT_FILENO, POLLOUT, 0};
    while (!output_.empty() && ::poll(&writable, 1, 0) == 1) {
        // At most PIPE_BUF at a time: a writable pipe takes that much without blocking.
        const auto written = ::write(STDOUT_FILENO, output_.data(), std::min<std::size_t>(output_.size(), 4096));
        if (written < 0 && errno != EINTR && errno != EAGAIN) {
            output_.clear(); // nobody will ever read it: the node goes on without stdout
            return;
        }
        if (written > 0) output_.erase(0, static_cast<std::size_t>(written));
    }
}

void Console::split_lines() {
    for (std::size_t end; (end = input_.find('\n')) != std::string::npos;) {
        std::string line = input_.substr(0, end);
        input_.erase(0, end + 1);
        if (std::exchange(discarding_, false)) continue;
        if (!line.empty() && line.back() == '\r') line.pop_back();
        callbacks_.on_line(std::move(line));
    }
    if (input_.size() > input_line_max) {
        if (!std::exchange(discarding_, true))
            print(fmt::format(R"({{"event":"error","message":"an input line is longer than {} bytes; it is ignored"}})",
                              input_line_max));
        input_.clear();
    }
}

bool Console::read_input() {
    char buffer[16 * 1024];
    const auto got = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0) return errno == EINTR || errno == EAGAIN;
    if (got == 0) return false; // the end of stdin stops no node: it may run without a terminal
    input_.append(buffer, static_cast<std::size_t>(got));
    split_lines();
    return true;
}

void Console::read_signals() {
    signalfd_siginfo info{};
    while (::read(signal_fd_, &info, sizeof info) == sizeof info) callbacks_.on_signal(static_cast<int>(info.ssi_signo));
}

void Console::run() {
    int idle_polls_at_end = 0;
    for (;;) {
        take_queued_lines();
        write_output();
        bool ending = false;
        {
            const std::lock_guard lock(mutex_);
            ending = ending_;
            if (ending && lines_.empty() && output_.empty()) return;
        }
        if (ending && ++idle_polls_at_end > 100) return;
        pollfd fds[] = {{wake_fd_, POLLIN, 0},
                        {signal_fd_, POLLIN, 0},
                        {input_open_ ? STDIN_FILENO : -1, POLLIN, 0},
                        {output_.empty() ? -1 : STDOUT_FILENO, POLLOUT, 0}};
        if (::poll(fds, 4, ending ? 10 : -1) < 0) continue;
        if (fds[0].revents != 0) {
            std::uint64_t count = 0;
            [[maybe_unused]] const auto got = ::read(wake_fd_, &count, sizeof count);
        }
        if (fds[1].revents != 0) read_signals();
        if (fds[2].revents != 0) input_open_ = read_input();
    }
}

} // namespace muster::tools
