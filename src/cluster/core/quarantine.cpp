// SPDX-License-Identifier: Apache-2.0
#include "quarantine.hpp"

#include "emit.hpp"
#include <limits>
#include <muster/ensure.hpp>

namespace muster {

void Quarantine::on_removed(const UniqueAddress& node, MemberStatus previous, Effects& out) {
    if (previous == MemberStatus::Down) {
        out.emplace_back(effect::Quarantine{node, false});
        return;
    }
    const std::uint64_t number = next_++;
    numbers_.emplace(node, number);
    nodes_.emplace(number, node);
    set_timer(out, CoreTimer::QuarantineRemoved, number, after_);
}

void Quarantine::on_timer(std::uint64_t number, Effects& out) {
    const auto pending = nodes_.find(number);
    if (pending == nodes_.end()) return;
    out.emplace_back(effect::Quarantine{pending->second, true});
    numbers_.erase(pending->second);
    nodes_.erase(pending);
}

void Quarantine::on_joining(const Address& address, Effects& out) {
    const UniqueAddress first(address, Uid{std::numeric_limits<std::int64_t>::min()});
    auto at = numbers_.lower_bound(first);
    while (at != numbers_.end() && at->first.address() == address) {
        out.emplace_back(effect::CancelTimer{{CoreTimer::QuarantineRemoved, at->second}});
        out.emplace_back(effect::Quarantine{at->first, true});
        nodes_.erase(at->second);
        at = numbers_.erase(at);
    }
}

void Quarantine::check() const {
    MUSTER_ENSURE(numbers_.size() == nodes_.size(), "every removed incarnation has one timer");
    for (const auto& [node, number] : numbers_) {
        const auto timer = nodes_.find(number);
        MUSTER_ENSURE(timer != nodes_.end() && timer->second == node, "a timer is of whom it was set for");
        MUSTER_ENSURE(number < next_, "the number of a timer is not given again");
    }
}

} // namespace muster
