// SPDX-License-Identifier: Apache-2.0
/// How an expectation of the conformance schema is read ("Data conventions" of its README): by whom the cases
/// are judged.
#include "registry.hpp"

#include <gtest/gtest.h>

namespace muster::conformance {
namespace {

bool match(std::string_view expect, std::string_view got, Matching matching = {}) {
    return matches(json::parse(expect), json::parse(got), matching);
}

TEST(Matching, OnlyTheListedKeysOfAnExpectationAreChecked) {
    EXPECT_TRUE(match(R"({"a":1})", R"({"a":1,"b":2})"));
    EXPECT_FALSE(match(R"({"a":1,"b":2})", R"({"a":1})"));
    EXPECT_TRUE(match(R"({"reverse":{"decision":"x"}})", R"({"reverse":{"decision":"x","down":[]}})"));
    EXPECT_FALSE(match(R"({"reverse":{"decision":"x"}})", R"({"reverse":{"decision":"y"}})"));
}

TEST(Matching, ListsBelowAKeyAreSets) {
    EXPECT_TRUE(match(R"({"seen":["a","b"]})", R"({"seen":["b","a"]})"));
    EXPECT_FALSE(match(R"({"seen":["a","b"]})", R"({"seen":["b"]})"));
    EXPECT_FALSE(match(R"({"seen":["a","b"]})", R"({"seen":["a","b","c"]})"));
    EXPECT_FALSE(match(R"({"seen":["a","a"]})", R"({"seen":["a","b"]})"));
    EXPECT_TRUE(match(R"({"seen":{"by":["a","b"]}})", R"({"seen":{"by":["b","a"],"convergence":true}})"));
}

TEST(Matching, MemberEventsAreInOrder) {
    EXPECT_FALSE(match(R"({"memberEvents":[["a"],["b"]]})", R"({"memberEvents":[["b"],["a"]]})"));
    EXPECT_TRUE(match(R"({"memberEvents":[["a"],["b"]]})", R"({"memberEvents":[["a"],["b"]]})"));
}

TEST(Matching, ListsAtTheTopAreInOrderUnlessTheOperationSaysOtherwise) {
    EXPECT_FALSE(match(R"(["a","b"])", R"(["b","a"])"));
    EXPECT_TRUE(match(R"(["a","b"])", R"(["b","a"])", {.list_is_set = true}));
    EXPECT_FALSE(match(R"({"dc":["a","b"]})", R"({"dc":["b","a"]})", {.lists_in_order = true}));
}

TEST(Matching, ReachabilityRecordsAreASetOfRowsInOrder) {
    EXPECT_TRUE(match(R"({"records":[["a","b","Unreachable",1],["c","d","Unreachable",2]]})",
                      R"({"records":[["c","d","Unreachable",2],["a","b","Unreachable",1]]})"));
    EXPECT_FALSE(
        match(R"({"records":[["a","b","Unreachable",1]]})", R"({"records":[["b","a","Unreachable",1]]})"));
}

TEST(Matching, WhatAStepDownsIsASet) {
    EXPECT_TRUE(
        match(R"({"downs":[{"at":10,"down":["b","a"]}]})", R"({"downs":[{"at":10,"down":["a","b"]}]})"));
    EXPECT_FALSE(
        match(R"({"downs":[{"at":10,"down":["b","a"]}]})", R"({"downs":[{"at":11,"down":["a","b"]}]})"));
    EXPECT_FALSE(match(R"({"downs":[{"at":10,"down":["b"]}]})", R"({"downs":[{"at":10,"down":["a","b"]}]})"));
    EXPECT_FALSE(match(R"({"downs":[]})", R"({"downs":[{"at":10,"down":["a"]}]})"))
        << "steps without downs are absent";
}

TEST(Matching, MapsFromIdsAreComparedWhole) {
    for (const std::string_view key : {"members", "roleLeaders", "version", "versions"}) {
        const std::string one = "{\"" + std::string(key) + R"(":{"a":1}})";
        const std::string two = "{\"" + std::string(key) + R"(":{"a":1,"b":2}})";
        EXPECT_TRUE(match(one, one)) << key;
        EXPECT_FALSE(match(one, two)) << key;
        EXPECT_FALSE(match(two, one)) << key;
    }
    EXPECT_TRUE(
        match(R"({"status":{"a":"Reachable"}})", R"({"status":{"a":"Reachable","b":"Unreachable"}})"));
    EXPECT_FALSE(match(R"({"a":1})", R"({"a":1,"b":2})", {.whole_object = true}));
}

