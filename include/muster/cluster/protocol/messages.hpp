// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Every message of the membership protocol, as values. wire/ turns them into bytes; the node gives them to
/// ClusterCore.
#include <cstdint>
#include <memory>
#include <muster/cluster/state/app_version.hpp>
#include <muster/cluster/state/gossip.hpp>
#include <muster/hash.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace muster {

/// (key, hash of key and canonical value), sorted by key: settings are compared without sending them
/// (protocol.md §5.5).
struct ConfigDigest {
    std::string key;
    Hash128 hash;
    bool operator==(const ConfigDigest&) const = default;
};
using ConfigDigests = std::vector<ConfigDigest>;

struct InitJoin {
    Address from;
    ConfigDigests config; ///< of the joiner's required keys
};
enum class ConfigCheck : std::uint8_t { Unchecked, Compatible, Incompatible };
struct InitJoinAck {
    Address from;
    ConfigCheck check{};
    ConfigDigests config; ///< the member's own values of those keys
};
struct InitJoinNack {
    Address from;
};
struct Join {
    UniqueAddress node;
    std::vector<std::string> roles; ///< with the dc- role
    AppVersion app_version;
};
struct Welcome {
    UniqueAddress from;
    UniqueAddress to;
    GossipPtr gossip;
};
/// Advisory: tells the joiner why it has to wait (protocol.md §5.6 rule 4).
struct JoinDeferred {
    UniqueAddress from;
    UniqueAddress to;
    std::string reason;
};
/// Tells a joining incarnation that it was removed and must restart.
struct JoinRefused {
    UniqueAddress from;
    UniqueAddress to;
    std::string reason;
};
/// protocol.md §6.2.
struct NotMember {
    UniqueAddress from;
    UniqueAddress to;
};
/// protocol.md §6.1. The gossip is shared, immutable; its body is encoded once per version_id.
struct GossipEnvelope {
    UniqueAddress from;
    UniqueAddress to;
    GossipPtr gossip;
};
struct GossipStatus {
    UniqueAddress from;
    UniqueAddress to;
    VectorClock version;
    Hash128 version_id;
    std::optional<Hash128> seen_digest;
};
/// protocol.md §6.6.
struct SeenAck {
    UniqueAddress from;
    UniqueAddress to;
    Hash128 version_id;
};
/// protocol.md §6.6, Settling. `seen` is over the member order of exactly that version.
struct Converged {
    UniqueAddress from;
    UniqueAddress to;
    Hash128 version_id;
    SeenSet seen;
};
/// protocol.md §12.1. Knows only the receiver's Address.
struct Heartbeat {
    Address from;
    std::int64_t sequence_nr{};
    std::int64_t creation_time_ns{}; ///< the sender's monotonic clock, echoed
};
struct HeartbeatReply {
    UniqueAddress from; ///< the responder
    std::int64_t sequence_nr{};
    std::int64_t creation_time_ns{};
};
struct ExitingConfirmed {
    UniqueAddress from;
    UniqueAddress to;
};

using ClusterMessage = std::variant<InitJoin, InitJoinAck, InitJoinNack, Join, Welcome, JoinDeferred,
                                    JoinRefused, NotMember, GossipEnvelope, GossipStatus, SeenAck, Converged,
                                    Heartbeat, HeartbeatReply, ExitingConfirmed>;

/// The message's name: "GossipEnvelope". For logs and counters.
std::string_view name_of(const ClusterMessage& message) noexcept;

/// The receiver of a message: an address (any incarnation there), or exactly one incarnation (otherwise the
/// message is dropped and counted).
struct Destination {
    Address address;
    std::optional<Uid> uid;
    Destination(Address a) : address(std::move(a)) {}
    Destination(const UniqueAddress& u) : address(u.address()), uid(u.uid()) {}
    bool operator==(const Destination&) const = default;
};

/// What happened to a connection with an incarnation: the raw material of evidence (protocol.md §12.7). Every
/// connection reports Established or Accepted once and then exactly one of the three ends; the core counts
/// them to know whether any connection with that incarnation is open. The direction matters: an incarnation
/// that was dialled at its address has proven that it runs there; one that connects only claims it
/// (protocol.md §5.6).
enum class LinkEvent : std::uint8_t {
    Established, ///< this node dialled the address, and exactly this incarnation shook hands
    EndedWithoutGoodbye,
    GoodbyeLink,      ///< idle, lane close, or given up in silence (a time-out): says nothing
    GoodbyeStopping,  ///< the process announced that it stops
    ReconnectRefused, ///< an attempt to reach it again was refused by all resolved addresses
    OtherIncarnation, ///< a handshake at its address named another uid
    Accepted,         ///< this incarnation, as it calls itself, connected to this node
    Answered,         ///< exactly this incarnation answered a probe of its address; no connection remains
};

} // namespace muster
