// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Short spellings of members, gossips and states for tests.
#include <algorithm>
#include <initializer_list>
#include <memory>
#include <muster/cluster/compat/multi_dc.hpp>
#include <muster/cluster/state/membership.hpp>
#include <string>
#include <utility>
#include <vector>

namespace muster::sample {

inline Address address(const std::string& host) { return Address::remote("akka.tcp", "test", host, 2551); }

inline UniqueAddress node(const std::string& host, std::int64_t uid = 1) { return {address(host), Uid{uid}}; }

inline std::vector<UniqueAddress> nodes(std::initializer_list<const char*> hosts) {
    std::vector<UniqueAddress> all;
    for (const char* host : hosts) all.push_back(node(host));
    return all;
}

inline Member member(const std::string& host, MemberStatus status = MemberStatus::Up,
                     std::int32_t up_number = Member::never_up, std::vector<std::string> roles = {},
                     std::string_view dc = DEFAULT_DC) {
    roles.push_back(dc_role(dc));
    return {node(host), status, std::move(roles), up_number};
}

inline Member in_dc(const std::string& host, std::string_view dc, MemberStatus status = MemberStatus::Up,
                    std::int32_t up_number = Member::never_up) {
    return member(host, status, up_number, {}, dc);
}

inline Gossip gossip(std::vector<Member> members, std::initializer_list<const char*> seen = {},
                     Reachability reachability = {}) {
    return Gossip::from_parts(std::move(members), nodes(seen), std::move(reachability), {}, {}).value();
}

inline MembershipState state(const std::string& self, Gossip gossip, std::string_view dc = DEFAULT_DC,
                             std::size_t cross_dc_connections = 5) {
    return {node(self), std::string{dc}, std::make_shared<const Gossip>(std::move(gossip)),
            cross_dc_connections};
}

/// Rows "observer cannot reach subject".
inline Reachability unreachable(std::initializer_list<std::pair<const char*, const char*>> rows) {
    Reachability table;
    for (const auto& [observer, subject] : rows) table = table.unreachable(node(observer), node(subject));
    return table;
}

inline std::vector<std::string> hosts(const std::vector<UniqueAddress>& all) {
    std::vector<std::string> names;
    for (const auto& n : all) names.push_back(*n.address().host);
    return names;
}

inline std::vector<std::string> hosts(std::span<const Member> all) {
    std::vector<std::string> names;
    for (const auto& m : all) names.push_back(*m.address().host);
    return names;
}

using Names = std::vector<std::string>;

} // namespace muster::sample
