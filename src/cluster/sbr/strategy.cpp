// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/sbr/strategy.hpp>

#include "base/mutants.hpp"
#include <algorithm>
#include <muster/cluster/sbr/model.hpp>
#include <muster/ensure.hpp>

namespace muster {

namespace {

using Decision = DowningDecision;

/// The members that a strategy counts, and their weights.
struct Electorate {
    std::string_view role; // empty: all
    const RoleWeights& weights;

    bool has(const Member& member) const noexcept {
        return (role.empty() || member.has_role(role)) && weights.weight_of(member) > 0;
    }
    std::vector<Member> of(std::vector<Member> members) const {
        std::erase_if(members, [this](const Member& m) { return !has(m); });
        return members;
    }
    std::uint64_t weight(std::span<const Member> members) const noexcept {
        std::uint64_t sum = 0;
        for (const Member& member : members) sum += weights.weight_of(member);
        return sum;
    }
};

const RoleWeights& everybody_once() {
    static const RoleWeights weights;
    return weights;
}

std::vector<UniqueAddress> nodes_of(std::span<const Member> members) {
    std::vector<UniqueAddress> nodes;
    nodes.reserve(members.size());
    for (const Member& member : members) nodes.push_back(member.unique_address());
    return nodes;
}

/// Both sides of a split as one way of counting sees them.
struct Sides {
    std::vector<Member> here;
    std::vector<Member> there;
    std::uint64_t weight_here = 0;
    std::uint64_t weight_there = 0;
};

Sides sides_of(const SbrModel& model, const Electorate& electorate, SbrCounting counting_here = {},
               SbrCounting counting_there = {}) {
    Sides sides{electorate.of(model.reachable_members(counting_here)),
                electorate.of(model.unreachable_members(counting_there)), 0, 0};
    sides.weight_here = electorate.weight(sides.here);
    sides.weight_there = electorate.weight(sides.there);
    return sides;
}

DowningVerdict verdict(Decision decision, std::string_view rule, const Sides& sides) {
    return {.decision = decision,
            .rule = rule,
            .counted_reachable = nodes_of(sides.here),
            .counted_unreachable = nodes_of(sides.there),
            .weight_reachable = sides.weight_here,
            .weight_unreachable = sides.weight_there};
}

DowningVerdict verdict(Decision decision, std::string_view rule, const Sides& sides, const Member& deciding) {
    DowningVerdict v = verdict(decision, rule, sides);
    v.deciding_node = deciding.unique_address();
    return v;
}

constexpr std::string_view rule_indirect =
    "nodes call each other unreachable while information still flows between them: they go";
constexpr std::string_view rule_nobody_counts =
    "no member counts (role, weights): nobody can decide, so nobody stays";

std::string with_settings(std::string_view name, std::vector<std::string> settings) {
    std::string text(name);
    if (settings.empty()) return text;
    text += '(';
    for (std::size_t i = 0; i < settings.size(); ++i) text += (i == 0 ? "" : ", ") + settings[i];
    return text + ')';
}

void describe_electorate(std::vector<std::string>& settings, const std::string& role,
                         const RoleWeights& weights) {
    if (!role.empty()) settings.push_back("role=" + role);
    if (!weights.is_default()) settings.push_back("weights=" + weights.canonical());
}

// --- majority

Decision majority(std::uint64_t here, std::uint64_t there, bool lowest_is_there) noexcept {
    if (here == there)
        return lowest_is_there && !MUSTER_MUTANT(tie_won_by_both) ? Decision::DownReachable
                                                                  : Decision::DownUnreachable;
    return here > there ? Decision::DownUnreachable : Decision::DownReachable;
}

/// The member whose address breaks a tie when the other side may have made status changes that are unknown
/// here (protocol.md §15.3).
Member pessimistic_lowest(const SbrModel& model, const Electorate& electorate, std::vector<Member> certain) {
    // Only a leader moves joining members up. If the first possible leader is on the other side, it may have
    // given that side a lower address than any counted here.
    const std::vector<Member> leaders = model.members();
    if (model.is_unreachable(leaders.front().unique_address())) {
        for (const Member& member : electorate.of(model.joining()))
            if (model.is_unreachable(member.unique_address())) certain.push_back(member);
    }
    return *std::min_element(certain.begin(), certain.end());
}

/// Whether this side would still win if it were as small and the other as big as they may be by now.
DowningVerdict confirm_majority(const SbrModel& model, const Electorate& electorate, DowningVerdict won) {
    const Sides sides = sides_of(model, electorate, {.not_possibly_exiting = true}, {.possibly_up = true});
    const std::vector<Member> certain = electorate.of(model.members({.not_possibly_exiting = true}));
    if (certain.empty())
        return verdict(Decision::DownAll,
                       "majority here, but all that count are leaving: the other side may stay too", sides);
    const Member lowest = pessimistic_lowest(model, electorate, certain);
    if (majority(sides.weight_here, sides.weight_there, model.is_unreachable(lowest.unique_address())) ==
        Decision::DownUnreachable)
        return won;
    return verdict(
        Decision::DownAll,
        "majority here, but with joining and leaving members the other side may count itself one too", sides,
        lowest);
}

DowningVerdict decide_majority(const SbrModel& model, const Electorate& electorate) {
    const Sides sides = sides_of(model, electorate);
    if (model.has_indirectly_connected())
        return verdict(Decision::DownIndirectlyConnected, rule_indirect, sides);
    const std::vector<Member> counted = electorate.of(model.members());
    if (counted.empty()) return verdict(Decision::DownAll, rule_nobody_counts, sides);
    const Member& lowest = counted.front();
    const bool lowest_is_there = model.is_unreachable(lowest.unique_address());
    const bool tie = sides.weight_here == sides.weight_there;
    if (majority(sides.weight_here, sides.weight_there, lowest_is_there) == Decision::DownReachable)
        return tie ? verdict(Decision::DownReachable, "equal sides, and the lowest address is on the other",
                             sides, lowest)
                   : verdict(Decision::DownReachable, "the majority is on the other side", sides);
    return confirm_majority(model, electorate,
                            tie ? verdict(Decision::DownUnreachable,
                                          "equal sides, and the lowest address is on this one", sides, lowest)
                                : verdict(Decision::DownUnreachable, "the majority is on this side", sides));
}

// --- quorum

/// Above this, two sides could both have the quorum.
bool too_many(std::uint64_t total, std::uint64_t quorum_size) noexcept { return total / 2 >= quorum_size; }

DowningVerdict decide_quorum(const SbrModel& model, const Electorate& electorate, std::uint64_t quorum_size) {
    const Sides sides = sides_of(model, electorate);
    if (too_many(sides.weight_here + sides.weight_there, quorum_size))
        return verdict(Decision::DownAll,
                       "more than 2 * quorum-size - 1 count: two sides could have the quorum, so "
                       "nobody stays",
                       sides);
    if (model.has_indirectly_connected())
        return verdict(Decision::DownIndirectlyConnected, rule_indirect, sides);
    return sides.weight_here >= quorum_size
               ? verdict(Decision::DownUnreachable, "this side has the quorum", sides)
               : verdict(Decision::DownReachable, "this side lacks the quorum", sides);
}

std::string quorum_warning(const SbrModel& model, const Electorate& electorate, std::uint64_t quorum_size) {
    const std::uint64_t total = electorate.weight(electorate.of(model.members()));
    if (!too_many(total, quorum_size)) return {};
    return std::to_string(total) +
           " count, more than 2 * quorum-size - 1 = " + std::to_string(2 * quorum_size - 1) +
           ": any split would end the whole cluster; raise quorum-size (" + std::to_string(quorum_size) +
           "), or let members leave before new ones join";
}

// --- oldest

Decision oldest_rule(bool oldest_is_here, std::size_t here, std::size_t there, bool down_if_alone) noexcept {
    // Two nodes: the oldest stays although alone, since the other is alone, too.
    if (oldest_is_here)
        return down_if_alone && here == 1 && there >= 2 ? Decision::DownReachable : Decision::DownUnreachable;
    return down_if_alone && there == 1 && here >= 2 ? Decision::DownUnreachable : Decision::DownReachable;
}

const Member& oldest_of(const std::vector<Member>& members) { return *oldest(std::span(members)); }

DowningVerdict confirm_oldest(const SbrModel& model, const Electorate& electorate, bool down_if_alone,
                              DowningVerdict won) {
    const SbrCounting counting{.possibly_up = down_if_alone, .not_possibly_exiting = true};
    const Sides sides = sides_of(model, electorate, counting, counting);
    const std::vector<Member> certain = electorate.of(model.members({.not_possibly_exiting = true}));
    if (certain.empty())
        return verdict(Decision::DownAll,
                       "the oldest is here, but all that count are leaving: the other side may "
                       "stay too",
                       sides);
    const Member& eldest = oldest_of(certain);
    const bool here = !model.is_unreachable(eldest.unique_address());
    if (oldest_rule(here, sides.here.size(), sides.there.size(), down_if_alone) == Decision::DownUnreachable)
        return won;
    return verdict(Decision::DownAll,
                   "this side would stay, but with joining and leaving members the other may think so too",
                   sides, eldest);
}

} // namespace

// --- weights and names

std::uint64_t RoleWeights::weight_of(const Member& member) const noexcept {
    if (by_role.empty()) return others;
    std::optional<std::uint64_t> highest;
    for (const std::string& role : member.roles()) {
        const auto found = by_role.find(role);
        if (found != by_role.end()) highest = std::max<std::uint64_t>(highest.value_or(0), found->second);
    }
    return highest.value_or(others);
}

std::string RoleWeights::canonical() const {
    std::string text;
    for (const auto& [role, weight] : by_role) text += role + '=' + std::to_string(weight) + ',';
    return text + "*=" + std::to_string(others);
}

// --- the strategies

std::string KeepMajorityStrategy::describe() const {
    std::vector<std::string> settings;
    describe_electorate(settings, role_, weights_);
    return with_settings(name(), std::move(settings));
}
DowningVerdict KeepMajorityStrategy::decide(const SbrModel& model) const {
    return decide_majority(model, {role_, weights_});
}

StaticQuorumStrategy::StaticQuorumStrategy(std::uint64_t quorum_size, std::string role, RoleWeights weights)
    : quorum_size_(quorum_size), role_(std::move(role)), weights_(std::move(weights)) {
    MUSTER_ENSURE(quorum_size_ >= 1, "static-quorum.quorum-size must be >= 1");
}
std::string StaticQuorumStrategy::describe() const {
    std::vector<std::string> settings{"quorum-size=" + std::to_string(quorum_size_)};
    describe_electorate(settings, role_, weights_);
    return with_settings(name(), std::move(settings));
}
DowningVerdict StaticQuorumStrategy::decide(const SbrModel& model) const {
    return decide_quorum(model, {role_, weights_}, quorum_size_);
}
std::string StaticQuorumStrategy::warning(const SbrModel& model) const {
    return quorum_warning(model, {role_, weights_}, quorum_size_);
}

std::string KeepOldestStrategy::describe() const {
    std::vector<std::string> settings{down_if_alone_ ? "down-if-alone=on" : "down-if-alone=off"};
    if (!role_.empty()) settings.push_back("role=" + role_);
    return with_settings(name(), std::move(settings));
}
DowningVerdict KeepOldestStrategy::decide(const SbrModel& model) const {
    const Electorate electorate{role_, everybody_once()};
    const Sides sides = sides_of(model, electorate);
    if (model.has_indirectly_connected())
        return verdict(Decision::DownIndirectlyConnected, rule_indirect, sides);
    const std::vector<Member> counted = electorate.of(model.members());
    if (counted.empty()) return verdict(Decision::DownAll, rule_nobody_counts, sides);
    const Member& eldest = oldest_of(counted);
    const bool here = !model.is_unreachable(eldest.unique_address());
    if (oldest_rule(here, sides.here.size(), sides.there.size(), down_if_alone_) == Decision::DownReachable)
        return verdict(Decision::DownReachable,
                       here ? "the oldest is here but alone, so the others stay"
                            : "the oldest is on the other side",
                       sides, eldest);
    return confirm_oldest(model, electorate, down_if_alone_,
                          verdict(Decision::DownUnreachable,
                                  here ? "the oldest is on this side"
                                       : "the oldest is on the other side but alone, so this side stays",
                                  sides, eldest));
}

std::string KeepReferee::describe() const {
    std::vector<std::string> settings{"referee=" + referee_.to_string()};
    if (down_all_if_less_than_nodes_ > 1)
        settings.push_back("down-all-if-less-than-nodes=" + std::to_string(down_all_if_less_than_nodes_));
    return with_settings(name(), std::move(settings));
}
DowningVerdict KeepReferee::decide(const SbrModel& model) const {
    const Sides sides = sides_of(model, {{}, everybody_once()});
    if (model.has_indirectly_connected())
        return verdict(Decision::DownIndirectlyConnected, rule_indirect, sides);
    const auto referee = std::find_if(sides.here.begin(), sides.here.end(),
                                      [this](const Member& m) { return m.address() == referee_; });
    if (referee == sides.here.end())
        return verdict(Decision::DownReachable, "the referee is not on this side", sides);
    if (sides.here.size() < down_all_if_less_than_nodes_)
        return verdict(Decision::DownAll,
                       "the referee is here, but fewer nodes than down-all-if-less-than-nodes", sides,
                       *referee);
    return verdict(Decision::DownUnreachable, "the referee is on this side", sides, *referee);
}
std::string KeepReferee::warning(const SbrModel& model) const {
    const auto all = model.all_members();
    const bool known =
        std::any_of(all.begin(), all.end(), [this](const Member& m) { return m.address() == referee_; });
    if (known) return {};
    return "the referee " + referee_.to_string() + " is not a member: any split or crash ends every node";
}

DowningVerdict DownAllStrategy::decide(const SbrModel& model) const {
    return verdict(Decision::DownAll, "down-all: any unreachable node ends everybody",
                   sides_of(model, {{}, everybody_once()}));
}

std::string LeaseMajorityStrategy::describe() const {
    std::vector<std::string> settings{"acquire-lease-delay-for-minority=" + std::to_string(delay_.count()) +
                                      "ms"};
    if (!role_.empty()) settings.push_back("role=" + role_);
    return with_settings(name(), std::move(settings));
}
DowningVerdict LeaseMajorityStrategy::decide(const SbrModel& model) const {
    const Electorate electorate{role_, everybody_once()};
    const Sides sides = sides_of(model, electorate);
    if (model.has_indirectly_connected())
        return verdict(Decision::AcquireLeaseAndDownIndirectlyConnected, rule_indirect, sides);
    const std::vector<Member> counted = electorate.of(model.members());
    const bool tie = sides.here.size() == sides.there.size();
    const bool minority = !counted.empty() && (tie ? model.is_unreachable(counted.front().unique_address())
                                                   : sides.there.size() > sides.here.size());
    DowningVerdict v = verdict(Decision::AcquireLeaseAndDownUnreachable,
                               minority ? "the minority is here: it asks for the lease after a delay"
                                        : "whoever gets the lease stays",
                               sides);
    if (minority) v.acquire_delay = delay_;
    if (tie && !counted.empty()) v.deciding_node = counted.front().unique_address();
    return v;
}

RoleWeightedQuorum::RoleWeightedQuorum(RoleWeights weights, std::optional<std::uint64_t> quorum_size) {
    if (quorum_size)
        inner_ =
            std::make_shared<const StaticQuorumStrategy>(*quorum_size, std::string(), std::move(weights));
    else
        inner_ = std::make_shared<const KeepMajorityStrategy>(std::string(), std::move(weights));
}
std::string RoleWeightedQuorum::describe() const { return "role-weighted-quorum: " + inner_->describe(); }

} // namespace muster
