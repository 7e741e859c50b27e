// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/protocol/settings.hpp>

#include "base/setting_limits.hpp"
#include "base/utf8.hpp"
#include <cmath>
#include <muster/cluster/state/gossip_limits.hpp>
#include <muster/cluster/state/member.hpp>
#include <optional>
#include <string_view>
#include <utility>

namespace muster {
namespace {

using std::chrono::milliseconds;

/// Collects the first setting outside its range.
class Validator {
public:
    void require(bool ok, std::string_view setting, std::string_view range) {
        if (ok || error_) return;
        error_ = Error{Errc::invalid_argument, "setting " + std::string{setting}, std::string{range}};
    }
    void above_zero(milliseconds value, std::string_view setting) {
        require(value > milliseconds::zero(), setting, "use a duration above 0");
        not_endless(value, setting);
    }
    void not_negative(milliseconds value, std::string_view setting) {
        require(value >= milliseconds::zero(), setting, "use a duration of 0 or more");
        not_endless(value, setting);
    }
    void above_zero_or_off(const std::optional<milliseconds>& value, std::string_view setting) {
        require(!value || *value > milliseconds::zero(), setting, "use a duration above 0, or off");
        not_endless(value.value_or(milliseconds::zero()), setting);
    }
    void not_endless(milliseconds value, std::string_view setting) {
        require(value <= setting_duration_max, setting, "use a duration of at most 8760 hours");
    }
    /// Checks a duration that is multiplied by a number of nodes.
    void short_step(milliseconds value, std::string_view setting) {
        require(value <= setting_step_max, setting, "use a duration of at most an hour");
    }
    void count(std::size_t value, std::string_view setting) {
        require(value > 0, setting, "use a number of 1 or more");
    }
    void probability(double value, std::string_view setting) {
        require(value >= 0.0 && value <= 1.0, setting, "use a number from 0 to 1");
    }
    void role(const std::string& name, std::string_view setting) {
        require(!name.empty() && !name.starts_with(DC_ROLE_PREFIX), std::string{setting} + " \"" + name + '"',
                "use a role that is not empty and does not start with \"dc-\"; the data center is set by "
                "multi-data-center.self-data-center");
        label(name, setting);
    }
    /// Checks a text that peers read and print.
    void label(const std::string& name, std::string_view setting) {
        require(is_label(name), std::string{setting} + " \"" + to_utf8(name) + '"',
                "use UTF-8 text without control characters");
    }
    result<void> finish() && {
        if (error_) return *std::move(error_);
        return {};
    }

private:
    std::optional<Error> error_;
};

/// Checks for roles that no member would admit (gossip_limits.hpp).
void validate_member_limits(const ClusterSettings& s, Validator& v) {
    const auto at_most = [&](std::size_t has, std::size_t limit, std::string_view setting,
                             std::string_view what) {
        v.require(has <= limit, setting, "use at most " + std::to_string(limit) + ' ' + std::string{what});
    };
    std::size_t sum = 0;
    for (const auto& role : s.roles) {
        at_most(role.size(), role_bytes_max, "roles", "bytes for a role");
        sum += role.size();
    }
    // Beside the dc- role.
    at_most(s.roles.size(), member_roles_max - 1, "roles", "of them");
    at_most(sum, member_roles_bytes_max - role_bytes_max, "roles", "bytes for all roles in sum");
    at_most(s.app_version.text().size(), app_version_bytes_max, "app-version", "bytes");
    at_most(s.multi_dc.self_data_center.size(), data_center_bytes_max, "multi-data-center.self-data-center",
            "bytes");
}

void validate_joining(const ClusterSettings& s, Validator& v) {
    for (const Address& seed : s.seed_nodes) {
        v.require(seed.host && seed.port, "seed-nodes entry " + seed.to_string(),
                  "use an address with host and port");
        v.require(!seed.host || seed.host->size() <= address_part_bytes_max, "seed-nodes entry",
                  "use a host of at most " + std::to_string(address_part_bytes_max) + " bytes");
    }
    v.above_zero(s.seed_node_timeout, "seed-node-timeout");
    v.above_zero_or_off(s.seed_ask_again_after, "seed-ask-again-after");
    v.above_zero_or_off(s.retry_unsuccessful_join_after, "retry-unsuccessful-join-after");
    v.above_zero_or_off(s.shutdown_after_unsuccessful_join_seed_nodes,
                        "shutdown-after-unsuccessful-join-seed-nodes");
    for (const auto& role : s.roles) v.role(role, "roles");
    v.label(std::string{s.app_version.text()}, "app-version");
    validate_member_limits(s, v);
    v.count(s.min_nr_of_members, "min-nr-of-members");
    for (const auto& [role, minimum] : s.role_min_nr_of_members) {
        v.require(!role.empty(), "role.<r>.min-nr-of-members", "name the role");
        v.label(role, "role." + to_utf8(role) + ".min-nr-of-members");
        v.count(minimum, "role." + role + ".min-nr-of-members");
    }
    for (const auto& path : s.sensitive_config_paths) {
        v.require(!path.empty(), "configuration-compatibility-check.sensitive-config-paths",
                  "an empty prefix would match every setting: name one");
    }
}

void validate_gossip(const ClusterSettings& s, Validator& v) {
    v.not_negative(s.periodic_tasks_initial_delay, "periodic-tasks-initial-delay");
    v.above_zero(s.gossip_interval, "gossip-interval");
    v.above_zero(s.gossip_time_to_live, "gossip-time-to-live");
    v.above_zero(s.leader_actions_interval, "leader-actions-interval");
    v.above_zero(s.unreachable_nodes_reaper_interval, "unreachable-nodes-reaper-interval");
    v.require(!s.publish_stats_interval || *s.publish_stats_interval >= milliseconds::zero(),
              "publish-stats-interval", "use a duration of 0 or more, or off");
    v.not_endless(s.publish_stats_interval.value_or(milliseconds::zero()), "publish-stats-interval");
    v.probability(s.gossip_different_view_probability, "gossip-different-view-probability");
    v.count(s.reduce_gossip_different_view_probability, "reduce-gossip-different-view-probability");
    v.require(!s.gossip_bytes_max || *s.gossip_bytes_max >= 1024, "gossip-bytes-max", "use at least 1024");
    v.above_zero(s.prune_gossip_tombstones_after, "prune-gossip-tombstones-after");
    v.above_zero_or_off(s.allow_weakly_up_members, "allow-weakly-up-members");
    v.not_negative(s.down_removal_margin, "down-removal-margin");
    v.above_zero(s.quarantine_removed_node_after, "quarantine-removed-node-after");
}

void validate_failure_detection(const ClusterSettings& s, Validator& v) {
    const auto& fd = s.failure_detector;
    v.above_zero(fd.heartbeat_interval, "failure-detector.heartbeat-interval");
    v.require(fd.threshold > 0.0 && std::isfinite(fd.threshold), "failure-detector.threshold",
              "use a number above 0");
    v.count(fd.max_sample_size, "failure-detector.max-sample-size");
    v.require(fd.max_sample_size <= heartbeat_samples_max, "failure-detector.max-sample-size",
              "use at most 100000");
    v.above_zero(fd.min_std_deviation, "failure-detector.min-std-deviation");
    v.not_negative(fd.acceptable_heartbeat_pause, "failure-detector.acceptable-heartbeat-pause");
    v.count(fd.monitored_by_nr_of_members, "failure-detector.monitored-by-nr-of-members");
    v.above_zero(fd.expected_response_after, "failure-detector.expected-response-after");
    const auto& dc = s.multi_dc;
    v.require(!dc.self_data_center.empty(), "multi-data-center.self-data-center", "use a name");
    v.label(dc.self_data_center, "multi-data-center.self-data-center");
    v.count(dc.cross_dc_connections, "multi-data-center.cross-data-center-connections");
    v.probability(dc.cross_dc_gossip_probability, "multi-data-center.cross-data-center-gossip-probability");
    v.above_zero(dc.heartbeat_interval, "multi-data-center.failure-detector.heartbeat-interval");
    v.not_negative(dc.acceptable_heartbeat_pause,
                   "multi-data-center.failure-detector.acceptable-heartbeat-pause");
    v.above_zero(dc.expected_response_after, "multi-data-center.failure-detector.expected-response-after");
}

void validate_eager(const ClusterSettings& s, Validator& v) {
    v.count(s.eager.fanout, "eager-fanout");
    v.above_zero(s.eager.repair_after, "eager-repair-after");
    v.not_negative(s.eager.interval_min, "eager-interval-min");
    v.not_negative(s.eager.join_batch, "join-batch");
    v.not_negative(s.eager.evidence_rank_delay, "evidence-rank-delay");
    v.short_step(s.eager.repair_after, "eager-repair-after");
    v.short_step(s.eager.interval_min, "eager-interval-min");
    v.short_step(s.eager.join_batch, "join-batch");
    v.short_step(s.eager.evidence_rank_delay, "evidence-rank-delay");
    v.above_zero(s.eager.evidence_window, "evidence-window");
    v.short_step(s.eager.evidence_window, "evidence-window");
}

} // namespace

ClusterSettings ClusterSettings::classic() {
    ClusterSettings settings;
    settings.seed_refused_is_nack = false;
    settings.seed_ask_again_after.reset();
    settings.eager.eager_gossip = false;
    settings.eager.death_evidence = false;
    settings.patient_leave = false;
    return settings;
}

result<void> ClusterSettings::validate() const {
    Validator validator;
    validate_joining(*this, validator);
    validate_gossip(*this, validator);
    validate_failure_detection(*this, validator);
    validate_eager(*this, validator);
    return std::move(validator).finish();
}

} // namespace muster
