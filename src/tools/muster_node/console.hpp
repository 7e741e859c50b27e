// SPDX-License-Identifier: Apache-2.0
#pragma once
/// stdin, stdout and signals of a tool, none of which ever holds up the event loop: stdin and signals are
/// read on the thread "console", stdout is written by the thread "muster-stdout". A terminal that is stopped
/// and a pipe that nobody reads stop only the latter.
#include "base/line_writer.hpp"
#include <functional>
#include <muster/error.hpp>
#include <string>
#include <string_view>
#include <thread>

namespace muster::tools {

class Console {
public:
    struct Callbacks {
        std::function<void(std::string line)> on_line; ///< a line of stdin; on the console's thread
        std::function<void(int signal)> on_signal;     ///< SIGTERM, SIGINT or SIGHUP; on the console's thread
    };
    /// Bytes of lines that nobody has read yet; beyond them new lines are dropped and counted.
    static constexpr std::size_t output_bytes_max = 16 * 1024 * 1024;

    /// Opens /dev/null for each of the descriptors 0, 1 and 2 that is closed: the next file, socket or
    /// eventfd would take its place. False when that fails. First in main().
    static bool fill_standard_descriptors() noexcept;
    /// Blocks SIGTERM, SIGINT and SIGHUP in the calling thread and those it starts, and ignores SIGPIPE. In
    /// main(), before any thread.
    static void block_signals() noexcept;

    Console();
    /// stop(); then writes what is queued, for at most a second, should nobody read.
    ~Console();
    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;

    /// Errors: no descriptor left.
    result<void> start(Callbacks callbacks);
    /// No callback is called any more.
    void stop();
    /// Queues a line for stdout. Any thread, never blocks. `{"event":"output_dropped",..}` says how many did
    /// not fit.
    void print(std::string_view line) { output_.write(line); }
    /// The same for lines whose number peers decide: they get half of the queue, so that events still find
    /// room.
    void print_from_peer(std::string_view line) { output_.write(line, output_bytes_max / 2); }

private:
    static constexpr std::size_t input_line_max = 64 * 1024;
    void run();
    bool read_input();
    void read_signals();
    void split_lines();

    Callbacks callbacks_;
    LineWriter output_;
    int signal_fd_ = -1;
    int stop_fd_ = -1;
    bool input_open_ = true;
    bool discarding_ = false; ///< in the middle of an input line that was too long
    std::string input_;
    std::thread thread_;
};

} // namespace muster::tools
