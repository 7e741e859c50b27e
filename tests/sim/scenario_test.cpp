// SPDX-License-Identifier: Apache-2.0
/// Scenarios: the same from the same seed, of the promised sizes, to JSON and back, and shrunk to what
/// matters.
#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <map>
#include <muster/sim/world/scenario.hpp>

namespace muster::sim::test {
namespace {

using namespace std::chrono_literals;
using Kind = Fault::Kind;

Scenario with(std::vector<Fault> faults, std::size_t nodes = 5) {
    Scenario s;
    s.nodes = nodes;
    s.faults = std::move(faults);
    return s;
}

// ---- drawing

TEST(DrawnScenario, IsTheSameForTheSameSeed) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) EXPECT_EQ(Scenario::draw(seed), Scenario::draw(seed));
    EXPECT_NE(Scenario::draw(1), Scenario::draw(2));
}

TEST(DrawnScenario, IsValid) {
    for (std::uint64_t seed = 0; seed < 5000; ++seed) {
        const auto valid = Scenario::draw(seed).validate();
        ASSERT_TRUE(valid.has_value()) << seed << ": " << valid.error().message();
    }
}

TEST(DrawnScenario, HasSevenNodesAndThreeMinutesInTheMedianAndSixtyNodesInTwoPercent) {
    std::vector<std::size_t> nodes;
    std::vector<Duration> times;
    for (std::uint64_t seed = 0; seed < 4001; ++seed) {
        const Scenario s = Scenario::draw(seed);
        nodes.push_back(s.nodes);
        times.push_back(s.fault_time + s.quiet);
    }
    std::ranges::sort(nodes);
    std::ranges::sort(times);
    EXPECT_EQ(nodes[2000], 7U);
    EXPECT_EQ(times[2000], 180s);
    EXPECT_NEAR(static_cast<double>(std::ranges::count(nodes, 60U)), 80.0, 35.0);
    EXPECT_EQ(nodes.front(), 2U);
    EXPECT_EQ(nodes.back(), 60U);
}

TEST(DrawnScenario, HasEveryKindOfFaultAndEveryStrategy) {
    std::map<Kind, int> kinds;
    std::map<std::string, int> strategies;
    int decided = 0;
    for (std::uint64_t seed = 0; seed < 2000; ++seed) {
        const Scenario s = Scenario::draw(seed);
        for (const Fault& m : s.faults) ++kinds[m.kind];
        ++strategies[s.strategy];
        decided += s.protected_nodes().empty() ? 0 : 1;
    }
    EXPECT_EQ(kinds.size(), static_cast<std::size_t>(Kind::Flood) + 1);
    EXPECT_EQ(strategies.size(), 7U);
    EXPECT_GT(decided, 700) << "a world that promises nobody anything shows little";
}

/// The kinds of its faults, in order.
std::vector<Kind> kinds_of(const Scenario& s) {
    std::vector<Kind> kinds;
    for (const Fault& m : s.faults) kinds.push_back(m.kind);
    return kinds;
}
bool is_late_welcome(const Scenario& s) {
    return kinds_of(s) == std::vector{Kind::Slow, Kind::Start, Kind::OneWay} &&
           s.faults[0].nodes == s.faults[2].others;
}
bool is_broken_stream(const Scenario& s) {
    const auto kinds = kinds_of(s);
    return kinds.size() > 2 && kinds[0] == Kind::Narrow && kinds[1] == Kind::Flood && kinds[2] == Kind::Reset;
}
bool is_outage_before_death(const Scenario& s) {
    return s.faults.size() == 2 && s.faults[1].kind == Kind::PowerOff && s.faults[0].length >= 15s &&
           s.strategy == "none";
}
bool are_staggered_deaths(const Scenario& s) {
    return s.faults.size() > 1 && s.strategy != "none" && std::ranges::all_of(s.faults, [&](const Fault& m) {
               const bool death = m.kind == Kind::Crash || m.kind == Kind::PowerOff;
               return death && m.length == 0s && m.nodes.size() == 1 &&
                      m.at - s.faults[0].at <= s.stable_after * static_cast<int>(s.nodes);
           });
}
bool is_removed_from_afar(const Scenario& s) {
    const auto downed = std::ranges::find(s.faults, Kind::Down, &Fault::kind);
    if (s.faults.empty() || s.faults[0].kind != Kind::Partition || downed == s.faults.end()) return false;
    const Fault& cut = s.faults[0];
    return s.data_centers == 2 && cut.nodes.size() + cut.others.size() == s.nodes &&
           downed->at < cut.at + cut.length && downed->nodes[0] % 2 != downed->nodes[1] % 2;
}

