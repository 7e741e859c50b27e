// SPDX-License-Identifier: Apache-2.0
#include "line_writer.hpp"
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <ctime>
#include <fmt/format.h>
#include <iterator>
#include <muster/log.hpp>
#include <netinet/in.h>
#include <unistd.h>

namespace muster {
namespace {

constexpr std::array<std::string_view, 5> level_names{"DEBUG", "INFO", "WARNING", "ERROR", "OFF"};

bool same_ignoring_case(std::string_view upper, std::string_view text) noexcept {
    return std::ranges::equal(upper, text,
                              [](char u, char t) { return u == (t >= 'a' && t <= 'z' ? t - 'a' + 'A' : t); });
}

bool is_plain(char c) noexcept { return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '='; }

void append_value(std::string& line, std::string_view value) {
    const auto shown = value.substr(0, LogRecord::line_value_bytes_max);
    if (!shown.empty() && std::ranges::all_of(shown, is_plain)) {
        line += shown;
    } else {
        line += '"';
        for (const char c : shown) {
            if (c == '"' || c == '\\') {
                line += '\\';
                line += c;
            } else if (c == ' ' || c == '=' || is_plain(c)) {
                line += c;
            } else {
                fmt::format_to(std::back_inserter(line), "\\x{:02x}", static_cast<unsigned char>(c));
            }
        }
        line += '"';
    }
    if (shown.size() < value.size()) fmt::format_to(std::back_inserter(line), "..({}_bytes)", value.size());
}

class StderrLogSink final : public LogSink {
public:
    void write(const LogRecord& record) noexcept override try {
        stderr_lines().write(record.to_line());
    } catch (...) {
        // Out of memory while formatting: the record is lost, the node goes on.
    }
    bool flush(std::chrono::milliseconds timeout) noexcept override { return stderr_lines().flush(timeout); }
    std::uint64_t dropped() const noexcept override { return stderr_lines().dropped(); }
};

/// The line in place of lost lines. Its time is that of the writing: base has no other clock.
std::string dropped_lines(std::uint64_t count) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return LogRecord{.when = {static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000},
                     .level = LogLevel::Warning,
                     .code = "base.log.dropped",
                     .fields = {{"lines", fmt::to_string(count)}, {"reason", "nobody read stderr"}}}
        .to_line();
}

/// "[::1%eth0]:1" or "10.0.0.1:1" without its port.
std::string_view without_port(std::string_view host_port) noexcept {
    if (host_port.starts_with('[')) return host_port.substr(1, host_port.find(']') - 1);
    const auto colon = host_port.find(':');
    const bool one = colon != std::string_view::npos && colon == host_port.rfind(':');
    return one ? host_port.substr(0, colon) : host_port;
}

/// An IPv4 address as it is, an IPv6 address as its first 64 bits; empty when `host` is neither.
std::string network_of(std::string_view host) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const auto literal = host.substr(0, host.find('%'));
    if (literal.size() >= text.size()) return {};
    literal.copy(text.data(), literal.size());
    in_addr v4{};
    if (inet_pton(AF_INET, text.data(), &v4) == 1) return text.data();
    in6_addr v6{};
    if (inet_pton(AF_INET6, text.data(), &v6) != 1) return {};
    if (IN6_IS_ADDR_V4MAPPED(&v6)) // an IPv4 peer of a socket that takes both
        return fmt::format("{}.{}.{}.{}", v6.s6_addr[12], v6.s6_addr[13], v6.s6_addr[14], v6.s6_addr[15]);
    std::fill(v6.s6_addr + 8, v6.s6_addr + 16, std::uint8_t{0});
    return std::string{inet_ntop(AF_INET6, &v6, text.data(), text.size())} + "/64";
}

} // namespace

std::string_view to_string(LogLevel level) noexcept {
    const auto index = static_cast<std::size_t>(level);
    return index < level_names.size() ? level_names[index] : std::string_view{"UNKNOWN"};
}

std::optional<LogLevel> parse_log_level(std::string_view text) noexcept {
    for (std::size_t i = 0; i < level_names.size(); ++i) {
        if (same_ignoring_case(level_names[i], text)) return static_cast<LogLevel>(i);
    }
    return std::nullopt;
}

std::string LogRecord::to_line() const {
    std::string line;
    line += to_utc(when);
    fmt::format_to(std::back_inserter(line), " {} {}", to_string(level), code);
    for (const LogField& field : fields) {
        fmt::format_to(std::back_inserter(line), " {}=", field.name);
        append_value(line, field.value);
    }
    if (suppressed > 0) fmt::format_to(std::back_inserter(line), " suppressed={}", suppressed);
    return line;
}

LineWriter& stderr_lines() {
    // Never destroyed: static objects may log while they are.
    static auto& lines =
        *new LineWriter(STDERR_FILENO, {.thread_name = "muster-log", .dropped_line = &dropped_lines});
    static const struct AtExit {
        ~AtExit() { lines.end(); }
    } at_exit;
    return lines;
}

