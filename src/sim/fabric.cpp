// SPDX-License-Identifier: Apache-2.0
#include "fabric.hpp"

#include "process.hpp"
#include "socket.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <muster/ensure.hpp>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace muster::sim {

namespace {

std::uint64_t mix(std::uint64_t hash, std::uint64_t word) noexcept {
    hash = (hash ^ word) * 0xff51afd7ed558ccd;
    return hash ^ (hash >> 32);
}

net::Endpoint without_port(net::Endpoint endpoint) noexcept {
    endpoint.port = 0;
    endpoint.scope = 0;
    return endpoint;
}

bool is_loopback(const net::Endpoint& e) noexcept {
    if (e.family == net::Endpoint::Family::V4) return e.bytes[0] == 127;
    return e.bytes[15] == 1 && std::all_of(e.bytes.begin(), e.bytes.end() - 1, [](auto b) { return b == 0; });
}

std::string_view to_string(TraceEvent::Kind kind) noexcept {
    switch (kind) {
    case TraceEvent::Kind::Sent: return "sent";
    case TraceEvent::Kind::Lost: return "lost";
    case TraceEvent::Kind::Arrived: return "arrived";
    case TraceEvent::Kind::Turn: return "turn";
    case TraceEvent::Kind::Scenario: return "scenario";
    case TraceEvent::Kind::Broken: return "broken";
    }
    return "unknown";
}

std::string_view to_string(Segment::Kind kind) noexcept {
    switch (kind) {
    case Segment::Kind::Connect: return "connect";
    case Segment::Kind::Accept: return "accept";
    case Segment::Kind::Data: return "data";
    case Segment::Kind::Window: return "window";
    case Segment::Kind::Finish: return "finish";
    case Segment::Kind::Reset: return "reset";
    }
    return "unknown";
}

NetworkOptions complete(NetworkOptions options) {
    if (!options.links) options.links = std::make_shared<UniformLinks>();
    return options;
}

} // namespace

std::string TraceEvent::to_line() const {
    const auto ns = when.time_since_epoch().count();
    std::string line = fmt::format("{}.{:09} {}", ns / 1'000'000'000, ns % 1'000'000'000, to_string(kind));
    if (kind == Kind::Scenario) return line;
    const auto to = static_cast<std::uint32_t>(segment.to);
    if (kind == Kind::Turn) return line + fmt::format(" {} process {}", to, segment.connection);
    line += fmt::format(" {} {}>{} #{} {}", to_string(segment.kind), static_cast<std::uint32_t>(segment.from),
                        to, segment.connection, segment.bytes);
    if (payload_hash != 0) line += fmt::format(" {:016x}", payload_hash);
    return line;
}

Fabric::Fabric(NetworkOptions options)
    : options_(complete(std::move(options))), now_(options_.start), network_random_(options_.seed),
      scenario_random_(network_random_.fork()) {}

Fabric::~Fabric() {
    MUSTER_ENSURE(processes_.empty(), "a Network outlives its Runtimes");
    // Segments in flight own sockets, which remove themselves from our tables.
    while (events_.take_any()) {
    }
}

WallTime Fabric::wall_now() const noexcept {
    return options_.wall_start + std::chrono::duration_cast<std::chrono::milliseconds>(now_ - options_.start);
}

HostId Fabric::add_host(std::string name, std::vector<net::Endpoint> addresses) {
    const HostId host{static_cast<std::uint32_t>(machines_.size())};
    const auto number = machines_.size() + 1;
    if (addresses.empty()) {
        net::Endpoint address;
        address.bytes = {10, static_cast<std::uint8_t>(number >> 16), static_cast<std::uint8_t>(number >> 8),
                         static_cast<std::uint8_t>(number)};
        addresses.push_back(address);
    }
    for (net::Endpoint& address : addresses) {
        address = without_port(address);
        MUSTER_ENSURE(hosts_by_address_.emplace(address, host).second, "an address belongs to one machine");
    }
    set_name(name, addresses);
    Machine& added = machines_.emplace_back();
    added.name = std::move(name);
    added.addresses = std::move(addresses);
    return host;
}

Machine& Fabric::machine(HostId host) {
    const auto index = static_cast<std::size_t>(host);
    MUSTER_ENSURE(index < machines_.size(), "a HostId comes from add_host()");
    return machines_[index];
}

const HostId* Fabric::find_host(const net::Endpoint& address, HostId from, HostId& storage) const {
    if (is_loopback(address)) {
        storage = from;
        return &storage;
    }
    const auto found = hosts_by_address_.find(without_port(address));
    return found == hosts_by_address_.end() ? nullptr : &found->second;
}

ListenSocket* Fabric::find_listener(HostId host, const net::Endpoint& to) {
    auto& listeners = machine(host).listeners;
    net::Endpoint any;
    any.family = to.family;
    any.port = to.port;
    for (const net::Endpoint& at : {to, any}) {
        const auto found = listeners.find(at);
        if (found != listeners.end()) return found->second;
    }
    return nullptr;
}

