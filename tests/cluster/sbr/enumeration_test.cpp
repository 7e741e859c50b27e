// SPDX-License-Identifier: Apache-2.0
// protocol.md §19, item 7, by enumeration: whatever way a cluster is cut, and whatever one leader's change of
// statuses only its own side knows of, at most one side stays. Every status, age direction, role subset,
// partition and transition for 2 to MUSTER_ENUMERATION_NODES_MAX nodes.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <muster/cluster/sbr/model.hpp>
#include <muster/cluster/sbr/strategy.hpp>
#include <optional>
#include <string>
#include <vector>

#ifndef MUSTER_ENUMERATION_NODES_MAX
#define MUSTER_ENUMERATION_NODES_MAX 3
#endif

namespace {

using namespace muster;
using S = MemberStatus;
using Mask = unsigned;

constexpr std::size_t nodes_max = MUSTER_ENUMERATION_NODES_MAX;
constexpr std::array<S, 3> first_statuses = {S::Up, S::Joining, S::Leaving};

const UniqueAddress& node(std::size_t i) {
    static const std::vector<UniqueAddress> all = [] {
        std::vector<UniqueAddress> made;
        for (std::size_t k = 0; k < 8; ++k)
            made.emplace_back(
                Address::remote("akka.tcp", "sys", std::string(1, static_cast<char>('a' + k)), 1), Uid{1});
        return made;
    }();
    return all[i];
}

/// What one side believes about all nodes, by index in address order.
struct View {
    std::vector<S> statuses;
    std::vector<std::int32_t> ups;
    bool operator==(const View&) const = default;
};

using RoleChoices = std::vector<std::vector<std::string>>;

/// One cluster just before it is cut.
struct Cluster {
    std::size_t n;
    View view;
    const RoleChoices* choices;
    std::vector<std::size_t> roles; // of each node, an index into *choices
};

/// Members and tables are made once: there are millions of models of few parts.
const Member& member_of(const Cluster& cluster, const View& view, std::size_t i) {
    static std::map<const RoleChoices*, std::vector<std::optional<Member>>> made;
    std::vector<std::optional<Member>>& members = made[cluster.choices];
    const std::size_t up = view.ups[i] == Member::never_up ? 0 : static_cast<std::size_t>(view.ups[i]);
    const std::size_t index =
        ((i * member_status_count + static_cast<std::size_t>(view.statuses[i])) * 16 + up) *
            cluster.choices->size() +
        cluster.roles[i];
    if (members.size() <= index) members.resize(index + 1);
    if (!members[index])
        members[index].emplace(node(i), view.statuses[i], (*cluster.choices)[cluster.roles[i]], view.ups[i]);
    return *members[index];
}

/// Everybody here calls everybody there unreachable.
const Reachability& table_of(std::size_t n, Mask here) {
    static std::map<std::pair<std::size_t, Mask>, Reachability> made;
    const auto found = made.find({n, here});
    if (found != made.end()) return found->second;
    Reachability table;
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t k = 0; k < n; ++k)
            if ((here >> i & 1U) != 0 && (here >> k & 1U) == 0) table = table.unreachable(node(i), node(k));
    return made.emplace(std::pair{n, here}, table).first->second;
}

/// The node that could have acted: the first that can lead, else the first that is joining.
std::size_t leader_of(const View& view) {
    for (std::size_t i = 0; i < view.statuses.size(); ++i)
        if (view.statuses[i] == S::Up || view.statuses[i] == S::Leaving) return i;
    return 0;
}

/// Joining becomes Up, Leaving becomes Exiting, of the nodes in `which`, numbers in address order.
View after_leader_action(const View& view, Mask which) {
    View after = view;
    std::int32_t highest = 0;
    for (const std::int32_t up : view.ups)
        if (up != Member::never_up) highest = std::max(highest, up);
    for (std::size_t i = 0; i < view.statuses.size(); ++i) {
        if ((which >> i & 1U) == 0) continue;
        if (view.statuses[i] == S::Leaving) after.statuses[i] = S::Exiting;
        if (view.statuses[i] != S::Joining) continue;
        after.statuses[i] = S::Up;
        after.ups[i] = ++highest;
    }
    return after;
}

