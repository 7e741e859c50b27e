// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/state/gossip.hpp>

#include "base/mutants.hpp"
#include "base/sorted_vector.hpp"
#include <algorithm>
#include <bit>
#include <functional>
#include <muster/ensure.hpp>
#include <string>
#include <utility>

namespace muster {
namespace {

using Members = std::vector<Member>;
using Tombstones = std::vector<Tombstone>;

// Counters this high come from no honest peer; bounding them keeps every increment far from overflow.
constexpr std::int64_t counter_max = std::int64_t{1} << 62;

Hash128 hash_of(const Tombstone& t) {
    // Without the time: two nodes that removed the same member at different times agree.
    return Hasher{"muster.tombstone"}.add(t.node.key()).finish();
}

std::span<const Member>::iterator lower_bound(std::span<const Member> members, const UniqueAddress& node) {
    return std::ranges::lower_bound(members, node, {}, &Member::unique_address);
}

Error malformed(std::string subject, std::string advice) {
    return {Errc::malformed, std::move(subject), std::move(advice)};
}

/// The union of two tombstone sets; a duplicate keeps the later time, so the order of merging does not
/// matter. `hash`, the digest of `a`, becomes that of the result.
Tombstones merge_tombstones(std::span<const Tombstone> a, std::span<const Tombstone> b, Hash128& hash) {
    Tombstones merged;
    merged.reserve(a.size() + b.size());
    auto left = a.begin();
    auto right = b.begin();
    while (left != a.end() || right != b.end()) {
        if (right == b.end() || (left != a.end() && left->node < right->node)) {
            merged.push_back(*left++);
        } else if (left == a.end() || right->node < left->node) {
            hash += hash_of(*right);
            merged.push_back(*right++);
        } else {
            merged.push_back({left->node, std::max(left->removed_at, right->removed_at)});
            ++left;
            ++right;
        }
    }
    return merged;
}

std::vector<UniqueAddress> addresses_of(std::span<const Member> members) {
    std::vector<UniqueAddress> nodes;
    nodes.reserve(members.size());
    for (const Member& m : members) nodes.push_back(m.unique_address());
    return nodes;
}

/// Whether `a` and `b` are the very same handles or equal in content.
bool same_members(std::span<const Member> a, std::span<const Member> b) {
    return std::ranges::equal(a, b, [](const Member& x, const Member& y) { return x.same_content(y); });
}

result<void> check_members(std::span<const Member> sorted) {
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        const auto name = [&] { return "gossip member " + sorted[i].unique_address().to_string(); };
        if (sorted[i].status() == MemberStatus::Removed)
            return malformed(name() + " with status Removed", "a removed member is a tombstone");
        if (i > 0 && sorted[i - 1] == sorted[i]) return malformed(name() + " twice", "name each member once");
    }
    return {};
}

result<void> check_reachability(std::span<const Member> members, const Reachability& reachability) {
    const auto is_member = [&](const UniqueAddress& node) {
        const auto at = lower_bound(members, node);
        return at != members.end() && at->unique_address() == node;
    };
    // Rows and versions are in the order of their observers: two walks together.
    const auto versions = reachability.versions();
    for (const auto& v : versions) {
        if (!is_member(v.observer) || v.version < 1 || v.version > counter_max) {
            return malformed("gossip reachability version of " + v.observer.to_string(),
                             "only members have one, and it is between 1 and 2^62");
        }
    }
    auto own = versions.begin();
    for (const auto& r : reachability.records()) {
        while (own != versions.end() && own->observer != r.observer && own->observer < r.observer) ++own;
        const bool observed = own != versions.end() && own->observer == r.observer; // so it is a member
        if (!observed || !is_member(r.subject) || r.version < 1 || r.version > own->version) {
            return malformed("gossip reachability row of " + r.observer.to_string() + " about " +
                                 r.subject.to_string(),
                             "both ends are members and no row is newer than its observer's version");
        }
    }
    return {};
}

} // namespace

std::size_t SeenSet::count() const noexcept {
    std::size_t n = 0;
    for (const std::uint64_t word : words_) n += static_cast<std::size_t>(std::popcount(word));
    return n;
}

Gossip::Gossip() {
    static const auto no_members = std::make_shared<const Members>();
    static const auto no_tombstones = std::make_shared<const Tombstones>();
    members_ = no_members;
    tombstones_ = no_tombstones;
}

