// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Downing providers, which decide on unreachable members (protocol.md §15.8).
#include <chrono>
#include <memory>
#include <muster/cluster/sbr/settings.hpp>
#include <string_view>
#include <vector>

namespace muster {

/// Decides whether to down unreachable members (protocol.md §15.8). DaemonConfig::downing_provider takes an
/// application's own, and documents when it is asked and how its decisions are carried out. Immutable, so
/// that nodes may share one. No function may throw.
class DowningProvider {
public:
    virtual ~DowningProvider() = default;
    /// The value of the setting cluster.downing-provider, which must be equal on all nodes: a joiner with
    /// another is refused.
    virtual std::string_view name() const noexcept = 0;
    /// How long higher layers wait after MemberRemoved of a downed member before they start its work
    /// elsewhere (protocol.md §15.7). `configured` is cluster.down-removal-margin, 0 when off. 0 to a year;
    /// asked once, at the start.
    virtual std::chrono::milliseconds
    down_removal_margin(std::chrono::milliseconds configured) const noexcept = 0;
    /// The decision on this state if nothing changed any more. Pure: equal states get equal answers, without
    /// waiting.
    virtual DowningDecision decide(const MembershipState& state) const = 0;
    /// How long nothing must have changed before the node carries decide() out (stable-after of protocol.md
    /// §15.1). 0 to a year; asked once, at the start.
    virtual std::chrono::milliseconds stable_after() const noexcept { return std::chrono::seconds{20}; }
};

/// The default provider: unreachable nodes stay until an operator acts.
class NoSbr final : public DowningProvider {
public:
    std::string_view name() const noexcept override { return "none"; }
    std::chrono::milliseconds
    down_removal_margin(std::chrono::milliseconds configured) const noexcept override {
        return configured;
    }
    DowningDecision decide(const MembershipState&) const override { return DowningDecision::Stay; }
};

/// The provider with a strategy.
class SplitBrainResolver final : public DowningProvider {
public:
    SplitBrainResolver(std::shared_ptr<const DowningStrategy> strategy, SbrSettings settings);
    /// The error of SbrSettings::validate.
    static result<SplitBrainResolver> make(SbrSettings settings);

    std::string_view name() const noexcept override { return "split-brain-resolver"; }
    /// The configured value, else stable-after.
    std::chrono::milliseconds
    down_removal_margin(std::chrono::milliseconds configured) const noexcept override;
    /// Stay while everybody is reachable.
    DowningDecision decide(const MembershipState& state) const override;
    std::chrono::milliseconds stable_after() const noexcept override { return settings_.stable_after; }
    /// The nodes that the decision downs, in UniqueAddress order.
    std::vector<UniqueAddress> nodes_to_down(const MembershipState& state) const;

    const std::shared_ptr<const DowningStrategy>& strategy() const noexcept { return strategy_; }
    const SbrSettings& settings() const noexcept { return settings_; }

private:
    std::shared_ptr<const DowningStrategy> strategy_;
    SbrSettings settings_;
};

/// Is told when this side, as far as the node knows, would no longer survive a split and when it would again.
/// Edge-triggered: each call is a change; the first can only be a loss. So an application can stop taking
/// writes at once instead of after stable-after. Registered with DaemonConfig::quorum_observers or
/// ClusterDaemonHandle::add_quorum_observer, and called on the Runtime's thread: it must not throw nor wait,
/// but may call the handle. Once the node itself is removed or stops there is no further call.
class QuorumObserver {
public:
    virtual ~QuorumObserver() = default;
    virtual void on_quorum_lost() = 0;
    virtual void on_quorum_regained() = 0;
};

} // namespace muster
