// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How a connection begins and ends: offers, agreement, and the reasons for a refusal or a close.
/// src/doc/compatibility.md says what may change between versions.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <muster/address.hpp>
#include <muster/version.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace muster::wire {

// --- what is offered and agreed upon

/// What a side can do beyond its wire version. Both sides' common bits are in force. A bit never gets another
/// meaning.
enum Feature : std::uint64_t {
    feature_tell_parts = 1U << 0U,     ///< takes TellPart
    feature_interned_tells = 1U << 1U, ///< takes Define and InternedTell
    feature_open_reasons = 1U << 2U,   ///< takes a reason that it has no name for (refusal_reasons)
};
inline constexpr std::uint64_t features_known =
    feature_tell_parts | feature_interned_tells | feature_open_reasons;
/// The features of this build. It can encode and decode parts and interned tells, but nothing sends or
/// assembles them, so it does not offer them.
inline constexpr std::uint64_t features_offered = feature_open_reasons;

/// The offer of one side in its Hello, which the other compares with its own.
struct Offer {
    std::uint16_t version_min = wire_version_min;
    std::uint16_t version_max = wire_version_max;
    std::uint64_t features = features_offered;
    bool operator==(const Offer&) const = default;
};

/// What a peer has to support to be sent a frame, a field or a reason.
struct Needs {
    std::uint16_t version = 1; ///< since which wire version it exists
    std::uint64_t features = 0;
    bool operator==(const Needs&) const = default;
};

/// The version and features in force on one connection. The default has everything that this build has a
/// codec for, for tests and tools that have no peer.
struct Agreement {
    std::uint16_t version = wire_version_max;
    std::uint64_t features = features_known;
    constexpr bool meets(const Needs& needs) const noexcept {
        return version >= needs.version && (features & needs.features) == needs.features;
    }
    bool operator==(const Agreement&) const = default;
};
/// The agreement that every completed handshake implies.
inline constexpr Agreement agreed_by_all{wire_version_min, 0};

/// The highest version that both speak, with the features that both have; nullopt when there is no such
/// version.
constexpr std::optional<Agreement> agree(const Offer& mine, const Offer& theirs) noexcept {
    const std::uint16_t highest = std::min(mine.version_max, theirs.version_max);
    if (highest < std::max(mine.version_min, theirs.version_min)) return std::nullopt;
    return Agreement{highest, mine.features & theirs.features};
}

/// Whether `theirs` has a version or feature that `mine` does not know.
constexpr bool is_newer(const Offer& theirs, const Offer& mine) noexcept {
    return theirs.version_max > mine.version_max ||
           (theirs.features & ~(features_known | mine.features)) != 0;
}

// --- Hello

/// First frame of the side that connected. Its layout never changes between wire versions; what later
/// versions add goes into `extensions`.
struct Hello {
    std::uint16_t version_min = wire_version_min;
    std::uint16_t version_max = wire_version_max;
    std::uint64_t features = 0;
    std::string cluster_name;
    UniqueAddress from;
    Address to;                        ///< as dialled: the acceptor refuses a Hello to another address
    std::uint16_t lane = 0;            ///< 0: membership (and tells); 1..: a further connection for tells
    std::vector<std::byte> extensions; ///< of later versions: ignored here
    Offer offer() const noexcept { return {version_min, version_max, features}; }
    bool operator==(const Hello&) const = default;
};

// --- reasons

/// Why a Hello is refused. Only appended to, with a row in refusal_reasons: a number that this build has no
/// name for means "not now" (Overloaded), the least harmful misreading.
enum class RefusalReason : std::uint32_t {
    WrongCluster,     ///< another cluster name
    WrongVersion,     ///< no common wire version
    WrongAddress,     ///< `to` is not the acceptor
    WrongIncarnation, ///< the dialling uid is superseded or removed
    Quarantined,      ///< the dialling incarnation is quarantined here
    Overloaded,       ///< a limit of the acceptor is reached: try later
    Stopping,         ///< the acceptor shuts down
    Protocol,         ///< no Hello first, a second Hello, a malformed one
};

