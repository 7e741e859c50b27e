// SPDX-License-Identifier: Apache-2.0
#include "socket.hpp"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <cstring>
#include <muster/ensure.hpp>

namespace muster::sim {

namespace asio = boost::asio;

namespace {

constexpr std::size_t segment_bytes_max = 64 * 1024;
constexpr unsigned knocks_max = 7;

/// The bytes of one segment, header and bytes in one allocation. Once received, they belong to the receiver.
class SentBuffer final : public Buffer {
public:
    /// The caller holds the first reference.
    static SentBuffer* create(std::size_t size) {
        void* block = ::operator new(sizeof(SentBuffer) + size);
        return new (block) SentBuffer(static_cast<std::byte*>(block) + sizeof(SentBuffer), size);
    }
    void received_by(std::shared_ptr<ProcessLeakCounter> leak_counter) noexcept {
        receiver_ = std::move(leak_counter);
        receiver_->count_received(1, size());
    }

private:
    SentBuffer(std::byte* data, std::size_t size) noexcept : Buffer(data, size) {}
    ~SentBuffer() = default;
    void recycle() noexcept override {
        if (receiver_) receiver_->count_received(-1, size());
        this->~SentBuffer();
        ::operator delete(static_cast<void*>(this));
    }

    std::shared_ptr<ProcessLeakCounter> receiver_;
};

bool is_cancelled(const asio::cancellation_state& state) noexcept {
    return state.cancelled() != asio::cancellation_type::none;
}

Error cancelled(const char* what) { return Error{Errc::cancelled, what, {}, {}}; }

} // namespace

Socket::Socket(Process& process, Names names, std::uint64_t connection)
    : fabric_(process.fabric()), process_(&process), names_(names), connection_(connection),
      number_(fabric_.enter(*this)), credit_(fabric_.options().window_bytes) {
    ++fabric_.machine(names_.local_host).ports[names_.local.port];
}

Socket::~Socket() {
    auto& ports = fabric_.machine(names_.local_host).ports;
    const auto port = ports.find(names_.local.port);
    if (--port->second == 0) ports.erase(port);
    fabric_.cancel(retry_);
    fabric_.leave(*this);
}

Segment Socket::segment_of(Segment::Kind kind, std::size_t bytes) const noexcept {
    return {.kind = kind,
            .from = names_.local_host,
            .to = names_.remote_host,
            .connection = connection_,
            .bytes = bytes};
}

Error Socket::error(Errc code) const { return Error{code, names_.remote.to_string(), {}, {}}; }

// ---- sending
// -------------------------------------------------------------------------------------------------

void Socket::transmit(Transmission segment) {
    if (!stalled_.empty()) return stalled_.push_back(std::move(segment));
    if (!attempt(segment)) stall(std::move(segment));
}

/// Hands one segment to the network. False when it was lost.
bool Socket::attempt(Transmission& segment) {
    std::span<std::byte> payload;
    if (!segment.payload.empty()) {
        // Nobody else sees the bytes before they arrive.
        payload = {segment.payload.owner()->data(), segment.payload.size()};
    }
    const Fate fate = fabric_.decide(segment_of(segment.kind, segment.payload.size()), payload);
    if (fate.lost) return false;
    // A stream keeps its order, whatever delay each of its segments has.
    next_arrival_ = std::max(next_arrival_, fabric_.now() + fate.delay);
    if (fate.reset && segment.kind == Segment::Kind::Data) {
        const std::size_t bytes = std::min(fate.bytes, segment.payload.size());
        segment.payload = segment.payload.sub(0, bytes);
        fabric_.schedule(next_arrival_,
                         [self = shared_from_this(), segment = std::move(segment)] { self->tear(segment); });
        return true;
    }
    fabric_.schedule(next_arrival_,
                     [self = shared_from_this(), segment = std::move(segment)] { self->land(segment); });
    return true;
}

/// The connection breaks in the middle of a segment, whose first part still arrives.
void Socket::tear(const Transmission& segment) {
    if (!segment.payload.empty()) land(segment);
    fabric_.trace(TraceEvent::Kind::Broken, segment_of(Segment::Kind::Reset));
    const auto peer = peer_.lock();
    if (peer) peer->break_connection();
    break_connection();
}

/// A segment reaches the peer's machine.
void Socket::land(const Transmission& segment) {
    if (!fabric_.machine(names_.remote_host).up) return stall(segment);
    fabric_.trace(TraceEvent::Kind::Arrived, segment_of(segment.kind, segment.payload.size()));
    if (swallowed_) return;
    const auto peer = peer_.lock();
    if (peer && !peer->shut_) return peer->arrive(segment);
    // The machine no longer knows the connection.
    if (segment.kind == Segment::Kind::Data || segment.kind == Segment::Kind::Accept) answer_reset();
}

void Socket::stall(Transmission segment) {
    if (error_) return;
    if (stalled_.empty()) {
        stalled_since_ = fabric_.now();
        backoff_ = fabric_.options().retransmit_min;
    }
    stalled_.push_back(std::move(segment));
    if (retry_ == net::TimerId::None)
        retry_ = fabric_.schedule(fabric_.now() + backoff_,
                                  [self = shared_from_this()] { self->retry_stalled(); });
}

void Socket::retry_stalled() {
    fabric_.cancel(std::exchange(retry_, net::TimerId::None));
    const NetworkOptions& options = fabric_.options();
    while (!stalled_.empty() && attempt(stalled_.front())) {
        stalled_.pop_front();
        stalled_since_ = fabric_.now();
        backoff_ = options.retransmit_min / 2;
    }
    if (stalled_.empty()) return;
    if (fabric_.now() - stalled_since_ >= options.retransmit_give_up) return fail(error(Errc::timed_out));
    backoff_ = std::min(backoff_ * 2, options.retransmit_max);
    retry_ =
        fabric_.schedule(fabric_.now() + backoff_, [self = shared_from_this()] { self->retry_stalled(); });
}

void Socket::retry() {
    if (connecting_ && !answered_) {
        if (retry_ != net::TimerId::None) knock();
    } else if (!stalled_.empty()) {
        backoff_ = fabric_.options().retransmit_min;
        retry_stalled();
    }
}

/// Sent once without repetition: when it is lost, the peer has a half-open connection.
void Socket::send_reset() {
    if (peer_.expired()) return;
    const Segment reset = segment_of(Segment::Kind::Reset);
    const Fate fate = fabric_.decide(reset, {});
    if (fate.lost) return;
    next_arrival_ = std::max(next_arrival_, fabric_.now() + fate.delay);
    fabric_.schedule(next_arrival_, [&fabric = fabric_, peer = peer_, reset, code = Errc::reset] {
        if (!fabric.machine(reset.to).up) return;
        fabric.trace(TraceEvent::Kind::Arrived, reset);
        if (const auto socket = peer.lock()) socket->fail(socket->error(code));
    });
}

/// The peer's machine refuses what we sent.
void Socket::answer_reset() {
    Segment reset = segment_of(Segment::Kind::Reset);
    std::swap(reset.from, reset.to);
    const Fate fate = fabric_.decide(reset, {});
    if (fate.lost) {
        if (connecting_) knock_later();
        return;
    }
    const Errc code = connecting_ ? Errc::refused : Errc::reset;
    fabric_.schedule(fabric_.now() + fate.delay, [self = shared_from_this(), reset, code] {
        if (!self->fabric_.machine(reset.to).up) return;
        self->fabric_.trace(TraceEvent::Kind::Arrived, reset);
        self->fail(self->error(code));
    });
}

// ---- connecting
// ----------------------------------------------------------------------------------------------

void Socket::knock() {
    fabric_.cancel(std::exchange(retry_, net::TimerId::None));
    ++knocks_;
    const Fate fate = fabric_.decide(segment_of(Segment::Kind::Connect), {});
    if (fate.lost) return knock_later();
    fabric_.schedule(fabric_.now() + fate.delay, [self = shared_from_this()] { self->knocked(); });
}

void Socket::knock_later() {
    if (shut_ || error_ || retry_ != net::TimerId::None) return;
    if (knocks_ >= knocks_max) return fail(error(Errc::timed_out));
    const Instant when = fabric_.now() + fabric_.options().connect_retry * (1LL << (knocks_ - 1));
    retry_ = fabric_.schedule(when, [self = shared_from_this()] { self->knock(); });
}

/// The SYN reaches the other machine.
void Socket::knocked() {
    if (shut_ || answered_) return;
    if (!fabric_.machine(names_.remote_host).up) return knock_later();
    fabric_.trace(TraceEvent::Kind::Arrived, segment_of(Segment::Kind::Connect));
    const Proxy on_the_way = proxy();
    if (on_the_way == Proxy::Swallows) return swallow();
    ListenSocket* listener = fabric_.find_listener(names_.remote_host, names_.remote);
    if (!listener || on_the_way == Proxy::Refuses) return answer_reset();
    const Names mirrored{.local_host = names_.remote_host,
                         .remote_host = names_.local_host,
                         .local = names_.remote,
                         .remote = names_.local};
    const auto other = listener->offer(mirrored, connection_);
    if (!other) return knock_later();
    answered_ = true;
    peer_ = other;
    other->peer_ = weak_from_this();
    other->transmit({.kind = Segment::Kind::Accept, .payload = {}, .bytes = 0});
}

/// The worse of the two that a connection passes.
Proxy Socket::proxy() const {
    if (names_.local_host == names_.remote_host) return Proxy::Transparent;
    return std::max(fabric_.machine(names_.local_host).proxy, fabric_.machine(names_.remote_host).proxy);
}

void Socket::swallow() {
    answered_ = true;
    swallowed_ = true;
    fabric_.schedule(fabric_.now(), [self = shared_from_this()] {
        if (!self->shut_ && !self->error_)
            self->arrive({.kind = Segment::Kind::Accept, .payload = {}, .bytes = 0});
    });
}

net::Task<result<void>> Socket::connect(std::shared_ptr<Socket> self, Instant deadline) {
    Process& process = *self->process_;
    self->connecting_ = true;
    self->knock();
    net::TimerId id = net::TimerId::None;
    if (deadline != Instant::max()) {
        auto expire = [socket = self.get()] { socket->writable_.complete(socket->error(Errc::timed_out)); };
        id = process.schedule(deadline, std::move(expire));
    }
    struct Timer {
        Process& process;
        net::TimerId id;
        ~Timer() { process.cancel_timer(id); }
    };
    const Timer timer{process, id};
    auto wait = self->writable_.async_wait(process.parking_lot(), process.executor(), net::Cancellable::Yes,
                                           "connect", asio::deferred);
    auto connected = co_await std::move(wait);
    if (connected && self->error_) connected = *self->error_;
    if (!connected) self->abort();
    co_return connected;
}

// ---- arriving
// ------------------------------------------------------------------------------------------------

void Socket::arrive(const Transmission& segment) {
    if (error_) return; // broken: what was behind the break on its way is lost
    switch (segment.kind) {
    case Segment::Kind::Accept:
        connecting_ = false;
        writable_.complete({});
        return;
    case Segment::Kind::Data:
        // No process will read it: answer as a kernel does for such a socket.
        if (orphaned_) {
            send_reset();
            return fail(error(Errc::closed));
        }
        received_.push_back(segment.payload);
        readable_.complete({});
        return;
    case Segment::Kind::Window:
        credit_ += segment.bytes;
        writable_.complete({});
        return;
    case Segment::Kind::Finish:
        peer_finished_ = true;
        readable_.complete({});
        return;
    case Segment::Kind::Connect:
    case Segment::Kind::Reset: return; // have ways of their own
    }
}

/// Breaks the connection. Bytes received before can still be read.
void Socket::fail(Error why) {
    if (error_ || shut_) return;
    error_ = std::move(why);
    connecting_ = false;
    stalled_.clear();
    fabric_.cancel(std::exchange(retry_, net::TimerId::None));
    readable_.complete({});
    writable_.complete({});
}

void Socket::break_connection() { fail(error(Errc::reset)); }

void Socket::vanish() {
    fail(error(Errc::closed));
    shut_ = true;
    received_.clear();
}

// ---- closing
// -------------------------------------------------------------------------------------------------

void Socket::close(net::Close how) {
    if (how == net::Close::Abort) return abort();
    if (std::exchange(send_closed_, true)) return;
    finish_sending();
}

/// FIN, once nothing is being sent any more.
void Socket::finish_sending() {
    if (!send_closed_ || sending_ || finished_ || shut_ || error_) return;
    finished_ = true;
    transmit({.kind = Segment::Kind::Finish, .payload = {}, .bytes = 0});
}

void Socket::abort() {
    if (std::exchange(shut_, true)) return;
    if (!error_) send_reset();
    if (!error_) error_ = error(Errc::closed);
    received_.clear();
    stalled_.clear();
    fabric_.cancel(std::exchange(retry_, net::TimerId::None));
    readable_.complete(error(Errc::closed));
    writable_.complete(error(Errc::closed));
}

void Socket::abandon() {
    if (!send_closed_ || sending_) return abort();
    // Sent bytes still arrive: segments in flight, and those that wait to be repeated, share this socket.
    orphaned_ = true;
    received_.clear();
    readable_.complete(error(Errc::closed));
}

void Socket::orphan() noexcept {
    if (!orphaned_) abort();
    process_ = nullptr;
}

// ---- the process's side
// --------------------------------------------------------------------------------------

bool Socket::take(Slice& out) {
    if (received_.empty()) return false;
    out = std::move(received_.front());
    received_.pop_front();
    if (process_) static_cast<SentBuffer*>(out.owner())->received_by(process_->leak_counter());
    unacknowledged_ += out.size();
    if (unacknowledged_ >= fabric_.options().window_bytes / 4 && !error_)
        transmit({.kind = Segment::Kind::Window, .payload = {}, .bytes = std::exchange(unacknowledged_, 0)});
    return true;
}

bool Socket::try_receive(Slice& out) { return !shut_ && take(out); }

net::Task<result<Slice>> Socket::receive(std::shared_ptr<Socket> self) {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    for (;;) {
        if (is_cancelled(cancellation)) co_return cancelled("receive");
        if (self->shut_) co_return self->error(Errc::closed);
        Slice slice;
        if (self->take(slice)) co_return std::move(slice);
        if (self->peer_finished_) co_return self->error(Errc::end_of_stream);
        if (self->error_) co_return *self->error_;
        Process& process = *self->process_;
        auto wait = self->readable_.async_wait(process.parking_lot(), process.executor(),
                                               net::Cancellable::Yes, "receive", asio::deferred);
        auto readable = co_await std::move(wait);
        if (!readable) co_return readable.error();
    }
}

/// Sends what the peer has room for; true when everything is on its way.
bool Socket::push(std::span<const Slice> parts, std::size_t& part, std::size_t& offset) {
    for (;;) {
        while (part < parts.size() && offset == parts[part].size()) {
            ++part;
            offset = 0;
        }
        if (part == parts.size()) return true;
        if (credit_ == 0) return false;
        std::size_t left = 0;
        for (std::size_t i = part; i < parts.size() && left < segment_bytes_max; ++i) left += parts[i].size();
        const std::size_t size = std::min({left - offset, segment_bytes_max, credit_});
        Buffer* buffer = SentBuffer::create(size);
        for (std::size_t filled = 0; filled < size;) {
            const std::size_t count = std::min(size - filled, parts[part].size() - offset);
            if (count > 0) std::memcpy(buffer->data() + filled, parts[part].data() + offset, count);
            filled += count;
            offset += count;
            if (filled < size) {
                ++part;
                offset = 0;
            }
        }
        credit_ -= size;
        transmit({.kind = Segment::Kind::Data,
                  .payload = Slice::adopt(buffer, {buffer->data(), size}),
                  .bytes = size});
    }
}

net::Task<result<void>> Socket::send(std::shared_ptr<Socket> self, std::span<const Slice> parts) {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (is_cancelled(cancellation)) co_return cancelled("send");
    if (self->send_closed_ || self->shut_) co_return self->error(Errc::closed);
    MUSTER_ENSURE(!self->sending_, "one send at a time");
    struct Sending {
        Socket& socket;
        explicit Sending(Socket& s) : socket(s) { socket.sending_ = true; }
        ~Sending() {
            socket.sending_ = false;
            if (socket.process_) socket.finish_sending();
        }
    };
    const Sending sending(*self);
    std::size_t part = 0, offset = 0;
    for (;;) {
        if (self->error_) co_return *self->error_;
        if (self->push(parts, part, offset)) co_return result<void>{};
        if (is_cancelled(cancellation)) co_return cancelled("send");
        Process& process = *self->process_;
        auto wait = self->writable_.async_wait(process.parking_lot(), process.executor(),
                                               net::Cancellable::Yes, "send", asio::deferred);
        auto writable = co_await std::move(wait);
        if (!writable) co_return writable.error();
    }
}

// ---- listening
// -----------------------------------------------------------------------------------------------

ListenSocket::ListenSocket(Process& process, net::Endpoint at, std::size_t backlog)
    : process_(&process), at_(at), backlog_max_(std::max<std::size_t>(backlog, 1)) {
    process.fabric().machine(process.host()).listeners.emplace(at_, this);
}

ListenSocket::~ListenSocket() { close(); }

std::shared_ptr<Socket> ListenSocket::offer(Socket::Names names, std::uint64_t connection) {
    if (backlog_.size() >= backlog_max_) return nullptr;
    auto socket = std::make_shared<Socket>(*process_, names, connection);
    backlog_.push_back(socket);
    readable_.complete({});
    return socket;
}

void ListenSocket::close() {
    if (std::exchange(closed_, true)) return;
    process_->fabric().machine(process_->host()).listeners.erase(at_);
    process_ = nullptr;
    for (const auto& socket : std::exchange(backlog_, {})) socket->abandon();
    readable_.complete(Error{Errc::closed, at_.to_string(), {}, {}});
}

net::Task<result<std::shared_ptr<Socket>>> ListenSocket::accept(std::shared_ptr<ListenSocket> self) {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    for (;;) {
        if (is_cancelled(cancellation)) co_return cancelled("accept");
        if (self->closed_) co_return Error{Errc::closed, self->at_.to_string(), {}, {}};
        if (!self->backlog_.empty()) {
            auto socket = std::move(self->backlog_.front());
            self->backlog_.pop_front();
            co_return std::move(socket);
        }
        Process& process = *self->process_;
        auto wait = self->readable_.async_wait(process.parking_lot(), process.executor(),
                                               net::Cancellable::Yes, "accept", asio::deferred);
        auto readable = co_await std::move(wait);
        if (!readable) co_return readable.error();
    }
}

} // namespace muster::sim
