// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The parts of one TcpClusterTransport, wired: associations, acceptor, claims, messages.
#include "acceptor.hpp"
#include "association_table.hpp"
#include "claim_check.hpp"
#include "context.hpp"
#include "message_routes.hpp"
#include <chrono>
#include <memory>
#include <string_view>
#include <vector>

namespace muster::transport {

class Association;
class InboundLink;

/// What the links ask, answered by the parts of a hub.
class HubView final : public NodeView {
public:
    explicit HubView(Hub& hub) noexcept : hub_(hub) {}
    Identity identity() const override;
    bool stops() const override;
    bool acquainted(const Address& address) const override;
    bool has_place_for_stranger() const override;
    Quarantined quarantine_of(const UniqueAddress& node) override;
    bool is_claimed(const UniqueAddress& peer) override;
    wire::Interner& interner() override;

private:
    Hub& hub_;
};

/// Shared by the transport and its coroutines. All on the Runtime's thread unless marked "any thread".
class Hub : public Context, public std::enable_shared_from_this<Hub> {
public:
    Hub(net::Runtime& runtime, TcpTransportOptions options, std::unique_ptr<net::Listener> listener,
        UniqueAddress self);
    virtual ~Hub();

    // --- the transport's interface
    UniqueAddress self() const { return identity.self(); } ///< any thread
    /// What it offers from now on to whoever it meets: for tests, which are ahead of this build.
    void set_offer(const wire::Offer& offer) { identity.set_offer(offer); }
    void start(TransportHandler& handler, std::shared_ptr<RemoteMessageSink> sink);
    void send(const Destination& to, const ClusterMessage& message) { routes_.send(to, message); }
    void send(const Destination& to, MessageLane lane, std::string_view name, LateMessage message) {
        routes_.send(to, lane, name, std::move(message));
    }
    /// Any thread. Null when `to` cannot be a peer or the transport is at a limit.
    std::shared_ptr<Association> association(const Address& to) { return table_.get(to); }
    void quarantine(const UniqueAddress& node, bool harmless);
    void expect(const UniqueAddress& node);
    void prove(const UniqueAddress& node) { claims_.prove(node); }
    void renew_incarnation(Uid uid);
    void shutdown(Instant deadline, UniqueFunction<void()> done);
    /// The transport is destroyed: aborts everything; the coroutines keep the Hub until they have ended.
    void abandon();

    // --- the parts, for each other
    AssociationTable& table() noexcept { return table_; }
    Acceptor& acceptor() noexcept { return acceptor_; }
    ClaimCheck& claims() noexcept { return claims_; }
    NodeView& view() noexcept { return view_; }
    /// Something runs that has deadlines.
    void arm_sweep();

    // --- what a link says about its peer
    /// A handshake done by an inbound link: ends older links it replaces and tells the association.
    void inbound_established(InboundLink& link);
    /// `node` answered a question at its address: what leads to a former incarnation ends.
    void answered_at_its_address(const UniqueAddress& node);
    /// `node` says that it stops.
    void stops(const UniqueAddress& node);
    /// Says Goodbye with `frame` on a connection that nobody else uses any more, and lingers, in a task of
    /// its own.
    void leave(std::shared_ptr<net::Connection> connection, Slice frame);

private:
    static net::Task<void> leave_and_linger(std::shared_ptr<Hub> hub,
                                            std::shared_ptr<net::Connection> connection, Slice frame);
    static net::Task<void> finish(std::shared_ptr<Hub> hub, Instant deadline, UniqueFunction<void()> done);
    static net::Task<void> outlive(std::shared_ptr<Hub> hub);
    void sweep();

    HubView view_{*this};
    AssociationTable table_{*this};
    Acceptor acceptor_;
    ClaimCheck claims_{*this};
    MessageRoutes routes_{*this};
    bool abandoned_ = false;
    net::TimerId sweep_timer_ = net::TimerId::None;
};

} // namespace muster::transport
