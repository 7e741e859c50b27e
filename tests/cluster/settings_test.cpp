#include <gtest/gtest.h>
#include <muster/cluster/messages.hpp>
#include <muster/cluster/settings.hpp>

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
