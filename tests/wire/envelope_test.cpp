// SPDX-License-Identifier: Apache-2.0
/// The gossip on the wire: nothing lost, little spent, everything checked, memory shared.
#include "cluster/core/gossip_size.hpp"
#include "samples.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <limits>
#include <muster/cluster/state/gossip_check.hpp>
#include <muster/cluster/state/gossip_limits.hpp>
#include <muster/wire/archive.hpp>

namespace muster::wire {
namespace {

GossipPtr shared(Gossip gossip) { return std::make_shared<const Gossip>(std::move(gossip)); }

ClusterMessage envelope(GossipPtr gossip) {
    return GossipEnvelope{samples::node(0), samples::node(1), std::move(gossip)};
}

std::vector<std::byte> body_bytes(const ClusterMessage& message) {
    const auto frame = encode_frame(message);
    EXPECT_TRUE(frame) << frame.error().message();
    const auto body = frame->bytes().subspan(frame_header_bytes);
    return {body.begin(), body.end()};
}

result<GossipPtr> decode_gossip(std::span<const std::byte> body, Interner* interner = nullptr) {
    auto frame = decode_frame(Slice{body}, {.interner = interner});
    if (!frame) return frame.error();
    return std::get<GossipEnvelope>(std::get<ClusterMessage>(*frame)).gossip;
}

NotMember not_member(const ClusterFrame& frame) {
    return std::get<NotMember>(std::get<ClusterMessage>(frame));
}

void expect_same(const Gossip& a, const Gossip& b) {
    EXPECT_EQ(a.version_id(), b.version_id());
    EXPECT_EQ(a.seen_digest(), b.seen_digest());
    EXPECT_EQ(a.overview().seen, b.overview().seen);
    EXPECT_EQ(a.version(), b.version());
    EXPECT_TRUE(std::ranges::equal(a.tombstones(), b.tombstones()));
    EXPECT_TRUE(std::ranges::equal(a.reachability().records(), b.reachability().records()));
    EXPECT_TRUE(std::ranges::equal(a.reachability().versions(), b.reachability().versions()));
    ASSERT_EQ(a.members().size(), b.members().size());
    for (std::size_t i = 0; i < a.members().size(); ++i) {
        EXPECT_TRUE(a.members()[i].same_content(b.members()[i]));
        EXPECT_EQ(a.members()[i].app_version().text(), b.members()[i].app_version().text());
    }
    b.check();
}

TEST(Envelope, NothingOfAGossipIsLost) {
    for (const Gossip& gossip :
         {Gossip{}, samples::cluster(1), samples::cluster(300), samples::troubled(40)}) {
        const auto back = decode_gossip(body_bytes(envelope(shared(gossip))));
        ASSERT_TRUE(back) << back.error().message();
        expect_same(gossip, **back);
    }
}

TEST(Envelope, AnObserverWhoseUnreachableSubjectWasRemovedKeepsItsReachableRows) {
    const Gossip whole = samples::cluster(4);
    const auto node = [&](std::size_t i) { return whole.members()[i].unique_address(); };
    const auto rows = Reachability{}
                          .unreachable(node(0), node(1))
                          .unreachable(node(0), node(2))
                          .reachable(node(0), node(1));
    const UniqueAddress removed = node(2);
    const Gossip gossip = whole.with_reachability(rows).remove({&removed, 1}, WallTime{1});
    ASSERT_EQ(gossip.reachability().records().size(), 1U);
    const auto back = decode_gossip(body_bytes(envelope(shared(gossip))));
    ASSERT_TRUE(back) << back.error().message();
    expect_same(gossip, **back);
}

TEST(Envelope, NodesOfAllFormsSurvive) {
    std::vector<Member> members;
    std::int64_t uid = std::numeric_limits<std::int64_t>::min();
    for (const char* address : {"akka://s", "akka://s@10.0.0.1:0", "akka://s@10.0.0.1:65535",
                                "akka://s@[::1]:1", "akka://s@h\xc3\xa9:80", "akka://s@ha:80"})
        members.emplace_back(UniqueAddress{*Address::parse(address), Uid{uid++}}, MemberStatus::Joining);
    const auto gossip = Gossip::from_parts(members, {}, {}, {}, {});
    ASSERT_TRUE(gossip);
    const auto back = decode_gossip(body_bytes(envelope(shared(*gossip))));
    ASSERT_TRUE(back) << back.error().message();
    expect_same(*gossip, **back);
}

// --- gossips that cannot be

struct Forged {
    std::vector<Member> members{{samples::node(0), MemberStatus::Up, {}, 1},
                                {samples::node(1), MemberStatus::Up, {}, 2}};
    Reachability rows;
    std::vector<VectorClock::Entry> clock{{samples::node(0).key(), 3}};
    std::vector<Tombstone> tombstones;

