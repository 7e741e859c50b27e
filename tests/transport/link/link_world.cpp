// SPDX-License-Identifier: Apache-2.0
#include "link_world.hpp"

#include <algorithm>

namespace muster::transport::test {
namespace {

constexpr Duration travel = 1ms;
constexpr Duration tick_interval = 250ms;
constexpr LinkLimits link_limits{
    .handshake_timeout = 1s, .idle_timeout = 3s, .half_open_timeout = 2s, .frame_timeout = 1s};
constexpr DiallingLimits dialling_limits{
    .backoff_min = 20ms, .backoff_max = 500ms, .unreachable_after = 3s, .waiting_for_answer = 1s};
constexpr Duration connect_timeout = 1s;

} // namespace

struct LinkWorld::Pipe {
    bool swallows = false;
    std::array<std::weak_ptr<End>, 2> ends;
};

struct LinkWorld::End {
    End(Host& h, Link::Role role, NodeView& view)
        : host(h), dials(role == Link::Role::Dialler), link(role, link_limits, view) {}
    bool over() const { return receiving_over && !sending; }

    Host& host;
    const bool dials;
    Link link;
    std::shared_ptr<Pipe> pipe;
    std::deque<Slice> waiting; ///< arrived, and not looked at yet
    bool receiving_over = false;
    bool finished = false; ///< sends no more
    bool aborted = false;
    bool sending = false; ///< a send is in flight, on a pipe that swallows
    std::optional<Instant> armed;
};

/// A process at an address. Another one takes its place after a crash.
struct LinkWorld::Host final : NodeView {
    Host(LinkWorld& w, UniqueAddress node) : world(w), view(std::move(node)) {}
    Identity identity() const override { return view.identity(); }
    bool stops() const override { return false; }
    bool acquainted(const Address&) const override { return true; }
    bool has_place_for_stranger() const override { return true; }
    Quarantined quarantine_of(const UniqueAddress& node) override { return view.quarantine_of(node); }
    bool is_claimed(const UniqueAddress& peer) override {
        if (is_claim(peer, dialling->known())) return true;
        for (const auto& end : world.ends_)
            if (&end->host == this && !end->dials && end->link.is_open() &&
                is_claim(peer, end->link.about().peer))
                return true;
        return false;
    }
    wire::Interner& interner() override { return view.interner(); }
    const UniqueAddress& self() const { return view.me.self; }

    LinkWorld& world;
    TestNode view;
    bool up = true;
    bool route = true;
    bool connecting = false;
    std::uint64_t life = 0; ///< what was scheduled in a former one is void
    SplitMix64 random{11};
    std::unique_ptr<Dialling> dialling;
    std::shared_ptr<End> link; ///< the one that is dialled, shakes hands or is written to
    std::deque<Message> queued;
    std::uint64_t stale_before = 0;
    std::optional<Uid> former;
    std::uint64_t last_delivered = 0; ///< of the other's messages
};

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

// --- faults

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
