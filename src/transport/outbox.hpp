// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The unsent tells of one association: written by any thread, emptied by its writer on the Runtime's thread.
#include "base/mutants.hpp"
#include <cstddef>
#include <cstdint>
#include <memory>
#include <muster/buffer.hpp>
#include <muster/transport/transport.hpp>
#include <muster/unique_function.hpp>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace muster::transport {

/// Frames in the order in which they were accepted, packed back to back into chunks of the Runtime's pool, so
/// that the writer sends hundreds of them as one piece. A large frame runs on from chunk to chunk: recycled
/// memory is in the caches, fresh memory costs a page fault per 4 KiB. A very large one, whose copying would
/// keep others waiting for the lock, brings a buffer of its own.
///
/// Thread-safe. An outbox that holds nothing holds at most one chunk, and none after trim().
class Outbox {
public:
    struct Limits {
        std::size_t bytes_max;         ///< of frames not yet written; a single larger one passes when empty
        std::size_t waiting_max;       ///< tells that wait for room
        std::size_t waiting_bytes_max; ///< of their frames
    };
    /// A frame up to this size lies in one piece, so that it can be encoded in place.
    static constexpr std::size_t whole_bytes_max = 8 * 1024;
    /// A frame up to this size is copied into chunks under the lock (some 20 us); a larger one is encoded
    /// outside of it, into a buffer of its own.
    static constexpr std::size_t chunked_bytes_max = 256 * 1024;

    using Done = UniqueFunction<void(TellResult)>;

    /// What became of a frame. Wake: queued, and the writer sleeps: the caller has to wake it.
    enum class Put : std::uint8_t { Queued, Wake, Full, Closed };

    Outbox(std::shared_ptr<ChunkPool> chunks, Limits limits);
    ~Outbox();
    Outbox(const Outbox&) = delete;
    Outbox& operator=(const Outbox&) = delete;

    /// Makes room for a frame of `size` bytes (at most whole_bytes_max) and has `encode(std::byte*)` fill it,
    /// under the lock.
    template <class Encode>
    Put put(std::size_t size, Encode&& encode);
    /// Copies a frame that consists of `parts`.
    Put put(std::span<const std::span<const std::byte>> parts);
    /// Takes an encoded frame of its own buffer.
    Put put(Slice frame);
    /// Whether put() of `size` bytes would be accepted now: before the work of encoding a large frame.
    Put probe(std::size_t size) const;

    /// Queues an encoded frame as soon as there is room, in the order of calls. Full: too many wait, `done`
    /// was not taken. Otherwise `done` reaches the writer through take_granted().
    Put put_when_room(Slice frame, Done& done);

    // --- the writer
    struct Batch {
        std::size_t bytes = 0;
        std::size_t frames = 0;
    };
    /// Moves up to about `bytes_max` bytes (at least one piece, if there is any) behind `out`, always whole
    /// frames: what is taken later, on another connection perhaps, begins with a frame. They count as unsent
    /// until sent().
    Batch take(std::vector<Slice>& out, std::size_t bytes_max);
    /// What take() gave has been written (or is lost): its room is free. Whether take_granted() has
    /// something.
    bool sent(std::size_t bytes);
    /// The tells that waited and were queued meanwhile: to be called with Queued, without a lock, on the
    /// Runtime's thread.
    std::vector<Done> take_granted();
    /// Nothing to take: the next put() answers Wake. False when there is something.
    bool sleep();
    /// The writer is up for another reason: put() need not wake it.
    void wake();
    /// Returns the memory kept for the next burst.
    void trim();

    /// Everything accepted from now on lies behind this mark.
    std::uint64_t mark();
    /// Drops what was accepted before `mark` and not taken yet.
    Batch drop_before(std::uint64_t mark);
    /// Drops everything, the waiting included (their Done are appended to `failed`).
    Batch drop_all(std::vector<Done>& failed);
    /// Drops the tells that wait for room (their Done are appended to `failed`). What is queued stays.
    void drop_waiting(std::vector<Done>& failed);
    /// From now on put() answers Closed. What is queued stays. Reversible.
    void set_closed(bool closed);

    bool empty() const;
    std::size_t bytes() const;

private:
    /// Consecutive bytes in one buffer: the end of the frame that the piece before began, whole frames, the
    /// beginning of a frame that goes on in the next piece.
    struct Piece {
        Slice bytes;
        std::size_t lead = 0;     ///< bytes of the frame that began earlier; size() if it goes on beyond
        std::uint32_t frames = 0; ///< that end here
    };
    struct Waiting {
        Slice frame;
        Done done;
    };

    // Under mutex_:
    bool has_room(std::size_t size) const noexcept {
        return MUSTER_MUTANT(queue_limit_ignored) || bytes_ == 0 ||
               (size <= limits_.bytes_max && bytes_ <= limits_.bytes_max - size);
    }
    Put refusal(std::size_t size) const noexcept;
    Put accepted() noexcept { return std::exchange(asleep_, false) ? Put::Wake : Put::Queued; }
    void new_tail();
    void seal_tail();
    void push(Slice frame);
    void admit_waiting();
    Batch drop_pieces(std::uint64_t before);
    void release_memory() noexcept;

    mutable std::mutex mutex_;
    const std::shared_ptr<ChunkPool> chunks_;
    const Limits limits_;
    std::size_t bytes_ = 0;
    std::uint64_t accepted_bytes_ = 0; // ever: the coordinate of marks
    std::uint64_t taken_bytes_ = 0;    // of those, no longer in pieces_ or the tail
    bool asleep_ = true;
    bool closed_ = false;

    std::vector<Piece> pieces_; // from first_piece_ on
    std::size_t first_piece_ = 0;

    // The chunk being filled. [tail_begin_, tail_end_) is not in pieces_ yet.
    Buffer* tail_ = nullptr;
    std::size_t tail_begin_ = 0;
    std::size_t tail_end_ = 0;
    std::size_t tail_lead_ = 0;
    std::uint32_t tail_frames_ = 0;

    std::size_t waiting_bytes_ = 0;
    std::vector<Waiting> waiting_; // from first_waiting_ on
    std::size_t first_waiting_ = 0;
    std::vector<Done> granted_;
};

template <class Encode>
Outbox::Put Outbox::put(std::size_t size, Encode&& encode) {
    const std::scoped_lock lock{mutex_};
    if (closed_ || !has_room(size) || first_waiting_ != waiting_.size()) [[unlikely]]
        return refusal(size);
    if (!tail_ || tail_->size() - tail_end_ < size) [[unlikely]]
        new_tail();
    encode(tail_->data() + tail_end_);
    tail_end_ += size;
    ++tail_frames_;
    bytes_ += size;
    accepted_bytes_ += size;
    return accepted();
}

} // namespace muster::transport
