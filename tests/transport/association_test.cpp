// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "association.hpp"
#include "harness.hpp"
#include "raw_peer.hpp"

namespace muster::test {
namespace {

using namespace std::chrono_literals;

class Association : public TransportTest {};
INSTANTIATE_TEST_SUITE_P(On, Association, testing::ValuesIn(backends()), backend_name);

Heartbeat heartbeat(const Node& from, std::int64_t number) { return Heartbeat{from.address(), number, 0}; }

std::string numbered(int i) { return "number " + std::to_string(i); }

TEST_P(Association, CarriesATellToTheSinkOfThePeer) {
    auto a = node();
    auto b = node();
    const Told told{"akka.tcp://test@host:1/user/echo", "hello"};
    Tell tell = told.tell();
    const std::string sender = a->address().to_string() + "/user/me";
    tell.sender_path = sender;
    EXPECT_EQ(a->transport->tell(b->address(), tell), TellResult::Queued);
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    const auto record = b->sink->records().at(0);
    EXPECT_EQ(record.target_path, told.path);
    EXPECT_EQ(record.manifest, "text");
    EXPECT_EQ(record.payload.text(), "hello");
    EXPECT_EQ(record.sender_path, sender);
    stop(*a);
    stop(*b);
}

TEST_P(Association, IsOpenedOnceForAHundredFirstTells) {
    auto a = node();
    auto b = node();
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(a->transport->tell(b->address(), Told{.text = numbered(i)}.tell()), TellResult::Queued);
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 100; }));
    EXPECT_EQ(b->handler.count(LinkEvent::Accepted), 1U);
    EXPECT_EQ(a->handler.count(LinkEvent::Established), 1U);
    const auto records = b->sink->records();
    for (int i = 0; i < 100; ++i) EXPECT_EQ(records[static_cast<std::size_t>(i)].payload.text(), numbered(i));
    stop(*a);
    stop(*b);
}

TEST_P(Association, HasOneConnectionPerDirection) {
    auto a = node();
    auto b = node();
    a->transport->tell(b->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    b->transport->tell(a->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return a->sink->count() == 1; }));
    EXPECT_EQ(metric("transport.links.outbound"), 2);
    EXPECT_EQ(a->handler.count(LinkEvent::Established), 1U);
    EXPECT_EQ(a->handler.count(LinkEvent::Accepted), 1U) << "one of each direction";
    stop(*a);
    stop(*b);
}

TEST_P(Association, DeliversMembershipMessagesBeforeTellsThatWereQueuedEarlier) {
    auto a = node();
    auto b = node();
    std::optional<std::size_t> told_before;
    b->handler.also = [&] { told_before = b->sink->count(); };
    for (int i = 0; i < 1000; ++i)
        a->transport->tell(b->address(), Told{.text = std::string(1000, 'x')}.tell());
    a->transport->send(b->self(), heartbeat(*a, 1));
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1000; }));
    ASSERT_EQ(b->handler.messages.size(), 1U);
    EXPECT_EQ(b->handler.messages[0].peer, a->self());
    EXPECT_EQ(std::get<Heartbeat>(b->handler.messages[0].message).sequence_nr, 1);
    EXPECT_EQ(told_before, 0U);
    stop(*a);
    stop(*b);
}

TEST_P(Association, KeepsTheOrderOfSmallAndLargeTells) {
    auto a = node();
    auto b = node();
    const auto text_of = [](int i) {
        return numbered(i) + std::string(i % 7 == 0 ? 100'000U : i % 3 == 0 ? 9'000U : 20U, '.');
    };
    for (int i = 0; i < 60; ++i)
        ASSERT_EQ(a->transport->tell(b->address(), Told{.text = text_of(i)}.tell()), TellResult::Queued);
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 60; }));
    const auto records = b->sink->records();
    for (int i = 0; i < 60; ++i)
        ASSERT_EQ(records[static_cast<std::size_t>(i)].payload.text(), text_of(i)) << i;
    stop(*a);
    stop(*b);
}

TEST_P(Association, CarriesATellOfTheLargestFrameAndRefusesALargerOne) {
    auto options = this->options();
    options.frame_bytes_max = 1'000'000;
    options.association_bytes_max = 100'000;
    auto a = node(options);
    auto b = node(options);
    const Told empty{.text = ""};
    const Tell view{empty.path, "text", {}, std::nullopt};
    const std::size_t overhead =
        wire::tell_frame_bytes(view) - wire::frame_header_bytes + 4; // a longer length
    const Told largest{.text = std::string(1'000'000 - overhead, 'x')};
    const Told larger{.text = std::string(1'000'001 - overhead, 'x')};
    EXPECT_EQ(a->transport->tell(b->address(), larger.tell()), TellResult::TooLarge);
    EXPECT_EQ(metric("transport.tells.refused.too_large"), 1);
    EXPECT_EQ(a->transport->tell(b->address(), largest.tell()), TellResult::Queued);
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    EXPECT_EQ(b->sink->records().at(0).payload.size(), largest.text.size());
    stop(*a);
    stop(*b);
}

