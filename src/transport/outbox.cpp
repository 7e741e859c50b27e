// SPDX-License-Identifier: Apache-2.0
#include "outbox.hpp"

#include <algorithm>
#include <cstring>
#include <muster/ensure.hpp>

namespace muster::transport {
namespace {

/// Drops what lies before `first` when that is all, or half of it: amortised constant time per element.
template <class T>
void forget_passed(std::vector<T>& queue, std::size_t& first) {
    if (first == queue.size()) {
        queue.clear();
        first = 0;
    } else if (first >= 64 && first >= queue.size() / 2) {
        queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(first));
        first = 0;
    }
}

} // namespace

Outbox::Outbox(std::shared_ptr<ChunkPool> chunks, Limits limits)
    : chunks_(std::move(chunks)), limits_(limits) {
    MUSTER_ENSURE(chunks_->chunk_bytes() >= whole_bytes_max, "a small frame fits one chunk");
}

Outbox::~Outbox() {
    if (tail_) tail_->release();
}

Outbox::Put Outbox::refusal(std::size_t size) const noexcept {
    if (closed_) return Put::Closed;
    // Waiting tells go first, or a busy teller would starve them.
    return has_room(size) && first_waiting_ == waiting_.size() ? Put::Queued : Put::Full;
}

Outbox::Put Outbox::probe(std::size_t size) const {
    const std::scoped_lock lock{mutex_};
    return refusal(size);
}

Outbox::Put Outbox::put(Slice frame) {
    const std::scoped_lock lock{mutex_};
    if (const Put refused = refusal(frame.size()); refused != Put::Queued) return refused;
    push(std::move(frame));
    return accepted();
}

Outbox::Put Outbox::put(std::span<const std::span<const std::byte>> parts) {
    std::size_t size = 0;
    for (const auto& part : parts) size += part.size();
    const std::scoped_lock lock{mutex_};
    if (const Put refused = refusal(size); refused != Put::Queued) return refused;
    std::size_t written = 0;
    for (auto part : parts) {
        while (!part.empty()) {
            if (!tail_ || tail_end_ == tail_->size()) {
                new_tail();
                if (written) tail_lead_ = std::min(size - written, tail_->size());
            }
            const std::size_t count = std::min(part.size(), tail_->size() - tail_end_);
            std::memcpy(tail_->data() + tail_end_, part.data(), count);
            tail_end_ += count;
            written += count;
            part = part.subspan(count);
        }
    }
    ++tail_frames_;
    bytes_ += size;
    accepted_bytes_ += size;
    return accepted();
}

Outbox::Put Outbox::put_when_room(Slice frame, Done& done) {
    const std::scoped_lock lock{mutex_};
    if (closed_) return Put::Closed;
    if (refusal(frame.size()) == Put::Queued) {
        push(std::move(frame));
        granted_.push_back(std::move(done));
        return accepted();
    }
    if (waiting_.size() - first_waiting_ >= limits_.waiting_max ||
        waiting_bytes_ + frame.size() > limits_.waiting_bytes_max)
        return Put::Full;
    waiting_bytes_ += frame.size();
    waiting_.push_back({std::move(frame), std::move(done)});
    return accepted();
}

void Outbox::new_tail() {
    seal_tail();
    if (tail_) tail_->release();
    tail_ = chunks_->take();
    tail_begin_ = tail_end_ = 0;
}

/// Moves the unsent part of the tail behind the pieces. The chunk stays the tail: what is written behind it
/// later touches other bytes than what is being sent.
void Outbox::seal_tail() {
    if (tail_begin_ == tail_end_) return;
    const std::span<const std::byte> bytes{tail_->data() + tail_begin_, tail_end_ - tail_begin_};
    pieces_.push_back({Slice{bytes, tail_}, tail_lead_, tail_frames_});
    tail_begin_ = tail_end_;
    tail_lead_ = 0;
    tail_frames_ = 0;
}

void Outbox::push(Slice frame) {
    seal_tail();
    bytes_ += frame.size();
    accepted_bytes_ += frame.size();
    pieces_.push_back({std::move(frame), 0, 1});
}

Outbox::Batch Outbox::take(std::vector<Slice>& out, std::size_t bytes_max) {
    const std::scoped_lock lock{mutex_};
    seal_tail();
    out.reserve(out.size() + std::min<std::size_t>(pieces_.size() - first_piece_,
                                                   1024)); // so that running out of memory loses nothing
    Batch batch;
    while (first_piece_ < pieces_.size()) {
        Piece& piece = pieces_[first_piece_];
        const bool enough = batch.bytes > 0 && batch.bytes + piece.bytes.size() > bytes_max;
        if (enough && piece.lead == 0) break;
        if (enough && piece.lead < piece.bytes.size()) { // only the end of the frame that was begun
            out.push_back(piece.bytes.sub(0, piece.lead));
            batch.bytes += piece.lead;
            ++batch.frames;
            piece.bytes.remove_prefix(piece.lead);
            piece.lead = 0;
            --piece.frames;
            break;
        }
        batch.bytes += piece.bytes.size();
        batch.frames += piece.frames;
        out.push_back(std::move(piece.bytes));
        ++first_piece_;
    }
    taken_bytes_ += batch.bytes;
    forget_passed(pieces_, first_piece_);
    return batch;
}

