// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Rules broken on purpose, to show that the simulation detects it (tests/mutants/mutants.md). Only that
/// test's own build defines MUSTER_MUTANTS; everywhere else a hook is the literal `false` and leaves no
/// trace.
#ifdef MUSTER_MUTANTS
#include <algorithm>
#include <array>
#include <string_view>

namespace muster::mutants {

inline constexpr std::array<std::string_view, 22> names = {
    "tombstones_ignored",
    "seen_kept_on_change",
    "merge_keeps_wrong_side",
    "uid_not_compared",
    "terminated_not_final",
    "self_downing_skipped",
    "outage_recorded",
    "stable_timer_not_restarted",
    "requeued_after_loss",
    "queue_limit_ignored",
    "leader_without_convergence",
    "ack_of_any_version",
    "numbers_given_again",
    "tie_won_by_both",
    "exiting_tasks_not_awaited",
    "quarantine_forgotten",
    "merge_not_ticked",
    "removed_without_tombstone",
    "stale_tells_kept",
    "order_lost_on_reconnect",
    "most_blamed",
    "join_unproven",
};
/// Selects the active mutant; empty: none. Set before anything runs.
inline std::string_view active;

inline bool is_on(std::string_view name) noexcept { return active == name; }
/// False when there is no such mutant.
inline bool enable(std::string_view name) noexcept {
    const auto known = std::find(names.begin(), names.end(), name);
    if (known == names.end()) return false;
    active = *known;
    return true;
}

} // namespace muster::mutants
#define MUSTER_MUTANT(name) ::muster::mutants::is_on(#name)
#else
#define MUSTER_MUTANT(name) false
#endif
