// SPDX-License-Identifier: Apache-2.0
#include "harness.hpp"

#include <algorithm>
#include <cstdio>
#include <muster/net/asio_runtime.hpp>
#include <muster/uring/runtime.hpp>

namespace muster {

std::ostream& operator<<(std::ostream& out, LinkEvent event) {
    switch (event) {
    case LinkEvent::Established: return out << "Established";
    case LinkEvent::EndedWithoutGoodbye: return out << "EndedWithoutGoodbye";
    case LinkEvent::GoodbyeLink: return out << "GoodbyeLink";
    case LinkEvent::GoodbyeStopping: return out << "GoodbyeStopping";
    case LinkEvent::ReconnectRefused: return out << "ReconnectRefused";
    case LinkEvent::OtherIncarnation: return out << "OtherIncarnation";
    case LinkEvent::Accepted: return out << "Accepted";
    case LinkEvent::Answered: return out << "Answered";
    }
    return out << "?";
}

namespace test {
namespace {

using namespace std::chrono_literals;

template <class Options>
Options runtime_options(std::shared_ptr<LogSink> log) {
    Options options;
    options.log_sink = std::move(log);
    options.log.level = LogLevel::Debug;
    options.log.burst = 1'000'000;
    return options;
}

Backend make_epoll(std::shared_ptr<LogSink> log) {
    auto made = net::make_asio_runtime(runtime_options<net::RuntimeOptions>(std::move(log)));
    return {nullptr, std::move(made.value())};
}

Backend make_uring(std::shared_ptr<LogSink> log) {
    auto made = uring::make_runtime(runtime_options<uring::Options>(std::move(log)));
    return {nullptr, std::move(made.value())};
}

Backend make_sim(std::shared_ptr<LogSink> log) {
    Backend backend;
    backend.network = std::make_unique<sim::Network>();
    const auto host = backend.network->add_host("host");
    backend.runtime =
        backend.network->make_runtime(host, runtime_options<net::RuntimeOptions>(std::move(log)));
    return backend;
}

bool uring_works() {
    static const bool works = [] {
        const auto made = uring::make_runtime();
        if (!made) std::printf("not run: transport tests on io_uring (%s)\n", made.error().message().c_str());
        return made.has_value();
    }();
    return works;
}

} // namespace

std::vector<BackendParam> simulated_backend() { return {{"sim", make_sim, true}}; }

std::vector<BackendParam> real_backends() {
    std::vector<BackendParam> real{{"epoll", make_epoll, false}};
    if (uring_works()) real.push_back({"uring", make_uring, false});
    return real;
}

std::vector<BackendParam> backends() {
    std::vector<BackendParam> all = simulated_backend();
    for (const auto& real : real_backends()) all.push_back(real);
    return all;
}

std::size_t RecordingHandler::count(LinkEvent event) const {
    return static_cast<std::size_t>(
        std::count_if(links.begin(), links.end(), [event](const Linked& l) { return l.event == event; }));
}

bool RecordingHandler::saw(const UniqueAddress& peer, LinkEvent event) const {
    return std::any_of(links.begin(), links.end(),
                       [&](const Linked& l) { return l.event == event && l.peer == peer; });
}

TransportTest::TransportTest() : backend_(GetParam().make(log_)), runtime_(backend_.runtime.get()) {}

TransportTest::~TransportTest() {
    // What was destroyed without a shutdown ends in its own time.
    run_for(10ms);
}

TcpTransportOptions TransportTest::options() {
    TcpTransportOptions options;
    options.cluster_name = "test";
    return options;
}

std::unique_ptr<Node> TransportTest::node(TcpTransportOptions options) {
    auto made = std::make_unique<Node>();
    made->handler.clock = runtime_;
    auto listening = TcpClusterTransport::listen(*runtime_, std::move(options));
    if (!listening) {
        ADD_FAILURE() << listening.error().message();
        std::abort();
    }
    made->transport = std::move(*listening);
    made->transport->start(made->handler, made->sink);
    return made;
}

bool TransportTest::run_until(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
    const Instant deadline = runtime_->monotonic_now() + limit;
    while (!condition()) {
        if (runtime_->monotonic_now() >= deadline) return false;
        runtime_->run_until(runtime_->monotonic_now() + 1ms);
    }
    return true;
}

void TransportTest::run_for(std::chrono::milliseconds duration) {
    runtime_->run_until(runtime_->monotonic_now() + duration);
}

void TransportTest::stop(Node& node, std::chrono::milliseconds deadline) {
    bool done = false;
    node.transport->shutdown(runtime_->monotonic_now() + deadline, [&done] { done = true; });
    EXPECT_TRUE(run_until([&done] { return done; }));
    node.transport.reset();
}

void TransportTest::crash(Node& node) {
    node.transport.reset();
    run_for(1ms);
}

bool TransportTest::logged_about(std::string_view code, std::string_view text) {
    const auto records = log_->records();
    return std::any_of(records.begin(), records.end(), [&](const LogRecord& r) {
        return r.code == code && std::any_of(r.fields.begin(), r.fields.end(), [&](const LogField& f) {
                   return f.value.find(text) != std::string::npos;
               });
    });
}

std::uint16_t unused_port(net::Runtime& runtime) {
    auto listener = runtime.listen(net::Endpoint::loopback_v4(0), {});
    const std::uint16_t port = listener.value()->local().port;
    listener.value()->close();
    return port;
}

} // namespace test
} // namespace muster
