#pragma once
/// ClusterCore: one node's whole protocol, as a value that is told things and answers with effects (design.md
/// §2). No I/O, no clock, no randomness of its own. One thread.
#include <cstdint>
#include <functional>
#include <memory>
#include <muster/cluster/effects.hpp>
#include <muster/cluster/membership.hpp>
#include <muster/cluster/messages.hpp>
#include <muster/cluster/settings.hpp>
#include <muster/time.hpp>

namespace muster {

/// Source of randomness handed to the core: uniform 64-bit values, deterministic in simulation.
using RandomSource = std::function<std::uint64_t()>;

/// What happened to a connection with an incarnation: the raw material of evidence (protocol.md §12.7).
enum class LinkEvent : std::uint8_t {
    Established, ///< a handshake from or with exactly this incarnation
    EndedWithoutGoodbye,
    GoodbyeLink,     ///< idle or lane close: says nothing
    GoodbyeStopping, ///< the process says it stops
    ReconnectRefused,
    OtherIncarnation, ///< a handshake at its address named another uid
};

class ClusterCore {
public:
    ClusterCore(UniqueAddress self, ClusterSettings settings, RandomSource random);
    ~ClusterCore();
    ClusterCore(ClusterCore&&) noexcept;
    ClusterCore& operator=(ClusterCore&&) noexcept;

    // --- commands (protocol.md §10)
    // -------------------------------------------------------------------------------------
    /// JoinTo: to one address (self included). Stops a running seed process.
    void join(const Address& to, const Now& now, Effects& out);
    /// JoinSeedNodes with §5.2's rules.
    void join_seed_nodes(std::vector<Address> seeds, const Now& now, Effects& out);
    void leave(const Address& node, const Now& now, Effects& out);
    void down(const Address& node, const Now& now, Effects& out);
    void down(const UniqueAddress& node, const Now& now, Effects& out);
    void prepare_for_shutdown(const Now& now, Effects& out);
    /// The transport quarantined this incarnation (§10, §16).
    void quarantined(const UniqueAddress& node, const Now& now, Effects& out);
    /// The application's exiting tasks are done (§11.1).
    void exiting_completed(const Now& now, Effects& out);
    /// The service stops now (§11.3): the last diff, ClusterShuttingDown. No call is legal afterwards.
    void stop(const Now& now, Effects& out);

    // --- messages
    // -------------------------------------------------------------------------------------------------------
    /// Any message. Bad or misaddressed ones are counted, logged no-ops. `received` is when the bytes arrived
    /// (§6.1's time to live).
    void on_message(const ClusterMessage& message, Instant received, const Now& now, Effects& out);
    void on_link(const UniqueAddress& peer, LinkEvent event, const Now& now, Effects& out);
    /// A connection attempt to an address whose incarnation is unknown was refused by all its resolved
    /// addresses (§5.3).
    void on_connect_refused(const Address& peer, const Now& now, Effects& out);

    // --- time
    // -----------------------------------------------------------------------------------------------------------
    /// The periodic work; the node calls each with fixed delay at its interval of the settings.
    void tick_gossip(const Now& now, Effects& out);
    void tick_leader_actions(const Now& now, Effects& out);
    void tick_reaper(const Now& now, Effects& out);
    void tick_heartbeat(const Now& now, Effects& out);
    void tick_cross_dc_heartbeat(const Now& now, Effects& out);
    /// Seed and join processes: every 100 ms or so while not joined (deadlines inside are exact to that).
    void tick_join(const Now& now, Effects& out);
    void on_timer(TimerKey key, const Now& now, Effects& out);

    // --- queries
    // --------------------------------------------------------------------------------------------------------
    const UniqueAddress& self() const noexcept;
    const ClusterSettings& settings() const noexcept;
    /// The last installed state.
    const std::shared_ptr<const MembershipState>& state() const noexcept;
    bool is_joined() const noexcept;
    bool is_stopped() const noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace muster
