// SPDX-License-Identifier: Apache-2.0
#include "line_writer.hpp"
#include "own_thread.hpp"
#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <ctime>
#include <deque>
#include <mutex>
#include <poll.h>
#include <pthread.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace muster {
namespace {

/// The most bytes for one write(2), unless a single line is longer: a pipe takes that much atomically
/// (PIPE_BUF), so the lines of several processes do not mix.
constexpr std::size_t write_bytes_max = 4096;

/// Lines queued by all writers together, counted outside the queues because an aborting thread may hold a
/// queue's lock.
std::atomic<std::size_t> unwritten_bytes{0};
/// The process that queued them: a forked child inherits the number, but not the threads.
std::atomic<pid_t> unwritten_process{0};

/// May block for as long as the reader likes. False when the descriptor takes nothing (any more).
bool write_all(int descriptor, std::string_view rest) noexcept {
    while (!rest.empty()) {
        const auto written = ::write(descriptor, rest.data(), rest.size());
        if (written > 0) {
            rest.remove_prefix(static_cast<std::size_t>(written));
        } else if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            pollfd writable{descriptor, POLLOUT, 0};
            ::poll(&writable, 1, -1);
        } else if (written == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

/// Writes on the caller's thread, when no other can be started: only what the descriptor takes at once.
bool write_if_ready(int descriptor, std::string_view line) {
    pollfd writable{descriptor, POLLOUT, 0};
    if (::poll(&writable, 1, 0) != 1 || (writable.revents & POLLOUT) == 0) return false;
    std::string text(line.substr(0, write_bytes_max - 1));
    text += '\n';
    return ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

} // namespace

struct LineWriter::State {
    State(int d, Options o) : descriptor(d), options(std::move(o)) {}

    const int descriptor;
    const Options options;
    const pid_t process = ::getpid();
    std::atomic<std::uint64_t> dropped{0};

    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::string> lines; // each with its line break
    std::size_t bytes = 0;         // of `lines`, and of what is being written
    std::uint64_t untold = 0;      // dropped lines that no line has told of
    bool running = false;          // the thread
    bool ended = false;

    void drop(std::uint64_t count) noexcept {
        dropped.fetch_add(count, std::memory_order_relaxed);
        untold += count;
    }
    void add(std::string line) {
        const std::size_t size = line.size();
        lines.push_back(std::move(line));
        bytes += size;
        unwritten_bytes.fetch_add(size);
    }
    void remove(std::size_t size) noexcept {
        bytes -= size;
        unwritten_bytes.fetch_sub(size);
    }
    void tell_of_dropped() {
        if (untold == 0) return;
        if (options.dropped_line) add(options.dropped_line(untold) + '\n');
        untold = 0;
    }
    static bool start(const std::shared_ptr<State>& self) noexcept;
    static void run(const std::shared_ptr<State>& self);
    void write_some(std::unique_lock<std::mutex>& lock, std::string& chunk);
};

/// With the lock held. False when the system has no thread for us.
bool LineWriter::State::start(const std::shared_ptr<State>& self) noexcept {
    try {
        // The thread may hang in a write, so nothing can join it. With its signals blocked, SIGTTOU does not
        // stop it for writing to its terminal and SIGPIPE does not end it.
        own_thread(self->options.thread_name, [self] { run(self); }).detach();
        self->running = true;
        unwritten_process.store(self->process);
    } catch (...) {
        // No thread: the caller writes by itself.
    }
    return self->running;
}

void LineWriter::State::run(const std::shared_ptr<State>& self) {
    std::string chunk;
    std::unique_lock lock{self->mutex};
    while (true) {
        self->changed.wait(lock, [&] { return !self->lines.empty() || self->ended; });
        if (self->lines.empty()) break;
        self->write_some(lock, chunk);
    }
    self->running = false;
    self->changed.notify_all();
}

/// Writes some whole lines from the front. Releases the lock while it writes.
void LineWriter::State::write_some(std::unique_lock<std::mutex>& lock, std::string& chunk) {
    std::uint64_t count = 0;
    chunk.clear();
    do {
        chunk += lines.front();
        lines.pop_front();
        ++count;
    } while (!lines.empty() && chunk.size() + lines.front().size() <= write_bytes_max);
    lock.unlock();
    const bool written = write_all(descriptor, chunk);
    lock.lock();
    remove(chunk.size());
    if (chunk.capacity() > 64 * write_bytes_max) std::string{}.swap(chunk);
    if (!written) {
        drop(count); // reported with the next line, since nothing can be written now
    } else if (lines.empty() && !ended) {
        tell_of_dropped();
    }
    changed.notify_all();
}

LineWriter::LineWriter(int descriptor, Options options)
    : state_(std::make_shared<State>(descriptor, std::move(options))), options_(&state_->options) {}

LineWriter::~LineWriter() { end(); }

bool LineWriter::write(std::string_view line, std::size_t queue_bytes_max) noexcept try {
    State& s = *state_;
    // A forked child has a copy of the queue, and neither its thread nor a lock that can be trusted.
    if (::getpid() != s.process) return write_if_ready(s.descriptor, line);
    const std::unique_lock lock{s.mutex};
    if (s.ended) {
        if (write_if_ready(s.descriptor, line)) return true;
        s.drop(1);
        return false;
    }
    if (s.bytes + line.size() + 1 > queue_bytes_max) {
        s.drop(1);
        return false;
    }
    if (!s.running && !State::start(state_)) {
        if (write_if_ready(s.descriptor, line)) return true;
        s.drop(1);
        return false;
    }
    s.tell_of_dropped();
    std::string text;
    text.reserve(line.size() + 1);
    text.append(line).push_back('\n');
    s.add(std::move(text));
    s.changed.notify_all();
    return true;
} catch (...) {
    state_->dropped.fetch_add(1, std::memory_order_relaxed); // out of memory
    return false;
}

bool LineWriter::flush(std::chrono::milliseconds timeout) noexcept {
    State& s = *state_;
    if (::getpid() != s.process) return true;
    std::unique_lock lock{s.mutex};
    return s.changed.wait_for(lock, timeout, [&s] { return s.bytes == 0; });
}

void LineWriter::end() noexcept {
    State& s = *state_;
    if (::getpid() != s.process) return;
    flush(s.options.end_timeout);
    const std::unique_lock lock{s.mutex};
    s.ended = true;
    std::size_t left = 0;
    for (const std::string& line : s.lines) left += line.size();
    s.drop(s.lines.size());
    s.lines.clear();
    s.remove(left);
    s.changed.notify_all();
}

std::uint64_t LineWriter::dropped() const noexcept { return state_->dropped.load(std::memory_order_relaxed); }

namespace detail {
namespace {

std::chrono::nanoseconds now() noexcept {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec};
}

/// Makes SIGALRM interrupt any system call of this thread after `delay`.
void interrupt_after(std::chrono::milliseconds delay) noexcept {
    struct sigaction nothing {};
    nothing.sa_handler = [](int) {}; // without SA_RESTART: the system call ends with EINTR
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGALRM;
#ifdef sigev_notify_thread_id
    event.sigev_notify_thread_id = ::gettid();
#else
    event._sigev_un._tid = ::gettid();
#endif
    timer_t timer{};
    if (sigaction(SIGALRM, &nothing, nullptr) != 0 || pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr) != 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
        return;
    itimerspec when{};
    when.it_value.tv_sec = delay.count() / 1000;
    when.it_value.tv_nsec = delay.count() % 1000 * 1'000'000 + 1;
    when.it_interval.tv_nsec = 50'000'000; // again, should it have come just before the call
    timer_settime(timer, 0, &when, nullptr);
}

} // namespace

void wait_for_lines(std::chrono::milliseconds timeout) noexcept {
    if (unwritten_process.load() != ::getpid()) return;
    const auto deadline = now() + timeout;
    const timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
    while (unwritten_bytes.load() != 0 && now() < deadline) nanosleep(&pause, nullptr);
}

void write_last_words(int descriptor, std::string_view text, std::chrono::milliseconds timeout) noexcept {
    pollfd writable{descriptor, POLLOUT, 0};
    if (::poll(&writable, 1, static_cast<int>(timeout.count())) == 0) return;
    // Another process may fill the pipe between the look and the write.
    interrupt_after(timeout);
    while (!text.empty()) {
        const auto written = ::write(descriptor, text.data(), text.size());
        if (written <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

} // namespace detail

} // namespace muster
