// SPDX-License-Identifier: Apache-2.0
/// The lease states of SbrRuntime (protocol.md §15.3, lease-majority): check, wait, acquire, act or reverse,
/// release.
#include "base/sorted_vector.hpp"
#include <algorithm>
#include <muster/cluster/sbr/runtime.hpp>
#include <utility>

namespace muster {

namespace {

effect::Log lease_log(LogLevel level, std::string_view what, LogFields fields = {}) {
    fields.insert(fields.begin(), {"lease", std::string(what)});
    return {level, sbr_code::lease, {}, std::move(fields)};
}

bool acted(const SbrAction& action) noexcept { return !std::holds_alternative<sbr_action::None>(action); }

std::vector<UniqueAddress> nodes_of(const SbrAction& action) {
    if (const auto* a = std::get_if<sbr_action::DownUnreachable>(&action)) return a->nodes;
    if (const auto* a = std::get_if<sbr_action::DownAll>(&action)) return a->nodes;
    if (const auto* a = std::get_if<sbr_action::DownSelf>(&action)) return a->nodes;
    return {};
}

} // namespace

void SbrRuntime::begin_lease_wait(DowningVerdict verdict, const Now& now, Effects& out) {
    releasing_ = 0; // a release under way is superseded
    out.push_back(
        lease_log(LogLevel::Info, "check", {{"decision", std::string(to_string(verdict.decision))}}));
    wait_ = LeaseWait{std::move(verdict), LeaseWait::Step::Checking, ++generation_,
                      now.monotonic + settings_.lease_operation_timeout};
    out.push_back(effect::LeaseCheck{generation_});
}

void SbrRuntime::acquire_lease(const Now& now, Effects& out) {
    wait_->step = LeaseWait::Step::Acquiring;
    wait_->generation = ++generation_;
    wait_->deadline = now.monotonic + settings_.lease_operation_timeout;
    out.push_back(lease_log(LogLevel::Info, "acquire"));
    out.push_back(effect::LeaseAcquire{generation_});
}

SbrAction SbrRuntime::on_timer(TimerKey key, const Now& now, Effects& out) {
    const bool mine = wait_ && key == TimerKey{CoreTimer::LeaseDelay, wait_->generation} &&
                      (wait_->step == LeaseWait::Step::Delaying || wait_->step == LeaseWait::Step::Watching);
    if (mine && !stopped_) acquire_lease(now, out);
    return sbr_action::None{};
}

SbrAction SbrRuntime::on_lease(std::uint64_t generation, const LeaseAnswer& answer, const Now& now,
                               Effects& out) {
    if (stopped_) return sbr_action::None{};
    if (!wait_) {
        if (generation == 0 || generation != releasing_) return sbr_action::None{};
        releasing_ = 0;
        if (answer.outcome == LeaseOutcome::NotHeld) {
            out.push_back(lease_log(LogLevel::Info, "released"));
            release_.reset();
        } else {
            out.push_back(lease_log(LogLevel::Error, "release failed",
                                    {{"reason", answer.reason()}, {"advice", "it is tried again"}}));
        }
        return sbr_action::None{};
    }
    if (generation != wait_->generation) return sbr_action::None{};
    if (wait_->step == LeaseWait::Step::Acquiring) return on_lease_acquire(answer, now, out);
    if (wait_->step != LeaseWait::Step::Checking) return sbr_action::None{};
    if (answer.outcome == LeaseOutcome::Held) return lease_obtained(SbrTrigger::LeaseAlreadyHeld, now, out);
    if (answer.outcome == LeaseOutcome::Failed) // acquiring may still work
        out.push_back(lease_log(LogLevel::Warning, "check failed", {{"reason", answer.reason()}}));
    if (wait_->verdict.acquire_delay.count() == 0) {
        acquire_lease(now, out);
        return sbr_action::None{};
    }
    wait_->step = LeaseWait::Step::Delaying;
    wait_->generation = ++generation_;
    out.push_back(effect::SetTimer{{CoreTimer::LeaseDelay, generation_}, wait_->verdict.acquire_delay});
    return sbr_action::None{};
}

SbrAction SbrRuntime::on_lease_acquire(const LeaseAnswer& answer, const Now& now, Effects& out) {
    if (answer.outcome == LeaseOutcome::Held) return lease_obtained(SbrTrigger::LeaseAcquired, now, out);
    // It is not known yet whether the grant's owner lives: a side that went now might yield to a dead owner.
    const bool watches = answer.outcome == LeaseOutcome::Watching && answer.watch;
    if (!watches) return lease_not_obtained(answer.reason(), now, out);
    wait_->watch = answer.watch;
    wait_->watched = now.monotonic;
    const bool first = !wait_->watch_until;
    if (first)
        wait_->watch_until =
            now.monotonic + std::max<Duration>(answer.watch->time_to_live - answer.watch->unchanged_for, {}) +
            settings_.lease_operation_timeout;
    if (now.monotonic >= *wait_->watch_until) return lease_not_obtained(answer.reason(), now, out);
    if (first) out.push_back(lease_log(LogLevel::Warning, "watching", {{"reason", answer.reason()}}));
    watch_lease(*answer.watch, now, out);
    return sbr_action::None{};
}

/// Asks again a little later.
void SbrRuntime::watch_lease(const LeaseAnswer::Watch& watch, const Now& now, Effects& out) {
    wait_->step = LeaseWait::Step::Watching;
    wait_->generation = ++generation_;
    wait_->deadline = *wait_->watch_until;
    const Duration again = std::clamp<Duration>(
        watch.retry_after, std::chrono::milliseconds{1},
        std::max<Duration>(*wait_->watch_until - now.monotonic, std::chrono::milliseconds{1}));
    out.push_back(effect::SetTimer{{CoreTimer::LeaseDelay, generation_}, again});
}

std::string SbrRuntime::lease_wait(const Now& now) const {
    if (!wait_) return {};
    if (!wait_->watch) return "the resolver waits for its lease";
    const auto seconds = [](Duration d) {
        return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(d).count());
    };
    const LeaseAnswer::Watch& watch = *wait_->watch;
    return "the resolver waits for its lease: " + watch.owner + " has a grant, seen unchanged for " +
           seconds(watch.unchanged_for + (now.monotonic - wait_->watched)) + " s of the " +
           seconds(watch.time_to_live) + " s after which it has expired";
}

