#pragma once
/// Which side of a split survives (protocol.md §15): the model the decision is taken on, the strategies, and
/// the record a decision leaves. Pure values; the runtime around them is in sbr_runtime.hpp.
#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <muster/cluster/state/member.hpp>
#include <muster/cluster/state/membership.hpp>
#include <muster/cluster/state/reachability.hpp>
#include <muster/error.hpp>
#include <muster/time.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace muster {

/// What a strategy decides (protocol.md §15.2), the reference's four first.
enum class DowningDecision : std::uint8_t {
    DownUnreachable, ///< this side survives
    DownAll,         ///< nobody survives
    DownSelf, ///< the losing side, this one, goes: all of it, not only this node (§15.2: DownReachable)
    Stay,     ///< nothing to do
    DownIndirectlyConnected,
    ReverseDownIndirectlyConnected, ///< what a denied lease makes of the one before
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
/// What becomes of a lease decision when the lease is not obtained; other decisions stay.
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

/// Which statuses a count includes beyond the certain ones (protocol.md §15.2).
struct SbrCounting {
    bool possibly_up = false;          ///< Joining and WeaklyUp too: the other side may have moved them up
    bool not_possibly_exiting = false; ///< without Leaving: the other side may have moved them to Exiting
};

/// Nodes with information flowing between them although some mark others unreachable (protocol.md §15.4).
struct IndirectlyConnected {
    std::vector<UniqueAddress> by_cycle; ///< both observe and are observed; in UniqueAddress order
    std::vector<UniqueAddress> by_seen;  ///< of rows whose subject has seen the current gossip; likewise
    std::vector<UniqueAddress> all() const;
    bool empty() const noexcept { return by_cycle.empty() && by_seen.empty(); }
};

/// One data center's members as the resolver sees them. Members of other data centers are ignored. A value.
class SbrModel {
public:
    SbrModel(UniqueAddress self, std::string self_data_center);
    /// From one moment of the membership: what the events up to it would have built.
    static SbrModel from_state(const MembershipState& state);

    /// Adds or replaces. Each answers whether the member is of this data center.
    bool add(const Member& member);
    /// Adds those that are not in the model, together, as one by one a whole cluster would cost its square.
    void add_new(std::span<const Member> members);
    bool add_unreachable(const Member& member);
    bool add_reachable(const Member& member);
    bool remove(const Member& member) { return remove(std::span(&member, 1)) != 0; }
    /// Together, as one by one half of a cluster would cost its square. How many were of this data center.
    std::size_t remove(std::span<const Member> members);
    /// Keeps the negative rows whose ends are both in the model.
    void set_reachability(const Reachability& reachability);
    void set_seen_by(std::vector<UniqueAddress> seen_by);
    /// Leaving and Exiting members that said Goodbye{stopping} (protocol.md §11.1), sorted: they count on no
    /// side. They may be downed.
    void set_departed(std::vector<UniqueAddress> departed) noexcept { departed_ = std::move(departed); }
    bool is_departed(const UniqueAddress& node) const noexcept;

    const UniqueAddress& self() const noexcept { return self_; }
    const std::string& self_data_center() const noexcept { return self_data_center_; }
    /// Every member of the data center whatever its status, in Member order.
    std::span<const Member> all_members() const noexcept { return members_; }
    const Member* find(const UniqueAddress& node) const noexcept;
    /// In UniqueAddress order. May name Down and Exiting members.
    const std::vector<UniqueAddress>& unreachable() const noexcept { return unreachable_; }
    bool is_unreachable(const UniqueAddress& node) const noexcept;
    const Reachability& reachability() const noexcept { return reachability_; }
    const std::vector<UniqueAddress>& seen_by() const noexcept { return seen_by_; }

    /// The counted ones: never Down or Exiting; see SbrCounting. In Member order.
    std::vector<Member> members(SbrCounting counting = {}) const;
    std::vector<Member> reachable_members(SbrCounting counting = {}) const;
    std::vector<Member> unreachable_members(SbrCounting counting = {}) const;
    /// Joining and WeaklyUp.
    std::vector<Member> joining() const;
    /// Who may be downed: counted or joining.
    std::vector<UniqueAddress> downable() const;