/// Why a side closes in order. Only appended to, with a row in goodbye_reasons: a number that this build has
/// no name for means "this connection ends" (Link), which says nothing about the node.
enum class GoodbyeReason : std::uint32_t {
    Link,        ///< only this connection: it was idle; the node lives
    Stopping,    ///< the node shuts down in order
    Quarantined, ///< the receiving incarnation is quarantined by the sender (protocol.md §15.6)
    Incarnation, ///< the sender goes on under another uid (protocol.md §5.6)
    Superseded,  ///< another connection between the two takes over
    Protocol,    ///< the receiver of this Goodbye sent something malformed; `detail` says what
    Overloaded,  ///< a limit of the sender is reached
};

/// A row of a table of reasons, whose number is its place.
template <class Reason>
struct ReasonRow {
    Reason reason{};
    std::string_view name;
    Needs needs;             ///< a later reason needs its version or feature_open_reasons
    Reason instead = reason; ///< what is said to a peer that has neither
};

inline constexpr std::array<ReasonRow<RefusalReason>, 8> refusal_reasons{{
    {RefusalReason::WrongCluster, "wrong-cluster", {}},
    {RefusalReason::WrongVersion, "wrong-version", {}},
    {RefusalReason::WrongAddress, "wrong-address", {}},
    {RefusalReason::WrongIncarnation, "wrong-incarnation", {}},
    {RefusalReason::Quarantined, "quarantined", {}},
    {RefusalReason::Overloaded, "overloaded", {}},
    {RefusalReason::Stopping, "stopping", {}},
    {RefusalReason::Protocol, "protocol", {}},
}};
inline constexpr std::array<ReasonRow<GoodbyeReason>, 7> goodbye_reasons{{
    {GoodbyeReason::Link, "link", {}},
    {GoodbyeReason::Stopping, "stopping", {}},
    {GoodbyeReason::Quarantined, "quarantined", {}},
    {GoodbyeReason::Incarnation, "incarnation", {}},
    {GoodbyeReason::Superseded, "superseded", {}},
    {GoodbyeReason::Protocol, "protocol", {}},
    {GoodbyeReason::Overloaded, "overloaded", {}},
}};

/// Null for a number that this build has no name for.
template <class Reason>
constexpr const ReasonRow<Reason>* row_of(std::span<const ReasonRow<Reason>> rows, Reason reason) noexcept {
    const auto place = static_cast<std::size_t>(reason);
    return place < rows.size() ? &rows[place] : nullptr;
}
/// The reason to send to a peer: itself if the peer knows it or takes any, else its substitute.
template <class Reason>
constexpr Reason said_to_peer(std::span<const ReasonRow<Reason>> rows, Reason reason,
                              const Agreement& agreement) noexcept {
    const ReasonRow<Reason>* const row = row_of(rows, reason);
    const bool taken = row == nullptr || agreement.meets(row->needs) ||
                       agreement.meets({.version = 1, .features = feature_open_reasons});
    return taken ? reason : row->instead;
}

RefusalReason said_to_peer(RefusalReason reason, const Agreement& agreement) noexcept;
GoodbyeReason said_to_peer(GoodbyeReason reason, const Agreement& agreement) noexcept;
/// The reason to act on: itself, or for a number without a name the meaning given above.
RefusalReason meaning_of(RefusalReason reason) noexcept;
GoodbyeReason meaning_of(GoodbyeReason reason) noexcept;
/// "wrong-cluster"; "unknown-9" for a number without a name. For logs.
std::string to_string(RefusalReason reason);
std::string to_string(GoodbyeReason reason);

// --- HelloReply and Goodbye

struct HelloAccepted {
    std::uint16_t version = wire_version_max; ///< the one in force
    std::uint64_t features = 0;               ///< those in force
    bool operator==(const HelloAccepted&) const = default;
};
struct HelloRefused {
    RefusalReason reason{};
    std::string detail; ///< one line for the other side's log
    bool operator==(const HelloRefused&) const = default;
};

/// First frame of the side that accepted. Same stability as Hello.
struct HelloReply {
    std::uint16_t version_min = wire_version_min;
    std::uint16_t version_max = wire_version_max;
    std::string cluster_name;
    UniqueAddress from; ///< the acceptor, so that the dialler knows which incarnation it reached
    std::variant<HelloAccepted, HelloRefused> answer;
    std::vector<std::byte> extensions;
    bool operator==(const HelloReply&) const = default;
};

/// Last frame of a side that closes in order.
struct Goodbye {
    GoodbyeReason reason{};
    std::string detail; ///< one line for the other side's log
    bool operator==(const Goodbye&) const = default;
};

} // namespace muster::wire
