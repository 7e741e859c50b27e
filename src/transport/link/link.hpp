// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The protocol of one connection, for the side that dialled and the side that accepted (wire.md, Frames;
/// protocol.md §16): handshake, proof of a claimed address, frames, goodbye, linger and every deadline.
#include "action.hpp"
#include "answer_rate.hpp"
#include "claims.hpp"
#include "frame_reader.hpp"
#include "handshake.hpp"
#include "link_end.hpp"
#include "quarantine_list.hpp"
#include "speaker.hpp"
#include <cstdint>
#include <muster/address.hpp>
#include <muster/time.hpp>
#include <muster/wire/frame.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace muster::transport {

/// What a link asks its node, about the node and about peers. Answers at once; nothing happens by asking.
class NodeView {
public:
    virtual ~NodeView() = default;
    virtual Identity identity() const = 0;
    virtual bool stops() const = 0;
    /// Whether a member or seed has this address.
    virtual bool acquainted(const Address& address) const = 0;
    /// Whether one more link of somebody who is neither may stay.
    virtual bool has_place_for_stranger() const = 0;
    virtual Quarantined quarantine_of(const UniqueAddress& node) = 0;
    /// Whether `peer` names an address that is another incarnation's as far as this node knows.
    virtual bool is_claimed(const UniqueAddress& peer) = 0;
    virtual wire::Interner& interner() = 0;
};

struct LinkLimits {
    Duration handshake_timeout{};
    Duration idle_timeout{};
    Duration half_open_timeout{};
    Duration frame_timeout{};
};

/// How to drive it. dialled() or accepted() first. Then: what the connection brings goes into a FrameReader,
/// received() says when, and each frame goes to frame(), but for tells of an open link, which the driver may
/// deliver by itself after admits(). frames_taken() when the reader has no more. While phase() is Replying or
/// Claiming nothing is read. written() after each action::Write, stream_ended() when receiving fails, time()
/// at deadline() and every now and then. over() once: the acceptor's when nothing is received any more, the
/// dialler's when nothing is sent any more, though it may linger.
///
/// Only the side that dialled sends anything but the frames of this value. It says sending() and sent() or
/// send_failed() around that, and flushed() when nothing is left to be sent: a goodbye waits for it.
///
/// The value holds no memory but the peer's identity, and nothing in it depends on the size of what passes.
class Link {
public:
    enum class Role : std::uint8_t { Dialler, Acceptor };
    enum class Phase : std::uint8_t {
        Greeting,  ///< the peer's first frame is awaited
        Replying,  ///< the acceptor's HelloReply is being sent
        Claiming,  ///< the address that the peer names is being asked who lives there: nothing is looked at
        Open,      ///< frames are taken
        Broken,    ///< a send failed: what the peer said before it went, a Goodbye perhaps, is still read
        Lingering, ///< either side said Goodbye, or the acceptor refused: what still comes is not acted on
        Ended,     ///< nothing comes any more
    };
    /// Whether this side has a Goodbye to say.
    enum class Due : std::uint8_t {
        Nothing,
        WhenFlushed,
        AtOnce, ///< nobody may have what is queued
    };
    /// After a failed send the peer's Goodbye is awaited so long.
    static constexpr Duration linger_after_failure = std::chrono::milliseconds{100};

    struct About {
        UniqueAddress peer; ///< whom the handshake named; the unknown node before
        std::uint16_t lane = 0;
        wire::Agreement agreement = wire::agreed_by_all; ///< what the handshake put in force
        bool acquainted = false; ///< a member or seed has the peer's address, as of the last look
        bool was_open = false;
        bool unreadable = false; ///< what still comes cannot be cut into frames
        Instant last_sent{};
        Instant last_received{};
    };

    Link(Role role, const LinkLimits& limits, NodeView& node) noexcept
        : role_(role), limits_(limits), node_(node) {}

    /// Says Hello. `failure_level`: of the log, if it comes to nothing.
    void dialled(const Address& to, Instant deadline, LogLevel failure_level, LinkActions& out);
    /// `remote`: where the connection comes from.
    void accepted(std::string remote, Instant now);

    // --- what comes
    void received(Instant now) noexcept { about_.last_received = now; }
    /// False when nothing behind it is to be looked at.
    bool frame(const FrameReader::Frame& frame, Instant now, LinkActions& out);
    /// Whether a tell may be delivered: its sender is of the peer, or nobody. If not, it goes to frame().
    bool admits(const Tell& tell) const { return !tell.sender_path || senders_.allow(*tell.sender_path); }
    /// The reader has no further frame. `any`: it had one; `incomplete`: it has the beginning of one.
    void frames_taken(bool any, bool incomplete) noexcept {
        if (!incomplete || any) frame_began_.reset();
        if (incomplete && !frame_began_) frame_began_ = about_.last_received;
    }
    /// The reader cannot go on: a frame is too large, or has no room now. `limit`: what is allowed, or in
    /// use.
    void stuck(FrameReader::Next why, std::size_t claimed, std::size_t limit, Instant now, LinkActions& out);
    void verdict(Verdict verdict, const std::optional<UniqueAddress>& owner, Instant now, LinkActions& out);
    void stream_ended(const std::optional<Error>& error, LinkActions& out);