    /// From now on only who has seen the current gossip counts as indirectly connected. Who accused somebody
    /// and then died is an end of rows in both directions, too, but nothing flows from it any more: for
    /// everybody else it is as gone as whom it accused.
    void require_seen() noexcept { seen_required_ = true; }
    IndirectlyConnected indirectly_connected() const;
    bool has_indirectly_connected() const;
    /// The model in which the second decision of §15.4 is taken: without the rows among the indirectly
    /// connected and those with an end that cannot be downed; unreachable is what the remaining rows say.
    SbrModel without_indirectly_connected() const;
    /// Nobody unreachable is left that counts: all are Down, Exiting or departed.
    bool all_unreachable_down_or_exiting() const noexcept;

private:
    template <class Keep>
    std::vector<Member> select(SbrCounting counting, Keep keep) const;

    UniqueAddress self_;
    std::string self_data_center_;
    std::vector<Member> members_;            // sorted
    std::vector<UniqueAddress> unreachable_; // sorted
    Reachability reachability_;              // filtered
    std::vector<UniqueAddress> seen_by_;     // sorted
    std::vector<UniqueAddress> departed_;    // sorted
    bool seen_required_ = false;
};

/// What a strategy says about one model, with what it counted to get there.
struct DowningVerdict {
    DowningDecision decision = DowningDecision::Stay;
    /// How long to wait before acquiring the lease, so that the majority wins it; lease decisions only.
    std::chrono::milliseconds acquire_delay{0};
    /// Which rule it was: a sentence for people, a literal.
    std::string_view rule;
    std::vector<UniqueAddress> counted_reachable;   ///< in Member order
    std::vector<UniqueAddress> counted_unreachable; ///< likewise
    std::uint64_t weight_reachable = 0;             ///< their weights; without weights their number
    std::uint64_t weight_unreachable = 0;
    std::optional<UniqueAddress> deciding_node; ///< lowest address, oldest or referee, where one decided
    /// Of an indirect decision: only these of the indirectly connected go (SbrSettings::Indirect::Blamed);
    /// empty: all.
    std::vector<UniqueAddress> blamed;
};

/// Decides for one side of a split. Pure: the same model gives the same verdict. Implementations are
/// immutable, so safe to share between threads.
class DowningStrategy {
public:
    virtual ~DowningStrategy() = default;
    /// As in the setting split-brain-resolver.active-strategy.
    virtual std::string_view name() const noexcept = 0;
    /// Name and settings for logs: "keep-majority(role=backend)".
    virtual std::string describe() const { return std::string(name()); }
    virtual DowningVerdict decide(const SbrModel& model) const = 0;
    /// A sentence when the model is one the strategy cannot keep its promise for; empty: fine.
    virtual std::string warning(const SbrModel& model) const {
        static_cast<void>(model);
        return {};
    }
};

/// Keeps the side with more members (by weight), of equal ones the side with the lowest address. A second
/// look assumes that the other side knows about members that came up or left meanwhile: when it might count
/// itself the winner too, nobody stays.
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

/// Keeps the side with at least `quorum_size` members (by weight). Two such sides are excluded by never
/// having more than 2 * quorum_size - 1; with more, nobody stays.
class StaticQuorumStrategy : public DowningStrategy {
public:
    /// `quorum_size` >= 1 (ENSURE; SbrSettings::validate reports it politely).
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

/// Keeps the side of the oldest member, unless that one is alone while the others are at least two.
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

/// Keeps the side that can reach one given node. Simple, and a hazard: when the referee crashes everybody
/// stops.
class KeepReferee : public DowningStrategy {
public:
    /// With fewer than `down_all_if_less_than_nodes` counted members beside and including the referee nobody
    /// stays.
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

/// Any split ends everybody: a new cluster is cheaper than a doubt.
class DownAllStrategy : public DowningStrategy {
public:
    std::string_view name() const noexcept override { return "down-all"; }
    DowningVerdict decide(const SbrModel& model) const override;
};

/// Whoever gets a lease from outside (lease.hpp) stays; the smaller side asks later.
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

/// Whom a decision downs.
struct NodesToDown {
    std::vector<UniqueAddress> nodes;      ///< in UniqueAddress order
    std::vector<UniqueAddress> additional; ///< those of them that only the second decision of §15.4 named
    /// The second decision was indirect again, so everybody goes.
    bool conflict = false;
};
/// protocol.md §15.2's table, §15.4 included.
NodesToDown nodes_to_down(const DowningStrategy& strategy, const SbrModel& model, DowningDecision decision);
/// The same, but of the indirectly connected only those the verdict blames, if it does.
NodesToDown nodes_to_down(const DowningStrategy& strategy, const SbrModel& model,
                          const DowningVerdict& verdict);

/// Why a decision was taken when it was.
enum class SbrTrigger : std::uint8_t {
    Asked,               ///< somebody wanted to know (SbrRuntime::explain)
    Stable,              ///< no change for stable-after
    Unstable,            ///< changes would not end (protocol.md §15.5)
    LeaseAlreadyHeld,    //
    LeaseAcquired,       //
    LeaseDenied,         ///< or failed, or not answered in time
    QuarantinedByRemote, ///< protocol.md §15.6
};
std::string_view to_string(SbrTrigger trigger) noexcept;

/// Everything about one decision: inputs, what was counted, the indirectly connected, the rule, the outcome.
struct SbrDecisionRecord {
    struct Input {
        UniqueAddress node;
        MemberStatus status{};
        std::int32_t up_number{};
        bool unreachable{};
        bool seen{};
    };

