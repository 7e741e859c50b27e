// SPDX-License-Identifier: Apache-2.0
#include "fields.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <muster/ensure.hpp>
#include <muster/wire/frame.hpp>

namespace muster::wire::detail {
namespace {

void check_name(std::string_view name, const Address& address) {
    if (name.size() > name_bytes_max)
        fail(Errc::invalid_argument, fmt::format("address {}..", address.to_string().substr(0, 64)),
             fmt::format("its protocol, system and host have at most {} bytes each", name_bytes_max));
}

/// Letters, digits and the marks of host names: nothing in them is normalised or refused.
bool is_plain(std::string_view name, bool capitals) noexcept {
    return !name.empty() && std::ranges::all_of(name, [capitals](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' ||
               (capitals && c >= 'A' && c <= 'Z');
    });
}

/// A fast check that nearly every address passes, needed with every heartbeat. False means "unknown".
bool is_surely_normal(const Address& address) noexcept {
    return address.host.has_value() && address.port.has_value() && is_plain(address.protocol, true) &&
           is_plain(address.system, true) && is_plain(*address.host, false);
}

} // namespace

void check_sendable(const Address& address) {
    check_name(address.protocol, address);
    check_name(address.system, address);
    if (address.host) check_name(*address.host, address);
}

void check_received(const Address& address, std::size_t offset) {
    if (address == Address{}) return; // the unknown node
    const auto long_name = [](std::string_view name) { return name.size() > name_bytes_max; };
    if (long_name(address.protocol) || long_name(address.system) ||
        (address.host && long_name(*address.host)))
        refuse(offset, "a part of this address is too long");
    if (is_surely_normal(address)) return;
    const auto normal = Address::parse(address.to_string());
    if (!normal || *normal != address) refuse(offset, "this address is not in its normal form");
}

void FieldWriter::put(const VectorClock& clock) {
    out_.put_varint(clock.size());
    for (const auto& entry : clock.entries()) {
        put(entry.key);
        out_.put_varint(entry.counter);
    }
}

void FieldWriter::gossip(const GossipPtr& gossip) {
    MUSTER_ENSURE(gossip != nullptr, "an envelope carries a gossip");
    (*this)("version_id", gossip->version_id())("seen", gossip->overview().seen);
    if (gossip_body_ == GossipBody::Included) put_gossip_body(out_, *gossip);
}

void FieldReader::gossip(GossipPtr& gossip) {
    Hash128 version_id;
    SeenSet seen;
    (*this)("version_id", version_id)("seen", seen);
    field_ = "gossip";
    gossip = get_gossip_body(*this, seen, version_id);
}

/// The number of members and then their bits, eight to a byte, the first in the lowest bit.
void FieldWriter::put(const SeenSet& seen) {
    out_.put_varint(seen.size());
    const auto words = std::as_bytes(seen.words());
    out_.put_bytes(words.first((seen.size() + 7) / 8)); // little endian: byte i has the bits from 8 * i
}

void FieldReader::get(UniqueAddress& node) {
    const auto at = in_.offset();
    constexpr auto tag = "an option's tag is 0 or 1";
    const std::string_view protocol = in_.get_text();
    const std::string_view system = in_.get_text();
    std::optional<std::string_view> host;
    std::optional<std::uint16_t> port;
    if (in_.get_flag(tag)) host = in_.get_text();
    if (in_.get_flag(tag)) in_ >> port.emplace();
    Uid uid;
    get(uid);
    if (interner_ != nullptr) {
        if (const UniqueAddress* kept = interner_->find(protocol, system, host, port, uid)) {
            node = *kept;
            return;
        }
    }
    Address address{std::string{protocol}, std::string{system}, std::nullopt, port};
    if (host) address.host.emplace(*host);
    node = UniqueAddress{std::move(address), uid};
    if (interner_ != nullptr) {
        UniqueAddress shared = interner_->intern(node);
        const bool known = &shared.address() != &node.address();
        node = std::move(shared);
        if (known) {
            interner_->keep(node);
            return; // checked when it was first decoded
        }
    }
    check_received(node.address(), at);
}

void FieldReader::get(AppVersion& version) {
    const auto at = in_.offset();
    const std::string_view text = in_.get_text();
    if (text.size() > name_bytes_max) refuse(at, "this app version is too long");
    auto parsed = AppVersion::parse(text);
    if (!parsed) refuse(at, "this is no app version");
    version = *std::move(parsed);
}

void FieldReader::get(VectorClock& clock) {
    constexpr std::size_t entry_bytes_min = sizeof(Hash128) + 1;
    const std::size_t count = in_.get_count(entry_bytes_min);
    std::vector<VectorClock::Entry> entries;
    entries.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        const auto at = in_.offset();
        VectorClock::Entry entry;
        get(entry.key);
        in_ >> entry.counter;
        if (entry.counter == 0) refuse(at, "a clock has no entry for a counter of 0");
        if (!entries.empty() && !(entries.back().key < entry.key))
            refuse(at, "clock entries are sorted and unique");
        entries.push_back(entry);
    }
    clock = VectorClock::from_entries(std::move(entries));
}

void FieldReader::get(SeenSet& seen) {
    const auto at = in_.offset();
    std::uint64_t size = 0;
    in_ >> size;
    // Compared before the division could round a size near 2^64 down.
    if (size / 8 > in_.remaining()) refuse_count(at, size, in_.remaining());
    const auto bits = in_.get_bytes((static_cast<std::size_t>(size) + 7) / 8);
    seen = SeenSet{static_cast<std::size_t>(size)};
    for (std::size_t i = 0; i < 8 * bits.size(); ++i) {
        const bool set = (std::to_integer<unsigned>(bits[i / 8]) >> (i % 8) & 1U) != 0;
        if (set && i >= size) refuse(at, "a bit behind the last member is set");
        if (set) seen.set(i);
    }
}

} // namespace muster::wire::detail
