// SPDX-License-Identifier: Apache-2.0
#include "context.hpp"

#include "probe.hpp"
#include <array>
#include <cerrno>
#include <ctime>
#include <muster/ensure.hpp>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace muster::uring {
namespace {

constexpr std::size_t completions_per_copy = 64;
/// Completions of one turn: a ring that fills as fast as it is emptied must not keep timers waiting.
constexpr std::size_t completions_per_turn_max = 16 * 1024;
/// Spinning on a machine with fewer CPUs takes the CPU from the process that the loop waits for.
constexpr int spin_cpus_min = 4;
constexpr Duration spin_default = std::chrono::microseconds(50);
/// Looks for completions between two looks at the clock.
constexpr int spins_per_clock = 32;

int usable_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

} // namespace

Context::Counters::Counters(Metrics& m)
    : turns(m.counter("runtime.uring.turns")), enters(m.counter("runtime.uring.enters")),
      waits(m.counter("runtime.uring.waits")), spin_hits(m.counter("runtime.uring.spin_hits")),
      wakeups(m.counter("runtime.uring.wakeups")), completions(m.counter("runtime.uring.completions")),
      cancels(m.counter("runtime.uring.cancels")), rings(m.counter("runtime.uring.rings")),
      no_buffers(m.counter("runtime.uring.receive.enobufs")),
      copied_bytes(m.counter("runtime.uring.receive.copied_bytes")),
      paused(m.counter("runtime.uring.receive.paused")), received_bytes(m.counter("net.receive.bytes")),
      sent_bytes(m.counter("net.send.bytes")), sent_at_once(m.counter("runtime.uring.sends.at_once")),
      connected(m.counter("net.connect.opened")), connect_failed(m.counter("net.connect.failed")),
      accepted(m.counter("net.accept.opened")), accept_failed(m.counter("net.accept.failed")),
      connections(m.gauge("net.connections.open")), lateness(m.histogram("runtime.timer.lateness_ns")) {}

Ring::Setup Context::ring_setup(const Options& options, TaskRun task_run_max) {
    return {options.submission_entries, options.completion_entries, task_run_max};
}

Context::BuffersPtr Context::make_buffers(const Options& options, bool incremental) {
    ReceiveBuffers::Shape shape{options.receive_buffer_bytes,
                                static_cast<unsigned>(options.receive_buffer_count), incremental};
    if (shape.block_bytes == 0) shape.block_bytes = incremental ? 256 * 1024 : 64 * 1024;
    if (shape.count == 0) shape.count = incremental ? 16 : 64;
    return ReceiveBuffers::create(shape);
}

result<int> Context::make_wake_descriptor() {
    const int descriptor = eventfd(0, EFD_CLOEXEC); // blocking, or io_uring would not wait for it
    if (descriptor < 0) return from_errno(errno, "eventfd of the event loop");
    return descriptor;
}

result<std::unique_ptr<Context>> Context::create(const Options& options, Metrics& metrics,
                                                 Capabilities& found) {
    auto created = Ring::create(ring_setup(options, options.task_run_max));
    if (!created.ring) return explain_setup_failure(created.error);
    auto examined = examine(*created.ring);
    if (!examined) return examined.error();
    found = *examined;
    Capabilities used = found;
    used.incremental_buffers = used.incremental_buffers && options.incremental_buffers;
    used.multishot_receive = used.multishot_receive && options.multishot_receive;
    auto buffers = make_buffers(options, used.incremental_buffers);
    if (!buffers) return explain_setup_failure(ENOMEM);
    if (const int error = buffers->attach(*created.ring)) return explain_setup_failure(error);
    const auto wake = make_wake_descriptor();
    if (!wake) return wake.error();
    return std::unique_ptr<Context>(
        new Context(options, metrics, std::move(created.ring), std::move(buffers), used, *wake));
}

