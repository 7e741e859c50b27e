// SPDX-License-Identifier: Apache-2.0
#pragma once
/// An operation of the kernel and its owner.
#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <liburing.h>

namespace muster::uring {

/// One request, or one multishot request, in the ring. Its address is its identity there, so it must not move
/// or die before it is idle again: owners keep themselves alive until then.
///
/// A ring belongs to one thread, so when a run ends the kernel is made to give everything back: operations
/// complete with ECANCELED that nobody cancelled, and start again, which waits for the next run.
class Operation : public boost::intrusive::list_base_hook<> {
public:
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;

    bool idle() const noexcept { return state_ == State::Idle; }
    /// Whether the owner has asked to cancel it since it was started.
    bool cancelled() const noexcept { return cancelled_; }

protected:
    Operation() = default;
    ~Operation() = default;

    /// Fills a zeroed submission entry (all but its user_data).
    virtual void prepare(io_uring_sqe& sqe) = 0;
    /// A completion: `result` is the kernel's (negative errno), `flags` the IORING_CQE_F_*. Idle again,
    /// unless flags have IORING_CQE_F_MORE. May start the operation again, and may destroy it when idle.
    virtual void complete(int result, std::uint32_t flags) = 0;

private:
    friend class Context;
    enum class State : std::uint8_t {
        Idle,
        Waiting,  ///< for a run
        InFlight, ///< the kernel has it
    };
    State state_ = State::Idle;
    bool cancelled_ = false;
};

} // namespace muster::uring
