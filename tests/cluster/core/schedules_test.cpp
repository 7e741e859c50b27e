// SPDX-License-Identifier: Apache-2.0
// Random schedules of 2 to 6 cores (protocol.md §19): joins, leaves, downs, crashes, restarts, pauses,
// partitions over a lossy network. Safety is checked after every input; afterwards the faults end, the dead
// are downed, and the living must agree. A failure prints the seed; MUSTER_SCHEDULE_SEED=<seed> runs that one
// alone, MUSTER_SCHEDULES=<n> runs n.
#include "../core_world.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <gtest/gtest.h>
#include <iostream>
#include <map>
#include <set>
#include <string>

namespace muster::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

ClusterSettings settings_for(Random& random) {
    const bool eager = random.chance(0.5);
    ClusterSettings s = eager ? ClusterSettings{} : ClusterSettings::classic();
    s.eager.eager_gossip = eager;
    s.eager.death_evidence = eager;
    s.retry_unsuccessful_join_after = seconds{2};
    return s;
}

class Schedule {
public:
    explicit Schedule(std::uint64_t seed)
        : random_(seed), world_(random_.next(), settings_for(random_)), size_(2 + random_.below(5)) {}

    void run() {
        prepare();
        world_.run_for(seconds{8});
        end_faults();
        settle();
        check_quiet();
    }
    std::uint64_t inputs() const { return world_.inputs; }
    std::string describe() const { return world_.describe(); }

private:
    void prepare() {
        world_.network.loss = random_.chance(0.5) ? 0.0 : random_.chance(0.5) ? 0.02 : 0.2;
        world_.network.straggler = random_.chance(0.5) ? 0.0 : 0.1;
        world_.misdelivery = 0.5;
        world_.data_centers = random_.chance(0.2) ? 2 : 1;
        for (std::size_t i = 0; i < size_; ++i) world_.start(i);
        world_.join(0, 0);
        for (std::size_t i = 1; i < size_; ++i) {
            const std::size_t to = random_.below(i);
            world_.at(random_.between({}, milliseconds{2500}), [this, i, to] { world_.join(i, to); });
        }
        // Half of the schedules do nothing wrong to a reachable node: then nobody may be left behind.
        wrong_ = random_.chance(0.5);
        crashes_ = random_.chance(0.7);
        world_.unique_numbers = !wrong_ && !crashes_;
        const std::uint64_t actions = random_.below(7);
        for (std::uint64_t n = 0; n < actions; ++n)
            world_.at(random_.between(milliseconds{500}, seconds{8}), [this] { act(); });
    }

    std::size_t any() { return random_.below(size_); }
    void command(const std::function<void(ClusterCore&, const Address&, const Now&, Effects&)>& call) {
        const std::vector<std::size_t> living = world_.living_members();
        if (living.empty()) return;
        const std::size_t by = living[random_.below(living.size())];
        const Address subject = world_.node(any()).address;
        world_.input(by, [&](ClusterCore& c, const Now& t, Effects& out) { call(c, subject, t, out); });
    }
    void leave() {
        command([](ClusterCore& c, const Address& a, const Now& t, Effects& out) { c.leave(a, t, out); });
    }
    void down() {
        command([](ClusterCore& c, const Address& a, const Now& t, Effects& out) { c.down(a, t, out); });
    }
    /// The last living member stays, or there is nothing to agree on.
    bool may_kill(std::size_t i) const { return !world_.is_living(i) || world_.living_members().size() > 1; }