Context::Context(const Options& options, Metrics& metrics, std::unique_ptr<Ring> ring, BuffersPtr buffers,
                 const Capabilities& found, int wake_descriptor)
    : counters_(metrics), parking_lot_(boost::asio::use_service<net::ParkingLot>(*this)),
      ring_setup_(ring_setup(options, ring->task_run())), ring_(std::move(ring)),
      buffers_(std::move(buffers)), idle_spin_(options.idle_spin.value_or(
                                        usable_cpus() >= spin_cpus_min ? spin_default : Duration::zero())),
      multishot_receive_(found.multishot_receive), receive_queue_bytes_max_(options.receive_queue_bytes_max),
      wake_descriptor_(wake_descriptor) {
    counters_.rings.add();
    measure_lateness(counters_.lateness);
}

Context::~Context() {
    close(); // coroutines die; what they own finds nothing in flight and closes in place
    while (!waiting_.empty()) cancel(waiting_.front());
    while (!dependents_.empty()) {
        Dependent& dependent = dependents_.front();
        dependents_.pop_front();
        dependent.orphan();
    }
    MUSTER_ENSURE(in_flight_.empty(), "the end of a run leaves nothing in flight");
    buffers_->detach(*ring_);
    ring_.reset();
    ::close(wake_descriptor_);
}

Instant Context::now() const noexcept {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return Instant{std::chrono::seconds{time.tv_sec} + Duration{time.tv_nsec}};
}

void Context::start(Operation& operation) {
    MUSTER_ENSURE(operation.idle(), "an operation is started once");
    operation.cancelled_ = false;
    if (attached_) {
        submit(operation);
    } else {
        operation.state_ = Operation::State::Waiting;
        waiting_.push_back(operation);
    }
}

void Context::submit(Operation& operation) {
    io_uring_sqe* sqe = ring_->next_submission();
    operation.prepare(*sqe);
    sqe->user_data = reinterpret_cast<std::uintptr_t>(&operation);
    operation.state_ = Operation::State::InFlight;
    in_flight_.push_back(operation);
}

void Context::cancel(Operation& operation) {
    if (operation.idle() || operation.cancelled_) return;
    operation.cancelled_ = true;
    if (operation.state_ == Operation::State::Waiting) {
        waiting_.erase(waiting_.iterator_to(operation));
        operation.state_ = Operation::State::Idle;
        operation.complete(-ECANCELED, 0);
        return;
    }
    // While a run ends everything is being cancelled anyway.
    if (!attached_) return;
    request_cancel(operation);
}

