// SPDX-License-Identifier: Apache-2.0
#include "tombstone_clock.hpp"

#include <algorithm>
#include <utility>

namespace muster {

void DataCenterWatch::observe(const Gossip& gossip) {
    struct Seen {
        bool lives = false;
        bool reachable = false;
        bool downed = false;
        bool stays = false; ///< somebody is not on the way out
    };
    std::map<std::string, Seen, std::less<>> seen;
    for (const Member& m : gossip.members()) {
        if (m.data_center() == self_) continue;
        Seen& dc = seen[std::string(m.data_center())];
        const MemberStatus status = m.status();
        const bool lives = status != MemberStatus::Down && status != MemberStatus::Exiting;
        dc.lives = dc.lives || lives;
        dc.downed = dc.downed || status == MemberStatus::Down;
        dc.stays = dc.stays || (lives && status != MemberStatus::Leaving);
        dc.reachable = dc.reachable || (lives && gossip.reachability().is_reachable(m.unique_address()));
    }
    for (const auto& [name, last] : present_)
        if (last.is_lost && !seen.contains(name)) lost_.insert(name);
    unreachable_.clear();
    std::map<std::string, Last, std::less<>> present;
    for (const auto& [name, now] : seen) {
        const auto before = present_.find(name);
        const bool was_downed = before != present_.end() && before->second.downed;
        Last& last = present[name];
        last.downed = now.downed || (!now.lives && was_downed);
        // A member that vanishes without leaving was removed elsewhere, and this node never saw why.
        last.is_lost = last.downed || now.stays;
        if (now.lives ? !now.reachable : last.downed) unreachable_.insert(name);
        if (now.reachable) lost_.erase(name); // somebody there can be reached again
    }
    present_ = std::move(present);
}

bool DataCenterWatch::forget(std::string_view name) {
    const auto found = lost_.find(name);
    if (found == lost_.end()) return false;
    lost_.erase(found);
    return true;
}

void TombstoneClock::step(Instant now, bool is_counting) {
    if (last_ && was_counting_ && is_counting && now > *last_) counted_ += std::min(now - *last_, step_max_);
    last_ = now;
    was_counting_ = is_counting;
}

void TombstoneClock::follow(const Gossip& gossip) {
    std::vector<Entry> next;
    next.reserve(std::max(entries_.size(), gossip.tombstones().size()));
    auto known = entries_.begin();
    const auto keep_gone = [&](Entry entry) {
        if (entry.gone_at == present) entry.gone_at = counted_;
        if (counted_ - entry.gone_at < echo) next.push_back(std::move(entry));
    };
    for (const Tombstone& t : gossip.tombstones()) {
        while (known != entries_.end() && known->node < t.node) keep_gone(std::move(*known++));
        if (known != entries_.end() && known->node == t.node) {
            next.push_back(std::move(*known++));
            next.back().gone_at = present;
        } else {
            next.push_back({t.node, counted_});
        }
    }
    while (known != entries_.end()) keep_gone(std::move(*known++));
    entries_ = std::move(next);
}

std::vector<UniqueAddress> TombstoneClock::older_than(Duration age) const {
    std::vector<UniqueAddress> nodes;
    for (const Entry& entry : entries_)
        if (entry.gone_at == present && counted_ - entry.since >= age) nodes.push_back(entry.node);
    return nodes;
}

bool TombstoneClock::is_of(const Gossip& gossip) const noexcept {
    auto entry = entries_.begin();
    const auto skip_gone = [&] {
        while (entry != entries_.end() && entry->gone_at != present) ++entry;
    };
    for (const Tombstone& t : gossip.tombstones()) {
        skip_gone();
        if (entry == entries_.end() || entry->node != t.node) return false;
        ++entry;
    }
    skip_gone();
    return entry == entries_.end();
}

} // namespace muster