TEST_P(Association, AnswersFullAtItsByteLimitAndQueuesAgainWhenThereIsRoom) {
    auto options = this->options();
    options.association_bytes_max = 10'000;
    auto a = node(options);
    auto b = node();
    const Told told{.text = std::string(1000, 'x')};
    int queued = 0;
    while (a->transport->tell(b->address(), told.tell()) == TellResult::Queued) ++queued;
    EXPECT_EQ(queued, 9);
    EXPECT_EQ(metric("transport.tells.refused.full"), 1);
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 9; }));
    EXPECT_EQ(a->transport->tell(b->address(), told.tell()), TellResult::Queued);
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 10; }));
    stop(*a);
    stop(*b);
}

TEST_P(Association, QueuesTellsThatWaitForRoomInOrder) {
    auto options = this->options();
    options.association_bytes_max = 10'000;
    auto a = node(options);
    auto b = node();
    std::vector<int> done;
    for (int i = 0; i < 100; ++i)
        a->transport->tell_when_room(b->address(), Told{.text = numbered(i) + std::string(1000, '.')}.tell(),
                                     [&done, i](TellResult r) {
                                         EXPECT_EQ(r, TellResult::Queued);
                                         done.push_back(i);
                                     });
    EXPECT_TRUE(done.empty()) << "never inside the call";
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 100 && done.size() == 100; }));
    EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
    const auto records = b->sink->records();
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(records[static_cast<std::size_t>(i)].payload.text(), numbered(i) + std::string(1000, '.'));
    stop(*a);
    stop(*b);
}

TEST_P(Association, AnswersATellThatCannotWaitWithoutCallingBackInside) {
    auto options = this->options();
    options.waiting_tells_max = 1;
    options.association_bytes_max = 100;
    options.frame_bytes_max = 5000;
    auto a = node(options);
    auto b = node();
    std::vector<TellResult> results;
    const auto done = [&results](TellResult r) { results.push_back(r); };
    const Told told{.text = std::string(90, 'x')};
    a->transport->tell(b->address(), told.tell());
    a->transport->tell_when_room(b->address(), told.tell(), done); // waits
    a->transport->tell_when_room(b->address(), told.tell(), done); // one too many
    a->transport->tell_when_room(b->address(), Told{.text = std::string(6000, 'x')}.tell(), done);
    a->transport->tell_when_room(Address::local("akka", "test"), told.tell(), done);
    EXPECT_TRUE(results.empty());
    ASSERT_TRUE(run_until([&] { return results.size() == 4; }));
    EXPECT_EQ(results,
              (std::vector{TellResult::Full, TellResult::TooLarge, TellResult::NoRoute, TellResult::Queued}));
    stop(*a);
    stop(*b);
}

TEST_P(Association, HasNoRouteToAnAddressThatCannotBeItsPeer) {
    auto a = node();
    const auto tell = [&](const Address& to) { return a->transport->tell(to, Told{}.tell()); };
    EXPECT_EQ(tell(Address::local("akka.tcp", "test")), TellResult::NoRoute);
    EXPECT_EQ(tell(Address::remote("akka.tcp", "other", "127.0.0.1", 2551)), TellResult::NoRoute);
    EXPECT_EQ(tell(Address::remote("akka", "test", "127.0.0.1", 2551)), TellResult::NoRoute);
    EXPECT_EQ(metric("transport.tells.refused.no_route"), 3);
    EXPECT_FALSE(a->transport->route(Address::local("akka.tcp", "test")));
    a->transport->send(Destination{Address::local("akka.tcp", "test")}, heartbeat(*a, 1));
    EXPECT_EQ(metric("transport.messages.dropped.no_route"), 1);
    stop(*a);
}

TEST_P(Association, RefusesATellThatThePeerCouldNotRead) {
    auto a = node();
    auto b = node();
    EXPECT_EQ(a->transport->tell(b->address(), Told{.path = "\xff"}.tell()), TellResult::NoRoute);
    EXPECT_EQ(metric("transport.tells.refused.not_utf8"), 1);
    stop(*a);
    stop(*b);
}