    bool is_decoded() const {
        const auto gossip =
            Gossip::from_parts(members, {}, rows, VectorClock::from_entries(clock), tombstones);
        EXPECT_TRUE(gossip) << "from_parts() leaves this to the decoder";
        return gossip.has_value() && decode_gossip(body_bytes(envelope(shared(*gossip)))).has_value();
    }
};

TEST(ImpossibleGossip, TheFrameOfTheseTestsIsDecoded) { EXPECT_TRUE(Forged{}.is_decoded()); }

TEST(ImpossibleGossip, AClockEntryOfNoMemberIsRefused) {
    Forged forged;
    forged.clock.push_back({samples::node(7).key(), 1});
    EXPECT_FALSE(forged.is_decoded());
    Forged buried;
    buried.tombstones = {{samples::node(7), {1}}};
    buried.clock.push_back({samples::node(7).key(), 1});
    EXPECT_FALSE(buried.is_decoded());
}

TEST(ImpossibleGossip, AMemberThatIsATombstoneIsRefused) {
    Forged forged;
    forged.tombstones = {{samples::node(1), {1}}};
    EXPECT_FALSE(forged.is_decoded());
}

TEST(ImpossibleGossip, AMemberOrTombstoneOfAnotherProtocolOrSystemIsRefused) {
    const Address own = samples::node(1).address();
    for (const auto& [protocol, system] : {std::pair{"akka", "shop"}, std::pair{"akka.tcp", "stop"}}) {
        // The same key as a member has: host, port and uid are equal.
        const UniqueAddress foreign{Address::remote(protocol, system, *own.host, *own.port),
                                    samples::node(1).uid()};
        Forged member;
        member.members.emplace_back(foreign, MemberStatus::Down);
        EXPECT_FALSE(member.is_decoded()) << foreign.to_string();
        Forged tombstone;
        tombstone.tombstones = {{foreign, {1}}};
        EXPECT_FALSE(tombstone.is_decoded()) << foreign.to_string();
    }
}

TEST(ImpossibleGossip, UpNumbersAreBetween1And2To30) {
    for (const std::int32_t number : {1, up_number_max, Member::never_up}) {
        Forged fine;
        fine.members.emplace_back(samples::node(2), MemberStatus::Up, std::vector<std::string>{}, number);
        EXPECT_TRUE(fine.is_decoded()) << number;
    }
    for (const std::int32_t number :
         {std::numeric_limits<std::int32_t>::min(), -1, 0, up_number_max + 1, Member::never_up - 1}) {
        Forged forged;
        forged.members.emplace_back(samples::node(2), MemberStatus::Up, std::vector<std::string>{}, number);
        EXPECT_FALSE(forged.is_decoded()) << number;
    }
}

TEST(ImpossibleGossip, CountersAndVersionsAbove2To62AreRefusedBeforeTheyAreValues) {
    const auto clock = [](std::uint64_t counter) {
        return VectorClock::from_entries({{samples::node(0).key(), counter}});
    };
    EXPECT_TRUE(Gossip::from_parts(Forged{}.members, {}, {}, clock(gossip_counter_max), {}));
    EXPECT_FALSE(Gossip::from_parts(Forged{}.members, {}, {}, clock(gossip_counter_max + 1), {}));
    const auto rows = [](std::uint64_t version) {
        return Reachability{{}, {{samples::node(0), static_cast<std::int64_t>(version)}}};
    };
    EXPECT_TRUE(Gossip::from_parts(Forged{}.members, {}, rows(gossip_counter_max), {}, {}));
    EXPECT_FALSE(Gossip::from_parts(Forged{}.members, {}, rows(gossip_counter_max + 1), {}, {}));
}

TEST(ImpossibleGossip, TombstoneTimesAreNotJudged) {
    for (const std::int64_t ms : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1},
                                  std::numeric_limits<std::int64_t>::max()}) {
        Forged odd;
        odd.tombstones = {{samples::node(7), {ms}}};
        EXPECT_TRUE(odd.is_decoded()) << ms;
    }
}

