// SPDX-License-Identifier: Apache-2.0
/// What may change between versions: the table of frames, reasons, what an older and a newer peer make of
/// each other, and the recorded frames of every version there was.
#include "hex.hpp"
#include "newer_version.hpp"
#include "samples.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

namespace muster::wire {
namespace {

Slice body_of(const Slice& frame) { return frame.sub(frame_header_bytes, frame.size() - frame_header_bytes); }

constexpr Agreement version_1{1, features_known};

boost::json::array frames_of_version_1() {
    std::ifstream file(MUSTER_GOLDEN_DIR "/frames_v1.json");
    std::stringstream text;
    text << file.rdbuf();
    return boost::json::parse(text.str()).at("own_frames").as_array();
}

TEST(FramesOfVersion1, AreStillReadAndWrittenByteForByte) {
    for (const auto& golden : frames_of_version_1()) {
        const auto bytes = unhex(golden.at("frame_hex").as_string());
        const Slice frame{bytes};
        const auto decoded = decode_frame(body_of(frame), {.agreement = version_1});
        ASSERT_TRUE(decoded) << golden.at("name") << ": " << decoded.error().message();
        const auto again = encode_frame(*decoded, frame_bytes_max_default, version_1);
        ASSERT_TRUE(again) << golden.at("name");
        EXPECT_EQ(hex(again->bytes()), golden.at("frame_hex").as_string()) << golden.at("name");
    }
}

/// The recorded values in samples.hpp stay as they are, at the beginning and in their order.
TEST(FramesOfVersion1, AreWhatTheSameValuesAreEncodedToToday) {
    const auto golden = frames_of_version_1();
    const auto samples = samples::frames();
    std::size_t compared = 0;
    for (; compared < golden.size() && !golden[compared].as_object().contains("refusal"); ++compared) {
        const auto frame = encode_frame(samples.at(compared), frame_bytes_max_default, version_1);
        ASSERT_TRUE(frame);
        EXPECT_EQ(hex(frame->bytes()), golden[compared].at("frame_hex").as_string())
            << golden[compared].at("name");
    }
    EXPECT_EQ(compared, 27U);
}

TEST(FramesOfVersion1, KeepTheirNumbersAndNamesForEver) {
    for (const auto& golden : frames_of_version_1()) {
        const auto number = golden.at("number").to_number<std::uint32_t>();
        const std::string_view name = golden.at("name").as_string();
        const bool retired = std::ranges::any_of(retired_frames, [&](const RetiredFrame& frame) {
            return frame.number == number && frame.name == name;
        });
        EXPECT_TRUE(retired || Frames::name_of(number) == name) << number << " was " << name;
    }
}

TEST(FramesOfVersion1, KeepTheirReasons) {
    std::size_t reasons = 0;
    for (const auto& golden : frames_of_version_1()) {
        const auto bytes = unhex(golden.at("frame_hex").as_string());
        const auto frame = *decode_frame(body_of(Slice{bytes}));
        if (const auto* name = golden.as_object().if_contains("refusal")) {
            const auto& reply = std::get<HelloReply>(frame);
            EXPECT_EQ(to_string(std::get<HelloRefused>(reply.answer).reason), name->as_string());
            ++reasons;
        }
        if (const auto* name = golden.as_object().if_contains("goodbye")) {
            EXPECT_EQ(to_string(std::get<Goodbye>(frame).reason), name->as_string());
            ++reasons;
        }
    }
    EXPECT_EQ(reasons, 15U);
}

// --- the table

TEST(FrameTable, ANumberIsOfOneFrameAndARetiredOneOfNone) {
    using Twice = detail::FrameTable<detail::FrameRow<3, "A", Heartbeat>, detail::FrameRow<3, "B", SeenAck>>;
    static_assert(!Twice::numbers_are_unique());
    using Once = detail::FrameTable<detail::FrameRow<3, "A", Heartbeat>, detail::FrameRow<4, "B", SeenAck>>;
    static_assert(Once::numbers_are_unique());
    constexpr std::array retired{RetiredFrame{4, "Old", 1}};
    static_assert(!Once::numbers_are_unique(retired));
}

TEST(FrameTable, ARowNeedsNothingThatNoPeerCanAgreeTo) {
    using Later =
        detail::FrameTable<detail::FrameRow<3, "A", Heartbeat, Needs{.version = wire_version_max + 1}>>;
    static_assert(!Later::needs_can_be_met(Agreement{}));
    using Featured = detail::FrameTable<detail::FrameRow<3, "A", Heartbeat, Needs{1, ~features_known}>>;
    static_assert(!Featured::needs_can_be_met(Agreement{}));
}

TEST(FrameTable, HasANameForEveryNumberAndUnknownForTheRest) {
    EXPECT_EQ(name_of(FrameKind::RemoteTell), "RemoteTell");
    EXPECT_EQ(name_of(static_cast<FrameKind>(frame_number_end)), "unknown");
    EXPECT_EQ(newer::Table::name_of(17), "Heartbeat");
    EXPECT_EQ(newer::Table::name_of(18), "unknown");
    for (const ClusterMessage& message : samples::messages())
        EXPECT_EQ(name_of(kind_of(message)), muster::name_of(message))
            << "the log and the wire call it alike";
}

TEST(FrameTable, WhatVersion1SendsNeedsNoAgreement) {
    for (const ClusterMessage& message : samples::messages()) {
        EXPECT_TRUE(agreed_by_all.meets(needs_of(message))) << muster::name_of(message);
        EnvelopeEncoder encoder;
        EXPECT_TRUE(encode_message(message, encoder)->same_for_all) << muster::name_of(message);
    }
}

TEST(FrameTable, AFrameOfAFeatureThatIsNotInForceIsRefused) {
    const Slice define = body_of(*encode_frame(Define{1, "/user/a"}));
    EXPECT_TRUE(decode_frame(define, {.agreement = {1, feature_interned_tells}}));
    const auto refused = decode_frame(define, {.peer_is_newer = true, .agreement = {1, feature_tell_parts}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::malformed);
    EXPECT_NE(refused.error().message().find("Define"), std::string::npos);
    EXPECT_FALSE(agreed_by_all.meets(Frames::needs_of(20)) || agreed_by_all.meets(Frames::needs_of(22)));
}

// --- a newer version beside this one

const newer::LoadedHeartbeat loaded{samples::node(1).address(), 7, -5, 300};
const Heartbeat same_heartbeat{loaded.from, loaded.sequence_nr, loaded.creation_time_ns};

TEST(NewerVersion, AnAppendedFieldIsLeftOutForAPeerWithoutIt) {
    const auto common = agree(newer::offer, Offer{});
    ASSERT_TRUE(common);
    const auto to_this = newer::Codec::encode(loaded, *common);
    ASSERT_TRUE(to_this);
    EXPECT_EQ(*to_this, *encode_frame(ClusterMessage{same_heartbeat})) << "the very bytes of this version";
    EXPECT_TRUE(decode_frame(body_of(*to_this))) << "which refuses anything behind the last field";
}

TEST(NewerVersion, AnAppendedFieldReachesAPeerThatHasIt) {
    const auto frame = newer::Codec::encode(loaded, newer::both_newer);
    const auto back = newer::Codec::decode(body_of(*frame), {.agreement = newer::both_newer});
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(std::get<newer::LoadedHeartbeat>(*back), loaded);
}

TEST(NewerVersion, AnOlderPeersFrameLeavesTheAppendedFieldAtItsDefault) {
    const auto frame = encode_frame(ClusterMessage{same_heartbeat});
    const auto back = newer::Codec::decode(body_of(*frame), {.agreement = *agree(newer::offer, Offer{})});
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(std::get<newer::LoadedHeartbeat>(*back).load, 0U);
    EXPECT_EQ(std::get<newer::LoadedHeartbeat>(*back).sequence_nr, 7);
}

TEST(NewerVersion, BytesOfAFrameWithAppendedFieldsDependOnThePeer) {
    BufferSink sink;
    OArchive out{sink};
    EXPECT_FALSE(newer::Codec::put(out, loaded, agreed_by_all, detail::GossipBody::Apart));
    EXPECT_TRUE(newer::Codec::put(out, newer::Probe{}, newer::both_newer, detail::GossipBody::Apart));
}

/// It should not be sent at all, but a peer that does so is heard as far as it is understood.
TEST(NewerVersion, WhatStandsBehindTheLastFieldIsSkippedFromANewerPeerOnly) {
    const Slice body = body_of(*newer::Codec::encode(loaded, newer::both_newer));
    bool skipped = false;
    const auto heard = decode_frame(body, {.peer_is_newer = true, .rest_skipped = &skipped});
    ASSERT_TRUE(heard) << heard.error().message();
    EXPECT_TRUE(skipped);
    EXPECT_EQ(std::get<Heartbeat>(std::get<ClusterMessage>(*heard)).sequence_nr, 7);
    EXPECT_FALSE(decode_frame(body)) << "a peer of this version has nothing to say there";
}

TEST(NewerVersion, NothingIsSkippedInFramesThatAreNotExtendedThatWay) {
    for (const ClusterFrame& frame : samples::frames()) {
        const auto* message = std::get_if<ClusterMessage>(&frame);
        const bool carries_gossip = message != nullptr && (std::holds_alternative<Welcome>(*message) ||
                                                           std::holds_alternative<GossipEnvelope>(*message));
        const bool grows = (message != nullptr && !carries_gossip) ||
                           std::holds_alternative<Goodbye>(frame) || std::holds_alternative<Define>(frame);
        const Slice body = body_of(*encode_frame(frame));
        std::vector<std::byte> longer(body.bytes().begin(), body.bytes().end());
        longer.push_back(std::byte{0});
        EXPECT_EQ(decode_frame(Slice{longer}, {.peer_is_newer = true}).has_value(), grows)
            << hex(body.bytes().first(1));
        EXPECT_FALSE(decode_frame(Slice{longer})) << hex(body.bytes().first(1));
    }
}

TEST(NewerVersion, AMessageOfItsOwnIsUnknownHereAndSkipped) {
    const newer::Probe probe{samples::node(1), "how are you"};
    const Slice body = body_of(*newer::Codec::encode(probe, newer::both_newer));
    EXPECT_EQ(std::get<newer::Probe>(*newer::Codec::decode(body, {.agreement = newer::both_newer})), probe);
    EXPECT_FALSE(newer::Codec::decode(body, {.agreement = *agree(newer::offer, Offer{})}));
    EXPECT_EQ(std::get<UnknownFrame>(*decode_frame(body, {.peer_is_newer = true})).variant, 40U);
    EXPECT_FALSE(decode_frame(body));
}

TEST(NewerVersion, IsRecognisedByItsVersionOrByAFeatureWithoutANameHere) {
    EXPECT_TRUE(is_newer(newer::offer, Offer{}));
    EXPECT_TRUE(is_newer(Offer{1, wire_version_max, newer::feature_probe}, Offer{}));
    EXPECT_FALSE(is_newer(Offer{}, Offer{}));
    EXPECT_FALSE(is_newer(Offer{1, wire_version_max, features_known}, Offer{}));
    EXPECT_FALSE(is_newer(Offer{}, newer::offer));
    EXPECT_FALSE(is_newer(Offer{1, 1, newer::feature_probe}, newer::offer));
}

// --- reasons

TEST(Reasons, ANumberWithoutANameIsReadAndHasAMeaning) {
    const auto later = static_cast<GoodbyeReason>(300);
    const auto goodbye = decode_frame(body_of(*encode_frame(Goodbye{later, "maintenance"})));
    ASSERT_TRUE(goodbye) << goodbye.error().message();
    EXPECT_EQ(std::get<Goodbye>(*goodbye), (Goodbye{later, "maintenance"}));
    EXPECT_EQ(meaning_of(later), GoodbyeReason::Link);
    EXPECT_EQ(to_string(later), "unknown-300");

    const auto refusal = static_cast<RefusalReason>(9);
    const HelloReply reply{
        .cluster_name = "c", .from = samples::node(1), .answer = HelloRefused{refusal, "not on Sundays"}};
    const auto back = decode_frame(body_of(*encode_frame(reply)));
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(std::get<HelloReply>(*back), reply);
    EXPECT_EQ(meaning_of(refusal), RefusalReason::Overloaded);
    EXPECT_EQ(to_string(refusal), "unknown-9");
}

TEST(Reasons, ALaterOneIsReplacedForAPeerThatWouldNotReadIt) {
    enum class Why : std::uint32_t { First, Later };
    constexpr std::array rows{
        ReasonRow<Why>{Why::First, "first", {}},
        ReasonRow<Why>{Why::Later, "later", {.version = 2}, Why::First},
    };
    const std::span<const ReasonRow<Why>> all{rows};
    EXPECT_EQ(said_to_peer(all, Why::Later, agreed_by_all), Why::First);
    EXPECT_EQ(said_to_peer(all, Why::Later, Agreement{1, feature_open_reasons}), Why::Later);
    EXPECT_EQ(said_to_peer(all, Why::Later, Agreement{2, 0}), Why::Later);
    EXPECT_EQ(said_to_peer(all, Why::First, agreed_by_all), Why::First);
}

TEST(Reasons, ThoseOfVersion1AreSaidToEverybody) {
    for (const auto& row : refusal_reasons) EXPECT_EQ(said_to_peer(row.reason, agreed_by_all), row.reason);
    for (const auto& row : goodbye_reasons) EXPECT_EQ(said_to_peer(row.reason, agreed_by_all), row.reason);
}

} // namespace
} // namespace muster::wire
