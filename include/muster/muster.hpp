// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a user of a node includes: make_runtime, ClusterRemoteAdapter, events, settings. Who tells values of
/// own types includes muster/wire.hpp, too: Boost.Serialization costs every file that includes it.
#include <muster/language.hpp> // first

#include <muster/cluster/protocol/settings.hpp>
#include <muster/node/daemon.hpp>
#include <muster/node/event_bus.hpp>
#include <muster/node/remote_adapter.hpp>
#include <muster/runtime.hpp>
#include <muster/transport/recording_sink.hpp>
#include <muster/version.hpp>
