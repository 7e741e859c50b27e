// SPDX-License-Identifier: Apache-2.0
#include <muster/log.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using namespace std::chrono_literals;
using muster::LogField;
using muster::Logger;
using muster::LogLevel;
using muster::LogRecord;
using muster::MemoryLogSink;
using muster::WallTime;

LogRecord record_with(std::string value) {
    return {.when = {1'767'323'045'678},
            .level = LogLevel::Warning,
            .code = "test.thing.happened",
            .fields = {{"name", std::move(value)}}};
}

std::string value_in_line(std::string value) {
    const auto line = record_with(std::move(value)).to_line();
    return line.substr(line.find("name=") + 5);
}

TEST(LogLine, HasUtcTimeLevelCodeAndFields) {
    auto record = record_with("value");
    record.fields.push_back({"peer", "127.0.0.1:2551"});
    EXPECT_EQ(record.to_line(),
              "2026-01-02T03:04:05.678Z WARNING test.thing.happened name=value peer=127.0.0.1:2551");
}

TEST(LogLine, TimesBeforeTheEpochAreStillDates) {
    auto record = record_with("value");
    record.when = WallTime{-1};
    EXPECT_TRUE(record.to_line().starts_with("1969-12-31T23:59:59.999Z ")) << record.to_line();
}

TEST(LogLine, ReportsHowManyRecordsTheRateLimitSuppressed) {
    auto record = record_with("value");
    record.suppressed = 12;
    EXPECT_TRUE(record.to_line().ends_with(" suppressed=12"));
}

TEST(LogLine, QuotesWhatWouldBreakTheFields) {
    EXPECT_EQ(value_in_line("two words"), R"("two words")");
    EXPECT_EQ(value_in_line("a=b"), R"("a=b")");
    EXPECT_EQ(value_in_line(""), R"("")");
    EXPECT_EQ(value_in_line(R"(say "hi" \ bye)"), R"("say \"hi\" \\ bye")");
}

