// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Turns a completion token into a callback that the library can call later (architecture.md, Threads).
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <memory>
#include <muster/error.hpp>
#include <muster/unique_function.hpp>
#include <optional>
#include <utility>

namespace muster::detail {

/// Completes once: with a value from the library, or with Errc::cancelled by the caller, whichever comes
/// first. The handler runs on its associated executor (`fallback` when it has none), never inside the call
/// that completes it. Until then the executor's context has work. Afterwards it holds nothing of the
/// caller's, even if the library keeps its reference.
template <class T, class Handler>
class PendingCompletion : public std::enable_shared_from_this<PendingCompletion<T, Handler>> {
    using Executor = boost::asio::associated_executor_t<Handler, boost::asio::any_io_executor>;
    using Tracked = std::decay_t<decltype(boost::asio::prefer(
        std::declval<Executor>(), boost::asio::execution::outstanding_work.tracked))>;

public:
    PendingCompletion(Handler handler, boost::asio::any_io_executor fallback)
        : executor_(std::in_place,
                    boost::asio::prefer(boost::asio::get_associated_executor(handler, fallback),
                                        boost::asio::execution::outstanding_work.tracked)),
          handler_(std::in_place, std::move(handler)) {}

    /// Called once, right after construction, on the initiating thread.
    void watch_cancellation() {
        auto slot = boost::asio::get_associated_cancellation_slot(*handler_);
        if (slot.is_connected())
            slot.assign([weak = this->weak_from_this()](boost::asio::cancellation_type) {
                if (auto self = weak.lock()) self->complete(Error{Errc::cancelled, {}, {}, {}});
            });
    }
    /// Any thread.
    void complete(T value) {
        if (claimed_.exchange(true, std::memory_order_acq_rel)) return;
        // Only the side that claimed the completion touches these. From here on the posted handler counts as
        // the work.
        const Tracked executor = *std::move(executor_);
        executor_.reset();
        boost::asio::post(executor, [self = this->shared_from_this(), value = std::move(value)]() mutable {
            auto slot = boost::asio::get_associated_cancellation_slot(*self->handler_);
            if (slot.is_connected()) slot.clear();
            auto handler = *std::move(self->handler_);
            self->handler_.reset();
            std::move(handler)(std::move(value));
        });
    }

private:
    std::optional<Tracked> executor_;
    std::optional<Handler> handler_;
    std::atomic<bool> claimed_{false};
};

/// Calls complete() once; destroyed uncalled (the daemon or its Runtime is gone) it completes with
/// Errc::closed.
template <class T, class Pending>
struct Completer {
    std::shared_ptr<Pending> pending;
    explicit Completer(std::shared_ptr<Pending> p) noexcept : pending(std::move(p)) {}
    Completer(Completer&&) noexcept = default;
    Completer& operator=(Completer&&) = delete;
    ~Completer() {
        if (pending) pending->complete(T(Error{Errc::closed, "cluster daemon", "it was stopped", {}}));
    }
    void operator()(T value) { std::exchange(pending, nullptr)->complete(std::move(value)); }
};

/// Runs `start(UniqueFunction<void(T)>)` with a callback that completes `token`. T is a result<...>.
template <class T, class Token, class Start>
auto initiate(boost::asio::any_io_executor fallback, Token&& token, Start start) {
    return boost::asio::async_initiate<Token, void(T)>(
        [](auto handler, boost::asio::any_io_executor executor, Start run) {
            using Handler = std::decay_t<decltype(handler)>;
            auto pending =
                std::make_shared<PendingCompletion<T, Handler>>(std::move(handler), std::move(executor));
            pending->watch_cancellation();
            run(UniqueFunction<void(T)>(Completer<T, PendingCompletion<T, Handler>>{std::move(pending)}));
        },
        token, std::move(fallback), std::move(start));
}

} // namespace muster::detail
