// SPDX-License-Identifier: Apache-2.0
#include "json_lines.hpp"

#include "base/utf8.hpp"
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

namespace muster::tools {
namespace json = boost::json;
namespace {

json::value address_or_null(const std::optional<UniqueAddress>& node) {
    return node ? json::value(node->address().host_port()) : json::value(nullptr);
}

void add_member(json::object& line, const Member& member) {
    line["address"] = member.address().host_port();
    line["uid"] = uid_text(member.unique_address().uid());
    line["status"] = to_string(member.status());
    json::array roles;
    for (const auto& role : member.roles()) roles.emplace_back(role);
    line["roles"] = std::move(roles);
    line["dc"] = member.data_center();
    if (member.up_number() != Member::never_up) line["up_number"] = member.up_number();
}

struct EventFields {
    json::object& line;

    void operator()(const LeaderChanged& e) const {
        line["from"] = address_or_null(e.from);
        line["to"] = address_or_null(e.to);
    }
    void operator()(const RoleLeaderChanged& e) const {
        line["role"] = e.role;
        line["leader"] = address_or_null(e.leader);
    }
    void operator()(const MemberRemoved& e) const {
        add_member(line, e.member);
        line["previous"] = to_string(e.previous);
        if (e.removal_margin.count() > 0) line["removal_margin_ms"] = e.removal_margin.count();
    }
    void operator()(const UnreachableDataCenter& e) const { line["dc"] = e.data_center; }
    void operator()(const ReachableDataCenter& e) const { line["dc"] = e.data_center; }
    void operator()(const Convergence& e) const { line["converged"] = e.converged; }
    void operator()(const SeenChanged& e) const {
        line["converged"] = e.convergence;
        line["seen_by"] = e.seen_by.size();
    }
    void operator()(const ReachabilityChanged& e) const { line["rows"] = e.reachability.records().size(); }
    void operator()(const MemberTombstonesChanged& e) const { line["tombstones"] = e.tombstones.size(); }
    void operator()(const ClusterShuttingDown&) const {}
    template <class MemberEvent>
    void operator()(const MemberEvent& e) const {
        add_member(line, e.member);
    }
};

} // namespace

std::string uid_text(Uid uid) { return std::to_string(uid.value); }

json::object json_line(WallTime at, std::string_view event) {
    json::object line;
    line["at"] = to_utc(at);
    line["event"] = event;
    return line;
}

json::object to_json(WallTime at, const ClusterEvent& event) {
    auto line = json_line(at, name_of(event));
    std::visit(EventFields{line}, event);
    return line;
}

json::object to_json(const Member& member, ReachabilityStatus reachability, bool has_seen) {
    json::object line;
    add_member(line, member);
    line["reachability"] = to_string(reachability);
    line["seen"] = has_seen;
    return line;
}

json::object status_json(WallTime at, const DaemonSnapshot& snapshot) {
    auto line = json_line(at, "status");
    line["self"] = snapshot.self().address().host_port();
    line["uid"] = uid_text(snapshot.self().uid());
    line["self_status"] = to_string(snapshot.self_status());
    line["leader"] = address_or_null(snapshot.leader);
    line["joined"] = snapshot.joined;
    line["converged"] = snapshot.converged;
    const auto& reachability = snapshot.state->latest().reachability();
    json::array members;
    std::size_t unreachable = 0;
    for (const auto& member : snapshot.members()) {
        const auto status = reachability.status(member.unique_address());
        if (status != ReachabilityStatus::Reachable) ++unreachable;
        members.push_back(to_json(member, status, snapshot.state->latest().seen_by(member.unique_address())));
    }
    line["unreachable"] = unreachable;
    line["members"] = std::move(members);
    return line;
}

std::string to_text(const json::object& line) { return to_utf8(json::serialize(line)); }

} // namespace muster::tools