    // --- what goes
    /// After an action::Write.
    void written(const result<void>& written, Instant now, LinkActions& out);
    void sending(Instant now) noexcept {
        if (due_ == wire::GoodbyeReason::Link) due_.reset(); // no longer idle
        send_began_ = about_.last_sent = now;
    }
    void sent() noexcept { send_began_.reset(); }
    void send_failed(const Error& error, Instant now);
    /// Nothing is left to be sent. True when a Goodbye was due, and is written now.
    bool flushed(Instant now, LinkActions& out);
    Due due() const noexcept {
        if (!due_) return Due::Nothing;
        const bool now = due_ == wire::GoodbyeReason::Quarantined || due_ == wire::GoodbyeReason::Incarnation;
        return now ? Due::AtOnce : Due::WhenFlushed;
    }

    // --- commands
    /// Says Goodbye: the acceptor now (before the handshake it aborts, during it as soon as it is done), the
    /// dialler when it is flushed.
    void close(wire::GoodbyeReason reason, std::string_view detail, Instant now, LinkActions& out);
    /// Gives the connection up for a reason of this side's.
    void fail(Errc code, std::string_view advice, LinkActions& out);
    /// Another incarnation answers at the peer's address. This one's process may not end the connection by
    /// itself for long: until then `by` would hear nothing, and then what was meant for the former.
    void superseded(const UniqueAddress& by, Instant now, LinkActions& out);
    void time(Instant now, LinkActions& out);
    /// Reports how the link ended.
    void over(LinkActions& out) const;

    // --- queries
    Phase phase() const noexcept { return phase_; }
    bool is_open() const noexcept { return phase_ == Phase::Open; }
    const About& about() const noexcept { return about_; }
    /// When time() has to be called.
    const std::optional<Instant>& deadline() const noexcept { return deadline_; }
    /// How the connection was lost, when nobody said Goodbye.
    std::optional<LinkEnd> loss() const noexcept;

private:
    bool dials() const noexcept { return role_ == Role::Dialler; }
    std::string_view direction() const noexcept { return dials() ? "outbound" : "inbound"; }
    std::string name() const;

    // link_handshake.cpp
    void judge_hello(const FrameReader::Frame& frame, LinkActions& out);
    void reply(wire::HelloReply reply, LinkActions& out);
    void replied(Instant now, LinkActions& out);
    void open(Instant now, LinkActions& out);
    void close_if_due(Instant now, LinkActions& out);
    void judge_reply(const FrameReader::Frame& frame, Instant now, LinkActions& out);
    void refused(const wire::HelloReply& reply, const wire::HelloRefused& refused, LinkActions& out);
    void leave(action::Shaken::Outcome outcome, wire::GoodbyeReason reason, std::string_view detail,
               const UniqueAddress& peer, LinkActions& out);
    void handshake_failed(const Error& error, LinkActions& out);

    bool asks_too_often(const FrameReader::Frame& frame, LinkActions& out);
    bool on_message(ClusterMessage&& message, LinkActions& out);
    bool on_goodbye(const wire::Goodbye& goodbye, Instant now, LinkActions& out);
    void drop_foreign(std::string_view frame, std::string_view sender, LinkActions& out);
    void malformed(const std::string& detail, Instant now, LinkActions& out);
    void say_goodbye(wire::GoodbyeReason reason, std::string_view detail, LinkActions& out);
    void check_silence(Instant now, LinkActions& out);
    void check_frame(Instant now, LinkActions& out);
    void abort(LinkActions& out);
    static void count(Counted what, LinkActions& out) { out.emplace_back(action::Count{what}); }

    const Role role_;
    Phase phase_ = Phase::Greeting;
    LogLevel failure_level_ = LogLevel::Warning;
    bool timed_out_ = false; ///< the handshake
    bool refuses_ = false;   ///< the acceptor's reply is a refusal
    bool closed_ = false;    ///< this side said Goodbye: the end that follows is no loss
    bool peer_is_newer_ = false;
    const LinkLimits& limits_;
    NodeView& node_;
    About about_;
    SenderPaths senders_; ///< of the peer
    Address dialled_;
    UniqueAddress self_; ///< what our Hello said
    std::string remote_;
    std::optional<wire::GoodbyeReason> said_; ///< the peer's
    std::optional<wire::GoodbyeReason> due_;  ///< ours
    std::string due_detail_;
    std::optional<Error> error_; ///< why it ended, when nobody said goodbye
    std::optional<Instant> deadline_;
    std::optional<Instant> send_began_;
    std::optional<Instant> frame_began_; ///< whose end has not arrived
    AnswerRate answers_;
    std::optional<Instant> flood_said_;
};

} // namespace muster::transport
