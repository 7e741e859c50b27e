// SPDX-License-Identifier: Apache-2.0
// How many tells per second does one node deliver to another, and how long is a round trip?
//
// Two processes over 127.0.0.1: the receiver on core 1, the sender on core 0 (pin=0: where the system likes).
//   tell_throughput mode=stream payload=64 n=4000000
//   tell_throughput mode=pingpong payload=56 n=4000
// backend=auto|uring|epoll, spin=MICROSECONDS (of an idle uring loop; 0: blocking; by default the loop's
// own), sender=thread|loop (who tells), warmup=1000 (round trips not counted). Prints one JSON line.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fmt/format.h>
#include <memory>
#include <muster/net/asio_runtime.hpp>
#include <muster/transport/tcp.hpp>
#include <muster/uring/runtime.hpp>
#include <sched.h>
#include <semaphore>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "options.hpp"

namespace {

using namespace muster;

double now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double cpu_seconds() {
    rusage r{};
    getrusage(RUSAGE_SELF, &r);
    return static_cast<double>(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           static_cast<double>(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

using bench::Options;

[[noreturn]] void fail(const std::string& what) { bench::fail("tell_throughput", what); }

/// What the two processes tell each other.
struct Shared {
    std::atomic<int> port;
    std::atomic<bool> done;
    double first = 0, last = 0;
    double receiver_cpu = 0;
    std::uint64_t frames = 0;
    char backend[16] = {};
};

struct NoHandler final : TransportHandler {
    void on_message(const UniqueAddress&, ClusterMessage, Instant) override {}
    void on_link(const UniqueAddress&, LinkEvent) override {}
    void on_connect_refused(const Address&) override {}
    void on_quarantined_by(const UniqueAddress&) override {}
};

struct Side {
    explicit Side(const Options& options) : bytes(static_cast<std::size_t>(options.number("payload", 64))) {
        runtime = make(options);
        TcpTransportOptions transport_options;
        transport_options.cluster_name = "bench";
        if (const long limit = options.number("limit", 0))
            transport_options.association_bytes_max = static_cast<std::size_t>(limit);
        auto listening = TcpClusterTransport::listen(*runtime, transport_options);
        if (!listening) fail(listening.error().message());
        transport = std::move(*listening);
        payload.assign(bytes, std::byte{'x'});
    }
    static std::string sink_path(std::uint16_t port) {
        return fmt::format("akka.tcp://bench@127.0.0.1:{}/user/sink", port);
    }
    std::uint16_t port() const { return *transport->self().address().port; }

    /// Not through runtime.hpp, which has no setting for the spinning of an idle loop.
    static std::unique_ptr<net::Runtime> make(const Options& options) {
        const std::string backend = options.text("backend", "auto");
        if (backend != "auto" && backend != "uring" && backend != "epoll")
            fail("backend: use auto, uring or epoll");
        if (backend != "epoll") {
            uring::Options uring_options;
            const long spin = options.number("spin", -1);
            if (spin >= 0) uring_options.idle_spin = std::chrono::microseconds{spin};
            auto made = uring::make_runtime(std::move(uring_options));
            if (made) return std::move(*made);
            if (backend == "uring") fail(made.error().message());
        }
        auto made = net::make_asio_runtime();
        if (!made) fail(made.error().message());
        return std::move(*made);
    }

    std::size_t bytes;
    std::vector<std::byte> payload;
    std::unique_ptr<net::Runtime> runtime;
    NoHandler handler;
    std::unique_ptr<TcpClusterTransport> transport;
};

/// Counts a stream, or answers each tell.
class Receiver final : public RemoteMessageSink {
public:
    Receiver(Side& side, Shared& shared, std::uint64_t frames, bool answers)
        : side_(side), shared_(shared), frames_(frames), answers_(answers) {}
    void deliver(std::string_view, std::string_view, const Slice& payload,
                 std::optional<std::string_view> sender) override {
        if (payload.size() != side_.bytes) fail("a payload of another size arrived");
        if (got_ == 0) shared_.first = now();
        ++got_;
        if (answers_) {
            if (!route_) route_ = side_.transport->route(sender_of(*sender));
            route_.tell({*sender, "echo", side_.payload, std::nullopt});
        } else {
            std::uint64_t number = 0;
            std::memcpy(&number, payload.data(), sizeof number);
            if (number != got_ - 1) fail("tells arrived out of order");
        }
        if (got_ != frames_) return;
        shared_.last = now();
        shared_.frames = got_;
        if (!answers_) shared_.done = true;
    }

private:
    static Address sender_of(std::string_view path) {
        auto address = Address::parse(path.substr(0, path.find('/', path.find("://") + 3)));
        if (!address) fail(address.error().message());
        return *address;
    }
    Side& side_;
    Shared& shared_;
    const std::uint64_t frames_;
    const bool answers_;
    std::uint64_t got_ = 0;
    TellRoute route_;
};

/// The sender's side of a stream: tells as fast as the association takes them.
class Stream {
public:
    Stream(Side& side, const Address& to, std::uint64_t frames)
        : side_(side), to_(to), route_(side.transport->route(to)), path_(Side::sink_path(*to.port)),
          frames_(frames) {}

    /// Tells up to `count` more. False when it waits for room, with `then` to be called after it.
    template <class Then>
    bool tell_some(std::uint64_t count, Then then) {
        for (; count > 0 && next_ < frames_; --count) {
            std::memcpy(side_.payload.data(), &next_, sizeof next_);
            const Tell tell{path_, "bench", side_.payload, std::nullopt};
            const TellResult result = route_.tell(tell);
            ++next_;
            if (result == TellResult::Queued) continue;
            if (result != TellResult::Full) fail(fmt::format("tell: {}", to_string(result)));
            side_.transport->tell_when_room(to_, tell, [then](TellResult r) mutable {
                if (r != TellResult::Queued) fail(fmt::format("tell_when_room: {}", to_string(r)));
                then();
            });
            return false;
        }
        return true;
    }
    bool finished() const { return next_ == frames_; }

private:
    Side& side_;
    const Address to_;
    TellRoute route_;
    const std::string path_;
    const std::uint64_t frames_;
    std::uint64_t next_ = 0;
};

/// Tells from the Runtime's own thread, some in each turn of its loop.
void stream_from_loop(Side& side, Stream& stream) {
    if (!stream.tell_some(512, [&] { stream_from_loop(side, stream); })) return;
    if (!stream.finished()) side.runtime->post([&] { stream_from_loop(side, stream); });
}

/// Tells from a thread of the application, which sleeps while the association is full.
void stream_from_thread(Stream& stream) {
    std::binary_semaphore room{0};
    while (!stream.finished())
        if (!stream.tell_some(UINT64_MAX, [&room] { room.release(); })) room.acquire();
}

/// The sender's side of a ping-pong, on the Runtime's thread.
class PingPong final : public RemoteMessageSink {
public:
    PingPong(Side& side, const Address& to, std::uint64_t warmup, std::uint64_t n)
        : side_(side), route_(side.transport->route(to)), path_(Side::sink_path(*to.port)),
          own_path_(Side::sink_path(side.port())), warmup_(warmup), left_(warmup + n) {}
    void ping() {
        sent_ = now();
        route_.tell({path_, "ping", side_.payload, own_path_});
    }
    void deliver(std::string_view, std::string_view, const Slice&, std::optional<std::string_view>) override {
        const double took = now() - sent_;
        if (warmup_ > 0)
            --warmup_;
        else
            microseconds.push_back(took * 1e6);
        if (--left_ > 0)
            ping();
        else
            side_.runtime->stop();
    }
    std::vector<double> microseconds;

private:
    Side& side_;
    TellRoute route_;
    const std::string path_;
    const std::string own_path_;
    std::uint64_t warmup_;
    std::uint64_t left_;
    double sent_ = 0;
};

void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

int receive(const Options& options, Shared& shared) {
    if (options.number("pin", 1) != 0) pin(1);
    const double cpu = cpu_seconds();
    Side side{options};
    const bool answers = options.text("mode", "stream") == "pingpong";
    const auto frames = static_cast<std::uint64_t>(options.number("n", 1'000'000));
    const auto sink = std::make_shared<Receiver>(side, shared, frames, answers);
    side.transport->start(side.handler, sink);
    std::snprintf(shared.backend, sizeof shared.backend, "%s", std::string{side.runtime->backend()}.c_str());
    shared.port = side.port();
    // Until everything is there, or the sender has what it wants.
    while (!shared.done)
        side.runtime->run_until(side.runtime->monotonic_now() + std::chrono::milliseconds{50});
    shared.receiver_cpu = cpu_seconds() - cpu;
    return 0;
}

int send(const Options& options, Shared& shared, pid_t receiver) {
    const std::string mode = options.text("mode", "stream");
    const auto n = static_cast<std::uint64_t>(options.number("n", 1'000'000));
    if (options.number("pin", 1) != 0) pin(0);
    while (shared.port == 0) {
        if (waitpid(receiver, nullptr, WNOHANG) == receiver) fail("the receiver died");
        usleep(1000);
    }
    usleep(20'000);
    const double cpu = cpu_seconds();
    std::vector<double> latencies;
    {
        Side side{options};
        const Address to =
            Address::remote("akka.tcp", "bench", "127.0.0.1", static_cast<std::uint16_t>(shared.port.load()));
        if (mode == "pingpong") {
            const auto sink = std::make_shared<PingPong>(
                side, to, static_cast<std::uint64_t>(options.number("warmup", 1000)), n);
            side.transport->start(side.handler, sink);
            side.runtime->post([&] { sink->ping(); });
            side.runtime->run();
            latencies = std::move(sink->microseconds);
            shared.done = true;
        } else {
            Stream stream{side, to, n};
            side.transport->start(side.handler, nullptr);
            const bool from_loop = options.text("sender", "thread") == "loop";
            if (from_loop) side.runtime->post([&] { stream_from_loop(side, stream); });
            side.runtime->start_thread();
            if (!from_loop) stream_from_thread(stream);
            while (!shared.done) usleep(1000);
            std::binary_semaphore closed{0};
            side.runtime->post([&] { // the transport belongs to that thread
                side.transport->shutdown(side.runtime->monotonic_now() + std::chrono::seconds{5},
                                         [&closed] { closed.release(); });
            });
            closed.acquire();
            side.runtime->post([&] {
                side.transport.reset();
                closed.release();
            });
            closed.acquire();
            if (waitpid(receiver, nullptr, 0) != receiver) fail("the receiver is lost");
        }
        if (mode == "pingpong") waitpid(receiver, nullptr, 0);
    }
    const double cpu_s = cpu_seconds() - cpu + shared.receiver_cpu;
    double rate = 0, p50 = 0, p99 = 0;
    if (mode == "pingpong") {
        double sum = 0;
        for (const double l : latencies) sum += l;
        std::sort(latencies.begin(), latencies.end());
        p50 = latencies.at(latencies.size() / 2);
        p99 = latencies.at(latencies.size() * 99 / 100);
        rate = 1e6 * static_cast<double>(latencies.size()) / sum;
    } else {
        if (shared.frames != n) fail("the receiver did not get everything");
        rate = static_cast<double>(shared.frames) / (shared.last - shared.first);
    }
    fmt::print(
        "{{\"peer\":\"muster-{}\",\"mode\":\"{}\",\"payload\":{},\"msgs_per_s\":{:.0f},\"p50_us\":{:.2f},"
        "\"p99_us\":{:.2f},\"cpu_s\":{:.3f},\"n\":{},\"pin\":{},\"backend\":\"{}\"}}\n",
        shared.backend, mode, options.number("payload", 64), rate, p50, p99, cpu_s, n,
        options.number("pin", 1), shared.backend);
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    const Options options{"tell_throughput", argc, argv};
    void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail(std::strerror(errno));
    Shared& shared = *new (memory) Shared{};
    alarm(120); // also of the child
    const pid_t receiver = fork();
    if (receiver < 0) fail(std::strerror(errno));
    if (receiver == 0) {
        alarm(120);
        return receive(options, shared);
    }
    return send(options, shared, receiver);
}
