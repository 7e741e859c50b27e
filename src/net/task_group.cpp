// SPDX-License-Identifier: Apache-2.0
#include <muster/net/task_group.hpp>

#include "waiter.hpp"
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <list>
#include <muster/ensure.hpp>

namespace muster::net {

namespace asio = boost::asio;

struct TaskGroup::State {
    struct Member {
        asio::cancellation_signal signal;
        /// A signal before that would hit co_spawn's own first steps, which throw out of the executor.
        bool started = false;
    };
    using Members = std::list<Member>;

    explicit State(asio::any_io_executor ex)
        : executor(std::move(ex)), status(ParkingLot::of(executor).status()) {}

    void leave(Members::iterator member) {
        members.erase(member);
        if (!members.empty()) return;
        for (auto& joiner : joiners) joiner.complete({});
        joiners.clear();
    }

    /// The completion handler of one spawned coroutine, which owns it: called at its end, or destroyed with
    /// it when the Runtime is destroyed. Without an executor of its own, so that Asio passes cancellation on
    /// directly and does not keep a pointer to the signal in a queue.
    class Done;
    static Task<void> run(std::shared_ptr<State> state, Members::iterator member, Task<void> task);

    asio::any_io_executor executor;
    std::shared_ptr<const ParkingLot::Status> status;
    Members members;
    std::list<Waiter<void>> joiners;
    bool stopping = false;
};

class TaskGroup::State::Done {
public:
    using cancellation_slot_type = asio::cancellation_slot;

    Done(std::shared_ptr<State> state, Members::iterator member) noexcept
        : state_(std::move(state)), member_(member) {}
    Done(Done&&) noexcept = default;
    Done& operator=(Done&&) = delete;
    ~Done() {
        if (state_) state_->leave(member_);
    }
    cancellation_slot_type get_cancellation_slot() const noexcept { return member_->signal.slot(); }

    void operator()(std::exception_ptr thrown) {
        const auto state = std::exchange(state_, nullptr);
        if (thrown && !state->status->closing) report(thrown);
        state->leave(member_);
    }

private:
    [[noreturn]] static void report(const std::exception_ptr& thrown) {
        try {
            std::rethrow_exception(thrown);
        } catch (const std::exception& e) {
            detail::ensure_failed("no exception leaves a task", e.what(), std::source_location::current());
        } catch (...) {
            detail::ensure_failed("no exception leaves a task", "not a std::exception",
                                  std::source_location::current());
        }
    }

    std::shared_ptr<State> state_;
    Members::iterator member_;
};

Task<void> TaskGroup::State::run(std::shared_ptr<State> state, Members::iterator member, Task<void> task) {
    co_await asio::this_coro::throw_if_cancelled(false);
    // co_spawn starts a coroutine in place when it is called on the executor's thread: spawn() promises not
    // to.
    auto later = asio::post(asio::deferred);
    co_await std::move(later);
    member->started = true;
    if (state->stopping) member->signal.emit(asio::cancellation_type::terminal);
    co_await std::move(task);
}

TaskGroup::TaskGroup(Runtime& runtime) : state_(std::make_shared<State>(runtime.executor())) {}

TaskGroup::~TaskGroup() {
    MUSTER_ENSURE(empty() || state_->status->closing, "a TaskGroup is joined before it is destroyed");
}

void TaskGroup::spawn(Task<void> task) {
    if (state_->stopping) return;
    const auto member = state_->members.emplace(state_->members.end());
    State::Done done{state_, member};
    asio::co_spawn(state_->executor, State::run(state_, member, std::move(task)), std::move(done));
}

void TaskGroup::cancel() noexcept {
    if (std::exchange(state_->stopping, true)) return;
    for (auto& member : state_->members)
        if (member.started) member.signal.emit(asio::cancellation_type::terminal);
}

bool TaskGroup::stopping() const noexcept { return state_->stopping; }

bool TaskGroup::empty() const noexcept { return state_->members.empty(); }

Task<void> TaskGroup::join() {
    const std::shared_ptr<State> state = state_;
    if (state->members.empty()) co_return;
    auto& waiter = state->joiners.emplace_back();
    auto wait = waiter.async_wait(state->executor, Cancellable::No, "join", asio::deferred);
    co_await std::move(wait);
}

} // namespace muster::net
