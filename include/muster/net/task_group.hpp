// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Ownership of coroutines: every spawned coroutine belongs to a group that is joined before its owner dies.
#include <list>
#include <muster/net/runtime.hpp>

namespace muster::net {

/// Spawns coroutines on a Runtime, cancels them together and can be joined. Runtime's thread only.
///
/// Inside a spawned coroutine Asio's throw_if_cancelled is off: operations answer Errc::cancelled, and loops
/// end when stopping() says so. An exception that leaves a task is a bug (ENSURE) unless the Runtime is being
/// destroyed.
class TaskGroup {
public:
    explicit TaskGroup(Runtime& runtime);
    /// The group must be empty: joined, or its Runtime is being destroyed (which destroys the coroutines
    /// first).
    ~TaskGroup();
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    /// Starts `task` soon (never inside spawn). Spawning on a group that is stopping destroys the task unrun.
    void spawn(Task<void> task);
    /// Requests terminal cancellation of every task, now and for those spawned later. Idempotent.
    void cancel() noexcept;
    bool stopping() const noexcept;
    bool empty() const noexcept;
    /// Completes when the group is empty. Does not cancel by itself. Several may join.
    Task<void> join();

private:
    struct State;
    std::shared_ptr<State> state_;
};

/// Auto-reset event for one waiting coroutine: notify() before wait() is remembered once. Runtime's thread
/// only. The waiter resumes through the executor, after what is ready now: a burst of notify() costs one
/// resumption.
class Notifier {
public:
    explicit Notifier(Runtime& runtime);
    ~Notifier();
    Notifier(const Notifier&) = delete;
    Notifier& operator=(const Notifier&) = delete;
    void notify() noexcept;
    /// Errors: cancelled; closed when the Notifier is destroyed meanwhile.
    Task<result<void>> wait();
    /// Errors: as wait(), and timed_out at `deadline`.
    Task<result<void>> wait_until(Instant deadline);

private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace muster::net
