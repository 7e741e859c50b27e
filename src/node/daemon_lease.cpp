// SPDX-License-Identifier: Apache-2.0
/// The lease of lease-majority, or of an application's own strategy, outside the resolver: whether it can
/// work at all, the watch on others' grants, its renewal.
#include "daemon_impl.hpp"
#include "downing.hpp"
#include <algorithm>

namespace muster {

using Daemon = ClusterDaemonHandle::Daemon;
using std::chrono::milliseconds;

bool Daemon::uses_lease() const { return asks_lease(config_) && !config_.sbr->dry_run && config_.lease; }

Lease::Done Daemon::lease_answer(std::uint64_t generation) {
    return [weak = weak_from_this(), generation](LeaseAnswer answer) {
        const auto self = weak.lock();
        if (!self) return;
        self->post([generation, answer = std::move(answer)](Daemon& d) {
            if (answer.outcome != LeaseOutcome::Failed) {
                d.lease_held_ = answer.outcome == LeaseOutcome::Held;
                d.lease_renewal_due_ = d.runtime_.monotonic_now() + d.config_.lease->time_to_live() / 3;
            }
            d.note_lease_works(answer);
            d.feed(
                [&](const Now& now, Effects& out) { d.resolver_->on_lease(generation, answer, now, out); });
        });
    };
}

/// Asks one question at a time. An unanswered question counts as failed and is asked again.
void Daemon::tend_lease() {
    if (!uses_lease()) return;
    const Instant now = runtime_.monotonic_now();
    if (lease_asked_ && now < lease_asked_->deadline) return;
    if (lease_asked_) {
        const auto limit = std::to_string(config_.sbr->lease_operation_timeout.count()) + " ms";
        on_lease_told(LeaseAnswer::failed(
            Error{Errc::timed_out, "the lease's backend", "it did not answer within " + limit, {}}));
    }
    if (lease_held_ && now >= lease_renewal_due_)
        ask_lease(LeaseQuestion::Renew);
    else if (now >= lease_look_due_)
        ask_lease(lease_works_ ? LeaseQuestion::Check : LeaseQuestion::Probe);
}

void Daemon::ask_lease(LeaseQuestion question) {
    const std::uint64_t number = ++lease_questions_;
    lease_asked_ =
        AskedLease{question, number, runtime_.monotonic_now() + config_.sbr->lease_operation_timeout};
    Lease::Done done = [weak = weak_from_this(), number](LeaseAnswer answer) {
        const auto self = weak.lock();
        if (!self) return;
        self->post([number, answer = std::move(answer)](Daemon& d) {
            // An answer that came too late was already counted as a failure.
            if (d.lease_asked_ && d.lease_asked_->number == number) d.on_lease_told(answer);
        });
    };
    switch (question) {
    case LeaseQuestion::Probe: return config_.lease->probe(std::move(done));
    case LeaseQuestion::Check: return config_.lease->check(std::move(done));
    case LeaseQuestion::Renew: return config_.lease->renew(std::move(done));
    }
}

void Daemon::on_lease_told(const LeaseAnswer& answer) {
    const LeaseQuestion question = lease_asked_->question;
    lease_asked_.reset();
    if (!begun_ && answer.outcome == LeaseOutcome::Failed && answer.permanent)
        return cannot_start(
            answer.error.value_or(Error{Errc::io, "the lease", "its backend says that it cannot work", {}}));
    note_lease_works(answer);
    if (question == LeaseQuestion::Renew) {
        on_lease_renewed(answer);
    } else {
        const bool failed = answer.outcome == LeaseOutcome::Failed;
        if (failed) runtime_.metrics().counter("node.lease.looks.failed").add();
        const milliseconds look = config_.lease->time_to_live() / 4;
        lease_look_due_ =
            runtime_.monotonic_now() + (failed ? std::min(look, config_.sbr->lease_operation_timeout) : look);
    }
    if (!begun_) begin();
}

void Daemon::on_lease_renewed(const LeaseAnswer& answer) {
    const milliseconds time_to_live = config_.lease->time_to_live();
    const Instant now = runtime_.monotonic_now();
    switch (answer.outcome) {
    case LeaseOutcome::Held: lease_renewal_due_ = now + time_to_live / 3; return;
    case LeaseOutcome::Failed:
    case LeaseOutcome::Watching:
        // A few more attempts fit before the grant ends.
        lease_renewal_due_ = now + time_to_live / 12;
        runtime_.metrics().counter("node.lease.renewals.failed").add();
        runtime_.log().warning("node.lease.renewal_failed", {}, {{"reason", answer.reason()}});
        return;
    case LeaseOutcome::NotHeld:
        lease_held_ = false;
        runtime_.log().warning("node.lease.lost", {}, {{"reason", answer.reason()}});
        return;
    }
}

void Daemon::note_lease_works(const LeaseAnswer& answer) {
    const bool works = answer.outcome != LeaseOutcome::Failed;
    runtime_.metrics().gauge("node.lease.works").set(works ? 1 : 0);
    if (!works)
        runtime_.log().warning(
            "node.lease.unavailable", {},
            {{"reason", answer.reason()}, {"advice", "it is tried again; without it no side survives"}});
    else if (!lease_works_)
        runtime_.log().info("node.lease.available", {}, {});
    lease_works_ = works;
}

bool Daemon::is_held_back(const DaemonCmd::Any& command) const {
    return !begun_ && (std::holds_alternative<DaemonCmd::Join>(command) ||
                       std::holds_alternative<DaemonCmd::JoinSeedNodes>(command));
}

void Daemon::begin() {
    begun_ = true;
    auto commands = std::exchange(held_back_, {});
    if (!shutdown_.reason())
        for (auto& command : commands) execute(std::move(command));
    for (auto& done : std::exchange(start_waiters_, {})) done({});
}

void Daemon::cannot_start(Error why) {
    runtime_.log().error("node.lease.unusable", {}, {{"reason", why.message()}});
    held_back_.clear();
    start_error_ = std::move(why);
    for (auto& done : std::exchange(start_waiters_, {})) done(*start_error_);
    begin_shutdown(ShutdownReason::CannotStart);
}

void Daemon::on_started(UniqueFunction<void(result<void>)> done) {
    if (start_error_) return done(*start_error_);
    if (begun_) return done({});
    if (ended_ || shutdown_.reason())
        return done(Error{Errc::closed, core_.self().to_string(), "the node stopped before it started", {}});
    start_waiters_.push_back(std::move(done));
}

ConvergenceReport Daemon::report() const {
    ConvergenceReport report = core_.not_converged_report();
    if (resolver_) report.resolver_waits_for = resolver_->lease_wait(runtime_.now());
    return report;
}

} // namespace muster
