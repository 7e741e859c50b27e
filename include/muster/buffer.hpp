// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Bytes that are shared without a copy: Buffer (reference-counted memory), Slice (a view that keeps it
/// alive).
#include <muster/language.hpp> // first

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace muster {

/// Reference-counted memory. The owner of the memory (a heap block, a pool, an io_uring buffer group) derives
/// from it and takes the memory back in recycle(), which may run on any thread.
class Buffer {
public:
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) recycle();
    }
    std::uint32_t references() const noexcept { return references_.load(std::memory_order_relaxed); }

    /// A heap block of `size` bytes that frees itself with its last reference. The caller holds the first
    /// reference.
    static Buffer* allocate(std::size_t size);
    std::byte* data() noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

protected:
    Buffer(std::byte* data, std::size_t size) noexcept : data_(data), size_(size) {}
    ~Buffer() = default;
    /// Called when the last reference is gone. Must not throw; may run on any thread.
    virtual void recycle() noexcept = 0;
    /// For pools that hand the same Buffer out again.
    void revive() noexcept { references_.store(1, std::memory_order_relaxed); }

private:
    std::byte* data_;
    std::size_t size_;
    std::atomic<std::uint32_t> references_{1};
};

/// A view of bytes and, optionally, a reference on the Buffer behind them. Copying retains the buffer, never
/// the bytes. A Slice without owner is a borrowed view: it must not outlive the bytes (see owned()).
class Slice {
public:
    Slice() noexcept = default;
    /// Borrowed.
    explicit Slice(std::span<const std::byte> bytes) noexcept : data_(bytes.data()), size_(bytes.size()) {}
    /// Shares `owner` (adds a reference).
    Slice(std::span<const std::byte> bytes, Buffer* owner) noexcept
        : data_(bytes.data()), size_(bytes.size()), owner_(owner) {
        if (owner_) owner_->retain();
    }
    Slice(const Slice& o) noexcept : data_(o.data_), size_(o.size_), owner_(o.owner_) {
        if (owner_) owner_->retain();
    }
    Slice(Slice&& o) noexcept
        : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)),
          owner_(std::exchange(o.owner_, nullptr)) {}
    Slice& operator=(Slice o) noexcept {
        std::swap(data_, o.data_);
        std::swap(size_, o.size_);
        std::swap(owner_, o.owner_);
        return *this;
    }
    ~Slice() {
        if (owner_) owner_->release();
    }

    /// A fresh heap copy of `bytes`.
    static Slice copy_of(std::span<const std::byte> bytes);
    static Slice copy_of(std::string_view text) { return copy_of(std::as_bytes(std::span{text})); }
    /// Takes over the caller's first reference on `buffer`.
    static Slice adopt(Buffer* buffer, std::span<const std::byte> bytes) noexcept {
        Slice s{bytes};
        s.owner_ = buffer;
        return s;
    }

    const std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
    std::string_view text() const noexcept { return {reinterpret_cast<const char*>(data_), size_}; }
    /// Whether the bytes live as long as this Slice does.
    bool owned() const noexcept { return owner_ != nullptr || size_ == 0; }
    Buffer* owner() const noexcept { return owner_; }

    Slice sub(std::size_t offset, std::size_t count) const noexcept {
        return Slice{std::span{data_ + offset, count}, owner_};
    }
    /// Points the view at other bytes of the same owner, without touching the reference count.
    void view(std::span<const std::byte> bytes) noexcept {
        data_ = bytes.data();
        size_ = bytes.size();
    }
    /// Drops the first `count` bytes from the view.
    void remove_prefix(std::size_t count) noexcept {
        data_ += count;
        size_ -= count;
    }
    friend bool operator==(const Slice& a, const Slice& b) noexcept {
        return a.size_ == b.size_ && (a.size_ == 0 || std::memcmp(a.data_, b.data_, a.size_) == 0);
    }

private:
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    Buffer* owner_ = nullptr;
};

/// Fixed-size chunks (64 KiB by default) shared by everything that writes on one Runtime: an idle association
/// holds none. Thread-safe. Keeps at most `cached_max` free chunks and returns the rest to the heap.
class ChunkPool : public std::enable_shared_from_this<ChunkPool> {
public:
    static constexpr std::size_t default_chunk_bytes = 64 * 1024;
    static std::shared_ptr<ChunkPool> create(std::size_t chunk_bytes = default_chunk_bytes,
                                             std::size_t cached_max = 64);
    ~ChunkPool();
    /// A chunk with one reference, held by the caller; it goes back to the pool with its last reference.
    Buffer* take();
    std::size_t chunk_bytes() const noexcept { return chunk_bytes_; }
    /// Chunks handed out and not yet returned.
    std::size_t in_use() const noexcept { return in_use_.load(std::memory_order_relaxed); }

private:
    class Chunk; // destroys itself. NOLINT(cppcoreguidelines-virtual-class-destructor)
    ChunkPool(std::size_t chunk_bytes, std::size_t cached_max);
    void put(Chunk* chunk) noexcept;
    std::size_t chunk_bytes_;
    std::size_t cached_max_;
    std::atomic<std::size_t> in_use_{0};
    std::mutex mutex_;
    std::vector<Chunk*> free_;
};

} // namespace muster
