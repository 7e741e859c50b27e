// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How the subjects of the core append to Effects.
#include <cstdint>
#include <muster/cluster/protocol/effects.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace muster {

inline void count(Effects& out, std::string_view id, std::uint64_t n = 1) {
    out.emplace_back(effect::Count{id, n});
}

inline void log(Effects& out, LogLevel level, std::string_view code, std::string peer = {},
                LogFields fields = {}) {
    out.emplace_back(effect::Log{level, code, std::move(peer), std::move(fields)});
}

inline void set_timer(Effects& out, CoreTimer timer, std::uint64_t number, Duration delay) {
    out.emplace_back(effect::SetTimer{{timer, number}, delay});
}

/// `to`: an Address or a UniqueAddress.
template <class To, class Message>
void send(Effects& out, const To& to, Message message) {
    out.emplace_back(effect::Send{Destination(to), std::move(message)});
}

} // namespace muster
