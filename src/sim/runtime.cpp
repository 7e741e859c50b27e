// SPDX-License-Identifier: Apache-2.0
#include <muster/sim/runtime.hpp>

#include "socket.hpp"
#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>
#include <muster/ensure.hpp>
#include <vector>

namespace muster::sim {

namespace asio = boost::asio;

namespace {

class SimConnection final : public net::Connection {
public:
    SimConnection(std::shared_ptr<Socket> socket, std::shared_ptr<Metrics> metrics,
                  std::shared_ptr<ProcessLeakCounter> leak_counter)
        : socket_(std::move(socket)), metrics_(std::move(metrics)), leak_counter_(std::move(leak_counter)),
          open_(metrics_->gauge("net.connections.open")) {
        open_.add(1);
        leak_counter_->count_stream(1);
    }
    ~SimConnection() override {
        open_.add(-1);
        leak_counter_->count_stream(-1);
        socket_->abandon();
    }
    net::Task<result<Slice>> receive() override { return Socket::receive(socket_); }
    bool try_receive(Slice& out) override { return socket_->try_receive(out); }
    net::Task<result<void>> send(std::span<const Slice> parts) override {
        return Socket::send(socket_, parts);
    }
    void close(net::Close how) override { socket_->close(how); }
    const net::Endpoint& local() const noexcept override { return socket_->names().local; }
    const net::Endpoint& remote() const noexcept override { return socket_->names().remote; }

private:
    std::shared_ptr<Socket> socket_;
    std::shared_ptr<Metrics> metrics_; // may outlive the Runtime with us
    std::shared_ptr<ProcessLeakCounter> leak_counter_;
    Gauge& open_;
};

class SimListener final : public net::Listener {
public:
    SimListener(std::shared_ptr<ListenSocket> socket, std::shared_ptr<Metrics> metrics,
                std::shared_ptr<ProcessLeakCounter> leak_counter)
        : socket_(std::move(socket)), metrics_(std::move(metrics)), leak_counter_(std::move(leak_counter)) {
        leak_counter_->count_listener(1);
    }
    ~SimListener() override {
        leak_counter_->count_listener(-1);
        socket_->close();
    }
    net::Task<result<std::unique_ptr<net::Connection>>> accept() override {
        return accept(socket_, metrics_, leak_counter_);
    }
    void close() override { socket_->close(); }
    const net::Endpoint& local() const noexcept override { return socket_->at(); }

private:
    static net::Task<result<std::unique_ptr<net::Connection>>>
    accept(std::shared_ptr<ListenSocket> socket, std::shared_ptr<Metrics> metrics,
           std::shared_ptr<ProcessLeakCounter> leak_counter) {
        auto accepted = co_await ListenSocket::accept(socket);
        if (!accepted) {
            metrics->counter("net.accept.failed").add();
            co_return accepted.error();
        }
        metrics->counter("net.accept.opened").add();
        co_return std::make_unique<SimConnection>(std::move(*accepted), metrics, leak_counter);
    }

    std::shared_ptr<ListenSocket> socket_;
    std::shared_ptr<Metrics> metrics_;
    std::shared_ptr<ProcessLeakCounter> leak_counter_;
};

class SimRuntime final : public Runtime {
public:
    SimRuntime(Fabric& fabric, HostId host, net::RuntimeOptions options)
        : fabric_(fabric), process_(fabric, host, std::make_shared<ProcessLeakCounter>(metrics_, chunks_)),
          random_(fabric.fork_random()),
          log_(
              options.log_sink ? std::move(options.log_sink) : stderr_log_sink(),
              [this] { return process_.wall_now(); }, options.log),
          resolve_queue_max_(options.resolve_queue_max) {
        process_.set_runtime(*this);
        metrics_->gauge("runtime.backend.sim").set(1);
        log_.count_into(*metrics_);
        process_.measure(metrics_->histogram("runtime.timer.lateness_ns"));
    }

