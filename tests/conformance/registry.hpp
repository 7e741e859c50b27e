// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Which operation of the schema runs which code, and how its result compares with the expectation.
///
/// An ops_*.cpp file registers its operations with static objects:
///
///     const Operation convergence{"convergence", [](const json::object& given) -> Outcome { ... }};
///
/// and calls muster's own classes: there is no second implementation of a rule in here.
#include "loader.hpp"
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace muster::conformance {

/// What an operation answered: one value, or several that must all match (a merge and its mirror image).
struct Outcome {
    std::vector<json::value> values;
    template <class T>
        requires std::constructible_from<json::value, T>
    Outcome(T&& value) : values{json::value(std::forward<T>(value))} {}
    Outcome(std::initializer_list<json::value> all) : values(all) {}
};

/// How an expectation is read. Defaults: a top-level list is compared in order; a top-level object is
/// partial, only its keys are compared; a list below a key is a set, except below "memberEvents"; an object
/// below a key is partial too, except the maps "members", "roleLeaders", "version" and "versions", which are
/// compared whole ("members" by the statuses alone where these are given without numbers); an object in a
/// list is compared whole, and the lists in it are sets. {approx,tol} and {gt} match numbers anywhere.
struct Matching {
    bool list_is_set = false;    ///< the top-level list is a set
    bool whole_object = false;   ///< the top-level object is a map and compared whole
    bool lists_in_order = false; ///< lists below a key are compared in order
    bool keys_are_ids =
        false; ///< the top-level object is a partial map: its keys are ids, not words of the schema
};

using Run = std::function<Outcome(const json::object& given)>;

struct Entry {
    Run run;
    Matching matching;
};

/// Registers an operation; twice the same name is a bug of the runner.
class Operation {
public:
    Operation(std::string_view name, Run run, Matching matching = {});
};

/// nullptr: nobody registered that name.
const Entry* find_operation(std::string_view name);

/// A key of the expectation that the operation does not answer, so that nothing was compared: the runner's
/// own failure. Empty: none.
std::string unknown_key(const json::value& expect, const json::value& got, const Matching& matching);
/// Whether `got` is what `expect` asks for.
bool matches(const json::value& expect, const json::value& got, const Matching& matching);

} // namespace muster::conformance