TEST(DrawnScenario, IsMadeForOneRuleNowAndThen) {
    // In how many of the seeds within which each broken rule has to be found (tests/mutants)?
    constexpr std::array shapes = {is_late_welcome, is_broken_stream, is_outage_before_death,
                                   are_staggered_deaths, is_removed_from_afar};
    std::array<int, shapes.size()> count{};
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
        const Scenario s = Scenario::draw(seed);
        for (std::size_t i = 0; i < shapes.size(); ++i) count[i] += shapes[i](s) ? 1 : 0;
    }
    for (std::size_t i = 0; i < shapes.size(); ++i) EXPECT_GE(count[i], 5) << i;
}

TEST(DrawnScenario, BringsProxiesStrangersAndLeavesBesideDeaths) {
    constexpr std::array kinds = {Kind::ProxyRestart, Kind::ProxyStall, Kind::Claimant, Kind::WrongAddress};
    std::array<int, kinds.size()> count{};
    int leaves_beside_deaths = 0;
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
        const Scenario s = Scenario::draw(seed);
        const auto has = [&](Kind kind) {
            return std::ranges::find(s.faults, kind, &Fault::kind) != s.faults.end();
        };
        for (std::size_t i = 0; i < kinds.size(); ++i) count[i] += has(kinds[i]) ? 1 : 0;
        const bool only_these = std::ranges::all_of(s.faults, [](const Fault& m) {
            return m.kind == Kind::Leave || m.kind == Kind::Crash || m.kind == Kind::PowerOff;
        });
        leaves_beside_deaths +=
            only_these && has(Kind::Leave) && (has(Kind::Crash) || has(Kind::PowerOff)) ? 1 : 0;
    }
    for (std::size_t i = 0; i < kinds.size(); ++i) EXPECT_GE(count[i], 10) << to_string(kinds[i]);
    EXPECT_GE(leaves_beside_deaths, 15);
}

// ---- faults in words

Fault of(Kind kind, std::vector<std::size_t> nodes, std::int64_t amount = 0, Duration length = {},
         std::vector<std::size_t> others = {}) {
    return {.at = 20s,
            .kind = kind,
            .nodes = std::move(nodes),
            .others = std::move(others),
            .length = length,
            .amount = amount};
}