TEST_P(Association, LimitsTheNumberOfPeersAndForgetsThoseNobodyUses) {
    auto options = this->options();
    options.associations_max = 2;
    auto a = node(options);
    auto b = node();
    auto c = node();
    auto d = node();
    const auto route = a->transport->route(b->address());
    EXPECT_EQ(a->transport->tell(c->address(), Told{}.tell()), TellResult::Queued);
    EXPECT_EQ(a->transport->tell(d->address(), Told{}.tell()), TellResult::NoRoute)
        << "c is busy and b is held";
    ASSERT_TRUE(run_until([&] { return c->sink->count() == 1; }));
    stop(*c);
    ASSERT_TRUE(
        run_until([&] { return a->transport->tell(d->address(), Told{}.tell()) == TellResult::Queued; }));
    ASSERT_TRUE(run_until([&] { return d->sink->count() == 1; }));
    EXPECT_EQ(route.tell(Told{}.tell()), TellResult::Queued) << "a route that is held stays";
    stop(*a);
    stop(*b);
    stop(*d);
}

TEST_P(Association, AnswersNoRouteThroughARouteThatOutlivesTheTransport) {
    auto a = node();
    auto b = node();
    const auto route = a->transport->route(b->address());
    EXPECT_EQ(route.tell(Told{}.tell()), TellResult::Queued);
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    stop(*a);
    EXPECT_EQ(route.tell(Told{}.tell()), TellResult::NoRoute);
    auto c = node();
    const auto other = c->transport->route(b->address());
    crash(*c);
    EXPECT_EQ(other.tell(Told{}.tell()), TellResult::NoRoute);
    EXPECT_EQ(TellRoute{}.tell(Told{}.tell()), TellResult::NoRoute);
    stop(*b);
}

TEST_P(Association, KeepsWhatIsToldBeforeTheTransportStarts) {
    auto b = node();
    auto listening = TcpClusterTransport::listen(*runtime_, options());
    auto& a = *listening.value();
    EXPECT_EQ(a.tell(b->address(), Told{}.tell()), TellResult::Queued);
    run_for(20ms);
    EXPECT_EQ(b->sink->count(), 0U);
    RecordingHandler handler;
    a.start(handler, nullptr);
    EXPECT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    bool done = false;
    a.shutdown(runtime_->monotonic_now() + 1s, [&] { done = true; });
    EXPECT_TRUE(run_until([&] { return done; }));
    stop(*b);
}

TEST_P(Association, WritesWhatIsMeantForAnIncarnationOnlyToThatOne) {
    auto a = node();
    auto b = node();
    const UniqueAddress other{b->address(), Uid{b->self().uid().value + 1}};
    a->transport->send(other, heartbeat(*a, 1)); // queued before anybody knows who is there
    a->transport->send(b->self(), heartbeat(*a, 2));
    ASSERT_TRUE(run_until([&] { return b->handler.messages.size() == 1; }));
    a->transport->send(other, heartbeat(*a, 3));
    a->transport->send(Destination{b->address()}, heartbeat(*a, 4));
    ASSERT_TRUE(run_until([&] { return b->handler.messages.size() == 2; }));
    EXPECT_EQ(std::get<Heartbeat>(b->handler.messages[0].message).sequence_nr, 2);
    EXPECT_EQ(std::get<Heartbeat>(b->handler.messages[1].message).sequence_nr, 4);
    EXPECT_EQ(metric("transport.messages.dropped.other_incarnation"), 2);
    stop(*a);
    stop(*b);
}

