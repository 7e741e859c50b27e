// SPDX-License-Identifier: Apache-2.0
/// The handle: from any thread to the Runtime's.
#include "base/setting_limits.hpp"
#include "daemon_impl.hpp"
#include <muster/cluster/state/gossip_limits.hpp>
#include <muster/net/runtime.hpp>
#include <utility>

namespace muster {

ClusterDaemonHandle::ClusterDaemonHandle(std::shared_ptr<Daemon> daemon) noexcept
    : daemon_(std::move(daemon)) {}

ClusterDaemonHandle::~ClusterDaemonHandle() {
    if (daemon_) daemon_->post([](Daemon& d) { d.abandon(); });
}

ClusterDaemonHandle::ClusterDaemonHandle(ClusterDaemonHandle&&) noexcept = default;

ClusterDaemonHandle& ClusterDaemonHandle::operator=(ClusterDaemonHandle&& other) noexcept {
    if (this != &other) ClusterDaemonHandle old(std::exchange(daemon_, std::move(other.daemon_)));
    return *this;
}

void ClusterDaemonHandle::command(DaemonCmd::Any command) {
    daemon_->post([command = std::move(command)](Daemon& d) mutable { d.execute(std::move(command)); });
}
void ClusterDaemonHandle::join(const Address& to) { command(DaemonCmd::Join{to}); }
void ClusterDaemonHandle::join_seed_nodes(std::vector<Address> seeds) {
    command(DaemonCmd::JoinSeedNodes{std::move(seeds)});
}
void ClusterDaemonHandle::leave() { command(DaemonCmd::Leave{address()}); }
void ClusterDaemonHandle::leave(const Address& node) { command(DaemonCmd::Leave{node}); }
void ClusterDaemonHandle::down(const Address& node) { command(DaemonCmd::Down{node}); }
void ClusterDaemonHandle::prepare_for_full_shutdown() { command(DaemonCmd::PrepareForShutdown{}); }
void ClusterDaemonHandle::apply_gossip(GossipPdu pdu) { command(DaemonCmd::ApplyGossip{std::move(pdu)}); }
void ClusterDaemonHandle::tick() { command(DaemonCmd::Tick{}); }
void ClusterDaemonHandle::shutdown() { command(DaemonCmd::Shutdown{}); }

DaemonSnapshot ClusterDaemonHandle::snapshot() const { return daemon_->snapshot(); }

void ClusterDaemonHandle::not_converged_report(UniqueFunction<void(ConvergenceReport)> done) const {
    daemon_->post([done = std::move(done)](Daemon& d) mutable { done(d.report()); });
}

void ClusterDaemonHandle::forget_data_center(std::string name, UniqueFunction<void(result<void>)> done) {
    daemon_->post([name = std::move(name), done = std::move(done)](Daemon& d) mutable {
        done(d.forget_data_center(name));
    });
}

std::vector<std::shared_ptr<const SbrDecisionRecord>> ClusterDaemonHandle::decisions() const {
    return daemon_->decisions();
}

std::vector<UniqueAddress> ClusterDaemonHandle::monitored() const { return daemon_->monitored(); }

ClusterEventBus& ClusterDaemonHandle::events() const { return daemon_->events(); }

UniqueAddress ClusterDaemonHandle::unique_address() const { return daemon_->snapshot().self(); }

std::function<void(GossipPdu)> ClusterDaemonHandle::gossip_inbox() const {
    return [weak = std::weak_ptr(daemon_)](GossipPdu pdu) {
        if (const auto daemon = weak.lock())
            daemon->post([pdu = std::move(pdu)](Daemon& d) mutable {
                d.execute(DaemonCmd::ApplyGossip{std::move(pdu)});
            });
    };
}

void ClusterDaemonHandle::on_member_up(std::function<void()> callback) {
    daemon_->events().on_member_up(std::move(callback));
}

void ClusterDaemonHandle::on_member_removed(std::function<void()> callback) {
    daemon_->events().on_member_removed(std::move(callback));
}

void ClusterDaemonHandle::on_stopped(UniqueFunction<void(ShutdownReason)> callback) {
    const auto shared = std::make_shared<UniqueFunction<void(ShutdownReason)>>(std::move(callback));
    const bool posted = daemon_->post([shared](Daemon& d) { d.on_stopped(std::move(*shared)); });
    const auto now = daemon_->snapshot();
    if (!posted && now.stopped) (*shared)(now.shutdown_reason.value_or(ShutdownReason::Requested));
}

void ClusterDaemonHandle::on_started(UniqueFunction<void(result<void>)> callback) {
    daemon_->post([callback = std::move(callback)](Daemon& d) mutable { d.on_started(std::move(callback)); });
}

void ClusterDaemonHandle::add_shutdown_task(ShutdownPhase phase, std::string name, ShutdownTask task) {
    daemon_->post([phase, name = std::move(name), task = std::move(task)](Daemon& d) mutable {
        d.add_shutdown_task(phase, std::move(name), std::move(task));
    });
}

void ClusterDaemonHandle::on_removals_settled(UniqueFunction<void()> callback) {
    daemon_->post(
        [callback = std::move(callback)](Daemon& d) mutable { d.on_removals_settled(std::move(callback)); });
}

result<void> ClusterDaemonHandle::app_version(AppVersion version) {
    const auto bad = [](std::string advice) {
        return Error{Errc::invalid_argument, "app-version", std::move(advice), {}};
    };
    if (!daemon_->config().expect_app_version)
        return bad("set DaemonConfig::expect_app_version: without it the version is fixed at the start");
    if (!is_label(version.text())) return bad("use UTF-8 text without control characters");
    if (auto ok = check_member_limits({}, version); !ok)
        return bad("use at most " + std::to_string(app_version_bytes_max) + " bytes");
    daemon_->post([version = std::move(version)](Daemon& d) mutable { d.app_version(std::move(version)); });
    return {};
}

result<void> ClusterDaemonHandle::add_quorum_observer(std::shared_ptr<QuorumObserver> observer) {
    const auto bad = [](std::string advice) {
        return Error{Errc::invalid_argument, "quorum observer", std::move(advice), {}};
    };
    if (!observer) return bad("give one that can be told");
    if (!daemon_->config().sbr && !daemon_->config().downing_provider)
        return bad("set DaemonConfig::sbr or downing_provider: without them no side is ever lost");
    daemon_->post(
        [observer = std::move(observer)](Daemon& d) mutable { d.add_quorum_observer(std::move(observer)); });
    return {};
}

void ClusterDaemonHandle::remove_quorum_observer(std::shared_ptr<QuorumObserver> observer) {
    daemon_->post([observer = std::move(observer)](Daemon& d) { d.remove_quorum_observer(observer); });
}

TellResult ClusterDaemonHandle::tell(const Address& to, const Tell& message) const {
    auto answer = TellResult::NoRoute;
    daemon_->with_transport([&](ClusterTransport& transport) { answer = transport.tell(to, message); });
    return answer;
}

TellRoute ClusterDaemonHandle::route(const Address& to) const {
    TellRoute route;
    daemon_->with_transport([&](ClusterTransport& transport) { route = transport.route(to); });
    return route;
}

boost::asio::any_io_executor ClusterDaemonHandle::executor() const { return daemon_->executor(); }

void ClusterDaemonHandle::start_leave(const std::shared_ptr<Daemon>& daemon, Done done) {
    // Coordinated shutdown includes the leave; starting it instead of a leave command runs the application's
    // phases, too.
    start_shutdown(daemon, std::move(done));
}

void ClusterDaemonHandle::start_shutdown(const std::shared_ptr<Daemon>& daemon, Done done) {
    const auto shared = std::make_shared<Done>(std::move(done));
    const bool posted = daemon->post([shared](Daemon& d) {
        d.on_stopped([shared](ShutdownReason reason) {
            if (reason != ShutdownReason::LeaveUnfinished) return (*shared)({});
            (*shared)(Error{Errc::timed_out,
                            "leave",
                            "the others did not let the node go in time: it marked itself Down and stopped",
                            {}});
        });
        d.begin_shutdown(ShutdownReason::Requested);
    });
    if (!posted && daemon->snapshot().stopped) (*shared)({});
}

void ClusterDaemonHandle::start_up(const std::shared_ptr<Daemon>& daemon, Done done) {
    daemon->post([done = std::move(done)](Daemon& d) mutable { d.when_up(std::move(done)); });
}

void ClusterDaemonHandle::start_tell(const std::shared_ptr<Daemon>& daemon, const Address& to,
                                     const Tell& tell, Done done) {
    if (!to.host || !to.port) {
        done(Error{Errc::invalid_argument,
                   to.to_string(),
                   "an address without host and port names no node: use Address::remote",
                   {}});
        return;
    }
    auto answer = [done = std::move(done), to](TellResult result) mutable {
        switch (result) {
        case TellResult::Queued: return done({});
        case TellResult::Full:
            return done(Error{Errc::limit_reached, to.to_string(), "too many tells wait for room there", {}});
        case TellResult::NoRoute:
            return done(
                Error{Errc::not_found, to.to_string(), "no association: shut down or quarantined", {}});
        case TellResult::Unreachable:
            return done(Error{Errc::unreachable,
                              to.to_string(),
                              "nobody answers there, and no room is left for tells to that address",
                              {}});
        case TellResult::TooLarge:
            return done(Error{Errc::too_large, to.to_string(), "raise frame-bytes-max or send less", {}});
        }
    };
    daemon->with_transport(
        [&](ClusterTransport& transport) { transport.tell_when_room(to, tell, std::move(answer)); });
}

ClusterDaemonHandle::OwnedTell::OwnedTell(const Tell& t)
    : target_path(t.target_path), manifest(t.manifest), payload(t.payload.begin(), t.payload.end()),
      sender_path(t.sender_path) {}

Tell ClusterDaemonHandle::OwnedTell::view() const {
    std::optional<std::string_view> sender;
    if (sender_path) sender = *sender_path;
    return {target_path, manifest, payload, sender};
}

namespace {

/// A seed or referee of another protocol or cluster name can never be a member of this cluster: a node would
/// wait for it for ever.
result<void> check_same_cluster(const Address& self, const DaemonConfig& config) {
    const auto foreign = [&self](const Address& other) {
        return other.protocol != self.protocol || other.system != self.system;
    };
    const auto error = [&self](std::string setting, const Address& other) {
        return Error{Errc::invalid_argument,
                     "setting " + std::move(setting) + ' ' + other.to_string(),
                     "use an address of this cluster: " + self.protocol + "://" + self.system + "@host:port",
                     {}};
    };
    for (const Address& seed : config.cluster.seed_nodes)
        if (foreign(seed)) return error("seed-nodes entry", seed);
    if (config.sbr && config.sbr->referee && foreign(*config.sbr->referee))
        return error("split-brain-resolver.keep-referee.referee", *config.sbr->referee);
    return {};
}

} // namespace

result<ClusterDaemonHandle> spawn_daemon(net::Runtime& runtime, std::shared_ptr<ClusterTransport> transport,
                                         DaemonConfig config, std::shared_ptr<RemoteMessageSink> sink) {
    if (auto ok = config.validate(); !ok) return ok.error();
    if (auto ok = check_same_cluster(transport->self().address(), config); !ok) return ok.error();
    auto daemon = std::make_shared<ClusterDaemonHandle::Daemon>(runtime, std::move(transport),
                                                                std::move(config), std::move(sink));
    // The posted action holds the daemon: a handle that is dropped at once still stops a started daemon.
    runtime.post([stake = std::make_unique<ClusterDaemonHandle::Daemon::Stake>(daemon)]() mutable {
        auto& started = *stake->daemon();
        started.start(std::move(stake));
    });
    return ClusterDaemonHandle(std::move(daemon));
}

result<ClusterDaemonHandle> spawn_daemon_with_sbr(net::Runtime& runtime,
                                                  std::shared_ptr<ClusterTransport> transport,
                                                  DaemonConfig config, SbrSettings sbr,
                                                  std::shared_ptr<RemoteMessageSink> sink) {
    config.sbr = std::move(sbr);
    return spawn_daemon(runtime, std::move(transport), std::move(config), std::move(sink));
}

} // namespace muster