void Context::request_cancel(const Operation& operation) {
    counters_.cancels.add();
    io_uring_sqe* sqe = ring_->next_submission();
    io_uring_prep_cancel64(sqe, reinterpret_cast<std::uintptr_t>(&operation), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = 0;
}

void Context::begin_run() {
    bind_ring();
    ring_->register_descriptor();
    attached_ = true;
    if (wakeup_.idle()) start(wakeup_);
    // Starting may find the queue full and complete other operations, which wait again, but not in this list.
    boost::intrusive::list<Operation> waiting;
    waiting.swap(waiting_);
    while (!waiting.empty()) {
        Operation& operation = waiting.front();
        waiting.pop_front();
        submit(operation);
    }
}

void Context::bind_ring() {
    const pid_t thread = gettid();
    if (ring_thread_ == thread) return;
    if (ring_thread_ != 0) {
        buffers_->detach(*ring_);
        auto created = Ring::create(ring_setup_);
        MUSTER_ENSURE(created.ring,
                      "a thread that takes over the loop can make a ring as the first one could");
        ring_ = std::move(created.ring);
        MUSTER_ENSURE(buffers_->attach(*ring_) == 0,
                      "a second ring takes the buffers that the first one took");
        counters_.rings.add();
    }
    ring_->enable();
    ring_thread_ = thread;
}

void Context::end_run() noexcept {
    attached_ = false;
    while (!in_flight_.empty()) {
        // One by one: the kernel takes quadratic time for "everything".
        for (const Operation& operation : in_flight_) request_cancel(operation);
        ring_->submit_and_wait(std::nullopt);
        counters_.enters.add();
        reap();
    }
    ring_->unregister_descriptor();
}

void Context::poll(Instant deadline) {
    counters_.turns.add();
    ++turn_;
    run_turn_ends();
    buffers_->collect();
    const bool may_wait = deadline != Instant::min();
    const Instant time =
        may_wait && (deadline != Instant::max() || idle_spin_ > Duration::zero()) ? now() : Instant::min();
    if (!may_wait || deadline <= time) {
        enter();
        reap();
        return;
    }
    if (idle_spin_ > Duration::zero() && spin(deadline, time)) return;
    if (prepare_sleep()) {
        enter_and_wait(deadline);
        awake();
    } else {
        enter();
    }
    reap();
}

void Context::run_turn_ends() {
    // Each runs once, also when one asks for the next turn.
    boost::intrusive::list<TurnEnd, boost::intrusive::constant_time_size<false>> due;
    due.swap(turn_ends_);
    while (!due.empty()) {
        TurnEnd& what = due.front();
        due.pop_front();
        what.at_turn_end();
    }
}

/// True when there is something to do, or when the deadline has come.
bool Context::spin(Instant deadline, Instant time) {
    const Instant end = std::min(deadline, time + idle_spin_);
    enter();
    for (;;) {
        for (int i = 0; i < spins_per_clock; ++i) {
            if (ring_->has_completions() || ring_->needs_enter()) {
                if (!ring_->has_completions()) enter();
                counters_.spin_hits.add();
                reap();
                return true;
            }
            if (!inbox_empty()) {
                counters_.spin_hits.add();
                return true;
            }
            relax();
        }
        if (stop_requested()) return true;
        if (now() >= end) return end == deadline;
    }
}

void Context::enter() {
    if (!ring_->has_submissions() && !ring_->needs_enter()) return;
    ring_->submit();
    counters_.enters.add();
}

void Context::enter_and_wait(Instant deadline) {
    std::optional<Duration> timeout;
    if (deadline != Instant::max()) timeout = deadline - now();
    ring_->submit_and_wait(timeout);
    counters_.enters.add();
    counters_.waits.add();
}

std::size_t Context::reap() {
    std::array<Completion, completions_per_copy> copies;
    std::size_t total = 0;
    // Completions are copied out before they are dispatched: a handler may submit and reuse the ring's
    // memory.
    while (total < completions_per_turn_max) {
        const std::size_t count = ring_->take(copies);
        if (count == 0) break;
        for (std::size_t i = 0; i < count; ++i) dispatch(copies[i]);
        total += count;
    }
    if (total != 0) counters_.completions.add(total);
    return total;
}

void Context::dispatch(const Completion& completion) {
    if (completion.user_data == 0) return; // a cancellation that came too late
    auto* operation = reinterpret_cast<Operation*>(static_cast<std::uintptr_t>(completion.user_data));
    if ((completion.flags & IORING_CQE_F_MORE) == 0) {
        operation->state_ = Operation::State::Idle;
        in_flight_.erase(in_flight_.iterator_to(*operation));
    }
    operation->complete(completion.result, completion.flags);
}

void Context::wake() noexcept {
    const std::uint64_t one = 1;
    // Fails only when the counter is full, and then the loop is awake.
    [[maybe_unused]] const auto written = write(wake_descriptor_, &one, sizeof(one));
}

void Context::Wakeup::prepare(io_uring_sqe& sqe) {
    io_uring_prep_read(&sqe, context_.wake_descriptor_, &value_, sizeof(value_), 0);
}

void Context::Wakeup::complete(int result, std::uint32_t) {
    if (result > 0) context_.counters_.wakeups.add();
    if (!context_.closing()) context_.start(*this);
}

} // namespace muster::uring
