// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Any bytes whatever, read as what a hostile peer, links and time do to a node.
#include <cstddef>
#include <span>
#include <vector>

namespace muster::wire::fuzz {

/// Two cores with their invariants on. One is told what the script says: forged messages (those that the
/// decoder accepts, as in life), link events, commands, ticks, time. The other is honest and hears what the
/// first sends it. Held: no invariant breaks, every installed gossip is sound, and everything that is sent
/// can be encoded and is accepted by a peer's decoder. Aborts (ENSURE) otherwise.
void run_core_script(std::span<const std::byte> script);

/// A script that sends these frame bodies one after the other, each followed by ticks: how a corpus is made
/// of frames.
std::vector<std::byte> script_of_bodies(std::span<const std::vector<std::byte>> bodies);

} // namespace muster::wire::fuzz