// --- limits (protocol.md §2)

TEST(GossipLimits, AMemberAboveThemIsRefusedByTheDecoderWhichNamesTheLimit) {
    const auto refusal = [](std::vector<std::string> roles, AppVersion version) -> std::string {
        const Member large{samples::node(2), MemberStatus::Up, std::move(roles), 3, std::move(version)};
        const auto gossip = Gossip::from_parts({large}, {}, {}, {}, {});
        EXPECT_TRUE(gossip);
        const auto back = decode_gossip(body_bytes(envelope(shared(*gossip))));
        return back ? "" : back.error().message();
    };
    std::vector<std::string> many;
    std::vector<std::string> long_ones;
    for (int i = 0; i < 200; ++i) many.push_back(std::to_string(i));
    for (int i = 0; i < 40; ++i) long_ones.push_back(std::to_string(i) + std::string(240, 'x'));
    EXPECT_EQ(refusal({std::string(role_bytes_max, 'x')}, {}), "");
    EXPECT_NE(refusal({std::string(6'000'000, 'x')}, {}).find("bytes of a role"), std::string::npos);
    EXPECT_NE(refusal(many, {}).find("roles"), std::string::npos);
    EXPECT_NE(refusal(long_ones, {}).find("bytes of roles"), std::string::npos);
    EXPECT_NE(refusal({}, *AppVersion::parse(std::string(300, 'v'))).find("app version"), std::string::npos);
}

void expect_refused_at(const result<GossipPtr>& decoded, std::string_view field, std::string_view why) {
    ASSERT_FALSE(decoded);
    const std::string message = decoded.error().message();
    EXPECT_NE(message.find(fmt::format("field {},", field)), std::string::npos) << message;
    EXPECT_NE(message.find(why), std::string::npos) << message;
}

TEST(GossipLimits, MoreMembersThanAGossipMayBringAreRefusedAtTheirCountBeforeOneIsRead) {
    const UniqueAddress first = samples::node(1);
    std::vector<Member> members;
    for (std::size_t i = 0; i <= gossip_members_max; ++i)
        members.emplace_back(UniqueAddress{first.address(), Uid{static_cast<std::int64_t>(i)}},
                             MemberStatus::Joining);
    const auto gossip = Gossip::from_parts(members, {}, {}, {}, {});
    ASSERT_TRUE(gossip);
    expect_refused_at(decode_gossip(body_bytes(envelope(shared(*gossip)))), "gossip.members",
                      fmt::format("at most {} members", gossip_members_max));
}

TEST(GossipLimits, MoreTombstonesThanAGossipMayBringAreRefusedAtTheirCountBeforeOneIsRead) {
    const UniqueAddress first = samples::node(1);
    std::vector<Tombstone> tombstones;
    for (std::size_t i = 0; i <= gossip_tombstones_max; ++i)
        tombstones.push_back({{first.address(), Uid{static_cast<std::int64_t>(i)}}, {}});
    const auto gossip =
        Gossip::from_parts({{samples::node(0), MemberStatus::Up, {}, 1}}, {}, {}, {}, tombstones);
    ASSERT_TRUE(gossip);
    expect_refused_at(decode_gossip(body_bytes(envelope(shared(*gossip)))), "gossip.tombstones",
                      fmt::format("at most {} tombstones", gossip_tombstones_max));
}

