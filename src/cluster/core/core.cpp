// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/core/core.hpp>

#include "base/mutants.hpp"
#include "core_impl.hpp"
#include <algorithm>
#include <muster/cluster/state/changes.hpp>
#include <muster/ensure.hpp>

namespace muster {
namespace {

#if defined(__OPTIMIZE__)
constexpr bool check_by_default = false;
#else
constexpr bool check_by_default = true;
#endif

} // namespace

ClusterCore::Impl::Impl(UniqueAddress self_node, ClusterSettings s, RandomSource r, ConfigCompat c)
    : core(std::move(self_node), std::move(s), std::move(r)), config(std::move(c)),
      heartbeats(self, settings) {
    for (const std::string& prefix : settings.sensitive_config_paths) config.add_sensitive(prefix);
    check_invariants(check_by_default);
    if (settings.eager.eager_gossip) core.ask_what_is_seen(&eager);
}

void ClusterCore::Impl::check_invariants(bool on) noexcept {
    checking = on;
    core.check_versions(on);
}

void ClusterCore::Impl::publish(const Now& now, Effects& out) {
    auto published = core.publish();
    if (!published) return;
    tombstones.on_published(*published->before->gossip, gossip(), now, out);
    follow_events(published->events, now, out);
    out.emplace_back(effect::Publish{state, std::move(published->events)});
}

void ClusterCore::Impl::change(const Gossip& g, const Now& now, Effects& out) {
    core.local_change(g);
    publish(now, out);
}

void ClusterCore::Impl::finish(const Now& now, Effects& out) {
    if (core.phase() == CorePhase::Stopped) return;
    if (leaving.may_release()) leave_now(now, out);
    if (is_initialized()) finish_eager(now, out);
    if (exchange.retires(out)) out.emplace_back(effect::Shutdown{ShutdownReason::IncarnationSpent});
    if (checking) check();
}

void ClusterCore::Impl::check() const {
    core.check();
    tombstones.check(gossip());
    quarantine.check();
    links.check();
    evidence.check();
    eager.check();
    leadership.check();
    leaving.check();
    joining.check();
    admission.check();
    exchange.check();
}

// --- the public face: every input ends in finish(), and a stopped core does nothing

ClusterCore::ClusterCore(UniqueAddress self, ClusterSettings settings, RandomSource random,
                         ConfigCompat config)
    : impl_(std::make_unique<Impl>(std::move(self), std::move(settings), std::move(random),
                                   std::move(config))) {}
ClusterCore::~ClusterCore() = default;
ClusterCore::ClusterCore(ClusterCore&&) noexcept = default;
ClusterCore& ClusterCore::operator=(ClusterCore&&) noexcept = default;

ClusterCore ClusterCore::with_state(UniqueAddress self, ClusterSettings settings, RandomSource random,
                                    Restored restored, const Now& now, ConfigCompat config) {
    MUSTER_ENSURE(restored.gossip != nullptr, "a restored core needs a gossip, if an empty one");
    ClusterCore core(std::move(self), std::move(settings), std::move(random), std::move(config));
    Impl& impl = *core.impl_;
    impl.core.restore(std::move(restored.gossip));
    impl.core.set_exiting_tasks_running(restored.exiting_tasks_in_progress);
    if (restored.preparing_for_shutdown) impl.core.set_preparing_for_shutdown();
    impl.leadership.restore(std::move(restored.exiting_confirmed));
    Effects unobserved; // whoever restores a state has published it before
    impl.publish(now, unobserved);
    for (const auto& [node, last] : restored.last_heartbeats)
        impl.heartbeats.restore(node, !impl.core.is_own_dc(node), last);
    return core;
}

#define MUSTER_CORE_INPUT(call)                                                                              \
    do {                                                                                                     \
        if (impl_->core.is_stopped()) return;                                                                \
        impl_->call;                                                                                         \
        impl_->finish(now, out);                                                                             \
    } while (false)

void ClusterCore::join(const Address& to, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(found_cluster_if(impl_->joining.join(to, now, out), now, out));
}
void ClusterCore::join_seed_nodes(std::vector<Address> seeds, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(found_cluster_if(impl_->joining.join_seed_nodes(std::move(seeds), now, out), now, out));
}
void ClusterCore::leave(const Address& node, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(leave(node, now, out));
}
void ClusterCore::leave_now(const Now& now, Effects& out) { MUSTER_CORE_INPUT(leave_now(now, out)); }
void ClusterCore::give_up_leaving(const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(give_up_leaving(now, out));
}
void ClusterCore::down(const Address& node, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(down(impl_->gossip().find_all(node), now, out));
}
void ClusterCore::down(const UniqueAddress& node, const Now& now, Effects& out) {
    down(std::span(&node, 1), now, out);
}
void ClusterCore::down(std::span<const UniqueAddress> nodes, const Now& now, Effects& out) {
    std::vector<Member> incarnations;
    for (const UniqueAddress& node : nodes)
        if (const Member* m = impl_->gossip().find(node)) incarnations.push_back(*m);
    MUSTER_CORE_INPUT(down(incarnations, now, out));
}
void ClusterCore::prepare_for_shutdown(const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(prepare_for_shutdown(now, out));
}
result<void> ClusterCore::forget_data_center(std::string_view name, const Now& now, Effects& out) {
    result<void> done = impl_->tombstones.forget_data_center(name, out);
    if (!impl_->core.is_stopped()) impl_->finish(now, out);
    return done;
}
void ClusterCore::quarantined(const UniqueAddress& node, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(quarantined(node, now, out));
}
void ClusterCore::exiting_completed(const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(exiting_completed(now, out));
}
void ClusterCore::stop(const Now& now, Effects& out) { MUSTER_CORE_INPUT(stop(std::nullopt, out)); }
void ClusterCore::on_new_incarnation(const UniqueAddress& self, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(on_new_incarnation(self, now, out));
}
void ClusterCore::expect_app_version() { impl_->joining.expect_app_version(); }
void ClusterCore::expect_proofs() { impl_->admission.expect_proofs(); }
void ClusterCore::app_version(AppVersion version, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(found_cluster_if(impl_->joining.app_version(std::move(version), now, out), now, out));
}

void ClusterCore::on_message(const ClusterMessage& message, Instant received, const Now& now, Effects& out) {
    if (impl_->core.is_stopped()) return;
    if (const auto* envelope = std::get_if<GossipEnvelope>(&message)) {
        impl_->on_envelope(*envelope, received, now, out);
    } else {
        std::visit(
            [&](const auto& m) {
                if constexpr (!std::is_same_v<std::decay_t<decltype(m)>, GossipEnvelope>)
                    impl_->on(m, now, out);
            },
            message);
    }
    impl_->finish(now, out);
}
void ClusterCore::on_link(const UniqueAddress& peer, LinkEvent event, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(on_link(peer, event, now, out));
}
void ClusterCore::on_connect_refused(const Address& peer, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(found_cluster_if(impl_->joining.on_connect_refused(peer, now, out), now, out));
}

void ClusterCore::tick_gossip(const Now& now, Effects& out) { MUSTER_CORE_INPUT(exchange.tick(out)); }
void ClusterCore::tick_leader_actions(const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(tick_leader_actions(now, out));
}
void ClusterCore::tick_reaper(const Now& now, Effects& out) { MUSTER_CORE_INPUT(tick_reaper(now, out)); }
void ClusterCore::tick_heartbeat(const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(heartbeats.tick(now, out));
}
void ClusterCore::tick_cross_dc_heartbeat(const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(heartbeats.tick_cross_dc(now, out));
}
void ClusterCore::tick_join(const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(found_cluster_if(impl_->joining.tick(now, out), now, out));
}
void ClusterCore::on_timer(TimerKey key, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(on_timer(key, now, out));
}

#undef MUSTER_CORE_INPUT

void ClusterCore::Impl::on_timer(TimerKey key, const Now& now, Effects& out) {
    switch (key.timer) {
    case CoreTimer::GossipSpeedUp:
        if (is_initialized() && exchange.is_speedup_needed()) exchange.round(out);
        break;
    case CoreTimer::ExpectFirstHeartbeat:
    case CoreTimer::ExpectFirstCrossDcHeartbeat: heartbeats.on_timer(key, now); break;
    case CoreTimer::EagerForward: eager.on_forward_timer(); break; // finish() forwards what is due
    case CoreTimer::EagerRepair: on_repair_timer(key.number, now, out); break;
    case CoreTimer::JoinBatch: on_join_batch_timer(now, out); break;
    case CoreTimer::Evidence: write_rows(evidence.on_timer(now, out), now, out); break;
    case CoreTimer::QuarantineRemoved: quarantine.on_timer(key.number, out); break;
    case CoreTimer::Farewell:
        if (leaving.on_timer(out)) stop(std::nullopt, out);
        break;
    case CoreTimer::LeaseDelay: break; // the resolver's
    }
}

const UniqueAddress& ClusterCore::self() const noexcept { return impl_->self; }
const ClusterSettings& ClusterCore::settings() const noexcept { return impl_->settings; }
const std::shared_ptr<const MembershipState>& ClusterCore::state() const noexcept { return impl_->state; }
bool ClusterCore::is_joined() const noexcept {
    return impl_->is_initialized() && impl_->is_member(impl_->self);
}
bool ClusterCore::is_stopped() const noexcept { return impl_->core.is_stopped(); }
bool ClusterCore::exiting_tasks_in_progress() const noexcept {
    return impl_->core.are_exiting_tasks_running();
}
bool ClusterCore::is_preparing_for_shutdown() const noexcept {
    return impl_->core.is_preparing_for_shutdown();
}
bool ClusterCore::is_leave_held() const noexcept { return impl_->leaving.is_held(); }
bool ClusterCore::has_given_up_leaving() const noexcept { return impl_->leaving.has_given_up(); }
std::vector<UniqueAddress> ClusterCore::departed() const { return impl_->leaving.departed(); }
std::vector<std::string> ClusterCore::lost_data_centers() const {
    return {impl_->tombstones.lost().begin(), impl_->tombstones.lost().end()};
}
std::size_t ClusterCore::tombstones_bytes() const { return GossipSize::of_tombstones(impl_->gossip()); }
bool ClusterCore::is_tombstoned(const UniqueAddress& node) const noexcept {
    return impl_->gossip().is_tombstoned(node);
}
bool ClusterCore::is_monitored(const UniqueAddress& node) const noexcept {
    return impl_->heartbeats.is_monitoring(node);
}
bool ClusterCore::is_available(const UniqueAddress& node, Instant now) const noexcept {
    const Member* m = impl_->gossip().find(node);
    return m == nullptr || impl_->heartbeats.is_available(*m, now);
}
const HeartbeatMonitor& ClusterCore::heartbeats() const noexcept { return impl_->heartbeats; }
bool ClusterCore::is_gossip_speedup_needed() const {
    return impl_->is_initialized() && impl_->exchange.is_speedup_needed();
}
ConvergenceReport ClusterCore::not_converged_report() const { return impl_->report(); }
void ClusterCore::check_invariants(bool on) noexcept { impl_->check_invariants(on); }

} // namespace muster
