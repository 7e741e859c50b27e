// SPDX-License-Identifier: Apache-2.0
/// The reference's names for running a node, each as its documentation reads. tests/cluster has those of the
/// protocol, tests/transport those of the transports; tests/checks/reference_names.py lists them all.
#include "world.hpp"

#include <algorithm>
#include <muster/cluster/compat/membership.hpp>
#include <muster/transport/inprocess.hpp>

namespace muster::test {
namespace {

/// A process with daemons over one registry.
class SpawnedDaemons : public testing::Test {
protected:
    static UniqueAddress node(int number) {
        return {Address::remote("akka", "sys", "node" + std::to_string(number), 1), Uid{number}};
    }
    std::shared_ptr<ClusterTransport> transport(int number) {
        return InProcessClusterTransport::create(registry, *runtime, node(number)).value();
    }
    ClusterDaemonHandle spawn(int number) {
        return spawn_daemon(*runtime, transport(number), DaemonConfig{}).value();
    }
    /// Two that are one cluster.
    void form_a_cluster() {
        first.emplace(spawn(1));
        second.emplace(spawn(2));
        first->join(node(1).address());
        second->join(node(1).address());
        ASSERT_TRUE(run_until([&] { return is_up(*first, 2) && is_up(*second, 2); }));
    }
    static net::RuntimeOptions quiet() {
        net::RuntimeOptions options;
        options.log_sink = std::make_shared<MemoryLogSink>();
        return options;
    }
    static bool is_up(const ClusterDaemonHandle& daemon, std::size_t members) {
        const DaemonSnapshot snapshot = daemon.snapshot();
        return snapshot.converged && snapshot.members().size() == members &&
               snapshot.self_status() == MemberStatus::Up;
    }
    bool run_until(const std::function<bool()>& done) { return network.run_until(done, network.now() + 60s); }