result<Gossip> Gossip::from_parts(std::vector<Member> members, std::span<const UniqueAddress> seen,
                                  Reachability reachability, VectorClock version,
                                  std::vector<Tombstone> tombstones) {
    if (!std::ranges::is_sorted(members)) std::ranges::sort(members);
    if (auto checked = check_members(members); !checked) return checked.error();
    SeenSet bits{members.size()};
    for (const UniqueAddress& node : seen) {
        const auto at = std::ranges::lower_bound(members, node, {}, &Member::unique_address);
        if (at == members.end() || at->unique_address() != node)
            return malformed("gossip seen by " + node.to_string(), "only members see a gossip");
        bits.set(static_cast<std::size_t>(at - members.begin()));
    }
    return from_sorted_parts(std::move(members), std::move(bits), std::move(reachability), std::move(version),
                             std::move(tombstones));
}

result<Gossip> Gossip::from_sorted_parts(std::vector<Member> members, SeenSet seen, Reachability reachability,
                                         VectorClock version, std::vector<Tombstone> tombstones) {
    MUSTER_ENSURE(std::ranges::is_sorted(members) && seen.size() == members.size(),
                  "the caller has sorted the members that seen is about");
    if (auto checked = check_members(members); !checked) return checked.error();
    Gossip gossip;
    for (const Member& m : members) gossip.members_hash_ += m.content_hash();
    gossip.set_members(std::move(members));
    return std::move(gossip).with_parts(std::move(seen), std::move(reachability), std::move(version),
                                        std::move(tombstones));
}

result<Gossip> Gossip::with_members_of(const Gossip& like, SeenSet seen, Reachability reachability,
                                       VectorClock version, std::vector<Tombstone> tombstones) {
    MUSTER_ENSURE(seen.size() == like.members().size(), "seen is about exactly these members");
    Gossip gossip;
    gossip.members_ = like.members_;
    gossip.multi_dc_ = like.multi_dc_;
    gossip.members_hash_ = like.members_hash_;
    return std::move(gossip).with_parts(std::move(seen), std::move(reachability), std::move(version),
                                        std::move(tombstones));
}

result<Gossip> Gossip::with_parts(SeenSet seen, Reachability reachability, VectorClock version,
                                  std::vector<Tombstone> tombstones) && {
    if (auto checked = check_reachability(*members_, reachability); !checked) return checked.error();
    for (const auto& entry : version.entries()) {
        if (entry.counter > static_cast<std::uint64_t>(counter_max))
            return malformed("gossip clock counter " + std::to_string(entry.counter), "use at most 2^62");
    }
    // Of duplicate tombstones the later time sorts first and is kept.
    std::ranges::sort(tombstones, [](const Tombstone& a, const Tombstone& b) {
        if (const auto order = a.node <=> b.node; order != 0) return order < 0;
        return a.removed_at > b.removed_at;
    });
    const auto twice = std::ranges::unique(tombstones, {}, &Tombstone::node);
    tombstones.erase(twice.begin(), twice.end());

    for (const Tombstone& t : tombstones) tombstones_hash_ += hash_of(t);
    for (std::size_t i = 0; i < members_->size(); ++i)
        if (seen.test(i)) seen_digest_ += (*members_)[i].unique_address().key();
    overview_.seen = std::move(seen);
    overview_.reachability = std::move(reachability);
    version_ = std::move(version);
    if (!tombstones.empty()) tombstones_ = std::make_shared<const Tombstones>(std::move(tombstones));
    return std::move(*this);
}

std::optional<std::size_t> Gossip::index_of(const UniqueAddress& node) const noexcept {
    const std::span<const Member> all = *members_;
    const auto at = lower_bound(all, node);
    if (at == all.end() || at->unique_address() != node) return std::nullopt;
    return static_cast<std::size_t>(at - all.begin());
}

const Member* Gossip::find(const UniqueAddress& node) const noexcept {
    const auto at = index_of(node);
    return at ? &(*members_)[*at] : nullptr;
}

std::vector<Member> Gossip::find_all(const Address& address) const {
    // Incarnations of one address are neighbours in member order; the lowest uid comes first.
    const auto range = std::ranges::equal_range(
        *members_, address, {}, [](const Member& m) -> const Address& { return m.address(); });
    return {range.begin(), range.end()};
}

