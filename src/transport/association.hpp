// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The outbound link to one peer: connects on demand, proves who is there, writes, and starts again after a
/// loss.
#include "lifeline.hpp"
#include "link/frame_reader.hpp"
#include "link/message_queue.hpp"
#include "outbox.hpp"
#include <atomic>
#include <cstdint>
#include <memory>
#include <muster/net/runtime.hpp>
#include <muster/net/task_group.hpp>
#include <muster/transport/transport.hpp>
#include <muster/wire/frame.hpp>
#include <optional>
#include <string>
#include <vector>

namespace muster::transport {

class AbortAt;
class Hub;

/// One open connection of an association, after the handshake.
struct OutboundLink {
    OutboundLink(std::shared_ptr<net::Connection> c, std::size_t frame_bytes_max, UniqueAddress own);
    ~OutboundLink();

    std::shared_ptr<net::Connection> connection;
    FrameReader reader;        ///< what the acceptor says: only Goodbye
    UniqueAddress self;        ///< what our Hello said
    UniqueAddress peer;        ///< what its reply said
    wire::Agreement agreement; ///< what the handshake put in force
    bool peer_is_newer = false;
    Instant established;
    Instant last_sent;                          ///< or established
    std::optional<Instant> send_started;        ///< while a send is in flight
    std::optional<wire::GoodbyeReason> said;    ///< the peer's Goodbye
    std::optional<wire::GoodbyeReason> closing; ///< ours, to be said
    bool closed = false;                        ///< we closed in order: the end that follows is no loss
    bool ended = false;         ///< read() is over, or another incarnation took over: nothing more comes
    std::optional<Error> error; ///< why, when nobody said goodbye
    std::unique_ptr<AbortAt> linger_end; ///< once closed: the peer's end is not awaited for ever
};

/// States: Idle (no connection, nothing to send: no coroutine, no chunk, under 2 KiB), Connecting,
/// Handshaking, Active, Backoff. One coroutine, run(), goes through them; a second one reads while Active.
/// There is never a second connection, however many threads tell at once.
///
/// tell() and tell_when_room() may be called from any thread, also when the transport is gone. Everything
/// else belongs to the Runtime's thread.
class Association final : public TellRoute::Target, public std::enable_shared_from_this<Association> {
public:
    enum class State : std::uint8_t { Idle, Connecting, Handshaking, Active, Backoff };

    Association(const std::shared_ptr<Hub>& hub, Address address);
    ~Association() override;

    TellResult tell(const Tell& tell) override;
    void tell_when_room(const Tell& tell, UniqueFunction<void(TellResult)> done);

    const Address& address() const noexcept { return address_; }
    State state() const noexcept { return state_; }
    /// The incarnation last seen there, in either direction.
    const std::optional<UniqueAddress>& known() const noexcept { return known_; }

    /// `to`: write it to that incarnation only.
    void send(std::optional<Uid> to, MessageLane lane, OutgoingMessage message);
    /// The next attempt to connect is for an answer to a stranger: one of a limited number, with less time,
    /// and not repeated.
    void dial_once();
    /// Something may be there to send: makes run() look, or starts it.
    void kick();
    /// A handshake of this peer arrived from the other side: it is alive, so a wait to reconnect is over.
    void seen_alive(const UniqueAddress& peer);
    /// If `node` is the incarnation this association leads to: drops what is queued and answers NoRoute until
    /// another incarnation appears.
    void quarantine(const UniqueAddress& node, bool harmless);
    /// Another incarnation than a quarantined one is a member: NoRoute ends before anybody connected.
    void expect(const UniqueAddress& node);
    /// This node got another uid: reconnects under it.
    void renew();
    /// Answers NoRoute from now on; run() flushes and ends.
    void shut_down();
    /// Drops what is left.
    void drop_all(Counter& tells, Counter& messages);
    /// This incarnation says that it stops: that it then refuses connections is no news.
    void stops(const UniqueAddress& node);
    /// Deadlines: of the open link, idle and half-open; without one, of tells that wait for room.
    void sweep(Instant now);
    bool dormant() const { return state_ == State::Idle && !wake_ && outbox_.empty(); }

private:
    struct Batch; // what one send carries