/// `departed`: of whom this side knows that they left, beside who is there.
SbrModel model_of(const Cluster& cluster, const View& view, Mask here, Mask departed = 0) {
    SbrModel model(node(static_cast<std::size_t>(std::countr_zero(here))), "default");
    std::vector<UniqueAddress> seen;
    for (std::size_t i = 0; i < cluster.n; ++i) {
        const bool is_here = (here >> i & 1U) != 0;
        is_here ? model.add(member_of(cluster, view, i)) : model.add_unreachable(member_of(cluster, view, i));
        if (is_here) seen.push_back(node(i));
    }
    model.set_reachability(table_of(cluster.n, here));
    model.set_seen_by(std::move(seen));
    std::vector<UniqueAddress> left;
    for (std::size_t i = 0; i < cluster.n; ++i)
        if ((departed >> i & 1U) != 0) left.push_back(node(i));
    model.set_departed(std::move(left));
    return model;
}

/// Does anybody of this side go on after its decision? Exiting ones end by themselves.
bool survives(const DowningStrategy& strategy, const Cluster& cluster, const View& view, Mask here,
              bool lease, Mask departed = 0) {
    const SbrModel model = model_of(cluster, view, here, departed);
    DowningDecision decision = strategy.decide(model).decision;
    EXPECT_FALSE(is_indirect(decision)) << "a clean split has no indirectly connected nodes";
    if (!lease) decision = reverse_of(decision);
    const std::vector<UniqueAddress> down = nodes_to_down(strategy, model, decision).nodes;
    for (std::size_t i = 0; i < cluster.n; ++i) {
        if ((here >> i & 1U) == 0 || view.statuses[i] == S::Exiting) continue;
        if (!std::binary_search(down.begin(), down.end(), node(i))) return true;
    }
    return false;
}

struct Tally {
    std::uint64_t cuts = 0;
    std::uint64_t both_stay = 0;
    std::uint64_t one_stays = 0;
    std::string first;
};

std::string describe(const Cluster& cluster, const View& changed, const std::vector<Mask>& sides) {
    std::string text;
    const auto add = [&](const char* title, const View& view) {
        text += title;
        for (std::size_t i = 0; i < cluster.n; ++i) {
            text += ' ' + std::string(1, static_cast<char>('a' + i)) + ':' +
                    std::string(to_string(view.statuses[i]));
            if (view.ups[i] != Member::never_up) text += '^' + std::to_string(view.ups[i]);
            for (const std::string& role : (*cluster.choices)[cluster.roles[i]]) text += '/' + role;
        }
    };
    add("before", cluster.view);
    add(", with the leader", changed);
    text += ", sides";
    for (const Mask side : sides) {
        text += ' ';
        for (std::size_t i = 0; i < cluster.n; ++i)
            if ((side >> i & 1U) != 0) text += static_cast<char>('a' + i);
    }
    return text;
}

/// Every partition of the nodes into exactly `parts` sides; the first node's side comes first.
std::vector<std::vector<Mask>> partitions(std::size_t n, std::size_t parts) {
    std::vector<std::vector<Mask>> all;
    std::vector<Mask> sides;
    const std::function<void(std::size_t)> place = [&](std::size_t i) {
        if (i == n) {
            if (sides.size() == parts) all.push_back(sides);
            return;
        }
        for (std::size_t k = 0; k < sides.size(); ++k) {
            sides[k] |= 1U << i;
            place(i + 1);
            sides[k] &= ~(1U << i);
        }
        if (sides.size() == parts) return;
        sides.push_back(1U << i);
        place(i + 1);
        sides.pop_back();
    };
    place(0);
    return all;
}

