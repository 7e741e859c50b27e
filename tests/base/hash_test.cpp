// SPDX-License-Identifier: Apache-2.0
#include <muster/hash.hpp>

#include <array>
#include <gtest/gtest.h>
#include <set>
#include <string>

namespace {

using muster::Hash128;
using muster::Hasher;

constexpr std::uint64_t all_ones = ~std::uint64_t{0};

TEST(Hash128, AdditionCarriesIntoTheHighHalf) {
    EXPECT_EQ((Hash128{1, all_ones} + Hash128{2, 1}), (Hash128{4, 0}));
    EXPECT_EQ((Hash128{all_ones, all_ones} + Hash128{0, 1}), (Hash128{0, 0}));
}

TEST(Hash128, SubtractionBorrowsFromTheHighHalf) {
    EXPECT_EQ((Hash128{4, 0} - Hash128{2, 1}), (Hash128{1, all_ones}));
    EXPECT_EQ((Hash128{0, 0} - Hash128{0, 1}), (Hash128{all_ones, all_ones}));
}

TEST(Hash128, ASumIsFreeOfOrderAndUndoneBySubtraction) {
    const auto a = Hasher{"test"}.add("a").finish();
    const auto b = Hasher{"test"}.add("b").finish();
    const auto c = Hasher{"test"}.add("c").finish();
    EXPECT_EQ(a + b + c, c + a + b);
    EXPECT_EQ(a + b + c - b, a + c);
}

TEST(Hash128, TextIsTheHighHalfFirst) {
    EXPECT_EQ((Hash128{0x0123456789abcdef, 0xf}.to_string()), "0123456789abcdef000000000000000f");
}

TEST(Hasher, FieldsDoNotRunIntoEachOther) {
    EXPECT_NE(Hasher{"test"}.add("ab").add("c").finish(), Hasher{"test"}.add("a").add("bc").finish());
    EXPECT_NE(Hasher{"test"}.add("").finish(), Hasher{"test"}.finish());
    EXPECT_NE(Hasher{"te"}.add("st").finish(), Hasher{"test"}.finish());
}

TEST(Hasher, DomainsAndTypesSeparateEqualContent) {
    EXPECT_NE(Hasher{"one"}.add("x").finish(), Hasher{"two"}.add("x").finish());
    const std::array bytes{std::byte{'x'}};
    EXPECT_NE(Hasher{"test"}.add("x").finish(),
              Hasher{"test"}.add(std::span<const std::byte>{bytes}).finish());
    // A number spelled like the length and bytes of a text.
    EXPECT_NE(Hasher{"test"}.add(std::uint64_t{1}).finish(),
              Hasher{"test"}.add(std::string_view{"\1\0\0\0\0\0\0\0", 8}).finish());
}

TEST(Hasher, FieldsThatLeaveTheShortBufferHashAsOneWouldExpect) {
    // One after the other around the size up to which nothing is allocated; and what was added before counts.
    std::set<std::string> values;
    for (std::size_t size = 180; size < 260; ++size) {
        values.insert(Hasher{"test"}.add(std::string(size, 'x')).finish().to_string());
        values.insert(Hasher{"test"}.add("a").add(std::string(size, 'x')).add("b").finish().to_string());
        values.insert(Hasher{"test"}.add("b").add(std::string(size, 'x')).add("a").finish().to_string());
    }
    EXPECT_EQ(values.size(), 3U * 80U);
}

TEST(Hasher, SignedNumbersHashAsTheirTwosComplement) {
    EXPECT_EQ(Hasher{"test"}.add(std::int64_t{-1}).finish(), Hasher{"test"}.add(all_ones).finish());
}

// Digests travel between nodes, so these values must never change. They are what `xxhsum -H2` prints for the
// framed fields: a tag (t, b, n), for text and bytes the length in 8 bytes, numbers in 8 bytes, little
// endian.
TEST(Hasher, ValuesAreXxh3OfTheFramedFields) {
    EXPECT_EQ(Hasher{"test"}.finish().to_string(), "daff2291e39a0eacd67809451a0ab2e8");
    const std::array bytes{std::byte{0}, std::byte{0xff}};
    EXPECT_EQ(Hasher{"test"}
                  .add("abc")
                  .add(std::span<const std::byte>{bytes})
                  .add(std::int64_t{-2})
                  .finish()
                  .to_string(),
              "c772ae46d40e2fbfd291207df60ce74c");
    EXPECT_EQ(Hasher{"test"}.add(std::string(1000, 'x')).finish().to_string(),
              "460e782a6cb83ea7ba0876f81bde0012");
}

} // namespace
