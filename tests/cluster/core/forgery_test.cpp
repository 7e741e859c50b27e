// SPDX-License-Identifier: Apache-2.0
// A gossip that contradicts what its receiver knows is merged with an alarm (protocol.md §2, Gossips that
// cannot be).
#include "../core_support.hpp"

#include <gtest/gtest.h>
#include <muster/cluster/state/gossip_check.hpp>

namespace muster::testing {
namespace {

using Status = ReachabilityStatus;

Gossip with_clock(const Gossip& g, std::vector<VectorClock::Entry> entries,
                  std::optional<Reachability> rows = {}) {
    std::vector<UniqueAddress> seen = g.seen_nodes();
    auto made = Gossip::from_parts(
        {g.members().begin(), g.members().end()}, seen, rows.value_or(g.reachability()),
        VectorClock::from_entries(std::move(entries)), {g.tombstones().begin(), g.tombstones().end()});
    MUSTER_ENSURE(made.has_value(), "a forgery is well formed");
    return std::move(*made);
}

std::uint64_t counter(const ClusterCore& core, const UniqueAddress& n) {
    return core.state()->latest().version().get(n.key());
}
const Reachability& rows(const ClusterCore& core) { return core.state()->latest().reachability(); }
Gossip three() { return gossip_of({up(a, 1), up(b, 2), up(c, 3)}, {a, b, c}); }

void expect_possible(const ClusterCore& core) {
    EXPECT_TRUE(check_possible(core.state()->latest())) << "peers would refuse what this node sends";
}

TEST(ForgedOwnWords, AnOwnCounterAheadIsTakenAndSteppedOverWithAnAlarm) {
    ClusterCore core = core_with(a, three());
    const std::uint64_t forged = gossip_counter_jump_max;
    const Effects out = tell(core, envelope(b, a, with_clock(three(), {{a.key(), forged}, {b.key(), 7}})));
    EXPECT_EQ(counted(out, "cluster.gossip.contradicts"), 1U);
    EXPECT_TRUE(logged(out, "cluster.gossip.contradicts"));
    EXPECT_EQ(counter(core, a), forged + 1);
    EXPECT_EQ(counter(core, b), 7U) << "the rest is merged, not refused";
    expect_possible(core);
    // What it sends is newer than the forgery, everywhere.
    const auto answers = sent<GossipEnvelope>(out);
    ASSERT_FALSE(answers.empty());
    EXPECT_EQ(answers[0].gossip->version().get(a.key()), forged + 1);
}

TEST(ForgedOwnWords, ForgedRowsOfThisNodeDoNotStay) {
    Gossip base = three();
    base = base.with_reachability(Reachability{}.unreachable(a, c));
    ClusterCore core = core_with(a, base);
    // b claims that a calls b Terminated and c reachable.
    const Reachability forged{{{a, b, Status::Terminated, 50}}, {{a, 50}}};
    const Effects out = tell(core, envelope(b, a, with_clock(base, {{a.key(), 900}}, forged)));
    EXPECT_EQ(counted(out, "cluster.gossip.contradicts"), 1U);
    EXPECT_EQ(rows(core).status(a, b), Status::Reachable);
    EXPECT_EQ(rows(core).status(a, c), Status::Unreachable);
    EXPECT_EQ(rows(core).version_of(a), 51);
    // And at a peer that believed the forgery the true rows win.
    const std::vector<UniqueAddress> all{a, b, c};
    const Reachability peer = forged.merge(all, rows(core));
    EXPECT_EQ(peer.status(a, b), Status::Reachable);
    EXPECT_EQ(peer.status(a, c), Status::Unreachable);
    expect_possible(core);
}

TEST(ForgedOwnWords, OnlyAnOwnRowVersionAheadIsSteppedOverToo) {
    ClusterCore core = core_with(a, three());
    const std::uint64_t own = counter(core, a);
    const Reachability forged{{{a, b, Status::Unreachable, 9}}, {{a, 9}}};
    // Its clock is older than the own one: by clocks alone it would be ignored, and a peer's copy would not.
    const Effects out = tell(core, envelope(c, a, with_clock(three(), {}, forged)));
    EXPECT_EQ(counted(out, "cluster.gossip.contradicts"), 1U);
    EXPECT_EQ(rows(core).version_of(a), 10);
    EXPECT_TRUE(rows(core).is_all_reachable());
    EXPECT_EQ(counter(core, a), own + 1);
}

TEST(ForgedOwnWords, HonestGossipRaisesNoAlarm) {
    ClusterCore core = core_with(a, three());
    const Gossip next = three().with_reachability(Reachability{}.unreachable(b, c)).increment(b);
    const Effects out = tell(core, envelope(b, a, next));
    EXPECT_EQ(counted(out, "cluster.gossip.contradicts"), 0U);
    EXPECT_EQ(counted(out, "cluster.gossip.newer"), 1U);
}

TEST(ForgedStatus, OneThatLagsLosesAlthoughItsClockIsAhead) {
    ClusterCore core =
        core_with(a, gossip_of({up(a, 1), up(b, 2), member(c, MemberStatus::Down, 3)}, {a, b}));
    const Gossip forged = gossip_of({up(a, 1), up(b, 2), up(c, 3)}, {a, b}).increment(b);
    const Effects out = tell(core, envelope(b, a, forged));
    EXPECT_EQ(status_in(core, c), MemberStatus::Down);
    EXPECT_EQ(counted(out, "cluster.gossip.contradicts"), 1U);
    EXPECT_EQ(counted(out, "cluster.gossip.merge"), 1U);
}

TEST(ForgedStatus, TheLegalStepDownFromReadyForShutdownIsNoForgery) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1), member(b, MemberStatus::ReadyForShutdown, 2)}, {a}));
    const Effects out = tell(
        core, envelope(b, a, gossip_of({up(a, 1), member(b, MemberStatus::Leaving, 2)}, {b}).increment(b)));
    EXPECT_EQ(status_in(core, b), MemberStatus::Leaving);
    EXPECT_EQ(counted(out, "cluster.gossip.contradicts"), 0U);
}

