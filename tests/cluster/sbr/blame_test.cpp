// SPDX-License-Identifier: Apache-2.0
/// Whom the rows of a reachability table speak against, and what the resolver makes of it.
#include "../sbr_support.hpp"

#include <gtest/gtest.h>
#include <muster/cluster/sbr/blame.hpp>

namespace muster::test {
namespace {

using std::chrono::milliseconds;
using Rows = std::vector<std::pair<std::string, std::string>>;

std::vector<Suspicion> suspicions(const Rows& all) {
    std::vector<Suspicion> result;
    for (const auto& [observer, subject] : all) result.push_back({node(observer), node(subject)});
    return result;
}
std::string suspected(const Rows& all) { return hosts(most_suspected(suspicions(all))); }

TEST(MostSuspected, OfAStarIsItsCentreWhicheverWayItsRowsPoint) {
    EXPECT_EQ(suspected({{"v", "a"}, {"v", "b"}, {"v", "c"}}), "v");
    EXPECT_EQ(suspected({{"a", "v"}, {"b", "v"}}), "v");
    EXPECT_EQ(suspected({{"v", "a"}, {"v", "b"}, {"c", "v"}, {"d", "v"}}), "v");
}

TEST(MostSuspected, OfOneRowAreBothEnds) {
    EXPECT_EQ(suspected({{"a", "b"}}), "ab");
    EXPECT_EQ(suspected({{"a", "b"}, {"b", "a"}}), "ab") << "one counterpart each, however often they say so";
}

TEST(MostSuspected, AreAllOfARingBecauseNoNameMayDecide) {
    EXPECT_EQ(suspected({{"a", "b"}, {"b", "c"}, {"c", "d"}, {"d", "a"}}), "abcd");
}

TEST(MostSuspected, AreTheCentresOfSeveralStars) {
    EXPECT_EQ(suspected({{"v", "a"}, {"v", "b"}, {"v", "c"}, {"w", "b"}, {"w", "c"}, {"w", "d"}, {"d", "w"}}),
              "vw");
}

TEST(MostSuspected, SomebodyBetweenTwoSickOnesIsNotSuspectedForIt) {
    EXPECT_EQ(suspected({{"v", "a"}, {"v", "b"}, {"v", "h"}, {"w", "h"}, {"w", "c"}, {"w", "d"}}), "vw");
}

TEST(MostSuspected, OfATieAreTheNodesThatHaveNotSeen) {
    EXPECT_EQ(hosts(most_suspected(suspicions({{"a", "b"}}), nodes("ac"))), "b");
    EXPECT_EQ(hosts(most_suspected(suspicions({{"a", "b"}}), nodes("abc"))), "ab");
    EXPECT_EQ(hosts(most_suspected(suspicions({{"v", "a"}, {"v", "b"}}), nodes("v"))), "v")
        << "more counterparts weigh more";
}

TEST(MostSuspected, ExplainsEveryRow) {
    const Rows rows = {{"v", "a"}, {"v", "b"}, {"x", "y"}, {"p", "q"}, {"q", "r"}};
    EXPECT_EQ(suspected(rows), "qvxy");
    EXPECT_EQ(suspected({}), "");
}

/// Everybody of `up` is Up and has seen, and these are the rows.
SbrModel model_of(const std::string& up, const Rows& all, const std::string& unseen = "") {
    SbrModel model(node("a"), "default");
    std::vector<UniqueAddress> seen;
    for (const char host : up) {
        model.add(member(std::string(1, host)));
        if (unseen.find(host) == std::string::npos) seen.push_back(node(std::string(1, host)));
    }
    for (const auto& row : all) model.add_unreachable(member(row.second));
    model.set_reachability(rows(all));
    model.set_seen_by(std::move(seen));
    return model;
}
std::string blamed_of(const SbrModel& model, const Rows& also = {}) {
    const auto few = blamed(model, suspicions_of(model.reachability()), suspicions(also));
    return few ? hosts(*few) : "nobody";
}
std::string downs_of(const SbrModel& model, SbrSettings::Indirect indirect) {
    const KeepMajorityStrategy strategy;
    return hosts(nodes_to_down(strategy, model, verdict_of(strategy, model, indirect)).nodes);
}

const Rows sick_v = {{"v", "a"}, {"v", "b"}, {"v", "c"}, {"d", "v"}, {"e", "v"}};

TEST(Blamed, IsTheSickNodeAloneWherePekkoDownsAllItAccuses) {
    const SbrModel model = model_of("abcdefgv", sick_v);
    EXPECT_EQ(downs_of(model, SbrSettings::Indirect::All), "abcdev");
    EXPECT_EQ(downs_of(model, SbrSettings::Indirect::Blamed), "v");
}

TEST(Blamed, DoesNotTouchACleanSplit) {
    const SbrModel model = split("a", {member("a"), member("b"), member("c")}, {member("d"), member("e")});
    EXPECT_EQ(downs_of(model, SbrSettings::Indirect::Blamed), "de");
    const SbrModel minority = split("d", {member("d"), member("e")}, {member("a"), member("b"), member("c")});
    EXPECT_EQ(downs_of(minority, SbrSettings::Indirect::Blamed), "de");
}

TEST(Blamed, IsNobodyUnlessTheOthersAreCertainlyAMajority) {
    EXPECT_EQ(blamed_of(model_of("avb", {{"v", "a"}, {"v", "b"}})), "v");
    EXPECT_EQ(blamed_of(model_of("abvw", {{"v", "a"}, {"v", "b"}, {"w", "a"}, {"w", "b"}, {"v", "w"}})),
              "nobody")
        << "two of four would be left";
    SbrModel leaving = model_of("avb", {{"v", "a"}, {"v", "b"}});
    leaving.add(member("b", MemberStatus::Leaving));
    EXPECT_EQ(blamed_of(leaving), "nobody") << "who leaves may be gone for others";
    SbrModel joining = model_of("avb", {{"v", "a"}, {"v", "b"}});
    joining.add(member("c", MemberStatus::Joining));
    EXPECT_EQ(blamed_of(joining), "nobody") << "who joins may be up for others";
}

TEST(Blamed, WhoAccusedAndThenDiedIsAsGoneAsWhomItAccused) {
    // f died, everybody noticed; then d died, of which only a knows so far.
    const Rows two_deaths = {{"a", "f"}, {"b", "f"}, {"c", "f"}, {"d", "f"}, {"e", "f"}, {"a", "d"}};
    const SbrModel model = model_of("abcdef", two_deaths, "df");
    EXPECT_EQ(downs_of(model, SbrSettings::Indirect::Blamed), "df");
    EXPECT_EQ(downs_of(model, SbrSettings::Indirect::All), "abcdef")
        << "to Pekko d is indirectly connected, twice over";
    // Of three only one is left: the strategy decides, not that rule.
    const KeepOldestStrategy oldest(false);
    const SbrModel last = model_of("abc", {{"a", "c"}, {"b", "c"}, {"a", "b"}}, "bc");
    EXPECT_EQ(
        hosts(nodes_to_down(oldest, last, verdict_of(oldest, last, SbrSettings::Indirect::Blamed)).nodes),
        "bc");
}

TEST(Blamed, FallsBackToEverybodyInvolved) {
    const Rows ring = {{"a", "b"}, {"b", "c"}, {"c", "d"}, {"d", "a"}};
    EXPECT_EQ(downs_of(model_of("abcde", ring), SbrSettings::Indirect::Blamed),
              downs_of(model_of("abcde", ring), SbrSettings::Indirect::All));
}

TEST(Blamed, WithdrawnSuspicionsTellTheTwoEndsOfARowApart) {
    const SbrModel model = model_of("abcdefgv", {{"v", "a"}});
    EXPECT_EQ(blamed_of(model), "av");
    EXPECT_EQ(blamed_of(model, {{"v", "b"}, {"v", "c"}}), "v");
    EXPECT_EQ(blamed_of(model, {{"w", "b"}, {"w", "c"}}), "av") << "w has nothing to do with this row";
}

TEST(Blamed, ADownMemberExplainsItsOwnRows) {
    SbrModel model = model_of("abcdefgv", {{"v", "a"}, {"b", "c"}});
    model.add(member("v", MemberStatus::Down));
    EXPECT_EQ(blamed_of(model), "bc");
}

TEST(Blamed, IsNobodyFurtherWhenAllRowsHaveADownEnd) {
    SbrModel model = model_of("abcdefgv", {{"v", "a"}, {"v", "b"}});
    model.add(member("v", MemberStatus::Down));
    EXPECT_EQ(blamed_of(model), "");
    EXPECT_EQ(downs_of(model, SbrSettings::Indirect::Blamed), "")
        << "its removal is all there is to wait for";
    EXPECT_EQ(downs_of(model, SbrSettings::Indirect::All), "ab");
    EXPECT_EQ(blamed_of(model_of("abc", {})), "nobody");
}

TEST(Blamed, AnExitingAccuserIsNoExcuseToWait) {
    // It cannot be removed as long as whom it accuses is a member, and unreachable.
    SbrModel model = model_of("abcdefgv", {{"v", "a"}, {"v", "b"}});
    model.add(member("v", MemberStatus::Exiting));
    EXPECT_EQ(downs_of(model, SbrSettings::Indirect::Blamed), "ab");
}

TEST(LoneAccuser, IsANodeWhoseSuspicionsNobodySharesThoughOthersAreThere) {
    EXPECT_TRUE(is_lone_accuser(model_of("abcd", {{"a", "b"}, {"a", "c"}})));
    EXPECT_FALSE(is_lone_accuser(model_of("abcd", {{"a", "b"}, {"d", "b"}}))) << "d says so too";
    EXPECT_FALSE(is_lone_accuser(model_of("abcd", {{"b", "c"}}))) << "not this node's word";
    EXPECT_FALSE(is_lone_accuser(model_of("ab", {{"a", "b"}}))) << "nobody is left who could share it";
    EXPECT_FALSE(is_lone_accuser(model_of("abcd", {})));
}

TEST(Blamed, ADeniedLeaseTakesTheWholeSide) {
    const LeaseMajorityStrategy strategy;
    const SbrModel model = model_of("abcdefgv", sick_v);
    DowningVerdict verdict = verdict_of(strategy, model, SbrSettings::Indirect::Blamed);
    EXPECT_EQ(hosts(nodes_to_down(strategy, model, verdict).nodes), "v");
    verdict.decision = reverse_of(verdict.decision);
    EXPECT_EQ(hosts(nodes_to_down(strategy, model, verdict).nodes), "abcdefgv");
}

TEST(Blamed, TheSurvivorsOfTwoDecisionsHaveAMemberInCommon) {
    // Whatever part of the suspicions each of two nodes knows of.
    const std::string all = "abcdefg";
    const Rows rows = {{"a", "b"}, {"a", "c"}, {"d", "e"}, {"f", "d"}, {"g", "a"},
                       {"b", "d"}, {"c", "g"}, {"e", "g"}, {"f", "b"}};
    const auto survivors = [&](std::uint32_t known) {
        Rows some;
        for (std::size_t i = 0; i < rows.size(); ++i)
            if ((known >> i & 1) != 0) some.push_back(rows[i]);
        const std::string down = blamed_of(model_of(all, some));
        if (down == "nobody") return std::string();
        std::string left;
        for (const char host : all)
            if (down.find(host) == std::string::npos) left += host;
        return left;
    };
    std::vector<std::string> outcomes;
    for (std::uint32_t known = 1; known < 1U << rows.size(); ++known)
        if (auto left = survivors(known); !left.empty()) outcomes.push_back(std::move(left));
    ASSERT_GT(outcomes.size(), 100U);
    for (const auto& one : outcomes)
        for (const auto& other : outcomes)
            ASSERT_NE(one.find_first_of(other), std::string::npos) << one << " and " << other;
}

// --- any set of broken links

/// Nodes 'a', 'b', .. and the pairs of them between which nothing passes, as bits in the order ab, ac, ..,
/// bc, ..
struct BrokenLinks {
    std::size_t nodes;
    std::uint32_t bits;

