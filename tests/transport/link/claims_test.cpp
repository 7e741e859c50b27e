// SPDX-License-Identifier: Apache-2.0
#include "link/claims.hpp"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace muster::transport {
namespace {

using namespace std::chrono_literals;

Address address(int port) {
    return Address::remote("akka.tcp", "c", "host", static_cast<std::uint16_t>(port));
}
UniqueAddress node(int port, std::int64_t uid) { return {address(port), Uid{uid}}; }
constexpr Instant start{};
using Whose = Claims::Whose;

std::vector<Verdict> verdicts(const std::vector<Claims::Settled>& settled) {
    std::vector<Verdict> all;
    for (const auto& s : settled) all.push_back(s.verdict);
    return all;
}

TEST(Claim, IsAHelloOfAnotherIncarnationThanTheOneKnownAtThatAddress) {
    EXPECT_FALSE(is_claim(node(1, 1), std::nullopt)) << "nobody is known there";
    EXPECT_FALSE(is_claim(node(1, 1), node(1, 1)));
    EXPECT_TRUE(is_claim(node(1, 2), node(1, 1)));
}

TEST(Claim, IsAnsweredByWhoeverCallsItselfByTheAskedAddress) {
    wire::HelloReply reply;
    reply.cluster_name = "c";
    reply.from = node(1, 7);
    reply.answer = wire::HelloRefused{wire::RefusalReason::Stopping, {}};
    EXPECT_EQ(answer_of(address(1), "c", reply), node(1, 7)) << "a refusal says who refuses";
    EXPECT_EQ(answer_of(address(2), "c", reply), std::nullopt) << "the port is somebody else's by now";
    EXPECT_EQ(answer_of(address(1), "d", reply), std::nullopt);
}

TEST(Claim, IsRefusedInWordsThatEveryPeerUnderstands) {
    for (const auto& detail : {taken_detail(node(1, 2), node(1, 1)), unanswered_detail(node(1, 2))}) {
        EXPECT_NE(detail.find(node(1, 2).to_string()), std::string::npos);
        EXPECT_TRUE(is_about_address({wire::GoodbyeReason::Overloaded, detail}));
        EXPECT_FALSE(is_about_address({wire::GoodbyeReason::Link, detail}));
    }
    EXPECT_FALSE(is_about_address({wire::GoodbyeReason::Overloaded, "busy"}));
}

TEST(Claims, StandWhenExactlyTheirIncarnationAnswers) {
    Claims claims;
    const auto mine = claims.add(node(1, 2), Whose::Members);
    EXPECT_EQ(claims.next_question(start), address(1));
    const auto settled = claims.answered(address(1), node(1, 2), start);
    ASSERT_EQ(settled.size(), 1U);
    EXPECT_EQ(settled[0].id, mine);
    EXPECT_EQ(settled[0].verdict, Verdict::Owner);
    EXPECT_EQ(claims.waiting(), 0U);
}

TEST(Claims, FallWhenAnotherOneAnswersAndAreOpenWhenNobodyDoes) {
    Claims claims;
    claims.add(node(1, 2), Whose::Members);
    claims.add(node(2, 2), Whose::Members);
    claims.next_question(start);
    claims.next_question(start);
    EXPECT_EQ(verdicts(claims.answered(address(1), node(1, 1), start)), std::vector{Verdict::AddressTaken});
    EXPECT_EQ(verdicts(claims.answered(address(2), std::nullopt, start)), std::vector{Verdict::Unanswered});
}

TEST(Claims, OfOneAddressShareOneQuestion) {
    Claims claims;
    claims.add(node(1, 2), Whose::Members);
    claims.add(node(1, 3), Whose::Members);
    claims.add(node(1, 2), Whose::Members);
    EXPECT_EQ(claims.next_question(start), address(1));
    EXPECT_EQ(claims.next_question(start), std::nullopt) << "one fresh connection at a time";
    EXPECT_EQ(verdicts(claims.answered(address(1), node(1, 2), start)),
              (std::vector{Verdict::Owner, Verdict::AddressTaken, Verdict::Owner}));
}

TEST(Claims, AreNotRefusedByAQuestionThatIsOlder) {
    Claims claims;
    claims.add(node(1, 2), Whose::Members);
    claims.next_question(start);
    claims.add(
        node(1, 3),
        Whose::Members); // the process at the address may have been replaced since the question was sent
    EXPECT_EQ(claims.answered(address(1), node(1, 1), start).size(), 1U);
    EXPECT_EQ(claims.waiting(), 1U);
    EXPECT_EQ(claims.next_question(start + Claims::pause), address(1)) << "asked again";
    EXPECT_EQ(verdicts(claims.answered(address(1), node(1, 3), start)), std::vector{Verdict::Owner});
}

TEST(Claims, StandByAnOlderQuestionToo) {
    Claims claims;
    claims.add(node(1, 2), Whose::Members);
    claims.next_question(start);
    claims.add(node(1, 3), Whose::Members);
    EXPECT_EQ(verdicts(claims.answered(address(1), node(1, 3), start)),
              (std::vector{Verdict::AddressTaken, Verdict::Owner}));
}

TEST(Claims, ThatInsistDoNotMakeThisNodeHammerTheOwner) {
    Claims claims;
    claims.add(node(1, 2), Whose::Members);
    claims.next_question(start);
    claims.answered(address(1), node(1, 1), start);
    claims.add(node(1, 2), Whose::Members);
    EXPECT_EQ(claims.next_question(start + 1ms), std::nullopt);
    EXPECT_EQ(claims.next_time(), start + Claims::pause);
    EXPECT_EQ(claims.next_question(start + Claims::pause), address(1));
}

TEST(Claims, ThatStandLeaveNoPauseForTheNextRestart) {
    Claims claims;
    claims.add(node(1, 2), Whose::Members);
    claims.next_question(start);
    claims.answered(address(1), node(1, 2), start);
    claims.add(node(1, 3), Whose::Members);
    EXPECT_EQ(claims.next_question(start), address(1));
}

TEST(Claims, AreLimitedInNumberAndSoAreTheirQuestions) {
    Claims claims;
    for (std::size_t i = 0; i < Claims::waiting_max; ++i)
        ASSERT_TRUE(claims.add(node(static_cast<int>(i) + 1, 1), Whose::Members));
    EXPECT_FALSE(claims.add(node(1, 2), Whose::Members));
    std::size_t asked = 0;
    while (claims.next_question(start)) ++asked;
    EXPECT_EQ(asked, Claims::asked_max);
    claims.answered(address(1), std::nullopt, start);
    EXPECT_TRUE(claims.next_question(start)) << "one over, one more";
}

TEST(Claims, OfStrangersLeaveAQuarterOfTheQuestionsToMembers) {
    Claims claims;
    std::size_t strangers = 0;
    while (claims.add(node(static_cast<int>(strangers) + 1, 1), Whose::Strangers)) ++strangers;
    EXPECT_EQ(strangers, Claims::strangers_waiting_max);
    std::size_t asked = 0;
    while (claims.next_question(start)) ++asked;
    EXPECT_EQ(asked, Claims::strangers_asked_max);
    ASSERT_TRUE(claims.add(node(5000, 1), Whose::Members)) << "there is room for a member";
    EXPECT_EQ(claims.next_question(start), address(5000)) << "and a question, whoever waits";
    claims.answered(address(1), std::nullopt, start);
    EXPECT_TRUE(claims.next_question(start)) << "strangers get on by their own share";
    EXPECT_FALSE(claims.next_question(start));
}

TEST(Claims, OfMembersAreAskedFirst) {
    Claims claims;
    claims.add(node(1, 1), Whose::Strangers);
    claims.add(node(2, 1), Whose::Members);
    EXPECT_EQ(claims.next_question(start), address(2));
    EXPECT_EQ(claims.next_question(start), address(1));
}

TEST(Claims, ThatAreWithdrawnWaitNoMore) {
    Claims claims;
    const auto id = claims.add(node(1, 2), Whose::Members);
    claims.withdraw(*id);
    EXPECT_EQ(claims.next_question(start), std::nullopt);
}

} // namespace
} // namespace muster::transport
