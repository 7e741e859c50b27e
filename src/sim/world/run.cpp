// SPDX-License-Identifier: Apache-2.0
// Runs a Scenario: the faults, the application's tells, and an operator who restarts downed nodes.
#include "strangers.hpp"
#include "text.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <muster/buffer.hpp>
#include <muster/node/in_memory_lease.hpp>
#include <muster/sim/random.hpp>
#include <muster/sim/world.hpp>
#include <muster/sim/world/checker.hpp>
#include <muster/sim/world/recorder.hpp>
#include <muster/sim/world/scenario.hpp>
#include <optional>
#include <set>

namespace muster::sim {
namespace {

using namespace std::chrono_literals;
using Kind = Fault::Kind;

/// The time between starts of processes at the first boot.
constexpr Duration boot_step = 50ms;
/// The operator's interval, and the delay before it restarts a stopped process.
constexpr Duration operator_interval = 1s;
constexpr Duration restart_after = 3s;
/// A node that is no member for this long gets help.
constexpr Duration foundless_max = 30s;
/// Nodes that do not agree this long after the quiet period never will.
constexpr Duration patience = 150s;
constexpr Duration stop_patience = 180s;
constexpr std::size_t flood_bytes = 4096;
/// This long after any other fault a proxy alone is to blame; and for this long its silence cannot count as
/// death.
constexpr Duration undisturbed_min = 20s;
constexpr Duration refused_for = 1s;
constexpr Duration silent_for = 2500ms;

LinkFaults links_at(Scenario::Distance distance) {
    LinkFaults links;
    using Shape = DelayDistribution::Shape;
    switch (distance) {
    case Scenario::Distance::Lan: break;
    case Scenario::Distance::Metro: links.delay = {Shape::Uniform, 500us, 5ms, {}}; break;
    case Scenario::Distance::Wan: links.delay = {Shape::Uniform, 20ms, 60ms, {}}; break;
    case Scenario::Distance::HeavyTail: links.delay = {Shape::Pareto, 200us, 500ms, 5ms}; break;
    }
    return links;
}

std::string describe(const World::Node& node) {
    std::string text = fmt::format("node {} {}, life {}:", node.index, node.address.host_port(), node.lives);
    if (!node.running())
        return text +
               (node.reason ? fmt::format(" stopped, {}\n", to_string(*node.reason)) : " does not run\n");
    const auto snapshot = node.snapshot();
    const Gossip& g = snapshot.state->latest();
    text += fmt::format(" uid {}{}{}{}, version {}\n ", snapshot.self().uid().value,
                        node.runtime->paused() ? ", paused" : "", snapshot.joined ? "" : ", not joined",
                        snapshot.shutdown_reason ? ", shutting down" : "",
                        g.version_id().to_string().substr(0, 8));
    for (const Member& m : g.members())
        text += fmt::format(" {}#{}={}{}", *m.address().host, m.unique_address().uid().value,
                            to_string(m.status()), g.seen_by(m.unique_address()) ? "" : "(unseen)");
    for (const Reachability::Record& r : g.reachability().records())
        text += fmt::format(" [{} to {} {}]", *r.observer.address().host, *r.subject.address().host,
                            to_string(r.status));
    for (const Tombstone& t : g.tombstones())
        text += fmt::format(" -{}#{}", *t.node.address().host, t.node.uid().value);
    return text + "\n";
}

/// The view of every node, and the end of its log.
std::string describe(World& world) {
    std::string text;
    for (std::size_t n = 0; n < world.size(); ++n) text += describe(world[n]);
    for (std::size_t n = 0; n < world.size(); ++n) {
        if (!world[n].log) continue;
        for (const LogRecord& record : world[n].log->records())
            text += fmt::format("node {}: {}\n", n, record.to_line());
    }
    return text;
}

class Runner {
public:
    Runner(const Scenario& scenario, std::shared_ptr<Recorder> recorder)
        : s_(scenario), random_(scenario.seed ^ 0x72756eULL), can_split_(scenario.may_split()),
          leases_(std::make_shared<InMemoryLeaseStore>([this] { return world_->now(); })) {
        world_.emplace(options());
        strangers_.emplace(*world_);
        if (recorder) world_->record(std::move(recorder));
        world_->checker().slow_exits(s_.exiting_tasks);
        world_->checker().protect(s_.protected_nodes());
        world_->checker().regular_heartbeats(s_.has_regular_heartbeats());
        if (s_.corrupts()) world_->checker().corrupted(true);
    }

