// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The members of one data center as a resolver sees them: the input of a strategy (protocol.md §15.2,
/// §15.4). Pure values.
#include <muster/cluster/state/member.hpp>
#include <muster/cluster/state/membership.hpp>
#include <muster/cluster/state/reachability.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace muster {

/// Which uncertain statuses a count includes (protocol.md §15.2).
struct SbrCounting {
    bool possibly_up = false;          ///< Joining and WeaklyUp too: the other side may have moved them up
    bool not_possibly_exiting = false; ///< without Leaving: the other side may have moved them to Exiting
};

/// Nodes that still exchange information although some mark others unreachable (protocol.md §15.4).
struct IndirectlyConnected {
    std::vector<UniqueAddress> by_cycle; ///< both observe and are observed; in UniqueAddress order
    std::vector<UniqueAddress> by_seen;  ///< of rows whose subject has seen the current gossip; likewise
    std::vector<UniqueAddress> all() const;
    bool empty() const noexcept { return by_cycle.empty() && by_seen.empty(); }
};

/// One data center's members as the resolver sees them. Members of other data centers are ignored. A value.
class SbrModel {
public:
    SbrModel(UniqueAddress self, std::string self_data_center);
    /// Builds the model from one state of the membership, as the events up to it would have.
    static SbrModel from_state(const MembershipState& state);

    /// Adds or replaces. Each answers whether the member is of this data center.
    bool add(const Member& member);
    /// Adds the members that are not in the model in one pass: one by one a whole cluster would take
    /// quadratic time.
    void add_new(std::span<const Member> members);
    bool add_unreachable(const Member& member);
    bool add_reachable(const Member& member);
    bool remove(const Member& member) { return remove(std::span(&member, 1)) != 0; }
    /// In one pass: one by one half of a cluster would take quadratic time. Returns how many were of this
    /// data center.
    std::size_t remove(std::span<const Member> members);
    /// Keeps the negative rows whose ends are both in the model.
    void set_reachability(const Reachability& reachability);
    void set_seen_by(std::vector<UniqueAddress> seen_by);
    /// Leaving and Exiting members that sent Goodbye{stopping} (protocol.md §11.1), sorted: they count on no
    /// side and may be downed.
    void set_departed(std::vector<UniqueAddress> departed) noexcept { departed_ = std::move(departed); }
    bool is_departed(const UniqueAddress& node) const noexcept;

    const UniqueAddress& self() const noexcept { return self_; }
    const std::string& self_data_center() const noexcept { return self_data_center_; }
    /// Every member of the data center whatever its status, in Member order.
    std::span<const Member> all_members() const noexcept { return members_; }
    const Member* find(const UniqueAddress& node) const noexcept;
    /// In UniqueAddress order. May name Down and Exiting members.
    const std::vector<UniqueAddress>& unreachable() const noexcept { return unreachable_; }
    bool is_unreachable(const UniqueAddress& node) const noexcept;
    const Reachability& reachability() const noexcept { return reachability_; }
    const std::vector<UniqueAddress>& seen_by() const noexcept { return seen_by_; }

    /// The members that count: never Down or Exiting; see SbrCounting. In Member order.
    std::vector<Member> members(SbrCounting counting = {}) const;
    std::vector<Member> reachable_members(SbrCounting counting = {}) const;
    std::vector<Member> unreachable_members(SbrCounting counting = {}) const;
    /// Joining and WeaklyUp.
    std::vector<Member> joining() const;
    /// The members that may be downed: counted or joining.
    std::vector<UniqueAddress> downable() const;

    /// From now on only members that have seen the current gossip count as indirectly connected. A node that
    /// accused another and then died also has rows in both directions, but no information comes from it any
    /// more: it is as gone as the node it accused.
    void require_seen() noexcept { seen_required_ = true; }
    IndirectlyConnected indirectly_connected() const;
    bool has_indirectly_connected() const;
    /// The model in which the second decision of §15.4 is taken: without the rows among the indirectly
    /// connected and those with an end that cannot be downed; unreachable is what the remaining rows say.
    SbrModel without_indirectly_connected() const;
    /// Whether no unreachable member counts any more: all are Down, Exiting or departed.
    bool all_unreachable_down_or_exiting() const noexcept;

private:
    template <class Keep>
    std::vector<Member> select(SbrCounting counting, Keep keep) const;

    UniqueAddress self_;
    std::string self_data_center_;
    std::vector<Member> members_;            // sorted
    std::vector<UniqueAddress> unreachable_; // sorted
    Reachability reachability_;              // filtered
    std::vector<UniqueAddress> seen_by_;     // sorted
    std::vector<UniqueAddress> departed_;    // sorted
    bool seen_required_ = false;
};

} // namespace muster
