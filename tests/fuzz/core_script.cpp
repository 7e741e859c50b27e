// SPDX-License-Identifier: Apache-2.0
#include "core_script.hpp"

#include "../wire/samples.hpp"
#include "base/split_mix64.hpp"
#include "script.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <muster/cluster/core/core.hpp>
#include <muster/ensure.hpp>
#include <muster/wire/envelope.hpp>
#include <muster/wire/frame.hpp>

namespace muster::wire::fuzz {
namespace {

using muster::fuzz::Script;
using std::chrono::milliseconds;

constexpr std::size_t nodes = 5; ///< of the cluster that forgeries are about; 1 and 2 are the two cores
constexpr std::size_t steps_max = 200;
constexpr std::size_t deliveries_max = 400; ///< two cores that answer each other for ever end here

/// First byte of a step.
enum class Step : std::uint8_t {
    RawFrame,
    ForgedGossip,
    ForgedMessage,
    Link,
    Refused,
    Tick,
    Time,
    Timer,
    Command,
    PeerTick,
    ExitingDone,
    Count
};

UniqueAddress self_node() { return samples::node(2); }
UniqueAddress peer_node() { return samples::node(1); }

/// Who forgeries are about: nodes of the cluster, their further incarnations, and those who belong nowhere.
UniqueAddress any_node(Script& script) {
    const std::uint8_t kind = script.byte();
    const UniqueAddress node = samples::node(kind % nodes);
    if (kind < 200) return node;
    if (kind < 235) return {node.address(), Uid{static_cast<std::int64_t>(kind % 3) - 1}};
    if (kind < 245)
        return {Address::remote("akka.tcp", "other", *node.address().host, *node.address().port), node.uid()};
    return {Address::remote("akka", "shop", *node.address().host, *node.address().port), node.uid()};
}

MemberStatus any_status(Script& script) {
    return static_cast<MemberStatus>(script.below(member_status_count));
}

Member any_member(Script& script) {
    std::vector<std::string> roles{script.chance(200) ? "dc-default" : "dc-us"};
    if (script.chance(64)) roles.emplace_back(script.chance(128) ? "backend" : "dc-second");
    UniqueAddress node = any_node(script);
    const MemberStatus status = any_status(script);
    const auto up = script.chance(128) ? static_cast<std::int32_t>(script.number()) : Member::never_up;
    return Member(std::move(node), status, std::move(roles), up);
}

/// A gossip from nothing or from what a node holds, with anything changed. Empty: not even from_parts() takes
/// it.
std::optional<Gossip> any_gossip(Script& script, const Gossip& base) {
    std::map<UniqueAddress, Member> members;
    std::vector<UniqueAddress> seen;
    std::vector<VectorClock::Entry> clock;
    std::vector<Reachability::Record> rows;
    std::vector<Reachability::Version> versions;
    std::vector<Tombstone> tombstones;
    if (script.chance(200)) {
        for (const Member& m : base.members()) members.emplace(m.unique_address(), m);
        seen = base.seen_nodes();
        clock.assign(base.version().entries().begin(), base.version().entries().end());
        rows.assign(base.reachability().records().begin(), base.reachability().records().end());
        versions.assign(base.reachability().versions().begin(), base.reachability().versions().end());
        tombstones.assign(base.tombstones().begin(), base.tombstones().end());
    }
    for (std::size_t i = script.below(6); i > 0; --i) {
        switch (script.below(8)) {
        case 0:
        case 1: {
            const Member m = any_member(script);
            members.insert_or_assign(m.unique_address(), m);
            break;
        }
        case 2: members.erase(any_node(script)); break;
        case 3: seen.push_back(any_node(script)); break;
        case 4: {
            const UniqueAddress node = any_node(script);
            clock.push_back({node.key(), script.number()}); // of a double key the higher counter stays
            break;
        }
        case 5: {
            const UniqueAddress observer = any_node(script);
            const UniqueAddress subject = any_node(script);
            const auto status = static_cast<ReachabilityStatus>(script.below(3));
            const auto version = static_cast<std::int64_t>(script.number());
            std::erase_if(rows,
                          [&](const auto& r) { return r.observer == observer && r.subject == subject; });
            std::erase_if(versions,
                          [&](const auto& v) { return v.observer == observer && v.version < version; });
            rows.push_back({observer, subject, status, version});
            if (script.chance(240)) versions.push_back({observer, version});
            break;
        }
        case 6: {
            const UniqueAddress node = any_node(script);
            tombstones.push_back({node, WallTime{static_cast<std::int64_t>(script.number())}});
            if (script.chance(240)) members.erase(node);
            break;
        }
        case 7:
            if (!members.empty()) {
                auto& [node, old] =
                    *std::next(members.begin(), static_cast<std::ptrdiff_t>(script.below(members.size())));
                const auto status = any_status(script);
                if (status != MemberStatus::Removed)
                    old =
                        Member(node, status, std::vector<std::string>{old.roles().begin(), old.roles().end()},
                               old.up_number());
            }
            break;
        }
    }
    if (script.chance(
            200)) { // what its members cannot back is left out, so that most forgeries get past from_parts()
        std::erase_if(seen, [&](const UniqueAddress& n) { return !members.contains(n); });
        std::erase_if(rows, [&](const auto& r) {
            return !members.contains(r.observer) || !members.contains(r.subject);
        });
        std::erase_if(versions, [&](const auto& v) { return !members.contains(v.observer); });
        std::ranges::sort(tombstones, {}, &Tombstone::node);
        const auto doubles = std::ranges::unique(tombstones, {}, &Tombstone::node);
        tombstones.erase(doubles.begin(), doubles.end());
        std::erase_if(tombstones, [&](const Tombstone& t) { return members.contains(t.node); });
    }
    std::vector<Member> list;
    for (auto& [node, member] : members) list.push_back(std::move(member));
    auto made = Gossip::from_parts(std::move(list), seen, Reachability(std::move(rows), std::move(versions)),
                                   VectorClock::from_entries(std::move(clock)), std::move(tombstones));
    if (!made) return std::nullopt;
    return *std::move(made);
}

/// What a receiver makes of a message's bytes; empty when its decoder refuses them.
std::optional<ClusterMessage> decoded(const Slice& body) {
    auto frame = decode_frame(body);
    if (!frame) return std::nullopt;
    if (auto* message = std::get_if<ClusterMessage>(&*frame)) return std::move(*message);
    return std::nullopt;
}

class World {
public:
    explicit World(Script script) : script_(script) {
        for (Node& node : cores_) node.core.check_invariants(true);
        start(script_.below(3));
    }

