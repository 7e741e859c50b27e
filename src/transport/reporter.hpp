// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a transport tells its node about links, and asks it about peers.
#include "counters.hpp"
#include "link/link_end.hpp"
#include <muster/log.hpp>
#include <muster/transport/transport.hpp>
#include <optional>
#include <string_view>

namespace muster::transport {

/// Has a handler between start() and stop(): nobody wants to know before and after. Runtime's thread.
class Reporter {
public:
    Reporter(Logger& log, Counters& counters) noexcept : log_(log), counters_(counters) {}

    void start(TransportHandler& handler) noexcept { handler_ = &handler; }
    void stop() noexcept { handler_ = nullptr; }
    /// Null before start() and after stop().
    TransportHandler* handler() const noexcept { return handler_; }

    void link(const UniqueAddress& peer, LinkEvent event);
    void connect_refused(const Address& peer);
    void quarantined_by(const UniqueAddress& peer);
    /// Counts and logs a link that ended without Goodbye.
    void link_lost(LinkEnd end, LogPeer peer, const std::optional<Error>& error, std::string_view direction);
    /// Whether a member or seed has this address.
    bool acquainted(const Address& address) const { return handler_ && handler_->is_acquainted(address); }

private:
    Logger& log_;
    Counters& counters_;
    TransportHandler* handler_ = nullptr;
};

} // namespace muster::transport
