// SPDX-License-Identifier: Apache-2.0
#include "tombstones.hpp"

#include "emit.hpp"
#include <algorithm>
#include <boost/algorithm/string/join.hpp>
#include <muster/ensure.hpp>
#include <string>

namespace muster {
namespace {

/// More than an honest cluster has in a day: a thousand nodes that restart ten times.
constexpr std::size_t tombstones_warned_of = 10'000;
constexpr Duration warning_interval = std::chrono::hours{1};

/// A leader tick is a step; three that were missed are still a slow machine, more is one that stood still.
Duration step_max(const ClusterSettings& settings) {
    return std::max<Duration>(std::chrono::seconds{10}, 3 * Duration(settings.leader_actions_interval));
}

} // namespace

Tombstones::Tombstones(const ClusterSettings& settings)
    : self_data_center_(settings.multi_dc.self_data_center),
      prune_after_(settings.prune_gossip_tombstones_after), data_centers_(self_data_center_),
      clock_(step_max(settings)) {}

void Tombstones::on_published(const Gossip& before, const Gossip& after, const Now& now, Effects& out) {
    const bool same_members = before.members().data() == after.members().data();
    if (!same_members || !(before.reachability() == after.reachability())) {
        const auto lost_before = data_centers_.lost();
        data_centers_.observe(after);
        for (const std::string& name : data_centers_.lost())
            if (!lost_before.contains(name))
                log(out, LogLevel::Warning, "cluster.data_center.lost", {},
                    {{"data_center", name},
                     {"next", "tombstones are kept until it is back or forgotten: forget-data-center"}});
        clock_.step(now.monotonic, data_centers_.are_all_reachable());
    }
    if (before.tombstones().data() != after.tombstones().data()) clock_.follow(after);
}

void Tombstones::tick(const Gossip& gossip, const Now& now, Effects& out) {
    clock_.step(now.monotonic, data_centers_.are_all_reachable());
    if (gossip.tombstones().size() <= tombstones_warned_of) return;
    if (warned_at_ && now.monotonic - *warned_at_ < warning_interval) return;
    warned_at_ = now.monotonic;
    log(out, LogLevel::Warning, "cluster.tombstones.many", {},
        {{"tombstones", std::to_string(gossip.tombstones().size())},
         {"unreachable_data_centers", boost::algorithm::join(data_centers_.unreachable(), ", ")},
         {"lost_data_centers", boost::algorithm::join(data_centers_.lost(), ", ")}});
}

void Tombstones::on_new_incarnation() {
    data_centers_ = DataCenterWatch(self_data_center_);
    clock_.follow(Gossip{});
}

result<void> Tombstones::forget_data_center(std::string_view name, Effects& out) {
    if (!data_centers_.forget(name)) {
        const std::string lost = boost::algorithm::join(data_centers_.lost(), ", ");
        return Error{Errc::not_found, "data center \"" + std::string(name) + '"',
                     lost.empty() ? "no data center is lost" : "these are lost: " + lost};
    }
    log(out, LogLevel::Info, "cluster.data_center.forgotten", {}, {{"data_center", std::string(name)}});
    return {};
}

void Tombstones::check(const Gossip& gossip) const {
    MUSTER_ENSURE(clock_.is_of(gossip), "every tombstone that is held has an age, and nobody else");
}

} // namespace muster
