// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Which side of a split survives (protocol.md §15.2 to §15.4): the strategies, and the nodes that their
/// decisions down. Pure values; the runtime around them is in runtime.hpp.
#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <muster/cluster/sbr/model.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace muster {

/// What a strategy decides (protocol.md §15.2), the reference's four first (reference.md).
enum class DowningDecision : std::uint8_t {
    DownUnreachable, ///< this side survives
    DownAll,         ///< nobody survives
    DownSelf,        ///< this side loses, and all of it goes, not only this node (§15.2: DownReachable)
    Stay,            ///< nothing to do
    DownIndirectlyConnected,
    ReverseDownIndirectlyConnected, ///< the outcome of the previous one when the lease is denied
    AcquireLeaseAndDownUnreachable,
    AcquireLeaseAndDownIndirectlyConnected,
    DownSelfQuarantinedByRemote,
    DownReachable = DownSelf, ///< the name protocol.md and the records use
};
/// protocol.md's name: "DownReachable" for DownSelf.
std::string_view to_string(DowningDecision decision) noexcept;
std::optional<DowningDecision> parse_downing_decision(std::string_view text) noexcept;
constexpr bool is_indirect(DowningDecision d) noexcept {
    return d == DowningDecision::DownIndirectlyConnected ||
           d == DowningDecision::AcquireLeaseAndDownIndirectlyConnected ||
           d == DowningDecision::ReverseDownIndirectlyConnected;
}
constexpr bool needs_lease(DowningDecision d) noexcept {
    return d == DowningDecision::AcquireLeaseAndDownUnreachable ||
           d == DowningDecision::AcquireLeaseAndDownIndirectlyConnected;
}
/// The decision that replaces a lease decision when the lease is not obtained; other decisions stay.
DowningDecision reverse_of(DowningDecision decision) noexcept;

/// How much a member counts (protocol.md §15.3, role-weighted quorum): the highest weight among its roles
/// that have one, else `others`. 0 means not counted. The default counts everybody once.
struct RoleWeights {
    std::map<std::string, std::uint32_t, std::less<>> by_role;
    std::uint32_t others = 1;

    std::uint64_t weight_of(const Member& member) const noexcept;
    bool is_default() const noexcept { return by_role.empty() && others == 1; }
    /// "a=2,b=0,*=1", roles sorted: the value compared when nodes join. Of the default: "*=1".
    std::string canonical() const;
    bool operator==(const RoleWeights&) const = default;
};

/// A strategy's decision on one model, with the counts behind it.
struct DowningVerdict {
    DowningDecision decision = DowningDecision::Stay;
    /// How long to wait before acquiring the lease, so that the majority wins it; lease decisions only.
    std::chrono::milliseconds acquire_delay{0};
    /// The rule that decided: a sentence for people, a literal.
    std::string_view rule;
    std::vector<UniqueAddress> counted_reachable;   ///< in Member order
    std::vector<UniqueAddress> counted_unreachable; ///< likewise
    std::uint64_t weight_reachable = 0;             ///< their weights; without weights their number
    std::uint64_t weight_unreachable = 0;
    std::optional<UniqueAddress> deciding_node; ///< lowest address, oldest or referee, where one decided
    /// For an indirect decision: only these of the indirectly connected are downed
    /// (SbrSettings::Indirect::Blamed); empty: all.
    std::vector<UniqueAddress> blamed;
};

/// Decides for one side of a split. Pure: the same model gives the same verdict. Implementations are
/// immutable, so safe to share between threads. DaemonConfig::downing_strategy takes an application's own.
class DowningStrategy {
public:
    virtual ~DowningStrategy() = default;
    /// The value of the setting split-brain-resolver.active-strategy. A joiner with another name is refused.
    virtual std::string_view name() const noexcept = 0;
    /// Name and settings for logs and records: "keep-majority(role=backend)". The join check compares it for
    /// an application's own strategy, so it names every setting that decides who stays, in canonical text.
    virtual std::string describe() const { return std::string(name()); }
    virtual DowningVerdict decide(const SbrModel& model) const = 0;
    /// Says, in a sentence, why the strategy cannot keep its promise for this model; empty when it can.
    virtual std::string warning(const SbrModel& model) const {
        static_cast<void>(model);
        return {};
    }
};

/// Keeps the side with more members (by weight); of equal sides the one with the lowest address. A second
/// count assumes that the other side knows of members that came up or left meanwhile: when that side might
/// also count itself the winner, nobody stays.
class KeepMajorityStrategy : public DowningStrategy {
public:
    explicit KeepMajorityStrategy(std::string role = {}, RoleWeights weights = {})
        : role_(std::move(role)), weights_(std::move(weights)) {}
    std::string_view name() const noexcept override { return "keep-majority"; }
    std::string describe() const override;
    DowningVerdict decide(const SbrModel& model) const override;

private:
    std::string role_;
    RoleWeights weights_;
};

