// SPDX-License-Identifier: Apache-2.0
#include "evidence_doubt.hpp"

#include "base/mutants.hpp"
#include <algorithm>

namespace muster {

void EvidenceDoubt::regained(const UniqueAddress& node) {
    if (const auto loss = losses_.find(node); loss != losses_.end()) loss->second.regained = true;
}

EvidenceDoubt::Change EvidenceDoubt::consider(std::span<const UniqueAddress> watched, Instant now) {
    const auto is_recent = [&](const Loss& loss) { return now - loss.at < window_; };
    std::erase_if(losses_, [&](const auto& item) { return item.second.regained && !is_recent(item.second); });
    recent_ = still_lost_ = 0;
    Instant last{};
    for (const auto& [node, loss] : losses_) {
        if (!std::ranges::binary_search(watched, node)) continue;
        if (!loss.regained) ++still_lost_;
        if (!is_recent(loss)) continue;
        ++recent_;
        last = std::max(last, loss.at);
    }
    const auto are_most = [&](std::size_t count) {
        return watched.size() >= 2 && 2 * count > watched.size() && !MUSTER_MUTANT(most_blamed);
    };
    if (are_most(recent_)) {
        const bool begins = !holds();
        until_ = last + window_;
        return begins ? Change::Begins : Change::None;
    }
    if (!holds() || now < *until_ || are_most(still_lost_)) return Change::None;
    until_.reset();
    return Change::Ends;
}

} // namespace muster