TEST_P(Association, ReportsTheLossOfALinkAndTwoRefusedReconnectsSomeTimeApart) {
    auto a = node();
    auto b = node();
    a->transport->tell(b->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    const UniqueAddress gone = b->self();
    crash(*b);
    ASSERT_TRUE(run_until([&] { return a->handler.count(LinkEvent::ReconnectRefused) >= 2; }));
    EXPECT_EQ(a->handler.count(LinkEvent::EndedWithoutGoodbye), 1U);
    std::vector<Instant> refusals;
    for (const auto& l : a->handler.links) {
        EXPECT_EQ(l.peer, gone);
        if (l.event == LinkEvent::ReconnectRefused) refusals.push_back(l.when);
    }
    EXPECT_GE(refusals[1] - refusals[0], 20ms);
    run_for(200ms);
    EXPECT_LE(a->handler.count(LinkEvent::ReconnectRefused), 3U) << "with nothing to send it stops asking";
    stop(*a);
}

TEST_P(Association, ReportsARefusedConnectionToWhomItNeverMet) {
    auto a = node();
    const Address nobody = Address::remote("akka.tcp", "test", "127.0.0.1", unused_port(*runtime_));
    a->transport->send(Destination{nobody}, InitJoin{a->address(), {}});
    // protocol.md §5.3 wants two refusals at least 100 ms apart: the message stays queued and is tried again.
    ASSERT_TRUE(run_until([&] {
        const auto& at = a->handler.refused_at;
        return !at.empty() && at.back() - at.front() >= 100ms;
    }));
    EXPECT_EQ(a->handler.refused.front(), nobody);
    EXPECT_TRUE(a->handler.links.empty());
    EXPECT_TRUE(run_until([&] { return metric("transport.messages.dropped.expired") == 1; }))
        << "a stale membership message is not kept";
    const auto attempts = a->handler.refused.size();
    run_for(1s);
    EXPECT_EQ(a->handler.refused.size(), attempts);
    stop(*a);
}

TEST_P(Association, ReconnectsToARestartedPeerAndDropsWhatWasForItsFormerIncarnation) {
    auto options = this->options();
    auto a = node();
    auto b = node();
    a->transport->tell(b->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    const UniqueAddress before = b->self();
    options.listen_port = *b->address().port;
    // Told while the link to the former incarnation is open, and not yet written.
    a->transport->tell(b->address(), Told{.text = "for the former"}.tell());
    b->transport.reset();
    ASSERT_TRUE(run_until([&] { return a->handler.count(LinkEvent::EndedWithoutGoodbye) == 1; }));
    auto c = node(options);
    ASSERT_EQ(c->address(), before.address());
    a->transport->tell(c->address(), Told{.text = "for the present one"}.tell());
    ASSERT_TRUE(run_until([&] { return c->sink->count() >= 1; }));
    EXPECT_EQ(c->sink->records().at(0).payload.text(), "for the present one");
    EXPECT_TRUE(a->handler.saw(before, LinkEvent::OtherIncarnation));
    EXPECT_TRUE(a->handler.saw(c->self(), LinkEvent::Established));
    EXPECT_EQ(metric("transport.tells.dropped.other_incarnation") +
                  metric("transport.tells.dropped.link_ended") + metric("transport.tells.sent"),
              3)
        << "nothing disappears uncounted";
    stop(*a);
    stop(*c);
}

TEST_P(Association, ANewIncarnationThatConnectsEndsTheLinkToTheFormerOne) {
    auto options = this->options();
    options.association_bytes_max = 64 * 1024 * 1024; // more than all buffers on the way
    auto a = node(options);
    RawPeer peer{*runtime_};
    const Address there = Address::remote("akka.tcp", "test", "127.0.0.1", peer.listen());
    const UniqueAddress former{there, Uid{7}};
    const UniqueAddress present{there, Uid{8}};
    const auto reply_of = [](const UniqueAddress& from) {
        return wire::HelloReply{.cluster_name = "test", .from = from, .answer = wire::HelloAccepted{}};
    };
    // The former one stopped reading, and nobody says that its process is gone.
    peer.stop_reading();
    peer.keep_connections();
    peer.send(reply_of(former));
    for (int i = 0; i < 40; ++i) a->transport->tell(there, Told{.text = std::string(1'000'000, 'x')}.tell());
    ASSERT_TRUE(run_until([&] { return a->handler.saw(former, LinkEvent::Established); }));
    run_for(100ms);

    RawPeer restarted{*runtime_};
    restarted.dial(*a->address().port);
    restarted.send(wire::Hello{.cluster_name = "test", .from = present, .to = a->address()});
    peer.start_reading();
    ASSERT_TRUE(run_until([&] { return peer.accepted() == 2; }))
        << "it is asked who lives there, long before the half-open timeout";
    EXPECT_EQ(logged("transport.link.superseded"), 0U) << "a claim alone ends nothing";
    peer.send(reply_of(present));
    ASSERT_TRUE(run_until([&] { return logged_about("transport.link.superseded", former.to_string()); }));
    a->transport->send(present, heartbeat(*a, 1));
    a->transport->tell(there, Told{.text = "for the present one"}.tell());
    ASSERT_TRUE(run_until([&] { return peer.accepted() == 3; }));
    peer.send(reply_of(present));
    ASSERT_TRUE(run_until([&] { return peer.first<wire::RemoteTell>().has_value(); }));
    EXPECT_EQ(peer.first<wire::RemoteTell>()->payload.text(), "for the present one");
    EXPECT_TRUE(peer.first<ClusterMessage>().has_value());
    EXPECT_TRUE(a->handler.saw(former, LinkEvent::OtherIncarnation));
    EXPECT_GT(metric("transport.tells.dropped.other_incarnation"), 0);
    EXPECT_EQ(metric("transport.links.half_open"), 0);
    stop(*a);
}

TEST_P(Association, ClosesWhenIdleAndReturnsItsMemory) {
    auto options = this->options();
    options.association_idle_timeout = 100ms;
    auto a = node(options);
    auto b = node(options);
    a->transport->tell(b->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    b->sink->clear();
    ASSERT_TRUE(run_until([&] { return a->handler.count(LinkEvent::GoodbyeLink) == 1; }));
    ASSERT_TRUE(run_until([&] { return b->handler.count(LinkEvent::GoodbyeLink) == 1; }));
    EXPECT_EQ(metric("transport.links.idle_closed"), 1);
    EXPECT_EQ(metric("transport.links.outbound"), 0);
    EXPECT_TRUE(run_until([&] { return metric("transport.links.inbound") == 0; }));
    EXPECT_EQ(runtime_->chunks()->in_use(), 0U);
    EXPECT_EQ(a->handler.count(LinkEvent::EndedWithoutGoodbye) +
                  b->handler.count(LinkEvent::EndedWithoutGoodbye),
              0U);
    EXPECT_EQ(a->transport->tell(b->address(), Told{}.tell()), TellResult::Queued);
    EXPECT_TRUE(run_until([&] { return b->sink->count() == 1; })) << "and opens again on demand";
    stop(*a);
    stop(*b);
}

TEST_P(Association, StaysOpenWhileItCarriesSomething) {
    auto options = this->options();
    options.association_idle_timeout = 200ms;
    auto a = node(options);
    auto b = node(options);
    for (int i = 0; i < 20; ++i) {
        a->transport->send(b->self(), heartbeat(*a, i));
        run_for(50ms);
    }
    EXPECT_EQ(b->handler.count(LinkEvent::Accepted), 1U);
    EXPECT_EQ(metric("transport.links.idle_closed"), 0);
    stop(*a);
    stop(*b);
}

TEST_P(Association, FlushesWhatWasAcceptedBeforeItSaysThatItStops) {
    auto a = node();
    auto b = node();
    for (int i = 0; i < 3000; ++i)
        a->transport->tell(b->address(), Told{.text = std::string(1000, 'x')}.tell());
    const UniqueAddress stopped = a->self();
    stop(*a); // not even connected yet
    EXPECT_TRUE(run_until([&] { return b->handler.saw(stopped, LinkEvent::GoodbyeStopping); }));
    EXPECT_EQ(b->sink->count(), 3000U);
    EXPECT_EQ(b->handler.count(LinkEvent::EndedWithoutGoodbye), 0U);
    stop(*b);
}

TEST_P(Association, SaysThatItStopsInBothDirections) {
    auto a = node();
    auto b = node();
    a->transport->tell(b->address(), Told{}.tell());
    b->transport->tell(a->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return a->sink->count() == 1 && b->sink->count() == 1; }));
    stop(*a);
    EXPECT_TRUE(run_until([&] { return b->handler.count(LinkEvent::GoodbyeStopping) == 2; }));
    EXPECT_EQ(b->handler.count(LinkEvent::Established) + b->handler.count(LinkEvent::Accepted), 2U);
    stop(*b);
}

TEST_P(Association, StopsAtTheDeadlineWhateverThePeersDo) {
    RawPeer silent{*runtime_};
    auto a = node();
    const Address there = Address::remote("akka.tcp", "test", "127.0.0.1", silent.listen());
    a->transport->tell(there, Told{}.tell());
    ASSERT_TRUE(run_until([&] { return silent.connected(); }));
    bool done = false;
    const Instant deadline = runtime_->monotonic_now() + 300ms;
    a->transport->shutdown(deadline, [&] { done = true; });
    EXPECT_EQ(a->transport->tell(there, Told{}.tell()), TellResult::NoRoute);
    ASSERT_TRUE(run_until([&] { return done; }));
    EXPECT_GE(runtime_->monotonic_now(), deadline);
    EXPECT_EQ(logged("transport.shutdown.late"), 1U);
    EXPECT_EQ(metric("transport.tells.dropped.shutdown"), 1);
}

TEST_P(Association, DoesNotWaitForPeersItCouldNotReachWhenItStops) {
    auto a = node();
    const Address nobody = Address::remote("akka.tcp", "test", "127.0.0.1", unused_port(*runtime_));
    a->transport->tell(nobody, Told{}.tell());
    ASSERT_TRUE(run_until([&] { return !a->handler.refused.empty(); }));
    stop(*a, 1h);
    EXPECT_EQ(metric("transport.tells.dropped.shutdown"), 1);
    EXPECT_EQ(logged("transport.shutdown.late"), 0U);
}

TEST_P(Association, DropsTellsToAPeerThatIsUnreachableForLong) {
    auto options = this->options();
    options.association_idle_timeout = 300ms;
    options.backoff_max = 50ms;
    auto a = node(options);
    const Address nobody = Address::remote("akka.tcp", "test", "127.0.0.1", unused_port(*runtime_));
    std::vector<TellResult> waited;
    a->transport->tell(nobody, Told{}.tell());
    ASSERT_TRUE(run_until([&] { return metric("transport.tells.dropped.unreachable") == 1; }));
    const auto attempts = a->handler.refused.size();
    run_for(200ms);
    EXPECT_LE(a->handler.refused.size(), attempts + 1) << "and then nothing is left to try for";
    stop(*a);
}

TEST_P(Association, RefusesAndTellsAQuarantinedIncarnation) {
    auto a = node();
    auto b = node();
    a->transport->tell(b->address(), Told{}.tell());
    b->transport->tell(a->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return a->sink->count() == 1 && b->sink->count() == 1; }));
    a->transport->quarantine(b->self(), false);
    EXPECT_EQ(a->transport->tell(b->address(), Told{}.tell()), TellResult::NoRoute);
    ASSERT_TRUE(run_until([&] { return !b->handler.quarantined_by.empty(); }));
    EXPECT_EQ(b->handler.quarantined_by.front(), a->self());
    ASSERT_TRUE(run_until([&] { return metric("transport.links.outbound") == 0; }));
    a->transport->send(b->self(), heartbeat(*a, 1));
    EXPECT_EQ(metric("transport.messages.dropped.quarantined"), 1);
    // It comes back: refused, with the reason.
    b->handler.quarantined_by.clear();
    b->transport->tell(a->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return !b->handler.quarantined_by.empty(); }));
    EXPECT_TRUE(logged_about("transport.handshake.refused", "quarantined"));
    EXPECT_EQ(a->sink->count(), 1U);
    stop(*a);
    stop(*b);
}

