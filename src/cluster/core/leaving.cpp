// SPDX-License-Identifier: Apache-2.0
// A leave that loses nobody (protocol.md §11.1): who leaves stays a full member until it may go, and who
// cannot go says so.
#include "core_impl.hpp"
#include <algorithm>

namespace muster {
namespace {

constexpr Duration farewell_interval = std::chrono::milliseconds{200};
/// Older peers answer no farewell: two seconds, then the node stops all the same.
constexpr unsigned farewells_max = 10;
constexpr StatusSet leaves = status_set(MemberStatus::Leaving, MemberStatus::Exiting);

} // namespace

bool ClusterCore::Impl::is_anybody_unreachable() const {
    return !state->dc_reach_no_outside().is_all_reachable();
}

bool ClusterCore::Impl::hold_leave(const Address& node, Effects& out) {
    if (!settings.patient_leave || node != self.address() || !is_member(self) || !is_anybody_unreachable())
        return false;
    // A Leaving member counts as gone on one side of a split and as there on the other: it would take the
    // others along.
    switch (self_status()) {
    case MemberStatus::Leaving:
    case MemberStatus::Exiting:
    case MemberStatus::Down: return false;
    default: break;
    }
    if (std::exchange(leaving.held, true)) return true;
    count(out, "cluster.leave.held");
    log(out, LogLevel::Warning, "cluster.leave.held", self.to_string(), {{"why", report().to_string()}});
    return true;
}

void ClusterCore::Impl::leave_now(const Now& now, Effects& out) {
    leaving.held = false;
    if (is_initialized()) change_to_leaving(self.address(), now, out);
}

void ClusterCore::Impl::give_up_leaving(const Now& now, Effects& out) {
    leaving.held = false;
    const MemberStatus status = self_status();
    if (!is_initialized() || !is_member(self) || status == MemberStatus::Exiting ||
        status == MemberStatus::Down)
        return;
    // The others must not take it for a member that died: they would count it on the other side of a split.
    leaving.given_up = true;
    log(out, LogLevel::Error, "cluster.leave.given_up", self.to_string(), {{"why", report().to_string()}});
    down(gossip().find_all(self.address()), now, out);
    begin_farewell(Farewell::OwnDown, out);
}

// --- farewells

std::vector<UniqueAddress> ClusterCore::Impl::confirmation_targets() const {
    std::vector<Member> others;
    for (const Member& m : gossip().members())
        if (m.unique_address() != self) others.push_back(m);
    std::vector<UniqueAddress> targets;
    while (targets.size() < 2) {
        const auto leader = state->leader_of(others);
        if (!leader) break;
        targets.push_back(*leader);
        std::erase_if(others, [&](const Member& m) { return m.unique_address() == *leader; });
    }
    return targets;
}

void ClusterCore::Impl::begin_farewell(Farewell what, Effects& out) {
    leaving.farewell = what;
    leaving.farewells_sent = 0;
    say_farewell(out);
}

void ClusterCore::Impl::say_farewell(Effects& out) {
    std::size_t told = 0;
    if (leaving.farewell == Farewell::ExitingConfirmed) {
        for (const UniqueAddress& to : confirmation_targets()) {
            if (!sender.is_valid_target(to)) continue;
            out.emplace_back(effect::Send{Destination(to), ExitingConfirmed{self, to}});
            ++told;
        }
    } else {
        for (const UniqueAddress& to : random_full_targets(*state, burst_size, random)) {
            sender.send_gossip(to, out);
            ++told;
        }
    }
    if (told == 0) return end_farewell("nobody is left who could answer", out);
    ++leaving.farewells_sent;
    set_timer(out, CoreTimer::Farewell, 0, farewell_interval);
}

void ClusterCore::Impl::on_farewell_timer(Effects& out) {
    if (leaving.farewell == Farewell::None) return;
    if (leaving.farewells_sent >= farewells_max) return end_farewell("nobody answered", out);
    say_farewell(out);
}

void ClusterCore::Impl::end_farewell(std::string_view why, Effects& out) {
    leaving.farewell = Farewell::None;
    log(out, LogLevel::Info, "cluster.leave.farewell", {}, {{"end", std::string(why)}});
    stop(std::nullopt, out);
}

void ClusterCore::Impl::answer_farewell(const UniqueAddress& to, Effects& out) const {
    if (settings.patient_leave && to != self)
        out.emplace_back(effect::Send{Destination(to), SeenAck{self, to, farewell_answer}});
}

// --- the departed

bool ClusterCore::Impl::is_departed(const UniqueAddress& node, const PeerLink& link) const noexcept {
    if (!settings.patient_leave || !link.stopping || link.open != 0) return false;
    const Member* m = gossip().find(node);
    return m != nullptr && leaves.contains(m->status());
}

std::vector<UniqueAddress> ClusterCore::Impl::departed() const {
    std::vector<UniqueAddress> nodes;
    for (const auto& [node, link] : links.all())
        if (is_departed(node, link)) nodes.push_back(node);
    return nodes;
}

std::vector<UniqueAddress> ClusterCore::Impl::excused() const {
    std::vector<UniqueAddress> all;
    const std::vector<UniqueAddress> gone = departed();
    std::ranges::set_union(exiting_confirmed, gone, std::back_inserter(all));
    return all;
}

} // namespace muster
