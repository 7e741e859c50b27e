// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The table of frames: a row has a frame's number, name, type, first wire version, and the features that a
/// peer needs to be sent it; below it are each frame's fields in their order. Kinds, names, encoding,
/// decoding, and what a peer may be sent come from here.
///
/// A new frame is a row with the next free number and a fields() below. A number is never given to another
/// frame: a frame that is no longer used goes to retired_frames. A new field goes behind the last one, with
/// f.when(). src/doc/compatibility.md says which versions and features these need.
#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/wire/handshake.hpp>
#include <muster/wire/reference.hpp>
#include <muster/wire/tell.hpp>
#include <span>
#include <string_view>
#include <type_traits>
#include <variant>

//             number, name, type, since wire version, features
#define MUSTER_FRAMES(FRAME)                                                                                 \
    FRAME(0, Gossip, reference::GossipPdu, 1, 0)                                                             \
    FRAME(1, RemoteTell, RemoteTell, 1, 0)                                                                   \
    FRAME(2, Hello, Hello, 1, 0)                                                                             \
    FRAME(3, HelloReply, HelloReply, 1, 0)                                                                   \
    FRAME(4, Goodbye, Goodbye, 1, 0)                                                                         \
    FRAME(5, InitJoin, InitJoin, 1, 0)                                                                       \
    FRAME(6, InitJoinAck, InitJoinAck, 1, 0)                                                                 \
    FRAME(7, InitJoinNack, InitJoinNack, 1, 0)                                                               \
    FRAME(8, Join, Join, 1, 0)                                                                               \
    FRAME(9, Welcome, Welcome, 1, 0)                                                                         \
    FRAME(10, JoinDeferred, JoinDeferred, 1, 0)                                                              \
    FRAME(11, JoinRefused, JoinRefused, 1, 0)                                                                \
    FRAME(12, NotMember, NotMember, 1, 0)                                                                    \
    FRAME(13, GossipEnvelope, GossipEnvelope, 1, 0)                                                          \
    FRAME(14, GossipStatus, GossipStatus, 1, 0)                                                              \
    FRAME(15, SeenAck, SeenAck, 1, 0)                                                                        \
    FRAME(16, Converged, Converged, 1, 0)                                                                    \
    FRAME(17, Heartbeat, Heartbeat, 1, 0)                                                                    \
    FRAME(18, HeartbeatReply, HeartbeatReply, 1, 0)                                                          \
    FRAME(19, ExitingConfirmed, ExitingConfirmed, 1, 0)                                                      \
    FRAME(20, TellPart, TellPart, 1, feature_tell_parts)                                                     \
    FRAME(21, Define, Define, 1, feature_interned_tells)                                                     \
    FRAME(22, InternedTell, InternedTell, 1, feature_interned_tells)

namespace muster::wire {

/// A number that an earlier version used and that no frame may have again.
struct RetiredFrame {
    std::uint32_t number = 0;
    std::string_view name;
    std::uint16_t version_last = 0;
};
inline constexpr std::array<RetiredFrame, 0> retired_frames{};

/// The variant index of a body.
enum class FrameKind : std::uint32_t {
#define MUSTER_FRAME_KIND(number, name, type, since, features) name = number,
    MUSTER_FRAMES(MUSTER_FRAME_KIND)
#undef MUSTER_FRAME_KIND
};

namespace detail {

/// A name as a template argument.
template <std::size_t size>
struct FrameName {
    char text[size]{};
    consteval FrameName(const char (&name)[size]) { std::copy_n(name, size, text); }
};

template <std::uint32_t frame_number, FrameName frame_name, class Frame, Needs frame_needs = Needs{}>
struct FrameRow {
    static constexpr std::uint32_t number = frame_number;
    static constexpr std::string_view name{frame_name.text};
    static constexpr Needs needs = frame_needs;
    using Type = Frame;
};

/// Looks frames up by number or type. Tests make further tables.
template <class... Rows>
struct FrameTable {
    /// Above every number.
    static constexpr std::uint32_t number_end = std::max({Rows::number...}) + 1;

    template <class Frame>
    static constexpr std::size_t rows_with =
        (std::size_t{0} + ... + (std::is_same_v<typename Rows::Type, Frame>));
    template <class Frame>
        requires(rows_with<Frame> == 1)
    static constexpr std::uint32_t number_of =
        (0U + ... + (std::is_same_v<typename Rows::Type, Frame> ? Rows::number : 0U));

