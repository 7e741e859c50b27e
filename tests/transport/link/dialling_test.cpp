// SPDX-License-Identifier: Apache-2.0
/// When an address is dialled and what is kept for it meanwhile (protocol.md §12.7, §16).
#include "link_driver.hpp"

namespace muster::transport::test {
namespace {

using Step = Dialling::Step;
using State = Dialling::State;

constexpr DiallingLimits limits{
    .backoff_min = 100ms, .backoff_max = 5s, .unreachable_after = 30s, .waiting_for_answer = 10s};

class DiallingOf : public testing::Test {
protected:
    using Made = Actions<DiallingAction>;

    template <class Call>
    Made input(Call&& call) {
        DiallingActions out;
        call(out);
        return {std::move(out)};
    }
    Step next(bool queued) {
        Step step{};
        last = input([&](DiallingActions& out) { step = dialling.next(queued, now, out); });
        return step;
    }
    Made refused() {
        return input([&](DiallingActions& out) {
            dialling.connect_failed(Error{Errc::refused, "peer", {}, {}}, true, now, out);
        });
    }
    Made failed(bool for_good) {
        return input([&](DiallingActions& out) { dialling.failed(for_good, now, out); });
    }
    /// Dials, now, and shakes hands.
    Made link_to(const UniqueAddress& peer) {
        dialling.begin();
        EXPECT_EQ(next(true), Step::Dial);
        dialling.connected();
        return input([&](DiallingActions& out) { dialling.established(peer, now, out); });
    }
    Made seen_alive(const UniqueAddress& peer) {
        return input([&](DiallingActions& out) { dialling.seen_alive(peer, now, out); });
    }
    Made quarantine(const UniqueAddress& peer) {
        return input([&](DiallingActions& out) { dialling.quarantine(peer, out); });
    }
    Made stop() {
        return input([&](DiallingActions& out) { dialling.stop(out); });
    }
    Made dial_once(Duration time) {
        return input([&](DiallingActions& out) { dialling.dial_once(now + time, out); });
    }
    static bool drops_tells(const Made& made, Counted as) {
        for (const auto& drop : made.every<action::DropTells>())
            if (drop.as == as) return true;
        return false;
    }
    static bool drops_messages(const Made& made, Counted as) {
        for (const auto& drop : made.every<action::DropMessages>())
            if (drop.as == as) return true;
        return false;
    }