std::string log_key_of(std::string_view peer) {
    constexpr std::size_t key_bytes_max = 256; // a host's name has at most 253
    auto host = peer;
    if (const auto scheme = peer.find("://"); scheme != std::string_view::npos) {
        const auto at = peer.find('@', scheme);
        if (at != std::string_view::npos) host = peer.substr(at + 1);
    }
    host = without_port(host.substr(0, host.find('#')));
    if (std::string network = network_of(host); !network.empty()) return network;
    return std::string{host.substr(0, key_bytes_max)};
}

std::shared_ptr<LogSink> stderr_log_sink() {
    static const auto sink = std::make_shared<StderrLogSink>();
    return sink;
}

void MemoryLogSink::write(const LogRecord& record) noexcept try {
    const std::scoped_lock lock{mutex_};
    records_.push_back(record);
    while (records_.size() > records_max_) records_.pop_front();
} catch (...) {
    // Out of memory: the record is lost, the node goes on.
}

std::vector<LogRecord> MemoryLogSink::records() const {
    const std::scoped_lock lock{mutex_};
    return {records_.begin(), records_.end()};
}

std::size_t MemoryLogSink::count(std::string_view code) const {
    const std::scoped_lock lock{mutex_};
    return static_cast<std::size_t>(std::ranges::count(records_, code, &LogRecord::code));
}

Logger::Logger(std::shared_ptr<LogSink> sink, std::function<WallTime()> wall_clock)
    : Logger(std::move(sink), std::move(wall_clock), Options{}) {}

Logger::Logger(std::shared_ptr<LogSink> sink, std::function<WallTime()> wall_clock, Options options)
    : sink_(sink ? std::move(sink) : stderr_log_sink()), wall_clock_(std::move(wall_clock)),
      options_(options) {
    options_.window = std::clamp<std::chrono::milliseconds>(options_.window, std::chrono::milliseconds{1},
                                                            std::chrono::hours{24});
    options_.burst = std::max(options_.burst, 1U);
    options_.burst_per_code = std::max(options_.burst_per_code, 1U);
}

void Logger::count_into(Metrics& metrics) {
    suppressed_ = &metrics.counter("base.log.suppressed");
    dropped_ = &metrics.counter("base.log.dropped");
    dropped_seen_ = sink_->dropped();
}

/// A wall clock set back also ends the window; otherwise it would silence a code until it caught up.
bool Logger::is_over(WallTime start, WallTime now) const noexcept {
    return now < start || now >= start + options_.window;
}

Logger::Total& Logger::total_of(std::string_view code, WallTime now) {
    Total& total = totals_.try_emplace(std::string{code}, Total{.start = now}).first->second;
    if (is_over(total.start, now)) {
        total.start = now;
        total.passed = 0;
    }
    return total;
}

void Logger::forget_oldest() {
    const std::string& key = windows_by_age_.front();
    const auto oldest = windows_.find(key);
    // The next record of that code reports what the forgotten window cannot.
    totals_[key.substr(0, key.find('\0'))].suppressed += oldest->second.suppressed;
    windows_.erase(oldest);
    windows_by_age_.pop_front();
}

Logger::Window& Logger::window_of(std::string_view code, std::string_view peer, WallTime now) {
    std::string key;
    key.reserve(code.size() + 1 + peer.size());
    key.append(code).push_back('\0');
    key.append(peer);
    const auto found = windows_.find(key);
    if (found != windows_.end()) {
        Window& window = found->second;
        if (is_over(window.start, now)) {
            window.start = now;
            window.passed = 0;
            windows_by_age_.splice(windows_by_age_.end(), windows_by_age_, window.age);
        }
        return window;
    }
    if (!windows_.empty() && windows_.size() >= options_.keys_max) forget_oldest();
    windows_by_age_.push_back(key);
    Window fresh{.start = now, .age = std::prev(windows_by_age_.end())};
    return windows_.emplace(std::move(key), fresh).first->second;
}

void Logger::suppress(std::uint64_t& counter) {
    ++counter;
    if (suppressed_) suppressed_->add();
}

void Logger::write(LogLevel level, std::string_view code, LogPeer peer, LogFields fields) {
    if (!enabled(level)) return;
    // Held while the sink writes: records reach it one at a time and in the order of their time stamps.
    const std::scoped_lock lock{mutex_};
    const WallTime now = wall_clock_();
    Total& total = total_of(code, now);
    if (total.passed >= options_.burst_per_code) return suppress(total.suppressed);
    Window& window = window_of(code, peer.key, now);
    if (window.passed >= options_.burst) return suppress(window.suppressed);
    ++window.passed;
    ++total.passed;
    if (!peer.shown.empty()) fields.insert(fields.begin(), LogField{"peer", std::move(peer.shown)});
    sink_->write(
        LogRecord{.when = now,
                  .level = level,
                  .code = code,
                  .fields = std::move(fields),
                  .suppressed = std::exchange(window.suppressed, 0) + std::exchange(total.suppressed, 0)});
    if (!dropped_) return;
    const std::uint64_t dropped = sink_->dropped();
    dropped_->add(dropped - std::exchange(dropped_seen_, dropped));
}

} // namespace muster
