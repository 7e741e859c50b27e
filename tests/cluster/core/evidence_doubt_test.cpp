// SPDX-License-Identifier: Apache-2.0
// The window of doubt (protocol.md §12.7): who loses most of its connections at once suspects its own network
// first.
#include "../core_support.hpp"
#include "cluster/core/evidence_doubt.hpp"

#include <gtest/gtest.h>

namespace muster::testing {
namespace {

using Change = EvidenceDoubt::Change;

std::vector<UniqueAddress> nodes(std::string_view names) {
    std::vector<UniqueAddress> all;
    for (const char name : names) all.push_back(node(std::string(1, name)));
    return all;
}
Instant when(Duration elapsed) { return at(elapsed).monotonic; }

// ---- the value

TEST(EvidenceDoubt, MoreThanHalfOfTwoOrMoreBeginsIt) {
    struct Case {
        std::string_view watched, lost;
        Change change;
    };
    for (const Case& c :
         {Case{"b", "b", Change::None}, Case{"bc", "b", Change::None}, Case{"bc", "bc", Change::Begins},
          Case{"bcd", "bc", Change::Begins}, Case{"bcde", "bc", Change::None},
          Case{"bcde", "bcd", Change::Begins}, Case{"bc", "xyz", Change::None}}) {
        EvidenceDoubt doubt(seconds{1});
        for (const UniqueAddress& n : nodes(c.lost)) doubt.lost(n, when({}));
        EXPECT_EQ(doubt.consider(nodes(c.watched), when({})), c.change) << c.lost << " of " << c.watched;
        EXPECT_EQ(doubt.holds(), c.change == Change::Begins);
    }
}

TEST(EvidenceDoubt, EndsThatAreAWindowApartDoNotCountTogether) {
    for (const auto apart : {milliseconds{999}, milliseconds{1000}}) {
        EvidenceDoubt doubt(seconds{1});
        doubt.lost(b, when({}));
        EXPECT_EQ(doubt.consider(nodes("bcd"), when({})), Change::None);
        doubt.lost(c, when(apart));
        EXPECT_EQ(doubt.consider(nodes("bcd"), when(apart)),
                  apart < seconds{1} ? Change::Begins : Change::None);
    }
}

TEST(EvidenceDoubt, WhatIsOpenAgainStillCountsWithinTheWindow) {
    EvidenceDoubt doubt(seconds{1});
    for (const UniqueAddress& n : nodes("bcd")) {
        doubt.lost(n, when({}));
        if (n == b || n == c) doubt.regained(n);
    }
    EXPECT_EQ(doubt.consider(nodes("bcd"), when({})), Change::Begins);
}

TEST(EvidenceDoubt, AnEndThatIsExplainedCountsNowhere) {
    EvidenceDoubt doubt(seconds{1});
    for (const UniqueAddress& n : nodes("bcd")) doubt.lost(n, when({}));
    doubt.explained(b);
    doubt.explained(c);
    EXPECT_EQ(doubt.consider(nodes("bcd"), when({})), Change::None);
}

TEST(EvidenceDoubt, ItLastsForTheWindowAndAsLongAsMostAreLost) {
    EvidenceDoubt doubt(seconds{1});
    for (const UniqueAddress& n : nodes("bcd")) doubt.lost(n, when({}));
    ASSERT_EQ(doubt.consider(nodes("bcd"), when({})), Change::Begins);
    EXPECT_EQ(doubt.consider(nodes("bcd"), when(seconds{30})), Change::None) << "all of them are lost still";
    doubt.regained(b);
    doubt.regained(c);
    EXPECT_EQ(doubt.consider(nodes("bcd"), when(seconds{30})), Change::Ends);
    EXPECT_FALSE(doubt.holds());

    for (const UniqueAddress& n : nodes("bcd")) doubt.lost(n, when(seconds{40}));
    ASSERT_EQ(doubt.consider(nodes("bcd"), when(seconds{40})), Change::Begins);
    for (const UniqueAddress& n : nodes("bcd")) doubt.regained(n);
    EXPECT_EQ(doubt.consider(nodes("bcd"), when(milliseconds{40'999})), Change::None)
        << "the window is not over";
    EXPECT_EQ(doubt.consider(nodes("bcd"), when(seconds{41})), Change::Ends);
}

// ---- in the core

/// a, which watches the others, all Up; its links to them are open.
struct Watcher {
    explicit Watcher(std::string_view others) : names(others) {
        std::vector<Member> members{up(a, 1)};
        std::int32_t number = 2;
        for (const UniqueAddress& n : nodes(names)) members.push_back(up(n, number++));
        std::vector<UniqueAddress> seen = nodes(names);
        seen.insert(seen.begin(), a);
        core = core_with(a, gossip_of(members, seen), ClusterSettings{});
        for (const UniqueAddress& n : nodes(names)) link(n, LinkEvent::Established, {});
    }
    void link(const UniqueAddress& n, LinkEvent event, Duration elapsed) {
        core->on_link(n, event, at(elapsed), out);
    }
    void refuse(std::string_view whom, Duration first) {
        for (const Duration t : {first, first + milliseconds{20}})
            for (const UniqueAddress& n : nodes(whom)) link(n, LinkEvent::ReconnectRefused, t);
    }
    void fire(Duration elapsed) { core->on_timer({CoreTimer::Evidence, 0}, at(elapsed), out); }
    std::string accused() const {
        std::string all;
        for (const UniqueAddress& n : core->state()->latest().reachability().all_unreachable_from(a))
            all += *n.address().host;
        return all;
    }
    std::string names;
    std::optional<ClusterCore> core;
    Effects out;
};

TEST(EvidenceDoubt, WhoLosesMostOfItsConnectionsAccusesNobody) {
    Watcher w("bcd");
    for (const UniqueAddress& n : nodes("bc")) w.link(n, LinkEvent::EndedWithoutGoodbye, milliseconds{0});
    w.refuse("bc", milliseconds{5});
    w.fire(seconds{2});
    EXPECT_EQ(w.accused(), "");
    EXPECT_TRUE(logged(w.out, "cluster.evidence.doubted"));
    EXPECT_EQ(counted(w.out, "cluster.evidence.doubted"), 1U);
}

TEST(EvidenceDoubt, OneOfTwoAndFewOfManyAreAccusedAsEver) {
    for (const std::string_view others : {"bc", "bcdef"}) {
        Watcher w(others);
        const std::string_view dead = others.size() == 2 ? "b" : "bc";
        for (const UniqueAddress& n : nodes(dead)) w.link(n, LinkEvent::EndedWithoutGoodbye, milliseconds{0});
        w.refuse(dead, milliseconds{5});
        w.fire(milliseconds{25});
        EXPECT_EQ(w.accused(), dead);
        EXPECT_FALSE(logged(w.out, "cluster.evidence.doubted"));
    }
}

TEST(EvidenceDoubt, ARowThatWasWrittenInTheWindowIsTakenBack) {
    for (const auto later : {milliseconds{900}, milliseconds{1100}}) {
        Watcher w("bcd");
        w.link(b, LinkEvent::EndedWithoutGoodbye, milliseconds{0});
        w.refuse("b", milliseconds{5});
        w.fire(milliseconds{25});
        ASSERT_EQ(w.accused(), "b");
        w.link(c, LinkEvent::EndedWithoutGoodbye, later);
        EXPECT_EQ(w.accused(), later < seconds{1} ? "" : "b");
        EXPECT_EQ(counted(w.out, "cluster.evidence.taken_back"), later < seconds{1} ? 1U : 0U);
        w.core->tick_reaper(at(later + milliseconds{10}), w.out);
        EXPECT_EQ(w.accused(), later < seconds{1} ? "" : "b")
            << "nor does the reaper write it again: the detector heard it a second ago";
    }
}

TEST(EvidenceDoubt, AfterwardsOnlyNewRefusalsCount) {
    Watcher w("bcd");
    for (const UniqueAddress& n : nodes("bcd")) w.link(n, LinkEvent::EndedWithoutGoodbye, milliseconds{0});
    w.refuse("bcd", milliseconds{5});
    for (const UniqueAddress& n : nodes("cd")) w.link(n, LinkEvent::Established, milliseconds{500});
    w.link(b, LinkEvent::ReconnectRefused, milliseconds{990});
    w.core->tick_reaper(at(seconds{1}), w.out); // the window is over
    EXPECT_TRUE(logged(w.out, "cluster.evidence.trusted"));
    w.link(b, LinkEvent::ReconnectRefused, milliseconds{1011});
    w.fire(milliseconds{1030});
    EXPECT_EQ(w.accused(), "") << "one of the two was in the window";
    w.link(b, LinkEvent::ReconnectRefused, milliseconds{1031});
    w.fire(milliseconds{1050});
    EXPECT_EQ(w.accused(), "b");
}

TEST(EvidenceDoubt, AnotherIncarnationIsNoBrokenConnection) {
    Watcher w("bcd");
    for (const char name : std::string("bcd")) {
        const UniqueAddress old = node(std::string(1, name));
        w.link(old, LinkEvent::EndedWithoutGoodbye, milliseconds{0});
        w.link(old, LinkEvent::OtherIncarnation, milliseconds{1});
    }
    w.fire(milliseconds{10});
    EXPECT_EQ(w.accused(), "bcd") << "restarted, all of them";
}

TEST(EvidenceDoubt, HeartbeatsDecideWhileItHolds) {
    Watcher w("bcd");
    for (const UniqueAddress& n : nodes("bcd")) {
        w.core->on_message(HeartbeatReply{n, 1, 0}, at({}).monotonic, at({}), w.out);
        w.link(n, LinkEvent::EndedWithoutGoodbye, milliseconds{1});
    }
    w.core->tick_reaper(at(seconds{60}), w.out);
    EXPECT_EQ(w.accused(), "bcd");
}

} // namespace
} // namespace muster::testing
