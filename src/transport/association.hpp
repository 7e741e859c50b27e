// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The outbound links to one peer: connects on demand, writes what is queued, and starts again after a loss.
#include "lifeline.hpp"
#include "link/dialling.hpp"
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

class Hub;
struct OutboundLink;

/// Carries for a Dialling, which decides when the address is dialled, and for the Link of each connection.
/// One coroutine, run(), dials, shakes hands and writes; a second one reads while a link is open. There is
/// never a second connection, however many threads tell at once. At rest: no connection, no coroutine, no
/// chunk, under 2 KiB.
///
/// tell() and tell_when_room() may be called from any thread, also when the transport is gone. Everything
/// else belongs to the Runtime's thread.
class Association final : public TellRoute::Target, public std::enable_shared_from_this<Association> {
public:
    using State = Dialling::State;

    Association(const std::shared_ptr<Hub>& hub, Address address);
    ~Association() override;

    TellResult tell(const Tell& tell) override;
    void tell_when_room(const Tell& tell, UniqueFunction<void(TellResult)> done);

    const Address& address() const noexcept { return address_; }
    State state() const noexcept { return dialling_.state(); }
    /// The incarnation last seen there, in either direction.
    const std::optional<UniqueAddress>& known() const noexcept { return dialling_.known(); }

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
    void stops(const UniqueAddress& node) { dialling_.stops(node); }
    /// Deadlines: of the open link, idle and half-open; without one, of tells that wait for room.
    void sweep(Instant now);
    bool dormant() const { return state() == State::Idle && !wake_ && outbox_.empty(); }

private:
    struct Batch; // what one send carries

    TellResult answer(Outbox::Put put);
    Outbox::Put tell_large(const Tell& tell, std::size_t bytes);
    void wake_runner();
    void notify();
    void finish_granted();
    void fail_waiting(std::vector<Outbox::Done> failed, TellResult answer);
    void end_waiting(Instant now);
    void grant_without_link();
    void expire_messages(Instant now);
    void drop_tells(Counter& counter);
    void drop_messages(Counter& counter);
    std::string peer_text() const;

    // association_run.cpp: the loop, dialling and shaking hands
    net::Task<void> run(std::shared_ptr<Association> keep, std::shared_ptr<Hub> hub);
    net::Task<void> run_until_idle();
    bool rest();
    net::Task<std::shared_ptr<OutboundLink>> open_link();
    net::Task<std::unique_ptr<net::Connection>> connect();
    net::Task<void> shake_hands(OutboundLink& link);
    void shaken(const action::Shaken& shaken);
    void no_memory();
    void link_ended(OutboundLink& link);
    void carry_out(DiallingActions&& actions);
    void carry_out(LinkActions&& actions, OutboundLink& link);

    // association_link.cpp: an open link
    net::Task<void> serve(std::shared_ptr<OutboundLink> link);
    net::Task<void> read(std::shared_ptr<Association> keep, std::shared_ptr<Hub> hub,
                         std::shared_ptr<OutboundLink> link);
    net::Task<void> read_until_end(OutboundLink& link);
    net::Task<void> write_until_end(OutboundLink& link, Batch& batch);
    net::Task<void> write_own(OutboundLink& link);
    void collect(OutboundLink& link, Batch& batch);
    std::optional<wire::EncodedMessage> encoded_for(const OutboundLink& link, OutgoingMessage message);
    bool written(OutboundLink& link, Batch& batch, const result<void>& sent);

    // association_self.cpp: the own address needs no connection
    net::Task<void> deliver_to_self();
    void hand_over_to_self(const FrameReader::Frame& frame);

    const Address address_;
    const std::weak_ptr<Hub> weak_hub_;
    Hub* hub_; // valid on the Runtime's thread while run() holds the Hub, and in calls from the Hub
    const std::shared_ptr<Lifeline> lifeline_;
    const std::size_t frame_bytes_max_;
    Outbox outbox_;
    MessageQueue messages_;
    Dialling dialling_;
    net::Notifier* wake_ = nullptr; // of run(), while it runs
    std::shared_ptr<OutboundLink> link_;
    std::uint64_t stale_mark_ = 0;      // tells before it were meant for known()
    std::atomic<bool> has_link_{false}; // written on the Runtime's thread
};

} // namespace muster::transport
