// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The fields of muster's own frames: FieldWriter and FieldReader are called with the same (name, field)
/// lists, so what one writes the other reads, and a failure names the field. Internal to src/wire.
#include <algorithm>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/wire/archive.hpp>
#include <muster/wire/envelope.hpp>
#include <muster/wire/frame.hpp>
#include <string_view>
#include <type_traits>

namespace muster::wire::detail {

/// ENSUREs nothing: throws Failure when `address` has a part that no decoder would accept.
void check_sendable(const Address& address);
/// Throws Failure unless it is the unknown address or in the normal form that Address::parse makes.
void check_received(const Address& address, std::size_t offset);

class FieldWriter {
public:
    static constexpr bool writing = true;
    explicit FieldWriter(OArchive& out) noexcept : out_(out) {}

    template <class T>
    FieldWriter& operator()(const char* /*name*/, const T& value) {
        put(value);
        return *this;
    }
    OArchive& archive() noexcept { return out_; }

    template <class T>
        requires(std::unsigned_integral<T> || std::is_same_v<T, std::int64_t>)
    void put(T value) {
        out_ << value;
    }
    template <class Enum>
        requires std::is_enum_v<Enum>
    void put(Enum value) {
        out_ << value;
    }
    void put(const std::string& text) { out_.put_text(text); }
    void put(const Hash128& hash) {
        out_.put_fixed(hash.low);
        out_.put_fixed(hash.high);
    }
    void put(const Uid& uid) { out_ << uid.value; }
    void put(const Address& address) {
        check_sendable(address);
        out_ << address.protocol << address.system << address.host << address.port;
    }
    void put(const UniqueAddress& node) {
        put(node.address());
        put(node.uid());
    }
    void put(const AppVersion& version) { out_.put_text(version.text()); }
    void put(const ConfigDigest& digest) {
        put(digest.key);
        put(digest.hash);
    }
    void put(const Slice& bytes) {
        out_.put_varint(bytes.size());
        out_.put_bytes(bytes.bytes());
    }
    void put(const std::vector<std::byte>& bytes) { out_ << bytes; }
    void put(const VectorClock& clock);
    void put(const SeenSet& seen);
    template <class T>
    void put(const std::vector<T>& elements) {
        out_.put_varint(elements.size());
        for (const T& element : elements) put(element);
    }
    template <class T>
    void put(const std::optional<T>& option) {
        out_.put_byte(option ? 1 : 0);
        if (option) put(*option);
    }

private:
    OArchive& out_;
};

class FieldReader {
public:
    static constexpr bool writing = false;
    FieldReader(IArchive& in, Interner* interner) noexcept : in_(in), interner_(interner) {}

    template <class T>
    FieldReader& operator()(const char* name, T& value) {
        field_ = name;
        get(value);
        return *this;
    }
    /// The field that was being read last.
    const char* field() const noexcept { return field_; }
    void set_field(const char* name) noexcept { field_ = name; }
    IArchive& archive() noexcept { return in_; }
    Interner* interner() const noexcept { return interner_; }

    template <class T>
        requires(std::unsigned_integral<T> || std::is_same_v<T, std::int64_t>)
    void get(T& value) {
        in_ >> value;
    }
    template <class Enum>
        requires std::is_enum_v<Enum>
    void get(Enum& value) {
        in_ >> value;
    }
    void get(std::string& text) { text = in_.get_text(); }
    void get(Hash128& hash) {
        hash.low = in_.get_fixed<std::uint64_t>();
        hash.high = in_.get_fixed<std::uint64_t>();
    }
    void get(Uid& uid) { in_ >> uid.value; }
    void get(Address& address) {
        const auto at = in_.offset();
        get_unchecked(address);
        check_received(address, at);
    }
    void get(UniqueAddress& node);
    void get(AppVersion& version);
    void get(ConfigDigest& digest) {
        get(digest.key);
        get(digest.hash);
    }
    void get(std::vector<std::byte>& bytes) { in_ >> bytes; }
    void get(VectorClock& clock);
    void get(SeenSet& seen);
    template <class T>
    void get(std::vector<T>& elements) {
        const std::size_t count = in_.get_count(1);
        elements.clear();
        for (std::size_t i = 0; i < count; ++i) {
            in_.charge(sizeof(T));
            get(elements.emplace_back());
        }
    }
    template <class T>
    void get(std::optional<T>& option) {
        if (in_.get_flag("an option's tag is 0 or 1"))
            get(option.emplace());
        else
            option.reset();
    }

private:
    void get_unchecked(Address& address) {
        in_ >> address.protocol >> address.system >> address.host >> address.port;
    }

    IArchive& in_;
    Interner* interner_;
    const char* field_ = "variant";
};

/// The body of a gossip (envelope.cpp): everything but seen.
void put_gossip_body(OArchive& out, const Gossip& gossip);
/// All remaining bytes, as a gossip with that seen set and version. Shares with the interner's known gossip.
GossipPtr get_gossip_body(FieldReader& in, const SeenSet& seen, const Hash128& version_id);

} // namespace muster::wire::detail
