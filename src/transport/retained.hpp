// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Receive buffers that sinks keep: counted, so that a slow consumer cannot pin all of them (architecture.md,
/// Associations).
#include <atomic>
#include <cstddef>
#include <memory>
#include <muster/buffer.hpp>
#include <utility>

namespace muster::transport {

/// Bytes of receive buffers kept by sinks, over one transport. Thread-safe.
class RetainedBytes {
public:
    explicit RetainedBytes(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {}
    bool exhausted() const noexcept { return bytes_.load(std::memory_order_relaxed) >= bytes_max_; }
    void add(std::size_t n) noexcept { bytes_.fetch_add(n, std::memory_order_relaxed); }
    void remove(std::size_t n) noexcept { bytes_.fetch_sub(n, std::memory_order_relaxed); }
    std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

private:
    const std::size_t bytes_max_;
    std::atomic<std::size_t> bytes_{0};
};

/// Stands between a receive buffer and the payloads cut from it: who retains a payload retains the hold, so
/// that the transport learns of it when it is done with the buffer.
class ReceiveHold final : public Buffer {
public:
    /// The caller holds the first reference.
    static ReceiveHold* create(std::shared_ptr<RetainedBytes> retained, Buffer& source) {
        return new ReceiveHold(std::move(retained), source);
    }
    Buffer* source() const noexcept { return source_; }
    /// The only holder moves on to another receive buffer, or to none. False when somebody retained a
    /// payload.
    bool repoint(Buffer* next) noexcept {
        if (references() != 1) return false;
        // references() is a relaxed read. Whoever let go last may have read the bytes on another thread: this
        // pair makes that reading happen before the buffer is filled again.
        retain();
        release();
        if (next) next->retain();
        if (Buffer* last = std::exchange(source_, next)) last->release();
        return true;
    }
    /// Before the transport's own reference goes: what remains is somebody else's, and counts.
    void charge() noexcept {
        if (!source_ || references() == 1) return;
        charged_ = source_->size();
        retained_->add(charged_);
    }

private:
    ReceiveHold(std::shared_ptr<RetainedBytes> retained, Buffer& source)
        : Buffer(source.data(), source.size()), retained_(std::move(retained)), source_(&source) {
        source.retain();
    }
    ~ReceiveHold() = default;
    void recycle() noexcept override {
        if (charged_) retained_->remove(charged_);
        if (source_) source_->release();
        delete this;
    }

    const std::shared_ptr<RetainedBytes> retained_;
    Buffer* source_;
    std::size_t charged_ = 0;
};

} // namespace muster::transport
