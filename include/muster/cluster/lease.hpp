#pragma once
/// A lease: something that at most one owner has at a time, kept outside the cluster (protocol.md §15.3,
/// lease-majority). The resolver sees only outcomes; the node asks a Lease and feeds them back.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <muster/error.hpp>
#include <muster/time.hpp>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace muster {

/// What came of a lease operation.
enum class LeaseOutcome : std::uint8_t {
    Held,     ///< check: this owner has it. acquire: this owner has it now
    NotHeld,  ///< check: this owner does not have it. acquire: somebody else does. release: it is free of this owner
    Failed,   ///< the backend could not tell: treated as not obtained, a release is repeated
};
std::string_view to_string(LeaseOutcome outcome) noexcept;

/// One named lease for one owner. Operations may be asked on any thread and never throw; `done` is called exactly
/// once, on any thread, possibly before the call returns. A lease that is neither renewed nor released ends by
/// itself (time to live), so a crashed owner does not keep it.
class Lease {
public:
    using Done = std::function<void(LeaseOutcome)>;
    virtual ~Lease() = default;
    /// Does this owner have it, as far as is known without waiting long?
    virtual void check(Done done) = 0;
    /// Takes it when it is free, expired or already this owner's; then the time to live starts anew.
    virtual void acquire(Done done) = 0;
    /// Gives it back; NotHeld when done (also when it was not this owner's).
    virtual void release(Done done) = 0;
    /// Starts the time to live anew if this owner has it; does not take it otherwise. Ask every third of the time
    /// to live while it is held.
    virtual void renew(Done done) = 0;
    virtual std::chrono::milliseconds time_to_live() const noexcept = 0;
};

/// The owner name of a node: its host and port, so that a restarted process still has its lease.
std::string lease_owner(std::string_view host_port);

/// Leases of one process: for tests, simulation and clusters inside one process. Thread-safe; share one store.
class InMemoryLeaseStore {
public:
    /// `clock` as in FileLease.
    explicit InMemoryLeaseStore(std::function<WallTime()> clock) : clock_(std::move(clock)) {}

    bool held_by(const std::string& name, const std::string& owner) const;
    bool acquire(const std::string& name, const std::string& owner, std::chrono::milliseconds time_to_live);
    bool renew(const std::string& name, const std::string& owner, std::chrono::milliseconds time_to_live);
    void release(const std::string& name, const std::string& owner);
    /// The current owner, if any.
    std::optional<std::string> owner_of(const std::string& name) const;

private:
    struct Grant {
        std::string owner;
        WallTime expires;
    };
    std::function<WallTime()> clock_;
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

/// A lease in a file that all nodes can reach: a directory of one machine, or a network file system with working
/// flock. The file holds owner and expiry; flock makes each read-and-write one step and is held for that step
/// only. Clocks of the machines must agree to well within the time to live. Operations block for that one small
/// file; on a network file system run them off the loop. Thread-safe.
class FileLease final : public Lease {
public:
    /// `path` is created when missing, its directory is not. `clock` reads wall time (Runtime::wall_now).
    /// `time_to_live` > 0 and owner not empty (ENSURE).
    FileLease(std::string path, std::string owner, std::function<WallTime()> clock,
              std::chrono::milliseconds time_to_live = std::chrono::seconds{120});
    void check(Done done) override;
    void acquire(Done done) override;
    void release(Done done) override;
    void renew(Done done) override;
    std::chrono::milliseconds time_to_live() const noexcept override { return time_to_live_; }
    /// What the last failed operation failed of.
    std::optional<Error> last_error() const;

private:
    enum class Operation : std::uint8_t { Check, Acquire, Release, Renew };
    LeaseOutcome run(Operation operation);
    result<LeaseOutcome> run_locked(int descriptor, Operation operation);

    std::string path_;
    std::string owner_;
    std::function<WallTime()> clock_;
    std::chrono::milliseconds time_to_live_;
    mutable std::mutex mutex_;
    std::optional<Error> last_error_;
};

} // namespace muster
