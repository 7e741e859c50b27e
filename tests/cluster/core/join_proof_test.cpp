// SPDX-License-Identifier: Apache-2.0
// A joiner becomes a member when its address has answered (protocol.md §5.6).
#include <algorithm>
#include <gtest/gtest.h>
#include <muster/cluster/core/core.hpp>
#include <string>

#include "cluster/core/join_proof.hpp"

namespace muster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

UniqueAddress node(const std::string& host, std::int64_t uid = 1) {
    return {Address::remote("akka.tcp", "world", host, 1), Uid{uid}};
}
Join join_of(const UniqueAddress& n) { return {n, {"dc-default"}, {}}; }
constexpr Instant start{};

TEST(UnprovenJoins, AreAnsweredByExactlyTheirIncarnation) {
    UnprovenJoins joins;
    ASSERT_TRUE(joins.hold(join_of(node("a")), start));
    EXPECT_FALSE(joins.answered(node("b")).proven) << "nobody waits there";
    const auto answer = joins.answered(node("a"));
    ASSERT_TRUE(answer.proven);
    EXPECT_EQ(answer.proven->node, node("a"));
    EXPECT_EQ(joins.size(), 0U);
}

TEST(UnprovenJoins, AreRefutedByAnotherOneAtTheirAddress) {
    UnprovenJoins joins;
    joins.hold(join_of(node("a", 1)), start);
    const auto answer = joins.answered(node("a", 2));
    EXPECT_FALSE(answer.proven);
    EXPECT_EQ(answer.refuted, node("a", 1));
    EXPECT_EQ(joins.size(), 0U);
}

TEST(UnprovenJoins, AreOnePerAddressTheLatest) {
    UnprovenJoins joins;
    joins.hold(join_of(node("a", 1)), start);
    joins.hold(join_of(node("a", 2)), start);
    EXPECT_EQ(joins.size(), 1U);
    EXPECT_TRUE(joins.answered(node("a", 2)).proven);
}

TEST(UnprovenJoins, AreLimitedInNumberAndInTime) {
    UnprovenJoins joins;
    for (std::size_t i = 0; i < UnprovenJoins::waiting_max; ++i)
        ASSERT_TRUE(joins.hold(join_of(node("h" + std::to_string(i))), start));
    EXPECT_FALSE(joins.hold(join_of(node("one-too-many")), start));
    EXPECT_TRUE(joins.hold(join_of(node("h0", 2)), start + seconds{1})) << "it has its place already";
    EXPECT_TRUE(joins.expire(start + UnprovenJoins::patience - milliseconds{1}).empty());
    EXPECT_EQ(joins.expire(start + UnprovenJoins::patience).size(), UnprovenJoins::waiting_max - 1);
    EXPECT_EQ(joins.expire(start + UnprovenJoins::patience + seconds{1}), std::vector{node("h0", 2)});
}

// --- the core

const UniqueAddress self = node("a");
Now at(Duration d = {}) { return {start + d, {}}; }

template <class E>
std::vector<E> of_type(const Effects& effects) {
    std::vector<E> found;
    for (const Effect& e : effects)
        if (const E* x = std::get_if<E>(&e)) found.push_back(*x);
    return found;
}

template <class M>
std::size_t sent(const Effects& effects, const UniqueAddress& to) {
    return static_cast<std::size_t>(
        std::ranges::count_if(of_type<effect::Send>(effects), [&](const effect::Send& s) {
            return std::holds_alternative<M>(s.message) && s.to == Destination{to};
        }));
}

bool counted(const Effects& effects, std::string_view id) {
    return std::ranges::any_of(of_type<effect::Count>(effects),
                               [&](const effect::Count& c) { return c.id == id; });
}

class ProvenJoin : public testing::Test {
protected:
    ProvenJoin() {
        core.expect_proofs();
        core.join(self.address(), at(), out);
        out.clear();
    }
    bool is_member(const UniqueAddress& n) const { return core.state()->latest().has_member(n); }
    void receive(const ClusterMessage& m, Duration d = {}) { core.on_message(m, start + d, at(d), out); }
    void link(const UniqueAddress& n, LinkEvent e, Duration d = {}) { core.on_link(n, e, at(d), out); }

    ClusterCore core{self, ClusterSettings{}, [] { return 0U; }};
    Effects out;
};

TEST_F(ProvenJoin, SelfJoinNeedsNone) { EXPECT_TRUE(is_member(self)); }

