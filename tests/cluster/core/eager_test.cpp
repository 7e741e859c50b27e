// SPDX-License-Identifier: Apache-2.0
// Eager gossip and evidence (protocol.md §6.6, §12.7): agreement within network round trips. No periodic tick
// runs in most of these tests, so nothing but the eager messages can have done it.
#include "../core_world.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <iostream>

namespace muster::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

ClusterSettings eager_settings() {
    ClusterSettings s;
    s.eager.eager_gossip = true;
    s.eager.death_evidence = true;
    return s;
}

/// `n` nodes that are all Up, without a single tick.
void form(CoreWorld& world, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) world.start(i);
    world.join(0, 0);
    for (std::size_t i = 1; i < n; ++i) world.join(i, 0);
    ASSERT_TRUE(
        world.run_until([&] { return world.living_members().size() == n && world.is_agreed(); }, seconds{1}))
        << world.describe();
}

class Sizes : public ::testing::TestWithParam<std::size_t> {};

TEST_P(Sizes, AJoinReachesAgreementWithoutATick) {
    CoreWorld world(GetParam(), eager_settings());
    world.ticks = false;
    const std::size_t n = GetParam();
    form(world, n);
    world.run_for(seconds{1});
    const Duration before = world.elapsed();
    world.start(n);
    world.join(n, n / 2);
    ASSERT_TRUE(world.run_until([&] { return world.living_members().size() == n + 1 && world.is_agreed(); },
                                seconds{1}))
        << world.describe();
    EXPECT_LT(world.elapsed() - before, milliseconds{30});
}

TEST_P(Sizes, ALeaveEndsInRemovalWithoutATick) {
    CoreWorld world(GetParam() + 100, eager_settings());
    world.ticks = false;
    world.exiting_tasks_min = world.exiting_tasks_max = milliseconds{1};
    const std::size_t n = GetParam();
    form(world, n);
    world.run_for(seconds{1});
    for (const std::size_t leaving : {n - 1, std::size_t{0}}) {
        const Duration before = world.elapsed();
        const std::size_t size = world.living_members().size();
        const Address address = world.node(leaving).address;
        world.input(leaving, [&](ClusterCore& c, const Now& t, Effects& out) { c.leave(address, t, out); });
        ASSERT_TRUE(world.run_until(
            [&] { return world.living_members().size() == size - 1 && world.is_agreed(); }, seconds{1}))
            << world.describe();
        EXPECT_LT(world.elapsed() - before, milliseconds{60});
        EXPECT_TRUE(world.node(leaving).core->is_stopped());
        if (size == 2) return;
    }
}

TEST_P(Sizes, ADownedNodeIsRemovedOnceItHasStopped) {
    CoreWorld world(GetParam() + 200, eager_settings());
    world.ticks = false;
    const std::size_t n = GetParam();
    form(world, n);
    world.run_for(seconds{1});
    const Duration before = world.elapsed();
    const Address address = world.node(n - 1).address;
    world.input(0, [&](ClusterCore& c, const Now& t, Effects& out) { c.down(address, t, out); });
    ASSERT_TRUE(world.run_until([&] { return world.living_members().size() == n - 1 && world.is_agreed(); },
                                seconds{1}))
        << world.describe();
    EXPECT_LT(world.elapsed() - before, milliseconds{150});
    EXPECT_EQ(world.node(n - 1).shutdown, ShutdownReason::Downed);
}

