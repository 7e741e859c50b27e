// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The counter of a simulated process's resources, and the executor that counts its unfinished work.
#include "net/loop_context.hpp"
#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <muster/sim/runtime.hpp>
#include <type_traits>
#include <utility>

namespace muster::sim {

/// Lives as long as anything of its process does: streams, listeners and buffers share it, executors keep it
/// by their number (a shared_ptr would not fit into any_io_executor beside the loop, and cost each copy of
/// one an atomic addition).
class ProcessLeakCounter final : public LeakCounter, public std::enable_shared_from_this<ProcessLeakCounter> {
public:
    ProcessLeakCounter(std::shared_ptr<const Metrics> metrics,
                       std::shared_ptr<const ChunkPool> chunks) noexcept
        : metrics_(std::move(metrics)), chunks_(std::move(chunks)) {}

    Balance balance() const override;
    const Metrics& metrics() const noexcept override { return *metrics_; }

    /// The process's loop; null once it has ended.
    const net::LoopContext* loop() const noexcept { return loop_; }
    void begin(const net::LoopContext& loop) noexcept { loop_ = &loop; }
    void end() noexcept { loop_ = nullptr; }

    void enter_executor(bool is_work) noexcept {
        if (executors_++ == 0) self_ = shared_from_this();
        work_ += is_work ? 1 : 0;
    }
    void leave_executor(bool is_work) noexcept {
        work_ -= is_work ? 1 : 0;
        if (--executors_ == 0) std::exchange(self_, nullptr); // may be the end of this
    }
    void count_stream(std::ptrdiff_t difference) noexcept {
        streams_ += static_cast<std::size_t>(difference);
    }
    void count_listener(std::ptrdiff_t difference) noexcept {
        listeners_ += static_cast<std::size_t>(difference);
    }
    void count_received(std::ptrdiff_t buffers, std::size_t bytes) noexcept {
        received_ += static_cast<std::size_t>(buffers);
        received_bytes_ += static_cast<std::size_t>(buffers) * bytes;
    }

private:
    const net::LoopContext* loop_ = nullptr;
    std::shared_ptr<const Metrics> metrics_;
    std::shared_ptr<const ChunkPool> chunks_;
    std::shared_ptr<ProcessLeakCounter> self_; ///< while there are executors
    std::size_t executors_ = 0;
    std::size_t work_ = 0;
    std::size_t streams_ = 0;
    std::size_t listeners_ = 0;
    std::size_t received_ = 0;
    std::size_t received_bytes_ = 0;
};

/// The executor of a simulated process: its loop's, and a count of the work that is to be done on it. Asio
/// holds such a copy in every coroutine that was spawned and in every operation that is under way. What is
/// submitted after the end of the process is destroyed unrun: a coroutine that was kept beyond that unwinds
/// through its executor.
class ProcessExecutor {
public:
    ProcessExecutor(const net::LoopExecutor& loop, ProcessLeakCounter& leak_counter) noexcept
        : loop_(loop), leak_counter_(&leak_counter) {
        leak_counter_->enter_executor(is_work());
    }
    ProcessExecutor(const ProcessExecutor& o) noexcept : ProcessExecutor(o.loop_, *o.leak_counter_) {}
    ProcessExecutor& operator=(const ProcessExecutor& o) noexcept {
        ProcessExecutor copy(o);
        std::swap(loop_, copy.loop_);
        std::swap(leak_counter_, copy.leak_counter_);
        return *this;
    }
    ~ProcessExecutor() { leak_counter_->leave_executor(is_work()); }

    template <class F>
    void execute(F&& function) const {
        if (leak_counter_->loop()) {
            loop_.execute(std::forward<F>(function));
        } else {
            const std::decay_t<F> dropped(std::forward<F>(function));
        }
    }
    template <class Property>
        requires requires(const net::LoopExecutor& loop, Property p) { loop.query(p); }
    decltype(auto) query(Property p) const noexcept {
        return loop_.query(p);
    }
    template <class Property>
        requires requires(const net::LoopExecutor& loop, Property p) { loop.require(p); }
    ProcessExecutor require(Property p) const noexcept {
        return {loop_.require(p), *leak_counter_};
    }
    friend bool operator==(const ProcessExecutor& a, const ProcessExecutor& b) noexcept {
        return a.loop_ == b.loop_;
    }

private:
    using Work = net::LoopExecutor::Work;
    bool is_work() const noexcept { return loop_.query(Work()) == Work(Work::tracked); }

    net::LoopExecutor loop_;
    ProcessLeakCounter* leak_counter_;
};
static_assert(sizeof(ProcessExecutor) <= 3 * sizeof(void*), "any_io_executor holds it without an allocation");

} // namespace muster::sim
