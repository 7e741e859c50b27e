// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Whom to hold responsible when nodes call each other unreachable although information still flows (muster's
/// own answer to what protocol.md §15.4 and §15.5 leave no choice about). A row of the reachability table
/// says that something is wrong between two nodes, not with which. Over many rows it shows: a node that loses
/// most of what is sent to it calls everybody it watches unreachable and is called so by all who watch it, so
/// it is an end of every row, and each other end is in one or two.
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

/// A set of nodes such that each suspicion has an end in it, in UniqueAddress order: again and again the
/// nodes with the most counterparts among what is not yet explained, all of them when several have equally
/// many. So no name decides, and whoever knows the same suspicions names the same nodes. Of n suspicions: O(n
/// log n) and at most one pass over the nodes for each name. Of equal ones, those that are not in `seen_by`
/// (in UniqueAddress order): they have not heard what the others know.
std::vector<UniqueAddress> most_suspected(std::span<const Suspicion> suspicions,
                                          std::span<const UniqueAddress> seen_by = {});

/// Suspicions that were taken back: what flickers would otherwise look different at every look. A value.
class WithdrawnSuspicions {
public:
    /// What was in `before` and is not in `after` was taken back at `now`.
    void note(const Reachability& before, const Reachability& after, Instant now);
    void clear() noexcept { at_.clear(); }
    std::vector<Suspicion> since(Instant when) const;
    std::size_t size() const noexcept { return at_.size(); }

    /// More than that many are not kept: the oldest go.
    static constexpr std::size_t rows_max = 65'536;

private:
    std::map<Suspicion, Instant> at_;
};

/// The members to down instead of everybody involved, in UniqueAddress order: the most suspected of all these
/// suspicions, as far as they are an end of one in `explain`. Empty: each of those has an end that is Down
/// already, so there is nothing to do but wait. nullopt when nobody can be singled out: nothing to explain,
/// or the members that would certainly be left (joining and leaving ones are not certain) are not more than
/// half of all. That majority is what makes it safe: the survivors of any two such decisions have a member in
/// common, whose gossip brings both to everybody.
std::optional<std::vector<UniqueAddress>> blamed(const SbrModel& model, std::span<const Suspicion> explain,
                                                 std::span<const Suspicion> also = {});

/// Nobody shares any suspicion of model.self()'s, though others are reachable who would: either they have not
/// noticed yet, or it is this node that hears nothing. It gives them twice the time, so that they, if they
/// are well, decide first.
bool is_lone_accuser(const SbrModel& model);

/// The strategy's verdict; with Indirect::Blamed an indirect one names the blamed. `withdrawn`: suspicions
/// taken back lately.
DowningVerdict verdict_of(const DowningStrategy& strategy, const SbrModel& model,
                          SbrSettings::Indirect indirect, std::span<const Suspicion> withdrawn = {});

} // namespace muster
