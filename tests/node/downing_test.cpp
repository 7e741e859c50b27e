// SPDX-License-Identifier: Apache-2.0
/// Who downs unreachable members when the application says so: strategies, providers and quorum observers of
/// its own, and what follows from a removal (protocol.md §15).
#include "../cluster/sample.hpp"
#include "node/downing.hpp"
#include "world.hpp"

#include <gmock/gmock.h>
#include <muster/node/in_memory_lease.hpp>

namespace muster::test {
namespace {

using std::chrono::milliseconds;

// --- a strategy of the application's own

/// Keeps the side of the member that carries the role.
class KeepTheRole final : public DowningStrategy {
public:
    explicit KeepTheRole(std::string role, std::string_view name = "keep-the-role")
        : role_(std::move(role)), name_(name) {}
    std::string_view name() const noexcept override { return name_; }
    std::string describe() const override { return std::string(name_) + "(role=" + role_ + ')'; }
    DowningVerdict decide(const SbrModel& model) const override {
        DowningVerdict verdict;
        verdict.rule = "the side with the role stays";
        const auto here = model.reachable_members();
        const bool stays = std::ranges::any_of(here, [&](const Member& m) { return m.has_role(role_); });
        verdict.decision = stays ? DowningDecision::DownUnreachable : DowningDecision::DownReachable;
        return verdict;
    }

private:
    std::string role_;
    std::string_view name_;
};

/// Whoever gets a lease stays.
class AskTheLease final : public DowningStrategy {
public:
    std::string_view name() const noexcept override { return "ask-the-lease"; }
    DowningVerdict decide(const SbrModel&) const override {
        DowningVerdict verdict;
        verdict.rule = "whoever gets the lease stays";
        verdict.decision = DowningDecision::AcquireLeaseAndDownUnreachable;
        return verdict;
    }
};

/// What the configuration is refused for; empty: it is not.
std::string refused(const std::function<void(DaemonConfig&)>& change) {
    DaemonConfig config;
    config.sbr.emplace();
    change(config);
    const auto ok = config.validate();
    return ok ? "" : ok.error().message();
}

TEST(OwnStrategy, DecidesWhichSideStaysAndIsRecordedByItsDescription) {
    World world;
    for (std::size_t i = 0; i < 5; ++i) world.add_host();
    for (std::size_t i = 0; i < 5; ++i) {
        auto config = world.config(i);
        config.daemon.downing_strategy = std::make_shared<KeepTheRole>("database");
        if (i == 4) config.daemon.cluster.roles = {"database"};
        world.start(i, std::move(config));
    }
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world.links->cut({world.hosts[3], world.hosts[4]}, {world.hosts[0], world.hosts[1], world.hosts[2]});
    ASSERT_TRUE(world.run_until([&] { return world[0].stopped && world[1].stopped && world[2].stopped; }));
    EXPECT_TRUE(world.run_until([&] {
        return world.agree({&world[3], &world[4]});
    })) << "two of five stay, which no majority would";
    std::size_t recorded = 0;
    for (const auto* node : {&world[3], &world[4]})
        for (const auto& decision : node->node->daemon().decisions())
            recorded += decision->strategy == "keep-the-role(role=database)" ? 1U : 0U;
    EXPECT_GE(recorded, 1U);
}

TEST(OwnStrategy, WhoComesWithAnotherNameOrDescriptionIsRefused) {
    const auto joins_with = [](std::shared_ptr<const DowningStrategy> strategy) {
        World world;
        world.add_host();
        world.add_host();
        auto first = world.config(0);
        first.daemon.downing_strategy = std::make_shared<KeepTheRole>("database");
        world.start(0, std::move(first));
        auto second = world.config(1);
        second.daemon.downing_strategy = std::move(strategy);
        auto& joiner = world.start(1, std::move(second));
        EXPECT_TRUE(world.run_until([&] { return joiner.stopped || world.agree(world.all()); }));
        EXPECT_TRUE(!joiner.stopped || joiner.stopped == ShutdownReason::IncompatibleConfiguration);
        return !joiner.stopped;
    };
    EXPECT_TRUE(joins_with(std::make_shared<KeepTheRole>("database")));
    EXPECT_FALSE(joins_with(std::make_shared<KeepTheRole>("cache"))) << "its settings decide who stays";
    EXPECT_FALSE(joins_with(std::make_shared<KeepTheRole>("database", "keep-a-role")));
    EXPECT_FALSE(joins_with(nullptr)) << "a built-in one";
}

TEST(OwnStrategy, GetsTheLeaseThatItAsksFor) {
    World world;
    world.add_host();
    world.add_host();
    const auto store = std::make_shared<InMemoryLeaseStore>([&] { return world.network.now(); });
    for (std::size_t i = 0; i < 2; ++i) {
        auto config = world.config(i);
        config.daemon.downing_strategy = std::make_shared<AskTheLease>();
        config.daemon.sbr->lease_implementation = "memory";
        config.daemon.lease = std::make_shared<InMemoryLease>(store, "it", "node" + std::to_string(i));
        world.start(i, std::move(config));
    }
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world[1].kill();
    EXPECT_TRUE(world.run_until([&] { return world.agree({&world[0]}); }));
    EXPECT_EQ(store->owner_of("it"), "node0");
}

TEST(OwnStrategy, ThatAsksALeaseWhereThereIsNoneCountsAsDenied) {
    World world;
    world.add_host();
    world.add_host();
    for (std::size_t i = 0; i < 2; ++i) {
        auto config = world.config(i);
        config.daemon.downing_strategy = std::make_shared<AskTheLease>();
        world.start(i, std::move(config));
    }
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world[1].kill();
    ASSERT_TRUE(world.run_until([&] { return world[0].stopped.has_value(); }));
    EXPECT_EQ(world[0].stopped, ShutdownReason::Downed);
}

TEST(OwnStrategy, ACombinationThatCannotWorkIsRefusedByName) {
    const auto own = std::make_shared<KeepTheRole>("database");
    const auto refusal = [&](const std::function<void(DaemonConfig&)>& change) {
        return refused([&](DaemonConfig& c) {
            c.downing_strategy = own;
            change(c);
        });
    };
    using testing::HasSubstr;
    EXPECT_EQ(refusal([](auto&) {}), "");
    EXPECT_THAT(refusal([](auto& c) { c.sbr.reset(); }), HasSubstr("set DaemonConfig::sbr, too"));
    EXPECT_THAT(refusal([](auto& c) { c.sbr->strategy = "keep-oldest"; }), HasSubstr("active-strategy"));
    EXPECT_THAT(refusal([](auto& c) { c.sbr->role = "r"; }), HasSubstr("split-brain-resolver.role"));
    EXPECT_THAT(refusal([](auto& c) { c.sbr->weights["r"] = 2; }), HasSubstr("weights"));
    EXPECT_THAT(refusal([](auto& c) { c.sbr->quorum_size = 3; }), HasSubstr("quorum-size"));
    EXPECT_THAT(refusal([](auto& c) { c.sbr->down_if_alone = false; }), HasSubstr("down-if-alone"));
    EXPECT_THAT(refusal([](auto& c) { c.sbr->referee = sample::address("a"); }), HasSubstr("referee"));
    EXPECT_THAT(refusal([](auto& c) { c.sbr->down_all_if_less_than_nodes = 2; }),
                HasSubstr("down-all-if-less-than-nodes"));
    EXPECT_THAT(refusal([](auto& c) { c.sbr->stable_after = -1ms; }), HasSubstr("stable-after"));
    EXPECT_THAT(refusal([](auto& c) { c.sbr->lease_implementation = "memory"; }),
                HasSubstr("give DaemonConfig::lease an implementation"));
    EXPECT_THAT(refusal([](auto& c) {
                    c.lease = std::make_shared<InMemoryLease>(
                        std::make_shared<InMemoryLeaseStore>([] { return Instant{}; }), "it", "me");
                }),
                HasSubstr("lease-implementation"));
    EXPECT_THAT(
        refusal([](auto& c) { c.downing_strategy = std::make_shared<KeepTheRole>("r", "keep-majority"); }),
        HasSubstr("a built-in strategy has this name"));
    EXPECT_THAT(refusal([](auto& c) { c.downing_strategy = std::make_shared<KeepTheRole>("r", ""); }),
                HasSubstr("downing_strategy a name"));
}

// --- a provider of the application's own

/// Downs who is unreachable, as long as nobody else could do the same: at least `members_min` can be reached.
class Caretaker : public DowningProvider {
public:
    explicit Caretaker(std::string_view name = "caretaker") : name_(name) {}
    std::string_view name() const noexcept override { return name_; }
    milliseconds down_removal_margin(milliseconds configured) const noexcept override {
        return configured > 0ms ? configured : margin;
    }
    milliseconds stable_after() const noexcept override { return stable; }
    DowningDecision decide(const MembershipState& state) const override {
        ++asked;
        const auto unreachable = state.dc_reach_no_outside().all_unreachable_or_terminated().size();
        return state.members().size() - unreachable >= members_min ? decision
                                                                   : DowningDecision::DownReachable;
    }
    milliseconds stable = 5s;
    milliseconds margin = 1s;
    std::size_t members_min = 2;
    DowningDecision decision = DowningDecision::DownUnreachable;
    mutable int asked = 0;

private:
    std::string_view name_;
};

class OwnProvider : public testing::Test {
protected:
    void start(std::size_t nodes) {
        for (std::size_t i = 0; i < nodes; ++i) world.add_host();
        for (std::size_t i = 0; i < nodes; ++i) world.start(i, config(i));
        ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    }
    RemoteAdapterConfig config(std::size_t host) {
        auto config = world.config(host);
        config.daemon.sbr.reset();
        config.daemon.downing_provider = provider;
        return config;
    }
    World world;
    std::shared_ptr<Caretaker> provider = std::make_shared<Caretaker>();
};

TEST_F(OwnProvider, IsTakenAtItsWordOnceNothingHasChangedForItsStableTime) {
    start(3);
    EXPECT_EQ(provider->asked, 0) << "everybody is reachable";
    const auto gone = world[2].unique_address();
    world[2].kill();
    ASSERT_TRUE(world.run_until([&] { return world[0].saw<UnreachableMember>(gone); }));
    const Instant unreachable = world.network.now();
    ASSERT_TRUE(world.run_until([&] { return world[0].saw<MemberDowned>(gone); }));
    const auto waited = world.network.now() - unreachable;
    EXPECT_GE(waited, provider->stable);
    EXPECT_LE(waited, provider->stable + 2 * SbrSettings::tick_interval);
    EXPECT_TRUE(world.run_until([&] { return world.agree({&world[0], &world[1]}); }));
    const auto decisions = world[0].daemon().decisions();
    ASSERT_EQ(decisions.size(), 1U);
    EXPECT_EQ(decisions[0]->strategy, "caretaker");
    EXPECT_EQ(decisions[0]->down, std::vector{gone});
}

TEST_F(OwnProvider, EndsTheSideThatItWantsEnded) {
    start(4);
    provider->members_min = 3;
    world.links->cut({world.hosts[0]}, {world.hosts[1], world.hosts[2], world.hosts[3]});
    ASSERT_TRUE(world.run_until([&] { return world[0].stopped.has_value(); }));
    EXPECT_EQ(world[0].stopped, ShutdownReason::Downed);
    EXPECT_TRUE(world.run_until([&] { return world.agree({&world[1], &world[2], &world[3]}); }));
}

TEST_F(OwnProvider, DownsNobodyWhileItSaysStay) {
    provider->decision = DowningDecision::Stay;
    start(3);
    const auto gone = world[2].unique_address();
    world[2].kill();
    world.network.run_for(60s);
    EXPECT_GT(provider->asked, 1);
    EXPECT_TRUE(world[0].saw<UnreachableMember>(gone));
    EXPECT_FALSE(world[0].saw<MemberDowned>(gone));
}

TEST_F(OwnProvider, HasNoLeaseSoADecisionThatAsksOneCountsAsDenied) {
    provider->decision = DowningDecision::AcquireLeaseAndDownUnreachable;
    start(3);
    world[2].kill();
    ASSERT_TRUE(world.run_until([&] { return world[0].stopped && world[1].stopped; }));
    EXPECT_EQ(world[0].stopped, ShutdownReason::Downed);
}

TEST_F(OwnProvider, WhoComesWithAnotherOneIsRefused) {
    start(1);
    world.add_host();
    auto other = config(1);
    other.daemon.downing_provider = std::make_shared<Caretaker>("undertaker");
    auto& stranger = world.start(1, std::move(other));
    ASSERT_TRUE(world.run_until([&] { return stranger.stopped.has_value(); }));
    EXPECT_EQ(stranger.stopped, ShutdownReason::IncompatibleConfiguration);
    world.add_host();
    auto& built_in = world.start(2, world.config(2));
    ASSERT_TRUE(world.run_until([&] { return built_in.stopped.has_value(); }));
    EXPECT_EQ(built_in.stopped, ShutdownReason::IncompatibleConfiguration);
}

TEST_F(OwnProvider, SaysHowLongARemovalTakesToSettle) {
    start(3);
    const auto gone = world[2].unique_address();
    world[2].kill();
    ASSERT_TRUE(world.run_until([&] { return world[0].saw<MemberRemoved>(gone); }));
    const auto& event = world[0].events[static_cast<std::size_t>(world[0].position<MemberRemoved>(gone))];
    EXPECT_EQ(std::get<MemberRemoved>(event).removal_margin, provider->margin);
}

TEST(DowningProvider, ACombinationThatCannotWorkIsRefusedByName) {
    const auto refusal = [](const std::function<void(DaemonConfig&, Caretaker&)>& change,
                            std::string_view name = "caretaker") {
        return refused([&](DaemonConfig& c) {
            const auto provider = std::make_shared<Caretaker>(name);
            c.sbr.reset();
            c.downing_provider = provider;
            change(c, *provider);
        });
    };
    using testing::HasSubstr;
    const auto nothing = [](auto&, auto&) {};
    EXPECT_EQ(refusal(nothing), "");
    EXPECT_THAT(refusal([](auto& c, auto&) { c.sbr.emplace(); }), HasSubstr("one of them decides"));
    EXPECT_THAT(refusal([](auto& c, auto&) { c.downing_strategy = std::make_shared<AskTheLease>(); }),
                HasSubstr("one of them decides"));
    EXPECT_THAT(refusal([](auto& c, auto&) {
                    c.lease = std::make_shared<InMemoryLease>(
                        std::make_shared<InMemoryLeaseStore>([] { return Instant{}; }), "it", "me");
                }),
                HasSubstr("leave DaemonConfig::lease out"));
    EXPECT_THAT(refusal(nothing, "split-brain-resolver"), HasSubstr("set DaemonConfig::sbr"));
    EXPECT_THAT(refusal(nothing, "none"), HasSubstr("leave DaemonConfig::downing_provider out"));
    EXPECT_THAT(refusal(nothing, "a\nb"), HasSubstr("control characters"));
    EXPECT_THAT(refusal([](auto&, auto& p) { p.stable = -1ms; }), HasSubstr("stable_after()"));
    EXPECT_THAT(refusal([](auto&, auto& p) { p.margin = 8761h; }), HasSubstr("down_removal_margin()"));
}

// The table's rows that ask a second time (§15.4) ask about a model that a provider cannot see.
TEST(ProviderStrategy, DownsTheIndirectlyConnectedAloneAndLeavesTheRestToTheNextDecision) {
    using sample::member;
    const auto provider = std::make_shared<Caretaker>();
    provider->members_min = 0;
    provider->decision = DowningDecision::DownIndirectlyConnected;
    // b and c accuse each other and have seen what everybody has; d is simply gone.
    const auto table = sample::unreachable({{"b", "c"}, {"c", "b"}, {"a", "d"}});
    const auto state = std::make_shared<MembershipState>(sample::state(
        "a", sample::gossip({member("a"), member("b"), member("c"), member("d")}, {"a", "b", "c"}, table)));
    ProviderStrategy strategy(provider);
    strategy.look_at(state);
    const SbrModel model = SbrModel::from_state(*state);
    const auto verdict = strategy.decide(model);
    EXPECT_EQ(verdict.decision, DowningDecision::DownIndirectlyConnected);
    const NodesToDown down = nodes_to_down(strategy, model, verdict);
    EXPECT_EQ(sample::hosts(down.nodes), (std::vector<std::string>{"b", "c"}));
    EXPECT_FALSE(down.conflict);
}

// --- quorum observers

struct Observer final : QuorumObserver {
    void on_quorum_lost() override { calls += 'L'; }
    void on_quorum_regained() override { calls += 'R'; }
    std::string calls;
};

TEST(QuorumObservers, AreToldOfALossBeforeAnythingIsDecidedAndOfItsEnd) {
    World world;
    std::vector<std::shared_ptr<Observer>> configured, added;
    for (std::size_t i = 0; i < 3; ++i) world.add_host();
    for (std::size_t i = 0; i < 3; ++i) {
        auto config = world.config(i);
        config.daemon.sbr->stable_after = 30s;
        configured.push_back(std::make_shared<Observer>());
        config.daemon.quorum_observers = {configured.back()};
        auto& node = world.start(i, std::move(config));
        added.push_back(std::make_shared<Observer>());
        ASSERT_TRUE(node.daemon().add_quorum_observer(added.back()));
        ASSERT_TRUE(node.daemon().add_quorum_observer(added.back())); // stays so once
    }
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world.links->cut({world.hosts[0]}, {world.hosts[1], world.hosts[2]});
    ASSERT_TRUE(world.run_until([&] { return configured[0]->calls == "L"; }, 20s));
    EXPECT_EQ(added[0]->calls, "L");
    EXPECT_TRUE(world[0].daemon().decisions().empty()) << "long before the side goes";
    world[0].daemon().remove_quorum_observer(added[0]);
    world.links->heal();
    world.network.retry_lost();
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    EXPECT_EQ(configured[0]->calls, "LR");
    EXPECT_EQ(added[0]->calls, "L") << "it was taken out";
    EXPECT_EQ(configured[1]->calls + added[2]->calls, "") << "the majority has lost nothing";
}

TEST(QuorumObservers, ComingLaterAreToldAtOnceThatTheQuorumIsLost) {
    World world;
    world.start_all(3);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    const auto other = world[1].unique_address();
    world.links->cut({world.hosts[0]}, {world.hosts[1], world.hosts[2]});
    ASSERT_TRUE(world.run_until(
        [&] { return world[0].saw<UnreachableMember>(other) && world[0].events.size() > 1; }));
    world.network.run_for(500ms);
    const auto late = std::make_shared<Observer>();
    ASSERT_TRUE(world[0].daemon().add_quorum_observer(late));
    world.network.run_for(1ms);
    EXPECT_EQ(late->calls, "L");
}

TEST(QuorumObservers, SeeAProvidersDecisionsToo) {
    World world;
    for (std::size_t i = 0; i < 3; ++i) world.add_host();
    const auto provider = std::make_shared<Caretaker>();
    provider->stable = 30s;
    const auto observer = std::make_shared<Observer>();
    for (std::size_t i = 0; i < 3; ++i) {
        auto config = world.config(i);
        config.daemon.sbr.reset();
        config.daemon.downing_provider = provider;
        if (i == 0) config.daemon.quorum_observers = {observer};
        world.start(i, std::move(config));
    }
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    world.links->cut({world.hosts[0]}, {world.hosts[1], world.hosts[2]});
    EXPECT_TRUE(world.run_until([&] { return observer->calls == "L"; }, 20s));
}

TEST(QuorumObservers, WithoutAnybodyWhoDecidesAreRefused) {
    using testing::HasSubstr;
    EXPECT_THAT(refused([](auto& c) {
                    c.sbr.reset();
                    c.quorum_observers = {std::make_shared<Observer>()};
                }),
                HasSubstr("quorum-observers"));
    EXPECT_THAT(refused([](auto& c) { c.quorum_observers = {nullptr}; }), HasSubstr("quorum-observers"));
    World world;
    world.add_host();
    auto config = world.config(0);
    config.daemon.sbr.reset();
    auto& node = world.start(0, std::move(config));
    const auto added = node.daemon().add_quorum_observer(std::make_shared<Observer>());
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error(), Errc::invalid_argument);
    EXPECT_FALSE(node.daemon().add_quorum_observer(nullptr));
}

// --- what a removal leaves behind (protocol.md §15.7)

class RemovalMargin : public testing::Test {
protected:
    void start(std::size_t nodes, const std::function<void(DaemonConfig&)>& change) {
        for (std::size_t i = 0; i < nodes; ++i) world.add_host();
        for (std::size_t i = 0; i < nodes; ++i) {
            auto config = world.config(i);
            change(config.daemon);
            world.start(i, std::move(config));
        }
        ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    }
    /// What the first node's event says of a removal; absent: it saw none.
    std::optional<milliseconds> margin_of(const UniqueAddress& gone) {
        if (!world.run_until([&] { return world[0].saw<MemberRemoved>(gone); })) return std::nullopt;
        const auto at = static_cast<std::size_t>(world[0].position<MemberRemoved>(gone));
        return std::get<MemberRemoved>(world[0].events[at]).removal_margin;
    }
    World world;
};

TEST_F(RemovalMargin, IsStableAfterUnderAResolverUnlessItIsSet) {
    start(3, [](DaemonConfig&) {});
    const auto gone = world[2].unique_address();
    world[2].kill();
    EXPECT_EQ(margin_of(gone), 3000ms);
    EXPECT_EQ(world[0].snapshot().removals_settled_at, world.network.now() + 3s);
}

TEST_F(RemovalMargin, IsTheConfiguredOneIfThereIsOne) {
    start(3, [](DaemonConfig& c) { c.cluster.down_removal_margin = 7s; });
    const auto gone = world[2].unique_address();
    world[2].kill();
    EXPECT_EQ(margin_of(gone), 7000ms);
}

TEST_F(RemovalMargin, IsNothingWithoutAResolverAsNobodyDownsByItself) {
    start(3, [](DaemonConfig& c) { c.sbr.reset(); });
    const auto gone = world[2].unique_address();
    world[0].daemon().down(world[2].address());
    EXPECT_EQ(margin_of(gone), 0ms);
    EXPECT_FALSE(world[0].snapshot().removals_settled_at);
}

TEST_F(RemovalMargin, IsNothingForWhoLeftInOrder) {
    start(3, [](DaemonConfig&) {});
    const auto gone = world[2].unique_address();
    world[2].daemon().leave();
    EXPECT_EQ(margin_of(gone), 0ms);
    EXPECT_FALSE(world[0].snapshot().removals_settled_at);
}

TEST_F(RemovalMargin, RemovalsSettleAfterItAndAFurtherOneMovesThat) {
    start(4, [](DaemonConfig& c) { c.cluster.down_removal_margin = 10s; });
    int at_once = 0;
    world[0].daemon().on_removals_settled([&] { ++at_once; });
    world.network.run_for(1ms);
    EXPECT_EQ(at_once, 1) << "nobody was removed";
    const auto first = world[2].unique_address(), second = world[3].unique_address();
    world[2].kill();
    ASSERT_TRUE(margin_of(first));
    std::optional<Instant> settled;
    world[0].daemon().on_removals_settled([&] { settled = world.network.now(); });
    world.network.run_for(1s);
    world[3].kill();
    ASSERT_TRUE(margin_of(second));
    const Instant last = world.network.now();
    EXPECT_FALSE(settled);
    EXPECT_FALSE(world[0].snapshot().are_removals_settled(last));
    ASSERT_TRUE(world.run_until([&] { return settled.has_value(); }));
    EXPECT_EQ(*settled, last + 10s);
    EXPECT_TRUE(world[0].snapshot().are_removals_settled(*settled));
}

TEST_F(RemovalMargin, WhoWaitsForItWhenTheNodeStopsIsLetGo) {
    start(3, [](DaemonConfig& c) { c.cluster.down_removal_margin = 1h; });
    const auto gone = world[2].unique_address();
    world[2].kill();
    ASSERT_TRUE(margin_of(gone));
    const auto held = std::make_shared<int>(0);
    world[0].daemon().on_removals_settled([held] { ++*held; });
    world.network.run_for(1ms);
    EXPECT_EQ(held.use_count(), 2);
    world[0].daemon().shutdown();
    ASSERT_TRUE(world.run_until([&] { return world[0].stopped.has_value(); }));
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_EQ(*held, 0);
}

} // namespace
} // namespace muster::test