/// Nobody's change, each single one, and (`rounds`) all that a leader does in one round.
std::vector<View> leader_actions(const View& view, bool rounds) {
    std::vector<View> all{view};
    const Mask everybody = (1U << view.statuses.size()) - 1;
    for (std::size_t i = 0; i < view.statuses.size(); ++i)
        if (View changed = after_leader_action(view, 1U << i); changed != view)
            all.push_back(std::move(changed));
    if (!rounds) return all;
    View round = after_leader_action(view, everybody);
    if (std::find(all.begin(), all.end(), round) == all.end()) all.push_back(std::move(round));
    return all;
}

/// Cuts one cluster every way. With a lease every side in turn is the one that gets it.
void cut(const DowningStrategy& strategy, const Cluster& cluster, const std::vector<std::vector<Mask>>& cuts,
         bool uses_lease, Tally& tally, bool rounds = true) {
    const std::size_t leader = leader_of(cluster.view);
    const std::vector<View> actions = leader_actions(cluster.view, rounds);
    for (const std::vector<Mask>& sides : cuts) {
        const std::size_t owners = uses_lease ? sides.size() : 1;
        for (std::size_t owner = 0; owner < owners; ++owner) {
            std::size_t others_stay = 0;
            std::size_t leading = 0;
            const auto stays = [&](std::size_t side, const View& view) {
                return survives(strategy, cluster, view, sides[side], !uses_lease || side == owner);
            };
            for (std::size_t side = 0; side < sides.size(); ++side) {
                if ((sides[side] >> leader & 1U) != 0)
                    leading = side;
                else
                    others_stay += stays(side, cluster.view) ? 1U : 0U;
            }
            for (const View& changed : actions) {
                const std::size_t staying = others_stay + (stays(leading, changed) ? 1U : 0U);
                ++tally.cuts;
                if (staying == 1) ++tally.one_stays;
                if (staying < 2) continue;
                if (tally.both_stay++ == 0) tally.first = describe(cluster, changed, sides);
            }
        }
    }
}

/// Calls `each` for every cluster of n nodes: statuses, up numbers ascending or descending, and for every
/// node one of `role_choices` role sets.
template <class Each>
void for_each_cluster(std::size_t n, const RoleChoices& role_choices, bool both_ages, Each each) {
    std::size_t status_count = 1;
    std::size_t role_count = 1;
    for (std::size_t i = 0; i < n; ++i) {
        status_count *= first_statuses.size();
        role_count *= role_choices.size();
    }
    for (std::size_t code = 0; code < status_count; ++code)
        for (int descending = 0; descending < (both_ages ? 2 : 1); ++descending) {
            Cluster cluster{n, {std::vector<S>(n), std::vector<std::int32_t>(n)}, &role_choices, {}};
            std::size_t rest = code;
            for (std::size_t i = 0; i < n; ++i, rest /= first_statuses.size()) {
                cluster.view.statuses[i] = first_statuses[rest % first_statuses.size()];
                cluster.view.ups[i] = cluster.view.statuses[i] == S::Joining
                                          ? Member::never_up
                                          : static_cast<std::int32_t>(descending != 0 ? n - i : i + 1);
            }
            for (std::size_t role_code = 0; role_code < role_count; ++role_code) {
                cluster.roles.assign(n, 0);
                std::size_t r = role_code;
                for (std::size_t i = 0; i < n; ++i, r /= role_choices.size())
                    cluster.roles[i] = r % role_choices.size();
                each(cluster);
            }
        }
}

const RoleChoices no_roles = {{}};
const RoleChoices role_or_not = {{}, {"r"}};
const RoleChoices weights_0_1_3 = {{"w0"}, {"w1"}, {"w3"}};
const RoleWeights weights{{{"w0", 0}, {"w1", 1}, {"w3", 3}}, 1};

void expect_at_most_one_side(const DowningStrategy& strategy, std::size_t parts, std::size_t n_max,
                             const RoleChoices& roles, bool both_ages = false, bool uses_lease = false) {
    Tally tally;
    for (std::size_t n = std::max<std::size_t>(2, parts); n <= std::min(n_max, nodes_max); ++n) {
        const auto cuts = partitions(n, parts);
        for_each_cluster(n, roles, both_ages,
                         [&](const Cluster& cluster) { cut(strategy, cluster, cuts, uses_lease, tally); });
    }
    EXPECT_EQ(tally.both_stay, 0U) << strategy.describe() << " of " << tally.cuts
                                   << " cuts; first: " << tally.first;
    EXPECT_GT(tally.cuts, 0U);
    // A strategy that ends everybody is safe and useless; only down-all means to.
    if (strategy.name() != "down-all") {
        EXPECT_GT(tally.one_stays, parts == 2 ? tally.cuts / 10 : 0) << strategy.describe();
    }
}