std::string SbrRuntime::lease_overdue() const {
    const std::string limit = std::to_string(settings_.lease_operation_timeout.count());
    if (wait_->step == LeaseWait::Step::Checking)
        return "the backend did not answer a check within " + limit + " ms";
    if (wait_->step == LeaseWait::Step::Watching)
        return "the grant of " + wait_->watch->owner + " was watched for too long";
    return "the backend did not answer within " + limit + " ms";
}

SbrAction SbrRuntime::lease_obtained(SbrTrigger trigger, const Now& now, Effects& out) {
    DowningVerdict verdict = std::move(wait_->verdict);
    wait_.reset();
    SbrAction action = act(std::move(verdict), trigger, now, out);
    hold_until_removed(nodes_of(action), now);
    return unstash(std::move(action), now, out);
}

SbrAction SbrRuntime::lease_not_obtained(std::string why, const Now& now, Effects& out) {
    DowningVerdict verdict = std::move(wait_->verdict);
    wait_.reset();
    release_.reset();
    out.push_back(
        lease_log(LogLevel::Warning, "not obtained",
                  {{"reason", why}, {"decision", std::string(to_string(reverse_of(verdict.decision)))}}));
    verdict.decision = reverse_of(verdict.decision);
    verdict.acquire_delay = {};
    verdict.rule = "the lease was not obtained: the other side may have it, so this one goes";
    return unstash(act(std::move(verdict), SbrTrigger::LeaseDenied, now, out, {}, std::move(why)), now, out);
}

void SbrRuntime::hold_until_removed(const std::vector<UniqueAddress>& downed, const Now& now) {
    // Also waits for members that an earlier decision downed and that are not removed yet.
    std::vector<UniqueAddress> waiting =
        release_ ? std::move(release_->downed) : std::vector<UniqueAddress>{};
    waiting.insert(waiting.end(), downed.begin(), downed.end());
    release_ = ReleaseWhen{sorted_unique(std::move(waiting)), {}};
    if (release_->downed.empty()) release_->at = now.monotonic + settings_.release_after;
}

void SbrRuntime::release_lease_when_due(const Now& now, Effects& out) {
    if (!release_ || !release_->at || now.monotonic <= *release_->at) return;
    if (releasing_ != 0 && now.monotonic <= release_deadline_) return;
    releasing_ = ++generation_;
    release_deadline_ = now.monotonic + settings_.lease_operation_timeout;
    out.push_back(effect::LeaseRelease{releasing_});
}

void SbrRuntime::stop(Effects& out) {
    // A lease that is held is kept until its time to live ends. One not asked for yet must not be taken any
    // more: the others would wait for it.
    if (wait_ && (wait_->step == LeaseWait::Step::Delaying || wait_->step == LeaseWait::Step::Watching))
        out.push_back(effect::CancelTimer{{CoreTimer::LeaseDelay, wait_->generation}});
    wait_.reset();
    stash_.clear();
    release_.reset();
    stopped_ = true;
}

void SbrRuntime::stash(Stashed item, const Now& now, Effects& out) {
    // Of the whole-table events only the latest matters, and nothing is decided between them.
    if (const auto* event = std::get_if<ClusterEvent>(&item)) {
        const auto replaces = [index = event->index()](const Stashed& other) {
            const auto* older = std::get_if<ClusterEvent>(&other);
            return older != nullptr && older->index() == index;
        };
        if (std::holds_alternative<SeenChanged>(*event) ||
            std::holds_alternative<ReachabilityChanged>(*event) ||
            std::holds_alternative<MemberTombstonesChanged>(*event))
            std::erase_if(stash_, replaces);
    }
    stash_.push_back(std::move(item));
    if (stash_.size() <= stash_max) return;
    out.push_back(
        effect::Log{LogLevel::Error, sbr_code::stash_full, {}, {{"limit", std::to_string(stash_max)}}});
    lease_not_obtained("too many events while waiting for it", now, out);
}

SbrAction SbrRuntime::unstash(SbrAction action, const Now& now, Effects& out) {
    const std::vector<Stashed> items = std::exchange(stash_, {});
    for (const Stashed& item : items) {
        if (const auto* event = std::get_if<ClusterEvent>(&item)) {
            on_event(*event, now, out);
            continue;
        }
        SbrAction quarantine = quarantined_by_remote(std::get<UniqueAddress>(item), now, out);
        if (acted(quarantine)) action = std::move(quarantine);
    }
    return action;
}

} // namespace muster
