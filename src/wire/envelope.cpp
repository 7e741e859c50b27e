// SPDX-License-Identifier: Apache-2.0
#include <muster/wire/envelope.hpp>

#include "fields.hpp"
#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <map>
#include <muster/cluster/state/gossip_check.hpp>
#include <muster/cluster/state/gossip_limits.hpp>
#include <muster/ensure.hpp>
#include <muster/wire/frame.hpp>
#include <tuple>
#include <utility>

// The body of a gossip. Nodes are written in UniqueAddress order, each as its difference to the one before:
// host names of a cluster share prefixes, systems and identities repeat, ports are near each other.
//
//   u8            format, 1
//   systems       count, each: protocol, system                                    (texts)
//   identities    count, each: roles (count, texts), app version                   (text)
//   members       count, each: node (below) with the status in the low bits of its first byte,
//                 identity if another than before, up_number (0: never up, else 1 + zigzag of the difference)
//   tombstones    count, each: node, removed_at (zigzag of the difference)
//   clock         one counter per member (0: none), then count of others, each: 16 bytes of key, counter
//   reachability  count of observers, each: member index, version, count of rows,
//                 each: subject's member index, status, version (how much older than the observer's)
//
//   node          u8: low 4 bits free, 0x10 same system as before, 0x20 same identity as before (members),
//                 0xc0 host: 0x00 none, 0x40 same as before, 0x80 difference;
//                 system if not the same; host difference: length shared with the host before, rest;
//                 port: 0 none, else 1 + zigzag of the difference; uid: 8 bytes

namespace muster::wire {
namespace detail {
namespace {

constexpr std::uint8_t body_format = 1;
constexpr std::uint8_t free_bits = 0x0f;
constexpr std::uint8_t same_system = 0x10;
constexpr std::uint8_t same_identity = 0x20;
constexpr std::uint8_t host_bits = 0xc0;
constexpr std::uint8_t host_none = 0x00;
constexpr std::uint8_t host_same = 0x40;
constexpr std::uint8_t host_difference = 0x80;
constexpr std::size_t node_bytes_min = 1 + 1 + 8;
static_assert(name_bytes_max == address_part_bytes_max && name_bytes_max >= app_version_bytes_max);

// Differences wrap: every pair of values has one, and a hostile one causes no undefined behaviour.
std::uint64_t difference(std::int64_t value, std::int64_t before) noexcept {
    return zigzag(
        static_cast<std::int64_t>(static_cast<std::uint64_t>(value) - static_cast<std::uint64_t>(before)));
}
std::int64_t apply(std::uint64_t difference, std::int64_t before) noexcept {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(before) +
                                     static_cast<std::uint64_t>(unzigzag(difference)));
}

// --- writing

/// Numbers values in the order in which they are first met.
template <class Key>
class Numbering {
public:
    std::uint64_t number_of(const Key& key) {
        const auto [at, added] = numbers_.try_emplace(key, values_.size());
        if (added) values_.push_back(key);
        return at->second;
    }
    const std::vector<Key>& values() const noexcept { return values_; }

private:
    std::map<Key, std::uint64_t> numbers_;
    std::vector<Key> values_;
};

using SystemName = std::pair<std::string_view, std::string_view>;
using IdentityText = std::pair<std::vector<std::string_view>, std::string_view>;

class BodyWriter {
public:
    BodyWriter(OArchive& out, const Gossip& gossip) : out_(out), gossip_(gossip) { collect(); }

    void write() {
        out_.put_byte(body_format);
        write_tables();
        write_members();
        write_tombstones();
        write_clock();
        write_reachability();
    }

private:
    /// Numbers the repeated values before anything is written.
    void collect() {
        const auto system_of = [this](const Address& a) {
            check_sendable(a);
            return systems_.number_of({a.protocol, a.system});
        };
        const Member* before = nullptr;
        for (const Member& m : gossip_.members()) {
            member_systems_.push_back(system_of(m.address()));
            // Members that were decoded together share their identity's memory.
            const bool shared = before != nullptr && before->roles().data() == m.roles().data();
            before = &m;
            if (shared) {
                member_identities_.push_back(member_identities_.back());
                continue;
            }
            IdentityText identity;
            identity.first.assign(m.roles().begin(), m.roles().end());
            identity.second = m.app_version().text();
            member_identities_.push_back(identities_.number_of(identity));
        }
        for (const Tombstone& t : gossip_.tombstones())
            tombstone_systems_.push_back(system_of(t.node.address()));
    }

