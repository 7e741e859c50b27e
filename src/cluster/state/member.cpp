// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/state/member.hpp>

#include "base/mutants.hpp"
#include "base/sorted_vector.hpp"
#include <algorithm>
#include <muster/ensure.hpp>

namespace muster {
namespace {

constexpr std::array<std::string_view, member_status_count> status_names{
    "Joining",         "WeaklyUp", "Up", "Leaving", "Exiting", "Down", "Removed", "PreparingForShutdown",
    "ReadyForShutdown"};

/// protocol.md §1.3, row by row in enum order.
constexpr std::array<StatusSet, member_status_count> next_statuses = [] {
    using enum MemberStatus;
    std::array<StatusSet, member_status_count> table{};
    const auto row = [&table](MemberStatus from) -> StatusSet& {
        return table[static_cast<std::size_t>(from)];
    };
    row(Joining) = status_set(WeaklyUp, Up, Leaving, Down, Removed);
    row(WeaklyUp) = status_set(Up, Leaving, Down, Removed);
    row(Up) = status_set(Leaving, Down, PreparingForShutdown, Removed);
    row(Leaving) = status_set(Exiting, Down, Removed);
    row(Exiting) = status_set(Down, Removed);
    row(Down) = status_set(Removed);
    row(Removed) = {};
    row(PreparingForShutdown) = status_set(Leaving, Down, ReadyForShutdown, Removed);
    row(ReadyForShutdown) = status_set(Leaving, Down, Removed);
    return table;
}();

/// protocol.md §1.5: the higher one wins a merge.
constexpr int merge_priority(MemberStatus status) noexcept {
    switch (status) {
    case MemberStatus::Joining: return 0;
    case MemberStatus::WeaklyUp: return 1;
    case MemberStatus::Up: return 2;
    case MemberStatus::PreparingForShutdown: return 3;
    case MemberStatus::Leaving: return 4;
    case MemberStatus::Exiting: return 5;
    case MemberStatus::Down: return 6;
    case MemberStatus::ReadyForShutdown: return 7;
    case MemberStatus::Removed: return 8;
    }
    return 8;
}

constexpr int leader_rank(MemberStatus status) noexcept {
    switch (status) {
    case MemberStatus::WeaklyUp: return 1;
    case MemberStatus::Joining: return 2;
    case MemberStatus::Exiting: return 3;
    case MemberStatus::Down: return 4;
    default: return 0;
    }
}

std::strong_ordering age_order(const Member& a, const Member& b) noexcept {
    if (const auto up = a.up_number() <=> b.up_number(); up != 0) return up;
    return a <=> b;
}

} // namespace

std::string dc_role(std::string_view data_center) {
    std::string role{DC_ROLE_PREFIX};
    role += data_center;
    return role;
}

std::string_view to_string(MemberStatus status) noexcept {
    const auto index = static_cast<std::size_t>(status);
    return index < status_names.size() ? status_names[index] : "?";
}

std::optional<MemberStatus> promoted(MemberStatus current) noexcept {
    switch (current) {
    case MemberStatus::Joining:
    case MemberStatus::WeaklyUp: return MemberStatus::Up;
    case MemberStatus::Leaving: return MemberStatus::Exiting;
    case MemberStatus::PreparingForShutdown: return MemberStatus::ReadyForShutdown;
    default: return std::nullopt;
    }
}

std::optional<MemberStatus> parse_member_status(std::string_view text) noexcept {
    const auto found = std::ranges::find(status_names, text);
    if (found == status_names.end()) return std::nullopt;
    return static_cast<MemberStatus>(found - status_names.begin());
}

bool transition_allowed(MemberStatus from, MemberStatus to) noexcept {
    return from == to || next_statuses[static_cast<std::size_t>(from)].contains(to);
}

std::vector<MemberStatus> allowed_transitions(MemberStatus from) {
    std::vector<MemberStatus> statuses;
    for (std::size_t i = 0; i < member_status_count; ++i) {
        const auto to = static_cast<MemberStatus>(i);
        if (to != from && transition_allowed(from, to)) statuses.push_back(to);
    }
    return statuses;
}

Member::Member(UniqueAddress node, MemberStatus status, std::vector<std::string> roles,
               std::int32_t up_number, AppVersion app_version) {
    auto identity = boost::intrusive_ptr<Identity>(new Identity);
    roles = sorted_unique(std::move(roles));
    // Roles are sorted: of several dc- roles, which only a foreign configuration can have, the first counts.
    auto dc = std::ranges::find_if(roles, [](const auto& r) { return r.starts_with(DC_ROLE_PREFIX); });
    if (dc == roles.end()) {
        std::string role{DC_ROLE_PREFIX};
        role += DEFAULT_DC;
        dc = roles.insert(std::ranges::lower_bound(roles, role), role);
    }
    identity->data_center = dc->substr(DC_ROLE_PREFIX.size());
    Hasher hasher{"muster.member.identity"};
    hasher.add(static_cast<std::uint64_t>(roles.size()));
    for (const auto& role : roles) hasher.add(std::string_view{role});
    hasher.add(std::string_view{app_version.text()});
    identity->hash = hasher.finish();
    identity->roles = std::move(roles);
    identity->app_version = std::move(app_version);
    *this = Member{std::move(node), std::move(identity), status, up_number};
}

Member::Member(UniqueAddress node, boost::intrusive_ptr<const Identity> identity, MemberStatus status,
               std::int32_t up_number) {
    auto rep = boost::intrusive_ptr<Rep>(new Rep);
    Hasher hasher{"muster.member"};
    hasher.add(node.key()).add(identity->hash);
    hasher.add(static_cast<std::uint64_t>(status)).add(std::int64_t{up_number});
    rep->content_hash = hasher.finish();
    rep->node = std::move(node);
    rep->identity = std::move(identity);
    rep->up_number = up_number;
    rep->status = status;
    rep_ = std::move(rep);
}

Member Member::sharing_identity_of(const Member& like) const {
    const Identity& mine = *rep_->identity;
    const Identity& theirs = *like.rep_->identity;
    const bool same = mine.hash == theirs.hash && mine.roles == theirs.roles &&
                      mine.app_version.text() == theirs.app_version.text();
    return same ? like.with_same_identity(rep_->node, rep_->status, rep_->up_number) : *this;
}

bool Member::has_role(std::string_view role) const noexcept {
    return std::ranges::binary_search(rep_->identity->roles, role, std::less<>{});
}

result<Member> Member::copy_with_status(MemberStatus status) const {
    if (status == rep_->status) return *this;
    if (!transition_allowed(rep_->status, status)) {
        return Error{Errc::illegal_transition,
                     "member " + rep_->node.to_string() + " from " + std::string{to_string(rep_->status)} +
                         " to " + std::string{to_string(status)},
                     "see protocol.md 1.3 for the legal status changes"};
    }
    return Member{rep_->node, rep_->identity, status, rep_->up_number};
}

Member Member::copy_with_up_number(std::int32_t up_number) const {
    if (up_number == rep_->up_number) return *this;
    return Member{rep_->node, rep_->identity, rep_->status, up_number};
}

std::strong_ordering Member::age_ordering(const Member& a, const Member& b) noexcept {
    MUSTER_ENSURE(a.data_center() == b.data_center(), "up numbers of two data centers are not comparable");
    return age_order(a, b);
}

result<std::strong_ordering> Member::compare_age(const Member& a, const Member& b) {
    if (a.data_center() != b.data_center()) {
        return Error{Errc::invalid_argument,
                     "age of " + a.unique_address().to_string() + " in data center " +
                         std::string{a.data_center()} + " against " + b.unique_address().to_string() +
                         " in " + std::string{b.data_center()},
                     "compare ages only inside one data center"};
    }
    return age_order(a, b);
}

void sort_by_age(std::vector<Member>& members) {
    std::ranges::sort(members,
                      [](const Member& a, const Member& b) { return Member::age_ordering(a, b) < 0; });
}

const Member* oldest(std::span<const Member> members) {
    const auto found = std::ranges::min_element(
        members, [](const Member& a, const Member& b) { return Member::age_ordering(a, b) < 0; });
    return found == members.end() ? nullptr : &*found;
}

const Member* youngest(std::span<const Member> members) {
    const auto number = [](const Member& m) { return m.up_number() == Member::never_up ? 0 : m.up_number(); };
    const Member* best = nullptr;
    for (const Member& m : members) {
        if (best == nullptr || number(m) > number(*best)) best = &m;
    }
    return best;
}

std::strong_ordering leader_status_ordering(const Member& a, const Member& b) noexcept {
    if (const auto rank = leader_rank(a.status()) <=> leader_rank(b.status()); rank != 0) return rank;
    return a <=> b;
}

Member highest_priority(const Member& a, const Member& b) {
    MUSTER_ENSURE(a == b, "only two copies of one incarnation have a merge");
    if (a.same_content(b)) return a;
    const MemberStatus status =
        (merge_priority(a.status()) >= merge_priority(b.status())) != MUSTER_MUTANT(merge_keeps_wrong_side)
            ? a.status()
            : b.status();
    const std::int32_t up_number = std::min(a.up_number(), b.up_number());
    // Roles and version are fixed at join, so two honest copies agree. Taking the lower hash keeps the merge
    // commutative and associative even when a faulty peer disagrees.
    const auto& identity =
        a.rep_->identity->hash <= b.rep_->identity->hash ? a.rep_->identity : b.rep_->identity;
    for (const Member* copy : {&a, &b}) {
        if (copy->status() == status && copy->up_number() == up_number &&
            copy->rep_->identity->hash == identity->hash)
            return *copy;
    }
    return Member{a.rep_->node, identity, status, up_number};
}

} // namespace muster
