// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/state/vector_clock.hpp>

#include <algorithm>
#include <utility>

namespace muster {
namespace {

Hash128 hash_of(const VectorClock::Entry& entry) {
    return Hasher{"muster.clock"}.add(entry.key).add(entry.counter).finish();
}

bool key_less(const VectorClock::Entry& entry, const Hash128& key) noexcept { return entry.key < key; }

} // namespace

VectorClock::VectorClock(std::vector<Entry> sorted, Hash128 digest)
    : entries_(sorted.empty() ? nullptr : std::make_shared<const std::vector<Entry>>(std::move(sorted))),
      digest_(digest) {}

VectorClock VectorClock::from_entries(std::vector<Entry> entries) {
    // Of duplicate keys the higher counter sorts first and is kept.
    std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
        return a.key != b.key ? a.key < b.key : a.counter > b.counter;
    });
    const auto twice = std::ranges::unique(entries, {}, &Entry::key);
    entries.erase(twice.begin(), twice.end());
    std::erase_if(entries, [](const Entry& e) { return e.counter == 0; });
    entries.shrink_to_fit();
    Hash128 digest;
    for (const Entry& entry : entries) digest += hash_of(entry);
    return VectorClock{std::move(entries), digest};
}

VectorClock VectorClock::from_entries(std::vector<Entry> entries, const VectorClock& like) {
    const auto known = like.entries();
    if (entries.size() != known.size()) return from_entries(std::move(entries));
    std::vector<Entry> next(known.begin(), known.end());
    std::vector<bool> met(known.size());
    Hash128 digest = like.digest();
    bool changed = false;
    for (const Entry& entry : entries) {
        const auto at = std::lower_bound(known.begin(), known.end(), entry.key, key_less) - known.begin();
        const auto index = static_cast<std::size_t>(at);
        // A different or duplicate key, or a counter of 0: the clock is not like `like` after all.
        if (index == known.size() || known[index].key != entry.key || met[index] || entry.counter == 0)
            return from_entries(std::move(entries));
        met[index] = true;
        if (known[index].counter == entry.counter) continue;
        digest += hash_of(entry);
        digest -= hash_of(known[index]);
        next[index] = entry;
        changed = true;
    }
    return changed ? VectorClock{std::move(next), digest} : like;
}

void VectorClock::tick(const Hash128& key) {
    const auto old = entries();
    const auto at = std::lower_bound(old.begin(), old.end(), key, key_less) - old.begin();
    const bool known = static_cast<std::size_t>(at) < old.size() && old[at].key == key;
    const Entry entry{key, known ? old[at].counter + 1 : 1};
    Hash128 digest = digest_ + hash_of(entry);
    if (known) digest -= hash_of(old[at]);
    std::vector<Entry> next;
    next.reserve(old.size() + (known ? 0 : 1));
    next.assign(old.begin(), old.begin() + at);
    next.push_back(entry);
    next.insert(next.end(), old.begin() + at + (known ? 1 : 0), old.end());
    *this = VectorClock{std::move(next), digest};
}

std::uint64_t VectorClock::get(const Hash128& key) const noexcept {
    const auto all = entries();
    const auto at = std::lower_bound(all.begin(), all.end(), key, key_less);
    return at != all.end() && at->key == key ? at->counter : 0;
}

void VectorClock::merge(const VectorClock& other) {
    // Where one side dominates, which is the common case, its entries are shared instead of copied.
    switch (compare(other)) {
    case VectorRelation::Same:
    case VectorRelation::After: return;
    case VectorRelation::Before: *this = other; return;
    case VectorRelation::Concurrent: break;
    }
    const auto a = entries();
    const auto b = other.entries();
    std::vector<Entry> merged;
    merged.reserve(a.size() + b.size());
    Hash128 digest = digest_;
    auto left = a.begin();
    auto right = b.begin();
    while (left != a.end() || right != b.end()) {
        if (right == b.end() || (left != a.end() && left->key < right->key)) {
            merged.push_back(*left++);
            continue;
        }
        const bool both = left != a.end() && left->key == right->key;
        if (both && left->counter >= right->counter) {
            merged.push_back(*left);
        } else {
            merged.push_back(*right);
            digest += hash_of(*right);
            if (both) digest -= hash_of(*left);
        }
        if (both) ++left;
        ++right;
    }
    merged.shrink_to_fit();
    *this = VectorClock{std::move(merged), digest};
}

void VectorClock::prune(const Hash128& key) { prune(std::span{&key, 1}); }

void VectorClock::prune(std::span<const Hash128> keys) {
    std::vector<Hash128> present;
    Hash128 digest = digest_;
    for (const Hash128& key : keys) {
        if (get(key) != 0) present.push_back(key);
    }
    if (present.empty()) return;
    std::ranges::sort(present);
    std::vector<Entry> kept;
    kept.reserve(size() - 1);
    for (const Entry& entry : entries()) {
        if (std::ranges::binary_search(present, entry.key))
            digest -= hash_of(entry);
        else
            kept.push_back(entry);
    }
    *this = VectorClock{std::move(kept), digest};
}

VectorRelation VectorClock::compare(const VectorClock& other) const noexcept {
    if (entries_ == other.entries_) return VectorRelation::Same;
    const auto a = entries();
    const auto b = other.entries();
    bool less = false;
    bool greater = false;
    auto left = a.begin();
    auto right = b.begin();
    while ((left != a.end() || right != b.end()) && !(less && greater)) {
        if (right == b.end() || (left != a.end() && left->key < right->key)) {
            greater = true;
            ++left;
        } else if (left == a.end() || right->key < left->key) {
            less = true;
            ++right;
        } else {
            less = less || left->counter < right->counter;
            greater = greater || left->counter > right->counter;
            ++left;
            ++right;
        }
    }
    if (less && greater) return VectorRelation::Concurrent;
    if (less) return VectorRelation::Before;
    return greater ? VectorRelation::After : VectorRelation::Same;
}

bool VectorClock::operator==(const VectorClock& o) const noexcept {
    return entries_ == o.entries_ || std::ranges::equal(entries(), o.entries());
}

} // namespace muster
