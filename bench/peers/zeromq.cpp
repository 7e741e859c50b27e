// SPDX-License-Identifier: Apache-2.0
// ZeroMQ: PUSH to PULL, and REQ to REP for round trips, over TCP with one I/O thread for each process.
//   zeromq mode=stream payload=64 n=1000000
//   zeromq mode=pingpong payload=56 n=4000
// pin=0: no places on cores. Prints one JSON line.
#include <zmq.h>

#include "sockets.hpp"

namespace {

using namespace muster::bench;

constexpr std::string_view program = "zeromq";

struct Shared {
    std::atomic<int> port;
    double first = 0, last = 0, receiver_cpu = 0;
    long receiver_kib = 0;
};

/// Of a call that answers below zero when it fails.
int checked(int answer) {
    if (answer < 0) fail(program, zmq_strerror(zmq_errno()));
    return answer;
}

/// A context with one socket.
struct Socket {
    explicit Socket(int type) : context(zmq_ctx_new()), socket(zmq_socket(context, type)) {}
    ~Socket() {
        zmq_close(socket);
        zmq_ctx_term(context);
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    void* context;
    void* socket;
};

void receive(bool pingpong, std::uint64_t count, std::size_t bytes, Shared& shared) {
    const Socket in{pingpong ? ZMQ_REP : ZMQ_PULL};
    checked(zmq_bind(in.socket, "tcp://127.0.0.1:*"));
    char endpoint[128];
    std::size_t length = sizeof endpoint;
    checked(zmq_getsockopt(in.socket, ZMQ_LAST_ENDPOINT, endpoint, &length));
    shared.port = std::stoi(std::string{std::strrchr(endpoint, ':') + 1});
    zmq_msg_t message;
    zmq_msg_init(&message);
    for (std::uint64_t got = 0; got < count; ++got) {
        checked(zmq_msg_recv(&message, in.socket, 0));
        if (got == 0) shared.first = seconds_now();
        if (zmq_msg_size(&message) != bytes) fail(program, "a message of another size arrived");
        if (pingpong) checked(zmq_msg_send(&message, in.socket, 0));
    }
    shared.last = seconds_now();
    zmq_msg_close(&message);
}

} // namespace

int main(int argc, char** argv) {
    const Options options{program, argc, argv};
    const bool pinned = options.number("pin", 1) != 0;
    const bool pingpong = options.text("mode", "stream") == "pingpong";
    const auto n = static_cast<std::uint64_t>(options.number("n", 1'000'000));
    const auto warmup = pingpong ? static_cast<std::uint64_t>(options.number("warmup", 1000)) : 0;
    const long payload = options.number("payload", 64);
    const std::size_t bytes = head_bytes + static_cast<std::size_t>(payload);
    auto& shared = shared_by_all<Shared>(program);
    Processes processes{program};
    processes.fork_one([&] {
        if (pinned) pin_to(1);
        const double cpu = cpu_seconds();
        receive(pingpong, n + warmup, bytes, shared);
        shared.receiver_cpu = cpu_seconds() - cpu;
        shared.receiver_kib = resident_max_kib();
    });
    if (pinned) pin_to(0);
    processes.wait_for([&] { return shared.port != 0; });
    const double cpu = cpu_seconds();
    Result result{
        .peer = "zeromq", .mode = pingpong ? "pingpong" : "stream", .payload = payload, .messages = n};
    const double begin = seconds_now();
    {
        const Socket out{pingpong ? ZMQ_REQ : ZMQ_PUSH};
        checked(zmq_connect(out.socket, fmt::format("tcp://127.0.0.1:{}", shared.port.load()).c_str()));
        std::vector<std::byte> message(bytes, std::byte{'x'});
        std::vector<std::byte> answer(bytes);
        for (std::uint64_t i = 0; i < n + warmup; ++i) {
            const double sent = pingpong ? seconds_now() : 0;
            checked(zmq_send(out.socket, message.data(), bytes, 0));
            if (!pingpong) continue;
            checked(zmq_recv(out.socket, answer.data(), bytes, 0));
            if (i >= warmup) result.latencies.push_back(seconds_now() - sent);
        }
    }
    const double sending = seconds_now() - begin;
    processes.join();
    result.seconds = pingpong ? sending : shared.last - shared.first;
    result.cpu_seconds = cpu_seconds() - cpu + shared.receiver_cpu;
    result.resident_kib = std::max(resident_max_kib(), shared.receiver_kib);
    result.print();
    return 0;
}
