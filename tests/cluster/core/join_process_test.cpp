// SPDX-License-Identifier: Apache-2.0
// The seed processes and the configuration check as values (protocol.md §5.2, §5.3, §5.5).
#include <algorithm>
#include <gtest/gtest.h>
#include <muster/cluster/core/join_process.hpp>
#include <muster/cluster/protocol/config_compat.hpp>
#include <muster/cluster/sbr/settings.hpp>

namespace muster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Address address(const std::string& host) { return Address::remote("akka.tcp", "world", host, 1); }
const Address a = address("a");
const Address b = address("b");
const Address c = address("c");
constexpr Instant start{};

SeedProcess first_seed(std::vector<Address> seeds, SeedProcess::Options options = {}) {
    return {SeedChoice::FirstSeed, a, seeds, options};
}
SeedProcess other_seed(std::vector<Address> seeds) { return {SeedChoice::OtherSeed, c, seeds, {}}; }

TEST(SeedList, IsReadByAddress) {
    EXPECT_EQ(choose_seed_process(a, {}), SeedChoice::Nothing);
    EXPECT_EQ(choose_seed_process(a, std::vector{a}), SeedChoice::JoinSelf);
    EXPECT_EQ(choose_seed_process(a, std::vector{a, a}), SeedChoice::JoinSelf) << "duplicates count once";
    EXPECT_EQ(choose_seed_process(a, std::vector{a, b}), SeedChoice::FirstSeed);
    EXPECT_EQ(choose_seed_process(b, std::vector{a, b}), SeedChoice::OtherSeed);
    EXPECT_EQ(choose_seed_process(c, std::vector{a, b}), SeedChoice::OtherSeed);
}

TEST(FirstSeedProcess, AsksEverySecondUntilTheTimeoutAndThenFoundsTheCluster) {
    SeedProcess process = first_seed({a, b, c, b});
    EXPECT_EQ(process.start(start).init_join_to, (std::vector{b, c}));
    EXPECT_TRUE(process.tick(start + milliseconds{900}).init_join_to.empty());
    EXPECT_EQ(process.tick(start + milliseconds{1000}).init_join_to, (std::vector{b, c}));
    EXPECT_TRUE(process.tick(start + milliseconds{1900}).init_join_to.empty());
    EXPECT_FALSE(process.tick(start + milliseconds{4900}).join);
    EXPECT_EQ(process.tick(start + milliseconds{5000}).join, a);
    EXPECT_TRUE(process.has_ended());
}

TEST(FirstSeedProcess, FoundsTheClusterAtOnceWhenEverybodyElseSaidNack) {
    SeedProcess process = first_seed({a, b, c});
    process.start(start);
    EXPECT_FALSE(process.on_nack(b, start).join);
    EXPECT_FALSE(process.on_nack(b, start).join) << "the same one again is not the other";
    EXPECT_EQ(process.on_nack(c, start).join, a);
}

TEST(FirstSeedProcess, DoesNotAskThoseAgainThatSaidNack) {
    SeedProcess process = first_seed({a, b, c});
    process.start(start);
    process.on_nack(b, start);
    EXPECT_EQ(process.tick(start + seconds{1}).init_join_to, std::vector{c});
}

TEST(FirstSeedProcess, AnAckBeatsEverything) {
    SeedProcess process = first_seed({a, b, c});
    process.start(start);
    process.on_nack(b, start);
    EXPECT_EQ(process.on_ack(c, start).join, c);
    EXPECT_FALSE(process.on_nack(c, start).join);
    EXPECT_FALSE(process.tick(start + seconds{6}).join);
}

TEST(FirstSeedProcess, CountsARefusalAsANackOnlyWhenItComesTwiceWithAPause) {
    SeedProcess process = first_seed({a, b});
    process.start(start);
    EXPECT_FALSE(process.on_refused(b, start + milliseconds{10}).join);
    EXPECT_FALSE(process.on_refused(b, start + milliseconds{90}).join) << "80 ms may be a slow start";
    EXPECT_EQ(process.tick(start + milliseconds{110}).init_join_to, std::vector{b})
        << "asked again for the second";
    EXPECT_EQ(process.on_refused(b, start + milliseconds{115}).join, a);
}

TEST(FirstSeedProcess, ForgetsARefusalOnceSomebodyAnswers) {
    SeedProcess process = first_seed({a, b});
    process.start(start);
    process.on_refused(b, start);
    process.on_connected(b);
    EXPECT_FALSE(process.on_refused(b, start + milliseconds{500}).join);
}

