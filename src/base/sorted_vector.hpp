// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Small sets as sorted vectors without duplicates: they are handed out as vectors, and read far more often
/// than changed.
#include <algorithm>
#include <vector>

namespace muster {

template <class T>
bool sorted_contains(const std::vector<T>& sorted, const T& item) noexcept {
    return std::binary_search(sorted.begin(), sorted.end(), item);
}

/// false: it was there.
template <class T>
bool sorted_insert(std::vector<T>& sorted, const T& item) {
    const auto place = std::lower_bound(sorted.begin(), sorted.end(), item);
    if (place != sorted.end() && *place == item) return false;
    sorted.insert(place, item);
    return true;
}

/// false: it was not there.
template <class T>
bool sorted_erase(std::vector<T>& sorted, const T& item) {
    const auto place = std::lower_bound(sorted.begin(), sorted.end(), item);
    if (place == sorted.end() || *place != item) return false;
    sorted.erase(place);
    return true;
}

/// `items` in order, each once.
template <class T>
std::vector<T> sorted_unique(std::vector<T> items) {
    std::sort(items.begin(), items.end());
    items.erase(std::unique(items.begin(), items.end()), items.end());
    return items;
}

} // namespace muster