    void run() {
        for (std::size_t i = 0; i < steps_max && !script_.ended(); ++i) step();
    }

private:
    struct Node {
        explicit Node(const UniqueAddress& self, std::uint64_t seed)
            : core(self, ClusterSettings{}, SplitMix64(seed)) {}
        ClusterCore core;
        std::map<TimerKey, Instant> timers;
        bool runs_exiting_tasks = false;
        GossipPtr checked;
        EnvelopeEncoder encoder;
    };
    Node& target() { return cores_[0]; }
    Node& peer() { return cores_[1]; }

    template <class Input>
    void input(Node& node, Input&& call) {
        Effects effects;
        call(node.core, Now{now_, WallTime{1'700'000'000'000 + now_.time_since_epoch() / milliseconds{1}}},
             effects);
        const GossipPtr& gossip = node.core.state()->gossip;
        if (gossip && gossip != node.checked) gossip->check();
        node.checked = gossip;
        for (const Effect& e : effects) carry_out(node, e);
    }

    void carry_out(Node& node, const Effect& e) {
        if (const auto* send = std::get_if<effect::Send>(&e)) return sent(node, *send);
        if (const auto* set = std::get_if<effect::SetTimer>(&e)) node.timers[set->key] = now_ + set->delay;
        if (const auto* cancel = std::get_if<effect::CancelTimer>(&e)) node.timers.erase(cancel->key);
        if (std::holds_alternative<effect::RunExitingTasks>(e)) node.runs_exiting_tasks = true;
        if (std::holds_alternative<effect::NewIncarnation>(e)) {
            const UniqueAddress fresh(node.core.self().address(), Uid{node.core.self().uid().value + 1});
            input(node,
                  [&](ClusterCore& c, const Now& t, Effects& out) { c.on_new_incarnation(fresh, t, out); });
        }
    }

    void sent(Node& from, const effect::Send& send) {
        const auto encoded = encode_message(send.message, from.encoder);
        MUSTER_ENSURE(encoded.has_value(), "what a core sends has a wire form");
        std::vector<std::byte> bytes(encoded->head.bytes().begin() + frame_header_bytes,
                                     encoded->head.bytes().end());
        bytes.insert(bytes.end(), encoded->body.bytes().begin(), encoded->body.bytes().end());
        auto message = decoded(Slice{bytes});
        MUSTER_ENSURE(message.has_value(), "what a core sends is accepted by a peer's decoder");
        for (Node& node : cores_) {
            if (&node == &from || node.core.self().address() != send.to.address) continue;
            if (!send.to.uid || *send.to.uid == node.core.self().uid())
                queue_.emplace_back(&node, *std::move(message));
            return;
        }
    }

