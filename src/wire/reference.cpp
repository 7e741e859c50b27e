// SPDX-License-Identifier: Apache-2.0
#include <muster/wire/reference.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace muster::wire::reference {

void keep_last_of_each(std::vector<ReachabilityEntry>& entries) {
    // From the back, so that the last entry of each key is met first.
    std::set<std::pair<const Address*, const Address*>, decltype([](const auto& a, const auto& b) {
                 if (const auto order = *a.first <=> *b.first; order != 0) return order < 0;
                 return *a.second < *b.second;
             })>
        met;
    std::vector<bool> keep(entries.size());
    for (std::size_t i = entries.size(); i-- > 0;)
        keep[i] = met.emplace(&entries[i].observer, &entries[i].subject).second;
    if (met.size() == entries.size()) return;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        if (!keep[i]) continue;
        if (kept != i) entries[kept] = std::move(entries[i]);
        ++kept;
    }
    entries.resize(kept);
}

} // namespace muster::wire::reference
