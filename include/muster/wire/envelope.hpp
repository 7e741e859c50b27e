// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The gossip inside GossipEnvelope and Welcome: a head with seen and version_id, and a compact body that is
/// built once per version and shared by all sends (protocol.md §6.1).
#include <cstddef>
#include <muster/buffer.hpp>
#include <muster/cluster/state/gossip.hpp>
#include <muster/error.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace muster::wire {

/// Keeps the encoded bodies of the last versions. A body is a gossip without its seen set, so all nodes that
/// hold a version send the same bytes.
class EnvelopeEncoder {
public:
    /// The most versions kept; beyond it the least recently used is dropped.
    static constexpr std::size_t bodies_max_default = 4;
    explicit EnvelopeEncoder(std::size_t bodies_max = bodies_max_default) : bodies_max_(bodies_max) {}

    /// The shared body of `gossip`. Errors: Errc::invalid_argument for texts that have no wire form,
    /// Errc::too_large above `bytes_max`.
    result<Slice> body_of(const GossipPtr& gossip, std::size_t bytes_max);

    std::size_t bodies() const noexcept { return bodies_.size(); }
    /// The number of bodies built, for tests and metrics.
    std::size_t built() const noexcept { return built_; }

private:
    struct Body {
        GossipPtr gossip; ///< keeps what the body was built from, to compare tombstone times
        Slice bytes;
    };
    std::size_t bodies_max_;
    std::size_t built_ = 0;
    std::vector<Body> bodies_; ///< most recently used last
};

/// Known values, whose memory decoding the next version of a gossip shares: addresses, members and, for the
/// same version, everything. Where the members' bytes equal those decoded last, as in every version that only
/// changes reachability, the members are not even read.
class Interner {
public:
    /// Sets the gossip to share with from now on. Decoding calls it with each decoded gossip.
    void remember(GossipPtr gossip) noexcept { known_ = std::move(gossip); }
    const GossipPtr& known() const noexcept { return known_; }
    /// The same value, with shared memory if it is known.
    UniqueAddress intern(UniqueAddress node) const;
    /// The value made of these parts if it was met lately, null otherwise. The look-up allocates nothing:
    /// every message names its sender and receiver.
    const UniqueAddress* find(std::string_view protocol, std::string_view system,
                              std::optional<std::string_view> host, std::optional<std::uint16_t> port,
                              Uid uid) const noexcept;
    /// Makes find() find a node of the known gossip.
    void keep(const UniqueAddress& node);

    /// `bytes` are the beginning of a body up to the end of its members, which are those of `gossip`.
    void remember_members(std::span<const std::byte> bytes, GossipPtr gossip);
    /// The gossip whose members `body` begins with, null when they differ; and the bytes of those members.
    const GossipPtr& members_of(std::span<const std::byte> body) const noexcept;
    std::size_t members_bytes() const noexcept { return members_bytes_.size(); }

private:
    GossipPtr known_;
    static constexpr std::size_t kept_max = 128;
    static std::size_t place_of(Uid uid) noexcept;

    std::vector<UniqueAddress> kept_; ///< each at its place; empty or kept_max many
    std::vector<std::byte> members_bytes_;
    GossipPtr members_of_;
};

} // namespace muster::wire
