// SPDX-License-Identifier: Apache-2.0
#include "core_world.hpp"

#include <algorithm>
#include <sstream>

namespace muster::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

int merge_priority(MemberStatus status) noexcept {
    constexpr std::array order{
        MemberStatus::Joining, MemberStatus::WeaklyUp, MemberStatus::Up,   MemberStatus::PreparingForShutdown,
        MemberStatus::Leaving, MemberStatus::Exiting,  MemberStatus::Down, MemberStatus::ReadyForShutdown};
    return static_cast<int>(std::ranges::find(order, status) - order.begin());
}

CoreWorld::CoreWorld(std::uint64_t seed, ClusterSettings s, Network n)
    : network(n), random(seed), settings(std::move(s)) {}

RandomSource CoreWorld::random_source() {
    return [generator = std::make_shared<Random>(random.next())] { return generator->next(); };
}

Uid CoreWorld::next_uid() { return {static_cast<std::int64_t>(random.next())}; }

// --- nodes

CoreWorld::Node& CoreWorld::start(std::size_t index) {
    while (nodes_.size() <= index) {
        Node fresh;
        fresh.index = nodes_.size();
        // Not in the order of the indices, so that the first node is not always the leader.
        const std::size_t place = (fresh.index * 7 + 3) % 1009;
        fresh.address = Address::remote("akka.tcp", "world", "n" + std::to_string(place), 2551);
        nodes_.push_back(std::move(fresh));
    }
    Node& node = nodes_[index];
    const std::uint64_t life = node.life + 1;
    const Address address = node.address;
    node = Node{};
    node.index = index;
    node.address = address;
    node.life = life;
    node.alive = true;
    ClusterSettings own = settings;
    if (data_centers > 1) own.multi_dc.self_data_center = "dc" + std::to_string(index % data_centers);
    node.core = std::make_unique<ClusterCore>(UniqueAddress(address, next_uid()), own, random_source());
    node.core->check_invariants(true);
    if (ticks) {
        for (const Tick t : {Tick::Gossip, Tick::Leader, Tick::Reaper, Tick::Heartbeat})
            schedule_tick(node, t, random.between(milliseconds{1}, seconds{1}));
    }
    schedule_tick(node, Tick::Join, milliseconds{100});
    return node;
}

bool CoreWorld::is_living(std::size_t index) const {
    return index < nodes_.size() && nodes_[index].alive && !nodes_[index].core->is_stopped();
}

std::vector<std::size_t> CoreWorld::living() const {
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < nodes_.size(); ++i)
        if (is_living(i)) all.push_back(i);
    return all;
}

std::vector<std::size_t> CoreWorld::living_members() const {
    std::vector<std::size_t> all = living();
    std::erase_if(all, [&](std::size_t i) { return !nodes_[i].core->is_joined(); });
    return all;
}

void CoreWorld::input(std::size_t index,
                      const std::function<void(ClusterCore&, const Now&, Effects&)>& call) {
    Node& node = nodes_.at(index);
    if (!node.alive || node.core->is_stopped() || node.paused_until > now_) return;
    ++inputs;
    Effects effects;
    call(*node.core, now(), effects);
    for (const Effect& e : effects) {
        const auto* published = std::get_if<effect::Publish>(&e);
        if (published != nullptr && !published->state->members().empty())
            check(node, published->state->gossip);
    }
    check(node, node.core->state()->gossip);
    carry_out(node, effects);
}

void CoreWorld::join(std::size_t index, std::size_t to) {
    const Address target = nodes_.at(to).address;
    input(index, [&](ClusterCore& core, const Now& t, Effects& out) { core.join(target, t, out); });
}

void CoreWorld::join_seeds(std::size_t index, const std::vector<std::size_t>& seeds) {
    std::vector<Address> addresses;
    for (const std::size_t s : seeds) addresses.push_back(nodes_.at(s).address);
    input(index,
          [&](ClusterCore& core, const Now& t, Effects& out) { core.join_seed_nodes(addresses, t, out); });
}

