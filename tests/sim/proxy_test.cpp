// SPDX-License-Identifier: Apache-2.0
/// Host proxies and strangers (protocol.md §5.6, §12.7): what befalls a node at its own door is no other's
/// death, and who has no address of its own gets in nowhere.
#include <algorithm>
#include <gtest/gtest.h>
#include <muster/sim/world.hpp>
#include <muster/sim/world/checker.hpp>
#include <muster/sim/world/scenario.hpp>

namespace muster::sim::test {
namespace {

using namespace std::chrono_literals;

class FiveBehindProxies : public testing::Test {
protected:
    FiveBehindProxies() {
        world.start_all();
        EXPECT_TRUE(world.run_until_agreed(60s)) << world.disagreement();
        world.run_for(20s);
    }
    std::size_t blamed_by(std::size_t n) const {
        const auto snapshot = world[n].snapshot();
        return snapshot.state->latest().reachability().all_unreachable_from(snapshot.self()).size();
    }
    bool logged(std::size_t n, std::string_view code) const {
        return std::ranges::any_of(world[n].log->records(),
                                   [&](const LogRecord& r) { return r.code == code; });
    }

    World world{{.seed = 11, .nodes = 5, .log_level = LogLevel::Info}};
};

TEST_F(FiveBehindProxies, WhoseProxyRestartsBlamesNobodyForIt) {
    world.set_proxy(2, Proxy::Refuses);
    world.run_for(1s);
    EXPECT_EQ(blamed_by(2), 0U);
    EXPECT_TRUE(logged(2, "cluster.evidence.doubted"));
    for (const std::size_t n : {0, 1, 3, 4}) {
        EXPECT_LE(blamed_by(n), 1U);
        EXPECT_FALSE(logged(n, "cluster.evidence.doubted")) << "one of four broke";
    }
    EXPECT_EQ(world[0].snapshot().state->latest().reachability().all_unreachable_or_terminated(),
              std::vector{*world[2].identity})
        << "for the others it is as good as dead, as fast as ever";
    world.set_proxy(2, Proxy::Transparent);
    ASSERT_TRUE(world.run_until_agreed(20s)) << world.disagreement();
    EXPECT_EQ(world.running().size(), 5U);
    EXPECT_TRUE(logged(2, "cluster.evidence.trusted"));
}

TEST_F(FiveBehindProxies, AProxyThatAcceptsWhatItCannotForwardIsSilenceAndNoDeath) {
    world.set_proxy(2, Proxy::Swallows);
    world.run_for(2500ms);
    for (const std::size_t n : world.running()) EXPECT_EQ(blamed_by(n), 0U) << "node " << n;
    world.run_for(5s);
    EXPECT_GT(blamed_by(0), 0U) << "the detector has judged it";
    for (const std::size_t n : {0, 1, 3, 4})
        for (const std::size_t other : {0, 1, 3, 4})
            EXPECT_TRUE(world[n].snapshot().state->latest().reachability().is_reachable(
                *world[n].identity, *world[other].identity))
                << n << " and " << other << " hear each other all the time";
}

Scenario five(std::vector<Fault> faults) {
    Scenario s;
    s.nodes = 5;
    s.faults = std::move(faults);
    s.quiet = 20s;
    return s;
}

TEST(Strangers, WithAMembersAddressGetNobodyInAndNobodyOut) {
    const Scenario s = five(
        {{.at = 30s, .kind = Fault::Kind::Claimant, .nodes = {0, 3}, .others = {}, .length = 40s},
         {.at = 50s, .kind = Fault::Kind::Claimant, .nodes = {1}, .others = {}, .length = 40s, .amount = 1}});
    EXPECT_EQ(s.protected_nodes().size(), 5U);
    const Outcome outcome = run(s);
    EXPECT_TRUE(outcome.ok()) << *outcome.broken << ": " << outcome.detail;
}

TEST(Strangers, WithAddressesThatLeadNowhereAreNotAdmitted) {
    const Scenario s = five({{.at = 30s,
                              .kind = Fault::Kind::WrongAddress,
                              .nodes = {0, 2},
                              .others = {},
                              .length = 40s,
                              .amount = 4}});
    EXPECT_EQ(s.protected_nodes().size(), 5U);
    const Outcome outcome = run(s);
    EXPECT_TRUE(outcome.ok()) << *outcome.broken << ": " << outcome.detail;
}

TEST(Proxies, ThatRestartAndThatStallKeepTheOthers) {
    using enum Fault::Kind;
    const Scenario s = five({{.at = 30s, .kind = ProxyRestart, .nodes = {4}, .others = {}, .length = 40s}});
    EXPECT_EQ(s.protected_nodes(), (std::vector<std::size_t>{0, 1, 2, 3}));
    for (const auto kind : {ProxyRestart, ProxyStall})
        for (const auto length : {Duration(500ms), Duration(3s), Duration(40s)}) {
            const Outcome outcome =
                run(five({{.at = 30s, .kind = kind, .nodes = {4}, .others = {}, .length = length}}));
            EXPECT_TRUE(outcome.ok()) << to_string(kind) << " " << *outcome.broken << ": " << outcome.detail;
        }
}

} // namespace
} // namespace muster::sim::test
