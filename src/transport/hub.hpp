// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Everything of one TcpClusterTransport: its associations, inbound links, listener and identity.
#include "base/split_mix64.hpp"
#include "claim_check.hpp"
#include "counters.hpp"
#include "lifeline.hpp"
#include "link/answer_route.hpp"
#include "link/assembly_budget.hpp"
#include "link/frame_reader.hpp"
#include "link/handshake.hpp"
#include "link/inbound_places.hpp"
#include "link/link_end.hpp"
#include "link/message_queue.hpp"
#include "retained.hpp"
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <muster/net/runtime.hpp>
#include <muster/net/task_group.hpp>
#include <muster/transport/tcp.hpp>
#include <muster/wire/envelope.hpp>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace muster::transport {

class Association;
class InboundLink;

/// Aborts a connection at a deadline unless it is destroyed before. Runtime's thread.
class AbortAt {
public:
    AbortAt(net::Runtime& runtime, Instant deadline, std::shared_ptr<net::Connection> connection);
    ~AbortAt();
    AbortAt(const AbortAt&) = delete;
    AbortAt& operator=(const AbortAt&) = delete;
    bool expired() const noexcept { return expired_; }

private:
    net::Runtime& runtime_;
    net::TimerId timer_;
    bool expired_ = false;
};

/// Shared by the transport and its coroutines. All on the Runtime's thread unless marked "any thread".
class Hub : public std::enable_shared_from_this<Hub> {
public:
    /// How long a closing side waits for the other's end of the stream.
    static constexpr std::chrono::milliseconds linger{2000};
    /// Quarantined incarnations remembered; beyond it those that expire first are forgotten.
    static constexpr std::size_t quarantined_max = 65'536;
    /// A membership message that could not be written within gossip-time-to-live (protocol.md §6.1) is stale.
    static constexpr std::chrono::milliseconds message_ttl{2000};

    Hub(net::Runtime& runtime, TcpTransportOptions options, std::unique_ptr<net::Listener> listener,
        UniqueAddress self);
    virtual ~Hub();
    Hub(const Hub&) = delete;
    Hub& operator=(const Hub&) = delete;

    // --- the transport's interface
    UniqueAddress self() const; ///< any thread
    void start(TransportHandler& handler, std::shared_ptr<RemoteMessageSink> sink);
    void send(const Destination& to, const ClusterMessage& message);
    /// A message that is encoded once the peer is there, for what both have agreed upon.
    void send(const Destination& to, MessageLane lane, std::string_view name, LateMessage message);
    /// What it offers from now on to whoever it meets: for tests, which are ahead of this build.
    void set_offer(const wire::Offer& offer) { offer_ = offer; }
    /// Any thread. Null when `to` cannot be a peer or the transport is at a limit.
    std::shared_ptr<Association> association(const Address& to);
    void quarantine(const UniqueAddress& node, bool harmless);
    void expect(const UniqueAddress& node);
    /// Asks at `node`'s address who lives there: report() says Answered. Whoever connected as `node` without
    /// living there is told so.
    void prove(const UniqueAddress& node);
    void renew_incarnation(Uid uid);
    void shutdown(Instant deadline, UniqueFunction<void()> done);
    /// The transport is destroyed: aborts everything; the coroutines keep the Hub until they have ended.
    void abandon();

    // --- for associations and inbound links
    net::Runtime& runtime() noexcept { return runtime_; }
    const TcpTransportOptions& options() const noexcept { return options_; }
    Counters& counters() noexcept { return counters_; }
    Logger& log() noexcept { return runtime_.log(); }
    net::TaskGroup& tasks() noexcept { return tasks_; }
    const std::shared_ptr<Lifeline>& lifeline() noexcept { return lifeline_; }
    const std::shared_ptr<RetainedBytes>& retained() noexcept { return retained_; }
    /// Gossips that arrive share memory with the one before, whoever sends them.
    wire::Interner& interner() noexcept { return interner_; }
    /// Null before start() and once the transport shuts down: nobody wants to know any more.
    TransportHandler* handler() noexcept { return handler_; }
    const std::shared_ptr<RemoteMessageSink>& sink() const noexcept { return sink_; }
    Identity identity() const { return {options_.cluster_name, self_, offer_}; }
    const wire::Offer& offer() const noexcept { return offer_; }
    bool started() const noexcept { return started_; }
    bool stopping() const noexcept { return stopping_; }
    Instant now() const noexcept { return runtime_.monotonic_now(); }
    /// Uniform in [0, bound].
    Duration random_up_to(Duration bound);

    /// Around a wait for more bytes. The beginning of a frame may stay in its receive buffer, which saves the
    /// assembling of large frames, but only so many connections keep one: peers that stop in the middle of a
    /// frame must not take all of them.
    class PartialHold {
    public:
        PartialHold(Hub& hub, FrameReader& reader);
        ~PartialHold() { hub_.partial_holds_ -= held_ ? 1 : 0; }
        PartialHold(const PartialHold&) = delete;
        PartialHold& operator=(const PartialHold&) = delete;

    private:
        Hub& hub_;
        bool held_;
    };
    static constexpr std::size_t partial_holds_max = 4;

    /// A link that has used up its turn waits for the next one: after timers and the other sockets.
    net::Task<void> next_turn();
    /// Links that wait so.
    std::size_t waiting_for_turn() const noexcept { return waiting_for_turn_; }

