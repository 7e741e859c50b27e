// SPDX-License-Identifier: Apache-2.0
#include "text.hpp"
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <fmt/format.h>
#include <muster/sim/world/scenario.hpp>

namespace muster::sim {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

constexpr std::array distance_names = {
    std::pair{Scenario::Distance::Lan, std::string_view("lan")},
    std::pair{Scenario::Distance::Metro, std::string_view("metro")},
    std::pair{Scenario::Distance::Wan, std::string_view("wan")},
    std::pair{Scenario::Distance::HeavyTail, std::string_view("heavy-tail")},
};

std::int64_t to_ms(Duration d) { return d / milliseconds(1); }

json::array to_array(const std::vector<std::size_t>& numbers) {
    json::array result;
    for (const std::size_t n : numbers) result.push_back(n);
    return result;
}

json::object to_object(const Fault& m) {
    json::object o{{"at_ms", to_ms(m.at)}, {"kind", to_string(m.kind)}, {"nodes", to_array(m.nodes)}};
    if (!m.others.empty()) o["others"] = to_array(m.others);
    if (m.length != Duration{}) o["length_ms"] = to_ms(m.length);
    if (m.amount != 0) o["amount"] = m.amount;
    return o;
}

json::object to_object(const Scenario& s) {
    json::object o;
    if (!s.name.empty()) o["name"] = s.name;
    o["seed"] = s.seed;
    o["nodes"] = s.nodes;
    o["seed_nodes"] = s.seed_nodes;
    o["data_centers"] = s.data_centers;
    o["strategy"] = s.strategy;
    if (!s.role.empty()) o["role"] = s.role;
    o["stable_after_ms"] = to_ms(s.stable_after);
    o["unstable_guard"] = s.unstable_guard;
    o["classic"] = s.classic;
    for (const auto& [value, name] : distance_names)
        if (value == s.distance) o["distance"] = name;
    o["tells_per_second"] = s.tells_per_second;
    if (s.association_bytes_max != 0) o["association_bytes_max"] = s.association_bytes_max;
    if (s.exiting_tasks != Duration{}) o["exiting_tasks_ms"] = to_ms(s.exiting_tasks);
    o["fault_time_ms"] = to_ms(s.fault_time);
    o["quiet_ms"] = to_ms(s.quiet);
    json::array faults;
    for (const Fault& m : s.faults) faults.push_back(to_object(m));
    o["faults"] = std::move(faults);
    return o;
}

/// The error of a field, thrown only inside this file.
struct BadField {
    Error error;
};
[[noreturn]] void bad(std::string subject, std::string advice) {
    throw BadField{Error{Errc::malformed, std::move(subject), std::move(advice), {}}};
}

/// One object, every field of which has to be known.
class Fields {
public:
    Fields(const json::value& value, std::string where) : where_(std::move(where)) {
        if (!value.is_object()) bad(where_.empty() ? "scenario" : where_, "use a JSON object");
        object_ = &value.get_object();
    }
    ~Fields() = default;
    Fields(const Fields&) = delete;
    Fields& operator=(const Fields&) = delete;

