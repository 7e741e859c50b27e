// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Texts for the events of a World.
#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <iterator>
#include <muster/time.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace muster::sim {

/// "1, 2, 3". As fmt::join, over which g++ 12 warns in optimised builds.
template <class Range>
std::string join(const Range& items, std::string_view between) {
    std::string text;
    bool is_first = true;
    for (const auto& item : items) {
        if (!is_first) text += between;
        is_first = false;
        fmt::format_to(std::back_inserter(text), "{}", item);
    }
    return text;
}

/// Without zeros that say nothing: "2.5", "60", "0.01".
inline std::string short_number(double value) {
    std::string text = fmt::format("{:.3f}", value);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    return text;
}

/// In the unit in which it is short: "220 ms", "90 s", "100 us".
inline std::string short_time(Duration time) {
    const auto ns = static_cast<double>(time.count());
    if (time >= std::chrono::seconds(1)) return short_number(ns / 1e9) + " s";
    if (time >= std::chrono::milliseconds(1)) return short_number(ns / 1e6) + " ms";
    return short_number(ns / 1e3) + " us";
}

/// "node 3", "nodes 2, 4", "nodes 0 to 59".
inline std::string name_nodes(std::vector<std::size_t> nodes) {
    if (nodes.empty()) return "nobody";
    std::sort(nodes.begin(), nodes.end());
    std::vector<std::string> parts;
    for (std::size_t first = 0, last = 0; first < nodes.size(); first = last + 1) {
        last = first;
        while (last + 1 < nodes.size() && nodes[last + 1] == nodes[last] + 1) ++last;
        if (last < first + 2) last = first;
        parts.push_back(last == first ? fmt::format("{}", nodes[first])
                                      : fmt::format("{} to {}", nodes[first], nodes[last]));
    }
    return (nodes.size() == 1 ? "node " : "nodes ") + join(parts, ", ");
}

/// How much faster than the world a clock runs: "+500 ppm".
inline std::string clock_rate(std::int64_t drift_ppb) {
    return (drift_ppb < 0 ? "" : "+") + short_number(static_cast<double>(drift_ppb) / 1e3) + " ppm";
}

} // namespace muster::sim
