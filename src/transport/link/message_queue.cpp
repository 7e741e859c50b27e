// SPDX-License-Identifier: Apache-2.0
#include "message_queue.hpp"

#include <type_traits>
#include <utility>

namespace muster::transport {

MessageLane lane_of(const ClusterMessage& message) noexcept {
    return std::visit(
        [](const auto& m) {
            using M = std::decay_t<decltype(m)>;
            if constexpr (std::is_same_v<M, Heartbeat>) return MessageLane::Heartbeat;
            if constexpr (std::is_same_v<M, HeartbeatReply>) return MessageLane::HeartbeatReply;
            if constexpr (std::is_same_v<M, InitJoinAck> || std::is_same_v<M, InitJoinNack> ||
                          std::is_same_v<M, NotMember> || std::is_same_v<M, JoinDeferred> ||
                          std::is_same_v<M, JoinRefused>)
                return MessageLane::Answer;
            return MessageLane::Membership;
        },
        message);
}

std::size_t MessageQueue::limit(MessageLane lane) const noexcept {
    switch (lane) {
    case MessageLane::Heartbeat:
    case MessageLane::HeartbeatReply: return heartbeats_max;
    case MessageLane::Answer: return answers_max;
    case MessageLane::Membership: break;
    }
    return membership_max_;
}

/// Forgets what was passed when that is all, or half of it: amortised constant time per message.
void MessageQueue::Lane::drop_front() {
    entries[first].message = {};
    ++first;
    if (first == entries.size()) {
        entries.clear();
        first = 0;
    } else if (first >= 64 && first >= entries.size() / 2) {
        entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(first));
        first = 0;
    }
}

std::size_t MessageQueue::push(MessageLane lane, QueuedMessage message) {
    Lane& queue = lanes_[index(lane)];
    std::size_t dropped = 0;
    if (queue.size() >= limit(lane)) {
        queue.drop_front();
        --size_;
        dropped = 1;
    }
    queue.entries.push_back({pushed_++, std::move(message)});
    ++size_;
    return dropped;
}

std::optional<QueuedMessage> MessageQueue::pop() {
    Lane* next = nullptr;
    for (const MessageLane lane : {MessageLane::Heartbeat, MessageLane::HeartbeatReply}) {
        Lane& queue = lanes_[index(lane)];
        if (!next && queue.size() > 0) next = &queue;
    }
    if (!next) {
        for (const MessageLane lane : {MessageLane::Membership, MessageLane::Answer}) {
            Lane& queue = lanes_[index(lane)];
            if (queue.size() > 0 && (!next || queue.front().number < next->front().number)) next = &queue;
        }
    }
    if (!next) return std::nullopt;
    QueuedMessage message = std::move(next->front().message);
    next->drop_front();
    --size_;
    return message;
}

std::size_t MessageQueue::expire(Instant now) {
    std::size_t expired = 0;
    for (Lane& lane : lanes_) {
        // In the order of sending, so the expired ones are in front.
        while (lane.size() > 0 && lane.front().message.expires <= now) {
            lane.drop_front();
            ++expired;
        }
    }
    size_ -= expired;
    return expired;
}

std::size_t MessageQueue::clear() {
    for (Lane& lane : lanes_) lane = {};
    return std::exchange(size_, 0);
}

void MessageQueue::trim() {
    if (empty()) clear();
}

} // namespace muster::transport
