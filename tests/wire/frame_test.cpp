// SPDX-License-Identifier: Apache-2.0
/// Frames: round trips of every kind, what is refused and with which words, and golden files.
#include "golden_case.hpp"
#include "hex.hpp"
#include "samples.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <muster/wire/archive.hpp>

namespace muster::wire {
namespace {

Slice body_of(const Slice& frame) { return frame.sub(frame_header_bytes, frame.size() - frame_header_bytes); }

TEST(Frame, EveryKindEncodesAndDecodesToTheSameBytes) {
    std::vector<bool> kinds(frame_number_end);
    for (const ClusterFrame& frame : samples::frames()) {
        const auto encoded = encode_frame(frame);
        ASSERT_TRUE(encoded) << encoded.error().message();
        EXPECT_EQ(get_frame_length(encoded->data()), encoded->size() - frame_header_bytes);
        const auto kind = *frame_variant(body_of(*encoded).bytes());
        kinds.at(kind) = true;
        const auto decoded = decode_frame(body_of(*encoded));
        ASSERT_TRUE(decoded) << decoded.error().message();
        ASSERT_EQ(decoded->index(), frame.index());
        EXPECT_EQ(*encode_frame(*decoded), *encoded) << name_of(static_cast<FrameKind>(kind));
    }
    for (std::uint32_t kind = 0; kind < kinds.size(); ++kind)
        EXPECT_EQ(kinds[kind], Frames::has(kind))
            << name_of(static_cast<FrameKind>(kind)) << " has no sample";
}

TEST(Frame, HandshakeFieldsSurvive) {
    const auto hello = decode_frame(body_of(*encode_frame(samples::hello())));
    EXPECT_EQ(std::get<Hello>(*hello), samples::hello());
    const HelloReply refused{.cluster_name = "c",
                             .from = samples::node(1),
                             .answer = HelloRefused{RefusalReason::WrongCluster, "this is c"}};
    EXPECT_EQ(std::get<HelloReply>(*decode_frame(body_of(*encode_frame(refused)))), refused);
    const HelloReply accepted{.cluster_name = "c", .from = samples::node(1), .answer = HelloAccepted{1, 2}};
    EXPECT_EQ(std::get<HelloReply>(*decode_frame(body_of(*encode_frame(accepted)))), accepted);
}

TEST(Handshake, TheHighestCommonVersionAndTheCommonFeaturesAreInForce) {
    const Offer mine{2, 4, 0b0110};
    const auto agreed = [&mine](std::uint16_t from, std::uint16_t to, std::uint64_t features) {
        return agree(mine, Offer{from, to, features});
    };
    EXPECT_EQ(agreed(1, 2, 0b0011), (Agreement{2, 0b0010}));
    EXPECT_EQ(agreed(0, 9, ~0U), (Agreement{4, 0b0110}));
    EXPECT_EQ(agreed(3, 3, 0), (Agreement{3, 0}));
    EXPECT_EQ(agreed(5, 9, ~0U), std::nullopt);
    EXPECT_EQ(agreed(0, 1, ~0U), std::nullopt);
    EXPECT_EQ(agreed(9, 1, ~0U), std::nullopt);
}

TEST(Frame, MessageFieldsSurvive) {
    for (const ClusterMessage& message : samples::messages()) {
        const auto back = std::get<ClusterMessage>(*decode_frame(body_of(*encode_frame(message))));
        ASSERT_EQ(back.index(), message.index());
        if (const auto* m = std::get_if<InitJoinAck>(&message)) {
            EXPECT_EQ(std::get<InitJoinAck>(back).from, m->from);
            EXPECT_EQ(std::get<InitJoinAck>(back).check, m->check);
            EXPECT_EQ(std::get<InitJoinAck>(back).config, m->config);
        } else if (const auto* join = std::get_if<Join>(&message)) {
            EXPECT_EQ(std::get<Join>(back).node, join->node);
            EXPECT_EQ(std::get<Join>(back).roles, join->roles);
            EXPECT_EQ(std::get<Join>(back).app_version.text(), join->app_version.text());
        } else if (const auto* status = std::get_if<GossipStatus>(&message)) {
            EXPECT_EQ(std::get<GossipStatus>(back).version, status->version);
            EXPECT_EQ(std::get<GossipStatus>(back).version_id, status->version_id);
            EXPECT_EQ(std::get<GossipStatus>(back).seen_digest, status->seen_digest);
        } else if (const auto* converged = std::get_if<Converged>(&message)) {
            EXPECT_EQ(std::get<Converged>(back).seen, converged->seen);
        } else if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
            EXPECT_EQ(std::get<Heartbeat>(back).from, heartbeat->from);
            EXPECT_EQ(std::get<Heartbeat>(back).sequence_nr, heartbeat->sequence_nr);
            EXPECT_EQ(std::get<Heartbeat>(back).creation_time_ns, heartbeat->creation_time_ns);
        }
    }
}

TEST(Frame, AMessageIsHeadAndSharedBodyOfTheVeryBytesOfItsFrame) {
    EnvelopeEncoder encoder;
    for (const ClusterMessage& message : samples::messages()) {
        const auto parts = encode_message(message, encoder);
        ASSERT_TRUE(parts) << parts.error().message();
        std::vector<std::byte> joined(parts->head.bytes().begin(), parts->head.bytes().end());
        joined.insert(joined.end(), parts->body.bytes().begin(), parts->body.bytes().end());
        EXPECT_TRUE(std::ranges::equal(joined, encode_frame(message)->bytes())) << name_of(kind_of(message));
        EXPECT_EQ(parts->bytes(), joined.size());
    }
}

TEST(Frame, AnUnknownVariantIsSkippedFromANewerPeerAndMalformedFromAnyOther) {
    const auto body = Slice::copy_of(unhex("fb0004ffff"));
    const auto skipped = decode_frame(body, {.peer_is_newer = true});
    ASSERT_TRUE(skipped);
    EXPECT_EQ(std::get<UnknownFrame>(*skipped).variant, 1024U);
    const auto refused = decode_frame(body);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::malformed);
    EXPECT_NE(refused.error().subject.find("1024"), std::string::npos);
    EXPECT_FALSE(encode_frame(ClusterFrame{UnknownFrame{1024}}));
}