TEST_F(ProvenJoin, ABareJoinIsNoMember) {
    link(node("b"), LinkEvent::Accepted);
    receive(join_of(node("b")));
    EXPECT_FALSE(is_member(node("b")));
    const auto asked = of_type<effect::Prove>(out);
    ASSERT_EQ(asked.size(), 1U);
    EXPECT_EQ(asked[0].node, node("b"));
    EXPECT_EQ(sent<Welcome>(out, node("b")), 0U);
    EXPECT_TRUE(counted(out, "cluster.join.unproven"));
}

TEST_F(ProvenJoin, AnAnswerOfExactlyThatIncarnationAdmitsIt) {
    link(node("b"), LinkEvent::Accepted);
    receive(join_of(node("b")));
    link(node("b"), LinkEvent::Answered);
    EXPECT_TRUE(is_member(node("b")));
    EXPECT_EQ(sent<Welcome>(out, node("b")), 1U);
}

TEST_F(ProvenJoin, AConnectionThatThisNodeDialledBeforeIsProofEnough) {
    link(node("b"), LinkEvent::Accepted);
    link(node("b"), LinkEvent::Established);
    receive(join_of(node("b")));
    EXPECT_TRUE(is_member(node("b"))) << "a storm of joiners that asked first does not wait";
    EXPECT_TRUE(of_type<effect::Prove>(out).empty());
}

TEST_F(ProvenJoin, AnotherIncarnationThatAnswersRefutesIt) {
    link(node("b", 2), LinkEvent::Accepted);
    receive(join_of(node("b", 2)));
    link(node("b", 1), LinkEvent::Answered);
    link(node("b", 2), LinkEvent::Answered, milliseconds{1});
    EXPECT_FALSE(is_member(node("b", 1)));
    EXPECT_FALSE(is_member(node("b", 2))) << "its Join waits no more";
    EXPECT_TRUE(counted(out, "cluster.join.ignored.address_taken"));
}

TEST_F(ProvenJoin, AClaimDoesNotReplaceAMember) {
    link(node("b", 1), LinkEvent::Established);
    receive(join_of(node("b", 1)));
    ASSERT_TRUE(is_member(node("b", 1)));
    link(node("b", 2), LinkEvent::Accepted);
    receive(join_of(node("b", 2)));
    ASSERT_TRUE(is_member(node("b", 1)));
    EXPECT_NE(core.state()->latest().find(node("b", 1))->status(), MemberStatus::Down);
    link(node("b", 2), LinkEvent::Answered);
    const Member* former = core.state()->latest().find(node("b", 1));
    EXPECT_TRUE(former == nullptr || former->status() == MemberStatus::Down)
        << "now it is known to be another process";
    EXPECT_EQ(sent<JoinDeferred>(out, node("b", 2)), 1U);
}

TEST_F(ProvenJoin, AMemberThatRepeatsItsJoinIsWelcomedAgain) {
    link(node("b"), LinkEvent::Established);
    receive(join_of(node("b")));
    out.clear();
    receive(join_of(node("b")), seconds{1});
    EXPECT_EQ(sent<Welcome>(out, node("b")), 1U);
}

TEST_F(ProvenJoin, AJoinThatNobodyAnswersForIsForgottenAndSaidSo) {
    link(node("b"), LinkEvent::Accepted);
    receive(join_of(node("b")));
    core.tick_leader_actions(at(UnprovenJoins::patience), out);
    EXPECT_TRUE(counted(out, "cluster.join.ignored.unproven"));
    link(node("b"), LinkEvent::Answered, seconds{6});
    EXPECT_FALSE(is_member(node("b")));
    receive(join_of(node("b")), seconds{10});
    EXPECT_TRUE(is_member(node("b"))) << "it asked again, and its address has answered";
}

TEST_F(ProvenJoin, ManyStrangersFillTheRoomForThemselvesOnly) {
    for (std::size_t i = 0; i <= UnprovenJoins::waiting_max; ++i)
        receive(join_of(node("s" + std::to_string(i))));
    EXPECT_TRUE(counted(out, "cluster.join.ignored.too_many_unproven"));
    EXPECT_EQ(core.state()->latest().members().size(), 1U);
    link(node("b"), LinkEvent::Established);
    receive(join_of(node("b")));
    EXPECT_TRUE(is_member(node("b")));
}

TEST(UnprovenCore, WithoutLinksEveryJoinCountsAsProven) {
    ClusterCore core{self, ClusterSettings{}, [] { return 0U; }};
    Effects out;
    core.join(self.address(), at(), out);
    core.on_message(join_of(node("b")), start, at(), out);
    EXPECT_TRUE(core.state()->latest().has_member(node("b")));
}

} // namespace
} // namespace muster