    WallTime when;
    UniqueAddress self;
    std::string strategy; ///< DowningStrategy::describe
    SbrTrigger trigger{};
    bool responsible = false; ///< this node is its side's leader
    bool dry_run = false;     ///< recorded, not carried out
    DowningVerdict
        verdict; ///< of the strategy; its rule names the trigger's own rule where no strategy was asked
    std::vector<Input> members;
    std::vector<Reachability::Record> rows;
    IndirectlyConnected indirectly_connected;
    std::vector<UniqueAddress> additional;
    bool conflict = false;
    std::optional<UniqueAddress> quarantined_by;
    std::string lease;               ///< why it was not obtained: the backend's reason, or who has it
    Duration since_last_change{};    ///< of membership or reachability
    Duration since_first_change{};   ///< of the unstable period
    std::uint64_t changes = 0;       ///< of reachability in it
    std::vector<UniqueAddress> down; ///< in the order it is carried out, self last

    /// One line; lists longer than `line_nodes_max` are cut with their length told.
    std::string to_line() const;
    /// One JSON object with everything.
    std::string to_json() const;
    static constexpr std::size_t line_nodes_max = 20;
};

/// Names as in split-brain-resolver.active-strategy.
std::span<const std::string_view> sbr_strategy_names() noexcept;

/// Settings of the resolver (protocol.md §18, split-brain-resolver.*).
struct SbrSettings {
    /// split-brain-resolver.down-all-when-unstable.
    class Unstable {
    public:
        /// After max(4 s, 3/4 of stable-after) beyond stable-after.
        static Unstable on() noexcept { return Unstable(Mode::Derived, {}); }
        static Unstable off() noexcept { return Unstable(Mode::Off, {}); }
        /// That long beyond stable-after; > 0. At most stable-after is recommended.
        static Unstable after(std::chrono::milliseconds limit) noexcept {
            return Unstable(Mode::After, limit);
        }
        /// With this stable-after; nullopt: off.
        std::optional<std::chrono::milliseconds> limit(std::chrono::milliseconds stable) const noexcept;

    private:
        enum class Mode : std::uint8_t { Derived, Off, After };
        Unstable(Mode mode, std::chrono::milliseconds limit) noexcept : mode_(mode), limit_(limit) {}
        Mode mode_;
        std::chrono::milliseconds limit_;
    };

    /// Who goes when nodes call each other unreachable while information still flows (protocol.md §15.4), or
    /// keep changing their minds about it (§15.5).
    enum class Indirect : std::uint8_t {
        /// As in Pekko and in the classic preset: everybody at either end of such a row; of changes that do
        /// not end, everybody.
        All,
        /// The few that explain all of it (sbr_blame.hpp), if there are such and the others are certainly a
        /// majority; else as All.
        Blamed,
    };

