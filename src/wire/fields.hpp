// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the fields() of frame_table.hpp are called with: FieldWriter and FieldReader go through the same
/// (name, field) lists, so what one writes the other reads, and a failure names the field. Internal to
/// src/wire.
#include <algorithm>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/wire/archive.hpp>
#include <muster/wire/envelope.hpp>
#include <muster/wire/frame_table.hpp>
#include <string_view>
#include <type_traits>

namespace muster::wire::detail {

/// "MSTR", so that the first frame tells a peer of another protocol that it dialled a wrong port.
inline constexpr std::uint32_t hello_magic = 0x5254534d;
inline constexpr std::size_t log_text_bytes_max = 1024;

/// Enums to which later versions append: any number is a value.
template <class Enum>
concept OpenEnum = std::same_as<Enum, RefusalReason> || std::same_as<Enum, GoodbyeReason>;

/// ENSUREs nothing: throws Failure when `address` has a part that no decoder would accept.
void check_sendable(const Address& address);
/// Throws Failure unless it is the unknown address or in the normal form that Address::parse makes.
void check_received(const Address& address, std::size_t offset);

/// Puts a gossip's body behind its head, or leaves that to a caller that shares the body between sends.
enum class GossipBody : bool { Apart, Included };

class FieldWriter {
public:
    static constexpr bool writing = true;
    /// `agreement`: with the peer that reads this.
    FieldWriter(OArchive& out, const Agreement& agreement, GossipBody body) noexcept
        : out_(out), agreement_(agreement), gossip_body_(body) {}

    template <class T>
    FieldWriter& operator()(const char* /*name*/, const T& value) {
        put(value);
        return *this;
    }
    /// A field that later versions appended: only for peers that have it.
    template <class T>
    FieldWriter& when(const Needs& needs, const char* name, const T& value) {
        same_for_all_ = false;
        return agreement_.meets(needs) ? (*this)(name, value) : *this;
    }
    /// Whether every peer gets these bytes.
    bool same_for_all() const noexcept { return same_for_all_; }

    template <class T>
    void archived(const char* /*name*/, const T& value) {
        out_ << value;
    }
    void magic() { out_.put_fixed(hello_magic); }
    /// A text for the other side's log: cut rather than refused.
    void log_text(const char* name, const std::string& text) {
        std::string cut = text;
        if (cut.size() > log_text_bytes_max) cut.resize(log_text_bytes_max);
        while (!is_utf8(cut)) cut.pop_back(); // at most three bytes of a cut sequence, or all that is no text
        (*this)(name, cut);
    }
    /// The last field: nothing may follow it in a frame.
    void gossip(const GossipPtr& gossip);
    void check(bool /*holds*/, std::string_view /*otherwise*/) noexcept {}
    OArchive& archive() noexcept { return out_; }

    template <class T>
        requires(std::unsigned_integral<T> || std::is_same_v<T, std::int64_t>)
    void put(T value) {
        out_ << value;
    }
    template <class Enum>
        requires std::is_enum_v<Enum>
    void put(Enum value) {
        if constexpr (OpenEnum<Enum>)
            out_.put_varint(static_cast<std::uint32_t>(value));
        else
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
    const Agreement& agreement_;
    GossipBody gossip_body_;
    bool same_for_all_ = true;
};

class FieldReader {
public:
    static constexpr bool writing = false;
    /// `body`: what `in` reads, of which fields of bytes share the memory when it has an owner. `agreement`:
    /// with the peer that wrote it.
    FieldReader(IArchive& in, const Slice& body, const Agreement& agreement, Interner* interner) noexcept
        : in_(in), body_(body), agreement_(agreement), interner_(interner) {}

    template <class T>
    FieldReader& operator()(const char* name, T& value) {
        field_ = name;
        get(value);
        return *this;
    }
    template <class T>
    FieldReader& when(const Needs& needs, const char* name, T& value) {
        return agreement_.meets(needs) ? (*this)(name, value) : *this;
    }
    template <class T>
    void archived(const char* name, T& value) {
        field_ = name;
        in_ >> value;
    }
    void magic() {
        field_ = "magic";
        const auto at = in_.offset();
        if (in_.get_fixed<std::uint32_t>() != hello_magic)
            refuse(at, "this is no muster peer: the handshake begins with MSTR");
    }
    void log_text(const char* name, std::string& text) {
        const auto at = in_.offset();
        (*this)(name, text);
        if (text.size() > log_text_bytes_max) refuse(at, "this text is longer than 1024 bytes");
    }
    void gossip(GossipPtr& gossip);
    void check(bool holds, std::string_view otherwise) {
        if (!holds) refuse(in_.offset(), otherwise);
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
        if constexpr (OpenEnum<Enum>)
            value = static_cast<Enum>(in_.get_varint<std::uint32_t>());
        else
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
    void get(Slice& bytes) {
        const std::size_t size = in_.get_length();
        const std::size_t at = in_.offset();
        const auto view = in_.get_bytes(size);
        bytes = body_.owned() ? body_.sub(at, size) : Slice::copy_of(view);
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
    const Slice& body_;
    const Agreement& agreement_;
    Interner* interner_;
    const char* field_ = "variant";
};

/// The body of a gossip (envelope.cpp): everything but seen.
void put_gossip_body(OArchive& out, const Gossip& gossip);
/// All remaining bytes, as a gossip with that seen set and version. Shares with the interner's known gossip.
GossipPtr get_gossip_body(FieldReader& in, const SeenSet& seen, const Hash128& version_id);

} // namespace muster::wire::detail
