// SPDX-License-Identifier: Apache-2.0
#include <muster/net/endpoint.hpp>

#include "sockaddr.hpp"
#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>

namespace muster::net {

namespace {

/// The numeric scope of "fe80::1%eth0" or "fe80::1%2"; 0 when there is no such interface.
std::uint32_t parse_scope(const std::string& text) {
    std::uint32_t scope = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), scope);
    if (ec == std::errc{} && end == text.data() + text.size()) return scope;
    return if_nametoindex(text.c_str());
}

bool parse_v6(std::string_view host, Endpoint& out) {
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    const auto percent = host.find('%');
    if (percent != std::string_view::npos) {
        out.scope = parse_scope(std::string{host.substr(percent + 1)});
        if (out.scope == 0) return false;
        host = host.substr(0, percent);
    }
    out.family = Endpoint::Family::V6;
    return inet_pton(AF_INET6, std::string{host}.c_str(), out.bytes.data()) == 1;
}

} // namespace

result<Endpoint> Endpoint::parse(std::string_view host, std::uint16_t port) {
    Endpoint endpoint;
    endpoint.port = port;
    // A NUL inside would end the C string early and let "127.0.0.1\0junk" pass.
    const bool clean = host.find('\0') == std::string_view::npos;
    if (clean && inet_pton(AF_INET, std::string{host}.c_str(), endpoint.bytes.data()) == 1) return endpoint;
    if (clean && parse_v6(host, endpoint)) return endpoint;
    return Error{Errc::invalid_argument,
                 fmt::format("address \"{}\"", host),
                 "use a literal IPv4 or IPv6 address, such as 10.0.0.1 or ::1",
                 {}};
}

std::string Endpoint::to_string() const {
    char text[INET6_ADDRSTRLEN] = {};
    if (family == Family::V4) {
        inet_ntop(AF_INET, bytes.data(), text, sizeof(text));
        return fmt::format("{}:{}", text, port);
    }
    inet_ntop(AF_INET6, bytes.data(), text, sizeof(text));
    if (scope != 0) return fmt::format("[{}%{}]:{}", text, scope, port);
    return fmt::format("[{}]:{}", text, port);
}

SocketAddress::SocketAddress(const Endpoint& endpoint) noexcept {
    if (endpoint.family == Endpoint::Family::V4) {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_port = htons(endpoint.port);
        std::memcpy(&v4.sin_addr, endpoint.bytes.data(), 4);
        std::memcpy(&storage, &v4, sizeof(v4));
        length = sizeof(v4);
        return;
    }
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    v6.sin6_scope_id = endpoint.scope;
    std::memcpy(&v6.sin6_addr, endpoint.bytes.data(), 16);
    std::memcpy(&storage, &v6, sizeof(v6));
    length = sizeof(v6);
}

Endpoint to_endpoint(const sockaddr* address) noexcept {
    Endpoint endpoint;
    if (address->sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, address, sizeof(v4));
        endpoint.port = ntohs(v4.sin_port);
        std::memcpy(endpoint.bytes.data(), &v4.sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, address, sizeof(v6));
        endpoint.family = Endpoint::Family::V6;
        endpoint.port = ntohs(v6.sin6_port);
        endpoint.scope = v6.sin6_scope_id;
        std::memcpy(endpoint.bytes.data(), &v6.sin6_addr, 16);
    }
    return endpoint;
}

} // namespace muster::net
