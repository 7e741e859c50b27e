// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The common base of muster's event loops: an Asio execution_context for one thread with its queue of ready
/// work, its timers and its inbox for other threads. It reads no clock and does no I/O: the derived loop
/// (io_uring, simulation) supplies both.
#include "timer_heap.hpp"
#include <atomic>
#include <boost/asio/detail/thread_context.hpp>
#include <boost/asio/detail/thread_info_base.hpp>
#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/execution/relationship.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <cstdint>
#include <memory>
#include <muster/metrics.hpp>
#include <type_traits>
#include <utility>

namespace muster::net {

class LoopExecutor;

/// One piece of work in a loop's queues. Intrusive: an I/O object queues itself without an allocation.
/// A task is in at most one queue at a time, and its queue tells it exactly once: Run, or Destroy when the
/// loop is destroyed first.
class LoopTask {
public:
    enum class Act : std::uint8_t { Run, Destroy };
    using Function = void (*)(LoopTask* self, Act act);

    explicit LoopTask(Function function) noexcept : function_(function) {}
    LoopTask(const LoopTask&) = delete;
    LoopTask& operator=(const LoopTask&) = delete;

protected:
    ~LoopTask() = default;

private:
    friend class LoopContext;
    friend class LoopQueue;
    LoopTask* next_ = nullptr;
    Function function_;
};

/// First in, first out; not thread-safe.
class LoopQueue {
public:
    bool empty() const noexcept { return first_ == nullptr; }
    void push(LoopTask* task) noexcept {
        task->next_ = nullptr;
        (last_ ? last_->next_ : first_) = task;
        last_ = task;
    }
    LoopTask* pop() noexcept {
        LoopTask* task = first_;
        if (task) {
            first_ = std::exchange(task->next_, nullptr);
            if (!first_) last_ = nullptr;
        }
        return task;
    }

private:
    LoopTask* first_ = nullptr;
    LoopTask* last_ = nullptr;
};

/// A loop run by one thread at a time. Anything not marked "any thread" belongs to that thread.
///
/// A turn is: inbox, due timers, ready work (also what that work makes ready, up to a limit), poll().
/// The derived class calls close() first thing in its own destructor, with I/O already drained.
class LoopContext : public boost::asio::execution_context, private boost::asio::detail::thread_context {
public:
    using executor_type = LoopExecutor;

    virtual ~LoopContext();
    LoopContext(const LoopContext&) = delete;
    LoopContext& operator=(const LoopContext&) = delete;

    executor_type get_executor() noexcept; ///< any thread
    /// Whether the caller is inside run(), run_until() or close() of this loop. Any thread.
    bool running_in_this_thread() const noexcept;

    /// Queues a task behind all ready work. Any thread; from other threads through the inbox, in order per
    /// thread, waking the loop when it may sleep. Never runs it inside the call.
    void enqueue(LoopTask* task) noexcept;
    /// The same for any callable without arguments.
    template <class F>
    void post(F&& function);

    TimerId schedule(Instant when, UniqueFunction<void()> action);
    bool cancel_timer(TimerId timer) noexcept;
    Instant next_timer() const noexcept { return timers_.next(); }
    std::size_t timers() const noexcept { return timers_.size(); }
    bool has_ready() const noexcept { return !ready_.empty(); }

    /// Turns until stop(). A handler's exception leaves run(), which may be called again.
    void run();
    enum class AtLimit : std::uint8_t {
        Return,  ///< real time: return as soon as the time is reached, ready work waits for the next run
        Quiesce, ///< virtual time: first run everything that is ready at that time
    };
    void run_until(Instant when, AtLimit at_limit = AtLimit::Return);
    /// Makes run() return soon: after the handler it is in and one poll() that does not wait. When nobody
    /// runs, the next run() returns at once. Any thread.
    void stop() noexcept;
    bool stop_requested() const noexcept { return stop_.load(std::memory_order_relaxed); }

    virtual Instant now() const noexcept = 0;

protected:
    LoopContext() = default;

    /// Does the loop's I/O: starts requested operations, and finishes completed ones. Waits for a completion,
    /// for wake() or for `deadline`, whichever is first; a deadline not after now() means not to wait.
    /// Brackets a wait with prepare_sleep() and awake().
    virtual void poll(Instant deadline) = 0;
    /// Called inside run() and run_until() before the first and after the last turn: a loop whose I/O is
    /// bound to a thread attaches and detaches it here.
    virtual void begin_run() {}
    virtual void end_run() noexcept {}
    /// Ends a wait in poll(). Called at most once per successful prepare_sleep(), from any thread.
    virtual void wake() noexcept = 0;

    /// Announces a wait. False when there is a reason not to wait (inbox not empty, stop requested); true
    /// obliges to call awake() after the wait.
    bool prepare_sleep() noexcept;
    void awake() noexcept;
    bool inbox_empty() const noexcept { return inbox_.load(std::memory_order_relaxed) == nullptr; }

    /// Destroys all waiting work: ready tasks, inbox, timers, then Asio services. Coroutines are destroyed
    /// here, with what they own and what they queue meanwhile. Nothing runs. Idempotent.
    void close() noexcept;
    bool closing() const noexcept { return closing_; }

    /// To be called after each handler that poll() runs: an exception captured by the executor leaves here.
    void rethrow_pending_exception() { recycled_.rethrow_pending_exception(); }

    /// Records by how many nanoseconds each timer fires after its deadline.
    void measure_lateness(Histogram& histogram) noexcept { lateness_ = &histogram; }

    /// Marks this thread as the loop's, for derived classes that drain I/O in their destructor.
    class Scope {
    public:
        explicit Scope(LoopContext& loop);
        ~Scope();
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

