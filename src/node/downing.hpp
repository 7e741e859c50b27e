// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The downing settings of a DaemonConfig, resolved (protocol.md §15.8).
#include <chrono>
#include <memory>
#include <muster/cluster/protocol/config_compat.hpp>
#include <muster/cluster/sbr/provider.hpp>
#include <muster/cluster/sbr/strategy.hpp>
#include <muster/node/daemon.hpp>
#include <optional>
#include <string_view>
#include <utility>

namespace muster {

/// Adapts a DowningProvider to a strategy, so that SbrRuntime times and carries out its decisions. One
/// thread.
class ProviderStrategy final : public DowningStrategy {
public:
    explicit ProviderStrategy(std::shared_ptr<const DowningProvider> provider)
        : provider_(std::move(provider)) {}

    /// Sets the state for decide(): the one whose events the SbrRuntime is about to be told.
    void look_at(std::shared_ptr<const MembershipState> state) noexcept { state_ = std::move(state); }

    std::string_view name() const noexcept override { return provider_->name(); }
    DowningVerdict decide(const SbrModel& model) const override;

private:
    std::shared_ptr<const DowningProvider> provider_;
    std::shared_ptr<const MembershipState> state_;
};

/// The first downing setting that cannot work.
result<void> validate_downing(const DaemonConfig& config);
/// The settings of the resolver that runs: DaemonConfig::sbr, or its substitute under an application's own
/// provider; nullopt: none runs.
std::optional<SbrSettings> resolver_settings(const DaemonConfig& config);
/// The resolver's strategy, unless a provider decides.
std::shared_ptr<const DowningStrategy> resolver_strategy(const DaemonConfig& config);
/// Whether the strategy needs a lease.
bool asks_lease(const DaemonConfig& config);
/// How long higher layers wait after the removal of a downed member (protocol.md §15.7).
std::chrono::milliseconds removal_margin(const DaemonConfig& config);
/// The settings that the join check compares (protocol.md §5.5).
ConfigCompat config_compat(const DaemonConfig& config, std::string_view cluster_name);

} // namespace muster