TEST_P(Sizes, ACrashIsAgreedOnWithinMillisecondsOfItsEvidence) {
    CoreWorld world(GetParam() + 300, eager_settings());
    world.ticks = false;
    const std::size_t n = GetParam();
    form(world, n);
    // Everybody talks to everybody once, as heartbeats would.
    for (std::size_t i = 0; i < n; ++i)
        world.input(i, [](ClusterCore& c, const Now& t, Effects& out) { c.tick_heartbeat(t, out); });
    world.run_for(milliseconds{100});
    const Duration before = world.elapsed();
    const UniqueAddress dead = world.node(n - 1).core->self();
    world.crash(n - 1);
    const auto everybody_knows = [&] {
        for (const std::size_t i : world.living())
            if (world.gossip(i).reachability().is_reachable(dead)) return false;
        return true;
    };
    ASSERT_TRUE(world.run_until(everybody_knows, seconds{1})) << world.describe();
    EXPECT_LT(world.elapsed() - before, milliseconds{60});
    std::size_t rows = 0;
    for (const Reachability::Record& r : world.gossip(0).reachability().records()) {
        EXPECT_EQ(r.status, ReachabilityStatus::Unreachable) << "evidence heals when it was wrong";
        ++rows;
    }
    EXPECT_EQ(rows, 1U) << "the first monitor's row makes the others needless";
    // And once it is downed it is gone as fast.
    const Duration downed = world.elapsed();
    world.input(0, [&](ClusterCore& c, const Now& t, Effects& out) { c.down(dead, t, out); });
    ASSERT_TRUE(world.run_until([&] { return world.is_agreed(); }, seconds{1})) << world.describe();
    EXPECT_LT(world.elapsed() - downed, milliseconds{30});
}

INSTANTIATE_TEST_SUITE_P(Nodes, Sizes, ::testing::Values(2U, 3U, 5U, 9U, 20U));

TEST(EagerGossip, AJoinStormIsUpAfterAFewVersions) {
    CoreWorld world(7, eager_settings());
    world.ticks = false;
    form(world, 40);
    EXPECT_LT(world.elapsed(), milliseconds{150}) << world.describe();
}

TEST(EagerGossip, ALostMessageIsRepairedWithoutATick) {
    // 10 % of what eager gossip sends is lost. Its repairs are bounded, so once in a while the periodic round
    // has to help; almost every change gets to everybody without it. (Join and Welcome have their own retry.)
    int known = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CoreWorld world(seed, eager_settings());
        world.ticks = false;
        form(world, 6);
        world.run_for(seconds{1});
        world.filter = [&](std::size_t, std::size_t, const ClusterMessage& m) {
            return std::holds_alternative<Join>(m) || std::holds_alternative<Welcome>(m) ||
                   !world.random.chance(0.1);
        };
        world.start(6);
        world.join(6, 3);
        const auto is_up_everywhere = [&] {
            for (std::size_t i = 0; i < 7; ++i)
                if (world.status_of(i, 6) != MemberStatus::Up) return false;
            return true;
        };
        known += world.run_until(is_up_everywhere, milliseconds{300}) ? 1 : 0;
    }
    EXPECT_GE(known, 18);
}

TEST(EagerGossip, SettledNodesExchangeOnlyStatuses) {
    CoreWorld world(11, eager_settings());
    form(world, 6);
    world.run_for(seconds{3});
    world.delivered.clear();
    world.run_for(seconds{10});
    EXPECT_GT(world.delivered["GossipStatus"], 0U);
    EXPECT_EQ(world.delivered["GossipEnvelope"], 0U);
    EXPECT_EQ(world.delivered["SeenAck"], 0U);
    EXPECT_EQ(world.delivered["Converged"], 0U);
}

TEST(EagerGossip, AHungLeaderDelaysNewsButDoesNotHideIt) {
    CoreWorld world(13, eager_settings());
    world.ticks = false;
    form(world, 8);
    world.run_for(seconds{1});
    const auto leader = world.node(0).core->state()->leader();
    ASSERT_TRUE(leader);
    std::size_t hung = 0;
    while (world.node(hung).core->self() != *leader) ++hung;
    world.pause(hung, seconds{30});
    const std::size_t leaving = hung == 0 ? 1 : 0;
    const Address address = world.node(leaving).address;
    const Duration before = world.elapsed();
    world.input(leaving, [&](ClusterCore& c, const Now& t, Effects& out) { c.leave(address, t, out); });
    const auto all_know = [&] {
        for (const std::size_t i : world.living())
            if (i != hung && world.status_of(i, leaving) != MemberStatus::Leaving) return false;
        return true;
    };
    ASSERT_TRUE(world.run_until(all_know, seconds{1})) << world.describe();
    EXPECT_LT(world.elapsed() - before, milliseconds{100});
}

