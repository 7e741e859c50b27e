#pragma once
/// stdin, stdout and signals of a tool on one thread of their own, so that a slow reader of stdout or a waiting terminal never
/// holds up the event loop.
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace muster::tools {

class Console {
public:
    struct Callbacks {
        std::function<void(std::string line)> on_line; ///< a line of stdin; on the console's thread
        std::function<void(int signal)> on_signal;     ///< SIGTERM or SIGINT; on the console's thread
    };
    /// Blocks SIGTERM and SIGINT in the calling thread and those it starts, and ignores SIGPIPE: construct it first in main().
    Console();
    /// Writes what is queued (for at most a second, should nobody read), then ends the thread.
    ~Console();
    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;

    void start(Callbacks callbacks);
    /// Queues a line for stdout. Any thread, never blocks. Beyond `lines_max` unread lines new ones are dropped and counted; the
    /// count is printed once there is room again.
    void print(std::string line);

private:
    static constexpr std::size_t lines_max = 100'000;
    static constexpr std::size_t input_line_max = 64 * 1024;
    void run();
    bool read_input();
    void read_signals();
    void take_queued_lines();
    void write_output();
    void split_lines();
    void wake() noexcept;

    Callbacks callbacks_;
    int signal_fd_ = -1;
    int wake_fd_ = -1;
    bool input_open_ = true;
    bool discarding_ = false; ///< in the middle of an input line that was too long
    std::string input_;
    std::string output_; ///< being written
    std::mutex mutex_;
    std::deque<std::string> lines_;
    std::uint64_t dropped_ = 0;
    bool ending_ = false;
    std::thread thread_;
};

} // namespace muster::tools
