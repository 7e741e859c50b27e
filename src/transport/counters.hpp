// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The transport's counters, looked up once. src/doc/metrics.md says what each counts.
#include "link/action.hpp"
#include <muster/metrics.hpp>

namespace muster::transport {

struct Counters {
    explicit Counters(Metrics& m)
        : tells_sent(m.counter("transport.tells.sent")),
          tells_delivered(m.counter("transport.tells.delivered")),
          tells_copied(m.counter("transport.tells.copied")),
          tells_sink_failed(m.counter("transport.tells.dropped.sink_failed")),
          tells_no_sink(m.counter("transport.tells.dropped.no_sink")),
          tells_closing(m.counter("transport.tells.dropped.closing")),
          messages_closing(m.counter("transport.messages.dropped.closing")),
          bytes_discarded(m.counter("transport.bytes.discarded")),
          tells_refused_full(m.counter("transport.tells.refused.full")),
          tells_refused_no_route(m.counter("transport.tells.refused.no_route")),
          tells_refused_unreachable(m.counter("transport.tells.refused.unreachable")),
          tells_refused_too_large(m.counter("transport.tells.refused.too_large")),
          tells_refused_not_utf8(m.counter("transport.tells.refused.not_utf8")),
          tells_lost(m.counter("transport.tells.dropped.link_ended")),
          tells_unreachable(m.counter("transport.tells.dropped.unreachable")),
          tells_refused_by_peer(m.counter("transport.tells.dropped.refused")),
          tells_other_incarnation(m.counter("transport.tells.dropped.other_incarnation")),
          tells_foreign_sender(m.counter("transport.tells.dropped.foreign_sender")),
          tells_quarantined(m.counter("transport.tells.dropped.quarantined")),
          tells_shutdown(m.counter("transport.tells.dropped.shutdown")),
          messages_sent(m.counter("transport.messages.sent")),
          messages_received(m.counter("transport.messages.received")),
          messages_rate(m.counter("transport.messages.dropped.rate")),
          messages_stranger(m.counter("transport.messages.dropped.stranger")),
          messages_full(m.counter("transport.messages.dropped.full")),
          messages_expired(m.counter("transport.messages.dropped.expired")),
          messages_no_route(m.counter("transport.messages.dropped.no_route")),
          messages_encoding(m.counter("transport.messages.dropped.encoding")),
          messages_unknown_to_peer(m.counter("transport.messages.dropped.unknown_to_peer")),
          messages_lost(m.counter("transport.messages.dropped.link_ended")),
          messages_other_incarnation(m.counter("transport.messages.dropped.other_incarnation")),
          messages_quarantined(m.counter("transport.messages.dropped.quarantined")),
          messages_shutdown(m.counter("transport.messages.dropped.shutdown")),
          bytes_sent(m.counter("transport.bytes.sent")),
          bytes_received(m.counter("transport.bytes.received")), sends(m.counter("transport.sends")),
          frames_unknown(m.counter("transport.frames.skipped.unknown")),
          frames_rest(m.counter("transport.frames.rest_skipped")),
          frames_foreign(m.counter("transport.frames.skipped.foreign")),
          frames_malformed(m.counter("transport.frames.malformed")),
          frames_too_large(m.counter("transport.frames.too_large")),
          connects_failed(m.counter("transport.connects.failed")),
          connects_refused(m.counter("transport.connects.refused")),
          resolves_failed(m.counter("transport.resolves.failed")),
          accepts_failed(m.counter("transport.accepts.failed")),
          accepts_over_limit(m.counter("transport.accepts.over_limit")),
          accepts_displaced(m.counter("transport.accepts.displaced")),
          accepts_strangers(m.counter("transport.accepts.refused.strangers")),
          handshakes_done(m.counter("transport.handshakes.done")),
          handshakes_refused(m.counter("transport.handshakes.refused")),
          handshakes_failed(m.counter("transport.handshakes.failed")),
          handshakes_timed_out(m.counter("transport.handshakes.timed_out")),
          claims_questions(m.counter("transport.claims.questions")),
          claims_taken(m.counter("transport.claims.refused.address_taken")),
          claims_unanswered(m.counter("transport.claims.refused.unanswered")),
          claims_too_many(m.counter("transport.claims.refused.too_many")),
          links_half_open(m.counter("transport.links.half_open")),
          links_idle_closed(m.counter("transport.links.idle_closed")),
          links_broken(m.counter("transport.links.broken")),
          links_superseded(m.counter("transport.links.superseded")),
          links_no_memory(m.counter("transport.links.no_memory")),
          frames_no_room(m.counter("transport.frames.refused.no_room")),
          frames_waited(m.counter("transport.frames.waited")),
          frames_timed_out(m.counter("transport.frames.timed_out")),
          turns_over(m.counter("transport.turns.over")), outbound(m.gauge("transport.links.outbound")),
          inbound(m.gauge("transport.links.inbound")), associations(m.gauge("transport.associations")) {}

    Counter& of(Counted what) noexcept;

    Counter& tells_sent;
    Counter& tells_delivered;
    Counter& tells_copied;
    Counter& tells_sink_failed;
    Counter& tells_no_sink;
    Counter& tells_closing;
    Counter& messages_closing;
    Counter& bytes_discarded;
    Counter& tells_refused_full;
    Counter& tells_refused_no_route;
    Counter& tells_refused_unreachable;
    Counter& tells_refused_too_large;
    Counter& tells_refused_not_utf8;
    Counter& tells_lost;
    Counter& tells_unreachable;
    Counter& tells_refused_by_peer;
    Counter& tells_other_incarnation;
    Counter& tells_foreign_sender;
    Counter& tells_quarantined;
    Counter& tells_shutdown;
    Counter& messages_sent;
    Counter& messages_received;
    Counter& messages_rate;
    Counter& messages_stranger;
    Counter& messages_full;
    Counter& messages_expired;
    Counter& messages_no_route;
    Counter& messages_encoding;
    Counter& messages_unknown_to_peer;
    Counter& messages_lost;
    Counter& messages_other_incarnation;
    Counter& messages_quarantined;
    Counter& messages_shutdown;
    Counter& bytes_sent;
    Counter& bytes_received;
    Counter& sends;
    Counter& frames_unknown;
    Counter& frames_rest;
    Counter& frames_foreign;
    Counter& frames_malformed;
    Counter& frames_too_large;
    Counter& connects_failed;
    Counter& connects_refused;
    Counter& resolves_failed;
    Counter& accepts_failed;
    Counter& accepts_over_limit;
    Counter& accepts_displaced;
    Counter& accepts_strangers;
    Counter& handshakes_done;
    Counter& handshakes_refused;
    Counter& handshakes_failed;
    Counter& handshakes_timed_out;
    Counter& claims_questions;
    Counter& claims_taken;
    Counter& claims_unanswered;
    Counter& claims_too_many;
    Counter& links_half_open;
    Counter& links_idle_closed;
    Counter& links_broken;
    Counter& links_superseded;
    Counter& links_no_memory;
    Counter& frames_no_room;
    Counter& frames_waited;
    Counter& frames_timed_out;
    Counter& turns_over;
    Gauge& outbound;
    Gauge& inbound;
    Gauge& associations;
};

} // namespace muster::transport