void CoreWorld::crash(std::size_t index) {
    Node& node = nodes_.at(index);
    if (!node.alive) return;
    node.alive = false;
    const UniqueAddress gone = node.core->self();
    for (const Node& other : nodes_) {
        if (!other.alive || !connections_.contains({other.core->self(), gone})) continue;
        connections_.erase({other.core->self(), gone});
        connections_.erase({gone, other.core->self()});
        if (!is_connected(other.index, index)) continue; // silence, not a reset
        const auto tell = [&](Duration delay, LinkEvent event) {
            schedule(now_ + delay, [this, i = other.index, life = other.life, gone, event] {
                for_life(i, life, [this, i, gone, event](Node&) {
                    input(i, [&](ClusterCore& core, const Now& t, Effects& out) {
                        core.on_link(gone, event, t, out);
                    });
                });
            });
        };
        tell(milliseconds{1}, LinkEvent::EndedWithoutGoodbye);
        tell(milliseconds{3}, LinkEvent::ReconnectRefused);
        tell(milliseconds{28}, LinkEvent::ReconnectRefused);
    }
}

void CoreWorld::stopped(Node& node) {
    if (!node.alive) return;
    node.alive = false;
    const UniqueAddress gone = node.core->self();
    for (const Node& other : nodes_) {
        if (!other.alive || !connections_.contains({other.core->self(), gone})) continue;
        connections_.erase({other.core->self(), gone});
        connections_.erase({gone, other.core->self()});
        if (!is_connected(other.index, node.index)) continue;
        schedule(now_ + milliseconds{1}, [this, i = other.index, life = other.life, gone] {
            for_life(i, life, [this, i, gone](Node&) {
                input(i, [&](ClusterCore& core, const Now& t, Effects& out) {
                    core.on_link(gone, LinkEvent::GoodbyeStopping, t, out);
                });
            });
        });
    }
}

void CoreWorld::pause(std::size_t index, Duration for_how_long) {
    nodes_.at(index).paused_until = std::max(nodes_.at(index).paused_until, now_ + for_how_long);
}

bool CoreWorld::is_connected(std::size_t a, std::size_t b) const {
    const auto group = [&](std::size_t i) { return i < groups_.size() ? groups_[i] : 0; };
    return group(a) == group(b);
}

std::optional<std::size_t> CoreWorld::index_of(const Address& address) const {
    for (const Node& n : nodes_)
        if (n.address == address) return n.index;
    return {};
}

// --- time

void CoreWorld::schedule(Instant time, std::function<void()> action) {
    events_.push({time, order_++, std::move(action)});
}

void CoreWorld::at(Duration delay, std::function<void()> action) {
    schedule(now_ + delay, std::move(action));
}

void CoreWorld::for_life(std::size_t index, std::uint64_t life, std::function<void(Node&)> action) {
    Node& node = nodes_.at(index);
    if (node.life != life || !node.alive) return;
    if (node.paused_until > now_) {
        schedule(node.paused_until,
                 [this, index, life, action = std::move(action)] { for_life(index, life, action); });
        return;
    }
    action(node);
}

void CoreWorld::schedule_tick(Node& node, Tick t, Duration delay) {
    schedule(now_ + delay, [this, i = node.index, life = node.life, t] {
        for_life(i, life, [this, t](Node& n) { tick(n, t); });
    });
}

void CoreWorld::tick(Node& node, Tick t) {
    const std::size_t i = node.index;
    if (node.core->is_stopped()) return;
    switch (t) {
    case Tick::Gossip:
        input(i, [](ClusterCore& c, const Now& n, Effects& out) { c.tick_gossip(n, out); });
        break;
    case Tick::Leader:
        if (node.core->state()->self_status() == MemberStatus::Down && ++node.leader_ticks_as_down > 5)
            broken(node, "a Down node stops within 5 leader ticks (protocol.md §19, 8)");
        input(i, [](ClusterCore& c, const Now& n, Effects& out) { c.tick_leader_actions(n, out); });
        break;
    case Tick::Reaper:
        input(i, [](ClusterCore& c, const Now& n, Effects& out) { c.tick_reaper(n, out); });
        break;
    case Tick::Heartbeat:
        input(i, [](ClusterCore& c, const Now& n, Effects& out) {
            c.tick_heartbeat(n, out);
            if (n.monotonic.time_since_epoch() / seconds{1} % 3 == 0) c.tick_cross_dc_heartbeat(n, out);
        });
        break;
    case Tick::Join: input(i, [](ClusterCore& c, const Now& n, Effects& out) { c.tick_join(n, out); }); break;
    }
    if (t == Tick::Join && node.core->is_joined()) return;
    if (node.alive) schedule_tick(node, t, t == Tick::Join ? milliseconds{100} : seconds{1});
}

