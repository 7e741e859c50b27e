// SPDX-License-Identifier: Apache-2.0
#include "golden_case.hpp"

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "sha256.hpp"

namespace muster::wire::golden {
namespace {

namespace json = boost::json;
using Bytes = std::vector<std::byte>;

[[noreturn]] void not_understood(std::string_view what) {
    throw std::runtime_error(fmt::format("not understood: {}", what));
}

std::string text_of(const json::value& value) {
    if (!value.is_string()) not_understood(fmt::format("{} where a text belongs", json::serialize(value)));
    return std::string{value.as_string()};
}

std::uint64_t number_of(const json::value& value) {
    if (value.is_uint64()) return value.as_uint64();
    if (value.is_int64() && value.as_int64() >= 0) return static_cast<std::uint64_t>(value.as_int64());
    if (value.is_string()) { // counters beyond what JSON numbers hold
        const auto text = value.as_string();
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
        if (error == std::errc{} && end == text.end()) return number;
    }
    not_understood(fmt::format("{} where a number belongs", json::serialize(value)));
}

Bytes bytes_of_hex(std::string_view hex) {
    if (hex.size() % 2 != 0) not_understood("hex digits of odd number");
    Bytes bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2) {
        unsigned value = 0;
        const auto [end, error] = std::from_chars(hex.data() + i, hex.data() + i + 2, value, 16);
        if (error != std::errc{} || end != hex.data() + i + 2) not_understood(hex.substr(i, 2));
        bytes.push_back(static_cast<std::byte>(value));
    }
    return bytes;
}

std::string hex_of(std::span<const std::byte> bytes) {
    constexpr std::size_t shown_max = 96;
    std::string hex;
    for (const std::byte b : bytes.first(std::min(bytes.size(), shown_max)))
        fmt::format_to(std::back_inserter(hex), "{:02x}", std::to_integer<unsigned>(b));
    if (bytes.size() > shown_max) hex += fmt::format(".. ({} bytes)", bytes.size());
    return hex;
}

/// {"hex": ..} or {"len": n, "repeat_byte": b}.
Bytes payload_of(const json::object& payload) {
    if (const auto* hex = payload.if_contains("hex")) return bytes_of_hex(text_of(*hex));
    return Bytes(number_of(payload.at("len")), static_cast<std::byte>(number_of(payload.at("repeat_byte"))));
}

template <class Enum>
Enum named(std::string_view name, std::span<const std::string_view> names) {
    const auto at = std::ranges::find(names, name);
    if (at == names.end()) not_understood(name);
    return static_cast<Enum>(at - names.begin());
}

reference::Address address_of(const json::object& value) {
    reference::Address address{text_of(value.at("protocol")), text_of(value.at("system")), {}, {}};
    if (!value.at("host").is_null()) address.host = text_of(value.at("host"));
    if (!value.at("port").is_null()) address.port = static_cast<std::uint16_t>(number_of(value.at("port")));
    return address;
}

constexpr std::array<std::string_view, 7> statuses{"Joining", "WeaklyUp", "Up",     "Leaving",
                                                   "Exiting", "Down",     "Removed"};
constexpr std::array<std::string_view, 3> reachabilities{"Reachable", "Unreachable", "Terminated"};

reference::MembershipState state_of(const json::object& value) {
    reference::MembershipState state;
    for (const json::value& item : value.at("members").as_array()) {
        const json::object& m = item.as_object();
        reference::Member& member = state.members.emplace_back();
        member.address = address_of(m.at("address").as_object());
        member.status = named<reference::MemberStatus>(text_of(m.at("status")), statuses);
        member.up_number = json::value_to<std::int32_t>(m.at("up_number"));
        for (const json::value& role : m.at("roles").as_array()) member.roles.push_back(text_of(role));
    }
    for (const json::value& item : value.at("reachability").as_array()) {
        const json::object& r = item.as_object();
        state.reachability.push_back(
            {address_of(r.at("observer").as_object()), address_of(r.at("subject").as_object()),
             named<reference::ReachabilityStatus>(text_of(r.at("status")), reachabilities)});
    }
    return state;
}

reference::VectorClock clock_of(const json::value& value) {
    reference::VectorClock clock;
    for (const json::value& entry : value.as_array())
        clock[text_of(entry.as_array().at(0))] = number_of(entry.as_array().at(1));
    return clock;
}

reference::GossipPdu pdu_of(const json::object& value) {
    const auto& [kind, content] = *value.begin();
    const json::object& fields = content.as_object();
    const std::string from = text_of(fields.at("from"));
    reference::VectorClock version = clock_of(fields.at("version"));
    if (kind == "Status") return reference::Status{from, std::move(version)};
    if (kind == "Merge") return reference::Merge{from, std::move(version)};
    if (kind == "Envelope")
        return reference::Envelope{from, std::move(version), state_of(fields.at("state").as_object())};
    not_understood(fmt::format("Gossip::{}", std::string_view{kind}));
}

RemoteTell tell_of(const json::object& value) {
    RemoteTell tell{text_of(value.at("target_path")),
                    text_of(value.at("manifest")),
                    Slice::copy_of(payload_of(value.at("payload").as_object())),
                    {}};
    if (!value.at("sender_path").is_null()) tell.sender_path = text_of(value.at("sender_path"));
    return tell;
}

// --- Rust's derived Debug

std::string debug(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            out += {'\\', c};
        else if (c == '\n')
            out += "\\n";
        else if (c == '\r')
            out += "\\r";
        else if (c == '\t')
            out += "\\t";
        else if (c == '\0')
            out += "\\0";
        else if (byte < 0x20 || byte == 0x7f)
            out += fmt::format("\\u{{{:x}}}", byte);
        else
            out += c;
    }
    return out + '"';
}
template <class T, class Print>
std::string debug_option(const std::optional<T>& value, Print&& print) {
    return value ? fmt::format("Some({})", print(*value)) : "None";
}
std::string debug(const reference::Address& a) {
    return fmt::format("Address {{ protocol: {}, system: {}, host: {}, port: {} }}", debug(a.protocol),
                       debug(a.system), debug_option(a.host, [](const std::string& h) { return debug(h); }),
                       debug_option(a.port, [](std::uint16_t p) { return fmt::format("{}", p); }));
}
std::string debug(const reference::VectorClock& clock) {
    std::vector<std::string> entries;
    for (const auto& [key, counter] : clock) entries.push_back(fmt::format("{}: {}", debug(key), counter));
    return fmt::format("VectorClock {{ versions: {{{}}} }}", fmt::join(entries, ", "));
}
std::string debug(const reference::MembershipState& state) {
    std::vector<std::string> members;
    for (const auto& m : state.members) {
        std::vector<std::string> roles;
        for (const auto& role : m.roles) roles.push_back(debug(role));
        members.push_back(fmt::format("Member {{ address: {}, status: {}, up_number: {}, roles: [{}] }}",
                                      debug(m.address), statuses.at(static_cast<std::size_t>(m.status)),
                                      m.up_number, fmt::join(roles, ", ")));
    }
    std::vector<std::string> rows;
    for (const auto& r : state.reachability)
        rows.push_back(fmt::format("({}, {}): {}", debug(r.observer), debug(r.subject),
                                   reachabilities.at(static_cast<std::size_t>(r.status))));
    return fmt::format(
        "MembershipState {{ members: [{}], reachability: Reachability {{ records: {{{}}} }} }}",
        fmt::join(members, ", "), fmt::join(rows, ", "));
}
std::string debug(const reference::GossipPdu& pdu) {
    struct Print {
        std::string operator()(const reference::Status& s) const {
            return fmt::format("Status {{ from: {}, version: {} }}", debug(s.from), debug(s.version));
        }
        std::string operator()(const reference::Envelope& e) const {
            return fmt::format("Envelope {{ from: {}, version: {}, state: {} }}", debug(e.from),
                               debug(e.version), debug(e.state));
        }
        std::string operator()(const reference::Merge& m) const {
            return fmt::format("Merge {{ from: {}, version: {} }}", debug(m.from), debug(m.version));
        }
    };
    return std::visit(Print{}, pdu);
}
std::string debug(const RemoteTell& tell) {
    std::vector<unsigned> payload;
    for (const std::byte b : tell.payload.bytes()) payload.push_back(std::to_integer<unsigned>(b));
    return fmt::format("RemoteTell {{ target_path: {}, manifest: {}, payload: [{}], sender_path: {} }}",
                       debug(tell.target_path), debug(tell.manifest), fmt::join(payload, ", "),
                       debug_option(tell.sender_path, [](const std::string& s) { return debug(s); }));
}

