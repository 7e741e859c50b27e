// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/sbr/record.hpp>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <muster/cluster/sbr/strategy.hpp>

namespace muster {

namespace {

namespace json = boost::json;

struct DecisionName {
    DowningDecision decision;
    std::string_view name;
};
constexpr std::array<DecisionName, 9> decision_names = {
    {{DowningDecision::DownUnreachable, "DownUnreachable"},
     {DowningDecision::DownAll, "DownAll"},
     {DowningDecision::DownReachable, "DownReachable"},
     {DowningDecision::Stay, "Stay"},
     {DowningDecision::DownIndirectlyConnected, "DownIndirectlyConnected"},
     {DowningDecision::ReverseDownIndirectlyConnected, "ReverseDownIndirectlyConnected"},
     {DowningDecision::AcquireLeaseAndDownUnreachable, "AcquireLeaseAndDownUnreachable"},
     {DowningDecision::AcquireLeaseAndDownIndirectlyConnected, "AcquireLeaseAndDownIndirectlyConnected"},
     {DowningDecision::DownSelfQuarantinedByRemote, "DownSelfQuarantinedByRemote"}}};

std::int64_t ms(Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

json::array to_array(std::span<const UniqueAddress> nodes) {
    json::array array;
    for (const UniqueAddress& node : nodes) array.emplace_back(node.to_string());
    return array;
}

std::string listed(std::span<const UniqueAddress> nodes) {
    std::string text = std::to_string(nodes.size());
    if (nodes.empty()) return text;
    text += " [";
    const std::size_t shown = std::min(nodes.size(), SbrDecisionRecord::line_nodes_max);
    for (std::size_t i = 0; i < shown; ++i)
        text +=
            (i == 0 ? "" : " ") + nodes[i].address().host_port() + '#' + std::to_string(nodes[i].uid().value);
    if (shown < nodes.size()) text += " ...";
    return text + ']';
}

json::array members_json(const SbrDecisionRecord& record) {
    json::array members;
    for (const SbrDecisionRecord::Input& input : record.members) {
        json::object member{{"node", input.node.to_string()},
                            {"status", to_string(input.status)},
                            {"unreachable", input.unreachable},
                            {"seen", input.seen}};
        if (input.up_number != Member::never_up) member["up_number"] = input.up_number;
        members.push_back(std::move(member));
    }
    return members;
}

json::array rows_json(const SbrDecisionRecord& record) {
    json::array rows;
    for (const Reachability::Record& row : record.rows)
        rows.push_back(json::object{{"observer", row.observer.to_string()},
                                    {"subject", row.subject.to_string()},
                                    {"status", to_string(row.status)}});
    return rows;
}

json::object counted_json(const DowningVerdict& verdict) {
    json::object counted{{"reachable", to_array(verdict.counted_reachable)},
                         {"unreachable", to_array(verdict.counted_unreachable)},
                         {"weight_reachable", verdict.weight_reachable},
                         {"weight_unreachable", verdict.weight_unreachable}};
    if (verdict.deciding_node) counted["deciding_node"] = verdict.deciding_node->to_string();
    return counted;
}

} // namespace

std::string_view to_string(DowningDecision decision) noexcept {
    for (const DecisionName& entry : decision_names)
        if (entry.decision == decision) return entry.name;
    return "?";
}

std::optional<DowningDecision> parse_downing_decision(std::string_view text) noexcept {
    if (text == "DownSelf") return DowningDecision::DownSelf;
    for (const DecisionName& entry : decision_names)
        if (entry.name == text) return entry.decision;
    return std::nullopt;
}

DowningDecision reverse_of(DowningDecision decision) noexcept {
    switch (decision) {
    case DowningDecision::AcquireLeaseAndDownUnreachable: return DowningDecision::DownReachable;
    case DowningDecision::AcquireLeaseAndDownIndirectlyConnected:
        return DowningDecision::ReverseDownIndirectlyConnected;
    default: return decision;
    }
}

std::string_view to_string(SbrTrigger trigger) noexcept {
    switch (trigger) {
    case SbrTrigger::Asked: return "asked";
    case SbrTrigger::Stable: return "stable";
    case SbrTrigger::Unstable: return "unstable";
    case SbrTrigger::LeaseAlreadyHeld: return "lease-already-held";
    case SbrTrigger::LeaseAcquired: return "lease-acquired";
    case SbrTrigger::LeaseDenied: return "lease-denied";
    case SbrTrigger::QuarantinedByRemote: return "quarantined-by-remote";
    }
    return "?";
}

std::string SbrDecisionRecord::to_line() const {
    std::string line = "decision=" + std::string(to_string(verdict.decision)) +
                       " trigger=" + std::string(to_string(trigger)) + " strategy=\"" + strategy +
                       "\" rule=\"" + std::string(verdict.rule) + "\" down=" + listed(down);
    if (dry_run) line += " dry_run=true";
    if (responsible) line += " responsible=true";
    line += " counted_reachable=" + listed(verdict.counted_reachable) +
            " counted_unreachable=" + listed(verdict.counted_unreachable);
    if (verdict.weight_reachable != verdict.counted_reachable.size() ||
        verdict.weight_unreachable != verdict.counted_unreachable.size())
        line += " weight_reachable=" + std::to_string(verdict.weight_reachable) +
                " weight_unreachable=" + std::to_string(verdict.weight_unreachable);
    if (verdict.deciding_node) line += " deciding_node=" + verdict.deciding_node->to_string();
    if (verdict.acquire_delay.count() > 0)
        line += " acquire_delay_ms=" + std::to_string(verdict.acquire_delay.count());
    if (!indirectly_connected.empty()) line += " indirectly_connected=" + listed(indirectly_connected.all());
    if (!verdict.blamed.empty()) line += " blamed=" + listed(verdict.blamed);
    if (!additional.empty()) line += " additional=" + listed(additional);
    if (conflict) line += " conflict=true";
    if (quarantined_by) line += " quarantined_by=" + quarantined_by->to_string();
    if (!lease.empty()) line += " lease=\"" + lease + '"';
    line += " members=" + std::to_string(members.size()) + " rows=" + std::to_string(rows.size()) +
            " stable_for_ms=" + std::to_string(ms(since_last_change));
    if (changes > 0)
        line += " changes=" + std::to_string(changes) +
                " first_change_ms_ago=" + std::to_string(ms(since_first_change));
    return line;
}

std::string SbrDecisionRecord::to_json() const {
    json::object object{
        {"when_ms", when.ms},
        {"self", self.to_string()},
        {"strategy", strategy},
        {"trigger", to_string(trigger)},
        {"decision", to_string(verdict.decision)},
        {"rule", verdict.rule},
        {"down", to_array(down)},
        {"dry_run", dry_run},
        {"responsible", responsible},
        {"counted", counted_json(verdict)},
        {"acquire_delay_ms", verdict.acquire_delay.count()},
        {"indirectly_connected", json::object{{"by_cycle", to_array(indirectly_connected.by_cycle)},
                                              {"by_seen", to_array(indirectly_connected.by_seen)}}},
        {"blamed", to_array(verdict.blamed)},
        {"additional", to_array(additional)},
        {"conflict", conflict},
        {"stable_for_ms", ms(since_last_change)},
        {"changes", changes},
        {"first_change_ms_ago", ms(since_first_change)},
        {"members", members_json(*this)},
        {"rows", rows_json(*this)}};
    if (quarantined_by) object["quarantined_by"] = quarantined_by->to_string();
    if (!lease.empty()) object["lease"] = lease;
    return json::serialize(object);
}

} // namespace muster
