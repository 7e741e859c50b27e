// SPDX-License-Identifier: Apache-2.0
/// The reference's names for transports, each as its documentation reads.
#include "harness.hpp"

#include <muster/transport/inprocess.hpp>
#include <muster/wire/frame.hpp>

namespace muster::test {
namespace {

class TransportNames : public TransportTest {
protected:
    static std::span<const std::byte> bytes_of(std::string_view text) {
        return std::as_bytes(std::span{text});
    }
};
INSTANTIATE_TEST_SUITE_P(On, TransportNames, testing::ValuesIn(simulated_backend()), backend_name);

TEST_P(TransportNames, ATcpClusterTransportSendsRemotelyToASinkThatRecords) {
    const auto a = node();
    const auto b = node();
    EXPECT_EQ(
        a->transport->send_remote(b->address(), Tell{"/user/echo", "text", bytes_of("hello"), "/user/me"}),
        TellResult::Queued);
    EXPECT_EQ(
        a->transport->send_remote(b->address(), Tell{"/user/echo", "text", bytes_of("again"), std::nullopt}),
        TellResult::Queued);
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 2; }));
    const std::vector<RemoteTellRecord> records = b->sink->records();
    EXPECT_EQ(records[0].target_path, "/user/echo");
    EXPECT_EQ(records[0].manifest, "text");
    EXPECT_EQ(records[0].payload.text(), "hello");
    EXPECT_EQ(records[0].sender_path, "/user/me");
    EXPECT_EQ(records[1].payload.text(), "again");
    EXPECT_EQ(records[1].sender_path, std::nullopt);
    b->sink->clear();
    EXPECT_TRUE(b->sink->empty());
}

TEST_P(TransportNames, ARecordingSinkCountsWhatItDoesNotKeep) {
    RecordingSink sink(2);
    for (int i = 0; i < 5; ++i)
        sink.deliver("/user/a", "text", Slice::copy_of(bytes_of(std::to_string(i))), std::nullopt);
    EXPECT_EQ(sink.count(), 5U);
    ASSERT_EQ(sink.records().size(), 2U);
    EXPECT_EQ(sink.records()[1].payload.text(), "1");
    EXPECT_TRUE(sink.wait_for(5, std::chrono::milliseconds{0}));
    EXPECT_FALSE(sink.wait_for(6, std::chrono::milliseconds{0}));
}

/// A GossipTransport that is known by its interface alone: best effort, never blocks, never throws.
void gossip_to(GossipTransport& transport, const UniqueAddress& from, const UniqueAddress& to) {
    static_assert(
        noexcept(transport.send(std::declval<const Destination&>(), std::declval<const ClusterMessage&>())));
    static_assert(
        noexcept(transport.send_pdu(std::declval<const Address&>(), std::declval<const GossipPdu&>())));
    transport.send(to, Heartbeat{from.address(), 7, 0});
    transport.send_pdu(to.address(), GossipStatus{from, to, {}, {}, {}});
    transport.send_pdu(Address::local("akka", "nowhere"), GossipStatus{from, to, {}, {}, {}}); // dropped
}

TEST_P(TransportNames, AGossipTransportCarriesMessagesAndPdusOverTcp) {
    const auto a = node();
    const auto b = node();
    gossip_to(*a->transport, a->self(), b->self());
    ASSERT_TRUE(run_until([&] { return b->handler.messages.size() == 2; }));
    EXPECT_EQ(std::get<Heartbeat>(b->handler.messages[0].message).sequence_nr, 7);
    EXPECT_EQ(std::get<GossipStatus>(b->handler.messages[1].message).from, a->self());
    EXPECT_EQ(b->handler.messages[1].peer, a->self());
}

TEST_P(TransportNames, AGossipTransportCarriesMessagesAndPdusInsideAProcess) {
    const auto registry = InProcessRegistry::create();
    const auto address = [](std::uint16_t port) { return Address::remote("akka", "sys", "local", port); };
    const auto a = InProcessClusterTransport::create(registry, *runtime_, {address(1), Uid{1}}).value();
    const auto b = InProcessClusterTransport::create(registry, *runtime_, {address(2), Uid{2}}).value();
    EXPECT_EQ(registry->size(), 2U);
    RecordingHandler at_a;
    RecordingHandler at_b;
    const auto sink = std::make_shared<RecordingSink>();
    a->start(at_a, sink);
    b->start(at_b, sink);
    gossip_to(*a, a->self(), b->self());
    EXPECT_EQ(a->tell(address(2), Tell{"/user/a", "text", bytes_of("hello"), std::nullopt}),
              TellResult::Queued);
    ASSERT_TRUE(run_until([&] { return at_b.messages.size() == 2 && sink->count() == 1; }));
    EXPECT_TRUE(std::holds_alternative<GossipStatus>(at_b.messages[1].message));
}

/// A RemoteMessageSink keeps a payload beyond the call without copying it.
struct KeepingSink final : RemoteMessageSink {
    void deliver(std::string_view, std::string_view, const Slice& payload,
                 std::optional<std::string_view>) override {
        kept.push_back(payload);
        shared = payload.data() == kept.back().data();
    }
    std::vector<Slice> kept;
    bool shared = false;
};

TEST_P(TransportNames, ARemoteMessageSinkMayRetainWhatItIsShown) {
    const auto a = node();
    auto made = TcpClusterTransport::listen(*runtime_, options()).value();
    RecordingHandler handler;
    const auto sink = std::make_shared<KeepingSink>();
    made->start(handler, sink);
    for (const std::string_view text : {"one", "two", "three"})
        a->transport->send_remote(made->self().address(),
                                  Tell{"/user/a", "text", bytes_of(text), std::nullopt});
    ASSERT_TRUE(run_until([&] { return sink->kept.size() == 3; }));
    EXPECT_TRUE(sink->shared) << "a view of the same bytes";
    stop(*a);
    made.reset();
    EXPECT_EQ(sink->kept[0].text(), "one");
    EXPECT_EQ(sink->kept[2].text(), "three");
}

TEST_P(TransportNames, AClusterFrameIsEverythingAnAssociationMultiplexes) {
    const UniqueAddress from{Address::remote("akka.tcp", "sys", "a", 1), Uid{1}};
    const auto back = [](const auto& frame) -> ClusterFrame {
        Slice body = wire::encode_frame(ClusterFrame(frame)).value();
        body.remove_prefix(wire::frame_header_bytes);
        return wire::decode_frame(body).value();
    };
    EXPECT_TRUE(std::holds_alternative<wire::RemoteTell>(
        back(wire::RemoteTell{"/user/a", "text", Slice::copy_of(bytes_of("x")), std::nullopt})));
    EXPECT_TRUE(
        std::holds_alternative<ClusterMessage>(back(ClusterMessage(Heartbeat{from.address(), 1, 2}))));
    EXPECT_TRUE(
        std::holds_alternative<wire::Goodbye>(back(wire::Goodbye{wire::GoodbyeReason::Stopping, ""})));
}

} // namespace
} // namespace muster::test
