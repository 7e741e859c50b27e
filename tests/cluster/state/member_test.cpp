// SPDX-License-Identifier: Apache-2.0
#include "../sample.hpp"

#include <gtest/gtest.h>

namespace muster {
namespace {

using sample::in_dc;
using sample::member;
using sample::node;

constexpr std::array all_statuses{MemberStatus::Joining,
                                  MemberStatus::WeaklyUp,
                                  MemberStatus::Up,
                                  MemberStatus::Leaving,
                                  MemberStatus::Exiting,
                                  MemberStatus::Down,
                                  MemberStatus::Removed,
                                  MemberStatus::PreparingForShutdown,
                                  MemberStatus::ReadyForShutdown};

AppVersion version(std::string_view text) { return AppVersion::parse(text).value(); }

TEST(AppVersion, ComparesNumbersNotText) {
    EXPECT_LT(version("1.2.3"), version("1.2.10"));
    EXPECT_GT(version("2.0"), version("1.9.9"));
}

TEST(AppVersion, TakesMissingPartsAsZero) {
    EXPECT_EQ(version("1.2"), version("1.2.0"));
    EXPECT_EQ(version("1"), version("1.0.0"));
    EXPECT_EQ(AppVersion{}, version("0.0.0"));
}

TEST(AppVersion, PutsAReleaseAboveItsPreReleases) {
    EXPECT_GT(version("1.2.3"), version("1.2.3-RC1"));
    EXPECT_LT(version("1.2.3-M1"), version("1.2.3-RC1"));
    EXPECT_GT(version("1.2"), version("1.2-SNAPSHOT"));
}

TEST(AppVersion, ComparesCommitDistancesAsNumbers) {
    EXPECT_LT(version("1.0.0+3-73475dce26"), version("1.0.0+10-ed316bd024"));
    EXPECT_GT(version("1.0.0+3-73475dce26"), version("1.0.0"));
}

TEST(AppVersion, ComparesASingleWordAsText) {
    EXPECT_LT(version("alpha"), version("beta"));
    EXPECT_LT(version("1-RC1"), version("1")) << "a single part takes no qualifier, so 1-RC1 is a word";
}

TEST(AppVersion, RefusesWhatIsNoVersion) {
    for (const char* text : {"", "1.2.3.4", "1.x", "1.", ".1", "a.b.c", "1.2.99999999999999999999"}) {
        const auto parsed = AppVersion::parse(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error(), Errc::invalid_argument);
    }
}

TEST(MemberStatus, NamesReadBack) {
    for (const auto status : all_statuses) EXPECT_EQ(parse_member_status(to_string(status)), status);
    EXPECT_EQ(parse_member_status("Sleeping"), std::nullopt);
}

TEST(MemberStatus, AllowsExactlyTheTransitionsOfTheTable) {
    using enum MemberStatus;
    const std::map<MemberStatus, std::vector<MemberStatus>> table{
        {Joining, {WeaklyUp, Up, Leaving, Down, Removed}},
        {WeaklyUp, {Up, Leaving, Down, Removed}},
        {Up, {Leaving, Down, Removed, PreparingForShutdown}},
        {Leaving, {Exiting, Down, Removed}},
        {Exiting, {Down, Removed}},
        {Down, {Removed}},
        {Removed, {}},
        {PreparingForShutdown, {Leaving, Down, Removed, ReadyForShutdown}},
        {ReadyForShutdown, {Leaving, Down, Removed}},
    };
    for (const auto from : all_statuses)
        EXPECT_EQ(allowed_transitions(from), table.at(from)) << to_string(from);
}

TEST(Member, RefusesAnIllegalTransitionNamingNodeAndStatuses) {
    const auto refused = member("a", MemberStatus::Down).copy_with_status(MemberStatus::Up);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), Errc::illegal_transition);
    for (const char* part : {"a:2551", "Down", "Up"})
        EXPECT_NE(refused.error().subject.find(part), std::string::npos) << refused.error().message();
}

TEST(Member, KeepsEverythingElseWhenItsStatusChanges) {
    const Member before{node("a"), MemberStatus::Joining, {"web", "dc-x"}, 7, version("1.2")};
    const Member after = before.copy_with_status(MemberStatus::Up).value();
    EXPECT_EQ(after.status(), MemberStatus::Up);
    EXPECT_EQ(after.up_number(), 7);
    EXPECT_TRUE(std::ranges::equal(after.roles(), before.roles()));
    EXPECT_EQ(after.app_version(), before.app_version());
    EXPECT_EQ(after, before) << "equality is by node";
    EXPECT_FALSE(after.same_content(before));
}

TEST(Member, HasExactlyOneDataCenterRole) {
    const Member plain{node("a"), MemberStatus::Up, {"web", "db", "web"}};
    EXPECT_EQ(std::vector<std::string>(plain.roles().begin(), plain.roles().end()),
              (std::vector<std::string>{"db", "dc-default", "web"}));
    EXPECT_EQ(plain.data_center(), "default");
    EXPECT_EQ(in_dc("a", "west").data_center(), "west");
    EXPECT_TRUE(plain.has_role("db"));
    EXPECT_FALSE(plain.has_role("d"));
}

