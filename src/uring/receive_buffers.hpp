// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The memory that the kernel receives into, shared by all connections of a loop, handed out without a copy.
#include "ring.hpp"
#include <atomic>
#include <memory>
#include <muster/buffer.hpp>
#include <vector>

namespace muster::uring {

/// A group of provided buffers. A block is the kernel's until it is used up; the slices on it keep it from
/// going back, from whichever thread they are dropped, also after the loop is gone.
///
/// The last `reserve` blocks in the ring are never pinned: what arrives in them is copied out. So the kernel
/// always gets buffers back, however much a consumer retains, and no connection stalls for another's sake.
class ReceiveBuffers {
public:
    struct Shape {
        std::size_t block_bytes;
        unsigned count;   ///< power of two
        bool incremental; ///< a block takes many receives, else one
    };
    struct Deleter {
        void operator()(ReceiveBuffers* buffers) const noexcept { buffers->orphan(); }
    };
    /// Null when there is no memory.
    static std::unique_ptr<ReceiveBuffers, Deleter> create(const Shape& shape);
    ReceiveBuffers(const ReceiveBuffers&) = delete;
    ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;

    static constexpr std::uint16_t group = 0;
    const Shape& shape() const noexcept { return shape_; }

    /// Gives all free blocks to `ring`. The error is an errno value.
    int attach(Ring& ring) noexcept;
    /// Takes all blocks back from a ring that has nothing in flight.
    void detach(Ring& ring) noexcept;

    /// Takes `size` bytes that the kernel has put where `completion_flags` say. Sets `copied` when they were
    /// copied out.
    Slice take(std::uint32_t completion_flags, std::size_t size, bool& copied);
    /// A completion without bytes that names a buffer.
    void release(std::uint32_t completion_flags) noexcept;
    /// Gives blocks whose last slice is gone back to the kernel. How many.
    unsigned collect() noexcept;
    /// Blocks that the kernel can fill, as of the completions taken so far.
    unsigned available() const noexcept { return available_; }

private:
    struct Block final : Buffer {
        Block(ReceiveBuffers& o, std::byte* memory, std::size_t bytes, std::uint16_t i) noexcept
            : Buffer(memory, bytes), owner(o), index(i) {}
        void recycle() noexcept override { owner.give_back(this); }
        void reuse() noexcept { revive(); }

        ReceiveBuffers& owner;
        Block* next = nullptr;  ///< in the stack of returned blocks
        std::size_t filled = 0; ///< bytes the kernel has put here since the block was offered afresh
        std::uint16_t index;
        bool offered = true; ///< the kernel may put bytes here; the loop then holds one reference
    };

    ReceiveBuffers(const Shape& shape, std::byte* memory, void* entries);
    ~ReceiveBuffers();
    void orphan() noexcept;
    void give_back(Block* block) noexcept;
    void forget(std::size_t blocks) noexcept;
    void offer(Block& block) noexcept;
    void publish() noexcept;
    void finish(Block& block) noexcept;
    Block& block_of(std::uint32_t completion_flags) noexcept;
    bool used_up(std::uint32_t completion_flags) const noexcept;
    Block* closed() noexcept { return reinterpret_cast<Block*>(this); }

    Shape shape_;
    unsigned reserve_;
    std::byte* memory_;
    void* entries_; ///< what the kernel reads: which blocks are offered
    std::vector<std::unique_ptr<Block>> blocks_;
    std::uint16_t tail_ = 0;
    unsigned available_;
    /// Blocks given back, newest first. closed() on top means that the loop is gone and nobody collects.
    std::atomic<Block*> returned_{nullptr};
    /// Blocks not yet back for good, and one for the loop: the last one frees everything.
    std::atomic<std::size_t> holders_;
};

} // namespace muster::uring
