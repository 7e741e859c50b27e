// SPDX-License-Identifier: Apache-2.0
#include "strangers.hpp"

#include <fmt/format.h>
#include <muster/ensure.hpp>
#include <muster/transport/recording_sink.hpp>

namespace muster::sim {

Strangers::Process::~Process() {
    adapter.reset();
    runtime.reset();
}

std::size_t Strangers::start(const Address& address, RemoteAdapterConfig config,
                             const std::optional<Address>& to) {
    const std::size_t number = started_++;
    Network& network = world_.network();
    const HostId host = network.add_host(fmt::format("stranger-{}", number));
    auto listen = network.address(host, *address.port).to_string();
    listen.resize(listen.rfind(':'));
    config.transport.cluster_name = address.system;
    config.transport.listen_host = listen;
    config.transport.listen_port = *address.port;
    config.transport.advertised_host = *address.host;
    config.transport.advertised_port = *address.port;
    config.daemon.random_seed = number ^ 0x737472616e676572ULL;

    auto process = std::make_unique<Process>();
    net::RuntimeOptions options;
    options.log_sink = std::make_shared<MemoryLogSink>(1);
    process->runtime = network.make_runtime(host, std::move(options));
    auto started =
        ClusterRemoteAdapter::start(*process->runtime, std::move(config), std::make_shared<RecordingSink>());
    MUSTER_ENSURE(started.has_value(), started.has_error() ? started.error().message() : std::string());
    process->adapter.emplace(std::move(*started));
    if (to) process->adapter->daemon().join(*to);
    running_.emplace(number, std::move(process));
    return number;
}

} // namespace muster::sim
