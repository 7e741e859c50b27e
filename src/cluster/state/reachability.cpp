// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/state/reachability.hpp>

#include "base/mutants.hpp"
#include <algorithm>
#include <muster/ensure.hpp>
#include <optional>
#include <tuple>
#include <utility>

namespace muster {
namespace {

using Record = Reachability::Record;
using Version = Reachability::Version;

Hash128 hash_of(const Record& r) {
    return Hasher{"muster.reachability.row"}
        .add(r.observer.key())
        .add(r.subject.key())
        .add(static_cast<std::uint64_t>(r.status))
        .add(r.version)
        .finish();
}

Hash128 hash_of(const Version& v) {
    return Hasher{"muster.reachability.version"}.add(v.observer.key()).add(v.version).finish();
}

bool row_less(const Record& a, const Record& b) noexcept {
    if (const auto order = a.observer <=> b.observer; order != 0) return order < 0;
    return a.subject < b.subject;
}

bool contains(std::span<const UniqueAddress> sorted, const UniqueAddress& node) noexcept {
    return std::ranges::binary_search(sorted, node);
}

std::vector<UniqueAddress> sorted_copy(std::span<const UniqueAddress> nodes) {
    std::vector<UniqueAddress> sorted(nodes.begin(), nodes.end());
    if (!std::ranges::is_sorted(sorted)) std::ranges::sort(sorted);
    return sorted;
}

/// The rows of one observer inside rows sorted by observer.
std::span<const Record> rows_of(std::span<const Record> records, const UniqueAddress& observer) noexcept {
    const auto [first, last] = std::ranges::equal_range(records, observer, {}, &Record::observer);
    return {first, last};
}

std::int64_t version_in(std::span<const Version> versions, const UniqueAddress& observer) noexcept {
    const auto at = std::ranges::lower_bound(versions, observer, {}, &Version::observer);
    return at != versions.end() && at->observer == observer ? at->version : 0;
}

/// A subject with the worst status that any observer reports.
struct Verdict {
    UniqueAddress subject;
    ReachabilityStatus status{};
};

/// Subjects with a negative row, sorted, each once with its aggregated status (protocol.md §4.4).
std::vector<Verdict> verdicts_of(std::span<const Record> records) {
    std::vector<Verdict> verdicts;
    for (const Record& r : records) {
        if (r.status != ReachabilityStatus::Reachable) verdicts.push_back({r.subject, r.status});
    }
    // The worst status of a subject sorts first and is kept.
    std::ranges::sort(verdicts, [](const Verdict& a, const Verdict& b) {
        if (const auto order = a.subject <=> b.subject; order != 0) return order < 0;
        return a.status > b.status;
    });
    const auto more = std::ranges::unique(verdicts, {}, &Verdict::subject);
    verdicts.erase(more.begin(), more.end());
    return verdicts;
}

} // namespace

struct Reachability::Table {
    std::vector<Record> records;   ///< sorted by (observer, subject)
    std::vector<Version> versions; ///< sorted by observer
    std::vector<Verdict> verdicts; ///< sorted by subject
    Hash128 content_hash;

    /// `sorted_*` are sorted and unique; `hash` is the sum over both.
    static std::shared_ptr<const Table> make(std::vector<Record> sorted_records,
                                             std::vector<Version> sorted_versions, Hash128 hash) {
        auto verdicts = verdicts_of(sorted_records);
        return std::make_shared<const Table>(
            Table{std::move(sorted_records), std::move(sorted_versions), std::move(verdicts), hash});
    }

