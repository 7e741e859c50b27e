// SPDX-License-Identifier: Apache-2.0
// CAF 0.17: remote actors of two processes. Its sends know no backpressure, so the receiver grants credit for
// `window` messages, half of them at a time.
//   caf mode=stream payload=64 n=200000
//   caf mode=pingpong payload=56 n=2000
// pin=0: no places on cores. Prints one JSON line.
#include <caf/all.hpp>
#include <caf/io/all.hpp>
#include <memory>
#include <utility>

#include "sockets.hpp"

namespace {

using namespace muster::bench;

constexpr std::string_view program = "caf";

struct Shared {
    std::atomic<int> port;
    std::atomic<bool> received;
    std::atomic<bool> done;
    double first = 0, last = 0, receiver_cpu = 0;
    long receiver_kib = 0;
};

struct Config : caf::actor_system_config {
    Config() {
        load<caf::io::middleman>();
        set("logger.verbosity", caf::atom("quiet"));
    }
};

struct Stream {
    std::uint64_t got = 0;
    caf::actor granted;
};

caf::behavior receiver(caf::event_based_actor* self, std::uint64_t count, std::size_t bytes,
                       std::uint64_t window, Shared* shared) {
    auto stream = std::make_shared<Stream>();
    return {[stream](const caf::actor& from) { stream->granted = from; },
            [](std::string& text) { return std::move(text); },
            [=](std::uint64_t number, const std::string& text) {
                if (text.size() != bytes || number != stream->got) fail(program, "not what was sent");
                if (stream->got == 0) shared->first = seconds_now();
                ++stream->got;
                if (stream->got % (window / 2) == 0) self->send(stream->granted, window / 2);
                if (stream->got != count) return;
                shared->last = seconds_now();
                shared->received = true;
            }};
}

} // namespace

int main(int argc, char** argv) {
    const Options options{program, argc, argv};
    const bool pinned = options.number("pin", 1) != 0;
    const bool pingpong = options.text("mode", "stream") == "pingpong";
    const auto n = static_cast<std::uint64_t>(options.number("n", 200'000));
    const auto warmup = static_cast<std::uint64_t>(options.number("warmup", 500));
    const auto window = static_cast<std::uint64_t>(options.number("window", 2000));
    const long payload = options.number("payload", 64);
    const std::string text(head_bytes + static_cast<std::size_t>(payload), 'x');
    auto& shared = shared_by_all<Shared>(program);
    Processes processes{program};
    processes.fork_one([&] {
        if (pinned) pin_to(1);
        const double cpu = cpu_seconds();
        Config config;
        caf::actor_system system{config};
        const caf::actor actor = system.spawn(receiver, n, text.size(), window, &shared);
        const auto port = system.middleman().publish(actor, 0, "127.0.0.1");
        if (!port) fail(program, "it cannot listen");
        shared.port = *port;
        while (!shared.done) usleep(1000);
        shared.receiver_cpu = cpu_seconds() - cpu;
        shared.receiver_kib = resident_max_kib();
        std::_Exit(0); // its threads need not be ended one by one
    });
    if (pinned) pin_to(0);
    processes.wait_for([&] { return shared.port != 0; });
    const double cpu = cpu_seconds();
    Config config;
    caf::actor_system system{config};
    const auto found = system.middleman().remote_actor("127.0.0.1", static_cast<std::uint16_t>(shared.port));
    if (!found) fail(program, "it cannot connect");
    Result result{.peer = "caf", .mode = pingpong ? "pingpong" : "stream", .payload = payload, .messages = n};
    const double begin = seconds_now();
    caf::scoped_actor self{system};
    if (pingpong) {
        for (std::uint64_t i = 0; i < n + warmup; ++i) {
            const double sent = seconds_now();
            self->request(*found, std::chrono::seconds(10), text)
                .receive([](const std::string&) {},
                         [&](const caf::error& error) { fail(program, system.render(error)); });
            if (i >= warmup) result.latencies.push_back(seconds_now() - sent);
        }
    } else {
        self->send(*found, caf::actor_cast<caf::actor>(self.ptr()));
        std::uint64_t credit = window;
        for (std::uint64_t i = 0; i < n; ++i, --credit) {
            while (credit == 0) self->receive([&](std::uint64_t more) { credit += more; });
            self->send(*found, i, text);
        }
        processes.wait_for([&] { return shared.received.load(); });
    }
    const double sending = seconds_now() - begin;
    shared.done = true;
    processes.join();
    result.seconds = pingpong ? sending : shared.last - shared.first;
    result.cpu_seconds = cpu_seconds() - cpu + shared.receiver_cpu;
    result.resident_kib = std::max(resident_max_kib(), shared.receiver_kib);
    result.print();
    std::fflush(nullptr);
    std::_Exit(0);
}
