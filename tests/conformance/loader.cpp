// SPDX-License-Identifier: Apache-2.0
#include "loader.hpp"

#include <algorithm>
#include <charconv>
#include <muster/cluster/compat/multi_dc.hpp>

namespace muster::conformance {
namespace {

template <class Number>
Number parse_integer(std::string_view digits, std::string_view what) {
    Number value{};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size())
        throw BadCase("\"" + std::string{digits} + "\" is no " + std::string{what});
    return value;
}

ReachabilityStatus parse_reachability_status(std::string_view name) {
    for (const auto status :
         {ReachabilityStatus::Reachable, ReachabilityStatus::Unreachable, ReachabilityStatus::Terminated}) {
        if (to_string(status) == name) return status;
    }
    throw BadCase("\"" + std::string{name} + "\" is no reachability status");
}

} // namespace

const json::value& field(const json::object& given, std::string_view name) {
    const json::value* found = given.if_contains(name);
    if (found == nullptr) throw BadCase("the case lacks \"" + std::string{name} + "\"");
    return *found;
}

const json::value* optional_field(const json::object& given, std::string_view name) {
    const json::value* found = given.if_contains(name);
    return found == nullptr || found->is_null() ? nullptr : found;
}

const json::object& object_field(const json::object& given, std::string_view name) {
    const auto& value = field(given, name);
    if (!value.is_object()) throw BadCase("\"" + std::string{name} + "\" is no object");
    return value.get_object();
}

const json::array& array_field(const json::object& given, std::string_view name) {
    const auto& value = field(given, name);
    if (!value.is_array()) throw BadCase("\"" + std::string{name} + "\" is no list");
    return value.get_array();
}

std::string text_field(const json::object& given, std::string_view name) { return text(field(given, name)); }

std::int64_t number_field(const json::object& given, std::string_view name) {
    return number(field(given, name));
}

std::int64_t number_field(const json::object& given, std::string_view name, std::int64_t absent) {
    const auto* value = optional_field(given, name);
    return value == nullptr ? absent : number(*value);
}

double real_field(const json::object& given, std::string_view name) { return real(field(given, name)); }

bool bool_field(const json::object& given, std::string_view name, bool absent) {
    const auto* value = optional_field(given, name);
    if (value == nullptr) return absent;
    if (!value->is_bool()) throw BadCase("\"" + std::string{name} + "\" is neither true nor false");
    return value->get_bool();
}

std::chrono::milliseconds millis_field(const json::object& given, std::string_view name) {
    return std::chrono::milliseconds{number_field(given, name)};
}

std::string text(const json::value& value) {
    if (!value.is_string()) throw BadCase(json::serialize(value) + " is no text");
    return std::string{value.get_string()};
}

std::int64_t number(const json::value& value) {
    boost::system::error_code error;
    const auto n = value.to_number<std::int64_t>(error);
    if (error) throw BadCase(json::serialize(value) + " is no whole number");
    return n;
}

double real(const json::value& value) {
    boost::system::error_code error;
    const auto n = value.to_number<double>(error);
    if (error) throw BadCase(json::serialize(value) + " is no number");
    return n;
}

Address parse_address(std::string_view id, std::string_view system) {
    const std::string_view place = id.substr(0, id.find('#'));
    const std::size_t colon = place.rfind(':');
    if (colon == std::string_view::npos) throw BadCase("\"" + std::string{id} + "\" is no host:port");
    return Address{"akka.tcp", std::string{system}, std::string{place.substr(0, colon)},
                   parse_integer<std::uint16_t>(place.substr(colon + 1), "port")};
}

UniqueAddress parse_node(std::string_view id, std::string_view system) {
    const std::size_t hash = id.find('#');
    if (hash == std::string_view::npos) throw BadCase("\"" + std::string{id} + "\" is no host:port#uid");
    return {parse_address(id, system), Uid{parse_integer<std::int64_t>(id.substr(hash + 1), "uid")}};
}

std::vector<UniqueAddress> parse_nodes(const json::value& list) {
    if (!list.is_array()) throw BadCase(json::serialize(list) + " is no list of node ids");
    std::vector<UniqueAddress> nodes;
    for (const auto& id : list.get_array()) nodes.push_back(parse_node(text(id)));
    return nodes;
}

