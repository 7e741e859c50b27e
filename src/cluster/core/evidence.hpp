// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Evidence that an incarnation cannot be reached (protocol.md §12.7): silence is judged by the detectors,
/// but a process that is gone often proves it.
#include "core_state.hpp"
#include "evidence_doubt.hpp"
#include "peer_links.hpp"
#include <map>
#include <muster/cluster/failure/heartbeat_monitor.hpp>
#include <muster/cluster/protocol/effects.hpp>
#include <optional>
#include <span>
#include <vector>

namespace muster {

/// Which rows the connections of this node justify, and when each is due. What it answers with is the
/// reachability table to install as a local change; nullopt: the installed one stays.
class Evidence {
public:
    Evidence(const CoreState& core, PeerLinks& links, HeartbeatMonitor& heartbeats);

    /// Notes the event. consider_doubt() and weigh() follow, in this order: the first may take rows back.
    void on_link(const UniqueAddress& peer, LinkEvent event, const Now& now);
    void weigh(const UniqueAddress& peer, LinkEvent event, const Now& now, Effects& out);
    /// Whether most connections of this node ended at once; time alone may end that, so the reaper asks, too.
    std::optional<Reachability> consider_doubt(const Now& now, Effects& out);
    /// The Evidence timer: what is due is written, as far as it still holds.
    std::optional<Reachability> on_timer(const Now& now, Effects& out);

    void on_removed(const UniqueAddress& node);
    /// The membership moved on: what a connection told earlier may count as evidence only now.
    /// `active_before`: whom this node monitored before.
    void on_published(const std::vector<ClusterEvent>& events, std::span<const UniqueAddress> active_before,
                      const Now& now, Effects& out);

    bool does_doubt_hold() const noexcept { return doubt_.holds(); }
    bool is_due(const UniqueAddress& node) const noexcept { return due_.contains(node); }
    /// Invariants (ENSURE).
    void check() const;

private:
    bool is_complete(const UniqueAddress& node, const PeerLink& link) const;
    void consider(const UniqueAddress& node, const Now& now, Effects& out);
    /// Other incarnations of an address that just proved to be somebody else.
    void consider_predecessors(const UniqueAddress& fresh, const Now& now, Effects& out);
    std::optional<Reachability> begin_doubt(const Now& now, Effects& out);
    void write(const UniqueAddress& node, Reachability& table, const Now& now, Effects& out);
    void set_timer_of_next(const Now& now, Effects& out) const;
    /// Position of self among the monitors of `node` in UniqueAddress order.
    std::int64_t monitor_rank(const UniqueAddress& node) const;

    const CoreState& core_;
    PeerLinks& links_;
    HeartbeatMonitor& heartbeats_;
    EvidenceDoubt doubt_;
    /// Complete evidence, with the time at which its row is due.
    std::map<UniqueAddress, Instant> due_;
    /// When a row was written because a connection broke and new ones were refused, as long as doubt may take
    /// it back.
    std::map<UniqueAddress, Instant> rows_;
};

} // namespace muster
