// SPDX-License-Identifier: Apache-2.0
// A node on the program's own io_context while a stranger opens thousands of connections and sends scraps:
// every one of them starts and ends coroutines of the library on a scheduler that the program's code runs.
#include "checks.hpp"

#include <atomic>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <iostream>
#include <muster/muster.hpp>
#include <thread>

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

namespace {

constexpr auto duration = 4s;

/// Connects, sends twenty scraps of four bytes, and goes: every other time with a reset.
void send_scraps(std::uint16_t port, const std::atomic<bool>& enough, std::atomic<int>& connections) {
    asio::io_context context;
    const tcp::endpoint to(asio::ip::address_v4::loopback(), port);
    const std::array<char, 4> scrap{0, 0, '\xff', 0};
    while (!enough) {
        boost::system::error_code ignored;
        tcp::socket socket(context);
        if (socket.connect(to, ignored)) {
            std::this_thread::sleep_for(1ms);
            continue;
        }
        for (int i = 0; i < 20; ++i) asio::write(socket, asio::buffer(scrap), ignored);
        if (connections % 2 == 1) socket.set_option(asio::socket_base::linger(true, 0), ignored);
        socket.close(ignored);
        ++connections;
    }
}

/// The program's own work beside the node: a timer, and posts that dispatch again.
class Application {
public:
    explicit Application(asio::io_context& context) : timer_(context) { tick(); }
    int ticks() const { return ticks_; }
    void stop() { timer_.cancel(); }

private:
    void tick() {
        timer_.expires_after(1ms);
        timer_.async_wait([this](const boost::system::error_code& ec) {
            if (ec) return;
            asio::post(timer_.get_executor(), [this] { ++ticks_; });
            tick();
        });
    }

    asio::steady_timer timer_;
    int ticks_ = 0;
};

bool node_survives_scraps() {
    asio::io_context context;
    muster::net::RuntimeOptions options;
    options.log.level = muster::LogLevel::Off; // every scrap is a warning
    const auto runtime = muster::make_runtime(context, std::move(options));
    muster::RemoteAdapterConfig config;
    config.transport.cluster_name = "scraps";
    config.transport.listen_port = 0;
    auto started = muster::ClusterRemoteAdapter::start(*runtime, std::move(config));
    if (!started) {
        std::cout << started.error().message() << '\n';
        return false;
    }
    muster::ClusterRemoteAdapter node = std::move(started).value();
    node.daemon().join(node.address());

    Application application(context);
    std::atomic<bool> enough{false};
    std::atomic<int> connections{0};
    std::thread stranger([&] { send_scraps(node.address().port.value_or(0), enough, connections); });
    bool up = false;
    asio::steady_timer end(context, duration);
    end.async_wait([&](const boost::system::error_code&) {
        up = node.snapshot().self_status() == muster::MemberStatus::Up;
        enough = true;
        application.stop();
        node.daemon().shutdown();
    });
    bool stopped = false;
    node.daemon().on_stopped([&](muster::ShutdownReason) {
        stopped = true;
        context.stop();
    });
    context.run_for(duration + 30s);
    enough = true;
    stranger.join();
    std::cout << "a stranger's connections: " << connections
              << ", ticks of the program's own: " << application.ticks() << '\n';
    return up && stopped && connections > 100 && application.ticks() > 100;
}

} // namespace

void check_scraps() {
    check("a node on the program's own io_context survives a stranger's scraps", node_survives_scraps);
}
