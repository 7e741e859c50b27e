// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The unsent membership messages of one association.
#include <array>
#include <cstddef>
#include <cstdint>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/time.hpp>
#include <muster/unique_function.hpp>
#include <muster/wire/frame.hpp>
#include <optional>
#include <variant>
#include <vector>

namespace muster::transport {

/// What a message is to the queue. Each has a limit of its own, so that what one peer asks for pushes nothing
/// of this node's own out.
enum class MessageLane : std::uint8_t {
    Heartbeat,      ///< this node watches the peer
    HeartbeatReply, ///< the peer watches this node
    Membership,     ///< gossip, joining, leaving
    Answer,         ///< to whoever asked: InitJoinAck, InitJoinNack, NotMember, JoinDeferred, JoinRefused
};
inline constexpr std::size_t message_lane_count = 4;
MessageLane lane_of(const ClusterMessage& message) noexcept;

/// A message whose bytes depend on what was agreed upon with the peer: encoded once that is known, and
/// dropped when the peer does not have what it needs.
struct LateMessage {
    wire::Needs needs;
    /// Nothing when it cannot be encoded, which is counted then.
    UniqueFunction<std::optional<wire::EncodedMessage>(const wire::Agreement&)> encode;
};
using OutgoingMessage = std::variant<wire::EncodedMessage, LateMessage>;

struct QueuedMessage {
    std::optional<Uid> to; ///< write it to that incarnation only
    OutgoingMessage message;
    Instant expires;
};

/// Heartbeats come out first, their answers next, everything else in the order it came. A full lane drops its
/// oldest: the newest of periodic messages supersede it. Empty it holds no memory after trim().
class MessageQueue {
public:
    /// Of this node's heartbeats and of its answers to heartbeats, each: one per heartbeat-interval waits,
    /// and all of them expire soon.
    static constexpr std::size_t heartbeats_max = 64;
    static constexpr std::size_t answers_max = 256;

    explicit MessageQueue(std::size_t membership_max) noexcept : membership_max_(membership_max) {}

    /// How many were dropped for it (0 or 1).
    std::size_t push(MessageLane lane, QueuedMessage message);
    /// The next one to write, if any. Moves it out.
    std::optional<QueuedMessage> pop();
    /// Drops what expires at `now` or before. How many.
    std::size_t expire(Instant now);
    /// Drops everything. How many.
    std::size_t clear();
    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }
    std::size_t size(MessageLane lane) const noexcept { return lanes_[index(lane)].size(); }
    void trim();

private:
    struct Entry {
        std::uint64_t number; ///< in the order of push()
        QueuedMessage message;
    };
    struct Lane {
        std::vector<Entry> entries; ///< from first on
        std::size_t first = 0;
        std::size_t size() const noexcept { return entries.size() - first; }
        Entry& front() noexcept { return entries[first]; }
        void drop_front();
    };
    static std::size_t index(MessageLane lane) noexcept { return static_cast<std::size_t>(lane); }
    std::size_t limit(MessageLane lane) const noexcept;

    const std::size_t membership_max_;
    std::array<Lane, message_lane_count> lanes_;
    std::size_t size_ = 0;
    std::uint64_t pushed_ = 0;
};

} // namespace muster::transport
