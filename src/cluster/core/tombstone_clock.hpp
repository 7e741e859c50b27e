// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How long this node has known each tombstone, by its own monotonic clock and only while all data centers
/// could be reached (protocol.md §2, Tombstones). Wall clocks of other machines take no part.
#include <map>
#include <muster/cluster/state/gossip.hpp>
#include <muster/time.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

/// Which data centers are out of reach, those without a member left among them. A value; deterministic.
class DataCenterWatch {
public:
    explicit DataCenterWatch(std::string self_data_center) : self_(std::move(self_data_center)) {}

    /// Follows the state; called with every state that is installed.
    void observe(const Gossip& gossip);
    /// A data center has members that are neither Down nor Exiting and none of them is reachable; or all it
    /// had were downed.
    bool are_all_reachable() const noexcept { return unreachable_.empty() && lost_.empty(); }
    const std::set<std::string, std::less<>>& unreachable() const noexcept { return unreachable_; }
    /// Those whose last members did not leave, by what was seen here. Sorted.
    const std::set<std::string, std::less<>>& lost() const noexcept { return lost_; }
    /// No: it is not lost.
    bool forget(std::string_view name);

private:
    struct Last {
        bool downed = false;  ///< since a living member was last seen, somebody was Down
        bool is_lost = false; ///< if no member of it is left in the next state
    };
    std::string self_;
    std::map<std::string, Last, std::less<>> present_;
    std::set<std::string, std::less<>> unreachable_;
    std::set<std::string, std::less<>> lost_;
};

/// Ages are differences of one clock, which stands still while a data center is out of reach: a step costs
/// the same however many tombstones there are.
class TombstoneClock {
public:
    /// One step counts at most `step_max`: what passed while this process stood still is no time in which it
    /// could learn anything.
    explicit TombstoneClock(Duration step_max) : step_max_(step_max) {}
    /// A pruned tombstone that comes back from a node that had not heard of the pruning keeps its age for so
    /// long (of this clock).
    static constexpr Duration echo = std::chrono::minutes{10};

    /// Time goes on to `now`; it counts if `is_counting` held since the last step and holds now.
    void step(Instant now, bool is_counting);
    /// Tombstones not known so far begin at age 0. Those that are gone are forgotten after `echo`.
    void follow(const Gossip& gossip);
    /// The tombstones of the gossip followed last that have at least this age; sorted.
    std::vector<UniqueAddress> older_than(Duration age) const;
    std::size_t size() const noexcept { return entries_.size(); }
    /// Whether it was told of exactly these tombstones last.
    bool is_of(const Gossip& gossip) const noexcept;

private:
    struct Entry {
        UniqueAddress node;
        Duration since{};
        Duration gone_at = present; ///< when it was no longer in the gossip
    };
    static constexpr Duration present = Duration::max();
    Duration step_max_;
    std::vector<Entry> entries_; ///< sorted by node
    Duration counted_{};
    bool was_counting_ = false;
    std::optional<Instant> last_;
};

} // namespace muster
