// SPDX-License-Identifier: Apache-2.0
#include "leaving.hpp"

#include "base/mutants.hpp"
#include "emit.hpp"
#include <algorithm>
#include <muster/cluster/core/gossip_targets.hpp>
#include <muster/ensure.hpp>
#include <string>
#include <utility>

namespace muster {
namespace {

/// Checks of §11.2 that may fail before a Down node stops anyway.
constexpr unsigned self_down_checks_max = 4;
constexpr Duration farewell_interval = std::chrono::milliseconds{200};
/// Older peers answer no farewell: two seconds, then the node stops all the same.
constexpr unsigned farewells_max = 10;
constexpr StatusSet leaves = status_set(MemberStatus::Leaving, MemberStatus::Exiting);

} // namespace

bool Leaving::is_anybody_unreachable() const {
    return !core_.membership()->dc_reach_no_outside().is_all_reachable();
}

Leaving::Hold Leaving::hold(const Address& node) {
    if (!core_.settings().patient_leave || node != core_.self().address() || !core_.is_member(core_.self()) ||
        !is_anybody_unreachable())
        return Hold::No;
    // A Leaving member counts as gone on one side of a split and as there on the other: it would take the
    // others along.
    switch (core_.self_status()) {
    case MemberStatus::Leaving:
    case MemberStatus::Exiting:
    case MemberStatus::Down: return Hold::No;
    default: break;
    }
    return std::exchange(held_, true) ? Hold::GoesOn : Hold::Begins;
}

bool Leaving::give_up() noexcept {
    held_ = false;
    const MemberStatus status = core_.self_status();
    if (!core_.is_initialized() || !core_.is_member(core_.self()) || status == MemberStatus::Exiting ||
        status == MemberStatus::Down)
        return false;
    // The others must not take it for a member that died: they would count it on the other side of a split.
    given_up_ = true;
    return true;
}

// --- farewells

std::vector<UniqueAddress> Leaving::confirmation_targets() const {
    std::vector<Member> others;
    for (const Member& m : core_.gossip().members())
        if (m.unique_address() != core_.self()) others.push_back(m);
    std::vector<UniqueAddress> targets;
    while (targets.size() < 2) {
        const auto leader = core_.membership()->leader_of(others);
        if (!leader) break;
        targets.push_back(*leader);
        std::erase_if(others, [&](const Member& m) { return m.unique_address() == *leader; });
    }
    return targets;
}

bool Leaving::begin_farewell(Farewell what, Effects& out) {
    farewell_ = what;
    farewells_sent_ = 0;
    return say_farewell(out);
}

bool Leaving::say_farewell(Effects& out) {
    std::size_t told = 0;
    if (farewell_ == Farewell::ExitingConfirmed) {
        for (const UniqueAddress& to : confirmation_targets()) {
            if (!sender_.is_valid_target(to)) continue;
            send(out, to, ExitingConfirmed{core_.self(), to});
            ++told;
        }
    } else {
        told = sender_.burst(out);
    }
    if (told == 0) {
        end_farewell("nobody is left who could answer", out);
        return true;
    }
    ++farewells_sent_;
    set_timer(out, CoreTimer::Farewell, 0, farewell_interval);
    return false;
}

bool Leaving::on_timer(Effects& out) {
    if (farewell_ == Farewell::None) return false;
    if (farewells_sent_ < farewells_max) return say_farewell(out);
    end_farewell("nobody answered", out);
    return true;
}

void Leaving::end_farewell(std::string_view why, Effects& out) {
    farewell_ = Farewell::None;
    log(out, LogLevel::Info, "cluster.leave.farewell", {}, {{"end", std::string(why)}});
}

void Leaving::answer_farewell(const UniqueAddress& to, Effects& out) const {
    if (core_.settings().patient_leave && to != core_.self())
        send(out, to, SeenAck{core_.self(), to, farewell_answer});
}

// --- Down

bool Leaving::is_down_known() {
    if (core_.is_stopped() || core_.self_status() != MemberStatus::Down ||
        MUSTER_MUTANT(self_downing_skipped))
        return false;
    if (given_up_) return false; // the farewell ends it
    const Reachability reachability = core_.membership()->dc_reach();
    const bool all_know = std::ranges::all_of(own_dc_members(*core_.membership()), [&](const Member& m) {
        return m.status() != MemberStatus::Down || core_.gossip().seen_by(m.unique_address()) ||
               !reachability.is_reachable(m.unique_address());
    });
    if (!all_know && self_down_checks_failed_ < self_down_checks_max) {
        // Others that were downed with us still have to learn it.
        ++self_down_checks_failed_;
        return false;
    }
    return true;
}

// --- the departed

bool Leaving::is_departed(const UniqueAddress& node, const PeerLink& link) const noexcept {
    if (!core_.settings().patient_leave || !link.stopping || link.open != 0) return false;
    const Member* m = core_.gossip().find(node);
    return m != nullptr && leaves.contains(m->status());
}

std::vector<UniqueAddress> Leaving::departed() const {
    std::vector<UniqueAddress> nodes;
    for (const auto& [node, link] : links_.all())
        if (is_departed(node, link)) nodes.push_back(node);
    return nodes;
}

void Leaving::stop() noexcept {
    held_ = false;
    farewell_ = Farewell::None;
}

void Leaving::check() const {
    MUSTER_ENSURE(!held_ || core_.is_initialized(), "only a member's leave is held");
    MUSTER_ENSURE(farewell_ == Farewell::None || farewells_sent_ > 0, "a farewell that is awaited was said");
    MUSTER_ENSURE(farewells_sent_ <= farewells_max, "a farewell is repeated a few times");
    MUSTER_ENSURE(farewell_ != Farewell::OwnDown || given_up_, "only who gives up tells of its own Down");
}

} // namespace muster
