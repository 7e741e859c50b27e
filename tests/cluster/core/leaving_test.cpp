// SPDX-License-Identifier: Apache-2.0
// How a node leaves beside a crash (protocol.md §11.1), rule by rule.
#include "../core_support.hpp"

#include <gtest/gtest.h>

namespace muster::testing {
namespace {

ClusterSettings patient() {
    ClusterSettings settings = ClusterSettings::classic();
    settings.patient_leave = true;
    return settings;
}

Gossip three(MemberStatus last, Reachability reachability = {}) {
    return gossip_of({up(a, 1), up(b, 2), member(c, last, 3)}, {a, b, c}, std::move(reachability));
}

Effects fire(ClusterCore& core, Duration elapsed = {}) {
    Effects out;
    core.on_timer({CoreTimer::Farewell, 0}, at(elapsed), out);
    return out;
}

SeenAck answer(const UniqueAddress& from, const UniqueAddress& to) { return {from, to, Hash128{}}; }

/// c has seen itself Exiting and ended its tasks.
ClusterCore exiting_and_done(Effects& out, Reachability reachability = {}) {
    ClusterCore::Restored restored;
    restored.exiting_tasks_in_progress = true;
    ClusterCore core =
        core_with(c, three(MemberStatus::Exiting, std::move(reachability)), patient(), std::move(restored));
    core.exiting_completed(at(), out);
    return core;
}

/// A link that was open and ended with Goodbye{stopping}.
void says_that_it_stops(ClusterCore& core, const UniqueAddress& peer, Effects& out) {
    core.on_link(peer, LinkEvent::Established, at(), out);
    core.on_link(peer, LinkEvent::GoodbyeStopping, at(), out);
}

} // namespace

// --- (e) a leave is held back while somebody is unreachable

TEST(Leave, IsHeldBackWhileAMemberIsUnreachableAndGoesOnWhenNobodyIs) {
    ClusterCore core = core_with(c, three(MemberStatus::Up, Reachability().unreachable(a, b)), patient());
    Effects out;
    core.leave(c.address(), at(), out);
    EXPECT_TRUE(core.is_leave_held());
    EXPECT_EQ(status_in(core, c), MemberStatus::Up);
    EXPECT_TRUE(logged(out, "cluster.leave.held"));
    // a reaches b again.
    const Gossip healed = core.state()
                              ->latest()
                              .with_reachability(Reachability().unreachable(a, b).reachable(a, b))
                              .increment(a)
                              .only_seen(a);
    tell(core, envelope(a, c, healed));
    EXPECT_FALSE(core.is_leave_held());
    EXPECT_EQ(status_in(core, c), MemberStatus::Leaving);
}

TEST(Leave, ThatIsHeldGoesOnWhenItsTimeIsOver) {
    ClusterCore core = core_with(c, three(MemberStatus::Up, Reachability().unreachable(a, b)), patient());
    Effects out;
    core.leave(c.address(), at(), out);
    core.leave_now(at(std::chrono::seconds{48}), out);
    EXPECT_EQ(status_in(core, c), MemberStatus::Leaving);
    EXPECT_FALSE(core.is_leave_held());
}

TEST(Leave, OfAnotherMemberAndInTheClassicPresetIsNotHeldBack) {
    ClusterCore other = core_with(c, three(MemberStatus::Up, Reachability().unreachable(a, b)), patient());
    Effects out;
    other.leave(a.address(), at(), out);
    EXPECT_EQ(status_in(other, a), MemberStatus::Leaving);
    ClusterCore classic = core_with(c, three(MemberStatus::Up, Reachability().unreachable(a, b)));
    classic.leave(c.address(), at(), out);
    EXPECT_EQ(status_in(classic, c), MemberStatus::Leaving);
}

// --- (a) who exits stays until its confirmation is answered

TEST(ExitConfirmation, IsRepeatedUntilItIsAnswered) {
    Effects out;
    ClusterCore core = exiting_and_done(out);
    EXPECT_EQ(targets<ExitingConfirmed>(out), (std::vector{a.address(), b.address()}));
    EXPECT_FALSE(core.is_stopped());
    EXPECT_EQ(sent<ExitingConfirmed>(fire(core)).size(), 2U);
    EXPECT_FALSE(core.is_stopped());
    tell(core, SeenAck{a, c, core.state()->latest().version_id()});
    EXPECT_FALSE(core.is_stopped()) << "an ack of a version answers something else";
    tell(core, answer(node("stranger"), c));
    EXPECT_FALSE(core.is_stopped()) << "only a member's answer counts";
    tell(core, answer(b, c));
    EXPECT_TRUE(core.is_stopped());
}

TEST(ExitConfirmation, OfANodeThatSeesItselfRemovedIsAnswered) {
    Effects out;
    ClusterCore core = exiting_and_done(out);
    const std::vector<UniqueAddress> gone{c};
    tell(core, envelope(a, c, core.state()->latest().remove(gone, at().wall).increment(a).only_seen(a)));
    EXPECT_TRUE(core.is_stopped());
}

TEST(ExitConfirmation, EndsWhenNobodyAnswersOrNobodyIsLeft) {
    Effects out;
    ClusterCore core = exiting_and_done(out);
    int fired = 0;
    while (!core.is_stopped() && fired < 100) {
        fire(core);
        ++fired;
    }
    EXPECT_EQ(fired, 10) << "two seconds, for older peers answer nothing";
    Effects alone;
    ClusterCore last = exiting_and_done(alone, Reachability().unreachable(c, a).unreachable(c, b));
    EXPECT_TRUE(last.is_stopped());
    EXPECT_TRUE(sent<ExitingConfirmed>(alone).empty());
}

TEST(ExitConfirmation, IsAnsweredByWhoGetsItAndAgainAfterTheRemoval) {
    ClusterCore core = core_with(a, three(MemberStatus::Exiting), patient());
    const auto answers = sent<SeenAck>(tell(core, ExitingConfirmed{c, a}));
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers.front().to, c);
    EXPECT_EQ(answers.front().version_id, Hash128{});
    Effects out;
    core.tick_leader_actions(at(), out);
    ASSERT_TRUE(core.is_tombstoned(c));
    EXPECT_EQ(sent<SeenAck>(tell(core, ExitingConfirmed{c, a})).size(), 1U)
        << "the first answer may have been lost";
}