    void run() {
        boot();
        for (const Fault& m : s_.faults) world_->after(m.at, [this, &m] { begin(m); });
        every(operator_interval, [this] { operate(); });
        if (s_.tells_per_second > 0) every(1s, [this] { tell_some(); });
        world_->run_for(s_.fault_time);
        calm();
        world_->run_for(s_.quiet);
        if (!world_->run_until_agreed(patience))
            throw Violation("no-agreement", world_->disagreement(), world_->now());
        telling_ = false;
        operating_ = false;
        world_->run_for(2s);
        world_->checker().at_rest();
        lasted_ = world_->elapsed();
        stop_all();
        world_->checker().at_end();
    }

    /// Until the end of the rest, without the clearing up.
    Duration lasted() const { return lasted_ > 0s ? lasted_ : world_->elapsed(); }
    World& world() { return *world_; }
    std::uint64_t restarts() const noexcept { return restarts_; }

private:
    // --- the machines

    WorldOptions options() {
        WorldOptions o;
        o.seed = s_.seed;
        o.nodes = s_.nodes;
        o.seed_nodes = s_.seed_nodes;
        o.links = links_at(s_.distance);
        o.keep_events = false;
        o.log_level = LogLevel::Info; // the checker reads who was asked for membership
        o.log_lines_max = 200;
        o.configure = [this](std::size_t node, RemoteAdapterConfig& config) { configure(node, config); };
        o.make_sink = [this](std::size_t node) { return world_->checker().make_sink(node); };
        return o;
    }

    void configure(std::size_t node, RemoteAdapterConfig& config) {
        auto& cluster = config.daemon.cluster;
        if (s_.classic) {
            const auto classic = ClusterSettings::classic();
            cluster.eager = classic.eager;
            cluster.seed_refused_is_nack = classic.seed_refused_is_nack;
            cluster.seed_ask_again_after = classic.seed_ask_again_after;
        }
        if (s_.data_centers > 1)
            cluster.multi_dc.self_data_center = fmt::format("dc{}", node % s_.data_centers);
        if (!s_.role.empty() && node % 2 == 0) cluster.roles.push_back(s_.role);
        if (s_.association_bytes_max != 0) config.transport.association_bytes_max = s_.association_bytes_max;
        configure_resolver(node, config);
        if (!seeds_instead_.empty()) cluster.seed_nodes = seeds_instead_;
    }

    void configure_resolver(std::size_t node, RemoteAdapterConfig& config) {
        auto& sbr = config.daemon.sbr;
        if (s_.strategy == "none") {
            sbr.reset();
            return;
        }
        sbr->strategy = s_.strategy;
        if (s_.classic) sbr->indirect = SbrSettings::Indirect::All;
        sbr->role = s_.role;
        sbr->stable_after = std::chrono::duration_cast<std::chrono::milliseconds>(s_.stable_after);
        sbr->down_all_when_unstable =
            s_.unstable_guard ? SbrSettings::Unstable::on() : SbrSettings::Unstable::off();
        sbr->quorum_size = counted_in_center(node % s_.data_centers) / 2 + 1;
        sbr->referee = config.daemon.cluster.seed_nodes.front();
        if (s_.strategy == "lease-majority") {
            sbr->lease_implementation = "memory";
            // One lease for each data center, since each has a resolver of its own.
            const auto name = fmt::format("sim-{}", node % s_.data_centers);
            config.daemon.lease =
                std::make_shared<InMemoryLease>(leases_, name, fmt::format("node-{}", node), 30s);
        }
    }