TEST(EagerGossip, ConcurrentChangesMergeToOneVersion) {
    CoreWorld world(17, eager_settings());
    world.ticks = false;
    form(world, 7);
    world.run_for(seconds{1});
    for (std::size_t i = 0; i < 7; ++i) {
        // Each node downs another one at the same instant; three are left.
        if (i < 4) {
            const Address address = world.node(i).address;
            world.input(i + 3, [&](ClusterCore& c, const Now& t, Effects& out) { c.leave(address, t, out); });
        }
    }
    world.exiting_tasks_min = world.exiting_tasks_max = milliseconds{5};
    ASSERT_TRUE(
        world.run_until([&] { return world.living_members().size() == 3 && world.is_agreed(); }, seconds{1}))
        << world.describe();
}

TEST(EagerGossip, AnAckThatOvertakesItsStateIsRememberedForIt) {
    // The leader holds an older version when the ack of a newer one comes, then the newer one itself.
    const UniqueAddress a(Address::remote("akka.tcp", "world", "a", 1), Uid{1});
    const UniqueAddress b(Address::remote("akka.tcp", "world", "b", 1), Uid{2});
    const UniqueAddress c(Address::remote("akka.tcp", "world", "c", 1), Uid{3});
    const std::vector<Member> members{Member(a, MemberStatus::Up, {}, 1), Member(b, MemberStatus::Up, {}, 2),
                                      Member(c, MemberStatus::Up, {}, 3)};
    const std::vector<UniqueAddress> all{a, b, c};
    ClusterCore::Restored restored;
    restored.gossip = std::make_shared<const Gossip>(*Gossip::from_parts(members, all, {}, {}, {}));
    Random random(1);
    ClusterCore core =
        ClusterCore::with_state(a, eager_settings(), [&] { return random.next(); }, restored, {});
    const std::vector<Member> leaving{*members[1].copy_with_status(MemberStatus::Leaving)};
    const auto newer =
        std::make_shared<const Gossip>(restored.gossip->update(leaving).increment(b).only_seen(b));
    Effects out;
    core.on_message(SeenAck{c, a, newer->version_id()}, {}, {}, out);
    EXPECT_FALSE(core.state()->latest().find(b)->status() == MemberStatus::Leaving);
    core.on_message(GossipEnvelope{b, a, newer}, {}, {}, out);
    // All three have seen Leaving, so the leader has moved it on.
    EXPECT_EQ(core.state()->latest().find(b)->status(), MemberStatus::Exiting);
}

TEST(EagerGossip, AnAckMayEvenOvertakeTheStateThatMakesItsSenderAMember) {
    const UniqueAddress a(Address::remote("akka.tcp", "world", "a", 1), Uid{1});
    const UniqueAddress b(Address::remote("akka.tcp", "world", "b", 1), Uid{2});
    const UniqueAddress c(Address::remote("akka.tcp", "world", "c", 1), Uid{3});
    const std::vector<Member> members{Member(a, MemberStatus::Up, {}, 1), Member(b, MemberStatus::Up, {}, 2)};
    const std::vector<UniqueAddress> all{a, b};
    ClusterCore::Restored restored;
    restored.gossip = std::make_shared<const Gossip>(*Gossip::from_parts(members, all, {}, {}, {}));
    Random random(1);
    ClusterSettings settings = eager_settings();
    settings.min_nr_of_members = 9; // nobody moves up: the version stays what it is
    ClusterCore core = ClusterCore::with_state(a, settings, [&] { return random.next(); }, restored, {});
    const std::vector<Member> joining{Member(c, MemberStatus::Joining)};
    const auto newer =
        std::make_shared<const Gossip>(restored.gossip->update(joining).increment(b).only_seen(b));
    Effects out;
    core.on_message(SeenAck{c, a, newer->version_id()}, {}, {}, out);
    for (const Effect& e : out) {
        const auto* send = std::get_if<effect::Send>(&e);
        EXPECT_FALSE(send && send->to.address == c.address()) << "it is given time to become a member";
    }
    core.on_message(GossipEnvelope{b, a, newer}, {}, {}, out);
    EXPECT_TRUE(core.state()->latest().seen_by(c));
}

