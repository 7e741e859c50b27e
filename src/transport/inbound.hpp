// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A connection that a peer opened to this node: proves who it is, then delivers what it sends.
#include "link/answer_rate.hpp"
#include "link/claims.hpp"
#include "link/frame_reader.hpp"
#include "link/speaker.hpp"
#include "link/turn_budget.hpp"
#include "retained.hpp"
#include <cstdint>
#include <memory>
#include <muster/net/runtime.hpp>
#include <muster/net/task_group.hpp>
#include <muster/wire/frame.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace muster::transport {

class AbortAt;
class Hub;

/// One coroutine, run(), from accept to the end of the stream. Runtime's thread.
class InboundLink final : public std::enable_shared_from_this<InboundLink> {
public:
    InboundLink(Hub& hub, std::unique_ptr<net::Connection> connection);
    ~InboundLink();

    net::Task<void> run(std::shared_ptr<InboundLink> keep, std::shared_ptr<Hub> hub);

    /// The incarnation its Hello named; the unknown node before.
    const UniqueAddress& peer() const noexcept { return peer_; }
    /// For the log: what the peer calls itself, if it has, and where it comes from.
    LogPeer peer_text() const;
    std::uint16_t lane() const noexcept { return lane_; }
    bool established() const noexcept { return phase_ == Phase::Open; }
    /// It has not said who it is.
    bool greeting() const noexcept { return phase_ == Phase::Greeting; }
    /// Whether a member or seed has the peer's address, as of the handshake or the last sweep.
    bool acquainted() const noexcept { return acquainted_; }
    /// Says Goodbye, delivers nothing more and waits a little for the peer's end. Before the handshake:
    /// aborts.
    void close(wire::GoodbyeReason reason, std::string_view detail);
    /// Ends a link that has been silent for longer than its peer keeps idle ones.
    void sweep(Instant now);

private:
    enum class Phase : std::uint8_t {
        Greeting, ///< Hello is awaited
        Replying, ///< HelloReply is being sent
        Open,
        Closing, ///< this side refused or said Goodbye, or the peer did: what still comes is not looked at
    };

    enum class Step : std::uint8_t {
        More,    ///< the next bytes are wanted
        Greeted, ///< the reply is to be sent
        Late,    ///< there are frames left, for the next turn
        NoRoom,  ///< a frame has to wait for memory
    };

    net::Task<void> receive_until_end();
    Step take_frames();
    wire::HelloReply greet(const FrameReader::Frame& frame);
    net::Task<bool> reply();
    void set_acquainted(bool acquainted);
    void no_room();
    void out_of_memory();
    net::Task<void> await_verdict();
    void turned_away();
    net::Task<void> say_goodbye(std::shared_ptr<InboundLink> keep, std::shared_ptr<Hub> hub);
    bool on_frame(const FrameReader::Frame& frame);
    bool on_rare_frame(const FrameReader::Frame& frame);
    void drop_foreign(std::string_view frame, std::string_view sender);
    bool asks_too_often(const FrameReader::Frame& frame);
    void on_goodbye(const wire::Goodbye& goodbye);
    bool deliver(const Tell& tell, const FrameReader::Frame& frame);
    bool hand_over(const Tell& tell, const Slice& payload);
    void discard(Slice bytes);
    void discard_frames();
    void hold(Buffer& source);
    void let_go_of_buffer() noexcept;
    void drop_hold() noexcept;
    void malformed(std::string detail);
    void begin_linger();
    void ended();

    Hub& hub_;
    const std::shared_ptr<net::Connection> connection_;
    FrameReader reader_;
    Phase phase_ = Phase::Greeting;
    bool was_open_ = false;
    UniqueAddress peer_;
    SenderPaths senders_; ///< of peer_
    std::uint16_t lane_ = 0;
    wire::Agreement agreement_ = wire::agreed_by_all; ///< what our reply puts in force
    bool peer_is_newer_ = false;
    std::optional<wire::GoodbyeReason> said_;    ///< the peer's Goodbye
    std::optional<wire::GoodbyeReason> closing_; ///< ours
    std::string closing_detail_;
    std::optional<Error> error_;
    Instant received_{}; ///< when the bytes being looked at arrived
    std::unique_ptr<AbortAt> deadline_;
    TurnBudget budget_;
    AnswerRate answers_;
    std::optional<Instant> flood_said_;
    bool acquainted_ = false;
    bool unreadable_ = false;            ///< what still comes cannot be cut into frames
    std::optional<Instant> frame_began_; ///< whose end has not arrived

    wire::HelloReply reply_; ///< decided, to be sent

    /// While the peer's address, known as another incarnation's, is asked who lives there. Shared with
    /// whoever brings the verdict.
    struct PendingClaim {
        explicit PendingClaim(net::Runtime& runtime) : settled(runtime) {}
        net::Notifier settled;
        std::optional<Verdict> verdict;
        std::optional<UniqueAddress> owner;
    };
    std::shared_ptr<PendingClaim> claim_;

    ReceiveHold* hold_ = nullptr;
    Slice view_; ///< holds our reference on hold_; looks at the payload being delivered
};

} // namespace muster::transport
