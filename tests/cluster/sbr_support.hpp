// SPDX-License-Identifier: Apache-2.0
#pragma once
// Short ways to write members, splits and resolver scripts in tests.
#include <algorithm>
#include <functional>
#include <muster/cluster/sbr/runtime.hpp>
#include <string>
#include <utility>
#include <vector>

namespace muster::test {

inline UniqueAddress node(const std::string& host, std::int64_t uid = 1) {
    return {Address::remote("akka.tcp", "sys", host, 2551), Uid{uid}};
}

inline std::vector<UniqueAddress> nodes(const std::string& hosts) {
    std::vector<UniqueAddress> all;
    for (const char host : hosts) all.push_back(node(std::string(1, host)));
    return all;
}

/// Up members are numbered unless told otherwise: 'a' is 1, 'b' is 2, ...
inline Member member(const std::string& host, MemberStatus status = MemberStatus::Up,
                     std::vector<std::string> roles = {}, std::int32_t up_number = 0) {
    const bool never = status == MemberStatus::Joining || status == MemberStatus::WeaklyUp;
    if (up_number == 0) up_number = never ? Member::never_up : host[0] - 'a' + 1;
    return Member(node(host), status, std::move(roles), up_number);
}

/// "abc" for nodes a, b and c; other hosts in full.
inline std::string hosts(const std::vector<UniqueAddress>& all) {
    std::string text;
    for (const UniqueAddress& n : all) text += *n.address().host;
    return text;
}

inline Reachability rows(const std::vector<std::pair<std::string, std::string>>& observer_and_subject) {
    Reachability table;
    for (const auto& [observer, subject] : observer_and_subject)
        table = table.unreachable(node(observer), node(subject));
    return table;
}

/// The view of `self`'s side of a clean split: everybody here has seen, and calls everybody there
/// unreachable.
inline SbrModel split(const std::string& self, const std::vector<Member>& here,
                      const std::vector<Member>& there) {
    SbrModel model(node(self), "default");
    for (const Member& m : here) model.add(m);
    for (const Member& m : there) model.add_unreachable(m);
    Reachability table;
    std::vector<UniqueAddress> seen;
    for (const Member& m : here) {
        seen.push_back(m.unique_address());
        for (const Member& other : there)
            table = table.unreachable(m.unique_address(), other.unique_address());
    }
    model.set_reachability(table);
    model.set_seen_by(std::move(seen));
    return model;
}

inline std::string downs(const DowningStrategy& strategy, const SbrModel& model) {
    return hosts(nodes_to_down(strategy, model, strategy.decide(model).decision).nodes);
}

inline Now at(std::int64_t ms) { return {Instant{std::chrono::milliseconds{ms}}, WallTime{1'000'000 + ms}}; }

/// Drives an SbrRuntime and remembers what it asked for.
class Resolver {
public:
    explicit Resolver(const std::string& self, SbrSettings settings)
        : runtime(node(self), "default", settings) {}

    void tell(std::int64_t ms, const ClusterEvent& event) { runtime.on_event(event, at(ms), effects); }
    void up(std::int64_t ms, const std::string& all) {
        for (const char host : all) tell(ms, MemberUp{member(std::string(1, host))});
    }
    void leader(std::int64_t ms, const std::string& host) { tell(ms, LeaderChanged{{}, node(host)}); }
    void unreachable(std::int64_t ms, const std::string& all) {
        for (const char host : all) tell(ms, UnreachableMember{member(std::string(1, host))});
    }
    void reachable(std::int64_t ms, const std::string& all) {
        for (const char host : all) tell(ms, ReachableMember{member(std::string(1, host))});
    }
    void removed(std::int64_t ms, const std::string& host) {
        tell(ms, MemberRemoved{member(host), MemberStatus::Down});
    }
    SbrAction tick(std::int64_t ms) { return runtime.tick(at(ms), effects); }
    SbrAction lease(std::int64_t ms, std::uint64_t generation, const LeaseAnswer& answer) {
        return runtime.on_lease(generation, answer, at(ms), effects);
    }

    /// Hosts downed since the last call, in order.
    std::string take_downs() {
        std::vector<UniqueAddress> downed;
        for (const auto& down : all<effect::Down>())
            downed.insert(downed.end(), down.nodes.begin(), down.nodes.end());
        effects.clear();
        return hosts(downed);
    }
    template <class E>
    std::vector<E> all() const {
        std::vector<E> found;
        for (const Effect& effect : effects)
            if (const auto* e = std::get_if<E>(&effect)) found.push_back(*e);
        return found;
    }
    bool logged(std::string_view code) const {
        const auto logs = all<effect::Log>();
        return std::any_of(logs.begin(), logs.end(), [&](const auto& log) { return log.code == code; });
    }

    SbrRuntime runtime;
    Effects effects;
};

inline SbrSettings settings_of(std::string strategy, std::int64_t stable_after_ms = 0) {
    SbrSettings settings;
    settings.strategy = std::move(strategy);
    settings.stable_after = std::chrono::milliseconds{stable_after_ms};
    settings.down_all_when_unstable = SbrSettings::Unstable::off();
    return settings;
}

} // namespace muster::test
