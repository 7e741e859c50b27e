// SPDX-License-Identifier: Apache-2.0
#include "stream.hpp"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <fmt/format.h>
#include <limits.h>
#include <muster/ensure.hpp>
#include <netinet/tcp.h>
#include <unistd.h>

namespace muster::uring {

namespace asio = boost::asio;

namespace {

/// The queue's memory is kept up to this many slices: an idle connection costs little.
constexpr std::size_t queue_slices_kept = 64;
constexpr std::size_t parts_kept = 64;

/// While it lives, terminal cancellation of the coroutine cancels the stream's send. The operation itself
/// completes only when the kernel has let go of the bytes.
class SendCancellation {
public:
    SendCancellation(asio::cancellation_slot slot, Stream& stream) : slot_(slot) {
        if (!slot_.is_connected()) return;
        slot_.assign([&stream](asio::cancellation_type type) {
            if ((type & asio::cancellation_type::terminal) != asio::cancellation_type::none)
                stream.cancel_send();
        });
    }
    ~SendCancellation() {
        if (slot_.is_connected()) slot_.clear();
    }
    SendCancellation(const SendCancellation&) = delete;
    SendCancellation& operator=(const SendCancellation&) = delete;

private:
    asio::cancellation_slot slot_;
};

} // namespace

Stream::Ptr Stream::open(Context& context, int descriptor, const net::Endpoint& local,
                         const net::Endpoint& remote) {
    Ptr stream(new Stream(context, descriptor, local, remote));
    stream->arm_receive();
    return stream;
}

Stream::Stream(Context& context, int descriptor, const net::Endpoint& local, const net::Endpoint& remote)
    : context_(&context), descriptor_(descriptor), local_(local), remote_(remote) {
    context.add(*this);
    context.counters().connections.add(1);
}

Stream::~Stream() { close_descriptor(); }

// --- receiving

void Stream::arm_receive() {
    if (!receive_.idle() || at_end_ || paused_ || context_->closing()) return;
    if (piecemeal_ && phase_ == Phase::Open && queued_bytes_ >= piecemeal_bytes) return; // pop() goes on
    receive_.self = this;
    context_->start(receive_);
}

void Stream::Receive::prepare(io_uring_sqe& sqe) {
    const bool multishot = stream.context_->multishot_receive() && !stream.piecemeal_;
    if (multishot)
        io_uring_prep_recv_multishot(&sqe, stream.descriptor_, nullptr, 0, 0);
    else
        io_uring_prep_recv(&sqe, stream.descriptor_, nullptr, 0, 0);
    sqe.flags |= IOSQE_BUFFER_SELECT;
    sqe.buf_group = ReceiveBuffers::group;
}

void Stream::Receive::complete(int result, std::uint32_t flags) {
    const Ptr keep = idle() ? std::move(self) : self;
    keep->on_receive(result, flags);
}

void Stream::on_receive(int result, std::uint32_t flags) {
    if (result > 0) {
        bool copied = false;
        Slice bytes = context_->buffers().take(flags, static_cast<std::size_t>(result), copied);
        context_->counters().received_bytes.add(static_cast<std::uint64_t>(result));
        if (copied) context_->counters().copied_bytes.add(static_cast<std::uint64_t>(result));
        // A peer that sends less than a buffer at a time needs no new receive.
        if (piecemeal_ && static_cast<std::size_t>(result) <= calm_bytes &&
            (flags & IORING_CQE_F_SOCK_NONEMPTY) == 0)
            piecemeal_ = false;
        on_bytes(std::move(bytes));
    } else {
        if (flags & IORING_CQE_F_BUFFER) context_->buffers().release(flags);
        if (result == 0)
            on_end(0);
        else if (result == -ENOBUFS)
            context_->counters().no_buffers.add();
        else if (result != -ECANCELED && result != -EINTR && result != -EAGAIN)
            on_end(-result);
    }
    if (!receive_.idle()) return;
    if (phase_ == Phase::Ending) {
        close_if_idle();
    } else if (at_end_) {
        end_if_done();
    } else if (phase_ != Phase::Closed) {
        // After ENOBUFS too: what has completed before was taken, so by the next enter the kernel has the
        // reserve of blocks again.
        arm_receive();
    }
}

void Stream::on_bytes(Slice bytes) {
    if (phase_ != Phase::Open) {
        dropped_bytes_ += bytes.size();
        if (phase_ == Phase::Lingering && dropped_bytes_ > linger_bytes_max) abort();
        return;
    }
    queued_bytes_ += bytes.size();
    Slice* const last = first_ < queue_.size() ? &queue_.back() : nullptr;
    if (last && last->owner() == bytes.owner() && last->data() + last->size() == bytes.data()) {
        // Adjacent in the same block: the reader gets them in one piece.
        last->view({last->data(), last->size() + bytes.size()});
    } else {
        queue_.push_back(std::move(bytes));
    }
    if (queued_bytes_ > context_->receive_queue_bytes_max()) context_->at_turn_end(*this);
    if (queued_bytes_ > piecemeal_bytes && !piecemeal_) receive_piecemeal();
    deliver();
}

void Stream::receive_piecemeal() {
    if (!context_->multishot_receive()) return;
    piecemeal_ = true;
    context_->cancel(receive_); // its end arms the next one, of one buffer
}

void Stream::on_end(int error) {
    at_end_ = true;
    end_error_ = error;
    deliver();
}

void Stream::deliver() {
    if (!receiver_.waiting()) return;
    if (auto ready = take()) receiver_.complete(std::move(*ready));
}

/// The reader has had a turn to take the bytes of the turn before, so a full queue now means a slow reader.
void Stream::at_turn_end() {
    if (phase_ != Phase::Open || queued_bytes_ <= context_->receive_queue_bytes_max()) {
        crowded_ = false;
    } else if (!std::exchange(crowded_, true)) {
        context_->at_turn_end(*this);
    } else if (!paused_) {
        paused_ = true;
        context_->counters().paused.add();
        context_->cancel(receive_);
    }
}

Slice Stream::pop() {
    Slice bytes = std::move(queue_[first_++]);
    queued_bytes_ -= bytes.size();
    if (first_ == queue_.size()) {
        first_ = 0;
        if (queue_.capacity() > queue_slices_kept)
            queue_ = {};
        else
            queue_.clear();
    } else if (first_ >= queue_slices_kept && first_ >= queue_.size() / 2) {
        // A reader that never catches up must not leave an ever longer trail of taken slices.
        queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(first_));
        first_ = 0;
    }
    if (paused_ && queued_bytes_ <= context_->receive_queue_bytes_max() / 2) {
        paused_ = false;
        crowded_ = false;
        arm_receive(); // when its cancellation is still under way, its end arms it
    } else if (piecemeal_ && queued_bytes_ < piecemeal_bytes) {
        arm_receive();
    }
    return bytes;
}