bool Outbox::sent(std::size_t bytes) {
    const std::scoped_lock lock{mutex_};
    MUSTER_ENSURE(bytes <= bytes_, "no more is sent than was taken");
    bytes_ -= bytes;
    admit_waiting();
    return !granted_.empty();
}

/// Waiting tells come in when a quarter of the room is free: whoever waits then wakes once for many frames.
void Outbox::admit_waiting() {
    if (first_waiting_ == waiting_.size() || bytes_ > limits_.bytes_max - limits_.bytes_max / 4) return;
    while (first_waiting_ < waiting_.size() && has_room(waiting_[first_waiting_].frame.size())) {
        Waiting& next = waiting_[first_waiting_++];
        waiting_bytes_ -= next.frame.size();
        push(std::move(next.frame));
        granted_.push_back(std::move(next.done));
    }
    forget_passed(waiting_, first_waiting_);
}

std::vector<Outbox::Done> Outbox::take_granted() {
    const std::scoped_lock lock{mutex_};
    return std::exchange(granted_, {});
}

bool Outbox::sleep() {
    const std::scoped_lock lock{mutex_};
    if (first_piece_ < pieces_.size() || tail_begin_ != tail_end_ || first_waiting_ < waiting_.size() ||
        !granted_.empty())
        return false;
    if (tail_ && tail_->references() == 1) {
        // Everything was sent: the next burst begins where the caches still are. (The pair makes what other
        // threads did with the chunk happen before: references() is a relaxed read.)
        tail_->retain();
        tail_->release();
        tail_begin_ = tail_end_ = 0;
    }
    asleep_ = true;
    return true;
}

void Outbox::trim() {
    const std::scoped_lock lock{mutex_};
    if (first_piece_ == pieces_.size() && tail_begin_ == tail_end_ && first_waiting_ == waiting_.size())
        release_memory();
}

void Outbox::wake() {
    const std::scoped_lock lock{mutex_};
    asleep_ = false;
}

std::uint64_t Outbox::mark() {
    const std::scoped_lock lock{mutex_};
    seal_tail(); // so that the mark lies between two pieces
    if (MUSTER_MUTANT(order_lost_on_reconnect) && pieces_.size() - first_piece_ > 1 &&
        pieces_.back().lead == 0)
        std::rotate(pieces_.begin() + static_cast<std::ptrdiff_t>(first_piece_), pieces_.end() - 1,
                    pieces_.end());
    return accepted_bytes_;
}

Outbox::Batch Outbox::drop_pieces(std::uint64_t before) {
    Batch dropped;
    while (first_piece_ < pieces_.size() && taken_bytes_ < before) {
        Piece& piece = pieces_[first_piece_++];
        dropped.bytes += piece.bytes.size();
        dropped.frames += piece.frames;
        taken_bytes_ += piece.bytes.size();
        piece.bytes = Slice{};
    }
    bytes_ -= dropped.bytes;
    return dropped;
}

Outbox::Batch Outbox::drop_before(std::uint64_t mark) {
    const std::scoped_lock lock{mutex_};
    const Batch dropped = drop_pieces(mark);
    admit_waiting();
    return dropped;
}

void Outbox::drop_waiting(std::vector<Done>& failed) {
    const std::scoped_lock lock{mutex_};
    for (; first_waiting_ < waiting_.size(); ++first_waiting_)
        failed.push_back(std::move(waiting_[first_waiting_].done));
    waiting_bytes_ = 0;
    std::vector<Waiting>{}.swap(waiting_);
    first_waiting_ = 0;
}

Outbox::Batch Outbox::drop_all(std::vector<Done>& failed) {
    const std::scoped_lock lock{mutex_};
    seal_tail();
    Batch dropped = drop_pieces(accepted_bytes_);
    for (; first_waiting_ < waiting_.size(); ++first_waiting_) {
        ++dropped.frames;
        dropped.bytes += waiting_[first_waiting_].frame.size();
        failed.push_back(std::move(waiting_[first_waiting_].done));
    }
    waiting_bytes_ = 0;
    release_memory();
    return dropped;
}

void Outbox::release_memory() noexcept {
    std::vector<Piece>{}.swap(pieces_);
    std::vector<Waiting>{}.swap(waiting_);
    first_piece_ = first_waiting_ = 0;
    if (tail_) std::exchange(tail_, nullptr)->release();
    tail_begin_ = tail_end_ = tail_lead_ = 0;
    tail_frames_ = 0;
}

void Outbox::set_closed(bool closed) {
    const std::scoped_lock lock{mutex_};
    closed_ = closed;
}

bool Outbox::empty() const {
    const std::scoped_lock lock{mutex_};
    return first_piece_ == pieces_.size() && tail_begin_ == tail_end_ && first_waiting_ == waiting_.size();
}

std::size_t Outbox::bytes() const {
    const std::scoped_lock lock{mutex_};
    return bytes_;
}

} // namespace muster::transport
