// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the links of one transport share: limits, counters, memory, turns of the loop, and who this node is.
#include "base/split_mix64.hpp"
#include "counters.hpp"
#include "lifeline.hpp"
#include "link/answer_route.hpp"
#include "link/assembly_budget.hpp"
#include "link/frame_reader.hpp"
#include "link/link.hpp"
#include "link/quarantine_list.hpp"
#include "own_identity.hpp"
#include "reporter.hpp"
#include "retained.hpp"
#include <cstdint>
#include <memory>
#include <muster/net/runtime.hpp>
#include <muster/net/task_group.hpp>
#include <muster/transport/tcp.hpp>
#include <muster/unique_function.hpp>
#include <muster/wire/envelope.hpp>
#include <optional>
#include <utility>

namespace muster::transport {

/// Aborts a connection at a deadline unless it is destroyed before. Runtime's thread.
class AbortAt {
public:
    AbortAt(net::Runtime& runtime, Instant deadline, std::shared_ptr<net::Connection> connection);
    ~AbortAt();
    AbortAt(const AbortAt&) = delete;
    AbortAt& operator=(const AbortAt&) = delete;
    bool expired() const noexcept { return expired_; }

private:
    net::Runtime& runtime_;
    net::TimerId timer_;
    bool expired_ = false;
};

/// Calls `fire` at a deadline that may change. Runtime's thread.
class DeadlineTimer {
public:
    DeadlineTimer(net::Runtime& runtime, UniqueFunction<void()> fire)
        : runtime_(runtime), fire_(std::move(fire)) {}
    ~DeadlineTimer() { set(std::nullopt); }
    DeadlineTimer(const DeadlineTimer&) = delete;
    DeadlineTimer& operator=(const DeadlineTimer&) = delete;
    void set(const std::optional<Instant>& when);

private:
    net::Runtime& runtime_;
    UniqueFunction<void()> fire_;
    std::optional<Instant> when_;
    net::TimerId timer_ = net::TimerId::None;
};

/// The loop's turns, which links share (protocol.md §16, TurnBudget). Runtime's thread.
class Turns {
public:
    /// Connections that keep the beginning of a frame in their receive buffer.
    static constexpr std::size_t partial_holds_max = 4;

    Turns(net::Runtime& runtime, Counters& counters) noexcept : runtime_(runtime), counters_(counters) {}

    /// A link that has used up its turn waits for the next one: after timers and the other sockets.
    net::Task<void> next();
    /// Links that wait so.
    std::size_t waiting() const noexcept { return waiting_; }

    /// Around a wait for more bytes. The beginning of a frame may stay in its receive buffer, which saves the
    /// assembling of large frames, but only so many connections keep one: peers that stop in the middle of a
    /// frame must not take all of them.
    class PartialHold {
    public:
        PartialHold(Turns& turns, FrameReader& reader);
        ~PartialHold() { turns_.partial_holds_ -= held_ ? 1 : 0; }
        PartialHold(const PartialHold&) = delete;
        PartialHold& operator=(const PartialHold&) = delete;

    private:
        Turns& turns_;
        bool held_;
    };

private:
    net::Runtime& runtime_;
    Counters& counters_;
    std::size_t waiting_ = 0;
    std::size_t partial_holds_ = 0;
};

/// Runtime's thread, unless its type says otherwise.
struct Context {
    Context(net::Runtime& runtime, TcpTransportOptions options, UniqueAddress self);
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    Logger& log() noexcept { return runtime.log(); }
    Instant now() const noexcept { return runtime.monotonic_now(); }
    /// Whether its coroutines end whatever the peers do.
    bool cancelled() const noexcept { return tasks.stopping(); }
    Quarantined quarantine_of(const UniqueAddress& node) { return quarantine_list.find(node, now()); }
    /// What the application puts around a new connection (TcpTransportOptions::decorate_connection). nullptr:
    /// it refuses it, which is counted and logged.
    std::unique_ptr<net::Connection> decorated(std::unique_ptr<net::Connection> connection,
                                               net::ConnectionRole role);

    net::Runtime& runtime;
    const TcpTransportOptions options;
    const LinkLimits link_limits;
    Counters counters;
    OwnIdentity identity;
    Reporter reporter;
    const std::shared_ptr<Lifeline> lifeline;
    const std::shared_ptr<RetainedBytes> retained;
    net::TaskGroup tasks;
    Turns turns;
    /// Gossips that arrive share memory with the one before, whoever sends them.
    wire::Interner interner;
    AssemblyBudget assembly;
    StrangerDials stranger_dials;
    QuarantineList quarantine_list;
    SplitMix64 random; ///< for jitter
    std::shared_ptr<RemoteMessageSink> sink;
    bool started = false;
    bool stopping = false; ///< shuts down in order, or is abandoned
};

inline net::Close how_of(const action::CloseStream& close) noexcept {
    return close.how == action::CloseStream::How::Graceful ? net::Close::Graceful : net::Close::Abort;
}

/// Carries out what any value of the link's room says to its node. `PeerText` answers whom a record is about.
template <class PeerText>
struct NodeCarrier {
    Context& context;
    PeerText peer_text;

    void operator()(action::Count& a) const { context.counters.of(a.what).add(); }
    void operator()(action::Log& a) const {
        context.log().write(a.level, a.code, peer_text(), std::move(a.fields));
    }
    void operator()(action::Report& a) const { context.reporter.link(a.peer, a.event); }
    void operator()(action::ReportQuarantinedBy& a) const { context.reporter.quarantined_by(a.peer); }
};

} // namespace muster::transport
