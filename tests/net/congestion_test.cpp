// SPDX-License-Identifier: Apache-2.0
// Which congestion control a connection has.
#include "descriptors.hpp"
#include "net/congestion.hpp"
#include "suite.hpp"
#include <fstream>
#include <string>
#include <vector>

namespace muster::net::test {
namespace {

std::string control_of(const Connection& end) {
    char name[16] = {};
    socklen_t size = sizeof(name) - 1;
    const int descriptor = descriptor_of(end.local(), end.remote());
    if (getsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, name, &size) != 0) return "unknown";
    return name;
}

class CongestionControl : public RuntimeSuite {
protected:
    /// The congestion control of both ends of a connection with this setting, the connecting one first.
    Task<std::vector<std::string>> controls_with(std::string setting) {
        ListenOptions listening{.congestion_control = setting};
        ConnectOptions connecting{.congestion_control = setting};
        auto connected = connect_pair(Endpoint::loopback_v4(0), std::move(listening), std::move(connecting));
        const Pair pair = co_await std::move(connected);
        std::vector<std::string> controls;
        if (pair.client && pair.server) controls = {control_of(*pair.client), control_of(*pair.server)};
        co_return controls;
    }
};

INSTANTIATE_TEST_SUITE_P(Net, CongestionControl, ::testing::ValuesIn(real_backends()), backend_name);

} // namespace

TEST(IsSameHost, WhenBothEndsHaveOneAddress) {
    const Endpoint here = Endpoint::loopback_v4(1);
    EXPECT_TRUE(is_same_host(here, Endpoint::loopback_v4(2)));
    EXPECT_FALSE(
        is_same_host(Endpoint::parse("10.0.0.1", 1).value(), Endpoint::parse("10.0.0.2", 1).value()));
    EXPECT_TRUE(is_same_host(Endpoint::parse("10.0.0.1", 1).value(), Endpoint::parse("10.0.0.1", 2).value()));
    EXPECT_FALSE(
        is_same_host(Endpoint::parse("127.0.0.1", 1).value(), Endpoint::parse("7f00:1::", 1).value()))
        << "the same first bytes in another family";
}

TEST_P(CongestionControl, AutoTakesOneThatDoesNotPaceBetweenTwoEndsOfOneHost) {
    auto body = [&]() -> Task<void> {
        auto controls = co_await controls_with("auto");
        CO_ASSERT(controls.size() == 2U);
        for (const std::string& control : controls)
            EXPECT_TRUE(control == "cubic" || control == "reno") << control;
    };
    run(body());
}

TEST_P(CongestionControl, ANameIsForBothEnds) {
    auto body = [&]() -> Task<void> {
        auto controls = co_await controls_with("reno");
        EXPECT_EQ(controls, (std::vector<std::string>{"reno", "reno"}));
    };
    run(body());
}

TEST_P(CongestionControl, SystemAndNothingLeaveTheSystems) {
    auto body = [&]() -> Task<void> {
        std::string systems;
        std::ifstream{"/proc/sys/net/ipv4/tcp_congestion_control"} >> systems;
        const std::vector<std::string> both{systems, systems};
        auto by_word = co_await controls_with("system");
        EXPECT_EQ(by_word, both);
        auto by_nothing = co_await controls_with("");
        EXPECT_EQ(by_nothing, both);
    };
    run(body());
}

TEST_P(CongestionControl, ANameThatTheSystemDoesNotKnowIsAnErrorThatNamesThoseItKnows) {
    auto body = [&]() -> Task<void> {
        const ListenOptions listening{.congestion_control = "cubicle"};
        auto listener = runtime().listen(Endpoint::loopback_v4(0), listening);
        CO_ASSERT(!listener);
        EXPECT_EQ(listener.error().code, Errc::invalid_argument);
        EXPECT_NE(listener.error().message().find("\"cubicle\""), std::string::npos);
        EXPECT_NE(listener.error().message().find("reno"), std::string::npos);
        co_return;
    };
    run(body());
}

} // namespace muster::net::test
