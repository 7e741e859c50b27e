// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How long removals are remembered (protocol.md §2, Tombstones).
#include "tombstone_clock.hpp"
#include <muster/cluster/protocol/effects.hpp>
#include <muster/cluster/protocol/settings.hpp>
#include <muster/cluster/state/gossip.hpp>
#include <muster/error.hpp>
#include <muster/time.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

/// The age of every tombstone that is held, which stands still while a data center is out of reach.
class Tombstones {
public:
    explicit Tombstones(const ClusterSettings& settings);

    /// Follows a publication: the state before it and the one published.
    void on_published(const Gossip& before, const Gossip& after, const Now& now, Effects& out);
    /// A tick of the leader's, on every node: time goes on; too many tombstones are logged once an hour.
    void tick(const Gossip& gossip, const Now& now, Effects& out);
    /// Another incarnation, which holds nothing: what was seen of data centers is void.
    void on_new_incarnation();
    /// An operator's word. Errors: not_found naming those there are, when it is none of lost().
    result<void> forget_data_center(std::string_view name, Effects& out);

    /// Known for prune-gossip-tombstones-after; sorted.
    std::vector<UniqueAddress> expired() const { return clock_.older_than(prune_after_); }
    /// Data centers without a member left whose last ones did not leave. Sorted.
    const std::set<std::string, std::less<>>& lost() const noexcept { return data_centers_.lost(); }
    /// Invariants (ENSURE); `gossip`: what was published last.
    void check(const Gossip& gossip) const;

private:
    std::string self_data_center_;
    Duration prune_after_;
    DataCenterWatch data_centers_;
    TombstoneClock clock_;
    std::optional<Instant> warned_at_;
};

} // namespace muster
