// SPDX-License-Identifier: Apache-2.0
// Properties of the gossip's merge (protocol.md §19 items 1, 2, 5, 10) over histories that honest nodes can
// produce. rapidcheck prints the shrunk counterexample and, as RC_PARAMS="reproduce=...", how to run exactly
// it again.
#include "../sample.hpp"

#include <array>
#include <gtest/gtest.h>
#include <iostream>
#include <map>
#include <rapidcheck.h>

namespace muster {
namespace {

using sample::node;

/// One step of a history: a replica changes its own state or learns another's.
struct Step {
    enum class Kind : std::uint8_t { Join, Move, Down, Unreachable, Terminated, Reachable, Remove, Learn };
    Kind kind{};
    std::size_t replica{};
    std::size_t target{};
    std::size_t choice{};
};

constexpr std::size_t replica_count = 3;
constexpr std::size_t node_count = 6;

UniqueAddress node_at(std::size_t i) { return node(std::string(1, static_cast<char>('a' + i))); }

std::ostream& operator<<(std::ostream& out, const Step& step) {
    static constexpr std::array names{"Join",       "Move",      "Down",   "Unreachable",
                                      "Terminated", "Reachable", "Remove", "Learn"};
    return out << names[static_cast<std::size_t>(step.kind)] << '(' << step.replica << ' ' << step.target
               << ' ' << step.choice << ')';
}

rc::Gen<Step> any_step() {
    return rc::gen::build<Step>(
        rc::gen::set(&Step::kind,
                     rc::gen::map(rc::gen::inRange(0, 8), [](int k) { return static_cast<Step::Kind>(k); })),
        rc::gen::set(&Step::replica, rc::gen::inRange<std::size_t>(0, replica_count)),
        rc::gen::set(&Step::target, rc::gen::inRange<std::size_t>(0, node_count)),
        rc::gen::set(&Step::choice, rc::gen::inRange<std::size_t>(0, 8)));
}

/// Several nodes' states after the same beginning. Replica i is run by node i, so only it ticks that clock
/// entry and changes that node's rows.
class History {
public:
    explicit History(const std::vector<Step>& steps) {
        std::vector<Member> members;
        for (std::size_t i = 0; i < replica_count; ++i) members.emplace_back(node_at(i), MemberStatus::Up);
        const auto start = Gossip::from_parts(std::move(members), {}, {}, {}, {}).value();
        replicas_.assign(replica_count, start);
        for (const auto& step : steps) apply(step);
    }
    const Gossip& at(std::size_t i) const { return replicas_[i]; }

private:
    void install(std::size_t replica, const Gossip& changed) {
        replicas_[replica] = changed.increment(node_at(replica)).only_seen(node_at(replica));
    }

    void apply(const Step& step) {
        const Gossip& mine = replicas_[step.replica];
        const auto self = node_at(step.replica);
        const auto target = node_at(step.target);
        const Member* member = mine.find(target);
        if (!mine.has_member(self)) return; // a removed node changes nothing any more
        switch (step.kind) {
        case Step::Kind::Join:
            if (member == nullptr && !mine.is_tombstoned(target)) {
                const Member joining{target, MemberStatus::Joining};
                install(step.replica, mine.update(std::span{&joining, 1}));
            }
            return;
        case Step::Kind::Move: return move(step, member);
        case Step::Kind::Down:
            if (member != nullptr && transition_allowed(member->status(), MemberStatus::Down))
                install(step.replica, mine.mark_down(target));
            return;
        case Step::Kind::Unreachable: return observe(step, member, ReachabilityStatus::Unreachable);
        case Step::Kind::Terminated: return observe(step, member, ReachabilityStatus::Terminated);
        case Step::Kind::Reachable: return observe(step, member, ReachabilityStatus::Reachable);
        case Step::Kind::Remove:
            if (member != nullptr && target != self)
                install(step.replica,
                        mine.remove(std::span{&target, 1}, WallTime{static_cast<std::int64_t>(step.choice)}));
            return;
        case Step::Kind::Learn: return learn(step.replica, replicas_[step.target % replica_count]);
        }
    }

