// SPDX-License-Identifier: Apache-2.0
#include "ring.hpp"

#include <algorithm>
#include <cerrno>
#include <muster/ensure.hpp>

namespace muster::uring {
namespace {

unsigned setup_flags(TaskRun task_run) {
    const unsigned common =
        IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED;
    switch (task_run) {
    case TaskRun::Deferred:
        return common | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    case TaskRun::Cooperative: return common | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    case TaskRun::Interrupting: break;
    }
    return common;
}

/// Results with which entering the kernel is simply tried again in the next turn.
bool is_transient(int result) {
    return result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY;
}

} // namespace

Ring::Created Ring::create(const Setup& setup) {
    std::unique_ptr<Ring> ring(new Ring);
    for (TaskRun step = setup.task_run_max;; step = static_cast<TaskRun>(static_cast<int>(step) - 1)) {
        io_uring_params params{};
        params.flags = setup_flags(step);
        params.cq_entries = setup.completion_entries;
        const int failed = io_uring_queue_init_params(setup.submission_entries, &ring->ring_, &params);
        if (failed == 0) {
            ring->task_run_ = step;
            ring->can_hide_iowait_ = (params.features & feature_no_iowait) != 0;
            return {std::move(ring), 0};
        }
        ring->ring_.ring_fd = -1;
        // EINVAL: this kernel does not know one of the flags.
        if (failed != -EINVAL || step == TaskRun::Interrupting) return {nullptr, -failed};
    }
}

Ring::~Ring() {
    if (ring_.ring_fd >= 0) io_uring_queue_exit(&ring_);
}

void Ring::enable() {
    // liburing 2.3 declares io_uring_enable_rings() without exporting it.
    const int failed =
        io_uring_register(static_cast<unsigned>(ring_.ring_fd), IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    MUSTER_ENSURE(failed == 0, "a fresh ring can be enabled");
}

void Ring::register_descriptor() noexcept {
    // Only a saving: without it (old kernel, no slot left) the plain descriptor is used.
    io_uring_register_ring_fd(&ring_);
}

void Ring::unregister_descriptor() noexcept { io_uring_unregister_ring_fd(&ring_); }

int Ring::register_buffers(void* memory, unsigned entries, std::uint16_t group,
                           std::uint16_t flags) noexcept {
    // The kernel's io_uring_buf_reg, whose `flags` liburing 2.3 still calls padding.
    struct Registration {
        std::uint64_t address;
        std::uint32_t entries;
        std::uint16_t group;
        std::uint16_t flags;
        std::uint64_t reserved[3];
    } registration{reinterpret_cast<std::uintptr_t>(memory), entries, group, flags, {}};
    static_assert(sizeof(Registration) == sizeof(io_uring_buf_reg));
    return -io_uring_register(static_cast<unsigned>(ring_.ring_fd), IORING_REGISTER_PBUF_RING, &registration,
                              1);
}

void Ring::unregister_buffers(std::uint16_t group) noexcept { io_uring_unregister_buf_ring(&ring_, group); }

io_uring_sqe* Ring::next_submission() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    while (!sqe) {
        const int submitted = io_uring_submit(&ring_);
        MUSTER_ENSURE(is_transient(submitted), "submitting works on the loop's own thread");
        sqe = io_uring_get_sqe(&ring_);
    }
    return sqe;
}

bool Ring::needs_enter() const noexcept {
    return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

void Ring::submit() {
    const int submitted = io_uring_submit_and_get_events(&ring_);
    MUSTER_ENSURE(is_transient(submitted), "submitting works on the loop's own thread");
}

void Ring::submit_and_wait(std::optional<Duration> timeout) {
    __kernel_timespec limit{};
    if (timeout) {
        const auto ns = std::max<Duration::rep>(timeout->count(), 0);
        limit.tv_sec = ns / 1'000'000'000;
        limit.tv_nsec = ns % 1'000'000'000;
    }
    __kernel_timespec* const until = timeout ? &limit : nullptr;
    io_uring_cqe* first = nullptr;
    const int waited = can_hide_iowait_ ? enter_without_iowait(until)
                                        : io_uring_submit_and_wait_timeout(&ring_, &first, 1, until, nullptr);
    MUSTER_ENSURE(is_transient(waited), "waiting works on the loop's own thread");
}

// liburing 2.3 cannot pass the flag along, so these two are what its io_uring_submit_and_wait_timeout() does.
unsigned Ring::flush_submissions() noexcept {
    io_uring_sq& queue = ring_.sq;
    unsigned tail = *queue.ktail; // written by this thread alone
    for (; queue.sqe_head != queue.sqe_tail; ++queue.sqe_head, ++tail) {
        if (queue.array) queue.array[tail & queue.ring_mask] = queue.sqe_head & queue.ring_mask;
    }
    io_uring_smp_store_release(queue.ktail, tail);
    return tail - IO_URING_READ_ONCE(*queue.khead);
}

int Ring::enter_without_iowait(__kernel_timespec* limit) noexcept {
    io_uring_getevents_arg arg{};
    arg.ts = reinterpret_cast<std::uintptr_t>(limit);
    unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | enter_no_iowait;
    if (ring_.enter_ring_fd != ring_.ring_fd) flags |= IORING_ENTER_REGISTERED_RING;
    return io_uring_enter2(static_cast<unsigned>(ring_.enter_ring_fd), flush_submissions(), 1, flags,
                           reinterpret_cast<sigset_t*>(&arg), sizeof(arg));
}

std::size_t Ring::take(std::span<Completion> out) noexcept {
    std::size_t count = 0;
    unsigned head = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) {
        if (count == out.size()) break;
        out[count++] = {cqe->user_data, cqe->res, cqe->flags};
    }
    if (count != 0) io_uring_cq_advance(&ring_, static_cast<unsigned>(count));
    return count;
}

} // namespace muster::uring