TEST(Member, ContentHashTellsEveryFieldApart) {
    const Member base{node("a"), MemberStatus::Joining, {"r"}, 1, version("1.0")};
    const std::vector<Member> others{
        {node("a", 2), MemberStatus::Joining, {"r"}, 1, version("1.0")},
        {node("a"), MemberStatus::Up, {"r"}, 1, version("1.0")},
        {node("a"), MemberStatus::Joining, {"s"}, 1, version("1.0")},
        {node("a"), MemberStatus::Joining, {"r"}, 2, version("1.0")},
        {node("a"), MemberStatus::Joining, {"r"}, 1, version("1.1")},
    };
    for (const auto& other : others) EXPECT_NE(other.content_hash(), base.content_hash());
    const Member same{node("a"), MemberStatus::Joining, {"r"}, 1, version("1.0")};
    EXPECT_EQ(same.content_hash(), base.content_hash());
    EXPECT_TRUE(same.same_content(base));
}

TEST(MemberOrder, IsByHostThenPortThenSignedUid) {
    const auto at = [](std::string host, std::uint16_t port, std::int64_t uid) {
        return Member{{Address::remote("akka.tcp", "test", std::move(host), port), Uid{uid}},
                      MemberStatus::Up};
    };
    EXPECT_LT(at("host10", 1, 0), at("host9", 1, 0));
    EXPECT_LT(at("h", 9000, 0), at("h", 10000, 0));
    EXPECT_LT(at("h", 1, -3), at("h", 1, 0));
}

TEST(Member, SharesTheIdentityOfAnotherOnlyWhereRolesAndVersionReadTheSame) {
    const auto make = [](const char* host, std::vector<std::string> roles, std::string_view app_version) {
        return Member{node(host), MemberStatus::Joining, std::move(roles), Member::never_up,
                      version(app_version)};
    };
    const Member like = make("a", {"web", "dc-x"}, "1.2");
    const Member same = make("b", {"dc-x", "web"}, "1.2");
    ASSERT_NE(same.roles().data(), like.roles().data());
    const Member shared = same.sharing_identity_of(like.copy_with_up_number(4));
    EXPECT_EQ(shared.roles().data(), like.roles().data());
    EXPECT_TRUE(shared.same_content(same)) << "status and number stay its own";

    for (const Member& other : {make("b", {"web"}, "1.2"), make("b", {"web", "dc-x"}, "1.2.0")}) {
        const Member kept = other.sharing_identity_of(like);
        EXPECT_EQ(kept.roles().data(), other.roles().data());
        EXPECT_EQ(kept.app_version().text(), other.app_version().text());
    }
}

TEST(AgeOrder, PutsLowerUpNumbersFirstAndNeverUpLast) {
    std::vector<Member> members{member("a"), member("b", MemberStatus::Up, 3),
                                member("c", MemberStatus::Up, 1), member("d", MemberStatus::Up, 3)};
    sort_by_age(members);
    EXPECT_EQ(sample::hosts(members), (sample::Names{"c", "b", "d", "a"}));
    EXPECT_EQ(*oldest(members), member("c"));
    EXPECT_TRUE(member("c", MemberStatus::Up, 1).is_older_than(member("a", MemberStatus::Up, 2)));
    EXPECT_EQ(oldest({}), nullptr);
}

TEST(AgeOrder, IsNotDefinedAcrossDataCenters) {
    const auto order = Member::compare_age(in_dc("a", "dc1"), in_dc("b", "dc2"));
    ASSERT_FALSE(order);
    EXPECT_EQ(order.error(), Errc::invalid_argument);
    EXPECT_DEATH(Member::age_ordering(in_dc("a", "dc1"), in_dc("b", "dc2")), "data centers");
}

TEST(Youngest, IsTheHighestNumberNotANeverUpMember) {
    const std::vector<Member> members{member("a", MemberStatus::Joining), member("b", MemberStatus::Up, 3),
                                      member("c", MemberStatus::Joining)};
    EXPECT_EQ(*youngest(members), member("b"));
    EXPECT_EQ(youngest({}), nullptr);
}

TEST(LeaderStatusOrder, PutsWeaklyUpBeforeJoiningBeforeExitingBeforeDown) {
    using enum MemberStatus;
    const std::array order{Up, WeaklyUp, Joining, Exiting, Down};
    for (std::size_t i = 0; i + 1 < order.size(); ++i)
        EXPECT_TRUE(leader_status_ordering(member("z", order[i]), member("a", order[i + 1])) < 0);
    EXPECT_TRUE(leader_status_ordering(member("a", Leaving), member("b", Up)) < 0)
        << "same rank: member order";
}

TEST(HighestPriority, FollowsTheMergeOrderInBothDirections) {
    using enum MemberStatus;
    const std::array order{Joining, WeaklyUp, Up,   PreparingForShutdown,
                           Leaving, Exiting,  Down, ReadyForShutdown};
    for (std::size_t low = 0; low < order.size(); ++low) {
        for (std::size_t high = low; high < order.size(); ++high) {
            EXPECT_EQ(highest_priority(member("a", order[low]), member("a", order[high])).status(),
                      order[high]);
            EXPECT_EQ(highest_priority(member("a", order[high]), member("a", order[low])).status(),
                      order[high]);
        }
    }
}

TEST(HighestPriority, KeepsTheLowerUpNumberWhateverTheStatuses) {
    const auto merged = highest_priority(member("a", MemberStatus::Up, 2),
                                         member("a", MemberStatus::Leaving, Member::never_up));
    EXPECT_EQ(merged.status(), MemberStatus::Leaving);
    EXPECT_EQ(merged.up_number(), 2);
}

} // namespace
} // namespace muster
