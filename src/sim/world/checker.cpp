// SPDX-License-Identifier: Apache-2.0
#include <muster/sim/world/checker.hpp>

#include "checker_state.hpp"
#include "text.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace muster::sim {

using namespace std::chrono_literals;

namespace {

/// Higher wins a merge (protocol.md §1.5). Written here once more on purpose: a checker that asked the code
/// it checks would agree with its mistakes.
int merge_priority(MemberStatus status) noexcept {
    switch (status) {
    case MemberStatus::Joining: return 0;
    case MemberStatus::WeaklyUp: return 1;
    case MemberStatus::Up: return 2;
    case MemberStatus::PreparingForShutdown: return 3;
    case MemberStatus::Leaving: return 4;
    case MemberStatus::Exiting: return 5;
    case MemberStatus::Down: return 6;
    case MemberStatus::ReadyForShutdown: return 7;
    case MemberStatus::Removed: return 8;
    }
    return 8;
}

/// Versions remembered: what came longer ago nobody holds any more.
constexpr std::size_t versions_max = 4096;

} // namespace

Violation::Violation(std::string name, std::string what, Instant at)
    : std::runtime_error(name + ": " + what), invariant(std::move(name)), detail(std::move(what)), when(at) {}

Checker::Checker(World& world) : state_(std::make_unique<State>(world)) {}
Checker::~Checker() = default;

// --- what the World says

void Checker::configure(std::size_t node, RemoteAdapterConfig& config) {
    State& s = *state_;
    s.viewer(node); // so that `viewers` does not grow inside a step
    s.settings[node] = config;
    config.daemon.observer = [&s, node](const std::shared_ptr<const MembershipState>& state) {
        s.published(node, state);
    };
}

void Checker::started(std::size_t node) {
    State& s = *state_;
    Viewer& v = s.viewer(node);
    const bool was_protected = v.is_protected;
    v = Viewer{};
    v.running = true;
    v.is_protected = was_protected;
    v.started = s.world.now();
    s.happened(node);
    if (const auto& identity = s.world[node].identity) s.meet(node, *identity);
    s.add_exiting_task(node);
}

void Checker::ended(std::size_t node, End how) {
    State& s = *state_;
    Viewer& v = s.viewer(node);
    v.running = false;
    v.ended = s.world.now();
    s.lose_leader(v.self);
    if (auto* known = s.incarnation(v.self)) {
        known->ended = s.world.now();
        known->crashed = how == End::Crashed;
    }
    if (how == End::Crashed) {
        s.unprotect_by_default();
        s.happened(node);
    }
    if (how != End::Stopped) return;
    const auto reason = s.world[node].reason;
    const bool asked = v.left || reason == ShutdownReason::Leaving || reason == ShutdownReason::Requested;
    if (s.is_protected(node) && !asked)
        s.note("healthy-downed",
               fmt::format("node {} stopped ({})", node, reason ? to_string(*reason) : "?"));
    v.is_protected = false;
    s.throw_found();
}

void Checker::disturbed(std::size_t node) {
    State& s = *state_;
    s.unprotect_by_default();
    s.network_touched = s.world.now();
    s.happened(node);
}

void Checker::condemned(std::size_t node) {
    State& s = *state_;
    s.viewer(node).is_protected = false;
    s.unprotect_by_default();
    s.happened(node);
    if (const auto& identity = s.world[node].identity) s.lose_leader(*identity);
}

void Checker::slow_exits(Duration longest) { state_->exiting_tasks = longest; }

void Checker::regular_heartbeats(bool is_so) { state_->is_regular = is_so; }

void Checker::corrupted(bool is_so) {
    State& s = *state_;
    s.is_corrupted = is_so;
    s.versions.clear();
    s.versions_by_clock.clear();
    s.version_order.clear();
}

void Checker::stepped(std::size_t node) {
    state_->look_at_decisions(node);
    state_->throw_found();
}

void Checker::report(std::string invariant, std::string detail) {
    state_->note(std::move(invariant), std::move(detail));
}

std::uint64_t Checker::checks() const noexcept { return state_->checks; }

// --- protection and splits

void Checker::protect(const std::vector<std::size_t>& nodes) {
    State& s = *state_;
    s.protection_said = true;
    for (auto& v : s.viewers) v.is_protected = false;
    for (const std::size_t node : nodes) s.viewer(node).is_protected = true;
}