TEST(Evidence, ARestartAtTheSameAddressReplacesTheOldIncarnationWithoutATick) {
    CoreWorld world(19, eager_settings());
    world.ticks = false;
    form(world, 4);
    for (std::size_t i = 0; i < 4; ++i)
        world.input(i, [](ClusterCore& c, const Now& t, Effects& out) { c.tick_heartbeat(t, out); });
    world.run_for(milliseconds{100});
    world.crash(3);
    const UniqueAddress old = world.node(3).core->self();
    world.start(3);
    world.join(3, 0);
    // The first Join is deferred until the old one is gone; the joiner asks again after its retry time.
    ASSERT_TRUE(
        world.run_until([&] { return world.living_members().size() == 4 && world.is_agreed(); }, seconds{12}))
        << world.describe();
    EXPECT_TRUE(world.gossip(0).is_tombstoned(old));
}

TEST(Evidence, AGoodbyeThatCameBeforeTheNewsOfTheExitCountsOnceTheNewsIsThere) {
    const UniqueAddress a(Address::remote("akka.tcp", "world", "a", 1), Uid{1});
    const UniqueAddress b(Address::remote("akka.tcp", "world", "b", 1), Uid{2});
    const UniqueAddress c(Address::remote("akka.tcp", "world", "c", 1), Uid{3});
    const std::vector<Member> members{Member(a, MemberStatus::Up, {}, 1),
                                      Member(b, MemberStatus::Leaving, {}, 2),
                                      Member(c, MemberStatus::Up, {}, 3)};
    const std::vector<UniqueAddress> all{a, b, c};
    ClusterCore::Restored restored;
    restored.gossip = std::make_shared<const Gossip>(*Gossip::from_parts(members, all, {}, {}, {}));
    Random random(1);
    ClusterCore core =
        ClusterCore::with_state(c, eager_settings(), [&] { return random.next(); }, restored, {});
    Effects out;
    core.on_link(b, LinkEvent::Established, {}, out);
    core.on_link(b, LinkEvent::GoodbyeStopping, {}, out);
    const auto at = [](milliseconds t) { return Now{Instant{} + t, {}}; };
    core.on_timer({CoreTimer::Evidence, 0}, at(seconds{1}), out);
    EXPECT_TRUE(core.state()->latest().reachability().is_all_reachable()) << "who only leaves may come back";
    const std::vector<Member> exiting{*members[1].copy_with_status(MemberStatus::Exiting)};
    const auto newer =
        std::make_shared<const Gossip>(restored.gossip->update(exiting).increment(a).only_seen(a));
    core.on_message(GossipEnvelope{a, c, newer}, at(seconds{1}).monotonic, at(seconds{1}), out);
    core.on_timer({CoreTimer::Evidence, 0}, at(seconds{2}), out);
    EXPECT_EQ(core.state()->latest().reachability().status(c, b), ReachabilityStatus::Unreachable);
}

TEST(Evidence, OnlyAMonitorWritesARow) {
    // Without a connection that broke there is no evidence, whatever is refused.
    CoreWorld world(23, eager_settings());
    world.ticks = false;
    form(world, 3);
    const UniqueAddress stranger(Address::remote("akka.tcp", "world", "z", 1), Uid{9});
    for (int i = 0; i < 3; ++i) {
        world.input(0, [&](ClusterCore& c, const Now& t, Effects& out) {
            c.on_link(stranger, LinkEvent::ReconnectRefused, t, out);
        });
        world.run_for(milliseconds{50});
    }
    EXPECT_TRUE(world.gossip(0).reachability().is_all_reachable());
}

