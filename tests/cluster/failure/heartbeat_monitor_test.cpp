// SPDX-License-Identifier: Apache-2.0
#include "../sbr_support.hpp"
#include <gtest/gtest.h>
#include <muster/cluster/failure/heartbeat_monitor.hpp>

namespace {

using namespace muster;
using std::chrono::milliseconds;
using test::at;
using test::hosts;
using test::node;

/// A monitor of node a in data center "default", fed with diffs of gossips like a core feeds it.
class Monitored {
public:
    explicit Monitored(ClusterSettings s = {}) : settings(std::move(s)), monitor(node("a"), settings) {}

    void publish(const std::vector<Member>& members, std::int64_t ms = 0) {
        auto gossip = Gossip::from_parts(members, {}, Reachability(), VectorClock(), {});
        ASSERT_TRUE(gossip.has_value());
        auto next = std::make_shared<const MembershipState>(
            node("a"), "default", std::make_shared<const Gossip>(*std::move(gossip)));
        monitor.on_published(*next, diff_events(state.get(), next.get()), at(ms));
        state = next;
    }
    std::string tick(std::int64_t ms) {
        effects.clear();
        monitor.tick(at(ms), effects);
        return sent();
    }
    std::string tick_cross_dc(std::int64_t ms) {
        effects.clear();
        monitor.tick_cross_dc(at(ms), effects);
        return sent();
    }
    std::string sent() const {
        std::string text;
        for (const Effect& effect : effects)
            if (const auto* send = std::get_if<effect::Send>(&effect)) {
                EXPECT_FALSE(send->to.uid.has_value()) << "a heartbeat knows only the address";
                text += *send->to.address.host;
            }
        return text;
    }
    void reply(const UniqueAddress& from, std::int64_t seq, std::int64_t sent_ms, std::int64_t ms) {
        monitor.on_reply(HeartbeatReply{from, seq, Duration(milliseconds{sent_ms}).count()}, at(ms), effects);
    }
    bool has_log(std::string_view code) const {
        for (const Effect& effect : effects)
            if (const auto* log = std::get_if<effect::Log>(&effect); log != nullptr && log->code == code)
                return true;
        return false;
    }
    std::vector<effect::SetTimer> timers() const {
        std::vector<effect::SetTimer> all;
        for (const Effect& effect : effects)
            if (const auto* timer = std::get_if<effect::SetTimer>(&effect)) all.push_back(*timer);
        return all;
    }

