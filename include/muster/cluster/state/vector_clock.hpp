// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Vector clock over incarnations (protocol.md §3).
#include <cstdint>
#include <memory>
#include <muster/address.hpp>
#include <muster/hash.hpp>
#include <span>
#include <vector>

namespace muster {

enum class VectorRelation : std::uint8_t { Before, After, Same, Concurrent };

/// A value: node key -> counter, absent = 0. The key is UniqueAddress::key(), so a restarted node never
/// continues its predecessor's counter. Entries are sorted by key, immutable and shared: a copy is O(1), a
/// change copies them once.
class VectorClock {
public:
    struct Entry {
        Hash128 key;
        std::uint64_t counter{};
        bool operator==(const Entry&) const = default;
    };

    VectorClock() = default;
    /// From entries in any order; drops a counter of 0, and keeps the higher counter of a double key.
    static VectorClock from_entries(std::vector<Entry> entries);
    /// The same clock; costs less where most entries equal those of `like`, as in the next version of a
    /// gossip.
    static VectorClock from_entries(std::vector<Entry> entries, const VectorClock& like);

    /// Increments the counter of `node`. (The reference's name, reference.md; protocol.md calls it inc.)
    void tick(const UniqueAddress& node) { tick(node.key()); }
    void tick(const Hash128& key);
    std::uint64_t get(const Hash128& key) const noexcept;
    /// Pointwise maximum.
    void merge(const VectorClock& other);
    /// Erases the entry (protocol.md §3, prune).
    void prune(const Hash128& key);
    /// Erases several entries in one pass; keys in any order.
    void prune(std::span<const Hash128> keys);
    /// Relation of this clock to `other`.
    VectorRelation compare(const VectorClock& other) const noexcept;

    std::span<const Entry> entries() const noexcept {
        return entries_ ? std::span<const Entry>{*entries_} : std::span<const Entry>{};
    }
    std::size_t size() const noexcept { return entries().size(); }
    /// Order-free digest of the entries, kept in O(1).
    const Hash128& digest() const noexcept { return digest_; }
    bool operator==(const VectorClock& o) const noexcept;

private:
    VectorClock(std::vector<Entry> sorted, Hash128 digest);

    std::shared_ptr<const std::vector<Entry>> entries_; ///< null when empty
    Hash128 digest_;
};

} // namespace muster