TEST(FirstSeedProcess, WaitsForSilentSeedsWhenRefusalsDoNotCount) {
    SeedProcess::Options options;
    options.refusals_apart.reset();
    SeedProcess process = first_seed({a, b}, options);
    process.start(start);
    EXPECT_FALSE(process.on_refused(b, start).join);
    EXPECT_FALSE(process.on_refused(b, start + seconds{1}).join);
}

TEST(OtherSeedProcess, NeverFoundsACluster) {
    SeedProcess process = other_seed({a, b, c});
    EXPECT_EQ(process.start(start).init_join_to, (std::vector{a, b}));
    EXPECT_FALSE(process.on_nack(a, start).join);
    EXPECT_FALSE(process.on_nack(b, start).join);
    EXPECT_FALSE(process.on_refused(b, start).join);
    EXPECT_FALSE(process.on_refused(b, start + seconds{1}).join);
    for (int second = 1; second <= 60; ++second) EXPECT_FALSE(process.tick(start + seconds{second}).join);
    EXPECT_EQ(process.attempts(), 13U);
}

TEST(OtherSeedProcess, AsksASeedThatIsNotReadyAgainSoon) {
    SeedProcess process = other_seed({a, b});
    process.start(start);
    process.on_nack(a, start + milliseconds{10});
    EXPECT_TRUE(process.tick(start + milliseconds{200}).init_join_to.empty());
    EXPECT_EQ(process.tick(start + milliseconds{260}).init_join_to, std::vector{a})
        << "only the one that said no";
    process.on_refused(b, start + milliseconds{300});
    EXPECT_EQ(process.tick(start + milliseconds{550}).init_join_to, std::vector{b});
    EXPECT_EQ(process.attempts(), 1U);
}

TEST(OtherSeedProcess, RepeatsAfterEachTimeoutForEver) {
    SeedProcess process = other_seed({a, b});
    process.start(start);
    EXPECT_TRUE(process.tick(start + milliseconds{4900}).init_join_to.empty());
    const SeedProcess::Step again = process.tick(start + milliseconds{5000});
    EXPECT_TRUE(again.retried);
    EXPECT_EQ(again.init_join_to, (std::vector{a, b}));
    EXPECT_EQ(process.on_ack(a, start + seconds{6}).join, a);
    EXPECT_FALSE(process.on_ack(b, start + seconds{6}).join) << "the first Ack wins";
}

// --- configuration

TEST(ConfigCompat, NeverSendsAValue) {
    const ConfigCompat config = ConfigCompat::cluster("secret-provider", "keep-majority");
    for (const ConfigDigest& d : config.required_digests()) {
        EXPECT_EQ(d.key.find("secret"), std::string::npos);
        EXPECT_NE(d.hash, Hash128{});
    }
}

TEST(ConfigCompat, EqualValuesOfTwoKeysHaveDifferentDigests) {
    EXPECT_NE(config_digest("x", "1"), config_digest("y", "1"));
    EXPECT_NE(config_digest("x", "1"), config_digest("x", "2"));
}

TEST(ConfigCompat, DigestsAreSortedByKey) {
    ConfigCompat config = ConfigCompat::cluster("p", "s", "w");
    config.require("a.first", KeyPresence::SenderHas);
    config.set("a.first", "1");
    const ConfigDigests digests = config.required_digests();
    EXPECT_TRUE(std::ranges::is_sorted(digests, {}, &ConfigDigest::key));
    EXPECT_EQ(digests.size(), 4U);
}

TEST(ConfigCompat, AKeyAbsentAtTheSenderIsNotCompared) {
    const ConfigCompat full = ConfigCompat::cluster("sbr", "keep-majority");
    EXPECT_EQ(full.check({}).check, ConfigCheck::Compatible);
}

TEST(ConfigCompat, AKeyTheSenderHasMustBeHereUnlessBothMustHaveIt) {
    ConfigCompat here = ConfigCompat::cluster("sbr");
    ConfigCompat there = ConfigCompat::cluster("sbr", "keep-majority");
    EXPECT_EQ(here.check(there.required_digests()).check, ConfigCheck::Compatible)
        << "a side has no strategy";
    there.require("app.shards", KeyPresence::SenderHas);
    there.set("app.shards", "100");
    here.require("app.shards", KeyPresence::SenderHas);
    const auto outcome = here.check(there.required_digests());
    EXPECT_EQ(outcome.check, ConfigCheck::Incompatible);
    EXPECT_EQ(outcome.conflicts, std::vector<std::string>{"app.shards"});
}

