// SPDX-License-Identifier: Apache-2.0
// By how much does a flood on one connection delay a heartbeat on another?
//
// Three processes over 127.0.0.1: the victim, a whole node that is a cluster by itself; a prober, whose
// heartbeats it answers; and a flooder, which shakes hands as anybody may and then writes one kind of frame
// as fast as the victim takes them.
//   flood_delay flood=heartbeat backend=uring
// flood=heartbeat|init_join|join|gossip_status|not_member|unknown_sender|tell (unknown_sender: heartbeats in
// the names of ever new nodes), seconds=3 (without the flood, and as long with it), every=2000 (microseconds
// between two heartbeats), floods=1 (connections that flood), load=0 (processes that do nothing but burn a
// core), backend=auto|uring|epoll, p99_max=0 (microseconds: a longer extra delay is exit status 1). Prints
// one JSON line; the delays are of round trips, in microseconds.
#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <muster/node/remote_adapter.hpp>
#include <muster/transport/tcp.hpp>
#include <muster/wire/frame.hpp>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "backend.hpp"
#include "processes.hpp"

namespace {

using namespace muster;
using namespace std::chrono_literals;

constexpr const char* cluster = "bench";

using bench::Options;

[[noreturn]] void fail(const std::string& what) { bench::fail("flood_delay", what); }

/// What the processes tell each other.
struct Shared {
    std::atomic<int> port;
    std::atomic<bool> flood;
    std::atomic<bool> done;
    std::atomic<std::uint64_t> flooded;
    std::int64_t dropped_rate = 0;
    std::int64_t connects = 0;
    std::int64_t turns_over = 0;
    std::uint64_t lateness_p99_ns = 0;
    char backend[16] = {};
};

std::unique_ptr<net::Runtime> make_runtime_for(const Options& options) {
    return bench::make_runtime("flood_delay", options, std::make_shared<MemoryLogSink>());
}

Address address_of(int port) {
    return Address::remote("akka.tcp", cluster, "127.0.0.1", static_cast<std::uint16_t>(port));
}

// --- the victim

int suffer(const Options& options, Shared& shared) {
    const auto runtime = make_runtime_for(options);
    RemoteAdapterConfig config;
    config.transport.cluster_name = cluster;
    // Only a transport knows a port that the system chose, so ask one.
    {
        TcpTransportOptions probe;
        probe.cluster_name = cluster;
        auto listening = TcpClusterTransport::listen(*runtime, probe);
        if (!listening) fail(listening.error().message());
        config.transport.listen_port = *(*listening)->self().address().port;
    }
    config.daemon.cluster.seed_nodes = {address_of(config.transport.listen_port)};
    const int port = config.transport.listen_port;
    auto node = ClusterRemoteAdapter::start(*runtime, std::move(config));
    if (!node) fail(node.error().message());
    std::snprintf(shared.backend, sizeof shared.backend, "%s", std::string{runtime->backend()}.c_str());
    node->daemon().on_member_up([&] { shared.port = port; });
    while (!shared.done) runtime->run_until(runtime->monotonic_now() + 20ms);
    shared.dropped_rate = runtime->metrics().value("transport.messages.dropped.rate");
    shared.turns_over = runtime->metrics().value("transport.turns.over");
    shared.lateness_p99_ns = runtime->metrics().histogram("runtime.timer.lateness_ns").quantile(0.99);
    shared.connects =
        runtime->metrics().value("net.connect.opened") + runtime->metrics().value("net.connect.failed");
    std::_Exit(0);
}

// --- the flooder

struct NoHandler final : TransportHandler {
    void on_message(const UniqueAddress&, ClusterMessage, Instant) override {}
    void on_link(const UniqueAddress&, LinkEvent) override {}
    void on_connect_refused(const Address&) override {}
    void on_quarantined_by(const UniqueAddress&) override {}
};

bool write_all(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (written <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

std::string frame_of(const wire::ClusterFrame& frame) {
    auto encoded = wire::encode_frame(frame);
    if (!encoded) fail(encoded.error().message());
    return std::string{encoded->text()};
}

std::string flood_frame(const std::string& kind, const UniqueAddress& self, const UniqueAddress& victim,
                        int number) {
    if (kind == "heartbeat") return frame_of(ClusterMessage{Heartbeat{self.address(), number, number}});
    if (kind == "unknown_sender")
        return frame_of(ClusterMessage{Heartbeat{address_of(1024 + number % 60'000), number, number}});
    if (kind == "init_join") return frame_of(ClusterMessage{InitJoin{self.address(), {}}});
    if (kind == "join")
        return frame_of(ClusterMessage{Join{UniqueAddress{self.address(), Uid{number}}, {}, {}}});
    if (kind == "not_member") return frame_of(ClusterMessage{NotMember{self, victim}});
    if (kind == "gossip_status") return frame_of(ClusterMessage{GossipStatus{self, victim, {}, {}, {}}});
    if (kind == "tell") {
        const std::string text(64, 'x');
        return frame_of(
            wire::RemoteTell{"akka.tcp://bench@127.0.0.1:1/user/sink", "text", Slice::copy_of(text), {}});
    }
    fail("flood: use heartbeat, unknown_sender, init_join, join, not_member, gossip_status or tell");
}

int flood(const Options& options, Shared& shared) {
    const auto runtime = make_runtime_for(options);
    TcpTransportOptions transport_options;
    transport_options.cluster_name = cluster;
    auto listening = TcpClusterTransport::listen(*runtime, transport_options);
    if (!listening) fail(listening.error().message());
    NoHandler handler;
    (*listening)->start(handler, nullptr); // takes the answers
    runtime->start_thread();
    const UniqueAddress self = (*listening)->self();

    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(shared.port.load()));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail(std::strerror(errno));
    wire::Hello hello;
    hello.cluster_name = cluster;
    hello.from = self;
    hello.to = address_of(shared.port);
    if (!write_all(socket, frame_of(hello))) fail("the victim hung up");
    char reply[4096];
    if (::recv(socket, reply, sizeof reply, 0) <= 0) fail("the victim did not reply");

    const std::string kind = options.text("flood", "heartbeat");
    std::string bytes;
    std::uint64_t frames = 0;
    while (bytes.size() < 256 * 1024) {
        bytes +=
            flood_frame(kind, self, UniqueAddress{address_of(shared.port), Uid{1}}, static_cast<int>(frames));
        ++frames;
    }
    while (!shared.flood && !shared.done) usleep(500);
    while (!shared.done) {
        if (!write_all(socket, bytes)) break; // closed by the victim: that ends a flood, too
        shared.flooded += frames;
    }
    std::_Exit(0);
}

// --- the prober

class Prober final : public TransportHandler {
public:
    void on_message(const UniqueAddress&, ClusterMessage message, Instant received) override {
        if (const auto* reply = std::get_if<HeartbeatReply>(&message)) {
            const Duration trip = received.time_since_epoch() - Duration{reply->creation_time_ns};
            if (round_trips) round_trips->push_back(std::chrono::duration<double, std::micro>(trip).count());
        }
    }
    void on_link(const UniqueAddress&, LinkEvent) override {}
    void on_connect_refused(const Address&) override {}
    void on_quarantined_by(const UniqueAddress&) override {}
    std::vector<double>* round_trips = nullptr;
};

struct Measured {
    std::vector<double> round_trips;
    std::uint64_t sent = 0;
    double at(double quantile) const {
        if (round_trips.empty()) return 0;
        const auto last = static_cast<double>(round_trips.size() - 1);
        return round_trips[static_cast<std::size_t>(last * quantile)];
    }
};

Measured probe(net::Runtime& runtime, TcpClusterTransport& transport, Prober& prober, const Address& to,
               Duration every, Duration time) {
    Measured measured;
    prober.round_trips = &measured.round_trips;
    const Instant end = runtime.monotonic_now() + time;
    for (Instant next = runtime.monotonic_now(); next < end; next += every) {
        runtime.run_until(next);
        const Instant now = runtime.monotonic_now();
        transport.send(to, Heartbeat{transport.self().address(), static_cast<std::int64_t>(++measured.sent),
                                     now.time_since_epoch().count()});
    }
    const Instant patience = runtime.monotonic_now() + 3s;
    while (measured.round_trips.size() < measured.sent && runtime.monotonic_now() < patience)
        runtime.run_until(runtime.monotonic_now() + 5ms);
    prober.round_trips = nullptr;
    std::sort(measured.round_trips.begin(), measured.round_trips.end());
    return measured;
}

int measure(const Options& options, Shared& shared) {
    while (shared.port == 0) usleep(1000);
    const auto runtime = make_runtime_for(options);
    TcpTransportOptions transport_options;
    transport_options.cluster_name = cluster;
    auto listening = TcpClusterTransport::listen(*runtime, transport_options);
    if (!listening) fail(listening.error().message());
    Prober prober;
    (*listening)->start(prober, nullptr);
    const Address to = address_of(shared.port);
    const Duration every = std::chrono::microseconds{options.number("every", 2000)};
    const Duration time = std::chrono::seconds{options.number("seconds", 3)};
    static_cast<void>(probe(*runtime, **listening, prober, to, 10ms, 300ms)); // connects both ways
    const Measured before = probe(*runtime, **listening, prober, to, every, time);
    shared.flood = true;
    const Measured during = probe(*runtime, **listening, prober, to, every, time);
    shared.done = true;
    usleep(200'000);
    const double extra_p99 = during.at(0.99) - before.at(0.99);
    fmt::print("{{\"flood\":\"{}\",\"floods\":{},\"load\":{},\"backend\":\"{}\",\"n\":{},\"before_p50_us\":{:"
               ".0f},\"before_p99_us\":{:.0f},"
               "\"p50_us\":{:.0f},\"p99_us\":{:.0f},\"max_us\":{:.0f},\"extra_p99_us\":{:.0f},\"unanswered\":"
               "{},\"flooded\":{},"
               "\"dropped_rate\":{},\"turns_over\":{},\"lateness_p99_us\":{},\"connects\":{}}}\n",
               options.text("flood", "heartbeat"), options.number("floods", 1), options.number("load", 0),
               shared.backend, during.sent, before.at(0.5), before.at(0.99), during.at(0.5), during.at(0.99),
               during.at(1), extra_p99, during.sent - during.round_trips.size(), shared.flooded.load(),
               shared.dropped_rate, shared.turns_over, shared.lateness_p99_ns / 1000, shared.connects);
    std::fflush(stdout);
    const auto limit = static_cast<double>(options.number("p99_max", 0));
    return limit > 0 && (extra_p99 > limit || during.round_trips.size() < during.sent) ? 1 : 0;
}

/// Forks a process that ends with this one.
template <class Body>
void start(Body body) {
    const pid_t child = fork();
    if (child < 0) fail(std::strerror(errno));
    if (child != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(300);
    std::_Exit(body());
}

} // namespace

int main(int argc, char** argv) {
    const Options options{"flood_delay", argc, argv};
    auto& shared = bench::shared_by_all<Shared>("flood_delay");
    alarm(300); // also when a child died
    start([&] { return suffer(options, shared); });
    while (shared.port == 0) {
        if (waitpid(-1, nullptr, WNOHANG) > 0) fail("the victim died");
        usleep(1000);
    }
    for (long i = 0; i < options.number("floods", 1); ++i) start([&] { return flood(options, shared); });
    for (long i = 0; i < options.number("load", 0); ++i)
        start([&] {
            while (!shared.done) {
            }
            return 0;
        });
    const int status = measure(options, shared);
    shared.done = true;
    while (waitpid(-1, nullptr, 0) > 0) {
    }
    return status;
}
