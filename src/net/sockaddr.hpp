// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Endpoint <-> sockaddr, for the back ends that talk to the operating system.
#include <muster/net/endpoint.hpp>
#include <sys/socket.h>

namespace muster::net {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;

    SocketAddress() = default;
    explicit SocketAddress(const Endpoint& endpoint) noexcept;
    const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
    /// For accept, getsockname and the like: the storage to fill; `length` holds its size.
    sockaddr* fill() noexcept {
        length = sizeof(storage);
        return reinterpret_cast<sockaddr*>(&storage);
    }
};

/// IPv4 or IPv6; anything else is an all-zero IPv4 endpoint. A v4-mapped IPv6 address stays IPv6.
Endpoint to_endpoint(const sockaddr* address) noexcept;

} // namespace muster::net