    std::size_t counted_in_center(std::size_t center) const {
        std::size_t count = 0;
        for (std::size_t i = center; i < s_.nodes; i += s_.data_centers)
            count += s_.role.empty() || i % 2 == 0 ? 1 : 0;
        return count;
    }

    void boot() {
        std::vector<bool> later(s_.nodes, false);
        for (const Fault& m : s_.faults)
            if (m.kind == Kind::Start)
                for (const std::size_t n : m.nodes) later[n] = true;
        for (std::size_t n = 0; n < s_.nodes; ++n)
            if (!later[n]) world_->after(boot_step * static_cast<std::int64_t>(n), [this, n] { start(n); });
    }

    bool has_joined(std::size_t node) {
        return (*world_)[node].running() && (*world_)[node].snapshot().joined;
    }

    /// Nodes that are members and not on their way out.
    std::vector<std::size_t> settled() {
        std::vector<std::size_t> result;
        for (const std::size_t node : world_->running()) {
            const auto snapshot = (*world_)[node].snapshot();
            const auto status = snapshot.self_status();
            const bool stays = status == MemberStatus::Up || status == MemberStatus::WeaklyUp ||
                               status == MemberStatus::Joining;
            if (snapshot.joined && stays && !snapshot.shutdown_reason) result.push_back(node);
        }
        return result;
    }

    /// A new process. The founder alone may found a cluster, and a restarted founder that finds no other seed
    /// would found a second one (protocol.md §5.3): whoever starts it then names members instead.
    void start(std::size_t node) {
        if ((*world_)[node].running()) return;
        seeds_instead_.clear();
        const auto members = settled();
        const bool seeds_are_gone =
            std::ranges::none_of(members, [&](std::size_t n) { return n < s_.seed_nodes; });
        if (node == 0 || seeds_are_gone) {
            for (const std::size_t other : members) seeds_instead_.push_back((*world_)[other].address);
            if (seeds_instead_.size() > 5) seeds_instead_.resize(5);
        }
        planned_.erase(node);
        world_->start(node);
        seeds_instead_.clear();
    }

    void start_after(std::size_t node, Duration delay) { planned_[node] = world_->now() + delay; }

    // --- faults

    void begin(const Fault& m) {
        if (is_calm_) return;
        note(m);
        const Duration since_disturbed = world_->now() - std::exchange(disturbed_at_, world_->now());
        ++begun_;
        switch (m.kind) {
        case Kind::Start:
            for (const std::size_t n : m.nodes) start(n);
            break;
        case Kind::Crash:
        case Kind::PowerOff: kill(m); break;
        case Kind::Leave:
            for (const std::size_t n : m.nodes) leave(n, m.length);
            break;
        case Kind::Pause:
            for (const std::size_t n : m.nodes) world_->pause(n, m.length);
            break;
        case Kind::Stutter:
            for (const std::size_t n : m.nodes) stutter(n, Duration(m.amount), world_->now() + m.length);
            break;
        case Kind::ClockDrift:
            for (const std::size_t n : m.nodes)
                world_->set_clock(n, {.drift_ppb = m.amount, .wall_offset = {}});
            break;
        case Kind::Down: down(m.nodes[0], m.nodes[1]); break;
        case Kind::Flood: flood(m.nodes[0], m.nodes[1], m.amount, world_->now() + m.length); break;
        case Kind::RollingRestart: roll(m); break;
        case Kind::Reset: reset(m.nodes); break;
        case Kind::ProxyRestart:
        case Kind::ProxyStall: break_proxies(m, since_disturbed); break;
        case Kind::Claimant:
        case Kind::WrongAddress: admit_strangers(m); break;
        default: begin_link_faults(m);
        }
    }

    /// Timeline entries that the World does not write by itself.
    void note(const Fault& m) {
        switch (m.kind) {
        case Kind::Pause:
        case Kind::ClockDrift: return;
        // The lanes show which processes begin and end.
        case Kind::Start:
        case Kind::Crash:
        case Kind::PowerOff:
        case Kind::Leave:
        case Kind::RollingRestart: return world_->note_fault({Recorder::everyone}, describe(m));
        default: return world_->note_fault(m.nodes, describe(m), m.length);
        }
    }