    bool broken(std::size_t x, std::size_t y) const {
        if (x > y) std::swap(x, y);
        const std::size_t bit = x * (2 * nodes - x - 1) / 2 + (y - x - 1);
        return (bits >> bit & 1) != 0;
    }
    /// For each node the lowest one that it can exchange gossip with, through others if need be.
    std::vector<std::size_t> parts() const {
        std::vector<std::size_t> part(nodes);
        for (std::size_t i = 0; i < nodes; ++i) part[i] = i;
        for (std::size_t round = 0; round < nodes; ++round)
            for (std::size_t x = 0; x < nodes; ++x)
                for (std::size_t y = 0; y < nodes; ++y)
                    if (x != y && !broken(x, y)) part[x] = std::min(part[x], part[y]);
        return part;
    }
    static std::string name(std::size_t i) { return std::string(1, static_cast<char>('a' + i)); }
    /// What everybody in that part knows once gossip has gone round in it.
    SbrModel view(std::size_t part) const {
        const auto of = parts();
        SbrModel model(node(name(part)), "default");
        Reachability table;
        std::vector<UniqueAddress> seen;
        for (std::size_t i = 0; i < nodes; ++i) model.add(member(name(i)));
        for (std::size_t observer = 0; observer < nodes; ++observer) {
            if (of[observer] != part) continue;
            seen.push_back(node(name(observer)));
            for (std::size_t subject = 0; subject < nodes; ++subject) {
                if (subject == observer || !broken(observer, subject)) continue;
                table = table.unreachable(node(name(observer)), node(name(subject)));
                model.add_unreachable(member(name(subject)));
            }
        }
        model.set_reachability(table);
        model.set_seen_by(std::move(seen));
        return model;
    }
};

/// Who stays of each part after its decision; parts of which nobody stays are left out.
std::vector<std::string> survivors_of(const BrokenLinks& links, const DowningStrategy& strategy,
                                      SbrSettings::Indirect indirect) {
    const auto of = links.parts();
    std::vector<std::string> result;
    for (std::size_t part = 0; part < links.nodes; ++part) {
        if (of[part] != part) continue;
        const SbrModel model = links.view(part);
        std::string down;
        if (!model.unreachable().empty())
            down = hosts(nodes_to_down(strategy, model, verdict_of(strategy, model, indirect)).nodes);
        std::string stay;
        for (std::size_t i = 0; i < links.nodes; ++i)
            if (of[i] == part && down.find(BrokenLinks::name(i)) == std::string::npos)
                stay += BrokenLinks::name(i);
        if (!stay.empty()) result.push_back(stay);
    }
    return result;
}

TEST(BrokenLinksOfFiveNodes, LeaveOnePartOfWhichAllCanReachEachOther) {
    const KeepMajorityStrategy majority;
    const StaticQuorumStrategy quorum(3);
    const KeepOldestStrategy oldest;
    std::size_t saved = 0; // nodes that stay because only the blamed go
    for (const DowningStrategy* strategy :
         std::initializer_list<const DowningStrategy*>{&majority, &quorum, &oldest})
        for (std::uint32_t bits = 0; bits < 1U << 10; ++bits) {
            const BrokenLinks links{5, bits};
            const auto blamed = survivors_of(links, *strategy, SbrSettings::Indirect::Blamed);
            const auto all = survivors_of(links, *strategy, SbrSettings::Indirect::All);
            ASSERT_LE(blamed.size(), 1U) << strategy->name() << ", links " << bits;
            const std::string stay = blamed.empty() ? "" : blamed.front();
            for (const char x : stay)
                for (const char y : stay)
                    ASSERT_FALSE(x != y && links.broken(static_cast<std::size_t>(x - 'a'),
                                                        static_cast<std::size_t>(y - 'a')))
                        << strategy->name() << ", links " << bits << ": " << stay;
            const std::size_t stay_of_all = all.empty() ? 0 : all.front().size();
            ASSERT_GE(stay.size(), stay_of_all) << strategy->name() << ", links " << bits;
            saved += stay.size() - stay_of_all;
        }
    EXPECT_GT(saved, 500U);
}

// --- what was taken back

TEST(WithdrawnSuspicions, AreTheRowsThatDisappeared) {
    WithdrawnSuspicions withdrawn;
    withdrawn.note(rows({{"a", "b"}, {"a", "c"}}), rows({{"a", "c"}, {"d", "e"}}), Instant{milliseconds{10}});
    ASSERT_EQ(withdrawn.size(), 1U);
    EXPECT_EQ(withdrawn.since(Instant{milliseconds{10}}).front(), (Suspicion{node("a"), node("b")}));
    EXPECT_TRUE(withdrawn.since(Instant{milliseconds{11}}).empty());
    withdrawn.clear();
    EXPECT_EQ(withdrawn.size(), 0U);
}

TEST(WithdrawnSuspicions, AreBounded) {
    WithdrawnSuspicions withdrawn;
    std::vector<Reachability::Record> many;
    std::vector<Reachability::Version> versions{{node("a"), 1}};
    for (std::int64_t i = 0; i < 10'000; ++i)
        many.push_back({node("a"), node("b", i + 2), ReachabilityStatus::Unreachable, 1});
    for (int turn = 0; turn < 10; ++turn) {
        for (auto& row : many) row.subject = node("c" + std::to_string(turn), row.subject.uid().value);
        withdrawn.note(Reachability(many, versions), Reachability(), Instant{milliseconds{turn}});
        EXPECT_LE(withdrawn.size(), WithdrawnSuspicions::rows_max);
    }
    EXPECT_FALSE(withdrawn.since(Instant{milliseconds{9}}).empty()) << "the newest stay";
}

// --- the resolver

void changed(Resolver& r, std::int64_t ms, const Rows& now) { r.tell(ms, ReachabilityChanged{rows(now)}); }

Resolver eight_nodes(SbrSettings settings) {
    Resolver r("a", std::move(settings));
    r.up(0, "abcdefgv");
    r.leader(0, "a");
    return r;
}

TEST(BlamingResolver, RemembersWhatFlickeredBeforeTheDecision) {
    Resolver r = eight_nodes(settings_of("keep-majority", 2000));
    r.unreachable(100, "bc");
    changed(r, 100, {{"v", "b"}, {"v", "c"}});
    r.unreachable(200, "d");
    changed(r, 200, {{"v", "b"}, {"v", "c"}, {"v", "d"}});
    r.reachable(900, "bc");
    changed(r, 900, {{"v", "d"}});
    r.tell(900, SeenChanged{true, nodes("abcdefgv")});
    r.tick(2000);
    EXPECT_EQ(r.take_downs(), "");
    r.tick(3000);
    EXPECT_EQ(r.take_downs(), "v") << "and not d, whom it still accuses";
}

TEST(BlamingResolver, ForgetsWhatFlickeredWhenEverythingHealed) {
    Resolver r = eight_nodes(settings_of("keep-majority", 2000));
    r.unreachable(100, "bc");
    changed(r, 100, {{"v", "b"}, {"v", "c"}});
    r.reachable(900, "bc");
    changed(r, 900, {});
    r.unreachable(5000, "d");
    changed(r, 5000, {{"v", "d"}});
    r.tell(5000, SeenChanged{true, nodes("abcdefgv")});
    r.tick(8000);
    EXPECT_EQ(r.take_downs(), "dv");
}

SbrSettings unstable_settings(SbrSettings::Indirect indirect, std::string strategy = "keep-majority") {
    SbrSettings settings = settings_of(std::move(strategy), 2000);
    settings.down_all_when_unstable = SbrSettings::Unstable::after(milliseconds{1000});
    settings.indirect = indirect;
    return settings;
}

/// One node that is heard by chance: at no time is everything quiet.
void flicker(Resolver& r) {
    const std::string accused = "bcde";
    r.unreachable(0, "b");
    changed(r, 0, {{"v", "b"}});
    for (std::int64_t ms = 500; ms <= 2500; ms += 500) {
        const std::string now(1, accused[static_cast<std::size_t>(ms / 500) % accused.size()]);
        const std::string before(1, accused[static_cast<std::size_t>(ms / 500 - 1) % accused.size()]);
        r.unreachable(ms, now);
        changed(r, ms, {{"v", before}, {"v", now}});
        r.reachable(ms, before);
        changed(r, ms, {{"v", now}});
        r.tick(ms);
    }
    r.tick(3001);
}

TEST(BlamingResolver, EndsAnInstabilityByDowningTheMembersThatExplainIt) {
    Resolver r = eight_nodes(unstable_settings(SbrSettings::Indirect::Blamed));
    flicker(r);
    EXPECT_TRUE(r.logged(sbr_code::unstable));
    const auto records = r.all<effect::Record>();
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].decision->trigger, SbrTrigger::Unstable);
    EXPECT_EQ(hosts(records[0].decision->verdict.blamed), "v");
    EXPECT_NE(records[0].decision->to_line().find(" blamed=1 [v:2551"), std::string::npos)
        << records[0].decision->to_line();
    EXPECT_NE(records[0].decision->to_json().find("\"blamed\":[\"akka.tcp://sys@v:2551"), std::string::npos);
    EXPECT_EQ(r.take_downs(), "v");
}

TEST(BlamingResolver, DownsNobodyForAnInstabilityThatOthersHaveEnded) {
    Resolver r = eight_nodes(unstable_settings(SbrSettings::Indirect::Blamed));
    r.unreachable(0, "bc");
    changed(r, 0, {{"v", "b"}, {"v", "c"}});
    r.tell(2600, MemberDowned{member("v", MemberStatus::Down)});
    r.tick(3001);
    EXPECT_EQ(r.take_downs(), "");
    EXPECT_FALSE(r.logged(sbr_code::unstable));
}

TEST(BlamingResolver, WaitsTwiceAsLongWhenNobodySharesItsSuspicions) {
    for (const auto indirect : {SbrSettings::Indirect::Blamed, SbrSettings::Indirect::All}) {
        SbrSettings settings = settings_of("keep-majority", 2000);
        settings.indirect = indirect;
        Resolver r = eight_nodes(settings);
        r.unreachable(0, "bc");
        changed(r, 0, {{"a", "b"}, {"a", "c"}});
        const bool blames = indirect == SbrSettings::Indirect::Blamed;
        r.tick(2001);
        EXPECT_EQ(r.take_downs(), blames ? "" : "bc");
        if (!blames) continue;
        r.tick(4000);
        EXPECT_EQ(r.take_downs(), "");
        r.tick(4001);
        EXPECT_EQ(r.take_downs(), "bc")
            << "a cluster in which one node watches alone still gets rid of the dead";
    }
}

TEST(BlamingResolver, InTheClassicPresetAnInstabilityTakesEverybody) {
    Resolver r = eight_nodes(unstable_settings(SbrSettings::Indirect::All));
    flicker(r);
    EXPECT_EQ(r.take_downs(), "bcdefgva");
}

TEST(BlamingResolver, TheDownAllStrategyDownsAll) {
    Resolver r = eight_nodes(unstable_settings(SbrSettings::Indirect::Blamed, "down-all"));
    r.unreachable(0, "v");
    changed(r, 0, {{"b", "v"}});
    r.tick(2500);
    EXPECT_EQ(r.take_downs(), "bcdefgva");
}

TEST(BlamingResolver, OldChangesThatEndedDoNotExplainNewOnes) {
    // z had its trouble long ago; it is v that keeps on.
    Resolver r("a", unstable_settings(SbrSettings::Indirect::Blamed));
    r.up(0, "abcdefgvz");
    r.leader(0, "a");
    r.unreachable(0, "zb");
    changed(r, 0, {{"c", "z"}, {"d", "z"}, {"e", "z"}, {"v", "b"}});
    r.reachable(10, "z");
    changed(r, 10, {{"v", "b"}});
    for (std::int64_t ms = 500; ms <= 3000; ms += 500) {
        const bool odd = ms / 500 % 2 != 0;
        r.unreachable(ms, odd ? "c" : "b");
        changed(r, ms, {{"v", "b"}, {"v", "c"}});
        r.reachable(ms, odd ? "b" : "c");
        changed(r, ms, {{"v", odd ? "c" : "b"}});
        r.tick(ms);
    }
    r.tick(3001);
    EXPECT_EQ(r.take_downs(), "v");
}

TEST(BlamingResolver, ExplainNamesTheMembersThatWouldBeBlamed) {
    Resolver r = eight_nodes(settings_of("keep-majority", 20'000));
    r.unreachable(0, "abcv");
    changed(r, 0, sick_v);
    r.tell(0, SeenChanged{true, nodes("abcdefgv")});
    EXPECT_EQ(hosts(r.runtime.explain(at(10)).verdict.blamed), "v");
}

} // namespace
} // namespace muster::test
