// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The gossiped state (protocol.md §2): an immutable value, changed by making a new one.
#include <cstdint>
#include <memory>
#include <muster/cluster/state/member.hpp>
#include <muster/cluster/state/reachability.hpp>
#include <muster/cluster/state/vector_clock.hpp>
#include <muster/time.hpp>
#include <optional>
#include <span>
#include <vector>

namespace muster {

/// A set of members as bits over a member index (position in Gossip::members()).
class SeenSet {
public:
    SeenSet() = default;
    explicit SeenSet(std::size_t size) : words_((size + 63) / 64), size_(size) {}
    bool test(std::size_t i) const noexcept { return (words_[i / 64] >> (i % 64) & 1U) != 0; }
    void set(std::size_t i) noexcept { words_[i / 64] |= std::uint64_t{1} << (i % 64); }
    void reset(std::size_t i) noexcept { words_[i / 64] &= ~(std::uint64_t{1} << (i % 64)); }
    /// Shrinks or grows; new bits are clear. No bit at or above `size` may be set when it shrinks.
    void resize(std::size_t size) {
        words_.resize((size + 63) / 64);
        size_ = size;
    }
    std::size_t size() const noexcept { return size_; }
    std::size_t count() const noexcept;
    std::span<const std::uint64_t> words() const noexcept { return words_; }
    bool operator==(const SeenSet&) const = default;

private:
    std::vector<std::uint64_t> words_;
    std::size_t size_ = 0;
};
// SeenSet stays this small: every gossip that is kept or in flight has one.
static_assert(sizeof(SeenSet) == sizeof(std::vector<std::uint64_t>) + sizeof(std::size_t));

/// A removed incarnation, which never comes back while this is remembered.
struct Tombstone {
    UniqueAddress node;
    WallTime removed_at;
    bool operator==(const Tombstone&) const = default;
};

/// The nodes that have seen this version, and the reachability table.
struct GossipOverview {
    SeenSet seen;
    Reachability reachability;
};

class Gossip {
public:
    /// The empty gossip: no members, no tombstones, no clock.
    Gossip();
    /// From parts in any order (decoding, tests). Errors: Errc::malformed naming the part when an invariant
    /// of §2 is broken: a Removed member, a double member, seen / rows / versions of a node that is no
    /// member, a row newer than its observer's version, a counter above 2^62.
    static result<Gossip> from_parts(std::vector<Member> members, std::span<const UniqueAddress> seen,
                                     Reachability reachability, VectorClock version,
                                     std::vector<Tombstone> tombstones);
    /// The same from `members` in order with bits over them.
    static result<Gossip> from_sorted_parts(std::vector<Member> members, SeenSet seen,
                                            Reachability reachability, VectorClock version,
                                            std::vector<Tombstone> tombstones);
    /// The same with the members of `like`, whose memory it shares.
    static result<Gossip> with_members_of(const Gossip& like, SeenSet seen, Reachability reachability,
                                          VectorClock version, std::vector<Tombstone> tombstones);

    /// Sorted by UniqueAddress.
    std::span<const Member> members() const noexcept { return *members_; }
    const GossipOverview& overview() const noexcept { return overview_; }
    const Reachability& reachability() const noexcept { return overview_.reachability; }
    const VectorClock& version() const noexcept { return version_; }
    /// Sorted by UniqueAddress.
    std::span<const Tombstone> tombstones() const noexcept { return *tombstones_; }

    /// Position in members(), or nullopt.
    std::optional<std::size_t> index_of(const UniqueAddress& node) const noexcept;
    const Member* find(const UniqueAddress& node) const noexcept;
    bool has_member(const UniqueAddress& node) const noexcept { return find(node) != nullptr; }
    /// The members at an address, one per incarnation.
    std::vector<Member> find_all(const Address& address) const;
    bool is_tombstoned(const UniqueAddress& node) const noexcept;
    bool seen_by(const UniqueAddress& node) const noexcept;
    /// In member order.
    std::vector<UniqueAddress> seen_nodes() const;
    bool is_singleton() const noexcept { return members_->size() == 1; }
    /// O(1).
    bool is_multi_dc() const noexcept { return multi_dc_; }

    /// Order-free 128-bit sum over the seen nodes' keys. O(1).
    const Hash128& seen_digest() const noexcept { return seen_digest_; }
    /// Hash of clock and content (not seen, not tombstone times). O(1).
    Hash128 version_id() const noexcept;

    /// Replaces or adds the given members, keeps the rest and the seen set. ENSURE: each once, none Removed.
    Gossip update(std::span<const Member> changed) const;
    Gossip with_reachability(Reachability reachability) const;
    /// No change for a node that is no member; nor in only_seen, which then leaves seen empty.
    Gossip seen(const UniqueAddress& node) const;
    Gossip only_seen(const UniqueAddress& node) const;
    Gossip clear_seen() const;
    /// Union of seen with that of `other`, everything else from this. Nodes unknown here are ignored.
    Gossip merge_seen(const Gossip& other) const;
    Gossip merge_seen(const SeenSet& same_members_seen) const;
    /// Status Down and out of seen (§2). ENSURE that `node` is a member that may become Down.
    Gossip mark_down(const UniqueAddress& node) const { return mark_down(std::span(&node, 1)); }
    Gossip mark_down(std::span<const UniqueAddress> nodes) const;
    /// Drops these members with all their entries and leaves tombstones, also for nodes that are no members.
    Gossip remove(std::span<const UniqueAddress> nodes, WallTime now) const;
    /// Keeps only tombstones strictly younger than `limit`: the reference's rule (reference.md), by wall
    /// clocks. A leader prunes by without_tombstones().
    Gossip prune_tombstones(WallTime limit) const;
    /// Forgets these removals; nodes without a tombstone are ignored. `nodes` are sorted.
    Gossip without_tombstones(std::span<const UniqueAddress> nodes) const;
    Gossip increment(const UniqueAddress& node) const;
    /// Deletes clock entries of nodes the other side has tombstoned (§6.3).
    Gossip prune_clock_of(std::span<const Tombstone> tombstones) const;
    /// §2, Merge. Commutative, associative, idempotent in everything but seen, which comes out empty.
    Gossip merge(const Gossip& other) const;

    /// Invariants of §2 (ENSURE).
    void check() const;

private:
    void mark_seen(std::size_t index) noexcept;
    void mark_unseen(std::size_t index) noexcept;

    template <class Predicate>
    Gossip without_tombstones_that(const Predicate& goes) const;
    void set_members(std::vector<Member> sorted);
    /// Sets everything but the members, which are set already.
    result<Gossip> with_parts(SeenSet seen, Reachability reachability, VectorClock version,
                              std::vector<Tombstone> tombstones) &&;

    std::shared_ptr<const std::vector<Member>> members_;
    bool multi_dc_ = false; ///< of members_
    GossipOverview overview_;
    VectorClock version_;
    std::shared_ptr<const std::vector<Tombstone>> tombstones_;
    Hash128 members_hash_;
    Hash128 tombstones_hash_;
    Hash128 seen_digest_;
};

/// §1.6: merges two member sets under the merged tombstones (sorted). Result in member order.
std::vector<Member> pick_highest_priority(std::span<const Member> a, std::span<const Member> b,
                                          std::span<const Tombstone> tombstones);

using GossipPtr = std::shared_ptr<const Gossip>;

} // namespace muster
