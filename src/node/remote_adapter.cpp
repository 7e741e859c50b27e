// SPDX-License-Identifier: Apache-2.0
#include <muster/node/remote_adapter.hpp>

#include <muster/cluster/state/gossip_limits.hpp>
#include <string>
#include <utility>

namespace muster {

ClusterRemoteAdapter::ClusterRemoteAdapter(Address address, ClusterDaemonHandle daemon)
    : address_(std::move(address)), daemon_(std::move(daemon)) {}

result<ClusterRemoteAdapter> ClusterRemoteAdapter::start(net::Runtime& runtime, RemoteAdapterConfig config,
                                                         std::shared_ptr<RemoteMessageSink> sink) {
    if (auto ok = config.daemon.validate(); !ok) return ok.error();
    const std::size_t frame_bytes_max = config.transport.frame_bytes_max;
    const std::size_t gossip_bytes_max = frame_bytes_max / gossip_frame_share;
    if (config.daemon.cluster.gossip_bytes_max.value_or(0) > gossip_bytes_max)
        return Error{Errc::invalid_argument,
                     "setting gossip-bytes-max",
                     "use at most " + std::to_string(gossip_bytes_max) +
                         ", a quarter of the transport's frame_bytes_max",
                     {}};
    if (!config.daemon.cluster.gossip_bytes_max) config.daemon.cluster.gossip_bytes_max = gossip_bytes_max;
    auto transport = TcpClusterTransport::listen(runtime, std::move(config.transport));
    if (!transport) return transport.error();
    auto address = (*transport)->self().address();
    // A gossip that one node may send and another refuses would prevent convergence.
    config.daemon.join_settings.try_emplace("transport.frame-bytes-max", std::to_string(frame_bytes_max));
    auto daemon = spawn_daemon(runtime, std::shared_ptr(std::move(*transport)), std::move(config.daemon),
                               std::move(sink));
    if (!daemon) return daemon.error();
    return ClusterRemoteAdapter(std::move(address), std::move(*daemon));
}

} // namespace muster
