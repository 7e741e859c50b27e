// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/state/membership.hpp>

#include "base/mutants.hpp"
#include "base/sorted_vector.hpp"
#include <algorithm>
#include <muster/cluster/state/gossip_check.hpp>
#include <muster/ensure.hpp>
#include <utility>

namespace muster {
namespace {

constexpr StatusSet bootstrap_ending =
    status_set(MemberStatus::Up, MemberStatus::PreparingForShutdown, MemberStatus::ReadyForShutdown);
constexpr StatusSet bootstrap_seers = {static_cast<std::uint16_t>(
    convergence_status.bits | status_set(MemberStatus::Joining, MemberStatus::WeaklyUp).bits)};
bool contains(std::span<const UniqueAddress> sorted, const UniqueAddress& node) noexcept {
    return std::ranges::binary_search(sorted, node);
}

/// A predicate over members: whether they are of the own data center.
class OwnDc {
public:
    explicit OwnDc(const MembershipState& state) noexcept : state_(state), all_(state.is_all_own_dc()) {}
    bool operator()(const Member& member) const noexcept { return all_ || state_.is_own_dc(member); }

private:
    const MembershipState& state_;
    bool all_;
};

/// The rows for which `keep_observer` and `keep_subject` hold. Rows are in the order of their observers, so
/// each of those is asked about once.
template <class KeepObserver, class KeepSubject>
Reachability rows_where(const Reachability& table, KeepObserver keep_observer, KeepSubject keep_subject) {
    if (table.records().empty()) return table;
    const UniqueAddress* observer = nullptr;
    bool keep = false;
    return table.filter([&](const Reachability::Record& row) {
        if (observer == nullptr || *observer != row.observer) keep = keep_observer(row.observer);
        observer = &row.observer;
        return keep && keep_subject(row.subject);
    });
}

/// Looks nodes up by data center and status; a node that is no member belongs nowhere.
struct Lookup {
    const MembershipState& state;

