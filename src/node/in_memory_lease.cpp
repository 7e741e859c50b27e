// SPDX-License-Identifier: Apache-2.0
#include <muster/node/in_memory_lease.hpp>

#include <muster/ensure.hpp>
#include <utility>

namespace muster {

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
