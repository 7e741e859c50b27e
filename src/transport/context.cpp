// SPDX-License-Identifier: Apache-2.0
#include "context.hpp"

#include <span>
#include <utility>

namespace muster::transport {
namespace {

/// Frames of full size that are assembled at once unless assembly_bytes_max says otherwise.
constexpr std::size_t assembly_frames = 8;

SplitMix64 seeded(net::Runtime& runtime) {
    std::uint64_t seed = 0;
    runtime.fill_entropy(std::as_writable_bytes(std::span{&seed, 1}));
    return SplitMix64{seed};
}

} // namespace

AbortAt::AbortAt(net::Runtime& runtime, Instant deadline, std::shared_ptr<net::Connection> connection)
    : runtime_(runtime) {
    auto abort = [this, connection = std::move(connection)] {
        timer_ = net::TimerId::None;
        expired_ = true;
        connection->close(net::Close::Abort);
    };
    timer_ = runtime_.schedule(deadline, std::move(abort));
}

AbortAt::~AbortAt() {
    if (timer_ != net::TimerId::None) runtime_.cancel(timer_);
}

void DeadlineTimer::set(const std::optional<Instant>& when) {
    if (when == when_) return;
    if (timer_ != net::TimerId::None) runtime_.cancel(std::exchange(timer_, net::TimerId::None));
    when_ = when;
    if (!when) return;
    auto due = [this] {
        timer_ = net::TimerId::None;
        when_.reset();
        fire_();
    };
    timer_ = runtime_.schedule(*when, std::move(due));
}

Turns::PartialHold::PartialHold(Turns& turns, FrameReader& reader)
    : turns_(turns), held_(reader.holds_receive_buffer() && turns.partial_holds_ < partial_holds_max) {
    if (held_)
        ++turns_.partial_holds_;
    else
        reader.detach();
}

/// By a timer that is due: a posted task would run in this turn still.
net::Task<void> Turns::next() {
    struct Waiting {
        explicit Waiting(std::size_t& n) noexcept : count(n) { ++count; }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;
        ~Waiting() { --count; }
        std::size_t& count;
    };
    const Waiting waiting{waiting_};
    counters_.turns_over.add();
    co_await runtime_.sleep_until(runtime_.monotonic_now());
}

Context::Context(net::Runtime& r, TcpTransportOptions o, UniqueAddress self)
    : runtime(r), options(std::move(o)),
      link_limits{options.handshake_timeout, options.association_idle_timeout, options.half_open_timeout,
                  options.frame_timeout},
      counters(r.metrics()), identity(options.cluster_name, std::move(self)),
      lifeline(std::make_shared<Lifeline>(r, counters)),
      retained(std::make_shared<RetainedBytes>(options.retained_bytes_max)), tasks(r), turns(r, counters),
      assembly(options.assembly_bytes_max ? options.assembly_bytes_max
                                          : assembly_frames * options.frame_bytes_max),
      random(seeded(r)) {}

std::unique_ptr<net::Connection> Context::decorated(std::unique_ptr<net::Connection> connection,
                                                    net::ConnectionRole role) {
    if (!options.decorate_connection) return connection;
    const std::string remote = connection->remote().to_string();
    auto inside = options.decorate_connection(std::move(connection), role);
    if (inside) return inside;
    counters.handshakes_failed.add();
    log().warning("transport.handshake.failed", remote,
                  {{"error", "decorate_connection refused it"},
                   {"side", role == net::ConnectionRole::Dialled ? "dialler" : "acceptor"}});
    return nullptr;
}

} // namespace muster::transport
