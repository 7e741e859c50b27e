// SPDX-License-Identifier: Apache-2.0
#include "waiter.hpp"
#include <boost/asio/this_coro.hpp>
#include <muster/net/task_group.hpp>

namespace muster::net {

namespace asio = boost::asio;

struct Notifier::State {
    explicit State(Runtime& r) : runtime(r) {}

    Runtime& runtime;
    Waiter<void> waiter;
    bool notified = false;
    /// A notified waiter is already queued: it will see everything that happens until it runs.
    bool resuming = false;
    bool closed = false;
};

Notifier::Notifier(Runtime& runtime) : state_(std::make_shared<State>(runtime)) {}

Notifier::~Notifier() {
    state_->closed = true;
    state_->waiter.complete(Error{Errc::closed, "notifier", {}, {}});
}

void Notifier::notify() noexcept {
    State& state = *state_;
    if (state.resuming) return;
    if (state.waiter.complete({}))
        state.resuming = true;
    else
        state.notified = true;
}

Task<result<void>> Notifier::wait() { return wait_until(Instant::max()); }

Task<result<void>> Notifier::wait_until(Instant deadline) {
    const std::shared_ptr<State> state = state_; // the Notifier may die while we wait
    Runtime& runtime = state->runtime;
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none)
        co_return Error{Errc::cancelled, "notifier", {}, {}};
    if (std::exchange(state->notified, false)) co_return result<void>{};

    TimerId id = TimerId::None;
    if (deadline != Instant::max()) {
        if (deadline <= runtime.monotonic_now()) co_return Error{Errc::timed_out, "notifier", {}, {}};
        auto expire = [&waiter = state->waiter] {
            waiter.complete(Error{Errc::timed_out, "notifier", {}, {}});
        };
        id = runtime.schedule(deadline, std::move(expire));
    }
    const TimerGuard timer{runtime, id};
    auto wait = state->waiter.async_wait(runtime.executor(), Cancellable::Yes, "notifier", asio::deferred);
    auto outcome = co_await std::move(wait);
    state->resuming = false;
    co_return outcome;
}

} // namespace muster::net
