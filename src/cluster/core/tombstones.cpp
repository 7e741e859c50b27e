// SPDX-License-Identifier: Apache-2.0
// How long removals are remembered (protocol.md §2, Tombstones).
#include "core_impl.hpp"

namespace muster {
namespace {

/// More than an honest cluster has in a day: a thousand nodes that restart ten times.
constexpr std::size_t tombstones_warned_of = 10'000;
constexpr Duration warning_interval = std::chrono::hours{1};

std::string joined(const std::set<std::string, std::less<>>& names) {
    std::string all;
    for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
    return all;
}

} // namespace

void ClusterCore::Impl::follow_tombstones(const Gossip& before, const Now& now, Effects& out) {
    const Gossip& after = gossip();
    const bool same_members = before.members().data() == after.members().data();
    if (!same_members || !(before.reachability() == after.reachability())) {
        const auto lost_before = data_centers.lost();
        data_centers.observe(after);
        for (const std::string& name : data_centers.lost())
            if (!lost_before.contains(name))
                log(out, LogLevel::Warning, "cluster.data_center.lost", {},
                    {{"data_center", name},
                     {"next", "tombstones are kept until it is back or forgotten: forget-data-center"}});
        tombstone_clock.step(now.monotonic, data_centers.are_all_reachable());
    }
    if (before.tombstones().data() != after.tombstones().data()) tombstone_clock.follow(after);
}

void ClusterCore::Impl::tick_tombstones(const Now& now, Effects& out) {
    tombstone_clock.step(now.monotonic, data_centers.are_all_reachable());
    if (gossip().tombstones().size() <= tombstones_warned_of) return;
    if (tombstones_warned_at && now.monotonic - *tombstones_warned_at < warning_interval) return;
    tombstones_warned_at = now.monotonic;
    log(out, LogLevel::Warning, "cluster.tombstones.many", {},
        {{"tombstones", std::to_string(gossip().tombstones().size())},
         {"unreachable_data_centers", joined(data_centers.unreachable())},
         {"lost_data_centers", joined(data_centers.lost())}});
}

result<void> ClusterCore::Impl::forget_data_center(std::string_view name, Effects& out) {
    if (!data_centers.forget(name)) {
        const std::string lost = joined(data_centers.lost());
        return Error{Errc::not_found, "data center \"" + std::string(name) + '"',
                     lost.empty() ? "no data center is lost" : "these are lost: " + lost};
    }
    log(out, LogLevel::Info, "cluster.data_center.forgotten", {}, {{"data_center", std::string(name)}});
    return {};
}

} // namespace muster
