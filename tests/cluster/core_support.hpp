// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One core, told one thing, and what its effects say: what the tests of ClusterCore share.
#include "core_world.hpp"

#include <algorithm>
#include <memory>
#include <muster/ensure.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace muster::testing {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline UniqueAddress node(std::string host, std::int64_t uid = 1) {
    return {Address::remote("akka.tcp", "world", std::move(host), 2551), Uid{uid}};
}
inline const UniqueAddress a = node("a");
inline const UniqueAddress b = node("b");
inline const UniqueAddress c = node("c");
inline const UniqueAddress d = node("d");

inline Now at(Duration elapsed = {}) {
    return {Instant{} + hours{1} + elapsed, WallTime{1'000'000 + elapsed / milliseconds{1}}};
}

inline Member member(const UniqueAddress& n, MemberStatus status, std::int32_t up = Member::never_up) {
    return {n, status, {}, up};
}
inline Member up(const UniqueAddress& n, std::int32_t number) { return member(n, MemberStatus::Up, number); }

inline Gossip gossip_of(const std::vector<Member>& members, const std::vector<UniqueAddress>& seen,
                        Reachability reachability = {}) {
    auto g = Gossip::from_parts(members, seen, std::move(reachability), {}, {});
    MUSTER_ENSURE(g.has_value(), "a test's gossip is well formed");
    return g->increment(members.front().unique_address());
}

inline RandomSource random_source() {
    return [random = std::make_shared<Random>(42)] { return random->next(); };
}

inline ClusterCore core_with(const UniqueAddress& self, Gossip gossip,
                             ClusterSettings settings = ClusterSettings::classic(),
                             ClusterCore::Restored restored = {}) {
    restored.gossip = std::make_shared<const Gossip>(std::move(gossip));
    return ClusterCore::with_state(self, std::move(settings), random_source(), std::move(restored), at());
}

template <class M>
std::vector<M> sent(const Effects& effects) {
    std::vector<M> all;
    for (const Effect& e : effects)
        if (const auto* s = std::get_if<effect::Send>(&e))
            if (const auto* m = std::get_if<M>(&s->message)) all.push_back(*m);
    return all;
}
template <class M>
std::vector<Address> targets(const Effects& effects) {
    std::vector<Address> all;
    for (const Effect& e : effects)
        if (const auto* s = std::get_if<effect::Send>(&e))
            if (std::holds_alternative<M>(s->message)) all.push_back(s->to.address);
    return all;
}
template <class E>
std::vector<E> of_type(const Effects& effects) {
    std::vector<E> all;
    for (const Effect& e : effects)
        if (const auto* x = std::get_if<E>(&e)) all.push_back(*x);
    return all;
}
inline std::uint64_t counted(const Effects& effects, std::string_view id) {
    std::uint64_t n = 0;
    for (const auto& count : of_type<effect::Count>(effects)) n += count.id == id ? count.n : 0;
    return n;
}
inline bool logged(const Effects& effects, std::string_view code) {
    const auto all = of_type<effect::Log>(effects);
    return std::ranges::any_of(all, [&](const effect::Log& l) { return l.code == code; });
}
inline std::optional<ShutdownReason> shutdown_of(const Effects& effects) {
    const auto all = of_type<effect::Shutdown>(effects);
    return all.empty() ? std::nullopt : std::optional(all.front().reason);
}
inline MemberStatus status_in(const ClusterCore& core, const UniqueAddress& n) {
    const Member* m = core.state()->latest().find(n);
    return m == nullptr ? MemberStatus::Removed : m->status();
}
inline Effects tell(ClusterCore& core, const ClusterMessage& message, Duration elapsed = {}) {
    Effects out;
    core.on_message(message, at(elapsed).monotonic, at(elapsed), out);
    return out;
}
inline GossipEnvelope envelope(const UniqueAddress& from, const UniqueAddress& to, Gossip gossip) {
    return {from, to, std::make_shared<const Gossip>(std::move(gossip))};
}

} // namespace muster::testing
