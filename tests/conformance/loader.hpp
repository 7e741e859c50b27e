// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Values of the conformance schema <-> muster's values (see README.md of the schema: "Data conventions").
/// Every function throws BadCase when the case is not of the schema.
#include <boost/json.hpp>
#include <chrono>
#include <muster/cluster/state/gossip.hpp>
#include <muster/cluster/state/membership.hpp>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace muster::conformance {

namespace json = boost::json;

struct BadCase : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// --- fields of an object

/// The field, or BadCase naming it.
const json::value& field(const json::object& given, std::string_view name);
/// The field, or nullptr when it is absent or null.
const json::value* optional_field(const json::object& given, std::string_view name);
const json::object& object_field(const json::object& given, std::string_view name);
const json::array& array_field(const json::object& given, std::string_view name);
std::string text_field(const json::object& given, std::string_view name);
std::int64_t number_field(const json::object& given, std::string_view name);
std::int64_t number_field(const json::object& given, std::string_view name, std::int64_t absent);
double real_field(const json::object& given, std::string_view name);
bool bool_field(const json::object& given, std::string_view name, bool absent = false);
std::chrono::milliseconds millis_field(const json::object& given, std::string_view name);

std::string text(const json::value& value);
std::int64_t number(const json::value& value);
double real(const json::value& value);

// --- values of the schema

/// The cluster all cases play in, unless a case names another.
inline constexpr std::string_view case_system = "conformance";

/// "host:port" or "host:port#uid" -> the address. The host is taken as it is written, so ids map back.
Address parse_address(std::string_view id, std::string_view system = case_system);
/// "host:port#uid".
UniqueAddress parse_node(std::string_view id, std::string_view system = case_system);
std::vector<UniqueAddress> parse_nodes(const json::value& list);
std::vector<Address> parse_addresses(const json::value& list);
MemberStatus parse_status(std::string_view name);
/// {id,status,up,roles,dc,ver}; adds the implicit dc- role.
Member parse_member(const json::value& value);
std::vector<Member> parse_members(const json::value& list);
Reachability parse_reachability(const json::value& value);
/// A clock's key: that of the node when the name is a node id, else a hash of the name.
Hash128 clock_key(std::string_view name);
VectorClock parse_clock(const json::value& value);
std::vector<Tombstone> parse_tombstones(const json::value& value);
Gossip parse_gossip(const json::value& value);
/// From the fields gossip, self, selfDc and crossDcConnections (default 5) of a case.
MembershipState parse_state(const json::object& given, std::string_view gossip_name = "gossip");

// --- and back

std::string id_of(const Address& address);
std::string id_of(const UniqueAddress& node);
json::value id_or_null(const std::optional<UniqueAddress>& node);
json::array ids_of(std::span<const UniqueAddress> nodes);
json::array ids_of(std::span<const Member> members);
/// null for a member that was never up.
json::value up_of(const Member& member);
/// id -> status
json::object statuses_of(std::span<const Member> members);
/// id -> [status, up]
json::object statuses_and_numbers_of(std::span<const Member> members);
json::array records_of(const Reachability& reachability);
json::object versions_of(const Reachability& reachability);
json::array tombstones_of(const Gossip& gossip);
/// Name -> counter, of those of `names` that have one. Entries of other keys come out as "?<key>".
json::object counters_of(const VectorClock& clock, std::span<const std::string> names);
/// Every name a clock could have in what this JSON shows: each key, and each text that is a node's id,
/// wherever it stands.
std::vector<std::string> clock_names_of(const json::value& shown);

} // namespace muster::conformance