void Checker::split(std::vector<std::size_t> left, Duration limit) {
    State& s = *state_;
    const auto stands_still = [&s](std::size_t node) {
        return s.world[node].runtime->paused();
    }; // and decides nothing
    if (!s.world.disagreement().empty() || std::ranges::any_of(s.world.running(), stands_still)) return;
    s.split = Split{std::move(left), s.world.now() + limit};
}

void Checker::united() { state_->split.reset(); }

bool CheckerState::is_protected(std::size_t node) {
    if (is_corrupted) return false;
    return protection_said ? viewer(node).is_protected : all_protected;
}

/// Nobody said who is well: once something befell anybody it cannot be known.
void CheckerState::unprotect_by_default() { all_protected = false; }

/// Something beside the split: what becomes of its sides is no longer promised.
void CheckerState::happened(std::size_t) { split.reset(); }

void CheckerState::check_split() {
    if (!split || world.now() < split->deadline) return;
    std::map<std::string, std::array<std::vector<std::size_t>, 2>> alive;
    for (const std::size_t node : world.running()) {
        const auto snapshot = world[node].snapshot();
        if (snapshot.shutdown_reason) continue;
        const bool is_left = std::ranges::find(split->left, node) != split->left.end();
        alive[snapshot.state->self_data_center][is_left ? 0 : 1].push_back(node);
    }
    for (const auto& [dc, sides] : alive)
        if (!sides[0].empty() && !sides[1].empty())
            note("both-sides-live", fmt::format("of data center {} nodes {} and {} run", dc,
                                                join(sides[0], ","), join(sides[1], ",")));
    split.reset();
}

// --- findings

void CheckerState::note(std::string invariant, std::string detail) {
    if (found) return; // the first is the cause
    found = Violation(std::move(invariant), std::move(detail), world.now());
}

void CheckerState::throw_found() {
    if (!found) return;
    const Violation violation = *std::exchange(found, std::nullopt);
    throw violation;
}

Viewer& CheckerState::viewer(std::size_t node) {
    if (viewers.size() <= node) {
        viewers.resize(node + 1);
        settings.resize(node + 1);
    }
    return viewers[node];
}

void CheckerState::meet(std::size_t node, const UniqueAddress& self) {
    viewer(node).self = self;
    incarnations.try_emplace(self, Incarnation{node, world.now(), {}, false});
}

Incarnation* CheckerState::incarnation(const UniqueAddress& node) {
    const auto at = incarnations.find(node);
    return at == incarnations.end() ? nullptr : &at->second;
}

// --- each published state

void CheckerState::published(std::size_t node, const std::shared_ptr<const MembershipState>& state) {
    Viewer& v = viewer(node);
    if (state->members().empty() || state->gossip == v.last) return;
    ++checks;
    if (v.self != state->self) { // a new life or a fresh uid (§5.6, first seed)
        v.last.reset();
        meet(node, state->self);
    }
    const GossipPtr before = std::exchange(v.last, state->gossip);
    v.changed = true;
    v.data_center = state->self_data_center;
    v.left = v.left || state->self_status() == MemberStatus::Leaving;
    if (is_corrupted) return;
    check_version(node, *state);
    if (before && before->version_id() == state->latest().version_id()) return;
    check_size(node, state->latest());
    note_counted(node, before.get(), state->latest());
    if (before)
        check_changes(node, *before, *state);
    else
        check_entry(node, *state);
    check_strangers(node, before.get(), *state);
    check_numbers(node, *state);
    check_protected(node, *state);
}

/// Each member is a process that ran at its address: the published state of its own came first.
void CheckerState::check_strangers(std::size_t node, const Gossip* before, const MembershipState& state) {
    for (const Member& m : state.members())
        if ((before == nullptr || !before->has_member(m.unique_address())) &&
            incarnation(m.unique_address()) == nullptr)
            note("stranger-admitted", fmt::format("node {} has the member {}, which never ran there", node,
                                                  m.unique_address().to_string()));
}

/// One content per version, and nobody has seen what it never held.
void CheckerState::check_version(std::size_t node, const MembershipState& state) {
    const Gossip& g = state.latest();
    const auto [at, fresh] = versions.try_emplace(g.version_id());
    Version& known = at->second;
    if (fresh) {
        known.content = state.gossip;
        known.held = SeenSet(g.members().size());
        if (versions_forgotten) known.held = g.overview().seen;
        remember_version(node, g);
    } else if (known.content != state.gossip) {
        const Gossip& other = *known.content;
        const bool equal =
            std::ranges::equal(g.members(), other.members(),
                               [](const Member& a, const Member& b) { return a.same_content(b); }) &&
            g.reachability() == other.reachability() && g.version() == other.version();
        if (!equal) {
            note("version-content", fmt::format("node {} holds another content of version {}", node,
                                                g.version_id().to_string()));
            return;
        }
    }
    if (const auto own = g.index_of(state.self); own && g.overview().seen.test(*own)) known.held.set(*own);
    const auto seen = g.overview().seen.words();
    const auto held = known.held.words();
    for (std::size_t word = 0; word < seen.size(); ++word) {
        const std::uint64_t missing = seen[word] & ~held[word];
        if (missing == 0) continue;
        const auto index = word * 64 + static_cast<std::size_t>(std::countr_zero(missing));
        note("seen-unheld", fmt::format("node {} counts {} as having seen a version that it never held", node,
                                        g.members()[index].unique_address().to_string()));
        return;
    }
}

