// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The record of a resolver's decision, with everything that went into it (protocol.md §15).
#include <cstdint>
#include <muster/cluster/sbr/strategy.hpp>
#include <muster/time.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

/// The trigger of a decision.
enum class SbrTrigger : std::uint8_t {
    Asked,               ///< SbrRuntime::explain was called
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

} // namespace muster