    // --- strangers (hub_limits.cpp)
    /// Whether a member or seed has this address.
    bool acquainted(const Address& address) const;
    AssemblyBudget& assembly() noexcept { return assembly_; }
    StrangerDials& stranger_dials() noexcept { return stranger_dials_; }
    /// Whether one more link of somebody who is no member nor seed may stay.
    bool has_place_for_stranger() const;

    enum class Quarantined : std::uint8_t { No, Harmless, Yes };
    Quarantined quarantined(const UniqueAddress& node);

    /// What the application puts around a new connection (TcpTransportOptions::decorate_connection). nullptr:
    /// it refuses it, which is counted and logged.
    std::unique_ptr<net::Connection> decorated(std::unique_ptr<net::Connection> connection,
                                               net::ConnectionRole role);

    /// Counts and logs a link that ended without Goodbye.
    void link_lost(LinkEnd end, LogPeer peer, const std::optional<Error>& error, std::string_view direction);
    /// Calls the handler while there is one.
    void report(const UniqueAddress& peer, LinkEvent event);
    void report_connect_refused(const Address& peer);
    void report_quarantined_by(const UniqueAddress& peer);

    /// `node` answered a question at its address: what leads to a former incarnation ends.
    void answered_at_its_address(const UniqueAddress& node);
    /// Whether `peer`, which has connected, names an address that is another incarnation's as far as this
    /// node knows.
    bool is_claimed(const UniqueAddress& peer);
    void settle_claim(const UniqueAddress& peer, ClaimCheck::Done done) {
        claim_check_.settle(peer, std::move(done));
    }
    std::string denial(const UniqueAddress& claimant, Verdict verdict,
                       const std::optional<UniqueAddress>& owner);
    /// `node` says that it stops.
    void stops(const UniqueAddress& node);
    /// A handshake done by an inbound link: ends older links it replaces and tells the association.
    void inbound_established(InboundLink& link);
    void inbound_ended(InboundLink& link);
    void association_runs(Association& association);
    void association_rests(Association& association);
    /// Sends `frame`, closes in order and waits a little for the peer's end, in a task of its own. Nobody
    /// else uses the connection any more.
    void farewell(std::shared_ptr<net::Connection> connection, Slice frame);
    /// A reason that the peer does not know is replaced by what stands for it.
    Slice encode_goodbye(wire::GoodbyeReason reason, std::string_view detail,
                         const wire::Agreement& agreement);

private:
    struct QuarantineEntry {
        Instant until;
        bool harmless = false;
    };

    net::Task<void> accept_loop(std::shared_ptr<Hub> keep);
    void accepted(std::unique_ptr<net::Connection> connection);
    bool make_place();
    std::size_t strangers() const;
    bool may_answer(const Address& to);
    std::shared_ptr<Association> way_to(const Destination& to, MessageLane lane, std::string_view name);
    std::optional<wire::EncodedMessage> encode(const ClusterMessage& message,
                                               const wire::Agreement& agreement, const Address& to);
    net::Task<void> say_farewell(std::shared_ptr<Hub> keep, std::shared_ptr<net::Connection> connection,
                                 Slice frame);
    static net::Task<void> finish(std::shared_ptr<Hub> hub, Instant deadline, UniqueFunction<void()> done);
    static net::Task<void> outlive(std::shared_ptr<Hub> hub);
    void arm_sweep();
    void sweep();
    void forget_dormant();
    std::vector<std::shared_ptr<Association>> all_associations();
    /// Null when there is none.
    std::shared_ptr<Association> known_association(const Address& to);
    void turn_away(const UniqueAddress& claimant, Verdict verdict, const std::optional<UniqueAddress>& owner);
    void close_table();
    void close_inbound(wire::GoodbyeReason reason, std::string_view detail);

    net::Runtime& runtime_;
    const TcpTransportOptions options_;
    wire::Offer offer_;
    Counters counters_;
    const std::shared_ptr<Lifeline> lifeline_;
    const std::shared_ptr<RetainedBytes> retained_;
    net::TaskGroup tasks_;
    std::unique_ptr<net::Listener> listener_;
    wire::EnvelopeEncoder envelopes_;
    wire::Interner interner_;

    mutable std::mutex self_mutex_; // written on the Runtime's thread only, which may read without it
    UniqueAddress self_;

    TransportHandler* handler_ = nullptr;
    std::shared_ptr<RemoteMessageSink> sink_;
    bool started_ = false;
    bool stopping_ = false;
    bool abandoned_ = false;

    std::mutex table_mutex_;
    std::unordered_map<Address, std::shared_ptr<Association>> table_;
    bool table_closed_ = false;
    bool forgetting_ = false;
    std::optional<Instant> table_searched_;

    std::vector<Association*> running_;                 // those with a coroutine, which keeps them alive
    std::vector<std::shared_ptr<InboundLink>> inbound_; // in the order of arrival
    std::map<UniqueAddress, QuarantineEntry> quarantined_;
    AssemblyBudget assembly_;
    StrangerDials stranger_dials_;
    InboundPlaces places_;
    ClaimCheck claim_check_{*this};
    std::set<UniqueAddress> proving_;
    std::size_t partial_holds_ = 0;
    std::size_t waiting_for_turn_ = 0;
    net::TimerId sweep_timer_ = net::TimerId::None;
    SplitMix64 random_{0}; ///< for jitter
};

} // namespace muster::transport
