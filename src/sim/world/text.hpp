#pragma once
/// Words for what happens in a World.
#include <fmt/format.h>
#include <iterator>
#include <string>
#include <string_view>

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

} // namespace muster::sim