    void kill(const Fault& m) {
        for (const std::size_t n : m.nodes) {
            m.kind == Kind::Crash ? world_->crash(n) : world_->power_off(n);
            planned_.erase(n);
            gone_.insert(n);
            if (m.length > 0s) start_after(n, m.length);
        }
    }

    void leave(std::size_t node, Duration back_after) {
        gone_.insert(node);
        if (!(*world_)[node].running()) return;
        world_->checker().condemned(node);
        world_->leave(node);
        if (back_after > 0s) back_after_[node] = back_after;
    }

    void stutter(std::size_t node, Duration beat, Instant until) {
        if (world_->now() >= until || is_calm_) return;
        world_->pause(node, beat);
        world_->after(2 * beat, [this, node, beat, until] { stutter(node, beat, until); });
    }

    void down(std::size_t by, std::size_t whom) {
        if (!has_joined(by)) return;
        world_->checker().condemned(whom);
        (*world_)[by].daemon().down((*world_)[whom].address);
    }

    void flood(std::size_t from, std::size_t to, std::int64_t per_second, Instant until) {
        if (world_->now() >= until || is_calm_) return;
        if (has_joined(from) && !(*world_)[from].runtime->paused())
            for (std::int64_t i = 0; i < per_second / 4 + 1; ++i)
                world_->checker().tell(from, to, flood_bytes);
        world_->after(250ms, [this, from, to, per_second, until] { flood(from, to, per_second, until); });
    }

    void roll(const Fault& m) {
        Duration at = 0s;
        for (const std::size_t n : m.nodes) {
            world_->after(at, [this, n] {
                if (!is_calm_) leave(n, 500ms);
            });
            at += std::max<Duration>(m.length, 100ms);
        }
    }

    void reset(const std::vector<std::size_t>& nodes) {
        for (const std::size_t n : nodes)
            for (std::size_t other = 0; other < s_.nodes; ++other) {
                if (other == n) continue;
                world_->checker().disturbed(other);
                world_->network().reset_connections(world_->host(n), world_->host(other));
            }
    }

    // --- proxies

    void break_proxies(const Fault& m, Duration since_disturbed) {
        const bool alone =
            since_disturbed >= undisturbed_min && planned_.empty() && proxies_.empty() && world_->agreed();
        for (const std::size_t n : m.nodes) proxies_[n].push_back(&m);
        for (const std::size_t n : m.nodes) set_proxy(n);
        if (alone && !s_.classic && !s_.corrupts()) expect_no_blame(m);
        world_->after(m.length, [this, &m] {
            disturbed_at_ = world_->now();
            for (const std::size_t n : m.nodes) {
                const auto found = proxies_.find(n);
                if (found == proxies_.end() || std::erase(found->second, &m) == 0) continue;
                if (found->second.empty()) proxies_.erase(found);
                set_proxy(n);
            }
        });
    }

    void set_proxy(std::size_t node) {
        const auto found = proxies_.find(node);
        Proxy proxy = Proxy::Transparent;
        if (found != proxies_.end())
            for (const Fault* m : found->second)
                proxy = std::max(proxy, m->kind == Kind::ProxyStall ? Proxy::Swallows : Proxy::Refuses);
        world_->set_proxy(node, proxy);
    }

