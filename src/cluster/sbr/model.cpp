// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/sbr/model.hpp>

#include "base/sorted_vector.hpp"
#include <algorithm>
#include <iterator>
#include <muster/cluster/sbr/strategy.hpp>

namespace muster {

namespace {

bool by_node(const Member& member, const UniqueAddress& node) noexcept {
    return member.unique_address() < node;
}

bool is_down_or_exiting(MemberStatus status) noexcept {
    return status == MemberStatus::Down || status == MemberStatus::Exiting;
}
bool is_joining(MemberStatus status) noexcept {
    return status == MemberStatus::Joining || status == MemberStatus::WeaklyUp;
}

bool counts(MemberStatus status, SbrCounting counting) noexcept {
    if (is_down_or_exiting(status)) return false;
    if (is_joining(status)) return counting.possibly_up;
    return !(counting.not_possibly_exiting && status == MemberStatus::Leaving);
}

} // namespace

std::vector<UniqueAddress> IndirectlyConnected::all() const {
    std::vector<UniqueAddress> both;
    std::set_union(by_cycle.begin(), by_cycle.end(), by_seen.begin(), by_seen.end(),
                   std::back_inserter(both));
    return both;
}

SbrModel::SbrModel(UniqueAddress self, std::string self_data_center)
    : self_(std::move(self)), self_data_center_(std::move(self_data_center)) {}

bool SbrModel::add(const Member& member) {
    if (member.data_center() != self_data_center_) return false;
    const auto place = std::lower_bound(members_.begin(), members_.end(), member.unique_address(), by_node);
    if (place != members_.end() && *place == member)
        *place = member;
    else
        members_.insert(place, member);
    return true;
}

void SbrModel::add_new(std::span<const Member> members) {
    std::vector<Member> fresh;
    for (const Member& member : members)
        if (member.data_center() == self_data_center_ && find(member.unique_address()) == nullptr)
            fresh.push_back(member);
    fresh = sorted_unique(std::move(fresh));
    const auto known = static_cast<std::ptrdiff_t>(members_.size());
    members_.insert(members_.end(), std::make_move_iterator(fresh.begin()),
                    std::make_move_iterator(fresh.end()));
    std::inplace_merge(members_.begin(), members_.begin() + known, members_.end());
}

bool SbrModel::add_unreachable(const Member& member) {
    if (!add(member)) return false;
    sorted_insert(unreachable_, member.unique_address());
    return true;
}

bool SbrModel::add_reachable(const Member& member) {
    if (!add(member)) return false;
    sorted_erase(unreachable_, member.unique_address());
    return true;
}

std::size_t SbrModel::remove(std::span<const Member> members) {
    std::vector<UniqueAddress> gone;
    for (const Member& member : members)
        if (member.data_center() == self_data_center_) gone.push_back(member.unique_address());
    gone = sorted_unique(std::move(gone));
    const auto is_gone = [&](const UniqueAddress& node) { return sorted_contains(gone, node); };
    std::erase_if(members_, [&](const Member& member) { return is_gone(member.unique_address()); });
    std::erase_if(unreachable_, is_gone);
    return gone.size();
}

void SbrModel::set_reachability(const Reachability& reachability) {
    if (reachability.is_all_reachable()) {
        reachability_ = Reachability();
        return;
    }
    reachability_ = reachability.filter([this](const Reachability::Record& row) {
        return row.status != ReachabilityStatus::Reachable && find(row.observer) != nullptr &&
               find(row.subject) != nullptr;
    });
}

void SbrModel::set_seen_by(std::vector<UniqueAddress> seen_by) {
    seen_by_ = std::move(seen_by);
    // Events list the members in member order, and there are many events.
    const auto out_of_order = [](const UniqueAddress& a, const UniqueAddress& b) { return !(a < b); };
    if (std::adjacent_find(seen_by_.begin(), seen_by_.end(), out_of_order) != seen_by_.end())
        seen_by_ = sorted_unique(std::move(seen_by_));
}

const Member* SbrModel::find(const UniqueAddress& node) const noexcept {
    const auto place = std::lower_bound(members_.begin(), members_.end(), node, by_node);
    return place != members_.end() && place->unique_address() == node ? &*place : nullptr;
}

bool SbrModel::is_departed(const UniqueAddress& node) const noexcept {
    return !departed_.empty() && sorted_contains(departed_, node);
}

bool SbrModel::is_unreachable(const UniqueAddress& node) const noexcept {
    return sorted_contains(unreachable_, node);
}

template <class Keep>
std::vector<Member> SbrModel::select(SbrCounting counting, Keep keep) const {
    std::vector<Member> selected;
    for (const Member& member : members_)
        if (counts(member.status(), counting) && !is_departed(member.unique_address()) && keep(member))
            selected.push_back(member);
    return selected;
}

std::vector<Member> SbrModel::members(SbrCounting counting) const {
    return select(counting, [](const Member&) { return true; });
}
std::vector<Member> SbrModel::reachable_members(SbrCounting counting) const {
    return select(counting, [this](const Member& m) { return !is_unreachable(m.unique_address()); });
}
std::vector<Member> SbrModel::unreachable_members(SbrCounting counting) const {
    return select(counting, [this](const Member& m) { return is_unreachable(m.unique_address()); });
}
std::vector<Member> SbrModel::joining() const {
    return select({.possibly_up = true}, [](const Member& m) { return is_joining(m.status()); });
}

std::vector<UniqueAddress> SbrModel::downable() const {
    std::vector<UniqueAddress> nodes;
    for (const Member& member : members_)
        if (counts(member.status(), {.possibly_up = true})) nodes.push_back(member.unique_address());
    return nodes;
}

IndirectlyConnected SbrModel::indirectly_connected() const {
    IndirectlyConnected found;
    if (reachability_.is_all_reachable()) return found;
    const std::vector<UniqueAddress> observers = reachability_.all_observers();
    const std::vector<UniqueAddress> subjects = reachability_.all_unreachable_or_terminated();
    // The node marks others and is marked: its rows still travel, so it is not simply gone.
    if (!seen_required_)
        std::set_intersection(observers.begin(), observers.end(), subjects.begin(), subjects.end(),
                              std::back_inserter(found.by_cycle));
    // The node is marked unreachable, and yet has seen the current gossip: information still flows.
    for (const Reachability::Record& row : reachability_.records()) {
        if (!sorted_contains(seen_by_, row.subject)) continue;
        found.by_seen.push_back(row.observer);
        found.by_seen.push_back(row.subject);
    }
    found.by_seen = sorted_unique(std::move(found.by_seen));
    return found;
}

bool SbrModel::has_indirectly_connected() const { return !indirectly_connected().empty(); }

SbrModel SbrModel::without_indirectly_connected() const {
    const IndirectlyConnected indirect = indirectly_connected();
    const std::vector<UniqueAddress> may_be_downed = downable();
    SbrModel reduced = *this;
    reduced.reachability_ = reachability_.filter([&](const Reachability::Record& row) {
        const auto both_in = [&](const std::vector<UniqueAddress>& set) {
            return sorted_contains(set, row.observer) && sorted_contains(set, row.subject);
        };
        return both_in(may_be_downed) && !both_in(indirect.by_cycle) && !both_in(indirect.by_seen);
    });
    reduced.unreachable_ = reduced.reachability_.all_unreachable_or_terminated();
    return reduced;
}

bool SbrModel::all_unreachable_down_or_exiting() const noexcept {
    return std::all_of(unreachable_.begin(), unreachable_.end(), [this](const UniqueAddress& node) {
        const Member* member = find(node);
        return member != nullptr && (is_down_or_exiting(member->status()) || is_departed(node));
    });
}

// --- from decision to nodes

namespace {

std::vector<UniqueAddress> intersection(const std::vector<UniqueAddress>& a,
                                        const std::vector<UniqueAddress>& b) {
    std::vector<UniqueAddress> both;
    std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
    return both;
}
std::vector<UniqueAddress> difference(const std::vector<UniqueAddress>& a,
                                      const std::vector<UniqueAddress>& b) {
    std::vector<UniqueAddress> rest;
    std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(rest));
    return rest;
}
std::vector<UniqueAddress> united(const std::vector<UniqueAddress>& a, const std::vector<UniqueAddress>& b) {
    std::vector<UniqueAddress> all;
    std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
    return all;
}

/// protocol.md §15.4: beside the indirectly connected there may be a plain partition, on which a second
/// decision is taken without them.
NodesToDown down_indirectly_connected(const DowningStrategy& strategy, const SbrModel& model) {
    const std::vector<UniqueAddress> downable = model.downable();
    const std::vector<UniqueAddress> indirect = model.indirectly_connected().all();
    NodesToDown result{intersection(downable, indirect), {}, false};
    if (difference(model.unreachable(), indirect).empty()) return result;

    const SbrModel reduced = model.without_indirectly_connected();
    const DowningDecision second = strategy.decide(reduced).decision;
    if (is_indirect(second)) return {downable, difference(downable, result.nodes), true};
    const NodesToDown more = nodes_to_down(strategy, reduced, second);
    result.additional = difference(more.nodes, result.nodes);
    result.nodes = united(result.nodes, more.nodes);
    return result;
}

} // namespace

