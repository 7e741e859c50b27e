// SPDX-License-Identifier: Apache-2.0
// Who lives at an address, asked over connections (protocol.md §5.6, §16).
#include "claim_check.hpp"

#include "harness.hpp"
#include "link/claims.hpp"
#include "raw_peer.hpp"

namespace muster::test {
namespace {

using namespace std::chrono_literals;
using transport::ClaimCheck;

class AddressCheck : public TransportTest {
protected:
    void SetUp() override { asker_ = node(); }
    void TearDown() override { stop(*asker_); }
    std::unique_ptr<Node> asker_;
};
INSTANTIATE_TEST_SUITE_P(On, AddressCheck, testing::ValuesIn(backends()), backend_name);

TEST_P(AddressCheck, ReportsWhoeverAnswersAtTheAddress) {
    auto b = node();
    asker_->transport->prove(b->self());
    ASSERT_TRUE(run_until([&] { return asker_->handler.saw(b->self(), LinkEvent::Answered); }));
    EXPECT_EQ(asker_->handler.links.size(), 1U) << "no connection is left of it";
    run_for(50ms);
    EXPECT_TRUE(b->handler.links.empty()) << "who is asked needs not know of it";
    EXPECT_EQ(metric("transport.links.inbound"), 0);
    stop(*b);
}

TEST_P(AddressCheck, DoesNotReplaceTheConnectionOfWhoAsks) {
    auto b = node();
    asker_->transport->tell(b->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    asker_->transport->prove(b->self());
    ASSERT_TRUE(run_until([&] { return asker_->handler.saw(b->self(), LinkEvent::Answered); }));
    run_for(50ms);
    EXPECT_EQ(metric("transport.links.superseded"), 0);
    EXPECT_EQ(metric("transport.links.inbound"), 1);
    stop(*b);
}

TEST_P(AddressCheck, SaysWhoAnswersInsteadOfWhoWasMeant) {
    auto b = node();
    const UniqueAddress meant{b->address(), Uid{b->self().uid().value + 1}};
    asker_->transport->prove(meant);
    ASSERT_TRUE(run_until([&] { return asker_->handler.saw(b->self(), LinkEvent::Answered); }));
    EXPECT_FALSE(asker_->handler.saw(meant, LinkEvent::Answered));
    EXPECT_EQ(metric("transport.claims.refused.address_taken"), 1);
    EXPECT_TRUE(logged_about("transport.claim.taken", meant.to_string()));
    stop(*b);
}

TEST_P(AddressCheck, IsOverWhenNobodyListensThere) {
    const UniqueAddress nobody{Address::remote("akka.tcp", "test", "127.0.0.1", unused_port(*runtime_)),
                               Uid{1}};
    asker_->transport->prove(nobody);
    ASSERT_TRUE(run_until([&] { return metric("transport.claims.refused.unanswered") == 1; }));
    EXPECT_TRUE(asker_->handler.links.empty());
    EXPECT_TRUE(asker_->handler.refused.empty()) << "it was no attempt to reach a peer";
}

TEST_P(AddressCheck, IsOverWhenWhoListensDoesNotAnswer) {
    RawPeer silent{*runtime_};
    const UniqueAddress peer{Address::remote("akka.tcp", "test", "127.0.0.1", silent.listen()), Uid{1}};
    asker_->transport->prove(peer);
    ASSERT_TRUE(run_until([&] { return metric("transport.claims.refused.unanswered") == 1; },
                          ClaimCheck::question_timeout + 5s));
    EXPECT_TRUE(asker_->handler.links.empty());
}

TEST_P(AddressCheck, TellsWhoConnectedFromAnAddressThatDoesNotAnswer) {
    const UniqueAddress unreachable{Address::remote("akka.tcp", "test", "127.0.0.1", unused_port(*runtime_)),
                                    Uid{1}};
    RawPeer raw{*runtime_};
    raw.dial(*asker_->address().port);
    wire::Hello hello;
    hello.cluster_name = "test";
    hello.from = unreachable;
    hello.to = asker_->address();
    raw.send(hello);
    ASSERT_TRUE(run_until([&] { return asker_->handler.saw(unreachable, LinkEvent::Accepted); }));
    asker_->transport->prove(unreachable);
    ASSERT_TRUE(run_until([&] { return raw.first<wire::Goodbye>().has_value(); }));
    EXPECT_TRUE(transport::is_about_address(*raw.first<wire::Goodbye>()));
    raw.close(net::Close::Graceful);
}

/// A node and its peer, which are connected in both directions, and somebody who calls itself by the peer's
/// address.
class ClaimedAddress : public AddressCheck {
protected:
    void SetUp() override {
        AddressCheck::SetUp();
        owner_ = node();
        asker_->transport->tell(owner_->address(), Told{}.tell());
        owner_->transport->tell(asker_->address(), Told{}.tell());
        ASSERT_TRUE(run_until([&] { return owner_->sink->count() == 1 && asker_->sink->count() == 1; }));
        asker_->handler.links.clear();
    }
    void TearDown() override {
        if (owner_) stop(*owner_);
        AddressCheck::TearDown();
    }
    wire::Hello claim() const {
        wire::Hello hello;
        hello.cluster_name = "test";
        hello.from = claimant_;
        hello.to = asker_->address();
        return hello;
    }
    std::unique_ptr<Node> owner_;
    UniqueAddress claimant_;
};
INSTANTIATE_TEST_SUITE_P(On, ClaimedAddress, testing::ValuesIn(backends()), backend_name);

TEST_P(ClaimedAddress, StaysItsOwnersAndTheClaimantIsTold) {
    claimant_ = UniqueAddress{owner_->address(), Uid{owner_->self().uid().value + 1}};
    RawPeer raw{*runtime_};
    raw.dial(*asker_->address().port);
    raw.send(claim());
    raw.send(ClusterMessage{Join{claimant_, {"dc-default"}, {}}});
    ASSERT_TRUE(run_until([&] { return raw.first<wire::Goodbye>().has_value(); }));
    ASSERT_TRUE(raw.first<wire::HelloReply>().has_value());
    EXPECT_TRUE(std::holds_alternative<wire::HelloAccepted>(raw.first<wire::HelloReply>()->answer))
        << "it says only who one is";
    const auto goodbye = *raw.first<wire::Goodbye>();
    EXPECT_TRUE(transport::is_about_address(goodbye));
    EXPECT_NE(goodbye.detail.find(owner_->self().to_string()), std::string::npos);
    raw.close(net::Close::Graceful);
    run_for(50ms);
    EXPECT_TRUE(asker_->handler.messages.empty()) << "nothing that the claimant said was acted on";
    for (const auto& link : asker_->handler.links)
        EXPECT_EQ(link.event, LinkEvent::Answered) << "the owner's links are untouched";
    EXPECT_FALSE(asker_->handler.saw(claimant_, LinkEvent::Answered));
    EXPECT_EQ(metric("transport.links.superseded"), 0);
    EXPECT_TRUE(logged_about("transport.claim.taken", claimant_.to_string()));
    asker_->transport->tell(owner_->address(), Told{}.tell());
    EXPECT_TRUE(run_until([&] { return owner_->sink->count() == 2; }));
}

TEST_P(ClaimedAddress, GoesToTheClaimantThatAnswersThereAndWhatItSaidIsKept) {
    auto with = options();
    with.listen_port = *owner_->address().port;
    const UniqueAddress former = owner_->self();
    crash(*owner_);
    owner_ = node(with);
    owner_->transport->send(asker_->self(), ClusterMessage{Heartbeat{owner_->address(), 7, 0}});
    ASSERT_TRUE(run_until([&] { return !asker_->handler.messages.empty(); }));
    EXPECT_EQ(asker_->handler.messages[0].peer, owner_->self());
    EXPECT_TRUE(asker_->handler.saw(owner_->self(), LinkEvent::Answered));
    EXPECT_TRUE(asker_->handler.saw(owner_->self(), LinkEvent::Accepted));
    EXPECT_EQ(metric("transport.claims.refused.address_taken"), 0);
}

TEST_P(ClaimedAddress, IsNobodysWhileNobodyAnswers) {
    const UniqueAddress former = owner_->self();
    crash(*owner_);
    owner_.reset();
    ASSERT_TRUE(run_until([&] { return asker_->handler.saw(former, LinkEvent::ReconnectRefused); }));
    asker_->handler.links.clear();
    claimant_ = UniqueAddress{former.address(), Uid{former.uid().value + 1}};
    RawPeer raw{*runtime_};
    raw.dial(*asker_->address().port);
    raw.send(claim());
    raw.send(ClusterMessage{Join{claimant_, {"dc-default"}, {}}});
    ASSERT_TRUE(run_until([&] { return raw.first<wire::Goodbye>().has_value(); }));
    EXPECT_TRUE(transport::is_about_address(*raw.first<wire::Goodbye>()));
    raw.close(net::Close::Graceful);
    EXPECT_TRUE(asker_->handler.messages.empty());
    EXPECT_FALSE(asker_->handler.saw(former, LinkEvent::OtherIncarnation)) << "no answer proves nothing";
    EXPECT_FALSE(asker_->handler.saw(claimant_, LinkEvent::Accepted));
}

TEST_P(ClaimedAddress, DoesNotKeepTheNodeFromStopping) {
    claimant_ = UniqueAddress{owner_->address(), Uid{owner_->self().uid().value + 1}};
    crash(*owner_);
    owner_.reset();
    RawPeer silent{*runtime_}; // the owner's port accepts and says nothing
    RawPeer raw{*runtime_};
    raw.dial(*asker_->address().port);
    raw.send(claim());
    ASSERT_TRUE(run_until([&] { return raw.first<wire::HelloReply>().has_value(); }));
}

TEST_P(AddressCheck, StopsWithTheNode) {
    RawPeer silent{*runtime_};
    const UniqueAddress peer{Address::remote("akka.tcp", "test", "127.0.0.1", silent.listen()), Uid{1}};
    asker_->transport->prove(peer);
    ASSERT_TRUE(run_until([&] { return silent.connected(); }));
    const Instant before = runtime_->monotonic_now();
    stop(*asker_);
    EXPECT_LT(runtime_->monotonic_now() - before, ClaimCheck::question_timeout) << "no answer is awaited";
    asker_ = node();
}

} // namespace
} // namespace muster::test
