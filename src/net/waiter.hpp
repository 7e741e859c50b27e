// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One suspended coroutine and its owner, for implementations of a Runtime or of a wait on top of one.
///
/// A suspended coroutine often owns, through its locals, the very object that would wake it. Kept there, the
/// two would own each other and never be freed. So a parked handler belongs to the execution context
/// (ParkingLot), and the object that wakes it (Waiter) only points at it.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/intrusive/list.hpp>
#include <memory>
#include <muster/ensure.hpp>
#include <muster/net/runtime.hpp>
#include <optional>
#include <utility>

namespace muster::net {

/// The parked operations of one execution context, as an Asio service of it: shutting the context down
/// destroys them, and with them the coroutines they would have resumed. Context's thread only.
class ParkingLot final : public boost::asio::execution_context::service {
public:
    static boost::asio::execution_context::id id;

    /// State that outlives the context: whether its shutdown has begun.
    struct Status {
        bool closing = false;
    };

    class Spot : public boost::intrusive::list_base_hook<
                     boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
    public:
        virtual ~Spot() = default;
    };

    explicit ParkingLot(boost::asio::execution_context& context);
    /// The lot of the context behind `executor`.
    static ParkingLot& of(const boost::asio::any_io_executor& executor);

    /// Takes ownership until the Spot unlinks itself.
    void park(Spot& spot) noexcept;
    /// Destroys every parked operation, also those that the destroyed ones park meanwhile. The coroutines
    /// unwind through the executor, whose queue the context has to drop afterwards.
    void shutdown() override;
    const std::shared_ptr<const Status>& status() const noexcept { return status_view_; }

private:
    using Spots = boost::intrusive::list<Spot, boost::intrusive::constant_time_size<false>>;
    Spots spots_;
    std::shared_ptr<Status> status_;
    std::shared_ptr<const Status> status_view_;
};

/// Whether an operation being started listens to terminal cancellation.
enum class Cancellable : bool { No, Yes };

/// The place where at most one coroutine waits for a result<T>. Not movable: the parked operation points
/// back. When the Waiter dies first, the operation stays parked until its context shuts down.
template <class T>
class Waiter {
public:
    using Result = result<T>;

    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() {
        if (parked_) parked_->waiter = nullptr;
    }

    bool waiting() const noexcept { return parked_ != nullptr; }

    /// Resumes the waiting coroutine through its executor, never from inside. False when nobody waits.
    bool complete(Result value) {
        if (!parked_) return false;
        Parked* parked = std::exchange(parked_, nullptr);
        parked->waiter = nullptr;
        parked->unlink();
        parked->value.emplace(std::move(value));
        parked->resume_soon();
        return true;
    }

    /// An Asio operation with the signature void(result<T>). Terminal cancellation completes it with
    /// Errc::cancelled about `subject`, which must outlive it (a literal).
    template <class Token>
    auto async_wait(boost::asio::any_io_executor executor, Cancellable cancellable, const char* subject,
                    Token&& token) {
        ParkingLot& lot = ParkingLot::of(executor);
        return async_wait(lot, std::move(executor), cancellable, subject, std::forward<Token>(token));
    }
    /// The same with the lot looked up before: `lot` is ParkingLot::of(executor).
    template <class Token>
    auto async_wait(ParkingLot& lot, boost::asio::any_io_executor executor, Cancellable cancellable,
                    const char* subject, Token&& token) {
        return boost::asio::async_initiate<Token, void(Result)>(Initiate{}, token, this, &lot,
                                                                std::move(executor), cancellable, subject);
    }

private:
    struct Parked : ParkingLot::Spot {
        Parked(boost::asio::any_io_executor fallback, const char* what)
            : executor(std::move(fallback)), subject(what) {}
        virtual void resume_soon() = 0;
        boost::asio::any_io_executor executor;
        const char* subject;
        Waiter* waiter = nullptr;
        std::optional<Result> value;
    };

    template <class Handler>
    struct ParkedHandler final : Parked {
        using Slot = boost::asio::associated_cancellation_slot_t<Handler>;
        using Allocator = boost::asio::recycling_allocator<ParkedHandler>;

        ParkedHandler(Handler&& h, boost::asio::any_io_executor fallback, const char* what)
            : Parked(std::move(fallback), what), handler(std::move(h)),
              slot(boost::asio::get_associated_cancellation_slot(handler)) {}
        ~ParkedHandler() override {
            if (this->waiter) this->waiter->parked_ = nullptr;
            disconnect();
        }
        // The memory of one suspension serves the next.
        static void* operator new(std::size_t) { return Allocator{}.allocate(1); }
        static void operator delete(void* memory) {
            Allocator{}.deallocate(static_cast<ParkedHandler*>(memory), 1);
        }

        // The slot's function points here. It is removed before the handler goes, never from inside emit().
        void disconnect() noexcept {
            if (std::exchange(connected, false)) slot.clear();
        }
        void connect() {
            if (!slot.is_connected()) return;
            connected = true;
            slot.assign([this](boost::asio::cancellation_type type) {
                if ((type & boost::asio::cancellation_type::terminal) == boost::asio::cancellation_type::none)
                    return;
                if (this->waiter) this->waiter->complete(Error{Errc::cancelled, this->subject, {}, {}});
            });
        }
        void resume_soon() override {
            auto target = boost::asio::get_associated_executor(handler, this->executor);
            boost::asio::post(target, [self = std::unique_ptr<ParkedHandler>(this)]() mutable {
                self->disconnect();
                Handler resumed(std::move(self->handler));
                Result outcome(std::move(*self->value));
                self.reset();
                std::move(resumed)(std::move(outcome));
            });
        }

        Handler handler;
        Slot slot;
        bool connected = false;
    };

    struct Initiate {
        template <class Handler>
        void operator()(Handler&& handler, Waiter* waiter, ParkingLot* lot,
                        boost::asio::any_io_executor executor, Cancellable cancellable,
                        const char* subject) const {
            MUSTER_ENSURE(!waiter->parked_, "one coroutine waits at a time");
            auto parked = std::make_unique<ParkedHandler<std::decay_t<Handler>>>(
                std::forward<Handler>(handler), std::move(executor), subject);
            if (cancellable == Cancellable::Yes) parked->connect();
            parked->waiter = waiter;
            waiter->parked_ = parked.get();
            lot->park(*parked.release());
        }
    };

    Parked* parked_ = nullptr;
};

/// Cancels a timer when the coroutine that waits for it moves on or is destroyed.
class TimerGuard {
public:
    TimerGuard(Runtime& runtime, TimerId id) noexcept : runtime_(&runtime), id_(id) {}
    TimerGuard(const TimerGuard&) = delete;
    TimerGuard& operator=(const TimerGuard&) = delete;
    ~TimerGuard() {
        if (id_ != TimerId::None) runtime_->cancel(id_);
    }

private:
    Runtime* runtime_;
    TimerId id_;
};

} // namespace muster::net