    void act() {
        const std::size_t i = any();
        switch (random_.below(wrong_ ? 8 : 5)) {
        case 0: leave(); break;
        case 1:
            if (crashes_ && may_kill(i)) world_.crash(i);
            break;
        case 2:
            if (crashes_) restart(i);
            break;
        case 3: world_.pause(i, random_.between(milliseconds{100}, seconds{2})); break;
        case 4: leave(); break;
        case 5: down(); break;
        case 6: world_.pause(i, random_.between(seconds{1}, seconds{9})); break;
        case 7: partition(); break;
        default: break;
        }
    }
    void restart(std::size_t i) {
        if (!may_kill(i)) return;
        world_.crash(i);
        world_.at(random_.between({}, seconds{1}), [this, i] {
            if (world_.node(i).alive) return;
            world_.start(i);
            rejoin(i);
        });
    }
    void rejoin(std::size_t i) {
        std::vector<std::size_t> members = world_.living_members();
        std::erase(members, i);
        if (!members.empty()) world_.join(i, members[random_.below(members.size())]);
    }
    void partition() {
        std::vector<int> groups;
        for (std::size_t n = 0; n < size_; ++n) groups.push_back(static_cast<int>(random_.below(2)));
        world_.partition(groups);
        world_.at(random_.between(milliseconds{200}, seconds{8}), [this] { world_.heal(); });
    }

    void end_faults() {
        world_.heal();
        world_.network.loss = 0.0;
        world_.network.straggler = 0.0;
        world_.run_for(seconds{10}); // the longest pause ends, stragglers arrive
    }

    /// An operator's view: what one surviving member knows decides who is still in the cluster.
    void settle() {
        for (int second = 0; second < 60; ++second) {
            if (world_.is_agreed() && world_.living() == world_.living_members()) return;
            const std::vector<std::size_t> members = world_.living_members();
            if (members.empty()) return; // all left or were downed
            const std::size_t anchor = anchor_of(members);
            leave_behind(anchor);
            const UniqueAddress known = world_.node(anchor).core->self();
            for (const std::size_t i : world_.living_members())
                if (i == anchor || !world_.gossip(i).has_member(known))
                    down_dead(i); // who hears nothing from the anchor, too
            for (const std::size_t i : world_.living())
                if (!world_.node(i).core->is_joined()) world_.join(i, anchor);
            world_.run_for(seconds{1});
        }
        ADD_FAILURE() << "no agreement 60 s after the faults ended (protocol.md §19, 13)\n"
                      << world_.describe();
    }
    /// A member that is not on its way out itself, if there is one.
    std::size_t anchor_of(const std::vector<std::size_t>& members) const {
        for (const std::size_t i : members) {
            const MemberStatus s = world_.status_of(i, i);
            if (s != MemberStatus::Down && s != MemberStatus::Exiting && s != MemberStatus::Leaving) return i;
        }
        return members.front();
    }
    void down_dead(std::size_t anchor) {
        std::set<UniqueAddress> living;
        for (const std::size_t i : world_.living()) living.insert(world_.node(i).core->self());
        for (const Member& m : std::vector<Member>(world_.gossip(anchor).members().begin(),
                                                   world_.gossip(anchor).members().end())) {
            if (living.contains(m.unique_address())) continue;
            const UniqueAddress node = m.unique_address();
            world_.input(anchor, [&](ClusterCore& c, const Now& t, Effects& out) { c.down(node, t, out); });
        }
    }
    /// Who was removed while it lived (wrongly downed behind a partition) is a cluster of its own now. That
    /// is the resolver's business, not the core's; here it dies.
    void leave_behind(std::size_t anchor) {
        const UniqueAddress self = world_.node(anchor).core->self();
        for (const std::size_t i : world_.living_members()) {
            const UniqueAddress other = world_.node(i).core->self();
            if (i == anchor) continue;
            if (is_unheard_of(i, anchor)) {
                world_.crash(
                    i); // whoever admitted it died with everybody of the anchor's side who had heard of it
                continue;
            }
            const bool apart =
                world_.gossip(anchor).is_tombstoned(other) || world_.gossip(i).is_tombstoned(self);
            if (!apart) continue;
            // Right for a member that exits and is told so by the leader of another data center (§9.3, step
            // 1), or that restarted while a Join of its earlier incarnation was still on its way (§5.6, rule
            // 4: the later Join wins).
            const bool allowed = wrong_ || world_.data_centers > 1 || world_.node(i).life > 1;
            EXPECT_TRUE(allowed) << other.to_string() << " was removed while it lived, and nobody downed it\n"
                                 << world_.describe();
            world_.crash(i);
        }
    }