    TellResult answer(Outbox::Put put);
    Outbox::Put tell_large(const Tell& tell, std::size_t bytes);
    void wake_runner();
    void finish_granted();
    void fail_waiting(std::vector<Outbox::Done> failed, TellResult answer);
    void end_waiting(Instant now);
    void grant_without_link();

    net::Task<void> run(std::shared_ptr<Association> keep, std::shared_ptr<Hub> hub);
    net::Task<void> run_until_idle();
    /// association_self.cpp: the own address needs no connection.
    net::Task<void> deliver_to_self();
    void hand_over_to_self(const FrameReader::Frame& frame);
    bool has_work() const;
    bool rest();

    net::Task<std::shared_ptr<OutboundLink>> open_link();
    net::Task<result<std::unique_ptr<net::Connection>>> connect();
    net::Task<result<wire::HelloReply>> shake_hands(OutboundLink& link);
    bool judge_reply(const std::shared_ptr<OutboundLink>& link, const wire::HelloReply& reply);
    LogLevel level_of_failure() const;
    void connect_failed(const Error& error, bool refused);
    void refused_by_peer(const wire::HelloReply& reply, const wire::HelloRefused& refused);
    void attempt_failed(bool permanent);
    Duration backoff(std::uint32_t failures);
    void end_dial_once();
    Instant dial_deadline(Duration timeout) const;
    void out_of_memory(OutboundLink* link);
    void established(OutboundLink& link);
    void met(const UniqueAddress& peer);
    void supersede(OutboundLink& link, const UniqueAddress& by);

    net::Task<void> serve(std::shared_ptr<OutboundLink> link);
    net::Task<void> read(std::shared_ptr<Association> keep, std::shared_ptr<Hub> hub,
                         std::shared_ptr<OutboundLink> link);
    net::Task<void> read_until_end(OutboundLink& link);
    bool on_frame(OutboundLink& link, const FrameReader::Frame& frame);
    net::Task<void> write_until_end(OutboundLink& link, Batch& batch);
    net::Task<void> linger_for_goodbye(OutboundLink& link);
    void collect(OutboundLink& link, Batch& batch);
    std::optional<wire::EncodedMessage> encoded_for(const OutboundLink& link, OutgoingMessage message);
    bool written(OutboundLink& link, Batch& batch, const result<void>& sent);
    net::Task<void> say_goodbye(OutboundLink& link);
    void protocol_error(OutboundLink& link, const std::string& detail);
    void link_ended(OutboundLink& link);
    void expire_messages(Instant now);
    void drop_tells(Counter& counter);
    void drop_messages(Counter& counter);
    std::string peer_text() const;

    const Address address_;
    const std::weak_ptr<Hub> weak_hub_;
    Hub* hub_; // valid on the Runtime's thread while run() holds the Hub, and in calls from the Hub
    const std::shared_ptr<Lifeline> lifeline_;
    const std::size_t frame_bytes_max_;
    Outbox outbox_;

    State state_ = State::Idle;
    bool blocked_ = false;                  // quarantined: until another incarnation appears
    std::optional<UniqueAddress> stopping_; // which incarnation there said that it stops
    std::uint8_t probes_left_ = 0;
    std::optional<Instant> dial_once_until_; // set: the attempt is one of StrangerDials
    std::uint32_t failures_ = 0;             // attempts in a row
    std::uint32_t short_links_ = 0;          // in a row: a peer that takes connections and drops them
    net::Notifier* wake_ = nullptr;          // of run(), while it runs
    std::shared_ptr<OutboundLink> link_;
    std::optional<UniqueAddress> known_;
    std::optional<UniqueAddress> replaced_; // known_ before, until another uid has answered at its address
    std::uint64_t stale_mark_ = 0;          // tells before it were meant for known_
    Instant next_attempt_{};
    std::optional<Instant> failing_since_;
    std::optional<Instant> unanswered_since_; // the first attempt began
    std::atomic<bool> has_link_{false};       // written on the Runtime's thread
    MessageQueue messages_;
};

} // namespace muster::transport
