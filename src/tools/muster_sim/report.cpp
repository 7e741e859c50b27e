// SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <fmt/format.h>

namespace muster::tools {

namespace json = boost::json;

std::string outcome_to_json(const sim::Outcome& o, bool with_scene) {
    json::object line{{"seed", o.seed},
                      {"ok", o.ok()},
                      {"virtual_ms", o.virtual_time / std::chrono::milliseconds(1)},
                      {"trace_hash", fmt::format("{:016x}", o.trace_hash)},
                      {"events", o.events},
                      {"checks", o.checks},
                      {"tells", o.tells},
                      {"restarts", o.restarts}};
    if (o.broken) {
        line["broken"] = *o.broken;
        line["detail"] = o.detail;
        if (with_scene) line["scene"] = o.scene;
    }
    return json::serialize(line);
}

std::optional<sim::Outcome> outcome_from_json(const std::string& text) {
    boost::system::error_code failed;
    const json::value value = json::parse(text, failed);
    if (failed || !value.is_object()) return std::nullopt;
    const json::object& line = value.get_object();
    const auto number = [&line](std::string_view name) { return line.at(name).to_number<std::uint64_t>(); };
    sim::Outcome o;
    o.seed = number("seed");
    o.virtual_time = std::chrono::milliseconds(static_cast<std::int64_t>(number("virtual_ms")));
    o.trace_hash = std::stoull(std::string(line.at("trace_hash").as_string()), nullptr, 16);
    o.events = number("events");
    o.checks = number("checks");
    o.tells = number("tells");
    o.restarts = number("restarts");
    if (const auto* broken = line.if_contains("broken")) {
        o.broken = std::string(broken->as_string());
        o.detail = std::string(line.at("detail").as_string());
        if (const auto* scene = line.if_contains("scene")) o.scene = std::string(scene->as_string());
    }
    return o;
}

std::string title_of(const sim::Scenario& s) {
    return fmt::format("{}seed {}: {} nodes, {}, {} fault{}", s.name.empty() ? "" : s.name + ", ", s.seed,
                       s.nodes, s.strategy, s.faults.size(), s.faults.size() == 1 ? "" : "s");
}

std::string faults_of(const sim::Scenario& s) {
    constexpr std::size_t shown_max = 24;
    std::string text;
    for (std::size_t i = 0; i < std::min(s.faults.size(), shown_max); ++i)
        text += fmt::format("    {}\n", sim::describe_with_times(s.faults[i]));
    if (s.faults.size() > shown_max) text += fmt::format("    and {} more\n", s.faults.size() - shown_max);
    return text;
}

void Sum::add(const sim::Scenario& scenario, const sim::Outcome& outcome) {
    ++runs;
    broken += outcome.ok() ? 0 : 1;
    checks += outcome.checks;
    tells += outcome.tells;
    const double hours = static_cast<double>(outcome.virtual_time.count()) / 3.6e12;
    virtual_hours += hours;
    node_hours += hours * static_cast<double>(scenario.nodes);
}

std::string to_json(const Sum& s) {
    return json::serialize(json::object{{"runs", s.runs},
                                        {"broken", s.broken},
                                        {"checks", s.checks},
                                        {"tells", s.tells},
                                        {"virtual_hours", s.virtual_hours},
                                        {"node_hours", s.node_hours},
                                        {"real_seconds", s.real_seconds}});
}

std::string to_text(const Sum& s) {
    return fmt::format(
        "{} runs, {:.1f} virtual hours, {:.0f} hours of nodes, {} checks, {} tells, {:.1f} s of real time\n"
        "{} passed, {} failed",
        s.runs, s.virtual_hours, s.node_hours, s.checks, s.tells, s.real_seconds, s.runs - s.broken,
        s.broken);
}

} // namespace muster::tools
