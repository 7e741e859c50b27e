// SPDX-License-Identifier: Apache-2.0
// The machine's limit: what two processes reach with blocking sockets and nothing else.
//   limit mode=stream payload=64 n=4000000     frames packed into large sends, parsed in place
//   limit mode=pingpong payload=56 n=4000      one send, one receive; busy=1: asks instead of sleeping
//   limit mode=paced payload=64 n=100000 rate=50000   one frame when it is due; how late does it arrive?
// unix=1: over a Unix socket. cc=cubic: congestion control. pin=0: no places on cores. Prints one JSON line.
#include "sockets.hpp"

namespace {

using namespace muster::bench;

constexpr std::string_view program = "limit";

struct Shared {
    double first = 0, last = 0, receiver_cpu = 0;
    std::uint64_t received = 0;
    long receiver_kib = 0;
};

struct Setup {
    explicit Setup(const Options& o)
        : options(o), payload(static_cast<std::size_t>(o.number("payload", 64))),
          frame(frame_overhead + payload), n(static_cast<std::uint64_t>(o.number("n", 1'000'000))),
          warmup(static_cast<std::uint64_t>(o.number("warmup", 1000))), busy(o.number("busy", 0) != 0),
          mode(o.text("mode", "stream")) {}
    const Options& options;
    std::size_t payload;
    std::size_t frame;
    std::uint64_t n;
    std::uint64_t warmup;
    bool busy;
    std::string mode;
};

void put_length(std::byte* frame, std::size_t bytes) {
    const auto length = static_cast<std::uint32_t>(bytes - 4);
    std::memcpy(frame, &length, sizeof length);
}

/// Frames in the order of their numbers, which stand behind the length. `late` gets for each one how long
/// after its due time, the next 8 bytes, it was read.
void receive_stream(int fd, const Setup& s, Shared& shared, double* late) {
    std::vector<std::byte> buffer(std::max<std::size_t>(256 * 1024, 2 * s.frame));
    std::size_t used = 0;
    std::uint64_t got = 0;
    while (got < s.n) {
        const ssize_t received = ::recv(fd, buffer.data() + used, buffer.size() - used, 0);
        if (received <= 0) fail(program, "the connection ended early");
        if (got == 0) shared.first = seconds_now();
        used += static_cast<std::size_t>(received);
        const double now = late ? seconds_now() : 0;
        std::size_t at = 0;
        while (used - at >= s.frame && got < s.n) {
            std::uint32_t length = 0;
            std::uint64_t number = 0;
            std::memcpy(&length, buffer.data() + at, sizeof length);
            std::memcpy(&number, buffer.data() + at + 4, sizeof number);
            if (length + 4 != s.frame || number != got) fail(program, "a frame is not what was sent");
            if (late) {
                double due = 0;
                std::memcpy(&due, buffer.data() + at + 12, sizeof due);
                late[got] = now - due;
            }
            at += s.frame;
            ++got;
        }
        std::memmove(buffer.data(), buffer.data() + at, used - at);
        used -= at;
    }
    shared.last = seconds_now();
    shared.received = got;
}

void send_stream(int fd, const Setup& s) {
    const std::size_t batch_bytes = s.frame > 65'536 ? 262'144 : 65'536;
    const std::size_t per_send = std::max<std::size_t>(1, batch_bytes / s.frame);
    std::vector<std::byte> frame(s.frame, std::byte{'x'});
    put_length(frame.data(), s.frame);
    std::vector<std::byte> batch(per_send * s.frame);
    for (std::uint64_t i = 0; i < s.n;) {
        std::size_t used = 0;
        for (std::size_t j = 0; j < per_send && i < s.n; ++j, ++i, used += s.frame) {
            std::memcpy(batch.data() + used, frame.data(), s.frame);
            std::memcpy(batch.data() + used + 4, &i, sizeof i);
        }
        send_all(program, fd, batch.data(), used);
    }
}

/// Each frame when it is due, whatever became of those before it.
void send_paced(int fd, const Setup& s) {
    const double rate = static_cast<double>(s.options.number("rate", 10'000));
    std::vector<std::byte> frame(s.frame, std::byte{'x'});
    put_length(frame.data(), s.frame);
    const double start = seconds_now() + 0.01;
    for (std::uint64_t i = 0; i < s.n; ++i) {
        const double due = start + static_cast<double>(i) / rate;
        while (seconds_now() < due) {
        }
        std::memcpy(frame.data() + 4, &i, sizeof i);
        std::memcpy(frame.data() + 12, &due, sizeof due);
        send_all(program, fd, frame.data(), s.frame);
    }
}

void answer(int fd, const Setup& s) {
    std::vector<std::byte> frame(s.frame);
    for (std::uint64_t i = 0; i < s.n + s.warmup; ++i) {
        receive_all(program, fd, frame.data(), s.frame, s.busy);
        send_all(program, fd, frame.data(), s.frame);
    }
}

std::vector<double> ping(int fd, const Setup& s) {
    std::vector<std::byte> frame(s.frame, std::byte{'x'});
    std::vector<double> took;
    took.reserve(s.n);
    put_length(frame.data(), s.frame);
    for (std::uint64_t i = 0; i < s.n + s.warmup; ++i) {
        const double begin = seconds_now();
        send_all(program, fd, frame.data(), s.frame);
        receive_all(program, fd, frame.data(), s.frame, s.busy);
        if (i >= s.warmup) took.push_back(seconds_now() - begin);
    }
    return took;
}

} // namespace

int main(int argc, char** argv) {
    const Options options{program, argc, argv};
    const Setup s{options};
    if (s.mode != "stream" && s.mode != "pingpong" && s.mode != "paced")
        fail(program, "mode: use stream, pingpong or paced");
    const bool pinned = options.number("pin", 1) != 0;
    const bool paced = s.mode == "paced";
    auto& shared = shared_by_all<Shared>(program);
    double* const late = paced ? &shared_by_all<double>(program, s.n) : nullptr;
    const BlockingListener listener{program, options.number("unix", 0) != 0};
    Processes processes{program};
    processes.fork_one([&] {
        if (pinned) pin_to(1);
        const double cpu = cpu_seconds();
        const int fd = listener.accept_one(options);
        if (s.mode == "pingpong")
            answer(fd, s);
        else
            receive_stream(fd, s, shared, late);
        shared.receiver_cpu = cpu_seconds() - cpu;
        shared.receiver_kib = resident_max_kib();
    });
    if (pinned) pin_to(0);
    const double cpu = cpu_seconds();
    const int fd = listener.connect_one(options);
    Result result{.peer = s.busy ? "limit-busy" : "limit",
                  .mode = s.mode,
                  .payload = static_cast<long>(s.payload),
                  .messages = s.n};
    const double begin = seconds_now();
    if (s.mode == "pingpong")
        result.latencies = ping(fd, s);
    else if (paced)
        send_paced(fd, s);
    else
        send_stream(fd, s);
    const double sending = seconds_now() - begin;
    processes.join();
    if (late) result.latencies.assign(late, late + s.n);
    result.seconds = s.mode == "pingpong" ? sending : shared.last - shared.first;
    result.cpu_seconds = cpu_seconds() - cpu + shared.receiver_cpu;
    result.resident_kib = std::max(resident_max_kib(), shared.receiver_kib);
    result.print();
    return 0;
}
