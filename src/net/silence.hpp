// SPDX-License-Identifier: Apache-2.0
#pragma once
/// When the system gives up a connection with a silent peer.
#include <algorithm>
#include <muster/time.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace muster::net {

/// The socket options for it. By default the system retransmits for a quarter of an hour, and waits for ever
/// for a peer that owes no acknowledgement.
struct SilenceOptions {
    /// TCP_USER_TIMEOUT: for bytes that stay unacknowledged, or that a closed window holds back.
    int user_timeout_ms = 0;
    /// TCP_KEEPIDLE: silence before the first keepalive probe.
    int keepalive_idle_s = 0;
    /// TCP_KEEPINTVL: time between two probes; TCP_USER_TIMEOUT limits their number.
    int keepalive_interval_s = 0;
};

/// The options for a limit above 0. Keepalive has whole seconds only: the system probes after half of the
/// limit and gives up at the first probe after the limit, at most a quarter of it (and a second) later.
constexpr SilenceOptions silence_options(Duration silence_max) noexcept {
    const std::int64_t ms =
        std::clamp<std::int64_t>(silence_max / std::chrono::milliseconds{1}, 1, std::int64_t{1} << 30);
    constexpr auto seconds = [](std::int64_t value) { // at most what the system takes
        return static_cast<int>(std::clamp<std::int64_t>(value / 1000, 1, 32'767));
    };
    return {static_cast<int>(ms), seconds(ms / 2), seconds(ms / 4 + 999)};
}

/// Sets the options of a connected socket. Where the system refuses an option, and with 0, its defaults
/// remain.
inline void limit_silence(int descriptor, Duration silence_max) noexcept {
    if (silence_max <= Duration::zero()) return;
    const SilenceOptions options = silence_options(silence_max);
    const auto set = [descriptor](int level, int name, int value) {
        ::setsockopt(descriptor, level, name, &value, sizeof(value));
    };
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, options.user_timeout_ms);
    set(IPPROTO_TCP, TCP_KEEPIDLE, options.keepalive_idle_s);
    set(IPPROTO_TCP, TCP_KEEPINTVL, options.keepalive_interval_s);
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
}

} // namespace muster::net
