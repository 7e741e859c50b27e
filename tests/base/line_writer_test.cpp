// SPDX-License-Identifier: Apache-2.0
#include "base/line_writer.hpp"

#include <muster/ensure.hpp>

#include <array>
#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace std::chrono_literals;
using muster::LineWriter;

/// A pipe whose reader takes nothing until it is asked to.
class Pipe {
public:
    Pipe() { EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0); }
    ~Pipe() {
        close_reader();
        ::close(ends_[1]);
    }
    int writer() const { return ends_[1]; }
    void close_reader() {
        if (ends_[0] >= 0) ::close(ends_[0]);
        ends_[0] = -1;
    }
    /// No byte more fits.
    void fill() const {
        ::fcntl(ends_[1], F_SETFL, O_NONBLOCK);
        const std::array<char, 1> byte{'x'};
        while (::write(ends_[1], byte.data(), 1) == 1) {
        }
        ::fcntl(ends_[1], F_SETFL, 0);
    }
    /// Lines up to and including the one that ends in `last`.
    std::vector<std::string> read_until(std::string_view last) const {
        std::vector<std::string> lines;
        std::string line;
        for (char c = 0; ::read(ends_[0], &c, 1) == 1;) {
            if (c != '\n') {
                line += c;
                continue;
            }
            lines.push_back(std::exchange(line, {}));
            if (lines.back().ends_with(last)) break;
        }
        return lines;
    }

private:
    std::array<int, 2> ends_{-1, -1};
};

TEST(LineWriter, WritesLinesInOrder) {
    Pipe pipe;
    LineWriter lines{pipe.writer(), {}};
    for (const char* line : {"first", "", "third"}) EXPECT_TRUE(lines.write(line));
    EXPECT_TRUE(lines.flush(1min));
    EXPECT_EQ(pipe.read_until("third"), (std::vector<std::string>{"first", "", "third"}));
    EXPECT_EQ(lines.dropped(), 0U);
}

TEST(LineWriter, ALineLongerThanAPipeArrivesWhole) {
    Pipe pipe;
    LineWriter lines{pipe.writer(), {}};
    const std::string line = std::string(300'000, 'x') + "end";
    EXPECT_TRUE(lines.write(line));
    EXPECT_EQ(pipe.read_until("end"), std::vector{line});
}

TEST(LineWriter, AStuckReaderBlocksNobodyAndDroppedLinesAreReportedInTheirPlace) {
    Pipe pipe;
    pipe.fill();
    LineWriter lines{pipe.writer(), {.queue_bytes_max = 10'000, .dropped_line = [](std::uint64_t n) {
                                         return "dropped " + std::to_string(n);
                                     }}};
    std::uint64_t accepted = 0;
    for (int i = 0; i < 1000; ++i) accepted += lines.write(std::string(99, 'a')) ? 1 : 0;
    EXPECT_EQ(accepted, 100U);
    EXPECT_EQ(lines.dropped(), 900U);
    EXPECT_FALSE(lines.flush(1ms));
    const auto read = pipe.read_until("dropped 900"); // after what was queued, without another line
    EXPECT_EQ(read.size(), accepted + 1);
    EXPECT_TRUE(lines.write("after"));
    EXPECT_EQ(pipe.read_until("after"), std::vector<std::string>{"after"});
}

TEST(LineWriter, LinesWithALowerLimitLeaveTheRestOfTheQueueToOthers) {
    Pipe pipe;
    pipe.fill();
    LineWriter lines{pipe.writer(), {.queue_bytes_max = 10'000}};
    while (lines.write("from a stranger", 5'000)) {
    }
    EXPECT_TRUE(lines.write("our own"));
    pipe.read_until("our own");
}

TEST(LineWriter, TheEndDoesNotWaitForeverForAReader) {
    Pipe pipe;
    pipe.fill();
    LineWriter lines{pipe.writer(), {.end_timeout = 1ms}};
    lines.write("never read");
    lines.write("never read either");
    lines.end();
    EXPECT_FALSE(lines.write("too late"));
    EXPECT_GE(lines.dropped(), 1U);
}

TEST(LineWriter, TheEndWritesWhatIsQueued) {
    Pipe pipe;
    {
        LineWriter lines{pipe.writer(), {.end_timeout = 1min}};
        for (int i = 0; i < 100; ++i) lines.write("line");
        lines.write("last");
    }
    EXPECT_EQ(pipe.read_until("last").size(), 101U);
}

TEST(LineWriter, AReaderThatIsGoneEndsNoProcess) {
    Pipe pipe;
    pipe.close_reader();
    LineWriter lines{pipe.writer(), {}};
    EXPECT_TRUE(lines.write("nobody"));
    EXPECT_TRUE(lines.flush(1min));
    EXPECT_EQ(lines.dropped(), 1U);
}

TEST(LineWriter, ADescriptorThatDoesNotBlockIsWaitedFor) {
    Pipe pipe;
    pipe.fill();
    ::fcntl(pipe.writer(), F_SETFL, O_NONBLOCK);
    LineWriter lines{pipe.writer(), {}};
    EXPECT_TRUE(lines.write("end"));
    EXPECT_TRUE(pipe.read_until("end").back().ends_with("end"));
    EXPECT_TRUE(lines.flush(1min));
    EXPECT_EQ(lines.dropped(), 0U);
}

TEST(LineWriterDeathTest, AFailedEnsureWritesWhatIsQueuedFirst) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            muster::stderr_lines().write("said before");
            MUSTER_ENSURE(false, "the reason");
        },
        testing::KilledBySignal(SIGABRT), "^said before\nmuster: .*the reason");
}

TEST(LineWriterDeathTest, AFailedEnsureEndsTheProcessThoughNobodyReadsStderr) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            Pipe pipe;
            pipe.fill();
            ::dup2(pipe.writer(), STDERR_FILENO);
            muster::stderr_lines().write("never read");
            MUSTER_ENSURE(false, "never read either");
        },
        testing::KilledBySignal(SIGABRT), "");
}

} // namespace
