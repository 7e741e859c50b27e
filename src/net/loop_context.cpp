// SPDX-License-Identifier: Apache-2.0
#include "loop_context.hpp"

#include <algorithm>
#include <muster/ensure.hpp>

namespace muster::net {

LoopContext::Scope::Scope(LoopContext& loop) : loop_(loop), entry_(&loop, loop.recycled_) {
    MUSTER_ENSURE(!loop.running_.exchange(true, std::memory_order_acquire),
                  "a loop is run by one thread at a time and not from its own handlers");
}

LoopContext::Scope::~Scope() { loop_.running_.store(false, std::memory_order_release); }

class LoopContext::Run {
public:
    explicit Run(LoopContext& loop) : scope_(loop), loop_(loop) { loop.begin_run(); }
    ~Run() { loop_.end_run(); }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

private:
    Scope scope_;
    LoopContext& loop_;
};

LoopContext::~LoopContext() { close(); }

bool LoopContext::running_in_this_thread() const noexcept {
    return thread_call_stack::contains(const_cast<LoopContext*>(this)) != nullptr;
}

void LoopContext::enqueue(LoopTask* task) noexcept {
    if (running_in_this_thread()) {
        ready_.push(task);
        return;
    }
    LoopTask* top = inbox_.load(std::memory_order_relaxed);
    do {
        task->next_ = top == &sleeper_ ? nullptr : top;
    } while (!inbox_.compare_exchange_weak(top, task, std::memory_order_seq_cst, std::memory_order_relaxed));
    if (top == &sleeper_) wake();
}

TimerId LoopContext::schedule(Instant when, UniqueFunction<void()> action) {
    return timers_.put(when, std::move(action));
}

bool LoopContext::cancel_timer(TimerId timer) noexcept { return timers_.cancel(timer).has_value(); }

void LoopContext::run() {
    const Run running(*this);
    while (!consume_stop()) turn(Instant::max());
}

void LoopContext::run_until(Instant when, AtLimit at_limit) {
    const Run running(*this);
    while (!consume_stop()) {
        turn(when);
        if (now() < when) continue;
        if (at_limit == AtLimit::Return) return;
        if (ready_.empty() && inbox_empty() && timers_.next() > when) return;
    }
}

void LoopContext::stop() noexcept {
    // Pairs with prepare_sleep(): either it sees the flag, or this thread sees the sleeper.
    stop_.store(true, std::memory_order_seq_cst);
    LoopTask* top = &sleeper_;
    if (inbox_.compare_exchange_strong(top, nullptr, std::memory_order_seq_cst)) wake();
}

void LoopContext::turn(Instant limit) {
    take_inbox();
    run_timers();
    run_ready();
    // Also after stop(): operations that handlers have started reach the kernel before run() returns.
    const bool wait = ready_.empty() && !stop_requested();
    poll(wait ? std::min(timers_.next(), limit) : Instant::min());
}

void LoopContext::take_inbox() noexcept {
    if (inbox_empty()) return;
    LoopTask* newest = inbox_.exchange(nullptr, std::memory_order_acquire);
    LoopTask* oldest = nullptr;
    while (newest) {
        LoopTask* const older = newest->next_;
        newest->next_ = oldest;
        oldest = newest;
        newest = older;
    }
    while (oldest) {
        LoopTask* const next = oldest->next_;
        ready_.push(oldest);
        oldest = next;
    }
}

void LoopContext::run_timers() {
    if (timers_.empty()) return;
    const Instant time = now();
    const std::uint64_t mark = timers_.mark();
    while (!stop_requested()) {
        auto due = timers_.take_due(time, mark);
        if (!due) return;
        if (lateness_) {
            lateness_->record(
                static_cast<std::uint64_t>(std::max<Duration::rep>((time - due->when).count(), 0)));
        }
        due->action();
        recycled_.rethrow_pending_exception();
    }
}

void LoopContext::run_ready() {
    for (std::size_t left = ready_per_turn_max; left > 0 && !stop_requested(); --left) {
        LoopTask* task = ready_.pop();
        if (!task) return;
        task->function_(task, LoopTask::Act::Run);
        recycled_.rethrow_pending_exception();
    }
}

bool LoopContext::prepare_sleep() noexcept {
    LoopTask* top = nullptr;
    if (!inbox_.compare_exchange_strong(top, &sleeper_, std::memory_order_seq_cst)) return false;
    if (!stop_.load(std::memory_order_seq_cst)) return true;
    awake();
    return false;
}

void LoopContext::awake() noexcept {
    LoopTask* top = &sleeper_;
    inbox_.compare_exchange_strong(top, nullptr, std::memory_order_seq_cst);
}

void LoopContext::close() noexcept {
    if (closing_) return;
    closing_ = true;
    const Scope scope(*this);
    // Services first: they hold handlers of their own (parked operations, Asio timers, channels), which own
    // coroutines that queue their frames' destruction here; and ParkingLot tells every TaskGroup that it may
    // now die with tasks in it. Services themselves go last.
    boost::asio::execution_context::shutdown();
    destroy_queued();
    boost::asio::execution_context::destroy();
    destroy_queued();
}

void LoopContext::destroy_queued() noexcept {
    for (;;) {
        take_inbox();
        if (LoopTask* task = ready_.pop()) {
            task->function_(task, LoopTask::Act::Destroy);
        } else if (!timers_.take_any()) {
            return;
        }
    }
}

} // namespace muster::net