std::vector<Address> parse_addresses(const json::value& list) {
    if (!list.is_array()) throw BadCase(json::serialize(list) + " is no list of addresses");
    std::vector<Address> addresses;
    for (const auto& id : list.get_array()) addresses.push_back(parse_address(text(id)));
    return addresses;
}

MemberStatus parse_status(std::string_view name) {
    const auto status = parse_member_status(name);
    if (!status) throw BadCase("\"" + std::string{name} + "\" is no member status");
    return *status;
}

Member parse_member(const json::value& value) {
    if (!value.is_object()) throw BadCase(json::serialize(value) + " is no member");
    const auto& fields = value.get_object();
    std::vector<std::string> roles;
    if (const auto* list = optional_field(fields, "roles")) {
        for (const auto& role : list->as_array()) roles.push_back(text(role));
    }
    const auto* dc = optional_field(fields, "dc");
    roles.push_back(dc_role(dc == nullptr ? std::string{DEFAULT_DC} : text(*dc)));
    AppVersion version;
    if (const auto* ver = optional_field(fields, "ver")) {
        auto parsed = AppVersion::parse(text(*ver));
        if (!parsed) throw BadCase(parsed.error().message());
        version = *std::move(parsed);
    }
    const auto* up = optional_field(fields, "up");
    return Member{parse_node(text_field(fields, "id")), parse_status(text_field(fields, "status")),
                  std::move(roles), up == nullptr ? Member::never_up : static_cast<std::int32_t>(number(*up)),
                  std::move(version)};
}

std::vector<Member> parse_members(const json::value& list) {
    if (!list.is_array()) throw BadCase(json::serialize(list) + " is no list of members");
    std::vector<Member> members;
    for (const auto& member : list.get_array()) members.push_back(parse_member(member));
    return members;
}

Reachability parse_reachability(const json::value& value) {
    if (!value.is_object()) throw BadCase(json::serialize(value) + " is no reachability table");
    std::vector<Reachability::Record> records;
    for (const auto& row : array_field(value.get_object(), "records")) {
        const auto& columns = row.as_array();
        records.push_back({parse_node(text(columns.at(0))), parse_node(text(columns.at(1))),
                           parse_reachability_status(text(columns.at(2))), number(columns.at(3))});
    }
    std::vector<Reachability::Version> versions;
    if (const auto* given = optional_field(value.get_object(), "versions")) {
        for (const auto& version : given->as_object())
            versions.push_back({parse_node(version.key()), number(version.value())});
    }
    return Reachability{std::move(records), std::move(versions)};
}

Hash128 clock_key(std::string_view name) {
    if (name.find('#') != std::string_view::npos) return parse_node(name).key();
    return Hasher{"muster.conformance.clock"}.add(name).finish();
}

VectorClock parse_clock(const json::value& value) {
    if (!value.is_object()) throw BadCase(json::serialize(value) + " is no clock");
    std::vector<VectorClock::Entry> entries;
    for (const auto& entry : value.get_object())
        entries.push_back({clock_key(entry.key()), static_cast<std::uint64_t>(number(entry.value()))});
    return VectorClock::from_entries(std::move(entries));
}

std::vector<Tombstone> parse_tombstones(const json::value& value) {
    std::vector<Tombstone> tombstones;
    if (value.is_array()) {
        for (const auto& node : parse_nodes(value)) tombstones.push_back({node, WallTime{0}});
    } else if (value.is_object()) {
        for (const auto& entry : value.get_object())
            tombstones.push_back({parse_node(entry.key()), WallTime{number(entry.value())}});
    } else {
        throw BadCase(json::serialize(value) + " is no set of tombstones");
    }
    std::ranges::sort(tombstones, {}, &Tombstone::node);
    return tombstones;
}

Gossip parse_gossip(const json::value& value) {
    if (!value.is_object()) throw BadCase(json::serialize(value) + " is no gossip");
    const auto& parts = value.get_object();
    const auto part = [&]<class Value>(std::string_view name, Value (*parse)(const json::value&)) {
        const auto* found = optional_field(parts, name);
        return found == nullptr ? Value{} : parse(*found);
    };
    auto gossip = Gossip::from_parts(parse_members(field(parts, "members")), part("seen", parse_nodes),
                                     part("reachability", parse_reachability), part("version", parse_clock),
                                     part("tombstones", parse_tombstones));
    if (!gossip) throw BadCase(gossip.error().message());
    gossip->check();
    return *std::move(gossip);
}

