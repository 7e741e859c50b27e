// SPDX-License-Identifier: Apache-2.0
// TcpTransportOptions::congestion_control reaches both ends of every connection.
#include "../net/descriptors.hpp"
#include "harness.hpp"

#include <netinet/tcp.h>

namespace muster::test {
namespace {

using CongestionControl = TransportTest;

INSTANTIATE_TEST_SUITE_P(Transport, CongestionControl, testing::ValuesIn(real_backends()), backend_name);

/// Of every connected TCP socket of this process.
std::multiset<std::string> controls_in_use() {
    std::multiset<std::string> controls;
    net::test::for_each_connected([&](int descriptor, const net::Endpoint&, const net::Endpoint&) {
        char name[16] = {};
        socklen_t size = sizeof(name) - 1;
        if (getsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, name, &size) == 0) controls.insert(name);
    });
    return controls;
}

} // namespace

TEST_P(CongestionControl, IsWhatTheOptionsNameAtBothEndsOfALink) {
    auto options = this->options();
    options.congestion_control = "reno";
    auto a = node(options);
    auto b = node(options);
    ASSERT_EQ(a->transport->tell(b->address(), Told{}.tell()), TellResult::Queued);
    ASSERT_TRUE(run_until([&] { return b->sink->records().size() == 1; }));
    EXPECT_EQ(controls_in_use(), (std::multiset<std::string>{"reno", "reno"}));
}

TEST_P(CongestionControl, ByDefaultDoesNotPaceBetweenTwoNodesOfOneHost) {
    auto a = node();
    auto b = node();
    ASSERT_EQ(a->transport->tell(b->address(), Told{}.tell()), TellResult::Queued);
    ASSERT_TRUE(run_until([&] { return b->sink->records().size() == 1; }));
    const auto controls = controls_in_use();
    ASSERT_EQ(controls.size(), 2U);
    for (const std::string& control : controls)
        EXPECT_TRUE(control == "cubic" || control == "reno") << control;
}

TEST_P(CongestionControl, OneThatTheSystemDoesNotKnowIsAnErrorOfListen) {
    auto options = this->options();
    options.congestion_control = "cubicle";
    const auto listening = TcpClusterTransport::listen(*runtime_, options);
    ASSERT_FALSE(listening);
    EXPECT_EQ(listening.error().code, Errc::invalid_argument);
    EXPECT_NE(listening.error().message().find("cubicle"), std::string::npos);
}

TEST(TcpTransportOptions, ACongestionControlIsAShortWord) {
    for (const std::string bad : {"", "a b", "cubic\n", "abcdefghijklmnop"}) {
        TcpTransportOptions options;
        options.cluster_name = "test";
        options.congestion_control = bad;
        const auto valid = options.validate();
        ASSERT_FALSE(valid) << bad;
        EXPECT_EQ(valid.error().subject, "setting congestion_control");
    }
}

} // namespace muster::test