/// A version that is new to everybody. Its clock must be, too: of two versions with one clock neither is
/// merged with the other where clocks are compared, and what descends from one would replace the other
/// (protocol.md §2).
void CheckerState::remember_version(std::size_t node, const Gossip& gossip) {
    const Hash128& clock = gossip.version().digest();
    const bool fresh =
        gossip.version().size() == 0 || versions_by_clock.try_emplace(clock, gossip.version_id()).second;
    if (!fresh)
        note("clock-content",
             fmt::format("node {} made version {} with the clock of version {}", node,
                         gossip.version_id().to_string(), versions_by_clock.at(clock).to_string()));
    version_order.emplace_back(gossip.version_id(), clock);
    if (version_order.size() <= versions_max) return;
    versions.erase(version_order.front().first);
    versions_by_clock.erase(version_order.front().second);
    version_order.pop_front();
    versions_forgotten = true;
}

void CheckerState::check_size(std::size_t node, const Gossip& gossip) {
    if (gossip.version().size() > gossip.members().size())
        note("clock-too-large", fmt::format("node {} has {} clock entries for {} members", node,
                                            gossip.version().size(), gossip.members().size()));
}

void CheckerState::check_changes(std::size_t node, const Gossip& before, const MembershipState& state) {
    const Gossip& after = state.latest();
    // Both are sorted; where they agree, which is almost everywhere, no names are compared.
    auto now = after.members().begin();
    const auto end = after.members().end();
    for (const Member& m : before.members()) {
        while (now != end && *now < m) ++now;
        if (now != end && *now == m) {
            if (!now->same_content(m)) check_member(node, m, *now);
        } else {
            check_gone(node, m, before, after);
        }
    }
    check_rows(node, before, after);
    if (before.tombstones().data() == after.tombstones().data()) return;
    for (const Tombstone& t : before.tombstones())
        if (after.has_member(t.node))
            note("removed-reappears",
                 fmt::format("{} is a member again for node {}", t.node.to_string(), node));
}

void CheckerState::check_rows(std::size_t node, const Gossip& before, const Gossip& after) {
    for (const Reachability::Record& row : before.reachability().records()) {
        if (row.status != ReachabilityStatus::Terminated) continue;
        if (!after.has_member(row.observer) || !after.has_member(row.subject)) continue;
        const auto now = after.reachability().status(row.observer, row.subject);
        if (now != ReachabilityStatus::Terminated)
            note("terminated-undone",
                 fmt::format("node {}: the row of {} about {} went from Terminated to {}", node,
                             row.observer.to_string(), row.subject.to_string(), to_string(now)));
    }
}

void CheckerState::check_member(std::size_t node, const Member& before, const Member& after) {
    const auto name = after.unique_address().to_string();
    if (merge_priority(after.status()) < merge_priority(before.status()))
        note("status-went-back", fmt::format("{} was {} for node {} and is {}", name,
                                             to_string(before.status()), node, to_string(after.status())));
    if (after.up_number() > before.up_number())
        note("status-went-back", fmt::format("the up_number of {} went from {} to {} for node {}", name,
                                             before.up_number(), after.up_number(), node));
}

