// SPDX-License-Identifier: Apache-2.0
/// What a Recorder takes, and the page that is made of it. tests/sim/timeline_browser looks at the page in a
/// browser.
#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <muster/sim/world.hpp>
#include <muster/sim/world/recorder.hpp>
#include <muster/wire/frame.hpp>
#include <sstream>

namespace muster::sim::test {
namespace {

using namespace std::chrono_literals;
using Entry = Recorder::Entry;
using Kind = Entry::Kind;
using Phase = Entry::Phase;

constexpr Instant began{1h};

std::string page_of(const Recorder& recorder, std::size_t nodes = 3) {
    std::ostringstream out;
    write_timeline(out, recorder, nodes, began);
    return out.str();
}

/// What stands in the page's data element.
std::string data_text(const std::string& page) {
    const std::string_view open = "<script id=\"data\" type=\"application/json\">";
    const auto from = page.find(open) + open.size();
    return page.substr(from, page.find("</script>", from) - from);
}

boost::json::object data_of(const Recorder& recorder) {
    return boost::json::parse(data_text(page_of(recorder))).as_object();
}

std::size_t occurrences(std::string_view text, std::string_view part) {
    std::size_t count = 0;
    for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++count;
    return count;
}

Entry message(Instant when) {
    return {.kind = Kind::Message, .when = when, .node = 0, .other = 1, .text = "x", .length = 1ms};
}
Entry fault(Instant when) { return {.kind = Kind::Fault, .when = when, .node = 0, .text = "x"}; }
Entry status(Instant when) {
    return {.kind = Kind::Status, .when = when, .node = 0, .other = 1, .text = "Up"};
}

// ---- bounds

TEST(Recorder, AboveTheLimitMessagesAreLeftOutAndStatusesAreStillTaken) {
    Recorder recorder(3);
    for (int i = 0; i < 5; ++i) recorder.add(message(began + 1s * i));
    recorder.add(status(began + 6s));
    EXPECT_EQ(recorder.entries().size(), 4U);
    EXPECT_EQ(recorder.dropped(Kind::Message), 2U);
    EXPECT_EQ(recorder.dropped_since(Kind::Message), began + 3s);
    EXPECT_EQ(recorder.dropped(Kind::Status), 0U);
    EXPECT_EQ(recorder.dropped_since(Kind::Status), std::nullopt);
}

TEST(Recorder, AboveTwiceTheLimitOnlyLivesAndFaultsAreTaken) {
    Recorder recorder(3);
    for (int i = 0; i < 7; ++i) recorder.add(status(began));
    recorder.add(fault(began + 1s));
    EXPECT_EQ(recorder.dropped(Kind::Status), 1U);
    EXPECT_EQ(recorder.entries().back().kind, Kind::Fault);
}

TEST(Recorder, AboveFourTimesTheLimitNothingIsTaken) {
    Recorder recorder(3);
    for (int i = 0; i < 20; ++i) recorder.add(fault(began));
    EXPECT_EQ(recorder.entries().size(), 12U);
    EXPECT_EQ(recorder.dropped(), 8U);
}

TEST(Timeline, SaysWhatIsLeftOut) {
    Recorder recorder(2);
    for (int i = 0; i < 5; ++i) recorder.add(message(began + 1s * i));
    const auto dropped = data_of(recorder).at("dropped").as_array();
    ASSERT_EQ(dropped.size(), 1U);
    EXPECT_EQ(boost::json::serialize(dropped[0]), R"({"kind":"Message","count":3,"since":2000000000})");
}

// ---- what happens, as entries

class Views : public ::testing::Test {
protected:
    static Address address(std::size_t node) {
        return Address::remote("akka.tcp", "sim", "10.0.0." + std::to_string(node + 1), 2551);
    }
    static UniqueAddress unique(std::size_t node, std::int64_t uid = 1) { return {address(node), Uid{uid}}; }
    static Member member(std::size_t node, MemberStatus status, std::int64_t uid = 1) {
        return Member(unique(node, uid), status);
    }
    void tell(std::size_t node, const ClusterEvent& event) {
        recorder.add_event(began, node, unique(node), event,
                           [](const Address& a) -> std::optional<std::size_t> {
                               for (std::size_t i = 0; i < 3; ++i)
                                   if (a == address(i)) return i;
                               return std::nullopt;
                           });
    }
    const Entry& last() const { return recorder.entries().back(); }
    Recorder recorder;
};

TEST_F(Views, AMemberEventIsAStatusInTheEyesOfItsNode) {
    tell(2, MemberWeaklyUp{member(1, MemberStatus::WeaklyUp)});
    EXPECT_EQ(last().kind, Kind::Status);
    EXPECT_EQ(last().node, 2U);
    EXPECT_EQ(last().other, 1U);
    EXPECT_EQ(last().text, "WeaklyUp");
}

TEST_F(Views, WhatIsAboutAnotherMachineIsLeftOut) {
    tell(0, MemberUp{Member(UniqueAddress(Address::remote("akka.tcp", "sim", "elsewhere", 1), Uid{1}),
                            MemberStatus::Up)});
    EXPECT_TRUE(recorder.entries().empty());
}

TEST_F(Views, TheRemovalOfAnEarlierLifeDoesNotTouchTheStatusOfTheNext) {
    tell(0, MemberJoined{member(1, MemberStatus::Joining, 7)});
    tell(0, MemberRemoved{member(1, MemberStatus::Removed, 6), MemberStatus::Down});
    EXPECT_EQ(last().kind, Kind::Note);
    tell(0, MemberRemoved{member(1, MemberStatus::Removed, 7), MemberStatus::Down});
    EXPECT_EQ(last().kind, Kind::Status);
}

TEST_F(Views, OnlyTheOwnRowsSayWhomANodeCallsUnreachable) {
    const Reachability rows =
        Reachability().unreachable(unique(0), unique(1)).unreachable(unique(2), unique(1));
    tell(0, ReachabilityChanged{rows});
    ASSERT_EQ(recorder.entries().size(), 1U);
    EXPECT_EQ(last().kind, Kind::Reachability);
    EXPECT_EQ(last().phase, Phase::Begin);
    EXPECT_EQ(last().other, 1U);
    tell(0, ReachabilityChanged{rows.reachable(unique(0), unique(1))});
    ASSERT_EQ(recorder.entries().size(), 2U);
    EXPECT_EQ(last().phase, Phase::End);
}

TEST_F(Views, ATerminatedRowStaysUnreachable) {
    const Reachability rows = Reachability().unreachable(unique(0), unique(1));
    tell(0, ReachabilityChanged{rows});
    tell(0, ReachabilityChanged{rows.terminated(unique(0), unique(1))});
    EXPECT_EQ(recorder.entries().size(), 1U);
}

class Traces : public ::testing::Test {
protected:
    static Segment segment(std::size_t bytes, Segment::Kind kind = Segment::Kind::Data) {
        return {.kind = kind, .from = HostId{4}, .to = HostId{5}, .connection = 9, .bytes = bytes};
    }
    void happens(TraceEvent::Kind kind, Duration at, const Segment& what,
                 std::span<const std::byte> payload = {}) {
        recorder.add_trace(
            {.kind = kind, .when = began + at, .segment = what, .payload = payload},
            [](HostId host) -> std::optional<std::size_t> { return static_cast<std::size_t>(host) - 4; });
    }
    void send(Duration at, std::span<const std::byte> payload) {
        happens(TraceEvent::Kind::Sent, at, segment(payload.size()), payload);
    }
    void arrive(Duration at, std::size_t bytes) { happens(TraceEvent::Kind::Arrived, at, segment(bytes)); }
    void lose(Duration at, std::size_t bytes) { happens(TraceEvent::Kind::Lost, at, segment(bytes)); }
    static std::vector<std::byte> frame(wire::FrameKind kind, std::size_t body_bytes) {
        std::vector<std::byte> bytes(4 + body_bytes);
        bytes[3] = static_cast<std::byte>(body_bytes);
        bytes[4] = static_cast<std::byte>(kind);
        return bytes;
    }
    static std::vector<std::byte> joined(std::vector<std::byte> a, const std::vector<std::byte>& b) {
        a.insert(a.end(), b.begin(), b.end());
        return a;
    }
    Recorder recorder;
};

TEST_F(Traces, ASegmentThatArrivesIsAMessageSinceItWasSent) {
    const auto bytes = frame(wire::FrameKind::Heartbeat, 20);
    send(1ms, bytes);
    EXPECT_TRUE(recorder.entries().empty());
    arrive(4ms, bytes.size());
    ASSERT_EQ(recorder.entries().size(), 1U);
    const Entry& entry = recorder.entries().front();
    EXPECT_EQ(entry.kind, Kind::Message);
    EXPECT_EQ(entry.when, began + 1ms);
    EXPECT_EQ(entry.length, 3ms);
    EXPECT_EQ(entry.node, 0U);
    EXPECT_EQ(entry.other, 1U);
    EXPECT_EQ(entry.text, "Heartbeat, 24 bytes");
}

TEST_F(Traces, FramesAreNamedWhereverTheStreamIsCut) {
    const auto both = joined(frame(wire::FrameKind::GossipStatus, 30), frame(wire::FrameKind::SeenAck, 9));
    for (std::size_t cut = 1; cut < both.size(); ++cut) {
        recorder = Recorder();
        const std::span all(both);
        send(1ms, all.first(cut));
        send(2ms, all.subspan(cut));
        arrive(3ms, cut);
        arrive(3ms, both.size() - cut);
        ASSERT_EQ(recorder.entries().size(), 2U);
        const std::string text = recorder.entries()[0].text + "; " + recorder.entries()[1].text;
        EXPECT_EQ(occurrences(text, "GossipStatus"), 1U) << text;
        EXPECT_EQ(occurrences(text, "SeenAck"), 1U) << text;
    }
}

TEST_F(Traces, EqualFramesAreCounted) {
    const auto beat = frame(wire::FrameKind::Heartbeat, 5);
    const auto two = joined(beat, beat);
    send(0ms, two);
    arrive(1ms, two.size());
    EXPECT_EQ(recorder.entries().front().text, "2 Heartbeat, 18 bytes");
}

TEST_F(Traces, ALostAttemptIsShownAsLostAndTheNextIsNamedAlike) {
    const auto beat = frame(wire::FrameKind::Heartbeat, 5);
    send(0ms, beat);
    lose(0ms, beat.size());
    send(200ms, beat);
    arrive(201ms, beat.size());
    ASSERT_EQ(recorder.entries().size(), 2U);
    EXPECT_EQ(recorder.entries()[0].phase, Phase::End);
    EXPECT_EQ(recorder.entries()[1].phase, Phase::Point);
    EXPECT_EQ(recorder.entries()[1].when, began + 200ms);
    for (const Entry& entry : recorder.entries()) EXPECT_EQ(entry.text, "Heartbeat, 9 bytes");
}

TEST_F(Traces, ALostPartOfAFrameIsReadAgainWhereItBegan) {
    const auto both = joined(frame(wire::FrameKind::GossipStatus, 30), frame(wire::FrameKind::SeenAck, 9));
    const std::span all(both);
    send(0ms, all.first(20));
    lose(0ms, 20);
    send(200ms, all.first(20));
    send(201ms, all.subspan(20));
    arrive(202ms, 20);
    arrive(203ms, both.size() - 20);
    ASSERT_EQ(recorder.entries().size(), 3U);
    EXPECT_EQ(recorder.entries()[1].text, "GossipStatus, 20 bytes");
    EXPECT_EQ(recorder.entries()[2].text, "SeenAck, 27 bytes");
}

TEST_F(Traces, WhatABrokenConnectionHadOnItsWayIsNoMessage) {
    const auto beat = frame(wire::FrameKind::Heartbeat, 5);
    const auto status = frame(wire::FrameKind::GossipStatus, 30);
    send(0ms, beat);
    send(1ms, status);
    arrive(2ms, status.size());
    ASSERT_EQ(recorder.entries().size(), 1U);
    EXPECT_EQ(recorder.entries()[0].text, "GossipStatus, 34 bytes");
}

TEST_F(Traces, WhatTcpDoesForItselfIsLeftOut) {
    for (const auto kind : {Segment::Kind::Accept, Segment::Kind::Window}) {
        happens(TraceEvent::Kind::Sent, 0ms, segment(0, kind));
        happens(TraceEvent::Kind::Arrived, 1ms, segment(0, kind));
    }
    EXPECT_TRUE(recorder.entries().empty());
}

TEST_F(Traces, WhatAFullRecorderLeavesOutIsCountedOnce) {
    recorder = Recorder(1);
    for (int i = 0; i < 3; ++i) {
        const auto beat = frame(wire::FrameKind::Heartbeat, 5);
        send(1ms * i, beat);
        arrive(1ms * i, beat.size());
    }
    EXPECT_EQ(recorder.entries().size(), 1U);
    EXPECT_EQ(recorder.dropped(Kind::Message), 2U);
}

// ---- the page

TEST(Timeline, NoTextOfTheDataCanEndTheElementItStandsIn) {
    Recorder recorder;
    recorder.set_title("</title><script>bad()</script>");
    const std::string nasty = "</script><script>bad()</script><!--<script>";
    recorder.add({.kind = Kind::Note, .when = began, .node = 0, .text = nasty});
    const std::string page = page_of(recorder);
    EXPECT_EQ(occurrences(page, "<script"), 2U) << "the data and the program";
    EXPECT_EQ(occurrences(page, "</script"), 2U);
    EXPECT_EQ(occurrences(page, "</title"), 1U);
    EXPECT_EQ(data_text(page).find('<'), std::string::npos);
    const auto data = boost::json::parse(data_text(page)).as_object();
    EXPECT_EQ(data.at("texts").at(0).as_string(), nasty) << "the reader sees it as it was";
    EXPECT_EQ(data.at("title").as_string(), recorder.title());
}

TEST(Timeline, WhatIsNotUtf8BecomesTheReplacementCharacter) {
    const std::string_view mark = "\xef\xbf\xbd";
    const std::pair<std::string, std::string> cases[] = {
        {"plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xff", std::string(mark)},
        {"a\xc3", "a" + std::string(mark)},
        {"\xc0\xaf", std::string(mark) + std::string(mark)},
        {"\xed\xa0\x80z", std::string(mark) + std::string(mark) + std::string(mark) + "z"},
        {"\xf4\x90\x80\x80", std::string(mark) + std::string(mark) + std::string(mark) + std::string(mark)},
    };
    for (const auto& [given, expected] : cases) {
        Recorder recorder;
        recorder.add({.kind = Kind::Note, .when = began, .node = 0, .text = given});
        EXPECT_EQ(data_of(recorder).at("texts").at(0).as_string(), expected);
    }
}

TEST(Timeline, LoadsNothingFromAnywhere) {
    const std::string page = page_of(Recorder());
    EXPECT_EQ(page.find("http:"), std::string::npos);
    EXPECT_EQ(page.find("https:"), std::string::npos);
    EXPECT_EQ(page.find(" src="), std::string::npos);
    EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
}

TEST(Timeline, HoldsEveryEntryInColumns) {
    Recorder recorder;
    recorder.add({.kind = Kind::Life, .when = began + 1s, .node = 2, .text = "a", .phase = Phase::Begin});
    recorder.add(
        {.kind = Kind::Message, .when = began + 2s, .node = 0, .other = 1, .text = "b", .length = 3ms});
    recorder.add({.kind = Kind::Fault,
                  .when = began + 2s,
                  .node = Recorder::everyone,
                  .text = "a",
                  .phase = Phase::End});
    const auto data = data_of(recorder);
    EXPECT_EQ(
        boost::json::serialize(data.at("entries")),
        R"({"kind":[0,4,3],"when":[1000000000,2000000000,2000000000],"node":[2,0,-1],"other":[-1,1,-1],)"
        R"("text":[0,1,0],"phase":[1,0,2],"length":[0,3000000,0]})");
    EXPECT_EQ(boost::json::serialize(data.at("texts")), R"(["a","b"])");
    EXPECT_EQ(data.at("end").as_int64(), 2003000000);
    EXPECT_EQ(data.at("statuses").as_array().size(), member_status_count);
}

// ---- a world's record

std::size_t count(const Recorder& recorder, const std::function<bool(const Entry&)>& which) {
    return static_cast<std::size_t>(
        std::count_if(recorder.entries().begin(), recorder.entries().end(), which));
}

TEST(WorldRecord, ShowsLivesStatusesFaultsReachabilityAndMessages) {
    World world({.seed = 3, .nodes = 5});
    const auto recorder = std::make_shared<Recorder>();
    world.record(recorder);
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    world.partition({4});
    ASSERT_TRUE(world.run_until([&] { return world.running().size() == 4 && world.agreed(); }, 60s))
        << world.disagreement();
    world.heal();
    world.crash(3);
    world.run_for(1s);
    const auto has = [&](Kind kind, std::size_t node, std::string_view text, Phase phase) {
        return count(*recorder, [&](const Entry& e) {
            return e.kind == kind && e.node == node && e.phase == phase &&
                   e.text.find(text) != std::string::npos;
        });
    };
    for (std::size_t node = 0; node < 5; ++node) {
        EXPECT_EQ(has(Kind::Life, node, "life 1", Phase::Begin), 1U);
        EXPECT_GE(has(Kind::Status, node, "Up", Phase::Point), 5U);
    }
    EXPECT_EQ(has(Kind::Life, 3, "crash", Phase::End), 1U);
    EXPECT_EQ(has(Kind::Life, 4, "stopped", Phase::End), 1U) << "downed itself as the minority";
    EXPECT_EQ(has(Kind::Fault, 4, "partition: node 4 and all others", Phase::Begin), 1U);
    EXPECT_EQ(has(Kind::Fault, 4, "partition: node 4 and all others", Phase::End), 1U);
    EXPECT_GE(has(Kind::Status, 0, "Down", Phase::Point), 1U);
    EXPECT_GE(count(*recorder, [](const Entry& e) { return e.kind == Kind::Reachability && e.other == 4U; }),
              1U);
    EXPECT_GE(has(Kind::Message, 0, "Heartbeat", Phase::Point), 10U);
    EXPECT_GE(has(Kind::Message, 0, "GossipEnvelope", Phase::Point), 1U);
    EXPECT_EQ(has(Kind::Message, 0, "unknown", Phase::Point), 0U);
}

TEST(WorldRecord, ThatBeginsLateKnowsWhatIsSoAlready) {
    World world({.seed = 3, .nodes = 3});
    world.start_all();
    ASSERT_TRUE(world.run_until_agreed(30s));
    const auto recorder = std::make_shared<Recorder>();
    world.record(recorder);
    EXPECT_EQ(
        count(*recorder, [](const Entry& e) { return e.kind == Kind::Life && e.phase == Phase::Begin; }), 3U);
    EXPECT_EQ(count(*recorder, [](const Entry& e) { return e.kind == Kind::Status && e.text == "Up"; }), 9U);
}

TEST(WorldRecord, DoesNotChangeTheRun) {
    const auto run = [](bool recorded) {
        World world({.seed = 11, .nodes = 4});
        if (recorded) world.record(std::make_shared<Recorder>());
        world.start_all();
        world.run_until_agreed(30s);
        world.crash(2);
        world.run_for(20s);
        return world.trace_hash();
    };
    EXPECT_EQ(run(true), run(false));
}

TEST(WorldRecord, IsTheSamePageInEveryRun) {
    const auto run = [] {
        World world({.seed = 12, .nodes = 3});
        world.record(std::make_shared<Recorder>());
        world.start_all();
        world.run_for(10s);
        std::ostringstream out;
        world.write_timeline(out);
        return out.str();
    };
    EXPECT_EQ(run(), run());
}

} // namespace
} // namespace muster::sim::test
