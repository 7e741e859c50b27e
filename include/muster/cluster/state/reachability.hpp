// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The reachability table: which observers cannot reach which subjects (protocol.md §4).
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <muster/address.hpp>
#include <muster/hash.hpp>
#include <span>
#include <string_view>
#include <vector>

namespace muster {

enum class ReachabilityStatus : std::uint8_t { Reachable, Unreachable, Terminated };

std::string_view to_string(ReachabilityStatus status) noexcept;

/// Versioned rows of (observer, subject, status). Only the observer changes its rows; no row means Reachable.
/// An observer without rows sees everybody: a healthy cluster gossips an empty table.
/// An immutable value with shared rows: copying is O(1), every change returns a new table.
class Reachability {
public:
    struct Record {
        UniqueAddress observer;
        UniqueAddress subject;
        ReachabilityStatus status{};
        std::int64_t version{};
        bool operator==(const Record&) const = default;
    };
    /// The version of the whole row set of one observer; survives when its rows are pruned.
    struct Version {
        UniqueAddress observer;
        std::int64_t version{};
        bool operator==(const Version&) const = default;
    };

    Reachability();
    /// From parts in any order (decoding, tests).
    Reachability(std::vector<Record> records, std::vector<Version> versions);
    /// The same table; costs less where most of it equals `like`, as in the next version of a gossip.
    Reachability(std::vector<Record> records, std::vector<Version> versions, const Reachability& like);

    /// The change rule of §4.2 by name. Terminated is final per observer.
    Reachability unreachable(const UniqueAddress& observer, const UniqueAddress& subject) const;
    Reachability reachable(const UniqueAddress& observer, const UniqueAddress& subject) const;
    Reachability terminated(const UniqueAddress& observer, const UniqueAddress& subject) const;
    Reachability change(const UniqueAddress& observer, const UniqueAddress& subject,
                        ReachabilityStatus status) const;

    /// §4.3. `allowed` in UniqueAddress order.
    Reachability merge(std::span<const UniqueAddress> allowed, const Reachability& other) const;
    Reachability remove(std::span<const UniqueAddress> nodes) const;
    Reachability remove_observers(std::span<const UniqueAddress> nodes) const;
    /// The table with only the rows for which `keep` holds; versions stay.
    Reachability filter(const std::function<bool(const Record&)>& keep) const;

    ReachabilityStatus status(const UniqueAddress& observer, const UniqueAddress& subject) const noexcept;
    /// Aggregated over all observers: Terminated, else Unreachable, else Reachable.
    ReachabilityStatus status(const UniqueAddress& subject) const noexcept;
    bool is_reachable(const UniqueAddress& subject) const noexcept {
        return status(subject) == ReachabilityStatus::Reachable;
    }
    bool is_reachable(const UniqueAddress& observer, const UniqueAddress& subject) const noexcept {
        return status(observer, subject) == ReachabilityStatus::Reachable;
    }
    bool is_all_reachable() const noexcept { return records().empty(); }

    /// All results in UniqueAddress order.
    std::vector<UniqueAddress> all_unreachable() const;
    std::vector<UniqueAddress> all_unreachable_or_terminated() const;
    std::vector<UniqueAddress> all_unreachable_from(const UniqueAddress& observer) const;
    std::vector<UniqueAddress> all_observers() const;
    std::map<UniqueAddress, std::vector<UniqueAddress>> observers_by_unreachable() const;

    /// Sorted by (observer, subject).
    std::span<const Record> records() const noexcept;
    std::span<const Record> records_of(const UniqueAddress& observer) const noexcept;
    /// Sorted by observer.
    std::span<const Version> versions() const noexcept;
    std::int64_t version_of(const UniqueAddress& observer) const noexcept;
    /// Order-free digest of rows and versions. O(1).
    const Hash128& content_hash() const noexcept;
    /// Same shared rows, or equal content.
    bool operator==(const Reachability& o) const noexcept;

    /// Checks the invariants of this class (ENSURE): sorted, unique, every row's version at most its
    /// observer's, digest right.
    void check() const;

private:
    struct Table;
    explicit Reachability(std::shared_ptr<const Table> table) noexcept;
    template <class KeepRecord, class KeepVersion>
    Reachability keep_if(KeepRecord&& keep_record, KeepVersion&& keep_version) const;
    std::shared_ptr<const Table> table_;
};

} // namespace muster
