// SPDX-License-Identifier: Apache-2.0
#include "peer_links.hpp"

#include <algorithm>
#include <limits>
#include <muster/ensure.hpp>

namespace muster {
namespace {

constexpr Duration refusals_apart = std::chrono::milliseconds{20};
constexpr std::size_t links_max = 8192;

void open(PeerLink& link) {
    ++link.open;
    link.was_open = true;
    link.first_refusal.reset();
    link.refused_twice = false;
    link.stopping = false;
}

void answer(PeerLink& link) {
    link.replaced = false;
    link.proven = true;
}

void replace(PeerLink& link) {
    link.replaced = true;
    link.proven = false;
}

void end(PeerLink& link, LinkEvent how) {
    if (link.open > 0) --link.open;
    link.said_goodbye = how != LinkEvent::EndedWithoutGoodbye;
    link.stopping = link.stopping || how == LinkEvent::GoodbyeStopping;
    // The two connections with a dead process end one after the other: what was refused between them counts.
    if (!link.said_goodbye) return;
    link.first_refusal.reset();
    link.refused_twice = false;
}

} // namespace

PeerLink& PeerLinks::link_of(const UniqueAddress& peer) {
    if (links_.size() >= std::max(links_max, trim_at_) && !links_.contains(peer)) {
        std::erase_if(links_, [&](const auto& e) { return e.second.open == 0 && !core_.is_member(e.first); });
        trim_at_ = 2 * links_.size(); // a big cluster must not search all of them for each further one
    }
    return links_[peer];
}

const PeerLink& PeerLinks::on_event(const UniqueAddress& peer, LinkEvent event) {
    PeerLink& link = link_of(peer);
    switch (event) {
    case LinkEvent::Established:
        open(link);
        answer(link);
        break;
    case LinkEvent::Accepted: open(link); break;
    case LinkEvent::Answered: answer(link); break;
    case LinkEvent::EndedWithoutGoodbye:
    case LinkEvent::GoodbyeLink:
    case LinkEvent::GoodbyeStopping: end(link, event); break;
    case LinkEvent::ReconnectRefused: break; // where it is known whether it counts
    case LinkEvent::OtherIncarnation: replace(link); break;
    }
    return link;
}

void PeerLinks::on_refused(const UniqueAddress& peer, Instant now) {
    PeerLink& link = link_of(peer);
    if (!link.first_refusal) {
        link.first_refusal = now;
    } else if (now - *link.first_refusal >= refusals_apart) {
        link.refused_twice = true;
    }
}

void PeerLinks::forget_refusals() {
    for (auto& [node, link] : links_) {
        link.first_refusal.reset();
        link.refused_twice = false;
    }
}

void PeerLinks::mark_replaced(const UniqueAddress& node) { replace(link_of(node)); }

void PeerLinks::on_answered(const UniqueAddress& fresh) {
    const UniqueAddress first(fresh.address(), Uid{std::numeric_limits<std::int64_t>::min()});
    for (auto at = links_.lower_bound(first); at != links_.end() && at->first.address() == fresh.address();
         ++at)
        if (at->first != fresh) replace(at->second);
}

void PeerLinks::on_removed(const UniqueAddress& node) {
    if (const auto link = links_.find(node); link != links_.end() && link->second.open == 0)
        links_.erase(link);
}

const PeerLink* PeerLinks::find(const UniqueAddress& node) const noexcept {
    const auto link = links_.find(node);
    return link == links_.end() ? nullptr : &link->second;
}

bool PeerLinks::is_over(const UniqueAddress& node) const noexcept {
    const PeerLink* link = find(node);
    return link != nullptr && (link->replaced || (link->was_open && link->open == 0));
}

bool PeerLinks::is_proven(const UniqueAddress& node) const noexcept {
    const PeerLink* link = find(node);
    return link != nullptr && link->proven;
}

void PeerLinks::check() const {
    for (const auto& [node, link] : links_) {
        MUSTER_ENSURE(!link.proven || !link.replaced, "one incarnation answers at an address");
        MUSTER_ENSURE(link.open == 0 || link.was_open, "what is open was opened");
        MUSTER_ENSURE(!link.refused_twice || link.first_refusal, "the second refusal follows a first one");
    }
}

} // namespace muster
