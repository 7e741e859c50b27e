// SPDX-License-Identifier: Apache-2.0
#include "association.hpp"
#include "base/mutants.hpp"
#include "hub.hpp"
#include "link/link_end.hpp"
#include "link/turn_budget.hpp"
#include <algorithm>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <new>
#include <utility>

namespace muster::transport {
namespace asio = boost::asio;
namespace {

/// One gathered send: large enough to amortise the system call, small enough that a heartbeat, which waits
/// for the send in flight, waits for two chunks at most.
constexpr std::size_t send_bytes_max = 128 * 1024;
/// The kernel's queue of unsent bytes is kept as short, for the same reason.
constexpr std::uint32_t notsent_lowat = 128 * 1024;
/// Sends that complete at once before other work of the loop gets its turn.
constexpr int sends_per_turn_max = 16;
/// After a loss: attempts made even with nothing to send, and their distance (protocol.md §12.7 wants two
/// refusals at least 20 ms apart).
constexpr std::uint8_t evidence_probes = 3;
constexpr std::chrono::milliseconds evidence_probe_distance{25};
constexpr std::chrono::milliseconds linger_after_failure{100};
/// Of one send: keeps the gathered parts below the system's limit (IOV_MAX).
constexpr std::size_t messages_per_send_max = 256;
/// Links of a peer that end young, before reconnecting waits.
constexpr std::uint32_t short_links_tolerated = 3;

/// Uniform in [0, bound].
Duration random_up_to(SplitMix64& random, Duration bound) {
    return Duration{static_cast<std::int64_t>(random() % (static_cast<std::uint64_t>(bound.count()) + 1))};
}

} // namespace

OutboundLink::OutboundLink(std::shared_ptr<net::Connection> c, std::size_t frame_bytes_max, UniqueAddress own)
    : connection(std::move(c)), reader(frame_bytes_max), self(std::move(own)) {}
OutboundLink::~OutboundLink() = default;

struct Association::Batch {
    std::vector<Slice> parts;
    Outbox::Batch tells;
    std::size_t messages = 0;
    std::size_t bytes = 0;
};

net::Task<void> Association::run(std::shared_ptr<Association> /*keep*/, std::shared_ptr<Hub> hub) {
    net::Notifier wake{hub->runtime};
    wake_ = &wake;
    outbox_.wake();
    if (address_ == hub->self().address()) {
        co_await deliver_to_self();
    } else {
        co_await run_until_idle();
    }
    wake_ = nullptr;
    state_ = State::Idle;
    end_dial_once();
    hub->table().rests(*this);
    // A tell may have come between the last look and here, on another thread: its wake-up is on its way.
}

bool Association::has_work() const { return probes_left_ > 0 || !messages_.empty() || !outbox_.empty(); }

/// Nothing to do: true when it stays so until the next kick().
bool Association::rest() {
    finish_granted();
    if (!outbox_.sleep()) return false;
    outbox_.trim();
    messages_.trim();
    failing_since_.reset();
    unanswered_since_.reset();
    return true;
}

net::Task<void> Association::run_until_idle() {
    while (!hub_->cancelled()) {
        const Instant now = hub_->now();
        expire_messages(now);
        finish_granted();
        if (!has_work() && rest()) co_return;
        if (now < next_attempt_) {
            // An answer to a stranger is worth one attempt now, not one that is over before it begins.
            if (dial_once_until_ && *dial_once_until_ <= next_attempt_) {
                end_dial_once();
                drop_messages(hub_->counters.messages_stranger);
                continue;
            }
            state_ = State::Backoff;
            co_await wake_->wait_until(next_attempt_);
            continue;
        }
        std::shared_ptr<OutboundLink> link;
        bool out_of_memory = false;
        try {
            link = co_await open_link();
        } catch (const std::bad_alloc&) {
            out_of_memory = true;
        }
        if (out_of_memory) {
            this->out_of_memory(nullptr);
            attempt_failed(false);
        }
        if (!link) continue;
        co_await serve(link);
        link_ended(*link);
    }
}

// --- connecting

net::Task<std::shared_ptr<OutboundLink>> Association::open_link() {
    state_ = State::Connecting;
    if (!unanswered_since_) unanswered_since_ = hub_->now();
    auto connected = co_await connect();
    if (!connected) co_return nullptr;
    state_ = State::Handshaking;
    auto link = std::make_shared<OutboundLink>(std::move(*connected), hub_->options.unauthenticated_bytes_max,
                                               hub_->self());
    auto reply = co_await shake_hands(*link);
    if (hub_->cancelled()) co_return nullptr;
    if (!reply) {
        const Error& error = reply.error();
        (error == Errc::timed_out ? hub_->counters.handshakes_timed_out : hub_->counters.handshakes_failed)
            .add();
        hub_->log().write(level_of_failure(), "transport.handshake.failed", peer_text(),
                          {{"error", error.message()}, {"side", "dialler"}});
        attempt_failed(false);
        co_return nullptr;
    }
    if (!judge_reply(link, *reply)) co_return nullptr;
    established(*link);
    co_return link;
}

net::Task<result<std::unique_ptr<net::Connection>>> Association::connect() {
    const Instant deadline = dial_deadline(hub_->options.connect_timeout);
    auto resolved = co_await hub_->runtime.resolve(*address_.host, *address_.port, deadline);
    if (!resolved) {
        if (resolved.error() != Errc::cancelled) {
            hub_->counters.resolves_failed.add();
            hub_->log().warning("transport.resolve.failed", peer_text(),
                                {{"error", resolved.error().message()}});
            attempt_failed(false);
        }
        co_return resolved.error();
    }
    const std::vector<net::Endpoint> endpoints = std::move(*resolved);
    Error last{Errc::not_found, peer_text(), "the name has no address", {}};
    bool all_refused = !endpoints.empty();
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
        // An address that does not answer leaves its share of the time to the others.
        const Instant now = hub_->now();
        const Duration share = (deadline - now) / static_cast<std::int64_t>(endpoints.size() - i);
        const net::ConnectOptions options{.deadline = now + share,
                                          .notsent_lowat = notsent_lowat,
                                          .silence_max = hub_->options.half_open_timeout};
        auto connection = co_await hub_->runtime.connect(endpoints[i], options);
        if (connection) {
            auto inside = hub_->decorated(std::move(*connection), net::ConnectionRole::Dialled);
            if (inside) co_return std::move(inside);
            attempt_failed(false);
            co_return Error{Errc::closed, peer_text(), "decorate_connection refused it", {}};
        }
        if (connection.error() == Errc::cancelled) co_return connection.error();
        if (connection.error() != Errc::refused) all_refused = false;
        last = connection.error();
    }
    connect_failed(last, all_refused);
    co_return last;
}