TEST_P(Association, EndsAQuarantineWithTheNextIncarnation) {
    auto options = this->options();
    auto a = node();
    auto b = node();
    a->transport->tell(b->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    a->transport->quarantine(b->self(), true);
    ASSERT_TRUE(run_until([&] { return metric("transport.links.outbound") == 0; }));
    EXPECT_TRUE(b->handler.quarantined_by.empty()) << "harmless: not told";
    options.listen_port = *b->address().port;
    stop(*b);
    auto c = node(options);
    c->transport->tell(a->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return a->sink->count() == 1; }));
    EXPECT_EQ(a->transport->tell(c->address(), Told{}.tell()), TellResult::Queued);
    EXPECT_TRUE(run_until([&] { return c->sink->count() == 1; }));
    stop(*a);
    stop(*c);
}

TEST_P(Association, EndsAQuarantineWhenTheNextIncarnationIsExpected) {
    auto options = this->options();
    auto a = node();
    auto b = node();
    a->transport->tell(b->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    a->transport->quarantine(b->self(), true);
    ASSERT_TRUE(run_until([&] { return metric("transport.links.outbound") == 0; }));
    a->transport->expect(b->self());
    EXPECT_EQ(a->transport->tell(b->address(), Told{}.tell()), TellResult::NoRoute)
        << "this one is quarantined";
    options.listen_port = *b->address().port;
    stop(*b);
    auto c = node(options);
    EXPECT_EQ(a->transport->tell(c->address(), Told{}.tell()), TellResult::NoRoute)
        << "nobody knows of it yet";
    a->transport->expect(c->self());
    EXPECT_EQ(a->transport->tell(c->address(), Told{}.tell()), TellResult::Queued)
        << "although it never connected to us";
    EXPECT_TRUE(run_until([&] { return c->sink->count() == 1; }));
    stop(*a);
    stop(*c);
}

TEST_P(Association, GoesOnUnderAnotherIncarnation) {
    auto a = node();
    auto b = node();
    a->transport->tell(b->address(), Told{}.tell());
    b->transport->tell(a->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return a->sink->count() == 1 && b->sink->count() == 1; }));
    const UniqueAddress before = a->self();
    a->transport->renew_incarnation(Uid{before.uid().value + 1});
    EXPECT_NE(a->self(), before);
    EXPECT_EQ(a->address(), before.address());
    ASSERT_TRUE(run_until([&] { return b->handler.count(LinkEvent::GoodbyeStopping) == 2; }));
    a->transport->tell(b->address(), Told{}.tell());
    b->transport->tell(a->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return a->sink->count() == 2 && b->sink->count() == 2; }));
    EXPECT_TRUE(b->handler.saw(a->self(), LinkEvent::Established));
    EXPECT_TRUE(b->handler.saw(before, LinkEvent::OtherIncarnation));
    stop(*a);
    stop(*b);
}

