// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A world in virtual time (simulation.md): machines, the network between them, and a net::Runtime for every
/// process. One thread, no clock, no socket; the same seed and the same calls give the same run, byte for
/// byte.
#include <functional>
#include <memory>
#include <muster/net/runtime.hpp>
#include <muster/sim/link_model.hpp>
#include <muster/sim/random.hpp>
#include <span>
#include <string>
#include <vector>

namespace muster::sim {

class Network;
class Fabric;

struct NetworkOptions {
    std::uint64_t seed = 1;
    Instant start = Instant(std::chrono::hours(1));
    WallTime wall_start{1'767'225'600'000}; ///< 2026-01-01T00:00:00Z
    std::shared_ptr<LinkModel> links;       ///< null: UniformLinks
    /// The most bytes sent and not yet received in one direction of a connection; beyond it send() waits.
    std::size_t window_bytes = 256 * 1024;
    Duration resolve_delay = std::chrono::microseconds(500);
    /// How a lost attempt is repeated: first after retransmit_min, then doubling up to retransmit_max; after
    /// retransmit_give_up the connection has timed_out. The defaults are those of Linux.
    Duration retransmit_min = std::chrono::milliseconds(200);
    Duration retransmit_max = std::chrono::seconds(120);
    Duration retransmit_give_up = std::chrono::seconds(924);
    /// Lost attempts to connect: the first repetition after connect_retry, then doubling, six of them.
    Duration connect_retry = std::chrono::seconds(1);
    /// The most turns of processes at one instant of virtual time; more means an endless loop in the
    /// simulated program.
    std::uint64_t turns_per_instant_max = 10'000'000;
};

/// One entry of the run's trace.
struct TraceEvent {
    enum class Kind : std::uint8_t {
        Sent,     ///< a segment was accepted by the network
        Lost,     ///< an attempt failed
        Arrived,  ///< a segment reached its machine
        Turn,     ///< a process ran; `to` is its machine, `connection` the process number
        Scenario, ///< an action given to Network::at() ran
        Broken    ///< the network broke a connection
    };
    Kind kind{};
    Instant when{};
    Segment segment;
    std::uint64_t payload_hash = 0;     ///< of Data segments
    std::span<const std::byte> payload; ///< of Data segments that are Sent, to be looked at during the call
    /// "3600.000100 arrived data 0>1 #3 120 b5f1.."
    std::string to_line() const;
};

/// A host proxy or sidecar through which all connections of a machine go, in both directions.
enum class Proxy : std::uint8_t {
    Transparent, ///< as if there were none
    Swallows,    ///< the proxy accepts new connections itself and never forwards what is sent over them
    Refuses,     ///< new connections are refused
};

/// The clock of one process compared with the world's.
struct Clock {
    std::int64_t drift_ppb = 0;               ///< parts per billion: 1'000'000 runs 0.1 % fast
    std::chrono::milliseconds wall_offset{0}; ///< added to the wall clock
    Duration lateness_max{}; ///< timers fire up to this much late, each by a random part of it
};

/// Counts the resources of one process, while it runs and after its end. Anything left after its teardown has
/// leaked.
class LeakCounter {
public:
    struct Balance {
        /// Unfinished coroutines spawned on its executor and unfinished operations that use it: a coroutine
        /// counts once or twice.
        std::size_t coroutines = 0;
        std::size_t timers = 0;    ///< pending; none once the process has ended
        std::size_t streams = 0;   ///< net::Connection objects
        std::size_t listeners = 0; ///< net::Listener objects
        std::size_t buffers =
            0; ///< what receive() gave and somebody still shares, and chunks of Runtime::chunks()
        std::size_t buffer_bytes = 0; ///< of these
        bool operator==(const Balance&) const = default;
    };
    virtual ~LeakCounter() = default;
    virtual Balance balance() const = 0;
    /// The counter of this process, valid also after its end.
    virtual const Metrics& metrics() const noexcept = 0;
};

/// One process on a machine. Destroying it ends the process: its open connections are reset, its listeners
/// close. Everything belongs to the thread that runs the Network.
///
/// run() and run_until() run the whole Network; stop() ends that. start_thread() is an error here (ENSURE).
class Runtime : public net::Runtime {
public:
    virtual HostId host() const noexcept = 0;
    /// As SIGSTOP: nothing runs, and timers fire late. Bytes from peers are buffered; once the buffer is
    /// full, peers wait.
    virtual void pause() noexcept = 0;
    virtual void resume() noexcept = 0;
    virtual bool paused() const noexcept = 0;
    virtual void set_clock(Clock clock) noexcept = 0;