std::uint16_t Fabric::ephemeral_port(HostId host) {
    constexpr std::uint16_t first = 32768, last = 60999;
    Machine& m = machine(host);
    for (int tries = 0; tries <= last - first; ++tries) {
        const std::uint16_t port = m.next_port;
        m.next_port = port == last ? first : static_cast<std::uint16_t>(port + 1);
        const bool listening = std::any_of(m.listeners.begin(), m.listeners.end(),
                                           [port](const auto& entry) { return entry.first.port == port; });
        if (!listening && !m.ports.contains(port)) return port;
    }
    return 0;
}

void Fabric::set_name(const std::string& name, std::vector<net::Endpoint> addresses) {
    if (addresses.empty())
        names_.erase(name);
    else
        names_[name] = std::move(addresses);
}

const std::vector<net::Endpoint>* Fabric::find_name(const std::string& name) const {
    static const std::vector<net::Endpoint> localhost{net::Endpoint::loopback_v4(0)};
    const auto found = names_.find(name);
    if (found != names_.end()) return &found->second;
    return name == "localhost" ? &localhost : nullptr;
}

bool Fabric::step() {
    MUSTER_ENSURE(!stepping_, "the Network is not run from inside itself");
    struct Stepping {
        bool& flag;
        explicit Stepping(bool& f) : flag(f) { flag = true; }
        ~Stepping() { flag = false; }
    } stepping{stepping_};

    while (!runnable_.empty()) {
        Process& process = *runnable_.front();
        runnable_.pop_front();
        process.queued_ = false;
        if (process.paused() || process.closing()) continue;
        MUSTER_ENSURE(++turns_ <= options_.turns_per_instant_max, "what is simulated lets time pass");
        trace(TraceEvent::Kind::Turn,
              Segment{.kind = {}, .from = {}, .to = process.host(), .connection = process.number()});
        process.turn();
        if (turn_observer_ && process.runtime()) turn_observer_(*process.runtime());
        return true;
    }
    auto due = events_.take_any();
    if (!due) return false;
    if (due->when > now_) {
        now_ = due->when;
        turns_ = 0;
    }
    due->action();
    return true;
}

void Fabric::run_while(const std::function<bool()>& go_on, Instant limit, bool advance_to_limit) {
    stop_ = false;
    while (!stop_) {
        if (!go_on()) return;
        const bool due = !runnable_.empty() || events_.next() <= limit;
        if (due && step()) continue;
        if (advance_to_limit && now_ < limit) {
            now_ = limit;
            turns_ = 0;
        }
        return;
    }
}

net::TimerId Fabric::schedule(Instant when, UniqueFunction<void()> action) {
    return events_.put(std::max(when, now_), std::move(action));
}

std::uint64_t Fabric::enter(Process& process) {
    processes_.insert(&process);
    return ++last_process_;
}

void Fabric::leave(Process& process) noexcept {
    processes_.erase(&process);
    if (process.queued_) std::erase(runnable_, &process);
}

void Fabric::make_runnable(Process& process) {
    if (std::exchange(process.queued_, true)) return;
    runnable_.push_back(&process);
}

std::uint64_t Fabric::enter(Socket& socket) {
    sockets_.emplace(++last_socket_, &socket);
    return last_socket_;
}

void Fabric::leave(Socket& socket) noexcept { sockets_.erase(socket.number()); }

std::vector<std::shared_ptr<Socket>> Fabric::all_sockets() const {
    std::vector<std::shared_ptr<Socket>> all;
    for (const auto& [number, socket] : sockets_) {
        if (auto alive = socket->weak_from_this().lock()) all.push_back(std::move(alive));
    }
    return all;
}

Fate Fabric::decide(const Segment& segment, std::span<std::byte> payload) {
    const auto hash = [&] { return payload.empty() ? 0 : XXH3_64bits(payload.data(), payload.size()); };
    trace(TraceEvent::Kind::Sent, segment, hash(), payload);
    Fate fate{.lost = true};
    if (machine(segment.from).up && machine(segment.to).up)
        fate = options_.links->decide(segment, now_, network_random_);
    if (fate.lost)
        trace(TraceEvent::Kind::Lost, segment);
    else if (!payload.empty())
        options_.links->corrupt(segment, payload, network_random_);
    return fate;
}

void Fabric::trace(TraceEvent::Kind kind, const Segment& segment, std::uint64_t payload_hash,
                   std::span<const std::byte> payload) {
    ++trace_count_;
    const auto hosts =
        static_cast<std::uint64_t>(segment.from) << 32 | static_cast<std::uint64_t>(segment.to);
    const auto kinds = static_cast<std::uint64_t>(kind) << 8 | static_cast<std::uint64_t>(segment.kind);
    std::uint64_t hash = mix(trace_hash_, kinds);
    hash = mix(hash, static_cast<std::uint64_t>(now_.time_since_epoch().count()));
    hash = mix(hash, hosts);
    hash = mix(hash, segment.connection);
    hash = mix(hash, segment.bytes);
    trace_hash_ = mix(hash, payload_hash);
    if (observer_)
        observer_(TraceEvent{.kind = kind,
                             .when = now_,
                             .segment = segment,
                             .payload_hash = payload_hash,
                             .payload = payload});
}

} // namespace muster::sim