std::string sha256_difference(const json::object& frame, std::span<const std::byte> bytes) {
    const auto* expected = frame.if_contains("frame_sha256");
    if (expected == nullptr) return {};
    if (sha256_hex(bytes) != text_of(*expected)) return "the encoded frame has another SHA-256";
    return {};
}

/// The zero-copy forms must agree with the general codec about every body.
std::string disagreement_of_views(const Slice& body, const result<ClusterFrame>& decoded) {
    Tell view;
    const bool parsed = parse_tell(body.bytes(), view);
    const auto* tell = decoded ? std::get_if<RemoteTell>(&*decoded) : nullptr;
    if (parsed != (tell != nullptr)) return "parse_tell and decode_frame disagree about the body";
    if (tell == nullptr) return {};
    if (view.target_path != tell->target_path || view.manifest != tell->manifest ||
        !std::ranges::equal(view.payload, tell->payload.bytes()) || view.sender_path != tell->sender_path)
        return "parse_tell and decode_frame read different fields";
    return {};
}

std::string difference_of_written_tell(const ClusterFrame& value, std::span<const std::byte> expected) {
    const auto* tell = std::get_if<RemoteTell>(&value);
    if (tell == nullptr) return {};
    const Tell view = tell->view();
    if (tell_frame_bytes(view) != expected.size()) return "tell_frame_bytes answers another size";
    Bytes written(expected.size());
    if (write_tell(written.data(), view, written.size()) != written.data() + written.size() ||
        !std::ranges::equal(written, expected))
        return "write_tell writes other bytes";
    return {};
}

