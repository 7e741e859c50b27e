// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Which nodes to blame when nodes call each other unreachable although information still flows (muster's own
/// alternative to downing everybody under protocol.md §15.4 and §15.5). A row of the reachability table says
/// that something is wrong between two nodes, not with which. Many rows together show it: a node that loses
/// most of its packets calls everybody it watches unreachable and is called so by all its watchers. It is an
/// end of every row, while each other node is an end of one or two.
#include <cstddef>
#include <map>
#include <muster/address.hpp>
#include <muster/cluster/sbr/model.hpp>
#include <muster/cluster/sbr/settings.hpp>
#include <muster/cluster/sbr/strategy.hpp>
#include <muster/cluster/state/reachability.hpp>
#include <muster/time.hpp>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace muster {

/// `observer` cannot reach `subject`, or could not.
struct Suspicion {
    UniqueAddress observer;
    UniqueAddress subject;
    auto operator<=>(const Suspicion&) const = default;
};

/// The negative rows of a table.
std::vector<Suspicion> suspicions_of(const Reachability& table);

/// A set of nodes that has an end of each suspicion, in UniqueAddress order. Greedy: takes again and again
/// the nodes with the most counterparts among the unexplained suspicions, all of them when several tie. So no
/// name decides, and equal suspicions give equal sets on every node. Of tied nodes it takes those that are
/// not in `seen_by` (in UniqueAddress order): they have not heard what the others know. O(n log n) for n
/// suspicions, and at most one pass over the nodes for each node taken.
std::vector<UniqueAddress> most_suspected(std::span<const Suspicion> suspicions,
                                          std::span<const UniqueAddress> seen_by = {});

/// Suspicions that were withdrawn lately; without them a flickering suspicion would change the verdict from
/// moment to moment. A value.
class WithdrawnSuspicions {
public:
    /// Records what is in `before` and not in `after` as withdrawn at `now`.
    void note(const Reachability& before, const Reachability& after, Instant now);
    void clear() noexcept { at_.clear(); }
    std::vector<Suspicion> since(Instant when) const;
    std::size_t size() const noexcept { return at_.size(); }

    /// The most suspicions that are kept; beyond it the oldest are dropped.
    static constexpr std::size_t rows_max = 65'536;

private:
    std::map<Suspicion, Instant> at_;
};

/// The members to down instead of everybody involved, in UniqueAddress order: the most suspected of all these
/// suspicions that are an end of one in `explain`. Empty: each of those suspicions has an end that is Down
/// already, so the node only waits. nullopt when nobody can be singled out: there is nothing to explain, or
/// the members certain to remain (joining and leaving ones are not certain) are not more than half of all.
/// That majority makes it safe: the survivors of any two such decisions have a member in common, whose gossip
/// brings both decisions to everybody.
std::optional<std::vector<UniqueAddress>> blamed(const SbrModel& model, std::span<const Suspicion> explain,
                                                 std::span<const Suspicion> also = {});

/// Whether nobody shares any suspicion of model.self(), although others who could are reachable: either they
/// have not noticed yet, or this node is the one that hears nothing. Such a node waits twice as long, so that
/// the others, if they are well, decide first.
bool is_lone_accuser(const SbrModel& model);

/// The strategy's verdict; with Indirect::Blamed an indirect verdict names the blamed members. `withdrawn`:
/// suspicions withdrawn lately.
DowningVerdict verdict_of(const DowningStrategy& strategy, const SbrModel& model,
                          SbrSettings::Indirect indirect, std::span<const Suspicion> withdrawn = {});

} // namespace muster