    SplitMix64 random{7};
    Dialling dialling{limits, random};
    Instant now{1h};
    Made last;
    const UniqueAddress first = node_of(2, 1);
    const UniqueAddress second = node_of(2, 2);
};

class Backoff : public DiallingOf {};
class Probes : public DiallingOf {};
class Incarnations : public DiallingOf {};
class StrangersDial : public DiallingOf {};
class StoppingDialling : public DiallingOf {};

TEST_F(DiallingOf, DialsForWhatIsQueuedAndRestsOtherwise) {
    EXPECT_EQ(dialling.state(), State::Idle);
    EXPECT_TRUE(dialling.begin());
    EXPECT_FALSE(dialling.begin()) << "once";
    EXPECT_EQ(next(true), Step::Dial);
    EXPECT_EQ(dialling.state(), State::Connecting);
    input([&](DiallingActions& out) { dialling.rested(out); });
    EXPECT_EQ(dialling.state(), State::Idle);
    EXPECT_TRUE(dialling.begin());
    EXPECT_EQ(next(false), Step::Rest);
}

TEST_F(Backoff, DoublesUpToItsLimitWithFullJitter) {
    dialling.begin();
    Duration largest{};
    bool jittered = false;
    for (std::uint32_t attempt = 1; attempt <= 80; ++attempt) {
        ASSERT_EQ(next(true), Step::Dial) << attempt;
        failed(false);
        const Duration bound = std::min<Duration>(
            limits.backoff_min * (std::int64_t{1} << std::min(attempt - 1, 20U)), limits.backoff_max);
        const Duration wait = dialling.next_attempt() - now;
        EXPECT_GE(wait, Duration{});
        EXPECT_LE(wait, bound) << attempt;
        largest = std::max(largest, wait);
        jittered = jittered || wait < bound / 2;
        if (wait > Duration{}) EXPECT_EQ(next(true), Step::Wait);
        now = dialling.next_attempt();
    }
    EXPECT_GT(largest, 1s) << "it does grow";
    EXPECT_TRUE(jittered) << "peers that lost the same node must not come back in step";
}

TEST_F(Backoff, EndsWhenThePeerIsSeenAlive) {
    dialling.begin();
    for (int i = 0; i < 8; ++i) {
        next(true);
        failed(false);
        now = dialling.next_attempt();
    }
    failed(false);
    ASSERT_GT(dialling.next_attempt(), now);
    seen_alive(first);
    EXPECT_EQ(next(true), Step::Dial);
}

TEST_F(Backoff, AtRestIsForgottenWhenThePeerIsSeenAlive) {
    dialling.begin();
    next(true);
    for (int i = 0; i < 8; ++i) failed(false);
    input([&](DiallingActions& out) { dialling.rested(out); });
    seen_alive(first);
    dialling.begin();
    EXPECT_EQ(next(true), Step::Dial);
}

TEST_F(Backoff, OfAPeerThatDropsItsLinksYoungBeginsWithTheFourth) {
    for (int i = 0; i < 3; ++i) {
        link_to(first);
        dialling.link_ended(std::nullopt, now);
        EXPECT_EQ(dialling.next_attempt(), now) << i;
    }
    bool waited = false;
    for (int i = 0; i < 8; ++i) {
        link_to(first);
        dialling.link_ended(std::nullopt, now);
        waited = waited || dialling.next_attempt() > now;
        now = std::max(now, dialling.next_attempt());
    }
    EXPECT_TRUE(waited);
    link_to(first);
    now += limits.backoff_max;
    dialling.link_ended(std::nullopt, now);
    EXPECT_EQ(dialling.next_attempt(), now) << "one that lasted makes up for it";
}

TEST_F(Backoff, AfterARefusalForGoodIsLongAndNothingIsKept) {
    dialling.begin();
    next(true);
    const Made made = failed(true);
    EXPECT_TRUE(drops_tells(made, Counted::tells_refused_by_peer));
    EXPECT_TRUE(drops_messages(made, Counted::messages_no_route));
    EXPECT_GE(dialling.next_attempt() - now, limits.backoff_max / 2);
    EXPECT_LE(dialling.next_attempt() - now, limits.backoff_max);
}

TEST_F(DiallingOf, GivesUpTheTellsToWhoIsUnreachableForLong) {
    dialling.begin();
    next(true);
    EXPECT_FALSE(drops_tells(failed(false), Counted::tells_unreachable));
    now += limits.unreachable_after - 1ms;
    EXPECT_FALSE(drops_tells(failed(false), Counted::tells_unreachable));
    now += 1ms;
    EXPECT_TRUE(drops_tells(failed(false), Counted::tells_unreachable));
    EXPECT_FALSE(drops_tells(failed(false), Counted::tells_unreachable)) << "and begins anew";
}

TEST_F(DiallingOf, SaysWhenNobodyHasAnsweredForTooLongToWait) {
    dialling.begin();
    next(true);
    failed(false);
    now += limits.waiting_for_answer - 1ms;
    EXPECT_FALSE(dialling.unanswered(now));
    now += 1ms;
    EXPECT_TRUE(dialling.unanswered(now));
    link_to(first);
    EXPECT_FALSE(dialling.unanswered(now + 1h));
}

TEST_F(DiallingOf, ReportsARefusalAboutWhomeverItKnowsThere) {
    dialling.begin();
    next(true);
    const Made unknown = refused();
    EXPECT_TRUE(unknown.has<action::ReportConnectRefused>());
    EXPECT_TRUE(unknown.reported().empty());
    EXPECT_TRUE(unknown.counted(Counted::connects_refused));
    now = dialling.next_attempt();
    link_to(first);
    dialling.link_ended(LinkEnd::Broken, now);
    next(false);
    EXPECT_EQ(refused().reported(), std::vector{LinkEvent::ReconnectRefused});
    const Made silent = input([&](DiallingActions& out) {
        dialling.connect_failed(Error{Errc::timed_out, "peer", {}, {}}, false, now, out);
    });
    EXPECT_FALSE(silent.has<action::ReportConnectRefused>()) << "silence is no refusal";
    EXPECT_TRUE(silent.reported().empty());
}

// --- evidence (§12.7)

TEST_F(Probes, FollowABrokenLinkThreeOfThemAtLeastTwentyMillisecondsApart) {
    link_to(first);
    EXPECT_EQ(dialling.state(), State::Active);
    now += 10s;
    dialling.link_ended(LinkEnd::Broken, now);
    EXPECT_EQ(dialling.state(), State::Backoff) << "nobody is connected any more";
    std::vector<Instant> attempts;
    for (int turn = 0; turn < 100; ++turn) {
        const Step step = next(false);
        if (step == Step::Rest) break;
        if (step == Step::Dial) {
            attempts.push_back(now);
            refused();
        } else {
            now = dialling.next_attempt();
        }
    }
    ASSERT_EQ(attempts.size(), 3U);
    EXPECT_GE(attempts[1] - attempts[0], 20ms);
    EXPECT_GE(attempts[2] - attempts[1], 20ms);
    EXPECT_LE(attempts[2] - attempts[0], 100ms) << "evidence is fast";
}

TEST_F(Probes, DoNotFollowSilenceNorAGoodbye) {
    link_to(first);
    dialling.link_ended(LinkEnd::Silent, now);
    EXPECT_EQ(next(false), Step::Rest);
    link_to(first);
    dialling.link_ended(std::nullopt, now);
    EXPECT_EQ(next(false), Step::Rest);
}

TEST_F(Probes, EndWhenSomebodyAnswers) {
    link_to(first);
    now += 10s;
    dialling.link_ended(LinkEnd::Broken, now);
    next(false);
    dialling.connected();
    input([&](DiallingActions& out) { dialling.established(first, now, out); });
    now += 10s;
    dialling.link_ended(std::nullopt, now);
    EXPECT_EQ(next(false), Step::Rest);
}

TEST_F(Probes, AreNotForAQuarantinedPeerNorAStoppingNode) {
    link_to(first);
    quarantine(first);
    dialling.link_ended(LinkEnd::Broken, now);
    EXPECT_EQ(next(false), Step::Rest);
    Dialling other{limits, random};
    DiallingActions out;
    other.begin();
    other.next(true, now, out);
    other.established(first, now, out);
    other.stop(out);
    other.link_ended(LinkEnd::Broken, now);
    EXPECT_EQ(other.next(false, now, out), Step::Rest);
}

// --- incarnations (§5.6, §16)

TEST_F(Incarnations, TheOneThatIsReplacedIsReportedOnceAnotherAnswersAtItsAddress) {
    EXPECT_EQ(link_to(first).reported(), std::vector{LinkEvent::Established});
    dialling.link_ended(std::nullopt, now);
    const Made heard = seen_alive(second);
    EXPECT_TRUE(heard.reported().empty()) << "that it connected proves nothing";
    EXPECT_EQ(dialling.known(), second);
    const Made made = link_to(second);
    EXPECT_EQ(made.reported(), (std::vector{LinkEvent::OtherIncarnation, LinkEvent::Established}));
    EXPECT_EQ(made.every<action::Report>()[0].peer, first);
}

TEST_F(Incarnations, WhatWasMeantForTheFormerIsDropped) {
    link_to(first);
    dialling.link_ended(LinkEnd::Broken, now);
    EXPECT_TRUE(link_to(second).has<action::DropStaleTells>());
    dialling.link_ended(std::nullopt, now);
    EXPECT_FALSE(link_to(second).has<action::DropStaleTells>()) << "the same one";
}

TEST_F(Incarnations, AQuarantinedOneHasNoRouteUntilAnotherAppears) {
    link_to(first);
    const Made made = quarantine(first);
    ASSERT_EQ(made.every<action::SetRoute>().size(), 1U);
    EXPECT_FALSE(made.every<action::SetRoute>()[0].open);
    EXPECT_TRUE(drops_tells(made, Counted::tells_quarantined));
    EXPECT_TRUE(drops_messages(made, Counted::messages_quarantined));
    EXPECT_TRUE(dialling.blocks(first.uid()));
    EXPECT_FALSE(dialling.blocks(second.uid()));
    EXPECT_FALSE(dialling.blocks(std::nullopt));
    EXPECT_FALSE(seen_alive(first).has<action::SetRoute>()) << "itself ends no quarantine";
    const Made ended = seen_alive(second);
    ASSERT_EQ(ended.every<action::SetRoute>().size(), 1U);
    EXPECT_TRUE(ended.every<action::SetRoute>()[0].open);
    EXPECT_FALSE(dialling.blocks(first.uid()));
}

TEST_F(Incarnations, AQuarantineEndsWhenAnotherOneIsExpected) {
    link_to(first);
    const auto expect = [&](const UniqueAddress& node) {
        return input([&](DiallingActions& out) { dialling.expect(node, out); });
    };
    EXPECT_FALSE(expect(second).has<action::SetRoute>()) << "nobody is quarantined";
    quarantine(first);
    EXPECT_FALSE(expect(first).has<action::SetRoute>());
    EXPECT_TRUE(expect(second).has<action::SetRoute>());
}

TEST_F(Incarnations, AQuarantineOfAnotherThanTheKnownOneChangesNothing) {
    link_to(second);
    const Made made = quarantine(first);
    EXPECT_TRUE(made.all.empty());
    EXPECT_FALSE(dialling.blocks(first.uid()));
}

TEST_F(Incarnations, ThatOneSaidThatItStopsExcusesItsRefusals) {
    link_to(first);
    dialling.stops(second);
    EXPECT_EQ(dialling.level_of_failure(), LogLevel::Warning) << "not the one there";
    dialling.stops(first);
    EXPECT_EQ(dialling.level_of_failure(), LogLevel::Info);
    seen_alive(second);
    EXPECT_EQ(dialling.level_of_failure(), LogLevel::Warning) << "another one has not said so";
}

// --- strangers (§16)

TEST_F(StrangersDial, HasItsTimeAndIsNotRepeated) {
    EXPECT_TRUE(dial_once(1s).has<action::StrangerDial>());
    EXPECT_FALSE(dial_once(1s).has<action::StrangerDial>()) << "one at a time";
    dialling.begin();
    EXPECT_EQ(next(true), Step::Dial);
    EXPECT_EQ(dialling.deadline(10s, now), now + 1s);
    const Made made = failed(false);
    EXPECT_TRUE(drops_messages(made, Counted::messages_stranger));
    ASSERT_EQ(made.every<action::StrangerDial>().size(), 1U);
    EXPECT_FALSE(made.every<action::StrangerDial>()[0].begins);
    EXPECT_EQ(dialling.deadline(10s, now), now + 10s);
}

TEST_F(StrangersDial, ThatWouldBeOverBeforeItBeginsIsNotMade) {
    dialling.begin();
    next(true);
    failed(true); // for seconds
    input([&](DiallingActions& out) { dialling.rested(out); });
    dial_once(1s);
    dialling.begin();
    EXPECT_EQ(next(true), Step::Again);
    EXPECT_TRUE(drops_messages(last, Counted::messages_stranger));
    EXPECT_TRUE(last.has<action::StrangerDial>());
    EXPECT_EQ(next(false), Step::Rest);
}

TEST_F(StrangersDial, IsOverWhenALinkIsEstablished) {
    dial_once(1s);
    const Made made = link_to(first);
    ASSERT_EQ(made.every<action::StrangerDial>().size(), 1U);
    EXPECT_FALSE(made.every<action::StrangerDial>()[0].begins);
}

// --- stopping

TEST_F(StoppingDialling, DoesNotWaitForWhatFailedUntilNow) {
    dialling.begin();
    next(true);
    failed(false);
    const Made made = stop();
    EXPECT_TRUE(drops_tells(made, Counted::tells_shutdown));
    EXPECT_TRUE(drops_messages(made, Counted::messages_shutdown));
}

TEST_F(StoppingDialling, LetsWhatIsBeingTriedSucceed) {
    dialling.begin();
    next(true);
    EXPECT_FALSE(stop().has<action::DropTells>());
    EXPECT_TRUE(drops_tells(failed(false), Counted::tells_shutdown)) << "but once";
}

TEST_F(StoppingDialling, OpensNoRouteAgain) {
    link_to(first);
    quarantine(first);
    stop();
    const Made made = seen_alive(second);
    ASSERT_EQ(made.every<action::SetRoute>().size(), 1U);
    EXPECT_FALSE(made.every<action::SetRoute>()[0].open);
}

} // namespace
} // namespace muster::transport::test