TEST(Evidence, AnOrderlyCloseOfALinkIsNone) {
    CoreWorld world(29, eager_settings());
    world.ticks = false;
    form(world, 3);
    const UniqueAddress peer = world.node(1).core->self();
    world.input(0, [&](ClusterCore& c, const Now& t, Effects& out) {
        c.on_link(peer, LinkEvent::Established, t, out);
        for (int i = 0; i < 8; ++i) c.on_link(peer, LinkEvent::GoodbyeLink, t, out);
    });
    for (int i = 0; i < 3; ++i) {
        world.run_for(milliseconds{50});
        world.input(0, [&](ClusterCore& c, const Now& t, Effects& out) {
            c.on_link(peer, LinkEvent::ReconnectRefused, t, out);
        });
    }
    world.run_for(milliseconds{200});
    EXPECT_TRUE(world.gossip(0).reachability().is_all_reachable());
}

TEST(Evidence, AHandshakeTakesTheAccusationBack) {
    CoreWorld world(31, eager_settings());
    form(world, 3);
    world.run_for(seconds{3});
    const UniqueAddress peer = world.node(2).core->self();
    world.input(0, [&](ClusterCore& c, const Now& t, Effects& out) {
        for (int i = 0; i < 8; ++i) c.on_link(peer, LinkEvent::EndedWithoutGoodbye, t, out);
        c.on_link(peer, LinkEvent::ReconnectRefused, t, out);
    });
    world.run_for(milliseconds{25});
    world.input(0, [&](ClusterCore& c, const Now& t, Effects& out) {
        c.on_link(peer, LinkEvent::ReconnectRefused, t, out);
    });
    world.run_for(milliseconds{50});
    EXPECT_FALSE(world.gossip(1).reachability().is_reachable(peer));
    world.input(0, [&](ClusterCore& c, const Now& t, Effects& out) {
        c.on_link(peer, LinkEvent::Established, t, out);
    });
    ASSERT_TRUE(
        world.run_until([&] { return world.gossip(1).reachability().is_all_reachable(); }, seconds{3}))
        << world.describe();
}

// --- rule by rule, one core at a time

UniqueAddress host(char name) {
    return {Address::remote("akka.tcp", "world", std::string(1, name), 1), Uid{name}};
}
std::vector<UniqueAddress> hosts(const std::string& names) {
    std::vector<UniqueAddress> all;
    for (const char name : names) all.push_back(host(name));
    return all;
}
/// All Up, a the leader.
Gossip all_up(const std::string& names, const std::string& seen) {
    std::vector<Member> members;
    for (const char name : names)
        members.emplace_back(host(name), MemberStatus::Up, std::vector<std::string>{}, name - 'a' + 1);
    return Gossip::from_parts(members, hosts(seen), {}, {}, {})->increment(host('a'));
}
Gossip with(const Gossip& gossip, char name, MemberStatus status, char by, const std::string& seen) {
    const Member changed = gossip.find(host(name))->copy_with_status(status).value();
    Gossip next = gossip.update(std::span(&changed, 1)).increment(host(by)).clear_seen();
    for (const char one : seen) next = next.seen(host(one));
    return next;
}
ClusterCore core_of(char self, const Gossip& gossip, ClusterSettings settings = eager_settings()) {
    return ClusterCore::with_state(host(self), std::move(settings),
                                   [random = std::make_shared<Random>(3)] { return random->next(); },
                                   {.gossip = std::make_shared<const Gossip>(gossip)}, {});
}
Now at(milliseconds t) { return {Instant{} + t, WallTime{t.count()}}; }
/// The hosts that were sent an M, in order.
template <class M>
std::string told(const Effects& effects) {
    std::string names;
    for (const Effect& e : effects)
        if (const auto* s = std::get_if<effect::Send>(&e);
            s != nullptr && std::holds_alternative<M>(s->message))
            names += *s->to.address.host;
    std::ranges::sort(names);
    return names;
}
Effects tell(ClusterCore& core, const ClusterMessage& message, milliseconds t = {}) {
    Effects out;
    core.on_message(message, at(t).monotonic, at(t), out);
    return out;
}
/// Who is told to ask again.
std::vector<UniqueAddress> deferred(const Effects& effects) {
    std::vector<UniqueAddress> all;
    for (const Effect& e : effects)
        if (const auto* send = std::get_if<effect::Send>(&e))
            if (const auto* m = std::get_if<JoinDeferred>(&send->message)) all.push_back(m->to);
    return all;
}
Effects fire(ClusterCore& core, TimerKey key, milliseconds t) {
    Effects out;
    core.on_timer(key, at(t), out);
    return out;
}
GossipEnvelope envelope(char from, char to, const Gossip& gossip) {
    return {host(from), host(to), std::make_shared<const Gossip>(gossip)};
}