    /// A node whose own proxy restarts blames nobody for it, and a proxy that accepts but cannot forward
    /// proves no death (protocol.md §12.7).
    void expect_no_blame(const Fault& m) {
        const bool stalls = m.kind == Kind::ProxyStall;
        world_->after(std::min(m.length, stalls ? silent_for : refused_for),
                      [this, &m, stalls, begun = begun_] {
                          if (begun != begun_ || is_calm_) return; // another fault happened
                          for (const std::size_t n : stalls ? world_->running() : m.nodes) {
                              if (!(*world_)[n].running()) continue;
                              const auto snapshot = (*world_)[n].snapshot();
                              const Gossip& gossip = snapshot.state->latest();
                              const auto in_center = std::ranges::count(
                                  snapshot.members(), snapshot.state->self_data_center, &Member::data_center);
                              if (!stalls && in_center < 3) continue; // of one connection all are one
                              const auto blamed = gossip.reachability().all_unreachable_from(snapshot.self());
                              if (!blamed.empty())
                                  world_->checker().report("blamed-for-own-fault",
                                                           fmt::format("node {} calls {} unreachable", n,
                                                                       blamed.front().to_string()));
                          }
                      });
    }

    // --- strangers

    void admit_strangers(const Fault& m) {
        for (const std::size_t n : m.nodes) {
            const std::int64_t count = m.kind == Kind::Claimant ? 1 : m.amount;
            for (std::int64_t i = 0; i < count; ++i) {
                const auto stranger =
                    m.kind == Kind::Claimant ? start_claimant(n, m.amount == 1) : start_lost(n, i);
                if (stranger) world_->after(m.length, [this, id = *stranger] { strangers_->end(id); });
            }
        }
    }

    RemoteAdapterConfig stranger_config(std::size_t node) {
        RemoteAdapterConfig config = WorldOptions::default_config();
        config.daemon.cluster.seed_nodes.push_back(
            (*world_)[0].address); // what the resolver's referee is named by
        configure(node, config);
        config.daemon.cluster.seed_nodes.clear();
        if (config.daemon.lease)
            config.daemon.lease = std::make_shared<InMemoryLease>(
                leases_, fmt::format("sim-{}", node % s_.data_centers), "stranger", 30s);
        return config;
    }

    /// A clone: the address of a node, which it names as a seed no more than a copied unit file does that has
    /// its own seeds.
    std::optional<std::size_t> start_claimant(std::size_t node, bool by_command) {
        RemoteAdapterConfig config = stranger_config(node);
        std::vector<Address> others;
        for (std::size_t n = 0; n < s_.nodes && others.size() < 3; ++n)
            if (n != node) others.push_back((*world_)[n].address);
        if (others.empty()) return std::nullopt;
        std::optional<Address> to;
        if (by_command)
            to = others.front();
        else
            config.daemon.cluster.seed_nodes = others;
        return strangers_->start((*world_)[node].address, std::move(config), to);
    }

    /// An address that no machine has, or (every second one) a port without a listener.
    std::optional<std::size_t> start_lost(std::size_t asked, std::int64_t number) {
        Address address = (*world_)[asked].address;
        if (number % 2 == 0)
            address.host = fmt::format("10.200.0.{}", number + 1);
        else
            address.port = static_cast<std::uint16_t>(2600 + number);
        return strangers_->start(address, stranger_config(asked), (*world_)[asked].address);
    }

    // --- faults of links: the condition of a link combines all faults that have begun and not ended

    /// Until one side is gone: the stable time, silence, evidence, a tick, the removal, the patience with a
    /// lease. A node that is alone finds that out by asking nine others at a time (protocol.md §12.2), and
    /// then waits twice as long.
    Duration split_max() const {
        const auto rounds =
            static_cast<std::int64_t>(s_.nodes / FailureDetectorSettings{}.monitored_by_nr_of_members);
        return 2 * s_.stable_after + 32s + rounds * 5s;
    }

    void begin_link_faults(const Fault& m) {
        active_.push_back(&m);
        apply_links();
        const bool clean = m.kind == Kind::Partition && m.others.empty() && active_.size() == 1;
        // Without a resolver nobody goes; with down-all, both sides do.
        if (clean && s_.strategy != "none" && !s_.corrupts()) world_->checker().split(m.nodes, split_max());
        if (m.kind == Kind::FlipFlop) flip(m, world_->now() + m.length, true);
        world_->after(m.length, [this, &m] {
            if (std::erase(active_, &m) == 0) return;
            world_->checker().united();
            apply_links();
        });
    }

