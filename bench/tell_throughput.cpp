// SPDX-License-Identifier: Apache-2.0
// How many tells per second do nodes deliver to each other, how long is a round trip, how late do tells come
// at a given rate?
//
// Processes over 127.0.0.1: the receivers on core 1, the senders on core 0 (pin=0: where the system likes).
//   tell_throughput mode=stream payload=64 n=4000000
//     senders=1 (processes), threads=1 (of each sender, telling the same peers), peers=1 (receiving
//     processes, told in turn); n counts the tells of all
//   tell_throughput mode=pingpong payload=56 n=4000      warmup=1000 (round trips not counted)
//   tell_throughput mode=paced payload=64 n=100000 rate=50000
//     a tell when it is due, whatever became of those before it: the latency is from then to its delivery
// backend=auto|uring|epoll, spin=MICROSECONDS (of an idle uring loop; 0: blocking; by default the loop's
// own), limit=BYTES (association_bytes_max), cc=auto|system|NAME (congestion control). Prints one JSON line.
#include <atomic>
#include <fmt/format.h>
#include <memory>
#include <muster/transport/tcp.hpp>
#include <semaphore>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "allocations.hpp"
#include "backend.hpp"
#include "processes.hpp"

namespace {

using namespace muster;
using bench::seconds_now;

constexpr std::string_view program = "tell_throughput";
constexpr std::size_t processes_max = 64;

[[noreturn]] void fail(std::string_view what) { bench::fail(program, what); }

/// What one process leaves behind.
struct Account {
    double cpu = 0;
    std::uint64_t allocations = 0;
    long resident_kib = 0;
};
struct Shared {
    std::atomic<int> ports[processes_max];
    std::atomic<std::size_t> listening;
    std::atomic<std::size_t> finished; ///< receivers that have all that was meant for them
    std::atomic<bool> done;
    double first[processes_max] = {}, last[processes_max] = {};
    Account receivers[processes_max], senders[processes_max];
    char backend[16] = {};
};

/// What a process used between its construction and its end.
class Used {
public:
    explicit Used(Account& account)
        : account_(account), cpu_(bench::cpu_seconds()), allocations_(bench::allocations()) {}
    ~Used() {
        account_ = {bench::cpu_seconds() - cpu_, bench::allocations() - allocations_,
                    bench::resident_max_kib()};
    }
    Used(const Used&) = delete;
    Used& operator=(const Used&) = delete;

private:
    Account& account_;
    const double cpu_;
    const std::uint64_t allocations_;
};

struct Setup {
    explicit Setup(const bench::Options& o)
        : options(o), mode(o.text("mode", "stream")), payload(count("payload", 64)), n(count("n", 1'000'000)),
          warmup(count("warmup", 1000)), senders(count("senders", 1)), threads(count("threads", 1)),
          peers(count("peers", 1)), rate(static_cast<double>(o.number("rate", 10'000))),
          pinned(o.number("pin", 1) != 0) {
        if (mode != "stream" && mode != "pingpong" && mode != "paced")
            fail("mode: use stream, pingpong or paced");
        if (senders < 1 || senders > processes_max || peers < 1 || peers > processes_max || threads < 1)
            fail("senders, peers: use 1 to 64; threads: use 1 or more");
        if (mode != "stream" && senders * threads * peers != 1)
            fail("senders, threads, peers: mode=stream has several");
        if (payload < head_bytes) fail("payload: use at least 20");
        if (n < streams() * peers) fail("n: use at least one tell for each thread and peer");
        n -= n % (streams() * peers);
    }
    std::size_t streams() const { return senders * threads; }
    /// Tells that one thread tells one peer.
    std::uint64_t per_stream() const { return n / (streams() * peers); }
    std::uint64_t per_receiver() const { return n / peers; }

    /// A payload begins with the tell's number, its stream and when it was due.
    static constexpr std::size_t head_bytes = 20;

    const bench::Options& options;
    std::string mode;
    std::size_t payload;
    std::uint64_t n;
    std::uint64_t warmup;
    std::size_t senders, threads, peers;
    double rate;
    bool pinned;

private:
    std::size_t count(const char* name, long otherwise) const {
        return static_cast<std::size_t>(options.number(name, otherwise));
    }
};

struct NoHandler final : TransportHandler {
    void on_message(const UniqueAddress&, ClusterMessage, Instant) override {}
    void on_link(const UniqueAddress&, LinkEvent) override {}
    void on_connect_refused(const Address&) override {}
    void on_quarantined_by(const UniqueAddress&) override {}
};

/// A runtime with a transport.
struct Node {
    explicit Node(const bench::Options& options) : runtime(bench::make_runtime(program, options)) {
        TcpTransportOptions transport_options;
        transport_options.cluster_name = "bench";
        transport_options.congestion_control = options.text("cc", "auto");
        if (const long limit = options.number("limit", 0))
            transport_options.association_bytes_max = static_cast<std::size_t>(limit);
        auto listening = TcpClusterTransport::listen(*runtime, transport_options);
        if (!listening) fail(listening.error().message());
        transport = std::move(*listening);
    }
    static Address address(int port) {
        return Address::remote("akka.tcp", "bench", "127.0.0.1", static_cast<std::uint16_t>(port));
    }
    static std::string sink_path(int port) {
        return fmt::format("akka.tcp://bench@127.0.0.1:{}/user/sink", port);
    }
    int port() const { return *transport->self().address().port; }
    /// Of a node whose runtime has a thread: everything that was told leaves.
    void shut_down() {
        std::binary_semaphore closed{0};
        runtime->post([&] { // the transport belongs to that thread
            transport->shutdown(runtime->monotonic_now() + std::chrono::seconds{5},
                                [&closed] { closed.release(); });
        });
        closed.acquire();
        runtime->post([&] {
            transport.reset();
            closed.release();
        });
        closed.acquire();
    }

    std::unique_ptr<net::Runtime> runtime;
    NoHandler handler;
    std::unique_ptr<TcpClusterTransport> transport;
};

/// Counts what comes, and checks that each stream comes in its order.
class Counting final : public RemoteMessageSink {
public:
    Counting(const Setup& setup, Shared& shared, std::size_t index, double* late)
        : setup_(setup), shared_(shared), index_(index), late_(late), next_(setup.streams()) {}
    void deliver(std::string_view, std::string_view, const Slice& payload,
                 std::optional<std::string_view>) override {
        if (payload.size() != setup_.payload) fail("a payload of another size arrived");
        if (got_ == 0) shared_.first[index_] = seconds_now();
        std::uint64_t number = 0;
        std::uint32_t stream = 0;
        std::memcpy(&number, payload.data(), sizeof number);
        std::memcpy(&stream, payload.data() + 8, sizeof stream);
        if (number != next_.at(stream)++) fail("tells arrived out of order");
        if (late_) {
            double due = 0;
            std::memcpy(&due, payload.data() + 12, sizeof due);
            late_[got_] = seconds_now() - due;
        }
        if (++got_ != setup_.per_receiver()) return;
        shared_.last[index_] = seconds_now();
        ++shared_.finished;
    }

private:
    const Setup& setup_;
    Shared& shared_;
    const std::size_t index_;
    double* const late_;
    std::vector<std::uint64_t> next_;
    std::uint64_t got_ = 0;
};

/// Sends each tell back to its sender.
class Answering final : public RemoteMessageSink {
public:
    explicit Answering(Node& node) : node_(node) {}
    void deliver(std::string_view, std::string_view, const Slice& payload,
                 std::optional<std::string_view> sender) override {
        if (!route_) route_ = node_.transport->route(address_of(*sender));
        route_.tell({*sender, "echo", {payload.data(), payload.size()}, std::nullopt});
    }

private:
    static Address address_of(std::string_view path) {
        auto address = Address::parse(path.substr(0, path.find('/', path.find("://") + 3)));
        if (!address) fail(address.error().message());
        return *address;
    }
    Node& node_;
    TellRoute route_;
};

void receive(const Setup& setup, Shared& shared, std::size_t index, double* late) {
    if (setup.pinned) bench::pin_to(1);
    const Used used{shared.receivers[index]};
    Node node{setup.options};
    std::shared_ptr<RemoteMessageSink> sink;
    if (setup.mode == "pingpong")
        sink = std::make_shared<Answering>(node);
    else
        sink = std::make_shared<Counting>(setup, shared, index, late);
    node.transport->start(node.handler, sink);
    if (index == 0)
        fmt::format_to_n(shared.backend, sizeof shared.backend - 1, "{}", node.runtime->backend());
    shared.ports[index] = node.port();
    ++shared.listening;
    while (!shared.done)
        node.runtime->run_until(node.runtime->monotonic_now() + std::chrono::milliseconds{50});
}

/// One thread of the application: tells its peers in turn, and sleeps while an association is full.
class Stream {
public:
    Stream(const Setup& setup, const Shared& shared, Node& node, std::uint32_t number)
        : setup_(setup), node_(node), number_(number), payload_(setup.payload, std::byte{'x'}) {
        std::memcpy(payload_.data() + 8, &number_, sizeof number_);
        for (std::size_t i = 0; i < setup.peers; ++i) {
            const int port = shared.ports[i];
            peers_.push_back(
                {Node::address(port), node.transport->route(Node::address(port)), Node::sink_path(port)});
        }
    }
    void run() {
        const double start = seconds_now() + 0.01;
        const bool paced = setup_.mode == "paced";
        for (std::uint64_t i = 0; i < setup_.per_stream(); ++i) {
            std::memcpy(payload_.data(), &i, sizeof i);
            if (paced) wait_until(start + static_cast<double>(i) / setup_.rate);
            for (const Peer& peer : peers_) tell(peer);
        }
    }

private:
    struct Peer {
        Address address;
        TellRoute route;
        std::string path;
    };
    void wait_until(double due) {
        while (seconds_now() < due) {
        }
        std::memcpy(payload_.data() + 12, &due, sizeof due);
    }
    void tell(const Peer& peer) {
        const Tell tell{peer.path, "bench", payload_, std::nullopt};
        TellResult result = peer.route.tell(tell);
        if (result == TellResult::Full) {
            std::binary_semaphore answered{0};
            node_.transport->tell_when_room(peer.address, tell, [&](TellResult r) {
                result = r;
                answered.release();
            });
            answered.acquire();
        }
        if (result != TellResult::Queued) fail(to_string(result));
    }

    const Setup& setup_;
    Node& node_;
    const std::uint32_t number_;
    std::vector<std::byte> payload_;
    std::vector<Peer> peers_;
};

void send(const Setup& setup, Shared& shared, std::size_t index) {
    if (setup.pinned) bench::pin_to(0);
    const Used used{shared.senders[index]};
    Node node{setup.options};
    node.transport->start(node.handler, nullptr);
    node.runtime->start_thread();
    {
        std::vector<Stream> streams;
        streams.reserve(setup.threads);
        for (std::size_t i = 0; i < setup.threads; ++i)
            streams.emplace_back(setup, shared, node, static_cast<std::uint32_t>(index * setup.threads + i));
        std::vector<std::jthread> others;
        for (std::size_t i = 1; i < setup.threads; ++i)
            others.emplace_back([&stream = streams[i]] { stream.run(); });
        streams.front().run();
    }
    while (shared.finished != setup.peers) usleep(1000);
    node.shut_down();
}

/// The sender's side of a ping-pong, on the Runtime's thread.
class PingPong final : public RemoteMessageSink {
public:
    PingPong(const Setup& setup, Node& node, int port)
        : node_(node), route_(node.transport->route(Node::address(port))), path_(Node::sink_path(port)),
          own_path_(Node::sink_path(node.port())), payload_(setup.payload, std::byte{'x'}),
          warmup_(setup.warmup), left_(setup.warmup + setup.n) {
        took.reserve(setup.n);
    }
    void ping() {
        sent_ = seconds_now();
        route_.tell({path_, "ping", payload_, own_path_});
    }
    void deliver(std::string_view, std::string_view, const Slice&, std::optional<std::string_view>) override {
        const double answered = seconds_now() - sent_;
        if (warmup_ > 0)
            --warmup_;
        else
            took.push_back(answered);
        if (--left_ > 0)
            ping();
        else
            node_.runtime->stop();
    }
    std::vector<double> took;

private:
    Node& node_;
    TellRoute route_;
    const std::string path_;
    const std::string own_path_;
    const std::vector<std::byte> payload_;
    std::uint64_t warmup_;
    std::uint64_t left_;
    double sent_ = 0;
};

std::vector<double> play_ping_pong(const Setup& setup, Shared& shared) {
    if (setup.pinned) bench::pin_to(0);
    const Used used{shared.senders[0]};
    Node node{setup.options};
    const auto sink = std::make_shared<PingPong>(setup, node, shared.ports[0]);
    node.transport->start(node.handler, sink);
    node.runtime->post([&] { sink->ping(); });
    node.runtime->run();
    return std::move(sink->took);
}

} // namespace

int main(int argc, char** argv) {
    const bench::Options options{program, argc, argv};
    const Setup setup{options};
    auto& shared = bench::shared_by_all<Shared>(program);
    double* const late = setup.mode == "paced" ? &bench::shared_by_all<double>(program, setup.n) : nullptr;
    bench::Processes processes{program};
    for (std::size_t i = 0; i < setup.peers; ++i)
        processes.fork_one([&, i] { receive(setup, shared, i, late); });
    processes.wait_for([&] { return shared.listening == setup.peers; });
    bench::Result result{
        .mode = setup.mode, .payload = static_cast<long>(setup.payload), .messages = setup.n};
    if (setup.mode == "pingpong") {
        result.latencies = play_ping_pong(setup, shared);
        for (const double took : result.latencies) result.seconds += took;
    } else {
        for (std::size_t i = 0; i < setup.senders; ++i)
            processes.fork_one([&, i] { send(setup, shared, i); });
        processes.wait_for([&] { return shared.finished == setup.peers; });
        result.seconds = *std::max_element(shared.last, shared.last + setup.peers) -
                         *std::min_element(shared.first, shared.first + setup.peers);
    }
    shared.done = true;
    processes.join();
    if (late) result.latencies.assign(late, late + setup.n);
    const std::string peer = fmt::format("muster-{}", shared.backend);
    result.peer = peer;
    result.allocations_counted = true;
    for (const auto* accounts : {shared.receivers, shared.senders}) {
        for (std::size_t i = 0; i < processes_max; ++i) {
            result.cpu_seconds += accounts[i].cpu;
            result.allocations += accounts[i].allocations;
            result.resident_kib = std::max(result.resident_kib, accounts[i].resident_kib);
        }
    }
    result.print();
    return 0;
}