TEST(EagerRules, WhoChangesTellsTheLeaderAndTwoMore) {
    ClusterCore core = core_of('j', all_up("abcdefghij", "abcdefghij"));
    Effects out;
    core.leave(host('j').address(), at({}), out);
    const std::string names = told<GossipEnvelope>(out);
    EXPECT_EQ(names.size(), 3U);
    EXPECT_TRUE(names.starts_with('a')) << names;
}

TEST(EagerRules, TheLeaderRelaysToAllWhoHaveNotSeenExceptWhomSomebodyCallsUnreachable) {
    const Gossip before = all_up("abcdefghij", "abcdefghij");
    ClusterCore core = core_of('a', before);
    const Gossip news = with(before, 'j', MemberStatus::Leaving, 'j', "j");
    EXPECT_EQ(told<GossipEnvelope>(tell(core, envelope('j', 'a', news))), "bcdefghi");
    ClusterCore other = core_of('a', before);
    const Gossip accused = news.with_reachability(Reachability().unreachable(host('c'), host('h')));
    EXPECT_EQ(told<GossipEnvelope>(tell(other, envelope('j', 'a', accused))), "bcdefgi");
}

TEST(EagerRules, WhatComesTooSoonIsSentTogetherALittleLater) {
    ClusterCore core = core_of('a', all_up("abcd", "abcd"));
    Effects out;
    core.leave(host('d').address(), at({}), out);
    EXPECT_EQ(told<GossipEnvelope>(out), "bcd");
    out.clear();
    core.leave(host('c').address(), at(milliseconds{1}), out);
    EXPECT_EQ(told<GossipEnvelope>(out), "");
    EXPECT_EQ(told<GossipEnvelope>(fire(core, {CoreTimer::EagerForward, 0}, milliseconds{5})), "bcd");
}

TEST(EagerRules, AnAckOfAVersionThatNeverCameIsAnsweredByAStatusAfterAWhile) {
    ClusterCore core = core_of('a', all_up("abc", "abc"));
    EXPECT_EQ(told<GossipStatus>(tell(core, SeenAck{host('b'), host('a'), Hash128{1, 2}})), "");
    EXPECT_EQ(told<GossipStatus>(fire(core, {CoreTimer::EagerRepair, 1}, milliseconds{10})), "b");
}

TEST(EagerRules, TalkBackIsAnAckOnceAndThenTheFullGossip) {
    const Gossip version = all_up("abc", "abc");
    ClusterCore core = core_of('c', version);
    Effects out;
    core.tick_reaper(at({}), out); // its first look at the version it was given
    const Gossip lacking = version.clear_seen().seen(host('a')).seen(host('b'));
    const Effects first = tell(core, envelope('b', 'c', lacking));
    EXPECT_EQ(told<SeenAck>(first), "a");
    EXPECT_EQ(told<GossipEnvelope>(first), "");
    EXPECT_EQ(told<GossipEnvelope>(tell(core, envelope('b', 'c', lacking), milliseconds{20})), "b");
}