    void write_tables() {
        out_.put_varint(systems_.values().size());
        for (const auto& [protocol, system] : systems_.values()) {
            out_.put_text(protocol);
            out_.put_text(system);
        }
        out_.put_varint(identities_.values().size());
        for (const auto& [roles, version] : identities_.values()) {
            out_.put_varint(roles.size());
            for (const std::string_view role : roles) out_.put_text(role);
            out_.put_text(version);
        }
    }

    /// `bits`: the bits that share the first byte.
    void write_node(const UniqueAddress& node, std::uint64_t system, std::uint8_t bits) {
        const Address& address = node.address();
        const std::string_view host = address.host ? std::string_view{*address.host} : std::string_view{};
        std::uint8_t form = host_none;
        if (address.host) form = host == host_ ? host_same : host_difference;
        if (system == system_) bits |= same_system;
        out_.put_byte(bits | form);
        if (system != system_) out_.put_varint(system);
        if (form == host_difference) {
            const auto [same, rest] = std::ranges::mismatch(host_, host);
            const auto shared = static_cast<std::size_t>(same - host_.begin());
            out_.put_varint(shared);
            out_.put_varint(host.size() - shared);
            out_.put_bytes(std::as_bytes(std::span{host.substr(shared)}));
        }
        out_.put_varint(address.port ? 1 + difference(*address.port, port_) : 0);
        out_.put_fixed(node.uid().value);
        system_ = system;
        if (address.host) host_ = host;
        if (address.port) port_ = *address.port;
    }
    void begin_nodes() {
        system_ = 0;
        host_ = {};
        port_ = 0;
    }

    void write_members() {
        const auto members = gossip_.members();
        out_.put_varint(members.size());
        begin_nodes();
        std::uint64_t identity = 0;
        std::int32_t up_number = 0;
        for (std::size_t i = 0; i < members.size(); ++i) {
            const Member& m = members[i];
            auto bits = static_cast<std::uint8_t>(m.status());
            if (member_identities_[i] == identity) bits |= same_identity;
            write_node(m.unique_address(), member_systems_[i], bits);
            if (member_identities_[i] != identity) out_.put_varint(member_identities_[i]);
            identity = member_identities_[i];
            if (m.up_number() == Member::never_up) {
                out_.put_varint(std::uint64_t{0});
            } else {
                out_.put_varint(1 + difference(m.up_number(), up_number));
                up_number = m.up_number();
            }
        }
    }

    void write_tombstones() {
        const auto tombstones = gossip_.tombstones();
        out_.put_varint(tombstones.size());
        begin_nodes();
        std::int64_t time = 0;
        for (std::size_t i = 0; i < tombstones.size(); ++i) {
            write_node(tombstones[i].node, tombstone_systems_[i], 0);
            out_.put_varint(difference(tombstones[i].removed_at.ms, time));
            time = tombstones[i].removed_at.ms;
        }
    }

    void write_clock() {
        const VectorClock& clock = gossip_.version();
        std::vector<bool> written(clock.size());
        for (const Member& m : gossip_.members()) {
            const auto at = std::ranges::lower_bound(clock.entries(), m.unique_address().key(), {},
                                                     &VectorClock::Entry::key);
            const bool found = at != clock.entries().end() && at->key == m.unique_address().key();
            out_.put_varint(found ? at->counter : 0);
            if (found) written[static_cast<std::size_t>(at - clock.entries().begin())] = true;
        }
        out_.put_varint(static_cast<std::uint64_t>(std::ranges::count(written, false)));
        for (std::size_t i = 0; i < clock.size(); ++i) {
            if (written[i]) continue;
            out_.put_fixed(clock.entries()[i].key.low);
            out_.put_fixed(clock.entries()[i].key.high);
            out_.put_varint(clock.entries()[i].counter);
        }
    }

