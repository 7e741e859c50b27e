// SPDX-License-Identifier: Apache-2.0
// How much one member and one gossip may bring (protocol.md §2 Limits, §5.6 Room).
#include "../core_support.hpp"

#include <gtest/gtest.h>
#include <muster/cluster/compat/multi_dc.hpp>
#include <muster/cluster/protocol/settings.hpp>
#include <muster/cluster/state/gossip_check.hpp>
#include <muster/cluster/state/gossip_limits.hpp>

#include "cluster/core/gossip_size.hpp"

namespace muster::testing {
namespace {

// --- at start

TEST(MemberLimits, OfTheOwnRolesVersionAndDataCenterAreErrorsAtStartThatNameTheLimit) {
    const auto refused = [](auto change, std::string_view setting, std::string_view limit) {
        ClusterSettings settings;
        change(settings);
        const auto valid = settings.validate();
        ASSERT_FALSE(valid) << setting;
        EXPECT_TRUE(valid.error().subject.starts_with("setting " + std::string(setting)))
            << valid.error().message();
        EXPECT_NE(valid.error().message().find(limit), std::string::npos) << valid.error().message();
    };
    refused([](auto& s) { s.roles = {std::string(role_bytes_max + 1, 'x')}; }, "roles", "255");
    refused([](auto& s) { s.roles.assign(member_roles_max, "x"); }, "roles", "127");
    refused(
        [](auto& s) {
            for (char c = 'a'; c <= 'z'; ++c)
                for (const char d : {'1', '2'}) s.roles.push_back(std::string(200, c) + d);
        },
        "roles", "7937");
    refused([](auto& s) { s.app_version = *AppVersion::parse(std::string(app_version_bytes_max + 1, 'v')); },
            "app-version", "255");
    refused([](auto& s) { s.multi_dc.self_data_center = std::string(data_center_bytes_max + 1, 'd'); },
            "multi-data-center.self-data-center", "252");
    refused([](auto& s) { s.seed_nodes = {Address::remote("akka.tcp", "world", std::string(256, 'h'), 1)}; },
            "seed-nodes", "255");
    refused([](auto& s) { s.gossip_bytes_max = 1023; }, "gossip-bytes-max", "1024");
}

TEST(MemberLimits, ThemselvesAreAllowed) {
    ClusterSettings settings;
    settings.roles = {std::string(role_bytes_max, 'x')};
    settings.app_version = *AppVersion::parse(std::string(app_version_bytes_max, 'v'));
    settings.multi_dc.self_data_center = std::string(data_center_bytes_max, 'd');
    EXPECT_TRUE(settings.validate());
    const std::vector<std::string> roles{std::string(role_bytes_max, 'x'),
                                         dc_role(settings.multi_dc.self_data_center)};
    EXPECT_TRUE(check_member_limits(roles, settings.app_version));
}

// --- in a gossip

TEST(GossipLimits, AMemberAboveThemMakesAGossipImpossible) {
    const Member large{b, MemberStatus::Up, {std::string(role_bytes_max + 1, 'x')}, 2};
    EXPECT_FALSE(check_possible(gossip_of({up(a, 1), large}, {a})));
    EXPECT_TRUE(check_possible(gossip_of({up(a, 1), up(b, 2)}, {a})));
}

TEST(GossipLimits, EachLimitOfAMemberIsAllowedAndOneMoreMakesAGossipImpossible) {
    const auto is_possible = [](std::vector<std::string> roles, std::string version = "1") {
        const Member large{b, MemberStatus::Up, std::move(roles), 2, *AppVersion::parse(std::move(version))};
        return check_possible(gossip_of({up(a, 1), large}, {a})).has_value();
    };
    const auto roles = [](std::size_t count, std::size_t bytes) {
        std::vector<std::string> all;
        for (std::size_t i = 0; i < count; ++i) {
            const std::string role = i == 0 ? "dc-" : std::to_string(i); // or a member gets one more
            all.push_back(role + std::string(bytes - role.size(), 'x'));
        }
        return all;
    };
    EXPECT_TRUE(is_possible(roles(1, role_bytes_max)));
    EXPECT_FALSE(is_possible(roles(1, role_bytes_max + 1)));
    EXPECT_TRUE(is_possible(roles(member_roles_max, 5)));
    EXPECT_FALSE(is_possible(roles(member_roles_max + 1, 5)));
    constexpr std::size_t each = 128;
    static_assert(member_roles_bytes_max / each < member_roles_max && member_roles_bytes_max % each == 0);
    EXPECT_TRUE(is_possible(roles(member_roles_bytes_max / each, each)));
    EXPECT_FALSE(is_possible(roles(member_roles_bytes_max / each + 1, each)));
    EXPECT_TRUE(is_possible({}, std::string(app_version_bytes_max, 'v')));
    EXPECT_FALSE(is_possible({}, std::string(app_version_bytes_max + 1, 'v')));
}

TEST(GossipLimits, MoreMembersThanAGossipMayBringMakeItImpossible) {
    std::vector<Member> members;
    for (std::size_t i = 0; i <= gossip_members_max; ++i)
        members.push_back(up(node("m", static_cast<std::int64_t>(i)), static_cast<std::int32_t>(i + 1)));
    const auto many = Gossip::from_parts(members, {}, {}, {}, {});
    members.pop_back();
    const auto most = Gossip::from_parts(members, {}, {}, {}, {});
    ASSERT_TRUE(many && most);
    EXPECT_FALSE(check_possible(*many));
    EXPECT_TRUE(check_possible(*most));
}

TEST(GossipLimits, MoreTombstonesThanAGossipMayBringMakeItImpossible) {
    std::vector<Tombstone> tombstones;
    for (std::size_t i = 0; i <= gossip_tombstones_max; ++i)
        tombstones.push_back({node("t", static_cast<std::int64_t>(i)), {}});
    const auto many = Gossip::from_parts({up(a, 1)}, {}, {}, {}, tombstones);
    tombstones.pop_back();
    const auto most = Gossip::from_parts({up(a, 1)}, {}, {}, {}, tombstones);
    ASSERT_TRUE(many && most);
    EXPECT_FALSE(check_possible(*many));
    EXPECT_TRUE(check_possible(*most));
}

// --- at Join

ClusterSettings small_gossip(std::size_t bytes) {
    ClusterSettings settings = ClusterSettings::classic();
    settings.gossip_bytes_max = bytes;
    return settings;
}

TEST(JoinLimits, ThreeJoinsOfSixMegabytesAdmitNobodyAndTheirSendersHearWhy) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1)}, {a}));
    for (const UniqueAddress& joiner : {b, c, d}) {
        const Effects out = tell(core, Join{joiner, {std::string(6'000'000, 'x'), "dc-default"}, {}});
        EXPECT_EQ(status_in(core, joiner), MemberStatus::Removed);
        EXPECT_EQ(counted(out, "cluster.join.ignored.limits"), 1U);
        const auto refused = sent<JoinRefused>(out);
        ASSERT_EQ(refused.size(), 1U);
        EXPECT_NE(refused[0].reason.find("at most 255"), std::string::npos) << refused[0].reason;
        EXPECT_LT(refused[0].reason.size(), 200U) << "the reason does not repeat what is too large";
    }
}

