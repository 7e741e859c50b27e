// SPDX-License-Identifier: Apache-2.0
#include "sim/world/timeline/page.hpp"
#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <muster/ensure.hpp>
#include <muster/sim/world/recorder.hpp>
#include <ostream>

namespace muster::sim {

namespace {

namespace json = boost::json;
using Entry = Recorder::Entry;

/// How many bytes of `text` from `at` on are one well-formed character of UTF-8; 0: none.
std::size_t character_bytes(std::string_view text, std::size_t at) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(at);
    if (lead < 0x80) return 1;
    const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || at + bytes > text.size()) return 0;
    for (std::size_t i = 1; i < bytes; ++i)
        if ((byte(at + i) & 0xc0) != 0x80) return 0;
    const unsigned char second = byte(at + 1);
    const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
    const bool surrogate = lead == 0xed && second >= 0xa0;
    const bool too_large = lead == 0xf4 && second >= 0x90;
    return overlong || surrogate || too_large ? 0 : bytes;
}

/// The page is UTF-8: other bytes become U+FFFD.
std::string to_utf8(std::string_view text) {
    std::string clean;
    clean.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t bytes = character_bytes(text, at);
        clean += bytes == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(at, bytes);
        at += std::max<std::size_t>(1, bytes);
    }
    return clean;
}

std::string escape_html(std::string_view text) {
    std::string escaped;
    for (const char c : to_utf8(text)) {
        switch (c) {
        case '&': escaped += "&amp;"; break;
        case '<': escaped += "&lt;"; break;
        case '>': escaped += "&gt;"; break;
        default: escaped += c;
        }
    }
    return escaped;
}

/// Without a '<' nothing in the data can end the element it stands in, or begin a comment. It occurs in
/// strings only.
void write_json(std::ostream& out, const json::value& value) {
    const std::string text = json::serialize(value);
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('<', at), text.size());
        out << std::string_view(text).substr(at, end - at);
        if (end < text.size()) out << "\\u003c";
        at = end + 1;
    }
}

json::array status_names() {
    json::array names;
    for (std::size_t i = 0; i < member_status_count; ++i)
        names.emplace_back(to_string(static_cast<MemberStatus>(i)));
    return names;
}

json::array kind_names() {
    json::array names;
    for (std::size_t i = 0; i < Recorder::kinds; ++i)
        names.emplace_back(to_string(static_cast<Entry::Kind>(i)));
    return names;
}

json::array left_out(const Recorder& recorder, Instant began) {
    json::array kinds;
    for (std::size_t i = 0; i < Recorder::kinds; ++i) {
        const auto kind = static_cast<Entry::Kind>(i);
        if (const auto since = recorder.dropped_since(kind))
            kinds.push_back(json::object{{"kind", to_string(kind)},
                                         {"count", recorder.dropped(kind)},
                                         {"since", (*since - began).count()}});
    }
    return kinds;
}

template <class Number>
void write_column(std::ostream& out, std::string_view name, const std::vector<Entry>& entries,
                  Number number) {
    json::array column;
    column.reserve(entries.size());
    for (const Entry& entry : entries) column.emplace_back(std::int64_t{number(entry)});
    out << '"' << name << "\":";
    write_json(out, column);
}

std::int64_t node_number(std::size_t node) noexcept {
    return node == Recorder::everyone ? -1 : static_cast<std::int64_t>(node);
}

/// Column by column, so that not all of a large recording is JSON in memory at once. Each text is written
/// once.
void write_entries(std::ostream& out, const std::vector<Entry>& entries, Instant began) {
    std::map<std::string_view, std::int64_t> numbers;
    json::array texts;
    for (const Entry& entry : entries)
        if (numbers.try_emplace(entry.text, static_cast<std::int64_t>(texts.size())).second)
            texts.emplace_back(to_utf8(entry.text));
    out << "\"texts\":";
    write_json(out, texts);
    out << ",\"entries\":{";
    write_column(out, "kind", entries, [](const Entry& e) { return static_cast<std::int64_t>(e.kind); });
    out << ',';
    write_column(out, "when", entries, [&](const Entry& e) { return (e.when - began).count(); });
    out << ',';
    write_column(out, "node", entries, [](const Entry& e) { return node_number(e.node); });
    out << ',';
    write_column(out, "other", entries,
                 [](const Entry& e) { return node_number(e.other.value_or(Recorder::everyone)); });
    out << ',';
    write_column(out, "text", entries, [&](const Entry& e) { return numbers.at(e.text); });
    out << ',';
    write_column(out, "phase", entries, [](const Entry& e) { return static_cast<std::int64_t>(e.phase); });
    out << ',';
    write_column(out, "length", entries, [](const Entry& e) { return e.length.count(); });
    out << '}';
}

std::int64_t end_of(const std::vector<Entry>& entries, Instant began) {
    Duration end{};
    for (const Entry& entry : entries) end = std::max(end, entry.when - began + entry.length);
    return end.count();
}

void write_data(std::ostream& out, const Recorder& recorder, std::size_t nodes, Instant began) {
    const json::object head{{"title", to_utf8(recorder.title())},
                            {"nodes", nodes},
                            {"end", end_of(recorder.entries(), began)},
                            {"kinds", kind_names()},
                            {"statuses", status_names()},
                            {"dropped", left_out(recorder, began)}};
    out << '{';
    for (const auto& [name, value] : head) {
        out << '"' << std::string_view(name) << "\":";
        write_json(out, value);
        out << ',';
    }
    write_entries(out, recorder.entries(), began);
    out << '}';
}

} // namespace

void write_timeline(std::ostream& out, const Recorder& recorder, std::size_t nodes, Instant began) {
    constexpr std::string_view title_mark = "@TITLE@";
    constexpr std::string_view data_mark = "@DATA@";
    const std::string_view page = timeline_page();
    const std::size_t title = page.find(title_mark);
    const std::size_t data = page.find(data_mark);
    MUSTER_ENSURE(title < data && data != page.npos, "embed.py promises both marks in this order");
    out << page.substr(0, title) << escape_html(recorder.title());
    out << page.substr(title + title_mark.size(), data - title - title_mark.size());
    write_data(out, recorder, nodes, began);
    out << page.substr(data + data_mark.size());
}

} // namespace muster::sim
