// SPDX-License-Identifier: Apache-2.0
#include "hub.hpp"

#include "association.hpp"
#include "base/mutants.hpp"
#include "inbound.hpp"
#include "link/handshake.hpp"
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <fmt/format.h>
#include <utility>

namespace muster::transport {
namespace asio = boost::asio;
namespace {

constexpr std::chrono::milliseconds sweep_interval_min{5};
constexpr std::chrono::milliseconds sweep_interval_max{1000};

} // namespace

Identity HubView::identity() const { return hub_.identity.get(); }
bool HubView::stops() const { return hub_.stopping; }
bool HubView::acquainted(const Address& address) const { return hub_.reporter.acquainted(address); }
bool HubView::has_place_for_stranger() const { return hub_.acceptor().has_place_for_stranger(); }
Quarantined HubView::quarantine_of(const UniqueAddress& node) { return hub_.quarantine_of(node); }
bool HubView::is_claimed(const UniqueAddress& peer) { return hub_.claims().is_claimed(peer); }
wire::Interner& HubView::interner() { return hub_.interner; }

Hub::Hub(net::Runtime& r, TcpTransportOptions o, std::unique_ptr<net::Listener> listener, UniqueAddress self)
    : Context(r, std::move(o), std::move(self)), acceptor_(*this, std::move(listener)) {}

Hub::~Hub() = default;

void Hub::start(TransportHandler& handler, std::shared_ptr<RemoteMessageSink> s) {
    reporter.start(handler);
    sink = std::move(s);
    started = true;
    acceptor_.start();
    for (const auto& association : table_.all())
        if (!association->dormant()) association->kick();
}

void Hub::arm_sweep() {
    if (sweep_timer_ != net::TimerId::None || stopping) return;
    const auto shortest =
        std::min({options.association_idle_timeout, options.half_open_timeout, options.frame_timeout});
    const auto interval = std::clamp(shortest / 8, sweep_interval_min, sweep_interval_max);
    auto action = [weak = weak_from_this()] {
        if (const auto hub = weak.lock()) {
            hub->sweep_timer_ = net::TimerId::None;
            hub->sweep();
        }
    };
    sweep_timer_ = runtime.schedule(now() + interval, std::move(action));
}

void Hub::sweep() {
    const Instant at = now();
    for (Association* association : table_.running()) association->sweep(at);
    acceptor_.sweep(at);
    if (!table_.running().empty() || !acceptor_.empty()) arm_sweep();
}

// --- what a link says about its peer

void Hub::inbound_established(InboundLink& link) {
    const UniqueAddress peer = link.peer();
    acceptor_.established(link);
    if (const auto there = association(peer.address())) there->seen_alive(peer);
    reporter.link(peer, LinkEvent::Accepted);
}

void Hub::answered_at_its_address(const UniqueAddress& node) {
    if (quarantine_of(node) != Quarantined::No) return;
    if (const auto there = table_.find(node.address())) there->seen_alive(node);
    reporter.link(node, LinkEvent::Answered);
}

void Hub::stops(const UniqueAddress& node) {
    if (const auto there = table_.find(node.address())) there->stops(node);
}

void Hub::leave(std::shared_ptr<net::Connection> connection, Slice frame) {
    tasks.spawn(leave_and_linger(shared_from_this(), std::move(connection), std::move(frame)));
}

net::Task<void> Hub::leave_and_linger(std::shared_ptr<Hub> hub, std::shared_ptr<net::Connection> connection,
                                      Slice frame) {
    const AbortAt enough{hub->runtime, hub->now() + linger_max, connection};
    const std::vector<Slice> parts{std::move(frame)};
    auto sent = co_await connection->send(parts);
    if (!sent) co_return;
    connection->close(net::Close::Graceful);
    for (;;) {
        auto received = co_await connection->receive();
        if (!received) co_return;
    }
}

// --- the node's wishes

void Hub::quarantine(const UniqueAddress& node, bool harmless) {
    if (MUSTER_MUTANT(quarantine_forgotten)) return;
    quarantine_list.add(node, now() + options.quarantine_for, harmless);
    log().info("transport.quarantined", node.address().to_string(),
               {{"node", node.to_string()}, {"harmless", harmless ? "yes" : "no"}});
    // A former incarnation of this node's address says nothing about what is told to the address.
    if (node.address() != identity.address())
        if (const auto there = association(node.address())) there->quarantine(node, harmless);
    for (const auto& link : acceptor_.links_of(node))
        link->close(harmless ? wire::GoodbyeReason::Link : wire::GoodbyeReason::Quarantined, {});
}

/// Without it a node that the new process never contacts would answer NoRoute to it for ever.
void Hub::expect(const UniqueAddress& node) {
    if (quarantine_of(node) != Quarantined::No) return;
    if (const auto there = table_.find(node.address())) there->expect(node);
}

void Hub::renew_incarnation(Uid uid) {
    identity.renew(uid);
    log().info("transport.incarnation.renewed", {}, {{"self", self().to_string()}});
    const auto running = table_.running();
    for (Association* association : running) association->renew();
    acceptor_.close_all(wire::GoodbyeReason::Incarnation, {});
}

void Hub::shutdown(Instant deadline, UniqueFunction<void()> done) {
    if (std::exchange(stopping, true)) {
        runtime.post(std::move(done));
        return;
    }
    reporter.stop();
    acceptor_.close_listener();
    claims_.stop();
    table_.close();
    for (const auto& association : table_.all()) association->shut_down();
    acceptor_.close_all(wire::GoodbyeReason::Stopping, {});
    auto ended = [keep = shared_from_this()](const std::exception_ptr&) {};
    asio::co_spawn(runtime.executor(), finish(shared_from_this(), deadline, std::move(done)),
                   std::move(ended));
}

/// Not one of the tasks, since it waits for them.
net::Task<void> Hub::finish(std::shared_ptr<Hub> hub, Instant deadline, UniqueFunction<void()> done) {
    auto late = [weak = std::weak_ptr{hub}] {
        if (const auto h = weak.lock()) {
            h->log().warning("transport.shutdown.late", {},
                             {{"associations", fmt::to_string(h->table_.running().size())},
                              {"inbound", fmt::to_string(h->acceptor_.size())}});
            h->tasks.cancel();
        }
    };
    const net::TimerId timer = hub->runtime.schedule(deadline, std::move(late));
    co_await hub->claims_.join();
    co_await hub->tasks.join();
    hub->runtime.cancel(timer);
    hub->tasks.cancel(); // nothing starts any more
    for (const auto& association : hub->table_.all())
        association->drop_all(hub->counters.tells_shutdown, hub->counters.messages_shutdown);
    hub->sink.reset();
    hub->lifeline->cut();
    done();
}

void Hub::abandon() {
    if (std::exchange(abandoned_, true)) return;
    stopping = true;
    reporter.stop();
    sink.reset();
    lifeline->cut();
    claims_.stop();
    table_.close();
    for (const auto& association : table_.all()) {
        association->shut_down();
        association->drop_all(counters.tells_shutdown, counters.messages_shutdown);
    }
    if (sweep_timer_ != net::TimerId::None) runtime.cancel(std::exchange(sweep_timer_, net::TimerId::None));
    acceptor_.close_listener();
    tasks.cancel();
    // The tasks hold the Hub, and it holds the group they belong to: somebody has to hold it until they
    // ended.
    auto ended = [keep = shared_from_this()](const std::exception_ptr&) {};
    asio::co_spawn(runtime.executor(), outlive(shared_from_this()), std::move(ended));
}

net::Task<void> Hub::outlive(std::shared_ptr<Hub> hub) {
    co_await hub->claims_.join();
    co_await hub->tasks.join();
}

} // namespace muster::transport
