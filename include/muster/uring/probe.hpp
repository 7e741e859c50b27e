// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Whether io_uring can be used here, and if not, the reason and the remedy.
#include <cstdint>
#include <muster/error.hpp>
#include <string>
#include <vector>

namespace muster::uring {

/// How the kernel runs the second half of operations. Each costs less CPU than the one before it.
enum class TaskRun : std::uint8_t {
    Interrupting, ///< Linux 5.19: whenever the thread enters the kernel, by an interrupt if need be
    Cooperative,  ///< Linux 5.19: IORING_SETUP_COOP_TASKRUN, without the interrupt
    Deferred,     ///< Linux 6.1: IORING_SETUP_DEFER_TASKRUN, in one batch per turn of the loop
};

/// The io_uring features of this kernel.
struct Capabilities {
    std::string kernel; ///< uname -r
    TaskRun task_run = TaskRun::Interrupting;
    bool multishot_receive = false;   ///< Linux 6.0: one request receives until the stream ends
    bool incremental_buffers = false; ///< Linux 6.12: IOU_PBUF_RING_INC, large buffers filled bit by bit

    /// The features that this kernel lacks, each with the kernel that has it: "deferred task work (Linux
    /// 6.1)". Empty on a current kernel.
    std::vector<std::string> missing() const;
};

/// Sets up a small ring and takes it down again. Any thread; about 0.1 ms.
/// Errors, with the remedy as advice: permission_denied (kernel.io_uring_disabled, or a seccomp filter as
/// containers have by default), not_supported (no io_uring, or older than Linux 5.19), no_memory
/// (RLIMIT_MEMLOCK), no_descriptors.
result<Capabilities> probe();

} // namespace muster::uring
