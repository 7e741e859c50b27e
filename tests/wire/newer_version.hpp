// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A wire version that does not exist, made as a later one would be: a message of its own, which also asks
/// for a feature, and a field behind the last one of a message of version 1.
#include "wire/frame_codec.hpp"

#include <cstdint>
#include <string>
#include <variant>

namespace muster::wire::newer {

inline constexpr std::uint16_t version = wire_version_max + 1;
inline constexpr std::uint64_t feature_probe = 1U << 20U;
static_assert((features_known & feature_probe) == 0);

inline constexpr Offer offer{wire_version_min, version, features_offered | feature_probe};
inline constexpr Agreement both_newer{version, offer.features};

struct Probe {
    UniqueAddress from;
    std::string question;
    bool operator==(const Probe&) const = default;
};
template <class Fields>
void fields(Fields& f, detail::Like<Probe> auto& m) {
    f("from", m.from)("question", m.question);
}

/// Heartbeat, as the newer version has it.
struct LoadedHeartbeat {
    Address from;
    std::int64_t sequence_nr{};
    std::int64_t creation_time_ns{};
    std::uint32_t load = 0;
    bool operator==(const LoadedHeartbeat&) const = default;
};
template <class Fields>
void fields(Fields& f, detail::Like<LoadedHeartbeat> auto& m) {
    f("from", m.from)("sequence_nr", m.sequence_nr)("creation_time_ns", m.creation_time_ns);
    f.when(Needs{version}, "load", m.load);
}

inline constexpr Needs probe_needs{version, feature_probe};
using Table = detail::FrameTable<detail::FrameRow<17, "Heartbeat", LoadedHeartbeat>,
                                 detail::FrameRow<40, "Probe", Probe, probe_needs>>;
using AnyFrame = std::variant<LoadedHeartbeat, Probe, UnknownFrame>;
using Codec = detail::FrameCodec<Table, AnyFrame>;

} // namespace muster::wire::newer
