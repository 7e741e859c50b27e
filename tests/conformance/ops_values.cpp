// SPDX-License-Identifier: Apache-2.0
// Operations on the values of the protocol: versions, members, clocks, reachability, gossip, membership
// queries, gossip targets, events.
#include "registry.hpp"

#include <algorithm>
#include <muster/cluster/core/gossip_targets.hpp>
#include <muster/cluster/state/app_version.hpp>
#include <muster/cluster/state/events.hpp>
#include <set>

namespace muster::conformance {
namespace {

// --- app versions and members

int sign_of(std::strong_ordering order) { return order < 0 ? -1 : order > 0 ? 1 : 0; }

const Operation version_compare{"version_compare", [](const json::object& given) -> Outcome {
                                    const auto a = AppVersion::parse(text_field(given, "a"));
                                    const auto b = AppVersion::parse(text_field(given, "b"));
                                    if (!a || !b) return "error";
                                    return sign_of(*a <=> *b);
                                }};

const Operation allowed_transitions_op{
    "allowed_transitions", [](const json::object& given) -> Outcome {
        std::vector<std::string> names;
        for (const auto status : allowed_transitions(parse_status(text_field(given, "status"))))
            names.emplace_back(to_string(status));
        std::ranges::sort(names);
        return json::value_from(names);
    }};

const Operation age_compare_across_dc{"age_compare_across_dc", [](const json::object& given) -> Outcome {
                                          const auto order =
                                              Member::compare_age(parse_member(field(given, "a")),
                                                                  parse_member(field(given, "b")));
                                          if (!order) return "error";
                                          return sign_of(*order);
                                      }};

const Operation sort_members{"sort_members", [](const json::object& given) -> Outcome {
                                 auto members = parse_members(field(given, "members"));
                                 const auto order = text_field(given, "order");
                                 if (order == "address") {
                                     std::ranges::sort(members);
                                 } else if (order == "age") {
                                     sort_by_age(members);
                                 } else if (order == "leader_status") {
                                     std::ranges::sort(members, [](const Member& a, const Member& b) {
                                         return leader_status_ordering(a, b) < 0;
                                     });
                                 } else {
                                     throw BadCase("unknown order \"" + order + "\"");
                                 }
                                 return ids_of(members);
                             }};

json::object status_and_number(const Member& member) {
    return {{"id", id_of(member.unique_address())},
            {"status", to_string(member.status())},
            {"up", up_of(member)}};
}

const Operation highest_priority_op{
    "highest_priority", [](const json::object& given) -> Outcome {
        const auto a = parse_member(field(given, "a"));
        const auto b = parse_member(field(given, "b"));
        return {status_and_number(highest_priority(a, b)), status_and_number(highest_priority(b, a))};
    }};

const Operation pick_highest_priority_op{"pick_highest_priority",
                                         [](const json::object& given) -> Outcome {
                                             auto a = parse_members(field(given, "a"));
                                             auto b = parse_members(field(given, "b"));
                                             std::ranges::sort(a);
                                             std::ranges::sort(b);
                                             const auto* gone = optional_field(given, "tombstones");
                                             const auto tombstones = gone == nullptr
                                                                         ? std::vector<Tombstone>{}
                                                                         : parse_tombstones(*gone);
                                             return {statuses_of(pick_highest_priority(a, b, tombstones)),
                                                     statuses_of(pick_highest_priority(b, a, tombstones))};
                                         },
                                         {.whole_object = true}};

// --- vector clocks

std::string_view name_of_relation(VectorRelation relation) {
    switch (relation) {
    case VectorRelation::Before: return "Before";
    case VectorRelation::After: return "After";
    case VectorRelation::Same: return "Same";
    case VectorRelation::Concurrent: break;
    }
    return "Concurrent";
}

std::vector<std::string> clock_names(const json::object& given) {
    std::vector<std::string> names;
    for (const auto* side : {"a", "b"}) {
        const auto* clock = optional_field(given, side);
        if (clock == nullptr) continue;
        for (const auto& entry : clock->as_object()) names.emplace_back(entry.key());
    }
    return names;
}

const Operation vc_compare{"vc_compare", [](const json::object& given) -> Outcome {
                               return name_of_relation(
                                   parse_clock(field(given, "a")).compare(parse_clock(field(given, "b"))));
                           }};

const Operation vc_merge{"vc_merge",
                         [](const json::object& given) -> Outcome {
                             const auto a = parse_clock(field(given, "a"));
                             const auto b = parse_clock(field(given, "b"));
                             const auto names = clock_names(given);
                             auto ab = a;
                             auto ba = b;
                             ab.merge(b);
                             ba.merge(a);
                             return {counters_of(ab, names), counters_of(ba, names)};
                         },
                         {.whole_object = true}};

const Operation vc_prune{"vc_prune",
                         [](const json::object& given) -> Outcome {
                             auto clock = parse_clock(field(given, "a"));
                             clock.prune(clock_key(text_field(given, "node")));
                             return counters_of(clock, clock_names(given));
                         },
                         {.whole_object = true}};

// --- reachability

json::object subject_statuses(const Reachability& table) {
    std::set<UniqueAddress> nodes;
    for (const auto& r : table.records()) nodes.insert({r.observer, r.subject});
    for (const auto& v : table.versions()) nodes.insert(v.observer);
    json::object statuses;
    for (const auto& node : nodes) statuses[id_of(node)] = to_string(table.status(node));
    return statuses;
}

/// Every query on a table. The schema's cases ask for some of them; what the protocol calls "all unreachable"
/// and the like goes by its full name, too.
json::object table_json(const Reachability& table) {
    json::object from_observer;
    for (const auto& observer : table.all_observers())
        from_observer[id_of(observer)] = ids_of(table.all_unreachable_from(observer));
    json::object observers_of;
    for (const auto& [subject, observers] : table.observers_by_unreachable())
        observers_of[id_of(subject)] = ids_of(observers);
    std::set<UniqueAddress> nodes;
    for (const auto& r : table.records()) nodes.insert({r.observer, r.subject});
    json::array not_reachable;
    for (const auto& node : nodes)
        if (!table.is_reachable(node)) not_reachable.emplace_back(id_of(node));
    return {{"records", records_of(table)},
            {"versions", versions_of(table)},
            {"notReachable", std::move(not_reachable)},
            {"unreachable", ids_of(table.all_unreachable())},
            {"allUnreachable", ids_of(table.all_unreachable())},
            {"unreachableOrTerminated", ids_of(table.all_unreachable_or_terminated())},
            {"allUnreachableOrTerminated", ids_of(table.all_unreachable_or_terminated())},
            {"unreachableFrom", from_observer},
            {"allUnreachableFrom", std::move(from_observer)},
            {"observersByUnreachable", observers_of},
            {"observersGroupedByUnreachable", std::move(observers_of)},
            {"observers", ids_of(table.all_observers())},
            {"allObservers", ids_of(table.all_observers())},
            {"allReachable", table.is_all_reachable()},
            {"isAllReachable", table.is_all_reachable()},
            {"status", subject_statuses(table)}};
}

Reachability apply_step(const Reachability& table, const json::array& step) {
    const auto call = text(step.at(0));
    if (call.starts_with("remove")) {
        std::vector<UniqueAddress> nodes;
        for (std::size_t i = 1; i < step.size(); ++i) {
            if (step[i].is_array())
                std::ranges::move(parse_nodes(step[i]), std::back_inserter(nodes));
            else
                nodes.push_back(parse_node(text(step[i])));
        }
        if (call == "remove") return table.remove(nodes);
        if (call == "removeObservers" || call == "remove_observers") return table.remove_observers(nodes);
    }
    const auto observer = parse_node(text(step.at(1)));
    const auto subject = parse_node(text(step.at(2)));
    if (call == "unreachable") return table.unreachable(observer, subject);
    if (call == "reachable") return table.reachable(observer, subject);
    if (call == "terminated") return table.terminated(observer, subject);
    throw BadCase("unknown call \"" + call + "\"");
}

const Operation reach_script{"reach_script", [](const json::object& given) -> Outcome {
                                 Reachability table;
                                 for (const auto& step : array_field(given, "steps")) {
                                     table = apply_step(table, step.as_array());
                                     table.check();
                                 }
                                 return table_json(table);
                             }};

const Operation reach_merge{
    "reach_merge", [](const json::object& given) -> Outcome {
        auto allowed = parse_nodes(field(given, "allowed"));
        std::ranges::sort(allowed);
        return table_json(
            parse_reachability(field(given, "r1")).merge(allowed, parse_reachability(field(given, "r2"))));
    }};

const Operation reach_remove{
    "reach_remove", [](const json::object& given) -> Outcome {
        return table_json(parse_reachability(field(given, "r")).remove(parse_nodes(field(given, "nodes"))));
    }};

const Operation reach_remove_observers{
    "reach_remove_observers", [](const json::object& given) -> Outcome {
        return table_json(
            parse_reachability(field(given, "r")).remove_observers(parse_nodes(field(given, "nodes"))));
    }};

const Operation reach_status{"reach_status",
                             [](const json::object& given) -> Outcome {
                                 return subject_statuses(parse_reachability(field(given, "r")));
                             },
                             {.keys_are_ids = true}};

// --- gossip

json::object gossip_json(const Gossip& gossip, std::span<const std::string> clock_names) {
    gossip.check();
    return {{"members", statuses_of(gossip.members())},
            {"seen", ids_of(gossip.seen_nodes())},
            {"records", records_of(gossip.reachability())},
            {"versions", versions_of(gossip.reachability())},
            {"unreachable", ids_of(gossip.reachability().all_unreachable_or_terminated())},
            {"version", counters_of(gossip.version(), clock_names)},
            {"tombstones", tombstones_of(gossip)}};
}

const Operation gossip_merge{"gossip_merge", [](const json::object& given) -> Outcome {
                                 const auto g1 = parse_gossip(field(given, "g1"));
                                 const auto g2 = parse_gossip(field(given, "g2"));
                                 auto names = clock_names_of(field(given, "g1"));
                                 std::ranges::move(clock_names_of(field(given, "g2")),
                                                   std::back_inserter(names));
                                 const auto merged = g1.merge(g2);
                                 const auto swapped = g2.merge(g1);
                                 if (merged.version_id() != swapped.version_id()) return "not commutative";
                                 return {gossip_json(merged, names), gossip_json(swapped, names)};
                             }};

const Operation gossip_remove{"gossip_remove", [](const json::object& given) -> Outcome {
                                  const auto node = parse_node(text_field(given, "node"));
                                  const WallTime now{number_field(given, "timestamp", 0)};
                                  return gossip_json(
                                      parse_gossip(field(given, "g")).remove(std::span{&node, 1}, now),
                                      clock_names_of(field(given, "g")));
                              }};

const Operation prune_tombstones{
    "prune_tombstones",
    [](const json::object& given) -> Outcome {
        auto gossip = Gossip::from_parts({}, {}, {}, {}, parse_tombstones(field(given, "tombstones")));
        if (!gossip) throw BadCase(gossip.error().message());
        return tombstones_of(gossip->prune_tombstones(WallTime{number_field(given, "removeEarlierThan")}));
    },
    {.list_is_set = true}};

const Operation mark_down{
    "mark_down", [](const json::object& given) -> Outcome {
        return gossip_json(parse_gossip(field(given, "g")).mark_down(parse_node(text_field(given, "node"))),
                           clock_names_of(field(given, "g")));
    }};

// --- queries on the membership state

const Operation convergence{"convergence", [](const json::object& given) -> Outcome {
                                const auto* ids = optional_field(given, "exitingConfirmed");
                                auto confirmed =
                                    ids == nullptr ? std::vector<UniqueAddress>{} : parse_nodes(*ids);
                                std::ranges::sort(confirmed);
                                return parse_state(given).convergence(confirmed);
                            }};

const Operation leader{
    "leader", [](const json::object& given) -> Outcome { return id_or_null(parse_state(given).leader()); }};

const Operation role_leader{"role_leader", [](const json::object& given) -> Outcome {
                                const auto state = parse_state(given);
                                const auto role = text_field(given, "role");
                                const auto all = state.role_leaders();
                                const auto found = all.find(role);
                                return {id_or_null(state.role_leader(role)),
                                        id_or_null(found == all.end() ? std::nullopt : found->second)};
                            }};

const Operation youngest_op{"youngest", [](const json::object& given) -> Outcome {
                                const auto state = parse_state(given);
                                const Member* member = state.youngest();
                                if (member == nullptr) return nullptr;
                                return id_of(member->unique_address());
                            }};

const Operation top_oldest_per_dc{"top_oldest_per_dc",
                                  [](const json::object& given) -> Outcome {
                                      auto state = parse_state(given);
                                      state.cross_dc_connections =
                                          static_cast<std::size_t>(number_field(given, "n"));
                                      json::object result;
                                      for (const auto& [dc, oldest] : state.top_oldest_per_dc())
                                          result[dc] = ids_of(oldest);
                                      return result;
                                  },
                                  {.lists_in_order = true, .keys_are_ids = true}};

const Operation exiting_gossip_targets_op{
    "exiting_gossip_targets",
    [](const json::object& given) -> Outcome {
        return ids_of(exiting_gossip_targets(parse_state(given), parse_nodes(field(given, "exiting"))));
    },
    {.list_is_set = true}};

const Operation reachable_excluding_downed{
    "reachable_excluding_downed", [](const json::object& given) -> Outcome {
        return parse_state(given).is_reachable_excluding_downed_observers(
            parse_node(text_field(given, "to")));
    }};

const Operation pair_reachable{"pair_reachable", [](const json::object& given) -> Outcome {
                                   const auto gossip = parse_gossip(field(given, "gossip"));
                                   const auto to = parse_node(text_field(given, "to"));
                                   return gossip.has_member(to) &&
                                          gossip.reachability().is_reachable(
                                              parse_node(text_field(given, "from")), to);
                               }};

// --- gossip targets

const Operation cross_dc_probability_op{"cross_dc_probability", [](const json::object& given) -> Outcome {
                                            return cross_dc_probability(
                                                static_cast<std::size_t>(number_field(given, "localMembers")),
                                                real_field(given, "configured"));
                                        }};

const Operation different_view_probability_op{
    "different_view_probability", [](const json::object& given) -> Outcome {
        return different_view_probability(static_cast<std::size_t>(number_field(given, "clusterSize")),
                                          real_field(given, "probability"),
                                          static_cast<std::size_t>(number_field(given, "reduceAbove")));
    }};

/// A fixed sequence: a case's outcome is forced where its rolls are not given.
RandomSource case_random() {
    return [state = std::uint64_t{1}]() mutable {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        return state ^ (state >> 29);
    };
}

const Operation gossip_candidates_op{
    "gossip_candidates", [](const json::object& given) -> Outcome {
        const auto state = parse_state(given);
        auto settings = ClusterSettings::classic();
        settings.multi_dc.cross_dc_gossip_probability = real_field(given, "crossDcProbability");
        auto rolls = roll_gossip(state, settings, case_random());
        rolls.local = bool_field(given, "localRoll", rolls.local);
        rolls.different_view = bool_field(given, "differentViewRoll", rolls.different_view);
        return ids_of(gossip_candidates(state, rolls, other_data_centers(state)));
    }};

const Operation random_full_targets_op{
    "random_full_targets",
    [](const json::object& given) -> Outcome {
        return ids_of(random_full_targets(parse_state(given),
                                          static_cast<std::size_t>(number_field(given, "n")), case_random()));
    },
    {.list_is_set = true}};

// --- events

/// The diff as the schema spells it: lists of what was published, null for an event that was not.
class EventsJson {
public:
    explicit EventsJson(std::span<const ClusterEvent> events) {
        for (const auto& event : events) std::visit([&](const auto& e) { add(e, name_of(event)); }, event);
    }
    json::object result() && {
        return {{"memberEvents", members_},
                {"unreachable", unreachable_},
                {"reachable", reachable_},
                {"unreachableDc", unreachable_dc_},
                {"reachableDc", reachable_dc_},
                {"leader", leader_},
                {"roleLeaders", role_leaders_},
                {"seen", seen_},
                {"convergence", convergence_},
                {"tombstones", tombstones_},
                {"reachability", reachability_},
                {"reachabilityChanged", !reachability_.is_null()},
                {"order", order_}};
    }

private:
    template <class E>
    void add(const E& e, std::string_view name) {
        order_.emplace_back(name);
        if constexpr (std::is_same_v<E, UnreachableMember>) {
            unreachable_.emplace_back(id_of(e.member.unique_address()));
        } else if constexpr (std::is_same_v<E, ReachableMember>) {
            reachable_.emplace_back(id_of(e.member.unique_address()));
        } else if constexpr (std::is_same_v<E, MemberRemoved>) {
            members_.emplace_back(json::array{json::value(name),
                                              json::value(id_of(e.member.unique_address())),
                                              json::value(to_string(e.previous))});
        } else if constexpr (requires { e.member; }) {
            members_.emplace_back(
                json::array{json::value(name), json::value(id_of(e.member.unique_address()))});
        } else if constexpr (std::is_same_v<E, UnreachableDataCenter>) {
            unreachable_dc_.emplace_back(e.data_center);
        } else if constexpr (std::is_same_v<E, ReachableDataCenter>) {
            reachable_dc_.emplace_back(e.data_center);
        } else if constexpr (std::is_same_v<E, LeaderChanged>) {
            leader_ = json::object{{"from", id_or_null(e.from)}, {"to", id_or_null(e.to)}};
        } else if constexpr (std::is_same_v<E, RoleLeaderChanged>) {
            role_leaders_[e.role] = id_or_null(e.leader);
        } else if constexpr (std::is_same_v<E, SeenChanged>) {
            seen_ = json::object{{"convergence", e.convergence}, {"by", ids_of(e.seen_by)}};
        } else if constexpr (std::is_same_v<E, Convergence>) {
            convergence_ = e.converged;
        } else if constexpr (std::is_same_v<E, MemberTombstonesChanged>) {
            json::array ids;
            for (const auto& t : e.tombstones) ids.emplace_back(id_of(t.node));
            tombstones_ = std::move(ids);
        } else if constexpr (std::is_same_v<E, ReachabilityChanged>) {
            reachability_ = table_json(e.reachability);
        }
    }

    json::array members_, unreachable_, reachable_, unreachable_dc_, reachable_dc_, order_;
    json::object role_leaders_;
    json::value leader_, seen_, convergence_, tombstones_, reachability_;
};

const Operation diff_events_op{"diff_events", [](const json::object& given) -> Outcome {
                                   const auto before = parse_state(given, "old");
                                   const auto after = parse_state(given, "new");
                                   return EventsJson{diff_events(&before, &after)}.result();
                               }};

} // namespace
} // namespace muster::conformance
