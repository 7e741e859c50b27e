// SPDX-License-Identifier: Apache-2.0
// The loop of an association: dials, shakes hands, serves the link, and begins again.
#include "association.hpp"
#include "hub.hpp"
#include "outbound_link.hpp"
#include <new>
#include <utility>

namespace muster::transport {
namespace {

/// The kernel's queue of unsent bytes is kept short: a heartbeat waits for what is in it.
constexpr std::uint32_t notsent_lowat = 128 * 1024;

} // namespace

net::Task<void> Association::run(std::shared_ptr<Association> /*keep*/, std::shared_ptr<Hub> hub) {
    net::Notifier wake{hub->runtime};
    wake_ = &wake;
    outbox_.wake();
    if (address_ == hub->identity.address()) {
        co_await deliver_to_self();
    } else {
        co_await run_until_idle();
    }
    wake_ = nullptr;
    DiallingActions actions;
    dialling_.rested(actions);
    carry_out(std::move(actions));
    hub->table().rests(*this);
    // A tell may have come between the last look and here, on another thread: its wake-up is on its way.
}

/// Nothing to do: true when it stays so until the next kick().
bool Association::rest() {
    finish_granted();
    if (!outbox_.sleep()) return false;
    outbox_.trim();
    messages_.trim();
    return true;
}

net::Task<void> Association::run_until_idle() {
    while (!hub_->cancelled()) {
        const Instant now = hub_->now();
        expire_messages(now);
        finish_granted();
        DiallingActions actions;
        const Dialling::Step step = dialling_.next(!messages_.empty() || !outbox_.empty(), now, actions);
        carry_out(std::move(actions));
        if (step == Dialling::Step::Rest && rest()) co_return;
        if (step == Dialling::Step::Wait) co_await wake_->wait_until(dialling_.next_attempt());
        if (step != Dialling::Step::Dial) continue;
        std::shared_ptr<OutboundLink> link;
        bool out_of_memory = false;
        try {
            link = co_await open_link();
        } catch (const std::bad_alloc&) {
            out_of_memory = true;
        }
        if (out_of_memory) no_memory();
        if (!link) continue;
        co_await serve(link);
        link_ended(*link);
    }
}

/// A lack of memory for one peer's queue or words ends the attempt, not the process.
void Association::no_memory() {
    hub_->counters.links_no_memory.add();
    hub_->log().error("transport.link.no_memory", peer_text(), {{"direction", "outbound"}});
    DiallingActions actions;
    dialling_.failed(false, hub_->now(), actions);
    carry_out(std::move(actions));
}

net::Task<std::shared_ptr<OutboundLink>> Association::open_link() {
    auto connection = co_await connect();
    if (!connection) co_return nullptr;
    dialling_.connected();
    auto link = std::make_shared<OutboundLink>(*hub_, std::move(connection));
    link->on_deadline = [this, at = link.get()] {
        LinkActions actions;
        at->link.time(hub_->now(), actions);
        carry_out(std::move(actions), *at);
    };
    co_await shake_hands(*link);
    if (!link->link.about().was_open) co_return nullptr;
    co_return link;
}

/// Null when it failed, which the Dialling then knows.
net::Task<std::unique_ptr<net::Connection>> Association::connect() {
    DiallingActions actions;
    const Instant deadline = dialling_.deadline(hub_->options.connect_timeout, hub_->now());
    auto resolved = co_await hub_->runtime.resolve(*address_.host, *address_.port, deadline);
    if (!resolved) {
        if (resolved.error() != Errc::cancelled)
            dialling_.resolve_failed(resolved.error(), hub_->now(), actions);
        carry_out(std::move(actions));
        co_return nullptr;
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
                                          .silence_max = hub_->options.half_open_timeout,
                                          .congestion_control = hub_->options.congestion_control};
        auto connection = co_await hub_->runtime.connect(endpoints[i], options);
        if (connection) {
            auto inside = hub_->decorated(std::move(*connection), net::ConnectionRole::Dialled);
            if (!inside) {
                dialling_.failed(false, hub_->now(), actions);
                carry_out(std::move(actions));
            }
            co_return std::move(inside);
        }
        if (connection.error() == Errc::cancelled) co_return nullptr;
        if (connection.error() != Errc::refused) all_refused = false;
        last = connection.error();
    }
    dialling_.connect_failed(last, all_refused, hub_->now(), actions);
    carry_out(std::move(actions));
    co_return nullptr;
}

