// Who lives at an address, asked over connections (protocol.md §5.6, §16).
#include "claim_check.hpp"

#include "claims.hpp"
#include "harness.hpp"
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
    const UniqueAddress nobody{Address::remote("akka.tcp", "test", "127.0.0.1", unused_port(*runtime_)), Uid{1}};
    asker_->transport->prove(nobody);
    ASSERT_TRUE(run_until([&] { return metric("transport.claims.refused.unanswered") == 1; }));
    EXPECT_TRUE(asker_->handler.links.empty());
    EXPECT_TRUE(asker_->handler.refused.empty()) << "it was no attempt to reach a peer";
}

TEST_P(AddressCheck, IsOverWhenWhoListensDoesNotAnswer) {
    RawPeer silent{*runtime_};
    const UniqueAddress peer{Address::remote("akka.tcp", "test", "127.0.0.1", silent.listen()), Uid{1}};
    asker_->transport->prove(peer);
    ASSERT_TRUE(run_until([&] { return metric("transport.claims.refused.unanswered") == 1; }, ClaimCheck::question_timeout + 5s));
    EXPECT_TRUE(asker_->handler.links.empty());
}

TEST_P(AddressCheck, TellsWhoConnectedFromAnAddressThatDoesNotAnswer) {
    const UniqueAddress unreachable{Address::remote("akka.tcp", "test", "127.0.0.1", unused_port(*runtime_)), Uid{1}};
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

TEST_P(AddressCheck, StopsWithTheNode) {
    RawPeer silent{*runtime_};
    const UniqueAddress peer{Address::remote("akka.tcp", "test", "127.0.0.1", silent.listen()), Uid{1}};
    asker_->transport->prove(peer);
    ASSERT_TRUE(run_until([&] { return silent.connected(); }));
}

} // namespace
} // namespace muster::test
