// SPDX-License-Identifier: Apache-2.0
#include <muster/unique_function.hpp>

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <type_traits>

namespace {

using muster::UniqueFunction;

TEST(UniqueFunction, IsEmptyUntilGivenACallable) {
    UniqueFunction<void()> function;
    EXPECT_FALSE(function);
    function = [] {};
    EXPECT_TRUE(function);
}

TEST(UniqueFunction, HoldsAMoveOnlyCallableAndMovesWithIt) {
    static_assert(!std::is_copy_constructible_v<UniqueFunction<int()>>);
    UniqueFunction<int()> first = [number = std::make_unique<int>(7)] { return *number; };
    UniqueFunction<int()> second = std::move(first);
    EXPECT_FALSE(first);
    EXPECT_EQ(second(), 7);
}

TEST(UniqueFunction, PassesMoveOnlyArgumentsAndReferencesThrough) {
    UniqueFunction<std::string(std::unique_ptr<int>, std::string&)> function = [](std::unique_ptr<int> number,
                                                                                  std::string& text) {
        text += "!";
        return text + std::to_string(*number);
    };
    std::string text = "n";
    EXPECT_EQ(function(std::make_unique<int>(4), text), "n!4");
    EXPECT_EQ(text, "n!");
}

TEST(UniqueFunction, DestroysWhatItHoldsOnceWhenOverwrittenOrDestroyed) {
    const auto tracked = std::make_shared<int>(0);
    UniqueFunction<void()> function = [tracked] {};
    EXPECT_EQ(tracked.use_count(), 2);
    function = [] {};
    EXPECT_EQ(tracked.use_count(), 1);
    {
        const UniqueFunction<void()> scoped = [tracked] {};
        EXPECT_EQ(tracked.use_count(), 2);
    }
    EXPECT_EQ(tracked.use_count(), 1);
}

TEST(UniqueFunction, KeepsStateBetweenCalls) {
    UniqueFunction<int()> counter = [n = 0]() mutable { return ++n; };
    counter();
    EXPECT_EQ(counter(), 2);
}

} // namespace