    void flip(const Fault& m, Instant until, bool on) {
        if (world_->now() >= until || is_calm_) return;
        flipped_on_[&m] = on;
        apply_links();
        world_->after(Duration(m.amount), [this, &m, until, on] { flip(m, until, !on); });
    }

    std::vector<HostId> hosts(const std::vector<std::size_t>& nodes) const {
        std::vector<HostId> result;
        for (const std::size_t n : nodes) result.push_back(world_->host(n));
        return result;
    }
    std::vector<HostId> others_of(const Fault& m) const {
        if (!m.others.empty()) return hosts(m.others);
        std::vector<HostId> result;
        for (std::size_t n = 0; n < s_.nodes; ++n)
            if (std::ranges::find(m.nodes, n) == m.nodes.end()) result.push_back(world_->host(n));
        return result;
    }

    void apply_links() {
        auto& links = world_->links();
        links.heal();
        std::map<HostId, LinkFaults> in, out;
        const auto worsen = [](std::map<HostId, LinkFaults>& at, HostId host, const LinkFaults& faults) {
            const auto [found, fresh] = at.try_emplace(host, faults);
            if (!fresh) found->second = LinkFaults::worse(found->second, faults);
        };
        for (const Fault* m : active_) {
            if (m->kind == Kind::Partition) links.cut(hosts(m->nodes), others_of(*m));
            if (m->kind == Kind::OneWay) links.cut_one_way(hosts(m->nodes), others_of(*m));
            if (m->kind == Kind::FlipFlop && flipped_on_[m])
                links.cut_one_way(others_of(*m), hosts(m->nodes));
            const auto faults = host_faults(*m);
            if (!faults) continue;
            const bool both = m->kind == Kind::Slow || m->kind == Kind::Narrow;
            for (const HostId host : hosts(m->nodes)) {
                worsen(in, host, *faults);
                if (both) worsen(out, host, *faults);
            }
        }
        for (const auto& [host, faults] : in) links.set_ingress(host, faults);
        for (const auto& [host, faults] : out) links.set_egress(host, faults);
    }

    std::optional<LinkFaults> host_faults(const Fault& m) const {
        LinkFaults faults = links_at(s_.distance);
        const auto amount = static_cast<double>(m.amount);
        switch (m.kind) {
        case Kind::Lossy: faults.loss = amount / 1000.0; return faults;
        case Kind::Slow:
            faults.delay = {DelayDistribution::Shape::Constant, Duration(m.amount), Duration(m.amount), {}};
            return faults;
        case Kind::Narrow:
            faults.bytes_per_second = static_cast<std::uint64_t>(std::max<std::int64_t>(m.amount, 1));
            return faults;
        case Kind::Corrupt: faults.corruption = amount / 1e6; return faults;
        case Kind::Break: faults.reset = amount / 1e6; return faults;
        default: return std::nullopt;
        }
    }

    void calm() {
        is_calm_ = true;
        active_.clear();
        strangers_->end_all();
        for (const auto& [node, broken] : std::exchange(proxies_, {}))
            world_->set_proxy(node, Proxy::Transparent);
        world_->checker().united();
        world_->heal();
        // Who was to come, comes now.
        for (const Fault& m : s_.faults)
            if (m.kind == Kind::Start)
                for (const std::size_t n : m.nodes)
                    if ((*world_)[n].lives == 0) start(n);
        if (s_.corrupts()) start_all_anew();
    }

    /// Corrupted bytes may have told the cluster anything.
    void start_all_anew() {
        for (std::size_t n = 0; n < s_.nodes; ++n) {
            world_->crash(n);
            gone_.erase(n);
            start_after(n, restart_after + boot_step * static_cast<std::int64_t>(n));
        }
        world_->checker().corrupted(false);
    }

    // --- the operator

    template <class Action>
    void every(Duration interval, Action action) {
        world_->after(interval, [this, interval, action] {
            action();
            if (operating_) every(interval, action);
        });
    }

