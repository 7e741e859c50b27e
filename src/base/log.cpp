#include <muster/log.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <iterator>
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

void append_time(std::string& line, WallTime when) {
    using namespace std::chrono;
    const sys_time<milliseconds> time{milliseconds{when.ms}};
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const hh_mm_ss<milliseconds> clock{time - day};
    fmt::format_to(std::back_inserter(line), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                   static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                   static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(),
                   clock.seconds().count(), clock.subseconds().count());
}

class StderrLogSink final : public LogSink {
public:
    void write(const LogRecord& record) noexcept override try {
        // One write(2) per line: lines of several processes on one terminal do not mix.
        const std::string line = record.to_line() + "\n";
        std::string_view rest = line;
        while (!rest.empty()) {
            const auto written = ::write(STDERR_FILENO, rest.data(), rest.size());
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) return; // a closed or full stderr must not stop the node
            rest.remove_prefix(static_cast<std::size_t>(written));
        }
    } catch (...) {
        // Out of memory while formatting: the record is lost, the node goes on.
    }
};

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
    append_time(line, when);
    fmt::format_to(std::back_inserter(line), " {} {}", to_string(level), code);
    for (const LogField& field : fields) {
        fmt::format_to(std::back_inserter(line), " {}=", field.name);
        append_value(line, field.value);
    }
    if (suppressed > 0) fmt::format_to(std::back_inserter(line), " suppressed={}", suppressed);
    return line;
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
      options_(options) {}

Logger::Window& Logger::window_of(std::string_view code, std::string_view peer, WallTime now) {
    std::string key;
    key.reserve(code.size() + 1 + peer.size());
    key.append(code).push_back('\0');
    key.append(peer);
    const auto found = windows_.find(key);
    if (found != windows_.end()) {
        Window& window = found->second;
        // A wall clock set back must not silence a code until it catches up: that window is over, too.
        if (now < window.start || now >= window.start + options_.window) {
            window.start = now;
            window.passed = 0;
            windows_by_age_.splice(windows_by_age_.end(), windows_by_age_, window.age);
        }
        return window;
    }
    if (!windows_.empty() && windows_.size() >= options_.keys_max) {
        windows_.erase(windows_by_age_.front());
        windows_by_age_.pop_front();
    }
    windows_by_age_.push_back(key);
    Window fresh{.start = now, .age = std::prev(windows_by_age_.end())};
    return windows_.emplace(std::move(key), fresh).first->second;
}

void Logger::write(LogLevel level, std::string_view code, std::string_view peer, LogFields fields) {
    if (!enabled(level)) return;
    // Held while the sink writes: records reach it one at a time and in the order of their time stamps.
    const std::scoped_lock lock{mutex_};
    const WallTime now = wall_clock_();
    Window& window = window_of(code, peer, now);
    if (window.passed >= options_.burst) {
        ++window.suppressed;
        return;
    }
    ++window.passed;
    if (!peer.empty()) fields.insert(fields.begin(), LogField{"peer", std::string{peer}});
    sink_->write(LogRecord{.when = now,
                           .level = level,
                           .code = code,
                           .fields = std::move(fields),
                           .suppressed = std::exchange(window.suppressed, 0)});
}

} // namespace muster
