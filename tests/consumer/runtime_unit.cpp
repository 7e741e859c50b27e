// SPDX-License-Identifier: Apache-2.0
// The event loops from outside: the library's coroutines awaited by the program's, its executors used by the
// program's Asio.
#include "checks.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <exception>
#include <future>
#include <iostream>
#include <memory>
#include <muster/runtime.hpp>
#include <string>
#include <utility>

namespace asio = boost::asio;
namespace net = muster::net;
using namespace std::chrono_literals;

namespace {

/// Sends "hello" over a loopback connection and reads it back at the other end.
asio::awaitable<bool> hello_arrives(net::Runtime& runtime) {
    const net::Endpoint any = net::Endpoint::loopback_v4(0);
    auto listener = runtime.listen(any, net::ListenOptions{});
    if (!listener) co_return false;
    const net::Endpoint at = (*listener)->local();
    net::ConnectOptions options;
    auto client = co_await runtime.connect(at, options);
    auto server = co_await (*listener)->accept();
    if (!client || !server) co_return false;
    const muster::Slice hello = muster::Slice::copy_of("hello");
    const std::span<const muster::Slice> parts{&hello, 1};
    const auto sent = co_await (*client)->send(parts);
    const auto received = co_await (*server)->receive();
    co_return sent.has_value() && received.has_value() && received->text() == "hello";
}

/// Runs `task` on the Runtime until it ends, at most ten seconds, and says what it answered.
bool run(net::Runtime& runtime, asio::awaitable<bool> task) {
    bool good = false;
    asio::co_spawn(runtime.executor(), std::move(task), [&](const std::exception_ptr& error, bool answer) {
        good = answer && !error;
        runtime.stop();
    });
    runtime.run_until(runtime.monotonic_now() + 10s);
    return good;
}

asio::awaitable<bool> sleeps(net::Runtime& runtime) {
    const auto before = runtime.monotonic_now();
    const auto slept = co_await runtime.sleep_for(5ms);
    co_return slept.has_value() && runtime.monotonic_now() - before >= 5ms;
}

void check_runtime(muster::Backend backend) {
    net::RuntimeOptions options;
    options.log.level =
        muster::LogLevel::Off; // whether io_uring is allowed here is not this program's question
    auto made = muster::make_runtime(backend, options);
    const std::string name{to_string(backend)};
    check("make_runtime " + name, [&made] { return made.has_value(); });
    if (!made) return;
    net::Runtime& runtime = **made;
    std::cout << name << " runs " << runtime.backend() << '\n';
    check(name + ": a library coroutine sleeps in a program's",
          [&] { return run(runtime, sleeps(runtime)); });
    check(name + ": bytes cross a connection", [&] { return run(runtime, hello_arrives(runtime)); });
    check(name + ": asio::post runs on its executor", [&] {
        bool ran = false;
        asio::post(runtime.executor(), [&] {
            ran = runtime.in_runtime_thread();
            runtime.stop();
        });
        runtime.run_until(runtime.monotonic_now() + 10s);
        return ran;
    });
    check(name + ": an action posted from this thread runs on the loop's", [&] {
        runtime.start_thread();
        std::promise<bool> elsewhere;
        runtime.post([&] { elsewhere.set_value(runtime.in_runtime_thread()); });
        return elsewhere.get_future().get() && !runtime.in_runtime_thread();
    });
}

void check_hosted_runtime() {
    asio::io_context context;
    auto runtime = muster::make_runtime(context);
    check("a Runtime lives on the program's own io_context", [&] {
        bool good = false;
        asio::co_spawn(context, hello_arrives(*runtime), [&](const std::exception_ptr& error, bool answer) {
            good = answer && !error;
            context.stop();
        });
        context.run_for(10s);
        return good;
    });
    context.restart();
    runtime.reset();
}

} // namespace

void check_runtimes() {
    check_runtime(muster::Backend::Epoll);
    check_runtime(muster::Backend::Auto);
    check_hosted_runtime();
}