TEST(Frame, AnErrorNamesTheFrameTheFieldAndTheByte) {
    const auto error_of = [](std::string_view bytes) {
        const auto frame = decode_frame(Slice::copy_of(unhex(bytes)));
        return frame ? "" : frame.error().message();
    };
    EXPECT_NE(error_of("").find("frame of 0 bytes"), std::string::npos);
    EXPECT_NE(error_of("ff").find("frame of 1 bytes"), std::string::npos);
    EXPECT_NE(error_of("02aabbccdd").find("frame Hello, field magic, byte 1"), std::string::npos)
        << error_of("02aabbccdd");
    EXPECT_NE(error_of("0105").find("frame RemoteTell, field target_path, byte 1"), std::string::npos)
        << error_of("0105");
    EXPECT_NE(error_of("04fd").find("frame Goodbye, field reason"), std::string::npos) << error_of("04fd");
    EXPECT_NE(error_of("0100000000dead").find("frame RemoteTell, field end"), std::string::npos);
}

TEST(Frame, AnAddressOffTheWireIsInItsNormalForm) {
    const auto heartbeat = [](std::string_view host) {
        // Written without the checks of the encoder, as a hostile peer would.
        std::string body = "\x11\x08"
                           "akka.tcp"
                           "\x01"
                           "S"
                           "\x01";
        body += static_cast<char>(host.size());
        body += host;
        body += std::string{"\x01\x07\x02\x02", 4};
        return decode_frame(Slice::copy_of(body));
    };
    EXPECT_TRUE(heartbeat("node1")) << heartbeat("node1").error().message();
    EXPECT_TRUE(heartbeat("::1"));
    EXPECT_FALSE(heartbeat("NODE1")) << "not in lower case: another identity for the same host";
    EXPECT_FALSE(heartbeat("0:0::1"));
    EXPECT_FALSE(heartbeat("")) << "a host is absent or has a name";
    EXPECT_FALSE(heartbeat("a@b"));
}

/// A frame written without the checks of the encoder, as a hostile peer would.
template <class Write>
result<ClusterFrame> decode_hand_written(FrameKind kind, Write&& write) {
    BufferSink sink;
    OArchive out{sink};
    out.put_varint(static_cast<std::uint32_t>(kind));
    write(out);
    out.finish();
    return decode_frame(Slice::copy_of(sink.bytes()));
}

void put_two_nodes(OArchive& out) {
    for (const UniqueAddress& n : {samples::node(0), samples::node(1)}) {
        const Address& address = n.address();
        out << address.protocol << address.system << address.host << address.port << n.uid().value;
    }
}

TEST(Frame, APartOfAnAddressOffTheWireHasAtMost255Bytes) {
    const auto heartbeat = [](std::size_t protocol, std::size_t system, std::size_t host) {
        return decode_hand_written(FrameKind::Heartbeat, [&](OArchive& out) {
            out << std::string(protocol, 'p') << std::string(system, 's');
            out << std::optional<std::string>{std::string(host, 'h')} << std::optional<std::uint16_t>{1};
            out << std::uint64_t{7} << std::int64_t{1};
        });
    };
    EXPECT_TRUE(heartbeat(255, 255, 255)) << heartbeat(255, 255, 255).error().message();
    EXPECT_FALSE(heartbeat(256, 1, 1));
    EXPECT_FALSE(heartbeat(1, 256, 1));
    EXPECT_FALSE(heartbeat(1, 1, 256));
}

TEST(Frame, AnAppVersionOffTheWireHasAtMost255Bytes) {
    const auto join = [](std::size_t bytes) {
        return decode_frame(
            body_of(*encode_frame(Join{samples::node(1), {}, *AppVersion::parse(std::string(bytes, 'v'))})));
    };
    EXPECT_TRUE(join(255)) << join(255).error().message();
    EXPECT_FALSE(join(256));
}

