// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The output of muster-node: one JSON object per line.
#include <boost/json/object.hpp>
#include <muster/cluster/state/events.hpp>
#include <muster/node/daemon.hpp>
#include <string>
#include <string_view>

namespace muster::tools {

/// An incarnation number as text: it uses all 64 bits, and a JSON number is read as a double by most.
std::string uid_text(Uid uid);

/// {"at":"2026-01-02T03:04:05.678Z","event":NAME, ...}
boost::json::object json_line(WallTime at, std::string_view event);
/// The event with its member ("address", "uid", "status", "roles", "dc", "up_number") or its own fields.
boost::json::object to_json(WallTime at, const ClusterEvent& event);
boost::json::object to_json(const Member& member, ReachabilityStatus reachability, bool has_seen);
boost::json::object status_json(WallTime at, const DaemonSnapshot& snapshot);
/// On one line. Bytes from others that are no UTF-8 become U+FFFD: JSON is UTF-8 (RFC 8259 §8.1).
std::string to_text(const boost::json::object& line);

} // namespace muster::tools
