// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The Runtime on io_uring (architecture.md, The event loop).
#include <cstddef>
#include <memory>
#include <muster/net/runtime.hpp>
#include <muster/uring/probe.hpp>
#include <optional>

namespace muster::uring {

/// Options, with defaults for a node. The second group is for measurements and for tests of older kernels.
struct Options : net::RuntimeOptions {
    /// How long an idle loop looks for work before it blocks. Saves the 10 us and more of waking a sleeping
    /// CPU and costs that much CPU per wait. Not set: 50 us with 4 or more CPUs, else none, since the
    /// spinning would take the CPU from the peer it waits for.
    std::optional<Duration> idle_spin;
    /// The most unread bytes of one connection; above it the connection is not read until half of them are
    /// taken, and TCP makes the peer wait.
    std::size_t receive_queue_bytes_max = 1024 * 1024;

    TaskRun task_run_max = TaskRun::Deferred;
    bool multishot_receive = true;
    bool incremental_buffers = true;
    /// Receive buffers, shared by all connections. 0: 16 of 256 KiB with incremental buffers, else 64 of
    /// 64 KiB. The count is a power of two, at least 2.
    std::size_t receive_buffer_bytes = 0;
    std::size_t receive_buffer_count = 0;
    unsigned submission_entries = 256;
    unsigned completion_entries = 16'384;
};

/// Tests first whether the kernel delivers bytes in their order (one or two milliseconds), and goes without
/// what it does not do right: one log line each. Errors: those of probe(); not_supported when nothing helps.
result<std::unique_ptr<net::Runtime>> make_runtime(Options options = {});

} // namespace muster::uring