TEST_P(Association, ResetsALinkOnWhichNothingMoves) {
    auto options = this->options();
    options.half_open_timeout = 200ms;
    options.association_bytes_max = 64 * 1024 * 1024; // more than all buffers on the way
    auto a = node(options);
    auto b = node();
    RawPeer stuck{*runtime_};
    const Address there = Address::remote("akka.tcp", "test", "127.0.0.1", stuck.listen());
    stuck.stop_reading();
    const UniqueAddress claimed{there, Uid{7}};
    stuck.send(wire::HelloReply{.cluster_name = "test", .from = claimed, .answer = wire::HelloAccepted{}});
    for (int i = 0; i < 40; ++i) a->transport->tell(there, Told{.text = std::string(1'000'000, 'x')}.tell());
    ASSERT_TRUE(run_until([&] { return metric("transport.links.half_open") == 1; }));
    EXPECT_TRUE(logged_about("transport.link.half_open", there.to_string()));
    ASSERT_TRUE(run_until([&] { return a->handler.saw(claimed, LinkEvent::GoodbyeLink); }))
        << "silence is no proof";
    a->transport->tell(b->address(), Told{}.tell());
    EXPECT_TRUE(run_until([&] { return b->sink->count() == 1; })) << "the other associations go on";
    stop(*a);
    stop(*b);
}

