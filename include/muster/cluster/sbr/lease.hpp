// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A lease: something that at most one owner has at a time, kept outside the cluster (protocol.md §15.3,
/// lease-majority). The resolver sees only outcomes; the node asks a Lease and feeds them back.
#include <chrono>
#include <functional>
#include <muster/error.hpp>
#include <muster/time.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace muster {

/// The outcome of a lease operation.
enum class LeaseOutcome : std::uint8_t {
    Held,     ///< check: this owner has it. acquire: this owner has it now
    NotHeld,  ///< check: this owner does not have it. acquire: another owner has it. release: this owner no
              ///< longer has it
    Failed,   ///< the backend could not tell: treated as not obtained, a release is repeated
    Watching, ///< acquire only: whether the owner of the current grant still lives is not known yet. Ask
              ///< again
};
std::string_view to_string(LeaseOutcome outcome) noexcept;

/// An outcome with its reason. Converts from a bare outcome where there is no reason to give.
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
    /// Failed. `permanent`: retrying will not help, as with a missing directory.
    static LeaseAnswer failed(Error why, bool permanent = false);
    operator LeaseOutcome() const noexcept { return outcome; } // NOLINT(google-explicit-constructor)
    /// One sentence for log and decision record: what failed and why, or who has the lease. Empty when Held.
    std::string reason() const;

    LeaseOutcome outcome;
    std::optional<Error> error; ///< of Failed, where the backend says
    bool permanent = false;     ///< of Failed
    std::optional<Watch> watch; ///< of Watching always, of NotHeld where the backend knows
};

/// One named lease for one owner. Operations may be called on any thread, never throw and never block; `done`
/// is called exactly once, on any thread, possibly before the call returns. A lease that is neither renewed
/// nor released ends by itself (time to live), so a crashed owner does not keep it.
class Lease {
public:
    using Done = std::function<void(LeaseAnswer)>;
    virtual ~Lease() = default;
    /// Whether the lease can work at all. Asked at start, before the node joins: a permanent failure ends the
    /// node then, and not in the middle of a split. Outcomes as of check(), which is the default.
    virtual void probe(Done done) { check(std::move(done)); }
    /// Whether this owner has it. Also asked every quarter of the time to live from the node's start on: a
    /// lease that recognises a dead owner by an unchanged grant observes the grant at each check.
    virtual void check(Done done) = 0;
    /// Takes the lease when it is free, expired or already this owner's; restarts the time to live.
    virtual void acquire(Done done) = 0;
    /// Gives the lease back; NotHeld when done (also when it was not this owner's).
    virtual void release(Done done) = 0;
    /// Restarts the time to live if this owner has the lease; does not take it otherwise. Call it every third
    /// of the time to live while the lease is held.
    virtual void renew(Done done) = 0;
    virtual std::chrono::milliseconds time_to_live() const noexcept = 0;
};

/// The owner name of a node: its host and port, so that a restarted process still has its lease.
std::string lease_owner(std::string_view host_port);

} // namespace muster