    ~SimRuntime() override {
        MUSTER_ENSURE(!in_runtime_thread(), "a Runtime is not destroyed from inside itself");
        process_.terminate();
        for (const auto& listener : listeners_) {
            if (const auto alive = listener.lock()) alive->close();
        }
        for (const auto& socket : fabric_.all_sockets()) {
            if (socket->process() == &process_) socket->orphan();
        }
    }

    std::string_view backend() const noexcept override { return "sim"; }
    asio::any_io_executor executor() noexcept override { return process_.executor(); }
    Instant monotonic_now() const noexcept override { return process_.now(); }
    WallTime wall_now() const noexcept override { return process_.wall_now(); }

    net::TimerId schedule(Instant when, UniqueFunction<void()> action) override {
        const net::TimerId id = process_.schedule(when, std::move(action));
        process_.timer_set();
        return id;
    }
    bool cancel(net::TimerId id) noexcept override { return process_.cancel_timer(id); }

    net::Task<result<std::vector<net::Endpoint>>> resolve(std::string host, std::uint16_t port,
                                                          Instant deadline) override;
    net::Task<result<std::unique_ptr<net::Connection>>> connect(net::Endpoint to,
                                                                net::ConnectOptions options) override;
    result<std::unique_ptr<net::Listener>> listen(net::Endpoint at, net::ListenOptions options) override;

    void fill_entropy(std::span<std::byte> out) override { random_.fill(out); }
    void post(UniqueFunction<void()> action) override { process_.post(std::move(action)); }
    bool in_runtime_thread() const noexcept override { return process_.running_in_this_thread(); }

    void run() override {
        fabric_.run_while([] { return true; }, Instant::max(), false);
    }
    void run_until(Instant when) override {
        fabric_.run_while([] { return true; }, process_.to_world(when), true);
    }
    void stop() noexcept override { fabric_.stop(); }
    void start_thread() override { MUSTER_ENSURE(false, "a simulated world runs on its caller's thread"); }

    Logger& log() noexcept override { return log_; }
    Metrics& metrics() noexcept override { return *metrics_; }
    const std::shared_ptr<ChunkPool>& chunks() noexcept override { return chunks_; }

    HostId host() const noexcept override { return process_.host(); }
    void pause() noexcept override { process_.pause(); }
    void resume() noexcept override { process_.resume(); }
    bool paused() const noexcept override { return process_.paused(); }
    void set_clock(Clock clock) noexcept override { process_.set_clock(clock); }
    std::shared_ptr<const LeakCounter> leak_counter() const override { return process_.leak_counter(); }
    bool settle() override { return process_.settle(); }

private:
    result<Socket::Names> route(const net::Endpoint& to);