    std::uint64_t index_of(const UniqueAddress& node) const {
        const auto at = gossip_.index_of(node);
        MUSTER_ENSURE(at.has_value(), "observers and subjects are members (protocol.md §2)");
        return *at;
    }

    void write_reachability() {
        const Reachability& table = gossip_.reachability();
        out_.put_varint(table.versions().size());
        for (const auto& observer : table.versions()) {
            out_.put_varint(index_of(observer.observer));
            out_.put_varint(static_cast<std::uint64_t>(observer.version));
            const auto rows = table.records_of(observer.observer);
            out_.put_varint(rows.size());
            for (const auto& row : rows) {
                out_.put_varint(index_of(row.subject));
                out_ << row.status;
                out_.put_varint(static_cast<std::uint64_t>(observer.version - row.version));
            }
        }
    }

    OArchive& out_;
    const Gossip& gossip_;
    Numbering<SystemName> systems_;
    Numbering<IdentityText> identities_;
    std::vector<std::uint64_t> member_systems_;
    std::vector<std::uint64_t> member_identities_;
    std::vector<std::uint64_t> tombstone_systems_;
    std::uint64_t system_ = 0;
    std::string_view host_;
    std::int64_t port_ = 0;
};

// --- reading

struct RawIdentity {
    std::vector<std::string> roles;
    AppVersion app_version;
    const Member* like = nullptr; ///< a known member with this identity
};

class BodyReader {
public:
    explicit BodyReader(FieldReader& fields)
        : fields_(fields), in_(fields.archive()),
          known_(fields.interner() != nullptr && fields.interner()->known() ? fields.interner()->known().get()
                                                                            : nullptr) {}

    GossipPtr read(const SeenSet& seen, const Hash128& version_id) {
        fields_.set_field("gossip.format");
        if (in_.get_byte() != body_format) refuse(in_.offset() - 1, "this build reads format 1");
        const std::size_t begin = in_.offset();
        const std::span<const std::byte> rest = in_.rest();
        if (fields_.interner() != nullptr) like_ = fields_.interner()->members_of(rest);
        read_tables(); // tombstones need them, too
        if (like_ != nullptr) {
            (void)in_.get_bytes(fields_.interner()->members_bytes() - (in_.offset() - begin));
        } else {
            read_members();
        }
        members_bytes_ = rest.first(in_.offset() - begin);
        read_tombstones();
        VectorClock clock = read_clock();
        Reachability reachability = read_reachability();
        fields_.set_field("gossip");
        in_.finish();
        return assemble(seen, version_id, std::move(reachability), std::move(clock));
    }

private:
    std::span<const Member> members() const noexcept {
        return like_ != nullptr ? like_->members() : std::span<const Member>{members_};
    }

    void read_tables() {
        fields_.set_field("gossip.systems");
        const std::size_t systems = in_.get_count(2);
        for (std::size_t i = 0; i < systems; ++i) {
            in_.charge(sizeof(systems_.front()));
            auto& [protocol, system] = systems_.emplace_back();
            protocol = bounded_text();
            system = bounded_text();
        }
        fields_.set_field("gossip.identities");
        const std::size_t identities = in_.get_count(2);
        for (std::size_t i = 0; i < identities; ++i) {
            in_.charge(sizeof(RawIdentity));
            RawIdentity& identity = identities_.emplace_back();
            fields_.get(identity.roles);
            fields_.get(identity.app_version);
            if (auto fits = check_member_limits(identity.roles, identity.app_version); !fits)
                throw Failure{std::move(fits).error()};
        }
    }
    /// Checks a count before anything is allocated for it.
    std::size_t bounded_count(std::string_view what, std::size_t limit) {
        const auto at = in_.offset();
        const std::size_t count = in_.get_count(node_bytes_min + 1);
        if (count > limit)
            refuse(at, fmt::format("a gossip has at most {} {}, this one {}", limit, what, count));
        return count;
    }
    std::string_view bounded_text() {
        const auto at = in_.offset();
        const auto text = in_.get_text();
        if (text.size() > name_bytes_max) refuse(at, "a part of this address is too long");
        return text;
    }

