// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Whole nodes over the real transport in a simulated world: what a node test drives.
#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <muster/ensure.hpp>
#include <muster/node/remote_adapter.hpp>
#include <muster/sim/runtime.hpp>
#include <muster/transport/recording_sink.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace muster::test {

using namespace std::chrono_literals;

/// Links that can be cut between groups of machines.
class CuttableLinks final : public sim::LinkModel {
public:
    sim::Fate decide(const sim::Segment& segment, Instant now, sim::Random& random) override {
        auto fate = uniform_.decide(segment, now, random);
        fate.lost = cut_.contains({segment.from, segment.to});
        return fate;
    }
    /// Nothing passes between the two sides any more, in either direction.
    void cut(const std::vector<sim::HostId>& left, const std::vector<sim::HostId>& right) {
        for (const auto a : left)
            for (const auto b : right) {
                cut_.insert({a, b});
                cut_.insert({b, a});
            }
    }
    void heal() { cut_.clear(); }

private:
    sim::UniformLinks uniform_;
    std::set<std::pair<sim::HostId, sim::HostId>> cut_;
};

/// One process of the world.
struct SimNode {
    sim::HostId host{};
    std::shared_ptr<MemoryLogSink> log = std::make_shared<MemoryLogSink>();
    std::shared_ptr<RecordingSink> sink = std::make_shared<RecordingSink>();
    std::vector<ClusterEvent> events;
    std::unique_ptr<sim::Runtime> runtime; ///< dies before what its handlers refer to
    std::optional<ClusterRemoteAdapter> node;
    SubscriptionHandle subscription;
    std::optional<ShutdownReason> stopped;

    ~SimNode() {
        subscription.unsubscribe();
        node.reset();
        runtime.reset();
    }
    Address address() const { return node->address(); }
    UniqueAddress unique_address() const { return node->daemon().unique_address(); }
    ClusterDaemonHandle& daemon() { return node->daemon(); }
    DaemonSnapshot snapshot() const { return node->snapshot(); }
    /// Position of the first event of this kind about this node, or -1.
    template <class Event>
    std::ptrdiff_t position(const UniqueAddress& about) const {
        for (std::size_t i = 0; i < events.size(); ++i)
            if (const auto* e = std::get_if<Event>(&events[i]))
                if (e->member.unique_address() == about) return static_cast<std::ptrdiff_t>(i);
        return -1;
    }
    template <class Event>
    bool saw(const UniqueAddress& about) const {
        return position<Event>(about) >= 0;
    }
    /// Takes the process away at once; its machine and address stay.
    void kill() {
        subscription.unsubscribe();
        node.reset();
        runtime.reset();
    }
};

class World {
public:
    static constexpr std::uint16_t port = 2551;

    explicit World(std::uint64_t seed = 1) : network(options(seed)) {}

    /// Machine number `size()`, without a process yet.
    sim::HostId add_host() {
        const auto host = network.add_host("h" + std::to_string(hosts.size()));
        hosts.push_back(host);
        return host;
    }
    Address address_of(std::size_t host) const {
        const auto text = network.address(hosts.at(host), port).to_string();
        return Address::parse("akka.tcp://test@" + text).value();
    }
    /// The usual settings: seeds are machines 0 and 1 as far as they exist, keep-majority with 3 s of
    /// stable-after.
    RemoteAdapterConfig config(std::size_t host) const {
        RemoteAdapterConfig config;
        config.transport.cluster_name = "test";
        config.transport.listen_host = network.address(hosts.at(host), port).to_string();
        config.transport.listen_host.resize(config.transport.listen_host.rfind(':'));
        config.transport.listen_port = port;
        for (std::size_t seed = 0; seed < std::min<std::size_t>(2, hosts.size()); ++seed)
            config.daemon.cluster.seed_nodes.push_back(address_of(seed));
        config.daemon.sbr.emplace();
        config.daemon.sbr->stable_after = 3s;
        return config;
    }
    SimNode& start(std::size_t host) { return start(host, config(host)); }
    SimNode& start(std::size_t host, RemoteAdapterConfig config) {
        auto& n = *nodes.emplace_back(std::make_unique<SimNode>());
        n.host = hosts.at(host);
        net::RuntimeOptions options;
        options.log_sink = n.log;
        options.log.level = LogLevel::Info;
        n.runtime = network.make_runtime(n.host, std::move(options));
        auto started = ClusterRemoteAdapter::start(*n.runtime, std::move(config), n.sink);
        MUSTER_ENSURE(started.has_value(), started.has_error() ? started.error().message() : std::string());
        n.node.emplace(std::move(*started));
        n.subscription = n.daemon().events().subscribe(
            EventCategory::Domain, [&n](const ClusterEvent& e) { n.events.push_back(e); });
        n.daemon().on_stopped([&n](ShutdownReason reason) { n.stopped = reason; });
        return n;
    }
    /// `count` machines with a node each.
    void start_all(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) add_host();
        for (std::size_t i = 0; i < count; ++i) start(i);
    }
    bool run_until(const std::function<bool()>& done, Duration limit = 60s) {
        return network.run_until(done, network.now() + limit);
    }
    /// These nodes, and nobody else, are members for each of them, all Up and reachable, and the view has
    /// converged.
    bool agree(const std::vector<SimNode*>& who) const {
        for (const auto* n : who) {
            const auto snapshot = n->snapshot();
            if (!snapshot.converged || snapshot.members().size() != who.size()) return false;
            if (!snapshot.state->latest().reachability().is_all_reachable()) return false;
            for (const auto* other : who) {
                const auto* member = snapshot.state->latest().find(other->unique_address());
                if (member == nullptr || member->status() != MemberStatus::Up) return false;
            }
        }
        return true;
    }
    std::vector<SimNode*> all() const {
        std::vector<SimNode*> result;
        for (const auto& n : nodes) result.push_back(n.get());
        return result;
    }
    std::vector<SimNode*> all_but(const SimNode& without) const {
        auto result = all();
        std::erase(result, &without);
        return result;
    }
    SimNode& operator[](std::size_t i) { return *nodes.at(i); }

    std::shared_ptr<CuttableLinks> links = std::make_shared<CuttableLinks>();
    sim::Network network;
    std::vector<sim::HostId> hosts;
    std::vector<std::unique_ptr<SimNode>> nodes;

private:
    sim::NetworkOptions options(std::uint64_t seed) const {
        sim::NetworkOptions o;
        o.seed = seed;
        o.links = links;
        return o;
    }
};

} // namespace muster::test
