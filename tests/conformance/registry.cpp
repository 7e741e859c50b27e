// SPDX-License-Identifier: Apache-2.0
#include "registry.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <muster/ensure.hpp>

namespace muster::conformance {
namespace {

std::map<std::string, Entry, std::less<>>& operations() {
    static std::map<std::string, Entry, std::less<>> all;
    return all;
}

/// Objects below these keys are maps from ids or names, not records with named fields.
constexpr std::array<std::string_view, 4> whole_maps{"members", "roleLeaders", "version", "versions"};
constexpr std::array<std::string_view, 1> ordered_lists{"memberEvents"};
/// Objects below these keys are records with named fields.
constexpr std::array<std::string_view, 3> records{"leader", "reverse", "seen"};
/// The schema has no one word for an action that ends the joining because the configurations differ.
constexpr std::array<std::string_view, 3> joining_ends{"incompatible", "shutdown", "stop"};

bool numbers_match(const json::value& expect, const json::value& got) {
    if (expect.is_double() || got.is_double()) return real(expect) == real(got);
    return number(expect) == number(got);
}

/// {approx, tol} and {gt}.
bool bounds_match(const json::object& bounds, const json::value& got) {
    if (!got.is_number()) return false;
    if (const auto* least = bounds.if_contains("gt")) return real(got) > real(*least);
    const double tolerance = bounds.if_contains("tol") != nullptr ? real(bounds.at("tol")) : 0.0;
    return std::abs(real(got) - real(bounds.at("approx"))) <= tolerance;
}

bool equal(const json::value& expect, const json::value& got);
bool equal_elements(const json::value& expect, const json::value& got);

bool equal_in_order(const json::array& expect, const json::array& got) {
    return expect.size() == got.size() && std::equal(expect.begin(), expect.end(), got.begin(), equal);
}

bool equal_as_sets(const json::array& expect, const json::array& got) {
    return expect.size() == got.size() &&
           std::is_permutation(expect.begin(), expect.end(), got.begin(), equal_elements);
}

bool is_bounds(const json::object& expect) { return expect.contains("approx") || expect.contains("gt"); }

/// {name: number, ..., tol}: every number within the tolerance.
bool is_tolerant(const json::object& expect) { return expect.contains("tol") && !is_bounds(expect); }

bool tolerant_match(const json::object& expect, const json::value& got) {
    if (!got.is_object()) return false;
    return std::ranges::all_of(expect, [&](const auto& entry) {
        if (entry.key() == "tol") return true;
        const auto* value = got.get_object().if_contains(entry.key());
        return value != nullptr &&
               bounds_match(json::object{{"approx", entry.value()}, {"tol", expect.at("tol")}}, *value);
    });
}

/// What a node has: its status alone, or [status, up]. A case that names the status asks for no number.
bool equal_members(const json::object& expect, const json::object& got) {
    return expect.size() == got.size() && std::ranges::all_of(expect, [&](const auto& entry) {
               const auto* value = got.if_contains(entry.key());
               if (value == nullptr) return false;
               const bool status_alone =
                   entry.value().is_string() && value->is_array() && !value->get_array().empty();
               return equal(entry.value(), status_alone ? value->get_array().front() : *value);
           });
}

/// An element of a list that is an object, as a step's downs: every key, and the lists below them are sets.
bool equal_elements(const json::value& expect, const json::value& got) {
    if (!expect.is_object() || !got.is_object() || is_bounds(expect.get_object())) return equal(expect, got);
    const auto& want = expect.get_object();
    const auto& have = got.get_object();
    return want.size() == have.size() && std::ranges::all_of(want, [&](const auto& entry) {
               const auto* value = have.if_contains(entry.key());
               if (value == nullptr) return false;
               const bool lists = entry.value().is_array() && value->is_array();
               return lists ? equal_as_sets(entry.value().get_array(), value->get_array())
                            : equal(entry.value(), *value);
           });
}

/// Strict: objects whole, lists in order.
bool equal(const json::value& expect, const json::value& got) {
    if (expect.is_number() && got.is_number()) return numbers_match(expect, got);
    if (expect.is_object() && is_bounds(expect.get_object())) return bounds_match(expect.get_object(), got);
    if (expect.is_array() && got.is_array()) return equal_in_order(expect.get_array(), got.get_array());
    if (expect.is_object() && got.is_object()) {
        const auto& want = expect.get_object();
        const auto& have = got.get_object();
        return want.size() == have.size() && std::ranges::all_of(want, [&](const auto& entry) {
                   const auto* value = have.if_contains(entry.key());
                   return value != nullptr && equal(entry.value(), *value);
               });
    }
    return expect == got;
}

/// {at, toleranceMs, ...}: a point in time that may be that much earlier or later.
bool is_timed(const json::object& expect) { return expect.contains("toleranceMs") && expect.contains("at"); }

bool is_in_time(const json::object& expect, const json::object& got) {
    const auto* at = got.if_contains("at");
    return at != nullptr && at->is_number() &&
           std::abs(real(*at) - real(expect.at("at"))) <= real(expect.at("toleranceMs"));
}

/// Below a key of the expectation.
bool matches_field(std::string_view key, const json::value& expect, const json::value& got,
                   const Matching& matching) {
    if (expect.is_array() && got.is_array()) {
        const bool in_order =
            matching.lists_in_order || std::ranges::find(ordered_lists, key) != ordered_lists.end();
        return in_order ? equal_in_order(expect.get_array(), got.get_array())
                        : equal_as_sets(expect.get_array(), got.get_array());
    }
    if (key == "action" && expect.is_string() && got.is_string()) {
        const auto ends = [](const json::value& word) {
            return std::ranges::find(joining_ends, std::string_view{word.get_string()}) != joining_ends.end();
        };
        return expect == got || (ends(expect) && ends(got));
    }
    if (key == "members" && expect.is_object() && got.is_object())
        return equal_members(expect.get_object(), got.get_object());
    if (expect.is_object() && got.is_object() && !is_bounds(expect.get_object()) &&
        std::ranges::find(whole_maps, key) == whole_maps.end()) {
        const bool timed = is_timed(expect.get_object());
        if (timed && !is_in_time(expect.get_object(), got.get_object())) return false;
        return std::ranges::all_of(expect.get_object(), [&](const auto& entry) {
            if (timed && (entry.key() == "at" || entry.key() == "toleranceMs")) return true;
            const auto* value = got.get_object().if_contains(entry.key());
            return value != nullptr && matches_field(entry.key(), entry.value(), *value, matching);
        });
    }
    return equal(expect, got);
}

} // namespace

Operation::Operation(std::string_view name, Run run, Matching matching) {
    const bool fresh = operations().emplace(std::string{name}, Entry{std::move(run), matching}).second;
    MUSTER_ENSURE(fresh, "an operation is registered once");
}

const Entry* find_operation(std::string_view name) {
    const auto found = operations().find(name);
    return found == operations().end() ? nullptr : &found->second;
}

std::string unknown_key(const json::value& expect, const json::value& got, const Matching& matching) {
    if (!expect.is_object() || !got.is_object() || matching.whole_object || matching.keys_are_ids) return {};
    if (is_bounds(expect.get_object())) return {};
    for (const auto& [key, value] : expect.get_object()) {
        if (key == "tol" || key == "toleranceMs") continue;
        const auto* answer = got.get_object().if_contains(key);
        if (answer == nullptr) return std::string{key};
        if (std::ranges::find(records, std::string_view{key}) == records.end()) continue;
        if (auto below = unknown_key(value, *answer, {}); !below.empty())
            return std::string{key} + "." + below;
    }
    return {};
}

bool matches(const json::value& expect, const json::value& got, const Matching& matching) {
    if (expect.is_array() && got.is_array() && matching.list_is_set)
        return equal_as_sets(expect.get_array(), got.get_array());
    if (expect.is_object() && is_tolerant(expect.get_object()))
        return tolerant_match(expect.get_object(), got);
    if (expect.is_object() && got.is_object() && !matching.whole_object && !is_bounds(expect.get_object()))
        return matches_field("", expect, got, matching);
    return equal(expect, got);
}

} // namespace muster::conformance