    bool own_dc(const UniqueAddress& node) const noexcept {
        const Member* member = state.latest().find(node);
        return member != nullptr && state.is_own_dc(*member);
    }
    bool is_down(const UniqueAddress& node) const noexcept {
        const Member* member = state.latest().find(node);
        return member != nullptr && member->status() == MemberStatus::Down;
    }
    MemberStatus status(const UniqueAddress& node) const noexcept {
        const Member* member = state.latest().find(node);
        return member == nullptr ? MemberStatus::Removed : member->status();
    }
};

bool may_lead(const MembershipState& state, const OwnDc& own_dc, const Reachability& dc_reach,
              const Member& m) noexcept {
    return own_dc(m) && m.status() != MemberStatus::Down &&
           (m.unique_address() == state.self || dc_reach.is_reachable(m.unique_address()));
}

/// Whether `m` leads before `best`, which precedes it in member order.
bool leads_before(const Member& m, const Member& best) noexcept {
    if (leader_status.contains(best.status())) return false;
    return leader_status.contains(m.status()) || leader_status_ordering(m, best) < 0;
}

template <class Keep>
const Member* best_leader(const MembershipState& state, const Reachability& dc_reach,
                          std::span<const Member> candidates, Keep keep) {
    const Member* best = nullptr;
    const OwnDc own_dc{state};
    for (const Member& m : candidates) {
        if (!keep(m) || !may_lead(state, own_dc, dc_reach, m)) continue;
        if (best == nullptr || leads_before(m, *best)) best = &m;
        if (leader_status.contains(best->status())) break;
    }
    return best;
}

std::optional<UniqueAddress> address_of(const Member* member) {
    if (member == nullptr) return std::nullopt;
    return member->unique_address();
}

bool enough_members(const MembershipState& state, const LeaderActionInputs& inputs) {
    if (state.members().size() < inputs.min_nr_of_members) return false;
    return std::ranges::all_of(inputs.role_min_nr_of_members, [&](const auto& required) {
        const auto count = std::ranges::count_if(state.members(),
                                                 [&](const Member& m) { return m.has_role(required.first); });
        return static_cast<std::size_t>(count) >= required.second;
    });
}

Member with_status(const Member& member, MemberStatus status) {
    auto changed = member.copy_with_status(status);
    MUSTER_ENSURE(changed.has_value(), "the leader makes only the transitions of protocol.md 1.3");
    return *std::move(changed);
}

/// Visits the members that have to see this version and have not (§8 B), in member order, until `visit`
/// returns false.
template <class Visit>
void for_each_unseen(const MembershipState& state, std::span<const UniqueAddress> exiting_confirmed,
                     Visit visit) {
    const auto all = state.members();
    const OwnDc own_dc{state};
    // While nobody here was ever Up, the members of all data centers must have seen the version, so that
    // up_number 1 is assigned only once.
    const bool bootstrap = std::ranges::none_of(all, [&](const Member& m) {
        return own_dc(m) && (bootstrap_ending.contains(m.status()) ||
                             (m.status() == MemberStatus::Leaving && m.up_number() != Member::never_up));
    });
    const SeenSet& seen = state.latest().overview().seen;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (seen.test(i)) continue;
        const bool relevant = bootstrap ? bootstrap_seers.contains(all[i].status())
                                        : convergence_status.contains(all[i].status()) && own_dc(all[i]);
        const UniqueAddress& node = all[i].unique_address();
        if (relevant && !contains(exiting_confirmed, node) && !visit(node)) return;
    }
}

/// protocol.md §9.3 step 1.
std::vector<UniqueAddress> removable(const MembershipState& state, const LeaderActionInputs& inputs) {
    const Lookup lookup{state};
    std::vector<UniqueAddress> removed;
    const auto collect = [&](std::span<const UniqueAddress> nodes, MemberStatus status) {
        for (const UniqueAddress& node : nodes) {
            if (node != state.self && lookup.own_dc(node) && lookup.status(node) == status)
                removed.push_back(node);
        }
    };
    collect(state.dc_reach().all_unreachable_or_terminated(), MemberStatus::Down);
    collect(state.dc_reach_excl_downed().all_unreachable_or_terminated(), MemberStatus::Exiting);
    collect(inputs.exiting_confirmed, MemberStatus::Exiting);
    for (const Member& m : state.members())
        if (MUSTER_MUTANT(exiting_tasks_not_awaited))
            collect({&m.unique_address(), 1}, MemberStatus::Exiting);
    // Members of other data centers are removed from the local view only, so that downing from this side can
    // clean up a data center behind a broken link. In a single data center there are none.
    for (const Member& m : state.members()) {
        if (!state.is_own_dc(m) && remove_unreachable.contains(m.status()))
            removed.push_back(m.unique_address());
    }
    return sorted_unique(std::move(removed));
}

/// At the limit numbers repeat: peers would refuse every gossip with one above it.
std::int32_t next_number(std::int32_t last) noexcept { return std::min(last, up_number_max - 1) + 1; }

/// protocol.md §9.3 step 2.
std::vector<Member> promotions(const MembershipState& state, const LeaderActionInputs& inputs) {
    const bool admit = !inputs.preparing_for_shutdown && enough_members(state, inputs);
    const OwnDc own_dc{state};
    std::int32_t last_number = 0;
    for (const Member& m : state.members()) {
        if (own_dc(m) && m.up_number() != Member::never_up)
            last_number = std::max(last_number, m.up_number());
    }
    std::vector<Member> changed;
    for (const Member& m : state.members()) {
        if (!own_dc(m)) continue;
        const auto next = promoted(m.status());
        if (!next) continue;
        if (next != MemberStatus::Up) {
            changed.push_back(with_status(m, *next));
        } else if (admit) {
            last_number = next_number(last_number);
            changed.push_back(with_status(m, MemberStatus::Up)
                                  .copy_with_up_number(MUSTER_MUTANT(numbers_given_again) ? 2 : last_number));
        }
    }
    return changed;
}

} // namespace