    void operate() {
        if (!operating_) return;
        plan_restarts();
        start_planned();
        if (!is_calm_) return;
        down_the_dead();
        stop_who_cannot_leave();
        merge_clusters();
        help_joiners();
    }

    /// Restarts nodes that were downed or could not join once the network is healthy; nodes that left stay
    /// away unless they are to return.
    void plan_restarts() {
        for (std::size_t n = 0; n < s_.nodes; ++n) {
            auto& node = (*world_)[n];
            if (node.running() || node.end != End::Stopped || planned_.contains(n)) continue;
            if (const auto back = back_after_.find(n); back != back_after_.end()) {
                start_after(n, back->second);
                back_after_.erase(back);
                gone_.erase(n);
            } else if (!gone_.contains(n)) {
                ++restarts_;
                start_after(n, restart_after);
            }
        }
    }

    void start_planned() {
        // In a partitioned network no node knows whether others live, so none may found a cluster.
        for (std::size_t n = 0; n < s_.nodes; ++n) {
            const auto due = planned_.find(n);
            if (due == planned_.end() || due->second > world_->now()) continue;
            if (n == 0 && !world_->links().is_healthy()) continue;
            gone_.erase(n);
            start(n);
        }
    }

    /// Members whose process is gone and whom no resolver will down: there is none, or none in their data
    /// center.
    void down_the_dead() {
        auto alive = settled();
        // A leaving member cannot go before the dead ones are downed.
        if (alive.empty())
            for (const std::size_t node : world_->running())
                if (has_joined(node)) alive.push_back(node);
        for (const std::size_t by : alive) {
            for (const Member& m : (*world_)[by].snapshot().members()) {
                if (m.status() == MemberStatus::Down) continue;
                const auto machine = world_->find(m.address());
                const auto& node = (*world_)[*machine];
                if (node.running() && node.node->daemon().unique_address() == m.unique_address()) continue;
                if (node.running() && (s_.strategy != "none" && s_.data_centers == 1)) continue;
                const bool resolver = s_.strategy != "none" && s_.data_centers == 1;
                if (resolver && world_->now() < calm_for(45s)) continue;
                (*world_)[by].daemon().down(m.address());
            }
            if (s_.data_centers == 1) break;
        }
    }
    Instant calm_for(Duration duration) const {
        return Instant(world_->now() - world_->elapsed()) + s_.fault_time + duration;
    }

    /// A leaving node waits for unreachable members while the nodes that could down them are in another
    /// cluster by now, or have left, too: the wait for its stop is bounded.
    void stop_who_cannot_leave() {
        if (world_->now() < calm_for(60s)) return;
        for (const std::size_t n : world_->running()) {
            const auto snapshot = (*world_)[n].snapshot();
            if (snapshot.self_status() != MemberStatus::Leaving || snapshot.shutdown_reason) continue;
            if (snapshot.state->latest().reachability().all_unreachable_or_terminated().empty()) continue;
            world_->crash(n);
            const auto back = back_after_.find(n);
            if (back == back_after_.end()) continue;
            start_after(n, back->second);
            back_after_.erase(back);
        }
    }

    /// Without a promise the survivors may be separate clusters: all but one cluster restart.
    void merge_clusters() {
        if (!can_split_ || world_->now() < calm_for(40s)) return;
        const auto alive = settled();
        if (alive.empty()) return;
        const auto best = std::ranges::max(alive, {}, [&](std::size_t n) {
            return std::pair{companions(n, alive), -static_cast<std::int64_t>(n)};
        });
        for (const std::size_t n : alive) {
            if ((knows(best, n) && knows(n, best)) || world_->now() < merged_at_[n] + 30s) continue;
            merged_at_[n] = world_->now();
            world_->crash(n);
            start_after(n, restart_after);
        }
    }
    bool knows(std::size_t node, std::size_t other) {
        return (*world_)[node].snapshot().state->latest().has_member(
            (*world_)[other].daemon().unique_address());
    }
    /// Nodes that know each other are one cluster: a removed node may know others long after.
    std::ptrdiff_t companions(std::size_t node, const std::vector<std::size_t>& others) {
        return std::ranges::count_if(others, [&](std::size_t n) { return knows(node, n) && knows(n, node); });
    }

