// SPDX-License-Identifier: Apache-2.0
#include <muster/address.hpp>

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <unordered_set>
#include <vector>

namespace {

using muster::Address;
using muster::Errc;
using muster::Uid;
using muster::UniqueAddress;

Address remote(std::string host, std::uint16_t port) {
    return Address::remote("akka.tcp", "sys", std::move(host), port);
}

TEST(Address, TextOfLocalAndRemote) {
    EXPECT_EQ(Address::local("akka", "sys").to_string(), "akka://sys");
    EXPECT_EQ(remote("host", 2551).to_string(), "akka.tcp://sys@host:2551");
    EXPECT_EQ(remote("::1", 2551).to_string(), "akka.tcp://sys@[::1]:2551");
}

TEST(Address, HostPortIsThePartThatIdentifiesANodeInsideACluster) {
    EXPECT_EQ(remote("host", 1).host_port(), "host:1");
    EXPECT_EQ(remote("[2001:DB8::1]", 1).host_port(), "[2001:db8::1]:1");
    EXPECT_EQ(Address::local("akka", "sys").host_port(), "");
    EXPECT_TRUE(Address::local("akka", "sys").is_local());
    EXPECT_FALSE(remote("host", 1).is_local());
}

TEST(AddressParse, ReadsBackWhatToStringWrites) {
    for (const auto& address :
         {Address::local("akka", "sys"), remote("10.0.0.1", 0), remote("node-1.example.org", 65535),
          remote("fe80::1%eth0", 7), remote("under_score", 80)}) {
        const auto parsed = Address::parse(address.to_string());
        ASSERT_TRUE(parsed.has_value()) << parsed.error().message();
        EXPECT_EQ(*parsed, address);
    }
}

TEST(AddressParse, LowersAsciiLettersOfTheHostOnly) {
    const auto parsed = Address::parse("Akka.TCP://Sys@Node-A.Example.ORG:2551");
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->to_string(), "Akka.TCP://Sys@node-a.example.org:2551");
    EXPECT_EQ(Address::parse("akka://s@\xc3\x84h:1")->host, "\xc3\x84h") << "only ASCII has a case here";
}

struct Ipv6Case {
    std::string_view given;
    std::string_view normal;
};

class AddressIpv6 : public testing::TestWithParam<Ipv6Case> {};

TEST_P(AddressIpv6, IsBroughtToRfc5952Form) {
    const auto [given, normal] = GetParam();
    const auto parsed = Address::parse("akka.tcp://sys@[" + std::string{given} + "]:2551");
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message();
    EXPECT_EQ(parsed->host, normal);
    EXPECT_EQ(parsed->to_string(), "akka.tcp://sys@[" + std::string{normal} + "]:2551");
    EXPECT_EQ(remote(std::string{given}, 2551), *parsed);
}

