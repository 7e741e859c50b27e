// SPDX-License-Identifier: Apache-2.0
#include "outbox.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <thread>

namespace muster::transport {
namespace {

constexpr Outbox::Limits roomy{.bytes_max = 1 << 20, .waiting_max = 100, .waiting_bytes_max = 1 << 20};

struct OutboxTest : testing::Test {
    std::shared_ptr<ChunkPool> chunks = ChunkPool::create();

    static Outbox::Put put(Outbox& outbox, std::string_view text) {
        return outbox.put(text.size(), [&](std::byte* out) { std::memcpy(out, text.data(), text.size()); });
    }
    static std::string take(Outbox& outbox, std::size_t bytes_max = 1 << 20) {
        std::vector<Slice> parts;
        const auto batch = outbox.take(parts, bytes_max);
        std::string all;
        for (const Slice& part : parts) all += part.text();
        EXPECT_EQ(all.size(), batch.bytes);
        return all;
    }
    static Slice frame(std::size_t size) { return Slice::copy_of(std::string(size, 'x')); }
};

TEST_F(OutboxTest, GivesFramesBackToBackInTheOrderTheyCame) {
    Outbox outbox{chunks, roomy};
    put(outbox, "one");
    outbox.put(Slice::copy_of("TWO"));
    put(outbox, "three");
    EXPECT_EQ(take(outbox), "oneTWOthree");
}

TEST_F(OutboxTest, PacksSmallFramesIntoOnePiece) {
    Outbox outbox{chunks, roomy};
    for (int i = 0; i < 600; ++i) put(outbox, std::string(100, 'a'));
    std::vector<Slice> parts;
    const auto batch = outbox.take(parts, 1 << 20);
    EXPECT_EQ(batch.frames, 600U);
    EXPECT_EQ(parts.size(), 1U);
}

TEST_F(OutboxTest, GoesOnInTheSameChunkBehindWhatIsBeingSent) {
    Outbox outbox{chunks, roomy};
    put(outbox, "sent");
    std::vector<Slice> in_flight;
    outbox.take(in_flight, 1 << 20);
    put(outbox, "next");
    EXPECT_EQ(chunks->in_use(), 1U);
    EXPECT_EQ(in_flight.at(0).text(), "sent");
    EXPECT_EQ(take(outbox), "next");
}

TEST_F(OutboxTest, WakesTheWriterOncePerSleep) {
    Outbox outbox{chunks, roomy};
    EXPECT_EQ(put(outbox, "a"), Outbox::Put::Wake);
    EXPECT_EQ(put(outbox, "b"), Outbox::Put::Queued);
    EXPECT_FALSE(outbox.sleep()) << "there is something to take";
    take(outbox);
    EXPECT_TRUE(outbox.sleep());
    EXPECT_EQ(put(outbox, "c"), Outbox::Put::Wake);
}

TEST_F(OutboxTest, IsFullAtItsLimitUntilWhatWasTakenIsSent) {
    Outbox outbox{chunks, {.bytes_max = 100, .waiting_max = 1, .waiting_bytes_max = 1000}};
    EXPECT_EQ(put(outbox, std::string(60, 'a')), Outbox::Put::Wake);
    EXPECT_EQ(put(outbox, std::string(60, 'b')), Outbox::Put::Full);
    EXPECT_EQ(outbox.put(frame(60)), Outbox::Put::Full);
    EXPECT_EQ(outbox.probe(41), Outbox::Put::Full);
    EXPECT_EQ(outbox.probe(40), Outbox::Put::Queued);
    take(outbox);
    EXPECT_EQ(put(outbox, std::string(60, 'b')), Outbox::Put::Full) << "taken is not sent";
    outbox.sent(60);
    EXPECT_EQ(put(outbox, std::string(60, 'b')), Outbox::Put::Queued);
}

TEST_F(OutboxTest, TakesOneFrameAboveItsLimitWhenItIsEmpty) {
    Outbox outbox{chunks, {.bytes_max = 100, .waiting_max = 1, .waiting_bytes_max = 1000}};
    EXPECT_EQ(outbox.put(frame(5000)), Outbox::Put::Wake);
    EXPECT_EQ(outbox.put(frame(1)), Outbox::Put::Full);
    take(outbox);
    outbox.sent(5000);
    EXPECT_EQ(outbox.put(frame(1)), Outbox::Put::Queued);
}

TEST_F(OutboxTest, GivesAtLeastOnePieceHoweverSmallTheBatch) {
    Outbox outbox{chunks, roomy};
    outbox.put(Slice::copy_of("abcdef"));
    outbox.put(Slice::copy_of("ghi"));
    EXPECT_EQ(take(outbox, 1), "abcdef");
    EXPECT_EQ(take(outbox, 1), "ghi");
}

TEST_F(OutboxTest, UsesTheSameChunkAgainForTheNextBurstUntilItIsTrimmed) {
    Outbox outbox{chunks, roomy};
    put(outbox, "a");
    std::vector<Slice> parts;
    outbox.take(parts, 1 << 20);
    const std::byte* place = parts.at(0).data();
    EXPECT_TRUE(outbox.sleep());
    put(outbox, "b");
    EXPECT_EQ(parts.at(0).text(), "a") << "not while somebody looks at it";
    parts.clear();
    take(outbox);
    EXPECT_TRUE(outbox.sleep());
    put(outbox, "c");
    outbox.take(parts, 1 << 20);
    EXPECT_EQ(parts.at(0).data(), place);
    EXPECT_EQ(chunks->in_use(), 1U);
    parts.clear();
    EXPECT_TRUE(outbox.sleep());
    outbox.trim();
    EXPECT_EQ(chunks->in_use(), 0U);
}

/// "N" and N times a letter: shows where a frame begins and ends.
std::string marked(std::size_t size, char letter) {
    return std::to_string(size) + ":" + std::string(size, letter);
}

/// Whether `bytes` are whole frames of marked().
bool whole_frames(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto colon = bytes.find(':');
        if (colon == std::string_view::npos) return false;
        const std::size_t size = std::stoul(std::string{bytes.substr(0, colon)});
        if (bytes.size() < colon + 1 + size) return false;
        const std::string_view body = bytes.substr(colon + 1, size);
        if (body.find_first_not_of(body.front()) != std::string_view::npos) return false;
        bytes.remove_prefix(colon + 1 + size);
    }
    return true;
}

TEST_F(OutboxTest, RunsLargeFramesOnFromChunkToChunkAndStillGivesWholeFrames) {
    // Sizes around the chunk's: frames that end with a chunk, begin with one, and fill several.
    const std::vector<std::size_t> sizes{70'000, 1,       65'000, 65'529,  200'000, 20,
                                         65'536, 131'066, 9,      250'000, 100,     65'530};
    for (const std::size_t bytes_max : {1UL, 1000UL, 65'536UL, 100'000UL, 131'072UL, 1UL << 20}) {
        Outbox outbox{chunks, {.bytes_max = 1 << 30, .waiting_max = 0, .waiting_bytes_max = 0}};
        std::string expected;
        std::size_t frames = 0;
        for (int round = 0; round < 3; ++round)
            for (const std::size_t size : sizes) {
                const std::string frame = marked(size, static_cast<char>('a' + frames++ % 26));
                const std::string_view view{frame};
                const std::array<std::span<const std::byte>, 3> parts{
                    std::as_bytes(std::span{view.substr(0, 1)}), std::as_bytes(std::span{view.substr(1)}),
                    std::span<const std::byte>{}};
                EXPECT_NE(outbox.put(parts), Outbox::Put::Full);
                expected += frame;
            }
        EXPECT_EQ(outbox.bytes(), expected.size());
        std::string all;
        std::size_t taken_frames = 0;
        for (;;) {
            std::vector<Slice> parts;
            const auto batch = outbox.take(parts, bytes_max);
            if (batch.bytes == 0) break;
            std::string bytes;
            for (const Slice& part : parts) bytes += part.text();
            ASSERT_EQ(bytes.size(), batch.bytes);
            ASSERT_TRUE(whole_frames(bytes)) << bytes_max;
            // What does not fit is at most the end of the last frame.
            EXPECT_LE(batch.bytes, std::max(bytes_max, ChunkPool::default_chunk_bytes) + 250'007);
            taken_frames += batch.frames;
            all += bytes;
        }
        EXPECT_EQ(taken_frames, frames);
        EXPECT_TRUE(all == expected);
    }
    EXPECT_EQ(chunks->in_use(), 0U);
}

TEST_F(OutboxTest, DropsALargeFrameAsAWhole) {
    Outbox outbox{chunks, roomy};
    const std::string frame = marked(150'000, 'x');
    const std::array<std::span<const std::byte>, 1> parts{std::as_bytes(std::span{std::string_view{frame}})};
    outbox.put(parts);
    const auto mark = outbox.mark();
    put(outbox, "next");
    EXPECT_EQ(outbox.drop_before(mark).frames, 1U);
    EXPECT_EQ(take(outbox), "next");
}

TEST_F(OutboxTest, QueuesWaitingTellsInOrderOnceAQuarterIsFree) {
    Outbox outbox{chunks, {.bytes_max = 100, .waiting_max = 10, .waiting_bytes_max = 1000}};
    put(outbox, std::string(50, '1'));
    take(outbox); // in flight
    put(outbox, std::string(50, '2'));
    std::vector<int> done;
    for (int i = 3; i < 6; ++i) {
        Outbox::Done d = [&done, i](TellResult) { done.push_back(i); };
        EXPECT_EQ(outbox.put_when_room(Slice::copy_of(std::string(10, static_cast<char>('0' + i))), d),
                  Outbox::Put::Queued);
    }
    EXPECT_TRUE(outbox.take_granted().empty());
    EXPECT_EQ(put(outbox, "x"), Outbox::Put::Full) << "who waits goes first";
    outbox.sent(50);
    for (auto& d : outbox.take_granted()) d(TellResult::Queued);
    EXPECT_EQ(done, (std::vector{3, 4, 5}));
    EXPECT_EQ(take(outbox),
              std::string(50, '2') + std::string(10, '3') + std::string(10, '4') + std::string(10, '5'));
}

TEST_F(OutboxTest, LetsOnlySoManyWaitAndOnlySoManyBytes) {
    Outbox outbox{chunks, {.bytes_max = 10, .waiting_max = 2, .waiting_bytes_max = 100}};
    put(outbox, std::string(10, 'a'));
    Outbox::Done d = [](TellResult) {};
    EXPECT_EQ(outbox.put_when_room(frame(90), d), Outbox::Put::Queued);
    d = [](TellResult) {};
    EXPECT_EQ(outbox.put_when_room(frame(11), d), Outbox::Put::Full);
    EXPECT_EQ(outbox.put_when_room(frame(10), d), Outbox::Put::Queued);
    d = [](TellResult) {};
    EXPECT_EQ(outbox.put_when_room(frame(0), d), Outbox::Put::Full);
    EXPECT_TRUE(static_cast<bool>(d)) << "the caller keeps what was not taken";
}

TEST_F(OutboxTest, DropsExactlyWhatLiesBeforeTheMark) {
    Outbox outbox{chunks, roomy};
    put(outbox, "old");
    put(outbox, "old");
    const auto mark = outbox.mark();
    put(outbox, "new");
    const auto dropped = outbox.drop_before(mark);
    EXPECT_EQ(dropped.frames, 2U);
    EXPECT_EQ(dropped.bytes, 6U);
    EXPECT_EQ(take(outbox), "new");
    EXPECT_EQ(outbox.drop_before(mark).frames, 0U) << "a mark that has been passed drops nothing";
}

TEST_F(OutboxTest, DropsEverythingAndCountsWhoWaited) {
    Outbox outbox{chunks, {.bytes_max = 10, .waiting_max = 2, .waiting_bytes_max = 100}};
    put(outbox, std::string(10, 'a'));
    Outbox::Done d = [](TellResult) {};
    outbox.put_when_room(frame(5), d);
    std::vector<Outbox::Done> failed;
    EXPECT_EQ(outbox.drop_all(failed).frames, 2U);
    EXPECT_EQ(failed.size(), 1U);
    EXPECT_TRUE(outbox.empty());
    EXPECT_EQ(outbox.bytes(), 0U);
    EXPECT_EQ(chunks->in_use(), 0U);
}

TEST_F(OutboxTest, RefusesWhileClosedAndKeepsWhatItHas) {
    Outbox outbox{chunks, roomy};
    put(outbox, "kept");
    outbox.set_closed(true);
    EXPECT_EQ(put(outbox, "no"), Outbox::Put::Closed);
    EXPECT_EQ(outbox.put(frame(9000)), Outbox::Put::Closed);
    EXPECT_EQ(take(outbox), "kept");
    outbox.set_closed(false);
    EXPECT_EQ(put(outbox, "yes"), Outbox::Put::Queued);
}

TEST_F(OutboxTest, KeepsTheOrderOfEachThread) {
    Outbox outbox{chunks, {.bytes_max = 1 << 30, .waiting_max = 0, .waiting_bytes_max = 0}};
    constexpr int threads = 4, each = 5000;
    std::vector<std::thread> tellers;
    for (int t = 0; t < threads; ++t)
        tellers.emplace_back([&outbox, t] {
            for (int i = 0; i < each; ++i) {
                const std::array<int, 2> text{t, i};
                outbox.put(sizeof text, [&](std::byte* out) { std::memcpy(out, &text, sizeof text); });
            }
        });
    std::string all;
    std::array<int, threads> next{};
    int seen = 0;
    while (seen < threads * each) {
        all += take(outbox, 1000);
        std::size_t at = 0;
        for (; at + 8 <= all.size(); at += 8, ++seen) {
            std::array<int, 2> text{};
            std::memcpy(&text, all.data() + at, 8);
            ASSERT_EQ(text[1], next[static_cast<std::size_t>(text[0])]++);
        }
        all.erase(0, at);
    }
    for (auto& teller : tellers) teller.join();
}

} // namespace
} // namespace muster::transport