NodesToDown nodes_to_down(const DowningStrategy& strategy, const SbrModel& model, DowningDecision decision) {
    switch (decision) {
    case DowningDecision::Stay: return {};
    case DowningDecision::DownUnreachable:
    case DowningDecision::AcquireLeaseAndDownUnreachable:
        return {intersection(model.downable(), model.unreachable()), {}, false};
    case DowningDecision::DownReachable:
        return {difference(model.downable(), model.unreachable()), {}, false};
    case DowningDecision::DownAll: return {model.downable(), {}, false};
    case DowningDecision::DownIndirectlyConnected:
    case DowningDecision::AcquireLeaseAndDownIndirectlyConnected:
        return down_indirectly_connected(strategy, model);
    case DowningDecision::ReverseDownIndirectlyConnected:
        return {united(intersection(model.downable(), model.indirectly_connected().all()),
                       difference(model.downable(), model.unreachable())),
                {},
                false};
    case DowningDecision::DownSelfQuarantinedByRemote:
        return {intersection(model.downable(), {model.self()}), {}, false};
    }
    return {};
}

NodesToDown nodes_to_down(const DowningStrategy& strategy, const SbrModel& model,
                          const DowningVerdict& verdict) {
    // A denied lease means that the other side stays: then all of this side goes, blamed or not.
    const bool singled_out = !verdict.blamed.empty() && is_indirect(verdict.decision) &&
                             verdict.decision != DowningDecision::ReverseDownIndirectlyConnected;
    if (singled_out) return {intersection(model.downable(), verdict.blamed), {}, false};
    return nodes_to_down(strategy, model, verdict.decision);
}

SbrModel SbrModel::from_state(const MembershipState& state) {
    SbrModel model(state.self, state.self_data_center);
    for (const Member& member : state.members()) {
        const bool down = member.status() == MemberStatus::Down && member.unique_address() != state.self;
        down ? model.add_unreachable(member) : model.add(member);
    }
    for (const UniqueAddress& node : state.dc_reach_no_outside().all_unreachable_or_terminated()) {
        const Member* member = model.find(node);
        if (member != nullptr && node != state.self) model.add_unreachable(Member(*member));
    }
    model.set_reachability(state.latest().reachability());
    model.set_seen_by(state.latest().seen_nodes());
    return model;
}

} // namespace muster