void CheckerState::check_gone(std::size_t node, const Member& gone, const Gossip& before,
                              const Gossip& after) {
    const auto name = gone.unique_address().to_string();
    if (!after.is_tombstoned(gone.unique_address())) {
        note("vanished", fmt::format("{} vanished for node {} without a tombstone", name, node));
        return;
    }
    viewer(node).removed.insert_or_assign(gone.unique_address(),
                                          Removal{world.now(), gone.status() == MemberStatus::Down});
    const Incarnation* known = incarnation(gone.unique_address());
    if (!known || known->ended) return;
    // Removed with its exiting tasks still running: only when it could not be reached (protocol.md §19, 14).
    const Viewer& subject = viewer(known->node);
    const bool alive = subject.running && subject.self == gone.unique_address();
    const bool unreachable = !before.reachability().is_reachable(gone.unique_address()) ||
                             was_unreachable.contains(gone.unique_address());
    // The leader of another data center removes Exiting members of this one at once (protocol.md §9.3, step
    // 1), and its tombstone comes here with the next gossip, maybe when nobody of that one is left.
    const bool single = std::ranges::all_of(viewers, [&](const Viewer& v) {
        return v.data_center.empty() || v.data_center == gone.data_center();
    });
    if (alive && single && gone.status() == MemberStatus::Exiting && !unreachable && !subject.exiting_done)
        note("exiting-cut-short",
             fmt::format("node {} removed {} before its exiting tasks ended", node, name));
}

/// The first state of a node: it must be a member of it, by the word of whom it asked.
void CheckerState::check_entry(std::size_t node, const MembershipState& state) {
    if (!state.latest().has_member(state.self)) {
        note("joined-without-asking", fmt::format("node {} took a state of which it is no member", node));
        return;
    }
    std::string asked, welcomed;
    for (const LogRecord& record : world[node].log->records()) {
        if (record.code != "cluster.join.asking" && record.code != "cluster.join.welcomed") continue;
        const auto peer = std::ranges::find(record.fields, "peer", &LogField::name);
        if (peer == record.fields.end()) continue;
        (record.code == "cluster.join.asking" ? asked : welcomed) = peer->value;
    }
    // The welcomer is named with its uid.
    if (!welcomed.empty() && !welcomed.starts_with(asked))
        note("joined-without-asking",
             fmt::format("node {} asked {} and took the welcome of {}", node, asked, welcomed));
}

void CheckerState::check_protected(std::size_t node, const MembershipState& state) {
    const Gossip& g = state.latest();
    for (const Reachability::Record& row : g.reachability().records())
        if (row.status != ReachabilityStatus::Reachable) was_unreachable.insert(row.subject);
    for (const Member& m : g.members())
        if (m.status() == MemberStatus::Down) lose_leader(m.unique_address());
    if (!is_protected(node)) return; // what the lost believe does not count
    const auto look = [&](const UniqueAddress& subject, std::string_view what) {
        const Incarnation* known = incarnation(subject);
        if (!known || known->ended || !is_protected(known->node) || viewer(known->node).self != subject)
            return;
        if (viewer(known->node).left) return;
        note("healthy-downed", fmt::format("node {} holds node {} {}", node, known->node, what));
    };
    for (const Member& m : g.members())
        if (m.status() == MemberStatus::Down) look(m.unique_address(), "for Down");
    for (const Tombstone& t : g.tombstones())
        if (!viewer(node).removed.contains(t.node)) look(t.node, "for removed");
}

// --- numbers (protocol.md §19, 4)

void CheckerState::check_numbers(std::size_t node, const MembershipState& state) {
    std::map<std::pair<std::string_view, std::int32_t>, const Member*> taken;
    for (const Member& m : state.members()) {
        if (m.up_number() == Member::never_up) continue;
        const auto [at, fresh] = taken.try_emplace({m.data_center(), m.up_number()}, &m);
        const auto dc = std::string(m.data_center());
        if (!fresh && m.status() != MemberStatus::Down && at->second->status() != MemberStatus::Down &&
            !numbers_may_repeat.contains(dc))
            note("number-twice", fmt::format("for node {} both {} and {} have number {}", node,
                                             at->second->unique_address().to_string(),
                                             m.unique_address().to_string(), m.up_number()));
        if (!numbered.insert(m.unique_address()).second) continue;
        unsettled.push_back({m.unique_address(), viewer(node).self, dc});
    }
}

/// A number is settled when everybody who runs there has it.
void CheckerState::settle_numbers() {
    std::erase_if(unsettled, [&](const Numbered& n) {
        return std::ranges::all_of(viewers, [&](const Viewer& v) {
            if (!v.running || !v.last || v.data_center != n.data_center) return true;
            const Member* m = v.last->find(n.member);
            return m ? m->up_number() != Member::never_up : v.last->is_tombstoned(n.member);
        });
    });
}

/// This node will tell nobody any more; what it numbered and not everybody knows may be given again.
void CheckerState::lose_leader(const UniqueAddress& leader) {
    std::erase_if(unsettled, [&](const Numbered& n) {
        if (n.leader != leader) return false;
        numbers_may_repeat.insert(n.data_center);
        return true;
    });
}

} // namespace muster::sim
