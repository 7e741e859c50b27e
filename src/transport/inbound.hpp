// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A connection that a peer opened to this node: carries for its Link, and hands over the tells.
#include "context.hpp"
#include "link/link.hpp"
#include "link/turn_budget.hpp"
#include <cstdint>
#include <memory>
#include <muster/net/runtime.hpp>
#include <muster/net/task_group.hpp>
#include <optional>
#include <string_view>

namespace muster::transport {

class Hub;

/// Tells go from the receive buffer to the sink, as views that a sink may keep: then the buffer is held, up
/// to a limit, beyond which payloads are copied. Runtime's thread.
class TellDelivery {
public:
    explicit TellDelivery(Context& context) noexcept : context_(context) {}
    ~TellDelivery() { drop_hold(); }
    TellDelivery(const TellDelivery&) = delete;
    TellDelivery& operator=(const TellDelivery&) = delete;

    /// Whether the sink took it. `peer` is asked for the log only.
    template <class Peer>
    bool deliver(const Tell& tell, const FrameReader::Frame& frame, const Peer& peer) {
        if (!frame.in_place || !frame.owner)
            return hand_over(
                tell, frame.owner ? Slice{tell.payload, frame.owner} : Slice::copy_of(tell.payload), peer);
        if (!hold_ || hold_->source() != frame.owner) [[unlikely]]
            hold(*frame.owner);
        if (context_.retained->exhausted()) [[unlikely]] {
            context_.counters.tells_copied.add();
            return hand_over(tell, Slice::copy_of(tell.payload), peer);
        }
        view_.view(tell.payload);
        return hand_over(tell, view_, peer);
    }
    /// Before a wait: the hold stays for the next buffer unless somebody holds it.
    void let_go_of_buffer() noexcept {
        if (hold_ && !hold_->repoint(nullptr)) drop_hold();
    }
    void drop_hold() noexcept;

private:
    template <class Peer>
    bool hand_over(const Tell& tell, const Slice& payload, const Peer& peer) {
        RemoteMessageSink* const sink = context_.sink.get();
        if (!sink) {
            context_.counters.tells_no_sink.add();
            return false;
        }
        try {
            sink->deliver(tell.target_path, tell.manifest, payload, tell.sender_path);
            return true;
        } catch (...) {
            sink_failed(tell, peer());
        }
        return false;
    }
    void sink_failed(const Tell& tell, LogPeer peer);
    void hold(Buffer& source);

    Context& context_;
    ReceiveHold* hold_ = nullptr;
    Slice view_; ///< holds our reference on hold_; looks at the payload being delivered
};

/// One coroutine, run(), from accept to the end of the stream. Runtime's thread.
class InboundLink final : public std::enable_shared_from_this<InboundLink> {
public:
    InboundLink(Hub& hub, std::unique_ptr<net::Connection> connection);
    ~InboundLink();

    net::Task<void> run(std::shared_ptr<InboundLink> keep, std::shared_ptr<Hub> hub);

    /// The incarnation its Hello named; the unknown node before.
    const UniqueAddress& peer() const noexcept { return link_.about().peer; }
    std::uint16_t lane() const noexcept { return link_.about().lane; }
    bool established() const noexcept { return link_.is_open(); }
    /// It has not said who it is.
    bool greeting() const noexcept { return link_.phase() == Link::Phase::Greeting; }
    /// Whether a member or seed has the peer's address, as of the handshake or the last sweep.
    bool acquainted() const noexcept { return link_.about().acquainted; }
    /// Says Goodbye, delivers nothing more and waits a little for the peer's end. Before the handshake:
    /// aborts.
    void close(wire::GoodbyeReason reason, std::string_view detail);
    /// `by` opened a later connection from the peer's address.
    void superseded(const UniqueAddress& by);
    void sweep(Instant now);

private:
    enum class Step : std::uint8_t {
        More,    ///< the next bytes are wanted
        Greeted, ///< the reply is to be sent
        Late,    ///< there are frames left, for the next turn
        NoRoom,  ///< a frame has to wait for memory
    };

    LogPeer peer_text() const;
    net::Task<void> receive_until_end();
    net::Task<void> finish_handshake();
    net::Task<void> write(std::shared_ptr<InboundLink> keep, std::shared_ptr<Hub> hub, Slice bytes);
    Step take_frames();
    Step after_frames(FrameReader::Next next, bool any);
    bool takes_frames() const noexcept { return link_.is_open() || greeting(); }
    void carry_out(LinkActions&& actions);
    void ask_verdict();
    void discard(Slice bytes);
    void discard_frames();
    bool can_be_cut() const noexcept {
        return link_.about().was_open && !link_.about().unreadable && !unreadable_;
    }
    void ended();

    Hub& hub_;
    const std::shared_ptr<net::Connection> connection_;
    FrameReader reader_;
    Link link_;
    DeadlineTimer timer_;
    TellDelivery tells_;
    TurnBudget budget_;
    bool unreadable_ = false;                ///< what is discarded is no frame
    Slice reply_;                            ///< to be sent by run()
    std::unique_ptr<net::Notifier> settled_; ///< while a claim is asked about
};

} // namespace muster::transport
