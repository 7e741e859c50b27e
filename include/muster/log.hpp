// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The library's log: records with a level, a stable event code and fields, passed to one LogSink. The
/// library writes nowhere else. Tests and operators match on codes, never on text.
#include <muster/language.hpp> // first

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <muster/metrics.hpp>
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

/// One log record. `code` is a stable dotted name listed in src/doc/logging.md:
/// "transport.handshake.refused". It is a string literal, because records do not copy it.
struct LogRecord {
    WallTime when;
    LogLevel level{};
    std::string_view code;
    LogFields fields;
    /// Records of this code and peer that the rate limit suppressed before this one.
    std::uint64_t suppressed = 0;

    /// "2026-01-02T03:04:05.678Z WARNING code name=value ..." on one line of ASCII without line break. Values
    /// with spaces are quoted, control bytes and bytes above 0x7e become \xNN (a peer's text cannot steer a
    /// terminal), and a value above `line_value_bytes_max` is cut and shows its full length.
    std::string to_line() const;
    static constexpr std::size_t line_value_bytes_max = 1024;
};

/// Receives records. write() may be called from any thread, one at a time per Logger, also on the event loop:
/// it must not block (a LineWriter has a thread for that) and must not log.
class LogSink {
public:
    virtual ~LogSink() = default;
    virtual void write(const LogRecord& record) noexcept = 0;
    /// Waits until earlier records have reached their destination. False when that took longer than
    /// `timeout`.
    virtual bool flush(std::chrono::milliseconds /*timeout*/) noexcept { return true; }
    /// Records that this sink has lost so far, for example because its queue was full.
    virtual std::uint64_t dropped() const noexcept { return 0; }
};

/// The default sink, one per process: writes records to stderr, one line each (by default the Logger passes
/// warnings and errors). The thread "muster-log" writes (stderr_lines()): beyond 1 MiB of unread lines,
/// further lines are dropped and counted, and `base.log.dropped` reports them once there is room. At exit the
/// queue is written for at most half a second.
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

/// The rate limit's key for a peer's text: the IPv4 address ("10.0.0.7"), the /64 of an IPv6 address
/// ("2001:db8:1:2::/64"), or else the host's name, without port, protocol, system and uid, which a peer can
/// vary at will. Any other text is its own key.
std::string log_key_of(std::string_view peer);

/// The peer that a record is about: the text that is shown, and the peer's verified origin where one is
/// known.
struct LogPeer {
    std::string shown;
    std::string key; ///< of the rate limit: log_key_of() of the text that nobody can choose

    LogPeer() = default;
    LogPeer(std::string text) : LogPeer(std::move(text), {}) {}
    LogPeer(std::string_view text) : LogPeer(std::string{text}, {}) {}
    LogPeer(const char* text) : LogPeer(std::string{text}, {}) {}
    /// `from`: the remote endpoint of the connection; empty: the shown text.
    LogPeer(std::string text, std::string_view from)
        : shown(std::move(text)), key(log_key_of(from.empty() ? std::string_view{shown} : from)) {}
    operator const std::string&() const noexcept { return shown; }
};

/// Level filter and rate limit (per code and peer, and per code) before a sink. Thread-safe. One per Runtime.
class Logger {
public:
    struct Options {
        LogLevel level = LogLevel::Warning;
        /// At most this many records per `window` pass for one code and key (LogPeer); the next one that
        /// passes reports how many did not. 1 or more.
        std::uint32_t burst = 10;
        /// At most this many records per `window` pass for one code, over all peers. 1 or more.
        std::uint32_t burst_per_code = 100;
        std::chrono::milliseconds window{10'000}; ///< above 0; longer than a day: a day
        std::size_t keys_max =
            4096; ///< pairs of code and key remembered; beyond it the oldest windows are forgotten
    };
    /// `wall_clock` gives the time stamp and drives the rate limit: real in production, virtual in
    /// simulation.
    Logger(std::shared_ptr<LogSink> sink, std::function<WallTime()> wall_clock);
    Logger(std::shared_ptr<LogSink> sink, std::function<WallTime()> wall_clock, Options options);

    bool enabled(LogLevel level) const noexcept { return level >= options_.level && level != LogLevel::Off; }
    /// Counts from now on the records that the rate limit suppresses and the sink drops:
    /// `base.log.suppressed` and `base.log.dropped`. To be called before the first record.
    void count_into(Metrics& metrics);
    /// `peer` gives the rate limit's second key (a field named "peer" is added when it is not empty).
    void write(LogLevel level, std::string_view code, LogPeer peer, LogFields fields);
    void debug(std::string_view code, LogPeer peer, LogFields fields = {}) {
        write(LogLevel::Debug, code, std::move(peer), std::move(fields));
    }
    void info(std::string_view code, LogPeer peer, LogFields fields = {}) {
        write(LogLevel::Info, code, std::move(peer), std::move(fields));
    }
    void warning(std::string_view code, LogPeer peer, LogFields fields = {}) {
        write(LogLevel::Warning, code, std::move(peer), std::move(fields));
    }
    void error(std::string_view code, LogPeer peer, LogFields fields = {}) {
        write(LogLevel::Error, code, std::move(peer), std::move(fields));
    }

private:
    struct Window {
        WallTime start;
        std::uint32_t passed = 0;
        std::uint64_t suppressed = 0;
        std::list<std::string>::iterator age; // this window's place in windows_by_age_
    };
    /// The total of one code.
    struct Total {
        WallTime start;
        std::uint32_t passed = 0;
        std::uint64_t suppressed = 0; // suppressed by the total, or in a forgotten window
    };
    bool is_over(WallTime start, WallTime now) const noexcept;
    Total& total_of(std::string_view code, WallTime now);
    Window& window_of(std::string_view code, std::string_view key, WallTime now);
    void forget_oldest();
    void suppress(std::uint64_t& counter);

    std::shared_ptr<LogSink> sink_;
    std::function<WallTime()> wall_clock_;
    Options options_;
    std::mutex mutex_;
    std::unordered_map<std::string, Window> windows_; // looked up by key only
    std::list<std::string> windows_by_age_;           // their keys, oldest start first
    std::unordered_map<std::string, Total> totals_;   // as many as there are codes
    Counter* suppressed_ = nullptr;
    Counter* dropped_ = nullptr;
    std::uint64_t dropped_seen_ = 0; // of the sink
};

} // namespace muster