    ClusterSettings settings;
    HeartbeatMonitor monitor;
    std::shared_ptr<const MembershipState> state;
    Effects effects;
};

Member up(const std::string& host, std::int64_t uid = 1, const std::string& dc = "default",
          std::int32_t number = 1) {
    return Member(node(host, uid), MemberStatus::Up, {"dc-" + dc}, number);
}

TEST(HeartbeatMonitor, SendsNothingBeforeTheFirstStateIsPublished) {
    Monitored m;
    EXPECT_EQ(m.tick(0), "");
    m.publish({up("a"), up("b")});
    EXPECT_EQ(m.tick(1000), "b");
}

TEST(HeartbeatMonitor, OneSequenceNumberPerTickForAllReceivers) {
    Monitored m;
    m.publish({up("a"), up("b"), up("c")});
    for (std::int64_t tick = 1; tick <= 3; ++tick) {
        EXPECT_EQ(m.tick(tick * 1000), "bc");
        for (const Effect& effect : m.effects) {
            const auto* send = std::get_if<effect::Send>(&effect);
            if (send == nullptr) continue;
            const auto& heartbeat = std::get<Heartbeat>(send->message);
            EXPECT_EQ(heartbeat.sequence_nr, tick);
            EXPECT_EQ(heartbeat.creation_time_ns, Duration(milliseconds{tick * 1000}).count());
            EXPECT_EQ(heartbeat.from, node("a").address());
        }
    }
}

TEST(HeartbeatMonitor, APeerThatNeverAnswersBecomesSuspected) {
    Monitored m;
    m.publish({up("a"), up("b")});
    m.tick(0);
    const auto timers = m.timers();
    ASSERT_EQ(timers.size(), 1U);
    EXPECT_EQ(timers[0].key.timer, CoreTimer::ExpectFirstHeartbeat);
    EXPECT_EQ(timers[0].delay, Duration(milliseconds{1000}));
    EXPECT_FALSE(m.monitor.is_monitoring(node("b")));
    m.monitor.on_timer(timers[0].key, at(1000));
    EXPECT_TRUE(m.monitor.is_monitoring(node("b")));
    EXPECT_TRUE(m.monitor.is_available(up("b"), at(2000).monotonic));
    EXPECT_FALSE(m.monitor.is_available(up("b"), at(8000).monotonic));
    EXPECT_EQ(m.monitor.unavailable(at(8000).monotonic), std::vector{node("b")});
}

TEST(HeartbeatMonitor, TheMadeUpFirstHeartbeatIsOnlyForPeersStillUnmonitoredAndActive) {
    Monitored m;
    m.publish({up("a"), up("b"), up("c")});
    m.tick(0);
    const auto timers = m.timers();
    ASSERT_EQ(timers.size(), 2U);
    m.reply(node("b"), 1, 0, 10);
    const auto heard = m.monitor.own().detectors().find(node("b"))->last_heartbeat();
    m.publish({up("a"), up("b")}, 20); // c is gone
    for (const auto& timer : timers) m.monitor.on_timer(timer.key, at(1000));
    EXPECT_EQ(m.monitor.own().detectors().find(node("b"))->last_heartbeat(), heard);
    EXPECT_FALSE(m.monitor.is_monitoring(node("c")));
}

TEST(HeartbeatMonitor, AnExpectationUnderWayIsNotSetAgain) {
    Monitored m;
    m.publish({up("a"), up("b")});
    m.tick(0);
    EXPECT_EQ(m.timers().size(), 1U);
    m.tick(500);
    EXPECT_EQ(m.timers().size(), 0U);
}

TEST(HeartbeatMonitor, ATickTwoIntervalsAfterTheLastWarnsOfStarvation) {
    Monitored m;
    m.publish({up("a"), up("b")});
    m.tick(0);
    m.tick(1999);
    EXPECT_FALSE(m.has_log(heartbeat_code::starved));
    EXPECT_EQ(m.monitor.last_tick_lateness(), Duration(milliseconds{999}));
    m.tick(1999 + 2000);
    EXPECT_TRUE(m.has_log(heartbeat_code::starved));
}

TEST(HeartbeatMonitor, ResponsesGiveTheRoundTrip) {
    Monitored m;
    m.publish({up("a"), up("b")});
    m.tick(1000);
    m.reply(node("b"), 1, 1000, 1007);
    ASSERT_EQ(m.monitor.peers(at(1010).monotonic).size(), 1U);
    const auto health = m.monitor.peers(at(1010).monotonic)[0];
    EXPECT_EQ(health.round_trip, Duration(milliseconds{7}));
    EXPECT_EQ(health.since_last, Duration(milliseconds{3}));
    EXPECT_TRUE(health.available);
}

TEST(HeartbeatMonitor, AReplyMeantForAnEarlierIncarnationProvesLifeButNotTime) {
    Monitored m;
    m.publish({up("a"), up("b")});
    m.tick(1000);
    m.reply(node("b"), 77, 500, 1007);
    EXPECT_TRUE(m.monitor.is_monitoring(node("b")));
    EXPECT_FALSE(m.monitor.peers(at(1010).monotonic)[0].round_trip.has_value());
}

TEST(HeartbeatMonitor, RepliesOfStrangersAreCountedAndIgnored) {
    Monitored m;
    m.publish({up("a"), up("b")});
    m.tick(1000);
    m.effects.clear();
    m.reply(node("b", 99), 1, 1000, 1007);
    ASSERT_EQ(m.effects.size(), 1U);
    EXPECT_EQ(std::get<effect::Count>(m.effects[0]).id, heartbeat_code::reply_ignored);
    EXPECT_FALSE(m.monitor.is_monitoring(node("b", 99)));
}

TEST(HeartbeatMonitor, GrowingIntervalsAreWarnedOf) {
    Monitored m;
    m.publish({up("a"), up("b")});
    m.tick(0);
    m.reply(node("b"), 1, 0, 1);
    m.reply(node("b"), 1, 0, 2100);
    EXPECT_TRUE(m.has_log(heartbeat_code::interval_growing));
}

TEST(HeartbeatMonitor, ForgettingAnAddressForgetsEveryIncarnationInBothRegistries) {
    Monitored m;
    m.publish({up("a"), up("b", 1), up("b", 2), up("x", 1, "other")});
    m.tick(0);
    m.reply(node("b", 1), 1, 0, 1);
    m.reply(node("b", 2), 1, 0, 1);
    m.tick_cross_dc(0);
    m.reply(node("x"), 1, 0, 1);
    m.monitor.forget(node("b").address());
    EXPECT_FALSE(m.monitor.is_monitoring(node("b", 1)));
    EXPECT_FALSE(m.monitor.is_monitoring(node("b", 2)));
    EXPECT_TRUE(m.monitor.is_monitoring(node("x")));
    m.monitor.forget(node("x").address());
    EXPECT_FALSE(m.monitor.is_monitoring(node("x")));
}

TEST(HeartbeatMonitor, EachDataCenterHasItsOwnRegistryAndTick) {
    Monitored m;
    m.publish({up("a"), up("b"), up("x", 1, "other")});
    EXPECT_EQ(m.tick(0), "b");
    EXPECT_EQ(m.tick_cross_dc(0), "x");
    const auto timers = m.timers();
    ASSERT_EQ(timers.size(), 1U);
    EXPECT_EQ(timers[0].key.timer, CoreTimer::ExpectFirstCrossDcHeartbeat);
    m.reply(node("b"), 1, 0, 0);
    m.reply(node("x"), 1, 0, 0);
    const Instant later = at(12'000).monotonic;
    EXPECT_FALSE(m.monitor.is_available(up("b"), later));
    EXPECT_TRUE(m.monitor.is_available(up("x", 1, "other"), later));
    EXPECT_FALSE(m.monitor.is_available(up("x", 1, "other"), at(13'000).monotonic));
}

TEST(HeartbeatMonitor, MembersOfOtherDataCentersAreNotOnTheRing) {
    Monitored m;
    m.publish({up("a"), up("x", 1, "other"), up("y", 1, "other", 2)});
    EXPECT_EQ(m.tick(0), "");
    EXPECT_EQ(m.monitor.own().ring().size(), 1U);
}

TEST(HeartbeatMonitor, EvidenceOfDeathCountsForMonitoredNodesOnly) {
    Monitored m;
    m.publish({up("a"), up("b")});
    m.monitor.mark_dead(node("b"));
    m.monitor.mark_dead(node("c"));
    EXPECT_EQ(m.monitor.unavailable(at(0).monotonic), std::vector{node("b")});
    m.monitor.on_handshake(node("b"), at(10).monotonic);
    EXPECT_TRUE(m.monitor.unavailable(at(10).monotonic).empty());
}

TEST(HeartbeatMonitor, ADeadNodeStaysActiveWhenTheRingMovesSoThatItCanHeal) {
    ClusterSettings settings;
    settings.failure_detector.monitored_by_nr_of_members = 1;
    Monitored m(settings);
    m.publish({up("a", 1), up("d", 4), up("e", 5)});
    EXPECT_EQ(m.tick(0), "d");
    m.monitor.mark_dead(node("d", 4));
    m.publish({up("a", 1), up("b", 2), up("d", 4), up("e", 5)}, 10);
    EXPECT_EQ(m.tick(1000), "bd");
    m.reply(node("d", 4), 2, 1000, 1001);
    EXPECT_EQ(m.tick(2000), "b");
}

TEST(HeartbeatMonitor, ARestoredDetectorJudgesFromThen) {
    Monitored m;
    m.publish({up("a"), up("b")});
    m.monitor.restore(node("b"), false, at(0).monotonic);
    EXPECT_FALSE(m.monitor.is_available(up("b"), at(10'000).monotonic));
}

} // namespace
