// SPDX-License-Identifier: Apache-2.0
/// Tells in place: what write_tell writes, parse_tell reads, and both agree with the general codec.
#include "hex.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <muster/wire/frame.hpp>

namespace muster::wire {
namespace {

std::vector<std::byte> written(const auto& tell) {
    std::vector<std::byte> frame(tell_frame_bytes(tell));
    EXPECT_EQ(write_tell(frame.data(), tell, frame.size()), frame.data() + frame.size());
    return frame;
}
std::span<const std::byte> body_of(std::span<const std::byte> frame) {
    EXPECT_EQ(get_frame_length(frame.data()), frame.size() - frame_header_bytes);
    return frame.subspan(frame_header_bytes);
}

TEST(Tell, IsWrittenAndParsedInPlaceAtEverySizeOfItsLengths) {
    for (const std::size_t size : {0UL, 1UL, 250UL, 251UL, 65'535UL, 65'536UL}) {
        const std::vector<std::byte> payload(size, std::byte{7});
        const std::string path(size, 'p');
        Tell tell{path, "m", payload, path};
        const auto frame = written(tell);
        Tell parsed;
        ASSERT_TRUE(parse_tell(body_of(frame), parsed)) << size;
        EXPECT_EQ(parsed.target_path, path);
        EXPECT_EQ(parsed.manifest, "m");
        EXPECT_TRUE(std::ranges::equal(parsed.payload, payload));
        EXPECT_EQ(parsed.sender_path, path);
        if (size != 0) {
            EXPECT_GE(parsed.payload.data(), frame.data()) << "a view into the frame";
        }
        const auto general = encode_frame(RemoteTell{path, "m", Slice{payload}, path});
        ASSERT_TRUE(general);
        EXPECT_TRUE(std::ranges::equal(general->bytes(), frame));
    }
}

TEST(Tell, WithoutSenderHasNone) {
    Tell parsed;
    parsed.sender_path = "left from before";
    ASSERT_TRUE(parse_tell(unhex("0100000000"), parsed));
    EXPECT_FALSE(parsed.sender_path.has_value());
}

TEST(Tell, HeadPayloadAndTailAreTheFrame) {
    const auto payload = unhex("0102030405");
    const Tell tell{"/user/a", "m", payload, "/user/b"};
    std::vector<std::byte> frame(tell_head_bytes(tell));
    EXPECT_EQ(write_tell_head(frame.data(), tell, tell_frame_bytes(tell)), frame.data() + frame.size());
    frame.insert(frame.end(), payload.begin(), payload.end());
    std::vector<std::byte> tail(tell_tail_bytes(tell));
    EXPECT_EQ(write_tell_tail(tail.data(), tell), tail.data() + tail.size());
    frame.insert(frame.end(), tail.begin(), tail.end());
    EXPECT_EQ(frame, written(tell));
}

TEST(Tell, InternedIsWrittenAndParsedInPlace) {
    const auto payload = unhex("aabb");
    for (const std::optional<std::uint32_t> sender :
         {std::optional<std::uint32_t>{}, std::optional<std::uint32_t>{300}}) {
        const InternedTellView tell{1, 70'000, sender, payload};
        const auto frame = written(tell);
        InternedTellView parsed;
        parsed.sender = 9;
        ASSERT_TRUE(parse_tell(body_of(frame), parsed));
        EXPECT_EQ(parsed.target, 1U);
        EXPECT_EQ(parsed.manifest, 70'000U);
        EXPECT_EQ(parsed.sender, sender);
        EXPECT_TRUE(std::ranges::equal(parsed.payload, payload));
        const auto general = encode_frame(InternedTell{1, 70'000, sender, Slice{payload}});
        EXPECT_TRUE(std::ranges::equal(general->bytes(), frame));
        std::vector<std::byte> head(tell_head_bytes(tell));
        EXPECT_EQ(write_tell_head(head.data(), tell, frame.size()), head.data() + head.size());
        EXPECT_TRUE(std::equal(head.begin(), head.end(), frame.begin()));
    }
}

TEST(Tell, APartMustEndInsideItsTell) {
    const auto bytes = unhex("0102030405");
    TellPartView part{7, 1000, 995, bytes};
    const auto frame_of = [&bytes](const TellPartView& p) {
        std::vector<std::byte> frame(tell_part_head_bytes(p));
        EXPECT_EQ(write_tell_part_head(frame.data(), p), frame.data() + frame.size());
        frame.insert(frame.end(), bytes.begin(), bytes.end());
        return frame;
    };
    TellPartView parsed;
    const auto whole = frame_of(part);
    ASSERT_TRUE(parse_tell_part(body_of(whole), parsed));
    EXPECT_EQ(parsed.tell, 7U);
    EXPECT_EQ(parsed.total_bytes, 1000U);
    EXPECT_EQ(parsed.offset, 995U);
    EXPECT_EQ(hex(parsed.bytes), hex(bytes));
    for (const std::uint64_t offset : {std::uint64_t{996}, std::uint64_t{1001}, ~std::uint64_t{0}}) {
        part.offset = offset;
        const auto frame = frame_of(part);
        EXPECT_FALSE(parse_tell_part(body_of(frame), parsed)) << offset;
        EXPECT_FALSE(decode_frame(Slice{body_of(frame)})) << offset;
    }
}

TEST(Tell, OfAnotherVariantOrCutOrFollowedByBytesIsRefused) {
    const auto payload = unhex("0102");
    const auto frame = written(Tell{"t", "m", payload, "s"});
    const auto body = body_of(frame);
    Tell parsed;
    for (std::size_t cut = 0; cut < body.size(); ++cut)
        EXPECT_FALSE(parse_tell(body.first(cut), parsed)) << cut;
    EXPECT_FALSE(parse_tell(unhex("010000000000"), parsed));
    EXPECT_FALSE(parse_tell(unhex("0000000000"), parsed));
    InternedTellView interned;
    EXPECT_FALSE(parse_tell(body, interned));
    EXPECT_FALSE(parse_tell(unhex("16fd0100000000000000000000"), interned)) << "a u32 marked as u64";
}

TEST(Tell, IsSendableWhenItsTextsAreUtf8AndItsFrameIsWithinTheLimit) {
    const auto payload = unhex("0102");
    EXPECT_TRUE(tell_is_sendable({"t", "m", payload, std::nullopt}));
    EXPECT_TRUE(check_tell({"t", "m", payload, std::nullopt}));
    for (const Tell& bad :
         {Tell{"\xff", "m", {}, {}}, Tell{"t", "\xff", {}, {}}, Tell{"t", "m", {}, "\xff"}}) {
        EXPECT_FALSE(tell_is_sendable(bad));
        EXPECT_EQ(check_tell(bad).error().code, Errc::invalid_argument);
    }
    const Tell tell{"t", "m", payload, std::nullopt};
    const std::size_t body_bytes = tell_frame_bytes(tell) - frame_header_bytes;
    EXPECT_TRUE(check_tell(tell, body_bytes));
    EXPECT_EQ(check_tell(tell, body_bytes - 1).error().code, Errc::too_large);
}

TEST(Tell, DecodedFromOwnedBytesSharesThem) {
    const auto payload = unhex("0102");
    const Slice body = Slice::copy_of(body_of(written(Tell{"t", "m", payload, "s"})));
    const auto shared = decode_frame(body);
    ASSERT_TRUE(shared);
    EXPECT_EQ(std::get<RemoteTell>(*shared).payload.owner(), body.owner());
    const auto copied = decode_frame(Slice{body.bytes()});
    ASSERT_TRUE(copied);
    EXPECT_TRUE(std::get<RemoteTell>(*copied).payload.owned());
    EXPECT_NE(std::get<RemoteTell>(*copied).payload.data(), std::get<RemoteTell>(*shared).payload.data());
}

} // namespace
} // namespace muster::wire
