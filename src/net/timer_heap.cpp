// SPDX-License-Identifier: Apache-2.0
#include "timer_heap.hpp"

#include <algorithm>
#include <muster/ensure.hpp>

namespace muster::net {
namespace {
constexpr std::size_t arity = 4;
} // namespace

TimerId TimerHeap::put(Instant when, Action action) {
    const std::uint32_t index = take_slot();
    Slot& slot = slots_[index];
    slot.action = std::move(action);
    slot.pending = true;
    heap_.emplace_back();
    sift_up(heap_.size() - 1, Entry{when, sequence_++, index});
    return TimerId{(static_cast<std::uint64_t>(slot.generation) << 32) | index};
}

std::optional<TimerHeap::Action> TimerHeap::cancel(TimerId id) noexcept {
    const auto index = static_cast<std::uint32_t>(static_cast<std::uint64_t>(id));
    const auto generation = static_cast<std::uint32_t>(static_cast<std::uint64_t>(id) >> 32);
    if (index >= slots_.size()) return std::nullopt;
    Slot& slot = slots_[index];
    if (!slot.pending || slot.generation != generation) return std::nullopt;
    Action action = std::move(slot.action);
    remove(slot.position);
    free_slot(index);
    return action;
}

std::optional<TimerHeap::Due> TimerHeap::take_due(Instant now, std::uint64_t mark) noexcept {
    if (heap_.empty()) return std::nullopt;
    const Entry first = heap_.front();
    if (first.when > now || first.sequence >= mark) return std::nullopt;
    Due due{first.when, std::move(slots_[first.slot].action)};
    remove(0);
    free_slot(first.slot);
    return due;
}

std::uint32_t TimerHeap::take_slot() {
    if (free_ != no_slot) {
        const std::uint32_t index = free_;
        free_ = slots_[index].position;
        return index;
    }
    MUSTER_ENSURE(slots_.size() < no_slot, "a slot index fits 32 bits");
    slots_.emplace_back();
    return static_cast<std::uint32_t>(slots_.size() - 1);
}

void TimerHeap::free_slot(std::uint32_t index) noexcept {
    Slot& slot = slots_[index];
    slot.pending = false;
    slot.action = {};
    if (++slot.generation == 0) return; // every generation was used: retired
    slot.position = free_;
    free_ = index;
}

void TimerHeap::remove(std::size_t position) noexcept {
    const Entry last = heap_.back();
    heap_.pop_back();
    if (position == heap_.size()) return;
    if (position > 0 && last.before(heap_[(position - 1) / arity]))
        sift_up(position, last);
    else
        sift_down(position, last);
}

void TimerHeap::place(std::size_t position, const Entry& entry) noexcept {
    heap_[position] = entry;
    slots_[entry.slot].position = static_cast<std::uint32_t>(position);
}

void TimerHeap::sift_up(std::size_t position, Entry entry) noexcept {
    while (position > 0) {
        const std::size_t parent = (position - 1) / arity;
        if (!entry.before(heap_[parent])) break;
        place(position, heap_[parent]);
        position = parent;
    }
    place(position, entry);
}

void TimerHeap::sift_down(std::size_t position, Entry entry) noexcept {
    for (;;) {
        const std::size_t first = position * arity + 1;
        if (first >= heap_.size()) break;
        const std::size_t end = std::min(first + arity, heap_.size());
        std::size_t least = first;
        for (std::size_t child = first + 1; child < end; ++child) {
            if (heap_[child].before(heap_[least])) least = child;
        }
        if (!heap_[least].before(entry)) break;
        place(position, heap_[least]);
        position = least;
    }
    place(position, entry);
}

} // namespace muster::net