    /// Reads one node, as the difference to the one before, into address_ and uid_. Returns the free bits of
    /// its first byte.
    std::uint8_t read_node() {
        const auto at = in_.offset();
        const std::uint8_t first = in_.get_byte();
        if ((first & same_system) == 0) system_ = in_.get_varint<std::uint64_t>();
        if (system_ >= systems_.size()) refuse(at, "there is no system of that number");
        switch (first & host_bits) {
        case host_none: has_host_ = false; break;
        case host_same: has_host_ = true; break;
        case host_difference: read_host(); break;
        default: refuse(at, "this node's host has no known form");
        }
        const auto port = in_.get_varint<std::uint64_t>();
        has_port_ = port != 0;
        if (has_port_) {
            port_ = apply(port - 1, port_);
            if (port_ < 0 || port_ > 0xffff) refuse(at, "this node's port is none");
        }
        uid_ = {in_.get_fixed<std::int64_t>()};
        return first;
    }
    void read_host() {
        const auto at = in_.offset();
        const auto shared = in_.get_varint<std::uint64_t>();
        const auto rest = in_.get_bytes(in_.get_length());
        if (shared > host_.size() || shared + rest.size() > name_bytes_max)
            refuse(at, "this host is too long");
        host_.resize(static_cast<std::size_t>(shared));
        host_.append(reinterpret_cast<const char*>(rest.data()), rest.size());
        if (!is_utf8(host_)) refuse(at, "this host is not UTF-8");
        has_host_ = true;
    }
    void begin_nodes() {
        system_ = 0;
        host_.clear();
        port_ = 0;
    }

    /// Compares the node just read with `known`, in UniqueAddress order.
    std::strong_ordering compare_read(const UniqueAddress& known) const noexcept {
        const Address& a = known.address();
        const auto order_of = [](bool present, bool other) { return present <=> other; };
        if (const auto o = order_of(has_host_, a.host.has_value()); o != 0) return o;
        if (has_host_)
            if (const auto o = std::string_view{host_} <=> std::string_view{*a.host}; o != 0) return o;
        if (const auto o = order_of(has_port_, a.port.has_value()); o != 0) return o;
        if (has_port_)
            if (const auto o = port_ <=> std::int64_t{*a.port}; o != 0) return o;
        const auto& [protocol, system] = systems_[static_cast<std::size_t>(system_)];
        if (const auto o = protocol <=> a.protocol; o != 0) return o;
        if (const auto o = system <=> a.system; o != 0) return o;
        return uid_ <=> known.uid();
    }

    /// The node just read as a new value.
    UniqueAddress make_node(std::size_t at) {
        const auto& [protocol, system] = systems_[static_cast<std::size_t>(system_)];
        Address address{std::string{protocol}, std::string{system}, std::nullopt, std::nullopt};
        if (has_host_) address.host = host_;
        if (has_port_) address.port = static_cast<std::uint16_t>(port_);
        in_.charge(4 * sizeof(Address) + host_.size());
        check_received(address, at);
        return UniqueAddress{std::move(address), uid_};
    }

    /// The known member that is the node just read: both lists are sorted, so one walk finds all.
    const Member* known_member() noexcept {
        if (known_ == nullptr) return nullptr;
        const auto members = known_->members();
        while (next_known_ < members.size()) {
            const auto order = compare_read(members[next_known_].unique_address());
            if (order == 0) return &members[next_known_];
            if (order < 0) return nullptr;
            ++next_known_;
        }
        return nullptr;
    }

