// SPDX-License-Identifier: Apache-2.0
/// What must never happen and does: each case ends in a log line with the peer and a counter, and leaves the
/// other associations untouched.
#include "base/setting_limits.hpp"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "harness.hpp"
#include "raw_peer.hpp"

namespace muster::test {
namespace {

using namespace std::chrono_literals;

/// A node with a well-behaved peer, whose link must survive everything, and a raw peer.
class BadInput : public TransportTest {
protected:
    void SetUp() override {
        auto with = options();
        with.handshake_timeout = 300ms;
        with.half_open_timeout = 300ms;
        with.association_idle_timeout = 1h;
        adjust(with);
        victim_ = node(with);
        friend_ = node(with);
        friend_->transport->tell(victim_->address(), Told{}.tell());
        victim_->transport->tell(friend_->address(), Told{}.tell());
        ASSERT_TRUE(run_until([&] { return victim_->sink->count() == 1 && friend_->sink->count() == 1; }));
    }
    void TearDown() override {
        friend_->transport->tell(victim_->address(), Told{.text = "still here"}.tell());
        victim_->transport->tell(friend_->address(), Told{.text = "still here"}.tell());
        EXPECT_TRUE(run_until([&] { return victim_->sink->count() == 2 && friend_->sink->count() == 2; }));
        EXPECT_EQ(established_with_friend(), 2U) << "on the links of before";
        stop(*victim_);
        stop(*friend_);
    }
    virtual void adjust(TcpTransportOptions&) {}

    std::size_t established_with_friend() const {
        std::size_t count = 0;
        for (const auto& l : victim_->handler.links)
            count += (l.event == LinkEvent::Established || l.event == LinkEvent::Accepted) &&
                             l.peer == friend_->self()
                         ? 1
                         : 0;
        return count;
    }
    std::uint16_t port() const { return *victim_->address().port; }
    wire::Hello hello() const {
        wire::Hello h;
        h.cluster_name = "test";
        h.from = raw_self_;
        h.to = victim_->address();
        return h;
    }
    /// A raw peer past the handshake.
    void greet(RawPeer& raw) {
        raw.dial(port());
        raw.send(hello());
        ASSERT_TRUE(run_until([&] { return raw.first<wire::HelloReply>().has_value(); }));
        ASSERT_TRUE(std::holds_alternative<wire::HelloAccepted>(raw.first<wire::HelloReply>()->answer));
        ASSERT_TRUE(victim_->handler.saw(raw_self_, LinkEvent::Accepted));
    }
    /// The raw peer was told why, and the connection is over.
    void expect_goodbye(RawPeer& raw) {
        ASSERT_TRUE(run_until([&] { return raw.end().has_value(); }));
        const auto goodbye = raw.first<wire::Goodbye>();
        ASSERT_TRUE(goodbye.has_value());
        EXPECT_EQ(goodbye->reason, wire::GoodbyeReason::Protocol);
        EXPECT_FALSE(goodbye->detail.empty());
        EXPECT_EQ(raw.end(), Errc::end_of_stream);
        EXPECT_TRUE(logged_about("transport.link.malformed", raw_self_.address().to_string()));
        raw.close(net::Close::Graceful);
        EXPECT_TRUE(run_until([&] { return victim_->handler.saw(raw_self_, LinkEvent::GoodbyeLink); }));
    }
    void expect_refused(RawPeer& raw, wire::RefusalReason reason) {
        ASSERT_TRUE(run_until([&] { return raw.first<wire::HelloReply>().has_value(); }));
        const auto reply = *raw.first<wire::HelloReply>();
        ASSERT_TRUE(std::holds_alternative<wire::HelloRefused>(reply.answer));
        EXPECT_EQ(std::get<wire::HelloRefused>(reply.answer).reason, reason);
        EXPECT_FALSE(std::get<wire::HelloRefused>(reply.answer).detail.empty());
        EXPECT_EQ(reply.from, victim_->self());
        EXPECT_TRUE(logged_about("transport.handshake.refused", std::string{wire::to_string(reason)}));
        EXPECT_EQ(metric("transport.handshakes.refused"), 1);
        ASSERT_TRUE(run_until([&] { return raw.end().has_value(); }));
        raw.close(net::Close::Graceful);
    }

