// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/sbr/settings.hpp>

#include "base/setting_limits.hpp"
#include "base/utf8.hpp"
#include <algorithm>
#include <array>
#include <muster/cluster/sbr/strategy.hpp>
#include <utility>

namespace muster {

namespace {

using std::chrono::milliseconds;

constexpr std::array<std::string_view, 7> strategy_names = {
    "keep-majority", "static-quorum",  "keep-oldest",         "keep-referee",
    "down-all",      "lease-majority", "role-weighted-quorum"};

std::string joined_names() {
    std::string text;
    for (const std::string_view name : strategy_names) text += (text.empty() ? "" : ", ") + std::string(name);
    return text;
}

Error bad_setting(std::string_view name, std::string value, std::string advice) {
    std::string subject = "setting split-brain-resolver." + std::string(name);
    if (!value.empty()) subject += " = " + value;
    return Error{Errc::invalid_argument, std::move(subject), std::move(advice), {}};
}

std::string ms_text(milliseconds duration) { return std::to_string(duration.count()) + "ms"; }

} // namespace

std::span<const std::string_view> sbr_strategy_names() noexcept { return strategy_names; }

std::optional<milliseconds> SbrSettings::Unstable::limit(milliseconds stable) const noexcept {
    switch (mode_) {
    case Mode::Derived: return std::max(milliseconds{4000}, stable * 3 / 4);
    case Mode::After: return limit_;
    case Mode::Off: break;
    }
    return std::nullopt;
}

namespace {

/// Times and weights, which every strategy shares.
result<void> validate_common(const SbrSettings& s) {
    if (s.stable_after < milliseconds{0})
        return bad_setting("stable-after", ms_text(s.stable_after),
                           "use 0 or more; 20s suits up to 100 members");
    if (s.stable_after > setting_duration_max)
        return bad_setting("stable-after", ms_text(s.stable_after), "use at most 8760 hours");
    const auto unstable = s.down_all_when_unstable.limit(s.stable_after);
    if (unstable && *unstable <= milliseconds{0})
        return bad_setting("down-all-when-unstable", ms_text(*unstable), "use on, off or a duration above 0");
    if (unstable && *unstable > setting_duration_max)
        return bad_setting("down-all-when-unstable", ms_text(*unstable), "use on, off or at most 8760 hours");
    if (!s.role.empty() && !is_label(s.role))
        return bad_setting("role", to_utf8(s.role), "use UTF-8 text without control characters");
    for (const auto& [role, weight] : s.weights)
        if (!is_label(role))
            return bad_setting("weights", to_utf8(role),
                               "use roles of UTF-8 text without control characters");
    const bool weighs = s.strategy == "keep-majority" || s.strategy == "static-quorum" ||
                        s.strategy == "role-weighted-quorum";
    if (!s.role_weights().is_default() && !weighs)
        return bad_setting(
            "weights", s.config_weights(),
            "only keep-majority, static-quorum and role-weighted-quorum use weights; leave them out "
            "with " +
                s.strategy);
    const bool anybody = s.weight_of_others > 0 || std::any_of(s.weights.begin(), s.weights.end(),
                                                               [](const auto& w) { return w.second > 0; });
    if (!anybody)
        return bad_setting("weights", s.config_weights(),
                           "nobody would count: give at least one weight above 0");
    return {};
}

result<void> validate_lease(const SbrSettings& s) {
    if (s.lease_implementation.empty())
        return bad_setting(
            "lease-majority.lease-implementation", {},
            "name the lease's backend, \"file\" for example; lease-majority cannot work without one");
    if (s.acquire_lease_delay_for_minority < milliseconds{0})
        return bad_setting("lease-majority.acquire-lease-delay-for-minority",
                           ms_text(s.acquire_lease_delay_for_minority), "use 0 or more");
    if (s.release_after < milliseconds{0})
        return bad_setting("lease-majority.release-after", ms_text(s.release_after), "use 0 or more");
    for (const auto& [name, value] :
         {std::pair{"acquire-lease-delay-for-minority", s.acquire_lease_delay_for_minority},
          {"release-after", s.release_after},
          {"lease-operation-timeout", s.lease_operation_timeout}})
        if (value > setting_duration_max)
            return bad_setting(std::string("lease-majority.") + name, ms_text(value),
                               "use at most 8760 hours");
    if (s.lease_operation_timeout <= milliseconds{0})
        return bad_setting("lease-majority.lease-operation-timeout", ms_text(s.lease_operation_timeout),
                           "use more than 0");
    return {};
}

result<void> validate_strategy(const SbrSettings& s) {
    if (std::find(strategy_names.begin(), strategy_names.end(), s.strategy) == strategy_names.end())
        return bad_setting("active-strategy", '"' + s.strategy + '"', "use one of " + joined_names());
    if (s.strategy == "static-quorum" && s.quorum_size < 1)
        return bad_setting("static-quorum.quorum-size", std::to_string(s.quorum_size),
                           "use at least 1: more than half of the members the cluster is meant to have");
    if (s.strategy == "keep-referee" && !s.referee)
        return bad_setting("keep-referee.referee", {}, "name the address of the node that decides");
    if (s.strategy == "lease-majority") return validate_lease(s);
    return {};
}

} // namespace

result<void> SbrSettings::validate() const {
    if (auto ok = validate_strategy(*this); !ok) return ok;
    return validate_common(*this);
}

result<void> SbrSettings::validate_with(const DowningStrategy& own) const {
    const std::string_view name = own.name();
    if (!is_label(name))
        return bad_setting(
            "active-strategy", '"' + to_utf8(name) + '"',
            "give DaemonConfig::downing_strategy a name of UTF-8 text without control characters");
    if (std::find(strategy_names.begin(), strategy_names.end(), name) != strategy_names.end())
        return bad_setting("active-strategy", '"' + std::string(name) + '"',
                           "a built-in strategy has this name, and the join check would take the one for the "
                           "other: give DaemonConfig::downing_strategy another");
    const SbrSettings untouched;
    const std::pair<std::string_view, bool> unread[] = {
        {"active-strategy", strategy != untouched.strategy},
        {"role", !role.empty()},
        {"weights", !role_weights().is_default()},
        {"static-quorum.quorum-size", quorum_size != untouched.quorum_size},
        {"keep-oldest.down-if-alone", down_if_alone != untouched.down_if_alone},
        {"keep-referee.referee", referee.has_value()},
        {"keep-referee.down-all-if-less-than-nodes",
         down_all_if_less_than_nodes != untouched.down_all_if_less_than_nodes}};
    for (const auto& [setting, is_set] : unread)
        if (is_set)
            return bad_setting(setting, {},
                               "leave it out: the strategy \"" + std::string(name) +
                                   "\" of DaemonConfig::downing_strategy does not read it");
    if (!lease_implementation.empty())
        if (auto ok = validate_lease(*this); !ok) return ok;
    return validate_common(*this);
}

RoleWeights SbrSettings::role_weights() const {
    return {std::map<std::string, std::uint32_t, std::less<>>(weights.begin(), weights.end()),
            weight_of_others};
}

result<std::shared_ptr<const DowningStrategy>> SbrSettings::make_strategy() const {
    if (auto ok = validate(); !ok) return ok.error();
    std::shared_ptr<const DowningStrategy> made;
    if (strategy == "keep-majority")
        made = std::make_shared<const KeepMajorityStrategy>(role, role_weights());
    else if (strategy == "static-quorum")
        made = std::make_shared<const StaticQuorumStrategy>(quorum_size, role, role_weights());
    else if (strategy == "keep-oldest")
        made = std::make_shared<const KeepOldestStrategy>(down_if_alone, role);
    else if (strategy == "keep-referee")
        made = std::make_shared<const KeepReferee>(*referee, down_all_if_less_than_nodes);
    else if (strategy == "down-all")
        made = std::make_shared<const DownAllStrategy>();
    else if (strategy == "lease-majority")
        made = std::make_shared<const LeaseMajorityStrategy>(acquire_lease_delay_for_minority, role);
    else
        made = std::make_shared<const RoleWeightedQuorum>(
            role_weights(), quorum_size == 0 ? std::nullopt : std::optional(quorum_size));
    return made;
}

namespace {

using ConfigValues = std::map<std::string, std::string>;

std::string config_key(std::string_view name) { return "cluster.split-brain-resolver." + std::string(name); }

void add_indirect(const SbrSettings& s, ConfigValues& values) {
    values[config_key("indirectly-connected")] = s.indirect == SbrSettings::Indirect::All ? "all" : "blamed";
}

void add_lease(const SbrSettings& s, std::string_view cluster_name, ConfigValues& values) {
    values[config_key("lease-majority.lease-implementation")] = s.lease_implementation;
    values[config_key("lease-majority.lease-name")] =
        s.lease_name.empty() ? SbrSettings::default_lease_name(cluster_name) : s.lease_name;
}

} // namespace

ConfigValues SbrSettings::config_deciding_with(const DowningStrategy& own,
                                               std::string_view cluster_name) const {
    ConfigValues values;
    add_indirect(*this, values);
    values[config_key("own-strategy")] = own.describe();
    if (!lease_implementation.empty()) add_lease(*this, cluster_name, values);
    return values;
}

ConfigValues SbrSettings::config_deciding(std::string_view cluster_name) const {
    ConfigValues values;
    add_indirect(*this, values);
    const bool has_role = strategy == "keep-majority" || strategy == "static-quorum" ||
                          strategy == "keep-oldest" || strategy == "lease-majority";
    if (has_role) values[config_key("role")] = role;
    if (strategy == "static-quorum" || strategy == "role-weighted-quorum")
        values[config_key("static-quorum.quorum-size")] = std::to_string(quorum_size);
    if (strategy == "keep-oldest")
        values[config_key("keep-oldest.down-if-alone")] = down_if_alone ? "on" : "off";
    if (strategy == "keep-referee") {
        values[config_key("keep-referee.referee")] = referee ? referee->to_string() : "";
        values[config_key("keep-referee.down-all-if-less-than-nodes")] =
            std::to_string(down_all_if_less_than_nodes);
    }
    if (strategy == "lease-majority") add_lease(*this, cluster_name, values);
    return values;
}

std::map<std::string, std::string> SbrSettings::config_timing() const {
    const auto unstable = down_all_when_unstable.limit(stable_after);
    return {{config_key("stable-after"), ms_text(stable_after)},
            {config_key("down-all-when-unstable"), unstable ? ms_text(*unstable) : "off"},
            {config_key("dry-run"), dry_run ? "on" : "off"}};
}

milliseconds SbrSettings::recommended_stable_after(std::size_t members) noexcept {
    struct Row {
        std::size_t members;
        milliseconds stable_after;
    };
    constexpr std::array<Row, 5> table = {{{5, milliseconds{7000}},
                                           {10, milliseconds{10'000}},
                                           {20, milliseconds{13'000}},
                                           {50, milliseconds{17'000}},
                                           {100, milliseconds{20'000}}}};
    for (const Row& row : table)
        if (members <= row.members) return row.stable_after;
    return milliseconds{30'000};
}

std::string SbrSettings::default_lease_name(std::string_view cluster_name) {
    return std::string(cluster_name) + "-muster-sbr";
}

} // namespace muster