    void deliver() {
        while (!queue_.empty()) {
            auto [node, message] = std::move(queue_.front());
            queue_.pop_front();
            if (++deliveries_ > deliveries_max) continue;
            input(*node, [&, &m = message](ClusterCore& c, const Now& t, Effects& out) {
                c.on_message(m, now_, t, out);
            });
        }
    }

    void tick(Node& node, std::size_t which) {
        input(node, [which](ClusterCore& c, const Now& t, Effects& out) {
            switch (which) {
            case 0: return c.tick_gossip(t, out);
            case 1: return c.tick_leader_actions(t, out);
            case 2: return c.tick_reaper(t, out);
            case 3: return c.tick_heartbeat(t, out);
            case 4: return c.tick_cross_dc_heartbeat(t, out);
            default: return c.tick_join(t, out);
            }
        });
        deliver();
    }

    void advance(Duration by) {
        now_ += by;
        for (Node& node : cores_) {
            std::vector<TimerKey> due;
            for (const auto& [key, when] : node.timers)
                if (when <= now_) due.push_back(key);
            for (const TimerKey& key : due) {
                if (node.timers.erase(key) == 0) continue;
                input(node, [&](ClusterCore& c, const Now& t, Effects& out) { c.on_timer(key, t, out); });
            }
        }
        deliver();
    }

    /// 0: nobody has joined; 1: the target has founded a cluster; 2: the peer has joined it and both are Up.
    void start(std::size_t how_far) {
        if (how_far == 0) return;
        const auto to = target().core.self().address();
        input(target(), [&](ClusterCore& c, const Now& t, Effects& out) { c.join(to, t, out); });
        if (how_far == 2) {
            for (auto [at, about] : {std::pair(&target(), &peer()), std::pair(&peer(), &target())}) {
                const UniqueAddress other = about->core.self();
                input(*at, [&](ClusterCore& c, const Now& t, Effects& out) {
                    c.on_link(other, LinkEvent::Established, t, out);
                });
            }
            input(peer(), [&](ClusterCore& c, const Now& t, Effects& out) { c.join(to, t, out); });
        }
        for (int round = 0; round < 3; ++round) {
            deliver();
            advance(std::chrono::seconds{1});
            for (Node& node : cores_)
                for (std::size_t which = 0; which < 6; ++which) tick(node, which);
        }
    }

    /// As a stranger would: only what survives encoding and the receiver's decoder arrives.
    void receive(const ClusterMessage& forged) {
        EnvelopeEncoder encoder;
        const auto encoded = encode_frame(forged);
        if (!encoded) return;
        const auto message = decoded(encoded->sub(frame_header_bytes, encoded->size() - frame_header_bytes));
        if (!message) return;
        input(target(),
              [&](ClusterCore& c, const Now& t, Effects& out) { c.on_message(*message, now_, t, out); });
        deliver();
    }

    void step() {
        switch (static_cast<Step>(script_.below(static_cast<std::size_t>(Step::Count)))) {
        case Step::RawFrame: return raw_frame();
        case Step::ForgedGossip: return forged_gossip();
        case Step::ForgedMessage: return forged_message();
        case Step::Link: {
            const UniqueAddress about = any_node(script_);
            const auto event = static_cast<LinkEvent>(script_.below(6));
            input(target(),
                  [&](ClusterCore& c, const Now& t, Effects& out) { c.on_link(about, event, t, out); });
            return deliver();
        }
        case Step::Refused: {
            const Address at = any_node(script_).address();
            input(target(),
                  [&](ClusterCore& c, const Now& t, Effects& out) { c.on_connect_refused(at, t, out); });
            return deliver();
        }
        case Step::Tick: return tick(target(), script_.below(6));
        case Step::PeerTick: return tick(peer(), script_.below(6));
        case Step::Time: return advance(milliseconds{1} * (std::int64_t{1} << script_.below(20)));
        case Step::Timer: // early: a clock may jump
            if (!target().timers.empty()) {
                const TimerKey key = target().timers.begin()->first;
                target().timers.erase(key);
                input(target(), [&](ClusterCore& c, const Now& t, Effects& out) { c.on_timer(key, t, out); });
                deliver();
            }
            return;
        case Step::Command: return command();
        case Step::ExitingDone:
            if (std::exchange(target().runs_exiting_tasks, false)) {
                input(target(),
                      [](ClusterCore& c, const Now& t, Effects& out) { c.exiting_completed(t, out); });
                deliver();
            }
            return;
        case Step::Count: break;
        }
    }

    void raw_frame() {
        const std::size_t size = script_.byte() | static_cast<std::size_t>(script_.byte()) << 8U;
        const auto bytes = script_.bytes(size);
        const auto message = decoded(Slice{bytes});
        if (!message) return;
        input(target(),
              [&](ClusterCore& c, const Now& t, Effects& out) { c.on_message(*message, now_, t, out); });
        deliver();
    }

