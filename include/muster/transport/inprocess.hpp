// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Transport between nodes of one process, without sockets: for tests, examples and embedded clusters.
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <muster/transport/transport.hpp>
#include <mutex>

namespace muster::net {
class Runtime;
}

namespace muster {

class InProcessClusterTransport;

/// Who is there: nodes of one process by address. Shared by their transports. Thread-safe.
class InProcessRegistry {
public:
    static std::shared_ptr<InProcessRegistry> create() { return std::make_shared<InProcessRegistry>(); }
    std::size_t size() const;
    bool contains(const Address& address) const;

private:
    friend class InProcessClusterTransport;
    struct Node;
    std::shared_ptr<Node> find(const Address& address) const;
    mutable std::mutex mutex_;
    std::map<Address, std::shared_ptr<Node>> nodes_;
};

/// One node of a registry. Messages and tells reach the other node's handler and sink through its
/// Runtime::post, in order per sending thread, at most once. There is no queue of its own to be Full, and no
/// connection, so no LinkEvent; a message to an address where nobody is registered is a refused connection.
class InProcessClusterTransport final : public ClusterTransport {
public:
    /// Registers `self`. Errors: Errc::address_in_use when that Address is registered.
    static result<std::unique_ptr<InProcessClusterTransport>>
    create(std::shared_ptr<InProcessRegistry> registry, net::Runtime& runtime, UniqueAddress self);
    /// Leaves the registry.
    ~InProcessClusterTransport() override;

    UniqueAddress self() const override;
    void start(TransportHandler& handler, std::shared_ptr<RemoteMessageSink> sink) override;
    void send(const Destination& to, const ClusterMessage& message) noexcept override;
    TellResult tell(const Address& to, const Tell& tell) override;
    TellRoute route(const Address& to) override;
    void tell_when_room(const Address& to, const Tell& tell, UniqueFunction<void(TellResult)> done) override;
    void quarantine(const UniqueAddress& node, bool harmless) override;
    void renew_incarnation(Uid uid) override;
    void shutdown(Instant deadline, UniqueFunction<void()> done) override;

private:
    class Route;
    InProcessClusterTransport(std::shared_ptr<InProcessRegistry> registry, net::Runtime& runtime,
                              std::shared_ptr<InProcessRegistry::Node> node);

    const std::shared_ptr<InProcessRegistry> registry_;
    net::Runtime& runtime_;
    const std::shared_ptr<InProcessRegistry::Node> node_;
};

} // namespace muster