    /// Whether a frame of that number can be decoded.
    static constexpr bool has(std::uint32_t number) noexcept { return ((Rows::number == number) || ...); }
    static constexpr std::string_view name_of(std::uint32_t number) noexcept {
        return number < number_end && !names[number].empty() ? names[number] : "unknown";
    }
    /// Of a number that has().
    static constexpr const Needs& needs_of(std::uint32_t number) noexcept { return needs[number]; }

    static consteval bool numbers_are_unique(std::span<const RetiredFrame> retired = {}) {
        std::array<std::uint32_t, sizeof...(Rows)> numbers{Rows::number...};
        std::sort(numbers.begin(), numbers.end());
        if (std::adjacent_find(numbers.begin(), numbers.end()) != numbers.end()) return false;
        return std::none_of(retired.begin(), retired.end(),
                            [](const RetiredFrame& frame) { return has(frame.number); });
    }
    /// Whether every row asks only for versions and features that exist.
    static consteval bool needs_can_be_met(const Agreement& most) { return (most.meets(Rows::needs) && ...); }

    /// Calls `visit.template operator()<Row>()` for each row.
    template <class Visit>
    static constexpr void for_each(Visit visit) {
        (visit.template operator()<Rows>(), ...);
    }

private:
    static constexpr auto names = [] {
        std::array<std::string_view, number_end> all{};
        ((all[Rows::number] = Rows::name), ...);
        return all;
    }();
    static constexpr auto needs = [] {
        std::array<Needs, number_end> all{};
        ((all[Rows::number] = Rows::needs), ...);
        return all;
    }();
};

template <class /*before the first comma*/, class... Rows>
using MakeFrameTable = FrameTable<Rows...>;

} // namespace detail

/// The frames of this build.
#define MUSTER_FRAME_ROW(number, name, type, since, features)                                                \
    , detail::FrameRow<number, #name, type, Needs{since, features}>
using Frames = detail::MakeFrameTable<void MUSTER_FRAMES(MUSTER_FRAME_ROW)>;
#undef MUSTER_FRAME_ROW
#undef MUSTER_FRAMES

namespace detail {
// Named, since the compiler spells out what it asserts.
inline constexpr bool numbers_are_unique = Frames::numbers_are_unique(retired_frames);
inline constexpr bool needs_can_be_met = Frames::needs_can_be_met(Agreement{});
inline constexpr bool numbers_are_one_byte = Frames::number_end <= 251;
template <class>
inline constexpr bool each_has_one_row = false;
template <class... Messages>
inline constexpr bool each_has_one_row<std::variant<Messages...>> =
    ((Frames::rows_with<Messages> == 1) && ...);
} // namespace detail
static_assert(detail::numbers_are_unique, "a frame's number is its own for ever");
static_assert(detail::needs_can_be_met, "a row needs what this build can offer to a peer");
static_assert(detail::numbers_are_one_byte);
static_assert(detail::each_has_one_row<ClusterMessage>, "every membership message has one row");

inline constexpr std::uint32_t frame_number_end = Frames::number_end;

/// "RemoteTell"; "unknown" for a number without a row. For logs and counters.
constexpr std::string_view name_of(FrameKind kind) noexcept {
    return Frames::name_of(static_cast<std::uint32_t>(kind));
}
FrameKind kind_of(const ClusterMessage& message) noexcept;
/// What a peer has to support to be sent this.
const Needs& needs_of(const ClusterMessage& message) noexcept;

// --- the fields of each frame, in their order, for both directions. `f` is src/wire/fields.hpp's FieldWriter
// or FieldReader.

namespace detail {

template <class T, class Frame>
concept Like = std::same_as<std::remove_const_t<T>, Frame>;

/// Frames whose bodies end where they end: the reference's, those that later versions extend in another way
/// (Hello and HelloReply by `extensions`, a gossip by its format number), and those that are read in place.
/// In others a newer peer may append fields.
template <class Frame, class... Frozen>
inline constexpr bool is_one_of = (std::same_as<Frame, Frozen> || ...);
template <class Frame>
inline constexpr bool is_frozen = is_one_of<Frame, reference::GossipPdu, RemoteTell, Hello, HelloReply,
                                            Welcome, GossipEnvelope, TellPart, InternedTell>;

template <class Fields>
void fields(Fields& f, Like<reference::GossipPdu> auto& m) {
    f.archived("pdu", m);
}
template <class Fields>
void fields(Fields& f, Like<RemoteTell> auto& m) {
    f("target_path", m.target_path)("manifest", m.manifest)("payload", m.payload)("sender_path",
                                                                                  m.sender_path);
}
template <class Fields>
void fields(Fields& f, Like<Hello> auto& m) {
    f.magic();
    f("version_min", m.version_min)("version_max", m.version_max)("features", m.features);
    f("cluster_name", m.cluster_name)("from", m.from)("to", m.to)("lane", m.lane)("extensions", m.extensions);
}
template <class Fields>
void fields(Fields& f, Like<HelloReply> auto& m) {
    f.magic();
    f("version_min", m.version_min)("version_max", m.version_max);
    f("cluster_name", m.cluster_name)("from", m.from);
    bool accepted = std::holds_alternative<HelloAccepted>(m.answer);
    f.archived("answer", accepted);
    if constexpr (!Fields::writing) {
        if (accepted)
            m.answer.template emplace<HelloAccepted>();
        else
            m.answer.template emplace<HelloRefused>();
    }
    if (accepted) {
        auto& yes = std::get<HelloAccepted>(m.answer);
        f("version", yes.version)("features", yes.features);
    } else {
        auto& no = std::get<HelloRefused>(m.answer);
        f("reason", no.reason).log_text("detail", no.detail);
    }
    f("extensions", m.extensions);
}
template <class Fields>
void fields(Fields& f, Like<Goodbye> auto& m) {
    f("reason", m.reason).log_text("detail", m.detail);
}
template <class Fields>
void fields(Fields& f, Like<InitJoin> auto& m) {
    f("from", m.from)("config", m.config);
}
template <class Fields>
void fields(Fields& f, Like<InitJoinAck> auto& m) {
    f("from", m.from)("check", m.check)("config", m.config);
}
template <class Fields>
void fields(Fields& f, Like<InitJoinNack> auto& m) {
    f("from", m.from);
}
template <class Fields>
void fields(Fields& f, Like<Join> auto& m) {
    f("node", m.node)("roles", m.roles)("app_version", m.app_version);
}
/// The gossip's layout is envelope.cpp's; it has a format number of its own.
template <class Fields>
void fields(Fields& f, Like<Welcome> auto& m) {
    f("from", m.from)("to", m.to).gossip(m.gossip);
}
template <class Fields>
void fields(Fields& f, Like<JoinDeferred> auto& m) {
    f("from", m.from)("to", m.to).log_text("reason", m.reason);
}
template <class Fields>
void fields(Fields& f, Like<JoinRefused> auto& m) {
    f("from", m.from)("to", m.to).log_text("reason", m.reason);
}
template <class Fields>
void fields(Fields& f, Like<NotMember> auto& m) {
    f("from", m.from)("to", m.to);
}
template <class Fields>
void fields(Fields& f, Like<GossipEnvelope> auto& m) {
    f("from", m.from)("to", m.to).gossip(m.gossip);
}
template <class Fields>
void fields(Fields& f, Like<GossipStatus> auto& m) {
    f("from", m.from)("to", m.to)("version", m.version)("version_id", m.version_id);
    f("seen_digest", m.seen_digest);
}
template <class Fields>
void fields(Fields& f, Like<SeenAck> auto& m) {
    f("from", m.from)("to", m.to)("version_id", m.version_id);
}
template <class Fields>
void fields(Fields& f, Like<Converged> auto& m) {
    f("from", m.from)("to", m.to)("version_id", m.version_id)("seen", m.seen);
}
template <class Fields>
void fields(Fields& f, Like<Heartbeat> auto& m) {
    f("from", m.from)("sequence_nr", m.sequence_nr)("creation_time_ns", m.creation_time_ns);
}
template <class Fields>
void fields(Fields& f, Like<HeartbeatReply> auto& m) {
    f("from", m.from)("sequence_nr", m.sequence_nr)("creation_time_ns", m.creation_time_ns);
}
template <class Fields>
void fields(Fields& f, Like<ExitingConfirmed> auto& m) {
    f("from", m.from)("to", m.to);
}
template <class Fields>
void fields(Fields& f, Like<TellPart> auto& m) {
    f("tell", m.tell)("total_bytes", m.total_bytes)("offset", m.offset)("bytes", m.bytes);
    f.check(m.offset <= m.total_bytes && m.bytes.size() <= m.total_bytes - m.offset,
            "this part ends behind the tell's total_bytes");
}
template <class Fields>
void fields(Fields& f, Like<Define> auto& m) {
    f("number", m.number)("text", m.text);
}
template <class Fields>
void fields(Fields& f, Like<InternedTell> auto& m) {
    f("target", m.target)("manifest", m.manifest)("sender", m.sender)("payload", m.payload);
}

} // namespace detail

} // namespace muster::wire
