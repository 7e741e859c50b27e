// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Which congestion control a TCP connection has (ConnectOptions::congestion_control).
#include <muster/error.hpp>
#include <muster/net/endpoint.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string_view>
#include <sys/socket.h>

namespace muster::net {

inline constexpr std::string_view congestion_auto = "auto";
inline constexpr std::string_view congestion_system = "system";

constexpr bool is_congestion_name(std::string_view wanted) noexcept {
    return !wanted.empty() && wanted != congestion_auto && wanted != congestion_system;
}

/// Whether no network lies between the two ends.
inline bool is_same_host(const Endpoint& local, const Endpoint& remote) noexcept {
    return local.family == remote.family && local.bytes == remote.bytes;
}

/// False with errno when the system does not have it, or lets only others use it.
inline bool set_congestion_control(int descriptor, std::string_view name) noexcept {
    const auto length = static_cast<socklen_t>(name.size());
    return ::setsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, name.data(), length) == 0;
}

/// Of a connected socket. A model-based control (bbr) paces what needs no pacing where no network lies
/// between: there "auto" takes one that does not. Where the system refuses, its own remains.
inline void choose_congestion_control(int descriptor, std::string_view wanted, const Endpoint& local,
                                      const Endpoint& remote) noexcept {
    if (is_congestion_name(wanted)) {
        set_congestion_control(descriptor, wanted);
    } else if (wanted == congestion_auto && is_same_host(local, remote)) {
        // Unprivileged processes may use what the system lists as allowed: reno is, everywhere.
        for (const std::string_view name : {"cubic", "reno"})
            if (set_congestion_control(descriptor, name)) return;
    }
}

/// Gives a listening socket the control that is `wanted` by name, which its connections inherit. Errors:
/// invalid_argument, which says which names there are.
result<void> name_congestion_control(int descriptor, std::string_view wanted);

} // namespace muster::net
