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

class LeaseWorker;

/// What came of a lease operation.
enum class LeaseOutcome : std::uint8_t {
    Held,    ///< check: this owner has it. acquire: this owner has it now
    NotHeld, ///< check: this owner does not have it. acquire: somebody else does. release: it is free of this
             ///< owner
    Failed,  ///< the backend could not tell: treated as not obtained, a release is repeated
    Watching, ///< acquire only: there is a grant, and nobody knows yet whether its owner still lives. Ask
              ///< again
};
std::string_view to_string(LeaseOutcome outcome) noexcept;

/// What came of it, and why. Made of a bare outcome where there is no more to say.
struct LeaseAnswer {
    /// Somebody else's grant, as this owner's process has watched it so far.
    struct Watch {
        std::string owner;
        Duration unchanged_for{};                 ///< so far, by this process's monotonic clock
        std::chrono::milliseconds time_to_live{}; ///< of that grant: unchanged for so long, it has expired
        std::chrono::milliseconds retry_after{};  ///< Watching: when asking again may tell more, > 0
    };

    LeaseAnswer(LeaseOutcome came)
        : outcome(came) {} // NOLINT(google-explicit-constructor): done(LeaseOutcome::Held)
    /// Failed. `permanent`: it will not mend itself, as a missing directory.
    static LeaseAnswer failed(Error why, bool permanent = false);
    operator LeaseOutcome() const noexcept { return outcome; } // NOLINT(google-explicit-constructor)
    /// One sentence for log and decision record: what failed of what, or who has the lease. Empty when Held.
    std::string reason() const;

    LeaseOutcome outcome;
    std::optional<Error> error; ///< of Failed, where the backend says
    bool permanent = false;     ///< of Failed
    std::optional<Watch> watch; ///< of Watching always, of NotHeld where the backend knows
};

/// One named lease for one owner. Operations may be asked on any thread, never throw and never block; `done`
/// is called exactly once, on any thread, possibly before the call returns. A lease that is neither renewed
/// nor released ends by itself (time to live), so a crashed owner does not keep it.
class Lease {
public:
    using Done = std::function<void(LeaseAnswer)>;
    virtual ~Lease() = default;
    /// Can it work at all? Asked at start, before the node joins: a permanent failure ends the node then, and
    /// not in the middle of a split. Outcomes as of check, which this is unless overridden.
    virtual void probe(Done done) { check(std::move(done)); }
    /// Does this owner have it? Asked every quarter of the time to live from the node's start on, too: a
    /// lease that knows a dead owner by an unchanged grant takes each check for a look at it.
    virtual void check(Done done) = 0;
    /// Takes it when it is free, expired or already this owner's; then the time to live starts anew.
    virtual void acquire(Done done) = 0;
    /// Gives it back; NotHeld when done (also when it was not this owner's).
    virtual void release(Done done) = 0;
    /// Starts the time to live anew if this owner has it; does not take it otherwise. Ask every third of the
    /// time to live while it is held.
    virtual void renew(Done done) = 0;
    virtual std::chrono::milliseconds time_to_live() const noexcept = 0;
};

/// The owner name of a node: its host and port, so that a restarted process still has its lease.
std::string lease_owner(std::string_view host_port);

/// Leases of one process: for tests, simulation and clusters inside one process. Thread-safe; share one
/// store.
class InMemoryLeaseStore {
public:
    /// `clock`: monotonic time, since a wall clock that is set must end no grant.
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

/// A lease in a file that all nodes can reach: a directory of one machine, or a network file system with
/// working flock. flock makes each read-and-write one step and is held for that step only. The file holds the
/// owner, a serial that grows with each grant and renewal, and the time to live (protocol.md §15.3). No
/// clocks of two machines are compared: a grant whose serial this process has seen unchanged for a whole time
/// to live by its own monotonic clock has expired, and the owner's ends when its own clock says so, counted
/// from before the write.
///
/// All file work runs on a thread of the lease's own, `muster-lease`, started by the first operation: a file
/// system that hangs stops that thread and nobody else. `done` is called there. Beyond `queue_max` operations
/// that wait a further one fails at once. Thread-safe. The destructor does not wait for the file system: what
/// is not done by then has failed with Errc::cancelled, and an operation that hangs begins no write any more
/// once it comes back.
class FileLease final : public Lease {
public:
    static constexpr std::size_t queue_max = 16;
    /// CLOCK_BOOTTIME, which a suspended machine does not stop.
    static std::function<Instant()> system_monotonic();
    static std::function<WallTime()> system_wall();

    /// `path` is created when missing, its directory is not. `time_to_live` > 0, to be the same on all nodes,
    /// and owner one line of text, not empty (ENSURE). `monotonic` is read on the thread muster-lease, and
    /// not any more once the destructor has returned. `wall` gives a new file its first serial, so that a
    /// file made anew repeats none.
    FileLease(std::string path, std::string owner, std::function<Instant()> monotonic = system_monotonic(),
              std::chrono::milliseconds time_to_live = std::chrono::seconds{120},
              std::function<WallTime()> wall = system_wall());
    ~FileLease() override;
    FileLease(const FileLease&) = delete;
    FileLease& operator=(const FileLease&) = delete;

    void check(Done done) override;
    void acquire(Done done) override;
    void release(Done done) override;
    void renew(Done done) override;
    std::chrono::milliseconds time_to_live() const noexcept override { return time_to_live_; }
    /// What the last failed operation failed of.
    std::optional<Error> last_error() const;

private:
    struct File; // shared with the thread, which may hang in a system call for longer than the lease lives
    std::chrono::milliseconds time_to_live_;
    std::shared_ptr<File> file_;
    std::unique_ptr<LeaseWorker> worker_;
};

} // namespace muster
