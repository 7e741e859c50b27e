// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Every knob of the protocol with its default (protocol.md §18).
#include <chrono>
#include <cstdint>
#include <map>
#include <muster/address.hpp>
#include <muster/cluster/state/app_version.hpp>
#include <muster/error.hpp>
#include <optional>
#include <string>
#include <vector>

namespace muster {

/// The most samples of one failure detector: with more their sum of squares could overflow.
inline constexpr std::size_t heartbeat_samples_max = 100'000;

/// Settings of the phi accrual detector inside a data center (protocol.md §12.5).
struct FailureDetectorSettings {
    std::chrono::milliseconds heartbeat_interval{1000};         ///< > 0; also the first heartbeat estimate
    double threshold = 8.0;                                     ///< phi; 12 suggested for noisy clouds
    std::size_t max_sample_size = 1000;                         ///< 1 to heartbeat_samples_max
    std::chrono::milliseconds min_std_deviation{100};           ///< > 0
    std::chrono::milliseconds acceptable_heartbeat_pause{3000}; ///< >= 0
    std::size_t monitored_by_nr_of_members = 9;                 ///< > 0
    std::chrono::milliseconds expected_response_after{1000};    ///< > 0
};

/// Settings between data centers (protocol.md §13).
struct MultiDcSettings {
    std::string self_data_center = "default";
    std::size_t cross_dc_connections = 5;               ///< > 0
    double cross_dc_gossip_probability = 0.2;           ///< [0, 1]
    std::chrono::milliseconds heartbeat_interval{3000}; ///< > 0
    std::chrono::milliseconds acceptable_heartbeat_pause{10'000};
    std::chrono::milliseconds expected_response_after{1000};
};

/// muster's own: eager gossip and evidence (protocol.md §6.6, §12.7). The classic preset has both off.
struct EagerSettings {
    bool eager_gossip = true;
    bool death_evidence = true;
    std::size_t fanout = 3; ///< >= 1
    std::chrono::milliseconds repair_after{10};
    std::chrono::milliseconds interval_min{5};
    std::chrono::milliseconds join_batch{10};
    std::chrono::milliseconds evidence_rank_delay{15};
    /// > 0. When connections with more than half of the watched nodes end within this time, the node suspects
    /// itself (protocol.md §12.7).
    std::chrono::milliseconds evidence_window{1000};
};

/// Durations are at most a year (setting_duration_max), those of EagerSettings at most an hour. Names are
/// UTF-8 without control characters.
struct ClusterSettings {
    std::vector<Address> seed_nodes;
    std::chrono::milliseconds seed_node_timeout{5000};
    bool seed_refused_is_nack = true;
    /// The delay before asking again after a seed's Nack, a refused connection or JoinDeferred (muster's own;
    /// absent in the classic preset, where only seed_node_timeout and retry_unsuccessful_join_after repeat).
    /// > 0.
    std::optional<std::chrono::milliseconds> seed_ask_again_after{std::chrono::milliseconds{250}};
    std::optional<std::chrono::milliseconds> retry_unsuccessful_join_after{std::chrono::seconds{10}};
    std::optional<std::chrono::milliseconds> shutdown_after_unsuccessful_join_seed_nodes;
    std::chrono::milliseconds down_removal_margin{0}; ///< 0: stable-after under SBR
    std::chrono::milliseconds quarantine_removed_node_after{5000};
    std::optional<std::chrono::milliseconds> allow_weakly_up_members{std::chrono::seconds{7}};
    /// Prefix dc- is reserved. At most 127, of 255 bytes each and 7937 in sum (gossip_limits.hpp); more is an
    /// error at start.
    std::vector<std::string> roles;
    AppVersion app_version;
    bool run_coordinated_shutdown_when_down = true;
    /// Whether a leaving node stays a full member until it may go (muster's own, protocol.md §11.1: a crash
    /// delays a leave, ExitingConfirmed is repeated until it is answered, and nobody waits for a member that
    /// sent Goodbye{stopping}). Off in the classic preset.
    bool patient_leave = true;
    std::size_t min_nr_of_members = 1; ///< > 0
    std::map<std::string, std::size_t> role_min_nr_of_members;
    std::chrono::milliseconds periodic_tasks_initial_delay{1000};
    std::chrono::milliseconds gossip_interval{1000};
    std::chrono::milliseconds gossip_time_to_live{2000};
    std::chrono::milliseconds leader_actions_interval{1000};
    std::chrono::milliseconds unreachable_nodes_reaper_interval{1000};
    std::optional<std::chrono::milliseconds> publish_stats_interval;
    double gossip_different_view_probability = 0.8;             ///< [0, 1]
    std::size_t reduce_gossip_different_view_probability = 400; ///< nodes
    /// A join that would bring the encoded gossip above this many bytes is deferred (JoinDeferred,
    /// protocol.md §5.6 Room); the joiner asks again. At least 1024. Absent: a quarter of the transport's
    /// largest frame, which is also the most that ClusterRemoteAdapter takes.
    std::optional<std::size_t> gossip_bytes_max;
    std::chrono::milliseconds prune_gossip_tombstones_after{std::chrono::hours{24}};
    FailureDetectorSettings failure_detector;
    MultiDcSettings multi_dc;
    EagerSettings eager;
    bool enforce_config_on_join = true;
    std::vector<std::string> sensitive_config_paths; ///< prefixes never compared

    /// The classic preset: exactly protocol.md without §6.6 and §12.7, which is what the conformance cases
    /// run.
    static ClusterSettings classic();
    /// The first setting outside its range: Errc::invalid_argument with subject "setting <name>" and the
    /// range as advice.
    result<void> validate() const;
};

} // namespace muster
