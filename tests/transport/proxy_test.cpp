// SPDX-License-Identifier: Apache-2.0
// A proxy that takes connections and cannot forward them looks like a peer that is there: nobody else waits
// for it, it proves nothing, and what is meant for it has a limit.
#include <algorithm>

#include "harness.hpp"
#include "raw_peer.hpp"

namespace muster::test {
namespace {

using namespace std::chrono_literals;

enum class Proxy { Stalls, HangsUp };

class AcceptingProxy : public TransportTest {
protected:
    /// Takes every connection, and says nothing or ends it at once.
    Address start(Proxy how) {
        if (how == Proxy::HangsUp) raw_.hang_up();
        raw_.keep_connections();
        return Address::remote("akka.tcp", "test", "127.0.0.1", raw_.listen());
    }
    /// What the node was told about that address.
    static std::size_t reports(const Node& node, const Address& about) {
        return static_cast<std::size_t>(
            std::ranges::count_if(node.handler.links,
                                  [&](const auto& l) { return l.peer.address() == about; }) +
            std::ranges::count(node.handler.refused, about));
    }
    /// A heartbeat each 100 ms to everybody, and a tell, for `duration`. How long the slowest heartbeat to
    /// `well` took.
    Duration beat(Node& from, Node& well, const Address& ill, std::chrono::milliseconds duration) {
        Duration slowest{};
        const Instant until = runtime_->monotonic_now() + duration;
        for (std::int64_t n = 1; runtime_->monotonic_now() < until; ++n) {
            const Instant sent = runtime_->monotonic_now();
            const std::size_t before = well.handler.messages.size();
            for (const Address& to : {ill, well.address()})
                from.transport->send(to, Heartbeat{from.address(), n, 0});
            from.transport->tell(ill, Told{}.tell());
            EXPECT_TRUE(run_until([&] { return well.handler.messages.size() > before; }));
            slowest = std::max(slowest, runtime_->monotonic_now() - sent);
            run_for(100ms);
        }
        return slowest;
    }
    void expect_nothing_of_it(Proxy how) {
        const Address ill = start(how);
        auto a = node();
        auto well = node();
        a->handler.acquainted = {ill, well->address()};
        const Duration slowest = beat(*a, *well, ill, GetParam().simulated ? 60'000ms : 1'500ms);
        EXPECT_LT(slowest, GetParam().simulated ? 100ms : 5'000ms)
            << "heartbeats to others do not wait for it";
        EXPECT_GE(raw_.accepted(), 1U);
        EXPECT_EQ(reports(*a, ill), 0U) << "neither dead nor alive";
        EXPECT_EQ(metric("transport.connects.refused"), 0);
        stop(*a, 100ms);
        stop(*well);
    }

    RawPeer raw_{*runtime_};
};
class AcceptingProxyInVirtualTime : public AcceptingProxy {};
INSTANTIATE_TEST_SUITE_P(On, AcceptingProxy, testing::ValuesIn(backends()), backend_name);
INSTANTIATE_TEST_SUITE_P(On, AcceptingProxyInVirtualTime, testing::ValuesIn(simulated_backend()),
                         backend_name);

} // namespace

TEST_P(AcceptingProxy, ThatStallsHoldsUpNobodyElseAndProvesNothing) { expect_nothing_of_it(Proxy::Stalls); }

TEST_P(AcceptingProxy, ThatHangsUpHoldsUpNobodyElseAndProvesNothing) { expect_nothing_of_it(Proxy::HangsUp); }

TEST_P(AcceptingProxyInVirtualTime, IsDialledMoreAndMoreRarely) {
    for (const Proxy how : {Proxy::Stalls, Proxy::HangsUp}) {
        RawPeer proxy{*runtime_};
        if (how == Proxy::HangsUp) proxy.hang_up();
        proxy.keep_connections();
        const Address there = Address::remote("akka.tcp", "test", "127.0.0.1", proxy.listen());
        auto a = node();
        const auto dialled_in = [&](std::chrono::seconds duration) {
            const std::size_t before = proxy.accepted();
            for (const Instant until = runtime_->monotonic_now() + duration;
                 runtime_->monotonic_now() < until;) {
                a->transport->send(there, Heartbeat{a->address(), 1, 0});
                run_for(1s);
            }
            return proxy.accepted() - before;
        };
        dialled_in(30s);
        const std::size_t dialled = dialled_in(120s);
        EXPECT_GE(dialled, 8U) << "it is asked again";
        EXPECT_LE(dialled, 120U) << "but no more than a backoff of up to 5 s has it: 2.5 s on average";
        stop(*a, 100ms);
    }
}

TEST_P(AcceptingProxyInVirtualTime, TellsThatWaitForItHaveALimitInBytesAndTimeAndAReason) {
    auto options = this->options();
    options.association_bytes_max = 10'000;
    auto a = node(options);
    const Address ill = start(Proxy::Stalls);
    int queued = 0;
    while (a->transport->tell(ill, Told{.text = std::string(1000, 'x')}.tell()) == TellResult::Queued)
        ++queued;
    EXPECT_GE(queued, 5);
    EXPECT_LE(queued, 10);
    EXPECT_EQ(metric("transport.tells.refused.full"), 1);
    run_for(45s); // association_idle_timeout, and the attempt that is under way then
    EXPECT_EQ(metric("transport.tells.dropped.unreachable"), queued);
    EXPECT_EQ(a->transport->tell(ill, Told{}.tell()), TellResult::Queued) << "there is room again";
    stop(*a, 100ms);
}

TEST_P(AcceptingProxyInVirtualTime, ThatResetsALinkAndStallsAfterwardsGivesNoSecondHalfOfAProof) {
    for (const Proxy how : {Proxy::Stalls, Proxy::HangsUp}) {
        RawPeer proxy{*runtime_};
        proxy.keep_connections();
        auto a = node();
        const Address there = Address::remote("akka.tcp", "test", "127.0.0.1", proxy.listen());
        const UniqueAddress behind{there, Uid{7}};
        proxy.send(wire::HelloReply{.cluster_name = "test", .from = behind, .answer = wire::HelloAccepted{}});
        a->transport->tell(there, Told{}.tell());
        ASSERT_TRUE(run_until([&] { return a->handler.saw(behind, LinkEvent::Established); }));
        if (how == Proxy::HangsUp) proxy.hang_up();
        proxy.close(net::Close::Abort);
        for (int i = 0; i < 60; ++i) {
            a->transport->send(there, Heartbeat{a->address(), i, 0});
            run_for(1s);
        }
        EXPECT_GE(proxy.accepted(), 4U);
        EXPECT_EQ(reports(*a, there), 2U) << "one beginning and one end";
        EXPECT_TRUE(a->handler.saw(behind, LinkEvent::EndedWithoutGoodbye));
        stop(*a, 100ms);
    }
}

} // namespace muster::test
