// SPDX-License-Identifier: Apache-2.0
#include "counters.hpp"

#include <muster/ensure.hpp>

namespace muster::transport {

Counter& Counters::of(Counted what) noexcept {
    switch (what) {
    case Counted::frames_unknown: return frames_unknown;
    case Counted::frames_rest: return frames_rest;
    case Counted::frames_foreign: return frames_foreign;
    case Counted::frames_malformed: return frames_malformed;
    case Counted::frames_too_large: return frames_too_large;
    case Counted::frames_no_room: return frames_no_room;
    case Counted::frames_waited: return frames_waited;
    case Counted::frames_timed_out: return frames_timed_out;
    case Counted::handshakes_done: return handshakes_done;
    case Counted::handshakes_refused: return handshakes_refused;
    case Counted::handshakes_failed: return handshakes_failed;
    case Counted::handshakes_timed_out: return handshakes_timed_out;
    case Counted::accepts_strangers: return accepts_strangers;
    case Counted::claims_taken: return claims_taken;
    case Counted::claims_unanswered: return claims_unanswered;
    case Counted::connects_failed: return connects_failed;
    case Counted::connects_refused: return connects_refused;
    case Counted::resolves_failed: return resolves_failed;
    case Counted::links_broken: return links_broken;
    case Counted::links_half_open: return links_half_open;
    case Counted::links_idle_closed: return links_idle_closed;
    case Counted::links_superseded: return links_superseded;
    case Counted::links_no_memory: return links_no_memory;
    case Counted::messages_received: return messages_received;
    case Counted::messages_rate: return messages_rate;
    case Counted::messages_stranger: return messages_stranger;
    case Counted::messages_no_route: return messages_no_route;
    case Counted::messages_quarantined: return messages_quarantined;
    case Counted::messages_other_incarnation: return messages_other_incarnation;
    case Counted::messages_shutdown: return messages_shutdown;
    case Counted::tells_foreign_sender: return tells_foreign_sender;
    case Counted::tells_unreachable: return tells_unreachable;
    case Counted::tells_refused_by_peer: return tells_refused_by_peer;
    case Counted::tells_quarantined: return tells_quarantined;
    case Counted::tells_shutdown: return tells_shutdown;
    }
    MUSTER_ENSURE(false, "every Counted has its counter");
    return frames_unknown;
}

} // namespace muster::transport