TEST(GossipLimits, RolesAboveThemAreRefusedBeforeAMemberWithThemIsRead) {
    const Member large{samples::node(2), MemberStatus::Up, {std::string(role_bytes_max + 1, 'x')}, 3};
    const auto gossip = Gossip::from_parts({large}, {}, {}, {}, {});
    ASSERT_TRUE(gossip);
    expect_refused_at(decode_gossip(body_bytes(envelope(shared(*gossip)))), "gossip.identities",
                      "bytes of a role");
}

/// A gossip of one member as a hostile peer would write it: with values that no encoder has.
struct HandWritten {
    std::string protocol = samples::node(0).address().protocol;
    std::string system = samples::node(0).address().system;
    std::uint64_t shared = 0; ///< bytes of the host before, of which the first has none
    std::string host = *samples::node(0).address().host;
    std::int64_t port = *samples::node(0).address().port;
    std::int64_t up_number = 1;

    result<GossipPtr> decoded() const {
        const auto true_one =
            Gossip::from_parts({{samples::node(0), MemberStatus::Up, {}, 1}}, {}, {}, {}, {});
        const Hash128 version_id = true_one->version_id();
        constexpr std::uint8_t same_system_and_identity_other_host = 0xb0;
        BufferSink sink;
        OArchive out{sink};
        out.put_varint(static_cast<std::uint32_t>(FrameKind::GossipEnvelope));
        for (const UniqueAddress& n : {samples::node(0), samples::node(1)}) {
            const Address& address = n.address();
            out << address.protocol << address.system << address.host << address.port << n.uid().value;
        }
        out.put_fixed(version_id.low);
        out.put_fixed(version_id.high);
        out.put_varint(1); // seen: one member
        out.put_byte(0);
        out.put_byte(1); // format
        out.put_varint(1);
        out << protocol << system;
        out.put_varint(1); // identities: one, without roles
        out.put_varint(0);
        out.put_text(AppVersion{}.text());
        out.put_varint(1); // members
        out.put_byte(same_system_and_identity_other_host | static_cast<std::uint8_t>(MemberStatus::Up));
        out.put_varint(shared);
        out << host;
        out.put_varint(1 + zigzag(port));
        out.put_fixed(samples::node(0).uid().value);
        out.put_varint(1 + zigzag(up_number));
        out.put_varint(0); // tombstones
        out.put_varint(0); // the member's clock, and others
        out.put_varint(0);
        out.put_varint(0); // observers
        out.finish();
        return decode_gossip(sink.bytes());
    }
};

TEST(HandWrittenGossip, WithTheValuesOfAnEncoderIsDecoded) {
    const auto decoded = HandWritten{}.decoded();
    EXPECT_TRUE(decoded) << decoded.error().message();
}

TEST(HandWrittenGossip, WithAPortOrUpNumberThatWrapsToTheRightOneIsRefused) {
    // Its version_id would be right: one content in two forms.
    for (const std::int64_t turn : {std::int64_t{1} << 16U, -(std::int64_t{1} << 16U)}) {
        HandWritten port;
        port.port += turn;
        expect_refused_at(port.decoded(), "gossip.members", "port is none");
    }
    for (const std::int64_t turn : {std::int64_t{1} << 32U, -(std::int64_t{1} << 32U)}) {
        HandWritten number;
        number.up_number += turn;
        expect_refused_at(number.decoded(), "gossip.members", "up_number is none");
    }
}

