// SPDX-License-Identifier: Apache-2.0
// A node in a page: joins a cluster, prints its events, and greets every node that comes Up.
//
//   first_node 2551              founds the cluster "example" on 127.0.0.1:2551
//   first_node 2552 2551         joins it
//
// Ctrl-C leaves the cluster gracefully.
#include <boost/asio/signal_set.hpp>
#include <cstdlib>
#include <iostream>
#include <muster/muster.hpp>
#include <string>

namespace {

muster::Address node_at(std::uint16_t port) {
    return muster::Address::remote("akka.tcp", "example", "127.0.0.1", port);
}

/// Receives what other nodes tell this one. Runs on the Runtime's thread.
class Printer final : public muster::RemoteMessageSink {
public:
    void deliver(std::string_view target_path, std::string_view, const muster::Slice& payload,
                 std::optional<std::string_view> sender_path) override {
        std::cout << sender_path.value_or("somebody") << " tells " << target_path << ": " << payload.text()
                  << std::endl;
    }
};

void on_event(const muster::ClusterRemoteAdapter& node, const muster::ClusterEvent& event) {
    const muster::Member* member = muster::member_of(event);
    if (member == nullptr) return;
    const muster::Address& address = member->unique_address().address();
    std::cout << muster::name_of(event) << ' ' << address.to_string() << std::endl;
    if (!std::holds_alternative<muster::MemberUp>(event) || address == node.address()) return;
    const std::string_view greeting = "welcome";
    const std::string sender = node.address().to_string();
    const muster::Tell tell{.target_path = "/user/printer",
                            .manifest = "text",
                            .payload = std::as_bytes(std::span{greeting}),
                            .sender_path = sender};
    std::cout << "greeting is " << to_string(node.tell(address, tell)) << std::endl;
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::cerr << "usage: first_node PORT [SEED_PORT]\n";
        return 2;
    }
    const auto port = static_cast<std::uint16_t>(std::atoi(argv[1]));
    const auto seed_port = argc > 2 ? static_cast<std::uint16_t>(std::atoi(argv[2])) : port;

    boost::asio::io_context context; // the program's own: the node lives on it beside everything else
    const auto runtime = muster::make_runtime(context);

    muster::RemoteAdapterConfig config;
    config.transport.cluster_name = "example";
    config.transport.listen_port = port;
    config.daemon.cluster.seed_nodes = {node_at(seed_port)};
    auto started =
        muster::ClusterRemoteAdapter::start(*runtime, std::move(config), std::make_shared<Printer>());
    if (!started) {
        std::cerr << started.error().message() << '\n';
        return 1;
    }
    muster::ClusterRemoteAdapter node = std::move(started).value();
    const auto subscription = node.daemon().events().subscribe(
        [&node](const muster::ClusterEvent& event) { on_event(node, event); });

    boost::asio::signal_set signals{context, SIGINT, SIGTERM};
    signals.async_wait([&](const boost::system::error_code&, int) { node.daemon().leave(); });
    node.daemon().on_stopped([&](muster::ShutdownReason reason) {
        std::cout << "stopped: " << to_string(reason) << std::endl;
        context.stop();
    });
    context.run();
}
