// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <iterator>
#include <muster/address.hpp>
#include <utility>

namespace muster {
namespace {

constexpr std::string_view right_form =
    R"(use "protocol://system" or "protocol://system@host:port", an IPv6 host in brackets)";
constexpr std::size_t host_bytes_max = 255; // DNS allows 253

/// Bytes that would make the text form ambiguous, or a log line hard to read. Bytes of UTF-8 pass.
bool is_name_byte(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return byte > ' ' && byte != 0x7f && std::string_view{"/@:#?[]%\"\\<>"}.find(c) == std::string_view::npos;
}

bool is_name(std::string_view text) noexcept {
    return !text.empty() && std::ranges::all_of(text, is_name_byte);
}

using Groups = std::array<std::uint16_t, 8>;

/// First and length of the run of zero groups that RFC 5952 §4.2 shortens: the longest of at least two, the
/// first of equals.
std::pair<std::size_t, std::size_t> longest_zero_run(const Groups& groups) noexcept {
    std::pair<std::size_t, std::size_t> best{groups.size(), 0};
    for (std::size_t i = 0; i < groups.size();) {
        std::size_t length = 0;
        while (i + length < groups.size() && groups[i + length] == 0) ++length;
        if (length >= 2 && length > best.second) best = {i, length};
        i += std::max<std::size_t>(length, 1);
    }
    return best;
}

std::string rfc5952(const in6_addr& address) {
    const std::uint8_t* bytes = address.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&address)) // §5: the one prefix that is known to embed an IPv4 address
        return fmt::format("::ffff:{}.{}.{}.{}", bytes[12], bytes[13], bytes[14], bytes[15]);
    Groups groups;
    for (std::size_t i = 0; i < groups.size(); ++i)
        groups[i] = static_cast<std::uint16_t>(bytes[2 * i] << 8 | bytes[2 * i + 1]);
    const auto [first, length] = longest_zero_run(groups);
    std::string text;
    for (std::size_t i = 0; i < groups.size();) {
        if (i == first && length > 0) {
            text += "::";
            i += length;
            continue;
        }
        if (!text.empty() && text.back() != ':') text += ':';
        fmt::format_to(std::back_inserter(text), "{:x}", groups[i]);
        ++i;
    }
    return text;
}

/// The RFC 5952 form of an IPv6 literal, with its zone ("%eth0") if it has one; empty when `host` is none.
std::string normal_ipv6(std::string_view host) {
    const auto percent = host.find('%');
    const std::string literal{host.substr(0, percent)};
    in6_addr address{};
    if (literal.size() >= INET6_ADDRSTRLEN || literal.find('\0') != std::string::npos ||
        ::inet_pton(AF_INET6, literal.c_str(), &address) != 1)
        return {};
    if (percent == std::string_view::npos) return rfc5952(address);
    const auto zone = host.substr(percent + 1);
    if (!is_name(zone)) return {};
    return rfc5952(address) + "%" + std::string{zone}; // interface names are case-sensitive
}

std::string lower_ascii(std::string_view text) {
    std::string lower{text};
    for (char& c : lower) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return lower;
}

Error not_an_address(std::string_view text, std::string_view what) {
    // A peer may have sent the text, so its shown part is bounded.
    constexpr std::size_t shown_max = 200;
    return {Errc::invalid_argument,
            fmt::format("address \"{}{}\": {}", text.substr(0, shown_max),
                        text.size() > shown_max ? ".." : "", what),
            std::string{right_form}};
}

bool has_colon(std::string_view host) noexcept { return host.find(':') != std::string_view::npos; }

std::strong_ordering compare_bytes(std::string_view a, std::string_view b) noexcept {
    return a.compare(b) <=> 0; // char_traits<char> compares as unsigned bytes
}

/// Splits "host:port"; the host comes back normalised.
result<std::pair<std::string, std::uint16_t>> parse_host_port(std::string_view whole, std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return not_an_address(whole, "the port is missing");
    const auto port_text = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
    if (error != std::errc{} || end != port_text.data() + port_text.size())
        return not_an_address(whole, "the port is not a number from 0 to 65535");
    const auto host = text.substr(0, colon);
    if (host.starts_with('[')) {
        std::string normal =
            host.ends_with(']') ? normal_ipv6(host.substr(1, host.size() - 2)) : std::string{};
        if (normal.empty()) return not_an_address(whole, "the host in brackets is not an IPv6 address");
        return std::pair{std::move(normal), port};
    }
    if (has_colon(host)) return not_an_address(whole, "an IPv6 host needs brackets");
    if (!is_name(host)) return not_an_address(whole, "the host is empty or has a byte no host name has");
    if (host.size() > host_bytes_max) return not_an_address(whole, "the host is longer than 255 bytes");
    return std::pair{lower_ascii(host), port};
}

} // namespace

