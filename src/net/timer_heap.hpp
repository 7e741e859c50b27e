// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Pending timers of one event loop, by deadline: a 4-ary heap with cancellation.
#include <cstddef>
#include <cstdint>
#include <muster/net/runtime.hpp>
#include <optional>
#include <vector>

namespace muster::net {

/// Timers of one thread. Equal deadlines come out in the order they were put in, whatever was cancelled in
/// between, so a run on virtual time repeats exactly. put, take and cancel cost O(log n).
class TimerHeap {
public:
    using Action = UniqueFunction<void()>;
    struct Due {
        Instant when;
        Action action;
    };

    /// The id is never reused by this heap.
    TimerId put(Instant when, Action action);
    /// The action of `id` when it was pending (to be destroyed by the caller, after the heap is consistent).
    std::optional<Action> cancel(TimerId id) noexcept;
    /// Takes the first timer with a deadline of `now` or before that was put before `mark` (see mark()).
    std::optional<Due> take_due(Instant now, std::uint64_t mark) noexcept;
    /// Takes any one timer; nothing when empty.
    std::optional<Due> take_any() noexcept { return take_due(Instant::max(), sequence_); }
    /// Timers put from now on come after this mark, so a pass over due timers ends although they re-arm.
    std::uint64_t mark() const noexcept { return sequence_; }

    /// The earliest deadline, Instant::max() when empty.
    Instant next() const noexcept { return heap_.empty() ? Instant::max() : heap_.front().when; }
    std::size_t size() const noexcept { return heap_.size(); }
    bool empty() const noexcept { return heap_.empty(); }

private:
    struct Entry {
        Instant when;
        std::uint64_t sequence;
        std::uint32_t slot;
        bool before(const Entry& o) const noexcept {
            return when != o.when ? when < o.when : sequence < o.sequence;
        }
    };
    /// A slot is named by its index and generation; at the last generation it is retired, so that no id
    /// comes twice.
    struct Slot {
        std::uint32_t generation = 1;
        std::uint32_t position = 0; ///< in heap_ while pending, next free slot otherwise
        bool pending = false;
        Action action;
    };
    static constexpr std::uint32_t no_slot = 0xffff'ffff;

    std::uint32_t take_slot();
    void free_slot(std::uint32_t slot) noexcept;
    void remove(std::size_t position) noexcept;
    void place(std::size_t position, const Entry& entry) noexcept;
    void sift_up(std::size_t position, Entry entry) noexcept;
    void sift_down(std::size_t position, Entry entry) noexcept;

    std::vector<Entry> heap_;
    std::vector<Slot> slots_;
    std::uint32_t free_ = no_slot;
    std::uint64_t sequence_ = 0;
};

} // namespace muster::net