    std::unique_ptr<Node> victim_;
    std::unique_ptr<Node> friend_;
    const UniqueAddress raw_self_{Address::remote("akka.tcp", "test", "10.9.8.7", 1234), Uid{42}};
};
INSTANTIATE_TEST_SUITE_P(On, BadInput, testing::ValuesIn(backends()), backend_name);

TEST_P(BadInput, GarbageInsteadOfHelloIsRefused) {
    RawPeer raw{*runtime_};
    raw.dial(port());
    raw.send("GET / HTTP/1.1\r\nHost: example\r\n\r\n");
    expect_refused(raw, wire::RefusalReason::Protocol);
    EXPECT_TRUE(logged_about("transport.handshake.refused", "127.0.0.1:"));
}

TEST_P(BadInput, GarbageOfAPlausibleLengthIsRefused) {
    RawPeer raw{*runtime_};
    raw.dial(port());
    raw.send(std::string{"\0\0\0\x05\xff\xfe\xfd\xfc\xfb", 9});
    expect_refused(raw, wire::RefusalReason::Protocol);
    EXPECT_EQ(metric("transport.frames.malformed"), 1);
}

TEST_P(BadInput, AFrameLengthOfFourGibibytesIsRefusedBeforeTheHandshake) {
    RawPeer raw{*runtime_};
    raw.dial(port());
    raw.send(std::string{"\xff\xff\xff\xff", 4});
    expect_refused(raw, wire::RefusalReason::Protocol);
    EXPECT_EQ(metric("transport.frames.too_large"), 1);
}

TEST_P(BadInput, AFrameLengthOfFourGibibytesEndsTheLink) {
    RawPeer raw{*runtime_};
    greet(raw);
    raw.send(std::string{"\xff\xff\xff\xff", 4});
    expect_goodbye(raw);
    EXPECT_EQ(metric("transport.frames.too_large"), 1);
}

TEST_P(BadInput, MoreUnauthenticatedBytesThanAHelloNeedsAreRefused) {
    RawPeer raw{*runtime_};
    raw.dial(port());
    raw.send(std::string{"\0\x01\0\x01", 4}); // 64 KiB and one byte
    expect_refused(raw, wire::RefusalReason::Protocol);
}

TEST_P(BadInput, SilenceInsteadOfHelloEndsAtTheTimeout) {
    RawPeer raw{*runtime_};
    raw.dial(port());
    ASSERT_TRUE(run_until([&] { return raw.end().has_value(); }));
    EXPECT_EQ(raw.end(), Errc::reset);
    EXPECT_EQ(metric("transport.handshakes.timed_out"), 1);
    EXPECT_TRUE(logged_about("transport.handshake.timed_out", "127.0.0.1:"));
}

TEST_P(BadInput, HalfAHelloAndThenSilenceEndsAtTheTimeout) {
    RawPeer raw{*runtime_};
    raw.dial(port());
    const std::string bytes{wire::encode_frame(hello()).value().text()};
    raw.send(bytes.substr(0, bytes.size() / 2));
    ASSERT_TRUE(run_until([&] { return raw.end().has_value(); }));
    EXPECT_EQ(metric("transport.handshakes.timed_out"), 1);
}

TEST_P(BadInput, AConnectionThatEndsBeforeHelloIsCounted) {
    RawPeer raw{*runtime_};
    raw.dial(port());
    ASSERT_TRUE(run_until([&] { return raw.connected(); }));
    raw.close(net::Close::Graceful);
    ASSERT_TRUE(run_until([&] { return metric("transport.handshakes.failed") == 1; }));
    EXPECT_TRUE(logged_about("transport.handshake.failed", "127.0.0.1:"));
}

TEST_P(BadInput, GarbageAfterTheHandshakeEndsTheLink) {
    RawPeer raw{*runtime_};
    greet(raw);
    raw.send(std::string{"\0\0\0\x03\x01\xff\xff", 7});
    expect_goodbye(raw);
    EXPECT_EQ(metric("transport.frames.malformed"), 1);
}

TEST_P(BadInput, AnEmptyFrameEndsTheLink) {
    RawPeer raw{*runtime_};
    greet(raw);
    raw.send(std::string(4, '\0'));
    expect_goodbye(raw);
}

TEST_P(BadInput, AClaimOfAMillionEntriesInTenBytesEndsTheLink) {
    RawPeer raw{*runtime_};
    greet(raw);
    // A Join: node, then a count of roles. Here the protocol's text claims 2^20 bytes.
    const char kind = static_cast<char>(wire::FrameKind::Join);
    raw.send(std::string{"\0\0\0\x0a", 4} + kind + std::string{"\xfc\0\0\x10\0zzzz", 9});
    expect_goodbye(raw);
    EXPECT_EQ(metric("transport.frames.malformed"), 1);
}

TEST_P(BadInput, AnUnknownVariantOfAPeerOfOurVersionEndsTheLink) {
    RawPeer raw{*runtime_};
    greet(raw);
    raw.send(std::string{"\0\0\0\x02\xf0z", 6});
    expect_goodbye(raw);
}

TEST_P(BadInput, AnUnknownVariantOfANewerPeerIsSkippedAndCounted) {
    RawPeer raw{*runtime_};
    raw.dial(port());
    wire::Hello newer = hello();
    newer.version_max = wire_version_max + 1;
    raw.send(newer);
    ASSERT_TRUE(run_until([&] { return raw.first<wire::HelloReply>().has_value(); }));
    raw.send(std::string{"\0\0\0\x02\xf0z", 6});
    raw.send(ClusterMessage{Heartbeat{raw_self_.address(), 5, 0}});
    ASSERT_TRUE(run_until([&] { return victim_->handler.messages.size() == 1; }));
    EXPECT_EQ(metric("transport.frames.skipped.unknown"), 1);
    EXPECT_FALSE(raw.end().has_value());
}

TEST_P(BadInput, ASecondHelloEndsTheLink) {
    RawPeer raw{*runtime_};
    greet(raw);
    raw.send(hello());
    expect_goodbye(raw);
    EXPECT_TRUE(logged_about("transport.link.malformed", "second Hello"));
}

TEST_P(BadInput, TheReferencesGossipIsSkipped) {
    RawPeer raw{*runtime_};
    greet(raw);
    raw.send(std::string{"\0\0\0\x04\0\0\0\0", 8}); // golden frame status_empty_from
    raw.send(ClusterMessage{Heartbeat{raw_self_.address(), 5, 0}});
    ASSERT_TRUE(run_until([&] { return victim_->handler.messages.size() == 1; }));
    EXPECT_EQ(metric("transport.frames.skipped.foreign"), 1);
}

TEST_P(BadInput, ATruncatedFrameAndThenSilenceEndsTheLink) {
    auto options = this->options();
    options.half_open_timeout = 200ms;
    options.association_idle_timeout = 60ms;
    auto strict = node(options);
    RawPeer raw{*runtime_};
    raw.dial(*strict->address().port);
    wire::Hello h = hello();
    h.to = strict->address();
    raw.send(h);
    raw.send(std::string{"\0\0\x10\0part", 8});
    ASSERT_TRUE(run_until([&] { return raw.end().has_value(); }));
    EXPECT_EQ(raw.end(), Errc::reset);
    EXPECT_EQ(metric("transport.links.half_open"), 1);
    EXPECT_TRUE(logged_about("transport.link.half_open", raw_self_.address().to_string()));
    EXPECT_TRUE(run_until([&] { return strict->handler.saw(raw_self_, LinkEvent::GoodbyeLink); }))
        << "silence is no proof";
    stop(*strict);
}

TEST_P(BadInput, APeerOfAnotherClusterIsRefused) {
    RawPeer raw{*runtime_};
    raw.dial(port());
    wire::Hello other = hello();
    other.cluster_name = "production";
    raw.send(other);
    expect_refused(raw, wire::RefusalReason::WrongCluster);
    EXPECT_TRUE(logged_about("transport.handshake.refused", raw_self_.address().to_string()));
}

TEST_P(BadInput, APeerOfAnotherProtocolVersionIsRefused) {
    RawPeer raw{*runtime_};
    raw.dial(port());
    wire::Hello other = hello();
    other.version_min = other.version_max = wire_version_max + 1;
    raw.send(other);
    expect_refused(raw, wire::RefusalReason::WrongVersion);
}

TEST_P(BadInput, AHelloForSomebodyElseIsRefused) {
    RawPeer raw{*runtime_};
    raw.dial(port());
    wire::Hello other = hello();
    other.to = Address::remote("akka.tcp", "test", "10.0.0.1", 9);
    raw.send(other);
    expect_refused(raw, wire::RefusalReason::WrongAddress);
}

TEST_P(BadInput, APeerThatCallsItselfByOurAddressIsRefused) {
    RawPeer raw{*runtime_};
    raw.dial(port());
    wire::Hello other = hello();
    other.from = UniqueAddress{victim_->address(), Uid{1}};
    raw.send(other);
    expect_refused(raw, wire::RefusalReason::WrongAddress);
}

TEST_P(BadInput, AFrameThatWasNotAgreedUponEndsTheLink) {
    RawPeer raw{*runtime_};
    greet(raw);
    raw.send(wire::Define{1, "akka://x/user/y"});
    expect_goodbye(raw);
}

TEST_P(BadInput, BothSidesOfARefusalLogItWithTheOthersAddress) {
    auto with = options();
    with.cluster_name = "production";
    auto other = node(with);
    // Dialled as a member of its cluster, which it is not.
    const Address wrong = Address::remote("akka.tcp", "production", "127.0.0.1", port());
    other->transport->tell(wrong, Told{}.tell());
    ASSERT_TRUE(run_until([&] { return logged("transport.handshake.refused") == 2; }));
    EXPECT_TRUE(logged_about("transport.handshake.refused", "acceptor"));
    EXPECT_TRUE(logged_about("transport.handshake.refused", "dialler"));
    EXPECT_TRUE(logged_about("transport.handshake.refused", other->address().to_string()));
    EXPECT_TRUE(logged_about("transport.handshake.refused", wrong.to_string()));
    EXPECT_TRUE(run_until([&] { return metric("transport.tells.dropped.refused") == 1; }));
    stop(*other);
}

TEST_P(BadInput, AnAcceptorThatIsSomebodyElseIsLeft) {
    RawPeer raw{*runtime_};
    const Address dialled = Address::remote("akka.tcp", "test", "127.0.0.1", raw.listen());
    raw.send(wire::HelloReply{.cluster_name = "test", .from = raw_self_, .answer = wire::HelloAccepted{}});
    victim_->transport->tell(dialled, Told{}.tell());
    ASSERT_TRUE(run_until([&] { return raw.first<wire::Goodbye>().has_value(); }));
    EXPECT_TRUE(logged_about("transport.handshake.refused", dialled.to_string()));
    EXPECT_EQ(metric("transport.tells.dropped.refused"), 1);
    raw.close(net::Close::Graceful);
}

TEST_P(BadInput, AnAcceptorThatTalksNonsenseIsLeft) {
    RawPeer raw{*runtime_};
    const Address dialled = Address::remote("akka.tcp", "test", "127.0.0.1", raw.listen());
    raw.send("220 mail.example ESMTP\r\n");
    victim_->transport->tell(dialled, Told{}.tell());
    ASSERT_TRUE(run_until([&] { return metric("transport.handshakes.failed") >= 1; }));
    EXPECT_TRUE(logged_about("transport.handshake.failed", dialled.to_string()));
}

TEST_P(BadInput, AnAcceptorThatSaysMoreThanGoodbyeIsLeft) {
    RawPeer raw{*runtime_};
    const Address dialled = Address::remote("akka.tcp", "test", "127.0.0.1", raw.listen());
    const UniqueAddress peer{dialled, Uid{3}};
    raw.send(wire::HelloReply{.cluster_name = "test", .from = peer, .answer = wire::HelloAccepted{}});
    raw.send(ClusterMessage{Heartbeat{dialled, 1, 0}});
    victim_->transport->tell(dialled, Told{}.tell());
    ASSERT_TRUE(run_until([&] { return logged("transport.link.malformed") == 1; }));
    EXPECT_TRUE(logged_about("transport.link.malformed", dialled.to_string()));
    EXPECT_TRUE(run_until([&] { return victim_->handler.saw(peer, LinkEvent::GoodbyeLink); }));
}

TEST_P(BadInput, ATellToAnUnknownHostIsLoggedAndDropped) {
    const Address nowhere = Address::remote("akka.tcp", "test", "no-such-host.invalid", 2551);
    EXPECT_EQ(victim_->transport->tell(nowhere, Told{}.tell()), TellResult::Queued);
    ASSERT_TRUE(run_until([&] { return metric("transport.resolves.failed") >= 1; }));
    EXPECT_TRUE(logged_about("transport.resolve.failed", nowhere.to_string()));
    auto options = this->options();
    options.association_idle_timeout = 50ms;
    options.backoff_max = 50ms;
    auto impatient = node(options);
    impatient->transport->tell(nowhere, Told{}.tell());
    EXPECT_TRUE(run_until([&] { return metric("transport.tells.dropped.unreachable") >= 1; }));
    stop(*impatient);
}

TEST_P(BadInput, APortInUseIsAnErrorThatNamesIt) {
    auto options = this->options();
    options.listen_port = port();
    const auto second = TcpClusterTransport::listen(*runtime_, options);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::address_in_use);
    EXPECT_NE(second.error().message().find(std::to_string(port())), std::string::npos);
    EXPECT_TRUE(logged_about("transport.listen.failed", std::to_string(port())));
    EXPECT_EQ(metric("transport.listens.failed"), 1);
}

TEST_P(BadInput, ANewerConnectionOfAPeerReplacesTheOlder) {
    RawPeer first{*runtime_};
    greet(first);
    RawPeer second{*runtime_};
    greet(second);
    ASSERT_TRUE(run_until([&] { return first.end().has_value(); }));
    EXPECT_EQ(first.first<wire::Goodbye>().value().reason, wire::GoodbyeReason::Superseded);
    first.close(net::Close::Graceful);
    EXPECT_EQ(metric("transport.links.superseded"), 1);
    second.send(ClusterMessage{Heartbeat{raw_self_.address(), 5, 0}});
    EXPECT_TRUE(run_until([&] { return victim_->handler.messages.size() == 1; }));
}

TEST_P(BadInput, AMessageInTheNameOfSomebodyElseIsDroppedAndTheLinkStays) {
    RawPeer raw{*runtime_};
    greet(raw);
    const UniqueAddress other_uid{raw_self_.address(), Uid{43}};
    raw.send(ClusterMessage{Heartbeat{friend_->address(), 1, 0}});
    raw.send(ClusterMessage{GossipStatus{friend_->self(), victim_->self(), {}, {}, {}}});
    raw.send(ClusterMessage{Join{other_uid, {"dc-default"}, {}}});
    raw.send(ClusterMessage{Heartbeat{raw_self_.address(), 5, 0}});
    ASSERT_TRUE(run_until([&] { return !victim_->handler.messages.empty(); }));
    ASSERT_EQ(victim_->handler.messages.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<Heartbeat>(victim_->handler.messages[0].message))
        << "its own word counts";
    EXPECT_EQ(metric("transport.frames.skipped.foreign"), 3);
    EXPECT_TRUE(logged_about("transport.frame.foreign", "Join"));
    EXPECT_FALSE(raw.end().has_value());
}

TEST_P(BadInput, ATellThatNamesAnotherSenderThanItsPeerIsDropped) {
    RawPeer raw{*runtime_};
    greet(raw);
    const std::string own = raw_self_.address().to_string();
    const auto told = [](std::string sender) {
        return wire::RemoteTell{"/user/a", "text",
                                Slice::copy_of(std::as_bytes(std::span{std::string_view{"x"}})),
                                std::move(sender)};
    };
    raw.send(told(friend_->address().to_string() + "/user/teller"));
    raw.send(told(own + "5/user/a")); // a prefix of the text alone
    raw.send(told("akka.tcp://test@"));
    const std::vector<std::string> allowed{own, own + "/user/a", "/user/a", "akka.tcp://test/user/a"};
    for (const auto& sender : allowed) raw.send(told(sender));
    ASSERT_TRUE(run_until([&] { return victim_->sink->count() == 1 + allowed.size(); }));
    const auto records = victim_->sink->records();
    for (std::size_t i = 0; i < allowed.size(); ++i) EXPECT_EQ(records[i + 1].sender_path, allowed[i]);
    EXPECT_EQ(metric("transport.tells.dropped.foreign_sender"), 3);
    EXPECT_TRUE(logged_about("transport.frame.foreign", "akka.tcp://test@"));
    EXPECT_FALSE(raw.end().has_value());
    victim_->sink->clear();
    friend_->transport->tell(victim_->address(), Told{}.tell()); // as TearDown counts
    EXPECT_TRUE(run_until([&] { return victim_->sink->count() == 1; }));
}

TEST_P(BadInput, AHelloInOurOwnNameIsRefused) {
    RawPeer raw{*runtime_};
    raw.dial(port());
    wire::Hello other = hello();
    other.from = victim_->self();
    raw.send(other);
    expect_refused(raw, wire::RefusalReason::WrongAddress);
    EXPECT_FALSE(victim_->handler.saw(victim_->self(), LinkEvent::Accepted));
}

TEST_P(BadInput, ThatThisNodeIsQuarantinedIsNotBelievedOfAConnectionItDidNotDial) {
    RawPeer raw{*runtime_};
    greet(raw);
    raw.send(wire::Goodbye{wire::GoodbyeReason::Quarantined, "two frames end any node"});
    ASSERT_TRUE(run_until([&] { return raw.end().has_value(); }));
    raw.close(net::Close::Graceful);
    EXPECT_TRUE(run_until([&] { return victim_->handler.saw(raw_self_, LinkEvent::GoodbyeLink); }));
    EXPECT_TRUE(victim_->handler.quarantined_by.empty());
}

TEST_P(BadInput, AnAcceptorQuarantinesThisNodeInItsOwnNameOnly) {
    RawPeer raw{*runtime_};
    const Address dialled = Address::remote("akka.tcp", "test", "127.0.0.1", raw.listen());
    wire::HelloReply reply;
    reply.cluster_name = "test";
    reply.from = friend_->self();
    reply.answer = wire::HelloRefused{wire::RefusalReason::Quarantined, "says somebody else"};
    victim_->transport->tell(dialled, Told{}.tell());
    raw.send(reply);
    ASSERT_TRUE(run_until([&] { return logged("transport.handshake.refused") == 1; }));
    EXPECT_TRUE(victim_->handler.quarantined_by.empty());
}

class FewConnections : public BadInput {
    void adjust(TcpTransportOptions& options) override { options.inbound_connections_max = 2; }
};
INSTANTIATE_TEST_SUITE_P(On, FewConnections, testing::ValuesIn(backends()), backend_name);

TEST_P(FewConnections, MoreAreClosedAtOnceAndCounted) {
    RawPeer first{*runtime_};
    greet(first);
    RawPeer second{*runtime_};
    second.dial(port());
    ASSERT_TRUE(run_until([&] { return second.end().has_value(); }));
    EXPECT_EQ(metric("transport.accepts.over_limit"), 1);
    EXPECT_TRUE(logged_about("transport.accept.over_limit", "127.0.0.1:"));
    EXPECT_FALSE(first.end().has_value());
}

class Descriptors : public BadInput {};
INSTANTIATE_TEST_SUITE_P(On, Descriptors, testing::ValuesIn(real_backends()), backend_name);

TEST_P(Descriptors, AcceptingGoesOnWhenThereAreSomeAgain) {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_GE(client, 0);
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    const int highest = ::dup(client);
    ASSERT_GE(highest, 0);
    rlimit tight = before;
    tight.rlim_cur = static_cast<rlim_t>(highest) + 1;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
    std::vector<int> hoard{highest};
    for (int fd = ::dup(client); fd >= 0; fd = ::dup(client)) hoard.push_back(fd);

    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(client, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    EXPECT_TRUE(run_until([&] { return metric("transport.accepts.failed") >= 3; }));
    EXPECT_EQ(logged("transport.accept.failed"), 1U) << "one line per shortage, not one per attempt";

    for (const int fd : hoard) ::close(fd);
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_TRUE(run_until([&] { return logged("transport.accept.recovered") == 1; }));
    ::close(client);
    EXPECT_TRUE(run_until([&] { return metric("transport.handshakes.failed") == 1; }));
}

TEST(TcpTransportOptions, NamesTheSettingThatIsWrong) {
    const auto subject_of = [](auto change) {
        TcpTransportOptions options;
        options.cluster_name = "test";
        change(options);
        const auto valid = options.validate();
        return valid ? std::string{} : valid.error().subject;
    };
    EXPECT_EQ(subject_of([](auto&) {}), "");
    EXPECT_EQ(subject_of([](auto& o) { o.cluster_name.clear(); }), "setting cluster_name");
    EXPECT_EQ(subject_of([](auto& o) { o.cluster_name.assign(256, 'x'); }), "setting cluster_name");
    EXPECT_EQ(subject_of([](auto& o) { o.listen_host = "0.0.0.0"; }), "setting advertised_host");
    EXPECT_EQ(subject_of([](auto& o) { o.frame_bytes_max = 1; }), "setting frame_bytes_max");
    EXPECT_EQ(subject_of([](auto& o) { o.backoff_min = o.backoff_max * 2; }), "setting backoff_max");
    EXPECT_EQ(subject_of([](auto& o) { o.handshake_timeout = 0ms; }), "setting handshake_timeout");
    EXPECT_EQ(subject_of([](auto& o) { o.lanes = 2; }), "setting lanes");
}

TEST(TcpTransportOptions, NamesALimitThatLetsNothingPassOrThatAnotherOneExceeds) {
    const auto subject_of = [](auto change) {
        TcpTransportOptions options;
        options.cluster_name = "test";
        change(options);
        const auto valid = options.validate();
        return valid ? std::string{} : valid.error().subject;
    };
    EXPECT_EQ(subject_of([](auto& o) { o.protocol.assign(256, 'x'); }), "setting protocol");
    EXPECT_EQ(subject_of([](auto& o) { o.advertised_host.assign(256, 'x'); }), "setting advertised_host");
    EXPECT_EQ(subject_of([](auto& o) { o.frame_bytes_max = 4096; }), "");
    EXPECT_EQ(subject_of([](auto& o) { o.frame_bytes_max = 4095; }), "setting frame_bytes_max");
    EXPECT_EQ(subject_of([](auto& o) {
                  o.frame_bytes_max = std::size_t{1} << 32U; // its length has four bytes
                  o.assembly_bytes_max = 0;
              }),
              "setting frame_bytes_max");
    EXPECT_EQ(subject_of([](auto& o) { o.assembly_bytes_max = 2 * o.frame_bytes_max; }), "");
    EXPECT_EQ(subject_of([](auto& o) { o.assembly_bytes_max = 2 * o.frame_bytes_max - 1; }),
              "setting assembly_bytes_max");
    EXPECT_EQ(subject_of([](auto& o) { o.assembly_bytes_max = 0; }), "") << "no limit";
    EXPECT_EQ(subject_of([](auto& o) { o.unauthenticated_bytes_max = 4095; }),
              "setting unauthenticated_bytes_max");
    EXPECT_EQ(subject_of([](auto& o) { o.association_bytes_max = 0; }), "setting association_bytes_max");
    EXPECT_EQ(subject_of([](auto& o) { o.membership_queue_max = 0; }), "setting membership_queue_max");
    EXPECT_EQ(subject_of([](auto& o) { o.inbound_connections_max = 0; }), "setting inbound_connections_max");
    EXPECT_EQ(subject_of([](auto& o) { o.associations_max = 0; }), "setting associations_max");
}

TEST(TcpTransportOptions, EveryDurationHasAnUpperBound) {
    using Field = std::chrono::milliseconds TcpTransportOptions::*;
    for (const Field field :
         {&TcpTransportOptions::handshake_timeout, &TcpTransportOptions::connect_timeout,
          &TcpTransportOptions::association_idle_timeout, &TcpTransportOptions::half_open_timeout,
          &TcpTransportOptions::backoff_max, &TcpTransportOptions::quarantine_for}) {
        TcpTransportOptions options;
        options.cluster_name = "test";
        options.*field = setting_duration_max;
        EXPECT_TRUE(options.validate());
        options.*field = setting_duration_max + 1ms;
        EXPECT_FALSE(options.validate());
        options.*field = std::chrono::milliseconds::max();
        EXPECT_FALSE(options.validate());
    }
}

TEST(TcpTransportOptions, NamesThatNoPeerCanReadAreRefused) {
    const auto valid = [](auto change) {
        TcpTransportOptions options;
        options.cluster_name = "test";
        change(options);
        return options.validate().has_value();
    };
    EXPECT_TRUE(valid([](auto& o) { o.cluster_name = "caf\xc3\xa9-1.x_y"; }));
    EXPECT_TRUE(valid([](auto& o) { o.advertised_host = "Host-1.example"; }));
    EXPECT_TRUE(valid([](auto& o) { o.advertised_host = "fe80::1%eth0"; }));
    for (const std::string bad :
         {"a b", "a/b", "a@b", "a:b", "a#b", "a\nb", "a\r", "\xff", "caf\xe9", "\xc2\x85", "a%b"}) {
        EXPECT_FALSE(valid([&](auto& o) { o.cluster_name = bad; })) << bad;
        EXPECT_FALSE(valid([&](auto& o) { o.protocol = bad; })) << bad;
        EXPECT_FALSE(valid([&](auto& o) { o.advertised_host = bad; })) << bad;
    }
    EXPECT_FALSE(valid([](auto& o) { o.advertised_host = std::string(300, 'x'); }));
    for (const char* any : {"0.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0", "[::]"}) {
        EXPECT_FALSE(valid([&](auto& o) { o.listen_host = any; })) << any;
        EXPECT_FALSE(valid([&](auto& o) { o.advertised_host = any; })) << any;
    }
}

} // namespace
} // namespace muster::test