    std::string strategy = "keep-majority";         ///< one of sbr_strategy_names()
    std::chrono::milliseconds stable_after{20'000}; ///< >= 0; see recommended_stable_after
    Unstable down_all_when_unstable = Unstable::on();
    /// split-brain-resolver.indirectly-connected: "all" or "blamed". To be the same on all nodes.
    Indirect indirect = Indirect::Blamed;
    /// Only members with this role count (keep-majority, static-quorum, keep-oldest, lease-majority); "":
    /// all.
    std::string role;
    /// Weights by role (keep-majority, static-quorum, role-weighted-quorum).
    std::map<std::string, std::uint32_t> weights;
    std::uint32_t weight_of_others = 1; ///< of members none of whose roles has a weight
    /// static-quorum: >= 1, required. role-weighted-quorum: 0 means keep the majority by weight.
    std::uint64_t quorum_size = 0;
    bool down_if_alone = true;                   ///< keep-oldest
    std::optional<Address> referee;              ///< keep-referee: required
    std::size_t down_all_if_less_than_nodes = 1; ///< keep-referee
    /// lease-majority: which backend, e.g. "file" or "memory" or an application's own name; required.
    std::string lease_implementation;
    std::string lease_name;                                           ///< "": default_lease_name(cluster)
    std::chrono::milliseconds acquire_lease_delay_for_minority{2000}; ///< >= 0
    std::chrono::milliseconds release_after{40'000};                  ///< >= 0
    /// A lease operation not answered for so long has failed; > 0.
    std::chrono::milliseconds lease_operation_timeout{5000};
    /// Decide and record, but down nobody and ask for no lease.
    bool dry_run = false;

    /// The first setting that cannot work: Errc::invalid_argument, subject "setting
    /// split-brain-resolver.<name>" (or the strategy's own sub-setting), advice what would be right.
    result<void> validate() const;
    /// The strategy these settings name; the error of validate() otherwise.
    result<std::shared_ptr<const DowningStrategy>> make_strategy() const;
    RoleWeights role_weights() const;
    /// Canonical values for the join check (protocol.md §5.5): strategy, and weights.
    std::string config_strategy() const { return strategy; }
    std::string config_weights() const { return role_weights().canonical(); }
    /// Every other setting that decides who stays, by full key, in canonical text: two nodes that differ in
    /// one may both stay, or both go. `cluster_name` makes the default lease's name.
    std::map<std::string, std::string> config_deciding(std::string_view cluster_name) const;
    /// Those that decide when, and dry-run: a difference is worth a warning.
    std::map<std::string, std::string> config_timing() const;

    static constexpr std::chrono::milliseconds tick_interval{1000};
    /// By cluster size: 5: 7 s, 10: 10 s, 20: 13 s, 50: 17 s, 100: 20 s, more: 30 s (protocol.md §15.7).
    static std::chrono::milliseconds recommended_stable_after(std::size_t members) noexcept;
    static std::string default_lease_name(std::string_view cluster_name);
};

/// Whoever downs unreachable members, or does not (protocol.md §15.8).
class DowningProvider {
public:
    virtual ~DowningProvider() = default;
    /// As in the setting cluster.downing-provider, which must be equal on all nodes.
    virtual std::string_view name() const noexcept = 0;
    /// How long higher layers wait after MemberRemoved of a downed member before they start its work
    /// elsewhere (protocol.md §15.7). `configured` is cluster.down-removal-margin, 0 when off.
    virtual std::chrono::milliseconds
    down_removal_margin(std::chrono::milliseconds configured) const noexcept = 0;
    /// What it would do about this state if nothing changed any more.
    virtual DowningDecision decide(const MembershipState& state) const = 0;
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
    /// Whom that decision downs, in UniqueAddress order.
    std::vector<UniqueAddress> nodes_to_down(const MembershipState& state) const;

    const std::shared_ptr<const DowningStrategy>& strategy() const noexcept { return strategy_; }
    const SbrSettings& settings() const noexcept { return settings_; }

private:
    std::shared_ptr<const DowningStrategy> strategy_;
    SbrSettings settings_;
};

/// Told when this side, as it sees itself, stops and starts again to be one that would survive. Edge
/// triggered: each call is a change. An application can stop taking writes at once instead of after
/// stable-after.
class QuorumObserver {
public:
    virtual ~QuorumObserver() = default;
    virtual void on_quorum_lost() = 0;
    virtual void on_quorum_regained() = 0;
};

} // namespace muster