// The examples of RFC 5952 §2 to §5 first.
INSTANTIATE_TEST_SUITE_P(
    Rfc5952, AddressIpv6,
    testing::Values(
        Ipv6Case{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"}, Ipv6Case{"2001:0db8::0001", "2001:db8::1"},
        Ipv6Case{"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
        Ipv6Case{"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        Ipv6Case{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"}, Ipv6Case{"2001:DB8::ABCD", "2001:db8::abcd"},
        Ipv6Case{"::ffff:c000:201", "::ffff:192.0.2.1"}, Ipv6Case{"::FFFF:192.0.2.1", "::ffff:192.0.2.1"},
        Ipv6Case{"0:0:0:0:0:0:0:0", "::"}, Ipv6Case{"0:0:0:0:0:0:0:1", "::1"},
        Ipv6Case{"1:0:0:0:0:0:0:0", "1::"}, Ipv6Case{"0:0:1:2:3:4:5:6", "::1:2:3:4:5:6"},
        Ipv6Case{"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"}, Ipv6Case{"0:1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7"},
        Ipv6Case{"::1.2.3.4", "::102:304"}, Ipv6Case{"FE80::1%Eth0", "fe80::1%Eth0"}));

class AddressRefused : public testing::TestWithParam<std::string_view> {};

TEST_P(AddressRefused, NamesTheTextAndTheRightForm) {
    const auto parsed = Address::parse(GetParam());
    ASSERT_TRUE(parsed.has_error()) << parsed->to_string();
    EXPECT_TRUE(parsed.error() == Errc::invalid_argument);
    EXPECT_THAT(parsed.error().message(), testing::HasSubstr(GetParam()));
    EXPECT_THAT(parsed.error().message(), testing::HasSubstr("protocol://system@host:port"));
}

INSTANTIATE_TEST_SUITE_P(Texts, AddressRefused,
                         testing::Values("", "sys", "sys@host:1", "://sys", "akka://", "akka:/sys",
                                         "akka://@host:1", "akka://sys@", "akka://sys@host", "akka://sys@:1",
                                         "akka://sys@host:", "akka://sys@host:65536", "akka://sys@host:-1",
                                         "akka://sys@host:+1", "akka://sys@host: 1", "akka://sys@host:1x",
                                         "akka://sys@host:1/user", "akka://sys:1", "akka://sys/user",
                                         "akka://sys@a@b:1", "akka://sys@::1:2551", "akka://sys@[::1]",
                                         "akka://sys@[::1:2551", "akka://sys@[host]:1", "akka://sys@[::1%]:1",
                                         "akka://sys@[:::1]:1", "akka://sys@[]:1", "akka://s ys@host:1",
                                         "ak ka://sys", "akka://sys@ho\x7fst:1", "akka://sys@[1.2.3.4]:1",
                                         "akka://sys@host#7:1"));

TEST(AddressParse, TellsThatAnIpv6HostNeedsBrackets) {
    EXPECT_THAT(Address::parse("akka://sys@fe80::1:2551").error().message(),
                testing::HasSubstr("needs brackets"));
}

TEST(AddressParse, RefusesAHostAboveTheLimitWithoutRepeatingAllOfIt) {
    EXPECT_TRUE(Address::parse("akka://sys@" + std::string(255, 'h') + ":1").has_value());
    const auto parsed = Address::parse("akka://sys@" + std::string(100'000, 'h') + ":1");
    ASSERT_TRUE(parsed.has_error());
    EXPECT_LT(parsed.error().message().size(), 500U);
}

TEST(AddressOrder, HostsCompareAsBytesAndPortsAsNumbers) {
    EXPECT_LT(remote("host10", 1), remote("host9", 1));
    EXPECT_LT(remote("host", 9000), remote("host", 10000));
    EXPECT_LT(remote("a", 2), remote("b", 1));
    EXPECT_LT(remote("z", 1), remote("\xc3\xa4", 1)) << "bytes are unsigned";
    EXPECT_LT(remote("ab", 1), remote("abc", 1));
}

TEST(AddressOrder, AbsentHostOrPortSortsFirst) {
    const Address no_port{"akka.tcp", "sys", "host", std::nullopt};
    EXPECT_LT(Address::local("akka.tcp", "sys"), remote("", 0));
    EXPECT_LT(no_port, remote("host", 0));
    EXPECT_EQ(no_port.to_string(), "akka.tcp://sys@host");
}

TEST(AddressOrder, AgreesWithEqualityOverAllFourParts) {
    const auto address = remote("host", 1);
    auto other_system = address;
    other_system.system = "sys2";
    auto other_protocol = address;
    other_protocol.protocol = "akka";
    EXPECT_NE(address, other_system);
    EXPECT_LT(address, other_system);
    EXPECT_NE(address, other_protocol);
    EXPECT_LT(other_protocol, address);
    EXPECT_TRUE((address <=> remote("host", 1)) == 0);
}

TEST(AddressHash, EqualAddressesAreFound) {
    const std::unordered_set<Address> addresses{remote("HOST", 1), remote("host", 2)};
    EXPECT_TRUE(addresses.contains(remote("host", 1)));
    EXPECT_FALSE(addresses.contains(remote("host", 3)));
    EXPECT_FALSE(addresses.contains(Address::local("akka.tcp", "sys")));
}

TEST(UniqueAddress, EqualityAndOrderAreByValueWithTheUidSigned) {
    const UniqueAddress a{remote("host", 1), Uid{-1}};
    const UniqueAddress b{remote("host", 1), Uid{1}};
    EXPECT_EQ(a, (UniqueAddress{remote("host", 1), Uid{-1}}));
    EXPECT_NE(a, b);
    EXPECT_LT(a, b);
    EXPECT_LT((UniqueAddress{remote("host", 1), Uid{std::numeric_limits<std::int64_t>::max()}}),
              (UniqueAddress{remote("host", 2), Uid{std::numeric_limits<std::int64_t>::min()}}));
}

TEST(UniqueAddress, IsOrderedAsItsAddressWhateverTheHost) {
    using namespace std::string_view_literals;
    const std::string start(16, 'h'); // as much as is compared as numbers
    std::vector<Address> addresses{Address::local("akka.tcp", "sys"),
                                   {"akka.tcp", "sys", "host", std::nullopt}};
    for (const std::string_view host : {""sv, "\0"sv, "a"sv, "a\0"sv, "a\0b"sv, "ab"sv, "\x7f"sv, "\x80"sv,
                                        "\xff"sv, "12345678"sv, "123456789"sv, "1234567\xff"sv})
        for (const std::string_view rest : {""sv, "\0"sv, "x"sv, "y"sv})
            for (const std::string& before : {std::string{}, start})
                for (const std::uint16_t port : std::initializer_list<std::uint16_t>{1, 2})
                    addresses.push_back(
                        {"akka.tcp", "sys", before + std::string{host} + std::string{rest}, port});
    for (const Address& a : addresses) {
        for (const Address& b : addresses) {
            const UniqueAddress first{a, Uid{1}};
            const UniqueAddress second{b, Uid{1}};
            EXPECT_EQ(first <=> second, a <=> b) << first.to_string() << ' ' << second.to_string();
            EXPECT_EQ(first == second, a == b);
        }
    }
}

TEST(UniqueAddress, SameHostPortAndUidOfAnotherSystemIsAnother) {
    const UniqueAddress a{Address::remote("akka.tcp", "one", "host", 1), Uid{1}};
    const UniqueAddress b{Address::remote("akka.tcp", "two", "host", 1), Uid{1}};
    EXPECT_EQ(a.key(), b.key()) << "the digest covers host, port and uid (protocol.md §2)";
    EXPECT_NE(a, b);
}

TEST(UniqueAddress, TheDefaultIsTheUnknownNodeAndNoRealNodeIs) {
    const UniqueAddress unknown;
    EXPECT_TRUE(unknown.is_unknown());
    EXPECT_EQ(unknown.uid(), Uid{0});
    EXPECT_TRUE(unknown.address().is_local());
    EXPECT_EQ(unknown, UniqueAddress{});
    EXPECT_FALSE((UniqueAddress{remote("host", 1), Uid{0}}.is_unknown()));
}

TEST(UniqueAddress, TextHasTheUidAfterAHash) {
    EXPECT_EQ((UniqueAddress{remote("::1", 2551), Uid{-42}}.to_string()), "akka.tcp://sys@[::1]:2551#-42");
}

TEST(UniqueAddress, KeyTellsAbsentPartsFromZeroOnes) {
    const Address no_port{"akka.tcp", "sys", "host", std::nullopt};
    const Address no_host{"akka.tcp", "sys", std::nullopt, 0};
    EXPECT_NE((UniqueAddress{no_port, Uid{1}}.key()), (UniqueAddress{remote("host", 0), Uid{1}}.key()));
    EXPECT_NE((UniqueAddress{no_host, Uid{1}}.key()), (UniqueAddress{remote("", 0), Uid{1}}.key()));
}

// The key travels between nodes (vector clocks, digests): it must never change. The value is what `xxhsum
// -H2` prints for the fields as hash_test.cpp frames them.
TEST(UniqueAddress, KeyIsTheSameInEveryBuild) {
    EXPECT_EQ((UniqueAddress{remote("127.0.0.1", 2551), Uid{-7}}.key().to_string()),
              "6b8363de7736dde3a4d7cc841f6ae07d");
}

TEST(UniqueAddress, CopiesShareOneValue) {
    static_assert(sizeof(UniqueAddress) == sizeof(void*));
    const UniqueAddress original{remote("host", 1), Uid{1}};
    const UniqueAddress copy = original; // NOLINT(performance-unnecessary-copy-initialization)
    EXPECT_EQ(&copy.address(), &original.address());
}

} // namespace
