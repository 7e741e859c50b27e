// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Incarnations that this node does not talk with any more (protocol.md §16).
#include <algorithm>
#include <cstddef>
#include <map>
#include <muster/address.hpp>
#include <muster/time.hpp>

namespace muster::transport {

enum class Quarantined : std::uint8_t {
    No,
    Harmless, ///< it left in order: it is not told of its quarantine
    Yes,
};

/// Each entry is forgotten at its time; beyond entries_max those that expire first are.
class QuarantineList {
public:
    static constexpr std::size_t entries_max = 65'536;

    void add(const UniqueAddress& node, Instant until, bool harmless) {
        if (entries_.size() >= entries_max && !entries_.contains(node)) {
            const auto first =
                std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
                    return a.second.until < b.second.until;
                });
            entries_.erase(first);
        }
        entries_[node] = {until, harmless};
    }
    Quarantined find(const UniqueAddress& node, Instant now) {
        const auto found = entries_.find(node);
        if (found == entries_.end()) return Quarantined::No;
        if (found->second.until <= now) {
            entries_.erase(found);
            return Quarantined::No;
        }
        return found->second.harmless ? Quarantined::Harmless : Quarantined::Yes;
    }
    std::size_t size() const noexcept { return entries_.size(); }

private:
    struct Entry {
        Instant until;
        bool harmless = false;
    };
    std::map<UniqueAddress, Entry> entries_;
};

} // namespace muster::transport