TEST(DescribedFault, NamesWhomItBefallsAndHowMuchInUnits) {
    EXPECT_EQ(describe(of(Kind::Slow, {2, 4}, 220'000'000)), "slow: nodes 2, 4; 220 ms");
    EXPECT_EQ(describe(of(Kind::Lossy, {4}, 800)), "lossy: node 4; 80 % of what is sent there");
    EXPECT_EQ(describe(of(Kind::Narrow, {0}, 2'000'000)), "narrow: node 0; 2.0 MB/s");
    EXPECT_EQ(describe(of(Kind::Narrow, {0}, 64'500)), "narrow: node 0; 64.5 kB/s");
    EXPECT_EQ(describe(of(Kind::Narrow, {0}, 900)), "narrow: node 0; 900 B/s");
    EXPECT_EQ(describe(of(Kind::ClockDrift, {3}, 500'000)), "clock drift: node 3; +500 ppm");
    EXPECT_EQ(describe(of(Kind::ClockDrift, {3}, -1'500)), "clock drift: node 3; -1.5 ppm");
    EXPECT_EQ(describe(of(Kind::Stutter, {1}, 700'000'000)),
              "stutter: node 1; stops and runs for 700 ms each");
    EXPECT_EQ(describe(of(Kind::FlipFlop, {6}, 20'000'000'000)),
              "flip-flop: nothing to node 6; 20 s on and off");
    EXPECT_EQ(describe(of(Kind::Flood, {0, 6}, 200)), "flood: node 0 to node 6; 200/s");
    EXPECT_EQ(describe(of(Kind::Corrupt, {6}, 100)), "corrupt: node 6; 0.01 % of what is sent there");
    EXPECT_EQ(describe(of(Kind::Break, {6}, 50'000)),
              "broken connections: node 6; 5 % of what is sent there");
}

TEST(DescribedFault, NamesRunsOfNodesByTheirEndsAndWhomTheyAreCutOffFrom) {
    EXPECT_EQ(describe(of(Kind::Pause, {9, 0, 1, 2, 3, 7, 8})), "pause: nodes 0 to 3, 7 to 9");
    EXPECT_EQ(describe(of(Kind::Partition, {5, 6})), "partition: nodes 5, 6 and all others");
    EXPECT_EQ(describe(of(Kind::OneWay, {5}, 0, 9s, {1, 2})), "one-way: nothing from node 5 to nodes 1, 2");
    EXPECT_EQ(describe(of(Kind::Down, {0, 3})), "down: node 0 downs node 3");
    EXPECT_EQ(describe(of(Kind::Reset, {3})), "reset: all connections of node 3");
    EXPECT_EQ(describe(of(Kind::Start, {1})), "first start: node 1");
}

TEST(DescribedFault, SaysWhenAndForHowLong) {
    EXPECT_EQ(describe_with_times(of(Kind::Slow, {2, 4}, 220'000'000, 60s)),
              "at 20 s for 60 s, slow: nodes 2, 4; 220 ms");
    EXPECT_EQ(describe_with_times(of(Kind::Crash, {3})), "at 20 s, crash: node 3");
    EXPECT_EQ(describe_with_times(of(Kind::Crash, {3}, 0, 200ms)),
              "at 20 s, crash: node 3; restart after 200 ms");
    EXPECT_EQ(describe_with_times(of(Kind::PowerOff, {3}, 0, 1500ms)),
              "at 20 s, power off: node 3; on again after 1.5 s");
    EXPECT_EQ(describe_with_times(of(Kind::Leave, {3}, 0, 2s)), "at 20 s, leave: node 3; back after 2 s");
    EXPECT_EQ(describe_with_times(of(Kind::RollingRestart, {0, 1, 2}, 0, 10s)),
              "at 20 s, rolling restart: nodes 0 to 2; one every 10 s");
}

TEST(DescribedFault, EachThatIsDrawnHasWordsForItsAmount) {
    for (std::uint64_t seed = 0; seed < 300; ++seed)
        for (const Fault& m : Scenario::draw(seed).faults) {
            const std::string text = describe(m);
            EXPECT_EQ(text.find("000000"), std::string::npos) << text;
            EXPECT_NE(text.find("node"), std::string::npos) << text;
        }
}

// ---- what may be expected

TEST(Expectation, AMajorityThatNothingBefallsIsProtected) {
    EXPECT_EQ(with({{.at = 30s, .kind = Kind::Crash, .nodes = {3, 4}, .others = {}}}).protected_nodes(),
              (std::vector<std::size_t>{0, 1, 2}));
}

TEST(Expectation, AMinorityIsNot) {
    EXPECT_TRUE(
        with({{.at = 30s, .kind = Kind::Crash, .nodes = {2, 3, 4}, .others = {}}}).protected_nodes().empty());
}

TEST(Expectation, WithoutAResolverNobodyIsDownedWhateverHappens) {
    auto s = with({{.at = 30s, .kind = Kind::OneWay, .nodes = {1, 2, 3, 4}, .others = {}, .length = 20s}});
    s.strategy = "none";
    EXPECT_EQ(s.protected_nodes(), (std::vector<std::size_t>{0}));
}

TEST(Expectation, APartitionThatEndsWhileTheResolversDecidePromisesNothing) {
    EXPECT_TRUE(with({{.at = 30s, .kind = Kind::Partition, .nodes = {4}, .others = {}, .length = 9s}})
                    .protected_nodes()
                    .empty());
    EXPECT_FALSE(with({{.at = 30s, .kind = Kind::Partition, .nodes = {4}, .others = {}, .length = 60s}})
                     .protected_nodes()
                     .empty());
    EXPECT_FALSE(with({{.at = 30s, .kind = Kind::Partition, .nodes = {4}, .others = {}, .length = 1s}})
                     .protected_nodes()
                     .empty());
}

TEST(Expectation, ASecondDeathBeforeTheFirstIsSettledPromisesNothingInClassicClusters) {
    const auto deaths = [](Duration apart, bool classic = true) {
        auto s = with({{.at = 30s, .kind = Kind::PowerOff, .nodes = {3}, .others = {}},
                       {.at = 30s + apart, .kind = Kind::Crash, .nodes = {4}, .others = {}}});
        s.classic = classic;
        return s;
    };
    EXPECT_FALSE(deaths(2s).protected_nodes().empty()) << "the second had not noticed the first";
    EXPECT_TRUE(deaths(6s).protected_nodes().empty()) << "its row stays behind";
    EXPECT_FALSE(deaths(40s).protected_nodes().empty()) << "the first was removed before";
    EXPECT_FALSE(deaths(6s, false).protected_nodes().empty()) << "who is gone has not seen the gossip";
}

TEST(Expectation, KeepOldestProtectsTheSideOfTheFounder) {
    auto s = with({{.at = 30s, .kind = Kind::Crash, .nodes = {2, 3, 4}, .others = {}}});
    s.strategy = "keep-oldest";
    EXPECT_EQ(s.protected_nodes(), (std::vector<std::size_t>{0, 1}));
    s.faults[0].nodes = {0};
    EXPECT_TRUE(s.protected_nodes().empty());
}

TEST(Expectation, HeartbeatsAreRegularWhenAllSilencesAreLong) {
    const auto regular = [](Fault m, std::size_t nodes = 5) {
        return with({std::move(m)}, nodes).has_regular_heartbeats();
    };
    EXPECT_TRUE(with({}).has_regular_heartbeats());
    EXPECT_TRUE(regular({.at = 30s, .kind = Kind::PowerOff, .nodes = {4}, .others = {}}));
    EXPECT_TRUE(regular({.at = 30s, .kind = Kind::Pause, .nodes = {4}, .others = {}, .length = 10s}));
    EXPECT_FALSE(regular({.at = 30s, .kind = Kind::Pause, .nodes = {4}, .others = {}, .length = 9s}))
        << "detectors may learn from it";
    EXPECT_FALSE(regular({.at = 30s,
                          .kind = Kind::Stutter,
                          .nodes = {4},
                          .others = {},
                          .length = 20s,
                          .amount = 300'000'000}));
    EXPECT_FALSE(regular(
        {.at = 30s, .kind = Kind::Slow, .nodes = {4}, .others = {}, .length = 20s, .amount = 300'000'000}));
    EXPECT_FALSE(regular({.at = 30s, .kind = Kind::PowerOff, .nodes = {4}, .others = {}}, 11))
        << "not everybody monitors it";
}

TEST(Expectation, OnlyCleanFaultsPromiseOneSide) {
    EXPECT_FALSE(with({{.at = 30s, .kind = Kind::Partition, .nodes = {3, 4}, .others = {}, .length = 60s}})
                     .may_split());
    EXPECT_TRUE(with({{.at = 30s,
                       .kind = Kind::FlipFlop,
                       .nodes = {4},
                       .others = {},
                       .length = 60s,
                       .amount = 20'000'000'000}})
                    .may_split());
    EXPECT_TRUE(
        with({{.at = 30s, .kind = Kind::Corrupt, .nodes = {4}, .others = {}, .length = 60s, .amount = 100}})
            .may_split());
}

// ---- names and JSON

TEST(NamedScenario, EachIsValidAtManySizes) {
    for (const auto name : Scenario::names())
        for (const std::size_t nodes : {3U, 7U, 100U}) {
            const auto s = Scenario::named(name, nodes, 1);
            ASSERT_TRUE(s.has_value()) << name;
            const auto valid = s->validate();
            EXPECT_TRUE(valid.has_value()) << name << " at " << nodes << ": " << valid.error().message();
        }
}

TEST(NamedScenario, AnUnknownNameNamesThoseThereAre) {
    const auto s = Scenario::named("no-such", 7, 1);
    ASSERT_FALSE(s.has_value());
    EXPECT_EQ(s.error(), Errc::not_found);
    EXPECT_NE(s.error().message().find("flip-flop"), std::string::npos);
}

TEST(ScenarioJson, ComesBackAsItWas) {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        const Scenario s = Scenario::draw(seed);
        const auto back = Scenario::from_json(s.to_json());
        ASSERT_TRUE(back.has_value()) << back.error().message();
        ASSERT_EQ(*back, s) << s.to_json();
    }
}

TEST(ScenarioJson, SaysWhichFieldIsWrong) {
    const auto subject = [](std::string_view text) {
        const auto s = Scenario::from_json(text);
        return s ? std::string("none") : s.error().subject;
    };
    EXPECT_EQ(subject("{"), "scenario");
    EXPECT_EQ(subject("[]"), "scenario");
    EXPECT_EQ(subject(R"({"nodes": "many"})"), "nodes");
    EXPECT_EQ(subject(R"({"nodes": 0})"), "nodes");
    EXPECT_EQ(subject(R"({"nods": 3})"), "nods");
    EXPECT_EQ(subject(R"({"strategy": "hope"})"), "strategy");
    EXPECT_EQ(subject(R"({"quiet_ms": -1})"), "quiet_ms");
    EXPECT_EQ(subject(R"({"faults": [{"kind": "flood-gate", "nodes": [0]}]})"), "faults[0].kind");
    EXPECT_EQ(subject(R"({"faults": [{"kind": "crash", "nodes": [3]}]})"), "faults[0] (crash)");
    EXPECT_EQ(subject(R"({"faults": [{"kind": "flip-flop", "nodes": [1], "length_ms": 5}]})"),
              "faults[0] (flip-flop)");
    EXPECT_EQ(subject(R"({"nodes": 4, "faults": [{"kind": "crash", "nodes": [3], "at_ms": 5}]})"), "none");
}

// ---- running

TEST(RunScenario, IsTheSameEveryTime) {
    for (const std::uint64_t seed : {4U, 5U}) {
        const Scenario s = Scenario::draw(seed);
        const Outcome first = run(s), second = run(s);
        EXPECT_EQ(first.broken, std::nullopt) << *first.broken << ": " << first.detail;
        EXPECT_EQ(first.trace_hash, second.trace_hash);
        EXPECT_EQ(first.events, second.events);
    }
}

TEST(RunScenario, EachNamedOneHolds) {
    // Of the smallest size; tests/run has them larger in its stage `simulation`.
    for (const auto name : Scenario::names()) {
        const Outcome outcome = run(*Scenario::named(name, 3, 1));
        EXPECT_TRUE(outcome.ok()) << name << ": " << *outcome.broken << ": " << outcome.detail;
    }
}

// ---- shrinking

TEST(Shrink, LeavesWhatMatters) {
    Scenario failing = Scenario::draw(12);
    failing.nodes = 20;
    failing.faults = {};
    for (std::size_t n = 0; n < 8; ++n)
        failing.faults.push_back(
            {.at = 20s, .kind = Kind::Pause, .nodes = {n, n + 1}, .others = {}, .length = 4s});
    failing.faults.insert(failing.faults.begin() + 3,
                          {.at = 20s, .kind = Kind::Crash, .nodes = {5, 7, 9}, .others = {}});
    const auto fails = [](const Scenario& s) {
        return s.nodes >= 2 &&
               std::ranges::any_of(s.faults, [](const Fault& m) { return m.kind == Kind::Crash; });
    };
    const Scenario small = shrink(failing, fails, 1000);
    EXPECT_EQ(small.nodes, 2U);
    ASSERT_EQ(small.faults.size(), 1U);
    EXPECT_EQ(small.faults[0].kind, Kind::Crash);
    EXPECT_EQ(small.faults[0].nodes.size(), 1U);
    EXPECT_TRUE(small.validate().has_value());
}

TEST(Shrink, StopsAfterSoManyAttempts) {
    std::size_t calls = 0;
    shrink(
        Scenario::draw(5), [&](const Scenario&) { return ++calls > 1'000'000; }, 17);
    EXPECT_LE(calls, 17U);
}

} // namespace
} // namespace muster::sim::test
