// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The listener of one transport and the connections that peers opened to it.
#include "link/inbound_places.hpp"
#include <memory>
#include <muster/net/runtime.hpp>
#include <muster/wire/handshake.hpp>
#include <string_view>
#include <vector>

namespace muster::transport {

class Hub;
class InboundLink;

/// At most inbound_connections_max links (InboundPlaces). Runtime's thread.
class Acceptor {
public:
    Acceptor(Hub& hub, std::unique_ptr<net::Listener> listener);
    ~Acceptor();

    void start();
    /// Accepts nothing more. The links stay.
    void close_listener() { listener_->close(); }

    // --- the links that there are, in the order of arrival
    bool empty() const noexcept { return links_.empty(); }
    std::size_t size() const noexcept { return links_.size(); }
    void close_all(wire::GoodbyeReason reason, std::string_view detail);
    /// Those that `peer` opened, as it calls itself.
    std::vector<std::shared_ptr<InboundLink>> links_of(const UniqueAddress& peer) const;
    /// Whether an open link's Hello named this address.
    bool hears_from(const Address& address) const;
    /// Whether an open link's Hello named this address under another uid.
    bool hears_from_another(const UniqueAddress& peer) const;
    void sweep(Instant now);

    // --- for the links
    /// Whether one more link of somebody who is no member nor seed may stay.
    bool has_place_for_stranger() const;
    /// `link` is open: ends older links that it replaces.
    void established(InboundLink& link);
    void ended(InboundLink& link);

private:
    net::Task<void> accept_loop(std::shared_ptr<Hub> keep);
    void accepted(std::unique_ptr<net::Connection> connection);
    bool make_place();

    Hub& hub_;
    const std::unique_ptr<net::Listener> listener_;
    InboundPlaces places_;
    std::vector<std::shared_ptr<InboundLink>> links_;
};

} // namespace muster::transport