TEST(ForgedTombstone, ExtremeTimesNeitherOverflowNorPrune) {
    for (const std::int64_t ms :
         {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
        ClusterCore core = core_with(a, gossip_of({up(a, 1), up(b, 2)}, {a, b}));
        const UniqueAddress gone = node("gone");
        auto forged = Gossip::from_parts({up(a, 1), up(b, 2)}, std::vector{a, b}, {},
                                         VectorClock::from_entries({{a.key(), 1}, {b.key(), 5}}),
                                         {{gone, WallTime{ms}}});
        ASSERT_TRUE(forged);
        tell(core, envelope(b, a, *forged));
        Effects out;
        core.tick_leader_actions(at(seconds{1}), out);
        EXPECT_TRUE(core.is_tombstoned(gone)) << ms;
    }
}

// --- the end of an incarnation

TEST(SpentIncarnation, LeavesWithAReasonOfItsOwnWhenItsCounterPasses2To61) {
    Gossip near = with_clock(three(), {{a.key(), incarnation_counter_max}});
    ClusterCore core = core_with(a, near);
    Effects out;
    core.leave(c.address(), at(), out); // one more own word
    EXPECT_EQ(shutdown_of(out), ShutdownReason::IncarnationSpent);
    EXPECT_TRUE(logged(out, "cluster.incarnation.spent"));
    expect_possible(core);
    out.clear();
    core.tick_leader_actions(at(seconds{1}), out);
    EXPECT_EQ(shutdown_of(out), std::nullopt) << "once";
    // On its way out it is not pushed any further.
    const std::uint64_t own = counter(core, a);
    out = tell(core, envelope(b, a, with_clock(three(), {{a.key(), own + 5}})), seconds{1});
    EXPECT_EQ(counted(out, "cluster.gossip.impossible"), 1U);
    EXPECT_EQ(counter(core, a), own);
}

TEST(SpentIncarnation, ARowVersionSpendsItToo) {
    const auto version = static_cast<std::int64_t>(incarnation_counter_max);
    ClusterCore core = core_with(a, with_clock(three(), {{a.key(), 3}}, Reachability{{}, {{a, version}}}));
    Effects out;
    core.quarantined(b, at(), out);
    EXPECT_EQ(shutdown_of(out), ShutdownReason::IncarnationSpent);
    expect_possible(core);
}

// --- a joiner, who holds nothing

Effects welcome(ClusterCore& core, std::vector<VectorClock::Entry> clock, Reachability table = {}) {
    Effects out;
    core.join(a.address(), at(), out);
    return tell(core, Welcome{a, b,
                              std::make_shared<const Gossip>(
                                  with_clock(gossip_of({up(a, 1), member(b, MemberStatus::Joining)}, {a}),
                                             std::move(clock), std::move(table)))});
}

TEST(ForgedWelcome, CountersOfOthersUpToTheLimitAreTakenAndWhatIsSentAfterwardsIsAccepted) {
    ClusterCore core(b, ClusterSettings::classic(), random_source());
    welcome(core, {{a.key(), gossip_counter_max}},
            Reachability{{}, {{a, static_cast<std::int64_t>(gossip_counter_max)}}});
    ASSERT_TRUE(core.is_joined());
    Effects out;
    core.leave(b.address(), at(seconds{1}), out);
    core.quarantined(a, at(seconds{2}), out);
    expect_possible(core);
}

TEST(ForgedWelcome, OwnWordsBeforeTheFirstAreSteppedOver) {
    ClusterCore core(b, ClusterSettings::classic(), random_source());
    const Effects out =
        welcome(core, {{a.key(), 1}, {b.key(), 41}}, Reachability{{{b, a, Status::Terminated, 3}}, {{b, 3}}});
    ASSERT_TRUE(core.is_joined());
    EXPECT_EQ(counted(out, "cluster.gossip.contradicts"), 1U);
    EXPECT_EQ(counter(core, b), 42U);
    EXPECT_TRUE(rows(core).is_all_reachable());
    EXPECT_EQ(rows(core).version_of(b), 4);
}

TEST(ForgedWelcome, OwnWordsThatNoStepCouldPassAreRefused) {
    for (const std::uint64_t own : {gossip_counter_jump_max + 1, gossip_counter_max}) {
        ClusterCore core(b, ClusterSettings::classic(), random_source());
        const Effects out = welcome(core, {{a.key(), 1}, {b.key(), own}});
        EXPECT_FALSE(core.is_joined()) << own;
        EXPECT_EQ(counted(out, "cluster.gossip.impossible"), 1U) << own;
    }
}

} // namespace
} // namespace muster::testing