    sim::Network network;
    const sim::HostId host = network.add_host("one");
    const std::unique_ptr<sim::Runtime> runtime = network.make_runtime(host, quiet());
    const std::shared_ptr<InProcessRegistry> registry = InProcessRegistry::create();
    std::optional<ClusterDaemonHandle> first, second;
};

TEST_F(SpawnedDaemons, ADaemonSnapshotIsOneMomentOfADaemon) {
    first.emplace(spawn(1));
    DaemonSnapshot snapshot = first->snapshot();
    EXPECT_FALSE(snapshot.joined);
    EXPECT_TRUE(snapshot.members().empty());
    EXPECT_EQ(snapshot.self(), node(1));
    EXPECT_EQ(snapshot.self_status(), MemberStatus::Removed) << "nobody knows it yet";
    first->join(node(1).address());
    ASSERT_TRUE(run_until([&] { return is_up(*first, 1); }));
    EXPECT_TRUE(snapshot.members().empty()) << "what was taken stays as it was";
    snapshot = first->snapshot();
    EXPECT_TRUE(snapshot.joined);
    EXPECT_TRUE(snapshot.converged);
    EXPECT_EQ(snapshot.leader, node(1));
    EXPECT_FALSE(snapshot.stopped);
    EXPECT_EQ(snapshot.shutdown_reason, std::nullopt);
}

TEST_F(SpawnedDaemons, TheHandleKnowsItsAddressAndPublishesEvents) {
    first.emplace(spawn(1));
    EXPECT_EQ(first->address(), node(1).address());
    EXPECT_EQ(first->unique_address(), node(1));
    std::vector<std::string> names;
    const SubscriptionHandle handle = first->events().subscribe(
        EventCategory::Member, [&](const ClusterEvent& event) { names.emplace_back(name_of(event)); });
    first->join(node(1).address());
    ASSERT_TRUE(run_until([&] { return is_up(*first, 1); }));
    EXPECT_EQ(names, (std::vector<std::string>{"MemberUp"}))
        << "it leads itself and is Up at once (protocol.md 5.6)";
    second.emplace(spawn(2));
    second->join(node(1).address());
    ASSERT_TRUE(run_until([&] { return is_up(*first, 2); }));
    EXPECT_EQ(names, (std::vector<std::string>{"MemberUp", "MemberJoined", "MemberUp"}));
}

TEST_F(SpawnedDaemons, JoinLeaveAndDownByTheHandle) {
    form_a_cluster();
    second->leave();
    ASSERT_TRUE(run_until([&] { return is_up(*first, 1) && second->snapshot().stopped; }));
    EXPECT_EQ(second->snapshot().shutdown_reason, ShutdownReason::Leaving);
    second.emplace(spawn(3));
    second->join(node(1).address());
    ASSERT_TRUE(run_until([&] { return is_up(*first, 2) && is_up(*second, 2); }));
    first->down(node(3).address());
    ASSERT_TRUE(run_until([&] { return is_up(*first, 1) && second->snapshot().stopped; }));
    EXPECT_EQ(second->snapshot().shutdown_reason, ShutdownReason::Downed);
}

TEST_F(SpawnedDaemons, EveryDaemonCmdDoesWhatTheHandleFunctionOfItsNameDoes) {
    first.emplace(spawn(1));
    second.emplace(spawn(2));
    first->command(DaemonCmd::JoinSeedNodes{{node(1).address()}});
    second->command(DaemonCmd::Join{node(1).address()});
    ASSERT_TRUE(run_until([&] { return is_up(*first, 2) && is_up(*second, 2); }));
    first->command(DaemonCmd::Tick{});
    first->command(DaemonCmd::ApplyGossip{GossipStatus{node(2), node(1), {}, {}, {}}});
    network.run_for(1s);
    EXPECT_TRUE(is_up(*first, 2)) << "an older status changes nothing";
    first->command(DaemonCmd::Leave{node(2).address()});
    ASSERT_TRUE(run_until([&] { return is_up(*first, 1) && second->snapshot().stopped; }));
    second.emplace(spawn(3));
    second->command(DaemonCmd::Join{node(1).address()});
    ASSERT_TRUE(run_until([&] { return is_up(*first, 2) && is_up(*second, 2); }));
    first->command(DaemonCmd::Down{node(3).address()});
    ASSERT_TRUE(run_until([&] { return is_up(*first, 1) && second->snapshot().stopped; }));
    first->command(DaemonCmd::PrepareForShutdown{});
    ASSERT_TRUE(run_until([&] { return first->snapshot().self_status() == MemberStatus::ReadyForShutdown; }));
    first->command(DaemonCmd::Shutdown{});
    ASSERT_TRUE(run_until([&] { return first->snapshot().stopped; }));
}

TEST_F(SpawnedDaemons, GossipThatAPeerSentIsAppliedAlsoThroughTheInbox) {
    form_a_cluster();
    // What node 2 would gossip after it has decided to leave.
    const auto its_leave = [&](const ClusterDaemonHandle& of) {
        MembershipState state = *of.snapshot().state;
        state.self = node(2);
        EXPECT_EQ(leave(state, node(2).address()).size(), 1U);
        return GossipEnvelope{node(2), node(1), state.gossip};
    };
    const auto status_of_second = [&] { return first->snapshot().state->latest().find(node(2))->status(); };
    const std::function<void(GossipPdu)> inbox = first->gossip_inbox();
    inbox(its_leave(*first));
    EXPECT_EQ(status_of_second(), MemberStatus::Up) << "nothing happens inside the call";
    ASSERT_TRUE(run_until([&] {
        const Member* m = first->snapshot().state->latest().find(node(2));
        return m == nullptr || m->status() != MemberStatus::Up;
    }));
    first.reset();
    network.run_for(5s);
    inbox(GossipStatus{node(2), node(1), {}, {}, {}}); // the daemon is gone: harmless
    network.run_for(1s);
}

TEST_F(SpawnedDaemons, ApplyGossipIsTheSame) {
    form_a_cluster();
    MembershipState state = *first->snapshot().state;
    state.self = node(2);
    ASSERT_EQ(leave(state, node(2).address()).size(), 1U);
    first->apply_gossip(GossipEnvelope{node(2), node(1), state.gossip});
    EXPECT_TRUE(run_until([&] { return first->snapshot().members().size() == 1; })) << "node 2 leaves";
}

TEST_F(SpawnedDaemons, WithSbrTheUnreachableAreDownedAndWithoutItTheyStay) {
    SbrSettings sbr;
    sbr.stable_after = 3s;
    for (const bool with_sbr : {false, true}) {
        const int base = with_sbr ? 10 : 20;
        std::vector<ClusterDaemonHandle> daemons;
        for (int i = 0; i < 3; ++i) {
            daemons.push_back(
                with_sbr ? spawn_daemon_with_sbr(*runtime, transport(base + i), DaemonConfig{}, sbr).value()
                         : spawn_daemon(*runtime, transport(base + i), DaemonConfig{}).value());
            daemons.back().join(node(base).address());
        }
        ASSERT_TRUE(
            run_until([&] { return std::ranges::all_of(daemons, [](auto& d) { return is_up(d, 3); }); }));
        daemons.pop_back(); // the process of the third one ends without a word
        network.run_for(60s);
        EXPECT_EQ(daemons[0].snapshot().members().size(), with_sbr ? 2U : 3U);
        EXPECT_EQ(daemons[0].snapshot().state->unreachable_addresses().size(), with_sbr ? 0U : 1U);
    }
}

TEST_F(SpawnedDaemons, ShutdownOrTheEndOfTheHandleStopsTheDaemon) {
    form_a_cluster();
    second->shutdown();
    ASSERT_TRUE(run_until([&] { return second->snapshot().stopped; }));
    EXPECT_EQ(second->snapshot().shutdown_reason, ShutdownReason::Requested);
    bool stopped = false;
    first->on_stopped([&](ShutdownReason) { stopped = true; });
    first.reset();
    EXPECT_TRUE(run_until([&] { return stopped; }));
    EXPECT_EQ(registry->size(), 0U);
}

TEST(ReferenceNames, AClusterRemoteAdapterIsAWholeNode) {
    World world;
    world.start_all(2);
    ASSERT_TRUE(world.run_until([&] { return world.agree(world.all()); }));
    ClusterRemoteAdapter& adapter = *world[0].node;
    EXPECT_EQ(adapter.address(), world.address_of(0));
    EXPECT_EQ(adapter.daemon().address(), adapter.address());
    EXPECT_EQ(adapter.snapshot().members().size(), 2U);
    const std::string_view payload = "hello";
    EXPECT_EQ(adapter.tell(world.address_of(1),
                           Tell{"/user/a", "text", std::as_bytes(std::span{payload}), "/user/b"}),
              TellResult::Queued);
    ASSERT_TRUE(world.run_until([&] { return world[1].sink->count() == 1; }));
    EXPECT_EQ(world[1].sink->records().front().payload.text(), payload);
}

} // namespace
} // namespace muster::test
