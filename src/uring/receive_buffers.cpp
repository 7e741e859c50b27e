// SPDX-License-Identifier: Apache-2.0
#include "receive_buffers.hpp"

#include <algorithm>
#include <muster/ensure.hpp>
#include <new>
#include <sys/mman.h>
#include <utility>

namespace muster::uring {
namespace {

std::byte* map_memory(std::size_t bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : static_cast<std::byte*>(memory);
}

/// The kernel rounds the size of the entries up to pages; so does mmap.
std::size_t entries_bytes(const ReceiveBuffers::Shape& shape) { return shape.count * sizeof(io_uring_buf); }

/// Without incremental buffers a receive uses up a whole block; what is this much smaller is copied out so
/// that a few small messages do not pin all blocks.
constexpr std::size_t plain_copy_fraction = 16;

} // namespace

std::unique_ptr<ReceiveBuffers, ReceiveBuffers::Deleter> ReceiveBuffers::create(const Shape& shape) {
    MUSTER_ENSURE(shape.count >= 2 && shape.count <= 32'768 && (shape.count & (shape.count - 1)) == 0,
                  "the kernel takes a power of two of buffers up to 2^15");
    std::byte* memory = map_memory(shape.block_bytes * shape.count);
    void* entries = map_memory(entries_bytes(shape));
    if (!memory || !entries) {
        if (memory) munmap(memory, shape.block_bytes * shape.count);
        if (entries) munmap(entries, entries_bytes(shape));
        return nullptr;
    }
    return std::unique_ptr<ReceiveBuffers, Deleter>(new ReceiveBuffers(shape, memory, entries));
}

ReceiveBuffers::ReceiveBuffers(const Shape& shape, std::byte* memory, void* entries)
    : shape_(shape), reserve_(std::max(1U, shape.count / 4)), memory_(memory), entries_(entries),
      available_(shape.count), holders_(shape.count + 1) {
    blocks_.reserve(shape.count);
    for (unsigned i = 0; i < shape.count; ++i) {
        blocks_.push_back(std::make_unique<Block>(*this, memory + i * shape.block_bytes, shape.block_bytes,
                                                  static_cast<std::uint16_t>(i)));
    }
}

ReceiveBuffers::~ReceiveBuffers() {
    munmap(memory_, shape_.block_bytes * shape_.count);
    munmap(entries_, entries_bytes(shape_));
}

int ReceiveBuffers::attach(Ring& ring) noexcept {
    tail_ = 0;
    publish();
    const auto flags = shape_.incremental ? buffers_incremental : std::uint16_t{0};
    if (const int error = ring.register_buffers(entries_, shape_.count, group, flags)) return error;
    for (auto& block : blocks_) {
        if (!block->offered) continue;
        // Behind what an earlier ring has put there, while slices still show it.
        if (block->references() == 1) block->filled = 0;
        offer(*block);
    }
    publish();
    return 0;
}

void ReceiveBuffers::detach(Ring& ring) noexcept { ring.unregister_buffers(group); }

Slice ReceiveBuffers::take(std::uint32_t completion_flags, std::size_t size, bool& copied) {
    Block& block = block_of(completion_flags);
    const std::span<const std::byte> bytes{block.data() + block.filled, size};
    const bool last_ones = available_ <= reserve_;
    copied = last_ones || (!shape_.incremental && size <= shape_.block_bytes / plain_copy_fraction);
    Slice slice = copied ? Slice::copy_of(bytes) : Slice(bytes, &block);
    block.filled += size;
    if (used_up(completion_flags)) finish(block);
    return slice;
}

void ReceiveBuffers::release(std::uint32_t completion_flags) noexcept {
    if (used_up(completion_flags)) finish(block_of(completion_flags));
}

unsigned ReceiveBuffers::collect() noexcept {
    if (returned_.load(std::memory_order_relaxed) == nullptr) return 0;
    Block* block = returned_.exchange(nullptr, std::memory_order_acquire);
    unsigned count = 0;
    for (; block; ++count) {
        Block* const next = block->next;
        block->reuse();
        block->filled = 0;
        block->offered = true;
        offer(*block);
        block = next;
    }
    available_ += count;
    publish();
    return count;
}

void ReceiveBuffers::orphan() noexcept {
    std::size_t home = 1; // the loop itself
    for (Block* block = returned_.exchange(closed(), std::memory_order_acq_rel); block; block = block->next)
        ++home;
    for (auto& block : blocks_) {
        if (std::exchange(block->offered, false)) block->release();
    }
    forget(home);
}

void ReceiveBuffers::give_back(Block* block) noexcept {
    Block* top = returned_.load(std::memory_order_relaxed);
    do {
        if (top == closed()) {
            forget(1);
            return;
        }
        block->next = top;
    } while (
        !returned_.compare_exchange_weak(top, block, std::memory_order_release, std::memory_order_relaxed));
}

void ReceiveBuffers::forget(std::size_t blocks) noexcept {
    if (holders_.fetch_sub(blocks, std::memory_order_acq_rel) == blocks) delete this;
}

void ReceiveBuffers::offer(Block& block) noexcept {
    // Field by field: the group's tail lies in the unused end of the first entry.
    io_uring_buf& entry = static_cast<io_uring_buf*>(entries_)[tail_ & (shape_.count - 1)];
    entry.addr = reinterpret_cast<std::uintptr_t>(block.data() + block.filled);
    entry.len = static_cast<std::uint32_t>(block.size() - block.filled);
    entry.bid = block.index;
    ++tail_;
}

void ReceiveBuffers::publish() noexcept {
    io_uring_smp_store_release(&static_cast<io_uring_buf_ring*>(entries_)->tail, tail_);
}

void ReceiveBuffers::finish(Block& block) noexcept {
    block.offered = false;
    --available_;
    block.release();
}

ReceiveBuffers::Block& ReceiveBuffers::block_of(std::uint32_t completion_flags) noexcept {
    return *blocks_[completion_flags >> IORING_CQE_BUFFER_SHIFT];
}

bool ReceiveBuffers::used_up(std::uint32_t completion_flags) const noexcept {
    return !shape_.incremental || (completion_flags & completion_buffer_more) == 0;
}

} // namespace muster::uring
