// SPDX-License-Identifier: Apache-2.0
// What a received gossip means, apart from the core (protocol.md §6.3, §6.4, §6.5).
#include "cluster/core/gossip_exchange.hpp"

#include "subject_support.hpp"
#include <gtest/gtest.h>

namespace {

using namespace muster;
using namespace muster::testing;

struct GossipExchangeTest : ::testing::Test {
    GossipExchange::Verdict judge(Gossip remote) {
        return exchange.judge(b, std::make_shared<const Gossip>(std::move(remote)), out);
    }
    GossipStatus status_of(const Gossip& g) const {
        return {b, a, g.version(), g.version_id(), g.seen_digest()};
    }
    void TearDown() override { exchange.check(); }

    CoreState core = core_of(a, all_up({a, b, c}));
    PeerBooks books;
    GossipSender sender{core, books};
    GossipExchange exchange{core, sender};
    Effects out;
};

TEST_F(GossipExchangeTest, ANewerGossipIsInstalledSeenAndAnotherNodes) {
    const auto verdict = judge(core.gossip().mark_down(c).increment(b));
    EXPECT_EQ(verdict.outcome, GossipOutcome::Newer);
    EXPECT_EQ(verdict.origin, Origin::Elsewhere);
    ASSERT_TRUE(verdict.gossip.has_value());
    EXPECT_TRUE(verdict.gossip->seen_by(a));
}

TEST_F(GossipExchangeTest, AnOlderGossipChangesNothing) {
    const Gossip older = core.gossip();
    core.local_change(older.mark_down(c));
    const auto verdict = judge(older);
    EXPECT_EQ(verdict.outcome, GossipOutcome::Older);
    EXPECT_FALSE(verdict.gossip.has_value());
}

TEST_F(GossipExchangeTest, TheSameVersionUnitesWhoHasSeenIt) {
    core.install(core.gossip().clear_seen().seen(a));
    const auto verdict = judge(core.gossip().clear_seen().seen(b));
    EXPECT_EQ(verdict.outcome, GossipOutcome::Same);
    ASSERT_TRUE(verdict.gossip.has_value());
    EXPECT_TRUE(verdict.gossip->seen_by(a) && verdict.gossip->seen_by(b));
    EXPECT_TRUE(verdict.wants_answer); // its sender did not know
    EXPECT_FALSE(judge(core.gossip()).gossip.has_value());
}

TEST_F(GossipExchangeTest, WhileExitingTasksRunNothingIsMarkedSeen) {
    core.set_exiting_tasks_running(true);
    const auto verdict = judge(core.gossip().mark_down(c).increment(b).clear_seen());
    ASSERT_TRUE(verdict.gossip.has_value());
    EXPECT_FALSE(verdict.gossip->seen_by(a));
}

TEST_F(GossipExchangeTest, OwnWordsThatThisNodeNeverSaidAreSteppedOver) {
    const auto verdict = judge(core.gossip().increment(a).increment(a));
    EXPECT_TRUE(verdict.is_forged);
    EXPECT_TRUE(verdict.is_local_change);
    EXPECT_EQ(counted(out, "cluster.gossip.contradicts"), 1U);
}

TEST_F(GossipExchangeTest, AStatusIsAnsweredByWhatTheOtherLacks) {
    using Answer = GossipExchange::Answer;
    const Gossip older = core.gossip();
    EXPECT_EQ(exchange.judge(status_of(older)), Answer::None);
    EXPECT_EQ(exchange.judge(status_of(older.clear_seen())), Answer::Settled);
    core.local_change(older.mark_down(c));
    GossipStatus behind = status_of(older);
    behind.seen_digest.reset();
    EXPECT_EQ(exchange.judge(behind), Answer::Gossip);
    GossipStatus ahead = status_of(core.gossip().increment(b));
    ahead.seen_digest.reset();
    EXPECT_EQ(exchange.judge(ahead), Answer::Status);
}

TEST_F(GossipExchangeTest, ARoundSendsTheStateToWhoHasNotSeenItAndADigestToWhoHas) {
    exchange.round(out);
    EXPECT_EQ(sent<GossipStatus>(out).size(), 1U);
    out.clear();
    core.install(core.gossip().clear_seen().seen(a));
    exchange.tick(out);
    EXPECT_EQ(sent<GossipEnvelope>(out).size(), 1U);
}

TEST_F(GossipExchangeTest, WhileLessThanHalfHaveSeenThereAreExtraRounds) {
    EXPECT_FALSE(exchange.is_speedup_needed());
    core.install(core.gossip().clear_seen());
    EXPECT_TRUE(exchange.is_speedup_needed());
    core.install(core.gossip().seen(a));
    EXPECT_FALSE(exchange.is_speedup_needed());
}

} // namespace
