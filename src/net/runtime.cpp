// SPDX-License-Identifier: Apache-2.0
#include <muster/net/runtime.hpp>

#include "waiter.hpp"
#include <boost/asio/this_coro.hpp>

namespace muster::net {

namespace asio = boost::asio;

Task<result<void>> Runtime::sleep_until(Instant when) {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none)
        co_return Error{Errc::cancelled, "sleep", {}, {}};
    Waiter<void> waiter;
    auto expire = [&waiter] { waiter.complete({}); };
    const TimerGuard timer{*this, schedule(when, std::move(expire))};
    auto wait = waiter.async_wait(executor(), Cancellable::Yes, "sleep", asio::deferred);
    auto outcome = co_await std::move(wait);
    co_return outcome;
}

Task<result<void>> Runtime::sleep_for(Duration duration) {
    const Instant now = monotonic_now();
    const bool forever = duration > Instant::max() - now;
    return sleep_until(forever ? Instant::max() : now + duration);
}

} // namespace muster::net