/// That a node which left cannot be reached is what everybody expects.
LogLevel Association::level_of_failure() const { return stopping_ ? LogLevel::Info : LogLevel::Warning; }

void Association::connect_failed(const Error& error, bool refused) {
    hub_->counters.connects_failed.add();
    if (refused) hub_->counters.connects_refused.add();
    hub_->log().write(level_of_failure(), "transport.connect.failed", peer_text(),
                      {{"error", error.message()}, {"attempt", fmt::to_string(failures_ + 1)}});
    if (refused) {
        // Copied: the handler may do anything with this association.
        const std::optional<UniqueAddress> gone = known_;
        if (gone) hub_->reporter.link(*gone, LinkEvent::ReconnectRefused);
        hub_->reporter.connect_refused(address_);
    }
    attempt_failed(false);
}

/// Sets the time of the next attempt. `permanent`: it will fail again in the same way, so nothing is kept for
/// it.
void Association::attempt_failed(bool permanent) {
    const auto& options = hub_->options;
    const Instant now = hub_->now();
    state_ = State::Backoff;
    if (dial_once_until_) {
        end_dial_once();
        drop_messages(hub_->counters.messages_stranger);
    }
    if (!failing_since_) failing_since_ = now;
    if (failures_ < 64) ++failures_;
    if (permanent) {
        drop_all(hub_->counters.tells_refused_by_peer, hub_->counters.messages_no_route);
        probes_left_ = 0;
        next_attempt_ = now + options.backoff_max / 2 + random_up_to(hub_->random, options.backoff_max / 2);
        return;
    }
    if (hub_->stopping) {
        drop_all(hub_->counters.tells_shutdown, hub_->counters.messages_shutdown);
        return;
    }
    if (now - *failing_since_ >= options.association_idle_timeout) {
        failing_since_ = now;
        drop_tells(hub_->counters.tells_unreachable);
    }
    if (probes_left_ > 0 && --probes_left_ > 0) {
        next_attempt_ = now + evidence_probe_distance;
        return;
    }
    next_attempt_ = now + backoff(failures_);
}

