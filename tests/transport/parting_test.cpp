// SPDX-License-Identifier: Apache-2.0
// Who waits for an address that does not answer hears of it in time, and who left in order is no reason for a
// warning.
#include <algorithm>

#include "harness.hpp"
#include "raw_peer.hpp"

namespace muster::test {
namespace {

using namespace std::chrono_literals;

class WaitingTell : public TransportTest {
protected:
    void wait(Node& from, const Address& to, std::string text) {
        from.transport->tell_when_room(to, Told{.text = std::move(text)}.tell(),
                                       [this](TellResult r) { answers_.push_back(r); });
    }
    TcpTransportOptions narrow() {
        auto options = this->options();
        options.association_bytes_max = 2000;
        options.connect_timeout = 3s;
        return options;
    }
    std::vector<TellResult> answers_;
};
INSTANTIATE_TEST_SUITE_P(On, WaitingTell, testing::ValuesIn(simulated_backend()), backend_name);

class Parting : public TransportTest {
protected:
    std::size_t warnings() {
        const auto records = log_->records();
        return static_cast<std::size_t>(
            std::ranges::count_if(records, [](const LogRecord& r) { return r.level >= LogLevel::Warning; }));
    }
    /// `from` goes on talking to `to` for a while.
    void talk(Node& from, const Address& to) {
        for (std::int64_t n = 1; n <= 10; ++n) {
            from.transport->send(to, Heartbeat{from.address(), n, 0});
            from.transport->tell(to, Told{}.tell());
            run_for(50ms);
        }
    }
};
INSTANTIATE_TEST_SUITE_P(On, Parting, testing::ValuesIn(backends()), backend_name);

} // namespace

TEST_P(WaitingTell, ToAnAddressThatDoesNotAnswerEndsAfterTheConnectDeadline) {
    RawPeer silent{*runtime_};
    silent.keep_connections();
    for (const Address& there : {Address::remote("akka.tcp", "test", "127.0.0.1", silent.listen()),
                                 Address::remote("akka.tcp", "test", "127.0.0.1", unused_port(*runtime_))}) {
        auto a = node(narrow());
        answers_.clear();
        const std::int64_t before = metric("transport.tells.refused.unreachable");
        wait(*a, there, std::string(1800, 'x'));
        run_for(10ms);
        EXPECT_EQ(answers_, std::vector{TellResult::Queued}) << "it had room";
        wait(*a, there, "a"); // and so has this
        run_for(10ms);
        EXPECT_EQ(answers_.size(), 2U);
        for (int i = 0; i < 3; ++i) wait(*a, there, std::string(500, 'y'));
        run_for(2800ms);
        EXPECT_EQ(answers_.size(), 2U) << "they wait";
        run_for(1500ms);
        ASSERT_EQ(answers_.size(), 5U);
        EXPECT_EQ(std::ranges::count(answers_, TellResult::Unreachable), 3);
        EXPECT_EQ(metric("transport.tells.refused.unreachable"), before + 3);
        wait(*a, there, std::string(500, 'z'));
        run_for(1100ms);
        ASSERT_EQ(answers_.size(), 6U);
        EXPECT_EQ(answers_.back(), TellResult::Unreachable) << "a later one hears it at the next look";
        stop(*a, 100ms);
    }
}

TEST_P(WaitingTell, OutlivesARestartThatIsShorterThanTheConnectDeadline) {
    auto with = options();
    with.listen_port = unused_port(*runtime_);
    const Address there = Address::remote("akka.tcp", "test", "127.0.0.1", with.listen_port);
    auto a = node(narrow());
    for (int i = 0; i < 6; ++i) wait(*a, there, std::string(1800, 'x'));
    run_for(2000ms);
    auto b = node(with);
    EXPECT_TRUE(run_until([&] { return b->sink->count() == 6; }));
    EXPECT_EQ(answers_, std::vector<TellResult>(6, TellResult::Queued));
    stop(*a);
    stop(*b);
}

TEST_P(WaitingTell, ARestLeavesNoFormerFailureBehind) {
    auto a = node(narrow());
    const Address there = Address::remote("akka.tcp", "test", "127.0.0.1", unused_port(*runtime_));
    a->transport->send(there,
                       Heartbeat{a->address(), 1, 0}); // nobody is there, and then nothing is left to say
    run_for(3600s);
    a->transport->tell(there, Told{}.tell());
    for (int i = 0; i < 3; ++i) wait(*a, there, std::string(2000, 'y'));
    run_for(2000ms);
    EXPECT_TRUE(answers_.empty()) << "their time begins now";
    EXPECT_EQ(metric("transport.tells.dropped.unreachable"), 0);
    stop(*a, 100ms);
}

TEST_P(Parting, WhoSaidThatItStopsIsNoReasonForAWarning) {
    auto a = node();
    auto b = node();
    const Address there = b->address();
    b->transport->tell(a->address(), Told{}.tell());
    a->transport->tell(there, Told{}.tell());
    ASSERT_TRUE(run_until([&] { return a->sink->count() == 1 && b->sink->count() == 1; }));
    stop(*b);
    talk(*a, there);
    EXPECT_GE(metric("transport.connects.refused"), 1);
    EXPECT_GE(logged("transport.connect.failed"), 1U);
    EXPECT_EQ(warnings(), 0U);
    stop(*a, 100ms);
}

TEST_P(Parting, WhoWentWithoutAWordIsOne) {
    auto a = node();
    auto b = node();
    const Address there = b->address();
    a->transport->tell(there, Told{}.tell());
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    crash(*b);
    talk(*a, there);
    EXPECT_GE(warnings(), 1U);
    stop(*a, 100ms);
}

} // namespace muster::test