MembershipState parse_state(const json::object& given, std::string_view gossip_name) {
    const auto* dc = optional_field(given, "selfDc");
    return MembershipState{parse_node(text_field(given, "self")),
                           dc == nullptr ? std::string{DEFAULT_DC} : text(*dc),
                           std::make_shared<const Gossip>(parse_gossip(field(given, gossip_name))),
                           static_cast<std::size_t>(number_field(given, "crossDcConnections", 5))};
}

std::string id_of(const Address& address) {
    return address.host.value_or("") + ":" + std::to_string(address.port.value_or(0));
}

std::string id_of(const UniqueAddress& node) {
    return id_of(node.address()) + "#" + std::to_string(node.uid().value);
}

json::value id_or_null(const std::optional<UniqueAddress>& node) {
    if (!node) return nullptr;
    return json::value(id_of(*node));
}

json::array ids_of(std::span<const UniqueAddress> nodes) {
    json::array ids;
    for (const auto& node : nodes) ids.emplace_back(id_of(node));
    return ids;
}

json::array ids_of(std::span<const Member> members) {
    json::array ids;
    for (const auto& member : members) ids.emplace_back(id_of(member.unique_address()));
    return ids;
}

json::value up_of(const Member& member) {
    if (member.up_number() == Member::never_up) return nullptr;
    return member.up_number();
}

json::object statuses_of(std::span<const Member> members) {
    json::object statuses;
    for (const auto& m : members) statuses[id_of(m.unique_address())] = to_string(m.status());
    return statuses;
}

json::object statuses_and_numbers_of(std::span<const Member> members) {
    json::object statuses;
    for (const auto& m : members)
        statuses[id_of(m.unique_address())] = json::array{json::value(to_string(m.status())), up_of(m)};
    return statuses;
}

json::array records_of(const Reachability& reachability) {
    json::array rows;
    for (const auto& r : reachability.records()) {
        rows.emplace_back(json::array{json::value(id_of(r.observer)), json::value(id_of(r.subject)),
                                      json::value(to_string(r.status)), json::value(r.version)});
    }
    return rows;
}

json::object versions_of(const Reachability& reachability) {
    json::object versions;
    for (const auto& v : reachability.versions()) versions[id_of(v.observer)] = v.version;
    return versions;
}

json::array tombstones_of(const Gossip& gossip) {
    json::array ids;
    for (const auto& t : gossip.tombstones()) ids.emplace_back(id_of(t.node));
    return ids;
}

json::object counters_of(const VectorClock& clock, std::span<const std::string> names) {
    json::object counters;
    for (const auto& entry : clock.entries()) {
        const auto name =
            std::ranges::find_if(names, [&](const std::string& n) { return clock_key(n) == entry.key; });
        counters[name == names.end() ? "?" + entry.key.to_string() : *name] = entry.counter;
    }
    return counters;
}

namespace {

void collect_clock_names(const json::value& shown, std::vector<std::string>& names) {
    if (const auto* word = shown.if_string()) {
        if (word->find('#') != json::string::npos) names.emplace_back(*word);
    } else if (const auto* list = shown.if_array()) {
        for (const auto& element : *list) collect_clock_names(element, names);
    } else if (const auto* object = shown.if_object()) {
        for (const auto& [key, value] : *object) {
            names.emplace_back(key);
            collect_clock_names(value, names);
        }
    }
}

} // namespace

std::vector<std::string> clock_names_of(const json::value& shown) {
    std::vector<std::string> names;
    collect_clock_names(shown, names);
    // A key that happens to be spelled like a node but is none has no key of a clock.
    std::erase_if(names, [](const std::string& name) {
        if (name.find('#') == std::string::npos) return false;
        try {
            parse_node(name);
            return false;
        } catch (const BadCase&) {
            return true;
        }
    });
    return names;
}

} // namespace muster::conformance
