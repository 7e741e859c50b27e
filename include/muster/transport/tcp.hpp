// SPDX-License-Identifier: Apache-2.0
#pragma once
/// TcpClusterTransport: associations over TCP (architecture.md, Associations).
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <muster/error.hpp>
#include <muster/transport/transport.hpp>
#include <string>

namespace muster::net {
class Connection;
class Runtime;
enum class ConnectionRole : std::uint8_t;
} // namespace muster::net

namespace muster {

/// Every limit of the transport, and what happens at it. Durations are above 0 and at most a year
/// (setting_duration_max).
struct TcpTransportOptions {
    std::string cluster_name;              ///< peers of another one are refused in the handshake
    std::string protocol = "akka.tcp";     ///< scheme of this node's Address
    std::string listen_host = "127.0.0.1"; ///< a literal address ("0.0.0.0", "::", ..) to bind
    std::uint16_t listen_port = 0;         ///< 0: the system chooses
    std::string advertised_host;           ///< what peers dial and know us by; empty: listen_host
    std::uint16_t advertised_port = 0;     ///< 0: the port listened on
    std::optional<Uid> uid;                ///< empty: random

    std::size_t frame_bytes_max =
        16 * 1024 * 1024; ///< larger frames end the association; larger tells are TooLarge
    std::size_t association_bytes_max = 8 * 1024 * 1024; ///< of unsent tells per association: Full beyond it
    std::size_t membership_queue_max =
        1024; ///< unsent membership messages per association: the oldest is dropped
    std::size_t waiting_tells_max = 65'536;           ///< of tell_when_room per association
    std::size_t waiting_bytes_max = 64 * 1024 * 1024; ///< of the frames of those: Full beyond it
    std::size_t inbound_connections_max =
        4096;                              ///< more are closed at once; a tenth is kept for members and seeds
    std::size_t associations_max = 16'384; ///< tells to further addresses answer NoRoute
    std::size_t unauthenticated_bytes_max = 64 * 1024; ///< before the handshake is complete
    std::size_t retained_bytes_max = 64 * 1024 * 1024; ///< of receive buffers kept by sinks: copied beyond it
    /// Memory for frames of which only a part has arrived, over all links; strangers get half. Above it a
    /// stranger's link is closed and a member's waits. At least twice frame_bytes_max; 0: eight times
    /// frame_bytes_max.
    std::size_t assembly_bytes_max = 0;
    std::chrono::milliseconds frame_timeout{
        30'000}; ///< from a frame's first byte to its last: a slower link is closed
    std::chrono::milliseconds handshake_timeout{5000};
    std::chrono::milliseconds connect_timeout{5000};
    std::chrono::milliseconds association_idle_timeout{30'000};
    /// A link is given up when for that long nothing that was sent is acknowledged or taken, or (a quarter of
    /// it or a second later) nobody is at the other end. The system counts whole seconds in the latter case.
    /// A paused process whose machine answers keeps its links.
    std::chrono::milliseconds half_open_timeout{30'000};
    /// Of TCP: "auto" takes cubic (or reno) between two nodes of one host and the system's elsewhere;
    /// "system" takes the system's everywhere; else a name that the system knows ("cubic"). One that it
    /// refuses is an error of listen().
    std::string congestion_control = "auto";
    std::chrono::milliseconds backoff_min{50}; ///< doubled with full jitter up to
    std::chrono::milliseconds backoff_max{5000};
    std::chrono::milliseconds quarantine_for{std::chrono::hours{24}}; ///< remembered at most that long
    std::size_t lanes = 1; ///< tell connections per association, by recipient path

    /// Puts something around every connection before its first byte, as encryption does: what it returns is
    /// used in place of the connection it was given, and has a handshake of its own inside its first receive
    /// or send, whose time counts against handshake_timeout (claim checks: connect_timeout). nullptr refuses
    /// the connection, which then counts as a failed handshake. Called on the Runtime's thread; must not
    /// throw nor wait. Empty: plain TCP.
    std::function<std::unique_ptr<net::Connection>(std::unique_ptr<net::Connection>, net::ConnectionRole)>
        decorate_connection;

    /// Errc::invalid_argument with subject "setting <name>".
    result<void> validate() const;
};

/// Opens the listener at once, so that self() is final; accepts after start().
/// Errors: setting errors, and net::Runtime::listen's (address_in_use names the endpoint).
class TcpClusterTransport final : public ClusterTransport {
public:
    static result<std::unique_ptr<TcpClusterTransport>> listen(net::Runtime& runtime,
                                                               TcpTransportOptions options);
    /// Runtime's thread, or after the Runtime stopped. Without shutdown() before, connections are aborted.
    ~TcpClusterTransport() override;

    UniqueAddress self() const override;
    void start(TransportHandler& handler, std::shared_ptr<RemoteMessageSink> sink) override;
    void send(const Destination& to, const ClusterMessage& message) noexcept override;
    TellResult tell(const Address& to, const Tell& tell) override;
    TellRoute route(const Address& to) override;
    void tell_when_room(const Address& to, const Tell& tell, UniqueFunction<void(TellResult)> done) override;
    void quarantine(const UniqueAddress& node, bool harmless) override;
    void expect(const UniqueAddress& node) override;
    bool proves_addresses() const noexcept override { return true; }
    void prove(const UniqueAddress& node) override;
    void renew_incarnation(Uid uid) override;
    void shutdown(Instant deadline, UniqueFunction<void()> done) override;
    /// The reference's name of tell() (reference.md).
    TellResult send_remote(const Address& to, const Tell& message) { return tell(to, message); }

private:
    struct Impl;
    explicit TcpClusterTransport(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_; // shared with the coroutines, which may end after the transport
};

} // namespace muster
