// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One connection of an association, with the value that knows its protocol.
#include "hub.hpp"
#include "link/link.hpp"
#include <memory>
#include <muster/net/runtime.hpp>
#include <utility>

namespace muster::transport {

struct OutboundLink {
    OutboundLink(Hub& hub, std::shared_ptr<net::Connection> c)
        : connection(std::move(c)), reader(hub.options.unauthenticated_bytes_max),
          link(Link::Role::Dialler, hub.link_limits, hub.view()),
          timer(hub.runtime, [this] { on_deadline(); }) {}

    const std::shared_ptr<net::Connection> connection;
    FrameReader reader; ///< what the acceptor says: only Goodbye
    Link link;
    Slice to_write; ///< of the value's own
    UniqueFunction<void()> on_deadline;
    DeadlineTimer timer;
};

} // namespace muster::transport