bool Gossip::is_tombstoned(const UniqueAddress& node) const noexcept {
    return std::ranges::binary_search(*tombstones_, node, {}, &Tombstone::node);
}

bool Gossip::seen_by(const UniqueAddress& node) const noexcept {
    const auto at = index_of(node);
    return at && overview_.seen.test(*at);
}

std::vector<UniqueAddress> Gossip::seen_nodes() const {
    std::vector<UniqueAddress> nodes;
    for (std::size_t i = 0; i < members_->size(); ++i) {
        if (overview_.seen.test(i)) nodes.push_back((*members_)[i].unique_address());
    }
    return nodes;
}

void Gossip::set_members(std::vector<Member> sorted) {
    multi_dc_ = std::ranges::any_of(sorted, [&](const Member& m) {
        // Members that came together share their identity's memory.
        const bool shared = m.roles().data() == sorted.front().roles().data();
        return !shared && m.data_center() != sorted.front().data_center();
    });
    members_ = std::make_shared<const Members>(std::move(sorted));
}

Hash128 Gossip::version_id() const noexcept {
    // Each part hashes in a domain of its own, so the plain sum tells them apart.
    return version_.digest() + members_hash_ + overview_.reachability.content_hash() + tombstones_hash_;
}

void Gossip::mark_seen(std::size_t index) noexcept {
    if (overview_.seen.test(index)) return;
    overview_.seen.set(index);
    seen_digest_ += (*members_)[index].unique_address().key();
}

void Gossip::mark_unseen(std::size_t index) noexcept {
    if (!overview_.seen.test(index)) return;
    overview_.seen.reset(index);
    seen_digest_ -= (*members_)[index].unique_address().key();
}

Gossip Gossip::update(std::span<const Member> changed) const {
    if (changed.empty()) return *this;
    Members sorted(changed.begin(), changed.end());
    if (!std::ranges::is_sorted(sorted)) std::ranges::sort(sorted);
    MUSTER_ENSURE(std::ranges::adjacent_find(sorted) == sorted.end(), "a change names each member once");
    MUSTER_ENSURE(
        std::ranges::none_of(sorted, [](const Member& m) { return m.status() == MemberStatus::Removed; }),
        "a removed member is never stored: remove() leaves a tombstone");
    Gossip next = *this;
    Members members;
    members.reserve(members_->size() + sorted.size());
    SeenSet seen{members_->size() + sorted.size()};
    auto change = sorted.begin();
    const auto add = [&](const Member& m) {
        members.push_back(m);
        next.members_hash_ += m.content_hash();
    };
    for (std::size_t i = 0; i < members_->size(); ++i) {
        const Member& old = (*members_)[i];
        while (change != sorted.end() && *change < old) add(*change++);
        if (overview_.seen.test(i)) seen.set(members.size());
        if (change != sorted.end() && *change == old) {
            next.members_hash_ -= old.content_hash();
            add(*change++);
        } else {
            members.push_back(old);
        }
    }
    while (change != sorted.end()) add(*change++);
    seen.resize(members.size());
    next.set_members(std::move(members));
    next.overview_.seen = std::move(seen);
    return next;
}

Gossip Gossip::with_reachability(Reachability reachability) const {
    Gossip next = *this;
    next.overview_.reachability = std::move(reachability);
    return next;
}

Gossip Gossip::seen(const UniqueAddress& node) const {
    const auto at = index_of(node);
    if (!at || overview_.seen.test(*at)) return *this;
    Gossip next = *this;
    next.mark_seen(*at);
    return next;
}

Gossip Gossip::only_seen(const UniqueAddress& node) const { return clear_seen().seen(node); }

Gossip Gossip::clear_seen() const {
    Gossip next = *this;
    next.overview_.seen = SeenSet{members_->size()};
    next.seen_digest_ = {};
    return next;
}

