// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/compat/heartbeat_sender.hpp>
#include <muster/cluster/failure/cross_dc_heartbeats.hpp>
#include <muster/cluster/failure/heartbeat_receivers.hpp>
#include <muster/cluster/failure/heartbeat_ring.hpp>

#include "../sbr_support.hpp"
#include <algorithm>
#include <gtest/gtest.h>
#include <set>

namespace {

using namespace muster;
using std::chrono::milliseconds;
using test::hosts;

Instant ms(std::int64_t t) { return Instant{milliseconds{t}}; }

/// Nodes a, b, c, .. with uids 1, 2, 3, ..: that is their order on the ring.
UniqueAddress node(char host) { return test::node(std::string(1, host), host - 'a' + 1); }
std::string text(const std::vector<UniqueAddress>& nodes) { return hosts(nodes); }

HeartbeatRing ring_of(const std::string& all, char self, std::size_t monitored_by,
                      const std::string& unreachable = "") {
    HeartbeatRing ring(node(self), monitored_by);
    for (const char host : all) ring.add(node(host));
    for (const char host : unreachable) ring.set_unreachable(node(host));
    return ring;
}

TEST(HeartbeatRingHash, FoldsTheUidWithALogicalShift) {
    EXPECT_EQ(ring_hash(test::node("x", 5)), 5);
    EXPECT_EQ(ring_hash(test::node("x", -1)), 0); // ff..ff ^ 00000000ff..ff = ffffffff00000000
    EXPECT_EQ(ring_hash(test::node("x", 0x0000000180000000)), std::int32_t(0x80000001U));
}

TEST(HeartbeatRing, ReceiversAreTheNextSuccessorsWrappingAround) {
    EXPECT_EQ(text(ring_of("abcdef", 'a', 3).receivers(node('a'))), "bcd");
    EXPECT_EQ(text(ring_of("abcdef", 'f', 3).receivers(node('f'))), "abc");
    EXPECT_EQ(text(ring_of("abcdef", 'e', 3).receivers(node('e'))), "abf");
}

TEST(HeartbeatRing, AFewMembersAllMonitorEachOther) {
    EXPECT_EQ(text(ring_of("abcdef", 'c', 5).receivers(node('c'))), "abdef");
    EXPECT_EQ(text(ring_of("a", 'a', 5).receivers(node('a'))), "");
}

TEST(HeartbeatRing, UnreachableOnesComeAlongWithoutCountingWhileTheCollectionIsSmall) {
    EXPECT_EQ(text(ring_of("abcdef", 'a', 3, "ade").receivers(node('a'))), "bcdf");
    EXPECT_EQ(text(ring_of("abcdef", 'b', 3, "ade").receivers(node('b'))), "cdef");
    EXPECT_EQ(text(ring_of("abcdefgh", 'a', 2, "bcdef").receivers(node('a'))), "bcgh");
}

TEST(HeartbeatRing, OrderIsByHashThenByAddress) {
    HeartbeatRing ring(node('c'), 1, [](const UniqueAddress&) { return 7; });
    for (const char host : std::string("badfe")) ring.add(node(host));
    EXPECT_EQ(text(ring.receivers(node('c'))), "d");
    EXPECT_EQ(text(ring.receivers(node('f'))), "a");
}

TEST(HeartbeatRing, AddingAndRemovingTwiceChangesNothing) {
    HeartbeatRing ring = ring_of("abc", 'a', 2);
    EXPECT_FALSE(ring.add(node('b')));
    EXPECT_TRUE(ring.remove(node('b')));
    EXPECT_FALSE(ring.remove(node('b')));
    EXPECT_EQ(ring.size(), 2U);
}

TEST(HeartbeatRing, MonitorsAreExactlyThoseWhoseReceiversTheSubjectIsAmong) {
    const std::string all = "abcdefghijklmnop";
    std::uint64_t random = 7;
    const auto next = [&] { return (random = random * 6364136223846793005U + 1442695040888963407U) >> 32; };
    for (int round = 0; round < 300; ++round) {
        std::string gone;
        for (const char host : all)
            if (next() % 4 < static_cast<std::uint64_t>(round % 4)) gone += host;
        const HeartbeatRing ring = ring_of(all, 'a', 1 + next() % 6, gone);
        for (const char subject : all) {
            std::vector<UniqueAddress> expected;
            for (const char host : all) {
                const auto receivers = ring.receivers(node(host));
                if (std::ranges::binary_search(receivers, node(subject))) expected.push_back(node(host));
            }
            ASSERT_EQ(text(ring.monitors(node(subject))), text(expected))
                << subject << " with " << gone << " unreachable";
        }
    }
    EXPECT_TRUE(ring_of("abc", 'a', 2).monitors(node('z')).empty()) << "it is not on the ring";
}

TEST(HeartbeatReceivers, ManyAtOnceComeToTheSameAsOneByOne) {
    const std::string all = "bcdefghijklmnopq";
    std::uint64_t random = 11;
    const auto next = [&] { return (random = random * 6364136223846793005U + 1442695040888963407U) >> 32; };
    for (int round = 0; round < 200; ++round) {
        FailureDetectorSettings settings;
        settings.monitored_by_nr_of_members = 1 + next() % 5;
        HeartbeatReceivers together(node('a'), settings);
        HeartbeatReceivers apart(node('a'), settings);
        for (int step = 0; step < 12; ++step) {
            std::vector<UniqueAddress> some;
            for (const char host : all)
                if (next() % 3 == 0) some.push_back(node(host));
            const auto kind = next() % 6;
            if (kind < 2) together.add_members(some, ms(1));
            if (kind == 2) together.remove_members(some, ms(1));
            if (kind == 3) together.unreachable_members(some, ms(1));
            if (kind == 4) together.reachable_members(some, ms(1));
            for (const UniqueAddress& one : some) {
                if (kind < 2) apart.add_member(one, ms(1));
                if (kind == 2) apart.remove_member(one, ms(1));
                if (kind == 3) apart.unreachable_member(one, ms(1));
                if (kind == 4) apart.reachable_member(one, ms(1));
                if (kind != 5) continue;
                for (HeartbeatReceivers* receivers : {&together, &apart}) {
                    if (receivers->is_active(one) && one.uid().value % 2 == 0)
                        receivers->detectors().mark_dead(one);
                    if (one.uid().value % 2 != 0) receivers->on_reply(one, ms(1));
                }
            }
            ASSERT_EQ(text(together.ring_receivers()), text(apart.ring_receivers()));
            ASSERT_EQ(text(together.active()), text(apart.active()));
            ASSERT_EQ(text(together.old_receivers_now_unreachable()),
                      text(apart.old_receivers_now_unreachable()));
            ASSERT_EQ(text(together.detectors().nodes()), text(apart.detectors().nodes()));
        }
    }
}

TEST(HeartbeatReceivers, AfterAMassCrashEveryDeadMemberIsFoundAndKeepsALivingMonitor) {
    // protocol.md §19, 9. Who died with all that monitored it still counts as reachable, so that the living
    // reach it as soon as those before it are unreachable.
    const std::string all = "abcdefghijklmnopqrstuvwxyz";
    std::uint64_t random = 5;
    const auto next = [&] { return (random = random * 6364136223846793005U + 1442695040888963407U) >> 32; };
    for (int round = 0; round < 40; ++round) {
        FailureDetectorSettings settings;
        settings.monitored_by_nr_of_members = 1 + next() % 4;
        std::vector<UniqueAddress> living;
        std::vector<UniqueAddress> dead;
        for (const char host : all)
            (next() % 4 < static_cast<std::uint64_t>(1 + round % 3) ? dead : living).push_back(node(host));
        std::vector<HeartbeatReceivers> receivers;
        for (const UniqueAddress& self : living) {
            HeartbeatReceivers& one = receivers.emplace_back(self, settings);
            std::vector<UniqueAddress> others = living;
            others.insert(others.end(), dead.begin(), dead.end());
            std::erase(others, self);
            one.add_members(others, ms(1));
        }
        std::set<UniqueAddress> found;
        for (std::size_t before = living.size() + 1; before != found.size() && !living.empty();) {
            before = found.size();
            for (HeartbeatReceivers& one : receivers)
                for (const UniqueAddress& silent : dead)
                    if (one.is_active(silent)) {
                        one.detectors().mark_dead(silent); // it never answers
                        found.insert(silent);
                    }
            for (HeartbeatReceivers& one : receivers)
                one.unreachable_members(std::vector<UniqueAddress>(found.begin(), found.end()), ms(1));
        }
        if (living.empty()) continue;
        EXPECT_EQ(found.size(), dead.size()) << text(dead) << " died";
        for (const UniqueAddress& gone : dead)
            EXPECT_TRUE(std::ranges::any_of(receivers, [&](const auto& one) { return one.is_active(gone); }))
                << text({gone}) << " of " << text(dead) << " has no monitor left";
    }
}

TEST(HeartbeatRing, EveryReachableMemberIsMonitoredByEnough) {
    const std::string all = "abcdefghijklmnop";
    std::uint64_t random = 42;
    for (int round = 0; round < 50; ++round) {
        std::string gone;
        for (const char host : all) {
            random = random * 6364136223846793005U + 1442695040888963407U;
            if (random >> 62 == 0) gone += host;
        }
        const HeartbeatRing ring = ring_of(all, 'a', 3, gone);
        std::map<UniqueAddress, std::size_t> monitors;
        for (const char host : all)
            for (const UniqueAddress& receiver : ring.receivers(node(host)))
                monitors[receiver] += ring.is_unreachable(node(host)) ? 0 : 1;
        const std::size_t least = std::min<std::size_t>(3, all.size() - gone.size() - 1);
        for (const char host : all) {
            if (ring.is_unreachable(node(host))) continue;
            EXPECT_GE(monitors[node(host)], least) << host << " with " << gone << " unreachable";
        }
    }
}

HeartbeatReceivers receivers_of(const std::string& members, std::size_t monitored_by = 3) {
    FailureDetectorSettings settings;
    settings.monitored_by_nr_of_members = monitored_by;
    HeartbeatReceivers receivers(node('a'), settings);
    for (const char host : members) receivers.add_member(node(host), ms(0));
    return receivers;
}

TEST(HeartbeatReceivers, APushedOutReceiverThatAnswersIsForgotten) {
    HeartbeatReceivers receivers = receivers_of("cde");
    for (const char host : std::string("cde")) receivers.on_reply(node(host), ms(0));
    EXPECT_TRUE(receivers.add_member(node('b'), ms(100)));
    EXPECT_EQ(text(receivers.active()), "bcd");
    EXPECT_FALSE(receivers.detectors().is_monitoring(node('e')));
}

TEST(HeartbeatReceivers, APushedOutReceiverThatIsSilentIsHeartbeatedUntilItAnswers) {
    HeartbeatReceivers receivers = receivers_of("cde");
    for (const char host : std::string("cde")) receivers.on_reply(node(host), ms(0));
    receivers.on_reply(node('c'), ms(60'000));
    receivers.on_reply(node('d'), ms(60'000));
    receivers.add_member(node('b'), ms(60'000));
    EXPECT_EQ(text(receivers.active()), "bcde");
    EXPECT_EQ(text(receivers.old_receivers_now_unreachable()), "e");
    ASSERT_TRUE(receivers.on_reply(node('e'), ms(61'000)).has_value());
    EXPECT_EQ(text(receivers.active()), "bcd");
    EXPECT_FALSE(receivers.detectors().is_monitoring(node('e')));
}

TEST(HeartbeatReceivers, AnOldReceiverThatIsOnTheRingAgainKeepsItsDetector) {
    HeartbeatReceivers receivers = receivers_of("cde");
    receivers.on_reply(node('e'), ms(0));
    receivers.add_member(node('b'), ms(60'000));
    EXPECT_EQ(text(receivers.old_receivers_now_unreachable()), "e");
    receivers.remove_member(node('b'), ms(60'000));
    receivers.on_reply(node('e'), ms(61'000));
    EXPECT_EQ(text(receivers.old_receivers_now_unreachable()), "");
    EXPECT_TRUE(receivers.detectors().is_monitoring(node('e')));
    EXPECT_EQ(text(receivers.active()), "cde");
}

TEST(HeartbeatReceivers, RemovalForgetsTheDetectorAndTheOldReceiver) {
    HeartbeatReceivers receivers = receivers_of("cde");
    receivers.on_reply(node('e'), ms(0));
    receivers.add_member(node('b'), ms(60'000));
    EXPECT_TRUE(receivers.remove_member(node('e'), ms(60'000)));
    EXPECT_EQ(text(receivers.active()), "bcd");
    EXPECT_FALSE(receivers.detectors().is_monitoring(node('e')));
}

TEST(HeartbeatReceivers, ResponsesOfOthersAreIgnored) {
    HeartbeatReceivers receivers = receivers_of("bcd");
    EXPECT_FALSE(receivers.on_reply(node('x'), ms(0)).has_value());
    EXPECT_FALSE(receivers.on_reply(test::node("b", 99), ms(0)).has_value());
    EXPECT_EQ(receivers.detectors().size(), 0U);
}

TEST(HeartbeatReceivers, UnreachableNeighboursMakeRoomForReachableOnes) {
    HeartbeatReceivers receivers = receivers_of("bcdefg");
    EXPECT_EQ(text(receivers.active()), "bcd");
    EXPECT_TRUE(receivers.unreachable_member(node('b'), ms(0)));
    EXPECT_EQ(text(receivers.active()), "bcde");
    EXPECT_TRUE(receivers.reachable_member(node('b'), ms(0)));
    EXPECT_EQ(text(receivers.active()), "bcd");
}

/// The survivors of a crash of many at once: each suspects the dead it monitors, and tells the others.
TEST(HeartbeatReceivers, AfterAMassCrashEveryDeadNodeIsFoundAndStaysMonitored) {
    const std::string all = "abcdefghijklmnop";
    for (const std::string dead : {"cdefg", "bcdefghijklmno", "bdfhjlnp", "hijklmnop", "b"}) {
        FailureDetectorSettings settings;
        settings.monitored_by_nr_of_members = 3;
        std::vector<HeartbeatReceivers> survivors;
        for (const char self : all) {
            if (dead.find(self) != std::string::npos) continue;
            survivors.emplace_back(node(self), settings);
            for (const char host : all)
                if (host != self) survivors.back().add_member(node(host), ms(0));
            for (const UniqueAddress& receiver : std::vector(survivors.back().active()))
                survivors.back().on_reply(receiver, ms(0));
        }
        std::set<UniqueAddress> found;
        for (std::int64_t now = 10'000; now <= 200'000; now += 10'000) {
            for (HeartbeatReceivers& survivor : survivors) {
                for (const UniqueAddress& receiver : std::vector(survivor.active())) {
                    const bool is_dead = dead.find(receiver.address().host->front()) != std::string::npos;
                    if (!is_dead)
                        survivor.on_reply(receiver, ms(now));
                    else if (!survivor.detectors().is_monitoring(receiver))
                        survivor.detectors().heartbeat(receiver, ms(now)); // the expected first one
                    else if (!survivor.detectors().is_available(receiver, ms(now)))
                        found.insert(receiver);
                }
            }
            for (HeartbeatReceivers& survivor : survivors)
                for (const UniqueAddress& unreachable : found)
                    survivor.unreachable_member(unreachable, ms(now));
        }
        std::set<UniqueAddress> monitored;
        for (const HeartbeatReceivers& survivor : survivors)
            monitored.insert(survivor.active().begin(), survivor.active().end());
        for (const char host : dead) {
            EXPECT_TRUE(found.contains(node(host))) << host << " of " << dead;
            EXPECT_TRUE(monitored.contains(node(host))) << host << " of " << dead;
        }
    }
}

// --- between data centers

Member dc_member(const std::string& dc, char host, std::int32_t up, MemberStatus status = MemberStatus::Up) {
    return Member(node(host), status, {"dc-" + dc}, up);
}

MultiDcSettings dc_settings(std::size_t connections) {
    MultiDcSettings settings;
    settings.self_data_center = "one";
    settings.cross_dc_connections = connections;
    return settings;
}

TEST(CrossDcHeartbeats, TheOldestMonitorTheOldestOfEveryOtherDataCenter) {
    CrossDcHeartbeats heartbeats(node('a'), dc_settings(2));
    heartbeats.update(std::vector{dc_member("one", 'a', 2), dc_member("one", 'b', 1),
                                  dc_member("two", 'd', 3), dc_member("two", 'e', 1),
                                  dc_member("two", 'f', 2), dc_member("three", 'g', 1)});
    EXPECT_TRUE(heartbeats.is_active());
    EXPECT_EQ(text(heartbeats.receivers()), "efg");
}

TEST(CrossDcHeartbeats, JoiningAndWeaklyUpMembersTakeNoPart) {
    CrossDcHeartbeats heartbeats(node('a'), dc_settings(2));
    heartbeats.update(std::vector{dc_member("one", 'a', Member::never_up, MemberStatus::WeaklyUp),
                                  dc_member("two", 'e', 1)});
    EXPECT_FALSE(heartbeats.is_active());
    heartbeats.update(std::vector{dc_member("one", 'a', 1),
                                  dc_member("two", 'e', Member::never_up, MemberStatus::Joining)});
    EXPECT_FALSE(heartbeats.is_active()); // one data center only takes part
    EXPECT_EQ(text(heartbeats.receivers()), "");
}

TEST(CrossDcHeartbeats, TheYoungerOnesAreDormantUntilTheyAreAmongTheOldestAndStayActiveThen) {
    CrossDcHeartbeats heartbeats(node('b'), dc_settings(1));
    const Member a = dc_member("one", 'a', 1);
    const Member b = dc_member("one", 'b', 2);
    const Member c = dc_member("two", 'c', 1);
    heartbeats.update(std::vector{a, b, c});
    EXPECT_FALSE(heartbeats.is_active());
    EXPECT_EQ(text(heartbeats.receivers()), "");
    heartbeats.update(std::vector{b, c});
    EXPECT_TRUE(heartbeats.is_active());
    heartbeats.update(std::vector{a, b, c});
    EXPECT_TRUE(heartbeats.is_active());
    EXPECT_EQ(text(heartbeats.receivers()), "c");
}

TEST(CrossDcHeartbeats, DetectorsOfDroppedReceiversAreForgottenAndThoseOfNewOnesKept) {
    CrossDcHeartbeats heartbeats(node('a'), dc_settings(1));
    heartbeats.update(std::vector{dc_member("one", 'a', 1), dc_member("two", 'd', 5)});
    heartbeats.on_reply(node('d'), ms(0));
    heartbeats.update(
        std::vector{dc_member("one", 'a', 1), dc_member("two", 'd', 5), dc_member("two", 'c', 4)});
    EXPECT_EQ(text(heartbeats.receivers()), "c");
    EXPECT_FALSE(heartbeats.detectors().is_monitoring(node('d')));
    heartbeats.on_reply(node('c'), ms(0));
    heartbeats.update(std::vector{dc_member("one", 'a', 1), dc_member("two", 'c', 4)});
    EXPECT_TRUE(heartbeats.detectors().is_monitoring(node('c')));
    EXPECT_FALSE(heartbeats.on_reply(node('d'), ms(0)).has_value());
}

// --- the reference's sender

TEST(HeartbeatSender, ANewPeerIsDueAtOnceAndAgainAfterItsInterval) {
    HeartbeatSender sender;
    sender.add_peer(node('b'), milliseconds{1000}, ms(0));
    sender.add_peer(node('c'), milliseconds{3000}, ms(0));
    EXPECT_EQ(text(sender.due_peers(ms(0))), "bc");
    for (const char host : std::string("bc")) sender.record_tick(node(host), ms(0));
    EXPECT_EQ(text(sender.due_peers(ms(999))), "");
    EXPECT_EQ(text(sender.due_peers(ms(1000))), "b");
    EXPECT_EQ(text(sender.due_peers(ms(3000))), "bc");
}

TEST(HeartbeatSender, ALateTickIsNotMadeUpFor) {
    HeartbeatSender sender;
    sender.add_peer(node('b'), milliseconds{1000}, ms(0));
    sender.record_tick(node('b'), ms(5500));
    EXPECT_EQ(text(sender.due_peers(ms(6499))), "");
    EXPECT_EQ(text(sender.due_peers(ms(6500))), "b");
}

TEST(HeartbeatSender, CountsTicksPerPeer) {
    HeartbeatSender sender;
    sender.add_peer(node('b'), milliseconds{1000}, ms(0));
    sender.add_peer(node('c'), milliseconds{1000}, ms(0));
    sender.record_tick(node('b'), ms(0));
    sender.record_tick(node('b'), ms(1000));
    sender.record_tick(node('x'), ms(1000));
    EXPECT_EQ(sender.ticks_per_peer(),
              (std::map<UniqueAddress, std::uint64_t>{{node('b'), 2}, {node('c'), 0}}));
    sender.add_peer(node('b'), milliseconds{2000}, ms(1000));
    EXPECT_EQ(sender.find(node('b'))->ticks, 2U);
    EXPECT_TRUE(sender.remove_peer(node('b')));
    EXPECT_FALSE(sender.remove_peer(node('b')));
    EXPECT_EQ(sender.peer_count(), 1U);
}

} // namespace
