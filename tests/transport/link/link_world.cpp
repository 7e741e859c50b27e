// SPDX-License-Identifier: Apache-2.0
#include "link_world_parts.hpp"

#include <algorithm>

namespace muster::transport::test {
LinkWorld::LinkWorld() {
    messages_.emplace_back(); // no message has the number 0
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
        hosts_[i] = std::make_unique<Host>(*this, node_of(static_cast<int>(i) + 1, 1));
        boot(*hosts_[i]);
    }
    at(tick_interval, [this] { tick(); });
}

LinkWorld::~LinkWorld() = default;

void LinkWorld::boot(Host& host) {
    host.dialling = std::make_unique<Dialling>(dialling_limits, host.random);
    host.up = host.route = true;
    host.connecting = false;
    ++host.life;
    host.last_delivered = 0;
}

LinkWorld::Host& LinkWorld::other(const Host& host) { return *hosts_[&host == hosts_[0].get() ? 1 : 0]; }

void LinkWorld::at(Duration delay, std::function<void()> what) {
    queue_.emplace(std::pair{now_ + delay, events_++}, std::move(what));
}

bool LinkWorld::reaches(const Host& host) { return !partitioned_ && other(host).up; }

void LinkWorld::run(Duration time) {
    const Instant until = now_ + time;
    while (!queue_.empty() && queue_.begin()->first.first <= until) {
        auto next = queue_.extract(queue_.begin());
        now_ = next.key().first;
        next.mapped()();
        check();
    }
    now_ = until;
}

void LinkWorld::tick() {
    const auto ends = ends_;
    for (const auto& end : ends) {
        LinkActions actions;
        if (!end->host.up || end->receiving_over) continue;
        end->link.time(now_, actions);
        carry_out(end, actions);
    }
    for (const auto& host : hosts_)
        if (host->link) pump(*host);
    std::erase_if(ends_,
                  [](const auto& end) { return end->over() && end->link.phase() == Link::Phase::Ended; });
    at(tick_interval, [this] { tick(); });
}

/// What holds after every event.
void LinkWorld::check() {
    for (const auto& host : hosts_) {
        std::array<int, 2> open{};
        for (const auto& end : ends_)
            if (host->up && &end->host == host.get() && end->link.is_open()) ++open[end->dials ? 0 : 1];
        if (open[0] > 1) wrong("two live links that one node dialled");
        if (open[1] > 1) wrong("two live links that one peer dialled");
    }
}

// --- what is sent

void LinkWorld::tell(std::size_t host) { queue(*hosts_[host], std::nullopt); }

void LinkWorld::send(std::size_t host, bool to_former) {
    const Host& there = other(*hosts_[host]);
    queue(*hosts_[host], to_former && there.former ? *there.former : there.self().uid());
}

void LinkWorld::queue(Host& host, std::optional<Uid> to) {
    if (!host.up || (!to && !host.route) || host.dialling->blocks(to)) return;
    Message message{messages_.size(), to, {}};
    if (!to && host.link && host.link->link.is_open()) message.meant = host.link->link.about().peer;
    messages_.push_back(message);
    host.queued.push_back(message);
    host.dialling->begin();
    pump(host);
}

void LinkWorld::delivered(Host& host, const Tell& tell) {
    const Message& message = messages_.at(std::stoull(std::string{tell.manifest}));
    if (message.to && *message.to != host.self().uid()) wrong("a message for another incarnation arrived");
    if (message.meant && *message.meant != host.self()) wrong("a tell meant for another incarnation arrived");
    if (message.id <= host.last_delivered) wrong("a message arrived twice, or behind a later one");
    host.last_delivered = message.id;
}

// --- dialling, as Association does it

void LinkWorld::pump(Host& host) {
    if (!host.up || host.connecting) return;
    if (host.link) serve(host);
    if (host.link || host.connecting || host.dialling->state() == Dialling::State::Idle) return;
    for (;;) {
        DiallingActions actions;
        const auto step = host.dialling->next(!host.queued.empty(), now_, actions);
        carry_out(host, actions);
        if (step == Dialling::Step::Again) continue;
        if (step == Dialling::Step::Dial) return dial(host);
        if (step == Dialling::Step::Wait) {
            at(host.dialling->next_attempt() - now_, [this, &host, life = host.life] {
                if (life == host.life) pump(host);
            });
            return;
        }
        DiallingActions rest;
        host.dialling->rested(rest);
        return carry_out(host, rest);
    }
}

void LinkWorld::dial(Host& host) {
    host.connecting = true;
    at(partitioned_ ? connect_timeout : travel, [this, &host, life = host.life] {
        if (life != host.life) return;
        host.connecting = false;
        if (reaches(host)) return connected(host);
        DiallingActions actions;
        const bool refused = !partitioned_;
        host.dialling->connect_failed(Error{refused ? Errc::refused : Errc::timed_out, "peer", {}, {}},
                                      refused, now_, actions);
        carry_out(host, actions);
        pump(host);
    });
}