/// Exponential with full jitter: peers that lost the same node do not come back in step.
Duration Association::backoff(std::uint32_t failures) {
    const auto& options = hub_->options;
    Duration bound = options.backoff_min;
    for (std::uint32_t i = 1; i < failures && bound < options.backoff_max; ++i) bound *= 2;
    return random_up_to(hub_->random, std::min<Duration>(bound, options.backoff_max));
}

// --- handshake

net::Task<result<wire::HelloReply>> Association::shake_hands(OutboundLink& link) {
    const AbortAt deadline{hub_->runtime, dial_deadline(hub_->options.handshake_timeout), link.connection};
    const auto late = [this] { return Error{Errc::timed_out, peer_text(), "no reply to Hello in time", {}}; };
    auto hello =
        wire::encode_frame(make_hello(hub_->identity.get(), address_), wire::frame_bytes_max_default);
    if (!hello) co_return hello.error();
    const std::vector<Slice> parts{std::move(*hello)};
    auto sent = co_await link.connection->send(parts);
    if (!sent) co_return deadline.expired() ? late() : sent.error();
    FrameReader::Frame frame;
    FrameReader::Next next = FrameReader::Next::NeedMore;
    while ((next = link.reader.next(frame)) == FrameReader::Next::NeedMore) {
        auto received = co_await link.connection->receive();
        if (!received) co_return deadline.expired() ? late() : received.error();
        link.reader.feed(std::move(*received));
    }
    if (next == FrameReader::Next::TooLarge) {
        hub_->counters.frames_too_large.add();
        co_return Error{Errc::too_large,
                        fmt::format("frame of {} bytes", link.reader.claimed()),
                        "a HelloReply was expected: is this a muster node?",
                        {}};
    }
    auto decoded = wire::decode_frame(Slice{frame.body, frame.owner}, {.peer_is_newer = true});
    if (!decoded) {
        hub_->counters.frames_malformed.add();
        co_return decoded.error();
    }
    auto* reply = std::get_if<wire::HelloReply>(&*decoded);
    if (!reply) {
        hub_->counters.frames_malformed.add();
        co_return Error{
            Errc::malformed, "first frame", "a HelloReply was expected: is this a muster node?", {}};
    }
    co_return std::move(*reply);
}

/// Whether the link may be used. If not, what follows from it is done.
bool Association::judge_reply(const std::shared_ptr<OutboundLink>& link, const wire::HelloReply& reply) {
    // A refusal first: what differs is in it, in the peer's words.
    if (const auto* refused = std::get_if<wire::HelloRefused>(&reply.answer)) {
        refused_by_peer(reply, *refused);
        return false;
    }
    // Of a reply that is not to be trusted nothing is in force.
    const auto leave = [&](wire::GoodbyeReason reason, std::string_view detail) {
        hub_->leave(link->connection, goodbye_frame(reason, detail, wire::agreed_by_all));
    };
    if (const auto wrong = check_reply(hub_->identity.get(), address_, reply)) {
        hub_->counters.handshakes_refused.add();
        hub_->log().warning("transport.handshake.refused", peer_text(),
                            {{"reason", wrong->message()}, {"by", "this node"}, {"side", "dialler"}});
        leave(wire::GoodbyeReason::Protocol, wrong->message());
        attempt_failed(true);
        return false;
    }
    if (link->self != hub_->self()) { // renewed meanwhile: that Hello was of another incarnation
        leave(wire::GoodbyeReason::Incarnation, {});
        return false;
    }
    if (const auto quarantined = hub_->quarantine_of(reply.from); quarantined != Quarantined::No) {
        const bool harmless = quarantined == Quarantined::Harmless;
        known_ = reply.from;
        quarantine(reply.from, harmless);
        leave(harmless ? wire::GoodbyeReason::Link : wire::GoodbyeReason::Quarantined, {});
        attempt_failed(true);
        return false;
    }
    link->peer = reply.from;
    link->agreement = agreement_of(hub_->identity.get(), std::get<wire::HelloAccepted>(reply.answer));
    link->peer_is_newer = reply.version_max > hub_->identity.offer().version_max;
    return true;
}