MemberStatus MembershipState::self_status() const noexcept { return Lookup{*this}.status(self); }

// Observers and subjects are members (§2), so where all are of one data center there is nothing to leave out
// for it.

Reachability MembershipState::dc_reach() const {
    const Lookup lookup{*this};
    if (is_all_own_dc()) return latest().reachability();
    return rows_where(
        latest().reachability(), [&](const auto& observer) { return lookup.own_dc(observer); },
        [](const auto&) { return true; });
}

Reachability MembershipState::dc_reach_excl_downed() const {
    const Lookup lookup{*this};
    const bool all_own = is_all_own_dc();
    return rows_where(
        latest().reachability(),
        [&](const auto& observer) {
            return (all_own || lookup.own_dc(observer)) && !lookup.is_down(observer);
        },
        [&](const auto& subject) { return all_own || lookup.own_dc(subject); });
}

Reachability MembershipState::dc_reach_no_outside() const {
    const Lookup lookup{*this};
    if (is_all_own_dc()) return latest().reachability();
    return rows_where(
        latest().reachability(), [&](const auto& observer) { return lookup.own_dc(observer); },
        [&](const auto& subject) { return lookup.own_dc(subject); });
}

Reachability MembershipState::dc_reach_cross() const {
    const Lookup lookup{*this};
    const bool all_own = is_all_own_dc();
    return rows_where(
        latest().reachability(), [&](const auto& observer) { return !all_own && lookup.own_dc(observer); },
        [&](const auto& subject) { return !lookup.own_dc(subject); });
}

Reachability MembershipState::reach_excl_downed() const {
    const Lookup lookup{*this};
    return rows_where(
        latest().reachability(), [&](const auto& observer) { return !lookup.is_down(observer); },
        [](const auto&) { return true; });
}

bool MembershipState::is_reachable_excluding_downed_observers(const UniqueAddress& node) const {
    const Member* member = latest().find(node);
    if (member == nullptr) return false;
    return (is_own_dc(*member) ? dc_reach_excl_downed() : reach_excl_downed()).is_reachable(node);
}

std::vector<std::string> MembershipState::unreachable_data_centers() const {
    if (is_all_own_dc()) return {};
    const auto cross = dc_reach_cross();
    std::vector<std::string> names;
    for (const auto& row : cross.records()) {
        const Member* subject = latest().find(row.subject);
        if (subject != nullptr && row.status == ReachabilityStatus::Unreachable)
            names.emplace_back(subject->data_center());
    }
    return sorted_unique(std::move(names));
}

std::vector<UniqueAddress>
MembershipState::convergence_blocking_unreachable(std::span<const UniqueAddress> exiting_confirmed) const {
    const Lookup lookup{*this};
    auto blocking = dc_reach_excl_downed().all_unreachable_or_terminated();
    std::erase_if(blocking, [&](const UniqueAddress& node) {
        return node == self || contains(exiting_confirmed, node) ||
               skip_unreachable.contains(lookup.status(node));
    });
    return blocking;
}

std::vector<UniqueAddress>
MembershipState::convergence_unseen(std::span<const UniqueAddress> exiting_confirmed) const {
    std::vector<UniqueAddress> unseen;
    for_each_unseen(*this, exiting_confirmed, [&](const UniqueAddress& node) {
        unseen.push_back(node);
        return true;
    });
    return unseen;
}

bool MembershipState::convergence(std::span<const UniqueAddress> exiting_confirmed) const {
    if (MUSTER_MUTANT(leader_without_convergence)) return true;
    bool all_seen = true;
    for_each_unseen(*this, exiting_confirmed, [&](const UniqueAddress&) { return all_seen = false; });
    return all_seen && convergence_blocking_unreachable(exiting_confirmed).empty();
}

std::optional<UniqueAddress> MembershipState::leader() const { return leader_of(members()); }