    /// Nobody who lives connects the two: neither knows the other, and they have no living acquaintance in
    /// common.
    bool is_unheard_of(std::size_t i, std::size_t anchor) {
        if (world_.gossip(anchor).has_member(world_.node(i).core->self())) return false;
        const std::vector<std::size_t> living = world_.living();
        return std::ranges::none_of(living, [&](std::size_t other) {
            const UniqueAddress& node = world_.node(other).core->self();
            return other != i && world_.gossip(i).has_member(node) && world_.gossip(anchor).has_member(node);
        });
    }

    void check_quiet() {
        if (world_.living_members().empty()) return;
        // What the faults left behind, such as a row that its observer takes back, may change the state once
        // more.
        const auto version_here = [&] { return world_.gossip(world_.living_members().front()).version_id(); };
        Hash128 version{};
        bool settled = false;
        for (int rounds = 0; rounds < 10 && !settled; ++rounds) {
            version = version_here();
            world_.run_for(seconds{2});
            settled = world_.is_agreed() && version_here() == version;
        }
        ASSERT_TRUE(settled) << world_.describe();
        world_.delivered.clear();
        world_.run_for(seconds{3});
        for (const std::size_t i : world_.living_members())
            EXPECT_EQ(world_.gossip(i).version_id(), version) << "the clocks stop (protocol.md §19, 13)";
        for (const auto& [name, n] : world_.delivered)
            EXPECT_EQ(name, "GossipStatus") << n << " of them after agreement (protocol.md §19, 3)";
        EXPECT_FALSE(::testing::Test::HasFailure()) << world_.describe();
        std::map<std::string, std::set<UniqueAddress>> leaders;
        for (const std::size_t i : world_.living_members()) {
            const auto& state = world_.node(i).core->state();
            leaders[state->self_data_center].insert(*state->leader());
        }
        for (const auto& [data_center, those] : leaders) EXPECT_EQ(those.size(), 1U) << world_.describe();
    }
    Random random_;
    CoreWorld world_;
    std::size_t size_;
    bool wrong_ = false;
    bool crashes_ = false;
};

std::uint64_t environment(const char* name, std::uint64_t absent) {
    const char* value = std::getenv(name);
    return value == nullptr ? absent : std::strtoull(value, nullptr, 10);
}

/// True when the schedule held.
bool run_seed(std::uint64_t seed, std::uint64_t& inputs) {
    Schedule schedule(seed);
    try {
        schedule.run();
    } catch (const Broken& e) {
        ADD_FAILURE() << e.what();
    }
    inputs += schedule.inputs();
    if (!::testing::Test::HasFailure()) return true;
    std::cout << "repeat with MUSTER_SCHEDULE_SEED=" << seed << '\n';
    return false;
}

TEST(Schedules, KeepTheInvariantsAndEndInAgreement) {
    std::uint64_t inputs = 0;
    if (const std::uint64_t seed = environment("MUSTER_SCHEDULE_SEED", 0)) {
        run_seed(seed, inputs);
        return;
    }
    // By number where one is asked for, else by what fits: sanitizers make the same schedule ten times
    // slower.
    const std::uint64_t wanted = environment("MUSTER_SCHEDULES", 0);
    const std::uint64_t first = environment("MUSTER_SCHEDULE_FIRST", 1);
    const auto end = std::chrono::steady_clock::now() + seconds{15};
    std::uint64_t done = 0;
    for (; wanted == 0 ? done < 3000 && std::chrono::steady_clock::now() < end : done < wanted; ++done)
        if (!run_seed(first + done, inputs)) return;
    std::cout << done << " schedules, " << inputs << " inputs\n";
}

} // namespace
} // namespace muster::testing