    void forged_gossip() {
        const UniqueAddress from = any_node(script_);
        const UniqueAddress to = script_.chance(240) ? target().core.self() : any_node(script_);
        const bool welcome = script_.chance(40);
        const Gossip& base = (script_.chance(200) ? target() : peer()).core.state()->latest();
        const auto gossip = any_gossip(script_, base);
        if (!gossip) return;
        const auto shared = std::make_shared<const Gossip>(*gossip);
        if (welcome) return receive(Welcome{from, to, shared});
        receive(GossipEnvelope{from, to, shared});
    }

    void forged_message() {
        const UniqueAddress from = any_node(script_);
        const UniqueAddress to = script_.chance(240) ? target().core.self() : any_node(script_);
        const Gossip& held = target().core.state()->latest();
        switch (script_.below(12)) {
        case 0: return receive(InitJoin{from.address(), {}});
        case 1: return receive(InitJoinAck{from.address(), static_cast<ConfigCheck>(script_.below(3)), {}});
        case 2: return receive(InitJoinNack{from.address()});
        case 3: return receive(Join{from, {script_.chance(200) ? "dc-default" : "dc-us"}, {}});
        case 4: return receive(JoinDeferred{from, to, "because"});
        case 5: return receive(JoinRefused{from, to, "because"});
        case 6: return receive(NotMember{from, to});
        case 7: {
            const Hash128 id = script_.chance(128) ? held.version_id() : Hash128{script_.number(), 1};
            VectorClock clock = held.version();
            if (script_.chance(128))
                clock.merge(VectorClock::from_entries({{any_node(script_).key(), script_.number()}}));
            const auto digest = script_.chance(128) ? std::optional(held.seen_digest()) : std::nullopt;
            return receive(GossipStatus{from, to, clock, id, digest});
        }
        case 8:
            return receive(
                SeenAck{from, to, script_.chance(200) ? held.version_id() : Hash128{script_.number(), 1}});
        case 9: {
            SeenSet seen{script_.chance(200) ? held.members().size() : script_.below(200)};
            for (std::size_t i = 0; i < seen.size(); ++i)
                if (script_.chance(200)) seen.set(i);
            return receive(Converged{from, to, held.version_id(), seen});
        }
        case 10: {
            const auto sequence = static_cast<std::int64_t>(script_.number());
            const auto time = static_cast<std::int64_t>(script_.number());
            if (script_.chance(128)) return receive(Heartbeat{from.address(), sequence, time});
            return receive(HeartbeatReply{from, sequence, time});
        }
        default: return receive(ExitingConfirmed{from, to});
        }
    }

    void command() {
        const std::size_t which = script_.below(16);
        const UniqueAddress about = any_node(script_);
        input(target(), [&](ClusterCore& c, const Now& t, Effects& out) {
            switch (which) {
            case 0: return c.join(about.address(), t, out);
            case 1:
                return c.join_seed_nodes({about.address(), self_node().address(), peer_node().address()}, t,
                                         out);
            case 2:
            case 3: return c.leave(about.address(), t, out);
            case 4:
            case 5: return c.down(about.address(), t, out);
            case 6: return c.down(about, t, out);
            case 7: return c.prepare_for_shutdown(t, out);
            case 8: return c.quarantined(about, t, out);
            case 9: return c.stop(t, out);
            default: return c.leave(self_node().address(), t, out);
            }
        });
        deliver();
    }

    Script script_;
    Instant now_ = Instant{} + std::chrono::hours{10};
    std::array<Node, 2> cores_{Node{self_node(), 1}, Node{peer_node(), 2}};
    std::deque<std::pair<Node*, ClusterMessage>> queue_;
    std::size_t deliveries_ = 0;
};

} // namespace

void run_core_script(std::span<const std::byte> script) { World(Script{script}).run(); }

std::vector<std::byte> script_of_bodies(std::span<const std::vector<std::byte>> bodies) {
    const auto step = [](Step s) { return static_cast<std::byte>(s); };
    std::vector<std::byte> script{std::byte{2}};
    for (const auto& body : bodies) {
        if (body.size() > 0xffff) continue;
        script.push_back(step(Step::RawFrame));
        script.push_back(static_cast<std::byte>(body.size() & 0xffU));
        script.push_back(static_cast<std::byte>(body.size() >> 8U));
        script.insert(script.end(), body.begin(), body.end());
        for (std::uint8_t which = 0; which < 3; ++which) {
            script.push_back(step(Step::Tick));
            script.push_back(std::byte{which});
        }
    }
    return script;
}

} // namespace muster::wire::fuzz