void LinkWorld::connected(Host& host) {
    Host& there = other(host);
    auto pipe = std::make_shared<Pipe>();
    auto mine = std::make_shared<End>(host, Link::Role::Dialler, host);
    auto theirs = std::make_shared<End>(there, Link::Role::Acceptor, there);
    pipe->ends = {mine, theirs};
    mine->pipe = theirs->pipe = pipe;
    ends_.push_back(mine);
    ends_.push_back(theirs);
    host.link = mine;
    host.dialling->connected();
    theirs->link.accepted("from", now_);
    carry_out(theirs, {});
    LinkActions actions;
    mine->link.dialled(there.self().address(), host.dialling->deadline(link_limits.handshake_timeout, now_),
                       LogLevel::Warning, actions);
    carry_out(mine, actions);
}

/// Writes while the link is open; when it is over the loop goes on without it.
void LinkWorld::serve(Host& host) {
    const std::shared_ptr<End> end = host.link;
    Link& link = end->link;
    if (!link.about().was_open) {
        if (link.phase() == Link::Phase::Ended) host.link.reset();
        return;
    }
    while (link.is_open() && !end->sending) {
        if (link.due() != Link::Due::AtOnce && !host.queued.empty()) {
            const Message message = host.queued.front();
            host.queued.pop_front();
            if (message.to && *message.to != link.about().peer.uid()) continue;
            link.sending(now_);
            if (end->pipe->swallows) {
                end->sending = true; // its queue is full: nobody takes anything
                break;
            }
            const wire::RemoteTell tell{"akka.tcp://test@a:1/user/a", std::to_string(message.id), {}, {}};
            post(end, *wire::encode_frame(tell));
            link.sent();
            continue;
        }
        LinkActions actions;
        if (!link.flushed(now_, actions)) break;
        carry_out(end, actions);
    }
    const bool ends = link.phase() == Link::Phase::Ended || link.phase() == Link::Phase::Lingering;
    if (!ends || end->sending) return;
    host.link.reset();
    host.stale_before = messages_.size();
    host.dialling->link_ended(link.loss(), now_);
    LinkActions actions;
    link.over(actions);
    carry_out(end, actions);
}

void LinkWorld::seen_alive(Host& host, const UniqueAddress& peer) {
    if (host.link && host.link->link.phase() != Link::Phase::Ended && host.link->link.about().was_open &&
        host.link->link.about().peer != peer) {
        LinkActions ends;
        const auto link = host.link;
        link->link.superseded(peer, now_, ends);
        carry_out(link, ends);
        host.stale_before = messages_.size();
    }
    DiallingActions actions;
    host.dialling->seen_alive(peer, now_, actions);
    carry_out(host, actions);
    pump(host);
}

void LinkWorld::shaken(Host& host, const action::Shaken& shaken) {
    DiallingActions actions;
    switch (shaken.outcome) {
    case action::Shaken::Outcome::Open: host.dialling->established(shaken.peer, now_, actions); break;
    case action::Shaken::Outcome::Failed:
    case action::Shaken::Outcome::RefusedForNow: host.dialling->failed(false, now_, actions); break;
    case action::Shaken::Outcome::RefusedForGood: host.dialling->failed(true, now_, actions); break;
    case action::Shaken::Outcome::Renewed: break;
    case action::Shaken::Outcome::Quarantined:
        host.dialling->quarantined_answered(shaken.peer, actions);
        host.dialling->failed(true, now_, actions);
        break;
    }
    carry_out(host, actions);
    at({}, [this, &host, life = host.life] {
        if (life == host.life) pump(host);
    });
}

void LinkWorld::carry_out(Host& host, const DiallingActions& actions) {
    const auto drop = [&host](auto which) { std::erase_if(host.queued, which); };
    for (const DiallingAction& action : actions) {
        if (std::holds_alternative<action::DropTells>(action)) drop([](const auto& m) { return !m.to; });
        if (std::holds_alternative<action::DropMessages>(action)) drop([](const auto& m) { return !!m.to; });
        if (std::holds_alternative<action::DropStaleTells>(action))
            drop([&](const auto& m) { return !m.to && m.id < host.stale_before; });
        if (const auto* route = std::get_if<action::SetRoute>(&action)) host.route = route->open;
    }
}

// --- a connection, as Association and InboundLink carry it

