// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/sbr/provider.hpp>

#include <muster/cluster/sbr/blame.hpp>
#include <muster/cluster/sbr/model.hpp>
#include <muster/cluster/sbr/settings.hpp>
#include <muster/cluster/sbr/strategy.hpp>
#include <muster/ensure.hpp>

namespace muster {

using std::chrono::milliseconds;

SplitBrainResolver::SplitBrainResolver(std::shared_ptr<const DowningStrategy> strategy, SbrSettings settings)
    : strategy_(std::move(strategy)), settings_(std::move(settings)) {
    MUSTER_ENSURE(strategy_ != nullptr, "a resolver needs a strategy; NoSbr is the one without");
}

result<SplitBrainResolver> SplitBrainResolver::make(SbrSettings settings) {
    auto strategy = settings.make_strategy();
    if (!strategy) return strategy.error();
    return SplitBrainResolver(*std::move(strategy), std::move(settings));
}

milliseconds SplitBrainResolver::down_removal_margin(milliseconds configured) const noexcept {
    return configured > milliseconds{0} ? configured : settings_.stable_after;
}

DowningDecision SplitBrainResolver::decide(const MembershipState& state) const {
    const SbrModel model = SbrModel::from_state(state);
    if (model.unreachable().empty()) return DowningDecision::Stay;
    return verdict_of(*strategy_, model, settings_.indirect).decision;
}

std::vector<UniqueAddress> SplitBrainResolver::nodes_to_down(const MembershipState& state) const {
    const SbrModel model = SbrModel::from_state(state);
    if (model.unreachable().empty()) return {};
    return muster::nodes_to_down(*strategy_, model, verdict_of(*strategy_, model, settings_.indirect)).nodes;
}

} // namespace muster
