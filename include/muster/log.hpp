#pragma once
/// What the library has to say: records with a level, a stable event code and fields, given to one LogSink.
/// The library writes nowhere else. Tests and operators match on codes, never on text.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <muster/time.hpp>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace muster {

enum class LogLevel : std::uint8_t { Debug, Info, Warning, Error, Off };

std::string_view to_string(LogLevel level) noexcept;
std::optional<LogLevel> parse_log_level(std::string_view text) noexcept;

/// One named value of a record. Values are text; numbers are printed by the caller.
struct LogField {
    std::string name;
    std::string value;
};
using LogFields = std::vector<LogField>;

/// One thing that happened. `code` is a stable dotted name listed in src/doc/logging.md:
/// "transport.handshake.refused". It is a string literal: records are kept without copying it.
struct LogRecord {
    WallTime when;
    LogLevel level{};
    std::string_view code;
    LogFields fields;
    /// Records of this code and peer that the rate limit swallowed before this one.
    std::uint64_t suppressed = 0;

    /// "2026-01-02T03:04:05.678Z WARNING code name=value ..." on one line of ASCII without line break. Values
    /// with spaces are quoted, control bytes and bytes above 0x7e become \xNN (a peer's text cannot steer a
    /// terminal), and what exceeds `line_value_bytes_max` is cut with its full length told.
    std::string to_line() const;
    static constexpr std::size_t line_value_bytes_max = 1024;
};

/// Receives records. write() may be called from any thread, one at a time per Logger, must not block for long
/// and must not log.
class LogSink {
public:
    virtual ~LogSink() = default;
    virtual void write(const LogRecord& record) noexcept = 0;
};

/// What the Logger lets through (by default warnings and errors) to stderr, one line and one write(2) each: the
/// default sink.
std::shared_ptr<LogSink> stderr_log_sink();
/// Keeps records for tests and tools. Thread-safe, keeps the newest `records_max`.
class MemoryLogSink final : public LogSink {
public:
    explicit MemoryLogSink(std::size_t records_max = 100'000) : records_max_(records_max) {}
    void write(const LogRecord& record) noexcept override;
    std::vector<LogRecord> records() const;
    std::size_t count(std::string_view code) const;

private:
    mutable std::mutex mutex_;
    std::size_t records_max_;
    std::deque<LogRecord> records_;
};

/// Level filter and rate limit (per code and peer) before a sink. Thread-safe. One per Runtime.
class Logger {
public:
    struct Options {
        LogLevel level = LogLevel::Warning;
        /// Of one (code, peer) at most `burst` records per `window` pass; the next one that passes tells how
        /// many did not.
        std::uint32_t burst = 10;
        std::chrono::milliseconds window{10'000};
        std::size_t keys_max =
            4096; ///< (code, peer) pairs remembered; beyond it the oldest windows are forgotten
    };
    /// `wall_clock` gives the time stamp and drives the rate limit: real in production, virtual in
    /// simulation.
    Logger(std::shared_ptr<LogSink> sink, std::function<WallTime()> wall_clock);
    Logger(std::shared_ptr<LogSink> sink, std::function<WallTime()> wall_clock, Options options);

    bool enabled(LogLevel level) const noexcept { return level >= options_.level && level != LogLevel::Off; }
    /// `peer` is the rate limit's second key (a field named "peer" is added when it is not empty).
    void write(LogLevel level, std::string_view code, std::string_view peer, LogFields fields);
    void debug(std::string_view code, std::string_view peer, LogFields fields = {}) {
        write(LogLevel::Debug, code, peer, std::move(fields));
    }
    void info(std::string_view code, std::string_view peer, LogFields fields = {}) {
        write(LogLevel::Info, code, peer, std::move(fields));
    }
    void warning(std::string_view code, std::string_view peer, LogFields fields = {}) {
        write(LogLevel::Warning, code, peer, std::move(fields));
    }
    void error(std::string_view code, std::string_view peer, LogFields fields = {}) {
        write(LogLevel::Error, code, peer, std::move(fields));
    }

private:
    struct Window {
        WallTime start;
        std::uint32_t passed = 0;
        std::uint64_t suppressed = 0;
        std::list<std::string>::iterator age; // this window's place in windows_by_age_
    };
    Window& window_of(std::string_view code, std::string_view peer, WallTime now);

    std::shared_ptr<LogSink> sink_;
    std::function<WallTime()> wall_clock_;
    Options options_;
    std::mutex mutex_;
    std::unordered_map<std::string, Window> windows_; // looked up by key only
    std::list<std::string> windows_by_age_;           // their keys, oldest start first
};

} // namespace muster