std::string frame_difference(const json::object& frame) {
    const ClusterFrame value = frame_value(frame.at("value").as_object());
    const auto encoded = encode_frame(value);
    if (!encoded) return encoded.error().message();
    if (frame.contains("frame_len") && encoded->size() != number_of(frame.at("frame_len")))
        return fmt::format("encoded to {} bytes instead of {}", encoded->size(),
                           number_of(frame.at("frame_len")));
    if (auto wrong = sha256_difference(frame, encoded->bytes()); !wrong.empty()) return wrong;
    if (frame.contains("frame_hex") || frame.contains("frame_head_hex")) {
        const Bytes expected = frame_bytes(frame);
        if (!std::ranges::equal(encoded->bytes(), expected))
            return fmt::format("encoded to {} instead of {}", hex_of(encoded->bytes()), hex_of(expected));
    }
    if (auto wrong = difference_of_written_tell(value, encoded->bytes()); !wrong.empty()) return wrong;
    const Slice body = encoded->sub(frame_header_bytes, encoded->size() - frame_header_bytes);
    if (get_frame_length(encoded->data()) != body.size()) return "the length prefix is not the body's length";
    const auto decoded = decode_frame(body);
    if (!decoded) return decoded.error().message();
    if (auto wrong = disagreement_of_views(body, decoded); !wrong.empty()) return wrong;
    return same_value(*decoded, value) ? "" : "decoded to another value";
}

/// Bytes of which the order of map entries is left open: decoded, the value counts; and encoded again they
/// are the very bytes, because the order of the wire is kept.
std::string unordered_frame_difference(const json::object& frame) {
    const ClusterFrame value = frame_value(frame.at("value").as_object());
    const Bytes expected = frame_bytes(frame);
    const Slice body = Slice::copy_of(std::span{expected}.subspan(frame_header_bytes));
    const auto decoded = decode_frame(body);
    if (!decoded) return decoded.error().message();
    if (!same_value(*decoded, value)) return "decoded to another value";
    const auto encoded = encode_frame(*decoded);
    if (!encoded) return encoded.error().message();
    return std::ranges::equal(encoded->bytes(), expected) ? "" : "encoded to other bytes again";
}

bool has_unordered_map(const json::object& frame) {
    const ClusterFrame value = frame_value(frame.at("value").as_object());
    const auto* pdu = std::get_if<reference::GossipPdu>(&value);
    const auto* envelope = pdu != nullptr ? std::get_if<reference::Envelope>(pdu) : nullptr;
    return envelope != nullptr && envelope->state.reachability.size() > 1 &&
           (frame.contains("frame_hex") || frame.contains("frame_head_hex"));
}

} // namespace

std::vector<std::byte> frame_bytes(const json::object& frame) {
    if (const auto* hex = frame.if_contains("frame_hex")) return bytes_of_hex(text_of(*hex));
    Bytes bytes = bytes_of_hex(text_of(frame.at("frame_head_hex")));
    const json::object& repeat = frame.at("frame_repeat").as_object();
    bytes.insert(bytes.end(), number_of(repeat.at("count")),
                 static_cast<std::byte>(number_of(repeat.at("byte"))));
    const Bytes tail = bytes_of_hex(text_of(frame.at("frame_tail_hex")));
    bytes.insert(bytes.end(), tail.begin(), tail.end());
    return bytes;
}