bool Stream::take_bytes(Slice& out) {
    if (first_ == queue_.size()) return false;
    out = pop();
    return true;
}

std::optional<result<Slice>> Stream::take() {
    if (first_ != queue_.size()) return result<Slice>(pop());
    if (phase_ != Phase::Open) return result<Slice>(closed_error());
    if (!at_end_) return std::nullopt;
    if (end_error_ == 0) return result<Slice>(Error{Errc::end_of_stream, remote_.to_string(), {}, {}});
    return result<Slice>(failure(end_error_));
}

Error Stream::failure(int error) const { return from_errno(error, remote_.to_string()); }

// --- sending

std::optional<result<void>> Stream::begin_send(std::span<const Slice> parts) {
    if (phase_ != Phase::Open || send_closed_) return result<void>(closed_error());
    if (send_error_ != 0) return result<void>(failure(send_error_));
    MUSTER_ENSURE(send_.idle(), "one send of a connection is in flight at a time");
    unsent_.clear();
    first_unsent_ = 0;
    for (const Slice& part : parts) {
        // The kernel only reads through iov_base.
        if (!part.empty()) unsent_.push_back({const_cast<std::byte*>(part.data()), part.size()});
    }
    if (unsent_.empty() || send_at_once()) {
        trim_parts();
        return result<void>();
    }
    send_.self = this;
    context_->start(send_);
    return std::nullopt;
}

void Stream::next_message() noexcept {
    message_.msg_iov = unsent_.data() + first_unsent_;
    message_.msg_iovlen = std::min<std::size_t>(unsent_.size() - first_unsent_, IOV_MAX);
}

/// True when everything was sent. The rest, and every error, is left to the ring.
bool Stream::send_at_once() {
    if (std::exchange(direct_turn_, context_->turn()) != context_->turn()) direct_bytes_ = 0;
    if (direct_bytes_ >= direct_bytes_max) return false;
    next_message();
    const ssize_t sent = ::sendmsg(descriptor_, &message_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent <= 0) return false;
    direct_bytes_ += static_cast<std::size_t>(sent);
    context_->counters().sent_bytes.add(static_cast<std::uint64_t>(sent));
    context_->counters().sent_at_once.add();
    skip_sent(static_cast<std::size_t>(sent));
    return first_unsent_ == unsent_.size();
}

void Stream::Send::prepare(io_uring_sqe& sqe) {
    stream.next_message();
    // MSG_WAITALL: the kernel goes on by itself when the socket's buffer was full.
    io_uring_prep_sendmsg(&sqe, stream.descriptor_, &stream.message_, MSG_NOSIGNAL | MSG_WAITALL);
}

void Stream::Send::complete(int result, std::uint32_t) {
    const Ptr keep = std::move(self);
    keep->on_send(result);
}

