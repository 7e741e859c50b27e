// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the values of this room want done. Whoever drives one carries its actions out in order, and drives no
/// other input of it from inside but those that the action itself calls for.
#include <cstddef>
#include <cstdint>
#include <muster/address.hpp>
#include <muster/buffer.hpp>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/error.hpp>
#include <muster/log.hpp>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

namespace muster::transport {

/// What is counted, by the name that the counter has in Counters (metrics.md says what each means).
enum class Counted : std::uint8_t {
    frames_unknown,
    frames_rest,
    frames_foreign,
    frames_malformed,
    frames_too_large,
    frames_no_room,
    frames_waited,
    frames_timed_out,
    handshakes_done,
    handshakes_refused,
    handshakes_failed,
    handshakes_timed_out,
    accepts_strangers,
    claims_taken,
    claims_unanswered,
    connects_failed,
    connects_refused,
    resolves_failed,
    links_broken,
    links_half_open,
    links_idle_closed,
    links_superseded,
    links_no_memory,
    messages_received,
    messages_rate,
    messages_stranger,
    messages_no_route,
    messages_quarantined,
    messages_other_incarnation,
    messages_shutdown,
    tells_foreign_sender,
    tells_unreachable,
    tells_refused_by_peer,
    tells_quarantined,
    tells_shutdown,
};

namespace action {

// --- for the node
struct Count {
    Counted what{};
};
/// About the peer of the value that says it.
struct Log {
    LogLevel level{};
    std::string_view code;
    LogFields fields;
};
struct Report {
    UniqueAddress peer;
    LinkEvent event{};
};
/// All addresses of the dialled name refused.
struct ReportConnectRefused {};
/// The peer has quarantined this incarnation.
struct ReportQuarantinedBy {
    UniqueAddress peer;
};

/// `peer` says that it stops.
struct PeerStops {
    UniqueAddress peer;
};

// --- of a Link, for its connection
/// To be sent, then Link::written(). A link has one at a time.
struct Write {
    Slice bytes;
};
struct CloseStream {
    enum class How : std::uint8_t { Graceful, Abort } how{};
};
/// A message of the peer, for the node.
struct Deliver {
    ClusterMessage message;
};
/// The link that the peer opened is open: older ones that it replaces end.
struct Opened {};
/// To be asked at the peer's address who lives there, then Link::verdict().
struct AskVerdict {};
/// The handshake of a dialled connection is over.
struct Shaken {
    enum class Outcome : std::uint8_t {
        Open,
        Failed,         ///< no answer, or none that can be understood
        RefusedForNow,  ///< another attempt may succeed
        RefusedForGood, ///< it would be refused again
        Renewed,        ///< this node has another uid by now: again
        Quarantined,    ///< `peer` is, here
    } outcome{};
    UniqueAddress peer;
};
/// Sent as the last frame of a connection that nobody needs any more: whoever does it lingers.
struct Leave {
    Slice goodbye;
};

// --- of a Dialling, for the queues of its association
/// Drops what is queued.
struct DropTells {
    Counted as{};
};
struct DropMessages {
    Counted as{};
};
/// Drops the tells that were accepted while the link led to the former incarnation.
struct DropStaleTells {};
/// Whether tells are accepted: no NoRoute.
struct SetRoute {
    bool open = false;
};
/// An attempt to connect for a stranger's answer has begun, or is over.
struct StrangerDial {
    bool begins = false;
};

} // namespace action

using DiallingAction =
    std::variant<action::Count, action::Log, action::Report, action::ReportConnectRefused, action::DropTells,
                 action::DropMessages, action::DropStaleTells, action::SetRoute, action::StrangerDial>;
using DiallingActions = std::vector<DiallingAction>;
using LinkAction = std::variant<action::Count, action::Log, action::Report, action::ReportQuarantinedBy,
                                action::PeerStops, action::Write, action::CloseStream, action::Deliver,
                                action::Opened, action::AskVerdict, action::Shaken, action::Leave>;
using LinkActions = std::vector<LinkAction>;

} // namespace muster::transport