/// The leaving nodes of `gone` have said that they stop, and ended. The others are cut every way, and of
/// every side nobody, or everybody, or some have heard each goodbye.
void cut_beside_departed(const DowningStrategy& strategy, const Cluster& cluster, Mask gone,
                         std::size_t parts, Tally& tally) {
    std::vector<std::size_t> alive;
    for (std::size_t i = 0; i < cluster.n; ++i)
        if ((gone >> i & 1U) == 0) alive.push_back(i);
    if (alive.size() < parts) return;
    const std::size_t first = leader_of(cluster.view);
    const std::size_t leader = (gone >> first & 1U) == 0 ? first : [&] {
        for (const std::size_t i : alive)
            if (cluster.view.statuses[i] != S::Joining) return i;
        return alive.front();
    }();
    const std::vector<View> actions = leader_actions(cluster.view, true);
    std::vector<Mask> knowledge; // subsets of the gone
    for (Mask known = gone;; known = (known - 1) & gone) {
        knowledge.push_back(known);
        if (known == 0) break;
    }
    for (const std::vector<Mask>& numbered : partitions(alive.size(), parts)) {
        std::size_t others_stay_most = 0;
        Mask leading = 0;
        std::vector<Mask> sides;
        for (const Mask side : numbered) {
            Mask here = 0;
            for (std::size_t k = 0; k < alive.size(); ++k)
                if ((side >> k & 1U) != 0) here |= 1U << alive[k];
            sides.push_back(here);
            if ((here >> leader & 1U) != 0) {
                leading = here;
                continue;
            }
            const bool may_stay = std::ranges::any_of(knowledge, [&](Mask known) {
                return survives(strategy, cluster, cluster.view, here, true, known);
            });
            others_stay_most += may_stay ? 1U : 0U;
        }
        for (const View& changed : actions) {
            const bool may_stay = std::ranges::any_of(knowledge, [&](Mask known) {
                return survives(strategy, cluster, changed, leading, true, known);
            });
            const std::size_t staying = others_stay_most + (may_stay ? 1U : 0U);
            ++tally.cuts;
            if (staying == 1) ++tally.one_stays;
            if (staying < 2) continue;
            if (tally.both_stay++ == 0) tally.first = describe(cluster, changed, sides);
        }
    }
}

void expect_at_most_one_side_beside_departed(const DowningStrategy& strategy, std::size_t parts,
                                             std::size_t n_max, const RoleChoices& roles,
                                             bool both_ages = false) {
    Tally tally;
    for (std::size_t n = parts + 1; n <= std::min(n_max, nodes_max); ++n)
        for_each_cluster(n, roles, both_ages, [&](const Cluster& cluster) {
            for (Mask gone = 1; gone < 1U << n; ++gone) {
                bool all_leave = true;
                for (std::size_t i = 0; i < n; ++i)
                    all_leave =
                        all_leave && ((gone >> i & 1U) == 0 || cluster.view.statuses[i] == S::Leaving);
                if (all_leave) cut_beside_departed(strategy, cluster, gone, parts, tally);
            }
        });
    EXPECT_EQ(tally.both_stay, 0U) << strategy.describe() << " of " << tally.cuts
                                   << " cuts; first: " << tally.first;
    if (nodes_max < 4) return; // too few are left to be cut
    EXPECT_GT(tally.cuts, 0U);
    if (parts == 2) {
        EXPECT_GT(tally.one_stays, 0U);
    }
}

