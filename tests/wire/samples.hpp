// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Messages and gossips with every field set, for round trips and mutations.
#include <fmt/format.h>
#include <muster/wire/envelope.hpp>
#include <muster/wire/frame.hpp>

namespace muster::wire::samples {

inline UniqueAddress node(std::size_t i) {
    // Uids as random as real ones: all eight bytes in use.
    const auto uid = static_cast<std::int64_t>((i + 1) * 0x9e3779b97f4a7c15U);
    return {Address::remote("akka.tcp", "shop", fmt::format("node-{:04}.cluster.example.com", i), 2552),
            Uid{uid}};
}

/// `count` members of three kinds, everybody Up, two tombstones, a clock with entries of all.
inline Gossip cluster(std::size_t count) {
    std::vector<Member> members;
    std::vector<VectorClock::Entry> clock;
    for (std::size_t i = 0; i < count; ++i) {
        const std::vector<std::string> roles{"dc-eu", i % 3 == 0 ? "frontend" : "backend"};
        members.emplace_back(node(i), MemberStatus::Up, roles, static_cast<std::int32_t>(i + 1),
                             *AppVersion::parse(i % 2 == 0 ? "1.2.3" : "1.3"));
        clock.push_back({node(i).key(), 1 + i * 7});
    }
    std::vector<UniqueAddress> seen;
    for (std::size_t i = 0; i < count; i += 2) seen.push_back(node(i));
    std::vector<Tombstone> tombstones{{node(count + 1), {1'700'000'000'000}},
                                      {node(count + 2), {1'700'000'000'500}}};
    return *Gossip::from_parts(std::move(members), seen, Reachability{},
                               VectorClock::from_entries(std::move(clock)), std::move(tombstones));
}

/// The same with rows of two observers and members in every status.
inline Gossip troubled(std::size_t count) {
    Gossip gossip = cluster(count);
    Reachability rows = gossip.reachability();
    rows = rows.unreachable(node(0), node(1)).terminated(node(0), node(2)).unreachable(node(3), node(1));
    rows = rows.reachable(node(3), node(1)).unreachable(node(3), node(2));
    std::vector<Member> changed;
    for (std::size_t i = 0; i < std::min<std::size_t>(count, member_status_count); ++i) {
        const auto status = static_cast<MemberStatus>(i);
        if (status != MemberStatus::Removed)
            changed.emplace_back(node(i), status, std::vector<std::string>{"dc-us"}, Member::never_up);
    }
    return gossip.update(changed).with_reachability(rows);
}

inline std::vector<ClusterMessage> messages() {
    const ConfigDigests config{{"cluster.downing", {1, 2}}, {"cluster.x", {3, ~std::uint64_t{0}}}};
    const auto gossip = std::make_shared<const Gossip>(troubled(12));
    SeenSet seen{70};
    seen.set(0);
    seen.set(69);
    return {InitJoin{node(1).address(), config},
            InitJoinAck{node(1).address(), ConfigCheck::Incompatible, config},
            InitJoinNack{Address::local("akka", "shop")},
            Join{node(1), {"dc-eu", "backend"}, *AppVersion::parse("1.2.3-RC1")},
            Welcome{node(1), node(2), gossip},
            JoinDeferred{node(1), node(2), "wait"},
            JoinRefused{node(1), node(2), "removed"},
            NotMember{node(1), node(2)},
            GossipEnvelope{node(1), node(2), gossip},
            GossipStatus{node(1), node(2), gossip->version(), gossip->version_id(), gossip->seen_digest()},
            SeenAck{node(1), node(2), gossip->version_id()},
            Converged{node(1), node(2), gossip->version_id(), seen},
            Heartbeat{node(1).address(), 7, -123'456'789'012},
            HeartbeatReply{node(1), 7, 123'456'789'012},
            ExitingConfirmed{node(1), node(2)}};
}

inline Hello hello() {
    Hello hello;
    hello.features = feature_tell_parts | feature_interned_tells;
    hello.cluster_name = "shop";
    hello.from = node(1);
    hello.to = node(2).address();
    hello.lane = 3;
    hello.extensions = {std::byte{1}, std::byte{2}};
    return hello;
}

/// One frame of every kind.
inline std::vector<ClusterFrame> frames() {
    using namespace reference;
    const reference::Address a{"akka.tcp", "S", "127.0.0.1", 2551};
    const reference::Address b{"akka", "S", std::nullopt, std::nullopt};
    HelloReply yes{.cluster_name = "shop", .from = node(2), .answer = HelloAccepted{1, 3}};
    HelloReply no{
        .cluster_name = "shop", .from = node(2), .answer = HelloRefused{RefusalReason::Stopping, "bye"}};
    const auto payload = [] { return Slice::copy_of("payload"); };
    std::vector<ClusterFrame> all{GossipPdu{Status{"a", {{"a", 1}, {"b", 300}}}},
                                  GossipPdu{Envelope{"a",
                                                     {{"a", 1}},
                                                     {{{a, -5, reference::MemberStatus::Leaving, {"r"}},
                                                       {b, 3, reference::MemberStatus::Up, {}}},
                                                      {{a, b, reference::ReachabilityStatus::Terminated}}}}},
                                  GossipPdu{Merge{"a", {}}},
                                  RemoteTell{"/user/a", "json:Hello", payload(), "/user/b"},
                                  RemoteTell{"/user/a", "json:Hello", payload(), std::nullopt},
                                  hello(),
                                  yes,
                                  no,
                                  Goodbye{GoodbyeReason::Quarantined, "removed"},
                                  TellPart{1, 1000, 500, payload()},
                                  Define{12, "/user/a"},
                                  InternedTell{1, 2, 3, payload()}};
    for (ClusterMessage& message : messages()) all.emplace_back(std::move(message));
    return all;
}

} // namespace muster::wire::samples