net::Task<void> Association::shake_hands(OutboundLink& link) {
    LinkActions actions;
    const Instant began = hub_->now();
    link.link.dialled(address_, dialling_.deadline(hub_->options.handshake_timeout, began),
                      dialling_.level_of_failure(), actions);
    carry_out(std::move(actions), link);
    co_await write_own(link);
    while (link.link.phase() == Link::Phase::Greeting && !hub_->cancelled()) {
        actions.clear();
        FrameReader::Frame frame;
        const FrameReader::Next next = link.reader.next(frame);
        if (next == FrameReader::Next::Frame) {
            link.link.frame(frame, hub_->now(), actions);
        } else if (next != FrameReader::Next::NeedMore) {
            link.link.stuck(next, link.reader.claimed(), link.reader.frame_bytes_max(), hub_->now(), actions);
        } else {
            auto received = co_await link.connection->receive();
            if (hub_->cancelled()) co_return;
            if (received)
                link.reader.feed(std::move(*received));
            else
                link.link.stream_ended(received.error(), actions);
        }
        carry_out(std::move(actions), link);
    }
}

/// How a handshake ended, for when the address is dialled next.
void Association::shaken(const action::Shaken& shaken) {
    const Instant now = hub_->now();
    DiallingActions actions;
    switch (shaken.outcome) {
    case action::Shaken::Outcome::Open:
        hub_->counters.outbound.add(1);
        dialling_.established(shaken.peer, now, actions);
        break;
    case action::Shaken::Outcome::Failed:
    case action::Shaken::Outcome::RefusedForNow: dialling_.failed(false, now, actions); break;
    case action::Shaken::Outcome::RefusedForGood: dialling_.failed(true, now, actions); break;
    case action::Shaken::Outcome::Renewed: break;
    case action::Shaken::Outcome::Quarantined:
        dialling_.quarantined_answered(shaken.peer, actions);
        dialling_.failed(true, now, actions);
        break;
    }
    carry_out(std::move(actions));
}

void Association::link_ended(OutboundLink& link) {
    hub_->counters.outbound.add(-1);
    stale_mark_ = outbox_.mark();
    dialling_.link_ended(link.link.loss(), hub_->now());
    if (hub_->cancelled()) return;
    LinkActions actions;
    link.link.over(actions);
    carry_out(std::move(actions), link);
}

// --- what the values want done

void Association::carry_out(DiallingActions&& actions) {
    const auto text = [this] { return peer_text(); };
    struct Carrier : NodeCarrier<decltype(text)> {
        Association& self;
        using NodeCarrier<decltype(text)>::operator();
        void operator()(action::ReportConnectRefused&) const {
            context.reporter.connect_refused(self.address_);
        }
        void operator()(action::DropTells& a) const { self.drop_tells(context.counters.of(a.as)); }
        void operator()(action::DropMessages& a) const { self.drop_messages(context.counters.of(a.as)); }
        void operator()(action::DropStaleTells&) const {
            const Outbox::Batch dropped = self.outbox_.drop_before(self.stale_mark_);
            context.counters.tells_other_incarnation.add(dropped.frames);
        }
        void operator()(action::SetRoute& a) const { self.outbox_.set_closed(!a.open); }
        void operator()(action::StrangerDial& a) const {
            if (a.begins)
                context.stranger_dials.begin();
            else
                context.stranger_dials.end();
        }
    };
    const Carrier carrier{{*hub_, text}, *this};
    for (DiallingAction& action : actions) std::visit(carrier, action);
}

void Association::carry_out(LinkActions&& actions, OutboundLink& link) {
    const auto text = [this] { return peer_text(); };
    struct Carrier : NodeCarrier<decltype(text)> {
        Association& self;
        OutboundLink& link;
        using NodeCarrier<decltype(text)>::operator();
        void operator()(action::PeerStops& a) const { self.stops(a.peer); }
        void operator()(action::Write& a) const { link.to_write = std::move(a.bytes); }
        void operator()(action::CloseStream& a) const { link.connection->close(how_of(a)); }
        void operator()(action::Shaken& a) const { self.shaken(a); }
        void operator()(action::Leave& a) const { self.hub_->leave(link.connection, std::move(a.goodbye)); }
        // Only an accepting link says these.
        void operator()(action::Deliver&) const {}
        void operator()(action::Opened&) const {}
        void operator()(action::AskVerdict&) const {}
    };
    const Carrier carrier{{*hub_, text}, *this, link};
    for (LinkAction& action : actions) std::visit(carrier, action);
    link.timer.set(link.link.deadline());
}

} // namespace muster::transport
