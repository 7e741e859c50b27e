// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The detectors of a node's peers, by incarnation (protocol.md §12.4, §12.7).
#include <map>
#include <muster/address.hpp>
#include <muster/cluster/failure/phi_accrual.hpp>
#include <muster/time.hpp>
#include <utility>
#include <vector>

namespace muster {

/// Maps UniqueAddress to a detector that the first heartbeat creates. Keyed by incarnation, so that a late
/// response of an old incarnation cannot feed its successor. An unknown node is available and not monitored.
/// One owner thread. `Detector` is PhiAccrualFailureDetector or DeadlineFailureDetector, or shaped like them.
template <class Detector>
class FailureDetectorRegistry {
public:
    /// Every new detector is a copy of `prototype`, which has recorded no heartbeat.
    explicit FailureDetectorRegistry(Detector prototype = Detector{}) : prototype_(std::move(prototype)) {}

    HeartbeatRecorded heartbeat(const UniqueAddress& node, Instant now) {
        Entry& entry = entry_of(node);
        const bool was_dead = std::exchange(entry.dead, false);
        const bool after_handshake = std::exchange(entry.skip_interval, false);
        if (!was_dead && !after_handshake) return entry.detector.heartbeat(now);
        entry.detector.heartbeat_unrecorded(now);
        return {};
    }

    /// protocol.md §12.7: proof that the incarnation cannot be reached. It stays unavailable, whatever the
    /// detector says, until a heartbeat or revive() of exactly this incarnation. Creates the entry.
    void mark_dead(const UniqueAddress& node) { entry_of(node).dead = true; }
    /// A handshake with exactly this incarnation. Clears the proof; the interval that ends with the next
    /// heartbeat is not recorded. Does nothing to a node that is not marked.
    void revive(const UniqueAddress& node, Instant now) {
        const auto found = entries_.find(node);
        if (found == entries_.end() || !found->second.dead) return;
        found->second.dead = false;
        found->second.skip_interval = true;
        found->second.detector.heartbeat_unrecorded(now);
    }
    /// Undoes mark_dead(): the detector alone judges the node again.
    void unmark_dead(const UniqueAddress& node) noexcept {
        if (const auto found = entries_.find(node); found != entries_.end()) found->second.dead = false;
    }
    bool is_dead(const UniqueAddress& node) const noexcept {
        const auto found = entries_.find(node);
        return found != entries_.end() && found->second.dead;
    }

    bool is_available(const UniqueAddress& node, Instant now) const noexcept {
        const auto found = entries_.find(node);
        return found == entries_.end() || found->second.is_available(now);
    }
    /// Heard at least once, or marked dead.
    bool is_monitoring(const UniqueAddress& node) const noexcept {
        const auto found = entries_.find(node);
        return found != entries_.end() && (found->second.dead || found->second.detector.is_monitoring());
    }
    /// The monitored nodes that are not available, in UniqueAddress order. O(monitored), not O(members).
    std::vector<UniqueAddress> unavailable(Instant now) const {
        std::vector<UniqueAddress> nodes;
        for (const auto& [node, entry] : entries_)
            if (!entry.is_available(now)) nodes.push_back(node);
        return nodes;
    }
    /// nullptr when unknown.
    const Detector* find(const UniqueAddress& node) const noexcept {
        const auto found = entries_.find(node);
        return found == entries_.end() ? nullptr : &found->second.detector;
    }
    /// Every node with an entry, in UniqueAddress order.
    std::vector<UniqueAddress> nodes() const {
        std::vector<UniqueAddress> all;
        for (const auto& [node, entry] : entries_) all.push_back(node);
        return all;
    }
    std::size_t size() const noexcept { return entries_.size(); }

    /// Forgets this incarnation.
    void remove(const UniqueAddress& node) { entries_.erase(node); }
    /// Forgets every incarnation of the address: a new member lives there.
    void remove(const Address& address) {
        std::erase_if(entries_, [&](const auto& item) { return item.first.address() == address; });
    }
    void clear() { entries_.clear(); }

private:
    struct Entry {
        Detector detector;
        bool dead = false;
        bool skip_interval = false;
        bool is_available(Instant now) const noexcept { return !dead && detector.is_available(now); }
    };
    Entry& entry_of(const UniqueAddress& node) {
        return entries_.try_emplace(node, Entry{prototype_}).first->second;
    }

    Detector prototype_;
    std::map<UniqueAddress, Entry> entries_;
};

} // namespace muster