TEST(HandWrittenGossip, WithAProtocolSystemOrHostAboveTheLimitIsRefusedWhereItIsRead) {
    HandWritten protocol;
    protocol.protocol.assign(address_part_bytes_max + 1, 'p');
    expect_refused_at(protocol.decoded(), "gossip.systems", "too long");
    HandWritten system;
    system.system.assign(address_part_bytes_max + 1, 's');
    expect_refused_at(system.decoded(), "gossip.systems", "too long");
    HandWritten host;
    host.host.assign(address_part_bytes_max + 1, 'h');
    expect_refused_at(host.decoded(), "gossip.members", "this host is too long");
}

TEST(HandWrittenGossip, WithAHostThatSharesMoreThanTheOneBeforeHasIsRefused) {
    for (const std::uint64_t shared : {std::uint64_t{1}, ~std::uint64_t{0}}) {
        HandWritten host;
        host.shared = shared;
        expect_refused_at(host.decoded(), "gossip.members", "this host is too long");
    }
}

TEST(GossipSize, IsNeverBelowTheEncodedFrameAndNotFarAboveIt) {
    for (const std::size_t count : {1U, 2U, 10U, 300U, 1000U}) {
        const GossipPtr gossip = shared(samples::cluster(count));
        GossipSize size;
        const std::size_t estimate = size.of(gossip);
        const std::size_t real = body_bytes(envelope(gossip)).size();
        EXPECT_GE(estimate, real) << count;
        EXPECT_LE(estimate, 3 * real + 1024) << count;
    }
    // Everything long: names, counters, times, rows of everybody about everybody.
    std::vector<Member> members;
    std::vector<VectorClock::Entry> clock;
    std::vector<Tombstone> tombstones;
    Reachability rows;
    std::vector<UniqueAddress> nodes;
    for (std::size_t i = 0; i < 20; ++i) {
        const auto host = std::to_string(i) + std::string(250, static_cast<char>('a' + i));
        nodes.push_back(
            {Address::remote("akka.tcp", "shop", host, static_cast<std::uint16_t>(60'000 * (i % 2) + i)),
             Uid{std::numeric_limits<std::int64_t>::max() - static_cast<std::int64_t>(i)}});
        members.emplace_back(nodes.back(), MemberStatus::Up, std::vector<std::string>{host},
                             static_cast<std::int32_t>(up_number_max - 1000 * (i % 2)),
                             *AppVersion::parse(host));
        clock.push_back({nodes.back().key(), gossip_counter_max - i});
        tombstones.push_back({{nodes.back().address(), Uid{static_cast<std::int64_t>(i)}},
                              {i % 2 == 0 ? std::numeric_limits<std::int64_t>::min()
                                          : std::numeric_limits<std::int64_t>::max()}});
    }
    for (const auto& observer : nodes)
        for (const auto& subject : nodes)
            if (observer != subject) rows = rows.unreachable(observer, subject);
    const auto gossip =
        Gossip::from_parts(members, nodes, rows, VectorClock::from_entries(clock), tombstones);
    ASSERT_TRUE(gossip);
    GossipSize size;
    EXPECT_GE(size.of(shared(*gossip)),
              body_bytes(GossipEnvelope{nodes[0], nodes[1], shared(*gossip)}).size());
}

TEST(Envelope, AMemberTakesUnder48BytesOfAThousand) {
    const std::size_t count = 1000;
    const auto bytes = body_bytes(envelope(shared(samples::cluster(count))));
    EXPECT_LT(bytes.size(), 48 * count);
    RecordProperty("bytes_per_member", fmt::format("{:.1f}", static_cast<double>(bytes.size()) / count));
}

TEST(Envelope, ABodyIsBuiltOncePerVersionWhoeverHasSeenIt) {
    EnvelopeEncoder encoder;
    const Gossip gossip = samples::cluster(20);
    const auto first = encode_message(envelope(shared(gossip)), encoder);
    const auto second = encode_message(envelope(shared(gossip.seen(samples::node(1)))), encoder);
    EXPECT_EQ(encoder.built(), 1U);
    EXPECT_EQ(first->body.owner(), second->body.owner());
    EXPECT_NE(first->head, second->head);
    const auto third = encode_message(envelope(shared(gossip.increment(samples::node(1)))), encoder);
    EXPECT_EQ(encoder.built(), 2U);
    EXPECT_NE(third->body.owner(), first->body.owner());
}

TEST(Envelope, OtherTombstoneTimesAreAnotherBody) {
    EnvelopeEncoder encoder;
    const auto with_time = [](std::int64_t ms) {
        return shared(*Gossip::from_parts({}, {}, {}, {}, {{samples::node(1), {ms}}}));
    };
    ASSERT_EQ(with_time(1)->version_id(), with_time(2)->version_id());
    (void)encode_message(envelope(with_time(1)), encoder);
    (void)encode_message(envelope(with_time(2)), encoder);
    EXPECT_EQ(encoder.built(), 2U);
    (void)encode_message(envelope(with_time(2)), encoder);
    EXPECT_EQ(encoder.built(), 2U);
}

TEST(Envelope, TheEncoderKeepsTheVersionsUsedLast) {
    EnvelopeEncoder encoder{2};
    Gossip gossip = samples::cluster(3);
    std::vector<GossipPtr> versions;
    for (int i = 0; i < 3; ++i) versions.push_back(shared(gossip = gossip.increment(samples::node(0))));
    for (const int i : {0, 1, 0, 2, 0, 1})
        (void)encode_message(envelope(versions[static_cast<std::size_t>(i)]), encoder);
    EXPECT_EQ(encoder.bodies(), 2U);
    EXPECT_EQ(encoder.built(), 4U) << "0, 1, 2 and 1 again";
}

TEST(Envelope, DecodingSharesWhatIsKnown) {
    Interner interner;
    const Gossip gossip = samples::cluster(30);
    const auto first = *decode_gossip(body_bytes(envelope(shared(gossip))), &interner);
    EXPECT_EQ(interner.known(), first);
    const Member left = *gossip.members()[3].copy_with_status(MemberStatus::Leaving);
    const Gossip changed = gossip.update(std::span{&left, 1}).increment(samples::node(0));
    const auto second = *decode_gossip(body_bytes(envelope(shared(changed))), &interner);
    expect_same(changed, *second);
    for (std::size_t i = 0; i < 30; ++i) {
        EXPECT_EQ(&first->members()[i].address(), &second->members()[i].address()) << i;
        EXPECT_EQ(&first->members()[i].content_hash() == &second->members()[i].content_hash(), i != 3) << i;
        EXPECT_EQ(first->members()[i].roles().data(), second->members()[i].roles().data()) << i;
    }
}

TEST(Envelope, AVersionThatChangesNoMemberSharesAllOfThem) {
    Interner interner;
    const Gossip gossip = samples::troubled(30);
    const auto first = *decode_gossip(body_bytes(envelope(shared(gossip))), &interner);
    const auto rows = gossip.reachability()
                          .unreachable(samples::node(5), samples::node(6))
                          .unreachable(samples::node(6), samples::node(7));
    const Gossip changed =
        gossip.with_reachability(rows).increment(samples::node(5)).only_seen(samples::node(5));
    const auto second = *decode_gossip(body_bytes(envelope(shared(changed))), &interner);
    expect_same(changed, *second);
    EXPECT_EQ(second->members().data(), first->members().data());
    // Also when another gossip came between them, which had other members.
    const Member left = *gossip.members()[29].copy_with_status(MemberStatus::Down);
    const Gossip other = gossip.update(std::span{&left, 1}).increment(samples::node(0));
    expect_same(other, **decode_gossip(body_bytes(envelope(shared(other))), &interner));
    expect_same(changed, **decode_gossip(body_bytes(envelope(shared(changed))), &interner));
}

TEST(Envelope, MembersThatAreKnownAreNotTakenForFewerOrMore) {
    // Each in turn begins as the one before or goes on behind it: only whole lists of members are the same
    // list.
    Interner interner;
    for (const std::size_t count : {5U, 4U, 6U, 5U, 1U, 0U, 2U, 5U}) {
        const Gossip gossip = count == 0 ? Gossip{} : samples::cluster(count);
        const auto back = decode_gossip(body_bytes(envelope(shared(gossip))), &interner);
        ASSERT_TRUE(back) << back.error().message();
        expect_same(gossip, **back);
    }
}

TEST(Envelope, MembersOfOneKindShareTheirRoles) {
    const auto decoded = *decode_gossip(body_bytes(envelope(shared(samples::cluster(30)))));
    EXPECT_EQ(decoded->members()[1].roles().data(), decoded->members()[5].roles().data());
    EXPECT_NE(decoded->members()[0].roles().data(), decoded->members()[1].roles().data());
}

TEST(Envelope, TheKnownVersionIsTheKnownGossipWithTheSeenOfTheWire) {
    Interner interner;
    const Gossip gossip = samples::cluster(30);
    interner.remember(shared(gossip));
    const auto same = *decode_gossip(body_bytes(envelope(shared(gossip))), &interner);
    EXPECT_EQ(same->members().data(), interner.known()->members().data());
    const Gossip other_seen = gossip.only_seen(samples::node(7));
    const auto seen = *decode_gossip(body_bytes(envelope(shared(other_seen))), &interner);
    expect_same(other_seen, *seen);
    EXPECT_EQ(seen->members().data(), gossip.members().data());
}

TEST(Envelope, ANodeOfAMessageIsSharedWithTheKnownGossip) {
    Interner interner;
    interner.remember(shared(samples::cluster(3)));
    const auto bytes = body_bytes(NotMember{samples::node(1), samples::node(4)});
    const auto frame = decode_frame(Slice{bytes}, {.interner = &interner});
    const auto& message = std::get<NotMember>(std::get<ClusterMessage>(*frame));
    EXPECT_EQ(&message.from.address(), &interner.known()->members()[1].address());
    EXPECT_EQ(&message.to.address(), &interner.known()->tombstones()[0].node.address());
}

TEST(Envelope, ANodeThatWasOnceKnownStaysShared) {
    Interner interner;
    interner.remember(shared(samples::cluster(3)));
    const auto bytes = body_bytes(NotMember{samples::node(1), samples::node(4)});
    const auto decode = [&] { return not_member(*decode_frame(Slice{bytes}, {.interner = &interner})); };
    const NotMember first = decode();
    interner.remember(shared(Gossip{}));
    const NotMember second = decode();
    EXPECT_EQ(&first.from.address(), &second.from.address());
    EXPECT_EQ(&first.to.address(), &second.to.address());
}

TEST(Envelope, ANodeThatIsNotOfTheKnownGossipIsNotKept) {
    Interner interner;
    interner.remember(shared(samples::cluster(3)));
    const auto bytes = body_bytes(NotMember{samples::node(1), samples::node(77)});
    const auto decode = [&] { return not_member(*decode_frame(Slice{bytes}, {.interner = &interner})); };
    const NotMember first = decode();
    const NotMember second = decode();
    EXPECT_EQ(second.to, samples::node(77));
    EXPECT_NE(&first.to.address(), &second.to.address());

    // Nothing spares an address of a stranger the check, however often it comes.
    const UniqueAddress not_normal{Address{"akka.tcp", "shop", "Node-0001", 2552}, Uid{1}};
    const auto bad = body_bytes(NotMember{samples::node(1), not_normal});
    for (int i = 0; i < 2; ++i) EXPECT_FALSE(decode_frame(Slice{bad}, {.interner = &interner}));
}

TEST(Envelope, KeptNodesAreToldApartByEveryPart) {
    const UniqueAddress kept = samples::node(1);
    const Address& address = kept.address();
    std::vector<UniqueAddress> others{UniqueAddress{address, Uid{kept.uid().value ^ (1LL << 32 | 1)}}};
    for (const Address& other : {Address::remote("akka", address.system, *address.host, *address.port),
                                 Address::remote(address.protocol, "stop", *address.host, *address.port),
                                 Address::remote(address.protocol, address.system, "other", *address.port),
                                 Address::remote(address.protocol, address.system, *address.host, 2553)})
        others.emplace_back(other, kept.uid());
    Interner interner;
    interner.remember(shared(samples::cluster(3)));
    for (const UniqueAddress& other : others) {
        const auto known = body_bytes(NotMember{kept, kept});
        ASSERT_TRUE(decode_frame(Slice{known}, {.interner = &interner}));
        const auto bytes = body_bytes(NotMember{kept, other});
        const NotMember message = not_member(*decode_frame(Slice{bytes}, {.interner = &interner}));
        EXPECT_EQ(message.from, kept);
        EXPECT_EQ(message.to, other) << "not " << message.to.to_string();
    }
}

TEST(Envelope, AnotherVersionIdThanThatOfTheContentIsRefused) {
    const Gossip gossip = samples::troubled(12);
    auto bytes = body_bytes(envelope(shared(gossip)));
    // The head holds the id as it stands: after from and to, low half first.
    std::array<std::byte, 8> low{};
    const std::uint64_t low_value = gossip.version_id().low;
    std::memcpy(low.data(), &low_value, low.size());
    const auto at = std::ranges::search(bytes, low);
    ASSERT_FALSE(at.empty());
    at.front() ^= std::byte{1};
    const auto decoded = decode_gossip(bytes);
    ASSERT_FALSE(decoded);
    EXPECT_NE(decoded.error().message().find("version_id"), std::string::npos) << decoded.error().message();
}

TEST(Envelope, EveryFlippedBitIsRefusedOrChangesOnlyWhatTheIdLeavesOut) {
    const Gossip gossip = samples::troubled(12);
    const auto bytes = body_bytes(envelope(shared(gossip)));
    std::size_t accepted = 0;
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
        auto flipped = bytes;
        flipped[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        const auto frame = decode_frame(Slice{flipped});
        if (!frame) continue;
        ++accepted;
        const auto* message = std::get_if<ClusterMessage>(&*frame);
        if (message == nullptr) continue;
        if (const auto* decoded = std::get_if<GossipEnvelope>(message)) {
            EXPECT_EQ(decoded->gossip->version_id(), gossip.version_id()) << bit;
            decoded->gossip->check();
        }
    }
    // from, to, seen and tombstone times are free; nearly everything else is covered by the id.
    EXPECT_LT(accepted, bytes.size() * 4);
}

TEST(Envelope, EveryCutIsRefused) {
    const auto bytes = body_bytes(envelope(shared(samples::troubled(12))));
    for (std::size_t cut = 0; cut < bytes.size(); ++cut)
        EXPECT_FALSE(decode_gossip(std::span{bytes}.first(cut))) << cut;
}

TEST(Envelope, ALongHostIsNotMultipliedByShortDifferences) {
    // A host of 255 bytes that every further member shares costs 12 bytes each: bounded, but a host beyond
    // 255 bytes would let one frame claim gigabytes.
    const std::string host(255, 'h');
    std::vector<Member> members{
        {UniqueAddress{Address::remote("akka", "s", host, 1), Uid{1}}, MemberStatus::Up}};
    EXPECT_TRUE(decode_gossip(body_bytes(envelope(shared(*Gossip::from_parts(members, {}, {}, {}, {}))))));
    members = {{UniqueAddress{Address{"akka", "s", host + "h", std::uint16_t{1}}, Uid{1}}, MemberStatus::Up}};
    EXPECT_FALSE(encode_frame(envelope(shared(*Gossip::from_parts(members, {}, {}, {}, {})))));
}

} // namespace
} // namespace muster::wire
