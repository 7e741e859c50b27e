// SPDX-License-Identifier: Apache-2.0
#include "text.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <muster/cluster/state/membership.hpp>
#include <muster/ensure.hpp>
#include <muster/sim/world.hpp>
#include <muster/sim/world/checker.hpp>

namespace muster::sim {

using namespace std::chrono_literals;

namespace {

/// A drift above this (parts per billion) may mislead the detectors; a smaller one must not.
constexpr std::int64_t harmless_drift_ppb = 10'000'000;

/// Records tells for the World, which outlives the process: a copy, as the receive buffer is the process's.
class CopyingSink final : public RemoteMessageSink {
public:
    explicit CopyingSink(std::shared_ptr<RecordingSink> to) : to_(std::move(to)) {}
    void deliver(std::string_view target_path, std::string_view manifest, const Slice& payload,
                 std::optional<std::string_view> sender_path) override {
        to_->deliver(target_path, manifest, Slice::copy_of(payload.bytes()), sender_path);
    }

private:
    std::shared_ptr<RecordingSink> to_;
};

std::string partition_of(const std::vector<std::size_t>& left) {
    return fmt::format("partition: {} and all others", name_nodes(left));
}
std::string partition_of(const std::vector<std::size_t>& from, const std::vector<std::size_t>& to) {
    return fmt::format("one-way: nothing from {} to {}", name_nodes(from), name_nodes(to));
}

} // namespace

RemoteAdapterConfig WorldOptions::default_config() {
    RemoteAdapterConfig config;
    config.daemon.sbr.emplace();
    config.daemon.sbr->stable_after = 3s;
    return config;
}

NetworkOptions World::network_options() const {
    NetworkOptions options = options_.network;
    options.seed = options_.seed;
    options.links = links_;
    return options;
}

World::World(WorldOptions options)
    : options_(std::move(options)), links_(std::make_shared<FaultyLinks>(options_.links)),
      network_(network_options()), began_(network_.now()), next_second_(began_ + 1s),
      checker_(std::make_unique<Checker>(*this)) {
    network_.on_turn([this](const Runtime& process) { turned(process); });
    links_->on_fault([this](HostId host) { disturbed(host); });
    for (std::size_t i = 0; i < options_.nodes; ++i) add_node();
}

World::~World() {
    network_.on_turn({});
    network_.on_trace({});
    for (const auto& node : nodes_) {
        node->subscription.unsubscribe();
        node->application.reset();
        node->node.reset();
        node->runtime.reset();
    }
}

// --- machines and processes

std::size_t World::add_node() {
    const std::size_t index = nodes_.size();
    auto node = std::make_unique<Node>();
    node->index = index;
    node->host = network_.add_host(fmt::format("node-{}", index));
    const auto host = static_cast<std::size_t>(node->host);
    auto endpoint = network_.address(node->host, options_.port).to_string();
    endpoint.resize(endpoint.rfind(':'));
    node->address =
        Address::remote(options_.config.transport.protocol, options_.cluster_name, endpoint, options_.port);
    node_of_host_.resize(std::max(node_of_host_.size(), host + 1), nobody);
    node_of_host_[host] = index;
    node_of_address_.emplace(node->address, index);
    nodes_.push_back(std::move(node));
    return index;
}

RemoteAdapterConfig World::config_of(const Node& node) const {
    RemoteAdapterConfig config = options_.config;
    config.transport.cluster_name = options_.cluster_name;
    config.transport.listen_host = *node.address.host;
    config.transport.listen_port = options_.port;
    config.daemon.cluster.seed_nodes.clear();
    for (std::size_t seed = 0; seed < std::min(options_.seed_nodes, nodes_.size()); ++seed)
        config.daemon.cluster.seed_nodes.push_back(nodes_[seed]->address);
    // Each life of each node has a seed of its own, which is the same in every run.
    Random random(options_.seed ^ ((node.index + 1) << 32) ^ node.lives);
    config.daemon.random_seed = random.next();
    if (options_.configure) options_.configure(node.index, config);
    if (options_.check) checker_->configure(node.index, config);
    return config;
}

World::Node& World::start(std::size_t index) {
    Node& node = *nodes_.at(index);
    if (node.running()) crash(index);
    network_.set_up(node.host, true);
    ++node.lives;
    node.paused_until = Instant::min();
    node.end = End::None;
    node.reason.reset();
    node.events.clear();
    node.log = std::make_shared<MemoryLogSink>(options_.log_lines_max);
    node.received = options_.make_sink ? nullptr : std::make_shared<RecordingSink>();
    const std::shared_ptr<RemoteMessageSink> sink =
        options_.make_sink ? options_.make_sink(index) : std::make_shared<CopyingSink>(node.received);

    net::RuntimeOptions runtime;
    runtime.log_sink = node.log;
    runtime.log.level = options_.log_level;
    runtime.log.burst = UINT32_MAX; // what the checker reads must not be limited; log_lines_max is
    node.runtime = network_.make_runtime(node.host, std::move(runtime));
    node.runtime->set_clock(node.clock);
    auto started = ClusterRemoteAdapter::start(*node.runtime, config_of(node), sink);
    MUSTER_ENSURE(started.has_value(), started.has_error() ? started.error().message() : std::string());
    node.node.emplace(std::move(*started));
    node.identity = node.daemon().unique_address();
    ++population_;
    note_start(node);
    watch(node);
    if (options_.application) node.application = options_.application(index, *node.node);
    if (options_.check) checker_->started(index);
    return node;
}

void World::watch(Node& node) {
    if (options_.keep_events || recorder_) {
        const auto wanted = EventCategory::Domain | EventCategory::ReachabilityTable;
        node.subscription =
            node.daemon().events().subscribe(wanted, [this, &node](const ClusterEvent& event) {
                note_event(node, event);
                if (options_.keep_events && category_of(event) != EventCategory::ReachabilityTable)
                    node.events.push_back(event);
            });
    }
    node.daemon().on_stopped([&node](ShutdownReason reason) { node.reason = reason; });
}

void World::start_all() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) start(i);
}

