// SPDX-License-Identifier: Apache-2.0
// Evidence of death, apart from the core (protocol.md §12.7); the window of doubt alone:
// evidence_doubt_test.cpp.
#include "cluster/core/evidence.hpp"

#include "subject_support.hpp"
#include <gtest/gtest.h>

namespace {

using namespace muster;
using namespace muster::testing;

struct EvidenceTest : ::testing::Test {
    explicit EvidenceTest(const std::vector<UniqueAddress>& nodes = {a, b, c, d})
        : core(core_of(a, all_up(nodes))) {
        const MembershipState before(a, "default", std::make_shared<const Gossip>());
        heartbeats.on_published(*core.membership(), diff_events(&before, core.membership().get()), at());
    }
    void TearDown() override { evidence.check(); }

    std::optional<Reachability> tell(const UniqueAddress& peer, LinkEvent event, Duration when = {}) {
        evidence.on_link(peer, event, at(when));
        auto taken_back = evidence.consider_doubt(at(when), out);
        evidence.weigh(peer, event, at(when), out);
        return taken_back;
    }
    void kill(const UniqueAddress& peer) {
        tell(peer, LinkEvent::Established);
        tell(peer, LinkEvent::EndedWithoutGoodbye);
        tell(peer, LinkEvent::ReconnectRefused, milliseconds{1});
        tell(peer, LinkEvent::ReconnectRefused, milliseconds{30});
    }
    void change(const Gossip& g) {
        core.local_change(g);
        core.publish();
    }

    CoreState core;
    PeerLinks links{core};
    HeartbeatMonitor heartbeats{a, core.settings()};
    Evidence evidence{core, links, heartbeats};
    Effects out;
};

TEST_F(EvidenceTest, ABrokenConnectionAndTwoRefusalsAreARowOnceItIsDue) {
    kill(b);
    EXPECT_TRUE(evidence.is_due(b));
    EXPECT_EQ(of_type<effect::SetTimer>(out).size(), 1U);
    const auto table = evidence.on_timer(at(seconds{5}), out);
    ASSERT_TRUE(table.has_value());
    EXPECT_FALSE(table->is_reachable(a, b));
    EXPECT_FALSE(evidence.is_due(b));
    EXPECT_EQ(counted(out, "cluster.evidence.unreachable"), 1U);
}

TEST_F(EvidenceTest, AConnectionThatStandsAgainVoidsWhatWasDue) {
    kill(b);
    tell(b, LinkEvent::Accepted, milliseconds{40});
    EXPECT_FALSE(evidence.is_due(b));
    EXPECT_FALSE(evidence.on_timer(at(seconds{5}), out).has_value());
}

TEST_F(EvidenceTest, AnOrderlyCloseIsNone) {
    tell(b, LinkEvent::Established);
    tell(b, LinkEvent::GoodbyeLink);
    tell(b, LinkEvent::ReconnectRefused, milliseconds{1});
    tell(b, LinkEvent::ReconnectRefused, milliseconds{30});
    EXPECT_FALSE(evidence.is_due(b));
}

TEST_F(EvidenceTest, AnotherIncarnationAtTheAddressIsEvidenceAtOnce) {
    tell(node("b", 2), LinkEvent::Established);
    EXPECT_TRUE(evidence.is_due(b));
}

TEST_F(EvidenceTest, WhereAnotherMonitorWroteItsRowTheOwnOneIsLeftToTheReaper) {
    kill(b);
    change(core.gossip().with_reachability(core.gossip().reachability().unreachable(c, b)));
    EXPECT_FALSE(evidence.on_timer(at(seconds{5}), out).has_value());
}

TEST_F(EvidenceTest, AGoodbyeThatCameBeforeTheNewsOfTheExitCountsOnceTheNewsIsThere) {
    tell(b, LinkEvent::Established);
    tell(b, LinkEvent::GoodbyeStopping);
    EXPECT_FALSE(evidence.is_due(b));
    const auto before = core.membership();
    change(core.gossip().update(std::vector{member(b, MemberStatus::Exiting, 2)}));
    evidence.on_published(diff_events(before.get(), core.membership().get()), heartbeats.own().active(), at(),
                          out);
    EXPECT_TRUE(evidence.is_due(b));
}

TEST_F(EvidenceTest, WhenMostConnectionsEndTheWrittenRowsAreTakenBack) {
    kill(b);
    const auto accused = evidence.on_timer(at(milliseconds{400}), out);
    ASSERT_TRUE(accused.has_value());
    change(core.gossip().with_reachability(*accused));
    tell(c, LinkEvent::Established, milliseconds{400});
    const auto taken_back = tell(c, LinkEvent::EndedWithoutGoodbye, milliseconds{400});
    ASSERT_TRUE(taken_back.has_value());
    EXPECT_TRUE(taken_back->is_reachable(a, b));
    EXPECT_TRUE(evidence.does_doubt_hold());
}

TEST_F(EvidenceTest, ARemovedMemberIsAccusedNoMore) {
    kill(b);
    evidence.on_removed(b);
    EXPECT_FALSE(evidence.is_due(b));
    EXPECT_EQ(links.find(b), nullptr);
}

} // namespace
