// SPDX-License-Identifier: Apache-2.0
/// Bad bytes and bad values: refused with a reason, without spending memory or stack on what they claim.
#include "hex.hpp"

#include <boost/variant.hpp>
#include <cstdlib>
#include <gtest/gtest.h>
#include <muster/wire/archive.hpp>
#include <new>

namespace muster::wire {
namespace {

template <class T>
void expect_refused(std::string_view bytes, std::string_view why) {
    const auto value = decode<T>(unhex(bytes));
    ASSERT_FALSE(value) << bytes;
    EXPECT_EQ(value.error().code, Errc::malformed);
    EXPECT_NE(value.error().message().find(why), std::string::npos) << value.error().message();
}

TEST(ArchiveSafety, AnIntegerMarkedWiderThanItsTypeIsRefused) {
    expect_refused<std::uint16_t>("fc01000000", "wider");
    expect_refused<std::uint32_t>("fd0100000000000000", "wider");
    expect_refused<std::uint64_t>("fe01000000000000000000000000000000", "wider");
    expect_refused<std::uint64_t>("ff", "wider");
    expect_refused<Uint128>("ff", "wider");
    expect_refused<std::int32_t>("fd0100000000000000", "wider");
}

TEST(ArchiveSafety, AnIntegerWithMoreBytesThanNeededIsAcceptedAsBincodeDoes) {
    EXPECT_EQ(*decode<std::uint64_t>(unhex("fb0100")), 1U);
    EXPECT_EQ(*decode<std::uint64_t>(unhex("fd0100000000000000")), 1U);
    EXPECT_EQ(*decode<std::string>(unhex("fc0100000061")), "a");
}

TEST(ArchiveSafety, ATagThatIsNotZeroOrOneIsRefused) {
    expect_refused<bool>("02", "0 or 1");
    expect_refused<std::optional<int>>("0202", "0 or 1");
    expect_refused<std::unique_ptr<int>>("0202", "0 or 1");
}

enum class Color : std::uint8_t { Red, Green };
TEST(ArchiveSafety, AnIndexWithoutVariantIsRefused) {
    expect_refused<Color>("02", "no variant of that index");
    expect_refused<Color>("fb0001", "no variant of that index");
    expect_refused<Color>("fd0000000000000000", "wider");
    using V = std::variant<int, std::string>;
    expect_refused<V>("0200", "no alternative");
    using B = boost::variant<int, std::string>;
    expect_refused<B>("0200", "no alternative");
}

TEST(ArchiveSafety, TextThatIsNotUtf8IsRefused) {
    expect_refused<std::string>("01ff", "UTF-8");
    expect_refused<std::string>("02c080", "UTF-8");
    expect_refused<std::string>("03eda080", "UTF-8");
    expect_refused<std::string>("04f4908080", "UTF-8");
    expect_refused<std::string>("01c3", "UTF-8");
    expect_refused<char32_t>("c080", "UTF-8");
    expect_refused<char32_t>("ff", "needed here");
    expect_refused<char32_t>("eda080", "UTF-8");
}

TEST(ArchiveSafety, BytesThatEndTooEarlyAreRefusedAtEveryCut) {
    const std::tuple<int, std::string, std::vector<double>, std::map<int, std::string>> value{
        -70000, "text", {1.0, 2.0}, {{1, "one"}}};
    const auto bytes = encode(value);
    for (std::size_t cut = 0; cut < bytes->size(); ++cut)
        EXPECT_FALSE((decode<std::remove_const_t<decltype(value)>>(bytes->bytes().first(cut)))) << cut;
}

TEST(ArchiveSafety, TrailingBytesAreRefused) { expect_refused<int>("0200", "behind the value"); }

// --- memory: every allocation of this binary is measured

struct BigButShort {
    std::array<std::uint64_t, 128> fields{};
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        std::uint8_t first = 0;
        ar& first;
    }
};

TEST(ArchiveSafety, ACountThatTheBytesCannotHoldIsRefused) {
    expect_refused<std::string>("fd0000000000000010", "cannot be held");
    expect_refused<std::vector<std::uint8_t>>("fdffffffffffffffff09", "cannot be held");
    expect_refused<std::vector<double>>("0300000000000000000000000000000000", "cannot be held");
    expect_refused<std::vector<double>>("fdffffffffffffff1f", "cannot be held");
    expect_refused<std::list<int>>("fc0000000100", "cannot be held");
    expect_refused<std::map<int, int>>("020101", "cannot be held");
    expect_refused<std::vector<BigButShort>>("fd000000000000001000", "cannot be held");
}

TEST(ArchiveSafety, MemoryGrowsWithTheElementsReadAndNotWithTheCount) {
    // A million claimed, half a million there: what is loaded before the end is met is freed again, and what
    // BigButShort would take, a kilobyte for each of the million, was never reserved.
    std::vector<std::byte> bytes = unhex("fc40420f00");
    bytes.resize(bytes.size() + 1'000'000);
    ArchiveLimits limits;
    limits.memory_base = 1 << 20;
    limits.memory_factor = 1;
    const auto value = decode<std::vector<BigButShort>>(bytes, limits);
    ASSERT_FALSE(value);
    EXPECT_NE(value.error().message().find("memory"), std::string::npos) << value.error().message();
}

struct Empty {
    template <class Archive>
    void serialize(Archive& /*ar*/, unsigned /*version*/) {}
};
TEST(ArchiveSafety, ElementsWithoutBytesAreBoundedByTheirOwnLimit) {
    EXPECT_EQ(decode<std::vector<Empty>>(unhex("fbff00"))->size(), 255U);
    EXPECT_EQ(decode<std::vector<std::monostate>>(unhex("05"))->size(), 5U);
    expect_refused<std::vector<Empty>>("fc01000100", "cannot be held");
    // A byte behind them lets the count pass; that no element takes it is met later.
    expect_refused<std::vector<Empty>>("fc0100010000", "more elements without any byte");
    // The limit is of the whole value: two sequences that each stay below it.
    expect_refused<std::vector<std::vector<Empty>>>("02fc00800000fc01800000", "cannot be held");
    EXPECT_TRUE((decode<std::vector<std::vector<Empty>>>(unhex("02fc00800000fbff7f"))));
}

struct Chain {
    std::unique_ptr<Chain> next;
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& next;
    }
};
struct Tree {
    std::vector<Tree> children;
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& children;
    }
};
struct Knot {
    std::shared_ptr<Knot> self;
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& self;
    }
};
using Recursive = boost::make_recursive_variant<int, std::vector<boost::recursive_variant_>>::type;

