// SPDX-License-Identifier: Apache-2.0
#include <muster/buffer.hpp>
#include <muster/ensure.hpp>
#include <new>

namespace muster {
namespace {

/// Header and bytes in one allocation.
class HeapBuffer final : public Buffer {
public:
    static Buffer* create(std::size_t size) {
        void* block = ::operator new(sizeof(HeapBuffer) + size);
        return new (block) HeapBuffer(static_cast<std::byte*>(block) + sizeof(HeapBuffer), size);
    }

private:
    HeapBuffer(std::byte* data, std::size_t size) noexcept : Buffer(data, size) {}
    void recycle() noexcept override {
        this->~HeapBuffer();
        ::operator delete(static_cast<void*>(this));
    }
    ~HeapBuffer() = default;
};

} // namespace

Buffer* Buffer::allocate(std::size_t size) { return HeapBuffer::create(size); }

Slice Slice::copy_of(std::span<const std::byte> bytes) {
    if (bytes.empty()) return {};
    Buffer* buffer = Buffer::allocate(bytes.size());
    std::memcpy(buffer->data(), bytes.data(), bytes.size());
    return adopt(buffer, {buffer->data(), bytes.size()});
}

/// A chunk in use holds its pool, so the pool outlives it; a free chunk is owned by the pool and holds
/// nothing, so there is no cycle.
class ChunkPool::Chunk final : public Buffer {
public:
    static Chunk* create(std::size_t size) {
        void* block = ::operator new(sizeof(Chunk) + size);
        return new (block) Chunk(static_cast<std::byte*>(block) + sizeof(Chunk), size);
    }
    void destroy() noexcept {
        this->~Chunk();
        ::operator delete(static_cast<void*>(this));
    }
    void hand_out(std::shared_ptr<ChunkPool> pool) noexcept {
        revive();
        pool_ = std::move(pool);
    }

private:
    Chunk(std::byte* data, std::size_t size) noexcept : Buffer(data, size) {}
    ~Chunk() = default;
    void recycle() noexcept override {
        const auto pool = std::move(pool_);
        pool->put(this);
    }

    std::shared_ptr<ChunkPool> pool_;
};

ChunkPool::ChunkPool(std::size_t chunk_bytes, std::size_t cached_max)
    : chunk_bytes_(chunk_bytes), cached_max_(cached_max) {
    free_.reserve(cached_max); // put() must not allocate: it runs in destructors
}

std::shared_ptr<ChunkPool> ChunkPool::create(std::size_t chunk_bytes, std::size_t cached_max) {
    MUSTER_ENSURE(chunk_bytes > 0, "a chunk holds at least one byte");
    return std::shared_ptr<ChunkPool>(new ChunkPool(chunk_bytes, cached_max));
}

ChunkPool::~ChunkPool() {
    for (Chunk* chunk : free_) chunk->destroy();
}

Buffer* ChunkPool::take() {
    Chunk* chunk = nullptr;
    {
        const std::scoped_lock lock{mutex_};
        if (!free_.empty()) {
            chunk = free_.back(); // the one used last is the one still in the cache
            free_.pop_back();
        }
    }
    if (chunk == nullptr) chunk = Chunk::create(chunk_bytes_);
    chunk->hand_out(shared_from_this());
    in_use_.fetch_add(1, std::memory_order_relaxed);
    return chunk;
}

void ChunkPool::put(Chunk* chunk) noexcept {
    in_use_.fetch_sub(1, std::memory_order_relaxed);
    {
        const std::scoped_lock lock{mutex_};
        if (free_.size() < cached_max_) {
            free_.push_back(chunk);
            return;
        }
    }
    chunk->destroy();
}

} // namespace muster
