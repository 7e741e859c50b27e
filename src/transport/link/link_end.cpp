// SPDX-License-Identifier: Apache-2.0
#include "link_end.hpp"

namespace muster::transport {

LinkEnd end_of(const std::optional<Error>& error) noexcept {
    if (!error) return LinkEnd::Broken;
    switch (error->code) {
    case Errc::end_of_stream:
    case Errc::reset:
    case Errc::closed: return LinkEnd::Broken;
    default: return LinkEnd::Silent; // timed_out, and what the network said last before the system gave up
    }
}

bool is_silence(const Error& error) noexcept {
    return error == Errc::timed_out || error == Errc::unreachable || error == Errc::refused;
}

LinkEvent event_of(LinkEnd end) noexcept {
    return end == LinkEnd::Broken ? LinkEvent::EndedWithoutGoodbye : LinkEvent::GoodbyeLink;
}

} // namespace muster::transport