/// With a quorum of more than half of all that may ever count, whatever a leader did. With a smaller one the
/// guard against too many members still covers every single change.
void expect_static_quorum_safe(std::size_t parts, std::size_t n_max, const RoleChoices& roles,
                               const RoleWeights& by_weight, const std::string& role) {
    Tally right;
    Tally small;
    for (std::size_t n = std::max<std::size_t>(2, parts); n <= std::min(n_max, nodes_max); ++n) {
        const auto cuts = partitions(n, parts);
        for_each_cluster(n, roles, false, [&](const Cluster& cluster) {
            std::uint64_t total = 0;
            for (std::size_t i = 0; i < n; ++i) {
                const Member& member = member_of(cluster, cluster.view, i);
                if (role.empty() || member.has_role(role)) total += by_weight.weight_of(member);
            }
            cut(StaticQuorumStrategy(total / 2 + 1, role, by_weight), cluster, cuts, false, right);
            if (total > 1)
                cut(StaticQuorumStrategy(total / 2, role, by_weight), cluster, cuts, false, small, false);
        });
    }
    EXPECT_EQ(right.both_stay, 0U) << right.first;
    EXPECT_EQ(small.both_stay, 0U) << small.first;
    if (parts == 2) {
        EXPECT_GT(right.one_stays, 0U);
    }
}

TEST(TwoWaySplit, KeepMajorityLeavesAtMostOneSide) {
    expect_at_most_one_side(KeepMajorityStrategy(), 2, 5, no_roles);
}
TEST(TwoWaySplit, KeepMajorityWithARoleLeavesAtMostOneSide) {
    expect_at_most_one_side(KeepMajorityStrategy("r"), 2, 5, role_or_not);
}
TEST(TwoWaySplit, KeepOldestLeavesAtMostOneSide) {
    expect_at_most_one_side(KeepOldestStrategy(true), 2, 5, no_roles, true);
    expect_at_most_one_side(KeepOldestStrategy(false), 2, 5, no_roles, true);
}
TEST(TwoWaySplit, KeepOldestWithARoleLeavesAtMostOneSide) {
    expect_at_most_one_side(KeepOldestStrategy(true, "r"), 2, 5, role_or_not, true);
    expect_at_most_one_side(KeepOldestStrategy(false, "r"), 2, 5, role_or_not, true);
}
TEST(TwoWaySplit, StaticQuorumLeavesAtMostOneSide) {
    expect_static_quorum_safe(2, 5, no_roles, {}, "");
    expect_static_quorum_safe(2, 5, role_or_not, {}, "r");
}
TEST(TwoWaySplit, KeepRefereeLeavesAtMostOneSide) {
    for (const std::size_t referee : {0U, 1U})
        for (const std::size_t at_least : {1U, 2U})
            expect_at_most_one_side(KeepReferee(node(referee).address(), at_least), 2, 5, no_roles);
}
TEST(TwoWaySplit, DownAllLeavesNobody) { expect_at_most_one_side(DownAllStrategy(), 2, 4, no_roles); }
TEST(TwoWaySplit, LeaseMajorityLeavesOnlyTheOwnerOfTheLease) {
    expect_at_most_one_side(LeaseMajorityStrategy(), 2, 5, no_roles, false, true);
}
TEST(TwoWaySplit, WeightsLeaveAtMostOneSide) {
    expect_at_most_one_side(KeepMajorityStrategy("", weights), 2, 4, weights_0_1_3);
    expect_at_most_one_side(RoleWeightedQuorum(weights), 2, 4, weights_0_1_3);
    expect_static_quorum_safe(2, 4, weights_0_1_3, weights, "");
}