    /// A node without a cluster asks dead seeds, or waits for a founder that also waits: it is restarted,
    /// with members as seeds if there are any.
    void help_joiners() {
        const auto running = world_->running();
        const bool founded = std::ranges::any_of(running, [&](std::size_t n) { return has_joined(n); });
        for (const std::size_t n : running) {
            if (has_joined(n) || (*world_)[n].runtime->paused()) {
                outside_since_.erase(n);
                continue;
            }
            const auto [since, fresh] = outside_since_.try_emplace(n, world_->now());
            if (world_->now() - since->second < foundless_max || (!founded && n != 0)) continue;
            outside_since_.erase(n);
            world_->crash(n);
            start_after(n, 1s);
        }
        // A founder that stopped for good cannot found.
        if (!founded && !(*world_)[0].running() && !planned_.contains(0) && running.size() > 0)
            start_after(0, 1s);
    }

    // --- the application

    void tell_some() {
        if (!telling_) return;
        for (const std::size_t from : world_->running()) {
            if (!has_joined(from) || (*world_)[from].runtime->paused()) continue;
            for (std::uint32_t i = 0; i < s_.tells_per_second; ++i) {
                const auto to = static_cast<std::size_t>(random_.below(s_.nodes));
                if (to != from) world_->checker().tell(from, to);
            }
        }
    }

    // --- the end

    /// Half of the worlds leave in order, all at once; the others are killed.
    void stop_all() {
        const bool orderly = s_.seed % 2 == 0;
        for (const std::size_t n : world_->running()) {
            world_->checker().condemned(n);
            if (orderly)
                (*world_)[n].daemon().shutdown();
            else
                world_->crash(n);
        }
        if (!world_->run_until([this] { return world_->running().empty(); }, stop_patience))
            throw Violation("no-stop", fmt::format("nodes {} still run", join(world_->running(), ", ")),
                            world_->now());
    }

    const Scenario& s_;
    Random random_;
    bool can_split_;
    std::shared_ptr<InMemoryLeaseStore> leases_;
    std::optional<World> world_;
    std::optional<Strangers> strangers_;
    std::map<std::size_t, std::vector<const Fault*>> proxies_; ///< that are broken, by node
    Instant disturbed_at_{};
    std::uint64_t begun_ = 0; ///< faults
    std::vector<Address> seeds_instead_;
    std::map<std::size_t, Instant> planned_;     ///< starts to come
    std::map<std::size_t, Duration> back_after_; ///< after the end of a graceful leave
    std::set<std::size_t> gone_;                 ///< that shall stay away
    std::map<std::size_t, Instant> merged_at_;
    std::vector<const Fault*> active_;
    std::map<const Fault*, bool> flipped_on_;      // looked up only
    std::map<std::size_t, Instant> outside_since_; ///< running and no member
    bool is_calm_ = false;
    bool telling_ = true;
    bool operating_ = true;
    std::uint64_t restarts_ = 0;
    Duration lasted_{};
};

} // namespace

Outcome run(const Scenario& scenario, std::shared_ptr<Recorder> recorder) {
    Outcome outcome;
    outcome.seed = scenario.seed;
    {
        Runner runner(scenario, std::move(recorder));
        try {
            runner.run();
        } catch (const Violation& violation) {
            outcome.broken = violation.invariant;
            outcome.detail = violation.detail;
            outcome.scene = describe(runner.world());
        }
        outcome.virtual_time = runner.lasted();
        outcome.trace_hash = runner.world().trace_hash();
        outcome.events = runner.world().network().trace_count();
        outcome.checks = runner.world().checker().checks();
        outcome.tells = runner.world().checker().tells_delivered();
        outcome.restarts = runner.restarts();
    }
    return outcome;
}

} // namespace muster::sim
