// SPDX-License-Identifier: Apache-2.0
#include "gossip_size.hpp"

#include <set>

namespace muster {
namespace {

// Varints take a byte per seven bits: a length up to 2^14 two, a position up to 2^21 three, an up number
// five, a counter up to 2^62 nine, any time ten.
constexpr std::size_t length_bytes = 2;
constexpr std::size_t position_bytes = 3;
constexpr std::size_t up_number_bytes = 5;
constexpr std::size_t counter_bytes = 9;
constexpr std::size_t time_bytes = 10;
/// First byte, system, host lengths, port, uid.
constexpr std::size_t node_bytes = 1 + 1 + 2 * length_bytes + 3 + 8;
/// Frame and message heads, version_id, format, counts.
constexpr std::size_t head_bytes = 128;

std::size_t host_bytes(const UniqueAddress& node) {
    return node.address().host ? node.address().host->size() : 0;
}

/// With identity, up number, clock entry, seen bit.
std::size_t member_bytes(const UniqueAddress& node) {
    return node_bytes + host_bytes(node) + position_bytes + up_number_bytes + counter_bytes + 1;
}

template <class Roles>
std::size_t identity_bytes(const Roles& roles, const AppVersion& version) {
    std::size_t sum = 2 * length_bytes + version.text().size();
    for (const std::string& role : roles) sum += length_bytes + role.size();
    return sum;
}

std::size_t members_bytes(const Gossip& gossip) {
    std::size_t sum = 0;
    std::set<const std::string*> met; // roles by where they are: only whether they are there counts
    const std::string* before = nullptr;
    for (const Member& m : gossip.members()) {
        sum += member_bytes(m.unique_address());
        const std::string* const roles = m.roles().data();
        if (roles == before) continue;
        before = roles;
        if (met.insert(roles).second) sum += identity_bytes(m.roles(), m.app_version());
    }
    return sum;
}

} // namespace

std::size_t GossipSize::of(const GossipPtr& gossip) {
    if (!last_ || last_->members().data() != gossip->members().data()) members_ = members_bytes(*gossip);
    if (!last_ || last_->tombstones().data() != gossip->tombstones().data())
        tombstones_ = of_tombstones(*gossip);
    last_ = gossip;
    std::size_t head = head_bytes;
    if (!gossip->members().empty()) {
        // Sender and receiver, and the table of systems. All hosts are at most that long.
        const Address& address = gossip->members().front().address();
        head +=
            3 * (address.protocol.size() + address.system.size() + 4 * length_bytes) + 2 * (255 + node_bytes);
    }
    const Reachability& table = gossip->reachability();
    const std::size_t rows = table.versions().size() * (2 * position_bytes + counter_bytes) +
                             table.records().size() * (position_bytes + 1 + counter_bytes);
    return head + members_ + tombstones_ + rows;
}

std::size_t GossipSize::of_tombstones(const Gossip& gossip) {
    std::size_t sum = 0;
    for (const Tombstone& t : gossip.tombstones()) sum += node_bytes + host_bytes(t.node) + time_bytes;
    return sum;
}

std::size_t GossipSize::of_joiner(const Join& join) {
    return member_bytes(join.node) + identity_bytes(join.roles, join.app_version);
}

} // namespace muster