TEST(Frame, AReasonOffTheWireHasAtMost1024Bytes) {
    const auto refusal = [](std::size_t bytes) {
        return decode_hand_written(FrameKind::JoinRefused, [&](OArchive& out) {
            put_two_nodes(out);
            out << std::string(bytes, 'r');
        });
    };
    EXPECT_TRUE(refusal(1024)) << refusal(1024).error().message();
    EXPECT_FALSE(refusal(1025)) << "it goes to the log";
}

TEST(Frame, ASeenSetIsNotLargerThanItsBytes) {
    const auto converged = [](std::uint64_t size, std::size_t bytes) {
        return decode_hand_written(FrameKind::Converged, [&](OArchive& out) {
            put_two_nodes(out);
            out.put_fixed(std::uint64_t{1}); // version_id
            out.put_fixed(std::uint64_t{2});
            out.put_varint(size);
            for (std::size_t i = 0; i < bytes; ++i) out.put_byte(0);
        });
    };
    EXPECT_TRUE(converged(70, 9)) << converged(70, 9).error().message();
    EXPECT_FALSE(converged(73, 9));
    EXPECT_FALSE(converged(std::uint64_t{1} << 60U, 9));
    EXPECT_FALSE(converged(~std::uint64_t{0}, 0)) << "the number of its bytes, rounded up, is 0 beyond 2^64";
}

TEST(Frame, TheUnknownNodeHasAWireForm) {
    const ClusterMessage message = NotMember{UniqueAddress{}, samples::node(1)};
    const auto back = decode_frame(body_of(*encode_frame(message)));
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_TRUE(std::get<NotMember>(std::get<ClusterMessage>(*back)).from.is_unknown());
}

TEST(Frame, AFrameAboveTheLimitIsNotEncoded) {
    const ClusterFrame tell = RemoteTell{"t", "m", Slice::copy_of(std::string(1000, 'x')), std::nullopt};
    const std::size_t body_bytes = encode_frame(tell)->size() - frame_header_bytes;
    EXPECT_TRUE(encode_frame(tell, body_bytes));
    EXPECT_EQ(encode_frame(tell, body_bytes - 1).error().code, Errc::too_large);
    EnvelopeEncoder encoder;
    const ClusterMessage envelope = GossipEnvelope{samples::node(0), samples::node(1),
                                                   std::make_shared<const Gossip>(samples::cluster(50))};
    EXPECT_EQ(encode_message(envelope, encoder, 500).error().code, Errc::too_large);
}

TEST(Frame, TextThatNoPeerWouldAcceptIsNotEncoded) {
    EXPECT_EQ(encode_frame(Define{1, "\xff"}).error().code, Errc::invalid_argument);
    const ClusterMessage long_host =
        Heartbeat{Address{"akka.tcp", "S", std::string(256, 'h'), std::uint16_t{1}}, 1, 1};
    EXPECT_EQ(encode_frame(long_host).error().code, Errc::invalid_argument);
}

TEST(Frame, TextForTheOtherSidesLogIsCutToWhatItAccepts) {
    const ClusterFrame goodbye =
        Goodbye{GoodbyeReason::Protocol, std::string(1023, 'x') + "\xc3\xa9 and more"};
    const auto back = decode_frame(body_of(*encode_frame(goodbye)));
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(std::get<Goodbye>(*back).detail, std::string(1023, 'x'));
}

TEST(Frame, ASeenSetHasNoBitsBehindItsMembers) {
    const auto frame_of = [](std::size_t size) {
        Converged message{samples::node(1), samples::node(2), {}, SeenSet{size}};
        return *encode_frame(ClusterMessage{message});
    };
    const Slice nine = frame_of(9);
    std::vector<std::byte> bytes(nine.bytes().begin(), nine.bytes().end());
    EXPECT_TRUE(decode_frame(Slice{std::span{bytes}.subspan(frame_header_bytes)}));
    bytes.back() = std::byte{0b10};
    EXPECT_FALSE(decode_frame(Slice{std::span{bytes}.subspan(frame_header_bytes)}));
}

TEST(Golden, EveryFrameAndDecodeCaseOfTheReference) {
    for (const char* file : {"frames.json", "decode_cases.json"})
        for (const auto& outcome : golden::run_file(std::string{MUSTER_GOLDEN_DIR "/"} + file))
            EXPECT_TRUE(outcome.passed) << outcome.name << ": " << outcome.note;
}

TEST(Golden, OfDoubleReachabilityEntriesTheLastCounts) {
    using namespace reference;
    const reference::Address a{"akka", "a", {}, {}};
    const reference::Address b{"akka", "b", {}, {}};
    GossipPdu twice = Envelope{"x",
                               {},
                               {{},
                                {{a, b, reference::ReachabilityStatus::Unreachable},
                                 {b, a, reference::ReachabilityStatus::Reachable},
                                 {a, b, reference::ReachabilityStatus::Terminated}}}};
    const auto back = decode_frame(body_of(*encode_frame(twice)));
    ASSERT_TRUE(back);
    const auto& rows = std::get<Envelope>(std::get<GossipPdu>(*back)).state.reachability;
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].observer, b);
    EXPECT_EQ(rows[1].status, reference::ReachabilityStatus::Terminated);
}

} // namespace
} // namespace muster::wire