    template <class Integer>
    void integer(std::string_view name, Integer& target) {
        const json::value* v = take(name);
        if (!v) return;
        boost::system::error_code failed;
        const auto number = v->to_number<Integer>(failed);
        if (failed) bad(path(name), "use a whole number in its range");
        target = number;
    }
    void duration(std::string_view name, Duration& target) {
        std::int64_t ms = to_ms(target);
        integer(name, ms);
        constexpr std::int64_t limit = 9'000'000'000'000; // what Duration can hold, about
        if (ms < 0 || ms > limit) bad(path(name), "use milliseconds, 0 or more");
        target = milliseconds(ms);
    }
    void boolean(std::string_view name, bool& target) {
        const json::value* v = take(name);
        if (!v) return;
        if (!v->is_bool()) bad(path(name), "use true or false");
        target = v->get_bool();
    }
    void text(std::string_view name, std::string& target) {
        const json::value* v = take(name);
        if (!v) return;
        if (!v->is_string()) bad(path(name), "use a text");
        target = std::string(std::string_view(v->get_string()));
    }
    void numbers(std::string_view name, std::vector<std::size_t>& target) {
        const json::value* v = take(name);
        if (!v) return;
        if (!v->is_array()) bad(path(name), "use a list of numbers of nodes");
        target.clear();
        for (const json::value& item : v->get_array()) {
            boost::system::error_code failed;
            target.push_back(item.to_number<std::size_t>(failed));
            if (failed) bad(path(name), "use a list of numbers of nodes");
        }
    }
    const json::array* list(std::string_view name) {
        const json::value* v = take(name);
        if (!v) return nullptr;
        if (!v->is_array()) bad(path(name), "use a list");
        return &v->get_array();
    }
    /// An unknown field is a mistake that would otherwise go unnoticed.
    void done() const {
        for (const auto& field : *object_)
            if (std::ranges::find(known_, field.key()) == known_.end())
                bad(path(field.key()), fmt::format("there are: {}", join(known_, ", ")));
    }

private:
    const json::value* take(std::string_view name) {
        known_.emplace_back(name);
        return object_->if_contains(name);
    }
    std::string path(std::string_view name) const {
        return where_.empty() ? std::string(name) : fmt::format("{}.{}", where_, name);
    }

    const json::object* object_ = nullptr;
    std::string where_;
    std::vector<std::string> known_;
};

Fault fault_from(const json::value& value, const std::string& where) {
    Fault m;
    std::string kind;
    Fields fields(value, where);
    fields.duration("at_ms", m.at);
    fields.text("kind", kind);
    fields.numbers("nodes", m.nodes);
    fields.numbers("others", m.others);
    fields.duration("length_ms", m.length);
    fields.integer("amount", m.amount);
    fields.done();
    const auto parsed = parse_fault_kind(kind);
    if (!parsed) bad(where + ".kind", fmt::format("there is no '{}'", kind));
    m.kind = *parsed;
    return m;
}

Scenario scenario_from(const json::value& value) {
    Scenario s;
    std::string distance = "lan";
    Fields fields(value, {});
    fields.text("name", s.name);
    fields.integer("seed", s.seed);
    fields.integer("nodes", s.nodes);
    fields.integer("seed_nodes", s.seed_nodes);
    fields.integer("data_centers", s.data_centers);
    fields.text("strategy", s.strategy);
    fields.text("role", s.role);
    fields.duration("stable_after_ms", s.stable_after);
    fields.boolean("unstable_guard", s.unstable_guard);
    fields.boolean("classic", s.classic);
    fields.text("distance", distance);
    fields.integer("tells_per_second", s.tells_per_second);
    fields.integer("association_bytes_max", s.association_bytes_max);
    fields.duration("exiting_tasks_ms", s.exiting_tasks);
    fields.duration("fault_time_ms", s.fault_time);
    fields.duration("quiet_ms", s.quiet);
    const auto named =
        std::ranges::find(distance_names, distance, &std::pair<Scenario::Distance, std::string_view>::second);
    if (named == distance_names.end()) bad("distance", "there are: lan, metro, wan, heavy-tail");
    s.distance = named->first;
    if (const json::array* list = fields.list("faults"))
        for (std::size_t i = 0; i < list->size(); ++i)
            s.faults.push_back(fault_from((*list)[i], fmt::format("faults[{}]", i)));
    fields.done();
    std::ranges::stable_sort(s.faults, {}, &Fault::at);
    return s;
}

} // namespace

std::string Scenario::to_json() const { return json::serialize(to_object(*this)); }

result<Scenario> Scenario::from_json(std::string_view text) {
    boost::system::error_code failed;
    const json::value value = json::parse(json::string_view(text.data(), text.size()), failed);
    if (failed) return Error{Errc::malformed, "scenario", "use JSON", failed};
    try {
        Scenario s = scenario_from(value);
        if (auto ok = s.validate(); !ok) return ok.error();
        return s;
    } catch (const BadField& bad_field) {
        return bad_field.error;
    }
}

} // namespace muster::sim