void World::end(Node& node, End how) {
    if (!node.running()) return;
    node.identity = node.daemon().unique_address();
    node.end = how;
    // The checker still sees the process.
    if (options_.check) checker_->ended(node.index, how);
    node.subscription.unsubscribe();
    node.application.reset();
    node.node.reset();
    const auto leak_counter = node.runtime->leak_counter();
    if (how == End::Stopped) {
        // A process that stops in order ends everything before its Runtime is destroyed; a killed one does
        // not.
        const bool settled = node.runtime->settle();
        if (options_.check) checker_->left_behind(node.index, *leak_counter, settled);
    }
    node.runtime.reset();
    if (options_.check) checker_->left_behind(node.index, *leak_counter);
    ++population_;
}

void World::crash(std::size_t index) {
    Node& node = *nodes_.at(index);
    if (!node.running()) return;
    note_end(index, "crash");
    end(node, End::Crashed);
}

void World::power_off(std::size_t index) {
    Node& node = *nodes_.at(index);
    if (node.running()) note_end(index, "power off");
    network_.set_up(node.host, false);
    end(node, End::Crashed);
}

void World::restart(std::size_t index, Duration delay) {
    crash(index);
    after(delay, [this, index] { start(index); });
}

void World::leave(std::size_t index) {
    Node& node = *nodes_.at(index);
    if (!node.running()) return;
    note(index, "is told to leave");
    // A node that is not a member yet has nothing to leave, but ends all the same.
    if (node.snapshot().joined)
        node.daemon().leave();
    else
        node.daemon().shutdown();
}

void World::pause(std::size_t index, Duration how_long) {
    Node& node = *nodes_.at(index);
    if (!node.running()) return;
    note_fault({index}, "pause", how_long);
    disturbed(node.host);
    node.runtime->pause();
    node.paused_until = std::max(node.paused_until, now() + how_long);
    after(how_long, [this, &node, life = node.lives] {
        if (!node.running() || node.lives != life || now() < node.paused_until) return;
        node.runtime->resume();
    });
}

void World::set_clock(std::size_t index, Clock clock) {
    Node& node = *nodes_.at(index);
    note_clock(node, clock);
    node.clock = clock;
    if (std::abs(clock.drift_ppb) > harmless_drift_ppb) disturbed(node.host);
    if (node.running()) node.runtime->set_clock(clock);
}

std::vector<std::size_t> World::running() const {
    std::vector<std::size_t> result;
    for (const auto& node : nodes_)
        if (node->running()) result.push_back(node->index);
    return result;
}

std::optional<std::size_t> World::find(const Address& address) const {
    const auto found = node_of_address_.find(address);
    if (found == node_of_address_.end()) return std::nullopt;
    return found->second;
}

/// After each turn of a process, outside of it.
void World::turned(const Runtime& process) {
    const auto host = static_cast<std::size_t>(process.host());
    const std::size_t index = host < node_of_host_.size() ? node_of_host_[host] : nobody;
    if (index != nobody && nodes_[index]->runtime.get() == &process) {
        Node& node = *nodes_[index];
        ++node.turns;
        if (options_.check) checker_->stepped(index);
        if (node.reason) {
            note_end(index, fmt::format("stopped: {}", to_string(*node.reason)));
            end(node, End::Stopped);
        }
    }
    if (options_.check && network_.now() >= next_second_) {
        next_second_ = network_.now() + 1s;
        checker_->second();
    }
}

// --- the network

void World::disturbed(HostId host) {
    const auto at = static_cast<std::size_t>(host);
    if (options_.check && at < node_of_host_.size() && node_of_host_[at] != nobody)
        checker_->disturbed(node_of_host_[at]);
}

