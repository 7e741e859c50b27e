// SPDX-License-Identifier: Apache-2.0
#pragma once
/// ClusterRemoteAdapter: daemon, TCP transport, heartbeats and split-brain resolution tied into one node.
#include <muster/node/daemon.hpp>
#include <muster/transport/tcp.hpp>

namespace muster {

/// The configuration of a node.
struct RemoteAdapterConfig {
    TcpTransportOptions transport;
    DaemonConfig daemon;
};

/// The facade for most applications: listens, then runs a daemon on that transport. Any thread. Destruction
/// as of ClusterDaemonHandle.
class ClusterRemoteAdapter {
public:
    /// Errors: settings, and the listener's (address_in_use, ..). Nothing is left behind on an error.
    static result<ClusterRemoteAdapter> start(net::Runtime& runtime, RemoteAdapterConfig config,
                                              std::shared_ptr<RemoteMessageSink> sink = nullptr);
    ClusterRemoteAdapter(ClusterRemoteAdapter&&) noexcept = default;
    ClusterRemoteAdapter& operator=(ClusterRemoteAdapter&&) noexcept = default;

    ClusterDaemonHandle& daemon() noexcept { return daemon_; }
    const ClusterDaemonHandle& daemon() const noexcept { return daemon_; }
    const Address& address() const noexcept { return address_; }
    DaemonSnapshot snapshot() const { return daemon_.snapshot(); }
    TellResult tell(const Address& to, const Tell& message) const { return daemon_.tell(to, message); }

private:
    ClusterRemoteAdapter(Address address, ClusterDaemonHandle daemon);
    Address address_;
    ClusterDaemonHandle daemon_;
};

} // namespace muster
