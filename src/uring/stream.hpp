// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One TCP connection on the ring, and the handle that users hold.
#include "context.hpp"
#include "net/waiter.hpp"
#include "operation.hpp"
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <muster/net/runtime.hpp>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>
#include <sys/uio.h>
#include <vector>

namespace muster::uring {

/// The state of a connection. Its operations keep it alive until the kernel is done with them, so it outlives
/// the Connection that was destroyed.
///
/// Receives run ahead of the reader: the kernel fills the loop's buffers from the first turn on, and slices
/// queue here up to a limit.
class Stream final : public boost::intrusive_ref_counter<Stream, boost::thread_unsafe_counter>,
                     private Dependent,
                     private Context::TurnEnd {
public:
    using Ptr = boost::intrusive_ptr<Stream>;

    /// Takes over the connected, blocking `descriptor`.
    static Ptr open(Context& context, int descriptor, const net::Endpoint& local,
                    const net::Endpoint& remote);
    ~Stream();

    const net::Endpoint& local() const noexcept { return local_; }
    const net::Endpoint& remote() const noexcept { return remote_; }

    net::ParkingLot& parking_lot() noexcept { return context_->parking_lot(); }
    /// The next bytes or the stream's end when they are known already.
    std::optional<result<Slice>> take();
    bool take_bytes(Slice& out);
    net::Waiter<Slice>& receiver() noexcept { return receiver_; }

    /// Starts to send; nothing when there is nothing to wait for. `parts` live until sender() completes.
    std::optional<result<void>> begin_send(std::span<const Slice> parts);
    void cancel_send();
    net::Waiter<void>& sender() noexcept { return sender_; }

    void close(net::Close how);
    /// Nobody holds the connection any more: aborts what is open, lets a graceful close go on.
    void release();

private:
    class Receive final : public Operation {
    public:
        explicit Receive(Stream& s) noexcept : stream(s) {}
        void prepare(io_uring_sqe& sqe) override;
        void complete(int result, std::uint32_t flags) override;
        Stream& stream;
        Ptr self; ///< while not idle
    };
    class Send final : public Operation {
    public:
        explicit Send(Stream& s) noexcept : stream(s) {}
        void prepare(io_uring_sqe& sqe) override;
        void complete(int result, std::uint32_t flags) override;
        Stream& stream;
        Ptr self; ///< while not idle
    };
    enum class Phase : std::uint8_t {
        Open,
        Lingering, ///< nobody holds it; what the peer still sends is dropped until its FIN
        Ending,    ///< waits for its operations to end
        Closed,    ///< no descriptor
    };
    /// What a connection sends in one turn without going through the ring. A first send is over when it is
    /// called, which saves a turn of the loop; a stream of them must leave others their turn.
    static constexpr std::size_t direct_bytes_max = 64 * 1024;
    /// A multishot receive takes what the socket has, megabytes of a flood, whatever the reader does with it:
    /// that much time is lost to the others in every turn, and the buffers run out. Above so many unread
    /// bytes the kernel is asked for one buffer at a time.
    static constexpr std::size_t piecemeal_bytes = 256 * 1024;
    /// A receive that empties the socket with no more than this ends that.
    static constexpr std::size_t calm_bytes = 16 * 1024;
    /// How long a connection that was closed gracefully waits for the peer's FIN when nobody holds it any
    /// more. Closing earlier could destroy, by a reset, what the peer has not read yet.
    static constexpr std::chrono::seconds linger{5};
    /// A peer that keeps sending after our FIN has no reader any more.
    static constexpr std::size_t linger_bytes_max = 16 * 1024 * 1024;

    Stream(Context& context, int descriptor, const net::Endpoint& local, const net::Endpoint& remote);

    void arm_receive();
    void receive_piecemeal();
    void on_receive(int result, std::uint32_t flags);
    void on_bytes(Slice bytes);
    void on_end(int error);
    void deliver();
    Slice pop();
    void at_turn_end() override;

    void next_message() noexcept;
    bool send_at_once();
    void on_send(int result);
    void trim_parts() noexcept;
    void finish_send(result<void> outcome);
    void skip_sent(std::size_t count) noexcept;
    Error failure(int error) const;

    Error closed_error() const;
    void drop_received();
    void send_fin();
    void set_reset() noexcept;
    void abort();
    void end();
    void end_if_done();
    void close_if_idle();
    void close_descriptor() noexcept;
    void orphan() noexcept override;

    Context* context_; ///< null when the loop is gone
    int descriptor_;
    net::Endpoint local_, remote_;
    Phase phase_ = Phase::Open;
    bool send_closed_ = false; ///< FIN, once nothing is being sent any more
    bool paused_ = false;      ///< the queue is full: not receiving
    bool piecemeal_ = false;   ///< one buffer at a time, each asked for when the reader has use for it
    bool crowded_ = false;     ///< the queue was full when the kernel was entered
    bool at_end_ = false;      ///< nothing more will arrive, because of end_error_ or (0) the peer's FIN
    int end_error_ = 0;

    Receive receive_{*this};
    net::Waiter<Slice> receiver_;
    std::vector<Slice> queue_; ///< from first_ on
    std::size_t first_ = 0;
    std::size_t queued_bytes_ = 0;
    std::size_t dropped_bytes_ = 0;

    Send send_{*this};
    net::Waiter<void> sender_;
    std::vector<iovec> unsent_; ///< from first_unsent_ on
    std::size_t first_unsent_ = 0;
    msghdr message_{};
    std::uint64_t direct_turn_ = 0; ///< the turn in which direct_bytes_ were sent at once
    std::size_t direct_bytes_ = 0;
    int send_error_ = 0; ///< once a send failed, every later one does
    net::TimerId linger_timer_ = net::TimerId::None;
};

class Connection final : public net::Connection {
public:
    Connection(Stream::Ptr stream, boost::asio::any_io_executor executor) noexcept
        : stream_(std::move(stream)), executor_(std::move(executor)) {}
    ~Connection() override { stream_->release(); }

    net::Task<result<Slice>> receive() override;
    bool try_receive(Slice& out) override { return stream_->take_bytes(out); }
    net::Task<result<void>> send(std::span<const Slice> parts) override;
    void close(net::Close how) override { stream_->close(how); }
    const net::Endpoint& local() const noexcept override { return stream_->local(); }
    const net::Endpoint& remote() const noexcept override { return stream_->remote(); }

private:
    Stream::Ptr stream_;
    boost::asio::any_io_executor executor_;
};

} // namespace muster::uring
