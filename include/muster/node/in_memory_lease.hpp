// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A lease for tests, simulation and clusters inside one process.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <muster/cluster/sbr/lease.hpp>
#include <muster/time.hpp>
#include <mutex>
#include <optional>
#include <string>

namespace muster {

/// Holds the leases of one process, for tests, simulation and clusters inside one process. Thread-safe; all
/// nodes share one store.
class InMemoryLeaseStore {
public:
    /// `clock`: monotonic time, because setting a wall clock must not end a grant.
    explicit InMemoryLeaseStore(std::function<Instant()> clock) : clock_(std::move(clock)) {}

    bool held_by(const std::string& name, const std::string& owner) const;
    bool acquire(const std::string& name, const std::string& owner, std::chrono::milliseconds time_to_live);
    bool renew(const std::string& name, const std::string& owner, std::chrono::milliseconds time_to_live);
    void release(const std::string& name, const std::string& owner);
    /// The current owner, if any.
    std::optional<std::string> owner_of(const std::string& name) const;

private:
    struct Grant {
        std::string owner;
        Instant expires;
    };
    std::function<Instant()> clock_;
    mutable std::mutex mutex_;
    std::map<std::string, Grant> grants_;
};

/// A lease of an InMemoryLeaseStore. Every operation completes before it returns.
class InMemoryLease final : public Lease {
public:
    InMemoryLease(std::shared_ptr<InMemoryLeaseStore> store, std::string name, std::string owner,
                  std::chrono::milliseconds time_to_live = std::chrono::seconds{120});
    void check(Done done) override;
    void acquire(Done done) override;
    void release(Done done) override;
    void renew(Done done) override;
    std::chrono::milliseconds time_to_live() const noexcept override { return time_to_live_; }

private:
    std::shared_ptr<InMemoryLeaseStore> store_;
    std::string name_;
    std::string owner_;
    std::chrono::milliseconds time_to_live_;
};

} // namespace muster
