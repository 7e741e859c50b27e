// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Waiting until a descriptor can be accepted from, or until its connect has ended.
#include "context.hpp"
#include "net/waiter.hpp"
#include "operation.hpp"
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

namespace muster::uring {

/// A one-shot poll of the ring. It shares no memory with its user, so whoever waits may leave at once: the
/// kernel's part keeps this object alive and ends by itself.
class Readiness final : public boost::intrusive_ref_counter<Readiness, boost::thread_unsafe_counter>,
                        private Operation {
public:
    using Ptr = boost::intrusive_ptr<Readiness>;

    Readiness(Context& context, int descriptor, unsigned events) noexcept
        : context_(context), descriptor_(descriptor), events_(events) {}

    /// Completes waiter() when one of the events is there.
    void start() {
        if (!idle()) return;
        self_ = this;
        context_.start(*this);
    }
    /// Ends the poll without completing waiter().
    void stop() { context_.cancel(*this); }
    net::Waiter<void>& waiter() noexcept { return waiter_; }

private:
    void prepare(io_uring_sqe& sqe) override { io_uring_prep_poll_add(&sqe, descriptor_, events_); }
    void complete(int result, std::uint32_t) override {
        const Ptr keep = std::move(self_);
        if (cancelled()) return;
        if (result == -ECANCELED)
            start(); // only a run has ended
        else if (result < 0)
            waiter_.complete(from_errno(-result, "poll"));
        else
            waiter_.complete({});
    }

    Context& context_;
    int descriptor_;
    unsigned events_;
    net::Waiter<void> waiter_;
    Ptr self_; ///< while not idle
};

} // namespace muster::uring