TEST(JoinLimits, AJoinerWithAnUnprovenAddressGetsNoAnswer) {
    // Anybody can write this Join; its owner would stop.
    ClusterCore core = core_with(a, gossip_of({up(a, 1)}, {a}));
    core.expect_proofs();
    const Effects out = tell(core, Join{b, {std::string(1000, 'x')}, {}});
    EXPECT_EQ(counted(out, "cluster.join.ignored.limits"), 1U);
    EXPECT_TRUE(sent<JoinRefused>(out).empty());
}

TEST(JoinRoom, AJoinThatWouldOutgrowTheGossipIsPutOffAndSaysSo) {
    ClusterCore core = core_with(a, gossip_of({up(a, 1)}, {a}), small_gossip(2000));
    std::size_t admitted = 0;
    Effects last;
    for (int i = 0; i < 60; ++i) {
        const UniqueAddress joiner = node("n" + std::to_string(i));
        last = tell(core, Join{joiner, {"dc-default"}, {}});
        admitted += status_in(core, joiner) == MemberStatus::Joining ? 1 : 0;
    }
    EXPECT_GT(admitted, 5U);
    EXPECT_LT(admitted, 50U);
    EXPECT_EQ(counted(last, "cluster.join.no_room"), 1U);
    EXPECT_TRUE(logged(last, "cluster.join.no_room"));
    ASSERT_EQ(sent<JoinDeferred>(last).size(), 1U);
    EXPECT_NE(sent<JoinDeferred>(last)[0].reason.find("gossip-bytes-max"), std::string::npos);
    // Whoever is a member already is answered all the same.
    EXPECT_EQ(sent<Welcome>(tell(core, Join{node("n0"), {"dc-default"}, {}})).size(), 1U);
}

