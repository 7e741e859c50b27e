// SPDX-License-Identifier: Apache-2.0
// What a careful user of Boost.Asio gets with coroutines: frames packed into 64 KiB and written at once, read
// into one large buffer and parsed in place.
//   asio_batched mode=stream payload=64 n=4000000
//   asio_batched mode=pingpong payload=56 n=4000
// pin=0: no places on cores. Prints one JSON line.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <utility>

#include "sockets.hpp"

namespace {

using namespace muster::bench;
namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::string_view program = "asio_batched";

struct Shared {
    std::atomic<int> port;
    double first = 0, last = 0, receiver_cpu = 0;
    long receiver_kib = 0;
};

struct Setup {
    explicit Setup(const Options& o)
        : payload(static_cast<std::size_t>(o.number("payload", 64))), frame(frame_overhead + payload),
          n(static_cast<std::uint64_t>(o.number("n", 1'000'000))),
          warmup(static_cast<std::uint64_t>(o.number("warmup", 1000))),
          pingpong(o.text("mode", "stream") == "pingpong") {}
    std::size_t payload;
    std::size_t frame;
    std::uint64_t n;
    std::uint64_t warmup;
    bool pingpong;
};

asio::awaitable<void> receive(tcp::acceptor& acceptor, const Setup& s, Shared& shared) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    socket.set_option(tcp::no_delay(true));
    std::vector<std::byte> buffer(std::max<std::size_t>(256 * 1024, 2 * s.frame));
    const std::uint64_t count = s.pingpong ? s.n + s.warmup : s.n;
    std::size_t used = 0;
    std::uint64_t got = 0;
    while (got < count) {
        const auto room = asio::buffer(buffer.data() + used, buffer.size() - used);
        const std::size_t received = co_await socket.async_read_some(room, asio::use_awaitable);
        if (got == 0) shared.first = seconds_now();
        used += received;
        std::size_t at = 0;
        for (; used - at >= s.frame; at += s.frame, ++got) {
            std::uint64_t number = 0;
            std::memcpy(&number, buffer.data() + at + 4, sizeof number);
            if (number != got) fail(program, "a frame is not what was sent");
            if (!s.pingpong) continue;
            const auto answer = asio::buffer(buffer.data() + at, s.frame);
            co_await asio::async_write(socket, answer, asio::use_awaitable);
        }
        std::memmove(buffer.data(), buffer.data() + at, used - at);
        used -= at;
    }
    shared.last = seconds_now();
}

asio::awaitable<void> send(int port, const Setup& s, std::vector<double>& took) {
    const auto executor = co_await asio::this_coro::executor;
    tcp::socket socket(executor);
    const tcp::endpoint to{asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port)};
    co_await socket.async_connect(to, asio::use_awaitable);
    socket.set_option(tcp::no_delay(true));
    const std::size_t per_send = s.pingpong ? 1 : std::max<std::size_t>(1, 65'536 / s.frame);
    const std::uint64_t count = s.pingpong ? s.n + s.warmup : s.n;
    std::vector<std::byte> frame(s.frame, std::byte{'x'});
    std::vector<std::byte> batch(per_send * s.frame);
    std::vector<std::byte> answer(s.frame);
    for (std::uint64_t i = 0; i < count;) {
        const double begin = s.pingpong ? seconds_now() : 0;
        std::size_t used = 0;
        for (std::size_t j = 0; j < per_send && i < count; ++j, ++i, used += s.frame) {
            std::memcpy(batch.data() + used, frame.data(), s.frame);
            std::memcpy(batch.data() + used + 4, &i, sizeof i);
        }
        const auto bytes = asio::buffer(batch.data(), used);
        co_await asio::async_write(socket, bytes, asio::use_awaitable);
        if (!s.pingpong) continue;
        const auto room = asio::buffer(answer);
        co_await asio::async_read(socket, room, asio::use_awaitable);
        if (i > s.warmup) took.push_back(seconds_now() - begin);
    }
}

void rethrow(std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
}

} // namespace

int main(int argc, char** argv) {
    const Options options{program, argc, argv};
    const Setup s{options};
    const bool pinned = options.number("pin", 1) != 0;
    auto& shared = shared_by_all<Shared>(program);
    Processes processes{program};
    processes.fork_one([&] {
        if (pinned) pin_to(1);
        const double cpu = cpu_seconds();
        asio::io_context context(1);
        tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
        shared.port = acceptor.local_endpoint().port();
        asio::co_spawn(context, receive(acceptor, s, shared), rethrow);
        context.run();
        shared.receiver_cpu = cpu_seconds() - cpu;
        shared.receiver_kib = resident_max_kib();
    });
    if (pinned) pin_to(0);
    processes.wait_for([&] { return shared.port != 0; });
    const double cpu = cpu_seconds();
    Result result{.peer = "asio-batched",
                  .mode = s.pingpong ? "pingpong" : "stream",
                  .payload = static_cast<long>(s.payload),
                  .messages = s.n};
    asio::io_context context(1);
    asio::co_spawn(context, send(shared.port, s, result.latencies), rethrow);
    const double begin = seconds_now();
    context.run();
    const double sending = seconds_now() - begin;
    processes.join();
    result.seconds = s.pingpong ? sending : shared.last - shared.first;
    result.cpu_seconds = cpu_seconds() - cpu + shared.receiver_cpu;
    result.resident_kib = std::max(resident_max_kib(), shared.receiver_kib);
    result.print();
    return 0;
}
