// SPDX-License-Identifier: Apache-2.0
// What one turn of the io_uring loop costs: posts, timers, and bytes through a Connection on loopback.
// Question: how near is the loop to the machine's limit, which is blocking sockets (BM_Blocking*)?
#include <arpa/inet.h>
#include <atomic>
#include <benchmark/benchmark.h>
#include <muster/net/task_group.hpp>
#include <muster/uring/runtime.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using namespace muster;
using namespace std::chrono_literals;
using net::Task;

std::unique_ptr<net::Runtime> make(Duration idle_spin = Duration::zero()) {
    uring::Options options;
    options.idle_spin = idle_spin;
    return std::move(uring::make_runtime(std::move(options)).value());
}

void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu % static_cast<int>(std::max(1U, std::thread::hardware_concurrency())), &set);
    sched_setaffinity(0, sizeof(set), &set);
}

void BM_Post(benchmark::State& state) {
    const auto runtime = make();
    std::size_t ran = 0;
    for (auto _ : state) {
        for (int i = 0; i < 1000; ++i) runtime->post([&] { ++ran; });
        runtime->post([&] { runtime->stop(); });
        runtime->run();
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(ran));
}
BENCHMARK(BM_Post);

/// Posts from another thread to a running loop, each counted when it has run.
void BM_PostFromAnotherThread(benchmark::State& state) {
    const auto runtime = make();
    runtime->start_thread();
    std::atomic<std::int64_t> ran = 0;
    std::int64_t posted = 0;
    for (auto _ : state) {
        for (int i = 0; i < 1000; ++i) runtime->post([&] { ran.fetch_add(1, std::memory_order_relaxed); });
        posted += 1000;
        while (ran.load(std::memory_order_relaxed) != posted) std::this_thread::yield();
    }
    state.SetItemsProcessed(posted);
    state.counters["wakeups"] = static_cast<double>(runtime->metrics().value("runtime.uring.wakeups"));
}
BENCHMARK(BM_PostFromAnotherThread)->UseRealTime();

/// The time from a post to a sleeping loop until it runs.
void BM_WakeASleepingLoop(benchmark::State& state) {
    const auto runtime = make(std::chrono::microseconds(state.range(0)));
    runtime->start_thread();
    std::atomic<int> ran = 0;
    int posted = 0;
    for (auto _ : state) {
        runtime->post([&] {
            ran.fetch_add(1);
            ran.notify_one();
        });
        ++posted;
        for (int seen = ran.load(); seen != posted; seen = ran.load()) ran.wait(seen);
    }
}
BENCHMARK(BM_WakeASleepingLoop)->Arg(0)->Arg(50)->UseRealTime();

