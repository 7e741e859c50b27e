// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Moved: stays here until 1.0.
#include <muster/cluster/compat/heartbeat_sender.hpp>     // IWYU pragma: export
#include <muster/cluster/failure/cross_dc_heartbeats.hpp> // IWYU pragma: export
#include <muster/cluster/failure/heartbeat_monitor.hpp>   // IWYU pragma: export
#include <muster/cluster/failure/heartbeat_receivers.hpp> // IWYU pragma: export
#include <muster/cluster/failure/heartbeat_ring.hpp>      // IWYU pragma: export
#include <muster/cluster/failure/heartbeat_state.hpp>     // IWYU pragma: export