void Association::refused_by_peer(const wire::HelloReply& reply, const wire::HelloRefused& refused) {
    hub_->counters.handshakes_refused.add();
    const wire::RefusalReason reason = wire::meaning_of(refused.reason);
    const bool stops_too = reason == wire::RefusalReason::Stopping;
    if (stops_too && reply.from.address() == address_) stops(reply.from);
    hub_->log().write(stops_too ? LogLevel::Info : LogLevel::Warning, "transport.handshake.refused",
                      peer_text(),
                      {{"reason", wire::to_string(refused.reason)},
                       {"detail", refused.detail},
                       {"by", reply.from.to_string()},
                       {"side", "dialler"}});
    switch (reason) {
    case wire::RefusalReason::Overloaded:
    case wire::RefusalReason::Stopping: attempt_failed(false); return;
    case wire::RefusalReason::Quarantined:
        attempt_failed(true);
        // Only for itself: an acceptor at one address must not speak for the node of another.
        if (reply.from.address() == address_ && reply.cluster_name == hub_->identity.get().cluster_name)
            hub_->reporter.quarantined_by(reply.from);
        return;
    case wire::RefusalReason::WrongCluster:
    case wire::RefusalReason::WrongVersion:
    case wire::RefusalReason::WrongAddress:
    case wire::RefusalReason::WrongIncarnation:
    case wire::RefusalReason::Protocol: attempt_failed(true); return;
    }
}

void Association::established(OutboundLink& link) {
    end_dial_once();
    link.established = link.last_sent = hub_->now();
    failing_since_.reset();
    unanswered_since_.reset();
    stopping_.reset();
    failures_ = 0;
    probes_left_ = 0;
    met(link.peer);
    const auto replaced = std::exchange(replaced_, std::nullopt);
    hub_->counters.handshakes_done.add();
    hub_->counters.outbound.add(1);
    hub_->log().debug("transport.link.established", peer_text(),
                      {{"node", link.peer.to_string()}, {"direction", "outbound"}});
    if (replaced) hub_->reporter.link(*replaced, LinkEvent::OtherIncarnation);
    hub_->reporter.link(link.peer, LinkEvent::Established);
}

// --- the open link

net::Task<void> Association::serve(std::shared_ptr<OutboundLink> link) {
    state_ = State::Active;
    link_ = link;
    has_link_ = true;
    if (hub_->stopping) link->closing = wire::GoodbyeReason::Stopping;
    hub_->tasks.spawn(read(shared_from_this(), hub_->shared_from_this(), link));
    Batch batch;
    bool out_of_memory = false;
    try {
        co_await write_until_end(*link, batch);
    } catch (const std::bad_alloc&) {
        out_of_memory = true;
    }
    outbox_.wake();
    if (out_of_memory) {
        this->out_of_memory(link.get());
        written(*link, batch, *link->error);
    }
    co_await linger_for_goodbye(*link);
    has_link_ = false;
    link_.reset();
}

net::Task<void> Association::write_until_end(OutboundLink& link, Batch& batch) {
    for (int sends = 0; !link.ended && !hub_->cancelled();) {
        const bool at_once = link.closing == wire::GoodbyeReason::Quarantined ||
                             link.closing == wire::GoodbyeReason::Incarnation;
        if (!at_once) collect(link, batch);
        if (!batch.parts.empty()) {
            if (link.closing == wire::GoodbyeReason::Link) link.closing.reset(); // no longer idle
            link.send_started = link.last_sent = hub_->now();
            auto sent = co_await link.connection->send(batch.parts);
            if (!written(link, batch, sent)) break;
            if (++sends % sends_per_turn_max == 0) {
                auto turn = asio::post(asio::deferred);
                co_await std::move(turn);
            }
            if (!messages_.empty() || link.closing) continue;
        } else if (link.closing) {
            co_await say_goodbye(link);
            break;
        }
        if (!outbox_.sleep()) {
            finish_granted();
            continue;
        }
        co_await wake_->wait();
        outbox_.wake();
    }
}

/// After a failed send: what the peer said before it went (a Goodbye, perhaps) is still to be read.
net::Task<void> Association::linger_for_goodbye(OutboundLink& link) {
    if (link.closed || link.ended) co_return;
    const AbortAt enough{hub_->runtime, hub_->now() + linger_after_failure, link.connection};
    while (!link.ended && !hub_->cancelled()) co_await wake_->wait();
}

