// SPDX-License-Identifier: Apache-2.0
// What becomes of links whose peer falls silent, and what is concluded from it.
#include "link/link_end.hpp"

#include "../net/private_network.hpp"
#include "harness.hpp"

#include <cstdio>

namespace muster::transport {
namespace {

std::optional<Error> error(Errc code) { return Error{code, {}, {}, {}}; }

} // namespace

TEST(LinkEnd, IsBrokenWhereTheOtherSideEndedIt) {
    for (const Errc code : {Errc::end_of_stream, Errc::reset, Errc::closed}) {
        EXPECT_EQ(end_of(error(code)), LinkEnd::Broken);
        EXPECT_EQ(event_of(end_of(error(code))), LinkEvent::EndedWithoutGoodbye);
    }
}

TEST(LinkEnd, ByATimeOutIsNoEvidence) {
    // The system reports what the network said last, once it gives up: that is no refusal of a new
    // connection.
    for (const Errc code : {Errc::timed_out, Errc::unreachable, Errc::refused}) {
        EXPECT_EQ(end_of(error(code)), LinkEnd::Silent);
        EXPECT_EQ(event_of(end_of(error(code))), LinkEvent::GoodbyeLink);
        EXPECT_TRUE(is_silence(*error(code)));
    }
    EXPECT_EQ(event_of(end_of(error(Errc::no_memory))), LinkEvent::GoodbyeLink)
        << "this node's own lack is no evidence";
    EXPECT_FALSE(is_silence(*error(Errc::no_memory)));
}

} // namespace muster::transport

namespace muster::test {
namespace {

using namespace std::chrono_literals;

using BlackHole = TransportTest;

INSTANTIATE_TEST_SUITE_P(Transport, BlackHole, testing::ValuesIn(real_backends()), backend_name);

} // namespace

TEST_P(BlackHole, EndsItsLinksInBothDirectionsAtTheHalfOpenLimitAndProvesNothing) {
    PrivateNetwork network;
    if (!network.why_not().empty()) {
        std::printf("not run: BlackHole.EndsItsLinks (%s; run as root)\n", network.why_not().c_str());
        return;
    }
    auto options = this->options();
    options.half_open_timeout = 1s;
    auto a = node(options);
    auto b = node(options);
    const UniqueAddress here = a->self();
    const UniqueAddress there = b->self();
    a->transport->tell(b->address(), Told{}.tell());
    ASSERT_TRUE(
        run_until([&] { return b->sink->count() == 1 && a->handler.saw(there, LinkEvent::Established); }));
    ASSERT_TRUE(network.pull_the_cable());
    a->transport->tell(b->address(),
                       Told{}.tell()); // fits into the socket's buffer: the send is over at once
    ASSERT_TRUE(run_until([&] { return a->handler.saw(there, LinkEvent::GoodbyeLink); }));
    ASSERT_TRUE(run_until([&] { return b->handler.saw(here, LinkEvent::GoodbyeLink); }))
        << "who only listens notices it, too";
    EXPECT_EQ(metric("transport.links.half_open"), 2);
    EXPECT_EQ(logged("transport.link.half_open"), 2U);
    EXPECT_EQ(a->handler.count(LinkEvent::EndedWithoutGoodbye) +
                  b->handler.count(LinkEvent::EndedWithoutGoodbye),
              0U);
    EXPECT_EQ(a->handler.count(LinkEvent::ReconnectRefused), 0U);
    stop(*a, 100ms);
    stop(*b, 100ms);
}

} // namespace muster::test