    private:
        LoopContext& loop_;
        thread_call_stack::context entry_;
    };

private:
    friend class LoopExecutor;
    template <class F>
    class HandlerTask;

    /// Ready tasks of one turn: enough to let a burst flow into one system call, few enough not to starve
    /// timers and I/O.
    static constexpr std::size_t ready_per_turn_max = 1024;

    class Run;
    void turn(Instant limit);
    void take_inbox() noexcept;
    void run_timers();
    void run_ready();
    void destroy_queued() noexcept;
    bool consume_stop() noexcept {
        return stop_.load(std::memory_order_relaxed) && stop_.exchange(false, std::memory_order_acq_rel);
    }

    LoopQueue ready_;
    TimerHeap timers_;
    Histogram* lateness_ = nullptr;
    bool closing_ = false;
    /// Caches the memory of freed handlers and coroutine frames. Asio finds it through the call stack.
    boost::asio::detail::thread_info_base recycled_;

    /// A stack of tasks from other threads, newest first. `sleeper_` on top means that the loop may sleep:
    /// whoever replaces it must wake the loop, so one burst wakes it once.
    alignas(64) std::atomic<LoopTask*> inbox_{nullptr};
    std::atomic<bool> stop_{false};
    std::atomic<bool> running_{false};
    struct Sleeper final : LoopTask {
        Sleeper() noexcept : LoopTask(nullptr) {}
    } sleeper_;
};

/// The loop's Asio executor: 16 bytes, copyable from any thread, valid as long as the loop. run() ends by
/// stop() only, so tracked outstanding work is a property without a cost.
class LoopExecutor {
public:
    using Blocking = boost::asio::execution::blocking_t;
    using Relationship = boost::asio::execution::relationship_t;
    using Work = boost::asio::execution::outstanding_work_t;

    explicit LoopExecutor(LoopContext& loop) noexcept : loop_(&loop) {}

    LoopContext& context() const noexcept { return *loop_; }
    bool running_in_this_thread() const noexcept { return loop_->running_in_this_thread(); }

    /// Runs `function` on the loop: inside the call when blocking.possibly (the default) and already on the
    /// loop's thread, otherwise queued. Any thread.
    template <class F>
    void execute(F&& function) const {
        if (may_block_ && loop_->running_in_this_thread() && !loop_->closing()) {
            std::decay_t<F> taken(std::forward<F>(function));
            try {
                std::move(taken)();
            } catch (...) {
                // The exception is not the submitter's: it leaves run() once the current handler is done.
                loop_->recycled_.capture_current_exception();
            }
            return;
        }
        loop_->post(std::forward<F>(function));
    }

    LoopContext& query(boost::asio::execution::context_t) const noexcept { return *loop_; }
    Blocking query(Blocking) const noexcept {
        return may_block_ ? Blocking(Blocking::possibly) : Blocking(Blocking::never);
    }
    Relationship query(Relationship) const noexcept {
        return continuation_ ? Relationship(Relationship::continuation) : Relationship(Relationship::fork);
    }
    Work query(Work) const noexcept { return tracked_ ? Work(Work::tracked) : Work(Work::untracked); }

    LoopExecutor require(Blocking::possibly_t) const noexcept { return with(true, continuation_, tracked_); }
    LoopExecutor require(Blocking::never_t) const noexcept { return with(false, continuation_, tracked_); }
    LoopExecutor require(Relationship::fork_t) const noexcept { return with(may_block_, false, tracked_); }
    LoopExecutor require(Relationship::continuation_t) const noexcept {
        return with(may_block_, true, tracked_);
    }
    LoopExecutor require(Work::tracked_t) const noexcept { return with(may_block_, continuation_, true); }
    LoopExecutor require(Work::untracked_t) const noexcept { return with(may_block_, continuation_, false); }

    friend bool operator==(const LoopExecutor&, const LoopExecutor&) noexcept = default;

private:
    LoopExecutor with(bool may_block, bool continuation, bool tracked) const noexcept {
        LoopExecutor e(*loop_);
        e.may_block_ = may_block;
        e.continuation_ = continuation;
        e.tracked_ = tracked;
        return e;
    }

    LoopContext* loop_;
    bool may_block_ = true;
    bool continuation_ = false;
    bool tracked_ = false;
};

template <class F>
class LoopContext::HandlerTask final : public LoopTask {
public:
    template <class G>
    static LoopTask* create(G&& function) {
        Allocator allocator;
        HandlerTask* memory = allocator.allocate(1);
        try {
            return ::new (static_cast<void*>(memory)) HandlerTask(std::forward<G>(function));
        } catch (...) {
            allocator.deallocate(memory, 1);
            throw;
        }
    }

private:
    using Allocator = boost::asio::recycling_allocator<HandlerTask>;

    template <class G>
    explicit HandlerTask(G&& function) : LoopTask(&act), function_(std::forward<G>(function)) {}

    static void act(LoopTask* base, Act act) {
        auto* self = static_cast<HandlerTask*>(base);
        // The memory goes back before the call, so that the handler's own next operation can take it.
        F function(std::move(self->function_));
        self->~HandlerTask();
        Allocator{}.deallocate(self, 1);
        if (act == Act::Run) std::move(function)();
    }

    F function_;
};

template <class F>
void LoopContext::post(F&& function) {
    enqueue(HandlerTask<std::decay_t<F>>::create(std::forward<F>(function)));
}

inline LoopExecutor LoopContext::get_executor() noexcept { return LoopExecutor(*this); }

} // namespace muster::net