void Stream::on_send(int result) {
    if (result > 0) {
        context_->counters().sent_bytes.add(static_cast<std::uint64_t>(result));
        skip_sent(static_cast<std::size_t>(result));
    }
    if (first_unsent_ == unsent_.size()) {
        finish_send({});
    } else if (phase_ == Phase::Ending) {
        finish_send(closed_error());
    } else if (send_.cancelled()) {
        send_error_ = ECANCELED; // the stream has a hole now
        finish_send(Error{Errc::cancelled, remote_.to_string(), {}, {}});
    } else if (result > 0 || result == -ECANCELED || result == -EINTR || result == -EAGAIN) {
        // A short write, or a run that ended: go on.
        send_.self = this;
        context_->start(send_);
    } else {
        send_error_ = -result;
        finish_send(failure(send_error_));
    }
}

void Stream::skip_sent(std::size_t count) noexcept {
    while (count != 0) {
        iovec& part = unsent_[first_unsent_];
        const std::size_t step = std::min(count, part.iov_len);
        part.iov_base = static_cast<std::byte*>(part.iov_base) + step;
        part.iov_len -= step;
        count -= step;
        if (part.iov_len == 0) ++first_unsent_;
    }
}

void Stream::trim_parts() noexcept {
    if (unsent_.capacity() > parts_kept) unsent_ = {};
}

void Stream::finish_send(result<void> outcome) {
    trim_parts();
    const bool sent = outcome.has_value();
    sender_.complete(std::move(outcome));
    if (phase_ == Phase::Ending) {
        close_if_idle();
    } else if (send_closed_) {
        // A FIN behind a hole would tell the peer that all is well.
        if (sent)
            send_fin();
        else
            abort();
    }
}

void Stream::cancel_send() {
    if (context_ && !send_.idle()) context_->cancel(send_);
}

// --- closing

Error Stream::closed_error() const { return {Errc::closed, remote_.to_string(), {}, {}}; }

void Stream::close(net::Close how) {
    if (phase_ != Phase::Open) return;
    const Ptr keep(this);
    if (how == net::Close::Abort) {
        abort();
    } else if (!std::exchange(send_closed_, true) && send_.idle()) {
        send_fin();
    }
}

void Stream::release() {
    if (phase_ != Phase::Open) return;
    const Ptr keep(this);
    if (!send_closed_) {
        abort();
        return;
    }
    phase_ = Phase::Lingering;
    drop_received();
    linger_timer_ = context_->schedule(context_->now() + linger, [self = Ptr(this)] {
        self->linger_timer_ = net::TimerId::None;
        self->abort();
    });
    arm_receive();
    end_if_done();
}

void Stream::drop_received() {
    queue_ = {};
    first_ = 0;
    queued_bytes_ = 0;
    paused_ = false;
    receiver_.complete(closed_error());
}

void Stream::send_fin() {
    ::shutdown(descriptor_, SHUT_WR); // fails when the connection is gone already, which receiving will tell
    end_if_done();
}

void Stream::end_if_done() {
    if (phase_ == Phase::Lingering && at_end_ && send_.idle()) end();
}

/// The descriptor's close is a RST.
void Stream::set_reset() noexcept {
    const ::linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

void Stream::abort() {
    set_reset();
    end();
}

void Stream::end() {
    const Ptr keep(this); // the timer may hold the last reference
    phase_ = Phase::Ending;
    drop_received();
    context_->cancel_timer(std::exchange(linger_timer_, net::TimerId::None));
    context_->cancel(receive_);
    context_->cancel(send_);
    close_if_idle();
}

void Stream::close_if_idle() {
    if (receive_.idle() && send_.idle()) close_descriptor();
}

void Stream::close_descriptor() noexcept {
    if (descriptor_ < 0) return;
    ::close(std::exchange(descriptor_, -1));
    phase_ = Phase::Closed;
    if (context_) context_->counters().connections.add(-1);
}

void Stream::orphan() noexcept {
    if (phase_ == Phase::Open && !send_closed_) set_reset();
    close_descriptor();
    context_ = nullptr;
}

// --- the user's handle

net::Task<result<Slice>> Connection::receive() {
    const Stream::Ptr stream = stream_; // the Connection may be destroyed while we wait
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none)
        co_return Error{Errc::cancelled, stream->remote().to_string(), {}, {}};
    if (auto ready = stream->take()) co_return std::move(*ready);
    auto wait = stream->receiver().async_wait(stream->parking_lot(), executor_, net::Cancellable::Yes,
                                              "receive", asio::deferred);
    auto outcome = co_await std::move(wait);
    co_return outcome;
}

net::Task<result<void>> Connection::send(std::span<const Slice> parts) {
    const Stream::Ptr stream = stream_;
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none)
        co_return Error{Errc::cancelled, stream->remote().to_string(), {}, {}};
    if (auto done = stream->begin_send(parts)) co_return std::move(*done);
    const SendCancellation cancel(cancellation.slot(), *stream);
    auto wait = stream->sender().async_wait(stream->parking_lot(), executor_, net::Cancellable::No, "send",
                                            asio::deferred);
    auto outcome = co_await std::move(wait);
    co_return outcome;
}

} // namespace muster::uring