// --- (c) who cannot leave in time says so

TEST(GivingUpALeave, MarksSelfDownAndTellsItUntilSomebodyAnswers) {
    ClusterCore core =
        core_with(c, three(MemberStatus::Leaving, Reachability().unreachable(a, b)), patient());
    Effects out;
    core.give_up_leaving(at(), out);
    EXPECT_EQ(status_in(core, c), MemberStatus::Down);
    EXPECT_TRUE(core.has_given_up_leaving());
    EXPECT_FALSE(sent<GossipEnvelope>(out).empty());
    EXPECT_FALSE(core.is_stopped());
    Effects ticked;
    core.tick_leader_actions(at(std::chrono::seconds{1}), ticked);
    EXPECT_FALSE(core.is_stopped()) << "the farewell ends it, not the check of a Down node";
    EXPECT_FALSE(sent<GossipEnvelope>(fire(core)).empty());
    tell(core, answer(a, c));
    EXPECT_TRUE(core.is_stopped());
}

TEST(GivingUpALeave, IsAnsweredByWhoInstalledTheDown) {
    ClusterCore core = core_with(a, three(MemberStatus::Leaving), patient());
    const Gossip down =
        core.state()->latest().mark_down(std::vector<UniqueAddress>{c}).increment(c).only_seen(c);
    const auto answers = sent<SeenAck>(tell(core, envelope(c, a, down)));
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers.front().version_id, Hash128{});
    EXPECT_EQ(status_in(core, c), MemberStatus::Down);
    EXPECT_EQ(sent<SeenAck>(tell(core, envelope(c, a, down))).size(), 1U)
        << "the first answer may have been lost";
}

TEST(GivingUpALeave, DoesNothingToWhoIsExitingOrDown) {
    for (const MemberStatus status : {MemberStatus::Exiting, MemberStatus::Down}) {
        ClusterCore core = core_with(c, three(status), patient());
        Effects out;
        core.give_up_leaving(at(), out);
        EXPECT_EQ(status_in(core, c), status);
        EXPECT_FALSE(core.has_given_up_leaving());
    }
}

// --- (d) who said that it stops holds nobody up

TEST(Departed, IsALeavingOrExitingMemberThatSaidThatItStopsWithNoConnectionLeft) {
    for (const MemberStatus status :
         {MemberStatus::Leaving, MemberStatus::Exiting, MemberStatus::Up, MemberStatus::Down}) {
        ClusterCore core = core_with(a, three(status), patient());
        Effects out;
        core.on_link(c, LinkEvent::Established, at(), out);
        says_that_it_stops(core, c, out);
        EXPECT_TRUE(core.departed().empty()) << "one connection is still open";
        core.on_link(c, LinkEvent::EndedWithoutGoodbye, at(), out);
        const bool counts = status == MemberStatus::Leaving || status == MemberStatus::Exiting;
        EXPECT_EQ(core.departed().size(), counts ? 1U : 0U) << to_string(status);
        core.on_link(c, LinkEvent::Established, at(), out);
        EXPECT_TRUE(core.departed().empty()) << "it is back";
    }
}

TEST(Departed, IsNotWaitedForByConvergence) {
    ClusterCore core = core_with(a,
                                 gossip_of({up(a, 1), up(b, 2), member(c, MemberStatus::Leaving, 3)}, {a, b},
                                           Reachability().unreachable(b, c)),
                                 patient());
    Effects out;
    core.tick_leader_actions(at(), out);
    EXPECT_EQ(status_in(core, c), MemberStatus::Leaving) << "it has not seen, and it is unreachable";
    says_that_it_stops(core, c, out);
    core.tick_leader_actions(at(), out);
    EXPECT_EQ(status_in(core, c), MemberStatus::Exiting);
}

// --- what a hand-over sees
// ----------------------------------------------------------------------------------------------

TEST(ExitingTasks, StartBehindTheStateInWhichTheLeaderItselfIsExiting) {
    ClusterCore core =
        core_with(a, gossip_of({member(a, MemberStatus::Leaving, 1), up(b, 2)}, {a, b}), patient());
    Effects out;
    core.tick_leader_actions(at(), out);
    std::optional<std::size_t> published;
    std::optional<std::size_t> tasks;
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (const auto* p = std::get_if<effect::Publish>(&out[i]);
            p && p->state->self_status() == MemberStatus::Exiting)
            published = i;
        if (std::holds_alternative<effect::RunExitingTasks>(out[i])) tasks = i;
    }
    ASSERT_TRUE(published && tasks);
    EXPECT_LT(*published, *tasks);
    EXPECT_FALSE(core.state()->latest().seen_by(a)) << "its own removal waits for its tasks";
}

} // namespace muster::testing