    /// May be kept beyond the Runtime's end.
    virtual std::shared_ptr<const LeakCounter> leak_counter() const = 0;
    /// Runs this process until nothing is ready, as a main() that lets everything end before it destroys the
    /// Runtime. No time passes. False when something is still ready after 100 turns. Not from inside a
    /// handler of the process.
    virtual bool settle() = 0;
};

/// The world: virtual time, machines and the network between them. Outlives its Runtimes.
class Network {
public:
    explicit Network(NetworkOptions options = {});
    ~Network();
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    /// A machine with the address 10.0.0.1, 10.0.0.2, .. The name resolves to it. Each machine also has
    /// loopback addresses of its own, and "localhost".
    HostId add_host(std::string name);
    HostId add_host(std::string name, std::vector<net::Endpoint> addresses);
    /// The machine's first address, with this port.
    net::Endpoint address(HostId host, std::uint16_t port) const;
    /// Makes `name` resolve to `addresses` (their ports do not matter); none removes it.
    void set_name(std::string name, std::vector<net::Endpoint> addresses);

    /// A process on `host`. Several share the machine's addresses and ports.
    std::unique_ptr<Runtime> make_runtime(HostId host, net::RuntimeOptions options = {});

    Instant now() const noexcept;
    WallTime wall_now() const noexcept;
    /// A generator for scenarios; the network draws from another one.
    Random& random() noexcept;
    LinkModel& links() noexcept;

    /// Runs one turn of one process, or else advances to the next event and executes it. False when no event
    /// is left.
    bool step();
    /// Runs until stop(), or until no event is left.
    void run();
    /// Runs everything up to `when`, which is then the time, unless stopped before.
    void run_until(Instant when);
    void run_for(Duration duration) { run_until(now() + duration); }
    /// Runs until no event is left or the time is `limit`; returns whether no event is left.
    bool run_until_idle(Instant limit = Instant::max());
    /// Runs until `done` is true after a step; false when it is not by `limit`.
    bool run_until(const std::function<bool()>& done, Instant limit);
    void stop() noexcept;

    /// Runs `action` outside all processes: the scenario's own events.
    void at(Instant when, UniqueFunction<void()> action);

    /// Switches the power. A machine that goes down loses its connections, and its peers are not told; the
    /// caller destroys its processes. While it is down nothing arrives and nothing leaves.
    void set_up(HostId host, bool up);
    bool up(HostId host) const;
    /// Breaks every connection between two machines; both sides read reset.
    void reset_connections(HostId a, HostId b);
    /// A proxy that (re)starts: connections of this machine with others break as by reset_connections(), new
    /// ones meet its new behaviour.
    void set_proxy(HostId host, Proxy proxy);
    /// Retries lost segments at once, as a real TCP does some time after a partition heals.
    void retry_lost();

    /// Open connections, each counted once per end.
    std::size_t connections() const noexcept;
    /// The number of pending events, without timers of processes.
    std::size_t events() const noexcept;

    /// A hash of all trace events so far.
    std::uint64_t trace_hash() const noexcept;
    std::uint64_t trace_count() const noexcept;
    /// Called with every trace event.
    void on_trace(std::function<void(const TraceEvent&)> observer);
    /// Called after each turn of a process, outside of it: the callback may destroy the process, and what it
    /// throws leaves run().
    void on_turn(std::function<void(Runtime& process)> observer);

private:
    std::unique_ptr<Fabric> fabric_;
};

} // namespace muster::sim
