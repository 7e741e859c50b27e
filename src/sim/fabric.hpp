// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The implementation of sim::Network: machines, the event queue, and the run queue of processes.
#include "net/timer_heap.hpp"
#include <cstdint>
#include <deque>
#include <map>
#include <muster/sim/runtime.hpp>
#include <set>
#include <string>
#include <vector>

namespace muster::sim {

class Process;
class Socket;
class ListenSocket;

/// One machine: its addresses and ports, whichever process uses them.
struct Machine {
    std::string name;
    std::vector<net::Endpoint> addresses; ///< ports are 0
    bool up = true;
    Proxy proxy = Proxy::Transparent;
    std::map<net::Endpoint, ListenSocket*> listeners;
    std::map<std::uint16_t, std::uint32_t> ports; ///< local ports of open connections, with their number
    std::uint16_t next_port = 32768;
};

class Fabric {
public:
    explicit Fabric(NetworkOptions options);
    ~Fabric();

    const NetworkOptions& options() const noexcept { return options_; }
    Instant now() const noexcept { return now_; }
    WallTime wall_now() const noexcept;
    Random& random() noexcept { return scenario_random_; }
    LinkModel& links() noexcept { return *options_.links; }

    HostId add_host(std::string name, std::vector<net::Endpoint> addresses);
    Machine& machine(HostId host);
    /// The machine with that address, seen from `from`; null when there is none.
    const HostId* find_host(const net::Endpoint& address, HostId from, HostId& storage) const;
    /// The listener at `to` on `host`, also one on all addresses; null when there is none.
    ListenSocket* find_listener(HostId host, const net::Endpoint& to);
    std::uint16_t ephemeral_port(HostId host);
    void set_name(const std::string& name, std::vector<net::Endpoint> addresses);
    /// Null when unknown.
    const std::vector<net::Endpoint>* find_name(const std::string& name) const;

    bool step();
    void run_while(const std::function<bool()>& go_on, Instant limit, bool advance_to_limit);
    void stop() noexcept { stop_ = true; }
    bool idle() const noexcept { return runnable_.empty() && events_.empty(); }
    std::size_t events() const noexcept { return events_.size() - armed_; }

    /// An event outside all processes.
    net::TimerId schedule(Instant when, UniqueFunction<void()> action);
    bool cancel(net::TimerId id) noexcept { return events_.cancel(id).has_value(); }
    /// The number of events that are processes' own timers (see events()).
    void count_armed(int difference) noexcept { armed_ += static_cast<std::size_t>(difference); }

    std::uint64_t enter(Process& process);
    void leave(Process& process) noexcept;
    void make_runnable(Process& process);
    Random fork_random() noexcept { return network_random_.fork(); }

    std::uint64_t enter(Socket& socket);
    void leave(Socket& socket) noexcept;
    std::uint64_t next_connection() noexcept { return ++last_connection_; }
    std::size_t sockets() const noexcept { return sockets_.size(); }
    std::vector<std::shared_ptr<Socket>> all_sockets() const;

    /// The fate of one attempt to send; traced.
    Fate decide(const Segment& segment, std::span<std::byte> payload);
    void trace(TraceEvent::Kind kind, const Segment& segment, std::uint64_t payload_hash = 0,
               std::span<const std::byte> payload = {});
    void set_observer(std::function<void(const TraceEvent&)> observer) { observer_ = std::move(observer); }
    void set_turn_observer(std::function<void(Runtime&)> observer) { turn_observer_ = std::move(observer); }
    std::uint64_t trace_hash() const noexcept { return trace_hash_; }
    std::uint64_t trace_count() const noexcept { return trace_count_; }

private:
    NetworkOptions options_;
    Instant now_;
    Random network_random_;
    Random scenario_random_;
    std::deque<Machine> machines_;
    std::map<net::Endpoint, HostId> hosts_by_address_;
    std::map<std::string, std::vector<net::Endpoint>> names_;

    net::TimerHeap events_;
    std::size_t armed_ = 0;
    std::deque<Process*> runnable_;
    std::set<Process*> processes_; // never iterated into a result
    std::uint64_t last_process_ = 0;
    std::map<std::uint64_t, Socket*> sockets_;
    std::uint64_t last_socket_ = 0;
    std::uint64_t last_connection_ = 0;
    bool stop_ = false;
    bool stepping_ = false;
    std::uint64_t turns_ = 0; ///< at this instant

    std::function<void(const TraceEvent&)> observer_;
    std::function<void(Runtime&)> turn_observer_;
    std::uint64_t trace_hash_ = 0x6d75737465722e31;
    std::uint64_t trace_count_ = 0;
};

} // namespace muster::sim