    void read_members() {
        fields_.set_field("gossip.members");
        const std::size_t count = bounded_count("members", gossip_members_max);
        in_.charge(count * sizeof(Member));
        members_.reserve(count); // the bytes for each are there: node_bytes_min + 1 of them for 8 here
        begin_nodes();
        std::uint64_t identity = 0;
        std::int64_t up_number = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const auto at = in_.offset();
            const std::uint8_t bits = read_node();
            const auto status = static_cast<MemberStatus>(bits & free_bits);
            if ((bits & free_bits) >= member_status_count) refuse(at, "this member's status is none");
            if ((bits & same_identity) == 0) identity = in_.get_varint<std::uint64_t>();
            if (identity >= identities_.size()) refuse(at, "there is no identity of that number");
            const auto up = in_.get_varint<std::uint64_t>();
            if (up != 0) up_number = apply(up - 1, up_number);
            if (up_number < std::numeric_limits<std::int32_t>::min() || up_number >= Member::never_up)
                refuse(at, "this member's up_number is none");
            const auto number = up == 0 ? Member::never_up : static_cast<std::int32_t>(up_number);
            Member member = make_member(at, status, number, identities_[static_cast<std::size_t>(identity)]);
            if (!members_.empty() && !(members_.back() < member)) refuse(at, "members are sorted and unique");
            members_.push_back(std::move(member));
        }
    }

    Member make_member(std::size_t at, MemberStatus status, std::int32_t up_number, RawIdentity& identity) {
        const Member* const known = known_member();
        if (known == nullptr) return new_member(make_node(at), status, up_number, identity);
        const bool same_identity_as_known =
            identity.like == known || (known->app_version().text() == identity.app_version.text() &&
                                       std::ranges::equal(known->roles(), identity.roles));
        if (!same_identity_as_known) return new_member(known->unique_address(), status, up_number, identity);
        if (identity.like == nullptr) identity.like = known;
        if (known->status() == status && known->up_number() == up_number) return *known;
        return known->with_same_identity(known->unique_address(), status, up_number);
    }
    Member new_member(UniqueAddress node, MemberStatus status, std::int32_t up_number,
                      RawIdentity& identity) {
        in_.charge(256);
        if (identity.like != nullptr)
            return identity.like->with_same_identity(std::move(node), status, up_number);
        Member first{std::move(node), status, identity.roles, up_number, identity.app_version};
        identity.like = &prototypes_.emplace_back(first);
        return first;
    }

    void read_tombstones() {
        fields_.set_field("gossip.tombstones");
        const std::size_t count = bounded_count("tombstones", gossip_tombstones_max);
        begin_nodes();
        std::int64_t time = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const auto at = in_.offset();
            const std::uint8_t bits = read_node();
            if ((bits & (free_bits | same_identity)) != 0)
                refuse(at, "a tombstone has no status and no identity");
            UniqueAddress node = make_node(at);
            if (fields_.interner() != nullptr) node = fields_.interner()->intern(std::move(node));
            time = apply(in_.get_varint<std::uint64_t>(), time);
            if (!tombstones_.empty() && !(tombstones_.back().node < node))
                refuse(at, "tombstones are sorted and unique");
            in_.charge(sizeof(Tombstone));
            tombstones_.push_back({std::move(node), WallTime{time}});
        }
    }

    VectorClock read_clock() {
        fields_.set_field("gossip.clock");
        std::vector<VectorClock::Entry> entries;
        for (const Member& m : members()) {
            const auto counter = in_.get_varint<std::uint64_t>();
            if (counter != 0) entries.push_back({m.unique_address().key(), counter});
        }
        const std::size_t others = in_.get_count(sizeof(Hash128) + 1);
        for (std::size_t i = 0; i < others; ++i) {
            const auto at = in_.offset();
            VectorClock::Entry entry;
            fields_.get(entry.key);
            in_ >> entry.counter;
            if (entry.counter == 0) refuse(at, "a clock has no entry for a counter of 0");
            if (i > 0 && !(entries.back().key < entry.key)) refuse(at, "clock entries are sorted and unique");
            entries.push_back(entry);
        }
        const std::size_t all = entries.size();
        VectorClock clock = known_ != nullptr
                                ? VectorClock::from_entries(std::move(entries), known_->version())
                                : VectorClock::from_entries(std::move(entries));
        if (clock.size() != all) refuse(in_.offset(), "a member's clock entry is given twice");
        return clock;
    }

