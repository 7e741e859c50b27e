// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Who a node is: Address (protocol.md §1.1), and UniqueAddress, one incarnation of it.
#include <muster/language.hpp> // first

#include <array>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <muster/error.hpp>
#include <muster/hash.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace muster {

/// Where a node can be reached: `protocol://system` or `protocol://system@host:port`.
/// The advertised text is the identity: nothing is resolved, a name never equals an IP address.
/// A value; safe to read from any thread.
struct Address {
    std::string protocol;            ///< e.g. "akka.tcp"
    std::string system;              ///< the cluster name
    std::optional<std::string> host; ///< lower case; an IPv6 literal in RFC 5952 form, without brackets
    std::optional<std::uint16_t> port;

    static Address local(std::string protocol, std::string system);
    /// Normalises the host like parse() does.
    static Address remote(std::string protocol, std::string system, std::string host, std::uint16_t port);
    /// Reads the text form; IPv6 hosts are bracketed. Errors: Errc::invalid_argument naming the text and the
    /// right form.
    static result<Address> parse(std::string_view text);

    std::string to_string() const;
    /// "host:port" (IPv6 bracketed), the part that identifies a node inside one cluster; "" without a host.
    std::string host_port() const;
    bool is_local() const noexcept { return !host.has_value(); }

    /// Compares first what differs most often.
    friend bool operator==(const Address& a, const Address& b) noexcept {
        return a.port == b.port && a.host == b.host && a.system == b.system && a.protocol == b.protocol;
    }
    /// Host by unsigned bytes, then port; absent sorts first. Then protocol and system, so that the order is
    /// total; inside one cluster those are equal (protocol.md §1.1).
    friend std::strong_ordering operator<=>(const Address& a, const Address& b) noexcept;
};

/// The incarnation number of a process: random, signed in ordering and on the wire, every value legal.
struct Uid {
    std::int64_t value{};
    auto operator<=>(const Uid&) const = default;
};

/// One incarnation of an Address. A handle to a shared immutable value: 8 bytes, copies are a reference
/// count. Equality and order are by value (Address order, then uid signed). Safe to share between threads.
class UniqueAddress {
public:
    /// The unknown node: empty address, uid 0.
    UniqueAddress() noexcept;
    UniqueAddress(Address address, Uid uid);

    const Address& address() const noexcept { return rep_->address; }
    Uid uid() const noexcept { return rep_->uid; }
    /// Digest of host, port and uid: the key of vector clocks and digests. Cached, O(1).
    const Hash128& key() const noexcept { return rep_->key; }
    /// "akka.tcp://sys@host:port#uid"
    std::string to_string() const;
    bool is_unknown() const noexcept;

    friend bool operator==(const UniqueAddress& a, const UniqueAddress& b) noexcept {
        return a.rep_ == b.rep_ || (a.rep_->key == b.rep_->key && a.rep_->uid == b.rep_->uid &&
                                    a.rep_->address == b.rep_->address);
    }
    friend std::strong_ordering operator<=>(const UniqueAddress& a, const UniqueAddress& b) noexcept {
        if (a.rep_ == b.rep_) return std::strong_ordering::equal;
        if (const auto order = a.rep_->host_prefix <=> b.rep_->host_prefix; order != 0) return order;
        return compare_rest(a, b);
    }

private:
    /// The first bytes of a host name as numbers that order as the bytes do: binary searches compare these
    /// and seldom need the whole name. Missing bytes are zero, so equal prefixes decide nothing.
    using HostPrefix = std::array<std::uint64_t, 2>;
    static HostPrefix host_prefix_of(const Address& address) noexcept;
    static std::strong_ordering compare_rest(const UniqueAddress& a, const UniqueAddress& b) noexcept;

    struct Rep : boost::intrusive_ref_counter<Rep, boost::thread_safe_counter> {
        Rep(Address a, Uid u, Hash128 k)
            : host_prefix(host_prefix_of(a)), key(k), uid(u), address(std::move(a)) {}
        HostPrefix host_prefix;
        Hash128 key;
        Uid uid;
        Address address;
    };
    boost::intrusive_ptr<const Rep> rep_;
};

/// The value of std::hash; declared in muster because the shared library exports only muster's names.
std::size_t hash_value(const Address& a) noexcept;

} // namespace muster

/// For containers that are only looked up, never iterated into a result.
template <>
struct std::hash<muster::UniqueAddress> {
    std::size_t operator()(const muster::UniqueAddress& a) const noexcept { return a.key().low; }
};
template <>
struct std::hash<muster::Address> {
    std::size_t operator()(const muster::Address& a) const noexcept { return muster::hash_value(a); }
};
