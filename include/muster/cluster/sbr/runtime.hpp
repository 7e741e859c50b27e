// SPDX-License-Identifier: Apache-2.0
#pragma once
/// When the resolver decides (protocol.md §15.1, §15.5, §15.6), and the life of its lease: a value that takes
/// events and ticks and answers with effects.
#include <chrono>
#include <cstdint>
#include <memory>
#include <muster/cluster/protocol/effects.hpp>
#include <muster/cluster/sbr/blame.hpp>
#include <muster/cluster/sbr/lease.hpp>
#include <muster/cluster/sbr/model.hpp>
#include <muster/cluster/sbr/provider.hpp>
#include <muster/cluster/sbr/record.hpp>
#include <muster/cluster/sbr/settings.hpp>
#include <muster/cluster/sbr/strategy.hpp>
#include <muster/cluster/state/events.hpp>
#include <muster/time.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace muster {

/// What a tick of the resolver did, in the reference's words (reference.md). `nodes` in the order they are
/// downed, self last.
namespace sbr_action {
struct None {};
struct DownUnreachable {
    std::vector<UniqueAddress> nodes;
};
struct DownAll {
    std::vector<UniqueAddress> nodes;
};
/// This side loses and goes (or only this node, when a remote node has quarantined it).
struct DownSelf {
    std::vector<UniqueAddress> nodes;
};
} // namespace sbr_action
using SbrAction =
    std::variant<sbr_action::None, sbr_action::DownUnreachable, sbr_action::DownAll, sbr_action::DownSelf>;

/// Log codes and counters of SbrRuntime.
namespace sbr_code {
inline constexpr std::string_view unreachable = "cluster.sbr.unreachable";
inline constexpr std::string_view healed = "cluster.sbr.healed";
inline constexpr std::string_view decision = "cluster.sbr.decision";
inline constexpr std::string_view conflict = "cluster.sbr.indirect_conflict";
inline constexpr std::string_view unstable = "cluster.sbr.unstable";
inline constexpr std::string_view responsible = "cluster.sbr.responsible";
inline constexpr std::string_view strategy_warning = "cluster.sbr.strategy_warning";
inline constexpr std::string_view lease = "cluster.sbr.lease";
inline constexpr std::string_view data_center = "cluster.sbr.data_center";
inline constexpr std::string_view quarantined = "cluster.sbr.quarantined_by_remote";
inline constexpr std::string_view stash_full = "cluster.sbr.stash_full";
inline constexpr std::string_view decisions = "cluster.sbr.decisions";
inline constexpr std::string_view downed = "cluster.sbr.downed";
} // namespace sbr_code

/// The resolver of one node. Feed it every ClusterEvent in published order (from the empty state on:
/// subscribe as events, or diff_events(nullptr, state)), tick() every SbrSettings::tick_interval, its timer,
/// and the outcomes of its lease operations. Effects: Down (self last), Record before them, LeaseCheck /
/// LeaseAcquire / LeaseRelease, SetTimer / CancelTimer of CoreTimer::LeaseDelay, Log, Count. One thread.
class SbrRuntime {
public:
    /// `settings` must be valid (ENSURE).
    SbrRuntime(UniqueAddress self, std::string self_data_center, SbrSettings settings);
    /// The same with an application's own strategy; `settings` gives times, lease and dry-run.
    SbrRuntime(UniqueAddress self, std::string self_data_center,
               std::shared_ptr<const DowningStrategy> strategy, SbrSettings settings);

    void on_event(const ClusterEvent& event, const Now& now, Effects& out);
    /// The same for events that were published together; costs less, and observers see no intermediate
    /// states.
    void on_events(std::span<const ClusterEvent> events, const Now& now, Effects& out);
    /// Takes the Leaving and Exiting members that announced their stop, sorted (ClusterCore::departed),
    /// before the events that follow from it.
    void set_departed(std::vector<UniqueAddress> departed);
    /// Decides when a decision is due; acts on instability even if not responsible; releases the lease.
    SbrAction tick(const Now& now, Effects& out);
    /// Takes LeaseDelay only; ignores others.
    SbrAction on_timer(TimerKey key, const Now& now, Effects& out);
    /// The answer to the effect with this generation; a stale one is ignored.
    SbrAction on_lease(std::uint64_t generation, const LeaseAnswer& answer, const Now& now, Effects& out);
    /// A remote node reported that it has quarantined this one. If exactly that incarnation is a member, this
    /// node goes at once (protocol.md §15.6).
    SbrAction quarantined_by_remote(const UniqueAddress& remote, const Now& now, Effects& out);

    /// The decision that would be taken now, without carrying it out; Stay while everybody is reachable.
    SbrDecisionRecord explain(const Now& now) const;
    /// Observers are told at the event that changed the answer. They must not call back into this object.
    void add_quorum_observer(std::shared_ptr<QuorumObserver> observer);
    void remove_quorum_observer(const std::shared_ptr<QuorumObserver>& observer);