std::optional<UniqueAddress> MembershipState::leader_of(std::span<const Member> candidates) const {
    return address_of(best_leader(*this, dc_reach(), candidates, [](const Member&) { return true; }));
}

std::optional<UniqueAddress> MembershipState::role_leader(std::string_view role) const {
    return address_of(
        best_leader(*this, dc_reach(), members(), [&](const Member& m) { return m.has_role(role); }));
}

std::map<std::string, std::optional<UniqueAddress>, std::less<>> MembershipState::role_leaders() const {
    const auto reach = dc_reach();
    const OwnDc own_dc{*this};
    std::map<std::string_view, const Member*> best;
    std::span<const std::string> roles; // those of the list below: members that came together share them
    std::vector<const Member**> leaders_of_roles;
    for (const Member& m : members()) {
        if (m.roles().data() != roles.data()) {
            roles = m.roles();
            leaders_of_roles.clear();
            for (const std::string& role : roles)
                leaders_of_roles.push_back(&best.try_emplace(role, nullptr).first->second);
        }
        std::optional<bool> candidate; // asked once a role is open to it
        for (const Member** leader : leaders_of_roles) {
            if (*leader != nullptr && !leads_before(m, **leader)) continue;
            if (!candidate) candidate = may_lead(*this, own_dc, reach, m);
            if (*candidate) *leader = &m;
        }
    }
    std::map<std::string, std::optional<UniqueAddress>, std::less<>> leaders;
    for (const auto& [role, leader] : best) leaders.emplace_hint(leaders.end(), role, address_of(leader));
    return leaders;
}

const Member* MembershipState::youngest() const {
    const auto number = [](const Member& m) { return m.up_number() == Member::never_up ? 0 : m.up_number(); };
    const Member* best = nullptr;
    for (const Member& m : members()) {
        if (is_own_dc(m) && (best == nullptr || number(m) > number(*best))) best = &m;
    }
    return best;
}

std::map<std::string, std::vector<Member>, std::less<>> MembershipState::top_oldest_per_dc() const {
    std::map<std::string, std::vector<Member>, std::less<>> oldest;
    const auto older = [](const Member& a, const Member& b) { return Member::age_ordering(a, b) < 0; };
    for (const Member& m : members()) {
        auto dc = oldest.find(m.data_center());
        if (dc == oldest.end()) dc = oldest.emplace(m.data_center(), std::vector<Member>{}).first;
        // At most cross_dc_connections are kept, a handful, so insertion beats sorting everybody.
        auto& top = dc->second;
        if (top.size() == cross_dc_connections && (top.empty() || !older(m, top.back()))) continue;
        top.insert(std::ranges::upper_bound(top, m, older), m);
        if (top.size() > cross_dc_connections) top.pop_back();
    }
    return oldest;
}

LeaderActions MembershipState::leader_actions(const LeaderActionInputs& inputs) const {
    LeaderActions actions{promotions(*this, inputs), removable(*this, inputs)};
    return actions;
}

std::vector<Member> MembershipState::joining_to_weakly_up(const LeaderActionInputs& inputs) const {
    if (inputs.preparing_for_shutdown || !enough_members(*this, inputs)) return {};
    const auto reach = dc_reach_excl_downed();
    std::vector<Member> changed;
    for (const Member& m : members()) {
        if (is_own_dc(m) && m.status() == MemberStatus::Joining && reach.is_reachable(m.unique_address()))
            changed.push_back(with_status(m, MemberStatus::WeaklyUp));
    }
    return changed;
}

std::vector<Member> MembershipState::up_members() const {
    std::vector<Member> up;
    std::ranges::copy_if(members(), std::back_inserter(up),
                         [](const Member& m) { return m.status() == MemberStatus::Up; });
    return up;
}

std::vector<UniqueAddress> MembershipState::unreachable_addresses() const {
    auto nodes = latest().reachability().all_unreachable_or_terminated();
    std::erase_if(nodes, [&](const UniqueAddress& node) { return !latest().has_member(node); });
    return nodes;
}

} // namespace muster
