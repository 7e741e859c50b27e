// SPDX-License-Identifier: Apache-2.0
/// The bytes of every type, as bincode 2 standard() writes them. Expected bytes are written out by hand from
/// bincode's specification.
#include "hex.hpp"

#include <array>
#include <boost/optional.hpp>
#include <boost/scoped_ptr.hpp>
#include <boost/shared_ptr.hpp>
#include <boost/unordered_map.hpp>
#include <boost/unordered_set.hpp>
#include <boost/variant.hpp>
#include <cmath>
#include <deque>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <muster/wire/archive.hpp>
#include <queue>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace muster::wire {
namespace {

template <class T>
std::string encoded(const T& value) {
    const auto bytes = encode(value);
    return bytes ? hex(bytes->bytes()) : bytes.error().message();
}

/// Encodes to `expected` and decodes from it to the same value.
template <class T>
void expect_bytes(const T& value, std::string_view expected) {
    EXPECT_EQ(encoded(value), expected);
    const auto back = decode<T>(unhex(expected));
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_TRUE(*back == value) << expected;
}

TEST(ArchiveBytes, UnsignedIntegersAreOneByteUpTo250AndMarkedBeyond) {
    expect_bytes(std::uint8_t{255}, "ff");
    expect_bytes(std::uint16_t{0}, "00");
    expect_bytes(std::uint16_t{250}, "fa");
    expect_bytes(std::uint16_t{251}, "fbfb00");
    expect_bytes(std::uint16_t{65535}, "fbffff");
    expect_bytes(std::uint32_t{65536}, "fc00000100");
    expect_bytes(std::uint64_t{1} << 32, "fd0000000001000000");
    expect_bytes(std::numeric_limits<std::uint64_t>::max(), "fdffffffffffffffff");
    expect_bytes(std::size_t{3}, "03");
    expect_bytes(Uint128{1} << 64, "fe00000000000000000100000000000000");
    expect_bytes(Uint128{7}, "07");
}

TEST(ArchiveBytes, SignedIntegersAreZigzagged) {
    expect_bytes(std::int8_t{-1}, "ff");
    expect_bytes(std::int16_t{-1}, "01");
    expect_bytes(std::int32_t{1}, "02");
    expect_bytes(std::int32_t{-126}, "fbfb00");
    expect_bytes(std::numeric_limits<std::int16_t>::min(), "fbffff");
    expect_bytes(std::numeric_limits<std::int32_t>::max(), "fcfeffffff");
    expect_bytes(std::numeric_limits<std::int64_t>::min(), "fdffffffffffffffff");
    expect_bytes(std::numeric_limits<std::int64_t>::max(), "fdfeffffffffffffff");
    expect_bytes(Int128{-2}, "03");
    expect_bytes(-(Int128{1} << 100), "feffffffffffffffffffffffff1f000000");
}

TEST(ArchiveBytes, OtherScalars) {
    expect_bytes(true, "01");
    expect_bytes(false, "00");
    expect_bytes('A', "41");
    expect_bytes(char8_t{0xff}, "ff");
    expect_bytes(std::byte{7}, "07");
    expect_bytes(1.5F, "0000c03f");
    expect_bytes(-2.0, "00000000000000c0");
    const auto nan = decode<double>(unhex("010000000000f87f"));
    ASSERT_TRUE(nan && std::isnan(*nan));
    EXPECT_EQ(encoded(*nan), "010000000000f87f");
}

TEST(ArchiveBytes, ACharacterIsItsUtf8Bytes) {
    expect_bytes(U'a', "61");
    expect_bytes(U'é', "c3a9");
    expect_bytes(U'€', "e282ac");
    expect_bytes(U'🚀', "f09f9a80");
    expect_bytes(char32_t{0x10ffff}, "f48fbfbf");
}

TEST(ArchiveBytes, TextIsALengthAndItsBytes) {
    expect_bytes(std::string{}, "00");
    expect_bytes(std::string{"hé"}, "0368c3a9");
    expect_bytes(std::u8string{u8"é"}, "02c3a9");
    const std::string long_text(251, 'x');
    EXPECT_EQ(encoded(long_text).substr(0, 8), "fbfb0078");
}

enum class Color : std::uint8_t { Red, Green, Blue };
enum Plain : int { plain_zero, plain_one };
enum class Letter : char { A = 'a', B = 'b' };

} // namespace
} // namespace muster::wire

template <>
struct muster::wire::EnumOrder<muster::wire::Letter> {
    static constexpr std::array values{muster::wire::Letter::B, muster::wire::Letter::A};
};