std::vector<HostId> World::hosts_of(const std::vector<std::size_t>& nodes) const {
    std::vector<HostId> result;
    for (const std::size_t node : nodes) result.push_back(host(node));
    return result;
}

std::vector<HostId> World::hosts_but(const std::vector<std::size_t>& nodes) const {
    std::vector<HostId> result;
    for (const auto& node : nodes_)
        if (std::find(nodes.begin(), nodes.end(), node->index) == nodes.end()) result.push_back(node->host);
    return result;
}

void World::partition(const std::vector<std::size_t>& left) {
    note_fault_begins(left, partition_of(left));
    links_->cut(hosts_of(left), hosts_but(left));
}

void World::partition_one_way(const std::vector<std::size_t>& from, const std::vector<std::size_t>& to) {
    note_fault_begins(from, partition_of(from, to));
    links_->cut_one_way(hosts_of(from), hosts_of(to));
}

void World::rejoin(const std::vector<std::size_t>& left) {
    note_fault_ends(left, partition_of(left));
    links_->join(hosts_of(left), hosts_but(left));
    network_.retry_lost();
}

void World::rejoin_one_way(const std::vector<std::size_t>& from, const std::vector<std::size_t>& to) {
    note_fault_ends(from, partition_of(from, to));
    links_->join_one_way(hosts_of(from), hosts_of(to));
    network_.retry_lost();
}

void World::reset_connections(std::size_t a, std::size_t b) {
    note_fault({a, b}, fmt::format("connections between {} and {} reset", a, b));
    network_.reset_connections(host(a), host(b));
}

void World::set_proxy(std::size_t node, Proxy proxy) {
    disturbed(host(node));
    network_.set_proxy(host(node), proxy);
}

void World::heal() {
    note_heal();
    links_->heal();
    network_.retry_lost();
}

// --- time

void World::after(Duration delay, UniqueFunction<void()> action) {
    network_.at(now() + delay, std::move(action));
}

void World::run_for(Duration duration) { network_.run_for(duration); }

bool World::run_until(const std::function<bool()>& done, Duration limit) {
    return network_.run_until(done, now() + limit);
}

bool World::run_until_agreed(Duration limit) {
    return run_until([this] { return !still_disagrees() && agreed(); }, limit);
}

bool World::still_disagrees() const {
    return dissenter_ != nobody && population_asked_ == population_ &&
           nodes_[dissenter_]->turns == dissenter_turns_;
}

bool World::agreed() const { return disagreement().empty(); }

std::string World::disagreement() const {
    std::vector<UniqueAddress> expected;
    for (const auto& node : nodes_)
        if (node->running()) expected.push_back(node->node->daemon().unique_address());
    std::sort(expected.begin(), expected.end());
    population_asked_ = population_;
    const auto ask = [&](const Node& node) {
        std::string why = disagreement_of(node, expected);
        if (why.empty()) return why;
        dissenter_ = node.index;
        dissenter_turns_ = node.turns;
        return fmt::format("node {}: {}", node.index, why);
    };
    // The node that disagreed last is the most likely to disagree still.
    if (dissenter_ != nobody && nodes_[dissenter_]->running()) {
        if (auto why = ask(*nodes_[dissenter_]); !why.empty()) return why;
    }
    dissenter_ = nobody;
    std::map<std::string, std::pair<std::size_t, std::optional<UniqueAddress>>, std::less<>> leaders;
    for (const auto& node : nodes_) {
        if (!node->running()) continue;
        if (auto why = ask(*node); !why.empty()) return why;
        const auto snapshot = node->snapshot();
        const auto [first, is_first] =
            leaders.try_emplace(snapshot.state->self_data_center, node->index, snapshot.leader);
        if (!is_first && first->second.second != snapshot.leader)
            return fmt::format("nodes {} and {} have different leaders", first->second.first, node->index);
    }
    return {};
}

/// Why this node's view is not exactly `expected`, all Up and reachable; empty when it is.
std::string World::disagreement_of(const Node& node, const std::vector<UniqueAddress>& expected) const {
    const auto snapshot = node.snapshot();
    if (!snapshot.joined) return "has not joined";
    const auto members = snapshot.members();
    if (members.size() != expected.size())
        return fmt::format("knows {} members, {} nodes run", members.size(), expected.size());
    for (std::size_t i = 0; i < members.size(); ++i) {
        const Member& member = members[i];
        if (member.unique_address() != expected[i])
            return fmt::format("has the member {}, which does not run", member.unique_address().to_string());
        if (member.status() != MemberStatus::Up)
            return fmt::format("sees {} {}", member.unique_address().to_string(), to_string(member.status()));
    }
    // Rows that say Reachable may be left of an observer whose unreachable subject was removed (protocol.md
    // §4.2).
    if (!snapshot.state->latest().reachability().all_unreachable_or_terminated().empty())
        return "knows of unreachable members";
    if (!snapshot.leader) return "knows no leader";
    if (!snapshot.converged) return "has not seen that all have seen";
    return {};
}

} // namespace muster::sim
