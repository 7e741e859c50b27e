// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A literal IP address with a port, as connect and listen take it. Free of Asio.
#include <array>
#include <compare>
#include <cstdint>
#include <muster/error.hpp>
#include <string>
#include <string_view>

namespace muster::net {

/// IPv4 or IPv6 address and port. Ordered by family, bytes, scope, port.
struct Endpoint {
    enum class Family : std::uint8_t { V4, V6 };
    Family family = Family::V4;
    std::array<std::uint8_t, 16> bytes{}; ///< network order; V4 uses the first four
    std::uint32_t scope = 0;              ///< IPv6 scope id
    std::uint16_t port = 0;

    static Endpoint loopback_v4(std::uint16_t port) { return {Family::V4, {127, 0, 0, 1}, 0, port}; }
    /// `host` must be a literal address ("10.0.0.1", "::1", "[::1]"). Errors: Errc::invalid_argument (a name
    /// must be resolved).
    static result<Endpoint> parse(std::string_view host, std::uint16_t port);
    /// "127.0.0.1:2551", "[::1]:2551"
    std::string to_string() const;
    auto operator<=>(const Endpoint&) const = default;
};

} // namespace muster::net
