// SPDX-License-Identifier: Apache-2.0
#pragma once
/// When the system gives up a connection whose peer has fallen silent.
#include <algorithm>
#include <muster/time.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace muster::net {

/// The options of a socket that say so. By default the system tries for a quarter of an hour to get bytes
/// through, and waits for a peer that owes nothing for ever.
struct SilenceOptions {
    /// TCP_USER_TIMEOUT: of bytes that nobody acknowledges, or that a closed window keeps back.
    int user_timeout_ms = 0;
    /// TCP_KEEPIDLE: of silence, before the system asks whether anybody is there.
    int keepalive_idle_s = 0;
    /// TCP_KEEPINTVL: between two questions; TCP_USER_TIMEOUT limits their number.
    int keepalive_interval_s = 0;
};

/// For a limit above 0. With nothing unacknowledged the system knows whole seconds only: it asks after half
/// of the limit and gives up at the first question after the limit, at most a quarter of it (and a second)
/// later.
constexpr SilenceOptions silence_options(Duration silence_max) noexcept {
    const std::int64_t ms =
        std::clamp<std::int64_t>(silence_max / std::chrono::milliseconds{1}, 1, std::int64_t{1} << 30);
    constexpr auto seconds = [](std::int64_t value) { // at most what the system takes
        return static_cast<int>(std::clamp<std::int64_t>(value / 1000, 1, 32'767));
    };
    return {static_cast<int>(ms), seconds(ms / 2), seconds(ms / 4 + 999)};
}

/// Of a connected socket. Where the system refuses an option its own times remain. 0: so they do.
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
