// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Who downs unreachable members, by what a DaemonConfig says of it (protocol.md §15.8).
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

/// A DowningProvider in the place of a strategy, so that SbrRuntime says when it is asked and carries out
/// what it decides. One thread.
class ProviderStrategy final : public DowningStrategy {
public:
    explicit ProviderStrategy(std::shared_ptr<const DowningProvider> provider)
        : provider_(std::move(provider)) {}

    /// Which state decide() is about: the one whose events the SbrRuntime is about to be told.
    void look_at(std::shared_ptr<const MembershipState> state) noexcept { state_ = std::move(state); }

    std::string_view name() const noexcept override { return provider_->name(); }
    DowningVerdict decide(const SbrModel& model) const override;

private:
    std::shared_ptr<const DowningProvider> provider_;
    std::shared_ptr<const MembershipState> state_;
};

/// The first setting about downing that cannot work.
result<void> validate_downing(const DaemonConfig& config);
/// Of the resolver that runs: DaemonConfig::sbr, or what stands for it under a provider of the application's
/// own; nullopt: none runs.
std::optional<SbrSettings> resolver_settings(const DaemonConfig& config);
/// Its strategy, if it is no provider's.
std::shared_ptr<const DowningStrategy> resolver_strategy(const DaemonConfig& config);
/// Whether its strategy asks a lease.
bool asks_lease(const DaemonConfig& config);
/// How long higher layers wait after a downed member was removed (protocol.md §15.7).
std::chrono::milliseconds removal_margin(const DaemonConfig& config);
/// What the join check compares (protocol.md §5.5).
ConfigCompat config_compat(const DaemonConfig& config, std::string_view cluster_name);

} // namespace muster
