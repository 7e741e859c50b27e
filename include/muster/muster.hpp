// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The header for programs that run a node: make_runtime, ClusterRemoteAdapter, events, settings. To tell
/// values of your own types include muster/wire.hpp, too; it is separate because Boost.Serialization slows
/// the compilation of every file that includes it.
#include <muster/language.hpp> // first

#include <muster/cluster/protocol/settings.hpp>
#include <muster/node/daemon.hpp>
#include <muster/node/event_bus.hpp>
#include <muster/node/remote_adapter.hpp>
#include <muster/runtime.hpp>
#include <muster/transport/recording_sink.hpp>
#include <muster/version.hpp>