TEST(LogLine, APeersTextCanNeitherForgeALineNorSteerATerminal) {
    EXPECT_EQ(value_in_line("a\nERROR forged"), R"("a\x0aERROR forged")");
    EXPECT_EQ(value_in_line("\x1b[2J\x7f"), R"("\x1b[2J\x7f")");
    EXPECT_EQ(value_in_line("\xc2\x9b"), R"("\xc2\x9b")");
}

TEST(LogLine, CutsALongValueAndTellsItsLength) {
    const auto value = value_in_line(std::string(1'000'000, 'x'));
    EXPECT_EQ(value, std::string(LogRecord::line_value_bytes_max, 'x') + "..(1000000_bytes)");
}

TEST(LogLevelText, IsReadBackInEitherCase) {
    for (const auto level :
         {LogLevel::Debug, LogLevel::Info, LogLevel::Warning, LogLevel::Error, LogLevel::Off})
        EXPECT_EQ(muster::parse_log_level(to_string(level)), level);
    EXPECT_EQ(muster::parse_log_level("warning"), LogLevel::Warning);
    EXPECT_EQ(muster::parse_log_level("loud"), std::nullopt);
    EXPECT_EQ(muster::parse_log_level(""), std::nullopt);
    EXPECT_EQ(muster::parse_log_level("warn"), std::nullopt);
}

TEST(MemoryLogSink, KeepsTheNewest) {
    MemoryLogSink sink{2};
    for (const std::string_view code : {"a", "b", "c", "b"})
        sink.write({.when = {}, .level = LogLevel::Info, .code = code, .fields = {}});
    const auto records = sink.records();
    ASSERT_EQ(records.size(), 2U);
    EXPECT_EQ(records[0].code, "c");
    EXPECT_EQ(records[1].code, "b");
    EXPECT_EQ(sink.count("b"), 1U);
    EXPECT_EQ(sink.count("a"), 0U);
}

/// A Logger on a clock the test moves.
struct LoggerUnderTest {
    explicit LoggerUnderTest(Logger::Options options)
        : logger(
              sink, [this] { return now; }, options) {}
    std::size_t count() const { return sink->records().size(); }

    WallTime now{1'000'000};
    std::shared_ptr<MemoryLogSink> sink = std::make_shared<MemoryLogSink>();
    Logger logger;
};

TEST(Logger, LetsItsLevelAndWorsePass) {
    LoggerUnderTest t{{.level = LogLevel::Warning}};
    t.logger.debug("d", "");
    t.logger.info("i", "");
    t.logger.warning("w", "");
    t.logger.error("e", "");
    EXPECT_EQ(t.count(), 2U);
    EXPECT_FALSE(t.logger.enabled(LogLevel::Info));
    EXPECT_TRUE(t.logger.enabled(LogLevel::Warning));
}

TEST(Logger, OffIsSilentEvenForErrors) {
    LoggerUnderTest t{{.level = LogLevel::Off}};
    t.logger.error("e", "");
    t.logger.write(LogLevel::Off, "off", "", {});
    EXPECT_EQ(t.count(), 0U);
}

TEST(Logger, StampsTheTimeAndPutsThePeerFirst) {
    LoggerUnderTest t{{}};
    t.logger.warning("code", "10.0.0.1:1", {{"reason", "x"}});
    t.logger.warning("code", "");
    const auto records = t.sink->records();
    ASSERT_EQ(records.size(), 2U);
    EXPECT_EQ(records[0].when, t.now);
    ASSERT_EQ(records[0].fields.size(), 2U);
    EXPECT_EQ(records[0].fields[0].name, "peer");
    EXPECT_EQ(records[0].fields[0].value, "10.0.0.1:1");
    EXPECT_EQ(records[0].fields[1].name, "reason");
    EXPECT_TRUE(records[1].fields.empty());
}

TEST(LoggerRateLimit, PassesABurstPerCodeAndPeerAndThenTellsWhatItSwallowed) {
    LoggerUnderTest t{{.burst = 3, .window = 10s}};
    for (int i = 0; i < 8; ++i) t.logger.warning("code", "peer");
    EXPECT_EQ(t.count(), 3U);
    t.now = t.now + 9'999ms;
    t.logger.warning("code", "peer");
    EXPECT_EQ(t.count(), 3U) << "the window is not over";
    t.now = t.now + 1ms;
    t.logger.warning("code", "peer");
    t.logger.warning("code", "peer");
    const auto records = t.sink->records();
    ASSERT_EQ(records.size(), 5U);
    EXPECT_EQ(records[2].suppressed, 0U);
    EXPECT_EQ(records[3].suppressed, 6U);
    EXPECT_EQ(records[4].suppressed, 0U);
}

TEST(LoggerRateLimit, KeepsCodesAndPeersApart) {
    LoggerUnderTest t{{.burst = 1}};
    t.logger.warning("code", "peer");
    t.logger.warning("code", "other");
    t.logger.warning("other", "peer");
    t.logger.warning("cod", "epeer");
    EXPECT_EQ(t.count(), 4U);
    t.logger.warning("code", "peer");
    EXPECT_EQ(t.count(), 4U);
}

TEST(LoggerRateLimit, APeerHasOneKeyHoweverManyPortsNamesAndAddressesOfItsNetworkItUses) {
    using muster::log_key_of;
    EXPECT_EQ(log_key_of("10.0.0.7:1"), "10.0.0.7");
    EXPECT_EQ(log_key_of("10.0.0.7"), "10.0.0.7");
    EXPECT_EQ(log_key_of("akka.tcp://sys@10.0.0.7:2551"), "10.0.0.7");
    EXPECT_EQ(log_key_of("akka.tcp://other@10.0.0.7:2552#-17"), "10.0.0.7");
    EXPECT_EQ(log_key_of("[::ffff:10.0.0.7]:9"), "10.0.0.7") << "an IPv4 peer of a socket for both";
    EXPECT_EQ(log_key_of("[2001:db8:1:2:3:4:5:6]:1"), "2001:db8:1:2::/64");
    EXPECT_EQ(log_key_of("[2001:db8:1:2::9]:1"), "2001:db8:1:2::/64");
    EXPECT_EQ(log_key_of("2001:db8:1:2::9"), "2001:db8:1:2::/64");
    EXPECT_EQ(log_key_of("akka.tcp://sys@[2001:db8:1:2:ffff::]:1"), "2001:db8:1:2::/64");
    EXPECT_EQ(log_key_of("[fe80::1%eth0]:1"), "fe80::/64");
    EXPECT_EQ(log_key_of("akka.tcp://sys@host.example:1"), "host.example");
    EXPECT_EQ(log_key_of("host.example:2"), "host.example");
    EXPECT_EQ(log_key_of("any other text"), "any other text");
    EXPECT_EQ(log_key_of(""), "");
    for (const std::string_view odd :
         {"[", "]", "[]", ":", "@", "://", "a://@", "a://b@[", "#", "[::1", "1.2.3.4.5.6:7:8"})
        EXPECT_LE(log_key_of(odd).size(), 40U) << odd;
    EXPECT_LE(log_key_of(std::string(1'000'000, 'x')).size(), 256U);
}

TEST(LoggerRateLimit, PortsAreNoPeers) {
    LoggerUnderTest t{{.burst = 2}};
    for (int port = 1; port <= 100; ++port) t.logger.warning("code", "10.0.0.7:" + std::to_string(port));
    EXPECT_EQ(t.count(), 2U);
    EXPECT_EQ(t.sink->records()[1].fields[0].value, "10.0.0.7:2") << "the record still has the port";
    t.logger.warning("code", "10.0.0.8:1");
    EXPECT_EQ(t.count(), 3U);
}

TEST(LoggerRateLimit, APeersOriginCountsNotItsClaimedName) {
    LoggerUnderTest t{{.burst = 1}};
    for (int i = 0; i < 10; ++i)
        t.logger.warning(
            "code", {"akka.tcp://sys@10.0.0." + std::to_string(i) + ":1", "192.0.2.1:4" + std::to_string(i)});
    ASSERT_EQ(t.count(), 1U);
    EXPECT_EQ(t.sink->records()[0].fields[0].value, "akka.tcp://sys@10.0.0.0:1");
}

TEST(LoggerRateLimit, ACodeNeverExceedsItsTotalHoweverManyPeersThereAre) {
    LoggerUnderTest t{{.burst = 2, .burst_per_code = 5, .window = 10s}};
    for (int peer = 0; peer < 20; ++peer) t.logger.warning("code", "10.0.0." + std::to_string(peer) + ":1");
    EXPECT_EQ(t.count(), 5U);
    t.logger.warning("other", "10.0.0.1:1");
    EXPECT_EQ(t.count(), 6U) << "codes are apart";
    t.now = t.now + 10s;
    t.logger.warning("code", "192.0.2.1:1");
    ASSERT_EQ(t.count(), 7U);
    EXPECT_EQ(t.sink->records()[6].suppressed, 15U)
        << "the next record of the code tells what its total swallowed";
}

TEST(LoggerRateLimit, SuppressionsOfAForgottenWindowAreStillReported) {
    LoggerUnderTest t{{.burst = 1, .keys_max = 2}};
    for (int i = 0; i < 4; ++i) t.logger.warning("code", "first");
    t.logger.warning("code", "second");
    t.logger.warning("code", "third");
    const auto records = t.sink->records();
    ASSERT_EQ(records.size(), 3U);
    EXPECT_EQ(records[1].suppressed + records[2].suppressed, 3U);
}

TEST(LoggerRateLimit, CountsWhatItSwallows) {
    muster::Metrics metrics;
    LoggerUnderTest t{{.burst = 1, .burst_per_code = 3}};
    t.logger.count_into(metrics);
    for (int i = 0; i < 4; ++i) t.logger.warning("code", "first");
    for (int i = 0; i < 4; ++i) t.logger.warning("code", "peer " + std::to_string(i));
    EXPECT_EQ(metrics.value("base.log.suppressed"), 5);
    EXPECT_EQ(metrics.value("base.log.dropped"), 0);
}

TEST(Logger, CountsWhatItsSinkDrops) {
    struct Full final : muster::LogSink {
        void write(const LogRecord&) noexcept override { ++lost; }
        std::uint64_t dropped() const noexcept override { return lost; }
        std::uint64_t lost = 7;
    };
    muster::Metrics metrics;
    Logger logger{std::make_shared<Full>(), [] { return WallTime{0}; }};
    logger.count_into(metrics);
    logger.warning("code", "a");
    logger.warning("code", "b");
    EXPECT_EQ(metrics.value("base.log.dropped"), 2);
}

TEST(LoggerRateLimit, AWindowOfAnyLengthIsOverSomeTime) {
    LoggerUnderTest t{{.burst = 1, .window = std::chrono::milliseconds::max()}};
    t.logger.warning("code", "peer");
    t.now = t.now + 24h;
    t.logger.warning("code", "peer");
    EXPECT_EQ(t.count(), 2U);
}

TEST(LoggerRateLimit, AClockSetBackDoesNotSilenceACode) {
    LoggerUnderTest t{{.burst = 1}};
    t.logger.warning("code", "peer");
    t.now = t.now - 24h;
    t.logger.warning("code", "peer");
    EXPECT_EQ(t.count(), 2U);
}

TEST(LoggerRateLimit, BeyondKeysMaxTheOldestWindowIsForgotten) {
    LoggerUnderTest t{{.burst = 1, .window = 10s, .keys_max = 2}};
    t.logger.warning("code", "first");
    t.logger.warning("code", "second");
    t.now = t.now + 10s;
    t.logger.warning("code", "first"); // a new window: now "second" has the oldest
    t.logger.warning("code", "third");
    EXPECT_EQ(t.count(), 4U);
    t.logger.warning("code", "first");
    EXPECT_EQ(t.count(), 4U) << "still remembered";
    t.logger.warning("code", "second");
    EXPECT_EQ(t.count(), 5U) << "forgotten, so it starts again";
}

TEST(LoggerRateLimit, BelowTheLevelNothingIsCounted) {
    LoggerUnderTest t{{.level = LogLevel::Warning, .burst = 1}};
    t.logger.debug("code", "peer");
    t.logger.warning("code", "peer");
    EXPECT_EQ(t.count(), 1U);
}

TEST(StderrLogSink, WritesOneLinePerRecord) {
    testing::internal::CaptureStderr();
    auto record = record_with("two words");
    muster::stderr_log_sink()->write(record);
    ASSERT_TRUE(muster::stderr_log_sink()->flush(1min));
    EXPECT_EQ(testing::internal::GetCapturedStderr(), record.to_line() + "\n");
}

TEST(StderrLogSink, IsTheDefaultOfALoggerWithoutSink) {
    testing::internal::CaptureStderr();
    Logger logger{nullptr, [] { return WallTime{0}; }};
    logger.warning("test.default.sink", "");
    logger.info("test.not.shown", "");
    ASSERT_TRUE(muster::stderr_log_sink()->flush(1min));
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "1970-01-01T00:00:00.000Z WARNING test.default.sink\n");
}

} // namespace
