// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/state/gossip_check.hpp>

#include <algorithm>
#include <muster/cluster/state/gossip_limits.hpp>
#include <string>
#include <utility>

namespace muster {
namespace {

Error impossible(std::string subject, std::string advice) {
    return {Errc::malformed, std::move(subject), std::move(advice)};
}

result<void> check_nodes(const Gossip& gossip) {
    const Address* first = nullptr;
    const auto is_other_cluster = [&first](const Address& address) {
        if (first == nullptr) first = &address;
        return address.system != first->system || address.protocol != first->protocol;
    };
    const auto other_cluster = [](const UniqueAddress& node) {
        return impossible("gossip node " + node.to_string(),
                          "all nodes of a gossip have one protocol and one system");
    };
    auto grave = gossip.tombstones().begin();
    const auto graves_end = gossip.tombstones().end();
    for (const Member& m : gossip.members()) {
        const UniqueAddress& node = m.unique_address();
        if (is_other_cluster(node.address())) return other_cluster(node);
        const std::int32_t number = m.up_number();
        if (number != Member::never_up && (number < 1 || number > up_number_max))
            return impossible("gossip up number " + std::to_string(number) + " of " + node.to_string(),
                              "it is between 1 and 2^30");
        while (grave != graves_end && grave->node < node) ++grave;
        if (grave != graves_end && grave->node == node)
            return impossible("gossip member " + node.to_string() + " with a tombstone",
                              "a removed member never comes back");
    }
    for (const Tombstone& t : gossip.tombstones())
        if (is_other_cluster(t.node.address())) return other_cluster(t.node);
    return {};
}

result<void> check_limits(const Gossip& gossip) {
    const auto too_many = [](std::string_view what, std::size_t has, std::size_t limit) {
        return impossible("gossip with " + std::to_string(has) + ' ' + std::string(what),
                          "at most " + std::to_string(limit) + " are allowed");
    };
    if (gossip.members().size() > gossip_members_max)
        return too_many("members", gossip.members().size(), gossip_members_max);
    if (gossip.tombstones().size() > gossip_tombstones_max)
        return too_many("tombstones", gossip.tombstones().size(), gossip_tombstones_max);
    const std::string* before = nullptr;
    for (const Member& m : gossip.members()) {
        const auto roles = m.roles();
        if (roles.data() == before) continue; // the same memory, and the same version
        before = roles.data();
        if (auto fits = check_member_limits(roles, m.app_version()); !fits) return fits;
    }
    return {};
}

result<void> check_clock(const Gossip& gossip) {
    const auto entries = gossip.version().entries();
    std::size_t of_members = 0;
    for (const Member& m : gossip.members()) {
        if (of_members == entries.size()) break;
        const Hash128& key = m.unique_address().key();
        const auto at = std::ranges::lower_bound(entries, key, {}, &VectorClock::Entry::key);
        if (at != entries.end() && at->key == key) ++of_members;
    }
    if (of_members != entries.size())
        return impossible("gossip clock entry of somebody who is no member",
                          "removing a member deletes its entry");
    return {};
}

} // namespace

result<void> check_possible(const Gossip& gossip) {
    if (auto limits = check_limits(gossip); !limits) return limits;
    if (auto nodes = check_nodes(gossip); !nodes) return nodes;
    return check_clock(gossip);
}

result<void> check_jump(const Gossip& received, const Gossip& held) {
    if (held.members().empty()) return {};
    for (const auto& entry : received.version().entries()) {
        if (entry.counter <= gossip_counter_jump_max) continue; // no need to look up what is held
        if (entry.counter - gossip_counter_jump_max > held.version().get(entry.key))
            return impossible("gossip clock counter " + std::to_string(entry.counter),
                              "one gossip raises a counter by 2^40 at most");
    }
    for (const auto& observer : received.reachability().versions()) {
        const auto version = static_cast<std::uint64_t>(observer.version);
        if (version <= gossip_counter_jump_max) continue;
        const auto known = static_cast<std::uint64_t>(held.reachability().version_of(observer.observer));
        if (version - gossip_counter_jump_max > known)
            return impossible("gossip reachability version " + std::to_string(version) + " of " +
                                  observer.observer.to_string(),
                              "one gossip raises a version by 2^40 at most");
    }
    return {};
}

} // namespace muster