    std::shared_ptr<Metrics> metrics_ = std::make_shared<Metrics>();
    std::shared_ptr<ChunkPool> chunks_ = ChunkPool::create();
    Fabric& fabric_;
    Process process_;
    Random random_;
    Logger log_;
    std::vector<std::weak_ptr<ListenSocket>> listeners_;
    std::size_t resolve_queue_max_;
    std::size_t resolving_ = 0;
};

net::Task<result<std::vector<net::Endpoint>>> SimRuntime::resolve(std::string host, std::uint16_t port,
                                                                  Instant deadline) {
    if (const auto literal = net::Endpoint::parse(host, port)) co_return std::vector<net::Endpoint>{*literal};
    const auto subject = [&host] { return fmt::format("host \"{}\"", host); };
    if (resolving_ >= resolve_queue_max_)
        co_return Error{Errc::limit_reached, subject(), fmt::format("{} names already wait", resolving_), {}};
    struct Waiting {
        std::size_t& count;
        explicit Waiting(std::size_t& c) : count(c) { ++count; }
        ~Waiting() { --count; }
    };
    const Waiting waiting(resolving_);
    const Instant answer = process_.now() + fabric_.options().resolve_delay;
    auto slept = co_await sleep_until(std::min(answer, deadline));
    if (!slept) co_return Error{Errc::cancelled, "resolve", {}, {}};
    if (deadline < answer) co_return Error{Errc::timed_out, subject(), {}, {}};
    const auto* found = fabric_.find_name(host);
    if (!found) co_return Error{Errc::not_found, subject(), "add it with Network::set_name", {}};
    std::vector<net::Endpoint> addresses = *found;
    for (net::Endpoint& address : addresses) address.port = port;
    co_return addresses;
}

/// Both ends' names of a connection to `to`.
result<Socket::Names> SimRuntime::route(const net::Endpoint& to) {
    Socket::Names names;
    names.local_host = process_.host();
    names.remote = to;
    const HostId* host = fabric_.find_host(to, process_.host(), names.remote_host);
    if (!host) return Error{Errc::unreachable, to.to_string(), "no simulated machine has this address", {}};
    names.remote_host = *host;
    names.local = to; // loopback and own addresses answer under the same
    if (names.remote_host != names.local_host) {
        const auto& addresses = fabric_.machine(names.local_host).addresses;
        const auto same = std::find_if(addresses.begin(), addresses.end(),
                                       [&](const net::Endpoint& own) { return own.family == to.family; });
        if (same == addresses.end())
            return Error{Errc::unreachable, to.to_string(), "no address of this family", {}};
        names.local = *same;
    }
    names.local.port = fabric_.ephemeral_port(names.local_host);
    if (names.local.port == 0)
        return Error{Errc::address_not_available, to.to_string(), "no port is left", {}};
    return names;
}

net::Task<result<std::unique_ptr<net::Connection>>> SimRuntime::connect(net::Endpoint to,
                                                                        net::ConnectOptions options) {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none)
        co_return Error{Errc::cancelled, "connect", {}, {}};
    const auto metrics = metrics_;
    const auto leak_counter = process_.leak_counter();
    if (options.deadline <= process_.now()) co_return Error{Errc::timed_out, to.to_string(), {}, {}};
    auto names = route(to);
    if (!names) {
        metrics->counter("net.connect.failed").add();
        // Not at once, so that time passes for a caller that retries in a loop.
        auto slept = co_await sleep_for(fabric_.options().resolve_delay);
        if (!slept) co_return Error{Errc::cancelled, "connect", {}, {}};
        co_return names.error();
    }
    auto socket = std::make_shared<Socket>(process_, *names, fabric_.next_connection());
    auto connected = co_await Socket::connect(socket, options.deadline);
    if (!connected) {
        metrics->counter("net.connect.failed").add();
        co_return connected.error();
    }
    metrics->counter("net.connect.opened").add();
    co_return std::make_unique<SimConnection>(std::move(socket), metrics, leak_counter);
}

result<std::unique_ptr<net::Listener>> SimRuntime::listen(net::Endpoint at, net::ListenOptions options) {
    Machine& machine = fabric_.machine(process_.host());
    const net::Endpoint any{.family = at.family, .bytes = {}, .scope = 0, .port = at.port};
    HostId storage{};
    const HostId* owner = fabric_.find_host(at, process_.host(), storage);
    const bool all = at.bytes == any.bytes;
    if (!all && (!owner || *owner != process_.host()))
        return Error{Errc::address_not_available, at.to_string(), "use an address of this machine", {}};
    if (at.port == 0) at.port = fabric_.ephemeral_port(process_.host());
    for (const auto& [taken, listener] : machine.listeners) {
        const bool overlap = taken.family == at.family && taken.port == at.port &&
                             (all || taken.bytes == at.bytes || taken.bytes == any.bytes);
        if (overlap)
            return Error{Errc::address_in_use,
                         at.to_string(),
                         "use another port, or stop the process that listens",
                         {}};
    }
    auto socket =
        std::make_shared<ListenSocket>(process_, at, static_cast<std::size_t>(std::max(options.backlog, 1)));
    std::erase_if(listeners_, [](const auto& listener) { return listener.expired(); });
    listeners_.push_back(socket);
    return std::make_unique<SimListener>(std::move(socket), metrics_, process_.leak_counter());
}

} // namespace

