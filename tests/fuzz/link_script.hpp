// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Any bytes whatever, read as what a peer, its connection, this node and time do to a link.
#include <cstddef>
#include <span>
#include <vector>

namespace muster::transport::fuzz {

/// One Link, in the role that the first byte says. Held: nothing is delivered but on an open link and by whom
/// shook hands, it opens once, one frame of its own is under way at a time and none behind its Goodbye, what
/// it writes can be decoded, a deadline that has passed is over, and whatever was said it comes to an end.
/// Aborts (ENSURE) otherwise.
void run_link_script(std::span<const std::byte> script);

/// A script in which the peer says these frame bodies one after the other.
std::vector<std::byte> link_script_of(bool dials, std::span<const std::vector<std::byte>> bodies);

} // namespace muster::transport::fuzz
