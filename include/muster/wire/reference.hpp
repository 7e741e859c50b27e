// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The reference's own gossip PDU, as values in its own layout (golden frames, variant 0 of ClusterFrame):
/// for talking to, and testing against, the reference (reference.md). muster's protocol uses its own messages
/// (frame.hpp).
///
/// Plain values with a Boost serialize(): normalised and checked only as the reference does.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace muster::wire::reference {

struct Address {
    std::string protocol;
    std::string system;
    std::optional<std::string> host;
    std::optional<std::uint16_t> port;
    friend bool operator==(const Address&, const Address&) = default;
    friend auto operator<=>(const Address&, const Address&) = default;

    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& protocol& system& host& port;
    }
};

/// The seven of the reference: its wire indices.
enum class MemberStatus : std::uint8_t { Joining, WeaklyUp, Up, Leaving, Exiting, Down, Removed };
enum class ReachabilityStatus : std::uint8_t { Reachable, Unreachable, Terminated };

struct Member {
    Address address;
    std::int32_t up_number{};
    MemberStatus status{};
    std::vector<std::string> roles;
    friend bool operator==(const Member&, const Member&) = default;

    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& address& up_number& status& roles;
    }
};

/// One entry of the map (observer, subject) -> status.
struct ReachabilityEntry {
    Address observer;
    Address subject;
    ReachabilityStatus status{};
    friend bool operator==(const ReachabilityEntry&, const ReachabilityEntry&) = default;

    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& observer& subject& status;
    }
};

/// Of entries with the same observer and subject the last stays, as in the reference's map.
void keep_last_of_each(std::vector<ReachabilityEntry>& entries);

struct MembershipState {
    std::vector<Member> members;
    /// In wire order, which the reference leaves unspecified (a hash map), so that decoded bytes encode to
    /// the same bytes.
    std::vector<ReachabilityEntry> reachability;
    friend bool operator==(const MembershipState&, const MembershipState&) = default;

    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& members& reachability;
        if constexpr (Archive::is_loading::value) keep_last_of_each(reachability);
    }
};

/// Node text -> counter, in the order of the key's bytes.
using VectorClock = std::map<std::string, std::uint64_t>;

struct Status {
    std::string from;
    VectorClock version;
    friend bool operator==(const Status&, const Status&) = default;

    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& from& version;
    }
};
struct Envelope {
    std::string from;
    VectorClock version;
    MembershipState state;
    friend bool operator==(const Envelope&, const Envelope&) = default;

    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& from& version& state;
    }
};
struct Merge {
    std::string from;
    VectorClock version;
    friend bool operator==(const Merge&, const Merge&) = default;

    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& from& version;
    }
};

using GossipPdu = std::variant<Status, Envelope, Merge>;

} // namespace muster::wire::reference
