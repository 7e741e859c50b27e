// SPDX-License-Identifier: Apache-2.0
#include "eager_gossip.hpp"

#include "base/mutants.hpp"
#include "base/sorted_vector.hpp"
#include "emit.hpp"
#include <algorithm>
#include <muster/ensure.hpp>
#include <set>
#include <string>
#include <string_view>

namespace muster {
namespace {

constexpr unsigned repairs_max = 3;
/// Acks kept for nodes whose membership has not arrived yet.
constexpr std::size_t unknown_acks_max = 4096;
/// Numbers of the EagerRepair timer.
constexpr std::uint64_t repair_timer = 0;
constexpr std::uint64_t unknown_ack_timer = 1;
constexpr std::uint64_t apply_acks_timer = 2;

} // namespace

// --- what a newly installed version already knows

Gossip EagerGossip::with_known_seen(Gossip g) const {
    if (const auto acked = books_.acked_in(g)) g = g.merge_seen(*acked);
    if (converged_ && converged_->version_id == g.version_id() &&
        converged_->seen.size() == g.members().size())
        g = g.merge_seen(converged_->seen);
    return g;
}

std::optional<Gossip> EagerGossip::acknowledged() const {
    Gossip g = with_known_seen(gossip());
    if (g.seen_digest() == gossip().seen_digest()) return std::nullopt;
    return g;
}

// --- the end of every input

bool EagerGossip::is_work_left() const noexcept {
    const bool same_state = looked_at_ == core_.membership() && acks_done_for_ == core_.membership();
    return !same_state || look_again_ || ack_again_ || forward_due_ || books_.is_anybody_owed();
}

bool EagerGossip::begin_look() {
    return std::exchange(look_again_, false) || looked_at_ != core_.membership();
}

void EagerGossip::look(std::span<const UniqueAddress> excused, Effects& out) {
    follow_version(excused, out);
    looked_at_ = core_.membership();
    settle(excused, out);
}

const std::optional<UniqueAddress>& EagerGossip::leader() const {
    // Only members and rows decide who leads, and they are what a version names.
    const Hash128 id = gossip().version_id();
    if (leader_of_version_ != id) {
        leader_of_version_ = id;
        leader_ = state().leader();
    }
    return leader_;
}

void EagerGossip::follow_version(std::span<const UniqueAddress> excused, Effects& out) {
    const Hash128 id = gossip().version_id();
    if (version_ == id) return;
    version_ = id;
    books_.begin_term();
    repairs_ = 0;
    if (converged_ && converged_->version_id == id) known_converged_ = id;
    forward_due_ = core_.is_made_here() || is_leader();
    books_.await(is_leader() ? state().convergence_unseen(excused) : std::vector<UniqueAddress>{});
    if (is_repair_needed())
        set_timer(out, CoreTimer::EagerRepair, repair_timer, core_.settings().eager.repair_after);
}

// --- acks

std::vector<UniqueAddress> EagerGossip::ack_targets() const {
    std::vector<UniqueAddress> leaders;
    if (const auto& own = leader()) leaders.push_back(*own);
    if (gossip().is_multi_dc()) {
        // A data center in bootstrap waits for the members of all data centers (§8 B).
        const auto nobody_saw = std::make_shared<const Gossip>(gossip().clear_seen());
        std::set<std::string_view> others;
        for (const Member& m : gossip().members())
            if (m.data_center() != core_.settings().multi_dc.self_data_center) others.insert(m.data_center());
        for (const std::string_view dc : others) {
            const MembershipState theirs(core_.self(), std::string(dc), nobody_saw,
                                         state().cross_dc_connections);
            const std::vector<UniqueAddress> awaited = theirs.convergence_unseen();
            if (!std::ranges::binary_search(awaited, core_.self())) continue;
            if (const auto their_leader = theirs.leader()) leaders.push_back(*their_leader);
        }
    }
    std::erase_if(leaders, [&](const UniqueAddress& n) { return !sender_.is_valid_target(n); });
    return leaders;
}

void EagerGossip::send_acks(Effects& out) {
    const bool again = std::exchange(ack_again_, false);
    if (!again && acks_done_for_ == core_.membership()) return;
    acks_done_for_ = core_.membership();
    // A version that self has not marked seen (exiting tasks run) is not acknowledged.
    if (!gossip().seen_by(core_.self())) return;
    const Hash128 id = gossip().version_id();
    books_.begin_acks();
    for (const UniqueAddress& to : ack_targets()) {
        const bool is_news = books_.note_acked_to(to, id);
        if (again || is_news) send(out, to, SeenAck{core_.self(), to, id});
    }
}

bool EagerGossip::on_ack(const SeenAck& m, Effects& out) {
    const bool is_stranger = core_.is_initialized() && m.to == core_.self() && !core_.is_member(m.from);
    const bool is_valid = is_stranger ? !gossip().is_tombstoned(m.from) : may_tell(core_, m.from, m.to);
    if (!core_.is_initialized() || !is_valid) {
        count(out, "cluster.seen_ack.ignored");
        return false;
    }
    count(out, "cluster.seen_ack.received");
    const bool is_current = gossip().version_id() == m.version_id || MUSTER_MUTANT(ack_of_any_version);
    if (is_stranger && books_.unknown_acks() >= unknown_acks_max && !books_.has_acked(m.from)) return false;
    books_.note_ack(m.from, m.version_id);
    if (is_current && !is_stranger) {
        if (gossip().seen_by(m.from)) return false;
        books_.await_no_more(m.from);
        if (!books_.is_anybody_awaited()) return true;
        // A thousand acks are not a thousand states: the last one that counts installs them all, or this
        // timer.
        if (!std::exchange(acks_timer_, true))
            set_timer(out, CoreTimer::EagerRepair, apply_acks_timer, core_.settings().eager.interval_min);
        return false;
    }
    // It may have overtaken the state it names (even the one that makes its sender a member), or name one
    // that was left behind: time will tell.
    if (books_.unknown_acks() == 0)
        set_timer(out, CoreTimer::EagerRepair, unknown_ack_timer, core_.settings().eager.repair_after);
    books_.note_unknown_ack(m.from, m.version_id);
    return false;
}

std::vector<std::pair<UniqueAddress, Hash128>> EagerGossip::take_unknown_acks() {
    auto taken = books_.take_unknown_acks();
    for (const auto& [node, version] : taken)
        if (!core_.is_member(node)) books_.forget(node);
    return taken;
}

// --- forwarding

std::vector<UniqueAddress> EagerGossip::unseen_targets() const {
    std::vector<UniqueAddress> unseen;
    const auto members = gossip().members();
    const bool all_reachable = gossip().reachability().is_all_reachable();
    const bool all_own = state().is_all_own_dc();
    for (std::size_t i = 0; i < members.size(); ++i) {
        if (gossip().overview().seen.test(i)) continue;
        const UniqueAddress& node = members[i].unique_address();
        if (node == core_.self() || !(all_own || state().is_own_dc(members[i]))) continue;
        // A member that an observer cannot reach is left to the periodic round.
        if (all_reachable || gossip().reachability().is_reachable(node)) unseen.push_back(node);
    }
    return unseen;
}

std::vector<UniqueAddress> EagerGossip::sample(std::vector<UniqueAddress> nodes, std::size_t n) const {
    n = std::min(n, nodes.size());
    shuffle_front(nodes, n, core_.random());
    nodes.resize(n);
    return nodes;
}

std::vector<UniqueAddress> EagerGossip::forward_targets() const {
    std::vector<UniqueAddress> unseen = unseen_targets();
    if (is_leader()) return unseen;
    if (!core_.is_made_here()) return {};
    const std::size_t fanout = core_.settings().eager.fanout;
    if (!leader() || std::erase(unseen, *leader()) == 0) return sample(std::move(unseen), fanout);
    std::vector<UniqueAddress> targets = sample(std::move(unseen), fanout - 1);
    targets.push_back(*leader());
    return targets;
}

void EagerGossip::forward_when_allowed(const Now& now, Effects& out) {
    if (!forward_due_ && !books_.is_anybody_owed()) return;
    const Instant allowed =
        last_forward_ ? *last_forward_ + core_.settings().eager.interval_min : now.monotonic;
    if (now.monotonic < allowed) {
        if (!std::exchange(forward_timer_, true))
            set_timer(out, CoreTimer::EagerForward, 0, allowed - now.monotonic);
        return;
    }
    std::vector<UniqueAddress> targets = books_.take_owed();
    for (const UniqueAddress& node : targets)
        if (!core_.is_member(node)) books_.forget(node); // removed by what it was owed for
    if (std::exchange(forward_due_, false)) {
        for (const UniqueAddress& node : forward_targets())
            if (!books_.was_sent(node, gossip().version_id())) targets.push_back(node);
    }
    if (targets.empty()) return;
    targets = sorted_unique(std::move(targets));
    last_forward_ = now.monotonic;
    count(out, "cluster.eager.forwarded", targets.size());
    for (const UniqueAddress& node : targets) sender_.send_gossip(node, out);
}

void EagerGossip::reply(const UniqueAddress& to, GossipOutcome outcome, const Gossip& remote, Effects& out) {
    if (!core_.settings().eager.eager_gossip) {
        sender_.send_gossip(to, out);
        return;
    }
    if (outcome == GossipOutcome::Older || outcome == GossipOutcome::Merge) {
        books_.owe(to);
        return;
    }
    if (outcome == GossipOutcome::Same && answer_settled(to, remote.seen_digest(), out)) return;
    // The leader's repeats are answered by as many acks as it may repair; who else still does not know needs
    // the whole seen set, or lost acks would leave the periodic round talking for ever.
    const unsigned acks_allowed = leader() == to ? 1 + repairs_max : 1;
    // A peer that told of its own removal has no book any more.
    if (!core_.is_member(to) || books_.may_ack_again(to, remote.version_id(), acks_allowed)) {
        ack_again_ = true;
    } else {
        books_.owe(to);
    }
}

// --- repair

bool EagerGossip::is_repair_needed() const {
    if (is_leader()) return !unseen_targets().empty();
    return leader() && gossip().seen_by(core_.self()) && !gossip().seen_by(*leader()) &&
           !unseen_targets().empty();
}

EagerGossip::Due EagerGossip::on_repair_timer(std::uint64_t number) noexcept {
    acks_timer_ = acks_timer_ && number != apply_acks_timer;
    return number == apply_acks_timer    ? Due::Acks
           : number == unknown_ack_timer ? Due::UnknownAcks
                                         : Due::Repair;
}

void EagerGossip::repair(Effects& out) {
    if (repairs_ >= repairs_max || !is_repair_needed()) return;
    ++repairs_;
    std::vector<UniqueAddress> targets = unseen_targets();
    if (!is_leader()) {
        if (core_.is_made_here()) {
            targets = forward_targets();
        } else {
            targets = sample(std::move(targets), core_.settings().eager.fanout);
        }
    }
    count(out, "cluster.eager.repaired", targets.size());
    for (const UniqueAddress& node : targets) sender_.send_gossip(node, out);
    if (repairs_ < repairs_max)
        set_timer(out, CoreTimer::EagerRepair, repair_timer, core_.settings().eager.repair_after);
}

// --- settling

void EagerGossip::send_converged(const UniqueAddress& to, Effects& out) const {
    send(out, to, Converged{core_.self(), to, gossip().version_id(), gossip().overview().seen});
}

void EagerGossip::settle(std::span<const UniqueAddress> excused, Effects& out) {
    if (!is_leader() || !state().convergence(excused)) return;
    const Hash128 id = gossip().version_id();
    known_converged_ = id;
    const bool first = !announced_ || announced_->first != id;
    // Members that do not count for convergence may ack later: once everybody has, it is said again.
    const bool grown = !first && announced_->second != gossip().seen_digest() && unseen_targets().empty();
    if (!first && !grown) return;
    announced_ = {id, gossip().seen_digest()};
    for (const Member& m : gossip().members())
        if (sender_.is_valid_target(m.unique_address())) send_converged(m.unique_address(), out);
}

bool EagerGossip::answer_settled(const UniqueAddress& to, const Hash128& their_seen, Effects& out) const {
    if (!core_.settings().eager.eager_gossip || known_converged_ != gossip().version_id()) return false;
    if (their_seen != gossip().seen_digest() && sender_.is_valid_target(to)) send_converged(to, out);
    return true;
}

std::optional<Gossip> EagerGossip::on_converged(const Converged& m, Effects& out) {
    if (!core_.is_initialized() || !may_tell(core_, m.from, m.to)) {
        count(out, "cluster.converged.ignored");
        return std::nullopt;
    }
    const Gossip& g = gossip();
    if (m.version_id != g.version_id()) {
        converged_ = m; // it may have overtaken its state
        return std::nullopt;
    }
    if (m.seen.size() != g.members().size()) {
        count(out, "cluster.converged.ignored");
        return std::nullopt;
    }
    known_converged_ = m.version_id;
    return g.merge_seen(m.seen);
}

void EagerGossip::answer_converged(const Converged& m, Effects& out) const {
    // Answering ends, since every answer makes the other's set larger.
    if (!(gossip().overview().seen == m.seen) && sender_.is_valid_target(m.from)) send_converged(m.from, out);
}

void EagerGossip::check() const {
    books_.check(gossip());
    if (!core_.settings().eager.eager_gossip || !core_.is_initialized() || !core_.is_member(core_.self()))
        return;
    MUSTER_ENSURE(looked_at_ == core_.membership() && acks_done_for_ == core_.membership(),
                  "what is installed is looked at and acknowledged before the input ends");
    MUSTER_ENSURE(version_ == gossip().version_id(), "forwarding and repair are about the installed version");
    MUSTER_ENSURE(is_leader() || !books_.is_anybody_awaited(), "only a leader waits for acks");
    MUSTER_ENSURE(forward_timer_ || (!forward_due_ && !books_.is_anybody_owed()),
                  "what is due is sent, or has a timer");
    MUSTER_ENSURE(repairs_ <= repairs_max, "a version is repaired a few times");
}

} // namespace muster
