// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The thread of a lease whose backend may block.
#include <functional>
#include <memory>
#include <muster/cluster/sbr/lease.hpp>
#include <string>

namespace muster {

/// Runs blocking operations one after the other on a thread of its own, which is started by the first one.
/// A hanging operation blocks only that thread. Thread-safe.
class LeaseWorker {
public:
    /// Runs on the thread; must not throw.
    using Operation = std::function<LeaseAnswer()>;
    /// `thread_name`: at most 15 bytes. `queue_max`: the most waiting operations, without the one under way.
    LeaseWorker(std::string thread_name, std::size_t queue_max);
    /// Answers waiting operations and the one under way with Errc::cancelled, on the calling thread; drops a
    /// later answer of the latter. Waits only for a `done` that is running on the thread.
    ~LeaseWorker();
    LeaseWorker(const LeaseWorker&) = delete;
    LeaseWorker& operator=(const LeaseWorker&) = delete;

    /// `what` names the operation in errors. `done` is called exactly once: on the thread, or before this
    /// returns when the queue is full or the system has no thread for us.
    void run(std::string what, Operation operation, Lease::Done done);

private:
    struct State; // shared with the thread
    std::shared_ptr<State> state_;
};

} // namespace muster