ClusterFrame frame_value(const json::object& value) {
    if (value.size() != 1) not_understood("a frame value that is not one variant");
    const auto& [kind, content] = *value.begin();
    if (kind == "Gossip") return pdu_of(content.as_object());
    if (kind == "RemoteTell") return tell_of(content.as_object());
    not_understood(std::string_view{kind});
}

std::string rust_debug(const ClusterFrame& frame) {
    if (const auto* pdu = std::get_if<reference::GossipPdu>(&frame))
        return fmt::format("Gossip({})", debug(*pdu));
    if (const auto* tell = std::get_if<RemoteTell>(&frame)) return debug(*tell);
    return "a frame that the reference does not have";
}

bool same_value(const ClusterFrame& a, const ClusterFrame& b) {
    if (a.index() != b.index()) return false;
    if (const auto* tell = std::get_if<RemoteTell>(&a)) return *tell == std::get<RemoteTell>(b);
    const auto* pdu = std::get_if<reference::GossipPdu>(&a);
    if (pdu == nullptr) return false; // golden files have no others
    const auto sorted = [](reference::GossipPdu copy) {
        if (auto* envelope = std::get_if<reference::Envelope>(&copy))
            std::ranges::sort(envelope->state.reachability, [](const auto& x, const auto& y) {
                return std::tie(x.observer, x.subject) < std::tie(y.observer, y.subject);
            });
        return copy;
    };
    return sorted(*pdu) == sorted(std::get<reference::GossipPdu>(b));
}

Outcome run_frame(const json::object& frame) {
    Outcome outcome{text_of(frame.at("name")), false, {}};
    try {
        const bool unordered = has_unordered_map(frame);
        outcome.note = unordered ? unordered_frame_difference(frame) : frame_difference(frame);
    } catch (const std::exception& e) {
        outcome.note = e.what();
    }
    outcome.passed = outcome.note.empty();
    return outcome;
}

Outcome run_decode_case(const json::object& decode_case) {
    Outcome outcome{text_of(decode_case.at("name")), false, {}};
    const std::string expected = text_of(decode_case.at("result"));
    const Slice body = Slice::copy_of(bytes_of_hex(text_of(decode_case.at("body_hex"))));
    const auto decoded = decode_frame(body);
    outcome.note = disagreement_of_views(body, decoded);
    if (!outcome.note.empty()) return outcome;
    // "process_died": the reference aborts, which is its way of refusing the bytes.
    if (expected != "accepted") {
        outcome.passed = !decoded;
        outcome.note = decoded ? "decoded what the reference refuses: " + rust_debug(*decoded) : "";
        return outcome;
    }
    if (number_of(decode_case.at("consumed")) < number_of(decode_case.at("of"))) {
        // On purpose: bytes that the reference overlooks could carry what another implementation acts on, and
        // two parsers that see different messages in the same bytes are the classic way around a filter.
        outcome.passed = !decoded;
        outcome.note =
            decoded ? "accepted bytes behind the last field" : "refused on purpose: trailing bytes";
        return outcome;
    }
    if (!decoded) {
        outcome.note = decoded.error().message();
        return outcome;
    }
    const std::string value = rust_debug(*decoded);
    outcome.passed = value == text_of(decode_case.at("value"));
    if (!outcome.passed) outcome.note = "decoded to " + value;
    return outcome;
}

std::vector<Outcome> run_file(const std::string& path) {
    std::ifstream in{path, std::ios::binary};
    if (!in) throw std::runtime_error(path + ": cannot be opened");
    std::stringstream text;
    text << in.rdbuf();
    const json::object file = json::parse(text.str()).as_object();
    std::vector<Outcome> outcomes;
    if (const auto* frames = file.if_contains("frames"))
        for (const json::value& frame : frames->as_array()) outcomes.push_back(run_frame(frame.as_object()));
    if (const auto* cases = file.if_contains("cases"))
        for (const json::value& c : cases->as_array()) outcomes.push_back(run_decode_case(c.as_object()));
    if (outcomes.empty()) throw std::runtime_error(path + ": has neither \"frames\" nor \"cases\"");
    return outcomes;
}

} // namespace muster::wire::golden
