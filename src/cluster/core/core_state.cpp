// SPDX-License-Identifier: Apache-2.0
#include "core_state.hpp"

#include "base/mutants.hpp"
#include <muster/cluster/state/changes.hpp>
#include <muster/ensure.hpp>
#include <utility>

namespace muster {

CoreState::CoreState(UniqueAddress self, ClusterSettings settings, RandomSource random)
    : self_(std::move(self)), settings_(std::move(settings)), random_(std::move(random)),
      installed_(nothing()), published_(installed_) {
    MUSTER_ENSURE(!self_.address().is_local(),
                  "others must be able to reach a node: its address needs host and port");
}

std::shared_ptr<const MembershipState> CoreState::state_of(GossipPtr gossip) const {
    return std::make_shared<const MembershipState>(self_, settings_.multi_dc.self_data_center,
                                                   std::move(gossip),
                                                   settings_.multi_dc.cross_dc_connections);
}

std::shared_ptr<const MembershipState> CoreState::nothing() const {
    return state_of(std::make_shared<const Gossip>());
}

bool CoreState::is_own_dc(const UniqueAddress& node) const noexcept {
    const Member* m = gossip().find(node);
    return m != nullptr && installed_->is_own_dc(*m);
}

void CoreState::install(Gossip g, Origin origin) {
    const bool is_new_version = g.version_id() != gossip().version_id();
    if (known_seen_ != nullptr && is_new_version) g = known_seen_->with_known_seen(std::move(g));
    installed_ = state_of(std::make_shared<const Gossip>(std::move(g)));
    // Where only seen changed there is nothing else to look at.
    if (checks_versions_ && is_new_version) gossip().check();
    if (origin != Origin::Unchanged) is_made_here_ = origin == Origin::Here;
}

void CoreState::local_change(const Gossip& g) {
    install(MUSTER_MUTANT(seen_kept_on_change) && !exiting_tasks_run_
                ? g.increment(self_)
                : changed_by(self_, g, exiting_tasks_run_),
            Origin::Here);
}

std::optional<CoreState::Published> CoreState::publish() {
    if (published_ == installed_) return std::nullopt;
    Published published{std::exchange(published_, installed_), {}};
    published.events = diff_events(published.before.get(), installed_.get());
    return published;
}

void CoreState::restore(GossipPtr gossip) {
    installed_ = state_of(std::move(gossip));
    phase_ = CorePhase::Initialized;
}

void CoreState::begin_incarnation(const UniqueAddress& fresh) {
    MUSTER_ENSURE(phase_ == CorePhase::AwaitingIncarnation, "nobody asked for a new incarnation");
    MUSTER_ENSURE(fresh.address() == self_.address() && fresh.uid() != self_.uid(),
                  "an incarnation is the same address with another uid");
    self_ = fresh;
    installed_ = published_ = nothing();
    phase_ = CorePhase::Uninitialized;
}

std::vector<ClusterEvent> CoreState::stop() {
    phase_ = CorePhase::Stopped;
    return diff_events(published_.get(), nullptr);
}

void CoreState::check() const {
    MUSTER_ENSURE(published_ == installed_, "every installed state is published before the input ends");
    MUSTER_ENSURE(installed_->self == self_, "the installed state is this incarnation's");
    if (!is_initialized()) {
        MUSTER_ENSURE(gossip().members().empty(), "a node that has not joined knows of nobody");
        return;
    }
    MUSTER_ENSURE(is_member(self_) || gossip().members().empty(), "an initialized node is in its own gossip");
    MUSTER_ENSURE(gossip().version().size() <= gossip().members().size(),
                  "clock entries of removed members are pruned (protocol.md §19, 10)");
}

std::vector<Member> own_dc_members(const MembershipState& state) {
    std::vector<Member> own;
    for (const Member& m : state.members())
        if (state.is_own_dc(m)) own.push_back(m);
    return own;
}

} // namespace muster
