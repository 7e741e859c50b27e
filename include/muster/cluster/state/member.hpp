// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Members and their life (protocol.md §1).
#include <array>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <compare>
#include <cstdint>
#include <limits>
#include <muster/address.hpp>
#include <muster/cluster/state/app_version.hpp>
#include <muster/error.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

/// The statuses in the reference's order (reference.md; its wire indices), then the two that it lacks.
enum class MemberStatus : std::uint8_t {
    Joining,
    WeaklyUp,
    Up,
    Leaving,
    Exiting,
    Down,
    Removed, ///< never stored in a gossip: only in events, and as the status of an unknown node
    PreparingForShutdown,
    ReadyForShutdown,
};
inline constexpr std::size_t member_status_count = 9;

std::string_view to_string(MemberStatus status) noexcept;
std::optional<MemberStatus> parse_member_status(std::string_view text) noexcept;

/// Whether protocol.md §1.3 allows the change; the same status is always allowed (a no-op).
bool transition_allowed(MemberStatus from, MemberStatus to) noexcept;
/// The statuses `from` may become, Removed included, in enum order; without `from` itself.
std::vector<MemberStatus> allowed_transitions(MemberStatus from);

/// A member's data center is its one role "dc-<name>" (protocol.md §1.2).
inline constexpr std::string_view DC_ROLE_PREFIX = "dc-";
/// The data center of a member without such a role.
inline constexpr std::string_view DEFAULT_DC = "default";
/// The role of a data center: "dc-<name>".
std::string dc_role(std::string_view data_center);

/// A set of statuses as bits (protocol.md §1.3's table).
struct StatusSet {
    std::uint16_t bits{};
    constexpr bool contains(MemberStatus s) const noexcept {
        return (bits >> static_cast<unsigned>(s) & 1U) != 0;
    }
};
template <class... S>
constexpr StatusSet status_set(S... s) noexcept {
    return {static_cast<std::uint16_t>((0U | ... | (1U << static_cast<unsigned>(s))))};
}
inline constexpr StatusSet leader_status =
    status_set(MemberStatus::Up, MemberStatus::Leaving, MemberStatus::PreparingForShutdown,
               MemberStatus::ReadyForShutdown);
inline constexpr StatusSet convergence_status = leader_status;
inline constexpr StatusSet skip_unreachable = status_set(MemberStatus::Down, MemberStatus::Exiting);
inline constexpr StatusSet remove_unreachable = skip_unreachable;
/// The statuses that may become Leaving (protocol.md §10).
inline constexpr StatusSet may_leave =
    status_set(MemberStatus::Joining, MemberStatus::WeaklyUp, MemberStatus::Up,
               MemberStatus::PreparingForShutdown, MemberStatus::ReadyForShutdown);
/// The status that a leader gives to a member of this status under convergence, once every other condition
/// holds (protocol.md §9.3 step 2); nullopt: no change, or removal.
std::optional<MemberStatus> promoted(MemberStatus current) noexcept;

/// One node of the cluster as its members know it. A handle to a shared immutable value (8 bytes): a change
/// makes a new one. Equality and order use unique_address only; same_content() compares everything. Safe to
/// share between threads.
class Member {
public:
    static constexpr std::int32_t never_up = std::numeric_limits<std::int32_t>::max();

    /// `roles` are sorted and made unique; exactly one "dc-<name>" role is added when none is given
    /// ("dc-default").
    Member(UniqueAddress node, MemberStatus status, std::vector<std::string> roles = {},
           std::int32_t up_number = never_up, AppVersion app_version = {});

    const UniqueAddress& unique_address() const noexcept { return rep_->node; }
    const Address& address() const noexcept { return rep_->node.address(); }
    MemberStatus status() const noexcept { return rep_->status; }
    /// never_up until the leader assigns a number when it moves the member to Up.
    std::int32_t up_number() const noexcept { return rep_->up_number; }
    /// Sorted, unique, with the dc- role.
    std::span<const std::string> roles() const noexcept { return rep_->identity->roles; }
    bool has_role(std::string_view role) const noexcept;
    const AppVersion& app_version() const noexcept { return rep_->identity->app_version; }
    /// The name behind the dc- role.
    std::string_view data_center() const noexcept { return rep_->identity->data_center; }
    /// Digest of everything: this member's share of Gossip::version_id. O(1).
    const Hash128& content_hash() const noexcept { return rep_->content_hash; }

    /// Errc::illegal_transition naming node and both statuses when protocol.md §1.3 does not list it.
    result<Member> copy_with_status(MemberStatus status) const;
    Member copy_with_up_number(std::int32_t up_number) const;
    /// Another member with the same roles and app version, whose memory it shares: so decoding a thousand
    /// members of three kinds stores three role lists.
    Member with_same_identity(UniqueAddress node, MemberStatus status, std::int32_t up_number) const {
        return {std::move(node), rep_->identity, status, up_number};
    }
    /// The same member, with the memory of `like` for roles and app version where those are equal.
    Member sharing_identity_of(const Member& like) const;
    bool same_content(const Member& o) const noexcept {
        return rep_ == o.rep_ || (rep_->node == o.rep_->node && rep_->content_hash == o.rep_->content_hash);
    }

    /// Older first: lower up_number, ties by UniqueAddress. Both must be of one data center (ENSURE);
    /// is_older is the reference's `is_older_than`.
    static std::strong_ordering age_ordering(const Member& a, const Member& b) noexcept;
    bool is_older_than(const Member& other) const noexcept { return age_ordering(*this, other) < 0; }
    /// Same, but Errc::invalid_argument instead of an abort when the data centers differ.
    static result<std::strong_ordering> compare_age(const Member& a, const Member& b);

    friend bool operator==(const Member& a, const Member& b) noexcept {
        return a.unique_address() == b.unique_address();
    }
    friend std::strong_ordering operator<=>(const Member& a, const Member& b) noexcept {
        return a.unique_address() <=> b.unique_address();
    }

private:
    /// The fields that are fixed at join; shared by all versions of one member.
    struct Identity : boost::intrusive_ref_counter<Identity, boost::thread_safe_counter> {
        std::vector<std::string> roles;
        std::string data_center;
        AppVersion app_version;
        Hash128 hash;
    };
    struct Rep : boost::intrusive_ref_counter<Rep, boost::thread_safe_counter> {
        UniqueAddress node;
        boost::intrusive_ptr<const Identity> identity;
        std::int32_t up_number{};
        MemberStatus status{};
        Hash128 content_hash;
    };
    friend Member highest_priority(const Member& a, const Member& b);
    Member(UniqueAddress node, boost::intrusive_ptr<const Identity> identity, MemberStatus status,
           std::int32_t up_number);
    boost::intrusive_ptr<const Rep> rep_;
};

/// Oldest first (one data center).
void sort_by_age(std::vector<Member>& members);
/// The oldest member; nullptr when empty (one data center).
const Member* oldest(std::span<const Member> members);
/// The member with the highest up_number, the first of equals; those never up count as 0. nullptr when empty
/// (one data center).
const Member* youngest(std::span<const Member> members);

/// Fallback leader order (protocol.md §1.4): others < WeaklyUp < Joining < Exiting < Down, then Member order.
std::strong_ordering leader_status_ordering(const Member& a, const Member& b) noexcept;

/// The copy that a merge keeps of two copies of one member (protocol.md §1.5), with the lower up_number of
/// both. Commutative, associative, idempotent. ENSURE that both are the same incarnation.
Member highest_priority(const Member& a, const Member& b);

} // namespace muster