    const UniqueAddress& member_at(std::size_t at, std::uint64_t index) const {
        if (index >= members().size()) refuse(at, "there is no member of that number");
        return members()[static_cast<std::size_t>(index)].unique_address();
    }

    Reachability read_reachability() {
        fields_.set_field("gossip.reachability");
        std::vector<Reachability::Record> rows;
        std::vector<Reachability::Version> versions;
        const std::size_t observers = in_.get_count(3);
        for (std::size_t i = 0; i < observers; ++i) {
            const auto at = in_.offset();
            Reachability::Version observer{member_at(at, in_.get_varint<std::uint64_t>()), 0};
            observer.version = static_cast<std::int64_t>(in_.get_varint<std::uint64_t>());
            if (observer.version < 1) refuse(at, "an observer's version is at least 1");
            if (!versions.empty() && !(versions.back().observer < observer.observer))
                refuse(at, "observers are sorted and unique");
            read_rows(observer, rows);
            in_.charge(sizeof observer);
            versions.push_back(std::move(observer));
        }
        return known_ != nullptr ? Reachability{std::move(rows), std::move(versions), known_->reachability()}
                                 : Reachability{std::move(rows), std::move(versions)};
    }
    /// All rows of an observer may say Reachable: the negative row beside them goes when its subject is
    /// removed.
    void read_rows(const Reachability::Version& observer, std::vector<Reachability::Record>& rows) {
        const auto at = in_.offset();
        const std::size_t count = in_.get_count(3);
        for (std::size_t i = 0; i < count; ++i) {
            Reachability::Record row{
                observer.observer, member_at(at, in_.get_varint<std::uint64_t>()), {}, 0};
            in_ >> row.status;
            const auto age = in_.get_varint<std::uint64_t>();
            if (age >= static_cast<std::uint64_t>(observer.version))
                refuse(at, "a row's version is at least 1");
            row.version = observer.version - static_cast<std::int64_t>(age);
            if (i > 0 && !(rows.back().subject < row.subject))
                refuse(at, "an observer's rows are sorted and unique");
            in_.charge(sizeof row);
            rows.push_back(std::move(row));
        }
    }

    GossipPtr assemble(const SeenSet& seen, const Hash128& version_id, Reachability reachability,
                       VectorClock clock) {
        if (seen.size() != members().size()) refuse(in_.offset(), "seen is over another number of members");
        auto gossip = like_ != nullptr
                          ? Gossip::with_members_of(*like_, seen, std::move(reachability), std::move(clock),
                                                    std::move(tombstones_))
                          : Gossip::from_sorted_parts(std::move(members_), seen, std::move(reachability),
                                                      std::move(clock), std::move(tombstones_));
        if (!gossip) throw Failure{std::move(gossip).error()};
        if (gossip->version_id() != version_id) refuse(in_.offset(), "this content has another version_id");
        if (auto possible = check_possible(*gossip); !possible) throw Failure{std::move(possible).error()};
        auto read = std::make_shared<const Gossip>(*std::move(gossip));
        if (fields_.interner() != nullptr && like_ == nullptr)
            fields_.interner()->remember_members(members_bytes_, read);
        return read;
    }

    FieldReader& fields_;
    IArchive& in_;
    const Gossip* known_;
    std::size_t next_known_ = 0;
    GossipPtr like_; ///< has exactly these members
    std::span<const std::byte> members_bytes_;

    std::vector<std::pair<std::string_view, std::string_view>> systems_;
    std::vector<RawIdentity> identities_;
    std::list<Member> prototypes_; ///< stable addresses for RawIdentity::like
    std::vector<Member> members_;
    std::vector<Tombstone> tombstones_;

