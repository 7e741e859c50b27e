// SPDX-License-Identifier: Apache-2.0
// How a node gets in, apart from the core (protocol.md §5.1 to §5.5); the seeds alone: join_process_test.cpp.
#include "cluster/core/joining.hpp"

#include "subject_support.hpp"
#include <gtest/gtest.h>

namespace {

using namespace muster;
using namespace muster::testing;

struct JoiningTest : ::testing::Test {
    void TearDown() override { joining.check(); }

    CoreState core{a, ClusterSettings{}, random_source()};
    ConfigCompat config;
    Joining joining{core, config};
    Effects out;
};

TEST_F(JoiningTest, ToItselfFoundsACluster) {
    EXPECT_TRUE(joining.join(a.address(), at(), out));
    EXPECT_TRUE(core.is_initialized());
}

TEST_F(JoiningTest, WhoSentAJoinTakesAnotherIncarnationBeforeItFounds) {
    EXPECT_FALSE(joining.join(b.address(), at(), out));
    EXPECT_EQ(targets<Join>(out), std::vector{b.address()});
    EXPECT_FALSE(joining.join(a.address(), at(), out));
    EXPECT_EQ(core.phase(), CorePhase::AwaitingIncarnation);
    EXPECT_EQ(of_type<effect::NewIncarnation>(out).size(), 1U);
    core.begin_incarnation(node("a", 2));
    EXPECT_TRUE(joining.on_new_incarnation(out));
}

TEST_F(JoiningTest, TheFirstSeedThatAnswersIsAsked) {
    EXPECT_FALSE(joining.join_seed_nodes({b.address(), c.address()}, at(), out));
    EXPECT_EQ(targets<InitJoin>(out), (std::vector{b.address(), c.address()}));
    EXPECT_FALSE(joining.on_ack({c.address(), ConfigCheck::Unchecked, {}}, at(), out));
    EXPECT_EQ(targets<Join>(out), std::vector{c.address()});
    EXPECT_EQ(core.phase(), CorePhase::TryingToJoin);
}

TEST_F(JoiningTest, TheFirstOfSeveralSeedsFoundsWhenTheOthersSayNo) {
    EXPECT_FALSE(joining.join_seed_nodes({a.address(), b.address()}, at(), out));
    EXPECT_TRUE(joining.on_nack({b.address()}, at(), out));
}

TEST_F(JoiningTest, AWelcomeIsExpectedOnlyFromWhomTheJoinWasSentTo) {
    const auto gossip = std::make_shared<const Gossip>(all_up({a, b, c}));
    EXPECT_FALSE(joining.is_expected({b, a, gossip}));
    joining.join(b.address(), at(), out);
    EXPECT_TRUE(joining.is_expected({b, a, gossip}));
    EXPECT_FALSE(joining.is_expected({c, a, gossip}));
    EXPECT_FALSE(joining.is_expected({b, node("a", 2), gossip}));
    EXPECT_FALSE(joining.is_expected({b, a, std::make_shared<const Gossip>(all_up({b, c}))}));
    joining.welcomed();
    EXPECT_FALSE(joining.is_expected({b, a, gossip}));
}

TEST_F(JoiningTest, WaitsForTheApplicationsVersion) {
    joining.expect_app_version();
    EXPECT_FALSE(joining.join(b.address(), at(), out));
    EXPECT_TRUE(targets<Join>(out).empty());
    EXPECT_FALSE(joining.app_version(AppVersion{}, at(), out));
    EXPECT_EQ(targets<Join>(out), std::vector{b.address()});
}

TEST_F(JoiningTest, IsAskedAgainWhereNobodyWelcomes) {
    joining.join(b.address(), at(), out);
    out.clear();
    joining.tick(at(hours{1}), out);
    EXPECT_EQ(targets<Join>(out), std::vector{b.address()});
    EXPECT_EQ(counted(out, "cluster.join.retried"), 1U);
}

TEST_F(JoiningTest, ARefusalFromTheTargetEndsIt) {
    joining.join(b.address(), at(), out);
    joining.on_refused({c, a, "not mine to say"}, out);
    EXPECT_FALSE(shutdown_of(out).has_value());
    joining.on_refused({b, a, "removed"}, out);
    EXPECT_EQ(shutdown_of(out), ShutdownReason::JoinUnsuccessful);
    out.clear();
    joining.tick(at(hours{1}), out);
    EXPECT_TRUE(out.empty());
}

} // namespace
