// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How messages and tells leave and reach a node (architecture.md, Associations). Interfaces only; tcp.hpp
/// and inprocess.hpp implement them.
#include <cstdint>
#include <memory>
#include <muster/address.hpp>
#include <muster/buffer.hpp>
#include <muster/cluster/protocol/gossip_pdu.hpp>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/time.hpp>
#include <muster/unique_function.hpp>
#include <muster/wire/tell.hpp>
#include <optional>
#include <string_view>

namespace muster {

/// Sends membership messages: best effort, never blocks, never throws. Runtime's thread.
class GossipTransport {
public:
    virtual ~GossipTransport() = default;
    /// What cannot be sent (queue full: the oldest goes; no route; another incarnation there) is dropped and
    /// counted.
    virtual void send(const Destination& to, const ClusterMessage& message) noexcept = 0;
    /// The reference's form (reference.md): a PDU to an address.
    void send_pdu(const Address& to, const GossipPdu& pdu) noexcept;
};

/// Receives tells. deliver() runs on the Runtime's thread, in order per sender and recipient. The views are
/// valid during the call; copying `payload` keeps its bytes without copying them. Must not throw (an
/// exception is counted and logged).
class RemoteMessageSink {
public:
    virtual ~RemoteMessageSink() = default;
    virtual void deliver(std::string_view target_path, std::string_view manifest, const Slice& payload,
                         std::optional<std::string_view> sender_path) = 0;
};

/// What became of a tell.
enum class TellResult : std::uint8_t {
    Queued,      ///< accepted: will be written in order unless the association ends first (counted then)
    Full,        ///< the association's byte limit is reached: back off, or use async_tell
    NoRoute,     ///< shut down, quarantined, or an address that cannot be this transport's peer
    TooLarge,    ///< above frame_bytes_max
    Unreachable, ///< of tell_when_room: there was no room, and nobody has answered at that address for
                 ///< connect_timeout
};
std::string_view to_string(TellResult r) noexcept;

/// One recipient node, resolved once: what an actor system keeps per remote system so that a tell needs no
/// look-up. Copyable, any thread. Outlives the transport harmlessly (answers NoRoute then).
class TellRoute {
public:
    class Target; ///< implemented by each transport
    TellRoute() noexcept = default;
    explicit TellRoute(std::shared_ptr<Target> target) noexcept : target_(std::move(target)) {}
    /// Encodes on the calling thread.
    TellResult tell(const Tell& tell) const;
    explicit operator bool() const noexcept { return target_ != nullptr; }

private:
    std::shared_ptr<Target> target_;
};
class TellRoute::Target {
public:
    virtual ~Target() = default;
    virtual TellResult tell(const Tell& tell) = 0;
};

/// What a transport tells its node. All calls on the Runtime's thread.
class TransportHandler {
public:
    virtual ~TransportHandler() = default;
    /// `received`: when the bytes arrived. `peer`: the incarnation the connection's handshake named.
    virtual void on_message(const UniqueAddress& peer, ClusterMessage message, Instant received) = 0;
    virtual void on_link(const UniqueAddress& peer, LinkEvent event) = 0;
    virtual void on_connect_refused(const Address& peer) = 0;
    /// The peer told us that it has quarantined this incarnation (protocol.md §15.6): only on a connection
    /// that this node dialled, since whoever opens one may call itself anybody.
    virtual void on_quarantined_by(const UniqueAddress& peer) = 0;
    /// Whether a member or a seed has this address. Others get no connection made for them beyond a limit,
    /// and not all places for inbound connections nor all memory for unfinished frames. Cheap: asked often
    /// under load.
    virtual bool is_acquainted(const Address& address) const {
        static_cast<void>(address);
        return false;
    }
};

/// A transport a whole node runs on.
class ClusterTransport : public GossipTransport {
public:
    /// This node. The uid changes only through renew_incarnation().
    virtual UniqueAddress self() const = 0;
    /// Begins to accept and to deliver. Before it everything incoming waits. `handler` and `sink` outlive the
    /// transport's shutdown.
    virtual void start(TransportHandler& handler, std::shared_ptr<RemoteMessageSink> sink) = 0;
    /// Any thread; both forms answer at once. `to` may be a connectionless address: the association opens on
    /// demand.
    virtual TellResult tell(const Address& to, const Tell& tell) = 0;
    virtual TellRoute route(const Address& to) = 0;
    /// Calls `done` on the Runtime's thread: Queued as soon as there was room, or NoRoute / TooLarge /
    /// Unreachable. Any thread. Waiting tells of one caller keep their order; at most `waiting_tells_max`
    /// wait, more answer Full. (node/ offers the completion-token form.)
    virtual void tell_when_room(const Address& to, const Tell& tell,
                                UniqueFunction<void(TellResult)> done) = 0;
    /// Messages from and to this incarnation are dropped from now on; it is told so (unless harmless).
    virtual void quarantine(const UniqueAddress& node, bool harmless) = 0;
    /// This incarnation is a member: if a former one at its address was quarantined, tells to the address are
    /// for this one from now on.
    virtual void expect(const UniqueAddress& node) { static_cast<void>(node); }
    /// Whether a peer may live elsewhere than it says, so that prove() is worth calling. False: every peer
    /// counts as proven (a transport without connections, which cannot be lied to about addresses).
    virtual bool proves_addresses() const noexcept { return false; }
    /// Asks who lives at `node`'s address. Whoever answers is reported by on_link(Answered); no answer is no
    /// report.
    virtual void prove(const UniqueAddress& node) { static_cast<void>(node); }
    /// Closes all connections and goes on under another uid (protocol.md §5.6, first seed).
    virtual void renew_incarnation(Uid uid) = 0;
    /// Flushes what was accepted, says Goodbye{stopping}, closes everything; `done` once, at `deadline` at
    /// the latest.
    virtual void shutdown(Instant deadline, UniqueFunction<void()> done) = 0;
};

} // namespace muster
