// SPDX-License-Identifier: Apache-2.0
#include <muster/transport/inprocess.hpp>

#include "harness.hpp"

namespace muster::test {
namespace {

class InProcess : public TransportTest {
protected:
    struct Member {
        RecordingHandler handler;
        std::shared_ptr<RecordingSink> sink = std::make_shared<RecordingSink>();
        std::unique_ptr<InProcessClusterTransport> transport;
        UniqueAddress self() const { return transport->self(); }
    };
    std::unique_ptr<Member> member(std::uint16_t port, std::int64_t uid = 1) {
        auto made = std::make_unique<Member>();
        const UniqueAddress self{Address::remote("akka", "test", "local", port), Uid{uid}};
        made->transport = std::move(InProcessClusterTransport::create(registry_, *runtime_, self).value());
        made->transport->start(made->handler, made->sink);
        return made;
    }
    const std::shared_ptr<InProcessRegistry> registry_ = InProcessRegistry::create();
};
INSTANTIATE_TEST_SUITE_P(On, InProcess, testing::ValuesIn(simulated_backend()), backend_name);

TEST_P(InProcess, DeliversMessagesAndTellsInOrderAndNeverInsideTheCall) {
    auto a = member(1);
    auto b = member(2);
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(a->transport->tell(b->self().address(), Told{.text = std::to_string(i)}.tell()),
                  TellResult::Queued);
        a->transport->send(b->self(), Heartbeat{a->self().address(), i, 0});
    }
    EXPECT_EQ(b->sink->count(), 0U);
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 10 && b->handler.messages.size() == 10; }));
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(b->sink->records()[static_cast<std::size_t>(i)].payload.text(), std::to_string(i));
        EXPECT_EQ(std::get<Heartbeat>(b->handler.messages[static_cast<std::size_t>(i)].message).sequence_nr,
                  i);
        EXPECT_EQ(b->handler.messages[static_cast<std::size_t>(i)].peer, a->self());
    }
}

TEST_P(InProcess, HasOneNodePerAddress) {
    auto a = member(1);
    EXPECT_TRUE(registry_->contains(a->self().address()));
    const auto second = InProcessClusterTransport::create(registry_, *runtime_, a->self());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::address_in_use);
    const Address address = a->self().address();
    a.reset();
    EXPECT_FALSE(registry_->contains(address));
    EXPECT_EQ(registry_->size(), 0U);
}

TEST_P(InProcess, DropsWhatIsForAnotherIncarnation) {
    auto a = member(1);
    auto b = member(2, 7);
    a->transport->send(UniqueAddress{b->self().address(), Uid{8}}, Heartbeat{a->self().address(), 1, 0});
    a->transport->send(b->self(), Heartbeat{a->self().address(), 2, 0});
    ASSERT_TRUE(run_until([&] { return b->handler.messages.size() == 1; }));
    EXPECT_EQ(std::get<Heartbeat>(b->handler.messages[0].message).sequence_nr, 2);
    EXPECT_EQ(metric("transport.messages.dropped.other_incarnation"), 1);
    b->transport->renew_incarnation(Uid{8});
    EXPECT_EQ(b->self().uid(), Uid{8});
}

TEST_P(InProcess, ReportsAnAddressNobodyHasAsARefusedConnection) {
    auto a = member(1);
    const Address nobody = Address::remote("akka", "test", "local", 9);
    EXPECT_EQ(a->transport->tell(nobody, Told{}.tell()), TellResult::NoRoute);
    a->transport->send(Destination{nobody}, InitJoin{a->self().address(), {}});
    ASSERT_TRUE(run_until([&] { return a->handler.refused.size() == 1; }));
    EXPECT_EQ(a->handler.refused[0], nobody);
}

TEST_P(InProcess, RefusesWhatAQuarantinedNodeSaysAndTellsItSo) {
    auto a = member(1);
    auto b = member(2);
    a->transport->quarantine(b->self(), false);
    b->transport->tell(a->self().address(), Told{}.tell());
    b->transport->send(a->self(), Heartbeat{b->self().address(), 1, 0});
    ASSERT_TRUE(run_until([&] { return b->handler.quarantined_by.size() == 1; }));
    run_for(std::chrono::milliseconds{10});
    EXPECT_EQ(a->sink->count(), 0U);
    EXPECT_TRUE(a->handler.messages.empty());
}

TEST_P(InProcess, KeepsWhatComesBeforeTheStart) {
    auto a = member(1);
    const UniqueAddress self{Address::remote("akka", "test", "local", 2), Uid{1}};
    auto b = std::move(InProcessClusterTransport::create(registry_, *runtime_, self).value());
    a->transport->tell(self.address(), Told{}.tell());
    run_for(std::chrono::milliseconds{5});
    RecordingHandler handler;
    auto sink = std::make_shared<RecordingSink>();
    b->start(handler, sink);
    EXPECT_TRUE(run_until([&] { return sink->count() == 1; }));
}

TEST_P(InProcess, AnswersNoRouteAfterTheEndAndThroughRoutesThatOutliveIt) {
    auto a = member(1);
    auto b = member(2);
    const auto route = a->transport->route(b->self().address());
    EXPECT_EQ(route.tell(Told{}.tell()), TellResult::Queued);
    bool done = false;
    b->transport->shutdown(runtime_->monotonic_now(), [&] { done = true; });
    ASSERT_TRUE(run_until([&] { return done; }));
    EXPECT_EQ(b->sink->count(), 1U) << "what was accepted is delivered";
    EXPECT_EQ(route.tell(Told{}.tell()), TellResult::NoRoute);
    std::optional<TellResult> waited;
    a->transport->tell_when_room(b->self().address(), Told{}.tell(), [&](TellResult r) { waited = r; });
    EXPECT_FALSE(waited);
    ASSERT_TRUE(run_until([&] { return waited.has_value(); }));
    EXPECT_EQ(waited, TellResult::NoRoute);
    a.reset();
    EXPECT_EQ(route.tell(Told{}.tell()), TellResult::NoRoute);
}

} // namespace
} // namespace muster::test