Gossip Gossip::merge_seen(const Gossip& other) const {
    // The same members have the same positions, so the bits can be united as they are.
    if (members_ == other.members_ ||
        (members_->size() == other.members_->size() && std::ranges::equal(*members_, *other.members_)))
        return merge_seen(other.overview_.seen);
    Gossip next = *this;
    auto at = members_->begin();
    for (std::size_t i = 0; i < other.members_->size(); ++i) {
        const Member& theirs = (*other.members_)[i];
        while (at != members_->end() && *at < theirs) ++at;
        if (at != members_->end() && *at == theirs && other.overview_.seen.test(i))
            next.mark_seen(static_cast<std::size_t>(at - members_->begin()));
    }
    return next;
}

Gossip Gossip::merge_seen(const SeenSet& same_members_seen) const {
    MUSTER_ENSURE(same_members_seen.size() == members_->size(), "seen bits are over exactly these members");
    Gossip next = *this;
    const auto mine = overview_.seen.words();
    const auto theirs = same_members_seen.words();
    for (std::size_t w = 0; w < theirs.size(); ++w) {
        for (std::uint64_t fresh = theirs[w] & ~mine[w]; fresh != 0; fresh &= fresh - 1)
            next.mark_seen(w * 64 + static_cast<std::size_t>(std::countr_zero(fresh)));
    }
    return next;
}

Gossip Gossip::mark_down(std::span<const UniqueAddress> nodes) const {
    std::vector<Member> downed;
    for (const UniqueAddress& node : sorted_unique(std::vector(nodes.begin(), nodes.end()))) {
        const Member* member = find(node);
        MUSTER_ENSURE(member != nullptr, "only a member can be marked Down");
        auto down = member->copy_with_status(MemberStatus::Down);
        MUSTER_ENSURE(down.has_value(), "the caller looked whether this member may become Down");
        downed.push_back(*std::move(down));
    }
    Gossip next = update(downed);
    for (const Member& m : downed) next.mark_unseen(*next.index_of(m.unique_address()));
    return next;
}

Gossip Gossip::remove(std::span<const UniqueAddress> nodes, WallTime now) const {
    if (nodes.empty()) return *this;
    const auto gone = sorted_unique(std::vector(nodes.begin(), nodes.end()));
    const auto is_gone = [&](const UniqueAddress& node) { return std::ranges::binary_search(gone, node); };

    Gossip next = *this;
    Members members;
    members.reserve(members_->size());
    SeenSet seen{members_->size()};
    for (std::size_t i = 0; i < members_->size(); ++i) {
        const Member& m = (*members_)[i];
        if (is_gone(m.unique_address())) {
            next.members_hash_ -= m.content_hash();
            next.mark_unseen(i);
            continue;
        }
        if (overview_.seen.test(i)) seen.set(members.size());
        members.push_back(m);
    }
    seen.resize(members.size());

    std::vector<Hash128> keys;
    Tombstones graves;
    for (const UniqueAddress& node : gone) {
        keys.push_back(node.key());
        graves.push_back({node, now});
    }
    next.version_.prune(keys);
    if (MUSTER_MUTANT(removed_without_tombstone)) graves.clear();
    next.tombstones_ =
        std::make_shared<const Tombstones>(merge_tombstones(*tombstones_, graves, next.tombstones_hash_));
    next.overview_.reachability = overview_.reachability.remove(gone);
    next.overview_.seen = std::move(seen);
    next.set_members(std::move(members));
    return next;
}

template <class Predicate>
Gossip Gossip::without_tombstones_that(const Predicate& goes) const {
    if (std::ranges::none_of(*tombstones_, goes)) return *this;
    Gossip next = *this;
    Tombstones kept;
    for (const Tombstone& t : *tombstones_) {
        if (goes(t))
            next.tombstones_hash_ -= hash_of(t);
        else
            kept.push_back(t);
    }
    next.tombstones_ = std::make_shared<const Tombstones>(std::move(kept));
    return next;
}

Gossip Gossip::prune_tombstones(WallTime limit) const {
    return without_tombstones_that([&](const Tombstone& t) { return t.removed_at <= limit; });
}

Gossip Gossip::without_tombstones(std::span<const UniqueAddress> nodes) const {
    if (nodes.empty()) return *this;
    return without_tombstones_that(
        [&](const Tombstone& t) { return std::ranges::binary_search(nodes, t.node); });
}

Gossip Gossip::increment(const UniqueAddress& node) const {
    Gossip next = *this;
    next.version_.tick(node);
    return next;
}