TEST(Matching, MembersAreStatusesOrStatusesWithNumbers) {
    EXPECT_TRUE(match(R"({"members":{"a":["Up",1]}})", R"({"members":{"a":["Up",1]}})"));
    EXPECT_FALSE(match(R"({"members":{"a":["Up",2]}})", R"({"members":{"a":["Up",1]}})"));
    EXPECT_FALSE(match(R"({"members":{"a":["Up",null]}})", R"({"members":{"a":["Up",1]}})"));
    EXPECT_TRUE(match(R"({"members":{"a":"Up"}})", R"({"members":{"a":["Up",1]}})"));
    EXPECT_FALSE(match(R"({"members":{"a":"Down"}})", R"({"members":{"a":["Up",1]}})"));
    EXPECT_FALSE(match(R"({"members":{"a":["Up",1]}})", R"({"members":{"a":"Up"}})"));
}

TEST(Matching, NumbersAreNearOrGreater) {
    EXPECT_TRUE(match(R"({"approx":1.0,"tol":0.1})", "1.05"));
    EXPECT_FALSE(match(R"({"approx":1.0,"tol":0.1})", "1.2"));
    EXPECT_TRUE(match(R"({"gt":1.0})", "1.1"));
    EXPECT_FALSE(match(R"({"gt":1.0})", "1.0")) << "strictly";
    EXPECT_TRUE(match(R"({"phi":{"approx":1.0,"tol":0.1}})", R"({"phi":1})"));
    EXPECT_TRUE(match(R"({"mean":2.0,"tol":0.5})", R"({"mean":2.4,"size":3})"));
    EXPECT_FALSE(match(R"({"mean":2.0,"tol":0.5})", R"({"mean":2.6,"size":3})"));
}

TEST(Matching, ATimeMayBeOffByItsTolerance) {
    EXPECT_TRUE(match(R"({"at":5000,"toleranceMs":1000,"action":"x"})", R"({"at":5900,"action":"x"})"));
    EXPECT_FALSE(match(R"({"at":5000,"toleranceMs":1000,"action":"x"})", R"({"at":6100,"action":"x"})"));
    EXPECT_FALSE(match(R"({"at":5000,"toleranceMs":1000,"action":"x"})", R"({"at":5000,"action":"y"})"));
    EXPECT_FALSE(match(R"({"at":5000,"action":"x"})", R"({"at":5001,"action":"x"})"));
}

TEST(Matching, NullIsNoEventAndNoLeader) {
    EXPECT_TRUE(match("null", "null"));
    EXPECT_FALSE(match("null", R"("a")"));
    EXPECT_TRUE(match(R"({"seen":null})", R"({"seen":null})"));
    EXPECT_FALSE(match(R"({"seen":null})", R"({"seen":{"by":[],"convergence":true}})"));
    EXPECT_FALSE(match(R"({"seen":null})", "{}")) << "what the operation does not answer is no null";
}

TEST(Matching, AKeyThatTheOperationDoesNotAnswerIsTheRunnersFailure) {
    const auto unknown = [](std::string_view expect, std::string_view got, Matching matching = {}) {
        return unknown_key(json::parse(expect), json::parse(got), matching);
    };
    EXPECT_EQ(unknown(R"({"a":1,"new":2})", R"({"a":1})"), "new");
    EXPECT_EQ(unknown(R"({"a":2})", R"({"a":1})"), "") << "a wrong answer is the classes' failure";
    EXPECT_EQ(unknown(R"({"reverse":{"new":1}})", R"({"reverse":{"decision":"x"}})"), "reverse.new");
    EXPECT_EQ(unknown(R"({"reverse":{"decision":1}})", R"({"reverse":null})"), "");
    EXPECT_EQ(unknown(R"({"members":{"a":1}})", R"({"members":{}})"), "") << "the keys of a map are no words";
    EXPECT_EQ(unknown(R"({"a:1#1":[]})", "{}", {.keys_are_ids = true}), "");
    EXPECT_EQ(unknown(R"({"at":1,"toleranceMs":2,"tol":1})", R"({"at":1})"), "");
    EXPECT_EQ(unknown(R"({"approx":1,"tol":2})", "1"), "");
    EXPECT_EQ(unknown(R"({"a":1})", R"("not commutative")"), "");
}

TEST(Matching, AllWordsForTheEndOfJoiningAreOne) {
    EXPECT_TRUE(match(R"({"action":"incompatible"})", R"({"action":"shutdown"})"));
    EXPECT_FALSE(match(R"({"action":"incompatible"})", R"({"action":"none"})"));
    EXPECT_FALSE(match(R"({"action":"join a:1"})", R"({"action":"shutdown"})"));
}

} // namespace
} // namespace muster::conformance
