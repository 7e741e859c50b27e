// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/state/app_version.hpp>

#include <algorithm>
#include <charconv>
#include <optional>

namespace muster {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Parses all of `text` as a decimal number without a sign.
std::optional<std::int64_t> parse_number(std::string_view text) noexcept {
    if (text.empty() || !std::ranges::all_of(text, is_digit)) return std::nullopt;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

Error bad_version(std::string_view text) {
    return {Errc::invalid_argument, "app version \"" + std::string(text) + '"',
            R"(use "major[.minor[.patch]]" with an optional qualifier after "-" or "+", or one word)"};
}

/// What follows the number of the last dotted part: "3-73475dce26" is a commit distance and a rest, anything
/// else is all rest.
void read_qualifier(std::string_view qualifier, std::int64_t& distance, std::string& rest) {
    const std::size_t dash = qualifier.find('-');
    if (dash != std::string_view::npos) {
        if (const auto number = parse_number(qualifier.substr(0, dash))) {
            distance = *number;
            qualifier.remove_prefix(dash + 1);
        }
    }
    rest = qualifier;
}

/// "No rest" is the release itself and greater than any rest.
std::strong_ordering compare_rest(const std::string& a, const std::string& b) noexcept {
    if (a.empty() || b.empty()) return a.empty() <=> b.empty();
    return a.compare(b) <=> 0;
}

} // namespace

AppVersion::AppVersion() : text_("0.0.0") {}

result<AppVersion> AppVersion::parse(std::string_view text) {
    if (text.empty()) return bad_version(text);
    std::array<std::string_view, 3> parts;
    std::size_t count = 0;
    for (std::string_view left = text;;) {
        if (count == parts.size()) return bad_version(text);
        const std::size_t dot = left.find('.');
        parts[count++] = left.substr(0, dot);
        if (dot == std::string_view::npos) break;
        left.remove_prefix(dot + 1);
    }
    AppVersion version;
    version.text_ = text;
    if (count == 1) {
        // A single part takes no qualifier: it is a number, or a word compared as text.
        if (const auto number = parse_number(text))
            version.numbers_[0] = *number;
        else
            version.rest_ = text;
        return version;
    }
    for (std::size_t i = 0; i < count; ++i) {
        std::string_view part = parts[i];
        if (i + 1 == count) {
            const std::size_t sign = part.find_first_of("-+");
            if (sign != std::string_view::npos) {
                read_qualifier(part.substr(sign + 1), version.numbers_[3], version.rest_);
                part = part.substr(0, sign);
            }
        }
        const auto number = parse_number(part);
        if (!number) return bad_version(text);
        version.numbers_[i] = *number;
    }
    return version;
}

std::strong_ordering operator<=>(const AppVersion& a, const AppVersion& b) noexcept {
    if (const auto numbers = a.numbers_ <=> b.numbers_; numbers != 0) return numbers;
    return compare_rest(a.rest_, b.rest_);
}

} // namespace muster
