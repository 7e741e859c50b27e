// SPDX-License-Identifier: Apache-2.0
#include "base/setting_limits.hpp"
#include <gtest/gtest.h>
#include <limits>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/cluster/protocol/settings.hpp>
#include <string>
#include <vector>

namespace muster {
namespace {

using namespace std::chrono_literals;

/// The setting that validate() complains about, "" when it is content.
template <class Change>
std::string refused(Change change) {
    ClusterSettings settings;
    change(settings);
    const auto valid = settings.validate();
    if (valid) return "";
    EXPECT_EQ(valid.error(), Errc::invalid_argument);
    EXPECT_FALSE(valid.error().advice.empty());
    return valid.error().subject;
}

TEST(ClusterSettings, TheDefaultsAndTheClassicPresetAreValid) {
    EXPECT_TRUE(ClusterSettings{}.validate());
    const auto classic = ClusterSettings::classic();
    EXPECT_TRUE(classic.validate());
    EXPECT_FALSE(classic.eager.eager_gossip);
    EXPECT_FALSE(classic.eager.death_evidence);
    EXPECT_FALSE(classic.seed_refused_is_nack);
}

TEST(ClusterSettings, NameTheFirstSettingOutsideItsRange) {
    EXPECT_EQ(refused([](auto& s) { s.gossip_interval = 0ms; }), "setting gossip-interval");
    EXPECT_EQ(refused([](auto& s) { s.min_nr_of_members = 0; }), "setting min-nr-of-members");
    EXPECT_EQ(refused([](auto& s) { s.role_min_nr_of_members["db"] = 0; }),
              "setting role.db.min-nr-of-members");
    EXPECT_EQ(refused([](auto& s) { s.roles = {"web", "dc-west"}; }), "setting roles \"dc-west\"");
    EXPECT_EQ(refused([](auto& s) { s.roles = {""}; }), "setting roles \"\"");
    EXPECT_EQ(refused([](auto& s) { s.gossip_different_view_probability = 1.5; }),
              "setting gossip-different-view-probability");
    EXPECT_EQ(refused([](auto& s) { s.failure_detector.threshold = 0; }),
              "setting failure-detector.threshold");
    EXPECT_EQ(refused([](auto& s) { s.failure_detector.monitored_by_nr_of_members = 0; }),
              "setting failure-detector.monitored-by-nr-of-members");
    EXPECT_EQ(refused([](auto& s) { s.multi_dc.cross_dc_gossip_probability = -0.1; }),
              "setting multi-data-center.cross-data-center-gossip-probability");
    EXPECT_EQ(refused([](auto& s) { s.multi_dc.self_data_center = ""; }),
              "setting multi-data-center.self-data-center");
    EXPECT_EQ(refused([](auto& s) { s.retry_unsuccessful_join_after = 0ms; }),
              "setting retry-unsuccessful-join-after");
    EXPECT_EQ(refused([](auto& s) { s.seed_nodes = {Address::local("akka", "sys")}; }),
              "setting seed-nodes entry akka://sys");
    EXPECT_EQ(refused([](auto& s) { s.eager.fanout = 0; }), "setting eager-fanout");
}

TEST(ClusterSettings, EveryDurationHasAnUpperBoundThatSumsOfThemSurvive) {
    using Field = std::chrono::milliseconds& (*)(ClusterSettings&);
    using Optional = std::optional<std::chrono::milliseconds>& (*)(ClusterSettings&);
    const std::vector<Field> durations{
        [](auto& s) -> auto& { return s.seed_node_timeout; },
        [](auto& s) -> auto& { return s.down_removal_margin; },
        [](auto& s) -> auto& { return s.quarantine_removed_node_after; },
        [](auto& s) -> auto& { return s.periodic_tasks_initial_delay; },
        [](auto& s) -> auto& { return s.gossip_interval; },
        [](auto& s) -> auto& { return s.gossip_time_to_live; },
        [](auto& s) -> auto& { return s.leader_actions_interval; },
        [](auto& s) -> auto& { return s.unreachable_nodes_reaper_interval; },
        [](auto& s) -> auto& { return s.prune_gossip_tombstones_after; },
        [](auto& s) -> auto& { return s.failure_detector.heartbeat_interval; },
        [](auto& s) -> auto& { return s.failure_detector.min_std_deviation; },
        [](auto& s) -> auto& { return s.failure_detector.acceptable_heartbeat_pause; },
        [](auto& s) -> auto& { return s.failure_detector.expected_response_after; },
        [](auto& s) -> auto& { return s.multi_dc.heartbeat_interval; },
        [](auto& s) -> auto& { return s.multi_dc.acceptable_heartbeat_pause; },
        [](auto& s) -> auto& { return s.multi_dc.expected_response_after; },
    };
    const std::vector<Field> steps{
        [](auto& s) -> auto& { return s.eager.repair_after; },
        [](auto& s) -> auto& { return s.eager.interval_min; },
        [](auto& s) -> auto& { return s.eager.join_batch; },
        [](auto& s) -> auto& { return s.eager.evidence_rank_delay; },
        [](auto& s) -> auto& { return s.eager.evidence_window; },
    };
    const std::vector<Optional> optional{
        [](auto& s) -> auto& { return s.seed_ask_again_after; },
        [](auto& s) -> auto& { return s.retry_unsuccessful_join_after; },
        [](auto& s) -> auto& { return s.shutdown_after_unsuccessful_join_seed_nodes; },
        [](auto& s) -> auto& { return s.allow_weakly_up_members; },
        [](auto& s) -> auto& { return s.publish_stats_interval; },
    };
    const auto check = [](auto field, std::chrono::milliseconds most) {
        EXPECT_EQ(refused([&](auto& s) { field(s) = most; }), "");
        EXPECT_NE(refused([&](auto& s) { field(s) = most + 1ms; }), "");
        EXPECT_NE(refused([&](auto& s) { field(s) = std::chrono::milliseconds::max(); }), "");
        EXPECT_NE(refused([&](auto& s) { field(s) = std::chrono::milliseconds(9'223'372'036'855); }), "")
            << "just above what nanoseconds hold";
    };
    for (std::size_t i = 0; i < durations.size(); ++i) {
        SCOPED_TRACE(i);
        check(durations[i], setting_duration_max);
    }
    for (const Field field : steps) check(field, setting_step_max);
    for (const Optional field : optional) check(field, setting_duration_max);
    static_assert(setting_duration_max * 100 <
                  std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::nanoseconds::max()));
}

TEST(ClusterSettings, ADetectorOutOfRangeIsRefusedInsteadOfAborting) {
    EXPECT_EQ(refused([](auto& s) { s.failure_detector.max_sample_size = 100'001; }),
              "setting failure-detector.max-sample-size");
    EXPECT_EQ(
        refused([](auto& s) { s.failure_detector.threshold = std::numeric_limits<double>::infinity(); }),
        "setting failure-detector.threshold");
    EXPECT_EQ(
        refused([](auto& s) { s.failure_detector.threshold = std::numeric_limits<double>::quiet_NaN(); }),
        "setting failure-detector.threshold");
}

TEST(ClusterSettings, RolesAndDataCentersAreUtf8WithoutControlCharacters) {
    EXPECT_EQ(refused([](auto& s) { s.roles = {"r\xc3\xb4le", "two words"}; }), "");
    for (const std::string bad :
         {"\xff", "a\nb", "a\rb", "a\tb", "\x7f", "\xc2\x85", "\xe2\x80\xa8", "a\xc3"}) {
        EXPECT_TRUE(refused([&](auto& s) { s.roles = {bad}; }).starts_with("setting roles"));
        EXPECT_EQ(refused([&](auto& s) { s.multi_dc.self_data_center = bad; }).substr(0, 42),
                  "setting multi-data-center.self-data-center");
        EXPECT_NE(refused([&](auto& s) { s.role_min_nr_of_members[bad] = 1; }), "");
        EXPECT_EQ(refused([&](auto& s) {
                      s.app_version = AppVersion::parse("1.0.0-" + bad).value();
                  }).substr(0, 19),
                  "setting app-version");
    }
}

TEST(ClusterSettings, OffIsALegalValueWhereTheSpecificationSaysSo) {
    EXPECT_EQ(refused([](auto& s) {
                  s.retry_unsuccessful_join_after = std::nullopt;
                  s.allow_weakly_up_members = std::nullopt;
                  s.publish_stats_interval = 0ms;
                  s.failure_detector.acceptable_heartbeat_pause = 0ms;
                  s.down_removal_margin = 0ms;
              }),
              "");
}

TEST(ClusterMessage, HasTheNameOfItsType) {
    EXPECT_EQ(name_of(InitJoin{}), "InitJoin");
    EXPECT_EQ(name_of(GossipEnvelope{}), "GossipEnvelope");
    EXPECT_EQ(name_of(GossipStatus{}), "GossipStatus");
    EXPECT_EQ(name_of(HeartbeatReply{}), "HeartbeatReply");
    EXPECT_EQ(name_of(ExitingConfirmed{}), "ExitingConfirmed");
}

} // namespace
} // namespace muster
