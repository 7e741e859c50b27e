// SPDX-License-Identifier: Apache-2.0
#include "acceptor.hpp"

#include "hub.hpp"
#include "inbound.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <new>
#include <utility>

namespace muster::transport {
namespace {

/// After the system had no descriptor or memory for a connection: the peer waits in the backlog.
constexpr std::chrono::milliseconds accept_retry{100};

bool is_greeting(const std::shared_ptr<InboundLink>& link) { return link->greeting(); }

} // namespace

Acceptor::Acceptor(Hub& hub, std::unique_ptr<net::Listener> listener)
    : hub_(hub), listener_(std::move(listener)), places_(hub.options.inbound_connections_max) {}

Acceptor::~Acceptor() = default;

void Acceptor::start() { hub_.tasks.spawn(accept_loop(hub_.shared_from_this())); }

net::Task<void> Acceptor::accept_loop(std::shared_ptr<Hub> /*keep*/) {
    bool exhausted = false;
    while (!hub_.cancelled() && !hub_.stopping) {
        auto connection = co_await listener_->accept();
        if (connection) {
            if (std::exchange(exhausted, false))
                hub_.log().warning("transport.accept.recovered", listener_->local().to_string());
            try {
                accepted(std::move(*connection));
                continue;
            } catch (const std::bad_alloc&) {
                connection = Error{Errc::no_memory, {}, {}, {}}; // and that connection is closed
            }
        }
        const Error& error = connection.error();
        if (error == Errc::cancelled || error == Errc::closed) break;
        hub_.counters.accepts_failed.add();
        // One line per shortage, not one per attempt.
        if (!std::exchange(exhausted, true))
            hub_.log().error(
                "transport.accept.failed", listener_->local().to_string(),
                {{"error", error.message()}, {"retry_ms", fmt::to_string(accept_retry.count())}});
        co_await hub_.runtime.sleep_for(accept_retry);
    }
}

void Acceptor::accepted(std::unique_ptr<net::Connection> connection) {
    if (!make_place()) {
        hub_.counters.accepts_over_limit.add();
        hub_.log().warning(
            "transport.accept.over_limit", connection->remote().to_string(),
            {{"inbound_connections_max", fmt::to_string(hub_.options.inbound_connections_max)}});
        connection->close(net::Close::Abort);
        return;
    }
    connection = hub_.decorated(std::move(connection), net::ConnectionRole::Accepted);
    if (!connection) return;
    auto link = std::make_shared<InboundLink>(hub_, std::move(connection));
    links_.push_back(link);
    hub_.arm_sweep();
    hub_.tasks.spawn(link->run(link, hub_.shared_from_this()));
}

/// Whether a new connection may stay until it has said who it is.
bool Acceptor::make_place() {
    if (links_.size() < hub_.options.inbound_connections_max) return true;
    const auto greeting = static_cast<std::size_t>(std::ranges::count_if(links_, is_greeting));
    switch (places_.newcomer(links_.size(), greeting)) {
    case InboundPlaces::Newcomer::Enter: return true;
    case InboundPlaces::Newcomer::Refuse: return false;
    case InboundPlaces::Newcomer::Replace: break;
    }
    hub_.counters.accepts_displaced.add();
    (*std::ranges::find_if(links_, is_greeting))->close(wire::GoodbyeReason::Overloaded, {});
    return true;
}

bool Acceptor::has_place_for_stranger() const {
    const auto is_stranger = [](const auto& link) { return link->established() && !link->acquainted(); };
    return places_.stranger(static_cast<std::size_t>(std::ranges::count_if(links_, is_stranger)));
}

void Acceptor::established(InboundLink& link) {
    const UniqueAddress peer = link.peer();
    // One connection per direction, and one incarnation per address: what is older has been replaced, even if
    // its end has not been heard of.
    const auto links = links_; // closing may end some
    for (const auto& other : links) {
        if (other.get() == &link || !other->established() || other->peer().address() != peer.address())
            continue;
        if (other->peer() == peer && other->lane() != link.lane()) continue;
        other->superseded(peer);
    }
}

void Acceptor::ended(InboundLink& link) {
    std::erase_if(links_, [&link](const auto& other) { return other.get() == &link; });
}

void Acceptor::close_all(wire::GoodbyeReason reason, std::string_view detail) {
    const auto links = links_; // closing may end some
    for (const auto& link : links) link->close(reason, detail);
}

std::vector<std::shared_ptr<InboundLink>> Acceptor::links_of(const UniqueAddress& peer) const {
    std::vector<std::shared_ptr<InboundLink>> links;
    std::ranges::copy_if(links_, std::back_inserter(links),
                         [&peer](const auto& link) { return link->peer() == peer; });
    return links;
}

bool Acceptor::hears_from(const Address& address) const {
    return std::ranges::any_of(
        links_, [&](const auto& link) { return link->established() && link->peer().address() == address; });
}

bool Acceptor::hears_from_another(const UniqueAddress& peer) const {
    return std::ranges::any_of(
        links_, [&](const auto& link) { return link->established() && is_claim(peer, link->peer()); });
}

void Acceptor::sweep(Instant now) {
    for (const auto& link : links_) link->sweep(now);
}

} // namespace muster::transport
