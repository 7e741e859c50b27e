// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/protocol/messages.hpp>

#include <array>

namespace muster {
namespace {

/// In the order of ClusterMessage.
constexpr std::array<std::string_view, std::variant_size_v<ClusterMessage>> names{
    "InitJoin",     "InitJoinAck", "InitJoinNack", "Join",           "Welcome",
    "JoinDeferred", "JoinRefused", "NotMember",    "GossipEnvelope", "GossipStatus",
    "SeenAck",      "Converged",   "Heartbeat",    "HeartbeatReply", "ExitingConfirmed"};

} // namespace

std::string_view name_of(const ClusterMessage& message) noexcept {
    return message.valueless_by_exception() ? std::string_view{"?"} : names[message.index()];
}

} // namespace muster
