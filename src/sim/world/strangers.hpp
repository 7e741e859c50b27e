// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Processes on machines of their own that do not belong to the cluster: clones of members, and nodes with a
/// wrong address.
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <muster/sim/world.hpp>
#include <optional>

namespace muster::sim {

/// The World's checker is not told of them, so a member that is one of them is a stranger-admitted. One
/// thread, as everything in sim; outlived by the World.
class Strangers {
public:
    explicit Strangers(World& world) : world_(world) {}

    /// A process that advertises `address`, wherever that leads, and asks `to` to join; nullopt: its seed
    /// nodes. `config` is complete but for what concerns addresses.
    std::size_t start(const Address& address, RemoteAdapterConfig config, const std::optional<Address>& to);
    /// SIGKILL. No-op when it has ended.
    void end(std::size_t stranger) { running_.erase(stranger); }
    void end_all() { running_.clear(); }

private:
    struct Process {
        std::unique_ptr<Runtime> runtime;
        std::optional<ClusterRemoteAdapter> adapter;
        ~Process();
    };
    World& world_;
    std::size_t started_ = 0;
    std::map<std::size_t, std::unique_ptr<Process>> running_;
};

} // namespace muster::sim
