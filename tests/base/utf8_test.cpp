// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.hpp"

#include <gtest/gtest.h>

namespace {

using namespace std::string_literals;
using muster::is_utf8;
using muster::to_utf8;
using muster::utf8_front;

TEST(Utf8, TakesEveryCharacterOfEveryLength) {
    for (const auto& text : {""s, "plain"s, "\0"s, "\x7f"s, "\xc2\x80"s, "\xdf\xbf"s, "\xe0\xa0\x80"s,
                             "\xed\x9f\xbf"s, "\xef\xbf\xbf"s, "\xf0\x90\x80\x80"s, "\xf4\x8f\xbf\xbf"s}) {
        EXPECT_TRUE(is_utf8(text));
        EXPECT_EQ(to_utf8(text), text);
    }
}

TEST(Utf8, RefusesWhatOnlyLooksLikeIt) {
    for (const auto& text : {"\x80"s, "\xff"s, "\xc0\x80"s, "\xc1\xbf"s, "\xe0\x9f\xbf"s, "\xed\xa0\x80"s,
                             "\xf0\x8f\xbf\xbf"s, "\xf4\x90\x80\x80"s, "\xf5\x80\x80\x80"s, "\xc3"s,
                             "\xe2\x82"s, "\xf0\x9f\x98"s, "\xc3("s, "ok\xff"s})
        EXPECT_FALSE(is_utf8(text)) << testing::PrintToString(text);
}

TEST(Utf8, ShowsAByteOfNoCharacterAsTheReplacementCharacter) {
    EXPECT_EQ(to_utf8("a\xff\xc3(b"), "a\xef\xbf\xbd\xef\xbf\xbd(b");
    EXPECT_EQ(to_utf8("\xe2\x82"), "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(Utf8, ACutComesBetweenCharacters) {
    EXPECT_EQ(utf8_front("aa\xe2\x82\xac", 10), "aa\xe2\x82\xac");
    EXPECT_EQ(utf8_front("aa\xe2\x82\xac", 4), "aa");
    EXPECT_EQ(utf8_front("aa\xe2\x82\xac", 3), "aa");
    EXPECT_EQ(utf8_front("aa\xe2\x82\xac", 2), "aa");
    EXPECT_EQ(utf8_front("\x80\x80\x80\x80\x80", 4).size(), 4U);
    EXPECT_EQ(utf8_front("\xe2\x82\xac", 0), "");
}

} // namespace