Address Address::local(std::string protocol, std::string system) {
    return {std::move(protocol), std::move(system), std::nullopt, std::nullopt};
}

Address Address::remote(std::string protocol, std::string system, std::string host, std::uint16_t port) {
    std::string_view bare = host;
    if (bare.starts_with('[') && bare.ends_with(']')) bare = bare.substr(1, bare.size() - 2);
    std::string normal = normal_ipv6(bare);
    if (normal.empty()) normal = lower_ascii(host);
    return {std::move(protocol), std::move(system), std::move(normal), port};
}

result<Address> Address::parse(std::string_view text) {
    const auto separator = text.find("://");
    if (separator == std::string_view::npos) return not_an_address(text, "\"://\" is missing");
    const auto protocol = text.substr(0, separator);
    const auto rest = text.substr(separator + 3);
    const auto at = rest.find('@');
    const auto system = rest.substr(0, at);
    if (!is_name(protocol)) return not_an_address(text, "the protocol is empty or has a byte no name has");
    if (!is_name(system)) return not_an_address(text, "the system is empty or has a byte no name has");
    if (at == std::string_view::npos) return local(std::string{protocol}, std::string{system});
    auto host_port = parse_host_port(text, rest.substr(at + 1));
    if (host_port.has_error()) return std::move(host_port).error();
    auto& [host, port] = *host_port;
    return Address{std::string{protocol}, std::string{system}, std::move(host), port};
}

std::string Address::host_port() const {
    if (!host) return {};
    std::string text = has_colon(*host) ? "[" + *host + "]" : *host;
    if (port) text += ":" + std::to_string(*port);
    return text;
}

std::string Address::to_string() const {
    std::string text = protocol + "://" + system;
    if (host) text += "@" + host_port();
    return text;
}

std::strong_ordering operator<=>(const Address& a, const Address& b) noexcept {
    // std::optional orders "absent" first, as the protocol wants it, for host and port alike.
    if (a.host.has_value() != b.host.has_value()) return a.host.has_value() <=> b.host.has_value();
    if (a.host) {
        if (const auto order = compare_bytes(*a.host, *b.host); order != 0) return order;
    }
    if (const auto order = a.port <=> b.port; order != 0) return order;
    if (const auto order = compare_bytes(a.protocol, b.protocol); order != 0) return order;
    return compare_bytes(a.system, b.system);
}

namespace {

/// protocol.md §2: the digest covers host, port and uid; protocol and system are equal in one cluster.
Hash128 key_of(const Address& address, Uid uid) {
    Hasher hasher{"muster.UniqueAddress"};
    hasher.add(std::uint64_t{address.host.has_value()})
        .add(std::string_view{address.host ? *address.host : ""});
    hasher.add(std::uint64_t{address.port.has_value()}).add(std::uint64_t{address.port.value_or(0)});
    return hasher.add(uid.value).finish();
}

} // namespace

UniqueAddress::UniqueAddress() noexcept {
    // Never destroyed: an UniqueAddress may live in a static object that dies later.
    static const auto& unknown = *new UniqueAddress{Address{}, Uid{}};
    rep_ = unknown.rep_;
}

UniqueAddress::UniqueAddress(Address address, Uid uid) {
    const Hash128 key = key_of(address, uid);
    rep_.reset(new Rep{std::move(address), uid, key});
}

std::string UniqueAddress::to_string() const {
    return fmt::format("{}#{}", address().to_string(), uid().value);
}

bool UniqueAddress::is_unknown() const noexcept { return *this == UniqueAddress{}; }

UniqueAddress::HostPrefix UniqueAddress::host_prefix_of(const Address& address) noexcept {
    HostPrefix prefix{};
    if (!address.host) return prefix;
    const std::size_t size = std::min(address.host->size(), sizeof(HostPrefix));
    for (std::size_t i = 0; i < size; ++i) {
        const std::uint64_t byte = static_cast<unsigned char>((*address.host)[i]);
        prefix[i / 8] |= byte << (56 - 8 * (i % 8));
    }
    return prefix;
}

std::strong_ordering UniqueAddress::compare_rest(const UniqueAddress& a, const UniqueAddress& b) noexcept {
    if (const auto order = a.address() <=> b.address(); order != 0) return order;
    return a.uid() <=> b.uid();
}

std::size_t hash_value(const Address& a) noexcept {
    const std::hash<std::string_view> text_hash;
    std::size_t value = text_hash(a.protocol);
    const auto mix = [&value](std::size_t next) { value = value * 0x9e3779b97f4a7c15ULL + next; };
    mix(text_hash(a.system));
    mix(a.host ? text_hash(*a.host) : 0);
    mix(a.port ? std::size_t{*a.port} + 1 : 0);
    return value;
}

} // namespace muster
