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

/// A leader tick is a step; three that were missed are still a slow machine, more is one that stood still.
Duration tombstone_step_max(const ClusterSettings& settings) {
    return std::max<Duration>(std::chrono::seconds{10}, 3 * Duration(settings.leader_actions_interval));
}

} // namespace

ClusterCore::Impl::Impl(UniqueAddress self_node, ClusterSettings s, RandomSource r, ConfigCompat c)
    : self(std::move(self_node)), settings(std::move(s)), random(std::move(r)), config(std::move(c)),
      checking(check_by_default),
      state(std::make_shared<const MembershipState>(self, settings.multi_dc.self_data_center,
                                                    std::make_shared<const Gossip>(),
                                                    settings.multi_dc.cross_dc_connections)),
      published(state), data_centers(settings.multi_dc.self_data_center),
      tombstone_clock(tombstone_step_max(settings)), heartbeats(self, settings),
      doubt(settings.eager.evidence_window) {
    MUSTER_ENSURE(!self.address().is_local(),
                  "others must be able to reach a node: its address needs host and port");
    for (const std::string& prefix : settings.sensitive_config_paths) config.add_sensitive(prefix);
}

std::vector<Member> ClusterCore::Impl::own_dc_members() const {
    std::vector<Member> own;
    for (const Member& m : gossip().members())
        if (m.data_center() == settings.multi_dc.self_data_center) own.push_back(m);
    return own;
}

bool ClusterCore::Impl::is_own_dc(const UniqueAddress& node) const noexcept {
    const Member* m = gossip().find(node);
    return m != nullptr && m->data_center() == settings.multi_dc.self_data_center;
}

void ClusterCore::Impl::install(Gossip g) {
    const Hash128 before = gossip().version_id();
    if (settings.eager.eager_gossip && g.version_id() != before) g = with_known_seen(std::move(g));
    state = std::make_shared<const MembershipState>(self, settings.multi_dc.self_data_center,
                                                    std::make_shared<const Gossip>(std::move(g)),
                                                    settings.multi_dc.cross_dc_connections);
    // Where only seen changed there is nothing else to look at.
    if (checking && gossip().version_id() != before) gossip().check();
}

void ClusterCore::Impl::local_change(const Gossip& g) {
    install(MUSTER_MUTANT(seen_kept_on_change) && !exiting_tasks_in_progress
                ? g.increment(self)
                : changed_by(self, g, exiting_tasks_in_progress));
    eager.originated = true;
}

void ClusterCore::Impl::publish(const Now& now, Effects& out) {
    if (published == state) return;
    const auto before = std::exchange(published, state);
    std::vector<ClusterEvent> events = diff_events(before.get(), state.get());
    follow_tombstones(*before->gossip, now, out);
    follow_events(events, now, out);
    out.emplace_back(effect::Publish{state, std::move(events)});
}

void ClusterCore::Impl::finish(const Now& now, Effects& out) {
    if (phase == CorePhase::Stopped) return;
    if (leaving.held && !is_anybody_unreachable()) leave_now(now, out);
    if (is_initialized()) finish_eager(now, out);
    retire_when_spent(out);
    if (checking) check();
}

void ClusterCore::Impl::check() const {
    MUSTER_ENSURE(published == state, "every installed state is published before the input ends");
    MUSTER_ENSURE(std::ranges::is_sorted(exiting_confirmed), "convergence searches it");
    if (!is_initialized()) {
        MUSTER_ENSURE(gossip().members().empty(), "a node that has not joined knows of nobody");
        return;
    }
    MUSTER_ENSURE(is_member(self) || gossip().members().empty(), "an initialized node is in its own gossip");
    MUSTER_ENSURE(gossip().version().size() <= gossip().members().size(),
                  "clock entries of removed members are pruned (protocol.md §19, 10)");
}

void ClusterCore::Impl::count(Effects& out, std::string_view id, std::uint64_t n) const {
    out.emplace_back(effect::Count{id, n});
}

void ClusterCore::Impl::log(Effects& out, LogLevel level, std::string_view code, std::string peer,
                            LogFields fields) const {
    out.emplace_back(effect::Log{level, code, std::move(peer), std::move(fields)});
}

