// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/sbr/lease.hpp>

#include <utility>

namespace muster {

std::string_view to_string(LeaseOutcome outcome) noexcept {
    switch (outcome) {
    case LeaseOutcome::Held: return "Held";
    case LeaseOutcome::NotHeld: return "NotHeld";
    case LeaseOutcome::Failed: return "Failed";
    case LeaseOutcome::Watching: return "Watching";
    }
    return "?";
}

LeaseAnswer LeaseAnswer::failed(Error why, bool permanent) {
    LeaseAnswer answer(LeaseOutcome::Failed);
    answer.error = std::move(why);
    answer.permanent = permanent;
    return answer;
}

std::string LeaseAnswer::reason() const {
    if (outcome == LeaseOutcome::Held) return {};
    if (outcome == LeaseOutcome::Failed) return error ? error->message() : "the lease's backend failed";
    if (!watch) return "another owner has it";
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(watch->unchanged_for).count();
    return watch->owner + " has it: its grant was seen unchanged for " + std::to_string(ms) + " of " +
           std::to_string(watch->time_to_live.count()) + " ms";
}

std::string lease_owner(std::string_view host_port) { return std::string(host_port); }

} // namespace muster
