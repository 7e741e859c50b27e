// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The event loop on one io_uring (architecture.md, The event loop).
#include "net/loop_context.hpp"
#include "net/waiter.hpp"
#include "operation.hpp"
#include "receive_buffers.hpp"
#include "ring.hpp"
#include <boost/intrusive/list.hpp>
#include <muster/uring/runtime.hpp>
#include <sys/types.h>

namespace muster::uring {

/// A socket that the loop has to release at its end although a user still holds it.
class Dependent
    : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
public:
    /// The loop is gone: close, and do not touch it any more.
    virtual void orphan() noexcept = 0;

protected:
    ~Dependent() = default;
};

/// A LoopContext whose poll() is one io_uring_enter.
///
/// With deferred task work a ring belongs to one thread for good, while a Runtime may be run by one thread
/// after another. So the end of a run takes every operation back from the kernel, which leaves nothing in
/// flight when the loop is destroyed, and a run on another thread makes a ring of its own.
class Context final : public net::LoopContext {
public:
    struct Counters {
        explicit Counters(Metrics& metrics);
        Counter& turns;
        Counter& enters;
        Counter& waits;
        Counter& spin_hits;
        Counter& wakeups;
        Counter& completions;
        Counter& cancels;
        Counter& rings;
        Counter& no_buffers;
        Counter& copied_bytes;
        Counter& paused;
        Counter& received_bytes;
        Counter& sent_bytes;
        Counter& sent_at_once;
        Counter& connected;
        Counter& connect_failed;
        Counter& accepted;
        Counter& accept_failed;
        Gauge& connections;
        Histogram& lateness;
    };

    /// Errors: as uring::probe().
    static result<std::unique_ptr<Context>> create(const Options& options, Metrics& metrics,
                                                   Capabilities& found);
    ~Context() override;

    Instant now() const noexcept override;
    /// Destroys all coroutines and queued work; the rest goes with the destructor. Nobody runs it any more.
    void shut_down() noexcept { close(); }
    using LoopContext::closing;

    /// Starts an idle operation: with the next enter, or with the next run when nobody runs.
    void start(Operation& operation);
    /// Makes an operation that is not idle complete soon, with ECANCELED unless it was faster. In place when
    /// the kernel does not have it.
    void cancel(Operation& operation);

    void add(Dependent& dependent) noexcept { dependents_.push_back(dependent); }
    net::ParkingLot& parking_lot() noexcept { return parking_lot_; }
    ReceiveBuffers& buffers() noexcept { return *buffers_; }
    Counters& counters() noexcept { return counters_; }
    /// Counts the turns, for limits per turn.
    std::uint64_t turn() const noexcept { return turn_; }
    bool multishot_receive() const noexcept { return multishot_receive_; }
    std::size_t receive_queue_bytes_max() const noexcept { return receive_queue_bytes_max_; }

    /// Something to do once per turn before the kernel is entered: connections that were not read from.
    class TurnEnd : public boost::intrusive::list_base_hook<
                        boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
    public:
        virtual void at_turn_end() = 0;

    protected:
        ~TurnEnd() = default;
    };
    void at_turn_end(TurnEnd& what) noexcept {
        if (!what.is_linked()) turn_ends_.push_back(what);
    }

protected:
    void begin_run() override;
    void end_run() noexcept override;
    void poll(Instant deadline) override;
    void wake() noexcept override;

private:
    using BuffersPtr = std::unique_ptr<ReceiveBuffers, ReceiveBuffers::Deleter>;

    /// Reads the eventfd with which other threads end a wait.
    class Wakeup final : public Operation {
    public:
        explicit Wakeup(Context& context) noexcept : context_(context) {}
        void prepare(io_uring_sqe& sqe) override;
        void complete(int result, std::uint32_t flags) override;

    private:
        Context& context_;
        std::uint64_t value_ = 0;
    };

    Context(const Options& options, Metrics& metrics, std::unique_ptr<Ring> ring, BuffersPtr buffers,
            const Capabilities& found, int wake_descriptor);

    static Ring::Setup ring_setup(const Options& options, TaskRun task_run_max);
    static BuffersPtr make_buffers(const Options& options, bool incremental);
    static result<int> make_wake_descriptor();

    void bind_ring();
    void submit(Operation& operation);
    void run_turn_ends();
    bool spin(Instant deadline, Instant time);
    void enter();
    void enter_and_wait(Instant deadline);
    std::size_t reap();
    void dispatch(const Completion& completion);
    void request_cancel(const Operation& operation);

    Counters counters_;
    net::ParkingLot& parking_lot_;
    Ring::Setup ring_setup_;
    std::unique_ptr<Ring> ring_;
    pid_t ring_thread_ = 0; ///< the thread that has enabled ring_, 0 before
    BuffersPtr buffers_;
    Duration idle_spin_;
    bool multishot_receive_;
    std::size_t receive_queue_bytes_max_;
    int wake_descriptor_;
    Wakeup wakeup_{*this};

    std::uint64_t turn_ = 0;
    bool attached_ = false; ///< operations go to the kernel now
    boost::intrusive::list<Operation> in_flight_;
    boost::intrusive::list<Operation> waiting_;
    boost::intrusive::list<TurnEnd, boost::intrusive::constant_time_size<false>> turn_ends_;
    boost::intrusive::list<Dependent, boost::intrusive::constant_time_size<false>> dependents_;
};

} // namespace muster::uring