namespace muster::wire {
namespace {

TEST(ArchiveBytes, AnEnumIsItsVariantIndexWhateverItsValueAndWidth) {
    expect_bytes(Color::Blue, "02");
    expect_bytes(plain_one, "01");
    expect_bytes(Letter::A, "01");
    expect_bytes(Letter::B, "00");
}

TEST(ArchiveBytes, SequencesAreACountAndTheElements) {
    expect_bytes(std::vector<int>{1, -1}, "020201");
    expect_bytes(std::vector<std::uint8_t>{1, 255}, "0201ff");
    expect_bytes(std::vector<std::byte>{std::byte{9}}, "0109");
    expect_bytes(std::vector<bool>{true, false}, "020100");
    expect_bytes(std::vector<float>{1.5F}, "010000c03f");
    expect_bytes(std::vector<std::string>{"a", ""}, "02016100");
    expect_bytes(std::list<int>{3}, "0106");
    expect_bytes(std::deque<int>{3}, "0106");
    expect_bytes(std::forward_list<int>{1, 2}, "020204");
    expect_bytes(std::set<int>{2, 1}, "020204");
    expect_bytes(std::multiset<int>{1, 1}, "020202");
    expect_bytes(std::unordered_set<int>{5}, "010a");
    expect_bytes(std::unordered_multiset<int>{5, 5}, "020a0a");
    expect_bytes(boost::unordered_set<int>{5}, "010a");
    expect_bytes(std::stack<int>{{1, 2}}, "020204");
    expect_bytes(std::queue<int>{{1, 2}}, "020204");
    const std::valarray<int> numbers{1, 2};
    EXPECT_EQ(encoded(numbers), "020204");
    const auto back = decode<std::valarray<int>>(unhex("020204"));
    EXPECT_TRUE(back && back->size() == 2 && (*back)[1] == 2);
}

TEST(ArchiveBytes, APriorityQueueIsAHeapAgainWhateverTheOrderOfItsBytes) {
    auto queue = decode<std::priority_queue<int>>(unhex("03020604"));
    ASSERT_TRUE(queue);
    std::vector<int> popped;
    for (; !queue->empty(); queue->pop()) popped.push_back(queue->top());
    EXPECT_EQ(popped, (std::vector{3, 2, 1}));
}

TEST(ArchiveBytes, MapsAreACountAndPairs) {
    expect_bytes(std::map<std::string, int>{{"b", 1}, {"a", 2}}, "0201610401"
                                                                 "6202");
    expect_bytes(std::multimap<int, int>{{1, 2}, {1, 3}}, "0202040206");
    expect_bytes(std::unordered_map<int, int>{{1, 2}}, "010204");
    expect_bytes(std::unordered_multimap<int, int>{{1, 2}}, "010204");
    expect_bytes(boost::unordered_map<int, int>{{1, 2}}, "010204");
}

TEST(ArchiveBytes, OfDoubleMapKeysTheLastWins) {
    EXPECT_EQ((*decode<std::map<int, int>>(unhex("0202020204"))), (std::map<int, int>{{1, 2}}));
    EXPECT_EQ((*decode<std::unordered_map<int, int>>(unhex("0202020204"))),
              (std::unordered_map<int, int>{{1, 2}}));
}

TEST(ArchiveBytes, FixedSequencesHaveNoCount) {
    expect_bytes(std::array<int, 2>{1, 2}, "0204");
    expect_bytes(std::array<int, 0>{}, "");
    expect_bytes(std::array<char, 3>{'a', 'b', 'c'}, "616263");
    expect_bytes(std::tuple<int, std::string, bool>{1, "x", true}, "02017801");
    expect_bytes(std::pair<int, char>{1, 'x'}, "0278");
    expect_bytes(std::tuple<>{}, "");
    expect_bytes(std::monostate{}, "");
}

struct Array {
    int numbers[2][2] = {{1, 2}, {3, 4}};
    unsigned char raw[2] = {254, 255};
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& numbers& raw;
    }
};
TEST(ArchiveBytes, BuiltInArraysHaveNoCount) {
    EXPECT_EQ(encoded(Array{}), "02040608feff");
    const auto back = decode<Array>(unhex("0a0c0e100001"));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->numbers[1][1], 8);
    EXPECT_EQ(back->raw[1], 1);
}

TEST(ArchiveBytes, OptionsAndPointersAre0Or1AndTheValue) {
    expect_bytes(std::optional<int>{}, "00");
    expect_bytes(std::optional<int>{1}, "0102");
    expect_bytes(std::optional<std::optional<int>>{std::optional<int>{}}, "0100");
    expect_bytes(boost::optional<int>{1}, "0102");
    expect_bytes(boost::optional<int>{}, "00");
    EXPECT_EQ(encoded(std::make_unique<int>(1)), "0102");
    EXPECT_EQ(encoded(std::unique_ptr<int>{}), "00");
    EXPECT_EQ(encoded(std::make_shared<const int>(1)), "0102");
    EXPECT_EQ(**decode<std::unique_ptr<int>>(unhex("0104")), 2);
    EXPECT_EQ(*decode<std::shared_ptr<int>>(unhex("00")), nullptr);
    EXPECT_EQ(**decode<std::shared_ptr<const int>>(unhex("0104")), 2);
    EXPECT_EQ(**decode<boost::shared_ptr<int>>(unhex("0104")), 2);
    EXPECT_EQ(encoded(boost::shared_ptr<int>{new int(1)}), "0102");
}

TEST(ArchiveBytes, TwoPointersToOneObjectAreTwoValues) {
    const auto one = std::make_shared<int>(1);
    expect_bytes(std::pair<std::optional<int>, std::optional<int>>{1, 1}, "01020102");
    EXPECT_EQ(encoded(std::pair{one, one}), "01020102");
}

TEST(ArchiveBytes, VariantsAreTheIndexAndTheAlternative) {
    using V = std::variant<int, std::string, std::monostate>;
    expect_bytes(V{1}, "0002");
    expect_bytes(V{"x"}, "010178");
    expect_bytes(V{std::monostate{}}, "02");
    using B = boost::variant<int, std::string>;
    expect_bytes(B{1}, "0002");
    expect_bytes(B{std::string{"x"}}, "010178");
}

} // namespace
} // namespace muster::wire
