// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The state of a Checker.
#include <array>
#include <bit>
#include <deque>
#include <map>
#include <muster/cluster/state/membership.hpp>
#include <muster/sim/world/checker.hpp>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace muster::sim {

/// When a node saw a member removed.
struct Removal {
    Instant when;
    bool was_down = false; ///< quarantined at once (protocol.md §16)
};

/// One machine and its latest life.
struct Viewer {
    bool running = false;
    bool is_protected = false;
    bool left = false;    ///< told to leave
    bool changed = false; ///< since the last full look
    bool exiting_done = false;
    UniqueAddress self;
    std::string data_center;
    Instant started;
    Instant ended;
    GossipPtr last;
    std::map<UniqueAddress, Removal> removed;
    std::map<UniqueAddress, Instant> takes_for_alive; ///< gone ones, since when
    std::vector<UniqueAddress> unreachable;           ///< of its own data center, by its own view; sorted
    bool may_have_decided = false;
    std::shared_ptr<const SbrDecisionRecord> latest_decision; ///< that was looked at
    Instant counted_changed{};                                ///< when what its resolver counts changed last
    Instant counted_changed_before{};                         ///< at an earlier instant than that
    unsigned down_seconds = 0; ///< in which it ran, knew itself Down and did not begin to stop
    std::uint64_t tells_accepted = 0;
    std::size_t tell_bytes_min = SIZE_MAX;
    std::set<std::size_t> told; ///< machines
};

/// One process's name.
struct Incarnation {
    std::size_t node = 0;
    Instant started;
    std::optional<Instant> ended;
    bool crashed = false;
};

struct Version {
    GossipPtr content;
    SeenSet held; ///< by whom, itself in its own seen; over the members of `content`
};

struct Split {
    std::vector<std::size_t> left;
    Instant deadline;
};

struct Numbered {
    UniqueAddress member;
    UniqueAddress leader;
    std::string data_center;
};

/// What arrived of one sender's tells to one address.
struct TellStream {
    std::uint64_t sent = 0;
    std::uint64_t delivered = 0; ///< the highest number that arrived, at whichever incarnation
    std::optional<UniqueAddress> receiver;
    std::uint64_t links_ended = 0; ///< of the sender, when it sent what arrived last
};

/// The whole state; each file of this folder checks one subject.
struct CheckerState {
    explicit CheckerState(World& w) : world(w) {}

    // checker.cpp
    void note(std::string invariant, std::string detail);
    void throw_found();
    Viewer& viewer(std::size_t node);
    void meet(std::size_t node, const UniqueAddress& self);
    Incarnation* incarnation(const UniqueAddress& node);
    void published(std::size_t node, const std::shared_ptr<const MembershipState>& state);

    // protection.cpp
    bool is_protected(std::size_t node);
    void unprotect_by_default();
    void happened(std::size_t node);
    void check_split();
    void check_protected(std::size_t node, const MembershipState& state);

    // versions.cpp
    void check_version(std::size_t node, const MembershipState& state);
    void remember_version(std::size_t node, const Gossip& gossip);
    void check_size(std::size_t node, const Gossip& gossip);

    // members.cpp
    void check_changes(std::size_t node, const Gossip& before, const MembershipState& state);
    void check_rows(std::size_t node, const Gossip& before, const Gossip& after);
    void check_member(std::size_t node, const Member& before, const Member& after);
    void check_gone(std::size_t node, const Member& gone, const Gossip& before, const Gossip& after);
    void check_entry(std::size_t node, const MembershipState& state);
    void check_strangers(std::size_t node, const Gossip* before, const MembershipState& state);

    // numbers.cpp
    void check_numbers(std::size_t node, const MembershipState& state);
    void settle_numbers();
    void lose_leader(const UniqueAddress& leader);

    // endings.cpp
    void add_exiting_task(std::size_t node);
    void check_downed(std::size_t node);
    void check_deaths(std::size_t node);

    // limits.cpp
    void check_limits(std::size_t node);

    // agreement.cpp
    void check_agreement();
    void check_watched();
    void tell_everybody();
    void check_all_arrived();

    // resolver.cpp
    void note_counted(std::size_t node, const Gossip* before, const Gossip& after);
    void look_at_decisions(std::size_t node);
    void check_decision(std::size_t node, const SbrDecisionRecord& decision);

    // tells.cpp
    std::uint64_t links_ended(std::size_t node);
    void delivered(std::size_t node, const Slice& payload);
    void check_incarnation(std::size_t node, const TellStream& stream, const UniqueAddress& sender,
                           std::uint64_t number, std::uint64_t links_ended);
    void check_quarantine(std::size_t node, const UniqueAddress& sender);

    World& world;
    std::uint64_t checks = 0;
    std::uint64_t tells = 0;
    std::optional<Violation> found;
    std::vector<Viewer> viewers;
    std::vector<RemoteAdapterConfig> settings; ///< of each node's latest life
    std::map<UniqueAddress, Incarnation> incarnations;
    bool is_corrupted = false;
    bool is_regular = false; ///< heartbeats
    Duration exiting_tasks{};
    bool protection_said = false;
    bool all_protected = true;
    std::optional<Split> split;
    Instant network_touched{}; ///< when a link was last made better or worse

    std::unordered_map<Hash128, Version, Hash128Hash> versions;          // looked up only
    std::unordered_map<Hash128, Hash128, Hash128Hash> versions_by_clock; // looked up only
    std::deque<std::pair<Hash128, Hash128>> version_order;               ///< and its clock
    bool versions_forgotten = false;
    std::set<UniqueAddress> was_unreachable;

    std::set<UniqueAddress> numbered;
    std::vector<Numbered> unsettled;
    std::set<std::string> numbers_may_repeat; ///< data centers

    std::set<std::pair<std::size_t, std::size_t>> told_at_rest; ///< sender and recipient
    std::map<std::pair<UniqueAddress, std::size_t>, TellStream>
        streams; ///< by sender and recipient's machine
};

struct Checker::State final : CheckerState {
    using CheckerState::CheckerState;
};

} // namespace muster::sim
