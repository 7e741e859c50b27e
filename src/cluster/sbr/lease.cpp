#include <muster/cluster/sbr/lease.hpp>

#include <muster/ensure.hpp>
#include <utility>

namespace muster {

std::string_view to_string(LeaseOutcome outcome) noexcept {
    switch (outcome) {
    case LeaseOutcome::Held: return "Held";
    case LeaseOutcome::NotHeld: return "NotHeld";
    case LeaseOutcome::Failed: return "Failed";
    case LeaseOutcome::Watching: return "Watching";
    }
    return "?";
}

LeaseAnswer LeaseAnswer::failed(Error why, bool permanent) {
    LeaseAnswer answer(LeaseOutcome::Failed);
    answer.error = std::move(why);
    answer.permanent = permanent;
    return answer;
}

std::string LeaseAnswer::reason() const {
    if (outcome == LeaseOutcome::Held) return {};
    if (outcome == LeaseOutcome::Failed) return error ? error->message() : "the lease's backend failed";
    if (!watch) return "another owner has it";
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(watch->unchanged_for).count();
    return watch->owner + " has it: its grant was seen unchanged for " + std::to_string(ms) + " of " +
           std::to_string(watch->time_to_live.count()) + " ms";
}

std::string lease_owner(std::string_view host_port) { return std::string(host_port); }

bool InMemoryLeaseStore::held_by(const std::string& name, const std::string& owner) const {
    return owner_of(name) == owner;
}

std::optional<std::string> InMemoryLeaseStore::owner_of(const std::string& name) const {
    const Instant now = clock_();
    const std::lock_guard lock(mutex_);
    const auto found = grants_.find(name);
    if (found == grants_.end() || found->second.expires <= now) return std::nullopt;
    return found->second.owner;
}

bool InMemoryLeaseStore::acquire(const std::string& name, const std::string& owner,
                                 std::chrono::milliseconds time_to_live) {
    const Instant now = clock_();
    const std::lock_guard lock(mutex_);
    const auto found = grants_.find(name);
    if (found != grants_.end() && found->second.owner != owner && found->second.expires > now) return false;
    grants_.insert_or_assign(name, Grant{owner, now + time_to_live});
    return true;
}

bool InMemoryLeaseStore::renew(const std::string& name, const std::string& owner,
                               std::chrono::milliseconds time_to_live) {
    const Instant now = clock_();
    const std::lock_guard lock(mutex_);
    const auto found = grants_.find(name);
    if (found == grants_.end() || found->second.owner != owner || found->second.expires <= now) return false;
    found->second.expires = now + time_to_live;
    return true;
}

void InMemoryLeaseStore::release(const std::string& name, const std::string& owner) {
    const std::lock_guard lock(mutex_);
    const auto found = grants_.find(name);
    if (found != grants_.end() && found->second.owner == owner) grants_.erase(found);
}

InMemoryLease::InMemoryLease(std::shared_ptr<InMemoryLeaseStore> store, std::string name, std::string owner,
                             std::chrono::milliseconds time_to_live)
    : store_(std::move(store)), name_(std::move(name)), owner_(std::move(owner)),
      time_to_live_(time_to_live) {
    MUSTER_ENSURE(store_ != nullptr && !owner_.empty(), "a lease needs a store and an owner");
}

void InMemoryLease::check(Done done) {
    done(store_->held_by(name_, owner_) ? LeaseOutcome::Held : LeaseOutcome::NotHeld);
}
void InMemoryLease::acquire(Done done) {
    done(store_->acquire(name_, owner_, time_to_live_) ? LeaseOutcome::Held : LeaseOutcome::NotHeld);
}
void InMemoryLease::release(Done done) {
    store_->release(name_, owner_);
    done(LeaseOutcome::NotHeld);
}
void InMemoryLease::renew(Done done) {
    done(store_->renew(name_, owner_, time_to_live_) ? LeaseOutcome::Held : LeaseOutcome::NotHeld);
}

} // namespace muster