TEST(JoinRoom, HonestNodesAtTheLimitStillConvergeWithoutThoseWhoFindNoRoom) {
    ClusterSettings settings;
    settings.gossip_bytes_max = 1500;
    CoreWorld world(3, settings);
    for (std::size_t i = 0; i < 24; ++i) world.start(i);
    world.join(0, 0);
    world.run_for(seconds{1});
    for (std::size_t i = 1; i < 24; ++i) world.join(i, 0);
    world.run_for(seconds{20});
    const std::vector<std::size_t> members = world.living_members();
    ASSERT_GT(members.size(), 3U);
    ASSERT_LT(members.size(), 24U);
    const Hash128 version = world.gossip(0).version_id();
    for (const std::size_t i : members) {
        EXPECT_EQ(world.gossip(i).version_id(), version) << i;
        EXPECT_EQ(world.gossip(i).overview().seen.count(), members.size()) << i;
        EXPECT_EQ(world.status_of(0, i), MemberStatus::Up) << i;
    }
}

TEST(JoinRoom, AboveThreeQuartersOfTheMembersOrIncarnationsOfAGossipNobodyIsAdmitted) {
    // What several nodes admit at once must still be a gossip that all of them take.
    std::vector<Member> members{up(a, 1)};
    for (std::size_t i = 1; i < admitted_members_max; ++i)
        members.push_back(up(node("m", static_cast<std::int64_t>(i)), static_cast<std::int32_t>(i + 1)));
    std::vector<Tombstone> graves;
    for (std::size_t i = 0; i < admitted_incarnations_max; ++i)
        graves.push_back({node("t", static_cast<std::int64_t>(i)), {}});
    const auto first = []<class T>(const std::vector<T>& all, std::size_t count) {
        return std::vector<T>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
    };
    const auto is_admitted = [&](std::size_t member_count, std::size_t tombstone_count) {
        const auto gossip = Gossip::from_parts(first(members, member_count), std::vector{a}, {}, {},
                                               first(graves, tombstone_count));
        MUSTER_ENSURE(gossip.has_value(), "a test's gossip is well formed");
        ClusterCore core = core_with(a, gossip->increment(a), small_gossip(100'000'000));
        const Effects out = tell(core, Join{b, {"dc-default"}, {}});
        const bool admitted = status_in(core, b) == MemberStatus::Joining;
        EXPECT_EQ(counted(out, "cluster.join.no_room"), admitted ? 0U : 1U);
        EXPECT_EQ(sent<JoinDeferred>(out).size(), admitted ? 0U : 1U);
        return admitted;
    };
    EXPECT_TRUE(is_admitted(admitted_members_max - 1, 0));
    EXPECT_FALSE(is_admitted(admitted_members_max, 0));
    EXPECT_TRUE(is_admitted(2, admitted_incarnations_max - 3));
    EXPECT_FALSE(is_admitted(2, admitted_incarnations_max - 2));
}

TEST(JoinRoom, AStormOfJoinsIsMeasuredOncePerBatch) {
    ClusterSettings settings;
    ClusterCore core(a, settings, random_source());
    Effects out;
    core.join(a.address(), at(), out);
    for (int i = 0; i < 1000; ++i)
        tell(core, Join{node("n" + std::to_string(i)), {"dc-default"}, {}}, milliseconds{1});
    out.clear();
    core.on_timer({CoreTimer::JoinBatch, 0}, at(milliseconds{20}), out);
    EXPECT_EQ(core.state()->latest().members().size(), 1001U);
}

TEST(GossipSize, CountsWhatMembersShareOnce) {
    const std::vector<std::string> roles{std::string(200, 'x'), "dc-default"};
    const Member first{a, MemberStatus::Up, roles, 1};
    const Gossip one = gossip_of({first}, {a});
    const Gossip two = gossip_of({first, first.with_same_identity(b, MemberStatus::Up, 2)}, {a});
    GossipSize size;
    const auto of_one = size.of(std::make_shared<const Gossip>(one));
    const auto of_two = size.of(std::make_shared<const Gossip>(two));
    EXPECT_GT(of_two, of_one);
    EXPECT_LT(of_two - of_one, 100U);
}

} // namespace
} // namespace muster::testing