void CoreWorld::run_for(Duration duration) {
    const Instant end = now_ + duration;
    while (!events_.empty() && events_.top().time <= end) {
        const Event event = events_.top();
        events_.pop();
        now_ = event.time;
        event.action();
    }
    now_ = end;
}

bool CoreWorld::run_until(const std::function<bool()>& condition, Duration limit) {
    const Instant end = now_ + limit;
    if (condition()) return true;
    while (!events_.empty() && events_.top().time <= end) {
        const Event event = events_.top();
        events_.pop();
        now_ = event.time;
        event.action();
        if (condition()) return true;
    }
    now_ = end;
    return false;
}

// --- effects

void CoreWorld::carry_out(Node& node, Effects& effects) {
    const std::size_t index = node.index;
    const std::uint64_t life = node.life;
    for (const Effect& e : effects) {
        if (const auto* s = std::get_if<effect::Send>(&e)) {
            send(node, *s);
        } else if (const auto* published = std::get_if<effect::Publish>(&e)) {
            node.events.insert(node.events.end(), published->events.begin(), published->events.end());
        } else if (const auto* set = std::get_if<effect::SetTimer>(&e)) {
            const std::uint64_t number = order_;
            node.timers[set->key] = number;
            schedule(now_ + set->delay, [this, index, life, key = set->key, number] {
                for_life(index, life, [this, index, key, number](Node& n) {
                    const auto pending = n.timers.find(key);
                    if (pending == n.timers.end() || pending->second != number) return;
                    n.timers.erase(pending);
                    input(index,
                          [&](ClusterCore& c, const Now& t, Effects& out) { c.on_timer(key, t, out); });
                });
            });
        } else if (const auto* cancel = std::get_if<effect::CancelTimer>(&e)) {
            node.timers.erase(cancel->key);
        } else if (std::holds_alternative<effect::RunExitingTasks>(e)) {
            schedule(now_ + random.between(exiting_tasks_min, exiting_tasks_max), [this, index, life] {
                for_life(index, life, [this, index](Node& n) {
                    tasks_done_.insert(n.core->self());
                    input(index,
                          [](ClusterCore& c, const Now& t, Effects& out) { c.exiting_completed(t, out); });
                });
            });
        } else if (const auto* shutdown = std::get_if<effect::Shutdown>(&e)) {
            node.shutdown = shutdown->reason;
            if (shutdown->reason == ShutdownReason::JoinUnsuccessful)
                schedule(now_, [this, index, life] {
                    for_life(index, life, [this, index](Node&) {
                        input(index, [](ClusterCore& c, const Now& t, Effects& out) { c.stop(t, out); });
                    });
                });
        } else if (std::holds_alternative<effect::NewIncarnation>(e)) {
            const UniqueAddress fresh(node.address, next_uid());
            schedule(now_, [this, index, life, fresh] {
                for_life(index, life, [this, index, fresh](Node&) {
                    input(index, [&](ClusterCore& c, const Now& t, Effects& out) {
                        c.on_new_incarnation(fresh, t, out);
                    });
                });
            });
        }
    }
    if (node.core->is_stopped() && node.alive) stopped(node);
}

void CoreWorld::send(Node& from, const effect::Send& s) {
    const auto to = index_of(s.to.address);
    if (!to) return;
    if (const auto* heartbeat = std::get_if<Heartbeat>(&s.message)) {
        answer_heartbeat(from, *to, *heartbeat);
        return;
    }
    if (filter && !filter(from.index, *to, s.message)) return;
    if (random.chance(network.loss)) return;
    Duration delay = random.between(network.delay_min, network.delay_max);
    if (random.chance(network.straggler)) delay = random.between(network.delay_min, network.straggler_max);
    Instant& last = last_delivery_[{from.index, *to}];
    last = std::max(last + Duration{1}, now_ + delay); // one link keeps its order
    schedule(last, [this, from_index = from.index, sender = from.core->self(), to_index = *to, s] {
        deliver(from_index, sender, to_index, s);
    });
}

