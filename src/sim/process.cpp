// SPDX-License-Identifier: Apache-2.0
#include "process.hpp"

#include <algorithm>

namespace muster::sim {

namespace {

__extension__ using Wide = __int128;
constexpr std::int64_t billion = 1'000'000'000;
constexpr int settle_turns_max = 100;

} // namespace

Process::Process(Fabric& fabric, HostId host, std::shared_ptr<ProcessLeakCounter> leak_counter)
    : fabric_(fabric), host_(host), leak_counter_(std::move(leak_counter)),
      executor_(ProcessExecutor(get_executor(), *leak_counter_)),
      parking_lot_(&net::ParkingLot::of(executor_)), world_base_(fabric.now()), local_base_(fabric.now()) {
    leak_counter_->begin(*this);
    number_ = fabric_.enter(*this);
    lateness_ = Random(fabric_.options().seed ^ number_ << 32);
    asleep_ = prepare_sleep();
}

Process::~Process() {
    terminate();
    fabric_.leave(*this);
}

void Process::terminate() noexcept {
    if (std::exchange(asleep_, false)) awake();
    disarm();
    close();
    leak_counter_->end();
}

void Process::turn() {
    if (std::exchange(asleep_, false)) awake();
    // A handler's exception leaves Network::run(); the process goes on.
    struct Sleep {
        Process& process;
        ~Sleep() { process.sleep(); }
    } sleep_after{*this};
    run_until(now(), AtLimit::Return);
}

bool Process::settle() {
    for (int turns = 0; turns < settle_turns_max; ++turns) {
        turn();
        if (asleep_) return true;
    }
    return false;
}

void Process::sleep() {
    if (closing()) return;
    if (has_ready() || !prepare_sleep()) return fabric_.make_runnable(*this);
    asleep_ = true;
    arm(next_timer());
}

void Process::timer_set() {
    if (!running_in_this_thread()) fabric_.make_runnable(*this);
}

void Process::arm(Instant local) {
    if (local == armed_) return;
    disarm();
    if (local == Instant::max()) return;
    armed_ = local;
    Instant when = to_world(local);
    if (clock_.lateness_max > Duration::zero() && when < Instant::max() - clock_.lateness_max)
        when += Duration(lateness_.between(0, clock_.lateness_max.count()));
    timer_ = fabric_.schedule(when, [this] {
        timer_ = net::TimerId::None;
        armed_ = Instant::max();
        fabric_.count_armed(-1);
        fabric_.make_runnable(*this);
    });
    fabric_.count_armed(1);
}

void Process::disarm() noexcept {
    if (timer_ == net::TimerId::None) return;
    fabric_.cancel(std::exchange(timer_, net::TimerId::None));
    fabric_.count_armed(-1);
    armed_ = Instant::max();
}

void Process::resume() {
    if (!std::exchange(paused_, false)) return;
    fabric_.make_runnable(*this);
}

void Process::set_clock(Clock clock) noexcept {
    local_base_ = now();
    world_base_ = fabric_.now();
    clock_ = clock;
    disarm(); // its deadline was computed with the old clock
    fabric_.make_runnable(*this);
}

Instant Process::to_local(Instant world) const noexcept {
    if (clock_.drift_ppb == 0) return local_base_ + (world - world_base_);
    const Wide passed = (world - world_base_).count();
    return local_base_ + Duration(static_cast<std::int64_t>(passed * (billion + clock_.drift_ppb) / billion));
}

Instant Process::to_world(Instant local) const noexcept {
    if (clock_.drift_ppb == 0) {
        // A deadline beyond the end of the world's clock never comes.
        const Duration offset = world_base_ - local_base_;
        if (offset > Duration::zero() && local > Instant::max() - offset) return Instant::max();
        return local + offset;
    }
    const Wide rate = billion + clock_.drift_ppb;
    const Wide passed = (local - local_base_).count();
    Wide world = passed > 0 ? (passed * billion + rate - 1) / rate : 0; // never early
    world = std::min<Wide>(world, (Instant::max() - world_base_).count());
    return world_base_ + Duration(static_cast<std::int64_t>(world));
}

} // namespace muster::sim