TEST(SplitBesideDeparted, LeavesAtMostOneSideWhoeverKnowsOfThem) {
    expect_at_most_one_side_beside_departed(KeepMajorityStrategy(), 2, 5, no_roles);
    expect_at_most_one_side_beside_departed(KeepMajorityStrategy("r"), 2, 4, role_or_not);
    expect_at_most_one_side_beside_departed(KeepMajorityStrategy("", weights), 2, 4, weights_0_1_3);
    expect_at_most_one_side_beside_departed(KeepOldestStrategy(true), 2, 5, no_roles, true);
    expect_at_most_one_side_beside_departed(KeepOldestStrategy(false), 2, 5, no_roles, true);
    expect_at_most_one_side_beside_departed(StaticQuorumStrategy(3), 2, 5, no_roles);
    expect_at_most_one_side_beside_departed(KeepReferee(node(0).address()), 2, 4, no_roles);
}
TEST(SplitBesideDeparted, InThreePartsLeavesAtMostOneSide) {
    expect_at_most_one_side_beside_departed(KeepMajorityStrategy(), 3, 5, no_roles);
    expect_at_most_one_side_beside_departed(KeepMajorityStrategy("", weights), 3, 4, weights_0_1_3);
    expect_at_most_one_side_beside_departed(KeepOldestStrategy(false), 3, 5, no_roles, true);
}

TEST(ThreeWaySplit, EveryStrategyLeavesAtMostOneSide) {
    expect_at_most_one_side(KeepMajorityStrategy(), 3, 4, no_roles);
    expect_at_most_one_side(KeepOldestStrategy(false), 3, 4, no_roles, true);
    Tally tally; // the lonely oldest of three parts ends itself and nobody takes over: rarely anybody stays
    for (std::size_t n = 3; n <= std::min<std::size_t>(4, nodes_max); ++n)
        for_each_cluster(n, no_roles, true, [&](const Cluster& c) {
            cut(KeepOldestStrategy(true), c, partitions(n, 3), false, tally);
        });
    EXPECT_EQ(tally.both_stay, 0U) << tally.first;
    expect_static_quorum_safe(3, 4, no_roles, {}, "");
    expect_at_most_one_side(KeepReferee(node(0).address()), 3, 4, no_roles);
    expect_at_most_one_side(DownAllStrategy(), 3, 4, no_roles);
    expect_at_most_one_side(LeaseMajorityStrategy(), 3, 4, no_roles, false, true);
    expect_static_quorum_safe(3, 4, weights_0_1_3, weights, "");
}

TEST(ThreeWaySplit, MajorityByRoleAndWeightLeavesAtMostOneSide) {
    expect_at_most_one_side(KeepMajorityStrategy("r"), 3, 4, role_or_not);
    expect_at_most_one_side(KeepMajorityStrategy("", weights), 3, 4, weights_0_1_3);
}

/// The same verdict, whichever way it is said that only one role counts.
TEST(Weights, OneForARoleAndNoneForOthersEqualTheRoleFilter) {
    const RoleWeights only_r{{{"r", 1}}, 0};
    const KeepMajorityStrategy by_role("r");
    const KeepMajorityStrategy by_weight("", only_r);
    std::uint64_t compared = 0;
    const auto compare = [&](const DowningStrategy& a, const DowningStrategy& b, const SbrModel& model) {
        const DowningVerdict x = a.decide(model);
        const DowningVerdict y = b.decide(model);
        ASSERT_EQ(to_string(x.decision), to_string(y.decision));
        ASSERT_EQ(x.counted_reachable, y.counted_reachable);
        ASSERT_EQ(x.counted_unreachable, y.counted_unreachable);
        ASSERT_EQ(x.weight_reachable, y.weight_reachable);
        ASSERT_EQ(x.weight_unreachable, y.weight_unreachable);
        ASSERT_EQ(x.deciding_node, y.deciding_node);
        ASSERT_EQ(a.warning(model).empty(), b.warning(model).empty());
        ++compared;
    };
    for (std::size_t n = 2; n <= std::min<std::size_t>(4, nodes_max); ++n)
        for_each_cluster(n, role_or_not, false, [&](const Cluster& cluster) {
            for (Mask here = 1; here < (1U << n) - 1; ++here) {
                const SbrModel model = model_of(cluster, cluster.view, here);
                compare(by_role, by_weight, model);
                for (std::uint64_t q = 1; q <= n; ++q)
                    compare(StaticQuorumStrategy(q, "r"), StaticQuorumStrategy(q, "", only_r), model);
            }
        });
    EXPECT_GT(compared, 1000U);
}

} // namespace