Gossip Gossip::prune_clock_of(std::span<const Tombstone> tombstones) const {
    if (tombstones.empty()) return *this;
    std::vector<Hash128> keys;
    keys.reserve(tombstones.size());
    for (const Tombstone& t : tombstones) keys.push_back(t.node.key());
    Gossip next = *this;
    next.version_.prune(keys);
    return next;
}

Gossip Gossip::merge(const Gossip& other) const {
    Gossip next;
    next.tombstones_ = tombstones_;
    next.tombstones_hash_ = tombstones_hash_;
    if (tombstones_ != other.tombstones_ && *tombstones_ != *other.tombstones_) {
        next.tombstones_ = std::make_shared<const Tombstones>(
            merge_tombstones(*tombstones_, *other.tombstones_, next.tombstones_hash_));
    }
    next.version_ = version_;
    next.version_.merge(other.version_);
    next = next.prune_clock_of(*next.tombstones_);

    // Whatever is unchanged keeps sharing its storage with one of the inputs.
    auto members = pick_highest_priority(*members_, *other.members_, *next.tombstones_);
    if (same_members(members, *members_)) {
        next.members_ = members_;
        next.multi_dc_ = multi_dc_;
        next.members_hash_ = members_hash_;
    } else if (same_members(members, *other.members_)) {
        next.members_ = other.members_;
        next.multi_dc_ = other.multi_dc_;
        next.members_hash_ = other.members_hash_;
    } else {
        for (const Member& m : members) next.members_hash_ += m.content_hash();
        next.set_members(std::move(members));
    }
    const auto& mine = overview_.reachability;
    const auto& theirs = other.overview_.reachability;
    if (!mine.versions().empty() || !theirs.versions().empty())
        next.overview_.reachability = mine.merge(addresses_of(*next.members_), theirs);
    next.overview_.seen = SeenSet{next.members_->size()};
    return next;
}

void Gossip::check() const {
    MUSTER_ENSURE(std::ranges::is_sorted(*members_) && check_members(*members_).has_value(),
                  "members are sorted, each once, none Removed");
    MUSTER_ENSURE(check_reachability(*members_, overview_.reachability).has_value(),
                  "rows and versions are about members");
    overview_.reachability.check();
    MUSTER_ENSURE(std::ranges::is_sorted(*tombstones_, {}, &Tombstone::node), "tombstones are sorted");
    MUSTER_ENSURE(overview_.seen.size() == members_->size(), "seen bits are over the member index");
    Hash128 members_hash;
    Hash128 seen_digest;
    for (std::size_t i = 0; i < members_->size(); ++i) {
        const Member& m = (*members_)[i];
        members_hash += m.content_hash();
        if (overview_.seen.test(i)) seen_digest += m.unique_address().key();
        MUSTER_ENSURE(!is_tombstoned(m.unique_address()), "a removed member never comes back");
    }
    Hash128 tombstones_hash;
    for (const Tombstone& t : *tombstones_) tombstones_hash += hash_of(t);
    MUSTER_ENSURE(members_hash == members_hash_ && tombstones_hash == tombstones_hash_ &&
                      seen_digest == seen_digest_,
                  "the digests are the sums over their parts");
}

std::vector<Member> pick_highest_priority(std::span<const Member> a, std::span<const Member> b,
                                          std::span<const Tombstone> tombstones) {
    std::vector<Member> merged;
    merged.reserve(std::max(a.size(), b.size()));
    auto grave = tombstones.begin();
    const auto keep = [&](const Member& m) {
        while (grave != tombstones.end() && grave->node < m.unique_address()) ++grave;
        return MUSTER_MUTANT(tombstones_ignored) || grave == tombstones.end() ||
               grave->node != m.unique_address();
    };
    auto left = a.begin();
    auto right = b.begin();
    while (left != a.end() || right != b.end()) {
        const auto order = left == a.end()    ? std::strong_ordering::greater
                           : right == b.end() ? std::strong_ordering::less
                                              : *left <=> *right;
        const Member& first = order <= 0 ? *left : *right;
        // Absence without a tombstone means "not heard of", so a one-sided member stays whatever its status.
        if (keep(first)) merged.push_back(order == 0 ? highest_priority(*left, *right) : first);
        if (order <= 0) ++left;
        if (order >= 0) ++right;
    }
    return merged;
}

} // namespace muster