    bool is_responsible() const noexcept { return is_leader_ && self_was_up_; }
    bool is_waiting_for_lease() const noexcept { return wait_.has_value(); }
    /// One sentence about the lease that a decision waits for; empty when none waits.
    std::string lease_wait(const Now& now) const;
    /// Whether self was removed; then the resolver does nothing more.
    bool is_stopped() const noexcept { return stopped_; }
    /// Whether this node's side would survive, as far as it can see. Costs one decision.
    bool has_quorum() const;
    const SbrModel& model() const noexcept { return model_; }
    const SbrSettings& settings() const noexcept { return settings_; }
    const DowningStrategy& strategy() const noexcept { return *strategy_; }

    /// The most events kept while waiting for the lease; one more fails the wait, which is safe.
    static constexpr std::size_t stash_max = 100'000;

private:
    /// The statistics of protocol.md §15.5.
    struct Changes {
        Instant first{};
        Instant latest{};
        std::uint64_t count = 0;
    };
    /// A decision that waits for the lease.
    struct LeaseWait {
        enum class Step : std::uint8_t { Checking, Delaying, Acquiring, Watching };
        DowningVerdict verdict;
        Step step = Step::Checking;
        std::uint64_t generation = 0;
        Instant deadline{};                      // of the operation under way; Watching: of all of it
        std::optional<LeaseAnswer::Watch> watch; // what the last answer told of somebody's grant
        Instant watched{};                       // when that was
        std::optional<Instant> watch_until;      // no later: then it counts as denied
    };
    /// When to release the lease.
    struct ReleaseWhen {
        std::vector<UniqueAddress> downed; // sorted; waits for their removal first
        std::optional<Instant> at;         // then until here
    };
    using Stashed = std::variant<ClusterEvent, UniqueAddress>; // an event, or who quarantined us

    void apply(const ClusterEvent& event, const Now& now, Effects& out);
    /// Adds the members that the events at the front announce to the model; returns the number of those
    /// events.
    std::size_t arrived(std::span<const ClusterEvent> events);
    void joining(const Member& member, bool weakly_up, Effects& out);
    void up(const Member& member, const Now& now, Effects& out);
    void unreachable(const Member& member, const Now& now);
    void reachable(const Member& member, const Now& now);
    /// Applies the removals at the front of `events`; returns their number.
    std::size_t removed(std::span<const ClusterEvent> events, const Now& now);
    void forget_removed(std::span<const Member> gone, const Now& now);
    void warn_of_strategy(Effects& out);
    void leader_changed(const std::optional<UniqueAddress>& leader, Effects& out);
    void track_foreign(const ClusterEvent& event);

    void restart_stable(const Now& now) { stable_since_ = now.monotonic; }
    void count_change(const Now& now);
    void reset_changes(const Now& now) {
        changes_ = {now.monotonic, now.monotonic, 0};
        withdrawn_.clear();
    }
    void set_reachability(const Reachability& reachability, const Now& now);
    void reset_changes_if_settled(const Now& now);
    void report_unreachable(std::size_t before, Effects& out);
    void update_quorum();

    void stop(Effects& out);
    void stash(Stashed item, const Now& now, Effects& out);
    SbrAction unstash(SbrAction action, const Now& now, Effects& out);
    std::chrono::milliseconds patience() const;
    DowningVerdict verdict() const;
    DowningVerdict verdict_when_unstable(const Now& now) const;
    SbrAction check_unstable(const Now& now, Effects& out);
    SbrAction decide(const Now& now, Effects& out);
    SbrAction act(DowningVerdict verdict, SbrTrigger trigger, const Now& now, Effects& out,
                  std::optional<UniqueAddress> quarantined_by = {}, std::string lease = {});
    SbrDecisionRecord make_record(const DowningVerdict& verdict, SbrTrigger trigger, const Now& now) const;

    void begin_lease_wait(DowningVerdict verdict, const Now& now, Effects& out);
    void acquire_lease(const Now& now, Effects& out);
    SbrAction lease_obtained(SbrTrigger trigger, const Now& now, Effects& out);
    SbrAction on_lease_acquire(const LeaseAnswer& answer, const Now& now, Effects& out);
    void watch_lease(const LeaseAnswer::Watch& watch, const Now& now, Effects& out);
    std::string lease_overdue() const;
    SbrAction lease_not_obtained(std::string why, const Now& now, Effects& out);
    void hold_until_removed(const std::vector<UniqueAddress>& downed, const Now& now);
    void release_lease_when_due(const Now& now, Effects& out);

    UniqueAddress self_;
    SbrSettings settings_;
    std::shared_ptr<const DowningStrategy> strategy_;
    SbrModel model_;
    std::set<UniqueAddress> foreign_; // members of other data centers
    bool is_leader_ = false;
    bool self_was_up_ = false;
    bool stopped_ = false;
    bool may_have_settled_ =
        false;                     // an event came after which nobody unreachable may be left to decide about
    bool members_came_up_ = false; // since the strategy was last asked whether it can cope
    Instant stable_since_{};
    Changes changes_;
    WithdrawnSuspicions withdrawn_; // since the statistics began; with Indirect::Blamed only

    std::uint64_t generation_ = 0;
    std::optional<LeaseWait> wait_;
    std::vector<Stashed> stash_;
    std::optional<ReleaseWhen> release_;
    std::uint64_t releasing_ = 0; // generation of the release under way, 0: none
    Instant release_deadline_{};

    bool told_quorum_ = true; // what the observers know
    std::vector<std::shared_ptr<QuorumObserver>> observers_;
};

} // namespace muster