TEST(EagerRules, WhoKnowsAVersionSettledSaysSoInsteadOfTalkingOn) {
    const Gossip version = all_up("abc", "abc");
    ClusterCore core = core_of('c', version);
    tell(core, Converged{host('a'), host('c'), version.version_id(), version.overview().seen});
    const Effects out = tell(core, envelope('b', 'c', version.clear_seen().seen(host('b'))));
    EXPECT_EQ(told<Converged>(out), "b");
    EXPECT_EQ(told<GossipEnvelope>(out), "");
}

TEST(EagerRules, AConvergedThatOvertookItsStateIsKeptForIt) {
    const Gossip before = all_up("abc", "abc");
    ClusterCore core = core_of('c', before);
    const Gossip news = with(before, 'b', MemberStatus::Leaving, 'b', "abc");
    tell(core, Converged{host('a'), host('c'), news.version_id(), news.overview().seen});
    tell(core, envelope('a', 'c', news.only_seen(host('a'))));
    EXPECT_EQ(core.state()->latest().seen_nodes(), hosts("abc"));
}

TEST(EagerRules, JoinsThatComeTogetherAreOneChange) {
    ClusterSettings settings = eager_settings();
    settings.min_nr_of_members = 9; // nobody moves up, which would be a change too
    ClusterCore core = core_of('a', all_up("a", "a"), settings);
    tell(core, Join{host('b'), {}, {}});
    for (const char name : std::string("cde")) tell(core, Join{host(name), {}, {}}, milliseconds{1});
    const auto before = core.state()->latest().version().get(host('a').key());
    fire(core, {CoreTimer::JoinBatch, 0}, milliseconds{10});
    EXPECT_EQ(core.state()->members().size(), 5U);
    EXPECT_EQ(core.state()->latest().version().get(host('a').key()), before + 1);
}

TEST(EagerRules, WhoComesWhileThousandsWaitIsToldToAskAgain) {
    ClusterCore core = core_of('a', all_up("a", "a"));
    tell(core, Join{host('b'), {}, {}});
    const auto joiner = [](std::int64_t i) {
        return UniqueAddress{Address::remote("akka.tcp", "world", "joiner", static_cast<std::uint16_t>(i)),
                             Uid{i}};
    };
    constexpr std::int64_t waiting_max = 4096;
    const auto join = [&](std::int64_t i) {
        return deferred(tell(core, Join{joiner(i), {}, {}}, milliseconds{1}));
    };
    for (std::int64_t i = 1; i <= waiting_max; ++i) ASSERT_TRUE(join(i).empty()) << i;
    EXPECT_EQ(join(waiting_max + 1), std::vector{joiner(waiting_max + 1)});
    EXPECT_TRUE(join(7).empty()) << "it waits already";
    fire(core, {CoreTimer::JoinBatch, 0}, milliseconds{10});
    EXPECT_EQ(core.state()->members().size(), 2U + waiting_max);
}

TEST(EagerRules, ADataCenterInBootstrapGetsTheAcksOfAll) {
    ClusterSettings settings = eager_settings();
    settings.multi_dc.self_data_center = "one";
    const std::vector<Member> members{Member(host('a'), MemberStatus::Up, {"dc-one"}, 1),
                                      Member(host('b'), MemberStatus::Up, {"dc-one"}, 2),
                                      Member(host('x'), MemberStatus::Joining, {"dc-two"})};
    const Gossip before = Gossip::from_parts(members, hosts("ab"), {}, {}, {})->increment(host('a'));
    ClusterCore core = core_of('b', before, settings);
    EXPECT_EQ(told<SeenAck>(tell(core, envelope('a', 'b', before.increment(host('a')).only_seen(host('a'))))),
              "ax");
}