/// Nothing when this peer does not get it, which is counted.
std::optional<wire::EncodedMessage> Association::encoded_for(const OutboundLink& link,
                                                             OutgoingMessage message) {
    if (auto* encoded = std::get_if<wire::EncodedMessage>(&message)) return std::move(*encoded);
    auto& late = std::get<LateMessage>(message);
    if (link.agreement.meets(late.needs)) return late.encode(link.agreement);
    hub_->counters.messages_unknown_to_peer.add();
    return std::nullopt;
}

/// Membership messages first, then tells up to the size of one send.
void Association::collect(OutboundLink& link, Batch& batch) {
    batch.parts.clear();
    batch.messages = batch.bytes = 0;
    batch.tells = {};
    if (!messages_.empty()) {
        expire_messages(hub_->now());
        while (batch.messages < messages_per_send_max) {
            std::optional<QueuedMessage> message = messages_.pop();
            if (!message) break;
            if (message->to && *message->to != link.peer.uid() && !MUSTER_MUTANT(uid_not_compared)) {
                hub_->counters.messages_other_incarnation.add();
                continue;
            }
            std::optional<wire::EncodedMessage> encoded = encoded_for(link, std::move(message->message));
            if (!encoded) continue;
            ++batch.messages;
            batch.bytes += encoded->bytes();
            batch.parts.push_back(std::move(encoded->head));
            if (!encoded->body.empty()) batch.parts.push_back(std::move(encoded->body));
        }
    }
    if (batch.bytes < send_bytes_max) {
        batch.tells = outbox_.take(batch.parts, send_bytes_max - batch.bytes);
        batch.bytes += batch.tells.bytes;
    }
}

/// False when the link is lost, and what the batch carried with it.
bool Association::written(OutboundLink& link, Batch& batch, const result<void>& sent) {
    link.send_started.reset();
    if (!sent && batch.messages == 0 && MUSTER_MUTANT(requeued_after_loss))
        for (const Slice& part : batch.parts) outbox_.put(part);
    batch.parts.clear();
    Counters& counters = hub_->counters;
    const Outbox::Batch tells = std::exchange(batch.tells, {});
    const std::size_t messages = std::exchange(batch.messages, 0);
    if (tells.bytes && outbox_.sent(tells.bytes)) finish_granted();
    if (!sent) {
        counters.tells_lost.add(tells.frames);
        counters.messages_lost.add(messages);
        if (!link.error) link.error = sent.error();
        return false;
    }
    counters.sends.add();
    counters.bytes_sent.add(batch.bytes);
    if (tells.frames) counters.tells_sent.add(tells.frames);
    if (messages) counters.messages_sent.add(messages);
    return true;
}

net::Task<void> Association::say_goodbye(OutboundLink& link) {
    link.closed = true;
    if (*link.closing == wire::GoodbyeReason::Link) hub_->counters.links_idle_closed.add();
    const std::vector<Slice> parts{goodbye_frame(*link.closing, {}, link.agreement)};
    link.send_started = hub_->now();
    co_await link.connection->send(parts);
    link.send_started.reset();
    link.connection->close(net::Close::Graceful); // read() waits for the peer's end
    link.linger_end = std::make_unique<AbortAt>(hub_->runtime, hub_->now() + linger_max, link.connection);
}

net::Task<void> Association::read(std::shared_ptr<Association> /*keep*/, std::shared_ptr<Hub> /*hub*/,
                                  std::shared_ptr<OutboundLink> link) {
    bool out_of_memory = false;
    try {
        co_await read_until_end(*link);
    } catch (const std::bad_alloc&) {
        out_of_memory = true;
    }
    if (out_of_memory) this->out_of_memory(link.get());
    link->ended = true;
    link->linger_end.reset();
    if (link->said && !link->closed && !link->error) {
        // The other side reads on until we close, and counts what it drops: a send in flight may end, so that
        // both know what became of it.
        link->connection->close(net::Close::Graceful);
        link->linger_end =
            std::make_unique<AbortAt>(hub_->runtime, hub_->now() + linger_max, link->connection);
    } else if (!link->closed) {
        // Nobody reads on the other side any more: a send in flight would wait for nothing.
        link->connection->close(net::Close::Abort);
    }
    if (link_ == link && wake_) wake_->notify();
}

