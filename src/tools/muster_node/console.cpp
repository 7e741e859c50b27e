// SPDX-License-Identifier: Apache-2.0
#include "console.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace muster::tools {
namespace {

sigset_t console_signals() noexcept {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    return signals;
}

LineWriter::Options output_options() {
    return {.thread_name = "muster-stdout",
            .queue_bytes_max = Console::output_bytes_max,
            .end_timeout = std::chrono::seconds{1},
            .dropped_line = [](std::uint64_t lines) {
                return fmt::format(R"({{"event":"output_dropped","lines":{}}})", lines);
            }};
}

} // namespace

bool Console::fill_standard_descriptors() noexcept {
    for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(descriptor, F_GETFD) >= 0) continue;
        // The lowest free number is this one, since those below are open.
        if (::open("/dev/null", O_RDWR) != descriptor) return false;
    }
    return true;
}

void Console::block_signals() noexcept {
    const sigset_t signals = console_signals();
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

Console::Console() : output_(STDOUT_FILENO, output_options()) {}

Console::~Console() {
    stop();
    if (signal_fd_ >= 0) ::close(signal_fd_);
    if (stop_fd_ >= 0) ::close(stop_fd_);
}

result<void> Console::start(Callbacks callbacks) {
    callbacks_ = std::move(callbacks);
    const sigset_t signals = console_signals();
    signal_fd_ = ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    stop_fd_ = signal_fd_ < 0 ? -1 : ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (stop_fd_ < 0)
        return Error{Errc::limit_reached,
                     "the console: " + std::generic_category().message(errno),
                     "raise the limit of open files",
                     {}};
    thread_ = std::thread([this] {
        pthread_setname_np(pthread_self(), "console");
        run();
    });
    return {};
}

void Console::stop() {
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(stop_fd_, &one, sizeof one);
    thread_.join();
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
            print(fmt::format(
                R"({{"event":"error","message":"an input line is longer than {} bytes; it is ignored"}})",
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
    while (::read(signal_fd_, &info, sizeof info) == sizeof info)
        callbacks_.on_signal(static_cast<int>(info.ssi_signo));
}

void Console::run() {
    for (;;) {
        pollfd fds[] = {
            {stop_fd_, POLLIN, 0}, {signal_fd_, POLLIN, 0}, {input_open_ ? STDIN_FILENO : -1, POLLIN, 0}};
        if (::poll(fds, 3, -1) < 0) continue;
        if (fds[0].revents != 0) return;
        if (fds[1].revents != 0) read_signals();
        if (fds[2].revents != 0) input_open_ = read_input();
    }
}

} // namespace muster::tools
