// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the subjects of the core share: who this node is, what it holds and what it has published
/// (architecture.md, The protocol core).
#include <cstdint>
#include <memory>
#include <muster/cluster/protocol/random.hpp>
#include <muster/cluster/protocol/settings.hpp>
#include <muster/cluster/state/membership.hpp>
#include <optional>
#include <vector>

namespace muster {

/// Where a node stands on its way into a cluster (protocol.md §5.1).
enum class CorePhase : std::uint8_t {
    Uninitialized,
    AwaitingIncarnation, ///< a first seed that has sent a Join waits for its fresh uid
    TryingToJoin,
    Initialized,
    Stopped,
};

/// Whose the installed version is. It decides who passes it on (§6.6).
enum class Origin : std::uint8_t {
    Unchanged, ///< the version is the same, or its maker is not in question
    Here,      ///< made by a change or a merge of this node
    Elsewhere,
};

/// What is known of a version before it is installed: an ack may overtake the state it names (§6.6).
class KnownSeen {
public:
    virtual ~KnownSeen() = default;
    virtual Gossip with_known_seen(Gossip g) const = 0;
};

/// Every subject reads it; only the wiring of ClusterCore changes it, so that what follows a change
/// (publication, failure detection, tombstones) is never forgotten. Only Joining changes the phase besides.
class CoreState {
public:
    /// ENSURE: others can reach `self`.
    CoreState(UniqueAddress self, ClusterSettings settings, RandomSource random);

    const UniqueAddress& self() const noexcept { return self_; }
    const ClusterSettings& settings() const noexcept { return settings_; }
    const RandomSource& random() const noexcept { return random_; }
    CorePhase phase() const noexcept { return phase_; }
    bool is_initialized() const noexcept { return phase_ == CorePhase::Initialized; }
    bool is_stopped() const noexcept { return phase_ == CorePhase::Stopped; }

    /// The last installed state, which is published before the input ends.
    const std::shared_ptr<const MembershipState>& membership() const noexcept { return installed_; }
    const Gossip& gossip() const noexcept { return *installed_->gossip; }
    MemberStatus self_status() const noexcept { return installed_->self_status(); }
    bool is_member(const UniqueAddress& node) const noexcept { return gossip().has_member(node); }
    /// A member of the own data center.
    bool is_own_dc(const UniqueAddress& node) const noexcept;
    bool is_made_here() const noexcept { return is_made_here_; }
    /// Self is Exiting and the application's hand-over is not done (§11.1): nothing is marked seen.
    bool are_exiting_tasks_running() const noexcept { return exiting_tasks_run_; }
    bool is_preparing_for_shutdown() const noexcept { return preparing_for_shutdown_; }

    // --- changes
    void enter(CorePhase phase) noexcept { phase_ = phase; }
    /// Makes `g` the installed state, with what is known of its seen set. Nothing is published or sent.
    void install(Gossip g, Origin origin = Origin::Unchanged);
    /// The local change rule of §2: own clock entry, seen exactly self (nobody while exiting tasks run).
    void local_change(const Gossip& g);
    struct Published {
        std::shared_ptr<const MembershipState> before;
        std::vector<ClusterEvent> events; ///< what changed since
    };
    /// The installed state is the published one from now on. nullopt: it was so already.
    std::optional<Published> publish();
    /// A state that was held and published before: restoration.
    void restore(GossipPtr gossip);
    /// The same address with a fresh uid, which holds nothing.
    void begin_incarnation(const UniqueAddress& fresh);
    void set_app_version(AppVersion version) { settings_.app_version = std::move(version); }
    void set_exiting_tasks_running(bool run) noexcept { exiting_tasks_run_ = run; }
    void set_preparing_for_shutdown() noexcept { preparing_for_shutdown_ = true; }
    /// From now on only stopped. The events that take back what was published.
    std::vector<ClusterEvent> stop();
    /// Asked with every new version that is installed; nullptr: nobody. It must live as long as this.
    void ask_what_is_seen(const KnownSeen* known) noexcept { known_seen_ = known; }

    /// The state that says nothing: of a node that has not joined or has stopped.
    std::shared_ptr<const MembershipState> nothing() const;
    /// Every new version is checked when it is installed.
    void check_versions(bool on) noexcept { checks_versions_ = on; }
    /// Invariants (ENSURE), at the end of an input.
    void check() const;

private:
    std::shared_ptr<const MembershipState> state_of(GossipPtr gossip) const;

    UniqueAddress self_;
    ClusterSettings settings_;
    RandomSource random_;
    CorePhase phase_ = CorePhase::Uninitialized;
    std::shared_ptr<const MembershipState> installed_;
    std::shared_ptr<const MembershipState> published_;
    const KnownSeen* known_seen_ = nullptr;
    bool is_made_here_ = false;
    bool exiting_tasks_run_ = false;
    bool preparing_for_shutdown_ = false;
    bool checks_versions_ = false;
};

/// Members of the own data center.
std::vector<Member> own_dc_members(const MembershipState& state);

} // namespace muster