    static const std::shared_ptr<const Table>& empty() {
        static const std::shared_ptr<const Table> table = std::make_shared<const Table>();
        return table;
    }
};

std::string_view to_string(ReachabilityStatus status) noexcept {
    switch (status) {
    case ReachabilityStatus::Reachable: return "Reachable";
    case ReachabilityStatus::Unreachable: return "Unreachable";
    case ReachabilityStatus::Terminated: return "Terminated";
    }
    return "?";
}

Reachability::Reachability() : table_(Table::empty()) {}

Reachability::Reachability(std::shared_ptr<const Table> table) noexcept : table_(std::move(table)) {}

namespace {

bool same_key(const Record& a, const Record& b) noexcept {
    return a.observer == b.observer && a.subject == b.subject;
}
bool same_key(const Version& a, const Version& b) noexcept { return a.observer == b.observer; }
bool key_less(const Record& a, const Record& b) noexcept { return row_less(a, b); }
bool key_less(const Version& a, const Version& b) noexcept { return a.observer < b.observer; }

/// The digest of `next`, given `hash`, which is that of `known` and others; both sorted. Hashes only the
/// differences.
template <class Entry>
Hash128 follow_changes(Hash128 hash, std::span<const Entry> known, std::span<const Entry> next) {
    auto left = known.begin();
    for (const Entry& entry : next) {
        while (left != known.end() && !same_key(*left, entry) && key_less(*left, entry))
            hash -= hash_of(*left++);
        if (left != known.end() && same_key(*left, entry)) {
            const Entry& before = *left++;
            if (before == entry) continue;
            hash -= hash_of(before);
        }
        hash += hash_of(entry);
    }
    while (left != known.end()) hash -= hash_of(*left++);
    return hash;
}

} // namespace

Reachability::Reachability(std::vector<Record> records, std::vector<Version> versions)
    : Reachability(std::move(records), std::move(versions), Reachability{}) {}

Reachability::Reachability(std::vector<Record> records, std::vector<Version> versions,
                           const Reachability& like) {
    // Of duplicate rows or versions the newest sorts first and is kept.
    std::ranges::sort(records, [](const Record& a, const Record& b) {
        if (a.observer == b.observer && a.subject == b.subject)
            return std::tie(a.version, a.status) > std::tie(b.version, b.status);
        return row_less(a, b);
    });
    const auto double_rows = std::ranges::unique(records, [](const Record& a, const Record& b) {
        return a.observer == b.observer && a.subject == b.subject;
    });
    records.erase(double_rows.begin(), double_rows.end());
    std::ranges::sort(versions, [](const Version& a, const Version& b) {
        if (const auto order = a.observer <=> b.observer; order != 0) return order < 0;
        return a.version > b.version;
    });
    const auto double_versions = std::ranges::unique(versions, {}, &Version::observer);
    versions.erase(double_versions.begin(), double_versions.end());
    std::erase_if(versions, [](const Version& v) { return v.version == 0; });
    const Table& known = *like.table_;
    if (records == known.records && versions == known.versions) {
        table_ = like.table_;
        return;
    }
    Hash128 hash = follow_changes<Record>(known.content_hash, known.records, records);
    hash = follow_changes<Version>(hash, known.versions, versions);
    table_ = Table::make(std::move(records), std::move(versions), hash);
}

Reachability Reachability::unreachable(const UniqueAddress& observer, const UniqueAddress& subject) const {
    return change(observer, subject, ReachabilityStatus::Unreachable);
}

Reachability Reachability::reachable(const UniqueAddress& observer, const UniqueAddress& subject) const {
    return change(observer, subject, ReachabilityStatus::Reachable);
}

Reachability Reachability::terminated(const UniqueAddress& observer, const UniqueAddress& subject) const {
    return change(observer, subject, ReachabilityStatus::Terminated);
}

Reachability Reachability::change(const UniqueAddress& observer, const UniqueAddress& subject,
                                  ReachabilityStatus status) const {
    const auto own = records_of(observer);
    const auto row = std::ranges::lower_bound(own, subject, {}, &Record::subject);
    const bool known = row != own.end() && row->subject == subject;
    if (own.empty() && status == ReachabilityStatus::Reachable) return *this;
    const bool is_final = !MUSTER_MUTANT(terminated_not_final);
    if (known && ((is_final && row->status == ReachabilityStatus::Terminated) || row->status == status))
        return *this;

    const std::int64_t old_version = version_of(observer);
    const Version version{observer, old_version + 1};
    const Record changed{observer, subject, status, version.version};
    const bool others_reachable = std::ranges::all_of(own, [&](const Record& r) {
        return r.subject == subject || r.status == ReachabilityStatus::Reachable;
    });

    const auto& all = table_->records;
    const auto first = own.empty() ? std::ranges::lower_bound(all, observer, {}, &Record::observer)
                                   : all.begin() + (own.data() - all.data());
    const auto last = first + static_cast<std::ptrdiff_t>(own.size());
    Hash128 hash = table_->content_hash + hash_of(version);
    if (old_version != 0) hash -= hash_of(Version{observer, old_version});

    std::vector<Record> records;
    records.reserve(all.size() + 1);
    records.assign(all.begin(), first);
    if (status == ReachabilityStatus::Reachable && others_reachable) {
        // Full reachability means no rows: an observer that sees everybody again leaves only its version.
        for (const Record& r : own) hash -= hash_of(r);
    } else {
        records.insert(records.end(), own.begin(), row);
        records.push_back(changed);
        records.insert(records.end(), known ? row + 1 : row, own.end());
        hash += hash_of(changed);
        if (known) hash -= hash_of(*row);
    }
    records.insert(records.end(), last, all.end());

    std::vector<Version> versions = table_->versions;
    const auto at = std::ranges::lower_bound(versions, observer, {}, &Version::observer);
    if (at != versions.end() && at->observer == observer)
        at->version = version.version;
    else
        versions.insert(at, version);
    return Reachability{Table::make(std::move(records), std::move(versions), hash)};
}

namespace {

/// Walks the version lists of two tables together: (observer, version in a, version in b), in order.
template <class Visit>
void for_each_observer(std::span<const Version> a, std::span<const Version> b, Visit visit) {
    auto left = a.begin();
    auto right = b.begin();
    while (left != a.end() || right != b.end()) {
        if (right == b.end() || (left != a.end() && left->observer < right->observer)) {
            visit(left->observer, left->version, std::int64_t{0});
            ++left;
        } else if (left == a.end() || right->observer < left->observer) {
            visit(right->observer, std::int64_t{0}, right->version);
            ++right;
        } else {
            visit(left->observer, left->version, right->version);
            ++left;
            ++right;
        }
    }
}

} // namespace

Reachability Reachability::merge(std::span<const UniqueAddress> allowed, const Reachability& other) const {
    std::vector<Record> records;
    std::vector<Version> versions;
    for_each_observer(table_->versions, other.table_->versions,
                      [&](const UniqueAddress& observer, std::int64_t mine, std::int64_t theirs) {
                          if (!contains(allowed, observer)) return;
                          versions.push_back({observer, std::max(mine, theirs)});
                          // A row set belongs to one version, so the higher version has the whole truth of
                          // this observer: if it has no rows, they were pruned. Equal versions have equal
                          // rows, unless one side pruned them.
                          const auto own = records_of(observer);
                          const auto others = other.records_of(observer);
                          if (mine == theirs && own.empty() != others.empty()) return;
                          for (const Record& r : mine >= theirs ? own : others)
                              if (contains(allowed, r.subject)) records.push_back(r);
                      });
    Hash128 hash = follow_changes<Record>(table_->content_hash, table_->records, records);
    hash = follow_changes<Version>(hash, table_->versions, versions);
    // Nothing new is the common case: keep sharing the table.
    if (hash == table_->content_hash) return *this;
    if (hash == other.table_->content_hash) return other;
    return Reachability{Table::make(std::move(records), std::move(versions), hash)};
}

Reachability Reachability::remove(std::span<const UniqueAddress> nodes) const {
    if (nodes.empty() || (table_->records.empty() && table_->versions.empty())) return *this;
    const auto gone = sorted_copy(nodes);
    return keep_if([&](const Record& r) { return !contains(gone, r.observer) && !contains(gone, r.subject); },
                   [&](const Version& v) { return !contains(gone, v.observer); });
}

Reachability Reachability::remove_observers(std::span<const UniqueAddress> nodes) const {
    if (nodes.empty() || (table_->records.empty() && table_->versions.empty())) return *this;
    const auto gone = sorted_copy(nodes);
    return keep_if([&](const Record& r) { return !contains(gone, r.observer); },
                   [&](const Version& v) { return !contains(gone, v.observer); });
}

Reachability Reachability::filter(const std::function<bool(const Record&)>& keep) const {
    return keep_if(keep, [](const Version&) { return true; });
}

template <class KeepRecord, class KeepVersion>
Reachability Reachability::keep_if(KeepRecord&& keep_record, KeepVersion&& keep_version) const {
    std::vector<Record> records;
    std::vector<Version> versions;
    Hash128 hash = table_->content_hash;
    for (const Record& r : table_->records) {
        if (keep_record(r))
            records.push_back(r);
        else
            hash -= hash_of(r);
    }
    for (const Version& v : table_->versions) {
        if (keep_version(v))
            versions.push_back(v);
        else
            hash -= hash_of(v);
    }
    if (records.size() == table_->records.size() && versions.size() == table_->versions.size()) return *this;
    return Reachability{Table::make(std::move(records), std::move(versions), hash)};
}

ReachabilityStatus Reachability::status(const UniqueAddress& observer,
                                        const UniqueAddress& subject) const noexcept {
    const auto own = records_of(observer);
    const auto row = std::ranges::lower_bound(own, subject, {}, &Record::subject);
    return row != own.end() && row->subject == subject ? row->status : ReachabilityStatus::Reachable;
}

ReachabilityStatus Reachability::status(const UniqueAddress& subject) const noexcept {
    const auto& all = table_->verdicts;
    const auto at = std::ranges::lower_bound(all, subject, {}, &Verdict::subject);
    return at != all.end() && at->subject == subject ? at->status : ReachabilityStatus::Reachable;
}

std::vector<UniqueAddress> Reachability::all_unreachable() const {
    std::vector<UniqueAddress> nodes;
    for (const Verdict& v : table_->verdicts) {
        if (v.status == ReachabilityStatus::Unreachable) nodes.push_back(v.subject);
    }
    return nodes;
}

std::vector<UniqueAddress> Reachability::all_unreachable_or_terminated() const {
    std::vector<UniqueAddress> nodes;
    nodes.reserve(table_->verdicts.size());
    for (const Verdict& v : table_->verdicts) nodes.push_back(v.subject);
    return nodes;
}

std::vector<UniqueAddress> Reachability::all_unreachable_from(const UniqueAddress& observer) const {
    std::vector<UniqueAddress> nodes;
    for (const Record& r : records_of(observer)) {
        if (r.status == ReachabilityStatus::Unreachable || MUSTER_MUTANT(terminated_not_final))
            nodes.push_back(r.subject);
    }
    return nodes;
}

std::vector<UniqueAddress> Reachability::all_observers() const {
    std::vector<UniqueAddress> nodes;
    for (const Record& r : table_->records) {
        if (nodes.empty() || nodes.back() != r.observer) nodes.push_back(r.observer);
    }
    return nodes;
}

std::map<UniqueAddress, std::vector<UniqueAddress>> Reachability::observers_by_unreachable() const {
    std::map<UniqueAddress, std::vector<UniqueAddress>> observers;
    for (const Record& r : table_->records) {
        if (r.status == ReachabilityStatus::Unreachable) observers[r.subject].push_back(r.observer);
    }
    return observers;
}

std::span<const Record> Reachability::records() const noexcept { return table_->records; }

std::span<const Record> Reachability::records_of(const UniqueAddress& observer) const noexcept {
    return rows_of(table_->records, observer);
}

std::span<const Version> Reachability::versions() const noexcept { return table_->versions; }

std::int64_t Reachability::version_of(const UniqueAddress& observer) const noexcept {
    return version_in(table_->versions, observer);
}

const Hash128& Reachability::content_hash() const noexcept { return table_->content_hash; }

bool Reachability::operator==(const Reachability& o) const noexcept {
    return table_ == o.table_ ||
           (table_->content_hash == o.table_->content_hash && table_->records == o.table_->records &&
            table_->versions == o.table_->versions);
}

void Reachability::check() const {
    Hash128 hash;
    const auto& records = table_->records;
    const auto& versions = table_->versions;
    for (std::size_t i = 0; i < versions.size(); ++i) {
        MUSTER_ENSURE(i == 0 || versions[i - 1].observer < versions[i].observer,
                      "versions are sorted by observer, each once");
        MUSTER_ENSURE(versions[i].version > 0, "a version counts changes from 1");
        hash += hash_of(versions[i]);
    }
    for (std::size_t i = 0; i < records.size(); ++i) {
        const Record& r = records[i];
        MUSTER_ENSURE(i == 0 || row_less(records[i - 1], r),
                      "rows are sorted by (observer, subject), each once");
        MUSTER_ENSURE(r.version <= version_of(r.observer), "no row is newer than its observer's version");
        hash += hash_of(r);
    }
    MUSTER_ENSURE(hash == table_->content_hash, "the digest is the sum over rows and versions");
}

} // namespace muster
