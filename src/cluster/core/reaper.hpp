// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the failure detectors say becomes this node's rows (protocol.md §12.4).
#include "core_state.hpp"
#include <muster/cluster/failure/heartbeat_monitor.hpp>
#include <muster/cluster/protocol/effects.hpp>
#include <optional>

namespace muster {

/// The table to install as a local change, with who is newly accused or taken back by `self`, counted and
/// logged. nullopt: nothing changed. For a member that is not alone.
std::optional<Reachability> reap(const CoreState& core, const HeartbeatMonitor& heartbeats, const Now& now,
                                 Effects& out);

} // namespace muster
