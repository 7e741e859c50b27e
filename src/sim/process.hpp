// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One simulated process: a loop that runs when the Fabric gives it a turn.
#include "fabric.hpp"
#include "leak_counter.hpp"
#include "net/loop_context.hpp"
#include "net/waiter.hpp"

namespace muster::sim {

/// A net::LoopContext whose turns the Fabric calls. Between turns it counts as asleep, so every outside event
/// (a segment, a timer, a post) asks for a turn.
class Process final : public net::LoopContext {
public:
    Process(Fabric& fabric, HostId host, std::shared_ptr<ProcessLeakCounter> leak_counter);
    ~Process() override;

    Fabric& fabric() noexcept { return fabric_; }
    HostId host() const noexcept { return host_; }
    std::uint64_t number() const noexcept { return number_; }
    /// Whose loop this is; null while that is being made.
    Runtime* runtime() const noexcept { return runtime_; }
    void set_runtime(Runtime& runtime) noexcept { runtime_ = &runtime; }
    net::ParkingLot& parking_lot() noexcept { return *parking_lot_; }
    const boost::asio::any_io_executor& executor() const noexcept { return executor_; }
    const std::shared_ptr<ProcessLeakCounter>& leak_counter() const noexcept { return leak_counter_; }

    /// One turn: what is due and ready.
    void turn();
    /// Turns until nothing is ready; false when that does not come to an end.
    bool settle();
    /// Asks for a turn, so that a timer set from outside a turn is noticed.
    void timer_set();
    /// Destroys coroutines and queued work.
    void terminate() noexcept;

    Instant now() const noexcept override { return to_local(fabric_.now()); }
    /// When this process's clock shows `local`.
    Instant to_world(Instant local) const noexcept;
    WallTime wall_now() const noexcept { return fabric_.wall_now() + clock_.wall_offset; }
    void set_clock(Clock clock) noexcept;
    void pause() noexcept { paused_ = true; }
    void resume();
    bool paused() const noexcept { return paused_; }
    void measure(Histogram& lateness) noexcept { measure_lateness(lateness); }

private:
    friend class Fabric;
    void poll(Instant) override {}
    void wake() noexcept override { fabric_.make_runnable(*this); }

    void sleep();
    void arm(Instant local);
    void disarm() noexcept;
    Instant to_local(Instant world) const noexcept;

    Fabric& fabric_;
    HostId host_;
    std::uint64_t number_ = 0;
    Runtime* runtime_ = nullptr;
    std::shared_ptr<ProcessLeakCounter> leak_counter_;
    boost::asio::any_io_executor executor_;
    net::ParkingLot* parking_lot_;
    Clock clock_;
    Random lateness_{0};
    Instant world_base_; ///< when clock_ was set, by both clocks
    Instant local_base_;
    net::TimerId timer_ = net::TimerId::None;
    Instant armed_ = Instant::max();
    bool asleep_ = false;
    bool paused_ = false;
    bool queued_ = false; ///< in the Fabric's runnable_
};

} // namespace muster::sim