void BM_TimerScheduleAndCancel(benchmark::State& state) {
    const auto runtime = make();
    const Instant now = runtime->monotonic_now();
    std::vector<net::TimerId> others;
    for (int i = 0; i < state.range(0); ++i) others.push_back(runtime->schedule(now + 1h + i * 1us, [] {}));
    std::int64_t n = 0;
    for (auto _ : state) {
        const net::TimerId id = runtime->schedule(now + 1h + (n++ % 1000) * 1ms, [] {});
        benchmark::DoNotOptimize(runtime->cancel(id));
    }
    state.SetItemsProcessed(n);
}
BENCHMARK(BM_TimerScheduleAndCancel)->Arg(0)->Arg(10'000);

// --- loopback through Connection, the two ends on two threads with a loop each

struct Ends {
    std::unique_ptr<net::Runtime> server, client;
    std::unique_ptr<net::Connection> at_server, at_client;

    explicit Ends(Duration idle_spin) : server(make(idle_spin)), client(make(idle_spin)) {}
};

Task<void> accept_one(net::Runtime& runtime, net::Listener& listener, std::unique_ptr<net::Connection>& out) {
    auto accepted = co_await listener.accept();
    out = std::move(accepted).value();
    runtime.stop();
}

Task<void> connect_one(net::Runtime& runtime, net::Endpoint to, std::unique_ptr<net::Connection>& out) {
    const net::ConnectOptions options;
    auto connected = co_await runtime.connect(to, options);
    out = std::move(connected).value();
    runtime.stop();
}

void connect(Ends& ends) {
    const auto listener = std::move(ends.server->listen(net::Endpoint::loopback_v4(0), {}).value());
    net::TaskGroup accepting(*ends.server), connecting(*ends.client);
    connecting.spawn(connect_one(*ends.client, listener->local(), ends.at_client));
    ends.client->run();
    accepting.spawn(accept_one(*ends.server, *listener, ends.at_server));
    ends.server->run();
    const auto finish = [](net::Runtime& r) { r.run_until(r.monotonic_now() + 1ms); };
    finish(*ends.client);
    finish(*ends.server);
}

Task<void> echo(net::Connection& connection) {
    for (;;) {
        auto slice = co_await connection.receive();
        if (!slice) co_return;
        auto sent = co_await connection.send(std::span{&*slice, 1});
        if (!sent) co_return;
    }
}

Task<void> ping(net::Runtime& runtime, net::Connection& connection, benchmark::State& state,
                std::size_t size) {
    const Slice message = Slice::copy_of(std::string(size, 'x'));
    for (auto _ : state) {
        auto sent = co_await connection.send(std::span{&message, 1});
        if (!sent) break;
        for (std::size_t got = 0; got < size;) {
            auto slice = co_await connection.receive();
            if (!slice) break;
            got += slice->size();
        }
    }
    connection.close(net::Close::Graceful);
    runtime.stop();
}

/// One message of 64 bytes there and back; the argument is the idle spin in microseconds.
void BM_PingPong(benchmark::State& state) {
    Ends ends(std::chrono::microseconds(state.range(0)));
    connect(ends);
    std::jthread server([&] {
        pin(1);
        net::TaskGroup group(*ends.server);
        auto body = [&]() -> Task<void> {
            co_await echo(*ends.at_server);
            ends.server->stop();
        };
        group.spawn(body());
        ends.server->run();
        while (!group.empty()) ends.server->run_until(ends.server->monotonic_now() + 1ms);
    });
    pin(0);
    {
        net::TaskGroup group(*ends.client);
        group.spawn(ping(*ends.client, *ends.at_client, state, 64));
        ends.client->run();
        while (!group.empty()) ends.client->run_until(ends.client->monotonic_now() + 1ms);
    }
    server.join();
    const auto value = [&](const char* name) {
        return static_cast<double>(ends.client->metrics().value(name));
    };
    state.counters["enters"] =
        benchmark::Counter(value("runtime.uring.enters"), benchmark::Counter::kAvgIterations);
}
BENCHMARK(BM_PingPong)->Arg(0)->Arg(50)->UseRealTime();

Task<void> drain(net::Runtime& runtime, net::Connection& connection, std::size_t& total) {
    for (;;) {
        auto slice = co_await connection.receive();
        if (!slice) break;
        total += slice->size();
        while (connection.try_receive(*slice)) total += slice->size();
    }
    runtime.stop();
}

Task<void> stream(net::Runtime& runtime, net::Connection& connection, benchmark::State& state,
                  std::size_t size) {
    const Slice chunk = Slice::copy_of(std::string(size, 'x'));
    for (auto _ : state) {
        auto sent = co_await connection.send(std::span{&chunk, 1});
        if (!sent) break;
    }
    connection.close(net::Close::Graceful);
    runtime.stop();
}

/// Sends of so many bytes, one in flight.
void BM_Stream(benchmark::State& state) {
    const auto size = static_cast<std::size_t>(state.range(0));
    Ends ends(Duration::zero());
    connect(ends);
    std::size_t total = 0;
    std::jthread server([&] {
        pin(1);
        net::TaskGroup group(*ends.server);
        group.spawn(drain(*ends.server, *ends.at_server, total));
        ends.server->run();
        while (!group.empty()) ends.server->run_until(ends.server->monotonic_now() + 1ms);
    });
    pin(0);
    {
        net::TaskGroup group(*ends.client);
        group.spawn(stream(*ends.client, *ends.at_client, state, size));
        ends.client->run();
        while (!group.empty()) ends.client->run_until(ends.client->monotonic_now() + 1ms);
    }
    server.join();
    state.SetBytesProcessed(static_cast<std::int64_t>(total));
    const auto per_send = [&](net::Runtime& runtime, const char* name) {
        return benchmark::Counter(static_cast<double>(runtime.metrics().value(name)),
                                  benchmark::Counter::kAvgIterations);
    };
    state.counters["enters_sending"] = per_send(*ends.client, "runtime.uring.enters");
    state.counters["enters_receiving"] = per_send(*ends.server, "runtime.uring.enters");
    state.counters["completions_receiving"] = per_send(*ends.server, "runtime.uring.completions");
    state.counters["copied"] = per_send(*ends.server, "runtime.uring.receive.copied_bytes");
}
BENCHMARK(BM_Stream)->Arg(4096)->Arg(65'536)->Arg(262'144)->UseRealTime();

// --- the same with blocking sockets

struct Sockets {
    int server = -1, client = -1;
    Sockets() {
        const int listener = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof(at);
        auto* address = reinterpret_cast<sockaddr*>(&at);
        const bool listening = bind(listener, address, length) == 0 && listen(listener, 1) == 0 &&
                               getsockname(listener, address, &length) == 0;
        client = socket(AF_INET, SOCK_STREAM, 0);
        if (!listening || ::connect(client, address, length) != 0) std::abort();
        server = accept(listener, nullptr, nullptr);
        ::close(listener);
        const int one = 1;
        for (const int fd : {server, client}) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    ~Sockets() {
        ::close(server);
        ::close(client);
    }
};

void BM_BlockingPingPong(benchmark::State& state) {
    Sockets sockets;
    std::jthread server([&] {
        pin(1);
        char text[64];
        while (recv(sockets.server, text, sizeof(text), MSG_WAITALL) == sizeof(text)) {
            if (send(sockets.server, text, sizeof(text), MSG_NOSIGNAL) < 0) break;
        }
    });
    pin(0);
    char text[64] = {};
    for (auto _ : state) {
        if (send(sockets.client, text, sizeof(text), MSG_NOSIGNAL) < 0) break;
        if (recv(sockets.client, text, sizeof(text), MSG_WAITALL) <= 0) break;
    }
    shutdown(sockets.client, SHUT_WR);
}
BENCHMARK(BM_BlockingPingPong)->UseRealTime();

void BM_BlockingStream(benchmark::State& state) {
    const auto size = static_cast<std::size_t>(state.range(0));
    Sockets sockets;
    std::size_t total = 0;
    {
        std::jthread server([&] {
            pin(1);
            std::vector<char> buffer(256 * 1024);
            for (ssize_t n = 0; (n = recv(sockets.server, buffer.data(), buffer.size(), 0)) > 0;)
                total += static_cast<std::size_t>(n);
        });
        pin(0);
        const std::string chunk(size, 'x');
        for (auto _ : state) {
            for (std::size_t done = 0; done < size;) {
                const ssize_t n = send(sockets.client, chunk.data() + done, size - done, MSG_NOSIGNAL);
                if (n <= 0) std::abort();
                done += static_cast<std::size_t>(n);
            }
        }
        shutdown(sockets.client, SHUT_WR);
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(total));
}
BENCHMARK(BM_BlockingStream)->Arg(4096)->Arg(65'536)->Arg(262'144)->UseRealTime();

} // namespace

BENCHMARK_MAIN();