    // The node read last.
    std::uint64_t system_ = 0;
    std::string host_;
    std::int64_t port_ = 0;
    bool has_host_ = false;
    bool has_port_ = false;
    Uid uid_;
};

} // namespace

void put_gossip_body(OArchive& out, const Gossip& gossip) { BodyWriter{out, gossip}.write(); }

GossipPtr get_gossip_body(FieldReader& in, const SeenSet& seen, const Hash128& version_id) {
    Interner* const interner = in.interner();
    if (interner != nullptr && interner->known() && interner->known()->version_id() == version_id &&
        interner->known()->members().size() == seen.size()) {
        // The same version: its body is the one already held, whatever these bytes are.
        (void)in.archive().get_bytes(in.archive().remaining());
        const GossipPtr& known = interner->known();
        if (known->overview().seen == seen) return known;
        return std::make_shared<const Gossip>(known->clear_seen().merge_seen(seen));
    }
    return BodyReader{in}.read(seen, version_id);
}

} // namespace detail

result<Slice> EnvelopeEncoder::body_of(const GossipPtr& gossip, std::size_t bytes_max) {
    MUSTER_ENSURE(gossip != nullptr, "there is a gossip to encode");
    const auto same_body = [&gossip](const Body& body) {
        // version_id leaves tombstone times out, the body has them.
        return body.gossip == gossip || (body.gossip->version_id() == gossip->version_id() &&
                                         std::ranges::equal(body.gossip->tombstones(), gossip->tombstones()));
    };
    const auto at = std::ranges::find_if(bodies_, same_body);
    if (at != bodies_.end()) {
        std::rotate(at, at + 1, bodies_.end());
        return bodies_.back().bytes;
    }
    BufferSink sink{bytes_max};
    try {
        OArchive out{sink};
        detail::put_gossip_body(out, *gossip);
        out.finish();
    } catch (...) {
        return detail::error_of_current_exception(Errc::invalid_argument, "a gossip to be encoded");
    }
    ++built_;
    if (bodies_max_ == 0) return sink.take();
    if (bodies_.size() >= bodies_max_) bodies_.erase(bodies_.begin());
    bodies_.push_back({gossip, sink.take()});
    return bodies_.back().bytes;
}

void Interner::remember_members(std::span<const std::byte> bytes, GossipPtr gossip) {
    members_bytes_.assign(bytes.begin(), bytes.end());
    members_of_ = std::move(gossip);
}

const GossipPtr& Interner::members_of(std::span<const std::byte> body) const noexcept {
    static const GossipPtr none;
    // The beginning can be compared alone: systems, identities and members have their own counts.
    const bool same = members_of_ != nullptr && body.size() >= members_bytes_.size() &&
                      std::memcmp(body.data(), members_bytes_.data(), members_bytes_.size()) == 0;
    return same ? members_of_ : none;
}

std::size_t Interner::place_of(Uid uid) noexcept {
    const auto bits = static_cast<std::uint64_t>(uid.value);
    return static_cast<std::size_t>((bits ^ bits >> 32U) % kept_max);
}

const UniqueAddress* Interner::find(std::string_view protocol, std::string_view system,
                                    std::optional<std::string_view> host, std::optional<std::uint16_t> port,
                                    Uid uid) const noexcept {
    if (kept_.empty()) return nullptr;
    const UniqueAddress& node = kept_[place_of(uid)];
    const Address& address = node.address();
    const bool same = node.uid() == uid && address.port == port && address.host == host &&
                      address.system == system && address.protocol == protocol;
    return same ? &node : nullptr;
}

void Interner::keep(const UniqueAddress& node) {
    kept_.resize(kept_max);
    kept_[place_of(node.uid())] = node;
}

UniqueAddress Interner::intern(UniqueAddress node) const {
    if (!known_) return node;
    if (const Member* member = known_->find(node)) return member->unique_address();
    const auto tombstones = known_->tombstones();
    const auto at = std::ranges::lower_bound(tombstones, node, {}, &Tombstone::node);
    if (at != tombstones.end() && at->node == node) return at->node;
    return node;
}

} // namespace muster::wire
