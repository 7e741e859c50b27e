#include <string>

#include "harness.hpp"

namespace muster::test {
namespace {

using namespace std::chrono_literals;

class Association : public TransportTest {};
INSTANTIATE_TEST_SUITE_P(On, Association, testing::ValuesIn(backends()), backend_name);

TEST_P(Association, CarriesATellToTheSinkOfThePeer) {
    auto a = node();
    auto b = node();
    const Told told{"akka.tcp://test@host:1/user/echo", "hello"};
    Tell tell = told.tell();
    tell.sender_path = "akka.tcp://test@host:2/user/me";
    EXPECT_EQ(a->transport->tell(b->address(), tell), TellResult::Queued);
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    const auto record = b->sink->records().at(0);
    EXPECT_EQ(record.target_path, told.path);
    EXPECT_EQ(record.manifest, "text");
    EXPECT_EQ(record.payload.text(), "hello");
    EXPECT_EQ(record.sender_path, "akka.tcp://test@host:2/user/me");
    stop(*a);
    stop(*b);
}

TEST_P(Association, IsOpenedOnceForAHundredFirstTells) {
    auto a = node();
    auto b = node();
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(a->transport->tell(b->address(), Told{.text = std::to_string(i)}.tell()), TellResult::Queued);
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 100; }));
    EXPECT_EQ(b->handler.count(LinkEvent::Established), 1U);
    EXPECT_EQ(a->handler.count(LinkEvent::Established), 1U);
    const auto records = b->sink->records();
    for (int i = 0; i < 100; ++i) EXPECT_EQ(records[static_cast<std::size_t>(i)].payload.text(), std::to_string(i));
    stop(*a);
    stop(*b);
}

} // namespace
} // namespace muster::test