/// Keeps the side with at least `quorum_size` members (by weight). Two such sides cannot exist with at most 2
/// * quorum_size - 1 members; with more, nobody stays.
class StaticQuorumStrategy : public DowningStrategy {
public:
    /// `quorum_size` >= 1 (ENSURE; SbrSettings::validate reports it as an error).
    explicit StaticQuorumStrategy(std::uint64_t quorum_size, std::string role = {}, RoleWeights weights = {});
    std::string_view name() const noexcept override { return "static-quorum"; }
    std::string describe() const override;
    DowningVerdict decide(const SbrModel& model) const override;
    std::string warning(const SbrModel& model) const override;

private:
    std::uint64_t quorum_size_;
    std::string role_;
    RoleWeights weights_;
};

/// Keeps the side of the oldest member, unless it is alone and the others are at least two.
class KeepOldestStrategy : public DowningStrategy {
public:
    explicit KeepOldestStrategy(bool down_if_alone = true, std::string role = {})
        : down_if_alone_(down_if_alone), role_(std::move(role)) {}
    std::string_view name() const noexcept override { return "keep-oldest"; }
    std::string describe() const override;
    DowningVerdict decide(const SbrModel& model) const override;

private:
    bool down_if_alone_;
    std::string role_;
};

/// Keeps the side that can reach one given node, the referee. When the referee crashes, every node stops.
class KeepReferee : public DowningStrategy {
public:
    /// Nobody stays when fewer than `down_all_if_less_than_nodes` members count, the referee included.
    explicit KeepReferee(Address referee, std::size_t down_all_if_less_than_nodes = 1)
        : referee_(std::move(referee)), down_all_if_less_than_nodes_(down_all_if_less_than_nodes) {}
    std::string_view name() const noexcept override { return "keep-referee"; }
    std::string describe() const override;
    DowningVerdict decide(const SbrModel& model) const override;
    std::string warning(const SbrModel& model) const override;

private:
    Address referee_;
    std::size_t down_all_if_less_than_nodes_;
};

/// Downs everybody on any split, where a new cluster is preferred to an uncertain one.
class DownAllStrategy : public DowningStrategy {
public:
    std::string_view name() const noexcept override { return "down-all"; }
    DowningVerdict decide(const SbrModel& model) const override;
};

/// Keeps the side that obtains a lease from outside (lease.hpp); the smaller side asks later.
class LeaseMajorityStrategy : public DowningStrategy {
public:
    explicit LeaseMajorityStrategy(
        std::chrono::milliseconds acquire_lease_delay_for_minority = std::chrono::seconds{2},
        std::string role = {})
        : delay_(acquire_lease_delay_for_minority), role_(std::move(role)) {}
    std::string_view name() const noexcept override { return "lease-majority"; }
    std::string describe() const override;
    DowningVerdict decide(const SbrModel& model) const override;

private:
    std::chrono::milliseconds delay_;
    std::string role_;
};

/// Counts members by the weights of their roles: with a quorum like StaticQuorumStrategy, without one like
/// KeepMajorityStrategy. Weights must be equal on all nodes; the join check compares them.
class RoleWeightedQuorum : public DowningStrategy {
public:
    explicit RoleWeightedQuorum(RoleWeights weights, std::optional<std::uint64_t> quorum_size = {});
    std::string_view name() const noexcept override { return "role-weighted-quorum"; }
    std::string describe() const override;
    DowningVerdict decide(const SbrModel& model) const override { return inner_->decide(model); }
    std::string warning(const SbrModel& model) const override { return inner_->warning(model); }

private:
    std::shared_ptr<const DowningStrategy> inner_;
};

/// The nodes that a decision downs.
struct NodesToDown {
    std::vector<UniqueAddress> nodes;      ///< in UniqueAddress order
    std::vector<UniqueAddress> additional; ///< the ones that only the second decision of §15.4 named
    /// Whether the second decision was indirect again, so that everybody goes.
    bool conflict = false;
};
/// Applies the table of protocol.md §15.2, §15.4 included.
NodesToDown nodes_to_down(const DowningStrategy& strategy, const SbrModel& model, DowningDecision decision);
/// The same, but downs only those of the indirectly connected that the verdict blames, if it blames any.
NodesToDown nodes_to_down(const DowningStrategy& strategy, const SbrModel& model,
                          const DowningVerdict& verdict);

} // namespace muster