net::Task<void> Association::read_until_end(OutboundLink& link) {
    const auto clock = [this] { return hub_->now(); };
    TurnBudget budget;
    budget.begin(hub_->now(), 0);
    for (;;) {
        FrameReader::Frame frame;
        FrameReader::Next next = FrameReader::Next::NeedMore;
        while (!budget.late() && (next = link.reader.next(frame)) == FrameReader::Next::Frame) {
            if (!link.closed && !on_frame(link, frame)) co_return;
            budget.frame(TurnBudget::Cost::Heavy, clock);
        }
        if (budget.spent()) {
            co_await hub_->turns.next();
            if (hub_->cancelled()) co_return;
            budget.begin(hub_->now(), hub_->turns.waiting());
            if (next == FrameReader::Next::Frame) continue;
        }
        if (next == FrameReader::Next::TooLarge) {
            hub_->counters.frames_too_large.add();
            protocol_error(link, fmt::format("frame of {} bytes, {} are allowed", link.reader.claimed(),
                                             link.reader.frame_bytes_max()));
            co_return;
        }
        Slice bytes;
        if (!link.connection->try_receive(bytes)) {
            link.reader.detach();
            auto received = co_await link.connection->receive();
            if (!received) {
                if (!link.error) link.error = received.error();
                co_return;
            }
            bytes = std::move(*received);
            budget.begin(hub_->now(), hub_->turns.waiting());
        }
        budget.received(bytes.size());
        link.reader.feed(std::move(bytes));
    }
}

/// False when the link ends with this frame.
bool Association::on_frame(OutboundLink& link, const FrameReader::Frame& frame) {
    bool rest_skipped = false;
    auto decoded = wire::decode_frame(
        Slice{frame.body, frame.owner},
        {.peer_is_newer = link.peer_is_newer, .agreement = link.agreement, .rest_skipped = &rest_skipped});
    if (rest_skipped) hub_->counters.frames_rest.add();
    if (!decoded) {
        hub_->counters.frames_malformed.add();
        protocol_error(link, decoded.error().message());
        return false;
    }
    if (std::holds_alternative<wire::UnknownFrame>(*decoded)) {
        hub_->counters.frames_unknown.add();
        return true;
    }
    const auto* goodbye = std::get_if<wire::Goodbye>(&*decoded);
    if (!goodbye) {
        hub_->counters.frames_malformed.add();
        protocol_error(link, "only Goodbye is said on the accepting side");
        return false;
    }
    link.said = goodbye->reason;
    if (goodbye->reason == wire::GoodbyeReason::Stopping) stops(link.peer);
    hub_->log().write(is_noteworthy(goodbye->reason) ? LogLevel::Warning : LogLevel::Debug,
                      "transport.link.goodbye", peer_text(),
                      {{"reason", wire::to_string(goodbye->reason)},
                       {"detail", goodbye->detail},
                       {"direction", "outbound"}});
    if (is_about_address(*goodbye))
        hub_->log().error("transport.address.denied", peer_text(),
                          {{"self", hub_->self().to_string()}, {"detail", goodbye->detail}});
    if (goodbye->reason == wire::GoodbyeReason::Quarantined) hub_->reporter.quarantined_by(link.peer);
    return false;
}

void Association::protocol_error(OutboundLink& link, const std::string& detail) {
    hub_->log().warning("transport.link.malformed", peer_text(),
                        {{"detail", detail}, {"direction", "outbound"}});
    link.error = Error{Errc::malformed, peer_text(), detail, {}};
    link.said = wire::GoodbyeReason::Protocol; // whoever talks nonsense is no dead process
}

void Association::link_ended(OutboundLink& link) {
    const Instant now = hub_->now();
    hub_->counters.outbound.add(-1);
    stale_mark_ = outbox_.mark();
    const bool lost = !link.said && !link.closed;
    const bool young = now - link.established < hub_->options.backoff_max;
    short_links_ = young ? short_links_ + 1 : 0;
    next_attempt_ = now;
    if (short_links_ > short_links_tolerated) next_attempt_ += backoff(short_links_ - short_links_tolerated);
    state_ = State::Backoff;
    if (hub_->cancelled()) return;
    if (!lost) {
        hub_->reporter.link(link.peer, link.said ? event_of(*link.said) : LinkEvent::GoodbyeLink);
        return;
    }
    const LinkEnd end = end_of(link.error);
    hub_->reporter.link_lost(end, peer_text(), link.error, "outbound");
    // Another attempt is of no use as evidence after silence.
    if (end == LinkEnd::Broken && !hub_->stopping && !blocked_) probes_left_ = evidence_probes;
    hub_->reporter.link(link.peer, event_of(end));
}

} // namespace muster::transport
