// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Effects, the output of this layer's pure values: the node carries them out in order (architecture.md, The
/// protocol core).
#include <chrono>
#include <cstdint>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/cluster/state/events.hpp>
#include <muster/log.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace muster {

/// One-shot timers of the core, named by purpose and, where there are many of one, by a number that the core
/// chose.
enum class CoreTimer : std::uint8_t {
    GossipSpeedUp,        ///< the extra rounds at 1/3 and 2/3 (protocol.md §6.5)
    ExpectFirstHeartbeat, ///< §12.3
    ExpectFirstCrossDcHeartbeat,
    EagerForward, ///< §6.6
    EagerRepair,
    JoinBatch,
    Evidence,          ///< §12.7, rank delay
    QuarantineRemoved, ///< §16
    LeaseDelay,        ///< §15.3 lease-majority
    Farewell,
};
struct TimerKey {
    CoreTimer timer{};
    std::uint64_t number{};
    auto operator<=>(const TimerKey&) const = default;
};

/// Why a node stops (the reasons of protocol.md §17).
enum class ShutdownReason : std::uint8_t {
    Leaving,
    Downed,
    JoinUnsuccessful,
    IncompatibleConfiguration,
    Requested,
    LeaveUnfinished,  ///< the others did not release it in time: it marked itself Down (protocol.md §11.1)
    CannotStart,      ///< a setting that only fails in use does not work: the lease (protocol.md §15.3)
    IncarnationSpent, ///< its counters were pushed so far that it must come back as another incarnation
                      ///< (protocol.md §2)
};
std::string_view to_string(ShutdownReason reason) noexcept;

namespace effect {
struct Send {
    Destination to;
    ClusterMessage message;
};
/// The state to publish to readers, with the events that lead to it, in order.
struct Publish {
    std::shared_ptr<const MembershipState> state;
    std::vector<ClusterEvent> events;
};
struct SetTimer {
    TimerKey key;
    Duration delay{};
}; ///< replaces a pending one of the same key
struct CancelTimer {
    TimerKey key;
};
/// The node's own detector state of an address is void: a new incarnation joined (transport forgets evidence
/// too).
struct Quarantine {
    UniqueAddress node;
    bool harmless{};
};
/// Find out whether exactly this incarnation answers at its address; on_link() reports an answer, and nothing
/// reports its absence (protocol.md §5.6).
struct Prove {
    UniqueAddress node;
};
/// Self was seen Exiting: run the application's hand-over, then call ClusterCore::exiting_completed.
struct RunExitingTasks {};
/// Start coordinated shutdown.
struct Shutdown {
    ShutdownReason reason{};
};
/// Take a new incarnation before self-joining (protocol.md §5.6, first seed).
struct NewIncarnation {};
struct Log {
    LogLevel level{};
    std::string_view code;
    std::string peer;
    LogFields fields;
};
struct Count {
    std::string_view id;
    std::uint64_t n = 1;
}; ///< adds to the counter of this name
/// One decision of the resolver, self last, to be carried out through ClusterCore::down in one change.
struct Down {
    std::vector<UniqueAddress> nodes;
};
/// Lease operations carry a generation; an answer with a stale one is ignored.
struct LeaseCheck {
    std::uint64_t generation{};
};
struct LeaseAcquire {
    std::uint64_t generation{};
};
struct LeaseRelease {
    std::uint64_t generation{};
};
} // namespace effect

struct SbrDecisionRecord; // cluster/sbr/record.hpp
namespace effect {
struct Record {
    std::shared_ptr<const SbrDecisionRecord> decision;
};
} // namespace effect

using Effect =
    std::variant<effect::Send, effect::Publish, effect::SetTimer, effect::CancelTimer, effect::Quarantine,
                 effect::RunExitingTasks, effect::Shutdown, effect::NewIncarnation, effect::Log,
                 effect::Count, effect::Down, effect::LeaseCheck, effect::LeaseAcquire, effect::LeaseRelease,
                 effect::Record, effect::Prove>;
using Effects = std::vector<Effect>;

} // namespace muster