void ClusterCore::Impl::set_timer(Effects& out, CoreTimer timer, std::uint64_t number, Duration delay) const {
    out.emplace_back(effect::SetTimer{{timer, number}, delay});
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
    impl.phase = CorePhase::Initialized;
    impl.state = std::make_shared<const MembershipState>(impl.self, impl.settings.multi_dc.self_data_center,
                                                         std::move(restored.gossip),
                                                         impl.settings.multi_dc.cross_dc_connections);
    impl.exiting_tasks_in_progress = restored.exiting_tasks_in_progress;
    impl.preparing_for_shutdown = restored.preparing_for_shutdown;
    impl.exiting_confirmed = std::move(restored.exiting_confirmed);
    std::ranges::sort(impl.exiting_confirmed);
    Effects unobserved; // whoever restores a state has published it before
    impl.publish(now, unobserved);
    for (const auto& [node, last] : restored.last_heartbeats)
        impl.heartbeats.restore(node, !impl.is_own_dc(node), last);
    return core;
}

#define MUSTER_CORE_INPUT(call)                                                                              \
    do {                                                                                                     \
        if (impl_->phase == CorePhase::Stopped) return;                                                      \
        impl_->call;                                                                                         \
        impl_->finish(now, out);                                                                             \
    } while (false)

void ClusterCore::join(const Address& to, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(join(to, now, out));
}
void ClusterCore::join_seed_nodes(std::vector<Address> seeds, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(join_seed_nodes(std::move(seeds), now, out));
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
    result<void> done = impl_->forget_data_center(name, out);
    if (impl_->phase != CorePhase::Stopped) impl_->finish(now, out);
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
void ClusterCore::expect_app_version() { impl_->joining.version_pending = true; }
void ClusterCore::expect_proofs() { impl_->joining.proofs_expected = true; }
void ClusterCore::app_version(AppVersion version, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(app_version(std::move(version), now, out));
}

void ClusterCore::on_message(const ClusterMessage& message, Instant received, const Now& now, Effects& out) {
    if (impl_->phase == CorePhase::Stopped) return;
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
    MUSTER_CORE_INPUT(on_connect_refused(peer, now, out));
}

void ClusterCore::tick_gossip(const Now& now, Effects& out) { MUSTER_CORE_INPUT(tick_gossip(out)); }
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
void ClusterCore::tick_join(const Now& now, Effects& out) { MUSTER_CORE_INPUT(tick_join(now, out)); }
void ClusterCore::on_timer(TimerKey key, const Now& now, Effects& out) {
    MUSTER_CORE_INPUT(on_timer(key, now, out));
}

#undef MUSTER_CORE_INPUT

void ClusterCore::Impl::on_timer(TimerKey key, const Now& now, Effects& out) {
    switch (key.timer) {
    case CoreTimer::GossipSpeedUp:
        if (is_initialized() && is_speedup_needed()) gossip_round(out);
        break;
    case CoreTimer::ExpectFirstHeartbeat:
    case CoreTimer::ExpectFirstCrossDcHeartbeat: heartbeats.on_timer(key, now); break;
    case CoreTimer::EagerForward: eager.forward_timer = false; break; // finish() forwards what is due
    case CoreTimer::EagerRepair: on_repair_timer(key.number, now, out); break;
    case CoreTimer::JoinBatch: on_join_batch_timer(now, out); break;
    case CoreTimer::Evidence: on_evidence_timer(now, out); break;
    case CoreTimer::QuarantineRemoved: on_quarantine_timer(key.number, out); break;
    case CoreTimer::Farewell: on_farewell_timer(out); break;
    case CoreTimer::LeaseDelay: break; // the resolver's
    }
}

const UniqueAddress& ClusterCore::self() const noexcept { return impl_->self; }
const ClusterSettings& ClusterCore::settings() const noexcept { return impl_->settings; }
const std::shared_ptr<const MembershipState>& ClusterCore::state() const noexcept { return impl_->state; }
bool ClusterCore::is_joined() const noexcept {
    return impl_->is_initialized() && impl_->is_member(impl_->self);
}
bool ClusterCore::is_stopped() const noexcept { return impl_->phase == CorePhase::Stopped; }
bool ClusterCore::exiting_tasks_in_progress() const noexcept { return impl_->exiting_tasks_in_progress; }
bool ClusterCore::is_preparing_for_shutdown() const noexcept { return impl_->preparing_for_shutdown; }
bool ClusterCore::is_leave_held() const noexcept { return impl_->leaving.held; }
bool ClusterCore::has_given_up_leaving() const noexcept { return impl_->leaving.given_up; }
std::vector<UniqueAddress> ClusterCore::departed() const { return impl_->departed(); }
std::vector<std::string> ClusterCore::lost_data_centers() const {
    return {impl_->data_centers.lost().begin(), impl_->data_centers.lost().end()};
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
    return impl_->is_initialized() && impl_->is_speedup_needed();
}
ConvergenceReport ClusterCore::not_converged_report() const { return impl_->report(); }
void ClusterCore::check_invariants(bool on) noexcept { impl_->checking = on; }

} // namespace muster