TEST_P(Association, GivesUpOnAnAcceptorThatDoesNotReplyInTime) {
    auto options = this->options();
    options.handshake_timeout = 100ms;
    auto a = node(options);
    RawPeer silent{*runtime_};
    const Address there = Address::remote("akka.tcp", "test", "127.0.0.1", silent.listen());
    a->transport->tell(there, Told{}.tell());
    ASSERT_TRUE(run_until([&] { return metric("transport.handshakes.timed_out") >= 1; }));
    EXPECT_TRUE(logged_about("transport.handshake.failed", there.to_string()));
    EXPECT_TRUE(run_until([&] { return silent.accepted() >= 2; })) << "and tries again";
    stop(*a, 200ms);
}

TEST_P(Association, ResolvesNames) {
    auto options = this->options();
    options.advertised_host = "localhost";
    auto a = node();
    auto b = node(options);
    EXPECT_EQ(b->address().host, "localhost");
    a->transport->tell(b->address(), Told{}.tell());
    EXPECT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    stop(*a);
    stop(*b);
}

TEST_P(Association, SpeaksIPv6) {
    auto options = this->options();
    options.listen_host = "::1";
    auto tried = runtime_->listen(net::Endpoint::parse("::1", 0).value(), {});
    if (!tried) {
        std::printf("not run: Association.SpeaksIPv6/%s (%s; enable IPv6 on the loopback interface)\n",
                    GetParam().name, tried.error().message().c_str());
        return;
    }
    tried.value()->close();
    auto a = node(options);
    auto b = node(options);
    a->transport->tell(b->address(), Told{}.tell());
    EXPECT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    EXPECT_EQ(b->address().host, "::1");
    stop(*a);
    stop(*b);
}

TEST_P(Association, LetsTheSinkKeepAPayloadWithoutACopyUpToALimit) {
    struct KeepingSink final : RemoteMessageSink {
        void deliver(std::string_view, std::string_view, const Slice& payload,
                     std::optional<std::string_view>) override {
            in_place += payload.owner() && payload.owner()->size() > payload.size() ? 1 : 0;
            kept.push_back(payload);
        }
        std::vector<Slice> kept;
        int in_place = 0;
    };
    for (const bool limited : {false, true}) {
        auto options = this->options();
        if (limited) options.retained_bytes_max = 1;
        auto a = node();
        auto keeping = std::make_shared<KeepingSink>();
        auto listening = TcpClusterTransport::listen(*runtime_, options);
        auto& b = *listening.value();
        RecordingHandler handler;
        b.start(handler, keeping);
        const auto copied_before = metric("transport.tells.copied");
        // In waves, so that the transport moves on to another buffer with payloads of the former still held.
        for (std::size_t wave = 1; wave <= 20; ++wave) {
            for (int i = 0; i < 10; ++i)
                a->transport->tell(b.self().address(), Told{.text = numbered(i)}.tell());
            ASSERT_TRUE(run_until([&] { return keeping->kept.size() == wave * 10; }));
        }
        for (std::size_t i = 0; i < keeping->kept.size(); ++i)
            EXPECT_EQ(keeping->kept[i].text(), numbered(static_cast<int>(i % 10)));
        EXPECT_GT(keeping->in_place, 0);
        if (limited)
            EXPECT_GT(metric("transport.tells.copied"), copied_before);
        else
            EXPECT_EQ(metric("transport.tells.copied"), copied_before);
        keeping->kept.clear();
        bool done = false;
        stop(*a);
        b.shutdown(runtime_->monotonic_now() + 1s, [&] { done = true; });
        ASSERT_TRUE(run_until([&] { return done; }));
    }
}

