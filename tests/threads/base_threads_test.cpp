// SPDX-License-Identifier: Apache-2.0
// The parts of base that any thread may use. The assertions hold without ThreadSanitizer, too; under it, a
// missing lock or a wrong memory order is a failure even where the numbers come out right.
#include "base/line_writer.hpp"
#include <muster/address.hpp>
#include <muster/buffer.hpp>
#include <muster/log.hpp>
#include <muster/metrics.hpp>

#include <array>
#include <atomic>
#include <barrier>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using muster::Buffer;
using muster::ChunkPool;
using muster::Slice;

constexpr int thread_count = 4;
constexpr int rounds = 2'000;

/// Runs `body(thread number)` on `thread_count` threads that start together, and waits for all.
template <class Body>
void run_together(Body body) {
    std::barrier start{thread_count};
    std::vector<std::jthread> threads;
    for (int number = 0; number < thread_count; ++number) {
        threads.emplace_back([&start, &body, number] {
            start.arrive_and_wait();
            body(number);
        });
    }
}

TEST(BufferThreads, TheLastReferenceOnWhicheverThreadRecyclesOnce) {
    class Counted final : public Buffer {
    public:
        explicit Counted(std::atomic<int>& recycled) : Buffer(nullptr, 0), recycled_(recycled) {}

    private:
        void recycle() noexcept override { recycled_.fetch_add(1); }
        std::atomic<int>& recycled_;
    };
    std::atomic<int> recycled{0};
    Counted buffer{recycled};
    {
        const Slice shared = Slice::adopt(&buffer, {});
        run_together([&shared](int) {
            for (int i = 0; i < rounds; ++i) {
                Slice copy = shared;
                const Slice moved = std::move(copy);
            }
        });
        EXPECT_EQ(buffer.references(), 1U);
        EXPECT_EQ(recycled.load(), 0);
    }
    EXPECT_EQ(recycled.load(), 1);
}

TEST(BufferThreads, WhatOneThreadWroteTheLastOneMayFree) {
    for (int i = 0; i < rounds / 10; ++i) {
        std::vector<Slice> slices(thread_count, Slice::copy_of("written before the threads start"));
        run_together([&slices](int number) {
            Slice& own = slices[static_cast<std::size_t>(number)];
            EXPECT_EQ(own.text().size(), 32U);
            own = Slice{};
        });
    }
}

TEST(ChunkPoolThreads, AChunkBelongsToOneThreadAtATime) {
    const auto pool =
        ChunkPool::create(64, 2); // less than the threads hold, so that chunks are freed and made as well
    run_together([&pool](int number) {
        for (int i = 0; i < rounds; ++i) {
            Buffer* chunk = pool->take();
            std::memset(chunk->data(), number, chunk->size());
            for (std::size_t at = 0; at < chunk->size(); at += 16)
                ASSERT_EQ(chunk->data()[at], static_cast<std::byte>(number));
            chunk->release();
        }
    });
    EXPECT_EQ(pool->in_use(), 0U);
}

TEST(ChunkPoolThreads, AChunkTakenHereMayComeBackFromThereAfterThePoolsOwnerIsGone) {
    for (int i = 0; i < rounds / 10; ++i) {
        auto pool = ChunkPool::create(64, 2);
        std::vector<Slice> slices;
        for (int n = 0; n < thread_count; ++n) slices.push_back(Slice::adopt(pool->take(), {}));
        const std::weak_ptr<ChunkPool> watched = pool;
        pool.reset();
        run_together([&slices](int number) { slices[static_cast<std::size_t>(number)] = Slice{}; });
        EXPECT_TRUE(watched.expired());
    }
}

TEST(MetricsThreads, NoIncrementIsLostWhileOthersRegisterAndRead) {
    muster::Metrics metrics;
    run_together([&metrics](int number) {
        for (int i = 0; i < rounds; ++i) {
            metrics.counter("shared").add();
            metrics.histogram("sizes").record(static_cast<std::uint64_t>(i));
            metrics.gauge("level").add(number % 2 == 0 ? 1 : -1);
            if (i % 100 == 0) {
                metrics.counter("own." + std::to_string(number) + "." + std::to_string(i)).add();
                metrics.snapshot();
            }
        }
    });
    EXPECT_EQ(metrics.value("shared"), thread_count * rounds);
    EXPECT_EQ(metrics.value("level"), 0);
    EXPECT_EQ(metrics.histogram("sizes").count(), std::uint64_t{thread_count} * rounds);
    EXPECT_EQ(metrics.histogram("sizes").max(), std::uint64_t{rounds - 1});
}

