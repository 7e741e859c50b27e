// SPDX-License-Identifier: Apache-2.0
// How a member lets others in, apart from the core (protocol.md §5.4, §5.6); proofs alone:
// join_proof_test.cpp.
#include "cluster/core/admission.hpp"

#include "subject_support.hpp"
#include <gtest/gtest.h>

namespace {

using namespace muster;
using namespace muster::testing;
using Verdict = Admission::Verdict;

struct AdmissionTest : ::testing::Test {
    Verdict judge(const UniqueAddress& joiner) {
        return admission.judge({joiner, {"dc-default"}, {}}, true, at(), out);
    }
    void TearDown() override { admission.check(); }

    CoreState core = core_of(a, all_up({a, b}));
    PeerBooks books;
    GossipSender sender{core, books};
    PeerLinks links{core};
    ConfigCompat config;
    Admission admission{core, links, sender, config};
    Effects out;
};

TEST_F(AdmissionTest, AStrangerMayComeInAMemberIsWelcomedAgain) {
    EXPECT_EQ(judge(c), Verdict::Admit);
    EXPECT_EQ(judge(b), Verdict::Answered);
    EXPECT_EQ(targets<Welcome>(out), std::vector{b.address()});
}

TEST_F(AdmissionTest, ARemovedIncarnationIsRefused) {
    core.install(core.gossip().remove(std::vector{b}, WallTime{1}));
    EXPECT_EQ(judge(b), Verdict::Answered);
    EXPECT_EQ(targets<JoinRefused>(out), std::vector{b.address()});
}

TEST_F(AdmissionTest, AnotherIncarnationReplacesTheOldOneByTerminatingAndDowningIt) {
    EXPECT_EQ(judge(node("b", 2)), Verdict::Replaces);
    const auto change = admission.replacement(node("b", 2), out);
    ASSERT_TRUE(change.has_value());
    EXPECT_EQ(change->find(b)->status(), MemberStatus::Down);
    EXPECT_EQ(change->reachability().status(b), ReachabilityStatus::Terminated);
    core.local_change(*change);
    EXPECT_FALSE(admission.replacement(node("b", 2), out).has_value());
}

TEST_F(AdmissionTest, AClaimChangesNothingUntilTheAddressHasAnswered) {
    admission.expect_proofs();
    EXPECT_EQ(judge(node("b", 2)), Verdict::Answered); // held
    EXPECT_EQ(of_type<effect::Prove>(out).size(), 1U);
    links.on_event(node("b", 2), LinkEvent::Answered);
    const auto proven = admission.on_answered(node("b", 2), out);
    ASSERT_TRUE(proven.has_value());
    EXPECT_EQ(judge(proven->node), Verdict::Replaces);
}

TEST_F(AdmissionTest, AnotherAnswerVoidsAClaim) {
    admission.expect_proofs();
    judge(node("c", 2));
    EXPECT_FALSE(admission.on_answered(c, out).has_value());
    EXPECT_EQ(counted(out, "cluster.join.ignored.address_taken"), 1U);
    EXPECT_FALSE(admission.on_answered(node("c", 2), out).has_value());
}

TEST_F(AdmissionTest, WhileTheOwnVersionIsUnknownOrTheClusterEndsNobodyIsAdmitted) {
    EXPECT_EQ(admission.judge({c, {"dc-default"}, {}}, false, at(), out), Verdict::Answered);
    core.set_preparing_for_shutdown();
    EXPECT_EQ(judge(c), Verdict::Answered);
    EXPECT_EQ(counted(out, "cluster.join.ignored.preparing"), 1U);
}

TEST_F(AdmissionTest, TheFirstJoinIsDueAtOnceThoseThatFollowTogether) {
    EXPECT_TRUE(admission.is_due({c, {}, {}}, at(), out));
    EXPECT_FALSE(admission.is_due({d, {}, {}}, at(milliseconds{1}), out));
    EXPECT_FALSE(admission.is_due({d, {}, {}}, at(milliseconds{2}), out));
    EXPECT_EQ(of_type<effect::SetTimer>(out).size(), 1U);
    admission.check();
    EXPECT_EQ(admission.take_batch(at(seconds{1})).size(), 1U);
    EXPECT_TRUE(admission.take_batch(at(seconds{1})).empty());
}

TEST_F(AdmissionTest, WhoDoesNotFitIsToldToAskAgain) {
    ClusterSettings small;
    small.gossip_bytes_max = 1;
    CoreState full = core_of(a, all_up({a, b}), small);
    Admission admission_of_full(full, links, sender, config);
    EXPECT_TRUE(admission_of_full.those_with_room({{c, {}, {}}}, out).empty());
    EXPECT_EQ(targets<JoinDeferred>(out), std::vector{c.address()});
}

TEST_F(AdmissionTest, AStrangersGossipIsAnsweredOnceASecond) {
    admission.answer_not_member(c, at(), out);
    admission.answer_not_member(c, at(milliseconds{999}), out);
    EXPECT_EQ(targets<NotMember>(out).size(), 1U);
    admission.answer_not_member(c, at(seconds{1}), out);
    EXPECT_EQ(targets<NotMember>(out).size(), 2U);
}

} // namespace
