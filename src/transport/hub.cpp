// SPDX-License-Identifier: Apache-2.0
#include "hub.hpp"

#include "association.hpp"
#include "base/mutants.hpp"
#include "inbound.hpp"
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <cstring>
#include <exception>
#include <fmt/format.h>
#include <new>
#include <utility>

namespace muster::transport {
namespace asio = boost::asio;
namespace {

/// After the system had no descriptor or memory for a connection: the peer waits in the backlog.
constexpr std::chrono::milliseconds accept_retry{100};
/// Frames of full size that are assembled at once unless assembly_bytes_max says otherwise.
constexpr std::size_t assembly_frames = 8;
constexpr std::chrono::milliseconds sweep_interval_min{5};
constexpr std::chrono::milliseconds sweep_interval_max{1000};
/// How often a full table is searched for associations nobody uses.
constexpr std::chrono::seconds dormant_search_interval{1};

} // namespace

AbortAt::AbortAt(net::Runtime& runtime, Instant deadline, std::shared_ptr<net::Connection> connection)
    : runtime_(runtime) {
    auto abort = [this, connection = std::move(connection)] {
        timer_ = net::TimerId::None;
        expired_ = true;
        connection->close(net::Close::Abort);
    };
    timer_ = runtime_.schedule(deadline, std::move(abort));
}

AbortAt::~AbortAt() {
    if (timer_ != net::TimerId::None) runtime_.cancel(timer_);
}

Hub::PartialHold::PartialHold(Hub& hub, FrameReader& reader)
    : hub_(hub), held_(reader.holds_receive_buffer() && hub.partial_holds_ < partial_holds_max) {
    if (held_)
        ++hub_.partial_holds_;
    else
        reader.detach();
}

Hub::Hub(net::Runtime& runtime, TcpTransportOptions options, std::unique_ptr<net::Listener> listener,
         UniqueAddress self)
    : runtime_(runtime), options_(std::move(options)), counters_(runtime.metrics()),
      lifeline_(std::make_shared<Lifeline>(runtime, counters_)),
      retained_(std::make_shared<RetainedBytes>(options_.retained_bytes_max)), tasks_(runtime),
      listener_(std::move(listener)), self_(std::move(self)),
      assembly_(options_.assembly_bytes_max ? options_.assembly_bytes_max
                                            : assembly_frames * options_.frame_bytes_max),
      places_(options_.inbound_connections_max) {
    std::uint64_t seed = 0;
    runtime_.fill_entropy(std::as_writable_bytes(std::span{&seed, 1}));
    random_ = SplitMix64(seed);
}

Hub::~Hub() { counters_.associations.add(-static_cast<std::int64_t>(table_.size())); }

UniqueAddress Hub::self() const {
    const std::scoped_lock lock{self_mutex_};
    return self_;
}

Duration Hub::random_up_to(Duration bound) {
    return Duration{static_cast<std::int64_t>(random_() % (static_cast<std::uint64_t>(bound.count()) + 1))};
}

void Hub::start(TransportHandler& handler, std::shared_ptr<RemoteMessageSink> sink) {
    handler_ = &handler;
    sink_ = std::move(sink);
    started_ = true;
    tasks_.spawn(accept_loop(shared_from_this()));
    for (const auto& association : all_associations())
        if (!association->dormant()) association->kick();
}

// --- associations

std::shared_ptr<Association> Hub::association(const Address& to) {
    if (!to.host || !to.port || *to.port == 0 || to.protocol != options_.protocol ||
        to.system != options_.cluster_name)
        return nullptr;
    const std::scoped_lock lock{table_mutex_};
    if (table_closed_) return nullptr;
    if (const auto found = table_.find(to); found != table_.end()) return found->second;
    if (table_.size() >= options_.associations_max) {
        forget_dormant();
        if (table_.size() >= options_.associations_max) return nullptr;
    }
    auto made = std::make_shared<Association>(shared_from_this(), to);
    table_.emplace(to, made);
    counters_.associations.add(1);
    return made;
}

/// In the order of addresses: what happens to all of them happens in the same order in every run.
std::vector<std::shared_ptr<Association>> Hub::all_associations() {
    std::vector<std::shared_ptr<Association>> all;
    {
        const std::scoped_lock lock{table_mutex_};
        for (const auto& [address, association] : table_) all.push_back(association);
    }
    std::sort(all.begin(), all.end(),
              [](const auto& a, const auto& b) { return a->address() < b->address(); });
    return all;
}

void Hub::close_table() {
    const std::scoped_lock lock{table_mutex_};
    table_closed_ = true;
}

/// Under table_mutex_. Drops associations that nobody holds a route to and that have nothing to do.
void Hub::forget_dormant() {
    if (!runtime_.in_runtime_thread()) { // only there can one see what is dormant
        if (std::exchange(forgetting_, true)) return;
        runtime_.post([weak = weak_from_this()] {
            const auto hub = weak.lock();
            if (!hub) return;
            const std::scoped_lock lock{hub->table_mutex_};
            hub->forgetting_ = false;
            hub->forget_dormant();
        });
        return;
    }
    if (table_searched_ && now() - *table_searched_ < dormant_search_interval) return;
    table_searched_ = now();
    const auto before = table_.size();
    std::erase_if(table_,
                  [](const auto& entry) { return entry.second.use_count() == 1 && entry.second->dormant(); });
    counters_.associations.add(-static_cast<std::int64_t>(before - table_.size()));
}

/// Null when nothing is to be sent there; why is counted.
std::shared_ptr<Association> Hub::way_to(const Destination& to, MessageLane lane, std::string_view name) {
    if (stopping_) {
        counters_.messages_shutdown.add();
        return nullptr;
    }
    if (to.address == self_.address()) { // meant for a former incarnation: nothing is said to oneself
        counters_.messages_other_incarnation.add();
        return nullptr;
    }
    if ((lane == MessageLane::Answer || lane == MessageLane::HeartbeatReply) && !may_answer(to.address))
        return nullptr;
    auto association = this->association(to.address);
    if (!association) {
        counters_.messages_no_route.add();
        log().warning("transport.message.no_route", to.address.to_string(), {{"message", std::string{name}}});
    }
    return association;
}

std::optional<wire::EncodedMessage> Hub::encode(const ClusterMessage& message,
                                                const wire::Agreement& agreement, const Address& to) {
    auto encoded = wire::encode_message(message, envelopes_, options_.frame_bytes_max, agreement);
    if (encoded) return std::move(*encoded);
    counters_.messages_encoding.add();
    log().error("transport.message.not_encoded", to.to_string(),
                {{"message", std::string{name_of(message)}}, {"error", encoded.error().message()}});
    return std::nullopt;
}

void Hub::send(const Destination& to, const ClusterMessage& message) {
    const MessageLane lane = lane_of(message);
    const auto association = way_to(to, lane, name_of(message));
    if (!association) return;
    if (wire::agreed_by_all.meets(wire::needs_of(message))) {
        // Who is there is not known yet, and need not be when all peers get the same bytes.
        auto encoded = encode(message, wire::agreed_by_all, to.address);
        if (!encoded) return;
        if (encoded->same_for_all) return association->send(to.uid, lane, std::move(*encoded));
    }
    auto encode_late = [this, message, at = to.address](const wire::Agreement& agreement) {
        return encode(message, agreement, at);
    };
    association->send(to.uid, lane, LateMessage{wire::needs_of(message), std::move(encode_late)});
}

void Hub::send(const Destination& to, MessageLane lane, std::string_view name, LateMessage message) {
    if (const auto association = way_to(to, lane, name)) association->send(to.uid, lane, std::move(message));
}

void Hub::association_runs(Association& association) {
    running_.push_back(&association);
    arm_sweep();
}

void Hub::association_rests(Association& association) { std::erase(running_, &association); }

void Hub::arm_sweep() {
    if (sweep_timer_ != net::TimerId::None || stopping_) return;
    const auto shortest =
        std::min({options_.association_idle_timeout, options_.half_open_timeout, options_.frame_timeout});
    const auto interval = std::clamp(shortest / 8, sweep_interval_min, sweep_interval_max);
    auto action = [weak = weak_from_this()] {
        if (const auto hub = weak.lock()) {
            hub->sweep_timer_ = net::TimerId::None;
            hub->sweep();
        }
    };
    sweep_timer_ = runtime_.schedule(now() + interval, std::move(action));
}

void Hub::sweep() {
    const Instant at = now();
    for (Association* association : running_) association->sweep(at);
    for (const auto& link : inbound_) link->sweep(at);
    if (!running_.empty() || !inbound_.empty()) arm_sweep();
}

// --- inbound

net::Task<void> Hub::accept_loop(std::shared_ptr<Hub> /*keep*/) {
    bool exhausted = false;
    while (!tasks_.stopping() && !stopping_) {
        auto connection = co_await listener_->accept();
        if (connection) {
            if (std::exchange(exhausted, false))
                log().warning("transport.accept.recovered", listener_->local().to_string());
            try {
                accepted(std::move(*connection));
                continue;
            } catch (const std::bad_alloc&) {
                connection = Error{Errc::no_memory, {}, {}, {}}; // and that connection is closed
            }
        }
        const Error& error = connection.error();
        if (error == Errc::cancelled || error == Errc::closed) break;
        counters_.accepts_failed.add();
        // One line per shortage, not one per attempt.
        if (!std::exchange(exhausted, true))
            log().error("transport.accept.failed", listener_->local().to_string(),
                        {{"error", error.message()}, {"retry_ms", fmt::to_string(accept_retry.count())}});
        co_await runtime_.sleep_for(accept_retry);
    }
}

void Hub::accepted(std::unique_ptr<net::Connection> connection) {
    if (!make_place()) {
        counters_.accepts_over_limit.add();
        log().warning("transport.accept.over_limit", connection->remote().to_string(),
                      {{"inbound_connections_max", fmt::to_string(options_.inbound_connections_max)}});
        connection->close(net::Close::Abort);
        return;
    }
    connection = decorated(std::move(connection), net::ConnectionRole::Accepted);
    if (!connection) return;
    auto link = std::make_shared<InboundLink>(*this, std::move(connection));
    inbound_.push_back(link);
    arm_sweep();
    tasks_.spawn(link->run(link, shared_from_this()));
}

std::unique_ptr<net::Connection> Hub::decorated(std::unique_ptr<net::Connection> connection,
                                                net::ConnectionRole role) {
    if (!options_.decorate_connection) return connection;
    const std::string remote = connection->remote().to_string();
    auto inside = options_.decorate_connection(std::move(connection), role);
    if (inside) return inside;
    counters_.handshakes_failed.add();
    log().warning("transport.handshake.failed", remote,
                  {{"error", "decorate_connection refused it"},
                   {"side", role == net::ConnectionRole::Dialled ? "dialler" : "acceptor"}});
    return nullptr;
}

void Hub::inbound_established(InboundLink& link) {
    const UniqueAddress peer = link.peer();
    counters_.handshakes_done.add();
    log().debug("transport.link.established", link.peer_text(),
                {{"node", peer.to_string()}, {"direction", "inbound"}});
    // One connection per direction, and one incarnation per address: what is older has been replaced, even if
    // its end has not been heard of.
    const auto links = inbound_;
    for (const auto& other : links) {
        if (other.get() == &link || !other->established() || other->peer().address() != peer.address())
            continue;
        if (other->peer() == peer && other->lane() != link.lane()) continue;
        counters_.links_superseded.add();
        log().info("transport.link.superseded", link.peer_text(),
                   {{"old", other->peer().to_string()}, {"new", peer.to_string()}, {"direction", "inbound"}});
        other->close(wire::GoodbyeReason::Superseded, "a later connection took over");
    }
    if (const auto association = this->association(peer.address())) association->seen_alive(peer);
    report(peer, LinkEvent::Accepted);
}

void Hub::stops(const UniqueAddress& node) {
    if (const auto association = known_association(node.address())) association->stops(node);
}

void Hub::inbound_ended(InboundLink& link) {
    std::erase_if(inbound_, [&link](const auto& other) { return other.get() == &link; });
}

void Hub::close_inbound(wire::GoodbyeReason reason, std::string_view detail) {
    const auto links = inbound_; // closing may end some
    for (const auto& link : links) link->close(reason, detail);
}

/// By a timer that is due: a posted task would run in this turn still.
net::Task<void> Hub::next_turn() {
    struct Waiting {
        explicit Waiting(std::size_t& n) noexcept : count(n) { ++count; }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;
        ~Waiting() { --count; }
        std::size_t& count;
    };
    const Waiting waiting{waiting_for_turn_};
    counters_.turns_over.add();
    co_await runtime_.sleep_until(now());
}

// --- quarantine

Hub::Quarantined Hub::quarantined(const UniqueAddress& node) {
    const auto found = quarantined_.find(node);
    if (found == quarantined_.end()) return Quarantined::No;
    if (found->second.until <= now()) {
        quarantined_.erase(found);
        return Quarantined::No;
    }
    return found->second.harmless ? Quarantined::Harmless : Quarantined::Yes;
}

void Hub::quarantine(const UniqueAddress& node, bool harmless) {
    if (MUSTER_MUTANT(quarantine_forgotten)) return;
    if (quarantined_.size() >= quarantined_max && !quarantined_.contains(node)) {
        const auto first =
            std::min_element(quarantined_.begin(), quarantined_.end(),
                             [](const auto& a, const auto& b) { return a.second.until < b.second.until; });
        quarantined_.erase(first);
    }
    QuarantineEntry& entry = quarantined_[node];
    entry = {now() + options_.quarantine_for, harmless};
    log().info("transport.quarantined", node.address().to_string(),
               {{"node", node.to_string()}, {"harmless", harmless ? "yes" : "no"}});
    // A former incarnation of this node's address says nothing about what is told to the address.
    if (node.address() != self_.address())
        if (const auto association = this->association(node.address()))
            association->quarantine(node, harmless);
    const auto links = inbound_;
    for (const auto& link : links)
        if (link->peer() == node)
            link->close(harmless ? wire::GoodbyeReason::Link : wire::GoodbyeReason::Quarantined, {});
}

/// Without it, who never hears from the new process would answer NoRoute for ever.
void Hub::expect(const UniqueAddress& node) {
    if (quarantined(node) != Quarantined::No) return;
    if (const auto association = known_association(node.address())) association->expect(node);
}

std::shared_ptr<Association> Hub::known_association(const Address& to) {
    const std::scoped_lock lock{table_mutex_};
    const auto found = table_.find(to);
    return found == table_.end() ? nullptr : found->second;
}

// --- who lives at an address

void Hub::prove(const UniqueAddress& node) {
    const Address& address = node.address();
    if (stopping_ || address == self_.address() || !address.host || !address.port || *address.port == 0)
        return;
    if (!proving_.insert(node).second) return;
    auto done = [this, node](Verdict verdict, const std::optional<UniqueAddress>& owner) {
        proving_.erase(node);
        if (verdict != Verdict::Owner) turn_away(node, verdict, owner);
    };
    claim_check_.settle(node, std::move(done));
}

bool Hub::is_claimed(const UniqueAddress& peer) {
    const auto association = known_association(peer.address());
    if (association && is_claim(peer, association->known())) return true;
    return std::any_of(inbound_.begin(), inbound_.end(),
                       [&](const auto& link) { return link->established() && is_claim(peer, link->peer()); });
}

void Hub::answered_at_its_address(const UniqueAddress& node) {
    if (quarantined(node) != Quarantined::No) return;
    if (const auto association = known_association(node.address())) association->seen_alive(node);
    report(node, LinkEvent::Answered);
}

void Hub::turn_away(const UniqueAddress& claimant, Verdict verdict,
                    const std::optional<UniqueAddress>& owner) {
    const std::string detail = denial(claimant, verdict, owner);
    const auto links = inbound_;
    for (const auto& link : links)
        if (link->established() && link->peer() == claimant)
            link->close(wire::GoodbyeReason::Overloaded, detail);
}

/// Counts and logs that a claim does not stand, and answers what the claimant is told.
std::string Hub::denial(const UniqueAddress& claimant, Verdict verdict,
                        const std::optional<UniqueAddress>& owner) {
    const bool taken = verdict == Verdict::AddressTaken;
    (taken ? counters_.claims_taken : counters_.claims_unanswered).add();
    log().warning(
        taken ? "transport.claim.taken" : "transport.claim.unanswered", claimant.address().to_string(),
        {{"claimant", claimant.to_string()}, {"owner", owner ? owner->to_string() : std::string{}}});
    return taken && owner ? taken_detail(claimant, *owner) : unanswered_detail(claimant);
}

// --- the node's wishes

void Hub::renew_incarnation(Uid uid) {
    UniqueAddress renewed{self_.address(), uid};
    {
        const std::scoped_lock lock{self_mutex_};
        self_ = std::move(renewed);
    }
    log().info("transport.incarnation.renewed", {}, {{"self", self_.to_string()}});
    const auto running = running_;
    for (Association* association : running) association->renew();
    close_inbound(wire::GoodbyeReason::Incarnation, {});
}

void Hub::shutdown(Instant deadline, UniqueFunction<void()> done) {
    if (std::exchange(stopping_, true)) {
        runtime_.post(std::move(done));
        return;
    }
    handler_ = nullptr;
    listener_->close();
    claim_check_.stop();
    close_table();
    for (const auto& association : all_associations()) association->shut_down();
    close_inbound(wire::GoodbyeReason::Stopping, {});
    auto ended = [keep = shared_from_this()](const std::exception_ptr&) {};
    asio::co_spawn(runtime_.executor(), finish(shared_from_this(), deadline, std::move(done)),
                   std::move(ended));
}

/// Not one of tasks_, since it waits for them.
net::Task<void> Hub::finish(std::shared_ptr<Hub> hub, Instant deadline, UniqueFunction<void()> done) {
    auto late = [weak = std::weak_ptr{hub}] {
        if (const auto h = weak.lock()) {
            h->log().warning("transport.shutdown.late", {},
                             {{"associations", fmt::to_string(h->running_.size())},
                              {"inbound", fmt::to_string(h->inbound_.size())}});
            h->tasks_.cancel();
        }
    };
    const net::TimerId timer = hub->runtime_.schedule(deadline, std::move(late));
    co_await hub->claim_check_.join();
    co_await hub->tasks_.join();
    hub->runtime_.cancel(timer);
    hub->tasks_.cancel(); // nothing starts any more
    for (const auto& association : hub->all_associations())
        association->drop_all(hub->counters_.tells_shutdown, hub->counters_.messages_shutdown);
    hub->sink_.reset();
    hub->lifeline_->cut();
    done();
}

void Hub::abandon() {
    if (std::exchange(abandoned_, true)) return;
    stopping_ = true;
    handler_ = nullptr;
    sink_.reset();
    lifeline_->cut();
    claim_check_.stop();
    close_table();
    for (const auto& association : all_associations()) {
        association->shut_down();
        association->drop_all(counters_.tells_shutdown, counters_.messages_shutdown);
    }
    if (sweep_timer_ != net::TimerId::None) runtime_.cancel(std::exchange(sweep_timer_, net::TimerId::None));
    listener_->close();
    tasks_.cancel();
    // The tasks hold the Hub, and it holds the group they belong to: somebody has to hold it until they
    // ended.
    auto ended = [keep = shared_from_this()](const std::exception_ptr&) {};
    asio::co_spawn(runtime_.executor(), outlive(shared_from_this()), std::move(ended));
}

net::Task<void> Hub::outlive(std::shared_ptr<Hub> hub) {
    co_await hub->claim_check_.join();
    co_await hub->tasks_.join();
}

void Hub::link_lost(LinkEnd end, LogPeer peer, const std::optional<Error>& error,
                    std::string_view direction) {
    counters_.links_broken.add();
    const std::string why = error ? error->message() : "unknown";
    if (end == LinkEnd::Broken || !is_silence(*error)) {
        log().info("transport.link.broken", std::move(peer),
                   {{"error", why}, {"direction", std::string{direction}}});
        return;
    }
    counters_.links_half_open.add();
    log().warning("transport.link.half_open", std::move(peer),
                  {{"error", why}, {"direction", std::string{direction}}});
}

// --- small things

void Hub::report(const UniqueAddress& peer, LinkEvent event) {
    if (handler_) handler_->on_link(peer, event);
}
void Hub::report_connect_refused(const Address& peer) {
    if (handler_) handler_->on_connect_refused(peer);
}
void Hub::report_quarantined_by(const UniqueAddress& peer) {
    if (handler_) handler_->on_quarantined_by(peer);
}

Slice Hub::encode_goodbye(wire::GoodbyeReason reason, std::string_view detail,
                          const wire::Agreement& agreement) {
    wire::Goodbye goodbye{wire::said_to_peer(reason, agreement), std::string{detail}};
    auto encoded = wire::encode_frame(std::move(goodbye), wire::frame_bytes_max_default);
    return encoded ? std::move(*encoded) : Slice{};
}

void Hub::farewell(std::shared_ptr<net::Connection> connection, Slice frame) {
    tasks_.spawn(say_farewell(shared_from_this(), std::move(connection), std::move(frame)));
}

net::Task<void> Hub::say_farewell(std::shared_ptr<Hub> keep, std::shared_ptr<net::Connection> connection,
                                  Slice frame) {
    const AbortAt enough{keep->runtime_, keep->now() + linger, connection};
    const std::vector<Slice> parts{std::move(frame)};
    auto sent = co_await connection->send(parts);
    if (!sent) co_return;
    connection->close(net::Close::Graceful);
    for (;;) {
        auto received = co_await connection->receive();
        if (!received) co_return;
    }
}

} // namespace muster::transport
