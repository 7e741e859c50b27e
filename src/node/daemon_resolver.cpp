// SPDX-License-Identifier: Apache-2.0
/// The resolver of a daemon: its construction, its inputs, and the execution of its decisions (protocol.md
/// §15).
#include "daemon_impl.hpp"
#include "downing.hpp"
#include <algorithm>

namespace muster {
namespace {

constexpr std::size_t decisions_max = 100;

} // namespace

using Daemon = ClusterDaemonHandle::Daemon;

void Daemon::make_resolver() {
    const auto settings = resolver_settings(config_);
    if (!settings) return;
    std::shared_ptr<const DowningStrategy> strategy;
    if (config_.downing_provider)
        strategy = provider_strategy_ = std::make_shared<ProviderStrategy>(config_.downing_provider);
    else
        strategy = resolver_strategy(config_);
    resolver_.emplace(core_.self(), config_.cluster.multi_dc.self_data_center, std::move(strategy),
                      *settings);
    for (const auto& observer : quorum_observers_) resolver_->add_quorum_observer(observer);
}

void Daemon::tell_resolver(const effect::Publish& published) {
    if (!resolver_) return;
    if (provider_strategy_) provider_strategy_->look_at(published.state);
    feed([&](const Now& now, Effects& out) { resolver_->on_events(published.events, now, out); });
}

void Daemon::update_departed() {
    if (!resolver_) return;
    std::vector<UniqueAddress> departed = core_.departed();
    if (departed == departed_) return;
    departed_ = departed;
    resolver_->set_departed(std::move(departed));
}

void Daemon::on_quarantined_by(const UniqueAddress& peer) {
    if (resolver_)
        feed([&](const Now& now, Effects& out) { resolver_->quarantined_by_remote(peer, now, out); });
}

// --- quorum observers

void Daemon::add_quorum_observer(std::shared_ptr<QuorumObserver> observer) {
    const bool is_new =
        std::find(quorum_observers_.begin(), quorum_observers_.end(), observer) == quorum_observers_.end();
    if (!is_new || ended_) return;
    quorum_observers_.push_back(observer);
    resolver_->add_quorum_observer(std::move(observer));
}

void Daemon::remove_quorum_observer(const std::shared_ptr<QuorumObserver>& observer) {
    std::erase(quorum_observers_, observer);
    if (resolver_) resolver_->remove_quorum_observer(observer);
}

// --- carrying out its decisions

void Daemon::carry_out(effect::Down& e) {
    feed([&](const Now& now, Effects& out) { core_.down(e.nodes, now, out); });
}

void Daemon::carry_out(effect::LeaseCheck& e) {
    if (!config_.lease) return deny_lease(e.generation);
    config_.lease->check(lease_answer(e.generation));
}

void Daemon::carry_out(effect::LeaseAcquire& e) {
    if (!config_.lease) return deny_lease(e.generation);
    config_.lease->acquire(lease_answer(e.generation));
}

void Daemon::carry_out(effect::LeaseRelease& e) {
    if (config_.lease) config_.lease->release(lease_answer(e.generation));
}

/// An application's own strategy or provider may ask for a lease that the node was not given.
void Daemon::deny_lease(std::uint64_t generation) {
    const auto denied = LeaseAnswer::failed(Error{
        Errc::not_found, "the lease", "the decision asks for one, and DaemonConfig::lease has none", {}});
    feed([&](const Now& now, Effects& out) { resolver_->on_lease(generation, denied, now, out); });
}

void Daemon::carry_out(effect::Record& e) {
    const std::lock_guard lock(snapshot_mutex_);
    decisions_.push_back(std::move(e.decision));
    if (decisions_.size() > decisions_max) decisions_.pop_front();
}

// --- removals that have not settled (protocol.md §15.7)

void Daemon::note_removals(std::vector<ClusterEvent>& events) {
    bool downed = false;
    for (ClusterEvent& event : events) {
        auto* removed = std::get_if<MemberRemoved>(&event);
        if (removed == nullptr || removed->member.unique_address() == core_.self()) continue;
        // A member that was seen Exiting has handed over. For any other this node may have missed the Down,
        // which travels with the removal when the two are close.
        if (removed->previous == MemberStatus::Exiting) continue;
        removed->removal_margin = removal_margin_;
        downed = true;
    }
    if (!downed || removal_margin_ == std::chrono::milliseconds{0}) return;
    const std::lock_guard lock(snapshot_mutex_);
    snapshot_.removals_settled_at = runtime_.monotonic_now() + removal_margin_;
}

void Daemon::on_removals_settled(UniqueFunction<void()> callback) {
    if (ended_) return;
    settle_waiters_.push_back(std::move(callback));
    check_removals_settled();
}

void Daemon::check_removals_settled() {
    if (settle_timer_ != net::TimerId::None) return;
    if (snapshot_.are_removals_settled(runtime_.monotonic_now())) {
        for (auto& callback : std::exchange(settle_waiters_, {})) callback();
        return;
    }
    // A further removal meanwhile moves the time, which is checked again then.
    settle_timer_ = runtime_.schedule(*snapshot_.removals_settled_at, [weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self) return;
        self->settle_timer_ = net::TimerId::None;
        if (!self->ended_) self->check_removals_settled();
    });
}

} // namespace muster
