// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a transport tells its node about links, and asks it about peers.
#include <muster/transport/transport.hpp>

namespace muster::transport {

/// Has a handler between start() and stop(): nobody wants to know before and after. Runtime's thread.
class Reporter {
public:
    void start(TransportHandler& handler) noexcept { handler_ = &handler; }
    void stop() noexcept { handler_ = nullptr; }
    /// Null before start() and after stop().
    TransportHandler* handler() const noexcept { return handler_; }

    void link(const UniqueAddress& peer, LinkEvent event);
    void connect_refused(const Address& peer);
    void quarantined_by(const UniqueAddress& peer);
    /// Whether a member or seed has this address.
    bool acquainted(const Address& address) const { return handler_ && handler_->is_acquainted(address); }

private:
    TransportHandler* handler_ = nullptr;
};

} // namespace muster::transport