void CoreWorld::answer_heartbeat(Node& from, std::size_t to, const Heartbeat& heartbeat) {
    Node& peer = nodes_.at(to);
    if (!peer.alive || !is_connected(from.index, to) || peer.paused_until > now_) return;
    connect(from, peer);
    const HeartbeatReply reply{peer.core->self(), heartbeat.sequence_nr, heartbeat.creation_time_ns};
    input(from.index,
          [&](ClusterCore& c, const Now& n, Effects& out) { c.on_message(reply, n.monotonic, n, out); });
}

void CoreWorld::deliver(std::size_t from, const UniqueAddress& sender, std::size_t to,
                        const effect::Send& s) {
    Node& node = nodes_.at(to);
    if (!node.alive || node.core->is_stopped() || !is_connected(from, to)) return;
    const bool wrong_uid = s.to.uid && *s.to.uid != node.core->self().uid();
    if (wrong_uid && !random.chance(misdelivery)) return;
    for_life(to, node.life, [this, from, sender, to, s, wrong_uid](Node& receiver) {
        if (receiver.core->is_stopped()) return;
        const bool sender_lives = is_living(from) && nodes_[from].core->self() == sender;
        if (sender_lives && !wrong_uid) connect(nodes_[from], receiver);
        ++delivered[std::string(name_of(s.message))];
        const auto before = receiver.core->state();
        // What waited in the kernel while the process was paused is fresh when it reads it.
        input(to, [&](ClusterCore& c, const Now& n, Effects& out) {
            c.on_message(s.message, n.monotonic, n, out);
        });
        if (wrong_uid && receiver.core->state() != before)
            broken(receiver,
                   "acted on " + std::string(name_of(s.message)) + " for another uid (protocol.md §19, 6)");
    });
}

void CoreWorld::connect(Node& a, Node& b) {
    if (!connections_.insert({a.core->self(), b.core->self()}).second) return;
    connections_.insert({b.core->self(), a.core->self()});
    const UniqueAddress at_a = a.core->self();
    const UniqueAddress at_b = b.core->self();
    const std::size_t first = a.index;
    input(b.index, [&](ClusterCore& c, const Now& n, Effects& out) {
        c.on_link(at_a, LinkEvent::Established, n, out);
    });
    input(first, [&](ClusterCore& c, const Now& n, Effects& out) {
        c.on_link(at_b, LinkEvent::Established, n, out);
    });
}

// --- invariants

void CoreWorld::broken(const Node& node, const std::string& what) const {
    std::ostringstream text;
    text << what << "\n  at " << node.address.host_port() << " after "
         << std::chrono::duration<double>(now_ - Instant{}).count() << " s\n"
         << describe();
    throw Broken(text.str());
}

void CoreWorld::check_member(Node& node, const Member& before, const Member& after) {
    const bool undone =
        before.status() == MemberStatus::ReadyForShutdown; // §1.5: it beats what came after it
    if (merge_priority(after.status()) < merge_priority(before.status()) && !undone)
        broken(node, "the status of " + after.unique_address().to_string() + " went back from " +
                         std::string(to_string(before.status())) + " to " +
                         std::string(to_string(after.status())) + " (protocol.md §19, 12)");
    if (after.up_number() > before.up_number())
        broken(node, "an up_number grew or was lost: " + after.unique_address().to_string());
}

void CoreWorld::check_seen(Node& node, const Gossip& gossip) {
    const Hash128 id = gossip.version_id();
    if (gossip.seen_by(node.core->self())) held_[node.core->self()].insert(id);
    for (const UniqueAddress& n : gossip.seen_nodes())
        if (!held_[n].contains(id))
            broken(node, n.to_string() +
                             " counts as having seen a version that it never held (protocol.md §19, 11)");
}

