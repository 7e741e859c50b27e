// SPDX-License-Identifier: Apache-2.0
#include "check.hpp"

#include <algorithm>
#include <array>
#include <boost/optional.hpp>
#include <boost/variant.hpp>
#include <muster/ensure.hpp>
#include <muster/wire/archive.hpp>
#include <muster/wire/envelope.hpp>
#include <muster/wire/frame.hpp>

namespace muster::wire::fuzz {
namespace {

enum class Color : std::uint8_t { Red, Green, Blue };

struct Tree {
    std::vector<Tree> children;
    std::unique_ptr<Tree> next;
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& children& next;
    }
};
struct Empty {
    template <class Archive>
    void serialize(Archive& /*ar*/, unsigned /*version*/) {}
};

struct Everything {
    std::uint16_t u16 = 0;
    std::int64_t i64 = 0;
    Uint128 u128 = 0;
    double number = 0;
    char32_t character = 0;
    Color color{};
    std::string text;
    std::vector<std::uint8_t> bytes;
    std::vector<std::string> texts;
    std::vector<Empty> empties;
    std::map<std::string, std::vector<int>> map;
    std::set<int> set;
    std::array<bool, 2> flags{};
    std::optional<std::pair<int, std::string>> option;
    boost::optional<int> boost_option;
    std::variant<std::monostate, int, std::string> variant;
    boost::variant<int, std::string> boost_variant;
    std::shared_ptr<int> pointer;
    Tree tree;
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& u16& i64& u128& number& character& color& text& bytes& texts& empties& map& set& flags;
        ar& option& boost_option& variant& boost_variant& pointer& tree;
    }
};

void check_views(std::span<const std::byte> body, const ClusterFrame* frame) {
    Tell tell;
    InternedTellView interned;
    TellPartView part;
    const auto holds = [frame]<class T>(std::type_identity<T>) {
        return frame != nullptr && std::holds_alternative<T>(*frame);
    };
    MUSTER_ENSURE(parse_tell(body, tell) == holds(std::type_identity<RemoteTell>{}), "both parsers agree");
    MUSTER_ENSURE(parse_tell(body, interned) == holds(std::type_identity<InternedTell>{}),
                  "both parsers agree");
    MUSTER_ENSURE(parse_tell_part(body, part) == holds(std::type_identity<TellPart>{}), "both parsers agree");
    if (frame == nullptr) return;
    if (const auto* t = std::get_if<RemoteTell>(frame)) {
        MUSTER_ENSURE(tell.target_path == t->target_path && tell.manifest == t->manifest &&
                          std::ranges::equal(tell.payload, t->payload.bytes()) &&
                          tell.sender_path == t->sender_path,
                      "both parsers read the same");
        MUSTER_ENSURE(tell_is_sendable(tell), "what was received could have been sent");
    }
}

} // namespace

void check_frame_body(std::span<const std::byte> body) {
    const auto frame = decode_frame(Slice{body}, {.peer_is_newer = true});
    check_views(body, frame ? &*frame : nullptr);
    if (!frame) {
        MUSTER_ENSURE(!frame.error().subject.empty(), "an error names its subject");
        return;
    }
    if (std::holds_alternative<UnknownFrame>(*frame)) return;
    const auto encoded = encode_frame(*frame);
    MUSTER_ENSURE(encoded.has_value(), "what was decoded can be encoded");
    const Slice again_body = encoded->sub(frame_header_bytes, encoded->size() - frame_header_bytes);
    // With an interner that knows the gossip already: the shared path answers the same.
    Interner interner;
    for (int round = 0; round < 2; ++round) {
        const auto again = decode_frame(again_body, {.interner = &interner});
        MUSTER_ENSURE(again.has_value(), "what was encoded can be decoded");
        MUSTER_ENSURE(*encode_frame(*again) == *encoded, "encoding is a fixed point");
    }
}

void check_archive(std::span<const std::byte> bytes) {
    const auto value = decode<Everything>(bytes);
    if (!value) {
        MUSTER_ENSURE(!value.error().subject.empty(), "an error names its subject");
        return;
    }
    const auto encoded = encode(*value);
    MUSTER_ENSURE(encoded.has_value(), "what was decoded can be encoded");
    const auto again = decode<Everything>(encoded->bytes());
    MUSTER_ENSURE(again.has_value() && *encode(*again) == *encoded, "encoding is a fixed point");
}

std::vector<std::byte> sample_archive() {
    Everything all;
    all.u16 = 300;
    all.i64 = -5;
    all.u128 = Uint128{1} << 100;
    all.number = 1.5;
    all.character = U'é';
    all.color = Color::Blue;
    all.text = "tëxt";
    all.bytes = {1, 255};
    all.texts = {"a", "bc"};
    all.empties.resize(3);
    all.map = {{"k", {1, -1}}, {"l", {}}};
    all.set = {1, 2};
    all.flags = {true, false};
    all.option.emplace(1, "o");
    all.boost_option = 2;
    all.variant = "v";
    all.boost_variant = std::string{"w"};
    all.pointer = std::make_shared<int>(4);
    all.tree.children.resize(2);
    all.tree.next = std::make_unique<Tree>();
    const auto encoded = encode(all);
    MUSTER_ENSURE(encoded.has_value(), "the sample can be encoded");
    return {encoded->bytes().begin(), encoded->bytes().end()};
}

} // namespace muster::wire::fuzz
