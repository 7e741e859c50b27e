// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the end of a link that nobody announced says about its peer (protocol.md §12.7). No sockets here.
#include <muster/cluster/core/core.hpp>
#include <muster/error.hpp>
#include <optional>

namespace muster::transport {

/// A link that ended without Goodbye.
enum class LinkEnd : std::uint8_t {
    Broken, ///< the other side closed or reset it, or another incarnation took over
    Silent, ///< this side gave it up: nothing came through any more, or its own resources ran out
};

/// `error`: what the link's last receive or send failed with, if any did.
LinkEnd end_of(const std::optional<Error>& error) noexcept;

/// Whether the network or the peer fell silent, not a lack of this node's own.
bool is_silence(const Error& error) noexcept;

/// Broken is half of the proof that a process is gone. Silence proves nothing: not that of a black hole, a
/// paused peer, or a path on which every router says "unreachable".
LinkEvent event_of(LinkEnd end) noexcept;

} // namespace muster::transport
