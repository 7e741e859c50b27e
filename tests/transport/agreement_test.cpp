// SPDX-License-Identifier: Apache-2.0
/// What two sides agree upon, what an unknown reason means, and what a peer is not sent.
#include "harness.hpp"
#include "link/handshake.hpp"
#include "raw_peer.hpp"

#include <chrono>

namespace muster::test {
namespace {

using namespace std::chrono_literals;

class Agreement : public TransportTest {
protected:
    void SetUp() override {
        auto with = options();
        with.backoff_min = 5ms;
        with.backoff_max = 50ms;
        node_ = node(with);
    }
    void TearDown() override { stop(*node_); }

    /// What a peer with this offer is answered.
    wire::HelloReply reply_to(const wire::Offer& offer) {
        RawPeer raw{*runtime_};
        wire::Hello hello;
        hello.version_min = offer.version_min;
        hello.version_max = offer.version_max;
        hello.features = offer.features;
        hello.cluster_name = "test";
        hello.from = raw_self_;
        hello.to = node_->address();
        raw.dial(*node_->address().port);
        raw.send(hello);
        EXPECT_TRUE(run_until([&] { return raw.first<wire::HelloReply>().has_value(); }));
        return raw.first<wire::HelloReply>().value_or(wire::HelloReply{});
    }
    wire::Agreement in_force_with(const wire::Offer& offer) {
        const auto reply = reply_to(offer);
        const auto* accepted = std::get_if<wire::HelloAccepted>(&reply.answer);
        return accepted ? wire::Agreement{accepted->version, accepted->features} : wire::Agreement{0, 0};
    }

    /// Makes the node dial `raw`, and answers its Hello.
    UniqueAddress dialled_by_node(RawPeer& raw,
                                  const std::variant<wire::HelloAccepted, wire::HelloRefused>& answer) {
        const Address there = Address::remote("akka.tcp", "test", "127.0.0.1", raw.listen());
        node_->transport->tell(there, Told{}.tell());
        EXPECT_TRUE(run_until([&] { return raw.first<wire::Hello>().has_value(); }));
        wire::HelloReply reply;
        reply.cluster_name = "test";
        reply.from = UniqueAddress{there, Uid{7}};
        reply.answer = answer;
        raw.send(reply);
        return reply.from;
    }

    std::unique_ptr<Node> node_;
    const UniqueAddress raw_self_{Address::remote("akka.tcp", "test", "10.9.8.7", 1234), Uid{42}};
};
INSTANTIATE_TEST_SUITE_P(On, Agreement, testing::ValuesIn(backends()), backend_name);

TEST_P(Agreement, TheReplyPutsInForceWhatBothSidesOffer) {
    using wire::Offer;
    EXPECT_EQ(in_force_with(Offer{}), (wire::Agreement{wire_version_max, wire::features_offered}));
    EXPECT_EQ(in_force_with(Offer{1, 1, 0}), (wire::Agreement{1, 0})) << "a node of wire version 1";
    EXPECT_EQ(in_force_with(Offer{1, 9, ~std::uint64_t{0}}),
              (wire::Agreement{wire_version_max, wire::features_offered}))
        << "a newer one";
    EXPECT_EQ(in_force_with(Offer{1, 1, wire::feature_tell_parts}), (wire::Agreement{1, 0}))
        << "what this build does not offer is not in force";
    const auto none = reply_to(Offer{wire_version_max + 1, 9, 0});
    EXPECT_EQ(std::get<wire::HelloRefused>(none.answer).reason, wire::RefusalReason::WrongVersion);
}

TEST_P(Agreement, TheHelloSaysWhatThisBuildOffers) {
    RawPeer raw{*runtime_};
    dialled_by_node(raw, wire::HelloAccepted{1, 0});
    EXPECT_EQ(raw.first<wire::Hello>()->offer(), wire::Offer{});
    EXPECT_NE(wire::features_offered, 0U);
    EXPECT_TRUE(run_until([&] { return raw.first<wire::RemoteTell>().has_value(); }));
}

TEST(AgreementOfAReply, HasNoFeatureThatWasNotOffered) {
    const transport::Identity mine{"test", {}, wire::Offer{1, 3, 0b101}};
    EXPECT_EQ(transport::agreement_of(mine, {2, 0b111}), (wire::Agreement{2, 0b101}));
}

TEST_P(Agreement, ARefusalForAnUnknownReasonMeansNotNow) {
    RawPeer raw{*runtime_};
    dialled_by_node(raw, wire::HelloRefused{static_cast<wire::RefusalReason>(9), "not on Sundays"});
    ASSERT_TRUE(run_until([&] { return metric("transport.handshakes.refused") == 1; }));
    EXPECT_TRUE(logged_about("transport.handshake.refused", "unknown-9"));
    raw.close(net::Close::Graceful);
    EXPECT_TRUE(run_until([&] { return raw.accepted() == 2; })) << "it is tried again";
    EXPECT_EQ(metric("transport.tells.dropped.refused"), 0) << "and what waits is kept";
    EXPECT_EQ(metric("transport.frames.malformed"), 0);
}

TEST_P(Agreement, AGoodbyeForAnUnknownReasonEndsTheLinkAndSaysNothingOfTheNode) {
    RawPeer raw{*runtime_};
    const UniqueAddress peer = dialled_by_node(raw, wire::HelloAccepted{1, 0});
    ASSERT_TRUE(run_until([&] { return node_->handler.saw(peer, LinkEvent::Established); }));
    raw.send(wire::Goodbye{static_cast<wire::GoodbyeReason>(300), "maintenance"});
    ASSERT_TRUE(run_until([&] { return node_->handler.saw(peer, LinkEvent::GoodbyeLink); }));
    EXPECT_TRUE(logged_about("transport.link.goodbye", "unknown-300")) << "an operator reads of it";
    EXPECT_EQ(metric("transport.frames.malformed"), 0);
    EXPECT_EQ(metric("transport.links.broken"), 0);
    EXPECT_TRUE(node_->handler.quarantined_by.empty());
}

} // namespace
} // namespace muster::test
