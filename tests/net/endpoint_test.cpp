// SPDX-License-Identifier: Apache-2.0
#include <muster/net/endpoint.hpp>

#include <gtest/gtest.h>

namespace muster::net {

TEST(Endpoint, LiteralsAreParsedAndPrinted) {
    EXPECT_EQ(Endpoint::parse("127.0.0.1", 2551)->to_string(), "127.0.0.1:2551");
    EXPECT_EQ(Endpoint::parse("::1", 2551)->to_string(), "[::1]:2551");
    EXPECT_EQ(Endpoint::parse("[::1]", 0)->to_string(), "[::1]:0");
    EXPECT_EQ(Endpoint::parse("2001:DB8:0:0:0:0:0:1", 65535)->to_string(), "[2001:db8::1]:65535");
    EXPECT_EQ(Endpoint::parse("fe80::1%3", 9)->to_string(), "[fe80::1%3]:9");
    EXPECT_EQ(Endpoint::loopback_v4(7), *Endpoint::parse("127.0.0.1", 7));
}

TEST(Endpoint, WhatIsNoLiteralIsRefusedWithItsText) {
    using namespace std::string_view_literals;
    for (const auto text : {"localhost"sv, ""sv, "1.2.3"sv, "1.2.3.4.5"sv, "256.1.1.1"sv, "[::1"sv, "::1]"sv,
                            ":::"sv, "127.0.0.1\0x"sv, "fe80::1%nosuch"sv, "fe80::1%"sv, "127.0.0.1 "sv}) {
        const auto parsed = Endpoint::parse(text, 1);
        ASSERT_FALSE(parsed.has_value()) << text;
        EXPECT_EQ(parsed.error().code, Errc::invalid_argument);
        EXPECT_NE(parsed.error().subject.find(std::string{text}), std::string::npos);
    }
}

TEST(Endpoint, OrderIsByFamilyBytesScopeAndPort) {
    const auto at = [](const char* host, std::uint16_t port) { return *Endpoint::parse(host, port); };
    EXPECT_LT(at("9.9.9.9", 9), at("::1", 1));
    EXPECT_LT(at("1.2.3.4", 9), at("1.2.3.5", 1));
    EXPECT_LT(at("fe80::1%1", 9), at("fe80::1%2", 1));
    EXPECT_LT(at("1.2.3.4", 1), at("1.2.3.4", 2));
}

} // namespace muster::net