/// c has seen d's connection break; two refusals 20 ms apart follow.
void accuse(ClusterCore& core, Effects& out) {
    core.on_link(host('d'), LinkEvent::Established, at({}), out);
    core.on_link(host('d'), LinkEvent::EndedWithoutGoodbye, at({}), out);
    core.on_link(host('d'), LinkEvent::ReconnectRefused, at({}), out);
    out.clear();
    core.on_link(host('d'), LinkEvent::ReconnectRefused, at(milliseconds{20}), out);
}
ReachabilityStatus row(const ClusterCore& core) {
    return core.state()->latest().reachability().status(host('c'), host('d'));
}

TEST(EvidenceRules, TwoRefusalsAtOnceAreOne) {
    ClusterCore core = core_of('c', all_up("abcd", "abcd"));
    Effects out;
    core.on_link(host('d'), LinkEvent::Established, at({}), out);
    core.on_link(host('d'), LinkEvent::EndedWithoutGoodbye, at({}), out);
    for (const int t : {0, 5, 19})
        core.on_link(host('d'), LinkEvent::ReconnectRefused, at(milliseconds{t}), out);
    fire(core, {CoreTimer::Evidence, 0}, seconds{1});
    EXPECT_EQ(row(core), ReachabilityStatus::Reachable);
}

TEST(EvidenceRules, ARefusalBetweenTheEndsOfTwoConnectionsCounts) {
    ClusterCore core = core_of('c', all_up("abcd", "abcd"));
    Effects out;
    core.on_link(host('d'), LinkEvent::Established, at({}), out);
    core.on_link(host('d'), LinkEvent::Accepted, at({}), out);
    core.on_link(host('d'), LinkEvent::EndedWithoutGoodbye, at({}), out);
    core.on_link(host('d'), LinkEvent::ReconnectRefused, at({}), out);
    core.on_link(host('d'), LinkEvent::ReconnectRefused, at(milliseconds{20}), out);
    fire(core, {CoreTimer::Evidence, 0}, milliseconds{60});
    EXPECT_EQ(row(core), ReachabilityStatus::Reachable) << "the other connection is open still";
    core.on_link(host('d'), LinkEvent::EndedWithoutGoodbye, at(milliseconds{60}), out);
    fire(core, {CoreTimer::Evidence, 0}, milliseconds{90});
    EXPECT_EQ(row(core), ReachabilityStatus::Unreachable);
}

TEST(EvidenceRules, TheThirdMonitorWaitsForTwoAndWritesOnlyIfTheyDidNot) {
    const Gossip before = all_up("abcd", "abcd");
    for (const bool others_write : {false, true}) {
        ClusterCore core = core_of('c', before);
        Effects out;
        accuse(core, out);
        fire(core, {CoreTimer::Evidence, 0}, milliseconds{49});
        EXPECT_EQ(row(core), ReachabilityStatus::Reachable) << "a and b come first, 15 ms apart";
        if (others_write)
            tell(core,
                 envelope('a', 'c',
                          before.with_reachability(Reachability().unreachable(host('a'), host('d')))
                              .increment(host('a'))),
                 milliseconds{49});
        fire(core, {CoreTimer::Evidence, 0}, milliseconds{50});
        EXPECT_EQ(row(core), others_write ? ReachabilityStatus::Reachable : ReachabilityStatus::Unreachable);
    }
}

TEST(EvidenceRules, TheReaperDoesNotUndoItUntilAHandshakeDoes) {
    ClusterCore core = core_of('c', all_up("abcd", "abcd"));
    Effects out;
    accuse(core, out);
    fire(core, {CoreTimer::Evidence, 0}, milliseconds{50});
    core.tick_reaper(at(milliseconds{60}), out);
    EXPECT_EQ(row(core), ReachabilityStatus::Unreachable);
    core.on_link(host('d'), LinkEvent::Established, at(milliseconds{70}), out);
    core.tick_reaper(at(milliseconds{80}), out);
    EXPECT_EQ(row(core), ReachabilityStatus::Reachable);
}

} // namespace
} // namespace muster::testing
