// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One io_uring instance: setting it up step by step, submitting, waiting, reading completions.
#include <cstdint>
#include <liburing.h>
#include <memory>
#include <muster/time.hpp>
#include <muster/uring/probe.hpp>
#include <optional>
#include <span>

namespace muster::uring {

/// A completion, copied out of the ring.
struct Completion {
    std::uint64_t user_data = 0;
    int result = 0;
    std::uint32_t flags = 0;
};

/// Flags that liburing 2.3 does not name yet.
constexpr std::uint32_t completion_buffer_more = 1U << 4; // IORING_CQE_F_BUF_MORE
constexpr std::uint16_t buffers_incremental = 2;          // IOU_PBUF_RING_INC
constexpr std::uint32_t feature_no_iowait = 1U << 17;     // IORING_FEAT_NO_IOWAIT, Linux 6.15
constexpr std::uint32_t enter_no_iowait = 1U << 7;        // IORING_ENTER_NO_IOWAIT

class Ring {
public:
    struct Setup {
        unsigned submission_entries = 256;
        unsigned completion_entries = 16'384;
        TaskRun task_run_max = TaskRun::Deferred;
    };
    struct Created {
        std::unique_ptr<Ring> ring; ///< null on failure
        int error = 0;              ///< an errno value
    };
    /// The ring is disabled until enable() binds it to the calling thread.
    static Created create(const Setup& setup);
    ~Ring();
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    TaskRun task_run() const noexcept { return task_run_; }

    /// Binds the ring to this thread for good. Once, before anything is submitted.
    void enable();
    /// Speeds up enter() for this thread between the two.
    void register_descriptor() noexcept;
    void unregister_descriptor() noexcept;

    /// Makes `entries` buffers a group; `memory` is page-aligned, zeroed and outlives the group. The error is
    /// an errno value.
    int register_buffers(void* memory, unsigned entries, std::uint16_t group, std::uint16_t flags) noexcept;
    void unregister_buffers(std::uint16_t group) noexcept;

    /// A zeroed submission entry; submits what is queued when the queue is full.
    io_uring_sqe* next_submission();
    bool has_submissions() const noexcept { return io_uring_sq_ready(&ring_) != 0; }
    /// Whether the kernel holds completions back until somebody enters it.
    bool needs_enter() const noexcept;
    bool has_completions() const noexcept { return io_uring_cq_ready(&ring_) != 0; }

    /// Submits and lets the kernel complete what it can, without waiting.
    void submit();
    /// Submits and waits for a completion, for `timeout` at the longest (none: without limit). Where the
    /// kernel can, this is not counted as waiting for a disk: an idle ring would show as 100 % iowait.
    void submit_and_wait(std::optional<Duration> timeout);
    /// Moves completions out of the ring; how many.
    std::size_t take(std::span<Completion> out) noexcept;

private:
    Ring() = default;
    /// Shows the kernel what is queued; how many entries.
    unsigned flush_submissions() noexcept;
    int enter_without_iowait(__kernel_timespec* limit) noexcept;

    io_uring ring_{};
    bool can_hide_iowait_ = false;
    TaskRun task_run_ = TaskRun::Interrupting;
};

} // namespace muster::uring
