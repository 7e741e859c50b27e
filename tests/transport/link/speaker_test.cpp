// SPDX-License-Identifier: Apache-2.0
#include "link/speaker.hpp"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace muster::transport {
namespace {

const Address address = Address::remote("akka.tcp", "c", "host", 1);
const UniqueAddress peer{address, Uid{1}};
const UniqueAddress restarted{address, Uid{2}};
const UniqueAddress other{Address::remote("akka.tcp", "c", "host", 2), Uid{1}};

/// Every kind of message, made by `node`.
std::vector<ClusterMessage> all_made_by(const UniqueAddress& node) {
    const Address& a = node.address();
    return {InitJoin{a, {}},
            InitJoinAck{a, {}, {}},
            InitJoinNack{a},
            Join{node, {}, {}},
            Welcome{node, other, {}},
            JoinDeferred{node, other, {}},
            JoinRefused{node, other, {}},
            NotMember{node, other},
            GossipEnvelope{node, other, {}},
            GossipStatus{node, other, {}, {}, {}},
            SeenAck{node, other, {}},
            Converged{node, other, {}, {}},
            Heartbeat{a, 1, 1},
            HeartbeatReply{node, 1, 1},
            ExitingConfirmed{node, other}};
}

TEST(Speaker, IsWhoMadeEveryKindOfMessage) {
    const auto messages = all_made_by(peer);
    ASSERT_EQ(messages.size(), std::variant_size_v<ClusterMessage>) << "a kind is missing here";
    for (std::size_t i = 0; i < messages.size(); ++i) {
        ASSERT_EQ(messages[i].index(), i);
        EXPECT_TRUE(is_made_by(peer, messages[i])) << name_of(messages[i]);
        EXPECT_FALSE(is_made_by(other, messages[i])) << name_of(messages[i]);
    }
}

TEST(Speaker, OfAMessageThatNamesAnIncarnationIsExactlyThatOne) {
    for (const auto& message : all_made_by(peer)) {
        const bool by_address =
            std::holds_alternative<InitJoin>(message) || std::holds_alternative<InitJoinAck>(message) ||
            std::holds_alternative<InitJoinNack>(message) || std::holds_alternative<Heartbeat>(message);
        EXPECT_EQ(is_made_by(restarted, message), by_address) << name_of(message);
    }
}

TEST(SenderPaths, NameThePeersNodeOrNobody) {
    const SenderPaths paths{Address::remote("akka.tcp", "c", "2001:DB8::1", 1)};
    for (const char* allowed :
         {"akka.tcp://c@[2001:db8::1]:1", "akka.tcp://c@[2001:db8::1]:1/user/a#7",
          "akka.tcp://c@[2001:DB8:0::1]:1/user/a", "/user/a", "me", "", "akka.tcp://c/user/a"})
        EXPECT_TRUE(paths.allow(allowed)) << allowed;
    for (const char* foreign : {"akka.tcp://c@[2001:db8::1]:11/user/a", "akka.tcp://c@[2001:db8::2]:1/user/a",
                                "akka.tcp://d@[2001:db8::1]:1/user/a", "akka://c@[2001:db8::1]:1/user/a",
                                "akka.tcp://c@[2001:db8::1]/user/a", "akka.tcp://c@", "://"})
        EXPECT_FALSE(paths.allow(foreign)) << foreign;
}

} // namespace
} // namespace muster::transport