TEST(LoggerThreads, RecordsReachTheSinkOneAtATimeAndNoneIsLost) {
    /// Not thread-safe on purpose: the Logger serialises.
    class Plain final : public muster::LogSink {
    public:
        void write(const muster::LogRecord& record) noexcept override {
            ++written;
            suppressed += record.suppressed;
        }
        std::uint64_t written = 0;
        std::uint64_t suppressed = 0;
    };
    const auto sink = std::make_shared<Plain>();
    std::atomic<std::int64_t> now{0};
    {
        muster::Logger logger{sink,
                              [&now] { return muster::WallTime{now.load()}; },
                              {.burst = 3, .window = std::chrono::milliseconds{1}, .keys_max = 8}};
        run_together([&](int number) {
            for (int i = 0; i < rounds; ++i) {
                if (number == 0 && i % 10 == 0) now.fetch_add(1);
                logger.warning("test.code", "one peer", {{"thread", std::to_string(number)}});
            }
        });
        now.fetch_add(1); // the next window tells what the last one swallowed
        logger.warning("test.code", "one peer");
    }
    EXPECT_EQ(sink->written + sink->suppressed, std::uint64_t{thread_count} * rounds + 1);
    EXPECT_LT(sink->written, std::uint64_t{thread_count} * rounds);
}

TEST(LineWriterThreads, EveryLineIsWrittenWholeAndInItsThreadsOrderOrCounted) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    std::vector<int> seen(thread_count, -1);
    std::uint64_t read = 0;
    std::jthread reader{[&] {
        std::string line;
        std::array<char, 4096> part{};
        for (ssize_t got = 0; (got = ::read(ends[0], part.data(), part.size())) > 0;) {
            for (const char c : std::string_view{part.data(), static_cast<std::size_t>(got)}) {
                if (c != '\n') {
                    line += c;
                    continue;
                }
                const auto thread = static_cast<std::size_t>(line.at(0) - '0');
                const int number = std::stoi(line.substr(2));
                EXPECT_GT(number, seen.at(thread));
                seen.at(thread) = number;
                ++read;
                line.clear();
            }
        }
    }};
    {
        muster::LineWriter lines{ends[1],
                                 {.queue_bytes_max = 64 * 1024, .end_timeout = std::chrono::minutes{1}}};
        run_together([&lines](int thread) {
            for (int i = 0; i < rounds; ++i) {
                lines.write(std::to_string(thread) + ' ' + std::to_string(i));
                if (i % 500 == 0) lines.flush(std::chrono::minutes{1});
            }
        });
        ASSERT_TRUE(lines.flush(std::chrono::minutes{1}));
        ::close(ends[1]);
        reader.join();
        EXPECT_EQ(read + lines.dropped(), std::uint64_t{thread_count} * rounds);
    }
    ::close(ends[0]);
}

TEST(MemoryLogSinkThreads, MayBeReadWhileItIsWritten) {
    muster::MemoryLogSink sink{100};
    run_together([&sink](int number) {
        for (int i = 0; i < rounds / 4; ++i) {
            if (number == 0) {
                EXPECT_LE(sink.records().size(), 100U);
                EXPECT_LE(sink.count("test.code"), 100U);
            } else {
                sink.write({.when = {}, .level = muster::LogLevel::Info, .code = "test.code", .fields = {}});
            }
        }
    });
    EXPECT_EQ(sink.records().size(), 100U);
}

TEST(UniqueAddressThreads, OneValueIsSharedByAllThreads) {
    const muster::UniqueAddress shared{muster::Address::remote("akka.tcp", "sys", "host", 1), muster::Uid{1}};
    run_together([&shared](int) {
        for (int i = 0; i < rounds; ++i) {
            const muster::UniqueAddress copy = shared; // NOLINT(performance-unnecessary-copy-initialization)
            const muster::UniqueAddress unknown;
            ASSERT_EQ(copy.key(), shared.key());
            ASSERT_TRUE(unknown.is_unknown());
        }
    });
}

} // namespace
