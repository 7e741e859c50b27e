// SPDX-License-Identifier: Apache-2.0
#include "lease_worker.hpp"

#include "base/own_thread.hpp"
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace muster {

struct LeaseWorker::State {
    struct Job {
        std::string what;
        Operation operation;
        Lease::Done done;
    };
    State(std::string name, std::size_t max) : thread_name(std::move(name)), queue_max(max) {}

    const std::string thread_name;
    const std::size_t queue_max;

    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Job> queue;
    /// The operation under way, without its function, which the thread runs; taken by whoever answers it.
    std::optional<Job> under_way;
    bool started = false;        ///< the thread
    bool ended = false;          ///< the LeaseWorker is gone
    std::thread::id answering{}; ///< the thread, while it runs a `done`

    static result<void> start(const std::shared_ptr<State>& self);
    static void serve(const std::shared_ptr<State>& self);
};

/// With the lock held.
result<void> LeaseWorker::State::start(const std::shared_ptr<State>& self) {
    if (self->started) return {};
    try {
        // The thread may hang in a system call, so nothing can join it.
        own_thread(self->thread_name, [self] { serve(self); }).detach();
    } catch (const std::system_error& e) {
        return no_thread(e, self->thread_name);
    }
    self->started = true;
    return {};
}

void LeaseWorker::State::serve(const std::shared_ptr<State>& self) {
    std::unique_lock lock{self->mutex};
    while (true) {
        self->changed.wait(lock, [&] { return self->ended || !self->queue.empty(); });
        if (self->ended) return;
        self->under_way = std::move(self->queue.front());
        self->queue.pop_front();
        Operation operation = std::move(self->under_way->operation);
        lock.unlock();
        LeaseAnswer answer = operation();
        operation = nullptr; // its captures are destroyed without the lock
        lock.lock();
        if (!self->under_way) return; // the destructor has answered for us
        Lease::Done done = std::move(self->under_way->done);
        self->under_way.reset();
        self->answering = std::this_thread::get_id();
        lock.unlock();
        done(std::move(answer));
        done = nullptr; // it may hold the last reference to the lease: then the destructor runs here
        lock.lock();
        self->answering = {};
        self->changed.notify_all();
    }
}

LeaseWorker::LeaseWorker(std::string thread_name, std::size_t queue_max)
    : state_(std::make_shared<State>(std::move(thread_name), queue_max)) {}

LeaseWorker::~LeaseWorker() {
    State& s = *state_;
    std::deque<State::Job> unanswered;
    {
        std::unique_lock lock{s.mutex};
        s.ended = true;
        unanswered.swap(s.queue);
        if (s.under_way) unanswered.push_front(*std::exchange(s.under_way, std::nullopt));
        s.changed.notify_all();
        // A `done` may use what its owner is about to destroy, so it is waited for; it is short by contract.
        // One that destroys the lease itself runs here.
        s.changed.wait(lock, [&s] {
            return s.answering == std::thread::id{} || s.answering == std::this_thread::get_id();
        });
    }
    for (State::Job& job : unanswered)
        job.done(LeaseAnswer::failed(
            Error{Errc::cancelled, std::move(job.what), "the lease was closed before this was done", {}}));
}

void LeaseWorker::run(std::string what, Operation operation, Lease::Done done) {
    const std::shared_ptr<State> state = state_; // an answer may destroy this object at once
    const auto refused = [&]() -> std::optional<Error> {
        const std::lock_guard lock{state->mutex};
        if (state->queue.size() >= state->queue_max)
            return Error{Errc::limit_reached,
                         what,
                         std::to_string(state->queue.size()) + " operations wait already: its backend hangs",
                         {}};
        if (auto started = State::start(state); !started) return started.error();
        state->queue.push_back({std::move(what), std::move(operation), std::move(done)});
        state->changed.notify_all();
        return std::nullopt;
    }();
    if (refused) done(LeaseAnswer::failed(*refused));
}

} // namespace muster
