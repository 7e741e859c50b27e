// SPDX-License-Identifier: Apache-2.0
// What strangers may have of a transport: answers, connections, memory.
#include "association.hpp"
#include "hub.hpp"
#include "inbound.hpp"
#include <algorithm>
#include <fmt/format.h>

namespace muster::transport {

bool Hub::acquainted(const Address& address) const { return handler_ && handler_->is_acquainted(address); }

/// Whether an answer to `to` may go out. If so and a connection has to be made for it, the association knows
/// that it gets one attempt.
bool Hub::may_answer(const Address& to) {
    std::shared_ptr<Association> there;
    {
        const std::scoped_lock lock{table_mutex_};
        if (const auto found = table_.find(to); found != table_.end()) there = found->second;
    }
    StrangerDials::Asked asked;
    asked.connected = there && there->state() != Association::State::Idle;
    asked.acquainted = asked.connected || acquainted(to);
    asked.asking = asked.acquainted || std::ranges::any_of(inbound_, [&](const auto& link) {
                       return link->established() && link->peer().address() == to;
                   });
    const AnswerRoute route = stranger_dials_.route(asked);
    if (route == AnswerRoute::DialOnce) {
        if (!there) there = association(to);
        if (there) there->dial_once();
    } else if (route != AnswerRoute::Send) {
        counters_.messages_stranger.add();
        return false;
    }
    return true;
}

std::size_t Hub::strangers() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        inbound_, [](const auto& link) { return link->established() && !link->acquainted(); }));
}

bool Hub::has_place_for_stranger() const { return places_.stranger(strangers()); }

/// Whether a new connection may stay until it has said who it is.
bool Hub::make_place() {
    if (inbound_.size() < options_.inbound_connections_max) return true;
    const auto is_greeting = [](const auto& link) { return link->greeting(); };
    const auto greeting = static_cast<std::size_t>(std::ranges::count_if(inbound_, is_greeting));
    switch (places_.newcomer(inbound_.size(), greeting)) {
    case InboundPlaces::Newcomer::Enter: return true;
    case InboundPlaces::Newcomer::Refuse: return false;
    case InboundPlaces::Newcomer::Replace: break;
    }
    counters_.accepts_displaced.add();
    (*std::ranges::find_if(inbound_, is_greeting))
        ->close(wire::GoodbyeReason::Overloaded, {}); // in the order of arrival
    return true;
}

} // namespace muster::transport
