// SPDX-License-Identifier: Apache-2.0
#include "link/frame_reader.hpp"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace muster::transport {
namespace {

using Next = FrameReader::Next;

std::string frame_of(const std::string& body) {
    std::string frame;
    for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>(body.size() >> shift);
    return frame + body;
}

std::string text(const FrameReader::Frame& frame) {
    return {reinterpret_cast<const char*>(frame.body.data()), frame.body.size()};
}

std::vector<std::string> cut(FrameReader& reader, Slice bytes) {
    reader.feed(std::move(bytes));
    std::vector<std::string> frames;
    FrameReader::Frame frame;
    while (reader.next(frame) == Next::Frame) frames.push_back(text(frame));
    return frames;
}

TEST(FrameReader, CutsFramesOfOneSliceInPlace) {
    FrameReader reader{1000};
    const Slice bytes = Slice::copy_of(frame_of("one") + frame_of("") + frame_of("three"));
    reader.feed(bytes);
    FrameReader::Frame frame;
    ASSERT_EQ(reader.next(frame), Next::Frame);
    EXPECT_EQ(text(frame), "one");
    EXPECT_TRUE(frame.in_place);
    EXPECT_EQ(frame.owner, bytes.owner());
    EXPECT_EQ(frame.body.data(), bytes.data() + 4);
    ASSERT_EQ(reader.next(frame), Next::Frame);
    EXPECT_EQ(text(frame), "");
    ASSERT_EQ(reader.next(frame), Next::Frame);
    EXPECT_EQ(text(frame), "three");
    EXPECT_EQ(reader.next(frame), Next::NeedMore);
    EXPECT_FALSE(reader.mid_frame());
}

TEST(FrameReader, FindsTheSameFramesHoweverTheStreamIsCut) {
    const std::string stream =
        frame_of("a") + frame_of(std::string(50, 'b')) + frame_of("") + frame_of("ccc");
    for (std::size_t piece = 1; piece <= stream.size(); ++piece)
        for (const bool detach : {false, true}) {
            FrameReader reader{1000};
            std::vector<std::string> frames;
            for (std::size_t at = 0; at < stream.size(); at += piece) {
                for (auto& f : cut(reader, Slice::copy_of(stream.substr(at, piece)))) frames.push_back(f);
                if (detach) reader.detach();
            }
            EXPECT_EQ(frames, (std::vector<std::string>{"a", std::string(50, 'b'), "", "ccc"})) << piece;
            EXPECT_FALSE(reader.mid_frame());
        }
}

TEST(FrameReader, DoesNotCopyAFrameWhoseSlicesContinueEachOther) {
    FrameReader reader{1000};
    const Slice whole = Slice::copy_of(frame_of("continued") + frame_of("x"));
    EXPECT_TRUE(cut(reader, whole.sub(0, 7)).empty());
    reader.feed(whole.sub(7, whole.size() - 7));
    FrameReader::Frame frame;
    ASSERT_EQ(reader.next(frame), Next::Frame);
    EXPECT_EQ(text(frame), "continued");
    EXPECT_TRUE(frame.in_place);
    EXPECT_EQ(frame.body.data(), whole.data() + 4);
}

TEST(FrameReader, RefusesALengthAboveTheLimitBeforeItsBytesCome) {
    for (const bool detach : {false, true}) {
        FrameReader reader{100};
        FrameReader::Frame frame;
        reader.feed(Slice::copy_of(std::string{"\xff\xff\xff\xff", 4}));
        if (detach) reader.detach();
        EXPECT_EQ(reader.next(frame), Next::TooLarge);
        EXPECT_EQ(reader.claimed(), 0xffffffffU);
    }
    FrameReader reader{100};
    EXPECT_EQ(cut(reader, Slice::copy_of(frame_of(std::string(100, 'x')))).size(), 1U)
        << "the limit itself is allowed";
}

TEST(FrameReader, LeavesAnAssembledFrameAloneWhenTheNextLengthIsTooLarge) {
    FrameReader reader{100};
    FrameReader::Frame frame;
    reader.feed(Slice::copy_of(frame_of("assembled").substr(0, 6)));
    EXPECT_EQ(reader.next(frame), Next::NeedMore);
    reader.feed(Slice::copy_of(frame_of("assembled").substr(6)));
    ASSERT_EQ(reader.next(frame), Next::Frame);
    const Slice kept{frame.body, frame.owner};
    EXPECT_EQ(reader.next(frame), Next::NeedMore);
    reader.feed(Slice::copy_of("\xff\xff"));
    EXPECT_EQ(reader.next(frame), Next::NeedMore);
    reader.feed(Slice::copy_of("\xff\xffOVERWRITE"));
    EXPECT_EQ(reader.next(frame), Next::TooLarge);
    EXPECT_EQ(reader.next(frame), Next::TooLarge);
    EXPECT_EQ(kept.text(), "assembled");
}

TEST(FrameReader, LetsGoOfTheReceiveBufferWhenItIsUsedUp) {
    FrameReader reader{100};
    Slice bytes = Slice::copy_of(frame_of("a"));
    Buffer* buffer = bytes.owner();
    buffer->retain();
    EXPECT_EQ(cut(reader, std::move(bytes)).size(), 1U);
    EXPECT_EQ(buffer->references(), 1U);
    buffer->release();
}

TEST(FrameReader, LetsGoOfTheReceiveBufferBeforeAWaitInTheMiddleOfAFrame) {
    FrameReader reader{100};
    Slice bytes = Slice::copy_of(frame_of("abcdef").substr(0, 6));
    Buffer* buffer = bytes.owner();
    buffer->retain();
    EXPECT_TRUE(cut(reader, std::move(bytes)).empty());
    EXPECT_TRUE(reader.holds_receive_buffer());
    reader.detach();
    EXPECT_FALSE(reader.holds_receive_buffer());
    EXPECT_EQ(buffer->references(), 1U);
    buffer->release();
    EXPECT_TRUE(reader.mid_frame());
    EXPECT_EQ(cut(reader, Slice::copy_of("cdef")), (std::vector<std::string>{"abcdef"}));
}

TEST(FrameReader, AssemblesTheNextFrameInTheSameBlockUnlessSomebodyRetainedIt) {
    FrameReader reader{1000};
    FrameReader::Frame frame;
    const auto assemble = [&](const std::string& body) {
        const std::string bytes = frame_of(body);
        reader.feed(Slice::copy_of(bytes.substr(0, 7)));
        EXPECT_EQ(reader.next(frame), Next::NeedMore);
        reader.feed(Slice::copy_of(bytes.substr(7)));
        EXPECT_EQ(reader.next(frame), Next::Frame);
        EXPECT_EQ(text(frame), body);
        return Slice{frame.body, frame.owner};
    };
    const std::byte* place = assemble(std::string(100, 'a')).data();
    Slice kept = assemble(std::string(90, 'b'));
    EXPECT_EQ(kept.data(), place);
    EXPECT_NE(assemble(std::string(90, 'c')).data(), place);
    EXPECT_EQ(kept.text(), std::string(90, 'b'));
    EXPECT_EQ(reader.next(frame), Next::NeedMore);
    reader.trim();
    EXPECT_FALSE(reader.mid_frame());
}

} // namespace
} // namespace muster::transport
