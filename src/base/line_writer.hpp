// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Writes lines to a file descriptor whose reader may be slow, stopped or gone, without ever blocking the
/// caller.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace muster {

/// A bounded queue of lines before one descriptor, with a thread of its own that is started by the first
/// line. A full pipe, a stopped terminal or a hanging disk blocks that thread and no other. Lines reach the
/// descriptor in the order of write(). Thread-safe. The descriptor stays the caller's.
class LineWriter {
public:
    struct Options {
        std::string thread_name = "muster-lines"; ///< at most 15 bytes
        /// Bytes queued or being written, 1 or more. Beyond it new lines are dropped and counted.
        std::size_t queue_bytes_max = 1024 * 1024;
        /// The longest that end() waits for the reader, 0 or more.
        std::chrono::milliseconds end_timeout{500};
        /// Makes the line that reports dropped lines, written in their place as soon as there is room; empty:
        /// none.
        std::function<std::string(std::uint64_t lines)> dropped_line;
    };
    LineWriter(int descriptor, Options options);
    ~LineWriter(); ///< end()
    LineWriter(const LineWriter&) = delete;
    LineWriter& operator=(const LineWriter&) = delete;

    /// Queues `line` and a line break. False when it was dropped. Never blocks.
    bool write(std::string_view line) noexcept { return write(line, options_->queue_bytes_max); }
    /// The same for lines that may fill only `queue_bytes_max` bytes of the queue: the rest stays free for
    /// others.
    bool write(std::string_view line, std::size_t queue_bytes_max) noexcept;
    /// Waits until all lines queued before are written. False when that took longer.
    bool flush(std::chrono::milliseconds timeout) noexcept;
    /// Writes the queue for at most `end_timeout` and drops the rest. A later line is written by its caller
    /// if the descriptor takes it at once, and dropped otherwise.
    void end() noexcept;
    /// Lines dropped so far, for want of room or because the descriptor refused them.
    std::uint64_t dropped() const noexcept;

private:
    struct State; // shared with the thread, which may hang in a write for longer than the writer lives
    std::shared_ptr<State> state_;
    const Options* options_;
};

/// The queue before stderr (1 MiB, thread "muster-log") that stderr_log_sink() writes to, for a program's own
/// lines in the same order. Ended when static objects are destroyed.
LineWriter& stderr_lines();

namespace detail {
/// Waits until every LineWriter of this process has written its queue, or `timeout` has passed. Takes no lock
/// and allocates nothing: for a process that is about to abort.
void wait_for_lines(std::chrono::milliseconds timeout) noexcept;
/// Writes `text` to `descriptor` for at most about `timeout`, even if the reader hangs. Takes no lock,
/// allocates nothing, and takes over SIGALRM: for a process that is about to abort.
void write_last_words(int descriptor, std::string_view text, std::chrono::milliseconds timeout) noexcept;
} // namespace detail

} // namespace muster