    void move(const Step& step, const Member* member) {
        if (member == nullptr) return;
        auto next = allowed_transitions(member->status());
        std::erase(next, MemberStatus::Removed);
        if (next.empty()) return;
        auto moved = member->copy_with_status(next[step.choice % next.size()]).value();
        if (step.choice % 2 == 0 && moved.status() == MemberStatus::Up)
            moved = moved.copy_with_up_number(static_cast<std::int32_t>(step.choice) + 1);
        install(step.replica, replicas_[step.replica].update(std::span{&moved, 1}));
    }

    void observe(const Step& step, const Member* member, ReachabilityStatus status) {
        const auto self = node_at(step.replica);
        if (member == nullptr || member->unique_address() == self) return;
        const auto& mine = replicas_[step.replica];
        const auto changed = mine.reachability().change(self, member->unique_address(), status);
        if (changed != mine.reachability()) install(step.replica, mine.with_reachability(changed));
    }

    void learn(std::size_t replica, const Gossip& other) {
        const Gossip& mine = replicas_[replica];
        replicas_[replica] =
            mine.prune_clock_of(other.tombstones()).merge(other.prune_clock_of(mine.tombstones()));
    }

    std::vector<Gossip> replicas_;
};

/// Everything of a gossip that merge must agree on, comparable and printable.
std::string content(const Gossip& g) {
    std::string text;
    for (const auto& m : g.members()) {
        text += m.unique_address().to_string() + " " + std::string{to_string(m.status())} + " " +
                std::to_string(m.up_number()) + "\n";
    }
    for (const auto& r : g.reachability().records()) {
        text += r.observer.to_string() + " calls " + r.subject.to_string() + " " +
                std::string{to_string(r.status)} + " v" + std::to_string(r.version) + "\n";
    }
    for (const auto& v : g.reachability().versions())
        text += "rows of " + v.observer.to_string() + " at v" + std::to_string(v.version) + "\n";
    for (const auto& e : g.version().entries())
        text += "clock " + e.key.to_string() + "=" + std::to_string(e.counter) + "\n";
    for (const auto& t : g.tombstones())
        text += "tombstone " + t.node.to_string() + " at " + std::to_string(t.removed_at.ms) + "\n";
    return text;
}

void expect_same(const Gossip& a, const Gossip& b) {
    a.check();
    b.check();
    RC_ASSERT(content(a) == content(b));
    RC_ASSERT(a.version_id() == b.version_id());
}

/// Runs the property over random histories; the test fails with rapidcheck's report of the counterexample.
template <class Property>
void holds(const char* name, Property property) {
    EXPECT_TRUE(rc::check(name, [&] {
        const History history{*rc::gen::container<std::vector<Step>>(any_step())};
        property(history.at(0), history.at(1), history.at(2));
    }));
}

TEST(MergeProperty, IsCommutative) {
    holds("merge(a, b) == merge(b, a)",
          [](const Gossip& a, const Gossip& b, const Gossip&) { expect_same(a.merge(b), b.merge(a)); });
}

TEST(MergeProperty, IsAssociative) {
    holds("merge(merge(a, b), c) == merge(a, merge(b, c))",
          [](const Gossip& a, const Gossip& b, const Gossip& c) {
              expect_same(a.merge(b).merge(c), a.merge(b.merge(c)));
          });
}

TEST(MergeProperty, IsIdempotent) {
    holds("merge(a, a) == a and merge(a, merge(a, b)) == merge(a, b)",
          [](const Gossip& a, const Gossip& b, const Gossip&) {
              expect_same(a.merge(a), a);
              const auto both = a.merge(b);
              expect_same(a.merge(both), both);
              expect_same(both.merge(b), both);
          });
}

TEST(MergeProperty, ForgetsWhoHasSeen) {
    holds("merge(a, b).seen is empty", [](const Gossip& a, const Gossip& b, const Gossip&) {
        RC_ASSERT(a.merge(b).seen_nodes().empty());
        RC_ASSERT(a.merge(b).seen_digest() == Hash128{});
    });
}

TEST(MergeProperty, NeverLosesAMemberNorMovesItBackExceptIntoItsTombstone) {
    holds("merge is monotone in merge priority and in removal",
          [](const Gossip& a, const Gossip& b, const Gossip&) {
              const auto merged = a.merge(b);
              for (const auto& m : a.members()) {
                  const Member* kept = merged.find(m.unique_address());
                  RC_ASSERT((kept == nullptr) == merged.is_tombstoned(m.unique_address()));
                  if (kept == nullptr) continue;
                  RC_ASSERT(highest_priority(*kept, m).same_content(*kept));
              }
              for (const auto& t : a.tombstones()) RC_ASSERT(!merged.has_member(t.node));
          });
}

TEST(MergeProperty, DominatesBothClocksExceptForPrunedEntries) {
    holds("merge's clock is After or Same both pruned clocks",
          [](const Gossip& a, const Gossip& b, const Gossip&) {
              const auto merged = a.merge(b);
              for (const auto* input : {&a, &b}) {
                  const auto relation =
                      merged.version().compare(input->prune_clock_of(merged.tombstones()).version());
                  RC_ASSERT(relation == VectorRelation::After || relation == VectorRelation::Same);
              }
              RC_ASSERT(merged.version().size() <= merged.members().size());
          });
}

TEST(MergeProperty, EqualVersionIdsMeanEqualContent) {
    holds("version_id(a) == version_id(b) iff content(a) == content(b)",
          [](const Gossip& a, const Gossip& b, const Gossip& c) {
              const std::array all{a, b, c, a.merge(b), b.merge(c)};
              const auto without_times = [](const Gossip& g) {
                  auto text = content(g);
                  for (auto at = text.find(" at "); at != std::string::npos; at = text.find(" at ", at + 1))
                      if (text.compare(at + 4, 1, "v") != 0) text.erase(at, text.find('\n', at) - at);
                  return text;
              };
              for (const auto& x : all) {
                  for (const auto& y : all)
                      RC_ASSERT((x.version_id() == y.version_id()) == (without_times(x) == without_times(y)));
              }
          });
}

/// Digests and sharing never depend on how a value was reached: rebuilt from its parts it is the same.
TEST(GossipProperty, IsWhatItsPartsSay) {
    holds("from_parts(parts(g)) == g", [](const Gossip& a, const Gossip& b, const Gossip&) {
        for (const auto& g : {a, b, a.merge(b)}) {
            const auto& rows = g.reachability();
            const auto rebuilt = Gossip::from_parts(
                {g.members().begin(), g.members().end()}, g.seen_nodes(),
                Reachability{{rows.records().begin(), rows.records().end()},
                             {rows.versions().begin(), rows.versions().end()}},
                VectorClock::from_entries({g.version().entries().begin(), g.version().entries().end()}),
                {g.tombstones().begin(), g.tombstones().end()});
            RC_ASSERT(rebuilt.has_value());
            expect_same(*rebuilt, g);
            RC_ASSERT(rebuilt->seen_digest() == g.seen_digest());
        }
    });
}

TEST(ClockProperty, CompareIsConsistentWithMerge) {
    EXPECT_TRUE(rc::check("a <= b iff merge(a, b) == b", [&] {
        const auto make = [&] {
            const auto counters =
                *rc::gen::container<std::vector<std::uint8_t>>(6, rc::gen::inRange<std::uint8_t>(0, 3));
            std::vector<VectorClock::Entry> entries;
            for (std::size_t i = 0; i < counters.size(); ++i)
                entries.push_back({node_at(i).key(), counters[i]});
            return VectorClock::from_entries(std::move(entries));
        };
        const auto a = make();
        const auto b = make();
        auto merged = a;
        merged.merge(b);
        const auto relation = a.compare(b);
        RC_ASSERT((merged == b) == (relation == VectorRelation::Before || relation == VectorRelation::Same));
        RC_ASSERT((merged == a) == (relation == VectorRelation::After || relation == VectorRelation::Same));
        RC_ASSERT((a == b) == (a.digest() == b.digest()));
    }));
}

} // namespace
} // namespace muster