Network::Network(NetworkOptions options) : fabric_(std::make_unique<Fabric>(std::move(options))) {}
Network::~Network() = default;

HostId Network::add_host(std::string name) { return fabric_->add_host(std::move(name), {}); }

HostId Network::add_host(std::string name, std::vector<net::Endpoint> addresses) {
    return fabric_->add_host(std::move(name), std::move(addresses));
}

net::Endpoint Network::address(HostId host, std::uint16_t port) const {
    net::Endpoint address = fabric_->machine(host).addresses.front();
    address.port = port;
    return address;
}

void Network::set_name(std::string name, std::vector<net::Endpoint> addresses) {
    fabric_->set_name(name, std::move(addresses));
}

std::unique_ptr<Runtime> Network::make_runtime(HostId host, net::RuntimeOptions options) {
    return std::make_unique<SimRuntime>(*fabric_, host, std::move(options));
}

Instant Network::now() const noexcept { return fabric_->now(); }

WallTime Network::wall_now() const noexcept { return fabric_->wall_now(); }

Random& Network::random() noexcept { return fabric_->random(); }

LinkModel& Network::links() noexcept { return fabric_->links(); }

bool Network::step() { return fabric_->step(); }

void Network::run() {
    fabric_->run_while([] { return true; }, Instant::max(), false);
}

void Network::run_until(Instant when) {
    fabric_->run_while([] { return true; }, when, true);
}

bool Network::run_until_idle(Instant limit) {
    fabric_->run_while([] { return true; }, limit, limit != Instant::max());
    return fabric_->idle();
}

bool Network::run_until(const std::function<bool()>& done, Instant limit) {
    bool met = done();
    fabric_->run_while([&] { return !met && !(met = done()); }, limit, true);
    return met;
}

void Network::stop() noexcept { fabric_->stop(); }

void Network::at(Instant when, UniqueFunction<void()> action) {
    fabric_->schedule(when, [fabric = fabric_.get(), action = std::move(action)]() mutable {
        fabric->trace(TraceEvent::Kind::Scenario, Segment{});
        action();
    });
}

void Network::set_up(HostId host, bool up) {
    Machine& machine = fabric_->machine(host);
    if (std::exchange(machine.up, up) == up || up) return;
    for (const auto& socket : fabric_->all_sockets()) {
        if (socket->names().local_host == host) socket->vanish();
    }
}

bool Network::up(HostId host) const { return fabric_->machine(host).up; }

void Network::reset_connections(HostId a, HostId b) {
    for (const auto& socket : fabric_->all_sockets()) {
        const auto& names = socket->names();
        const bool between = (names.local_host == a && names.remote_host == b) ||
                             (names.local_host == b && names.remote_host == a);
        if (between) socket->break_connection();
    }
}

void Network::set_proxy(HostId host, Proxy proxy) {
    fabric_->machine(host).proxy = proxy;
    for (const auto& socket : fabric_->all_sockets()) {
        const auto& names = socket->names();
        const bool is_through = (names.local_host == host) != (names.remote_host == host);
        if (is_through) socket->break_connection();
    }
}

void Network::retry_lost() {
    for (const auto& socket : fabric_->all_sockets()) socket->retry();
}

std::size_t Network::connections() const noexcept {
    std::size_t open = 0;
    for (const auto& socket : fabric_->all_sockets()) open += socket->open() ? 1 : 0;
    return open;
}

std::size_t Network::events() const noexcept { return fabric_->events(); }

std::uint64_t Network::trace_hash() const noexcept { return fabric_->trace_hash(); }

std::uint64_t Network::trace_count() const noexcept { return fabric_->trace_count(); }

void Network::on_trace(std::function<void(const TraceEvent&)> observer) {
    fabric_->set_observer(std::move(observer));
}

void Network::on_turn(std::function<void(Runtime&)> observer) {
    fabric_->set_turn_observer(std::move(observer));
}

} // namespace muster::sim