TEST_P(Association, SurvivesASinkThatThrows) {
    struct ThrowingSink final : RemoteMessageSink {
        void deliver(std::string_view, std::string_view, const Slice&,
                     std::optional<std::string_view>) override {
            ++calls;
            throw std::runtime_error("the application's mistake");
        }
        int calls = 0;
    };
    auto a = node();
    auto throwing = std::make_shared<ThrowingSink>();
    auto listening = TcpClusterTransport::listen(*runtime_, options());
    RecordingHandler handler;
    listening.value()->start(handler, throwing);
    for (int i = 0; i < 3; ++i) a->transport->tell(listening.value()->self().address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return throwing->calls == 3; }));
    EXPECT_EQ(metric("transport.tells.dropped.sink_failed"), 3);
    EXPECT_TRUE(logged_about("transport.sink.failed", "the application's mistake"));
    EXPECT_EQ(handler.count(LinkEvent::Accepted), 1U);
    stop(*a);
    listening.value().reset();
}

TEST_P(Association, TalksToItselfWithoutAConnection) {
    auto a = node();
    const std::string large(300'000, 'x'); // runs over chunks
    a->transport->tell(a->address(), Told{}.tell());
    a->transport->tell(a->address(), Told{.text = large}.tell());
    EXPECT_EQ(a->sink->count(), 0U) << "never inside tell()";
    EXPECT_TRUE(run_until([&] { return a->sink->count() == 2; }));
    EXPECT_EQ(a->sink->records().at(1).payload.text(), large);
    EXPECT_EQ(metric("transport.handshakes.done"), 0);
    EXPECT_EQ(metric("net.connect.opened"), 0);
    EXPECT_EQ(metric("transport.tells.delivered"), 2);
    stop(*a);
}

TEST_P(Association, DeliversToItselfWhatWasAcceptedBeforeItStops) {
    auto a = node();
    for (int i = 0; i < 1000; ++i)
        ASSERT_EQ(a->transport->tell(a->address(), Told{.text = numbered(i)}.tell()), TellResult::Queued);
    stop(*a);
    ASSERT_EQ(a->sink->count(), 1000U);
    EXPECT_EQ(a->sink->records().back().payload.text(), numbered(999));
}

TEST_P(Association, IsFullToItselfAtItsLimitToo) {
    auto small = options();
    small.association_bytes_max = 4096;
    auto a = node(small);
    const Told told{.text = std::string(3000, 'x')};
    EXPECT_EQ(a->transport->tell(a->address(), told.tell()), TellResult::Queued);
    EXPECT_EQ(a->transport->tell(a->address(), told.tell()), TellResult::Full);
    std::vector<TellResult> waited;
    a->transport->tell_when_room(a->address(), told.tell(), [&](TellResult r) { waited.push_back(r); });
    EXPECT_TRUE(run_until([&] { return a->sink->count() == 2 && waited.size() == 1; }));
    EXPECT_EQ(waited.at(0), TellResult::Queued);
    stop(*a);
}

TEST_P(Association, TalksToItselfAlthoughAFormerIncarnationOfItsAddressIsQuarantined) {
    auto a = node();
    const UniqueAddress former{a->address(), Uid{a->self().uid().value + 1}};
    a->transport->quarantine(former, false);
    a->transport->send(Destination{former}, heartbeat(*a, 1));
    EXPECT_EQ(a->transport->tell(a->address(), Told{}.tell()), TellResult::Queued);
    EXPECT_TRUE(run_until([&] { return a->sink->count() == 1; }));
    EXPECT_EQ(metric("transport.messages.dropped.other_incarnation"), 1);
    EXPECT_EQ(metric("net.connect.opened"), 0);
    stop(*a);
}

TEST_P(Association, DestroyedWithoutShutdownLeavesNothingBehind) {
    auto a = node();
    auto b = node();
    a->transport->tell(b->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    a->transport->tell(b->address(), Told{}.tell());
    a.reset();
    b.reset();
    run_for(20ms);
    EXPECT_EQ(runtime_->chunks()->in_use(), 0U);
}

TEST_P(Association, MayBeDestroyedWithTheRuntimeStopped) {
    auto a = node();
    auto b = node();
    a->transport->tell(b->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    // Nobody runs the Runtime any more: its destruction ends the coroutines.
    a.reset();
    b.reset();
}

TEST(AssociationMemory, IsUnderTwoKibibytesWhenIdle) {
    // The object with its texts; chunks, queues, coroutines and connections are gone then (see
    // ClosesWhenIdleAndReturnsItsMemory).
    EXPECT_LT(sizeof(transport::Association), 1024U);
}

} // namespace
} // namespace muster::test
