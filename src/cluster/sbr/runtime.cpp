// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/sbr/runtime.hpp>

#include "base/mutants.hpp"
#include <algorithm>
#include <muster/ensure.hpp>
#include <utility>

namespace muster {

namespace {

std::shared_ptr<const DowningStrategy> strategy_of(const SbrSettings& settings) {
    auto strategy = settings.make_strategy();
    MUSTER_ENSURE(strategy.has_value(),
                  "SbrSettings::validate reports bad settings before a runtime is made");
    return *std::move(strategy);
}

std::int64_t ms(Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

effect::Log log(LogLevel level, std::string_view code, std::string peer, LogFields fields) {
    return {level, code, std::move(peer), std::move(fields)};
}

SbrAction action_of(DowningDecision decision, std::vector<UniqueAddress> nodes, const UniqueAddress& self) {
    if (nodes.empty()) return sbr_action::None{};
    switch (decision) {
    case DowningDecision::DownAll: return sbr_action::DownAll{std::move(nodes)};
    case DowningDecision::DownReachable:
    case DowningDecision::ReverseDownIndirectlyConnected:
    case DowningDecision::DownSelfQuarantinedByRemote: return sbr_action::DownSelf{std::move(nodes)};
    default: break;
    }
    // The indirectly connected may include this node, which then reports its own end.
    if (std::find(nodes.begin(), nodes.end(), self) != nodes.end())
        return sbr_action::DownSelf{std::move(nodes)};
    return sbr_action::DownUnreachable{std::move(nodes)};
}

} // namespace

SbrRuntime::SbrRuntime(UniqueAddress self, std::string self_data_center, SbrSettings settings)
    : SbrRuntime(std::move(self), std::move(self_data_center), strategy_of(settings), settings) {}

SbrRuntime::SbrRuntime(UniqueAddress self, std::string self_data_center,
                       std::shared_ptr<const DowningStrategy> strategy, SbrSettings settings)
    : self_(std::move(self)), settings_(std::move(settings)), strategy_(std::move(strategy)),
      model_(self_, std::move(self_data_center)) {
    MUSTER_ENSURE(strategy_ != nullptr, "a resolver needs a strategy");
}

// --- events

void SbrRuntime::on_event(const ClusterEvent& event, const Now& now, Effects& out) {
    on_events(std::span(&event, 1), now, out);
}

void SbrRuntime::on_events(std::span<const ClusterEvent> events, const Now& now, Effects& out) {
    const std::size_t unreachable_before = model_.unreachable().size();
    std::size_t arrivals_end = 0;
    for (std::size_t i = 0; i < events.size();) {
        const ClusterEvent& event = events[i];
        if (stopped_) return;
        const auto* gone = std::get_if<MemberRemoved>(&event);
        if (std::holds_alternative<ClusterShuttingDown>(event) ||
            (gone != nullptr && gone->member.unique_address() == self_))
            return stop(out);
        if (gone != nullptr && !wait_) {
            i += removed(events.subspan(i), now);
            continue;
        }
        if (wait_) {
            stash(event, now, out);
        } else {
            if (i >= arrivals_end) arrivals_end = i + arrived(events.subspan(i));
            apply(event, now, out);
        }
        ++i;
    }
    // Work on the whole model is done once for all events that were published together.
    reset_changes_if_settled(now);
    report_unreachable(unreachable_before, out);
    warn_of_strategy(out);
    update_quorum();
}

void SbrRuntime::apply(const ClusterEvent& event, const Now& now, Effects& out) {
    track_foreign(event);
    if (const auto* e = std::get_if<MemberJoined>(&event)) return joining(e->member, false, out);
    if (const auto* e = std::get_if<MemberWeaklyUp>(&event)) return joining(e->member, true, out);
    if (const auto* e = std::get_if<MemberUp>(&event)) return up(e->member, now, out);
    if (const auto* e = std::get_if<MemberDowned>(&event)) return unreachable(e->member, now);
    if (const auto* e = std::get_if<UnreachableMember>(&event)) return unreachable(e->member, now);
    if (const auto* e = std::get_if<ReachableMember>(&event)) return reachable(e->member, now);
    if (const auto* e = std::get_if<ReachabilityChanged>(&event))
        return set_reachability(e->reachability, now);
    if (const auto* e = std::get_if<SeenChanged>(&event)) return model_.set_seen_by(e->seen_by);
    if (const auto* e = std::get_if<LeaderChanged>(&event)) return leader_changed(e->to, out);
    if (const auto* e = std::get_if<MemberExited>(&event)) {
        if (!model_.add(e->member)) return;
        restart_stable(now);
        may_have_settled_ = true;
        return;
    }
    if (const auto* e = std::get_if<UnreachableDataCenter>(&event))
        out.push_back(log(LogLevel::Warning, sbr_code::data_center, {},
                          {{"data_center", e->data_center},
                           {"state", "unreachable"},
                           {"advice", "the resolver acts inside its own data center only"}}));
    else if (const auto* back = std::get_if<ReachableDataCenter>(&event))
        out.push_back(log(LogLevel::Info, sbr_code::data_center, {},
                          {{"data_center", back->data_center}, {"state", "reachable"}}));
    else if (const Member* member = member_of(event)) // Leaving and the preparing ones: counted as before
        model_.add(*member);
}

void SbrRuntime::set_departed(std::vector<UniqueAddress> departed) {
    model_.set_departed(std::move(departed));
    may_have_settled_ = true;
}

std::size_t SbrRuntime::arrived(std::span<const ClusterEvent> events) {
    std::vector<Member> members;
    for (const ClusterEvent& event : events) {
        const bool is_arrival = std::holds_alternative<MemberJoined>(event) ||
                                std::holds_alternative<MemberWeaklyUp>(event) ||
                                std::holds_alternative<MemberUp>(event);
        if (!is_arrival) break;
        members.push_back(*member_of(event));
    }
    // apply() handles each event, and finds its member in the model.
    if (members.size() > 1) model_.add_new(members);
    return members.size();
}

void SbrRuntime::set_reachability(const Reachability& reachability, const Now& now) {
    const Reachability before = model_.reachability();
    model_.set_reachability(reachability);
    if (settings_.indirect == SbrSettings::Indirect::Blamed)
        withdrawn_.note(before, model_.reachability(), now.monotonic);
}

void SbrRuntime::joining(const Member& member, bool weakly_up, Effects& out) {
    if (!model_.add(member) || !weakly_up || member.unique_address() != self_ || self_was_up_) return;
    self_was_up_ = true;
    if (is_responsible())
        out.push_back(log(LogLevel::Info, sbr_code::responsible, {}, {{"responsible", "true"}}));
}

void SbrRuntime::up(const Member& member, const Now& now, Effects& out) {
    if (!model_.add(member)) return;
    const bool was = is_responsible();
    if (member.unique_address() == self_) self_was_up_ = true;
    if (is_responsible() && !was)
        out.push_back(log(LogLevel::Info, sbr_code::responsible, {}, {{"responsible", "true"}}));
    restart_stable(now);
    members_came_up_ = true;
}

void SbrRuntime::warn_of_strategy(Effects& out) {
    if (!std::exchange(members_came_up_, false)) return;
    if (std::string warning = strategy_->warning(model_); !warning.empty())
        out.push_back(log(LogLevel::Warning, sbr_code::strategy_warning, {},
                          {{"strategy", strategy_->describe()}, {"warning", std::move(warning)}}));
}

void SbrRuntime::unreachable(const Member& member, const Now& now) {
    if (member.unique_address() == self_ || !model_.add_unreachable(member)) return;
    if (!MUSTER_MUTANT(stable_timer_not_restarted)) restart_stable(now);
    // A member that announced its stop may become unreachable or Down: that is no instability.
    if (!model_.is_departed(member.unique_address())) count_change(now);
    may_have_settled_ = true;
}

void SbrRuntime::reachable(const Member& member, const Now& now) {
    if (member.unique_address() == self_ || !model_.add_reachable(member)) return;
    restart_stable(now);
    count_change(now);
    may_have_settled_ = true;
}

std::size_t SbrRuntime::removed(std::span<const ClusterEvent> events, const Now& now) {
    std::size_t taken = 0;
    std::vector<Member> gone;
    for (; taken < events.size(); ++taken) {
        const auto* removed = std::get_if<MemberRemoved>(&events[taken]);
        if (removed == nullptr || removed->member.unique_address() == self_) break;
        track_foreign(events[taken]);
        gone.push_back(removed->member);
    }
    if (model_.remove(gone) != 0) forget_removed(gone, now);
    return taken;
}

void SbrRuntime::forget_removed(std::span<const Member> gone, const Now& now) {
    may_have_settled_ = true;
    if (!release_ || release_->at) return;
    std::set<UniqueAddress> nodes;
    for (const Member& member : gone) nodes.insert(member.unique_address());
    std::erase_if(release_->downed, [&](const UniqueAddress& node) { return nodes.contains(node); });
    // The lease is kept until the downed members are removed, and a while longer: they may not have noticed
    // yet.
    if (release_->downed.empty()) release_->at = now.monotonic + settings_.release_after;
}

void SbrRuntime::leader_changed(const std::optional<UniqueAddress>& leader, Effects& out) {
    const bool was = is_responsible();
    is_leader_ = leader == self_;
    if (is_responsible() == was) return;
    out.push_back(log(LogLevel::Info, sbr_code::responsible, {},
                      {{"responsible", is_responsible() ? "true" : "false"},
                       {"unreachable", std::to_string(model_.unreachable().size())}}));
}

void SbrRuntime::track_foreign(const ClusterEvent& event) {
    const Member* member = member_of(event);
    if (member == nullptr || member->data_center() == model_.self_data_center()) return;
    if (std::holds_alternative<MemberRemoved>(event))
        foreign_.erase(member->unique_address());
    else
        foreign_.insert(member->unique_address());
}

void SbrRuntime::count_change(const Now& now) {
    if (changes_.count == 0) changes_.first = now.monotonic;
    changes_.latest = now.monotonic;
    ++changes_.count;
}

void SbrRuntime::reset_changes_if_settled(const Now& now) {
    if (!std::exchange(may_have_settled_, false)) return;
    if (changes_.count > 0 && model_.all_unreachable_down_or_exiting()) reset_changes(now);
}

void SbrRuntime::report_unreachable(std::size_t before, Effects& out) {
    const std::size_t after = model_.unreachable().size();
    if (after == before) return;
    LogFields fields{{"unreachable", std::to_string(after)},
                     {"responsible", is_responsible() ? "true" : "false"},
                     {"strategy", strategy_->describe()}};
    if (after == 0) {
        out.push_back(log(LogLevel::Info, sbr_code::healed, {}, std::move(fields)));
        return;
    }
    fields.push_back({"earliest_decision_in_ms", std::to_string(settings_.stable_after.count())});
    out.push_back(log(LogLevel::Info, sbr_code::unreachable, {}, std::move(fields)));
}

// --- quorum observers

void SbrRuntime::add_quorum_observer(std::shared_ptr<QuorumObserver> observer) {
    MUSTER_ENSURE(observer != nullptr, "an observer to tell");
    // Without observers the quorum was not tracked, so the first observer starts from "kept".
    if (observers_.empty()) told_quorum_ = true;
    const bool is_lost = !told_quorum_;
    observers_.push_back(observer);
    if (is_lost) observer->on_quorum_lost();
    update_quorum();
}

void SbrRuntime::remove_quorum_observer(const std::shared_ptr<QuorumObserver>& observer) {
    std::erase(observers_, observer);
}

bool SbrRuntime::has_quorum() const {
    if (model_.unreachable().empty()) return true;
    const DowningVerdict verdict = this->verdict();
    if (verdict.decision == DowningDecision::DownReachable || verdict.decision == DowningDecision::DownAll ||
        verdict.acquire_delay.count() > 0)
        return false;
    const std::vector<UniqueAddress> nodes = nodes_to_down(*strategy_, model_, verdict).nodes;
    return !std::binary_search(nodes.begin(), nodes.end(), self_);
}

void SbrRuntime::update_quorum() {
    // No observers: a verdict on every event would cost O(members).
    if (observers_.empty() || has_quorum() == told_quorum_) return;
    told_quorum_ = !told_quorum_;
    for (const std::shared_ptr<QuorumObserver>& observer : observers_)
        told_quorum_ ? observer->on_quorum_regained() : observer->on_quorum_lost();
}

// --- decisions

SbrAction SbrRuntime::tick(const Now& now, Effects& out) {
    if (stopped_) return sbr_action::None{};
    if (wait_) {
        // Ticks decide nothing while the lease is open; they only give up a backend that never answers.
        if (wait_->step == LeaseWait::Step::Delaying || now.monotonic <= wait_->deadline)
            return sbr_action::None{};
        return lease_not_obtained(lease_overdue(), now, out);
    }
    SbrAction action = check_unstable(now, out);
    const bool due =
        is_responsible() && !model_.unreachable().empty() && now.monotonic - stable_since_ > patience();
    if (due) {
        SbrAction decided = decide(now, out);
        if (!std::holds_alternative<sbr_action::None>(decided)) action = std::move(decided);
    }
    if (!wait_) release_lease_when_due(now, out);
    return action;
}

std::chrono::milliseconds SbrRuntime::patience() const {
    const bool lone = settings_.indirect == SbrSettings::Indirect::Blamed && is_lone_accuser(model_);
    return lone ? 2 * settings_.stable_after : settings_.stable_after;
}

DowningVerdict SbrRuntime::verdict() const {
    return verdict_of(*strategy_, model_, settings_.indirect, withdrawn_.since(changes_.first));
}

/// Instability downs everybody, unless a few members explain every recent change: then those are downed, if
/// they are not Down already.
DowningVerdict SbrRuntime::verdict_when_unstable(const Now& now) const {
    DowningVerdict verdict = strategy_->decide(model_);
    verdict.acquire_delay = {};
    const bool may_single_out =
        settings_.indirect == SbrSettings::Indirect::Blamed && verdict.decision != DowningDecision::DownAll;
    if (may_single_out) {
        std::vector<Suspicion> lately = suspicions_of(model_.reachability());
        const auto withdrawn = withdrawn_.since(now.monotonic - settings_.stable_after);
        lately.insert(lately.end(), withdrawn.begin(), withdrawn.end());
        if (auto few = blamed(model_, lately)) {
            verdict.decision =
                few->empty() ? DowningDecision::Stay : DowningDecision::DownIndirectlyConnected;
            verdict.blamed = *std::move(few);
            verdict.rule = "reachability kept changing, and a few members explain all of it: they go";
            return verdict;
        }
    }
    verdict.decision = DowningDecision::DownAll;
    verdict.rule = "reachability kept changing beyond stable-after and down-all-when-unstable: nobody stays";
    return verdict;
}

SbrAction SbrRuntime::check_unstable(const Now& now, Effects& out) {
    if (changes_.count == 0) return sbr_action::None{};
    const auto limit = settings_.down_all_when_unstable.limit(settings_.stable_after);
    if (!limit) {
        // Keeps old changes out of later records.
        if (now.monotonic - changes_.latest > 2 * settings_.stable_after) reset_changes(now);
        return sbr_action::None{};
    }
    if (settings_.dry_run && now.monotonic - stable_since_ > settings_.stable_after) {
        // By now the leader would have acted, and its Downs would have ended the instability: the remaining
        // unreachable members change no more.
        reset_changes(now);
        return sbr_action::None{};
    }
    if (now.monotonic - changes_.first <= settings_.stable_after + *limit) return sbr_action::None{};
    if (now.monotonic - stable_since_ > settings_.stable_after && needs_lease(this->verdict().decision)) {
        // Nothing changes any more: the leader may be waiting for a grant to expire.
        reset_changes(now);
        return sbr_action::None{};
    }
    DowningVerdict verdict = verdict_when_unstable(now);
    if (verdict.decision == DowningDecision::Stay) return sbr_action::None{}; // other members have ended it
    out.push_back(log(LogLevel::Warning, sbr_code::unstable, {},
                      {{"changes", std::to_string(changes_.count)},
                       {"since_first_change_ms", std::to_string(ms(now.monotonic - changes_.first))},
                       {"limit_ms", std::to_string((settings_.stable_after + *limit).count())}}));
    return act(std::move(verdict), SbrTrigger::Unstable, now, out);
}

SbrAction SbrRuntime::decide(const Now& now, Effects& out) {
    DowningVerdict verdict = this->verdict();
    if (!needs_lease(verdict.decision) || settings_.dry_run)
        return act(std::move(verdict), SbrTrigger::Stable, now, out);
    begin_lease_wait(std::move(verdict), now, out);
    return sbr_action::None{};
}

SbrAction SbrRuntime::act(DowningVerdict verdict, SbrTrigger trigger, const Now& now, Effects& out,
                          std::optional<UniqueAddress> quarantined_by, std::string lease) {
    auto record = std::make_shared<SbrDecisionRecord>(make_record(verdict, trigger, now));
    record->quarantined_by = std::move(quarantined_by);
    record->lease = std::move(lease);
    const std::vector<UniqueAddress>& nodes = record->down;
    if (record->conflict)
        out.push_back(log(LogLevel::Warning, sbr_code::conflict, {},
                          {{"decision", std::string(to_string(verdict.decision))},
                           {"consequence", "indirectly connected twice over: everybody is downed"}}));
    // A decision that downs nobody is repeated every tick until removals come through, but recorded once.
    if (nodes.empty()) return sbr_action::None{};
    out.push_back(effect::Record{record});
    out.push_back(effect::Count{sbr_code::decisions});
    out.push_back(log(LogLevel::Warning, sbr_code::decision, {}, {{"record", record->to_line()}}));
    reset_changes(now);
    restart_stable(now);
    if (settings_.dry_run) return sbr_action::None{};
    out.push_back(effect::Down{nodes});
    out.push_back(effect::Count{sbr_code::downed, nodes.size()});
    return action_of(verdict.decision, nodes, self_);
}

SbrDecisionRecord SbrRuntime::make_record(const DowningVerdict& verdict, SbrTrigger trigger,
                                          const Now& now) const {
    SbrDecisionRecord record;
    record.when = now.wall;
    record.self = self_;
    record.strategy = strategy_->describe();
    record.trigger = trigger;
    record.responsible = is_responsible();
    record.dry_run = settings_.dry_run;
    record.verdict = verdict;
    for (const Member& member : model_.all_members()) {
        const UniqueAddress& node = member.unique_address();
        record.members.push_back(
            {node, member.status(), member.up_number(), model_.is_unreachable(node),
             std::binary_search(model_.seen_by().begin(), model_.seen_by().end(), node)});
    }
    const auto rows = model_.reachability().records();
    record.rows.assign(rows.begin(), rows.end());
    record.indirectly_connected = model_.indirectly_connected();
    NodesToDown chosen = nodes_to_down(*strategy_, model_, verdict);
    record.additional = std::move(chosen.additional);
    record.conflict = chosen.conflict;
    record.since_last_change = now.monotonic - stable_since_;
    record.changes = changes_.count;
    record.since_first_change = changes_.count > 0 ? now.monotonic - changes_.first : Duration{0};
    record.down = std::move(chosen.nodes);
    // Self last: its own Down may end this process before the others are downed.
    const auto self = std::find(record.down.begin(), record.down.end(), self_);
    if (self != record.down.end()) std::rotate(self, self + 1, record.down.end());
    return record;
}

SbrDecisionRecord SbrRuntime::explain(const Now& now) const {
    DowningVerdict verdict;
    if (model_.unreachable().empty())
        verdict.rule = "everybody is reachable";
    else
        verdict = this->verdict();
    SbrDecisionRecord record = make_record(verdict, SbrTrigger::Asked, now);
    record.dry_run = true;
    return record;
}

SbrAction SbrRuntime::quarantined_by_remote(const UniqueAddress& remote, const Now& now, Effects& out) {
    if (stopped_) return sbr_action::None{};
    if (wait_) {
        stash(remote, now, out);
        return sbr_action::None{};
    }
    const bool is_member = model_.find(remote) != nullptr || foreign_.contains(remote);
    out.push_back(log(LogLevel::Warning, sbr_code::quarantined, remote.to_string(),
                      {{"consequence", is_member ? "this node goes down" : "ignored: not a member"}}));
    if (!is_member) return sbr_action::None{};
    DowningVerdict verdict;
    verdict.decision = DowningDecision::DownSelfQuarantinedByRemote;
    verdict.rule = "a member has quarantined this node, which is for good: only a restart mends it";
    return act(std::move(verdict), SbrTrigger::QuarantinedByRemote, now, out, remote);
}

} // namespace muster