TEST(ConfigCompat, EverySettingThatDecidesWhoStaysHasAKeyOfItsOwn) {
    SbrSettings plain;
    const auto differing = [&](SbrSettings other, std::string strategy) {
        SbrSettings one = plain;
        one.strategy = other.strategy = std::move(strategy);
        const auto a = one.config_deciding("demo");
        const auto b = other.config_deciding("demo");
        std::vector<std::string> keys;
        for (const auto& [key, value] : a)
            if (const auto found = b.find(key); found != b.end() && found->second != value)
                keys.push_back(key);
        return keys;
    };
    const std::string prefix = "cluster.split-brain-resolver.";
    SbrSettings s;
    s.indirect = SbrSettings::Indirect::All;
    EXPECT_EQ(differing(s, "down-all"), std::vector{prefix + "indirectly-connected"});
    for (const std::string strategy : {"keep-majority", "static-quorum", "keep-oldest", "lease-majority"}) {
        s = {};
        s.role = "core";
        EXPECT_EQ(differing(s, strategy), std::vector{prefix + "role"}) << strategy;
    }
    s = {};
    s.quorum_size = 3;
    EXPECT_EQ(differing(s, "static-quorum"), std::vector{prefix + "static-quorum.quorum-size"});
    EXPECT_EQ(differing(s, "role-weighted-quorum"), std::vector{prefix + "static-quorum.quorum-size"});
    s = {};
    s.down_if_alone = false;
    EXPECT_EQ(differing(s, "keep-oldest"), std::vector{prefix + "keep-oldest.down-if-alone"});
    s = {};
    s.referee = Address::remote("akka.tcp", "demo", "a", 1);
    EXPECT_EQ(differing(s, "keep-referee"), std::vector{prefix + "keep-referee.referee"});
    s = {};
    s.down_all_if_less_than_nodes = 2;
    EXPECT_EQ(differing(s, "keep-referee"), std::vector{prefix + "keep-referee.down-all-if-less-than-nodes"});
    s = {};
    s.lease_name = "another";
    EXPECT_EQ(differing(s, "lease-majority"), std::vector{prefix + "lease-majority.lease-name"});
    s.lease_name = SbrSettings::default_lease_name("demo");
    EXPECT_TRUE(differing(s, "lease-majority").empty()) << "the default said aloud is the default";
    s = {};
    s.lease_implementation = "file";
    EXPECT_EQ(differing(s, "lease-majority"), std::vector{prefix + "lease-majority.lease-implementation"});
}

TEST(ConfigCompat, ADifferenceInTimesIsAWarningAndNoConflict) {
    SbrSettings fast;
    fast.stable_after = std::chrono::seconds{3};
    fast.dry_run = true;
    const auto compat = [](const SbrSettings& settings) {
        ConfigCompat config = ConfigCompat::cluster("sbr");
        for (const auto& [key, value] : settings.config_timing()) {
            config.set(key, value);
            config.require(key, KeyPresence::BothHave, KeyDifference::Warn);
        }
        return config;
    };
    const auto outcome = compat({}).check(compat(fast).required_digests());
    EXPECT_EQ(outcome.check, ConfigCheck::Compatible);
    EXPECT_TRUE(outcome.conflicts.empty());
    const std::string prefix = "cluster.split-brain-resolver.";
    EXPECT_EQ(outcome.warnings,
              (std::vector{prefix + "down-all-when-unstable", prefix + "dry-run", prefix + "stable-after"}));
}

TEST(ConfigCompat, SensitiveKeysAreNeitherSentNorCompared) {
    ConfigCompat here = ConfigCompat::cluster("sbr");
    ConfigCompat there = ConfigCompat::cluster("other");
    EXPECT_EQ(here.check(there.required_digests()).check, ConfigCheck::Incompatible);
    here.add_sensitive("cluster.downing");
    EXPECT_EQ(here.check(there.required_digests()).check, ConfigCheck::Compatible);
    EXPECT_TRUE(here.own_digests_for(there.required_digests()).empty());
}

TEST(ConfigCompat, WithoutCheckersIsUnchecked) {
    EXPECT_EQ(ConfigCompat().check({}).check, ConfigCheck::Unchecked);
}

TEST(ConfigCompat, AsksTheApplicationsCheckers) {
    ConfigCompat here;
    here.set("app.version-range", "1-3");
    here.add({{"app.version-range"}, [](const ConfigDigests& theirs, const ConfigDigests& own) {
                  return theirs == own ? std::vector<std::string>{}
                                       : std::vector<std::string>{"app.version-range"};
              }});
    EXPECT_EQ(here.check(here.required_digests()).check, ConfigCheck::Compatible);
    EXPECT_EQ(here.check({{"app.version-range", config_digest("app.version-range", "9")}}).conflicts,
              std::vector<std::string>{"app.version-range"});
}

} // namespace
} // namespace muster