void CoreWorld::check_removed(Node& node, const Member& gone) {
    // The leader of another data center removes whoever exits there at once (§9.3, step 1), and its tombstone
    // travels.
    if (data_centers > 1) return;
    if (gone.status() == MemberStatus::Exiting && !tasks_done_.contains(gone.unique_address()) &&
        !was_unreachable_.contains(gone.unique_address()))
        broken(node, gone.unique_address().to_string() +
                         " was removed before its exiting tasks ended (protocol.md §19, 14)");
}

void CoreWorld::check_numbers(Node& node, const Gossip& gossip) {
    std::set<std::pair<std::string_view, std::int32_t>> numbers;
    for (const Member& m : gossip.members())
        if (m.up_number() != Member::never_up && !numbers.emplace(m.data_center(), m.up_number()).second)
            broken(node,
                   "up_number " + std::to_string(m.up_number()) + " was given twice (protocol.md §19, 4)");
}

void CoreWorld::check(Node& node, const GossipPtr& after) {
    const GossipPtr before = std::exchange(node.checked, after);
    if (before == after) return;
    check_seen(node, *after);
    if (before && before->version_id() == after->version_id()) return;
    for (const Reachability::Record& row : after->reachability().records())
        if (row.status != ReachabilityStatus::Reachable) was_unreachable_.insert(row.subject);
    const auto [known, fresh] = versions_.emplace(after->version_id(), after);
    if (!fresh && known->second != after) {
        const Gossip& other = *known->second;
        const bool equal =
            std::ranges::equal(after->members(), other.members(),
                               [](const Member& a, const Member& b) { return a.same_content(b); }) &&
            after->reachability() == other.reachability() && after->version() == other.version();
        if (!equal) broken(node, "two contents of one version_id (protocol.md §19, 2)");
    }
    if (unique_numbers) check_numbers(node, *after);
    if (!before) return;
    for (const Member& m : before->members()) {
        if (const Member* now_known = after->find(m.unique_address())) {
            check_member(node, m, *now_known);
        } else if (after->is_tombstoned(m.unique_address())) {
            check_removed(node, m);
        } else {
            broken(node, m.unique_address().to_string() + " vanished without a tombstone");
        }
    }
    for (const Tombstone& t : before->tombstones())
        if (after->has_member(t.node)) broken(node, t.node.to_string() + " came back (protocol.md §19, 5)");
}

bool CoreWorld::is_agreed(MemberStatus status) const {
    const std::vector<std::size_t> members = living_members();
    if (members.empty()) return false;
    const Gossip& first = nodes_[members.front()].core->state()->latest();
    if (first.members().size() != members.size()) return false;
    for (const Member& m : first.members())
        if (m.status() != status) return false;
    return std::ranges::all_of(members, [&](std::size_t i) {
        const Gossip& g = nodes_[i].core->state()->latest();
        return g.version_id() == first.version_id() && g.seen_nodes().size() == members.size() &&
               g.has_member(nodes_[i].core->self());
    });
}

MemberStatus CoreWorld::status_of(std::size_t viewer, std::size_t subject) const {
    const Gossip& g = nodes_.at(viewer).core->state()->latest();
    for (const Member& m : g.members())
        if (m.address() == nodes_.at(subject).address) return m.status();
    return MemberStatus::Removed;
}

std::string CoreWorld::describe() const {
    std::ostringstream text;
    for (const Node& n : nodes_) {
        if (!n.core) continue;
        const Gossip& g = n.core->state()->latest();
        text << "  " << *n.address.host << "#" << n.core->self().uid().value % 1000
             << (n.alive ? "" : " dead") << (n.core->is_stopped() ? " stopped" : "")
             << (n.paused_until > now_ ? " paused" : "") << (n.core->is_joined() ? "" : " not joined")
             << " version " << g.version_id().to_string().substr(0, 6) << ":";
        for (const Member& m : g.members())
            text << ' ' << *m.address().host << '#' << m.unique_address().uid().value % 1000 << '='
                 << to_string(m.status()) << (g.seen_by(m.unique_address()) ? "" : "(unseen)");
        for (const Reachability::Record& r : g.reachability().records())
            text << " [" << *r.observer.address().host << " cannot reach " << *r.subject.address().host << ' '
                 << to_string(r.status) << ']';
        text << " tombstones " << g.tombstones().size() << '\n';
    }
    return text.str();
}

} // namespace muster::testing
