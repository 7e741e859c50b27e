// SPDX-License-Identifier: Apache-2.0
// What the subjects of the core share (protocol.md §2).
#include "cluster/core/core_state.hpp"

#include "subject_support.hpp"
#include <gtest/gtest.h>

namespace {

using namespace muster;
using namespace muster::testing;

TEST(CoreState, ALocalChangeIsSeenByItsMakerOnlyAndMadeHere) {
    CoreState core = core_of(a, all_up({a, b}));
    const std::uint64_t before = core.gossip().version().get(a.key());
    core.local_change(core.gossip().mark_down(std::vector{b}));
    EXPECT_TRUE(core.gossip().seen_by(a));
    EXPECT_FALSE(core.gossip().seen_by(b));
    EXPECT_GT(core.gossip().version().get(a.key()), before);
    EXPECT_TRUE(core.is_made_here());
}

TEST(CoreState, WhileExitingTasksRunNobodyHasSeenALocalChange) {
    CoreState core = core_of(a, all_up({a, b}));
    core.set_exiting_tasks_running(true);
    core.local_change(core.gossip().mark_down(std::vector{b}));
    EXPECT_FALSE(core.gossip().seen_by(a));
}

TEST(CoreState, TheOriginStaysWhereOnlyTheSeenSetChanges) {
    CoreState core = core_of(a, all_up({a, b}));
    core.install(core.gossip(), Origin::Here);
    core.install(core.gossip().clear_seen());
    EXPECT_TRUE(core.is_made_here());
    core.install(core.gossip(), Origin::Elsewhere);
    EXPECT_FALSE(core.is_made_here());
}

TEST(CoreState, PublishesEachStateOnceWithWhatChangedSince) {
    CoreState core = core_of(a, all_up({a, b}));
    EXPECT_FALSE(core.publish().has_value());
    const auto before = core.membership();
    core.local_change(core.gossip().mark_down(std::vector{b}));
    const auto published = core.publish();
    ASSERT_TRUE(published.has_value());
    EXPECT_EQ(published->before, before);
    EXPECT_TRUE(std::ranges::any_of(
        published->events, [](const ClusterEvent& e) { return std::holds_alternative<MemberDowned>(e); }));
    EXPECT_FALSE(core.publish().has_value());
    core.check();
}

TEST(CoreState, ANewVersionTakesWithItWhatIsKnownOfItsSeenSet) {
    struct EverybodySaw : KnownSeen {
        Gossip with_known_seen(Gossip g) const override {
            SeenSet all(g.members().size());
            for (std::size_t i = 0; i < g.members().size(); ++i) all.set(i);
            return g.merge_seen(all);
        }
    };
    CoreState core = core_of(a, all_up({a, b}));
    const EverybodySaw known;
    core.ask_what_is_seen(&known);
    core.local_change(core.gossip().mark_down(std::vector{b}));
    EXPECT_TRUE(core.gossip().seen_by(b));
    core.install(core.gossip().clear_seen()); // not a new version
    EXPECT_FALSE(core.gossip().seen_by(b));
}

TEST(CoreState, AnotherIncarnationHoldsNothing) {
    CoreState core(a, ClusterSettings{}, random_source());
    core.enter(CorePhase::AwaitingIncarnation);
    core.begin_incarnation(node("a", 2));
    EXPECT_EQ(core.self(), node("a", 2));
    EXPECT_EQ(core.membership()->self, core.self());
    EXPECT_FALSE(core.publish().has_value());
    core.check();
}

} // namespace
