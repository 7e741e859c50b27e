// SPDX-License-Identifier: Apache-2.0
// What breaks in a LinkWorld, and what has to hold when it is over.
#include "link_world_parts.hpp"

namespace muster::transport::test {

void LinkWorld::crash(std::size_t which) {
    Host& host = *hosts_[which];
    if (!std::exchange(host.up, false)) return;
    ++host.life;
    host.link.reset();
    host.queued.clear();
    const auto ends = ends_;
    for (const auto& end : ends) {
        if (&end->host != &host) continue;
        end->receiving_over = true;
        abort(end); // by the system
    }
}

void LinkWorld::restart(std::size_t which) {
    crash(which);
    Host& host = *hosts_[which];
    host.former = host.self().uid();
    host.view.me.self = {host.self().address(), Uid{host.self().uid().value + 1}};
    host.view.quarantined.clear();
    host.view.harmless.clear();
    boot(host);
}

void LinkWorld::renew(std::size_t which) {
    Host& host = *hosts_[which];
    if (!host.up) return;
    host.former = host.self().uid();
    host.view.me.self = {host.self().address(), Uid{host.self().uid().value + 1}};
    std::erase_if(host.queued, [](const auto& m) { return m.to.has_value(); });
    const auto ends = ends_;
    for (const auto& end : ends) {
        if (&end->host != &host || (end->dials && end != host.link)) continue;
        LinkActions actions;
        end->link.close(wire::GoodbyeReason::Incarnation, {}, now_, actions);
        carry_out(end, actions);
    }
    pump(host);
}

void LinkWorld::quarantine(std::size_t which, bool harmless) {
    Host& host = *hosts_[which];
    if (!host.up) return;
    const UniqueAddress node = other(host).self();
    (harmless ? host.view.harmless : host.view.quarantined).insert(node);
    const auto reason = harmless ? wire::GoodbyeReason::Link : wire::GoodbyeReason::Quarantined;
    DiallingActions actions;
    const bool leads_there = host.dialling->quarantine(node, actions);
    carry_out(host, actions);
    const auto ends = ends_;
    for (const auto& end : ends) {
        if (&end->host != &host ||
            (end->dials ? !leads_there || end != host.link : end->link.about().peer != node))
            continue;
        LinkActions out;
        end->link.close(reason, {}, now_, out);
        carry_out(end, out);
    }
    pump(host);
}

void LinkWorld::close_inbound(std::size_t which) {
    const auto ends = ends_;
    for (const auto& end : ends) {
        if (&end->host != hosts_[which].get() || end->dials || !end->host.up) continue;
        LinkActions actions;
        end->link.close(wire::GoodbyeReason::Overloaded, "for the test", now_, actions);
        carry_out(end, actions);
    }
}

void LinkWorld::break_pipes() {
    const auto ends = ends_;
    for (const auto& end : ends)
        if (!end->pipe->swallows) at({}, [this, end] { stream_ends(end, Errc::reset); });
}

void LinkWorld::swallow() {
    for (const auto& end : ends_) end->pipe->swallows = true;
}

void LinkWorld::partition(bool on) { partitioned_ = on; }

std::vector<std::string> LinkWorld::settle() {
    partition(false);
    for (std::size_t i = 0; i < hosts_.size(); ++i)
        if (!hosts_[i]->up) restart(i);
    // As the membership does for every member: who only tells, and is never dialled, hears of it in no other
    // way.
    for (const auto& host : hosts_) {
        if (host->quarantine_of(other(*host).self()) != Quarantined::No) continue;
        DiallingActions actions;
        host->dialling->expect(other(*host).self(), actions);
        carry_out(*host, actions);
    }
    run(30s);
    const bool apart = hosts_[0]->quarantine_of(hosts_[1]->self()) != Quarantined::No ||
                       hosts_[1]->quarantine_of(hosts_[0]->self()) != Quarantined::No;
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
        if (!apart && !hosts_[i]->route) wrong("no route to who is not quarantined");
        tell(i);
        const std::uint64_t id = messages_.size() - 1;
        run(2s);
        const bool arrived = hosts_[1 - i]->last_delivered == id;
        if (!apart && !arrived) wrong("a tell after the faults did not arrive");
    }
    run(30s);
    for (const auto& host : hosts_) {
        if (!apart && !host->queued.empty()) wrong("something is queued still");
        if (!apart && host->dialling->state() != Dialling::State::Idle) wrong("somebody dials still");
        if (host->link) wrong("a link is served still");
    }
    if (!ends_.empty()) wrong("a connection is there still");
    return std::move(wrong_);
}

} // namespace muster::transport::test