TEST(ArchiveSafety, DepthIsLimitedWhenLoading) {
    const std::vector<std::byte> ones(1'000'000, std::byte{1});
    EXPECT_EQ(decode<Chain>(ones).error().code, Errc::malformed);
    EXPECT_NE(decode<Tree>(ones).error().message().find("nested"), std::string::npos);
    EXPECT_FALSE(decode<Recursive>(ones));
    std::vector<std::byte> deepest(127, std::byte{1});
    deepest.push_back(std::byte{0});
    EXPECT_TRUE(decode<Chain>(deepest)) << "128 objects";
    deepest.insert(deepest.begin(), std::byte{1});
    EXPECT_FALSE(decode<Chain>(deepest)) << "129 objects";
}

TEST(ArchiveSafety, DepthIsLimitedWhenSaving) {
    const auto knot = std::make_shared<Knot>();
    knot->self = knot;
    const auto bytes = encode(*knot);
    ASSERT_FALSE(bytes);
    EXPECT_EQ(bytes.error().code, Errc::invalid_argument);
    knot->self.reset();
}

TEST(ArchiveSafety, AValueWithoutEncodingIsAnErrorAndLeavesTheSinkAsItWas) {
    BufferSink sink;
    ASSERT_TRUE(encode(1, sink));
    EXPECT_EQ(encode(std::pair{std::string(1000, 'x'), std::string{"\xff"}}, sink).error().code,
              Errc::invalid_argument);
    EXPECT_EQ(hex(sink.bytes()), "02");
    EXPECT_FALSE(encode(static_cast<Color>(9), sink));
    EXPECT_FALSE(encode(char32_t{0xd800}, sink));
    EXPECT_EQ(sink.size(), 1U);
}

TEST(ArchiveSafety, AFullSinkIsAnErrorAndLeavesTheSinkAsItWas) {
    std::array<std::byte, 10> memory{};
    FixedSink fixed{memory};
    EXPECT_TRUE(encode(std::uint8_t{7}, fixed));
    EXPECT_EQ(encode(std::string(20, 'x'), fixed).error().code, Errc::too_large);
    EXPECT_EQ(fixed.size(), 1U);
    BufferSink bounded{300};
    EXPECT_EQ(encode(std::string(400, 'x'), bounded).error().code, Errc::too_large);
    EXPECT_TRUE(encode(std::string(200, 'x'), bounded));
    EXPECT_EQ(bounded.size(), 201U);
}

TEST(Utf8, EveryBoundaryOfTheStandardIsRespected) {
    for (const char* good :
         {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
          "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "plain text of some length \xc3\xa9"})
        EXPECT_TRUE(is_utf8(good)) << good;
    for (const char* bad :
         {"\x80", "\xbf", "\xc1\xbf", "\xc0\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x9a", "\xc3\x28",
          "\xe2\x28\xa1", "plain text of some length \xc3"})
        EXPECT_FALSE(is_utf8(bad)) << bad;
}

TEST(Utf8, ABadByteIsFoundAtEveryPositionAndLength) {
    for (std::size_t length = 1; length < 70; ++length)
        for (std::size_t at = 0; at < length; ++at) {
            std::string text(length, 'x');
            ASSERT_TRUE(is_utf8(text));
            text[at] = '\x80';
            ASSERT_FALSE(is_utf8(text)) << length << " " << at;
        }
}

} // namespace
} // namespace muster::wire