void LinkWorld::carry_out(const std::shared_ptr<End>& end, const LinkActions& actions) {
    Host& host = end->host;
    for (const LinkAction& action : actions) {
        if (const auto* write = std::get_if<action::Write>(&action)) {
            post(end, write->bytes);
            at({}, [this, end, life = host.life] {
                if (life != end->host.life) return;
                LinkActions out;
                end->link.written({}, now_, out);
                carry_out(end, out);
            });
        }
        if (const auto* leave = std::get_if<action::Leave>(&action)) {
            post(end, leave->goodbye);
            end->receiving_over = true;
            at(travel, [this, end] { abort(end); });
        }
        if (const auto* close = std::get_if<action::CloseStream>(&action)) {
            if (close->how == action::CloseStream::How::Abort) {
                abort(end);
            } else if (!std::exchange(end->finished, true)) {
                at(travel, [this, peer = end->pipe->ends[end->dials ? 1 : 0], pipe = end->pipe] {
                    if (const auto there = peer.lock(); there && !pipe->swallows)
                        stream_ends(there, Errc::end_of_stream);
                });
            }
        }
        if (std::holds_alternative<action::Opened>(action)) opened(host, *end);
        if (std::holds_alternative<action::AskVerdict>(action)) ask_verdict(end);
        if (const auto* s = std::get_if<action::Shaken>(&action)) shaken(host, *s);
    }
    const auto deadline = end->link.deadline();
    if (deadline && deadline != end->armed) {
        end->armed = deadline;
        at(*deadline - now_, [this, end, when = *deadline, life = host.life] {
            if (end->link.deadline() != when || life != end->host.life) return;
            LinkActions out;
            end->link.time(now_, out);
            carry_out(end, out);
        });
    }
    const auto phase = end->link.phase();
    while (!end->waiting.empty() && phase != Link::Phase::Replying && phase != Link::Phase::Claiming) {
        const Slice frame = std::move(end->waiting.front());
        end->waiting.pop_front();
        take(end, frame);
        if (end->link.phase() != phase) break;
    }
}

void LinkWorld::opened(Host& host, End& end) {
    const auto ends = ends_;
    for (const auto& older : ends) {
        if (older.get() == &end || &older->host != &host || older->dials || !older->link.is_open()) continue;
        LinkActions actions;
        older->link.superseded(end.link.about().peer, now_, actions);
        carry_out(older, actions);
    }
    seen_alive(host, end.link.about().peer);
}

void LinkWorld::ask_verdict(const std::shared_ptr<End>& end) {
    at(2 * travel, [this, end, life = end->host.life] {
        Host& host = end->host;
        if (life != host.life || !reaches(host)) return; // nobody answers: the link has its own patience
        const UniqueAddress owner = other(host).self();
        if (host.quarantine_of(owner) == Quarantined::No) seen_alive(host, owner);
        LinkActions actions;
        end->link.verdict(owner == end->link.about().peer ? Verdict::Owner : Verdict::AddressTaken, owner,
                          now_, actions);
        carry_out(end, actions);
    });
}

void LinkWorld::post(const std::shared_ptr<End>& from, const Slice& frame) {
    at(travel, [this, peer = from->pipe->ends[from->dials ? 1 : 0], pipe = from->pipe, frame] {
        const auto there = peer.lock();
        if (there && !pipe->swallows && !there->receiving_over && there->host.up) take(there, frame);
    });
}

void LinkWorld::take(const std::shared_ptr<End>& end, const Slice& frame) {
    Link& link = end->link;
    if (link.phase() == Link::Phase::Replying || link.phase() == Link::Phase::Claiming) {
        end->waiting.push_back(frame);
        return;
    }
    const Slice body = frame.sub(4, frame.size() - 4);
    link.received(now_);
    Tell tell;
    if (link.is_open() && !end->dials && wire::parse_tell(body.bytes(), tell) && link.admits(tell))
        return delivered(end->host, tell);
    LinkActions actions;
    const bool goes_on = link.frame({body.bytes(), body.owner(), false}, now_, actions);
    if (end->dials && !goes_on && !link.is_open()) end->receiving_over = true;
    carry_out(end, actions);
    if (end->dials) pump(end->host);
}

void LinkWorld::stream_ends(const std::shared_ptr<End>& end, Errc why) {
    if (!end->host.up || std::exchange(end->receiving_over, true)) return;
    const Error error{why, "peer", {}, {}};
    const bool sending = std::exchange(end->sending, false);
    if (sending) end->link.send_failed(error, now_);
    LinkActions actions;
    end->link.stream_ended(error, actions);
    if (!end->dials) end->link.over(actions);
    carry_out(end, actions);
    if (end->dials) pump(end->host);
    end->pipe->ends[end->dials ? 0 : 1].reset();
    std::erase(ends_, end);
}

void LinkWorld::abort(const std::shared_ptr<End>& end) {
    if (std::exchange(end->aborted, true)) return;
    at({}, [this, end, life = end->host.life] {
        if (life == end->host.life) stream_ends(end, Errc::closed);
        std::erase(ends_, end);
    });
    at(travel, [this, peer = end->pipe->ends[end->dials ? 1 : 0], pipe = end->pipe] {
        if (const auto there = peer.lock(); there && !pipe->swallows) stream_ends(there, Errc::reset);
    });
}

} // namespace muster::transport::test
